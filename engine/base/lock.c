/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mutexes with ranks. Debug builds keep a list of what each thread holds; release builds add nothing to the mutex. */
#define _GNU_SOURCE
#include "base/lock.h"

#include "base/assert.h"

#ifdef LODGE_DEBUG
static __thread const struct lock *held[RANK_COUNT];
static __thread unsigned n_held;

static void note_take(const struct lock *l)
{
    ASSERT(n_held < RANK_COUNT);
    for (unsigned i = 0; i < n_held; i++)
        ASSERT(held[i]->rank < l->rank);
    held[n_held++] = l;
}

static void note_drop(const struct lock *l)
{
    unsigned i = n_held;
    while (i && held[i - 1] != l)
        i--;
    ASSERT(i); /* dropping what this thread does not hold */
    for (n_held--; i <= n_held; i++)
        held[i - 1] = held[i];
}
#else
static inline void note_take(const struct lock *l) { (void)l; }
static inline void note_drop(const struct lock *l) { (void)l; }
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    /* Critical sections are short: spinning a little before sleeping saves two context switches. */
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&l->m, &a);
    pthread_mutexattr_destroy(&a);
    l->rank = rank;
}

void lock_fini(struct lock *l) { pthread_mutex_destroy(&l->m); }

void lock_take(struct lock *l)
{
    note_take(l);
    pthread_mutex_lock(&l->m);
}

bool lock_try(struct lock *l)
{
    if (pthread_mutex_trylock(&l->m) != 0)
        return false;
    note_take(l);
    return true;
}

void lock_drop(struct lock *l)
{
    note_drop(l);
    pthread_mutex_unlock(&l->m);
}

bool lock_held(const struct lock *l)
{
#ifdef LODGE_DEBUG
    for (unsigned i = 0; i < n_held; i++)
        if (held[i] == l)
            return true;
    return false;
#else
    (void)l;
    return true;
#endif
}

bool lock_none_held(void)
{
#ifdef LODGE_DEBUG
    return n_held == 0;
#else
    return true;
#endif
}
