/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82545EM and 82574L through their registers and rings. Expected values: PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual (SDM), Intel 82574 datasheet, IEEE 802.3; the patterns of the register test
 * are those of Linux's drivers (ethtool -t).
 */
#include "net/e1000_regs.h"
#include "tests/dev/nicbox.h"
#include "tests/tap.h"

enum { TXR = 0x10000, RXR = 0x20000, BUF = 0x100000, RXB = 0x200000, N = 8 };

static uint8_t *ram;
static bool e; /* 82574 */

static void box(struct nicbox *x, const struct dev_class *c)
{
    memset(x, 0, sizeof *x);
    e = c == &e1000e_class;
    if (!nic_make(x, fakevm_new(16, 1), c, NULL, 0))
        exit(99);
    fakevm_reset(x->vm);
    ram = fakevm_ram(x->vm);
    nic_place(x->vm, 0, 2);
    net_set_link(&x->peer, true);
    fakevm_advance(x->vm, 50000000);
}
static void unbox(struct nicbox *x)
{
    nic_forget(x);
    fakevm_free(x->vm);
}

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
static void phy_w(struct nicbox *x, unsigned reg, uint16_t v) { nic_w(x, MDIC, 1u << 26 | 1u << 21 | reg << 16 | v); }

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
    nic_w(x, IMC, ~0u);
    nic_r(x, ICR);
}

/* ---- interrupts ---- */

static void test_irq(struct nicbox *x)
{
    nic_w(x, IMC, ~0u);
    nic_r(x, ICR);
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
    nic_w(x, IMC, ~0u);
    nic_r(x, ICR);
}

/* ---- transmit ---- */

static unsigned txt;
static void tx_setup(struct nicbox *x)
{
    memset(ram + TXR, 0, 16 * N);
    txt = 0;
    nic_w(x, TDBAL, TXR);
    nic_w(x, TDBAH, 0);
    nic_w(x, TDLEN, 16 * N);
    nic_w(x, TDH, 0);
    nic_w(x, TDT, 0);
    nic_w(x, TCTL, TCTL_EN | TCTL_PSP);
    nic_r(x, ICR);
    nic_r(x, GPTC);
    nic_forget(x);
}
static unsigned tx_desc(uint64_t addr, uint32_t lower, uint32_t upper)
{
    unsigned i = txt;
    st_le64(ram + TXR + 16 * i, addr);
    st_le32(ram + TXR + 16 * i + 8, lower);
    st_le32(ram + TXR + 16 * i + 12, upper);
    txt = (txt + 1) % N;
    return i;
}
static void tx_ctx(uint32_t ip, uint32_t tu, uint32_t cmd_len, unsigned hdrlen, unsigned mss)
{
    tx_desc(ip | (uint64_t)tu << 32, cmd_len | TXD_DEXT, hdrlen << 8 | (uint32_t)mss << 16);
}
static bool tx_done(unsigned i) { return ram[TXR + 16 * i + 12] & 1; }
enum { DATA = TXD_DEXT | 1 << 20 | TXD_IFCS };

static void test_tx(struct nicbox *x)
{
    uint8_t f[4096];
    tx_setup(x);
    size_t n = t_packet(f, 17, 100);
    memcpy(ram + BUF, f, n);
    unsigned i = tx_desc(BUF, (uint32_t)n | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].len == n && !memcmp(x->got[0].data, f, n), "legacy descriptor: the frame");
    ok(tx_done(i), "its DD is set");
    is_u64(nic_r(x, TDH), txt, "TDH = TDT");
    is_u64(nic_r(x, ICR) & (I_TXDW | I_TXQE), I_TXDW | I_TXQE, "TXDW and TXQE");
    is_u64(nic_r(x, GPTC), 1, "GPTC");
    is_u64(nic_r(x, GPTC), 0, "GPTC is cleared by reading");
    is_u64(nic_r(x, GOTCL), n + 4, "GOTC with the FCS");

    nic_forget(x);
    tx_desc(BUF, 40, 0);
    nic_w(x, TDT, txt);
    is_u64(x->n_got, 0, "half a frame is not sent");
    is_u64(nic_r(x, TDH) + 1, txt, "and stays in the ring");
    i = tx_desc(BUF + 40, (uint32_t)(n - 40) | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].len == n && !memcmp(x->got[0].data, f, n), "two descriptors, one frame");

    nic_forget(x);
    tx_desc(BUF, 20 | TXD_EOP | TXD_IFCS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].len == 60, "padded to the least length");

    /* Legacy checksum: TCP's, from CSS 34 to CSO 50 */
    nic_forget(x);
    n = t_packet(f, 6, 61);
    memcpy(ram + BUF, f, n);
    uint32_t pseudo = t_sum(6 + 20 + 61, f + 26, 8);
    st_be16(ram + BUF + 50, (uint16_t)~t_fold(pseudo));
    tx_desc(BUF, (uint32_t)n | TXD_EOP | TXD_IFCS | TXD_IC | 50 << 16, 34 << 8);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].len == n && !memcmp(x->got[0].data, f, n), "legacy checksum insertion");

    /* Context and data: IP and TCP checksums */
    nic_forget(x);
    st_be16(ram + BUF + 24, 0);
    tx_ctx(14 | 24 << 8 | 33 << 16, 34 | 50 << 8, TUCMD_TCP | TUCMD_IP, 0, 0);
    tx_desc(BUF, (uint32_t)n | DATA | TXD_EOP, 3 << 8);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].len == n, "context and data descriptor");
    ok(x->got[0].o.needs_csum && x->got[0].o.csum_start == 34 && x->got[0].o.csum_offset == 16, "the TCP checksum is left to the peer");
    ok(!memcmp(x->got[0].data + 14, f + 14, 20), "the IP checksum is done");
    nic_forget(x);
    x->peer.can = 0;
    tx_desc(BUF, (uint32_t)n | DATA | TXD_EOP, 3 << 8);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && !memcmp(x->got[0].data, f, n), "a peer that cannot gets it done; the context stays");
    x->peer.can = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6;

    /* 802.1Q */
    nic_forget(x);
    nic_w(x, CTRL, nic_r(x, CTRL) | CTRL_VME);
    nic_w(x, VET, 0x8100);
    memcpy(ram + BUF, f, n);
    tx_desc(BUF, (uint32_t)n | TXD_EOP | TXD_IFCS | TXD_VLE, 0x2005u << 16);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].len == n + 4 && !memcmp(x->got[0].data, f, 12) &&
           !memcmp(x->got[0].data + 12, "\x81\x00\x20\x05", 4) && !memcmp(x->got[0].data + 16, f + 12, n - 12),
       "a VLAN tag is inserted");
    nic_w(x, CTRL, nic_r(x, CTRL) & ~(uint32_t)CTRL_VME);

    /* The peer is full. */
    nic_forget(x);
    x->room = 0;
    i = tx_desc(BUF, (uint32_t)n | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(!tx_done(i) && x->n_got == 0, "a full peer: the frame waits");
    x->room = 10;
    net_writable(&x->peer);
    ok(tx_done(i) && x->n_got == 1 && !memcmp(x->got[0].data, f, n), "and goes when there is room");

    /* An FCS of the driver's own */
    nic_forget(x);
    static const uint8_t zero64[64] = {0};
    memcpy(ram + BUF, zero64, 60);
    st_le32(ram + BUF + 60, 0x04128908); /* CRC-32 of 60 zero bytes, by python3's zlib.crc32 */
    tx_desc(BUF, 64 | TXD_EOP | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].len == 60, "without IFCS the FCS in the data is taken off");
    x->room = ~0u;
    nic_r(x, ICR);
}

static void test_tso(struct nicbox *x)
{
    uint8_t f[8192];
    tx_setup(x);
    size_t n = t_packet(f, 6, 3000);
    memcpy(ram + BUF, f, n);
    st_be16(ram + BUF + 16, 0);
    st_be16(ram + BUF + 24, 0);
    st_be16(ram + BUF + 50, (uint16_t)~t_fold(t_sum(6, f + 26, 8))); /* without the length */
    for (int tag = 0; tag < 2; tag++) {
        nic_forget(x);
        if (tag)
            nic_w(x, CTRL, nic_r(x, CTRL) | CTRL_VME);
        tx_ctx(14 | 24 << 8 | 33 << 16, 34 | 50 << 8, 3000 | TXD_TSE | TUCMD_TCP | TUCMD_IP, 54, 1400);
        tx_desc(BUF, 1000 | DATA | TXD_TSE | (tag ? TXD_VLE : 0), 3 << 8);
        unsigned i = tx_desc(BUF + 1000, (uint32_t)(n - 1000) | DATA | TXD_TSE | TXD_EOP | TXD_RS | (tag ? TXD_VLE : 0),
                             tag ? 7u << 16 : 0);
        nic_w(x, TDT, txt);
        ok(tx_done(i) && x->n_got == 1, "TSO: one big frame for a peer that can%s", tag ? ", tagged" : "");
        unsigned at = tag ? 4 : 0;
        const struct nicframe *g = &x->got[0];
        ok(g->len == n + at && g->o.gso == NET_GSO_TCPV4 && g->o.gso_size == 1400 && g->o.hdr_len == 54 + at &&
               g->o.csum_start == 34 + at && g->o.csum_offset == 16,
           "TSO: what is left to do");
        ok(!memcmp(g->data + 14 + at, f + 14, 20), "TSO: IP length and checksum");
        ok(!memcmp(g->data + 54 + at, f + 54, 3000), "TSO: the payload");
        is_u64(nic_r(x, GPTC), 3, "TSO: three frames are counted");
    }
    nic_w(x, CTRL, nic_r(x, CTRL) & ~(uint32_t)CTRL_VME);

    nic_forget(x);
    x->peer.can = 0;
    tx_desc(BUF, (uint32_t)n | DATA | TXD_TSE | TXD_EOP, 3 << 8);
    nic_w(x, TDT, txt);
    is_u64(x->n_got, 3, "TSO for a peer that cannot: three segments");
    bool good = true;
    for (unsigned i = 0; i < x->n_got; i++) {
        const uint8_t *s = x->got[i].data;
        uint32_t pay = i < 2 ? 1400 : 200;
        good = good && x->got[i].len == 54 + pay && ld_be16(s + 16) == 40 + pay && !t_fold(t_sum(0, s + 14, 20)) &&
               !t_fold(t_sum(t_sum(6 + 20 + pay, s + 26, 8), s + 34, 20 + pay)) &&
               ld_be32(s + 38) == 0x01020304 + 1400 * i && !memcmp(s + 54, f + 54 + 1400 * i, pay);
    }
    ok(good, "lengths, checksums, sequence numbers and payload of the segments");
    x->peer.can = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6;

    /* UDP: one datagram for each piece (3.5.4.2) */
    nic_forget(x);
    n = t_packet(f, 17, 2000);
    memcpy(ram + BUF, f, n);
    st_be16(ram + BUF + 40, (uint16_t)~t_fold(t_sum(17, f + 26, 8)));
    x->peer.can = 0;
    tx_ctx(14 | 24 << 8 | 33 << 16, 34 | 40 << 8, 2000 | TXD_TSE | TUCMD_IP, 42, 1400);
    tx_desc(BUF, (uint32_t)n | DATA | TXD_TSE | TXD_EOP, 3 << 8);
    nic_w(x, TDT, txt);
    good = x->n_got == 2;
    for (unsigned i = 0; i < x->n_got && good; i++) {
        const uint8_t *s = x->got[i].data;
        uint32_t pay = i ? 600 : 1400;
        good = x->got[i].len == 42 + pay && ld_be16(s + 38) == 8 + pay && ld_be16(s + 16) == 28 + pay &&
               !t_fold(t_sum(0, s + 14, 20)) && !t_fold(t_sum(t_sum(17 + 8 + pay, s + 26, 8), s + 34, 8 + pay));
    }
    ok(good, "segmentation of UDP");
    x->peer.can = NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6;
}

static void test_tx_delay(struct nicbox *x)
{
    tx_setup(x);
    nic_w(x, TIDV, 100); /* 102.4 us */
    nic_w(x, TADV, 150);
    nic_w(x, IMS, I_TXDW);
    tx_desc(BUF, 60 | TXD_EOP | TXD_IFCS | TXD_RS | TXD_IDE, 0);
    nic_w(x, TDT, txt);
    ok(!nic_irq(x), "TIDV: no interrupt yet");
    fakevm_advance(x->vm, 80000);
    tx_desc(BUF, 60 | TXD_EOP | TXD_IFCS | TXD_RS | TXD_IDE, 0);
    nic_w(x, TDT, txt);
    fakevm_advance(x->vm, 60000);
    ok(!nic_irq(x), "TIDV begins again with each frame");
    fakevm_advance(x->vm, 20000);
    ok(nic_irq(x), "TADV ends it");
    nic_r(x, ICR);
    nic_w(x, IMS, I_TXDW);
    tx_desc(BUF, 60 | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(nic_irq(x), "without IDE: at once");
    nic_w(x, TIDV, 0);
    nic_w(x, TADV, 0);
    nic_w(x, IMC, ~0u);
    nic_r(x, ICR);
}

/* ---- receive ---- */

static unsigned rxn;
static void rx_setup(struct nicbox *x, uint32_t rctl)
{
    memset(ram + RXR, 0, 32 * N);
    memset(ram + RXB, 0xee, 4096 * N);
    for (unsigned i = 0; i < N; i++)
        st_le64(ram + RXR + 16 * i, RXB + 2048 * i);
    rxn = 0;
    nic_w(x, RCTL, 0);
    if (e)
        nic_w(x, RFCTL, 0);
    nic_w(x, RDBAL, RXR);
    nic_w(x, RDBAH, 0);
    nic_w(x, RDLEN, 16 * N);
    nic_w(x, RDH, 0);
    nic_w(x, RDT, N - 1);
    nic_w(x, RCTL, rctl | RCTL_EN);
    nic_r(x, ICR);
}
static const uint8_t *rxd(unsigned i) { return ram + RXR + 16 * (i % N); }
static const uint8_t *rxbuf(unsigned i) { return ram + RXB + 2048 * (i % N); }

static bool arrives(struct nicbox *x, const uint8_t *f, size_t n)
{
    unsigned h = nic_r(x, RDH);
    nic_arrive(x, f, n, NULL);
    return nic_r(x, RDH) != h;
}

static void test_rx(struct nicbox *x)
{
    uint8_t f[4096];
    size_t n = t_packet(f, 6, 100);
    rx_setup(x, RCTL_BAM);
    nic_w(x, RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL);
    nic_w(x, IMS, I_RXT0);
    nic_arrive(x, f, n, NULL);
    ok(nic_irq(x), "a frame: interrupt");
    is_u64(nic_r(x, ICR) & I_RXT0, I_RXT0, "RXT0");
    is_u64(nic_r(x, RDH), 1, "RDH");
    is_u64(ld_le16(rxd(0) + 8), n + 4, "length with the FCS");
    is_u64(rxd(0)[12], RXD_DD | RXD_EOP | RXD_TCPCS | RXD_IPCS, "status: done, end, both checksums looked at");
    is_u64(rxd(0)[13], 0, "no errors");
    ok(!memcmp(rxbuf(0), f, n) && rxbuf(0)[n + 4] == 0xee, "the frame is in the buffer, and nothing behind it");
    is_u64(nic_r(x, GPRC), 1, "GPRC");
    is_u64(nic_r(x, GORCL), n + 4, "GORC");

    f[60] ^= 1;
    nic_arrive(x, f, n, NULL);
    is_u64(rxd(1)[13], RXD_E_TCPE, "wrong TCP checksum: TCPE");
    f[60] ^= 1;
    f[22] ^= 1;
    nic_arrive(x, f, n, NULL);
    is_u64(rxd(2)[13], RXD_E_IPE, "wrong IP checksum: IPE");
    f[22] ^= 1;
    f[60] ^= 1;
    nic_arrive(x, f, n, &(struct net_offload){.csum_valid = true});
    is_u64(rxd(3)[13], 0, "checked already: believed");
    f[60] ^= 1;
    memcpy(f + 12, "\x88\xb5", 2);
    nic_arrive(x, f, n, NULL);
    is_u64(rxd(4)[12], RXD_DD | RXD_EOP | RXD_IXSM, "no IP: ignore the checksum bits");

    /* FCS: 60 bytes of zeros but for the address */
    rx_setup(x, RCTL_UPE | RCTL_SECRC);
    static const uint8_t zero[60] = {0};
    nic_arrive(x, zero, 60, NULL);
    is_u64(ld_le16(rxd(0) + 8), 60, "SECRC: without the FCS");
    rx_setup(x, RCTL_UPE);
    nic_arrive(x, zero, 42, NULL);
    is_u64(ld_le16(rxd(0) + 8), 64, "a short frame is padded");
    is_u64(ld_le32(rxbuf(0) + 60), 0x04128908, "the FCS of 60 zero bytes");

    /* Filters */
    rx_setup(x, 0);
    memset(f, 0, sizeof f);
    memcpy(f, nic_mac, 6);
    ok(arrives(x, f, 64), "own address");
    f[5] ^= 1;
    ok(!arrives(x, f, 64), "another address");
    memset(f, 0xff, 6);
    ok(!arrives(x, f, 64), "broadcast without BAM");
    rx_setup(x, RCTL_BAM);
    ok(arrives(x, f, 64), "broadcast with BAM");
    is_u64(nic_r(x, BPRC), 1, "BPRC");
    memcpy(f, "\x01\x00\x5e\x12\x34\x56", 6);
    ok(!arrives(x, f, 64), "multicast that is not in the table");
    nic_w(x, MTA + 4 * (0x563 >> 5), 1u << (0x563 & 31)); /* bits 47:36 of the address: 5634h >> 4 */
    ok(arrives(x, f, 64), "multicast in the table");
    ok(rxd(1)[12] & RXD_PIF, "passed by the in-exact filter");
    nic_w(x, MTA + 4 * (0x563 >> 5), 0);
    rx_setup(x, RCTL_MPE);
    ok(arrives(x, f, 64), "multicast promiscuous");
    f[0] = 2;
    ok(!arrives(x, f, 64), "unicast is not");
    rx_setup(x, RCTL_UPE);
    ok(arrives(x, f, 64), "unicast promiscuous");
    rx_setup(x, RCTL_UPE);
    ok(arrives(x, f, 1518), "1522 with the FCS is not long");
    ok(!arrives(x, f, 1519), "1523 is, without LPE");
    is_u64(nic_r(x, ROC), 1, "ROC");
    rx_setup(x, RCTL_UPE | RCTL_LPE);
    for (unsigned i = 0; i < 4000; i++)
        f[i] = (uint8_t)(i * 3);
    f[0] = 2;
    nic_arrive(x, f, 4000, NULL);
    is_u64(nic_r(x, RDH), 2, "a jumbo frame takes two buffers of 2048");
    ok(rxd(0)[12] == RXD_DD && ld_le16(rxd(0) + 8) == 2048 && ld_le16(rxd(1) + 8) == 4004 - 2048 && rxd(1)[12] & RXD_EOP &&
           !memcmp(rxbuf(0), f, 4000),
       "its lengths, EOP in the second");

    /* VLAN */
    n = t_packet(f, 17, 64);
    memmove(f + 16, f + 12, n - 12);
    memcpy(f + 12, "\x81\x00\x60\x05", 4);
    n += 4;
    rx_setup(x, RCTL_SECRC);
    nic_w(x, VET, 0x8100);
    nic_arrive(x, f, n, NULL);
    ok(ld_le16(rxd(0) + 8) == n && !(rxd(0)[12] & RXD_VP) && !memcmp(rxbuf(0), f, n), "a tag is left in");
    nic_w(x, CTRL, nic_r(x, CTRL) | CTRL_VME);
    nic_arrive(x, f, n, NULL);
    ok(ld_le16(rxd(1) + 8) == n - 4 && rxd(1)[12] & RXD_VP && ld_le16(rxd(1) + 14) == 0x6005, "a tag is taken off");
    ok(!memcmp(rxbuf(1), f, 12) && !memcmp(rxbuf(1) + 12, f + 16, n - 16), "the rest of the frame");
    ok(rxd(1)[12] & RXD_TCPCS && !rxd(1)[13], "checksums behind the tag");
    nic_w(x, RCTL, RCTL_EN | RCTL_SECRC | RCTL_VFE);
    ok(!arrives(x, f, n), "VLAN 5 is not in the filter");
    nic_w(x, VFTA, 1 << 5);
    ok(arrives(x, f, n), "VLAN 5 is");
    nic_w(x, CTRL, nic_r(x, CTRL) & ~(uint32_t)CTRL_VME);

    /* Full */
    n = t_packet(f, 17, 64);
    rx_setup(x, RCTL_SECRC);
    nic_w(x, RDT, 2);
    x->n_writable = 0;
    ok(nic_arrive(x, f, n, NULL) && nic_arrive(x, f, n, NULL), "two descriptors, two frames");
    ok(!nic_arrive(x, f, n, NULL), "the third has to wait");
    is_u64(x->n_writable, 0, "nobody is told yet");
    nic_w(x, RDT, 5);
    is_u64(x->n_writable, 1, "the sender is told of room");
    ok(nic_arrive(x, f, n, NULL), "and sends");
    nic_w(x, RCTL, 0);
    ok(nic_arrive(x, f, n, NULL), "a receiver that is off loses frames");
    is_u64(nic_r(x, RDH), 3, "and takes none");

    /* RXDMT0 and RDTR */
    rx_setup(x, RCTL_SECRC); /* threshold: half the ring */
    for (int i = 0; i < 2; i++)
        nic_arrive(x, f, n, NULL);
    is_u64(nic_r(x, ICR) & I_RXDMT0, 0, "five of eight left");
    nic_arrive(x, f, n, NULL);
    is_u64(nic_r(x, ICR) & I_RXDMT0, I_RXDMT0, "four of eight left: RXDMT0");
    rx_setup(x, RCTL_SECRC);
    nic_w(x, RDTR, 50);
    nic_w(x, IMS, I_RXT0);
    nic_arrive(x, f, n, NULL);
    ok(!nic_irq(x), "RDTR: not yet");
    fakevm_advance(x->vm, 52000);
    ok(nic_irq(x), "RDTR: after 51 us");
    nic_r(x, ICR);
    nic_w(x, IMS, I_RXT0);
    nic_arrive(x, f, n, NULL);
    nic_w(x, RDTR, 1u << 31);
    ok(nic_irq(x), "FPD flushes");
    nic_w(x, IMC, ~0u);
    nic_r(x, ICR);
}

static void test_loopback(struct nicbox *x)
{
    uint8_t f[2048];
    tx_setup(x);
    rx_setup(x, RCTL_BAM);
    phy_w(x, 0, 0x4140);
    size_t n = t_packet(f, 17, 500);
    memcpy(ram + BUF, f, n);
    tx_desc(BUF, (uint32_t)n | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 0, "loopback: nothing on the cable");
    ok(nic_r(x, RDH) == 1 && !memcmp(rxbuf(0), f, n) && ld_le16(rxd(0) + 8) == n + 4, "loopback: the frame is received");
    phy_w(x, 0, 0x1340);
    fakevm_advance(x->vm, 20000000);
    nic_w(x, RCTL, RCTL_EN | RCTL_BAM | 1 << 6);
    tx_desc(BUF, (uint32_t)n | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 0 && nic_r(x, RDH) == 2, "loopback in the MAC");
    nic_w(x, RCTL, RCTL_EN | RCTL_BAM);
    nic_r(x, ICR);
}

/* ---- hostile guests ---- */

static void test_hostile(struct nicbox *x)
{
    tx_setup(x);
    nic_w(x, TDT, N + 3);
    ok(x->n_got == 0, "TDT beyond the ring");
    nic_w(x, TDT, 0);
    nic_w(x, TDH, 60000);
    nic_w(x, TDT, 1);
    ok(x->n_got == 0, "TDH beyond the ring");
    tx_setup(x);
    tx_desc(0xfffffffffff0ull, 1000 | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1 && x->got[0].data[0] == 0xff, "a buffer in nowhere reads as ones");
    tx_setup(x);
    tx_desc(NIC_MMIO + ICR, 1000 | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    ok(x->n_got == 1, "a buffer in the adapter's own registers");
    tx_setup(x);
    nic_w(x, TDBAL, 0x7ffffff0);
    nic_w(x, TDT, 3);
    is_u64(nic_r(x, TDH), 0, "a ring in nowhere");
    tx_setup(x);
    tx_ctx(255 | 255 << 8, 255 | 3 << 8, 0xfffff | TXD_TSE | TUCMD_TCP | TUCMD_IP, 255, 1);
    unsigned i = tx_desc(BUF, 0xffff | DATA | TXD_TSE | TXD_EOP | TXD_RS, 3 << 8);
    nic_w(x, TDT, txt);
    ok(x->n_got == 0 && tx_done(i), "segmentation of nonsense is dropped");
    /* A ring of only EOP-less descriptors of length 0. */
    tx_setup(x);
    memset(ram + TXR, 0, 0x8000);
    nic_w(x, TDLEN, 0x8000);
    nic_w(x, TDT, 0x7ff);
    fakevm_advance(x->vm, 1000000);
    is_u64(nic_r(x, TDH), 0x7ff, "a chain without an end is dropped");
    /* And then a whole frame */
    st_le64(ram + TXR + 16 * 0x7ff, BUF);
    st_le32(ram + TXR + 16 * 0x7ff + 8, 64 | TXD_EOP | TXD_IFCS | TXD_RS);
    nic_w(x, TDT, 0);
    is_u64(x->n_got, 0, "up to its last descriptor");
    st_le64(ram + TXR, BUF);
    st_le32(ram + TXR + 8, 64 | TXD_EOP | TXD_IFCS | TXD_RS);
    nic_w(x, TDT, 1);
    is_u64(x->n_got, 1, "the next frame goes out");
    /* Receive into nowhere */
    uint8_t f[100] = {0};
    rx_setup(x, RCTL_UPE);
    st_le64(ram + RXR, 0xffffffff00000000ull);
    ok(nic_arrive(x, f, 100, NULL), "a receive buffer in nowhere");
    nic_w(x, RDT, 9000);
    ok(nic_arrive(x, f, 100, NULL), "RDT beyond the ring: the frame is lost");
    nic_w(x, RDLEN, 0);
    ok(nic_arrive(x, f, 100, NULL), "no ring at all");
    cfg_w(x->vm, NIC, 4, 2, 3);
    tx_setup(x);
    tx_desc(BUF, 64 | TXD_EOP | TXD_IFCS | TXD_RS, 0);
    nic_w(x, TDT, txt);
    is_u64(x->n_got, 0, "no bus master: nothing is sent");
    cfg_w(x->vm, NIC, 4, 2, 7);
    is_u64(x->n_got, 1, "until it is one");
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
    nic_w(x, IMC, ~0u);
    nic_r(x, ICR);
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
        test_tx(&x);
        test_tso(&x);
        test_tx_delay(&x);
        test_rx(&x);
        test_loopback(&x);
        if (e)
            test_82574(&x);
        test_hostile(&x);
        test_state(&x, classes[i]);
        unbox(&x);
        test_rom(classes[i], i ? 0x10d38086 : 0x100f8086);
    }
    return TAP_DONE();
}
