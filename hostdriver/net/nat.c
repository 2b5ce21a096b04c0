/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NAT without privileges: libslirp ends the guest's TCP, UDP and ping here and goes on with sockets of this process. DHCP, DNS, TFTP and router
 * advertisements come from it too.
 *
 * The guest's frames may arrive on a vCPU's thread, whose sandbox has no sockets: receive() only queues them, a post takes them to libslirp on the
 * chipset thread. The sockets are watched through an epoll instance of our own, which the chipset thread watches as one descriptor; after each
 * round libslirp says which events it waits for now.
 *
 * Everything is bounded: the queue from the guest (full: receive() says so), the queue to the guest (long: sockets are not read; full: frames are
 * dropped, TCP sends them again), the number of sockets (a new flow is dropped while there are too many), and the IP fragments that libslirp keeps.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/dma.h"
#include "core/vm.h"
#include "hostnet.h"

enum {
    IN_BYTES = 512 * 1024,    /* guest to libslirp */
    OUT_STOP = 256 * 1024,    /* to the guest: stop reading sockets */
    OUT_BYTES = 2048 * 1024,  /* ... and drop */
    FRAGMENT_BYTES = 16 << 20, /* IP fragments let in during one time to live of libslirp's reassembly, 30 s */
    SOCKETS = 512,
    EVENTS = 64,
};

/* Of all adapters: they share the process's descriptors. */
static _Atomic unsigned all_sockets;

struct frame {
    struct frame *next;
    uint32_t len;
    uint8_t data[];
};
struct queue {
    struct frame *first, **last;
    size_t bytes;
};

struct watch {
    int fd;          /* -1: unused */
    uint32_t wanted; /* EPOLL* that libslirp asked for in the last fill */
};

struct nat_timer {
    struct vtimer t;
    struct nat *nat;
    SlirpTimerCb cb;
    void *cb_opaque;
};

struct nat {
    struct net_back back;
    char name[16];
    Slirp *slirp;
    int epfd;
    struct vtimer timer;
    struct queue in, out;
    bool posted, closing, refusing;
    /* Interest: what epoll has now, by descriptor; and what libslirp asks for. */
    uint32_t *armed; /* events by descriptor number */
    int n_armed;
    struct watch *poll;
    int n_poll, poll_room;
    uint32_t *ready; /* by descriptor, of this round */
    unsigned sockets, soft_sockets, hard_sockets;
    int64_t fragment_since;
    uint64_t fragment_bytes;
    uint64_t dropped_out, refused_flows;
    char lease[16];
    struct in_addr net, mask;
    struct net_forward forward[NET_FORWARDS_MAX];
    unsigned n_forward;
};

/* ---- queues ---- */

static bool push(struct queue *q, const struct iovec *f, int n, size_t len)
{
    struct frame *fr = malloc(sizeof *fr + len);
    if (!fr)
        return false;
    fr->next = NULL;
    fr->len = (uint32_t)len;
    iov_get(f, n, 0, fr->data, len);
    if (!q->first)
        q->last = &q->first;
    *q->last = fr;
    q->last = &fr->next;
    q->bytes += len + sizeof *fr;
    return true;
}

static void pop(struct queue *q)
{
    struct frame *fr = q->first;
    q->first = fr->next;
    q->bytes -= fr->len + sizeof *fr;
    free(fr);
}

/* ---- to the guest ---- */

static const struct net_offload valid = {.csum_valid = true};

static void flush_out(struct nat *n)
{
    while (n->out.first) {
        struct iovec v = {n->out.first->data, n->out.first->len};
        if (!net_send(&n->back.port, &valid, &v, 1))
            return;
        pop(&n->out);
    }
}

/* The address that our DHCP server gives is in its acknowledgement: yiaddr of a BOOTP reply (RFC 2131 table 1). */
static void note_lease(struct nat *n, const uint8_t *f, size_t len)
{
    if (len < 14 + 20 + 8 + 240 || ld_be16(f + 12) != 0x0800 || f[14] != 0x45 || f[23] != 17 || ld_be16(f + 34) != 67 || ld_be16(f + 36) != 68)
        return;
    const uint8_t *bootp = f + 42, *o = bootp + 240, *end = f + len;
    bool ack = false;
    while (o + 2 < end && *o != 255) {
        if (*o == 0) {
            o++;
            continue;
        }
        if (o[0] == 53 && o[1] == 1 && o[2] == 5)
            ack = true;
        o += 2 + o[1];
    }
    if (ack && bootp[0] == 2)
        snprintf(n->lease, sizeof n->lease, "%u.%u.%u.%u", bootp[16], bootp[17], bootp[18], bootp[19]);
}

static ssize_t cb_send(const void *buf, size_t len, void *u)
{
    struct nat *n = u;
    struct iovec v = {(void *)buf, len};
    if (len < 300 + 350)
        note_lease(n, buf, len);
    if (!n->out.first && net_send(&n->back.port, &valid, &v, 1))
        return (ssize_t)len;
    if (n->out.bytes > OUT_BYTES || !push(&n->out, &v, 1, len))
        n->dropped_out++;
    return (ssize_t)len;
}

/* ---- what libslirp asks its surroundings ---- */

static void work(struct nat *n);

static void cb_guest_error(const char *msg, void *u)
{
    (void)u;
    guest_error("net", "NAT: %.200s", msg);
}
static int64_t cb_clock(void *u) { return clock_now(((struct nat *)u)->back.vm); }
static void timer_fire(void *u)
{
    struct nat_timer *t = u;
    struct nat *n = t->nat;
    t->cb(t->cb_opaque); /* may send */
    work(n);
}
static void *cb_timer_new(SlirpTimerCb cb, void *cb_opaque, void *u)
{
    struct nat *n = u;
    struct nat_timer *t = calloc(1, sizeof *t);
    if (!t)
        abort(); /* libslirp takes no failure here; made once, at attachment */
    t->nat = n;
    t->cb = cb;
    t->cb_opaque = cb_opaque;
    vtimer_init(&t->t, n->back.vm, timer_fire, t);
    return t;
}
static void cb_timer_free(void *timer, void *u)
{
    (void)u;
    struct nat_timer *t = timer;
    vtimer_cancel(&t->t);
    free(t);
}
static void cb_timer_mod(void *timer, int64_t ms, void *u)
{
    (void)u;
    struct nat_timer *t = timer;
    vtimer_arm(&t->t, ms * 1000000);
}
static void cb_register(int fd, void *u)
{
    (void)fd;
    ((struct nat *)u)->sockets++;
    atomic_fetch_add(&all_sockets, 1);
}
static void cb_unregister(int fd, void *u)
{
    struct nat *n = u;
    if (n->sockets) {
        n->sockets--;
        atomic_fetch_sub(&all_sockets, 1);
    }
    if (fd >= 0 && fd < n->n_armed && n->armed[fd]) {
        epoll_ctl(n->epfd, EPOLL_CTL_DEL, fd, NULL);
        n->armed[fd] = 0;
    }
    if (fd >= 0 && fd < n->n_armed)
        n->ready[fd] = 0; /* the number may be another socket's before this round is over */
}
static void cb_notify(void *u) { (void)u; }

static int cb_add_poll(int fd, int events, void *u)
{
    struct nat *n = u;
    if (n->n_poll == n->poll_room) {
        int room = n->poll_room ? n->poll_room * 2 : 32;
        struct watch *p = realloc(n->poll, (size_t)room * sizeof *p);
        if (!p)
            return -1;
        n->poll = p;
        n->poll_room = room;
    }
    uint32_t w = (events & SLIRP_POLL_IN ? EPOLLIN : 0u) | (events & SLIRP_POLL_OUT ? EPOLLOUT : 0u) | (events & SLIRP_POLL_PRI ? EPOLLPRI : 0u);
    n->poll[n->n_poll] = (struct watch){.fd = fd, .wanted = w};
    return n->n_poll++;
}

static int cb_revents(int idx, void *u)
{
    struct nat *n = u;
    if (idx < 0 || idx >= n->n_poll || n->poll[idx].fd < 0 || n->poll[idx].fd >= n->n_armed)
        return 0;
    uint32_t r = n->ready[n->poll[idx].fd];
    return (r & EPOLLIN ? SLIRP_POLL_IN : 0) | (r & EPOLLOUT ? SLIRP_POLL_OUT : 0) | (r & EPOLLPRI ? SLIRP_POLL_PRI : 0) |
           (r & EPOLLERR ? SLIRP_POLL_ERR : 0) | (r & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

/* ---- rounds ---- */

static bool room_for(struct nat *n, int fd)
{
    if (fd < n->n_armed)
        return true;
    int want = (fd + 64) & ~63;
    uint32_t *a = realloc(n->armed, (size_t)want * sizeof *a);
    if (a)
        n->armed = a;
    uint32_t *r = a ? realloc(n->ready, (size_t)want * sizeof *r) : NULL;
    if (!r)
        return false;
    n->ready = r;
    memset(n->armed + n->n_armed, 0, (size_t)(want - n->n_armed) * sizeof *a);
    memset(n->ready + n->n_armed, 0, (size_t)(want - n->n_armed) * sizeof *r);
    n->n_armed = want;
    return true;
}

/* Brings epoll to what libslirp waits for now. Descriptors it does not mention leave epoll: one that hung up would wake us for ever. */
static void rearm(struct nat *n)
{
    uint32_t timeout = UINT32_MAX;
    bool full = n->out.bytes >= OUT_STOP;
    n->n_poll = 0;
    slirp_pollfds_fill(n->slirp, &timeout, cb_add_poll, n);
    enum { MARK = 1u << 31 };
    for (int i = 0; i < n->n_poll; i++) {
        struct watch *w = &n->poll[i];
        if (w->fd < 0 || !room_for(n, w->fd))
            continue;
        uint32_t want = full ? w->wanted & ~(uint32_t)(EPOLLIN | EPOLLPRI) : w->wanted, have = n->armed[w->fd] & ~MARK;
        if (!want)
            continue;
        if (want != have) {
            struct epoll_event ev = {.events = want, .data.fd = w->fd};
            if (epoll_ctl(n->epfd, have ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->fd, &ev) && errno == (have ? ENOENT : EEXIST))
                epoll_ctl(n->epfd, have ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, w->fd, &ev);
        }
        n->armed[w->fd] = want | MARK;
    }
    for (int fd = 0; fd < n->n_armed; fd++) {
        if (n->armed[fd] && !(n->armed[fd] & MARK)) {
            epoll_ctl(n->epfd, EPOLL_CTL_DEL, fd, NULL);
            n->armed[fd] = 0;
        }
        n->armed[fd] &= ~MARK;
    }
    if (timeout == UINT32_MAX)
        vtimer_cancel(&n->timer);
    else
        vtimer_arm(&n->timer, clock_now(n->back.vm) + (int64_t)(timeout ? timeout : 1) * 1000000);
}

/* Gives libslirp the events that are there, and its own timers the chance to run. */
static void poll_round(struct nat *n)
{
    struct epoll_event ev[EVENTS];
    int k = epoll_wait(n->epfd, ev, EVENTS, 0), fd[EVENTS];
    for (int i = 0; i < k; i++) {
        fd[i] = ev[i].data.fd;
        if (fd[i] >= 0 && fd[i] < n->n_armed)
            n->ready[fd[i]] = ev[i].events;
    }
    slirp_pollfds_poll(n->slirp, k < 0, cb_revents, n);
    for (int i = 0; i < k; i++)
        if (fd[i] >= 0 && fd[i] < n->n_armed)
            n->ready[fd[i]] = 0;
}

/* A frame that would make libslirp open one more socket, or keep one more fragment, when there are too many. */
static bool refuse(struct nat *n, const uint8_t *f, size_t len)
{
    if (len < 34)
        return false;
    unsigned type = ld_be16(f + 12), proto, l4;
    if (type == 0x0800) {
        l4 = 14 + (f[14] & 15) * 4u;
        proto = f[23];
        if (ld_be16(f + 20) & 0x3FFF) {
            int64_t now = clock_now(n->back.vm);
            if (now - n->fragment_since > 30000000000ll) {
                n->fragment_since = now;
                n->fragment_bytes = 0;
            }
            n->fragment_bytes += len + 512;
            return n->fragment_bytes > FRAGMENT_BYTES;
        }
    } else if (type == 0x86DD) {
        l4 = 54;
        proto = f[20];
    } else {
        return false;
    }
    unsigned open = atomic_load(&all_sockets);
    if (open < n->soft_sockets)
        return false;
    if (proto == 6) /* SYN without ACK */
        return len >= l4 + 14 && (f[l4 + 13] & 0x12) == 0x02;
    if (open < n->hard_sockets || proto == 58) /* neighbour discovery needs no socket */
        return false;
    return !(proto == 17 && len >= l4 + 4 && (ld_be16(f + l4 + 2) == 67 || ld_be16(f + l4 + 2) == 69));
}

static void feed(struct nat *n)
{
    while (n->in.first) {
        struct frame *f = n->in.first;
        if (refuse(n, f->data, f->len)) {
            if (!n->refused_flows++)
                log_msg(LOG_WARN, "net", "%s: the guest has %u connections open through NAT; new ones are refused until some end", n->name,
                        atomic_load(&all_sockets));
        } else {
            slirp_input(n->slirp, f->data, (int)f->len);
        }
        pop(&n->in);
    }
}

static void work(struct nat *n)
{
    if (n->closing)
        return;
    flush_out(n);
    feed(n);
    poll_round(n);
    rearm(n);
    if (n->refusing && n->in.bytes < IN_BYTES / 2) {
        n->refusing = false;
        net_writable(&n->back.port);
    }
}

static void on_post(void *u)
{
    struct nat *n = u;
    n->posted = false;
    work(n);
}
static void on_events(void *u, uint32_t events)
{
    (void)events;
    work(u);
}
static void on_timer(void *u) { work(u); }

static void post(struct nat *n)
{
    if (n->posted || n->closing)
        return;
    n->posted = true;
    chipset_post(n->back.vm, on_post, n);
}

/* ---- the net end ---- */

/* Segmented TCP is taken whole, as one long IP packet: libslirp reads its data into a socket anyway. */
static void finish(uint8_t *f, size_t len, const struct net_offload *o)
{
    if ((size_t)o->csum_start + o->csum_offset + 2 > len)
        return;
    uint16_t c = net_csum_fold(net_csum_add(0, f + o->csum_start, len - o->csum_start));
    st_be16(f + o->csum_start + o->csum_offset, c ? c : 0xFFFF);
}

static bool nat_receive(void *end, const struct net_offload *o, const struct iovec *f, int k)
{
    struct nat *n = end;
    size_t len = iov_len(f, k);
    if (n->in.bytes + len > IN_BYTES) {
        n->refusing = true;
        return false;
    }
    struct frame **at = n->in.first ? n->in.last : &n->in.first;
    if (!push(&n->in, f, k, len))
        return true; /* no memory: lost */
    if (o && (o->needs_csum || o->gso))
        finish((*at)->data, len, o);
    post(n);
    return true;
}

static void nat_writable(void *end) { post(end); }
static void nat_link(void *end, bool up)
{
    struct nat *n = end;
    if (up)
        return;
    while (n->in.first)
        pop(&n->in);
    while (n->out.first)
        pop(&n->out);
}
static const struct net_end_ops nat_end = {nat_receive, nat_writable, nat_link};

/* ---- forwards ---- */

static bool parse_addr(const char *ip, bool any, uint16_t port, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_in *a4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (!*ip && !any)
        ip = "127.0.0.1";
    if (!*ip || inet_pton(AF_INET, ip, &a4->sin_addr) == 1) {
        a4->sin_family = AF_INET;
        a4->sin_port = htons(port);
        *len = sizeof *a4;
        return true;
    }
    if (inet_pton(AF_INET6, ip, &a6->sin6_addr) != 1)
        return false;
    a6->sin6_family = AF_INET6;
    a6->sin6_port = htons(port);
    *len = sizeof *a6;
    return true;
}

static bool same_host(const struct net_forward *a, const struct net_forward *b)
{
    const char *x = *a->host_ip ? a->host_ip : "127.0.0.1", *y = *b->host_ip ? b->host_ip : "127.0.0.1";
    return a->udp == b->udp && a->host_port == b->host_port && !strcmp(x, y);
}

/* chipset lock held */
static int forward_locked(struct nat *n, const struct net_forward *f, bool add, struct err *e)
{
    struct sockaddr_storage h, g;
    socklen_t hl, gl;
    const char *proto = f->udp ? "UDP" : "TCP", *ip = *f->host_ip ? f->host_ip : "127.0.0.1";
    if (!parse_addr(f->host_ip, false, f->host_port, &h, &hl) || !parse_addr(f->guest_ip, true, f->guest_port, &g, &gl) ||
        !f->host_port || !f->guest_port)
        return err_set(e, ERR_CONFIG, 0, "the forward of %s port %u has an address that is none; write e.g. tcp:127.0.0.1:2222:22", proto, f->host_port);
    if (h.ss_family != g.ss_family && *f->guest_ip)
        return err_set(e, ERR_CONFIG, 0, "the forward of %s port %u mixes IPv4 and IPv6; give both addresses the same kind", proto, f->host_port);
    if (h.ss_family == AF_INET6 && !*f->guest_ip)
        return err_set(e, ERR_CONFIG, 0, "the forward of %s port %u starts at an IPv6 address; name the guest's IPv6 address too", proto, f->host_port);
    unsigned i = 0;
    while (i < n->n_forward && !same_host(&n->forward[i], f))
        i++;
    int flags = (f->udp ? SLIRP_HOSTFWD_UDP : 0) | (h.ss_family == AF_INET6 ? SLIRP_HOSTFWD_V6ONLY : 0);
    if (!add) {
        if (i == n->n_forward || slirp_remove_hostxfwd(n->slirp, (struct sockaddr *)&h, hl, flags))
            return err_set(e, ERR_CONFIG, 0, "there is no forward of %s %s port %u", proto, ip, f->host_port);
        n->forward[i] = n->forward[--n->n_forward];
        return 0;
    }
    if (i < n->n_forward)
        return err_set(e, ERR_BUSY, 0, "%s %s port %u is forwarded already; choose another port", proto, ip, f->host_port);
    if (n->n_forward == NET_FORWARDS_MAX)
        return err_set(e, ERR_CONFIG, 0, "there are %d forwards already; remove one first", NET_FORWARDS_MAX);
    if (slirp_add_hostxfwd(n->slirp, (struct sockaddr *)&h, hl, (struct sockaddr *)&g, gl, flags)) {
        int rc = errno;
        if (rc == EACCES)
            return err_set(e, ERR_DENIED, rc, "%s port %u of %s needs privileges; choose one from 1024 on", proto, f->host_port, ip);
        if (rc == EADDRNOTAVAIL)
            return err_set(e, ERR_CONFIG, rc, "this computer has no address %s; use 127.0.0.1, or 0.0.0.0 for all addresses", ip);
        return err_set(e, ERR_BUSY, rc, "%s port %u of %s cannot be forwarded: %s; choose another port, or end the program that uses it", proto,
                       f->host_port, ip, rc ? strerror(rc) : "it is in use");
    }
    n->forward[n->n_forward++] = *f;
    return 0;
}

static int nat_forward(struct net_back *b, const struct net_forward *f, bool add, struct err *e)
{
    struct nat *n = (struct nat *)b;
    chipset_lock(b->vm);
    int rc = forward_locked(n, f, add, e);
    if (!n->posted)
        post(n); /* on the chipset thread: the descriptors to watch have changed */
    chipset_unlock(b->vm);
    return rc;
}

static int nat_addresses(struct net_back *b, char *buf, size_t size)
{
    struct nat *n = (struct nat *)b;
    chipset_lock(b->vm);
    int k = *n->lease ? snprintf(buf, size, "%s", n->lease) : 0;
    chipset_unlock(b->vm);
    return k;
}

/* ---- life ---- */

static bool post_done(void *u) { return !((struct nat *)u)->posted; }

static void nat_free(struct nat *n)
{
    while (n->in.first)
        pop(&n->in);
    while (n->out.first)
        pop(&n->out);
    if (n->epfd >= 0)
        close(n->epfd);
    free(n->armed);
    free(n->ready);
    free(n->poll);
    free(n);
}

static void nat_close(struct net_back *b)
{
    struct nat *n = (struct nat *)b;
    chipset_lock(b->vm);
    n->closing = true;
    chipset_unwatch_fd(b->vm, n->epfd);
    vtimer_cancel(&n->timer);
    slirp_cleanup(n->slirp);
    atomic_fetch_sub(&all_sockets, n->sockets); /* what libslirp closed without a word */
    chipset_unlock(b->vm);
    chipset_drain(b->vm, post_done, n);
    nat_free(n);
}

static const struct net_back_ops nat_ops = {nat_close, nat_forward, nat_addresses};

/* "10.0.2.0/24"; between /8 and /28, so that gateway, DNS and leases have room. */
static int subnet(struct nat *n, const struct net_conf *c, struct err *e)
{
    char text[32];
    unsigned bits = 24;
    snprintf(text, sizeof text, "%s", *c->subnet4 ? c->subnet4 : "10.0.2.0/24");
    char *slash = strchr(text, '/'), *end = text;
    if (slash) {
        *slash = 0;
        bits = (unsigned)strtoul(slash + 1, &end, 10);
    }
    if ((slash && (*end || end == slash + 1)) || bits < 8 || bits > 27 || inet_pton(AF_INET, text, &n->net) != 1)
        return err_set(e, ERR_CONFIG, 0, "natSubnet = \"%s\" is no IPv4 network; write one like 10.0.2.0/24, from /8 to /27", c->subnet4);
    uint32_t mask = ~0u << (32 - bits);
    if (ntohl(n->net.s_addr) & ~mask)
        return err_set(e, ERR_CONFIG, 0, "natSubnet = \"%s\" has bits behind its mask; write the network's first address", c->subnet4);
    n->mask.s_addr = htonl(mask);
    return 0;
}

static struct in_addr host(const struct nat *n, uint32_t k) { return (struct in_addr){htonl(ntohl(n->net.s_addr) + k)}; }

int net_attach_nat(struct vm *vm, const struct net_conf *c, struct net_port **out, struct err *e)
{
    static const SlirpCb callbacks = {.send_packet = cb_send, .guest_error = cb_guest_error, .clock_get_ns = cb_clock, .timer_new = cb_timer_new,
                                      .timer_free = cb_timer_free, .timer_mod = cb_timer_mod, .register_poll_fd = cb_register,
                                      .unregister_poll_fd = cb_unregister, .notify = cb_notify};
    struct nat *n = calloc(1, sizeof *n);
    if (!n)
        return err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for the network");
    n->back = (struct net_back){.ops = &nat_ops, .vm = vm};
    snprintf(n->name, sizeof n->name, "%s", c->name);
    net_port_init(&n->back.port, &nat_end, n, NET_CAN_CSUM | NET_CAN_TSO4);
    vtimer_init(&n->timer, vm, on_timer, n);
    struct rlimit rl;
    rlim_t files = getrlimit(RLIMIT_NOFILE, &rl) || rl.rlim_cur == RLIM_INFINITY ? 1024 : rl.rlim_cur;
    n->soft_sockets = files / 3 < SOCKETS ? (unsigned)(files / 3) : SOCKETS; /* the disks, the screen and the control API need some too */
    n->hard_sockets = n->soft_sockets + n->soft_sockets / 2;
    n->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (n->epfd < 0) {
        err_set(e, ERR_HOST, errno, "the network cannot be made: %s", strerror(errno));
        goto fail;
    }
    if (subnet(n, c, e))
        goto fail;
    struct stat st;
    if (*c->tftp_dir && (stat(c->tftp_dir, &st) || !S_ISDIR(st.st_mode) || access(c->tftp_dir, R_OK | X_OK))) {
        err_set(e, ERR_CONFIG, errno, "natTftp = \"%s\" is no folder that can be read; correct the name", c->tftp_dir);
        goto fail;
    }
    const char *search[2] = {*c->search_domain ? c->search_domain : NULL, NULL};
    SlirpConfig cfg = {.version = 3,
                       .restricted = c->restricted,
                       .in_enabled = true,
                       .vnetwork = n->net,
                       .vnetmask = n->mask,
                       .vhost = host(n, 2),
                       .vnameserver = host(n, 3),
                       .vdhcp_start = host(n, 15),
                       .in6_enabled = true,
                       .vprefix_len = 64,
                       .tftp_path = *c->tftp_dir ? c->tftp_dir : NULL,
                       .bootfile = *c->boot_file ? c->boot_file : NULL,
                       .vdnssearch = search[0] ? search : NULL,
                       .disable_host_loopback = c->no_host};
    const char *prefix = *c->prefix6 ? c->prefix6 : "fd00:10:0:2::/64";
    char p6[64];
    snprintf(p6, sizeof p6, "%s", prefix);
    char *slash = strchr(p6, '/');
    if (slash)
        *slash = 0;
    if ((slash && strcmp(slash + 1, "64")) || inet_pton(AF_INET6, p6, &cfg.vprefix_addr6) != 1) {
        err_set(e, ERR_CONFIG, 0, "natPrefix6 = \"%s\" is no IPv6 prefix of 64 bits; write one like fd00:10:0:2::/64", prefix);
        goto fail;
    }
    memset(&cfg.vprefix_addr6.s6_addr[8], 0, 8);
    cfg.vhost6 = cfg.vnameserver6 = cfg.vprefix_addr6;
    cfg.vhost6.s6_addr[15] = 2;
    cfg.vnameserver6.s6_addr[15] = 3;
    chipset_lock(vm);
    n->slirp = slirp_new(&cfg, &callbacks, n);
    int rc = n->slirp ? 0 : err_set(e, ERR_HOST, 0, "NAT cannot be started with these addresses (natSubnet, natPrefix6)");
    for (unsigned i = 0; i < c->n_forward && !rc; i++) {
        struct err fe;
        /* A port in use is no reason to have no network: said, left out. */
        if (forward_locked(n, &c->forward[i], true, &fe) && c->forward_failed)
            c->forward_failed(c->u, i, fe.msg);
    }
    if (!rc)
        rc = chipset_watch_fd(vm, n->epfd, EPOLLIN, on_events, n, e);
    if (!rc)
        post(n);
    if (rc && n->slirp)
        slirp_cleanup(n->slirp);
    chipset_unlock(vm);
    if (rc)
        goto fail;
    *out = &n->back.port;
    return 0;
fail:
    nat_free(n);
    return -1;
}
