/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of lodge-vdiskmanager: making disks, and what is done with those that exist. */
#ifndef LODGE_TOOLS_VDISK_H
#define LODGE_TOOLS_VDISK_H

#include <stdbool.h>

#include "block/vmdk.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_IN_USE = 3 };

bool vdisk_stopped(void);          /* a signal asked the program to end */
void vdisk_progress(int *shown, uint64_t done, uint64_t total); /* a line with the percent, when it is another one; shown starts at -1 */
int vdisk_status(const struct err *e); /* says what went wrong; the exit status for it */

/* Makes the disk's files, with all of their space when allocate; then runs fill (may be NULL). After a failure nothing is left of them. */
struct vdisk_fill {
    int (*fill)(void *u, struct err *e);
    void *u;
};
int vdisk_create(const char *path, const struct vmdk_create_params *p, bool allocate, bool quiet, const struct vdisk_fill *f, struct err *e);

/* Each returns the exit status. adapter NULL: as the source's geometry has it. */
int vdisk_info(const char *path);
int vdisk_convert(const char *from, const char *to, enum vmdk_type type, const char *adapter, unsigned hw_version, bool quiet);
int vdisk_remove(const char *path);

#endif
