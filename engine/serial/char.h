/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A byte stream that a UART talks to: file, pipe, pty, memory. */
#ifndef LODGE_SERIAL_CHAR_H
#define LODGE_SERIAL_CHAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chardev;
struct chardev_ops {
    size_t (*write)(struct chardev *c, const uint8_t *buf, size_t n); /* [dev] never blocks; returns what was taken */
    void (*accept)(struct chardev *c);                                /* [dev] the UART has room again: deliver held input */
    void (*set_lines)(struct chardev *c, bool dtr, bool rts);         /* may be NULL */
    void (*close)(struct chardev *c);
};
/* The front end (UART) fills rx, room, front; the back end calls them [dev]. */
struct chardev {
    const struct chardev_ops *ops;
    void (*rx)(void *front, const uint8_t *buf, size_t n); /* n <= room() */
    size_t (*room)(void *front);
    void (*writable)(void *front); /* write() took less than asked and has room now */
    void (*carrier)(void *front, bool connected);
    void *front;
    bool alone; /* by the back end: no program is at the other end now */
};

#endif
