/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gathers of AVX2 in place, where each element that the mask selects is inside one page that the TLB has: index, mask and destination go to memory, each
 * element is loaded by a check of its own, and the registers change at the end. Whatever is not so goes to C (bt_vsib.c) from the state before the
 * instruction. SDM vol. 2, VGATHER*.
 */
#include "bt/bt_tr.h"

enum { INDEX, MASK = 64, DEST = 128 }; /* in the bounce buffer */

static uint32_t slot(unsigned at) { return (uint32_t)offsetof(struct bt_cpu, bnc.data) + at; }

/* VMOVDQU (6F load, 7F store) or VMOVQ (7E load) with gs:[] */
static void vmov(struct em *e, uint8_t opc, bool wide, unsigned reg, unsigned at)
{
    e3(e, 0x65, 0xc4, (uint8_t)((reg >= 8 ? 0 : 0x80) | 0x61));
    e3(e, (uint8_t)(0x7a | (wide ? 4 : 0)), opc, (uint8_t)(0x04 | (reg & 7) << 3));
    e1(e, 0x25);
    e4(e, slot(at));
}

/* r->reg, rm, rep, aux and opsize as for CO_VSIB. Returns where to jump from the end (the place of a rel32), or NULL when C must do it always. */
uint8_t *tr_gather_inline(struct bt_tr *t, const ZydisDecodedOperand *m, const struct bt_rec *r)
{
    struct em *e = &t->e;
    unsigned isz = r->aux & VSIB_INDEX8 ? 8 : 4, dsz = r->aux & VSIB_DATA8 ? 8 : 4, n = r->opsize / (isz > dsz ? isz : dsz);
    if (!tr_flat_operand(t, (unsigned)tr_seg_of(m->mem.segment)) || (r->aux & (VSIB_EVEX | VSIB_SCATTER)) ||
        r->reg == r->rep || r->reg == r->rm || r->rep == r->rm)
        return NULL;
    uint8_t *slow[8];
    t->r11_group = 0;
    tr_emit_ea(t, m, 0);
    e_st(e, 10, HOT_T1);
    e_flags_save(e, HOT_RAX_SAVE, HOT_FLSLOT); /* dead ones, too: C may have to show them */
    vmov(e, 0x7f, true, r->rep, INDEX);
    vmov(e, 0x7f, true, r->rm, MASK);
    vmov(e, 0x7f, true, r->reg, DEST);
    for (unsigned i = 0; i < n; i++) {
        e4(e, 0x2504f665); /* test byte gs:[], 80h: the element's sign */
        e4(e, slot(MASK + i * dsz + dsz - 1));
        e1(e, 0x80);
        uint8_t *off = e_jcc32(e, 0x4);
        e_gs(e, 1, 0, isz == 8 ? 0x8b : 0x63, 10, slot(INDEX + i * isz)); /* MOVSXD */
        e_ld(e, 11, HOT_T1);
        e_lea(e, t->m64, 10, 11, 10, 1u << (r->aux >> 4 & 3), 0);
        slow[i] = tr_tlb_check(t, ACC_R, dsz);
        e_gs_r11(e, 0x8b, 11, tr_tlb_host(t));
        e_mem(e, dsz == 8, 0, 0x8b, 10, AM_R10R11);
        e_gs(e, dsz == 8, 0, 0x89, 10, slot(DEST + i * dsz));
        e_fix(off, e->p);
    }
    vmov(e, n * dsz == 8 ? 0x7e : 0x6f, n * dsz == 32, r->reg, DEST); /* what is above becomes zero */
    e3(e, 0xc4, (uint8_t)(0x41 | (r->rm >= 8 ? 0 : 0xa0)), (uint8_t)((~r->rm & 15) << 3 | 1)); /* VPXOR: so does the mask */
    e2(e, 0xef, (uint8_t)(0xc0 | (r->rm & 7) << 3 | (r->rm & 7)));
    e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    uint8_t *done = e_jmp32(e);
    for (unsigned i = 0; i < n; i++)
        e_fix(slow[i], e->p);
    e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    return done;
}
