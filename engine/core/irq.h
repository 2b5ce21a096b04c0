/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line is a small value owned by its source. Level state belongs to the source, wired-OR to the sink. */
#ifndef LODGE_CORE_IRQ_H
#define LODGE_CORE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "core/iobus.h"

struct irq_sink {
    void (*set)(void *ctl, unsigned pin, unsigned src, bool level);
    void *ctl;
    /* Optional: an edge of this pin was accepted and still waits for the CPU: another one would be lost. [dev] */
    bool (*busy)(void *ctl, unsigned pin);
};
struct irq_line {
    const struct irq_sink *sink; /* NULL: not connected, calls do nothing */
    uint16_t pin, src;           /* src: bit (0..31) in the sink's OR word, so that sharing works */
};
void irq_set(const struct irq_line *l, bool level);        /* [dev] idempotent */
void irq_pulse(const struct irq_line *l);                  /* [dev] edge devices only */
bool irq_busy(const struct irq_line *l);                   /* [dev] periodic sources ask, and give their tick later */
void irq_msi(struct vm *vm, uint64_t addr, uint32_t data); /* [dev] */
/* A level-triggered entry of the IOAPIC has changed: a back end with local APICs of its own must know which vectors are
 * level-triggered, to tell of their EOI. [dev] */
void irq_routes_changed(struct vm *vm);

/* One local APIC as a back end with CPUCAP_OWN_LAPIC keeps it: the registers as in the page at FEE00000h (SDM table
 * 10-1), one word for each 16 bytes. A register's number is its offset / 16. */
struct lapic_image {
    uint32_t reg[64];
    uint64_t base;         /* IA32_APIC_BASE */
    uint64_t tsc_deadline; /* in terms of clock_tsc() */
};
struct lapic_host {
    void (*get)(struct vcpu *v, struct lapic_image *out); /* vCPUs parked */
    int (*set)(struct vcpu *v, const struct lapic_image *in, struct err *e); /* vCPUs parked, or building */
    void (*msi)(struct vm *vm, uint64_t addr, uint32_t data);                /* [any] */
    void (*nmi_pin)(struct vm *vm);                                          /* [any] LINT1 of all of them rises */
    void (*routes_changed)(struct vm *vm);                                   /* [dev] */
};

/*
 * The interrupt controllers as the CPU back ends see them: registered once by the chipset (pic + lapic); core knows no
 * chip. A back end whose lapic is in the host kernel (CPUCAP_OWN_LAPIC) uses only msi.
 */
struct intr_ctl {
    int (*take)(void *ctl, struct vcpu *v); /* [vcpu] vector to deliver now (does INTA), or -1 */
    /* [vcpu] cheap, no side effect: would take() give a vector (ignoring RFLAGS.IF)? */
    bool (*pending)(void *ctl, struct vcpu *v);
    /* [vcpu] APIC_BASE, 800h-8FFh, TSC_DEADLINE; -1 = #GP */
    int (*msr_read)(void *ctl, struct vcpu *v, uint32_t msr, uint64_t *val);
    int (*msr_write)(void *ctl, struct vcpu *v, uint32_t msr, uint64_t val);
    uint8_t (*tpr_get)(void *ctl, struct vcpu *v); /* [vcpu] CR8: task priority bits 7:4 as 0..15 */
    void (*tpr_set)(void *ctl, struct vcpu *v, uint8_t cr8);
    void (*msi)(void *ctl, uint64_t addr, uint32_t data); /* [dev] */
    bool (*apic_enabled)(void *ctl, struct vcpu *v);      /* for CPUID.1:EDX.APIC */
    /* For back ends with local APICs of their own: the EOI of a level-triggered vector [vcpu], no lock held; and the
     * message of a level-triggered IOAPIC pin, masked or not [dev]. false: the pin has none. */
    void (*eoi)(void *ctl, uint8_t vector);
    bool (*level_route)(void *ctl, unsigned pin, uint64_t *addr, uint32_t *data);
    /* [dev] INIT# of one processor: its local APIC, when it is ours, and VR_INIT. */
    void (*init)(void *ctl, struct vcpu *v);
    void *ctl;
};
void intr_set_ctl(struct vm *vm, const struct intr_ctl *c); /* copies *c */
const struct intr_ctl *intr_get_ctl(struct vm *vm);

/*
 * FERR# and IGNNE#: with CR0.NE = 0 an x87 error is reported through the chipset, as IRQ13. The back end calls intr_ferr when an x87 instruction
 * waits for an error that is pending, and then holds the processor as after HLT; intr_ignne says that the instruction is to be carried out all
 * the same. One such chip per vm.
 */
struct ferr_ctl {
    void (*ferr)(void *ctl); /* [dev] */
    bool (*ignne)(void *ctl); /* [any] */
    void *ctl;
};
void intr_set_ferr(struct vm *vm, const struct ferr_ctl *c);
void intr_ferr(struct vcpu *v);  /* [vcpu] no lock held */
bool intr_ignne(struct vcpu *v); /* [vcpu] */

int intr_take(struct vcpu *v); /* [vcpu] the back end pulls: vector to deliver now, or -1. Works for bt and vt */
bool intr_pending(struct vcpu *v);

#endif
