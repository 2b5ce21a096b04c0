/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Position-independent 32-bit code has no RIP-relative addresses: nearly every function begins with a call of a thunk, MOV reg, [ESP]; RET, or calls the
 * next instruction, to learn where it is. To run that as a call costs two jumps between blocks and a return. Here it is what it does: the return address
 * is stored below the stack, and in the register.
 */
#include "bt/bt_tr.h"

#define THUNK_LEN 4

/* The register that a thunk loads, or NOREG. */
static unsigned thunk_reg(const uint8_t *p)
{
    unsigned reg = p[1] >> 3 & 7;
    return p[0] == 0x8b && (p[1] & 0xc7) == 0x04 && p[2] == 0x24 && p[3] == 0xc3 && reg != 4 ? reg : NOREG;
}

/*
 * Is x, a CALL in the page at lin (bytes: here), such a one? Then x->thunk is set, and the block depends on the thunk's bytes (cp2).
 */
bool tr_is_thunk(struct bt_tr *t, struct insn *x, uint64_t lin, const uint8_t *here)
{
    struct bt_cpu *bc = t->bc;
    if ((t->mode & (M_CODE | M_CSFLAT | M_SS32 | M_UNLINKED)) != (M_CODE32 | M_CSFLAT | M_SS32) || x->in.operand_width != 32 ||
        x->op[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || x->in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || bc->bv->dbg_exec || t->b->cross)
        return false;
    int64_t d = x->in.raw.imm[0].value.s;
    if (d == 0) {
        x->thunk = THUNK_NEXT;
        return true;
    }
    uint32_t page = (uint32_t)lin & ~0xfffu, at = page + x->off + x->in.length + (uint32_t)d, off = at & 0xfff;
    if (off > PAGE - THUNK_LEN)
        return false;
    if (t->cp2 && (off != t->tail_off || at - off != page + (uint32_t)t->cp2_delta))
        return false; /* one is enough */
    const uint8_t *there = at - off == page ? here : bt_peek_page(bc, at - off);
    if (!there || thunk_reg(there + off) == NOREG)
        return false;
    struct cpu_fault keep = bc->c.fault;
    uint64_t gpa2;
    uint32_t cp2 = bt_cpage_beside(bc, t->cp, at - off, off, off + THUNK_LEN, &gpa2, &there);
    bc->c.fault = keep;
    if (!cp2)
        return false;
    unsigned reg = thunk_reg(there + off); /* now that writes are noticed */
    if (reg == NOREG)
        return false;
    t->cp2 = cp2;
    t->cp2_delta = (int32_t)(at - off - page);
    t->tail_off = (uint16_t)off;
    t->tail_len = THUNK_LEN;
    x->thunk = (uint8_t)(reg + 1);
    return true;
}

void tr_lower_thunk(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    int64_t next = (int64_t)n->off + n->in.length;
    if (n->thunk == THUNK_NEXT) {
        tr_push_value(t, 4, -3, next);
        return;
    }
    tr_push_store(t, 4, -3, next);
    tr_emit_rip(t, tr_thunk_reg(n), next);
}
