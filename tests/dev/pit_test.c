/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8254: mode timing, latching and read-back as in the data sheet (Intel 231164); one tick is 88000/105 ns. */
#include "tests/fakevm.h"
#include "tests/tap.h"

#include "chipset/pit.h"

static struct vm *vm;
static struct fakevm_irqs irqs;
static int64_t at; /* clock_now, to move by whole ticks without adding up rounding */

static void make(void)
{
    struct err e = {0};
    vm = fakevm_new(1, 1);
    fakevm_irqs_init(&irqs);
    struct pit_params p = {.irq0 = fakevm_irq(&irqs, 0)};
    dev_create(vm, &pit_class, "pit", &p, &e);
}

/* Goes to the start of tick t (just after its edge). */
static void to_tick(uint64_t t)
{
    int64_t ns = (int64_t)((t * 88000 + 104) / 105);
    fakevm_advance(vm, ns - at);
    at = ns;
}
static uint64_t tick(void)
{
    return (uint64_t)at * 105 / 88000;
}
static void ticks(uint64_t n)
{
    to_tick(tick() + n);
}
static uint16_t count(unsigned c)
{
    fakevm_out(vm, 0x43, 1, c << 6);
    uint16_t lo = fakevm_in(vm, 0x40 + c, 1);
    return lo | fakevm_in(vm, 0x40 + c, 1) << 8;
}
static uint8_t status(unsigned c)
{
    fakevm_out(vm, 0x43, 1, 0xe0 | 2u << c);
    return fakevm_in(vm, 0x40 + c, 1);
}
static void program(unsigned c, unsigned mode, uint16_t n)
{
    fakevm_out(vm, 0x43, 1, c << 6 | 0x30 | mode << 1);
    fakevm_out(vm, 0x40 + c, 1, n & 0xff);
    fakevm_out(vm, 0x40 + c, 1, n >> 8);
}
static bool out2(void)
{
    return fakevm_in(vm, 0x61, 1) & 0x20;
}

static void test_mode0(void)
{
    program(0, 0, 4);
    is_u64(status(0), 0x70, "mode 0: OUT low, null count, RW 3, mode 0");
    ticks(1);
    is_u64(status(0) & 0xc0, 0x00, "loaded on the next clock");
    is_u64(count(0), 4, "count 4");
    ticks(3);
    is_u64(count(0), 1, "count 1");
    ok(!fakevm_irqs_level(&irqs, 0), "OUT low until N + 1 clocks");
    ticks(1);
    ok(fakevm_irqs_level(&irqs, 0), "terminal count: OUT high");
    is_u64(count(0), 0, "count 0");
    ticks(1);
    is_u64(count(0), 0xffff, "counts on through zero");
    fakevm_irqs_rises(&irqs, 0);
    fakevm_out(vm, 0x40, 1, 5);
    ok(!fakevm_irqs_level(&irqs, 0), "the first byte of a new count sets OUT low");
    is_u64(status(0) & 0x80, 0, "status agrees");
    fakevm_out(vm, 0x40, 1, 0);
    ticks(6);
    is_u64(fakevm_irqs_rises(&irqs, 0), 1, "and the second starts it");
}

static void test_mode2(void)
{
    program(0, 2, 100);
    fakevm_irqs_rises(&irqs, 0);
    ticks(1);
    is_u64(count(0), 100, "mode 2 counts from N");
    ok(status(0) & 0x80, "OUT high");
    ticks(98);
    is_u64(count(0), 2, "2");
    ok(status(0) & 0x80, "OUT still high");
    ticks(1);
    is_u64(count(0), 1, "1");
    ok(!(status(0) & 0x80), "OUT low for the last clock");
    ticks(1);
    is_u64(count(0), 100, "reloaded");
    is_u64(fakevm_irqs_rises(&irqs, 0), 1, "one rising edge a period");
    ticks(1000);
    is_u64(fakevm_irqs_rises(&irqs, 0), 10, "ten periods, ten edges");
    ticks(10);
    fakevm_out(vm, 0x40, 1, 80);
    fakevm_out(vm, 0x40, 1, 0);
    is_u64(count(0), 90, "a new count does not disturb the current period");
    ok(status(0) & 0x40, "null count until it is loaded");
    ticks(90);
    is_u64(count(0), 80, "and is loaded at its end");
    is_u64(fakevm_irqs_rises(&irqs, 0), 1, "edge at the old period's end");
    ticks(160);
    is_u64(fakevm_irqs_rises(&irqs, 0), 2, "then with the new period");
    /* 18.2 Hz: the count 0 is 65536. */
    program(0, 2, 0);
    ticks(1);
    fakevm_irqs_rises(&irqs, 0);
    fakevm_advance(vm, 10000000000ll);
    at += 10000000000ll;
    is_u64(fakevm_irqs_rises(&irqs, 0), 182, "182 interrupts in 10 s with count 0");
    program(0, 2, 1193); /* 1000.15 Hz */
    ticks(1);
    fakevm_irqs_rises(&irqs, 0);
    fakevm_advance(vm, 10000000000ll);
    at += 10000000000ll;
    is_u64(fakevm_irqs_rises(&irqs, 0), 10001, "1193: 10001 interrupts in 10 s");
}

static void test_mode3(void)
{
    fakevm_out(vm, 0x61, 1, 1);
    program(2, 3, 6);
    ticks(1);
    static const uint8_t even[] = {6, 4, 2, 6, 4, 2, 6}, even_out[] = {1, 1, 1, 0, 0, 0, 1};
    bool good = true, good_out = true;
    for (int i = 0; i < 7; i++, ticks(1)) {
        good &= count(2) == even[i];
        good_out &= out2() == even_out[i];
    }
    ok(good, "mode 3, even: counts by two, twice");
    ok(good_out, "and OUT is high for half the time");
    program(2, 3, 5);
    ticks(1);
    static const uint8_t odd[] = {4, 2, 0, 4, 2, 4}, odd_out[] = {1, 1, 1, 0, 0, 1};
    good = good_out = true;
    for (int i = 0; i < 6; i++, ticks(1)) {
        good &= count(2) == odd[i];
        good_out &= out2() == odd_out[i];
    }
    ok(good, "mode 3, odd: N - 1 counted by two");
    ok(good_out, "high for (N + 1) / 2, low for (N - 1) / 2");
    program(2, 3, 100);
    ticks(11);
    fakevm_out(vm, 0x42, 1, 20);
    fakevm_out(vm, 0x42, 1, 0);
    ticks(39);
    ok(out2(), "new count: the current half period is finished");
    ticks(1);
    ok(!out2(), "OUT falls");
    ticks(9);
    ok(!out2(), "low half of the new count");
    ticks(1);
    ok(out2(), "is 10 clocks");
    fakevm_out(vm, 0x61, 1, 0);
    ok(out2(), "gate low sets OUT high");
    ticks(100);
    fakevm_out(vm, 0x61, 1, 1);
    ticks(1);
    is_u64(count(2), 20, "gate trigger reloads");
}

static void test_oneshots(void)
{
    fakevm_out(vm, 0x61, 1, 0);
    program(2, 1, 10);
    ok(out2(), "mode 1: OUT high before the trigger");
    ticks(50);
    ok(out2(), "without gate nothing happens");
    fakevm_out(vm, 0x61, 1, 1);
    ticks(1);
    ok(!out2(), "trigger: OUT low");
    is_u64(count(2), 10, "count loaded");
    ticks(9);
    ok(!out2(), "low for N clocks");
    fakevm_out(vm, 0x61, 1, 0);
    fakevm_out(vm, 0x61, 1, 1);
    ticks(10);
    ok(!out2(), "retriggered");
    ticks(1);
    ok(out2(), "then high");

    program(0, 4, 7);
    fakevm_irqs_rises(&irqs, 0);
    ticks(7);
    ok(status(0) & 0x80, "mode 4: OUT high while counting");
    ticks(1);
    ok(!(status(0) & 0x80), "strobe low N + 1 clocks after the write");
    ticks(1);
    ok(status(0) & 0x80, "for one clock");
    ticks(100);
    is_u64(fakevm_irqs_rises(&irqs, 0), 1, "one edge only");

    fakevm_out(vm, 0x61, 1, 0);
    program(2, 5, 3);
    fakevm_out(vm, 0x61, 1, 1);
    ticks(3);
    ok(out2(), "mode 5: high");
    ticks(1);
    ok(!out2(), "strobe after N clocks from the trigger");
    ticks(1);
    ok(out2(), "one clock");

    fakevm_out(vm, 0x61, 1, 1);
    program(2, 0, 100);
    ticks(11);
    fakevm_out(vm, 0x61, 1, 0);
    ticks(500);
    is_u64(count(2), 90, "mode 0: a low gate stops the count");
    fakevm_out(vm, 0x61, 1, 1);
    ticks(40);
    is_u64(count(2), 50, "and a high one lets it go on");
}

static void test_access(void)
{
    program(0, 2, 0x1234);
    ticks(1);
    fakevm_out(vm, 0x43, 1, 0x00);
    ticks(100);
    is_u64(fakevm_in(vm, 0x40, 1), 0x34, "latched count, low byte");
    fakevm_out(vm, 0x43, 1, 0x00);
    is_u64(fakevm_in(vm, 0x40, 1), 0x12, "a second latch command is ignored until the first is read");
    is_u64(count(0), 0x1234 - 100, "then latched anew");
    fakevm_out(vm, 0x43, 1, 0xc2); /* read back: count and status of counter 0 */
    is_u64(fakevm_in(vm, 0x40, 1), 0xb4, "status is read first: OUT, RW 3, mode 2");
    uint16_t lo = fakevm_in(vm, 0x40, 1);
    is_u64(lo | fakevm_in(vm, 0x40, 1) << 8, 0x1234 - 100, "then the count");
    fakevm_out(vm, 0x43, 1, 0x15); /* counter 0, LSB only, mode 2, BCD */
    fakevm_out(vm, 0x40, 1, 0x50);
    ticks(1);
    fakevm_out(vm, 0x43, 1, 0x00);
    is_u64(fakevm_in(vm, 0x40, 1), 0x50, "BCD, one byte");
    ticks(1);
    fakevm_out(vm, 0x43, 1, 0x00);
    is_u64(fakevm_in(vm, 0x40, 1), 0x49, "counts in BCD");
    fakevm_out(vm, 0x43, 1, 0x24); /* MSB only */
    fakevm_out(vm, 0x40, 1, 0x02);
    ticks(2);
    fakevm_out(vm, 0x43, 1, 0x00);
    is_u64(fakevm_in(vm, 0x40, 1), 0x01, "MSB only: 0200h - 1");
    is_u64(fakevm_in(vm, 0x43, 1), 0xff, "the control port cannot be read");
}

static void test_port61(void)
{
    unsigned toggles = 0;
    uint8_t last = fakevm_in(vm, 0x61, 1) & 0x10;
    for (int i = 0; i < 1000; i++) {
        fakevm_advance(vm, 1000);
        at += 1000;
        uint8_t now = fakevm_in(vm, 0x61, 1) & 0x10;
        toggles += now != last;
        last = now;
    }
    ok(toggles >= 65 && toggles <= 67, "refresh toggles every 15.085 us (%u in 1 ms)", toggles);
    fakevm_out(vm, 0x61, 1, 0xff);
    is_u64(fakevm_in(vm, 0x61, 1) & 0xcf, 0x0f, "bits 3:0 are read-write, 7:6 read zero");
    fakevm_out(vm, 0x61, 1, 0);
}

static void test_state(void)
{
    struct err e = {0};
    program(0, 2, 1000);
    fakevm_out(vm, 0x61, 1, 1);
    program(2, 3, 777);
    ticks(300);
    struct vm *from = vm;
    make();
    ok(fakevm_migrate(from, vm, &e) == 0, "state round trip: %s", e.msg);
    is_u64(count(0), 1000 - 299, "count goes on");
    fakevm_irqs_rises(&irqs, 0);
    ticks(2000);
    is_u64(fakevm_irqs_rises(&irqs, 0), 2, "and interrupts");
    fakevm_free(from);
}

int main(void)
{
    make();
    fakevm_reset(vm);
    test_mode0();
    test_mode2();
    test_mode3();
    test_oneshots();
    test_access();
    test_port61();
    test_state();
    fakevm_free(vm);
    return TAP_DONE();
}
