/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segmentation. Selectors of the kernel's own table differ between kernels, so everything here happens in segments that the program
 * makes itself in its LDT: limits, types, far transfers, 16-bit code. Virtual-8086 code is run by vm86(2) where the kernel has it; the
 * host's kernel, a 64-bit one, has not, and there the same code runs in 16-bit segments at the same places: the answers must agree.
 */
#define _GNU_SOURCE
#include "cputest.h"

#include <asm/ldt.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { L_FLAT = 1, L_SMALL, L_DOWN, L_DOWN16, L_RO, L_PAGES, L_ABSENT, L_CODE32, L_CODE32X, L_CONFORM, L_CODE16, L_DATA16, L_STACK16, L_TINY, L_COUNT };
#define SEL(n) ((n) << 3 | 7)

static void ldt_entry(unsigned n, word base, unsigned limit, unsigned contents, bool is32, bool ro, bool pages, bool absent)
{
    struct user_desc d = {.entry_number = n, .base_addr = (unsigned)base, .limit = limit, .seg_32bit = is32, .contents = contents, .read_exec_only = ro,
                          .limit_in_pages = pages, .seg_not_present = absent, .useable = 1};
    if (syscall(SYS_modify_ldt, 1, &d, sizeof d))
        hash(0xbad0 + n);
}

static void make_ldt(word base16)
{
    ldt_entry(L_FLAT, 0, 0xfffff, 0, true, false, true, false);
    ldt_entry(L_SMALL, DATA, 0x7ff, 0, true, false, false, false);
    ldt_entry(L_DOWN, DATA, 0x3ff, 1, true, false, false, false);
    ldt_entry(L_DOWN16, DATA, 0x3ff, 1, false, false, false, false);
    ldt_entry(L_RO, DATA, 0x7ff, 0, true, true, false, false);
    ldt_entry(L_PAGES, DATA, 1, 0, true, false, true, false);
    ldt_entry(L_ABSENT, DATA, 0x7ff, 0, true, false, false, true);
    ldt_entry(L_CODE32, 0, 0xfffff, 2, true, false, true, false);
    ldt_entry(L_CODE32X, 0, 0xfffff, 2, true, true, true, false);
    ldt_entry(L_CONFORM, 0, 0xfffff, 3, true, false, true, false);
    ldt_entry(L_CODE16, base16, 0xffff, 2, false, false, false, false);
    ldt_entry(L_DATA16, base16 + 0x10000, 0xffff, 0, false, false, false, false);
    ldt_entry(L_STACK16, base16 + 0x20000, 0xffff, 0, false, false, false, false);
    ldt_entry(L_TINY, DATA + 0x400, 0, 0, true, false, false, false);
}

static void selector_queries(void)
{
    static const uint8_t ops[][3] = {{0x0f, 0x02, 0xcb}, {0x0f, 0x03, 0xcb}, {0x0f, 0x00, 0xe3}, {0x0f, 0x00, 0xeb}}; /* LAR LSL VERR VERW */
    make_ldt(0x20000);
    for (unsigned k = 0; k < 4; k++) {
        struct enc e = ENC(ops[k][0], ops[k][1], ops[k][2]);
        piece(&e);
        for (unsigned n = 0; n < L_COUNT + 4; n++) {
            for (unsigned rpl = 0; rpl < 4; rpl++) {
                rnd_regs();
                in.r[BX] = (n == 0 ? 0u : n >= L_COUNT ? 0xff00u + n * 8 : n << 3 | 4) | rpl;
                in.fl = n & 1 ? 2 | ARITH : 2;
                run();
                hash(k == 0 && out.fl & ZF ? out.r[CX] & 0xf0ff00 : out.r[CX]); /* LAR leaves the limit's bits undefined */
                hash(out.fl & ZF);
                hash((uint64_t)fault.sig);
                note("selector %lx: cx %lx zf %lx signal %d", in.r[BX], out.r[CX], out.fl & ZF, fault.sig);
            }
        }
    }
}

/* A null selector with an RPL loses it on the way back from the kernel by IRET (SDM vol. 2, IRET: return to an outer privilege level). */
static void null_selectors(void)
{
    struct enc e = ENC(0x8e, 0xc0 | BX, 0x36, 0x3a, 0x06, 0x8c, 0xc0 | CX, 0x8e, 0xc0 | AX); /* mov es, bx; cmp al, ss:[si]; mov cx, es; mov es, ax */
    word page = DATA + DATA_SIZE - 4 * PAGE;
    uint16_t es;
    __asm__("mov %%es, %0" : "=r"(es));
    piece(&e);
    for (unsigned v = 0; v < 4; v++) {
        rnd_regs();
        in.r[AX] = es;
        in.r[BX] = v;
        in.r[SI] = page;
        madvise((void *)page, PAGE, MADV_DONTNEED); /* the access is a page fault */
        run();
        hash(out.r[CX] & 0xffff);
        note("null selector %u: then %lx", v, out.r[CX] & 0xffff);
    }
}

#ifdef __x86_64__

/* From 64-bit code into 32-bit code (the kernel's flat segment, and the LDT's) and back. */
static void compat_mode(void)
{
    static const uint8_t body[][12] = {
        {3, 0x40, 0x48, 0x41}, {1, 0x27}, {1, 0x37}, {2, 0xd4, 10}, {2, 0x04, 5}, {5, 0x05, 1, 2, 3, 4}, {2, 0x01, 0xd8}, {1, 0x60 ^ 0x60}, {2, 0x89, 0xc3}, {3, 0x8d, 0x04, 0x9b},
        {6, 0x8b, 0x05, 0x00, 0x04, 0x00, 0x20}, {2, 0x50, 0x59}, {2, 0x63, 0xd8}, {3, 0x0f, 0xa2, 0x90}, {4, 0x66, 0x0f, 0xef, 0xc0}, {2, 0xcd, 0x80}, {2, 0x0f, 0x05}, {1, 0xf4}, {2, 0x0f, 0x0b},
        {6, 0x81, 0xc0, 0xff, 0xff, 0xff, 0x7f}, {2, 0xf7, 0xe3}, {3, 0x0f, 0xac, 0xc3}, {1, 0x99}, {2, 0xc4, 0x0e}, {3, 0xc4, 0xe2, 0x60},
    };
    make_ldt(0x20000);
    for (unsigned s = 0; s < 2; s++) {
        for (unsigned k = 0; k < sizeof body / sizeof body[0]; k++) {
            if (k == 7 || k == 13 || k == 21 || k == 24)
                continue; /* CPUID's answer differs between machines; the others need more bytes */
            if (k == 16)
                continue; /* SYSCALL from 32-bit code: differs between makers */
            /* inner, 32 bits: body; far jump back to `after` in 64-bit code */
            struct enc inner = {0}, outer = {0}, after = {0};
            word back = place(&after);
            for (int i = 0; i < body[k][0]; i++)
                e8(&inner, body[k][i + 1]);
            e8(&inner, 0xea);
            e32(&inner, (uint32_t)back);
            e16(&inner, 0x33);
            word at = place(&inner);
            /* outer: far jump through memory */
            e8(&outer, 0xff);
            e8(&outer, 0x2c);
            e8(&outer, 0x25);
            e32(&outer, DATA + 0x700);
            piece(&outer);
            for (unsigned v = 0; v < 4; v++) {
                fill_data(v);
                memcpy(DATAP + 0x700, &at, 4);
                uint16_t sel = s ? SEL(L_CODE32) : 0x23;
                memcpy(DATAP + 0x704, &sel, 2);
                rnd_regs();
                if (k == 15)
                    in.r[AX] = 9999;
                in.fl = v & 1 ? 2 | ARITH : 2;
                run();
                for (int i = 0; i < 8; i++)
                    hash(out.r[i] & 0xffffffff);
                hash(out.fl & (k == 1 || k == 2 || k == 3 || k == 20 ? 0 : ARITH));
                hash((uint64_t)fault.sig);
                hash(fault.trap);
                hash(fault.err);
                note("ax %lx fl %lx signal %d trap %lu err %lx ip +%ld", out.r[AX], out.fl & ARITH, fault.sig, fault.trap, fault.err, (long)(out.ip - at));
            }
        }
    }
}

/*
 * Between 64-bit code and compatibility mode: how wide the stack pointer is, which stack a far call writes to, what REX.W and 66h make of far and near
 * branches. Processors differ in most of that; the guest has to do as its host.
 */
static void compat_stack(void)
{
    word high = 0x500000000000 + STACK, data = DATA + 0x700;
    if (!cpu_amd())
        return;
    if (mmap((void *)high, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (void *)high)
        return;
    make_ldt(0x20000);
    ldt_entry(L_STACK16, (uint32_t)STACK, 0xffff, 0, false, false, false, false);
    struct enc after = {0}; /* in 64-bit code */
    uint32_t back = (uint32_t)place(&after);
    static const uint8_t body[][8] = {{0}, {1, 0x50}, {2, 0x89, 0xe1}, {3, 0x54, 0x59, 0x90}, {1, 0xf4}, {2, 0x0f, 0x0b}};
    static const uint8_t way[][4] = {{2, 0xff, 0x2e}, {2, 0xff, 0x1e}, {3, 0x48, 0xff, 0x2e}, {3, 0x48, 0xff, 0x1e}, {1, 0xcb}, {2, 0x48, 0xcb}};
    for (unsigned w = 0; w < sizeof way / sizeof way[0]; w++) {
        for (unsigned k = 0; k < sizeof body / sizeof body[0]; k++) {
            for (unsigned from = 0; from < 2; from++) {
                struct enc inner = {0}, outer = {0};
                for (int i = 0; i < body[k][0]; i++)
                    e8(&inner, body[k][i + 1]);
                e8(&inner, 0xea);
                e32(&inner, back);
                e16(&inner, 0x33);
                uint32_t at = (uint32_t)place(&inner);
                for (int i = 0; i < way[w][0]; i++)
                    e8(&outer, way[w][i + 1]);
                piece(&outer);
                fill_data(k);
                rnd_regs();
                in.r[SP] = (from ? high : STACK) + 0x8000;
                in.r[SI] = data;
                memset((void *)(STACK + 0x7f00), 0x11, 0x200);
                memset((void *)(high + 0x7f00), 0x22, 0x200);
                word far_at = way[w][way[w][0]] == 0xcb ? in.r[SP] : data;
                unsigned wide = w == 5 ? 8 : 4;
                memset((void *)far_at, 0, 16);
                memcpy((void *)far_at, &at, 4);
                memcpy((void *)(far_at + wide), &(uint16_t){0x23}, 2);
                in.fl = 2;
                run();
                hash(out.r[SP]);
                hash(out.r[CX]);
                hash(fault.trap);
                hash(fault.err);
                bool low = ((uint8_t *)STACK)[0x7ff8] != 0x11, up = ((uint8_t *)high)[0x7ff8] != 0x22;
                hash(low);
                hash(up);
                note("SP %lx: then %lx cx %lx trap %lu error %lx, written low %d high %d", in.r[SP], out.r[SP], out.r[CX], fault.trap, fault.err, low, up);
            }
        }
    }
    /* From compatibility mode on a stack with a base: what the far call pushes is where 64-bit code looks for it. */
    for (unsigned k = 0; k < 2; k++) {
        struct enc inner = ENC(0x66, 0xb8, SEL(L_STACK16) & 0xff, SEL(L_STACK16) >> 8, 0x8e, 0xd0, k ? 0x9a : 0xea), outer = ENC(0xff, 0x2e);
        struct enc here = ENC(0xb9, 0x2b, 0, 0, 0, 0x8e, 0xd1); /* mov ecx, 2Bh; mov ss, ecx */
        uint32_t target = (uint32_t)place(&here);
        e32(&inner, target);
        e16(&inner, 0x33);
        uint32_t at = (uint32_t)place(&inner);
        piece(&outer);
        fill_data(k);
        rnd_regs();
        in.r[SP] = STACK + 0x8000;
        in.r[SI] = data;
        memset((void *)(STACK + 0x7f00), 0x11, 0x200);
        memcpy((void *)data, &at, 4);
        memcpy((void *)(data + 4), &(uint16_t){0x23}, 2);
        run();
        hash(out.r[SP]);
        hash(fault.trap);
        hash(((uint8_t *)STACK)[0x7ff8] != 0x11);
        note("SP %lx trap %lu written %d", out.r[SP], fault.trap, ((uint8_t *)STACK)[0x7ff8] != 0x11);
    }
    munmap((void *)high, STACK_SIZE);
    static const uint8_t near[][8] = {{6, 0x66, 0xe8, 0, 0, 0, 0}, {6, 0x66, 0xe9, 0, 0, 0, 0}, {3, 0x66, 0xeb, 0}, {3, 0x66, 0x74, 0}, {7, 0x66, 0x0f, 0x84, 0, 0, 0, 0}, {3, 0x66, 0xe2, 0},
                                      {3, 0x66, 0xe3, 0}, {3, 0x66, 0xff, 0xd6}, {3, 0x66, 0xff, 0xe6}, {3, 0x66, 0xff, 0x16}, {3, 0x66, 0xff, 0x26}, {4, 0x66, 0x48, 0xff, 0x16}, {7, 0x66, 0x48, 0xe8, 0, 0, 0, 0}};
    for (unsigned k = 0; k < sizeof near / sizeof near[0]; k++) {
        struct enc e = {0};
        for (int i = 0; i < near[k][0]; i++)
            e8(&e, near[k][i + 1]);
        piece(&e);
        for (unsigned v = 0; v < 2; v++) {
            fill_data(k);
            rnd_regs();
            bool mem = e.b[e.n - 1] == 0x16 || e.b[e.n - 1] == 0x26;
            in.r[SI] = mem ? data : back;
            memcpy((void *)data, &(uint64_t){back}, 8);
            in.r[CX] = v;
            in.fl = v ? 2 | ZF : 2;
            run();
            hash(out.r[SP]);
            hash(fault.trap);
            hash(fault.err);
            hash(fault.addr);
            note("SP %lx trap %lu error %lx at %lx", out.r[SP], fault.trap, fault.err, fault.addr);
        }
    }
}

/* Loading FS, GS, DS, ES on 64 bits: which selectors are accepted, what base they give. */
static void seg_load64(void)
{
    make_ldt(0x20000);
    for (unsigned s = 0; s < 4; s++) {
        if (s == 1)
            continue;
        static const unsigned seg[4] = {0, 4, 3, 5}; /* ES, FS (left alone), DS, GS */
        struct enc e = ENC(0x8e, 0xc0 | seg[s] << 3 | BX, 0x8c, 0xc0 | seg[s] << 3 | CX, 0x65, 0x8b, 0x06, 0x31, 0xdb, 0x8e, 0xc0 | seg[s] << 3 | BX);
        piece(&e);
        for (unsigned n = 0; n < L_COUNT + 3; n++) {
            fill_data(n);
            rnd_regs();
            in.r[BX] = n == 0 ? 0 : n >= L_COUNT ? 0xff00 + n * 8 : SEL(n);
            in.r[SI] = s == 3 && n && n < L_CODE16 && n != L_FLAT && n != L_CODE32 && n != L_CODE32X && n != L_CONFORM ? 0x404 : DATA + 0x404;
            run_hash(0);
        }
    }
}

const struct group seg_groups[] = {
    {"selector_queries", selector_queries}, {"null_selectors", null_selectors}, {"compat_mode", compat_mode}, {"compat_stack", compat_stack}, {"seg_load64", seg_load64}, {NULL, NULL},
};

#else

static uint16_t user_ds(void)
{
    uint16_t ds;
    __asm__("mov %%ds, %0" : "=r"(ds));
    return ds;
}
static uint16_t user_cs(void)
{
    uint16_t cs;
    __asm__("mov %%cs, %0" : "=r"(cs));
    return cs;
}

/* Loads of each segment register with every kind of selector; what is accepted reads back, what is not says why. */
static void seg_load(void)
{
    make_ldt(0x20000);
    uint16_t ds = user_ds();
    for (unsigned s = 0; s < 5; s++) { /* ES SS DS FS by MOV; CS too: an invalid opcode */
        static const unsigned seg[5] = {0, 2, 3, 4, 1};
        struct enc e = ENC(0x8e, 0xc0 | seg[s] << 3 | AX, 0x8c, 0xc0 | seg[s] << 3 | CX, 0x8e, 0xc0 | seg[s] << 3 | BX);
        piece(&e);
        for (unsigned n = 0; n < L_COUNT + 3; n++) {
            for (unsigned rpl = 0; rpl < 4; rpl++) {
                if (n == 0 && seg[s] == 2 && 0)
                    continue;
                rnd_regs();
                in.r[AX] = (n == 0 ? 0u : n >= L_COUNT ? 0xff00u + n * 8 : n << 3 | 4) | rpl;
                in.r[BX] = ds;
                run();
                /* BX holds the kernel's selector: leave it out */
                hash(out.r[CX]);
                hash((uint64_t)fault.sig);
                hash(fault.trap);
                hash(fault.err);
                note("seg %u selector %lx: reads %lx, signal %d trap %lu error %lx", seg[s], in.r[AX], out.r[CX], fault.sig, fault.trap, fault.err);
            }
        }
    }
    /* LES, LDS, LFS, LSS and POP ES, with a good and a bad selector */
    static const uint8_t ops[][4] = {{2, 0xc4, 0x0e}, {3, 0x0f, 0xb4, 0x0e}, {2, 0x07, 0x90}, {3, 0x0f, 0xa1, 0x90}, {3, 0x66, 0x07, 0x90}};
    for (unsigned k = 0; k < 5; k++) {
        struct enc e = {0};
        for (int i = 0; i < ops[k][0]; i++)
            e8(&e, ops[k][i + 1]);
        struct enc tail = ENC(0x8c, 0xc2, 0x8c, 0xe5, 0x8e, 0xc3, 0x31, 0xff, 0x8e, 0xe7); /* read ES, FS; give ES back, FS null */
        etail(&e, &tail);
        piece(&e);
        for (unsigned n = 1; n < L_COUNT + 2; n++) {
            fill_data(n);
            rnd_regs();
            in.r[BX] = ds;
            in.r[SI] = DATA + 0x400;
            in.r[SP] = DATA + 0x404;
            uint16_t sel = (uint16_t)(n >= L_COUNT ? 0xff00 + n * 8 : SEL(n));
            memcpy(DATAP + 0x404, &sel, 2);
            run();
            hash(out.r[CX]);
            hash(k == 0 || k == 2 || k == 4 ? out.r[DX] & 0xffff : out.r[BP] & 0xffff);
            hash(out.r[SP]);
            hash((uint64_t)fault.sig);
            hash(fault.trap);
            hash(fault.err);
        }
    }
}

/* Accesses around the limits of each kind of data segment, through ES, FS, DS and the stack. */
static void seg_limits(void)
{
    make_ldt(0x20000);
    uint16_t ds = user_ds();
    static const uint8_t ops[][6] = {{2, 0x8a, 0x0f}, {3, 0x66, 0x8b, 0x0f}, {2, 0x8b, 0x0f}, {2, 0x88, 0x0f}, {2, 0x89, 0x0f}, {2, 0xdd, 0x07}, {3, 0x0f, 0x10, 0x07}, {2, 0x01, 0x0f},
                                     {1, 0xab}, {1, 0xae}, {2, 0xf3, 0xaa}, {3, 0xf0, 0x01, 0x0f}, {3, 0x0f, 0xab, 0x0f}, {2, 0xff, 0x37}, {2, 0xc6, 0x07}};
    static const unsigned segs[] = {L_SMALL, L_DOWN, L_DOWN16, L_RO, L_PAGES, L_CODE32, L_CODE32X, L_TINY};
    static const word ends[] = {0x7ff, 0x3ff, 0x3ff, 0x7ff, 0x1fff, 0x20000400, 0x20000400, 0};
    for (unsigned r = 0; r < 3; r++) { /* ES FS DS */
        for (unsigned k = 0; k < sizeof ops / sizeof ops[0]; k++) {
            bool str = ops[k][1] == 0xab || ops[k][1] == 0xae || ops[k][1] == 0xf3;
            if (str && r)
                continue;
            static const unsigned seg[3] = {0, 4, 3};
            struct enc e = ENC(0x8e, 0xc0 | seg[r] << 3 | AX);
            if (!str && r < 2)
                e8(&e, r ? 0x64 : 0x26);
            for (int i = 0; i < ops[k][0]; i++)
                e8(&e, ops[k][i + 1]);
            if (ops[k][1] == 0xc6)
                e8(&e, 0x99);
            e8(&e, 0x8e);
            e8(&e, 0xc0 | seg[r] << 3 | BX);
            piece(&e);
            for (unsigned s = 0; s < sizeof segs / sizeof segs[0]; s++) {
                for (int off = -17; off < 3; off++) {
                    fill_data(s);
                    rnd_regs();
                    in.r[AX] = SEL(segs[s]);
                    in.r[BX] = ds;
                    in.r[CX] = 5;
                    in.r[DI] = ends[s] + (word)off;
                    run();
                    hash(out.r[CX]);
                    hash(out.r[DI]);
                    hash(out.r[SP]);
                    hash((uint64_t)fault.sig);
                    hash(fault.trap);
                    hash(fault.err);
                    hash(fault.sig ? out.ip - code_ptr : 0);
                    hash_mem(DATAP, 2 * PAGE);
                    note("segment %u at %lx: cx %lx signal %d trap %lu error %lx", segs[s], in.r[DI], out.r[CX], fault.sig, fault.trap, fault.err);
                }
            }
        }
    }
    /* the stack: PUSH, POP, CALL at the limits of small segments, and wrap-around in a 16-bit one */
    static const uint8_t st[][6] = {{1, 0x50}, {2, 0x66, 0x50}, {1, 0x59}, {1, 0x60}, {3, 0x8b, 0x0c, 0x24}, {3, 0x8b, 0x4d, 0x00}, {4, 0xc8, 0x08, 0, 0}, {1, 0xc9}};
    for (unsigned k = 0; k < sizeof st / sizeof st[0]; k++) {
        struct enc e = ENC(0x8e, 0xd2); /* mov ss, dx */
        for (int i = 0; i < st[k][0]; i++)
            e8(&e, st[k][i + 1]);
        e8(&e, 0x8e);
        e8(&e, 0xd0 | BX);
        piece(&e);
        static const unsigned stacks[] = {L_SMALL, L_DOWN, L_DOWN16, L_PAGES};
        for (unsigned s = 0; s < 4; s++) {
            for (int off = -6; off < 10; off++) {
                fill_data(s);
                rnd_regs();
                in.r[DX] = SEL(stacks[s]);
                in.r[BX] = ds;
                in.r[SP] = (stacks[s] == L_SMALL ? (off < 0 ? 0x800 : 0) : stacks[s] == L_PAGES ? 0x2000 : 0x400) + (word)off;
                if (stacks[s] == L_DOWN16)
                    in.r[SP] |= 0x12340000;
                in.r[BP] = in.r[SP];
                run();
                hash(out.r[CX]);
                hash(out.r[BP]);
                hash(fault.sig ? 0 : out.r[SP]);
                hash((uint64_t)fault.sig);
                hash(fault.trap);
                hash(fault.err);
                if (!fault.sig && st[k][1] != 0x60) /* PUSHA stores the selector in BX, which the kernel chose */
                    hash_mem(DATAP, 2 * PAGE);
                note("stack %u at %lx: cx %lx bp %lx sp %lx signal %d trap %lu error %lx", stacks[s], in.r[SP], out.r[CX], out.r[BP], out.r[SP], fault.sig, fault.trap, fault.err);
            }
        }
    }
}

/* Near branches out of a segment's limit fault themselves, and have done nothing. */
static void branch_limits(void)
{
    static const uint8_t ops[][12] = {{5, 0xe9}, {5, 0xe8}, {6, 0x0f, 0x84}, {6, 0x0f, 0x85}, {2, 0xff, 0xe0}, {2, 0xff, 0xd0}, {2, 0xff, 0x26}, {2, 0xff, 0x16}, {1, 0xc3},
                                      {3, 0xc2, 0x08, 0x00}, {2, 0x50, 0xc3}, {3, 0x50, 0xff, 0xd0}};
    make_ldt(0x20000);
    ldt_entry(L_CODE32, 0, ((CODE + CODE_SIZE) >> 12) - 1, 2, true, false, true, false);
    uint16_t cs = user_cs();
    for (unsigned k = 0; k < sizeof ops / sizeof ops[0]; k++) {
        struct enc e = ENC(0xea);
        e32(&e, 0);
        e16(&e, SEL(L_CODE32));
        int start = e.n;
        for (int i = 0; i < ops[k][0]; i++)
            e8(&e, ops[k][i + 1]);
        int after = e.n;
        e8(&e, 0xea);
        int last = e.n;
        e32(&e, 0);
        e16(&e, cs);
        piece(&e);
        uint32_t v = (uint32_t)code_ptr + (uint32_t)start, next = (uint32_t)code_ptr + (uint32_t)after;
        memcpy((void *)(code_ptr + 1), &v, 4);
        v = (uint32_t)code_ptr + (uint32_t)e.n;
        memcpy((void *)(code_ptr + (word)last), &v, 4);
        for (unsigned f = 0; f < 6; f++) {
            uint32_t target = f & 1 ? next : f & 2 ? CODE + CODE_SIZE : 0x30000000, rel = target - next;
            if (k < 4)
                memcpy((void *)(next - 4), &rel, 4);
            fill_data(f);
            rnd_regs();
            in.r[AX] = target;
            in.r[SI] = DATA + 0x400;
            in.fl = 2 | (f > 2 ? ZF : 0);
            memcpy(DATAP + 0x400, &target, 4);
            memcpy((void *)STACK_MID, &target, 4);
            run();
            hash(out.r[AX]);
            hash(out.r[SP]);
            hash((uint64_t)fault.sig);
            hash(fault.trap);
            hash(fault.err);
            hash(fault.sig ? out.ip - code_ptr : 0);
            note("to %x: sp %lx signal %d trap %lu error %lx at +%ld", target, out.r[SP], fault.sig, fault.trap, fault.err, fault.sig ? (long)(out.ip - code_ptr) : 0);
        }
    }
    /* LOOPNE, LOOPE, LOOP, JECXZ at the end of a segment, which ends after them */
    for (unsigned op = 0xe0; op < 0xe4; op++) {
        struct enc e = ENC(0xea);
        e32(&e, 0);
        e16(&e, SEL(L_CODE32));
        int start = e.n;
        e8(&e, op);
        e8(&e, 0x7f);
        e8(&e, 0xea);
        int last = e.n;
        e32(&e, 0);
        e16(&e, cs);
        piece(&e);
        ldt_entry(L_CODE32, code_ptr, 0x40, 2, true, false, false, false);
        uint32_t v = (uint32_t)start;
        memcpy((void *)(code_ptr + 1), &v, 4);
        v = (uint32_t)code_ptr + (uint32_t)e.n;
        memcpy((void *)(code_ptr + (word)last), &v, 4);
        for (unsigned f = 0; f < 8; f++) {
            rnd_regs();
            in.r[CX] = f & 3;
            in.fl = 2 | (f & 4 ? ZF : 0);
            run();
            hash(out.r[CX]);
            hash((uint64_t)fault.sig);
            hash(fault.trap);
            hash(fault.sig ? out.ip : 0);
            note("cx %x: signal %d trap %lu at %lx, cx %lx", f & 3, fault.sig, fault.trap, out.ip, out.r[CX]);
        }
    }
}

/*
 * Which segment a near indirect CALL and JMP read their target from: 3Eh is DS where nobody tracks branches, and the last prefix decides. Through SS, which is
 * flat, the pointer at EBP leads to the first end (EDX = 1), through DS, which begins elsewhere, to the second.
 */
static void branch_segments(void)
{
    static const uint8_t prefix[][4] = {{0}, {1, 0x3e}, {1, 0x36}, {2, 0x3e, 0x36}, {2, 0x36, 0x3e}, {2, 0x2e, 0x3e}, {3, 0x3e, 0x3e, 0x36}, {3, 0x36, 0x36, 0x3e}};
    static const uint8_t ops[][5] = {{3, 0xff, 0x55, 0x00}, {3, 0xff, 0x65, 0x00}, {4, 0xff, 0x54, 0x25, 0x00}, {4, 0xff, 0x64, 0x25, 0x00}, {2, 0xff, 0x17}, {2, 0xff, 0x27}};
    make_ldt(0x20000);
    ldt_entry(L_SMALL, 0x800, 0xfffff, 0, true, false, true, false);
    for (unsigned p = 0; p < sizeof prefix / sizeof prefix[0]; p++) {
        for (unsigned k = 0; k < sizeof ops / sizeof ops[0]; k++) {
            struct enc e = ENC(0x8e, 0xd8 | AX);
            for (int i = 0; i < prefix[p][0]; i++)
                e8(&e, prefix[p][i + 1]);
            for (int i = 0; i < ops[k][0]; i++)
                e8(&e, ops[k][i + 1]);
            unsigned to[2];
            for (unsigned i = 0; i < 2; i++) {
                to[i] = (unsigned)e.n;
                e8(&e, 0xba); /* mov edx, 1 or 2; mov ds, bx; jmp the end */
                e32(&e, i + 1);
                e8(&e, 0x8e);
                e8(&e, 0xd8 | BX);
                e8(&e, 0xeb);
                e8(&e, i ? 0 : 9);
            }
            piece(&e);
            for (unsigned v = 0; v < 2; v++) {
                fill_data(v);
                rnd_regs();
                in.r[AX] = SEL(L_SMALL);
                in.r[BX] = user_ds();
                in.r[BP] = in.r[DI] = DATA + 0x400;
                uint32_t by_ss = (uint32_t)code_ptr + to[v], by_ds = (uint32_t)code_ptr + to[!v];
                memcpy(DATAP + 0x400, &by_ss, 4);
                memcpy(DATAP + 0xc00, &by_ds, 4);
                run();
                hash(out.r[DX]);
                hash((uint64_t)fault.sig);
                note("prefixes %u, form %u: edx %lx signal %d", p, k, out.r[DX], fault.sig);
            }
        }
    }
}

/* Far jumps, calls and returns between segments of the LDT. */
static void far_transfers(void)
{
    make_ldt(0x20000);
    uint16_t cs = user_cs();
    struct enc fn = ENC(0x83, 0xc0, 0x07, 0xcb), fn8 = ENC(0x83, 0xc0, 0x09, 0xca, 0x08, 0x00); /* add eax, 7; retf (8) */
    word f[2] = {place(&fn), place(&fn8)};
    static const unsigned codes[] = {L_CODE32, L_CODE32X, L_CONFORM, L_FLAT, L_ABSENT, L_COUNT + 3, 0};
    for (unsigned c = 0; c < sizeof codes / sizeof codes[0]; c++) {
        for (unsigned form = 0; form < 6; form++) { /* call direct, indirect; jump direct, indirect; retf; iret */
            for (unsigned which = 0; which < 2; which++) {
                uint16_t sel = (uint16_t)(codes[c] ? SEL(codes[c]) : 0);
                /* First into the LDT's code segment, so that what is pushed is the same on every kernel. */
                struct enc e = ENC(0xea);
                e32(&e, 0);
                e16(&e, SEL(L_CODE32));
                int start = e.n, landing;
                struct enc land = ENC(0x83, 0xc0, 0x20);
                if (form == 0) {
                    e8(&e, 0x9a);
                    e32(&e, (uint32_t)f[which]);
                    e16(&e, sel);
                } else if (form == 1) {
                    e8(&e, 0xff);
                    e8(&e, 0x1e);
                } else if (form == 2) {
                    e8(&e, 0xea);
                    e32(&e, 0); /* to the landing, below */
                    e16(&e, sel);
                } else if (form == 3) {
                    e8(&e, 0xff);
                    e8(&e, 0x2e);
                } else {
                    e8(&e, form == 4 ? 0xcb : 0xcf);
                }
                landing = e.n;
                etail(&e, &land);
                e8(&e, 0x8c);
                e8(&e, 0xca); /* mov dx, cs */
                e8(&e, 0xea);
                int last = e.n;
                e32(&e, 0);
                e16(&e, cs);
                piece(&e);
                uint32_t v = (uint32_t)code_ptr + (uint32_t)start;
                memcpy((void *)(code_ptr + 1), &v, 4);
                v = (uint32_t)code_ptr + (uint32_t)landing;
                if (form == 2)
                    memcpy((void *)(code_ptr + (word)start + 1), &v, 4);
                uint32_t end = (uint32_t)code_ptr + (uint32_t)e.n;
                memcpy((void *)(code_ptr + (word)last), &end, 4);
                fill_data(form);
                rnd_regs();
                uint32_t target = form == 1 ? (uint32_t)f[which] : v;
                memcpy(DATAP + 0x400, &target, 4);
                memcpy(DATAP + 0x404, &sel, 2);
                uint32_t frame[3] = {v, sel, 0x246 | (which ? ARITH : 0)};
                memcpy((void *)STACK_MID, frame, sizeof frame);
                run();
                hash(out.r[AX]);
                hash(out.r[DX]);
                hash(out.r[SP]);
                hash(fault.sig ? 0 : out.fl & ARITH & ~AF);
                hash((uint64_t)fault.sig);
                hash(fault.trap);
                hash(fault.err);
                hash(fault.sig ? out.ip - code_ptr : 0);
                uint32_t pushed[2];
                memcpy(pushed, (void *)(STACK_MID - 8), 8);
                if (form < 2 && !fault.sig) {
                    hash(pushed[0] - code_ptr);
                    hash(pushed[1] & 0xffff);
                }
                note("selector %x form %u: ax %lx dx %lx sp %lx signal %d trap %lu error %lx at +%ld", sel, form, out.r[AX], out.r[DX], out.r[SP], fault.sig, fault.trap,
                     fault.err, (long)(out.ip - code_ptr));
            }
        }
    }
}

static void odd_32bit(void)
{
    static const uint8_t t[][4] = {{1, 0xce}, {2, 0x62, 0x0e}, {3, 0x66, 0x62, 0x0e}, {2, 0x63, 0xd8}, {2, 0x63, 0x1e}, {2, 0x62, 0xc8}};
    for (unsigned k = 0; k < sizeof t / sizeof t[0]; k++) {
        struct enc e = {0};
        for (int i = 0; i < t[k][0]; i++)
            e8(&e, t[k][i + 1]);
        for (int i = 0; i < 6; i++)
            e8(&e, 0x90);
        piece(&e);
        for (unsigned v = 0; v < 40; v++) {
            fill_data(v);
            rnd_regs();
            int32_t lo = -5, hi = 10;
            if (k == 2) {
                lo = (lo & 0xffff) | 10 << 16;
                hi = 0;
            }
            if (k < 3) {
                memcpy(DATAP + 0x400, &lo, 4);
                memcpy(DATAP + 0x404, &hi, 4);
                in.r[CX] = (word)((int)v - 20);
            }
            in.fl = 2 | (v & 1 ? OF : 0) | (v & 2 ? ZF : 0);
            run_hash(ARITH);
            hash_mem(DATAP + 0x400, 8);
        }
    }
}

/* -- 16-bit code ----------------------------------------------------------------------------------------------------------- */

#define LOW 0x20000ul /* code, data, stack: 64 KiB each */

struct vm86_regs32 {
    long ebx, ecx, edx, esi, edi, ebp, eax, null_ds, null_es, null_fs, null_gs, orig_eax, eip;
    unsigned short cs, csh;
    long eflags, esp;
    unsigned short ss, ssh, es, esh, ds, dsh, fs, fsh, gs, gsh;
};
struct vm86_area {
    struct vm86_regs32 regs;
    unsigned long flags, screen_bitmap, cpu_type;
    uint8_t int_revectored[32], int21_revectored[32];
    uint8_t plus[256];
};

static bool have_vm86(void)
{
    return syscall(SYS_vm86, 0 /* plus: install check */, NULL) == 0;
}

static bool map_low(void)
{
    void *p = mmap((void *)LOW, 0x30000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return p == (void *)LOW || errno == EEXIST;
}

/* Runs 16-bit code by vm86: `in` and `out` as with run(). The code ends with HLT, which comes back as a fault. */
static void run_vm86(const struct enc *e, word ip)
{
    struct vm86_area v;
    memset(&v, 0, sizeof v);
    memcpy((void *)(LOW + ip), e->b, (size_t)e->n);
    *(uint8_t *)(LOW + ip + (word)e->n) = 0xf4;
    v.regs.eax = (long)in.r[AX];
    v.regs.ecx = (long)in.r[CX];
    v.regs.edx = (long)in.r[DX];
    v.regs.ebx = (long)in.r[BX];
    v.regs.esp = (long)in.r[SP];
    v.regs.ebp = (long)in.r[BP];
    v.regs.esi = (long)in.r[SI];
    v.regs.edi = (long)in.r[DI];
    v.regs.eflags = (long)in.fl;
    v.regs.eip = (long)ip;
    v.regs.cs = LOW >> 4;
    v.regs.ds = v.regs.es = (LOW + 0x10000) >> 4;
    v.regs.ss = (LOW + 0x20000) >> 4;
    v.cpu_type = 6;
    memset(&fault, 0, sizeof fault);
    long r = syscall(SYS_vm86, 1 /* enter */, &v);
    out.r[AX] = (word)v.regs.eax;
    out.r[CX] = (word)v.regs.ecx;
    out.r[DX] = (word)v.regs.edx;
    out.r[BX] = (word)v.regs.ebx;
    out.r[SP] = (word)v.regs.esp;
    out.r[BP] = (word)v.regs.ebp;
    out.r[SI] = (word)v.regs.esi;
    out.r[DI] = (word)v.regs.edi;
    out.fl = (word)v.regs.eflags;
    if ((v.regs.eip & 0xffff) != (long)((ip + (word)e->n) & 0xffff))
        note("vm86 left with %lx at %lx, not at its end", r, v.regs.eip);
    hash((word)v.regs.eip - ip);
}

/* The same in 16-bit protected segments. */
static void run_ldt16(const struct enc *e, word ip)
{
    uint16_t cs = user_cs(), ds = user_ds();
    struct enc outer = {0}, inner = *e, after = {0};
    /* after: back in 32-bit code; the user's segments again, nothing else changed */
    e8(&after, 0x2e); /* cs: */
    e8(&after, 0x8e);
    e8(&after, 0x1d);
    e32(&after, DATA + 0xf000); /* mov ds, cs:[selector] */
    e8(&after, 0x8e);
    e8(&after, 0x05);
    e32(&after, DATA + 0xf000);
    e8(&after, 0x8e);
    e8(&after, 0x15);
    e32(&after, DATA + 0xf000);
    memcpy(DATAP + 0xf000, &ds, 2);
    word back = place(&after);
    e8(&inner, 0x66);
    e8(&inner, 0xea);
    e32(&inner, (uint32_t)back);
    e16(&inner, cs);
    memcpy((void *)(LOW + ip), inner.b, (size_t)inner.n);
    /* outer: load the 16-bit segments from memory and jump */
    static const uint16_t sels[] = {SEL(L_STACK16), SEL(L_DATA16)};
    memcpy(DATAP + 0xf010, sels, sizeof sels);
    e8(&outer, 0x8e);
    e8(&outer, 0x15);
    e32(&outer, DATA + 0xf010); /* mov ss */
    e8(&outer, 0x8e);
    e8(&outer, 0x05);
    e32(&outer, DATA + 0xf012); /* mov es */
    e8(&outer, 0x8e);
    e8(&outer, 0x1d);
    e32(&outer, DATA + 0xf012); /* mov ds */
    e8(&outer, 0xea);
    e32(&outer, (uint32_t)ip);
    e16(&outer, SEL(L_CODE16));
    code_ptr = place(&outer);
    run();
    if (fault.sig)
        note("16-bit code: signal %d trap %lu error %lx at %lx", fault.sig, fault.trap, fault.err, out.ip);
    hash(fault.sig ? 0xbad : (word)e->n); /* vm86 hashes how far it came */
}

static void code16(bool vm86)
{
    static const uint8_t ins[][8] = {
        {2, 0x01, 0xd8}, {2, 0x00, 0xfc}, {3, 0x66, 0x01, 0xd8}, {3, 0x83, 0xd1, 0x85}, {4, 0x81, 0xe9, 0x34, 0x92}, {2, 0xd3, 0xe0}, {2, 0xd2, 0xdc}, {3, 0x66, 0xd3, 0xd3},
        {2, 0xf7, 0xe1}, {2, 0xf6, 0xe9}, {1, 0x98}, {1, 0x99}, {2, 0x66, 0x98}, {1, 0x27}, {1, 0x3f}, {1, 0x37}, {2, 0xd5, 0x0a}, {1, 0x40}, {1, 0x4f}, {2, 0x66, 0x43},
        {2, 0x8b, 0x07}, {2, 0x8b, 0x00}, {2, 0x03, 0x01}, {3, 0x8b, 0x42, 0x08}, {4, 0x89, 0x8b, 0x10, 0x00}, {4, 0x8b, 0x0e, 0x34, 0x02}, {3, 0x66, 0x8b, 0x04}, {4, 0x67, 0x8b, 0x04, 0x8e},
        {3, 0x67, 0x8d, 0x03}, {2, 0x8d, 0x02}, {4, 0x66, 0x0f, 0xb6, 0xc7}, {3, 0x0f, 0xbe, 0xd4}, {1, 0x50}, {2, 0x66, 0x53}, {1, 0x59}, {2, 0x66, 0x5a}, {1, 0x60}, {1, 0x61}, {2, 0x66, 0x60},
        {3, 0x68, 0x34, 0x12}, {2, 0x6a, 0xfe}, {4, 0xc8, 0x10, 0x00, 0x00}, {4, 0xc8, 0x10, 0x00, 0x02}, {1, 0xc9}, {1, 0xa4}, {2, 0xf3, 0xa5}, {2, 0xf3, 0xab}, {3, 0x66, 0xf3, 0xa5}, {3, 0x67, 0xf3, 0xa4},
        {2, 0xf2, 0xae}, {2, 0xf3, 0xa6}, {1, 0xac}, {2, 0xe2, 0x00}, {2, 0xe3, 0x00}, {4, 0xe8, 0x00, 0x00, 0x58}, {3, 0xe9, 0x00, 0x00}, {2, 0x75, 0x00}, {4, 0x0f, 0x84, 0x00, 0x00}, {1, 0xd7},
        {3, 0x0f, 0xbc, 0xc3}, {3, 0x0f, 0xab, 0x0f}, {4, 0x66, 0x0f, 0xa3, 0x0f}, {3, 0x0f, 0xc1, 0x07}, {4, 0x0f, 0xba, 0xf0, 0x05}, {2, 0x87, 0xdb}, {2, 0x86, 0xe0}, {3, 0xc0, 0xc4, 0x05}, {1, 0x9f}, {1, 0x9e},
        {3, 0x36, 0x8b, 0x07}, {3, 0x26, 0x89, 0x05}, {3, 0x2e, 0x8a, 0x07}, {2, 0x8b, 0x46 - 0x40}, {3, 0x0f, 0xa4, 0xd8}, {2, 0x8c, 0xc0 | 0}, {3, 0x66, 0x0f, 0xc8}, {3, 0xd9, 0xe8, 0x90}, {2, 0xf7, 0xdb}, {4, 0x69, 0xc3, 0x11, 0x22},
    };
    if (!map_low())
        return;
    memset((void *)LOW, 0, 0x30000);
    make_ldt(LOW);
    bool real = vm86 && have_vm86();
    if (real)
        note("by vm86(2)");
    for (unsigned k = 0; k < sizeof ins / sizeof ins[0]; k++) {
        struct enc e = {0};
        for (int i = 0; i < ins[k][0]; i++)
            e8(&e, ins[k][i + 1]);
        if (ins[k][1] == 0x8c || ins[k][1] == 0xd9 || (ins[k][0] == 2 && ins[k][1] == 0x8b && ins[k][2] == 6))
            continue; /* selectors differ; x87 has its own groups */
        if (ins[k][1] == 0x0f && ins[k][2] == 0xa4)
            e8(&e, 5);
        word undef = ins[k][1] == 0xf7 && ins[k][2] == 0xe1 ? (word)~(CF | OF) : 0;
        if (ins[k][1] == 0xf6 || ins[k][1] == 0x69)
            undef = (word)~(CF | OF);
        if (ins[k][1] == 0xd3 || ins[k][1] == 0xd2 || (ins[k][1] == 0x66 && ins[k][2] == 0xd3) || (ins[k][1] == 0xc0))
            undef = AF | OF | CF;
        if (ins[k][1] == 0x27)
            undef = OF;
        if (ins[k][1] == 0x37 || ins[k][1] == 0x3f)
            undef = OF | SF | ZF | PF;
        if (ins[k][1] == 0xd5)
            undef = OF | AF | CF;
        if (ins[k][1] == 0x0f || (ins[k][1] == 0x66 && ins[k][2] == 0x0f))
            undef = OF | SF | AF | PF | (ins[k][2] == 0xbc ? CF : 0);
        static const uint8_t wrap_ips[] = {0, 1};
        for (unsigned w = 0; w < sizeof wrap_ips; w++) {
            struct enc listed = e;
            piece(&listed);
            word ip = 0x1000 + k * 0x80 + w * 0x40;
            for (unsigned v = 0; v < 8; v++) {
                rnd_seed(v * 100 + k);
                uint64_t *d = (uint64_t *)(LOW + 0x10000);
                for (unsigned i = 0; i < 0x20000 / 8; i += 1 + (i & 7) * 3)
                    d[i] = rnd64();
                for (int i = 0; i < 8; i++)
                    in.r[i] = (word)rnd64();
                in.r[CX] = v * 3;
                in.r[BX] &= 0xff;
                in.r[SI] = v == 7 ? 0xfffe : in.r[SI] & 0x3fff;
                in.r[DI] = v == 6 ? 0xfff8 : in.r[DI] & 0x3fff;
                in.r[SP] = (in.r[SP] & 0xffff0000) | (v == 5 ? 0 : v == 4 ? 0xfffe : 0x800);
                in.r[BP] = (in.r[BP] & 0xffff0000) | (v == 3 ? 0 : 0x900);
                /* An access that straddles the end of a segment faults differently in the two; stay clear of it. */
                if (v >= 3 && (ins[k][1] == 0x66 || ins[k][1] == 0x67 || ins[k][1] == 0x61 || ins[k][1] == 0x59 || ins[k][1] == 0xc9 || ins[k][1] == 0x0f || ins[k][1] == 0xc8 || ins[k][1] == 0x60)) {
                    in.r[SI] &= 0x3ffc;
                    in.r[DI] &= 0x3ffc;
                    in.r[SP] = (in.r[SP] & 0xffff0000) | 0x700;
                    in.r[BP] = (in.r[BP] & 0xffff0000) | 0x740;
                }
                if (ins[k][1] == 0x67 || ins[k][2] == 0x67) {
                    in.r[SI] &= 0xffff;
                    in.r[DI] &= 0xffff;
                    in.r[CX] &= 0xff;
                }
                in.fl = 2 | (v & 1 ? ARITH & ~OF : 0) | (v & 2 ? OF : 0);
                if (real)
                    run_vm86(&e, ip);
                else
                    run_ldt16(&e, ip);
                for (int i = 0; i < 8; i++)
                    hash(out.r[i]);
                hash(out.fl & ARITH & ~undef);
                hash_mem((void *)(LOW + 0x10000), 0x20000);
                note("in  ax %lx cx %lx dx %lx bx %lx sp %lx bp %lx si %lx di %lx fl %lx", in.r[0], in.r[1], in.r[2], in.r[3], in.r[4], in.r[5], in.r[6], in.r[7], in.fl);
                note("out ax %lx cx %lx dx %lx bx %lx sp %lx bp %lx si %lx di %lx fl %lx", out.r[0], out.r[1], out.r[2], out.r[3], out.r[4], out.r[5], out.r[6], out.r[7],
                     out.fl & ARITH & ~undef);
            }
        }
    }
}

/* 16-bit code that runs on beyond 64 KiB: IP does not wrap where the segment is longer, and instructions of every kind agree on that. */
static void code16_long(void)
{
    static const uint8_t ins[][6] = {{1, 0x90}, {1, 0x27}, {2, 0xd4, 0x0a}, {2, 0xeb, 0x00}, {4, 0xe8, 0x00, 0x00, 0x58}, {2, 0x9c, 0x58}, {4, 0xc8, 0x04, 0x00, 0x00}, {2, 0x74, 0x00}, {2, 0xe3, 0x00},
                                     {2, 0xcd, 0xf0}, {1, 0xf4}, {2, 0x0f, 0x0b}};
    if (!map_low())
        return;
    for (unsigned limit = 0xffff; limit < 0x20000; limit += 0x10000) {
        make_ldt(LOW);
        ldt_entry(L_CODE16, LOW, limit, 2, false, false, false, false);
        for (unsigned k = 0; k < sizeof ins / sizeof ins[0]; k++) {
            struct enc e = {0};
            for (int i = 0; i < ins[k][0]; i++)
                e8(&e, ins[k][i + 1]);
            struct enc listed = e;
            piece(&listed);
            for (word ip = 0xfff4; ip < 0x10003; ip++) {
                memset((void *)LOW, 0xf4, 0x100); /* where a short jump from the end of the segment leads */
                memset((void *)(LOW + 0xff00), 0x90, 0x400);
                rnd_regs();
                in.r[SP] = 0x800;
                in.r[BP] = 0x900;
                in.r[CX] = 0;
                in.fl = 2 | ZF;
                run_ldt16(&e, ip);
                hash(out.r[AX] & 0xffff);
                hash(out.r[SP]);
                hash(fault.trap);
                hash(fault.err);
                hash(fault.sig ? out.ip : 0);
                note("at %lx, limit %x: ax %lx sp %lx signal %d trap %lu error %lx ip %lx", ip, limit, out.r[AX] & 0xffff, out.r[SP], fault.sig, fault.trap, fault.err, fault.sig ? out.ip : 0);
            }
        }
    }
}

/* 32-bit code on a 16-bit stack, at both ends of it: SP wraps between the pieces of a frame, never within one; ENTER looks at where SP ends up. */
static void stack16_edges(void)
{
    static const uint8_t ins[][6] = {{1, 0xcf}, {1, 0xcb}, {3, 0xca, 0x08, 0x00}, {1, 0xc3}, {1, 0x60}, {1, 0x61}, {2, 0x66, 0x60}, {1, 0x50}, {1, 0x58}, {2, 0x66, 0x50}, {1, 0x9c}, {5, 0xe8, 0, 0, 0, 0},
                                     {4, 0xc8, 0x08, 0x00, 0x00}, {4, 0xc8, 0x08, 0x00, 0x01}, {4, 0xc8, 0x08, 0x00, 0x02}, {4, 0xc8, 0xf0, 0x0f, 0x00}, {5, 0x66, 0xc8, 0x08, 0x00, 0x00},
                                     {5, 0x66, 0xc8, 0x08, 0x00, 0x02}, {1, 0xc9}, {1, 0x1f}, {2, 0x0f, 0xa1}, {2, 0x66, 0x1f}};
    if (!map_low())
        return;
    uint16_t cs = user_cs(), ds = user_ds();
    make_ldt(LOW);
    for (unsigned limit = 0xffff; limit > 0x7000 && limit < 0x10000; limit -= 0x8000) {
        ldt_entry(L_STACK16, LOW + 0x20000, limit, 0, false, false, false, false);
        for (unsigned k = 0; k < sizeof ins / sizeof ins[0]; k++) {
            struct enc e = ENC(0x2e, 0x8e, 0x15); /* mov ss, cs:[] */
            e32(&e, DATA + 0xf010);
            for (int i = 0; i < ins[k][0]; i++)
                e8(&e, ins[k][i + 1]);
            int back = e.n;
            e8(&e, 0x2e);
            e8(&e, 0x8e);
            e8(&e, 0x15);
            e32(&e, DATA + 0xf000);
            piece(&e);
            for (int at = -24; at <= 24; at++) {
                uint16_t sp = (uint16_t)(at < 0 ? (int)limit + 1 + at : at), stack = SEL(L_STACK16);
                bool far = ins[k][1] == 0xcf || ins[k][1] == 0xcb || ins[k][1] == 0xca;
                uint32_t frame[3] = {(uint32_t)code_ptr + (uint32_t)back, far ? cs : 0x1234, 2};
                if (ins[k][1] == 0x1f || ins[k][1] == 0x0f || ins[k][2] == 0x1f)
                    frame[0] = ds;
                rnd_seed((unsigned)at + 100 * k);
                rnd_regs();
                memset((void *)(LOW + 0x20000), 0x11, 0x10000);
                for (unsigned i = 0; i < 12; i++) /* byte by byte: it wraps */
                    ((uint8_t *)(LOW + 0x20000))[(sp + i) & 0xffff] = ((uint8_t *)frame)[i];
                memcpy(DATAP + 0xf000, &ds, 2);
                memcpy(DATAP + 0xf010, &stack, 2);
                in.r[SP] = 0x12340000 | sp;
                in.r[BP] = 0x43210000 | (uint16_t)(sp + 4);
                in.fl = 2;
                run();
                for (int i = 0; i < 8 && !(ins[k][1] == 0x61 && fault.sig); i++) /* how far POPA gets is the processor's own */
                    hash(out.r[i]);
                hash((uint64_t)fault.sig);
                hash(fault.trap);
                hash(fault.err);
                for (unsigned i = 0; i < 12; i++) /* selectors are the kernel's own */
                    ((uint8_t *)(LOW + 0x20000))[(sp + i) & 0xffff] = 0;
                if (ins[k][1] != 0xe8 && ins[k][1] != 0x9c)
                    hash_mem((void *)(LOW + 0x20000), 0x10000);
                note("sp %x limit %x: sp %lx bp %lx signal %d trap %lu error %lx", sp, limit, out.r[SP], out.r[BP], fault.sig, fault.trap, fault.err);
            }
        }
    }
}

static void code16_ldt(void) { code16(false); }
static void code16_vm86(void) { code16(true); }

const struct group seg_groups[] = {
    {"selector_queries", selector_queries}, {"null_selectors", null_selectors}, {"seg_load", seg_load},     {"seg_limits", seg_limits}, {"branch_limits", branch_limits}, {"branch_segments", branch_segments}, {"far_transfers", far_transfers},
    {"odd_32bit", odd_32bit},               {"code16_ldt", code16_ldt}, {"code16_vm86", code16_vm86},
    {"code16_long", code16_long},           {"stack16_edges", stack16_edges}, {NULL, NULL},
};
#endif
