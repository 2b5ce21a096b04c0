/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System control port A (92h): bit 0 pulses INIT# of the processors at its rising edge, bit 1 is the alternate A20 gate; the rest reads as written. */
#include "chipset/port92.h"

#include "core/vm.h"

enum { P92_FAST_INIT = 1, P92_ALT_A20 = 2 };

struct port92 {
    struct dev dev;
    struct port_range port;
    struct irq_line a20;
    uint8_t ctl;
};

static uint64_t port92_read(void *dev, uint64_t off, unsigned size) { return ((struct port92 *)dev)->ctl; }

static void port92_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct port92 *p = dev;
    uint8_t old = p->ctl;
    p->ctl = (uint8_t)val;
    irq_set(&p->a20, p->ctl & P92_ALT_A20);
    if (~old & val & P92_FAST_INIT)
        vm_init_cpus(p->dev.vm);
}

static const struct io_ops port92_ops = {.read = port92_read, .write = port92_write, .widths = IO_8};

static int port92_init(struct dev *d, const void *params, struct err *e)
{
    struct port92 *p = (struct port92 *)d;
    p->a20 = ((const struct port92_params *)params)->a20;
    p->port = (struct port_range){"port92", 0x92, 1, &port92_ops, p};
    return port_claim(d->vm, &p->port, e);
}

static void port92_reset(struct dev *d, enum reset_kind k) { ((struct port92 *)d)->ctl = 0; }

static void port92_reset_done(struct dev *d)
{
    struct port92 *p = (struct port92 *)d;
    irq_set(&p->a20, p->ctl & P92_ALT_A20);
}

static const struct state_field port92_fields[] = {SF(struct port92, ctl, SF_U8), {0}};

static int port92_post_load(void *dev, unsigned version, struct err *e)
{
    port92_reset_done(dev);
    return 0;
}

static const struct state_desc port92_state = {
    .name = "port92", .version = 1, .min_version = 1, .fields = port92_fields, .post_load = port92_post_load};

const struct dev_class port92_class = {
    .name = "port92",
    .size = sizeof(struct port92),
    .init = port92_init,
    .reset = port92_reset,
    .reset_done = port92_reset_done,
    .state = &port92_state,
};
