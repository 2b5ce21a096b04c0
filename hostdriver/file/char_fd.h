/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the byte streams over a pollable descriptor have in common: watching it, reading only what the UART has room
 * for. */
#ifndef LODGE_HOSTDRIVER_FILE_CHAR_FD_H
#define LODGE_HOSTDRIVER_FILE_CHAR_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serial/char.h"

struct vm;
struct char_fd {
    struct chardev c; /* first member */
    struct vm *vm;
    int fd;           /* what is read; -1 while nobody is connected */
    uint32_t watched; /* epoll events that are watched now; 0 = not watched */
    bool out_full;    /* the UART waits for writable() */
    bool in_full;     /* the UART had no room: nothing is read until accept() */
    bool is_socket;
    void (*hangup)(struct char_fd *f); /* [dev] the other end is gone; must leave fd unwatched */
};

void char_fd_start(struct char_fd *f, int fd); /* begins to watch fd (non-blocking) */
void char_fd_stop(struct char_fd *f); /* stops watching; a waiting UART is let go on; fd stays open and is forgotten */
size_t char_fd_write(struct chardev *c, const uint8_t *buf, size_t n);
void char_fd_accept(struct chardev *c);
void char_fd_carrier(struct char_fd *f, bool on);

#endif
