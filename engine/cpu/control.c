/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control, debug and flag registers: SDM vol. 3 chapter 2 and 4.10 (what invalidates translations), vol. 2 MOV CR/DR,
 * LMSW, CLI, POPF ... */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

static int gp0(struct cpu *c) { return cpu_raise_code(c, X_GP, 0); }

/* ---- CR0, CR3, CR4, CR8 ---- */

int cpu_load_pdptes(struct cpu *c, uint64_t cr3)
{
    uint64_t e[4], base = cr3 & 0xffffffe0u;
    uint64_t rsvd = (~0ull << c->feat->phys_bits) | 0x1e6; /* SDM table 4-8: bits 2:1, 8:5 and those above MAXPHYADDR */
    for (unsigned i = 0; i < 4; i++) {
        uint64_t *p = c->ops->pte_ptr(c, base + 8 * i);
        if (p)
            e[i] = __atomic_load_n(p, __ATOMIC_RELAXED);
        else
            c->ops->phys_read(c, base + 8 * i, &e[i], 8);
        if ((e[i] & 1) && (e[i] & rsvd))
            return gp0(c);
    }
    for (unsigned i = 0; i < 4; i++)
        c->s.pdpte[i] = e[i];
    return 0;
}

#define CR0_KNOWN (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

static int set_cr0(struct cpu *c, uint64_t val)
{
    struct cpu_state *s = &c->s;
    uint64_t old = s->cr0, efer = s->efer;
    if (val >> 32)
        return gp0(c);
    val = (val & (uint32_t)CR0_KNOWN) | CR0_ET;
    if (((val & CR0_PG) && !(val & CR0_PE)) || ((val & CR0_NW) && !(val & CR0_CD)))
        return gp0(c);
    bool pg_on = (val & CR0_PG) && !(old & CR0_PG), pg_off = !(val & CR0_PG) && (old & CR0_PG);
    if (pg_on && (efer & EFER_LME)) {
        /* SDM 10.8.5: PAE on, CS.L clear, no 16-bit TSS */
        if (!(s->cr4 & CR4_PAE) || (s->seg[S_CS].attr & SEG_L))
            return gp0(c);
        if ((s->tr.attr & SEG_P) && !(SEG_TYPE(s->tr.attr) & 8))
            return gp0(c);
        efer |= EFER_LMA;
    }
    if (pg_off) {
        if (cpu_in_64(c) || (s->cr4 & CR4_PCIDE))
            return gp0(c);
        efer &= ~(uint64_t)EFER_LMA;
    }
    if ((val & CR0_PG) && (s->cr4 & CR4_PAE) && !(efer & EFER_LMA) && ((val ^ old) & (CR0_PG | CR0_CD | CR0_NW)) &&
        cpu_load_pdptes(c, s->cr3))
        return -1;
    s->cr0 = val;
    s->efer = efer;
    if ((val ^ old) & (CR0_PG | CR0_WP | CR0_PE))
        c->ops->flush_tlb(c, true);
    mode_changed(c);
    return 0;
}

static int set_cr3(struct cpu *c, uint64_t val)
{
    struct cpu_state *s = &c->s;
    uint64_t old = s->cr3;
    bool flush = true;
    if (cpu_in_lm(c)) {
        if ((val >> 63) && (s->cr4 & CR4_PCIDE)) {
            val &= ~(1ull << 63);
            flush = false;
        }
        if (unlikely(val >> c->feat->phys_bits))
            return gp0(c);
    } else {
        val = (uint32_t)val;
        if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && cpu_load_pdptes(c, val))
            return -1;
    }
    s->cr3 = val;
    if (c->ops->cr3_switched)
        c->ops->cr3_switched(c, old, flush);
    else
        c->ops->flush_tlb(c, false);
    return 0;
}

static int set_cr4(struct cpu *c, uint64_t val)
{
    struct cpu_state *s = &c->s;
    uint64_t old = s->cr4, ch = val ^ old;
    if (val & ~c->feat->cr4_valid)
        return gp0(c);
    if (cpu_in_lm(c) && !(val & CR4_PAE))
        return gp0(c);
    if ((ch & CR4_PCIDE) && (val & CR4_PCIDE) && (!cpu_in_lm(c) || (s->cr3 & 0xfff)))
        return gp0(c);
    if ((val & CR4_PAE) && (s->cr0 & CR0_PG) && !cpu_in_lm(c) && (ch & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
        cpu_load_pdptes(c, s->cr3))
        return -1;
    s->cr4 = val;
    if (ch & (CR4_PGE | CR4_PAE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57))
        c->ops->flush_tlb(c, true);
    mode_changed(c);
    return 0;
}

int cpu_mov_to_cr(struct cpu *c, unsigned cr, uint64_t val)
{
    if (cr != 0 && cr != 2 && cr != 3 && cr != 4 && !(cr == 8 && cpu_in_64(c)))
        return cpu_raise(c, X_UD);
    if (unlikely(c->cpl))
        return gp0(c);
    if (!cpu_in_64(c))
        val = (uint32_t)val;
    switch (cr) {
    case 0: return set_cr0(c, val);
    case 2: c->s.cr2 = val; return 0;
    case 3: return set_cr3(c, val);
    case 4: return set_cr4(c, val);
    default:
        if (val >> 4)
            return gp0(c);
        c->s.cr8 = val;
        c->ops->cr8_set(c, (uint8_t)val);
        return 0;
    }
}

int cpu_mov_from_cr(struct cpu *c, unsigned cr, uint64_t *val)
{
    if (cr != 0 && cr != 2 && cr != 3 && cr != 4 && !(cr == 8 && cpu_in_64(c)))
        return cpu_raise(c, X_UD);
    if (unlikely(c->cpl))
        return gp0(c);
    switch (cr) {
    case 0: *val = c->s.cr0; break;
    case 2: *val = c->s.cr2; break;
    case 3: *val = c->s.cr3; break;
    case 4: *val = c->s.cr4; break;
    default: *val = c->s.cr8 = c->ops->cr8_get(c); break;
    }
    if (!cpu_in_64(c))
        *val = (uint32_t)*val;
    return 0;
}

int cpu_lmsw(struct cpu *c, uint16_t val)
{
    if (c->cpl)
        return gp0(c);
    uint64_t n = (c->s.cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | (val & (CR0_PE | CR0_MP | CR0_EM | CR0_TS));
    return set_cr0(c, n); /* PE can be set, not cleared */
}

int cpu_clts(struct cpu *c)
{
    if (c->cpl)
        return gp0(c);
    if (c->s.cr0 & CR0_TS) {
        c->s.cr0 &= ~(uint64_t)CR0_TS;
        mode_changed(c);
    }
    return 0;
}

int cpu_invlpg(struct cpu *c, uint64_t lin)
{
    if (c->cpl)
        return gp0(c);
    if (cpu_in_lm(c) && !cpu_canonical(lin))
        return 0; /* SDM INVLPG: a no-op */
    c->ops->flush_page(c, cpu_in_lm(c) ? lin : (uint32_t)lin);
    return 0;
}

int cpu_invpcid(struct cpu *c, uint64_t type, const uint64_t desc[2])
{
    if (!c->feat->invpcid)
        return cpu_raise(c, X_UD);
    if (c->cpl)
        return gp0(c);
    if (type > 3 || desc[0] >> 12)
        return gp0(c);
    unsigned pcid = (unsigned)desc[0] & 0xfff;
    if ((type == 0 || type == 1) && pcid && !(c->s.cr4 & CR4_PCIDE))
        return gp0(c);
    switch (type) {
    case 0:
        if (!cpu_canonical(desc[1]))
            return gp0(c);
        if (!(c->s.cr4 & CR4_PCIDE) || (c->s.cr3 & 0xfff) == pcid)
            c->ops->flush_page(c, cpu_in_lm(c) ? desc[1] : (uint32_t)desc[1]);
        else /* one address of another PCID: dropping all of that PCID is allowed */
            c->ops->flush_pcid(c, pcid, false);
        break;
    case 1: c->ops->flush_pcid(c, pcid, false); break;
    case 2: c->ops->flush_tlb(c, true); break;
    default: /* all PCIDs, globals may stay */ c->ops->flush_pcid(c, 0, true); break;
    }
    return 0;
}

/* ---- debug registers ---- */

static int dr_access(struct cpu *c, unsigned *dr)
{
    if (*dr > 7)
        return cpu_raise(c, X_UD);
    if (*dr == 4 || *dr == 5) {
        if (c->s.cr4 & CR4_DE)
            return cpu_raise(c, X_UD);
        *dr += 2;
    }
    if (c->cpl)
        return gp0(c);
    if (c->s.dr7 & 1 << 13) {
        return cpu_raise_db(c, 1 << 13);
    }
    return 0;
}

int cpu_mov_to_dr(struct cpu *c, unsigned dr, uint64_t val)
{
    if (dr_access(c, &dr))
        return -1;
    if (!cpu_in_64(c))
        val = (uint32_t)val;
    if (dr < 4) {
        c->s.dr[dr] = val;
    } else {
        if (val >> 32)
            return gp0(c);
        if (dr == 6)
            c->s.dr6 = (val & 0xe00f) | 0xffff0ff0; /* no RTM: bit 16 reads 1 */
        else
            c->s.dr7 = (val & 0xffff23ff) | 0x400;
    }
    mode_changed(c);
    return 0;
}

int cpu_mov_from_dr(struct cpu *c, unsigned dr, uint64_t *val)
{
    if (dr_access(c, &dr))
        return -1;
    *val = dr < 4 ? c->s.dr[dr] : dr == 6 ? c->s.dr6 : c->s.dr7;
    if (!cpu_in_64(c))
        *val = (uint32_t)*val;
    return 0;
}

/* ---- XCR0 ---- */

int cpu_xsetbv(struct cpu *c, uint32_t idx, uint64_t val)
{
    if (!c->feat->xsave || !(c->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(c, X_UD);
    if (c->cpl || idx != 0)
        return gp0(c);
    if ((val & ~c->feat->xcr0_valid) || !(val & 1))
        return gp0(c);
    if ((val & 4) && !(val & 2)) /* AVX needs SSE */
        return gp0(c);
    if ((val & 0xe0) && ((val & 0xe0) != 0xe0 || !(val & 4))) /* AVX-512: all three, and AVX */
        return gp0(c);
    c->s.xcr0 = val;
    mode_changed(c);
    return 0;
}

/* Bits of XCR0 whose component is not in its initial state, from the saved image (XINUSE as far as software can tell).
 */
int cpu_xgetbv(struct cpu *c, uint32_t idx, uint64_t *val)
{
    if (!c->feat->xsave || !(c->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(c, X_UD);
    if (idx == 0) {
        *val = c->s.xcr0;
        return 0;
    }
    if (idx == 1 &&
        c->feat->xsavec) { /* XCR0 and XINUSE: the host's, for the guest's state is live in the host's registers */
        uint32_t lo, hi;
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
        *val = c->s.xcr0 & ((uint64_t)hi << 32 | lo);
        return 0;
    }
    return gp0(c);
}

/* ---- flags ---- */

int cpu_hlt(struct cpu *c)
{
    if (c->cpl)
        return gp0(c);
    c->s.run_state = CPU_HALTED;
    return 0;
}

int cpu_cli(struct cpu *c)
{
    if (likely(c->cpl <= iopl(c))) { /* real mode: CPL 0; virtual-8086 mode: CPL 3, so IOPL must be 3 */
        c->s.rflags &= ~(uint64_t)FL_IF;
        return 0;
    }
    if (c->cpl == 3 && (c->s.cr4 & (cpu_in_vm86(c) ? CR4_VME : CR4_PVI))) {
        c->s.rflags &= ~(uint64_t)FL_VIF;
        return 0;
    }
    return gp0(c);
}

int cpu_sti(struct cpu *c)
{
    if (likely(c->cpl <= iopl(c))) {
        if (!(c->s.rflags & FL_IF)) {
            c->s.rflags |= FL_IF;
            c->s.intr_shadow = 1;
        }
        return 0;
    }
    if (c->cpl == 3 && (c->s.cr4 & (cpu_in_vm86(c) ? CR4_VME : CR4_PVI)) && !(c->s.rflags & FL_VIP)) {
        c->s.rflags |= FL_VIF;
        return 0;
    }
    return gp0(c);
}

int cpu_pushf_val(struct cpu *c, unsigned opsize, uint64_t *val)
{
    uint64_t f = c->s.rflags & 0xfcffff; /* VM and RF read as zero */
    if (unlikely(cpu_in_vm86(c) && iopl(c) < 3)) {
        if (opsize != 2 || !(c->s.cr4 & CR4_VME))
            return gp0(c);
        f = (f & ~(uint64_t)FL_IF) | FL_IOPL | ((f & FL_VIF) ? FL_IF : 0);
    }
    *val = opsize == 2 ? (uint16_t)f : f;
    return 0;
}

int cpu_popf_val(struct cpu *c, unsigned opsize, uint64_t val)
{
    uint64_t old = c->s.rflags, m = FL_ARITH | FL_TF | FL_DF | FL_NT;
    if (unlikely(cpu_in_vm86(c) && iopl(c) < 3)) {
        if (opsize != 2 || !(c->s.cr4 & CR4_VME))
            return gp0(c);
        if ((val & FL_TF) || ((val & FL_IF) && (old & FL_VIP)))
            return gp0(c);
        c->s.rflags = (old & ~(m | FL_VIF)) | (val & m) | ((val & FL_IF) ? FL_VIF : 0);
    } else {
        if (c->cpl <= iopl(c))
            m |= FL_IF;
        if (c->cpl == 0)
            m |= FL_IOPL;
        if (opsize != 2)
            m |= FL_AC | FL_ID;
        c->s.rflags = ((old & ~m) | (val & m)) & ~(uint64_t)FL_RF;
    }
    if (unlikely((c->s.rflags ^ old) & (FL_TF | FL_AC | FL_IOPL)))
        mode_changed(c);
    return 0;
}

/* MONITOR and MWAIT are not offered. */
int cpu_monitor_ok(struct cpu *c) { return cpu_raise(c, X_UD); }
