/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coprocessor error logic of the PIIX4 (data sheet 290562, 4.2.6 "Coprocessor Error Register" and 12.5): FERR# of a processor with CR0.NE = 0
 * latches IRQ13; a write to port F0h takes it back and asserts IGNNE#, so that the handler may use the x87 before it has cleared the error.
 *
 * IGNNE# really ends when FERR# does. That is not seen here; it ends at the next error that is reported.
 */
#include "chipset/ferr.h"

#include "core/vm.h"

struct ferr {
    struct dev dev;
    struct port_range port;
    struct irq_line irq13;
    bool latched;
    _Atomic bool ignne;
};

static void ferr_assert(void *ctl)
{
    struct ferr *f = ctl;
    f->latched = true;
    f->ignne = false;
    irq_set(&f->irq13, true);
}

static bool ferr_ignne(void *ctl) { return ((struct ferr *)ctl)->ignne; }

static uint64_t ferr_read(void *dev, uint64_t off, unsigned size) { return UINT64_MAX; }

static void ferr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct ferr *f = dev;
    if (!f->latched)
        return;
    f->latched = false;
    f->ignne = true;
    irq_set(&f->irq13, false);
}

static const struct io_ops ferr_ops = {.read = ferr_read, .write = ferr_write, .widths = IO_8};

static int ferr_init(struct dev *d, const void *params, struct err *e)
{
    struct ferr *f = (struct ferr *)d;
    f->irq13 = ((const struct ferr_params *)params)->irq13;
    f->port = (struct port_range){"ferr", 0xf0, 1, &ferr_ops, f};
    intr_set_ferr(d->vm, &(struct ferr_ctl){.ferr = ferr_assert, .ignne = ferr_ignne, .ctl = f});
    return port_claim(d->vm, &f->port, e);
}

static void ferr_reset(struct dev *d, enum reset_kind k)
{
    struct ferr *f = (struct ferr *)d;
    f->latched = false;
    f->ignne = false;
}

static void ferr_reset_done(struct dev *d)
{
    struct ferr *f = (struct ferr *)d;
    irq_set(&f->irq13, f->latched);
}

static const struct state_field ferr_fields[] = {
    SF(struct ferr, latched, SF_BOOL),
    SF(struct ferr, ignne, SF_BOOL),
    {0},
};

static int ferr_post_load(void *dev, unsigned version, struct err *e)
{
    ferr_reset_done(dev);
    return 0;
}

static const struct state_desc ferr_state = {
    .name = "ferr", .version = 1, .min_version = 1, .fields = ferr_fields, .post_load = ferr_post_load};

const struct dev_class ferr_class = {
    .name = "ferr",
    .size = sizeof(struct ferr),
    .init = ferr_init,
    .reset = ferr_reset,
    .reset_done = ferr_reset_done,
    .state = &ferr_state,
};
