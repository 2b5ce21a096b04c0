/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices: made by vmx/machine.c one after the other, kept in that order, destroyed in the reverse order. */
#include "core/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/vm_private.h"

struct dev *dev_find(struct vm *vm, const char *id)
{
    for (struct dev *d = vm->devs; d; d = d->next)
        if (!strcmp(d->id, id))
            return d;
    return NULL;
}

struct dev *dev_create(struct vm *vm, const struct dev_class *c, const char *id, const void *params, struct err *e)
{
    ASSERT(c->size >= sizeof(struct dev));
    if (dev_find(vm, id)) {
        err_set(e, ERR_CONFIG, 0, "Two devices are called \"%s\".", id);
        return NULL;
    }
    /* The id stands behind the device, so that one free() ends both. 64: for members that ask for a cache line. */
    size_t size = (c->size + strlen(id) + 1 + 63) & ~(size_t)63;
    struct dev *d = aligned_alloc(64, size);
    if (!d) {
        err_set(e, ERR_NOMEM, 0, "Out of memory for the device %s.", id);
        return NULL;
    }
    memset(d, 0, size);
    char *name = (char *)d + c->size;
    memcpy(name, id, strlen(id) + 1);
    d->cls = c;
    d->vm = vm;
    d->id = name;
    if (c->init && c->init(d, params, e)) {
        free(d);
        return NULL;
    }
    struct dev **p = &vm->devs;
    while (*p)
        p = &(*p)->next;
    *p = d;
    return d;
}

void devices_quiesce(struct vm *vm)
{
    for (struct dev *d = vm->devs; d; d = d->next)
        if (d->cls->quiesce)
            d->cls->quiesce(d);
}

void devices_destroy(struct vm *vm)
{
    while (vm->devs) {
        struct dev **p = &vm->devs;
        while ((*p)->next)
            p = &(*p)->next;
        struct dev *d = *p;
        *p = NULL;
        if (d->cls->destroy)
            d->cls->destroy(d);
        free(d);
    }
}
