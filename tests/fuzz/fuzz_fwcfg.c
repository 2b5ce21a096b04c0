/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: fw_cfg by ports and by DMA, with the files that a machine has. */
#include <string.h>

#include "tests/fuzz/fuzz_dev.h"

#include "base/bytes.h"
#include "chipset/firmware.h"
#include "chipset/fwcfg.h"

static void make(struct vm *vm)
{
    struct err e = {0};
    struct firmware_params p = {.n_cpus = 1, .ram = 1 << 20, .boot_order = "x\n"};
    p.acpi = (struct acpi_params){.n_cpus = 1, .ram_below_4g = 1 << 20};
    p.smbios = (struct smbios_params){.ram = 1 << 20, .n_sockets = 1, .cores_per_socket = 1};
    struct dev *d = dev_create(vm, &fwcfg_class, "fwcfg", NULL, &e);
    fuzz_check(d && !firmware_describe(d, &p, &e), e.msg);
}

/* A DMA command block at 1000h, then its start. */
static void extra(struct fuzz *f, unsigned what)
{
    uint8_t *b = fakevm_ram(f->vm) + 0x1000;
    uint32_t at = what == 3 ? (uint32_t)fuzz_bytes(f, 4) : 0x1000;
    st_be32(b, (uint32_t)fuzz_bytes(f, 1) | (uint32_t)fuzz_bytes(f, 1) << 16);
    st_be32(b + 4, (uint32_t)fuzz_bytes(f, what == 2 ? 4 : 2));
    st_be64(b + 8, fuzz_bytes(f, what == 1 ? 8 : 3));
    fakevm_out(f->vm, 0x518, 4, __builtin_bswap32(at));
}

FUZZ_DEVICE(.vcpus = 1, .ports = {{0x510, 2}, {0x514, 8}}, .n_ports = 2, .make = make, .extra = extra)
