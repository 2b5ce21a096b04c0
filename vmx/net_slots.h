/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI slots as .vmx files number them: device | B << 5 | function << 10. B is 0 on bus 0, otherwise a bridge's index plus one, and function is
 * that bridge's. pciBridge0 is a PCI bridge with devices 0 to 31 (slots 32 to 63), pciBridge4 to 7 are root ports with eight
 * functions and one device behind each (160, 192, 224, 256, then 1184 ...).
 */
#ifndef LODGE_VMX_NET_SLOTS_H
#define LODGE_VMX_NET_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "chipset/acpi_tables.h"
#include "config/vmx_dict.h"

enum { PCI_BRIDGES = 8 }; /* indexes 0 and 4 to 7 are used */
struct pci_plan_bridge {
    uint8_t asked;      /* functions of pciBridgeN, when present: new adapters may go behind so many */
    uint8_t device;     /* on bus 0; 0: nothing is behind it, so it is not in the machine */
    uint8_t functions;  /* one bit each; function 0 always when there is any */
    uint32_t taken[8];  /* devices behind each function */
};
struct pci_plan {
    uint32_t bus0;      /* devices that are taken */
    struct pci_plan_bridge bridge[PCI_BRIDGES];
    uint64_t others[8]; /* numbers below 512 that the file gives to devices that are no adapters */
};
/* Where an adapter is. */
struct pci_place {
    unsigned number; /* as pciSlotNumber has it */
    int8_t bridge;   /* index, or -1: bus 0 */
    uint8_t function, device;
};

void pci_plan_init(struct pci_plan *p, const struct vmx_dict *d);
bool pci_plan_known(int64_t number);                                              /* this machine can have such a slot */
bool pci_plan_take(struct pci_plan *p, int64_t number, struct pci_place *out);    /* false: taken */
void pci_plan_choose(struct pci_plan *p, bool express, unsigned index, struct pci_place *out); /* a free one for adapter number index */
void pci_plan_settle(struct pci_plan *p, const struct vmx_dict *d);               /* after all: gives the bridges their devices on bus 0 */
bool pci_plan_express(int bridge);
uint8_t pci_plan_devfn(const struct pci_plan *p, int bridge, unsigned function);  /* of the bridge */
unsigned pci_plan_first_slot(int bridge, unsigned function);                      /* number by which the guest calls device 0 behind it */
unsigned pci_plan_acpi(const struct pci_plan *p, struct acpi_bridge out[ACPI_MAX_BRIDGES]);

#endif
