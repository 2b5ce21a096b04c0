/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A bridge on bus 0 with a bus behind it: VMware's PCI bridge (15ad:0790) or PCI Express root port (15ad:07a0). */
#ifndef LODGE_PCI_BRIDGE_H
#define LODGE_PCI_BRIDGE_H

#include "pci/pci.h"

struct pci_bridge_params {
    struct pci_bus *bus;    /* bus 0 */
    uint8_t devfn;
    bool express;           /* a root port: one device, PCI Express */
    uint16_t physical_slot; /* root port: the slot's number that the guest reads */
};
extern const struct dev_class pci_bridge_class;
struct pci_bus *pci_bridge_bus(struct dev *bridge); /* for the params of the functions behind it */

#endif
