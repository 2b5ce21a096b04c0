/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each instruction is lowered: most keep their own encoding; those that touch the state of the guest processor call out to C; the rest is spelled
 * out here.
 */
#include "bt/bt_tr.h"

/* ---- call-outs ---- */

struct bt_rec *tr_callout(struct bt_tr *t, unsigned op)
{
    t->r11_group = 0;
    t->groups_ok = 0;
    struct bt_cpu *bc = t->bc;
    uint32_t ri = bc->n_recs++;
    struct bt_rec *r = &bc->recs[ri];
    const ZydisDecodedInstruction *in = &t->cur->in;
    *r = (struct bt_rec){.op = (uint8_t)op, .opsize = in->operand_width / 8, .asize = in->address_width / 8, .ilen = in->length,
                         .off = t->cur->off, .blk = t->blk, .rm = 0xff};
    const ZydisDecodedOperand *m = tr_mem_operand(t->cur);
    if (m) {
        tr_emit_ea(t, m, 0);
        r->seg = (uint8_t)tr_seg_of(m->mem.segment);
    }
    e2(&t->e, 0x41, 0xbb); /* mov r11d, ri */
    e4(&t->e, ri);
    e_fix(e_jmp32(&t->e), bc->code_rw + bc->tr_callout);
    r->ret = tr_code_off(t);
    return r;
}

/* BT/BTS/BTR/BTC m, r: the bit offset reaches outside the operand (SDM vol. 2, BT). */
static void lower_bit_mem(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    struct em *e = &t->e;
    const ZydisDecodedOperand *m = &n->op[0];
    unsigned size = n->in.operand_width / 8, src = tr_gpr_of(n->op[1].reg.value);
    bool home = t->m64 && (src == 10 || src == 11);
    e_flags_save(e, HOT_RAX_SAVE, HOT_FLSLOT);
    tr_emit_ea(t, m, 0);
    if (home)
        e_ld(e, 11, HOME(src));
    else
        e_mov(e, 11, src);
    if (size == 2)
        e4(e, 0xdbbf0f4d); /* movsx r11, r11w */
    else if (size == 4)
        e3(e, 0x4d, 0x63, 0xdb); /* movsxd r11, r11d */
    e3(e, 0x49, 0xc1, 0xfb);     /* sar r11, n */
    e1(e, size == 8 ? 6 : size == 4 ? 5 : 4);
    e_lea(e, n->in.address_width == 64, 10, 10, 11, size, 0);
    if (n->in.address_width == 16)
        e_movzx16(e, 10, 10);
    uint8_t keep = t->cur->live_in;
    t->cur->live_in = 0; /* they are in the slot */
    bool bt_only = n->in.mnemonic == ZYDIS_MNEMONIC_BT;
    tr_op_begin(t, size, bt_only ? ACC_R : ACC_R | ACC_W, tr_seg_of(m->mem.segment), SITE_FLSLOT);
    t->cur->live_in = keep;
    e_lea(e, 1, 10, 10, 11, 1, 0);
    e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    /* The bit offset inside the operand; PEXT by a low mask is an AND that leaves the flags alone. */
    if (home)
        e_ld(e, 11, HOME(src));
    else
        e_mov(e, 11, src);
    static const uint8_t pext[] = {0x65, 0xc4, 0x62, 0xa2, 0xf5, 0x1c, 0x25}; /* pext r11, r11, gs:[] */
    for (unsigned i = 0; i < sizeof pext; i++)
        e1(e, pext[i]);
    e4(e, (uint32_t)offsetof(struct bt_cpu, bitmask) + (size == 8 ? 16 : size == 4 ? 8 : 0));
    if (n->in.attributes & ZYDIS_ATTRIB_HAS_LOCK)
        e1(e, 0xf0);
    if (size == 2)
        e1(e, 0x66);
    e1(e, (uint8_t)(0x45 | (size == 8 ? 8 : 0)));
    e2(e, 0x0f, n->in.mnemonic == ZYDIS_MNEMONIC_BT ? 0xa3 : n->in.mnemonic == ZYDIS_MNEMONIC_BTS ? 0xab : n->in.mnemonic == ZYDIS_MNEMONIC_BTR ? 0xb3 : 0xbb);
    e1(e, 0x1a); /* [r10], r11 */
    tr_op_end(t);
}

static void lower_xlat(struct bt_tr *t)
{
    struct em *e = &t->e;
    const ZydisDecodedInstruction *in = &t->cur->in;
    int seg = S_DS;
    for (unsigned i = 0; i < in->operand_count; i++)
        if (t->cur->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            seg = tr_seg_of(t->cur->op[i].mem.segment);
    e4(e, 0xd0b60f44); /* movzx r10d, al */
    e_lea(e, in->address_width == 64, 10, 10, 3, 1, 0);
    if (in->address_width == 16)
        e_movzx16(e, 10, 10);
    tr_op_begin(t, 1, ACC_R, seg, 0);
    e_mem(e, 0, 0, 0x8a, 0, AM_R10R11); /* mov al, [] */
    tr_op_end(t);
}

/* MOV r/m, Sreg */
static void lower_mov_from_seg(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    struct em *e = &t->e;
    int seg = tr_seg_of(n->op[1].reg.value);
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        tr_emit_ea(t, &n->op[0], 0);
        tr_op_begin(t, 2, ACC_W, tr_seg_of(n->op[0].mem.segment), SITE_WONLY);
        e_lea(e, 1, 10, 10, 11, 1, 0);
        e_ldzx16(e, 11, SEG_OFF(seg, sel));
        e_mem(e, 0, 1, 0x89, 11, AM_R10);
        tr_op_end(t);
        return;
    }
    unsigned dst = tr_gpr_of(n->op[0].reg.value);
    bool home = t->m64 && (dst == 10 || dst == 11);
    t->r11_group = 0;
    e_ldzx16(e, 11, SEG_OFF(seg, sel));
    if (n->in.operand_width == 16) {
        if (home)
            e_gs(e, 0, 1, 0x89, 11, HOME(dst));
        else
            e_mov16(e, dst, 11);
    } else if (home) {
        e_st(e, 11, HOME(dst));
    } else {
        e_mov32(e, dst, 11);
    }
}

static void lower_lea(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned dst = tr_gpr_of(n->op[0].reg.value), size = n->op[0].size / 8;
    const ZydisDecodedOperand *m = &n->op[1];
    struct em *e = &t->e;
    unsigned b = m->mem.base == ZYDIS_REGISTER_NONE ? NOREG : tr_gpr_of(m->mem.base), x = m->mem.index == ZYDIS_REGISTER_NONE ? NOREG : tr_gpr_of(m->mem.index);
    bool home = t->m64 && (dst == 10 || dst == 11 || b == 10 || b == 11 || x == 10 || x == 11);
    bool rip = m->mem.base == ZYDIS_REGISTER_RIP || m->mem.base == ZYDIS_REGISTER_EIP;
    if (!rip && !home && n->in.address_width >= 32 && size >= 4 && (b != NOREG || x != NOREG) &&
        !(n->in.address_width == 32 && size == 8)) {
        e_lea(e, size == 8, dst, b, x, m->mem.scale ? m->mem.scale : 1, (int32_t)m->mem.disp.value);
        return;
    }
    tr_emit_ea(t, m, 0);
    if (t->m64 && (dst == 10 || dst == 11)) {
        if (size == 2) {
            e_gs(e, 0, 1, 0x89, 10, HOME(dst));
        } else {
            if (size == 4)
                e_mov32(e, 10, 10);
            e_st(e, 10, HOME(dst));
        }
    } else if (size == 2) {
        e_mov16(e, dst, 10);
    } else if (size == 4) {
        e_mov32(e, dst, 10);
    } else {
        e_mov(e, dst, 10);
    }
}

static void lower_clzero(struct bt_tr *t)
{
    struct em *e = &t->e;
    e_flags_save(e, HOT_RAX_SAVE, HOT_FLSLOT);
    if (t->cur->in.address_width == 64)
        e_mov(e, 10, 0);
    else
        e_mov32(e, 10, 0);
    e4(e, 0xc0e28349); /* and r10, -64 */
    uint8_t keep = t->cur->live_in;
    t->cur->live_in = 0;
    tr_op_begin(t, 64, ACC_W, S_DS, SITE_WONLY | SITE_FLSLOT);
    t->cur->live_in = keep;
    e_lea(e, 1, 10, 10, 11, 1, 0);
    e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    e_mov(e, 11, 0);
    e_mov(e, 0, 10);
    e3(e, 0x0f, 0x01, 0xfc);
    e_mov(e, 0, 11);
    tr_op_end(t);
}

static void lower_string(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned oc = n->in.opcode, kind = oc & 0xfe, seg = S_DS; /* 6C INS, 6E OUTS, A4 MOVS, A6 CMPS, AA STOS, AC LODS, AE SCAS */
    unsigned size = (oc & 1) == 0 ? 1 : n->in.operand_width / 8;
    if (kind == 0x6c || kind == 0x6e)
        size = (oc & 1) == 0 ? 1 : n->in.operand_width == 16 ? 2 : 4;
    unsigned rep = n->in.attributes & ZYDIS_ATTRIB_HAS_REP || n->in.attributes & ZYDIS_ATTRIB_HAS_REPE ? 1 : n->in.attributes & ZYDIS_ATTRIB_HAS_REPNE ? 2 : 0;
    if (!rep)
        for (unsigned i = 0; i < n->in.raw.prefix_count; i++)
            if (n->in.raw.prefixes[i].value == 0xf3 || n->in.raw.prefixes[i].value == 0xf2)
                rep = n->in.raw.prefixes[i].value == 0xf3 ? 1 : 2;
    if (n->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT)
        for (unsigned i = 0; i < n->in.raw.prefix_count; i++) {
            switch (n->in.raw.prefixes[i].value) {
            case 0x26: seg = t->m64 ? S_DS : S_ES; break;
            case 0x2e: seg = t->m64 ? S_DS : S_CS; break;
            case 0x36: seg = t->m64 ? S_DS : S_SS; break;
            case 0x3e: seg = S_DS; break;
            case 0x64: seg = S_FS; break;
            case 0x65: seg = S_GS; break;
            default: break;
            }
        }
    uint8_t *done = tr_string_inline(t, kind, size, rep, seg);
    struct bt_rec *r = tr_callout(t, CO_STRING);
    r->aux = (uint8_t)kind;
    r->opsize = (uint8_t)size;
    r->rep = (uint8_t)rep;
    r->seg = (uint8_t)seg;
    if (done)
        e_fix(done, t->e.p);
}

static void rm_operand(struct bt_rec *r, const ZydisDecodedOperand *o)
{
    if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
        r->rm = (uint8_t)tr_gpr_of(o->reg.value);
}

/*
 * A near branch beyond the limit of CS faults itself, not at its target (SDM vol. 2, JMP, CALL, RET): where code is not flat, C looks first.
 * Returns true when nothing is left to be done.
 */
static bool branch_limit(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    const ZydisDecodedInstruction *in = &n->in;
    uint32_t limit = t->bc->c.s.seg[S_CS].limit;
    bool cond = in->meta.category == ZYDIS_CATEGORY_COND_BR;
    bool near = in->meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT || in->meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
    if (t->m64 || (t->mode & M_CSFLAT) || limit == 0xffffffff || !near)
        return false;
    struct bt_rec *r;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && in->mnemonic != ZYDIS_MNEMONIC_RET) {
        int64_t delta;
        if (!tr_branch_delta(t, &delta) || (uint32_t)(t->bc->cells[t->cp].va + (uint64_t)delta) <= limit)
            return false;
        bool count = in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && in->opcode >= 0xe0 && in->opcode <= 0xe3;
        tr_sp_flush(t);
        uint8_t *over = cond && !count ? e_jcc32(&t->e, (in->opcode & 15) ^ 1) : NULL;
        r = tr_callout(t, CO_BRLIMIT);
        r->aux = count ? BR_LOOP : BR_BEYOND;
        r->imm = in->opcode;
        if (over) {
            e_fix(over, t->e.p);
            tr_exit_direct(t, NULL, (int64_t)n->off + in->length);
        }
        return !count;
    }
    if (in->operand_width == 16 && limit >= 0xffff)
        return false;
    tr_sp_flush(t);
    r = tr_callout(t, CO_BRLIMIT);
    r->aux = in->mnemonic == ZYDIS_MNEMONIC_RET ? BR_RET : BR_TARGET;
    if (r->aux == BR_TARGET)
        rm_operand(r, &n->op[0]);
    return false;
}

/* Lowers the current instruction. Returns true when the block ends here. */
bool tr_lower(struct bt_tr *t)
{
    struct insn *n = t->cur;
    const ZydisDecodedInstruction *in = &n->in;
    struct em *e = &t->e;
    struct bt_rec *r;
    bool end = tr_ends_block(in);
    bool real = !(t->mode & M_PE) || (t->mode & M_VM86);

    if (in->opcode_map == ZYDIS_OPCODE_MAP_0F && in->opcode == 0x0d && in->raw.modrm.mod == 3 && t->bc->bv->feat.amd) {
        tr_callout(t, CO_UD); /* PREFETCH with a register: on Intel's processors it does nothing */
        return true;
    }
    if (tr_is_nop(in) && in->mnemonic != ZYDIS_MNEMONIC_PAUSE && in->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    if (tr_never_native(in) || !bt_isa_offered(t->bc->bv, in)) {
        tr_callout(t, CO_UD);
        return true;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_PAUSE && t->m64 && in->raw.rex.B) { /* F3 41 90 is XCHG r8, eAX with a prefix that does nothing */
        tr_emit_insn(t, -1);
        return false;
    }
    unsigned v = tr_vector_class(n);
    if ((v == V_FPU && !(t->mode & M_FPU)) || (v == V_SSE && !(t->mode & M_SSE)) || (v == V_AVX && !(t->mode & M_AVX)) ||
        (v == V_AVX512 && !(t->mode & M_AVX512)) || ((v == V_WAIT || v == V_MMX) && !(t->mode & M_FPU))) {
        r = tr_callout(t, CO_FPUCHECK);
        r->aux = (uint8_t)v;
    }
    if (tr_lower_system(t))
        return false;
    unsigned plain = tr_plain_callout(in->mnemonic);
    if (plain != CO_NONE) {
        if (real && (in->mnemonic == ZYDIS_MNEMONIC_SLDT || in->mnemonic == ZYDIS_MNEMONIC_STR || in->mnemonic == ZYDIS_MNEMONIC_LLDT ||
                     in->mnemonic == ZYDIS_MNEMONIC_LTR || in->mnemonic == ZYDIS_MNEMONIC_VERR || in->mnemonic == ZYDIS_MNEMONIC_VERW)) {
            tr_callout(t, CO_UD);
            return true;
        }
        r = tr_callout(t, plain);
        if (in->operand_count_visible)
            rm_operand(r, &n->op[0]);
        if (in->mnemonic == ZYDIS_MNEMONIC_SYSRET || in->mnemonic == ZYDIS_MNEMONIC_SYSEXIT)
            r->opsize = in->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE ? 4 : in->raw.rex.W ? 8 : 4;
        if (in->mnemonic == ZYDIS_MNEMONIC_IRET || in->mnemonic == ZYDIS_MNEMONIC_IRETD || in->mnemonic == ZYDIS_MNEMONIC_IRETQ)
            r->opsize = in->mnemonic == ZYDIS_MNEMONIC_IRET ? 2 : in->mnemonic == ZYDIS_MNEMONIC_IRETD ? 4 : 8;
        if (in->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || in->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU || in->mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU) {
            r->seg = S_DS;
            for (unsigned k = 0; k < in->operand_count; k++)
                if (n->op[k].type == ZYDIS_OPERAND_TYPE_MEMORY)
                    r->seg = (uint8_t)tr_seg_of(n->op[k].mem.segment);
            r->opsize = in->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ? 8 : 16;
            r->reg = (uint8_t)ZydisRegisterGetId(n->op[0].reg.value);
            r->rm = (uint8_t)ZydisRegisterGetId(n->op[1].reg.value);
        }
        return end && in->mnemonic != ZYDIS_MNEMONIC_INTO; /* which may go on */
    }
    if (tr_is_string(in->mnemonic) && in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {
        lower_string(t);
        return false;
    }
    if (branch_limit(t))
        return true;
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
        if (in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ||
            (in->opcode == 0xff && in->raw.modrm.reg == 5)) {
            r = tr_callout(t, n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ? CO_FARJMP : CO_FARJMPM);
            goto far_ptr;
        }
        tr_lower_jmp(t);
        return true;
    case ZYDIS_MNEMONIC_CALL:
        if (in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ||
            (in->opcode == 0xff && in->raw.modrm.reg == 3)) {
            r = tr_callout(t, n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ? CO_FARCALL : CO_FARCALLM);
        far_ptr:
            if (n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER) {
                r->imm = (int64_t)(uint32_t)n->op[0].ptr.offset | (int64_t)n->op[0].ptr.segment << 32;
                if (in->operand_width == 16)
                    r->imm &= ~0xffff0000ll;
            }
            return true;
        }
        if (n->thunk) {
            tr_lower_thunk(t);
            return false;
        }
        tr_lower_call(t);
        return true;
    case ZYDIS_MNEMONIC_RET:
        if (in->opcode == 0xca || in->opcode == 0xcb) {
            r = tr_callout(t, CO_FARRET);
            r->imm = in->raw.imm[0].size ? (int64_t)(uint16_t)in->raw.imm[0].value.u : 0;
            return true;
        }
        tr_lower_ret(t);
        return true;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
        tr_lower_loop(t);
        return true;
    case ZYDIS_MNEMONIC_PUSH:
        tr_lower_push(t);
        return false;
    case ZYDIS_MNEMONIC_POP:
        if (n->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(n->op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT) {
            r = tr_callout(t, CO_POPSEG);
            r->seg = (uint8_t)tr_seg_of(n->op[0].reg.value);
            return false;
        }
        tr_lower_pop(t);
        return false;
    case ZYDIS_MNEMONIC_LEAVE:
        tr_lower_leave(t);
        return false;
    case ZYDIS_MNEMONIC_LEA:
        lower_lea(t);
        return false;
    case ZYDIS_MNEMONIC_XLAT:
        lower_xlat(t);
        return false;
    case ZYDIS_MNEMONIC_CLZERO:
        lower_clzero(t);
        return false;
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
        if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY && n->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
            lower_bit_mem(t);
            return false;
        }
        break;
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD: /* DF never enters the host's flags: mov byte gs:[df], n */
        e4(e, 0x2504c665);
        e4(e, HOT_DF);
        e1(e, in->mnemonic == ZYDIS_MNEMONIC_STD);
        return false;
    case ZYDIS_MNEMONIC_MOV:
        for (unsigned k = 0; k < 2; k++) {
            if (n->op[k].type != ZYDIS_OPERAND_TYPE_REGISTER)
                continue;
            ZydisRegisterClass c = ZydisRegisterGetClass(n->op[k].reg.value);
            if (c == ZYDIS_REGCLASS_SEGMENT && k == 1) {
                lower_mov_from_seg(t);
                return false;
            }
            if (c == ZYDIS_REGCLASS_SEGMENT) {
                r = tr_callout(t, CO_MOVTOSEG);
                int seg = tr_seg_of(n->op[0].reg.value);
                r->reg = (uint8_t)seg;
                rm_operand(r, &n->op[1]);
                return false;
            }
            if (c == ZYDIS_REGCLASS_CONTROL || c == ZYDIS_REGCLASS_DEBUG) {
                bool cr = c == ZYDIS_REGCLASS_CONTROL;
                r = tr_callout(t, k == 0 ? (cr ? CO_MOVTOCR : CO_MOVTODR) : (cr ? CO_MOVFROMCR : CO_MOVFROMDR));
                r->reg = (uint8_t)(ZydisRegisterGetId(n->op[k].reg.value));
                r->rm = (uint8_t)tr_gpr_of(n->op[1 - k].reg.value);
                return false;
            }
        }
        break;
    case ZYDIS_MNEMONIC_INVPCID:
        r = tr_callout(t, CO_INVPCID);
        r->reg = (uint8_t)tr_gpr_of(n->op[0].reg.value);
        return false;
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
        if (real) {
            tr_callout(t, CO_UD);
            return true;
        }
        r = tr_callout(t, in->mnemonic == ZYDIS_MNEMONIC_LAR ? CO_LAR : CO_LSL);
        r->reg = (uint8_t)tr_gpr_of(n->op[0].reg.value);
        rm_operand(r, &n->op[1]);
        return false;
    case ZYDIS_MNEMONIC_ARPL:
        if (real) {
            tr_callout(t, CO_UD);
            return true;
        }
        r = tr_callout(t, CO_ARPL);
        rm_operand(r, &n->op[0]);
        r->reg = (uint8_t)tr_gpr_of(n->op[1].reg.value);
        return false;
    case ZYDIS_MNEMONIC_BOUND:
        r = tr_callout(t, CO_BOUND);
        r->reg = (uint8_t)tr_gpr_of(n->op[0].reg.value);
        return false;
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
        r = tr_callout(t, CO_LXS);
        r->reg = (uint8_t)tr_gpr_of(n->op[0].reg.value);
        r->aux = in->mnemonic == ZYDIS_MNEMONIC_LES ? S_ES : in->mnemonic == ZYDIS_MNEMONIC_LDS ? S_DS : in->mnemonic == ZYDIS_MNEMONIC_LSS ? S_SS
                 : in->mnemonic == ZYDIS_MNEMONIC_LFS ? S_FS : S_GS;
        return false;
    case ZYDIS_MNEMONIC_INT:
        r = tr_callout(t, CO_INT);
        r->imm = (int64_t)(uint8_t)in->raw.imm[0].value.u;
        return true;
    case ZYDIS_MNEMONIC_ENTER:
        r = tr_callout(t, CO_ENTER);
        r->imm = (int64_t)(uint16_t)in->raw.imm[0].value.u;
        r->aux = (uint8_t)in->raw.imm[1].value.u & 31;
        return false;
    case ZYDIS_MNEMONIC_IN:
    case ZYDIS_MNEMONIC_OUT:
        r = tr_callout(t, in->mnemonic == ZYDIS_MNEMONIC_IN ? CO_IN : CO_OUT);
        r->opsize = !(in->opcode & 1) ? 1 : in->operand_width == 16 ? 2 : 4;
        r->aux = in->opcode >= 0xec;
        r->imm = (int64_t)(uint8_t)in->raw.imm[0].value.u;
        return false;
    case ZYDIS_MNEMONIC_RDFSBASE:
    case ZYDIS_MNEMONIC_RDGSBASE:
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE:
        r = tr_callout(t, in->mnemonic == ZYDIS_MNEMONIC_RDFSBASE || in->mnemonic == ZYDIS_MNEMONIC_RDGSBASE ? CO_RDFSGS : CO_WRFSGS);
        r->rm = (uint8_t)tr_gpr_of(n->op[0].reg.value);
        r->seg = in->mnemonic == ZYDIS_MNEMONIC_RDFSBASE || in->mnemonic == ZYDIS_MNEMONIC_WRFSBASE ? S_FS : S_GS;
        r->opsize = in->raw.rex.W ? 8 : 4;
        return false;
    case ZYDIS_MNEMONIC_RDPID:
        r = tr_callout(t, CO_RDPID);
        r->rm = (uint8_t)tr_gpr_of(n->op[0].reg.value);
        return false;
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAS:
    case ZYDIS_MNEMONIC_AAM:
    case ZYDIS_MNEMONIC_AAD:
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS:
        r = tr_callout(t, CO_BCD);
        r->aux = in->opcode;
        r->imm = in->raw.imm[0].size ? (int64_t)(uint8_t)in->raw.imm[0].value.u : 10;
        return false;
    case ZYDIS_MNEMONIC_SALC:
        r = tr_callout(t, CO_BCD);
        r->aux = 0xd6;
        return false;
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
        /* The area is as large as its mask says: C finds out, and masks by the guest's XCR0. */
        r = tr_callout(t, CO_XSAVE);
        r->aux = in->mnemonic == ZYDIS_MNEMONIC_XRSTOR || in->mnemonic == ZYDIS_MNEMONIC_XRSTOR64 ? 0
                 : in->mnemonic == ZYDIS_MNEMONIC_XSAVE || in->mnemonic == ZYDIS_MNEMONIC_XSAVE64 ? 1
                 : in->mnemonic == ZYDIS_MNEMONIC_XSAVEC || in->mnemonic == ZYDIS_MNEMONIC_XSAVEC64 ? 2 : 3;
        r->opsize = in->raw.rex.W ? 8 : 4;
        return false;
    default:
        break;
    }
    if (in->meta.category == ZYDIS_CATEGORY_COND_BR) {
        tr_jump_relative(t, e_jcc32(e, in->opcode & 0xf));
        tr_exit_direct(t, NULL, (int64_t)n->off + in->length);
        return true;
    }
    if (in->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) {
        tr_callout(t, CO_UD);
        return true;
    }
    const ZydisDecodedOperand *m = tr_mem_operand(n);
    if (m && m->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        unsigned op = in->opcode, hi = op & 0xf0;
        if (in->opcode_map != ZYDIS_OPCODE_MAP_0F38 || !((hi == 0x90 || hi == 0xa0) && (op & 15) < 4)) {
            tr_callout(t, CO_UD);
            return true;
        }
        bool ev = in->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX, scatter = hi == 0xa0;
        unsigned w = ev ? in->raw.evex.W : in->raw.vex.W, sc = m->mem.scale;
        struct bt_rec v = {
            .reg = (uint8_t)ZydisRegisterGetId(n->op[ev && scatter ? 2 : 0].reg.value),
            .rm = (uint8_t)(ev ? ZydisRegisterGetId(in->avx.mask.reg) : ZydisRegisterGetId(n->op[2].reg.value)),
            .rep = (uint8_t)ZydisRegisterGetId(m->mem.index),
            .opsize = (uint8_t)(in->avx.vector_length / 8),
            .aux = (uint8_t)((op & 1 ? VSIB_INDEX8 : 0) | (w ? VSIB_DATA8 : 0) | (ev ? VSIB_EVEX : 0) | (scatter ? VSIB_SCATTER : 0) |
                             (sc == 8 ? 3 : sc == 4 ? 2 : sc == 2 ? 1 : 0) << 4),
        };
        uint8_t *done = tr_gather_inline(t, m, &v);
        r = tr_callout(t, CO_VSIB);
        r->reg = v.reg;
        r->rm = v.rm;
        r->rep = v.rep;
        r->opsize = v.opsize;
        r->aux = v.aux;
        if (done)
            e_fix(done, e->p);
        return false;
    }
    if (m && m->mem.type == ZYDIS_MEMOP_TYPE_MEM) {
        tr_lower_generic_mem(t, m);
        return end;
    }
    if (m) { /* an address only */
        return end;
    }
    tr_emit_reg_op(t);
    return end;
}
