/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The firmware configuration interface that SeaBIOS reads (ports 510h, 511h, DMA at 514h). */
#ifndef LODGE_CHIPSET_FWCFG_H
#define LODGE_CHIPSET_FWCFG_H

#include "core/device.h"

/* Numbered items; everything newer is a named file. */
enum fwcfg_key {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_UUID = 0x02,
    FWCFG_RAM_SIZE = 0x03,
    FWCFG_NOGRAPHIC = 0x04,
    FWCFG_NB_CPUS = 0x05,
    FWCFG_NUMA = 0x0d,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_FILE_DIR = 0x19,
    FWCFG_FILE_FIRST = 0x20,
    FWCFG_IRQ0_OVERRIDE = 0x8002,
};

extern const struct dev_class fwcfg_class; /* no params */

/* Both copy data. Before the first guest instruction. [main] */
int fwcfg_add_item(struct dev *d, uint16_t key, const void *data, size_t n, struct err *e);
/* name: at most 55 bytes */
int fwcfg_add_file(struct dev *d, const char *name, const void *data, size_t n, struct err *e);

#endif
