/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VM's log file (log.fileName): lines of all threads, kept in memory until the file may be made, old files rotated. */
#ifndef LODGE_VMX_VMLOG_H
#define LODGE_VMX_VMLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

struct vmlog_params {
    const char *path;
    unsigned keep_old;    /* log.keepOld */
    uint64_t rotate_size; /* log.rotateSize; 0: only when opened */
    bool append;
    void (*want_rotate)(void *u); /* the file is full: [any]; main then calls vmlog_rotate */
    void *u;
};

void vmlog_start(bool debug);                                  /* installs the log sink; lines wait in memory [main] */
void vmlog_set_debug(bool debug);                              /* also lines for developers [main] */
int vmlog_open(const struct vmlog_params *p, struct err *e);   /* makes the file and writes what waited [main] */
void vmlog_rotate(void);                                       /* [main] */
void vmlog_close(void);                                        /* [main] */
int vmlog_fd(void);                                            /* for the crash report and the sandbox; -1: none */

#endif
