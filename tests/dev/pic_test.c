/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8259A: expected behaviour from the data sheet (Intel 231468) and, for the ELCR, the 82371AB's. */
#include "tests/fakevm.h"
#include "tests/tap.h"

#include "chipset/pic.h"

static struct vm *vm;
static struct dev *pic;
static struct fakevm_irqs out;

static void line(unsigned n, bool level)
{
    const struct irq_sink *s = pic_sink(pic);
    s->set(s->ctl, n, 0, level);
}
static void pulse(unsigned n)
{
    line(n, true);
    line(n, false);
}
static bool intr(void)
{
    return fakevm_irqs_level(&out, 0);
}
static void init(uint8_t icw4)
{
    fakevm_out(vm, 0x20, 1, 0x11);
    fakevm_out(vm, 0x21, 1, 0x08);
    fakevm_out(vm, 0x21, 1, 0x04);
    fakevm_out(vm, 0x21, 1, icw4);
    fakevm_out(vm, 0xa0, 1, 0x11);
    fakevm_out(vm, 0xa1, 1, 0x70);
    fakevm_out(vm, 0xa1, 1, 0x02);
    fakevm_out(vm, 0xa1, 1, icw4 & ~0x10);
    fakevm_out(vm, 0x21, 1, 0);
    fakevm_out(vm, 0xa1, 1, 0);
}
static uint8_t irr(uint16_t port)
{
    fakevm_out(vm, port, 1, 0x0a);
    return fakevm_in(vm, port, 1);
}
static uint8_t isr(uint16_t port)
{
    fakevm_out(vm, port, 1, 0x0b);
    return fakevm_in(vm, port, 1);
}

static void make(void)
{
    struct err e = {0};
    vm = fakevm_new(1, 1);
    fakevm_irqs_init(&out);
    pic = dev_create(vm, &pic_class, "pic", NULL, &e);
    struct irq_line l = fakevm_irq(&out, 0);
    pic_connect(pic, &l);
}

static void test_init(void)
{
    fakevm_out(vm, 0x21, 1, 0xa5);
    is_u64(fakevm_in(vm, 0x21, 1), 0xa5, "IMR reads back");
    fakevm_out(vm, 0x20, 1, 0x11);
    is_u64(fakevm_in(vm, 0x21, 1), 0, "ICW1 clears IMR");
    init(1);
    ok(!intr(), "no request after initialisation");
    is_u64(fakevm_in(vm, 0x20, 1), 0, "ICW1 selects IRR for reading");
}

static void test_fixed_priority(void)
{
    init(1);
    pulse(5);
    ok(intr(), "an edge raises INT");
    is_u64(irr(0x20), 0x20, "IRR holds the edge");
    pulse(1);
    is_u64(pic_inta(pic), 0x09, "IR1 goes before IR5");
    is_u64(isr(0x20), 0x02, "ISR shows level 1");
    is_u64(irr(0x20), 0x20, "IRR bit 1 is reset by the acknowledge");
    ok(!intr(), "IR5 waits while IR1 is in service");
    pulse(0);
    ok(intr(), "IR0 may interrupt IR1");
    is_u64(pic_inta(pic), 0x08, "IR0 vector");
    is_u64(isr(0x20), 0x03, "two levels in service");
    fakevm_out(vm, 0x20, 1, 0x20);
    is_u64(isr(0x20), 0x02, "non-specific EOI ends the highest level");
    fakevm_out(vm, 0x20, 1, 0x61);
    is_u64(isr(0x20), 0x00, "specific EOI");
    is_u64(pic_inta(pic), 0x0d, "then IR5");
    fakevm_out(vm, 0x20, 1, 0x20);
    fakevm_out(vm, 0x21, 1, 0x08);
    pulse(3);
    ok(!intr(), "a masked level does not raise INT");
    fakevm_out(vm, 0x21, 1, 0);
    ok(intr(), "but its edge is remembered");
    is_u64(pic_inta(pic), 0x0b, "and delivered after unmasking");
    fakevm_out(vm, 0x20, 1, 0x20);
}

static void test_cascade(void)
{
    init(1);
    pulse(8);
    pulse(12);
    is_u64(irr(0xa0), 0x11, "the slave's IRR");
    is_u64(irr(0x20), 0x04, "shows as IR2 at the master");
    is_u64(pic_inta(pic), 0x70, "slave vector");
    is_u64(isr(0x20), 0x04, "master: IR2 in service");
    is_u64(isr(0xa0), 0x01, "slave: IR0 in service");
    pulse(3);
    ok(!intr(), "IR3 is below the cascade");
    fakevm_out(vm, 0xa0, 1, 0x20);
    fakevm_out(vm, 0x20, 1, 0x20);
    ok(intr(), "after both EOIs");
    is_u64(pic_inta(pic), 0x74, "IRQ12 before IRQ3");
    fakevm_out(vm, 0xa0, 1, 0x20);
    fakevm_out(vm, 0x20, 1, 0x20);
    is_u64(pic_inta(pic), 0x0b, "then IRQ3");
    fakevm_out(vm, 0x20, 1, 0x20);
    /* Without special fully nested mode, a higher slave input waits; with it, it comes through. */
    pulse(14);
    pic_inta(pic);
    pulse(9);
    ok(!intr(), "fully nested: the slave in service blocks IRQ9");
    init(0x11);
    pulse(14);
    is_u64(pic_inta(pic), 0x76, "special fully nested: IRQ14");
    pulse(9);
    ok(intr(), "IRQ9 interrupts it");
    is_u64(pic_inta(pic), 0x71, "IRQ9's vector");
}

static void test_spurious(void)
{
    init(1);
    is_u64(pic_inta(pic), 0x0f, "INTA without a request: IR7's vector");
    is_u64(isr(0x20), 0, "and ISR stays clear");
    fakevm_out(vm, 0x4d1, 1, 0x02); /* IRQ9 level */
    line(9, true);
    ok(intr(), "level on IRQ9");
    line(9, false);
    ok(!intr(), "a level that goes takes its request along");
    fakevm_out(vm, 0x4d1, 1, 0);
}

static void test_rotation(void)
{
    init(1);
    fakevm_out(vm, 0x20, 1, 0xc4); /* set priority: IR4 lowest */
    pulse(4);
    pulse(5);
    pulse(0);
    is_u64(pic_inta(pic), 0x0d, "set priority: IR5 is highest");
    fakevm_out(vm, 0x20, 1, 0xa0); /* rotate on non-specific EOI: IR5 lowest */
    is_u64(pic_inta(pic), 0x08, "after rotating, IR6, IR7, IR0 ... : IR0 first");
    fakevm_out(vm, 0x20, 1, 0x20);
    is_u64(pic_inta(pic), 0x0c, "IR4 last");
    fakevm_out(vm, 0x20, 1, 0xe4); /* rotate on specific EOI of IR4 */
    pulse(4);
    pulse(5);
    is_u64(pic_inta(pic), 0x0d, "rotate on specific EOI made IR4 lowest");
    fakevm_out(vm, 0x20, 1, 0x20);
    pic_inta(pic);
    fakevm_out(vm, 0x20, 1, 0x20);
    init(3); /* AEOI */
    pulse(2 + 1);
    pic_inta(pic);
    is_u64(isr(0x20), 0, "automatic EOI");
    fakevm_out(vm, 0x20, 1, 0x80); /* rotate in AEOI mode */
    pulse(0);
    pulse(1);
    is_u64(pic_inta(pic), 0x08, "IR0 first");
    pulse(0);
    is_u64(pic_inta(pic), 0x09, "rotated: IR0 is lowest now");
    is_u64(pic_inta(pic), 0x08, "IR0 again");
    fakevm_out(vm, 0x20, 1, 0x00);
}

static void test_poll(void)
{
    init(1);
    fakevm_out(vm, 0x21, 1, 0);
    fakevm_out(vm, 0x20, 1, 0x0c);
    is_u64(fakevm_in(vm, 0x20, 1) & 0x80, 0, "poll: nothing");
    pulse(6);
    fakevm_out(vm, 0x20, 1, 0x0c);
    is_u64(fakevm_in(vm, 0x20, 1), 0x86, "poll: level 6");
    is_u64(isr(0x20), 0x40, "the poll read acknowledged it");
    ok(!intr(), "INT is low");
    fakevm_out(vm, 0x20, 1, 0x20);
}

static void test_special_mask(void)
{
    init(1);
    pulse(1);
    pic_inta(pic);
    pulse(5);
    ok(!intr(), "IR5 blocked");
    fakevm_out(vm, 0x20, 1, 0x68); /* special mask mode */
    ok(!intr(), "still: level 1 is not masked");
    fakevm_out(vm, 0x21, 1, 0x02);
    ok(intr(), "special mask mode with level 1 masked lets IR5 through");
    is_u64(pic_inta(pic), 0x0d, "IR5");
    fakevm_out(vm, 0x20, 1, 0x20);
    is_u64(isr(0x20), 0x02, "a non-specific EOI passes over the masked level");
    fakevm_out(vm, 0x20, 1, 0x48);
    fakevm_out(vm, 0x21, 1, 0);
    fakevm_out(vm, 0x20, 1, 0x20);
    is_u64(isr(0x20), 0, "and ends it in normal mode");
}

static void test_level(void)
{
    fakevm_out(vm, 0x4d0, 1, 0xff);
    fakevm_out(vm, 0x4d1, 1, 0xff);
    is_u64(fakevm_in(vm, 0x4d0, 1), 0xf8, "ELCR1: IRQ0-2 are edge only");
    is_u64(fakevm_in(vm, 0x4d1, 1), 0xde, "ELCR2: IRQ8 and IRQ13 are edge only");
    init(1);
    line(11, true);
    is_u64(pic_inta(pic), 0x73, "level IRQ11");
    fakevm_out(vm, 0xa0, 1, 0x20);
    fakevm_out(vm, 0x20, 1, 0x20);
    ok(intr(), "asked again while the line is high");
    pic_inta(pic);
    line(11, false);
    fakevm_out(vm, 0xa0, 1, 0x20);
    fakevm_out(vm, 0x20, 1, 0x20);
    ok(!intr(), "not after it fell");
    const struct irq_sink *s = pic_sink(pic);
    s->set(s->ctl, 10, 0, true);
    s->set(s->ctl, 10, 1, true);
    s->set(s->ctl, 10, 0, false);
    ok(intr(), "shared line: one source is still high");
    s->set(s->ctl, 10, 1, false);
    ok(!intr(), "both low");
    fakevm_out(vm, 0x4d0, 1, 0);
    fakevm_out(vm, 0x4d1, 1, 0);
    line(5, true);
    init(1);
    ok(!intr(), "ICW1 resets the edge sense: a line that is high needs a new edge");
    line(5, false);
    line(5, true);
    ok(intr(), "the new edge");
    line(5, false);
    pic_inta(pic);
}

static void test_state(void)
{
    struct err e = {0};
    init(1);
    pulse(1);
    pulse(9);
    line(4, true);
    pic_inta(pic);
    struct vm *from = vm;
    make();
    ok(fakevm_migrate(from, vm, &e) == 0, "state round trip: %s", e.msg);
    is_u64(isr(0x20), 0x02, "in-service level restored");
    is_u64(irr(0xa0), 0x02, "slave's request restored");
    fakevm_out(vm, 0x20, 1, 0x20);
    is_u64(pic_inta(pic), 0x71, "and delivered");
    fakevm_free(from);
}

int main(void)
{
    make();
    fakevm_reset(vm);
    test_init();
    test_fixed_priority();
    test_cascade();
    test_spurious();
    test_rotation();
    test_poll();
    test_special_mask();
    test_level();
    test_state();
    fakevm_free(vm);
    return TAP_DONE();
}
