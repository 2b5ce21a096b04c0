/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory the host has left for this process: of the computer, and of the control groups that it is in. */
#ifndef LODGE_HOSTDRIVER_MEM_ROOM_H
#define LODGE_HOSTDRIVER_MEM_ROOM_H

#include <stdint.h>

struct room;
struct room *room_open(void); /* opens files in /proc and /sys; NULL: no memory. [main] */
void room_close(struct room *r);

struct room_left {
    uint64_t left, total; /* bytes of the tightest of all; left counts free swap */
    uint64_t ram, swap;   /* what can be given without swapping; free swap of the computer */
    const char *what;     /* "computer" or "control group" */
};
void room_left(struct room *r, struct room_left *out); /* [any] reads only what is open */

#endif
