/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two cascaded 8259A with the ELCR of the PIIX (ports 20h-21h, A0h-A1h, 4D0h-4D1h). */
#ifndef LODGE_CHIPSET_PIC_H
#define LODGE_CHIPSET_PIC_H

#include "core/device.h"
#include "core/irq.h"

extern const struct dev_class pic_class; /* params: none (NULL) */

/* Inputs IR0..IR15 as pins 0..15; pin 2 is the cascade and not connected. */
const struct irq_sink *pic_sink(struct dev *pic);
/* Where the master's INTR goes; intr.c calls it. [main] while building */
void pic_connect(struct dev *pic, const struct irq_line *intr);
/* Both INTA pulses: the vector (a spurious IR7 when nothing is requested any more). [dev] */
uint8_t pic_inta(struct dev *pic);
/* An edge on this pin is latched, not masked, and not acknowledged yet. [dev] */
bool pic_busy(struct dev *pic, unsigned pin);
bool pic_intr(struct dev *pic); /* level of INTR [dev] */

#endif
