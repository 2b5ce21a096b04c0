/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All local APICs of the machine and the bus between them: xAPIC page, x2APIC MSRs, timer (one-shot, periodic, TSC deadline), IPIs.
 * One device for the whole machine, created when the vCPUs exist; it sets vcpu->lapic.
 */
#ifndef LODGE_CHIPSET_LAPIC_H
#define LODGE_CHIPSET_LAPIC_H

#include "core/device.h"
#include "core/irq.h"
#include "core/vcpu.h"

#define LAPIC_MAX 32 /* vCPUs */

extern const struct dev_class lapic_class;
struct lapic_params {
    uint64_t bus_hz;    /* timer input; VMware's virtual APIC bus: 66000000. Same value in CPUID 40000010h and backdoor GETHZ */
    bool x2apic;        /* CPUID.1:ECX.x2APIC */
    bool tsc_deadline;  /* CPUID.1:ECX.TSC-Deadline */
    bool directed_eoi;  /* version register bit 24 and SVR bit 12; needs an IOAPIC with EOI register */
    unsigned phys_bits; /* MAXPHYADDR, for the reserved bits of APIC_BASE */
};

/*
 * Values of IA32_TSC_DEADLINE here are in terms of clock_tsc(): the MSR code of the CPU subtracts the vCPU's TSC_ADJUST from a non-zero
 * value before msr_write and adds it after msr_read.
 */

/* For intr.c. [vcpu] unless said. */
int lapic_take(struct vcpu *v);      /* vector, LAPIC_TAKE_EXTINT: do INTA at the PIC, or -1 */
bool lapic_pending(struct vcpu *v);
int lapic_msr_read(struct vcpu *v, uint32_t msr, uint64_t *val); /* 1Bh, 6E0h, 800h-8FFh; -1: #GP */
int lapic_msr_write(struct vcpu *v, uint32_t msr, uint64_t val);
uint8_t lapic_tpr_get(struct vcpu *v);
void lapic_tpr_set(struct vcpu *v, uint8_t cr8);
bool lapic_enabled(struct vcpu *v);
void lapic_msi(struct dev *lapic, uint64_t addr, uint32_t data); /* [any] */
/* Pin LINT0 (0) or LINT1 (1) of all local APICs; LINT0 is the PIC's INTR, LINT1 the NMI. [dev] */
void lapic_lint(struct dev *lapic, unsigned pin, bool level);
void lapic_init_pin(struct vcpu *v); /* [any] INIT# */
bool lapic_hears_pic(struct dev *lapic); /* [any] does any local APIC pass LINT0 on to its CPU? */
bool lapic_requested(struct dev *lapic, uint8_t vector); /* [any] is the vector in any IRR? */
/* Told of each EOI of a level-triggered vector, chipset lock held. [main] while building */
void lapic_on_eoi(struct dev *lapic, void (*fn)(void *u, uint8_t vector), void *u);
enum { LAPIC_TAKE_EXTINT = 256 };
/* The INTA answered: an ExtINT message (IOAPIC pin in ExtINT mode) counts as served. [vcpu] */
void lapic_extint_done(struct vcpu *v);

#endif
