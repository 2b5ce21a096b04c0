/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cables and what they do for ends that cannot: checksums against RFC 1071's own example, segments against sums made byte by byte here. */
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/tap.h"

enum { FRAMES = 64 };
struct end {
    struct net_port port;
    uint8_t frame[FRAMES][NET_FRAME_MAX];
    size_t len[FRAMES];
    struct net_offload o[FRAMES];
    int n, room, links, writable;
    bool up;
};

static bool end_receive(void *u, const struct net_offload *o, const struct iovec *f, int n)
{
    struct end *e = u;
    if (!e->room)
        return false;
    e->room--;
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        if (at + f[i].iov_len <= NET_FRAME_MAX)
            memcpy(e->frame[e->n] + at, f[i].iov_base, f[i].iov_len);
        at += f[i].iov_len;
    }
    e->len[e->n] = at;
    e->o[e->n] = o ? *o : (struct net_offload){0};
    e->n++;
    return true;
}
static void end_writable(void *u) { ((struct end *)u)->writable++; }
static void end_link(void *u, bool up)
{
    struct end *e = u;
    e->links++;
    e->up = up;
}
static const struct net_end_ops ops = {end_receive, end_writable, end_link};

static void quiet(void *u, enum log_level l, const char *m, const char *line) { (void)u, (void)l, (void)m, (void)line; }

/* The sum of big-endian words, written down as RFC 1071 (1) says it. */
static unsigned sum16(const uint8_t *p, size_t n, unsigned sum)
{
    for (size_t i = 0; i < n; i++)
        sum += i & 1 ? p[i] : (unsigned)p[i] << 8;
    while (sum > 0xFFFF)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return sum;
}
static unsigned be16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static struct end a, b;
static void fresh(unsigned can)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    net_port_init(&a.port, &ops, &a, 0);
    net_port_init(&b.port, &ops, &b, can);
    net_connect(&a.port, &b.port);
    net_set_link(&a.port, true);
    a.room = b.room = FRAMES;
}
static bool send1(const struct net_offload *o, void *p, size_t n)
{
    /* In three pieces of odd lengths, as a guest's descriptors may be. */
    size_t x = n > 33 ? 33 : n / 2, y = n > 90 ? 57 : 0;
    struct iovec v[3] = {{p, x}, {(uint8_t *)p + x, y}, {(uint8_t *)p + x + y, n - x - y}};
    return net_send(&a.port, o, v, 3);
}

/* Ethernet, optional tag, IPv4 or IPv6, TCP with 12 bytes of options (or UDP), payload of bytes i * 7. */
static size_t packet(uint8_t *f, bool v6, bool tag, bool udp, size_t payload)
{
    memset(f, 0, 200);
    memcpy(f, "\x52\x54\0\0\0\1\x52\x54\0\0\0\2", 12);
    size_t l3 = 14;
    if (tag) {
        memcpy(f + 12, "\x81\0\0\x05", 4);
        l3 = 18;
    }
    memcpy(f + l3 - 2, v6 ? "\x86\xdd" : "\x08\0", 2);
    uint8_t *ip = f + l3;
    size_t l4len = (udp ? 8 : 32) + payload;
    if (v6) {
        ip[0] = 0x60;
        ip[4] = (uint8_t)(l4len >> 8), ip[5] = (uint8_t)l4len;
        ip[6] = udp ? 17 : 6;
        ip[7] = 64;
        for (int i = 8; i < 40; i++)
            ip[i] = (uint8_t)(i * 5);
    } else {
        size_t t = l4len + 20;
        ip[0] = 0x45;
        ip[2] = (uint8_t)(t >> 8), ip[3] = (uint8_t)t;
        ip[4] = 0xFF, ip[5] = 0xFE;
        ip[8] = 64;
        ip[9] = udp ? 17 : 6;
        memcpy(ip + 12, "\x0a\0\2\x0f\x0a\0\2\2", 8);
    }
    uint8_t *t = ip + (v6 ? 40 : 20);
    memcpy(t, "\x12\x34\x00\x50", 4);
    if (!udp) {
        memcpy(t + 4, "\xff\xff\xff\0\1\2\3\4", 8); /* the sequence number wraps in the middle */
        t[12] = 0x80;
        t[13] = 0x99; /* CWR ACK PSH FIN */
    }
    uint8_t *d = t + (udp ? 8 : 32);
    for (size_t i = 0; i < payload; i++)
        d[i] = (uint8_t)(i * 7);
    return (size_t)(d - f) + payload;
}

/* The transport checksum of a finished segment comes out as FFFFh with its pseudo header. */
static bool sums_right(const uint8_t *f, size_t n, size_t l3, bool v6)
{
    size_t l4 = l3 + (v6 ? 40 : 20);
    unsigned pseudo = (unsigned)(n - l4) + f[l3 + (v6 ? 6 : 9)];
    pseudo = v6 ? sum16(f + l3 + 8, 32, pseudo) : sum16(f + l3 + 12, 8, pseudo);
    return sum16(f + l4, n - l4, pseudo) == 0xFFFF && (v6 || sum16(f + l3, 20, 0) == 0xFFFF);
}

static void test_csum(void)
{
    static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; /* RFC 1071 section 3: DDF2h */
    is_u64(net_csum_fold(net_csum_add(0, rfc, 8)), (uint16_t)~0xDDF2, "the example of RFC 1071");
    is_u64(net_csum_fold(net_csum_add(net_csum_add(0, rfc, 4), rfc + 4, 4)), (uint16_t)~0xDDF2, "... in two parts");
    bool same = true;
    uint8_t r[301];
    srand(4);
    for (int k = 0; k < 300; k++) {
        for (size_t i = 0; i < sizeof r; i++)
            r[i] = k == 7 ? 0xFF : (uint8_t)rand();
        size_t n = (size_t)k;
        same &= net_csum_fold(net_csum_add((uint32_t)k * 70000u, r + 1, n)) == (uint16_t)~sum16(r + 1, n, sum16(NULL, 0, (uint32_t)k * 70000u));
    }
    ok(same, "sums of 0 to 299 bytes at odd addresses");
}

static void test_cable(void)
{
    uint8_t f[60] = {1};
    fresh(0);
    ok(a.links == 1 && b.links == 1 && a.up && b.up, "carrier reaches both ends");
    ok(send1(NULL, f, 60) && b.n == 1 && b.len[0] == 60 && a.port.stats.tx_frames == 1 && b.port.stats.rx_bytes == 60, "a frame arrives and is counted");
    b.room = 0;
    ok(!send1(NULL, f, 60) && b.port.stats.rx_full == 1 && a.port.stats.tx_frames == 1, "a full receiver refuses");
    net_writable(&b.port);
    ok(a.writable == 1 && !b.writable, "room again reaches the other end only");
    net_set_link(&b.port, false);
    ok(send1(NULL, f, 60) && b.n == 1 && a.port.stats.tx_dropped == 1 && a.links == 2 && !a.up, "without carrier a frame is lost");
    net_set_link(&b.port, true);
    net_disconnect(&b.port);
    ok(!a.port.peer && !b.port.peer && !a.up && !b.up && send1(NULL, f, 60), "both ends see the cable pulled");
    net_disconnect(&b.port);
    net_set_link(&a.port, true);
    ok(!a.port.link, "no carrier without a cable");
    fresh(0);
    ok(send1(NULL, f, 13) && b.n == 0 && a.port.stats.tx_dropped == 1, "a frame without a whole header is dropped");
    static uint8_t big[NET_FRAME_MAX + 1];
    ok(send1(NULL, big, NET_FRAME_MAX) && b.n == 1 && send1(NULL, big, NET_FRAME_MAX + 1) && b.n == 1, "the longest frame passes, one more byte does not");
    memcpy(a.port.mac, "\0\x0c\x29\1\2\3", 6);
    net_announce(&a.port);
    /* RFC 903 with Ethernet addresses, padded to the smallest frame */
    static const uint8_t rarp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x0c, 0x29, 1, 2, 3, 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3,
                                     0, 0x0c, 0x29, 1, 2, 3, 0, 0, 0, 0, 0, 0x0c, 0x29, 1, 2, 3, 0, 0, 0, 0};
    ok(b.n == 2 && b.len[1] == 60 && !memcmp(b.frame[1], rarp, 42), "the announcement is a RARP request");
}

static void test_needs_csum(void)
{
    uint8_t f[2000];
    for (int k = 0; k < 4; k++) {
        bool v6 = k & 1, tag = k & 2;
        fresh(0);
        size_t n = packet(f, v6, tag, true, 333), l3 = tag ? 18 : 14, l4 = l3 + (v6 ? 40 : 20);
        f[l4 + 4] = (341 >> 8), f[l4 + 5] = (uint8_t)341;
        unsigned ps = v6 ? sum16(f + l3 + 8, 32, 341 + 17) : sum16(f + l3 + 12, 8, 341 + 17);
        f[l4 + 6] = (uint8_t)(ps >> 8), f[l4 + 7] = (uint8_t)ps;
        if (!v6) {
            unsigned hs = (uint16_t)~sum16(f + l3, 20, 0);
            f[l3 + 10] = (uint8_t)(hs >> 8), f[l3 + 11] = (uint8_t)hs;
        }
        struct net_offload o = {.needs_csum = true, .csum_start = (uint16_t)l4, .csum_offset = 6};
        ok(send1(&o, f, n) && b.n == 1 && b.len[0] == n && sums_right(b.frame[0], n, l3, v6) && !b.o[0].needs_csum,
           "a UDP checksum is finished: IPv%d%s", v6 ? 6 : 4, tag ? ", tagged" : "");
        fresh(NET_CAN_CSUM);
        ok(send1(&o, f, n) && b.n == 1 && !memcmp(f, b.frame[0], n) && b.o[0].needs_csum && b.o[0].csum_start == l4, "... or left to who can");
        fresh(NET_CAN_CSUM);
        o.csum_offset = 0xFFFF;
        bool lost = send1(&o, f, n) && b.n == 0;
        o = (struct net_offload){.needs_csum = true, .csum_start = (uint16_t)(n - 1), .csum_offset = 0};
        ok(lost && send1(&o, f, n) && b.n == 0, "a checksum behind the frame's end is not written");
    }
}

static void test_tso(bool v6, bool tag)
{
    static uint8_t f[70000];
    size_t payload = 5000, mss = 1440, n = packet(f, v6, tag, false, payload), l3 = tag ? 18 : 14, l4 = l3 + (v6 ? 40 : 20), d = l4 + 32;
    struct net_offload o = {.gso = v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4, .gso_size = (uint16_t)mss};
    fresh(0);
    b.room = 2;
    ok(!send1(&o, f, n) && b.n == 2, "IPv%d%s: a receiver that is full in the middle of a segmented frame", v6 ? 6 : 4, tag ? ", tagged" : "");
    b.room = 1;
    bool again = !send1(&o, f, n) && b.n == 3;
    b.room = 10;
    ok(again && send1(&o, f, n) && b.n == 4, "... gets each segment once");
    bool good = true, sums = true, data = true;
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        const uint8_t *s = b.frame[i], *t = s + l4;
        size_t part = b.len[i] - d;
        good &= part == (i < 3 ? mss : payload - 3 * mss);
        good &= be16(s + l3 + (v6 ? 4 : 2)) == part + 32 + (v6 ? 0 : 20);
        good &= v6 || be16(s + l3 + 4) == ((0xFFFE + i) & 0xFFFF);
        good &= ((uint32_t)be16(t + 4) << 16 | be16(t + 6)) == (uint32_t)(0xFFFFFF00u + at);
        good &= t[13] == (i == 0 ? 0x90 : i == 3 ? 0x19 : 0x10);
        sums &= sums_right(s, b.len[i], l3, v6);
        data &= !memcmp(s + d, f + d + at, part);
        at += part;
    }
    ok(good && at == payload, "... lengths, ids, sequence numbers and flags");
    ok(sums, "... checksums");
    ok(data, "... data");
    ok(a.port.stats.tx_frames == 1 && b.port.stats.rx_frames == 4, "... counted as one by the sender");

    fresh(0);
    b.room = 1;
    (void)send1(&o, f, n);
    f[l4 + 7] ^= 0x55; /* another frame instead: none of its segments may be left out */
    b.room = 10;
    ok(send1(&o, f, n) && b.n == 5, "... a different frame starts from its first segment");

    fresh(NET_CAN_CSUM | (v6 ? NET_CAN_TSO6 : NET_CAN_TSO4));
    bool one = send1(&o, f, n) && b.n == 1 && b.len[0] == n && b.o[0].gso == o.gso && b.o[0].csum_start == l4 && b.o[0].csum_offset == 16 &&
        b.o[0].hdr_len == d;
    unsigned ps = (unsigned)(n - l4) + 6;
    ps = v6 ? sum16(f + l3 + 8, 32, ps) : sum16(f + l3 + 12, 8, ps);
    ok(one && be16(b.frame[0] + l4 + 16) == ps && b.o[0].needs_csum, "... passed whole to who can, with the pseudo header's sum");
}

static void test_ufo(bool v6)
{
    static uint8_t f[9000];
    size_t n = packet(f, v6, false, true, 4000), l4 = 14 + (v6 ? 40 : 20), x = v6 ? 8 : 0;
    struct net_offload o = {.gso = NET_GSO_UDP, .gso_size = 1480};
    fresh(0);
    bool sent = send1(&o, f, n);
    static uint8_t whole[9000];
    size_t got = 0;
    bool good = sent && b.n == 3;
    for (int i = 0; i < b.n; i++) {
        const uint8_t *s = b.frame[i];
        unsigned fo = v6 ? be16(s + l4 + 2) : (be16(s + 14 + 6) & 0x1FFF) * 8;
        bool more = v6 ? fo & 1 : (s[14 + 6] & 0x20) != 0;
        fo &= ~7u;
        good &= fo == got && more == (i < 2) && (!v6 || (s[14 + 6] == 44 && s[l4] == 17)) && (v6 || sum16(s + 14, 20, 0) == 0xFFFF);
        memcpy(whole + fo, s + l4 + x, b.len[i] - l4 - x);
        got = fo + b.len[i] - l4 - x;
    }
    unsigned ps = (unsigned)got + 17;
    ps = v6 ? sum16(f + 14 + 8, 32, ps) : sum16(f + 14 + 12, 8, ps);
    ok(good && got == 4008 && !memcmp(whole + 8, f + l4 + 8, 4000) && sum16(whole, got, ps) == 0xFFFF, "UDP over IPv%d becomes fragments", v6 ? 6 : 4);
}

static void test_hostile(void)
{
    static uint8_t f[70000];
    fresh(NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6);
    size_t n = packet(f, false, false, false, 3000);
    struct net_offload o = {.gso = NET_GSO_TCPV4, .gso_size = 0};
#define LOST(what) ok(send1(&o, f, n) && b.n == 0, "lost: " what)
    LOST("no segment size");
    o.gso_size = 7;
    LOST("segments of less than eight bytes");
    o.gso_size = 65535;
    LOST("segments longer than a frame");
    o.gso_size = 1000;
    o.gso = NET_GSO_TCPV6;
    LOST("IPv4 said to be IPv6");
    o.gso = 2;
    LOST("an unknown kind");
    o.gso = NET_GSO_UDP;
    LOST("TCP said to be UDP");
    o.gso = NET_GSO_TCPV4;
    f[14] = 0x44;
    LOST("an IP header shorter than one");
    f[14] = 0x45;
    f[14 + 20 + 12] = 0x40;
    LOST("a TCP header shorter than one");
    f[14 + 20 + 12] = 0x80;
    f[14 + 6] = 0x20;
    LOST("a fragment");
    f[14 + 6] = 0;
    n = 50;
    LOST("cut off in the headers");
    /* Noise must not be believed either: nothing here may read or write outside, which the sanitizers' build sees. */
    srand(9);
    for (int i = 0; i < 20000; i++) {
        bool v6 = i & 1;
        fresh((unsigned)rand() & 7);
        size_t len = packet(f, v6, i & 2, i & 4, (size_t)rand() % 700);
        for (int k = rand() % 4; k; k--)
            f[(size_t)rand() % 80] = (uint8_t)rand();
        if (rand() % 3 == 0)
            len = (size_t)rand() % len;
        struct net_offload r = {.needs_csum = rand() & 1, .gso = (uint8_t)(rand() % 6), .hdr_len = (uint16_t)rand(),
            .gso_size = (uint16_t)(rand() % 300 * 5 / 2),
                                .csum_start = (uint16_t)(rand() % 800), .csum_offset = (uint16_t)(rand() % 30)};
        b.room = rand() % FRAMES;
        (void)send1(&r, f, len);
    }
    ok(true, "20000 spoiled frames");
}

int main(void)
{
    log_set_sink(quiet, NULL, LOG_ERROR);
    test_csum();
    test_cable();
    test_needs_csum();
    for (int i = 0; i < 4; i++)
        test_tso(i & 1, i & 2);
    test_ufo(false);
    test_ufo(true);
    test_hostile();
    return TAP_DONE();
}
