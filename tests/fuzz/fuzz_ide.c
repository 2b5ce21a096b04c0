/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: the IDE function with two disks and a CD-ROM drive, its bus master tables in guest memory. */
#include "tests/fuzz/fuzz_dev.h"

#include "base/log.h"
#include "tests/dev/idebox.h"

static struct idebox box[2];
static unsigned n_boxes;

static void make(struct vm *vm)
{
    fuzz_check(n_boxes < 2 && box_make(&box[n_boxes++], vm, false, 1 << 20, 64 << 10, 512 << 10),
               "the machine is made");
}

/* 0: bytes into the PRD area at 1000h. 1: a whole ATA command. 2: a packet command. 3: data port in bulk, PCI
 * registers, media, errors. */
static void extra(struct fuzz *f, unsigned what)
{
    struct idebox *b = &box[0];
    static uint8_t buf[4096];
    unsigned port = fuzz_bytes(f, 1), base = port & 1 ? 0x170 : 0x1f0;
    if (((struct pci_dev *)b->ide)->cfg[0x41] == 0 && !(port & 0x80))
        box_enable(b);
    if (what == 0) {
        uint8_t *ram = fakevm_ram(b->vm) + 0x1000 + (port & 15) * 8;
        for (int i = 0; i < 16; i++)
            ram[i] = (uint8_t)fuzz_bytes(f, 1);
    } else if (what == 1) {
        fakevm_out(b->vm, BM_PORT + 4 + (port & 1) * 8, 4, 0x1000);
        for (unsigned r = 1; r < 8; r++)
            fakevm_out(b->vm, (uint16_t)(base + r), 1, fuzz_bytes(f, 1));
        if (port & 2)
            fakevm_out(b->vm, BM_PORT + (port & 1) * 8, 1, port >> 2 & 9);
    } else if (what == 2) {
        uint8_t cdb[12];
        fakevm_out(b->vm, 0x176, 1, port & 0x10);
        fakevm_out(b->vm, 0x171, 1, port >> 1 & 1);
        fakevm_out(b->vm, 0x174, 1, fuzz_bytes(f, 1));
        fakevm_out(b->vm, 0x175, 1, fuzz_bytes(f, 1));
        fakevm_out(b->vm, 0x177, 1, 0xa0);
        for (int i = 0; i < 12; i++)
            cdb[i] = (uint8_t)fuzz_bytes(f, 1);
        fakevm_outs(b->vm, 0x170, 2, cdb, 6);
        if (port & 4)
            fakevm_out(b->vm, BM_PORT + 8, 1, 9);
    } else {
        unsigned n = (unsigned)fuzz_bytes(f, 1), size = 1u << (port >> 1 & 3) & 7;
        size = size ? size : 2;
        switch (port >> 3 & 7) {
        case 0:
        case 1:
        case 2:
            fakevm_ins(b->vm, (uint16_t)(base + (n == 77)), size, buf, n * 4 / size * (n & 1 ? 4 : 1) % (4096 / size));
            break;
        case 3:
        case 4:
            memset(buf, (int)n, sizeof buf);
            fakevm_outs(b->vm, (uint16_t)base, size, buf, n * 16 / size % (4096 / size));
            break;
        case 5:
            fake_pci_write((struct pci_dev *)b->ide, (port & 1 ? 0x40 : 4) + (n & 3), (uint8_t)fuzz_bytes(f, 1));
            break;
        case 6: {
            struct blk *old;
            struct err e;
            ide_cd_insert(b->ide, 1, n & 1, n & 2 ? b->blk[2] : NULL, n & 4, &old, &e);
            break;
        }
        default: b->disk.fail = n & 1 ? EIO : 0; b->cd.fail = n & 2 ? EIO : 0;
        }
    }
}

static void before(void)
{
    log_set_sink(NULL, NULL, LOG_ERROR);
    memset(box, 0, sizeof box);
    n_boxes = 0;
}
static void after(void)
{
    for (unsigned i = 0; i < n_boxes; i++)
        box_free(&box[i]);
}
FUZZ_DEVICE(.vcpus = 1, .ports = {{0x1f0, 8}, {0x3f6, 1}, {0x170, 8}, {0x376, 1}, {BM_PORT, 16}}, .n_ports = 5,
            .make = make, .extra = extra, .before = before, .after = after)
