/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared inside hostdriver/kvm. */
#ifndef LODGE_HOSTDRIVER_KVM_PRIVATE_H
#define LODGE_HOSTDRIVER_KVM_PRIVATE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/irq.h"
#include "core/vm.h"
#include "cpu/cpu.h"
#include "kvm/kvm.h"
#include "kvm/kvm_sys.h"

#define VT_KICK_SIGNAL (SIGRTMIN + 4)
#define VT_PAGE 4096ull
#define VT_N_PINS 24 /* of the IOAPIC */
#define VT_SPACES 2  /* KVM address spaces: normal, SMM */
enum { VT_MAX_MSRS = 160 };

struct vt_slot {
    uint64_t gpa, size;
    uint8_t *host;
    struct memblk *blk;
    uint32_t flags; /* KVM_MEM_* */
    bool used, keep;
};

struct vt_late_zone {
    uint64_t gpa, size;
};

/* One of the processor's debug registers, for the debugger's point at `point`. */
struct vt_debug_reg {
    uint64_t lin, point;
    uint8_t len;
    enum debug_kind kind;
};

struct vt_vm {
    struct vm *vm;
    int sys, fd; /* /dev/kvm, the machine */
    unsigned n;
    struct cpu_features feat;
    bool smm, sregs2, tsc_offset_attr;
    size_t run_size;
    struct vt_cpu *cpu[VT_MAX_VCPUS];

    /* kvm_mem.c. slots_lock is a leaf: nothing is locked while it is held. */
    pthread_mutex_t slots_lock;
    struct vt_slot *slot[VT_SPACES];
    unsigned n_slots[VT_SPACES], max_slots;
    struct vt_late_zone late[32];
    unsigned n_late;
    struct kvm_coalesced_mmio_ring *ring; /* in the first vCPU's mapping; NULL: none */
    unsigned ring_page, ring_max;
    /* While gate is set no vCPU executes guest code; a futex word. */
    _Atomic uint32_t gate;

    /* kvm_irq.c */
    struct {
        bool on;
        uint64_t addr;
        uint32_t data;
    } route[VT_N_PINS];

    /* kvm_msr.c: which MSRs of the list this KVM keeps; the others are ours (cpu_rdmsr on the shadow). */
    bool msrs_known, msr_filter;
    bool msr_kept[VT_MAX_MSRS];

    /* kvm_debug.c */
    struct vt_debug_reg dbg_reg[4];
    unsigned n_dbg_regs;
    uint32_t dbg_flags; /* KVM_GUESTDBG_* that this KVM has; 0: not asked, or old */

    _Atomic uint64_t st_gates, st_late;
};

struct vt_cpu {
    struct vt_vm *m;
    struct vcpu *v;
    int fd;
    struct kvm_run *run;
    _Atomic bool in_guest; /* KVM_RUN is under way, or about to begin */
    pthread_t tid;
    _Atomic bool has_tid;

    bool io_open;  /* the last exit must be completed by entering again before the registers mean anything */
    bool shut;     /* triple fault: until reset or set */
    bool resync;   /* the TSC's offset is set before the next entry */
    bool timer_kept; /* kept_* below are what the timer had when the clock stopped */
    uint32_t kept_count;
    uint64_t kept_deadline; /* in terms of clock_tsc() */
    int posted;             /* vector given by KVM_INTERRUPT that may not be delivered yet; -1: none */
    uint64_t posted_rip;
    enum debug_resume dbg_how;
    _Atomic bool nmi_pin;
    bool nmi_two; /* a second NMI was given to KVM, which only tells of one; it has not run since */

    bool msr_odd[VT_MAX_MSRS]; /* KVM did not take the shadow's value and shows msr_odd_now */
    uint64_t msr_odd_now[VT_MAX_MSRS];
    struct cpu shadow; /* CPUID, and the MSRs that KVM does not know */
    uint64_t st[8];    /* enum vt_count; own thread writes */
};
enum vt_count { ST_EXITS, ST_PORT, ST_MMIO, ST_MSR, ST_INTR, ST_EOI, ST_WINDOW };

static inline struct vt_vm *vt_of(struct vm *vm) { return vm_backend_data(vm); }
static inline int vcall(struct vt_cpu *c, unsigned long req, void *arg) { return kvm_call(c->fd, req, arg); }

/* kvm_mem.c */
int vt_mem_init(struct vt_vm *m, struct err *e);
void vt_mem_fini(struct vt_vm *m);
int vt_view_changed(struct vm *vm, const struct memview *old, const struct memview *cur, struct err *e);
int vt_fetch_dirty(struct vm *vm, struct memblk *b, unsigned long *bitmap);
void vt_sync_writes(struct vm *vm);      /* [dev] */
void vt_late_drain(struct vt_vm *m);     /* [vcpu] no lock held; cheap when there is nothing */
void vt_enter(struct vt_cpu *c);         /* [vcpu] around KVM_RUN */
static inline void vt_leave(struct vt_cpu *c) { atomic_store(&c->in_guest, false); }

/* kvm_irq.c */
int vt_irq_init(struct vt_vm *m, struct err *e);
extern const struct lapic_host vt_lapic_host;
void vt_timer_stop(struct vt_cpu *c);   /* the clock has stopped */
/* vCPUs parked, chipset lock held: the clock starts, and the timer goes on with what it had. */
int vt_timer_start(struct vt_cpu *c, struct err *e);
int vt_resync(struct vt_cpu *c, struct err *e); /* the TSC's offset */
void vt_nmi_pin(struct vt_cpu *c);      /* [vcpu] */

/* kvm_cpuid.c */
void vt_cpuid_limit(int sys, struct vt_probe *p);
int vt_cpuid_set(struct vt_cpu *c, struct err *e);
extern const struct cpu_ops vt_cpu_ops;

/* kvm_state.c */
void vt_get(struct vcpu *v, struct cpu_state *s, unsigned mask);
int vt_set(struct vcpu *v, const struct cpu_state *s, unsigned mask, struct err *e);
void vt_unreadable(struct vt_cpu *c, const char *what); /* errno says why; the vm stops */
void vt_accept_events(struct vt_cpu *c); /* before the first register is read */
void vt_log_state(struct vt_cpu *c);

/* kvm_msr.c */
void vt_msr_init(struct vt_vm *m); /* before the first processor */
void vt_msrs_get(struct vt_cpu *c, struct cpu_state *s);
void vt_msrs_set(struct vt_cpu *c, const struct cpu_state *s);
int vt_msr_get(struct vt_cpu *c, uint32_t msr, uint64_t *val);
int vt_msr_set(struct vt_cpu *c, uint32_t msr, uint64_t val);

/* kvm_debug.c */
int vt_debug_points(struct vm *vm, const struct debug_point *p, unsigned n);
void vt_debug_resume(struct vcpu *v, enum debug_resume how);
size_t vt_debug_mem(struct vcpu *v, uint64_t lin, void *buf, size_t n, bool write);
enum vcpu_exit vt_debug_exit(struct vt_cpu *c);

/* vcpu_kvm.c */
void vt_kick(struct vcpu *v);
int vt_lapic_init(struct vcpu *v, struct err *e); /* [vcpu] INIT */
int vt_fail(struct err *e, const char *what); /* "KVM refuses <what>: <errno>" */

#endif
