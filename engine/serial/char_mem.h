/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A chardev in memory, for tests and for the control API: output is collected, input is fed. */
#ifndef LODGE_SERIAL_CHAR_MEM_H
#define LODGE_SERIAL_CHAR_MEM_H

#include "serial/char.h"

struct chardev *char_mem_new(size_t keep); /* the last keep bytes of output are kept */
/* [dev] delivered as the front end has room; at most 64 KiB waits */
void char_mem_feed(struct chardev *c, const void *data, size_t n);
size_t char_mem_take(struct chardev *c, void *buf, size_t n);      /* [dev] removes collected output */
size_t char_mem_pending(const struct chardev *c);                  /* fed but not delivered */
void char_mem_stall(struct chardev *c, bool stalled); /* [dev] stalled: write takes nothing until cleared */
void char_mem_lines(const struct chardev *c, bool *dtr, bool *rts);
void char_mem_free(struct chardev *c);

#endif
