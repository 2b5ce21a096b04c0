/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PCI function with one BAR of each kind, MSI and MSI-X; what its registers do is the test's. And a board for it: a bus with a PIIX4. */
#ifndef LODGE_TESTS_TOYPCI_H
#define LODGE_TESTS_TOYPCI_H

#include "chipset/piix4.h"
#include "pci/pci.h"
#include "tests/fakevm.h"

struct toy {
    struct pci_dev pci;
    struct memregion mem, mem64, rom;
    struct memblk romblk;
    unsigned changes; /* of its configuration space */
};

struct toy_params {
    struct pci_bus *bus;
    uint8_t devfn, pin;
    const struct io_ops *io, *mem, *mem64;
};

static uint8_t toy_rom_bytes[4096] __attribute__((aligned(4096)));

static void toy_changed(struct pci_dev *p, unsigned off, unsigned size) { ((struct toy *)p)->changes++; }

static int toy_init(struct dev *d, const void *params, struct err *e)
{
    static const struct pci_id id = {0x1234, 0x5678, 0x9abc, 0xdef0, 0x02000003};
    struct toy *t = (struct toy *)d;
    const struct toy_params *p = params;
    if (pci_register(&t->pci, p->bus, p->devfn, &id, p->pin, e))
        return -1;
    t->mem = (struct memregion){.owner = "toy", .size = 0x1000, .kind = MR_MMIO, .ops = p->mem, .dev = t};
    t->mem64 = (struct memregion){.owner = "toy64", .size = 0x10000, .kind = MR_MMIO, .ops = p->mem64, .dev = t};
    t->romblk = (struct memblk){.host = toy_rom_bytes, .size = sizeof toy_rom_bytes, .fd = -1};
    t->rom = (struct memregion){.owner = "toyrom", .size = sizeof toy_rom_bytes, .kind = MR_ROM, .blk = &t->romblk};
    pci_bar_io(&t->pci, 0, 32, p->io, t);
    pci_bar_mem(&t->pci, 1, &t->mem, false, false);
    pci_bar_mem(&t->pci, 2, &t->mem64, true, true);
    pci_bar_mem(&t->pci, 6, &t->rom, false, false);
    pci_msi_add(&t->pci, 0x50);
    pci_msix_add(&t->pci, 0x60, 4, 5, 0x2000);
    pci_on_config(&t->pci, toy_changed);
    return 0;
}

static void toy_reset(struct dev *d, enum reset_kind k) { pci_reset_function((struct pci_dev *)d); }

static const struct state_field toy_fields[] = {
    {.name = "pci", .off = offsetof(struct toy, pci), .count = 1, .stride = sizeof(struct pci_dev), .kind = SF_STRUCT, .sub = &pci_dev_state},
    {0},
};
static const struct state_desc toy_state = {.name = "toy", .version = 1, .min_version = 1, .fields = toy_fields};
static const struct dev_class toy_class = {
    .name = "toy", .size = sizeof(struct toy), .init = toy_init, .reset = toy_reset, .state = &toy_state};

/* Registers that tell the BAR's number and the offset. */
static inline uint64_t toy_io_read(void *dev, uint64_t off, unsigned size) { return 0x10 + off; }
static inline uint64_t toy_mem_read(void *dev, uint64_t off, unsigned size) { return 0x20000 + off; }
static inline uint64_t toy_mem64_read(void *dev, uint64_t off, unsigned size) { return 0x30000 + off; }
static const struct io_ops toy_io = {.read = toy_io_read};
static const struct io_ops toy_mem = {.read = toy_mem_read, .widths = IO_32};
static const struct io_ops toy_mem64 = {.read = toy_mem64_read, .widths = IO_32};

static inline struct toy *toy_make(struct vm *vm, const char *id, struct pci_bus *bus, uint8_t devfn, uint8_t pin)
{
    struct err e = {0};
    return (struct toy *)dev_create(vm, &toy_class, id, &(struct toy_params){bus, devfn, pin, &toy_io, &toy_mem, &toy_mem64}, &e);
}

/* isa and apic: what the PIIX4 routes PIRQA# to PIRQD# to. */
static inline struct vm *toy_board(struct pci_bus **bus, struct fakevm_irqs *isa, struct fakevm_irqs *apic)
{
    struct err e = {0};
    struct vm *vm = fakevm_new(1, 1);
    fakevm_irqs_init(isa);
    fakevm_irqs_init(apic);
    *bus = (struct pci_bus *)dev_create(vm, &pci_bus_class, "pci0", NULL, &e);
    struct piix4_params pp = {.bus = *bus, .devfn = PIIX4_DEVFN_ISA, .isa = &isa->sink, .isa_src = 3};
    for (unsigned i = 0; i < 4; i++)
        pp.gsi[i] = fakevm_irq(apic, 16 + i);
    dev_create(vm, &piix4_class, "piix4", &pp, &e);
    return vm;
}

#endif
