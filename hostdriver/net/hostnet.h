/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's networks that an adapter can be connected to. One function a type; vmx/net.c has the table of types.
 *
 * A network is a net end (struct net_port) inside a struct net_back. It is made by [main], without the chipset lock, while the machine is built
 * or while it runs (the process is in its sandbox then: no exec). It does its work on the chipset thread. Closing it is the owner's: vmx/net.c
 * unplugs the cable first.
 */
#ifndef LODGE_HOSTDRIVER_NET_HOSTNET_H
#define LODGE_HOSTDRIVER_NET_HOSTNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/net.h"

struct vm;

/* A host port that leads to a port of the guest. */
struct net_forward {
    bool udp;
    char host_ip[46]; /* numeric, IPv4 or IPv6; "": 127.0.0.1 */
    uint16_t host_port;
    char guest_ip[46]; /* "": the guest's address that DHCP gives */
    uint16_t guest_port;
};
enum { NET_FORWARDS_MAX = 32 };

/* What the .vmx says about one adapter's network. All strings are never NULL, "" where the key is absent; valid during the call. */
struct net_conf {
    const char *name;      /* "ethernet0": prefix of the keys that a message names */
    const char *vm_name;   /* displayName */
    const char *vm_id;     /* uuid.bios, 32 hex digits */
    const char *vnet;      /* custom: "vmnet2" (lower case, no "/dev/"); nat: "vmnet8"; hostonly: "vmnet1" */
    const char *segment;   /* LAN segment: its id (pvnID) */
    const char *interface; /* bridged: interface or bridge of the host (ethernetN.bridgeInterface), "" = choose */
    uint8_t mac[6];        /* of the adapter */
    bool mac_twins;        /* ignoreMACAddressConflict: another machine there may have the same address */
    bool follow_link;      /* linkStatePropagation.enable: carrier follows the host's */
    /* NAT in this process */
    const char *subnet4, *prefix6;  /* "10.0.2.0/24"; "fd00::/64"; "": default */
    const char *tftp_dir, *boot_file; /* "": none */
    const char *search_domain;
    bool restricted; /* only forwards and libslirp's own services, nothing outside */
    bool no_host;    /* services on the host's loopback address are not reached through the gateway's address */
    /* A forward that cannot be made is said here, index into forward; the network works without it. May be NULL. */
    void (*forward_failed)(void *u, unsigned index, const char *text);
    void *u;
    const struct net_forward *forward;
    unsigned n_forward;
};

struct net_back;
struct net_back_ops {
    void (*close)(struct net_back *b); /* [main], without the chipset lock; no cable. Frees b. */
    /* All optional. [main], without the chipset lock. */
    int (*forward)(struct net_back *b, const struct net_forward *f, bool add, struct err *e);
    /* One line a fact for the user: "10.0.2.15 (DHCP)". Bytes written as snprintf. */
    int (*addresses)(struct net_back *b, char *buf, size_t n);
};
/* First member of every network. */
struct net_back {
    struct net_port port; /* the host's side of the cable; `end` points to the net_back */
    const struct net_back_ops *ops;
    struct vm *vm;
    bool down; /* set by attach: there is no carrier yet; the network itself calls net_set_link(&port, true) when there is. Else vmx/net.c does */
};
static inline struct net_back *net_back_of(struct net_port *p) { return (struct net_back *)p; }

/*
 * int net_attach_<type>(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e)
 * 0: *out is the port of a struct net_back, not yet connected. -1: *e is a sentence for the user that says what mends it.
 */
typedef int (*net_attach_fn)(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e);

int net_attach_nat(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e);

#endif
