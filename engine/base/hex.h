/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers for a crash report: async-signal-safe, without the C library. */
#ifndef LODGE_BASE_HEX_H
#define LODGE_BASE_HEX_H

#include <stdint.h>

/* Appends label and v (16 hex digits) to the n bytes at b, from index at; leaves room for
 * the final 0. Returns the new end. Any thread, also in a signal handler. */
static inline unsigned put_hex(char *b, unsigned n, unsigned at, const char *label, uint64_t v)
{
    while (*label && at + 1 < n)
        b[at++] = *label++;
    for (int i = 60; i >= 0; i -= 4)
        if (at + 1 < n)
            b[at++] = "0123456789abcdef"[(v >> i) & 15];
    return at;
}

#endif
