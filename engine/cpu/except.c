/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts, exceptions and IRET: SDM vol. 3 chapter 6, vol. 2 INT n and IRET; virtual-8086 mode and its extensions:
 * vol. 3 chapter 21. The three ways in (long mode, protected mode, real mode) each check everything before they change
 * anything.
 */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

static inline bool is_soft(enum cpu_int_kind k) { return k <= INT_SOFT_BP; }
static inline unsigned ext_bit(enum cpu_int_kind k) { return k > INT_SOFT_BP; }
static inline unsigned user_acc(unsigned cpl) { return cpl == 3 ? ACC_USER : 0; }

/* ---- long mode ---- */

static int int_long(struct cpu *c, uint8_t vector, enum cpu_int_kind kind, bool has_code, uint32_t code, uint64_t flags)
{
    struct cpu_state *s = &c->s;
    unsigned ext = ext_bit(kind), idt_err = vector * 8u | 2u | ext;
    uint64_t g[2], d, sp;
    if (unlikely(vector * 16u + 15 > s->idtr.limit))
        return cpu_raise_code(c, X_GP, idt_err);
    if (unlikely(cpu_sys_read(c, s->idtr.base + vector * 16u, g, 16)))
        return -1;
    if (unlikely((DT(g[0]) & 0x1e) != DT_INT32))
        return cpu_raise_code(c, X_GP, idt_err);
    if (unlikely(is_soft(kind) && D_DPL(g[0]) < c->cpl))
        return cpu_raise_code(c, X_GP, idt_err);
    if (unlikely(!D_P(g[0])))
        return cpu_raise_code(c, X_NP, idt_err);
    uint16_t sel = (uint16_t)(g[0] >> 16);
    uint64_t rip = (g[0] & 0xffff) | ((g[0] >> 32) & 0xffff0000u) | (g[1] << 32);
    unsigned ist = (unsigned)(g[0] >> 32) & 7;

    if (unlikely(SEL_NULL(sel)))
        return cpu_raise_code(c, X_GP, ext);
    int r = cpu_desc_read(c, sel, &d);
    if (unlikely(r))
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel) | ext);
    if (unlikely(!D_IS_CODE(d) || D_DPL(d) > c->cpl || !D_L(d) || D_DB(d)))
        return cpu_raise_code(c, X_GP, SEL_IX(sel) | ext);
    if (unlikely(!D_P(d)))
        return cpu_raise_code(c, X_NP, SEL_IX(sel) | ext);
    unsigned cpl = D_CONFORMING(d) ? c->cpl : D_DPL(d);
    bool inner = cpl < c->cpl;

    if (ist || inner) {
        uint32_t off = ist ? 28u + 8 * ist : 4u + 8 * cpl;
        if (unlikely(off + 7 > s->tr.limit))
            return cpu_raise_code(c, X_TS, SEL_IX(s->tr.sel) | ext);
        if (unlikely(cpu_sys_read64(c, s->tr.base + off, &sp)))
            return -1;
    } else {
        sp = s->gpr[R_RSP];
    }
    sp &= ~15ull;
    if (unlikely(!cpu_canonical(rip)))
        return cpu_raise_code(c, X_GP, ext);
    if (unlikely(!cpu_canonical(sp - 48) || !cpu_canonical(sp - 1)))
        return cpu_raise_code(c, X_SS, ext);
    uint64_t frame[6] = {code, s->rip, s->seg[S_CS].sel, flags, s->gpr[R_RSP], s->seg[S_SS].sel};
    /* Pushes from CPL 3 to an inner stack: RFLAGS.AC is the user's, so SMAP holds for them (cpu_walk sees CPL 3). */
    if (has_code) {
        sp -= 48;
        if (unlikely(cpu_frame_write(c, sp, frame, 8, 6, user_acc(cpl))))
            return -1;
    } else {
        sp -= 40;
        if (unlikely(cpu_frame_write(c, sp, frame + 1, 8, 5, user_acc(cpl))))
            return -1;
    }
    if (unlikely(!(d & D_ACCESSED)) && cpu_desc_set_accessed(c, sel, &d))
        return -1;

    struct cpu_seg *cs = &s->seg[S_CS];
    desc_unpack(cs, (uint16_t)((sel & ~3u) | cpl), d);
    if (inner)
        seg_null(&s->seg[S_SS], (uint16_t)cpl, cpl);
    s->gpr[R_RSP] = sp;
    s->rip = rip;
    s->rflags &= ~(uint64_t)(FL_TF | FL_NT | FL_RF | FL_VM | (DT(g[0]) == DT_INT32 ? FL_IF : 0));
    c->cpl = (uint8_t)cpl;
    mode_changed(c);
    return 0;
}

/* ---- protected mode ---- */

static int int_task(struct cpu *c, uint64_t gate, bool has_code, uint32_t code, unsigned ext, uint64_t flags)
{
    return cpu_task_switch_ext(c, (uint16_t)(gate >> 16), TASK_INT, has_code, code, ext, flags);
}

static int int_prot(struct cpu *c, uint8_t vector, enum cpu_int_kind kind, bool has_code, uint32_t code, uint64_t flags)
{
    struct cpu_state *s = &c->s;
    unsigned ext = ext_bit(kind), idt_err = vector * 8u | 2u | ext;
    uint64_t g, d, sp, v[12], ss_raw = D_ACCESSED;
    uint16_t ss_sel = 0;
    struct cpu_seg ss, cs;
    unsigned n = 0;
    if (unlikely(vector * 8u + 7 > s->idtr.limit))
        return cpu_raise_code(c, X_GP, idt_err);
    if (unlikely(cpu_sys_read64(c, s->idtr.base + vector * 8u, &g)))
        return -1;
    unsigned type = DT(g);
    if (unlikely((type & 0x16) != 6 && type != DT_TASK)) /* 6, 7, 14, 15 or a task gate */
        return cpu_raise_code(c, X_GP, idt_err);
    if (unlikely(is_soft(kind) && D_DPL(g) < c->cpl))
        return cpu_raise_code(c, X_GP, idt_err);
    if (unlikely(!D_P(g)))
        return cpu_raise_code(c, X_NP, idt_err);
    if (unlikely(type == DT_TASK))
        return int_task(c, g, has_code, code, ext, flags);

    unsigned width = (type & 8) ? 4 : 2;
    uint16_t sel = (uint16_t)(g >> 16);
    uint32_t eip = (uint32_t)(g & 0xffff) | (width == 4 ? (uint32_t)(g >> 32) & 0xffff0000u : 0);
    bool vm = cpu_in_vm86(c);
    if (unlikely(SEL_NULL(sel)))
        return cpu_raise_code(c, X_GP, ext);
    int r = cpu_desc_read(c, sel, &d);
    if (unlikely(r))
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel) | ext);
    if (unlikely(!D_IS_CODE(d) || D_DPL(d) > c->cpl))
        return cpu_raise_code(c, X_GP, SEL_IX(sel) | ext);
    if (unlikely(!D_P(d)))
        return cpu_raise_code(c, X_NP, SEL_IX(sel) | ext);
    unsigned cpl = D_CONFORMING(d) ? c->cpl : D_DPL(d);
    if (unlikely(vm && (D_CONFORMING(d) || cpl != 0)))
        return cpu_raise_code(c, X_GP, SEL_IX(sel) | ext);
    bool inner = cpl < c->cpl;
    desc_unpack(&cs, (uint16_t)((sel & ~3u) | cpl), d);
    cs.attr = (uint16_t)((cs.attr & ~SEG_L) | 1);
    if (unlikely(eip > cs.limit) && !inner)
        return cpu_raise_code(c, X_GP, ext);

    if (inner) {
        if (cpu_tss_stack(c, cpl, &ss_sel, &sp, ext) || cpu_check_new_ss(c, ss_sel, cpl, ext, &ss, &ss_raw))
            return -1;
        if (unlikely(vm)) {
            v[n++] = s->seg[S_GS].sel;
            v[n++] = s->seg[S_FS].sel;
            v[n++] = s->seg[S_DS].sel;
            v[n++] = s->seg[S_ES].sel;
        }
        v[n++] = s->seg[S_SS].sel;
        v[n++] = s->gpr[R_RSP];
    } else {
        ss = s->seg[S_SS];
        sp = s->gpr[R_RSP];
        if (unlikely(!(ss.attr & SEG_P)))
            return cpu_raise_code(c, X_SS, ext);
    }
    v[n++] = flags;
    v[n++] = s->seg[S_CS].sel;
    v[n++] = s->rip;
    if (has_code)
        v[n++] = code;
    if (unlikely(eip > cs.limit))
        return cpu_raise_code(c, X_GP, ext);
    if (unlikely(cpu_stack_write(c, &ss, false, &sp, width, v, n, user_acc(cpl), inner ? SEL_IX(ss.sel) | ext : ext)))
        return -1;
    if (unlikely(cpu_desc_set_accessed(c, sel, &d) || cpu_desc_set_accessed(c, ss_sel, &ss_raw)))
        return -1;

    s->seg[S_CS] = cs;
    s->seg[S_SS] = ss;
    s->gpr[R_RSP] = sp;
    s->rip = eip;
    s->rflags &= ~(uint64_t)(FL_TF | FL_NT | FL_RF | FL_VM | ((type & 1) ? 0 : FL_IF));
    c->cpl = (uint8_t)cpl;
    if (unlikely(vm)) {
        seg_null(&s->seg[S_GS], 0, 0);
        seg_null(&s->seg[S_FS], 0, 0);
        seg_null(&s->seg[S_DS], 0, 0);
        seg_null(&s->seg[S_ES], 0, 0);
    }
    mode_changed(c);
    return 0;
}

/* ---- real mode, and INT n of a virtual-8086 task that VME sends to the task's own handler ---- */

static int int_real(struct cpu *c, uint8_t vector, uint64_t flags)
{
    struct cpu_state *s = &c->s;
    uint32_t ivt;
    uint64_t sp = s->gpr[R_RSP];
    if (unlikely(vector * 4u + 3 > s->idtr.limit))
        return cpu_raise_code(c, X_GP, vector * 8u | 2u);
    if (cpu_sys_read(c, s->idtr.base + vector * 4u, &ivt, 4))
        return -1;
    uint64_t v[3] = {flags, s->seg[S_CS].sel, s->rip};
    if (cpu_stack_write(c, &s->seg[S_SS], false, &sp, 2, v, 3, 0, 0))
        return -1;
    s->gpr[R_RSP] = sp;
    cpu_seg_load_real(c, S_CS, (uint16_t)(ivt >> 16));
    s->rip = (uint16_t)ivt;
    s->rflags &= ~(uint64_t)(FL_TF | FL_IF | FL_RF | FL_AC);
    mode_changed(c);
    return 0;
}

/* SDM vol. 3, 21.3: method 5 (IOPL 3) and 6 (IOPL < 3, VIF stands for IF). */
static int int_vme(struct cpu *c, uint8_t vector)
{
    struct cpu_state *s = &c->s;
    uint32_t ivt;
    uint64_t sp = s->gpr[R_RSP], flags = s->rflags;
    if (cpu_sys_read(c, vector * 4u, &ivt, 4))
        return -1;
    bool virt = iopl(c) < 3;
    if (virt)
        flags = (flags & ~(uint64_t)FL_IF) | FL_IOPL | ((flags & FL_VIF) ? FL_IF : 0);
    uint64_t v[3] = {flags, s->seg[S_CS].sel, s->rip};
    if (cpu_stack_write(c, &s->seg[S_SS], false, &sp, 2, v, 3, ACC_USER, 0))
        return -1;
    s->gpr[R_RSP] = sp;
    cpu_seg_set_vm86(&s->seg[S_CS], (uint16_t)(ivt >> 16));
    s->rip = (uint16_t)ivt;
    s->rflags &= ~(uint64_t)(FL_TF | FL_RF | (virt ? FL_VIF : FL_IF));
    mode_changed(c);
    return 0;
}

/* The interrupt redirection bit map: 32 bytes below the I/O bit map of a 32-bit TSS. 1: bit clear, the task handles it;
 * 0: not; -1: fault. */
static int vme_redirects(struct cpu *c, uint8_t vector)
{
    uint16_t map;
    uint8_t b;
    if (!(c->s.cr4 & CR4_VME))
        return 0;
    if ((SEG_TYPE(c->s.tr.attr) | 2) != DT_TSS32_BUSY || c->s.tr.limit < 0x67)
        return cpu_raise_code(c, X_GP, 0);
    if (cpu_sys_read(c, c->s.tr.base + 0x66, &map, 2))
        return -1;
    uint32_t off = (uint32_t)map - 32 + vector / 8;
    if (map < 32 || off > c->s.tr.limit)
        return cpu_raise_code(c, X_GP, 0);
    if (cpu_sys_read(c, c->s.tr.base + off, &b, 1))
        return -1;
    return !(b >> (vector & 7) & 1);
}

int cpu_interrupt_flags(struct cpu *c, uint8_t vector, enum cpu_int_kind kind, bool has_code, uint32_t code,
                        uint64_t flags)
{
    if (likely(c->s.efer & EFER_LMA))
        return int_long(c, vector, kind, has_code, code, flags);
    if (cpu_in_real(c))
        return int_real(c, vector, flags);
    if (unlikely((c->s.rflags & FL_VM) && kind == INT_SOFT)) {
        int r = vme_redirects(c, vector);
        if (r)
            return r < 0 ? -1 : int_vme(c, vector);
        if (iopl(c) < 3)
            return cpu_raise_code(c, X_GP, 0);
    }
    return int_prot(c, vector, kind, has_code, code, flags);
}

int cpu_interrupt(struct cpu *c, uint8_t vector, enum cpu_int_kind kind, bool has_code, uint32_t code)
{
    return cpu_interrupt_flags(c, vector, kind, has_code, code, c->s.rflags);
}

/* ---- faults while faults are delivered ---- */

enum { CLASS_BENIGN, CLASS_CONTRIB, CLASS_PF, CLASS_DF };
static unsigned fault_class(uint8_t v)
{
    switch (v) {
    case X_DE:
    case X_TS:
    case X_NP:
    case X_SS:
    case X_GP: return CLASS_CONTRIB;
    case X_PF: return CLASS_PF;
    case X_DF: return CLASS_DF;
    default: return CLASS_BENIGN;
    }
}

/* What an exception does before its handler is looked up. */
static void note_fault(struct cpu *c, const struct cpu_fault *f)
{
    if (f->vector == X_PF) {
        c->s.cr2 = f->cr2;
    } else if (f->vector == X_DB) {
        /* SDM 17.2.3: a debug exception may clear B0-B3 that do not apply; the other bits are never cleared by the
         * processor. Entering the handler clears DR7.GD and DEBUGCTL.LBR and BTF (17.2.4, 17.4.1). */
        c->s.dr6 = (c->s.dr6 & ~15ull) | f->dr6_bits;
        if ((c->s.dr7 & 1 << 13) || (c->s.debugctl & 3)) {
            c->s.dr7 &= ~(1ull << 13);
            c->s.debugctl &= ~3ull;
            mode_changed(c);
        }
    }
}

/* SDM 17.3.1.1: RF in the pushed image is 1 for fault-class exceptions, except debug exceptions other than general
 * detect. */
static bool pushes_rf(const struct cpu_fault *f)
{
    switch (f->vector) {
    case X_DB: return f->dr6_bits & 1 << 13;
    case X_NMI:
    case X_BP:
    case X_OF:
    case X_DF:
    case X_MC: return false;
    default: return true;
    }
}

/* SDM vol. 3 table 6-5. Delivers f; second faults become double faults, a third one shuts down. */
static int deliver(struct cpu *c, struct cpu_fault f)
{
    for (;;) {
        note_fault(c, &f);
        uint64_t flags = c->s.rflags | (pushes_rf(&f) ? FL_RF : 0);
        if (likely(!cpu_interrupt_flags(c, f.vector, INT_EXCEPTION, f.has_code, f.code, flags)))
            return 0;
        unsigned first = fault_class(f.vector), second = fault_class(c->fault.vector);
        if (first == CLASS_DF && second != CLASS_BENIGN)
            return -1;
        if ((first == CLASS_CONTRIB && second == CLASS_CONTRIB) ||
            (first == CLASS_PF && (second == CLASS_PF || second == CLASS_CONTRIB))) {
            note_fault(c, &c->fault);
            f = (struct cpu_fault){.vector = X_DF, .has_code = true};
        } else {
            f = c->fault;
        }
    }
}

int cpu_deliver_fault(struct cpu *c) { return deliver(c, c->fault); }

int cpu_deliver_external(struct cpu *c, uint8_t vector, bool nmi)
{
    if (c->s.run_state == CPU_HALTED)
        c->s.run_state = CPU_RUNNING;
    c->s.intr_shadow = 0;
    if (nmi)
        c->s.nmi_blocked = 1;
    if (likely(!cpu_interrupt_flags(c, vector, INT_EXTERNAL, false, 0, c->s.rflags)))
        return 0;
    return deliver(c, c->fault); /* an interrupt is benign: what it met is handled after it */
}

/* ---- IRET ---- */

#define IRET_FLAGS (FL_ARITH | FL_TF | FL_DF | FL_NT)

/* SDM IRET: which flags a return changes, seen from the level that executes it. */
static inline void iret_flags(struct cpu *c, uint64_t nf, unsigned opsize, unsigned old_cpl)
{
    uint64_t m = IRET_FLAGS;
    if (old_cpl <= iopl(c))
        m |= FL_IF;
    if (old_cpl == 0)
        m |= FL_IOPL;
    if (opsize != 2) {
        m |= FL_RF | FL_AC | FL_ID;
        if (old_cpl == 0)
            m |= FL_VIF | FL_VIP;
    } else {
        c->s.rflags &= ~(uint64_t)FL_RF;
    }
    c->s.rflags = (c->s.rflags & ~m) | (nf & m) | 2;
}

static int iret_real(struct cpu *c, unsigned opsize)
{
    struct cpu_state *s = &c->s;
    uint64_t v[3];
    if (cpu_stack_read(c, opsize, v, 3, 0))
        return -1;
    if (v[0] > s->seg[S_CS].limit)
        return cpu_raise_code(c, X_GP, 0);
    set_sp(c, stack_mask(c), s->gpr[R_RSP] + 3 * opsize);
    cpu_seg_load_real(c, S_CS, (uint16_t)v[1]);
    s->rip = v[0];
    if (opsize == 2)
        s->rflags = (s->rflags & ~0xffffull & ~(uint64_t)FL_RF) | (v[2] & 0x7fd5) | 2;
    else
        s->rflags = (v[2] & 0x257fd5) | (s->rflags & 0x1a0000) | 2;
    s->nmi_blocked = 0;
    mode_changed(c);
    return 0;
}

static int iret_vm86(struct cpu *c, unsigned opsize)
{
    struct cpu_state *s = &c->s;
    uint64_t v[3];
    bool vme = iopl(c) < 3;
    if (vme && (opsize != 2 || !(s->cr4 & CR4_VME)))
        return cpu_raise_code(c, X_GP, 0);
    if (cpu_stack_read(c, opsize, v, 3, 0))
        return -1;
    if (vme && ((v[2] & FL_TF) || ((v[2] & FL_IF) && (s->rflags & FL_VIP))))
        return cpu_raise_code(c, X_GP, 0);
    if (v[0] > 0xffff)
        return cpu_raise_code(c, X_GP, 0);
    set_sp(c, stack_mask(c), s->gpr[R_RSP] + 3 * opsize);
    cpu_seg_set_vm86(&s->seg[S_CS], (uint16_t)v[1]);
    s->rip = v[0];
    uint64_t m = IRET_FLAGS;
    if (vme)
        s->rflags = (s->rflags & ~(uint64_t)FL_VIF) | ((v[2] & FL_IF) ? FL_VIF : 0);
    else
        m |= FL_IF;
    if (opsize == 4)
        m |= FL_RF | FL_AC | FL_ID;
    else
        s->rflags &= ~(uint64_t)FL_RF;
    s->rflags = (s->rflags & ~m) | (v[2] & m) | 2;
    s->nmi_blocked = 0;
    mode_changed(c);
    return 0;
}

/* SDM 21.3.2: with virtual interrupts, VIF and VIP both set at the start of an instruction are a #GP of that
 * instruction; only a control transfer that loads both can lead there (POPF, STI and IRET inside the task refuse). */
int cpu_check_vip(struct cpu *c)
{
    uint64_t f = c->s.rflags;
    if (unlikely((f & (FL_VIF | FL_VIP)) == (FL_VIF | FL_VIP)) && c->cpl == 3 && iopl(c) < 3 &&
        (c->s.cr4 & ((f & FL_VM) ? CR4_VME : CR4_PVI)))
        return cpu_raise_code(c, X_GP, 0);
    return 0;
}

/* CPL 0, 32-bit IRET whose flags image has VM set: nine doublewords (SDM RETURN-TO-VIRTUAL-8086-MODE). */
static int iret_to_vm86(struct cpu *c, const uint64_t *v)
{
    struct cpu_state *s = &c->s;
    uint64_t o[6];
    if (cpu_stack_read(c, 4, o, 6, 12))
        return -1;
    if ((uint32_t)v[0] > 0xffff)
        return cpu_raise_code(c, X_GP, 0);
    s->rip = (uint32_t)v[0];
    s->rflags = (v[2] & (FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_VIF | FL_VIP |
                         FL_ID)) |
                2;
    cpu_seg_set_vm86(&s->seg[S_CS], (uint16_t)v[1]);
    s->gpr[R_RSP] = (uint32_t)o[0];
    cpu_seg_set_vm86(&s->seg[S_SS], (uint16_t)o[1]);
    cpu_seg_set_vm86(&s->seg[S_ES], (uint16_t)o[2]);
    cpu_seg_set_vm86(&s->seg[S_DS], (uint16_t)o[3]);
    cpu_seg_set_vm86(&s->seg[S_FS], (uint16_t)o[4]);
    cpu_seg_set_vm86(&s->seg[S_GS], (uint16_t)o[5]);
    c->cpl = 3;
    s->nmi_blocked = 0;
    mode_changed(c);
    return cpu_check_vip(c);
}

/* Which item of the frame the fault is of: processors read the flags first, then CS, the instruction pointer, SS and the stack pointer. */
static int iret_frame_fault(struct cpu *c, unsigned opsize, unsigned n)
{
    static const uint8_t order[5] = {2, 1, 0, 4, 3};
    uint64_t v;
    for (unsigned i = 0; c->fault.vector == X_PF && i < n; i++) {
        if (cpu_stack_read(c, opsize, &v, 1, order[i] * opsize))
            break;
    }
    return -1;
}

int cpu_iret(struct cpu *c, unsigned opsize)
{
    struct cpu_state *s = &c->s;
    uint64_t v[5] = {0}, cs_raw, ss_raw = D_ACCESSED;
    struct cpu_seg cs, ss;
    bool in64 = cpu_in_64(c);
    if (unlikely(!in64)) {
        if (cpu_in_real(c))
            return iret_real(c, opsize);
        if (cpu_in_vm86(c))
            return iret_vm86(c, opsize);
    }
    if (unlikely(s->rflags & FL_NT)) {
        if (cpu_in_lm(c))
            return cpu_raise_code(c, X_GP, 0);
        return cpu_task_return(c);
    }
    if (unlikely(cpu_stack_read(c, opsize, v, in64 ? 5 : 3, 0)))
        return iret_frame_fault(c, opsize, in64 ? 5 : 3);
    uint64_t rip = v[0];
    uint16_t sel = (uint16_t)v[1];
    unsigned old_cpl = c->cpl, cpl = SEL_RPL(sel);
    if (unlikely((v[2] & FL_VM) && opsize == 4 && old_cpl == 0 && !cpu_in_lm(c)))
        return iret_to_vm86(c, v);
    if (unlikely(cpu_ret_check_cs(c, sel, &cs, &cs_raw)))
        return -1;
    bool to64 = cpu_in_lm(c) && (cs.attr & SEG_L), outer = cpl != old_cpl;
    if (outer && !in64 && cpu_stack_read(c, opsize, v + 3, 2, 3 * (uint64_t)opsize))
        return iret_frame_fault(c, opsize, 5);
    if (in64 || outer) {
        if (unlikely(cpu_ret_check_ss(c, (uint16_t)v[4], cpl, to64, &ss, &ss_raw)))
            return -1;
    }
    if (to64 ? unlikely(!cpu_canonical(rip)) : unlikely(rip > cs.limit))
        return cpu_raise_code(c, X_GP, 0);
    if (unlikely(cpu_desc_set_accessed(c, sel, &cs_raw) || cpu_desc_set_accessed(c, (uint16_t)v[4], &ss_raw)))
        return -1;

    if (in64 || outer) {
        s->seg[S_SS] = ss;
        if (to64)
            s->gpr[R_RSP] = v[3];
        else /* a 16-bit stack leaves the upper half of ESP as it was */
            set_sp(c, (ss.attr & SEG_DB) ? ~0ull : 0xffffull, (ss.attr & SEG_DB) ? (uint32_t)v[3] : v[3]);
    } else {
        set_sp(c, stack_mask(c), s->gpr[R_RSP] + 3 * opsize);
    }
    s->seg[S_CS] = cs;
    s->rip = rip;
    c->cpl = (uint8_t)cpl;
    iret_flags(c, v[2], opsize, old_cpl);
    if (outer)
        cpu_ret_drop_segs(c);
    s->nmi_blocked = 0;
    mode_changed(c);
    return cpu_check_vip(c);
}
