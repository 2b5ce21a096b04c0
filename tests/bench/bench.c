/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The benchmark program: many kinds of work, each timed by itself. It is a static program without any need but a kernel, built for
 * x86_64 and for i386, and runs unchanged on the host, in a guest under another emulator and in a guest under Lodge.
 *
 *   bench [-t MILLISECONDS] [-b BUSYBOX] [-l] [NAME-PREFIX ...]
 *
 * prints "name ns_per_op" a line. An operation is one turn of the workload's loop; only ratios between machines mean anything.
 * Each workload runs in a process of its own, is calibrated until a run lasts the wanted time, then run twice; the quicker run
 * counts. One that dies prints "name failed".
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *busybox = "/bin/busybox", *self = "/proc/self/exe";
volatile uint64_t sink;
uint32_t rnd_state = 0x12345678;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static const struct workload {
    const char *name;
    void (*run)(long n);
    const char *needs; /* a CPU feature, or "busybox" */
} list[] = {
    {"int_alu", w_int_alu, NULL},
    {"int_muldiv", w_int_muldiv, NULL},
    {"int_sieve", w_int_sieve, NULL},
    {"int_qsort", w_int_qsort, NULL},
    {"int_queens", w_int_queens, NULL},
    {"bitops", w_bitops, NULL},
    {"chase_l1", w_chase_l1, NULL},
    {"chase_l2", w_chase_l2, NULL},
    {"chase_big", w_chase_big, NULL},
    {"tlb_miss", w_tlb_miss, NULL},
    {"loop_load", w_loop_load, NULL},
    {"loop_store", w_loop_store, NULL},
    {"memcpy_4k", w_memcpy_4k, NULL},
    {"memcpy_4m", w_memcpy_4m, NULL},
    {"memcpy_small", w_memcpy_small, NULL},
    {"rep_movs", w_rep_movs, NULL},
    {"strings", w_strings, NULL},
    {"malloc", w_malloc, NULL},
    {"call_fib", w_call_fib, NULL},
    {"call_deep", w_call_deep, NULL},
    {"call_indirect", w_call_indirect, NULL},
    {"call_virtual", w_call_virtual, NULL},
    {"longjmp", w_longjmp, NULL},
    {"interp_switch", w_interp_switch, NULL},
    {"interp_goto", w_interp_goto, NULL},
    {"fp_double", w_fp_double, NULL},
    {"fp_matmul", w_fp_matmul, NULL},
    {"fp_mandel", w_fp_mandel, NULL},
    {"fp_libm", w_fp_libm, NULL},
    {"x87_arith", w_x87_arith, NULL},
    {"x87_trig", w_x87_trig, NULL},
    {"vec_sse2", w_vec_sse2, "sse2"},
    {"vec_int", w_vec_int, "sse4.1"},
    {"vec_avx2", w_vec_avx2, "avx2"},
    {"vec_aes", w_vec_aes, "aes"},
    {"hash_sha256", w_hash_sha256, NULL},
    {"hash_crc32", w_hash_crc32, NULL},
    {"hash_table", w_hash_table, NULL},
    {"atomic", w_atomic, NULL},
    {"rdtsc", w_rdtsc, NULL},
    {"cpuid", w_cpuid, NULL},
    {"sys_getpid", w_sys_getpid, NULL},
    {"sys_gettime", w_sys_gettime, NULL},
    {"sys_stat", w_sys_stat, NULL},
    {"sys_readwrite", w_sys_readwrite, NULL},
    {"page_fault", w_page_fault, NULL},
    {"mprotect", w_mprotect, NULL},
    {"signal", w_signal, NULL},
    {"segv", w_segv, NULL},
    {"fork", w_fork, NULL},
    {"exec", w_exec, NULL},
    {"pipe", w_pipe, NULL},
    {"thread", w_thread, NULL},
    {"jit_fresh", w_jit_fresh, NULL},
    {"jit_patch", w_jit_patch, NULL},
    {"jit_data", w_jit_data, NULL},
    {"jit_run", w_jit_run, NULL},
    {"shell_loop", w_shell_loop, "busybox"},
    {"shell_cmds", w_shell_cmds, "busybox"},
    {"shell_awk", w_awk, "busybox"},
};

static bool available(const char *needs)
{
    if (!needs)
        return true;
    if (!strcmp(needs, "busybox"))
        return access(busybox, X_OK) == 0;
    if (!strcmp(needs, "sse2"))
        return __builtin_cpu_supports("sse2");
    if (!strcmp(needs, "sse4.1"))
        return __builtin_cpu_supports("sse4.1");
    if (!strcmp(needs, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return __builtin_cpu_supports("aes");
}

static double timed(const struct workload *w, long n)
{
    double t = now_ns();
    w->run(n);
    return now_ns() - t;
}

static void measure(const struct workload *w, double goal)
{
    timed(w, 1); /* set-up, and the translator's first look */
    long n = 1;
    double t = timed(w, n);
    while (t < goal / 4 && n < 1L << 30) {
        long more = t < goal / 400 ? n * 10 : (long)((double)n * (goal / 3) / t) + 1;
        n = more > n ? more : n + 1;
        t = timed(w, n);
    }
    /* The best of many short runs: what a busy machine does to some of them is not ours to measure. */
    n = (long)((double)n * goal / t / 6) + 1;
    double best = timed(w, n);
    for (double spent = best; spent < 2 * goal;) {
        t = timed(w, n);
        spent += t;
        best = t < best ? t : best;
    }
    printf("%s %.3f\n", w->name, best / (double)n);
}

static bool wanted(const char *name, int argc, char **argv)
{
    if (argc == 0)
        return true;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(name, argv[i], strlen(argv[i])))
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    double goal = 150e6;
    int c;
    if (argc > 1 && !strcmp(argv[1], "--nothing"))
        return 0;
    while ((c = getopt(argc, argv, "t:b:l")) != -1) {
        if (c == 't')
            goal = atof(optarg) * 1e6;
        else if (c == 'b')
            busybox = optarg;
        else if (c == 'l') {
            for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
                puts(list[i].name);
            return 0;
        } else
            return 2;
    }
    __builtin_cpu_init();
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        const struct workload *w = &list[i];
        if (!wanted(w->name, argc - optind, argv + optind) || !available(w->needs))
            continue;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            measure(w, goal);
            fflush(stdout);
            _exit(0);
        }
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
            printf("%s failed\n", w->name);
    }
    return 0;
}
