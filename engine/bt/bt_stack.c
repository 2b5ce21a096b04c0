/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PUSH, POP, LEAVE, and the value that a CALL pushes.
 */
#include "bt/bt_tr.h"

/* ---- stack ---- */

static unsigned stack_size(struct bt_tr *t) { return t->m64 ? 8 : t->mode & M_SS32 ? 4 : 2; }

void tr_sp_ea(struct bt_tr *t, int32_t d)
{
    unsigned ss = stack_size(t);
    if (d || ss == 2)
        e_lea(&t->e, ss == 8, 10, 4, NOREG, 1, d);
    else if (ss == 8)
        e_mov(&t->e, 10, 4);
    else
        e_mov32(&t->e, 10, 4);
    if (ss == 2)
        e_movzx16(&t->e, 10, 10);
}
void tr_sp_add(struct bt_tr *t, int32_t d)
{
    unsigned ss = stack_size(t);
    if (ss == 2) {
        e_lea(&t->e, 0, 11, 4, NOREG, 1, d);
        e_mov16(&t->e, 4, 11);
    } else {
        e_lea(&t->e, ss == 8, 4, 4, NOREG, 1, d);
    }
}

/* In a group nothing between two of its accesses need see RSP, so a row of pushes changes it once. */
void tr_sp_add_lazy(struct bt_tr *t, int32_t d) { t->sp_lazy += d; }

void tr_sp_flush(struct bt_tr *t)
{
    int32_t d = t->sp_lazy;
    t->sp_lazy = 0;
    if (d)
        tr_sp_add(t, d);
}

/* May the instruction run while RSP is behind? */
bool tr_keeps_sp(const struct bt_tr *t, const struct insn *n)
{
    if (n->group && !n->leader && (t->groups_ok >> (n->group - 1) & 1)) {
        switch (n->in.mnemonic) {
        case ZYDIS_MNEMONIC_PUSH:
        case ZYDIS_MNEMONIC_CALL:
            return n->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER || tr_gpr_of(n->op[0].reg.value) != 4;
        case ZYDIS_MNEMONIC_POP:
        case ZYDIS_MNEMONIC_RET:
            return true;
        default:
            return false;
        }
    }
    return !n->group && tr_plain_gpr(n);
}

/* mov [RSP - size], value; value: a guest register (0..15), or -1: in slot T0, or -2: immediate, or -3: rip + imm, or -4: selector imm */
void tr_push_store(struct bt_tr *t, unsigned size, int src, int64_t imm)
{
    struct em *e = &t->e;
    int w = size == 8, p66 = size == 2;
    if (tr_group_addr(t, NULL)) {
        if (src >= 0 && !(t->m64 && (src == 10 || src == 11))) {
            e_mem_at(e, w, p66, 0x89, (unsigned)src, AM_R11DISP, t->am_disp);
        } else if (src == -2) {
            e_mem_at(e, w, p66, 0xc7, 0, AM_R11DISP, t->am_disp);
            if (size == 2)
                e2(e, (uint8_t)imm, (uint8_t)(imm >> 8));
            else
                e4(e, (uint32_t)imm);
        } else {
            if (src == -1)
                e_ld(e, 10, HOT_T0);
            else if (src == -3)
                tr_emit_rip(t, 10, imm);
            else if (src == -4)
                e_ldzx16(e, 10, SEG_OFF(imm, sel));
            else
                e_ld(e, 10, HOME(src));
            e_mem_at(e, w, p66, 0x89, 10, AM_R11DISP, t->am_disp);
        }
        return;
    }
    tr_sp_ea(t, -(int32_t)size);
    tr_op_begin(t, size, ACC_W, S_SS, SITE_WONLY | SITE_STACK);
    if (src >= 0 && !(t->m64 && (src == 10 || src == 11))) {
        e_mem(e, w, p66, 0x89, (unsigned)src, AM_R10R11);
    } else if (src == -2) {
        e_mem(e, w, p66, 0xc7, 0, AM_R10R11);
        if (size == 2)
            e2(e, (uint8_t)imm, (uint8_t)(imm >> 8));
        else
            e4(e, (uint32_t)imm);
    } else {
        e_lea(e, 1, 10, 10, 11, 1, 0);
        if (src == -1)
            e_ld(e, 11, HOT_T0);
        else if (src == -3)
            tr_emit_rip(t, 11, imm);
        else if (src == -4)
            e_ldzx16(e, 11, SEG_OFF(imm, sel));
        else
            e_ld(e, 11, HOME(src));
        e_mem(e, w, p66, 0x89, 11, AM_R10);
    }
    tr_op_end(t);
}
void tr_push_value(struct bt_tr *t, unsigned size, int src, int64_t imm)
{
    tr_push_store(t, size, src, imm);
    if (t->cur->group && t->groups_ok >> (t->cur->group - 1) & 1)
        tr_sp_add_lazy(t, -(int32_t)size);
    else
        tr_sp_add(t, -(int32_t)size);
}
/* T0 = memory operand of the given size, zero-extended */
void tr_load_t0(struct bt_tr *t, const ZydisDecodedOperand *m, unsigned size)
{
    tr_emit_ea(t, m, 0);
    tr_op_begin(t, size, ACC_R, tr_seg_of(m->mem.segment), 0);
    if (size == 2)
        e_mem(&t->e, 0, 0, 0x0fb7, 10, AM_R10R11);
    else
        e_mem(&t->e, size == 8, 0, 0x8b, 10, AM_R10R11);
    e_st(&t->e, 10, HOT_T0);
    tr_op_end(t);
}

void tr_lower_pop(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    struct em *e = &t->e;
    unsigned size = n->in.operand_width / 8;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        tr_sp_ea(t, 0);
        tr_op_begin(t, size, ACC_R, S_SS, SITE_STACK);
        e_mem(e, size == 8, size == 2, 0x8b, 10, AM_R10R11);
        e_st(e, 10, HOT_T0);
        tr_op_end(t);
        unsigned b = tr_gpr_of(n->op[0].mem.base);
        tr_emit_ea(t, &n->op[0], n->op[0].mem.base != ZYDIS_REGISTER_NONE && b == 4 ? (int32_t)size : 0);
        tr_op_begin(t, size, ACC_W, tr_seg_of(n->op[0].mem.segment), SITE_WONLY);
        e_lea(e, 1, 10, 10, 11, 1, 0);
        e_ld(e, 11, HOT_T0);
        e_mem(e, size == 8, size == 2, 0x89, 11, AM_R10);
        tr_op_end(t);
        tr_sp_add(t, (int32_t)size);
        return;
    }
    unsigned dst = tr_gpr_of(n->op[0].reg.value);
    if (dst != 4 && tr_group_addr(t, NULL)) {
        bool home = t->m64 && (dst == 10 || dst == 11);
        e_mem_at(e, size == 8, size == 2, 0x8b, home ? 10 : dst, AM_R11DISP, t->am_disp);
        if (home)
            e_gs(e, size != 2, size == 2, 0x89, 10, HOME(dst));
        tr_sp_add_lazy(t, (int32_t)size);
        return;
    }
    tr_sp_ea(t, 0);
    tr_op_begin(t, size, ACC_R, S_SS, SITE_STACK);
    if (dst == 4) { /* POP RSP: the value wins over the increment, but the upper part is the incremented one for 16 bits */
        e_mem(e, size == 8, size == 2, 0x8b, 10, AM_R10R11);
        tr_op_end(t);
        if (size == 2) {
            tr_sp_add(t, 2);
            e_mov16(e, 4, 10);
        } else if (size == 4) {
            e_mov32(e, 4, 10);
        } else {
            e_mov(e, 4, 10);
        }
        return;
    }
    if (t->m64 && (dst == 10 || dst == 11)) {
        if (size == 2) { /* merge into the home */
            e_mem(e, 0, 1, 0x8b, 10, AM_R10R11);
            e_gs(e, 0, 1, 0x89, 10, HOME(dst));
        } else {
            e_mem(e, 1, 0, 0x8b, 10, AM_R10R11);
            e_st(e, 10, HOME(dst));
        }
    } else {
        e_mem(e, size == 8, size == 2, 0x8b, dst, AM_R10R11);
    }
    tr_op_end(t);
    tr_sp_add(t, (int32_t)size);
}

void tr_lower_push(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    const ZydisDecodedOperand *o = &n->op[0];
    unsigned size = n->in.operand_width / 8;
    if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        tr_push_value(t, size, -2, o->imm.value.s);
    } else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        tr_load_t0(t, o, size);
        tr_push_value(t, size, -1, 0);
    } else if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_SEGMENT) {
        tr_push_value(t, size, -4, tr_seg_of(o->reg.value));
    } else {
        tr_push_value(t, size, (int)tr_gpr_of(o->reg.value), 0);
    }
}

void tr_lower_leave(struct bt_tr *t)
{
    struct em *e = &t->e;
    unsigned size = t->cur->in.operand_width / 8, ss = stack_size(t);
    if (ss == 2)
        e_movzx16(e, 10, 5);
    else if (ss == 4)
        e_mov32(e, 10, 5);
    else
        e_mov(e, 10, 5);
    tr_op_begin(t, size, ACC_R, S_SS, SITE_STACK);
    e_mem(e, size == 8, size == 2, 0x8b, 10, AM_R10R11);
    tr_op_end(t);
    if (ss == 2) {
        e_lea(e, 0, 11, 5, NOREG, 1, (int32_t)size);
        e_mov16(e, 4, 11);
    } else {
        e_lea(e, ss == 8, 4, 5, NOREG, 1, (int32_t)size);
    }
    if (size == 2)
        e_mov16(e, 5, 10);
    else if (size == 4)
        e_mov32(e, 5, 10);
    else
        e_mov(e, 5, 10);
}
