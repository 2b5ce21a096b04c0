/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmxnet3, reception. A frame begins in a HEAD buffer of ring 1; what does not fit goes on in BODY buffers of ring 1 and
 * then of ring 2, one completion for each buffer. A small frame goes to the data ring instead, if there is one: a slot
 * for each descriptor of ring 1. Buffers are counted before the first is used: a frame gets all it needs, or waits.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/dma.h"
#include "core/vm.h"
#include "net/vmxnet3_private.h"

enum {
    RXD_LEN = 0x3fff,
    RXD_BODY = 1 << 14,
    RXD_DTYPE = 1 << 15,
    RXD_GEN = 1u << 31,

    RCD0_EOP = 1 << 14,
    RCD0_SOP = 1 << 15,
    RCD0_RQID_SHIFT = 16,
    RCD0_RSS_SHIFT = 26,
    RCD0_CNC = 1 << 30,
    RCD2_TS = 1 << 15,
    RCD2_TCI_SHIFT = 16,
    RCD3_TUC = 1 << 16,
    RCD3_UDP = 1 << 17,
    RCD3_TCP = 1 << 18,
    RCD3_IPC = 1 << 19,
    RCD3_V6 = 1 << 20,
    RCD3_V4 = 1 << 21,
    RCD3_FRG = 1 << 22,
    RCD3_FCS = 1 << 23,
    RCD3_TYPE_SHIFT = 24,
    CDTYPE_RXCOMP = 3,
    CDTYPE_RXCOMP_LRO = 4,

    MAX_SEGS = 128, /* 64 KiB in the smallest buffers that are of use */
    MIN_BUF = 128,
    ETH_MTU = 1500,
};

struct rx_seg {
    uint64_t addr;
    uint32_t len, index;
    uint8_t ring;
};

/* A frame on its way in. */
struct rx_frame {
    const struct iovec *f;
    int n;
    uint32_t len;       /* as the guest gets it */
    uint32_t cut;       /* 4 when the tag is taken out */
    struct v3_pkt p;    /* offsets as it came */
    uint8_t hdr[V3_HDR_MAX];
    uint32_t n_hdr;
    uint32_t sum_at;    /* where to put a finished checksum, 0: nowhere */
    uint16_t sum;
    uint32_t rcd0, rcd1, rcd2, rcd3; /* of each completion */
    int n_seg;
    struct rx_seg seg[MAX_SEGS];
    struct v3_ring ring[2]; /* with the frame's buffers taken off */
};

/* ---- filters ---- */

static bool rx_wanted(const struct vmxnet3 *v, const uint8_t *h, const struct v3_pkt *p)
{
    static const uint8_t bcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    unsigned vid = p->tci & 0xfff;
    if (v->rx_mode & RXM_PROMISC)
        return true;
    /* Frames without a VLAN, and those that only have a priority, always pass. */
    if (p->tagged && vid && !(v->vlans[vid >> 5] >> (vid & 31) & 1))
        return false;
    if (!(h[0] & 1))
        return v->rx_mode & RXM_UCAST && !memcmp(h, v->mac, 6);
    if (!memcmp(h, bcast, 6))
        return v->rx_mode & RXM_BCAST;
    if (v->rx_mode & RXM_ALL_MULTI || (v->rx_mode & RXM_MCAST && v->n_mf > V3_MF_MAX))
        return true;
    for (unsigned i = 0; v->rx_mode & RXM_MCAST && i < v->n_mf; i++)
        if (!memcmp(h, v->mf[i], 6))
            return true;
    return false;
}

/* ---- checksums ---- */

/* The sum of the bytes from off to end of the frame. */
static uint32_t sum_range(const struct rx_frame *x, uint32_t off, uint32_t end)
{
    uint32_t sum = 0, at = 0;
    bool odd = false;
    for (int i = 0; i < x->n && at < end; i++) {
        uint32_t n = (uint32_t)x->f[i].iov_len, from = off > at ? off - at : 0, to = end - at < n ? end - at : n;
        if (from < to) {
            uint16_t part = (uint16_t)~net_csum_fold(net_csum_add(0, (const uint8_t *)x->f[i].iov_base + from, to - from));
            sum += odd ? __builtin_bswap16(part) : part;
            odd ^= (to - from) & 1;
        }
        at += n;
    }
    return sum;
}

/* Is the TCP or UDP checksum of a whole packet good? total: length of the frame as it came. */
static bool l4_good(const struct rx_frame *x, uint32_t total)
{
    const struct v3_pkt *p = &x->p;
    uint32_t end = p->l4 + p->l4_len;
    if (end > total)
        return false;
    if (p->udp && p->v4 && !ld_be16(x->hdr + p->l4 + 6))
        return true; /* the sender made none */
    return net_csum_fold(v3_pseudo(p, x->hdr) + p->l4_len + sum_range(x, p->l4, end)) == 0;
}

static void rx_checksums(const struct vmxnet3 *v, struct rx_frame *x, const struct net_offload *o, uint32_t total)
{
    const struct v3_pkt *p = &x->p;
    bool good = o && (o->csum_valid || o->needs_csum);
    if (o && o->needs_csum && !o->gso) {
        /* Bounds were the sender's to keep; a peer is not trusted with them. */
        uint32_t start = o->csum_start, at = start + o->csum_offset;
        if (at + 2 <= total && start >= 14) {
            x->sum = net_csum_fold(sum_range(x, start, total));
            x->sum = x->sum ? x->sum : 0xffff;
            x->sum_at = at;
        }
    }
    x->rcd3 = RCD3_FCS | (p->v4 ? RCD3_V4 : 0) | (p->v6 ? RCD3_V6 : 0) | (p->tcp ? RCD3_TCP : 0) |
              (p->udp ? RCD3_UDP : 0) | (p->frag ? RCD3_FRG : 0);
    if (!(v->features & FEAT_RXCSUM) || !(p->tcp || p->udp)) {
        x->rcd0 |= RCD0_CNC;
        return;
    }
    if (p->v4 && net_csum_fold(net_csum_add(0, x->hdr + p->l3, (size_t)(p->l4 - p->l3))) == 0)
        x->rcd3 |= RCD3_IPC;
    if (good || l4_good(x, total))
        x->rcd3 |= RCD3_TUC;
}

/* ---- buffers ---- */

/* Reads the next descriptor of a ring once. false: the driver has not given it yet. */
static bool rx_desc(struct vmxnet3 *v, const struct v3_ring *r, uint32_t *dw2)
{
    *dw2 = r->size ? gmem_ld32(v->pci.dev.vm, v3_slot(r) + 8) : 0;
    return r->size && !(*dw2 & RXD_GEN) == !r->gen;
}

static void rx_take(struct vmxnet3 *v, struct rx_frame *x, unsigned ring, uint32_t dw2)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    x->seg[x->n_seg++] = (struct rx_seg){gmem_ld64(v->pci.dev.vm, v3_slot(&x->ring[ring])), dw2 & RXD_LEN,
                                         x->ring[ring].next, (uint8_t)ring};
    v3_advance(&x->ring[ring]);
}

enum rx_result { RX_OK, RX_WAIT, RX_NEVER };

/* Finds buffers for the whole frame. */
static enum rx_result rx_reserve(struct vmxnet3 *v, struct v3_rxq *q, struct rx_frame *x)
{
    uint32_t have = 0, dw2;
    unsigned looked[2] = {0, 0};
    x->ring[0] = q->ring[0];
    x->ring[1] = q->ring[1];
    x->n_seg = 0;
    for (;; v3_advance(&x->ring[0])) { /* BODY buffers before the next HEAD are left out, the driver sees that */
        if (!rx_desc(v, &x->ring[0], &dw2))
            return RX_WAIT;
        if (!(dw2 & RXD_BODY))
            break;
        if (++looked[0] == q->ring[0].size)
            return RX_NEVER;
    }
    for (;;) {
        unsigned ring = x->n_seg ? 1 : 0;
        bool given;
        if (x->n_seg && x->ring[0].size && rx_desc(v, &x->ring[0], &dw2) && dw2 & RXD_BODY) {
            ring = 0;
            given = true;
        } else {
            given = rx_desc(v, &x->ring[ring], &dw2);
        }
        if (!given) /* all of the ring's buffers together would be too small? One is always the driver's */
            return looked[ring] + 1 >= q->ring[ring].size ? RX_NEVER : RX_WAIT;
        if ((dw2 & RXD_LEN) < (x->n_seg ? 1 : MIN_BUF) || dw2 & RXD_DTYPE) {
            q->error = (uint32_t)(dw2 & RXD_DTYPE ? ERR_DESC_NOT_SPT : ERR_SMALL_BUF);
            guest_error("vmxnet3", "receive queue stopped: error %x", q->error);
            v3_event(v, ECR_RQERR);
            return RX_NEVER;
        }
        looked[ring]++;
        rx_take(v, x, ring, dw2);
        have += dw2 & RXD_LEN;
        /* The data ring gives a small frame a place of its own, whatever the buffer. */
        if (have >= x->len || (q->data && x->len <= q->data_size))
            return RX_OK;
        if (x->n_seg == MAX_SEGS || looked[ring] > q->ring[ring].size ||
            (v->max_rx_sg && (uint32_t)x->n_seg >= v->max_rx_sg))
            return RX_NEVER;
    }
}

/* Copies n bytes of the frame, from byte off of what the guest is to get on, to a. */
static void rx_copy(struct vmxnet3 *v, const struct rx_frame *x, uint32_t off, uint64_t a, uint32_t n)
{
    struct vm *vm = v->pci.dev.vm;
    if (x->cut && off < 12) { /* the addresses stand before the tag that is taken out */
        uint32_t k = n < 12 - off ? n : 12 - off;
        gmem_write(vm, a, x->hdr + off, k);
        off += k;
        a += k;
        n -= k;
    }
    off += x->cut;
    uint32_t at = 0;
    for (int i = 0; i < x->n && n; i++) {
        uint32_t len = (uint32_t)x->f[i].iov_len;
        if (off < at + len) {
            uint32_t from = off - at, k = len - from < n ? len - from : n;
            gmem_write(vm, a, (const uint8_t *)x->f[i].iov_base + from, k);
            off += k;
            a += k;
            n -= k;
        }
        at += len;
    }
}

/* The finished checksum, wherever its two bytes have come to lie. */
static void rx_put_sum(struct vmxnet3 *v, const struct rx_frame *x, uint32_t off, uint64_t a, uint32_t n)
{
    uint32_t at = x->sum_at - x->cut;
    for (unsigned i = 0; i < 2; i++)
        if (at + i >= off && at + i < off + n) {
            uint8_t b = (uint8_t)(i ? x->sum : x->sum >> 8);
            gmem_write(v->pci.dev.vm, a + (at + i - off), &b, 1);
        }
}

static void rx_deliver(struct vmxnet3 *v, unsigned nr, struct rx_frame *x)
{
    struct v3_rxq *q = &v->rx[nr];
    bool data = q->data && x->len <= q->data_size;
    uint32_t off = 0;
    for (int i = 0; i < x->n_seg; i++) {
        const struct rx_seg *s = &x->seg[i];
        uint32_t n = data || x->len - off < s->len ? x->len - off : s->len;
        uint64_t a = data ? q->data + (uint64_t)s->index * q->data_size : s->addr;
        uint32_t id = nr + (data ? 2u : s->ring) * v->n_rxq;
        rx_copy(v, x, off, a, n);
        if (x->sum_at)
            rx_put_sum(v, x, off, a, n);
        off += n;
        uint32_t dw0 = x->rcd0 | s->index | id << RCD0_RQID_SHIFT | (i ? 0 : RCD0_SOP) | (off == x->len ? RCD0_EOP : 0);
        v3_complete(v, &q->comp, dw0 | (uint64_t)x->rcd1 << 32, (x->rcd2 | n) | (uint64_t)x->rcd3 << 32);
    }
    q->ring[0] = x->ring[0];
    q->ring[1] = x->ring[1];
}

/* ---- a frame ---- */

static void rx_count(struct v3_rxq *q, const struct rx_frame *x, bool lro)
{
    static const uint8_t bcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    unsigned k = !(x->hdr[0] & 1) ? RXS_UCAST : memcmp(x->hdr, bcast, 6) ? RXS_MCAST : RXS_BCAST;
    if (lro) {
        q->stats[RXS_LRO]++;
        q->stats[RXS_LRO + 1] += x->len;
    }
    q->stats[k] += lro && x->rcd1 ? x->rcd1 : 1;
    q->stats[k + 1] += x->len;
}

/* Tells that the frame is many, made into one: how many, and how long each was. Revision 1 has no way to say it. */
static void rx_mark_lro(struct rx_frame *x, const struct net_offload *o, uint32_t total, bool revision1)
{
    uint32_t segs = (total - x->p.payload + o->gso_size - 1) / o->gso_size;
    x->rcd3 |= (revision1 ? CDTYPE_RXCOMP : CDTYPE_RXCOMP_LRO) << RCD3_TYPE_SHIFT;
    if (revision1)
        return;
    x->rcd1 = segs < 255 ? segs : 255;
    x->rcd3 |= o->gso_size;
}

bool v3_receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    struct vmxnet3 *v = end;
    struct rx_frame x;
    size_t total = iov_len(f, n);
    bool gso = o && o->gso;
    if (!v->active || !v->pci.bus_master || total < 14 || total > NET_GSO_MAX)
        return true;
    x.f = f;
    x.n = n;
    x.n_hdr = (uint32_t)iov_get(f, n, 0, x.hdr, sizeof x.hdr);
    v3_parse(&x.p, x.hdr, x.n_hdr);
    if (!rx_wanted(v, x.hdr, &x.p))
        return true;
    x.cut = x.p.tagged && v->features & FEAT_RXVLAN ? 4 : 0;
    x.len = (uint32_t)total - x.cut;
    x.rcd0 = x.rcd1 = x.rcd3 = x.sum_at = 0;
    x.rcd2 = x.cut ? RCD2_TS | (uint32_t)x.p.tci << RCD2_TCI_SHIFT : 0;

    uint32_t hash = 0;
    unsigned rss = v3_rss(v, &x.p, x.hdr, &hash), nr = rss ? v->rss_table[hash % v->rss_table_size] : 0;
    if (nr >= v->n_rxq)
        nr = 0;
    struct v3_rxq *q = &v->rx[nr];
    if (q->error)
        return true;
    /* A guest with a small MTU still gets what any Ethernet carries: not every sender heeds the MSS, libslirp for one. */
    uint32_t mtu = v->mtu > ETH_MTU ? v->mtu : ETH_MTU;
    if (gso ? !(v->features & FEAT_LRO) || !x.p.tcp || !o->gso_size || x.p.payload >= total
            : x.len > mtu + (x.p.tagged && !x.cut ? 18 : 14)) {
        q->stats[RXS_ERROR]++;
        return true;
    }
    rx_checksums(v, &x, o, (uint32_t)total);
    if (gso) {
        rx_mark_lro(&x, o, (uint32_t)total, v->version < 2);
    } else {
        x.rcd3 |= CDTYPE_RXCOMP << RCD3_TYPE_SHIFT;
        x.rcd0 |= rss << RCD0_RSS_SHIFT;
        x.rcd1 = hash;
    }
    switch (rx_reserve(v, q, &x)) {
    case RX_WAIT:
        if (!q->starved) {
            /* Asks the driver to ring when it has given buffers; those that came just before count. */
            q->starved = true;
            gmem_write(v->pci.dev.vm, v->queue_desc + (uint64_t)(v->n_txq + nr) * QD_SIZE, &(uint8_t){1}, 1);
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            if (rx_reserve(v, q, &x) == RX_OK)
                break;
        }
        return false;
    case RX_NEVER:
        q->stats[RXS_ERROR]++;
        return true;
    case RX_OK:
        break;
    }
    if (q->starved) {
        q->starved = false;
        gmem_write(v->pci.dev.vm, v->queue_desc + (uint64_t)(v->n_txq + nr) * QD_SIZE, &(uint8_t){0}, 1);
    }
    rx_deliver(v, nr, &x);
    rx_count(q, &x, gso);
    v3_completed(v, q->intr, true, 1);
    return true;
}

void v3_rx_kick(struct vmxnet3 *v, unsigned nr)
{
    if (v->active && nr < v->n_rxq && v->rx[nr].starved)
        net_writable(v->port);
}
