/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: four local APICs, the IOAPIC, the PIC and their glue. */
#include "tests/fuzz/fuzz_dev.h"

#include "chipset/intr.h"
#include "chipset/ioapic.h"
#include "chipset/lapic.h"
#include "chipset/pic.h"

static struct dev *intr;

static void make(struct vm *vm)
{
    struct err e = {0};
    struct lapic_params lp = {.bus_hz = 66000000, .x2apic = true, .tsc_deadline = true, .directed_eoi = true, .phys_bits = 40};
    struct ioapic_params ip = {.base = 0xfec00000, .version = 0x20};
    struct intr_params p = {0};
    p.lapic = dev_create(vm, &lapic_class, "lapic", &lp, &e);
    p.pic = dev_create(vm, &pic_class, "pic", NULL, &e);
    p.ioapic = dev_create(vm, &ioapic_class, "ioapic", &ip, &e);
    struct dev *d = dev_create(vm, &intr_class, "intr", &p, &e);
    if (!intr)
        intr = d;
}
static void extra(struct fuzz *f, unsigned what)
{
    const struct intr_ctl *c = intr_get_ctl(f->vm);
    unsigned n = fuzz_bytes(f, 1);
    struct vcpu *v = vm_vcpu(f->vm, n & 3);
    uint64_t val;
    switch (what) {
    case 0: { /* a line, or an MSI */
        const struct irq_sink *s = n & 4 ? intr_nmi_sink(intr) : intr_isa_sink(intr);
        if (n & 8)
            irq_msi(f->vm, 0xfee00000 | fuzz_bytes(f, 4), fuzz_bytes(f, 2));
        else
            s->set(s->ctl, n >> 4, n & 3, fuzz_bytes(f, 1) & 1);
        break;
    }
    case 1: {
        bool pending = intr_pending(v);
        int vector = intr_take(v);
        fuzz_check(pending || vector < 0, "a vector came although nothing was pending");
        fuzz_check(vector >= -1 && vector < 256, "vector in range");
        break;
    }
    case 2: {
        static const uint32_t msr[3] = {0x1b, 0x6e0, 0x800};
        uint32_t m = msr[(n >> 2) % 3];
        if (m == 0x800)
            m += fuzz_bytes(f, 1);
        if (n & 0x80) {
            c->msr_read(c->ctl, v, m, &val);
        } else {
            val = fuzz_bytes(f, n & 0x40 ? 8 : 3);
            if (m == 0x1b && !(n & 0x20))
                val = 0xfee00000 | (val & 0xf00);
            if (m == 0x6e0 && !(n & 0x20))
                val = clock_tsc(f->vm) + (val & 0xfffff);
            c->msr_write(c->ctl, v, m, val);
        }
        break;
    }
    default:
        c->tpr_set(c->ctl, v, n >> 4);
        fuzz_check(c->tpr_get(c->ctl, v) == n >> 4, "CR8 reads back");
        fakevm_requests(f->vm, n & 3);
        break;
    }
}

static void before(void) { intr = NULL; }
FUZZ_DEVICE(.vcpus = 4, .ports = {{0x20, 2}, {0xa0, 2}}, .n_ports = 2,
            .mmio = {{0xfee00000, 0x400}, {0xfec00000, 0x50}, {0xfee00300, 0xf0}}, .n_mmio = 3, .make = make,
            .extra = extra, .before = before)
