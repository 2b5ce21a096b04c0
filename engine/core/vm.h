/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vmx/ uses. All calls [main]; each waits until the new state holds. */
#ifndef LODGE_CORE_VM_H
#define LODGE_CORE_VM_H

#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/memmap.h"
#include "core/vcpu.h"

/*
 *                 vm_load              vm_run
 *     BUILDING ------------> PAUSED <---------> RUNNING ----+
 *         |                     ^   vm_pause     ^  |       | vm_wish, VX_DEBUG: the vCPUs stop until main
 *         +-- vm_run (cold reset first) ---------+  |       | answers with vm_run (go on), vm_reset or vm_pause
 *                               |                |  |       v
 *                               +----------------+--+--- HALTED
 *
 * vm_reset stays in BUILDING, PAUSED or RUNNING, and leaves HALTED for RUNNING. vm_fail goes from anywhere to FAILED,
 * which only vm_destroy ends.
 */
enum vm_state { VM_BUILDING, VM_PAUSED, VM_RUNNING, VM_HALTED, VM_FAILED };
/* WISH_CLOCK: the host's TSC has jumped; vm_pause and vm_run set the guest's right. */
enum vm_wish { WISH_RESET, WISH_OFF, WISH_SUSPEND, WISH_CLOCK };

/* Called on any thread; the receiver only queues to main (no call back into vm_*). Each may be NULL. */
struct vm_events {
    void (*state)(void *u, enum vm_state s);
    void (*wish)(void *u, enum vm_wish w);
    void (*failed)(void *u, const struct err *e);
    void (*debug)(void *u, struct vcpu *v); /* VX_DEBUG: the vm is HALTED until main answers with vm_run */
};

/* CPU features as vmx decides them; both back ends follow. */
struct cpuid_leaf; /* cpu/cpu.h */
struct vm_cpu_params {
    bool hide_longmode;        /* monitor_control.disable_longmode */
    unsigned cores_per_socket; /* cpuid.coresPerSocket, >= 1 */
    bool pseudo_perfctr;       /* VMware's RDPMC 10000h-10002h */
    bool hypervisor_leaves;    /* VMware CPUID leaves 40000000h.. */
    unsigned bus_khz;          /* clock of the local APIC timers; 0: VMware's 66 MHz */
    /* When not NULL: what both engines of this host can give. No feature bit that is clear here is shown to the guest,
     * so that it can go on with the other engine at any time. Must outlive the vm. */
    const struct cpuid_leaf *limit;
    unsigned n_limit;
};

struct vm_params {
    unsigned n_vcpus;    /* 1..32 (bt: 1..8) */
    uint64_t ram;        /* bytes */
    int64_t wall_offset; /* ns: guest wall clock at power on, since 1970 UTC */
    struct vm_cpu_params cpu;
    uint64_t tsc_khz;    /* frequency of the host's TSC when it is known; 0: measure it, which takes 40 ms from mark on */
    struct clock_mark mark; /* taken some time before, or zeros */
    /* on each new thread ("chipset", "vcpu") before its work: sandbox; may be NULL */
    void (*thread_started)(void *u, const char *kind);
    void *thread_started_u;
    /* tests: no threads; guest time stands still and is moved by vm_advance(); the TSC counts nanoseconds */
    bool passive;
    bool init_is_reset; /* the firmware knows nothing of processors that start anew in a machine that runs */
    uint32_t engine_stress, engine_seed; /* fault finding: what the engine's header defines, 0 = off */
};

struct vm *vm_create(const struct vm_params *p, const struct cpu_backend *be, const struct vm_events *ev, void *u,
                     struct err *e);
const struct vm_params *vm_get_params(struct vm *vm);
int vm_run(struct vm *vm, struct err *e);                      /* threads start at the first call */
int vm_pause(struct vm *vm, struct err *e);                    /* park, stop clock, quiesce */
int vm_reset(struct vm *vm, enum reset_kind k, struct err *e); /* both device phases, then vCPUs; running or paused */
int vm_save(struct vm *vm, struct snap_writer *w, struct err *e); /* paused only; does not change the vm */
int vm_load(struct vm *vm, struct snap_reader *r, struct err *e); /* freshly built only; on failure only destroy */
/* Goes on with another CPU back end: takes the processors' state from the old one and gives it to the new one, through
 * the format of saved state. Paused only; the threads end and vm_run makes new ones. The caller carries the local APICs
 * over (their device's state changes hands with the back end). On failure the vm may only be destroyed. */
int vm_switch_backend(struct vm *vm, const struct cpu_backend *be, struct err *e);
void vm_destroy(struct vm *vm);
/*
 * For work on the host memory behind the guest's that no guest instruction may meet half done (giving pages back): from begin to end no vCPU is in
 * run(), while guest time and devices go on. Keep it far below a millisecond. Devices' own accesses are kept off a piece of memory by
 * memblk_claim. False: the vm is not running, or main has it in its hands; then there is no end. Not on a vCPU's thread, without the chipset
 * lock, which vCPUs may wait for.
 */
bool vm_still_begin(struct vm *vm);
void vm_still_end(struct vm *vm);
/* Before main writes guest memory of a vm that is HALTED: what was begun has ended. [main] */
void vm_still_wait(struct vm *vm);
enum vm_state vm_get_state(struct vm *vm);
/* port CF9h, ACPI: main decides and acts, never the device. All vCPUs stop at their next safe point.
 * [any] */
void vm_wish(struct vm *vm, enum vm_wish w);
/*
 * INIT# of all processors, as a PC's chipset answers a shutdown cycle (triple fault), the keyboard controller's reset line, port 92h and CF9h
 * with the value 4: the processors begin at their reset vector (all but the first wait for SIPI), everything else stays as it is. With
 * vm_params.init_is_reset it is vm_wish(WISH_RESET). [dev]
 */
void vm_init_cpus(struct vm *vm);
/* [any] an internal error: stops the vCPUs, state FAILED, events.failed */
void vm_fail(struct vm *vm, const struct err *cause);
/* Passive vms: moves guest time on by ns, firing due timers and posted work in order, each at its own time. [main] */
void vm_advance(struct vm *vm, int64_t ns);
struct vm_stats {
    uint64_t timers_fired, posts, wakeups, commits; /* chipset thread; memory map */
    uint64_t runs, halts, kicks;                    /* all vCPUs together */
};
void vm_get_stats(struct vm *vm, struct vm_stats *out); /* [any] */

/* The chipset lock, and work on the chipset thread. vCPUs let other threads go first, so that guests that hammer ports
 * cannot starve them. */
void chipset_lock(struct vm *vm);
void chipset_unlock(struct vm *vm);
/* For an I/O thread that could do its completion itself: false when somebody has the lock (then chipset_post). [any] */
bool chipset_trylock(struct vm *vm);
/* Runs fn(arg) on the chipset thread with the chipset lock held, soon, in the order posted; completions use it. While
 * the vm is paused posted work goes on (timers and watched descriptors do not). [any] */
void chipset_post(struct vm *vm, void (*fn)(void *arg), void *arg);
/* fn runs on the chipset thread, lock held, whenever fd is readable (EPOLLIN) and/or writable as events says.
 * Level-triggered: whoever watches a descriptor that hangs up must unwatch it, or the thread spins. [main] or [dev] */
int chipset_watch_fd(struct vm *vm, int fd, uint32_t epoll_events, void (*fn)(void *arg, uint32_t events), void *arg,
                     struct err *e);
void chipset_unwatch_fd(struct vm *vm, int fd); /* called with the chipset lock held, fn does not run after return */
/*
 * Waits until idle(arg), called with the chipset lock held, is true, while completions go on (runs them itself when
 * there is no chipset thread yet). For a device's quiesce and for drains. Without the chipset lock. [main]
 */
void chipset_drain(struct vm *vm, bool (*idle)(void *arg), void *arg);

#endif
