/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks that die with their process. */
#ifndef LODGE_HOSTDRIVER_FILE_FILELOCK_H
#define LODGE_HOSTDRIVER_FILE_FILELOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct filelock {
    int fd;
    char *path;
};

/*
 * Takes the lock file at path (made when it is missing) for this process. ERR_BUSY with "... (process N)" when another
 * process has it; what is the sentence's subject, e.g. "The virtual machine Debian.vmx". A file left over by a dead
 * process is no obstacle. [main]
 */
int filelock_take(struct filelock *l, const char *path, const char *what, struct err *e);
void filelock_drop(struct filelock *l); /* removes the file; harmless when the lock is not held */
/* The process that has the lock file, 0 when none has it, -1 when it cannot be known. Takes no lock. */
pid_t filelock_holder(const char *path);

/* Whole-file lock on an open file (an open file description lock); exclusive needs a writable fd. */
int filelock_fd(int fd, bool exclusive, const char *name, struct err *e);

#endif
