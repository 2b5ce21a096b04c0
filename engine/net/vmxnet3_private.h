/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmxnet3, inside: registers, the layout of what driver and device share in guest memory, the device's state. The layout
 * is that of the Linux driver's headers vmxnet3_defs.h and upt1_defs.h, which are its data sheet; names are theirs.
 */
#ifndef LODGE_NET_VMXNET3_PRIVATE_H
#define LODGE_NET_VMXNET3_PRIVATE_H

#include "core/clock.h"
#include "net/net.h"
#include "net/nic.h"
#include "net/rom.h"
#include "pci/pci.h"

enum { /* BAR 0, one register every 8 bytes */
    REG_IMR = 0x000,
    REG_TXPROD = 0x600,
    REG_RXPROD = 0x800,
    REG_RXPROD2 = 0xa00,
};
enum { /* BAR 1 */
    REG_VRRS = 0x00,
    REG_UVRS = 0x08,
    REG_DSAL = 0x10,
    REG_DSAH = 0x18,
    REG_CMD = 0x20,
    REG_MACL = 0x28,
    REG_MACH = 0x30,
    REG_ICR = 0x38,
    REG_ECR = 0x40,
    REG_DCR = 0x48,
    REG_PTCR = 0x88,
};

#define CMD_FIRST_SET 0xcafe0000u
enum { /* + CMD_FIRST_SET */
    SET_ACTIVATE_DEV = 0,
    SET_QUIESCE_DEV = 1,
    SET_RESET_DEV = 2,
    SET_UPDATE_RX_MODE = 3,
    SET_UPDATE_MAC_FILTERS = 4,
    SET_UPDATE_VLAN_FILTERS = 5,
    SET_UPDATE_RSSIDT = 6,
    SET_UPDATE_IML = 7,
    SET_UPDATE_PMCFG = 8,
    SET_UPDATE_FEATURE = 9,
    SET_LOAD_PLUGIN = 11,
    SET_COALESCE = 14,
    SET_REGISTER_MEMREGS = 15,
    SET_RSS_FIELDS = 16,
    SET_RING_BUFFER_SIZE = 19,
};
#define CMD_FIRST_GET 0xf00d0000u
enum { /* + CMD_FIRST_GET */
    GET_QUEUE_STATUS = 0,
    GET_STATS = 1,
    GET_LINK = 2,
    GET_PERM_MAC_LO = 3,
    GET_PERM_MAC_HI = 4,
    GET_DID_LO = 5,
    GET_DID_HI = 6,
    GET_DEV_EXTRA_INFO = 7,
    GET_CONF_INTR = 8,
    GET_TXDATA_DESC_SIZE = 10,
    GET_COALESCE = 11,
    GET_RSS_FIELDS = 12,
    GET_MAX_QUEUES_CONF = 15,
    GET_MAX_CAPABILITIES = 17,
    GET_DCR0_REG = 18,
};

enum { /* Vmxnet3_DriverShared */
    DS_MAGIC = 0,
    DS_MISC = 8,
    DS_INTR_CONF = DS_MISC + 72,
    DS_RX_FILTER = DS_MISC + 112,
    DS_RSS_CONF = DS_MISC + 640,
    DS_PM_CONF = DS_MISC + 656,
    DS_ECR = 696,
    DS_CMD_INFO = 704,

    MISC_FEATURES = 16, /* of DS_MISC */
    MISC_QUEUE_DESC = 32,
    MISC_QUEUE_DESC_LEN = 44,
    MISC_MTU = 48,
    MISC_MAX_RX_SG = 52,
    MISC_NUM_TXQ = 54,
    MISC_NUM_RXQ = 55,
    MISC_SIZE = 72,

    INTR_AUTO_MASK = 0, /* of DS_INTR_CONF */
    INTR_NUM = 1,
    INTR_EVENT = 2,

    RXF_MODE = 0, /* of DS_RX_FILTER */
    RXF_MF_LEN = 4,
    RXF_MF_PA = 8,
    RXF_VLAN = 16,
};
enum { /* Vmxnet3_TxQueueDesc, Vmxnet3_RxQueueDesc */
    QD_SIZE = 256,
    QD_CONF = 16,
    QD_STATUS = 80,
    QD_STATS = 88,
    N_STATS = 10, /* 64-bit counters of either */
};

enum { FEAT_RXCSUM = 1, FEAT_RSS = 2, FEAT_RXVLAN = 4, FEAT_LRO = 8 };
enum { RXM_UCAST = 1, RXM_MCAST = 2, RXM_BCAST = 4, RXM_ALL_MULTI = 8, RXM_PROMISC = 16 };
enum { ECR_RQERR = 1, ECR_TQERR = 2, ECR_LINK = 4 };
enum {
    ERR_TX_BIG_PKT = (int)0x80000002,
    ERR_DESC_NOT_SPT = (int)0x80000003,
    ERR_SMALL_BUF = (int)0x80000004,
};

enum {
    V3_MAX_TXQ = 8,
    V3_MAX_RXQ = 16,
    V3_INTRS = 25,
    V3_MF_MAX = 256, /* multicast addresses kept; with more of them all multicast passes */
    V3_RSS_KEY = 40,
    V3_RSS_TABLE = 128,
    V3_MTU_MIN = 60,
    V3_MTU_MAX = 9190,
};

/* Indices of the counters in queue descriptors. */
enum { TXS_TSO = 0, TXS_UCAST = 2, TXS_MCAST = 4, TXS_BCAST = 6, TXS_ERROR = 8, TXS_DISCARD = 9 };
enum { RXS_LRO = 0, RXS_UCAST = 2, RXS_MCAST = 4, RXS_BCAST = 6, RXS_NO_BUF = 8, RXS_ERROR = 9 };

/* A ring of 16-byte descriptors; gen is what a valid one carries (command rings), or what the next one gets. */
struct v3_ring {
    uint64_t base;
    uint32_t size, next;
    bool gen;
};
struct v3_txq {
    struct v3_ring ring, comp;
    uint8_t intr;
    uint32_t error; /* not 0: stopped */
    uint64_t stats[N_STATS];
    bool full; /* the peer is full, writable() goes on */
};
struct v3_rxq {
    struct v3_ring ring[2], comp;
    uint64_t data; /* the data ring, 0: none */
    uint16_t data_size;
    uint8_t intr;
    uint32_t error;
    uint64_t stats[N_STATS];
    bool starved; /* a frame waits for buffers */
};

/* Coalescing, of one vector. */
struct v3_moderation {
    int64_t due;      /* the next interrupt, not before */
    uint32_t done[2]; /* completions since the last one: of transmits, of receives */
    int64_t window;   /* ADAPT: when its window began, what it has seen in it, and how much the one before saw */
    uint32_t seen, busy;
};

struct vmxnet3 {
    struct pci_dev pci;
    struct memregion bar0, bar1;
    struct nic_rom rom;
    struct net_port *port;
    uint8_t perm_mac[6];
    uint8_t max_queues;
    bool in_tx;
    struct vtimer tx_more; /* the rest of a long ring, away from the vCPU that rang */

    /* registers */
    uint32_t version, result, macl, ecr, dcr;
    uint32_t dsal, dsah;
    uint8_t mac[6];
    uint32_t intr_masked, intr_pending, intr_asserted; /* a bit each; asserted: INTx */
    uint32_t intr_held;                                /* by coalescing, until its time */
    struct v3_moderation moderation[V3_INTRS];
    struct vtimer coalesced;

    /* from DriverShared */
    bool active, auto_mask;
    uint64_t shared, queue_desc;
    uint32_t features, mtu, max_rx_sg;
    uint8_t n_txq, n_rxq, event_intr;
    uint32_t rx_mode;
    uint32_t n_mf; /* V3_MF_MAX + 1: too many to keep */
    uint8_t mf[V3_MF_MAX][6];
    uint32_t vlans[128];
    uint32_t rss_fields, rss_types, rss_table_size;
    uint8_t rss_key[V3_RSS_KEY], rss_table[V3_RSS_TABLE];
    uint32_t coalesce[4], wake_events;
    struct v3_txq tx[V3_MAX_TXQ];
    struct v3_rxq rx[V3_MAX_RXQ];
};

/* ---- vmxnet3_intr.c ---- */
void v3_intr_init(struct vmxnet3 *v);
void v3_interrupt(struct vmxnet3 *v, unsigned vector);                          /* now, if not masked */
void v3_completed(struct vmxnet3 *v, unsigned vector, bool rx, unsigned count); /* as the driver has it coalesced */
void v3_intr_mask(struct vmxnet3 *v, unsigned vector, bool masked);
void v3_intr_quiesce(struct vmxnet3 *v); /* what coalescing holds is forgotten */
void v3_intr_forget(struct vmxnet3 *v);  /* nothing is pending, all are masked */
void v3_intr_loaded(struct vmxnet3 *v);
void v3_intx_update(struct vmxnet3 *v);
void v3_set_coalesce(struct vmxnet3 *v, const uint32_t scheme[4]); /* Vmxnet3_CoalesceScheme */

/* ---- vmxnet3.c ---- */
void v3_event(struct vmxnet3 *v, uint32_t bits); /* ECR bits, and the event interrupt */

static inline uint64_t v3_slot(const struct v3_ring *r) { return r->base + 16ull * r->next; }
static inline void v3_advance(struct v3_ring *r)
{
    if (++r->next >= r->size) {
        r->next = 0;
        r->gen = !r->gen;
    }
}
/* Puts a completion with the ring's generation, the double word that holds it last. */
void v3_complete(struct vmxnet3 *v, struct v3_ring *comp, uint64_t lo, uint64_t hi);

/* ---- vmxnet3_tx.c ---- */
void v3_tx_run(struct vmxnet3 *v, unsigned q);
void v3_tx_run_all(struct vmxnet3 *v);

/* ---- vmxnet3_rx.c ---- */
bool v3_receive(void *end, const struct net_offload *o, const struct iovec *f, int n);
void v3_rx_kick(struct vmxnet3 *v, unsigned q); /* the driver may have given buffers */

/* ---- vmxnet3_pkt.c ---- */
/* What the first bytes of a frame say; offsets are 0 where there is no such header. */
struct v3_pkt {
    uint16_t l3, l4;
    uint16_t payload; /* after TCP's or UDP's header */
    bool tagged, v4, v6, tcp, udp, frag;
    uint16_t tci;
    uint32_t l4_len; /* as the IP header says, header of layer 4 included */
};
enum { V3_HDR_MAX = 256 }; /* bytes that v3_parse looks at, at most */
void v3_parse(struct v3_pkt *p, const uint8_t *h, size_t n);
/* The checksum of the pseudo header, without length. */
uint32_t v3_pseudo(const struct v3_pkt *p, const uint8_t *h);
/* RSS: type as in the receive completion, 0: none. */
unsigned v3_rss(const struct vmxnet3 *v, const struct v3_pkt *p, const uint8_t *h, uint32_t *hash);

#endif
