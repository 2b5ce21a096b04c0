/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors of the x87 as the PC/AT reports them: FERR#, IRQ13, port F0h, IGNNE#. */
#ifndef LODGE_CHIPSET_FERR_H
#define LODGE_CHIPSET_FERR_H

#include "core/device.h"
#include "core/irq.h"

struct ferr_params {
    struct irq_line irq13;
};
extern const struct dev_class ferr_class;

#endif
