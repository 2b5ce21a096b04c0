/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ATAPI CD-ROM drive: the PACKET feature set (ATA/ATAPI-6 8.23, 9.8 to 9.10), that is how command packets, data and
 * status move over the task file. What the packets mean is in atapi_cmd.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "storage/ide_private.h"

bool atapi_has_medium(const struct ide_drive *d) { return d->blk && !d->tray_open && d->sectors > 0; }

void atapi_drive_reset(struct ide_drive *d)
{
    /* MMC-3 annex: error recovery with 3 tries; audio ports left to channel 1, right to channel 2, full volume. */
    static const uint8_t page01[6] = {0, 3, 0, 0, 0, 0};
    static const uint8_t page0e[14] = {0x04, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff, 0, 0, 0, 0};
    memcpy(d->page01, page01, sizeof page01);
    memcpy(d->page0e, page0e, sizeof page0e);
    d->ua_reset = true;
    d->ua_medium = false;
    d->locked = false;
    d->media_event = 0;
}

/* ---- the end of a packet command: interrupt reason C/D and I/O set, no DRQ (9.8.7) ---- */

void atapi_good(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    d->r.nsector[0] = IR_COD | IR_IO;
    if (ch->cdb[0] != 0x03)
        d->sense = (struct ide_sense){0, 0, 0};
    ide_end(ch, ST_READY, 0, true);
}

void atapi_check(struct ide_chan *ch, uint8_t key, uint8_t asc, uint8_t ascq)
{
    struct ide_drive *d = ide_selected(ch);
    d->sense = (struct ide_sense){key, asc, ascq};
    d->r.nsector[0] = IR_COD | IR_IO;
    ide_end(ch, ST_READY | ST_ERR, (uint8_t)(key << 4 | (key == 5 ? ER_ABRT : 0)), true);
}

/* ---- data-in by PIO ---- */

/* Offers as much of buf as the byte count limit allows; an odd limit holds for the last block only. */
static void atapi_burst(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    uint32_t n = ch->len - ch->pos;
    bool more = ch->left > 0;
    if (n > ch->bcl || (more && n == ch->bcl))
        n = ch->bcl & ~1u;
    ch->drq_end = ch->pos + n;
    d->r.lbam[0] = (uint8_t)n;
    d->r.lbah[0] = (uint8_t)(n >> 8);
    d->r.nsector[0] = IR_IO;
    ide_drq(ch, true);
}

static void atapi_fill(struct ide_chan *ch, void (*fn)(struct ide_chan *, int));

/* Turns the sectors that were read to the end of buf into what READ CD is to give, at its beginning. */
static void atapi_expand(struct ide_chan *ch)
{
    uint32_t from = IDE_BUF - ch->chunk * CD_SECTOR;
    if (ch->raw_size == CD_SECTOR && ch->raw_flags == 0x10) {
        memmove(ch->buf, ch->buf + from, ch->chunk * CD_SECTOR);
    } else {
        for (uint32_t i = 0; i < ch->chunk; i++) {
            uint8_t user[CD_SECTOR];
            memcpy(user, ch->buf + from + i * CD_SECTOR,
                   CD_SECTOR); /* the output of sector i ends before the input of i + 1 begins */
            cd_make_sector(ch->buf + i * ch->raw_size, user, (uint32_t)ch->lba + i, ch->raw_flags);
        }
    }
    ch->pos = 0;
    ch->len = ch->chunk * ch->raw_size;
    ch->lba += ch->chunk;
    ch->left -= ch->chunk;
}

/* An error of the host's file, or the medium went while it was read. True: the command is over. */
static bool atapi_read_failed(struct ide_chan *ch, int sys_errno)
{
    struct ide_drive *d = ide_selected(ch);
    if (ch->medium_seen != d->medium_changes) {
        d->ua_medium = false;
        atapi_check(ch, 6, 0x28, 0x00);
    } else if (sys_errno) {
        guest_error("ide", "ide%u:%u: reading at CD sector %llu failed on the host: %s", ch->index, d->unit,
                    (unsigned long long)ch->lba, strerror(sys_errno));
        atapi_check(ch, 3, 0x11, 0x00); /* MEDIUM ERROR, UNRECOVERED READ ERROR */
    } else {
        return false;
    }
    return true;
}

static void atapi_pio_filled(struct ide_chan *ch, int sys_errno)
{
    if (atapi_read_failed(ch, sys_errno))
        return;
    atapi_expand(ch);
    atapi_burst(ch);
}

static void atapi_fill(struct ide_chan *ch, void (*fn)(struct ide_chan *, int))
{
    struct ide_drive *d = ide_selected(ch);
    uint32_t max = IDE_BUF / (ch->raw_size > CD_SECTOR ? ch->raw_size : CD_SECTOR);
    if (!atapi_has_medium(d) || ch->medium_seen != d->medium_changes) {
        d->ua_medium = false;
        atapi_check(ch, 6, 0x28, 0x00);
        return;
    }
    ch->chunk = ch->left < max ? ch->left : max;
    ide_submit_buf(ch, BLK_READ, ch->lba * CD_SECTOR, IDE_BUF - ch->chunk * CD_SECTOR, ch->chunk * CD_SECTOR, fn);
}

/* ATA/ATAPI-6 8.23.5.3: a limit of 0 for a command that moves data is an error; FFFFh means FFFEh. */
static bool atapi_limit(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    ch->bcl = (uint32_t)d->r.lbah[0] << 8 | d->r.lbam[0];
    if (ch->bcl == 0xffff)
        ch->bcl = 0xfffe;
    if (ch->bcl >= 2)
        return true;
    guest_error("ide", "packet command %02x with a byte count limit of %u", ch->cdb[0], ch->bcl);
    d->r.nsector[0] = IR_COD | IR_IO;
    ide_end(ch, ST_READY | ST_ERR, ER_ABRT, true);
    return false;
}

void atapi_reply(struct ide_chan *ch, uint32_t have, uint32_t alloc)
{
    uint32_t n = have < alloc ? have : alloc;
    if (n == 0) {
        atapi_good(ch);
        return;
    }
    ch->left = 0;
    ch->pos = 0;
    ch->len = n;
    if (ch->pkt_dma) {
        ch->op = OP_PKT_DMA_REPLY;
        ide_dma_ready(ch);
    } else if (atapi_limit(ch)) {
        ch->op = OP_PKT_IN;
        ch->raw_size = CD_SECTOR;
        atapi_burst(ch);
    }
}

void atapi_read(struct ide_chan *ch, uint64_t lba, uint32_t n, uint32_t size, uint8_t raw_flags)
{
    struct ide_drive *d = ide_selected(ch);
    if (n == 0 || size == 0) {
        atapi_good(ch);
        return;
    }
    ch->lba = lba;
    ch->left = n;
    ch->raw_size = size;
    ch->raw_flags = raw_flags;
    ch->medium_seen = d->medium_changes;
    if (ch->pkt_dma) {
        ch->op = raw_flags == 0x10 ? OP_PKT_DMA_READ : OP_PKT_DMA_RAW;
        ide_dma_ready(ch);
    } else if (atapi_limit(ch)) {
        ch->op = OP_PKT_IN;
        atapi_fill(ch, atapi_pio_filled);
    }
}

/* ---- data-out ---- */

static void atapi_out_burst(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    uint32_t n = ch->out_len - ch->pos;
    if (n > ch->bcl)
        n = ch->bcl & ~1u;
    ch->drq_end = ch->pos + n;
    d->r.lbam[0] = (uint8_t)n;
    d->r.lbah[0] = (uint8_t)(n >> 8);
    d->r.nsector[0] = 0;
    ide_drq(ch, true);
}

void atapi_want(struct ide_chan *ch, uint32_t n)
{
    if (n == 0) {
        atapi_good(ch);
        return;
    }
    ch->out_len = n < IDE_BUF ? n : IDE_BUF;
    ch->pos = 0;
    if (ch->pkt_dma) {
        ch->op = OP_PKT_DMA_OUT;
        ide_dma_ready(ch);
    } else if (atapi_limit(ch)) {
        ch->op = OP_PKT_OUT;
        atapi_out_burst(ch);
    }
}

/* ---- DRQ blocks and DMA ---- */

void atapi_block_done(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    switch (ch->op) {
    case OP_PKT_CDB:
        memset(ch->cdb, 0, sizeof ch->cdb);
        memcpy(ch->cdb, ch->buf, 12);
        ch->op = OP_NONE;
        d->status = ST_READY;
        atapi_run_cdb(ch, d);
        break;
    case OP_PKT_IN:
        if (ch->pos < ch->len)
            atapi_burst(ch);
        else if (ch->left > 0)
            atapi_fill(ch, atapi_pio_filled);
        else
            atapi_good(ch);
        break;
    case OP_PKT_OUT:
        if (ch->pos < ch->out_len)
            atapi_out_burst(ch);
        else
            atapi_out_data(ch, d);
        break;
    default: /* answer of IDENTIFY PACKET DEVICE */ ide_end(ch, ST_READY, 0, false); break;
    }
}

static void atapi_dma_done(struct ide_chan *ch, int sys_errno)
{
    if (atapi_read_failed(ch, sys_errno))
        return;
    ch->lba += ch->chunk;
    ch->left -= ch->chunk;
    if (ch->left > 0) {
        ide_dma_ready(ch);
        return;
    }
    ide_dma_end(ch);
    atapi_good(ch);
}

static void atapi_raw_filled(struct ide_chan *ch, int sys_errno)
{
    if (atapi_read_failed(ch, sys_errno))
        return;
    atapi_expand(ch);
    if (ide_dma_copy(ch, ch->buf, ch->len, true) < ch->len) {
        ide_dma_short(ch);
    } else if (ch->left > 0) {
        ide_dma_ready(ch);
    } else {
        ide_dma_end(ch);
        atapi_good(ch);
    }
}

void atapi_dma_step(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    switch (ch->op) {
    case OP_PKT_DMA_REPLY:
        /* A host that asked for more than there is sees it from the bus master, which stays active. */
        ide_dma_copy(ch, ch->buf, ch->len, true);
        ide_dma_end(ch);
        atapi_good(ch);
        break;
    case OP_PKT_DMA_OUT:
        if (ide_dma_copy(ch, ch->buf, ch->out_len, false) < ch->out_len) {
            ide_dma_short(ch);
            break;
        }
        ide_dma_end(ch);
        atapi_out_data(ch, d);
        break;
    case OP_PKT_DMA_READ:
        if (!atapi_has_medium(d) || ch->medium_seen != d->medium_changes)
            atapi_read_failed(ch, EIO);
        else
            ide_dma_medium(ch, CD_SECTOR, false, atapi_dma_done);
        break;
    default:
        if (ch->left == 0) /* the table ended before the last sector; it is gone */
            atapi_check(ch, 0x0b, 0x4b, 0x00);
        else
            atapi_fill(ch, atapi_raw_filled);
        break;
    }
}

/* ---- ATA commands of a packet device ---- */

/* ATA/ATAPI-6 8.16 IDENTIFY PACKET DEVICE, table 26. */
static void atapi_identify(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *id = ch->buf;
    memset(id, 0, 512);
    unsigned mw = d->xfer_mode >> 3 == 4 ? 1u << (d->xfer_mode & 7) : 0,
             ud = d->xfer_mode >> 3 == 8 ? 1u << (d->xfer_mode & 7) : 0;
    st_le16(id, 0x85c0); /* packet device, CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    ide_string(id + 20, d->serial, 20);
    ide_string(id + 46, "00000001", 8);
    ide_string(id + 54, d->model, 40);
    st_le16(id + 2 * 48, 1);
    st_le16(id + 2 * 49, 0x0f00); /* DMA, LBA, IORDY */
    st_le16(id + 2 * 51, 0x0200);
    st_le16(id + 2 * 52, 0x0200);
    st_le16(id + 2 * 53, 6);
    st_le16(id + 2 * 63, (uint16_t)(0x07 | mw << 8));
    st_le16(id + 2 * 64, 3);
    for (unsigned w = 65; w <= 68; w++)
        st_le16(id + 2 * w, 120);
    st_le16(id + 2 * 80, 0x00f0);
    st_le16(id + 2 * 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
    st_le16(id + 2 * 83, 0x4000);
    st_le16(id + 2 * 84, 0x4000);
    st_le16(id + 2 * 85, 0x4210);
    st_le16(id + 2 * 87, 0x4000);
    st_le16(id + 2 * 88, (uint16_t)(0x07 | ud << 8));
    st_le16(id + 2 * 93, d->unit ? 0x6b00 : 0x600b);
    id[510] = 0xa5;
    uint8_t sum = 0;
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + id[i]);
    id[511] = (uint8_t)-sum;
}

static void atapi_set_features(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t mode = d->r.nsector[0];
    bool good = d->r.feature[0] == 0x66 || d->r.feature[0] == 0xcc;
    if (d->r.feature[0] == 0x03) {
        good = mode <= 1 || (mode >= 0x08 && mode <= 0x0c) || (mode >= 0x20 && mode <= 0x22) ||
               (mode >= 0x40 && mode <= 0x42);
        if (good)
            d->xfer_mode = mode <= 1 ? 0x0c : mode;
    }
    ide_end(ch, good ? ST_READY : ST_READY | ST_ERR, good ? 0 : ER_ABRT, true);
}

void atapi_command(struct ide_chan *ch, struct ide_drive *d, uint8_t cmd)
{
    switch (cmd) {
    case 0xa0: /* PACKET */
        ch->pkt_dma = d->r.feature[0] & 1;
        if (d->r.feature[0] & 2) { /* OVL: overlapped commands are not supported */
            ide_end(ch, ST_READY | ST_ERR, ER_ABRT, true);
            return;
        }
        ch->op = OP_PKT_CDB;
        ch->pos = 0;
        ch->len = ch->drq_end = 12;
        d->r.nsector[0] = IR_COD;
        ide_drq(ch, false); /* no interrupt before the packet: word 0 of IDENTIFY says so */
        return;
    case 0xa1: /* IDENTIFY PACKET DEVICE */
        atapi_identify(ch, d);
        ch->op = OP_PKT_IN;
        ch->pos = 0;
        ch->len = ch->drq_end = 512;
        ch->op = OP_REPLY;
        ide_drq(ch, true);
        return;
    case 0xec: /* IDENTIFY DEVICE, READ SECTOR(S): aborted with the signature (8.15.4, 8.27.4) */
    case 0x20:
        ide_set_signature(d);
        ide_end(ch, ST_READY | ST_ERR, ER_ABRT, true);
        return;
    case 0xe5:
    case 0x98: /* CHECK POWER MODE */ d->r.nsector[0] = 0xff; break;
    case 0xe0 ... 0xe3: /* STANDBY, IDLE and their immediate forms */
    case 0xe6:
    case 0x94 ... 0x97:
    case 0x99: break;
    case 0xef: atapi_set_features(ch, d); return;
    default: ide_end(ch, ST_READY | ST_ERR, ER_ABRT, true); return;
    }
    ide_end(ch, ST_READY, 0, true);
}
