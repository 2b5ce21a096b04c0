/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting threads: named, with every signal blocked that is not caused by the thread itself. */
#ifndef LODGE_BASE_THREAD_H
#define LODGE_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

/* The thread inherits a mask that blocks everything but SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT and SIGSYS:
 * signals for the process go to main. A back end unblocks its own kick signal on its threads. name: at most 15
 * characters are shown. [any] */
int thread_start(pthread_t *t, const char *name, void *(*fn)(void *), void *arg, struct err *e);

/* The calling thread mostly sleeps and must run soon when it wakes: asks the scheduler for short time slices, which let
 * it preempt busy threads (Linux 6.12 and later; elsewhere it changes nothing). Needs no privilege. */
void thread_wants_low_latency(void);

#endif
