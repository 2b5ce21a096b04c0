/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA disks through the ports of the PIIX4 IDE function. Expected values: ATA/ATAPI-6 (T13/1410D), SFF-8038i, 82371AB
 * data sheet. */
#define _GNU_SOURCE
#include "tests/tap.h"
#include "tests/dev/idebox.h"

#include <unistd.h>

static struct idebox B;
static bool threaded;

static uint8_t inb(unsigned p) { return (uint8_t)fakevm_in(B.vm, (uint16_t)p, 1); }
static uint16_t inw(unsigned p) { return (uint16_t)fakevm_in(B.vm, (uint16_t)p, 2); }
static void outb(unsigned p, unsigned v) { fakevm_out(B.vm, (uint16_t)p, 1, v); }
static void outl(unsigned p, uint32_t v) { fakevm_out(B.vm, (uint16_t)p, 4, v); }
static unsigned irqs(void) { return fakevm_irqs_rises(&B.irqs, 14); }

/* Until BSY is clear, by Alternate Status. */
static uint8_t wait(void)
{
    for (int i = 0; threaded && i < 300000 && inb(0x3f6) & 0x80; i++) {
        usleep(200);
        fakevm_run_posts(B.vm);
    }
    return inb(0x3f6);
}

static void regs28(unsigned dev, uint32_t lba, unsigned count)
{
    outb(0x1f6, 0xe0 | dev << 4 | lba >> 24);
    outb(0x1f2, count);
    outb(0x1f3, lba & 0xff);
    outb(0x1f4, lba >> 8 & 0xff);
    outb(0x1f5, lba >> 16 & 0xff);
}
static void regs48(uint64_t lba, unsigned count)
{
    outb(0x1f6, 0x40);
    outb(0x1f2, count >> 8);
    outb(0x1f2, count & 0xff);
    outb(0x1f3, lba >> 24 & 0xff);
    outb(0x1f4, lba >> 32 & 0xff);
    outb(0x1f5, lba >> 40 & 0xff);
    outb(0x1f3, lba & 0xff);
    outb(0x1f4, lba >> 8 & 0xff);
    outb(0x1f5, lba >> 16 & 0xff);
}
static void regs_chs(unsigned c, unsigned h, unsigned s, unsigned count)
{
    outb(0x1f6, 0xa0 | h);
    outb(0x1f2, count);
    outb(0x1f3, s);
    outb(0x1f4, c & 0xff);
    outb(0x1f5, c >> 8);
}
static uint8_t command(unsigned cmd)
{
    outb(0x1f7, cmd);
    return wait();
}

static void fill(struct memfile *m)
{
    for (uint64_t i = 0; i < m->size; i += 4)
        st_le32(m->data + i, (uint32_t)(i / 512) * 2654435761u + (uint32_t)i);
}

static void test_reset(void)
{
    box_reset(&B);
    ok(inb(0x1f2) == 1 && inb(0x1f3) == 1 && inb(0x1f4) == 0 && inb(0x1f5) == 0 && inb(0x1f1) == 1,
       "device 0: signature of an ATA disk");
    is_u64(inb(0x1f7), 0x50, "DRDY and DSC");
    outb(0x1f6, 0x10);
    is_u64(inb(0x1f7), 0x50, "device 1 is there as well");
    outb(0x376, 0);
    outb(0x176, 0);
    is_u64(inb(0x177), 0, "packet device: DRDY clear after reset");
    ok(inb(0x174) == 0x14 && inb(0x175) == 0xeb && inb(0x172) == 1 && inb(0x173) == 1, "signature of a packet device");
    outb(0x176, 0x10);
    is_u64(inb(0x177), 0, "device 1 is missing: device 0 answers with status 0");
    outb(0x172, 0x55);
    outb(0x173, 0xaa);
    ok(inb(0x172) == 0x55 && inb(0x173) == 0xaa, "and with its own other registers");
    outb(0x177, 0xec);
    is_u64(inb(0x177), 0, "a command to the missing device is nothing");
    /* SRST */
    outb(0x1f6, 0xf0);
    outb(0x1f4, 0x77);
    outb(0x3f6, 4);
    is_u64(inb(0x3f6), 0x80, "SRST set: BSY");
    outb(0x3f6, 0);
    ok(inb(0x1f4) == 0 && inb(0x1f2) == 1 && inb(0x1f6) == 0 && inb(0x1f7) == 0x50,
       "SRST clear: signature, device 0 selected");
    irqs();
    outb(0x1f6, 0x10);
    outb(0x1f7, 0x90);
    ok(inb(0x1f6) == 0 && inb(0x1f1) == 1 && irqs() == 1, "EXECUTE DEVICE DIAGNOSTIC: code 01, device 0, interrupt");
    /* Decoding is off until the firmware turns it on. */
    fake_pci_write((struct pci_dev *)B.ide, 0x41, 0);
    is_u64(inb(0x1f7), 0xff, "IDETIM bit 15 clear: the ports are not decoded");
    fake_pci_write((struct pci_dev *)B.ide, 0x41, 0x80);
}

static void string(const uint16_t *id, int first, int words, char *out)
{
    for (int i = 0; i < words; i++) {
        out[2 * i] = (char)(id[first + i] >> 8);
        out[2 * i + 1] = (char)id[first + i];
    }
    out[2 * words] = 0;
}

static void test_identify(void)
{
    uint16_t id[256];
    char s[64];
    box_reset(&B);
    irqs();
    outb(0x1f6, 0xa0);
    outb(0x1f7, 0xec);
    is_u64(wait(), 0x58, "IDENTIFY DEVICE: DRQ");
    is_u64(irqs(), 1, "one interrupt");
    ok(fakevm_irqs_level(&B.irqs, 14), "INTRQ stays while only Alternate Status is read");
    inb(0x1f7);
    ok(!fakevm_irqs_level(&B.irqs, 14), "reading Status clears INTRQ");
    fakevm_ins(B.vm, 0x1f0, 2, id, 256);
    ok(inb(0x1f7) == 0x50 && irqs() == 0, "no DRQ and no interrupt after the last word");
    string(id, 27, 20, s);
    ok(strcmp(s, "VMware Virtual IDE Hard Drive           ") == 0, "model");
    string(id, 10, 10, s);
    ok(strcmp(s, "00000000000000000001") == 0, "serial number");
    string(id, 23, 4, s);
    ok(strcmp(s, "00000001") == 0, "firmware revision");
    ok(id[0] == 0x40 && id[1] == 8 && id[3] == 16 && id[6] == 63, "default geometry 8/16/63");
    ok(id[60] == 8192 && id[61] == 0 && id[100] == 8192 && id[101] == 0, "8192 sectors, 28 and 48 bits");
    ok((id[49] & 0x300) == 0x300 && (id[83] & 0xc400) == 0x4400 && (id[53] & 7) == 7, "LBA, DMA, 48-bit, valid words");
    ok(id[47] == 0x8040 && id[59] == 0, "multiple: at most 64, not set");
    ok(!(id[82] & 1) && id[63] == 7 && id[88] == 7, "no SMART; MWDMA 0-2, UDMA 0-2, none chosen");
    uint8_t sum = 0, *b = (uint8_t *)id;
    for (int i = 0; i < 512; i++)
        sum = (uint8_t)(sum + b[i]);
    ok(b[510] == 0xa5 && sum == 0, "checksum");
    outb(0x1f1, 3);
    outb(0x1f2, 0x42);
    ok(command(0xef) == 0x50, "SET FEATURES: Ultra DMA 2");
    outb(0x1f1, 3);
    outb(0x1f2, 0x45);
    ok(command(0xef) == 0x51 && inb(0x1f1) == 4, "Ultra DMA 5 is more than a PIIX4 can do");
    outb(0x1f2, 16);
    ok(command(0xc6) == 0x50, "SET MULTIPLE MODE 16");
    outb(0x1f2, 3);
    ok(command(0xc6) == 0x51, "SET MULTIPLE MODE 3 is refused");
    outb(0x1f6, 0xa3);
    outb(0x1f2, 17);
    ok(command(0x91) == 0x50, "INITIALIZE DEVICE PARAMETERS 4 heads, 17 sectors");
    command(0xec);
    fakevm_ins(B.vm, 0x1f0, 4, id, 128);
    ok(id[88] == 0x0407 && id[59] == 0x110, "IDENTIFY tells the modes");
    ok(id[54] == 120 && id[55] == 4 && id[56] == 17 && id[57] == 8160 && id[58] == 0 && id[1] == 8,
       "and the current geometry");
    outb(0x1f6, 0xb0);
    command(0xec);
    fakevm_ins(B.vm, 0x1f0, 2, id, 256);
    string(id, 10, 10, s);
    ok(strcmp(s, "01000000000000000001") == 0 && id[60] == 2048, "the second disk has its own");
    outb(0x3f6, 2);
    inb(0x1f7);
    irqs();
    outb(0x1f6, 0xa0);
    command(0xec);
    is_u64(irqs(), 0, "nIEN: no interrupt");
    outb(0x3f6, 0);
    is_u64(irqs(), 1, "the pending one comes when nIEN is cleared");
    fakevm_ins(B.vm, 0x1f0, 2, id, 256);
}

static void test_pio(void)
{
    static uint8_t buf[300 * 512];
    box_reset(&B);
    fill(&B.disk);
    irqs();
    unsigned n = 0;
    regs28(0, 100, 3);
    ok(command(0x20) == 0x58, "READ SECTORS");
    for (int i = 0; i < 3; i++) {
        ok(wait() == 0x58, "block %d: DRQ", i);
        inb(0x1f7);
        n += irqs();
        for (int k = 0; k < 256; k++)
            st_le16(buf + i * 512 + k * 2, inw(0x1f0));
    }
    ok(n == 3 && irqs() == 0 && inb(0x1f7) == 0x50, "an interrupt for each of three blocks, none at the end");
    ok(memcmp(buf, B.disk.data + 51200, 1536) == 0, "the data");
    ok(inb(0x1f3) == 102 && inb(0x1f2) == 0, "the registers tell the last sector");
    uint64_t reads = B.disk.reads;
    regs28(0, 0, 0);
    command(0x21);
    for (int i = 0; i < 256; i++) {
        wait();
        fakevm_ins(B.vm, 0x1f0, i & 1 ? 2 : 4, buf + i * 512, i & 1 ? 256 : 128);
    }
    ok(memcmp(buf, B.disk.data, 256 * 512) == 0 && inb(0x1f7) == 0x50,
       "a count of 0 means 256 sectors; 32-bit data port");
    ok(B.disk.reads - reads <= 2, "in two requests to the host");
    regs_chs(1, 2, 3, 1);
    command(0x20);
    fakevm_ins(B.vm, 0x1f0, 2, buf, 256);
    ok(memcmp(buf, B.disk.data + ((1 * 16 + 2) * 63 + 2) * 512, 512) == 0, "CHS 1/2/3");
    regs_chs(0, 0, 0, 1);
    ok(command(0x20) == 0x51 && inb(0x1f1) == 0x10, "sector 0 of CHS: IDNF");
    regs_chs(0, 0, 64, 1);
    ok(command(0x20) == 0x51 && inb(0x1f1) == 0x10, "sector 64: IDNF");
    outb(0x1f6, 0xa3);
    outb(0x1f2, 17);
    command(0x91);
    regs_chs(2, 3, 17, 1);
    command(0x20);
    fakevm_ins(B.vm, 0x1f0, 2, buf, 256);
    ok(memcmp(buf, B.disk.data + ((2 * 4 + 3) * 17 + 16) * 512, 512) == 0, "CHS in the geometry that was set");
    regs48(8190, 2);
    command(0x24);
    for (int i = 0; i < 2; i++) {
        wait();
        fakevm_ins(B.vm, 0x1f0, 2, buf + i * 512, 256);
    }
    ok(memcmp(buf, B.disk.data + 8190 * 512, 1024) == 0, "READ SECTORS EXT of the last two");
    regs48(0x123456789abc, 0x1234);
    outb(0x3f6, 0x80);
    ok(inb(0x1f2) == 0x12 && inb(0x1f3) == 0x56 && inb(0x1f4) == 0x34 && inb(0x1f5) == 0x12, "HOB: the earlier values");
    outb(0x1f2, 1);
    is_u64(inb(0x1f2), 1, "a write to the block clears HOB");
    regs48(8191, 2);
    ok(command(0x24) == 0x51 && inb(0x1f1) == 0x10, "behind the end: IDNF");
    regs28(0, 8192, 1);
    ok(command(0x20) == 0x51 && inb(0x1f1) == 0x10, "LBA28 behind the end: IDNF");
    /* Writing. */
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 7 + i / 512);
    irqs();
    regs28(0, 500, 3);
    ok(command(0x30) == 0x58 && irqs() == 0, "WRITE SECTORS: DRQ without an interrupt");
    for (int i = 0; i < 3; i++) {
        fakevm_outs(B.vm, 0x1f0, 2, buf + i * 512, 256);
        ok(wait() == (i < 2 ? 0x58 : 0x50), "after block %d", i);
        ok(irqs() == 1, "interrupt after block %d", i);
        inb(0x1f7);
    }
    ok(memcmp(buf, B.disk.data + 500 * 512, 1536) == 0, "it is on the disk");
    uint64_t writes = B.disk.writes;
    regs48(1000, 300);
    command(0x34);
    for (int i = 0; i < 300; i++) {
        fakevm_outs(B.vm, 0x1f0, 2, buf + i * 512, 256);
        wait();
        inb(0x1f7);
    }
    ok(memcmp(buf, B.disk.data + 1000 * 512, 300 * 512) == 0 && inb(0x1f7) == 0x50, "WRITE SECTORS EXT of 300");
    ok(B.disk.writes - writes == 3, "in three requests");
    /* Multiple. */
    regs28(0, 10, 40);
    ok(command(0xc4) == 0x51 && inb(0x1f1) == 4, "READ MULTIPLE without a block size: ABRT");
    outb(0x1f2, 16);
    command(0xc6);
    inb(0x1f7);
    irqs();
    regs28(0, 10, 40);
    n = 0;
    command(0xc4);
    for (int i = 0; i < 3; i++) {
        wait();
        inb(0x1f7);
        n += irqs();
        fakevm_ins(B.vm, 0x1f0, 2, buf + i * 8192, i < 2 ? 4096 : 2048);
    }
    ok(n == 3 && irqs() == 0 && inb(0x1f7) == 0x50 && memcmp(buf, B.disk.data + 5120, 40 * 512) == 0,
       "40 sectors in blocks of 16, 16 and 8");
    regs28(0, 2000, 20);
    command(0xc5);
    fakevm_outs(B.vm, 0x1f0, 2, buf, 4096);
    wait();
    fakevm_outs(B.vm, 0x1f0, 2, buf + 8192, 1024);
    ok(wait() == 0x50 && memcmp(B.disk.data + 2000 * 512, buf, 20 * 512) == 0, "WRITE MULTIPLE");
    /* A reset in the middle. */
    regs28(0, 0, 8);
    command(0x20);
    fakevm_ins(B.vm, 0x1f0, 2, buf, 300);
    outb(0x3f6, 4);
    outb(0x3f6, 0);
    ok(wait() == 0x50 && inb(0x1f2) == 1, "SRST ends a transfer");
    ok(inw(0x1f0) == 0, "the data port is dead then");
    /* Host errors. */
    B.disk.fail = EIO;
    regs28(0, 7, 1);
    ok(command(0x20) == 0x51 && inb(0x1f1) == 0x40 && inb(0x1f3) == 7, "a read error of the host: UNC and the sector");
    regs28(0, 7, 1);
    command(0x30);
    fakevm_outs(B.vm, 0x1f0, 2, buf, 256);
    ok(wait() == 0x51 && inb(0x1f1) == 4, "a write error: ABRT");
    B.disk.fail = 0;
    inb(0x1f7);
    regs28(1, 5, 1);
    command(0x30);
    memset(buf, 0xee, 512);
    fakevm_outs(B.vm, 0x1f0, 2, buf, 256);
    wait();
    ok(memcmp(B.disk2.data + 2560, buf, 512) == 0, "the second disk gets its own data");
}

#define PRD 0x1000u
static void prd(unsigned i, uint32_t addr, uint32_t len, bool last)
{
    st_le32(fakevm_ram(B.vm) + PRD + 8 * i, addr);
    st_le32(fakevm_ram(B.vm) + PRD + 8 * i + 4, (len & 0xffff) | (last ? 0x80000000u : 0));
}
static void bm_start(bool read)
{
    outl(BM_PORT + 4, PRD);
    outb(BM_PORT + 2, 0x66);
    outb(BM_PORT, read ? 9 : 1);
}

static void test_dma(void)
{
    uint8_t *ram = fakevm_ram(B.vm);
    box_reset(&B);
    fill(&B.disk);
    irqs();
    is_u64(inb(BM_PORT + 2), 0, "bus master status after reset");
    prd(0, 0x10000, 0x1000, false);
    prd(1, 0x20002, 0x0ffe, false);
    prd(2, 0x30000, 0x1002, true);
    regs28(0, 64, 24);
    ok(command(0xc8) == 0x58 && irqs() == 0, "READ DMA waits for the bus master");
    uint64_t reads = B.disk.reads;
    bm_start(true);
    ok(wait() == 0x50 && irqs() == 1, "done, one interrupt");
    is_u64(inb(BM_PORT + 2), 0x64, "Interrupt set, Active clear: the table fits");
    ok(memcmp(ram + 0x10000, B.disk.data + 64 * 512, 0x1000) == 0 &&
           memcmp(ram + 0x20002, B.disk.data + 64 * 512 + 0x1000, 0xffe) == 0 &&
           memcmp(ram + 0x30000, B.disk.data + 64 * 512 + 0x1ffe, 0x1002) == 0,
       "three regions");
    ok(B.disk.reads - reads == 1 && B.disk.biggest >= 24 * 512, "one request to the host");
    outb(BM_PORT, 8);
    inb(0x1f7);
    outb(BM_PORT + 2, 4);
    is_u64(inb(BM_PORT + 2), 0, "write 1 clears Interrupt; the capable bits are what was written");
    /* Started before the command. */
    prd(0, 0x40000, 0, true);
    bm_start(true);
    is_u64(inb(BM_PORT + 2) & 1, 1, "Active");
    regs28(0, 0, 128);
    ok(command(0xc8) == 0x50 && memcmp(ram + 0x40000, B.disk.data, 65536) == 0, "a count of 0 is 64 KiB");
    outb(BM_PORT, 0);
    inb(0x1f7);
    /* Longer and shorter than the command. */
    prd(0, 0x40000, 0x2000, true);
    bm_start(true);
    regs28(0, 8, 8);
    command(0xc8);
    is_u64(inb(BM_PORT + 2) & 7, 5, "table longer than the command: Active and Interrupt");
    outb(BM_PORT, 0);
    is_u64(inb(BM_PORT + 2) & 1, 0, "Start cleared: not active");
    inb(0x1f7);
    irqs();
    prd(0, 0x40000, 0x800, true);
    regs28(0, 16, 8);
    command(0xc8);
    bm_start(true);
    wait();
    ok((inb(BM_PORT + 2) & 7) == 0 && inb(0x3f6) == 0x58 && irqs() == 0,
       "table shorter: neither Active nor Interrupt, the drive waits");
    outb(BM_PORT, 0);
    prd(0, 0x50000, 0x800, true);
    bm_start(true);
    ok(wait() == 0x50 && irqs() == 1 && memcmp(ram + 0x50000, B.disk.data + 20 * 512, 0x800) == 0,
       "a second table brings the rest");
    outb(BM_PORT, 0);
    inb(0x1f7);
    /* Writing, EXT, many small regions. */
    for (unsigned i = 0; i < 0x8000; i++)
        ram[0x60000 + i] = (uint8_t)(i * 13 + (i >> 8));
    for (unsigned i = 0; i < 64; i++)
        prd(i, 0x60000 + i * 512, 512, i == 63);
    uint64_t writes = B.disk.writes, flushes = B.disk.flushes;
    regs48(3000, 64);
    command(0x35);
    bm_start(false);
    ok(wait() == 0x50 && memcmp(B.disk.data + 3000 * 512, ram + 0x60000, 0x8000) == 0 && B.disk.writes == writes + 1,
       "WRITE DMA EXT, neighbours joined");
    is_u64(B.disk.flushes, flushes, "no flush with the write cache on");
    outb(BM_PORT, 0);
    inb(0x1f7);
    regs48(3100, 64);
    command(0x3d);
    bm_start(false);
    wait();
    ok(B.disk.flushes == flushes + 1 && memcmp(B.disk.data + 3100 * 512, ram + 0x60000, 0x8000) == 0,
       "WRITE DMA FUA EXT flushes");
    outb(BM_PORT, 0);
    inb(0x1f7);
    /* Scattered, more than fits one list. */
    for (unsigned i = 0; i < 2048; i++) {
        prd(i, 0x100000 + (i ^ 1) * 512, 512, i == 2047);
        memset(ram + 0x100000 + i * 512, (int)(i ^ i >> 8), 512);
    }
    regs48(4096, 2048);
    command(0x35);
    bm_start(false);
    bool good = wait() == 0x50;
    for (unsigned i = 0; i < 2048; i++)
        good = good && memcmp(B.disk.data + (4096 + i) * 512, ram + 0x100000 + (i ^ 1) * 512, 512) == 0;
    ok(good, "2048 regions that are not neighbours");
    outb(BM_PORT, 0);
    inb(0x1f7);
    /* Regions that cut sectors, and the second request of such a command. */
    for (unsigned i = 0; i < 2000; i++)
        prd(i, 0x100000 + i * 600, 254, i == 1999);
    regs48(0, 256);
    command(0x25);
    bm_start(true);
    good = wait() == 0x50;
    for (unsigned i = 0; i < 256 * 512; i++)
        good = good && ram[0x100000 + i / 254 * 600 + i % 254] == B.disk.data[i];
    ok(good, "regions of 254 bytes");
    outb(BM_PORT, 0);
    inb(0x1f7);
    /* Not RAM. */
    prd(0, 0xf0000000, 512, false);
    prd(1, 0x70000, 1024, false);
    prd(2, 0xfffff000, 512, true);
    regs28(0, 30, 4);
    command(0xc8);
    bm_start(true);
    ok(wait() == 0x50 && memcmp(ram + 0x70000, B.disk.data + 31 * 512, 1024) == 0,
       "regions without memory are passed over");
    outb(BM_PORT, 0);
    inb(0x1f7);
    outl(BM_PORT + 4, 0xfffffff0);
    outb(BM_PORT, 9);
    regs28(0, 30, 4);
    command(0xc8);
    ok(inb(BM_PORT + 2) & 2, "a table without memory: Error");
    outb(BM_PORT, 0);
    outb(0x3f6, 4);
    outb(0x3f6, 0);
    wait();
    /* Bus mastering off. */
    fake_pci_write((struct pci_dev *)B.ide, 4, 1);
    prd(0, 0x80000, 512, true);
    regs28(0, 40, 1);
    command(0xc8);
    bm_start(true);
    ok(inb(0x3f6) == 0x58 && ram[0x80000] == 0, "without bus mastering nothing moves");
    fake_pci_write((struct pci_dev *)B.ide, 4, 5);
    ok(wait() == 0x50 && memcmp(ram + 0x80000, B.disk.data + 40 * 512, 512) == 0, "it does when the bit is set");
    outb(BM_PORT, 0);
    inb(0x1f7);
    B.disk.fail = EIO;
    regs28(0, 50, 2);
    command(0xc8);
    prd(0, 0x80000, 1024, true);
    bm_start(true);
    ok(wait() == 0x51 && inb(0x1f1) == 0x40 && inb(0x1f3) == 50 && inb(BM_PORT + 2) & 4, "a host error in DMA");
    B.disk.fail = 0;
    outb(BM_PORT, 0);
    inb(0x1f7);
    /* TRIM: ranges of LBA and length. */
    memset(ram + 0x90000, 0, 512);
    st_le64(ram + 0x90000, 100 | 8ull << 48);
    st_le64(ram + 0x90008, 200 | 16ull << 48);
    unsigned punches = B.disk.punches;
    prd(0, 0x90000, 512, true);
    outb(0x1f1, 1);
    regs48(0, 1);
    command(0x06);
    bm_start(false);
    static const uint8_t zero[8192];
    ok(wait() == 0x50 && B.disk.punches == punches + 2 && memcmp(B.disk.data + 51200, zero, 4096) == 0 &&
           memcmp(B.disk.data + 102400, zero, 8192) == 0 && B.disk.data[108 * 512 + 4] != 0,
       "DATA SET MANAGEMENT trims its ranges");
    outb(BM_PORT, 0);
    inb(0x1f7);
    st_le64(ram + 0x90000, 8190 | 8ull << 48);
    regs48(0, 1);
    outb(0x1f1, 1);
    command(0x06);
    bm_start(false);
    ok(wait() == 0x51 && inb(0x1f1) == 4, "a range behind the end: ABRT");
    outb(BM_PORT, 0);
    inb(0x1f7);
}

static void test_others(void)
{
    box_reset(&B);
    irqs();
    outb(0x1f6, 0xe0);
    static const uint8_t fine[] = {0x10, 0x70, 0xe1, 0xe3, 0xe7, 0xea, 0x40};
    regs28(0, 0, 1);
    for (unsigned i = 0; i < sizeof fine; i++) {
        regs28(0, 0, 1);
        ok(command(fine[i]) == 0x50 && irqs() == 1, "command %02x is done", fine[i]);
        inb(0x1f7);
    }
    static const uint8_t no[] = {0x00, 0xb0, 0xa0, 0xa1, 0xf9, 0x37, 0xf1, 0x92, 0xb1, 0x2f, 0xff};
    for (unsigned i = 0; i < sizeof no; i++) {
        outb(0x1f4, 0x4f);
        outb(0x1f5, 0xc2);
        ok(command(no[i]) == 0x51 && inb(0x1f1) == 4, "command %02x is aborted", no[i]);
        inb(0x1f7);
    }
    unsigned flushes = B.disk.flushes;
    command(0xe7);
    is_u64(B.disk.flushes, flushes + 1, "FLUSH CACHE reaches the host");
    outb(0x1f1, 0x82);
    command(0xef);
    flushes = B.disk.flushes;
    uint8_t sec[512] = {1};
    regs28(0, 0, 1);
    command(0x30);
    fakevm_outs(B.vm, 0x1f0, 2, sec, 256);
    ok(wait() == 0x50 && B.disk.flushes == flushes + 1, "write cache off: every write is flushed");
    outb(0x1f6, 0xe0);
    command(0xf8);
    ok(inb(0x1f3) == 0xff && inb(0x1f4) == 0x1f && inb(0x1f5) == 0 && (inb(0x1f6) & 15) == 0,
       "READ NATIVE MAX ADDRESS");
    command(0x27);
    outb(0x3f6, 0x80);
    ok(inb(0x1f3) == 0, "READ NATIVE MAX ADDRESS EXT, upper bytes");
    outb(0x3f6, 0);
    is_u64(inb(0x1f4), 0x1f, "lower bytes");
    command(0xe5);
    is_u64(inb(0x1f2), 0xff, "CHECK POWER MODE: active");
    command(0xe0);
    command(0xe5);
    is_u64(inb(0x1f2), 0x00, "after STANDBY IMMEDIATE: standby");
    regs28(0, 0, 1);
    command(0x40);
    outb(0x1f2, 1);
    command(0xe5);
    is_u64(inb(0x1f2), 0xff, "a media command spins it up");
    outb(0x1f1, 0x99);
    ok(command(0xef) == 0x51, "SET FEATURES of an unknown kind: ABRT");
    inb(0x1f7);
    command(0xe4);
    for (int i = 0; i < 256; i++)
        inw(0x1f0);
    ok(inb(0x1f7) == 0x50, "READ BUFFER");
    command(0xe8);
    fakevm_outs(B.vm, 0x1f0, 2, sec, 256);
    ok(wait() == 0x50, "WRITE BUFFER");
}

/* A machine is saved in the middle of things and goes on elsewhere. */
static void test_save(void)
{
    static uint8_t buf[8 * 512];
    struct idebox A = B;
    struct err e = {0};
    memset(&B, 0, sizeof B);
    box_init(&B, false, 4 << 20, 1 << 20, 8 << 20);
    struct idebox T = B;
    B = A;
    box_reset(&B);
    fill(&B.disk);
    memcpy(T.disk.data, B.disk.data, B.disk.size);
    regs28(0, 20, 8);
    command(0x20);
    fakevm_ins(B.vm, 0x1f0, 2, buf, 256 + 100);
    ok(fakevm_migrate(B.vm, T.vm, &e) == 0, "saved in the middle of READ SECTORS %s", e.msg);
    B = T;
    ((struct pci_dev *)B.ide)->bus_master = true;
    fakevm_ins(B.vm, 0x1f0, 2, buf + 712, 256 * 8 - 356);
    ok(memcmp(buf, B.disk.data + 20 * 512, sizeof buf) == 0 && inb(0x1f7) == 0x50,
       "the rest is read in the other machine");
    regs28(0, 20, 8);
    command(0xc8);
    /* Back again, with DMA waiting. */
    memset(&T, 0, sizeof T);
    struct idebox M = B;
    memset(&B, 0, sizeof B);
    box_init(&B, false, 4 << 20, 1 << 20, 8 << 20);
    T = B;
    B = M;
    memcpy(T.disk.data, B.disk.data, B.disk.size);
    ok(fakevm_migrate(B.vm, T.vm, &e) == 0, "saved while READ DMA waits %s", e.msg);
    B = T;
    prd(0, 0x10000, 4096, true);
    bm_start(true);
    ok(wait() == 0x50 && memcmp(fakevm_ram(B.vm) + 0x10000, B.disk.data + 20 * 512, 4096) == 0,
       "the transfer is done in the other machine");
    box_fini(&T);
    box_fini(&M);
    B = A;
}

int main(void)
{
    for (int pass = 0; pass < 2; pass++) {
        threaded = pass == 1;
        memset(&B, 0, sizeof B);
        if (!ok(box_init(&B, threaded, 4 << 20, 1 << 20, 8 << 20), "made, %s",
                threaded ? "with I/O threads" : "synchronous"))
            return TAP_DONE();
        box_reset(&B);
        test_reset();
        test_identify();
        test_pio();
        test_dma();
        test_others();
        if (!threaded)
            test_save();
        box_fini(&B);
    }
    return TAP_DONE();
}
