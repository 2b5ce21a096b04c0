/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the firmware is told: fills the fw_cfg device with the memory map, ACPI and SMBIOS tables and boot options. */
#ifndef LODGE_CHIPSET_FIRMWARE_H
#define LODGE_CHIPSET_FIRMWARE_H

#include "chipset/acpi_tables.h"
#include "chipset/smbios.h"
#include "core/device.h"

struct firmware_params {
    unsigned n_cpus;
    uint64_t ram;               /* bytes; laid out as i440.h says */
    struct acpi_params acpi;
    struct smbios_params smbios;
    const char *boot_order;     /* lines of device paths, each ended by a newline; NULL or "": firmware's own order */
    unsigned boot_menu_wait_ms; /* bios.bootDelay; 0: no menu prompt */
    bool boot_menu;             /* offer the boot menu (Esc) at all */
};
int firmware_describe(struct dev *fwcfg, const struct firmware_params *p, struct err *e); /* [main] */

/* Boot order lines. buf gets "/pci@i0cf8/..." and a newline; returns the length (cut to n). */
int firmware_path_ide(char *buf, size_t n, uint8_t devfn, unsigned channel, unsigned unit); /* ATA disk or ATAPI CD */
int firmware_path_floppy(char *buf, size_t n, uint8_t isa_devfn, unsigned unit);
int firmware_path_pci(char *buf, size_t n, uint8_t devfn); /* option ROM: network boot, SCSI */
int firmware_path_bridged(char *buf, size_t n, uint8_t bridge, uint8_t devfn); /* the same behind a bridge of bus 0 */

#endif
