/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual networks of a user: $XDG_CONFIG_HOME/lodge/networks (docs/networks.md has the format). The file is a dictionary as a .vmx is
 * (vmx_dict.h), so that changing one value changes one line. lodge-vmnet uses it, the virtual network editor changes it.
 */
#ifndef LODGE_CONFIG_NETCONF_H
#define LODGE_CONFIG_NETCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/vmx_dict.h"

enum { NETCONF_NETS = 20, NETCONF_RESERVATIONS = 64, NETCONF_FORWARDS = 32, NETCONF_POOL_MAX = 4096 };
enum netconf_type { NETCONF_SWITCH, NETCONF_HOSTONLY, NETCONF_NAT, NETCONF_BRIDGED };
enum netconf_method { NETCONF_AUTO, NETCONF_BRIDGE, NETCONF_MACVTAP };

struct netconf_reservation {
    uint8_t mac[6];
    uint32_t ip; /* host byte order, as all IPv4 addresses here */
};
struct netconf_forward {
    bool udp;
    char host_ip[46]; /* "": 127.0.0.1 */
    uint16_t host_port;
    char guest_ip[46];
    uint16_t guest_port;
};
struct netconf_net {
    enum netconf_type type;
    char name[64];          /* the user's name for it, may be "" */
    uint32_t subnet;        /* network address; 0: no subnet (a plain switch) */
    unsigned bits;
    bool dhcp;
    uint32_t first, last;   /* of DHCP */
    uint32_t lease_s;
    char domain[128];
    bool host_interface;    /* host-only: the host has an interface in it */
    char prefix6[50];       /* NAT: "fd00:10:0:8::/64" */
    char tftp_dir[256], boot_file[128];
    char interface[16];     /* bridged: "" = the one with the default route */
    enum netconf_method method;
    struct netconf_reservation reservation[NETCONF_RESERVATIONS];
    struct netconf_forward forward[NETCONF_FORWARDS];
    unsigned n_reservation, n_forward;
};
struct netconf {
    struct netconf_net net[NETCONF_NETS];
};

/* text: what is wrong with key = value in that line (0: not from a line) and what to do. */
typedef void (*netconf_problem_fn)(void *u, unsigned line, const char *key, const char *value, const char *text);

/* The path of the file; free() it. */
char *netconf_path(void);
/* What holds without a file, then what the file says. A wrong line is reported and leaves the default. Returns the number of problems. */
unsigned netconf_parse(const struct vmx_dict *d, struct netconf *out, netconf_problem_fn problem, void *u);
const char *netconf_type_name(enum netconf_type t);

/* 0..19 for "vmnet7", "/dev/vmnet7", "VMnet7"; else -1. */
int netconf_index(const char *name);
bool netconf_ip_parse(const char *s, uint32_t *ip);
const char *netconf_ip_format(uint32_t ip, char buf[16]);

#endif
