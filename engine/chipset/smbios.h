/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS (DMI) tables with the identity of a VMware virtual machine. */
#ifndef LODGE_CHIPSET_SMBIOS_H
#define LODGE_CHIPSET_SMBIOS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct smbios_params {
    uint8_t uuid[16];        /* uuid.bios, in the order of the file */
    uint64_t ram;            /* bytes */
    unsigned n_sockets, cores_per_socket;
    unsigned cpu_mhz;        /* 0: unknown */
    uint32_t cpu_signature, cpu_features; /* CPUID.1 EAX and EDX */
    const char *cpu_vendor;  /* "GenuineIntel"; NULL: that */
    const char *cpu_version; /* brand string; NULL: none */
    unsigned hw_version;     /* virtualHW.version: up to 13 gives SMBIOS 2.4, later 2.7 */
    /* Overrides of the .vmx (board-id, hw.model, serialNumber, smbios.assetTag); NULL: VMware's. */
    const char *model, *serial, *board, *asset_tag;
    const char *const *oem_strings; /* further type 11 strings; may be NULL */
    unsigned n_oem_strings;
};
struct smbios_blobs {
    uint8_t *tables, anchor[31]; /* etc/smbios/smbios-tables, etc/smbios/smbios-anchor */
    size_t tables_len;
};
int smbios_build(const struct smbios_params *p, struct smbios_blobs *out, struct err *e);
void smbios_blobs_free(struct smbios_blobs *b);

#endif
