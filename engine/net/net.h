/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ethernet between two ends: a network adapter, a filter, a port of a switch, the host's side. A port joins two ends;
 * flow control instead of hidden queues: a receiver that is full says so, the sender keeps the frame and goes on when
 * writable() is called.
 */
#ifndef LODGE_NET_NET_H
#define LODGE_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The longest frame without segmentation offload: 9000 bytes of payload, header, 802.1Q tag (no FCS). */
#define NET_MTU_MAX 9000
#define NET_FRAME_MAX (NET_MTU_MAX + 18)
/* The longest that segmentation offload makes: an IP packet of 64 KiB and its Ethernet header. */
#define NET_GSO_MAX (65536 + 18)

/* What the sender has left to do. Same meaning and values as struct virtio_net_hdr (Linux uapi), which a tap carries. */
enum net_gso { NET_GSO_NONE = 0, NET_GSO_TCPV4 = 1, NET_GSO_UDP = 3, NET_GSO_TCPV6 = 4 };
struct net_offload {
    bool needs_csum; /* the checksum at csum_start + csum_offset holds the pseudo header's sum; finish it */
    bool csum_valid; /* to a receiver: checksums have been checked, or the frame never left this host */
    uint8_t gso;     /* enum net_gso */
    uint16_t hdr_len;     /* bytes of headers that each segment repeats */
    uint16_t gso_size;    /* payload bytes of a segment */
    uint16_t csum_start;  /* from the start of the frame */
    uint16_t csum_offset; /* from csum_start */
};
/* What an end takes without help (net_port.can). */
enum { NET_CAN_CSUM = 1, NET_CAN_TSO4 = 2, NET_CAN_TSO6 = 4 };

/* All [dev]. */
struct net_end_ops {
    /*
     * A frame without FCS, from the destination address on, n pieces; o may be NULL (nothing to do). The data is only
     * valid during the call. false = full: the sender keeps the frame, and the end calls net_writable(its port) once it
     * has room again. A frame that the end does not want is taken and dropped (true).
     */
    bool (*receive)(void *end, const struct net_offload *o, const struct iovec *f, int n);
    void (*writable)(void *end);       /* the peer has room again; may be NULL if the end never keeps frames */
    void (*link)(void *end, bool up);  /* the cable was plugged in or out; may be NULL */
};

struct net_port_stats {
    uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes; /* as seen by this end; a GSO frame counts as one */
    uint64_t rx_full, tx_dropped;                      /* times the receiver was full; frames lost without a link */
};

/* One end of a cable, embedded in its owner. */
struct net_port {
    const struct net_end_ops *ops;
    void *end;
    struct net_port *peer; /* NULL: no cable */
    unsigned can;          /* NET_CAN_*: what this end's receive() understands */
    bool link;             /* carrier, as seen by this end; net.c keeps both ends equal */
    uint8_t mac[6];        /* an adapter: the address it uses now, kept by the adapter; other ends: zeros */
    struct net_port_stats stats;
    uint32_t gso_sent, gso_mark; /* net.c: segments of the present frame that the peer has taken already */
};

void net_port_init(struct net_port *p, const struct net_end_ops *ops, void *end, unsigned can);
/* Joins two unconnected ends, carrier off. [main] building, or [dev] */
void net_connect(struct net_port *a, struct net_port *b);
/* Pulls the cable: carrier off, link() on both, peer NULL on both. [dev] */
void net_disconnect(struct net_port *p);
/* Carrier of the cable; calls link() on both ends if it changes. [dev] */
void net_set_link(struct net_port *p, bool up);
/*
 * Gives the frame to the peer. What the peer cannot (p->peer->can) is done here in software: the checksum, the
 * segmentation. false: the peer is full, keep the frame and wait for writable(). Without a peer or carrier the frame is
 * lost (true), as on a real cable. A frame that cannot be sent as o asks is dropped (true). After false the sender offers
 * the same frame again: the segments that have gone are not sent twice. [dev]
 */
bool net_send(struct net_port *from, const struct net_offload *o, const struct iovec *f, int n);
/* Tells switches and peers where the adapter at this end is now, by a RARP request from its address: after resume, revert,
 * or another network. [dev] */
void net_announce(struct net_port *adapter);
/* The end of p has room again: its peer's writable(). [dev] */
void net_writable(struct net_port *p);

/* Internet checksum (RFC 1071) of n bytes added to sum, not yet folded. */
uint32_t net_csum_add(uint32_t sum, const void *data, size_t n);
uint16_t net_csum_fold(uint32_t sum); /* folded and inverted, in memory byte order of big-endian words */

#endif
