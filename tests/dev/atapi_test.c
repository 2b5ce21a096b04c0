/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ATAPI CD-ROM drive. Expected values: ATA/ATAPI-6 (PACKET feature set), SPC-2, MMC-3, SFF-8020i, ECMA-130 for raw
 * sectors. */
#define _GNU_SOURCE
#include "tests/tap.h"
#include "tests/dev/idebox.h"

#include <unistd.h>

#include "storage/ide_private.h"

static struct idebox B;
static bool threaded;
static uint8_t data[1 << 20];
static uint32_t got; /* bytes of the last data phase */
static unsigned bursts;

static uint8_t inb(unsigned p) { return (uint8_t)fakevm_in(B.vm, (uint16_t)p, 1); }
static void outb(unsigned p, unsigned v) { fakevm_out(B.vm, (uint16_t)p, 1, v); }
static unsigned irqs(void) { return fakevm_irqs_rises(&B.irqs, 15); }

static uint8_t wait(void)
{
    for (int i = 0; threaded && i < 300000 && inb(0x376) & 0x80; i++) {
        usleep(200);
        fakevm_run_posts(B.vm);
    }
    return inb(0x376);
}

static bool protocol_ok; /* every phase looked as the standard says */

static void send_cdb(const uint8_t *cdb, unsigned limit, bool dma)
{
    uint8_t c[12] = {0};
    memcpy(c, cdb, 12);
    outb(0x176, 0xa0);
    outb(0x171, dma ? 1 : 0);
    outb(0x174, limit & 0xff);
    outb(0x175, limit >> 8);
    inb(0x177);
    irqs();
    outb(0x177, 0xa0);
    uint8_t st = wait();
    protocol_ok = (st & 0x88) == 0x08 && (inb(0x172) & 3) == 1 && irqs() == 0; /* C/D, no interrupt */
    fakevm_outs(B.vm, 0x170, 2, c, 6);
}

/* Runs a packet command by PIO; out: data for it. The status at the end. */
static uint8_t packet(const uint8_t *cdb, unsigned limit, const uint8_t *out)
{
    send_cdb(cdb, limit, false);
    got = 0;
    bursts = 0;
    for (;;) {
        uint8_t st = wait();
        protocol_ok = protocol_ok && irqs() == 1;
        st = inb(0x177);
        uint8_t ir = inb(0x172) & 3;
        if (!(st & 8)) {
            protocol_ok = protocol_ok && ir == 3;
            return st;
        }
        unsigned n = inb(0x174) | inb(0x175) << 8;
        protocol_ok = protocol_ok && ir == (out ? 0 : 2) && n > 0 && n <= (limit == 0xffff ? 0xfffeu : limit);
        bursts++;
        if (got + n > sizeof data) {
            protocol_ok = false;
            return st;
        }
        uint8_t pad[2];
        if (out)
            fakevm_outs(B.vm, 0x170, 2, out + got, (n + 1) / 2);
        else if (n & 1) {
            fakevm_ins(B.vm, 0x170, 2, data + got, n / 2);
            fakevm_ins(B.vm, 0x170, 2, pad, 1);
            data[got + n - 1] = pad[0];
        } else {
            fakevm_ins(B.vm, 0x170, 2, data + got, n / 2);
        }
        got += n;
    }
}

#define CDB(...) ((const uint8_t[12]){__VA_ARGS__})

static uint32_t sense(void)
{
    packet(CDB(0x03, 0, 0, 0, 18), 64, NULL);
    return (uint32_t)(data[2] & 15) << 16 | (uint32_t)data[12] << 8 | data[13];
}

static void good(const uint8_t *cdb, const char *name)
{
    uint8_t st = packet(cdb, 0xfffe, NULL);
    ok((st & 0x89) == 0 && protocol_ok, "%s", name);
}

static void fails(const uint8_t *cdb, uint32_t want, const char *name)
{
    uint8_t st = packet(cdb, 0xfffe, NULL), err = inb(0x171);
    uint32_t s = sense();
    if (!ok((st & 0x89) == 1 && err >> 4 == want >> 16 && s == want, "%s: %x/%02x/%02x", name, want >> 16,
            want >> 8 & 0xff, want & 0xff))
        printf("# status %02x, error %02x, sense %06x\n", st, err, s);
}

static void test_basics(void)
{
    uint16_t id[256];
    box_reset(&B);
    irqs();
    outb(0x176, 0xa0);
    outb(0x177, 0xec);
    ok(wait() == 0x51 && inb(0x171) == 4 && inb(0x174) == 0x14 && inb(0x175) == 0xeb,
       "IDENTIFY DEVICE is aborted, with the signature");
    outb(0x177, 0xa1);
    ok((wait() & 0x89) == 8, "IDENTIFY PACKET DEVICE");
    fakevm_ins(B.vm, 0x170, 2, id, 256);
    ok(id[0] == 0x85c0, "word 0: CD-ROM, removable, 12-byte packets, accelerated DRQ");
    ok(id[27] == ('V' << 8 | 'M') && id[28] == ('w' << 8 | 'a') && (id[49] & 0x300) == 0x300, "model, DMA and LBA");
    is_u64(inb(0x177) & 0x88, 0, "no DRQ at its end");
    fails(CDB(0x00), 0x062900, "the first command hears of the reset");
    good(CDB(0x00), "TEST UNIT READY then");
    is_u64(sense(), 0, "no sense");
    good(CDB(0x12, 0, 0, 0, 36), "INQUIRY");
    ok(got == 36 && data[0] == 5 && data[1] == 0x80 && data[4] == 31 &&
           memcmp(data + 8, "NECVMWarVMware IDE CDR101.00", 28) == 0,
       "its text");
    good(CDB(0x12, 0, 0, 0, 5), "INQUIRY of 5 bytes");
    ok(got == 5 && data[4] == 31, "an odd allocation length");
    good(CDB(0x25), "READ CAPACITY");
    ok(got == 8 && ld_be32(data) == 4095 && ld_be32(data + 4) == 2048, "4096 blocks of 2048");
    fails(CDB(0xf7), 0x052000, "an unknown command");
    fails(CDB(0x12, 1, 0xb0, 0, 36), 0x052400, "an unknown VPD page");
    outb(0x171, 0);
    outb(0x177, 0x08);
    ok(wait() == 0 && inb(0x174) == 0x14, "DEVICE RESET: signature");
    outb(0x177, 0xc8);
    ok(wait() == 0x51 && inb(0x171) == 4, "READ DMA is aborted");
    inb(0x177);
    uint8_t st = packet(CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, NULL);
    ok((st & 9) == 1 && inb(0x171) == 4, "a byte count limit of 0: aborted");
}

static void test_reading(void)
{
    box_reset(&B);
    for (uint64_t i = 0; i < B.cd.size; i += 8)
        st_le64(B.cd.data + i, i * 0x9e3779b97f4a7c15ull + i / 2048);
    packet(CDB(0x00), 0xfffe, NULL);
    good(CDB(0x28, 0, 0, 0, 0, 16, 0, 0, 1), "READ(10)");
    ok(got == 2048 && memcmp(data, B.cd.data + 16 * 2048, 2048) == 0 && bursts == 1, "one sector");
    uint8_t st = packet(CDB(0x28, 0, 0, 0, 0, 20, 0, 0, 4), 1024, NULL);
    ok((st & 9) == 0 && protocol_ok && got == 8192 && bursts == 8 && memcmp(data, B.cd.data + 20 * 2048, 8192) == 0,
       "a limit of 1024: eight bursts");
    st = packet(CDB(0x28, 0, 0, 0, 0, 20, 0, 0, 2), 1001, NULL);
    ok((st & 9) == 0 && protocol_ok && got == 4096 && bursts == 5 && memcmp(data, B.cd.data + 20 * 2048, 4096) == 0,
       "an odd limit is rounded down");
    st = packet(CDB(0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 100), 0xffff, NULL);
    ok((st & 9) == 0 && protocol_ok && got == 204800 && memcmp(data, B.cd.data + 256 * 2048, 204800) == 0,
       "READ(12) of 100");
    good(CDB(0x28, 0, 0, 0, 0, 16, 0, 0, 0), "a length of 0 is no error");
    is_u64(got, 0, "and moves nothing");
    fails(CDB(0x28, 0, 0, 0, 0x10, 0, 0, 0, 1), 0x052100, "behind the end");
    fails(CDB(0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff), 0x052100, "far behind the end");
    fails(CDB(0xa8, 0, 0, 0, 0x0f, 0xff, 0, 0, 0, 2), 0x052100, "the last one and the one after it");
    good(CDB(0x2b, 0, 0, 0, 0x0f, 0xff), "SEEK");
    good(CDB(0x2f, 0, 0, 0, 0, 0, 0, 0x10, 0), "VERIFY");
    B.cd.fail = EIO;
    fails(CDB(0x28, 0, 0, 0, 0, 16, 0, 0, 1), 0x031100, "an error of the host");
    B.cd.fail = 0;
    /* DMA. */
    uint8_t *ram = fakevm_ram(B.vm);
    st_le32(ram + 0x1000, 0x10000);
    st_le32(ram + 0x1004, 0x1234);
    st_le32(ram + 0x1008, 0x20000);
    st_le32(ram + 0x100c, (0x4000 - 0x1234) | 0x80000000u);
    uint64_t reads = B.cd.reads;
    fakevm_out(B.vm, BM_PORT + 8 + 4, 4, 0x1000);
    fakevm_out(B.vm, BM_PORT + 8 + 2, 1, 6);
    send_cdb(CDB(0x28, 0, 0, 0, 0, 32, 0, 0, 8), 0, true);
    outb(BM_PORT + 8, 9);
    ok((wait() & 0x89) == 0 && irqs() == 1 && (inb(0x172) & 3) == 3 && (inb(BM_PORT + 10) & 7) == 4, "READ(10) by DMA");
    ok(memcmp(ram + 0x10000, B.cd.data + 65536, 0x1234) == 0 &&
           memcmp(ram + 0x20000, B.cd.data + 65536 + 0x1234, 0x4000 - 0x1234) == 0 && B.cd.reads == reads + 1,
       "the data, in one request");
    outb(BM_PORT + 8, 0);
    st_le32(ram + 0x1004, 64 | 0x80000000u);
    fakevm_out(B.vm, BM_PORT + 8 + 2, 1, 6);
    send_cdb(CDB(0x12, 0, 0, 0, 36), 0, true);
    outb(BM_PORT + 8, 9);
    ok((wait() & 0x89) == 0 && memcmp(ram + 0x10000 + 8, "NECVMWar", 8) == 0 && (inb(BM_PORT + 10) & 7) == 5,
       "INQUIRY by DMA, table longer");
    outb(BM_PORT + 8, 0);
    st_le32(ram + 0x1004, 4704 | 0x80000000u);
    send_cdb(CDB(0xbe, 0, 0, 0, 0, 7, 0, 0, 2, 0xf8), 0, true);
    outb(BM_PORT + 8, 9);
    ok((wait() & 0x89) == 0 && memcmp(ram + 0x10000 + 2352 + 16, B.cd.data + 8 * 2048, 2048) == 0, "READ CD by DMA");
    outb(BM_PORT + 8, 0);
    inb(0x177);
}

/* Reed-Solomon check by the definition (ECMA-130 annex A): the sum of the words, and their sum weighted by powers of x,
 * are both zero. */
static uint8_t times_x(uint8_t v) { return (uint8_t)(v << 1 ^ (v >> 7) * 0x1d); }
static bool rs_ok(const uint8_t *s, const unsigned *at, unsigned n)
{
    uint8_t sum = 0, weighted = 0;
    for (unsigned i = 0; i < n; i++) {
        sum ^= s[at[i]];
        weighted = times_x(weighted) ^ s[at[i]];
    }
    return sum == 0 && weighted == 0;
}

static void test_read_cd(void)
{
    uint8_t *s = data;
    good(CDB(0xbe, 0, 0, 0, 0, 16, 0, 0, 1, 0x10), "READ CD, user data");
    ok(got == 2048 && memcmp(data, B.cd.data + 16 * 2048, 2048) == 0, "as READ(10)");
    good(CDB(0xbe, 0, 0, 0, 0x0f, 0xff, 0, 0, 1, 0xf8), "READ CD, everything");
    static const uint8_t sync[12] = {0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0};
    is_u64(got, 2352, "2352 bytes");
    /* LBA 4095 + 150 = 4245 frames = 00:56:45 */
    ok(memcmp(s, sync, 12) == 0 && s[12] == 0 && s[13] == 0x56 && s[14] == 0x45 && s[15] == 1,
       "sync and header in BCD, mode 1");
    ok(memcmp(s + 16, B.cd.data + 4095 * 2048, 2048) == 0, "user data");
    /* EDC: the polynomial (x^16+x^15+x^2+1)(x^16+x^2+x+1) divides the code word, bits in the order of the disc. */
    uint32_t poly = 0, p1 = 0x18005, p2 = 0x10007, crc = 0;
    uint64_t product = 0;
    for (int i = 0; i < 17; i++)
        if (p2 >> i & 1)
            product ^= (uint64_t)p1 << i;
    poly = (uint32_t)product;
    for (unsigned i = 0; i < 2068 * 8; i++) {
        uint32_t bit = s[i / 8] >> (i % 8) & 1, top = crc >> 31;
        crc = crc << 1 | bit;
        if (top)
            crc ^= poly;
    }
    is_u64(crc, 0, "EDC");
    bool fine = true;
    for (unsigned byte = 0; byte < 2; byte++) {
        unsigned at[45];
        for (unsigned col = 0; col < 43; col++) { /* P: words 43*m + n, m = 0..25 */
            for (unsigned m = 0; m < 26; m++)
                at[m] = 12 + 2 * (43 * m + col) + byte;
            fine = fine && rs_ok(s, at, 26);
        }
        for (unsigned q = 0; q < 26; q++) { /* Q: words (44*m + 43*n) mod 1118, then 43*26 + n and 44*26 + n */
            for (unsigned m = 0; m < 43; m++)
                at[m] = 12 + 2 * ((44 * m + 43 * q) % 1118) + byte;
            at[43] = 12 + 2 * (43 * 26 + q) + byte;
            at[44] = 12 + 2 * (44 * 26 + q) + byte;
            fine = fine && rs_ok(s, at, 45);
        }
    }
    ok(fine, "P and Q parity");
    good(CDB(0xbe, 0, 0, 0, 0, 0, 0, 0, 40, 0xf8), "40 raw sectors");
    ok(got == 40 * 2352 && memcmp(data + 39 * 2352 + 16, B.cd.data + 39 * 2048, 2048) == 0 &&
           data[39 * 2352 + 14] == 0x39,
       "the last of them");
    good(CDB(0xbe, 0, 0, 0, 0, 5, 0, 0, 1, 0x30), "header and user data");
    ok(got == 2052 && data[1] == 2 && data[2] == 5 && data[3] == 1 && memcmp(data + 4, B.cd.data + 5 * 2048, 2048) == 0,
       "2052 bytes");
    good(CDB(0xb9, 0, 0, 0, 2, 16, 0, 2, 18, 0x10), "READ CD MSF");
    ok(got == 4096 && memcmp(data, B.cd.data + 16 * 2048, 4096) == 0, "00:02:16 is sector 16");
    fails(CDB(0xbe, 0x04, 0, 0, 0, 5, 0, 0, 1, 0x10), 0x056400, "an audio sector is asked for");
    fails(CDB(0xbe, 0, 0, 0, 0, 5, 0, 0, 1, 0x10, 1), 0x052400, "sub-channel data is not there");
}

static void test_disc(void)
{
    static const uint8_t toc[] = {0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0x10, 0};
    static const uint8_t toc_msf[] = {0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14, 0xaa, 0, 0, 0, 56, 46};
    static const uint8_t session[] = {0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0};
    static const uint8_t full[] = {0,    46, 1,    1,  1,  0x14, 0,    0xa0, 0, 0, 0, 0,    1, 0,    0, 1,
                                   0x14, 0,  0xa1, 0,  0,  0,    0,    1,    0, 0, 1, 0x14, 0, 0xa2, 0, 0,
                                   0,    0,  0,    56, 46, 1,    0x14, 0,    1, 0, 0, 0,    0, 0,    2, 0};
    good(CDB(0x43, 0, 0, 0, 0, 0, 0, 0x01, 0), "READ TOC");
    ok(got == sizeof toc && memcmp(data, toc, got) == 0, "track 1 at 0, lead-out at 4096");
    good(CDB(0x43, 2, 0, 0, 0, 0, 0, 0x01, 0), "READ TOC, MSF");
    ok(got == sizeof toc_msf && memcmp(data, toc_msf, got) == 0, "track 1 at 00:02:00, lead-out at 00:56:46");
    good(CDB(0x43, 0, 0, 0, 0, 0, 0xaa, 0x01, 0), "READ TOC from AAh");
    ok(got == 12 && data[1] == 10 && data[6] == 0xaa, "the lead-out alone");
    good(CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 12), "READ TOC of 12 bytes");
    ok(got == 12 && data[1] == 18, "cut, but the length stays");
    fails(CDB(0x43, 0, 0, 0, 0, 0, 2, 0x01, 0), 0x052400, "READ TOC of a track 2");
    good(CDB(0x43, 0, 1, 0, 0, 0, 0, 0x01, 0), "READ TOC: sessions");
    ok(got == sizeof session && memcmp(data, session, got) == 0, "one session");
    good(CDB(0x43, 0, 0, 0, 0, 0, 0, 0x01, 0, 0x40), "the same by SFF-8020i's byte 9");
    ok(got == sizeof session && memcmp(data, session, got) == 0, "one session");
    good(CDB(0x43, 2, 2, 0, 0, 0, 1, 0x01, 0), "READ TOC: full");
    ok(got == sizeof full && memcmp(data, full, got) == 0, "A0, A1, A2, 1");
    fails(CDB(0x43, 0, 5, 0, 0, 0, 0, 0x01, 0), 0x052400, "no CD-TEXT");
    good(CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 64), "READ DISC INFORMATION");
    ok(got == 34 && data[1] == 32 && data[2] == 0x0e && data[3] == 1, "finished disc, one session");
    good(CDB(0x52, 1, 0, 0, 0, 1, 0, 0, 64), "READ TRACK INFORMATION");
    ok(got == 36 && data[2] == 1 && ld_be32(data + 24) == 4096, "track 1 of 4096");
    good(CDB(0x44, 0, 0, 0, 0, 9, 0, 0, 8), "READ HEADER");
    ok(got == 8 && data[0] == 1 && data[7] == 9, "mode 1, address");
    good(CDB(0x42, 0, 0x40, 1, 0, 0, 0, 0, 64), "READ SUB-CHANNEL");
    ok(got == 16 && data[1] == 0x15 && data[3] == 12, "no audio status");
    fails(CDB(0x45, 0, 0, 0, 0, 0, 0, 0, 1), 0x056400, "PLAY AUDIO of a data track");
    good(CDB(0x4e), "STOP PLAY");
    good(CDB(0x46, 0, 0, 0, 0, 0, 0, 1, 0), "GET CONFIGURATION");
    ok(ld_be16(data + 6) == 8 && ld_be32(data) == got - 4 && ld_be16(data + 8) == 0 && data[11] == 8,
       "current profile CD-ROM, profile list first");
    good(CDB(0x46, 2, 0, 0x1e, 0, 0, 0, 1, 0), "GET CONFIGURATION of CD read");
    ok(got == 16 && ld_be16(data + 8) == 0x1e && data[10] & 1, "that one alone, current");
    good(CDB(0x46, 2, 0x99, 0, 0, 0, 0, 1, 0), "of a feature that is not there");
    ok(got == 8 && ld_be32(data) == 4, "the header alone");
    good(CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), "MECHANISM STATUS");
    ok(got == 8 && data[1] == 0, "tray closed");
    good(CDB(0xbb, 0, 0xff, 0xff), "SET CD SPEED");
    fails(CDB(0xad, 0, 0, 0, 0, 0, 0, 0, 8, 0), 0x053002, "READ DVD STRUCTURE of a CD");
}

static void test_modes(void)
{
    good(CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128), "MODE SENSE(10) of the capabilities");
    ok(got == 28 && ld_be16(data) == 26 && data[2] == 1 && data[8] == 0x2a && data[9] == 18 && data[14] & 1 &&
           data[14] & 8 && data[14] >> 5 == 1,
       "lock, eject, tray");
    good(CDB(0x1a, 0, 0x2a, 0, 28), "MODE SENSE(6)");
    ok(got == 24 && data[0] == 23 && data[4] == 0x2a, "4-byte header");
    good(CDB(0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0), "all pages");
    ok(ld_be16(data) == got - 2 && got == 8 + 8 + 8 + 16 + 12 + 20, "their lengths");
    fails(CDB(0x5a, 0, 0x11, 0, 0, 0, 0, 1, 0), 0x052400, "a page that is not there");
    fails(CDB(0x5a, 0, 0xc1, 0, 0, 0, 0, 1, 0), 0x053900, "saved values");
    uint8_t out[16] = {0, 14, 0, 0, 0, 0, 0, 0, 0x01, 6, 0x20, 9, 0xff, 0xff, 0xff, 0xff};
    uint8_t st = packet(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 16), 0xfffe, out);
    ok((st & 9) == 0 && protocol_ok, "MODE SELECT of error recovery");
    good(CDB(0x5a, 0, 0x01, 0, 0, 0, 0, 0, 64), "read back");
    ok(got == 16 && data[10] == 0x20 && data[11] == 9 && data[12] == 0, "what can be changed is, the rest is not");
    st = packet(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 16), 6, out);
    ok((st & 9) == 0 && protocol_ok && bursts == 3, "the same in three bursts");
    good(CDB(0x5a, 0, 0x81, 0, 0, 0, 0, 0, 64), "default values");
    ok(data[10] == 0 && data[11] == 3, "3 retries");
    out[9] = 7;
    packet(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 16), 0xfffe, out);
    is_u64(sense(), 0x052600, "a wrong page length");
    packet(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 5), 0xfffe, out);
    is_u64(sense(), 0x051a00, "too short a list");
    fails(CDB(0x55, 0x00, 0, 0, 0, 0, 0, 0, 16), 0x052400, "MODE SELECT without PF");
}

static void gesn(uint8_t event, uint8_t status, const char *name)
{
    packet(CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0xfffe, NULL);
    if (!ok(got == 8 && data[2] == 4 && data[4] == event && data[5] == status, "%s: event %u, status %u", name, event,
            status))
        printf("# %02x %02x %02x\n", data[2], data[4], data[5]);
}

static void test_media(void)
{
    struct err e = {0};
    struct blk *old = NULL;
    struct memfile other = {0};
    struct ide_drive_status st;
    struct blk *dvd = mf_open(threaded ? B.vm : NULL, &other, 800ull << 20, "iso", true);
    memset(other.data, 0x42, 1 << 20);
    gesn(0, 2, "nothing happened");
    good(CDB(0x1e, 0, 0, 0, 1), "PREVENT MEDIUM REMOVAL");
    fails(CDB(0x1b, 0, 0, 0, 2), 0x055302, "eject while locked");
    ok(ide_cd_insert(B.ide, 1, 0, NULL, false, &old, &e) == -1 && e.kind == ERR_BUSY,
       "the host cannot take it either: %s", e.msg);
    gesn(1, 2, "but the guest hears of the wish");
    good(CDB(0x1e, 0, 0, 0, 0), "ALLOW MEDIUM REMOVAL");
    good(CDB(0x1b, 0, 0, 0, 2), "eject");
    ok(B.tray_calls == 1 && B.tray_state == 1, "the host hears of it");
    gesn(3, 1, "removal");
    fails(CDB(0x00), 0x023a02, "TEST UNIT READY with the tray open");
    fails(CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0x023a02, "READ with the tray open");
    ide_drive_get_status(B.ide, 1, 0, &st);
    ok(st.tray_open && !st.medium, "status for the user");
    good(CDB(0x1b, 0, 0, 0, 3), "load");
    gesn(2, 2, "new medium");
    fails(CDB(0x00), 0x062800, "the medium may have changed");
    good(CDB(0x00), "ready again");
    ok(ide_cd_insert(B.ide, 1, 0, dvd, false, &old, &e) == 0 && old == B.blk[2], "another disc");
    gesn(2, 2, "new medium");
    is_u64(sense(), 0x062800, "REQUEST SENSE tells the change as well");
    good(CDB(0x25), "READ CAPACITY");
    is_u64(ld_be32(data), 409599, "of the new one");
    good(CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8), "GET CONFIGURATION");
    is_u64(ld_be16(data + 6), 0x10, "current profile DVD-ROM");
    good(CDB(0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4), "READ DVD STRUCTURE");
    ok(got == 2052 && data[4] == 1 && (data[13] << 16 | data[14] << 8 | data[15]) == 0x30000 + 409599,
       "its last sector");
    good(CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 1), "READ");
    ok(data[0] == 0x42, "its data");
    ok(ide_cd_insert(B.ide, 1, 0, NULL, true, &old, &e) == 0 && old == dvd, "taken out");
    gesn(3, 0, "removal");
    fails(CDB(0x25), 0x023a01, "no medium, tray closed");
    ok(ide_cd_insert(B.ide, 0, 0, NULL, true, &old, &e) == -1 && strstr(e.msg, "ide0:0"), "a disk has no tray: %s",
       e.msg);
    /* In the middle of a transfer. */
    ide_cd_insert(B.ide, 1, 0, B.blk[2], true, &old, &e);
    packet(CDB(0x00), 0xfffe, NULL);
    send_cdb(CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 100), 2048, false);
    for (int i = 0; i < 10; i++) {
        wait();
        inb(0x177);
        fakevm_ins(B.vm, 0x170, 2, data, 1024);
    }
    ide_cd_insert(B.ide, 1, 0, dvd, true, &old, &e);
    uint8_t s = 0;
    for (int i = 0; i < 100 && !((s = wait()) & 1) && s & 8; i++)
        fakevm_ins(B.vm, 0x170, 2, data, 1024);
    ok(s & 1 && inb(0x171) >> 4 == 6, "a change in the middle of a READ ends it");
    ide_cd_insert(B.ide, 1, 0, B.blk[2], true, &old, &e);
    blk_close(dvd);
    free(other.data);
}

int main(void)
{
    for (int pass = 0; pass < 2; pass++) {
        threaded = pass == 1;
        memset(&B, 0, sizeof B);
        if (!ok(box_init(&B, threaded, 1 << 20, 0, 8 << 20), "made, %s", threaded ? "with I/O threads" : "synchronous"))
            return TAP_DONE();
        test_basics();
        test_reading();
        test_read_cd();
        test_disc();
        test_modes();
        test_media();
        box_fini(&B);
    }
    return TAP_DONE();
}
