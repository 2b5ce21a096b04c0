/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors as values. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, enum err_kind k, int sys_errno, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    char msg[sizeof e->msg]; /* the arguments may point into *e */
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    e->kind = k;
    e->sys_errno = sys_errno;
    memcpy(e->msg, msg, sizeof msg);
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    char msg[sizeof e->msg];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0;
    if ((size_t)n < sizeof msg)
        snprintf(msg + n, sizeof msg - n, "%s", e->msg);
    memcpy(e->msg, msg, sizeof msg);
    return -1;
}
