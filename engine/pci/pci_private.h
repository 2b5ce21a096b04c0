/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What pci.c and msix.c have in common. */
#ifndef LODGE_PCI_PCI_PRIVATE_H
#define LODGE_PCI_PCI_PRIVATE_H

#include "pci/pci.h"

enum {
    PCI_STATUS = 0x06,
    PCI_CAPABILITY_LIST = 0x34,
    STS_CAP_LIST = 0x10,
};

void pci_cap_add(struct pci_dev *p, uint8_t off, uint8_t id); /* links a capability's header in at off */

void msix_flush(struct pci_dev *p);  /* sends what waited and may be sent now */
void msix_reset(struct pci_dev *p);
void msix_loaded(struct pci_dev *p); /* the config space stands already */
extern const struct state_desc msix_state; /* of struct pci_msix */

#endif
