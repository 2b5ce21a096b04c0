/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting threads. */
#define _GNU_SOURCE
#include "base/thread.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int thread_start(pthread_t *t, const char *name, void *(*fn)(void *), void *arg, struct err *e)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t block, old;
    sigfillset(&block);
    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&block, own[i]);
    pthread_sigmask(SIG_SETMASK, &block, &old);
    int rc = pthread_create(t, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return err_set(e, ERR_HOST, rc,
                       "The host refused to start another thread (%s): %s. Close other programs or raise the limit of "
                       "processes.",
                       name, strerror(rc));
    char shown[16];
    snprintf(shown, sizeof shown, "%s", name);
    pthread_setname_np(*t, shown);
    return 0;
}

void thread_wants_low_latency(void)
{
    /* struct sched_attr, first version; the C library has none, and the kernel's header clashes with it. */
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {.size = sizeof a};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0))
        return;
    a.runtime = 100000; /* ns: the smallest slice the kernel takes; policy and nice value stay */
    (void)syscall(SYS_sched_setattr, 0, &a, 0);
}
