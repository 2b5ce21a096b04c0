/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82545EM and 82574L through their registers. Expected values: PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual (SDM), Intel 82574 datasheet, IEEE 802.3; the patterns of the register test are those of
 * Linux's drivers (ethtool -t). The rings are e1000_frames_test.c's.
 */
#include "tests/dev/e1000_box.h"
#include "tests/tap.h"

/* ---- registers ---- */

static bool pattern(struct nicbox *x, unsigned reg, uint32_t mask, uint32_t write)
{
    static const uint32_t p[] = {0x5a5a5a5a, 0xa5a5a5a5, 0, 0xffffffff};
    for (int i = 0; i < 4; i++) {
        nic_w(x, reg, p[i] & write);
        uint32_t v = nic_r(x, reg);
        if (v != (p[i] & write & mask)) {
            printf("# register %04x: wrote %08x, read %08x, mask %08x\n", reg, p[i] & write, v, mask);
            return false;
        }
    }
    return true;
}

static void test_regs(struct nicbox *x)
{
    static const struct {
        unsigned reg;
        uint32_t mask, write;
    } t[] = {{FCAL, ~0u, ~0u},          {FCAH, 0xffff, ~0u},       {FCT, 0xffff, ~0u},           {VET, 0xffff, ~0u},
             {RDTR, 0xffff, ~0u},       {RDBAH, ~0u, ~0u},         {RDLEN, 0xfff80, 0xfffff},    {RDH, 0xffff, 0xffff},
             {RDT, 0xffff, 0xffff},     {FCRTH, 0xfff8, 0xfff8},   {FCTTV, 0xffff, 0xffff},      {TIPG, 0x3fffffff, 0x3fffffff},
             {TDBAH, ~0u, ~0u},         {TDLEN, 0xfff80, 0xfffff}, {RDBAL, 0xfffffff0, ~0u},     {TXCW, 0xc000ffff, 0xffff},
             {TDBAL, 0xfffffff0, ~0u},  {TIDV, 0xffff, ~0u},       {RA + 4, 0x8003ffff, ~0u},    {RA + 0x74, 0x8003ffff, ~0u},
             {MTA, ~0u, ~0u},           {MTA + 0x1fc, ~0u, ~0u},   {VFTA + 0x100, ~0u, ~0u}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        ok(pattern(x, t[i].reg, t[i].mask, t[i].write), "register %04x: patterns", t[i].reg);
    nic_w(x, RCTL, 0);
    is_u64(nic_r(x, RCTL), 0, "RCTL 0");
    nic_w(x, RCTL, 0xffffffff);
    is_u64(nic_r(x, RCTL) & 0x06dfb3fe, 0x06dfb3fe, "RCTL's bits");
    nic_w(x, RCTL, 0);
    uint32_t st = nic_r(x, STATUS);
    nic_w(x, STATUS, 0xfffff833);
    is_u64(nic_r(x, STATUS) & 0xfffff833, st & 0xfffff833, "STATUS is read-only");
    nic_w(x, CTRL, nic_r(x, CTRL) | CTRL_RST);
    is_u64(nic_r(x, CTRL) & CTRL_RST, 0, "CTRL.RST clears itself");
    is_u64(nic_r(x, FCAL), 0, "the reset sets registers back");
    is_u64(nic_r(x, RA), 0x12290c00, "RAL0 from the EEPROM");
    is_u64(nic_r(x, RA + 4), 0x80005634, "RAH0 from the EEPROM, valid");
    is_u64(nic_r(x, STATUS) & 0xc3, 0x83, "STATUS: link up, full duplex, 1000 Mb/s");
    is_u64(nic_r(x, 0x40), 0x12290c00, "the 82542's place of RAL0");
    fakevm_out(x->vm, NIC_IO, 4, RA);
    is_u64(fakevm_in(x->vm, NIC_IO + 4, 4), 0x12290c00, "through IOADDR and IODATA");
    fakevm_out(x->vm, NIC_IO, 4, FCTTV);
    fakevm_out(x->vm, NIC_IO + 4, 4, 0x1234);
    is_u64(nic_r(x, FCTTV), 0x1234, "written through IODATA");
    is_u64(cfg_r(x->vm, NIC, 0, 4), e ? 0x10d38086 : 0x100f8086, "PCI ids");
    is_u64(cfg_r(x->vm, NIC, 0x2c, 4), e ? 0x07d015ad : 0x075015ad, "PCI subsystem ids");
    is_u64(cfg_r(x->vm, NIC, 8, 4) >> 8, 0x020000, "class: Ethernet controller");
}

/* ---- EEPROM ---- */

static uint16_t eerd(struct nicbox *x, unsigned a)
{
    nic_w(x, EERD, e ? a << 2 | 1 : a << 8 | 1);
    uint32_t v = nic_r(x, EERD);
    return v & (e ? 2 : 16) ? (uint16_t)(v >> 16) : 0xdead;
}

static uint32_t eecd;
static void mw_bit(struct nicbox *x, bool di)
{
    eecd = (eecd & ~4u) | (di ? 4 : 0);
    nic_w(x, EECD, eecd);
    nic_w(x, EECD, eecd | 1);
    nic_w(x, EECD, eecd);
}
static void mw_send(struct nicbox *x, uint32_t v, int n)
{
    while (n--)
        mw_bit(x, v >> n & 1);
}
static void mw_select(struct nicbox *x, bool on)
{
    eecd = 0x40 | (on ? 2 : 0);
    nic_w(x, EECD, eecd);
}
static uint16_t mw_read(struct nicbox *x, unsigned a)
{
    uint16_t v = 0;
    mw_select(x, true);
    mw_send(x, 6, 3);
    mw_send(x, a, 6);
    for (int i = 0; i < 16; i++) {
        nic_w(x, EECD, eecd | 1);
        v = (uint16_t)(v << 1 | (nic_r(x, EECD) >> 3 & 1));
        nic_w(x, EECD, eecd);
    }
    mw_select(x, false);
    return v;
}

static void test_eeprom(struct nicbox *x)
{
    uint16_t sum = 0;
    for (unsigned i = 0; i < 64; i++)
        sum += eerd(x, i);
    is_u64(sum, 0xbaba, "the EEPROM's checksum");
    is_u64(eerd(x, 0), 0x0c00, "word 0: the address's first two bytes");
    is_u64(eerd(x, 2), 0x5634, "word 2");
    ok(nic_r(x, EECD) & 0x100, "EECD: an EEPROM is present");
    if (e) {
        nic_w(x, EEWR, 0xbeef0000 | 0x30 << 2 | 1);
        ok(nic_r(x, EEWR) & 2, "EEWR: done");
        is_u64(eerd(x, 0x30), 0xbeef, "EEWR wrote");
        return;
    }
    nic_w(x, EECD, 0x40);
    ok(nic_r(x, EECD) & 0x80, "EECD: the bus is granted");
    is_u64(mw_read(x, 1), 0x1229, "microwire READ");
    is_u64(mw_read(x, 63), eerd(x, 63), "microwire READ of the last word");
    mw_select(x, true);
    mw_send(x, 5, 3);
    mw_send(x, 0x30, 5); /* not a whole command */
    mw_select(x, false);
    for (int on = 0; on < 2; on++) {
        if (on) {
            mw_select(x, true);
            mw_send(x, 4, 3);
            mw_send(x, 0x30, 6); /* EWEN */
            mw_select(x, false);
        }
        mw_select(x, true);
        mw_send(x, 5, 3);
        mw_send(x, 0x20, 6);
        mw_send(x, 0xcafe, 16);
        mw_select(x, false);
        mw_select(x, true);
        ok(nic_r(x, EECD) & 8, "ready after WRITE");
        mw_select(x, false);
        is_u64(mw_read(x, 0x20), on ? 0xcafe : 0xffff, on ? "WRITE after EWEN" : "WRITE without EWEN does nothing");
    }
}

/* ---- PHY ---- */

static uint16_t phy_r(struct nicbox *x, unsigned reg)
{
    nic_w(x, MDIC, 2u << 26 | 1u << 21 | reg << 16);
    uint32_t v = nic_r(x, MDIC);
    return (v & 3u << 29 >> 1 ? (uint16_t)v : 0) | (v >> 30 & 1 ? 0xffff : 0);
}
static void test_phy(struct nicbox *x)
{
    is_u64(phy_r(x, 2), 0x0141, "PHY id: Marvell");
    is_u64(phy_r(x, 3) & 0xfff0, e ? 0x0cb0 : 0x0c20, "PHY id: model");
    phy_r(x, 1);
    is_u64(phy_r(x, 1) & 0x24, 0x24, "PSTATUS: link, auto-negotiation complete");
    is_u64(phy_r(x, 17) & 0xec00, 0xac00, "PSSTAT: 1000 Mb/s, full duplex, resolved, link");
    nic_w(x, MDIC, 2u << 26 | 2u << 21);
    ok(nic_r(x, MDIC) >> 30 & 1, "no PHY at address 2: error");
    nic_w(x, IMS, I_LSC);
    nic_r(x, ICR);
    net_set_link(&x->peer, false);
    ok(!(nic_r(x, STATUS) & STATUS_LU), "cable out: STATUS.LU");
    ok(nic_irq(x), "cable out: interrupt");
    is_u64(nic_r(x, ICR) & I_LSC, I_LSC, "cable out: LSC");
    ok(!nic_irq(x), "reading ICR ends it");
    is_u64(phy_r(x, 1) & 4, 0, "PSTATUS: no link");
    net_set_link(&x->peer, true);
    ok(!(nic_r(x, STATUS) & STATUS_LU), "cable in: first they negotiate");
    fakevm_advance(x->vm, 20000000);
    ok(nic_r(x, STATUS) & STATUS_LU, "cable in: link up");
    is_u64(nic_r(x, ICR) & I_LSC, I_LSC, "cable in: LSC");
    is_u64(phy_r(x, 1) & 4, 0, "PSTATUS's link latches low");
    is_u64(phy_r(x, 1) & 4, 4, "and then shows it");
    phy_w(x, 9, 0);
    phy_w(x, 0, 0x1340);
    fakevm_advance(x->vm, 20000000);
    is_u64(nic_r(x, STATUS) & 0xc3, 0x43, "1000BASE-T not advertised: 100 Mb/s");
    phy_w(x, 9, 0x0e00);
    phy_w(x, 0, 0x9140);
    is_u64(phy_r(x, 0), 0x1140, "PHY reset ends");
    fakevm_advance(x->vm, 20000000);
    irqs_off(x);
}

/* ---- interrupts ---- */

static void test_irq(struct nicbox *x)
{
    irqs_off(x);
    for (unsigned i = 0; i < 10; i++) {
        uint32_t m = 1u << i;
        nic_w(x, ICS, m);
        if (nic_irq(x) || !(nic_r(x, ICR) & m))
            ok(false, "cause %u masked", i);
        nic_w(x, IMS, m);
        nic_w(x, ICS, m);
        if (!nic_irq(x) || !(nic_r(x, ICR) & m) || nic_irq(x))
            ok(false, "cause %u", i);
        nic_w(x, IMC, m);
    }
    ok(true, "ten causes, masked and not");
    nic_w(x, ICS, 4);
    nic_w(x, IMS, 4);
    ok(nic_irq(x), "unmasking a pending cause");
    nic_w(x, ICR, 4);
    ok(!nic_irq(x), "ICR: written 1 to clear");
    nic_w(x, ITR, 1000); /* 256 us */
    nic_w(x, ICS, 4);
    ok(nic_irq(x), "ITR: the first at once");
    nic_r(x, ICR);
    nic_w(x, IMS, 4);
    nic_w(x, ICS, 4);
    ok(!nic_irq(x), "ITR: the second not yet");
    fakevm_advance(x->vm, 250000);
    ok(!nic_irq(x), "ITR: not before its time");
    fakevm_advance(x->vm, 10000);
    ok(nic_irq(x), "ITR: after 256 us");
    nic_w(x, ITR, 0);
    irqs_off(x);
}

/* ---- 82574 ---- */

static void test_82574(struct nicbox *x)
{
    uint8_t f[4096];
    size_t n = t_packet(f, 6, 300);
    rx_setup(x, RCTL_SECRC);
    nic_w(x, RFCTL, RFCTL_EXTEN);
    nic_w(x, RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL | RXCSUM_PCSD);
    nic_arrive(x, f, n, NULL);
    is_u64(ld_le32(rxd(0) + 8), RXD_DD | RXD_EOP | RXD_TCPCS | RXD_IPCS, "extended status");
    is_u64(ld_le16(rxd(0) + 12), n, "extended length");
    ok(!memcmp(rxbuf(0), f, n), "the frame");

    /* Packet split: header 128, pages of 4 KiB */
    memset(ram + RXR, 0, 32 * 4);
    for (unsigned i = 0; i < 4; i++) {
        st_le64(ram + RXR + 32 * i, RXB + 0x4000 * i);
        st_le64(ram + RXR + 32 * i + 8, RXB + 0x4000 * i + 0x1000);
    }
    nic_w(x, RCTL, 0);
    nic_w(x, PSRCTL, 1 | 1 << 8 | 1 << 16);
    nic_w(x, RDLEN, 128);
    nic_w(x, RDH, 0);
    nic_w(x, RDT, 6); /* three descriptors: the tail counts 16 bytes */
    nic_w(x, RCTL, RCTL_EN | RCTL_SECRC | 1 << 10);
    nic_arrive(x, f, n, NULL);
    is_u64(nic_r(x, RDH), 2, "split: the head counts 16 bytes");
    const uint8_t *d = ram + RXR;
    is_u64(ld_le16(d + 12), 54, "split: the header's length");
    is_u64(ld_le16(d + 16), 0x8000 | 54, "split: header status");
    is_u64(ld_le16(d + 18), 300, "split: the payload's length");
    ok(!memcmp(ram + RXB, f, 54) && !memcmp(ram + RXB + 0x1000, f + 54, 300), "split: both parts");

    /* RSS: the known answer of the verification suite (66.9.149.187:2794 -> 161.142.100.80:1766) */
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    for (unsigned i = 0; i < 10; i++)
        nic_w(x, RSSRK + 4 * i, ld_le32(key + 4 * i));
    for (unsigned i = 0; i < 32; i++)
        nic_w(x, RETA + 4 * i, 0);
    n = t_packet(f, 6, 10);
    memcpy(f + 26, "\x42\x09\x95\xbb\xa1\x8e\x64\x50", 8);
    st_be16(f + 34, 2794);
    st_be16(f + 36, 1766);
    for (int q = 0; q < 2; q++) {
        rx_setup(x, RCTL_SECRC);
        nic_w(x, RFCTL, RFCTL_EXTEN);
        nic_w(x, MRQC, 1 | 3 << 16);
        if (q) {
            nic_w(x, RETA + (0x51ccc178 & 0x7c), 0x80u << 8 * (0x51ccc178 & 3));
            memcpy(ram + RXR + 0x1000, ram + RXR, 16 * N);
            nic_w(x, RDBAL + 0x100, RXR + 0x1000);
            nic_w(x, RDLEN + 0x100, 16 * N);
            nic_w(x, RDH + 0x100, 0);
            nic_w(x, RDT + 0x100, N - 1);
        }
        nic_arrive(x, f, n, &(struct net_offload){.csum_valid = true});
        d = q ? ram + RXR + 0x1000 : rxd(0);
        is_u64(ld_le32(d + 4), 0x51ccc178, "RSS hash of IPv4 and TCP");
        is_u64(ld_le32(d) & 0xf, 1, "RSS type");
        is_u64(nic_r(x, RDH + 0x100), (unsigned)q, q ? "queue 1" : "queue 0");
    }
    nic_w(x, MRQC, 0);
    nic_w(x, RCTL, 0);

    /* MSI and auto-mask */
    uint64_t a;
    uint32_t data;
    irqs_off(x);
    cfg_w(x->vm, NIC, 0xd4, 4, 0xfee00000);
    cfg_w(x->vm, NIC, 0xd0 + 12, 2, 0x4041);
    cfg_w(x->vm, NIC, 0xd2, 2, 1);
    unsigned before = fakevm_msis(x->vm, &a, &data);
    nic_w(x, CTRL_EXT, CTRL_EXT_IAME);
    nic_w(x, IAM, ~0u);
    nic_w(x, IMS, I_LSC);
    nic_w(x, ICS, I_LSC);
    is_u64(fakevm_msis(x->vm, &a, &data) - before, 1, "MSI: one message");
    ok(a == 0xfee00000 && data == 0x4041 && !nic_irq(x), "its address and data; no INTx");
    is_u64(nic_r(x, ICR) & (I_LSC | I_INT_ASSERTED), I_LSC | I_INT_ASSERTED, "ICR: asserted");
    is_u64(nic_r(x, IMS), 0, "IAME: reading ICR masked all");
    nic_w(x, ICS, I_LSC);
    is_u64(fakevm_msis(x->vm, &a, &data) - before, 1, "masked: no message");
    nic_w(x, IMS, I_LSC);
    is_u64(fakevm_msis(x->vm, &a, &data) - before, 2, "unmasked: the message");
    nic_r(x, ICR);
    cfg_w(x->vm, NIC, 0xd2, 2, 0);
    nic_w(x, CTRL_EXT, 0);

    /* MSI-X: table at BAR 3 */
    enum { MSIX = 0xe1000000 };
    cfg_w(x->vm, NIC, 0x1c, 4, MSIX);
    cfg_w(x->vm, NIC, 0xa2, 2, 0x8000);
    for (unsigned v = 0; v < 5; v++) {
        fakevm_mmio_write(x->vm, MSIX + 16 * v, 4, 0xfee00000);
        fakevm_mmio_write(x->vm, MSIX + 16 * v + 4, 4, 0);
        fakevm_mmio_write(x->vm, MSIX + 16 * v + 8, 4, 0x50 + v);
        fakevm_mmio_write(x->vm, MSIX + 16 * v + 12, 4, 0);
    }
    before = fakevm_msis(x->vm, &a, &data);
    nic_w(x, IVAR, 8 | 0 << 4 | 9u << 8 | 10u << 16); /* RxQ0: 0, TxQ0: 1, other: 2 */
    nic_w(x, IMS, I_RXQ0 | I_TXQ0 | I_OTHER | I_LSC);
    nic_w(x, ICS, I_RXQ0);
    is_u64(fakevm_msis(x->vm, &a, &data) - before, 1, "MSI-X: a message");
    is_u64(data, 0x50, "RxQ0 on vector 0");
    nic_w(x, ICR, I_RXQ0);
    nic_w(x, ICS, I_TXQ0);
    is_u64(fakevm_msis(x->vm, &a, &data), before + 2, "MSI-X: another");
    is_u64(data, 0x51, "TxQ0 on vector 1");
    nic_w(x, EIAC, I_RXQ0);
    nic_w(x, ICR, ~0u);
    nic_w(x, ICS, I_RXQ0);
    is_u64(nic_r(x, ICS) & I_RXQ0, 0, "EIAC: the message clears its cause");
    nic_w(x, ICS, I_RXQ0);
    is_u64(fakevm_msis(x->vm, &a, &data), before + 4, "and the next comes");
    cfg_w(x->vm, NIC, 0xa2, 2, 0);
}

/* ---- the ROM, state ---- */

static void test_rom(const struct dev_class *c, uint32_t ids)
{
    struct nicbox x;
    uint8_t image[1024] = {0x55, 0xaa, 2};
    uint8_t sum = 0;
    memset(&x, 0, sizeof x);
    st_le16(image + 0x18, 0x40);
    memcpy(image + 0x40, "PCIR\x86\x80\x0e\x10", 8);
    for (int i = 0; i < 1024; i++)
        sum += image[i];
    image[1023] = (uint8_t)-sum;
    nic_make(&x, fakevm_new(1, 1), c, image, sizeof image);
    fakevm_reset(x.vm);
    cfg_w(x.vm, NIC, 0x30, 4, 0xffffffff);
    is_u64(cfg_r(x.vm, NIC, 0x30, 4), 0xfffff001, "expansion ROM BAR of 4 KiB");
    cfg_w(x.vm, NIC, 0x30, 4, 0xe2000001);
    cfg_w(x.vm, NIC, 4, 2, 2);
    is_u64(fakevm_mmio_read(x.vm, 0xe2000044, 4), ids, "the image names this function");
    sum = 0;
    for (unsigned i = 0; i < 1024; i++)
        sum += (uint8_t)fakevm_mmio_read(x.vm, 0xe2000000 + i, 1);
    is_u64(sum, 0, "and its sum is 0");
    fakevm_free(x.vm);
}

static void test_state(struct nicbox *x, const struct dev_class *c)
{
    struct nicbox y;
    struct err er = {0};
    cfg_w(x->vm, NIC, 4, 2, 7);
    tx_setup(x);
    x->room = 0;
    tx_desc(BUF, 100 | TXD_EOP | TXD_IFCS, 0);
    nic_w(x, TDT, txt);
    rx_setup(x, RCTL_BAM);
    nic_w(x, ITR, 0x1000);
    nic_w(x, IMS, 4);
    nic_w(x, ICS, 4);
    nic_r(x, ICR);
    nic_w(x, IMS, 4);
    nic_w(x, ICS, 4);
    memset(&y, 0, sizeof y);
    nic_make(&y, fakevm_new(16, 1), c, NULL, 0);
    net_set_link(&y.peer, true);
    ok(!fakevm_migrate(x->vm, y.vm, &er), "saved, loaded and saved again: the same");
    if (er.msg[0])
        printf("# %s\n", er.msg);
    is_u64(nic_r(&y, RA), 0x12290c00, "registers are there");
    ok(!nic_irq(&y), "the throttled interrupt");
    fakevm_advance(y.vm, 2000000);
    ok(nic_irq(&y), "comes");
    is_u64(y.n_got, 1, "a frame that waited for a full peer goes out");
    nic_forget(&y);
    fakevm_free(y.vm);
}

int main(void)
{
    static const struct dev_class *const classes[] = {&e1000_class, &e1000e_class};
    for (int i = 0; i < 2; i++) {
        struct nicbox x;
        printf("# %s\n", classes[i]->name);
        box(&x, classes[i]);
        test_regs(&x);
        test_eeprom(&x);
        test_phy(&x);
        test_irq(&x);
        if (e)
            test_82574(&x);
        test_state(&x, classes[i]);
        unbox(&x);
        test_rom(classes[i], i ? 0x10d38086 : 0x100f8086);
    }
    return TAP_DONE();
}
