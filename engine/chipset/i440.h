/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel 82441FX host bridge (8086:1237): RAM layout, PAM, SMRAM, the A20 gate. */
#ifndef LODGE_CHIPSET_I440_H
#define LODGE_CHIPSET_I440_H

#include "core/device.h"
#include "core/irq.h"
#include "core/memmap.h"

struct pci_bus;
#define I440_MAX_BELOW_4G 0xC0000000ull /* RAM above that size continues at 4 GiB */

struct i440_params {
    struct pci_bus *bus; /* the bridge is function 00:00.0 of it */
    struct memblk *ram;  /* all of guest RAM; its size is a multiple of 4 KiB, at least 1 MiB */
    /* Firmware: 64 KiB to 16 MiB, a multiple of 64 KiB; it ends at 4 GiB, its last 128 KiB are also below 1 MiB. */
    struct memblk *rom;
};
extern const struct dev_class i440_class;

/* Address line 20: wired-OR of its sources (src 0: keyboard controller, src 1: port 92h); pin is 0. */
const struct irq_sink *i440_a20_sink(struct dev *d);
enum { A20_SRC_KBC, A20_SRC_PORT92 };
static inline uint64_t i440_ram_below_4g(uint64_t ram) { return ram < I440_MAX_BELOW_4G ? ram : I440_MAX_BELOW_4G; }

#endif
