/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What leaving the guest costs, measured inside of it: one line "name ns" for each kind. Needs root.
 *   port    IN from the RTC's data port (a device in the VMM)
 *   mmio    a load from the HPET's counter (a device in the VMM)
 *   msr     RDMSR of APIC_BASE through /dev/cpu/0/msr (in the kernel)
 *   hlt+timer  how much longer than asked for a sleep takes: programming the timer, HLT, its interrupt, programming it again. The
 *           sleep is long enough that the processor gets to its HLT before the timer expires, also where an exit takes 100 us.
 * exits N only sleeps N times.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { SLEEP_NS = 2000000 };

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static volatile uint32_t *hpet;
static int msr;
static void do_port(void) { (void)inb(0x71); }
static void do_mmio(void) { (void)hpet[0xf0 / 4]; }
static void do_msr(void)
{
    uint64_t v;
    (void)!pread(msr, &v, 8, 0x1b);
}
static void do_sleep(void)
{
    struct timespec ts = {0, SLEEP_NS};
    nanosleep(&ts, NULL);
}

/* The best of some rounds: the host has other things to do as well. */
static void measure(const char *name, void (*fn)(void), int n, int idle)
{
    double best = 1e18;
    for (int r = 0; r < 7; r++) {
        double t = now();
        for (int i = 0; i < n; i++)
            fn();
        t = (now() - t) / n;
        best = t < best ? t : best;
    }
    printf("%s %.0f\n", name, best - idle);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    prctl(PR_SET_TIMERSLACK, 1);
    if (argc > 1) { /* so many sleeps, for counting what they cost the host */
        for (int i = atoi(argv[1]); i > 0; i--)
            do_sleep();
        return 0;
    }
    if (!ioperm(0x70, 2, 1))
        measure("port", do_port, 300, 0);
    int mem = open("/dev/mem", O_RDONLY | O_SYNC);
    void *p = mem >= 0 ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, mem, 0xfed00000) : MAP_FAILED;
    if (p != MAP_FAILED) {
        hpet = p;
        measure("mmio", do_mmio, 300, 0);
    }
    if ((msr = open("/dev/cpu/0/msr", O_RDONLY)) >= 0)
        measure("msr", do_msr, 300, 0);
    measure("hlt+timer", do_sleep, 60, SLEEP_NS);
    return 0;
}
