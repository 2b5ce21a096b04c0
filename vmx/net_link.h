/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The adapters of a running machine and what they are connected to:
 *
 *   adapter <-> filter (shaping, capture, addresses) <-> network of the host (NAT, switch, bridge)
 *
 * All calls [main], without the chipset lock; a NULL machine_net has no adapters. nic is the N of ethernetN.
 */
#ifndef LODGE_VMX_NET_LINK_H
#define LODGE_VMX_NET_LINK_H

#include "net_plan.h"

struct machine_net;
struct pci_bus;
struct vm;

/* Makes the devices. *out is NULL when there are no adapters. */
int net_link_build(struct vm *vm, const struct plan *p, struct pci_bus *bus, struct machine_net **out, struct err *e);
/* Makes the networks and plugs the cables in. What cannot be made is logged, and that adapter stays unplugged. */
void net_link_connect(struct machine_net *n);
void net_link_close(struct machine_net *n); /* unplugs, closes the networks; while the devices are there */
void net_link_free(struct machine_net *n);  /* after the devices */

/* Tells the networks where the guests' addresses are: after pause, resume, revert. */
void net_link_announce(struct machine_net *n);

struct net_link_info {
    char name[12], model[12], type[12]; /* type "": unplugged by its configuration */
    char mac[18], addresses[256], problem[400]; /* problem: why there is no network */
    char capture[256];
    bool connected, link; /* the cable is plugged in; there is carrier */
    unsigned n_forward;
    char forward[NET_FORWARDS_MAX][128];
    struct net_shape shape[2];
};
int net_link_info(struct machine_net *n, unsigned nic, struct net_link_info *out, struct err *e);
int net_link_plug(struct machine_net *n, unsigned nic, bool in, struct err *e);
/* Another network; takes over *l (and empties it) in any case. The cable is plugged in afterwards. */
int net_link_change(struct machine_net *n, unsigned nic, struct plan_link *l, struct err *e);
int net_link_forward(struct machine_net *n, unsigned nic, const struct net_forward *f, bool add, struct err *e);
int net_link_capture(struct machine_net *n, unsigned nic, const char *path, struct err *e); /* "": end it */
int net_link_shape(struct machine_net *n, unsigned nic, enum net_dir d, const struct net_shape *s, struct err *e);
/* "ethernet0.tx_frames" and so on: tx is what the guest sends. */
void net_link_statistics(struct machine_net *n, void (*fn)(void *u, const char *name, uint64_t value), void *u);

#endif
