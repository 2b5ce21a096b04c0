/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt glue: PIC + IOAPIC + local APICs as the CPU back ends see them (struct intr_ctl), and the ISA interrupt lines.
 * Create it after the three; it connects them to each other and registers itself with intr_set_ctl.
 */
#ifndef LODGE_CHIPSET_INTR_H
#define LODGE_CHIPSET_INTR_H

#include "core/device.h"
#include "core/irq.h"

extern const struct dev_class intr_class;
struct intr_params {
    struct dev *pic, *ioapic;
    struct dev *lapic; /* unused while the CPU back end has its own (cpu_backend.lapic). NULL, in tests: */
    void (*msi)(void *u, uint64_t addr, uint32_t data); /* where MSIs and the IOAPIC's messages go [dev] */
    void *msi_u;
};
/* ISA lines 0..15: each goes to the PIC and to the IOAPIC pin of the same number, IRQ0 to IOAPIC pin 2. PIRQ outputs go here too.
 * src bits in use: 0 for the ISA device of that IRQ; PCI routers take others. */
const struct irq_sink *intr_isa_sink(struct dev *intr);
/* NMI input (LINT1 of every local APIC) as pin 0. */
const struct irq_sink *intr_nmi_sink(struct dev *intr);

#endif
