/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What SeaBIOS asks of fw_cfg: numbers of processors, memory map, tables, boot order. Names of files are those of its sources (docs/Runtime_config). */
#include "chipset/firmware.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "chipset/fwcfg.h"
#include "chipset/i440.h"

static int add16(struct dev *d, uint16_t key, unsigned v, struct err *e)
{
    uint8_t b[2];
    st_le16(b, (uint16_t)v);
    return fwcfg_add_item(d, key, b, sizeof b, e);
}

static int add_e820(struct dev *d, uint64_t ram, struct err *e)
{
    uint8_t map[2 * 20] = {0};
    uint64_t below = i440_ram_below_4g(ram), above = ram - below;
    st_le64(map + 8, below);
    st_le32(map + 16, 1);
    st_le64(map + 20, 1ull << 32);
    st_le64(map + 28, above);
    st_le32(map + 36, 1);
    return fwcfg_add_file(d, "etc/e820", map, above ? 40 : 20, e);
}

static int add_tables(struct dev *d, const struct firmware_params *p, struct err *e)
{
    struct acpi_blobs a;
    struct smbios_blobs s;
    if (acpi_tables_build(&p->acpi, &a, e))
        return -1;
    int rc = fwcfg_add_file(d, "etc/acpi/tables", a.tables, a.tables_len, e) || fwcfg_add_file(d, "etc/acpi/rsdp", a.rsdp, a.rsdp_len, e) ||
             fwcfg_add_file(d, "etc/table-loader", a.loader, a.loader_len, e);
    acpi_blobs_free(&a);
    if (rc || smbios_build(&p->smbios, &s, e))
        return -1;
    rc = fwcfg_add_file(d, "etc/smbios/smbios-tables", s.tables, s.tables_len, e) ||
         fwcfg_add_file(d, "etc/smbios/smbios-anchor", s.anchor, sizeof s.anchor, e);
    smbios_blobs_free(&s);
    return rc ? -1 : 0;
}

int firmware_describe(struct dev *d, const struct firmware_params *p, struct err *e)
{
    static const uint8_t sleep_states[6] = {0x80, 0, 0, 0, 0, 0x80}; /* S0 and S5 */
    uint8_t ram[8], one = 1, wait[2];
    st_le64(ram, p->ram);
    if (fwcfg_add_item(d, FWCFG_RAM_SIZE, ram, sizeof ram, e) || fwcfg_add_item(d, FWCFG_UUID, p->smbios.uuid, 16, e) ||
        fwcfg_add_item(d, FWCFG_IRQ0_OVERRIDE, &one, 1, e) || add16(d, FWCFG_NOGRAPHIC, 0, e) || add16(d, FWCFG_NB_CPUS, p->n_cpus, e) ||
        add16(d, FWCFG_MAX_CPUS, p->n_cpus, e) || add16(d, FWCFG_BOOT_MENU, p->boot_menu, e))
        return -1;
    if (add_e820(d, p->ram, e) || add_tables(d, p, e) || fwcfg_add_file(d, "etc/system-states", sleep_states, sizeof sleep_states, e))
        return -1;
    if (p->boot_menu) {
        st_le16(wait, (uint16_t)(p->boot_menu_wait_ms > 0xffff ? 0xffff : p->boot_menu_wait_ms));
        if (fwcfg_add_file(d, "etc/boot-menu-wait", wait, sizeof wait, e))
            return -1;
    }
    if (p->boot_order && *p->boot_order)
        return fwcfg_add_file(d, "bootorder", p->boot_order, strlen(p->boot_order) + 1, e);
    return 0;
}

/* ---- device paths ---- */

static int clamp(int len, size_t n) { return len < 0 || !n ? 0 : (size_t)len < n ? len : (int)n - 1; }

static void unit_address(char buf[16], uint8_t devfn)
{
    if (devfn & 7)
        snprintf(buf, 16, "%x,%x", devfn >> 3, devfn & 7u);
    else
        snprintf(buf, 16, "%x", devfn >> 3);
}

int firmware_path_ide(char *buf, size_t n, uint8_t devfn, unsigned channel, unsigned unit)
{
    char at[16];
    unit_address(at, devfn);
    return clamp(snprintf(buf, n, "/pci@i0cf8/ide@%s/drive@%x/disk@%x\n", at, channel, unit), n);
}

int firmware_path_floppy(char *buf, size_t n, uint8_t isa_devfn, unsigned unit)
{
    char at[16];
    unit_address(at, isa_devfn);
    return clamp(snprintf(buf, n, "/pci@i0cf8/isa@%s/fdc@03f0/floppy@%x\n", at, unit), n);
}

int firmware_path_pci(char *buf, size_t n, uint8_t devfn)
{
    char at[16];
    unit_address(at, devfn);
    return clamp(snprintf(buf, n, "/pci@i0cf8/*@%s\n", at), n);
}

int firmware_path_bridged(char *buf, size_t n, uint8_t bridge, uint8_t devfn)
{
    char up[16], at[16];
    unit_address(up, bridge);
    unit_address(at, devfn);
    return clamp(snprintf(buf, n, "/pci@i0cf8/pci-bridge@%s/*@%s\n", up, at), n);
}
