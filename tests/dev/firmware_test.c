/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg as SeaBIOS and OVMF read it, and the ACPI and SMBIOS tables: the loader script is executed as the firmware does, then every checksum,
 * length and pointer is followed (ACPI 3.0, DSP0134). Where iasl and dmidecode are installed they must read the tables too.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "chipset/firmware.h"
#include "chipset/fwcfg.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

static const uint8_t uuid[16] = {0x56, 0x4d, 0x8b, 0x66, 0x1c, 0xee, 0x35, 0xc4, 0x8d, 0x1a, 1, 2, 3, 4, 5, 6};

static void params(struct firmware_params *p, unsigned n_cpus, uint64_t ram)
{
    memset(p, 0, sizeof *p);
    p->n_cpus = n_cpus;
    p->ram = ram;
    p->acpi = (struct acpi_params){.n_cpus = n_cpus, .ram_below_4g = ram < 0xC0000000ull ? ram : 0xC0000000ull, .hpet = true, .com = 1, .kbd_mouse = true};
    p->acpi.n_bridges = 2;
    p->acpi.bridge[0] = (struct acpi_bridge){.devfn = 17 << 3, .n = 32, .first = 32};
    p->acpi.bridge[1] = (struct acpi_bridge){.devfn = 22 << 3 | 2, .n = 1, .first = 194};
    for (unsigned i = 0; i < n_cpus; i++)
        p->acpi.apic_id[i] = i;
    p->smbios = (struct smbios_params){.ram = ram, .n_sockets = n_cpus, .cores_per_socket = 1, .cpu_mhz = 2600, .cpu_signature = 0x806f8,
                                       .cpu_features = 0x078bfbff, .cpu_vendor = "GenuineIntel", .cpu_version = "Test CPU", .hw_version = 19};
    memcpy(p->smbios.uuid, uuid, 16);
    p->boot_order = "/pci@i0cf8/ide@7,1/drive@0/disk@0\n";
    p->boot_menu = true;
    p->boot_menu_wait_ms = 3000;
}

/* ---- the port and DMA interfaces ---- */

static void sel(struct vm *vm, uint16_t key) { fakevm_out(vm, 0x510, 2, key); }

static bool find(struct vm *vm, const char *name, uint16_t *key, uint32_t *size)
{
    uint8_t b[64];
    sel(vm, 0x19);
    fakevm_ins(vm, 0x511, 1, b, 4);
    for (uint32_t n = ld_be32(b); n; n--) {
        fakevm_ins(vm, 0x511, 1, b, 64);
        if (!strcmp((char *)b + 8, name)) {
            *size = ld_be32(b);
            *key = ld_be16(b + 4);
            return true;
        }
    }
    return false;
}

static uint8_t *fetch(struct vm *vm, const char *name, uint32_t *size)
{
    uint16_t key;
    if (!find(vm, name, &key, size))
        return NULL;
    uint8_t *p = calloc(1, *size + 1);
    sel(vm, key);
    fakevm_ins(vm, 0x511, 1, p, *size);
    return p;
}

static uint32_t dma(struct vm *vm, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t *b = fakevm_ram(vm) + 0x1000;
    st_be32(b, control);
    st_be32(b + 4, len);
    st_be64(b + 8, addr);
    fakevm_out(vm, 0x514, 4, 0);
    fakevm_out(vm, 0x518, 4, __builtin_bswap32(0x1000));
    return ld_be32(b);
}

static void test_ports(struct vm *vm)
{
    char s[5] = {0};
    sel(vm, 0);
    for (int i = 0; i < 4; i++)
        s[i] = (char)fakevm_in(vm, 0x511, 1);
    ok(!strcmp(s, "QEMU"), "signature");
    is_u64(fakevm_in(vm, 0x511, 1), 0, "zeros past the end");
    sel(vm, 1);
    is_u64(fakevm_in(vm, 0x511, 1), 3, "id: traditional and DMA");
    sel(vm, 5);
    is_u64(fakevm_in(vm, 0x511, 1), 2, "processors");
    sel(vm, 0x8002);
    is_u64(fakevm_in(vm, 0x511, 1), 1, "IRQ 0 override");
    sel(vm, 0x7777);
    is_u64(fakevm_in(vm, 0x511, 1), 0, "an item that is not there");
    is_u64(fakevm_in(vm, 0x514, 4), 0x554d4551, "DMA signature, high half");
    is_u64(fakevm_in(vm, 0x518, 4), 0x47464320, "DMA signature, low half");
    uint8_t *ram = fakevm_ram(vm);
    memset(ram + 0x2000, 0xee, 64);
    is_u64(dma(vm, 0x8 | 0x2, 4, 0x2000), 0, "DMA: select and read");
    ok(!memcmp(ram + 0x2000, "QEMU", 4) && ram[0x2004] == 0xee, "DMA: four bytes");
    is_u64(dma(vm, 1 << 16 | 0x8, 0, 0), 0, "DMA: select only");
    is_u64(dma(vm, 0x2, 4, 0x2000), 0, "DMA: read on");
    is_u64(ld_le32(ram + 0x2000), 3, "DMA: the id");
    is_u64(dma(vm, 0x8, 0, 0) | dma(vm, 0x4, 2, 0) | dma(vm, 0x2, 2, 0x2000), 0, "DMA: skip");
    ok(!memcmp(ram + 0x2000, "MU", 2), "DMA: after the skip");
    is_u64(dma(vm, 0x10, 4, 0x2000), 1, "DMA: items are read-only");
    is_u64(dma(vm, 0x8 | 0x2, 4, 0x70000000), 1, "DMA: outside of memory");
    is_u64(dma(vm, 0x7777u << 16 | 0x8 | 0x2, 0xffffffff, 0), 1, "DMA: 4 GiB of nothing is refused");
    uint32_t n;
    uint8_t *p = fetch(vm, "etc/e820", &n);
    ok(p && n == 40 && ld_le64(p) == 0 && ld_le64(p + 8) == 0xC0000000 && ld_le32(p + 16) == 1, "e820: below 4 GiB");
    ok(p && ld_le64(p + 20) == 0x100000000 && ld_le64(p + 28) == 0x40000000 && ld_le32(p + 36) == 1, "e820: above 4 GiB");
    free(p);
    p = fetch(vm, "bootorder", &n);
    ok(p && !strcmp((char *)p, "/pci@i0cf8/ide@7,1/drive@0/disk@0\n"), "boot order");
    free(p);
    p = fetch(vm, "etc/boot-menu-wait", &n);
    ok(p && n == 2 && ld_le16(p) == 3000, "menu time");
    free(p);
    char prev[64] = "";
    bool sorted = true;
    uint8_t b[64];
    sel(vm, 0x19);
    fakevm_ins(vm, 0x511, 1, b, 4);
    for (uint32_t k = ld_be32(b); k; k--) {
        fakevm_ins(vm, 0x511, 1, b, 64);
        sorted = sorted && strcmp(prev, (char *)b + 8) < 0;
        strcpy(prev, (char *)b + 8);
    }
    ok(sorted, "the directory is sorted");
}

/* ---- ACPI ---- */

#define TABLES 0x7ff00000u
#define RSDP 0xf5000u

struct acpi {
    uint8_t *t, *r;
    uint32_t tn, rn;
};

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;
    while (n--)
        s += *p++;
    return s;
}

static bool is_tables(const uint8_t *name) { return !strcmp((const char *)name, "etc/acpi/tables"); }

/* Executes the script; false when a command is out of bounds. */
static bool run_loader(struct acpi *a, const uint8_t *s, uint32_t n)
{
    unsigned allocated = 0;
    if (n % 128)
        return false;
    for (; n; n -= 128, s += 128) {
        const uint8_t *f = s + 4, *g = s + 60;
        uint8_t *p = is_tables(f) ? a->t : a->r;
        uint32_t size = is_tables(f) ? a->tn : a->rn, off, start, len;
        switch (ld_le32(s)) {
        case 1:
            allocated |= is_tables(f) ? 1 : 2;
            if (is_tables(f) ? ld_le32(g) % 64 || s[64] != 1 : ld_le32(g) != 16 || s[64] != 2)
                return false;
            break;
        case 2: {
            off = ld_le32(s + 116);
            uint64_t v = 0, base = is_tables(g) ? TABLES : RSDP;
            unsigned w = s[120];
            if (allocated != 3 || (w != 4 && w != 8) || off + w > size)
                return false;
            memcpy(&v, p + off, w);
            if (v >= (is_tables(g) ? a->tn : a->rn))
                return false;
            v += base;
            memcpy(p + off, &v, w);
            break;
        }
        case 3:
            off = ld_le32(g);
            start = ld_le32(g + 4);
            len = ld_le32(g + 8);
            if (start + len > size || off >= size)
                return false;
            p[off] -= sum(p + start, len);
            break;
        default: return false;
        }
    }
    return true;
}

static const uint8_t *table_at(const struct acpi *a, uint64_t addr)
{
    if (addr < TABLES || addr - TABLES + 36 > a->tn)
        return NULL;
    const uint8_t *t = a->t + (addr - TABLES);
    return ld_le32(t + 4) <= a->tn - (addr - TABLES) ? t : NULL;
}

static const uint8_t *table_of(const struct acpi *a, const char *sig, const char *id)
{
    const uint8_t *x = table_at(a, ld_le64(a->r + 24));
    for (unsigned i = 36; x && i < ld_le32(x + 4); i += 8) {
        const uint8_t *t = table_at(a, ld_le64(x + i));
        if (t && !memcmp(t, sig, 4) && (!id || !memcmp(t + 16, id, 8)))
            return t;
    }
    return NULL;
}
static const uint8_t *table(const struct acpi *a, const char *sig) { return table_of(a, sig, NULL); }

static bool have(const char *program)
{
    char cmd[100];
    snprintf(cmd, sizeof cmd, "command -v %s >/dev/null 2>&1", program);
    return system(cmd) == 0;
}

static void write_file(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(p, 1, n, f);
        fclose(f);
    }
}

static void disassemble(const char *dir, const char *name, const uint8_t *t)
{
    char path[200], cmd[700];
    snprintf(path, sizeof path, "%s/%s.aml", dir, name);
    write_file(path, t, ld_le32(t + 4));
    snprintf(cmd, sizeof cmd,
             "cd %s && PATH=$PATH:/usr/sbin && iasl -d %s.aml >%s.log 2>&1 && ! grep -iq 'error\\|warning\\|incorrect' %s.log && "
             "iasl -p out.%s %s.dsl >%s.log2 2>&1",
             dir, name, name, name, name, name, name);
    ok(system(cmd) == 0, "iasl reads %s and compiles it again", name);
}

static void test_acpi(struct vm *vm, const char *dir)
{
    struct acpi a;
    uint32_t n;
    uint8_t *script = fetch(vm, "etc/table-loader", &n);
    a.t = fetch(vm, "etc/acpi/tables", &a.tn);
    a.r = fetch(vm, "etc/acpi/rsdp", &a.rn);
    ok(script && a.t && a.r, "files");
    ok(run_loader(&a, script, n), "loader script");
    free(script);
    ok(!memcmp(a.r, "RSD PTR ", 8) && a.r[15] == 2 && !sum(a.r, 20) && ld_le32(a.r + 20) == 36 && !sum(a.r, 36), "RSDP");
    const uint8_t *rsdt = table_at(&a, ld_le32(a.r + 16)), *xsdt = table_at(&a, ld_le64(a.r + 24));
    ok(rsdt && !memcmp(rsdt, "RSDT", 4) && !sum(rsdt, ld_le32(rsdt + 4)), "RSDT");
    ok(xsdt && !memcmp(xsdt, "XSDT", 4) && !sum(xsdt, ld_le32(xsdt + 4)), "XSDT");
    unsigned nt = (ld_le32(xsdt + 4) - 36) / 8;
    is_u64((ld_le32(rsdt + 4) - 36) / 4, nt, "RSDT and XSDT are of the same length");
    for (unsigned i = 0; i < nt; i++) {
        const uint8_t *t = table_at(&a, ld_le64(xsdt + 36 + 8 * i));
        ok(t && !sum(t, ld_le32(t + 4)) && ld_le32(rsdt + 36 + 4 * i) == ld_le64(xsdt + 36 + 8 * i), "table %u: %.4s", i, t ? (const char *)t : "?");
    }
    const uint8_t *f = table(&a, "FACP"), *d = f ? table_at(&a, ld_le64(f + 140)) : NULL;
    ok(f && ld_le32(f + 4) == 244 && ld_le16(f + 46) == 9 && ld_le32(f + 48) == 0xb2 && ld_le32(f + 76) == 0x608, "FADT");
    ok(d && !memcmp(d, "DSDT", 4) && !sum(d, ld_le32(d + 4)) && ld_le32(f + 40) == ld_le64(f + 140), "DSDT");
    const uint8_t *facs = a.t + (ld_le32(f + 36) - TABLES);
    ok(!memcmp(facs, "FACS", 4) && ld_le32(facs + 4) == 64 && !(ld_le32(f + 36) & 63), "FACS, on 64 bytes");
    const uint8_t *m = table(&a, "APIC");
    unsigned lapics = 0, ioapics = 0, overrides = 0;
    for (unsigned i = 44; m && i + 2 <= ld_le32(m + 4) && m[i + 1]; i += m[i + 1]) {
        lapics += m[i] == 0;
        ioapics += m[i] == 1;
        overrides += m[i] == 2;
    }
    ok(lapics == 2 && ioapics == 1 && overrides == 2, "MADT: 2 processors, an I/O APIC, 2 overrides");
    ok(table(&a, "HPET") && ld_le64(table(&a, "HPET") + 44) == 0xfed00000, "HPET");
    ok(table(&a, "WAET") && table(&a, "SSDT"), "WAET and SSDT");
    if (have("iasl")) {
        disassemble(dir, "dsdt", d);
        disassemble(dir, "ssdt", table(&a, "SSDT"));
        disassemble(dir, "slots", table_of(&a, "SSDT", "LODGEPCI"));
        disassemble(dir, "facp", f);
        disassemble(dir, "apic", m);
        disassemble(dir, "hpet", table(&a, "HPET"));
    } else {
        skip("no iasl");
    }
    char cmd[300];
    if (have("iasl")) {
        snprintf(cmd, sizeof cmd, "grep -q 'Name (LPMN, 0xC0000000)' %s/dsdt.dsl && grep -q 'Name (LCOM, 0x00000001)' %s/dsdt.dsl", dir, dir);
        ok(system(cmd) == 0, "the DSDT knows the PCI window and the serial ports");
        snprintf(cmd, sizeof cmd, "test \"$(grep -c 'Processor (C0' %s/ssdt.dsl)\" = 2", dir);
        ok(system(cmd) == 0, "two processors in the SSDT");
        snprintf(cmd, sizeof cmd, "test \"$(grep -c 'Name (_SUN' %s/slots.dsl)\" = 33 && grep -A 2 '_ADR, 0x001F0000' %s/slots.dsl | grep -q '_SUN, 0x0000003F' && "
                 "grep -A 5 '_ADR, 0x00160002' %s/slots.dsl | grep -q '_SUN, 0x000000C2'", dir, dir, dir);
        ok(system(cmd) == 0, "slots 32 to 63 behind 00:11.0, and 194 behind 00:16.2");
    }
    free(a.t);
    free(a.r);
}

/* ---- SMBIOS ---- */

static void test_smbios(struct vm *vm, const char *dir, unsigned minor)
{
    uint32_t n, an;
    uint8_t *t = fetch(vm, "etc/smbios/smbios-tables", &n), *a = fetch(vm, "etc/smbios/smbios-anchor", &an);
    ok(t && a && an == 31 && !memcmp(a, "_SM_", 4) && !memcmp(a + 16, "_DMI_", 5), "anchor");
    ok(a[6] == 2 && a[7] == minor, "SMBIOS 2.%u", minor);
    is_u64(ld_le16(a + 0x16), n, "table length");
    unsigned count = 0, largest = 0;
    uint32_t off = 0;
    uint64_t types = 0, handles_seen[16] = {0};
    bool good = true, unique = true;
    while (off + 4 <= n) {
        uint32_t start = off, len = t[off + 1];
        uint16_t h = ld_le16(t + off + 2);
        if (t[off] < 64)
            types |= 1ull << t[off];
        for (unsigned i = 0; i < count && i < 16; i++)
            unique = unique && handles_seen[i] != h + 1ull;
        if (count < 16)
            handles_seen[count] = h + 1ull;
        good = good && len >= 4;
        off += len;
        while (off + 1 < n && (t[off] || t[off + 1]))
            off++;
        off += 2;
        count++;
        if (off - start > largest)
            largest = off - start;
        if (t[start] == 1)
            ok(!memcmp(t + start + 8, uuid, 16), "uuid in the order of the .vmx");
        if (t[start] == 127)
            break;
    }
    ok(good && unique && off == n, "structures fill the table, handles are unique");
    is_u64(ld_le16(a + 0x1c), count, "number of structures");
    is_u64(ld_le16(a + 8), largest, "largest structure");
    uint64_t want = 1ull << 0 | 1ull << 1 | 1ull << 2 | 1ull << 3 | 1ull << 4 | 1ull << 9 | 1ull << 16 | 1ull << 17 | 1ull << 19 | 1ull << 32;
    is_u64(types & want, want, "required types");
    if (have("dmidecode") || !access("/usr/sbin/dmidecode", X_OK)) {
        /* A dump as dmidecode writes it: entry point at 0 with the table at 32. */
        char path[200], cmd[900];
        uint8_t *dump = calloc(1, 32 + n);
        memcpy(dump, a, 31);
        st_le32(dump + 0x18, 32);
        dump[4] -= sum(dump, 31);
        dump[0x15] -= sum(dump + 16, 15);
        dump[4] = 0;
        dump[4] -= sum(dump, 31);
        memcpy(dump + 32, t, n);
        snprintf(path, sizeof path, "%s/dmi.bin", dir);
        write_file(path, dump, 32 + n);
        free(dump);
        snprintf(cmd, sizeof cmd,
                 "PATH=$PATH:/usr/sbin; dmidecode --from-dump %s >%s/dmi.txt 2>&1; grep -q 'Manufacturer: VMware, Inc.' %s/dmi.txt && "
                 "grep -q 'Product Name: VMware Virtual Platform' %s/dmi.txt && grep -q 'Product Name: 440BX Desktop Reference Platform' %s/dmi.txt && "
                 "grep -q 'Serial Number: VMware-56 4d 8b 66 1c ee 35 c4-8d 1a 01 02 03 04 05 06' %s/dmi.txt && grep -q 'CPU #001' %s/dmi.txt && "
                 "! grep -iq 'broken\\|invalid\\|wrong\\|out of spec\\|truncated' %s/dmi.txt",
                 path, dir, dir, dir, dir, dir, dir, dir);
        ok(system(cmd) == 0, "dmidecode finds a VMware machine and nothing odd");
    } else {
        skip("no dmidecode");
    }
    free(t);
    free(a);
}

static struct vm *make(const struct firmware_params *p)
{
    struct err e = {0};
    struct vm *vm = fakevm_new(1, 1);
    struct dev *d = dev_create(vm, &fwcfg_class, "fwcfg", NULL, &e);
    ok(d && !firmware_describe(d, p, &e), "described %s", e.msg);
    fakevm_reset(vm);
    return vm;
}

int main(void)
{
    char dir[] = "/tmp/lodge-fw-XXXXXX", cmd[100], path[100];
    struct firmware_params p;
    struct err e = {0};
    if (!mkdtemp(dir))
        return 99;
    params(&p, 2, 4ull << 30);
    struct vm *vm = make(&p);
    test_ports(vm);
    test_acpi(vm, dir);
    test_smbios(vm, dir, 7);
    struct vm *to = make(&p);
    fakevm_free(to);
    to = fakevm_new(1, 1);
    struct dev *d = dev_create(to, &fwcfg_class, "fwcfg", NULL, &e);
    firmware_describe(d, &p, &e);
    sel(vm, 0);
    fakevm_in(vm, 0x511, 1);
    ok(!fakevm_migrate(vm, to, &e), "saved and loaded: %s", e.msg);
    is_u64(fakevm_in(to, 0x511, 1), 'E', "reads on after load");
    ok(fwcfg_add_file(d, "etc/e820", "", 0, &e) == -1, "a file is given once: %s", e.msg);
    ok(fwcfg_add_file(d, "this/name/is/longer/than/the/fifty/five/bytes/that/it/may/have", "", 0, &e) == -1, "a name is at most 55 bytes");
    fakevm_free(to);
    fakevm_free(vm);
    params(&p, 64, 1ull << 40);
    p.smbios.hw_version = 12;
    p.smbios.n_sockets = 32;
    p.smbios.cores_per_socket = 2;
    vm = make(&p);
    test_smbios(vm, dir, 4);
    fakevm_free(vm);
    p.acpi.n_cpus = 65;
    vm = fakevm_new(1, 1);
    d = dev_create(vm, &fwcfg_class, "fwcfg", NULL, &e);
    ok(firmware_describe(d, &p, &e) == -1, "too many processors: %s", e.msg);
    fakevm_free(vm);
    ok(firmware_path_ide(path, sizeof path, 0x39, 1, 0) == 34 && !strcmp(path, "/pci@i0cf8/ide@7,1/drive@1/disk@0\n"), "IDE path");
    firmware_path_floppy(path, sizeof path, 0x38, 0);
    ok(!strcmp(path, "/pci@i0cf8/isa@7/fdc@03f0/floppy@0\n"), "floppy path");
    firmware_path_pci(path, sizeof path, 0x88);
    ok(!strcmp(path, "/pci@i0cf8/*@11\n"), "PCI path");
    is_u64((unsigned)firmware_path_pci(path, 5, 0x88), 4, "cut");
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    if (system(cmd))
        return 99;
    return TAP_DONE();
}
