/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APICs (SDM vol. 3, chapter 10): delivery, IPIs, pins. Registers are in lapic_regs.c, the timer in lapic_timer.c, the device in
 * lapic_dev.c.
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
#include "chipset/lapic_private.h"
#include "core/vm.h"

static bool lapic_sw_enabled(struct lapic *l)
{
    return (l->base & BASE_EN) && (l->svr & SVR_ENABLE) && !l->init_pending;
}

/* ---- state of one APIC ---- */

static int lapic_highest_irr(struct lapic *l)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t w = l->irr[i];
        if (w)
            return i * 32 + 31 - __builtin_clz(w);
    }
    return -1;
}

void lapic_update_ppr(struct lapic *l)
{
    uint32_t isr_class = l->isr_top < 0 ? 0 : l->isr_top & 0xf0;
    l->ppr = (l->tpr & 0xf0) >= isr_class ? l->tpr : isr_class; /* SDM 10.8.3.1 */
}

bool lapic_takes_extint(struct lapic *l)
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
void lapic_recheck(struct lapic *l)
{
    if (lapic_look(l))
        vcpu_request(l->v, VR_INTR);
}

void lapic_error(struct lapic *l, uint32_t bit)
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

void lapic_reset_registers(struct lapic *l)
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

void lapic_do_init(struct lapic *l)
{
    lapic_reset_registers(l);
    if (l->init_wire) { /* virtual wire mode, as in MP specification 3.6.2.2 */
        l->svr = SVR_RESET | SVR_ENABLE;
        l->lvt[LVT_LINT0] = DM_EXTINT << 8;
        l->lvt[LVT_LINT1] = DM_NMI << 8;
        l->init_wire = false;
    }
    l->init_pending = false;
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

void lapic_write_icr(struct lapic *l, uint32_t low, uint32_t dest)
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

void lapic_lint_edge(struct lapic *l, unsigned pin)
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

void lapic_eoi(struct lapic *l)
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

void lapic_write_tpr(struct lapic *l, uint8_t val)
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
