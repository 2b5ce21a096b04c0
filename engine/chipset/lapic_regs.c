/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of the local APICs: the page at FEE00000h, the x2APIC MSRs, IA32_APIC_BASE, TSC_DEADLINE (SDM vol. 3, 10.4 and 10.12). */
#include "chipset/lapic_private.h"
#include "core/vm.h"

const uint32_t lapic_lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff,  [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

/* ---- registers ---- */

/* Value of a register by its number (offset / 16, MSR - 800h). False: there is none, or it cannot be read. */
static bool lapic_reg_read(struct lapic *l, unsigned reg, bool x2, uint32_t *val)
{
    *val = 0;
    if (reg >= REG_ISR && reg < REG_ESR) {
        unsigned i = reg & 7;
        *val = reg < REG_TMR ? l->isr[i] : reg < REG_IRR ? l->tmr[i] : l->irr[i];
        return true;
    }
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        *val = l->lvt[reg - REG_LVT];
        return true;
    }
    switch (reg) {
    case REG_ID:
        *val = x2 ? l->id : l->id << 24;
        return true;
    case REG_VERSION:
        *val = VERSION | (l->d->p.directed_eoi ? VERSION_DIRECTED_EOI : 0);
        return true;
    case REG_TPR:
        *val = l->tpr;
        return true;
    case REG_PPR:
        *val = l->ppr;
        return true;
    case REG_LDR:
        *val = x2 ? lapic_x2_ldr(l) : l->ldr;
        return true;
    case REG_DFR:
        *val = l->dfr;
        return !x2;
    case REG_SVR:
        *val = l->svr;
        return true;
    case REG_ESR:
        *val = l->esr;
        return true;
    case REG_ICR_LOW:
        *val = l->icr_low;
        return true;
    case REG_ICR_HIGH:
        *val = l->icr_high;
        return !x2;
    case REG_INITIAL:
        *val = l->initial_count;
        return true;
    case REG_CURRENT:
        *val = lapic_timer_current(l);
        return true;
    case REG_DIVIDE:
        *val = l->dcr;
        return true;
    case REG_APR: /* not implemented since the Pentium 4: reads 0, like EOI and RRD */
    case REG_EOI:
    case REG_RRD:
        return !x2;
    default:
        return false;
    }
}

static void lapic_write_lvt(struct lapic *l, unsigned i, uint32_t val)
{
    uint32_t old = l->lvt[i];
    val &= lapic_lvt_writable[i];
    if (i == LVT_TIMER && LVT_TIMER_MODE(val) == 3)
        val = (val & ~(3u << 17)) | (old & 3u << 17); /* reserved mode */
    if (!(l->svr & SVR_ENABLE))
        val |= LVT_MASKED; /* SDM 10.4.7.2 */
    if (i == LVT_TIMER)
        lapic_timer_expire(l); /* by the old entry */
    l->lvt[i] = val;
    if (i == LVT_TIMER) {
        lapic_timer_mode_changed(l, LVT_TIMER_MODE(old), LVT_TIMER_MODE(val));
    } else if (i == LVT_LINT0) {
        if (!(val & LVT_MASKED) && LVT_DM(val) == DM_FIXED && (val & LVT_LEVEL) && l->d->lint[0])
            lapic_lint_edge(l, 0);
        lapic_recheck(l);
    }
}

static void lapic_write_svr(struct lapic *l, uint32_t val)
{
    l->svr = val & (0x1ffu | (l->d->p.directed_eoi ? SVR_DIRECTED_EOI : 0));
    if (!(val & SVR_ENABLE))
        for (unsigned i = 0; i < LVT_COUNT; i++)
            l->lvt[i] |= LVT_MASKED;
}

/* Bits that may be set in a write to an x2APIC MSR; 0 for registers that cannot be written, *ok says which. */
static uint32_t lapic_x2_writable(struct lapic *l, unsigned reg, bool *ok)
{
    *ok = true;
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        uint32_t ro = reg == REG_LVT + LVT_LINT0 || reg == REG_LVT + LVT_LINT1 ? LVT_REMOTE_IRR : 0;
        uint32_t m = lapic_lvt_writable[reg - REG_LVT] | ICR_BUSY | ro;
        return reg == REG_LVT && !l->d->p.tsc_deadline ? m & ~(1u << 18) : m;
    }
    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        return 0xff;
    case REG_EOI:
    case REG_ESR:
        return 0;
    case REG_SVR:
        return 0x3ff | (l->d->p.directed_eoi ? SVR_DIRECTED_EOI : 0);
    case REG_INITIAL:
        return 0xffffffff;
    case REG_DIVIDE:
        return 0xb;
    default:
        *ok = false;
        return 0;
    }
}

/* False: no such register, or read-only. */
static bool lapic_reg_write(struct lapic *l, unsigned reg, uint32_t val)
{
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        if (reg == REG_LVT && !l->d->p.tsc_deadline)
            val &= ~(1u << 18);
        lapic_write_lvt(l, reg - REG_LVT, val);
        return true;
    }
    switch (reg) {
    case REG_TPR:
        lapic_write_tpr(l, val);
        return true;
    case REG_EOI:
        lapic_eoi(l);
        return true;
    case REG_LDR:
        l->ldr = val & 0xff000000;
        return true;
    case REG_DFR:
        l->dfr = val | 0x0fffffff;
        return true;
    case REG_SVR:
        lapic_write_svr(l, val);
        return true;
    case REG_ESR: /* the write shows the errors since the last one (SDM 10.5.3) */
        l->esr = atomic_exchange(&l->esr_pending, 0);
        return true;
    case REG_ICR_LOW:
        l->icr_low = val & 0x000ccfff & ~ICR_BUSY;
        lapic_write_icr(l, val, l->icr_high >> 24);
        return true;
    case REG_ICR_HIGH:
        l->icr_high = val & 0xff000000;
        return true;
    case REG_INITIAL:
        lapic_timer_set_initial(l, val);
        return true;
    case REG_DIVIDE:
        lapic_timer_set_divide(l, val);
        return true;
    case REG_ID: /* fixed, as on all processors with x2APIC */
    case REG_VERSION:
    case REG_PPR:
    case REG_CURRENT:
        return true;
    default:
        return false;
    }
}

/* The local APIC whose page the current vCPU sees at this window, or NULL. */
static struct lapic *lapic_at(struct lapic_window *w)
{
    struct vcpu *v = vcpu_current();
    struct lapic *l = v ? v->lapic : NULL;
    if (!l || l->d != w->d || lapic_host(l->d))
        return NULL;
    uint64_t base = l->base;
    if ((base & (BASE_EN | BASE_EXTD)) != BASE_EN || BASE_ADDR(base) != w->mr.base)
        return NULL;
    lapic_sync(l);
    return l;
}

static uint64_t lapic_mmio_read(void *dev, uint64_t off, unsigned size)
{
    struct lapic *l = lapic_at(dev);
    uint32_t val;
    if (!l)
        return 0xffffffff;
    if ((off & 15) == 0 && !lapic_reg_read(l, off >> 4 & 0xff, false, &val))
        lapic_error(l, ESR_ILLEGAL_REG);
    return off & 15 ? 0 : val; /* between the registers: undefined (SDM 10.4.1) */
}

static void lapic_mmio_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct lapic *l = lapic_at(dev);
    if (!l || (off & 15))
        return;
    if (!lapic_reg_write(l, off >> 4 & 0xff, val))
        lapic_error(l, ESR_ILLEGAL_REG);
}

const struct io_ops lapic_ops = {.read = lapic_mmio_read, .write = lapic_mmio_write, .widths = IO_32, .flags = IOF_UNLOCKED};

/* Pages of relocated APICs; FEE00000h is always there. [dev] */
int lapic_place(struct lapic_dev *d, struct err *e)
{
    struct vm *vm = d->dev.vm;
    bool any = false;
    for (unsigned i = 0; i < d->n; i++) {
        struct memregion *mr = &d->win[i + 1].mr;
        uint64_t base = BASE_ADDR(d->l[i].base);
        bool want = (d->l[i].base & (BASE_EN | BASE_EXTD)) == BASE_EN && base != BASE_DEFAULT;
        if (want == mr->enabled && (!want || mr->base == base))
            continue;
        if (!any)
            memmap_begin(vm);
        any = true;
        mr->enabled = want;
        if (want)
            mr->base = base;
    }
    return any ? memmap_commit(vm, e) : 0;
}

static int lapic_write_base(struct lapic *l, uint64_t val)
{
    struct lapic_dev *d = l->d;
    uint64_t old = l->base, ok = (((uint64_t)1 << d->p.phys_bits) - 1) & ~0xfffull;
    ok |= BASE_BSP | BASE_EN | (d->p.x2apic ? BASE_EXTD : 0);
    if (val & ~ok)
        return -1;
    unsigned from = old & (BASE_EN | BASE_EXTD), to = val & (BASE_EN | BASE_EXTD);
    if (to == BASE_EXTD || (from == (BASE_EN | BASE_EXTD) && to == BASE_EN) || (from == 0 && to == (BASE_EN | BASE_EXTD)))
        return -1; /* SDM 10.12.5: x2APIC is entered from xAPIC mode only, and left to the disabled state only */
    val = (val & ~(uint64_t)BASE_BSP) | (old & BASE_BSP);
    l->base = val;
    if (from != to) {
        if (!to) {
            uint32_t tpr = l->tpr; /* CR8 lives on */
            lapic_reset_registers(l);
            l->tpr = tpr;
            lapic_update_ppr(l);
        } else if (to & BASE_EXTD) {
            l->icr_high = 0;
        }
    }
    if (BASE_ADDR(old) != BASE_ADDR(val) || (BASE_ADDR(val) != BASE_DEFAULT && from != to)) {
        chipset_lock(d->dev.vm);
        lapic_place(d, NULL);
        chipset_unlock(d->dev.vm);
    }
    lapic_recheck(l);
    return 0;
}

int lapic_msr_read(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    struct lapic *l = lapic_of(v);
    uint32_t lo = 0;
    lapic_sync(l);
    if (msr == MSR_APIC_BASE) {
        *val = l->base;
        return 0;
    }
    if (msr == MSR_TSC_DEADLINE) {
        *val = l->tsc_deadline;
        return l->d->p.tsc_deadline ? 0 : -1;
    }
    if (msr - MSR_X2APIC > 0xff || !lapic_x2(l))
        return -1;
    unsigned reg = msr - MSR_X2APIC;
    if (!lapic_reg_read(l, reg, true, &lo))
        return -1;
    *val = reg == REG_ICR_LOW ? (uint64_t)l->icr_high << 32 | lo : lo;
    return 0;
}

int lapic_msr_write(struct vcpu *v, uint32_t msr, uint64_t val)
{
    struct lapic *l = lapic_of(v);
    lapic_sync(l);
    if (msr == MSR_APIC_BASE)
        return lapic_write_base(l, val);
    if (msr == MSR_TSC_DEADLINE) {
        if (!l->d->p.tsc_deadline)
            return -1;
        if (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
            lapic_timer_set_deadline(l, val);
        return 0;
    }
    if (msr - MSR_X2APIC > 0xff || !lapic_x2(l))
        return -1;
    unsigned reg = msr - MSR_X2APIC;
    if (reg == REG_ICR_LOW) {
        if (val & ICR_RESERVED_X2)
            return -1;
        l->icr_low = (uint32_t)val & ~ICR_BUSY;
        l->icr_high = val >> 32;
        lapic_write_icr(l, val, val >> 32);
        return 0;
    }
    bool writable;
    uint32_t ok = lapic_x2_writable(l, reg, &writable);
    if (!writable || (val & ~(uint64_t)ok))
        return -1;
    if (reg == REG_SELF_IPI)
        lapic_write_icr(l, (uint32_t)val | (uint32_t)TO_SELF << 18, 0);
    else
        lapic_reg_write(l, reg, val);
    return 0;
}
