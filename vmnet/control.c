/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands on the control socket, for the virtual network editor and the command line. Each is answered by any number of messages "line" (key text)
 * and one "end", or by "error":
 *     list                   one line a network: vmnet1 hostonly 192.168.101.0/24 dhcp ports=2 host=vmnet1
 *     ports                  one line a port with its counters
 *     leases                 one line a DHCP lease
 *     get, key=              the value in the file
 *     set, key=, value=      changes the file (one line of it), and what runs
 *     unset, key=            removes the line
 *     reload                 the file was changed by another program
 *     check                  one line a problem of the file
 * What does not pass the check is not written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "vmnet.h"

__attribute__((format(printf, 2, 3))) static void line(struct conn *c, const char *fmt, ...)
{
    char text[1024];
    struct netmsg m;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    netmsg_init(&m, "line");
    netmsg_add(&m, "text", "%s", text);
    netmsg_send(c->fd, &m, -1, MSG_DONTWAIT);
}

static void end(struct conn *c)
{
    struct netmsg m;
    netmsg_init(&m, "end");
    netmsg_send(c->fd, &m, -1, MSG_DONTWAIT);
}

static void refuse(struct conn *c, const char *text)
{
    struct netmsg m;
    netmsg_init(&m, "error");
    netmsg_add(&m, "text", "%s", text);
    netmsg_send(c->fd, &m, -1, MSG_DONTWAIT);
}

static struct network *running(struct server *sv, int i)
{
    struct network *n = sv->nets;
    while (n && n->index != i)
        n = n->next;
    return n;
}

static void list(struct conn *c)
{
    struct server *sv = c->sv;
    char ip[16], a[16], b[16];
    for (int i = 0; i < NETCONF_NETS; i++) {
        const struct netconf_net *f = &sv->conf.net[i];
        const struct network *n = running(sv, i);
        char subnet[48] = "", dhcp[64] = "", host[64] = "";
        if (f->type == NETCONF_SWITCH && !f->subnet && !f->name[0] && !n)
            continue;
        if (f->type == NETCONF_BRIDGED) {
            unsigned ports = 0;
            for (unsigned k = 0; k < sv->n_conns; k++)
                ports += sv->conn[k]->port && !sv->conn[k]->port->net;
            line(c, "vmnet%d bridged interface=%s ports=%u%s%s", i, f->interface[0] ? f->interface : "auto", ports, f->name[0] ? " name=" : "", f->name);
            continue;
        }
        if (f->subnet)
            snprintf(subnet, sizeof subnet, " %s/%u", netconf_ip_format(f->subnet, ip), f->bits);
        if (f->dhcp)
            snprintf(dhcp, sizeof dhcp, " dhcp=%s-%s", netconf_ip_format(f->first, a), netconf_ip_format(f->last, b));
        if (n && n->host_state == HOST_UP)
            snprintf(host, sizeof host, " host=%s", n->host_if);
        line(c, "vmnet%d %s%s%s ports=%u%s%s%s", i, netconf_type_name(f->type), subnet, dhcp, n ? n->n_ports : 0, host, f->name[0] ? " name=" : "", f->name);
        if (n && n->note[0])
            line(c, "  %s", n->note);
    }
    for (const struct network *n = sv->nets; n; n = n->next)
        if (n->index < 0)
            line(c, "segment %s ports=%u", n->name, n->n_ports);
    end(c);
}

static void ports(struct conn *c)
{
    struct server *sv = c->sv;
    for (unsigned i = 0; i < sv->n_conns; i++) {
        const struct port *p = sv->conn[i]->port;
        char mac[18], ip[16];
        if (!p)
            continue;
        if (!p->net) {
            line(c, "%s %s bridged %s on %s link=%s", p->vm, net_mac_format(p->mac, mac), p->ifname, p->lower, p->down ? "down" : "up");
            continue;
        }
        struct net_switch_port_stats s = {0};
        chipset_lock(sv->vm);
        if (p->sp)
            net_switch_stats(p->sp, &s);
        uint32_t addr = p->ip;
        chipset_unlock(sv->vm);
        line(c, "%s %s %s address=%s from=%" PRIu64 "/%" PRIu64 " to=%" PRIu64 "/%" PRIu64 " dropped=%" PRIu64 " macs=%u", p->vm, net_mac_format(p->mac, mac),
             p->net->name, addr ? netconf_ip_format(addr, ip) : "-", s.port.rx_frames, s.port.rx_bytes, s.port.tx_frames, s.port.tx_bytes, s.dropped, s.macs);
    }
    end(c);
}

static void leases(struct conn *c)
{
    struct server *sv = c->sv;
    int64_t now = (int64_t)time(NULL);
    for (int i = 0; i < NETCONF_NETS; i++) {
        if (!sv->has_dhcp[i])
            continue;
        for (unsigned k = 0; k < sv->dhcp[i].room; k++) {
            char mac[18], ip[16];
            chipset_lock(sv->vm);
            struct dhcp_lease l = sv->dhcp[i].lease[k];
            chipset_unlock(sv->vm);
            if (l.ip && l.bound && l.until > now)
                line(c, "vmnet%d %s %s %" PRId64 "s %s", i, netconf_ip_format(l.ip, ip), net_mac_format(l.mac, mac), l.until - now, l.name);
        }
    }
    end(c);
}

unsigned conf_load(struct server *sv, struct netconf *out, netconf_problem_fn fn, void *u, struct err *e)
{
    *e = (struct err){0};
    struct stat st;
    bool absent = stat(sv->conf_path, &st) && errno == ENOENT;
    struct vmx_dict *d = absent ? vmx_dict_new() : vmx_dict_load(sv->conf_path, e);
    if (!d) {
        if (!e->kind)
            err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
        d = vmx_dict_new();
    }
    unsigned n = d ? netconf_parse(d, out, fn, u) : 0;
    vmx_dict_free(d);
    return n;
}

struct found {
    char text[700];
    const char *file, *about; /* a problem of this key is preferred */
    bool exact;
};

static void keep(void *u, unsigned l, const char *key, const char *value, const char *text)
{
    struct found *f = u;
    if (f->exact)
        return;
    f->exact = !strcasecmp(key, f->about);
    snprintf(f->text, sizeof f->text, "%s:%u: %.80s = \"%.120s\": %s", f->file, l, key, value, text);
}

struct say {
    struct conn *c;
};
static void say(void *u, unsigned l, const char *key, const char *value, const char *text)
{
    struct conn *c = ((struct say *)u)->c;
    line(c, "%s:%u: %.80s = \"%.120s\": %s", c->sv->conf_path, l, key, value, text);
}

static void take(struct server *sv, const struct netconf *nc)
{
    chipset_lock(sv->vm);
    sv->conf = *nc;
    chipset_unlock(sv->vm);
    network_reconfigure(sv);
}

/* The folders on the way to a file. */
static void make_folder(const char *path)
{
    char *copy = strdup(path);
    for (char *p = copy ? copy + 1 : NULL; p && *p; p++)
        if (*p == '/') {
            *p = 0;
            mkdir(copy, 0700);
            *p = '/';
        }
    free(copy);
}

static void change(struct conn *c, const char *key, const char *value)
{
    struct server *sv = c->sv;
    struct err e = {0};
    struct stat st;
    struct found before = {.file = sv->conf_path, .about = key}, after = before;
    static const struct netconf zero;
    struct netconf *was = malloc(sizeof zero), *now = malloc(sizeof zero);
    bool absent = stat(sv->conf_path, &st) && errno == ENOENT;
    struct vmx_dict *d = absent ? vmx_dict_new() : vmx_dict_load(sv->conf_path, &e);
    if (!d || !was || !now) {
        refuse(c, e.msg[0] ? e.msg : "Out of memory.");
        goto out;
    }
    unsigned bad = netconf_parse(d, was, keep, &before);
    if (value ? vmx_dict_set(d, key, value, &e) != 0 : !vmx_dict_unset(d, key) && vmx_dict_get(d, key)) {
        refuse(c, e.msg[0] ? e.msg : "The value cannot be changed.");
        goto out;
    }
    if (netconf_parse(d, now, keep, &after) > bad) {
        refuse(c, after.text);
        goto out;
    }
    make_folder(sv->conf_path);
    if (vmx_dict_save(d, sv->conf_path, &e)) {
        refuse(c, e.msg);
        goto out;
    }
    take(sv, now);
    end(c);
out:
    vmx_dict_free(d);
    free(was);
    free(now);
}

void control_command(struct conn *c, const struct netmsg *m)
{
    struct server *sv = c->sv;
    char key[128], value[700];
    struct err e = {0};
    bool has_key = netmsg_get(m, "key", key, sizeof key), has_value = netmsg_get(m, "value", value, sizeof value);
    if (netmsg_is(m, "list")) {
        list(c);
    } else if (netmsg_is(m, "ports")) {
        ports(c);
    } else if (netmsg_is(m, "leases")) {
        leases(c);
    } else if (netmsg_is(m, "get") && has_key) {
        struct vmx_dict *d = vmx_dict_load(sv->conf_path, NULL);
        const char *v = d ? vmx_dict_get(d, key) : NULL;
        if (v)
            line(c, "%s", v);
        end(c);
        vmx_dict_free(d);
    } else if (netmsg_is(m, "set") && has_key && has_value) {
        change(c, key, value);
    } else if (netmsg_is(m, "unset") && has_key) {
        change(c, key, NULL);
    } else if (netmsg_is(m, "reload") || netmsg_is(m, "check")) {
        struct netconf *nc = malloc(sizeof *nc);
        struct say s = {c};
        if (nc) {
            conf_load(sv, nc, say, &s, &e);
            if (e.kind)
                refuse(c, e.msg);
            else if (netmsg_is(m, "reload"))
                take(sv, nc);
        }
        free(nc);
        if (!e.kind)
            end(c);
    } else {
        refuse(c, "This command does not exist.");
    }
}
