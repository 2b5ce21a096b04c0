/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI bus: configuration mechanism 1, BARs, INTx, MSI, MSI-X, against the PCI Local Bus Specification 2.3 and the PIIX4's routing. */
#include <string.h>

#include "tests/dev/pcibox.h"
#include "tests/dev/toypci.h"
#include "tests/tap.h"

struct box {
    struct vm *vm;
    struct pci_bus *bus;
    struct toy *a, *b;
    struct fakevm_irqs isa, apic;
};

enum { A = PCI_DEVFN(3, 0), B = PCI_DEVFN(4, 1) };

static void box_make(struct box *x)
{
    memset(x, 0, sizeof *x);
    x->vm = toy_board(&x->bus, &x->isa, &x->apic);
    x->a = toy_make(x->vm, "a", x->bus, A, 1);
    x->b = toy_make(x->vm, "b", x->bus, B, 2);
}

static void test_config(struct box *x)
{
    struct vm *vm = x->vm;
    fakevm_out(vm, 0xcf8, 4, 0xffffffff);
    is_u64(fakevm_in(vm, 0xcf8, 4), 0x80fffffc, "CONFIG_ADDRESS: reserved bits are 0");
    is_u64(cfg_r(vm, PCI_DEVFN(9, 0), 0, 4), 0xffffffff, "no function there: all ones");
    is_u64(cfg_r(vm, A, 0, 4), 0x56781234, "vendor and device");
    is_u64(cfg_r(vm, A, 2, 2), 0x5678, "word at offset 2");
    is_u64(cfg_r(vm, A, 3, 1), 0x56, "byte at offset 3");
    is_u64(cfg_r(vm, A, 8, 4), 0x02000003, "class and revision");
    is_u64(cfg_r(vm, A, 0x2c, 4), 0xdef09abc, "subsystem");
    is_u64(cfg_r(vm, A, 0x3d, 1), 1, "interrupt pin");
    is_u64(cfg_r(vm, A, 0x0e, 1), 0, "single function");
    fakevm_out(vm, 0xcf8, 4, (uint32_t)A << 8);
    is_u64(fakevm_in(vm, 0xcfc, 4), 0xffffffff, "enable bit clear: nothing decodes");
    fakevm_out(vm, 0xcf8, 4, 0x80010000u | (uint32_t)A << 8);
    is_u64(fakevm_in(vm, 0xcfc, 4), 0xffffffff, "bus 1: nothing");
    fakevm_out(vm, 0xcf8, 4, 0x80000000u | (uint32_t)A << 8);
    fakevm_out(vm, 0xcf8, 1, 0x04);
    fakevm_out(vm, 0xcfa, 2, 0);
    is_u64(fakevm_in(vm, 0xcf8, 4), 0x80000000u | (uint32_t)A << 8, "narrow writes do not reach CONFIG_ADDRESS");
    cfg_w(vm, A, 0, 4, 0xffffffff);
    is_u64(cfg_r(vm, A, 0, 4), 0x56781234, "ids are read-only");
    cfg_w(vm, A, 0x3c, 1, 0x5a);
    is_u64(cfg_r(vm, A, 0x3c, 2), 0x015a, "interrupt line is writable, pin is not");
    cfg_w(vm, A, 4, 2, 0xffff);
    is_u64(cfg_r(vm, A, 4, 2) & ~0x0557u, 0, "reserved command bits stay 0");
    cfg_w(vm, A, 4, 2, 0);
    ok(x->a->changes > 0, "the device is told");
}

static void test_bars(struct box *x)
{
    struct vm *vm = x->vm;
    cfg_w(vm, A, 0x10, 4, 0xffffffff);
    is_u64(cfg_r(vm, A, 0x10, 4), 0xffffffe1, "32 ports");
    cfg_w(vm, A, 0x14, 4, 0xffffffff);
    is_u64(cfg_r(vm, A, 0x14, 4), 0xfffff000, "4 KiB of memory");
    cfg_w(vm, A, 0x18, 4, 0xffffffff);
    cfg_w(vm, A, 0x1c, 4, 0xffffffff);
    is_u64(cfg_r(vm, A, 0x18, 4), 0xffff000c, "64 KiB, 64-bit, prefetchable");
    is_u64(cfg_r(vm, A, 0x1c, 4), 0xffffffff, "its upper half");
    cfg_w(vm, A, 0x20, 4, 0xffffffff);
    is_u64(cfg_r(vm, A, 0x20, 4), 0xffffe000, "8 KiB for MSI-X");
    cfg_w(vm, A, 0x24, 4, 0xffffffff);
    is_u64(cfg_r(vm, A, 0x24, 4), 0, "no BAR 5");
    cfg_w(vm, A, 0x20, 4, 0);
    cfg_w(vm, A, 0x30, 4, 0xfffffffe);
    is_u64(cfg_r(vm, A, 0x30, 4), 0xfffff000, "expansion ROM of 4 KiB");

    cfg_w(vm, A, 0x10, 4, 0xc000);
    cfg_w(vm, A, 0x14, 4, 0xe0000000);
    cfg_w(vm, A, 0x18, 4, 0x10000);
    cfg_w(vm, A, 0x1c, 4, 1);
    is_u64(fakevm_in(vm, 0xc004, 1), 0xff, "decode is off");
    is_u64(fakevm_mmio_read(vm, 0xe0000010, 4), 0xffffffff, "memory decode is off");
    cfg_w(vm, A, 4, 2, 1);
    is_u64(fakevm_in(vm, 0xc004, 1), 0x14, "I/O decode");
    is_u64(fakevm_mmio_read(vm, 0xe0000010, 4), 0xffffffff, "memory still off");
    cfg_w(vm, A, 4, 2, 3);
    is_u64(fakevm_mmio_read(vm, 0xe0000010, 4), 0x20010, "memory decode");
    is_u64(fakevm_mmio_read(vm, 0x100010008, 4), 0x30008, "above 4 GiB");
    cfg_w(vm, A, 0x14, 4, 0xe8000000);
    is_u64(fakevm_mmio_read(vm, 0xe0000010, 4), 0xffffffff, "moved away");
    is_u64(fakevm_mmio_read(vm, 0xe8000010, 4), 0x20010, "moved there");
    cfg_w(vm, A, 0x14, 4, 0xffffffff);
    is_u64(fakevm_mmio_read(vm, 0xfffff010, 4), 0xffffffff, "sizing with decode on maps nothing at the top");
    cfg_w(vm, A, 0x14, 4, 0xe8000000);
    cfg_w(vm, A, 0x10, 4, 0xc020);
    is_u64(fakevm_in(vm, 0xc004, 1), 0xff, "ports moved away");
    is_u64(fakevm_in(vm, 0xc024, 1), 0x14, "ports moved there");

    memset(toy_rom_bytes, 0xa5, sizeof toy_rom_bytes);
    cfg_w(vm, A, 0x30, 4, 0xe9000000);
    is_u64(fakevm_mmio_read(vm, 0xe9000000, 4), 0xffffffff, "ROM needs its own enable");
    cfg_w(vm, A, 0x30, 4, 0xe9000001);
    is_u64(fakevm_mmio_read(vm, 0xe9000000, 4), 0xa5a5a5a5, "ROM");
    cfg_w(vm, A, 0x30, 4, 0);

    /* RAM is the host bridge's: a BAR below the top of RAM does not hide it. */
    fakevm_ram(vm)[0x2000] = 0x77;
    cfg_w(vm, A, 0x14, 4, 0x2000);
    is_u64(fakevm_mmio_read(vm, 0x2000, 1), 0x77, "RAM wins over a BAR");
    cfg_w(vm, A, 0x14, 4, 0xe8000000);

    /* Two functions on the same ports: the first keeps them; the other comes as soon as they are free. */
    cfg_w(vm, B, 0x10, 4, 0xc020);
    cfg_w(vm, B, 4, 2, 1);
    cfg_w(vm, A, 0x10, 4, 0xc040);
    is_u64(fakevm_in(vm, 0xc024, 1), 0x14, "ports taken over");
    is_u64(fakevm_in(vm, 0xc044, 1), 0x14, "and moved");
    cfg_w(vm, B, 0x10, 4, 0xcf8);
    is_u64(cfg_r(vm, A, 0, 4), 0x56781234, "a BAR cannot hide the configuration ports");
    cfg_w(vm, B, 4, 2, 0);
}

static void test_intx(struct box *x)
{
    struct vm *vm = x->vm;
    /* PIIX: device d, pin p (INTA = 0) goes to PIRQ (d - 1 + p) & 3. A: 3, 0 -> C. B: 4, 1 -> A. */
    pci_set_intx(&x->a->pci, true);
    ok(fakevm_irqs_level(&x->apic, 18) && !fakevm_irqs_level(&x->apic, 16), "slot 3 INTA# is PIRQC#");
    is_u64(cfg_r(vm, A, 6, 1) & 8, 8, "interrupt status");
    is_u64(cfg_r(vm, PIIX4_DEVFN_ISA, 0x60, 4), 0x80808080, "PIRQRC after reset: not routed");
    ok(!x->isa.level[11], "not routed to the 8259");
    cfg_w(vm, PIIX4_DEVFN_ISA, 0x60, 4, 0x0b0b0a0a);
    is_u64(x->isa.level[11], 1u << 3, "PIRQC# to IRQ 11");
    pci_set_intx(&x->b->pci, true);
    is_u64(x->isa.level[10], 1u << 3, "slot 4 INTB# is PIRQA#: IRQ 10");
    ok(fakevm_irqs_level(&x->apic, 16), "and I/O APIC input 16");
    cfg_w(vm, PIIX4_DEVFN_ISA, 0x60, 1, 0x0b);
    ok(!x->isa.level[10] && x->isa.level[11], "rerouted to IRQ 11");
    pci_set_intx(&x->a->pci, false);
    ok(x->isa.level[11], "shared IRQ 11 stays");
    cfg_w(vm, PIIX4_DEVFN_ISA, 0x60, 1, 0x80);
    ok(!x->isa.level[11], "PIRQ off: released");
    cfg_w(vm, PIIX4_DEVFN_ISA, 0x60, 1, 0x0d);
    ok(!x->isa.level[13], "IRQ 13 cannot be chosen");
    cfg_w(vm, B, 4, 2, 0x400);
    ok(!fakevm_irqs_level(&x->apic, 16), "interrupt disable");
    is_u64(cfg_r(vm, B, 6, 1) & 8, 8, "status shows the pending interrupt all the same");
    cfg_w(vm, B, 4, 2, 0);
    ok(fakevm_irqs_level(&x->apic, 16), "enabled again");
    pci_set_intx(&x->b->pci, false);
    is_u64(cfg_r(vm, B, 6, 1) & 8, 0, "status clear");
}

static void test_msi(struct box *x)
{
    struct vm *vm = x->vm;
    uint64_t addr;
    uint32_t data;
    is_u64(cfg_r(vm, A, 6, 1) & 0x10, 0x10, "capabilities list");
    is_u64(cfg_r(vm, A, 0x34, 1), 0x60, "capabilities pointer");
    is_u64(cfg_r(vm, A, 0x61, 1), 0x50, "the next capability");
    is_u64(cfg_r(vm, A, 0x50, 4), 0x00800005, "MSI, 64-bit, disabled");
    ok(!pci_msi_enabled(&x->a->pci), "disabled");
    cfg_w(vm, A, 0x54, 4, 0xfee01003);
    cfg_w(vm, A, 0x58, 4, 0);
    cfg_w(vm, A, 0x5c, 2, 0x4041);
    cfg_w(vm, A, 0x52, 2, 1);
    cfg_w(vm, A, 4, 2, 4);
    ok(pci_msi_enabled(&x->a->pci), "enabled");
    pci_msi_send(&x->a->pci);
    is_u64(fakevm_msis(vm, &addr, &data), 1, "one message");
    is_u64(addr, 0xfee01000, "its address");
    is_u64(data, 0x4041, "its data");
    pci_set_intx(&x->a->pci, true);
    ok(!fakevm_irqs_level(&x->apic, 18), "no INTx while MSI is on");
    pci_set_intx(&x->a->pci, false);
    cfg_w(vm, A, 4, 2, 0);
    pci_msi_send(&x->a->pci);
    is_u64(fakevm_msis(vm, NULL, NULL), 1, "a message is a memory write: not without bus mastering");
}

/* PCI 3.0, 6.8.2: capability, table in the BAR, per-vector and function mask, pending bits. */
static void test_msix(struct box *x)
{
    enum { BAR = 0xea000000, PBA = BAR + 0x1000 };
    struct vm *vm = x->vm;
    struct pci_dev *p = &x->a->pci;
    uint64_t addr;
    uint32_t data;
    cfg_w(vm, A, 0x52, 2, 0);
    unsigned n = fakevm_msis(vm, NULL, NULL);
    is_u64(cfg_r(vm, A, 0x60, 4), 0x00045011, "MSI-X: 5 vectors, disabled");
    is_u64(cfg_r(vm, A, 0x64, 4), 4, "table: BAR 4 offset 0");
    is_u64(cfg_r(vm, A, 0x68, 4), 0x1004, "PBA: BAR 4 offset 1000h");
    cfg_w(vm, A, 0x20, 4, BAR);
    cfg_w(vm, A, 4, 2, 6);
    is_u64(fakevm_mmio_read(vm, BAR + 0x2c, 4), 1, "vectors are masked after reset");
    fakevm_mmio_write(vm, BAR + 0x20, 4, 0xfee03003);
    fakevm_mmio_write(vm, BAR + 0x24, 4, 0x1);
    fakevm_mmio_write(vm, BAR + 0x28, 4, 0x12344052);
    fakevm_mmio_write(vm, BAR + 0x2c, 4, 0xffffffff);
    is_u64(fakevm_mmio_read(vm, BAR + 0x20, 8), 0x1fee03000, "message address, 64 bits in one access");
    is_u64(fakevm_mmio_read(vm, BAR + 0x2c, 4), 1, "vector control has one bit");
    fakevm_mmio_write(vm, BAR + 0x50, 4, 0xffffffff);
    is_u64(fakevm_mmio_read(vm, BAR + 0x50, 4), 0, "no sixth vector");
    pci_msix_send(p, 2);
    is_u64(fakevm_mmio_read(vm, PBA, 4), 0, "disabled: nothing sent, nothing pending");
    cfg_w(vm, A, 0x62, 2, 0xffff);
    is_u64(cfg_r(vm, A, 0x62, 2), 0xc004, "enable and function mask are writable");
    ok(pci_msix_enabled(p), "enabled");
    pci_set_intx(p, true);
    ok(!fakevm_irqs_level(&x->apic, 18), "no INTx while MSI-X is on");
    pci_set_intx(p, false);
    pci_msix_send(p, 2);
    is_u64(fakevm_mmio_read(vm, PBA, 8), 4, "pending: function and vector masked");
    fakevm_mmio_write(vm, PBA, 4, 0xffffffff);
    is_u64(fakevm_mmio_read(vm, PBA, 4), 4, "the pending bits are read-only");
    fakevm_mmio_write(vm, BAR + 0x2c, 4, 0);
    is_u64(fakevm_msis(vm, NULL, NULL), n, "still masked by the function");
    cfg_w(vm, A, 0x62, 2, 0x8000);
    is_u64(fakevm_msis(vm, &addr, &data), n + 1, "sent when the function mask is cleared");
    is_u64(addr, 0x1fee03000, "its address");
    is_u64(data, 0x12344052, "its data");
    is_u64(fakevm_mmio_read(vm, PBA, 4), 0, "not pending any more");
    pci_msix_send(p, 2);
    is_u64(fakevm_msis(vm, NULL, NULL), n + 2, "unmasked: sent at once");
    fakevm_mmio_write(vm, BAR + 0x2c, 4, 1);
    pci_msix_send(p, 2);
    pci_msix_send(p, 2);
    fakevm_mmio_write(vm, BAR + 0x2c, 4, 0);
    is_u64(fakevm_msis(vm, NULL, NULL), n + 3, "two while masked are one after");
    fakevm_mmio_write(vm, BAR + 0x2c, 4, 1);
    pci_msix_send(p, 2);
    pci_msix_clear(p, 2);
    fakevm_mmio_write(vm, BAR + 0x2c, 4, 0);
    is_u64(fakevm_msis(vm, NULL, NULL), n + 3, "taken back while pending");
    cfg_w(vm, A, 4, 2, 2);
    pci_msix_send(p, 2);
    is_u64(fakevm_msis(vm, NULL, NULL), n + 3, "not without bus mastering");
    cfg_w(vm, A, 4, 2, 6);
    is_u64(fakevm_msis(vm, NULL, NULL), n + 4, "but as soon as it is back");
    pci_msix_send(p, 5);
    pci_msix_send(p, 1000);
    is_u64(fakevm_msis(vm, NULL, NULL), n + 4, "vectors that do not exist");
    fakevm_mmio_write(vm, BAR + 0x2c, 4, 1);
    pci_msix_send(p, 2);

    struct box y;
    struct err e = {0};
    box_make(&y);
    ok(!fakevm_migrate(vm, y.vm, &e), "saved and loaded: %s", e.msg);
    is_u64(fakevm_mmio_read(y.vm, PBA, 4), 4, "pending after load");
    fakevm_mmio_write(y.vm, BAR + 0x2c, 4, 0);
    is_u64(fakevm_msis(y.vm, &addr, &data), 1, "sent after load");
    is_u64(data, 0x12344052, "its data");
    fakevm_free(y.vm);

    cfg_w(vm, A, 0x62, 2, 0);
    cfg_w(vm, A, 4, 2, 0);
}

static void test_rest(struct box *x)
{
    struct vm *vm = x->vm;
    struct err e = {0};
    uint32_t v = 0;
    fakevm_ram(vm)[0x100] = 0x12;
    ok(pci_dma_read(&x->a->pci, 0x100, &v, 4) == -1 && v == 0xffffffff, "no DMA without bus mastering");
    cfg_w(vm, A, 4, 2, 4);
    ok(!pci_dma_read(&x->a->pci, 0x100, &v, 1) && (v & 0xff) == 0x12, "DMA");
    ok(pci_register(&x->a->pci, x->bus, B, &(struct pci_id){0}, 0, &e) == -1, "a slot is given once: %s", e.msg);

    is_u64(fakevm_in(vm, 0xcf9, 1), 0, "CF9h");
    fakevm_out(vm, 0xcf9, 1, 0x02);
    is_u64(fakevm_wishes(vm, WISH_RESET), 0, "no reset yet");
    fakevm_requests(vm, 0);
    fakevm_out(vm, 0xcf9, 1, 0x04);
    ok(fakevm_wishes(vm, WISH_RESET) == 0 && fakevm_requests(vm, 0) & VR_INIT, "4: INIT of the processors");
    fakevm_out(vm, 0xcf9, 1, 0x02);
    fakevm_out(vm, 0xcf9, 1, 0x06);
    is_u64(fakevm_wishes(vm, WISH_RESET), 1, "reset at the rising edge of bit 2");
    is_u64(fakevm_in(vm, 0xcf9, 1), 0x06, "reads back");

    pci_set_intx(&x->b->pci, true);
    cfg_w(vm, B, 4, 2, 3);
    cfg_w(vm, B, 0x10, 4, 0xd000);
    cfg_w(vm, B, 0x14, 4, 0xf0000000);
    struct box y;
    box_make(&y);
    fakevm_reset(vm);
    pci_set_intx(&x->b->pci, true);
    cfg_w(vm, B, 4, 2, 3);
    cfg_w(vm, B, 0x10, 4, 0xd000);
    cfg_w(vm, B, 0x14, 4, 0xf0000000);
    cfg_w(vm, PIIX4_DEVFN_ISA, 0x60, 4, 0x0b0b0a0a);
    ok(!fakevm_migrate(vm, y.vm, &e), "saved and loaded: %s", e.msg);
    is_u64(fakevm_in(y.vm, 0xd002, 1), 0x12, "BARs are mapped after load");
    ok(fakevm_irqs_level(&y.apic, 16) && y.isa.level[10], "INTx is driven after load");
    fakevm_free(y.vm);
    fakevm_reset(vm);
    is_u64(cfg_r(vm, B, 4, 2), 0, "reset: command");
    is_u64(cfg_r(vm, B, 0x10, 4), 1, "reset: BAR");
    is_u64(fakevm_in(vm, 0xd002, 1), 0xff, "reset: unmapped");
    ok(!fakevm_irqs_level(&x->apic, 16), "reset: INTx released");
}

int main(void)
{
    struct box x;
    box_make(&x);
    fakevm_reset(x.vm);
    test_config(&x);
    test_bars(&x);
    test_intx(&x);
    test_msi(&x);
    test_msix(&x);
    test_rest(&x);
    is_u64(cfg_r(x.vm, PIIX4_DEVFN_ISA, 0, 4), 0x71108086, "82371AB function 0");
    is_u64(cfg_r(x.vm, PIIX4_DEVFN_ISA, 8, 4) >> 8, 0x060100, "ISA bridge");
    is_u64(cfg_r(x.vm, PIIX4_DEVFN_ISA, 0x0e, 1), 0x80, "multi-function");
    is_u64(cfg_r(x.vm, PIIX4_DEVFN_ISA, 6, 2), 0x0280, "PCISTS default (4.1.4)");
    is_u64(cfg_r(x.vm, PIIX4_DEVFN_ISA, 4, 2), 0x0007, "PCICMD default (4.1.3)");
    fakevm_free(x.vm);
    return TAP_DONE();
}
