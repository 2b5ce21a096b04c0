/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workloads: the kernel's part, code made at run time, whole programs. An operation is one turn of the loop unless said. */
#define _GNU_SOURCE
#include "bench.h"

#include <immintrin.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the kernel's part -------------------------------------------------------------------------------------------------- */

void w_sys_getpid(long n)
{
    for (long i = 0; i < n; i++)
        sink += (uint64_t)syscall(SYS_getpid);
}

void w_sys_gettime(long n)
{
    struct timespec t;
    for (long i = 0; i < n; i++)
        clock_gettime(CLOCK_MONOTONIC, &t);
    sink += (uint64_t)t.tv_nsec;
}

void w_sys_readwrite(long n) /* 4 KiB to and from a file in memory */
{
    static char buf[4096];
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("bench", 0);
    for (long i = 0; i < n; i++) {
        if (pwrite(fd, buf, sizeof buf, (i & 63) * 4096) != sizeof buf || pread(fd, buf, sizeof buf, (i & 63) * 4096) != sizeof buf)
            die("pread");
    }
}

void w_sys_stat(long n)
{
    struct stat st;
    for (long i = 0; i < n; i++)
        stat("/proc/self/exe", &st);
}

void w_page_fault(long n) /* one op: one page touched the first time */
{
    const long batch = 256;
    for (long i = 0; i < n; i += batch) {
        uint8_t *p = mmap(NULL, (size_t)batch * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            die("mmap");
        madvise(p, (size_t)batch * 4096, MADV_NOHUGEPAGE);
        for (long k = 0; k < batch; k++)
            p[k * 4096] = 1;
        munmap(p, (size_t)batch * 4096);
    }
}

void w_mprotect(long n) /* one op: a page made read only and writable again, and written */
{
    static volatile uint8_t *p;
    if (!p)
        p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < n; i++) {
        mprotect((void *)p, 4096, PROT_READ);
        mprotect((void *)p, 4096, PROT_READ | PROT_WRITE);
        *p = 1;
    }
}

static void on_signal(int s) { sink += (uint64_t)s; }
void w_signal(long n)
{
    signal(SIGUSR1, on_signal);
    for (long i = 0; i < n; i++)
        raise(SIGUSR1);
}

void w_segv(long n) /* a page fault that becomes a signal */
{
    static volatile uint8_t *p;
    static sigjmp_buf env;
    if (!p)
        p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void handler(int s) { siglongjmp(env, s); }
    signal(SIGSEGV, handler);
    for (volatile long i = 0; i < n; i = i + 1) {
        if (!sigsetjmp(env, 1))
            sink += *p;
    }
    signal(SIGSEGV, SIG_DFL);
}

static void wait_child(pid_t pid)
{
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        die("child");
}

void w_fork(long n)
{
    for (long i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        wait_child(pid);
    }
}

static pid_t spawn_self(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execl(self, "bench", "--nothing", (char *)NULL);
        _exit(1);
    }
    return pid;
}

void w_exec(long n) /* one op: fork, exec of this static program, wait */
{
    for (long i = 0; i < n; i++)
        wait_child(spawn_self());
}

void w_pipe(long n) /* one op: a byte there and back between two processes */
{
    int a[2], b[2];
    char c = 0;
    if (pipe(a) || pipe(b))
        die("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(a[1]);
        while (read(a[0], &c, 1) == 1 && write(b[1], &c, 1) == 1)
            ;
        _exit(0);
    }
    for (long i = 0; i < n; i++) {
        if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1)
            die("pipe");
    }
    close(a[1]);
    wait_child(pid);
    close(a[0]);
    close(b[0]);
    close(b[1]);
}

static void *nothing(void *p) { return p; }
void w_thread(long n)
{
    for (long i = 0; i < n; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, nothing, NULL))
            die("pthread_create");
        pthread_join(t, NULL);
    }
}

void w_atomic(long n)
{
    static uint32_t v;
    static uint64_t w;
    for (long i = 0; i < n; i++) {
        __atomic_fetch_add(&v, 1, __ATOMIC_SEQ_CST);
        uint64_t old = w;
        __atomic_compare_exchange_n(&w, &old, old + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}

void w_cpuid(long n)
{
    for (long i = 0; i < n; i++) {
        uint32_t a = 0, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        sink += b;
    }
}

void w_rdtsc(long n)
{
    for (long i = 0; i < n; i++)
        sink += __builtin_ia32_rdtsc();
}

/* ---- code made at run time ---------------------------------------------------------------------------------------------- */

static uint8_t *code_area(size_t size)
{
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die("mmap of code");
    return p;
}

/* Emits "mov imm, %eax; add/xor/... ; ret" with about `len` instructions, as a compiler at run time does. */
static size_t emit_function(uint8_t *p, unsigned len, uint32_t seed)
{
    uint8_t *q = p;
    *q++ = 0xb8;
    memcpy(q, &seed, 4);
    q += 4;
    for (unsigned i = 0; i < len; i++) {
        static const uint8_t op[4] = {0x05, 0x35, 0x2d, 0x0d}; /* add, xor, sub, or eax, imm32 */
        *q++ = op[(seed >> (i & 31)) & 3];
        uint32_t imm = seed * (i + 3);
        memcpy(q, &imm, 4);
        q += 4;
    }
    *q++ = 0xc3;
    return (size_t)(q - p);
}

void w_jit_fresh(long n) /* one op: a function of 40 instructions made at a new place and called ten times */
{
    static uint8_t *area;
    const size_t size = 1 << 20;
    if (!area)
        area = code_area(size);
    size_t at = 0;
    for (long i = 0; i < n; i++) {
        if (at + 512 > size)
            at = 0;
        size_t len = emit_function(area + at, 40, (uint32_t)i * 2654435761u);
        uint32_t (*f)(void) = (uint32_t(*)(void))(void *)(area + at);
        for (int k = 0; k < 10; k++)
            sink += f();
        at += (len + 15) & ~(size_t)15;
    }
}

void w_jit_patch(long n) /* one op: an immediate in existing code changed, then called */
{
    static uint8_t *p;
    if (!p) {
        p = code_area(4096);
        emit_function(p, 4, 99);
    }
    uint32_t (*f)(void) = (uint32_t(*)(void))(void *)p;
    for (long i = 0; i < n; i++) {
        uint32_t v = (uint32_t)i;
        memcpy(p + 1, &v, 4);
        sink += f();
    }
}

void w_jit_data(long n) /* one op: code called that writes data on its own page (inline caches, counters) */
{
    static uint8_t *p;
    if (!p)
        p = code_area(4096);
    uint32_t (*f)(volatile uint32_t *) = (uint32_t(*)(volatile uint32_t *))(void *)p;
#ifdef __x86_64__
    static const uint8_t code[] = {0xff, 0x07, 0x8b, 0x07, 0xc3}; /* incl (%rdi); mov (%rdi), %eax; ret */
#else
    static const uint8_t code[] = {0x8b, 0x54, 0x24, 0x04, 0xff, 0x02, 0x8b, 0x02, 0xc3};
#endif
    memcpy(p, code, sizeof code);
    for (long i = 0; i < n; i++)
        sink += f((volatile uint32_t *)(void *)(p + 2048));
}

void w_jit_run(long n) /* made once, run often: a hot loop in generated code */
{
    static uint8_t *p;
    if (!p) {
        p = code_area(65536);
        emit_function(p, 2000, 7);
    }
    uint32_t (*f)(void) = (uint32_t(*)(void))(void *)p;
    for (long i = 0; i < n; i++)
        sink += f();
}

/* ---- programs ----------------------------------------------------------------------------------------------------------- */

static void shell(const char *script)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl(busybox, "sh", "-c", script, (char *)NULL);
        _exit(1);
    }
    wait_child(pid);
}

void w_shell_loop(long n) /* one op: a turn of a loop in busybox' shell */
{
    char s[512];
    snprintf(s, sizeof s, "i=0; s=x; while [ $i -lt %ld ]; do i=$((i+1)); s=${s%%y}y; case $s in *z) exit 1;; esac; done", n);
    shell(s);
}

void w_shell_cmds(long n) /* one op: a pipeline of three programs */
{
    char s[4096];
    snprintf(s, sizeof s, "i=0; while [ $i -lt %ld ]; do i=$((i+1)); %s echo hello $i | %s sed s/l/L/ | %s grep -q heL || exit 1; done", n,
             busybox, busybox, busybox);
    shell(s);
}

void w_awk(long n)
{
    char s[4096];
    snprintf(s, sizeof s, "%s awk 'BEGIN { for (i = 0; i < %ld; i++) { a[i %% 97] = a[(i * 7) %% 97] + length(i \"x\") }; exit !(a[1] > 0 || 1) }'",
             busybox, n);
    shell(s);
}
