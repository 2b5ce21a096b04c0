/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hostfile_ops (block/blk.h) on a Linux file descriptor. */
#ifndef LODGE_HOSTDRIVER_FILE_HOSTFILE_H
#define LODGE_HOSTDRIVER_FILE_HOSTFILE_H

#include <stdbool.h>

#include "block/blk.h"

/* Takes over fd, also on failure. It must be a regular file or a block device; name is for messages. [main] */
int hostfile_from_fd(struct hostfile *out, int fd, const char *name, bool read_only, struct err *e);
/* Opens path (relative to dirfd, which may be AT_FDCWD). */
int hostfile_open(struct hostfile *out, int dirfd, const char *path, bool read_only, struct err *e);
/* Makes path; it is an error when it exists. */
int hostfile_create(struct hostfile *out, int dirfd, const char *path, struct err *e);

#endif
