/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory operands of the guest: the effective address, the inline TLB check before the access, the accesses that share a check, and the
 * instruction with its operand replaced.
 */
#include "bt/bt_tr.h"

uint32_t tr_code_off(struct bt_tr *t) { return (uint32_t)(t->e.p - t->bc->code_rw); }

/* ---- small facts about operands ---- */

unsigned tr_gpr_of(ZydisRegister r) /* 0..15, or NOREG; high byte registers count as their parent */
{
    if (r >= ZYDIS_REGISTER_RAX && r <= ZYDIS_REGISTER_R15)
        return r - ZYDIS_REGISTER_RAX;
    if (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15D)
        return r - ZYDIS_REGISTER_EAX;
    if (r >= ZYDIS_REGISTER_AX && r <= ZYDIS_REGISTER_R15W)
        return r - ZYDIS_REGISTER_AX;
    if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
        return r - ZYDIS_REGISTER_SPL + 4;
    if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BH) /* AL CL DL BL AH CH DH BH */
        return (r - ZYDIS_REGISTER_AL) & 3;
    return NOREG;
}
bool tr_is_high_byte(ZydisRegister r) { return r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH; }

int tr_seg_of(ZydisRegister r)
{
    return r >= ZYDIS_REGISTER_ES && r <= ZYDIS_REGISTER_GS ? (int)(r - ZYDIS_REGISTER_ES) : S_DS;
}

const ZydisDecodedOperand *tr_mem_operand(const struct insn *n)
{
    for (unsigned i = 0; i < n->in.operand_count; i++)
        if (n->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && n->op[i].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
            return &n->op[i];
    return NULL;
}

/* ---- effective addresses ---- */

/* reg = rip at page offset delta (of this page), cut to the code size. */
void tr_emit_rip(struct bt_tr *t, unsigned reg, int64_t delta)
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
void tr_emit_ea(struct bt_tr *t, const ZydisDecodedOperand *m, int32_t extra)
{
    struct em *e = &t->e;
    const ZydisDecodedInstruction *in = &t->cur->in;
    unsigned asz = in->address_width;
    int64_t disp = (m->mem.disp.has_displacement ? m->mem.disp.value : 0) + extra;
    ZydisRegister base = m->mem.base, index = m->mem.index;
    if (m->mem.type == ZYDIS_MEMOP_TYPE_MIB || m->mem.type == ZYDIS_MEMOP_TYPE_VSIB)
        index = ZYDIS_REGISTER_NONE;
    if (base == ZYDIS_REGISTER_RIP || base == ZYDIS_REGISTER_EIP) {
        tr_emit_rip(t, 10, (int64_t)t->cur->off + in->length + disp);
        if (base == ZYDIS_REGISTER_EIP)
            e_mov32(e, 10, 10);
        return;
    }
    unsigned b = base == ZYDIS_REGISTER_NONE ? NOREG : tr_gpr_of(base), x = index == ZYDIS_REGISTER_NONE ? NOREG : tr_gpr_of(index);
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

/* The arrays that e_gs_r11 reads by r11 = index: tags for an access, host addresses of pages. */
uint32_t tr_tlb_tag(const struct bt_tr *t, unsigned acc)
{
    return (uint32_t)((acc & ACC_W ? offsetof(struct bt_cpu, tlb[0].wtag) : offsetof(struct bt_cpu, tlb[0].rtag)) +
                      MMU_OF(t->mode) * sizeof t->bc->tlb[0]);
}
uint32_t tr_tlb_host(const struct bt_tr *t)
{
    return (uint32_t)(offsetof(struct bt_cpu, tlb[0].host) + MMU_OF(t->mode) * sizeof t->bc->tlb[0]);
}
uint32_t tr_tlb_addend(const struct bt_tr *t)
{
    return (uint32_t)(offsetof(struct bt_cpu, tlb[0].addend) + MMU_OF(t->mode) * sizeof t->bc->tlb[0]);
}

/* For code that asks the TLB by itself: is the offset in seg the linear address, at its full width, and nothing else to be checked? */
bool tr_flat_operand(const struct bt_tr *t, unsigned seg)
{
    bool flat = t->m64 ? seg < S_FS : (t->mode & M_FLAT) && seg != S_CS && seg < S_FS && (t->mode & M_CODE) == M_CODE32;
    return flat && t->cur->in.address_width == (t->m64 ? 64 : 32) && !(t->mode & (M_ALIGN | M_SINGLE));
}

/*
 * In: r10 = address of size bytes. Out: r11 = index, r10 = offset in the page when the TLB has it for acc; the flags are spoilt. Returns the place of
 * the jump that is taken when it has not.
 */
uint8_t *tr_tlb_check(struct bt_tr *t, unsigned acc, unsigned size)
{
    struct em *e = &t->e;
    e_tlb_index(e);
    e_gs_r11(e, 0x03, 10, tr_tlb_tag(t, acc));
    e_cmp(e, 10, PAGE - size);
    return e_jcc32(e, 0x7);
}

void tr_add_cold(struct bt_tr *t, uint8_t *rel, uint8_t kind, uint32_t idx)
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

/* Where the site remembers its page: a struct bt_stk, or the beginning of a struct bt_slot. */
uint32_t tr_page_of(const struct bt_tr *t, const struct bt_site *s)
{
    return s->slot ? (uint32_t)offsetof(struct bt_cpu, slot[s->slot - 1]) : STK_OFF(t->mode, s->acc);
}

/* SDM table 6-7: 80-bit numbers, environments and states of the FPU with 16-bit and 32-bit operands. */
static unsigned x87_alignment(unsigned size) { return size == 10 ? 8 : size == 28 || size == 108 ? 4 : size == 14 || size == 94 ? 2 : 1; }

/* Instructions that fault (#GP) at an odd address before they look at the page. Others with such operands leave it to the host's processor. */
static bool strict(const struct bt_tr *t)
{
    switch (t->cur->in.mnemonic) {
    case ZYDIS_MNEMONIC_CMPXCHG16B:
    case ZYDIS_MNEMONIC_MOVAPS:
    case ZYDIS_MNEMONIC_MOVAPD:
    case ZYDIS_MNEMONIC_MOVDQA:
    case ZYDIS_MNEMONIC_MOVNTPS:
    case ZYDIS_MNEMONIC_MOVNTPD:
    case ZYDIS_MNEMONIC_MOVNTDQ:
    case ZYDIS_MNEMONIC_MOVNTDQA:
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA: return true;
    default: return false;
    }
}

/*
 * In: r10 = address, probably on the page where the stack, or this place, was last. As the check in tr_op_begin, but nothing waits for the address to become
 * an index. Both ends are looked at: the access may begin on the page before.
 */
static void check_page(struct bt_tr *t, unsigned size, bool live)
{
    struct em *e = &t->e;
    const struct bt_site *s = &t->bc->sites[t->site];
    uint32_t stk = tr_page_of(t, s);
    bool by_addend = s->flags & SITE_BASE;
    if (!live && s->slot && LEGACY(t->mode)) { /* as in tr_op_begin: the address stays in R10 */
        e_mov(e, 9, 10);
        e_gs(e, 1, 0, 0x03, 9, stk + STK_TAG);
        e_cmp(e, 9, PAGE - size);
        tr_add_cold(t, e_jcc32(e, 0x7), COLD_SLOT_R9, t->site);
        by_addend = true;
    } else if (!live) {
        e_gs(e, 1, 0, 0x03, 10, stk + STK_TAG);
        e_cmp(e, 10, PAGE - size);
        tr_add_cold(t, e_jcc32(e, 0x7), COLD_STACK, t->site);
    } else if (!s->slot && ((size == 8 && t->m64) || size == 4)) { /* as they are aligned there by convention: ESP is by four */
        e_mov(e, 11, 1);
        e_ld(e, 1, stk + STK_TAG);
        e_lea(e, 1, 10, 10, 1, 1, 0);
        e_pext(e, 1, 10, size == 8 ? HOT_HIMASK8 : HOT_HIMASK4);
        uint8_t *ok = e_jrcxz(e);
        tr_add_cold(t, e_jmp32(e), COLD_STACK_RCX, t->site);
        e_fix8(ok, e->p);
        e_mov(e, 1, 11);
    } else {
        e_mov(e, 11, 0);
        e_flags_to_ax(e);
        e_gs(e, 1, 0, 0x03, 10, stk + STK_TAG);
        e_cmp(e, 10, PAGE - size);
        tr_add_cold(t, e_jcc32(e, 0x7), COLD_STACK_RAX, t->site);
        e_flags_from_ax(e);
        e_mov(e, 0, 11);
    }
    e_ld(e, 11, stk + (by_addend ? SLOT_ADDEND : STK_HOST));
}

/* The page that the site, an access to anything but the stack, remembers: only in hot blocks. */
static uint16_t slot_for(struct bt_tr *t)
{
    struct bt_hot *h = t->hot;
    unsigned place = t->n_places++;
    if (!h || h->n >= HOT_SLOTS || place >= 64 || (h->bad >> place & 1))
        return 0;
    h->place[h->n++] = (uint8_t)place;
    return (uint16_t)((unsigned)(h - t->bc->hot) * HOT_SLOTS + h->n); /* 1 + index */
}

/*
 * In: r10 = offset in seg. Out: the op region has begun: r10 + r11 is the host address of size bytes that may be accessed as acc says.
 * Every guest register is as before. Between op_begin and op_end only position-independent code may be emitted; it may leave a value in r10.
 */
void tr_op_begin(struct bt_tr *t, unsigned size, unsigned acc, int seg, uint16_t siteflags)
{
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    bool live = t->cur->live_in != 0;
    uint32_t si = bc->n_sites++;
    t->site = si;
    t->r11_group = 0;
    struct bt_site *s = &bc->sites[si];
    *s = (struct bt_site){.blk = t->blk, .size = (uint16_t)size, .off = t->cur->off, .acc = (uint8_t)acc, .seg = (uint8_t)seg,
                          .ilen = t->cur->in.length, .flags = siteflags};
    if ((t->cur->in.attributes & ZYDIS_ATTRIB_HAS_LOCK) || t->cur->in.mnemonic == ZYDIS_MNEMONIC_XCHG)
        s->flags |= SITE_LOCK;
    if (size >= 16 && strict(t))
        s->flags |= SITE_STRICT;
    bool add_base = false, limit = false;
    if (t->m64) {
        add_base = seg >= S_FS;
    } else if (seg == S_FS || seg == S_GS) {
        add_base = true;
        limit = !(t->mode & (seg == S_FS ? M_FSBIG : M_GSBIG));
        uint8_t *used = &bc->big_used[CPL_OF(t->mode) == 3], big = seg == S_FS ? BIG_FS : BIG_GS;
        bc->big_new |= !(*used & big);
        *used |= big;
    } else if (seg == S_CS || !(t->mode & M_FLAT)) {
        add_base = limit = true;
    }
    unsigned even = size == 2 || size == 4 || size == 8 || (size >= 16 && align_vector(t)) ? size : x87_alignment(size);
    bool align = (t->mode & M_ALIGN) && even > 1;
    bool slot = live && (limit || align || size > 512);
    if (slot) {
        e_flags_save(e, HOT_RAX_SAVE, HOT_FLSLOT);
        s->flags |= SITE_FLSLOT;
    }
    if (limit) {
        e_gs(e, 1, 0, 0x3b, 10, (acc & ACC_W ? HOT_LIM_W : HOT_LIM_R) + 8u * (unsigned)seg); /* cmp r10, gs:[] */
        tr_add_cold(t, e_jcc32(e, 0xf), COLD_LIMIT, si);                                       /* jg */
    }
    if (add_base) {
        e_ld(e, 11, SEG_OFF(seg, base));
        e_lea(e, t->m64, 10, 10, 11, 1, 0);
    }
    if (align) {
        s->flags |= SITE_ALIGN;
        e3(e, 0x41, 0xf6, 0xc2); /* test r10b, size-1 */
        e1(e, (uint8_t)(even - 1));
        uint8_t *rel = e_jcc32(e, 0x5); /* jnz */
        tr_add_cold(t, rel, COLD_ALIGN, si);
        s->flags |= SITE_ALIGN;
    }
    if ((siteflags & SITE_STACK) && !slot && !add_base) {
        s->flags &= (uint16_t)~SITE_BASE;
        check_page(t, size, live);
        s->op = tr_code_off(t);
        return;
    }
    s->flags &= (uint16_t)~SITE_STACK;
    if (slot || add_base)
        s->flags &= (uint16_t)~SITE_BASE;
    else if ((s->slot = slot_for(t)) != 0) {
        check_page(t, size, live);
        s->op = tr_code_off(t);
        return;
    }
    bool by_addend = s->flags & SITE_BASE;
    if (live && !slot) {
        e_tlb_index_keep(e);
        e_rcx_away(e, LEGACY(t->mode));
        e_gs_r11(e, 0x8b, 1, tr_tlb_tag(t, acc));     /* mov rcx, ntag */
        e_lea(e, 1, 10, 10, 1, 1, 0);                 /* r10 = offset in the page, if it is the page */
        e_lea(e, 1, 1, 10, NOREG, 1, (int32_t)size - 1);
        e_pext(e, 1, 1, HOT_HIMASK);
        uint8_t *ok = e_jrcxz(e);
        tr_add_cold(t, e_jmp32(e), COLD_MISS_RCX, si);
        e_fix8(ok, e->p);
        e_rcx_back(e, LEGACY(t->mode));
    } else if (LEGACY(t->mode)) { /* R9 is free: the address stays in R10, so that the data need not wait for the check */
        e_tlb_index(e);
        e_mov(e, 9, 10);
        e_gs_r11(e, 0x03, 9, tr_tlb_tag(t, acc));
        e_cmp(e, 9, PAGE - size);
        tr_add_cold(t, e_jcc32(e, 0x7), COLD_MISS_R9, si);
        by_addend = true;
    } else {
        tr_add_cold(t, tr_tlb_check(t, acc, size), COLD_MISS, si);
    }
    e_gs_r11(e, 0x8b, 11, by_addend ? tr_tlb_addend(t) : tr_tlb_host(t));
    s->op = tr_code_off(t);
    if (slot)
        e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
}
void tr_op_end(struct bt_tr *t)
{
    struct bt_site *s = &t->bc->sites[t->site];
    s->oplen = (uint8_t)(tr_code_off(t) - s->op);
}

/* With base + r11 + displacement the host address: the data need not wait for the check. */
static void emit_based_op(struct bt_tr *t)
{
    unsigned rd = 0, wr = 0;
    bool high;
    struct em *e = &t->e;
    tr_home_use(t->cur, &rd, &wr, &high);
    if (rd & 1)
        e_ld(e, 10, HOME(10));
    if (rd & 2) { /* not both: is_based */
        e_lea(e, 1, 10, t->am_base, 11, 1, t->am_disp);
        e_ld(e, 11, HOME(11));
        tr_emit_insn(t, AM_R10);
    } else {
        tr_emit_insn(t, AM_BASE);
    }
    tr_home_store(t, wr);
}

/* With r10 + r11 the host address: the instruction itself, its r10/r11 operands from and to their homes. */
static void emit_mem_op(struct bt_tr *t)
{
    struct em *e = &t->e;
    unsigned rd = 0, wr = 0;
    bool high = false;
    tr_home_use(t->cur, &rd, &wr, &high);
    if (!t->m64)
        rd = wr = 0;
    if (high) { /* no REX with AH..BH: the address goes to RDI */
        e_st(e, 7, HOT_T2);
        e_lea(e, 1, 7, 10, 11, 1, 0);
        tr_emit_insn(t, AM_RDI);
        e_ld(e, 7, HOT_T2);
        return;
    }
    if (rd & 1) {
        e_lea(e, 1, 11, 10, 11, 1, 0);
        e_ld(e, 10, HOME(10));
        tr_emit_insn(t, AM_R11);
    } else if (rd & 2) {
        e_lea(e, 1, 10, 10, 11, 1, 0);
        e_ld(e, 11, HOME(11));
        tr_emit_insn(t, AM_R10);
    } else {
        tr_emit_insn(t, AM_R10R11);
    }
    tr_home_store(t, wr);
}

/*
 * SITE_STACK if the operand is probably on the stack's page: its base is RSP, or an RBP that is near RSP when the block is translated, which is just
 * before it runs for the first time. In hot code RBP has a slot of its own: where the guess was wrong, the two would drive each other out all the time.
 */
static uint8_t on_stack(struct bt_tr *t, const ZydisDecodedOperand *m)
{
    if (m->mem.index != ZYDIS_REGISTER_NONE || m->mem.base == ZYDIS_REGISTER_NONE)
        return 0;
    unsigned b = tr_gpr_of(m->mem.base);
    const uint64_t *r = t->bc->c.s.gpr;
    bool frame = b == 5 && r[5] - r[4] + 8192 < 16384;
    t->guessed |= frame;
    return b == 4 || (frame && !t->hot) ? SITE_STACK : 0;
}

/* SITE_BASE if the address is a register that stays in the host's register, and a displacement: sets am_base and am_disp. */
static uint8_t is_based(struct bt_tr *t, const ZydisDecodedOperand *m, int32_t extra)
{
    if (!t->m64 || t->cur->in.address_width != 64 || m->mem.type != ZYDIS_MEMOP_TYPE_MEM || m->mem.index != ZYDIS_REGISTER_NONE ||
        m->mem.base == ZYDIS_REGISTER_NONE || m->mem.base == ZYDIS_REGISTER_RIP || !t->cur->in.raw.modrm.offset || tr_seg_of(m->mem.segment) >= S_FS)
        return 0;
    unsigned b = tr_gpr_of(m->mem.base), rd = 0, wr = 0;
    int64_t d = (m->mem.disp.has_displacement ? m->mem.disp.value : 0) + extra;
    bool high;
    tr_home_use(t->cur, &rd, &wr, &high);
    if (b == NOREG || b == 10 || b == 11 || high || rd == 3 || d != (int32_t)d)
        return 0;
    t->am_base = b;
    t->am_disp = (int32_t)d;
    return SITE_BASE;
}

/* May anything between the leader, which is current, and the group's last access spoil r11? */
static bool slot_needed(const struct bt_tr *t)
{
    const struct insn *lead = t->cur, *last = lead, *end = t->insn + t->n_insn;
    for (const struct insn *n = lead + 1; n < end; n++)
        if (n->group == lead->group)
            last = n;
    for (const struct insn *n = lead; n <= last; n++) {
        unsigned rd = 0, wr = 0;
        bool high;
        if (n != lead && n->group != lead->group && !tr_plain_gpr(n))
            return true;
        tr_home_use(n, &rd, &wr, &high);
        if (t->m64 && ((rd | wr) & 2))
            return true;
    }
    return false;
}

/*
 * Accesses that share a check. The leader checks the whole span and keeps its host address in r11 and in a slot; the others use it. In: the
 * current instruction has a group. Returns false when it must check for itself. On return r11 + t->am_disp is the host address.
 */
bool tr_group_addr(struct bt_tr *t, const ZydisDecodedOperand *m)
{
    struct insn *n = t->cur;
    struct em *e = &t->e;
    if (!n->group)
        return false;
    uint32_t slot = (uint32_t)(offsetof(struct bt_cpu, group) + 8u * (n->group - 1u));
    if (n->leader) {
        struct insn *lead = n;
        if (m)
            tr_emit_ea(t, m, -n->grp_at);
        else
            e_lea(e, t->m64, 10, 4, NOREG, 1, (n->grp_acc & ACC_W ? -(int32_t)(n->in.operand_width / 8) : 0) - n->grp_at);
        tr_op_begin(t, lead->grp_span, n->grp_acc & 0x80 ? ACC_W : n->grp_acc & 3, S_SS,
                    SITE_GROUP | (m ? on_stack(t, m) | is_based(t, m, -n->grp_at) : SITE_STACK));
        struct bt_site *s = &t->bc->sites[t->site];
        s->lead_acc = n->grp_acc & 3;
        s->lead_off = (uint16_t)n->grp_at;
        s->lead_size = m ? (uint8_t)(m->size / 8) : (uint8_t)(n->in.operand_width / 8);
        s->seg = m ? (uint8_t)tr_seg_of(m->mem.segment) : S_SS;
        if (s->flags & SITE_BASE)
            e_lea(e, 1, 11, t->am_base, 11, 1, t->am_disp);
        else
            e_lea(e, 1, 11, 10, 11, 1, 0);
        if (slot_needed(t))
            e_st(e, 11, slot);
        tr_op_end(t);
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
    tr_home_use(t->cur, &rd, &wr, &high);
    if (!t->m64)
        rd = wr = 0;
    if ((rd | wr) & 2) {
        e_lea(e, 1, 10, 11, NOREG, 1, t->am_disp);
        if (rd & 2)
            e_ld(e, 11, HOME(11));
        t->r11_group = 0;
        tr_emit_insn(t, AM_R10);
    } else {
        if (rd & 1)
            e_ld(e, 10, HOME(10));
        tr_emit_insn(t, AM_R11DISP);
    }
    tr_home_store(t, wr);
}

void tr_emit_reg_op(struct bt_tr *t)
{
    unsigned rd = 0, wr = 0;
    bool high;
    tr_home_use(t->cur, &rd, &wr, &high);
    if (!t->m64)
        rd = wr = 0;
    if (rd & 1)
        e_ld(&t->e, 10, HOME(10));
    if (rd & 2)
        e_ld(&t->e, 11, HOME(11));
    if ((rd | wr) & 2)
        t->r11_group = 0;
    tr_emit_insn(t, -1);
    tr_home_store(t, wr);
}

unsigned tr_acc_of(const ZydisDecodedOperand *m)
{
    unsigned acc = 0;
    if (m->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
        acc |= ACC_R;
    if (m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        acc |= ACC_W;
    return acc ? acc : ACC_R;
}

/* Does the instruction touch only the elements that a mask selects? Those left out do not fault. */
bool tr_masked_access(const struct insn *n, const ZydisDecodedOperand *m, struct bt_site *s)
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
    if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_MASK)
        count = in->avx.vector_length / 8 / es; /* a comparison: a bit for each element */
    bool bcst = in->avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID;
    s->mkind = !bcst && (count == size / es || (size == es && size <= 8)) ? MASK_ELEMENTS : MASK_ANY;
    s->mcount = (uint8_t)(bcst ? count : 64);
    return true;
}

void tr_lower_generic_mem(struct bt_tr *t, const ZydisDecodedOperand *m)
{
    unsigned size = m->size / 8, acc = tr_acc_of(m);
    if (size == 0)
        size = 1;
    if (size > 2048)
        size = 2048;
    if (t->cur->in.meta.category == ZYDIS_CATEGORY_XSAVE || t->cur->in.meta.category == ZYDIS_CATEGORY_XSAVEOPT)
        size = t->bc->bv->feat.xsave_size_max > 576 ? t->bc->bv->feat.xsave_size_max : 576;
    if (tr_group_addr(t, m)) {
        emit_group_op(t);
        return;
    }
    tr_emit_ea(t, m, 0);
    struct bt_site mask = {0};
    bool masked = tr_masked_access(t->cur, m, &mask);
    tr_op_begin(t, size, acc, tr_seg_of(m->mem.segment),
                (masked ? SITE_MASKED : acc == ACC_W && size <= 64 ? SITE_WONLY : 0) | on_stack(t, m) | is_based(t, m, 0));
    if (masked) {
        struct bt_site *s = &t->bc->sites[t->site];
        s->mkind = mask.mkind;
        s->mreg = mask.mreg;
        s->melem = mask.melem;
        s->mcount = mask.mcount;
    }
    if (t->bc->sites[t->site].flags & SITE_BASE)
        emit_based_op(t);
    else
        emit_mem_op(t);
    tr_op_end(t);
}
