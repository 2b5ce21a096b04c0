/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One device for the family: e1000.c (life), e1000_mac.c (registers), e1000_irq.c (causes, moderation, messages),
 * e1000_phy.c (transceiver and link), e1000_nvm.c (EEPROM), e1000_tx.c, e1000_rx.c. What differs between the chips is
 * in struct e1000_model.
 */
#ifndef LODGE_NET_E1000_PRIVATE_H
#define LODGE_NET_E1000_PRIVATE_H

#include "base/bytes.h"
#include "base/log.h"
#include "core/clock.h"
#include "core/dma.h"
#include "net/e1000_regs.h"
#include "net/fcs.h"
#include "net/nic.h"
#include "net/rom.h"
#include "pci/pci.h"

enum {
    E1000_NREG = E1000_REGS_END / 4,
    E1000_NVM_WORDS = 128,
    E1000_QUEUES = 2,
    E1000_VECTORS = 5,
    E1000_TX_DESCS = 256, /* of one frame; a longer chain is dropped */
    E1000_TX_IOV = 320,
    E1000_TX_CACHE = 64,
    E1000_HDR_MAX = 256,
    E1000_RX_IOV = 64,
    E1000_RX_MAX = 16384, /* bytes of a frame with FCS, 13.4.22 LPE */
    PHY_PAGES = 8
};

struct e1000_model {
    const char *name;
    struct pci_id id;
    bool e;                 /* 82574: second queue pair, extended descriptors, MSI, NVM words by EERD's other layout */
    unsigned nvm_words;
    uint16_t phy_id2;
    uint8_t ivec;           /* MSI-X vectors */
};

/* Offload context of a context descriptor (3.3.6): the chip keeps one for segmentation and one without. */
struct e1000_ctx {
    uint8_t ipcss, ipcso, tucss, tucso, hdrlen, tucmd;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
};

struct e1000_txd {
    uint64_t addr;
    uint32_t lower, upper;
};

/* The bit-banged EEPROM (microwire, 93C46). */
struct e1000_eeprom {
    uint8_t state; /* 0 idle, 1 after the start bit, 2 giving data, 3 taking data */
    uint8_t bits;
    uint32_t shift;
    uint16_t addr;
    bool do_bit, writable;
};

struct e1000 {
    struct pci_dev pci;
    const struct e1000_model *model;
    struct net_port *port;
    struct net_port lb_tx, lb_rx; /* the cable inside, for loopback */
    struct memregion mmio, msix_mr;
    struct nic_rom rom;
    uint8_t mac[6];
    uint32_t *wmask; /* per register: bits that a plain write changes */
    struct fcs_table fcs;

    /* guest-visible */
    uint32_t reg[E1000_NREG];
    uint16_t nvm[E1000_NVM_WORDS];
    uint16_t phy[32], phy_pages[PHY_PAGES][16];
    uint16_t phy_page;
    struct e1000_eeprom ee;
    struct e1000_ctx ctx[E1000_QUEUES][2]; /* [0] without, [1] with segmentation */
    bool tx_skip[E1000_QUEUES];            /* inside a chain that is dropped: up to the next EOP */
    bool link_seen_down;                   /* BMSR's link bit latches low */
    bool an_done;
    uint32_t ioaddr;
    int64_t irq_next[E1000_VECTORS]; /* no interrupt before that time (ITR, EITR) */
    int64_t tx_abs, rx_abs;          /* absolute limits of the delays that run now */
    int64_t systim_at;               /* when SYSTIM had the value in reg[] */
    struct vtimer itr, tx_delay, rx_delay, an, tx_more;

    /* not saved */
    bool d3;         /* in D3: leaving it is a reset */
    bool line;       /* interrupt asserted: level, or a message has been sent for what is pending */
    uint8_t msix_sent; /* vectors whose causes have been told */
    bool tx_running; /* no transmit inside transmit */
    bool rx_stalled; /* the peer waits for writable() */
    struct e1000_txd txc[E1000_TX_CACHE];
    uint32_t txc_first, txc_n;
    struct iovec tx_iov[E1000_TX_IOV];
    uint16_t tx_rs[E1000_TX_DESCS];
    uint8_t tx_hdr[4 + E1000_HDR_MAX]; /* 4: room for an 802.1Q tag */
    uint8_t tx_buf[4 + NET_GSO_MAX + 4];
    uint8_t rx_buf[E1000_RX_MAX];
};

#define REG(x, off) ((x)->reg[(off) / 4])
#define QREG(x, off, q) ((x)->reg[((off) + 0x100 * (q)) / 4])

/* ---- e1000_mac.c ---- */
extern const struct io_ops e1000_mmio_ops, e1000_io_ops;
void e1000_make_masks(struct e1000 *x);
void e1000_mac_reset(struct e1000 *x); /* CTRL.RST: registers to their defaults, the address from the EEPROM */
void e1000_update_status(struct e1000 *x);
void e1000_mac_changed(struct e1000 *x); /* RAL0/RAH0 to the port */
static inline void e1000_count(struct e1000 *x, unsigned stat, uint32_t n)
{
    uint32_t v = REG(x, stat) + n;
    REG(x, stat) = v < n ? 0xffffffff : v; /* they stick at the top (13.7) */
}
static inline void e1000_count64(struct e1000 *x, unsigned stat, uint64_t n)
{
    uint64_t v = REG(x, stat) | (uint64_t)REG(x, stat + 4) << 32;
    v += n;
    REG(x, stat) = (uint32_t)v;
    REG(x, stat + 4) = (uint32_t)(v >> 32);
}
void e1000_count_size(struct e1000 *x, unsigned first, uint32_t size); /* PRC64.. or PTC64.. */

/* ---- e1000_irq.c ---- */
void e1000_cause(struct e1000 *x, uint32_t bits);
void e1000_irq_update(struct e1000 *x);
uint32_t e1000_read_icr(struct e1000 *x);
void e1000_write_icr(struct e1000 *x, uint32_t v);
void e1000_irq_init(struct e1000 *x);
void e1000_irq_reset(struct e1000 *x);
void e1000_tx_done_cause(struct e1000 *x, unsigned q, bool delayed);
void e1000_rx_done_cause(struct e1000 *x, unsigned q);
void e1000_tx_flush(struct e1000 *x);
void e1000_rx_flush(struct e1000 *x);

/* ---- e1000_phy.c ---- */
void e1000_phy_init(struct e1000 *x);
void e1000_phy_reset(struct e1000 *x);
void e1000_write_mdic(struct e1000 *x, uint32_t v);
bool e1000_link_up(const struct e1000 *x);
bool e1000_loopback(const struct e1000 *x);
void e1000_cable(struct e1000 *x, bool up);
unsigned e1000_phy_speed(const struct e1000 *x, bool *fd); /* 0: 10, 1: 100, 2: 1000 Mb/s */

/* ---- e1000_nvm.c ---- */
void e1000_nvm_init(struct e1000 *x);
void e1000_nvm_load_mac(struct e1000 *x); /* words 0-2 to RAL0/RAH0 */
uint32_t e1000_read_eecd(struct e1000 *x);
void e1000_write_eecd(struct e1000 *x, uint32_t v);
void e1000_write_eerd(struct e1000 *x, uint32_t v);
void e1000_write_eewr(struct e1000 *x, uint32_t v);

/* ---- e1000_tx.c ---- */
void e1000_tx_run(struct e1000 *x);
void e1000_tx_timer(void *dev);

/* ---- e1000_rx.c ---- */
bool e1000_rx(struct e1000 *x, const struct net_offload *o, const struct iovec *f, int n, bool wait);
void e1000_rx_room(struct e1000 *x); /* RDT or RCTL was written */

#endif
