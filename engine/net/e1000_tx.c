/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transmit: legacy, context and data descriptors (SDM 3.3), checksum insertion and segmentation (3.5), 802.1Q tags (9).
 *
 * A frame is sent when its last descriptor is in the ring; until then the head stays at its first one, so that nothing of
 * a half-written frame is kept here. The same when the peer is full: the head stays, and writable() begins again. Data
 * goes out of guest memory as it lies there; only headers that change are copied. Work per call is bounded: what is left
 * is done by a timer that fires at once.
 */
#include <string.h>

#include "net/e1000_private.h"

enum { RUN_BYTES = 1 << 20, RUN_DESCS = 4096 };

/* ---- small pieces ---- */

static uint16_t csum16(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static bool read_descs(struct e1000 *x, uint64_t base, uint32_t first, uint32_t n)
{
    uint8_t raw[16 * E1000_TX_CACHE];
    if (pci_dma_read(&x->pci, base + 16ull * first, raw, 16 * (size_t)n) < 0)
        return false;
    for (uint32_t i = 0; i < n; i++)
        x->txc[i] = (struct e1000_txd){ld_le64(raw + 16 * i), ld_le32(raw + 16 * i + 8), ld_le32(raw + 16 * i + 12)};
    x->txc_first = first;
    x->txc_n = n;
    return true;
}

static void load_ctx(struct e1000 *x, unsigned q, const struct e1000_txd *d)
{
    uint32_t ip = (uint32_t)d->addr, tu = (uint32_t)(d->addr >> 32);
    x->ctx[q][d->lower & TXD_TSE ? 1 : 0] = (struct e1000_ctx){.ipcss = (uint8_t)ip,
                                                             .ipcso = (uint8_t)(ip >> 8),
                                                             .ipcse = (uint16_t)(ip >> 16),
                                                             .tucss = (uint8_t)tu,
                                                             .tucso = (uint8_t)(tu >> 8),
                                                             .tucse = (uint16_t)(tu >> 16),
                                                             .paylen = d->lower & 0xfffff,
                                                             .tucmd = (uint8_t)(d->lower >> 24),
                                                             .hdrlen = (uint8_t)(d->upper >> 8),
                                                             .mss = (uint16_t)(d->upper >> 16)};
}

/* ---- one frame ---- */

struct frame {
    struct e1000_txd first, last;
    uint32_t len; /* bytes in iov */
    int n;        /* entries of x->tx_iov, from 1 on: entry 0 is for the header */
    bool bad;
};

static void count_tx(struct e1000 *x, const uint8_t *dst, uint32_t len, uint32_t frames)
{
    uint32_t size = len + 4; /* the statistics count the FCS */
    e1000_count(x, GPTC, frames);
    e1000_count(x, TPT, frames);
    e1000_count64(x, GOTCL, size);
    e1000_count64(x, TOTL, size);
    if (frames == 1)
        e1000_count_size(x, PTC64, size);
    if (dst[0] & 1) {
        static const uint8_t bcast[6] = {255, 255, 255, 255, 255, 255};
        e1000_count(x, memcmp(dst, bcast, 6) ? MPTC : BPTC, frames);
    }
}

static bool give(struct e1000 *x, const struct net_offload *o, const struct iovec *v, int n)
{
    return net_send(e1000_loopback(x) ? &x->lb_tx : x->port, o, v, n);
}

/* Everything in x->tx_buf, as entry 1. Returns the data. */
static uint8_t *linear(struct e1000 *x, struct frame *f)
{
    uint8_t *p = x->tx_buf + 4;
    if (!(f->n == 1 && x->tx_iov[1].iov_base == p)) {
        iov_get(x->tx_iov + 1, f->n, 0, p, f->len);
        x->tx_iov[1] = (struct iovec){p, f->len};
        f->n = 1;
    }
    return p;
}

/* The checksum over [css, cse] (0: to the end) put at cso, as the hardware does it on any bytes (3.5.1). */
static void insert_csum(struct e1000 *x, struct frame *f, unsigned css, unsigned cso, unsigned cse, bool udp)
{
    if (css >= f->len || cso + 2 > f->len)
        return;
    uint8_t *p = linear(x, f);
    uint32_t end = cse && cse + 1 < f->len ? cse + 1 : f->len;
    uint16_t sum = end > css ? net_csum_fold(net_csum_add(0, p + css, end - css)) : 0xffff;
    st_be16(p + cso, !sum && udp ? 0xffff : sum); /* UDP knows no checksum 0 */
}

/*
 * Moves the first n bytes into x->tx_hdr, so that they can be changed; entry 0 then is the header, and the rest begins
 * with entry *rest. n is at most E1000_HDR_MAX and f->len.
 */
static uint8_t *header(struct e1000 *x, struct frame *f, uint32_t n, int *rest)
{
    uint8_t *h = x->tx_hdr + 4;
    int i = 1;
    iov_get(x->tx_iov + 1, f->n, 0, h, n);
    for (uint32_t left = n; left;) {
        if (x->tx_iov[i].iov_len <= left) {
            left -= (uint32_t)x->tx_iov[i++].iov_len;
            continue;
        }
        x->tx_iov[i].iov_base = (uint8_t *)x->tx_iov[i].iov_base + left;
        x->tx_iov[i].iov_len -= left;
        left = 0;
    }
    *rest = i;
    return h;
}

static void put_ip_csum(uint8_t *h, const struct e1000_ctx *c, uint32_t hdrlen)
{
    uint32_t end = c->ipcse && c->ipcse + 1u < hdrlen ? c->ipcse + 1u : hdrlen;
    if (c->ipcss >= end || c->ipcso + 2u > hdrlen)
        return;
    st_be16(h + c->ipcso, 0);
    st_be16(h + c->ipcso, net_csum_fold(net_csum_add(0, h + c->ipcss, end - c->ipcss)));
}

static void put_ip_len(uint8_t *h, const struct e1000_ctx *c, bool v4, uint32_t total)
{
    if (v4)
        st_be16(h + c->ipcss + 2, (uint16_t)(total - c->ipcss));
    else
        st_be16(h + c->ipcss + 4, (uint16_t)(total - c->ipcss - 40));
}

/* Segmentation of UDP (3.5.4.2): one datagram for each piece. Nobody's offload means the same, so it is done here. */
static void send_udp_segments(struct e1000 *x, struct frame *f, const struct e1000_ctx *c, bool v4, uint32_t payload,
                              int tag)
{
    uint8_t *all = linear(x, f), *h = x->tx_hdr + 4;
    uint8_t orig[E1000_HDR_MAX];
    memcpy(orig, all, c->hdrlen);
    uint16_t id = v4 ? ld_be16(orig + c->ipcss + 4) : 0;
    for (uint32_t off = 0; off < payload; off += c->mss, id++) {
        uint32_t part = payload - off < c->mss ? payload - off : c->mss, total = c->hdrlen + part;
        memcpy(h, orig, c->hdrlen);
        put_ip_len(h, c, v4, total);
        if (v4) {
            st_be16(h + c->ipcss + 4, id);
            put_ip_csum(h, c, c->hdrlen);
        }
        st_be16(h + c->tucss + 4, (uint16_t)(total - c->tucss));
        struct net_offload o = {.needs_csum = true, .csum_start = c->tucss, .csum_offset = 6};
        st_be16(h + c->tucso, csum16(ld_be16(h + c->tucso) + (total - c->tucss)));
        uint8_t *p = h;
        if (tag >= 0) {
            p = memmove(h - 4, h, 12);
            st_be16(p + 12, (uint16_t)REG(x, VET));
            st_be16(p + 14, (uint16_t)tag);
            o.csum_start += 4;
        }
        struct iovec v[2] = {{p, (size_t)(h + c->hdrlen - p)}, {all + c->hdrlen + off, part}};
        count_tx(x, orig, total, 1);
        give(x, &o, v, 2); /* a full peer loses it, as a full switch does */
    }
    e1000_count(x, TSCTC, 1);
}

/* Sends what entries 1..n hold. False: the peer is full. */
static bool send_frame(struct e1000 *x, unsigned q, struct frame *f)
{
    bool legacy = !(f->first.lower & TXD_DEXT);
    bool tse = !legacy && f->first.lower & TXD_TSE;
    const struct e1000_ctx *c = &x->ctx[q][tse];
    unsigned popts = legacy ? 0 : f->first.upper >> 8 & 3;
    int tag = f->last.lower & TXD_VLE && REG(x, CTRL) & CTRL_VME ? (int)(f->last.upper >> 16) : -1;
    struct net_offload o = {0};
    uint32_t hdr = 0, frames = 1;
    int first = 1;
    uint8_t *h = NULL;

    if (f->len < 14 || f->len > NET_GSO_MAX || (!tse && f->len > NET_FRAME_MAX)) {
        guest_error("e1000", "a frame of %u bytes is not sent", f->len);
        return true;
    }
    /* Without IFCS the driver has put the FCS there itself. Drivers that just forgot the bit are forgiven. */
    if (!(f->last.lower & TXD_IFCS) && !tse && f->len >= 64) {
        uint8_t *p = linear(x, f);
        if (ld_le32(p + f->len - 4) == fcs_add(&x->fcs, 0, p, f->len - 4))
            x->tx_iov[1].iov_len = f->len -= 4;
    }
    if (tse) {
        bool v4 = c->tucmd & (TUCMD_IP >> 24), tcp = c->tucmd & (TUCMD_TCP >> 24);
        hdr = c->hdrlen;
        uint32_t l4 = tcp ? 20 : 8;
        if (!c->mss || hdr > f->len || c->tucss + l4 > hdr || c->ipcss < 14 || c->tucso != c->tucss + (tcp ? 16 : 6) ||
            c->ipcss + (v4 ? 20u : 40u) > c->tucss) {
            guest_error("e1000", "segmentation with headers that make no sense");
            e1000_count(x, TSCTFC, 1);
            return true;
        }
        uint32_t payload = f->len - hdr;
        if (payload > c->paylen)
            payload = c->paylen;
        uint32_t total = hdr + payload;
        if (total - c->ipcss > 0xffff) {
            e1000_count(x, TSCTFC, 1);
            return true;
        }
        if (!tcp) {
            send_udp_segments(x, f, c, v4, payload, tag);
            return true;
        }
        h = header(x, f, hdr, &first);
        if ((h[c->ipcss] >> 4 != 4) == v4) {
            guest_error("e1000", "segmentation of a packet of another IP version than its context says");
            e1000_count(x, TSCTFC, 1);
            return true;
        }
        put_ip_len(h, c, v4, total);
        if (v4)
            put_ip_csum(h, c, hdr);
        /* The driver left the pseudo header's sum without the length there, since that is each segment's own. */
        st_be16(h + c->tucso, csum16(ld_be16(h + c->tucso) + (total - c->tucss)));
        o = (struct net_offload){.needs_csum = true, .csum_start = c->tucss, .csum_offset = 16};
        if (payload > c->mss) {
            o.gso = v4 ? NET_GSO_TCPV4 : NET_GSO_TCPV6;
            o.hdr_len = (uint16_t)hdr;
            o.gso_size = c->mss;
            frames = (payload + c->mss - 1) / c->mss;
        }
        /* More data than the context announced is not sent. */
        for (uint32_t over = f->len - total; over;) {
            struct iovec *last = &x->tx_iov[f->n];
            uint32_t cut = last->iov_len < over ? (uint32_t)last->iov_len : over;
            last->iov_len -= cut;
            over -= cut;
            if (!last->iov_len)
                f->n--;
        }
        f->len = total;
    } else {
        if (legacy && f->first.lower & TXD_IC)
            insert_csum(x, f, f->first.upper >> 8 & 0xff, f->first.lower >> 16 & 0xff, 0, false);
        if (popts & POPTS_IXSM)
            insert_csum(x, f, c->ipcss, c->ipcso, c->ipcse, false);
        if (popts & POPTS_TXSM) {
            if (!c->tucse && c->tucso >= c->tucss && c->tucso + 2u <= f->len)
                o = (struct net_offload){
                    .needs_csum = true, .csum_start = c->tucss, .csum_offset = (uint16_t)(c->tucso - c->tucss)};
            else
                insert_csum(x, f, c->tucss, c->tucso, c->tucse, !(c->tucmd & (TUCMD_TCP >> 24)));
        }
        if (tag >= 0) {
            hdr = 14;
            h = header(x, f, hdr, &first);
        }
    }
    if (tag >= 0) {
        h = memmove(h - 4, h, 12);
        st_be16(h + 12, (uint16_t)REG(x, VET));
        st_be16(h + 14, (uint16_t)tag);
        hdr += 4;
        f->len += 4;
        if (o.needs_csum)
            o.csum_start += 4;
        if (o.gso)
            o.hdr_len += 4;
    }
    struct iovec *v = x->tx_iov + first;
    int n = f->n + 1 - first;
    if (h) {
        *--v = (struct iovec){h, hdr};
        n++;
    }
    uint8_t dst[6];
    iov_get(v, n, 0, dst, 6);
    if (f->len < 60 && REG(x, TCTL) & TCTL_PSP) {
        static const uint8_t zeros[60];
        v[n++] = (struct iovec){(void *)(uintptr_t)zeros, 60 - f->len};
        f->len = 60;
    }
    if (!give(x, o.needs_csum ? &o : NULL, v, n))
        return false;
    count_tx(x, dst, o.gso ? f->len + (frames - 1) * o.hdr_len : f->len, frames);
    if (tse)
        e1000_count(x, TSCTC, 1);
    return true;
}

/* Adds the data of d to the frame. What is not RAM reads as ones, as on the bus, through the bounce buffer. */
static void add_data(struct e1000 *x, struct frame *f, const struct e1000_txd *d)
{
    uint32_t len = d->lower & (d->lower & TXD_DEXT ? 0xfffff : 0xffff);
    if (!len || f->bad)
        return;
    if (len > NET_GSO_MAX - f->len) {
        f->bad = true;
        return;
    }
    /* Room for the header and the padding stays free at both ends. */
    int k = gmem_pin(x->pci.dev.vm, d->addr, len, false, x->tx_iov + 1 + f->n, E1000_TX_IOV - 2 - f->n);
    if (k < 0 || !x->pci.bus_master) {
        linear(x, f);
        pci_dma_read(&x->pci, d->addr, x->tx_buf + 4 + f->len, len);
        x->tx_iov[1] = (struct iovec){x->tx_buf + 4, f->len + len};
        f->n = 1;
    } else {
        f->n += k;
    }
    f->len += len;
}

static void write_back(struct e1000 *x, uint64_t base, uint32_t i)
{
    static const uint8_t sta = 1; /* DD */
    pci_dma_write(&x->pci, base + 16ull * i + 12, &sta, 1);
}

/* One queue. Returns true when there is more to do than one call does. */
static bool run_queue(struct e1000 *x, unsigned q)
{
    uint64_t base = QREG(x, TDBAL, q) | (uint64_t)QREG(x, TDBAH, q) << 32;
    uint32_t ring = QREG(x, TDLEN, q) / 16, head = QREG(x, TDH, q), tail = QREG(x, TDT, q);
    uint32_t bytes = 0, descs = 0;
    bool done = false, delayed = true, more = false;
    if (head == tail || !ring)
        return false;
    if (tail >= ring || head >= ring) {
        guest_error("e1000", "transmit head %u, tail %u in a ring of %u", head, tail, ring);
        return false;
    }
    x->txc_n = 0;
    while (head != tail) {
        struct frame f = {0};
        uint32_t i = head, count = 0, n_rs = 0;
        bool whole = false, ide = true, ctx_only = false;
        if (bytes > RUN_BYTES || descs > RUN_DESCS) {
            more = true;
            break;
        }
        while (i != tail && count < E1000_TX_DESCS) {
            if (i < x->txc_first || i - x->txc_first >= x->txc_n) {
                uint32_t n = (tail > i ? tail : ring) - i;
                if (!read_descs(x, base, i, n < E1000_TX_CACHE ? n : E1000_TX_CACHE)) {
                    guest_error("e1000", "transmit descriptors at %llx are not in memory", (unsigned long long)base);
                    goto out;
                }
            }
            const struct e1000_txd d = x->txc[i - x->txc_first];
            bool ctx = d.lower & TXD_DEXT && !(d.lower >> 20 & 0xf);
            if (d.lower & TXD_RS || (!(d.lower & TXD_DEXT) && d.lower & TXD_RPS)) {
                x->tx_rs[n_rs++] = (uint16_t)i;
                ide = ide && d.lower & TXD_IDE;
            }
            i = i + 1 == ring ? 0 : i + 1;
            count++;
            if (ctx) {
                load_ctx(x, q, &d);
                if (count == 1) {
                    ctx_only = true;
                    break;
                }
                continue;
            }
            if (!x->tx_skip[q]) {
                if (!f.n && !f.len)
                    f.first = d;
                add_data(x, &f, &d);
            }
            f.last = d;
            if (d.lower & TXD_EOP) {
                whole = true;
                break;
            }
        }
        descs += count;
        if (!whole && !ctx_only) {
            if (i == tail && count < E1000_TX_DESCS && !x->tx_skip[q])
                break; /* the rest of the frame is to come */
            if (!x->tx_skip[q])
                guest_error("e1000", "a frame of more than %u descriptors is not sent", E1000_TX_DESCS);
            x->tx_skip[q] = true;
        } else if (whole) {
            if (f.bad)
                guest_error("e1000", "a frame of more than %u bytes is not sent", NET_GSO_MAX);
            bytes += f.len;
            if (!x->tx_skip[q] && !f.bad && f.len && !send_frame(x, q, &f))
                break;
            x->tx_skip[q] = false;
        }
        for (uint32_t k = 0; k < n_rs; k++)
            write_back(x, base, x->tx_rs[k]);
        if (n_rs) {
            done = true;
            delayed = delayed && ide;
        }
        head = i;
        QREG(x, TDH, q) = head;
    }
out:
    if (done)
        e1000_tx_done_cause(x, q, delayed);
    if (QREG(x, TDH, q) == QREG(x, TDT, q))
        e1000_cause(x, I_TXQE);
    return more;
}

void e1000_tx_run(struct e1000 *x)
{
    bool more = false;
    if (x->tx_running || !(REG(x, TCTL) & TCTL_EN) || !x->pci.bus_master)
        return;
    x->tx_running = true;
    for (unsigned q = 0; q < (x->model->e ? E1000_QUEUES : 1u); q++)
        more |= run_queue(x, q);
    x->tx_running = false;
    if (more)
        vtimer_arm(&x->tx_more, clock_now(x->pci.dev.vm));
}

void e1000_tx_timer(void *dev) { e1000_tx_run(dev); }
