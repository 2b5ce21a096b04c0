/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serial port on a new pseudo terminal. While no program has the terminal open the port is unplugged: the kernel then
 * reports a hang-up on our side without end, so we look for a program on a slow timer instead of watching the
 * descriptor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/clock.h"
#include "file/char_fd.h"
#include "file/chardevs.h"

#define PTY_LOOK_NS 200000000ll

struct char_pty {
    struct char_fd f; /* first member */
    int master;
    struct vtimer look;
    char path[64];
};

static void pty_hangup(struct char_fd *f)
{
    struct char_pty *p = (struct char_pty *)f;
    if (f->fd < 0)
        return;
    char_fd_stop(f);
    char_fd_carrier(f, false);
    vtimer_arm(&p->look, clock_now(f->vm) + PTY_LOOK_NS);
}

static void pty_look(void *arg)
{
    struct char_pty *p = arg;
    struct pollfd pf = {.fd = p->master, .events = POLLIN};
    poll(&pf, 1, 0);
    if (pf.revents & POLLHUP) {
        vtimer_arm(&p->look, clock_now(p->f.vm) + PTY_LOOK_NS);
        return;
    }
    char_fd_start(&p->f, p->master);
    char_fd_carrier(&p->f, true);
}

static void pty_close(struct chardev *c)
{
    struct char_pty *p = (struct char_pty *)c;
    p->f.c.writable = NULL;
    vtimer_cancel(&p->look);
    if (p->f.fd >= 0)
        char_fd_stop(&p->f);
    close(p->master);
    free(p);
}

static const struct chardev_ops pty_ops = {.write = char_fd_write, .accept = char_fd_accept, .close = pty_close};

struct chardev *char_pty_open(struct vm *vm, struct err *e)
{
    struct char_pty *p = calloc(1, sizeof *p);
    if (!p) {
        err_set(e, ERR_NOMEM, 0, "Pseudo terminal for a serial port: out of memory");
        return NULL;
    }
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    int slave = -1;
    if (p->master < 0 || grantpt(p->master) < 0 || unlockpt(p->master) < 0 ||
        ptsname_r(p->master, p->path, sizeof p->path) != 0 ||
        (slave = open(p->path, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        int en = errno;
        if (p->master >= 0)
            close(p->master);
        free(p);
        err_set(e, ERR_HOST, en, "A pseudo terminal for a serial port cannot be made: %s", strerror(en));
        return NULL;
    }
    /* The settings stay with the terminal. Closing it once makes the kernel report "nobody there" from now on. */
    struct termios tio;
    if (tcgetattr(slave, &tio) == 0) {
        cfmakeraw(&tio);
        tcsetattr(slave, TCSANOW, &tio);
    }
    close(slave);
    p->f.vm = vm;
    p->f.fd = -1;
    p->f.hangup = pty_hangup;
    p->f.c.ops = &pty_ops;
    p->f.c.alone = true;
    vtimer_init(&p->look, vm, pty_look, p);
    vtimer_arm(&p->look, clock_now(vm) + PTY_LOOK_NS);
    return &p->f.c;
}

const char *char_pty_path(const struct chardev *c)
{
    return c->ops == &pty_ops ? ((const struct char_pty *)c)->path : NULL;
}
