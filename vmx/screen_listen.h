/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening sockets of the VNC server, with errors that help. */
#ifndef LODGE_VMX_SCREEN_LISTEN_H
#define LODGE_VMX_SCREEN_LISTEN_H

#include "base/err.h"

enum { SCREEN_LISTEN_MAX = 2 };
/* Fills fd with up to two non-blocking listening sockets and *n; ip NULL or "": all addresses of both families. */
int screen_listen(const char *ip, unsigned port, int fd[SCREEN_LISTEN_MAX], int *n, struct err *e);

#endif
