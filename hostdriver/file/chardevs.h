/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What serial and parallel ports can be connected to on this host. All give NULL and *e on failure; chardev_ops.close
 * frees. [main] */
#ifndef LODGE_HOSTDRIVER_FILE_CHARDEVS_H
#define LODGE_HOSTDRIVER_FILE_CHARDEVS_H

#include <stdbool.h>

#include "base/err.h"
#include "serial/char.h"

struct vm;

/* serialN.fileType = "file": output only, added to the end of the file at once, so that it can be followed. */
struct chardev *char_file_open(struct vm *vm, const char *path, struct err *e);
/* serialN.fileType = "pipe": a Unix stream socket at path. server: makes it and takes one peer at a time; else connects
 * to it. */
struct chardev *char_pipe_open(struct vm *vm, const char *path, bool server, struct err *e);
/* serialN.fileType = "pty": a new pseudo terminal, whose name char_pty_path gives. */
struct chardev *char_pty_open(struct vm *vm, struct err *e);
const char *char_pty_path(const struct chardev *c);
/* The process' standard input and output; a terminal is put into raw mode until close. */
struct chardev *char_stdio_open(struct vm *vm, struct err *e);

#endif
