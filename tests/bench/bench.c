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
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *busybox = "/bin/busybox";
static const char *self = "/proc/self/exe";
static volatile uint64_t sink; /* results go here, so that nothing is optimised away */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint32_t rnd_state = 0x12345678;
static uint32_t rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 17;
    rnd_state ^= rnd_state << 5;
    return rnd_state;
}

/* ---- integer ------------------------------------------------------------------------------------------------------------ */

static void w_int_alu(long n)
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

static void w_int_muldiv(long n)
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

static void w_int_sieve(long n) /* one op: a sieve up to 8192 */
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

static void w_int_qsort(long n) /* one op: sort 1000 numbers through a call-back */
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

static void w_int_queens(long n)
{
    for (long i = 0; i < n; i++)
        sink += queens(0, 0, 0, 0);
}

static void w_bitops(long n)
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
    sink += (uintptr_t)p;
}

static void w_chase_l1(long n)
{
    static struct node *r;
    chase(&r, 256, n);
}
static void w_chase_l2(long n)
{
    static struct node *r;
    chase(&r, 4096, n);
}
static void w_chase_big(long n)
{
    static struct node *r;
    chase(&r, 1 << 19, n);
}

/* Random reads and writes of single words over 64 MiB: a TLB miss each. */
static void w_tlb_miss(long n)
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

static void w_loop_load(long n) /* one load an op: what an inline check costs most */
{
    static uint32_t v[1024];
    uint32_t sum = 0;
    for (long i = 0; i < n; i++)
        sum += *(volatile uint32_t *)&v[i & 1023];
    sink += sum;
}

static void w_loop_store(long n)
{
    static uint32_t v[1024];
    for (long i = 0; i < n; i++)
        *(volatile uint32_t *)&v[i & 1023] = (uint32_t)i;
    sink += v[7];
}

static void w_memcpy_4k(long n)
{
    static uint8_t a[4096], b[4096];
    for (long i = 0; i < n; i++) {
        memcpy(i & 1 ? a : b, i & 1 ? b : a, 4096);
        __asm__ volatile("" ::: "memory");
    }
}

static void w_memcpy_4m(long n)
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

static void w_rep_movs(long n) /* one op: 4 KiB with REP MOVSB, then REP STOS */
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

static void w_memcpy_small(long n)
{
    static uint8_t buf[8192];
    for (long i = 0; i < n; i++) {
        size_t len = (size_t)(i * 7) & 63;
        memcpy(buf + ((i * 129) & 4095), buf + 4096 + ((i * 67) & 2047), len);
        __asm__ volatile("" ::: "memory");
    }
}

static void w_strings(long n) /* one op: build, measure, compare and search short strings */
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

static void w_malloc(long n)
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

static void w_call_fib(long n) /* one op: fib(16), about 3200 calls */
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

static void w_call_deep(long n) /* one op: a chain of 1000 nested calls: more than any return predictor holds */
{
    volatile uint32_t x = 3;
    for (long i = 0; i < n; i++)
        sink += deep(1000, &x);
}

#define FN(k) __attribute__((noinline)) static uint32_t fn##k(uint32_t x) { return x * (2 * k + 1) + k; }
FN(0) FN(1) FN(2) FN(3) FN(4) FN(5) FN(6) FN(7)
static uint32_t (*volatile const fns[8])(uint32_t) = {fn0, fn1, fn2, fn3, fn4, fn5, fn6, fn7};

static void w_call_indirect(long n)
{
    uint32_t x = 1;
    for (long i = 0; i < n; i++)
        x = fns[(x >> 11) & 7](x);
    sink += x;
}

static void w_call_virtual(long n) /* one target: what method calls mostly are */
{
    uint32_t x = 1;
    for (long i = 0; i < n; i++)
        x = fns[3](x);
    sink += x;
}

static void w_longjmp(long n)
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

static void w_interp_switch(long n)
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

static void w_interp_goto(long n)
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

/* ---- floating point and vectors ----------------------------------------------------------------------------------------- */

static void w_fp_double(long n) /* a step of three bodies */
{
    double x[3] = {0, 1, -1.1}, y[3] = {0, 0.2, 0.7}, vx[3] = {0, 0.1, -0.1}, vy[3] = {0, 0.9, -0.8};
    for (long k = 0; k < n; k++) {
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++) {
                if (i == j)
                    continue;
                double dx = x[j] - x[i], dy = y[j] - y[i], d2 = dx * dx + dy * dy + 0.01;
                double f = 1e-6 / (d2 * sqrt(d2));
                vx[i] += dx * f;
                vy[i] += dy * f;
            }
        }
        for (int i = 0; i < 3; i++) {
            x[i] += vx[i] * 1e-6;
            y[i] += vy[i] * 1e-6;
        }
    }
    sink += (uint64_t)(int64_t)(x[1] * 1e6);
}

static void w_fp_matmul(long n) /* one op: 24x24 times 24x24 */
{
    static double a[24][24], b[24][24], c[24][24];
    for (long k = 0; k < n; k++) {
        a[k % 24][3] = (double)k;
        for (int i = 0; i < 24; i++) {
            for (int j = 0; j < 24; j++) {
                double s = 0;
                for (int m = 0; m < 24; m++)
                    s += a[i][m] * b[m][j];
                c[i][j] = s + 1;
            }
        }
        b[3][k % 24] = c[5][6] * 1e-9;
    }
    sink += (uint64_t)(int64_t)c[2][2];
}

static void w_fp_mandel(long n)
{
    unsigned total = 0;
    for (long k = 0; k < n; k++) {
        double cx = -2.0 + (double)(k % 61) * 0.05, cy = -1.0 + (double)(k % 41) * 0.05, x = 0, y = 0;
        int i = 0;
        while (i < 50 && x * x + y * y < 4) {
            double t = x * x - y * y + cx;
            y = 2 * x * y + cy;
            x = t;
            i++;
        }
        total += (unsigned)i;
    }
    sink += total;
}

static void w_fp_libm(long n)
{
    double s = 0.5;
    for (long i = 0; i < n; i++)
        s = sin(s) + exp(-s) * 0.5 + log(1.5 + s) * 0.1;
    sink += (uint64_t)(int64_t)(s * 1e6);
}

static void w_x87_arith(long n)
{
    long double x = 1.0L, y = 0.5L, z = 0.25L;
    for (long i = 0; i < n; i++) {
        x = x * 0.999L + y;
        y = y / (1.0L + z * z);
        z = z + x * 1e-3L - y;
        if (z > 3.0L)
            z -= 3.0L;
    }
    sink += (uint64_t)(int64_t)(x * 1e3L);
}

static void w_x87_trig(long n)
{
    long double s = 0.5L;
    for (long i = 0; i < n; i++)
        __asm__ volatile("fsin\n\tfldl2e\n\tfmulp\n\tfsqrt\n\tfld1\n\tfpatan" : "+t"(s));
    sink += (uint64_t)(int64_t)(s * 1e6L);
}

__attribute__((target("sse2"))) static void w_vec_sse2(long n) /* one op: 1024 floats multiplied and added */
{
    static float a[1024] __attribute__((aligned(16))), b[1024] __attribute__((aligned(16)));
    __m128 k = _mm_set1_ps(0.5f), one = _mm_set1_ps(1.0f);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 1024; i += 4)
            _mm_store_ps(a + i, _mm_add_ps(_mm_mul_ps(_mm_load_ps(a + i), k), _mm_add_ps(_mm_load_ps(b + i), one)));
        __asm__ volatile("" ::: "memory");
    }
    sink += (uint64_t)(int64_t)a[7];
}

__attribute__((target("ssse3,sse4.1"))) static void w_vec_int(long n) /* one op: bytes shuffled and summed over 4 KiB */
{
    static uint8_t buf[4096] __attribute__((aligned(16)));
    __m128i acc = _mm_setzero_si128(), idx = _mm_set_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 4096; i += 16) {
            __m128i v = _mm_shuffle_epi8(_mm_load_si128((__m128i *)(buf + i)), idx);
            acc = _mm_add_epi32(acc, _mm_sad_epu8(v, acc));
            acc = _mm_max_epu16(acc, _mm_unpacklo_epi8(v, acc));
            _mm_store_si128((__m128i *)(buf + i), _mm_add_epi8(v, acc));
        }
        __asm__ volatile("" ::: "memory");
    }
    sink += (uint32_t)_mm_cvtsi128_si32(acc);
}

__attribute__((target("avx2,fma"))) static void w_vec_avx2(long n)
{
    static float a[1024] __attribute__((aligned(32))), b[1024] __attribute__((aligned(32)));
    __m256 k = _mm256_set1_ps(0.5f);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 1024; i += 8)
            _mm256_store_ps(a + i, _mm256_fmadd_ps(_mm256_load_ps(a + i), k, _mm256_load_ps(b + i)));
        __asm__ volatile("" ::: "memory");
    }
    sink += (uint64_t)(int64_t)a[7];
}

__attribute__((target("aes,sse4.1"))) static void w_vec_aes(long n) /* one op: ten AES rounds */
{
    __m128i s = _mm_set1_epi32(1), k = _mm_set1_epi32(0x1234567);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 10; i++)
            s = _mm_aesenc_si128(s, k);
    }
    sink += (uint32_t)_mm_cvtsi128_si32(s);
}

/* ---- hashing ------------------------------------------------------------------------------------------------------------ */

static void sha256_block(uint32_t h[8], const uint8_t *p)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
        0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
        0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
        0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
        0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
        0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) {
        uint32_t t;
        memcpy(&t, p + i * 4, 4);
        w[i] = __builtin_bswap32(t);
    }
    for (int i = 16; i < 64; i++)
        w[i] = (ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
               (ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
    memcpy(v, h, 32);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = v[7] + (ROR(v[4], 6) ^ ROR(v[4], 11) ^ ROR(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t t2 = (ROR(v[0], 2) ^ ROR(v[0], 13) ^ ROR(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 28);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

static void w_hash_sha256(long n) /* one op: a block of 64 bytes */
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    static uint8_t buf[64];
    for (long i = 0; i < n; i++) {
        buf[i & 63] ^= (uint8_t)i;
        sha256_block(h, buf);
    }
    sink += h[0];
}

static void w_hash_crc32(long n) /* one op: 1 KiB through a table */
{
    static uint32_t table[256];
    static uint8_t buf[1024];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int j = 0; j < 8; j++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
        table[i] = c;
    }
    uint32_t c = ~0u;
    for (long i = 0; i < n; i++) {
        for (unsigned j = 0; j < sizeof buf; j++)
            c = c >> 8 ^ table[(c ^ buf[j]) & 255];
        buf[i & 1023] = (uint8_t)c;
    }
    sink += c;
}

static void w_hash_table(long n) /* open addressing, 16 Ki entries */
{
    static uint32_t tab[32768];
    uint32_t hits = 0;
    for (long i = 0; i < n; i++) {
        uint32_t key = rnd() | 1, h = (key * 2654435761u) >> 17;
        for (int probe = 0; probe < 8; probe++, h = (h + 1) & 32767) {
            if (tab[h] == key || tab[h] == 0) {
                hits += tab[h] == key;
                tab[h] = key;
                break;
            }
            if (probe == 7)
                tab[h] = key;
        }
    }
    sink += hits;
}

/* ---- the kernel's part -------------------------------------------------------------------------------------------------- */

static void w_sys_getpid(long n)
{
    for (long i = 0; i < n; i++)
        sink += (uint64_t)syscall(SYS_getpid);
}

static void w_sys_gettime(long n)
{
    struct timespec t;
    for (long i = 0; i < n; i++)
        clock_gettime(CLOCK_MONOTONIC, &t);
    sink += (uint64_t)t.tv_nsec;
}

static void w_sys_readwrite(long n) /* 4 KiB to and from a file in memory */
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

static void w_sys_stat(long n)
{
    struct stat st;
    for (long i = 0; i < n; i++)
        stat("/proc/self/exe", &st);
}

static void w_page_fault(long n) /* one op: one page touched the first time */
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

static void w_mprotect(long n) /* one op: a page made read only and writable again, and written */
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
static void w_signal(long n)
{
    signal(SIGUSR1, on_signal);
    for (long i = 0; i < n; i++)
        raise(SIGUSR1);
}

static void w_segv(long n) /* a page fault that becomes a signal */
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

static void w_fork(long n)
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

static void w_exec(long n) /* one op: fork, exec of this static program, wait */
{
    for (long i = 0; i < n; i++)
        wait_child(spawn_self());
}

static void w_pipe(long n) /* one op: a byte there and back between two processes */
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
static void w_thread(long n)
{
    for (long i = 0; i < n; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, nothing, NULL))
            die("pthread_create");
        pthread_join(t, NULL);
    }
}

static void w_atomic(long n)
{
    static uint32_t v;
    static uint64_t w;
    for (long i = 0; i < n; i++) {
        __atomic_fetch_add(&v, 1, __ATOMIC_SEQ_CST);
        uint64_t old = w;
        __atomic_compare_exchange_n(&w, &old, old + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}

static void w_cpuid(long n)
{
    for (long i = 0; i < n; i++) {
        uint32_t a = 0, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        sink += b;
    }
}

static void w_rdtsc(long n)
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

static void w_jit_fresh(long n) /* one op: a function of 40 instructions made at a new place and called ten times */
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

static void w_jit_patch(long n) /* one op: an immediate in existing code changed, then called */
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

static void w_jit_data(long n) /* one op: code called that writes data on its own page (inline caches, counters) */
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

static void w_jit_run(long n) /* made once, run often: a hot loop in generated code */
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

static void w_shell_loop(long n) /* one op: a turn of a loop in busybox' shell */
{
    char s[512];
    snprintf(s, sizeof s, "i=0; s=x; while [ $i -lt %ld ]; do i=$((i+1)); s=${s%%y}y; case $s in *z) exit 1;; esac; done", n);
    shell(s);
}

static void w_shell_cmds(long n) /* one op: a pipeline of three programs */
{
    char s[4096];
    snprintf(s, sizeof s, "i=0; while [ $i -lt %ld ]; do i=$((i+1)); %s echo hello $i | %s sed s/l/L/ | %s grep -q heL || exit 1; done", n,
             busybox, busybox, busybox);
    shell(s);
}

static void w_awk(long n)
{
    char s[4096];
    snprintf(s, sizeof s, "%s awk 'BEGIN { for (i = 0; i < %ld; i++) { a[i %% 97] = a[(i * 7) %% 97] + length(i \"x\") }; exit !(a[1] > 0 || 1) }'",
             busybox, n);
    shell(s);
}

/* ---- the list ----------------------------------------------------------------------------------------------------------- */

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
