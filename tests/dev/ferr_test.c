/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FERR#, IRQ13 and port F0h, against the PIIX4 data sheet (290562), 4.2.6. */
#include "chipset/ferr.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

int main(void)
{
    struct vm *vm = fakevm_new(1, 1);
    struct fakevm_irqs q;
    struct err e = {0};
    fakevm_irqs_init(&q);
    struct vcpu *v = vm_vcpu(vm, 0);
    intr_ferr(v);
    ok(!intr_ignne(v), "without the chip nothing happens");
    ok(dev_create(vm, &ferr_class, "ferr", &(struct ferr_params){.irq13 = fakevm_irq(&q, 13)}, &e), "made");
    fakevm_reset(vm);
    fakevm_out(vm, 0xf0, 1, 0);
    ok(!intr_ignne(v) && !fakevm_irqs_level(&q, 13), "port F0h without an error: nothing");
    intr_ferr(v);
    ok(fakevm_irqs_level(&q, 13) && !intr_ignne(v), "FERR# latches IRQ13");
    intr_ferr(v);
    is_u64(fakevm_irqs_rises(&q, 13), 1, "once");
    struct vm *vm2 = fakevm_new(1, 1);
    struct fakevm_irqs q2;
    fakevm_irqs_init(&q2);
    dev_create(vm2, &ferr_class, "ferr", &(struct ferr_params){.irq13 = fakevm_irq(&q2, 13)}, &e);
    ok(!fakevm_migrate(vm, vm2, &e) && fakevm_irqs_level(&q2, 13), "saved and loaded");
    fakevm_free(vm2);
    fakevm_out(vm, 0xf0, 1, 0);
    ok(!fakevm_irqs_level(&q, 13) && intr_ignne(v), "port F0h takes it back and asserts IGNNE#");
    intr_ferr(v);
    ok(fakevm_irqs_level(&q, 13) && !intr_ignne(v), "the next error");
    fakevm_reset(vm);
    ok(!fakevm_irqs_level(&q, 13) && !intr_ignne(v), "reset");
    fakevm_free(vm);
    return TAP_DONE();
}
