/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoders for the instructions that the translator adds around the guest's. All are free of flags unless their name says otherwise. */
#ifndef LODGE_BT_EMIT_H
#define LODGE_BT_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "bt/bt_layout.h"

struct em {
    uint8_t *p; /* writing here */
};

static inline void e1(struct em *e, uint8_t b) { *e->p++ = b; }
static inline void e2(struct em *e, uint8_t a, uint8_t b)
{
    e1(e, a);
    e1(e, b);
}
static inline void e3(struct em *e, uint8_t a, uint8_t b, uint8_t c)
{
    e2(e, a, b);
    e1(e, c);
}
static inline void e4(struct em *e, uint32_t v)
{
    st_le32(e->p, v);
    e->p += 4;
}
static inline void e8(struct em *e, uint64_t v)
{
    st_le64(e->p, v);
    e->p += 8;
}

/* op reg, gs:[disp]; opc up to two bytes (0F first) */
static inline void e_gs(struct em *e, int w, int pfx66, unsigned opc, unsigned reg, uint32_t disp)
{
    e1(e, 0x65);
    if (pfx66)
        e1(e, 0x66);
    uint8_t rex = (w ? 0x48 : 0) | (reg >= 8 ? 0x44 : 0);
    if (rex)
        e1(e, rex);
    if (opc > 0xff)
        e1(e, opc >> 8);
    e1(e, opc & 0xff);
    e1(e, 0x04 | (reg & 7) << 3);
    e1(e, 0x25);
    e4(e, disp);
}
/* op reg, gs:[r11*8 + disp] */
static inline void e_gs_r11(struct em *e, unsigned opc, unsigned reg, uint32_t disp)
{
    e1(e, 0x65);
    e1(e, 0x4a | (reg >= 8 ? 4 : 0));
    e1(e, opc);
    e1(e, 0x04 | (reg & 7) << 3);
    e1(e, 0xdd);
    e4(e, disp);
}
static inline void e_ld(struct em *e, unsigned reg, uint32_t disp) { e_gs(e, 1, 0, 0x8b, reg, disp); }
static inline void e_st(struct em *e, unsigned reg, uint32_t disp) { e_gs(e, 1, 0, 0x89, reg, disp); }
static inline void e_ld32(struct em *e, unsigned reg, uint32_t disp) { e_gs(e, 0, 0, 0x8b, reg, disp); }
static inline void e_st32(struct em *e, unsigned reg, uint32_t disp) { e_gs(e, 0, 0, 0x89, reg, disp); }
static inline void e_ldzx16(struct em *e, unsigned reg, uint32_t disp) { e_gs(e, 0, 0, 0x0fb7, reg, disp); }
static inline void e_st_imm8(struct em *e, uint32_t disp, uint8_t v)
{
    e4(e, 0x2504c665); /* mov byte gs:[], v */
    e4(e, disp);
    e1(e, v);
}
static inline void e_st_imm32(struct em *e, uint32_t disp, uint32_t v)
{
    e4(e, 0x2504c765); /* mov dword gs:[], v */
    e4(e, disp);
    e4(e, v);
}

/* opc reg, rm (register form) */
static inline void e_rr(struct em *e, int w, unsigned opc, unsigned reg, unsigned rm)
{
    uint8_t rex = 0x40 | (w ? 8 : 0) | (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0);
    if (rex != 0x40)
        e1(e, rex);
    if (opc > 0xff)
        e1(e, opc >> 8);
    e1(e, opc & 0xff);
    e1(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static inline void e_mov(struct em *e, unsigned dst, unsigned src) { e_rr(e, 1, 0x8b, dst, src); }
static inline void e_mov32(struct em *e, unsigned dst, unsigned src) { e_rr(e, 0, 0x8b, dst, src); }
static inline void e_mov16(struct em *e, unsigned dst, unsigned src)
{
    e1(e, 0x66);
    e_rr(e, 0, 0x8b, dst, src);
}
static inline void e_movzx16(struct em *e, unsigned dst, unsigned src) { e_rr(e, 0, 0x0fb7, dst, src); }

static inline void e_movi(struct em *e, unsigned dst, uint64_t v)
{
    if (v <= 0xffffffffu) {
        if (dst >= 8)
            e1(e, 0x41);
        e1(e, 0xb8 | (dst & 7));
        e4(e, (uint32_t)v);
    } else if ((int64_t)v == (int32_t)v) {
        e1(e, dst >= 8 ? 0x49 : 0x48);
        e1(e, 0xc7);
        e1(e, 0xc0 | (dst & 7));
        e4(e, (uint32_t)v);
    } else {
        e1(e, dst >= 8 ? 0x49 : 0x48);
        e1(e, 0xb8 | (dst & 7));
        e8(e, v);
    }
}
#define NOREG 255u
/* lea dst, [base + index*scale + disp32]; base/index NOREG */
static inline void e_lea(struct em *e, int w, unsigned dst, unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    uint8_t rex = 0x40 | (w ? 8 : 0) | (dst >= 8 ? 4 : 0);
    if (index != NOREG && index >= 8)
        rex |= 2;
    if (base != NOREG && base >= 8)
        rex |= 1;
    if (rex != 0x40)
        e1(e, rex);
    e1(e, 0x8d);
    unsigned ss = scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
    unsigned r = (dst & 7) << 3;
    if (base == NOREG) {
        e1(e, 0x04 | r);
        e1(e, ss << 6 | (index == NOREG ? 4 : (index & 7)) << 3 | 5);
        e4(e, (uint32_t)disp);
        return;
    }
    unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : disp >= -128 && disp <= 127 ? 1 : 2;
    if (index == NOREG && (base & 7) != 4) {
        e1(e, mod << 6 | r | (base & 7));
    } else {
        e1(e, mod << 6 | r | 4);
        e1(e, ss << 6 | (index == NOREG ? 4 : (index & 7)) << 3 | (base & 7));
    }
    if (mod == 1)
        e1(e, (uint8_t)disp);
    else if (mod == 2)
        e4(e, (uint32_t)disp);
}
/* opc reg with memory [r10 + r11] or [base] */
enum { AM_R10R11, AM_R10, AM_R11, AM_RDI, AM_R11DISP, AM_BASE /* [base + r11 + disp]; instructions of the guest only */ };
static inline void e_mem_at(struct em *e, int w, int p66, unsigned opc, unsigned reg, int am, int32_t disp)
{
    if (p66)
        e1(e, 0x66);
    uint8_t rex = 0x40 | (w ? 8 : 0) | (reg >= 8 ? 4 : 0) | (am == AM_R10R11 ? 3 : am == AM_RDI ? 0 : 1); /* X and B */
    if (rex != 0x40)
        e1(e, rex);
    if (opc > 0xff)
        e1(e, opc >> 8);
    e1(e, opc & 0xff);
    if (am == AM_R10R11) {
        e1(e, 0x04 | (reg & 7) << 3);
        e1(e, 0x1a);
    } else if (am == AM_R11DISP && disp != 0) {
        if (disp >= -128 && disp <= 127) {
            e1(e, 0x43 | (reg & 7) << 3);
            e1(e, (uint8_t)disp);
        } else {
            e1(e, 0x83 | (reg & 7) << 3);
            e4(e, (uint32_t)disp);
        }
    } else {
        e1(e, (am == AM_R10 ? 2 : am == AM_R11 || am == AM_R11DISP ? 3 : 7) | (reg & 7) << 3);
    }
}
static inline void e_mem(struct em *e, int w, int p66, unsigned opc, unsigned reg, int am) { e_mem_at(e, w, p66, opc, reg, am, 0); }
static inline void e_cmp(struct em *e, unsigned reg, uint32_t imm) /* reg = r9 to r11; sets the flags */
{
    e3(e, 0x49, 0x81, (uint8_t)(0xf0 | reg));
    e4(e, imm);
}
/* RCX out of the way of a check that must not touch the flags, and back: to R8 in legacy modes, where it means nothing (SDM vol. 1, 3.4.1.1) */
static inline void e_rcx_away(struct em *e, bool legacy)
{
    if (legacy)
        e_mov(e, 8, 1);
    else
        e_st(e, 1, HOT_T1);
}
static inline void e_rcx_back(struct em *e, bool legacy)
{
    if (legacy)
        e_mov(e, 1, 8);
    else
        e_ld(e, 1, HOT_T1);
}
/* r11 = index of the TLB for the address in r10; the flags are spoilt */
static inline void e_tlb_index(struct em *e)
{
    e3(e, 0x45, 0x89, 0xd3); /* mov r11d, r10d */
    e4(e, 0x0cebc141);       /* shr r11d, 12 */
}
/* pext reg, src, gs:[mask], reg below 8: zero if src has none of the mask's bits */
static inline void e_pext(struct em *e, unsigned reg, unsigned src, uint32_t mask)
{
    e1(e, 0x65);
    e3(e, 0xc4, 0xe2, (uint8_t)(0x82 | (~src & 15) << 3));
    e3(e, 0xf5, (uint8_t)(0x04 | reg << 3), 0x25);
    e4(e, mask);
}
/* r11 = index of the TLB for the address in r10, and no flag changes */
static inline void e_tlb_index_keep(struct em *e)
{
    e2(e, 0x41, 0xbb); /* mov r11d, 12 */
    e4(e, 12);
    e4(e, 0xf72342c4); /* shrx r11d, r10d, r11d */
    e1(e, 0xda);
}
static inline uint8_t *e_jmp32(struct em *e) /* returns the place of rel32 */
{
    e1(e, 0xe9);
    e4(e, 0);
    return e->p - 4;
}
static inline uint8_t *e_jcc32(struct em *e, unsigned cc)
{
    e2(e, 0x0f, 0x80 | cc);
    e4(e, 0);
    return e->p - 4;
}
static inline void e_fix(uint8_t *rel, const uint8_t *to) { st_le32(rel, (uint32_t)(to - (rel + 4))); }
/* jrcxz over what follows: returns the place of rel8 */
static inline uint8_t *e_jrcxz(struct em *e)
{
    e2(e, 0xe3, 0);
    return e->p - 1;
}
static inline void e_fix8(uint8_t *rel, const uint8_t *to) { *rel = (uint8_t)(to - (rel + 1)); }

/* OF SF ZF AF PF CF into AX and back (AX is spoilt) */
static inline void e_flags_to_ax(struct em *e)
{
    e1(e, 0x9f);             /* lahf */
    e3(e, 0x0f, 0x90, 0xc0); /* seto al */
}
static inline void e_flags_from_ax(struct em *e)
{
    e2(e, 0x04, 0x7f); /* add al, 7fh: OF = saved bit */
    e1(e, 0x9e);       /* sahf */
}
/* ... into gs:[slot] and back, with RAX kept. */
static inline void e_flags_save(struct em *e, uint32_t raxslot, uint32_t slot)
{
    e_st(e, 0, raxslot);
    e_flags_to_ax(e);
    e_gs(e, 0, 1, 0x89, 0, slot);
    e_ld(e, 0, raxslot);
}
static inline void e_flags_load(struct em *e, uint32_t raxslot, uint32_t slot)
{
    e_st(e, 0, raxslot);
    e_gs(e, 0, 1, 0x8b, 0, slot);
    e_flags_from_ax(e);
    e_ld(e, 0, raxslot);
}

#endif
