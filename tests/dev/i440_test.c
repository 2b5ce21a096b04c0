/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 440FX host bridge: RAM layout, PAM, SMRAM and A20, against data sheet 290549. */
#include <stdlib.h>
#include <string.h>

#include "base/osmem.h"
#include "chipset/i440.h"
#include "chipset/port92.h"
#include "pci/pci.h"
#include "tests/dev/pcibox.h"
#include "tests/tap.h"

struct box {
    struct vm *vm;
    struct dev *i440;
    struct memblk ram, rom;
};

static bool box_make(struct box *x, uint64_t ram, uint64_t rom)
{
    struct err e = {0};
    memset(x, 0, sizeof *x);
    x->vm = fakevm_new(0, 1);
    x->ram = (struct memblk){.host = osmem_alloc(ram, &e), .size = ram, .fd = -1};
    x->rom = (struct memblk){.host = osmem_alloc(rom, &e), .size = rom, .fd = -1};
    /* Each 4 KiB page of the ROM begins with its number. */
    for (uint64_t i = 0; i < rom; i += 4096)
        x->rom.host[i] = (uint8_t)(0x80 + (i >> 12));
    struct dev *bus = dev_create(x->vm, &pci_bus_class, "pci0", NULL, &e);
    struct i440_params p = {.bus = (struct pci_bus *)bus, .ram = &x->ram, .rom = &x->rom};
    x->i440 = dev_create(x->vm, &i440_class, "i440", &p, &e);
    if (!x->i440)
        return false;
    struct port92_params q = {.a20 = {i440_a20_sink(x->i440), 0, A20_SRC_PORT92}};
    dev_create(x->vm, &port92_class, "port92", &q, &e);
    return true;
}

static void box_free(struct box *x)
{
    fakevm_free(x->vm);
    osmem_free(x->ram.host, x->ram.size);
    osmem_free(x->rom.host, x->rom.size);
}

static uint64_t rd(struct box *x, gpa_t a) { return fakevm_mmio_read(x->vm, a, 1); }
static void wr(struct box *x, gpa_t a, uint8_t v) { fakevm_mmio_write(x->vm, a, 1, v); }
static uint64_t rd_smm(struct box *x, gpa_t a)
{
    const struct memrange *r = memview_find(memmap_view(x->vm, true), a);
    uint8_t *h = r ? memrange_host(r) : NULL;
    return h ? h[a - r->base] : 0xff;
}

static void test_pam(struct box *x)
{
    struct vm *vm = x->vm;
    is_u64(cfg_r(vm, 0, 0, 4), 0x12378086, "82441FX");
    is_u64(cfg_r(vm, 0, 4, 4), 0x02800006, "PCICMD and PCISTS defaults");
    is_u64(cfg_r(vm, 0, 0x59, 1) | cfg_r(vm, 0, 0x5c, 4), 0, "PAM default: everything to PCI");
    is_u64(cfg_r(vm, 0, 0x72, 1), 0x02, "SMRAM default");
    x->ram.host[0xf0000] = 0x11;
    x->ram.host[0xe0000] = 0x12;
    x->ram.host[0xc0000] = 0x13;
    x->ram.host[0xc4000] = 0x14;
    is_u64(rd(x, 0xfffc0000), 0x80, "firmware at 4 GiB - 256 KiB");
    is_u64(rd(x, 0xfffff000), 0xbf, "its last page");
    is_u64(rd(x, 0xf0000), 0xb0, "its last 64 KiB at F0000h");
    is_u64(rd(x, 0xe0000), 0xa0, "the 64 KiB before at E0000h");
    is_u64(rd(x, 0xc0000), 0xff, "nothing at C0000h");
    wr(x, 0xf0000, 0x55);
    is_u64(x->ram.host[0xf0000], 0x11, "writes go to PCI");
    /* write-only: the firmware copies itself */
    cfg_w(vm, 0, 0x59, 1, 0x20);
    wr(x, 0xf0000, 0x55);
    is_u64(rd(x, 0xf0000), 0xb0, "WE only: reads from ROM");
    is_u64(x->ram.host[0xf0000], 0x55, "WE only: writes to RAM");
    cfg_w(vm, 0, 0x59, 1, 0x10);
    is_u64(rd(x, 0xf0000), 0x55, "RE only: reads from RAM");
    wr(x, 0xf0000, 0x66);
    is_u64(rd(x, 0xf0000), 0x55, "RE only: write-protected");
    cfg_w(vm, 0, 0x59, 1, 0x30);
    wr(x, 0xf0000, 0x66);
    is_u64(rd(x, 0xf0000), 0x66, "RE and WE: RAM");
    is_u64(rd(x, 0xfffff000), 0xbf, "the ROM at the top is untouched");
    /* low nibble: the first 16 KiB of each pair */
    cfg_w(vm, 0, 0x5a, 1, 0x01);
    is_u64(rd(x, 0xc0000), 0x13, "5Ah low nibble: C0000h");
    is_u64(rd(x, 0xc4000), 0xff, "C4000h not");
    cfg_w(vm, 0, 0x5a, 1, 0x20);
    wr(x, 0xc4001, 0x99);
    is_u64(rd(x, 0xc4000), 0xff, "WE only without ROM: reads give all ones");
    is_u64(x->ram.host[0xc4001], 0x99, "WE only without ROM: writes to RAM");
    cfg_w(vm, 0, 0x5a, 1, 0x30);
    is_u64(rd(x, 0xc4000), 0x14, "5Ah high nibble: C4000h");
    /* the firmware writes PAM in two dwords */
    cfg_w(vm, 0, 0x58, 4, 0x33333010);
    cfg_w(vm, 0, 0x5c, 4, 0x33333333);
    is_u64(rd(x, 0xe0000), 0x12, "all shadowed: E0000h is RAM");
    bool all = true;
    for (gpa_t a = 0xc0000; a < 0x100000; a += 0x1000) {
        wr(x, a, (uint8_t)(a >> 12));
        all = all && rd(x, a) == (uint8_t)(a >> 12) && x->ram.host[a] == (uint8_t)(a >> 12);
    }
    ok(all, "C0000h-FFFFFh is one piece of RAM");
}

static void test_smram(struct box *x)
{
    struct vm *vm = x->vm;
    x->ram.host[0xa0000] = 0x21;
    is_u64(rd(x, 0xa0000), 0xff, "A0000h is not RAM");
    is_u64(rd_smm(x, 0xa0000), 0xff, "nor in SMM");
    cfg_w(vm, 0, 0x72, 1, 0x4a);
    is_u64(rd(x, 0xa0000), 0x21, "D_OPEN: SMRAM for all");
    cfg_w(vm, 0, 0x72, 1, 0x0a);
    is_u64(rd(x, 0xa0000), 0xff, "closed");
    is_u64(rd_smm(x, 0xa0000), 0x21, "open in SMM");
    is_u64(rd_smm(x, 0xb0000), x->ram.host[0xb0000], "128 KiB of it");
    cfg_w(vm, 0, 0x72, 1, 0x5a);
    is_u64(cfg_r(vm, 0, 0x72, 1), 0x1a, "D_LCK closes");
    cfg_w(vm, 0, 0x72, 1, 0x42);
    is_u64(cfg_r(vm, 0, 0x72, 1), 0x1a, "and keeps D_OPEN, G_SMRAME and itself");
    cfg_w(vm, 0, 0x72, 1, 0x2f);
    is_u64(cfg_r(vm, 0, 0x72, 1), 0x3a, "D_CLS can be changed, the segment cannot");
    fakevm_reset(vm);
    is_u64(cfg_r(vm, 0, 0x72, 1), 0x02, "reset unlocks");
    is_u64(rd(x, 0xf0000), 0xb0, "reset: ROM at F0000h again");
}

static void test_a20(struct box *x)
{
    struct vm *vm = x->vm;
    const struct irq_sink *a20 = i440_a20_sink(x->i440);
    x->ram.host[0x1234] = 0x31;
    x->ram.host[0x101234] = 0x32;
    is_u64(rd(x, 0x101234), 0x32, "A20 is open after reset");
    is_u64(fakevm_in(vm, 0x92, 1), 0, "port 92h");
    a20->set(a20->ctl, 0, A20_SRC_KBC, false);
    is_u64(rd(x, 0x101234), 0x31, "both gates closed: wraps");
    x->ram.host[0x401234] = 0x34;
    x->ram.host[0x501234] = 0x35;
    is_u64(rd(x, 0x501234), 0x34, "at every odd megabyte");
    is_u64(rd(x, 0x401234), 0x34, "and the even ones are themselves");
    is_u64(rd(x, 0x1f0000), rd(x, 0xf0000), "ROM too");
    is_u64(rd(x, 0xfffff000), 0xbf, "a processor still finds its reset vector");
    uint8_t dma = 0;
    ok(!gmem_read(vm, 0x501234, &dma, 1) && dma == 0x35, "DMA does not go through the gate");
    struct memview *mv = memview_a20(vm, memmap_view(vm, false));
    size_t bad = 0;
    for (gpa_t a = 0; a < 8 << 20; a += 4096) {
        const struct memrange *m = memview_find(mv, a), *t = memview_find(memmap_view(vm, false), a & ~0x100000ull);
        uint8_t *h = m ? memrange_host(m) : NULL, *g = t ? memrange_host(t) : NULL;
        bad += (h ? h + (a - m->base) : NULL) != (g ? g + ((a & ~0x100000ull) - t->base) : NULL);
    }
    for (size_t i = 1; i < mv->n; i++)
        bad += mv->r[i].base < mv->r[i - 1].base + mv->r[i - 1].size;
    is_u64(bad, 0, "the masked view says the same, in order");
    const struct memrange *top = memview_find(mv, 0xfffff000);
    ok(top && memrange_host(top) + (0xfffff000 - top->base) == x->rom.host + 0x3f000, "and ends above RAM");
    free(mv);
    wr(x, 0x100010, 0x33);
    is_u64(x->ram.host[0x10], 0x33, "writes wrap too");
    fakevm_out(vm, 0x92, 1, 2);
    is_u64(rd(x, 0x101234), 0x32, "port 92h opens");
    is_u64(fakevm_in(vm, 0x92, 1), 2, "and reads back");
    fakevm_requests(vm, 0);
    fakevm_out(vm, 0x92, 1, 3);
    is_u64(fakevm_requests(vm, 0) & VR_INIT, VR_INIT, "bit 0: INIT of the processors");
    fakevm_out(vm, 0x92, 1, 3);
    is_u64(fakevm_requests(vm, 0) & VR_INIT, 0, "at its rising edge");
    is_u64(rd(x, 0x101234), 0x32, "which leaves A20 alone");
    fakevm_reset(vm);
    is_u64(rd(x, 0x101234), 0x32, "reset opens A20");
}

static void test_migrate(struct box *x)
{
    struct box y;
    struct err e = {0};
    box_make(&y, x->ram.size, x->rom.size);
    const struct irq_sink *a20 = i440_a20_sink(x->i440);
    cfg_w(x->vm, 0, 0x59, 1, 0x30);
    cfg_w(x->vm, 0, 0x72, 1, 0x1a);
    a20->set(a20->ctl, 0, A20_SRC_KBC, false);
    y.ram.host[0xf0000] = 0x44;
    y.ram.host[0x5] = 0x45;
    y.ram.host[0xa0000] = 0x46;
    ok(!fakevm_migrate(x->vm, y.vm, &e), "saved and loaded: %s", e.msg);
    is_u64(rd(&y, 0xf0000), 0x44, "PAM after load");
    is_u64(rd(&y, 0x100005), 0x45, "A20 after load");
    is_u64(rd_smm(&y, 0xa0000), 0x46, "SMRAM after load");
    cfg_w(y.vm, 0, 0x72, 1, 0x02);
    is_u64(cfg_r(y.vm, 0, 0x72, 1), 0x1a, "the lock after load");
    box_free(&y);
}

static void test_layout(void)
{
    struct box x;
    box_make(&x, 0xC0000000ull + (64 << 20), 0x10000);
    fakevm_reset(x.vm);
    x.ram.host[0xBFFFF000] = 0x51;
    x.ram.host[0xC0000000] = 0x52;
    is_u64(rd(&x, 0xBFFFF000), 0x51, "RAM up to 3 GiB");
    is_u64(rd(&x, 0xC0000000), 0xff, "then the PCI hole");
    is_u64(rd(&x, 0x100000000ull), 0x52, "the rest at 4 GiB");
    is_u64(rd(&x, 0x104000000ull), 0xff, "and no more");
    is_u64(rd(&x, 0xf0000), 0x80, "a 64 KiB ROM at F0000h");
    is_u64(rd(&x, 0xe0000), 0xff, "and nothing at E0000h");
    box_free(&x);

    struct vm *vm = fakevm_new(0, 1);
    struct err e = {0};
    struct memblk ram = {.size = 0x80000, .fd = -1}, rom = {.size = 0x10000, .fd = -1};
    struct dev *bus = dev_create(vm, &pci_bus_class, "pci0", NULL, &e);
    struct i440_params p = {.bus = (struct pci_bus *)bus, .ram = &ram, .rom = &rom};
    ok(!dev_create(vm, &i440_class, "i440", &p, &e), "too little RAM: %s", e.msg);
    ram.size = 1 << 20;
    rom.size = 1000;
    ok(!dev_create(vm, &i440_class, "i440", &p, &e), "odd ROM: %s", e.msg);
    fakevm_free(vm);
}

int main(void)
{
    struct box x;
    ok(box_make(&x, 8 << 20, 0x40000), "made");
    fakevm_reset(x.vm);
    test_pam(&x);
    test_smram(&x);
    test_a20(&x);
    test_migrate(&x);
    box_free(&x);
    test_layout();
    return TAP_DONE();
}
