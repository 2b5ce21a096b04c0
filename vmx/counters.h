/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters with names, for the statistics: a table says where each lies in its struct. */
#ifndef LODGE_VMX_COUNTERS_H
#define LODGE_VMX_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

typedef void counter_fn(void *u, const char *name, uint64_t value);

struct counter {
    const char *name;
    size_t at;
};
/* The name and a uint64_t in struct s. */
#define COUNTER(s, name, field) {name, offsetof(struct s, field) + 0 * sizeof(char[_Generic(((struct s *)0)->field, uint64_t: 1)])}

#define COUNTERS_TELL(table, stats, fn, u) counters_tell(table, sizeof(table) / sizeof *(table), stats, fn, u)
static inline void counters_tell(const struct counter *c, size_t n, const void *stats, counter_fn *fn, void *u)
{
    for (size_t i = 0; i < n; i++)
        fn(u, c[i].name, *(const uint64_t *)(const void *)((const char *)stats + c[i].at));
}

#endif
