/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550A against National's data sheet TL/C/8652, and the probes of Linux's 8250 driver. */
#include <string.h>

#include "serial/char_mem.h"
#include "serial/uart.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

enum { BASE = 0x3f8, IRQ = 4 };
enum { RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

struct box {
    struct vm *vm;
    struct dev *uart;
    struct chardev *c;
    struct fakevm_irqs irqs;
};

static void box_make(struct box *x)
{
    struct err e = {0};
    memset(x, 0, sizeof *x);
    x->vm = fakevm_new(1, 1);
    fakevm_irqs_init(&x->irqs);
    x->c = char_mem_new(4096);
    struct uart_params p = {.base = BASE, .irq = fakevm_irq(&x->irqs, IRQ), .chr = x->c};
    x->uart = dev_create(x->vm, &uart_class, "serial0", &p, &e);
}
static void box_free(struct box *x)
{
    fakevm_free(x->vm);
    char_mem_free(x->c);
}

static uint8_t in(struct box *x, unsigned r) { return (uint8_t)fakevm_in(x->vm, (uint16_t)(BASE + r), 1); }
static void out(struct box *x, unsigned r, uint8_t v) { fakevm_out(x->vm, (uint16_t)(BASE + r), 1, v); }
static bool irq(struct box *x) { return fakevm_irqs_level(&x->irqs, IRQ); }
static const char *sent(struct box *x)
{
    static char buf[4097];
    buf[char_mem_take(x->c, buf, 4096)] = 0;
    return buf;
}

static void test_registers(struct box *x)
{
    is_u64(in(x, IER), 0x00, "IER after reset");
    is_u64(in(x, IIR), 0x01, "IIR after reset");
    is_u64(in(x, LCR), 0x00, "LCR after reset");
    is_u64(in(x, MCR), 0x00, "MCR after reset");
    is_u64(in(x, LSR), 0x60, "LSR after reset");
    is_u64(in(x, MSR), 0xb0, "MSR: carrier, ready, clear to send");
    out(x, IER, 0xff);
    is_u64(in(x, IER), 0x0f, "IER has four bits");
    out(x, IER, 0);
    in(x, IIR);
    out(x, MCR, 0xff);
    is_u64(in(x, MCR), 0x1f, "MCR has five bits");
    out(x, MCR, 0);
    in(x, MSR);
    out(x, SCR, 0xa5);
    is_u64(in(x, SCR), 0xa5, "scratch");
    out(x, LCR, 0x80);
    out(x, RBR, 0x34);
    out(x, IER, 0x12);
    is_u64(in(x, RBR) | in(x, IER) << 8, 0x1234, "divisor latch");
    out(x, RBR, 1);
    out(x, IER, 0);
    out(x, LCR, 0x03);
    is_u64(in(x, IER), 0, "IER is not the divisor");
    /* Linux: 16550A when both upper bits of IIR are set with FIFOs on. */
    out(x, IIR, 0x01);
    is_u64(in(x, IIR), 0xc1, "FIFOs on");
    out(x, IIR, 0x00);
    is_u64(in(x, IIR), 0x01, "FIFOs off");
    out(x, IIR, 0xc0);
    is_u64(in(x, IIR), 0x01, "FCR is not programmed without bit 0");
}

static void test_loopback(struct box *x)
{
    out(x, MCR, 0x10);
    is_u64(in(x, MSR) & 0xf0, 0, "loopback: lines are low");
    in(x, MSR);
    out(x, MCR, 0x1a);
    is_u64(in(x, MSR) & 0xf0, 0x90, "loopback: RTS is CTS, OUT2 is DCD (Linux's test)");
    out(x, MCR, 0x15);
    is_u64(in(x, MSR), 0x6b, "DTR is DSR, OUT1 is RI; CTS, DSR and DCD changed");
    is_u64(in(x, MSR), 0x60, "delta bits are cleared by the read");
    out(x, MCR, 0x10);
    is_u64(in(x, MSR), 0x06, "trailing edge of RI");
    out(x, RBR, 0x41);
    is_u64(in(x, LSR) & 1, 1, "loopback: data ready");
    is_u64(in(x, RBR), 0x41, "loopback: the byte");
    ok(!*sent(x), "nothing leaves");
    out(x, RBR, 1);
    out(x, RBR, 2);
    is_u64(in(x, LSR), 0x63, "overrun without FIFO");
    is_u64(in(x, LSR), 0x61, "read clears it");
    is_u64(in(x, RBR), 2, "the newer byte is kept");
    out(x, LCR, 0x43);
    is_u64(in(x, LSR), 0x71, "break");
    is_u64(in(x, RBR), 0, "break is a zero");
    out(x, LCR, 0x03);
    out(x, MCR, 0);
    in(x, MSR);
}

static void test_transmit(struct box *x)
{
    out(x, IIR, 0x07);
    for (const char *s = "Hello, world"; *s; s++) {
        ok(in(x, LSR) & 0x20, "ready for '%c'", *s);
        out(x, RBR, (uint8_t)*s);
    }
    ok(!strcmp(sent(x), "Hello, world"), "polled output");
    fakevm_advance(x->vm, 1000000);
    in(x, IIR);
    out(x, MCR, 0x08);
    out(x, IER, 0x02);
    ok(irq(x), "THRE interrupt when it is enabled");
    is_u64(in(x, IIR), 0xc2, "its IIR");
    ok(!irq(x), "reading IIR clears it");
    out(x, IER, 0x00);
    out(x, IER, 0x02);
    is_u64(in(x, IIR), 0xc2, "enabled again: again (Linux's THRE test)");
    for (int i = 0; i < 16; i++)
        out(x, RBR, (uint8_t)('a' + i));
    ok(!irq(x), "no interrupt at once after a burst");
    fakevm_advance(x->vm, 100000);
    ok(irq(x), "but soon");
    out(x, MCR, 0);
    ok(!irq(x), "OUT2 gates the interrupt");
    out(x, MCR, 8);
    in(x, IIR);
    ok(!strcmp(sent(x), "abcdefghijklmnop"), "the burst");
    /* a back end that takes nothing */
    char_mem_stall(x->c, true);
    for (int i = 0; i < 20; i++)
        out(x, RBR, (uint8_t)('A' + i));
    is_u64(in(x, LSR) & 0x60, 0, "stalled: THRE and TEMT stay clear");
    fakevm_advance(x->vm, 10000000);
    ok(!irq(x), "and there is no interrupt");
    char_mem_stall(x->c, false);
    ok(irq(x), "taken: interrupt");
    is_u64(in(x, LSR) & 0x60, 0x60, "empty");
    ok(!strcmp(sent(x), "ABCDEFGHIJKLMNOP"), "16 bytes were kept");
    char_mem_stall(x->c, true);
    out(x, RBR, 'x');
    out(x, IIR, 0x05);
    char_mem_stall(x->c, false);
    ok(!*sent(x), "clearing the transmit FIFO drops it");
    out(x, IER, 0);
    in(x, IIR);
}

static void test_receive(struct box *x)
{
    out(x, IIR, 0x00);
    char_mem_feed(x->c, "xyz", 3);
    is_u64(in(x, LSR) & 1, 1, "data ready");
    is_u64(char_mem_pending(x->c), 2, "one byte at a time without FIFO");
    is_u64(in(x, RBR), 'x', "first");
    is_u64(in(x, RBR), 'y', "second");
    is_u64(in(x, RBR), 'z', "third");
    is_u64(in(x, LSR) & 1, 0, "empty");
    out(x, IIR, 0x87); /* trigger at 8 */
    out(x, IER, 0x01);
    char_mem_feed(x->c, "1234567", 7);
    ok(!irq(x), "7 bytes: below the trigger level");
    /* 115200 baud, 10 bits: four characters are 347 us */
    fakevm_advance(x->vm, 340000);
    ok(!irq(x), "before four character times");
    fakevm_advance(x->vm, 10000);
    ok(irq(x), "after them: character timeout");
    is_u64(in(x, IIR), 0xcc, "its IIR");
    is_u64(in(x, RBR), '1', "a read");
    is_u64(in(x, IIR), 0xc1, "clears it");
    char_mem_feed(x->c, "89", 2);
    is_u64(in(x, IIR), 0xc4, "trigger level");
    is_u64(in(x, RBR), '2', "a read");
    ok(!irq(x), "below the trigger level again");
    out(x, IIR, 0x83);
    is_u64(in(x, LSR) & 1, 0, "receive FIFO cleared");
    char buf[100];
    memset(buf, 'q', sizeof buf);
    char_mem_feed(x->c, buf, sizeof buf);
    is_u64(char_mem_pending(x->c), 84, "16 bytes in the FIFO, the rest waits");
    unsigned n = 0;
    while (in(x, LSR) & 1 && n < 200) {
        n += in(x, RBR) == 'q';
    }
    is_u64(n, 100, "all of them arrive");
    is_u64(in(x, LSR) & 2, 0, "no overrun");
    /* priorities: line status, data, THRE, modem */
    out(x, IER, 0x0f);
    in(x, MSR);
    x->c->carrier(x->c->front, false);
    is_u64(in(x, IIR), 0xc2, "THRE before modem status");
    is_u64(in(x, IIR), 0xc0, "modem status");
    is_u64(in(x, MSR), 0x0b, "carrier, ready and clear to send went away");
    is_u64(in(x, IIR), 0xc1, "cleared");
    x->c->carrier(x->c->front, true);
    in(x, MSR);
    out(x, IER, 0);
    bool dtr, rts;
    out(x, MCR, 0x03);
    char_mem_lines(x->c, &dtr, &rts);
    ok(dtr && rts, "DTR and RTS reach the back end");
}

static void test_migrate(struct box *x)
{
    struct box y;
    struct err e = {0};
    out(x, MCR, 0x0b);
    out(x, IIR, 0xc1);
    out(x, IER, 0x03);
    char_mem_feed(x->c, "ab", 2);
    char_mem_stall(x->c, true);
    out(x, RBR, 'z');
    box_make(&y);
    ok(!fakevm_migrate(x->vm, y.vm, &e), "saved and loaded: %s", e.msg);
    fakevm_advance(y.vm, 1000000);
    ok(irq(&y), "the timeout comes after load");
    ok(in(&y, RBR) == 'a' && in(&y, RBR) == 'b', "FIFO after load");
    uart_connect(y.uart, NULL);
    is_u64(in(&y, MSR) & 0xf0, 0, "disconnected");
    out(&y, RBR, 'k');
    is_u64(in(&y, LSR) & 0x60, 0x60, "output to nowhere vanishes");
    uart_connect(y.uart, y.c);
    is_u64(in(&y, MSR) & 0xf0, 0xb0, "connected");
    box_free(&y);
    fakevm_reset(x->vm);
    is_u64(in(x, IIR), 1, "reset");
    ok(!irq(x), "reset releases the interrupt");
}

int main(void)
{
    struct box x;
    box_make(&x);
    fakevm_reset(x.vm);
    test_registers(&x);
    test_loopback(&x);
    test_transmit(&x);
    test_receive(&x);
    test_migrate(&x);
    box_free(&x);
    return TAP_DONE();
}
