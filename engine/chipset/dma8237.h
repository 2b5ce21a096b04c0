/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two cascaded 8237A DMA controllers with the page registers (ports 00h-0Fh, C0h-DFh, 80h-8Fh). */
#ifndef LODGE_CHIPSET_DMA8237_H
#define LODGE_CHIPSET_DMA8237_H

#include "chipset/isa_dma.h"
#include "core/device.h"

extern const struct dev_class dma8237_class; /* params: none (NULL). Claims 80h-8Fh, POST port 80h included */
const struct isa_dma *dma8237_iface(struct dev *d);

#endif
