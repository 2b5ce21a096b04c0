/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mutexes with ranks. A thread takes locks only in rising rank; debug builds assert it. */
#ifndef LODGE_BASE_LOCK_H
#define LODGE_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

enum lock_rank {
    RANK_POWER,   /* vmx/power.c: state machine */
    RANK_CHIPSET, /* all device models (DESIGN: one chipset lock) */
    RANK_VIEW,    /* memory map commit */
    RANK_BTCACHE, /* translator: shared code-page bookkeeping */
    RANK_BLK,     /* block request queues */
    RANK_VCPU,    /* a vCPU's park/wake state */
    RANK_LOG,
    RANK_COUNT
};

struct lock {
    pthread_mutex_t m;
    enum lock_rank rank;
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);
/* True when the calling thread holds l; always true in release builds: for assertions only. */
bool lock_held(const struct lock *l);

#endif
