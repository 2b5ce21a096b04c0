/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bridged ports. lodge-nethelper makes a tap on the host's bridge (or a macvtap on its interface), and the machine gets that descriptor itself: its
 * frames do not pass through here. What stays here is watching: rtnetlink tells when interfaces come and go, and the machine hears of its link.
 * When the bridge or its uplink is back, the helper runs again and the machine gets a new tap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/launcher.h"
#include "net/links.h"
#include "vmnet.h"

enum { RETRY_MS = 2000, RELEASE_MS = 1000, RELEASE_TRIES = 10, RELEASE_WAIT_MS = 5000 };

static void ask(struct conn *c)
{
    static const char *const methods[] = {"auto", "bridge", "macvtap"};
    struct port *p = c->port;
    struct netmsg m;
    struct err e;
    char mac[18];
    p->tried = now_ms();
    c->sv->made_bridge = true; /* also when the helper dies on the way */
    p->chan = launcher_channel(&e);
    netmsg_init(&m, "helper");
    netmsg_add(&m, "op", "attach");
    if (p->interface[0])
        netmsg_add(&m, "interface", "%s", p->interface);
    netmsg_add(&m, "method", "%s", methods[p->method]);
    netmsg_add(&m, "mac", "%s", net_mac_format(p->mac, mac));
    if (p->chan >= 0 && !netmsg_send(p->chan, &m, -1, 0))
        return;
    if (p->chan >= 0)
        close(p->chan);
    p->chan = -1;
    if (!p->answered)
        conn_error(c, "The process that starts lodge-nethelper is gone.");
}

void bridged_attach(struct conn *c) { ask(c); }

static void tell_link(struct port *p, bool up, const char *fmt, const char *arg)
{
    struct netmsg m;
    if (p->down == !up)
        return;
    p->down = !up;
    netmsg_init(&m, "link");
    netmsg_add(&m, "up", "%d", up);
    if (fmt)
        netmsg_add(&m, "text", fmt, arg);
    netmsg_send(p->conn->fd, &m, -1, MSG_DONTWAIT);
}

void bridged_helper_answer(struct conn *c)
{
    struct port *p = c->port;
    struct netmsg m;
    char text[360] = "lodge-nethelper ended without an answer.";
    int fd, r = netmsg_recv(p->chan, &m, &fd, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN)
        return;
    close(p->chan);
    p->chan = -1;
    if (r == 1)
        netmsg_get(&m, "text", text, sizeof text);
    if (r != 1 || !netmsg_is(&m, "ok") || fd < 0) {
        if (fd >= 0)
            close(fd);
        if (!p->answered) {
            log_msg(LOG_WARN, "vmnet", "%s: %s", p->vm, text);
            conn_error(c, text);
        }
        return;
    }
    netmsg_get(&m, "ifname", p->ifname, sizeof p->ifname);
    netmsg_get(&m, "lower", p->lower, sizeof p->lower);
    netmsg_get(&m, "uplink", p->uplink, sizeof p->uplink);
    netmsg_init(&m, p->answered ? "fd" : "ok");
    netmsg_add(&m, "kind", "tap");
    netmsg_add(&m, "carrier", "1");
    if (text[0])
        netmsg_add(&m, "text", "%s", text);
    netmsg_send(c->fd, &m, fd, MSG_DONTWAIT);
    close(fd);
    log_msg(LOG_INFO, "vmnet", "%s: %s on %s", p->vm, p->ifname, p->lower);
    if (p->answered)
        tell_link(p, true, NULL, NULL);
    p->answered = true;
    c->sv->links_changed = true;
    c->sv->links_at = now_ms();
}

void bridged_detach(struct port *p)
{
    struct server *sv = p->conn->sv;
    if (p->chan >= 0)
        close(p->chan);
    if (sv->made_bridge) { /* the machine closes its tap about now */
        sv->release_at = now_ms() + RELEASE_MS;
        sv->release_tries = RELEASE_TRIES;
    }
}

static bool has_members(const struct links *ls, int bridge)
{
    for (unsigned i = 0; i < ls->n; i++)
        if (ls->l[i].master == bridge && strcmp(ls->l[i].kind, "tun"))
            return true;
    return false;
}

/* A bridge carries what its members outside carry; one of taps only is a network of its own. */
static bool members_carrier(const struct links *ls, int bridge)
{
    bool any = false;
    for (unsigned i = 0; i < ls->n; i++)
        if (ls->l[i].master == bridge && strcmp(ls->l[i].kind, "tun")) {
            if (ls->l[i].flags & 1u << 16) /* IFF_LOWER_UP */
                return true;
            any = true;
        }
    return !any;
}

static void look(struct conn *c, const struct links *ls)
{
    struct port *p = c->port;
    const struct link_info *low = links_by_name(ls, p->lower), *tap = links_by_name(ls, p->ifname),
                           *up = p->uplink[0] ? links_by_name(ls, p->uplink) : NULL;
    if (p->chan >= 0)
        return;
    if (!low) {
        tell_link(p, false, "The interface %s is gone.", p->lower);
        return;
    }
    bool macvtap = tap && !strcmp(tap->kind, "macvtap");
    if (!tap || (!macvtap && tap->master != low->index) || (macvtap && tap->peer != low->index) || (up && up->master != low->index)) {
        if (now_ms() - p->tried >= RETRY_MS)
            ask(c); /* its answer brings the link back */
        else
            c->sv->links_changed = true;
        return;
    }
    if (p->uplink[0] && !up) {
        tell_link(p, false, "The interface %s is gone.", p->uplink);
        return;
    }
    bool members = has_members(ls, low->index);
    if (!macvtap && !p->uplink[0] && p->had_members && !members) {
        tell_link(p, false, "The bridge %s has lost its interface.", p->lower);
        return;
    }
    p->had_members |= members;
    if (!(low->flags & IFF_UP)) {
        tell_link(p, false, "The interface %s is down.", p->lower);
        return;
    }
    if (p->follow && !(macvtap ? (low->flags & 1u << 16) != 0 : members_carrier(ls, low->index))) {
        tell_link(p, false, "The interface of %s has no carrier.", p->lower);
        return;
    }
    tell_link(p, true, NULL, NULL);
}

static void release(struct server *sv)
{
    struct netmsg m;
    struct err e;
    bool used = false;
    for (unsigned i = 0; i < sv->n_conns; i++)
        used |= sv->conn[i]->port && (sv->conn[i]->port->uplink[0] || !strncmp(sv->conn[i]->port->ifname, "lmv", 3));
    sv->release_at = 0;
    if (used || sv->release_chan >= 0)
        return;
    netmsg_init(&m, "helper");
    netmsg_add(&m, "op", "release");
    sv->release_chan = launcher_channel(&e);
    if (sv->release_chan >= 0 && netmsg_send(sv->release_chan, &m, -1, 0)) {
        close(sv->release_chan);
        sv->release_chan = -1;
    }
}

static void released(struct server *sv)
{
    struct netmsg m;
    char left[16] = "";
    int fd, r = netmsg_recv(sv->release_chan, &m, &fd, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN)
        return;
    if (fd >= 0)
        close(fd);
    close(sv->release_chan);
    sv->release_chan = -1;
    if (r == 1)
        netmsg_get(&m, "left", left, sizeof left);
    /* A tap of the machine that just ended may still be there. */
    if (left[0] && left[0] != '0' && sv->release_tries && --sv->release_tries)
        sv->release_at = now_ms() + RELEASE_MS;
    else
        sv->made_bridge = false;
}

void bridged_tick(struct server *sv)
{
    if (sv->release_chan >= 0)
        released(sv);
    if (sv->release_at && now_ms() >= sv->release_at)
        release(sv);
    /* Changes come in bursts. */
    if (!sv->links_changed || now_ms() < sv->links_at + 100)
        return;
    sv->links_changed = false;
    struct mnl_socket *s = mnl_socket_open(NETLINK_ROUTE);
    struct links ls;
    struct err e;
    if (s && !mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) && !links_get(s, &ls, &e)) {
        for (unsigned i = 0; i < sv->n_conns; i++)
            if (sv->conn[i]->port && !sv->conn[i]->port->net && sv->conn[i]->port->answered)
                look(sv->conn[i], &ls);
        links_free(&ls);
    }
    if (s)
        mnl_socket_close(s);
    if (sv->links_changed)
        sv->links_at = now_ms() + 400;
}

void bridged_end(struct server *sv)
{
    if (!sv->made_bridge)
        return;
    if (sv->release_chan < 0)
        release(sv);
    if (sv->release_chan >= 0) {
        struct pollfd p = {.fd = sv->release_chan, .events = POLLIN};
        poll(&p, 1, RELEASE_WAIT_MS);
        close(sv->release_chan);
        sv->release_chan = -1;
    }
}
