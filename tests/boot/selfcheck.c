/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A load that notices when the machine under it is not what it was: general, x87, SSE and AVX registers, memory, time,
 * signals, processes. Prints "CHECK n k" for each round k of process n, "BAD what" when something is wrong.
 *
 *   selfcheck PROCESSES
 */
#define _GNU_SOURCE
#include <immintrin.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int me;
static void say(const char *what, long a, long b)
{
    char t[160];
    int n = snprintf(t, sizeof t, "BAD %s (process %d: %ld, %ld)\n", what, me, a, b);
    (void)!write(1, t, (size_t)n);
}

static volatile sig_atomic_t ticks;
static void on_tick(int s)
{
    (void)s;
    ticks++;
}

static int64_t now(clockid_t c)
{
    struct timespec ts;
    clock_gettime(c, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static uint64_t mix(uint64_t *w, size_t n, uint64_t x)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        w[i] = x;
    }
    for (size_t i = 0; i < n; i++)
        sum = (sum << 7 | sum >> 57) ^ w[i];
    return sum;
}

static double sse(double x)
{
    double s = 0;
    for (int i = 1; i < 4000; i++)
        s += sqrt(x * i) / (i + 0.5);
    return s;
}

static long double x87(long double x)
{
    long double s = 0;
    for (int i = 1; i < 2000; i++)
        s += sqrtl(x * i) / (i + 0.25L);
    return s;
}

__attribute__((target("avx2"))) static uint64_t avx(uint64_t seed)
{
    __m256i a = _mm256_set1_epi64x((long long)seed), b = _mm256_set_epi64x(1, 3, 5, 7);
    uint64_t out[4];
    for (int i = 0; i < 4000; i++) {
        a = _mm256_add_epi64(_mm256_xor_si256(a, b), _mm256_slli_epi64(a, 5));
        b = _mm256_add_epi32(b, _mm256_srli_epi64(a, 9));
    }
    _mm256_storeu_si256((__m256i *)(void *)out, a);
    return out[0] ^ out[1] * 3 ^ out[2] * 5 ^ out[3] * 7;
}

static void pipes(void)
{
    int a[2], b[2], st;
    uint32_t x = 12345, y = 0;
    if (pipe(a) || pipe(b))
        return;
    pid_t p = fork();
    if (p == 0) {
        uint32_t v;
        while (read(a[0], &v, 4) == 4 && v) {
            v = v * 7 + 1;
            (void)!write(b[1], &v, 4);
        }
        _exit(7);
    }
    for (int i = 0; i < 20; i++, x += 77)
        if (write(a[1], &x, 4) != 4 || read(b[0], &y, 4) != 4 || y != x * 7 + 1)
            say("pipe", x, y);
    x = 0;
    (void)!write(a[1], &x, 4);
    if (waitpid(p, &st, 0) != p || !WIFEXITED(st) || WEXITSTATUS(st) != 7)
        say("child", st, 0);
    for (int i = 0; i < 2; i++)
        close(a[i]), close(b[i]);
}

static void process(void)
{
    enum { WORDS = 1 << 16 };
    uint64_t *w = malloc(WORDS * sizeof *w), want = mix(w, WORDS, 42), want_avx = 0;
    double want_sse = sse(3.7);
    long double want_x87 = x87(2.3L);
    int have_avx = __builtin_cpu_supports("avx2");
    if (have_avx)
        want_avx = avx(99);
    struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval it = {{0, 20000}, {0, 20000}};
    setitimer(ITIMER_REAL, &it, NULL);
    int64_t mono = now(CLOCK_MONOTONIC), drift = now(CLOCK_REALTIME) - mono;
    uint64_t tsc = __rdtsc();
    for (long k = 0;; k++) {
        for (int i = 0; i < 4; i++) {
            if (mix(w, WORDS, 42) != want)
                say("memory or integer registers", k, 0);
            if (sse(3.7) != want_sse)
                say("SSE registers", k, 0);
            if (x87(2.3L) != want_x87)
                say("x87 registers", k, 0);
            if (have_avx && avx(99) != want_avx)
                say("AVX registers", k, 0);
            int64_t m = now(CLOCK_MONOTONIC);
            uint64_t t = __rdtsc();
            if (m < mono)
                say("time ran backwards, us", (long)((mono - m) / 1000), 0);
            if (m - mono > 20000000000ll)
                say("time jumped, ms", (long)((m - mono) / 1000000), 0);
            if (t < tsc)
                say("the TSC ran backwards", (long)(tsc - t), 0);
            mono = m;
            tsc = t;
        }
        int64_t d = now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
        if (llabs(d - drift) > 2000000000ll)
            say("the wall clock left the monotonic one, ms", (long)((d - drift) / 1000000), 0);
        pipes();
        sig_atomic_t before = ticks;
        int64_t start = now(CLOCK_MONOTONIC);
        struct timespec nap = {0, 100000000};
        while (nanosleep(&nap, &nap))
            ;
        int64_t slept = now(CLOCK_MONOTONIC) - start;
        if (slept < 100000000)
            say("a sleep of 100 ms was too short, us", (long)(slept / 1000), 0);
        if (ticks == before)
            say("no timer signal in a sleep of 100 ms", ticks, 0);
        char t[64];
        (void)!write(1, t, (size_t)snprintf(t, sizeof t, "CHECK %d %ld\n", me, k));
    }
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 1;
    for (me = 0; me < n; me++)
        if (fork() == 0) {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET((size_t)(me % (int)sysconf(_SC_NPROCESSORS_ONLN)), &set);
            sched_setaffinity(0, sizeof set, &set);
            process();
            return 0;
        }
    while (wait(NULL) > 0)
        ;
    return 0;
}
