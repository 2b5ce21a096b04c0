/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt lines, and the way from the CPU back ends to the interrupt controllers. */
#include "core/irq.h"

#include "core/vm_private.h"

void irq_set(const struct irq_line *l, bool level)
{
    if (l->sink)
        l->sink->set(l->sink->ctl, l->pin, l->src, level);
}

void irq_pulse(const struct irq_line *l)
{
    irq_set(l, true);
    irq_set(l, false);
}

bool irq_busy(const struct irq_line *l) { return l->sink && l->sink->busy && l->sink->busy(l->sink->ctl, l->pin); }

void irq_msi(struct vm *vm, uint64_t addr, uint32_t data)
{
    if (vm->intr.msi)
        vm->intr.msi(vm->intr.ctl, addr, data);
}

void irq_routes_changed(struct vm *vm)
{
    if (vm->be->lapic && vm->be->lapic->routes_changed)
        vm->be->lapic->routes_changed(vm);
}

void intr_set_ctl(struct vm *vm, const struct intr_ctl *c) { vm->intr = *c; }

const struct intr_ctl *intr_get_ctl(struct vm *vm) { return &vm->intr; }

int intr_take(struct vcpu *v)
{
    const struct intr_ctl *c = &v->vm->intr;
    return c->take ? c->take(c->ctl, v) : -1;
}

bool intr_pending(struct vcpu *v)
{
    const struct intr_ctl *c = &v->vm->intr;
    return c->pending && c->pending(c->ctl, v);
}

void intr_set_ferr(struct vm *vm, const struct ferr_ctl *c) { vm->ferr = *c; }

void intr_ferr(struct vcpu *v)
{
    const struct ferr_ctl *c = &v->vm->ferr;
    if (!c->ferr)
        return;
    chipset_lock(v->vm);
    c->ferr(c->ctl);
    chipset_unlock(v->vm);
}

bool intr_ignne(struct vcpu *v)
{
    const struct ferr_ctl *c = &v->vm->ferr;
    return c->ignne && c->ignne(c->ctl);
}
