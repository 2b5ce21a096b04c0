/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tiny TAP producer: ok(cond, "name ..."), skip("reason"), and TAP_DONE() as the value of main(). */
#ifndef LODGE_TESTS_TAP_H
#define LODGE_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_n, tap_failed;

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool cond, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("%sok %d - ", cond ? "" : "not ", ++tap_n);
    vprintf(fmt, ap);
    printf("\n");
    fflush(stdout);
    va_end(ap);
    tap_failed += !cond;
    return cond;
}
__attribute__((unused)) static bool is_u64(unsigned long long got, unsigned long long want, const char *name)
{
    bool good = ok(got == want, "%s", name);
    if (!good)
        printf("# got 0x%llx, want 0x%llx\n", got, want);
    return good;
}
__attribute__((unused)) static void skip(const char *why) { printf("ok %d # SKIP %s\n", ++tap_n, why); }
#define TAP_DONE() (printf("1..%d\n", tap_n), tap_failed != 0)

#endif
