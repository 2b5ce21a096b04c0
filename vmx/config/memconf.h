/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much memory all machines of a user may have together, as the user and the administrator have set it: keys in /etc/lodge/config, then
 * $XDG_CONFIG_HOME/lodge/config, then the .vmx; the last one wins. The files are dictionaries as a .vmx is. lodge-vmx uses it, the window's
 * preferences change it.
 */
#ifndef LODGE_CONFIG_MEMCONF_H
#define LODGE_CONFIG_MEMCONF_H

#include <stdint.h>

#include "config/vmx_dict.h"

/* The levels of VMware Workstation, as values of pct; what lies between them is allowed, too. */
enum { MEMCONF_FIT = 100, MEMCONF_SOME = 50, MEMCONF_MOST = 25 };

struct hostmem_policy {
    uint64_t limit_mb; /* prefvmx.allVMMemoryLimit, or what is recommended for this computer */
    unsigned pct;      /* prefvmx.minVmMemPct: this part of each machine must fit */
};
/* vmx: NULL: the files alone. [main] */
void hostmem_policy(const struct vmx_dict *vmx, uint64_t host_mb, struct hostmem_policy *out);
uint64_t memconf_host_mb(void); /* what this computer has */
uint64_t memconf_recommended(uint64_t host_mb);
char *memconf_path(void); /* the user's file; free() it */

#endif
