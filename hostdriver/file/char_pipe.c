/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serialN.fileType = "pipe": on a Linux host VMware's pipe is a Unix stream socket. pipe.endPoint = "server" makes the
 * socket and serves one peer at a time, further ones wait in the socket's queue; "client" connects to an existing one
 * when the machine is powered on, and the port stays unplugged after that peer is gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/vm.h"
#include "file/char_fd.h"
#include "file/chardevs.h"

struct char_pipe {
    struct char_fd f; /* first member */
    int listen_fd;    /* -1 for a client */
    char *path;
};

static void pipe_listen_event(void *arg, uint32_t events);

static void pipe_wait_for_peer(struct char_pipe *p)
{
    if (p->listen_fd >= 0)
        chipset_watch_fd(p->f.vm, p->listen_fd, EPOLLIN, pipe_listen_event, p, NULL);
}

static void pipe_hangup(struct char_fd *f)
{
    struct char_pipe *p = (struct char_pipe *)f;
    int fd = f->fd;
    if (fd < 0)
        return;
    char_fd_stop(f);
    close(fd);
    char_fd_carrier(f, false);
    pipe_wait_for_peer(p);
}

static void pipe_listen_event(void *arg, uint32_t events)
{
    struct char_pipe *p = arg;
    (void)events;
    int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    chipset_unwatch_fd(p->f.vm, p->listen_fd);
    char_fd_start(&p->f, fd);
    char_fd_carrier(&p->f, true);
}

static void pipe_close(struct chardev *c)
{
    struct char_pipe *p = (struct char_pipe *)c;
    int fd = p->f.fd;
    p->f.c.writable = NULL;
    p->f.c.carrier = NULL;
    if (fd >= 0) {
        char_fd_stop(&p->f);
        close(fd);
    } else if (p->listen_fd >= 0) {
        chipset_unwatch_fd(p->f.vm, p->listen_fd);
    }
    if (p->listen_fd >= 0) {
        unlink(p->path);
        close(p->listen_fd);
    }
    free(p->path);
    free(p);
}

static const struct chardev_ops pipe_ops = {.write = char_fd_write, .accept = char_fd_accept, .close = pipe_close};

/* A socket file that a dead process left is removed; one that somebody serves is an error. */
static int pipe_clear_stale(const struct sockaddr_un *sa, struct err *e)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_CONFIG, 0, "The serial port's pipe %s cannot be made: a file of that name is in the way",
                       sa->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, ERR_HOST, errno, "The serial port's pipe %s: %s", sa->sun_path, strerror(errno));
    int r = connect(fd, (const struct sockaddr *)sa, sizeof *sa);
    int en = r < 0 ? errno : 0;
    close(fd);
    if (en != ECONNREFUSED)
        return err_set(e, ERR_BUSY, 0, "The serial port's pipe %s is served by another program already", sa->sun_path);
    unlink(sa->sun_path);
    return 0;
}

static int pipe_make(struct char_pipe *p, const struct sockaddr_un *sa, bool server, struct err *e)
{
    if (server && pipe_clear_stale(sa, e) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, ERR_HOST, errno, "The serial port's pipe %s: %s", sa->sun_path, strerror(errno));
    if (server) {
        mode_t old = umask(0077); /* only this user may talk to the guest's console */
        int r = bind(fd, (const struct sockaddr *)sa, sizeof *sa);
        int en = errno;
        umask(old);
        if (r == 0 && listen(fd, 4) < 0) {
            en = errno;
            unlink(sa->sun_path);
            r = -1;
        }
        if (r < 0) {
            close(fd);
            return err_set(e, ERR_CONFIG, en, "The serial port's pipe %s cannot be made: %s", sa->sun_path,
                           strerror(en));
        }
        p->listen_fd = fd;
        return 0;
    }
    if (connect(fd, (const struct sockaddr *)sa, sizeof *sa) < 0) {
        int en = errno;
        close(fd);
        return err_set(e, ERR_CONFIG, en,
                       "The serial port cannot connect to the pipe %s: %s; start the program at the other end first, "
                       "or set pipe.endPoint = "
                       "\"server\"",
                       sa->sun_path, strerror(en));
    }
    char_fd_start(&p->f, fd);
    return 0;
}

struct chardev *char_pipe_open(struct vm *vm, const char *path, bool server, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path || !*path) {
        err_set(e, ERR_CONFIG, 0, "The serial port's pipe name \"%s\" must have 1 to %zu characters", path,
                sizeof sa.sun_path - 1);
        return NULL;
    }
    memcpy(sa.sun_path, path, strlen(path) + 1);
    struct char_pipe *p = calloc(1, sizeof *p);
    if (p)
        p->path = strdup(path);
    if (!p || !p->path) {
        free(p);
        err_set(e, ERR_NOMEM, 0, "The serial port's pipe %s: out of memory", path);
        return NULL;
    }
    p->listen_fd = -1;
    p->f.vm = vm;
    p->f.fd = -1;
    p->f.is_socket = true;
    p->f.hangup = pipe_hangup;
    p->f.c.ops = &pipe_ops;
    if (pipe_make(p, &sa, server, e) < 0) {
        free(p->path);
        free(p);
        return NULL;
    }
    if (server) {
        p->f.c.alone = true;
        pipe_wait_for_peer(p);
    }
    return &p->f.c;
}
