/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors are values: a kind for code, a sentence for the user. Nothing below main() exits. */
#ifndef LODGE_BASE_ERR_H
#define LODGE_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum err_kind {
    ERR_NONE,
    ERR_IO,
    ERR_FORMAT,
    ERR_CORRUPT,
    ERR_UNSUPPORTED,
    ERR_CONFIG,
    ERR_HOST,
    ERR_NOMEM,
    ERR_BUSY,
    ERR_DENIED,
};

struct err {
    enum err_kind kind;
    int sys_errno; /* 0 when no system call was involved */
    char msg[400]; /* a sentence that tells the user what to do next */
};

/* Fills *e (e may be NULL) and returns -1, so that callers write "return err_set(...)". [any] */
int err_set(struct err *e, enum err_kind k, int sys_errno, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Puts a context before the message: "Opening disk x.vmdk: " + old message. Returns -1. [any] */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As vsnprintf; of a text that is too long, as one with a very long path is, the middle is left out: what is wrong stands at its end. [any] */
void err_text(char *out, size_t n, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

#endif
