/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A failed assertion: one line, then abort(), so that the program's crash report and a core file tell the rest. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void assert_failed(const char *expr, const char *file, int line)
{
    /* No stdio stream: the process may be in any state, and the log sink may be what failed. */
    char buf[256];
    int n = snprintf(buf, sizeof buf, "lodge: internal error: %s, %s:%d\n", expr, file, line);
    if (n > 0)
        (void)!write(STDERR_FILENO, buf, (size_t)n < sizeof buf ? (size_t)n : sizeof buf - 1);
    abort();
}
