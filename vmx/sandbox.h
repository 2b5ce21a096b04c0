/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System calls per kind of thread. */
#ifndef LODGE_VMX_SANDBOX_H
#define LODGE_VMX_SANDBOX_H

#include "base/err.h"

/* no_new_privs, and the report of refused calls. Before other threads exist. [main] */
int sandbox_init(struct err *e);
/* Filters the calling thread for the rest of its life. kind: "main", "chipset", "vcpu", "vcpu-vt", "blkio", "screen", "audio"; others get "chipset"'s set.
 * A refused call returns EPERM and is logged once per call and process. A failure to set the filter ends the process: it must not run without. */
void sandbox_enter(const char *kind);

#endif
