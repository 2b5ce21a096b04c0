/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables in the form of the firmware's table loader: a blob of tables, the RSDP, and the linker script. */
#ifndef LODGE_CHIPSET_ACPI_TABLES_H
#define LODGE_CHIPSET_ACPI_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ACPI_MAX_CPUS 64
#define ACPI_MAX_BRIDGES 40
/* Numbers by which the guest calls the PCI slots behind a bridge of bus 0 (_SUN): devices 0 to n-1 are first, first + 1 ... */
struct acpi_bridge {
    uint8_t devfn, n; /* n: 1 to 32 */
    uint16_t first;
};
struct acpi_params {
    unsigned n_cpus;
    uint32_t apic_id[ACPI_MAX_CPUS]; /* n_cpus used */
    uint64_t ram_below_4g;
    bool hpet;      /* at FED00000h */
    uint8_t com;    /* bit n: COMn+1 present (3F8h irq 4, 2F8h irq 3, 3E8h irq 4, 2E8h irq 3) */
    bool kbd_mouse; /* 8042 present */
    bool floppy;
    unsigned n_bridges;
    struct acpi_bridge bridge[ACPI_MAX_BRIDGES];
};
struct acpi_blobs {
    uint8_t *tables, *rsdp, *loader; /* etc/acpi/tables, etc/acpi/rsdp, etc/table-loader */
    size_t tables_len, rsdp_len, loader_len;
};
int acpi_tables_build(const struct acpi_params *p, struct acpi_blobs *out, struct err *e);
void acpi_blobs_free(struct acpi_blobs *b);

#endif
