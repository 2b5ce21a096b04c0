/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reset in two phases, so that the order of devices does not matter: first every device puts its own state back,
 * touching nobody; then every device drives its lines, when all that listen are in reset already. The vCPUs come last.
 * Memory map changes of both phases are one commit.
 */
#include "core/vm_private.h"

void devices_reset(struct vm *vm, enum reset_kind k, bool second_phase)
{
    for (struct dev *d = vm->devs; d; d = d->next)
        if (d->cls->reset)
            d->cls->reset(d, k);
    if (!second_phase)
        return;
    for (struct dev *d = vm->devs; d; d = d->next)
        if (d->cls->reset_done)
            d->cls->reset_done(d);
}
