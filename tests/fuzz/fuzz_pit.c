/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: 8254 and port 61h. */
#include "tests/fuzz/fuzz_dev.h"

#include "chipset/pit.h"

static struct fakevm_irqs irqs;

static void make(struct vm *vm)
{
    struct err e = {0};
    fakevm_irqs_init(&irqs);
    struct pit_params p = {.irq0 = fakevm_irq(&irqs, 0)};
    dev_create(vm, &pit_class, "pit", &p, &e);
}

FUZZ_DEVICE(.vcpus = 1, .ports = {{0x40, 4}, {0x40, 4}, {0x61, 1}}, .n_ports = 3, .make = make)
