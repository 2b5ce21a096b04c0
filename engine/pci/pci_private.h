/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What pci.c, msix.c and bridge.c have in common. */
#ifndef LODGE_PCI_PCI_PRIVATE_H
#define LODGE_PCI_PCI_PRIVATE_H

#include "pci/pci.h"

enum {
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_SECONDARY_BUS = 0x19, /* type 1 headers */
    PCI_CAPABILITY_LIST = 0x34,
    CMD_IO = 0x0001,
    CMD_MEMORY = 0x0002,
    STS_CAP_LIST = 0x10,
};

struct pci_bus {
    struct dev dev; /* of bus 0 only, as all but fn, root, next and bridge */
    struct port_range ports;
    const struct irq_sink *pirq;
    unsigned pirq_count[4]; /* functions that assert each PIRQ now */
    /* guest-visible */
    uint32_t config_address;
    uint8_t rcr;

    struct pci_dev *fn[256];
    struct pci_bus *root, *next; /* bus 0; from there a list of the buses behind bridges */
    struct pci_dev *bridge;      /* NULL: bus 0 */
    bool express;                /* a root port's */
};

/* Does the bridge before this bus let accesses to all these bytes through? True on bus 0. */
bool bridge_forwards(const struct pci_bus *bus, bool io, uint64_t addr, uint64_t size);
void bus_remap(struct pci_bus *bus); /* not bus 0: after a change of what its bridge lets through */

void pci_cap_add(struct pci_dev *p, uint8_t off, uint8_t id); /* links a capability's header in at off */

void msix_flush(struct pci_dev *p);  /* sends what waited and may be sent now */
void msix_reset(struct pci_dev *p);
void msix_loaded(struct pci_dev *p); /* the config space stands already */
extern const struct state_desc msix_state; /* of struct pci_msix */

#endif
