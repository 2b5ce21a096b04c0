/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reset in two phases, so that the order of devices does not matter: first every device puts its own state back,
 * touching nobody; then every device drives its lines, when all that listen are in reset already. The vCPUs come last.
 * Memory map changes of both phases are one commit.
 *
 * INIT is the other reset of a PC: of the processors alone. Software of the 80286's time leaves protected mode by it, with a byte in CMOS
 * (0Fh) that tells the firmware where to go on.
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

void vm_init_cpus(struct vm *vm)
{
    if (vm->params.init_is_reset) {
        vm_wish(vm, WISH_RESET);
        return;
    }
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        if (vm->intr.init)
            vm->intr.init(vm->intr.ctl, vm->vcpu[i]);
        else
            vcpu_request(vm->vcpu[i], VR_INIT);
}
