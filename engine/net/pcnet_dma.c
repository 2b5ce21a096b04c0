/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Am79C970A in guest memory: initialization block, descriptor rings in the four software styles (data sheet,
 * "Descriptor Rings", "Software Access"), transmit and receive, address filter, loopback.
 *
 * The owner bit is the only handshake, so the chip looks at the ring by itself: when the driver demands it (TDMD), when
 * a frame comes, and every 2 ms unless the driver disables that. A driver that has demanded once is not polled for.
 */
#include <string.h>

#include "net/pcnet_private.h"

enum { POLL_NS = 2000000, RUN_FRAMES = 256, MIN_FRAME = 60 };

/* ---- initialization block ---- */

void pcnet_read_init_block(struct pcnet *x)
{
    uint16_t *c = x->csr;
    uint32_t a = c[1] | (uint32_t)c[2] << 16, rdra, tdra;
    uint8_t b[28];
    unsigned rlen, tlen;
    const uint8_t *ladrf;
    if (pci_dma_read(&x->pci, a & (pcnet_ssize32(x) ? ~3u : ~1u), b, pcnet_ssize32(x) ? 28 : 24) < 0) {
        guest_error("vlance", "the initialization block at %08x is not in memory", a);
        c[0] |= CSR0_MERR;
        return;
    }
    c[15] = ld_le16(b);
    if (pcnet_ssize32(x)) {
        rlen = b[2] >> 4;
        tlen = b[3] >> 4;
        memcpy(c + 12, b + 4, 6);
        ladrf = b + 12;
        rdra = ld_le32(b + 20) & ~15u;
        tdra = ld_le32(b + 24) & ~15u;
    } else {
        /* 24-bit addresses; the byte above comes from the initialization block's own. */
        memcpy(c + 12, b + 2, 6);
        ladrf = b + 8;
        rdra = (ld_le32(b + 16) & 0xfffff8) | (a & 0xff000000);
        tdra = (ld_le32(b + 20) & 0xfffff8) | (a & 0xff000000);
        rlen = b[19] >> 5;
        tlen = b[23] >> 5;
    }
    memcpy(c + 8, ladrf, 8);
    c[6] = (uint16_t)(tlen << 12 | rlen << 8);
    c[24] = (uint16_t)rdra;
    c[25] = (uint16_t)(rdra >> 16);
    c[30] = (uint16_t)tdra;
    c[31] = (uint16_t)(tdra >> 16);
    x->rx_len = 1u << (rlen > 9 ? 9 : rlen);
    x->tx_len = 1u << (tlen > 9 ? 9 : tlen);
    x->rx_pos = x->tx_pos = 0;
}

/* ---- descriptors: all styles in the 32-bit form of style 2 ---- */

struct md {
    uint32_t addr, flags, bcnt, stat; /* bcnt: bytes in the buffer; stat: the third word */
};

static uint32_t md_addr(const struct pcnet *x, unsigned base, uint32_t pos)
{
    return pcnet_csr32(x, base) + pos * (pcnet_ssize32(x) ? 16 : 8);
}

static bool md_load(struct pcnet *x, uint32_t a, struct md *d)
{
    uint8_t b[16];
    bool wide = pcnet_ssize32(x);
    if (pci_dma_read(&x->pci, a, b, wide ? 16 : 8) < 0) {
        if (!(x->csr[0] & CSR0_MERR))
            guest_error("vlance", "the descriptor at %08x is not in memory", a);
        x->csr[0] |= CSR0_MERR;
        return false;
    }
    if (wide) {
        unsigned buf = (x->bcr[20] & 0xff) == 3 ? 8 : 0;
        uint32_t w1 = ld_le32(b + 4);
        *d = (struct md){ld_le32(b + buf), w1 & 0xffff0000, (0x1000 - (w1 & 0xfff)) & 0xfff, ld_le32(b + 8 - buf)};
    } else {
        uint32_t w1 = ld_le16(b + 2);
        *d = (struct md){ld_le16(b) | (w1 & 0xff) << 16 | (x->csr[2] & 0xff00u) << 16, (w1 & 0xff00) << 16,
                         (0x1000 - (ld_le16(b + 4) & 0xfffu)) & 0xfff, (uint32_t)ld_le16(b + 6) << 16};
    }
    if (!d->bcnt)
        d->bcnt = 4096;
    return true;
}

/* Writes status back, the owner bit last. */
static void md_store(struct pcnet *x, uint32_t a, const struct md *d, bool tx, bool stat)
{
    uint8_t b[4];
    if (pcnet_ssize32(x)) {
        if (stat) {
            st_le32(b, d->stat);
            pci_dma_write(&x->pci, a + ((x->bcr[20] & 0xff) == 3 ? 0 : 8), b, 4);
        }
        st_le16(b, (uint16_t)(d->flags >> 16));
        pci_dma_write(&x->pci, a + 6, b, 2);
    } else {
        if (stat) {
            st_le16(b, (uint16_t)(tx ? d->stat >> 16 : d->stat & 0xfff));
            pci_dma_write(&x->pci, a + 6, b, 2);
        }
        b[0] = (uint8_t)(d->flags >> 24);
        pci_dma_write(&x->pci, a + 3, b, 1);
    }
}

static uint32_t next(uint32_t pos, uint32_t len) { return pos + 1 == len ? 0 : pos + 1; }

/* ---- transmit ---- */

static bool send(struct pcnet *x, uint32_t len)
{
    uint8_t *b = x->buf;
    struct iovec v = {b, len};
    if (len < 14) {
        guest_error("vlance", "a frame of %u bytes is not sent", len);
        return true;
    }
    if (len < MIN_FRAME && x->csr[4] & CSR4_APAD_XMT) {
        memset(b + len, 0, MIN_FRAME - len);
        v.iov_len = MIN_FRAME;
    }
    if (x->csr[15] & CSR15_LOOP) {
        pcnet_rx(x, &v, 1, false);
        return true;
    }
    return net_send(x->port, NULL, &v, 1);
}

/* One frame, or one descriptor that begins none. False: nothing to do now. */
static bool tx_one(struct pcnet *x)
{
    uint32_t pos = x->tx_pos, len = 0, count = 0;
    struct md d, first;
    bool add_fcs;
    if (!md_load(x, md_addr(x, 30, pos), &first) || !(first.flags & MD_OWN))
        return false;
    if (!(first.flags & MD_STP)) { /* the rest of a frame whose beginning was lost: given back */
        first.flags &= ~MD_OWN;
        md_store(x, md_addr(x, 30, pos), &first, true, false);
        x->tx_pos = next(pos, x->tx_len);
        return true;
    }
    d = first;
    for (;;) {
        uint32_t room = (uint32_t)sizeof x->buf - len, part = d.bcnt < room ? d.bcnt : room;
        pci_dma_read(&x->pci, d.addr, x->buf + len, part);
        len += part;
        count++;
        if (d.flags & MD_ENP)
            break;
        pos = next(pos, x->tx_len);
        if (count == x->tx_len || !md_load(x, md_addr(x, 30, pos), &d) || !(d.flags & MD_OWN)) {
            /* The frame ends nowhere: underflow, and the transmitter stops (data sheet, TMD2 BUFF and UFLO). */
            uint32_t p = x->tx_pos;
            for (uint32_t i = 0; i < count; i++, p = next(p, x->tx_len)) {
                if (!md_load(x, md_addr(x, 30, p), &d))
                    break;
                d.flags &= ~MD_OWN;
                if (i + 1 == count) {
                    d.flags |= MD_ERR;
                    d.stat = TMD2_BUFF | TMD2_UFLO;
                }
                md_store(x, md_addr(x, 30, p), &d, true, i + 1 == count);
            }
            x->tx_pos = p;
            x->csr[0] |= CSR0_TINT;
            if (!(x->csr[3] & CSR3_DXSUFLO))
                x->csr[0] &= (uint16_t)~CSR0_TXON;
            return true;
        }
    }
    bool too_long = len >= sizeof x->buf;
    add_fcs = !(x->csr[15] & CSR15_DXMTFCS) || first.flags & TMD_ADD_FCS;
    if (too_long || (len > NET_FRAME_MAX)) {
        guest_error("vlance", "a frame of %u bytes is not sent", len);
        x->csr[0] |= CSR0_BABL;
    } else {
        if (len > 1518)
            x->csr[0] |= CSR0_BABL; /* sent all the same */
        if (!send(x, add_fcs || len < 18 ? len : len - 4))
            return false;
    }
    x->csr[4] |= CSR4_TXSTRT;
    uint32_t p = x->tx_pos;
    bool carrier = x->port->link || x->csr[15] & CSR15_LOOP;
    for (uint32_t i = 0; i < count; i++, p = next(p, x->tx_len)) {
        if (!md_load(x, md_addr(x, 30, p), &d))
            break;
        d.flags &= ~(MD_OWN | MD_ERR | 1u << 28 | 1u << 27 | 1u << 26);
        d.stat = 0;
        if (i + 1 == count && !carrier) {
            d.flags |= MD_ERR;
            d.stat = TMD2_LCAR;
        }
        md_store(x, md_addr(x, 30, p), &d, true, i + 1 == count);
    }
    x->tx_pos = p;
    if (!(x->csr[5] & CSR5_TOKINTD) && (!(x->csr[5] & CSR5_LTINTEN) || first.flags & TMD_LTINT))
        x->csr[0] |= CSR0_TINT;
    return true;
}

void pcnet_tx_run(struct pcnet *x)
{
    unsigned n = 0;
    if (x->tx_running || !x->pci.bus_master)
        return;
    x->tx_running = true;
    while (x->csr[0] & CSR0_TXON && !(x->csr[5] & CSR5_SPND) && n < RUN_FRAMES && tx_one(x))
        n++;
    x->tx_running = false;
    if (n == RUN_FRAMES) /* the rest at once, but not in this call */
        vtimer_arm(&x->poll, clock_now(x->pci.dev.vm));
}

void pcnet_arm_poll(struct pcnet *x)
{
    bool tx = x->csr[0] & CSR0_TXON && !(x->csr[4] & CSR4_DPOLL) && !x->tdmd_seen;
    if ((tx || x->rx_stalled) && !vtimer_armed(&x->poll))
        vtimer_arm(&x->poll, clock_now(x->pci.dev.vm) + POLL_NS);
}

void pcnet_poll(void *dev)
{
    struct pcnet *x = dev;
    pcnet_tx_run(x);
    pcnet_update_irq(x);
    pcnet_rx_room(x);
    pcnet_arm_poll(x);
}

/* ---- receive ---- */

/* Which filter lets the frame pass, as the descriptor's bit; 0: none does. */
static uint32_t match(const struct pcnet *x, const uint8_t *dst)
{
    const uint16_t *c = x->csr;
    static const uint8_t bcast[6] = {255, 255, 255, 255, 255, 255};
    if (!memcmp(dst, bcast, 6))
        return !(c[15] & CSR15_DRCVBC) || c[15] & CSR15_PROM ? MD_BAM : 0;
    if (dst[0] & 1) {
        unsigned bit = ~fcs_add(&x->fcs, 0, dst, 6) >> 26;
        if (c[8 + (bit >> 4)] >> (bit & 15) & 1)
            return MD_LAFM;
    } else if (!(c[15] & CSR15_DRCVPA) && !memcmp(dst, c + 12, 6)) {
        return MD_PAM;
    }
    return c[15] & CSR15_PROM ? 1 : 0;
}

bool pcnet_rx(struct pcnet *x, const struct iovec *f, int n, bool wait)
{
    static const uint8_t zeros[MIN_FRAME];
    uint8_t h[14], fcs[4];
    size_t size = iov_len(f, n);
    struct md d;
    if (!(x->csr[0] & CSR0_RXON) || !x->pci.bus_master || size < 14 || size > NET_FRAME_MAX)
        return true;
    if (x->csr[5] & CSR5_SPND) { /* suspended for a moment */
        x->rx_stalled = wait;
        return !wait;
    }
    iov_get(f, n, 0, h, 14);
    uint32_t how = match(x, h);
    if (!how)
        return true;
    /* What goes to memory: the frame, padded to the least length, and its FCS, unless 802.3 padding is stripped. */
    uint32_t total = size < MIN_FRAME ? MIN_FRAME : (uint32_t)size, len = total + 4, crc = 0;
    uint16_t type = ld_be16(h + 12);
    for (int i = 0; i < n; i++)
        crc = fcs_add(&x->fcs, crc, f[i].iov_base, f[i].iov_len);
    crc = fcs_add(&x->fcs, crc, zeros, total - size);
    st_le32(fcs, crc);
    if (x->csr[4] & CSR4_ASTRP_RCV && type < 46 && total == MIN_FRAME)
        len = 14u + type;
    /* Are there buffers for all of it? */
    uint32_t pos = x->rx_pos, room = 0, count = 0;
    while (room < len) {
        if (count == x->rx_len) { /* never, with this ring */
            x->csr[0] |= CSR0_MISS;
            x->csr[112]++;
            pcnet_update_irq(x);
            return true;
        }
        if (!md_load(x, md_addr(x, 24, pos), &d) || !(d.flags & MD_OWN)) {
            if (wait) {
                x->rx_stalled = true;
                pcnet_arm_poll(x);
                pcnet_update_irq(x);
                return false;
            }
            x->csr[0] |= CSR0_MISS;
            if (!++x->csr[112])
                x->csr[4] |= CSR4_MFCO;
            pcnet_update_irq(x);
            return true;
        }
        room += d.bcnt;
        count++;
        pos = next(pos, x->rx_len);
    }
    uint32_t off = 0;
    pos = x->rx_pos;
    for (uint32_t i = 0; i < count; i++, pos = next(pos, x->rx_len)) {
        uint32_t a = md_addr(x, 24, pos), at, end;
        if (!md_load(x, a, &d))
            break;
        end = len - off < d.bcnt ? len : off + d.bcnt;
        at = d.addr;
        uint32_t base = 0;
        for (int k = 0; k < n + 2; k++) { /* the pieces, the padding, the FCS */
            const uint8_t *p = k < n ? f[k].iov_base : k == n ? zeros : fcs;
            uint32_t plen = k < n ? (uint32_t)f[k].iov_len : k == n ? total - (uint32_t)size : 4;
            uint32_t from = off > base ? off - base : 0, to = end < base + plen ? end - (end < base ? end : base) : plen;
            if (from < to && pci_dma_write(&x->pci, at + (base + from - off), p + from, to - from) < 0)
                guest_error("vlance", "the receive buffer at %08x is not in memory", d.addr);
            base += plen;
        }
        off = end;
        d.flags &= ~(MD_OWN | MD_ERR | MD_FRAM | MD_OFLO | MD_CRC | MD_BUFF | MD_STP | MD_ENP | MD_PAM | MD_LAFM | MD_BAM);
        if (i == 0)
            d.flags |= MD_STP;
        if (off == len) {
            d.flags |= MD_ENP | (pcnet_ssize32(x) ? how & ~1u : 0);
            d.stat = len & 0xfff;
        }
        md_store(x, a, &d, false, off == len);
    }
    x->rx_pos = pos;
    x->csr[0] |= CSR0_RINT;
    pcnet_update_irq(x);
    return true;
}

void pcnet_rx_room(struct pcnet *x)
{
    if (!x->rx_stalled)
        return;
    x->rx_stalled = false;
    net_writable(x->port);
}
