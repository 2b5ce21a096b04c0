/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two net ends back to back. Without shaping a frame goes straight through, and "full" and "writable" with it. With shaping it waits in a queue:
 * each frame occupies the line for its length, then travels for the latency. What the ends can (offloads) passes through as well, except while
 * shaping: a line with limits carries real frames.
 */
#include "net/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/dma.h"
#include "core/vm.h"

enum { ADDRESSES = 4, QUEUE_MIN = 64 * 1024, QUEUE_LATENCY_ONLY = 4 << 20 };

struct waiting {
    struct waiting *next;
    int64_t due;
    struct net_offload o;
    uint32_t len;
    uint8_t data[];
};

/* Frames of one direction: they enter at in's port and leave at out's. */
struct line {
    struct net_filter *f;
    enum net_dir dir;
    struct net_port *in, *out;
    struct net_shape shape;
    bool shaped, full, blocked;
    struct waiting *first, **last;
    size_t bytes;
    int64_t free_at;
    unsigned losing;
    uint64_t lost;
    struct vtimer timer;
};

struct end {
    struct line *in, *out; /* frames that arrive at this port go on in `in`; `out` leaves by it */
    struct net_port port;
};

struct net_filter {
    struct vm *vm;
    struct end end[2]; /* adapter's, network's */
    struct line line[2];
    net_look_fn look;
    void *look_u;
    uint64_t random;
    uint8_t ip4[ADDRESSES][4], ip6[ADDRESSES][16]; /* newest first */
    unsigned n_ip4, n_ip6;
};

static uint32_t random_below(struct net_filter *f, uint32_t n)
{
    uint64_t x = f->random; /* xorshift64* */
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    f->random = x;
    return (uint32_t)((x * 0x2545F4914F6CDD1Dull >> 32) * n >> 32);
}

/* ---- the guest's addresses ---- */

static void note(uint8_t *list, unsigned *n, const uint8_t *a, size_t size)
{
    unsigned i = 0;
    while (i < *n && memcmp(list + i * size, a, size))
        i++;
    if (i == 0 && *n)
        return;
    if (i == *n) {
        if (*n < ADDRESSES)
            ++*n;
        else
            i--;
    }
    memmove(list + size, list, i * size);
    memcpy(list, a, size);
}

static void snoop(struct net_filter *f, const struct iovec *v, int n)
{
    uint8_t h[42], type[2];
    if (iov_get(v, n, 12, type, 2) < 2)
        return;
    if (ld_be16(type) == 0x0806) {
        /* ARP for IPv4 on Ethernet: the sender's pair; a probe (RFC 5227) has address 0 */
        if (iov_get(v, n, 0, h, 42) == 42 && ld_be32(h + 14) == 0x00010800 && h[18] == 6 && h[19] == 4 && !memcmp(h + 6, h + 22, 6) && ld_be32(h + 28) &&
            h[28] != 127 && h[28] < 224)
            note(f->ip4[0], &f->n_ip4, h + 28, 4);
    } else if (ld_be16(type) == 0x86DD) {
        /* global and unique local addresses: 2000::/3, fc00::/7 */
        if (iov_get(v, n, 0, h, 38) == 38 && ((h[22] & 0xE0) == 0x20 || (h[22] & 0xFE) == 0xFC))
            note(f->ip6[0], &f->n_ip6, h + 22, 16);
    }
}

int net_filter_addresses(const struct net_filter *f, char *buf, size_t n)
{
    int w = 0;
    if (n)
        buf[0] = 0;
#define PUT(...) (w += snprintf((size_t)w < n ? buf + w : NULL, (size_t)w < n ? n - (size_t)w : 0, __VA_ARGS__))
    for (unsigned i = 0; i < f->n_ip4; i++)
        PUT("%s%u.%u.%u.%u", w ? " " : "", f->ip4[i][0], f->ip4[i][1], f->ip4[i][2], f->ip4[i][3]);
    for (unsigned i = 0; i < f->n_ip6; i++) {
        /* RFC 5952: no leading zeros, the longest run of two zero groups or more as "::" */
        unsigned g[8], best = 8, best_len = 1;
        for (unsigned k = 0; k < 8; k++)
            g[k] = ld_be16(f->ip6[i] + 2 * k);
        for (unsigned k = 0; k < 8; k++) {
            unsigned l = 0;
            while (k + l < 8 && !g[k + l])
                l++;
            if (l > best_len) {
                best = k;
                best_len = l;
            }
        }
        if (w)
            PUT(" ");
        for (unsigned k = 0; k < 8; k++) {
            if (k == best) {
                PUT("::");
                k += best_len - 1;
            } else {
                PUT("%s%x", k && k != best + best_len ? ":" : "", g[k]);
            }
        }
    }
    return w;
}

void net_filter_forget_addresses(struct net_filter *f) { f->n_ip4 = f->n_ip6 = 0; }

/* ---- frames ---- */

static size_t queue_limit(const struct net_shape *s)
{
    if (s->queue_bytes)
        return s->queue_bytes < NET_QUEUE_MAX ? s->queue_bytes : NET_QUEUE_MAX;
    if (!s->kbps)
        return QUEUE_LATENCY_ONLY;
    uint64_t b = (uint64_t)s->kbps * (s->latency_ms + 50ull) / 8;
    return b < QUEUE_MIN ? QUEUE_MIN : b > NET_QUEUE_MAX ? NET_QUEUE_MAX : (size_t)b;
}

static bool lose(struct line *l)
{
    if (!l->losing && l->shape.drop_permille && random_below(l->f, 1000) < l->shape.drop_permille)
        l->losing = l->shape.drop_run ? l->shape.drop_run : 1;
    if (!l->losing)
        return false;
    l->losing--;
    l->lost++;
    return true;
}

static void drop_first(struct line *l)
{
    struct waiting *w = l->first;
    l->first = w->next;
    l->bytes -= w->len + sizeof *w;
    free(w);
}

/* Sends what is due, then lets the sender go on. */
static void advance(struct line *l)
{
    int64_t now = clock_now(l->f->vm);
    l->blocked = false;
    while (l->first && l->first->due <= now) {
        struct iovec v = {l->first->data, l->first->len};
        if (!net_send(l->out, &l->first->o, &v, 1)) {
            l->blocked = true;
            break;
        }
        drop_first(l);
    }
    if (l->first && !l->blocked)
        vtimer_arm(&l->timer, l->first->due);
    if (l->full && l->bytes <= queue_limit(&l->shape) / 2) {
        l->full = false;
        net_writable(l->in);
    }
}
static void on_timer(void *u) { advance(u); }

static bool enqueue(struct line *l, const struct net_offload *o, const struct iovec *f, int n)
{
    size_t len = iov_len(f, n);
    if (l->first && l->bytes + len > queue_limit(&l->shape)) {
        l->full = true;
        return false;
    }
    struct waiting *w = malloc(sizeof *w + len);
    if (!w)
        return true; /* no memory: lost */
    int64_t now = clock_now(l->f->vm), start = l->free_at > now ? l->free_at : now;
    l->free_at = start + (l->shape.kbps ? (int64_t)((uint64_t)len * 8000000 / l->shape.kbps) : 0);
    *w = (struct waiting){.due = l->free_at + l->shape.latency_ms * 1000000ll, .o = o ? *o : (struct net_offload){0}, .len = (uint32_t)len};
    iov_get(f, n, 0, w->data, len);
    if (!l->first)
        l->last = &l->first;
    else if (w->due < ((struct waiting *)((char *)l->last - offsetof(struct waiting, next)))->due)
        w->due = ((struct waiting *)((char *)l->last - offsetof(struct waiting, next)))->due; /* the latency was lowered: nothing overtakes */
    *l->last = w;
    l->last = &w->next;
    l->bytes += len + sizeof *w;
    if (l->first == w)
        vtimer_arm(&l->timer, w->due);
    return true;
}

static bool filter_receive(void *u, const struct net_offload *o, const struct iovec *f, int n)
{
    struct end *e = u;
    struct line *l = e->in;
    struct net_filter *nf = l->f;
    if (!l->shaped && !l->first) {
        if (!net_send(l->out, o, f, n))
            return false;
    } else if (!lose(l) && !enqueue(l, o, f, n)) {
        return false;
    }
    if (l->dir == NET_FROM_GUEST)
        snoop(nf, f, n);
    if (nf->look)
        nf->look(nf->look_u, l->dir, o, f, n);
    return true;
}

static void filter_writable(void *u)
{
    struct end *e = u;
    struct line *l = e->out;
    if (l->first)
        advance(l);
    else
        net_writable(l->in);
}

/* Each side sees what the other's peer can. */
static void update_can(struct net_filter *f)
{
    for (int i = 0; i < 2; i++) {
        struct net_port *p = &f->end[i].port, *beyond = f->end[!i].port.peer;
        p->can = beyond && !f->end[i].in->shaped ? beyond->can : 0;
    }
}

static void filter_link(void *u, bool up)
{
    struct end *e = u;
    struct net_filter *f = e->in->f;
    update_can(f);
    if (e == &f->end[1])
        net_set_link(&f->end[0].port, up);
    if (!up)
        for (int i = 0; i < 2; i++) {
            while (f->line[i].first)
                drop_first(&f->line[i]);
            f->line[i].full = f->line[i].blocked = false;
            vtimer_cancel(&f->line[i].timer);
        }
}

static const struct net_end_ops filter_ops = {filter_receive, filter_writable, filter_link};

void net_filter_shape(struct net_filter *f, enum net_dir d, const struct net_shape *s)
{
    struct line *l = &f->line[d];
    l->shape = *s;
    l->shaped = s->kbps || s->latency_ms || s->drop_permille;
    l->free_at = 0;
    l->losing = 0;
    update_can(f);
}

void net_filter_look(struct net_filter *f, net_look_fn fn, void *u)
{
    f->look = fn;
    f->look_u = u;
}

struct net_port *net_filter_adapter_port(struct net_filter *f) { return &f->end[0].port; }
struct net_port *net_filter_network_port(struct net_filter *f) { return &f->end[1].port; }

void net_filter_stats(const struct net_filter *f, struct net_filter_stats *out)
{
    for (int i = 0; i < 2; i++) {
        out->lost[i] = f->line[i].lost;
        out->queued_bytes[i] = f->line[i].bytes;
    }
}

struct net_filter *net_filter_new(struct vm *vm, struct err *e)
{
    struct net_filter *f = calloc(1, sizeof *f);
    if (!f) {
        err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for a network adapter");
        return NULL;
    }
    f->vm = vm;
    f->random = 0x9E3779B97F4A7C15ull ^ (uint64_t)clock_wall(vm) ^ (uintptr_t)f;
    for (int i = 0; i < 2; i++) {
        f->line[i] = (struct line){.f = f, .dir = (enum net_dir)i, .in = &f->end[i].port, .out = &f->end[!i].port};
        vtimer_init(&f->line[i].timer, vm, on_timer, &f->line[i]);
        f->end[i].in = &f->line[i];
        f->end[i].out = &f->line[!i];
        net_port_init(&f->end[i].port, &filter_ops, &f->end[i], 0);
    }
    return f;
}

void net_filter_free(struct net_filter *f)
{
    if (!f)
        return;
    for (int i = 1; i >= 0; i--)
        net_disconnect(&f->end[i].port);
    for (int i = 0; i < 2; i++) {
        vtimer_cancel(&f->line[i].timer);
        while (f->line[i].first)
            drop_first(&f->line[i]);
    }
    free(f);
}
