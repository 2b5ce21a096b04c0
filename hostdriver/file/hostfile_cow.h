/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host file whose writes are thrown away at close (disk mode independent-nonpersistent). */
#ifndef LODGE_HOSTDRIVER_FILE_HOSTFILE_COW_H
#define LODGE_HOSTDRIVER_FILE_HOSTFILE_COW_H

#include "block/blk.h"

/* Takes over *base (opened read-only), also on failure. What is written goes to a nameless file in the temporary folder. [main] */
int hostfile_cow(struct hostfile *out, const struct hostfile *base, struct err *e);

#endif
