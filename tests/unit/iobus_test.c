/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bus: claims, splitting and widening, borders, string I/O, memory behind it, and interrupt lines. */
#include <string.h>

#include "tests/fakevm.h"
#include "tests/tap.h"

/* A device that writes down what it is asked. */
struct rec {
    struct {
        char kind;
        uint64_t off, val;
        unsigned size;
    } log[64];
    unsigned n;
    uint8_t mem[16];
};
static uint64_t rec_read(void *dev, uint64_t off, unsigned size)
{
    struct rec *r = dev;
    uint64_t v = 0;
    for (unsigned i = 0; i < size && off + i < sizeof r->mem; i++)
        v |= (uint64_t)r->mem[off + i] << 8 * i;
    if (r->n < 64)
        r->log[r->n++] = (typeof(r->log[0])){'r', off, v, size};
    return v | (size < 8 ? ~0ull << 8 * size : 0); /* bits above the size: the bus must cut them */
}
static void rec_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct rec *r = dev;
    if (r->n < 64)
        r->log[r->n++] = (typeof(r->log[0])){'w', off, val, size};
    for (unsigned i = 0; i < size && off + i < sizeof r->mem; i++)
        r->mem[off + i] = (uint8_t)(val >> 8 * i);
}
static bool did(struct rec *r, const char *want)
{
    char got[400] = "";
    for (unsigned i = 0; i < r->n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%c%u@%llu=%llx", i ? " " : "", r->log[i].kind,
                 r->log[i].size, (unsigned long long)r->log[i].off, (unsigned long long)r->log[i].val);
    r->n = 0;
    bool good = !strcmp(got, want);
    if (!good)
        printf("# got  %s\n# want %s\n", got, want);
    return good;
}
static const struct io_ops any = {.read = rec_read, .write = rec_write},
                           w8 = {.read = rec_read, .write = rec_write, .widths = IO_8},
                           w16 = {.read = rec_read, .write = rec_write, .widths = IO_8 | IO_16},
                           w32 = {.read = rec_read, .write = rec_write, .widths = IO_32},
                           w64 = {.read = rec_read, .write = rec_write, .widths = IO_32 | IO_64}, none = {0};

static void claim(struct vm *vm, const char *owner, uint16_t first, uint16_t count, const struct io_ops *ops, void *dev)
{
    struct err e = {0};
    struct port_range r = {owner, first, count, ops, dev};
    ok(!port_claim(vm, &r, &e), "claim %s at %x", owner, first);
}

static void test_ports(void)
{
    struct vm *vm = fakevm_new(0, 1);
    struct rec a = {0}, b = {0}, c = {0};
    struct err e = {0};
    claim(vm, "eight", 0x60, 5, &w8, &a);
    claim(vm, "sixteen", 0x65, 4, &w16, &b);
    claim(vm, "wide", 0x100, 8, &w32, &c);
    claim(vm, "last", 0xfffe, 2, &any, &a);
    claim(vm, "deaf", 0x200, 4, &none, NULL);
    struct port_range bad = {"rival", 0x64, 2, &any, &a}, beyond = {"beyond", 0xffff, 2, &any, &a},
                      empty = {"empty", 0x300, 0, &any, &a};
    ok(port_claim(vm, &bad, &e) && strstr(e.msg, "eight") && strstr(e.msg, "rival") && strstr(e.msg, "0064"),
       "overlap names both: %s", e.msg);
    bad.first = 0x5f;
    ok(port_claim(vm, &bad, &e), "overlap at the other end");
    ok(port_claim(vm, &beyond, &e) && port_claim(vm, &empty, &e), "beyond the last port, and empty");
    is_u64(fakevm_in(vm, 0x5f, 1), 0xff, "the failed claim left nothing");

    for (unsigned i = 0; i < 16; i++)
        a.mem[i] = b.mem[i] = c.mem[i] = (uint8_t)(0x10 + i);
    is_u64(fakevm_in(vm, 0x61, 4), 0x14131211, "32 bits from an 8-bit device");
    ok(did(&a, "r1@1=11 r1@2=12 r1@3=13 r1@4=14"), "are four bytes, lowest first");
    is_u64(fakevm_in(vm, 0x65, 4), 0x13121110, "32 bits from a 16-bit device");
    ok(did(&b, "r2@0=1110 r2@2=1312"), "are two words");
    fakevm_out(vm, 0x66, 2, 0xabcd);
    ok(did(&b, "w2@1=abcd"), "a port offset is not aligned by the bus");
    is_u64(fakevm_in(vm, 0x64, 2), 0x1014, "over the border of two devices");
    ok(did(&a, "r1@4=14") && did(&b, "r1@0=10"), "each gets a byte");
    is_u64(fakevm_in(vm, 0x68, 4), 0xffffff13, "over the border into nothing");
    b.n = 0;
    is_u64(fakevm_in(vm, 0x5e, 4), 0x1110ffff, "from nothing over the border");
    a.n = 0;
    is_u64(fakevm_in(vm, 0x101, 1), 0x11, "8 bits from a 32-bit device");
    ok(did(&c, "r4@0=13121110"), "read the unit around them");
    fakevm_out(vm, 0x106, 1, 0x77);
    ok(did(&c, "r4@4=17161514 w4@4=17771514"), "an 8-bit write keeps the other bytes");
    is_u64(fakevm_in(vm, 0x102, 4), 0x15141312, "a 32-bit read that is not aligned, width 32");
    ok(did(&c, "r4@2=15141312"), "goes to the device as it is");
    is_u64(fakevm_in(vm, 0x103, 2), 0x1413, "a 16-bit read over two units");
    ok(did(&c, "r4@0=13121110 r4@4=17771514"), "reads both");
    is_u64(fakevm_in(vm, 0xffff, 2), 0xff11, "port numbers wrap (nothing is at 0)");
    ok(did(&a, "r1@1=11"), "and the first byte is the last port's");
    is_u64(fakevm_in(vm, 0x200, 2), 0xffff, "a device without read");
    fakevm_out(vm, 0x200, 2, 1);
    is_u64(fakevm_in(vm, 0x999, 4), 0xffffffff, "unclaimed");
    fakevm_out(vm, 0x999, 4, 1);
    struct port_range gone = {"sixteen", 0x65, 4, &w16, &b};
    port_release(vm, &gone);
    is_u64(fakevm_in(vm, 0x65, 1), 0xff, "released");
    claim(vm, "again", 0x66, 2, &any, &b);
    port_release(vm, &gone);
    is_u64(fakevm_in(vm, 0x66, 1), 0x10, "a second release does not touch the new owner");
    fakevm_free(vm);
}

static unsigned rep_calls;
static void rep_read(void *dev, uint64_t off, unsigned size, void *buf, unsigned n)
{
    rep_calls++;
    memset(buf, 0x42, (size_t)n * size);
}
static void rep_write(void *dev, uint64_t off, unsigned size, const void *buf, unsigned n)
{
    *(unsigned *)dev += n * size;
}

static void test_rep(void)
{
    struct vm *vm = fakevm_new(0, 1);
    static const struct io_ops data = {
        .read = rec_read, .write = rec_write, .read_rep = rep_read, .write_rep = rep_write, .widths = IO_16};
    static uint8_t buf[4096 * 2];
    unsigned written = 0;
    struct rec a = {0};
    claim(vm, "data", 0x1f0, 2, &data, &written);
    claim(vm, "bytes", 0x3f8, 8, &w8, &a);
    fakevm_ins(vm, 0x1f0, 2, buf, 4096);
    ok(rep_calls > 0 && buf[0] == 0x42 && buf[sizeof buf - 1] == 0x42, "REP INS in %u calls", rep_calls);
    fakevm_outs(vm, 0x1f0, 2, buf, 300);
    is_u64(written, 600, "REP OUTS");
    static const uint8_t hello[] = "abc\1\2\3\4";
    fakevm_outs(vm, 0x3f8, 1, hello, 3);
    ok(did(&a, "w1@0=61 w1@0=62 w1@0=63"), "element by element for others");
    fakevm_outs(vm, 0x3f8, 2, hello + 3, 2);
    ok(did(&a, "w1@0=1 w1@1=2 w1@0=3 w1@1=4"), "and width by width");
    a.mem[7] = 9;
    fakevm_ins(vm, 0x3ff, 2, buf, 2);
    ok(!memcmp(buf, "\x09\xff\x09\xff", 4), "over the end of a range");
    memset(buf, 0, 8);
    fakevm_ins(vm, 0x999, 4, buf, 2);
    ok(!memcmp(buf, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), "from nothing");
    fakevm_free(vm);
}

static void test_mmio(void)
{
    struct vm *vm = fakevm_new(1, 2);
    struct err e = {0};
    struct rec a = {0}, b = {0}, c = {0}, f = {0};
    struct memregion r[] = {
        {.owner = "a", .base = 0xe0000000, .size = 0x10, .kind = MR_MMIO, .enabled = true, .ops = &any, .dev = &a},
        {.owner = "b", .base = 0xe0000010, .size = 0x10, .kind = MR_MMIO, .enabled = true, .ops = &w32, .dev = &b},
        {.owner = "c", .base = 0xe0001000, .size = 0x10, .kind = MR_MMIO, .enabled = true, .ops = &w64, .dev = &c},
        {.owner = "flash",
         .base = 0xf0000000,
         .size = 0x1000,
         .kind = MR_ROM_DEVICE,
         .enabled = true,
         .ops = &any,
         .dev = &f,
         .blk = fakevm_ram_blk(vm)},
        {.owner = "rom",
         .base = 0xf0001000,
         .size = 0x1000,
         .kind = MR_ROM,
         .enabled = true,
         .blk = fakevm_ram_blk(vm)},
        {.owner = "smm",
         .base = 0xa0000,
         .size = 0x1000,
         .prio = 1,
         .kind = MR_MMIO,
         .space = MR_SPACE_NORMAL,
         .enabled = true,
         .ops = &any,
         .dev = &a},
    };
    memmap_begin(vm);
    for (unsigned i = 0; i < sizeof r / sizeof r[0]; i++)
        memmap_add(vm, &r[i]);
    ok(!memmap_commit(vm, &e), "commit");
    uint8_t *ram = fakevm_ram(vm);
    for (unsigned i = 0; i < 16; i++)
        a.mem[i] = b.mem[i] = c.mem[i] = (uint8_t)(0x10 + i);
    is_u64(fakevm_mmio_read(vm, 0xe0000001, 4), 0x14131211, "an access that is not aligned");
    ok(did(&a, "r1@1=11 r2@2=1312 r1@4=14"), "is made of aligned pieces");
    is_u64(fakevm_mmio_read(vm, 0xe0000000, 8), 0x1716151413121110, "64 bits");
    ok(did(&a, "r4@0=13121110 r4@4=17161514"), "are two halves where the device has no 64");
    is_u64(fakevm_mmio_read(vm, 0xe0001000, 8), 0x1716151413121110, "64 bits");
    ok(did(&c, "r8@0=1716151413121110"), "are one access where it has");
    is_u64(fakevm_mmio_read(vm, 0xe000000e, 4), 0x11101f1e, "over the border of two devices");
    ok(did(&a, "r2@14=1f1e") && did(&b, "r4@0=13121110"), "each its part");
    fakevm_mmio_write(vm, 0xe0000010, 3, 0xccbbaa);
    ok(did(&b, "r4@0=13121110 w4@0=1312bbaa r4@0=1312bbaa w4@0=13ccbbaa"), "three bytes to a 32-bit device");
    is_u64(fakevm_mmio_read(vm, 0xe000001e, 4), 0xffff1f1e, "over the end into nothing");
    fakevm_mmio_write(vm, 0xf0000004, 4, 0xcafe);
    ok(did(&f, "w4@4=cafe") && ram[4] == 0, "a write to flash goes to the device");
    ram[4] = 0x99;
    is_u64(fakevm_mmio_read(vm, 0xf0000004, 1), 0x99, "a read comes from memory");
    fakevm_mmio_write(vm, 0xf0001000, 4, 1);
    ok(ram[0] == 0, "ROM is not written");
    fakevm_mmio_write(vm, 0x12345, 4, 0x55667788);
    ok(ram[0x12345] == 0x88 && ram[0x12348] == 0x55, "RAM is written");
    ok(fakevm_code_writes(vm, NULL, NULL) > 0, "and the translator is told");
    is_u64(fakevm_mmio_read(vm, 0xfffff, 2), 0xff00, "RAM's end");
    ram[0xa0000] = 0x33;
    a.n = 0;
    is_u64(fakevm_mmio_read(vm, 0xa0000, 1), 0x10, "outside SMM: the device");
    vm_vcpu(vm, 1)->smm = true;
    is_u64(fakevm_mmio_read_v(vm, 1, 0xa0000, 1), 0x33, "in SMM: the memory");
    fakevm_free(vm);
}

static struct vcpu *seen_vcpu;
static bool seen_locked;
static uint64_t who(void *dev, uint64_t off, unsigned size)
{
    seen_vcpu = vcpu_current();
    return 0;
}
/* A handler may take its own range away, and everything else with it. */
static struct port_range self;
static struct memregion *self_mr;
static void suicide(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct vm *vm = dev;
    port_release(vm, &self);
    if (val) {
        struct err e;
        memmap_begin(vm);
        self_mr->enabled = false;
        memmap_commit(vm, &e);
    }
}

static void test_reentry(void)
{
    struct vm *vm = fakevm_new(1, 3);
    struct err e = {0};
    static const struct io_ops whoami = {.read = who, .flags = IOF_UNLOCKED}, dying = {.write = suicide};
    claim(vm, "who", 0x10, 1, &whoami, NULL);
    bus_read(vm_vcpu(vm, 2), true, 0x10, 1);
    ok(seen_vcpu == vm_vcpu(vm, 2) && !vcpu_current() && !seen_locked, "vcpu_current is the caller's, during the call");
    self = (struct port_range){"self", 0x20, 4, &dying, vm};
    struct memregion mr = {
        .owner = "m", .base = 0xe0000000, .size = 16, .kind = MR_MMIO, .enabled = true, .ops = &dying, .dev = vm};
    memmap_begin(vm);
    memmap_add(vm, &mr);
    ok(!memmap_commit(vm, &e) && !port_claim(vm, &self, &e), "ready");
    fakevm_out(vm, 0x20, 4, 0);
    is_u64(fakevm_in(vm, 0x20, 4), 0xffffffff, "a port handler released its own range");
    ok(!port_claim(vm, &self, &e), "claimed again");
    uint8_t two[8] = {0};
    fakevm_outs(vm, 0x20, 4, two, 2);
    is_u64(fakevm_in(vm, 0x20, 4), 0xffffffff, "also within a string");
    self_mr = &mr;
    fakevm_mmio_write(vm, 0xe0000004, 8, 0x100000001);
    fakevm_mmio_write(vm, 0xe0000000, 4, 0);
    ok(!memview_find(memmap_view(vm, false), 0xe0000004),
       "a handler unmapped its own region in the middle of an access");
    fakevm_free(vm);
}

static void test_irq(void)
{
    struct fakevm_irqs q;
    fakevm_irqs_init(&q);
    struct irq_line a = {&q.sink, 11, 0}, b = {&q.sink, 11, 7}, nc = {0};
    irq_set(&a, true);
    irq_set(&a, true);
    irq_set(&b, true);
    irq_set(&a, false);
    ok(fakevm_irqs_level(&q, 11) && q.rises[11] == 1 && q.falls[11] == 0,
       "a shared line stays up while one source holds it");
    irq_set(&b, false);
    ok(!fakevm_irqs_level(&q, 11) && q.falls[11] == 1, "and falls with the last");
    irq_pulse(&a);
    ok(q.rises[11] == 2 && q.falls[11] == 2, "a pulse is one edge");
    irq_set(&nc, true);
    irq_pulse(&nc);
    ok(true, "a line that is not connected does nothing");
    struct vm *vm = fakevm_new(0, 1);
    intr_set_ctl(vm, &(struct intr_ctl){0});
    irq_msi(vm, 0, 0);
    ok(intr_take(vm_vcpu(vm, 0)) == -1 && !intr_pending(vm_vcpu(vm, 0)), "no interrupt controller, no interrupt");
    fakevm_free(vm);
}

int main(void)
{
    test_ports();
    test_rep();
    test_mmio();
    test_reentry();
    test_irq();
    return TAP_DONE();
}
