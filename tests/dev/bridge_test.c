/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buses behind bridges: configuration type 1, windows, interrupt pins, secondary bus reset against the PCI-to-PCI Bridge Architecture
 * Specification 1.2; the Express capability against the PCI Express Base Specification 3.0.
 */
#include <string.h>

#include "pci/bridge.h"
#include "tests/dev/pcibox.h"
#include "tests/dev/toypci.h"
#include "tests/tap.h"

enum { BRIDGE = PCI_DEVFN(17, 0), PORT = PCI_DEVFN(21, 0), PORT2 = PCI_DEVFN(21, 2), A = PCI_DEVFN(1, 0), B = PCI_DEVFN(0, 0), C = PCI_DEVFN(3, 0) };

struct box {
    struct vm *vm;
    struct pci_bus *bus;
    struct dev *bridge, *port, *port2;
    struct toy *a, *b, *c; /* behind the bridge, behind port2, on bus 0 */
    struct fakevm_irqs isa, apic;
};

static uint32_t rd(struct box *x, unsigned bus, uint8_t devfn, unsigned off, unsigned size) { return cfg_bus_r(x->vm, bus, devfn, off, size); }
static void wr(struct box *x, unsigned bus, uint8_t devfn, unsigned off, unsigned size, uint32_t v) { cfg_bus_w(x->vm, bus, devfn, off, size, v); }

static struct dev *bridge(struct box *x, const char *id, uint8_t devfn, bool express, uint16_t slot)
{
    struct err e = {0};
    return dev_create(x->vm, &pci_bridge_class, id, &(struct pci_bridge_params){x->bus, devfn, express, slot}, &e);
}
static struct toy *toy(struct box *x, const char *id, struct pci_bus *bus, uint8_t devfn)
{
    struct toy *t = toy_make(x->vm, id, bus, devfn, 1);
    pci_express_add(&t->pci, 0x80, 2);
    return t;
}

static void box_make(struct box *x)
{
    memset(x, 0, sizeof *x);
    x->vm = toy_board(&x->bus, &x->isa, &x->apic);
    x->bridge = bridge(x, "bridge", BRIDGE, false, 0);
    x->port = bridge(x, "port", PORT, true, 160);
    x->port2 = bridge(x, "port2", PORT2, true, 162);
    x->a = toy(x, "a", pci_bridge_bus(x->bridge), A);
    x->b = toy(x, "b", pci_bridge_bus(x->port2), B);
    x->c = toy(x, "c", x->bus, C);
}

static void test_headers(struct box *x)
{
    is_u64(rd(x, 0, BRIDGE, 0, 4), 0x079015ad, "PCI bridge");
    is_u64(rd(x, 0, BRIDGE, 8, 4) >> 8, 0x060400, "its class");
    is_u64(rd(x, 0, BRIDGE, 0x0e, 1), 1, "type 1 header");
    is_u64(rd(x, 0, PORT, 0, 4), 0x07a015ad, "root port");
    is_u64(rd(x, 0, PORT, 0x0e, 1), 0x81, "of several functions");
    is_u64(rd(x, 0, BRIDGE, 0x34, 1), 0x40, "capabilities of the bridge: its subsystem");
    is_u64(rd(x, 0, BRIDGE, 0x44, 4), 0x079015ad, "subsystem");
    is_u64(rd(x, 0, PORT2, 0x41, 1), 0x50, "of a root port: Express too");
    is_u64(rd(x, 0, PORT2, 0x50, 1), 0x10, "Express");
    is_u64(rd(x, 0, PORT2, 0x52, 2), 0x0142, "version 2, root port, with a slot (7.8.2)");
    is_u64(rd(x, 0, PORT2, 0x64, 4) >> 19, 162, "physical slot number (7.8.9)");
    is_u64(rd(x, 0, PORT2, 0x64, 4) & 0x7f, 0, "nothing can be plugged");
    is_u64(rd(x, 0, PORT2, 0x6a, 2) >> 6 & 1, 1, "and something is in it (7.8.11)");
    is_u64(x->b->pci.cfg[0x82], 0x02, "a function behind a root port is an endpoint");
    is_u64(x->c->pci.cfg[0x82], 0x92, "one on bus 0 an integrated endpoint");
    is_u64(x->a->pci.cfg[0x80], 0, "and one behind a conventional bridge has no Express capability");
    wr(x, 0, BRIDGE, 0x10, 4, 0xffffffff);
    is_u64(rd(x, 0, BRIDGE, 0x10, 4), 0, "no BARs");
    wr(x, 0, BRIDGE, 0x3e, 2, 0xffbf);
    is_u64(rd(x, 0, BRIDGE, 0x3e, 2), 0x0007, "bridge control: parity, SERR#, ISA");
    wr(x, 0, BRIDGE, 0x3e, 2, 0);
}

static void test_numbers(struct box *x)
{
    is_u64(rd(x, 1, A, 0, 4), 0xffffffff, "no bus number yet: nothing there");
    wr(x, 0, BRIDGE, 0x18, 4, 0x00020200);
    is_u64(rd(x, 2, A, 0, 4), 0x56781234, "bus 2");
    is_u64(rd(x, 2, B, 0, 4), 0xffffffff, "no other device on it");
    is_u64(rd(x, 0, A, 0, 4), 0xffffffff, "not on bus 0");
    is_u64(rd(x, 0, BRIDGE, 0x18, 4), 0x00020200, "numbers read back");
    wr(x, 0, PORT2, 0x18, 4, 0xff040400);
    is_u64(rd(x, 0, PORT2, 0x18, 4), 0x00040400, "a root port has no secondary latency timer");
    is_u64(rd(x, 4, B, 0, 4), 0x56781234, "bus 4");
    is_u64(rd(x, 3, B, 0, 4), 0xffffffff, "bus 3 is nobody's");
    wr(x, 0, BRIDGE, 0x19, 1, 7);
    is_u64(rd(x, 7, A, 0, 4), 0x56781234, "the number changes");
    is_u64(rd(x, 2, A, 0, 4), 0xffffffff, "and the old one is gone");
    wr(x, 0, BRIDGE, 0x18, 4, 0x00020200);
}

static void test_windows(struct box *x)
{
    struct vm *vm = x->vm;
    wr(x, 2, A, 0x10, 4, 0xc100);
    wr(x, 2, A, 0x14, 4, 0xe0100000);
    wr(x, 2, A, 0x18, 4, 0x00000000);
    wr(x, 2, A, 0x1c, 4, 0x8);
    wr(x, 2, A, 4, 2, 3);
    is_u64(fakevm_in(vm, 0xc104, 1), 0xff, "the bridge passes nothing yet: ports");
    is_u64(fakevm_mmio_read(vm, 0xe0100010, 4), 0xffffffff, "memory");
    wr(x, 0, BRIDGE, 0x1c, 2, 0xc0c0);
    wr(x, 0, BRIDGE, 0x20, 4, 0xe010e010);
    is_u64(rd(x, 0, BRIDGE, 0x1c, 2), 0xc0c0, "I/O window of 16-bit addresses");
    is_u64(rd(x, 0, BRIDGE, 0x24, 4), 0x00010001, "prefetchable window of 64-bit addresses");
    is_u64(fakevm_mmio_read(vm, 0xe0100010, 4), 0xffffffff, "windows, but the command register is clear");
    wr(x, 0, BRIDGE, 4, 2, 2);
    is_u64(fakevm_mmio_read(vm, 0xe0100010, 4), 0x20010, "memory window");
    is_u64(fakevm_in(vm, 0xc104, 1), 0xff, "ports still off");
    wr(x, 0, BRIDGE, 4, 2, 3);
    is_u64(fakevm_in(vm, 0xc104, 1), 0x14, "I/O window");
    is_u64(fakevm_mmio_read(vm, 0x800000008, 4), 0xffffffff, "not in a window");
    wr(x, 0, BRIDGE, 0x24, 4, 0x00000000);
    wr(x, 0, BRIDGE, 0x28, 4, 8);
    wr(x, 0, BRIDGE, 0x2c, 4, 8);
    is_u64(fakevm_mmio_read(vm, 0x800000008, 4), 0x30008, "prefetchable window above 4 GiB");
    wr(x, 0, BRIDGE, 0x20, 4, 0xe010e020);
    is_u64(fakevm_mmio_read(vm, 0xe0100010, 4), 0xffffffff, "base above limit: closed");
    wr(x, 0, BRIDGE, 0x20, 4, 0xe030e020);
    wr(x, 2, A, 0x14, 4, 0xe02ff000);
    is_u64(fakevm_mmio_read(vm, 0xe02ff010, 4), 0x20010, "a window of 2 MiB");
    wr(x, 2, A, 0x14, 4, 0xe0400000);
    is_u64(fakevm_mmio_read(vm, 0xe0400010, 4), 0xffffffff, "outside");
    wr(x, 2, A, 0x14, 4, 0xe0300000);
    wr(x, 0, BRIDGE, 0x3e, 2, 4);
    is_u64(fakevm_in(vm, 0xc104, 1), 0xff, "ISA enable keeps C100h to C3FFh from the secondary bus (3.2.5.18)");
    wr(x, 2, A, 0x10, 4, 0xc400);
    is_u64(fakevm_in(vm, 0xc404, 1), 0x14, "but not C400h");
    wr(x, 0, BRIDGE, 0x3e, 2, 0);

    /* A function of bus 0 waits for the ports, and gets them when the bridge closes. */
    wr(x, 0, C, 0x10, 4, 0xc400);
    wr(x, 0, C, 4, 2, 1);
    wr(x, 0, BRIDGE, 0x1c, 2, 0xd0d0);
    x->c->changes = 0;
    is_u64(fakevm_in(vm, 0xc404, 1), 0x14, "ports of a closed window are the other's");
    wr(x, 0, C, 4, 2, 0);
    is_u64(fakevm_in(vm, 0xc404, 1), 0xff, "and nobody's when that goes too");
    wr(x, 0, BRIDGE, 0x1c, 2, 0xc0c0);
}

static void test_pins(struct box *x)
{
    /* 9.1: INTA# of device 1 is the bridge's INTB#, and device 17's pin 1 is PIRQ (17 - 1 + 1) & 3 = PIRQB# here. */
    pci_set_intx(&x->a->pci, true);
    ok(fakevm_irqs_level(&x->apic, 17) && !fakevm_irqs_level(&x->apic, 16), "device 1 behind device 17: PIRQB#");
    pci_set_intx(&x->a->pci, false);
    ok(!fakevm_irqs_level(&x->apic, 17), "released");
    pci_set_intx(&x->b->pci, true);
    ok(fakevm_irqs_level(&x->apic, 16), "device 0 behind device 21: its own pin, PIRQA#");
    pci_set_intx(&x->b->pci, false);
}

static void test_reset_and_state(struct box *x)
{
    struct vm *vm = x->vm;
    struct box y;
    struct err e = {0};
    box_make(&y);
    ok(!fakevm_migrate(vm, y.vm, &e), "saved and loaded: %s", e.msg);
    is_u64(rd(&y, 2, A, 0, 4), 0x56781234, "bus numbers after load");
    is_u64(fakevm_mmio_read(y.vm, 0xe0300010, 4), 0x20010, "windows after load");
    is_u64(fakevm_in(y.vm, 0xc404, 1), 0x14, "ports after load");
    fakevm_free(y.vm);

    wr(x, 0, BRIDGE, 0x3e, 2, 0x40);
    is_u64(rd(x, 2, A, 4, 2), 0, "secondary bus reset: the function's command register");
    is_u64(fakevm_mmio_read(vm, 0xe0300010, 4), 0xffffffff, "and it decodes nothing");
    is_u64(rd(x, 0, BRIDGE, 0x20, 4), 0xe030e020, "the bridge's own registers stay");
    wr(x, 0, BRIDGE, 0x3e, 2, 0);
    wr(x, 2, A, 0x14, 4, 0xe0300000);
    wr(x, 2, A, 4, 2, 2);
    is_u64(fakevm_mmio_read(vm, 0xe0300010, 4), 0x20010, "set up again");
    fakevm_reset(vm);
    is_u64(rd(x, 2, A, 0, 4), 0xffffffff, "reset: no bus number");
    is_u64(fakevm_mmio_read(vm, 0xe0300010, 4), 0xffffffff, "reset: nothing decoded");
}

int main(void)
{
    struct box x;
    box_make(&x);
    fakevm_reset(x.vm);
    test_headers(&x);
    test_numbers(&x);
    test_windows(&x);
    test_pins(&x);
    test_reset_and_state(&x);
    fakevm_free(x.vm);
    return TAP_DONE();
}
