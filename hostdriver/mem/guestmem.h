/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM and video memory on this host. */
#ifndef LODGE_HOSTDRIVER_MEM_GUESTMEM_H
#define LODGE_HOSTDRIVER_MEM_GUESTMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/memmap.h"

struct guestmem_params {
    uint64_t size;  /* bytes, a multiple of 4096 */
    bool huge;      /* let the kernel use transparent huge pages */
    bool mergeable; /* let the kernel merge equal pages (KSM) */
    bool populate;  /* touch every page now */
    bool no_check;  /* do not compare with the memory that the host has */
    uint64_t need;  /* so much of it must be there now; 0: all */
    const char *file; /* back it by this file, which is made (again) and locked against being full; NULL: anonymous */
    bool pin;       /* lock it in memory */
};

/* Private anonymous memory between guard areas, 2 MiB aligned. Fails with a clear sentence when the host has too
 * little. [main] */
int guestmem_alloc(struct memblk *out, const struct guestmem_params *p, struct err *e);
/* Shared memory with a descriptor (out->fd) that another process can map; sealed against shrinking. */
int guestmem_alloc_shared(struct memblk *out, const char *name, uint64_t size, struct err *e);
void guestmem_free(struct memblk *b); /* either kind */
/* Lets the kernel merge equal pages of a block with others (KSM), or takes merged ones apart again; while the guest runs. [any] */
int guestmem_share(struct memblk *b, bool on, struct err *e);
/* Does the host merge pages now? If not, text is a sentence that says why, and the command that changes it. */
bool guestmem_sharing_works(char *text, size_t n);
/* Memory that the host can give without swapping, in bytes; 0 when it cannot be known. */
uint64_t guestmem_available(void);

#endif
