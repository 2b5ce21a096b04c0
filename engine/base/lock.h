/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mutexes with ranks. A thread takes locks only in strictly rising rank; debug builds (--enable-debug) assert it. */
#ifndef LODGE_BASE_LOCK_H
#define LODGE_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

enum lock_rank {
    RANK_POWER,   /* vmx/power.c: state machine */
    RANK_CHIPSET, /* all device models (DESIGN: one chipset lock) */
    RANK_INTR,    /* interrupt controllers that work without the chipset lock (lapic) */
    RANK_VIEW,    /* memory map commit */
    RANK_BTCACHE, /* translator: shared code-page bookkeeping */
    RANK_BLK,     /* block request queues */
    RANK_VCPU,    /* the vCPUs' park state */
    RANK_EVLOOP,  /* chipset thread: its list of watched descriptors */
    RANK_TIMER,   /* the heap of vtimers */
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
bool lock_try(struct lock *l); /* false: another thread has it */
void lock_drop(struct lock *l);
/* True when the calling thread holds l; always true in release builds: for assertions only. */
bool lock_held(const struct lock *l);
/* True when the calling thread holds no lock at all; always true in release builds. */
bool lock_none_held(void);

#endif
