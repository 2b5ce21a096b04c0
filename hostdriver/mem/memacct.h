/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of each page of the guest's memory on this host: in memory, in swap, given back, taken by the balloon. */
#ifndef LODGE_HOSTDRIVER_MEM_MEMACCT_H
#define LODGE_HOSTDRIVER_MEM_MEMACCT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/memmap.h"

struct memacct;

/* Bytes. A page that was given back and has been used again since counts as resident. */
struct memacct_sums {
    uint64_t configured;
    uint64_t touched;   /* used by the guest at least once since it was made */
    uint64_t resident;  /* in the host's memory, shared pages included */
    uint64_t swapped;
    uint64_t shared;    /* merged with equal pages by the host's kernel (KSM) */
    uint64_t trimmed;   /* given back, and not used since */
    uint64_t ballooned; /* handed over by the balloon driver in the guest */
    uint64_t saved;     /* what the guest would take from the host in addition without all this */
};

/* ram: a block of guestmem_alloc, which must outlive it. [main], before the sandbox: it opens files in /proc */
struct memacct *memacct_new(struct memblk *ram, struct err *e);
void memacct_free(struct memacct *a);

/* One chunk (MEMBLK_CHUNK) as the host's kernel sees it now, one letter a page in `page` (512 of them, PG_*); how many there are. Counts it anew
 * on the way. -1: the kernel does not tell. [any] */
enum { PG_NONE, PG_OWN, PG_SHARED /* also the kernel's page of zeros */, PG_SWAPPED };
int memacct_look(struct memacct *a, uint64_t chunk, uint8_t *page);
/* Looks at up to max chunks, going on where the last call ended; what has just been looked at is left alone. [any] */
void memacct_refresh(struct memacct *a, unsigned max);
void memacct_get(struct memacct *a, struct memacct_sums *out); /* [any] as of the last looks */

/* Does the kernel merge pages of this block at all? Its own count of them lags behind when it is told to stop. [any] */
void memacct_set_sharing(struct memacct *a, bool on);

/* The pages from byte off on were given back. [any] */
void memacct_trimmed(struct memacct *a, uint64_t off, uint64_t n);
/* The balloon took the page at off, or lets it go. False: it has it already (has not got it). [any] */
bool memacct_balloon(struct memacct *a, uint64_t off, bool take);
bool memacct_is_ballooned(const struct memacct *a, uint64_t off);
void memacct_balloon_reset(struct memacct *a); /* the guest was reset: all of it is its own again */
uint64_t memacct_ballooned(const struct memacct *a);

#endif
