/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82545EM and 82574L: frames through their rings, with offloads, filters and loopback, and what hostile guests put
 * there. Expected values: as in e1000_test.c.
 */
#include "tests/dev/e1000_box.h"
#include "tests/tap.h"

/* ---- transmit ---- */

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
    irqs_off(x);
}

/* ---- receive ---- */

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
    irqs_off(x);
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

int main(void)
{
    static const struct dev_class *const classes[] = {&e1000_class, &e1000e_class};
    for (int i = 0; i < 2; i++) {
        struct nicbox x;
        printf("# %s\n", classes[i]->name);
        box(&x, classes[i]);
        test_tx(&x);
        test_tso(&x);
        test_tx_delay(&x);
        test_rx(&x);
        test_loopback(&x);
        test_hostile(&x);
        unbox(&x);
    }
    return TAP_DONE();
}
