/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workloads: integers, memory, calls and control flow. An operation is one turn of the loop unless said. */
#define _GNU_SOURCE
#include "bench.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- integer ------------------------------------------------------------------------------------------------------------ */

void w_int_alu(long n)
{
    uint32_t a = 1, b = 0x9e3779b9, c = 77;
    for (long i = 0; i < n; i++) {
        a += b ^ (c << 3);
        b = (b >> 7 | b << 25) + a;
        c ^= a * 5 + (uint32_t)i;
        if (c & 0x100)
            b -= a;
    }
    sink += a + b + c;
}

void w_int_muldiv(long n)
{
    uint64_t a = 88172645463325252ull;
    uint32_t q = 0;
    for (long i = 0; i < n; i++) {
        a = a * 6364136223846793005ull + 1442695040888963407ull;
        q += (uint32_t)(a >> 33) / ((uint32_t)i | 3);
        q ^= (uint32_t)(a >> 40) % 1000;
    }
    sink += q;
}

void w_int_sieve(long n) /* one op: a sieve up to 8192 */
{
    static uint8_t s[8192];
    for (long k = 0; k < n; k++) {
        memset(s, 1, sizeof s);
        unsigned count = 0;
        for (unsigned i = 2; i < sizeof s; i++) {
            if (s[i]) {
                count++;
                for (unsigned j = i * 2; j < sizeof s; j += i)
                    s[j] = 0;
            }
        }
        sink += count;
    }
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void w_int_qsort(long n) /* one op: sort 1000 numbers through a call-back */
{
    static uint32_t v[1000];
    for (long k = 0; k < n; k++) {
        for (unsigned i = 0; i < 1000; i++)
            v[i] = rnd();
        qsort(v, 1000, sizeof v[0], cmp_u32);
        sink += v[500];
    }
}

/* 8-queens: branches that the host cannot predict well, small arrays. */
static int queens(unsigned row, unsigned cols, unsigned d1, unsigned d2)
{
    if (row == 8)
        return 1;
    int found = 0;
    for (unsigned m = 0xff & ~(cols | d1 | d2); m; m &= m - 1) {
        unsigned bit = m & -m;
        found += queens(row + 1, cols | bit, (d1 | bit) << 1, (d2 | bit) >> 1);
    }
    return found;
}

void w_int_queens(long n)
{
    for (long i = 0; i < n; i++)
        sink += queens(0, 0, 0, 0);
}

void w_bitops(long n)
{
    uint64_t x = 0x123456789abcdefull, acc = 0;
    for (long i = 0; i < n; i++) {
        x = x * 2862933555777941757ull + 3037000493ull;
        acc += (unsigned)__builtin_clzll(x | 1) + (unsigned)__builtin_ctzll(x | 1ull << 40) + (unsigned)__builtin_popcountll(x);
        acc ^= __builtin_bswap64(x);
    }
    sink += acc;
}

/* ---- memory ------------------------------------------------------------------------------------------------------------- */

struct node {
    struct node *next;
    uintptr_t pad[7];
};

/* A random cycle through `count` nodes, one cache line each. */
static struct node *make_ring(size_t count)
{
    struct node *v = mmap(NULL, count * sizeof *v, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *perm = malloc(count * sizeof *perm);
    if (v == MAP_FAILED || !perm)
        die("memory");
    for (size_t i = 0; i < count; i++)
        perm[i] = (uint32_t)i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = rnd() % (i + 1);
        uint32_t t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
    for (size_t i = 0; i < count; i++)
        v[perm[i]].next = &v[perm[(i + 1) % count]];
    free(perm);
    return v;
}

static void chase(struct node **ring, size_t count, long n)
{
    if (!*ring)
        *ring = make_ring(count);
    struct node *p = *ring;
    for (long i = 0; i < n; i++)
        p = p->next;
    *ring = p; /* a short sample goes on where the last one ended, or it would stay in the caches */
    sink += (uintptr_t)p;
}

void w_chase_l1(long n)
{
    static struct node *r;
    chase(&r, 256, n);
}
void w_chase_l2(long n)
{
    static struct node *r;
    chase(&r, 4096, n);
}
void w_chase_big(long n)
{
    static struct node *r;
    chase(&r, 1 << 19, n);
}

/* Random reads and writes of single words over 64 MiB: a TLB miss each. */
void w_tlb_miss(long n)
{
    static uint8_t *area;
    const size_t size = 64u << 20;
    if (!area) {
        area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            die("mmap");
        madvise(area, size, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < size; i += 4096)
            area[i] = (uint8_t)i;
    }
    uint32_t x = 1, sum = 0;
    for (long i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        uint32_t *p = (uint32_t *)(area + ((x >> 6) & (size - 4)));
        sum += *p;
        if (x & 0x10000)
            *p = sum;
    }
    sink += sum;
}

void w_loop_load(long n) /* one load an op: what an inline check costs most */
{
    static uint32_t v[1024];
    uint32_t sum = 0;
    for (long i = 0; i < n; i++)
        sum += *(volatile uint32_t *)&v[i & 1023];
    sink += sum;
}

void w_loop_store(long n)
{
    static uint32_t v[1024];
    for (long i = 0; i < n; i++)
        *(volatile uint32_t *)&v[i & 1023] = (uint32_t)i;
    sink += v[7];
}

void w_memcpy_4k(long n)
{
    static uint8_t a[4096], b[4096];
    for (long i = 0; i < n; i++) {
        memcpy(i & 1 ? a : b, i & 1 ? b : a, 4096);
        __asm__ volatile("" ::: "memory");
    }
}

void w_memcpy_4m(long n)
{
    static uint8_t *a, *b;
    if (!a) {
        a = malloc(4 << 20);
        b = malloc(4 << 20);
        memset(a, 1, 4 << 20);
        memset(b, 2, 4 << 20);
    }
    for (long i = 0; i < n; i++) {
        memcpy(i & 1 ? a : b, i & 1 ? b : a, 4 << 20);
        __asm__ volatile("" ::: "memory");
    }
}

void w_rep_movs(long n) /* one op: 4 KiB with REP MOVSB, then REP STOS */
{
    static uint8_t a[4096], b[4096];
    for (long i = 0; i < n; i++) {
        void *d = b;
        const void *s = a;
        size_t c = 4096;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(c)::"memory");
        d = b;
        c = 1024;
        __asm__ volatile("rep stosl" : "+D"(d), "+c"(c) : "a"(i) : "memory");
    }
}

void w_memcpy_small(long n)
{
    static uint8_t buf[8192];
    for (long i = 0; i < n; i++) {
        size_t len = (size_t)(i * 7) & 63;
        memcpy(buf + ((i * 129) & 4095), buf + 4096 + ((i * 67) & 2047), len);
        __asm__ volatile("" ::: "memory");
    }
}

void w_strings(long n) /* one op: build, measure, compare and search short strings */
{
    static char a[256], b[256];
    for (long i = 0; i < n; i++) {
        unsigned len = 40 + (i & 31);
        memset(a, 'a' + (i & 7), len);
        a[len] = 0;
        strcpy(b, a);
        b[len - 1] = 'z';
        sink += strlen(a) + (size_t)(strcmp(a, b) < 0) + (size_t)(strchr(b, 'z') - b) + (size_t)(memchr(a, 'y', len) != NULL);
    }
}

void w_malloc(long n)
{
    static void *slot[256];
    for (long i = 0; i < n; i++) {
        unsigned k = rnd() & 255;
        free(slot[k]);
        slot[k] = malloc(16 + (rnd() & 511));
        *(char *)slot[k] = 1;
    }
}

/* ---- calls and control flow --------------------------------------------------------------------------------------------- */

__attribute__((noinline, noclone)) static uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

void w_call_fib(long n) /* one op: fib(16), about 3200 calls */
{
    for (long i = 0; i < n; i++)
        sink += fib(16);
}

__attribute__((noinline, noclone)) static uint32_t deep(uint32_t depth, volatile uint32_t *x)
{
    if (depth == 0)
        return *x;
    uint32_t r = deep(depth - 1, x) + depth;
    return r ^ *x;
}

void w_call_deep(long n) /* one op: a chain of 1000 nested calls: more than any return predictor holds */
{
    volatile uint32_t x = 3;
    for (long i = 0; i < n; i++)
        sink += deep(1000, &x);
}

#define FN(k) __attribute__((noinline)) static uint32_t fn##k(uint32_t x) { return x * (2 * k + 1) + k; }
FN(0) FN(1) FN(2) FN(3) FN(4) FN(5) FN(6) FN(7)
static uint32_t (*volatile const fns[8])(uint32_t) = {fn0, fn1, fn2, fn3, fn4, fn5, fn6, fn7};

void w_call_indirect(long n)
{
    uint32_t x = 1;
    for (long i = 0; i < n; i++)
        x = fns[(x >> 11) & 7](x);
    sink += x;
}

void w_call_virtual(long n) /* one target: what method calls mostly are */
{
    uint32_t x = 1;
    for (long i = 0; i < n; i++)
        x = fns[3](x);
    sink += x;
}

void w_longjmp(long n)
{
    jmp_buf env;
    volatile long i = 0;
    setjmp(env);
    if (i < n) {
        i = i + 1;
        longjmp(env, 1);
    }
}

/* A stack machine that runs "for (i = 0; i < 100; i++) s = s * 3 + i" in byte code. */
enum { OP_PUSH, OP_LOAD, OP_STORE, OP_ADD, OP_MUL, OP_LT, OP_JZ, OP_JMP, OP_HALT };
static const uint8_t program[] = {
    OP_PUSH, 0, OP_STORE, 0, OP_PUSH, 1, OP_STORE, 1,                                                  /* i = 0; s = 1 */
    OP_LOAD, 0, OP_PUSH, 100, OP_LT, OP_JZ, 34,                                                        /* 8: while (i < 100) */
    OP_LOAD, 1, OP_PUSH, 3, OP_MUL, OP_LOAD, 0, OP_ADD, OP_STORE, 1,                                   /* s = s * 3 + i */
    OP_LOAD, 0, OP_PUSH, 1, OP_ADD, OP_STORE, 0, OP_JMP, 8, OP_HALT,                       /* i++ */
};

void w_interp_switch(long n)
{
    for (long k = 0; k < n; k++) {
        int32_t stack[16], var[2] = {0, 0}, *sp = stack;
        const uint8_t *pc = program;
        for (bool run = true; run;) {
            switch (*pc++) {
            case OP_PUSH: *sp++ = *pc++; break;
            case OP_LOAD: *sp++ = var[*pc++]; break;
            case OP_STORE: var[*pc++] = *--sp; break;
            case OP_ADD: sp--; sp[-1] = (int32_t)((uint32_t)sp[-1] + (uint32_t)sp[0]); break;
            case OP_MUL: sp--; sp[-1] = (int32_t)((uint32_t)sp[-1] * (uint32_t)sp[0]); break;
            case OP_LT: sp--; sp[-1] = sp[-1] < sp[0]; break;
            case OP_JZ: pc = *--sp ? pc + 1 : program + *pc; break;
            case OP_JMP: pc = program + *pc; break;
            default: run = false;
            }
        }
        sink += (uint32_t)var[1];
    }
}

void w_interp_goto(long n)
{
    static const void *const label[] = {&&push, &&load, &&store, &&add, &&mul, &&lt, &&jz, &&jmp, &&halt};
    for (long k = 0; k < n; k++) {
        int32_t stack[16], var[2] = {0, 0}, *sp = stack;
        const uint8_t *pc = program;
#define NEXT goto *label[*pc++]
        NEXT;
    push: *sp++ = *pc++; NEXT;
    load: *sp++ = var[*pc++]; NEXT;
    store: var[*pc++] = *--sp; NEXT;
    add: sp--; sp[-1] = (int32_t)((uint32_t)sp[-1] + (uint32_t)sp[0]); NEXT;
    mul: sp--; sp[-1] = (int32_t)((uint32_t)sp[-1] * (uint32_t)sp[0]); NEXT;
    lt: sp--; sp[-1] = sp[-1] < sp[0]; NEXT;
    jz: pc = *--sp ? pc + 1 : program + *pc; NEXT;
    jmp: pc = program + *pc; NEXT;
    halt: sink += (uint32_t)var[1];
    }
}
