/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel 82371AB PIIX4, function 3: power management (ACPI, PM timer, SMI command) and SMBus (8086:7113). */
#ifndef LODGE_CHIPSET_PM_H
#define LODGE_CHIPSET_PM_H

#include "core/device.h"
#include "core/irq.h"

struct pci_bus;
struct pm_params {
    struct pci_bus *bus;
    uint8_t devfn;       /* PIIX4_DEVFN_PM */
    struct irq_line sci; /* ISA interrupt 9 */
    bool smm;            /* the CPU back end has SMM; false: firmware finds SMM set up already, and never raises an SMI */
};
extern const struct dev_class pm_class;

/* The power button: an ACPI event when the guest handles power management, else the machine goes off at once. [dev] */
void pm_power_button(struct dev *d);
/* Wakes and tells the guest that its general-purpose event n (0-15) happened. [dev] */
void pm_gpe(struct dev *d, unsigned n);
/* Where the RTC's alarm line goes, pin 0: its rising edge sets RTC_STS. */
const struct irq_sink *pm_rtc_sink(struct dev *d);

#endif
