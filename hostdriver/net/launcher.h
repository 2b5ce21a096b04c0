/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher: a small child that a process forks before it enters its sandbox, because afterwards nothing can be executed. It starts only two
 * programs, lodge-vmnet and lodge-nethelper, found by itself, with a clean environment and arguments that it has checked; it ends with the last
 * channel of its owner.
 */
#ifndef LODGE_HOSTDRIVER_LAUNCHER_H
#define LODGE_HOSTDRIVER_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Forks it. Before any thread is made, outside the sandbox; once a process. */
int launcher_start(struct err *e);
/* After a fork in a test: the child has no launcher. */
void launcher_stop(void);
/*
 * A channel of one's own, a SOCK_SEQPACKET socket for netmsg; close() ends it. Requests, one at a time:
 *     vmnet                               -> ok with a socket connected to lodge-vmnet, which is started if it does not run
 *     helper, then op= and its arguments  -> the helper's answer: ok with a descriptor, or error
 * The other answer is error, text=<sentence>. [main]
 */
int launcher_channel(struct err *e);

/* $XDG_RUNTIME_DIR/lodge/vmnet.sock; false: too long. */
bool vmnet_socket_path(char *buf, size_t n);

#endif
