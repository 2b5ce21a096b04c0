/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The networks that lodge-vmnet makes for all machines of a user: virtual networks (custom, host-only, shared NAT), LAN segments, and the host's
 * interfaces, for which it asks lodge-nethelper. Needs launcher_start (net/launcher.h) early in main.
 *
 * Messages (net/netmsg.h) on a connection to lodge-vmnet:
 *     attach, network=vmnetN | segment=<id>, interface=, mac=, name=, id=, follow=0|1, twins=0|1
 *         -> ok, kind=switch|tap, carrier=0|1, text=<note for the user>, with the descriptor for frames; or error, text=
 *     later, from lodge-vmnet: link, up=0|1, text=<why>; fd, with another descriptor; lease, address=<IPv4>
 * The port lives as long as the connection.
 */
#ifndef LODGE_HOSTDRIVER_VMNET_H
#define LODGE_HOSTDRIVER_VMNET_H

#include "net/hostnet.h"

/* ethernetN.connectionType: see hostnet.h. custom: conf.vnet; pvn (LAN segment): conf.segment. */
int net_attach_bridged(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e);
int net_attach_hostonly(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e);
int net_attach_custom(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e);
int net_attach_segment(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e);

#endif
