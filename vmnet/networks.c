/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual networks: each is a switch (engine/net/switch.h) with the machines' sockets, a DHCP server that filters frames, libslirp's NAT as one more
 * port, and the host's interface as another. A network is made for its first port and ends with its last; its DHCP leases stay.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/dma.h"
#include "core/vm.h"
#include "net/launcher.h"
#include "vmnet.h"

enum { SOCKET_BYTES = 1 << 20, HOST_RETRY_MS = 3000 };

/* ---- frames [dev] ---- */

static void lease_message(struct port *p, const struct dhcp *d)
{
    char ip[16];
    struct netmsg m;
    for (unsigned i = 0; i < d->room; i++)
        if (d->lease[i].ip && d->lease[i].bound && d->lease[i].port == p->id && !memcmp(d->lease[i].mac, p->mac, 6) && d->lease[i].ip != p->ip) {
            p->ip = d->lease[i].ip;
            netmsg_init(&m, "lease");
            netmsg_add(&m, "address", "%s", netconf_ip_format(p->ip, ip));
            netmsg_send(p->conn->fd, &m, -1, MSG_DONTWAIT);
        }
}

static bool filter(void *u, struct net_switch_port *from, const struct iovec *f, int n)
{
    struct network *net = u;
    uint8_t head[42], frame[1600], reply[DHCP_REPLY_MAX];
    size_t len, out;
    if (iov_get(f, n, 0, head, sizeof head) < sizeof head)
        return false;
    unsigned type = ld_be16(head + 12);
    if (!net->sv->has_dhcp[net->index] || !net->conf.dhcp || (type != 0x0806 && (type != 0x0800 || head[23] != 17)))
        return false;
    len = iov_get(f, n, 0, frame, sizeof frame);
    struct dhcp *d = &net->sv->dhcp[net->index];
    struct port *p = net_switch_port_data(from);
    enum dhcp_verdict v = dhcp_frame(d, (int64_t)time(NULL), p ? p->id : -2, p != NULL, frame, len, reply, &out);
    if (out) {
        struct iovec r = {reply, out};
        net_switch_send(from, NULL, &r, 1);
        if (p)
            lease_message(p, d);
    }
    return v != DHCP_PASS;
}

struct host_end {
    struct fdend f; /* first */
    struct network *n;
};

static void host_lost(struct fdend *f) { atomic_store(&((struct host_end *)f)->n->host_lost, true); }

/* ---- networks [main] ---- */

static struct network *find(struct server *sv, int index, const char *segment)
{
    struct network *n = sv->nets;
    while (n && !(n->index == index && (index >= 0 || !strcmp(n->name, segment))))
        n = n->next;
    return n;
}

static void forward_failed(void *u, unsigned i, const char *text)
{
    struct network *n = u;
    log_msg(LOG_WARN, "vmnet", "%s: forward %u: %s", n->name, i, text);
    if (!n->note[0])
        snprintf(n->note, sizeof n->note, "%s: %s", n->name, text);
}

static int start_nat(struct network *n, struct err *e)
{
    char subnet[32], ip[16];
    struct net_forward fw[NETCONF_FORWARDS];
    struct net_conf c = {.name = n->name, .vm_name = "", .vm_id = "", .vnet = n->name, .segment = "", .interface = "", .subnet4 = subnet,
                         .prefix6 = n->conf.prefix6, .tftp_dir = n->conf.tftp_dir, .boot_file = n->conf.boot_file, .search_domain = n->conf.domain,
                         .forward = fw, .n_forward = n->conf.n_forward, .forward_failed = forward_failed, .u = n};
    snprintf(subnet, sizeof subnet, "%s/%u", netconf_ip_format(n->conf.subnet, ip), n->conf.bits);
    for (unsigned i = 0; i < n->conf.n_forward; i++) {
        const struct netconf_forward *f = &n->conf.forward[i];
        fw[i] = (struct net_forward){.udp = f->udp, .host_port = f->host_port, .guest_port = f->guest_port};
        memcpy(fw[i].host_ip, f->host_ip, sizeof fw[i].host_ip);
        memcpy(fw[i].guest_ip, f->guest_ip, sizeof fw[i].guest_ip);
    }
    if (net_attach_nat(n->sv->vm, &c, &n->nat, e))
        return -1;
    chipset_lock(n->sv->vm);
    n->nat_port = net_switch_add(n->sw, n->nat, NULL);
    chipset_unlock(n->sv->vm);
    return n->nat_port ? 0 : err_set(e, ERR_NOMEM, 0, "%s has no port left for NAT.", n->name);
}

static void stop_nat(struct network *n)
{
    if (!n->nat)
        return;
    chipset_lock(n->sv->vm);
    if (n->nat_port)
        net_switch_remove(n->nat_port);
    chipset_unlock(n->sv->vm);
    struct net_back *b = net_back_of(n->nat);
    b->ops->close(b);
    n->nat = NULL;
    n->nat_port = NULL;
}

static void stop_host(struct network *n)
{
    if (n->host_chan >= 0)
        close(n->host_chan);
    n->host_chan = -1;
    n->host_state = HOST_NONE;
    if (!n->host)
        return;
    chipset_lock(n->sv->vm);
    if (n->host_port)
        net_switch_remove(n->host_port);
    fdend_fini(n->host);
    chipset_unlock(n->sv->vm);
    free(n->host);
    n->host = NULL;
    n->host_port = NULL;
    n->host_if[0] = 0;
}

static int start_dhcp(struct server *sv, int i)
{
    const struct netconf_net *c = &sv->conf.net[i];
    int rc = 0;
    chipset_lock(sv->vm);
    if (c->dhcp && sv->has_dhcp[i])
        rc = dhcp_reconfigure(&sv->dhcp[i], (unsigned)i, c);
    else if (c->dhcp)
        rc = dhcp_init(&sv->dhcp[i], (unsigned)i, c);
    else if (sv->has_dhcp[i])
        dhcp_fini(&sv->dhcp[i]);
    sv->has_dhcp[i] = c->dhcp && !rc;
    chipset_unlock(sv->vm);
    return rc;
}

int networks_init(struct server *sv, struct err *e)
{
    for (int i = 0; i < NETCONF_NETS; i++)
        if (start_dhcp(sv, i))
            return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    return 0;
}

static struct network *network_new(struct server *sv, int index, const char *segment, struct err *e)
{
    struct network *n = calloc(1, sizeof *n);
    unsigned segments = 0;
    for (struct network *o = sv->nets; o; o = o->next)
        segments += o->index < 0;
    if (index < 0 && segments >= SEGMENTS) {
        free(n);
        err_set(e, ERR_CONFIG, 0, "There are %d LAN segments in use already.", SEGMENTS);
        return NULL;
    }
    if (n)
        n->sw = net_switch_new(sv->vm, index >= 0 ? filter : NULL, n);
    if (!n || !n->sw) {
        free(n);
        err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
        return NULL;
    }
    n->sv = sv;
    n->index = index;
    n->host_chan = -1;
    if (index >= 0) {
        snprintf(n->name, sizeof n->name, "vmnet%d", index);
        n->conf = sv->conf.net[index];
    } else {
        snprintf(n->name, sizeof n->name, "%s", segment);
    }
    n->next = sv->nets;
    sv->nets = n;
    return n;
}

static void network_free(struct network *n)
{
    struct network **p = &n->sv->nets;
    while (*p != n)
        p = &(*p)->next;
    *p = n->next;
    stop_nat(n);
    stop_host(n);
    chipset_lock(n->sv->vm);
    net_switch_free(n->sw);
    chipset_unlock(n->sv->vm);
    free(n);
}

/* ---- the host's interface ---- */

static void ask_host(struct network *n)
{
    char ip[16];
    struct netmsg m;
    struct err e;
    n->host_tried = now_ms();
    n->host_chan = launcher_channel(&e);
    netmsg_init(&m, "helper");
    netmsg_add(&m, "op", "hostonly");
    netmsg_add(&m, "name", "%s", n->name);
    netmsg_add(&m, "address", "%s/%u", netconf_ip_format(n->conf.subnet + 1, ip), n->conf.bits);
    if (n->host_chan < 0 || netmsg_send(n->host_chan, &m, -1, 0)) {
        if (n->host_chan >= 0)
            close(n->host_chan);
        n->host_chan = -1;
        n->host_state = HOST_FAILED;
        snprintf(n->note, sizeof n->note, "%s: no interface on the host: the launcher is gone", n->name);
        return;
    }
    n->host_state = HOST_ASKING;
}

/* The ports that wait for the host's side hear now. */
static void answer_all(struct network *n);

void network_helper_answer(struct server *sv, struct network *n)
{
    struct netmsg m;
    int fd, r = netmsg_recv(n->host_chan, &m, &fd, MSG_DONTWAIT);
    char text[300] = "the helper ended without an answer";
    if (r < 0 && errno == EAGAIN)
        return;
    close(n->host_chan);
    n->host_chan = -1;
    n->host_state = HOST_FAILED;
    struct host_end *h = NULL;
    if (r == 1) {
        netmsg_get(&m, "text", text, sizeof text);
        if (netmsg_is(&m, "ok") && fd >= 0 && (h = calloc(1, sizeof *h)) && !fdend_init(&h->f, sv->vm, NULL, NULL)) {
            h->n = n;
            h->f.lost = host_lost;
            atomic_store(&n->host_lost, false);
            chipset_lock(sv->vm);
            h->f.carrier = true;
            fdend_set(&h->f, fd);
            fd = -1;
            n->host_port = net_switch_add(n->sw, &h->f.back.port, NULL);
            chipset_unlock(sv->vm);
            n->host = &h->f;
            n->host_state = HOST_UP;
            n->note[0] = 0;
            netmsg_get(&m, "ifname", n->host_if, sizeof n->host_if);
            h = NULL;
            log_msg(LOG_INFO, "vmnet", "%s: interface %s on the host", n->name, n->host_if);
        }
    }
    free(h);
    if (fd >= 0)
        close(fd);
    if (n->host_state == HOST_FAILED) {
        snprintf(n->note, sizeof n->note, "%s connects the machines with each other, but has no interface on the host: %.240s", n->name, text);
        log_msg(LOG_WARN, "vmnet", "%s", n->note);
    }
    answer_all(n);
}

void network_tick(struct server *sv)
{
    for (struct network *n = sv->nets; n; n = n->next)
        if (n->host_state == HOST_UP && atomic_load(&n->host_lost) && now_ms() - n->host_tried > HOST_RETRY_MS) {
            log_msg(LOG_WARN, "vmnet", "%s: the interface %s is gone; it is made again", n->name, n->host_if);
            stop_host(n);
            ask_host(n);
        }
}

/* ---- ports ---- */

static void answer(struct port *p)
{
    int pair[2] = {-1, -1}, bytes = SOCKET_BYTES;
    struct network *n = p->net;
    struct netmsg m;
    p->answered = true;
    p->end = calloc(1, sizeof *p->end);
    if (!p->end || fdend_init(p->end, n->sv->vm, NULL, NULL) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
        conn_error(p->conn, "lodge-vmnet has no memory or sockets left.");
        return;
    }
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    chipset_lock(n->sv->vm);
    p->end->carrier = true;
    fdend_set(p->end, pair[0]);
    p->sp = net_switch_add(n->sw, &p->end->back.port, p);
    chipset_unlock(n->sv->vm);
    if (!p->sp) {
        close(pair[1]);
        conn_error(p->conn, "This network has no port left.");
        return;
    }
    netmsg_init(&m, "ok");
    netmsg_add(&m, "kind", "switch");
    netmsg_add(&m, "carrier", "1");
    if (n->note[0])
        netmsg_add(&m, "text", "%s", n->note);
    netmsg_send(p->conn->fd, &m, pair[1], MSG_DONTWAIT);
    close(pair[1]);
}

static void answer_all(struct network *n)
{
    for (unsigned i = 0; i < n->sv->n_conns; i++) {
        struct port *p = n->sv->conn[i]->port;
        if (p && p->net == n && !p->answered)
            answer(p);
    }
}

static bool same_interface(const struct port *p, const struct port *o)
{
    return !strcmp(p->interface, o->interface) || (*p->interface && (!strcmp(p->interface, o->uplink) || !strcmp(p->interface, o->lower)));
}

/*
 * The port of another machine in this network (n, or the host's when NULL) with the same MAC address, as a copy has that kept its uuid: the
 * switch would send each frame to the one that spoke last.
 */
static const struct port *twin(const struct server *sv, const struct port *p, const struct network *n)
{
    static const uint8_t none[6];
    for (unsigned i = 0; i < sv->n_conns && !p->twins && memcmp(p->mac, none, 6); i++) {
        const struct port *o = sv->conn[i]->port;
        if (o && o != p && o->answered && o->conn->pid != p->conn->pid && o->net == n && !memcmp(o->mac, p->mac, 6) && (n || same_interface(p, o)))
            return o;
    }
    return NULL;
}

static bool refuse_twin(struct conn *c, const struct network *n)
{
    char text[MESSAGE], mac[18];
    const struct port *o = twin(c->sv, c->port, n);
    if (!o)
        return false;
    snprintf(text, sizeof text, "the machine \"%s\" on the same network has this adapter's address, %s, so the cable stays out. Give one of them "
             "another address (a copied machine: answer \"I copied it\", or remove generatedAddress and uuid.bios), or set "
             "ignoreMACAddressConflict = \"TRUE\".", o->vm, net_mac_format(o->mac, mac));
    log_msg(LOG_WARN, "vmnet", "%s: %s", c->port->vm, text);
    conn_error(c, text);
    return true;
}

void network_attach(struct conn *c, const struct netmsg *m)
{
    struct server *sv = c->sv;
    char network[32], segment[80], mac[18], follow[4], twins[4];
    struct err e = {0};
    struct port *p = calloc(1, sizeof *p);
    if (!p || c->port) {
        free(p);
        conn_error(c, "This connection has a port already.");
        return;
    }
    p->conn = c;
    p->id = sv->next_id++;
    p->chan = -1;
    c->port = p;
    bool seg = netmsg_get(m, "segment", segment, sizeof segment) && segment[0];
    int index = -1;
    netmsg_get(m, "vm", p->vm, sizeof p->vm);
    netmsg_get(m, "name", p->vm, sizeof p->vm);
    netmsg_get(m, "id", p->vm_id, sizeof p->vm_id);
    netmsg_get(m, "interface", p->interface, sizeof p->interface);
    p->follow = netmsg_get(m, "follow", follow, sizeof follow) && follow[0] == '1';
    p->twins = netmsg_get(m, "twins", twins, sizeof twins) && twins[0] == '1';
    if (netmsg_get(m, "mac", mac, sizeof mac) && !net_mac_parse(mac, p->mac)) {
        conn_error(c, "The MAC address is none.");
        return;
    }
    if (!seg) {
        netmsg_get(m, "network", network, sizeof network);
        index = netconf_index(network);
        if (index < 0) {
            char text[MESSAGE];
            snprintf(text, sizeof text, "There is no virtual network \"%s\". Networks are named vmnet0 to vmnet19.", network);
            conn_error(c, text);
            return;
        }
        if (sv->conf.net[index].type == NETCONF_BRIDGED) {
            if (!p->interface[0])
                memcpy(p->interface, sv->conf.net[index].interface, sizeof p->interface);
            p->method = sv->conf.net[index].method;
            if (!refuse_twin(c, NULL))
                bridged_attach(c);
            return;
        }
    }
    struct network *n = find(sv, index, segment);
    if (n && refuse_twin(c, n))
        return;
    if (!n) {
        n = network_new(sv, index, segment, &e);
        if (n && n->conf.type == NETCONF_NAT && index >= 0 && start_nat(n, &e)) {
            network_free(n);
            n = NULL;
        }
    }
    if (!n) {
        conn_error(c, e.msg);
        return;
    }
    p->net = n;
    n->n_ports++;
    if (index >= 0 && n->conf.type == NETCONF_HOSTONLY && n->conf.host_interface &&
        (n->host_state == HOST_NONE || (n->host_state == HOST_FAILED && now_ms() - n->host_tried > HOST_RETRY_MS)))
        ask_host(n);
    if (n->host_state != HOST_ASKING)
        answer(p);
}

void network_detach(struct conn *c)
{
    struct port *p = c->port;
    c->port = NULL;
    if (!p)
        return;
    if (!p->net)
        bridged_detach(p);
    struct vm *vm = c->sv->vm;
    chipset_lock(vm);
    if (p->sp)
        net_switch_remove(p->sp);
    if (p->end)
        fdend_fini(p->end);
    if (p->net && p->net->index >= 0 && c->sv->has_dhcp[p->net->index])
        dhcp_port_gone(&c->sv->dhcp[p->net->index], p->id);
    chipset_unlock(vm);
    free(p->end);
    if (p->net && --p->net->n_ports == 0)
        network_free(p->net);
    free(p);
}

/* sv->conf has changed: networks in use follow. */
void network_reconfigure(struct server *sv)
{
    for (int i = 0; i < NETCONF_NETS; i++) {
        struct network *n = find(sv, i, "");
        const struct netconf_net *c = &sv->conf.net[i];
        struct err e = {0};
        if (start_dhcp(sv, i))
            log_msg(LOG_ERROR, "vmnet", "vmnet%d: no memory for DHCP", i);
        if (!n || !memcmp(&n->conf, c, sizeof *c))
            continue;
        bool address = n->conf.subnet != c->subnet || n->conf.bits != c->bits || n->conf.type != c->type || n->conf.host_interface != c->host_interface;
        /* A network that is in use as a switch cannot become the host's interface under its machines: at their next start. */
        if (c->type == NETCONF_BRIDGED)
            continue;
        bool nat = address || strcmp(n->conf.prefix6, c->prefix6) || strcmp(n->conf.tftp_dir, c->tftp_dir) || strcmp(n->conf.boot_file, c->boot_file) ||
                   strcmp(n->conf.domain, c->domain) || n->conf.n_forward != c->n_forward || memcmp(n->conf.forward, c->forward, sizeof c->forward);
        n->conf = *c;
        if (nat) {
            n->note[0] = 0;
            stop_nat(n);
            if (c->type == NETCONF_NAT && start_nat(n, &e))
                log_msg(LOG_ERROR, "vmnet", "%s: %s", n->name, e.msg);
        }
        if (address) {
            stop_host(n);
            if (c->type == NETCONF_HOSTONLY && c->host_interface)
                ask_host(n);
        }
    }
}
