/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: 16550A with a back end that talks, stalls and hangs up. */
#include "tests/fuzz/fuzz_dev.h"

#include "serial/char_mem.h"
#include "serial/uart.h"

static struct fakevm_irqs irqs;
static struct chardev *chr[2];
static unsigned made;
static bool connected, carrier; /* as the first machine was left: the second gets the same cable */

static void make(struct vm *vm)
{
    struct err e = {0};
    fakevm_irqs_init(&irqs);
    struct chardev *c = chr[made++ & 1];
    struct uart_params p = {.base = 0x3f8, .irq = fakevm_irq(&irqs, 4), .chr = connected ? c : NULL};
    dev_create(vm, &uart_class, "serial0", &p, &e);
    if (c->carrier)
        c->carrier(c->front, carrier);
}

static void extra(struct fuzz *f, unsigned what)
{
    struct chardev *c = chr[(made - 1) & 1];
    uint8_t a = (uint8_t)fuzz_bytes(f, 1), buf[64];
    switch (what) {
    case 0:
        for (unsigned i = 0; i < sizeof buf; i++)
            buf[i] = (uint8_t)(a + i);
        char_mem_feed(c, buf, a % 64);
        break;
    case 1: char_mem_stall(c, a & 1); break;
    case 2: char_mem_take(c, buf, sizeof buf); break;
    default:
        if (c->carrier && a & 1) {
            carrier = a & 2;
            c->carrier(c->front, carrier);
        } else {
            connected = carrier = a & 2;
            uart_connect(dev_find(f->vm, "serial0"), connected ? c : NULL);
        }
    }
}

static void before(void)
{
    made = 0;
    connected = carrier = true;
    for (int i = 0; i < 2; i++)
        chr[i] = char_mem_new(256);
}
static void after(void)
{
    for (int i = 0; i < 2; i++)
        char_mem_free(chr[i]);
}
FUZZ_DEVICE(.vcpus = 1, .ports = {{0x3f8, 8}, {0x3f8, 2}}, .n_ports = 2, .make = make, .extra = extra,
            .before = before, .after = after)
