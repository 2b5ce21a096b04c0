/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receive: address and VLAN filters (SDM 3.2.1, 9), checksums (3.2.9), descriptors legacy (3.2.3), and of the 82574
 * extended and packet split (82574 7.1.4, 7.1.5) and two queues by RSS (7.1.11). The frame is copied once, from the
 * sender's pieces to the guest's buffers. When the ring has no room for the whole frame the sender is told to wait.
 */
#include <string.h>

#include "net/e1000_private.h"

enum { HEAD = 192 }; /* bytes that are looked at: all headers that are understood */

/* What is known about the frame. Offsets are from its first byte, tag included. */
struct info {
    uint8_t h[HEAD];
    uint32_t hlen, size; /* size: without FCS, at least 60 */
    uint32_t l3, l4, l4_len, end_hdr;
    uint8_t proto;
    bool vlan, v4, v6, frag, l4_ok;
    uint16_t tag;
};

/* ---- filters ---- */

static bool is_bcast(const uint8_t *a) { return ld_le32(a) == 0xffffffff && ld_le16(a + 4) == 0xffff; }

static bool exact_match(const struct e1000 *x, const uint8_t *dst)
{
    uint32_t lo = ld_le32(dst), hi = ld_le16(dst + 4);
    for (unsigned i = 0; i < 16; i++) {
        uint32_t rah = REG(x, RA + 8 * i + 4);
        if (rah >> 31 && REG(x, RA + 8 * i) == lo && (rah & 0xffff) == hi && !(rah >> 16 & 3))
            return true;
    }
    return false;
}

/* 12 bits of the address's last two bytes, which of them RCTL.MO says, choose a bit of the table (13.5.1). */
static bool hash_match(const struct e1000 *x, const uint8_t *dst)
{
    static const uint8_t shift[4] = {4, 3, 2, 0};
    unsigned bit = ld_le16(dst + 4) >> shift[REG(x, RCTL) >> RCTL_MO_SHIFT & 3] & 0xfff;
    return REG(x, MTA + 4 * (bit >> 5)) >> (bit & 31) & 1;
}

static bool wanted(struct e1000 *x, const struct info *in, bool *inexact)
{
    uint32_t rctl = REG(x, RCTL);
    const uint8_t *dst = in->h;
    if (in->vlan && rctl & RCTL_VFE) {
        unsigned vid = in->tag & 0xfff;
        if (!(REG(x, VFTA + 4 * (vid >> 5)) >> (vid & 31) & 1))
            return false;
        if (rctl & RCTL_CFIEN && (in->tag >> 12 & 1) != !!(rctl & RCTL_CFI))
            return false;
    }
    *inexact = false;
    if (exact_match(x, dst))
        return true;
    if (is_bcast(dst))
        return rctl & (RCTL_BAM | RCTL_MPE);
    if (dst[0] & 1 && hash_match(x, dst)) {
        *inexact = true; /* passed in-exact filter: software has to look */
        return true;
    }
    return rctl & (dst[0] & 1 ? RCTL_MPE : RCTL_UPE);
}

/* IEEE 802.3x: counted, and taken out unless software wants to see them. True: it is one, and is not passed on. */
static bool flow_control(struct e1000 *x, const struct info *in)
{
    if (ld_le32(in->h) != REG(x, FCAL) || ld_le16(in->h + 4) != REG(x, FCAH) || ld_be16(in->h + 12) != REG(x, FCT) ||
        !REG(x, FCT) || !(REG(x, CTRL) & CTRL_RFCE))
        return false;
    e1000_count(x, ld_be16(in->h + 16) ? XOFFRXC : XONRXC, 1);
    return REG(x, RCTL) & RCTL_DPF;
}

/* ---- headers ---- */

static void parse(struct e1000 *x, struct info *in)
{
    const uint8_t *h = in->h;
    uint32_t off = 12;
    in->vlan = ld_be16(h + 12) == REG(x, VET) && in->hlen >= 18;
    if (in->vlan) {
        in->tag = ld_be16(h + 14);
        off = 16;
    }
    uint16_t type = ld_be16(h + off);
    in->l3 = in->end_hdr = off + 2;
    if (type == 0x0800 && in->l3 + 20 <= in->hlen && h[in->l3] >> 4 == 4) {
        uint32_t ihl = (h[in->l3] & 15) * 4u, total = ld_be16(h + in->l3 + 2);
        if (ihl < 20 || total < ihl || in->l3 + total > in->size || in->l3 + ihl > in->hlen)
            return;
        in->v4 = true;
        in->proto = h[in->l3 + 9];
        in->frag = ld_be16(h + in->l3 + 6) & 0x3fff;
        in->l4 = in->l3 + ihl;
        in->l4_len = total - ihl;
    } else if (type == 0x86dd && in->l3 + 40 <= in->hlen && h[in->l3] >> 4 == 6) {
        uint32_t total = ld_be16(h + in->l3 + 4), o = in->l3 + 40;
        if (o + total > in->size)
            return;
        in->v6 = true;
        in->proto = h[in->l3 + 6];
        /* hop-by-hop, routing and destination options; a fragment ends it */
        for (int i = 0; i < 8 && (in->proto == 0 || in->proto == 43 || in->proto == 60) && o + 8 <= in->hlen; i++) {
            uint32_t len = 8 + 8u * h[o + 1];
            in->proto = h[o];
            o += len;
        }
        if (in->proto == 44)
            in->frag = true;
        if (o > in->l3 + 40 + total)
            return;
        in->l4 = o;
        in->l4_len = in->l3 + 40 + total - o;
    } else {
        return;
    }
    in->end_hdr = in->l4 <= in->hlen ? in->l4 : in->l3;
    if (in->frag || in->l4 + 8 > in->hlen)
        return;
    if (in->proto == 6 && in->l4_len >= 20 && in->l4 + 20 <= in->hlen) {
        uint32_t len = (h[in->l4 + 12] >> 4) * 4u;
        in->l4_ok = len >= 20;
        if (in->l4_ok && len <= in->l4_len)
            in->end_hdr = in->l4 + len;
    } else if (in->proto == 17 && in->l4_len >= 8) {
        in->l4_ok = ld_be16(h + in->l4 + 4) <= in->l4_len;
        in->end_hdr = in->l4 + 8;
    }
}

static uint16_t fold(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)((s & 0xffff) + (s >> 16));
}

/* One's complement sum (folded, of big-endian words) of bytes [off, off + n) of the pieces. */
static uint16_t sum_iov(const struct iovec *f, int n, uint32_t off, uint32_t len)
{
    uint32_t sum = 0, pos = 0;
    for (int i = 0; i < n && len; i++) {
        if (off >= f[i].iov_len) {
            off -= (uint32_t)f[i].iov_len;
            continue;
        }
        uint32_t part = (uint32_t)f[i].iov_len - off;
        if (part > len)
            part = len;
        uint16_t s = (uint16_t)~net_csum_fold(net_csum_add(0, (const uint8_t *)f[i].iov_base + off, part));
        sum += pos & 1 ? (uint16_t)(s << 8 | s >> 8) : s;
        pos += part;
        len -= part;
        off = 0;
    }
    return fold(sum);
}

/* Status and error bits of the checksums (3.2.9). */
static void checksums(struct e1000 *x, const struct net_offload *o, const struct info *in, const struct iovec *f, int n,
                      uint8_t *status, uint8_t *errors)
{
    uint32_t rxcsum = REG(x, RXCSUM);
    bool looked = false;
    if (in->v4 && rxcsum & RXCSUM_IPOFL) {
        looked = true;
        *status |= RXD_IPCS;
        if (net_csum_fold(net_csum_add(0, in->h + in->l3, in->l4 - in->l3)))
            *errors |= RXD_E_IPE;
    }
    if (in->l4_ok && rxcsum & RXCSUM_TUOFL) {
        bool tcp = in->proto == 6;
        uint32_t len = tcp ? in->l4_len : ld_be16(in->h + in->l4 + 4);
        looked = true;
        if (!tcp && (!len || !ld_be16(in->h + in->l4 + 6))) {
            /* UDP without a checksum: nothing is said about it */
        } else {
            *status |= RXD_TCPCS;
            if (!tcp && x->model->e)
                *status |= RXD_UDPCS;
            if (!o || !o->csum_valid) {
                uint8_t ps[40] = {0};
                uint32_t alen = in->v4 ? 8 : 32;
                memcpy(ps, in->h + in->l3 + (in->v4 ? 12 : 8), alen);
                st_be32(ps + alen, len);
                ps[alen + 7] = in->proto;
                uint32_t s = (uint16_t)~net_csum_fold(net_csum_add(0, ps, alen + 8));
                if (fold(s + sum_iov(f, n, in->l4, len)) != 0xffff)
                    *errors |= RXD_E_TCPE;
            }
        }
    }
    if (!looked)
        *status |= RXD_IXSM;
}

/* ---- RSS (82574 7.1.11) ---- */

/* Toeplitz hash; the key's bytes lie in RSSRK from the lowest on. */
static uint32_t toeplitz(const struct e1000 *x, const uint8_t *in, unsigned n)
{
    uint32_t key = __builtin_bswap32(REG(x, RSSRK)), hash = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned next = i + 4;
        uint8_t byte = (uint8_t)(REG(x, RSSRK + (next & ~3u)) >> 8 * (next & 3));
        for (int b = 7; b >= 0; b--) {
            if (in[i] >> b & 1)
                hash ^= key;
            key = key << 1 | (byte >> b & 1);
        }
    }
    return hash;
}

static unsigned rss(struct e1000 *x, const struct info *in, uint32_t *hash, uint32_t *mrq)
{
    uint32_t mrqc = REG(x, MRQC);
    uint8_t b[36];
    unsigned n, type = 0;
    bool tcp = in->l4_ok && in->proto == 6;
    if (!x->model->e || (mrqc & 3) != 1 || (!in->v4 && !in->v6))
        return 0;
    if (in->v4) {
        memcpy(b, in->h + in->l3 + 12, n = 8);
        type = tcp && mrqc >> 16 & 1 ? 1 : mrqc >> 17 & 1 ? 2 : 0;
    } else {
        memcpy(b, in->h + in->l3 + 8, n = 32);
        type = tcp && mrqc >> 18 & 1 ? 3 : tcp && mrqc >> 21 & 1 ? 3 : mrqc >> 20 & 1 ? 5 : mrqc >> 19 & 1 ? 4 : 0;
    }
    if (!type)
        return 0;
    if (type == 1 || type == 3) {
        memcpy(b + n, in->h + in->l4, 4);
        n += 4;
    }
    *hash = toeplitz(x, b, n);
    *mrq = type;
    uint8_t entry = (uint8_t)(REG(x, RETA + (*hash & 0x7c)) >> 8 * (*hash & 3));
    *mrq |= (entry >> 7) << 8;
    return entry >> 7;
}

/* ---- descriptors ---- */

struct cursor {
    const struct iovec *v;
    int n;
    size_t off;
};

static void copy_out(struct e1000 *x, struct cursor *c, uint64_t addr, uint32_t len)
{
    while (len && c->n) {
        size_t part = c->v->iov_len - c->off;
        if (part > len)
            part = len;
        if (part && pci_dma_write(&x->pci, addr, (const uint8_t *)c->v->iov_base + c->off, part) < 0)
            guest_error("e1000", "a receive buffer at %llx is not in memory", (unsigned long long)addr);
        addr += part;
        len -= (uint32_t)part;
        c->off += part;
        if (c->off == c->v->iov_len) {
            c->v++;
            c->n--;
            c->off = 0;
        }
    }
}

static uint32_t buffer_size(const struct e1000 *x)
{
    uint32_t rctl = REG(x, RCTL), bs = rctl >> RCTL_BSIZE_SHIFT & 3;
    if (x->model->e && rctl >> RCTL_FLXBUF_SHIFT & 15)
        return (rctl >> RCTL_FLXBUF_SHIFT & 15) * 1024;
    if (rctl & RCTL_BSEX && bs)
        return 32768u >> bs;
    return 2048u >> bs;
}

struct out {
    uint32_t len; /* to write, after tag and FCS */
    uint8_t status, errors;
    uint16_t special, csum;
    uint32_t mrq, hash, hdr; /* hdr: packet split puts so many bytes apart */
};

static void put_legacy(struct e1000 *x, uint64_t desc, struct cursor *c, const struct out *o, uint32_t len, bool last)
{
    uint8_t d[16], *w = d + 8;
    pci_dma_read(&x->pci, desc, d, 8);
    copy_out(x, c, ld_le64(d), len);
    st_le16(w, (uint16_t)len);
    st_le16(w + 2, o->csum);
    w[4] = (uint8_t)(RXD_DD | (last ? RXD_EOP | o->status : 0));
    w[5] = last ? o->errors : 0;
    st_le16(w + 6, last ? o->special : 0);
    pci_dma_write(&x->pci, desc + 8, w, 8);
}

/* Both forms of the 82574 in one: a packet split descriptor is an extended one with three more buffers and lengths. */
static void put_extended(struct e1000 *x, uint64_t desc, struct cursor *c, const struct out *o, uint32_t len, bool first,
                         bool last, const uint32_t *room)
{
    uint8_t d[32];
    uint32_t got[4] = {0};
    pci_dma_read(&x->pci, desc, d, room ? 32 : 16);
    if (room) {
        uint32_t left = len;
        for (int i = 0; i < 4; i++) {
            uint32_t k = left < room[i] ? left : room[i];
            if (i == 0 && o->hdr)
                k = first ? o->hdr : 0;
            copy_out(x, c, ld_le64(d + 8 * i), k);
            got[i] = k;
            left -= k;
        }
    } else {
        copy_out(x, c, ld_le64(d), got[0] = len);
    }
    memset(d, 0, sizeof d);
    st_le32(d, o->mrq);
    st_le32(d + 4, o->hash);
    st_le32(d + 8, RXD_DD | (last ? RXD_EOP | o->status | (uint32_t)o->errors << 24 : 0));
    st_le16(d + 12, (uint16_t)got[0]);
    st_le16(d + 14, last ? o->special : 0);
    if (room) {
        st_le16(d + 16, first && o->hdr ? (uint16_t)(0x8000 | o->hdr) : 0);
        for (int i = 1; i < 4; i++)
            st_le16(d + 16 + 2 * i, (uint16_t)got[i]);
        pci_dma_write(&x->pci, desc + 16, d + 16, 16);
    }
    /* The status goes last: software polls it. */
    pci_dma_write(&x->pci, desc, d, 8);
    pci_dma_write(&x->pci, desc + 8, d + 8, 8);
}

/* Writes the frame into queue q. 0: no room now, -1: never, 1: done. */
static int deliver(struct e1000 *x, unsigned q, struct cursor *c, struct out *o)
{
    bool ext = x->model->e && REG(x, RFCTL) & RFCTL_EXTEN;
    bool ps = ext && (REG(x, RCTL) >> RCTL_DTYP_SHIFT & 3) == 1;
    /* Head and tail count 16 bytes in all forms, so a packet split descriptor is two (82574 7.1.5). */
    uint32_t dsize = ps ? 32 : 16, unit = dsize / 16;
    uint32_t ring = QREG(x, RDLEN, q) / dsize, head = QREG(x, RDH, q) / unit, tail = QREG(x, RDT, q) / unit;
    uint64_t base = QREG(x, RDBAL, q) | (uint64_t)QREG(x, RDBAH, q) << 32;
    uint32_t room[4], per = 0, firstroom;
    if (!ring || head >= ring || tail >= ring) {
        if (ring)
            guest_error("e1000", "receive head %u, tail %u in a ring of %u", head, tail, ring);
        return -1;
    }
    if (ps) {
        uint32_t b = REG(x, PSRCTL);
        room[0] = (b & 0x7f) * 128;
        for (int i = 1; i < 4; i++)
            room[i] = (b >> 8 * i & 0x3f) * 1024;
        if (o->hdr > room[0] || o->hdr > 0x3ff)
            o->hdr = 0;
        per = room[1] + room[2] + room[3] + (o->hdr ? 0 : room[0]);
        firstroom = per + o->hdr;
    } else {
        firstroom = per = buffer_size(x);
    }
    if (!firstroom || !per)
        return -1;
    uint32_t need = o->len <= firstroom ? 1 : 1 + (o->len - firstroom + per - 1) / per;
    uint32_t have = (tail + ring - head) % ring;
    if (need > ring - 1)
        return -1;
    if (need > have)
        return 0;
    uint32_t left = o->len;
    for (uint32_t i = 0; i < need; i++) {
        uint32_t cap = i ? per : firstroom, part = left < cap ? left : cap;
        uint64_t desc = base + (uint64_t)dsize * head;
        bool last = i == need - 1;
        if (ext)
            put_extended(x, desc, c, o, part, i == 0, last, ps ? room : NULL);
        else
            put_legacy(x, desc, c, o, part, last);
        left -= part;
        head = head + 1 == ring ? 0 : head + 1;
    }
    QREG(x, RDH, q) = head * unit;
    uint32_t low = ring >> (1 + (REG(x, RCTL) >> RCTL_RDMTS_SHIFT & 3));
    if (have > low && have - need <= low)
        e1000_cause(x, I_RXDMT0);
    return 1;
}

bool e1000_rx(struct e1000 *x, const struct net_offload *off, const struct iovec *f, int n, bool wait)
{
    static const uint8_t zeros[60];
    struct info in;
    struct iovec v[E1000_RX_IOV + 4], flat;
    struct out o = {0};
    size_t size = iov_len(f, n);
    uint32_t rctl = REG(x, RCTL);
    bool inexact;

    if (!(rctl & RCTL_EN) || !x->pci.bus_master || !e1000_link_up(x) || size < 14)
        return true;
    if (size + 4 > E1000_RX_MAX) {
        e1000_count(x, ROC, 1);
        return true;
    }
    if (n > E1000_RX_IOV) {
        iov_get(f, n, 0, x->rx_buf, size);
        flat = (struct iovec){x->rx_buf, size};
        f = &flat;
        n = 1;
    }
    memset((char *)&in + offsetof(struct info, hlen), 0, sizeof in - offsetof(struct info, hlen));
    in.hlen = (uint32_t)iov_get(f, n, 0, in.h, size < HEAD ? size : HEAD);
    if (in.hlen < 60) { /* short frames have been padded on the way */
        memset(in.h + in.hlen, 0, 60 - in.hlen);
        in.hlen = 60;
    }
    in.size = size < 60 ? 60 : (uint32_t)size;
    parse(x, &in);

    e1000_count(x, TPR, 1);
    e1000_count64(x, TORL, in.size + 4);
    if (in.size + 4 > 1522 && !(rctl & RCTL_LPE)) {
        e1000_count(x, ROC, 1);
        return true;
    }
    if (flow_control(x, &in) || !wanted(x, &in, &inexact))
        return true;

    /* The pieces as they go to memory: without the tag if it is taken off, padded, with FCS unless that is taken off. */
    bool strip = in.vlan && REG(x, CTRL) & CTRL_VME;
    int k = 0;
    size_t pad = in.size - size;
    o.status = inexact ? RXD_PIF : 0;
    if (strip) {
        v[k++] = (struct iovec){in.h, 12};
        size_t skip = 16;
        for (int i = 0; i < n; i++) {
            if (skip >= f[i].iov_len) {
                skip -= f[i].iov_len;
                continue;
            }
            v[k++] = (struct iovec){(uint8_t *)f[i].iov_base + skip, f[i].iov_len - skip};
            skip = 0;
        }
        o.status |= RXD_VP;
        o.special = in.tag;
    } else {
        memcpy(v, f, (size_t)n * sizeof *f);
        k = n;
    }
    if (pad)
        v[k++] = (struct iovec){(void *)(uintptr_t)zeros, pad};
    o.len = in.size - (strip ? 4 : 0);
    uint8_t fcs[4];
    if (!(rctl & RCTL_SECRC)) {
        uint32_t crc = 0;
        for (int i = 0; i < n; i++)
            crc = fcs_add(&x->fcs, crc, f[i].iov_base, f[i].iov_len);
        if (pad)
            crc = fcs_add(&x->fcs, crc, zeros, pad);
        st_le32(fcs, crc);
        v[k++] = (struct iovec){fcs, 4};
        o.len += 4;
    }
    unsigned q = rss(x, &in, &o.hash, &o.mrq);
    if (!QREG(x, RDLEN, q))
        q = 0;
    checksums(x, off, &in, f, n, &o.status, &o.errors);
    if (!(REG(x, RXCSUM) & RXCSUM_PCSD)) {
        /* The packet checksum: everything from PCSS on. */
        uint32_t pcss = REG(x, RXCSUM) & 0xff;
        o.csum = pcss < size ? sum_iov(f, n, pcss, (uint32_t)size - pcss) : 0;
        if (x->model->e)
            o.hash = (uint32_t)o.csum << 16 | (in.v4 ? ld_be16(in.h + in.l3 + 4) : 0);
    }
    o.hdr = in.end_hdr - (strip ? 4 : 0);
    if (!in.v4 && !in.v6)
        o.hdr = 0;
    struct cursor c = {v, k, 0};
    int r = deliver(x, q, &c, &o);
    if (r == 0 && wait) {
        x->rx_stalled = true;
        e1000_count(x, RNBC, 1);
        return false;
    }
    if (r <= 0) {
        e1000_count(x, MPC, 1);
        e1000_cause(x, I_RXO);
        return true;
    }
    e1000_count(x, GPRC, 1);
    e1000_count64(x, GORCL, in.size + 4);
    e1000_count_size(x, PRC64, in.size + 4);
    if (in.h[0] & 1)
        e1000_count(x, is_bcast(in.h) ? BPRC : MPRC, 1);
    if (REG(x, RSRPD) && in.size + 4 <= REG(x, RSRPD))
        e1000_cause(x, I_SRPD);
    e1000_rx_done_cause(x, q);
    return true;
}

void e1000_rx_room(struct e1000 *x)
{
    if (!x->rx_stalled)
        return;
    x->rx_stalled = false;
    net_writable(x->port);
}
