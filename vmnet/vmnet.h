/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lodge-vmnet's parts. Two threads: main has the control connections, the configuration, the helper and the leases' file; the chipset thread of a
 * vm without guest moves the frames. What both touch is touched with the chipset lock held: switches, ports' ends, DHCP tables.
 */
#ifndef LODGE_VMNET_H
#define LODGE_VMNET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/netconf.h"
#include "dhcp.h"
#include "net/fdend.h"
#include "net/netmsg.h"
#include "net/switch.h"

enum { CONNS = 256, SEGMENTS = 64, MESSAGE = 400 };

struct server;
struct network;
struct conn;

enum host_state { HOST_NONE, HOST_ASKING, HOST_UP, HOST_FAILED };

/* A virtual network with at least one port, or a LAN segment. */
struct network {
    struct network *next;
    struct server *sv;
    int index;         /* of vmnetN; -1: a segment */
    char name[80];     /* "vmnet1", or the segment's id */
    struct netconf_net conf; /* what it runs with */
    struct net_switch *sw;
    struct net_port *nat;
    struct net_switch_port *nat_port;
    struct fdend *host; /* the host's interface */
    struct net_switch_port *host_port;
    enum host_state host_state;
    atomic_bool host_lost;
    int host_chan;      /* to the launcher while the helper works; -1 */
    int64_t host_tried; /* ms */
    char host_if[16], note[MESSAGE];
    unsigned n_ports;
};

/* One adapter of one machine. */
struct port {
    struct conn *conn;
    int id;
    struct network *net; /* NULL: bridged, the machine has the tap itself */
    struct fdend *end;
    struct net_switch_port *sp;
    bool answered;
    uint8_t mac[6];
    bool twins; /* another machine may have the same address */
    char vm[64], vm_id[64];
    uint32_t ip; /* by DHCP */
    /* bridged */
    bool follow, down, had_members;
    int chan;        /* to the launcher while the helper works; -1 */
    int64_t tried;   /* ms */
    char interface[16], ifname[16], lower[16], uplink[16];
    enum netconf_method method;
};

struct conn {
    struct server *sv;
    int fd;
    int pid; /* who made the connection: the machine's launcher */
    struct port *port;
};

struct server {
    struct vm *vm;
    struct netconf conf;
    char *conf_path, *leases_path;
    struct dhcp dhcp[NETCONF_NETS];
    bool has_dhcp[NETCONF_NETS];
    struct network *nets;
    struct conn *conn[CONNS];
    unsigned n_conns;
    int next_id;
    int64_t idle_since, leases_saved, release_at;
    unsigned release_tries;
    int release_chan;
    bool made_bridge; /* the helper may have made one for us */
    bool links_changed;
    int64_t links_at;
};

int64_t now_ms(void);

/* networks.c [main] */
void network_attach(struct conn *c, const struct netmsg *m);
void network_detach(struct conn *c);
void network_helper_answer(struct server *sv, struct network *n); /* n->host_chan is readable */
void network_tick(struct server *sv);
void network_reconfigure(struct server *sv);
int networks_init(struct server *sv, struct err *e);

/* bridged.c [main]: ports whose machine has a tap of the host */
void bridged_attach(struct conn *c);
void bridged_helper_answer(struct conn *c);
void bridged_detach(struct port *p);
void bridged_tick(struct server *sv);
void bridged_end(struct server *sv); /* no ports any more, and no later either: what the helper made goes */

/* leases.c [main] */
void leases_load(struct server *sv);
void leases_save(struct server *sv);

/* control.c [main] */
void control_command(struct conn *c, const struct netmsg *m);
unsigned conf_load(struct server *sv, struct netconf *out, netconf_problem_fn fn, void *u, struct err *e); /* problems; e->kind set: not readable */

/* sandbox.c */
int sandbox(struct err *e);

void conn_error(struct conn *c, const char *text);

#endif
