/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8237A with the PC/AT's page registers. */
#include <string.h>

#include "tests/fakevm.h"
#include "tests/tap.h"

#include "chipset/dma8237.h"

static struct vm *vm;
static const struct isa_dma *dma;
static unsigned gone;

static void go(void *dev)
{
    gone++;
}
static void make(void)
{
    struct err e = {0};
    vm = fakevm_new(16, 1);
    struct dev *d = dev_create(vm, &dma8237_class, "dma", NULL, &e);
    dma = dma8237_iface(d);
    dma->attach(dma->ctl, 2, go, NULL);
}
static void out(uint16_t p, uint8_t v)
{
    fakevm_out(vm, p, 1, v);
}
static uint8_t in(uint16_t p)
{
    return fakevm_in(vm, p, 1);
}
static unsigned in16(uint16_t p) /* low byte first */
{
    unsigned lo = in(p);
    return lo | in(p) << 8;
}
/* Channel 2: page, address, count - 1, mode as the BIOS does for the floppy. */
static void floppy(uint8_t page, uint16_t addr, uint16_t count, uint8_t mode)
{
    out(0x0a, 6);
    out(0x0c, 0);
    out(0x0b, mode);
    out(0x04, addr);
    out(0x04, addr >> 8);
    out(0x05, count);
    out(0x05, count >> 8);
    out(0x81, page);
    out(0x0a, 2);
}

int main(void)
{
    struct err e = {0};
    uint8_t buf[70000], *ram;
    bool tc;
    make();
    fakevm_reset(vm);
    ram = fakevm_ram(vm);
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = i * 7 + 1;
    is_u64(in(0x0f) & 15, 15, "all channels masked after reset");
    out(0xd6, 0xc0); /* channel 4: cascade */
    out(0xd4, 0x00);
    floppy(0x12, 0x3456, 511, 0x46); /* single, write */
    out(0x0c, 0);
    is_u64(in(0x04), 0x56, "address, low byte");
    is_u64(in(0x04), 0x34, "high byte by the flip-flop");
    is_u64(dma->xfer(dma->ctl, 2, true, buf, 300, &tc), 300, "300 bytes");
    ok(!tc, "no terminal count yet");
    ok(!memcmp(ram + 0x123456, buf, 300), "page << 16 + address");
    out(0x0c, 0);
    is_u64(in16(0x05), 511 - 300, "count runs down");
    is_u64(in(0x08) & 4, 0, "status: no TC");
    is_u64(dma->xfer(dma->ctl, 2, true, buf + 300, 1000, &tc), 212, "the rest");
    ok(tc, "terminal count");
    is_u64(in(0x08) & 4, 4, "status shows TC");
    is_u64(in(0x08) & 4, 0, "once");
    is_u64(in(0x0f) & 15, 15, "and the channel is masked");
    is_u64(dma->xfer(dma->ctl, 2, true, buf, 10, &tc), 0, "masked: nothing moves");

    gone = 0;
    dma->dreq(dma->ctl, 2, true);
    is_u64(in(0x08) & 0x40, 0x40, "status shows the request");
    floppy(0x12, 0xfff0, 31, 0x5a); /* single, read, auto-initialise */
    ok(gone > 0, "unmasking with DREQ high starts the device");
    dma->dreq(dma->ctl, 2, false);
    memset(buf, 0, 64);
    is_u64(dma->xfer(dma->ctl, 2, true, buf, 32, &tc), 0, "wrong direction: nothing");
    for (int i = 0; i < 16; i++) {
        ram[0x12fff0 + i] = 0x10 + i;
        ram[0x120000 + i] = 0x20 + i;
    }
    is_u64(dma->xfer(dma->ctl, 2, false, buf, 32, &tc), 32, "read 32 bytes");
    ok(tc && buf[15] == 0x1f && buf[16] == 0x20, "the address wraps within its 64 KiB page");
    out(0x0c, 0);
    is_u64(in16(0x04), 0xfff0, "auto-initialised address");
    is_u64(in16(0x05), 31, "and count");
    is_u64(in(0x0f) & 4, 0, "not masked");

    floppy(0x01, 0x0105, 3, 0x66); /* write, decrement */
    memcpy(buf, "abcd", 4);
    dma->xfer(dma->ctl, 2, true, buf, 4, &tc);
    ok(!memcmp(ram + 0x10102, "dcba", 4), "decrement");

    out(0xd8, 0); /* channel 5: words */
    out(0xd6, 0x45);
    out(0xc4, 0x00);
    out(0xc4, 0x80);
    out(0xc6, 3);
    out(0xc6, 0);
    out(0x8b, 0x23);
    out(0xd4, 1);
    memcpy(buf, "01234567", 8);
    is_u64(dma->xfer(dma->ctl, 5, true, buf, 100, &tc), 8, "channel 5 counts words");
    ok(tc && !memcmp(ram + 0x220000 + 0x10000, "01234567", 8), "word address 8000h, page bit 0 not used");

    out(0x08, 4); /* controller disable */
    floppy(0, 0, 10, 0x46);
    is_u64(dma->xfer(dma->ctl, 2, true, buf, 4, &tc), 0, "controller disabled");
    out(0x08, 0);
    out(0x0d, 0);
    is_u64(in(0x0f) & 15, 15, "master clear masks all");
    out(0x0e, 0);
    is_u64(in(0x0f) & 15, 0, "clear mask register");

    /* Memory to memory on channels 0 and 1. */
    out(0x0d, 0);
    out(0x0b, 0x88);
    out(0x0b, 0x85);
    out(0x87, 3);
    out(0x83, 4);
    out(0x00, 0);
    out(0x00, 0);
    out(0x02, 0);
    out(0x02, 1);
    out(0x03, 15);
    out(0x03, 0);
    memcpy(ram + 0x30000, "memory to memory", 16);
    out(0x08, 1);
    out(0x09, 4);
    ok(!memcmp(ram + 0x40100, "memory to memory", 16), "memory-to-memory transfer");
    is_u64(in(0x08) & 2, 2, "ends with TC on channel 1");
    out(0x08, 0);
    out(0x80, 0x55);
    is_u64(in(0x80), 0x55, "port 80h is storage");

    floppy(0x12, 0x3456, 511, 0x46);
    dma->xfer(dma->ctl, 2, true, buf, 100, &tc);
    struct vm *from = vm;
    make();
    ok(fakevm_migrate(from, vm, &e) == 0, "state round trip: %s", e.msg);
    is_u64(dma->xfer(dma->ctl, 2, true, buf, 1000, &tc), 412, "transfer goes on");
    fakevm_free(from);
    fakevm_free(vm);
    return TAP_DONE();
}
