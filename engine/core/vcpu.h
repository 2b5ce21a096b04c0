/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The contract that VT (hostdriver/kvm) and BT (engine/bt) share. */
#ifndef LODGE_CORE_VCPU_H
#define LODGE_CORE_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/memmap.h"

struct lapic_host; /* core/irq.h */
struct state_desc;
struct cpu_state; /* engine/cpu/cpustate.h: gpr seg cr dr msr fpu/xsave events */
enum {
    CPU_GPR = 1,
    CPU_SEG = 2,
    CPU_CTL = 4,
    CPU_MSR = 8,
    CPU_FPU = 16,
    CPU_EVENTS = 32,
    CPU_LAPIC = 64,
    CPU_ALL = 127
};
enum { CPUCAP_HW = 1, CPUCAP_OWN_LAPIC = 2, CPUCAP_SMM = 4, CPUCAP_DIRTY = 8, CPUCAP_NESTED = 16 };

/* Why run() came back. Never I/O: the back end calls the bus itself. */
enum vcpu_exit {
    VX_AGAIN,    /* a request is to be looked at; call again */
    VX_HALT,     /* HLT: wait for an interrupt */
    VX_SHUTDOWN, /* triple fault */
    VX_RESET,
    VX_DEBUG,
    VX_EMULATE,
    VX_FAIL, /* internal error: v->fail says what */
};

/* VR_INTR: the interrupt controllers may have something (intr_pending tells). VR_SIPI: vector in v->sipi_vector. */
enum vcpu_req {
    VR_INTR = 1,
    VR_NMI = 2,
    VR_SMI = 4,
    VR_INIT = 8,
    VR_SIPI = 16,
    VR_TLB = 32,   /* back-end private: shootdown work is queued */
    VR_VIEW = 64,  /* the memory view changed */
    VR_PARK = 128, /* stop at the next safe point and wait */
    VR_STILL = 256, /* out of run() for a moment: vm_still_begin */
};
/*
 * Who clears what: core clears PARK, STILL, INIT and SIPI (run() returns VX_AGAIN when it sees one of them). run() clears
 * INTR, NMI, SMI, TLB and VIEW itself, each before it looks at what the bit announces, and keeps what it cannot deliver
 * yet (NMI while blocked ...) in its own state. It must look at v->requests when it is entered, and VX_HALT with a bit
 * set in the meantime just gets it called again.
 */

/* What a debugger asks of the engine. Addresses are linear, in whatever address space is current. */
enum debug_kind { DEBUG_STEP, DEBUG_EXEC, DEBUG_WRITE, DEBUG_ACCESS };
struct debug_point {
    uint64_t lin;
    uint32_t len; /* DEBUG_WRITE, DEBUG_ACCESS: bytes */
    enum debug_kind kind;
};
#define DEBUG_POINTS 64
enum debug_resume { DEBUG_RUN, DEBUG_ONE /* one instruction, without interrupts, then VX_DEBUG */, DEBUG_HOLD /* stand still */ };

struct vcpu {
    struct vm *vm;
    unsigned index; /* 0.. */
    uint32_t apic_id;
    _Atomic uint32_t requests; /* enum vcpu_req bits */
    /* With VR_NMI: how many came since the back end took (exchanged) it. Two that come close together are two: a real
     * CPU enters the handler for the first at once and latches the second. */
    _Atomic uint32_t nmis;
    uint8_t sipi_vector;
    enum debug_kind debug_why; /* with VX_DEBUG; debug_lin: the address of the breakpoint or access */
    uint64_t debug_lin;
    void *be;    /* the back end's own vCPU */
    void *lapic; /* the chipset's */
    bool smm;    /* kept by the back end: bus_* then use the SMM view */
    struct err fail;
    struct vcpu_thread *thread; /* core/vcpu.c */
};

struct cpu_backend {
    const char *name; /* "vt", "bt" */
    unsigned caps;
    int (*vm_init)(struct vm *vm, struct err *e);
    void (*vm_fini)(struct vm *vm);
    /* From memmap_commit, chipset lock held. The back end must make its vCPUs see the new view before the next guest
     * access of the vCPU that caused it, and very soon on others. */
    int (*view_changed)(struct vm *vm, const struct memview *old, const struct memview *cur, struct err *e);
    /* Ors into bitmap (one bit a page of b) what was written since the last call, and clears it; that includes
     * b->dirty, where devices' and the back end's own notes are (bitmap_fetch_clear). NULL: b->dirty is all there is.
     * Called by memblk_fetch_dirty. [any] */
    int (*fetch_dirty)(struct vm *vm, struct memblk *b, unsigned long *bitmap);
    /* [any] DMA or another vCPU wrote memory; bt drops blocks */
    void (*code_written)(struct vm *vm, gpa_t a, uint64_t n);
    void (*clock_changed)(struct vm *vm, int64_t now, bool running); /* vCPUs parked; guest TSC must follow clock_now */
    /* Optional; vCPUs parked. From the next start of the clock on the guest's TSC shall count at khz. The host's rate, of which that is made, or
     * 0: this processor cannot scale it. */
    uint64_t (*scale_tsc)(struct vm *vm, uint64_t khz);
    int (*vcpu_init)(struct vcpu *v, struct err *e);
    void (*vcpu_fini)(struct vcpu *v);
    /* optional: first thing on the vCPU's own thread (signal stack, GS base) */
    void (*vcpu_thread_start)(struct vcpu *v);
    /* [vcpu] no lock held; returns soon after kick. A vCPU that waits for SIPI gives VX_HALT; one that is shut down,
     * VX_SHUTDOWN again. */
    enum vcpu_exit (*run)(struct vcpu *v);
    /* [any] async-signal-safe; makes run() notice v->requests, which has the bit already. Called while the thread is in
     * run(), or about to enter or just out of it (then the next run() looks anyway); possibly from inside a bus call of
     * run() itself. */
    void (*kick)(struct vcpu *v);
    /* [vcpu] or parked: power-on state, or INIT state; every AP then waits for SIPI */
    void (*reset)(struct vcpu *v, bool init);
    /* [vcpu] leave wait-for-SIPI at vector << 12; ignored when not waiting */
    void (*sipi)(struct vcpu *v, uint8_t vector);
    void (*get)(struct vcpu *v, struct cpu_state *s, unsigned mask); /* [vcpu] or parked: copies out */
    int (*set)(struct vcpu *v, const struct cpu_state *s, unsigned mask, struct err *e);
    /* optional [dev]: writes to MMIO of the kind IOF_LATE that the back end has kept so far are carried out now */
    void (*sync_writes)(struct vm *vm);
    /* Set when the local APICs are the back end's own (CPUCAP_OWN_LAPIC). */
    const struct lapic_host *lapic;
    /*
     * For a debugger, all optional, all with the vCPUs parked. run() returns VX_DEBUG before an instruction at a DEBUG_EXEC point, after one that
     * has made an access to another point, and after one instruction with DEBUG_ONE. debug_mem reads or writes guest memory at a linear address,
     * without rights and side effects: the number of bytes done.
     */
    int (*debug_points)(struct vm *vm, const struct debug_point *p, unsigned n);
    void (*debug_resume)(struct vcpu *v, enum debug_resume how);
    size_t (*debug_mem)(struct vcpu *v, uint64_t lin, void *buf, size_t n, bool write);
    /* One paragraph for a core report: guest pc, translated block. Async-signal-safe. May be NULL. */
    int (*crash_report)(struct vcpu *v, char *buf, unsigned n);
    /* The section of struct cpu_state that vm_save writes and vm_load checks, and the size of that struct. NULL: no
     * save. */
    const struct state_desc *cpu_state;
    size_t cpu_state_size;
};

/* Sets the bit, then kicks or wakes the vCPU. When the bit was set already, it costs one atomic OR. Takes no lock.
 * [any] */
void vcpu_request(struct vcpu *v, enum vcpu_req r);
/* True while the vCPU's thread is inside run(). When it is not, the thread looks at requests set before this call
 * before it runs guest code again: a halted or parked vCPU need not be waited for. [any] */
bool vcpu_in_run(const struct vcpu *v);
/* The back end says that it keeps no pointer into a memory view or port table from before this call: run() calls it
 * when it handles VR_VIEW, then looks up the new view. The thread loop does it before each run(). Without it old views
 * pile up. [vcpu] */
void vcpu_safe_point(struct vcpu *v);
pthread_t vcpu_pthread(const struct vcpu *v); /* valid from vcpu_thread_start on */
unsigned vm_vcpu_count(struct vm *vm);
struct vcpu *vm_vcpu(struct vm *vm, unsigned i);
const struct cpu_backend *vm_backend(struct vm *vm);
void *vm_backend_data(struct vm *vm); /* the back end's own vm; set in vm_init */
void vm_set_backend_data(struct vm *vm, void *p);

#endif
