/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting threads. */
#define _GNU_SOURCE
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

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
