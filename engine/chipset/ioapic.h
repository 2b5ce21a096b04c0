/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 82093AA I/O APIC: 24 pins, sends its messages with irq_msi. */
#ifndef LODGE_CHIPSET_IOAPIC_H
#define LODGE_CHIPSET_IOAPIC_H

#include "core/device.h"
#include "core/irq.h"

extern const struct dev_class ioapic_class;
struct ioapic_params {
    gpa_t base;      /* FEC00000h */
    uint8_t id;      /* value of the ID register after reset; SeaBIOS's MADT says 0 */
    uint8_t version; /* 11h (82093AA) or 20h (with the EOI register at 40h) */
};
const struct irq_sink *ioapic_sink(struct dev *ioapic); /* pins 0..23 */
/* Vector of an unmasked edge-triggered pin in fixed or lowest-priority mode, or -1. [dev] */
int ioapic_edge_vector(struct dev *ioapic, unsigned pin);
void ioapic_eoi(void *ioapic, uint8_t vector);          /* [dev] EOI message of a local APIC */

/* The message of a level-triggered pin, masked or not; false: the pin has none. [dev] */
bool ioapic_level_route(struct dev *ioapic, unsigned pin, uint64_t *addr, uint32_t *data);

#endif
