/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: PCI bus with host bridge, ISA bridge, power management, port 92h and a function with one BAR of each kind, on bus 0 and
 * behind each kind of bridge. */
#include <string.h>

#include "tests/dev/toypci.h"
#include "tests/fuzz/fuzz_dev.h"

#include "chipset/i440.h"
#include "chipset/piix4.h"
#include "chipset/pm.h"
#include "chipset/port92.h"
#include "pci/bridge.h"

static struct fakevm_irqs irqs;
static uint8_t ram_bytes[2][4 << 20] __attribute__((aligned(4096))), rom_bytes[0x20000] __attribute__((aligned(4096)));
static struct memblk ram[2], rom = {.host = rom_bytes, .size = sizeof rom_bytes, .fd = -1};
static unsigned made;

static uint64_t toy_read(void *dev, uint64_t off, unsigned size) { return off; }
static void toy_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    pci_set_intx(dev, val & 1);
    pci_msix_send(dev, val >> 1 & 31);
    if (val & 0x80)
        pci_msix_clear(dev, val >> 8 & 31);
}
static const struct io_ops toy_ops = {.read = toy_read, .write = toy_write};
static void make(struct vm *vm)
{
    struct err e = {0};
    unsigned k = made++ & 1;
    ram[k] = (struct memblk){.host = ram_bytes[k], .size = sizeof ram_bytes[k], .fd = -1};
    fakevm_irqs_init(&irqs);
    struct pci_bus *bus = (struct pci_bus *)dev_create(vm, &pci_bus_class, "pci0", NULL, &e);
    struct i440_params ip = {.bus = bus, .ram = &ram[k], .rom = &rom};
    struct dev *i440 = dev_create(vm, &i440_class, "i440", &ip, &e);
    struct piix4_params pp = {.bus = bus, .devfn = PIIX4_DEVFN_ISA, .isa = &irqs.sink, .isa_src = 3};
    for (unsigned i = 0; i < 4; i++)
        pp.gsi[i] = fakevm_irq(&irqs, 32 + i);
    dev_create(vm, &piix4_class, "piix4", &pp, &e);
    struct pm_params mp = {.bus = bus, .devfn = PIIX4_DEVFN_PM, .sci = fakevm_irq(&irqs, 9), .smm = true};
    dev_create(vm, &pm_class, "pm", &mp, &e);
    struct port92_params p92 = {.a20 = {i440_a20_sink(i440), 0, A20_SRC_PORT92}};
    dev_create(vm, &port92_class, "port92", &p92, &e);
    dev_create(vm, &toy_class, "toy", &(struct toy_params){bus, PCI_DEVFN(3, 0), 1, &toy_ops, &toy_ops, &toy_ops}, &e);
    struct dev *b = dev_create(vm, &pci_bridge_class, "bridge", &(struct pci_bridge_params){bus, PCI_DEVFN(17, 0), false, 0}, &e);
    struct dev *r = dev_create(vm, &pci_bridge_class, "port", &(struct pci_bridge_params){bus, PCI_DEVFN(21, 0), true, 160}, &e);
    dev_create(vm, &toy_class, "toy1", &(struct toy_params){pci_bridge_bus(b), PCI_DEVFN(1, 0), 1, &toy_ops, &toy_ops, &toy_ops}, &e);
    dev_create(vm, &toy_class, "toy2", &(struct toy_params){pci_bridge_bus(r), 0, 1, &toy_ops, &toy_ops, &toy_ops}, &e);
}

/* 0, 1: a configuration write; 2: power button; 3: a general-purpose event, or A20 by the keyboard controller. */
static void extra(struct fuzz *f, unsigned what)
{
    /* bus << 8 | devfn */
    static const uint16_t fn[] = {0, PIIX4_DEVFN_ISA, PIIX4_DEVFN_PM, PCI_DEVFN(3, 0), PCI_DEVFN(17, 0), PCI_DEVFN(21, 0), 0x100 | PCI_DEVFN(1, 0), 0x200};
    uint8_t a = (uint8_t)fuzz_bytes(f, 1), off = (uint8_t)fuzz_bytes(f, 1);
    if (what < 2) {
        unsigned size = a & 8 ? 4 : a & 16 ? 2 : 1;
        off &= (uint8_t)~(size - 1);
        fakevm_out(f->vm, 0xcf8, 4, 0x80000000u | (uint32_t)fn[a & 7] << 8 | (off & 0xfc));
        fakevm_out(f->vm, (uint16_t)(0xcfc + (off & 3)), size, fuzz_bytes(f, size));
        fakevm_in(f->vm, (uint16_t)(0xcfc + (off & 3)), size);
    } else if (what == 2) {
        pm_power_button(dev_find(f->vm, "pm"));
    } else if (a & 1) {
        pm_gpe(dev_find(f->vm, "pm"), off);
    } else {
        const struct irq_sink *a20 = i440_a20_sink(dev_find(f->vm, "i440"));
        a20->set(a20->ctl, 0, A20_SRC_KBC, off & 1);
    }
}

FUZZ_DEVICE(.vcpus = 1, .ports = {{0xcf8, 8}, {0x600, 64}, {0x700, 16}, {0xb2, 2}, {0x92, 1}, {0xc000, 32}},
            .n_ports = 6, .mmio = {{0xa0000, 0x10000}, {0xf0000, 0x10000}, {0xe0000000, 0x4000}, {0x100000, 0x1000}},
            .n_mmio = 4, .make = make, .extra = extra)
