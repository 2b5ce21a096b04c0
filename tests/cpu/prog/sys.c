/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reaches the kernel: privileged instructions, page faults in the middle of instructions, alignment, prefixes, threads. */
#define _GNU_SOURCE
#include "cputest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -- privileged and invalid ------------------------------------------------------------------------------------------------ */

static void privileged(void)
{
    static const uint8_t t[][8] = {
        {1, 0xf4}, {1, 0xfa}, {1, 0xfb}, {2, 0xe4, 0x80}, {2, 0xe7, 0x80}, {1, 0xec}, {1, 0xef}, {1, 0x6c}, {1, 0x6f}, {2, 0xf3, 0x6c}, {2, 0xf3, 0x6e},
        {3, 0x0f, 0x01, 0x16}, {3, 0x0f, 0x01, 0x1e}, {3, 0x0f, 0x00, 0x16}, {3, 0x0f, 0x00, 0x1e}, {3, 0x0f, 0x00, 0xd0}, {3, 0x0f, 0x00, 0xd8},
        {3, 0x0f, 0x20, 0xc0}, {3, 0x0f, 0x20, 0xd8}, {3, 0x0f, 0x22, 0xc0}, {3, 0x0f, 0x22, 0xe0}, {3, 0x0f, 0x21, 0xc0}, {3, 0x0f, 0x23, 0xf8},
        {2, 0x0f, 0x08}, {2, 0x0f, 0x09}, {3, 0x0f, 0x01, 0x3e}, {2, 0x0f, 0x32}, {2, 0x0f, 0x30}, {2, 0x0f, 0x06}, {3, 0x0f, 0x01, 0xf0}, {3, 0x0f, 0x20, 0xc8},
        {3, 0x0f, 0x01, 0xf8}, {2, 0x0f, 0x07}, {3, 0x0f, 0x01, 0xd1}, {3, 0x0f, 0x01, 0xca}, {3, 0x0f, 0x01, 0xcb}, {2, 0xcd, 0x00},
        {2, 0xcd, 0x0d}, {2, 0xcd, 0x20}, {2, 0xcd, 0xff}, {2, 0xcd, 0x08}, {1, 0xcc}, {2, 0xcd, 0x03}, {2, 0xcd, 0x04}, {2, 0x0f, 0x33}, {2, 0x0f, 0xaa},
        {2, 0x0f, 0x04}, {2, 0x0f, 0x0a}, {2, 0x0f, 0x24}, {2, 0x0f, 0x36}, {2, 0x0f, 0xa6}, {2, 0xff, 0xf8}, {2, 0xff, 0xff}, {2, 0xfe, 0xd0},
        {2, 0x8f, 0xc8}, {2, 0xc6, 0xc8}, {3, 0x0f, 0xba, 0xc0}, {3, 0x0f, 0xc7, 0xc8}, {2, 0x62, 0xc0}, {2, 0xc4, 0xc0}, {2, 0x8c, 0xf0}, {2, 0x8e, 0xc8},
        {1, 0xce}, {1, 0x06}, {1, 0x0e}, {1, 0x9a}, {1, 0xea}, {1, 0x60}, {1, 0x82}, {1, 0xd6}, {3, 0x0f, 0xae, 0x0f},
    };
    for (unsigned k = 0; k < sizeof t / sizeof t[0]; k++) {
        struct enc e = {0};
        for (int i = 0; i < t[k][0]; i++)
            e8(&e, t[k][i + 1]);
        if (!IS64 && t[k][0] == 1 && (t[k][1] == 0x06 || t[k][1] == 0x0e || t[k][1] == 0x9a || t[k][1] == 0xea || t[k][1] == 0xd6 || t[k][1] == 0x60 || t[k][1] == 0x82))
            continue; /* valid there */
        if (!IS64 && t[k][0] == 2 && t[k][1] == 0x0f && t[k][2] == 0x07)
            continue; /* SYSRET: depends on what the kernel enabled */
        for (int i = 0; i < 8; i++)
            e8(&e, 0x90);
        piece(&e);
        fill_data(k);
        rnd_regs();
        in.r[CX] = 0x10;
        in.r[DX] = 0x80;
        in.r[AX] = 0;
        in.fl = 2;
        run_hash(ARITH);
    }
    /* The length limit of 15 bytes: 14 prefixes and an opcode pass, 15 do not. */
    for (int n = 10; n < 18; n++) {
        struct enc e = {0};
        for (int i = 0; i < n; i++)
            e8(&e, 0x66);
        e8(&e, 0x90);
        piece(&e);
        rnd_regs();
        run_hash(ARITH);
    }
}

/* LOCK where it may stand and where not. */
static void lock_prefix(void)
{
    for (unsigned op = 0; op < 0x200; op++) {
        for (unsigned reg = 0; reg < 8; reg++) {
            for (int mem = 0; mem < 2; mem++) {
                unsigned o = op & 0xff;
                bool two = op & 0x100;
                /* One-byte opcodes with a ModRM byte and no effect on control; two-byte ones that have lockable forms or nearly. */
                bool ok1 = o < 0x40 ? (o & 7) < 4 && !((o & 0x38) == 0x38 && 0) : o == 0x80 || o == 0x81 || o == 0x83 || (o >= 0x84 && o <= 0x8b) || o == 0x8d || o == 0xc0 || o == 0xc1 ||
                           (o >= 0xd0 && o <= 0xd3) || o == 0xf6 || o == 0xf7 || o == 0xfe || (o == 0xff && reg < 2) || o == 0xc6 || o == 0xc7;
                bool ok2 = o == 0xab || o == 0xb3 || o == 0xbb || o == 0xa3 || o == 0xba || o == 0xb0 || o == 0xb1 || o == 0xc0 || o == 0xc1 || (o == 0xc7 && reg == 1) || o == 0xaf || o == 0x1f;
                if (two ? !ok2 : !ok1)
                    continue;
                if ((o == 0xc7 && two && !mem) || (!two && (o & 0xc7) == 2 && o > 0x40))
                    continue;
                struct enc e = ENC(0xf0);
                if (two)
                    e8(&e, 0x0f);
                e8(&e, o);
                e8(&e, (mem ? 0u : 0xc0u) | reg << 3 | SI);
                if (!two && (o == 0x80 || o == 0x83 || o == 0xc0 || o == 0xc1 || o == 0xc6 || (o == 0xf6 && reg < 2)))
                    e8(&e, 5);
                if (!two && (o == 0x81 || o == 0xc7 || (o == 0xf7 && reg < 2)))
                    e32(&e, 5);
                if (two && o == 0xba)
                    e8(&e, 5);
                piece(&e);
                fill_data(op);
                rnd_regs();
                in.r[CX] = in.r[AX] = in.r[DX] = 3;
                if (!mem)
                    in.r[SI] = 77;
                run_hash(CF | ZF);
                hash_mem(DATAP + 0x400, 16);
            }
        }
    }
}

/* Prefixes in odd orders and numbers; REX that does not come last counts for nothing. */
static void prefix_soup(void)
{
    static const uint8_t pre[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x48, 0x41, 0x44, 0x4c};
    static const uint8_t ins[][6] = {{2, 0x89, 0xd8}, {2, 0x8b, 0x06}, {3, 0x0f, 0xb6, 0xc1}, {1, 0x90}, {2, 0xff, 0xc0}, {3, 0x0f, 0xbc, 0xc3}, {3, 0x83, 0xc0, 1}, {2, 0x88, 0xe5}, {1, 0xa5}};
    for (unsigned i = 0; i < sizeof ins / sizeof ins[0]; i++) {
        for (unsigned a = 0; a < sizeof pre; a++) {
            for (unsigned b = 0; b < sizeof pre; b++) {
                for (unsigned c = 0; c < 3; c++) {
                    uint8_t p[3] = {pre[a], pre[b], pre[(a * 5 + b * 3 + c) % sizeof pre]};
                    bool has67 = p[0] == 0x67 || p[1] == 0x67 || (c && p[2] == 0x67);
                    bool rexpre = !IS64 && (p[0] >= 0x40 && p[0] < 0x50), rexpre2 = !IS64 && p[1] >= 0x40 && p[1] < 0x50, rexpre3 = !IS64 && p[2] >= 0x40 && p[2] < 0x50;
                    if (rexpre || rexpre2 || rexpre3 || (has67 && !IS64))
                        continue; /* INC and DEC there; 16-bit addresses */
                    struct enc e = {0};
                    e8(&e, p[0]);
                    e8(&e, p[1]);
                    if (c)
                        e8(&e, p[2]);
                    for (int k = 0; k < ins[i][0]; k++)
                        e8(&e, ins[i][k + 1]);
                    for (int k = 0; k < 8; k++)
                        e8(&e, 0x90);
                    piece(&e);
                    fill_data(i);
                    rnd_regs();
                    in.r[CX] = 3;
                    in.r[8 % NREG] = IS64 ? DATA + 0x500 : in.r[8 % NREG];
                    if (IS64)
                        in.r[14] = DATA + 0x480;
                    run_hash(i == 5 ? ZF : ARITH);
                    hash_mem(DATAP + 0x400, 0x600);
                }
            }
        }
    }
}

/* -- page faults ----------------------------------------------------------------------------------------------------------- */

/* Memory instructions with SI (or DI, SP) as the place; the second number is how many bytes they touch. */
static const struct {
    uint8_t n, b[11];
    uint8_t size;
    uint8_t ptr; /* which register points to the operand */
    bool only32;
    bool loose; /* the manuals do not say which part is touched first: only the page of the fault is compared */
} access_list[] = {
    {2, {0x8b, 0x06}, 4, SI, 0},                         /* load */
    {2, {0x89, 0x0e}, 4, SI, 0},                         /* store */
    {3, {0x66, 0x8b, 0x06}, 2, SI, 0},
    {2, {0x01, 0x0e}, 4, SI, 0},                         /* read, modify, write */
    {3, {0xf0, 0x01, 0x0e}, 4, SI, 0},
    {2, {0x87, 0x0e}, 4, SI, 0},                         /* XCHG */
    {3, {0x0f, 0xb1, 0x0e}, 4, SI, 0},                   /* CMPXCHG: writes even when unequal */
    {3, {0x0f, 0xc1, 0x0e}, 4, SI, 0},                   /* XADD */
    {3, {0x0f, 0xc7, 0x0e}, 8, SI, 0},                   /* CMPXCHG8B */
    {3, {0x0f, 0xab, 0x0e}, 4, SI, 0},                   /* BTS */
    {3, {0xc1, 0x26, 0x03}, 4, SI, 0},                   /* SHL */
    {2, {0xf7, 0x1e}, 4, SI, 0},                         /* NEG */
    {2, {0xf7, 0x26}, 4, SI, 0},                         /* MUL */
    {2, {0xff, 0x36}, 4, SI, 0},                         /* PUSH from memory */
    {2, {0x8f, 0x06}, 4, SI, 0},                         /* POP to memory */
    {3, {0x0f, 0x94, 0x06}, 1, SI, 0},                   /* SETZ */
    {3, {0x0f, 0x44, 0x06}, 4, SI, 0},                   /* CMOVZ: reads in any case */
    {3, {0x0f, 0xb6, 0x06}, 1, SI, 0},
    {1, {0xac}, 1, SI, 0},                               /* LODSB, MOVS, STOS, CMPS, SCAS */
    {1, {0xa5}, 4, SI, 0},
    {1, {0xa5}, 4, DI, 0},
    {1, {0xab}, 4, DI, 0},
    {1, {0xa7}, 4, DI, 0},
    {1, {0xaf}, 4, DI, 0},
    {2, {0xf3, 0xa5}, 32, SI, 0},
    {2, {0xf3, 0xa5}, 32, DI, 0},
    {2, {0xf3, 0xa4}, 32, DI, 0},
    {2, {0xf3, 0xab}, 32, DI, 0},
    {2, {0xf3, 0xa6}, 32, SI, 0},
    {2, {0xf2, 0xae}, 32, DI, 0},
    {1, {0x50}, 8, SP, 0},                               /* PUSH, POP, CALL, RET, ENTER, LEAVE, PUSHF */
    {1, {0x58}, 8, SP, 0},
    {1, {0x9c}, 8, SP, 0},
    {5, {0xe8, 0, 0, 0, 0}, 8, SP, 0},
    {4, {0xc8, 0x20, 0, 0}, 8, SP, 0},
    {4, {0xc8, 0x20, 0, 3}, 8, SP, 0},
    {1, {0xc9}, 8, BP, 0},
    {1, {0x60}, 32, SP, 1, 1},                              /* PUSHA, POPA */
    {1, {0x61}, 32, SP, 1, 1},
    {2, {0x62, 0x0e}, 8, SI, 1},                         /* BOUND */
    {2, {0xd9, 0x06}, 4, SI, 0},                         /* FLD, FSTP, FBSTP, FNSAVE, FRSTOR */
    {2, {0xdd, 0x06}, 8, SI, 0},
    {2, {0xdb, 0x2e}, 10, SI, 0},
    {2, {0xdd, 0x1e}, 8, SI, 0},
    {2, {0xdb, 0x3e}, 10, SI, 0},
    {2, {0xdf, 0x36}, 10, SI, 0},
    {2, {0xdd, 0x36}, 108, SI, 0, 1},
    {2, {0xd9, 0x36}, 28, SI, 0, 1},
    {3, {0x0f, 0x10, 0x06}, 16, SI, 0},                  /* MOVUPS both ways, MOVQ, MOVHPS */
    {3, {0x0f, 0x11, 0x06}, 16, SI, 0},
    {4, {0x66, 0x0f, 0xd6, 0x06}, 8, SI, 0},
    {3, {0x0f, 0x17, 0x06}, 8, SI, 0},
    {4, {0xf3, 0x0f, 0x58, 0x06}, 4, SI, 0},             /* ADDSS */
    {4, {0x66, 0x0f, 0xf7, 0xca}, 16, DI, 0, 1},            /* MASKMOVDQU */
    {4, {0xc5, 0xfc, 0x10, 0x06}, 32, SI, 0},            /* VMOVUPS ymm, both ways */
    {4, {0xc5, 0xfc, 0x11, 0x06}, 32, SI, 0},
    {5, {0xc4, 0xe2, 0x6d, 0x2e, 0x06}, 32, SI, 0, 1},      /* VMASKMOVPS: masked elements do not fault */
    {5, {0xc4, 0xe2, 0x6d, 0x2c, 0x06}, 32, SI, 0, 1},
    {6, {0x62, 0xf1, 0x7c, 0x48, 0x10, 0x06}, 64, SI, 0},
    {6, {0x62, 0xf1, 0x7c, 0x48, 0x11, 0x06}, 64, SI, 0},
    {6, {0x62, 0xf1, 0x7c, 0x49, 0x10, 0x06}, 64, SI, 0, 1}, /* with a mask */
    {6, {0x62, 0xf1, 0x7c, 0x49, 0x11, 0x06}, 64, SI, 0, 1},
};

static int mends;
static bool mend_loose;
static word fault_area;

/* Makes the page accessible and lets the instruction go on. */
static bool mend(ucontext_t *uc, siginfo_t *si)
{
    word addr = (word)si->si_addr;
    if (si->si_signo != SIGSEGV || addr < fault_area || addr >= fault_area + 3 * PAGE || ++mends > 4)
        return false;
    hash((word)uc->uc_mcontext.gregs[REG_ERR]);
    hash(mend_loose ? addr / PAGE : addr);
    note("page fault error %lx at %lx", (word)uc->uc_mcontext.gregs[REG_ERR], addr);
    mprotect((void *)(addr & ~(word)(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
    return true;
}

/* As run_hash(), but of a fault only its kind and page. */
static void run_loose(word mask)
{
    run();
    hash(fault.trap);
    hash(fault.err);
    hash(fault.addr / PAGE);
    if (!fault.sig) {
        for (int i = 0; i < NREG; i++)
            hash(out.r[i]);
        hash(out.fl & mask);
    }
}

/* An access at each distance from the end of a page, with the next page absent, read only, or (going on) made good by the handler. */
static void page_faults(void)
{
    word area = DATA + DATA_SIZE - 4 * PAGE, second = area + 2 * PAGE;
    fault_area = area;
    vec_mode = 1;
    for (unsigned k = 0; k < sizeof access_list / sizeof access_list[0]; k++) {
        if (IS64 && access_list[k].only32)
            continue;
        struct enc e = {0};
        for (int i = 0; i < access_list[k].n; i++)
            e8(&e, access_list[k].b[i]);
        piece(&e);
        int size = access_list[k].size, ptr = access_list[k].ptr;
        for (int off = -size - 1; off <= 1; off += 1 + size / 20) {
            for (int mode = 0; mode < 6; mode++) { /* absent, read only; then the same mended; first page absent; both */
                for (int back = 0; back < (access_list[k].b[0] >= 0xa4 ? 2 : 1); back++) {
                    mprotect((void *)(area + PAGE), 2 * PAGE, PROT_READ | PROT_WRITE);
                    fill_data(k);
                    for (unsigned i = 0; i < 0x200; i++)
                        ((uint8_t *)(second - 0x100))[i] = (uint8_t)(i * 7 + k);
                    rnd_seed(k);
                    rnd_regs();
                    memset(in_x, 0, 512);
                    *(uint16_t *)in_x = 0x37f;
                    in_x[4] = (uint8_t)(access_list[k].b[1] == 0x06 || access_list[k].b[1] == 0x2e ? 0x3f : 0xff);
                    *(uint32_t *)(in_x + 24) = 0x1f80;
                    for (int i = 0; i < 8 * 16 + NREG * 16; i++)
                        in_x[32 + i] = (uint8_t)(i * 11 + (i >> 3));
                    for (int i = 512 + 64; i < 4096; i++)
                        in_x[i] = (uint8_t)(i * 13 + (i >> 4));
                    in.r[AX] = 0x41;
                    in.r[CX] = 8;
                    in.r[BP] = ptr == BP ? second + (word)off : STACK_MID;
                    in.r[ptr] = second + (word)off;
                    if (ptr == SP && (access_list[k].b[0] == 0x50 || access_list[k].b[0] == 0x9c || access_list[k].b[0] == 0xe8 || access_list[k].b[0] == 0xc8 || access_list[k].b[0] == 0x60))
                        in.r[SP] += (word)(access_list[k].b[0] == 0x60 ? 32 : 8);
                    in.fl = 2 | (back ? DF : 0);
                    int prot = mode & 1 ? PROT_READ : PROT_NONE;
                    if (mode < 4)
                        mprotect((void *)second, PAGE, prot);
                    else
                        mprotect((void *)(area + PAGE), mode == 5 ? 2 * PAGE : PAGE, PROT_NONE);
                    fault_hook = mode >= 2 ? mend : NULL;
                    mends = 0;
                    mend_loose = access_list[k].loose;
                    word mask = access_list[k].b[1] == 0x26 || access_list[k].b[0] == 0xc1 || access_list[k].b[1] == 0xc1 ? CF | DF
                                : access_list[k].b[1] == 0xab                                                              ? CF | ZF | DF
                                                                                                                           : ARITH | DF;
                    if (mend_loose)
                        run_loose(mask);
                    else
                        run_hash(mask);
                    hash((uint64_t)mends);
                    if (!mend_loose || !fault.sig)
                        hash_x();
                    mprotect((void *)(area + PAGE), 2 * PAGE, PROT_READ | PROT_WRITE);
                    if (mend_loose && fault.sig)
                        continue;
                    if (access_list[k].b[1] == 0x36 && access_list[k].size >= 28)
                        continue; /* the image holds instruction pointers */
                    if (access_list[k].b[0] == 0x9c || access_list[k].b[0] == 0xe8)
                        continue;
                    hash_mem((void *)(second - 0x100), 0x200);
                    hash_mem((void *)(STACK_MID - 0x80), 0x100);
                }
            }
        }
    }
}

/*
 * Flags after a fault are as before the instruction. The other groups leave them out, so that one fault of an engine is not seen
 * everywhere.
 */
static void fault_flags(void)
{
    word area = DATA + DATA_SIZE - 4 * PAGE, second = area + 2 * PAGE;
    vec_mode = 1;
    for (unsigned k = 0; k < sizeof access_list / sizeof access_list[0]; k++) {
        if ((IS64 && access_list[k].only32) || access_list[k].b[0] == 0xf3 || access_list[k].b[0] == 0xf2)
            continue;
        struct enc e = {0};
        for (int i = 0; i < access_list[k].n; i++)
            e8(&e, access_list[k].b[i]);
        piece(&e);
        for (unsigned f = 0; f < 32; f++) {
            rnd_seed(k);
            rnd_regs();
            memset(in_x, 0, 512);
            *(uint16_t *)in_x = 0x37f;
            *(uint32_t *)(in_x + 24) = 0x1f80;
            in.r[BP] = STACK_MID;
            in.r[access_list[k].ptr] = second - (f & 1);
            in.fl = 2 | (f & 1 ? CF : 0) | (f & 2 ? PF | AF : 0) | (f & 4 ? ZF : 0) | (f & 8 ? SF : 0) | (f & 16 ? OF : 0);
            mprotect((void *)second, PAGE, f & 2 ? PROT_NONE : PROT_READ);
            run();
            if (fault.sig) {
                hash(out.fl & ARITH);
                note("fl before %lx, after the fault %lx", in.fl & ARITH, out.fl & ARITH);
            }
            mprotect((void *)second, PAGE, PROT_READ | PROT_WRITE);
        }
    }
}

/*
 * The same in the middle of code: flags that one instruction sets, the next one faults, the one after overwrites; in one piece of code, or with jumps
 * in between, among them such as depend on the flags. Some jumps lie between the flags' loading and that, and each piece first runs often without a
 * fault. What processors leave undefined is not compared, nor what cannot be found again once it is gone: see the translator's bt_flags.c.
 */
static void dead_flags(void)
{
    static const struct {
        uint8_t n, b[8];
        word mask;
    } set[] = {
#define OK3 (ZF | SF | PF)
        {2, {0x01, 0xd8}, ARITH}, {2, {0x29, 0xd8}, ARITH}, {2, {0x39, 0xd8}, ARITH}, {2, {0x21, 0xd8}, ARITH}, {2, {0x09, 0xd8}, ARITH}, {2, {0x31, 0xd8}, ARITH},
        {2, {0x85, 0xd8}, ARITH}, {3, {0x83, 0xc0, 0x7f}, ARITH}, {3, {0x83, 0xe8, 0x80}, ARITH}, {5, {0x3d, 0x78, 0x56, 0x34, 0x12}, ARITH}, {2, {0xa8, 0x91}, ARITH},
        {2, {0x00, 0xd8}, ARITH}, {2, {0x28, 0xd8}, ARITH}, {2, {0x38, 0xd8}, ARITH}, {3, {0x66, 0x01, 0xd8}, ARITH}, {3, {0x66, 0x39, 0xd8}, ARITH}, {2, {0x29, 0xc0}, ARITH},
        {2, {0x31, 0xc0}, ARITH}, {2, {0x30, 0xd8}, ARITH}, {3, {0x66, 0x85, 0xdb}, ARITH}, {2, {0xf7, 0xd8}, ARITH}, {2, {0x23, 0x07}, ARITH}, {2, {0xff, 0xc0}, ARITH & ~CF},
        {2, {0xff, 0xc8}, ARITH & ~CF}, {2, {0x01, 0xc0}, OK3}, {3, {0xc1, 0xe8, 0x03}, OK3}, {3, {0xc1, 0xe0, 0x05}, OK3}, {2, {0xd1, 0xf8}, OK3}, {2, {0x11, 0xd8}, OK3},
        {2, {0x19, 0xd8}, OK3}, {2, {0x03, 0x07}, OK3}, {2, {0x2b, 0x07}, OK3},
        /* two that set some each: CMP, ADD or SUB before STC, CLC, CMC, SAHF, ADC, SBB, INC, DEC, ROL, ROR, BT, BTC, BSF */
        {1, {0xf9}, CF}, {1, {0xf8}, CF}, {3, {0x39, 0xd8, 0xf9}, ARITH}, {3, {0x39, 0xd8, 0xf8}, ARITH}, {3, {0x39, 0xd8, 0xf5}, ARITH}, {3, {0x39, 0xd8, 0x9e}, ARITH},
        {4, {0x01, 0xd8, 0x11, 0xda}, ARITH}, {4, {0x29, 0xd8, 0x19, 0xda}, ARITH}, {5, {0x01, 0xd8, 0x83, 0xd2, 0xff}, ARITH}, {5, {0x29, 0xd8, 0x83, 0xda, 0x7f}, ARITH},
        {5, {0x29, 0xd8, 0x66, 0x19, 0xda}, ARITH}, {4, {0x00, 0xd8, 0x10, 0xda}, ARITH}, {4, {0x01, 0xd8, 0xff, 0xc2}, ARITH}, {4, {0x29, 0xd8, 0xff, 0xca}, ARITH},
        {4, {0x01, 0xd8, 0xd1, 0xc2}, ARITH}, {4, {0x01, 0xd8, 0xd1, 0xca}, ARITH}, {5, {0x39, 0xd8, 0xc1, 0xc2, 0x07}, ARITH & ~OF}, {5, {0x39, 0xd8, 0xc1, 0xca, 0x1d}, ARITH & ~OF},
        {6, {0x39, 0xd8, 0x0f, 0xba, 0xe2, 0x05}, CF | ZF}, {5, {0x39, 0xd8, 0x0f, 0xa3, 0xda}, CF | ZF}, {6, {0x39, 0xd8, 0x0f, 0xba, 0xfa, 0x1f}, CF | ZF},
        {5, {0x39, 0xd8, 0x0f, 0xbb, 0xda}, CF | ZF}, {5, {0x39, 0xd8, 0x0f, 0xbc, 0xea}, ZF}, {5, {0x39, 0xd8, 0x0f, 0xbd, 0xea}, ZF},
        /* LZCNT, TZCNT, POPCNT, ANDN; XADD; MUL, IMUL */
        {4, {0xf3, 0x0f, 0xbd, 0xea}, CF | ZF}, {4, {0xf3, 0x0f, 0xbc, 0xea}, CF | ZF}, {4, {0xf3, 0x0f, 0xb8, 0xea}, ARITH}, {5, {0xc4, 0xe2, 0x68, 0xf2, 0xeb}, CF | ZF | SF | OF},
        {3, {0x0f, 0xc1, 0xd0}, ARITH}, {3, {0x0f, 0xc0, 0xd0}, ARITH}, {2, {0xf7, 0xe3}, CF | OF}, {2, {0xf7, 0xeb}, CF | OF}, {2, {0xf6, 0xe3}, CF | OF}, {2, {0xf6, 0xeb}, CF | OF},
        {3, {0x66, 0xf7, 0xeb}, CF | OF}, {3, {0x6b, 0xea, 0x7f}, CF | OF}, {6, {0x69, 0xea, 0x01, 0x00, 0x00, 0x00}, CF | OF}};
    static const uint8_t between[][6] = {{0}, {2, 0x89, 0xd1} /* mov ecx, edx */, {2, 0x8b, 0x0f} /* a load that succeeds */, {2, 0xeb, 0x00} /* jmp */,
                                         {3, 0x74, 0x01, 0x90} /* jz over a nop */, {5, 0x7d, 0x02, 0x89, 0xd9, 0x90} /* jge over mov ecx, ebx */};
    word page = DATA + DATA_SIZE - 4 * PAGE;
    vec_mode = 0;
    for (unsigned k = 0; k < sizeof set / sizeof set[0]; k++) {
        for (unsigned v = 0; v < sizeof between / sizeof between[0]; v++) {
            for (unsigned wide = 0; wide < (IS64 ? 2u : 1u); wide++) {
                struct enc e = {0};
                for (unsigned i = 0; i < 12; i++)
                    e8(&e, 0xeb), e8(&e, 0);
                if (wide)
                    e8(&e, 0x48);
                for (int i = 0; i < set[k].n; i++)
                    e8(&e, set[k].b[i]);
                for (int i = 0; i < between[v][0]; i++)
                    e8(&e, between[v][i + 1]);
                e8(&e, 0x89), e8(&e, 0x0e); /* mov [si], ecx */
                e8(&e, 0x39), e8(&e, 0xd1); /* cmp ecx, edx */
                piece(&e);
                for (unsigned f = 0; f < 12; f++) {
                    rnd_seed(k * 16 + f);
                    rnd_regs();
                    fill_data(f);
                    if (f > 9) /* small numbers: carries and overflows of another kind */
                        in.r[AX] &= 0xff, in.r[BX] &= 3, in.r[DX] &= 1;
                    in.r[SI] = page;
                    in.r[DI] = DATA + 0x400;
                    in.fl = 2 | (f & 1 ? CF : 0) | (f & 2 ? PF | AF : 0) | (f & 4 ? ZF | OF : 0) | (f & 8 ? SF : 0);
                    bool bad = f == 0 || f == 5 || f >= 9;
                    if (bad)
                        mprotect((void *)page, PAGE, PROT_READ);
                    run();
                    if (bad)
                        mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
                    hash((uint64_t)fault.sig);
                    hash(fault.sig ? out.fl & set[k].mask : 0);
                    note("run %u: signal %d fl %lx", f, fault.sig, out.fl & set[k].mask);
                }
            }
        }
    }
}

/* Non-canonical and kernel addresses, as data, as stack and as code. */
static void bad_addresses(void)
{
    static const uint64_t addrs[] = {0, 8, 0xfff, 0x00007fffffffffff, 0x0000800000000000, 0x8000000000000000, 0xfffffffffffff000, 0xffffffff80000000, 0xffff888000000000};
    static const uint8_t ins[][6] = {{2, 0x8b, 0x06}, {2, 0x88, 0x0e}, {1, 0xac}, {2, 0xff, 0xe6}, {2, 0xff, 0xd6}, {3, 0x56, 0x9d, 0x90}, {3, 0x0f, 0x18, 0x06}, {2, 0xff, 0x16}};
    for (unsigned a = 0; a < (IS64 ? 9 : 3); a++) {
        for (unsigned k = 0; k < sizeof ins / sizeof ins[0]; k++) {
            struct enc e = {0};
            if (k == 5)
                continue;
            for (int i = 0; i < ins[k][0]; i++)
                e8(&e, ins[k][i + 1]);
            piece(&e);
            rnd_regs();
            in.r[SI] = (word)addrs[a];
            run();
            hash((uint64_t)fault.sig);
            hash(fault.trap);
            hash(fault.err);
            hash(fault.addr);
            hash(out.ip == (word)addrs[a] ? 1 : out.ip - code_ptr); /* a branch to what is not canonical faults itself */
            hash(out.r[SP]);
            note("address %llx: signal %d trap %lu error %lx at %lx", (unsigned long long)addrs[a], fault.sig, fault.trap, fault.err, fault.addr);
        }
        for (unsigned k = 0; k < 2; k++) { /* PUSH and RET with SP there */
            struct enc e = ENC(k ? 0xc3 : 0x50);
            if (!IS64 && a == 0 && k == 0)
                continue; /* wraps to the top, where kernels differ */
            piece(&e);
            rnd_regs();
            in.r[SP] = (word)addrs[a];
            run();
            hash((uint64_t)fault.sig);
            hash(fault.trap);
            hash(fault.err);
            hash(fault.addr);
            hash(out.ip - code_ptr);
            note("stack %llx: signal %d trap %lu error %lx at %lx", (unsigned long long)addrs[a], fault.sig, fault.trap, fault.err, fault.addr);
        }
    }
}

/* Accesses from one base register whose displacements lie more than 2 GiB apart are no neighbours; nor are those that sums of 32 bits would make such. */
static void far_apart(void)
{
    static const int32_t pair[][2] = {{0x40000000, -0x50000000}, {-0x50000000, 0x40000000}, {0x7ffffff0, -0x7ffffff0}, {-0x7ffffff0, 0x7ffffff0}, {0x2dc430d3, -0x76c49ad3},
                                      {0x7fffff00, -0x7fffff00}, {0x100, 0x180}};
    for (unsigned k = 0; k < sizeof pair / sizeof pair[0]; k++) {
        for (unsigned add = 0; add < 2; add++) { /* add bx, 200h between them */
            for (unsigned store = 0; store < 2; store++) {
                struct enc e = {0};
                for (int i = 0; i < 12; i++) /* away from the code that has loaded the flags, which is translated one access at a time */
                    e8(&e, 0xeb), e8(&e, 0);
                e8(&e, 0x8b), e8(&e, 0x8b); /* mov ecx, [bx + disp] */
                e32(&e, (uint32_t)pair[k][0]);
                struct enc more = IS64 ? ENC(0x48, 0x81, 0xc3, 0, 2, 0, 0) : ENC(0x81, 0xc3, 0, 2, 0, 0);
                if (add)
                    etail(&e, &more);
                e8(&e, store ? 0x89 : 0x8b); /* mov edx, [bx + disp], or the other way round */
                e8(&e, 0x93);
                e32(&e, (uint32_t)pair[k][1]);
                piece(&e);
                for (unsigned first = 0; first < 2; first++) { /* which of them is in DATA */
                    fill_data(k);
                    rnd_regs();
                    in.r[BX] = DATA + 0x400 - (word)(intptr_t)pair[k][!first] - (add && !first ? 0x200 : 0);
                    run();
                    hash(fault.trap);
                    hash(fault.addr);
                    hash(fault.sig ? 0 : out.r[CX]);
                    hash(fault.sig ? 0 : out.r[DX]);
                    note("BX %lx: cx %lx dx %lx trap %lu at %lx", in.r[BX], out.r[CX], out.r[DX], fault.trap, fault.addr);
                    hash_mem(DATAP + 0x200, 0x400);
                }
            }
        }
    }
}

/* EFLAGS.AC with CR0.AM: misaligned data accesses are reported, on pages that are there and before a page is looked for. */
static void alignment(void)
{
    static const struct {
        uint8_t n, b[6], reg;
    } ins[] = {
        {2, {0x8b, 0x06}, SI}, {2, {0x89, 0x0e}, SI}, {3, {0x66, 0x8b, 0x06}, SI}, {2, {0x8a, 0x06}, SI}, {1, {0xa5}, SI}, {3, {0x0f, 0x10, 0x06}, SI}, {2, {0xff, 0x36}, SI},
        {2, {0xdd, 0x06}, SI}, {4, {0x66, 0x0f, 0x6f, 0x06}, SI}, {3, {0xf0, 0x01, 0x0e}, SI}, {2, {0xdb, 0x2e}, SI}, {2, {0xdb, 0x3e}, SI}, {2, {0xdf, 0x26}, SI}, {2, {0xd9, 0x36}, SI},
        {2, {0xdd, 0x36}, SI}, {3, {0x66, 0xd9, 0x36}, SI}, {3, {0x0f, 0x02, 0x06}, SI}, {3, {0x0f, 0x03, 0x06}, SI}, {3, {0x0f, 0x00, 0x26}, SI},
        {4, {0x66, 0x0f, 0xf7, 0xc1}, DI}, {3, {0x0f, 0xf7, 0xc1}, DI}, {1, {0x58}, SP}, {1, {0x50}, SP}, {1, {0x9c}, SP}, {1, {0x9d}, SP}, {2, {0x66, 0x9c}, SP}, {2, {0x66, 0x9d}, SP},
        {2, {0x0f, 0xa0}, SP}, {4, {0xc8, 8, 0, 0}, SP}, {4, {0xc8, 8, 0, 2}, SP}, {1, {0xc9}, BP}, {1, {0xc3}, SP},
    };
    for (unsigned k = 0; k < sizeof ins / sizeof ins[0] && (k < 10 || cpu_amd()); k++) {
        struct enc e = {0};
        for (int i = 0; i < ins[k].n; i++)
            e8(&e, ins[k].b[i]);
        piece(&e);
        bool ret = ins[k].b[0] == 0xc3, stack = ins[k].reg == SP || ins[k].reg == BP;
        for (word off = 0; off < 17; off++) {
            for (int ac = 0; ac < (cpu_amd() ? 4 : 2); ac++) { /* bit 1: there is no page */
                if (ret && ac == 0)
                    continue; /* goes where the stack says */
                fill_data(k);
                rnd_regs();
                memset((void *)(STACK_MID - 0x40), 0, 0x80);
                for (word w = 0; w < 3; w++)
                    memcpy((void *)(STACK_MID + off + w * sizeof w), &(word){2}, sizeof w); /* harmless flags */
                in.r[BP] = STACK_MID;
                in.r[ins[k].reg] = (ac & 2 ? DATA + DATA_SIZE + 0x400 : stack ? STACK_MID : DATA + 0x400) + off;
                in.fl = ac & 1 ? 2 | AC : 2;
                run();
                hash(fault.trap);
                hash(fault.err);
                hash(fault.addr);
                if (!ret || fault.trap == 17)
                    hash(out.r[SP]);
                note("offset %lx AC %d: signal %d trap %lu error %lx at %lx, SP %lx", off, ac, fault.sig, fault.trap, fault.err, fault.addr, out.r[SP]);
            }
        }
    }
}

/* Which of several faults it is, and what CR2 says: frames are written from the top and read in an order of their own, sources come before destinations. */
static void fault_order(void)
{
    static const struct {
        uint8_t n, b[8];
    } ins[] = {
        {1, {0xa5}}, {1, {0xa4}}, {2, {0xff, 0x36}}, {2, {0xff, 0x16}}, {3, {0x0f, IS64 ? 0xb5 : 0xb4, 0x0e}}, {2, {0xff, 0x2e}}, {1, {0xcb}}, {1, {0xcf}}, {3, {0x0f, 0x28, 0x06}}, {3, {0x0f, 0x29, 0x06}},
        {4, {0x66, 0x0f, 0x6f, 0x06}}, {4, {0x66, 0x0f, 0xe7, 0x06}},
#ifdef __x86_64__
        {2, {0x48, 0xcb}}, {2, {0x48, 0xcf}}, {4, {0x48, 0x0f, 0xc7, 0x0e}}, {5, {0xf0, 0x48, 0x0f, 0xc7, 0x0e}},
#else
        {1, {0x60}}, {2, {0x66, 0x60}}, {7, {0x9a, 0, 0, 0, 0, 0, 0}},
#endif
    };
    word area = DATA + DATA_SIZE - 4 * PAGE, ro = area + PAGE, absent = area + 2 * PAGE;
    if (!cpu_amd())
        return;
    for (unsigned k = 0; k < sizeof ins / sizeof ins[0]; k++) {
        struct enc e = {0};
        for (int i = 0; i < ins[k].n; i++)
            e8(&e, ins[k].b[i]);
        piece(&e);
        bool call = ins[k].b[0] == 0x9a, pops = e.b[e.n - 1] == 0xcb || e.b[e.n - 1] == 0xcf;
        if (call) { /* a far call to where it is, by the selector that CS has */
            uint16_t cs;
            __asm__("mov %%cs, %0" : "=r"(cs));
            uint32_t at = (uint32_t)code_ptr;
            memcpy((void *)(code_ptr + 1), &at, 4);
            memcpy((void *)(code_ptr + 5), &cs, 2);
        }
        for (int src = 0; src < 20; src++) { /* distance of the source, or the frame's lower end, from the absent page */
            for (int dst = 0; dst < 2; dst++) {
                mprotect((void *)area, 4 * PAGE, PROT_READ | PROT_WRITE);
                fill_data(k);
                memset((void *)area, 3, 4 * PAGE); /* selectors have RPL 3 */
                rnd_regs();
                in.r[SI] = absent - (word)src * 2 + (word)(src & 1);
                in.r[DI] = (dst ? absent + 0x101 : ro + 0x101);
                if (call || ins[k].b[0] == 0x60 || ins[k].b[1] == 0x60)
                    in.r[SP] = area + 2 * PAGE + (word)src * 2; /* onto the read-only page from the one above */
                else if (pops)
                    in.r[SP] = absent - (word)src * 2 + (dst ? 0x20 : 0);
                else
                    in.r[SP] = ro + 0x100;
                mprotect((void *)ro, PAGE, PROT_READ);
                if (!(call || ins[k].b[0] == 0x60 || ins[k].b[1] == 0x60))
                    mprotect((void *)absent, PAGE, PROT_NONE);
                run();
                hash(fault.trap);
                hash(fault.err);
                hash(fault.addr);
                note("source %lx destination %lx SP %lx: signal %d trap %lu error %lx at %lx", in.r[SI], in.r[DI], in.r[SP], fault.sig, fault.trap, fault.err, fault.addr);
            }
        }
        mprotect((void *)area, 4 * PAGE, PROT_READ | PROT_WRITE);
    }
}

/* -- segments with a base -------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
static void fs_gs_base(void)
{
    static const uint8_t ins[][8] = {{3, 0x65, 0x8b, 0x06}, {3, 0x65, 0x89, 0x0e}, {2, 0x65, 0xac}, {2, 0x65, 0xa5}, {3, 0xf3, 0x65, 0xa4}, {4, 0x65, 0x0f, 0x10, 0x06},
                                     {3, 0x65, 0x01, 0x0e}, {5, 0x65, 0x48, 0x8b, 0x44, 0x8e}, {3, 0x65, 0xff, 0x36}, {3, 0x65, 0x8d, 0x06}, {4, 0x65, 0x67, 0x8b, 0x06}, {3, 0x65, 0xdd, 0x06}, {4, 0x65, 0xf0, 0x01, 0x0e}};
    static const word bases[] = {DATA, DATA + 0x123, (word)-0x1000, 0x7f0000000000, 0xffffffff};
    for (unsigned b = 0; b < sizeof bases / sizeof bases[0]; b++) {
        if (syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, bases[b]))
            hash(1);
        for (unsigned k = 0; k < sizeof ins / sizeof ins[0]; k++) {
            struct enc e = {0};
            for (int i = 0; i < ins[k][0]; i++)
                e8(&e, ins[k][i + 1]);
            if (k == 7)
                e8(&e, 0x10);
            piece(&e);
            fill_data(b);
            rnd_regs();
            in.r[SI] = b == 3 ? 0x100 : DATA + 0x400 - bases[b];
            if (k == 10)
                in.r[SI] = (in.r[SI] & 0xffffffff) | 0x1200000000;
            in.r[CX] = 4;
            run_hash(ARITH);
            hash_mem(DATAP + 0x400, 0x800);
        }
    }
    syscall(SYS_arch_prctl, 0x1001, 0);
    if (!cpu_has("fsgsbase"))
        return;
    for (unsigned op = 1; op < 4; op += 2) { /* RDGSBASE, WRGSBASE then a load */
        for (int w = 0; w < 2; w++) {
            struct enc e = {0};
            e8(&e, 0xf3);
            if (w)
                e8(&e, 0x48);
            e8(&e, 0x0f);
            e8(&e, 0xae);
            e8(&e, 0xc0 | op << 3 | BX);
            struct enc tail = ENC(0x65, 0x8b, 0x06);
            if (op == 3)
                etail(&e, &tail);
            piece(&e);
            for (unsigned b = 0; b < 4; b++) {
                fill_data(b);
                rnd_regs();
                in.r[BX] = b == 3 ? 0x8000000000000000 : bases[b];
                in.r[SI] = DATA + 0x400 - bases[b];
                run_hash(ARITH);
            }
        }
    }
    syscall(SYS_arch_prctl, 0x1001, 0);
}
#endif

/* -- system calls ---------------------------------------------------------------------------------------------------------- */

static void system_calls(void)
{
    /* A call with a known answer by each gate; what registers and flags survive is part of the answer. */
    for (int k = 0; k < 1 + IS64; k++) {
        struct enc e = {0};
        e8(&e, k ? 0x0f : 0xcd);
        e8(&e, k ? 0x05 : 0x80);
        piece(&e);
        for (int f = 0; f < 4; f++) {
            rnd_regs();
            for (int i = 0; i < NREG; i++)
                in.r[i] &= 0x7fffffff;
            in.r[SP] = STACK_MID;
            in.r[AX] = 9999; /* ENOSYS */
            in.fl = 2 | (f & 1 ? ARITH : 0) | (f & 2 ? DF : 0);
            run();
            hash(out.r[AX]);
            if (k) {
                hash(out.r[CX] - code_ptr);
                hash(out.r[11] & (ARITH | DF));
            }
            for (int i = 2; i < NREG; i++)
                hash(i == 11 || (k == 0 && i >= 8 && i < 12) ? 0 : out.r[i]);
            hash(out.fl & (ARITH | DF));
        }
    }
}

/* -- threads --------------------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
#define REG "r"
#else
#define REG "e"
#endif

static volatile uint32_t counter[8];
static volatile uint64_t wide[2] __attribute__((aligned(16)));
static volatile int stop;
#define TURNS 20000

static void *hammer(void *p)
{
    uintptr_t id = (uintptr_t)p;
    for (int i = 0; i < TURNS; i++) {
        __asm__ volatile("lock incl %0" : "+m"(counter[0])::"cc");
        __asm__ volatile("lock addl $3, %0" : "+m"(counter[1])::"cc");
        uint32_t one = 1;
        __asm__ volatile("lock xaddl %1, %0" : "+m"(counter[2]), "+r"(one)::"cc");
        uint32_t old = counter[3];
        while (!__atomic_compare_exchange_n(&counter[3], &old, old + 5, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            ;
        __asm__ volatile("lock btcl %1, %0" : "+m"(counter[4]) : "r"((int)id) : "cc");
        uint64_t w = wide[0];
        while (!__atomic_compare_exchange_n(&wide[0], &w, w + 0x100000001ull, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            ;
        /* a spin lock by XCHG around an ordinary increment */
        uint32_t v;
        do {
            v = 1;
            __asm__ volatile("xchgl %0, %1" : "+r"(v), "+m"(counter[5]));
            if (v)
                __asm__ volatile("pause");
        } while (v);
        counter[6] = counter[6] + 1;
        __asm__ volatile("" ::: "memory");
        counter[5] = 0;
        /* an atomic operation that crosses a cache line, and a page */
        __asm__ volatile("lock incl %0" : "+m"(*(volatile uint32_t *)(DATAP + PAGE - 2))::"cc");
        __asm__ volatile("lock incl %0" : "+m"(*(volatile uint32_t *)(DATAP + 0x43e))::"cc");
    }
    return NULL;
}

static void thread_atomics(void)
{
    memset((void *)counter, 0, sizeof counter);
    memset(DATAP, 0, 2 * PAGE);
    wide[0] = 0;
    pthread_t t[3];
    for (uintptr_t i = 0; i < 3; i++) {
        if (pthread_create(&t[i], NULL, hammer, (void *)i))
            exit(2);
    }
    hammer((void *)3);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 8; i++)
        hash(counter[i]);
    hash(wide[0]);
    hash_mem(DATAP, 2 * PAGE);
}

static volatile uint32_t mx, my;
static volatile int phase;

/* Store buffering with fences: both loads seeing the old value is forbidden. Message passing: order without fences. */
static void *litmus_peer(void *p)
{
    uint32_t *seen = p;
    for (int i = 1; i <= 3000; i++) {
        while (phase != 2 * i - 1 && !stop)
            __asm__ volatile("pause");
        my = (uint32_t)i;
        __asm__ volatile("mfence" ::: "memory");
        *seen = mx;
        __asm__ volatile("" ::: "memory");
        phase = 2 * i;
    }
    return NULL;
}

static void *reader(void *p)
{
    uint32_t bad = 0;
    while (!stop) {
        uint32_t b = my, a;
        __asm__ volatile("" ::: "memory");
        a = mx;
        bad += (int32_t)(a - b) < 0; /* mx is written first */
    }
    *(uint32_t *)p = bad;
    return NULL;
}

static void memory_order(void)
{
    static volatile uint32_t seen;
    uint32_t both_old = 0, bad = 0;
    pthread_t t;
    phase = 0;
    stop = 0;
    if (pthread_create(&t, NULL, litmus_peer, (void *)&seen))
        exit(2);
    for (int i = 1; i <= 3000; i++) {
        mx = 0;
        my = 0;
        phase = 2 * i - 1;
        mx = (uint32_t)i;
        __asm__ volatile("lock orl $0, (%%" REG "sp)" ::: "memory", "cc");
        uint32_t mine = my;
        while (phase != 2 * i)
            __asm__ volatile("pause");
        both_old += mine == 0 && seen == 0;
    }
    pthread_join(t, NULL);
    mx = my = 0;
    if (pthread_create(&t, NULL, reader, &bad))
        exit(2);
    for (uint32_t i = 1; i < 300000; i++) {
        mx = i;
        __asm__ volatile("" ::: "memory");
        my = i;
    }
    stop = 1;
    pthread_join(t, NULL);
    hash(both_old);
    hash(bad);
    note("both old %u, out of order %u", both_old, bad);
}

/* One thread changes an instruction that another executes all the time; after a while the new one must be seen. */
static void *code_runner(void *p)
{
    uint32_t (*f)(void) = (uint32_t(*)(void))(word)p;
    while (!stop)
        counter[0] = f();
    return NULL;
}

static void cross_modify(void)
{
    struct enc e = ENC(0xb8, 0, 0, 0, 0, 0xc3);
    uint8_t *at = (uint8_t *)(CODE + CODE_SIZE - 8 * PAGE);
    memcpy(at + 3, e.b, (size_t)e.n); /* the immediate is aligned to 4 */
    pthread_t t;
    uint32_t seen = 0;
    stop = 0;
    counter[0] = 0;
    if (pthread_create(&t, NULL, code_runner, at + 3))
        exit(2);
    for (uint32_t k = 1; k < 200; k++) {
        *(volatile uint32_t *)(at + 4) = k;
        for (long spin = 0; counter[0] != k && spin < 2000; spin++) {
            if (spin > 20)
                usleep(1000);
            else
                sched_yield();
        }
        seen += counter[0] == k;
    }
    stop = 1;
    pthread_join(t, NULL);
    hash(seen);
    note("seen %u", seen);
}

/* Time must not run backwards, on one CPU or between CPUs. */
static volatile uint64_t last_tsc;
static void *tsc_thread(void *p)
{
    uint64_t *bad = p;
    for (int i = 0; i < 100000; i++) {
        uint64_t seen = last_tsc;
        uint32_t lo, hi;
        __asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi)::"memory");
        uint64_t now = (uint64_t)hi << 32 | lo;
        *bad += now < seen;
        last_tsc = now;
    }
    return NULL;
}

static void tsc_order(void)
{
    uint64_t bad[2] = {0, 0};
    pthread_t t;
    last_tsc = 0;
    if (!IS64) { /* a torn 64-bit store would look like time running backwards */
        tsc_thread(&bad[0]);
    } else {
        if (pthread_create(&t, NULL, tsc_thread, &bad[1]))
            exit(2);
        tsc_thread(&bad[0]);
        pthread_join(t, NULL);
    }
    hash(bad[0] + bad[1]);
    note("backwards %llu", (unsigned long long)(bad[0] + bad[1]));
}

/* RDRAND, RDSEED, RDTSCP, RDPID, CPUID: what can be said of them without knowing values. */
static void random_and_ids(void)
{
    static const struct {
        const char *feature;
        uint8_t b[3];
    } t[] = {{"rdrand", {0x0f, 0xc7, 0xf0}}, {"rdseed", {0x0f, 0xc7, 0xf8}}};
    for (unsigned k = 0; k < 2; k++) {
        if (!cpu_has(t[k].feature))
            continue;
        struct enc e = ENC(t[k].b[0], t[k].b[1], t[k].b[2]);
        piece(&e);
        word prev = 0;
        int same = 0, carry = 0;
        for (int i = 0; i < 20; i++) {
            rnd_regs();
            in.fl = 2 | ARITH;
            run();
            same += out.r[AX] == prev;
            carry += out.fl & 1;
            hash(out.fl & (OF | SF | ZF | AF | PF));
            prev = out.r[AX];
        }
        hash(same > 15);
        if (k == 0)
            hash(carry > 10);
    }
    struct enc c = ENC(0x0f, 0xa2); /* CPUID: flags survive; upper halves are cleared */
    piece(&c);
    for (unsigned leaf = 0; leaf < 2; leaf++) {
        rnd_regs();
        in.r[AX] = leaf;
        in.fl = 2 | ARITH | DF;
        run();
        hash(out.fl & (ARITH | DF));
        hash(out.r[SI] - in.r[SI]);
        hash((out.r[BX] | out.r[CX] | out.r[DX]) >> (sizeof(word) * 8 - 1) >> (IS64 ? 0 : 1) > 1);
    }
}

const struct group sys_groups[] = {
    {"privileged", privileged},   {"lock_prefix", lock_prefix},       {"prefix_soup", prefix_soup},   {"page_faults", page_faults},   {"fault_flags", fault_flags},
    {"dead_flags", dead_flags},
    {"bad_addresses", bad_addresses}, {"far_apart", far_apart}, {"alignment", alignment}, {"fault_order", fault_order},
#ifdef __x86_64__
    {"fs_gs_base", fs_gs_base},
#endif
    {"system_calls", system_calls}, {"thread_atomics", thread_atomics}, {"memory_order", memory_order}, {"cross_modify", cross_modify},
    {"tsc_order", tsc_order},     {"random_and_ids", random_and_ids}, {NULL, NULL},
};
