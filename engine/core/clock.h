/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest time is one monotonic ns counter that stops in pause; every device uses it, none asks the host. */
#ifndef LODGE_CORE_CLOCK_H
#define LODGE_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;
/* A reading of the host's TSC and CLOCK_BOOTTIME at one moment. */
struct clock_mark {
    uint64_t tsc;
    int64_t ns;
    uint64_t window; /* TSC ticks around the reading of ns: how wrong the pair can be */
};
struct clock_mark clock_mark(void); /* [any] takes some ten microseconds */

struct vtimer {
    struct vm *vm;
    int64_t due; /* absolute guest ns; -1 = not armed */
    void (*fire)(void *dev);
    void *dev;
    unsigned heap_pos;
    bool on_vcpu; /* fire() may also run on a vCPU's thread (chipset lock held), which spares a wake-up: set after vtimer_init */
    bool taken;   /* clock.c: a sleeping vCPU has it */
};

int64_t clock_now(struct vm *vm);  /* [any] ns since power on, not counting pauses */
int64_t clock_real(struct vm *vm); /* [any] ns that go on in pauses, since no particular time */
int64_t clock_wall(struct vm *vm); /* [any] guest wall clock, ns since 1970 UTC = offset + clock_now; RTC base */
void clock_set_wall_offset(struct vm *vm, int64_t offset); /* [any] clock_wall() = offset + clock_now() */

/*
 * fire() runs on the chipset thread with the chipset lock held, the timer no longer armed; it may arm it again. Arm and
 * cancel may also be called without the chipset lock (a lapic on its vCPU's thread): then a fire() for the deadline
 * just replaced may still be under way, and the caller's fire() must check the time itself. Both are cheap: the chipset
 * thread is not woken, and the host's timer is touched only when the earliest deadline of all moves earlier.
 */
void vtimer_init(struct vtimer *t, struct vm *vm, void (*fire)(void *), void *dev); /* [main] before any other use */
/* Before it is armed first: t is the timer that v sleeps by, and on_vcpu. A vCPU has one. */
void vtimer_of_vcpu(struct vtimer *t, struct vcpu *v);
/* [any] absolute (past: fires at once); survives pause; replaces an earlier deadline */
void vtimer_arm(struct vtimer *t, int64_t due);
void vtimer_cancel(struct vtimer *t); /* [any] with the chipset lock held, fire() will not run after return */
static inline bool vtimer_armed(const struct vtimer *t) { return __atomic_load_n(&t->due, __ATOMIC_RELAXED) >= 0; }

/*
 * Guest TSC = host TSC + clock_tsc_offset, the same on all vCPUs, running at clock_tsc_khz (measured against
 * CLOCK_BOOTTIME when the vm is made). A state that was saved on a host with another rate keeps its own where the engine can scale
 * (clock_tsc_scaled): then it is the scaled host TSC. The offset changes only while all vCPUs are parked. clock_tsc_to_ns gives the
 * clock_now() at which the TSC has that value; it counts from the present, so that the two clocks' drift never adds up:
 * use it for deadlines.
 */
uint64_t clock_tsc(struct vm *vm);
uint64_t clock_tsc_khz(struct vm *vm);
bool clock_tsc_scaled(struct vm *vm);
int64_t clock_tsc_offset(struct vm *vm);
int64_t clock_tsc_to_ns(struct vm *vm, uint64_t tsc);

#endif
