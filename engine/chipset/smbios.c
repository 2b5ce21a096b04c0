/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBIOS tables (DSP0134) that say what VMware's say: 2.4 for old hardware versions, 2.7 for newer ones. The uuid's bytes stand in the order of
 * the .vmx in both, as there; so a 2.7 reader shows the first three fields byte-swapped.
 */
#include "chipset/smbios.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { MAX_TABLES = 0xf000, MAX_STRUCT = 2048, DIMM_MAX_MB = 16384, MAX_SOCKETS = 64, MAX_DIMMS = 64 };

struct build {
    uint8_t *p;
    size_t n, start;
    unsigned n_strings;
    unsigned count, largest;
    uint16_t handle;
    char strings[MAX_STRUCT];
    size_t strings_n;
    bool full;
};

static void u8(struct build *b, unsigned v)
{
    if (b->n < MAX_TABLES)
        b->p[b->n++] = (uint8_t)v;
    else
        b->full = true;
}
static void u16(struct build *b, unsigned v)
{
    u8(b, v);
    u8(b, v >> 8);
}
static void u32(struct build *b, uint32_t v)
{
    u16(b, v);
    u16(b, v >> 16);
}
static void u64(struct build *b, uint64_t v)
{
    u32(b, (uint32_t)v);
    u32(b, (uint32_t)(v >> 32));
}

/* A string's number goes into the structure, its text behind it. NULL or "": 0, not specified. Control characters become spaces. */
static void str(struct build *b, const char *s)
{
    if (!s || !*s) {
        u8(b, 0);
        return;
    }
    size_t n = strlen(s);
    if (n > 255)
        n = 255;
    if (b->strings_n + n + 1 > sizeof b->strings || b->n_strings == 255) {
        b->full = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        b->strings[b->strings_n++] = (unsigned char)s[i] < 32 || s[i] == 127 ? ' ' : s[i];
    b->strings[b->strings_n++] = 0;
    u8(b, ++b->n_strings);
}

static uint16_t begin(struct build *b, uint8_t type, uint16_t handle)
{
    b->start = b->n;
    b->n_strings = 0;
    b->strings_n = 0;
    u8(b, type);
    u8(b, 0);
    u16(b, handle);
    return handle;
}

static void end(struct build *b)
{
    if (!b->full)
        b->p[b->start + 1] = (uint8_t)(b->n - b->start);
    for (size_t i = 0; i < b->strings_n; i++)
        u8(b, (uint8_t)b->strings[i]);
    if (!b->strings_n)
        u8(b, 0);
    u8(b, 0);
    b->count++;
    if (b->n - b->start > b->largest)
        b->largest = (unsigned)(b->n - b->start);
}

static void bios(struct build *b, bool new)
{
    begin(b, 0, 0);
    str(b, "Phoenix Technologies LTD");
    str(b, "6.00");
    u16(b, 0xe800);
    str(b, new ? "11/12/2020" : "04/05/2016");
    u8(b, 3); /* 256 KiB */
    /* ISA, PCI, plug and play, APM, upgradeable, shadowing, CD boot, selectable boot, EDD, print screen, 8042, serial, printer, CGA video */
    u64(b, 1 << 4 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 15 | 1 << 16 | 1 << 19 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 29 | 1 << 30);
    u8(b, 0x01); /* ACPI */
    u8(b, 0x04); /* targeted content distribution */
    u8(b, 4);
    u8(b, 6);
    u8(b, 0);
    u8(b, 0);
    end(b);
}

static void system_info(struct build *b, const struct smbios_params *p)
{
    char serial[64];
    int n = snprintf(serial, sizeof serial, "VMware-");
    for (int i = 0; i < 16; i++)
        n += snprintf(serial + n, sizeof serial - (size_t)n, "%02x%s", p->uuid[i], i == 15 ? "" : i == 7 ? "-" : " ");
    begin(b, 1, 1);
    str(b, "VMware, Inc.");
    str(b, p->model ? p->model : "VMware Virtual Platform");
    str(b, "None");
    str(b, p->serial ? p->serial : serial);
    for (int i = 0; i < 16; i++)
        u8(b, p->uuid[i]);
    u8(b, 6); /* power switch */
    u8(b, 0);
    u8(b, 0);
    end(b);
}

static void board(struct build *b, const struct smbios_params *p)
{
    begin(b, 2, 2);
    str(b, "Intel Corporation");
    str(b, p->board ? p->board : "440BX Desktop Reference Platform");
    str(b, "None");
    str(b, "None");
    str(b, p->asset_tag);
    u8(b, 0x01); /* hosting board */
    u8(b, 0);
    u16(b, 3);
    u8(b, 0x0a); /* motherboard */
    u8(b, 0);
    end(b);
    begin(b, 3, 3);
    str(b, "No Enclosure");
    u8(b, 0x01); /* other */
    str(b, "N/A");
    str(b, "None");
    str(b, p->asset_tag ? p->asset_tag : "No Asset Tag");
    u8(b, 3);
    u8(b, 3);
    u8(b, 3);
    u8(b, 3);
    u32(b, 0x1234);
    u8(b, 0);
    u8(b, 0);
    u8(b, 0);
    u8(b, 0);
    end(b);
}

static void processor(struct build *b, const struct smbios_params *p, unsigned i, bool new)
{
    char socket[24];
    unsigned cores = p->cores_per_socket ? p->cores_per_socket : 1;
    bool amd = p->cpu_vendor && strstr(p->cpu_vendor, "AMD");
    snprintf(socket, sizeof socket, "CPU #%03u", i);
    begin(b, 4, (uint16_t)(0x10 + i));
    str(b, socket);
    u8(b, 3); /* central processor */
    u8(b, 2); /* family unknown */
    str(b, p->cpu_vendor ? p->cpu_vendor : "GenuineIntel");
    u32(b, p->cpu_signature);
    u32(b, p->cpu_features);
    str(b, p->cpu_version ? p->cpu_version : amd ? "AMD Processor" : "Intel Processor");
    u8(b, 0x80 | 33); /* 3.3 V */
    u16(b, 0);        /* external clock unknown */
    u16(b, 30000);    /* MHz, as VMware says */
    u16(b, p->cpu_mhz > 0xffff ? 0xffff : p->cpu_mhz);
    u8(b, 0x41); /* socket populated, enabled */
    u8(b, 4);    /* ZIF socket */
    u16(b, 0xffff);
    u16(b, 0xffff);
    u16(b, 0xffff);
    u8(b, 0);
    u8(b, 0);
    u8(b, 0);
    if (new) {
        unsigned n = cores > 255 ? 255 : cores;
        u8(b, n);
        u8(b, n);
        u8(b, n);
        u16(b, 0x0004); /* 64-bit capable */
        u16(b, 2);
    }
    end(b);
}

static void slots(struct build *b)
{
    static const struct {
        const char *name;
        uint8_t type, width, id, devfn;
    } slot[] = {
        {"ISA Slot J8", 0x03, 0x04, 0, 0xff},      {"ISA Slot J9", 0x03, 0x04, 0, 0xff},      {"ISA Slot J10", 0x03, 0x04, 0, 0xff},
        {"PCI Slot J11", 0x06, 0x05, 1, 0x0f << 3}, {"PCI Slot J12", 0x06, 0x05, 2, 0x10 << 3}, {"PCI Slot J13", 0x06, 0x05, 3, 0x11 << 3},
        {"PCI Slot J14", 0x06, 0x05, 4, 0x12 << 3},
    };
    for (unsigned i = 0; i < sizeof slot / sizeof *slot; i++) {
        bool pci = slot[i].type == 0x06;
        begin(b, 9, (uint16_t)(0x90 + i));
        str(b, slot[i].name);
        u8(b, slot[i].type);
        u8(b, slot[i].width);
        u8(b, i == 3 ? 4 : pci ? 3 : 2); /* in use, available, unknown */
        u8(b, 3);
        u16(b, slot[i].id);
        u8(b, pci ? 0x06 : 0x02); /* 3.3 V and 5 V */
        u8(b, pci ? 0x01 : 0x00); /* PME# */
        if (pci) {
            u16(b, 0);
            u8(b, 0);
            u8(b, slot[i].devfn);
        }
        end(b);
    }
    begin(b, 10, 0xa0); /* on board devices */
    u8(b, 0x83);        /* video, enabled */
    str(b, "VMware SVGA II");
    end(b);
}

static void oem(struct build *b, const struct smbios_params *p)
{
    begin(b, 11, 0xb0);
    unsigned n = 2 + (p->oem_strings ? p->n_oem_strings : 0);
    size_t at = b->n;
    u8(b, 0);
    /* Strings of type 11 have no index bytes: count only. */
    size_t keep = b->n;
    str(b, "[MS_VM_CERT/SHA1/27d66596a61c48dd3dc7216fd715126e33f59ae7]");
    str(b, "Welcome to the Virtual Machine");
    for (unsigned i = 2; i < n && i < 32; i++)
        str(b, p->oem_strings[i - 2]);
    b->n = keep;
    if (!b->full)
        b->p[at] = (uint8_t)b->n_strings;
    end(b);
}

static void memory(struct build *b, const struct smbios_params *p, bool new)
{
    uint64_t mb = (p->ram + (1 << 20) - 1) >> 20, left = mb, per = DIMM_MAX_MB;
    while ((mb + per - 1) / per > MAX_DIMMS)
        per *= 2;
    unsigned n = (unsigned)((mb + per - 1) / per);
    begin(b, 16, 0x1000);
    u8(b, 3);                       /* on the board */
    u8(b, 3);                       /* system memory */
    u8(b, 3);                       /* no error correction */
    uint64_t kb = (uint64_t)MAX_DIMMS * per << 10;
    u32(b, kb >= 0x80000000u ? 0x80000000u : (uint32_t)kb);
    u16(b, 0xfffe);
    u16(b, MAX_DIMMS);
    if (new)
        u64(b, kb >= 0x80000000u ? kb << 10 : 0);
    end(b);
    for (unsigned i = 0; i < n; i++) {
        char slot[24];
        uint64_t size = left < per ? left : per;
        left -= size;
        snprintf(slot, sizeof slot, "RAM slot #%u", i);
        begin(b, 17, (uint16_t)(0x1100 + i));
        u16(b, 0x1000);
        u16(b, 0xfffe);
        u16(b, 32);
        u16(b, 32);
        u16(b, size < 0x7fff ? (unsigned)size : 0x7fff);
        u8(b, 9); /* DIMM */
        u8(b, 0);
        str(b, slot);
        str(b, "RAM");
        u8(b, 3); /* DRAM */
        u16(b, 1 << 9); /* EDO */
        u16(b, 0);
        str(b, "VMware Virtual RAM");
        str(b, "00000001");
        str(b, NULL);
        str(b, "VMW-");
        if (new) {
            u8(b, 0);
            u32(b, size < 0x7fff ? 0 : (uint32_t)size);
            u16(b, 0);
        }
        end(b);
    }
    begin(b, 19, 0x1300);
    u32(b, 0);
    u32(b, (uint32_t)((p->ram >> 10) - 1));
    u16(b, 0x1000);
    u8(b, (uint8_t)n);
    if (new) {
        u64(b, 0);
        u64(b, 0);
    }
    end(b);
}

int smbios_build(const struct smbios_params *p, struct smbios_blobs *out, struct err *e)
{
    bool new = p->hw_version > 13;
    struct build *b = calloc(1, sizeof *b);
    *out = (struct smbios_blobs){0};
    if (b)
        b->p = malloc(MAX_TABLES);
    if (!b || !b->p) {
        free(b);
        return err_set(e, ERR_NOMEM, 0, "Out of memory for the SMBIOS tables.");
    }
    bios(b, new);
    system_info(b, p);
    board(b, p);
    for (unsigned i = 0; i < p->n_sockets && i < MAX_SOCKETS; i++)
        processor(b, p, i, new);
    slots(b);
    oem(b, p);
    memory(b, p, new);
    begin(b, 32, 0x2000); /* boot status: no errors */
    u32(b, 0);
    u16(b, 0);
    u8(b, 0);
    end(b);
    begin(b, 127, 0x7f00);
    end(b);
    if (b->full) {
        free(b->p);
        free(b);
        return err_set(e, ERR_CONFIG, 0, "The SMBIOS strings are too long.");
    }
    /* Entry point; the firmware fills the address and both checksums. */
    uint8_t *a = out->anchor;
    memcpy(a, "_SM_", 4);
    a[5] = 0x1f;
    a[6] = 2;
    a[7] = new ? 7 : 4;
    st_le16(a + 8, (uint16_t)b->largest);
    memcpy(a + 0x10, "_DMI_", 5);
    st_le16(a + 0x16, (uint16_t)b->n);
    st_le16(a + 0x1c, (uint16_t)b->count);
    a[0x1e] = new ? 0x27 : 0x24;
    out->tables = b->p;
    out->tables_len = b->n;
    free(b);
    return 0;
}

void smbios_blobs_free(struct smbios_blobs *b)
{
    free(b->tables);
    *b = (struct smbios_blobs){0};
}
