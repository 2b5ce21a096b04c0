/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which PCI slot each adapter gets, and which bridges that needs. Guests name interfaces by these numbers (ens33, ens160), so they stay. */
#include "net_slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/vmx_schema.h"

enum {
    FIRST_SLOT = 18,   /* on bus 0, for adapters without a bridge: past what VMware's guests have below */
    FIRST_BEHIND = 33, /* behind pciBridge0: VMware's first adapter is there; 32 is the USB controller's */
    ROOT_PORTS = 4,    /* the first root port's index */
};

bool pci_plan_express(int bridge) { return bridge >= ROOT_PORTS; }

unsigned pci_plan_first_slot(int bridge, unsigned function) { return ((unsigned)bridge + 1) * 32 + function; }

static bool decode(int64_t number, struct pci_place *out)
{
    if (number < 0 || number > 0x1fff)
        return false;
    *out = (struct pci_place){.number = (unsigned)number, .bridge = (int8_t)((number >> 5 & 31) - 1), .function = (uint8_t)(number >> 10),
                              .device = number & 31};
    if (out->bridge < 0)
        return !out->function;
    return pci_plan_express(out->bridge) ? out->bridge < PCI_BRIDGES && !out->device : !out->bridge && !out->function;
}

bool pci_plan_known(int64_t number)
{
    struct pci_place p;
    return decode(number, &p);
}

bool pci_plan_take(struct pci_plan *p, int64_t number, struct pci_place *out)
{
    struct pci_place at;
    if (!decode(number, &at))
        return false;
    uint32_t *taken = at.bridge < 0 ? &p->bus0 : &p->bridge[at.bridge].taken[at.function], bit = 1u << at.device;
    if (*taken & bit)
        return false;
    *taken |= bit;
    *out = at;
    return true;
}

/* "scsi0.pciSlotNumber" and the like. */
static bool of_other_device(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && !strcasecmp(dot, ".pciSlotNumber") && strncasecmp(name, "ethernet", 8);
}

void pci_plan_init(struct pci_plan *p, const struct vmx_dict *d)
{
    struct vmx_iter it = {0};
    struct vmx_entry e;
    *p = (struct pci_plan){.bus0 = 1u << 0 | 1u << 1 | 1u << 7 | 1u << 15}; /* host bridge, its AGP port, PIIX4, SVGA */
    for (int i = 0; i < PCI_BRIDGES; i += i ? 1 : ROOT_PORTS) {
        char key[40];
        snprintf(key, sizeof key, "pciBridge%d.functions", i);
        if (vmx_get_bool_f(d, "pciBridge%d.present", i))
            p->bridge[i].asked = pci_plan_express(i) ? (uint8_t)vmx_get_int(d, key) : 1;
    }
    while (vmx_dict_next(d, &it, &e)) {
        long n = of_other_device(e.name) ? strtol(e.value, NULL, 10) : -1;
        if (n >= 0 && n < 512)
            p->others[n / 64] |= 1ull << n % 64;
    }
}

static bool try_number(struct pci_plan *p, unsigned number, struct pci_place *out)
{
    return !(number < 512 && p->others[number / 64] >> number % 64 & 1) && pci_plan_take(p, number, out);
}

void pci_plan_choose(struct pci_plan *p, bool express, unsigned index, struct pci_place *out)
{
    if (express)
        for (unsigned f = 0; f < 8; f++)
            for (unsigned b = ROOT_PORTS; b < PCI_BRIDGES; b++)
                if (f < p->bridge[b].asked && try_number(p, (b + 1) * 32 | f << 10, out))
                    return;
    for (unsigned n = FIRST_BEHIND; p->bridge[0].asked && n < 64; n++)
        if (try_number(p, n, out))
            return;
    /* Its own place on bus 0 first, so that adding and removing other adapters does not move it. */
    unsigned s = FIRST_SLOT + index;
    for (unsigned k = 0; !pci_plan_take(p, s, out) && k < 32; k++)
        s = s == 31 ? 2 : s + 1;
}

void pci_plan_settle(struct pci_plan *p, const struct vmx_dict *d)
{
    char key[40];
    for (int i = 0; i < PCI_BRIDGES; i++) {
        struct pci_plan_bridge *b = &p->bridge[i];
        struct pci_place at = {0};
        for (unsigned f = 0; f < 8; f++)
            b->functions |= b->taken[f] ? (uint8_t)(1u << f | 1) : 0;
        if (!b->functions)
            continue;
        int64_t want = vmx_get_int(d, (snprintf(key, sizeof key, "pciBridge%d.pciSlotNumber", i), key));
        unsigned usual = i ? 17u + (unsigned)i : 17;
        bool found = (want > 0 && want < 32 && pci_plan_take(p, want, &at)) || pci_plan_take(p, usual, &at);
        for (unsigned s = 31; s > 1 && !found; s--)
            found = pci_plan_take(p, s, &at);
        b->device = at.device;
    }
}

uint8_t pci_plan_devfn(const struct pci_plan *p, int bridge, unsigned function)
{
    return (uint8_t)(p->bridge[bridge].device << 3 | function);
}

unsigned pci_plan_acpi(const struct pci_plan *p, struct acpi_bridge out[ACPI_MAX_BRIDGES])
{
    unsigned n = 0;
    for (int i = 0; i < PCI_BRIDGES; i++)
        for (unsigned f = 0; f < 8; f++)
            if (p->bridge[i].device && p->bridge[i].functions >> f & 1)
                out[n++] = (struct acpi_bridge){.devfn = pci_plan_devfn(p, i, f), .n = pci_plan_express(i) ? 1 : 32,
                                                .first = (uint16_t)pci_plan_first_slot(i, f)};
    return n;
}
