/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables, and the script by which the firmware places them: it allocates the files, adds addresses to the pointer fields (which hold
 * offsets until then) and sets the checksums. ACPI 3.0; the DSDT is compiled from resources/acpi/dsdt.asl, the SSDTs with the processors and
 * with the slots behind bridges are made here. OEM ids are those of VMware's firmware.
 */
#include "chipset/acpi_tables.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

static const uint8_t dsdt_aml[] = {
#include "dsdt_aml.inc"
};

enum {
    PM_BASE = 0x600, /* SeaBIOS moves the PIIX4 there when it is given a table loader script */
    HDR = 36,
    FADT_LEN = 244,
    FACS_LEN = 64,
    RSDP_LEN = 36,
    LOADER_ENTRY = 128,
    LOADER_NAME = 56,
    LD_ALLOCATE = 1,
    LD_ADD_POINTER = 2,
    LD_ADD_CHECKSUM = 3,
    ZONE_HIGH = 1,
    ZONE_FSEG = 2,
    MAX_TABLES = 12,
};
static const char tables_file[] = "etc/acpi/tables", rsdp_file[] = "etc/acpi/rsdp";

struct buf {
    uint8_t *p;
    size_t n, cap;
    bool oom;
};

/* Appends n zero bytes (or data); returns their offset. */
static size_t put(struct buf *b, const void *data, size_t n)
{
    size_t at = b->n;
    if (b->n + n > b->cap) {
        size_t cap = (b->n + n) * 2;
        uint8_t *p = realloc(b->p, cap);
        if (!p) {
            b->oom = true;
            return 0;
        }
        b->p = p;
        b->cap = cap;
    }
    if (data)
        memcpy(b->p + at, data, n);
    else
        memset(b->p + at, 0, n);
    b->n += n;
    return at;
}

static void put_u(struct buf *b, uint64_t v, unsigned size)
{
    uint8_t le[8];
    st_le64(le, v);
    put(b, le, size);
}

/* ---- loader script ---- */

static uint8_t *entry(struct buf *s, uint32_t command)
{
    size_t at = put(s, NULL, LOADER_ENTRY);
    if (s->oom)
        return NULL;
    st_le32(s->p + at, command);
    return s->p + at + 4;
}

static void ld_allocate(struct buf *s, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *p = entry(s, LD_ALLOCATE);
    if (!p)
        return;
    memcpy(p, file, strlen(file));
    st_le32(p + LOADER_NAME, align);
    p[LOADER_NAME + 4] = zone;
}

static void ld_pointer(struct buf *s, const char *file, size_t off, uint8_t size)
{
    uint8_t *p = entry(s, LD_ADD_POINTER);
    if (!p)
        return;
    memcpy(p, file, strlen(file));
    memcpy(p + LOADER_NAME, tables_file, sizeof tables_file);
    st_le32(p + 2 * LOADER_NAME, (uint32_t)off);
    p[2 * LOADER_NAME + 4] = size;
}

static void ld_checksum(struct buf *s, const char *file, size_t off, size_t start, size_t len)
{
    uint8_t *p = entry(s, LD_ADD_CHECKSUM);
    if (!p)
        return;
    memcpy(p, file, strlen(file));
    st_le32(p + LOADER_NAME, (uint32_t)off);
    st_le32(p + LOADER_NAME + 4, (uint32_t)start);
    st_le32(p + LOADER_NAME + 8, (uint32_t)len);
}

/* ---- tables ---- */

struct build {
    struct buf t, s;
    size_t table[MAX_TABLES];
    unsigned n;
};

static void align(struct build *b, size_t a)
{
    while (b->t.n % a && !b->t.oom)
        put(&b->t, NULL, 1);
}

static size_t begin(struct build *b, const char *sig, uint8_t rev, const char *oem, const char *table_id, uint32_t oem_rev)
{
    align(b, 16);
    size_t at = put(&b->t, NULL, HDR);
    if (b->t.oom)
        return 0;
    uint8_t *h = b->t.p + at;
    memcpy(h, sig, 4);
    h[8] = rev;
    memcpy(h + 10, oem, 6);
    memcpy(h + 16, table_id, 8);
    st_le32(h + 24, oem_rev);
    memcpy(h + 28, "LDGE", 4);
    st_le32(h + 32, 1);
    return at;
}

/* Sets the length; the checksum is the firmware's work, after the pointers. listed: goes into RSDT and XSDT. */
static void end(struct build *b, size_t at, bool listed)
{
    if (b->t.oom)
        return;
    st_le32(b->t.p + at + 4, (uint32_t)(b->t.n - at));
    ld_checksum(&b->s, tables_file, at + 9, at, b->t.n - at);
    if (listed)
        b->table[b->n++] = at;
}

static size_t make_facs(struct build *b)
{
    align(b, 64);
    size_t at = put(&b->t, NULL, FACS_LEN);
    if (b->t.oom)
        return 0;
    memcpy(b->t.p + at, "FACS", 4);
    st_le32(b->t.p + at + 4, FACS_LEN);
    b->t.p[at + 32] = 1;
    return at;
}

/* Firmware begins the PCI window at 2 or 3 GiB, whichever is above RAM. */
static uint32_t pci_window(const struct acpi_params *p) { return p->ram_below_4g <= 0x80000000ull ? 0x80000000u : 0xc0000000u; }

/* Sets the value of Name (name, 0x1DDE1DDE): NameOp, four letters, DWordPrefix, value. Returns how many were found. */
static unsigned set_name(uint8_t *aml, size_t n, const char *name, uint32_t v)
{
    uint8_t want[10] = {0x08, (uint8_t)name[0], (uint8_t)name[1], (uint8_t)name[2], (uint8_t)name[3], 0x0c};
    unsigned found = 0;
    st_le32(want + 6, 0x1dde1dde);
    for (size_t i = HDR; i + sizeof want <= n; i++)
        if (!memcmp(aml + i, want, sizeof want)) {
            st_le32(aml + i + 6, v);
            found++;
        }
    return found;
}

static size_t make_dsdt(struct build *b, const struct acpi_params *p)
{
    align(b, 16);
    size_t at = put(&b->t, dsdt_aml, sizeof dsdt_aml), n = sizeof dsdt_aml;
    if (b->t.oom)
        return 0;
    uint8_t *aml = b->t.p + at;
    unsigned found = set_name(aml, n, "LPMN", pci_window(p)) + set_name(aml, n, "LHPT", p->hpet) + set_name(aml, n, "LCOM", p->com & 15) +
                     set_name(aml, n, "LKBD", p->kbd_mouse) + set_name(aml, n, "LFDC", p->floppy);
    ASSERT(found == 5);
    b->t.p[at + 9] = 0;
    memcpy(b->t.p + at + 28, "LDGE", 4);
    st_le32(b->t.p + at + 32, 1);
    ld_checksum(&b->s, tables_file, at + 9, at, sizeof dsdt_aml);
    return at;
}

/* Generic address of an I/O register. */
static void gas_io(uint8_t *p, unsigned bits, unsigned access, uint16_t port)
{
    p[0] = 1;
    p[1] = (uint8_t)bits;
    p[3] = (uint8_t)access;
    st_le64(p + 4, port);
}

static void make_fadt(struct build *b, size_t facs, size_t dsdt, bool kbd)
{
    size_t at = begin(b, "FACP", 4, "INTEL ", "440BX   ", 0x06040000);
    put(&b->t, NULL, FADT_LEN - HDR);
    if (b->t.oom)
        return;
    uint8_t *f = b->t.p + at;
    st_le32(f + 36, (uint32_t)facs);
    st_le32(f + 40, (uint32_t)dsdt);
    f[45] = 1; /* desktop */
    st_le16(f + 46, 9);
    st_le32(f + 48, 0xb2);
    f[52] = 0xf1;
    f[53] = 0xf0;
    st_le32(f + 56, PM_BASE);
    st_le32(f + 64, PM_BASE + 4);
    st_le32(f + 76, PM_BASE + 8);
    st_le32(f + 80, PM_BASE + 0x0c);
    f[88] = 4;
    f[89] = 2;
    f[91] = 4;
    f[92] = 4;
    st_le16(f + 96, 0x0fff); /* no C2, no C3 */
    st_le16(f + 98, 0x0fff);
    f[108] = 0x32; /* CMOS byte of the century */
    st_le16(f + 109, (uint16_t)(1 | (kbd ? 2 : 0)));
    /* WBINVD works, C1 everywhere, no fixed sleep button, no fixed RTC wake, reset register */
    st_le32(f + 112, 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 10);
    gas_io(f + 116, 8, 1, 0xcf9);
    f[128] = 0x06;
    st_le64(f + 140, dsdt);
    gas_io(f + 148, 32, 2, PM_BASE);
    gas_io(f + 172, 16, 2, PM_BASE + 4);
    gas_io(f + 208, 32, 3, PM_BASE + 8);
    gas_io(f + 220, 32, 1, PM_BASE + 0x0c);
    ld_pointer(&b->s, tables_file, at + 36, 4);
    ld_pointer(&b->s, tables_file, at + 40, 4);
    ld_pointer(&b->s, tables_file, at + 140, 8);
    end(b, at, true);
}

static void make_madt(struct build *b, const struct acpi_params *p)
{
    size_t at = begin(b, "APIC", 1, "PTLTD ", "\t APIC  ", 0x06040000);
    put_u(&b->t, 0xfee00000, 4);
    put_u(&b->t, 1, 4); /* there are 8259s too */
    for (unsigned i = 0; i < p->n_cpus; i++) {
        if (p->apic_id[i] < 255) {
            put_u(&b->t, 0x0800, 2);
            put_u(&b->t, i, 1);
            put_u(&b->t, p->apic_id[i], 1);
            put_u(&b->t, 1, 4);
        } else {
            put_u(&b->t, 0x1009, 2); /* local x2APIC */
            put_u(&b->t, 0, 2);
            put_u(&b->t, p->apic_id[i], 4);
            put_u(&b->t, 1, 4);
            put_u(&b->t, i, 4);
        }
    }
    put_u(&b->t, 0x0c01, 2); /* I/O APIC 0 */
    put_u(&b->t, 0, 2);
    put_u(&b->t, 0xfec00000, 4);
    put_u(&b->t, 0, 4);
    put_u(&b->t, 0x0a02, 2); /* ISA 0 is input 2 */
    put_u(&b->t, 0, 2);
    put_u(&b->t, 2, 4);
    put_u(&b->t, 0, 2);
    put_u(&b->t, 0x0a02, 2); /* ISA 9, the SCI: active high, level */
    put_u(&b->t, 0x0900, 2);
    put_u(&b->t, 9, 4);
    put_u(&b->t, 0x0d, 2);
    put_u(&b->t, 0x0604, 2); /* NMI on LINT1 of all */
    put_u(&b->t, 0xff, 1);
    put_u(&b->t, 0, 2);
    put_u(&b->t, 1, 1);
    end(b, at, true);
}

static void make_hpet(struct build *b)
{
    size_t at = begin(b, "HPET", 1, "VMWARE", "VMW HPET", 0x06040000);
    put_u(&b->t, 0x8086a201, 4); /* capability register of hpet.c: 8086h, legacy routing, 64-bit, 3 timers, revision 1 */
    put_u(&b->t, 0x00004000, 4); /* memory space, 64 bits */
    put_u(&b->t, 0xfed00000, 8);
    put_u(&b->t, 0, 1);
    put_u(&b->t, 0x37ee, 2); /* least period, in ticks, for periodic mode without lost interrupts: 1 ms */
    put_u(&b->t, 0, 1);
    end(b, at, true);
}

static void make_waet(struct build *b)
{
    size_t at = begin(b, "WAET", 1, "VMWARE", "VMW WAET", 0x06040001);
    put_u(&b->t, 2, 4); /* one read of the PM timer is enough */
    end(b, at, true);
}

/* ---- SSDTs ---- */

static const char hex[] = "0123456789ABCDEF";

/* PkgLength of two bytes, before len bytes; it counts itself. */
static void put_pkg(struct buf *a, unsigned len)
{
    put_u(a, 0x40 | ((len + 2) & 15), 1);
    put_u(a, (len + 2) >> 4, 1);
}

static void make_ssdt(struct build *b, const struct acpi_params *p)
{
    enum { PROCESSOR = 13 }; /* bytes of one Processor object */
    size_t at = begin(b, "SSDT", 1, "INTEL ", "LODGECPU", 1);
    struct buf *a = &b->t;
    put_u(a, 0x10, 1);
    put_pkg(a, 5 + p->n_cpus * PROCESSOR);
    put(a, "\\_SB_", 5);
    for (unsigned i = 0; i < p->n_cpus; i++) {
        char name[4] = {'C', '0', hex[i >> 4 & 15], hex[i & 15]};
        put_u(a, 0x835b, 2);
        put_u(a, PROCESSOR - 2, 1);
        put(a, name, 4);
        put_u(a, i, 1);
        put_u(a, 0, 4);
        put_u(a, 0, 1);
    }
    end(b, at, true);
}

static void put_name(struct buf *a, const char *name, uint32_t v)
{
    put_u(a, 0x08, 1);
    put(a, name, 4);
    put_u(a, 0x0c, 1);
    put_u(a, v, 4);
}

/* Begins Device (xxHH), HH being id in hex, with its _ADR; inside bytes follow. */
static void put_device(struct buf *a, const char *prefix, uint8_t id, uint32_t adr, unsigned inside)
{
    char name[4] = {prefix[0], prefix[1], hex[id >> 4], hex[id & 15]};
    put_u(a, 0x825b, 2);
    put_pkg(a, 4 + 10 + inside);
    put(a, name, 4);
    put_name(a, "_ADR", adr);
}

/* The slots behind bridges. Linux names network adapters by _SUN. Interrupts need no _PRT: they go by the bridges' swizzle. */
static void make_slots(struct build *b, const struct acpi_params *p)
{
    enum { DEVICE = 4 + 4 + 10, SLOT = DEVICE + 10 }; /* bytes of a device with _ADR, and with _SUN */
    size_t at = begin(b, "SSDT", 1, "INTEL ", "LODGEPCI", 1);
    struct buf *a = &b->t;
    unsigned inside = 0;
    for (unsigned i = 0; i < p->n_bridges; i++)
        inside += DEVICE + p->bridge[i].n * SLOT;
    put_u(a, 0x10, 1);
    put_pkg(a, 10 + inside);
    put(a, "\\._SB_PCI0", 10);
    for (unsigned i = 0; i < p->n_bridges; i++) {
        const struct acpi_bridge *g = &p->bridge[i];
        put_device(a, "PB", g->devfn, (uint32_t)(g->devfn >> 3) << 16 | (g->devfn & 7), g->n * SLOT);
        for (uint8_t d = 0; d < g->n; d++) {
            put_device(a, "SL", d, (uint32_t)d << 16, 10);
            put_name(a, "_SUN", g->first + d);
        }
    }
    end(b, at, true);
}

static size_t make_sdt(struct build *b, const char *sig, unsigned width, const size_t *tables, unsigned n)
{
    size_t at = begin(b, sig, 1, "INTEL ", "440BX   ", 0x06040000);
    for (unsigned i = 0; i < n; i++) {
        size_t field = b->t.n;
        put_u(&b->t, tables[i], width);
        ld_pointer(&b->s, tables_file, field, (uint8_t)width);
    }
    end(b, at, false);
    return at;
}

int acpi_tables_build(const struct acpi_params *p, struct acpi_blobs *out, struct err *e)
{
    struct build b = {0};
    *out = (struct acpi_blobs){0};
    if (!p->n_cpus || p->n_cpus > ACPI_MAX_CPUS)
        return err_set(e, ERR_CONFIG, 0, "The ACPI tables cannot describe %u processors.", p->n_cpus);
    if (p->n_bridges > ACPI_MAX_BRIDGES)
        return err_set(e, ERR_CONFIG, 0, "The ACPI tables cannot describe %u PCI bridges.", p->n_bridges);
    ld_allocate(&b.s, tables_file, 64, ZONE_HIGH);
    ld_allocate(&b.s, rsdp_file, 16, ZONE_FSEG);
    size_t facs = make_facs(&b), dsdt = make_dsdt(&b, p);
    make_fadt(&b, facs, dsdt, p->kbd_mouse);
    make_ssdt(&b, p);
    if (p->n_bridges)
        make_slots(&b, p);
    make_madt(&b, p);
    if (p->hpet)
        make_hpet(&b);
    make_waet(&b);
    unsigned n = b.n;
    size_t rsdt = make_sdt(&b, "RSDT", 4, b.table, n), xsdt = make_sdt(&b, "XSDT", 8, b.table, n);
    align(&b, 64);

    uint8_t *rsdp = calloc(1, RSDP_LEN);
    ld_pointer(&b.s, rsdp_file, 16, 4);
    ld_pointer(&b.s, rsdp_file, 24, 8);
    ld_checksum(&b.s, rsdp_file, 8, 0, 20);
    ld_checksum(&b.s, rsdp_file, 32, 0, RSDP_LEN);
    if (b.t.oom || b.s.oom || !rsdp) {
        free(b.t.p);
        free(b.s.p);
        free(rsdp);
        return err_set(e, ERR_NOMEM, 0, "Out of memory for the ACPI tables.");
    }
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "PTLTD ", 6);
    rsdp[15] = 2;
    st_le32(rsdp + 16, (uint32_t)rsdt);
    st_le32(rsdp + 20, RSDP_LEN);
    st_le64(rsdp + 24, xsdt);
    *out = (struct acpi_blobs){.tables = b.t.p, .tables_len = b.t.n, .rsdp = rsdp, .rsdp_len = RSDP_LEN, .loader = b.s.p, .loader_len = b.s.n};
    return 0;
}

void acpi_blobs_free(struct acpi_blobs *b)
{
    free(b->tables);
    free(b->rsdp);
    free(b->loader);
    *b = (struct acpi_blobs){0};
}
