/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: vmxnet3. Register accesses, bytes of guest memory where DriverShared, queue descriptors and rings are,
 * activation of what stands there, descriptors, and frames of the peer with any description.
 */
#include "tests/fuzz/fuzz_dev.h"

#include "tests/dev/vmxnet3box.h"

static struct v3box boxes[2];
static unsigned made;
static struct v3box *cur; /* the machine that runs the program */

static void make(struct vm *vm)
{
    struct v3box *b = &boxes[made++ & 1];
    memset(b, 0, sizeof *b);
    v3_make(b, vm);
    b->peer.port.can = made & 2 ? NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 : 0;
    if (made & 1)
        cur = b;
}

/* A frame of up to 64 KiB out of few input bytes. */
static void peer_frame(struct fuzz *f)
{
    static uint8_t buf[66000];
    static const uint8_t head[] = "\x00\x0c\x29\x12\x34\x56\x02\0\0\0\0\1\x08\0\x45\0\0\0\0\0\0\0\x40\6\0\0\x0a\0\0\1\x0a\0\0\2";
    unsigned kind = (unsigned)fuzz_bytes(f, 1);
    size_t n = fuzz_bytes(f, 2) >> (kind & 3) * 3, given = fuzz_bytes(f, 1) & 63;
    memset(buf, 0x5a, n < sizeof buf ? n : sizeof buf);
    memcpy(buf, head, sizeof head);
    for (size_t i = 0, at = fuzz_bytes(f, 1) & 63; i < given; i++)
        buf[at + i] = (uint8_t)fuzz_bytes(f, 1);
    struct net_offload o = {0};
    if (kind & 4) {
        unsigned bits = (unsigned)fuzz_bytes(f, 1);
        o = (struct net_offload){.needs_csum = bits & 1,
                                 .csum_valid = bits & 2,
                                 .gso = bits & 4 ? (bits & 8 ? NET_GSO_TCPV6 : NET_GSO_TCPV4) : NET_GSO_NONE,
                                 .hdr_len = (uint16_t)fuzz_bytes(f, 1),
                                 .gso_size = (uint16_t)fuzz_bytes(f, 2),
                                 .csum_start = (uint16_t)fuzz_bytes(f, 1),
                                 .csum_offset = (uint16_t)fuzz_bytes(f, 1)};
    }
    struct iovec v[2] = {{buf, n / 3}, {buf + n / 3, n - n / 3}};
    if (kind & 8)
        cur->port.ops->receive(cur->port.end, kind & 4 ? &o : NULL, v, 2); /* past the checks of net.c */
    else
        net_send(&cur->peer.port, kind & 4 ? &o : NULL, v, 2);
}

static void descriptor(struct fuzz *f)
{
    unsigned what = (unsigned)fuzz_bytes(f, 1), q = what & 1;
    uint64_t a = BUFS + fuzz_bytes(f, 2) * (what & 0x80 ? 0x40 : 4);
    if (what & 2)
        v3_give(cur, q, what >> 2 & 1, what >> 3 & 1, a, fuzz_bytes(f, 2) & 0x3fff);
    else
        v3_txd(cur, q, a, (uint32_t)fuzz_bytes(f, 4) & ~(1u << 14), (uint32_t)fuzz_bytes(f, 4));
    if (what & 0x40)
        w0(cur, (what & 2 ? 0x800 : 0x600) + 8 * q, 0);
}

static void extra(struct fuzz *f, unsigned what)
{
    unsigned a = (unsigned)fuzz_bytes(f, 1);
    if (what == 0) {
        uint64_t at = SHARED + fuzz_bytes(f, 2) % (RXRING + 0x8000 - SHARED);
        st_le32(ram(cur, at), (uint32_t)fuzz_bytes(f, 4));
    } else if (what == 1) {
        if (a & 1) {
            v3_bars(cur);
            v3_msix(cur);
        }
        if (a & 2)
            w1(cur, 0, 1u << (a >> 5));
        if (a & 4)
            v3_setup(cur, 1 + (a >> 3 & 1), 1 + (a >> 4 & 1), (uint32_t)fuzz_bytes(f, 1),
                     a & 0x80 ? 9000 : 1500, (unsigned)fuzz_bytes(f, 1) * 8);
        v3_activate(cur);
    } else if (what == 2) {
        descriptor(f);
    } else if (a & 1) {
        peer_frame(f);
    } else if (a & 2) {
        cur->peer.full = a & 4;
        net_writable(&cur->peer.port);
    } else if (a & 8) {
        for (unsigned i = 0; i < 4; i++)
            st_le32(ram(cur, COALCONF + 4 * i), i ? (uint32_t)fuzz_bytes(f, 2) : a >> 4);
        st_le32(ram(cur, SHARED + 704 + 4), 16);
        st_le64(ram(cur, SHARED + 704 + 8), COALCONF);
        cmd(cur, 0xcafe000e);
    } else {
        net_set_link(&cur->port, a & 4);
    }
}

static void before(void) { made = 0; }
FUZZ_DEVICE(.vcpus = 1, .ports = {{0xcf8, 8}}, .n_ports = 1,
            .mmio = {{BAR0, 0x1000}, {BAR1, 0x50}, {BAR2, 0x2000}, {SHARED, 0x2000}}, .n_mmio = 4, .make = make,
            .extra = extra, .before = before)
