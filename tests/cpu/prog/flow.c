/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jumps, calls, loops; code across pages; code that changes; single stepping. */
#define _GNU_SOURCE
#include "cputest.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* -- jumps ----------------------------------------------------------------------------------------------------------------- */

/* Conditional jumps in both lengths, LOOPs and JCXZ in both address sizes: AX tells which way was taken. */
static void jumps(void)
{
    for (unsigned form = 0; form < 2; form++) {
        for (unsigned cc = 0; cc < 16; cc++) {
            struct enc e = {0};
            if (form) {
                e8(&e, 0x0f);
                e8(&e, 0x80 | cc);
                e32(&e, 5);
            } else {
                e8(&e, 0x70 | cc);
                e8(&e, 5);
            }
            e8(&e, 0xb8);
            e32(&e, 0x1111);
            piece(&e);
            for (unsigned f = 0; f < 32; f++) {
                rnd_regs();
                in.fl = 2 | (f & 1 ? CF : 0) | (f & 2 ? PF : 0) | (f & 4 ? ZF : 0) | (f & 8 ? SF : 0) | (f & 16 ? OF : 0);
                run_hash(ARITH);
            }
        }
    }
    for (unsigned op = 0xe0; op < 0xe4; op++) { /* LOOPNE LOOPE LOOP JCXZ */
        for (int a = 0; a < 2; a++) {
            struct enc e = {0};
            if (a)
                e8(&e, 0x67);
            e8(&e, op);
            e8(&e, 5);
            e8(&e, 0xb8);
            e32(&e, 0x2222);
            piece(&e);
            static const uint64_t counts[] = {0, 1, 2, 0x10000, 0x10001, 0x100000000, 0x100000001, ~0ull};
            for (int k = 0; k < 8; k++) {
                for (int z = 0; z < 2; z++) {
                    rnd_regs();
                    in.r[CX] = (word)counts[k];
                    in.fl = z ? 2 | ARITH : 2;
                    run_hash(ARITH);
                }
            }
        }
    }
    struct enc loop = ENC(0x05, 1, 2, 3, 4, 0xe2, 0xf9, 0x83, 0xc0, 3); /* ADD eax, imm; LOOP back */
    piece(&loop);
    for (unsigned n = 1; n < 3000; n = n * 3 + 1) {
        rnd_regs();
        in.r[CX] = n;
        run_hash(ARITH);
    }
}

/* Near calls and returns of every form; mismatched returns; deep and unbalanced chains. */
static void calls(void)
{
    struct enc f = {0}; /* add ax, 0x55; ret */
    e8(&f, 0x66);
    e8(&f, 0x05);
    e16(&f, 0x55);
    e8(&f, 0xc3);
    word fn = place(&f);
    struct enc g = f; /* the same with ret 0x10 */
    g.b[4] = 0xc2;
    e16(&g, 0x10);
    word gn = place(&g);
    for (int form = 0; form < 6; form++) {
        struct enc e = {0};
        int target = form & 1;
        word to = target ? gn : fn;
        if (form / 2 == 0) { /* CALL rel32: relative to the place, known only afterwards */
            e8(&e, 0xe8);
            e32(&e, 0);
            piece(&e);
            int32_t rel = (int32_t)(to - (code_ptr + 5));
            memcpy((void *)(code_ptr + 1), &rel, 4);
        } else if (form / 2 == 1) {
            e8(&e, 0xff);
            e8(&e, 0xd0 | BX);
            piece(&e);
        } else {
            e8(&e, 0xff);
            e8(&e, 0x10 | SI);
            piece(&e);
        }
        for (int k = 0; k < 3; k++) {
            fill_data((uint64_t)k);
            rnd_regs();
            in.r[BX] = to;
            memcpy(DATAP + 0x400, &to, sizeof to);
            in.r[SP] = STACK_MID + (word)k * 3;
            run_hash(ARITH);
            hash_mem((void *)(STACK_MID - 0x100), 0x80);
            word ret;
            memcpy(&ret, (void *)(in.r[SP] - sizeof ret), sizeof ret);
            hash(ret - code_ptr);
        }
    }
    /* push $target; ret: a return that no call matches */
    struct enc t = {0};
    e8(&t, 0x50); /* push ax */
    e8(&t, 0xc3);
    piece(&t);
    struct enc end = ENC(0x83, 0xc1, 0x21);
    word there = place(&end);
    for (int k = 0; k < 20; k++) {
        rnd_regs();
        in.r[AX] = there;
        run_hash(ARITH);
    }
    /* recursion: f(n) = n ? f(n - 1) + n : 0, deeper than any predictor; and with the return address changed on the way */
    struct enc r = ENC(0x85, 0xc9,                   /* test ecx, ecx */
                       0x74, 0x0b,                   /* jz end */
                       0x51,                         /* push cx */
                       0x83, 0xe9, 0x01,             /* sub ecx, 1 */
                       0xe8, 0xf3, 0xff, 0xff, 0xff, /* call f */
                       0x59,                         /* pop cx */
                       0x01, 0xc8,                   /* add eax, ecx */
                       0xc3);                        /* end: */
    r.b[3] = 0x0c;
    r.b[9] = (uint8_t)-13;
    word rec = place(&r);
    struct enc c = ENC(0x31, 0xc0, 0xff, 0xd3); /* xor eax, eax; call bx */
    piece(&c);
    for (unsigned n = 0; n < 700; n = n * 2 + 1) {
        rnd_regs();
        in.r[CX] = n;
        in.r[BX] = rec;
        in.r[SP] = STACK + STACK_SIZE - 64;
        run_hash(ARITH);
    }
    /* jumps through registers and memory to eight places, in a changing order */
    word tab[8];
    for (unsigned i = 0; i < 8; i++) {
        struct enc x = ENC(0x69, 0xc0, 0, 0, 0, 0, 0x05, 0, 0, 0, 0); /* imul eax, eax, k; add eax, j */
        x.b[2] = (uint8_t)(3 + 2 * i);
        x.b[7] = (uint8_t)(i + 1);
        tab[i] = place(&x);
    }
    for (int mem = 0; mem < 2; mem++) {
        struct enc j = ENC(0xff, mem ? 0x20 | SI : 0xe0 | BX);
        piece(&j);
        for (int k = 0; k < 200; k++) {
            rnd_regs();
            in.r[BX] = tab[(k * k + (k >> 3)) & 7];
            memcpy(DATAP + 0x400, &in.r[BX], sizeof(word));
            in.r[AX] = (word)k;
            run();
            hash(out.r[AX] & 0xffffffff);
        }
    }
}

/* -- code across pages ----------------------------------------------------------------------------------------------------- */

static const uint8_t samples[][16] = {
    {3, 0x83, 0xc0, 0x05}, {5, 0x05, 1, 2, 3, 4}, {6, 0x81, 0xc3, 9, 8, 7, 6}, {2, 0x89, 0xc1}, {3, 0xc1, 0xe0, 7}, {7, 0x81, 0x46, 0x10, 1, 2, 3, 4},
    {4, 0x0f, 0xb6, 0x46, 4}, {2, 0xeb, 0x00}, {6, 0x0f, 0x84, 0, 0, 0, 0}, {5, 0xe9, 0, 0, 0, 0}, {2, 0xf3, 0xa4}, {4, 0x66, 0x0f, 0xef, 0xc9},
    {8, 0x8d, 0x84, 0x8e, 1, 2, 3, 4, 0x90}, {4, 0xf0, 0x0f, 0xc1, 0x06}, {5, 0xc4, 0xe2, 0x70, 0xf2, 0xd0}, {10, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 2, 0},
};

/* Every sample with the end of a page at every place inside it; the second page present, absent or not executable. */
static void page_cross_code(void)
{
    uint8_t *area = (uint8_t *)(CODE + CODE_SIZE - 4 * PAGE);
    word edge_at = (word)area + 2 * PAGE;
    for (unsigned s = 0; s < sizeof samples / sizeof samples[0]; s++) {
        for (int cut = 0; cut <= samples[s][0]; cut++) {
            for (int prot = 0; prot < 2 + IS64; prot++) { /* 32-bit kernels differ in what they make executable */
                struct enc e = {0};
                for (int i = 0; i < samples[s][0]; i++)
                    e8(&e, samples[s][i + 1]);
                mprotect((void *)edge_at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
                if (s == 10)
                    e8(&e, 0x90);
                e8(&e, 0x42 | (IS64 ? 0x40 : 0)); /* inc edx; on 64 bits any harmless byte: a lone REX */
                piece_at(edge_at - (word)cut, &e);
                if (prot)
                    mprotect((void *)edge_at, PAGE, prot == 1 ? PROT_NONE : PROT_READ | PROT_WRITE);
                fill_data(s);
                rnd_regs();
                in.r[CX] = 5;
                in.fl = cut & 1 ? 2 | ARITH : 2;
                run_hash(ARITH & ~AF);
                hash_mem(DATAP + 0x400, 0x800);
            }
        }
    }
    mprotect((void *)edge_at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* -- code that changes ----------------------------------------------------------------------------------------------------- */

static void smc(void)
{
    /* An instruction that changes the immediate of the next one, and of one far ahead, and of one behind in a loop. */
    for (int dist = 0; dist < 3; dist++) {
        for (int size = 1; size <= 4; size *= 2) {
            struct enc e = {0};
            if (size == 2)
                e8(&e, 0x66);
            e8(&e, size == 1 ? 0x88 : 0x89);
            e8(&e, CX << 3 | BX); /* mov [bx], cx */
            for (int i = 0; i < dist * 11; i++)
                e8(&e, 0x90);
            int at = e.n + 1;
            e8(&e, 0x05); /* add eax, imm32 */
            e32(&e, 0x11111111);
            piece(&e);
            for (int k = 0; k < 10; k++) {
                rnd_regs();
                in.r[BX] = code_ptr + (word)at;
                in.r[CX] = (word)(0x01020304 * (unsigned)(k + 1));
                run();
                hash(out.r[AX] & 0xffffffff);
                note("eax %lx", out.r[AX]);
            }
        }
    }
    /* A loop whose body counts up its own immediate. */
    struct enc l = ENC(0x05, 1, 0, 0, 0,   /* 0: add eax, 1 */
                       0xff, 0x03,         /* 5: inc dword [bx] */
                       0x83, 0xe9, 1,      /* 7: sub ecx, 1 */
                       0x75, 0xf4);        /* 10: jnz 0 */
    piece(&l);
    for (unsigned n = 1; n < 2000; n = n * 3 + 1) {
        rnd_regs();
        in.r[AX] = 0;
        in.r[CX] = n;
        in.r[BX] = code_ptr + 1;
        run();
        hash(out.r[AX] & 0xffffffff);
        hash(*(uint32_t *)(code_ptr + 1));
    }
    /* REP STOSB over the code that follows, which becomes INC/NOP-like bytes; and REP MOVSB of new code. */
    for (unsigned op = 0xa4; op < 0xac; op += 6) {
        struct enc e = ENC(0xf3, op, 0x83, 0xc3, 1, 0x83, 0xc3, 1, 0x83, 0xc3, 1, 0x83, 0xc3, 1);
        piece(&e);
        for (unsigned k = 0; k < 5; k++) {
            memcpy((void *)code_ptr, e.b, (size_t)e.n);
            rnd_regs();
            in.r[AX] = 0x90;
            in.r[CX] = k * 3;
            in.r[SI] = DATA + 0x400;
            static const uint8_t news[12] = {0x83, 0xeb, 5, 0x83, 0xeb, 5, 0x83, 0xeb, 5, 0x83, 0xeb, 5};
            memcpy(DATAP + 0x400, news, 12);
            in.r[DI] = code_ptr + 2;
            in.r[BX] = 100;
            run();
            hash(out.r[BX]);
            note("bx %lu", out.r[BX]);
        }
    }
    /* The program itself rewrites a function between calls, 300 times; data beside code on one page. */
    struct enc c = ENC(0xb8, 0, 0, 0, 0, 0xff, 0x03);
    piece(&c);
    for (unsigned k = 0; k < 300; k++) {
        memcpy((void *)(code_ptr + 1), &k, 4);
        rnd_regs();
        in.r[BX] = code_ptr + 64;
        run();
        hash(out.r[AX] & 0xffffffff);
        hash(*(uint32_t *)(code_ptr + 64));
    }
    /* Code with code as its own stack: pushes that land on instructions to come. */
    struct enc p = ENC(0x50, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x83, 0xc1, 1, 0x83, 0xc1, 1, 0x83, 0xc1, 1);
    piece(&p);
    rnd_regs();
    in.r[AX] = (word)0x02c18302c1839090ull; /* nop nop; add ecx, 2 ... */
    in.r[SP] = code_ptr + 10 + sizeof(word);
    in.r[CX] = 0;
    run();
    hash(out.r[CX]);
}

/* Code written through another mapping, by the kernel, and replaced under the same address. */
static void smc_alias(void)
{
    int fd = memfd_create("code", 0);
    word a = 0x30000000ul, b = 0x31000000ul;
    if (fd < 0 || ftruncate(fd, 2 * PAGE) ||
        mmap((void *)a, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mmap((void *)b, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return;
    struct enc e = ENC(0xb8, 0, 0, 0, 0);
    piece_at(a + PAGE - 2, &e); /* the immediate crosses a page */
    for (unsigned k = 0; k < 100; k++) {
        uint32_t v = k * 0x01010101;
        if (k % 3 == 0)
            memcpy((void *)(b + PAGE - 1), &v, 4);
        else if (k % 3 == 1) {
            if (pwrite(fd, &v, 4, PAGE - 1) != 4)
                return;
        } else {
            mprotect((void *)a, 2 * PAGE, PROT_READ | PROT_WRITE);
            memcpy((void *)(a + PAGE - 1), &v, 4);
            mprotect((void *)a, 2 * PAGE, PROT_READ | PROT_EXEC);
        }
        rnd_regs();
        run();
        hash(out.r[AX] & 0xffffffff);
        mprotect((void *)a, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    }
    munmap((void *)b, 2 * PAGE);
    for (unsigned k = 0; k < 20; k++) { /* fresh anonymous pages with new code at the old address */
        munmap((void *)a, 2 * PAGE);
        if (mmap((void *)a, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            return;
        struct enc n = ENC(0xb8, k, 0, 0, 0x77);
        piece_at(a + (k & 1 ? 64 : PAGE - 3), &n);
        rnd_regs();
        run();
        hash(out.r[AX] & 0xffffffff);
    }
    munmap((void *)a, 2 * PAGE);
    close(fd);
}

/* -- single stepping ------------------------------------------------------------------------------------------------------- */

static int steps;
static bool step_quiet; /* registers hold what differs between machines */
extern char run_exit[];

static bool on_step(ucontext_t *uc, siginfo_t *si)
{
    greg_t *g = uc->uc_mcontext.gregs;
#ifdef __x86_64__
    word ip = (word)g[REG_RIP], ax = (word)g[REG_RAX], cx = (word)g[REG_RCX], di = (word)g[REG_RDI];
#else
    word ip = (word)g[REG_EIP], ax = (word)g[REG_EAX], cx = (word)g[REG_ECX], di = (word)g[REG_EDI];
#endif
    if (si->si_signo != SIGTRAP)
        return false;
    if (ip >= code_ptr && ip < code_ptr + 256) {
        hash(ip - code_ptr);
        if (!step_quiet) {
            hash(ax);
            hash(cx);
            hash(di);
        }
        hash((word)g[REG_EFL] & (ARITH | TF | DF));
        hash((unsigned)si->si_code);
        note("step %d +%lu ax %lx cx %lx fl %llx code %d", steps, ip - code_ptr, ax, cx, (unsigned long long)g[REG_EFL] & 0xfff, si->si_code);
        if (++steps > 500)
            return false;
    }
    if (ip >= (word)run_exit && ip < (word)run_exit + 256) /* back in run(): no more */
        g[REG_EFL] &= ~(greg_t)TF;
    return true;
}

static void single_step(void)
{
    static const uint8_t code[][24] = {
        {9, 0x83, 0xc0, 1, 0x83, 0xc1, 2, 0x90, 0x89, 0xc2},                         /* plain */
        {5, 0xf3, 0xa4, 0x83, 0xc0, 1},                                              /* REP MOVSB: a step for each turn */
        {7, 0x83, 0xe9, 1, 0x75, 0xfb, 0x89, 0xc2},                                  /* a loop */
        {6, 0xe8, 1, 0, 0, 0, 0x90, },                                               /* a call (and a pop) */
        {4, 0x9c, 0x58, 0x90, 0x90},                                                 /* PUSHF sees TF */
        {9, 0x9c, 0x59, 0x80, 0xe5, 0xfe, 0x51, 0x9d, 0x90, 0x90},                   /* POPF clears TF */
        {4, 0xcc, 0x90, 0x90, 0x90},                                                 /* INT3 */
        {3, 0x0f, 0xc8, 0x90},                                                       /* BSWAP */
        {6, 0x0f, 0xa2, 0x31, 0xc0, 0x31, 0xc9},                                     /* CPUID; then registers made known */
        {8, 0xf3, 0xab, 0xf2, 0xae, 0xf3, 0xa6, 0x90, 0x90},
        {6, 0x0f, 0xc1, 0xc8, 0xf0, 0x0f, 0xb1},                                     /* XADD; LOCK CMPXCHG */
        {5, 0x8c, 0xd2, 0x8e, 0xd2, 0x90},                                           /* MOV SS: the next instruction is not interrupted */
        {6, 0x0f, 0x31, 0x31, 0xc0, 0x31, 0xd2},                                     /* RDTSC */
        {4, 0x0f, 0x0b, 0x90, 0x90},                                                 /* UD2 */
    };
    fault_hook = on_step;
    for (unsigned s = 0; s < sizeof code / sizeof code[0]; s++) {
        struct enc e = {0};
        for (int i = 0; i < code[s][0]; i++)
            e8(&e, code[s][i + 1]);
        if (s == 3)
            e8(&e, 0x58); /* what the call pushed */
        if (s == 10)
            e8(&e, 0x0f); /* LOCK CMPXCHG [di], cx */
        e8(&e, 0x90);
        piece(&e);
        fill_data(s);
        rnd_regs();
        in.r[AX] = s == 3 ? 0 : 0x41;
        in.r[CX] = 6;
        in.fl = 2 | TF;
        steps = 0;
        step_quiet = s == 8 || s == 12;
        run();
        hash((uint64_t)steps);
        hash((uint64_t)fault.sig);
        hash(fault.trap);
        if (s != 3 && s != 12 && s != 8)
            hash(out.r[CX]);
        hash_mem(DATAP + 0x400, 0x800);
    }
}

const struct group flow_groups[] = {
    {"jumps", jumps}, {"calls", calls}, {"page_cross_code", page_cross_code}, {"smc", smc}, {"smc_alias", smc_alias}, {"single_step", single_step}, {NULL, NULL},
};
