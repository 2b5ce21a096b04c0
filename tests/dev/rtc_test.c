/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MC146818: registers, alarms and interrupts as in the data sheet. The fake vm's wall clock starts at 2023-11-14 22:13:20 UTC, a Tuesday. */
#include <string.h>

#include "tests/fakevm.h"
#include "tests/tap.h"

#include "chipset/rtc.h"

#define S 1000000000ll
static struct vm *vm;
static struct fakevm_irqs irqs;
static uint8_t nvram[RTC_NVRAM_SIZE];
static unsigned changes;

static void changed(void *u)
{
    changes++;
}

static void make(void)
{
    struct err e = {0};
    static const struct rtc_preset preset[] = {{0x38, 0x30}, {0x3d, 0x21}};
    vm = fakevm_new(1, 1);
    fakevm_irqs_init(&irqs);
    struct rtc_params p = {.irq8 = fakevm_irq(&irqs, 8), .alarm = fakevm_irq(&irqs, 9), .nvram = nvram, .nvram_changed = changed,
                           .preset = preset, .n_preset = 2};
    dev_create(vm, &rtc_class, "rtc", &p, &e);
}
static uint8_t rd(uint8_t i)
{
    fakevm_out(vm, 0x70, 1, i);
    return fakevm_in(vm, 0x71, 1);
}
static void wr(uint8_t i, uint8_t v)
{
    fakevm_out(vm, 0x70, 1, i);
    fakevm_out(vm, 0x71, 1, v);
}
static void is_time(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s, const char *what)
{
    unsigned got[6] = {rd(0x32) << 8 | rd(9), rd(8), rd(7), rd(4), rd(2), rd(0)};
    if (!ok(got[0] == y && got[1] == mo && got[2] == d && got[3] == h && got[4] == mi && got[5] == s, "%s", what))
        printf("# got %04x-%02x-%02x %02x:%02x:%02x\n", got[0], got[1], got[2], got[3], got[4], got[5]);
}
static void set_time(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s)
{
    wr(0x0b, rd(0x0b) | 0x80);
    wr(0x32, y >> 8);
    wr(9, y);
    wr(8, mo);
    wr(7, d);
    wr(4, h);
    wr(2, mi);
    wr(0, s);
    wr(0x0b, rd(0x0b) & 0x7f);
}

static void test_clock(void)
{
    is_time(0x2023, 0x11, 0x14, 0x22, 0x13, 0x20, "the clock shows the wall clock, BCD, 24 hours");
    is_u64(rd(6), 3, "Tuesday is day 3");
    is_u64(rd(0x0a), 0x26, "register A: 32.768 kHz, rate 6");
    is_u64(rd(0x0b), 0x02, "register B: 24 hours");
    is_u64(rd(0x0d), 0x80, "register D: battery good");
    fakevm_advance(vm, 6400 * S);
    is_time(0x2023, 0x11, 0x15, 0x00, 0x00, 0x00, "midnight");
    set_time(0x2024, 0x02, 0x28, 0x23, 0x59, 0x59);
    is_time(0x2024, 0x02, 0x28, 0x23, 0x59, 0x59, "set");
    fakevm_advance(vm, S);
    is_time(0x2024, 0x02, 0x29, 0x00, 0x00, 0x00, "leap day");
    fakevm_advance(vm, 86400 * S);
    is_time(0x2024, 0x03, 0x01, 0x00, 0x00, 0x00, "March");
    set_time(0x1999, 0x12, 0x31, 0x23, 0x59, 0x59);
    fakevm_advance(vm, S);
    is_time(0x2000, 0x01, 0x01, 0x00, 0x00, 0x00, "century");
    is_u64(rd(6), 7, "2000-01-01 was a Saturday");
    /* SET stops the clock. */
    wr(0x0b, 0x82);
    fakevm_advance(vm, 10 * S);
    is_time(0x2000, 0x01, 0x01, 0x00, 0x00, 0x00, "SET holds the time");
    wr(0x0b, 0x02);
    is_time(0x2000, 0x01, 0x01, 0x00, 0x00, 0x00, "and it goes on from there");
    /* Formats. */
    set_time(0x2001, 0x09, 0x09, 0x13, 0x45, 0x59);
    wr(0x0b, 0x00);
    is_u64(rd(4), 0x81, "12 hours: 1 PM");
    wr(0x0b, 0x06);
    is_u64(rd(2), 45, "binary minutes");
    is_u64(rd(4), 13, "binary hours");
    wr(0x0b, 0x04);
    is_u64(rd(4), 0x81, "binary, 12 hours");
    wr(4, 0x8c);
    wr(0x0b, 0x02);
    is_u64(rd(4), 0x12, "12 PM is noon");
    wr(0x0b, 0x00);
    wr(4, 0x12);
    wr(0x0b, 0x02);
    is_u64(rd(4), 0x00, "12 AM is midnight");
    /* Divider reset: the next second comes half a second after it ends. */
    wr(0x0a, 0x70);
    set_time(0x2001, 0x01, 0x01, 0x10, 0x00, 0x00);
    fakevm_advance(vm, 10 * S);
    wr(0x0a, 0x26);
    fakevm_advance(vm, 499 * 1000000ll);
    is_u64(rd(0), 0x00, "499 ms after the divider reset");
    fakevm_advance(vm, 2 * 1000000ll);
    is_u64(rd(0), 0x01, "501 ms after it");
}

static void test_uip(void)
{
    /* From here to the next second boundary. */
    while (!(rd(0x0a) & 0x80))
        fakevm_advance(vm, 10000);
    uint8_t sec = rd(0);
    int us = 0;
    for (; rd(0x0a) & 0x80; us++)
        fakevm_advance(vm, 1000);
    ok(us >= 230 && us <= 244, "UIP for 244 us before the update (%d us seen)", us);
    ok(rd(0) != sec, "then the second has changed");
}

static void test_irqs(void)
{
    wr(0x0b, 0x12); /* UIE */
    rd(0x0c);
    fakevm_irqs_rises(&irqs, 8);
    unsigned n = 0;
    for (int i = 0; i < 100; i++) {
        fakevm_advance(vm, S / 10);
        if (fakevm_irqs_level(&irqs, 8)) {
            n++;
            is_u64(rd(0x0c) & 0x90, 0x90, "IRQF and UF");
        }
    }
    is_u64(n, 10, "update interrupt every second");
    wr(0x0b, 0x02);
    fakevm_advance(vm, 2 * S);
    ok(!fakevm_irqs_level(&irqs, 8), "no line without UIE");
    is_u64(rd(0x0c) & 0x90, 0x10, "but the flag");
    is_u64(rd(0x0c), 0, "which reading clears");
    /* Periodic: rate 6 = 1024 Hz. */
    wr(0x0b, 0x42);
    rd(0x0c);
    for (n = 0; n < 5000 && !fakevm_irqs_level(&irqs, 8); n++)
        fakevm_advance(vm, 1000);
    fakevm_irqs_rises(&irqs, 8);
    rd(0x0c);
    n = 0;
    for (int i = 0; i < 20000; i++) {
        fakevm_advance(vm, 100000);
        if (fakevm_irqs_level(&irqs, 8)) {
            n++;
            rd(0x0c);
        }
    }
    ok(n >= 2047 && n <= 2049, "1024 Hz periodic interrupt (%u in 2 s)", n);
    wr(0x0a, 0x2f); /* 2 Hz */
    rd(0x0c);
    n = 0;
    for (int i = 0; i < 100; i++) {
        fakevm_advance(vm, S / 10);
        if (fakevm_irqs_level(&irqs, 8)) {
            n++;
            rd(0x0c);
        }
    }
    is_u64(n, 20, "2 Hz periodic interrupt");
    wr(0x0a, 0x26);
    /* A guest that does not read C for 20 ms gets the ticks later. */
    rd(0x0c);
    fakevm_advance(vm, 20 * 1000000ll);
    n = 0;
    for (int i = 0; i < 400; i++) {
        if (fakevm_irqs_level(&irqs, 8)) {
            n++;
            rd(0x0c);
        }
        fakevm_advance(vm, 50000);
    }
    ok(n >= 39 && n <= 42, "late periodic interrupts are made up for (%u in 40 ms)", n);
    wr(0x0b, 0x02);
    rd(0x0c);
}

static void test_alarm(void)
{
    set_time(0x2020, 0x05, 0x05, 0x08, 0x00, 0x00);
    wr(1, 0x30);
    wr(3, 0x01);
    wr(5, 0x08);
    rd(0x0c);
    fakevm_irqs_rises(&irqs, 9);
    wr(0x0b, 0x22); /* AIE */
    fakevm_advance(vm, 89 * S);
    ok(!fakevm_irqs_level(&irqs, 8), "no alarm before 08:01:30");
    fakevm_advance(vm, S + S / 2);
    ok(fakevm_irqs_level(&irqs, 8), "alarm at 08:01:30");
    is_u64(fakevm_irqs_rises(&irqs, 9), 1, "and the wake line");
    is_u64(rd(0x0c) & 0xa0, 0xa0, "IRQF and AF");
    fakevm_advance(vm, 86400 * S - 3 * S);
    ok(!fakevm_irqs_level(&irqs, 8), "not before the next day");
    fakevm_advance(vm, 3 * S);
    ok(fakevm_irqs_level(&irqs, 8), "the next day");
    rd(0x0c);
    wr(3, 0xff); /* don't care: every hour:any minute at :30 */
    wr(5, 0xc0);
    unsigned n = 0;
    for (int i = 0; i < 300; i++) {
        fakevm_advance(vm, S);
        if (fakevm_irqs_level(&irqs, 8)) {
            n++;
            rd(0x0c);
        }
    }
    is_u64(n, 5, "don't care: once a minute");
    wr(1, 0xff);
    n = 0;
    for (int i = 0; i < 10; i++) {
        fakevm_advance(vm, S);
        if (fakevm_irqs_level(&irqs, 8)) {
            n++;
            rd(0x0c);
        }
    }
    is_u64(n, 10, "all don't care: every second");
    wr(1, 0x99);
    fakevm_advance(vm, 200000 * S);
    is_u64(rd(0x0c) & 0x20, 0x00, "an impossible alarm time never comes");
    wr(0x0b, 0x02);
}

static void test_ram(void)
{
    is_u64(rd(0x38), 0x30, "preset byte");
    is_u64(rd(0x3d), 0x21, "preset boot order");
    is_u64(nvram[0x3d], 0x21, "is in the NVRAM image too");
    unsigned before = changes;
    wr(0x40, 0x5a);
    is_u64(rd(0x40), 0x5a, "RAM");
    is_u64(nvram[0x40], 0x5a, "written through");
    is_u64(changes, before + 1, "told once");
    wr(0x40, 0x5a);
    is_u64(changes, before + 1, "not again for the same value");
    fakevm_out(vm, 0x72, 1, 0x40);
    fakevm_out(vm, 0x73, 1, 0xa5);
    is_u64(fakevm_in(vm, 0x73, 1), 0xa5, "extended bank");
    is_u64(rd(0x40), 0x5a, "is another one");
    is_u64(nvram[128 + 0x40], 0xa5, "and persistent");
    fakevm_out(vm, 0x70, 1, 0x80 | 0x40);
    is_u64(fakevm_in(vm, 0x71, 1), 0x5a, "bit 7 of the index is the NMI mask");
    struct err e = {0};
    wr(0x0b, 0x52);
    vm_reset(vm, RESET_WARM, &e);
    is_u64(rd(0x0b), 0x02, "reset clears the interrupt enables");
    is_u64(rd(0x40), 0x5a, "and keeps the RAM");
}

static void test_state(void)
{
    struct err e = {0};
    set_time(0x2030, 0x01, 0x02, 0x03, 0x04, 0x05);
    wr(0x0b, 0x12);
    rd(0x0c);
    struct vm *from = vm;
    make();
    ok(fakevm_migrate(from, vm, &e) == 0, "state round trip: %s", e.msg);
    is_time(0x2030, 0x01, 0x02, 0x03, 0x04, 0x05, "time restored");
    fakevm_advance(vm, S);
    ok(fakevm_irqs_level(&irqs, 8), "interrupt goes on");
    fakevm_free(from);
}

int main(void)
{
    memset(nvram, 0xff, sizeof nvram);
    make();
    fakevm_reset(vm);
    test_clock();
    test_uip();
    test_irqs();
    test_alarm();
    test_ram();
    test_state();
    fakevm_free(vm);
    return TAP_DONE();
}
