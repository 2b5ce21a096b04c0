/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest time is one monotonic ns counter that stops in pause; every device uses it, none asks the host. */
#ifndef LODGE_CORE_CLOCK_H
#define LODGE_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vtimer {
    struct vm *vm;
    int64_t due; /* absolute guest ns; -1 = not armed */
    void (*fire)(void *dev);
    void *dev;
    unsigned heap_pos;
};

int64_t clock_now(struct vm *vm);  /* [any] ns since power on, not counting pauses */
int64_t clock_wall(struct vm *vm); /* [any] guest wall clock, ns since 1970 UTC = offset + clock_now; RTC base */
void vtimer_init(struct vtimer *t, struct vm *vm, void (*fire)(void *), void *dev);
void vtimer_arm(struct vtimer *t, int64_t due); /* [dev] absolute; saved as absolute; survives pause */
void vtimer_cancel(struct vtimer *t);           /* [dev] fire() will not run after return */

/*
 * Guest TSC = host TSC + clock_tsc_offset, the same on all vCPUs, running at clock_tsc_khz (measured against CLOCK_MONOTONIC when the
 * vm is made). The offset changes only while all vCPUs are parked. clock_tsc_to_ns gives the clock_now() at which the TSC has that value.
 */
uint64_t clock_tsc(struct vm *vm);
uint64_t clock_tsc_khz(struct vm *vm);
int64_t clock_tsc_offset(struct vm *vm);
int64_t clock_tsc_to_ns(struct vm *vm, uint64_t tsc);

#endif
