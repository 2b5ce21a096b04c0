/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: HPET. */
#include "tests/fuzz/fuzz_dev.h"

#include "chipset/hpet.h"

static struct dev *hpet;
static struct fakevm_irqs irqs;

static void make(struct vm *vm)
{
    struct err e = {0};
    fakevm_irqs_init(&irqs);
    struct hpet_params p = {.base = 0xfed00000, .n_timers = 4, .msi = true, .irq0 = fakevm_irq(&irqs, 100), .irq8 = fakevm_irq(&irqs, 108),
                            .ioapic = &irqs.sink, .route_cap = 0x00f00000};
    struct dev *d = dev_create(vm, &hpet_class, "hpet", &p, &e);
    if (!hpet)
        hpet = d;
}
static void extra(struct fuzz *f, unsigned what)
{
    const struct irq_sink *s = hpet_legacy_sink(hpet);
    unsigned n = fuzz_bytes(f, 1);
    if (what == 0)
        s->set(s->ctl, n & 15, 0, n & 0x80);
    else if (what == 1)
        fakevm_mmio_write(f->vm, 0xfed00010, 4, n & 3);
    else
        fakevm_mmio_write(f->vm, 0xfed00108 + 0x20 * (n & 3), 8, fakevm_mmio_read(f->vm, 0xfed000f0, 8) + fuzz_bytes(f, 2));
}

static void before(void) { hpet = NULL; }
FUZZ_DEVICE(.vcpus = 1, .mmio = {{0xfed00000, 0x180}, {0xfed00000, 0x400}, {0xfed00100, 0x80}}, .n_mmio = 3,
            .make = make, .extra = extra, .before = before)
