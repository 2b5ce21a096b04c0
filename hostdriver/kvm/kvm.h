/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's hardware virtualization through /dev/kvm as a CPU back end ("vt"), and what this host offers. */
#ifndef LODGE_HOSTDRIVER_KVM_H
#define LODGE_HOSTDRIVER_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/vcpu.h"
#include "cpu/cpu.h"

extern const struct cpu_backend vt_backend; /* 1 to 32 vCPUs */
#define VT_MAX_VCPUS 32
/* The kernel's APIC timers count nanoseconds, not VMware's 66 MHz. A guest that shall go on with either engine must be
 * told this by both. */
#define VT_BUS_KHZ 1000000

enum vt_status {
    VT_READY,
    VT_NO_DEVICE,     /* no /dev/kvm, and the processor could */
    VT_NO_PROCESSOR,  /* the processor has no virtualization, or the firmware hides it */
    VT_NO_NESTED,     /* this host is itself a virtual machine without it */
    VT_NO_PERMISSION,
    VT_IN_USE,        /* another hypervisor has the processor */
    VT_TOO_OLD,       /* a capability of Linux 5.10 is missing */
    VT_BROKEN,        /* it is there and does not run 64-bit code */
};

/* What was found by doing: a machine is made and runs a little 64-bit code. */
struct vt_probe {
    enum vt_status status;
    char text[320];      /* a sentence: what it is, and what to do about it */
    bool smm;            /* system management mode */
    bool user_backdoor;  /* IN from the VMware port at CPL 3 reaches us */
    uint64_t tsc_khz;    /* 0: not known */
    unsigned bus_khz;    /* VT_BUS_KHZ */
    unsigned n_leaves;   /* what guests can be shown: vm_cpu_params.limit */
    struct cpuid_leaf leaf[128];
};

void vt_probe(struct vt_probe *p); /* some ms; never hangs. [main] */
/* For the log: what the administrator can do when user_backdoor is false. */
const char *vt_backdoor_advice(void);

struct vt_stats {
    uint64_t exits, port, mmio, msr, late_writes, interrupts, eoi, windows, slots, gates;
};
void vt_get_stats(struct vm *vm, struct vt_stats *out); /* [any] */

#endif
