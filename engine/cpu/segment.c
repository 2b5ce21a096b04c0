/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors, segment registers, and the instructions that inspect them: SDM vol. 3 chapters 3 and 5, vol. 2 MOV,
 * LLDT, LTR, LAR ... */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

/* ---- descriptor tables ---- */

static inline int table_addr(struct cpu *c, uint16_t sel, uint64_t *lin)
{
    uint32_t off = SEL_IX(sel) & ~4u;
    if (likely(!(sel & 4))) {
        *lin = c->s.gdtr.base + off;
        return off + 7 > c->s.gdtr.limit;
    }
    *lin = c->s.ldtr.base + off;
    return !(c->s.ldtr.attr & SEG_P) || off + 7 > c->s.ldtr.limit;
}

int cpu_desc_read(struct cpu *c, uint16_t sel, uint64_t *raw)
{
    uint64_t lin;
    if (unlikely(table_addr(c, sel, &lin)))
        return 1;
    return cpu_sys_read64(c, lin, raw);
}

int cpu_desc_read_hi(struct cpu *c, uint16_t sel, uint64_t *raw)
{
    uint64_t lin;
    if (table_addr(c, sel, &lin))
        return 1;
    if ((SEL_IX(sel) & ~4u) + 15 > ((sel & 4) ? c->s.ldtr.limit : c->s.gdtr.limit))
        return 1;
    return cpu_sys_read64(c, lin + 8, raw);
}

/* Locked read-modify-write of the access-rights byte, as the processor does it. */
static int rights_rmw(struct cpu *c, uint64_t lin, uint8_t set, uint8_t clear)
{
    uint8_t *host, v;
    uint64_t gpa;
    lin = cpu_in_lm(c) ? lin : (uint32_t)lin;
    if (c->ops->translate(c, lin, ACC_W | ACC_IMPL, &host, &gpa))
        return -1;
    if (host) {
        if (set)
            __atomic_or_fetch(host, set, __ATOMIC_SEQ_CST);
        if (clear)
            __atomic_and_fetch(host, (uint8_t)~clear, __ATOMIC_SEQ_CST);
        return 0;
    }
    c->ops->phys_read(c, gpa, &v, 1);
    v = (uint8_t)((v | set) & ~clear);
    c->ops->phys_write(c, gpa, &v, 1);
    return 0;
}

int cpu_desc_set_accessed(struct cpu *c, uint16_t sel, uint64_t *raw)
{
    uint64_t lin;
    if (likely(*raw & D_ACCESSED))
        return 0;
    if (table_addr(c, sel, &lin))
        return 0;
    if (rights_rmw(c, lin + 5, 1, 0))
        return -1;
    *raw |= D_ACCESSED;
    return 0;
}

int cpu_desc_set_busy(struct cpu *c, uint16_t sel, bool busy)
{
    uint64_t lin;
    if (table_addr(c, sel, &lin))
        return 0;
    return rights_rmw(c, lin + 5, busy ? 2 : 0, busy ? 0 : 2);
}

/* ---- segment registers ---- */

void cpu_seg_set_vm86(struct cpu_seg *s, uint16_t sel)
{
    *s = (struct cpu_seg){.sel = sel, .attr = 0xf3, .limit = 0xffff, .base = (uint32_t)sel << 4};
}

void cpu_seg_load_real(struct cpu *c, unsigned seg, uint16_t sel)
{
    struct cpu_seg *s = &c->s.seg[seg];
    if (cpu_in_vm86(c)) {
        cpu_seg_set_vm86(s, sel);
        return;
    }
    /* Real mode leaves limit and attributes ("big real mode"); a null segment of protected mode becomes an ordinary
     * one. */
    s->sel = sel;
    s->base = (uint32_t)sel << 4;
    if (!(s->attr & SEG_P)) {
        s->attr = 0x93;
        s->limit = 0xffff;
    }
}

/* Puts a new value into a data segment register and tells the translator when more than the selector changed. */
static inline void put_seg(struct cpu *c, unsigned seg, const struct cpu_seg *n)
{
    struct cpu_seg *s = &c->s.seg[seg];
    bool same = s->attr == n->attr && s->limit == n->limit && s->base == n->base;
    *s = *n;
    if (!same)
        mode_changed(c);
}

void cpu_load_cs(struct cpu *c, const struct cpu_seg *cs, unsigned cpl)
{
    c->s.seg[S_CS] = *cs;
    c->cpl = (uint8_t)cpl;
}

static int load_ss(struct cpu *c, uint16_t sel)
{
    uint64_t d;
    struct cpu_seg s;
    if (unlikely(SEL_NULL(sel))) {
        if (!cpu_in_64(c) || c->cpl == 3 || SEL_RPL(sel) != c->cpl)
            return cpu_raise_code(c, X_GP, 0);
        seg_null(&s, sel, c->cpl);
        put_seg(c, S_SS, &s);
        return 0;
    }
    int r = cpu_desc_read(c, sel, &d);
    if (unlikely(r))
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (SEL_RPL(sel) != c->cpl || !D_IS_DATA(d) || !D_RW(d) || D_DPL(d) != c->cpl)
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (!D_P(d))
        return cpu_raise_code(c, X_SS, SEL_IX(sel));
    if (cpu_desc_set_accessed(c, sel, &d))
        return -1;
    desc_unpack(&s, sel, d);
    put_seg(c, S_SS, &s);
    return 0;
}

int cpu_load_seg(struct cpu *c, unsigned seg, uint16_t sel)
{
    uint64_t d;
    struct cpu_seg s;
    if (unlikely(cpu_in_real(c) || cpu_in_vm86(c))) {
        struct cpu_seg old = c->s.seg[seg];
        cpu_seg_load_real(c, seg, sel);
        s = c->s.seg[seg];
        if (s.attr != old.attr || s.limit != old.limit || s.base != old.base)
            mode_changed(c);
        return 0;
    }
    if (unlikely(seg == S_SS))
        return load_ss(c, sel);
    if (SEL_NULL(sel)) {
        seg_null(&s, sel, 0);
        put_seg(c, seg, &s);
        return 0;
    }
    int r = cpu_desc_read(c, sel, &d);
    if (unlikely(r))
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
    /* Data or readable code. */
    if (unlikely(!D_IS_DATA(d) && !(D_IS_CODE(d) && D_RW(d))))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (!(D_IS_CODE(d) && D_CONFORMING(d))) {
        unsigned dpl = D_DPL(d);
        if (unlikely(SEL_RPL(sel) > dpl || c->cpl > dpl))
            return cpu_raise_code(c, X_GP, SEL_IX(sel));
    }
    if (unlikely(!D_P(d)))
        return cpu_raise_code(c, X_NP, SEL_IX(sel));
    if (unlikely(cpu_desc_set_accessed(c, sel, &d)))
        return -1;
    desc_unpack(&s, sel, d);
    put_seg(c, seg, &s);
    return 0;
}

/* ---- returns to an outer or the same level (RET far, IRET) ----
 * The checks give the descriptors to raw: they are marked as accessed when nothing else can fail. */

int cpu_ret_check_cs(struct cpu *c, uint16_t sel, struct cpu_seg *cs, uint64_t *raw)
{
    uint64_t d = 0;
    unsigned rpl = SEL_RPL(sel);
    if (unlikely(SEL_NULL(sel)))
        return cpu_raise_code(c, X_GP, 0);
    int r = cpu_desc_read(c, sel, &d);
    if (unlikely(r))
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (unlikely(!D_IS_CODE(d) || rpl < c->cpl || (D_CONFORMING(d) ? D_DPL(d) > rpl : D_DPL(d) != rpl)))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (cpu_in_lm(c) && D_L(d) && D_DB(d))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (unlikely(!D_P(d)))
        return cpu_raise_code(c, X_NP, SEL_IX(sel));
    *raw = d;
    desc_unpack(cs, sel, d);
    cs->attr |= 1;
    if (!cpu_in_lm(c))
        cs->attr &= (uint16_t)~SEG_L;
    return 0;
}

int cpu_ret_check_ss(struct cpu *c, uint16_t sel, unsigned cpl, bool to64, struct cpu_seg *ss, uint64_t *raw)
{
    uint64_t d = 0;
    if (SEL_NULL(sel)) {
        *raw = D_ACCESSED; /* no descriptor to mark */
        if (!to64 || cpl == 3)
            return cpu_raise_code(c, X_GP, 0);
        if (SEL_RPL(sel) != cpl)
            return cpu_raise_code(c, X_GP, 0);
        seg_null(ss, sel, cpl);
        return 0;
    }
    int r = cpu_desc_read(c, sel, &d);
    if (unlikely(r))
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (unlikely(SEL_RPL(sel) != cpl || !D_IS_DATA(d) || !D_RW(d) || D_DPL(d) != cpl))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (unlikely(!D_P(d)))
        return cpu_raise_code(c, X_SS, SEL_IX(sel));
    *raw = d;
    desc_unpack(ss, sel, d);
    ss->attr |= 1;
    return 0;
}

void cpu_ret_drop_segs(struct cpu *c)
{
    static const uint8_t regs[4] = {S_ES, S_DS, S_FS, S_GS};
    for (unsigned i = 0; i < 4; i++) {
        struct cpu_seg *s = &c->s.seg[regs[i]];
        unsigned a = s->attr;
        if ((a & SEG_P) && SEG_DPL(a) < c->cpl && !(A_IS_CODE(a) && A_CONFORMING(a))) {
            s->sel = 0; /* the base stays: 64-bit code goes on using that of FS and GS */
            s->attr &= (uint16_t)~SEG_P;
        } else if (!(s->sel & 0xfffc)) { /* null selectors lose their RPL */
            s->sel = 0;
        }
    }
}

/* ---- LDTR, TR, GDTR, IDTR ---- */

static int priv0(struct cpu *c)
{
    if (unlikely(c->cpl))
        return cpu_raise_code(c, X_GP, 0);
    return 0;
}
/* Instructions that protected mode alone has. */
static int need_prot(struct cpu *c)
{
    if (unlikely(cpu_in_real(c) || cpu_in_vm86(c)))
        return cpu_raise(c, X_UD);
    return 0;
}

int cpu_lldt(struct cpu *c, uint16_t sel)
{
    uint64_t d, hi = 0;
    if (need_prot(c) || priv0(c))
        return -1;
    if (SEL_NULL(sel)) {
        seg_null(&c->s.ldtr, sel, 0);
        return 0;
    }
    if (sel & 4)
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    int r = cpu_desc_read(c, sel, &d);
    if (!r && cpu_in_lm(c))
        r = cpu_desc_read_hi(c, sel, &hi);
    if (r)
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (DT(d) != DT_LDT || (hi >> 40 & 0x1f))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (!D_P(d))
        return cpu_raise_code(c, X_NP, SEL_IX(sel));
    struct cpu_seg s;
    desc_unpack(&s, sel, d);
    s.base |= hi << 32;
    if (!cpu_canonical(s.base))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    c->s.ldtr = s;
    return 0;
}

int cpu_ltr(struct cpu *c, uint16_t sel)
{
    uint64_t d, hi = 0;
    if (need_prot(c) || priv0(c))
        return -1;
    if (SEL_NULL(sel))
        return cpu_raise_code(c, X_GP, 0);
    if (sel & 4)
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    int r = cpu_desc_read(c, sel, &d);
    if (!r && cpu_in_lm(c))
        r = cpu_desc_read_hi(c, sel, &hi);
    if (r)
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (DT(d) != DT_TSS32 && (DT(d) != DT_TSS16 || cpu_in_lm(c)))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (hi >> 40 & 0x1f)
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (!D_P(d))
        return cpu_raise_code(c, X_NP, SEL_IX(sel));
    struct cpu_seg s;
    desc_unpack(&s, sel, d);
    s.base |= hi << 32;
    if (!cpu_canonical(s.base))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (cpu_desc_set_busy(c, sel, true))
        return -1;
    s.attr |= 2;
    c->s.tr = s;
    return 0;
}

static int load_table(struct cpu *c, struct cpu_dtable *t, uint64_t base, uint16_t limit)
{
    if (priv0(c))
        return -1;
    if (cpu_in_64(c) && !cpu_canonical(base))
        return cpu_raise_code(c, X_GP, 0);
    t->base = base;
    t->limit = limit;
    return 0;
}
int cpu_lgdt(struct cpu *c, uint64_t base, uint16_t limit) { return load_table(c, &c->s.gdtr, base, limit); }
int cpu_lidt(struct cpu *c, uint64_t base, uint16_t limit) { return load_table(c, &c->s.idtr, base, limit); }

int cpu_umip_check(struct cpu *c)
{
    if ((c->s.cr4 & CR4_UMIP) && c->cpl)
        return cpu_raise_code(c, X_GP, 0);
    return 0;
}

/* ---- LAR, LSL, VERR, VERW ---- */

static inline int zf(struct cpu *c, bool on)
{
    c->s.rflags = (c->s.rflags & ~(uint64_t)FL_ZF) | (on ? FL_ZF : 0);
    return 0;
}

/* The common part: 0 and *ok tells whether the descriptor exists and is visible at CPL and RPL. */
static int inspect(struct cpu *c, uint16_t sel, uint64_t *d, bool *ok)
{
    *ok = false;
    if (need_prot(c))
        return -1;
    if (SEL_NULL(sel))
        return 0;
    int r = cpu_desc_read(c, sel, d);
    if (r)
        return r < 0 ? -1 : 0;
    if (!(D_IS_CODE(*d) && D_CONFORMING(*d)) && (D_DPL(*d) < c->cpl || D_DPL(*d) < SEL_RPL(sel)))
        return 0;
    *ok = true;
    return 0;
}

int cpu_lar(struct cpu *c, uint16_t sel, uint32_t *val)
{
    uint64_t d;
    bool ok;
    if (inspect(c, sel, &d, &ok))
        return -1;
    if (ok && !(DT(d) & 0x10)) {
        /* SDM LAR, table 3-53: valid system types */
        unsigned valid = cpu_in_lm(c) ? 1u << 2 | 1u << 9 | 1u << 11 | 1u << 12
                                      : 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 9 | 1u << 11 | 1u << 12;
        ok = valid >> DT(d) & 1;
    }
    if (ok)
        *val = (uint32_t)(d >> 32) & 0x00ffff00u;
    return zf(c, ok);
}

int cpu_lsl(struct cpu *c, uint16_t sel, uint32_t *val)
{
    uint64_t d;
    bool ok;
    if (inspect(c, sel, &d, &ok))
        return -1;
    if (ok && !(DT(d) & 0x10)) {
        unsigned valid = cpu_in_lm(c) ? 1u << 2 | 1u << 9 | 1u << 11 : 1u << 1 | 1u << 2 | 1u << 3 | 1u << 9 | 1u << 11;
        ok = valid >> DT(d) & 1;
    }
    if (ok) {
        struct cpu_seg s;
        desc_unpack(&s, sel, d);
        *val = s.limit;
    }
    return zf(c, ok);
}

int cpu_verr(struct cpu *c, uint16_t sel, bool write)
{
    uint64_t d;
    bool ok;
    if (inspect(c, sel, &d, &ok))
        return -1;
    if (ok) {
        if (write)
            ok = D_IS_DATA(d) && D_RW(d);
        else
            ok = D_IS_DATA(d) || (D_IS_CODE(d) && D_RW(d));
    }
    return zf(c, ok);
}

/* ---- FS and GS bases ---- */

int cpu_swapgs(struct cpu *c)
{
    if (!cpu_in_64(c))
        return cpu_raise(c, X_UD);
    if (priv0(c))
        return -1;
    uint64_t t = c->s.seg[S_GS].base;
    c->s.seg[S_GS].base = c->s.kernel_gs_base;
    c->s.kernel_gs_base = t;
    return 0;
}

int cpu_rdfsgsbase(struct cpu *c, unsigned seg, uint64_t *val)
{
    if (!cpu_in_64(c) || !(c->s.cr4 & CR4_FSGSBASE))
        return cpu_raise(c, X_UD);
    *val = c->s.seg[seg].base;
    return 0;
}

int cpu_wrfsgsbase(struct cpu *c, unsigned seg, uint64_t val)
{
    if (!cpu_in_64(c) || !(c->s.cr4 & CR4_FSGSBASE))
        return cpu_raise(c, X_UD);
    if (!cpu_canonical(val))
        return cpu_raise_code(c, X_GP, 0);
    c->s.seg[seg].base = val;
    return 0;
}
