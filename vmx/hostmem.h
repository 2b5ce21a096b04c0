/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory all machines of a user may have together, and which ones are on. */
#ifndef LODGE_VMX_HOSTMEM_H
#define LODGE_VMX_HOSTMEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/memconf.h"

struct hostmem;

struct hostmem_vm {
    const char *name;
    uint64_t mb, reserved_mb; /* memsize, sched.mem.min */
    unsigned shares;
};
/* Puts this machine on the list, if it fits; the error names the numbers and the machines that are on. warn: a sentence when all of them together
 * are larger than the limit, else "". h is NULL when there is no place for the list: then every machine fits. [main] */
int hostmem_join(struct hostmem **h, const char *dir, const struct hostmem_vm *vm, const struct hostmem_policy *p, char *warn, size_t n,
                 struct err *e);
void hostmem_leave(struct hostmem *h); /* NULL is allowed */
/* Every second: what it has now. Returns its part, 0 to 1, of what the host is short of: machines with more memory for their shares give more. */
double hostmem_beat(struct hostmem *h, uint64_t resident_mb);

#endif
