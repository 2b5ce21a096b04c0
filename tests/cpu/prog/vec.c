/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MMX, SSE, AVX and AVX-512: whole opcode maps are walked, legal or not. What the CPU does not have is an invalid opcode, there
 * and here. Each encoding runs with registers and with memory, on integers, on numbers and on special numbers.
 */
#include "cputest.h"

#include <cpuid.h>
#include <string.h>

static uint32_t xoffset(unsigned comp)
{
    unsigned a, b, c, d;
    __cpuid_count(13, comp, a, b, c, d);
    (void)a;
    (void)c;
    (void)d;
    return b;
}

enum { K_RANDOM, K_FLOAT, K_DOUBLE, K_SPECIAL, K_SMALL };

static void pattern(uint8_t *p, size_t n, int kind)
{
    static const uint32_t f[] = {0x3f800000, 0xbf800000, 0x40490fdb, 0x42f6e979, 0xc2f6e979, 0x3e4ccccd, 0x4b18967f, 0xcb18967f, 0x3fc00000, 0x40200000};
    static const uint64_t d[] = {0x3ff0000000000000, 0xbff0000000000000, 0x400921fb54442d18, 0x405edd2f1a9fbe77, 0xc05edd2f1a9fbe77,
                                 0x3fc999999999999a, 0x41e0000000000000, 0x3ff8000000000000, 0x4004000000000000, 0xc1dfffffffc00000};
    static const uint32_t s[] = {0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00000, 1, 0x807fffff, 0x7f7fffff, 0x00800000, 0x4f000000, 0xcf000001, 0xffffffff};
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = rnd64();
        if (kind == K_FLOAT)
            v = (uint64_t)f[rnd64() % 10] << 32 | f[rnd64() % 10];
        else if (kind == K_DOUBLE)
            v = d[rnd64() % 10];
        else if (kind == K_SPECIAL)
            v = (uint64_t)s[rnd64() % 13] << 32 | s[rnd64() % 13];
        else if (kind == K_SMALL)
            v = rnd64() & 0x0f07031f3f7f0103ull;
        memcpy(p + i, &v, 8);
    }
}

static void vec_state(int kind, uint32_t mxcsr)
{
    memset(in_x, 0, 512);
    *(uint16_t *)in_x = 0x37f;
    *(uint32_t *)(in_x + 24) = mxcsr;
    for (int i = 0; i < 8; i++) {
        pattern(in_x + 32 + i * 16, 8, kind);
        *(uint16_t *)(in_x + 40 + i * 16) = 0xffff;
    }
    in_x[4] = 0xff;
    pattern(in_x + 160, NREG * 16, kind);
    if (xmask & 4)
        pattern(in_x + xoffset(2), NREG * 16, kind);
    if (xmask & 0x20) {
        pattern(in_x + xoffset(5), 64, K_RANDOM);
        pattern(in_x + xoffset(6), NREG * 32, kind);
        if (IS64)
            pattern(in_x + xoffset(7), 16 * 64, kind);
    }
    pattern(DATAP + 0x3c0, 0x100, kind);
}

/* Runs what was placed with each kind of content. */
static void vec_run(int kinds, unsigned salt)
{
    static const uint32_t mx[] = {0x1f80, 0x1f80, 0x3f80, 0x9fc0, 0x7f80};
    for (int k = 0; k < kinds; k++) {
        rnd_seed(salt * 5u + (unsigned)k);
        rnd_regs();
        in.r[AX] = 7;
        in.r[DX] = 9;
        in.r[SI] = DATA + 0x400;
        in.r[DI] = DATA + 0x440;
        in.r[BX] = (word)rnd64() & 0x3f;
        in.fl = k & 1 ? 2 | ARITH : 2;
        vec_state(k, mx[k % 5]);
        run_hash(ARITH & ~AF);
        hash_x();
        hash_mem(DATAP + 0x3c0, 0x100);
        if (fault.sig == SIGILL)
            break; /* whatever the operands */
    }
}

/* Opcodes of the first two-byte map that are vector or MMX instructions. */
static bool vector_0f(unsigned op)
{
    return (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) || (op >= 0x50 && op <= 0x7f && op != 0x78 && op != 0x79) ||
           (op >= 0xc2 && op <= 0xc6) || op >= 0xd0;
}

static const unsigned pps[] = {0, 0x66, 0xf3, 0xf2};

static void legacy(unsigned map, bool mem)
{
    vec_mode = 1;
    for (unsigned op = 0; op < 256; op++) {
        if (map == 1 && (!vector_0f(op) || op == 0xff))
            continue;
        if (map == 2 && ((op >= 0xf0 && op != 0xf6 && op <= 0xfb) || (op >= 0x80 && op <= 0x82)))
            continue; /* CRC32, MOVBE and system instructions are elsewhere */
        for (unsigned p = 0; p < 4; p++) {
            for (int w = 0; w < 1 + IS64; w++) {
                struct enc e = {0};
                /* REX.W changes only a few; take it where it can matter. */
                if (w && !(op == 0x6e || op == 0x7e || op == 0x2a || op == 0x2c || op == 0x2d || op == 0x16 || op == 0x22 || op == 0xf6))
                    continue;
                if (pps[p])
                    e8(&e, pps[p]);
                if (w)
                    e8(&e, 0x48);
                e8(&e, 0x0f);
                if (map > 1)
                    e8(&e, map == 2 ? 0x38 : 0x3a);
                e8(&e, op);
                e8(&e, (mem ? 0u : 0xc0u) | CX << 3 | (mem ? SI : DX));
                if (map == 3 || (map == 1 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6))))
                    e8(&e, 0x4b + op);
                piece(&e);
                vec_run(5, op * 4 + p);
            }
        }
    }
    /* Shifts by immediates: the opcode is in the reg field. */
    for (unsigned op = 0x71; map == 1 && !mem && op < 0x74; op++) {
        for (unsigned reg = 0; reg < 8; reg++) {
            for (unsigned c = 0; c < 70; c += 5) {
                struct enc e = ENC(0x66, 0x0f, op, 0xc0 | reg << 3 | 2, c);
                piece(&e);
                vec_run(1, c);
            }
        }
    }
}

static void sse_0f_reg(void) { legacy(1, false); }
static void sse_0f_mem(void) { legacy(1, true); }
static void sse_0f38_reg(void) { legacy(2, false); }
static void sse_0f38_mem(void) { legacy(2, true); }
static void sse_0f3a_reg(void) { legacy(3, false); }
static void sse_0f3a_mem(void) { legacy(3, true); }

/* Immediates of the instructions that choose by them. */
static void sse_imm(void)
{
    static const struct {
        uint8_t p, map, op;
    } t[] = {{0x66, 1, 0x70}, {0xf3, 1, 0x70}, {0xf2, 1, 0x70}, {0, 1, 0xc2}, {0x66, 1, 0xc2}, {0xf3, 1, 0xc2}, {0xf2, 1, 0xc2}, {0, 1, 0xc6},
             {0x66, 1, 0xc6}, {0x66, 3, 0x0f}, {0x66, 3, 0x08}, {0x66, 3, 0x0b}, {0x66, 3, 0x0e}, {0x66, 3, 0x40}, {0x66, 3, 0x41}, {0x66, 3, 0x42},
             {0x66, 3, 0x44}, {0x66, 3, 0x60}, {0x66, 3, 0x61}, {0x66, 3, 0x62}, {0x66, 3, 0x63}, {0x66, 3, 0x21}, {0, 1, 0x70}, {0, 3, 0x0f}, {0, 1, 0xc4}, {0, 1, 0xc5}};
    vec_mode = 1;
    for (unsigned k = 0; k < sizeof t / sizeof t[0]; k++) {
        for (unsigned imm = 0; imm < 256; imm += 1 + (t[k].map == 1) * 2) {
            struct enc e = {0};
            if (t[k].p)
                e8(&e, t[k].p);
            e8(&e, 0x0f);
            if (t[k].map == 3)
                e8(&e, 0x3a);
            e8(&e, t[k].op);
            e8(&e, 0xc0 | CX << 3 | DX);
            e8(&e, imm);
            piece(&e);
            vec_run(4, imm);
        }
    }
}

static bool vex_has_imm(unsigned map, unsigned op)
{
    return map == 3 || (map == 1 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6)));
}

static void vex(unsigned map, unsigned len, bool mem)
{
    vec_mode = 1;
    for (unsigned op = 0; op < 256; op++) {
        if (map == 2 && (op == 0x49 || op == 0x4b || (op >= 0x5c && op <= 0x5e) || (op >= 0x6c && op <= 0x6d) || (op >= 0xf0 && op <= 0xf7)))
            continue; /* AMX would need a permission; BMI is elsewhere */
        for (unsigned p = 0; p < 4; p++) {
            for (unsigned w = map == 3 && op < 2; w < 2; w++) { /* W0 of VPERMQ: invalid by the book, not on every CPU */
                if (!IS64 && map == 3 && w && (op == 0x16 || op == 0x22))
                    continue; /* VPEXTRQ, VPINSRQ outside of 64-bit code: W is ignored, or invalid */
                for (unsigned vvvv = 0; vvvv < 2; vvvv++) { /* an operand, or none (which many demand) */
                    struct enc e = ENC(0xc4, 0xe0 | map, w << 7 | (vvvv ? 15u : 15u - 3) << 3 | len << 2 | p, op,
                                       (mem ? 0u : 0xc0u) | CX << 3 | (mem ? SI : DX));
                    if (!mem && map == 1 && op >= 0x71 && op <= 0x73)
                        e.b[4] = (uint8_t)(0xc0 | (2 + (w << 2)) << 3 | DX);
                    if (vex_has_imm(map, op))
                        e8(&e, 0x31 + op);
                    if (!mem && map == 1 && op == 0xc7)
                        continue;
                    piece(&e);
                    vec_run(4, op * 4 + p);
                }
            }
        }
    }
}

static void vex1_128_reg(void) { vex(1, 0, false); }
static void vex1_256_reg(void) { vex(1, 1, false); }
static void vex1_128_mem(void) { vex(1, 0, true); }
static void vex1_256_mem(void) { vex(1, 1, true); }
static void vex2_128_reg(void) { vex(2, 0, false); }
static void vex2_256_reg(void) { vex(2, 1, false); }
static void vex2_128_mem(void) { vex(2, 0, true); }
static void vex2_256_mem(void) { vex(2, 1, true); }
static void vex3_128_reg(void) { vex(3, 0, false); }
static void vex3_256_reg(void) { vex(3, 1, false); }
static void vex3_128_mem(void) { vex(3, 0, true); }
static void vex3_256_mem(void) { vex(3, 1, true); }

/* The instructions that take a rounding mode or SAE; with others the bit is reserved, and CPUs differ. */
static bool has_rounding(unsigned map, unsigned op)
{
    if (map == 1)
        return op == 0x51 || (op >= 0x58 && op <= 0x5f) || op == 0xc2 || (op >= 0x2c && op <= 0x2f) || op == 0x78 || op == 0x79 || op == 0x7a || op == 0x7b || op == 0xe6;
    if (map == 2)
        return (op >= 0x96 && op <= 0x9f) || (op >= 0xa6 && op <= 0xaf) || (op >= 0xb6 && op <= 0xbf) || op == 0x2c || op == 0x2d || op == 0x42 || op == 0x43;
    return (op >= 0x08 && op <= 0x0b) || op == 0x26 || op == 0x27 || op == 0x50 || op == 0x51 || (op >= 0x54 && op <= 0x57);
}

/* EVEX: len 0..2; mode 0 plain, 1 merging mask, 2 zeroing mask, 3 memory, 4 memory with broadcast, 5 rounding in the prefix */
static void evex_map(unsigned map, unsigned mode)
{
    vec_mode = 1;
    for (unsigned op = 0; op < 256; op++) {
        if (map == 2 && ((op >= 0x90 && op <= 0x93) || (op >= 0xa0 && op <= 0xa3) || op == 0xc6 || op == 0xc7))
            continue; /* gathers have their own group */
        if (mode == 5 && !has_rounding(map, op))
            continue;
        for (unsigned p = 0; p < 4; p++) {
            for (unsigned w = 0; w < 2; w++) {
                for (unsigned len = 0; len < 3; len++) {
                    for (unsigned vvvv = 0; vvvv < 2; vvvv++) {
                        bool mem = mode == 3 || mode == 4;
                        unsigned p2 = (mode == 2 ? 0x80u : 0u) | len << 5 | (mode >= 4 ? 0x10u : 0u) | 8u | (mode >= 1 ? 2u : 0u);
                        struct enc e = ENC(0x62, 0xf0 | map, w << 7 | (vvvv ? 15u : 15u - 3) << 3 | 4 | p, p2, op, (mem ? 0u : 0xc0u) | CX << 3 | (mem ? SI : DX));
                        if (map == 3 || vex_has_imm(map, op))
                            e8(&e, 0x31 + op);
                        piece(&e);
                        vec_run(3, op * 4 + p);
                    }
                }
            }
        }
    }
}

static void evex(unsigned mode)
{
    for (unsigned map = 1; map < 4; map++)
        evex_map(map, mode);
}
static void evex_reg(void) { evex(0); }
static void evex_merge(void) { evex(1); }
static void evex_zero(void) { evex(2); }
static void evex_mem(void) { evex(3); }
static void evex_bcst(void) { evex(4); }
static void evex_round(void) { evex(5); }

/* Gathers and scatters; some elements fault. */
static void gather(void)
{
    if (!cpu_has("avx2"))
        return;
    vec_mode = 1;
    for (unsigned ev = 0; ev < 2; ev++) {
        for (unsigned op = 0x90; op < 0xa4; op++) {
            if ((op > 0x93 && op < 0xa0) || (!ev && op > 0x93))
                continue;
            for (unsigned w = 0; w < 2; w++) {
                for (unsigned len = 0; len < 2 + ev; len++) {
                    struct enc e = {0};
                    if (ev) {
                        struct enc x = ENC(0x62, 0xf2, w << 7 | 15 << 3 | 4 | 1, len << 5 | 8 | 1, op, 0x04 | CX << 3, 0x80 | DX << 3 | SI);
                        e = x;
                    } else {
                        struct enc x = ENC(0xc4, 0xe2, w << 7 | (15 - 3) << 3 | len << 2 | 1, op, 0x04 | CX << 3, 0x80 | DX << 3 | SI);
                        e = x; /* dest 1, index 2 scaled by 4, mask 3 */
                    }
                    piece(&e);
                    for (int k = 0; k < 12; k++) {
                        rnd_seed((uint64_t)k * 31 + op);
                        rnd_regs();
                        fill_data(op);
                        vec_state(K_RANDOM, 0x1f80);
                        in.r[SI] = k < 6 ? DATA + 0x400 : DATA + DATA_SIZE - 0x80;
                        uint8_t *lo = in_x + 160 + 2 * 16, *hi = in_x + xoffset(2) + 2 * 16; /* indices in register 2 */
                        for (int i = 0; i < 4; i++) {
                            int32_t idx = (int32_t)(rnd64() & 63) - 8;
                            int64_t idx64 = (int32_t)(rnd64() & 63) - 8;
                            if (op & 1) {
                                if (i < 2) {
                                    memcpy(lo + i * 8, &idx64, 8);
                                    memcpy(hi + i * 8, &idx64, 8);
                                }
                            } else {
                                memcpy(lo + i * 4, &idx, 4);
                                memcpy(hi + i * 4, &idx, 4);
                            }
                        }
                        if (xmask & 0x40) {
                            for (int i = 0; i < 8; i++) {
                                int32_t idx = (int32_t)(rnd64() & 31);
                                int64_t idx64 = (int64_t)(rnd64() & 31);
                                uint8_t *z = in_x + xoffset(6) + 2 * 32;
                                if (!(op & 1))
                                    memcpy(z + i * 4, &idx, 4);
                                else if (i < 4)
                                    memcpy(z + i * 8, &idx64, 8);
                            }
                        }
                        run_hash(0);
                        if (fault.sig)
                            continue; /* which elements were done is not laid down */
                        hash_x();
                        hash_mem(DATAP + 0x380, 0x200);
                    }
                }
            }
        }
    }
}

/* Unmasked SSE exceptions and alignment faults. */
static void sse_faults(void)
{
    static const uint8_t ops[][8] = {{3, 0x0f, 0x5e, 0xca}, {3, 0x0f, 0x59, 0xca}, {3, 0x0f, 0x51, 0xca}, {4, 0xf2, 0x0f, 0x2d, 0xca}, {4, 0x66, 0x0f, 0x5b, 0xca},
                                     {3, 0x0f, 0x58, 0x0e}, {3, 0x0f, 0x28, 0x0e}, {4, 0x66, 0x0f, 0x7f, 0x0e}, {3, 0x0f, 0x10, 0x0e}, {4, 0x66, 0x0f, 0xfe, 0x0e},
                                     {3, 0x0f, 0xc2, 0xca, 1}, {3, 0x0f, 0x2f, 0xca}, {3, 0x0f, 0x2b, 0x0e}, {4, 0xf2, 0x0f, 0xf0, 0x0e}, {3, 0x0f, 0xae, 0x16}, {3, 0x0f, 0xae, 0x1e}};
    vec_mode = 1;
    for (unsigned o = 0; o < sizeof ops / sizeof ops[0]; o++) {
        struct enc e = {0};
        for (int i = 0; i < ops[o][0]; i++)
            e8(&e, ops[o][i + 1]);
        if (ops[o][2] == 0xc2)
            e8(&e, 1);
        piece(&e);
        for (unsigned k = 0; k < 40; k++) {
            rnd_seed(k);
            rnd_regs();
            vec_state((int)k % 5, 0x1f80 & ~(0x80u << (k % 8)));
            in.r[SI] = DATA + 0x400 + k / 2;
            if (o == 14) /* LDMXCSR: valid and reserved bits */
                *(uint32_t *)in.r[SI] = k < 20 ? 0x1f80 | k << 13 : 1u << (k - 8);
            run_hash(ARITH);
            hash_x();
            hash_mem(DATAP + 0x3c0, 0x100);
        }
    }
}

/* Loads and stores under a mask, at the edges of what is mapped: elements that are not selected do not fault and are not written. */
static void masked_edges(void)
{
    static const struct {
        uint8_t map, op, pp, w, vex, avx512;
    } t[] = {
        {2, 0x2c, 1, 0, 1, 0}, {2, 0x2d, 1, 0, 1, 0}, {2, 0x2e, 1, 0, 1, 0}, {2, 0x2f, 1, 0, 1, 0}, /* VMASKMOVPS/PD */
        {2, 0x8c, 1, 0, 1, 0}, {2, 0x8c, 1, 1, 1, 0}, {2, 0x8e, 1, 0, 1, 0}, {2, 0x8e, 1, 1, 1, 0}, /* VPMASKMOVD/Q */
        {1, 0x10, 0, 0, 0, 1}, {1, 0x11, 0, 0, 0, 1}, {1, 0x11, 1, 1, 0, 1},                        /* VMOVUPS/PD */
        {1, 0x6f, 3, 0, 0, 1}, {1, 0x6f, 3, 1, 0, 1}, {1, 0x7f, 3, 0, 0, 1}, {1, 0x7f, 3, 1, 0, 1}, /* VMOVDQU8/16 */
        {2, 0x88, 1, 0, 0, 1}, {2, 0x89, 1, 1, 0, 1}, {2, 0x8a, 1, 0, 0, 1}, {2, 0x8b, 1, 1, 0, 1}, /* VEXPAND, VCOMPRESS */
        {1, 0x58, 0, 0, 0, 1}, {1, 0x5a, 0, 0, 0, 1}, {2, 0x30, 1, 0, 0, 1}, {2, 0x30, 2, 0, 0, 1}, /* VADDPS VCVTPS2PD VPMOVZXBW VPMOVWB */
        {2, 0x18, 1, 0, 0, 1}, {1, 0x10, 2, 0, 0, 1}, {1, 0x11, 3, 1, 0, 1},                        /* VBROADCASTSS VMOVSS VMOVSD */
        {1, 0x74, 1, 0, 0, 1}, {1, 0x76, 1, 0, 0, 1}, {2, 0x27, 1, 1, 0, 1},                        /* VPCMPEQB VPCMPEQD VPTESTMQ */
    };
    static const struct {
        unsigned page, back;
    } at[] = {{DATA_SIZE / PAGE, 1}, {DATA_SIZE / PAGE, 4}, {DATA_SIZE / PAGE, 16}, {DATA_SIZE / PAGE, 40}, {0, 4}, {0, 8}, {0, 31}, {3, 3}, {3, 20}, {3, 40}};
    if (!cpu_has("avx2"))
        return;
    vec_mode = 1;
    for (unsigned k = 0; k < sizeof t / sizeof t[0]; k++) {
        if (t[k].avx512 && !(xmask & 0x40))
            continue;
        for (unsigned len = 0; len < (t[k].vex ? 2u : 3u); len++) {
            struct enc e;
            if (t[k].vex)
                e = ENC(0xc4, 0xe0 | t[k].map, t[k].w << 7 | (15 - 3) << 3 | len << 2 | t[k].pp, t[k].op, CX << 3 | SI); /* 1, mask 3 */
            else
                e = ENC(0x62, 0xf0 | t[k].map, t[k].w << 7 | 15 << 3 | 4 | t[k].pp, len << 5 | 8 | 1, t[k].op, CX << 3 | SI); /* 1, mask k1 */
            piece(&e);
            for (unsigned a = 0; a < sizeof at / sizeof at[0]; a++) {
                for (unsigned m = 0; m < 8; m++) {
                    rnd_seed(a * 100 + m);
                    rnd_regs();
                    fill_data(a);
                    vec_state(K_RANDOM, 0x1f80);
                    in.r[SI] = DATA + at[a].page * PAGE - at[a].back;
                    uint64_t k1 = rnd64();
                    unsigned keep = at[a].back / (t[k].w ? 8 : 4);
                    k1 = m == 0 ? 0 : m == 1 ? ~0ull : m == 2 ? (1ull << keep) - 1 : m == 3 ? ~((1ull << keep) - 1) : m == 4 ? (1ull << at[a].back) - 1
                         : m == 5 ? 2 : m == 6 ? k1 & ((1ull << keep) - 1) : k1;
                    if (xmask & 0x40)
                        memcpy(in_x + xoffset(5) + 8, &k1, 8);
                    if (t[k].vex) {
                        for (unsigned i = 0; i < 8; i++) {
                            bool on = k1 >> (t[k].w || t[k].op == 0x2d || t[k].op == 0x2f ? i / 2 : i) & 1;
                            uint8_t *q = i < 4 ? in_x + 160 + 3 * 16 + i * 4 : in_x + xoffset(2) + 3 * 16 + (i - 4) * 4;
                            q[3] = (uint8_t)((q[3] & 0x7f) | (on ? 0x80 : 0));
                        }
                    }
                    run();
                    hash((word)fault.sig);
                    hash(fault.trap);
                    hash_x();
                    hash_mem(DATAP, 128);
                    hash_mem(DATAP + 3 * PAGE - 128, 256);
                    hash_mem(DATAP + DATA_SIZE - 128, 128);
                }
            }
        }
    }
    vec_mode = 0;
}

/* XSAVE and XRSTOR of user state: what one wrote the other reads; areas in the standard format. */
static void xsave_restore(void)
{
    vec_mode = 1;
    for (unsigned m = 0; m < 8; m++) {
        for (int rst = 0; rst < 2; rst++) {
            struct enc e = ENC(0x0f, 0xae, (rst ? 5u : 4u) << 3 | SI);
            piece(&e);
            for (unsigned k = 0; k < 6; k++) {
                fill_data(k);
                rnd_seed(k + m);
                rnd_regs();
                vec_state((int)k % 5, 0x1f80);
                uint8_t *area = DATAP + 0x1000;
                in.r[SI] = DATA + 0x1000 + (k == 5 ? 16 : 0); /* misaligned */
                in.r[AX] = m;
                in.r[DX] = 0;
                if (rst) {
                    memset(area, 0, 832);
                    memcpy(area, in_x, 512);
                    for (unsigned i = 32; i < 288; i++)
                        area[i] ^= 0x55;
                    *(uint64_t *)(area + 512) = k == 4 ? (uint64_t)1 << 60 : k; /* a reserved bit faults */
                    memset(area + 576, 0x77, 256);
                    if (k == 3)
                        area[530] = 1; /* reserved header bytes */
                }
                run_hash(0);
                hash_x();
                if (!rst) {
                    hash_mem(area, 5);
                    hash_mem(area + 24, 4);
                    hash_mem(area + 32, 384 - (IS64 ? 0 : 128));
                }
            }
        }
    }
    struct enc e = ENC(0x0f, 0x01, 0xd0); /* XGETBV */
    piece(&e);
    for (unsigned k = 0; k < 3; k++) {
        rnd_regs();
        in.r[CX] = k == 2 ? 99 : 0;
        run_hash(0);
    }
}

const struct group vec_groups[] = {
    {"sse_0f_reg", sse_0f_reg},     {"sse_0f_mem", sse_0f_mem},     {"sse_0f38_reg", sse_0f38_reg}, {"sse_0f38_mem", sse_0f38_mem},
    {"sse_0f3a_reg", sse_0f3a_reg}, {"sse_0f3a_mem", sse_0f3a_mem}, {"sse_imm", sse_imm},           {"sse_faults", sse_faults},
    {"vex1_128_reg", vex1_128_reg}, {"vex1_256_reg", vex1_256_reg}, {"vex1_128_mem", vex1_128_mem}, {"vex1_256_mem", vex1_256_mem},
    {"vex2_128_reg", vex2_128_reg}, {"vex2_256_reg", vex2_256_reg}, {"vex2_128_mem", vex2_128_mem}, {"vex2_256_mem", vex2_256_mem},
    {"vex3_128_reg", vex3_128_reg}, {"vex3_256_reg", vex3_256_reg}, {"vex3_128_mem", vex3_128_mem}, {"vex3_256_mem", vex3_256_mem},
    {"evex_reg", evex_reg},         {"evex_merge", evex_merge},     {"evex_zero", evex_zero},       {"evex_mem", evex_mem},
    {"evex_bcst", evex_bcst},       {"evex_round", evex_round},     {"gather", gather},             {"xsave_restore", xsave_restore},
    {"masked_edges", masked_edges}, {NULL, NULL},
};
