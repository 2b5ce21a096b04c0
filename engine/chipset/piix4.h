/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel 82371AB PIIX4, function 0: PCI to ISA bridge (8086:7110), router of PIRQA#-PIRQD#. */
#ifndef LODGE_CHIPSET_PIIX4_H
#define LODGE_CHIPSET_PIIX4_H

#include "core/device.h"
#include "core/irq.h"

struct pci_bus;
#define PIIX4_DEVFN_ISA 0x38 /* 00:07.0, as the DSDT says; function 1: IDE, function 3: power management */
#define PIIX4_DEVFN_IDE 0x39
#define PIIX4_DEVFN_PM 0x3B

struct piix4_params {
    struct pci_bus *bus;
    uint8_t devfn;              /* PIIX4_DEVFN_ISA */
    const struct irq_sink *isa; /* pins 0-15: ISA interrupts (8259 pair and I/O APIC inputs 0-15 together) */
    uint16_t isa_src;           /* our bit in their OR words */
    struct irq_line gsi[4];     /* PIRQA#-PIRQD# as the I/O APIC sees them: inputs 16-19 */
};
extern const struct dev_class piix4_class;

#endif
