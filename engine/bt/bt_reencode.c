/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An unprivileged instruction keeps its encoding; only the memory operand is replaced by the scratch registers that hold the host address.
 */
#include "bt/bt_tr.h"

/* ---- re-encoding ---- */

/* VEX.W and EVEX.W, where they would choose a 64-bit general register, mean nothing outside 64-bit mode. */
static bool ignores_w(const struct insn *n)
{
    switch (n->in.mnemonic) {
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VPEXTRD:
    case ZYDIS_MNEMONIC_VPINSRD:
    case ZYDIS_MNEMONIC_VCVTSI2SS:
    case ZYDIS_MNEMONIC_VCVTSI2SD:
    case ZYDIS_MNEMONIC_VCVTUSI2SS:
    case ZYDIS_MNEMONIC_VCVTUSI2SD:
        return true;
    default:
        break;
    }
    for (unsigned i = 0; i < n->in.operand_count; i++)
        if (n->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
            ZydisRegisterClass c = ZydisRegisterGetClass(n->op[i].reg.value);
            if (c == ZYDIS_REGCLASS_GPR32 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR8)
                return true;
        }
    return false;
}

/* Emits the instruction with its memory operand replaced (am >= 0), or as it is in registers (am = -1). */
void tr_emit_insn(struct bt_tr *t, int am)
{
    const struct insn *n = t->cur;
    const ZydisDecodedInstruction *in = &n->in;
    struct em *e = &t->e;
    const uint8_t *b = n->bytes;
    unsigned i = 0, rex = 0;
    bool p66 = false, pf2 = false, pf3 = false, pf0 = false, last_f2 = false;
    for (;; i++) {
        uint8_t c = b[i];
        if (c == 0x66) {
            p66 = true;
            rex = 0;
        } else if (c == 0xf2 || c == 0xf3) {
            if (c == 0xf2)
                pf2 = true;
            else
                pf3 = true;
            last_f2 = c == 0xf2;
            rex = 0;
        } else if (c == 0xf0) {
            pf0 = true;
            rex = 0;
        } else if (c == 0x67 || c == 0x2e || c == 0x36 || c == 0x3e || c == 0x26 || c == 0x64 || c == 0x65) {
            rex = 0;
        } else if (t->m64 && (c & 0xf0) == 0x40) {
            rex = c;
        } else {
            break;
        }
    }
    if (pf2 && pf3) {
        if (last_f2)
            pf3 = false;
        else
            pf2 = false;
    }
    bool vex = in->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX, evex = in->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
    if (!vex && !evex && (t->mode & M_CODE) == M_CODE16) {
        bool vec = in->meta.category == ZYDIS_CATEGORY_SSE || in->opcode_map == ZYDIS_OPCODE_MAP_0F38 || in->opcode_map == ZYDIS_OPCODE_MAP_0F3A ||
                   (in->opcode_map == ZYDIS_OPCODE_MAP_0F && in->opcode == 0xae);
        for (unsigned k = 0; k < in->operand_count && !vec; k++) {
            if (n->op[k].type != ZYDIS_OPERAND_TYPE_REGISTER)
                continue;
            ZydisRegisterClass c = ZydisRegisterGetClass(n->op[k].reg.value);
            vec = c == ZYDIS_REGCLASS_MMX || c == ZYDIS_REGCLASS_XMM;
        }
        if (in->opcode_map == ZYDIS_OPCODE_MAP_0F38 && (in->opcode == 0xf0 || in->opcode == 0xf1 || in->opcode == 0xf6))
            vec = in->opcode == 0xf6;
        if (!vec)
            p66 = in->operand_width == 16;
    }
    /* LOCK is for other processors (SDM vol. 3, 9.1.2), and a program shares no memory with anyone else: with one processor it is left out there. A
     * kernel keeps it: a device's thread may store into the same word (SVGA's FIFO_BUSY). With F2h and F3h it belongs to HLE's prefixes. */
    if (pf0 && (t->bc->bv->n > 1 || CPL_OF(t->mode) != 3 || pf2 || pf3))
        e1(e, 0xf0);
    if (p66)
        e1(e, 0x66);
    if (pf2)
        e1(e, 0xf2);
    if (pf3)
        e1(e, 0xf3);
    uint8_t base_hi = am == AM_R10R11 || am == AM_R10 || am == AM_R11 || am == AM_R11DISP || (am == AM_BASE && t->am_base >= 8);
    uint8_t index_hi = am == AM_R10R11 || am == AM_BASE;
    unsigned mo = in->raw.modrm.offset;
    if (vex) {
        uint8_t p1, p2;
        if (b[i] == 0xc5) {
            p1 = (b[i + 1] & 0x80) | 0x60 | 1;
            p2 = b[i + 1] & 0x7f;
            i += 2;
        } else {
            p1 = b[i + 1];
            p2 = b[i + 2];
            i += 3;
        }
        if (am >= 0) {
            p1 |= 0x60;
            if (base_hi)
                p1 &= ~0x20;
            if (index_hi)
                p1 &= ~0x40;
        }
        if (!t->m64)
            p1 |= am >= 0 ? 0x80 : 0xe0;
        if (!t->m64 && ignores_w(n))
            p2 &= 0x7f;
        e3(e, 0xc4, p1, p2);
    } else if (evex) {
        uint8_t p1 = b[i + 1];
        if (am >= 0) {
            p1 |= 0x60;
            if (base_hi)
                p1 &= ~0x20;
            if (index_hi)
                p1 &= ~0x40;
        }
        uint8_t p2 = b[i + 2];
        if (!t->m64 && ignores_w(n))
            p2 &= 0x7f;
        e4(e, 0x62u | (uint32_t)p1 << 8 | (uint32_t)p2 << 16 | (uint32_t)b[i + 3] << 24);
        i += 4;
    } else {
        if (am >= 0)
            rex = (rex & 0x4c) | base_hi | index_hi << 1;
        if (rex || (am >= 0 && (base_hi | index_hi)))
            e1(e, (uint8_t)(0x40 | rex));
        if (!t->m64 && in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (b[i] & 0xf0) == 0x40) {
            e2(e, 0xff, (uint8_t)(0xc0 | (b[i] & 0xf))); /* INC/DEC r: one-byte forms are REX in 64-bit mode */
            return;
        }
    }
    if (!t->m64 && !vex && !evex && in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && in->opcode == 0x82) { /* 80h's alias is gone in 64-bit mode */
        e1(e, 0x80);
        i++;
    }
    if (am < 0) {
        for (; i < in->length; i++)
            e1(e, b[i]);
        return;
    }
    if (!mo) { /* MOV AL/eAX <-> moffs: the only memory operand without ModRM */
        e1(e, (uint8_t)(b[i] < 0xa2 ? 0x8a + (b[i] & 1) : 0x88 + (b[i] & 1)));
        e1(e, am == AM_R10R11 ? 0x04 : am == AM_R10 ? 2 : am == AM_R11 ? 3 : 7); /* never in a group: it has no base */
        if (am == AM_R10R11)
            e1(e, 0x1a);
        return;
    }
    for (; i < mo; i++)
        e1(e, b[i]);
    uint8_t reg = b[mo] & 0x38;
    if (am == AM_R10R11) {
        e2(e, 0x04 | reg, 0x1a);
    } else if (am == AM_BASE) {
        bool d8 = !evex && t->am_disp >= -128 && t->am_disp <= 127; /* EVEX scales an 8-bit displacement */
        bool none = t->am_disp == 0 && (t->am_base & 7) != 5;
        e2(e, (uint8_t)((none ? 0x04 : d8 ? 0x44 : 0x84) | reg), (uint8_t)(3 << 3 | (t->am_base & 7)));
        if (!none && d8)
            e1(e, (uint8_t)t->am_disp);
        else if (!none)
            e4(e, (uint32_t)t->am_disp);
    } else if (am == AM_R11DISP && (t->am_disp || evex)) {
        if (!evex && t->am_disp >= -128 && t->am_disp <= 127) {
            e2(e, 0x43 | reg, (uint8_t)t->am_disp);
        } else { /* EVEX scales an 8-bit displacement */
            e1(e, 0x83 | reg);
            e4(e, (uint32_t)t->am_disp);
        }
    } else
        e1(e, (am == AM_R10 ? 2 : am == AM_R11 || am == AM_R11DISP ? 3 : 7) | reg);
    unsigned tail = mo + 1 + ((b[mo] & 0xc0) != 0xc0 && in->address_width != 16 && (b[mo] & 7) == 4) + in->raw.disp.size / 8;
    for (; tail < in->length; tail++)
        e1(e, b[tail]);
}

/* Which of guest r10 and r11 the instruction reads and writes outside its memory operand. Bit 0: r10, bit 1: r11. */
void tr_home_use(const struct insn *n, unsigned *rd, unsigned *wr, bool *high)
{
    *rd = *wr = 0;
    *high = false;
    for (unsigned i = 0; i < n->in.operand_count; i++) {
        const ZydisDecodedOperand *o = &n->op[i];
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        if (tr_is_high_byte(o->reg.value))
            *high = true;
        unsigned g = tr_gpr_of(o->reg.value);
        if (g != 10 && g != 11)
            continue;
        unsigned bit = 1u << (g - 10);
        if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            *wr |= bit;
        if ((o->actions & ZYDIS_OPERAND_ACTION_MASK_READ) || (o->actions & ZYDIS_OPERAND_ACTION_CONDWRITE) || o->size < 32)
            *rd |= bit;
    }
}

void tr_home_store(struct bt_tr *t, unsigned wr)
{
    if (wr & 1)
        e_st(&t->e, 10, HOME(10));
    if (wr & 2)
        e_st(&t->e, 11, HOME(11));
}
