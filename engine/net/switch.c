/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A learning Ethernet switch (IEEE 802.1D, 7.7 and 7.8, without spanning tree); switch.h.
 *
 * Flow control: a port that is full refuses a frame to itself; the source is marked as waiting and its end keeps the frame. When the full port is
 * writable again, all that wait go on. Nobody waits for a port that takes nothing for SWITCH_STALL_MS (a paused machine): it is stalled, and
 * frames to it are dropped until it says writable. So one slow port bounds the delay of others, and no two ports can wait for each other for ever.
 */
#include "net/switch.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/dma.h"

enum { PROBES = 8 };

struct mac_entry {
    uint8_t mac[6];
    uint8_t port; /* index + 1; 0: unused */
    int64_t seen;
};

struct net_switch_port {
    struct net_port port;
    struct net_switch *sw;
    void *u;
    uint8_t index;
    bool waiting; /* its frame was refused: writable() is owed */
    bool stalled;
    int64_t full_since; /* -1: not full */
    uint64_t dropped;
    unsigned macs;
};

struct net_switch {
    struct vm *vm;
    net_switch_filter_fn filter;
    void *u;
    struct vtimer stall;
    struct net_switch_port *port[SWITCH_PORTS];
    struct mac_entry mac[SWITCH_MACS];
};

static unsigned hash(const uint8_t *m)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (int i = 0; i < 6; i++)
        h = (h ^ m[i]) * 16777619u;
    return (h ^ h >> 15) % SWITCH_MACS;
}

static struct mac_entry *find(struct net_switch *s, const uint8_t *m)
{
    unsigned h = hash(m);
    for (unsigned i = 0; i < PROBES; i++) {
        struct mac_entry *e = &s->mac[(h + i) % SWITCH_MACS];
        if (e->port && !memcmp(e->mac, m, 6))
            return e;
    }
    return NULL;
}

static void forget(struct net_switch *s, struct mac_entry *e)
{
    if (e->port && s->port[e->port - 1])
        s->port[e->port - 1]->macs--;
    e->port = 0;
}

static void learn(struct net_switch *s, struct net_switch_port *p, const uint8_t *m)
{
    static const uint8_t none[6];
    int64_t now = clock_now(s->vm);
    if (m[0] & 1 || !memcmp(m, none, 6))
        return;
    struct mac_entry *e = find(s, m);
    if (!e) {
        unsigned h = hash(m);
        for (unsigned i = 0; i < PROBES; i++) {
            struct mac_entry *c = &s->mac[(h + i) % SWITCH_MACS];
            if (!e || !c->port || (e->port && c->seen < e->seen))
                e = c;
            if (!c->port)
                break;
        }
    }
    if (e->port != p->index + 1 || memcmp(e->mac, m, 6)) {
        if (p->macs >= SWITCH_MACS_A_PORT)
            return; /* flooded to, as a switch with a full table does */
        forget(s, e);
        memcpy(e->mac, m, 6);
        e->port = (uint8_t)(p->index + 1);
        p->macs++;
    }
    e->seen = now;
}

static struct net_switch_port *lookup(struct net_switch *s, const uint8_t *m)
{
    struct mac_entry *e = find(s, m);
    if (!e)
        return NULL;
    if (clock_now(s->vm) - e->seen > SWITCH_AGE_S * 1000000000ll) {
        forget(s, e);
        return NULL;
    }
    return s->port[e->port - 1];
}

/* Those whose frames were refused may try again. */
static void release(struct net_switch *s)
{
    for (unsigned i = 0; i < SWITCH_PORTS; i++) {
        struct net_switch_port *p = s->port[i];
        if (p && p->waiting) {
            p->waiting = false;
            net_writable(&p->port);
        }
    }
}

static void on_stall(void *arg)
{
    struct net_switch *s = arg;
    int64_t now = clock_now(s->vm), next = -1;
    for (unsigned i = 0; i < SWITCH_PORTS; i++) {
        struct net_switch_port *p = s->port[i];
        if (!p || p->full_since < 0 || p->stalled)
            continue;
        int64_t due = p->full_since + SWITCH_STALL_MS * 1000000ll;
        if (now >= due)
            p->stalled = true;
        else if (next < 0 || due < next)
            next = due;
    }
    if (next >= 0)
        vtimer_arm(&s->stall, next);
    release(s);
}

static bool unicast(struct net_switch *s, struct net_switch_port *from, struct net_switch_port *to, const struct net_offload *o, const struct iovec *f, int n)
{
    if (to == from)
        return true;
    if (to->stalled) {
        to->dropped++;
        return true;
    }
    if (net_send(&to->port, o, f, n)) {
        to->full_since = -1;
        return true;
    }
    if (to->full_since < 0)
        to->full_since = clock_now(s->vm);
    if (!vtimer_armed(&s->stall))
        vtimer_arm(&s->stall, to->full_since + SWITCH_STALL_MS * 1000000ll);
    from->waiting = true;
    return false;
}

static bool receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    struct net_switch_port *p = end;
    struct net_switch *s = p->sw;
    uint8_t head[12];
    if (iov_get(f, n, 0, head, 12) < 12)
        return true;
    learn(s, p, head + 6);
    if (s->filter && s->filter(s->u, p, f, n))
        return true;
    if (!(head[0] & 1)) {
        struct net_switch_port *to = lookup(s, head);
        if (to)
            return unicast(s, p, to, o, f, n);
    }
    for (unsigned i = 0; i < SWITCH_PORTS; i++) {
        struct net_switch_port *to = s->port[i];
        if (to && to != p && (to->stalled || !net_send(&to->port, o, f, n)))
            to->dropped++;
    }
    return true;
}

static void writable(void *end)
{
    struct net_switch_port *p = end;
    p->full_since = -1;
    p->stalled = false;
    release(p->sw);
}

static const struct net_end_ops port_ops = {.receive = receive, .writable = writable};

struct net_switch *net_switch_new(struct vm *vm, net_switch_filter_fn filter, void *u)
{
    struct net_switch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->vm = vm;
    s->filter = filter;
    s->u = u;
    vtimer_init(&s->stall, vm, on_stall, s);
    return s;
}

void net_switch_free(struct net_switch *s)
{
    if (!s)
        return;
    vtimer_cancel(&s->stall);
    free(s);
}

struct net_switch_port *net_switch_add(struct net_switch *s, struct net_port *peer, void *u)
{
    unsigned i = 0;
    while (i < SWITCH_PORTS && s->port[i])
        i++;
    struct net_switch_port *p = i < SWITCH_PORTS ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL;
    /* A frame is passed on as it came; net_send finishes it for receivers that cannot. */
    net_port_init(&p->port, &port_ops, p, NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6);
    p->sw = s;
    p->u = u;
    p->index = (uint8_t)i;
    p->full_since = -1;
    s->port[i] = p;
    net_connect(&p->port, peer);
    net_set_link(&p->port, true);
    return p;
}

void net_switch_remove(struct net_switch_port *p)
{
    struct net_switch *s = p->sw;
    for (unsigned i = 0; i < SWITCH_MACS; i++)
        if (s->mac[i].port == p->index + 1)
            s->mac[i].port = 0;
    net_disconnect(&p->port);
    s->port[p->index] = NULL;
    free(p);
    release(s); /* whoever waited for it */
}

void *net_switch_port_data(const struct net_switch_port *p) { return p->u; }

bool net_switch_send(struct net_switch_port *to, const struct net_offload *o, const struct iovec *f, int n)
{
    bool sent = !to->stalled && net_send(&to->port, o, f, n);
    to->dropped += !sent;
    return sent;
}

void net_switch_stats(const struct net_switch_port *p, struct net_switch_port_stats *out)
{
    *out = (struct net_switch_port_stats){.port = p->port.stats, .dropped = p->dropped, .macs = p->macs};
}
