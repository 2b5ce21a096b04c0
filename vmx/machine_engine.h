/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which engine runs the guest, and why. */
#ifndef LODGE_VMX_MACHINE_ENGINE_H
#define LODGE_VMX_MACHINE_ENGINE_H

#include <stdio.h>

#include "core/vm.h"
#include "kvm/kvm.h"
#include "plan.h"

struct engine_choice {
    const struct cpu_backend *be;
    char why[400];         /* for the log */
    struct vt_probe probe; /* of this host */
};

#define BT_MAX_VCPUS 8

/* What monitor.virtual_exec means on this host. -1 and *e when it is not to be had. */
int engine_choose(const struct plan *p, struct engine_choice *out, struct err *e);
/* The engine of that name ("software", "hardware", "bt", "vt") for a machine that runs with out->probe already. */
const struct cpu_backend *engine_named(const struct engine_choice *c, const struct plan *p, const char *name, struct err *e);
/* Puts into *vp what the guest may be shown so that either engine can run it. c must outlive the vm. */
void engine_params(const struct engine_choice *c, struct vm_params *vp);
const char *engine_text(const struct cpu_backend *be); /* "binary translation (BT)" */
void engine_list(FILE *f);                             /* lodge-vmx --engines */

#endif
