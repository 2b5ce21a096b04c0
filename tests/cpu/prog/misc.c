/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves, every way to address memory, the stack, string instructions. */
#include "cputest.h"

#include <string.h>

static const int sizes[] = {1, 2, 4, 8};
#define NSIZE (IS64 ? 4 : 3)

/* A ModRM byte with all that may follow it. Returns false when there is nothing more (used as iterator over addressing forms). */
static void put_modrm(struct enc *e, unsigned mod, unsigned reg, unsigned rm, int sib, int32_t disp, bool addr16)
{
    e8(e, mod << 6 | (reg & 7) << 3 | rm);
    if (sib >= 0)
        e8(e, (unsigned)sib);
    if (addr16) {
        if (mod == 1)
            e8(e, (unsigned)disp);
        else if (mod == 2 || (mod == 0 && rm == 6))
            e16(e, (unsigned)disp);
        return;
    }
    if (mod == 1)
        e8(e, (unsigned)disp);
    else if (mod == 2 || (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5))))
        e32(e, (uint32_t)disp);
}

/* LEA through every addressing form: the address arithmetic without the access. */
static void lea_all(void)
{
    static const int32_t disps[] = {0x12, -0x34, 0x12345678, -0x7654321};
    for (unsigned a = 0; a < 2; a++) { /* default and other address size */
        for (unsigned rex = 0; rex < (IS64 ? 4 : 1); rex++) {
            for (unsigned mod = 0; mod < 3; mod++) {
                for (unsigned rm = 0; rm < 8; rm++) {
                    bool addr16 = a && !IS64, has_sib = rm == 4 && !addr16;
                    for (int sib = has_sib ? 0 : -1; sib < (has_sib ? 256 : 0); sib++) {
                        struct enc e = {0};
                        if (a)
                            e8(&e, 0x67);
                        if (IS64)
                            e8(&e, 0x48 | rex);
                        e8(&e, 0x8d);
                        put_modrm(&e, mod, CX, rm, sib, disps[(mod + rm + (unsigned)sib) & 3], addr16);
                        piece(&e);
                        rnd_regs();
                        for (int i = 0; i < NREG; i++)
                            in.r[i] = (word)rnd64();
                        if (IS64 && mod == 0 && rm == 5 && !fault.sig) {
                            run(); /* relative to the code: make it independent of the place */
                            hash(reg_trunc(out.r[CX] - code_ptr, a ? 4 : 8));
                            continue;
                        }
                        run_hash(ARITH);
                    }
                }
            }
        }
    }
    for (int s = 1; s < 4; s++) { /* operand size against address size; LEA of a register is undefined */
        for (int a = 0; a < 1 + IS64; a++) {
            struct enc e = {0};
            if (a)
                e8(&e, 0x67);
            if (s == 1)
                e8(&e, 0x66);
            if (s == 3 && IS64)
                e8(&e, 0x48);
            e8(&e, 0x8d);
            e8(&e, 0x80 | CX << 3 | BX);
            e32(&e, 0x87654321);
            rnd_regs();
            in.r[BX] = (word)0xfedcba9876543210ull;
            piece(&e);
            run_hash(ARITH);
        }
    }
    struct enc bad = ENC(0x8d, 0xc1);
    piece(&bad);
    run_hash(0);
}

/* The same addressing forms with a real load; addresses that miss the data area fault, and must say where. */
static void load_all(void)
{
    for (unsigned rex = 0; rex < (IS64 ? 4 : 1); rex++) {
        for (unsigned mod = 0; mod < 3; mod++) {
            for (unsigned rm = 0; rm < 8; rm++) {
                for (int sib = rm == 4 ? 0 : -1; sib < (rm == 4 ? 256 : 0); sib++) {
                    bool no_base = (mod == 0 && rm == 5) || (mod == 0 && rm == 4 && (sib & 7) == 5);
                    struct enc e = {0};
                    if (IS64)
                        e8(&e, 0x48 | rex);
                    e8(&e, 0x8b);
                    if (IS64 && mod == 0 && rm == 5)
                        continue; /* relative to the code, below */
                    put_modrm(&e, mod, DX, rm, sib, no_base ? (int32_t)(DATA + 0x80) : mod == 1 ? 0x28 : 0x64, false);
                    fill_data((uint64_t)sib + 3);
                    rnd_regs();
                    /* The base points into the data, the index is small, if they are different registers. */
                    unsigned base = rm == 4 ? (unsigned)sib & 7 : rm, index = rm == 4 ? (unsigned)sib >> 3 & 7 : 99;
                    if (rm == 4 && (rex & 2))
                        index |= 8;
                    if (rex & 1)
                        base |= 8;
                    if (index != 99 && index != 4)
                        in.r[index] = no_base ? 0x10 : (word)-0x20;
                    if (!no_base)
                        in.r[base] = DATA + 0x400;
                    piece(&e);
                    run_hash(ARITH);
                }
            }
        }
    }
}

static void mov_forms(void)
{
    for (int s = 0; s < NSIZE; s++) {
        int size = sizes[s];
        for (unsigned op = 0x88; op < 0x8c; op += 2) {
            for (int reg = 0; reg < NREG; reg++) {
                for (int base = 0; base < NREG; base++) {
                    struct enc e = {0};
                    enc_rm(&e, size, op | (size > 1), reg, base);
                    rnd_regs();
                    fill_data((uint64_t)(reg * 16 + base));
                    in.r[base] = DATA + 0x400;
                    piece(&e);
                    run_hash(ARITH);
                    hash_mem(DATAP + 0x3f8, 24);
                }
                struct enc e = {0};
                enc_rr(&e, size, op | (size > 1), reg, (reg * 5 + 3) % NREG);
                rnd_regs();
                piece(&e);
                run_hash(ARITH);
            }
        }
        for (int rm = 0; rm < NREG; rm++) { /* immediates: B0+/B8+ and C6/C7; XCHG with AX; BSWAP */
            struct enc e = {0};
            unsigned rex = (size == 8 ? 8u : 0u) | (rm >= 8 ? 1u : 0u);
            if (size == 2)
                e8(&e, 0x66);
            if (rex)
                e8(&e, 0x40 | rex);
            struct enc x = e, b = e, c = {0};
            e8(&e, (size == 1 ? 0xb0u : 0xb8u) | (unsigned)(rm & 7));
            for (int i = 0; i < size; i++)
                e8(&e, 0x81u + (unsigned)i * 0x13);
            rnd_regs();
            piece(&e);
            run_hash(ARITH);
            enc_rr(&c, size, 0xc6u | (size > 1), 0, rm);
            for (int i = 0; i < (size == 8 ? 4 : size); i++)
                e8(&c, 0x95);
            piece(&c);
            run_hash(ARITH);
            if (size > 1) {
                e8(&x, 0x90u | (unsigned)(rm & 7));
                piece(&x);
                run_hash(ARITH);
            }
            if (size > 2) {
                e8(&b, 0x0f);
                e8(&b, 0xc8u | (unsigned)(rm & 7));
                piece(&b);
                run_hash(ARITH);
            }
        }
        for (unsigned op = 0xa0; op < 0xa4; op += 2) { /* absolute addresses */
            for (unsigned a = 0; a < 2; a++) {
                struct enc e = {0};
                if (a && !IS64)
                    continue; /* a 16-bit address */
                if (a)
                    e8(&e, 0x67);
                if (size == 2)
                    e8(&e, 0x66);
                if (size == 8)
                    e8(&e, 0x48);
                e8(&e, op | (size > 1));
                if (a)
                    e32(&e, DATA + 0x403);
                else
                    eword(&e, DATA + 0x403);
                fill_data(op);
                rnd_regs();
                piece(&e);
                run_hash(ARITH);
                hash_mem(DATAP + 0x400, 16);
            }
        }
        for (int form = 0; form < 2; form++) { /* an immediate to memory, across a page */
            struct enc e = {0};
            enc_rm(&e, size, 0xc6u | (size > 1), 0, SI);
            for (int i = 0; i < (size == 8 ? 4 : size); i++)
                e8(&e, 0x85u + (unsigned)i);
            rnd_regs();
            fill_data(7);
            in.r[SI] = DATA + PAGE - (form ? 1 : 16);
            piece(&e);
            run_hash(ARITH);
            hash_mem(DATAP + PAGE - 16, 32);
        }
    }
}

/* AH, CH, DH, BH as either operand, with each kind of memory operand; with REX they become SPL, BPL, SIL, DIL. */
static void high_bytes(void)
{
    static const unsigned ops[] = {0x00, 0x02, 0x10, 0x28, 0x32, 0x3a, 0x84, 0x86, 0x88, 0x8a};
    for (unsigned o = 0; o < sizeof ops / sizeof ops[0]; o++) {
        for (int reg = 0; reg < 8; reg++) {
            for (int rm = 0; rm < 8; rm++) {
                for (int rex = 0; rex < 1 + IS64; rex++) {
                    for (int mem = 0; mem < 3; mem++) {
                        struct enc e = {0};
                        if (rex)
                            e8(&e, 0x40);
                        e8(&e, ops[o]);
                        if (mem == 0)
                            e8(&e, 0xc0u | (unsigned)reg << 3 | (unsigned)rm);
                        else if (mem == 1) {
                            e8(&e, 0x40u | (unsigned)reg << 3 | (unsigned)rm);
                            if (rm == SP)
                                e8(&e, 0x24);
                            e8(&e, 0x05);
                        } else {
                            e8(&e, 0x44u | (unsigned)reg << 3);
                            e8(&e, 0x40u | (unsigned)(rm == SP ? BX : rm) << 3 | DI); /* [edi + reg * 2 + 5] */
                            e8(&e, 0x05);
                        }
                        piece(&e);
                        for (int k = 0; k < 2; k++) {
                            fill_data((uint64_t)(reg * 8 + rm + k));
                            rnd_regs();
                            if (mem == 1)
                                in.r[rm] = DATA + 0x400;
                            if (mem == 2 && rm != DI && rm != SP)
                                in.r[rm] = 0x35;
                            if (mem == 2 && rm == SP)
                                in.r[BX] = 0x35;
                            if (mem == 2 && rm == DI)
                                in.r[DI] = (DATA + 0x400) / 3;
                            in.fl = k ? 2 | ARITH : 2;
                            run_hash(ARITH & ~AF);
                            hash_mem(DATAP + 0x3f0, 0x600);
                        }
                    }
                }
            }
        }
    }
}

static void conditions(void)
{
    for (unsigned cc = 0; cc < 16; cc++) {
        for (int form = 0; form < 5; form++) { /* SETcc reg, AH form, memory; CMOVcc of two widths */
            struct enc e = {0};
            if (form == 0)
                enc_rr(&e, 1, OP_0F | 0x90 | cc, 0, CX);
            else if (form == 1) {
                struct enc t = ENC(0x0f, 0x90 | cc, 0xc0 | 7); /* BH */
                e = t;
            } else if (form == 2)
                enc_rm(&e, 1, OP_0F | 0x90 | cc, 0, SI);
            else if (form == 3)
                enc_rr(&e, 4, OP_0F | 0x40 | cc, CX, BX);
            else
                enc_rm(&e, IS64 ? 8 : 2, OP_0F | 0x40 | cc, CX, SI);
            piece(&e);
            for (unsigned f = 0; f < 32; f++) {
                fill_data(f);
                rnd_regs();
                in.fl = 2 | (f & 1 ? CF : 0) | (f & 2 ? PF : 0) | (f & 4 ? ZF : 0) | (f & 8 ? SF : 0) | (f & 16 ? OF : 0);
                run_hash(ARITH);
                hash_mem(DATAP + 0x400, 8);
            }
        }
    }
    static const uint8_t ops[] = {0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0x9e, 0x9f}; /* CMC CLC STC CLD STD SAHF LAHF */
    for (unsigned o = 0; o < sizeof ops; o++) {
        struct enc e = {0};
        if (IS64 && ops[o] >= 0x9e && ops[o] <= 0x9f && !cpu_has("lahf_lm"))
            continue;
        e8(&e, ops[o]);
        piece(&e);
        for (unsigned f = 0; f < 64; f++) {
            rnd_regs();
            in.fl = 2 | (f & 1 ? CF : 0) | (f & 2 ? PF : 0) | (f & 4 ? ZF : 0) | (f & 8 ? SF : 0) | (f & 16 ? OF : 0) | (f & 32 ? DF : 0);
            run_hash(ARITH | DF);
        }
    }
}

/* -- stack ----------------------------------------------------------------------------------------------------------------- */

static void stack_run(const struct enc *e)
{
    piece(e);
    for (int off = -9; off < 2; off++) {
        fill_data((uint64_t)off + 50);
        rnd_regs();
        in.r[SP] = STACK_MID + (off == 1 ? 0 : (word)off); /* also across the end of a page */
        in.r[BP] = STACK_MID - 0x40;
        in.fl = off & 1 ? 2 | ARITH : 2;
        run_hash(ARITH | DF);
        hash_mem((void *)(STACK_MID - 0x200), 0x300);
        hash_mem(DATAP + 0x400, 16);
    }
}

static void push_pop(void)
{
    for (int p = 0; p < 2; p++) { /* with and without operand size prefix */
        for (int reg = 0; reg < NREG; reg++) {
            for (unsigned op = 0x50; op < 0x60; op += 8) {
                struct enc e = {0};
                if (p)
                    e8(&e, 0x66);
                if (reg >= 8)
                    e8(&e, 0x41);
                e8(&e, op | (unsigned)(reg & 7));
                stack_run(&e);
                e.n = 0; /* the forms through ModRM */
                if (p)
                    e8(&e, 0x66);
                if (reg >= 8)
                    e8(&e, 0x41);
                e8(&e, op == 0x50 ? 0xff : 0x8f);
                e8(&e, 0xc0u | (op == 0x50 ? 6u << 3 : 0u) | (unsigned)(reg & 7));
                stack_run(&e);
            }
        }
        static const uint8_t mem_push[][8] = {
            {2, 0xff, 0x36}, {2, 0x8f, 0x06}, {4, 0xff, 0x74, 0x24, 0x08}, {4, 0x8f, 0x44, 0x24, 0x08}, {3, 0xff, 0x34, 0x24},
            {3, 0x8f, 0x04, 0x24}, {3, 0xff, 0x75, 0xf8}, {3, 0x8f, 0x45, 0xf8}, {2, 0x6a, 0x85}, {2, 0x6a, 0x7f}, {1, 0x9c}, {2, 0x9c, 0x9d},
        };
        for (unsigned k = 0; k < sizeof mem_push / sizeof mem_push[0]; k++) {
            struct enc e = {0};
            if (p)
                e8(&e, 0x66);
            for (int i = 0; i < mem_push[k][0]; i++)
                e8(&e, mem_push[k][i + 1]);
            if (p && k == 11)
                continue;
            if (k == 10) { /* the pushed flags have IF; the rest is compared */
                e8(&e, p ? 0x66 : 0x90);
                e8(&e, 0x58);
            }
            stack_run(&e);
        }
        struct enc e = {0}; /* PUSH imm16, imm32 */
        if (p)
            e8(&e, 0x66);
        e8(&e, 0x68);
        if (p)
            e16(&e, 0x8765);
        else
            e32(&e, 0x87654321);
        stack_run(&e);
        for (unsigned op = 0x60; !IS64 && op < 0x62; op++) { /* PUSHA, POPA */
            e.n = 0;
            if (p)
                e8(&e, 0x66);
            e8(&e, op);
            stack_run(&e);
        }
        e.n = 0;
        if (p)
            e8(&e, 0x66);
        e8(&e, 0xc9); /* LEAVE */
        stack_run(&e);
        for (unsigned level = 0; level < 34; level += level < 4 ? 1 : 9) { /* ENTER; the level counts modulo 32 */
            for (unsigned size = 0; size < 64; size += 24) {
                e.n = 0;
                if (p)
                    e8(&e, 0x66);
                e8(&e, 0xc8);
                e16(&e, size);
                e8(&e, level);
                if (p && level > 1)
                    continue; /* reads the frame through 16 bits of the pointer */
                stack_run(&e);
            }
        }
    }
    for (unsigned f = 0; f < 64; f++) { /* POPF of every user flag; IOPL, IF, VM, RF must not change */
        struct enc e = ENC(0x9d, 0x9c, 0x58);
        piece(&e);
        rnd_regs();
        in.r[SP] = STACK_MID;
        *(word *)STACK_MID = (f & 1 ? CF : 0) | (f & 2 ? PF : 0) | (f & 4 ? ZF : 0) | (f & 8 ? OF : 0) | (f & 16 ? DF : 0) | (f & 32 ? 0x237200u : 0u);
        run_hash(ARITH | DF);
    }
}

/* -- strings --------------------------------------------------------------------------------------------------------------- */

static void string_case(unsigned op, int size, unsigned rep, unsigned addr, long count, word si, word di, bool back, int fill)
{
    (void)op;
    (void)size;
    (void)rep;
    fill_data(99);
    if (fill == 1)
        memset(DATAP, 0x41, 2 * PAGE); /* equal: compares run to the end */
    if (fill == 2) {
        memset(DATAP, 0x41, 2 * PAGE);
        DATAP[(si - DATA + 7) & 0x1fff] = 0x42;
        DATAP[(di - DATA + 13) & 0x1fff] = 0x43;
    }
    rnd_regs();
    in.r[AX] = fill ? (word)0x4141414141414141ull : (word)0x1122334455667788ull;
    in.r[CX] = (word)count;
    if (addr && IS64)
        in.r[CX] |= (word)0xabcd000000000000ull;
    in.r[SI] = si;
    in.r[DI] = di;
    in.fl = 2 | (back ? DF : 0) | ARITH;
    run_hash(ARITH | DF);
    hash_mem(DATAP, 2 * PAGE);
}

static void strings(unsigned op)
{
    static const unsigned reps[] = {0, 0xf3, 0xf2};
    static const long counts[] = {0, 1, 2, 5, 16, 67};
    for (int s = 0; s < NSIZE; s++) {
        int size = sizes[s];
        for (unsigned r = 0; r < 3; r++) {
            for (unsigned addr = 0; addr < 1 + IS64; addr++) { /* 16-bit addresses would leave the data area */
                struct enc e = {0};
                if (addr)
                    e8(&e, 0x67);
                if (size == 2)
                    e8(&e, 0x66);
                if (reps[r])
                    e8(&e, reps[r]);
                if (size == 8)
                    e8(&e, 0x48);
                e8(&e, op | (size > 1));
                piece(&e);
                for (unsigned c = 0; c < 6; c++) {
                    if (!r && c != 1)
                        continue;
                    for (int back = 0; back < 2; back++) {
                        for (int fill = 0; fill < 3; fill++) {
                            long n = counts[c];
                            string_case(op, size, reps[r], addr, n, DATA + 0x400, DATA + 0x800, back, fill);
                            string_case(op, size, reps[r], addr, n, DATA + PAGE - 3, DATA + 0x803, back, fill);
                            string_case(op, size, reps[r], addr, n, DATA + 0x801, DATA + PAGE + (back ? 5 : -21), back, fill);
                            string_case(op, size, reps[r], addr, n, DATA + 0x600, DATA + 0x601, back, fill); /* overlapping */
                            string_case(op, size, reps[r], addr, n, DATA + 0x601, DATA + 0x600, back, fill);
                            string_case(op, size, reps[r], addr, n, DATA + 0x600, DATA + 0x600 + (word)size, back, fill);
                        }
                    }
                }
            }
        }
    }
}

static void str_movs(void) { strings(0xa4); }
static void str_cmps(void) { strings(0xa6); }
static void str_stos(void) { strings(0xaa); }
static void str_lods(void) { strings(0xac); }
static void str_scas(void) { strings(0xae); }

/* A long one, over many pages, both ways. */
static void str_long(void)
{
    for (int s = 0; s < NSIZE; s++) {
        for (int back = 0; back < 2; back++) {
            for (unsigned op = 0xa4; op < 0xb0; op += 2) {
                struct enc e = {0};
                if (op == 0xa8)
                    continue;
                if (sizes[s] == 2)
                    e8(&e, 0x66);
                e8(&e, 0xf3);
                if (sizes[s] == 8)
                    e8(&e, 0x48);
                e8(&e, op | (s > 0));
                piece(&e);
                memset(DATAP, 0x55, DATA_SIZE);
                for (unsigned i = 0; i < DATA_SIZE; i += 61)
                    DATAP[i] = op >= 0xae || op == 0xa6 ? 0x55 : (uint8_t)(i / 61);
                DATAP[op == 0xa6 ? 0x7777 : 0x9999] = 0x56;
                rnd_regs();
                in.r[AX] = (word)0x5555555555555555ull;
                in.r[CX] = 0x6000u / (unsigned)sizes[s];
                in.r[SI] = back ? DATA + 0x7ffc : DATA + 0x1003;
                in.r[DI] = back ? DATA + 0xeff8 : DATA + 0x8005;
                in.fl = back ? 2 | DF : 2;
                run_hash(ARITH | DF);
                hash_mem(DATAP, DATA_SIZE);
            }
        }
    }
}

static void xlat_misc(void)
{
    static const uint8_t t[][8] = {
        {1, 0xd7}, {2, 0x67, 0xd7}, {1, 0x90}, {2, 0xf3, 0x90}, {3, 0x0f, 0x1f, 0xc1}, {4, 0x66, 0x0f, 0x1f, 0x06}, {3, 0x0f, 0x18, 0x06},
        {3, 0x0f, 0x0d, 0x0e}, {3, 0x0f, 0xae, 0xe8}, {3, 0x0f, 0xae, 0xf0}, {3, 0x0f, 0xae, 0xf8}, {3, 0x0f, 0xae, 0x3e}, {4, 0xf3, 0x0f, 0x1e, 0xfa},
        {2, 0x0f, 0x0b}, {3, 0x0f, 0xb9, 0xc0}, {3, 0x0f, 0xff, 0xc0}, {3, 0x0f, 0xc3, 0x0e}, {1, 0x9b},
        {4, 0xf3, 0x0f, 0x1e, 0xca}, {3, 0x0f, 0x18, 0x0e}, {3, 0x0f, 0x1f, 0x06}, {2, 0x0f, 0x0e},
    };
    for (unsigned k = 0; k < sizeof t / sizeof t[0]; k++) {
        struct enc e = {0};
        for (int i = 0; i < t[k][0]; i++)
            e8(&e, t[k][i + 1]);
        piece(&e);
        for (int i = 0; i < 8; i++) {
            if (!IS64 && k == 1)
                break;
            fill_data((uint64_t)i);
            rnd_regs();
            in.r[BX] = DATA + 0x400;
            in.fl = i & 1 ? 2 | ARITH : 2;
            run_hash(ARITH);
            hash_mem(DATAP + 0x400, 8);
        }
    }
}

const struct group misc_groups[] = {
    {"lea_all", lea_all},       {"load_all", load_all}, {"mov_forms", mov_forms}, {"high_bytes", high_bytes}, {"conditions", conditions},
    {"push_pop", push_pop},     {"str_movs", str_movs}, {"str_cmps", str_cmps},   {"str_stos", str_stos},     {"str_lods", str_lods},
    {"str_scas", str_scas},     {"str_long", str_long}, {"xlat_misc", xlat_misc}, {NULL, NULL},
};
