/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DHCP server of a virtual network (RFC 2131, RFC 2132): frames in, frames out, leases in a table of fixed size. It has an address of its own
 * (the last but one of the network) and answers ARP for it, so that clients can renew.
 */
#ifndef LODGE_VMNET_DHCP_H
#define LODGE_VMNET_DHCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/netconf.h"

enum {
    DHCP_REPLY_MAX = 14 + 20 + 8 + 576,
    DHCP_LEASES_A_PORT = 32, /* a machine that invents addresses does not use up the network's */
    DHCP_OFFER_S = 60,
};

struct dhcp_lease {
    uint32_t ip; /* 0: unused */
    uint8_t mac[6];
    bool bound;     /* else offered */
    bool declined;  /* somebody else uses the address */
    int64_t until;  /* seconds, wall clock */
    int port;       /* the port it was last seen on; -1: read from a file */
    char name[32];  /* option 12, printable characters only */
};

struct dhcp {
    uint8_t mac[6];
    uint32_t ip, mask, router, dns; /* router, dns 0: none */
    uint32_t next_server;           /* siaddr with a boot file */
    const struct netconf_net *conf;
    struct dhcp_lease *lease;       /* one place for each address of the range and each reservation */
    unsigned room;
    bool changed;                   /* since the owner cleared it: leases to be written */
    uint64_t requests, replies, ignored;
};

/* conf stays the caller's and must outlive it. 0, or -1 without memory. */
int dhcp_init(struct dhcp *d, unsigned index, const struct netconf_net *conf);
void dhcp_fini(struct dhcp *d);
/* The same leases under another configuration, as far as they fit. */
int dhcp_reconfigure(struct dhcp *d, unsigned index, const struct netconf_net *conf);

enum dhcp_verdict {
    DHCP_PASS, /* nothing to do with the server */
    DHCP_TAKE, /* taken; a reply if *reply_len */
    DHCP_DROP, /* an answer of a DHCP server that is not ours */
};
/* A frame from that port (guest: a machine's; else the host's side, which is never served). */
enum dhcp_verdict dhcp_frame(struct dhcp *d, int64_t now, int port, bool guest, const uint8_t *f, size_t len, uint8_t *reply, size_t *reply_len);

/* A lease read from the file. */
void dhcp_restore(struct dhcp *d, const uint8_t mac[6], uint32_t ip, int64_t until, const char *name);
void dhcp_port_gone(struct dhcp *d, int port);

#endif
