/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmxnet3 as a driver sees it, after the Linux driver's headers; RSS with the published test vectors of the Toeplitz hash. */
#include "tests/dev/vmxnet3box.h"
#include "tests/tap.h"

enum { EOP = 1 << 12, CQ = 1 << 13, TI = 1 << 15, OM_CSUM = 2 << 10, OM_TSO = 3 << 10 };

/* RFC 1071, word by word. */
static uint32_t sum16(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    return s;
}
static uint16_t fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

/* An Ethernet frame with IPv4 or IPv6 and TCP or UDP; the payload counts up. Checksums are right. Returns its length. */
static size_t packet(uint8_t *h, bool v6, bool tcp, size_t payload, bool sums)
{
    size_t l3 = 14, l4 = l3 + (v6 ? 40 : 20), l4h = tcp ? 20 : 8, n = l4 + l4h + payload;
    memset(h, 0, n);
    memcpy(h, box_mac, 6);
    memcpy(h + 6, "\x02\x00\x00\x00\x00\x01", 6);
    st_be16(h + 12, v6 ? 0x86dd : 0x0800);
    uint32_t ps;
    if (v6) {
        h[l3] = 0x60;
        st_be16(h + l3 + 4, (uint16_t)(l4h + payload));
        h[l3 + 6] = tcp ? 6 : 17;
        h[l3 + 7] = 64;
        memcpy(h + l3 + 8, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 32);
        ps = sum16(0, h + l3 + 8, 32);
    } else {
        h[l3] = 0x45;
        st_be16(h + l3 + 2, (uint16_t)(n - l3));
        h[l3 + 8] = 64;
        h[l3 + 9] = tcp ? 6 : 17;
        memcpy(h + l3 + 12, "\x0a\0\0\x01\x0a\0\0\x02", 8);
        st_be16(h + l3 + 10, (uint16_t)~fold(sum16(0, h + l3, 20)));
        ps = sum16(0, h + l3 + 12, 8);
    }
    st_be16(h + l4, 1000);
    st_be16(h + l4 + 2, 2000);
    if (tcp) {
        st_be32(h + l4 + 4, 0x01020304);
        h[l4 + 12] = 0x50;
        h[l4 + 13] = 0x10;
    } else {
        st_be16(h + l4 + 4, (uint16_t)(8 + payload));
    }
    for (size_t i = 0; i < payload; i++)
        h[l4 + l4h + i] = (uint8_t)(i * 7 + (i >> 8));
    size_t at = l4 + (tcp ? 16 : 6);
    ps += (tcp ? 6u : 17u) + (uint32_t)(l4h + payload);
    st_be16(h + at, sums ? (uint16_t)~fold(sum16(ps, h + l4, l4h + payload)) : fold(ps));
    return n;
}
static bool l4_sum_good(const uint8_t *h, bool v6, size_t n)
{
    size_t l3 = 14, l4 = l3 + (v6 ? 40 : 20);
    uint32_t ps = v6 ? sum16(h[l3 + 6], h + l3 + 8, 32) : sum16(h[l3 + 9], h + l3 + 12, 8);
    return fold(sum16(ps + (uint32_t)(n - l4), h + l4, n - l4)) == 0xffff;
}

static void box_new(struct v3box *b)
{
    memset(b, 0, sizeof *b);
    v3_make(b, fakevm_new(4, 1));
    fakevm_reset(b->vm);
    v3_bars(b);
}

static unsigned msis(struct v3box *b, uint32_t *data)
{
    uint64_t a;
    return fakevm_msis(b->vm, &a, data);
}

static void test_registers(struct v3box *b)
{
    struct vm *vm = b->vm;
    is_u64(cfg_r(vm, NIC, 0, 4), 0x07b015ad, "vendor and device");
    is_u64(cfg_r(vm, NIC, 0x2c, 4), 0x07b015ad, "subsystem");
    is_u64(cfg_r(vm, NIC, 10, 2), 0x0200, "Ethernet controller");
    is_u64(cfg_r(vm, NIC, 0x9c, 1), 0x11, "MSI-X capability");
    is_u64(cfg_r(vm, NIC, 0x9e, 2), 24, "25 vectors");
    is_u64(cfg_r(vm, NIC, 0xa0, 4), 2, "table in BAR 2");
    is_u64(cfg_r(vm, NIC, 0x84, 1), 0x05, "MSI capability");
    cfg_w(vm, NIC, 0x30, 4, 0xe0010001);
    is_u64(fakevm_mmio_read(vm, 0xe0010000, 2), 0xaa55, "expansion ROM");
    is_u64(r1(b, 0) & 7, 7, "VRRS: revisions 1 to 3");
    is_u64(r1(b, 0) & 0x38, 0, "not 4 to 6, which cannot decline tunnels");
    is_u64(r1(b, 8), 1, "UVRS");
    is_u64(cmd(b, 0xf00d0003), 0x12290c00, "permanent MAC, low");
    is_u64(cmd(b, 0xf00d0004), 0x5634, "permanent MAC, high");
    is_u64(r1(b, 0x28), 0x12290c00, "MACL");
    is_u64(r1(b, 0x30), 0x5634, "MACH");
    is_u64(cmd(b, 0xf00d0002), 10000 << 16 | 1, "link: 10 Gbit/s, up");
    net_set_link(&b->port, false);
    is_u64(cmd(b, 0xf00d0002), 0, "link: down");
    net_set_link(&b->port, true);
    is_u64(cmd(b, 0xf00d0008), 0, "interrupt type: any; mask mode: automatic");
    is_u64(cmd(b, 0xf00d000f), 0x0202, "queues: 2 and 2");
    uint32_t n = cmd(b, 0xf00d000a);
    ok(n >= 128 && n <= 2048 && n % 64 == 0, "transmit data descriptor of %u", n);
    w1(b, 0x48, 0xffffffff);
    is_u64(cmd(b, 0xf00d0012) & ~1u, 0, "no tunnel offload, no large BAR");
    is_u64(cmd(b, 0xf00d1234), 0, "an unknown command");
    is_u64(fakevm_mmio_read(vm, BAR0, 4), 1, "vectors are masked after reset");
    w1(b, 0x28, 0x44332211);
    is_u64(r1(b, 0x28), 0x12290c00, "MACL waits for MACH");
    w1(b, 0x30, 0x6655);
    is_u64(r1(b, 0x28), 0x44332211, "new address");
    ok(!memcmp(b->port.mac, "\x11\x22\x33\x44\x55\x66", 6), "the port knows it");
    fakevm_reset(vm);
    v3_bars(b);
    is_u64(r1(b, 0x28), 0x12290c00, "reset: the permanent address");
}

static void test_activation(struct v3box *b)
{
    v3_setup(b, 1, 1, 0, 1500, 0);
    st_le32(ram(b, SHARED), 0);
    ok(v3_activate(b) != 0, "wrong magic: no");
    v3_setup(b, 9, 1, 0, 1500, 0);
    ok(v3_activate(b) != 0, "too many transmit queues: no");
    v3_setup(b, 1, 0, 0, 1500, 0);
    ok(v3_activate(b) != 0, "no receive queue: no");
    v3_setup(b, 1, 1, 0, 20000, 0);
    ok(v3_activate(b) != 0, "MTU 20000: no");
    v3_setup(b, 1, 1, 0, 1500, 0);
    st_le32(ram(b, QDESC + 16 + 40), 8192);
    ok(v3_activate(b) != 0, "ring of 8192: no");
    v3_setup(b, 1, 1, 0, 1500, 0);
    ram(b, QDESC + 16)[56] = 25;
    ok(v3_activate(b) != 0, "vector 25: no");
    v3_setup(b, 1, 1, 0, 1500, 0);
    w1(b, 0x10, 0xfffffff0);
    w1(b, 0x18, 0xffffffff);
    ok(cmd(b, 0xcafe0000) != 0, "DriverShared nowhere: no");
    is_u64(v3_activate(b), 0, "activated");
    is_u64(cmd(b, 0xcafe0001), 0, "quiesced");
    v3_txd(b, 0, BUFS, 64, EOP | CQ);
    w0(b, 0x600, 1);
    ok(!v3_tcd(b, 0), "nothing is sent while quiesced");
    is_u64(cmd(b, 0xcafe0002), 0, "reset");
}

static void test_tx(struct v3box *b)
{
    uint8_t *d, f[3000];
    uint32_t data;
    v3_setup(b, 2, 2, 0, 1500, 0);
    v3_msix(b);
    is_u64(v3_activate(b), 0, "activated");
    unsigned n0 = msis(b, &data), frames = b->peer.frames;
    size_t n = packet(f, false, true, 200, true);
    memcpy(ram(b, BUFS), f, n);
    v3_txd(b, 0, BUFS, (uint32_t)n, EOP | CQ);
    w0(b, 0x600, 1);
    is_u64(b->peer.frames, frames + 1, "sent");
    ok(b->peer.len == n && !memcmp(b->peer.buf, f, n), "as it was");
    d = v3_tcd(b, 0);
    ok(d && (ld_le32(d) & 0xfff) == 0 && (ld_le32(d + 12) >> 24 & 0x7f) == 0, "completed: index and type 0");
    is_u64(msis(b, NULL), n0, "masked: no interrupt");
    w0(b, 0, 0);
    is_u64(msis(b, &data), n0 + 1, "it comes when the vector is unmasked");
    is_u64(data, 0x4040, "vector 0");
    is_u64(fakevm_mmio_read(b->vm, BAR0, 4), 1, "and is masked by it");
    w0(b, 0, 0);
    is_u64(msis(b, NULL), n0 + 1, "nothing more");

    /* three pieces; the frame is not ready until the SOP is */
    unsigned sop = b->tx_next[0];
    v3_txd(b, 0, BUFS, 10, 0);
    v3_txd(b, 0, BUFS + 10, 100, 0);
    v3_txd(b, 0, BUFS + 110, (uint32_t)n - 110, EOP | CQ);
    ram(b, TXRING + 16 * sop)[9] ^= 0x40;
    w0(b, 0x600, 4);
    is_u64(b->peer.frames, frames + 1, "SOP of the old generation: not yet");
    ram(b, TXRING + 16 * sop)[9] ^= 0x40;
    w0(b, 0x600, 4);
    ok(b->peer.frames == frames + 2 && b->peer.len == n && !memcmp(b->peer.buf, f, n), "three pieces");
    d = v3_tcd(b, 0);
    is_u64(d ? ld_le32(d) & 0xfff : 99, sop + 2, "completion names the EOP");
    is_u64(msis(b, NULL), n0 + 2, "an interrupt");

    v3_txd(b, 0, BUFS, 20, EOP);
    w0(b, 0x600, 5);
    is_u64(b->peer.len, 60, "a short frame is padded");
    ok(!v3_tcd(b, 0), "no completion asked, none given");

    v3_txd(b, 0, BUFS, (uint32_t)n, EOP | CQ | TI | 0x6123u << 16);
    w0(b, 0x600, 6);
    ok(b->peer.len == n + 4 && !memcmp(b->peer.buf, f, 12) && !memcmp(b->peer.buf + 16, f + 12, n - 12), "tag inserted");
    is_u64(ld_be32(b->peer.buf + 12), 0x81006123, "the tag");

    /* the second queue, its own vector */
    w0(b, 8, 0);
    v3_txd(b, 1, BUFS, (uint32_t)n, EOP | CQ);
    w0(b, 0x608, 1);
    msis(b, &data);
    ok(v3_tcd(b, 1) && data == 0x4041, "queue 1, vector 1");

    /* wrap around */
    frames = b->peer.frames;
    while (v3_tcd(b, 0))
        ;
    for (unsigned i = 0; i < 3 * RINGS; i++) {
        v3_txd(b, 0, BUFS, (uint32_t)n, EOP | CQ);
        w0(b, 0x600, 0);
        if (!v3_tcd(b, 0))
            break;
    }
    is_u64(b->peer.frames - frames, 3 * RINGS, "three times around the ring");

    /* backpressure */
    b->peer.full = true;
    frames = b->peer.frames;
    v3_txd(b, 0, BUFS, (uint32_t)n, EOP | CQ);
    w0(b, 0x600, 0);
    ok(!v3_tcd(b, 0), "peer full: the frame stays");
    b->peer.full = false;
    net_writable(&b->peer.port);
    ok(v3_tcd(b, 0) && b->peer.frames == frames + 1, "and goes when there is room");

    /* errors */
    v3_txd(b, 0, 0xf0000000, 100, EOP | CQ);
    w0(b, 0x600, 0);
    ok(v3_tcd(b, 0) && b->peer.frames == frames + 1, "a buffer that is not RAM: dropped, completed");
    is_u64(cmd(b, 0xf00d0001), 0, "GET_STATS");
    ok(ld_le64(ram(b, QDESC + 88 + 16)) >= 3 * RINGS, "unicast packets counted");
    is_u64(ld_le64(ram(b, QDESC + 88 + 64)), 1, "one error");
    v3_txd(b, 0, BUFS, 100 | 1 << 16, EOP | CQ);
    w0(b, 16, 0);
    w0(b, 0x600, 0);
    msis(b, &data);
    is_u64(data, 0x4042, "unknown descriptor type: event interrupt");
    is_u64(ld_le32(ram(b, SHARED + 696)), 2, "ECR in DriverShared: TQERR");
    is_u64(r1(b, 0x40), 2, "ECR register");
    w1(b, 0x40, 2);
    is_u64(ld_le32(ram(b, SHARED + 696)), 0, "acknowledged");
    cmd(b, 0xf00d0000);
    ok(ram(b, QDESC + 80)[0] == 1 && ld_le32(ram(b, QDESC + 84)) == 0x80000003, "queue status");
}

static void test_offload(struct v3box *b)
{
    static uint8_t f[60000];
    v3_setup(b, 1, 1, 0, 1500, 0);
    v3_activate(b);
    for (int v6 = 0; v6 < 2; v6++) {
        size_t l4 = v6 ? 54 : 34, n = packet(f, v6, false, 301, false);
        memcpy(ram(b, BUFS), f, n);
        v3_txd(b, 0, BUFS, (uint32_t)n | (uint32_t)(l4 + 6) << 18, (uint32_t)l4 | OM_CSUM | EOP | CQ);
        b->peer.port.can = 0;
        w0(b, 0x600, 0);
        ok(b->peer.len == n && l4_sum_good(b->peer.buf, v6, n), "IPv%d: UDP checksum finished for a peer that cannot", v6 ? 6 : 4);
        v3_txd(b, 0, BUFS, (uint32_t)n | (uint32_t)(l4 + 6) << 18, (uint32_t)l4 | OM_CSUM | EOP | CQ | TI | 5u << 16);
        b->peer.port.can = NET_CAN_CSUM;
        w0(b, 0x600, 0);
        ok(b->peer.o.needs_csum && b->peer.o.csum_start == l4 + 4 && b->peer.o.csum_offset == 6, "left to one that can, after a tag");

        /* What Linux leaves: the sum of the pseudo header without length; IPv4: header checksum 0; IPv6: length 0. */
        n = packet(f, v6, true, 5000, false);
        uint32_t ps = v6 ? sum16(6, f + 22, 32) : sum16(6, f + 26, 8);
        st_be16(f + l4 + 16, fold(ps));
        if (v6)
            st_be16(f + 18, 0);
        else
            st_be16(f + 24, 0);
        memcpy(ram(b, BUFS), f, n);
        for (int can = 0; can < 2; can++) {
            unsigned frames = b->peer.frames;
            b->peer.port.can = can ? NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 : 0;
            v3_txd(b, 0, BUFS, 2000 | 1448u << 18, (uint32_t)(l4 + 20) | OM_TSO);
            v3_txd(b, 0, BUFS + 2000, (uint32_t)n - 2000, EOP | CQ);
            w0(b, 0x600, 0);
            const uint8_t *g = b->peer.buf;
            if (can) {
                ok(b->peer.frames == frames + 1 && b->peer.len == n, "IPv%d: TSO frame whole", v6 ? 6 : 4);
                ok(b->peer.o.gso == (v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4) && b->peer.o.gso_size == 1448 &&
                       b->peer.o.hdr_len == l4 + 20 && b->peer.o.csum_start == l4, "its description");
                is_u64(ld_be16(g + (v6 ? 18 : 16)), v6 ? n - 54 : n - 14, "length in the IP header");
                ok(v6 || fold(sum16(0, g + 14, 20)) == 0xffff, "IP header checksum");
                is_u64(ld_be16(g + l4 + 16), fold(ps + (uint32_t)(n - l4)), "the pseudo header's sum with length");
            } else {
                is_u64(b->peer.frames, frames + 4, "four segments of 1448 for a peer that cannot");
                is_u64(b->peer.len, l4 + 20 + 5000 - 3 * 1448, "the last one's length");
                ok(l4_sum_good(g, v6, b->peer.len), "its checksum");
                ok(!memcmp(g + l4 + 20, f + l4 + 20 + 3 * 1448, 5000 - 3 * 1448), "its data");
            }
        }
    }
    for (int can = 0; can < 2; can++) { /* segments that fill an MTU of 9000 */
        unsigned frames = b->peer.frames;
        b->peer.port.can = can ? NET_CAN_CSUM | NET_CAN_TSO4 : 0;
        size_t n = packet(f, false, true, 3 * 8960, false);
        memcpy(ram(b, BUFS), f, n);
        v3_txd(b, 0, BUFS, 14000 | 8960u << 18, 54 | OM_TSO);
        v3_txd(b, 0, BUFS + 14000, (uint32_t)n - 14000, EOP | CQ);
        w0(b, 0x600, 0);
        is_u64(b->peer.frames - frames, can ? 1 : 3, "segments of 8960");
        is_u64(b->peer.len, can ? n : 9014, "their length");
    }
    unsigned frames = b->peer.frames;
    v3_txd(b, 0, BUFS, 1000 | 1448u << 18, 1000 | OM_TSO | EOP | CQ);
    v3_txd(b, 0, BUFS, 1000 | 999u << 18, 34 | OM_CSUM | EOP | CQ);
    v3_txd(b, 0, BUFS, 1000, 34 | 1 << 10 | EOP | CQ);
    w0(b, 0x600, 0);
    is_u64(b->peer.frames, frames, "offloads that make no sense: dropped");
    cmd(b, 0xf00d0001);
    is_u64(ld_le64(ram(b, QDESC + 88)), 22, "TSO segments counted");
}

static uint32_t rx_len(const uint8_t *d) { return ld_le32(d + 8) & 0x3fff; }

static void test_rx(struct v3box *b)
{
    static uint8_t f[12000];
    const uint8_t *d;
    size_t n = packet(f, false, true, 1400, true);
    struct net_offload valid = {.csum_valid = true};
    w1(b, 0, 4); /* revision 3 */
    v3_setup(b, 1, 1, 1, 1500, 0);
    is_u64(v3_activate(b), 0, "activated, RX checksum on");
    ok(peer_send(b, NULL, f, n) == false, "no buffers: the sender waits");
    is_u64(ram(b, QDESC + 256)[0], 1, "updateRxProd asks to be told");
    for (int i = 0; i < 40; i++)
        v3_give(b, 0, 0, 0, BUFS + 0x800 * i, 1536);
    for (int i = 0; i < 40; i++)
        v3_give(b, 0, 1, 1, BUFS + 0x20000 + 0x1000 * i, 4096);
    w0(b, 0x800, 40);
    is_u64(b->peer.writable, 1, "buffers given: the sender is told");
    ok(peer_send(b, NULL, f, n), "received");
    is_u64(ram(b, QDESC + 256)[0], 0, "updateRxProd off again");
    d = v3_rcd(b, 0);
    ok(d && !memcmp(ram(b, BUFS), f, n), "the data");
    is_u64(rx_len(d), n, "length");
    is_u64(ld_le32(d) & 0x3ffffff, 3 << 14, "descriptor 0, SOP and EOP, queue 0");
    is_u64(ld_le32(d) >> 30 & 1, 0, "checksum calculated");
    is_u64(ld_le32(d + 12) & 0x7fff0000, 0x03ad0000, "type 3, FCS good, IPv4, IP checksum good, TCP, its checksum good");
    f[100] ^= 1;
    peer_send(b, NULL, f, n);
    is_u64(ld_le32(v3_rcd(b, 0) + 12) & 0x00ff0000, 0x00ac0000, "a wrong TCP checksum is not called good");
    peer_send(b, &valid, f, n);
    is_u64(ld_le32(v3_rcd(b, 0) + 12) & 0x00ff0000, 0x00ad0000, "unless it never left the host");
    n = packet(f, true, false, 333, true);
    peer_send(b, NULL, f, n);
    is_u64(ld_le32(v3_rcd(b, 0) + 12) & 0x00ff0000, 0x00930000, "IPv6 UDP, good");
    n = packet(f, true, false, 333, false);
    peer_send(b, &(struct net_offload){.needs_csum = true, .csum_start = 54, .csum_offset = 6}, f, n);
    d = v3_rcd(b, 0);
    is_u64(ld_le32(d + 12) & 0x00ff0000, 0x00930000, "an unfinished checksum is good");
    ok(l4_sum_good(ram(b, BUFS + 0x800 * (ld_le32(d) & 0xfff)), true, n), "and has been finished");
    memset(f, 0xff, 6);
    st_be16(f + 12, 0x0806);
    peer_send(b, NULL, f, 60);
    d = v3_rcd(b, 0);
    is_u64(ld_le32(d) >> 30 & 1, 1, "ARP: no checksum");
    is_u64(rx_len(d), 60, "length");

    /* filters */
    n = packet(f, false, true, 100, true);
    f[5]++;
    peer_send(b, NULL, f, n);
    ok(!v3_rcd(b, 0), "another's address");
    memcpy(f, "\x01\x00\x5e\x01\x02\x03", 6);
    peer_send(b, NULL, f, n);
    ok(!v3_rcd(b, 0), "multicast");
    memcpy(ram(b, MFTABLE), "\x01\x00\x5e\x01\x02\x02\x01\x00\x5e\x01\x02\x03", 12);
    st_le16(ram(b, SHARED + 8 + 112 + 4), 12);
    st_le64(ram(b, SHARED + 8 + 112 + 8), MFTABLE);
    st_le32(ram(b, SHARED + 8 + 112), 7);
    cmd(b, 0xcafe0003);
    cmd(b, 0xcafe0004);
    peer_send(b, NULL, f, n);
    ok(v3_rcd(b, 0) != NULL, "multicast in the table");
    f[5]++;
    peer_send(b, NULL, f, n);
    ok(!v3_rcd(b, 0), "multicast not in the table");
    st_le32(ram(b, SHARED + 8 + 112), 13);
    cmd(b, 0xcafe0003);
    peer_send(b, NULL, f, n);
    ok(v3_rcd(b, 0) != NULL, "all multicast");
    f[0] = 2;
    peer_send(b, NULL, f, n);
    ok(!v3_rcd(b, 0), "another's address still not");
    st_le32(ram(b, SHARED + 8 + 112), 17);
    cmd(b, 0xcafe0003);
    peer_send(b, NULL, f, n);
    ok(v3_rcd(b, 0) != NULL, "promiscuous");
    st_le32(ram(b, SHARED + 8 + 112), 5);
    cmd(b, 0xcafe0003);

    /* VLAN */
    n = packet(f, false, true, 100, true);
    memmove(f + 16, f + 12, n - 12);
    st_be32(f + 12, 0x81002123);
    peer_send(b, NULL, f, n + 4);
    ok(!v3_rcd(b, 0), "VLAN 123h is not in the table");
    st_le32(ram(b, SHARED + 8 + 112 + 16 + 4 * (0x123 / 32)), 1u << (0x123 & 31));
    cmd(b, 0xcafe0005);
    peer_send(b, NULL, f, n + 4);
    d = v3_rcd(b, 0);
    ok(d && rx_len(d) == n + 4 && !(ld_le32(d + 8) >> 15 & 1), "now it is; the tag stays");
    st_le64(ram(b, SHARED + 8 + 16), 1 | 4);
    cmd(b, 0xcafe0009);
    peer_send(b, NULL, f, n + 4);
    d = v3_rcd(b, 0);
    ok(d && rx_len(d) == n && ld_le32(d + 8) >> 15 == (0x2123 << 1 | 1), "the tag taken out and told");
    is_u64(ld_le32(d + 12) & 0x00ff0000, 0x00ad0000, "checksums all the same");
    const uint8_t *g = ram(b, BUFS + 0x800 * (ld_le32(d) & 0xfff));
    ok(!memcmp(g, f, 12) && !memcmp(g + 12, f + 16, n - 12), "the data");
    n = packet(f, false, true, 1461, true);
    peer_send(b, NULL, f, n);
    ok(!v3_rcd(b, 0), "longer than the MTU: dropped");
}

static void test_rx_big(struct v3box *b)
{
    static uint8_t f[40000], got[40000];
    uint8_t *d;
    w1(b, 0, 4);
    /* jumbo as Linux lays it out for MTU 9000: HEAD of 3072, two BODY pages, in ring 1 */
    v3_setup(b, 1, 1, 1, 9000, 0);
    is_u64(v3_activate(b), 0, "activated with MTU 9000");
    for (int i = 0; i < 15; i++)
        v3_give(b, 0, 0, i % 3 != 0, BUFS + 0x1000 * i, i % 3 ? 4096 : 3072);
    for (int i = 0; i < 20; i++)
        v3_give(b, 0, 1, 1, BUFS + 0x20000 + 0x1000 * i, 4096);
    size_t n = packet(f, false, true, 8948, true);
    is_u64(n, 9002, "a frame of 9002");
    ok(peer_send(b, NULL, f, n), "received");
    size_t off = 0;
    for (int i = 0; i < 3; i++) {
        d = v3_rcd(b, 0);
        is_u64(d ? ld_le32(d) & 0xffff : 0, (unsigned)i | (i == 0 ? 0x8000 : 0) | (i == 2 ? 0x4000 : 0), "a buffer of ring 1");
        memcpy(got + off, ram(b, BUFS + 0x1000 * i), rx_len(d));
        off += rx_len(d);
    }
    ok(off == n && !memcmp(got, f, n), "the data");
    n = packet(f, false, true, 100, true);
    peer_send(b, NULL, f, n);
    d = v3_rcd(b, 0);
    is_u64(ld_le32(d) & 0xffff, 3 | 0xc000, "a small one takes the next HEAD");
    peer_send(b, NULL, f, n);
    d = v3_rcd(b, 0);
    is_u64(ld_le32(d) & 0xffff, 6 | 0xc000, "BODY buffers are left out");

    /* LRO: HEAD from ring 1, the rest from ring 2 */
    v3_setup(b, 1, 1, 1 | 8, 1500, 0);
    v3_activate(b);
    is_u64(b->port.can & (NET_CAN_TSO4 | NET_CAN_TSO6), NET_CAN_TSO4 | NET_CAN_TSO6, "LRO on: big frames are welcome");
    for (int i = 0; i < 8; i++)
        v3_give(b, 0, 0, 0, BUFS + 0x800 * i, 1536);
    for (int i = 0; i < 20; i++)
        v3_give(b, 0, 1, 1, BUFS + 0x20000 + 0x1000 * i, 4096);
    n = packet(f, false, true, 14480, false);
    struct net_offload gso = {.needs_csum = true, .gso = NET_GSO_TCPV4, .gso_size = 1448, .hdr_len = 54, .csum_start = 34, .csum_offset = 16};
    ok(peer_send(b, &gso, f, n), "ten segments in one");
    off = 0;
    for (int i = 0; i < 5; i++) {
        d = v3_rcd(b, 0);
        if (!ok(d != NULL, "completion %d", i))
            return;
        uint32_t id = ld_le32(d) >> 16 & 0x3ff, at = i ? BUFS + 0x20000 + 0x1000u * (ld_le32(d) & 0xfff) : BUFS;
        is_u64(id, i ? 1 : 0, "ring of a buffer");
        if (i == 0) {
            is_u64(ld_le32(d + 12) >> 24 & 0x7f, 4, "type: LRO");
            is_u64(ld_le32(d + 12) & 0xffff, 1448, "segment size");
            is_u64(ld_le32(d + 4) & 0xff, 10, "segments");
        }
        memcpy(got + off, ram(b, at), rx_len(d));
        off += rx_len(d);
    }
    ok(off == n && ld_le32(d) & 0x4000 && !memcmp(got, f, n), "the data");
    /* off again: the sender has to cut */
    st_le64(ram(b, SHARED + 8 + 16), 1);
    cmd(b, 0xcafe0009);
    is_u64(b->port.can & NET_CAN_TSO4, 0, "LRO off");

    /* the data ring of revision 3 */
    v3_setup(b, 1, 1, 1, 1500, 128);
    v3_activate(b);
    for (int i = 0; i < 3; i++)
        v3_give(b, 0, 0, 0, BUFS + 0x800 * i, 1536);
    n = packet(f, false, true, 74, true);
    peer_send(b, NULL, f, n);
    d = v3_rcd(b, 0);
    is_u64(ld_le32(d) >> 16 & 0x3ff, 2, "128 bytes go to the data ring");
    ok(!memcmp(ram(b, RXDATA), f, n), "its slot");
    n = packet(f, false, true, 75, true);
    peer_send(b, NULL, f, n);
    d = v3_rcd(b, 0);
    is_u64(ld_le32(d) >> 16 & 0x3ff, 0, "129 do not");
    ok(!memcmp(ram(b, BUFS + 0x800), f, n), "the data");

    /* an MTU below 1500 is the guest's own affair */
    v3_setup(b, 1, 1, 1, 600, 0);
    v3_activate(b);
    v3_give(b, 0, 0, 0, BUFS, 622);
    v3_give(b, 0, 0, 0, BUFS + 0x800, 622);
    v3_give(b, 0, 1, 1, BUFS + 0x1000, 4096);
    n = packet(f, false, true, 1460, true);
    ok(peer_send(b, NULL, f, n), "1514 bytes for a guest with MTU 600");
    d = v3_rcd(b, 0);
    ok(d && rx_len(d) == 622 && (d = v3_rcd(b, 0)) && rx_len(d) == n - 622, "in two buffers");
    ok(!memcmp(ram(b, BUFS + 0x1000), f + 622, n - 622), "the rest of it");

    /* frames that can never fit do not block the ones behind */
    v3_setup(b, 1, 1, 1, 9000, 0);
    st_le32(ram(b, QDESC + 256 + 16 + 44), 0);
    v3_activate(b);
    for (int i = 0; i < 4; i++)
        v3_give(b, 0, 0, 0, BUFS + 0x800 * i, 1536);
    n = packet(f, false, true, 5000, true);
    ok(peer_send(b, NULL, f, n), "too big for HEAD alone: dropped");
    n = packet(f, false, true, 500, true);
    ok(peer_send(b, NULL, f, n) && v3_rcd(b, 0), "the next one comes");
    v3_setup(b, 1, 1, 1, 1500, 0);
    v3_activate(b);
    v3_give(b, 0, 0, 0, BUFS, 100);
    ok(peer_send(b, NULL, f, n), "a HEAD buffer of 100 bytes");
    cmd(b, 0xf00d0000);
    is_u64(ld_le32(ram(b, QDESC + 256 + 84)), 0x80000004, "the queue stops: buffer too small");
    is_u64(r1(b, 0x40), 1, "RQERR");
    w1(b, 0x40, 1);
}

static void test_rss(struct v3box *b)
{
    /* "Verifying the RSS Hash Calculation" in Microsoft's driver documentation */
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    static const struct {
        uint8_t src[4], dst[4];
        uint16_t sport, dport;
        uint32_t ip, tcp;
    } v4[] = {
        {{66, 9, 149, 187}, {161, 142, 100, 80}, 2794, 1766, 0x323e8fc2, 0x51ccc178},
        {{199, 92, 111, 2}, {65, 69, 140, 83}, 14230, 4739, 0xd718262a, 0xc626b0ea},
        {{24, 19, 198, 95}, {12, 22, 207, 184}, 12898, 38024, 0xd2d0a5de, 0x5c2b394a},
    };
    uint8_t f[600], *c = ram(b, RSSCONF);
    w1(b, 0, 4);
    v3_setup(b, 2, 2, 1 | 2, 1500, 0);
    memset(c, 0, 176);
    st_le16(c, 15);
    st_le16(c + 2, 1);
    st_le16(c + 4, 40);
    st_le16(c + 6, 128);
    memcpy(c + 8, key, 40);
    for (int i = 0; i < 128; i++)
        c[48 + i] = i & 1;
    st_le32(ram(b, SHARED + 8 + 640 + 4), 176);
    st_le64(ram(b, SHARED + 8 + 640 + 8), RSSCONF);
    is_u64(v3_activate(b), 0, "activated with RSS");
    for (int q = 0; q < 2; q++)
        for (int i = 0; i < 20; i++)
            v3_give(b, (unsigned)q, 0, 0, BUFS + 0x10000 * q + 0x800 * i, 1536);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned kind = 0; kind < 3; kind++) { /* TCP, UDP without, UDP with its field on */
            uint32_t want = kind == 1 ? v4[i].ip : v4[i].tcp;
            st_le32(ram(b, SHARED + 704), kind == 2 ? 15 : 3);
            cmd(b, 0xcafe0010);
            size_t n = packet(f, false, kind == 0, 100, true);
            memcpy(f + 26, v4[i].src, 4);
            memcpy(f + 30, v4[i].dst, 4);
            st_be16(f + 34, v4[i].sport);
            st_be16(f + 36, v4[i].dport);
            peer_send(b, NULL, f, n);
            uint8_t *d = v3_rcd(b, want & 1);
            is_u64(d ? ld_le32(d + 4) : 0, want, "hash, and the queue it chooses");
            is_u64(d ? ld_le32(d) >> 26 & 15 : 0, kind == 0 ? 2 : kind == 1 ? 1 : 5, "its type");
        }
    is_u64(cmd(b, 0xf00d000c), 15, "GET_RSS_FIELDS");
    size_t n = packet(f, true, true, 100, true);
    memcpy(f + 22, "\x3f\xfe\x25\x01\x02\x00\x1f\xff\0\0\0\0\0\0\0\x07\x3f\xfe\x25\x01\x02\x00\x00\x03\0\0\0\0\0\0\0\x01", 32);
    st_be16(f + 54, 2794);
    st_be16(f + 56, 1766);
    peer_send(b, NULL, f, n);
    uint8_t *d = v3_rcd(b, 1);
    ok(d && ld_le32(d + 4) == 0x40207d3d && (ld_le32(d) >> 26 & 15) == 4, "TCP over IPv6");
}

static void test_interrupts(struct v3box *b)
{
    struct vm *vm = b->vm;
    uint32_t data;
    uint8_t f[600];
    size_t n = packet(f, false, true, 100, true);
    struct pci_dev *p = pci_bus_find(b->bus, NIC);
    v3_setup(b, 1, 1, 1, 1500, 0);
    v3_activate(b);
    for (int i = 0; i < 20; i++)
        v3_give(b, 0, 0, 0, BUFS + 0x800 * i, 1536);
    cfg_w(vm, NIC, 0x9e, 2, 0);
    peer_send(b, NULL, f, n);
    ok(!p->intx_level, "INTx: masked");
    w0(b, 0, 0);
    ok(p->intx_level, "INTx: unmasked");
    is_u64(r1(b, 0x38), 1, "ICR");
    ok(!p->intx_level, "reading ICR takes it back");
    is_u64(r1(b, 0x38), 0, "not ours any more");
    peer_send(b, NULL, f, n);
    ok(!p->intx_level, "masked by itself");
    w0(b, 0, 0);
    ok(p->intx_level, "and pending");
    r1(b, 0x38);
    w0(b, 0, 0);
    /* link events */
    w0(b, 16, 0);
    net_set_link(&b->port, false);
    ok(p->intx_level, "link down: an event");
    is_u64(ld_le32(ram(b, SHARED + 696)), 4, "ECR: LINK");
    r1(b, 0x38);
    w1(b, 0x40, 4);
    is_u64(cmd(b, 0xf00d0002), 0, "GET_LINK");
    net_set_link(&b->port, true);
    is_u64(ld_le32(ram(b, SHARED + 696)), 4, "link up: an event");
    w1(b, 0x40, 4);
    cfg_w(vm, NIC, 0x88, 4, 0xfee00000);
    cfg_w(vm, NIC, 0x90, 2, 0x4077);
    cfg_w(vm, NIC, 0x86, 2, 1);
    unsigned n0 = msis(b, NULL);
    w0(b, 0, 0);
    peer_send(b, NULL, f, n);
    is_u64(msis(b, &data), n0 + 1, "MSI");
    is_u64(data, 0x4077, "its data");
    cfg_w(vm, NIC, 0x86, 2, 0);
    v3_msix(b);
}

static void coalesce(struct v3box *b, uint32_t mode, uint32_t x, uint32_t y, uint32_t z)
{
    uint32_t s[4] = {mode, x, y, z};
    memcpy(ram(b, COALCONF), s, 16);
    st_le32(ram(b, SHARED + 704), 1);
    st_le32(ram(b, SHARED + 704 + 4), 16);
    st_le64(ram(b, SHARED + 704 + 8), COALCONF);
    cmd(b, 0xcafe000e);
    memset(ram(b, COALCONF), 0xee, 16);
    cmd(b, 0xf00d000b);
}

/* Frames arrive, one each step ns, and a driver that always unmasks at once has so many interrupts. */
static unsigned interrupts(struct v3box *b, unsigned frames, int64_t step)
{
    uint8_t f[200];
    size_t n = packet(f, false, true, 100, true);
    unsigned before = msis(b, NULL);
    memset(f, 0xff, 6); /* whatever address it has */
    for (unsigned i = 0; i < frames; i++) {
        v3_give(b, 0, 0, 0, BUFS + 0x800 * (i % 32), 1536);
        peer_send(b, NULL, f, n);
        w0(b, 0, 0);
        if (step)
            fakevm_advance(b->vm, step);
        w0(b, 0, 0);
    }
    return msis(b, NULL) - before;
}

static void test_coalescing(struct v3box *b)
{
    uint8_t f[200];
    size_t n = packet(f, false, true, 100, true);
    v3_setup(b, 1, 1, 1, 1500, 0);
    v3_msix(b);
    v3_activate(b);
    w0(b, 0, 0);
    w0(b, 16, 0);
    is_u64(interrupts(b, 10, 1000), 10, "none: an interrupt for each");
    coalesce(b, 3, 10000, 0, 0);
    is_u64(ld_le32(ram(b, COALCONF)), 3, "RBC is told");
    is_u64(ld_le32(ram(b, COALCONF + 4)), 10000, "and its rate");
    fakevm_advance(b->vm, 1000000);
    is_u64(interrupts(b, 1, 0), 1, "RBC: the first at once");
    is_u64(interrupts(b, 1, 99000), 0, "the second waits");
    fakevm_advance(b->vm, 1000);
    is_u64(interrupts(b, 0, 0), 0, "told");
    unsigned k = interrupts(b, 100, 20000); /* 2 ms at 10000 a second */
    ok(k >= 19 && k <= 22, "100 in 2 ms: %u interrupts", k);
    fakevm_advance(b->vm, 1000000);
    is_u64(interrupts(b, 5, 200000), 5, "slower than the rate: each at once");
    coalesce(b, 3, 1, 0, 0);
    is_u64(ld_le32(ram(b, COALCONF + 4)), 100, "a rate too low: the lowest");
    coalesce(b, 2, 64, 4, 8);
    is_u64(ld_le32(ram(b, COALCONF + 12)), 8, "static is told");
    is_u64(interrupts(b, 7, 100), 0, "static: seven of eight wait");
    is_u64(interrupts(b, 1, 0), 1, "the eighth does not");
    is_u64(interrupts(b, 64, 100), 8, "64: eight");
    is_u64(interrupts(b, 1, 1000000), 1, "one alone: after its time");
    unsigned before = msis(b, NULL);
    memcpy(ram(b, BUFS + 0x40000), f, n);
    for (unsigned i = 0; i < 8; i++)
        v3_txd(b, 0, BUFS + 0x40000, (uint32_t)n, EOP | CQ);
    w0(b, 0x600, 0);
    is_u64(msis(b, NULL) - before, 1, "transmits: one for the ring of a bell");
    coalesce(b, 2, 0, 0, 1000);
    is_u64(ld_le32(ram(b, COALCONF + 8)), 1, "depth 0: one");
    is_u64(ld_le32(ram(b, COALCONF + 12)), 64, "depth 1000: 64");
    is_u64(interrupts(b, 3, 100), 0, "three wait");
    before = msis(b, NULL);
    coalesce(b, 0, 0, 0, 0);
    is_u64(msis(b, NULL) - before, 1, "not after it is switched off");
    coalesce(b, 7, 1, 1, 1);
    is_u64(ld_le32(ram(b, COALCONF)), 0, "an unknown scheme is not taken");
    coalesce(b, 1, 0, 0, 0);
    fakevm_advance(b->vm, 5000000);
    is_u64(interrupts(b, 20, 500000), 20, "adaptive: a trickle is told at once");
    k = interrupts(b, 1000, 5000); /* 5 ms, 200 in each */
    ok(k < 300, "adaptive: 1000 in 5 ms: %u interrupts", k);
    fakevm_advance(b->vm, 5000000);
    is_u64(interrupts(b, 20, 500000), 20, "and a trickle again");
    coalesce(b, 3, 100, 0, 0);
    interrupts(b, 2, 0);
    before = msis(b, NULL);
    net_set_link(&b->port, false);
    is_u64(msis(b, NULL) - before, 1, "an event does not wait");
    net_set_link(&b->port, true);
    cmd(b, 0xcafe0001);
    before = msis(b, NULL);
    fakevm_advance(b->vm, 100000000);
    is_u64(msis(b, NULL) - before, 0, "none comes from a quiesced device");
}

static void test_state(struct v3box *b)
{
    static struct v3box y;
    struct err e = {0};
    uint8_t f[600];
    uint32_t data;
    size_t n = packet(f, false, true, 100, true);
    v3_setup(b, 1, 1, 1, 1500, 0);
    v3_msix(b);
    v3_activate(b);
    for (int i = 0; i < 20; i++)
        v3_give(b, 0, 0, 0, BUFS + 0x800 * i, 1536);
    peer_send(b, NULL, f, n);
    v3_rcd(b, 0);
    memcpy(ram(b, BUFS + 0x40000), f, n);
    b->peer.full = true;
    v3_txd(b, 0, BUFS + 0x40000, (uint32_t)n, EOP | CQ);
    w0(b, 0x600, 0);
    w1(b, 0x28, 0x030201aa);
    w1(b, 0x30, 0x0504);
    memset(&y, 0, sizeof y);
    v3_make(&y, fakevm_new(4, 1));
    ok(!fakevm_migrate(b->vm, y.vm, &e), "saved and loaded: %s", e.msg);
    memcpy(fakevm_ram(y.vm), fakevm_ram(b->vm), 4 << 20);
    memcpy(y.rc_next, b->rc_next, sizeof y.rc_next);
    fakevm_advance(y.vm, 1000);
    is_u64(y.peer.frames, 1, "a frame that waited goes out after the load");
    ok(!memcmp(y.port.mac, "\xaa\x01\x02\x03\x04\x05", 6), "the port has the address");
    memcpy(f, y.port.mac, 6);
    peer_send(&y, NULL, f, n);
    uint8_t *d = v3_rcd(&y, 0);
    is_u64(d ? ld_le32(d) & 0xfff : 99, 1, "reception goes on with the next buffer");
    unsigned n0 = fakevm_msis(y.vm, NULL, NULL);
    w0(&y, 0, 0);
    is_u64(fakevm_msis(y.vm, &(uint64_t){0}, &data), n0 + 1, "the pending interrupt");
    memcpy(y.rx_fill, b->rx_fill, sizeof y.rx_fill);
    coalesce(&y, 3, 100, 0, 0);
    interrupts(&y, 1, 0);
    interrupts(&y, 1, 0);
    static struct v3box z;
    v3_make(&z, fakevm_new(4, 1));
    ok(!fakevm_migrate(y.vm, z.vm, &e), "saved while an interrupt is held: %s", e.msg);
    n0 = fakevm_msis(z.vm, NULL, NULL);
    fakevm_advance(z.vm, 1000);
    is_u64(fakevm_msis(z.vm, NULL, NULL), n0 + 1, "it comes after the load");
    fakevm_free(z.vm);
    fakevm_free(y.vm);
    b->peer.full = false;
}

int main(void)
{
    static struct v3box b;
    void (*const tests[])(struct v3box *) = {test_registers, test_activation, test_tx, test_offload, test_rx, test_rx_big,
                                             test_rss, test_interrupts, test_coalescing, test_state};
    for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++) {
        box_new(&b);
        tests[i](&b);
        fakevm_free(b.vm);
    }
    return TAP_DONE();
}
