/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three levels of VMware Workstation are values of prefvmx.minVmMemPct: 100 (all memory of all machines fits), 50 (some may be swapped), 25
 * (most may). Since machines give back what they do not use, 50 is what is used when nothing is said.
 */
#define _GNU_SOURCE
#include "config/memconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/vmx_schema.h"

static void take_keys(const struct vmx_dict *d, struct hostmem_policy *p, uint64_t recommended)
{
    int64_t v;
    bool b;
    const char *s = vmx_dict_get(d, "prefvmx.minVmMemPct");
    if (s && vmx_parse_int(s, &v) && v >= 1 && v <= 100)
        p->pct = (unsigned)v;
    s = vmx_dict_get(d, "prefvmx.allVMMemoryLimit");
    if (s && vmx_parse_int(s, &v) && v > 0)
        p->limit_mb = (uint64_t)v;
    s = vmx_dict_get(d, "prefvmx.useRecommendedLockedMemSize");
    if (s && vmx_parse_bool(s, &b) && b)
        p->limit_mb = recommended;
}

static void take_file(const char *path, struct hostmem_policy *p, uint64_t recommended)
{
    struct err e;
    struct vmx_dict *d = !path || access(path, R_OK) ? NULL : vmx_dict_load(path, &e);
    if (d)
        take_keys(d, p, recommended);
    vmx_dict_free(d);
}

char *memconf_path(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    bool own = config && *config == '/';
    char *path;
    return asprintf(&path, "%s%s/lodge/config", own ? config : home ? home : "", own ? "" : "/.config") < 0 ? NULL : path;
}

uint64_t memconf_host_mb(void) { return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20; }

/* An eighth is the host's own, at least 1 GB, at most a quarter on small computers. */
uint64_t memconf_recommended(uint64_t host_mb)
{
    return host_mb - (host_mb / 8 > 1024 ? host_mb / 8 : host_mb / 4 < 1024 ? host_mb / 4 : 1024);
}

void hostmem_policy(const struct vmx_dict *vmx, uint64_t host_mb, struct hostmem_policy *out)
{
    uint64_t recommended = memconf_recommended(host_mb);
    char *path = memconf_path();
    *out = (struct hostmem_policy){.limit_mb = recommended, .pct = MEMCONF_SOME};
    take_file("/etc/lodge/config", out, recommended);
    take_file(path, out, recommended);
    free(path);
    if (vmx)
        take_keys(vmx, out, recommended);
}
