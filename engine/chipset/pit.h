/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8254 interval timer (ports 40h-43h) and port 61h: speaker gate, refresh toggle, NMI status bits. */
#ifndef LODGE_CHIPSET_PIT_H
#define LODGE_CHIPSET_PIT_H

#include "core/device.h"
#include "core/irq.h"

extern const struct dev_class pit_class;
struct pit_params {
    struct irq_line irq0; /* OUT0: pin 0 of hpet_legacy_sink, or of the ISA sink when there is no HPET */
    /* The speaker changed: on, and the divisor of 1193182 Hz (0 = steady level, no tone). May be NULL. [dev] */
    void (*speaker)(void *u, bool on, uint32_t divisor);
    void *speaker_u;
};

#endif
