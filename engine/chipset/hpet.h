/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IA-PC HPET 1.0a: 64-bit counter at 14.318180 MHz (69841279 fs), 3 to 32 timers. */
#ifndef LODGE_CHIPSET_HPET_H
#define LODGE_CHIPSET_HPET_H

#include "core/device.h"
#include "core/irq.h"

#define HPET_PERIOD_FS 69841279u

extern const struct dev_class hpet_class;
struct hpet_params {
    gpa_t base;                  /* FED00000h */
    unsigned n_timers;           /* 3..32 */
    bool msi;                    /* timers can deliver by FSB message */
    struct irq_line irq0, irq8;  /* lines of the ISA sink (pins 0 and 8) */
    const struct irq_sink *ioapic; /* for routed interrupts */
    uint16_t ioapic_src;         /* src bit on IOAPIC pins */
    uint32_t route_cap;          /* IOAPIC pins that each timer may use, e.g. 00F00000h (pins 20-23) */
};
/* Pin 0 takes the PIT's OUT0, pin 8 the RTC's IRQ: passed on to irq0 and irq8, except while legacy replacement is on. */
const struct irq_sink *hpet_legacy_sink(struct dev *hpet);

#endif
