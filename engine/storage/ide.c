/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE function of the Intel 82371AB (PIIX4): two channels at the ports of the PC/AT, each with up to two drives
 * that share the cable. Here are the registers of the command and control blocks, the data port, resets and interrupts;
 * what commands do is in ata_disk.c and atapi.c, the bus master in ide_dma.c. References: ATA/ATAPI-6 (T13/1410D)
 * chapters 7 and 9, 82371AB data sheet 6.
 *
 * One command at a time is active on a channel, as on the cable. Its data passes through buf in DRQ blocks (PIO) or
 * goes straight to guest memory (DMA). A request to the block layer is in flight only while the selected drive shows
 * BSY; a reset that comes meanwhile keeps BSY until the request has ended, since its buffers cannot be taken from the
 * host earlier.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/vm.h"
#include "storage/ide_private.h"

enum { IDE_MAX_DEPTH = 8 };
enum {
    PCI_IDETIM = 0x40,
    PCI_SIDETIM = 0x44,
    PCI_UDMACTL = 0x48,
    PCI_UDMATIM = 0x4a,
    IDETIM_DECODE = 0x80 /* of the high byte */
};

/* ---- interrupts and the end of commands ---- */

void ide_update_irq(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    bool level = d->kind != IDE_NONE && d->intrq && !(ch->devctl & DC_NIEN);
    if (level && !ch->irq_level)
        ch->bm_status |= BM_INTR; /* the bus master latches the rising edge */
    if (level != ch->irq_level) {
        ch->irq_level = level;
        irq_set(&ch->irq, level);
    }
}

void ide_raise(struct ide_drive *d)
{
    d->intrq = true;
    ide_update_irq(d->ch);
}

void ide_end(struct ide_chan *ch, uint8_t status, uint8_t error, bool irq)
{
    struct ide_drive *d = ide_selected(ch);
    ch->op = OP_NONE;
    ch->left = 0;
    ch->pos = ch->drq_end = ch->len = 0;
    d->status = status;
    d->error = error;
    if (irq)
        ide_raise(d);
}

void ide_busy(struct ide_chan *ch) { ide_selected(ch)->status = ST_BSY | ST_READY; }

void ide_drq(struct ide_chan *ch, bool irq)
{
    struct ide_drive *d = ide_selected(ch);
    d->status = ST_READY | ST_DRQ;
    if (irq)
        ide_raise(d);
}

void ide_string(uint8_t *p, const char *s, unsigned n)
{
    size_t len = strlen(s);
    for (unsigned i = 0; i < n; i++)
        p[i ^ 1] = i < len ? (uint8_t)s[i] : ' ';
}

/* ATA/ATAPI-6 9.1, table 55: what resets and diagnostics leave in the registers. */
void ide_set_signature(struct ide_drive *d)
{
    memset(&d->r, 0, sizeof d->r);
    d->r.nsector[0] = 1;
    d->r.lbal[0] = 1;
    if (d->kind == IDE_CDROM) {
        d->r.lbam[0] = 0x14;
        d->r.lbah[0] = 0xeb;
    }
    d->error = 0x01; /* passed */
    d->status = d->kind == IDE_CDROM ? 0 : ST_READY;
}

/* ---- requests to the block layer ---- */

static void ide_finish_reset(struct ide_chan *ch);

static void ide_req_done(struct blk_req *r, int sys_errno)
{
    struct ide_chan *ch = r->owner;
    ch->in_flight = false;
    if (ch->bm_pinned)
        ide_dma_unpin(ch, r->op == BLK_READ && !sys_errno);
    if (ch->abandon) {
        ch->abandon = false;
        if (!ch->in_srst)
            ide_finish_reset(ch);
        return;
    }
    ch->on_done(ch, sys_errno);
}

void ide_submit(struct ide_chan *ch, enum blk_op op, uint64_t off, uint64_t len, int n_iov,
                void (*fn)(struct ide_chan *, int))
{
    struct ide_drive *d = ide_selected(ch);
    ch->req = (struct blk_req){.op = op,
                               .off = off,
                               .len = len,
                               .iov = ch->iov,
                               .n_iov = n_iov,
                               .done = ide_req_done,
                               .owner = ch,
                               .inline_ok = ch->depth < IDE_MAX_DEPTH};
    ch->on_done = fn;
    ch->in_flight = true;
    ide_busy(ch);
    if (op == BLK_READ)
        d->n_reads++;
    else if (op == BLK_WRITE)
        d->n_writes++;
    ch->depth++;
    blk_submit(d->blk, &ch->req); /* fn may have run already */
    ch->depth--;
}

void ide_submit_buf(struct ide_chan *ch, enum blk_op op, uint64_t off, uint32_t pos, uint32_t n,
                    void (*fn)(struct ide_chan *, int))
{
    ch->iov[0] = (struct iovec){ch->buf + pos, n};
    ide_submit(ch, op, off, n, 1, fn);
}

/* ---- resets ---- */

/* Stops what the channel does. False: a request is in flight, ide_req_done goes on. */
static bool ide_stop(struct ide_chan *ch)
{
    ch->op = OP_NONE;
    ch->left = 0;
    ch->pos = ch->drq_end = ch->len = 0;
    for (int i = 0; i < 2; i++)
        ch->drive[i].intrq = false;
    if (!ch->in_flight)
        return true;
    ch->abandon = true;
    return false;
}

static void ide_finish_reset(struct ide_chan *ch)
{
    ch->device = 0;
    for (int i = 0; i < 2; i++)
        if (ch->drive[i].kind != IDE_NONE)
            ide_set_signature(&ch->drive[i]);
    ide_update_irq(ch);
}

static void ide_write_devctl(struct ide_chan *ch, uint8_t val)
{
    uint8_t old = ch->devctl;
    ch->devctl = val;
    if (val & DC_SRST && !(old & DC_SRST)) {
        ch->in_srst = true;
        ide_stop(ch);
        for (int i = 0; i < 2; i++)
            if (ch->drive[i].kind != IDE_NONE)
                ch->drive[i].status = ST_BSY;
    } else if (!(val & DC_SRST) && old & DC_SRST) {
        ch->in_srst = false;
        if (!ch->in_flight)
            ide_finish_reset(ch);
    }
    ide_update_irq(ch);
}

/* ATA/ATAPI-6 8.11 EXECUTE DEVICE DIAGNOSTIC goes to both drives, whichever is selected. */
static void ide_diagnostic(struct ide_chan *ch)
{
    ide_stop(ch);
    ch->device = 0;
    for (int i = 0; i < 2; i++)
        if (ch->drive[i].kind != IDE_NONE)
            ide_set_signature(&ch->drive[i]);
    if (ch->drive[0].kind != IDE_NONE)
        ide_raise(&ch->drive[0]);
}

/* ---- command block ---- */

static void ide_command(struct ide_chan *ch, uint8_t cmd)
{
    struct ide_drive *d = ide_selected(ch);
    /* Only DEVICE RESET of a packet device is heard while BSY or DRQ is set (ATA/ATAPI-6 9.16). */
    bool dev_reset = cmd == 0x08 && d->kind == IDE_CDROM;
    if (ch->in_srst)
        return;
    if (cmd == 0x90 && (ch->drive[0].kind != IDE_NONE || ch->drive[1].kind != IDE_NONE)) {
        if (!ch->in_flight)
            ide_diagnostic(ch);
        return;
    }
    if (d->kind == IDE_NONE)
        return;
    if (d->status & ST_BSY && !dev_reset)
        return;
    if (d->status & ST_DRQ || ch->op != OP_NONE) {
        if (ch->in_flight && !dev_reset)
            return;
        if (!dev_reset)
            guest_error("ide", "command %02x while command %02x still moves data", cmd, ch->cmd);
    }
    d->intrq = false;
    ide_update_irq(ch);
    if (dev_reset) {
        uint8_t device = ch->device & DEV_DEV;
        if (!ide_stop(ch)) {
            d->status = ST_BSY;
            return;
        }
        ide_set_signature(d);
        ch->device = device;
        return;
    }
    ch->op = OP_NONE;
    ch->left = 0;
    ch->pos = ch->drq_end = ch->len = 0;
    ch->cmd = cmd;
    d->error = 0;
    if (d->kind == IDE_DISK)
        ata_command(ch, d, cmd);
    else
        atapi_command(ch, d, cmd);
}

static void put(uint8_t r[2], uint8_t val)
{
    r[1] = r[0];
    r[0] = val;
}

static void ide_write_reg(struct ide_chan *ch, unsigned reg, uint8_t val)
{
    ch->devctl &= (uint8_t)~DC_HOB;
    if (reg == 7) {
        ide_command(ch, val);
        return;
    }
    if (reg == 6) {
        struct ide_drive *d = ide_selected(ch);
        if (d->kind != IDE_NONE && d->status & ST_BSY)
            return;
        /* Selecting the other drive in the middle of a transfer ends that transfer: there is only one buffer on the
         * cable. */
        if ((val ^ ch->device) & DEV_DEV && ch->op != OP_NONE && !ch->in_flight) {
            guest_error("ide", "drive changed in the middle of command %02x", ch->cmd);
            ide_end(ch, ST_READY, 0, false);
        }
        ch->device = val;
        ide_update_irq(ch);
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct ide_drive *d = &ch->drive[i];
        if (d->kind == IDE_NONE || d->status & ST_BSY)
            continue;
        switch (reg) {
        case 1: put(d->r.feature, val); break;
        case 2: put(d->r.nsector, val); break;
        case 3: put(d->r.lbal, val); break;
        case 4: put(d->r.lbam, val); break;
        case 5: put(d->r.lbah, val); break;
        }
    }
}

/* The drive whose registers answer: device 0 answers for a device 1 that is not there (ATA/ATAPI-6 9.16.1). NULL:
 * nobody does. */
static struct ide_drive *ide_answers(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    if (d->kind != IDE_NONE)
        return d;
    return d->unit == 1 && ch->drive[0].kind != IDE_NONE ? &ch->drive[0] : NULL;
}

static uint8_t ide_status(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    if (d->kind != IDE_NONE)
        return d->status;
    return ide_answers(ch) ? 0x00 : 0x7f; /* DD7 is pulled down on the cable, so that BSY reads 0 */
}

static uint8_t ide_read_reg(struct ide_chan *ch, unsigned reg)
{
    struct ide_drive *d = ide_answers(ch);
    unsigned hob = ch->devctl & DC_HOB ? 1 : 0;
    if (!d)
        return 0x7f;
    /* While BSY is set, every register of the command block reads as Status does. */
    if (d->status & ST_BSY && reg != 7)
        return d->status;
    switch (reg) {
    case 1: return hob ? d->r.feature[1] : d->error;
    case 2: return d->r.nsector[hob];
    case 3: return d->r.lbal[hob];
    case 4: return d->r.lbam[hob];
    case 5: return d->r.lbah[hob];
    case 6: return ch->device;
    default:
        if (d == ide_selected(ch)) {
            d->intrq = false;
            ide_update_irq(ch);
        }
        return ide_status(ch);
    }
}

/* ---- data port ---- */

static void ide_block_done(struct ide_chan *ch)
{
    if (ide_selected(ch)->kind == IDE_CDROM)
        atapi_block_done(ch);
    else
        ata_block_done(ch);
}

static bool op_is_in(uint8_t op) { return op == OP_READ || op == OP_REPLY || op == OP_PKT_IN; }
static bool op_is_out(uint8_t op)
{
    return op == OP_WRITE || op == OP_WRITE_BUFFER || op == OP_PKT_CDB || op == OP_PKT_OUT;
}

static bool ide_data_ready(struct ide_chan *ch, bool in)
{
    struct ide_drive *d = ide_selected(ch);
    return d->kind != IDE_NONE && (d->status & (ST_DRQ | ST_BSY)) == ST_DRQ &&
           (in ? op_is_in(ch->op) : op_is_out(ch->op));
}

static void ide_data_in(struct ide_chan *ch, uint8_t *p, size_t n, unsigned size)
{
    while (n > 0 && ide_data_ready(ch, true)) {
        size_t part = ch->drq_end - ch->pos;
        if (part > n)
            part = n;
        memcpy(p, ch->buf + ch->pos, part);
        ch->pos += (uint32_t)part;
        p += part;
        n -= part;
        if (ch->pos == ch->drq_end) {
            /* The last transfer of an odd number of bytes carries padding; it does not belong to the next block. */
            size_t pad = n % size;
            memset(p, 0, pad);
            p += pad;
            n -= pad;
            ide_block_done(ch);
        }
    }
    memset(p, 0, n);
}

static void ide_data_out(struct ide_chan *ch, const uint8_t *p, size_t n, unsigned size)
{
    while (n > 0 && ide_data_ready(ch, false)) {
        size_t part = ch->drq_end - ch->pos;
        if (part > n)
            part = n;
        memcpy(ch->buf + ch->pos, p, part);
        ch->pos += (uint32_t)part;
        p += part;
        n -= part;
        if (ch->pos == ch->drq_end) {
            size_t pad = n % size;
            p += pad;
            n -= pad;
            ide_block_done(ch);
        }
    }
}

/* ---- ports ---- */

/* IDETIM bit 15 and the I/O enable of the command register gate the fixed ports (82371AB 4.2.1, 4.2.2). */
static bool ide_decodes(const struct ide_chan *ch)
{
    const uint8_t *cfg = ch->ide->pci.cfg;
    return cfg[0x04] & 1 && cfg[PCI_IDETIM + 2 * ch->index + 1] & IDETIM_DECODE;
}

static uint64_t ide_cmd_read(void *dev, uint64_t off, unsigned size)
{
    struct ide_chan *ch = dev;
    uint64_t v = 0;
    if (!ide_decodes(ch))
        return ~0ull;
    if (off == 0) {
        if (!ide_answers(ch))
            return 0x7f7f7f7f;
        ide_data_in(ch, (uint8_t *)&v, size, size);
        return v;
    }
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)(off + i < 8 ? ide_read_reg(ch, (unsigned)off + i) : 0xff) << (8 * i);
    return v;
}

static void ide_cmd_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct ide_chan *ch = dev;
    if (!ide_decodes(ch))
        return;
    if (off == 0) {
        ide_data_out(ch, (const uint8_t *)&val, size, size);
        return;
    }
    for (unsigned i = 0; i < size && off + i < 8; i++)
        ide_write_reg(ch, (unsigned)off + i, (uint8_t)(val >> (8 * i)));
}

static void ide_cmd_read_rep(void *dev, uint64_t off, unsigned size, void *buf, unsigned n)
{
    struct ide_chan *ch = dev;
    if (off == 0 && ide_decodes(ch) && ide_answers(ch)) {
        ide_data_in(ch, buf, (size_t)n * size, size);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t v = ide_cmd_read(dev, off, size);
        memcpy((uint8_t *)buf + (size_t)i * size, &v, size);
    }
}

static void ide_cmd_write_rep(void *dev, uint64_t off, unsigned size, const void *buf, unsigned n)
{
    struct ide_chan *ch = dev;
    if (off == 0 && ide_decodes(ch)) {
        ide_data_out(ch, buf, (size_t)n * size, size);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t v = 0;
        memcpy(&v, (const uint8_t *)buf + (size_t)i * size, size);
        ide_cmd_write(dev, off, size, v);
    }
}

static const struct io_ops ide_cmd_ops = {.read = ide_cmd_read,
                                          .write = ide_cmd_write,
                                          .read_rep = ide_cmd_read_rep,
                                          .write_rep = ide_cmd_write_rep,
                                          .widths = IO_8 | IO_16 | IO_32};

static uint64_t ide_ctl_read(void *dev, uint64_t off, unsigned size)
{
    struct ide_chan *ch = dev;
    (void)off, (void)size;
    return ide_decodes(ch) ? ide_status(ch) : 0xff; /* Alternate Status: leaves INTRQ alone */
}

static void ide_ctl_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct ide_chan *ch = dev;
    (void)off, (void)size;
    if (ide_decodes(ch))
        ide_write_devctl(ch, (uint8_t)val);
}

static const struct io_ops ide_ctl_ops = {.read = ide_ctl_read, .write = ide_ctl_write, .widths = IO_8};

static void ide_config_changed(struct pci_dev *p, unsigned off, unsigned size)
{
    struct ide *ide = (struct ide *)p;
    if (off <= 4 && off + size > 4 && p->bus_master)
        for (int i = 0; i < 2; i++)
            ide_dma_kick(&ide->ch[i]);
}

/* ---- life ---- */

static void ide_drive_power_on(struct ide_drive *d)
{
    d->heads = d->def_heads;
    d->secs = d->def_secs;
    d->geometry_ok = true;
    d->mult = 0;
    d->xfer_mode = d->kind == IDE_NONE ? 0 : 0x0c; /* PIO 4 */
    d->power = 0xff;
    d->write_cache = true;
    d->look_ahead = true;
    d->intrq = false;
    d->sense = (struct ide_sense){0, 0, 0};
    if (d->kind == IDE_CDROM)
        atapi_drive_reset(d);
    if (d->kind != IDE_NONE)
        ide_set_signature(d);
    else
        d->status = 0;
}

/* A request may still be in flight; it holds guest memory and buf. */
static void ide_drain(struct ide_chan *ch)
{
    for (int i = 0; i < 2; i++)
        if (ch->drive[i].blk)
            blk_drain(ch->drive[i].blk);
}

static void ide_reset(struct dev *dev, enum reset_kind k)
{
    struct ide *ide = (struct ide *)dev;
    (void)k;
    for (int i = 0; i < 2; i++) {
        struct ide_chan *ch = &ide->ch[i];
        if (ch->in_flight) {
            ch->abandon = true;
            ch->in_srst = true; /* ide_req_done is to do nothing more */
            ide_drain(ch);
        }
        ch->abandon = ch->in_srst = false;
        ch->device = ch->devctl = 0;
        ch->op = OP_NONE;
        ch->cmd = 0;
        ch->lba = 0;
        ch->left = ch->chunk = ch->block = 0;
        ch->pos = ch->drq_end = ch->len = 0;
        ch->bm_cmd = 0;
        ch->bm_status = 0;
        ch->bm_table = 0;
        memset(&ch->cur, 0, sizeof ch->cur);
        for (int u = 0; u < 2; u++)
            ide_drive_power_on(&ch->drive[u]);
    }
    pci_reset_function(&ide->pci);
    memset(ide->pci.cfg + PCI_IDETIM, 0, 0x10);
}

static void ide_reset_done(struct dev *dev)
{
    struct ide *ide = (struct ide *)dev;
    for (int i = 0; i < 2; i++) {
        ide->ch[i].irq_level = false;
        irq_set(&ide->ch[i].irq, false);
    }
}

static void ide_quiesce(struct dev *dev)
{
    struct ide *ide = (struct ide *)dev;
    chipset_lock(dev->vm); /* blk_drain runs completions on this thread */
    for (int i = 0; i < 2; i++)
        ide_drain(&ide->ch[i]);
    chipset_unlock(dev->vm);
}

static void ide_destroy(struct dev *dev)
{
    struct ide *ide = (struct ide *)dev;
    for (int i = 0; i < 2; i++) {
        ide->ch[i].abandon = ide->ch[i].in_flight;
        ide->ch[i].in_srst = true;
        ide_drain(&ide->ch[i]);
        if (ide->ch[i].cmd_range.ops)
            port_release(dev->vm, &ide->ch[i].cmd_range);
        if (ide->ch[i].ctl_range.ops)
            port_release(dev->vm, &ide->ch[i].ctl_range);
    }
}

static int ide_drive_init(struct ide_chan *ch, unsigned unit, const struct ide_drive_params *p, struct err *e)
{
    struct ide_drive *d = &ch->drive[unit];
    d->ch = ch;
    d->unit = unit;
    d->kind = p->kind;
    if (p->kind == IDE_NONE)
        return 0;
    if (p->kind == IDE_DISK && !p->blk)
        return err_set(e, ERR_CONFIG, 0, "ide%u:%u is a disk without an image", ch->index, unit);
    d->blk = p->blk;
    const char *model = p->model              ? p->model
                        : p->kind == IDE_DISK ? "VMware Virtual IDE Hard Drive"
                                              : "VMware Virtual IDE CDROM Drive";
    snprintf(d->model, sizeof d->model, "%s", model);
    if (p->serial)
        snprintf(d->serial, sizeof d->serial, "%s", p->serial);
    else
        snprintf(d->serial, sizeof d->serial, "%u%u000000000000000001", ch->index & 1, unit & 1);
    snprintf(d->product, sizeof d->product, "VMware IDE CDR%u%u", ch->index & 1, unit & 1);
    struct blk_info in = {0};
    if (d->blk)
        blk_get_info(d->blk, &in);
    if (p->kind == IDE_CDROM) {
        d->sectors = in.size / CD_SECTOR;
        return 0;
    }
    if (in.sector != 512)
        return err_set(e, ERR_CONFIG, 0,
                       "ide%u:%u is a disk, but its image is one of a CD; set deviceType = \"cdrom-image\"", ch->index,
                       unit);
    if (in.read_only)
        return err_set(e, ERR_CONFIG, 0, "ide%u:%u: an IDE disk cannot be read-only; make its image writable",
                       ch->index, unit);
    d->sectors = in.size / 512;
    if (d->sectors > 1ull << 48)
        return err_set(e, ERR_CONFIG, 0, "ide%u:%u: the disk has %llu sectors; IDE can address 281474976710656",
                       ch->index, unit, (unsigned long long)d->sectors);
    d->def_heads = 16;
    d->def_secs = 63;
    /* The image's own geometry counts if a drive could have it (ATA: at most 16 heads, 63 sectors here). */
    if (in.heads >= 1 && in.heads <= 16 && in.sectors >= 1 && in.sectors <= 63) {
        d->def_heads = in.heads;
        d->def_secs = in.sectors;
    }
    uint64_t cyls = d->sectors / (d->def_heads * d->def_secs);
    d->def_cyls = cyls > 16383 ? 16383 : cyls < 1 ? 1 : (uint32_t)cyls;
    return 0;
}

static int ide_init(struct dev *dev, const void *params, struct err *e)
{
    static const uint16_t cmd_port[2] = {0x1f0, 0x170}, ctl_port[2] = {0x3f6, 0x376};
    static const char *const names[2] = {"primary IDE", "secondary IDE"};
    struct ide *ide = (struct ide *)dev;
    const struct pci_id id = {0x8086, 0x7111, 0x15ad, 0x1976, 0x01018001};
    ide->params = *(const struct ide_params *)params;
    if (pci_register(&ide->pci, ide->params.bus, ide->params.devfn, &id, 0, e) < 0)
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        struct ide_chan *ch = &ide->ch[i];
        ch->ide = ide;
        ch->index = i;
        ch->irq = ide->params.irq[i];
        for (unsigned u = 0; u < 2; u++)
            if (ide_drive_init(ch, u, &ide->params.drive[i][u], e) < 0)
                return -1;
        struct port_range cmd = {names[i], cmd_port[i], 8, &ide_cmd_ops, ch},
                          ctl = {names[i], ctl_port[i], 1, &ide_ctl_ops, ch};
        ch->cmd_range = cmd;
        if (port_claim(dev->vm, &ch->cmd_range, e) < 0) {
            ch->cmd_range.ops = NULL;
            return -1;
        }
        ch->ctl_range = ctl;
        if (port_claim(dev->vm, &ch->ctl_range, e) < 0) {
            ch->ctl_range.ops = NULL;
            return -1;
        }
    }
    /* 82371AB 4.1: IDETIM, SIDETIM, UDMACTL and UDMATIM are plain storage for the timing that drivers choose. */
    memset(ide->pci.wmask + PCI_IDETIM, 0xff, 4);
    ide->pci.wmask[PCI_SIDETIM] = 0xff;
    ide->pci.wmask[PCI_UDMACTL] = 0x0f;
    memset(ide->pci.wmask + PCI_UDMATIM, 0x33, 2);
    pci_bar_io(&ide->pci, 4, 16, &ide_bm_ops, ide);
    pci_on_config(&ide->pci, ide_config_changed);
    return 0;
}

/* ---- media and status for the control API ---- */

static struct ide_drive *ide_find(struct dev *dev, unsigned channel, unsigned unit)
{
    return channel < 2 && unit < 2 ? &((struct ide *)dev)->ch[channel].drive[unit] : NULL;
}

int ide_cd_insert(struct dev *dev, unsigned channel, unsigned unit, struct blk *blk, bool force, struct blk **old,
                  struct err *e)
{
    struct ide_drive *d = ide_find(dev, channel, unit);
    *old = NULL;
    if (!d || d->kind != IDE_CDROM)
        return err_set(e, ERR_CONFIG, 0, "ide%u:%u is not a CD-ROM drive, so its medium cannot be changed", channel,
                       unit);
    if (d->locked && !force && d->blk && !d->tray_open) {
        d->media_event = 1; /* the button was pressed: a guest that watches for it unmounts and ejects */
        return err_set(
            e, ERR_BUSY, 0,
            "The guest has locked the CD-ROM drive ide%u:%u; eject the disc in the guest first, or force the change",
            channel, unit);
    }
    *old = d->blk;
    d->blk = blk;
    d->sectors = 0;
    if (blk) {
        struct blk_info in;
        blk_get_info(blk, &in);
        d->sectors = in.size / CD_SECTOR;
    }
    bool had = *old && !d->tray_open;
    d->tray_open = false;
    d->locked = false;
    d->medium_changes++;
    d->ua_medium = d->ua_medium || blk != NULL;
    d->media_event = blk ? 2 : had ? 3 : 0;
    return 0;
}

int ide_drive_get_status(struct dev *dev, unsigned channel, unsigned unit, struct ide_drive_status *out)
{
    struct ide_drive *d = ide_find(dev, channel, unit);
    if (!d)
        return -1;
    *out = (struct ide_drive_status){.kind = d->kind,
                                     .medium = d->blk && !d->tray_open,
                                     .tray_open = d->tray_open,
                                     .locked = d->locked,
                                     .reads = d->n_reads,
                                     .writes = d->n_writes};
    return 0;
}

/* ---- state ---- */

static const struct state_field sense_fields[] = {
    SF(struct ide_sense, key, SF_U8), SF(struct ide_sense, asc, SF_U8), SF(struct ide_sense, ascq, SF_U8), {NULL}};
static const struct state_desc sense_desc = {
    .name = "ide_sense", .version = 1, .min_version = 1, .fields = sense_fields};

static const struct state_field regs_fields[] = {SF_BUF(struct ide_regs, feature), SF_BUF(struct ide_regs, nsector),
                                                 SF_BUF(struct ide_regs, lbal),    SF_BUF(struct ide_regs, lbam),
                                                 SF_BUF(struct ide_regs, lbah),    {NULL}};
static const struct state_desc regs_desc = {.name = "ide_regs", .version = 1, .min_version = 1, .fields = regs_fields};

static const struct state_field drive_fields[] = {SF_SUB(struct ide_drive, r, &regs_desc),
                                                  SF(struct ide_drive, status, SF_U8),
                                                  SF(struct ide_drive, error, SF_U8),
                                                  SF(struct ide_drive, intrq, SF_BOOL),
                                                  SF_MAX(struct ide_drive, heads, SF_U32, 16),
                                                  SF_MAX(struct ide_drive, secs, SF_U32, 255),
                                                  SF_MAX(struct ide_drive, mult, SF_U8, IDE_MAX_MULT),
                                                  SF(struct ide_drive, xfer_mode, SF_U8),
                                                  SF(struct ide_drive, power, SF_U8),
                                                  SF(struct ide_drive, write_cache, SF_BOOL),
                                                  SF(struct ide_drive, look_ahead, SF_BOOL),
                                                  SF(struct ide_drive, geometry_ok, SF_BOOL),
                                                  SF_SUB(struct ide_drive, sense, &sense_desc),
                                                  SF(struct ide_drive, ua_reset, SF_BOOL),
                                                  SF(struct ide_drive, ua_medium, SF_BOOL),
                                                  SF(struct ide_drive, tray_open, SF_BOOL),
                                                  SF(struct ide_drive, locked, SF_BOOL),
                                                  SF_MAX(struct ide_drive, media_event, SF_U8, 3),
                                                  SF_BUF(struct ide_drive, page01),
                                                  SF_BUF(struct ide_drive, page0e),
                                                  {NULL}};
static const struct state_desc drive_desc = {
    .name = "ide_drive", .version = 1, .min_version = 1, .fields = drive_fields};

static const struct state_field cursor_fields[] = {
    SF(struct bm_cursor, table, SF_U32),           SF(struct bm_cursor, addr, SF_U32),
    SF_MAX(struct bm_cursor, left, SF_U32, 65536), SF(struct bm_cursor, n, SF_U32),
    SF(struct bm_cursor, last, SF_BOOL),           {NULL}};
static const struct state_desc cursor_desc = {
    .name = "ide_cursor", .version = 1, .min_version = 1, .fields = cursor_fields};

static const struct state_field chan_fields[] = {SF_SUBS(struct ide_chan, drive, &drive_desc),
                                                 SF(struct ide_chan, device, SF_U8),
                                                 SF(struct ide_chan, devctl, SF_U8),
                                                 SF(struct ide_chan, in_srst, SF_BOOL),
                                                 SF_MAX(struct ide_chan, op, SF_U8, OP_COUNT - 1),
                                                 SF(struct ide_chan, cmd, SF_U8),
                                                 SF(struct ide_chan, ext, SF_BOOL),
                                                 SF(struct ide_chan, fua, SF_BOOL),
                                                 SF_MAX(struct ide_chan, lba, SF_U64, 1ull << 48),
                                                 SF_MAX(struct ide_chan, left, SF_U32, 0xffffff),
                                                 SF_MAX(struct ide_chan, block, SF_U32, IDE_BUF),
                                                 SF_MAX(struct ide_chan, pos, SF_U32, IDE_BUF),
                                                 SF_MAX(struct ide_chan, drq_end, SF_U32, IDE_BUF),
                                                 SF_MAX(struct ide_chan, len, SF_U32, IDE_BUF),
                                                 SF_BUF(struct ide_chan, cdb),
                                                 SF(struct ide_chan, pkt_dma, SF_BOOL),
                                                 SF_MAX(struct ide_chan, bcl, SF_U32, 65535),
                                                 SF_MAX(struct ide_chan, out_len, SF_U32, IDE_BUF),
                                                 SF_MAX(struct ide_chan, raw_size, SF_U32, 2352),
                                                 SF(struct ide_chan, raw_flags, SF_U8),
                                                 SF(struct ide_chan, bm_cmd, SF_U8),
                                                 SF(struct ide_chan, bm_status, SF_U8),
                                                 SF(struct ide_chan, bm_table, SF_U32),
                                                 SF_SUB(struct ide_chan, cur, &cursor_desc),
                                                 SF_BUF(struct ide_chan, buf),
                                                 {NULL}};
static const struct state_desc chan_desc = {.name = "ide_chan", .version = 1, .min_version = 1, .fields = chan_fields};

static const struct state_field ide_fields[] = {
    SF_SUB(struct ide, pci, &pci_dev_state), SF_SUBS(struct ide, ch, &chan_desc), {NULL}};

/* What the table cannot say: the transfer must be one that these drives could be in. */
static bool ide_chan_sane(const struct ide_chan *ch)
{
    const struct ide_drive *d = &ch->drive[ch->device & DEV_DEV ? 1 : 0];
    bool packet_op = ch->op >= OP_PKT_CDB;
    if (ch->pos > ch->drq_end || ch->drq_end > IDE_BUF || ch->len > IDE_BUF)
        return false;
    if (op_is_in(ch->op) && ch->drq_end > ch->len)
        return false;
    for (int i = 0; i < 2; i++) {
        uint8_t st = ch->drive[i].status, m = ch->drive[i].mult;
        if ((st & ST_BSY && !ch->in_srst) || m & (m - 1))
            return false;
    }
    if (ch->op == OP_NONE)
        return !(d->status & ST_DRQ) || d->kind == IDE_NONE;
    if (!(d->status & ST_DRQ) || (ch->op != OP_REPLY && d->kind != (packet_op ? IDE_CDROM : IDE_DISK)))
        return false;
    if ((ch->op == OP_READ || ch->op == OP_WRITE) &&
        (ch->block == 0 || ch->block % 512 || ch->pos > ch->drq_end || ch->drq_end % 512))
        return false;
    if (!packet_op && ch->op != OP_REPLY && ch->op != OP_WRITE_BUFFER &&
        (ch->lba > d->sectors || ch->left > d->sectors - ch->lba) && ch->op != OP_DSM)
        return false;
    if (ch->op == OP_PKT_CDB && (ch->drq_end != 12 || ch->len != 12))
        return false;
    if (ch->op == OP_PKT_OUT && (ch->drq_end > ch->out_len || ch->bcl < 2))
        return false;
    if (ch->op == OP_PKT_IN && (ch->bcl < 2 || ch->raw_size < 1))
        return false;
    if (ch->op == OP_PKT_DMA_RAW && ch->raw_size < 1)
        return false;
    return true;
}

static int ide_post_load(void *dev, unsigned version, struct err *e)
{
    struct ide *ide = dev;
    (void)version;
    for (int i = 0; i < 2; i++) {
        struct ide_chan *ch = &ide->ch[i];
        if (!ide_chan_sane(ch))
            return err_set(e, ERR_CORRUPT, 0,
                           "the saved state of IDE channel %d contradicts itself: op %u, status %02x, pos %u/%u/%u", i,
                           ch->op, ide_selected(ch)->status, ch->pos, ch->drq_end, ch->len);
        ch->medium_seen = ch->drive[0].medium_changes;
        ch->bm_status &= BM_ACTIVE | BM_ERROR | BM_INTR | BM_CAPABLE;
        struct ide_drive *d = ide_selected(ch);
        ch->medium_seen = d->medium_changes;
        ch->irq_level = d->kind != IDE_NONE && d->intrq && !(ch->devctl & DC_NIEN);
        irq_set(&ch->irq, ch->irq_level);
    }
    return 0;
}

static const struct state_desc ide_state = {
    .name = "ide", .version = 1, .min_version = 1, .fields = ide_fields, .post_load = ide_post_load};

const struct dev_class ide_class = {
    .name = "ide",
    .size = sizeof(struct ide),
    .init = ide_init,
    .reset = ide_reset,
    .reset_done = ide_reset_done,
    .quiesce = ide_quiesce,
    .destroy = ide_destroy,
    .state = &ide_state,
};
