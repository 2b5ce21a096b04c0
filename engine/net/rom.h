/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The expansion ROM of a network adapter: a PXE image behind BAR 6. */
#ifndef LODGE_NET_ROM_H
#define LODGE_NET_ROM_H

#include "core/memmap.h"
#include "pci/pci.h"

struct nic_rom {
    struct memblk blk;
    struct memregion mr;
};

/* From the adapter's init, after pci_register. Copies the image; its PCI data structure gets the ids of p, so that one
 * image serves all chips of its driver. size 0: no ROM. */
int nic_rom_init(struct nic_rom *r, struct pci_dev *p, const void *image, size_t size, struct err *e);
void nic_rom_fini(struct nic_rom *r);

#endif
