/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmxnet3: what the headers of a frame say, and the hash that spreads frames over the receive queues. */
#include <string.h>

#include "base/bytes.h"
#include "net/vmxnet3_private.h"

enum { ETH_IPV4 = 0x0800, ETH_IPV6 = 0x86dd, ETH_VLAN = 0x8100, ETH_QINQ = 0x88a8 };
enum { PROTO_TCP = 6, PROTO_UDP = 17, IP6_HOP = 0, IP6_ROUTING = 43, IP6_FRAGMENT = 44, IP6_DEST = 60 };
enum { RSS_TYPE_IPV4 = 1, RSS_TYPE_TCPIPV4, RSS_TYPE_IPV6, RSS_TYPE_TCPIPV6, RSS_TYPE_UDPIPV4, RSS_TYPE_UDPIPV6 };
enum { HASH_IPV4 = 1, HASH_TCP_IPV4 = 2, HASH_IPV6 = 4, HASH_TCP_IPV6 = 8 };
enum { FIELD_UDPIP4 = 4, FIELD_UDPIP6 = 8 };

static void parse_l4(struct v3_pkt *p, const uint8_t *h, size_t n, size_t off, unsigned proto)
{
    if (p->frag)
        return;
    if (proto == PROTO_TCP && off + 20 <= n && (h[off + 12] >> 4) >= 5) {
        p->tcp = true;
        p->payload = (uint16_t)(off + 4u * (h[off + 12] >> 4));
    } else if (proto == PROTO_UDP && off + 8 <= n) {
        p->udp = true;
        p->payload = (uint16_t)(off + 8);
    }
    if (p->tcp || p->udp)
        p->l4 = (uint16_t)off;
}

static void parse_v4(struct v3_pkt *p, const uint8_t *h, size_t n, size_t off)
{
    size_t ihl = off + 20 <= n ? 4u * (h[off] & 15) : 0;
    unsigned total = ihl ? ld_be16(h + off + 2) : 0;
    if (ihl < 20 || h[off] >> 4 != 4 || total < ihl)
        return;
    p->v4 = true;
    p->l3 = (uint16_t)off;
    p->l4_len = (uint32_t)(total - ihl);
    p->frag = ld_be16(h + off + 6) & 0x3fff;
    parse_l4(p, h, n, off + ihl, h[off + 9]);
}

static void parse_v6(struct v3_pkt *p, const uint8_t *h, size_t n, size_t off)
{
    if (off + 40 > n || h[off] >> 4 != 6)
        return;
    p->v6 = true;
    p->l3 = (uint16_t)off;
    unsigned proto = h[off + 6];
    uint32_t left = ld_be16(h + off + 4);
    off += 40;
    while (proto == IP6_HOP || proto == IP6_ROUTING || proto == IP6_DEST || proto == IP6_FRAGMENT) {
        if (off + 8 > n)
            return;
        uint32_t len = proto == IP6_FRAGMENT ? 8 : 8 + 8u * h[off + 1];
        if (proto == IP6_FRAGMENT && ld_be16(h + off + 2) & 0xfff9)
            p->frag = true;
        if (len > left)
            return;
        proto = h[off];
        left -= len;
        off += len;
    }
    p->l4_len = left;
    parse_l4(p, h, n, off, proto);
}

void v3_parse(struct v3_pkt *p, const uint8_t *h, size_t n)
{
    size_t off = 14;
    memset(p, 0, sizeof *p);
    if (n > V3_HDR_MAX)
        n = V3_HDR_MAX;
    if (n < off)
        return;
    unsigned type = ld_be16(h + 12);
    for (int tags = 0; tags < 2 && (type == ETH_VLAN || type == ETH_QINQ) && n >= off + 4; tags++) {
        if (!tags && type == ETH_VLAN) {
            p->tagged = true;
            p->tci = ld_be16(h + 14);
        }
        type = ld_be16(h + off + 2);
        off += 4;
    }
    if (type == ETH_IPV4)
        parse_v4(p, h, n, off);
    else if (type == ETH_IPV6)
        parse_v6(p, h, n, off);
}

uint32_t v3_pseudo(const struct v3_pkt *p, const uint8_t *h)
{
    uint8_t proto[2] = {0, p->tcp ? PROTO_TCP : PROTO_UDP};
    uint32_t sum = net_csum_add(0, proto, 2);
    return p->v4 ? net_csum_add(sum, h + p->l3 + 12, 8) : net_csum_add(sum, h + p->l3 + 8, 32);
}

/* The Toeplitz hash: for each set bit of the data, the 32 bits of the key that begin there. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *d, unsigned n)
{
    uint32_t hash = 0, window = ld_be32(key);
    for (unsigned i = 0; i < n; i++)
        for (int bit = 7; bit >= 0; bit--) {
            if (d[i] >> bit & 1)
                hash ^= window;
            window = window << 1 | (key[i + 4] >> bit & 1);
        }
    return hash;
}

unsigned v3_rss(const struct vmxnet3 *v, const struct v3_pkt *p, const uint8_t *h, uint32_t *hash)
{
    uint8_t in[36];
    unsigned len = p->v4 ? 8 : 32, type;
    if (!(v->features & FEAT_RSS) || !v->rss_table_size || !(p->v4 || p->v6))
        return 0;
    bool tcp = p->tcp && v->rss_types & (p->v4 ? HASH_TCP_IPV4 : HASH_TCP_IPV6);
    bool udp = p->udp && v->rss_fields & (p->v4 ? FIELD_UDPIP4 : FIELD_UDPIP6);
    if (!tcp && !udp && !(v->rss_types & (p->v4 ? HASH_IPV4 : HASH_IPV6)))
        return 0;
    memcpy(in, h + p->l3 + (p->v4 ? 12 : 8), len);
    if (tcp || udp) {
        memcpy(in + len, h + p->l4, 4);
        len += 4;
        type = tcp ? (p->v4 ? RSS_TYPE_TCPIPV4 : RSS_TYPE_TCPIPV6) : (p->v4 ? RSS_TYPE_UDPIPV4 : RSS_TYPE_UDPIPV6);
    } else {
        type = p->v4 ? RSS_TYPE_IPV4 : RSS_TYPE_IPV6;
    }
    *hash = toeplitz(v->rss_key, in, len);
    return type;
}
