/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serial port on the process' standard input and output. The descriptors are shared with the shell, so they are not
 * made non-blocking: input is read when the event loop says that there is some, and output asks poll() first.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "file/char_fd.h"
#include "file/chardevs.h"

struct char_stdio {
    struct char_fd f; /* first member */
    struct termios saved;
    bool restore;
};

static size_t stdio_write(struct chardev *c, const uint8_t *buf, size_t n)
{
    size_t done = 0;
    (void)c;
    while (done < n) {
        struct pollfd pf = {.fd = STDOUT_FILENO, .events = POLLOUT};
        /* A terminal that is stopped (Ctrl-S) loses output rather than holding up the whole machine. */
        if (poll(&pf, 1, 0) <= 0 || pf.revents & (POLLERR | POLLNVAL))
            break;
        size_t part = n - done < 512 ? n - done : 512; /* <= PIPE_BUF: cannot block after poll said yes */
        ssize_t r = write(STDOUT_FILENO, buf + done, part);
        if (r > 0)
            done += (size_t)r;
        else if (r < 0 && errno != EINTR)
            break;
    }
    return n;
}

static void stdio_close(struct chardev *c)
{
    struct char_stdio *s = (struct char_stdio *)c;
    s->f.c.writable = NULL;
    if (s->f.fd >= 0)
        char_fd_stop(&s->f);
    if (s->restore)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &s->saved);
    free(s);
}

static const struct chardev_ops stdio_ops = {.write = stdio_write, .accept = char_fd_accept, .close = stdio_close};

struct chardev *char_stdio_open(struct vm *vm, struct err *e)
{
    struct char_stdio *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_NOMEM, 0, "Serial port on the terminal: out of memory");
        return NULL;
    }
    if (tcgetattr(STDIN_FILENO, &s->saved) == 0 && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
        struct termios raw = s->saved;
        cfmakeraw(&raw);
        raw.c_oflag |= OPOST; /* our own messages keep their line ends */
        raw.c_lflag |= ISIG;  /* Ctrl-C still ends the machine in order */
        s->restore = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    s->f.vm = vm;
    s->f.fd = -1;
    s->f.c.ops = &stdio_ops;
    char_fd_start(&s->f, STDIN_FILENO); /* a file or /dev/null cannot be watched: then there is no input */
    return &s->f.c;
}
