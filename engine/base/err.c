/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors as values. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_text(char *out, size_t n, const char *fmt, va_list ap)
{
    static const char gap[] = " ... ";
    char all[8192 + 512];
    int len = vsnprintf(all, sizeof all, fmt, ap);
    size_t have = len < 0 ? 0 : (size_t)len < sizeof all ? (size_t)len : sizeof all - 1;
    if (have < n) {
        memcpy(out, all, have);
        out[have] = 0;
        return;
    }
    size_t head = n / 2, tail = have - (n - 1 - head - (sizeof gap - 1));
    while (head && ((unsigned char)all[head] & 0xC0) == 0x80) /* not in the middle of a character */
        head--;
    while (tail < have && ((unsigned char)all[tail] & 0xC0) == 0x80)
        tail++;
    memcpy(out, all, head);
    memcpy(out + head, gap, sizeof gap - 1);
    memcpy(out + head + sizeof gap - 1, all + tail, have - tail);
    out[head + sizeof gap - 1 + have - tail] = 0;
}

int err_set(struct err *e, enum err_kind k, int sys_errno, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    char msg[sizeof e->msg]; /* the arguments may point into *e */
    err_text(msg, sizeof msg, fmt, ap);
    va_end(ap);
    e->kind = k;
    e->sys_errno = sys_errno;
    memcpy(e->msg, msg, sizeof msg);
    return -1;
}

__attribute__((format(printf, 3, 4))) static void text(char *out, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_text(out, n, fmt, ap);
    va_end(ap);
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    char msg[sizeof e->msg], front[sizeof e->msg];
    va_list ap;
    va_start(ap, fmt);
    err_text(front, sizeof front, fmt, ap);
    va_end(ap);
    text(msg, sizeof msg, "%s%s", front, e->msg);
    memcpy(e->msg, msg, sizeof msg);
    return -1;
}
