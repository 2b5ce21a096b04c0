/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APICs (SDM vol. 3, chapter 10): register page, x2APIC MSRs, IPIs, delivery. The timer is in lapic_timer.c.
 *
 * Registers are accessed thousands of times a second from every vCPU, so these paths take no lock. The owner of a local APIC is its vCPU's
 * thread; others only deliver to it. Invariants:
 *   1. irr, tmr, esr_pending, attn, init_pending and extint_msg are written by any thread, atomically.
 *   2. Configuration (base, svr, ldr, dfr, lvt, ppr) is written by the owner, or by a load or reset while it is parked, and read by any.
 *   3. isr, tpr, esr and icr are the owner's alone. ppr = f(tpr, isr_top) always.
 *   4. A bit that goes into IRR sets attn afterwards; attn is cleared only by lapic_look, before it scans. So attn clear means that there is
 *      nothing to deliver: this is all that lapic_pending reads in the common case.
 *   5. The sender kicks the vCPU only when the vector's class is above PPR. The owner stores a lower PPR first and scans IRR then, and the
 *      sender sets IRR first and reads PPR then (all sequentially consistent), so one of them sees the other.
 *   6. An INIT only sets init_pending; the owner resets its registers when it next touches them. Until then the APIC counts as software
 *      disabled with LDR 0, which is what it will be.
 *   7. While the CPU back end has local APICs of its own (cpu_backend.lapic), none of this runs: the registers here are
 *      filled from the back end before saving, and given to it after a reset or load.
 */
#include <string.h>

#include "chipset/lapic_private.h"
#include "core/vm.h"

enum {
    REG_ID = 0x02, REG_VERSION, REG_TPR = 0x08, REG_APR, REG_PPR, REG_EOI, REG_RRD, REG_LDR, REG_DFR, REG_SVR, REG_ISR = 0x10, REG_TMR = 0x18,
    REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR_LOW = 0x30, REG_ICR_HIGH, REG_LVT = 0x32, REG_INITIAL = 0x38, REG_CURRENT, REG_DIVIDE = 0x3e,
    REG_SELF_IPI
};
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };
#define BASE_BSP 0x100u
#define BASE_EXTD 0x400u
#define BASE_EN 0x800u
#define BASE_ADDR(b) ((b) & ~0xfffull)
#define BASE_DEFAULT 0xfee00000ull
#define SVR_ENABLE 0x100u
#define SVR_DIRECTED_EOI 0x1000u
#define SVR_RESET 0xffu
#define DFR_FLAT 0xffffffffu
enum { ESR_SEND_ILLEGAL = 0x20, ESR_RECV_ILLEGAL = 0x40, ESR_ILLEGAL_REG = 0x80 };
/* Version 15h, entries for timer, thermal, performance, LINT0, LINT1, error. */
#define VERSION (0x15u | (LVT_COUNT - 1) << 16)
#define VERSION_DIRECTED_EOI (1u << 24)
#define ICR_RESERVED_X2 0xfff32000u
#define ICR_LOGICAL (1u << 11)
#define ICR_BUSY (1u << 12)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define X2_BROADCAST 0xffffffffu

static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff,  [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

static bool lapic_hw_enabled(struct lapic *l)
{
    return l->base & BASE_EN;
}

static bool lapic_x2(struct lapic *l)
{
    return l->base & BASE_EXTD;
}

static bool lapic_sw_enabled(struct lapic *l)
{
    return (l->base & BASE_EN) && (l->svr & SVR_ENABLE) && !l->init_pending;
}

static uint32_t lapic_x2_ldr(struct lapic *l)
{
    return l->id >> 4 << 16 | 1u << (l->id & 15);
}

/* ---- state of one APIC ---- */

static int lapic_highest(const uint32_t *w)
{
    for (int i = 7; i >= 0; i--)
        if (w[i])
            return i * 32 + 31 - __builtin_clz(w[i]);
    return -1;
}

static int lapic_highest_irr(struct lapic *l)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t w = l->irr[i];
        if (w)
            return i * 32 + 31 - __builtin_clz(w);
    }
    return -1;
}

static void lapic_update_ppr(struct lapic *l)
{
    uint32_t isr_class = l->isr_top < 0 ? 0 : l->isr_top & 0xf0;
    l->ppr = (l->tpr & 0xf0) >= isr_class ? l->tpr : isr_class; /* SDM 10.8.3.1 */
}

static bool lapic_takes_extint(struct lapic *l)
{
    if (!lapic_hw_enabled(l))
        return l->v->index == 0; /* without an APIC, LINT0 is the INTR pin */
    uint32_t lvt = l->lvt[LVT_LINT0];
    return !(lvt & LVT_MASKED) && LVT_DM(lvt) == DM_EXTINT && !l->init_pending;
}

static bool lapic_extint_waits(struct lapic *l)
{
    return l->extint_msg || (l->d->lint[0] && lapic_takes_extint(l));
}

/* Is anything deliverable? Keeps attn exact. Owner. */
static bool lapic_look(struct lapic *l)
{
    l->attn = false;
    if (!lapic_extint_waits(l)) {
        if (!lapic_hw_enabled(l))
            return false;
        int vec = lapic_highest_irr(l);
        if (vec < 0 || vec >> 4 <= (int)(l->ppr >> 4))
            return false;
    }
    l->attn = true;
    return true;
}

/* After the owner lowered its priority or opened an input. */
static void lapic_recheck(struct lapic *l)
{
    if (lapic_look(l))
        vcpu_request(l->v, VR_INTR);
}

static void lapic_error(struct lapic *l, uint32_t bit)
{
    atomic_fetch_or(&l->esr_pending, bit);
    uint32_t lvt = l->lvt[LVT_ERROR];
    if (!(lvt & LVT_MASKED) && (lvt & 0xff) >= 16)
        lapic_accept(l, lvt & 0xff, false);
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
    if (!lapic_sw_enabled(l))
        return false;
    if (vector < 16) {
        lapic_error(l, ESR_RECV_ILLEGAL);
        return false;
    }
    unsigned w = vector / 32;
    uint32_t bit = 1u << (vector & 31);
    if (level)
        atomic_fetch_or(&l->tmr[w], bit);
    else if (l->tmr[w] & bit)
        atomic_fetch_and(&l->tmr[w], ~bit);
    if (atomic_fetch_or(&l->irr[w], bit) & bit)
        return false;
    l->attn = true;
    if (vector >> 4 > l->ppr >> 4)
        vcpu_request(l->v, VR_INTR);
    return true;
}

static void lapic_reset_registers(struct lapic *l)
{
    for (unsigned i = 0; i < 8; i++) {
        l->irr[i] = 0;
        l->tmr[i] = 0;
        l->isr[i] = 0;
    }
    l->esr_pending = 0;
    l->extint_msg = false;
    l->svr = SVR_RESET;
    l->ldr = 0;
    l->dfr = DFR_FLAT;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    l->tpr = l->esr = l->icr_low = l->icr_high = 0;
    l->isr_top = -1;
    lapic_update_ppr(l);
    lapic_timer_reset(l);
    l->attn = true; /* the next look sees what LINT0 says */
}

static inline void lapic_sync(struct lapic *l)
{
    if (__builtin_expect(l->init_pending, 0)) {
        lapic_reset_registers(l);
        if (l->init_wire) { /* virtual wire mode, as in MP specification 3.6.2.2 */
            l->svr = SVR_RESET | SVR_ENABLE;
            l->lvt[LVT_LINT0] = DM_EXTINT << 8;
            l->lvt[LVT_LINT1] = DM_NMI << 8;
            l->init_wire = false;
        }
        l->init_pending = false;
    }
}

/* ---- the bus between them ---- */

/* dest has 8 bits, or 32 when the sender is in x2APIC mode. */
static bool lapic_matches(struct lapic *l, uint32_t dest, bool logical, bool wide)
{
    if (!lapic_hw_enabled(l))
        return false;
    bool broadcast = dest == (wide ? X2_BROADCAST : 0xffu);
    if (!logical)
        return broadcast || dest == l->id;
    if (lapic_x2(l)) {
        uint32_t ldr = lapic_x2_ldr(l);
        return broadcast || (ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff));
    }
    if (l->init_pending)
        return false;
    uint32_t ldr = l->ldr >> 24;
    if (l->dfr >> 28 == 0) { /* cluster model */
        if (dest == 0xff)
            return true;
        return ldr >> 4 == dest >> 4 && (ldr & dest & 15);
    }
    return (ldr & dest & 0xff) != 0;
}

static void lapic_deliver(struct lapic *l, unsigned mode, uint8_t vector, bool level)
{
    struct vcpu *v = l->v;
    switch (mode) {
    case DM_FIXED:
    case DM_LOWEST:
        lapic_accept(l, vector, level);
        break;
    case DM_SMI:
        vcpu_request(v, VR_SMI);
        break;
    case DM_NMI:
        vcpu_request(v, VR_NMI);
        break;
    case DM_INIT:
        l->init_pending = true;
        l->attn = true;
        vcpu_request(v, VR_INIT);
        break;
    case DM_SIPI:
        v->sipi_vector = vector;
        vcpu_request(v, VR_SIPI);
        break;
    case DM_EXTINT:
        l->extint_msg = true;
        l->attn = true;
        vcpu_request(v, VR_INTR);
        break;
    default: /* reserved */
        break;
    }
}

enum lapic_shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

static bool lapic_addressed(struct lapic *l, struct lapic *from, enum lapic_shorthand sh, uint32_t dest, bool logical, bool wide)
{
    switch (sh) {
    case TO_SELF:
        return l == from;
    case TO_ALL:
        return lapic_hw_enabled(l);
    case TO_OTHERS:
        return lapic_hw_enabled(l) && l != from;
    default:
        return lapic_matches(l, dest, logical, wide);
    }
}

static void lapic_send(struct lapic_dev *d, struct lapic *from, enum lapic_shorthand sh, uint32_t dest, bool logical, bool wide, unsigned mode,
                       uint8_t vector, bool level)
{
    if (mode != DM_LOWEST) {
        for (unsigned i = 0; i < d->n; i++)
            if (lapic_addressed(&d->l[i], from, sh, dest, logical, wide))
                lapic_deliver(&d->l[i], mode, vector, level);
        return;
    }
    /* Lowest processor priority; among equals in turn (SDM 10.6.2.4). */
    struct lapic *best = NULL;
    unsigned first = d->rotate % d->n;
    for (unsigned k = 0; k < d->n; k++) {
        struct lapic *l = &d->l[(first + k) % d->n];
        if (lapic_sw_enabled(l) && lapic_addressed(l, from, sh, dest, logical, wide) && (!best || l->ppr < best->ppr))
            best = l;
    }
    if (best) {
        d->rotate = best->v->index + 1;
        lapic_deliver(best, mode, vector, level);
    }
}

void lapic_msi(struct dev *dev, uint64_t addr, uint32_t data)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    unsigned mode = data >> 8 & 7;
    bool level = (data & ICR_LEVEL) && (mode == DM_FIXED || mode == DM_LOWEST);
    if ((addr & ~0xfffffull) != BASE_DEFAULT || mode == DM_SIPI)
        return;
    if ((data & ICR_LEVEL) && !(data & ICR_ASSERT))
        return; /* level deassert: nothing to do */
    lapic_send(d, NULL, TO_DEST, addr >> 12 & 0xff, addr & 4, false, mode, data, level);
}

static void lapic_write_icr(struct lapic *l, uint32_t low, uint32_t dest)
{
    unsigned mode = low >> 8 & 7;
    enum lapic_shorthand sh = low >> 18 & 3;
    bool x2 = lapic_x2(l);
    if ((mode == DM_FIXED || mode == DM_LOWEST) && (low & 0xff) < 16) {
        lapic_error(l, ESR_SEND_ILLEGAL);
        return;
    }
    if (mode == DM_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
        return; /* INIT level deassert: no effect since the Pentium 4 (SDM 10.6.1) */
    if (mode == DM_EXTINT)
        return;
    if (sh == TO_SELF && mode == DM_SIPI)
        return; /* not a valid combination (SDM table 10-6); neither is INIT, which processors carry out all the same */
    lapic_send(l->d, l, sh, dest, low & ICR_LOGICAL, x2, mode, low, false);
}

/* ---- pins ---- */

static void lapic_lint_edge(struct lapic *l, unsigned pin)
{
    uint32_t lvt = l->lvt[LVT_LINT0 + pin];
    if (!lapic_hw_enabled(l) || l->init_pending || (lvt & LVT_MASKED))
        return;
    switch (LVT_DM(lvt)) {
    case DM_FIXED: /* LINT1 is edge triggered always (SDM 10.5.1) */
        lapic_accept(l, lvt & 0xff, pin == 0 && (lvt & LVT_LEVEL));
        break;
    case DM_SMI:
        vcpu_request(l->v, VR_SMI);
        break;
    case DM_NMI:
        vcpu_request(l->v, VR_NMI);
        break;
    }
}

void lapic_lint(struct dev *dev, unsigned pin, bool level)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    pin &= 1;
    bool was = atomic_exchange(&d->lint[pin], level);
    if (!level || was)
        return;
    for (unsigned i = 0; i < d->n; i++) {
        struct lapic *l = &d->l[i];
        if (pin == 0 && lapic_takes_extint(l)) {
            l->attn = true;
            vcpu_request(l->v, VR_INTR);
        } else if (pin == 1 && !lapic_hw_enabled(l)) {
            if (l->v->index == 0)
                vcpu_request(l->v, VR_NMI); /* without an APIC, LINT1 is the NMI pin */
        } else {
            lapic_lint_edge(l, pin);
        }
    }
}

/* ---- what the CPU does ---- */

static struct lapic *lapic_of(struct vcpu *v)
{
    return v->lapic;
}

bool lapic_pending(struct vcpu *v)
{
    struct lapic *l = lapic_of(v);
    if (!atomic_load_explicit(&l->attn, memory_order_acquire))
        return false;
    lapic_sync(l);
    return lapic_look(l);
}

int lapic_take(struct vcpu *v)
{
    struct lapic *l = lapic_of(v);
    if (!l->attn)
        return -1;
    lapic_sync(l);
    if (lapic_extint_waits(l))
        return LAPIC_TAKE_EXTINT;
    if (!lapic_look(l))
        return -1;
    int vec = lapic_highest_irr(l);
    uint32_t bit = 1u << (vec & 31);
    atomic_fetch_and(&l->irr[vec / 32], ~bit);
    l->isr[vec / 32] |= bit;
    l->isr_top = vec;
    lapic_update_ppr(l);
    return vec;
}

void lapic_extint_done(struct vcpu *v)
{
    lapic_of(v)->extint_msg = false;
}

static void lapic_eoi(struct lapic *l)
{
    int vec = l->isr_top;
    if (vec < 0)
        return;
    uint32_t bit = 1u << (vec & 31);
    l->isr[vec / 32] &= ~bit;
    l->isr_top = lapic_highest(l->isr);
    lapic_update_ppr(l);
    if (l->tmr[vec / 32] & bit) {
        uint32_t lint0 = l->lvt[LVT_LINT0];
        if ((lint0 & 0xff) == (uint32_t)vec && (lint0 & LVT_LEVEL) && l->d->lint[0])
            lapic_lint_edge(l, 0); /* the level is still there */
        if (!(l->svr & SVR_DIRECTED_EOI) && l->d->eoi) {
            struct vm *vm = lapic_vm(l);
            chipset_lock(vm);
            l->d->eoi(l->d->eoi_u, vec);
            chipset_unlock(vm);
        }
    }
    lapic_timer_eoi(l, vec);
    lapic_recheck(l);
}

static void lapic_write_tpr(struct lapic *l, uint8_t val)
{
    bool lower = (val & 0xf0) < (l->tpr & 0xf0);
    l->tpr = val;
    lapic_update_ppr(l);
    if (lower)
        lapic_recheck(l);
}

uint8_t lapic_tpr_get(struct vcpu *v)
{
    struct lapic *l = lapic_of(v);
    lapic_sync(l);
    return l->tpr >> 4;
}

void lapic_tpr_set(struct vcpu *v, uint8_t cr8)
{
    struct lapic *l = lapic_of(v);
    lapic_sync(l);
    lapic_write_tpr(l, cr8 << 4);
}

/*
 * INIT leaves the PIC cut off from the first processor (LINT0 masked), and the firmware of a real board connects it again before it does
 * anything else. SeaBIOS does that only after the reset of a whole machine, so it is done here.
 */
void lapic_init_pin(struct vcpu *v)
{
    lapic_of(v)->init_wire = v->index == 0;
    lapic_deliver(lapic_of(v), DM_INIT, 0, false);
}

bool lapic_enabled(struct vcpu *v)
{
    return lapic_hw_enabled(lapic_of(v));
}

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
    val &= lvt_writable[i];
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
        uint32_t m = lvt_writable[reg - REG_LVT] | ICR_BUSY | ro;
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

static const struct lapic_host *lapic_host(const struct lapic_dev *d);

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

static const struct io_ops lapic_ops = {.read = lapic_mmio_read, .write = lapic_mmio_write, .widths = IO_32, .flags = IOF_UNLOCKED};

/* Pages of relocated APICs; FEE00000h is always there. [dev] */
static int lapic_place(struct lapic_dev *d, struct err *e)
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

/* ---- local APICs of the CPU back end ---- */

static const struct lapic_host *lapic_host(const struct lapic_dev *d)
{
    return vm_backend(d->dev.vm)->lapic;
}

/*
 * The kernel may have seen an EOI and not told us yet, and a state without it would leave the IOAPIC waiting for ever. So a
 * vector that is neither requested nor in service anywhere has had its EOI; the IOAPIC takes it only where it waits for
 * one. Should the kernel tell it again later, that is at worst one interrupt more.
 */
static void lapic_missing_eois(struct lapic_dev *d)
{
    uint32_t busy[8] = {0};
    for (unsigned i = 0; i < d->n; i++) {
        struct lapic_image m = {0};
        lapic_host(d)->get(d->l[i].v, &m);
        for (unsigned k = 0; k < 8; k++)
            busy[k] |= m.reg[REG_ISR + k] | m.reg[REG_IRR + k];
    }
    for (unsigned vec = 16; vec < 256 && d->eoi; vec++)
        if (!(busy[vec / 32] >> (vec & 31) & 1))
            d->eoi(d->eoi_u, (uint8_t)vec);
}

static void lapic_from_host(struct lapic_dev *d)
{
    lapic_missing_eois(d);
    for (unsigned i = 0; i < d->n; i++) {
        struct lapic *l = &d->l[i];
        struct lapic_image m = {0};
        lapic_host(d)->get(l->v, &m);
        l->base = m.base;
        l->tpr = m.reg[REG_TPR] & 0xff;
        l->svr = m.reg[REG_SVR];
        l->ldr = m.reg[REG_LDR];
        l->dfr = m.reg[REG_DFR] | 0x0fffffff;
        for (unsigned k = 0; k < 8; k++) {
            l->isr[k] = m.reg[REG_ISR + k];
            l->tmr[k] = m.reg[REG_TMR + k];
            l->irr[k] = m.reg[REG_IRR + k];
        }
        for (unsigned k = 0; k < LVT_COUNT; k++)
            l->lvt[k] = m.reg[REG_LVT + k] & lvt_writable[k];
        l->esr = m.reg[REG_ESR];
        l->esr_pending = 0;
        l->icr_low = m.reg[REG_ICR_LOW] & ~ICR_BUSY;
        l->icr_high = m.reg[REG_ICR_HIGH];
        l->init_pending = false;
        l->extint_msg = false;
        l->isr_top = lapic_highest(l->isr);
        lapic_update_ppr(l);
        lapic_timer_from_image(l, m.reg[REG_INITIAL], m.reg[REG_CURRENT], m.reg[REG_DIVIDE], m.tsc_deadline);
    }
}

static int lapic_to_host(struct lapic_dev *d, struct err *e)
{
    for (unsigned i = 0; i < d->n; i++) {
        struct lapic *l = &d->l[i];
        struct lapic_image m = {.base = l->base, .tsc_deadline = l->tsc_deadline};
        bool x2 = lapic_x2(l);
        m.reg[REG_ID] = x2 ? l->id : l->id << 24;
        m.reg[REG_VERSION] = VERSION;
        m.reg[REG_TPR] = l->tpr;
        m.reg[REG_PPR] = l->ppr;
        m.reg[REG_LDR] = x2 ? lapic_x2_ldr(l) : l->ldr;
        m.reg[REG_DFR] = l->dfr;
        m.reg[REG_SVR] = l->svr;
        for (unsigned k = 0; k < 8; k++) {
            m.reg[REG_ISR + k] = l->isr[k];
            m.reg[REG_TMR + k] = l->tmr[k];
            m.reg[REG_IRR + k] = l->irr[k];
        }
        for (unsigned k = 0; k < LVT_COUNT; k++)
            m.reg[REG_LVT + k] = l->lvt[k];
        m.reg[REG_ESR] = l->esr;
        m.reg[REG_ICR_LOW] = l->icr_low;
        m.reg[REG_ICR_HIGH] = l->icr_high;
        m.reg[REG_INITIAL] = l->initial_count;
        m.reg[REG_CURRENT] = lapic_timer_left(l);
        m.reg[REG_DIVIDE] = l->dcr;
        if (lapic_host(d)->set(l->v, &m, e))
            return -1;
    }
    return 0;
}

/* ---- device ---- */

bool lapic_hears_pic(struct dev *dev)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    for (unsigned i = 0; i < d->n; i++)
        if (lapic_takes_extint(&d->l[i]))
            return true;
    return false;
}

bool lapic_requested(struct dev *dev, uint8_t vector)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    for (unsigned i = 0; i < d->n; i++)
        if (d->l[i].irr[vector / 32] >> (vector & 31) & 1)
            return true;
    return false;
}

void lapic_on_eoi(struct dev *dev, void (*fn)(void *u, uint8_t vector), void *u)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    d->eoi = fn;
    d->eoi_u = u;
}

static void lapic_reset(struct dev *dev, enum reset_kind k)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    d->lint[0] = d->lint[1] = false;
    d->rotate = 0;
    for (unsigned i = 0; i < d->n; i++) {
        struct lapic *l = &d->l[i];
        l->init_pending = l->init_wire = false;
        l->base = BASE_DEFAULT | BASE_EN | (i == 0 ? BASE_BSP : 0);
        lapic_reset_registers(l);
        l->armed_due = 0;
        vtimer_cancel(&l->vtimer);
    }
}

static void lapic_reset_done(struct dev *dev)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    struct err e = {0};
    lapic_place(d, NULL);
    if (lapic_host(d) && lapic_to_host(d, &e))
        vm_fail(dev->vm, &e);
}

static int lapic_init(struct dev *dev, const void *params, struct err *e)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    struct vm *vm = dev->vm;
    d->p = *(const struct lapic_params *)params;
    d->n = vm_vcpu_count(vm);
    if (d->n < 1 || d->n > LAPIC_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0, "A machine can have 1 to %d processors, not %u.", LAPIC_MAX, d->n);
    if (!d->p.bus_hz || d->p.phys_bits < 32 || d->p.phys_bits > 52)
        return err_set(e, ERR_CONFIG, 0, "The local APICs' bus frequency or address width is not usable.");
    for (unsigned i = 0; i < d->n; i++) {
        struct lapic *l = &d->l[i];
        l->d = d;
        l->v = vm_vcpu(vm, i);
        l->id = l->v->apic_id;
        lapic_timer_init(l);
        l->v->lapic = l;
    }
    memmap_begin(vm);
    for (unsigned i = 0; i <= d->n; i++) {
        struct lapic_window *w = &d->win[i];
        w->d = d;
        w->mr = (struct memregion){.owner = dev->id, .base = BASE_DEFAULT, .size = 0x1000, .prio = 10, .kind = MR_MMIO, .enabled = i == 0,
                                   .ops = &lapic_ops, .dev = w};
        memmap_add(vm, &w->mr);
    }
    if (memmap_commit(vm, e) < 0)
        return -1;
    lapic_reset(dev, RESET_COLD);
    return 0;
}

static void lapic_destroy(struct dev *dev)
{
    struct lapic_dev *d = (struct lapic_dev *)dev;
    for (unsigned i = 0; i < d->n; i++) {
        if (!d->l[i].v)
            continue;
        lapic_timer_fini(&d->l[i]);
        d->l[i].v->lapic = NULL;
    }
}

/* An INIT that its owner has not seen yet is carried out before saving. */
static void lapic_pre_save(void *dev)
{
    struct lapic_dev *d = dev;
    if (lapic_host(d))
        lapic_from_host(d);
    for (unsigned i = 0; i < d->n; i++)
        lapic_sync(&d->l[i]);
}

static int lapic_post_load(void *dev, unsigned version, struct err *e)
{
    struct lapic_dev *d = dev;
    uint64_t addr = (((uint64_t)1 << d->p.phys_bits) - 1) & ~0xfffull;
    for (unsigned i = 0; i < d->n; i++) {
        struct lapic *l = &d->l[i];
        uint64_t mode = l->base & (BASE_EN | (d->p.x2apic ? BASE_EXTD : 0));
        if (mode == BASE_EXTD)
            return err_set(e, ERR_CORRUPT, 0, "The saved state of local APIC %u has an impossible mode.", i);
        l->base = (l->base & addr) | mode | (i == 0 ? BASE_BSP : 0);
        l->tpr &= 0xff;
        l->isr[0] &= 0xffff0000; /* vectors 0-15 do not exist */
        l->irr[0] &= 0xffff0000;
        l->isr_top = lapic_highest(l->isr);
        for (unsigned k = 0; k < LVT_COUNT; k++)
            l->lvt[k] &= lvt_writable[k];
        if (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) == 3 || (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) == 2 && !d->p.tsc_deadline))
            return err_set(e, ERR_CORRUPT, 0, "The saved state of local APIC %u has an impossible timer mode.", i);
        lapic_update_ppr(l);
        l->init_pending = false;
        l->attn = true;
        if (lapic_host(d))
            lapic_timer_stop(l);
        else
            lapic_timer_loaded(l);
    }
    if (lapic_place(d, e))
        return -1;
    return lapic_host(d) ? lapic_to_host(d, e) : 0;
}

static const struct state_field lapic_one_fields[] = {
    SF(struct lapic, base, SF_U64),
    SF_ARR(struct lapic, irr, SF_U32),
    SF_ARR(struct lapic, isr, SF_U32),
    SF_ARR(struct lapic, tmr, SF_U32),
    SF(struct lapic, extint_msg, SF_BOOL),
    SF(struct lapic, tpr, SF_U32),
    SF(struct lapic, svr, SF_U32),
    SF(struct lapic, ldr, SF_U32),
    SF(struct lapic, dfr, SF_U32),
    SF_ARR(struct lapic, lvt, SF_U32),
    SF(struct lapic, esr, SF_U32),
    SF(struct lapic, esr_pending, SF_U32),
    SF(struct lapic, icr_low, SF_U32),
    SF(struct lapic, icr_high, SF_U32),
    SF(struct lapic, initial_count, SF_U32),
    SF(struct lapic, dcr, SF_U32),
    SF_MAX(struct lapic, count_end, SF_U64, (uint64_t)1 << 60),
    SF(struct lapic, tsc_deadline, SF_U64),
    SF(struct lapic, missed, SF_U32),
    {0},
};
static const struct state_desc lapic_one_state = {.name = "apic", .version = 1, .min_version = 1, .fields = lapic_one_fields};
static const struct state_field lapic_fields[] = {
    {.name = "l", .off = offsetof(struct lapic_dev, l), .count = LAPIC_MAX, .stride = sizeof(struct lapic), .kind = SF_STRUCT,
     .sub = &lapic_one_state},
    SF_ARR(struct lapic_dev, lint, SF_BOOL),
    {0},
};
static const struct state_desc lapic_state = {.name = "lapic", .version = 1, .min_version = 1, .fields = lapic_fields,
                                              .pre_save = lapic_pre_save, .post_load = lapic_post_load};

const struct dev_class lapic_class = {
    .name = "lapic",
    .size = sizeof(struct lapic_dev),
    .init = lapic_init,
    .reset = lapic_reset,
    .reset_done = lapic_reset_done,
    .destroy = lapic_destroy,
    .state = &lapic_state,
};
