/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System control port A (92h): fast A20 gate and fast reset. */
#ifndef LODGE_CHIPSET_PORT92_H
#define LODGE_CHIPSET_PORT92_H

#include "core/device.h"
#include "core/irq.h"

struct port92_params {
    struct irq_line a20; /* i440_a20_sink, src A20_SRC_PORT92 */
};
extern const struct dev_class port92_class;

#endif
