/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IA-PC HPET specification 1.0a. */
#include "tests/fakevm.h"
#include "tests/tap.h"

#include "chipset/hpet.h"

#define BASE 0xfed00000ull
enum { CAP = 0, CONF = 0x10, STA = 0x20, CNT = 0xf0 };
static struct vm *vm;
static struct dev *hpet;
static struct fakevm_irqs irqs; /* pins 0-31: IOAPIC; 100, 108: IRQ0, IRQ8 */

static void make(void)
{
    struct err e = {0};
    vm = fakevm_new(1, 1);
    fakevm_irqs_init(&irqs);
    struct hpet_params p = {.base = BASE, .n_timers = 3, .msi = true, .irq0 = fakevm_irq(&irqs, 100), .irq8 = fakevm_irq(&irqs, 108),
                            .ioapic = &irqs.sink, .route_cap = 0x00f00000};
    hpet = dev_create(vm, &hpet_class, "hpet", &p, &e);
}
static uint64_t rd(unsigned r)
{
    return fakevm_mmio_read(vm, BASE + r, 8);
}
static void wr(unsigned r, uint64_t v)
{
    fakevm_mmio_write(vm, BASE + r, 8, v);
}
static unsigned conf(unsigned t)
{
    return 0x100 + 0x20 * t;
}
static unsigned cmp(unsigned t)
{
    return 0x108 + 0x20 * t;
}
/* Nanoseconds that n ticks last, rounded up. */
static int64_t ns(uint64_t n)
{
    return (int64_t)(((unsigned __int128)n * 69841279 + 999999) / 1000000);
}

static void test_regs(void)
{
    is_u64(rd(CAP), 0x0429b17f8086a201ull, "capabilities: 69841279 fs, 8086, legacy, 64 bits, 3 timers, revision 1");
    is_u64(rd(CONF), 0, "off after reset");
    is_u64(fakevm_mmio_read(vm, BASE + 4, 4), 0x0429b17f, "32-bit read of the period");
    is_u64(rd(conf(0)), 0x00f000000000a830ull, "timer 0: routes 20-23, routed to 20, FSB, 64 bits, periodic");
    is_u64(rd(cmp(0)), ~0ull, "comparator after reset");
    fakevm_advance(vm, 1000000);
    is_u64(rd(CNT), 0, "halted");
    wr(CONF, 1);
    fakevm_advance(vm, 1000000000);
    uint64_t c = rd(CNT);
    ok(c >= 14318178 && c <= 14318180, "14.318180 MHz (%llu ticks in 1 s)", (unsigned long long)c);
    wr(CONF, 0);
    fakevm_advance(vm, 1000000);
    is_u64(rd(CNT), c, "halted, it keeps its value");
    wr(CNT, 0x123456789abcull);
    is_u64(rd(CNT), 0x123456789abcull, "counter written while halted");
    fakevm_mmio_write(vm, BASE + CNT + 4, 4, 0x77);
    is_u64(rd(CNT), 0x0000007756789abcull, "its high half alone");
    wr(conf(0), 5 << 9);
    is_u64(rd(conf(0)) >> 9 & 31, 20, "a route that is not offered is not taken");
    wr(CNT, 0);
}

static void test_oneshot(void)
{
    wr(conf(0), 21 << 9 | 4);
    wr(cmp(0), 10000);
    wr(CONF, 1);
    fakevm_irqs_rises(&irqs, 21);
    fakevm_advance(vm, ns(10000) - 100);
    is_u64(fakevm_irqs_rises(&irqs, 21), 0, "not early");
    fakevm_advance(vm, 200);
    is_u64(fakevm_irqs_rises(&irqs, 21), 1, "one-shot edge on pin 21");
    fakevm_advance(vm, 10000000000);
    is_u64(fakevm_irqs_rises(&irqs, 21), 0, "once");
    wr(conf(0), 21 << 9 | 6); /* level */
    wr(cmp(0), rd(CNT) + 5000);
    fakevm_advance(vm, ns(5002));
    ok(fakevm_irqs_level(&irqs, 21), "level interrupt");
    is_u64(rd(STA), 1, "status bit");
    wr(STA, 1);
    ok(!fakevm_irqs_level(&irqs, 21), "cleared by writing 1");
    /* 32-bit mode wraps. */
    wr(CONF, 0);
    wr(CNT, 0xfffffff0);
    wr(conf(0), 21 << 9 | 4 | 0x100);
    wr(cmp(0), 0x1000);
    fakevm_irqs_rises(&irqs, 21);
    wr(CONF, 1);
    fakevm_advance(vm, ns(0x1012));
    is_u64(fakevm_irqs_rises(&irqs, 21), 1, "32-bit mode: match after the wrap");
    wr(conf(0), 0xa000 | 4 << 12);
    wr(CONF, 0);
}

static void test_periodic(void)
{
    wr(CNT, 0);
    wr(conf(1), 22 << 9 | 0x4c); /* VAL_SET, periodic, enabled */
    wr(cmp(1), 14318);
    is_u64(rd(conf(1)) & 0x40, 0, "VAL_SET clears itself");
    wr(cmp(1), 14318);
    wr(CONF, 1);
    fakevm_irqs_rises(&irqs, 22);
    fakevm_advance(vm, 1000000000);
    unsigned n = fakevm_irqs_rises(&irqs, 22);
    is_u64(n, 1000, "1000 Hz");
    is_u64(rd(cmp(1)), 14318u * 1001, "the comparator moves on");
    /* Phase and period apart, as Linux programs it, in 32-bit accesses. */
    wr(CONF, 0);
    wr(CNT, 0);
    fakevm_mmio_write(vm, BASE + conf(1), 4, 22 << 9 | 0x14c);
    fakevm_mmio_write(vm, BASE + cmp(1), 4, 100000);
    fakevm_mmio_write(vm, BASE + cmp(1), 4, 14318);
    wr(CONF, 1);
    fakevm_irqs_rises(&irqs, 22);
    fakevm_advance(vm, ns(99990));
    is_u64(fakevm_irqs_rises(&irqs, 22), 0, "phase");
    fakevm_advance(vm, ns(14318 * 10 + 20));
    is_u64(fakevm_irqs_rises(&irqs, 22), 11, "then period");
    wr(conf(1), 22 << 9);
    wr(CONF, 0);
}

static void test_legacy(void)
{
    const struct irq_sink *in = hpet_legacy_sink(hpet);
    in->set(in->ctl, 0, 0, true);
    ok(fakevm_irqs_level(&irqs, 100), "PIT passes through");
    wr(CONF, 2);
    ok(!fakevm_irqs_level(&irqs, 100), "legacy replacement cuts it off");
    in->set(in->ctl, 8, 0, true);
    ok(!fakevm_irqs_level(&irqs, 108), "and the RTC");
    wr(CNT, 0);
    wr(conf(0), 20 << 9 | 0x4c);
    wr(cmp(0), 14318);
    wr(conf(1), 20 << 9 | 4);
    wr(cmp(1), 1000);
    wr(CONF, 3);
    fakevm_irqs_rises(&irqs, 100);
    fakevm_irqs_rises(&irqs, 108);
    fakevm_irqs_rises(&irqs, 20);
    fakevm_advance(vm, 10000000);
    is_u64(fakevm_irqs_rises(&irqs, 100), 10, "timer 0 on IRQ0");
    is_u64(fakevm_irqs_rises(&irqs, 108), 1, "timer 1 on IRQ8");
    is_u64(fakevm_irqs_rises(&irqs, 20), 0, "not on their routes");
    wr(CONF, 1);
    ok(fakevm_irqs_level(&irqs, 100) && fakevm_irqs_level(&irqs, 108), "off again: PIT and RTC are back");
    wr(CONF, 0);
    in->set(in->ctl, 0, 0, false);
    in->set(in->ctl, 8, 0, false);
    ok(!fakevm_irqs_level(&irqs, 100), "PIT low");
}

static void test_fsb(void)
{
    uint64_t addr;
    uint32_t data;
    wr(CNT, 0);
    wr(conf(2), 20 << 9 | 0x4004);
    wr(0x150, 0xfee0100000004051ull);
    wr(cmp(2), 1000);
    unsigned before = fakevm_msis(vm, &addr, &data);
    wr(CONF, 1);
    fakevm_advance(vm, ns(1001));
    is_u64(fakevm_msis(vm, &addr, &data), before + 1, "FSB message");
    is_u64(addr, 0xfee01000, "its address");
    is_u64(data, 0x4051, "its data");
    /* Periodic messages, and an accumulator of 64 bits: the phase lies beyond 32 bits. */
    wr(CONF, 0);
    wr(CNT, 0x1fffff000);
    wr(conf(2), 20 << 9 | 0x404c);
    wr(cmp(2), 0x200000000);
    wr(cmp(2), 14318);
    before = fakevm_msis(vm, &addr, &data);
    wr(CONF, 1);
    fakevm_advance(vm, ns(0xff0));
    is_u64(fakevm_msis(vm, &addr, &data), before, "periodic messages: not before the 64-bit phase");
    fakevm_advance(vm, ns(0x20 + 14318 * 9));
    is_u64(fakevm_msis(vm, &addr, &data), before + 10, "one a period");
    is_u64(rd(cmp(2)), 0x200000000 + 14318 * 10, "the accumulator carries into its high half");
    is_u64(rd(STA), 0, "edges and messages leave the status register alone");
    fakevm_mmio_write(vm, BASE + conf(2), 4, 20 << 9);
    fakevm_advance(vm, ns(14318 * 3));
    is_u64(fakevm_msis(vm, &addr, &data), before + 10, "disabled: no more");
    wr(conf(2), 20 << 9 | 0x4044);
    is_u64(rd(conf(2)) & 0x4000, 0x4000, "FSB enable reads back");
    wr(CONF, 0);
    wr(conf(2), 20 << 9);
}

static void test_state(void)
{
    struct err e = {0};
    wr(CONF, 0);
    wr(CNT, 500);
    wr(conf(1), 22 << 9 | 0x4c);
    wr(cmp(1), 14318);
    wr(CONF, 1);
    fakevm_advance(vm, 5500000);
    uint64_t c = rd(CNT);
    struct vm *from = vm;
    make();
    ok(fakevm_migrate(from, vm, &e) == 0, "state round trip: %s", e.msg);
    is_u64(rd(CNT), c, "counter restored");
    fakevm_irqs_rises(&irqs, 22);
    fakevm_advance(vm, 10000000);
    is_u64(fakevm_irqs_rises(&irqs, 22), 10, "periodic timer goes on");
    fakevm_free(from);
}

int main(void)
{
    make();
    fakevm_reset(vm);
    test_regs();
    test_oneshot();
    test_periodic();
    test_legacy();
    test_fsb();
    test_state();
    fakevm_free(vm);
    return TAP_DONE();
}
