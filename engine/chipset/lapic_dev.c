/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APICs as a device: made, reset, saved, and kept in step with those of a CPU back end that has its own (invariant 7 of lapic.c). */
#include "chipset/lapic_private.h"
#include "core/vm.h"

const struct lapic_host *lapic_host(const struct lapic_dev *d)
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
            l->lvt[k] = m.reg[REG_LVT + k] & lapic_lvt_writable[k];
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
            l->lvt[k] &= lapic_lvt_writable[k];
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
