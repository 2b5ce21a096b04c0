/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMware backdoor, ports 5658h and 5659h: version, time, TSC frequency, vmmouse. */
#ifndef LODGE_GUEST_BACKDOOR_H
#define LODGE_GUEST_BACKDOOR_H

#include "core/device.h"
#include "core/iobus.h"

struct input;

/* The guest's registers at the IN or OUT instruction, 32 bits each, and the privilege it runs with (read only). */
struct backdoor_regs {
    uint32_t eax, ebx, ecx, edx, esi, edi, ebp;
    uint8_t cpl, iopl;
};

extern const struct dev_class backdoor_class;
struct backdoor_params {
    /* Registers of the vCPU whose IN or OUT is being executed (v = vcpu_current()). After IN, eax is the value that the port returns, set_regs
     * need not store it; the others are stored zero-extended. [vcpu], chipset lock held */
    void (*get_regs)(void *u, struct vcpu *v, struct backdoor_regs *r);
    void (*set_regs)(void *u, struct vcpu *v, const struct backdoor_regs *r);
    void *regs_u;

    uint8_t uuid[16];       /* uuid.bios */
    uint32_t mem_mb;        /* memsize */
    uint32_t hw_version;    /* virtualHW.version */
    uint32_t product;       /* 4: Workstation */
    uint32_t build;         /* GETBUILDNUM */
    uint64_t bus_hz;        /* as lapic_params.bus_hz */
    bool legacy_x2apic;     /* x2APIC may be used without interrupt remapping */
    bool vmmouse;           /* offer the absolute pointer */
    struct input *input;    /* for the vmmouse sink; NULL: none */
    void (*mouse_poke)(void *u); /* makes the PS/2 mouse send a packet: the guest then reads the vmmouse queue. [dev] */
    void *mouse_poke_u;
    bool (*screen_size)(void *u, uint32_t *w, uint32_t *h); /* may be NULL. [dev] */
    void *screen_u;
};

#endif
