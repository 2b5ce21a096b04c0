/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA hard disk: the commands of ATA/ATAPI-6 (T13/1410D) chapter 8 and, from ACS, DATA SET MANAGEMENT. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "storage/ide_private.h"

#define SECTOR 512u

static void ata_ok(struct ide_chan *ch) { ide_end(ch, ST_READY, 0, true); }
static void ata_fail(struct ide_chan *ch, uint8_t error) { ide_end(ch, ST_READY | ST_ERR, error, true); }

/* ---- addresses ---- */

static uint32_t ata_count(const struct ide_chan *ch, const struct ide_drive *d)
{
    if (!ch->ext)
        return d->r.nsector[0] ? d->r.nsector[0] : 256;
    uint32_t n = (uint32_t)d->r.nsector[1] << 8 | d->r.nsector[0];
    return n ? n : 65536;
}

/* The first sector of the command; false: an address that the drive does not have. */
static bool ata_address(const struct ide_chan *ch, const struct ide_drive *d, uint64_t *lba)
{
    const struct ide_regs *r = &d->r;
    uint32_t low = (uint32_t)r->lbah[0] << 16 | (uint32_t)r->lbam[0] << 8 | r->lbal[0];
    if (ch->ext) {
        *lba = (uint64_t)r->lbah[1] << 40 | (uint64_t)r->lbam[1] << 32 | (uint64_t)r->lbal[1] << 24 | low;
    } else if (ch->device & DEV_LBA) {
        *lba = (uint64_t)(ch->device & 15) << 24 | low;
    } else {
        uint32_t cyl = low >> 8, head = ch->device & 15, sec = r->lbal[0];
        if (!d->geometry_ok || sec < 1 || sec > d->secs || head >= d->heads)
            return false;
        *lba = ((uint64_t)cyl * d->heads + head) * d->secs + sec - 1;
    }
    return *lba < d->sectors;
}

/* Puts an address into the registers: of the last sector moved, or of the bad one. */
static void ata_set_address(struct ide_chan *ch, struct ide_drive *d, uint64_t lba)
{
    struct ide_regs *r = &d->r;
    if (ch->ext) {
        for (int i = 0; i < 2; i++) {
            uint64_t part = i ? lba >> 24 : lba;
            r->lbal[i] = (uint8_t)part;
            r->lbam[i] = (uint8_t)(part >> 8);
            r->lbah[i] = (uint8_t)(part >> 16);
        }
    } else if (ch->device & DEV_LBA) {
        r->lbal[0] = (uint8_t)lba;
        r->lbam[0] = (uint8_t)(lba >> 8);
        r->lbah[0] = (uint8_t)(lba >> 16);
        ch->device = (uint8_t)((ch->device & 0xf0) | (lba >> 24 & 15));
    } else if (d->heads && d->secs) {
        uint64_t cyl = lba / (d->heads * d->secs);
        r->lbal[0] = (uint8_t)(lba % d->secs + 1);
        r->lbam[0] = (uint8_t)cyl;
        r->lbah[0] = (uint8_t)(cyl >> 8);
        ch->device = (uint8_t)((ch->device & 0xf0) | (lba / d->secs % d->heads));
    }
}

static void ata_media_ok(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    if (ch->lba > 0)
        ata_set_address(ch, d, ch->lba - 1);
    d->r.nsector[0] = d->r.nsector[1] = 0;
    ata_ok(ch);
}

/* ATA/ATAPI-6 8.27.6 and others: the registers tell the first sector in error. */
static void ata_media_error(struct ide_chan *ch, uint64_t lba, uint8_t error)
{
    ata_set_address(ch, ide_selected(ch), lba);
    ata_fail(ch, error);
}

static void ata_host_error(struct ide_chan *ch, bool write, int sys_errno)
{
    struct ide_drive *d = ide_selected(ch);
    /* A full disk is for the user to mend; once is enough until a write has worked again. */
    if (write && (sys_errno == ENOSPC || sys_errno == EDQUOT)) {
        if (!d->full_reported)
            log_msg(LOG_ERROR, "ide",
                    "ide%u:%u: the guest's writes fail, because the host's disk is full: make room there", ch->index,
                    d->unit);
        d->full_reported = true;
    } else {
        guest_error("ide", "ide%u:%u: %s at sector %llu failed on the host: %s", ch->index, d->unit,
                    write ? "writing" : "reading", (unsigned long long)ch->lba, strerror(sys_errno));
    }
    ata_media_error(ch, ch->lba, write ? ER_ABRT : ER_UNC);
}

/* Checks address and count of a media command and fills ch->lba, ch->left. False: the command is over. */
static bool ata_begin(struct ide_chan *ch, struct ide_drive *d)
{
    uint32_t n = ata_count(ch, d);
    if (!ata_address(ch, d, &ch->lba)) {
        ata_fail(ch, ER_IDNF);
        return false;
    }
    if (n > d->sectors - ch->lba) {
        ata_media_error(ch, d->sectors, ER_IDNF);
        return false;
    }
    ch->left = n;
    return true;
}

/* ---- PIO ---- */

static void ata_next_block(struct ide_chan *ch)
{
    ch->drq_end = ch->pos + ch->block < ch->len ? ch->pos + ch->block : ch->len;
    ide_drq(ch, true);
}

static void ata_read_done(struct ide_chan *ch, int sys_errno)
{
    if (sys_errno) {
        ata_host_error(ch, false, sys_errno);
        return;
    }
    ch->lba += ch->chunk;
    ch->left -= ch->chunk;
    ch->pos = 0;
    ch->len = ch->chunk * SECTOR;
    ata_next_block(ch);
}

static void ata_read_more(struct ide_chan *ch)
{
    uint32_t max = IDE_BUF / ch->block * (ch->block / SECTOR);
    ch->chunk = ch->left < max ? ch->left : max;
    ide_submit_buf(ch, BLK_READ, ch->lba * SECTOR, 0, ch->chunk * SECTOR, ata_read_done);
}

/* Room for as many blocks as fit; the host is asked for them one by one, and the medium gets them together. */
static void ata_write_more(struct ide_chan *ch, bool irq)
{
    uint32_t max = IDE_BUF / ch->block * (ch->block / SECTOR);
    ch->chunk = ch->left < max ? ch->left : max;
    ch->pos = 0;
    ch->len = ch->chunk * SECTOR;
    ch->drq_end = ch->block < ch->len ? ch->block : ch->len;
    ide_drq(ch, irq);
}

static void ata_flush_done(struct ide_chan *ch, int sys_errno)
{
    if (sys_errno)
        ata_host_error(ch, true, sys_errno);
    else
        ata_media_ok(ch);
}

/* Everything is written. Without the write cache, and for FUA, it must be on the host's disk before the guest hears of
 * it. */
static void ata_write_end(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    d->full_reported = false;
    if (ch->fua || !d->write_cache)
        ide_submit(ch, BLK_FLUSH, 0, 0, 0, ata_flush_done);
    else
        ata_media_ok(ch);
}

static void ata_write_done(struct ide_chan *ch, int sys_errno)
{
    if (sys_errno) {
        ata_host_error(ch, true, sys_errno);
        return;
    }
    ch->lba += ch->chunk;
    ch->left -= ch->chunk;
    if (ch->left > 0)
        ata_write_more(ch, true);
    else
        ata_write_end(ch);
}

void ata_block_done(struct ide_chan *ch)
{
    struct ide_drive *d = ide_selected(ch);
    switch (ch->op) {
    case OP_READ:
        if (ch->pos < ch->len)
            ata_next_block(ch);
        else if (ch->left > 0)
            ata_read_more(ch);
        else { /* the last block of a PIO data-in command is followed by no interrupt (ATA/ATAPI-6 9.5) */
            if (ch->lba > 0)
                ata_set_address(ch, d, ch->lba - 1);
            d->r.nsector[0] = d->r.nsector[1] = 0;
            ide_end(ch, ST_READY, 0, false);
        }
        break;
    case OP_REPLY: ide_end(ch, ST_READY, 0, false); break;
    case OP_WRITE:
        if (ch->pos < ch->len)
            ata_next_block(ch);
        else
            ide_submit_buf(ch, BLK_WRITE, ch->lba * SECTOR, 0, ch->chunk * SECTOR, ata_write_done);
        break;
    case OP_WRITE_BUFFER: /* the buffer's contents are not kept: READ BUFFER may return anything after other commands */
    default: ata_ok(ch); break;
    }
}

static void ata_pio(struct ide_chan *ch, struct ide_drive *d, bool write, bool multiple)
{
    if (multiple && d->mult == 0) {
        ata_fail(ch, ER_ABRT);
        return;
    }
    if (!ata_begin(ch, d))
        return;
    ch->block = (multiple ? d->mult : 1u) * SECTOR;
    ch->op = write ? OP_WRITE : OP_READ;
    if (write)
        ata_write_more(ch, false); /* the first block is asked for without an interrupt (9.6) */
    else
        ata_read_more(ch);
}

/* ---- DMA ---- */

static void ata_dma_done(struct ide_chan *ch, int sys_errno)
{
    bool write = ch->op == OP_DMA_WRITE;
    if (sys_errno) {
        ata_host_error(ch, write, sys_errno);
        return;
    }
    ch->lba += ch->chunk;
    ch->left -= ch->chunk;
    if (ch->left > 0) {
        ide_dma_ready(ch);
        return;
    }
    ide_dma_end(ch);
    if (write)
        ata_write_end(ch);
    else
        ata_media_ok(ch);
}

static void ata_dma(struct ide_chan *ch, struct ide_drive *d, bool write)
{
    if (!ata_begin(ch, d))
        return;
    ch->op = write ? OP_DMA_WRITE : OP_DMA_READ;
    ide_dma_ready(ch);
}

/* ---- DATA SET MANAGEMENT: ACS-2 7.10; blocks of 64 ranges, each 48 bits of LBA and 16 of length ---- */

static void ata_trim_done(struct ide_chan *ch, int sys_errno)
{
    if (sys_errno) {
        ata_host_error(ch, true, sys_errno);
        return;
    }
    struct ide_drive *d = ide_selected(ch);
    while (ch->pos < ch->len) {
        uint64_t range = ld_le64(ch->buf + ch->pos);
        uint64_t lba = range & 0xffffffffffffull, n = range >> 48;
        ch->pos += 8;
        if (n == 0)
            continue;
        if (lba >= d->sectors || n > d->sectors - lba) {
            ata_fail(ch, ER_ABRT);
            return;
        }
        ch->lba = lba;
        ide_submit(ch, BLK_DISCARD, lba * SECTOR, n * SECTOR, 0, ata_trim_done);
        return;
    }
    if (ch->left > 0)
        ide_dma_ready(ch);
    else {
        ide_dma_end(ch);
        ata_ok(ch);
    }
}

static void ata_trim_step(struct ide_chan *ch)
{
    uint32_t n = ch->left < IDE_BUF / SECTOR ? ch->left : IDE_BUF / SECTOR;
    uint32_t got = ide_dma_copy(ch, ch->buf, n * SECTOR, false);
    if (got < n * SECTOR) {
        ide_dma_short(ch);
        return;
    }
    ch->left -= n;
    ch->pos = 0;
    ch->len = n * SECTOR;
    ata_trim_done(ch, 0);
}

void ata_dma_step(struct ide_chan *ch)
{
    if (ch->op == OP_DSM)
        ata_trim_step(ch);
    else
        ide_dma_medium(ch, SECTOR, ch->op == OP_DMA_WRITE, ata_dma_done);
}

/* ---- IDENTIFY DEVICE: ATA/ATAPI-6 8.15 table 25 ---- */

static void set(uint8_t *id, unsigned word, unsigned val) { st_le16(id + 2 * word, (uint16_t)val); }
static void set32(uint8_t *id, unsigned word, uint64_t val) { st_le32(id + 2 * word, (uint32_t)val); }

static void ata_identify(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *id = ch->buf;
    memset(id, 0, SECTOR);
    uint64_t chs = (uint64_t)d->def_cyls * d->def_heads * d->def_secs;
    uint64_t lba28 = d->sectors > 0x0fffffff ? 0x0fffffff : d->sectors;
    set(id, 0, 0x0040); /* fixed, not removable */
    set(id, 1, d->def_cyls);
    set(id, 3, d->def_heads);
    set(id, 4, d->def_secs * SECTOR);
    set(id, 5, SECTOR);
    set(id, 6, d->def_secs);
    ide_string(id + 20, d->serial, 20);
    set(id, 20, 3);
    set(id, 21, 64); /* buffer of 32 KiB */
    ide_string(id + 46, "00000001", 8);
    ide_string(id + 54, d->model, 40);
    set(id, 47, 0x8000 | IDE_MAX_MULT);
    set(id, 48, 1);      /* 32-bit data port */
    set(id, 49, 0x0f00); /* DMA, LBA, IORDY and its disabling */
    set(id, 50, 0x4000);
    set(id, 51, 0x0200);
    set(id, 52, 0x0200);
    set(id, 53, 7); /* words 54-58, 64-70 and 88 are valid */
    if (d->geometry_ok && d->heads && d->secs) {
        uint64_t cyls = d->sectors / (d->heads * d->secs);
        if (cyls > 65535)
            cyls = 65535;
        if (d->heads == d->def_heads && d->secs == d->def_secs)
            cyls = d->def_cyls;
        set(id, 54, (unsigned)cyls);
        set(id, 55, d->heads);
        set(id, 56, d->secs);
        set32(id, 57, cyls * d->heads * d->secs);
    } else {
        set32(id, 57, chs);
    }
    if (d->mult)
        set(id, 59, 0x100u | d->mult);
    set32(id, 60, lba28);
    unsigned mw = d->xfer_mode >> 3 == 4 ? 1u << (d->xfer_mode & 7) : 0,
             ud = d->xfer_mode >> 3 == 8 ? 1u << (d->xfer_mode & 7) : 0;
    set(id, 63, 0x07 | mw << 8);
    set(id, 64, 3); /* PIO 3 and 4 */
    for (unsigned w = 65; w <= 68; w++)
        set(id, w, 120);
    set(id, 69, 0x4000); /* a TRIMmed sector reads the same each time */
    set(id, 80, 0x00f0); /* ATA/ATAPI-4 to 7: from ATA8 on, word 48 means something else */
    set(id, 82, 0x7060); /* NOP, READ/WRITE BUFFER, look-ahead, write cache */
    set(id, 83, 0x7400); /* FLUSH CACHE and EXT, 48-bit */
    set(id, 84, 0x4040); /* WRITE DMA FUA EXT */
    set(id, 85, 0x7000u | (d->write_cache ? 0x20u : 0) | (d->look_ahead ? 0x40u : 0));
    set(id, 86, 0x3400);
    set(id, 87, 0x4040);
    set(id, 88, 0x07 | ud << 8);            /* the PIIX4 can do Ultra DMA 0 to 2 */
    set(id, 93, d->unit ? 0x6b00 : 0x600b); /* reset result; 80-conductor cable */
    set32(id, 100, d->sectors);
    st_le32(id + 2 * 102, (uint32_t)(d->sectors >> 32));
    set(id, 105, 8); /* blocks of ranges in one DATA SET MANAGEMENT */
    set(id, 169, 1); /* TRIM */
    id[510] = 0xa5;
    uint8_t sum = 0;
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + id[i]);
    id[511] = (uint8_t)-sum;
}

static void ata_reply(struct ide_chan *ch)
{
    ch->op = OP_REPLY;
    ch->pos = 0;
    ch->len = ch->drq_end = SECTOR;
    ide_drq(ch, true);
}

/* ---- settings ---- */

/* ATA/ATAPI-6 8.46.11: the transfer mode is in the Sector Count register. */
static bool ata_set_transfer_mode(struct ide_drive *d, uint8_t mode)
{
    if (mode <= 1)
        d->xfer_mode = 0x0c;
    else if ((mode >= 0x08 && mode <= 0x0c) || (mode >= 0x20 && mode <= 0x22) || (mode >= 0x40 && mode <= 0x42))
        d->xfer_mode = mode;
    else
        return false;
    return true;
}

static void ata_set_features(struct ide_chan *ch, struct ide_drive *d)
{
    switch (d->r.feature[0]) {
    case 0x02: d->write_cache = true; break;
    case 0x82: { /* what the cache holds must get to the medium now */
        d->write_cache = false;
        ch->lba = 0;
        ide_submit(ch, BLK_FLUSH, 0, 0, 0, ata_flush_done);
        return;
    }
    case 0x03:
        if (!ata_set_transfer_mode(d, d->r.nsector[0])) {
            ata_fail(ch, ER_ABRT);
            return;
        }
        break;
    case 0xaa: d->look_ahead = true; break;
    case 0x55: d->look_ahead = false; break;
    case 0x66: /* keep, or give up, settings at a software reset: we always keep them */
    case 0xcc: break;
    default: ata_fail(ch, ER_ABRT); return;
    }
    ata_ok(ch);
}

static void ata_read_native_max(struct ide_chan *ch, struct ide_drive *d)
{
    uint64_t max = d->sectors - 1;
    if (!ch->ext && !(ch->device & DEV_LBA)) {
        ata_fail(ch, ER_ABRT);
        return;
    }
    if (!ch->ext && max > 0x0fffffff)
        max = 0x0fffffff;
    ata_set_address(ch, d, max);
    ata_ok(ch);
}

static void ata_verify(struct ide_chan *ch, struct ide_drive *d)
{
    if (!ata_begin(ch, d))
        return;
    ch->lba += ch->left;
    ata_media_ok(ch);
}

static void ata_set_multiple(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t n = d->r.nsector[0];
    if (n > IDE_MAX_MULT || n & (n - 1)) {
        ata_fail(ch, ER_ABRT);
        return;
    }
    d->mult = n;
    ata_ok(ch);
}

/* ATA/ATAPI-6 annex: CHS translation as the host wants it; IDENTIFY words 54-58 follow. */
static void ata_init_params(struct ide_chan *ch, struct ide_drive *d)
{
    d->heads = (ch->device & 15u) + 1;
    d->secs = d->r.nsector[0];
    d->geometry_ok = d->secs > 0;
    if (d->geometry_ok)
        ata_ok(ch);
    else
        ata_fail(ch, ER_ABRT);
}

static void ata_power(struct ide_chan *ch, struct ide_drive *d, uint8_t cmd)
{
    switch (cmd) {
    case 0x94:
    case 0xe0: /* STANDBY IMMEDIATE */
    case 0x96:
    case 0xe2: /* STANDBY */
    case 0x99:
    case 0xe6: /* SLEEP */
        d->power = 0x00;
        ch->lba = 0;
        /* A drive that spins down has written its cache. */
        ide_submit(ch, BLK_FLUSH, 0, 0, 0, ata_flush_done);
        return;
    case 0x98:
    case 0xe5: /* CHECK POWER MODE */ d->r.nsector[0] = d->power; break;
    default: /* IDLE, IDLE IMMEDIATE */ d->power = 0xff;
    }
    ata_ok(ch);
}

/* ---- commands ---- */

void ata_command(struct ide_chan *ch, struct ide_drive *d, uint8_t cmd)
{
    ch->ext = ch->fua = false;
    bool media = (cmd >= 0x20 && cmd <= 0x42) || (cmd >= 0xc4 && cmd <= 0xce);
    if (media && d->power != 0xff && cmd != 0xc6)
        d->power = 0xff; /* spins up */
    switch (cmd) {
    case 0x10 ... 0x1f: /* RECALIBRATE */
    case 0x70 ... 0x7f: /* SEEK */ ata_ok(ch); break;
    case 0x24: /* READ SECTORS EXT */ ch->ext = true; /* fall through */
    case 0x20:
    case 0x21: ata_pio(ch, d, false, false); break;
    case 0x29: /* READ MULTIPLE EXT */ ch->ext = true; /* fall through */
    case 0xc4: ata_pio(ch, d, false, true); break;
    case 0x34: /* WRITE SECTORS EXT */ ch->ext = true; /* fall through */
    case 0x30:
    case 0x31:
    case 0x3c: /* WRITE VERIFY */ ata_pio(ch, d, true, false); break;
    case 0xce: /* WRITE MULTIPLE FUA EXT */ ch->fua = true; /* fall through */
    case 0x39: /* WRITE MULTIPLE EXT */ ch->ext = true;     /* fall through */
    case 0xc5: ata_pio(ch, d, true, true); break;
    case 0x25: /* READ DMA EXT */ ch->ext = true; /* fall through */
    case 0xc8:
    case 0xc9: ata_dma(ch, d, false); break;
    case 0x3d: /* WRITE DMA FUA EXT */ ch->fua = true; /* fall through */
    case 0x35: /* WRITE DMA EXT */ ch->ext = true;     /* fall through */
    case 0xca:
    case 0xcb: ata_dma(ch, d, true); break;
    case 0x42: /* READ VERIFY SECTORS EXT */ ch->ext = true; /* fall through */
    case 0x40:
    case 0x41: ata_verify(ch, d); break;
    case 0x06: /* DATA SET MANAGEMENT */
        ch->ext = true;
        if (d->r.feature[0] != 1) {
            ata_fail(ch, ER_ABRT);
            break;
        }
        ch->left = ata_count(ch, d);
        ch->op = OP_DSM;
        ide_dma_ready(ch);
        break;
    case 0x27: /* READ NATIVE MAX ADDRESS EXT */ ch->ext = true; /* fall through */
    case 0xf8: ata_read_native_max(ch, d); break;
    case 0x91: ata_init_params(ch, d); break;
    case 0x94 ... 0x99:
    case 0xe0 ... 0xe3:
    case 0xe5:
    case 0xe6: ata_power(ch, d, cmd); break;
    case 0xc6: ata_set_multiple(ch, d); break;
    case 0xe4: /* READ BUFFER */
        memset(ch->buf, 0, SECTOR);
        ata_reply(ch);
        break;
    case 0xe8: /* WRITE BUFFER */
        ch->op = OP_WRITE_BUFFER;
        ch->pos = 0;
        ch->len = ch->drq_end = SECTOR;
        ide_drq(ch, false);
        break;
    case 0xe7:
    case 0xea: /* FLUSH CACHE, EXT */
        ch->lba = 0;
        ide_submit(ch, BLK_FLUSH, 0, 0, 0, ata_flush_done);
        break;
    case 0xec:
        ata_identify(ch, d);
        ata_reply(ch);
        break;
    case 0xef: ata_set_features(ch, d); break;
    default: /* also A0h and A1h, by which drivers tell disks from packet devices; B0h, since SMART is not supported */
        ata_fail(ch, ER_ABRT);
        break;
    }
}
