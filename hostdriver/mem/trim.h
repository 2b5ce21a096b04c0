/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory trimming: gives pages of zeros, and under pressure pages that are not used, back to the host. */
#ifndef LODGE_HOSTDRIVER_MEM_TRIM_H
#define LODGE_HOSTDRIVER_MEM_TRIM_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/memacct.h"

struct vm;
struct trim;

struct trim_params {
    struct vm *vm;
    struct memblk *ram; /* of guestmem_alloc, with pins */
    struct memacct *acct;
    uint64_t first;     /* bytes at the beginning that are never given back: locked memory */
    bool huge;          /* the block may use huge pages */
};

struct trim_stats {
    uint64_t scanned, freed, stops, passes, split; /* pages; pages; times the guest stood still; times through memory; huge pages taken apart */
    uint64_t still_ns, still_max_ns;               /* how long it stood still, all together and the longest */
    uint64_t cpu_ns;                               /* processor time of all of it */
    uint64_t cold;                                 /* pages named as cold to the host's kernel */
};

struct trim *trim_new(const struct trim_params *p, struct err *e);
void trim_free(struct trim *t);
/* Pages a second that may be given back; 0: no scan at all. [any] */
void trim_set_rate(struct trim *t, uint64_t pages_per_second);
/* Does what is due at `now` (CLOCK_MONOTONIC) and tells how many ns later it wants to be called again. pressure: the host is short of memory.
 * On one thread, which is no vCPU's. */
int64_t trim_step(struct trim *t, int64_t now, bool pressure);
/* For a guest that stands still: names n pages as ones that go to swap first. The number of pages looked at; 0: all have been named. */
uint64_t trim_page_out(struct trim *t, uint64_t n);
/* Gives back what the balloon has taken: its content is lost, whatever it is. [any] */
void trim_discard(struct trim *t, uint64_t off, uint64_t n);
void trim_get_stats(struct trim *t, struct trim_stats *out); /* [any] */

#endif
