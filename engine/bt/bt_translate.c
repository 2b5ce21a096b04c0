/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From guest instructions to host code. A block is decoded (Zydis), the liveness of the arithmetic flags is found backwards, then each
 * instruction is lowered: unprivileged instructions keep their own encoding, with a memory operand replaced by [r10 + r11] after the inline
 * TLB check; stack instructions and branches are spelled out; everything privileged or rare calls out to C.
 */
#include "bt/bt_private.h"

#include "bt/bt_emit.h"

#define HOME(r) ((uint32_t)(r)*8)
#define SEG_OFF(n, f) ((uint32_t)(offsetof(struct cpu_state, seg) + (unsigned)(n) * sizeof(struct cpu_seg) + offsetof(struct cpu_seg, f)))
#define CELL_VA(cp) ((uint32_t)(offsetof(struct bt_cpu, cells) + (cp) * sizeof(struct bt_cell) + offsetof(struct bt_cell, va)))
#define CELL_CTX(cp) ((uint32_t)(offsetof(struct bt_cpu, cells) + (cp) * sizeof(struct bt_cell)))

enum { COLD_MISS, COLD_MISS_RCX, COLD_LIMIT, COLD_ALIGN, COLD_EXIT };
struct cold {
    uint8_t *rel;
    uint8_t kind;
    uint32_t idx;
};

struct insn {
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t bytes[16];
    uint16_t off;
    uint8_t live_in; /* flags live before the instruction's own effect, as enum below */
    /* The access that may share a check with others (bt_group.c): group 0 = none. */
    uint8_t group, grp_acc;
    bool leader;
    int16_t grp_at;    /* of this access, from the group's start */
    uint16_t grp_span; /* leader: bytes of the whole group */
};

struct bt_tr {
    struct em e;
    struct bt_cpu *bc;
    struct bt_cpage *cpg;
    uint32_t cp, mode, blk;
    struct bt_block *b;
    uint32_t reg_mask; /* of the mode: 64, 32 or 16 bit rip */
    struct cold cold[BLOCK_INSNS * 6];
    unsigned n_cold;
    uint32_t site;
    struct insn *cur;
    struct insn insn[BLOCK_INSNS];
    bool m64, failed;
    int r11_group;      /* the group whose host address r11 holds now; 0 = none */
    uint8_t groups_ok;  /* groups whose slot is valid here */
    int am_disp;
};

struct bt_tr *bt_tr_new(void)
{
    static const struct bt_tr zero_size; /* for its size only */
    extern void *calloc(size_t, size_t);
    return calloc(1, sizeof zero_size);
}

static uint32_t code_off(struct bt_tr *t) { return (uint32_t)(t->e.p - t->bc->code_rw); }

/* ---- small facts about operands ---- */

static unsigned gpr_of(ZydisRegister r) /* 0..15, or NOREG; high byte registers count as their parent */
{
    ZydisRegister big = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
    if (big >= ZYDIS_REGISTER_RAX && big <= ZYDIS_REGISTER_R15)
        return big - ZYDIS_REGISTER_RAX;
    return NOREG;
}
static bool is_high_byte(ZydisRegister r) { return r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH; }

static int seg_of(ZydisRegister r)
{
    return r >= ZYDIS_REGISTER_ES && r <= ZYDIS_REGISTER_GS ? (int)(r - ZYDIS_REGISTER_ES) : S_DS;
}

static const ZydisDecodedOperand *mem_operand(const struct insn *n)
{
    for (unsigned i = 0; i < n->in.operand_count; i++)
        if (n->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && n->op[i].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
            return &n->op[i];
    return NULL;
}

/* ---- effective addresses ---- */

/* reg = rip at page offset delta (of this page), cut to the code size. */
static void emit_rip(struct bt_tr *t, unsigned reg, int64_t delta)
{
    if (t->cpg->fixed) {
        uint64_t v = t->bc->cells[t->cp].va + (uint64_t)delta;
        e_movi(&t->e, reg, t->m64 ? v : (uint32_t)v);
        return;
    }
    e_ld(&t->e, reg, CELL_VA(t->cp));
    if (delta == (int32_t)delta) {
        e_lea(&t->e, t->m64, reg, reg, NOREG, 1, (int32_t)delta);
    } else { /* RIP-relative at the edge of the reach */
        e_lea(&t->e, 1, reg, reg, NOREG, 1, 0x7fffffff);
        e_lea(&t->e, t->m64, reg, reg, NOREG, 1, (int32_t)(delta - 0x7fffffff));
    }
}

/* r10 = offset of the memory operand (before the segment base). extra is added to the displacement. */
static void emit_ea(struct bt_tr *t, const ZydisDecodedOperand *m, int32_t extra)
{
    struct em *e = &t->e;
    const ZydisDecodedInstruction *in = &t->cur->in;
    unsigned asz = in->address_width;
    int64_t disp = (m->mem.disp.has_displacement ? m->mem.disp.value : 0) + extra;
    ZydisRegister base = m->mem.base, index = m->mem.index;
    if (m->mem.type == ZYDIS_MEMOP_TYPE_MIB || m->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
        index = ZYDIS_REGISTER_NONE;
    if (base == ZYDIS_REGISTER_RIP || base == ZYDIS_REGISTER_EIP) {
        emit_rip(t, 10, (int64_t)t->cur->off + in->length + disp);
        if (base == ZYDIS_REGISTER_EIP)
            e_mov32(e, 10, 10);
        return;
    }
    unsigned b = base == ZYDIS_REGISTER_NONE ? NOREG : gpr_of(base), x = index == ZYDIS_REGISTER_NONE ? NOREG : gpr_of(index);
    if (asz == 16) {
        if (b == NOREG && x == NOREG) {
            e_movi(e, 10, (uint16_t)disp);
            return;
        }
        if (b == NOREG) {
            b = x;
            x = NOREG;
        }
        e_lea(e, 0, 10, b, x, 1, (int32_t)disp);
        e_movzx16(e, 10, 10);
        return;
    }
    if (b == NOREG && x == NOREG) {
        e_movi(e, 10, asz == 32 ? (uint32_t)disp : (uint64_t)disp);
        return;
    }
    if (t->m64) {
        if (b == 10 || x == 10)
            e_ld(e, 10, HOME(10));
        if (b == 11 || x == 11) {
            e_ld(e, 11, HOME(11));
            t->r11_group = 0;
        }
    }
    if (x == NOREG && disp == 0) {
        if (asz == 64) {
            if (b != 10)
                e_mov(e, 10, b);
        } else {
            e_mov32(e, 10, b);
        }
        return;
    }
    e_lea(e, asz == 64, 10, b, x, m->mem.scale ? m->mem.scale : 1, (int32_t)disp);
}

/* ---- the inline TLB check ---- */

static void add_cold(struct bt_tr *t, uint8_t *rel, uint8_t kind, uint32_t idx)
{
    if (t->n_cold >= sizeof t->cold / sizeof t->cold[0]) {
        t->failed = true;
        return;
    }
    t->cold[t->n_cold++] = (struct cold){rel, kind, idx};
}

/* AMD processors check the alignment of vectors too (#AC), where the instruction itself does not (#GP). */
static bool align_vector(const struct bt_tr *t)
{
    const ZydisDecodedInstruction *in = &t->cur->in;
    if (!t->bc->bv->feat.amd)
        return false;
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_VMOVUPS:
    case ZYDIS_MNEMONIC_VMOVUPD:
    case ZYDIS_MNEMONIC_VMOVDQU:
    case ZYDIS_MNEMONIC_VLDDQU:
        return true;
    default:
        return false;
    }
}

/*
 * In: r10 = offset in seg. Out: the op region has begun: r10 + r11 is the host address of size bytes that may be accessed as acc says.
 * Every guest register is as before. Between op_begin and op_end only position-independent code may be emitted; it may leave a value in r10.
 */
static void op_begin(struct bt_tr *t, unsigned size, unsigned acc, int seg, uint8_t siteflags)
{
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    bool live = t->cur->live_in != 0;
    unsigned mmu = MMU_OF(t->mode);
    uint32_t si = bc->n_sites++;
    t->site = si;
    t->r11_group = 0;
    struct bt_site *s = &bc->sites[si];
    *s = (struct bt_site){.blk = t->blk, .size = (uint16_t)size, .off = t->cur->off, .acc = (uint8_t)acc, .seg = (uint8_t)seg,
                          .ilen = t->cur->in.length, .flags = siteflags};
    bool add_base = false, limit = false;
    if (t->m64) {
        add_base = seg >= S_FS;
    } else if (seg == S_FS || seg == S_GS) {
        add_base = true;
        limit = !(t->mode & (seg == S_FS ? M_FSBIG : M_GSBIG));
    } else if (seg == S_CS || !(t->mode & M_FLAT)) {
        add_base = limit = true;
    }
    bool align = (t->mode & M_ALIGN) && (size == 2 || size == 4 || size == 8 || (size >= 16 && align_vector(t)));
    bool slot = live && (limit || align || size > 512);
    if (slot) {
        e_flags_save(e, HOT_RAX_SAVE, HOT_FLSLOT);
        s->flags |= SITE_FLSLOT;
    }
    if (limit) {
        e_gs(e, 1, 0, 0x3b, 10, (acc & ACC_W ? HOT_LIM_W : HOT_LIM_R) + 8u * (unsigned)seg); /* cmp r10, gs:[] */
        add_cold(t, e_jcc32(e, 0xf), COLD_LIMIT, si);                                       /* jg */
    }
    if (add_base) {
        e_ld(e, 11, SEG_OFF(seg, base));
        e_lea(e, t->m64, 10, 10, 11, 1, 0);
    }
    if (align) {
        s->flags |= SITE_ALIGN;
        e3(e, 0x41, 0xf6, 0xc2); /* test r10b, size-1 */
        e1(e, (uint8_t)(size - 1));
        uint8_t *rel = e_jcc32(e, 0x5); /* jnz */
        add_cold(t, rel, COLD_ALIGN, si);
        s->flags |= SITE_ALIGN;
    }
    static const uint8_t rorx[] = {0xc4, 0x43, 0xfb, 0xf0, 0xda, 12};
    for (unsigned i = 0; i < sizeof rorx; i++)
        e1(e, rorx[i]);
    e4(e, 0xdbb70f45); /* movzx r11d, r11w */
    uint32_t tag = (uint32_t)(acc & ACC_W ? offsetof(struct bt_cpu, tlb[0].wtag) : offsetof(struct bt_cpu, tlb[0].rtag)) +
                   (uint32_t)(mmu * sizeof bc->tlb[0]);
    uint32_t host = (uint32_t)(offsetof(struct bt_cpu, tlb[0].host) + mmu * sizeof bc->tlb[0]);
    if (live && !slot) {
        e_st(e, 1, HOT_T1);
        e_gs_r11(e, 0x8b, 1, tag);                    /* mov rcx, ntag */
        e_lea(e, 1, 10, 10, 1, 1, 0);                 /* r10 = offset in the page, if it is the page */
        e_lea(e, 1, 1, 10, NOREG, 1, (int32_t)size - 1);
        static const uint8_t pext[] = {0x65, 0xc4, 0xe2, 0xf2, 0xf5, 0x0c, 0x25};
        for (unsigned i = 0; i < sizeof pext; i++)
            e1(e, pext[i]);
        e4(e, HOT_HIMASK); /* pext rcx, rcx, gs:[~0xfff] */
        uint8_t *ok = e_jrcxz(e);
        add_cold(t, e_jmp32(e), COLD_MISS_RCX, si);
        e_fix8(ok, e->p);
        e_ld(e, 1, HOT_T1);
    } else {
        e_gs_r11(e, 0x03, 10, tag);
        e3(e, 0x49, 0x81, 0xfa); /* cmp r10, imm32 */
        e4(e, PAGE - size);
        add_cold(t, e_jcc32(e, 0x7), COLD_MISS, si);
    }
    e_gs_r11(e, 0x8b, 11, host);
    s->op = code_off(t);
    if (slot)
        e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
}
static void op_end(struct bt_tr *t)
{
    struct bt_site *s = &t->bc->sites[t->site];
    s->oplen = (uint8_t)(code_off(t) - s->op);
}

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
static void emit_insn(struct bt_tr *t, int am)
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
    if (pf0)
        e1(e, 0xf0);
    if (p66)
        e1(e, 0x66);
    if (pf2)
        e1(e, 0xf2);
    if (pf3)
        e1(e, 0xf3);
    uint8_t base_hi = am == AM_R10R11 || am == AM_R10 || am == AM_R11 || am == AM_R11DISP, index_hi = am == AM_R10R11;
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
static void home_use(const struct insn *n, unsigned *rd, unsigned *wr, bool *high)
{
    *rd = *wr = 0;
    *high = false;
    for (unsigned i = 0; i < n->in.operand_count; i++) {
        const ZydisDecodedOperand *o = &n->op[i];
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        if (is_high_byte(o->reg.value))
            *high = true;
        unsigned g = gpr_of(o->reg.value);
        if (g != 10 && g != 11)
            continue;
        unsigned bit = 1u << (g - 10);
        if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            *wr |= bit;
        if ((o->actions & ZYDIS_OPERAND_ACTION_MASK_READ) || (o->actions & ZYDIS_OPERAND_ACTION_CONDWRITE) || o->size < 32)
            *rd |= bit;
    }
}

static void home_store(struct bt_tr *t, unsigned wr)
{
    if (wr & 1)
        e_st(&t->e, 10, HOME(10));
    if (wr & 2)
        e_st(&t->e, 11, HOME(11));
}

/* With r10 + r11 the host address: the instruction itself, its r10/r11 operands from and to their homes. */
static void emit_mem_op(struct bt_tr *t)
{
    struct em *e = &t->e;
    unsigned rd = 0, wr = 0;
    bool high = false;
    home_use(t->cur, &rd, &wr, &high);
    if (!t->m64)
        rd = wr = 0;
    if (high) { /* no REX with AH..BH: the address goes to RDI */
        e_st(e, 7, HOT_T2);
        e_lea(e, 1, 7, 10, 11, 1, 0);
        emit_insn(t, AM_RDI);
        e_ld(e, 7, HOT_T2);
        return;
    }
    if (rd & 1) {
        e_lea(e, 1, 11, 10, 11, 1, 0);
        e_ld(e, 10, HOME(10));
        emit_insn(t, AM_R11);
    } else if (rd & 2) {
        e_lea(e, 1, 10, 10, 11, 1, 0);
        e_ld(e, 11, HOME(11));
        emit_insn(t, AM_R10);
    } else {
        emit_insn(t, AM_R10R11);
    }
    home_store(t, wr);
}

/*
 * Accesses that share a check. The leader checks the whole span and keeps its host address in r11 and in a slot; the others use it. In: the
 * current instruction has a group. Returns false when it must check for itself. On return r11 + t->am_disp is the host address.
 */
static bool group_addr(struct bt_tr *t, const ZydisDecodedOperand *m)
{
    struct insn *n = t->cur;
    struct em *e = &t->e;
    if (!n->group)
        return false;
    uint32_t slot = (uint32_t)(offsetof(struct bt_cpu, group) + 8u * (n->group - 1u));
    if (n->leader) {
        struct insn *lead = n;
        if (m)
            emit_ea(t, m, -n->grp_at);
        else
            e_lea(e, t->m64, 10, 4, NOREG, 1, (n->grp_acc & ACC_W ? -(int32_t)(n->in.operand_width / 8) : 0) - n->grp_at);
        op_begin(t, lead->grp_span, n->grp_acc & 0x80 ? ACC_W : n->grp_acc & 3, S_SS, SITE_GROUP);
        struct bt_site *s = &t->bc->sites[t->site];
        s->lead_acc = n->grp_acc & 3;
        s->lead_off = (uint16_t)n->grp_at;
        s->lead_size = m ? (uint8_t)(m->size / 8) : (uint8_t)(n->in.operand_width / 8);
        s->seg = m ? (uint8_t)seg_of(m->mem.segment) : S_SS;
        e_lea(e, 1, 11, 10, 11, 1, 0);
        e_st(e, 11, slot);
        op_end(t);
        t->groups_ok |= (uint8_t)(1u << (n->group - 1));
    } else if (!(t->groups_ok >> (n->group - 1) & 1)) {
        return false;
    } else if (t->r11_group != n->group) {
        e_ld(e, 11, slot);
    }
    t->r11_group = n->group;
    t->am_disp = n->grp_at;
    return true;
}

static void emit_group_op(struct bt_tr *t)
{
    unsigned rd = 0, wr = 0;
    bool high = false;
    struct em *e = &t->e;
    home_use(t->cur, &rd, &wr, &high);
    if (!t->m64)
        rd = wr = 0;
    if ((rd | wr) & 2) {
        e_lea(e, 1, 10, 11, NOREG, 1, t->am_disp);
        if (rd & 2)
            e_ld(e, 11, HOME(11));
        t->r11_group = 0;
        emit_insn(t, AM_R10);
    } else {
        if (rd & 1)
            e_ld(e, 10, HOME(10));
        emit_insn(t, AM_R11DISP);
    }
    home_store(t, wr);
}

static void emit_reg_op(struct bt_tr *t)
{
    unsigned rd = 0, wr = 0;
    bool high;
    home_use(t->cur, &rd, &wr, &high);
    if (!t->m64)
        rd = wr = 0;
    if (rd & 1)
        e_ld(&t->e, 10, HOME(10));
    if (rd & 2)
        e_ld(&t->e, 11, HOME(11));
    if ((rd | wr) & 2)
        t->r11_group = 0;
    emit_insn(t, -1);
    home_store(t, wr);
}

static unsigned acc_of(const ZydisDecodedOperand *m)
{
    unsigned acc = 0;
    if (m->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
        acc |= ACC_R;
    if (m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        acc |= ACC_W;
    return acc ? acc : ACC_R;
}

/* Does the instruction touch only the elements that a mask selects? Those left out do not fault. */
static bool masked_access(const struct insn *n, const ZydisDecodedOperand *m, struct bt_site *s)
{
    const ZydisDecodedInstruction *in = &n->in;
    unsigned es = m->element_size / 8, size = m->size / 8;
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
        s->mkind = MASK_VECTOR;
        s->mreg = (uint8_t)ZydisRegisterGetId(n->op[1].reg.value);
        s->melem = in->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPS || in->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVD ? 4 : 8;
        return true;
    default:
        break;
    }
    if (in->encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || in->avx.mask.reg == ZYDIS_REGISTER_NONE || in->avx.mask.reg == ZYDIS_REGISTER_K0 ||
        size == 0 || size > 64)
        return false;
    if (es == 0 || es > size || size % es)
        es = size;
    s->mreg = (uint8_t)ZydisRegisterGetId(in->avx.mask.reg);
    s->melem = (uint8_t)es;
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_VCOMPRESSPS:
    case ZYDIS_MNEMONIC_VCOMPRESSPD:
    case ZYDIS_MNEMONIC_VPCOMPRESSB:
    case ZYDIS_MNEMONIC_VPCOMPRESSW:
    case ZYDIS_MNEMONIC_VPCOMPRESSD:
    case ZYDIS_MNEMONIC_VPCOMPRESSQ:
    case ZYDIS_MNEMONIC_VEXPANDPS:
    case ZYDIS_MNEMONIC_VEXPANDPD:
    case ZYDIS_MNEMONIC_VPEXPANDB:
    case ZYDIS_MNEMONIC_VPEXPANDW:
    case ZYDIS_MNEMONIC_VPEXPANDD:
    case ZYDIS_MNEMONIC_VPEXPANDQ:
        s->mkind = MASK_PACKED;
        return true;
    default:
        break;
    }
    const ZydisDecodedOperand *o = &n->op[0] == m ? &n->op[n->in.operand_count_visible - 1] : &n->op[0];
    unsigned count = o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->element_size ? o->size / o->element_size : 64;
    bool bcst = in->avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID;
    s->mkind = !bcst && (count == size / es || (size == es && size <= 8)) ? MASK_ELEMENTS : MASK_ANY;
    s->mcount = (uint8_t)(bcst ? count : 64);
    return true;
}

static void lower_generic_mem(struct bt_tr *t, const ZydisDecodedOperand *m)
{
    unsigned size = m->size / 8, acc = acc_of(m);
    if (size == 0)
        size = 1;
    if (size > 2048)
        size = 2048;
    if (t->cur->in.meta.category == ZYDIS_CATEGORY_XSAVE || t->cur->in.meta.category == ZYDIS_CATEGORY_XSAVEOPT)
        size = t->bc->bv->feat.xsave_size_max > 576 ? t->bc->bv->feat.xsave_size_max : 576;
    if (group_addr(t, m)) {
        emit_group_op(t);
        return;
    }
    emit_ea(t, m, 0);
    struct bt_site mask = {0};
    bool masked = masked_access(t->cur, m, &mask);
    op_begin(t, size, acc, seg_of(m->mem.segment), masked ? SITE_MASKED : acc == ACC_W && size <= 64 ? SITE_WONLY : 0);
    if (masked) {
        struct bt_site *s = &t->bc->sites[t->site];
        s->mkind = mask.mkind;
        s->mreg = mask.mreg;
        s->melem = mask.melem;
        s->mcount = mask.mcount;
    }
    emit_mem_op(t);
    op_end(t);
}

/* ---- call-outs ---- */

static struct bt_rec *callout(struct bt_tr *t, unsigned op)
{
    t->r11_group = 0;
    t->groups_ok = 0;
    struct bt_cpu *bc = t->bc;
    uint32_t ri = bc->n_recs++;
    struct bt_rec *r = &bc->recs[ri];
    const ZydisDecodedInstruction *in = &t->cur->in;
    *r = (struct bt_rec){.op = (uint8_t)op, .opsize = in->operand_width / 8, .asize = in->address_width / 8, .ilen = in->length,
                         .off = t->cur->off, .blk = t->blk, .rm = 0xff};
    const ZydisDecodedOperand *m = mem_operand(t->cur);
    if (m) {
        emit_ea(t, m, 0);
        r->seg = (uint8_t)seg_of(m->mem.segment);
    }
    e2(&t->e, 0x41, 0xbb); /* mov r11d, ri */
    e4(&t->e, ri);
    e_fix(e_jmp32(&t->e), bc->code_rw + bc->tr_callout);
    r->ret = code_off(t);
    return r;
}

/* ---- exits ---- */

static bool may_link(struct bt_tr *t) { return !(t->mode & (M_SINGLE | M_NOGROUP)) && !t->b->cross; }

/* An exit to page offset delta of this page (any page); rel is the branch to patch, or NULL to emit a jump here. */
static void exit_direct(struct bt_tr *t, uint8_t *rel, int64_t delta)
{
    struct bt_cpu *bc = t->bc;
    uint32_t xi = bc->n_exits++;
    if (!rel)
        rel = e_jmp32(&t->e);
    bc->exits[xi] = (struct bt_exit){.patch = (uint32_t)(rel - bc->code_rw), .blk = t->blk, .delta = delta};
    if (t->b->n_exits++ == 0)
        t->b->exits = xi;
    add_cold(t, rel, COLD_EXIT, xi);
}

/* r10 = rip, cut to the operand size: jump there. */
static void exit_indirect(struct bt_tr *t)
{
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    if (!may_link(t)) {
        e_fix(e_jmp32(e), bc->code_rw + bc->tr_indirect);
        return;
    }
    e_movzx16(e, 11, 10);
    static const uint8_t j[] = {0x65, 0x42, 0xff, 0x24, 0xdd}; /* jmp gs:[r11*8 + jc] */
    for (unsigned i = 0; i < sizeof j; i++)
        e1(e, j[i]);
    e4(e, (uint32_t)offsetof(struct bt_cpu, jc[0]));
}

/* Where a relative branch goes, as page offset of this page; false: it wraps in a way only a run-time sum knows. */
static bool branch_delta(struct bt_tr *t, int64_t *delta)
{
    const ZydisDecodedInstruction *in = &t->cur->in;
    int64_t d = (int64_t)t->cur->off + in->length + in->raw.imm[0].value.s;
    if (t->m64) {
        *delta = d;
        return true;
    }
    if (t->cpg->fixed) {
        uint64_t va = t->bc->cells[t->cp].va, tgt = va + (uint64_t)d;
        tgt &= in->operand_width == 16 ? 0xffff : 0xffffffff;
        *delta = (int64_t)(tgt - va);
        return true;
    }
    *delta = d;
    return in->operand_width != 16;
}

static void jump_relative(struct bt_tr *t, uint8_t *rel)
{
    int64_t d;
    if (branch_delta(t, &d)) {
        exit_direct(t, rel, d);
        return;
    }
    uint8_t *over = NULL;
    if (rel) { /* conditional, 16-bit target in 32-bit code: rare */
        over = e_jmp32(&t->e);
        e_fix(rel, t->e.p);
    }
    emit_rip(t, 10, (int64_t)t->cur->off + t->cur->in.length + t->cur->in.raw.imm[0].value.s);
    e_movzx16(&t->e, 10, 10);
    exit_indirect(t);
    if (over)
        e_fix(over, t->e.p);
}

/* ---- stack ---- */

static unsigned stack_size(struct bt_tr *t) { return t->m64 ? 8 : t->mode & M_SS32 ? 4 : 2; }

static void sp_ea(struct bt_tr *t, int32_t d)
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
static void sp_add(struct bt_tr *t, int32_t d)
{
    unsigned ss = stack_size(t);
    if (ss == 2) {
        e_lea(&t->e, 0, 11, 4, NOREG, 1, d);
        e_mov16(&t->e, 4, 11);
    } else {
        e_lea(&t->e, ss == 8, 4, 4, NOREG, 1, d);
    }
}
/* mov [r10 + r11], value, then RSP; value: a guest register (0..15), or -1: in slot T0, or -2: immediate, or -3: rip + imm, or -4: selector imm */
static void push_value(struct bt_tr *t, unsigned size, int src, int64_t imm)
{
    struct em *e = &t->e;
    int w = size == 8, p66 = size == 2;
    if (group_addr(t, NULL)) {
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
                emit_rip(t, 10, imm);
            else if (src == -4)
                e_ldzx16(e, 10, SEG_OFF(imm, sel));
            else
                e_ld(e, 10, HOME(src));
            e_mem_at(e, w, p66, 0x89, 10, AM_R11DISP, t->am_disp);
        }
        sp_add(t, -(int32_t)size);
        return;
    }
    sp_ea(t, -(int32_t)size);
    op_begin(t, size, ACC_W, S_SS, SITE_WONLY);
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
            emit_rip(t, 11, imm);
        else if (src == -4)
            e_ldzx16(e, 11, SEG_OFF(imm, sel));
        else
            e_ld(e, 11, HOME(src));
        e_mem(e, w, p66, 0x89, 11, AM_R10);
    }
    op_end(t);
    sp_add(t, -(int32_t)size);
}
/* T0 = memory operand of the given size, zero-extended */
static void load_t0(struct bt_tr *t, const ZydisDecodedOperand *m, unsigned size)
{
    emit_ea(t, m, 0);
    op_begin(t, size, ACC_R, seg_of(m->mem.segment), 0);
    if (size == 2)
        e_mem(&t->e, 0, 0, 0x0fb7, 10, AM_R10R11);
    else
        e_mem(&t->e, size == 8, 0, 0x8b, 10, AM_R10R11);
    e_st(&t->e, 10, HOT_T0);
    op_end(t);
}

static void push_return(struct bt_tr *t, unsigned size)
{
    int64_t next = (int64_t)t->cur->off + t->cur->in.length;
    if (t->cpg->fixed) {
        uint64_t v = t->bc->cells[t->cp].va + (uint64_t)next;
        if (size < 8 || (int64_t)v == (int32_t)v) {
            push_value(t, size, -2, (int64_t)v);
            return;
        }
    }
    push_value(t, size, -3, next);
}

static void lower_call(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned size = n->in.operand_width / 8;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        push_return(t, size);
        jump_relative(t, NULL);
        return;
    }
    int src = -1;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        load_t0(t, &n->op[0], size);
    } else {
        src = (int)gpr_of(n->op[0].reg.value);
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
    exit_indirect(t);
}

static void lower_jmp(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned size = n->in.operand_width / 8;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        jump_relative(t, NULL);
        return;
    }
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        emit_ea(t, &n->op[0], 0);
        op_begin(t, size, ACC_R, seg_of(n->op[0].mem.segment), 0);
        if (size == 2)
            e_mem(&t->e, 0, 0, 0x0fb7, 10, AM_R10R11);
        else
            e_mem(&t->e, size == 8, 0, 0x8b, 10, AM_R10R11);
        op_end(t);
    } else {
        unsigned src = gpr_of(n->op[0].reg.value);
        if (t->m64 && (src == 10 || src == 11))
            e_ld(&t->e, 10, HOME(src));
        else
            e_mov(&t->e, 10, src);
        if (size == 4)
            e_mov32(&t->e, 10, 10);
        else if (size == 2)
            e_movzx16(&t->e, 10, 10);
    }
    exit_indirect(t);
}

static void lower_ret(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    unsigned size = n->in.operand_width / 8;
    int32_t pop = n->in.raw.imm[0].size ? (int32_t)(uint16_t)n->in.raw.imm[0].value.u : 0;
    if (group_addr(t, NULL)) {
        e_mem_at(&t->e, size == 8, 0, size == 2 ? 0x0fb7 : 0x8b, 10, AM_R11DISP, t->am_disp);
        sp_add(t, (int32_t)size + pop);
        exit_indirect(t);
        return;
    }
    sp_ea(t, 0);
    op_begin(t, size, ACC_R, S_SS, 0);
    if (size == 2)
        e_mem(&t->e, 0, 0, 0x0fb7, 10, AM_R10R11);
    else
        e_mem(&t->e, size == 8, 0, 0x8b, 10, AM_R10R11);
    op_end(t);
    sp_add(t, (int32_t)size + pop);
    exit_indirect(t);
}

static void lower_pop(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    struct em *e = &t->e;
    unsigned size = n->in.operand_width / 8;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        sp_ea(t, 0);
        op_begin(t, size, ACC_R, S_SS, 0);
        e_mem(e, size == 8, size == 2, 0x8b, 10, AM_R10R11);
        e_st(e, 10, HOT_T0);
        op_end(t);
        unsigned b = gpr_of(n->op[0].mem.base);
        emit_ea(t, &n->op[0], n->op[0].mem.base != ZYDIS_REGISTER_NONE && b == 4 ? (int32_t)size : 0);
        op_begin(t, size, ACC_W, seg_of(n->op[0].mem.segment), SITE_WONLY);
        e_lea(e, 1, 10, 10, 11, 1, 0);
        e_ld(e, 11, HOT_T0);
        e_mem(e, size == 8, size == 2, 0x89, 11, AM_R10);
        op_end(t);
        sp_add(t, (int32_t)size);
        return;
    }
    unsigned dst = gpr_of(n->op[0].reg.value);
    if (dst != 4 && group_addr(t, NULL)) {
        bool home = t->m64 && (dst == 10 || dst == 11);
        e_mem_at(e, size == 8, size == 2, 0x8b, home ? 10 : dst, AM_R11DISP, t->am_disp);
        if (home)
            e_gs(e, size != 2, size == 2, 0x89, 10, HOME(dst));
        sp_add(t, (int32_t)size);
        return;
    }
    sp_ea(t, 0);
    op_begin(t, size, ACC_R, S_SS, 0);
    if (dst == 4) { /* POP RSP: the value wins over the increment, but the upper part is the incremented one for 16 bits */
        e_mem(e, size == 8, size == 2, 0x8b, 10, AM_R10R11);
        op_end(t);
        if (size == 2) {
            sp_add(t, 2);
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
    op_end(t);
    sp_add(t, (int32_t)size);
}

static void lower_push(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    const ZydisDecodedOperand *o = &n->op[0];
    unsigned size = n->in.operand_width / 8;
    if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        push_value(t, size, -2, o->imm.value.s);
    } else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        load_t0(t, o, size);
        push_value(t, size, -1, 0);
    } else if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_SEGMENT) {
        push_value(t, size, -4, seg_of(o->reg.value));
    } else {
        push_value(t, size, (int)gpr_of(o->reg.value), 0);
    }
}

static void lower_leave(struct bt_tr *t)
{
    struct em *e = &t->e;
    unsigned size = t->cur->in.operand_width / 8, ss = stack_size(t);
    if (ss == 2)
        e_movzx16(e, 10, 5);
    else if (ss == 4)
        e_mov32(e, 10, 5);
    else
        e_mov(e, 10, 5);
    op_begin(t, size, ACC_R, S_SS, 0);
    e_mem(e, size == 8, size == 2, 0x8b, 10, AM_R10R11);
    op_end(t);
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

/* BT/BTS/BTR/BTC m, r: the bit offset reaches outside the operand (SDM vol. 2, BT). */
static void lower_bit_mem(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    struct em *e = &t->e;
    const ZydisDecodedOperand *m = &n->op[0];
    unsigned size = n->in.operand_width / 8, src = gpr_of(n->op[1].reg.value);
    bool home = t->m64 && (src == 10 || src == 11);
    e_flags_save(e, HOT_RAX_SAVE, HOT_T3);
    emit_ea(t, m, 0);
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
    t->cur->live_in = 0; /* they are in T3 */
    bool bt_only = n->in.mnemonic == ZYDIS_MNEMONIC_BT;
    op_begin(t, size, bt_only ? ACC_R : ACC_R | ACC_W, seg_of(m->mem.segment), 0);
    t->cur->live_in = keep;
    e_lea(e, 1, 10, 10, 11, 1, 0);
    e_flags_load(e, HOT_RAX_SAVE, HOT_T3);
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
    op_end(t);
}

/* LOOPcc and JrCXZ */
static void lower_loop(struct bt_tr *t)
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
        e_st(e, 1, HOT_T1);
        e_movzx16(e, 1, 1);
        z = e_jrcxz(e);
        e_ld(e, 1, HOT_T1);
    } else {
        if (a == 32)
            e1(e, 0x67);
        z = e_jrcxz(e);
    }
    /* count is not zero */
    if (jcxz) {
        exit_direct(t, NULL, next);
        e_fix8(z, e->p);
        if (a == 16)
            e_ld(e, 1, HOT_T1);
        jump_relative(t, NULL);
        return;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_LOOPE)
        jump_relative(t, e_jcc32(e, 4));
    else if (in->mnemonic == ZYDIS_MNEMONIC_LOOPNE)
        jump_relative(t, e_jcc32(e, 5));
    else
        jump_relative(t, NULL);
    if (in->mnemonic != ZYDIS_MNEMONIC_LOOP)
        exit_direct(t, NULL, next);
    if (e->p - (z + 1) > 127) {
        t->failed = true;
        return;
    }
    e_fix8(z, e->p);
    if (a == 16)
        e_ld(e, 1, HOT_T1);
    exit_direct(t, NULL, next);
}

static void lower_xlat(struct bt_tr *t)
{
    struct em *e = &t->e;
    const ZydisDecodedInstruction *in = &t->cur->in;
    int seg = S_DS;
    for (unsigned i = 0; i < in->operand_count; i++)
        if (t->cur->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            seg = seg_of(t->cur->op[i].mem.segment);
    e4(e, 0xd0b60f44); /* movzx r10d, al */
    e_lea(e, in->address_width == 64, 10, 10, 3, 1, 0);
    if (in->address_width == 16)
        e_movzx16(e, 10, 10);
    op_begin(t, 1, ACC_R, seg, 0);
    e_mem(e, 0, 0, 0x8a, 0, AM_R10R11); /* mov al, [] */
    op_end(t);
}

/* MOV r/m, Sreg */
static void lower_mov_from_seg(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    struct em *e = &t->e;
    int seg = seg_of(n->op[1].reg.value);
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
        emit_ea(t, &n->op[0], 0);
        op_begin(t, 2, ACC_W, seg_of(n->op[0].mem.segment), SITE_WONLY);
        e_lea(e, 1, 10, 10, 11, 1, 0);
        e_ldzx16(e, 11, SEG_OFF(seg, sel));
        e_mem(e, 0, 1, 0x89, 11, AM_R10);
        op_end(t);
        return;
    }
    unsigned dst = gpr_of(n->op[0].reg.value);
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
    unsigned dst = gpr_of(n->op[0].reg.value), size = n->op[0].size / 8;
    const ZydisDecodedOperand *m = &n->op[1];
    struct em *e = &t->e;
    unsigned b = m->mem.base == ZYDIS_REGISTER_NONE ? NOREG : gpr_of(m->mem.base), x = m->mem.index == ZYDIS_REGISTER_NONE ? NOREG : gpr_of(m->mem.index);
    bool home = t->m64 && (dst == 10 || dst == 11 || b == 10 || b == 11 || x == 10 || x == 11);
    bool rip = m->mem.base == ZYDIS_REGISTER_RIP || m->mem.base == ZYDIS_REGISTER_EIP;
    if (!rip && !home && n->in.address_width >= 32 && size >= 4 && (b != NOREG || x != NOREG) &&
        !(n->in.address_width == 32 && size == 8)) {
        e_lea(e, size == 8, dst, b, x, m->mem.scale ? m->mem.scale : 1, (int32_t)m->mem.disp.value);
        return;
    }
    emit_ea(t, m, 0);
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
    e_flags_save(e, HOT_RAX_SAVE, HOT_T3);
    if (t->cur->in.address_width == 64)
        e_mov(e, 10, 0);
    else
        e_mov32(e, 10, 0);
    e4(e, 0xc0e28349); /* and r10, -64 */
    uint8_t keep = t->cur->live_in;
    t->cur->live_in = 0;
    op_begin(t, 64, ACC_W, S_DS, SITE_WONLY);
    t->cur->live_in = keep;
    e_lea(e, 1, 10, 10, 11, 1, 0);
    e_flags_load(e, HOT_RAX_SAVE, HOT_T3);
    e_mov(e, 11, 0);
    e_mov(e, 0, 10);
    e3(e, 0x0f, 0x01, 0xfc);
    e_mov(e, 0, 11);
    op_end(t);
}

/* ---- classification ---- */

/* What may fault before it runs because of CR0, CR4 or XCR0. */
enum { V_NONE, V_FPU, V_SSE, V_AVX, V_AVX512, V_WAIT };
static unsigned vector_class(const struct insn *n)
{
    const ZydisDecodedInstruction *in = &n->in;
    if (in->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
        return V_AVX512;
    unsigned v = V_NONE;
    if (in->mnemonic == ZYDIS_MNEMONIC_FWAIT)
        return V_WAIT;
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_X87_ALU:
    case ZYDIS_CATEGORY_FCMOV:
    case ZYDIS_CATEGORY_MMX:
        v = V_FPU;
        break;
    default:
        break;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_LDMXCSR || in->mnemonic == ZYDIS_MNEMONIC_STMXCSR)
        return V_SSE;
    if (in->mnemonic == ZYDIS_MNEMONIC_VLDMXCSR || in->mnemonic == ZYDIS_MNEMONIC_VSTMXCSR)
        return V_AVX;
    if (in->mnemonic == ZYDIS_MNEMONIC_FXSAVE || in->mnemonic == ZYDIS_MNEMONIC_FXRSTOR || in->mnemonic == ZYDIS_MNEMONIC_FXSAVE64 ||
        in->mnemonic == ZYDIS_MNEMONIC_FXRSTOR64)
        return V_FPU;
    for (unsigned i = 0; i < in->operand_count; i++) {
        if (n->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        switch (ZydisRegisterGetClass(n->op[i].reg.value)) {
        case ZYDIS_REGCLASS_MASK:
            return V_AVX512;
        case ZYDIS_REGCLASS_XMM:
        case ZYDIS_REGCLASS_YMM:
            v = in->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? V_AVX : V_SSE;
            break;
        case ZYDIS_REGCLASS_MMX:
        case ZYDIS_REGCLASS_X87:
            if (v == V_NONE)
                v = V_FPU;
            break;
        default:
            break;
        }
    }
    return v;
}

/* Flags as bits 0..5 (CF PF AF ZF SF OF). */
static uint8_t pack_flags(uint32_t f)
{
    return (uint8_t)((f & ZYDIS_CPUFLAG_CF ? 1 : 0) | (f & ZYDIS_CPUFLAG_PF ? 2 : 0) | (f & ZYDIS_CPUFLAG_AF ? 4 : 0) |
                     (f & ZYDIS_CPUFLAG_ZF ? 8 : 0) | (f & ZYDIS_CPUFLAG_SF ? 16 : 0) | (f & ZYDIS_CPUFLAG_OF ? 32 : 0));
}

static bool ends_block(const ZydisDecodedInstruction *in)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_INTERRUPT:
        return true;
    default:
        break;
    }
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_RSM:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        return true;
    default:
        return false;
    }
}

/* Reads and writes of arithmetic flags by a whole instruction; a call-out reads all. */
static void flag_effect(const struct insn *n, uint8_t *rd, uint8_t *wr)
{
    *rd = *wr = 0;
    switch (n->in.meta.category) { /* call-outs that see or push the flags, or may leave them */
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_DECIMAL:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
        *rd = 0x3f;
        if (n->in.mnemonic != ZYDIS_MNEMONIC_PUSH && n->in.mnemonic != ZYDIS_MNEMONIC_POP)
            return;
        *rd = 0;
        break;
    default:
        break;
    }
    if (!n->in.cpu_flags)
        return;
    const ZydisAccessedFlags *f = n->in.cpu_flags;
    *rd = pack_flags(f->tested);
    *wr = pack_flags(f->modified | f->set_0 | f->set_1 | f->undefined);
    switch (n->in.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD: {
        /* By a masked count of 0 they leave all flags; rotates leave all but CF and OF anyway. */
        const ZydisDecodedOperand *c = &n->op[n->in.operand_count_visible - 1];
        if (c->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || (c->imm.value.u & 0x1f) == 0)
            *wr = 0;
        break;
    }
    default:
        break;
    }
}

static bool is_string(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_LODSQ:
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
        return true;
    default:
        return false;
    }
}

static void lower_string(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    struct bt_rec *r = callout(t, CO_STRING);
    unsigned oc = n->in.opcode;
    r->aux = (uint8_t)(oc & 0xfe); /* 6C INS, 6E OUTS, A4 MOVS, A6 CMPS, AA STOS, AC LODS, AE SCAS */
    r->opsize = (oc & 1) == 0 ? 1 : n->in.operand_width / 8;
    if ((oc & 0xfe) == 0x6c || (oc & 0xfe) == 0x6e)
        r->opsize = (oc & 1) == 0 ? 1 : n->in.operand_width == 16 ? 2 : 4;
    r->rep = n->in.attributes & ZYDIS_ATTRIB_HAS_REP || n->in.attributes & ZYDIS_ATTRIB_HAS_REPE ? 1 : n->in.attributes & ZYDIS_ATTRIB_HAS_REPNE ? 2 : 0;
    if (!r->rep)
        for (unsigned i = 0; i < n->in.raw.prefix_count; i++)
            if (n->in.raw.prefixes[i].value == 0xf3 || n->in.raw.prefixes[i].value == 0xf2)
                r->rep = n->in.raw.prefixes[i].value == 0xf3 ? 1 : 2;
    r->seg = S_DS;
    if (n->in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT)
        for (unsigned i = 0; i < n->in.raw.prefix_count; i++) {
            switch (n->in.raw.prefixes[i].value) {
            case 0x26: r->seg = t->m64 ? S_DS : S_ES; break;
            case 0x2e: r->seg = t->m64 ? S_DS : S_CS; break;
            case 0x36: r->seg = t->m64 ? S_DS : S_SS; break;
            case 0x3e: r->seg = S_DS; break;
            case 0x64: r->seg = S_FS; break;
            case 0x65: r->seg = S_GS; break;
            default: break;
            }
        }
}

/* Call-outs that need no more than the record's plain fields. */
static const struct {
    uint16_t mnemonic;
    uint8_t op;
} plain_callouts[] = {
    {ZYDIS_MNEMONIC_CLI, CO_CLI}, {ZYDIS_MNEMONIC_STI, CO_STI}, {ZYDIS_MNEMONIC_PUSHF, CO_PUSHF}, {ZYDIS_MNEMONIC_PUSHFD, CO_PUSHF},
    {ZYDIS_MNEMONIC_PUSHFQ, CO_PUSHF}, {ZYDIS_MNEMONIC_POPF, CO_POPF}, {ZYDIS_MNEMONIC_POPFD, CO_POPF}, {ZYDIS_MNEMONIC_POPFQ, CO_POPF},
    {ZYDIS_MNEMONIC_LGDT, CO_LGDT}, {ZYDIS_MNEMONIC_LIDT, CO_LIDT}, {ZYDIS_MNEMONIC_SGDT, CO_SGDT}, {ZYDIS_MNEMONIC_SIDT, CO_SIDT},
    {ZYDIS_MNEMONIC_SLDT, CO_SLDT}, {ZYDIS_MNEMONIC_STR, CO_STR}, {ZYDIS_MNEMONIC_LLDT, CO_LLDT}, {ZYDIS_MNEMONIC_LTR, CO_LTR},
    {ZYDIS_MNEMONIC_SMSW, CO_SMSW}, {ZYDIS_MNEMONIC_LMSW, CO_LMSW}, {ZYDIS_MNEMONIC_CLTS, CO_CLTS}, {ZYDIS_MNEMONIC_INVLPG, CO_INVLPG},
    {ZYDIS_MNEMONIC_VERR, CO_VERR}, {ZYDIS_MNEMONIC_VERW, CO_VERW}, {ZYDIS_MNEMONIC_INT3, CO_INT3}, {ZYDIS_MNEMONIC_INT1, CO_INT1},
    {ZYDIS_MNEMONIC_INTO, CO_INTO}, {ZYDIS_MNEMONIC_HLT, CO_HLT}, {ZYDIS_MNEMONIC_CPUID, CO_CPUID}, {ZYDIS_MNEMONIC_RDTSC, CO_RDTSC},
    {ZYDIS_MNEMONIC_RDTSCP, CO_RDTSCP}, {ZYDIS_MNEMONIC_RDMSR, CO_RDMSR}, {ZYDIS_MNEMONIC_WRMSR, CO_WRMSR}, {ZYDIS_MNEMONIC_RDPMC, CO_RDPMC},
    {ZYDIS_MNEMONIC_SYSCALL, CO_SYSCALL}, {ZYDIS_MNEMONIC_SYSENTER, CO_SYSENTER}, {ZYDIS_MNEMONIC_SWAPGS, CO_SWAPGS},
    {ZYDIS_MNEMONIC_WBINVD, CO_WBINVD}, {ZYDIS_MNEMONIC_INVD, CO_WBINVD}, {ZYDIS_MNEMONIC_XGETBV, CO_XGETBV},
    {ZYDIS_MNEMONIC_XSETBV, CO_XSETBV}, {ZYDIS_MNEMONIC_PUSHA, CO_PUSHA}, {ZYDIS_MNEMONIC_PUSHAD, CO_PUSHA}, {ZYDIS_MNEMONIC_POPA, CO_POPA},
    {ZYDIS_MNEMONIC_POPAD, CO_POPA}, {ZYDIS_MNEMONIC_MONITOR, CO_MONITOR}, {ZYDIS_MNEMONIC_MWAIT, CO_MWAIT}, {ZYDIS_MNEMONIC_CLAC, CO_CLAC},
    {ZYDIS_MNEMONIC_STAC, CO_STAC}, {ZYDIS_MNEMONIC_RSM, CO_RSM}, {ZYDIS_MNEMONIC_IRET, CO_IRET}, {ZYDIS_MNEMONIC_IRETD, CO_IRET},
    {ZYDIS_MNEMONIC_IRETQ, CO_IRET}, {ZYDIS_MNEMONIC_PAUSE, CO_PAUSE}, {ZYDIS_MNEMONIC_MASKMOVQ, CO_MASKMOV}, {ZYDIS_MNEMONIC_MASKMOVDQU, CO_MASKMOV},
    {ZYDIS_MNEMONIC_VMASKMOVDQU, CO_MASKMOV}, {ZYDIS_MNEMONIC_SYSRET, CO_SYSRET}, {ZYDIS_MNEMONIC_SYSEXIT, CO_SYSEXIT},
};

/* Unprivileged instructions that must not run as they are, because this guest is not offered them or they touch the host's own state. */
static bool never_native(const ZydisDecodedInstruction *in)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_PKU:
    case ZYDIS_CATEGORY_VTX:
    case ZYDIS_CATEGORY_SGX:
    case ZYDIS_CATEGORY_UINTR:
    case ZYDIS_CATEGORY_WAITPKG:
    case ZYDIS_CATEGORY_AMX_TILE:
    case ZYDIS_CATEGORY_ENQCMD:
    case ZYDIS_CATEGORY_KEYLOCKER:
    case ZYDIS_CATEGORY_KEYLOCKER_WIDE:
    case ZYDIS_CATEGORY_TSX_LDTRK:
    case ZYDIS_CATEGORY_PT:
    case ZYDIS_CATEGORY_MPX:
    case ZYDIS_CATEGORY_XOP:
    case ZYDIS_CATEGORY_TBM:
    case ZYDIS_CATEGORY_FMA4:
    case ZYDIS_CATEGORY_AMD3DNOW:
    case ZYDIS_CATEGORY_MOVDIR:
    case ZYDIS_CATEGORY_PADLOCK:
        return true;
    default:
        break;
    }
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_XEND:
    case ZYDIS_MNEMONIC_XABORT:
    case ZYDIS_MNEMONIC_XTEST:
    case ZYDIS_MNEMONIC_MONITORX:
    case ZYDIS_MNEMONIC_MWAITX:
    case ZYDIS_MNEMONIC_VMMCALL:
    case ZYDIS_MNEMONIC_VMRUN:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
    case ZYDIS_MNEMONIC_RDPRU:
    case ZYDIS_MNEMONIC_INCSSPD:
    case ZYDIS_MNEMONIC_INCSSPQ:
        return true;
    default:
        return false;
    }
}

static bool is_nop(const ZydisDecodedInstruction *in)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
    case ZYDIS_CATEGORY_CLDEMOTE:
        return true;
    default:
        break;
    }
    return in->mnemonic == ZYDIS_MNEMONIC_ENDBR32 || in->mnemonic == ZYDIS_MNEMONIC_ENDBR64 || in->mnemonic == ZYDIS_MNEMONIC_RDSSPD ||
           in->mnemonic == ZYDIS_MNEMONIC_RDSSPQ;
}

static void rm_operand(struct bt_rec *r, const ZydisDecodedOperand *o)
{
    if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
        r->rm = (uint8_t)gpr_of(o->reg.value);
}

/* Lowers the current instruction. Returns true when the block ends here. */
static bool lower(struct bt_tr *t)
{
    struct insn *n = t->cur;
    const ZydisDecodedInstruction *in = &n->in;
    struct em *e = &t->e;
    struct bt_rec *r;
    bool end = ends_block(in);
    bool real = !(t->mode & M_PE) || (t->mode & M_VM86);

    if (is_nop(in) && in->mnemonic != ZYDIS_MNEMONIC_PAUSE && in->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    if (never_native(in) || !bt_isa_offered(t->bc->bv, in)) {
        callout(t, CO_UD);
        return true;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_PAUSE && t->m64 && in->raw.rex.B) { /* F3 41 90 is XCHG r8, eAX with a prefix that does nothing */
        emit_insn(t, -1);
        return false;
    }
    unsigned v = vector_class(n);
    if ((v == V_FPU && !(t->mode & M_FPU)) || (v == V_SSE && !(t->mode & M_SSE)) || (v == V_AVX && !(t->mode & M_AVX)) ||
        (v == V_AVX512 && !(t->mode & M_AVX512)) || (v == V_WAIT && !(t->mode & M_FPU))) {
        r = callout(t, CO_FPUCHECK);
        r->aux = (uint8_t)v;
    }
    for (unsigned i = 0; i < sizeof plain_callouts / sizeof plain_callouts[0]; i++) {
        if (plain_callouts[i].mnemonic != in->mnemonic)
            continue;
        if (real && (in->mnemonic == ZYDIS_MNEMONIC_SLDT || in->mnemonic == ZYDIS_MNEMONIC_STR || in->mnemonic == ZYDIS_MNEMONIC_LLDT ||
                     in->mnemonic == ZYDIS_MNEMONIC_LTR || in->mnemonic == ZYDIS_MNEMONIC_VERR || in->mnemonic == ZYDIS_MNEMONIC_VERW)) {
            callout(t, CO_UD);
            return true;
        }
        r = callout(t, plain_callouts[i].op);
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
                    r->seg = (uint8_t)seg_of(n->op[k].mem.segment);
            r->opsize = in->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ? 8 : 16;
            r->reg = (uint8_t)ZydisRegisterGetId(n->op[0].reg.value);
            r->rm = (uint8_t)ZydisRegisterGetId(n->op[1].reg.value);
        }
        return end && in->mnemonic != ZYDIS_MNEMONIC_INTO; /* which may go on */
    }
    if (is_string(in->mnemonic) && in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {
        lower_string(t);
        return false;
    }
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
        if (in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ||
            (in->opcode == 0xff && in->raw.modrm.reg == 5)) {
            r = callout(t, n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ? CO_FARJMP : CO_FARJMPM);
            goto far_ptr;
        }
        lower_jmp(t);
        return true;
    case ZYDIS_MNEMONIC_CALL:
        if (in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ||
            (in->opcode == 0xff && in->raw.modrm.reg == 3)) {
            r = callout(t, n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER ? CO_FARCALL : CO_FARCALLM);
        far_ptr:
            if (n->op[0].type == ZYDIS_OPERAND_TYPE_POINTER) {
                r->imm = (int64_t)(uint32_t)n->op[0].ptr.offset | (int64_t)n->op[0].ptr.segment << 32;
                if (in->operand_width == 16)
                    r->imm &= ~0xffff0000ll;
            }
            return true;
        }
        lower_call(t);
        return true;
    case ZYDIS_MNEMONIC_RET:
        if (in->opcode == 0xca || in->opcode == 0xcb) {
            r = callout(t, CO_FARRET);
            r->imm = in->raw.imm[0].size ? (int64_t)(uint16_t)in->raw.imm[0].value.u : 0;
            return true;
        }
        lower_ret(t);
        return true;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
        lower_loop(t);
        return true;
    case ZYDIS_MNEMONIC_PUSH:
        lower_push(t);
        return false;
    case ZYDIS_MNEMONIC_POP:
        if (n->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(n->op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT) {
            r = callout(t, CO_POPSEG);
            r->seg = (uint8_t)seg_of(n->op[0].reg.value);
            return false;
        }
        lower_pop(t);
        return false;
    case ZYDIS_MNEMONIC_LEAVE:
        lower_leave(t);
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
                r = callout(t, CO_MOVTOSEG);
                int seg = seg_of(n->op[0].reg.value);
                r->reg = (uint8_t)seg;
                rm_operand(r, &n->op[1]);
                return false;
            }
            if (c == ZYDIS_REGCLASS_CONTROL || c == ZYDIS_REGCLASS_DEBUG) {
                bool cr = c == ZYDIS_REGCLASS_CONTROL;
                r = callout(t, k == 0 ? (cr ? CO_MOVTOCR : CO_MOVTODR) : (cr ? CO_MOVFROMCR : CO_MOVFROMDR));
                r->reg = (uint8_t)(ZydisRegisterGetId(n->op[k].reg.value));
                r->rm = (uint8_t)gpr_of(n->op[1 - k].reg.value);
                return false;
            }
        }
        break;
    case ZYDIS_MNEMONIC_INVPCID:
        r = callout(t, CO_INVPCID);
        r->reg = (uint8_t)gpr_of(n->op[0].reg.value);
        return false;
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
        if (real) {
            callout(t, CO_UD);
            return true;
        }
        r = callout(t, in->mnemonic == ZYDIS_MNEMONIC_LAR ? CO_LAR : CO_LSL);
        r->reg = (uint8_t)gpr_of(n->op[0].reg.value);
        rm_operand(r, &n->op[1]);
        return false;
    case ZYDIS_MNEMONIC_ARPL:
        if (real) {
            callout(t, CO_UD);
            return true;
        }
        r = callout(t, CO_ARPL);
        rm_operand(r, &n->op[0]);
        r->reg = (uint8_t)gpr_of(n->op[1].reg.value);
        return false;
    case ZYDIS_MNEMONIC_BOUND:
        r = callout(t, CO_BOUND);
        r->reg = (uint8_t)gpr_of(n->op[0].reg.value);
        return false;
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
        r = callout(t, CO_LXS);
        r->reg = (uint8_t)gpr_of(n->op[0].reg.value);
        r->aux = in->mnemonic == ZYDIS_MNEMONIC_LES ? S_ES : in->mnemonic == ZYDIS_MNEMONIC_LDS ? S_DS : in->mnemonic == ZYDIS_MNEMONIC_LSS ? S_SS
                 : in->mnemonic == ZYDIS_MNEMONIC_LFS ? S_FS : S_GS;
        return false;
    case ZYDIS_MNEMONIC_INT:
        r = callout(t, CO_INT);
        r->imm = (int64_t)(uint8_t)in->raw.imm[0].value.u;
        return true;
    case ZYDIS_MNEMONIC_ENTER:
        r = callout(t, CO_ENTER);
        r->imm = (int64_t)(uint16_t)in->raw.imm[0].value.u;
        r->aux = (uint8_t)in->raw.imm[1].value.u & 31;
        return false;
    case ZYDIS_MNEMONIC_IN:
    case ZYDIS_MNEMONIC_OUT:
        r = callout(t, in->mnemonic == ZYDIS_MNEMONIC_IN ? CO_IN : CO_OUT);
        r->opsize = !(in->opcode & 1) ? 1 : in->operand_width == 16 ? 2 : 4;
        r->aux = in->opcode >= 0xec;
        r->imm = (int64_t)(uint8_t)in->raw.imm[0].value.u;
        return false;
    case ZYDIS_MNEMONIC_RDFSBASE:
    case ZYDIS_MNEMONIC_RDGSBASE:
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE:
        r = callout(t, in->mnemonic == ZYDIS_MNEMONIC_RDFSBASE || in->mnemonic == ZYDIS_MNEMONIC_RDGSBASE ? CO_RDFSGS : CO_WRFSGS);
        r->rm = (uint8_t)gpr_of(n->op[0].reg.value);
        r->seg = in->mnemonic == ZYDIS_MNEMONIC_RDFSBASE || in->mnemonic == ZYDIS_MNEMONIC_WRFSBASE ? S_FS : S_GS;
        r->opsize = in->raw.rex.W ? 8 : 4;
        return false;
    case ZYDIS_MNEMONIC_RDPID:
        r = callout(t, CO_RDPID);
        r->rm = (uint8_t)gpr_of(n->op[0].reg.value);
        return false;
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAS:
    case ZYDIS_MNEMONIC_AAM:
    case ZYDIS_MNEMONIC_AAD:
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS:
        r = callout(t, CO_BCD);
        r->aux = in->opcode;
        r->imm = in->raw.imm[0].size ? (int64_t)(uint8_t)in->raw.imm[0].value.u : 10;
        return false;
    case ZYDIS_MNEMONIC_SALC:
        r = callout(t, CO_BCD);
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
        r = callout(t, CO_XSAVE);
        r->aux = in->mnemonic == ZYDIS_MNEMONIC_XRSTOR || in->mnemonic == ZYDIS_MNEMONIC_XRSTOR64 ? 0
                 : in->mnemonic == ZYDIS_MNEMONIC_XSAVE || in->mnemonic == ZYDIS_MNEMONIC_XSAVE64 ? 1
                 : in->mnemonic == ZYDIS_MNEMONIC_XSAVEC || in->mnemonic == ZYDIS_MNEMONIC_XSAVEC64 ? 2 : 3;
        r->opsize = in->raw.rex.W ? 8 : 4;
        return false;
    default:
        break;
    }
    if (in->meta.category == ZYDIS_CATEGORY_COND_BR) {
        jump_relative(t, e_jcc32(e, in->opcode & 0xf));
        exit_direct(t, NULL, (int64_t)n->off + in->length);
        return true;
    }
    if (in->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) {
        callout(t, CO_UD);
        return true;
    }
    const ZydisDecodedOperand *m = mem_operand(n);
    if (m && m->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        unsigned op = in->opcode, hi = op & 0xf0;
        if (in->opcode_map != ZYDIS_OPCODE_MAP_0F38 || !((hi == 0x90 || hi == 0xa0) && (op & 15) < 4)) {
            callout(t, CO_UD);
            return true;
        }
        bool ev = in->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX, scatter = hi == 0xa0;
        unsigned w = ev ? in->raw.evex.W : in->raw.vex.W, sc = m->mem.scale;
        r = callout(t, CO_VSIB);
        r->reg = (uint8_t)ZydisRegisterGetId(n->op[ev && scatter ? 2 : 0].reg.value);
        r->rm = (uint8_t)(ev ? ZydisRegisterGetId(in->avx.mask.reg) : ZydisRegisterGetId(n->op[2].reg.value));
        r->rep = (uint8_t)ZydisRegisterGetId(m->mem.index);
        r->opsize = (uint8_t)(in->avx.vector_length / 8);
        r->aux = (uint8_t)((op & 1 ? VSIB_INDEX8 : 0) | (w ? VSIB_DATA8 : 0) | (ev ? VSIB_EVEX : 0) | (scatter ? VSIB_SCATTER : 0) |
                           (sc == 8 ? 3 : sc == 4 ? 2 : sc == 2 ? 1 : 0) << 4);
        return false;
    }
    if (m && m->mem.type == ZYDIS_MEMOP_TYPE_MEM) {
        lower_generic_mem(t, m);
        return end;
    }
    if (m) { /* an address only */
        return end;
    }
    emit_reg_op(t);
    return end;
}

/* ---- the block ---- */

/*
 * Entry for indirect jumps: r10 = rip. Is this block at that address, and valid now? Both at once: the table is indexed by rip's low 16 bits, so the
 * block's page and the page meant are equal modulo 64 KiB, and (rip - offset) + ctx = va + cell.ctx, with both ctx below 64 Ki, holds only when
 * both parts are equal.
 */
static void emit_prologue(struct bt_tr *t)
{
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    /* Free of flags even if this block has no use for them: the block that is meant may be another one. */
    e_st(e, 10, HOT_T2);
    e_ld32(e, 11, t->cpg->global ? HOT_GCTX : HOT_CTX);
    e_lea(e, 1, 10, 10, 11, 1, -(int32_t)t->b->off);
    e_ld(e, 11, CELL_CTX(t->cp) + (uint32_t)offsetof(struct bt_cell, negkey));
    e_lea(e, 1, 10, 10, 11, 1, 0);
    e_mov(e, 11, 1);
    e_mov(e, 1, 10);
    uint8_t *ok = e_jrcxz(e);
    e_mov(e, 1, 11);
    e_ld(e, 10, HOT_T2);
    e_fix(e_jmp32(e), bc->code_rw + bc->tr_indirect);
    e_fix8(ok, e->p);
    e_mov(e, 1, 11);
}

static void emit_cold(struct bt_tr *t)
{
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    unsigned mmu = MMU_OF(t->mode);
    for (unsigned i = 0; i < t->n_cold; i++) {
        struct cold *c = &t->cold[i];
        e_fix(c->rel, e->p);
        switch (c->kind) {
        case COLD_MISS:
        case COLD_MISS_RCX: {
            const struct bt_site *s = &bc->sites[c->idx];
            uint32_t tag = (uint32_t)(s->acc & ACC_W ? offsetof(struct bt_cpu, tlb[0].wtag) : offsetof(struct bt_cpu, tlb[0].rtag)) +
                           (uint32_t)(mmu * sizeof bc->tlb[0]);
            if (c->kind == COLD_MISS_RCX)
                e_ld(e, 1, HOT_T1);
            e_gs_r11(e, 0x8b, 11, tag);
            e3(e, 0x49, 0xf7, 0xd3); /* not r11 */
            e_lea(e, 1, 10, 10, 11, 1, 1);
            e2(e, 0x41, 0xbb);
            e4(e, c->idx);
            e_fix(e_jmp32(e), bc->code_rw + bc->tr_mem);
            break;
        }
        case COLD_LIMIT:
        case COLD_ALIGN:
            e2(e, 0x41, 0xbb);
            e4(e, c->idx | (c->kind == COLD_ALIGN ? 0x40000000u : 0x80000000u));
            e_fix(e_jmp32(e), bc->code_rw + bc->tr_mem);
            break;
        case COLD_EXIT:
            bc->exits[c->idx].stub = code_off(t);
            e2(e, 0x41, 0xbb);
            e4(e, c->idx);
            e_fix(e_jmp32(e), bc->code_rw + bc->tr_link);
            break;
        }
    }
}

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
static unsigned scan(struct bt_tr *t, uint16_t off, const uint8_t *page, uint64_t lin, bool *ended, uint64_t limit_left)
{
    struct bt_cpu *bc = t->bc;
    unsigned max = t->mode & M_SINGLE ? 1 : BLOCK_INSNS, n = 0;
    const ZydisDecoder *d = &bc->dec[t->mode & M_CODE];
    *ended = false;
    uint32_t pos = off;
    while (n < max && pos < PAGE) {
        struct insn *x = &t->insn[n];
        unsigned have = PAGE - pos < 15 ? PAGE - pos : 15;
        cpu_copy(x->bytes, page + pos, have);
        ZyanStatus st = ZydisDecoderDecodeFull(d, x->bytes, have, &x->in, x->op);
        if (st == ZYDIS_STATUS_NO_MORE_DATA && have < 15) {
            if (n)
                break;
            uint64_t gpa2;
            bool g;
            uint8_t *h;
            uint64_t lin2 = (lin & ~0xfffull) + PAGE;
            if (!t->m64)
                lin2 &= 0xffffffff;
            if (bt_fetch_page(bc, lin2, &gpa2, &g, &h) < 0)
                return 0;
            cpu_copy(x->bytes + have, h, 15 - have);
            t->b->cross = 1;
            t->b->gpa2 = gpa2;
            cpu_copy(t->b->cross_bytes, x->bytes, 15);
            st = ZydisDecoderDecodeFull(d, x->bytes, 15, &x->in, x->op);
        }
        x->off = (uint16_t)pos;
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
        if (ends_block(&x->in) || never_native(&x->in)) {
            *ended = true;
            break;
        }
    }
    return n;
}

static void liveness(struct bt_tr *t, unsigned n)
{
    uint8_t live = 0x3f;
    for (unsigned i = n; i-- > 0;) {
        uint8_t rd, wr;
        flag_effect(&t->insn[i], &rd, &wr);
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
    for (unsigned i = 0; i < sizeof plain_callouts / sizeof plain_callouts[0]; i++)
        if (plain_callouts[i].mnemonic == in->mnemonic)
            return true;
    return false;
}

struct cand {
    uint8_t insn, acc;
    uint8_t size;
    uint16_t sym;
    int32_t off;
};

/*
 * Finds accesses through the same base register value. Registers carry (symbol, offset): a symbol is a value that nobody knows, an offset what was
 * added to it since. Accesses with one symbol at offsets close to each other are in one page nearly always, so one check does for all.
 */
static void find_groups(struct bt_tr *t, unsigned n)
{
    uint16_t sym[16];
    int32_t off[16];
    uint16_t next_sym = 16;
    struct cand c[BLOCK_INSNS];
    unsigned nc = 0, groups = 0;
    unsigned width = t->m64 ? 64 : 32;
    for (unsigned i = 0; i < n; i++)
        t->insn[i].group = 0;
    if (!(t->m64 || ((t->mode & M_FLAT) && (t->mode & M_CODE) == M_CODE32 && (t->mode & M_SS32))) || (t->mode & (M_NOGROUP | M_SINGLE | M_ALIGN)) ||
        (t->cpg->nogroup >> (t->b->off >> 6) & 1) || t->b->cross)
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
        const ZydisDecodedOperand *m = mem_operand(x);
        bool stack = false;
        int32_t sp = 0; /* change of RSP */
        switch (in->mnemonic) {
        case ZYDIS_MNEMONIC_PUSH:
            stack = !m;
            sp = -(int32_t)size;
            break;
        case ZYDIS_MNEMONIC_CALL:
            stack = !m && !far && x->op[0].type != ZYDIS_OPERAND_TYPE_POINTER;
            sp = -(int32_t)size;
            break;
        case ZYDIS_MNEMONIC_POP:
            stack = !m && gpr_of(x->op[0].reg.value) != NOREG && gpr_of(x->op[0].reg.value) != 4;
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
            c[nc++] = (struct cand){(uint8_t)i, sp < 0 ? ACC_W : ACC_R, (uint8_t)size, sym[4], off[4] + (sp < 0 ? sp : 0)};
        } else if (m && !is_stack_op && m->mem.type == ZYDIS_MEMOP_TYPE_MEM && m->mem.index == ZYDIS_REGISTER_NONE && in->raw.modrm.offset &&
                   in->address_width == width && in->mnemonic != ZYDIS_MNEMONIC_LEA && m->size >= 8 && m->size <= 512 &&
                   in->meta.category != ZYDIS_CATEGORY_UNCOND_BR && !never_native(in) && !is_nop(in)) {
            unsigned b = m->mem.base == ZYDIS_REGISTER_NONE ? NOREG : gpr_of(m->mem.base);
            int seg = seg_of(m->mem.segment);
            bool bitreg = (in->mnemonic == ZYDIS_MNEMONIC_BT || in->mnemonic == ZYDIS_MNEMONIC_BTS || in->mnemonic == ZYDIS_MNEMONIC_BTR ||
                           in->mnemonic == ZYDIS_MNEMONIC_BTC) && x->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
            bool high = false, segreg = false;
            for (unsigned k = 0; k < in->operand_count; k++)
                if (x->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER) {
                    high |= is_high_byte(x->op[k].reg.value);
                    ZydisRegisterClass rc = ZydisRegisterGetClass(x->op[k].reg.value);
                    segreg |= rc == ZYDIS_REGCLASS_SEGMENT || rc == ZYDIS_REGCLASS_CONTROL || rc == ZYDIS_REGCLASS_DEBUG;
                }
            struct bt_site mask;
            if (masked_access(x, m, &mask))
                b = NOREG;
            if (b != NOREG && m->mem.base != ZYDIS_REGISTER_RIP && m->mem.base != ZYDIS_REGISTER_EIP && seg < S_FS && seg != S_CS && !bitreg && !high &&
                !segreg && m->mem.disp.value == (int32_t)m->mem.disp.value)
                c[nc++] = (struct cand){(uint8_t)i, (uint8_t)acc_of(m), (uint8_t)(m->size / 8), sym[b], off[b] + (int32_t)m->mem.disp.value};
        }
        /* what the instruction does to the registers */
        if (in->mnemonic == ZYDIS_MNEMONIC_MOV && x->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && x->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            x->op[0].size == width && x->op[1].size == width && gpr_of(x->op[0].reg.value) != NOREG && gpr_of(x->op[1].reg.value) != NOREG) {
            unsigned d = gpr_of(x->op[0].reg.value), sr = gpr_of(x->op[1].reg.value);
            sym[d] = sym[sr];
            off[d] = off[sr];
        } else if ((in->mnemonic == ZYDIS_MNEMONIC_ADD || in->mnemonic == ZYDIS_MNEMONIC_SUB) && x->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                   x->op[0].size == width && x->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && x->op[1].imm.value.s > -65536 && x->op[1].imm.value.s < 65536) {
            int32_t v = (int32_t)x->op[1].imm.value.s;
            off[gpr_of(x->op[0].reg.value)] += in->mnemonic == ZYDIS_MNEMONIC_ADD ? v : -v;
        } else if (in->mnemonic == ZYDIS_MNEMONIC_LEA && x->op[0].size == width && in->address_width == width && x->op[1].mem.index == ZYDIS_REGISTER_NONE &&
                   x->op[1].mem.base != ZYDIS_REGISTER_NONE && gpr_of(x->op[1].mem.base) != NOREG && x->op[1].mem.disp.value > -65536 &&
                   x->op[1].mem.disp.value < 65536) {
            unsigned d = gpr_of(x->op[0].reg.value), sr = gpr_of(x->op[1].mem.base);
            int32_t o = off[sr] + (int32_t)x->op[1].mem.disp.value;
            sym[d] = sym[sr];
            off[d] = o;
        } else {
            for (unsigned k = 0; k < in->operand_count; k++) {
                if (x->op[k].type != ZYDIS_OPERAND_TYPE_REGISTER || !(x->op[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
                    continue;
                unsigned g = gpr_of(x->op[k].reg.value);
                if (g == NOREG || (g == 4 && stack))
                    continue;
                sym[g] = next_sym++;
                off[g] = 0;
            }
            if (stack)
                off[4] += sp;
        }
    }
    for (unsigned i = 0; i < nc && groups < 8; i++) {
        if (t->insn[c[i].insn].group)
            continue;
        int32_t lo = c[i].off, hi = c[i].off + c[i].size;
        unsigned members = 1, acc = c[i].acc;
        for (unsigned j = i + 1; j < nc; j++) {
            if (c[j].sym != c[i].sym || t->insn[c[j].insn].group)
                continue;
            int32_t l2 = c[j].off < lo ? c[j].off : lo, h2 = c[j].off + c[j].size > hi ? c[j].off + c[j].size : hi;
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

uint32_t bt_translate(struct bt_cpu *bc, uint32_t cp, uint64_t rip, uint64_t lin, const uint8_t *page)
{
    if (bc->code_used + 65536 > CODE_SIZE || bc->n_blocks + 2 > MAX_BLOCKS || bc->n_exits + 256 > MAX_EXITS || bc->n_sites + 512 > MAX_SITES ||
        bc->n_recs + 256 > MAX_RECS || bc->n_maps + 256 > MAX_BLOCKS * 8)
        return UINT32_MAX; /* the caller flushes the cache and starts again */
    struct bt_tr *t = bc->tr;
    t->bc = bc;
    t->cp = cp;
    t->cpg = &bc->cpages[cp];
    t->mode = t->cpg->mode;
    t->m64 = (t->mode & M_CODE) == M_CODE64;
    t->n_cold = 0;
    t->failed = false;
    uint32_t bi = bc->n_blocks;
    struct bt_block *b = &bc->blocks[bi];
    *b = (struct bt_block){.cpage = cp, .off = (uint16_t)(lin & 0xfff), .map = bc->n_maps};
    t->b = b;
    t->blk = bi;
    uint64_t left = UINT64_MAX;
    if (!(t->mode & M_CSFLAT) && !t->m64) {
        uint32_t lim = bc->c.s.seg[S_CS].limit;
        if (rip > lim) {
            cpu_raise_code(&bc->c, X_GP, 0);
            return 0;
        }
        left = lim - rip + 1;
    }
    bool ended;
    unsigned n = scan(t, b->off, page, lin, &ended, left);
    if (n == 0)
        return 0;
    liveness(t, n);
    find_groups(t, n);
    uint32_t sites0 = bc->n_sites, recs0 = bc->n_recs, exits0 = bc->n_exits;
retry:
    bc->n_sites = sites0;
    bc->n_recs = recs0;
    bc->n_exits = exits0;
    b->n_exits = 0;
    t->n_cold = 0;
    t->failed = false;
    t->r11_group = 0;
    t->groups_ok = 0;
    bc->code_used = (bc->code_used + 15) & ~15u;
    t->e.p = bc->code_rw + bc->code_used;
    uint8_t *start = t->e.p;
    b->flags_dead = t->insn[0].live_in == 0;
    bool link = may_link(t);
    if (link) {
        b->ind = code_off(t);
        t->cur = &t->insn[0];
        emit_prologue(t);
    } else {
        b->ind = 0;
    }
    b->code = code_off(t);
    bool closed = false;
    uint32_t maps = bc->n_maps;
    for (unsigned i = 0; i < n; i++) {
        t->cur = &t->insn[i];
        bc->maps[maps++] = (struct bt_map){(uint16_t)(t->e.p - start), t->insn[i].off};
        if (lower(t)) {
            closed = true;
            break;
        }
    }
    if (!closed)
        exit_direct(t, NULL, (int64_t)t->insn[n - 1].off + t->insn[n - 1].in.length);
    emit_cold(t);
    if (t->failed || t->e.p - start > 60000) {
        if (n <= 1) {
            cpu_raise(&bc->c, X_UD);
            return 0;
        }
        n /= 2;
        goto retry;
    }
    b->n_map = (uint16_t)(maps - bc->n_maps);
    b->len = (uint16_t)(t->insn[n - 1].off + t->insn[n - 1].in.length - b->off);
    b->end = code_off(t);
    bc->n_maps = maps;
    bc->code_used = b->end;
    bc->n_blocks++;
    bc->st.translations++;
    return bi;
}
