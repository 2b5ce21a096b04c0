/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic flags that a fault shows. Translated code does not keep flags that are about to be overwritten, but the handler of a fault in between
 * sees them (SDM vol. 3, 6.5). For each instruction the translator notes which flags it sets, what they can be computed from while that is still in
 * registers, and which registers it writes. At a fault the notes are read backwards until every flag is found: computed, or as it was when C
 * entered the block, or the same way in the blocks that are linked to this one. Of those there may be several; the condition of a branch tells
 * some apart, and what they agree on is certain. That costs running code nothing. Code that has just loaded flags is run with all of them
 * kept (M_FLAGS). Not found remains what was set by an operand that is gone (CF after a shift, CF, OF and AF of a sum with memory) and what was set before an
 * indirect jump. Keeping the former alive makes the benchmark 2 % slower, the latter 30 %.
 */
#include "bt/bt_tr.h"

enum {
    FR_NONE /* not to be found */, FR_POPF, FR_ADD, FR_SUB, FR_LOGIC, FR_NEG, FR_INC, FR_DEC, FR_ADC, FR_SBB, FR_RESULT /* ZF, SF and PF only */,
    FR_STC, FR_CLC, FR_CMC, FR_SAHF, FR_MUL, FR_IMUL, FR_IMUL2, FR_BT, FR_BTC, FR_ROL, FR_ROR, FR_ZERO /* ZF of an operand */,
    FR_COUNT /* LZCNT, TZCNT */, FR_POPCNT, FR_ANDN, FR_XADD,
    FR_JCC /* sets none: a branch, on condition a */
};
#define FR_IMM 0xff   /* in b: the operand is imm */
#define FR_UNDO 0x80  /* in size: the first operand has become the result */
#define FR_DEAD 0x80  /* in lost: the instruction's own check spoils the flags */
/* As in tr_flag_effect. */
enum { P_CF = 1, P_PF = 2, P_AF = 4, P_ZF = 8, P_SF = 16, P_OF = 32 };
#define MAX_DEPTH 4 /* blocks back */
#define MAX_INCOMING(depth) ((depth) ? 2 : 8)

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

static uint8_t reg_of(const ZydisDecodedOperand *o) { return (uint8_t)tr_gpr_of(o->reg.value); }

/* The simple arithmetic: a first operand that becomes the result, or is kept; a second one. */
static struct bt_frec arithmetic(const struct insn *n, uint8_t kind, bool keeps)
{
    const ZydisDecodedOperand *d = &n->op[0], *s = &n->op[1];
    struct bt_frec f = {.kind = FR_NONE};
    if (!plain_reg(d))
        return f;
    f.size = (uint8_t)(d->size / 8);
    f.a = reg_of(d);
    f.b = FR_IMM;
    if (!keeps)
        f.size |= FR_UNDO;
    if (kind == FR_LOGIC && !keeps) { /* of the result alone */
        f.kind = kind;
        f.imm = -1;
        return f;
    }
    if (kind == FR_NEG || kind == FR_INC || kind == FR_DEC) {
        f.kind = kind;
        return f;
    }
    if (s->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        f.imm = (int32_t)s->imm.value.s;
    } else if (plain_reg(s)) {
        f.b = reg_of(s);
        if (f.b == f.a && !keeps) { /* the operand is gone; SUB with itself gives zero */
            f.b = FR_IMM;
            f.imm = 0;
            if (kind != FR_SUB)
                kind = FR_RESULT;
        }
    } else if (keeps) {
        return f;
    } else {
        kind = FR_RESULT;
    }
    f.kind = kind;
    return f;
}

/* How to find the flags that n sets. */
static struct bt_frec recipe(const struct insn *n)
{
    const ZydisDecodedOperand *d = &n->op[0], *s = &n->op[1];
    struct bt_frec f = {.kind = FR_NONE, .size = (uint8_t)(d->size / 8), .b = FR_IMM};
    switch (n->in.mnemonic) {
    case ZYDIS_MNEMONIC_ADD: return arithmetic(n, FR_ADD, false);
    case ZYDIS_MNEMONIC_SUB: return arithmetic(n, FR_SUB, false);
    case ZYDIS_MNEMONIC_CMP: return arithmetic(n, FR_SUB, true);
    case ZYDIS_MNEMONIC_ADC: return arithmetic(n, FR_ADC, false);
    case ZYDIS_MNEMONIC_SBB: return arithmetic(n, FR_SBB, false);
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR: return arithmetic(n, FR_LOGIC, false);
    case ZYDIS_MNEMONIC_TEST: return arithmetic(n, FR_LOGIC, true);
    case ZYDIS_MNEMONIC_NEG: return arithmetic(n, FR_NEG, false);
    case ZYDIS_MNEMONIC_INC: return arithmetic(n, FR_INC, false);
    case ZYDIS_MNEMONIC_DEC: return arithmetic(n, FR_DEC, false);
    case ZYDIS_MNEMONIC_STC: f.kind = FR_STC; break;
    case ZYDIS_MNEMONIC_CLC: f.kind = FR_CLC; break;
    case ZYDIS_MNEMONIC_CMC: f.kind = FR_CMC; break;
    case ZYDIS_MNEMONIC_SAHF: f.kind = FR_SAHF; break;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: f.kind = FR_POPF; break;
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
        if (!plain_reg(d) || s->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !(s->imm.value.u & 31))
            break;
        f.kind = n->in.mnemonic == ZYDIS_MNEMONIC_ROL ? FR_ROL : n->in.mnemonic == ZYDIS_MNEMONIC_ROR ? FR_ROR : FR_RESULT;
        f.a = reg_of(d);
        break;
    case ZYDIS_MNEMONIC_MUL: f.kind = FR_MUL; break;
    case ZYDIS_MNEMONIC_IMUL:
        if (n->in.operand_count_visible == 1) {
            f.kind = FR_IMUL;
        } else if (n->in.operand_count_visible == 3 && plain_reg(s) && reg_of(s) != reg_of(d)) {
            f.kind = FR_IMUL2;
            f.a = reg_of(s);
            f.imm = (int32_t)n->op[2].imm.value.s;
        }
        break;
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTC:
        if (!plain_reg(d) || (plain_reg(s) && n->in.mnemonic == ZYDIS_MNEMONIC_BTC && reg_of(s) == reg_of(d)))
            break;
        f.kind = n->in.mnemonic == ZYDIS_MNEMONIC_BT ? FR_BT : FR_BTC;
        f.a = reg_of(d);
        if (plain_reg(s))
            f.b = reg_of(s);
        else
            f.imm = (int32_t)s->imm.value.u;
        break;
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR:
        if (plain_reg(s) && reg_of(s) != reg_of(d)) {
            f.kind = FR_ZERO;
            f.a = reg_of(s);
        }
        break;
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_TZCNT: f.kind = FR_COUNT; break;
    case ZYDIS_MNEMONIC_POPCNT: f.kind = FR_POPCNT; break;
    case ZYDIS_MNEMONIC_ANDN: f.kind = FR_ANDN; break;
    case ZYDIS_MNEMONIC_XADD:
        if (plain_reg(d) && plain_reg(s) && reg_of(s) != reg_of(d)) {
            f.kind = FR_XADD;
            f.a = reg_of(d);
            f.b = reg_of(s);
        }
        break;
    default:
        break;
    }
    if (f.kind >= FR_COUNT && f.kind <= FR_ANDN)
        f.a = reg_of(d);
    return f;
}

/* Which general registers the instruction writes. */
static uint16_t writes(const struct insn *n)
{
    uint16_t wr = n->in.mnemonic == ZYDIS_MNEMONIC_POPA || n->in.mnemonic == ZYDIS_MNEMONIC_POPAD ? 0xffff : 0;
    for (const ZydisDecodedOperand *o = n->op, *end = o + n->in.operand_count; o < end; o++) {
        if (!(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) || o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        unsigned g = tr_gpr_of(o->reg.value);
        if (g != NOREG)
            wr |= (uint16_t)(1u << g);
    }
    if (tr_thunk_reg(n) != NOREG)
        wr |= (uint16_t)(1u << tr_thunk_reg(n));
    return wr;
}

/* After tr_liveness: fills frec. */
void tr_flag_recipes(struct bt_tr *t, unsigned n)
{
    uint8_t lost = t->insn[0].live_in ? 0 : FLAGS_ALL; /* which the host's flags are not */
    for (unsigned i = 0; i < n; i++) {
        const struct insn *x = &t->insn[i];
        struct bt_frec *f = &t->frec[i];
        uint8_t rd, wr, mod;
        tr_flag_effect(x, &rd, &wr);
        mod = wr || !x->in.cpu_flags ? wr : tr_flags_may_set(x);
        if (mod)
            *f = recipe(x);
        else if (x->in.meta.category == ZYDIS_CATEGORY_COND_BR && (x->in.opcode & 0xf0) != 0xe0) /* not LOOP, JCXZ */
            *f = (struct bt_frec){.kind = FR_JCC, .a = x->in.opcode & 15};
        else
            *f = (struct bt_frec){.kind = FR_NONE};
        f->mod = mod;
        f->wr = writes(x);
        f->lost = lost;
        if (x->live_in == 0) {
            f->lost |= FR_DEAD;
            if (touches_memory(x))
                lost = FLAGS_ALL;
        }
        lost &= (uint8_t)~wr;
    }
}

/* ---- when a fault comes ---- */

static uint8_t pack(uint64_t f)
{
    return (uint8_t)((f & FL_CF ? P_CF : 0) | (f & FL_PF ? P_PF : 0) | (f & FL_AF ? P_AF : 0) | (f & FL_ZF ? P_ZF : 0) | (f & FL_SF ? P_SF : 0) |
                     (f & FL_OF ? P_OF : 0));
}

static uint64_t unpack(uint8_t f)
{
    return (f & P_CF ? FL_CF : 0) | (f & P_PF ? FL_PF : 0) | (f & P_AF ? FL_AF : 0) | (f & P_ZF ? FL_ZF : 0) | (f & P_SF ? FL_SF : 0) |
           (f & P_OF ? FL_OF : 0);
}

static uint8_t snapped(const struct bt_cpu *bc) { return pack((bc->snap.flags >> 8 & 0xd5) | (uint64_t)(bc->snap.flags & 1) << 11); }

/* a + b + c, a - b - c, or a & b, of size bytes. */
static uint8_t arith(unsigned kind, uint64_t a, uint64_t b, unsigned c, unsigned size)
{
    unsigned sh = 64 - size * 8;
    uint64_t m = ~0ull >> sh, f = 0, r;
    a &= m;
    b &= m;
    r = (kind == FR_ADD ? a + b + c : kind == FR_SUB ? a - b - c : a & b) & m;
    if (kind != FR_LOGIC) {
        uint64_t carry = kind == FR_ADD ? (a & b) | ((a | b) & ~r) : (~a & b) | (~(a ^ b) & r);
        f |= carry << sh >> 63 ? FL_CF : 0;
        f |= (kind == FR_ADD ? ~(a ^ b) & (a ^ r) : (a ^ b) & (a ^ r)) << sh >> 63 ? FL_OF : 0;
        f |= (a ^ b ^ r) & 0x10 ? FL_AF : 0;
    }
    f |= r == 0 ? FL_ZF : 0;
    f |= r << sh >> 63 ? FL_SF : 0;
    return pack(f | (__builtin_parity((unsigned)r & 0xff) ? 0 : FL_PF));
}

static uint8_t before(struct bt_cpu *bc, uint32_t blk, unsigned k, uint16_t clob, uint8_t want, unsigned depth, uint8_t *val);

/* Flags that are not in the host's where the instruction faults. checked: its own check has been made. */
static uint8_t lost_at(const struct bt_frec *f, bool checked) { return checked && (f->lost & FR_DEAD) ? FLAGS_ALL : f->lost & FLAGS_ALL; }

/*
 * Flags after instruction k of a block, of those that it sets. clob: registers that have been written since. Returns which are known, and their values.
 */
static uint8_t produced(struct bt_cpu *bc, uint32_t blk, unsigned k, uint16_t clob, unsigned depth, uint8_t *val)
{
    const struct bt_block *blkp = &bc->blocks[blk];
    const struct bt_frec *f = &bc->frecs[blkp->map + k];
    const uint64_t *g = bc->c.s.gpr;
    unsigned size = f->size & 15, bits = size * 8, older = 0;
    bool undo = f->size & FR_UNDO;
    uint16_t need = 0;
    uint8_t v = 0, cf;
    *val = 0;
    switch (f->kind) {
    case FR_NONE:
    case FR_JCC: return 0;
    case FR_POPF:
        if (bc->snap.blk != blk || !bc->snap.after || bc->snap.off != bc->maps[blkp->map + k].off)
            return 0;
        *val = snapped(bc);
        return FLAGS_ALL;
    case FR_STC:
    case FR_CLC:
    case FR_CMC: break;
    case FR_SAHF: need = 1 << R_RAX; break;
    case FR_MUL:
    case FR_IMUL: need = size == 1 ? 1 << R_RAX : 1 << R_RAX | 1 << R_RDX; break;
    default: need = (uint16_t)(1u << f->a | (f->b == FR_IMM ? 0 : 1u << f->b)); break;
    }
    if (need & clob)
        return 0;
    uint64_t m = bits ? ~0ull >> (64 - bits) : 0, a = g[f->a & 15], b = f->b == FR_IMM ? (uint64_t)(int64_t)f->imm : g[f->b & 15];
    switch (f->kind) {
    case FR_ADD:
    case FR_SUB:
        *val = arith(f->kind, undo ? (f->kind == FR_ADD ? a - b : a + b) : a, b, 0, size);
        return FLAGS_ALL;
    case FR_LOGIC:
        *val = arith(FR_LOGIC, a, b, 0, size);
        return FLAGS_ALL;
    case FR_NEG:
        *val = arith(FR_SUB, 0, 0 - a, 0, size);
        return FLAGS_ALL;
    case FR_INC:
        *val = arith(FR_ADD, a - 1, 1, 0, size);
        return FLAGS_ALL & ~P_CF;
    case FR_DEC:
        *val = arith(FR_SUB, a + 1, 1, 0, size);
        return FLAGS_ALL & ~P_CF;
    case FR_XADD: /* the source is what the destination was */
        *val = arith(FR_ADD, b, a - b, 0, size);
        return FLAGS_ALL;
    case FR_ADC:
    case FR_SBB:
        if (before(bc, blk, k, (uint16_t)(clob | f->wr), P_CF, depth, &cf)) {
            older = cf & P_CF ? 1 : 0;
            *val = f->kind == FR_ADC ? arith(FR_ADD, a - b - older, b, older, size) : arith(FR_SUB, a + b + older, b, older, size);
            return FLAGS_ALL;
        } /* else the result's */ /* fall through */
    case FR_RESULT:
        *val = arith(FR_LOGIC, a, ~0ull, 0, size);
        return P_ZF | P_SF | P_PF;
    case FR_ANDN:
        *val = arith(FR_LOGIC, a, ~0ull, 0, size);
        return P_ZF | P_SF | P_CF | P_OF;
    case FR_POPCNT:
        *val = a & m ? 0 : P_ZF;
        return FLAGS_ALL;
    case FR_STC:
        *val = P_CF;
        return P_CF;
    case FR_CLC: return P_CF;
    case FR_CMC:
        if (!before(bc, blk, k, clob, P_CF, depth, &v))
            return 0;
        *val = ~v & P_CF;
        return P_CF;
    case FR_SAHF:
        *val = pack(g[R_RAX] >> 8 & 0xd5);
        return FLAGS_ALL & ~P_OF;
    case FR_MUL:
        v = size == 1 ? (g[R_RAX] & 0xff00) != 0 : (g[R_RDX] & m) != 0;
        *val = v ? P_CF | P_OF : 0;
        return P_CF | P_OF;
    case FR_IMUL:
        if (size == 1)
            v = (int16_t)g[R_RAX] != (int8_t)g[R_RAX];
        else
            v = (g[R_RDX] & m) != ((g[R_RAX] >> (bits - 1) & 1 ? ~0ull : 0) & m);
        *val = v ? P_CF | P_OF : 0;
        return P_CF | P_OF;
    case FR_IMUL2: {
        int64_t x = (int64_t)(a << (64 - bits)) >> (64 - bits);
        __int128 r = (__int128)x * f->imm;
        *val = r != (__int128)((unsigned __int128)r << (128 - bits)) >> (128 - bits) ? P_CF | P_OF : 0;
        return P_CF | P_OF;
    }
    case FR_BT:
    case FR_BTC:
        *val = (a >> (b & (bits - 1)) & 1) != (f->kind == FR_BTC) ? P_CF : 0;
        return P_CF;
    case FR_ROL:
        *val = (uint8_t)((a & 1 ? P_CF : 0) | ((a >> (bits - 1) ^ a) & 1 ? P_OF : 0));
        return P_CF | P_OF;
    case FR_ROR:
        *val = (uint8_t)((a >> (bits - 1) & 1 ? P_CF : 0) | ((a >> (bits - 1) ^ a >> (bits - 2)) & 1 ? P_OF : 0));
        return P_CF | P_OF;
    case FR_ZERO:
        *val = a & m ? 0 : P_ZF;
        return P_ZF;
    case FR_COUNT:
        *val = (uint8_t)((a & m) == bits ? P_CF : (a & m) == 0 ? P_ZF : 0);
        return P_CF | P_ZF;
    default: return 0;
    }
}

/* Of the instruction at page offset off; n_map if the block has none there. */
static unsigned index_of(const struct bt_cpu *bc, const struct bt_block *b, uint16_t off)
{
    unsigned i = 0;
    while (i < b->n_map && bc->maps[b->map + i].off != off)
        i++;
    return i;
}

/* Can these flags have let the branch at the end of p go on at page offset delta? */
static bool possible(const struct bt_cpu *bc, const struct bt_block *p, int64_t delta, uint8_t known, uint8_t val)
{
    const struct bt_frec *f = &bc->frecs[p->map + p->n_map - 1];
    uint64_t v = unpack(val);
    static const uint8_t reads[8] = {P_OF, P_CF, P_ZF, P_CF | P_ZF, P_SF, P_PF, P_SF | P_OF, P_SF | P_OF | P_ZF};
    if (f->kind != FR_JCC || (known & reads[f->a >> 1]) != reads[f->a >> 1])
        return true;
    bool sf_of = !(v & FL_SF) != !(v & FL_OF), c;
    switch (f->a >> 1) {
    case 0: c = v & FL_OF; break;
    case 1: c = v & FL_CF; break;
    case 2: c = v & FL_ZF; break;
    case 3: c = v & (FL_CF | FL_ZF); break;
    case 4: c = v & FL_SF; break;
    case 5: c = v & FL_PF; break;
    case 6: c = sf_of; break;
    default: c = sf_of || (v & FL_ZF); break;
    }
    c ^= f->a & 1;
    return c == (delta != (int64_t)p->off + p->len);
}

/* Flags at the entry of a block. Where its predecessors do not agree, a loop's end is believed before others. */
static uint8_t at_entry(struct bt_cpu *bc, uint32_t blk, uint16_t clob, uint8_t want, unsigned depth, uint8_t *val)
{
    *val = 0;
    if (bc->last_alt && bc->exits[bc->last_alt].target == blk) { /* such a block has no other entries */
        const struct bt_exit *x = &bc->exits[bc->last_alt];
        return before(bc, x->blk, index_of(bc, &bc->blocks[x->blk], (uint16_t)x->delta), clob, want, depth + 1, val);
    }
    bool snap = bc->snap.blk == blk && !bc->snap.after;
    if (snap && !bc->snap.shared) {
        *val = snapped(bc);
        return want;
    }
    if (depth >= MAX_DEPTH)
        return 0;
    uint8_t known = 0, n = 0;
    bool loop = false;
    for (uint32_t xi = bc->blocks[blk].incoming; xi && n < MAX_INCOMING(depth); xi = bc->exits[xi].next) {
        const struct bt_exit *x = &bc->exits[xi];
        const struct bt_block *p = &bc->blocks[x->blk];
        uint8_t v, k;
        if (!p->n_map)
            continue;
        k = before(bc, x->blk, p->n_map, clob, FLAGS_ALL, depth + 1, &v);
        if (x->alt != ALT_NONE || !possible(bc, p, x->delta, k, v))
            continue;
        v &= k & want;
        k &= want;
        bool own = x->blk == blk;
        if (n++ == 0) {
            known = k;
            *val = v;
        } else if (own && !loop) {
            *val = v | (*val & (uint8_t)~k);
            known |= k;
        } else if (!loop) {
            *val |= v & (uint8_t)~known;
            known |= k;
        }
        loop |= own;
    }
    if (snap) { /* perhaps: it may have been entered otherwise since */
        *val |= snapped(bc) & (uint8_t)~known;
        known = FLAGS_ALL;
    }
    return known;
}

/* Flags before instruction k of a block. */
static uint8_t before(struct bt_cpu *bc, uint32_t blk, unsigned k, uint16_t clob, uint8_t want, unsigned depth, uint8_t *val)
{
    const struct bt_block *b = &bc->blocks[blk];
    uint8_t known = 0, v;
    *val = 0;
    while (k-- > 0 && want) {
        const struct bt_frec *f = &bc->frecs[b->map + k];
        uint8_t mine = want & f->mod;
        if (mine) {
            uint8_t ok = produced(bc, blk, k, clob, depth, &v) & mine;
            *val |= v & ok;
            known |= ok;
            want &= (uint8_t)~mine;
        }
        clob |= f->wr;
    }
    if (want) {
        uint8_t ok = at_entry(bc, blk, clob, want, depth, &v) & want;
        *val |= v & ok;
        known |= ok;
    }
    return known;
}

/*
 * A fault of the instruction at off of a block: rflags gets back what translated code has not kept. checked: the instruction's own check has been
 * made. All other registers are in place.
 */
void bt_flags_recover(struct bt_cpu *bc, uint32_t blk, uint16_t off, bool checked)
{
    const struct bt_block *b = &bc->blocks[blk];
    unsigned i = index_of(bc, b, off);
    if (i >= b->n_map)
        return;
    uint8_t lost = lost_at(&bc->frecs[b->map + i], checked), val;
    if (!lost)
        return;
    uint8_t known = before(bc, blk, i, 0, lost, 0, &val);
    uint64_t mask = unpack(known);
    bc->c.s.rflags = (bc->c.s.rflags & ~mask) | (unpack(val) & mask);
}
