/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test machine itself: a small device with a port, MMIO, a timer and a line, driven through all of fakevm's calls.
 */
#include "tests/fakevm.h"

#include <string.h>

#include "core/state.h"
#include "tests/tap.h"

struct toy {
    struct dev dev;
    struct vtimer timer;
    struct irq_line irq;
    uint32_t reg, fired;
    struct memregion mr;
};

static uint64_t toy_read(void *dev, uint64_t off, unsigned size) { return off == 0 ? ((struct toy *)dev)->reg : 0x55; }
static void toy_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct toy *t = dev;
    if (off == 0)
        t->reg = (uint32_t)val;
    if (off == 4)
        vtimer_arm(&t->timer, clock_now(t->dev.vm) + (int64_t)val);
    if (off == 5)
        irq_set(&t->irq, false);
}
static const struct io_ops toy_ops = {.read = toy_read, .write = toy_write};

static void toy_fire(void *dev)
{
    struct toy *t = dev;
    t->fired++;
    irq_set(&t->irq, true);
}

static int toy_init(struct dev *d, const void *params, struct err *e)
{
    struct toy *t = (struct toy *)d;
    t->irq = *(const struct irq_line *)params;
    vtimer_init(&t->timer, d->vm, toy_fire, t);
    if (port_claim(d->vm, &(struct port_range){.owner = "toy", .first = 0x300, .count = 8, .ops = &toy_ops, .dev = t},
                   e))
        return -1;
    t->mr = (struct memregion){.owner = "toy",
                               .base = 0xf0000000,
                               .size = 0x1000,
                               .kind = MR_MMIO,
                               .enabled = true,
                               .ops = &toy_ops,
                               .dev = t};
    memmap_begin(d->vm);
    memmap_add(d->vm, &t->mr);
    return memmap_commit(d->vm, e);
}
static void toy_reset(struct dev *d, enum reset_kind k) { ((struct toy *)d)->reg = 7; }

static const struct state_desc toy_state = {
    .name = "toy",
    .version = 1,
    .min_version = 1,
    .fields =
        (const struct state_field[]){
            SF(struct toy, reg, SF_U32), SF(struct toy, fired, SF_U32), SF(struct toy, timer, SF_VTIMER), {0}},
};
static const struct dev_class toy_class = {
    .name = "toy", .size = sizeof(struct toy), .init = toy_init, .reset = toy_reset, .state = &toy_state};

static void post_fn(void *arg) { ++*(int *)arg; }

int main(void)
{
    struct err e = {0};
    struct fakevm_irqs q;
    fakevm_irqs_init(&q);
    struct irq_line line = fakevm_irq(&q, 5);
    struct vm *vm = fakevm_new(4, 2);
    struct toy *t = (struct toy *)dev_create(vm, &toy_class, "toy0", &line, &e);
    ok(t != NULL, "the device is made: %s", e.msg);
    ok(!dev_create(vm, &toy_class, "toy1", &line, &e) && strstr(e.msg, "0300"), "a second one collides: %s", e.msg);
    fakevm_reset(vm);
    is_u64(fakevm_in(vm, 0x300, 4), 7, "register after reset");
    fakevm_out(vm, 0x300, 4, 0x12345678);
    is_u64(fakevm_mmio_read(vm, 0xf0000000, 4), 0x12345678, "port and memory reach the same register");
    is_u64(fakevm_in(vm, 0x310, 2), 0xffff, "nobody home");
    int posted = 0;
    chipset_post(vm, post_fn, &posted);
    ok(posted == 0, "a post does not run at once");
    fakevm_run_posts(vm);
    ok(posted == 1, "a post runs");
    fakevm_out(vm, 0x304, 1, 100);
    fakevm_advance(vm, 99);
    ok(!fakevm_irqs_level(&q, 5), "not yet");
    fakevm_advance(vm, 1);
    ok(fakevm_irqs_level(&q, 5) && fakevm_irqs_rises(&q, 5) == 1, "the timer raises the line in time");
    fakevm_out(vm, 0x305, 1, 0);
    ok(!fakevm_irqs_level(&q, 5), "acknowledged");
    fakevm_out(vm, 0x304, 1, 200);
    struct vm *to = fakevm_new(4, 2);
    struct toy *t2 = (struct toy *)dev_create(to, &toy_class, "toy0", &line, &e);
    fakevm_ram(vm)[100] = 42;
    ok(!fakevm_migrate(vm, to, &e), "save, load, save gives the same: %s", e.msg);
    ok(t2->reg == 0x12345678 && t2->fired == 1 && fakevm_ram(to)[100] == 42, "state and memory have moved");
    fakevm_advance(to, 200);
    ok(t2->fired == 2, "the timer moved as well");
    vm_wish(vm, WISH_RESET);
    ok(fakevm_wishes(vm, WISH_RESET) == 1 && fakevm_wishes(vm, WISH_OFF) == 0, "wishes are counted");
    irq_msi(vm, 0xfee00000, 0x41);
    uint32_t data;
    ok(fakevm_msis(vm, NULL, &data) == 1 && data == 0x41, "MSIs are counted");
    vcpu_request(vm_vcpu(vm, 1), VR_INTR);
    is_u64(fakevm_requests(vm, 1), VR_INTR, "requests are seen");
    fakevm_free(to);
    fakevm_free(vm);
    return TAP_DONE();
}
