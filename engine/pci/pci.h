/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PCI function is a dev with config space; BARs are memregions or port ranges that the core maps, moves and unmaps. */
#ifndef LODGE_PCI_PCI_H
#define LODGE_PCI_PCI_H

#include "core/device.h"
#include "core/irq.h"
#include "core/memmap.h"

struct pci_bus;
struct pci_id {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_rev; /* class code << 8 | revision */
};

struct pci_bar {
    uint64_t size, addr;   /* size 0: not implemented */
    bool io, is64, prefetch, mapped;
    struct memregion *mr;  /* memory BAR */
    struct port_range pr;  /* I/O BAR */
};

/* MSI-X: the table as the guest sees it, and the messages that wait because they are masked. */
enum { PCI_MSIX_MAX = 32 };
struct pci_msix {
    unsigned n;  /* vectors; 0: no MSI-X */
    uint8_t off; /* of the capability */
    struct memregion mr;
    uint8_t table[PCI_MSIX_MAX * 16];
    uint32_t pending;
};

struct pci_dev {
    struct dev dev; /* first member */
    struct pci_bus *bus;
    uint8_t devfn;  /* device << 3 | function */
    uint8_t cfg[256], wmask[256], w1cmask[256];
    struct pci_bar bar[7]; /* 6 = expansion ROM */
    bool bus_master;
    bool intx_level;
    void (*changed)(struct pci_dev *p, unsigned off, unsigned size);
    /* pci.c's own: config space at the end of the device's init, what is driven now, MSI capability offset (0: none). */
    uint8_t reset_cfg[256];
    bool reset_cfg_valid, intx_driven, io_blocked;
    uint8_t msi_off;
    uint8_t pirq;
    struct pci_msix msix;
};

/*
 * The bus itself: configuration mechanism 1 at CF8h/CFCh and the reset control register CF9h. A cast of
 * dev_create(vm, &pci_bus_class, "pci0", NULL) gives the bus for the params of the functions on it.
 */
extern const struct dev_class pci_bus_class;
/* Pins 0-3 of the sink are PIRQA#-PIRQD#; one function takes it (the ISA bridge). INTx of slot s, pin p goes to PIRQ (s + p - 2) & 3. */
void pci_bus_set_pirq(struct pci_bus *bus, const struct irq_sink *sink); /* [main] building */
/* The function at devfn, or NULL. For tests and for the machine's report. */
struct pci_dev *pci_bus_find(struct pci_bus *bus, uint8_t devfn);
#define PCI_DEVFN(dev, fn) ((uint8_t)((dev) << 3 | (fn)))

/* From a device's init, before any BAR: fills ids, links the function to the bus. pin: 0 none, 1 = INTA ... [main] */
int pci_register(struct pci_dev *p, struct pci_bus *bus, uint8_t devfn, const struct pci_id *id, uint8_t pin, struct err *e);
void pci_bar_mem(struct pci_dev *p, int bar, struct memregion *mr, bool prefetch, bool is64); /* init time only */
void pci_bar_io(struct pci_dev *p, int bar, uint16_t count, const struct io_ops *ops, void *dev);
/* Called after the core applied the write masks. */
void pci_on_config(struct pci_dev *p, void (*changed)(struct pci_dev *p, unsigned off, unsigned size));
void pci_set_intx(struct pci_dev *p, bool level); /* [dev] routes through PIRQ and IOAPIC */
int pci_dma_read(struct pci_dev *p, gpa_t a, void *buf, size_t n); /* honours bus mastering; all ones when it is off */
int pci_dma_write(struct pci_dev *p, gpa_t a, const void *buf, size_t n);
/* Call from the device's reset: command register, BAR addresses, interrupt line back to reset values. */
void pci_reset_function(struct pci_dev *p);
/* Adds MSI (one vector) at config offset off; pci_msi_enabled then pci_msi_send instead of pci_set_intx. */
void pci_msi_add(struct pci_dev *p, uint8_t off);
bool pci_msi_enabled(const struct pci_dev *p);
void pci_msi_send(struct pci_dev *p);
/*
 * Adds MSI-X with n (1 to PCI_MSIX_MAX) vectors at config offset off. Memory BAR bar of size bytes (a power of two, at
 * least 4 KiB) is the table in its lower half and the pending bits from the middle on; nothing else is in it. Once
 * pci_msix_enabled, pci_msix_send instead of pci_set_intx: a masked vector is remembered and sent when it may be.
 * Init time only.
 */
void pci_msix_add(struct pci_dev *p, uint8_t off, int bar, unsigned n, uint32_t size);
bool pci_msix_enabled(const struct pci_dev *p);
void pci_msix_send(struct pci_dev *p, unsigned vector);  /* [dev] vectors that do not exist are dropped */
void pci_msix_clear(struct pci_dev *p, unsigned vector); /* [dev] what was to be told is over: not pending any more */
/*
 * Adds a PCI Express capability (version 1 or 2) at config offset off, unless the function is on a conventional bus behind a bridge. It
 * is an endpoint behind a root port, an integrated one on bus 0. Init time only.
 */
void pci_express_add(struct pci_dev *p, uint8_t off, unsigned version);
extern const struct state_desc pci_dev_state; /* sub-section for devices: SF_STRUCT of their pci_dev */

#endif
