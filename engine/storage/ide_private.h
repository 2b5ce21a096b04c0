/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the IDE function: channels, drives, and what ide.c, ide_dma.c, ata_disk.c and atapi.c ask of each other. */
#ifndef LODGE_STORAGE_IDE_PRIVATE_H
#define LODGE_STORAGE_IDE_PRIVATE_H

#include "block/blk.h"
#include "pci/pci.h"
#include "storage/ide.h"

/* ATA/ATAPI-6: 7.15 Status, 7.9 Error, 7.8 Device Control, 7.10 Device, 9.7 Interrupt Reason. */
enum {
    ST_BSY = 0x80,
    ST_DRDY = 0x40,
    ST_DF = 0x20,
    ST_DSC = 0x10,
    ST_DRQ = 0x08,
    ST_ERR = 0x01,
    ST_READY = ST_DRDY | ST_DSC,
    ER_UNC = 0x40,
    ER_IDNF = 0x10,
    ER_ABRT = 0x04,
    DC_NIEN = 0x02,
    DC_SRST = 0x04,
    DC_HOB = 0x80,
    DEV_DEV = 0x10,
    DEV_LBA = 0x40,
    IR_COD = 0x01,
    IR_IO = 0x02,
};

/* Bus master IDE programming interface 1.0 (SFF-8038i), 2.0: command and status. */
enum { BM_START = 0x01, BM_READ = 0x08, BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INTR = 0x04, BM_CAPABLE = 0x60 };

#define IDE_BUF 65536u
#define IDE_MAX_MULT 64u /* sectors in a block of READ/WRITE MULTIPLE */
#define CD_SECTOR 2048u

struct ide_chan;

/* Registers of the command block; [0] what was written last, [1] before that (HOB = 1 reads it, LBA48 commands use it).
 */
struct ide_regs {
    uint8_t feature[2], nsector[2], lbal[2], lbam[2], lbah[2];
};

/* SCSI sense data as ATAPI needs it. */
struct ide_sense {
    uint8_t key, asc, ascq;
};

struct ide_drive {
    struct ide_chan *ch;
    unsigned unit;
    enum ide_kind kind;
    struct blk *blk;
    char model[41], serial[21], product[17];
    uint64_t sectors; /* disk: 512-byte; CD: 2048-byte */
    uint32_t def_cyls, def_heads, def_secs;

    struct ide_regs r;
    uint8_t status, error;
    bool intrq;
    /* disk */
    uint32_t heads, secs; /* INITIALIZE DEVICE PARAMETERS; secs 0: refused geometry */
    uint8_t mult;         /* SET MULTIPLE MODE; 0: not set */
    uint8_t xfer_mode;    /* SET FEATURES 03h */
    uint8_t power;        /* CHECK POWER MODE's answer */
    bool write_cache, look_ahead, geometry_ok;
    /* CD */
    struct ide_sense sense;
    bool ua_reset, ua_medium; /* unit attentions that the guest has not been told yet */
    bool tray_open, locked;
    uint8_t media_event;           /* GET EVENT STATUS NOTIFICATION: 0 none, 1 eject request, 2 new, 3 removal */
    uint8_t page01[6], page0e[14]; /* changeable mode pages, without their two-byte headers */
    uint32_t medium_changes;       /* counts, to notice a change in the middle of a command */
    uint64_t n_reads, n_writes;
    bool full_reported; /* that the host's disk is full */
};

/* What the current command does next. Saved, so: numbers are for ever. */
enum ide_op {
    OP_NONE = 0,
    OP_READ = 1,  /* PIO data-in from the medium */
    OP_WRITE = 2, /* PIO data-out to the medium */
    OP_REPLY = 3, /* PIO data-in of what is in buf: IDENTIFY, READ BUFFER */
    OP_WRITE_BUFFER = 4,
    OP_DSM = 5, /* DATA SET MANAGEMENT: DMA data-out of ranges */
    OP_DMA_READ = 6,
    OP_DMA_WRITE = 7,
    OP_PKT_CDB = 8,
    OP_PKT_IN = 9,   /* packet data-in by PIO: buf, then more sectors */
    OP_PKT_OUT = 10, /* packet data-out by PIO */
    OP_PKT_DMA_REPLY = 11,
    OP_PKT_DMA_READ = 12, /* sectors of 2048 bytes, straight to guest memory */
    OP_PKT_DMA_RAW = 13,  /* sectors of other sizes, through buf */
    OP_PKT_DMA_OUT = 14,
    OP_COUNT
};

struct bm_cursor {
    uint32_t table; /* address of the next PRD */
    uint32_t addr, left;
    uint32_t n; /* PRDs read */
    bool last;  /* addr/left come from the last one */
};

struct ide_chan {
    struct ide *ide;
    unsigned index;
    struct irq_line irq;
    struct ide_drive drive[2];
    struct port_range cmd_range, ctl_range;
    uint8_t device; /* Device register: both drives get it */
    uint8_t devctl;
    bool irq_level; /* as the interrupt controller sees it */
    bool in_srst;

    uint8_t op; /* enum ide_op */
    uint8_t cmd;
    bool ext, fua, flush_after;
    uint64_t lba;               /* next unit (512 or 2048 bytes) */
    uint32_t left;              /* units still to move between medium and buf or guest memory */
    uint32_t chunk;             /* units of the request in flight */
    uint32_t block;             /* bytes of a DRQ block */
    uint32_t pos, drq_end, len; /* in buf: next byte, end of this DRQ block, end of valid data */
    /* packet commands */
    uint8_t cdb[16];
    bool pkt_dma;
    uint32_t bcl;      /* byte count limit */
    uint32_t out_len;  /* data-out: bytes that the command takes */
    uint32_t raw_size; /* bytes of a sector as READ CD gives it */
    uint8_t raw_flags;
    uint32_t medium_seen;

    /* bus master */
    uint8_t bm_cmd, bm_status;
    uint32_t bm_table;
    struct bm_cursor cur;
    bool bm_pinned;

    /* the one request in flight */
    bool in_flight, abandon;
    uint8_t depth; /* requests that end inside of their own submission */
    struct blk_req req;
    void (*on_done)(struct ide_chan *ch, int sys_errno);
    void (*bounce_done)(struct ide_chan *ch, int sys_errno);
    struct iovec iov[BLK_IOV_MAX];
    uint8_t buf[IDE_BUF] __attribute__((aligned(64)));
};

struct ide {
    struct pci_dev pci; /* first member */
    struct ide_chan ch[2];
    struct ide_params params;
};

static inline struct ide_drive *ide_selected(struct ide_chan *ch) { return &ch->drive[ch->device & DEV_DEV ? 1 : 0]; }

/* ---- ide.c ---- */
void ide_update_irq(struct ide_chan *ch);
void ide_raise(struct ide_drive *d);                                        /* INTRQ of the drive */
void ide_end(struct ide_chan *ch, uint8_t status, uint8_t error, bool irq); /* the command is over */
void ide_set_signature(struct ide_drive *d);
/* Reads or writes ch->buf: n bytes at pos, from byte offset off of the medium; then fn. */
void ide_submit_buf(struct ide_chan *ch, enum blk_op op, uint64_t off, uint32_t pos, uint32_t n,
                    void (*fn)(struct ide_chan *, int));
/* ch->req and ch->iov are set up by the caller. */
void ide_submit(struct ide_chan *ch, enum blk_op op, uint64_t off, uint64_t len, int n_iov,
                void (*fn)(struct ide_chan *, int));
void ide_busy(struct ide_chan *ch); /* BSY while the medium works */
/* Offers the DRQ block [pos, drq_end) to the host. */
void ide_drq(struct ide_chan *ch, bool irq);
void ide_string(uint8_t *p, const char *s, unsigned n); /* ATA strings: byte pairs swapped, padded with spaces */

/* ---- ide_dma.c ---- */
extern const struct io_ops ide_bm_ops;
/* The drive is ready for DMA: begins now, or when the guest starts the bus master. */
void ide_dma_ready(struct ide_chan *ch);
void ide_dma_kick(struct ide_chan *ch);
/* Moves n bytes between buf and guest memory along the PRD table; gives how many there was room for. */
uint32_t ide_dma_copy(struct ide_chan *ch, uint8_t *buf, uint32_t n, bool to_guest);
/* Up to max bytes (a multiple of unit) of guest memory into ch->iov; 0: nothing there, -1: memory that cannot be
 * pinned. */
int64_t ide_dma_pin(struct ide_chan *ch, uint64_t max, uint32_t unit, bool to_guest, int *n_iov);
void ide_dma_unpin(struct ide_chan *ch, bool wrote);
void ide_dma_end(struct ide_chan *ch);   /* after the last byte: bus master inactive if the table is used up */
void ide_dma_short(struct ide_chan *ch); /* the table was too short: the drive keeps waiting */
void ide_dma_medium(struct ide_chan *ch, uint32_t unit, bool write,
                    void (*fn)(struct ide_chan *, int)); /* next piece of ch->lba, ch->left */

/* ---- ata_disk.c ---- */
void ata_command(struct ide_chan *ch, struct ide_drive *d, uint8_t cmd);
void ata_block_done(struct ide_chan *ch); /* the host has moved the DRQ block */
void ata_dma_step(struct ide_chan *ch);

/* ---- atapi.c, atapi_cmd.c ---- */
void atapi_command(struct ide_chan *ch, struct ide_drive *d, uint8_t cmd);
void atapi_block_done(struct ide_chan *ch);
void atapi_dma_step(struct ide_chan *ch);
void atapi_drive_reset(struct ide_drive *d);
void atapi_run_cdb(struct ide_chan *ch, struct ide_drive *d);  /* ch->cdb is there */
void atapi_out_data(struct ide_chan *ch, struct ide_drive *d); /* out_len bytes are in buf */
void atapi_good(struct ide_chan *ch);
void atapi_check(struct ide_chan *ch, uint8_t key, uint8_t asc, uint8_t ascq);
void atapi_reply(struct ide_chan *ch, uint32_t have,
                 uint32_t alloc);                 /* data in buf; have bytes, the guest wants alloc */
void atapi_want(struct ide_chan *ch, uint32_t n); /* data-out */
void atapi_read(struct ide_chan *ch, uint64_t lba, uint32_t n, uint32_t size, uint8_t raw_flags);
bool atapi_has_medium(const struct ide_drive *d);
void cd_make_sector(uint8_t *out, const uint8_t *user, uint32_t lba,
                    uint8_t flags); /* READ CD's main channel, MMC-3 6.1.15 */
uint32_t cd_sector_size(uint8_t flags);

#endif
