/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between viewers and libvncserver. The library serves all viewers on one thread, and waits in the middle of a message for its rest, and in the
 * middle of an update until the viewer takes it: one that sends a byte now and then, or reads slowly, would hold up all others and the end of
 * the machine. So each viewer's connection ends here, on a thread that never waits for one of them, and the library has one end of a socket
 * pair. To the library go whole messages only (RFC 6143), and a request for an update only when the viewer has taken the last one; what the library
 * sends is kept here until then.
 *
 * The library sees nobody who has not said which version of RFB he speaks. Messages that it was never asked to understand end the connection;
 * texts of the viewer's clipboard, which nobody wants, end here.
 */
#define _GNU_SOURCE
#include "screen_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum {
    IN_BYTES = 16384,          /* holds any message that is passed on */
    ENCODINGS_MAX = 4000,      /* of SetEncodings */
    AHEAD_MAX = 65536,         /* bytes of a viewer that the library has not read */
    BEHIND = 256 << 10,        /* bytes that a viewer has not taken when its next update has to wait */
    GREET_SECONDS = 60,        /* for the version */
    LOGIN_SECONDS = 900,       /* for the password, which a person types */
    STUCK_SECONDS = 60,        /* without a byte taken, although some wait */
    STRANGERS_MAX = 24,        /* who have not logged in; the oldest goes */
};
static const size_t OUT_MAX = (size_t)1 << 30;
static const char greeting[] = "RFB 003.008\n";

enum { VERSION = sizeof greeting - 1, RESPONSE = 16 };
enum stage { ST_VERSION, ST_SECURITY, ST_RESPONSE, ST_INIT, ST_NORMAL };
enum { SET_PIXEL_FORMAT = 0, SET_ENCODINGS = 2, UPDATE_REQUEST = 3, KEY = 4, POINTER = 5, CUT_TEXT = 6, SET_SCALE = 8, XVP = 250, SET_SIZE = 251, QEMU = 255 };

struct queue {
    uint8_t *b;
    size_t at, n, cap; /* n bytes from at */
};

struct conn {
    int net, lib; /* net -1: free; lib -1: the library does not know it yet, or has closed it */
    enum stage stage;
    char host[INET6_ADDRSTRLEN + 8];
    uint8_t in[IN_BYTES];
    size_t n_in, greeting_left; /* greeting_left: of the library's, which the viewer has had from us */
    uint64_t skip;              /* bytes to come that are dropped */
    struct queue to_lib, to_net;
    bool last_words, held;      /* last_words: nothing more comes from the library */
    uint8_t request[10];        /* the held one */
    int64_t since, until;       /* connected; in seconds */
};

struct wire {
    struct wire_params p;
    struct conn conn[WIRE_MAX];
    int wake;
    bool stop;
    pthread_t thread;
};

static int64_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

/* ---- queues ---- */

static bool push(struct queue *q, const void *data, size_t n)
{
    if (q->at && q->at + q->n + n > q->cap) {
        memmove(q->b, q->b + q->at, q->n);
        q->at = 0;
    }
    if (q->n + n > q->cap) {
        size_t cap = q->cap ? q->cap : 4096;
        while (cap < q->n + n)
            cap *= 2;
        uint8_t *b = cap <= OUT_MAX ? realloc(q->b, cap) : NULL;
        if (!b)
            return false;
        q->b = b;
        q->cap = cap;
    }
    memcpy(q->b + q->at + q->n, data, n);
    q->n += n;
    return true;
}

static void drop(struct queue *q)
{
    free(q->b);
    *q = (struct queue){0};
}

/* Sends what goes; false: the other end is gone. */
static bool flush(struct queue *q, int fd, bool *some)
{
    while (q->n) {
        ssize_t n = send(fd, q->b + q->at, q->n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
        q->at += (size_t)n;
        q->n -= (size_t)n;
        *some = true;
    }
    q->at = 0;
    if (q->cap > 4 << 20) /* a large picture once is no reason to keep the memory */
        drop(q);
    return true;
}

/* ---- one viewer ---- */

static void hang_up(struct conn *c)
{
    if (c->net >= 0)
        close(c->net);
    if (c->lib >= 0)
        close(c->lib);
    drop(&c->to_lib);
    drop(&c->to_net);
    memset(c, 0, sizeof *c);
    c->net = c->lib = -1;
}

static bool introduce(struct wire *w, struct conn *c)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return false;
    c->lib = pair[0];
    c->greeting_left = VERSION;
    w->p.viewer(w->p.u, pair[1], c->host);
    return true;
}

/* Bytes of the message that in begins with, 0: too few are here to say; -1: it is none. skip: how many to drop instead. */
static int message_bytes(const uint8_t *m, size_t n, uint64_t *skip)
{
    *skip = 0;
    switch (m[0]) {
    case SET_PIXEL_FORMAT:
        return 20;
    case SET_ENCODINGS: {
        int count = n >= 4 ? m[2] << 8 | m[3] : 0;
        return n < 4 ? 0 : count > ENCODINGS_MAX ? -1 : 4 + 4 * count;
    }
    case UPDATE_REQUEST:
        return 10;
    case KEY:
        return 8;
    case POINTER:
        return 6;
    case CUT_TEXT: {
        if (n < 8)
            return 0;
        int32_t len = (int32_t)((uint32_t)m[4] << 24 | (uint32_t)m[5] << 16 | (uint32_t)m[6] << 8 | m[7]);
        *skip = 8 + (uint64_t)(len < 0 ? -(int64_t)len : len); /* negative: the extended clipboard */
        return 8;
    }
    case SET_SCALE:
    case XVP:
        *skip = 4;
        return 1;
    case SET_SIZE:
        return n < 8 ? 0 : 8 + 16 * m[6];
    case QEMU:
        return n < 2 ? 0 : m[1] ? -1 : 12;
    default:
        return -1;
    }
}

/* Two requests make one, for what either asks. */
static void hold_request(struct conn *c, const uint8_t *m)
{
    if (!c->held) {
        memcpy(c->request, m, sizeof c->request);
        c->held = true;
        return;
    }
    unsigned lo[2], hi[2];
    for (int i = 0; i < 2; i++) {
        unsigned a = (unsigned)c->request[2 + 2 * i] << 8 | c->request[3 + 2 * i], b = (unsigned)m[2 + 2 * i] << 8 | m[3 + 2 * i];
        unsigned an = (unsigned)c->request[6 + 2 * i] << 8 | c->request[7 + 2 * i], bn = (unsigned)m[6 + 2 * i] << 8 | m[7 + 2 * i];
        lo[i] = a < b ? a : b;
        hi[i] = a + an > b + bn ? a + an : b + bn;
        unsigned len = hi[i] - lo[i] < 65536 ? hi[i] - lo[i] : 65535;
        c->request[2 + 2 * i] = (uint8_t)(lo[i] >> 8);
        c->request[3 + 2 * i] = (uint8_t)lo[i];
        c->request[6 + 2 * i] = (uint8_t)(len >> 8);
        c->request[7 + 2 * i] = (uint8_t)len;
    }
    c->request[1] &= m[1]; /* incremental only if both are */
}

static int take_version(struct wire *w, struct conn *c, const uint8_t *m, size_t n)
{
    unsigned major, minor;
    char v[VERSION + 1] = "", end = 0;
    if (n < VERSION)
        return memcmp(m, greeting, n < 4 ? n : 4) ? -1 : 0;
    memcpy(v, m, VERSION);
    if (sscanf(v, "RFB %3u.%3u%c", &major, &minor, &end) != 3 || end != '\n' || major < 3)
        return -1;
    /* The three versions that there are; others are to be treated as 3.3 (RFC 6143, 7.1.1), and later ones as the last. */
    snprintf(v, sizeof v, "RFB 003.00%d\n", major > 3 || minor >= 8 ? 8 : minor == 7 ? 7 : 3);
    if (!introduce(w, c) || !push(&c->to_lib, v, VERSION))
        return -1;
    c->stage = v[10] != '3' ? ST_SECURITY : w->p.password ? ST_RESPONSE : ST_INIT;
    c->until = now() + LOGIN_SECONDS;
    return VERSION;
}

/* One unit of the n bytes that are here: bytes used, 0: more must come, -1: end. */
static int take_unit(struct wire *w, struct conn *c, const uint8_t *m, size_t n)
{
    if (c->stage == ST_VERSION)
        return take_version(w, c, m, n);
    if (c->stage != ST_NORMAL) {
        int need = c->stage == ST_RESPONSE ? RESPONSE : 1;
        if (n < (size_t)need)
            return 0;
        c->stage = c->stage == ST_INIT ? ST_NORMAL : c->stage == ST_SECURITY && m[0] == 2 ? ST_RESPONSE : ST_INIT;
        return push(&c->to_lib, m, (size_t)need) ? need : -1;
    }
    uint64_t skip;
    int need = message_bytes(m, n, &skip);
    if (need < 0)
        log_msg(LOG_INFO, "screen", "The VNC client at %s sent what is no message (%02x %02x): it is disconnected.", c->host, m[0], n > 1 ? m[1] : 0);
    if (need < 0 || !need || (!skip && n < (size_t)need))
        return need < 0 ? -1 : 0;
    if (skip) {
        size_t here = skip < n ? (size_t)skip : n;
        c->skip = skip - here;
        return (int)here;
    }
    if (m[0] == UPDATE_REQUEST && (c->held || c->to_net.n > BEHIND)) {
        hold_request(c, m);
        return need;
    }
    return push(&c->to_lib, m, (size_t)need) ? need : -1;
}

static bool take_units(struct wire *w, struct conn *c)
{
    size_t at = 0;
    while (at < c->n_in && c->to_lib.n <= AHEAD_MAX) {
        int n = take_unit(w, c, c->in + at, c->n_in - at);
        if (n < 0)
            return false;
        if (!n)
            break;
        at += (size_t)n;
    }
    c->n_in -= at;
    memmove(c->in, c->in + at, c->n_in);
    return true;
}

/* false: gone, or to be hung up. */
static bool from_net(struct wire *w, struct conn *c)
{
    if (c->skip) {
        char nothing[16384];
        ssize_t n = recv(c->net, nothing, c->skip < sizeof nothing ? (size_t)c->skip : sizeof nothing, MSG_DONTWAIT);
        c->skip -= n > 0 ? (uint64_t)n : 0;
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    }
    ssize_t n = recv(c->net, c->in + c->n_in, sizeof c->in - c->n_in, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    c->n_in += (size_t)n;
    return take_units(w, c);
}

/* false: the library has closed it. */
static bool from_lib(struct conn *c)
{
    static _Thread_local char buf[65536];
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(c->lib, buf, sizeof buf, MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        size_t own = (size_t)n < c->greeting_left ? (size_t)n : c->greeting_left;
        c->greeting_left -= own;
        if (c->stage == ST_NORMAL && !c->to_net.n)
            c->until = now() + STUCK_SECONDS;
        if (!push(&c->to_net, buf + own, (size_t)n - own))
            return false;
    }
    return true;
}

/* What poll found: false, it is over with this one. */
static bool serve_one(struct wire *w, struct conn *c, short net, short lib)
{
    bool some = false, ignored = false;
    if (lib & (POLLIN | POLLHUP | POLLERR) && !from_lib(c)) {
        close(c->lib);
        c->lib = -1;
        c->last_words = true;
        drop(&c->to_lib);
    }
    if (!c->last_words && net & (POLLIN | POLLHUP | POLLERR) && !from_net(w, c))
        return false;
    if (c->last_words && net & (POLLHUP | POLLERR))
        return false;
    if (!flush(&c->to_net, c->net, &some) || (c->last_words && !c->to_net.n))
        return false;
    if (c->stage == ST_NORMAL && some)
        c->until = now() + STUCK_SECONDS;
    if (c->last_words)
        return true;
    if (c->held && c->to_net.n <= BEHIND / 2) {
        c->held = false;
        if (!push(&c->to_lib, c->request, sizeof c->request))
            return false;
    }
    if (c->lib >= 0 && !flush(&c->to_lib, c->lib, &ignored))
        return true; /* its end is closed: the next poll says so, behind its last words */
    return c->n_in == 0 || c->to_lib.n > AHEAD_MAX || take_units(w, c);
}

static bool overdue(const struct conn *c)
{
    return (c->stage != ST_NORMAL || c->to_net.n) && now() >= c->until;
}

/* ---- all of them ---- */

static void address_text(const struct sockaddr_storage *a, char *out, size_t n)
{
    const void *bytes = a->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr : &((const struct sockaddr_in *)a)->sin_addr;
    if (!inet_ntop(a->ss_family, bytes, out, (socklen_t)n))
        snprintf(out, n, "?");
}

static void welcome(struct wire *w, int listener)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    int fd = accept4(listener, (struct sockaddr *)&a, &len, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
    if (fd < 0)
        return;
    struct conn *c = NULL, *oldest = NULL;
    unsigned strangers = 0;
    for (int i = 0; i < WIRE_MAX; i++) {
        struct conn *k = &w->conn[i];
        if (k->net < 0) {
            c = c ? c : k;
        } else if (k->stage != ST_NORMAL) {
            strangers++;
            if (!oldest || k->since < oldest->since)
                oldest = k;
        }
    }
    if (oldest && (!c || strangers >= STRANGERS_MAX)) {
        hang_up(oldest);
        c = oldest;
    }
    if (!c) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    c->net = fd;
    c->since = now();
    c->until = c->since + GREET_SECONDS;
    address_text(&a, c->host, sizeof c->host);
    if (!push(&c->to_net, greeting, VERSION))
        hang_up(c);
}

static void *serve(void *arg)
{
    struct wire *w = arg;
    pthread_setname_np(pthread_self(), "screen-wire");
    if (w->p.thread_started)
        w->p.thread_started(w->p.thread_started_u, "screen");
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        struct pollfd f[1 + 8 + 2 * WIRE_MAX];
        bool clock = false;
        nfds_t n = 0;
        f[n++] = (struct pollfd){.fd = w->wake, .events = POLLIN};
        for (int i = 0; i < w->p.n_listen; i++)
            f[n++] = (struct pollfd){.fd = w->p.listen[i], .events = POLLIN};
        nfds_t first = n;
        for (int i = 0; i < WIRE_MAX; i++) {
            struct conn *c = &w->conn[i];
            bool room = !c->last_words && c->n_in < sizeof c->in && c->to_lib.n <= AHEAD_MAX;
            f[n++] = (struct pollfd){.fd = c->net, .events = (short)((room ? POLLIN : 0) | (c->to_net.n ? POLLOUT : 0))};
            f[n++] = (struct pollfd){.fd = c->lib, .events = (short)(POLLIN | (c->to_lib.n ? POLLOUT : 0))};
            clock |= c->net >= 0 && (c->stage != ST_NORMAL || c->to_net.n);
        }
        if (poll(f, n, clock ? 1000 : -1) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < WIRE_MAX; i++) {
            struct conn *c = &w->conn[i];
            short net = f[first + 2 * (nfds_t)i].revents, lib = f[first + 2 * (nfds_t)i + 1].revents;
            if (c->net >= 0 && (((net || lib) && !serve_one(w, c, net, lib)) || overdue(c)))
                hang_up(c);
        }
        for (int i = 0; i < w->p.n_listen; i++)
            if (f[1 + i].revents & POLLIN)
                welcome(w, w->p.listen[i]);
    }
    for (int i = 0; i < WIRE_MAX; i++)
        hang_up(&w->conn[i]);
    return NULL;
}

struct wire *wire_start(const struct wire_params *p, struct err *e)
{
    struct wire *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(e, ERR_NOMEM, 0, "There is not enough memory for the VNC server.");
        return NULL;
    }
    w->p = *p;
    for (int i = 0; i < WIRE_MAX; i++)
        w->conn[i].net = w->conn[i].lib = -1;
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int err = w->wake < 0 ? errno : pthread_create(&w->thread, NULL, serve, w);
    if (err) {
        err_set(e, ERR_HOST, err, "The VNC server's thread cannot be started: %s.", strerror(err));
        if (w->wake >= 0)
            close(w->wake);
        free(w);
        return NULL;
    }
    return w;
}

void wire_stop(struct wire *w)
{
    uint64_t one = 1;
    if (!w)
        return;
    __atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
    ssize_t n = write(w->wake, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
    pthread_join(w->thread, NULL);
    close(w->wake);
    free(w);
}
