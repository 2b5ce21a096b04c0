/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic: every width, every form, all defined flags. */
#include "cputest.h"

static const int sizes[] = {1, 2, 4, 8};
#define NSIZE (IS64 ? 4 : 3)

static void pairs(word mask)
{
    for (int i = 0; i < n_edge; i++) {
        for (int j = 0; j < n_edge; j++) {
            for (int c = 0; c < 2; c++) {
                in.r[CX] = (word)edge[i];
                in.r[BX] = (word)edge[j];
                in.fl = c ? 2 | ARITH : 2;
                run_hash(mask);
            }
        }
    }
}

/* The flags that ADD..CMP, TEST define: logic operations leave AF undefined. */
static word alu_mask(unsigned op) { return op == 1 || op == 4 || op == 6 || op == 8 ? ARITH & ~AF : ARITH; }

static unsigned alu_opcode(unsigned op, int size, int dir)
{
    if (op == 8) /* TEST has one direction */
        return 0x84 | (size > 1);
    return op << 3 | (unsigned)dir << 1 | (size > 1);
}

static void alu_rr(void)
{
    for (unsigned op = 0; op < 9; op++) {
        for (int s = 0; s < NSIZE; s++) {
            for (int dir = 0; dir < 2; dir++) {
                struct enc e = {0};
                enc_rr(&e, sizes[s], alu_opcode(op, sizes[s], dir), CX, BX);
                rnd_regs();
                piece(&e);
                pairs(alu_mask(op));
            }
        }
    }
}

static void alu_all_regs(void)
{
    static const unsigned ops[] = {0, 2, 3, 7, 6};
    for (unsigned o = 0; o < 5; o++) {
        for (int s = 0; s < NSIZE; s++) {
            for (int a = 0; a < NREG; a++) {
                for (int b = 0; b < NREG; b++) {
                    struct enc e = {0};
                    enc_rr(&e, sizes[s], alu_opcode(ops[o], sizes[s], a & 1), a, b);
                    piece(&e);
                    for (int k = 0; k < 3; k++) {
                        rnd_regs();
                        for (int i = 0; i < NREG; i++)
                            in.r[i] = (word)rnd64();
                        in.fl = k & 1 ? 2 | CF : 2;
                        run_hash(alu_mask(ops[o]));
                    }
                }
            }
        }
    }
}

static void alu_imm(void)
{
    static const int32_t imms[] = {0, 1, -1, 0x7f, -0x80, 0x80, 0x7fff, -0x8000, 0x12345678, 0x7fffffff, (int32_t)0x80000000};
    for (unsigned op = 0; op < 8; op++) {
        for (int s = 0; s < NSIZE; s++) {
            for (unsigned form = 0; form < 4; form++) { /* 80/81, 83, short form for AX, 82 (32-bit code only) */
                for (unsigned k = 0; k < sizeof imms / sizeof imms[0]; k++) {
                    int size = sizes[s];
                    struct enc e = {0};
                    if (form == 3 && size > 1)
                        continue;
                    if (form == 2) {
                        if (size == 2)
                            e8(&e, 0x66);
                        if (size == 8)
                            e8(&e, 0x48);
                        e8(&e, op << 3 | 4 | (size > 1));
                    } else {
                        enc_rr(&e, size, form == 3 ? 0x82 : form == 1 ? (size > 1 ? 0x83 : 0x80) : 0x80u | (size > 1), (int)op, BX);
                    }
                    if (size == 1 || form == 1)
                        e8(&e, (unsigned)imms[k]);
                    else if (size == 2)
                        e16(&e, (unsigned)imms[k]);
                    else
                        e32(&e, (uint32_t)imms[k]);
                    rnd_regs();
                    piece(&e);
                    for (int i = 0; i < n_edge; i++) {
                        in.r[form == 2 ? AX : BX] = (word)edge[i];
                        in.fl = i & 1 ? 2 | ARITH : 2;
                        run_hash(alu_mask(op));
                    }
                }
            }
        }
    }
}

/* Memory operands at every alignment around the end of a page, both directions, and with LOCK. */
static void alu_mem(void)
{
    for (unsigned op = 0; op < 9; op++) {
        for (int s = 0; s < NSIZE; s++) {
            for (int form = 0; form < 3; form++) {
                struct enc e = {0};
                if (form == 2)
                    e8(&e, 0xf0); /* CMP, TEST: an undefined opcode */
                enc_rm(&e, sizes[s], alu_opcode(op, sizes[s], form == 1), CX, SI);
                rnd_regs();
                piece(&e);
                for (int off = -9; off < 3; off++) {
                    for (int k = 0; k < 6; k++) {
                        fill_data((uint64_t)(k * 100 + off));
                        in.r[SI] = DATA + PAGE + (word)off;
                        in.r[CX] = k < 3 ? (word)edge[(k * 7 + off + 9) % n_edge] : (word)rnd64();
                        in.fl = k & 1 ? 2 | ARITH : 2;
                        run_hash(alu_mask(op));
                        hash_mem(DATAP + PAGE - 16, 32);
                    }
                }
            }
        }
    }
}

static void alu_one(void)
{
    static const struct {
        unsigned op, reg;
        word mask;
    } t[] = {{0xfe, 0, ARITH}, {0xfe, 1, ARITH}, {0xf6, 2, ARITH}, {0xf6, 3, ARITH}}; /* INC DEC NOT NEG */
    for (unsigned k = 0; k < 4; k++) {
        for (int s = 0; s < NSIZE; s++) {
            for (int mem = 0; mem < 3; mem++) {
                struct enc e = {0};
                if (mem == 2)
                    e8(&e, 0xf0);
                if (mem)
                    enc_rm(&e, sizes[s], t[k].op | (sizes[s] > 1), (int)t[k].reg, SI);
                else
                    enc_rr(&e, sizes[s], t[k].op | (sizes[s] > 1), (int)t[k].reg, BX);
                rnd_regs();
                piece(&e);
                for (int i = 0; i < n_edge; i++) {
                    for (int c = 0; c < 2; c++) {
                        in.r[BX] = (word)edge[i];
                        *(uint64_t *)(DATAP + 0x400) = edge[i];
                        in.fl = c ? 2 | ARITH : 2;
                        run_hash(t[k].mask);
                        hash_mem(DATAP + 0x400, 8);
                    }
                }
            }
        }
    }
    for (unsigned op = 0x40; !IS64 && op < 0x50; op++) {
        for (int p = 0; p < 2; p++) {
            struct enc e = {0};
            if (p)
                e8(&e, 0x66);
            e8(&e, op);
            piece(&e);
            for (int i = 0; i < n_edge; i++) {
                rnd_regs();
                in.r[op & 7] = (word)edge[i];
                in.fl = i & 1 ? 2 | ARITH : 2;
                run_hash(ARITH);
            }
        }
    }
}

/* What a shift by `count` leaves defined. */
static word shift_mask(unsigned op, int size, unsigned count)
{
    unsigned bits = (unsigned)size * 8, c = count & (size == 8 ? 63 : 31);
    word m = ARITH;
    if (c == 0)
        return m;
    if (op < 4) { /* rotates touch only CF and OF; through carry the count wraps at bits + 1 */
        if (c != 1)
            m &= ~(word)OF;
        return m;
    }
    m &= ~(word)AF;
    if (c != 1)
        m &= ~(word)OF;
    if (c >= bits && op != 7)
        m &= ~(word)CF; /* SHL, SHR beyond the width */
    return m;
}

static void shifts(void)
{
    for (unsigned op = 0; op < 8; op++) {
        for (int s = 0; s < NSIZE; s++) {
            int size = sizes[s];
            struct enc e = {0};
            enc_rr(&e, size, 0xd2u | (size > 1), (int)op, BX);
            rnd_regs();
            piece(&e);
            for (unsigned count = 0; count < 260; count += count < 70 ? 1 : 13) {
                for (int i = 0; i < n_edge; i += 1 + (count > 34)) {
                    for (int c = 0; c < 2; c++) {
                        in.r[CX] = count | 0xabcd00;
                        in.r[BX] = (word)edge[i];
                        in.fl = c ? 2 | ARITH : 2;
                        run_hash(shift_mask(op, size, count & 0xff));
                    }
                }
            }
            for (unsigned count = 0; count < 256; count = count < 66 ? count + 1 : count * 2 - 1) { /* immediate counts */
                e.n = 0;
                enc_rr(&e, size, 0xc0u | (size > 1), (int)op, BX);
                e8(&e, count);
                piece(&e);
                for (int i = 0; i < n_edge; i += 3) {
                    in.r[BX] = (word)edge[i];
                    in.fl = i & 1 ? 2 | ARITH : 2;
                    run_hash(shift_mask(op, size, count));
                }
            }
            for (int mem = 0; mem < 2; mem++) { /* by one; in a register and in memory across a page */
                e.n = 0;
                if (mem)
                    enc_rm(&e, size, 0xd0u | (size > 1), (int)op, SI);
                else
                    enc_rr(&e, size, 0xd0u | (size > 1), (int)op, BX);
                piece(&e);
                for (int i = 0; i < n_edge; i++) {
                    in.r[BX] = (word)edge[i];
                    in.r[SI] = DATA + PAGE - 1;
                    __builtin_memcpy(DATAP + PAGE - 1, &edge[i], 8);
                    in.fl = i & 1 ? 2 | ARITH : 2;
                    run_hash(shift_mask(op, size, 1));
                    hash_mem(DATAP + PAGE - 8, 16);
                }
            }
        }
    }
}

static void double_shifts(void)
{
    for (unsigned op = 0; op < 2; op++) {
        for (int s = 1; s < NSIZE; s++) {
            int size = sizes[s];
            for (int form = 0; form < 3; form++) { /* CL; immediate; CL with memory */
                for (unsigned count = 0; count < 66; count++) {
                    unsigned c = count & (size == 8 ? 63 : 31);
                    if (c > (unsigned)size * 8 || (form != 1 && count != 0 && form != 2))
                        continue; /* beyond 16: undefined */
                    struct enc e = {0};
                    unsigned opc = OP_0F | (op ? 0xac : 0xa4) | (form != 1);
                    if (form == 2)
                        enc_rm(&e, size, opc, DX, SI);
                    else
                        enc_rr(&e, size, opc, DX, BX);
                    if (form == 1)
                        e8(&e, count);
                    rnd_regs();
                    piece(&e);
                    for (unsigned k = form == 1 ? count : 0; k < (form == 1 ? count + 1 : 66); k++) {
                        unsigned kc = k & (size == 8 ? 63 : 31);
                        if (kc > (unsigned)size * 8)
                            continue;
                        for (int i = 0; i < n_edge; i += 2) {
                            in.r[CX] = k;
                            in.r[BX] = (word)edge[i];
                            in.r[DX] = (word)edge[(i + 7) % n_edge];
                            fill_data((uint64_t)i);
                            in.fl = i & 2 ? 2 | ARITH : 2;
                            word m = kc == 0 ? ARITH : ARITH & ~AF & (kc == 1 ? ~(word)0 : ~(word)OF);
                            run_hash(m);
                            hash_mem(DATAP + 0x400, 8);
                        }
                    }
                }
            }
        }
    }
}

static void mul_div(void)
{
    for (unsigned op = 4; op < 8; op++) { /* MUL IMUL DIV IDIV */
        for (int s = 0; s < NSIZE; s++) {
            int size = sizes[s];
            for (int mem = 0; mem < 2; mem++) {
                struct enc e = {0};
                if (mem)
                    enc_rm(&e, size, 0xf6u | (size > 1), (int)op, SI);
                else
                    enc_rr(&e, size, 0xf6u | (size > 1), (int)op, BX);
                rnd_regs();
                piece(&e);
                for (int i = 0; i < n_edge; i++) {
                    for (int j = 0; j < n_edge; j++) {
                        for (int k = 0; k < (op >= 6 ? 4 : 1); k++) {
                            in.r[AX] = (word)edge[i];
                            in.r[BX] = (word)edge[j];
                            *(uint64_t *)(DATAP + 0x400) = edge[j];
                            /* High halves that divide without overflow, sign extended ones, and any. */
                            in.r[DX] = k == 0   ? 0
                                       : k == 1 ? (word)((size == 8 ? (int64_t)edge[i] >> 63 : (int64_t)(edge[i] << (64 - size * 8)) >> 63))
                                       : k == 2 ? (word)(edge[j] >> 1)
                                                : (word)edge[(i + j) % n_edge];
                            if (size == 1 && op >= 6)
                                in.r[AX] = (in.r[AX] & 0xff) | (in.r[DX] & 0xff) << 8;
                            in.fl = 2 | (i & 1 ? ARITH : 0);
                            run_hash(op < 6 ? CF | OF : fault.sig ? 0 : 0);
                        }
                    }
                }
            }
        }
    }
    for (int s = 1; s < NSIZE; s++) { /* IMUL with two and three operands */
        for (int form = 0; form < 3; form++) {
            struct enc e = {0};
            enc_rr(&e, sizes[s], form == 0 ? OP_0F | 0xaf : form == 1 ? 0x6b : 0x69, CX, BX);
            if (form == 1)
                e8(&e, 0x85);
            if (form == 2 && sizes[s] == 2)
                e16(&e, 0xa123);
            else if (form == 2)
                e32(&e, 0x81234567);
            rnd_regs();
            piece(&e);
            pairs(CF | OF);
        }
    }
}

static void extend(void)
{
    static const uint8_t cbw[][3] = {{1, 0x98}, {1, 0x99}, {2, 0x66, 0x98}, {2, 0x66, 0x99}, {2, 0x48, 0x98}, {2, 0x48, 0x99}};
    for (unsigned k = 0; k < (IS64 ? 6 : 4); k++) {
        struct enc e = {0};
        for (int i = 0; i < cbw[k][0]; i++)
            e8(&e, cbw[k][i + 1]);
        rnd_regs();
        piece(&e);
        for (int i = 0; i < n_edge; i++) {
            in.r[AX] = (word)edge[i];
            in.fl = i & 1 ? 2 | ARITH : 2;
            run_hash(ARITH);
        }
    }
    for (unsigned op = 0xb6; op < 0xc0; op++) { /* MOVZX, MOVSX */
        if (op >= 0xb8 && op < 0xbe)
            continue;
        for (int s = 1; s < NSIZE; s++) {
            for (int rm = 0; rm < NREG + 1; rm++) {
                struct enc e = {0};
                if (rm == NREG)
                    enc_rm(&e, sizes[s], OP_0F | op, CX, SI);
                else {
                    if (IS64 && rm >= 4 && rm < 8 && sizes[s] == 4)
                        e8(&e, 0x40); /* SPL.. in place of AH.. */
                    enc_rr(&e, sizes[s], OP_0F | op, CX, rm);
                }
                piece(&e);
                for (int i = 0; i < n_edge; i++) {
                    rnd_regs();
                    if (rm < NREG)
                        in.r[rm] = (word)edge[i];
                    *(uint64_t *)(DATAP + 0x400) = edge[i];
                    run_hash(ARITH);
                }
            }
        }
    }
    for (int s = 1; IS64 && s < 4; s++) { /* MOVSXD */
        struct enc e = {0};
        enc_rr(&e, sizes[s], 0x63, CX, BX);
        piece(&e);
        for (int i = 0; i < n_edge; i++) {
            rnd_regs();
            in.r[BX] = (word)edge[i];
            run_hash(ARITH);
        }
    }
}

static void bit_ops(void)
{
    for (unsigned op = 4; op < 8; op++) { /* BT BTS BTR BTC */
        for (int s = 1; s < NSIZE; s++) {
            int size = sizes[s];
            struct enc e = {0};
            enc_rr(&e, size, OP_0F | (op << 3 | 0x83), CX, BX);
            rnd_regs();
            piece(&e);
            pairs(CF | ZF);
            for (unsigned b = 0; b < 70; b += 7) {
                for (int mem = 0; mem < 2; mem++) {
                    e.n = 0;
                    if (mem)
                        enc_rm(&e, size, OP_0F | 0xba, (int)op, SI);
                    else
                        enc_rr(&e, size, OP_0F | 0xba, (int)op, BX);
                    e8(&e, b);
                    rnd_regs();
                    piece(&e);
                    for (int i = 0; i < n_edge; i++) {
                        in.r[BX] = (word)edge[i];
                        *(uint64_t *)(DATAP + 0x400) = edge[i];
                        in.fl = i & 1 ? 2 | ARITH : 2;
                        run_hash(CF | ZF);
                        hash_mem(DATAP + 0x400, 8);
                    }
                }
            }
            for (int lock = 0; lock < 2; lock++) { /* bit offsets far from the operand, also negative */
                e.n = 0;
                if (lock)
                    e8(&e, 0xf0);
                enc_rm(&e, size, OP_0F | (op << 3 | 0x83), CX, SI);
                rnd_regs();
                piece(&e);
                for (long off = -3000; off < 3000; off += 17) {
                    fill_data((uint64_t)(off + 5000));
                    in.r[CX] = (word)off;
                    if (size == 2)
                        in.r[CX] = reg_trunc((word)off, 2) | (word)(rnd64() << 16);
                    in.fl = off & 1 ? 2 | ARITH : 2;
                    run_hash(CF | ZF);
                    hash_mem(DATAP, 0x800);
                }
            }
        }
    }
}

static void bit_scan(void)
{
    static const struct {
        unsigned prefix, op;
        word mask;
        const char *feature;
    } t[] = {{0, 0xbc, ZF, NULL}, {0, 0xbd, ZF, NULL}, {0xf3, 0xbc, CF | ZF, "bmi1"}, {0xf3, 0xbd, CF | ZF, "lzcnt"}, {0xf3, 0xb8, ARITH, "popcnt"}};
    for (unsigned k = 0; k < 5; k++) {
        if (t[k].feature && !cpu_has(t[k].feature))
            continue;
        for (int s = 1; s < NSIZE; s++) {
            struct enc e = {0};
            if (sizes[s] == 2 && t[k].prefix)
                e8(&e, 0x66);
            if (t[k].prefix)
                e8(&e, t[k].prefix);
            struct enc tail = {0};
            enc_rr(&tail, sizes[s], OP_0F | t[k].op, CX, BX);
            etail(&e, &tail);
            rnd_regs();
            piece(&e);
            for (int i = 0; i < n_edge + 64; i++) {
                word v = i < n_edge ? (word)edge[i] : (word)(rnd64() << (i - n_edge));
                in.r[BX] = v;
                in.r[CX] = (word)rnd64();
                in.fl = i & 1 ? 2 | ARITH : 2;
                if (!t[k].prefix && reg_trunc(v, sizes[s]) == 0) { /* the destination is undefined */
                    run();
                    hash(out.fl & ZF);
                    continue;
                }
                run_hash(t[k].mask);
            }
        }
    }
}

static void bcd(void)
{
    static const struct {
        uint8_t b[2];
        int n;
        word mask;
    } t[] = {{{0x27}, 1, ARITH & ~OF},  {{0x2f}, 1, ARITH & ~OF},           {{0x37}, 1, AF | CF},
             {{0x3f}, 1, AF | CF},      {{0xd4, 10}, 2, SF | ZF | PF},      {{0xd5, 10}, 2, SF | ZF | PF},
             {{0xd4, 16}, 2, SF | ZF | PF}, {{0xd5, 7}, 2, SF | ZF | PF},   {{0xd4, 0}, 2, 0},
             {{0xd5, 0}, 2, SF | ZF | PF}, {{0xd6}, 1, ARITH}};
    for (unsigned k = 0; k < sizeof t / sizeof t[0]; k++) {
        struct enc e = {0};
        for (int i = 0; i < t[k].n; i++)
            e8(&e, t[k].b[i]);
        rnd_regs();
        piece(&e);
        for (unsigned ax = 0; ax < 0x10000; ax += ax < 0x200 ? 1 : 97) {
            for (unsigned f = 0; f < 4; f++) {
                in.r[AX] = ax | 0x55550000;
                in.fl = 2 | (f & 1 ? CF : 0) | (f & 2 ? AF : 0);
                run_hash(t[k].mask);
            }
        }
    }
}

static void atomics(void)
{
    for (int lock = 0; lock < 2; lock++) {
        for (int s = 0; s < NSIZE; s++) {
            for (unsigned op = 0; op < 3; op++) { /* XADD, CMPXCHG, XCHG */
                struct enc e = {0};
                unsigned opc = (op == 0 ? OP_0F | 0xc0 : op == 1 ? OP_0F | 0xb0 : 0x86) | (sizes[s] > 1);
                if (lock)
                    e8(&e, 0xf0);
                enc_rm(&e, sizes[s], opc, CX, SI);
                rnd_regs();
                piece(&e);
                for (int off = -9; off < 3; off++) {
                    for (int i = 0; i < n_edge; i++) {
                        fill_data((uint64_t)(i * 50 + off));
                        in.r[SI] = DATA + PAGE + (word)off;
                        in.r[CX] = (word)edge[i];
                        in.r[AX] = (word)edge[(i + 3) % n_edge];
                        if (i & 1)
                            __builtin_memcpy(&in.r[AX], DATAP + PAGE + off, sizeof(word));
                        in.fl = i & 2 ? 2 | ARITH : 2;
                        run_hash(ARITH);
                        hash_mem(DATAP + PAGE - 16, 32);
                    }
                }
                if (lock)
                    continue;
                e.n = 0;
                enc_rr(&e, sizes[s], opc, CX, BX);
                rnd_regs();
                piece(&e);
                for (int i = 0; i < n_edge; i++) {
                    in.r[AX] = (word)edge[(i * 3) % n_edge];
                    pairs(ARITH);
                    i += 5;
                }
            }
        }
        for (int wide = 0; wide < 1 + IS64; wide++) { /* CMPXCHG8B, CMPXCHG16B */
            struct enc e = {0};
            if (wide && !cpu_has("cx16"))
                break;
            if (lock)
                e8(&e, 0xf0);
            enc_rm(&e, wide ? 8 : 4, OP_0F | 0xc7, 1, SI);
            piece(&e);
            for (int off = -16; off < 3; off++) {
                for (int k = 0; k < 4; k++) {
                    rnd_regs();
                    fill_data((uint64_t)(k + off * 10));
                    in.r[SI] = DATA + PAGE + (word)off;
                    if (k & 1) {
                        in.r[AX] = in.r[DX] = 0;
                        __builtin_memcpy(&in.r[AX], DATAP + PAGE + off, wide ? 8 : 4);
                        __builtin_memcpy(&in.r[DX], DATAP + PAGE + off + (wide ? 8 : 4), wide ? 8 : 4);
                    }
                    in.fl = k & 2 ? 2 | ARITH : 2;
                    run_hash(ARITH);
                    hash_mem(DATAP + PAGE - 16, 48);
                }
            }
        }
    }
}

/* VEX encodings of general registers: map, pp, W, opcode, ModRM, with the V register. */
static void enc_vex(struct enc *e, unsigned map, unsigned pp, unsigned w, unsigned op, unsigned reg, unsigned v, unsigned rm, bool mem)
{
    e8(e, 0xc4);
    e8(e, 0xe0 | map);
    e8(e, w << 7 | (~v & 15) << 3 | pp);
    e8(e, op);
    e8(e, (mem ? 0u : 0xc0u) | reg << 3 | rm);
}

static void bmi(void)
{
    static const struct {
        uint8_t map, pp, op, reg; /* reg: the opcode extension, or 8 for a register operand */
        word mask;
        uint8_t imm;
        const char *feature;
    } t[] = {
        {2, 0, 0xf2, 8, ARITH & ~(AF | PF), 0, "bmi1"},           {2, 0, 0xf7, 8, ZF | CF | OF, 0, "bmi1"},  /* ANDN BEXTR */
        {2, 0, 0xf3, 1, ARITH & ~(AF | PF), 0, "bmi1"},           {2, 0, 0xf3, 2, ARITH & ~(AF | PF), 0, "bmi1"}, /* BLSR BLSMSK */
        {2, 0, 0xf3, 3, ARITH & ~(AF | PF), 0, "bmi1"},           {2, 0, 0xf5, 8, ARITH & ~(AF | PF), 0, "bmi2"}, /* BLSI BZHI */
        {2, 3, 0xf5, 8, ARITH, 0, "bmi2"},                        {2, 2, 0xf5, 8, ARITH, 0, "bmi2"},         /* PDEP PEXT */
        {2, 3, 0xf6, 8, ARITH, 0, "bmi2"},                        {2, 1, 0xf7, 8, ARITH, 0, "bmi2"},         /* MULX SHLX */
        {2, 2, 0xf7, 8, ARITH, 0, "bmi2"},                        {2, 3, 0xf7, 8, ARITH, 0, "bmi2"},         /* SARX SHRX */
        {3, 3, 0xf0, 8, ARITH, 1, "bmi2"},                                                                  /* RORX */
    };
    for (unsigned k = 0; k < sizeof t / sizeof t[0]; k++) {
        if (!cpu_has(t[k].feature))
            continue;
        for (unsigned w = 0; w < 1 + IS64; w++) {
            for (int mem = 0; mem < 2; mem++) {
                struct enc e = {0};
                enc_vex(&e, t[k].map, t[k].pp, w, t[k].op, t[k].reg < 8 ? t[k].reg : AX, t[k].imm ? 0 : DX, mem ? SI : BX, mem);
                if (t[k].imm)
                    e8(&e, 0x4d);
                piece(&e);
                for (int i = 0; i < n_edge; i++) {
                    for (int j = 0; j < n_edge; j++) {
                        rnd_regs();
                        in.r[BX] = (word)edge[i];
                        in.r[DX] = (word)edge[j];
                        *(uint64_t *)(DATAP + 0x400) = edge[i];
                        in.fl = (i + j) & 1 ? 2 | ARITH : 2;
                        run_hash(t[k].mask);
                    }
                }
            }
        }
    }
    for (int p = 0; p < 2 && cpu_has("adx"); p++) { /* ADCX, ADOX */
        for (int s = 2; s < NSIZE; s++) {
            struct enc e = {0};
            e8(&e, p ? 0xf3 : 0x66);
            if (sizes[s] == 8)
                e8(&e, 0x48);
            e8(&e, 0x0f);
            e8(&e, 0x38);
            e8(&e, 0xf6);
            e8(&e, 0xc0 | CX << 3 | BX);
            rnd_regs();
            piece(&e);
            pairs(ARITH);
        }
    }
    for (int s = 0; s < NSIZE && cpu_has("sse4_2"); s++) { /* CRC32 */
        for (int w = 0; w < 1 + IS64; w++) {
            struct enc e = {0};
            if (sizes[s] == 2)
                e8(&e, 0x66);
            e8(&e, 0xf2);
            if (w || sizes[s] == 8)
                e8(&e, 0x48);
            e8(&e, 0x0f);
            e8(&e, 0x38);
            e8(&e, 0xf0 | (sizes[s] > 1));
            e8(&e, 0xc0 | CX << 3 | BX);
            rnd_regs();
            piece(&e);
            pairs(ARITH);
        }
    }
    for (int s = 1; s < NSIZE && cpu_has("movbe"); s++) {
        for (unsigned dir = 0; dir < 2; dir++) {
            struct enc e = {0};
            if (sizes[s] == 2)
                e8(&e, 0x66);
            if (sizes[s] == 8)
                e8(&e, 0x48);
            e8(&e, 0x0f);
            e8(&e, 0x38);
            e8(&e, 0xf0 | dir);
            e8(&e, CX << 3 | SI);
            piece(&e);
            for (int off = -9; off < 3; off++) {
                fill_data((uint64_t)off);
                rnd_regs();
                in.r[SI] = DATA + PAGE + (word)off;
                run_hash(ARITH);
                hash_mem(DATAP + PAGE - 16, 32);
            }
        }
    }
}

const struct group alu_groups[] = {
    {"alu_rr", alu_rr},     {"alu_all_regs", alu_all_regs},   {"alu_imm", alu_imm}, {"alu_mem", alu_mem},   {"alu_one", alu_one},
    {"shifts", shifts},     {"double_shifts", double_shifts}, {"mul_div", mul_div}, {"extend", extend},     {"bit_ops", bit_ops},
    {"bit_scan", bit_scan},
#ifndef __x86_64__
    {"bcd", bcd},
#else
    {"bcd_invalid", bcd},
#endif
    {"atomics", atomics},   {"bmi", bmi},                     {NULL, NULL},
};
