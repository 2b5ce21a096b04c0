/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before code is made: a block is decoded, the liveness of the arithmetic flags is found backwards, and accesses through one register are
 * gathered into groups that share a check.
 */
#include "bt/bt_tr.h"

/* SIB with mod 0 and base 5 has a displacement and no base, also with REX.B and 32-bit addresses, for which Zydis says r13d. */
static void no_base(struct insn *x)
{
    for (unsigned i = 0; i < x->in.operand_count; i++) {
        ZydisDecodedOperand *o = &x->op[i];
        if (o->type != ZYDIS_OPERAND_TYPE_MEMORY || o->mem.base != ZYDIS_REGISTER_R13D)
            continue;
        o->mem.base = ZYDIS_REGISTER_NONE;
        o->mem.disp.has_displacement = ZYAN_TRUE;
        o->mem.disp.value = (int32_t)ld_le32(x->bytes + x->in.raw.sib.offset + 1);
    }
}

/* Decodes from page offset off; returns the number of instructions (0: bc->c.fault). */
unsigned tr_scan(struct bt_tr *t, uint16_t off, const uint8_t *page, uint64_t lin, bool *ended, uint64_t limit_left)
{
    struct bt_cpu *bc = t->bc;
    unsigned max = t->mode & M_SINGLE ? 1 : BLOCK_INSNS, n = 0;
    *ended = false;
    uint32_t pos = off;
    while (n < max && pos < PAGE) {
        if (__builtin_expect(bc->bv->dbg_exec, 0) && bt_debug_off(bc->bv, pos)) {
            if (n)
                break;
            t->b->stop = 1;
        }
        struct insn *x = &t->insn[n];
        unsigned have = PAGE - pos < 15 ? PAGE - pos : 15;
        if (pos <= PAGE - 16) {
            st_le64(x->bytes, ld_le64(page + pos));
            st_le64(x->bytes + 8, ld_le64(page + pos + 8));
        } else {
            cpu_copy(x->bytes, page + pos, have);
        }
        ZyanStatus st = tr_decode(bc, t->mode & M_CODE, have, x);
        if (st == ZYDIS_STATUS_NO_MORE_DATA && have < 15) {
            if (n)
                break;
            const uint8_t *h;
            uint64_t gpa2, lin2 = (lin & ~0xfffull) + PAGE;
            if (!t->m64)
                lin2 &= 0xffffffff;
            t->cp2 = bt_cpage_beside(bc, t->cp, lin2, 0, 15, &gpa2, &h);
            if (!h)
                return 0;
            t->cp2_delta = PAGE;
            t->tail_len = (uint16_t)(15 - have); /* what the decoder could see */
            cpu_copy(x->bytes + have, h, 15 - have);
            t->b->cross = 1;
            cpu_copy(t->b->cross_bytes, x->bytes, 15);
            st = tr_decode(bc, t->mode & M_CODE, 15, x);
        }
        x->off = (uint16_t)pos;
        x->thunk = 0;
        if (ZYAN_SUCCESS(st) && x->in.raw.modrm.mod == 0 && x->in.raw.modrm.rm == 4 && x->in.raw.sib.offset && x->in.raw.sib.base == 5)
            no_base(x);
        if (!ZYAN_SUCCESS(st)) {
            if (st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) {
                if (n)
                    break;
                cpu_raise_code(&bc->c, X_GP, 0);
                return 0;
            }
            cpu_zero(&x->in, sizeof x->in);
            x->in.mnemonic = ZYDIS_MNEMONIC_UD2;
            x->in.length = 1;
            tr_classify(x);
            t->b->beyond = 14;
            *ended = true;
            n++;
            break;
        }
        if (x->in.length > limit_left) { /* the instruction reaches beyond the CS limit */
            if (n)
                break;
            cpu_raise_code(&bc->c, X_GP, 0);
            return 0;
        }
        limit_left -= x->in.length;
        pos += x->in.length;
        n++;
        if (x->in.mnemonic == ZYDIS_MNEMONIC_CALL && tr_is_thunk(t, x, lin, page))
            continue;
        if (x->ends || tr_switches_ac(t, x->in.mnemonic)) {
            *ended = true;
            break;
        }
    }
    return n;
}

void tr_liveness(struct bt_tr *t, unsigned n)
{
    uint8_t live = FLAGS_ALL;
    for (unsigned i = n; i-- > 0;) {
        uint8_t rd, wr;
        tr_flag_effect(&t->insn[i], &rd, &wr);
        if (!(t->mode & (M_FLAGS | M_SINGLE)))
            live = (uint8_t)((live & ~wr) | rd);
        t->insn[i].live_in = live;
    }
}

/* ---- groups ---- */

/* Is it a call-out (which may change translations), or otherwise the end of what is known? */
static bool group_barrier(const ZydisDecodedInstruction *in)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
        return true;
    default:
        break;
    }
    return tr_plain_callout(in->mnemonic) != CO_NONE;
}

struct cand {
    uint8_t insn, acc;
    uint8_t size;
    uint16_t sym;
    int64_t off;
};

/*
 * Finds accesses through the same base register value. Registers carry (symbol, offset): a symbol is a value that nobody knows, an offset what was
 * added to it since. Accesses with one symbol at offsets close to each other are in one page nearly always, so one check does for all.
 */
void tr_find_groups(struct bt_tr *t, unsigned n)
{
    uint16_t sym[16];
    int64_t off[16]; /* of 64 bits, as all sums of them: displacements may lie 4 GiB apart */
    uint16_t next_sym = 16;
    struct cand c[BLOCK_INSNS];
    unsigned nc = 0, groups = 0;
    unsigned width = t->m64 ? 64 : 32;
    for (unsigned i = 0; i < n; i++)
        t->insn[i].group = 0;
    if (!(t->m64 || ((t->mode & M_FLAT) && (t->mode & M_CODE) == M_CODE32 && (t->mode & M_SS32))) || (t->mode & (M_NOGROUP | M_SINGLE | M_ALIGN | M_FLAGS)) ||
        (t->cpg->nogroup >> (t->b->off >> 6) & 1) || t->b->cross || (t->bc->stress.on & BT_STRESS_NOGROUP))
        return;
    for (unsigned r = 0; r < 16; r++) {
        sym[r] = (uint16_t)r;
        off[r] = 0;
    }
    for (unsigned i = 0; i < n; i++) {
        struct insn *x = &t->insn[i];
        const ZydisDecodedInstruction *in = &x->in;
        unsigned size = in->operand_width / 8;
        bool far = in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
        if (group_barrier(in)) {
            for (unsigned r = 0; r < 16; r++) {
                sym[r] = next_sym++;
                off[r] = 0;
            }
            continue;
        }
        const ZydisDecodedOperand *m = tr_mem_operand(x);
        bool stack = false;
        int32_t sp = 0, at = 0; /* change of RSP; where it accesses */
        switch (in->mnemonic) {
        case ZYDIS_MNEMONIC_PUSH:
            stack = !m;
            sp = -(int32_t)size;
            at = sp;
            break;
        case ZYDIS_MNEMONIC_CALL:
            stack = !m && !far && x->op[0].type != ZYDIS_OPERAND_TYPE_POINTER;
            sp = -(int32_t)size;
            at = sp;
            if (tr_thunk_reg(x) != NOREG)
                sp = 0;
            break;
        case ZYDIS_MNEMONIC_POP:
            stack = !m && tr_gpr_of(x->op[0].reg.value) != NOREG && tr_gpr_of(x->op[0].reg.value) != 4;
            sp = (int32_t)size;
            break;
        case ZYDIS_MNEMONIC_RET:
            stack = in->opcode == 0xc2 || in->opcode == 0xc3;
            break;
        default:
            break;
        }
        bool is_stack_op = in->meta.category == ZYDIS_CATEGORY_PUSH || in->meta.category == ZYDIS_CATEGORY_POP || in->meta.category == ZYDIS_CATEGORY_CALL ||
                           in->meta.category == ZYDIS_CATEGORY_RET;
        if (stack && size >= 4) {
            c[nc++] = (struct cand){(uint8_t)i, at ? ACC_W : ACC_R, (uint8_t)size, sym[4], off[4] + at};
        } else if (m && !is_stack_op && m->mem.type == ZYDIS_MEMOP_TYPE_MEM && m->mem.index == ZYDIS_REGISTER_NONE && in->raw.modrm.offset &&
                   in->address_width == width && in->mnemonic != ZYDIS_MNEMONIC_LEA && m->size >= 8 && m->size <= 512 &&
                   in->meta.category != ZYDIS_CATEGORY_UNCOND_BR && !tr_never_native(in) && !tr_is_nop(in)) {
            unsigned b = m->mem.base == ZYDIS_REGISTER_NONE ? NOREG : tr_gpr_of(m->mem.base);
            int seg = tr_seg_of(m->mem.segment);
            bool bitreg = (in->mnemonic == ZYDIS_MNEMONIC_BT || in->mnemonic == ZYDIS_MNEMONIC_BTS || in->mnemonic == ZYDIS_MNEMONIC_BTR ||
                           in->mnemonic == ZYDIS_MNEMONIC_BTC) && x->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
            bool high = false, segreg = false;
            for (unsigned k = 0; k < in->operand_count; k++)
                if (x->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER) {
                    high |= tr_is_high_byte(x->op[k].reg.value);
                    ZydisRegisterClass rc = ZydisRegisterGetClass(x->op[k].reg.value);
                    segreg |= rc == ZYDIS_REGCLASS_SEGMENT || rc == ZYDIS_REGCLASS_CONTROL || rc == ZYDIS_REGCLASS_DEBUG;
                }
            struct bt_site mask;
            if (tr_masked_access(x, m, &mask))
                b = NOREG;
            if (b != NOREG && m->mem.base != ZYDIS_REGISTER_RIP && m->mem.base != ZYDIS_REGISTER_EIP && seg < S_FS && seg != S_CS && !bitreg && !high &&
                !segreg && m->mem.disp.value == (int32_t)m->mem.disp.value)
                c[nc++] = (struct cand){(uint8_t)i, (uint8_t)tr_acc_of(m), (uint8_t)(m->size / 8), sym[b], off[b] + m->mem.disp.value};
        }
        /* what the instruction does to the registers */
        if (in->mnemonic == ZYDIS_MNEMONIC_MOV && x->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && x->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            x->op[0].size == width && x->op[1].size == width && tr_gpr_of(x->op[0].reg.value) != NOREG && tr_gpr_of(x->op[1].reg.value) != NOREG) {
            unsigned d = tr_gpr_of(x->op[0].reg.value), sr = tr_gpr_of(x->op[1].reg.value);
            sym[d] = sym[sr];
            off[d] = off[sr];
        } else if ((in->mnemonic == ZYDIS_MNEMONIC_ADD || in->mnemonic == ZYDIS_MNEMONIC_SUB) && x->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                   x->op[0].size == width && x->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && x->op[1].imm.value.s > -65536 && x->op[1].imm.value.s < 65536) {
            int32_t v = (int32_t)x->op[1].imm.value.s;
            off[tr_gpr_of(x->op[0].reg.value)] += in->mnemonic == ZYDIS_MNEMONIC_ADD ? v : -v;
        } else if (in->mnemonic == ZYDIS_MNEMONIC_LEA && x->op[0].size == width && in->address_width == width && x->op[1].mem.index == ZYDIS_REGISTER_NONE &&
                   x->op[1].mem.base != ZYDIS_REGISTER_NONE && tr_gpr_of(x->op[1].mem.base) != NOREG && x->op[1].mem.disp.value > -65536 &&
                   x->op[1].mem.disp.value < 65536) {
            unsigned d = tr_gpr_of(x->op[0].reg.value), sr = tr_gpr_of(x->op[1].mem.base);
            int64_t o = off[sr] + x->op[1].mem.disp.value;
            sym[d] = sym[sr];
            off[d] = o;
        } else {
            for (unsigned k = 0; k < in->operand_count; k++) {
                if (x->op[k].type != ZYDIS_OPERAND_TYPE_REGISTER || !(x->op[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
                    continue;
                unsigned g = tr_gpr_of(x->op[k].reg.value);
                if (g == NOREG || (g == 4 && stack))
                    continue;
                sym[g] = next_sym++;
                off[g] = 0;
            }
            if (stack)
                off[4] += sp;
            if (tr_thunk_reg(x) != NOREG) {
                sym[tr_thunk_reg(x)] = next_sym++;
                off[tr_thunk_reg(x)] = 0;
            }
        }
    }
    for (unsigned i = 0; i < nc && groups < 8; i++) {
        if (t->insn[c[i].insn].group)
            continue;
        int64_t lo = c[i].off, hi = c[i].off + c[i].size;
        unsigned members = 1, acc = c[i].acc;
        for (unsigned j = i + 1; j < nc; j++) {
            if (c[j].sym != c[i].sym || t->insn[c[j].insn].group)
                continue;
            int64_t l2 = c[j].off < lo ? c[j].off : lo, h2 = c[j].off + c[j].size > hi ? c[j].off + c[j].size : hi;
            if (h2 - l2 > 512)
                continue;
            lo = l2;
            hi = h2;
            acc |= c[j].acc;
            members++;
            t->insn[c[j].insn].group = (uint8_t)(groups + 1);
            t->insn[c[j].insn].leader = false;
        }
        if (members < 2)
            continue;
        groups++;
        struct insn *lead = &t->insn[c[i].insn];
        lead->group = (uint8_t)groups;
        lead->leader = true;
        for (unsigned j = i; j < nc; j++) {
            struct insn *x = &t->insn[c[j].insn];
            if (x->group != groups)
                continue;
            x->grp_at = (int16_t)(c[j].off - lo);
            x->grp_acc = c[j].acc;
        }
        lead->grp_span = (uint16_t)(hi - lo);
        if (acc & ACC_W)
            lead->grp_acc |= 0x80;
    }
}
