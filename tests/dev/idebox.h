/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE function on a bench: a fake vm, a PCI bus of one function (the bus master at port C000h), disks in memory.
 * For the device test and the fuzz harness.
 */
#ifndef LODGE_TESTS_IDEBOX_H
#define LODGE_TESTS_IDEBOX_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "block/blk.h"
#include "core/state.h"
#include "pci/pci.h"
#include "storage/ide.h"
#include "tests/fakevm.h"
#include "tests/format/memfile.h"

/* ---- PCI, as far as one function needs it ---- */

#define BM_PORT 0xc000
int pci_register(struct pci_dev *p, struct pci_bus *bus, uint8_t devfn, const struct pci_id *id, uint8_t pin,
                 struct err *e)
{
    (void)bus, (void)pin, (void)e;
    p->devfn = devfn;
    st_le16(p->cfg, id->vendor);
    st_le16(p->cfg + 2, id->device);
    st_le32(p->cfg + 8, id->class_rev);
    return 0;
}
void pci_bar_io(struct pci_dev *p, int bar, uint16_t count, const struct io_ops *ops, void *dev)
{
    struct err e;
    p->bar[bar].size = count;
    p->bar[bar].pr = (struct port_range){"bus master", BM_PORT, count, ops, dev};
    port_claim(p->dev.vm, &p->bar[bar].pr, &e);
}
void pci_on_config(struct pci_dev *p, void (*changed)(struct pci_dev *p, unsigned off, unsigned size))
{
    p->changed = changed;
}
void pci_reset_function(struct pci_dev *p)
{
    p->cfg[4] = 0;
    p->bus_master = false;
}
int pci_dma_read(struct pci_dev *p, gpa_t a, void *buf, size_t n)
{
    memset(buf, 0xff, n);
    return p->bus_master ? gmem_read(p->dev.vm, a, buf, n) : -1;
}
int pci_dma_write(struct pci_dev *p, gpa_t a, const void *buf, size_t n)
{
    return p->bus_master ? gmem_write(p->dev.vm, a, buf, n) : -1;
}
static const struct state_field fake_pci_fields[] = {
    SF_BUF(struct pci_dev, cfg), SF(struct pci_dev, bus_master, SF_BOOL), {NULL}};
const struct state_desc pci_dev_state = {.name = "pci_dev", .version = 1, .min_version = 1, .fields = fake_pci_fields};

static void fake_pci_write(struct pci_dev *p, unsigned off, uint8_t v)
{
    p->cfg[off] = v;
    p->bus_master = p->cfg[4] & 4;
    if (p->changed)
        p->changed(p, off, 1);
}

/* ---- the machine ---- */

struct idebox {
    struct vm *vm;
    struct dev *ide;
    struct fakevm_irqs irqs;
    struct memfile disk, disk2, cd;
    struct blk *blk[3];
    int tray_calls, tray_state;
};

static void box_tray(void *u, unsigned ch, unsigned unit, bool open)
{
    struct idebox *b = u;
    (void)ch, (void)unit;
    b->tray_calls++;
    b->tray_state = open;
}

/* ide0:0 and ide0:1 disks, ide1:0 CD, ide1:1 nothing. */
__attribute__((unused)) static bool box_make(struct idebox *b, struct vm *vm, bool threads, uint64_t disk,
                                             uint64_t disk2, uint64_t cd)
{
    struct err e = {0};
    b->vm = vm;
    fakevm_irqs_init(&b->irqs);
    struct vm *bv = threads ? b->vm : NULL;
    struct ide_params p = {
        .devfn = 9, .irq = {fakevm_irq(&b->irqs, 14), fakevm_irq(&b->irqs, 15)}, .tray = box_tray, .tray_u = b};
    b->blk[0] = mf_open(bv, &b->disk, disk, "raw", false);
    p.drive[0][0] = (struct ide_drive_params){.kind = IDE_DISK, .blk = b->blk[0]};
    if (disk2) {
        b->blk[1] = mf_open(bv, &b->disk2, disk2, "raw", false);
        p.drive[0][1] = (struct ide_drive_params){.kind = IDE_DISK, .blk = b->blk[1]};
    }
    if (cd)
        b->blk[2] = mf_open(bv, &b->cd, cd, "iso", true);
    p.drive[1][0] = (struct ide_drive_params){.kind = IDE_CDROM, .blk = b->blk[2]};
    b->ide = dev_create(b->vm, &ide_class, "ide0", &p, &e);
    return b->ide != NULL;
}

__attribute__((unused)) static bool box_init(struct idebox *b, bool threads, uint64_t disk, uint64_t disk2, uint64_t cd)
{
    return box_make(b, fakevm_new(4, 1), threads, disk, disk2, cd);
}

/* What the firmware does: I/O and bus master on, both channels decoded. */
static void box_enable(struct idebox *b)
{
    struct pci_dev *p = (struct pci_dev *)b->ide;
    fake_pci_write(p, 4, 5);
    fake_pci_write(p, 0x41, 0x80);
    fake_pci_write(p, 0x43, 0x80);
}

__attribute__((unused)) static void box_reset(struct idebox *b)
{
    fakevm_reset(b->vm);
    box_enable(b);
}

/* After the vm is gone. */
static void box_free(struct idebox *b)
{
    for (int i = 0; i < 3; i++)
        if (b->blk[i])
            blk_close(b->blk[i]);
    free(b->disk.data);
    free(b->disk2.data);
    free(b->cd.data);
}

__attribute__((unused)) static void box_fini(struct idebox *b)
{
    fakevm_free(b->vm);
    box_free(b);
}

#endif
