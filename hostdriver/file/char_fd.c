/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Non-blocking byte stream on a descriptor, driven by the chipset thread's event loop. Every function is [dev]. */
#define _GNU_SOURCE
#include "file/char_fd.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/vm.h"

static void fd_event(void *arg, uint32_t events);

static void fd_watch(struct char_fd *f)
{
    uint32_t want = f->fd < 0 ? 0 : (f->in_full ? 0 : EPOLLIN) | (f->out_full ? EPOLLOUT : 0);
    if (want == f->watched)
        return;
    if (f->watched)
        chipset_unwatch_fd(f->vm, f->fd);
    f->watched = 0;
    if (want && chipset_watch_fd(f->vm, f->fd, want, fd_event, f, NULL) == 0)
        f->watched = want;
}

static void fd_hangup(struct char_fd *f)
{
    if (f->hangup)
        f->hangup(f);
    else
        char_fd_stop(f);
}

static void fd_read(struct char_fd *f)
{
    uint8_t buf[1024];
    bool nobody = !f->c.rx || !f->c.room; /* no UART looks: the bytes are lost, as on an open cable */
    size_t room = nobody ? sizeof buf : f->c.room(f->c.front);
    if (room == 0) {
        f->in_full = true;
        return;
    }
    ssize_t n = read(f->fd, buf, room < sizeof buf ? room : sizeof buf);
    if (n > 0) {
        if (!nobody)
            f->c.rx(f->c.front, buf, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        fd_hangup(f);
    }
}

static void fd_event(void *arg, uint32_t events)
{
    struct char_fd *f = arg;
    int fd = f->fd;
    if (fd < 0)
        return;
    if (events & EPOLLOUT && f->out_full) {
        f->out_full = false;
        if (f->c.writable)
            f->c.writable(f->c.front);
    }
    if (f->fd == fd && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (!f->in_full)
            fd_read(f);
        else if (!(events & EPOLLIN)) /* only hang-up is left, and it would be reported again and again */
            fd_hangup(f);
    }
    fd_watch(f);
}

void char_fd_start(struct char_fd *f, int fd)
{
    f->fd = fd;
    f->in_full = false;
    fd_watch(f);
}

void char_fd_stop(struct char_fd *f)
{
    if (f->watched)
        chipset_unwatch_fd(f->vm, f->fd);
    f->watched = 0;
    f->fd = -1;
    f->in_full = false;
    if (f->out_full) {
        f->out_full = false;
        if (f->c.writable)
            f->c.writable(f->c.front);
    }
}

/* Without a peer bytes vanish, as on a port with no cable: a guest that prints to it must not wait for ever. */
size_t char_fd_write(struct chardev *c, const uint8_t *buf, size_t n)
{
    struct char_fd *f = (struct char_fd *)c;
    size_t done = 0;
    if (f->fd < 0)
        return n;
    while (done < n) {
        ssize_t r = f->is_socket ? send(f->fd, buf + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT)
                                 : write(f->fd, buf + done, n - done);
        if (r > 0) {
            done += (size_t)r;
        } else if (r < 0 && errno == EINTR) {
            continue;
        } else if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            f->out_full = true;
            fd_watch(f);
            return done;
        } else {
            fd_hangup(f);
            return n;
        }
    }
    return n;
}

void char_fd_accept(struct chardev *c)
{
    struct char_fd *f = (struct char_fd *)c;
    if (!f->in_full)
        return;
    f->in_full = false;
    fd_watch(f);
}

void char_fd_carrier(struct char_fd *f, bool on)
{
    f->c.alone = !on;
    if (f->c.carrier)
        f->c.carrier(f->c.front, on);
}
