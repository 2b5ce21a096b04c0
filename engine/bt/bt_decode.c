/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder that is asked first. Zydis walks its tables anew for each instruction, and right after code has come in most of them are in no cache of
 * the processor: a third of what a translation takes. But what programs are made of are a few hundred forms: what Zydis says of an instruction
 * depends on its prefixes, opcode, ModRM and SIB, and on nothing that follows but for two numbers, displacement and immediate. So its answers are
 * kept by those bytes, and the two numbers put in. What forms there are, and what they mean, stands nowhere here: a form that Zydis reads
 * otherwise than the key supposes is not kept.
 */
#include "bt/bt_tr.h"

#include <stdlib.h>

#define SKEL_N 1024u
#define SKEL_OPS 5u  /* operands that are kept; those that an instruction has not are zero up to there, as from Zydis */
#define SEEN_OPS 3u  /* that are looked at without asking whether the instruction has them */
#define SKEL_KEY 7u  /* bytes of a key; the eighth is for the mode and the length */
#define SKEL_PREFIXES 3u

#define HEAD_END ((offsetof(ZydisDecodedInstruction, raw.prefixes[SKEL_PREFIXES]) + 7) & ~7ul)
#define TAIL (offsetof(ZydisDecodedInstruction, raw.rex) & ~7ul)
_Static_assert(sizeof(ZydisDecodedInstruction) % 8 == 0 && sizeof(ZydisDecodedOperand) % 8 == 0 && HEAD_END <= TAIL, "copied in words");

struct skel {
    uint64_t key;
    uint8_t disp_op, imm_op; /* operands that show displacement and immediate; SKEL_OPS: none */
    uint8_t disp_at, disp_size, imm_at, imm_size, length;
    bool imm_signed;
    bool imm_flags; /* the immediate decides about flags: a count */
    uint8_t vec, ends, f_rd, f_wr; /* tr_classify */
    uint64_t head[HEAD_END / 8], tail[(sizeof(ZydisDecodedInstruction) - TAIL) / 8]; /* between them are more prefixes */
    ZydisDecodedOperand op[SKEL_OPS];
};
struct bt_skels {
    struct skel s[SKEL_N];
};

struct bt_skels *bt_skels_new(void) { return calloc(1, sizeof(struct bt_skels)); }

/* Where ModRM is (SDM vol. 2, A.3), and what is not kept: 0F 38, 0F 3A, 3DNow!, VEX, EVEX, XOP, moves of control and debug registers. */
static const uint16_t has_modrm[2][16] = {
    {0x0f0f, 0x0f0f, 0x0f0f, 0x0f0f, 0x0000, 0x0000, 0x0a0c, 0x0000, 0xffff, 0x0000, 0x0000, 0x0000, 0x00f3, 0xff0f, 0x0000, 0xc0c0},
    {0x200f, 0xffff, 0xff0f, 0x0000, 0xffff, 0xffff, 0xffff, 0xff7f, 0x0000, 0xffff, 0xf838, 0xffff, 0x00ff, 0xffff, 0xffff, 0xffff},
};
static bool in_map(const uint16_t *map, uint8_t c) { return map[c >> 4] >> (c & 15) & 1; }

static bool is_prefix(uint8_t c)
{
    switch (c) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

/* The key of the instruction at b, 0 if it is not to be kept. mode: M_CODE. *modrm, *sib: which the key has. */
static uint64_t key_of(const uint8_t *b, unsigned have, unsigned mode, bool *modrm, bool *sib)
{
    unsigned i = 0;
    bool a16 = mode == M_CODE16, two = false;
    while (is_prefix(b[i])) {
        if (b[i] == 0x67 && mode != M_CODE64)
            a16 = !a16;
        if (++i > 2)
            return 0;
    }
    if (mode == M_CODE64 && (b[i] & 0xf0) == 0x40)
        i++;
    uint8_t c = b[i++];
    if (c == 0x0f) {
        two = true;
        c = b[i++];
        if ((c & 0xf8) == 0x38 || c == 0x0f || (c & 0xf8) == 0x20)
            return 0;
    } else if (is_prefix(c) || (mode == M_CODE64 && (c & 0xf0) == 0x40) || c == 0xc4 || c == 0xc5 || c == 0x62 || c == 0x8f) {
        return 0;
    }
    *modrm = in_map(has_modrm[two], c);
    *sib = false;
    if (*modrm) {
        uint8_t m = b[i++];
        *sib = m < 0xc0 && (m & 7) == 4 && !a16;
        i += *sib;
    }
    if (i > have || i > SKEL_KEY)
        return 0;
    uint64_t k = ld_le64(b) & ((1ull << 8 * i) - 1);
    return k | (uint64_t)(i << 2 | mode | 0x80) << 56;
}

static uint64_t number(const uint8_t *p, unsigned bits, bool is_signed)
{
    switch (bits) {
    case 8: return is_signed ? (uint64_t)(int8_t)*p : *p;
    case 16: return is_signed ? (uint64_t)(int16_t)ld_le16(p) : ld_le16(p);
    case 32: return is_signed ? (uint64_t)(int32_t)ld_le32(p) : ld_le32(p);
    default: return ld_le64(p);
    }
}

/* Keeps what Zydis has said of x, if it is what the key and the two numbers say. */
static void keep(struct skel *s, uint64_t key, bool modrm, bool sib, const struct insn *x)
{
    const ZydisDecodedInstruction *in = &x->in;
    uint8_t disp_op = SKEL_OPS, imm_op = SKEL_OPS;
    s->key = 0;
    if (in->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || in->operand_count > SKEL_OPS || in->raw.prefix_count > SKEL_PREFIXES || in->raw.imm[1].size ||
        modrm != !!in->raw.modrm.offset || sib != !!in->raw.sib.offset)
        return;
    for (uint8_t i = 0; i < in->operand_count; i++) {
        const ZydisDecodedOperand *o = &x->op[i];
        switch (o->type) {
        case ZYDIS_OPERAND_TYPE_REGISTER:
            break;
        case ZYDIS_OPERAND_TYPE_MEMORY:
            if (!o->mem.disp.has_displacement)
                break;
            if (disp_op != SKEL_OPS || !in->raw.disp.size || o->mem.disp.value != in->raw.disp.value)
                return;
            disp_op = i;
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            if (!in->raw.imm[0].size)
                break; /* a constant of the opcode */
            if (imm_op != SKEL_OPS || o->imm.value.u != in->raw.imm[0].value.u)
                return;
            imm_op = i;
            break;
        default:
            return;
        }
    }
    s->disp_op = disp_op;
    s->imm_op = imm_op;
    s->disp_at = in->raw.disp.offset;
    s->disp_size = in->raw.disp.size;
    s->imm_at = in->raw.imm[0].offset;
    s->imm_size = in->raw.imm[0].size;
    s->imm_signed = in->raw.imm[0].is_signed;
    s->length = in->length;
    s->vec = x->vec;
    s->ends = x->ends;
    s->f_rd = x->f_rd;
    s->f_wr = x->f_wr;
    s->imm_flags = s->imm_size && (in->meta.category == ZYDIS_CATEGORY_SHIFT || in->meta.category == ZYDIS_CATEGORY_ROTATE);
    cpu_copy(s->head, in, sizeof s->head);
    cpu_copy(s->tail, (const uint8_t *)in + TAIL, sizeof s->tail);
    cpu_copy(s->op, x->op, sizeof s->op);
    s->key = key;
}

/* rep movsb takes longer to start than this takes. */
static inline void copy_words(void *to, const void *from, size_t n)
{
    typedef uint64_t u64 __attribute__((may_alias));
    u64 *d = to;
    const u64 *s = from;
    for (size_t i = 0; i < n / 8; i++) {
        d[i] = s[i];
        __asm__ volatile("" ::: "memory"); /* no call of memcpy */
    }
}

static void use(const struct skel *s, struct insn *x)
{
    x->vec = s->vec;
    x->ends = s->ends;
    x->f_rd = s->f_rd;
    x->f_wr = s->f_wr;
    ZydisDecodedInstruction *in = &x->in;
    copy_words(in, s->head, sizeof s->head);
    copy_words((uint8_t *)in + TAIL, s->tail, sizeof s->tail);
    copy_words(x->op, s->op, (in->operand_count < SEEN_OPS ? SEEN_OPS : in->operand_count) * sizeof s->op[0]);
    if (s->disp_size) {
        in->raw.disp.value = (int64_t)number(x->bytes + s->disp_at, s->disp_size, true);
        if (s->disp_op < SKEL_OPS)
            x->op[s->disp_op].mem.disp.value = in->raw.disp.value;
    }
    if (s->imm_size) {
        in->raw.imm[0].value.u = number(x->bytes + s->imm_at, s->imm_size, s->imm_signed);
        if (s->imm_op < SKEL_OPS)
            x->op[s->imm_op].imm.value.u = in->raw.imm[0].value.u;
        if (s->imm_flags)
            tr_classify(x);
    }
}

ZyanStatus tr_decode(struct bt_cpu *bc, unsigned mode, unsigned have, struct insn *x)
{
    bool modrm = false, sib = false;
    uint64_t key = key_of(x->bytes, have, mode, &modrm, &sib);
    struct skel *s = &bc->skels->s[(key * 0x9e3779b97f4a7c15ull) >> 54];
    if (key && s->key == key && s->length <= have) {
        use(s, x);
        return ZYAN_STATUS_SUCCESS;
    }
    bt_fpu_out(bc);
    ZyanStatus st = ZydisDecoderDecodeFull(&bc->dec[mode], x->bytes, have, &x->in, x->op);
    if (ZYAN_SUCCESS(st))
        tr_classify(x);
    if (key && ZYAN_SUCCESS(st))
        keep(s, key, modrm, sib, x);
    return st;
}
