/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Am79C970A through its ports and rings, against AMD's data sheet 19436 and what Linux's pcnet32 and old LANCE drivers
 * do. */
#include "tests/dev/nicbox.h"
#include "tests/tap.h"

enum { IB = 0x1000, RXR = 0x2000, TXR = 0x3000, BUF = 0x10000, RXB = 0x20000, N = 4 };
static uint8_t *ram;

static uint16_t in16(struct nicbox *x, unsigned off) { return (uint16_t)fakevm_in(x->vm, (uint16_t)(NIC_IO + off), 2); }
static void out16(struct nicbox *x, unsigned off, uint16_t v) { fakevm_out(x->vm, (uint16_t)(NIC_IO + off), 2, v); }
static uint16_t csr(struct nicbox *x, uint16_t i)
{
    out16(x, 0x12, i);
    return in16(x, 0x10);
}
static void wcsr(struct nicbox *x, uint16_t i, uint16_t v)
{
    out16(x, 0x12, i);
    out16(x, 0x10, v);
}
static uint16_t bcr(struct nicbox *x, uint16_t i)
{
    out16(x, 0x12, i);
    return in16(x, 0x16);
}
static void wbcr(struct nicbox *x, uint16_t i, uint16_t v)
{
    out16(x, 0x12, i);
    out16(x, 0x16, v);
}

static void box(struct nicbox *x)
{
    memset(x, 0, sizeof *x);
    nic_make(x, fakevm_new(16, 1), &vlance_class, NULL, 0);
    fakevm_reset(x->vm);
    ram = fakevm_ram(x->vm);
    nic_place(x->vm, 1, 0);
    net_set_link(&x->peer, true);
}

static void test_regs(struct nicbox *x)
{
    is_u64(cfg_r(x->vm, NIC, 0, 4), 0x20001022, "PCI ids");
    is_u64(in16(x, 0), 0x0c00, "APROM: address");
    is_u64(fakevm_in(x->vm, NIC_IO + 14, 2), 0x5757, "APROM: WW");
    uint32_t sum = 0;
    for (unsigned i = 0; i < 16; i++)
        if (i != 12 && i != 13)
            sum += (uint32_t)fakevm_in(x->vm, (uint16_t)(NIC_IO + i), 1);
    is_u64(in16(x, 12), sum, "APROM: checksum of the other bytes");
    in16(x, 0x14);
    is_u64(csr(x, 0), 0x0004, "CSR0 after reset: STOP");
    out16(x, 0x12, 88);
    is_u64(in16(x, 0x12), 88, "RAP reads back");
    is_u64(csr(x, 88) | (uint32_t)csr(x, 89) << 16, 0x02621003, "chip id");
    is_u64(csr(x, 4), 0x0115, "CSR4 after reset");
    is_u64(csr(x, 12), 0x0c00, "PADR from the PROM");
    is_u64(bcr(x, 4), 0x80c0, "BCR4: link");
    net_set_link(&x->peer, false);
    is_u64(bcr(x, 4), 0x00c0, "BCR4: no link");
    net_set_link(&x->peer, true);
    is_u64(bcr(x, 20), 0x0200, "software style 0");
    static const uint16_t style[4] = {0x200, 0x101, 0x302, 0x303};
    for (uint16_t i = 0; i < 4; i++) {
        wbcr(x, 20, i);
        is_u64(bcr(x, 20), style[i], "software style");
        is_u64(csr(x, 58), style[i], "CSR58 is the same");
    }
    is_u64(nic_r(x, 0) & 0xffff, 0x0c00, "memory-mapped APROM");
    wcsr(x, 4, 0x0915 | 0x80);
    is_u64(csr(x, 4), 0x0955, "UINTCMD sets UINT");
    wcsr(x, 0, 0x40);
    ok(nic_irq(x), "user interrupt");
    wcsr(x, 4, 0x0955);
    ok(!nic_irq(x), "acknowledged");
    wcsr(x, 0, 4);
    wcsr(x, 1, 0x1230);
    wcsr(x, 3, 0x5f00);
    in16(x, 0x14);
    is_u64(csr(x, 1), 0x1230, "RESET leaves the initialization block's address");
    is_u64(csr(x, 3), 0, "and clears CSR3");
}

/* 16-bit structures for style 0, 32-bit for 2 and 3. */
static unsigned style;
static void set_md(uint32_t ring, unsigned i, uint32_t addr, uint32_t flags, unsigned bcnt)
{
    uint8_t *d = ram + ring + i * (style ? 16 : 8);
    memset(d, 0, style ? 16 : 8);
    uint16_t cnt = (uint16_t)(0xf000 | (0x1000 - bcnt));
    if (!style) {
        st_le16(d, (uint16_t)addr);
        st_le16(d + 2, (uint16_t)(addr >> 16 | (flags >> 16 & 0xff00)));
        st_le16(d + 4, cnt);
    } else {
        st_le32(d + (style == 3 ? 8 : 0), addr);
        st_le32(d + 4, flags | cnt);
    }
}
static uint32_t md_flags(uint32_t ring, unsigned i)
{
    const uint8_t *d = ram + ring + i * (style ? 16 : 8);
    return style ? ld_le32(d + 4) & 0xffff0000 : (uint32_t)(ld_le16(d + 2) & 0xff00) << 16;
}
static uint32_t md_mcnt(unsigned i)
{
    const uint8_t *d = ram + RXR + i * (style ? 16 : 8);
    return (style == 3 ? ld_le32(d) : style ? ld_le32(d + 8) : ld_le16(d + 6)) & 0xfff;
}
static uint32_t md_err(unsigned i)
{
    const uint8_t *d = ram + TXR + i * 16;
    return ld_le32(d + (style == 3 ? 0 : 8));
}

static void init(struct nicbox *x, unsigned st, uint16_t mode)
{
    style = st;
    uint8_t *b = ram + IB;
    wcsr(x, 0, 4);
    wbcr(x, 20, (uint16_t)st);
    memset(b, 0, 28);
    st_le16(b, mode);
    if (st) {
        b[2] = 2 << 4;
        b[3] = 2 << 4;
        memcpy(b + 4, nic_mac, 6);
        b[12] = 0;
        st_le32(b + 20, RXR);
        st_le32(b + 24, TXR);
    } else {
        memcpy(b + 2, nic_mac, 6);
        st_le32(b + 16, RXR | 2u << 29);
        st_le32(b + 20, TXR | 2u << 29);
    }
    for (unsigned i = 0; i < N; i++) {
        set_md(RXR, i, RXB + 2048 * i, 0x80000000, 1544);
        set_md(TXR, i, 0, 0, 0);
    }
    memset(ram + RXB, 0xee, 2048 * N);
    wcsr(x, 1, IB);
    wcsr(x, 2, 0);
    wcsr(x, 3, 0);
    wcsr(x, 4, 0x0915);
    wcsr(x, 0, 1);
    nic_forget(x);
}

static void test_style(struct nicbox *x, unsigned st)
{
    uint8_t f[2048];
    printf("# style %u\n", st);
    init(x, st, 0);
    is_u64(csr(x, 0) & 0x181, 0x181, "INIT: IDON, INTR");
    is_u64(csr(x, 76), 0xfffc, "four receive descriptors");
    wcsr(x, 0, 0x0142);
    is_u64(csr(x, 0) & 0x3f, 0x33, "STRT: TXON and RXON");

    size_t n = t_packet(f, 17, 200);
    memcpy(ram + BUF, f, n);
    set_md(TXR, 0, BUF, 0x83000000, (unsigned)n);
    wcsr(x, 0, 0x48);
    ok(x->n_got == 1 && x->got[0].len == n && !memcmp(x->got[0].data, f, n), "transmit");
    is_u64(md_flags(TXR, 0), 0x03000000, "its descriptor is given back without errors");
    ok(nic_irq(x) && csr(x, 0) & 0x200, "TINT");
    wcsr(x, 0, 0x240);
    ok(!nic_irq(x), "acknowledged");

    nic_forget(x);
    set_md(TXR, 2, BUF + 100, 0x81000000, (unsigned)n - 100);
    set_md(TXR, 1, BUF, 0x82000000, 100);
    wcsr(x, 0, 0x48);
    ok(x->n_got == 1 && x->got[0].len == n && !memcmp(x->got[0].data, f, n), "two buffers, one frame");
    is_u64(csr(x, 74), 0xffff, "CSR74: the last descriptor is next");
    nic_forget(x);
    set_md(TXR, 3, BUF, 0x83000000, 20);
    wcsr(x, 0, 0x48);
    ok(x->n_got == 1 && x->got[0].len == 60, "APAD_XMT pads");
    wcsr(x, 0, 0x240);

    nic_arrive(x, f, n, NULL);
    is_u64(md_flags(RXR, 0), st ? 0x03400000 : 0x03000000, st ? "receive: STP, ENP, PAM" : "receive: STP, ENP");
    is_u64(md_mcnt(0), n + 4, "MCNT with the FCS");
    ok(!memcmp(ram + RXB, f, n) && ram[RXB + n + 4] == 0xee, "the frame");
    ok(nic_irq(x) && csr(x, 0) & 0x400, "RINT");
    wcsr(x, 0, 0x440);
    memset(f, 0, 60);
    f[0] = 4;
    nic_arrive(x, f, 60, NULL);
    is_u64(md_flags(RXR, 1) >> 31, 1, "a frame for others is not taken");
    memset(f, 0xff, 6);
    nic_arrive(x, f, 42, NULL);
    is_u64(md_flags(RXR, 1), st ? 0x03100000 : 0x03000000, "broadcast");
    is_u64(md_mcnt(1), 64, "a short frame is padded");

    /* Full */
    n = t_packet(f, 17, 200);
    ok(nic_arrive(x, f, n, NULL) && nic_arrive(x, f, n, NULL), "the ring's last two");
    x->n_writable = 0;
    ok(!nic_arrive(x, f, n, NULL), "the next has to wait");
    set_md(RXR, 0, RXB, 0x80000000, 100);
    set_md(RXR, 1, RXB + 2048, 0x80000000, 1544);
    wcsr(x, 0, 0x440);
    ok(x->n_writable >= 1, "the acknowledgement shows new buffers");
    ok(nic_arrive(x, f, n, NULL), "and it comes");
    ok((md_flags(RXR, 0) & 0x83000000) == 0x02000000 && (md_flags(RXR, 1) & 0x83000000) == 0x01000000, "in two buffers");
    ok(!memcmp(ram + RXB, f, 100) && !memcmp(ram + RXB + 2048, f + 100, n - 100), "both parts");
    wcsr(x, 0, 4);
    is_u64(csr(x, 0), 4, "STOP");
    ok(!nic_irq(x), "no interrupt after STOP");
    ok(nic_arrive(x, f, n, NULL), "a stopped chip loses frames");
}

static void test_loopback(struct nicbox *x)
{
    uint8_t f[75];
    init(x, 2, 0);
    wcsr(x, 0, 4);
    for (unsigned i = 0; i < N; i++) {
        memcpy(f, nic_mac, 6);
        memcpy(f + 6, nic_mac, 6);
        f[12] = 8;
        f[13] = 6;
        for (unsigned k = 14; k < 75; k++)
            f[k] = (uint8_t)(k + i);
        memcpy(ram + BUF + 256 * i, f, 75);
        set_md(TXR, i, BUF + 256 * i, 0x83000000, 75);
    }
    wcsr(x, 15, 0x44);
    wcsr(x, 0, 2);
    unsigned good = 0;
    for (unsigned i = 0; i < N; i++)
        good += !(md_flags(RXR, i) >> 31) && !memcmp(ram + RXB + 2048 * i, ram + BUF + 256 * i, 75) && md_mcnt(i) == 79;
    is_u64(good, N, "internal loopback: four frames come back");
    is_u64(x->n_got, 0, "and none is on the cable");
    wcsr(x, 0, 4);
    wcsr(x, 15, 0);
}

static void test_filter(struct nicbox *x)
{
    uint8_t f[60] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}; /* 224.0.0.1 */
    init(x, 2, 0);
    wcsr(x, 0, 4);
    uint32_t crc = 0xffffffff;
    for (int i = 0; i < 6; i++)
        for (int b = 0; b < 8; b++)
            crc = (crc ^ f[i] >> b) & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    wcsr(x, (uint16_t)(8 + (crc >> 30)), (uint16_t)(1 << (crc >> 26 & 15)));
    wcsr(x, 0, 0x42);
    nic_arrive(x, f, 60, NULL);
    is_u64(md_flags(RXR, 0), 0x03200000, "logical address filter");
    f[5] = 0x80;
    nic_arrive(x, f, 60, NULL);
    is_u64(md_flags(RXR, 1) >> 31, 1, "another group is not taken");
    wcsr(x, 0, 4);
    wcsr(x, 15, 0x8000);
    wcsr(x, 0, 0x42);
    nic_arrive(x, f, 60, NULL);
    is_u64(md_flags(RXR, 1) & 0x83000000, 0x03000000, "promiscuous");
    wcsr(x, 0, 4);
}

static void test_poll(struct nicbox *x)
{
    init(x, 2, 0);
    wcsr(x, 0, 0x42);
    memset(ram + BUF, 1, 100);
    set_md(TXR, 0, BUF, 0x83000000, 100);
    is_u64(x->n_got, 0, "nothing has been demanded");
    fakevm_advance(x->vm, 5000000);
    is_u64(x->n_got, 1, "the chip polls");
    set_md(TXR, 1, BUF, 0x82000000, 100); /* its end is missing */
    wcsr(x, 0, 0x48);
    is_u64(md_flags(TXR, 1) & 0xc0000000, 0x40000000, "a frame without its end: ERR");
    is_u64(md_err(1) & 0xc0000000, 0xc0000000, "BUFF and UFLO");
    is_u64(csr(x, 0) & 0x10, 0, "the transmitter is off");
    wcsr(x, 0, 4);
    net_set_link(&x->peer, false);
    init(x, 2, 0);
    set_md(TXR, 0, BUF, 0x83000000, 100);
    wcsr(x, 0, 0x4a);
    is_u64(md_err(0) & 0x08000000, 0x08000000, "no cable: LCAR");
    net_set_link(&x->peer, true);
    wcsr(x, 0, 4);
    x->room = 0;
    init(x, 2, 0);
    set_md(TXR, 0, BUF, 0x83000000, 100);
    wcsr(x, 0, 0x4a);
    is_u64(md_flags(TXR, 0) >> 31, 1, "a full peer: the frame stays");
    x->room = 5;
    net_writable(&x->peer);
    is_u64(md_flags(TXR, 0) >> 31, 0, "and goes when there is room");
    ok(nic_irq(x), "with its interrupt");
    wcsr(x, 0, 4);
}

static void test_hostile(struct nicbox *x)
{
    init(x, 2, 0);
    wcsr(x, 0, 4);
    wcsr(x, 2, 0xfff0);
    wcsr(x, 0, 1);
    ok(csr(x, 0) & 0x800, "an initialization block in nowhere: MERR");
    wcsr(x, 0, 4);
    wcsr(x, 25, 0xf000);
    wcsr(x, 31, 0xf000);
    wcsr(x, 0, 2);
    uint8_t f[60];
    memset(f, 0xff, 60);
    nic_arrive(x, f, 60, NULL);
    ok(csr(x, 0) & 0x800, "rings in nowhere: MERR");
    wcsr(x, 0, 4);
    init(x, 2, 0);
    for (unsigned i = 0; i < N; i++)
        set_md(TXR, i, BUF, i ? 0x80000000 : 0x82000000, 4095);
    wcsr(x, 0, 0x0a);
    is_u64(md_flags(TXR, 0) >> 31, 0, "a chain without an end all around the ring");
    wcsr(x, 0, 4);
    wcsr(x, 76, 0);
    is_u64(csr(x, 76), 0, "a ring of 65536");
    wbcr(x, 20, 0x55);
    is_u64(bcr(x, 20) & 0xff, 0, "no such style");
}

static void test_dwio(struct nicbox *x)
{
    fakevm_out(x->vm, NIC_IO + 0x10, 4, 0);
    fakevm_out(x->vm, NIC_IO + 0x14, 4, 88);
    is_u64(fakevm_in(x->vm, NIC_IO + 0x14, 4), 88, "double word mode: RAP");
    is_u64(fakevm_in(x->vm, NIC_IO + 0x10, 4), 0x1003, "double word mode: RDP");
    fakevm_out(x->vm, NIC_IO + 0x14, 4, 18);
    is_u64(fakevm_in(x->vm, NIC_IO + 0x1c, 4) & 0x80, 0x80, "BCR18 shows it");
    fakevm_in(x->vm, NIC_IO + 0x18, 4);
    fakevm_out(x->vm, NIC_IO + 0x14, 4, 0);
    is_u64(fakevm_in(x->vm, NIC_IO + 0x10, 4), 4, "RESET stays in it");
    struct nicbox y;
    struct err e = {0};
    memset(&y, 0, sizeof y);
    nic_make(&y, fakevm_new(16, 1), &vlance_class, NULL, 0);
    net_set_link(&y.peer, true);
    ok(!fakevm_migrate(x->vm, y.vm, &e), "saved, loaded and saved again: the same");
    fakevm_free(y.vm);
}

int main(void)
{
    struct nicbox x;
    box(&x);
    test_regs(&x);
    test_style(&x, 0);
    test_style(&x, 2);
    test_style(&x, 3);
    test_loopback(&x);
    test_filter(&x);
    test_poll(&x);
    test_hostile(&x);
    test_dwio(&x);
    nic_forget(&x);
    fakevm_free(x.vm);
    return TAP_DONE();
}
