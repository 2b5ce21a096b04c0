/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vmxnet3 on a bench: a fake vm, a PCI bus, the adapter, a peer that keeps what it gets, and as much of a driver as
 * the tests need. Offsets are those of the Linux driver's vmxnet3_defs.h, written down again. For the device test and
 * the fuzz harness.
 */
#ifndef LODGE_TESTS_VMXNET3BOX_H
#define LODGE_TESTS_VMXNET3BOX_H

#include <string.h>

#include "base/bytes.h"
#include "core/dma.h"
#include "net/net.h"
#include "net/nic.h"
#include "pci/pci.h"
#include "tests/dev/pcibox.h"

enum {
    NIC = PCI_DEVFN(3, 0),
    BAR0 = 0xe0000000,
    BAR1 = 0xe0001000,
    BAR2 = 0xe0002000,
    SHARED = 0x10000,
    QDESC = 0x11000,
    RSSCONF = 0x12000,
    MFTABLE = 0x12800,
    COALCONF = 0x12c00,
    TXRING = 0x20000, /* + 4000h for each queue; completions 2000h behind */
    RXRING = 0x40000, /* + 8000h for each queue; second ring at 2000h, completions at 4000h */
    RXDATA = 0x60000, /* + 4000h for each queue */
    BUFS = 0x80000,
    RINGS = 64,
};

struct peer {
    struct net_port port;
    uint8_t buf[70000];
    size_t len;
    struct net_offload o;
    unsigned frames, writable, links;
    bool full;
};

static bool peer_receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    struct peer *p = end;
    if (p->full)
        return false;
    p->len = iov_get(f, n, 0, p->buf, sizeof p->buf);
    p->o = o ? *o : (struct net_offload){0};
    p->frames++;
    return true;
}
static void peer_writable(void *end) { ((struct peer *)end)->writable++; }
static void peer_link(void *end, bool up) { ((struct peer *)end)->links++; }
static const struct net_end_ops peer_ops = {.receive = peer_receive, .writable = peer_writable, .link = peer_link};

struct v3box {
    struct vm *vm;
    struct pci_bus *bus;
    struct dev *nic;
    struct net_port port;
    struct peer peer;
    unsigned txq, rxq;
    /* the driver's places */
    unsigned tx_next[2], tc_next[2], rc_next[2], rx_fill[2][2];
};

static const uint8_t box_mac[6] = {0x00, 0x0c, 0x29, 0x12, 0x34, 0x56};

__attribute__((unused)) static void v3_make(struct v3box *b, struct vm *vm)
{
    struct err e = {0};
    b->vm = vm;
    b->bus = (struct pci_bus *)dev_create(vm, &pci_bus_class, "pci0", NULL, &e);
    static const uint8_t rom[4096] = {0x55, 0xaa, 8};
    struct nic_params p = {
        .bus = b->bus, .devfn = NIC, .port = &b->port, .queues = 2, .rom = rom, .rom_size = sizeof rom};
    memcpy(p.mac, box_mac, 6);
    b->nic = dev_create(vm, &vmxnet3_class, "ethernet0", &p, &e);
    net_port_init(&b->peer.port, &peer_ops, &b->peer, 0);
    net_connect(&b->port, &b->peer.port);
    net_set_link(&b->port, true);
}

static inline uint32_t r1(struct v3box *b, unsigned off) { return (uint32_t)fakevm_mmio_read(b->vm, BAR1 + off, 4); }
static inline void w1(struct v3box *b, unsigned off, uint32_t v) { fakevm_mmio_write(b->vm, BAR1 + off, 4, v); }
static inline void w0(struct v3box *b, unsigned off, uint32_t v) { fakevm_mmio_write(b->vm, BAR0 + off, 4, v); }
static inline uint32_t cmd(struct v3box *b, uint32_t c)
{
    w1(b, 0x20, c);
    return r1(b, 0x20);
}
static inline uint8_t *ram(struct v3box *b, uint64_t a) { return fakevm_ram(b->vm) + a; }

/* What firmware and the driver's probe do. */
__attribute__((unused)) static void v3_bars(struct v3box *b)
{
    cfg_w(b->vm, NIC, 0x10, 4, BAR0);
    cfg_w(b->vm, NIC, 0x14, 4, BAR1);
    cfg_w(b->vm, NIC, 0x18, 4, BAR2);
    cfg_w(b->vm, NIC, 4, 2, 6);
}

/* A vector per queue, message data 4040h + vector. */
__attribute__((unused)) static void v3_msix(struct v3box *b)
{
    for (unsigned v = 0; v < 4; v++) {
        fakevm_mmio_write(b->vm, BAR2 + 16 * v, 4, 0xfee00000);
        fakevm_mmio_write(b->vm, BAR2 + 16 * v + 8, 4, 0x4040 + v);
        fakevm_mmio_write(b->vm, BAR2 + 16 * v + 12, 4, 0);
    }
    cfg_w(b->vm, NIC, 0x9e, 2, 0x8000);
}

/* DriverShared and queue descriptors with rings of RINGS entries; vector = queue, events on vector 2. */
__attribute__((unused)) static void v3_setup(struct v3box *b, unsigned txq, unsigned rxq, uint32_t features, unsigned mtu,
                                             unsigned data_size)
{
    uint8_t *s = ram(b, SHARED), *m = s + 8;
    b->txq = txq;
    b->rxq = rxq;
    memset(ram(b, 0x10000), 0, 0x80000 - 0x10000);
    memset(b->tx_next, 0, sizeof b->tx_next);
    memset(b->tc_next, 0, sizeof b->tc_next);
    memset(b->rc_next, 0, sizeof b->rc_next);
    memset(b->rx_fill, 0, sizeof b->rx_fill);
    st_le32(s, 0xbabefee1);
    st_le64(m + 16, features);
    st_le64(m + 32, QDESC);
    st_le32(m + 44, (txq + rxq) * 256);
    st_le32(m + 48, mtu);
    st_le16(m + 52, 18);
    m[54] = (uint8_t)txq;
    m[55] = (uint8_t)rxq;
    m[72] = 1; /* automatic masks */
    m[73] = 3;
    m[74] = 2; /* events */
    st_le32(m + 112, 1 | 4); /* unicast, broadcast */
    for (unsigned q = 0; q < txq; q++) {
        uint8_t *c = ram(b, QDESC + 256 * q + 16);
        st_le64(c, TXRING + 0x4000 * q);
        st_le64(c + 16, TXRING + 0x4000 * q + 0x2000);
        st_le32(c + 40, RINGS);
        st_le32(c + 48, RINGS);
        c[56] = (uint8_t)q;
    }
    for (unsigned q = 0; q < rxq; q++) {
        uint8_t *c = ram(b, QDESC + 256 * (txq + q) + 16);
        st_le64(c, RXRING + 0x8000 * q);
        st_le64(c + 8, RXRING + 0x8000 * q + 0x2000);
        st_le64(c + 16, RXRING + 0x8000 * q + 0x4000);
        st_le64(c + 32, data_size ? RXDATA + 0x4000 * q : 0);
        st_le32(c + 40, RINGS);
        st_le32(c + 44, RINGS);
        st_le32(c + 48, 2 * RINGS);
        c[56] = (uint8_t)q;
        st_le16(c + 58, (uint16_t)data_size);
    }
}

__attribute__((unused)) static uint32_t v3_activate(struct v3box *b)
{
    w1(b, 0x10, SHARED);
    w1(b, 0x18, 0);
    return cmd(b, 0xcafe0000);
}

/* Gives a receive buffer: ring 0 or 1, HEAD (0) or BODY (1). */
__attribute__((unused)) static void v3_give(struct v3box *b, unsigned q, unsigned ring, unsigned body, uint64_t a, unsigned len)
{
    unsigned i = b->rx_fill[q][ring]++, gen = !(i / RINGS & 1);
    uint8_t *d = ram(b, RXRING + 0x8000 * q + 0x2000 * ring + 16 * (i % RINGS));
    st_le64(d, a);
    st_le32(d + 8, len | body << 14 | gen << 31);
}

/* Puts a transmit descriptor; dw2: length and msscof, dw3 as is. The generation is the ring's. */
__attribute__((unused)) static void v3_txd(struct v3box *b, unsigned q, uint64_t a, uint32_t dw2, uint32_t dw3)
{
    unsigned i = b->tx_next[q]++, gen = !(i / RINGS & 1);
    uint8_t *d = ram(b, TXRING + 0x4000 * q + 16 * (i % RINGS));
    st_le64(d, a);
    st_le32(d + 8, dw2 | gen << 14);
    st_le32(d + 12, dw3);
}

/* The next completion, or NULL. */
__attribute__((unused)) static uint8_t *v3_tcd(struct v3box *b, unsigned q)
{
    unsigned i = b->tc_next[q];
    uint8_t *d = ram(b, TXRING + 0x4000 * q + 0x2000 + 16 * (i % RINGS));
    if (ld_le32(d + 12) >> 31 != !(i / RINGS & 1))
        return NULL;
    b->tc_next[q]++;
    return d;
}
__attribute__((unused)) static uint8_t *v3_rcd(struct v3box *b, unsigned q)
{
    unsigned i = b->rc_next[q];
    uint8_t *d = ram(b, RXRING + 0x8000 * q + 0x4000 + 16 * (i % (2 * RINGS)));
    if (ld_le32(d + 12) >> 31 != !(i / (2 * RINGS) & 1))
        return NULL;
    b->rc_next[q]++;
    return d;
}

/* The peer sends n bytes. */
__attribute__((unused)) static bool peer_send(struct v3box *b, const struct net_offload *o, const void *data, size_t n)
{
    struct iovec v = {(void *)data, n};
    return net_send(&b->peer.port, o, &v, 1);
}

#endif
