/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A learning Ethernet switch. It keeps no frames: what a receiver does not take now is refused, so the sender waits; what goes to many (broadcast,
 * unknown destination) is dropped for those that are full. 802.1Q tags pass as they are.
 */
#ifndef LODGE_NET_SWITCH_H
#define LODGE_NET_SWITCH_H

#include "net/net.h"

enum {
    SWITCH_PORTS = 128,
    SWITCH_MACS = 2048,        /* the table of addresses */
    SWITCH_MACS_A_PORT = 256,  /* that one port may fill */
    SWITCH_AGE_S = 300,        /* IEEE 802.1D table 7-5 */
    SWITCH_STALL_MS = 300,     /* who has been full so long holds nobody up any more until it takes frames again */
};

struct vm;
struct net_switch;
struct net_switch_port;

struct net_switch_port_stats {
    struct net_port_stats port; /* as the switch sees it: rx = from that peer */
    uint64_t dropped;           /* frames to it that were lost because it was full */
    unsigned macs;
};

/* Looks at each frame before it is forwarded; true: it is taken, and goes nowhere. [dev] */
typedef bool (*net_switch_filter_fn)(void *u, struct net_switch_port *from, const struct iovec *f, int n);

/* vm: whose clock counts. NULL without memory. [main] */
struct net_switch *net_switch_new(struct vm *vm, net_switch_filter_fn filter, void *u);
void net_switch_free(struct net_switch *s); /* [dev] with no ports left */
/* Plugs a cable from a new port into peer, link up. NULL: no port or memory left. u: the caller's. [dev] */
struct net_switch_port *net_switch_add(struct net_switch *s, struct net_port *peer, void *u);
void net_switch_remove(struct net_switch_port *p); /* [dev] */
void *net_switch_port_data(const struct net_switch_port *p);
/* A frame of the switch's own. False: that port is full, the frame is lost. [dev] */
bool net_switch_send(struct net_switch_port *to, const struct net_offload *o, const struct iovec *f, int n);
void net_switch_stats(const struct net_switch_port *p, struct net_switch_port_stats *out); /* [dev] */

#endif
