/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cables between net ends, and what a sender may leave to the receiver: checksums (RFC 1071) and the segmentation of TCP and UDP. Where the
 * receiver cannot, it is done here. The fields of struct net_offload come from a guest or a peer: they are never believed, the frame's own
 * headers decide.
 */
#include "net/net.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/dma.h"

enum {
    ETH_HLEN = 14,
    HEADERS_MAX = 512, /* Ethernet, two tags, IPv6 with extension headers, TCP with options: all that is repeated in segments */
    MSS_MIN = 8,       /* Linux's smallest MSS of 48 less 40 bytes of options; bounds the segments of one frame */
    PIECES_MAX = 128,
    P_TCP = 6,
    P_UDP = 17,
};

void net_port_init(struct net_port *p, const struct net_end_ops *ops, void *end, unsigned can)
{
    *p = (struct net_port){.ops = ops, .end = end, .can = can};
}

void net_connect(struct net_port *a, struct net_port *b)
{
    a->peer = b;
    b->peer = a;
    a->link = b->link = false;
    a->gso_sent = b->gso_sent = 0;
}

void net_set_link(struct net_port *p, bool up)
{
    struct net_port *q = p->peer;
    if (!q || p->link == up)
        return;
    p->link = q->link = up;
    if (p->ops->link)
        p->ops->link(p->end, up);
    if (q->ops->link && p->peer == q && q->link == up)
        q->ops->link(q->end, up);
}

void net_disconnect(struct net_port *p)
{
    struct net_port *q = p->peer;
    if (!q)
        return;
    net_set_link(p, false);
    p->peer = q->peer = NULL;
    p->gso_sent = q->gso_sent = 0;
}

void net_writable(struct net_port *p)
{
    struct net_port *q = p->peer;
    if (q && q->ops->writable)
        q->ops->writable(q->end);
}

/* ---- checksums ---- */

uint32_t net_csum_add(uint32_t sum, const void *data, size_t n)
{
    /* Any order of bytes gives the same sum, swapped (RFC 1071 2(B)): so add words as they lie in memory, and swap at the end. */
    const uint8_t *p = data;
    uint64_t s = 0;
    for (; n >= 4; n -= 4, p += 4)
        s += ld_le32(p);
    if (n & 2) {
        s += ld_le16(p);
        p += 2;
    }
    if (n & 1)
        s += *p;
    while (s >> 16)
        s = (s & 0xFFFF) + (s >> 16);
    uint64_t all = (uint64_t)sum + __builtin_bswap16((uint16_t)s);
    return (uint32_t)(all + (all >> 32));
}

uint16_t net_csum_fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)~sum;
}

/* A sum of 0 is sent as FFFFh: equal in one's complement, and 0 would say "none" in UDP (RFC 768). */
static void put_sum(uint8_t *at, uint32_t sum)
{
    uint16_t v = net_csum_fold(sum);
    st_be16(at, v ? v : 0xFFFF);
}

/* ---- headers ---- */

struct headers {
    unsigned l3, l4, end; /* offsets of the IP header, of the TCP or UDP header, and of the payload */
    unsigned ext;         /* IPv6: the "next header" byte before which a fragment header goes */
    bool v6;
    uint8_t proto;
};

/* Finds the headers of a TCP or UDP packet in the first n bytes of a frame. */
static bool parse(const uint8_t *h, size_t n, struct headers *out)
{
    size_t l3 = ETH_HLEN, l4;
    if (n < l3 + 20)
        return false;
    unsigned type = ld_be16(h + 12);
    for (int tags = 0; tags < 2 && (type == 0x8100 || type == 0x88A8); tags++) {
        l3 += 4;
        if (n < l3 + 20)
            return false;
        type = ld_be16(h + l3 - 2);
    }
    *out = (struct headers){.l3 = (unsigned)l3};
    if (type == 0x0800) {
        size_t ihl = (h[l3] & 15) * 4u;
        if (h[l3] >> 4 != 4 || ihl < 20 || (ld_be16(h + l3 + 6) & 0x3FFF)) /* a fragment has no transport header of its own */
            return false;
        out->proto = h[l3 + 9];
        l4 = l3 + ihl;
    } else if (type == 0x86DD) {
        if (n < l3 + 40 || h[l3] >> 4 != 6)
            return false;
        out->v6 = true;
        out->ext = (unsigned)l3 + 6;
        out->proto = h[l3 + 6];
        l4 = l3 + 40;
        while (out->proto == 0 || out->proto == 43 || out->proto == 60) { /* hop-by-hop, routing, destination options */
            if (n < l4 + 8)
                return false;
            out->proto = h[l4];
            out->ext = (unsigned)l4;
            l4 += (h[l4 + 1] + 1u) * 8;
        }
    } else {
        return false;
    }
    if (out->proto != P_TCP && out->proto != P_UDP)
        return false;
    if (n < l4 + (out->proto == P_TCP ? 20 : 8))
        return false;
    out->l4 = (unsigned)l4;
    out->end = (unsigned)l4 + 8;
    if (out->proto == P_TCP) {
        unsigned doff = (h[l4 + 12] >> 4) * 4u;
        if (doff < 20)
            return false;
        out->end = (unsigned)l4 + doff;
    }
    return n >= out->end;
}

static uint32_t pseudo_sum(const uint8_t *h, const struct headers *hd, uint32_t len)
{
    uint32_t sum = hd->v6 ? net_csum_add(0, h + hd->l3 + 8, 32) : net_csum_add(0, h + hd->l3 + 12, 8);
    return sum + hd->proto + (len >> 16) + (len & 0xFFFF);
}

/* The lengths of the IP header for a frame that is n bytes long, and its checksum. */
static void put_ip_len(uint8_t *h, const struct headers *hd, size_t n)
{
    uint8_t *ip = h + hd->l3;
    if (hd->v6) {
        st_be16(ip + 4, (uint16_t)(n - hd->l3 - 40));
        return;
    }
    st_be16(ip + 2, (uint16_t)(n - hd->l3));
    st_be16(ip + 10, 0);
    st_be16(ip + 10, net_csum_fold(net_csum_add(0, ip, hd->l4 - hd->l3)));
}

/* ---- sending ---- */

static bool give(struct net_port *to, const struct net_offload *o, const struct iovec *f, int n, size_t len)
{
    if (!to->ops->receive(to->end, o, f, n)) {
        to->stats.rx_full++;
        return false;
    }
    to->stats.rx_frames++;
    to->stats.rx_bytes += len;
    return true;
}

static bool give_buf(struct net_port *to, uint8_t *buf, size_t len)
{
    static const struct net_offload valid = {.csum_valid = true};
    struct iovec v = {buf, len};
    return give(to, &valid, &v, 1, len);
}

/* A frame whose checksum is finished here. */
static bool send_summed(struct net_port *to, const struct net_offload *o, const struct iovec *f, int n, size_t len)
{
    uint8_t buf[NET_FRAME_MAX];
    iov_get(f, n, 0, buf, len);
    /* csum_start + csum_offset + 2 <= len has been checked */
    put_sum(buf + o->csum_start + o->csum_offset, net_csum_add(0, buf + o->csum_start, len - o->csum_start));
    return give_buf(to, buf, len);
}

/*
 * Segments one by one; a receiver that becomes full in the middle gets the rest when the sender offers the same frame again: from->gso_sent says
 * how many went, gso_mark tells whether it is the same frame.
 */
static bool send_tcp(struct net_port *from, struct net_port *to, const struct net_offload *o, const uint8_t *h, const struct headers *hd,
                     const struct iovec *f, int n, size_t len)
{
    uint8_t buf[NET_FRAME_MAX];
    size_t payload = len - hd->end, mss = o->gso_size;
    unsigned count = payload ? (unsigned)((payload + mss - 1) / mss) : 1;
    uint32_t seq = ld_be32(h + hd->l4 + 4);
    uint16_t id = hd->v6 ? 0 : ld_be16(h + hd->l3 + 4);
    for (unsigned i = from->gso_sent; i < count; i++) {
        size_t off = (size_t)i * mss, part = payload - off < mss ? payload - off : mss, total = hd->end + part;
        memcpy(buf, h, hd->end);
        iov_get(f, n, hd->end + off, buf + hd->end, part);
        if (!hd->v6)
            st_be16(buf + hd->l3 + 4, (uint16_t)(id + i));
        put_ip_len(buf, hd, total);
        uint8_t *tcp = buf + hd->l4;
        st_be32(tcp + 4, seq + (uint32_t)off);
        if (i + 1 < count)
            tcp[13] &= (uint8_t)~0x09; /* FIN and PSH belong to the last */
        if (i)
            tcp[13] &= (uint8_t)~0x80; /* CWR to the first (RFC 3168 6.1.2) */
        st_be16(tcp + 16, 0);
        put_sum(tcp + 16, net_csum_add(pseudo_sum(buf, hd, (uint32_t)(total - hd->l4)), tcp, total - hd->l4));
        if (!give_buf(to, buf, total)) {
            from->gso_sent = i;
            return false;
        }
    }
    from->gso_sent = 0;
    return true;
}

/* A UDP datagram in IP fragments (RFC 791 3.2, RFC 8200 4.5). */
static bool send_udp(struct net_port *from, struct net_port *to, const struct net_offload *o, const uint8_t *h, const struct headers *hd,
                     const struct iovec *f, int n, size_t len)
{
    uint8_t buf[NET_FRAME_MAX], piece[1024];
    size_t data = len - hd->l4, size = o->gso_size & ~7u, extra = hd->v6 ? 8 : 0;
    unsigned count = (unsigned)((data + size - 1) / size);
    uint32_t sum = pseudo_sum(h, hd, (uint32_t)data);
    for (size_t off = 0; off < data;) {
        size_t part = data - off < sizeof piece ? data - off : sizeof piece;
        iov_get(f, n, hd->l4 + off, piece, part);
        if (!off) {
            st_be16(piece + 4, (uint16_t)data);
            st_be16(piece + 6, 0);
        }
        sum = net_csum_add(sum, piece, part);
        off += part;
    }
    for (unsigned i = from->gso_sent; i < count; i++) {
        size_t off = (size_t)i * size, part = data - off < size ? data - off : size, at = hd->l4 + extra;
        bool more = i + 1 < count;
        memcpy(buf, h, hd->l4);
        iov_get(f, n, hd->l4 + off, buf + at, part);
        if (!i) {
            st_be16(buf + at + 4, (uint16_t)data);
            put_sum(buf + at + 6, sum);
        }
        if (hd->v6) {
            uint8_t *fh = buf + hd->l4;
            buf[hd->ext] = 44;
            fh[0] = P_UDP;
            fh[1] = 0;
            st_be16(fh + 2, (uint16_t)(off | more));
            st_be32(fh + 4, 0x4C6F0000u ^ sum); /* one value for all fragments of a datagram, different for the next */
        } else {
            st_be16(buf + hd->l3 + 6, (uint16_t)((more ? 0x2000 : 0) | off / 8));
        }
        put_ip_len(buf, hd, at + part);
        if (!give_buf(to, buf, at + part)) {
            from->gso_sent = i;
            return false;
        }
    }
    from->gso_sent = 0;
    return true;
}

/* A frame to be segmented, for a receiver that does it: with headers as struct virtio_net_hdr's definition wants them, whatever the sender's
 * hardware convention is. */
static bool pass_tcp(struct net_port *to, const struct net_offload *o, uint8_t *h, const struct headers *hd, const struct iovec *f, int n, size_t len)
{
    struct iovec v[PIECES_MAX + 1];
    struct net_offload fixed = {.needs_csum = true, .csum_valid = o->csum_valid, .gso = o->gso, .hdr_len = (uint16_t)hd->end, .gso_size = o->gso_size,
                                .csum_start = (uint16_t)hd->l4, .csum_offset = 16};
    put_ip_len(h, hd, len);
    st_be16(h + hd->l4 + 16, (uint16_t)~net_csum_fold(pseudo_sum(h, hd, (uint32_t)(len - hd->l4))));
    int k = 0;
    v[k++] = (struct iovec){h, hd->end};
    size_t skip = hd->end;
    for (int i = 0; i < n; i++) {
        if (f[i].iov_len <= skip) {
            skip -= f[i].iov_len;
            continue;
        }
        v[k++] = (struct iovec){(uint8_t *)f[i].iov_base + skip, f[i].iov_len - skip};
        skip = 0;
    }
    return give(to, &fixed, v, k, len);
}

enum { LOST, KEPT, TAKEN };

static int send_gso(struct net_port *from, struct net_port *to, const struct net_offload *o, const struct iovec *f, int n, size_t len)
{
    uint8_t h[HEADERS_MAX];
    struct headers hd;
    size_t got = iov_get(f, n, 0, h, sizeof h);
    if (!parse(h, got, &hd) || hd.proto != (o->gso == NET_GSO_UDP ? P_UDP : P_TCP) || (o->gso != NET_GSO_UDP && hd.v6 != (o->gso == NET_GSO_TCPV6)))
        return LOST;
    unsigned fragment = o->gso == NET_GSO_UDP ? 8 : 0; /* IPv6's header of each piece */
    if (o->gso_size < MSS_MIN || hd.end + o->gso_size + fragment > NET_FRAME_MAX || len - hd.l3 - (hd.v6 ? 40 : 0) > 65535)
        return LOST;
    if (o->gso != NET_GSO_UDP && to->can & (hd.v6 ? NET_CAN_TSO6 : NET_CAN_TSO4) && n <= PIECES_MAX)
        return pass_tcp(to, o, h, &hd, f, n, len) ? TAKEN : KEPT;
    /* Sequence number or IP id, length and the addresses' sum: enough to know a frame again. */
    uint32_t mark = net_csum_add((uint32_t)len << 16 ^ o->gso_size, h + hd.l3, hd.end - hd.l3) ^ ld_be32(h + hd.l4 + 4);
    if (from->gso_sent && from->gso_mark != mark)
        from->gso_sent = 0;
    from->gso_mark = mark;
    bool done = o->gso == NET_GSO_UDP ? send_udp(from, to, o, h, &hd, f, n, len) : send_tcp(from, to, o, h, &hd, f, n, len);
    return done ? TAKEN : KEPT;
}

bool net_send(struct net_port *from, const struct net_offload *o, const struct iovec *f, int n)
{
    struct net_port *to = from->peer;
    size_t len = iov_len(f, n);
    int r;
    if (!to || !from->link) {
        from->stats.tx_dropped++;
        return true;
    }
    if (len < ETH_HLEN || len > NET_GSO_MAX) {
        r = LOST;
    } else if (o && o->gso != NET_GSO_NONE) {
        r = o->gso == NET_GSO_TCPV4 || o->gso == NET_GSO_TCPV6 || o->gso == NET_GSO_UDP ? send_gso(from, to, o, f, n, len) : LOST;
    } else if (len > NET_FRAME_MAX) {
        r = LOST;
    } else if (o && o->needs_csum) {
        if ((size_t)o->csum_start + o->csum_offset + 2 > len)
            r = LOST;
        else
            r = (to->can & NET_CAN_CSUM ? give(to, o, f, n, len) : send_summed(to, o, f, n, len)) ? TAKEN : KEPT;
    } else {
        r = give(to, o, f, n, len) ? TAKEN : KEPT;
    }
    if (r == KEPT)
        return false;
    if (r == LOST) {
        guest_error("net", "a frame of %zu bytes that cannot be sent is dropped (segmentation %u, size %u)", len, o ? o->gso : 0, o ? o->gso_size : 0);
        from->stats.tx_dropped++;
        return true;
    }
    from->stats.tx_frames++;
    from->stats.tx_bytes += len;
    return true;
}

void net_announce(struct net_port *p)
{
    static const uint8_t none[6];
    if (!memcmp(p->mac, none, 6))
        return;
    /* RFC 903: "reverse request", own hardware address as sender and target. Switches learn from the source address. */
    uint8_t f[60] = {0};
    memset(f, 0xFF, 6);
    memcpy(f + 6, p->mac, 6);
    st_be16(f + 12, 0x8035);
    st_be16(f + 14, 1);
    st_be16(f + 16, 0x0800);
    f[18] = 6;
    f[19] = 4;
    st_be16(f + 20, 3);
    memcpy(f + 22, p->mac, 6);
    memcpy(f + 32, p->mac, 6);
    (void)net_send(p, NULL, &(struct iovec){f, sizeof f}, 1); /* lost when the receiver is full: traffic is on its way then anyway */
}
