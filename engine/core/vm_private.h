/* SPDX-License-Identifier: GPL-2.0-or-later */
/* struct vm, for the files of engine/core only: each part's state in a struct of its own, filled by the file it is
 * named after. */
#ifndef LODGE_CORE_VM_PRIVATE_H
#define LODGE_CORE_VM_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "core/vm.h"

enum { VM_MAX_VCPUS = 32, VM_MAX_MEMBLKS = 64 };

/* The host's clocks, which a test may replace. */
struct host_clock {
    int64_t (*ns)(void); /* CLOCK_BOOTTIME */
    uint64_t (*tsc)(void);
};

/* clock.c. frozen < 0: running, guest ns = CLOCK_BOOTTIME - base; otherwise guest time stands at frozen. Both change
 * under the chipset lock with the vCPUs parked; readers need no lock (base is written before frozen). */
struct clock_state {
    _Atomic int64_t base, frozen;
    _Atomic int64_t wall_offset;
    _Atomic int64_t tsc_offset;  /* guest TSC - (scaled) host TSC while running */
    _Atomic uint64_t tsc_frozen; /* guest TSC while not running */
    uint64_t tsc_khz;
    uint64_t scaled_from; /* the host's rate in kHz when the engine makes tsc_khz of it; 0: they are the same */
    const struct host_clock *host; /* NULL: the real ones */
    uint64_t ref_tsc;              /* the host's clocks when they were last compared */
    int64_t ref_ns;
    bool jump_told; /* main has been asked to set the TSC right */
    bool manual;
    struct lock lock;     /* RANK_TIMER: the heap, and host_armed */
    struct vtimer **heap; /* binary heap by due; heap_pos is 1-based, 0 = not in it */
    unsigned n, cap, inited;
    int64_t host_armed; /* guest ns the host timer is set to; INT64_MAX: none */
    int64_t covered;    /* when the first of the sleeping vCPUs that look after timers wakes; INT64_MAX: there is none */
    bool in_batch;      /* the chipset thread fires timers now and sets the host timer afterwards */
};

/* evloop.c */
struct post;
struct fd_watch;
struct evloop {
    int ep, ep_fds, evfd, tfd; /* ep: evfd, tfd and (not in pause) ep_fds, which holds the watched descriptors */
    pthread_t thread;
    bool started, fds_on;
    _Atomic bool stop;
    _Atomic(struct post *) posts; /* newest first */
    struct lock lock;             /* RANK_EVLOOP: watches, fds_on, progress */
    struct fd_watch *watches, *dead;
    pthread_cond_t progress; /* signalled after each round, for chipset_drain */
    uint64_t round;
    bool draining;
};

/* memmap.c, and the grace periods of views and port nodes */
struct view_impl;
struct retired;
struct memmap_state {
    struct memregion **regions; /* in order of memmap_add */
    unsigned n, cap, depth;
    bool oom;
    gpa_t a20_want;          /* at the next commit */
    _Atomic gpa_t a20_below; /* processors see A20 as 0 in addresses below; 0: they see it as it is */
    uint64_t generation;
    _Atomic(struct view_impl *) view[2];           /* normal, SMM */
    _Atomic(struct memblk *) blks[VM_MAX_MEMBLKS]; /* every block ever mapped; never shrinks */
    _Atomic unsigned n_blks;
    /* Grace periods: qs counts what was retired; epoch and readers serve threads that are no vCPU. */
    _Atomic uint64_t qs, epoch;
    _Atomic uint32_t readers[2];
    struct retired *retired;
    unsigned n_retired;
};

/* iobus.c */
struct port_node;
struct iobus_state {
    _Atomic(struct port_node *) *port; /* 65536 entries, pages appear when used */
};

/* vcpu.c. mode: see the invariant at the top of that file. */
enum vcpu_mode { VCPU_OUT, VCPU_RUN, VCPU_WAIT };
struct vcpu_thread {
    struct vcpu *v;
    pthread_t tid, join;    /* tid is set by the thread, join by its maker */
    bool started, dead_end; /* dead_end: shut down, and reported already */
    _Atomic uint32_t mode;  /* futex word */
    _Atomic uint64_t seen;  /* memmap.qs at the last safe point */
    _Atomic uint64_t runs, halts, kicks;
    struct vtimer *own; /* vtimer_of_vcpu */
    int64_t wake_at;    /* timer lock: when it ends its sleep to look after timers; INT64_MAX: it does not */
};

/* vcpu.c: vm_still_begin. parked: main has parked the vCPUs, and may write guest memory by itself. */
struct still_state {
    pthread_mutex_t lock;
    _Atomic uint32_t on; /* futex word */
    _Atomic bool parked;
};

struct vm {
    struct vm_params params;
    const struct cpu_backend *be;
    void *be_data;
    bool be_inited;
    struct vm_events ev;
    void *ev_u;
    _Atomic int state; /* enum vm_state */
    bool state_loaded_or_reset;
    struct lock chipset;
    _Atomic uint32_t chipset_want;     /* threads other than vCPUs that wait for the chipset lock; futex word */
    _Atomic uint32_t chipset_sleepers; /* vCPUs that sleep on chipset_want */

    unsigned n_vcpus;
    struct vcpu *vcpu[VM_MAX_VCPUS];
    struct vcpu_thread vth[VM_MAX_VCPUS];
    struct lock park_lock; /* RANK_VCPU */
    pthread_cond_t parked, unpark;
    unsigned n_parked, n_threads;
    _Atomic bool exiting;
    struct still_state still;

    struct clock_state clk;
    struct evloop loop;
    struct memmap_state map;
    struct iobus_state bus;
    struct intr_ctl intr;
    struct ferr_ctl ferr;
    struct dev *devs; /* in order of creation */
    _Atomic uint64_t st_timers, st_posts, st_wakeups, st_commits;
};

static inline struct view_impl *view_load(struct vm *vm, bool smm)
{
    return atomic_load_explicit(&vm->map.view[smm], memory_order_acquire);
}

/* clock.c */
int clock_init(struct vm *vm, int64_t wall_offset, bool manual, struct err *e);
void clock_fini(struct vm *vm);
void clock_start(struct vm *vm); /* vCPUs parked, chipset lock held */
void clock_stop(struct vm *vm);
void clock_scale(struct vm *vm, uint64_t khz, uint64_t host_khz); /* while stopped */
void clock_load(struct vm *vm, int64_t now, uint64_t tsc); /* while stopped */
int64_t host_ns(struct vm *vm);
/* Fires up to max due timers; chipset lock held. Sets the host timer for the next one. True: more are due. */
bool clock_run_timers(struct vm *vm, unsigned max);
int64_t clock_next_due(struct vm *vm); /* INT64_MAX: none */
/*
 * For a vCPU about to sleep, so that its own timer's interrupt costs one wake-up instead of two: the host time (host_ns) at which it has
 * to wake; INT64_MAX: somebody else looks after the timers. If not, clock_duty_end has to follow.
 */
int64_t clock_duty_begin(struct vcpu_thread *t);
void clock_duty_end(struct vcpu_thread *t, bool timed_out); /* no lock held */
void clock_set_manual_now(struct vm *vm, int64_t now);

/* evloop.c */
int evloop_init(struct vm *vm, struct err *e);
int evloop_start(struct vm *vm, struct err *e);
void evloop_stop(struct vm *vm); /* ends the thread */
void evloop_fini(struct vm *vm);
void evloop_set_fds(struct vm *vm, bool on); /* waits until no handler of a watched descriptor runs. [main], no lock */
void evloop_set_timer(struct vm *vm, int64_t guest_due); /* INT64_MAX: none. Timer lock held */
bool evloop_run_posts(struct vm *vm);                    /* chipset lock held; false: there were none */

/* memmap.c */
int memmap_init(struct vm *vm, struct err *e);
void memmap_fini(struct vm *vm);
/* Frees p (with free()) when no reader can have it any more. Chipset lock held, or building. */
void memmap_retire(struct vm *vm, void *p);
/* Brackets the use of a view on any thread. */
int view_enter(struct vm *vm);
void view_leave(struct vm *vm, int token);
const struct memview *view_of(const struct view_impl *i);

/* gmem.c */
void ram_written(struct vm *vm, const struct memrange *r, gpa_t a, uint64_t n); /* dirty bits, translated code */

/* iobus.c */
int iobus_init(struct vm *vm, struct err *e);
void iobus_fini(struct vm *vm);
void vcpu_set_current(struct vcpu *v);

/* vcpu.c */
void vcpu_threads_init(struct vm *vm);
void vcpu_threads_fini(struct vm *vm);
int vcpus_start(struct vm *vm, struct err *e); /* starts threads that do not run yet */
void vcpus_ask_park(struct vm *vm);            /* [any] sets VR_PARK on all, does not wait */
void vcpus_park(struct vm *vm);                /* [main] waits until all are parked */
void vcpus_unpark(struct vm *vm);
void vcpus_join(struct vm *vm); /* ends the threads; all parked */

/* vm.c */
void vm_hold(struct vm *vm); /* [any] RUNNING -> HALTED: the vCPUs stop at their next safe point until main acts */

/* reset.c, device.c */
void devices_reset(struct vm *vm, enum reset_kind k, bool second_phase);
void devices_quiesce(struct vm *vm);
void devices_destroy(struct vm *vm);

#endif
