/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: the two 8259A. */
#include "tests/fuzz/fuzz_dev.h"

#include "chipset/pic.h"

static struct dev *pic;
static struct fakevm_irqs out;

static void make(struct vm *vm)
{
    struct err e = {0};
    struct dev *d = dev_create(vm, &pic_class, "pic", NULL, &e);
    fakevm_irqs_init(&out);
    struct irq_line l = fakevm_irq(&out, 0);
    pic_connect(d, &l);
    if (!pic)
        pic = d;
}
static void extra(struct fuzz *f, unsigned what)
{
    const struct irq_sink *s = pic_sink(pic);
    unsigned n = fuzz_bytes(f, 1);
    bool level = fakevm_irqs_level(&out, 0);
    if (what < 3) {
        s->set(s->ctl, n & 31, n >> 5 & 3, n & 0x80);
    } else {
        fuzz_check(level == pic_intr(pic), "INT follows the state");
        pic_inta(pic);
    }
}

static void before(void) { pic = NULL; }
FUZZ_DEVICE(.vcpus = 1, .ports = {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}}, .n_ports = 3, .make = make, .extra = extra,
            .before = before)
