/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The x87 unit: every opcode, with many stacks, control words and operands; exceptions; the environment images. */
#include "cputest.h"

#include <string.h>

static const uint8_t values[][10] = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0},                                       /* +0 */
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80},                                    /* -0 */
    {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f},                              /* 1 */
    {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xbf},                              /* -1 */
    {0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40},         /* pi */
    {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xfe, 0x3f},                              /* 0.75 */
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x7f},         /* the greatest */
    {1, 0, 0, 0, 0, 0, 0, 0x80, 1, 0},                                    /* close to the smallest normal */
    {1, 0, 0, 0, 0, 0, 0, 0, 0, 0},                                       /* smallest denormal */
    {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f},                              /* +infinity */
    {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff},                              /* -infinity */
    {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff},                              /* default NaN */
    {5, 0, 0, 0, 0, 0, 0, 0x90, 0xff, 0x7f},                              /* signalling NaN */
    {7, 0, 0, 0, 0, 0, 0, 0x40, 0x12, 0x40},                              /* unnormal: invalid operand */
    {3, 0, 0, 0, 0, 0, 0, 0x80, 0, 0},                                    /* pseudo denormal */
    {0x78, 0x56, 0x34, 0x12, 0xef, 0xcd, 0xab, 0x89, 0x3d, 0x40},         /* 2^62 and something */
    {0x78, 0x56, 0x34, 0x12, 0xef, 0xcd, 0xab, 0x89, 0x0e, 0xc0},         /* about -35000 */
    {0, 0, 0, 0, 0, 0, 0, 0x80, 0x03, 0x40},                              /* 16 */
    {0, 0x10, 0, 0, 0, 0x10, 0, 0xa0, 0xfd, 0x3f},                        /* 0.3 */
    {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x7f},                                 /* pseudo infinity */
};
#define NVAL ((unsigned)(sizeof values / sizeof values[0]))

static void set_stack(unsigned seed, unsigned cw, unsigned top, unsigned tags)
{
    memset(in_x, 0, 512);
    *(uint16_t *)in_x = (uint16_t)cw;
    *(uint16_t *)(in_x + 2) = (uint16_t)(top << 11);
    in_x[4] = (uint8_t)tags;
    *(uint32_t *)(in_x + 24) = 0x1f80;
    for (unsigned i = 0; i < 8; i++)
        memcpy(in_x + 32 + i * 16, values[(seed + i * (1 + seed / NVAL % 7)) % NVAL], 10);
}

static const unsigned words[] = {0x37f, 0x27f, 0x07f, 0x77f, 0xb7f, 0xf7f, 0xc3f};

static void memory_operand(unsigned k)
{
    fill_data(k);
    static const uint64_t d[] = {0, 0x3ff0000000000000ull, 0xbff8000000000000ull, 0x7ff0000000000000ull, 0x7ff4000000000000ull,
                                 1, 0x43e0000000000000ull, 0x123456789abcdef0ull, 0x3f8000003f800000ull, 0x7fa000007fa00000ull, 0x8000000000000000ull};
    if (k < sizeof d / sizeof d[0])
        *(uint64_t *)(DATAP + 0x400) = d[k];
    else if (k < sizeof d / sizeof d[0] + NVAL)
        memcpy(DATAP + 0x400, values[k - sizeof d / sizeof d[0]], 10);
    *(uint64_t *)(DATAP + 0x410) &= 0x0000ffff00003fffull; /* an environment: a sane status word */
}

static void x87_mem(void)
{
    vec_mode = 1;
    for (unsigned op = 0xd8; op < 0xe0; op++) {
        for (unsigned reg = 0; reg < 8; reg++) {
            bool env = (op == 0xd9 && (reg == 4 || reg == 6)) || (op == 0xdd && (reg == 4 || reg == 6)); /* x87_env has those */
            if (env)
                continue;
            struct enc e = ENC(op, reg << 3 | SI);
            piece(&e);
            for (unsigned k = 0; k < 36; k++) {
                for (unsigned c = 0; c < sizeof words / sizeof words[0]; c++) {
                    if (c > 1 && (k + c) % 3)
                        continue;
                    memory_operand(k);
                    rnd_regs();
                    set_stack(k * 3 + c, words[c], (k + c) & 7, k % 5 == 4 ? 0xf3 : k % 7 == 6 ? 0 : op == 0xdb || op == 0xdf || op == 0xd9 || op == 0xdd ? 0x7e : 0xff);
                    run_hash(ARITH);
                    hash_x();
                    hash_mem(DATAP + 0x3f0, 64);
                }
            }
        }
    }
}

static void x87_reg(void)
{
    vec_mode = 1;
    for (unsigned op = 0xd8; op < 0xe0; op++) {
        for (unsigned m = 0xc0; m < 0x100; m++) {
            if (op == 0xd9 && m >= 0xf0)
                continue; /* x87_func */
            struct enc e = ENC(op, m);
            piece(&e);
            for (unsigned k = 0; k < 24; k++) {
                rnd_regs();
                in.fl = k & 1 ? 2 | ARITH : 2;
                set_stack(k * 5 + m, words[k % (sizeof words / sizeof words[0])], k & 7, k % 6 == 5 ? 0xa6 : k % 11 == 10 ? 0 : 0xff);
                run_hash(ARITH & ~(op == 0xda || op == 0xdb || op == 0xdf ? (word)0 : (word)0));
                hash_x();
            }
        }
    }
}

/* Functions of one and two numbers: all pairs of the special values, in each precision and rounding. */
static void x87_func(void)
{
    vec_mode = 1;
    for (unsigned m = 0xf0; m < 0x100; m++) {
        struct enc e = ENC(0xd9, m);
        piece(&e);
        for (unsigned a = 0; a < NVAL; a++) {
            for (unsigned b = 0; b < NVAL; b++) {
                rnd_regs();
                set_stack(a, words[(a + b) % (sizeof words / sizeof words[0])], (a + b) & 7, 0x3f | ((a + b) % 3 ? 0xff : 0));
                memcpy(in_x + 32, values[a], 10);
                memcpy(in_x + 48, values[b], 10);
                run_hash(ARITH);
                hash_x();
            }
        }
    }
}

/* Unmasked exceptions are reported by the next waiting instruction; the operands of the faulting one stay as they were. */
static void x87_exceptions(void)
{
    static const uint8_t ops[][8] = {
        {2, 0xd8, 0xf1}, {2, 0xd8, 0xc1}, {2, 0xd8, 0xc9}, {2, 0xd9, 0xfa}, {2, 0xd9, 0xe8}, {2, 0xdd, 0x1e}, {2, 0xdb, 0x1e}, {2, 0xd9, 0x1e},
        {2, 0xdf, 0x36}, {2, 0xd8, 0x06}, {2, 0xdc, 0x0e}, {2, 0xdb, 0x2e}, {2, 0xde, 0xf9}, {2, 0xd9, 0xf7}, {2, 0xd8, 0xd1}, {2, 0xdf, 0xe0},
    };
    vec_mode = 1;
    for (unsigned o = 0; o < sizeof ops / sizeof ops[0]; o++) {
        struct enc e = {0};
        for (int i = 0; i < ops[o][0]; i++)
            e8(&e, ops[o][i + 1]);
        e8(&e, 0x40 | (IS64 ? 0 : 1)); /* INC on 32 bits; a lone REX byte on 64: no change of the state in between */
        e8(&e, 0x9b);
        piece(&e);
        for (unsigned k = 0; k < 60; k++) {
            memory_operand(k % 36);
            rnd_regs();
            set_stack(k * 7, 0x340 | (k % 6 == 5 ? 0 : 0x3fu & ~(1u << k % 6)), k & 7, k % 9 == 8 ? 0 : 0xff);
            run_hash(0);
            hash_x();
            hash_mem(DATAP + 0x400, 16);
        }
    }
}

/* FSTENV, FSAVE, FLDENV, FRSTOR, FXSAVE, FXRSTOR in each format. The pointers to code and data are left to x87_pointers. */
static void x87_env(void)
{
    vec_mode = 1;
    for (int p = 0; p < 2; p++) {
        for (int which = 0; which < 6; which++) {
            struct enc e = {0};
            if (p)
                e8(&e, which < 4 || !IS64 ? 0x66 : 0x48);
            if (which < 2) {
                e8(&e, 0xd9);
                e8(&e, (which ? 4u : 6u) << 3 | SI); /* FNSTENV, FLDENV */
            } else if (which < 4) {
                e8(&e, 0xdd);
                e8(&e, (which == 2 ? 6u : 4u) << 3 | SI); /* FNSAVE, FRSTOR */
            } else {
                e8(&e, 0x0f);
                e8(&e, 0xae);
                e8(&e, (which == 4 ? 0u : 1u) << 3 | SI); /* FXSAVE, FXRSTOR */
            }
            if (which >= 4 && p && !IS64)
                continue;
            piece(&e);
            for (unsigned k = 0; k < 16; k++) {
                fill_data(k);
                rnd_regs();
                uint8_t *m = DATAP + 0x400;
                in.r[SI] = DATA + 0x400;
                if (which == 5) {
                    set_stack(k + 3, 0x37f, k & 7, 0x55u << (k & 1));
                    memcpy(m, in_x, 512);
                    if (k == 15)
                        in.r[SI] += 8; /* misaligned */
                    if (k == 14)
                        m[27] = 0xff; /* reserved bits of MXCSR */
                } else if (which & 1) { /* a defined environment to load */
                    *(uint16_t *)m = (uint16_t)words[k % 7];
                    *(uint16_t *)(m + (p ? 2 : 4)) = (uint16_t)(k << 11 & 0x3800);
                    *(uint16_t *)(m + (p ? 4 : 8)) = (uint16_t)(0x1111 * (k & 3));
                }
                set_stack(k, words[k % 7], k & 7, k % 3 ? 0xff : 0x35);
                run_hash(0);
                hash_x();
                if (which < 4) { /* leave out instruction and data pointer */
                    unsigned env = p ? 14 : 28;
                    hash_mem(m, p ? 6 : 10);
                    hash_mem(m + env, 100);
                } else {
                    hash_mem(m, 5);
                    hash_mem(m + 24, 4);
                    hash_mem(m + 32, 128 + NREG * 16);
                }
            }
        }
    }
}

/*
 * The pointers: FSTENV and FXSAVE say where the last x87 instruction and its operand were. AMD's processors forget them whenever a system saves and
 * restores the state between the two instructions without an error pending (APM vol. 2, 11.4.4), and FXSAVE stores none then: they are right or zero.
 */
static void x87_pointers(void)
{
    static const uint8_t ops[][8] = {{2, 0xd9, 0xe8}, {2, 0xdc, 0x06}, {2, 0xd9, 0x07}, {2, 0xd8, 0xf1}, {3, 0x90, 0xd9, 0xfe}};
    uint32_t last = 0;
    vec_mode = 1;
    for (unsigned o = 0; o < sizeof ops / sizeof ops[0]; o++) {
        for (int fx = 0; fx < 2; fx++) {
            struct enc e = {0};
            for (int i = 0; i < ops[o][0]; i++)
                e8(&e, ops[o][i + 1]);
            if (fx && IS64)
                e8(&e, 0x48);
            e8(&e, fx ? 0x0f : 0xd9);
            if (fx)
                e8(&e, 0xae);
            e8(&e, (fx ? 0x03u : 0x33u)); /* FXSAVE [BX], FNSTENV [BX] */
            piece(&e);
            fill_data(o);
            rnd_regs();
            in.r[BX] = DATA + 0xc00;
            const uint8_t *m = DATAP + 0xc00;
            uint32_t ip = 0, dp = 0, opcode = 0;
            unsigned wrong = 0;
            const uint8_t *op = ops[o] + (ops[o][1] == 0x90 ? 2 : 1);
            for (int tries = 0; tries < 20; tries++) {
                memset(DATAP + 0xc00, 0, 512);
                set_stack(2, 0x37f, 0, 0x7f);
                run();
                memcpy(&ip, m + (fx ? 8 : 12), 4);
                memcpy(&dp, m + (fx ? 16 : 20), 4);
                opcode = fx ? *(uint16_t *)(m + 6) : *(uint16_t *)(m + 18) & 0x7ff;
                wrong |= ip && ip != (uint32_t)code_ptr + (op - ops[o] - 1) ? 1 : 0;
                wrong |= dp && dp != (op[1] == 6 ? in.r[SI] : op[1] == 7 ? in.r[DI] : last) ? 2 : 0;
                wrong |= opcode && opcode != ((op[0] & 7u) << 8 | op[1]) ? 4 : 0;
            }
            if (op[1] == 6 || op[1] == 7) /* a register instruction leaves the pointer to the operand of the one before */
                last = (uint32_t)(op[1] == 6 ? in.r[SI] : in.r[DI]);
            note("ip %x (code at %lx) dp %x op %x: wrong %x", ip, code_ptr, dp, opcode, wrong);
            hash(wrong);
        }
    }
}

const struct group x87_groups[] = {
    {"x87_mem", x87_mem},       {"x87_reg", x87_reg}, {"x87_func", x87_func}, {"x87_exceptions", x87_exceptions}, {"x87_env", x87_env},
    {"x87_pointers", x87_pointers}, {NULL, NULL},
};
