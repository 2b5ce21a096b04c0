/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: MC146818 and CMOS. */
#include "tests/fuzz/fuzz_dev.h"

#include "chipset/rtc.h"

static struct fakevm_irqs irqs;
static uint8_t nvram[2][RTC_NVRAM_SIZE];
static unsigned made;

static void make(struct vm *vm)
{
    struct err e = {0};
    fakevm_irqs_init(&irqs);
    struct rtc_params p = {.irq8 = fakevm_irq(&irqs, 8), .alarm = fakevm_irq(&irqs, 9), .nvram = nvram[made++ & 1]};
    dev_create(vm, &rtc_class, "rtc", &p, &e);
}
static void extra(struct fuzz *f, unsigned what)
{
    /* Straight to the clock's registers. */
    fakevm_out(f->vm, 0x70, 1, fuzz_bytes(f, 1) & 15);
    if (what)
        fakevm_out(f->vm, 0x71, 1, fuzz_bytes(f, 1));
    else
        fakevm_in(f->vm, 0x71, 1);
}

FUZZ_DEVICE(.vcpus = 1, .ports = {{0x70, 4}}, .n_ports = 1, .make = make, .extra = extra)
