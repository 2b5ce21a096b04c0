/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vm with its real threads and a processor that always halts: for what needs the chipset thread. */
#ifndef LODGE_TESTS_REALVM_H
#define LODGE_TESTS_REALVM_H

#include <stdlib.h>

#include "core/vm.h"

static int rv_vcpu_init(struct vcpu *v, struct err *e)
{
    (void)v, (void)e;
    return 0;
}
static void rv_vcpu_fini(struct vcpu *v) { (void)v; }
static enum vcpu_exit rv_run(struct vcpu *v)
{
    vcpu_safe_point(v);
    return VX_HALT;
}
static void rv_kick(struct vcpu *v) { (void)v; }
static void rv_reset(struct vcpu *v, bool init) { (void)v, (void)init; }
static void rv_sipi(struct vcpu *v, uint8_t vector) { (void)v, (void)vector; }
static const struct cpu_backend rv_backend = {.name = "halted",
                                              .vcpu_init = rv_vcpu_init,
                                              .vcpu_fini = rv_vcpu_fini,
                                              .run = rv_run,
                                              .kick = rv_kick,
                                              .reset = rv_reset,
                                              .sipi = rv_sipi};
static bool rv_pending(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return false;
}
static int rv_take(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return -1;
}

/* thread_started, when given, is called on each thread. */
static struct vm *rv_new(void (*thread_started)(void *u, const char *kind), void *u)
{
    static const struct vm_events events;
    struct err e = {0};
    struct vm_params p = {
        .n_vcpus = 1, .cpu = {.cores_per_socket = 1}, .thread_started = thread_started, .thread_started_u = u};
    struct vm *vm = vm_create(&p, &rv_backend, &events, NULL, &e);
    if (!vm)
        exit(1);
    intr_set_ctl(vm, &(struct intr_ctl){.take = rv_take, .pending = rv_pending});
    return vm;
}

#endif
