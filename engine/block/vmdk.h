/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making VMDK disks. Opening one is blk_open's work. */
#ifndef LODGE_BLOCK_VMDK_H
#define LODGE_BLOCK_VMDK_H

#include <stdint.h>

#include "block/blk.h"

enum vmdk_type { VMDK_MONOLITHIC_SPARSE, VMDK_TWOGB_SPARSE, VMDK_MONOLITHIC_FLAT, VMDK_TWOGB_FLAT };

struct vmdk_create_params {
    enum vmdk_type type;
    uint64_t size;       /* bytes, rounded up to whole sectors */
    const char *adapter; /* ddb.adapterType: "ide", "lsilogic", "buslogic"; decides the geometry */
    unsigned hw_version; /* ddb.virtualHWVersion */
    uint64_t split;      /* sectors of one extent of the TWOGB types; 0 = 4192256, as VMware makes them */
};

/* Makes a file that does not exist yet, readable and writable; name is the disk's own name or one beside it (an
 * extent). */
struct vmdk_creator {
    int (*create)(void *u, const char *name, struct hostfile *out, struct err *e);
    void *u;
};

/* name: "disk.vmdk", without folders. What was made before a failure is left to the caller to remove. [main] */
int vmdk_create(const char *name, const struct vmdk_create_params *p, const struct vmdk_creator *c, struct err *e);

#endif
