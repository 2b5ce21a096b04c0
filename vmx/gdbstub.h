/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A server of gdb's remote protocol for the running machine. All calls [main]. */
#ifndef LODGE_VMX_GDBSTUB_H
#define LODGE_VMX_GDBSTUB_H

#include <stdbool.h>

#include "base/err.h"

struct gdbstub;
struct vm;

struct gdbstub_params {
    struct vm *vm;
    bool is64;   /* what the guest is described as */
    bool remote; /* also for other hosts */
    unsigned port;
    bool hold; /* the guest waits until gdb lets it run */
};
struct gdbstub *gdbstub_start(const struct gdbstub_params *p, struct err *e); /* before vm_run */
void gdbstub_stop(struct gdbstub *g);                                         /* NULL is allowed; the guest goes on without breakpoints */
/* A vCPU has met what gdb asked for (vm_events.debug). */
void gdbstub_hit(struct gdbstub *g, unsigned vcpu);

#endif
