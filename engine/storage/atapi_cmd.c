/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packet commands of the CD-ROM drive: SPC-2 for the general ones, MMC-3 (with SFF-8020i's older forms) for the
 * rest. */
#define _GNU_SOURCE
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "storage/ide_private.h"

enum { KEY_NOT_READY = 2, KEY_ILLEGAL = 5, KEY_ATTENTION = 6 };

static void st_be24(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)v;
}

/* Address on the disc as minute, second, frame: 75 frames a second, 150 frames of lead-in pause. */
static void st_msf(uint8_t *p, uint32_t lba)
{
    lba += 150;
    p[0] = (uint8_t)(lba / (75 * 60));
    p[1] = (uint8_t)(lba / 75 % 60);
    p[2] = (uint8_t)(lba % 75);
}

static void st_addr(uint8_t p[4], uint32_t lba, bool msf)
{
    if (!msf) {
        st_be32(p, lba);
        return;
    }
    p[0] = 0;
    st_msf(p + 1, lba);
}

static void bad_field(struct ide_chan *ch) { atapi_check(ch, KEY_ILLEGAL, 0x24, 0x00); }

/* More than an 80-minute CD can hold is a DVD. */
static bool is_dvd(const struct ide_drive *d) { return d->sectors > 80 * 60 * 75; }

/* ---- general ---- */

static void cmd_test_unit_ready(struct ide_chan *ch, struct ide_drive *d)
{
    (void)d;
    atapi_good(ch);
}

static void cmd_request_sense(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf, alloc = ch->cdb[4];
    /* SPC-2 7.20: nothing to report, but an attention is pending: it is reported here and done with. */
    if (d->sense.key == 0 && (d->ua_reset || d->ua_medium)) {
        d->sense =
            d->ua_reset ? (struct ide_sense){KEY_ATTENTION, 0x29, 0} : (struct ide_sense){KEY_ATTENTION, 0x28, 0};
        if (d->ua_reset)
            d->ua_reset = false;
        else
            d->ua_medium = false;
    }
    memset(b, 0, 18);
    b[0] = 0x70;
    b[2] = d->sense.key;
    b[7] = 10;
    b[12] = d->sense.asc;
    b[13] = d->sense.ascq;
    d->sense = (struct ide_sense){0, 0, 0};
    atapi_reply(ch, 18, alloc);
}

static void cmd_inquiry(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf;
    uint32_t alloc = ld_be16(ch->cdb + 3);
    if (ch->cdb[1] & 1) { /* vital product data */
        memset(b, 0, 8);
        b[0] = 5;
        b[1] = ch->cdb[2];
        if (ch->cdb[2] == 0x00) {
            b[3] = 2;
            b[5] = 0x80;
            atapi_reply(ch, 6, alloc);
        } else if (ch->cdb[2] == 0x80) {
            size_t n = strlen(d->serial);
            b[3] = (uint8_t)n;
            memcpy(b + 4, d->serial, n);
            atapi_reply(ch, (uint32_t)(4 + n), alloc);
        } else {
            bad_field(ch);
        }
        return;
    }
    if (ch->cdb[2] != 0) {
        bad_field(ch);
        return;
    }
    memset(b, ' ', 36);
    b[0] = 0x05; /* CD-ROM */
    b[1] = 0x80; /* removable */
    b[2] = 0x00;
    b[3] = 0x21; /* ATAPI */
    b[4] = 31;
    b[5] = b[6] = b[7] = 0;
    memcpy(b + 8, "NECVMWar", 8);
    memcpy(b + 16, d->product, strlen(d->product));
    memcpy(b + 32, "1.00", 4);
    atapi_reply(ch, 36, alloc);
}

static void cmd_start_stop(struct ide_chan *ch, struct ide_drive *d)
{
    bool load_eject = ch->cdb[4] & 2, start = ch->cdb[4] & 1;
    if (ch->cdb[4] & 0xf0 || !load_eject) { /* a power condition, or spin up and down: nothing to see */
        if (start && !(ch->cdb[4] & 0xf0) && !atapi_has_medium(d)) {
            atapi_check(ch, KEY_NOT_READY, 0x3a, d->tray_open ? 2 : 1);
            return;
        }
        atapi_good(ch);
        return;
    }
    if (!start && d->locked) {
        atapi_check(ch, KEY_ILLEGAL, 0x53, 0x02); /* MEDIUM REMOVAL PREVENTED */
        return;
    }
    bool open = !start, changed = open != d->tray_open;
    d->tray_open = open;
    if (changed) {
        struct ide *ide = ch->ide;
        d->medium_changes++;
        d->media_event = open ? (d->blk ? 3 : 0) : (d->blk ? 2 : 0);
        if (!open && d->blk)
            d->ua_medium = true;
        if (ide->params.tray)
            ide->params.tray(ide->params.tray_u, ch->index, d->unit, open);
    }
    atapi_good(ch);
}

static void cmd_prevent_allow(struct ide_chan *ch, struct ide_drive *d)
{
    d->locked = ch->cdb[4] & 1;
    atapi_good(ch);
}

/* ---- mode pages ---- */

static unsigned page_2a(const struct ide_drive *d, uint8_t *p)
{
    memset(p, 0, 20);
    p[0] = 0x2a;
    p[1] = 18;
    p[2] = 0x0b;                                  /* reads CD-R, CD-RW, DVD-ROM */
    p[4] = 0x70;                                  /* mode 2 form 1 and 2, multi-session */
    p[5] = 0x03;                                  /* CD-DA commands, accurate */
    p[6] = (uint8_t)(0x29 | (d->locked ? 2 : 0)); /* tray, can eject, can lock */
    st_be16(p + 8, 5645);                         /* 32 times 176.4 kB/s */
    st_be16(p + 10, 2);
    st_be16(p + 12, 512);
    st_be16(p + 14, 5645);
    return 20;
}

/* One page in the form asked for (0 current, 1 changeable, 2 default); 0: there is none of this number. */
static unsigned mode_page(const struct ide_drive *d, uint8_t code, unsigned form, uint8_t *p)
{
    static const uint8_t def01[6] = {0, 3, 0, 0, 0, 0}, mask01[6] = {0xff, 0xff, 0, 0, 0, 0};
    static const uint8_t def0e[14] = {0x04, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff, 0, 0, 0, 0};
    static const uint8_t mask0e[14] = {0x02, 0, 0, 0, 0, 0, 0x0f, 0xff, 0x0f, 0xff, 0, 0, 0, 0};
    switch (code) {
    case 0x01: /* read error recovery */
        p[0] = 0x01;
        p[1] = 6;
        memcpy(p + 2, form == 1 ? mask01 : form == 2 ? def01 : d->page01, 6);
        return 8;
    case 0x0d: /* CD device parameters: inactivity 4 s; 60 seconds a minute, 75 frames a second */
        memset(p, 0, 8);
        p[0] = 0x0d;
        p[1] = 6;
        if (form != 1) {
            p[3] = 0x05;
            p[5] = 60;
            p[7] = 75;
        }
        return 8;
    case 0x0e: /* CD audio control */
        p[0] = 0x0e;
        p[1] = 14;
        memcpy(p + 2, form == 1 ? mask0e : form == 2 ? def0e : d->page0e, 14);
        return 16;
    case 0x1a: /* power condition */
        memset(p, 0, 12);
        p[0] = 0x1a;
        p[1] = 10;
        return 12;
    case 0x2a:
        page_2a(d, p);
        if (form == 1)
            memset(p + 2, 0, 18);
        return 20;
    default: return 0;
    }
}

/* SFF-8020i table 50: what lies in the tray. */
static uint8_t medium_type(const struct ide_drive *d)
{
    return d->tray_open ? 0x71 : !atapi_has_medium(d) ? 0x70 : 0x01;
}

static void mode_sense(struct ide_chan *ch, struct ide_drive *d, unsigned header, uint32_t alloc)
{
    static const uint8_t all[] = {0x01, 0x0d, 0x0e, 0x1a, 0x2a};
    uint8_t *b = ch->buf, code = ch->cdb[2] & 0x3f;
    unsigned form = ch->cdb[2] >> 6, n = header;
    if (form == 3) {
        atapi_check(ch, KEY_ILLEGAL, 0x39, 0x00); /* SAVING PARAMETERS NOT SUPPORTED */
        return;
    }
    memset(b, 0, header);
    for (unsigned i = 0; i < sizeof all; i++)
        if (code == 0x3f || code == all[i])
            n += mode_page(d, all[i], form, b + n);
    if (n == header) {
        bad_field(ch);
        return;
    }
    if (header == 8) {
        st_be16(b, (uint16_t)(n - 2));
        b[2] = medium_type(d);
    } else {
        b[0] = (uint8_t)(n - 1);
        b[1] = medium_type(d);
    }
    atapi_reply(ch, n, alloc);
}

static void cmd_mode_sense6(struct ide_chan *ch, struct ide_drive *d) { mode_sense(ch, d, 4, ch->cdb[4]); }
static void cmd_mode_sense10(struct ide_chan *ch, struct ide_drive *d) { mode_sense(ch, d, 8, ld_be16(ch->cdb + 7)); }

static void cmd_mode_select(struct ide_chan *ch, struct ide_drive *d)
{
    uint32_t n = ch->cdb[0] == 0x15 ? ch->cdb[4] : ld_be16(ch->cdb + 7);
    (void)d;
    if (!(ch->cdb[1] & 0x10) || ch->cdb[1] & 1) /* PF must be set, SP must not */
        bad_field(ch);
    else
        atapi_want(ch, n);
}

/* The pages that MODE SELECT brought: all are checked before any of them counts. */
void atapi_out_data(struct ide_chan *ch, struct ide_drive *d)
{
    const uint8_t *b = ch->buf;
    uint32_t n = ch->out_len, at = ch->cdb[0] == 0x15 ? 4 : 8;
    uint32_t desc = n < at ? 0 : at == 4 ? b[3] : ld_be16(b + 6);
    if (n < at || desc > n - at) {
        atapi_check(ch, KEY_ILLEGAL, 0x1a, 0x00); /* PARAMETER LIST LENGTH ERROR */
        return;
    }
    at += desc;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = at; i < n;) {
            uint8_t mask[32], code = b[i] & 0x3f;
            unsigned len = mode_page(d, code, 1, mask);
            if (len == 0 || n - i < len || b[i + 1] != len - 2) {
                atapi_check(ch, KEY_ILLEGAL, n - i < 2 || n - i < len ? 0x1a : 0x26, 0x00);
                return;
            }
            uint8_t *cur = code == 0x01 ? d->page01 : code == 0x0e ? d->page0e : NULL;
            for (unsigned k = 2; pass == 1 && cur && k < len; k++)
                cur[k - 2] = (uint8_t)((cur[k - 2] & ~mask[k]) | (b[i + k] & mask[k]));
            i += len;
        }
    }
    atapi_good(ch);
}

/* ---- reading ---- */

static bool in_range(struct ide_chan *ch, const struct ide_drive *d, uint64_t lba, uint64_t n)
{
    if (lba < d->sectors ? n <= d->sectors - lba : n == 0 && lba == d->sectors)
        return true;
    atapi_check(ch, KEY_ILLEGAL, 0x21, 0x00); /* LOGICAL BLOCK ADDRESS OUT OF RANGE */
    return false;
}

static void cmd_read(struct ide_chan *ch, struct ide_drive *d)
{
    uint32_t lba = ld_be32(ch->cdb + 2), n = ch->cdb[0] == 0xa8 ? ld_be32(ch->cdb + 6) : ld_be16(ch->cdb + 7);
    if (in_range(ch, d, lba, n))
        atapi_read(ch, lba, n, CD_SECTOR, 0x10);
}

static void read_cd(struct ide_chan *ch, struct ide_drive *d, uint32_t lba, uint32_t n)
{
    uint8_t flags = ch->cdb[9] & 0xfe, type = ch->cdb[1] >> 2 & 7;
    if (ch->cdb[10] & 7 || (type != 0 && type != 2)) { /* no sub-channel data; only mode 1 sectors are on the disc */
        if (type != 0 && type != 2 && !(ch->cdb[10] & 7))
            atapi_check(ch, KEY_ILLEGAL, 0x64, 0x00); /* ILLEGAL MODE FOR THIS TRACK */
        else
            bad_field(ch);
        return;
    }
    if (!in_range(ch, d, lba, n))
        return;
    /* The two error flag bits add C2 pointers, which a drive that reads from a file never has. */
    if (flags & 0x06) {
        bad_field(ch);
        return;
    }
    atapi_read(ch, lba, n, cd_sector_size(flags), flags);
}

static void cmd_read_cd(struct ide_chan *ch, struct ide_drive *d)
{
    read_cd(ch, d, ld_be32(ch->cdb + 2), (uint32_t)ch->cdb[6] << 16 | ld_be16(ch->cdb + 7));
}

static bool from_msf(const uint8_t *p, uint32_t *lba)
{
    uint32_t f = (p[0] * 60u + p[1]) * 75u + p[2];
    if (p[1] >= 60 || p[2] >= 75 || f < 150)
        return false;
    *lba = f - 150;
    return true;
}

static void cmd_read_cd_msf(struct ide_chan *ch, struct ide_drive *d)
{
    uint32_t a, b;
    if (!from_msf(ch->cdb + 3, &a) || !from_msf(ch->cdb + 6, &b) || b < a)
        bad_field(ch);
    else
        read_cd(ch, d, a, b - a);
}

static void cmd_seek(struct ide_chan *ch, struct ide_drive *d)
{
    if (in_range(ch, d, ld_be32(ch->cdb + 2), 1))
        atapi_good(ch);
}

static void cmd_verify(struct ide_chan *ch, struct ide_drive *d)
{
    if (in_range(ch, d, ld_be32(ch->cdb + 2), ld_be16(ch->cdb + 7)))
        atapi_good(ch);
}

static void cmd_read_capacity(struct ide_chan *ch, struct ide_drive *d)
{
    uint64_t last = d->sectors - 1;
    st_be32(ch->buf, last > UINT32_MAX ? UINT32_MAX : (uint32_t)last);
    st_be32(ch->buf + 4, CD_SECTOR);
    atapi_reply(ch, 8, 8);
}

/* ---- what is on the disc: one session with one data track ---- */

static uint32_t leadout(const struct ide_drive *d)
{
    return d->sectors > UINT32_MAX ? UINT32_MAX : (uint32_t)d->sectors;
}

static void cmd_read_toc(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf, *p = b + 4, track = ch->cdb[6];
    uint8_t format = ch->cdb[2] & 15 ? ch->cdb[2] & 15 : ch->cdb[9] >> 6; /* SFF-8020i had the format in byte 9 */
    bool msf = ch->cdb[1] & 2;
    uint32_t alloc = ld_be16(ch->cdb + 7);
    memset(b, 0, 64);
    b[2] = b[3] = 1;
    switch (format) {
    case 0: /* the tracks from the given one on, and the lead-out as track AAh */
        if (track > 1 && track != 0xaa) {
            bad_field(ch);
            return;
        }
        if (track <= 1) {
            p[1] = 0x14; /* ADR 1: position; data track */
            p[2] = 1;
            st_addr(p + 4, 0, msf);
            p += 8;
        }
        p[1] = 0x14;
        p[2] = 0xaa;
        st_addr(p + 4, leadout(d), msf);
        p += 8;
        break;
    case 1: /* the first track of the last session */
        p[1] = 0x14;
        p[2] = 1;
        st_addr(p + 4, 0, msf);
        p += 8;
        break;
    case 2: /* the Q channel of the lead-in: always in MSF */
        for (unsigned i = 0; i < 4; i++, p += 11) {
            static const uint8_t point[] = {0xa0, 0xa1, 0xa2, 0x01};
            p[0] = 1; /* session */
            p[1] = 0x14;
            p[3] = point[i];
            if (i < 2)
                p[8] = 1; /* first, last track */
            else
                st_msf(p + 8, i == 2 ? leadout(d) : 0);
        }
        break;
    default: bad_field(ch); return;
    }
    st_be16(b, (uint16_t)(p - b - 2));
    atapi_reply(ch, (uint32_t)(p - b), alloc);
}

static void cmd_read_header(struct ide_chan *ch, struct ide_drive *d)
{
    uint32_t lba = ld_be32(ch->cdb + 2);
    if (!in_range(ch, d, lba, 1))
        return;
    memset(ch->buf, 0, 8);
    ch->buf[0] = 1; /* mode 1 */
    st_addr(ch->buf + 4, lba, ch->cdb[1] & 2);
    atapi_reply(ch, 8, ld_be16(ch->cdb + 7));
}

static void cmd_read_subchannel(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf, format = ch->cdb[3];
    uint32_t alloc = ld_be16(ch->cdb + 7), n = 4;
    (void)d;
    memset(b, 0, 32);
    b[1] = 0x15; /* no audio status */
    if (ch->cdb[2] & 0x40) {
        if (format == 1) {
            b[4] = 1;
            b[5] = 0x14;
            b[6] = b[7] = 1;
            st_addr(b + 8, 0, ch->cdb[1] & 2);
            st_addr(b + 12, 0, false);
            n = 16;
        } else if (format == 2 || format == 3) { /* catalogue number, ISRC: none */
            b[4] = format;
            n = 24;
        } else {
            bad_field(ch);
            return;
        }
    }
    st_be16(b + 2, (uint16_t)(n - 4));
    atapi_reply(ch, n, alloc);
}

static void cmd_read_disc_information(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf;
    (void)d;
    if (ch->cdb[1] & 7) {
        bad_field(ch);
        return;
    }
    memset(b, 0, 34);
    st_be16(b, 32);
    b[2] = 0x0e; /* last session complete, disc finished */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;             /* unrestricted use */
    memset(b + 16, 0xff, 8); /* no further session can be written */
    atapi_reply(ch, 34, ld_be16(ch->cdb + 7));
}

static void cmd_read_track_information(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf, by = ch->cdb[1] & 3;
    uint32_t what = ld_be32(ch->cdb + 2);
    if (by == 3 || (by == 0 && what >= d->sectors) || (by != 0 && what != 1)) {
        bad_field(ch);
        return;
    }
    memset(b, 0, 36);
    st_be16(b, 34);
    b[2] = b[3] = 1;
    b[5] = 0x04; /* data track */
    b[6] = 0x01; /* mode 1 */
    st_be32(b + 24, leadout(d));
    atapi_reply(ch, 36, ld_be16(ch->cdb + 7));
}

static void cmd_read_dvd_structure(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf, *p = b + 4;
    uint32_t alloc = ld_be16(ch->cdb + 8), n;
    if (!is_dvd(d)) {
        atapi_check(ch, KEY_ILLEGAL, 0x30, 0x02); /* CANNOT READ MEDIUM - INCOMPATIBLE FORMAT */
        return;
    }
    if (ch->cdb[6] != 0 && ch->cdb[7] != 0xff) { /* one layer */
        bad_field(ch);
        return;
    }
    memset(b, 0, 2052);
    switch (ch->cdb[7]) {
    case 0x00: /* physical format: DVD-ROM, 120 mm, one layer, sectors from 30000h on */
        p[0] = 0x01;
        p[1] = 0x0f;
        p[2] = 0x01;
        st_be24(p + 5, 0x30000);
        st_be24(p + 9, 0x30000 + leadout(d) - 1);
        n = 2052;
        break;
    case 0x01: /* no copyright protection */ n = 8; break;
    case 0x04: /* manufacturing information: none */ n = 2052; break;
    case 0xff: /* which structures there are */
        p[0] = 0x00;
        p[4] = 0x01;
        p[8] = 0x04;
        p[12] = 0xff;
        for (unsigned i = 0; i < 4; i++)
            p[4 * i + 1] = 0x40;
        st_be16(p + 2, 2052);
        st_be16(p + 6, 8);
        st_be16(p + 10, 2052);
        st_be16(p + 14, 20);
        n = 20;
        break;
    default: bad_field(ch); return;
    }
    st_be16(b, (uint16_t)(n - 2));
    atapi_reply(ch, n, alloc);
}

/* ---- what the drive can do, and what happened ---- */

struct feature {
    uint16_t code;
    uint8_t version, persistent, len;
    uint8_t data[12];
};

static uint32_t put_feature(uint8_t *p, const struct feature *f, bool current)
{
    st_be16(p, f->code);
    p[2] = (uint8_t)(f->version << 2 | f->persistent << 1 | current);
    p[3] = f->len;
    memcpy(p + 4, f->data, f->len);
    return 4u + f->len;
}

static void cmd_get_configuration(struct ide_chan *ch, struct ide_drive *d)
{
    bool medium = atapi_has_medium(d), dvd = medium && is_dvd(d), cd = medium && !dvd;
    const struct {
        struct feature f;
        bool current;
    } all[] = {
        {{0x0000, 0, 1, 8, {0x00, 0x10, dvd, 0, 0x00, 0x08, cd, 0}}, true}, /* profiles DVD-ROM, CD-ROM */
        {{0x0001, 1, 1, 8, {0, 0, 0, 2, 0, 0, 0, 0}}, true},                /* core: ATAPI */
        {{0x0002, 0, 1, 4, {0}}, true},                                     /* morphing: events by polling */
        {{0x0003, 0, 1, 4, {0x29, 0, 0, 0}}, true},                         /* removable medium: tray, eject, lock */
        {{0x0010, 0, 0, 8, {0, 0, 8, 0, 0, 1, 0, 0}}, medium},              /* random readable, 2048-byte blocks */
        {{0x001d, 0, 0, 0, {0}}, medium},                                   /* multi-read */
        {{0x001e, 1, 0, 4, {0}}, cd},                                       /* CD read */
        {{0x001f, 0, 0, 0, {0}}, dvd},                                      /* DVD read */
        {{0x0100, 0, 1, 0, {0}}, true},                                     /* power management */
        {{0x0105, 0, 1, 0, {0}}, true},                                     /* time-out */
    };
    uint8_t *b = ch->buf, rt = ch->cdb[1] & 3;
    uint16_t start = ld_be16(ch->cdb + 2);
    uint32_t n = 8;
    if (rt == 3) {
        bad_field(ch);
        return;
    }
    memset(b, 0, 8);
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        if (rt == 2 ? all[i].f.code == start : all[i].f.code >= start && (rt == 0 || all[i].current))
            n += put_feature(b + n, &all[i].f, all[i].current);
    st_be32(b, n - 4);
    st_be16(b + 6, dvd ? 0x10 : cd ? 0x08 : 0);
    atapi_reply(ch, n, ld_be16(ch->cdb + 7));
}

static void cmd_get_event_status(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf;
    if (!(ch->cdb[1] & 1)) { /* asynchronous operation is not supported */
        bad_field(ch);
        return;
    }
    memset(b, 0, 8);
    b[3] = 0x10; /* the class that can be asked for: media */
    if (!(ch->cdb[4] & 0x10)) {
        b[2] = 0x80; /* no event available */
        st_be16(b, 2);
        atapi_reply(ch, 4, ld_be16(ch->cdb + 7));
        return;
    }
    b[2] = 4;
    st_be16(b, 6);
    b[4] = d->media_event;
    b[5] = (uint8_t)((d->tray_open ? 1 : 0) | (atapi_has_medium(d) ? 2 : 0));
    d->media_event = 0;
    atapi_reply(ch, 8, ld_be16(ch->cdb + 7));
}

static void cmd_mechanism_status(struct ide_chan *ch, struct ide_drive *d)
{
    memset(ch->buf, 0, 8);
    ch->buf[1] = d->tray_open ? 0x10 : 0;
    ch->buf[5] = 0; /* not a changer */
    atapi_reply(ch, 8, ld_be16(ch->cdb + 8));
}

static void cmd_get_performance(struct ide_chan *ch, struct ide_drive *d)
{
    uint8_t *b = ch->buf;
    if (ch->cdb[10] != 0 || ld_be16(ch->cdb + 8) == 0) { /* type 0: nominal performance */
        if (ch->cdb[10] != 0)
            bad_field(ch);
        else
            atapi_reply(ch, 8, 0);
        return;
    }
    memset(b, 0, 24);
    st_be32(b, 20);
    st_be32(b + 12, 5645);
    st_be32(b + 16, leadout(d) ? leadout(d) - 1 : 0);
    st_be32(b + 20, 5645);
    atapi_reply(ch, 24, UINT32_MAX);
}

static void cmd_nothing(struct ide_chan *ch, struct ide_drive *d)
{
    (void)d;
    atapi_good(ch);
}

static void cmd_play(struct ide_chan *ch, struct ide_drive *d)
{
    (void)d;
    atapi_check(ch, KEY_ILLEGAL, 0x64, 0x00); /* ILLEGAL MODE FOR THIS TRACK: no audio on it */
}

static void cmd_pause(struct ide_chan *ch, struct ide_drive *d)
{
    (void)d;
    atapi_check(ch, KEY_ILLEGAL, 0x2c, 0x00); /* COMMAND SEQUENCE ERROR: nothing plays */
}

/* ---- dispatch ---- */

enum { MEDIUM = 1, NO_ATTENTION = 2 /* runs although a unit attention is pending (MMC-3 table 10) */ };

static const struct {
    uint8_t op, flags;
    void (*run)(struct ide_chan *, struct ide_drive *);
} commands[] = {
    {0x00, MEDIUM, cmd_test_unit_ready},
    {0x03, NO_ATTENTION, cmd_request_sense},
    {0x12, NO_ATTENTION, cmd_inquiry},
    {0x15, 0, cmd_mode_select},
    {0x1a, 0, cmd_mode_sense6},
    {0x1b, 0, cmd_start_stop},
    {0x1e, 0, cmd_prevent_allow},
    {0x25, MEDIUM, cmd_read_capacity},
    {0x28, MEDIUM, cmd_read},
    {0x2b, MEDIUM, cmd_seek},
    {0x2f, MEDIUM, cmd_verify},
    {0x42, MEDIUM, cmd_read_subchannel},
    {0x43, MEDIUM, cmd_read_toc},
    {0x44, MEDIUM, cmd_read_header},
    {0x45, MEDIUM, cmd_play},
    {0x46, NO_ATTENTION, cmd_get_configuration},
    {0x47, MEDIUM, cmd_play},
    {0x48, MEDIUM, cmd_play},
    {0x4a, NO_ATTENTION, cmd_get_event_status},
    {0x4b, MEDIUM, cmd_pause},
    {0x4e, MEDIUM, cmd_nothing}, /* STOP PLAY/SCAN */
    {0x51, MEDIUM, cmd_read_disc_information},
    {0x52, MEDIUM, cmd_read_track_information},
    {0x55, 0, cmd_mode_select},
    {0x5a, 0, cmd_mode_sense10},
    {0xa5, MEDIUM, cmd_play},
    {0xa8, MEDIUM, cmd_read},
    {0xac, 0, cmd_get_performance},
    {0xad, MEDIUM, cmd_read_dvd_structure},
    {0xb9, MEDIUM, cmd_read_cd_msf},
    {0xba, MEDIUM, cmd_play}, /* SCAN */
    {0xbb, 0, cmd_nothing},   /* SET CD SPEED */
    {0xbd, 0, cmd_mechanism_status},
    {0xbe, MEDIUM, cmd_read_cd},
};

void atapi_run_cdb(struct ide_chan *ch, struct ide_drive *d)
{
    unsigned i;
    for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (commands[i].op == ch->cdb[0])
            break;
    if (i == sizeof commands / sizeof commands[0]) {
        atapi_check(ch, KEY_ILLEGAL, 0x20, 0x00); /* INVALID COMMAND OPERATION CODE */
        return;
    }
    if (!(commands[i].flags & NO_ATTENTION) && (d->ua_reset || d->ua_medium)) {
        bool reset = d->ua_reset;
        if (reset)
            d->ua_reset = false;
        else
            d->ua_medium = false;
        atapi_check(ch, KEY_ATTENTION, reset ? 0x29 : 0x28, 0x00);
        return;
    }
    if (commands[i].flags & MEDIUM && !atapi_has_medium(d)) {
        atapi_check(ch, KEY_NOT_READY, 0x3a, d->tray_open ? 2 : 1); /* MEDIUM NOT PRESENT */
        return;
    }
    commands[i].run(ch, d);
}
