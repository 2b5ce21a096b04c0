/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vmx/ uses. All calls [main]; each waits until the new state holds. */
#ifndef LODGE_CORE_VM_H
#define LODGE_CORE_VM_H

#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/memmap.h"
#include "core/vcpu.h"

enum vm_state { VM_BUILDING, VM_PAUSED, VM_RUNNING, VM_HALTED, VM_FAILED };
enum vm_wish { WISH_RESET, WISH_OFF, WISH_SUSPEND };

/* Called on the chipset thread or a vCPU thread; the receiver only queues to main (no call back into vm_*). */
struct vm_events {
    void (*state)(void *u, enum vm_state s);
    void (*wish)(void *u, enum vm_wish w);
    void (*failed)(void *u, const struct err *e);
};

/* CPU features as vmx decides them; both back ends follow. */
struct vm_cpu_params {
    bool hide_longmode;         /* monitor_control.disable_longmode */
    unsigned cores_per_socket;  /* cpuid.coresPerSocket, >= 1 */
    bool hypervisor_leaves;     /* VMware CPUID leaves 40000000h.. */
};

struct vm_params {
    unsigned n_vcpus; /* 1..32 (bt: 1..8) */
    uint64_t ram;     /* bytes */
    int64_t wall_offset; /* ns: guest wall clock at power on, since 1970 UTC */
    struct vm_cpu_params cpu;
    void (*thread_started)(void *u, const char *kind); /* on each new thread before its work: sandbox; may be NULL */
    void *thread_started_u;
};

struct vm *vm_create(const struct vm_params *p, const struct cpu_backend *be, const struct vm_events *ev, void *u, struct err *e);
const struct vm_params *vm_get_params(struct vm *vm);
int vm_run(struct vm *vm, struct err *e);
int vm_pause(struct vm *vm, struct err *e); /* park, stop clock, quiesce */
int vm_reset(struct vm *vm, enum reset_kind k, struct err *e); /* both device phases, then vCPUs; running or paused */
int vm_save(struct vm *vm, struct snap_writer *w, struct err *e); /* paused only; does not change the vm */
int vm_load(struct vm *vm, struct snap_reader *r, struct err *e); /* freshly built only; on failure only destroy */
void vm_destroy(struct vm *vm);
enum vm_state vm_get_state(struct vm *vm);
void vm_wish(struct vm *vm, enum vm_wish w); /* [any] kbc, port CF9h, ACPI: main decides and acts, never the device */

/* The chipset lock, and work on the chipset thread. */
void chipset_lock(struct vm *vm);
void chipset_unlock(struct vm *vm);
/* Runs fn(arg) on the chipset thread with the chipset lock held, soon; completions use it. [any] */
void chipset_post(struct vm *vm, void (*fn)(void *arg), void *arg);
/* fn runs on the chipset thread, lock held, whenever fd is readable (EPOLLIN) and/or writable as events says. [main] or [dev] */
int chipset_watch_fd(struct vm *vm, int fd, uint32_t epoll_events, void (*fn)(void *arg, uint32_t events), void *arg, struct err *e);
void chipset_unwatch_fd(struct vm *vm, int fd);

#endif
