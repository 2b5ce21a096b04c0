/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bus master of the PIIX4's IDE function (SFF-8038i, Programming Interface for Bus Master IDE Controller 1.0): per
 * channel a command, a status and a pointer to a table of physical regions (PRDs).
 *
 * A transfer runs when both sides want it: the drive (its command is a DMA one and its data is at hand) and the guest
 * (Start is set). It is done in as few requests to the block layer as the table allows, usually one, whose buffers are
 * the guest's own memory. If a region is not RAM, the piece goes through the channel's buffer instead.
 */
#define _GNU_SOURCE
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "storage/ide_private.h"

/* A table must not cross a 64 KiB boundary, so it has at most this many entries. */
#define MAX_PRDS 8192u

/* ---- the table ---- */

/* Makes cur->left non-zero by reading PRDs; false at the table's end. */
static bool cur_fill(struct ide_chan *ch, struct bm_cursor *cur)
{
    uint8_t prd[8];
    if (cur->left > 0)
        return true;
    if (cur->last || cur->n >= MAX_PRDS)
        return false;
    if (pci_dma_read(&ch->ide->pci, cur->table, prd, sizeof prd) < 0) {
        guest_error("ide", "PRD table at %08x is not in memory", cur->table);
        ch->bm_status |= BM_ERROR;
        cur->last = true;
        return false;
    }
    uint32_t ctl = ld_le32(prd + 4);
    cur->addr = ld_le32(prd) & ~1u;
    cur->left = ctl & 0xfffe ? ctl & 0xfffe : 65536; /* a count of 0 means 64 KiB */
    cur->last = ctl >> 31;
    cur->table += 8;
    cur->n++;
    return true;
}

static void cur_advance(struct ide_chan *ch, struct bm_cursor *cur, uint64_t n)
{
    while (n > 0 && cur_fill(ch, cur)) {
        uint32_t part = cur->left < n ? cur->left : (uint32_t)n;
        cur->addr += part;
        cur->left -= part;
        n -= part;
    }
}

int64_t ide_dma_pin(struct ide_chan *ch, uint64_t max, uint32_t unit, bool to_guest, int *n_iov)
{
    struct vm *vm = ch->ide->pci.dev.vm;
    struct bm_cursor cur = ch->cur;
    uint64_t total = 0;
    int n = 0;
    bool odd = false;
    while (total < max && cur_fill(ch, &cur)) {
        uint32_t part = cur.left < max - total ? cur.left : (uint32_t)(max - total);
        struct iovec v[8];
        int k = gmem_pin(vm, cur.addr, part, to_guest, v, 8);
        if (k < 0 || n + k > BLK_IOV_MAX) {
            odd = k < 0;
            if (k > 0)
                gmem_unpin(vm, v, k, false);
            break;
        }
        for (int i = 0; i < k; i++) {
            if (n > 0 && (uint8_t *)ch->iov[n - 1].iov_base + ch->iov[n - 1].iov_len == (uint8_t *)v[i].iov_base)
                ch->iov[n - 1].iov_len += v[i].iov_len;
            else
                ch->iov[n++] = v[i];
        }
        total += part;
        cur.addr += part;
        cur.left -= part;
    }
    uint64_t whole = total / unit * unit;
    if (whole == 0) {
        gmem_unpin(vm, ch->iov, n, false);
        return odd ? -1 : 0;
    }
    if (whole != total) { /* cut the list; the rest is for the next request, or has no sector to go with */
        uint64_t cut = total - whole;
        while (cut > 0) {
            struct iovec *last = &ch->iov[n - 1];
            size_t part = last->iov_len < cut ? last->iov_len : (size_t)cut;
            struct iovec gone = {(uint8_t *)last->iov_base + last->iov_len - part, part};
            gmem_unpin(vm, &gone, 1, false);
            last->iov_len -= part;
            cut -= part;
            if (last->iov_len == 0)
                n--;
        }
        cur = ch->cur;
        cur_advance(ch, &cur, whole);
    }
    ch->cur = cur;
    ch->bm_pinned = true;
    *n_iov = n;
    return (int64_t)whole;
}

void ide_dma_unpin(struct ide_chan *ch, bool wrote)
{
    gmem_unpin(ch->ide->pci.dev.vm, ch->iov, ch->req.n_iov, wrote);
    ch->bm_pinned = false;
}

uint32_t ide_dma_copy(struct ide_chan *ch, uint8_t *buf, uint32_t n, bool to_guest)
{
    struct pci_dev *pci = &ch->ide->pci;
    uint32_t done = 0;
    while (done < n && cur_fill(ch, &ch->cur)) {
        uint32_t part = ch->cur.left < n - done ? ch->cur.left : n - done;
        int r = to_guest ? pci_dma_write(pci, ch->cur.addr, buf + done, part)
                         : pci_dma_read(pci, ch->cur.addr, buf + done, part);
        if (r < 0)
            guest_error("ide", "DMA to %08x, where there is no memory", ch->cur.addr);
        ch->cur.addr += part;
        ch->cur.left -= part;
        done += part;
    }
    return done;
}

void ide_dma_end(struct ide_chan *ch)
{
    /* SFF-8038i 3.1: inactive when the table is used up; still active when it described more than the drive had. */
    if (ch->cur.left == 0 && ch->cur.last)
        ch->bm_status &= (uint8_t)~BM_ACTIVE;
}

void ide_dma_short(struct ide_chan *ch)
{
    guest_error("ide", "PRD table is shorter than command %02x", ch->cmd);
    ch->bm_status &= (uint8_t)~BM_ACTIVE;
    ide_drq(ch, false);
}

/* ---- data between the medium and guest memory ---- */

static void bounce_read(struct ide_chan *ch, int sys_errno)
{
    if (!sys_errno)
        ide_dma_copy(ch, ch->buf, (uint32_t)ch->req.len, true);
    ch->bounce_done(ch, sys_errno);
}

void ide_dma_medium(struct ide_chan *ch, uint32_t unit, bool write, void (*fn)(struct ide_chan *, int))
{
    int n = 0;
    int64_t bytes = ide_dma_pin(ch, (uint64_t)ch->left * unit, unit, !write, &n);
    uint64_t off = ch->lba * unit;
    if (bytes == 0) {
        ide_dma_short(ch);
        return;
    }
    if (bytes > 0) {
        ch->chunk = (uint32_t)((uint64_t)bytes / unit);
        ide_submit(ch, write ? BLK_WRITE : BLK_READ, off, (uint64_t)bytes, n, fn);
        return;
    }
    uint32_t part = ch->left < IDE_BUF / unit ? ch->left : IDE_BUF / unit;
    ch->chunk = part;
    if (!write) {
        ch->bounce_done = fn;
        ide_submit_buf(ch, BLK_READ, off, 0, part * unit, bounce_read);
        return;
    }
    ch->chunk = ide_dma_copy(ch, ch->buf, part * unit, false) / unit;
    if (ch->chunk == 0)
        ide_dma_short(ch);
    else
        ide_submit_buf(ch, BLK_WRITE, off, 0, ch->chunk * unit, fn);
}

/* ---- start and stop ---- */

static bool op_is_dma(uint8_t op)
{
    return op == OP_DMA_READ || op == OP_DMA_WRITE || op == OP_DSM || (op >= OP_PKT_DMA_REPLY && op <= OP_PKT_DMA_OUT);
}

void ide_dma_kick(struct ide_chan *ch)
{
    if (ch->in_flight || ch->in_srst || !op_is_dma(ch->op) || !(ch->bm_status & BM_ACTIVE) || !ch->ide->pci.bus_master)
        return;
    if (ide_selected(ch)->kind == IDE_CDROM)
        atapi_dma_step(ch);
    else
        ata_dma_step(ch);
}

void ide_dma_ready(struct ide_chan *ch)
{
    ide_drq(ch, false);
    ide_dma_kick(ch);
}

static void bm_write_command(struct ide_chan *ch, uint8_t val)
{
    uint8_t old = ch->bm_cmd;
    ch->bm_cmd = val & (BM_START | BM_READ);
    if (val & BM_START && !(old & BM_START)) {
        memset(&ch->cur, 0, sizeof ch->cur);
        ch->cur.table = ch->bm_table;
        ch->bm_status |= BM_ACTIVE;
        ide_dma_kick(ch);
    } else if (!(val & BM_START) && old & BM_START) {
        ch->bm_status &= (uint8_t)~BM_ACTIVE;
    }
}

/* ---- ports: 16 bytes, 8 for each channel ---- */

static uint8_t bm_read_byte(struct ide_chan *ch, unsigned off)
{
    switch (off) {
    case 0: return ch->bm_cmd;
    case 2: return ch->bm_status;
    case 4:
    case 5:
    case 6:
    case 7: return (uint8_t)(ch->bm_table >> (8 * (off - 4)));
    default: return 0;
    }
}

static uint64_t bm_read(void *dev, uint64_t off, unsigned size)
{
    struct ide *ide = dev;
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)bm_read_byte(&ide->ch[(off + i) / 8 & 1], (unsigned)(off + i) % 8) << (8 * i);
    return v;
}

static void bm_write_byte(struct ide_chan *ch, unsigned off, uint8_t val)
{
    switch (off) {
    case 0: bm_write_command(ch, val); break;
    case 2: /* Interrupt and Error are cleared by writing 1; the two capable bits are the driver's notes */
        ch->bm_status = (uint8_t)((ch->bm_status & ~(val & (BM_ERROR | BM_INTR)) & ~BM_CAPABLE) | (val & BM_CAPABLE));
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        ch->bm_table = (ch->bm_table & ~(0xffu << (8 * (off - 4)))) | (uint32_t)val << (8 * (off - 4));
        ch->bm_table &= ~3u;
        break;
    }
}

static void bm_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct ide *ide = dev;
    for (unsigned i = 0; i < size; i++)
        bm_write_byte(&ide->ch[(off + i) / 8 & 1], (unsigned)(off + i) % 8, (uint8_t)(val >> (8 * i)));
}

const struct io_ops ide_bm_ops = {.read = bm_read, .write = bm_write, .widths = IO_8 | IO_16 | IO_32};
