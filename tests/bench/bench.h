/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The workloads of the benchmark program, and what they share. See bench.c. */
#ifndef LODGE_TESTS_BENCH_H
#define LODGE_TESTS_BENCH_H

#include <stdint.h>

extern const char *busybox, *self; /* programs to run */
extern volatile uint64_t sink;     /* results go here, so that nothing is optimised away */

void die(const char *what) __attribute__((noreturn));

extern uint32_t rnd_state;
static inline uint32_t rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 17;
    rnd_state ^= rnd_state << 5;
    return rnd_state;
}

/* bench_cpu.c */
void w_int_alu(long n);
void w_int_muldiv(long n);
void w_int_sieve(long n);
void w_int_qsort(long n);
void w_int_queens(long n);
void w_bitops(long n);
void w_chase_l1(long n);
void w_chase_l2(long n);
void w_chase_big(long n);
void w_tlb_miss(long n);
void w_loop_load(long n);
void w_loop_store(long n);
void w_memcpy_4k(long n);
void w_memcpy_4m(long n);
void w_rep_movs(long n);
void w_memcpy_small(long n);
void w_strings(long n);
void w_malloc(long n);
void w_call_fib(long n);
void w_call_deep(long n);
void w_call_indirect(long n);
void w_call_virtual(long n);
void w_longjmp(long n);
void w_interp_switch(long n);
void w_interp_goto(long n);

/* bench_math.c */
void w_fp_double(long n);
void w_fp_matmul(long n);
void w_fp_mandel(long n);
void w_fp_libm(long n);
void w_x87_arith(long n);
void w_x87_trig(long n);
void w_vec_sse2(long n);
void w_vec_int(long n);
void w_vec_avx2(long n);
void w_vec_aes(long n);
void w_hash_sha256(long n);
void w_hash_crc32(long n);
void w_hash_table(long n);

/* bench_os.c */
void w_sys_getpid(long n);
void w_sys_gettime(long n);
void w_sys_readwrite(long n);
void w_sys_stat(long n);
void w_page_fault(long n);
void w_mprotect(long n);
void w_signal(long n);
void w_segv(long n);
void w_fork(long n);
void w_exec(long n);
void w_pipe(long n);
void w_thread(long n);
void w_atomic(long n);
void w_cpuid(long n);
void w_rdtsc(long n);
void w_jit_fresh(long n);
void w_jit_patch(long n);
void w_jit_data(long n);
void w_jit_run(long n);
void w_shell_loop(long n);
void w_shell_cmds(long n);
void w_awk(long n);

#endif
