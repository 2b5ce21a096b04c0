/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lodge-nethelper's parts. The caller is hostile: everything of it (arguments, descriptors, environment, signals) is checked or thrown away. */
#ifndef LODGE_HELPER_H
#define LODGE_HELPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/links.h"

#define BRIDGE_CONF "/etc/lodge/bridge.conf"
#define OWN_ALIAS "lodge-nethelper " /* of bridges that are ours, then the name of the interface */

/* allow.c: may the calling user use that bridge or interface ("hostonly" for interfaces of host-only networks)? -1: *e says why not. */
int allow_check(const char *what, struct err *e);

/* A row of rtnetlink messages that the kernel carries out in one system call: a signal comes before all of them or after. */
struct batch;
struct nlmsghdr;
struct mnl_socket;
struct batch *batch_new(void);
void batch_free(struct batch *b);
/* The header of the next message; attributes are put behind it with mnl_attr_put. NULL: the batch is full. optional: its failure is no error. */
struct nlmsghdr *batch_add(struct batch *b, uint16_t type, uint16_t flags, bool optional);
/* 0, or -1 with the first failure that was not optional. what: what it was about, for the message. */
int batch_run(struct batch *b, struct mnl_socket *s, const char *what, struct err *e);

/* uplink.c: addresses and routes of an interface go to another one. */
int uplink_make(struct mnl_socket *s, const struct link_info *wire, char bridge[16], struct err *e);
int uplink_release(struct mnl_socket *s, const struct link_info *bridge, const struct link_info *wire, struct err *e);
/* Our bridge's interface was gone and is back. */
int uplink_rejoin(struct mnl_socket *s, const struct link_info *bridge, const struct link_info *wire, struct err *e);
/* Its IPv4 address comes from a DHCP client or the like: it has an end. */
bool uplink_is_dynamic(struct mnl_socket *s, int index);
/* The interface of the default route, IPv4 before IPv6; 0: none. */
int uplink_default(struct mnl_socket *s);
/* Another interface has an address in that network. */
bool uplink_overlaps(struct mnl_socket *s, uint32_t net, unsigned bits, int *index);

/* tap.c */
struct tap {
    int fd;
    char name[16];
    int index;
};
/* name: wanted, or NULL. The interface lives as long as the descriptor. */
int tap_make(struct tap *t, const char *name, struct err *e);
int tap_join(struct mnl_socket *s, const struct tap *t, const struct link_info *bridge, struct err *e);
int tap_host(struct mnl_socket *s, const struct tap *t, unsigned number, uint32_t ip, unsigned bits, struct err *e);
/* A macvtap on that interface, with the machine's address. owner: the process whose end frees it. */
int macvtap_make(struct mnl_socket *s, struct tap *t, const struct link_info *lower, const uint8_t mac[6], int owner, struct err *e);
void macvtap_sweep(struct mnl_socket *s, const struct links *ls, int owner);

/* caps.c */
int caps_init(struct err *e); /* keeps only what is needed, not effective yet */
bool caps_have_dac(void);
void caps_raise(bool dac);    /* net_admin; with dac, also reading of device nodes */

#endif
