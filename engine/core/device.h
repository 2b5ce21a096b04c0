/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LODGE_CORE_DEVICE_H
#define LODGE_CORE_DEVICE_H

#include <stddef.h>

#include "base/err.h"
#include "core/state.h"

struct vm;
struct dev;
enum reset_kind { RESET_COLD, RESET_WARM, RESET_BUS };

struct dev_class {
    const char *name;
    size_t size;
    /* claim ports/regions, allocate; no guest-visible effect */
    int (*init)(struct dev *d, const void *params, struct err *e);
    /* phase 1: own state only; no lines, no memory, no other device */
    void (*reset)(struct dev *d, enum reset_kind k);
    /* phase 2: may drive lines; runs when all are in reset */
    void (*reset_done)(struct dev *d);
    /* [main] no lock; before save/reset/destroy: no request in flight when it returns (chipset_drain) */
    void (*quiesce)(struct dev *d);
    void (*destroy)(struct dev *d);
    const struct state_desc *state; /* NULL only if there is no guest-visible state */
};

/* First member of every device; id, e.g. "ide0", names its section. Zeroed memory before init. */
struct dev {
    const struct dev_class *cls;
    struct vm *vm;
    const char *id;
    struct dev *next;
};

/* Allocates cls->size bytes, calls init, links the device to the vm (which destroys it). id is copied. [main] */
struct dev *dev_create(struct vm *vm, const struct dev_class *c, const char *id, const void *params, struct err *e);
struct dev *dev_find(struct vm *vm, const char *id); /* NULL: none */

#endif
