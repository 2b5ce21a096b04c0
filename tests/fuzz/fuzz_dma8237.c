/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: 8237A, with a device that transfers when it is told to. */
#include <string.h>

#include "tests/fuzz/fuzz_dev.h"

#include "chipset/dma8237.h"

static const struct isa_dma *dma;

static void go(void *dev)
{
    uint8_t buf[512];
    bool tc;
    memset(buf, 0x5a, sizeof buf);
    dma->xfer(dma->ctl, (unsigned)(uintptr_t)dev, true, buf, sizeof buf, &tc);
}
static void make(struct vm *vm)
{
    struct err e = {0};
    const struct isa_dma *i = dma8237_iface(dev_create(vm, &dma8237_class, "dma", NULL, &e));
    for (uintptr_t n = 0; n < 8; n += 2)
        i->attach(i->ctl, n, go, (void *)n);
    if (!dma)
        dma = i;
}
static void extra(struct fuzz *f, unsigned what)
{
    unsigned n = fuzz_bytes(f, 1), bytes = fuzz_bytes(f, 2);
    static uint8_t buf[65536];
    bool tc;
    if (what == 0)
        dma->dreq(dma->ctl, n & 15, n & 0x80);
    else
        fuzz_check(dma->xfer(dma->ctl, n & 15, what & 1, buf, bytes, &tc) <= bytes, "no more than asked for");
}

static void before(void) { dma = NULL; }
FUZZ_DEVICE(.vcpus = 1, .ports = {{0, 16}, {0xc0, 32}, {0x80, 16}}, .n_ports = 3, .make = make, .extra = extra,
            .before = before)
