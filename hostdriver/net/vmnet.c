/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port of lodge-vmnet; vmnet.h.
 *
 * State of the control connection, and who moves on (all on the chipset thread but the first attach, which main waits for):
 *
 *     CONNECTING --launcher gives a socket, attach sent--> ATTACHING --ok--> UP --connection lost--> WAITING --2 s--> CONNECTING
 *         any error while reconnecting: WAITING again. The adapter has a link in UP only.
 *
 * lodge-vmnet that dies is thus started again, by the launcher, and the guest sees a cable that was out for a moment.
 */
#define _GNU_SOURCE
#include "net/vmnet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "core/clock.h"
#include "core/vm.h"
#include "net/fdend.h"
#include "net/launcher.h"
#include "net/netmsg.h"

enum { RETRY_MS = 2000, LAUNCH_MS = 12000, ATTACH_MS = 20000 };
enum state { CONNECTING, ATTACHING, UP, WAITING };

struct vmnet {
    struct fdend f; /* first */
    enum state state;
    int ctl, chan;     /* to lodge-vmnet, to the launcher; ctl -1: none */
    bool ctl_watched, chan_watched;
    bool complained;
    struct vtimer retry;
    struct netmsg attach; /* what to say after each connect */
    uint8_t mac[6];
    char name[32];        /* "ethernet0", for the log */
    char address[64];
};

static void ctl_event(void *arg, uint32_t events);
static void chan_event(void *arg, uint32_t events);

static void watch_one(struct vmnet *v, int fd, bool *watched, void (*fn)(void *, uint32_t), bool want)
{
    if (want == *watched || fd < 0)
        return;
    if (want)
        *watched = !chipset_watch_fd(v->f.back.vm, fd, EPOLLIN, fn, v, NULL);
    else
        chipset_unwatch_fd(v->f.back.vm, fd);
    if (!want)
        *watched = false;
}

static void drop_ctl(struct vmnet *v)
{
    watch_one(v, v->ctl, &v->ctl_watched, ctl_event, false);
    if (v->ctl >= 0)
        close(v->ctl);
    v->ctl = -1;
}

/* The connection is gone or could not be made: again later. */
static void wait_and_retry(struct vmnet *v, const char *why)
{
    if (!v->complained)
        log_msg(LOG_WARN, "net", "%s: the network is gone (%s); the cable is out until it comes back", v->name, why);
    v->complained = true;
    drop_ctl(v);
    v->state = WAITING;
    fdend_carrier(&v->f, false);
    vtimer_arm(&v->retry, clock_now(v->f.back.vm) + (int64_t)RETRY_MS * 1000000);
}

static void retry(void *arg)
{
    struct vmnet *v = arg;
    struct netmsg m;
    netmsg_init(&m, "vmnet");
    v->state = CONNECTING;
    if (netmsg_send(v->chan, &m, -1, MSG_DONTWAIT)) {
        wait_and_retry(v, strerror(errno));
        return;
    }
    watch_one(v, v->chan, &v->chan_watched, chan_event, true);
}

static void chan_event(void *arg, uint32_t events)
{
    struct vmnet *v = arg;
    struct netmsg m;
    int fd, r = netmsg_recv(v->chan, &m, &fd, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN)
        return;
    watch_one(v, v->chan, &v->chan_watched, chan_event, false);
    if (v->state != CONNECTING || r <= 0 || fd < 0) {
        char why[300] = "the launcher ended";
        if (r > 0)
            netmsg_get(&m, "text", why, sizeof why);
        if (fd >= 0)
            close(fd);
        wait_and_retry(v, why);
        return;
    }
    v->ctl = fd;
    v->state = ATTACHING;
    watch_one(v, v->ctl, &v->ctl_watched, ctl_event, true);
    if (netmsg_send(v->ctl, &v->attach, -1, MSG_DONTWAIT))
        wait_and_retry(v, strerror(errno));
}

/* The answer to attach. Takes over fd. */
static int attached(struct vmnet *v, const struct netmsg *m, int fd, struct err *e)
{
    char text[360] = "", carrier[4] = "";
    netmsg_get(m, "text", text, sizeof text);
    netmsg_get(m, "carrier", carrier, sizeof carrier);
    if (!netmsg_is(m, "ok") || fd < 0) {
        if (fd >= 0)
            close(fd);
        return err_set(e, ERR_HOST, 0, "%s", text[0] ? text : "lodge-vmnet refused without a reason.");
    }
    v->state = UP;
    if (text[0])
        log_msg(LOG_INFO, "net", "%s: %s", v->name, text);
    fdend_set(&v->f, fd);
    fdend_carrier(&v->f, carrier[0] != '0');
    return 0;
}

/* The new port, or the bridge of the new tap, shall know where the machine is: a RARP as net_announce sends it. */
static void announce(struct vmnet *v)
{
    struct net_port adapter = {.peer = &v->f.back.port, .link = v->f.back.port.link};
    memcpy(adapter.mac, v->mac, 6);
    if (adapter.link)
        net_announce(&adapter);
}

static void ctl_event(void *arg, uint32_t events)
{
    struct vmnet *v = arg;
    struct netmsg m;
    int fd, r = netmsg_recv(v->ctl, &m, &fd, MSG_DONTWAIT);
    struct err e = {0};
    char text[360], up[4];
    if (r < 0 && errno == EAGAIN)
        return;
    if (r <= 0) {
        wait_and_retry(v, r ? strerror(errno) : "lodge-vmnet ended");
        return;
    }
    if (v->state == ATTACHING) {
        if (attached(v, &m, fd, &e)) {
            wait_and_retry(v, e.msg);
            return;
        }
        if (v->complained)
            log_msg(LOG_INFO, "net", "%s: the network is back", v->name);
        v->complained = false;
        announce(v);
        return;
    }
    netmsg_get(&m, "text", text, sizeof text);
    if (netmsg_is(&m, "link") && netmsg_get(&m, "up", up, sizeof up)) {
        log_msg(LOG_INFO, "net", "%s: link %s%s%s", v->name, up[0] == '1' ? "up" : "down", text[0] ? ": " : "", text);
        fdend_carrier(&v->f, up[0] == '1');
        announce(v);
    } else if (netmsg_is(&m, "fd") && fd >= 0) {
        fdend_set(&v->f, fd);
        fd = -1;
        fdend_carrier(&v->f, true); /* the old tap may have died before anybody said so */
        announce(v);
    } else if (netmsg_is(&m, "lease")) {
        netmsg_get(&m, "address", v->address, sizeof v->address);
    }
    if (fd >= 0)
        close(fd);
}

/* The frames' descriptor is dead. A switch's socket dies with its process, which the control connection tells; a tap's interface is being
 * replaced, or will be. */
static void frames_lost(struct fdend *f) { fdend_carrier(f, false); }

static void close_port(struct net_back *b)
{
    struct vmnet *v = (struct vmnet *)b;
    struct vm *vm = b->vm;
    chipset_lock(vm);
    drop_ctl(v);
    watch_one(v, v->chan, &v->chan_watched, chan_event, false);
    vtimer_cancel(&v->retry);
    fdend_fini(&v->f);
    chipset_unlock(vm);
    if (v->chan >= 0)
        close(v->chan);
    free(v);
}

static int addresses(struct net_back *b, char *buf, size_t n)
{
    struct vmnet *v = (struct vmnet *)b;
    chipset_lock(b->vm);
    int r = v->address[0] ? snprintf(buf, n, "%s (DHCP)\n", v->address) : snprintf(buf, n, "%s", "");
    chipset_unlock(b->vm);
    return r;
}

static const struct net_back_ops back_ops = {.close = close_port, .addresses = addresses};

/* Launcher, connection, attach: main waits for each. lodge-vmnet that is just about to end may take the connection and not answer. */
static int first_attach(struct vmnet *v, struct err *e)
{
    struct netmsg m;
    int fd;
    for (int tries = 0; tries < 3; tries++) {
        netmsg_init(&m, "vmnet");
        if (netmsg_send(v->chan, &m, -1, 0) || netmsg_recv_timeout(v->chan, &m, &v->ctl, LAUNCH_MS) != 1)
            return err_set(e, ERR_HOST, errno, "The process that starts lodge-vmnet does not answer.");
        if (v->ctl < 0) {
            char text[360];
            netmsg_get(&m, "text", text, sizeof text);
            return err_set(e, ERR_HOST, 0, "%s", text);
        }
        if (!netmsg_send(v->ctl, &v->attach, -1, 0)) {
            int r = netmsg_recv_timeout(v->ctl, &m, &fd, ATTACH_MS);
            if (r < 0 && errno == ETIMEDOUT)
                return err_set(e, ERR_HOST, errno, "lodge-vmnet does not answer.");
            if (r == 1) {
                chipset_lock(v->f.back.vm);
                int rc = attached(v, &m, fd, e);
                if (!rc)
                    watch_one(v, v->ctl, &v->ctl_watched, ctl_event, true);
                chipset_unlock(v->f.back.vm);
                return rc;
            }
        }
        close(v->ctl);
        v->ctl = -1;
    }
    return err_set(e, ERR_HOST, 0, "lodge-vmnet ends as soon as it is used.");
}

static int attach(struct vm *vm, const struct net_conf *c, const char *network, const char *segment, struct net_port **out, struct err *e)
{
    struct vmnet *v = calloc(1, sizeof *v);
    char mac[18];
    if (!v)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    v->ctl = v->chan = -1;
    if (fdend_init(&v->f, vm, &back_ops, e)) {
        free(v);
        return -1;
    }
    memcpy(v->mac, c->mac, 6);
    v->f.lost = frames_lost;
    vtimer_init(&v->retry, vm, retry, v);
    snprintf(v->name, sizeof v->name, "%s", c->name);
    netmsg_init(&v->attach, "attach");
    if (segment)
        netmsg_add(&v->attach, "segment", "%s", segment);
    else
        netmsg_add(&v->attach, "network", "%s", network);
    if (c->interface[0])
        netmsg_add(&v->attach, "interface", "%s", c->interface);
    netmsg_add(&v->attach, "mac", "%s", net_mac_format(c->mac, mac));
    netmsg_add(&v->attach, "name", "%.200s", c->vm_name);
    netmsg_add(&v->attach, "id", "%.64s", c->vm_id);
    netmsg_add(&v->attach, "follow", "%d", c->follow_link);
    netmsg_add(&v->attach, "twins", "%d", c->mac_twins);
    v->chan = launcher_channel(e);
    if (v->chan < 0 || first_attach(v, e)) {
        close_port(&v->f.back);
        return -1;
    }
    *out = &v->f.back.port;
    return 0;
}

int net_attach_bridged(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e)
{
    return attach(vm, c, c->vnet[0] ? c->vnet : "vmnet0", NULL, out, e);
}

int net_attach_hostonly(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e)
{
    return attach(vm, c, c->vnet[0] ? c->vnet : "vmnet1", NULL, out, e);
}

int net_attach_custom(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e)
{
    if (!c->vnet[0])
        return err_set(e, ERR_CONFIG, 0, "%s.connectionType is \"custom\", but %s.vnet does not name a network such as vmnet2.", c->name, c->name);
    return attach(vm, c, c->vnet, NULL, out, e);
}

int net_attach_segment(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e)
{
    if (!c->segment[0])
        return err_set(e, ERR_CONFIG, 0, "%s.connectionType is \"pvn\", but %s.pvnID does not say which LAN segment.", c->name, c->name);
    return attach(vm, c, NULL, c->segment, out, e);
}
