/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory from the host: anonymous pages, address space without pages, memfds, and code memory that is never writable
 * and executable at once. */
#ifndef LODGE_BASE_OSMEM_H
#define LODGE_BASE_OSMEM_H

#include <stddef.h>

#include "base/err.h"

/* Sizes are rounded up to whole pages; memory is zero. All [any]. */
/* readable and writable, no swap reserved; pages appear when touched; NULL on failure */
void *osmem_alloc(size_t n, struct err *e);
void *osmem_reserve(size_t n, struct err *e);       /* address space only (PROT_NONE) */
int osmem_commit(void *p, size_t n, struct err *e); /* makes part of a reservation readable and writable */
void osmem_decommit(void *p, size_t n);             /* gives the pages back, keeps the addresses */
void osmem_free(void *p, size_t n);                 /* for all of the above, and mappings; p may be NULL */

int osmem_memfd(const char *name, size_t n, struct err *e); /* a sealed-size memfd, or -1 */
void *osmem_map_fd(int fd, size_t n, struct err *e);        /* shared, read-write */

/* One block of memory mapped twice: *rw for writing code, *rx for running it (W^X). */
int osmem_dual_map(size_t n, void **rw, void **rx, struct err *e);
void osmem_dual_unmap(void *rw, void *rx, size_t n);

#endif
