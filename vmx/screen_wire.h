/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connections of VNC viewers: between their sockets and the VNC library, which waits where it should not. */
#ifndef LODGE_VMX_SCREEN_WIRE_H
#define LODGE_VMX_SCREEN_WIRE_H

#include <stdbool.h>

#include "base/err.h"

enum { WIRE_MAX = 48 }; /* viewers at one time */

struct wire;

struct wire_params {
    const int *listen; /* sockets that listen; they stay the caller's */
    int n_listen;
    bool password;
    /* Somebody who speaks RFB has come. The library serves fd, which is the caller's from now on; host is the viewer's address. On wire's thread. */
    void (*viewer)(void *u, int fd, const char *host);
    void *u;
    void (*thread_started)(void *u, const char *kind); /* "screen"; may be NULL */
    void *thread_started_u;
};

struct wire *wire_start(const struct wire_params *p, struct err *e);
void wire_stop(struct wire *w); /* closes all connections: who reads or writes an fd of theirs does not wait any more. NULL is allowed */

#endif
