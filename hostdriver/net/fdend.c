/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A net end on a descriptor; fdend.h.
 *
 * Nothing is queued here. To the host: a frame that the kernel does not take at once is refused, and the adapter keeps it until the descriptor
 * is writable. From the host: one frame is read at a time, and while the adapter refuses it no other is read, so that the host's queue (bounded
 * by the kernel) is the only one. A batch ends after BATCH frames, so that a flood leaves the chipset thread time for others.
 */
#define _GNU_SOURCE
#include "net/fdend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/vm.h"

enum { BATCH = 64, HDR = sizeof(struct virtio_net_hdr), PIECES = 64 };

static void event(void *arg, uint32_t events);

static void watch(struct fdend *f)
{
    uint32_t want = f->fd < 0 ? 0 : (f->in_full ? 0 : (uint32_t)EPOLLIN) | (f->out_full ? (uint32_t)EPOLLOUT : 0);
    if (want == f->watched)
        return;
    if (f->watched)
        chipset_unwatch_fd(f->back.vm, f->fd);
    f->watched = 0;
    if (want && !chipset_watch_fd(f->back.vm, f->fd, want, event, f, NULL))
        f->watched = want;
}

static void drop_fd(struct fdend *f)
{
    if (f->watched)
        chipset_unwatch_fd(f->back.vm, f->fd);
    f->watched = 0;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    f->in_full = false;
    if (f->out_full) {
        f->out_full = false;
        net_writable(&f->back.port);
    }
}

static void lost(struct fdend *f)
{
    drop_fd(f);
    if (f->lost)
        f->lost(f);
}

static bool receive(void *end, const struct net_offload *o, const struct iovec *iov, int n)
{
    struct fdend *f = end;
    struct virtio_net_hdr h = {0};
    struct iovec v[PIECES + 1] = {{&h, HDR}};
    uint8_t *flat = NULL;
    if (f->fd < 0)
        return true;
    if (o) {
        h.flags = o->needs_csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : o->csum_valid ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
        h.gso_type = o->gso;
        h.hdr_len = o->hdr_len;
        h.gso_size = o->gso_size;
        h.csum_start = o->csum_start;
        h.csum_offset = o->csum_offset;
    }
    if (n > PIECES) {
        size_t len = 0, at = 0;
        for (int i = 0; i < n; i++)
            len += iov[i].iov_len;
        if (len > NET_GSO_MAX || !(flat = malloc(len)))
            return true;
        for (int i = 0; i < n; at += iov[i++].iov_len)
            memcpy(flat + at, iov[i].iov_base, iov[i].iov_len);
        v[1] = (struct iovec){flat, len};
        n = 1;
    } else {
        memcpy(v + 1, iov, (size_t)n * sizeof *iov);
    }
    /* Also from a vCPU's thread, whose sandbox has writev and no sendmsg. */
    ssize_t r;
    do
        r = writev(f->fd, v, n + 1);
    while (r < 0 && errno == EINTR);
    int rc = r < 0 ? errno : 0;
    free(flat);
    if (rc == EAGAIN || rc == ENOBUFS) {
        f->out_full = true;
        watch(f);
        return false;
    }
    if (rc == EPIPE || rc == ECONNRESET || rc == EBADFD || rc == ENOTCONN)
        lost(f);
    /* EIO: the tap is down; EINVAL: a header that the kernel does not like; EMSGSIZE: the frame is lost as on a cable. */
    return true;
}

/* True when the frame in buf has been delivered or is not worth it. */
static bool deliver(struct fdend *f)
{
    struct virtio_net_hdr h;
    if (f->in_len <= HDR)
        return true;
    memcpy(&h, f->buf, HDR);
    size_t len = f->in_len - HDR;
    uint8_t gso = h.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    struct net_offload o = {.needs_csum = h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
                            .csum_valid = h.flags & (VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_NEEDS_CSUM),
                            .gso = gso,
                            .hdr_len = h.hdr_len,
                            .gso_size = h.gso_size,
                            .csum_start = h.csum_start,
                            .csum_offset = h.csum_offset};
    /* The peer may be another of the user's processes gone wrong: numbers outside the frame never get further. */
    if (len < 14 || (o.needs_csum && (size_t)o.csum_start + o.csum_offset + 2 > len))
        return true;
    if (gso != NET_GSO_NONE && (gso == NET_GSO_UDP || gso > NET_GSO_TCPV6 || !o.gso_size || !o.needs_csum))
        return true;
    if (gso == NET_GSO_NONE && len > NET_FRAME_MAX)
        return true;
    struct iovec v = {f->buf + HDR, len};
    return net_send(&f->back.port, o.needs_csum || o.csum_valid || gso ? &o : NULL, &v, 1);
}

static void receive_all(struct fdend *f)
{
    for (int i = 0; i < BATCH && f->fd >= 0; i++) {
        ssize_t r = read(f->fd, f->buf, HDR + NET_GSO_MAX);
        if (r > 0) {
            f->in_len = (size_t)r;
            if (!deliver(f)) {
                f->in_full = true;
                return;
            }
        } else if (r == 0 || (errno != EAGAIN && errno != EINTR)) {
            lost(f);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static void event(void *arg, uint32_t events)
{
    struct fdend *f = arg;
    if (f->fd < 0)
        return;
    if (events & EPOLLOUT && f->out_full) {
        f->out_full = false;
        net_writable(&f->back.port);
    }
    if (f->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (!f->in_full)
            receive_all(f);
        else if (!(events & EPOLLIN)) /* only the hang-up is left, and would be reported for ever */
            lost(f);
    }
    watch(f);
}

/* The adapter has room again. */
static void writable(void *end)
{
    struct fdend *f = end;
    if (!f->in_full || f->fd < 0)
        return;
    if (!deliver(f))
        return;
    f->in_full = false;
    watch(f);
}

static void cable(void *end, bool up)
{
    struct fdend *f = end;
    if (!up && f->in_full) { /* the cable was pulled: what waited for it is lost */
        f->in_full = false;
        watch(f);
    }
    if (f->own_change)
        return;
    if (up && !f->carrier) {
        f->own_change = true;
        net_set_link(&f->back.port, false);
        f->own_change = false;
    }
}

void fdend_carrier(struct fdend *f, bool up)
{
    f->carrier = up;
    f->back.down = !up;
    f->own_change = true;
    net_set_link(&f->back.port, up);
    f->own_change = false;
}

static const struct net_end_ops end_ops = {.receive = receive, .writable = writable, .link = cable};

int fdend_init(struct fdend *f, struct vm *vm, const struct net_back_ops *ops, struct err *e)
{
    f->back.vm = vm;
    f->back.ops = ops;
    f->fd = -1;
    f->buf = malloc(HDR + NET_GSO_MAX);
    if (!f->buf)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    net_port_init(&f->back.port, &end_ops, f, NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6);
    return 0;
}

void fdend_set(struct fdend *f, int fd)
{
    drop_fd(f);
    int fl = fcntl(fd, F_GETFL);
    if (fl >= 0)
        fcntl(fd, F_SETFL, fl | O_NONBLOCK);
    f->fd = fd;
    watch(f);
}

void fdend_fini(struct fdend *f)
{
    drop_fd(f);
    free(f->buf);
    f->buf = NULL;
}
