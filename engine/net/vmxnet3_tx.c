/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmxnet3, transmission. A frame is a chain of descriptors from SOP to EOP; the driver makes the SOP valid last. The
 * headers are copied once, checked and completed in the copy (VLAN tag, what segmentation needs); the rest goes to the
 * peer straight out of guest memory. A frame that the peer does not take stays in its ring, untouched.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/dma.h"
#include "core/vm.h"
#include "net/vmxnet3_private.h"

enum { /* double words 2 and 3 of a TxDesc, as the upper and the lower half of one */
    TXD_LEN = 0x3fff,
    TXD_GEN = 1 << 14,
    TXD_DTYPE = 1 << 16,
    TXD_MSSCOF_SHIFT = 18,
    TXD3_HLEN = 0x3ff,
    TXD3_OM_SHIFT = 10,
    TXD3_EOP = 1 << 12,
    TXD3_CQ = 1 << 13,
    TXD3_TI = 1 << 15,
    OM_NONE = 0,
    OM_CSUM = 2,
    OM_TSO = 3,
};
enum {
    MAX_TXD = 32,      /* descriptors of a frame; drivers keep to 24 */
    MAX_PIECES = 80,
    COPY = 128,        /* bytes of a frame that are always copied: the peer reads headers more than once */
    HDR_ROOM = 1024 + 4, /* the longest header, and a tag */
    FRAME_MIN = 60,
    BATCH = 256,       /* frames for one doorbell; the chipset thread does the rest */
};

struct tx_frame {
    uint32_t dw2, dw3; /* of the SOP */
    uint32_t eop;      /* index of the EOP */
    bool cq;
    int n;
    struct dma_seg seg[MAX_TXD];
    struct v3_ring after; /* the ring with the frame taken off */
};

static void tx_stop(struct vmxnet3 *v, struct v3_txq *q, int error)
{
    guest_error("vmxnet3", "transmit queue stopped: error %x", (unsigned)error);
    q->error = (uint32_t)error;
    v3_event(v, ECR_TQERR);
}

/* Takes the next frame's descriptors, each read once. 1: f is filled; 0: there is none yet; -1: the queue has stopped. */
static int tx_gather(struct vmxnet3 *v, struct v3_txq *q, struct tx_frame *f)
{
    struct vm *vm = v->pci.dev.vm;
    f->after = q->ring;
    f->n = 0;
    for (;;) {
        uint64_t at = v3_slot(&f->after), hi = gmem_ld64(vm, at + 8);
        uint32_t dw2 = (uint32_t)hi, dw3 = (uint32_t)(hi >> 32);
        if (!(dw2 & TXD_GEN) != !f->after.gen)
            return 0;
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the address is valid once the generation is */
        if (dw2 & TXD_DTYPE) {
            tx_stop(v, q, ERR_DESC_NOT_SPT);
            return -1;
        }
        if (f->n == 0) {
            f->dw2 = dw2;
            f->dw3 = dw3;
        } else if (f->n == MAX_TXD) {
            tx_stop(v, q, ERR_TX_BIG_PKT);
            return -1;
        }
        uint32_t len = dw2 & TXD_LEN;
        f->seg[f->n++] = (struct dma_seg){gmem_ld64(vm, at), len ? len : 1 << 14};
        f->eop = f->after.next;
        f->cq = dw3 & TXD3_CQ;
        v3_advance(&f->after);
        if (dw3 & TXD3_EOP)
            return 1;
    }
}

/* Lengths, IP checksum and the sum of the pseudo header, as every segment builds on them. The driver leaves lengths out. */
static bool tx_prepare_tso(uint8_t *h, const struct v3_pkt *p, uint32_t len)
{
    uint32_t l4_len = len - p->l4;
    if (p->v4) {
        uint32_t total = len - p->l3;
        if (total > 0xffff)
            return false;
        st_be16(h + p->l3 + 2, (uint16_t)total);
        st_be16(h + p->l3 + 10, 0);
        st_be16(h + p->l3 + 10, net_csum_fold(net_csum_add(0, h + p->l3, (size_t)(p->l4 - p->l3))));
    } else {
        uint32_t total = len - p->l3 - 40;
        if (total > 0xffff)
            return false;
        st_be16(h + p->l3 + 4, (uint16_t)total);
    }
    st_be16(h + p->l4 + 16, (uint16_t)~net_csum_fold(v3_pseudo(p, h) + l4_len));
    return true;
}

/* What the peer has left to do; false: the descriptor makes no sense. hlen: headers with the tag; tag: its length or 0. */
static bool tx_offload(const struct tx_frame *f, uint8_t *h, uint32_t hlen, uint32_t tag, uint32_t len,
                       struct net_offload *o)
{
    uint32_t msscof = f->dw2 >> TXD_MSSCOF_SHIFT;
    struct v3_pkt p;
    switch (f->dw3 >> TXD3_OM_SHIFT & 3) {
    case OM_NONE:
        return true;
    case OM_CSUM:
        msscof += tag;
        if (hlen < 14 || msscof < hlen || msscof + 2 > len)
            return false;
        o->needs_csum = true;
        o->csum_start = (uint16_t)hlen;
        o->csum_offset = (uint16_t)(msscof - hlen);
        return true;
    case OM_TSO:
        v3_parse(&p, h, hlen);
        if (!p.tcp || p.payload != hlen || hlen > len || !msscof || !tx_prepare_tso(h, &p, len))
            return false;
        o->needs_csum = true;
        o->csum_start = p.l4;
        o->csum_offset = 16;
        if (len - hlen > msscof) {
            o->gso = p.v4 ? NET_GSO_TCPV4 : NET_GSO_TCPV6;
            o->gso_size = (uint16_t)msscof;
            o->hdr_len = (uint16_t)hlen;
        }
        return true;
    default:
        return false; /* OM_ENCAP belongs to revisions 4 to 6 */
    }
}

static void tx_count(struct v3_txq *q, const uint8_t *dst, uint32_t len, const struct net_offload *o)
{
    static const uint8_t bcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    unsigned k = !(dst[0] & 1) ? TXS_UCAST : memcmp(dst, bcast, 6) ? TXS_MCAST : TXS_BCAST;
    if (o->gso) {
        q->stats[TXS_TSO] += (len - o->hdr_len + o->gso_size - 1) / o->gso_size;
        q->stats[TXS_TSO + 1] += len;
    }
    q->stats[k]++;
    q->stats[k + 1] += len;
}

enum tx_result { TX_SENT, TX_BAD, TX_FULL };

static enum tx_result tx_send(struct vmxnet3 *v, struct v3_txq *q, const struct tx_frame *f)
{
    static const uint8_t zeros[FRAME_MIN];
    struct iovec pin[MAX_PIECES], out[MAX_PIECES + 2];
    struct net_offload o = {0};
    uint8_t buf[4 + HDR_ROOM], *h = buf + 4;
    uint64_t len = dma_len(f->seg, f->n);
    uint32_t hlen = f->dw3 >> TXD3_OM_SHIFT & 3 ? f->dw3 & TXD3_HLEN : 0, tag = 0;
    bool tso = (f->dw3 >> TXD3_OM_SHIFT & 3) == OM_TSO;
    if (len < 14 || len > (tso ? NET_GSO_MAX : NET_FRAME_MAX))
        return TX_BAD;
    int n = dma_pin(v->pci.dev.vm, f->seg, f->n, false, pin, MAX_PIECES);
    if (n < 0)
        return TX_BAD;
    uint32_t copy = len < COPY ? (uint32_t)len : COPY;
    if (copy < hlen)
        copy = hlen;
    if (copy > len)
        return TX_BAD;
    iov_get(pin, n, 0, h, copy);
    if (f->dw3 & TXD3_TI) {
        h -= tag = 4;
        memmove(h, h + 4, 12);
        st_be16(h + 12, 0x8100);
        st_be16(h + 14, (uint16_t)(f->dw3 >> 16));
    }
    if (!tx_offload(f, h, hlen + tag, tag, (uint32_t)len + tag, &o) ||
        (!o.gso && len + tag > NET_FRAME_MAX) || len + tag > NET_GSO_MAX)
        return TX_BAD;
    int k = 0;
    out[k++] = (struct iovec){h, copy + tag};
    for (int i = 0; i < n; i++) {
        size_t skip = copy < pin[i].iov_len ? copy : pin[i].iov_len;
        copy -= (uint32_t)skip;
        if (pin[i].iov_len > skip)
            out[k++] = (struct iovec){(uint8_t *)pin[i].iov_base + skip, pin[i].iov_len - skip};
    }
    if (len + tag < FRAME_MIN)
        out[k++] = (struct iovec){(void *)zeros, (size_t)(FRAME_MIN - len - tag)};
    if (!net_send(v->port, o.needs_csum ? &o : NULL, out, k))
        return TX_FULL;
    tx_count(q, h, (uint32_t)len + tag, &o);
    return TX_SENT;
}

void v3_tx_run(struct vmxnet3 *v, unsigned nr)
{
    struct tx_frame f;
    unsigned told = 0;
    if (!v->active || nr >= v->n_txq || v->tx[nr].error || !v->pci.bus_master)
        return;
    struct v3_txq *q = &v->tx[nr];
    if (v->in_tx) { /* the peer's writable() from within net_send */
        vtimer_arm(&v->tx_more, clock_now(v->pci.dev.vm));
        return;
    }
    v->in_tx = true;
    q->full = false;
    unsigned left = BATCH;
    for (; left && tx_gather(v, q, &f) > 0; left--) {
        enum tx_result r = tx_send(v, q, &f);
        if (r == TX_FULL) {
            q->full = true;
            break;
        }
        if (r == TX_BAD)
            q->stats[TXS_ERROR]++;
        q->ring = f.after;
        if (f.cq) {
            v3_complete(v, &q->comp, f.eop, 0);
            told++;
        }
    }
    v->in_tx = false;
    if (told)
        v3_completed(v, q->intr, false, told);
    if (!left)
        vtimer_arm(&v->tx_more, clock_now(v->pci.dev.vm));
}

void v3_tx_run_all(struct vmxnet3 *v)
{
    for (unsigned i = 0; i < v->n_txq; i++)
        v3_tx_run(v, i);
}
