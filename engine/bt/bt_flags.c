/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic flags that a fault shows. Translated code does not keep flags that are about to be overwritten, but the handler of a fault in between
 * sees them (SDM vol. 3, 6.5). For each instruction of a block the translator notes how they can be found again: computed from the operands of the
 * last instruction that set them, while those are still in registers, or as they were when C entered the block. That costs running code nothing.
 * Code that has just loaded flags is run with all of them kept (M_FLAGS). Not known remains, of flags that the program is about to overwrite:
 * what an earlier block has set, in code that has become hot and linked; CF, OF and AF of an operand that is gone. Keeping the latter alive makes
 * the benchmark 2 % slower, the former 30 %.
 */
#include "bt/bt_tr.h"

/* FR_RESULT: ZF, SF and PF only. FR_DEAD: the instruction's own check spoils them. */
enum { FR_NONE, FR_ENTRY, FR_POPF, FR_ADD, FR_SUB, FR_LOGIC, FR_NEG, FR_INC, FR_DEC, FR_RESULT, FR_KIND = 15, FR_DEAD = 16 };
#define FR_IMM 0xff

/* ---- when a block is made ---- */

static bool touches_memory(const struct insn *n)
{
    if (n->in.mnemonic == ZYDIS_MNEMONIC_LEA || tr_is_nop(&n->in))
        return false;
    for (unsigned i = 0; i < n->in.operand_count; i++)
        if (n->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            return true;
    return false;
}

static bool plain_reg(const ZydisDecodedOperand *o)
{
    return o->type == ZYDIS_OPERAND_TYPE_REGISTER && tr_gpr_of(o->reg.value) != NOREG && !tr_is_high_byte(o->reg.value);
}

/* How to find the flags after n again. */
static struct bt_frec after(const struct insn *n)
{
    const ZydisDecodedOperand *d = &n->op[0], *s = &n->op[1];
    struct bt_frec f = {.kind = FR_NONE};
    unsigned kind;
    switch (n->in.mnemonic) {
    case ZYDIS_MNEMONIC_ADD: kind = FR_ADD; break;
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_CMP: kind = FR_SUB; break;
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_TEST: kind = FR_LOGIC; break;
    case ZYDIS_MNEMONIC_NEG: kind = FR_NEG; break;
    case ZYDIS_MNEMONIC_INC: kind = FR_INC; break;
    case ZYDIS_MNEMONIC_DEC: kind = FR_DEC; break;
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SBB: kind = FR_RESULT; break;
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
        if (s->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !(s->imm.value.u & 31))
            return f;
        kind = FR_RESULT;
        break;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: return (struct bt_frec){.kind = FR_POPF, .imm = n->off};
    default: return f;
    }
    bool keeps = n->in.mnemonic == ZYDIS_MNEMONIC_CMP || n->in.mnemonic == ZYDIS_MNEMONIC_TEST;
    if (!plain_reg(d))
        return f;
    f.size = (uint8_t)(d->size / 8);
    f.a = (uint8_t)tr_gpr_of(d->reg.value);
    f.b = FR_IMM;
    f.undo = !keeps;
    if (kind >= FR_LOGIC && !keeps) { /* of the result alone */
        f.kind = (uint8_t)kind;
        f.imm = -1;
        return f;
    }
    if (s->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        f.imm = (int32_t)s->imm.value.s;
    } else if (plain_reg(s)) {
        f.b = (uint8_t)tr_gpr_of(s->reg.value);
        if (f.b == f.a && !keeps) { /* the operand is gone; SUB with itself gives zero */
            f.b = FR_IMM;
            f.imm = 0;
            if (kind == FR_ADD)
                kind = FR_RESULT;
        }
    } else if (keeps) {
        return f;
    } else {
        kind = FR_RESULT;
    }
    f.kind = (uint8_t)kind;
    return f;
}

/* Does the instruction set flags, or perhaps? */
static bool sets_flags(const struct insn *n)
{
    const ZydisAccessedFlags *f = n->in.cpu_flags;
    return f && ((f->modified | f->set_0 | f->set_1 | f->undefined) &
                 (ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF | ZYDIS_CPUFLAG_ZF | ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF));
}

/* After tr_liveness: fills frec. */
void tr_flag_recipes(struct bt_tr *t, unsigned n)
{
    struct bt_frec now = {.kind = FR_ENTRY};
    for (unsigned i = 0; i < n; i++) {
        const struct insn *x = &t->insn[i];
        t->frec[i] = now;
        if (sets_flags(x)) {
            now = after(x);
            continue;
        }
        if (now.kind < FR_ADD)
            continue;
        for (unsigned k = 0; k < x->in.operand_count; k++) {
            if (x->op[k].type != ZYDIS_OPERAND_TYPE_REGISTER || !(x->op[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
                continue;
            unsigned g = tr_gpr_of(x->op[k].reg.value);
            if (g != NOREG && (g == now.a || g == now.b))
                now.kind = FR_NONE;
        }
    }
    uint8_t lost = t->insn[0].live_in ? 0 : FLAGS_ALL; /* which the host's flags are not */
    for (unsigned i = 0; i < n; i++) {
        uint8_t rd, wr;
        bool dead = t->insn[i].live_in == 0;
        t->frec[i].lost = lost;
        if (dead)
            t->frec[i].kind |= FR_DEAD;
        if (dead && touches_memory(&t->insn[i]))
            lost = FLAGS_ALL;
        tr_flag_effect(&t->insn[i], &rd, &wr);
        lost &= (uint8_t)~wr;
    }
}

/* ---- when a fault comes ---- */

static uint64_t arith(unsigned kind, uint64_t a, uint64_t b, unsigned size)
{
    unsigned sh = 64 - size * 8;
    a <<= sh;
    b <<= sh;
    uint64_t r = kind == FR_ADD ? a + b : kind == FR_SUB ? a - b : a & b, f = 0;
    if (kind != FR_LOGIC) {
        f |= kind == FR_ADD ? (r < a ? FL_CF : 0) : a < b ? FL_CF : 0;
        f |= (kind == FR_ADD ? ~(a ^ b) & (a ^ r) : (a ^ b) & (a ^ r)) >> 63 ? FL_OF : 0;
        f |= (a ^ b ^ r) >> sh & 0x10 ? FL_AF : 0;
    }
    f |= r == 0 ? FL_ZF : 0;
    f |= r >> 63 ? FL_SF : 0;
    return f | (__builtin_parity((unsigned)(r >> sh) & 0xff) ? 0 : FL_PF);
}

/*
 * A fault of the instruction at off of a block: rflags gets back what translated code has not kept. checked: the instruction's own check has been
 * made. All other registers are in place.
 */
void bt_flags_recover(struct bt_cpu *bc, uint32_t blk, uint16_t off, bool checked)
{
    static const uint16_t bit[6] = {FL_CF, FL_PF, FL_AF, FL_ZF, FL_SF, FL_OF};
    const struct bt_block *b = &bc->blocks[blk];
    unsigned i = 0;
    while (i < b->n_map && bc->maps[b->map + i].off != off)
        i++;
    if (i >= b->n_map)
        return;
    const struct bt_frec *f = &bc->frecs[b->map + i];
    uint8_t lost = checked && (f->kind & FR_DEAD) ? FLAGS_ALL : f->lost;
    if (!lost)
        return;
    unsigned kind = f->kind & FR_KIND;
    uint64_t fl, mask = 0;
    for (unsigned k = 0; k < 6; k++)
        if (lost >> k & 1)
            mask |= bit[k];
    switch (kind) {
    case FR_ENTRY:
    case FR_POPF:
        if (bc->snap.blk != blk || bc->snap.after != (kind == FR_POPF) || (kind == FR_POPF && bc->snap.off != (uint16_t)f->imm))
            return;
        fl = (bc->snap.flags >> 8 & 0xd5) | (uint64_t)(bc->snap.flags & 1) << 11;
        break;
    case FR_ADD:
    case FR_SUB:
    case FR_LOGIC: {
        uint64_t a = bc->c.s.gpr[f->a], v = f->b == FR_IMM ? (uint64_t)(int64_t)f->imm : bc->c.s.gpr[f->b];
        if (f->undo && kind != FR_LOGIC)
            a = kind == FR_ADD ? a - v : a + v;
        fl = arith(kind, a, v, f->size);
        break;
    }
    case FR_NEG:
        fl = arith(FR_SUB, 0, 0 - bc->c.s.gpr[f->a], f->size);
        break;
    case FR_INC:
    case FR_DEC: /* CF is older */
        fl = kind == FR_INC ? arith(FR_ADD, bc->c.s.gpr[f->a] - 1, 1, f->size) : arith(FR_SUB, bc->c.s.gpr[f->a] + 1, 1, f->size);
        mask &= ~(uint64_t)FL_CF;
        break;
    case FR_RESULT:
        fl = arith(FR_LOGIC, bc->c.s.gpr[f->a], ~0ull, f->size);
        mask &= FL_ZF | FL_SF | FL_PF;
        break;
    default:
        return;
    }
    bc->c.s.rflags = (bc->c.s.rflags & ~mask) | (fl & mask);
}
