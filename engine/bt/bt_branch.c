/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends of blocks: exits that are linked to other blocks, indirect jumps through the table, calls, returns, loops.
 */
#include "bt/bt_tr.h"

/* ---- exits ---- */

bool tr_may_link(struct bt_tr *t) { return !(t->mode & M_UNLINKED) && !(t->b->cross && !t->cp2) && !t->b->stop; }

/* The next of the block's exits: to page offset delta of this page (any page), by the branch whose rel32 is at rel. */
uint32_t tr_new_exit(struct bt_tr *t, const uint8_t *rel, int64_t delta)
{
    uint32_t xi = t->bc->n_exits++;
    t->bc->exits[xi] = (struct bt_exit){.patch = (uint32_t)(rel - t->bc->code_rw), .blk = t->blk, .delta = delta};
    if (t->b->n_exits++ == 0)
        t->b->exits = xi;
    return xi;
}

/* An exit to page offset delta of this page (any page); rel is the branch to patch, or NULL to emit a jump here. */
void tr_exit_direct(struct bt_tr *t, uint8_t *rel, int64_t delta)
{
    tr_sp_flush(t);
    if (!rel)
        rel = e_jmp32(&t->e);
    tr_add_cold(t, rel, COLD_EXIT, tr_new_exit(t, rel, delta));
}

void tr_exit_indirect(struct bt_tr *t)
{
    tr_sp_flush(t);
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    if (!tr_may_link(t) && (t->mode & M_UNLINKED) != M_NOGROUP) {
        e_fix(e_jmp32(e), bc->code_rw + bc->tr_indirect);
        return;
    }
    e_movzx16(e, 11, 10);
    static const uint8_t j[] = {0x65, 0x42, 0xff, 0x24, 0xdd}; /* jmp gs:[r11*8 + jc] */
    for (unsigned i = 0; i < sizeof j; i++)
        e1(e, j[i]);
    e4(e, (uint32_t)offsetof(struct bt_cpu, jc[0]));
}

/* 66h in 64-bit code: Intel's processors ignore it, AMD's cut RIP to 16 bits, of short jumps too (APM vol. 3, CALL (Near), JMP (Near), Jcc). */
static unsigned branch_width(const struct bt_tr *t)
{
    const ZydisDecodedInstruction *in = &t->cur->in;
    if (!t->m64 || !t->bc->bv->feat.amd || (in->attributes & ZYDIS_ATTRIB_HAS_REX && in->raw.rex.W))
        return in->operand_width;
    for (unsigned i = 0; i < in->raw.prefix_count; i++)
        if (in->raw.prefixes[i].value == 0x66)
            return 16;
    return in->operand_width;
}

/* Where a relative branch goes, as page offset of this page; false: it wraps in a way only a run-time sum knows. */
bool tr_branch_delta(struct bt_tr *t, int64_t *delta)
{
    const ZydisDecodedInstruction *in = &t->cur->in;
    unsigned width = branch_width(t);
    int64_t d = (int64_t)t->cur->off + in->length + in->raw.imm[0].value.s;
    if (t->m64 && width != 16) {
        *delta = d;
        return true;
    }
    if (t->cpg->fixed) {
        uint64_t va = t->bc->cells[t->cp].va, tgt = va + (uint64_t)d;
        tgt &= width == 16 ? 0xffff : 0xffffffff;
        *delta = (int64_t)(tgt - va);
        return true;
    }
    *delta = d;
    return width != 16;
}

void tr_jump_relative(struct bt_tr *t, uint8_t *rel)
{
    int64_t d;
    if (tr_branch_delta(t, &d)) {
        tr_exit_direct(t, rel, d);
        return;
    }
    uint8_t *over = NULL;
    if (rel) { /* conditional, 16-bit target in 32-bit code: rare */
        over = e_jmp32(&t->e);
        e_fix(rel, t->e.p);
    }
    tr_emit_rip(t, 10, (int64_t)t->cur->off + t->cur->in.length + t->cur->in.raw.imm[0].value.s);
    e_movzx16(&t->e, 10, 10);
    tr_exit_indirect(t);
    if (over)
        e_fix(over, t->e.p);
}

static void push_return(struct bt_tr *t, unsigned size)
{
    int64_t next = (int64_t)t->cur->off + t->cur->in.length;
    if (t->cpg->fixed) {
        uint64_t v = t->bc->cells[t->cp].va + (uint64_t)next;
        if (size < 8 || (int64_t)v == (int32_t)v) {
            tr_push_value(t, size, -2, (int64_t)v);
            return;
        }
    }
    tr_push_value(t, size, -3, next);
}

void tr_lower_call(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned size = branch_width(t) / 8;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        push_return(t, size);
        tr_jump_relative(t, NULL);
        return;
    }
    int src = -1;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        tr_load_t0(t, &n->op[0], size);
    } else {
        src = (int)tr_gpr_of(n->op[0].reg.value);
        if (src == 4) {
            e_st(&t->e, 4, HOT_T0);
            src = -1;
        }
    }
    push_return(t, size);
    if (src < 0)
        e_ld(&t->e, 10, HOT_T0);
    else if (t->m64 && (src == 10 || src == 11))
        e_ld(&t->e, 10, HOME(src));
    else
        e_mov(&t->e, 10, (unsigned)src);
    if (size == 4)
        e_mov32(&t->e, 10, 10);
    else if (size == 2)
        e_movzx16(&t->e, 10, 10);
    tr_exit_indirect(t);
}

void tr_lower_jmp(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned size = branch_width(t) / 8;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        tr_jump_relative(t, NULL);
        return;
    }
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        tr_emit_ea(t, &n->op[0], 0);
        tr_op_begin(t, size, ACC_R, tr_seg_of(n->op[0].mem.segment), 0);
        if (size == 2)
            e_mem(&t->e, 0, 0, 0x0fb7, 10, AM_R10R11);
        else
            e_mem(&t->e, size == 8, 0, 0x8b, 10, AM_R10R11);
        tr_op_end(t);
    } else {
        unsigned src = tr_gpr_of(n->op[0].reg.value);
        if (t->m64 && (src == 10 || src == 11))
            e_ld(&t->e, 10, HOME(src));
        else
            e_mov(&t->e, 10, src);
        if (size == 4)
            e_mov32(&t->e, 10, 10);
        else if (size == 2)
            e_movzx16(&t->e, 10, 10);
    }
    tr_exit_indirect(t);
}

void tr_lower_ret(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned size = n->in.operand_width / 8;
    int32_t pop = n->in.raw.imm[0].size ? (int32_t)(uint16_t)n->in.raw.imm[0].value.u : 0;
    if (tr_group_addr(t, NULL)) {
        e_mem_at(&t->e, size == 8, 0, size == 2 ? 0x0fb7 : 0x8b, 10, AM_R11DISP, t->am_disp);
        tr_sp_add_lazy(t, (int32_t)size + pop);
        tr_exit_indirect(t);
        return;
    }
    tr_sp_ea(t, 0);
    tr_op_begin(t, size, ACC_R, S_SS, SITE_STACK);
    if (size == 2)
        e_mem(&t->e, 0, 0, 0x0fb7, 10, AM_R10R11);
    else
        e_mem(&t->e, size == 8, 0, 0x8b, 10, AM_R10R11);
    tr_op_end(t);
    tr_sp_add(t, (int32_t)size + pop);
    tr_exit_indirect(t);
}

/* LOOPcc and JrCXZ */
void tr_lower_loop(struct bt_tr *t)
{
    const ZydisDecodedInstruction *in = &t->cur->in;
    struct em *e = &t->e;
    unsigned a = in->address_width;
    bool jcxz = in->mnemonic == ZYDIS_MNEMONIC_JCXZ || in->mnemonic == ZYDIS_MNEMONIC_JECXZ || in->mnemonic == ZYDIS_MNEMONIC_JRCXZ;
    int64_t next = (int64_t)t->cur->off + in->length;
    if (!jcxz) {
        if (a == 16) {
            e_lea(e, 0, 10, 1, NOREG, 1, -1);
            e_mov16(e, 1, 10);
        } else {
            e_lea(e, a == 64, 1, 1, NOREG, 1, -1);
        }
    }
    uint8_t *z;
    if (a == 16) {
        e_rcx_away(e, LEGACY(t->mode));
        e_movzx16(e, 1, 1);
        z = e_jrcxz(e);
        e_rcx_back(e, LEGACY(t->mode));
    } else {
        if (a == 32)
            e1(e, 0x67);
        z = e_jrcxz(e);
    }
    /* count is not zero */
    if (jcxz) {
        tr_exit_direct(t, NULL, next);
        e_fix8(z, e->p);
        if (a == 16)
            e_rcx_back(e, LEGACY(t->mode));
        tr_jump_relative(t, NULL);
        return;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_LOOPE)
        tr_jump_relative(t, e_jcc32(e, 4));
    else if (in->mnemonic == ZYDIS_MNEMONIC_LOOPNE)
        tr_jump_relative(t, e_jcc32(e, 5));
    else
        tr_jump_relative(t, NULL);
    if (in->mnemonic != ZYDIS_MNEMONIC_LOOP)
        tr_exit_direct(t, NULL, next);
    if (e->p - (z + 1) > 127) {
        t->failed = true;
        return;
    }
    e_fix8(z, e->p);
    if (a == 16)
        e_rcx_back(e, LEGACY(t->mode));
    tr_exit_direct(t, NULL, next);
}
