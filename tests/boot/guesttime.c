/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a test guest, for what is said of guest time.
 *
 *   guesttime clock        for each line of the input: "CLOCK realtime monotonic" in ns; ends at a line that begins with q
 *   guesttime ticks HZ S   on each CPU a process with a periodic timer, S seconds long: "TICKS cpu wake-ups expirations wanted"
 *   guesttime burn         keeps every CPU busy, in user and kernel mode, until killed
 *   guesttime work S CPU.. integer work on the named CPUs for S seconds: "WORK cpu rounds", then "DONE"
 *   guesttime pit          port 61h: "PIT ns" between gate and end of a count of 11932 (10 ms) of counter 2, ten times
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pin(int cpu)
{
    cpu_set_t s;
    CPU_ZERO(&s);
    CPU_SET(cpu, &s);
    sched_setaffinity(0, sizeof s, &s);
}

static void clock_lines(void)
{
    char line[64];
    while (fgets(line, sizeof line, stdin) && *line != 'q') {
        printf("CLOCK %lld %lld\n", (long long)now(CLOCK_REALTIME), (long long)now(CLOCK_MONOTONIC));
        fflush(stdout);
    }
}

static void ticks(int cpu, int hz, int seconds)
{
    struct itimerspec it = {.it_interval.tv_nsec = 1000000000 / hz, .it_value.tv_nsec = 1000000000 / hz};
    struct sched_param sp = {.sched_priority = 50};
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    uint64_t n, all = 0, wakes = 0;
    pin(cpu);
    sched_setscheduler(0, SCHED_FIFO, &sp); /* what is to be seen is the interrupt, not the guest's scheduler */
    int64_t before, start;
    do { /* again when the host took the CPU away just here */
        before = now(CLOCK_MONOTONIC);
        timerfd_settime(fd, 0, &it, NULL);
        start = now(CLOCK_MONOTONIC);
    } while (start - before > it.it_interval.tv_nsec);
    int64_t end = start + seconds * 1000000000ll;
    while (now(CLOCK_MONOTONIC) < end && read(fd, &n, sizeof n) == sizeof n) {
        all += n;
        wakes++;
    }
    printf("TICKS %d %llu %llu %lld\n", cpu, (unsigned long long)wakes, (unsigned long long)all,
           (long long)((now(CLOCK_MONOTONIC) - start) / it.it_interval.tv_nsec));
}

static volatile uint64_t sink;

static void work(int cpu, int64_t seconds)
{
    uint64_t x = (uint64_t)cpu + 1, rounds = 0;
    static uint32_t table[4096];
    pin(cpu);
    for (int64_t end = now(CLOCK_MONOTONIC) + seconds * 1000000000; now(CLOCK_MONOTONIC) < end; rounds++)
        for (int i = 0; i < 20000; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            table[x & 4095] += (uint32_t)x;
        }
    sink = x;
    printf("WORK %d %llu\n", cpu, (unsigned long long)rounds);
}

static void burn(int cpu)
{
    pin(cpu);
    for (;;) {
        uint64_t x = sink + 1;
        for (int i = 0; i < 100000; i++)
            x = x * 6364136223846793005u + 1;
        sink = x;
        char *p = malloc(1 << 20);
        if (p)
            memset(p, 1, 1 << 20);
        free(p);
        if (fork() == 0)
            _exit(0);
        wait(NULL);
    }
}

static void pit(void)
{
    if (ioperm(0x40, 4, 1) || ioperm(0x61, 1, 1))
        return;
    for (int i = 0; i < 10; i++) {
        outb((unsigned char)((inb(0x61) & ~2) & ~1), 0x61);
        outb(0xb0, 0x43); /* counter 2, both bytes, mode 0 */
        outb(11932 & 0xff, 0x42);
        outb(11932 >> 8, 0x42);
        int64_t t = now(CLOCK_MONOTONIC);
        outb((unsigned char)(inb(0x61) | 1), 0x61);
        while (!(inb(0x61) & 0x20))
            ;
        printf("PIT %lld\n", (long long)(now(CLOCK_MONOTONIC) - t));
    }
    printf("DONE\n");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(what, "clock")) {
        clock_lines();
    } else if (!strcmp(what, "pit")) {
        pit();
    } else if (!strcmp(what, "ticks") && argc == 4) {
        for (int i = 0; i < n; i++)
            if (fork() == 0) {
                ticks(i, atoi(argv[2]), atoi(argv[3]));
                return 0;
            }
        while (wait(NULL) > 0)
            ;
        printf("DONE\n");
    } else if (!strcmp(what, "burn")) {
        for (int i = 1; i < n; i++)
            if (fork() == 0)
                burn(i);
        burn(0);
    } else if (!strcmp(what, "work") && argc > 3) {
        for (int i = 3; i < argc; i++)
            if (fork() == 0) {
                work(atoi(argv[i]), atoi(argv[2]));
                return 0;
            }
        while (wait(NULL) > 0)
            ;
        printf("DONE\n");
    }
    return 0;
}
