/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT as struct cpu_backend: one thread a vCPU around KVM_RUN. HLT, IPIs, INIT and SIPI, the APIC timer and x2APIC stay in
 * the kernel; what comes here is device access, the PIC, EOIs of level-triggered interrupts, MSRs that only we know,
 * and the end.
 *
 *  1. kick sets immediate_exit and sends a signal. run() clears immediate_exit before it reads the requests, so a kick
 * before that is seen by the read, and a later one makes KVM_RUN return at once.
 *  2. An exit for I/O is completed by the next KVM_RUN. Before the registers are read or the thread parks, that is done
 * with immediate_exit set (finish_io); io_open says whether there is something to complete.
 *  3. Late writes are carried out before the exit is handled (kvm_mem.c).
 *  4. A vector from the PIC is taken only when KVM says that the vCPU would accept it now, so an acknowledged vector does
 * not wait behind a closed IF. posted remembers it until KVM says that the next one may come.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "core/clock.h"
#include "cpu/cpustate.h"
#include "kvm/kvm_private.h"

#define KICK_SIGNAL VT_KICK_SIGNAL
/* Three pages for real mode on Intel processors that cannot run it (KVM_SET_TSS_ADDR) and one for its page table, below
 * the largest firmware; SeaBIOS keeps that part of the address space free of BARs. */
#define IDENTITY_MAP 0xfeffc000ull
#define TSS_ADDR (IDENTITY_MAP + 0x1000)

int vt_fail(struct err *e, const char *what)
{
    int en = errno;
    return err_set(e, en == ENOMEM ? ERR_NOMEM : ERR_HOST, en, "The host's KVM refuses %s: %s", what, strerror(en));
}

static void count(struct vt_cpu *c, enum vt_count k) { __atomic_store_n(&c->st[k], c->st[k] + 1, __ATOMIC_RELAXED); }

/* ---- kick ---- */

static void on_kick(int sig) { (void)sig; }

void vt_kick(struct vcpu *v)
{
    struct vt_cpu *c = v->be;
    if (!c || !c->run)
        return;
    __atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (atomic_load(&c->has_tid) && !pthread_equal(c->tid, pthread_self()))
        pthread_kill(c->tid, KICK_SIGNAL);
}

/* ---- machine ---- */

static void vm_fini(struct vm *vm)
{
    struct vt_vm *m = vt_of(vm);
    if (!m)
        return;
    vt_mem_fini(m);
    if (m->fd >= 0)
        kvm_sys_get()->close(m->fd);
    if (m->sys >= 0)
        kvm_sys_get()->close(m->sys);
    free(m);
    vm_set_backend_data(vm, NULL);
}

static int create(struct vt_vm *m, struct err *e)
{
    const struct kvm_sys *k = kvm_sys_get();
    if ((m->sys = k->open("/dev/kvm")) < 0)
        return err_set(e, ERR_HOST, errno, "/dev/kvm cannot be opened: %s", strerror(errno));
    if ((m->fd = kvm_call_n(m->sys, KVM_CREATE_VM, 0)) < 0)
        return vt_fail(e, "to make a virtual machine");
    int run_size = kvm_call_n(m->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size < (int)sizeof(struct kvm_run))
        return vt_fail(e, "to say how large a processor is");
    m->run_size = (size_t)run_size;
    m->smm = kvm_has(m->fd, KVM_CAP_X86_SMM) && kvm_has(m->fd, KVM_CAP_MULTI_ADDRESS_SPACE) >= VT_SPACES;
#ifdef KVM_CAP_SREGS2
    m->sregs2 = kvm_has(m->fd, KVM_CAP_SREGS2) != 0;
#endif
    /* Both only matter on Intel processors without "unrestricted guest"; others take and forget them. */
    uint64_t map = IDENTITY_MAP;
    (void)kvm_call(m->fd, KVM_SET_IDENTITY_MAP_ADDR, &map);
    (void)kvm_call_n(m->fd, KVM_SET_TSS_ADDR, TSS_ADDR);
    vt_msr_init(m);
#ifdef KVM_CAP_PMU_CAPABILITY
    (void)kvm_enable(m->fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE); /* since Linux 5.18; BT has no counters either */
#endif
#ifdef KVM_CAP_X86_VMWARE_BACKDOOR
    (void)kvm_enable(m->fd, KVM_CAP_X86_VMWARE_BACKDOOR, 1);
#endif
    return 0;
}

static int vm_init(struct vm *vm, struct err *e)
{
    const struct vm_params *p = vm_get_params(vm);
    struct sigaction sa = {.sa_handler = on_kick};
    struct vt_vm *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    m->vm = vm;
    m->n = p->n_vcpus;
    m->sys = m->fd = -1;
    sigemptyset(&sa.sa_mask);
    if (p->n_vcpus > VT_MAX_VCPUS) {
        free(m);
        return err_set(e, ERR_UNSUPPORTED, 0, "Hardware virtualization runs at most %d virtual processors, the VM asks for %u: lower numvcpus",
                       VT_MAX_VCPUS, p->n_vcpus);
    }
    if (pthread_mutex_init(&m->slots_lock, NULL) || sigaction(KICK_SIGNAL, &sa, NULL)) {
        free(m);
        return err_set(e, ERR_HOST, errno, "The signal that stops a virtual processor cannot be set up.");
    }
    vm_set_backend_data(vm, m);
    cpu_features_init(&m->feat, &p->cpu, p->n_vcpus, clock_tsc_khz(vm));
    if (create(m, e) || vt_irq_init(m, e) || vt_mem_init(m, e)) {
        vm_fini(vm);
        return -1;
    }
    return 0;
}

/* ---- processors ---- */

static void vcpu_fini(struct vcpu *v)
{
    struct vt_cpu *c = v->be;
    if (!c)
        return;
    c->m->cpu[v->index] = NULL;
    if (v->index == 0)
        c->m->ring = NULL;
    v->be = NULL;
    if (c->run)
        kvm_sys_get()->unmap(c->run, c->m->run_size);
    if (c->fd >= 0)
        kvm_sys_get()->close(c->fd);
    free(c);
}

static int vcpu_init(struct vcpu *v, struct err *e)
{
    struct vt_vm *m = vt_of(v->vm);
    const struct vm_params *p = vm_get_params(v->vm);
    struct vt_cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    if (!c)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    memset(c, 0, sizeof *c);
    c->m = m;
    c->v = v;
    c->posted = -1;
    v->be = c;
    if ((c->fd = kvm_call_n(m->fd, KVM_CREATE_VCPU, v->apic_id)) < 0) {
        vt_fail(e, "to make a processor");
        goto fail;
    }
    if (!(c->run = kvm_sys_get()->map(c->fd, m->run_size))) {
        vt_fail(e, "to show a processor");
        goto fail;
    }
    m->cpu[v->index] = c;
    if (v->index == 0 && m->ring_page)
        m->ring = (struct kvm_coalesced_mmio_ring *)(void *)((uint8_t *)c->run + m->ring_page * VT_PAGE);
#ifdef KVM_CAP_ENFORCE_PV_FEATURE_CPUID
    (void)kvm_enable(c->fd, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1); /* KVM's own MSRs are not there either */
#endif
#ifdef KVM_VCPU_TSC_CTRL
    if (v->index == 0) {
        struct kvm_device_attr a = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET};
        m->tsc_offset_attr = vcall(c, KVM_HAS_DEVICE_ATTR, &a) == 0;
    }
#endif
    c->shadow.feat = &m->feat;
    c->shadow.ops = &vt_cpu_ops;
    c->shadow.index = v->index;
    c->shadow.apic_id = v->apic_id;
    c->shadow.n_cpus = p->n_vcpus;
    c->shadow.cores_per_socket = p->cpu.cores_per_socket ? p->cpu.cores_per_socket : 1;
    c->shadow.tsc_khz = clock_tsc_khz(v->vm);
    cpu_reset(&c->shadow, false);
    if (clock_tsc_scaled(v->vm) && kvm_call_n(c->fd, KVM_SET_TSC_KHZ, clock_tsc_khz(v->vm)) < 0) {
        vt_fail(e, "the TSC's rate");
        goto fail;
    }
    if (vt_cpuid_set(c, e) || vt_set(v, &c->shadow.s, CPU_ALL, e))
        goto fail;
    return 0;
fail:
    vcpu_fini(v);
    return -1;
}

static uint64_t scale_tsc(struct vm *vm, uint64_t khz)
{
    struct vt_vm *m = vt_of(vm);
    struct err e = {0};
    int host = kvm_has(m->sys, KVM_CAP_TSC_CONTROL) ? kvm_call_n(m->cpu[0]->fd, KVM_GET_TSC_KHZ, 0) : 0;
    if (host <= 0 || cpu_features_init(&m->feat, &vm_get_params(vm)->cpu, m->n, khz))
        return 0;
    for (unsigned i = 0; i < m->n; i++) {
        struct vt_cpu *c = m->cpu[i];
        c->shadow.tsc_khz = khz;
        /* The VMware leaf tells the rate; what has been set on some processors is of no harm when another one refuses, for the vm then stops. */
        if (kvm_call_n(c->fd, KVM_SET_TSC_KHZ, khz) < 0 || vt_cpuid_set(c, &e)) {
            if (e.kind == ERR_NONE)
                vt_fail(&e, "the TSC's rate");
            vm_fail(vm, &e);
            return 0;
        }
    }
    return (uint64_t)host;
}

static void vcpu_thread_start(struct vcpu *v)
{
    struct vt_cpu *c = v->be;
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL); /* threads start with all of them blocked */
    c->tid = pthread_self();
    atomic_store(&c->has_tid, true);
}

static void reset(struct vcpu *v, bool init)
{
    struct vt_cpu *c = v->be;
    struct err e = {0};
    if (init)
        vt_get(v, &c->shadow.s, CPU_ALL);
    cpu_reset(&c->shadow, init);
    if (vt_set(v, &c->shadow.s, CPU_ALL, &e) || (init && vt_lapic_init(v, &e)))
        vm_fail(v->vm, &e);
}

static void sipi(struct vcpu *v, uint8_t vector)
{
    struct vt_cpu *c = v->be;
    struct err e = {0};
    vt_get(v, &c->shadow.s, CPU_ALL);
    cpu_sipi(&c->shadow, vector);
    if (vt_set(v, &c->shadow.s, CPU_ALL, &e))
        vm_fail(v->vm, &e);
}

/* vCPUs are parked. */
static void clock_changed(struct vm *vm, int64_t now, bool running)
{
    struct vt_vm *m = vt_of(vm);
    struct err e = {0};
    (void)now;
    chipset_lock(vm);
    for (unsigned i = 0; m && i < m->n; i++) {
        if (!m->cpu[i])
            continue;
        if (!running)
            vt_timer_stop(m->cpu[i]);
        else if (vt_timer_start(m->cpu[i], &e))
            vm_fail(vm, &e);
    }
    chipset_unlock(vm);
}

/* ---- exits ---- */

static enum vcpu_exit fail(struct vt_cpu *c, const char *what, uint64_t a, uint64_t b)
{
    err_set(&c->v->fail, ERR_HOST, 0, "Processor %u has stopped: %s (%#llx, %#llx). Its state is in the log.", c->v->index, what,
            (unsigned long long)a, (unsigned long long)b);
    vt_log_state(c);
    return VX_FAIL;
}

static enum vcpu_exit fail_run(struct vt_cpu *c, int en)
{
    const char *what = strerror(en);
    if (en == EFAULT)
        what = "the host has no memory for a page that the guest uses, or lost it";
    else if (en == ENOMEM)
        what = "the host's kernel is out of memory";
    return fail(c, what, (uint64_t)en, 0);
}

static void on_port(struct vt_cpu *c)
{
    struct kvm_run *r = c->run;
    uint8_t *data = (uint8_t *)r + r->io.data_offset;
    unsigned size = r->io.size, n = r->io.count;
    count(c, ST_PORT);
    if (r->io.data_offset + (uint64_t)size * n > c->m->run_size || (size != 1 && size != 2 && size != 4))
        return;
    if (n != 1) {
        if (r->io.direction == KVM_EXIT_IO_IN)
            bus_read_rep(c->v, r->io.port, size, data, n);
        else
            bus_write_rep(c->v, r->io.port, size, data, n);
        return;
    }
    uint64_t val = 0;
    if (r->io.direction == KVM_EXIT_IO_IN) {
        val = bus_read(c->v, true, r->io.port, size);
        memcpy(data, &val, size);
    } else {
        memcpy(&val, data, size);
        bus_write(c->v, true, r->io.port, size, val);
    }
}

static void on_mmio(struct vt_cpu *c)
{
    struct kvm_run *r = c->run;
    unsigned n = r->mmio.len <= 8 ? r->mmio.len : 8;
    uint64_t val = 0;
    count(c, ST_MMIO);
    if (r->mmio.is_write) {
        memcpy(&val, r->mmio.data, n);
        bus_write(c->v, false, r->mmio.phys_addr, n, val);
    } else {
        val = bus_read(c->v, false, r->mmio.phys_addr, n);
        memcpy(r->mmio.data, &val, n);
    }
}

#ifdef KVM_EXIT_X86_RDMSR
static void on_msr(struct vt_cpu *c, bool write)
{
    struct kvm_run *r = c->run;
    uint64_t val = r->msr.data;
    count(c, ST_MSR);
    c->shadow.cpl = 0; /* the kernel has checked it */
    int rc = write ? cpu_wrmsr(&c->shadow, r->msr.index, val) : cpu_rdmsr(&c->shadow, r->msr.index, &val);
    r->msr.error = rc != 0;
    if (!write)
        r->msr.data = val;
}
#endif

static enum vcpu_exit internal_error(struct vt_cpu *c)
{
    const struct kvm_run *r = c->run;
    unsigned n = r->internal.ndata < 16 ? r->internal.ndata : 16;
    log_msg(LOG_ERROR, "kvm", "vCPU %u: KVM internal error %u, %u words", c->v->index, r->internal.suberror, r->internal.ndata);
    for (unsigned i = 0; i < n; i++)
        log_msg(LOG_ERROR, "kvm", "  %u: %#llx", i, (unsigned long long)r->internal.data[i]);
    switch (r->internal.suberror) {
    case KVM_INTERNAL_ERROR_EMULATION: return fail(c, "the host's KVM cannot carry out an instruction of the guest", r->internal.suberror, 0);
    case KVM_INTERNAL_ERROR_DELIVERY_EV: return fail(c, "the host's KVM failed while it delivered an interrupt or exception", r->internal.suberror, 0);
    default: return fail(c, "an internal error of the host's KVM", r->internal.suberror, n ? r->internal.data[0] : 0);
    }
}

/* VX_AGAIN: go on. */
static enum vcpu_exit handle_exit(struct vt_cpu *c)
{
    struct kvm_run *r = c->run;
    count(c, ST_EXITS);
    if (c->m->smm)
        c->v->smm = (r->flags & KVM_RUN_X86_SMM) != 0;
    switch (r->exit_reason) {
    case KVM_EXIT_IO:
        c->io_open = true;
        on_port(c);
        return VX_AGAIN;
    case KVM_EXIT_MMIO:
        c->io_open = true;
        on_mmio(c);
        return VX_AGAIN;
#ifdef KVM_EXIT_X86_RDMSR
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        c->io_open = true;
        on_msr(c, r->exit_reason == KVM_EXIT_X86_WRMSR);
        return VX_AGAIN;
#endif
    case KVM_EXIT_IRQ_WINDOW_OPEN: count(c, ST_WINDOW); return VX_AGAIN;
    case KVM_EXIT_IOAPIC_EOI: {
        const struct intr_ctl *ic = intr_get_ctl(c->v->vm);
        count(c, ST_EOI);
        if (ic && ic->eoi)
            ic->eoi(ic->ctl, r->eoi.vector);
        return VX_AGAIN;
    }
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR: return VX_AGAIN;
    /* Who waited here would not hear of an interrupt: those come to the local APIC in the kernel. */
    case KVM_EXIT_HLT: return fail(c, "the host's KVM gave a halted processor back, whose local APIC should wake it", r->exit_reason, 0);
    case KVM_EXIT_SHUTDOWN: c->shut = true; return VX_SHUTDOWN;
    case KVM_EXIT_DEBUG: return vt_debug_exit(c);
    case KVM_EXIT_SYSTEM_EVENT: return r->system_event.type == KVM_SYSTEM_EVENT_CRASH ? fail(c, "the guest says that it crashed", 0, 0) : VX_RESET;
    case KVM_EXIT_FAIL_ENTRY:
        return fail(c, "the processor refuses to enter the guest", r->fail_entry.hardware_entry_failure_reason, 0);
    case KVM_EXIT_INTERNAL_ERROR: return internal_error(c);
    default: return fail(c, "the host's KVM came back for a reason that is not known here", r->exit_reason, 0);
    }
}

/* ---- the loop ---- */

/* -1: *x is to be returned. 0: look at the exit. 1: nothing happened. */
static int enter(struct vt_cpu *c, enum vcpu_exit *x)
{
    vt_enter(c);
    int rc = kvm_sys_get()->ioctl(c->fd, KVM_RUN, NULL), en = errno;
    vt_leave(c);
    c->io_open = c->nmi_two = false;
    if (c->run->ready_for_interrupt_injection)
        c->posted = -1;
    vt_late_drain(c->m);
    if (rc >= 0)
        return 0;
    if (en == EINTR || en == EAGAIN)
        return 1;
    if (c->run->exit_reason == KVM_EXIT_INTERNAL_ERROR && en == EINVAL) {
        *x = internal_error(c);
        return -1;
    }
    *x = fail_run(c, en);
    return -1;
}

/* Completes the last exit without running the guest; what an instruction does in several steps may exit again. */
static enum vcpu_exit finish_io(struct vt_cpu *c)
{
    enum vcpu_exit x = VX_AGAIN;
    while (c->io_open && x == VX_AGAIN) {
        __atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        int rc = enter(c, &x);
        if (rc == 0)
            x = handle_exit(c);
    }
    return x;
}

static void take_requests(struct vt_cpu *c, uint32_t rq)
{
    struct vcpu *v = c->v;
    if (rq & VR_VIEW) {
        atomic_fetch_and(&v->requests, ~(uint32_t)VR_VIEW);
        vcpu_safe_point(v);
    }
    if (rq & (VR_TLB | VR_INTR)) {
        atomic_fetch_and(&v->requests, ~(uint32_t)(VR_TLB | VR_INTR));
        vt_nmi_pin(c);
    }
    if (rq & VR_NMI) {
        atomic_fetch_and(&v->requests, ~(uint32_t)VR_NMI);
        for (uint32_t n = atomic_exchange(&v->nmis, 0); n; n--)
            (void)kvm_call_n(c->fd, KVM_NMI, 0); /* KVM keeps at most two, as a processor does */
    }
    if (rq & VR_SMI) {
        atomic_fetch_and(&v->requests, ~(uint32_t)VR_SMI);
        if (c->m->smm)
            (void)kvm_call_n(c->fd, KVM_SMI, 0);
    }
}

/* The PIC's request, which only vCPU 0 hears. */
static enum vcpu_exit take_extint(struct vt_cpu *c)
{
    struct kvm_run *r = c->run;
    bool pending = intr_pending(c->v);
    if (__builtin_expect(pending, 0) && r->ready_for_interrupt_injection && c->posted < 0) {
        enum vcpu_exit x = finish_io(c); /* so that RIP tells later whether the vector has been delivered */
        if (x != VX_AGAIN)
            return x;
        int vec = r->ready_for_interrupt_injection ? intr_take(c->v) : -1;
        if (vec >= 0) {
            struct kvm_interrupt in = {.irq = (uint32_t)vec};
            struct kvm_regs regs;
            if (vcall(c, KVM_GET_REGS, &regs) < 0 || vcall(c, KVM_INTERRUPT, &in) < 0)
                return fail_run(c, errno);
            c->posted = vec;
            c->posted_rip = regs.rip;
            r->ready_for_interrupt_injection = 0;
            count(c, ST_INTR);
        }
        pending = intr_pending(c->v);
    }
    r->request_interrupt_window = pending;
    return VX_AGAIN;
}

static enum vcpu_exit run(struct vcpu *v)
{
    struct vt_cpu *c = v->be;
    enum vcpu_exit x;
    for (;;) {
        __atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        uint32_t rq = atomic_load(&v->requests);
        if (__builtin_expect(rq != 0, 0)) {
            take_requests(c, rq);
            if (rq & (VR_PARK | VR_STILL | VR_INIT | VR_SIPI))
                return finish_io(c);
        }
        if (__builtin_expect(c->dbg_how == DEBUG_HOLD, 0)) {
            x = finish_io(c);
            return x == VX_AGAIN ? VX_HALT : x;
        }
        if (c->shut)
            return VX_SHUTDOWN;
        if (__builtin_expect(c->resync, 0) && !c->io_open && vt_resync(c, &v->fail)) {
            vt_log_state(c);
            return VX_FAIL;
        }
        if (v->index == 0 && (x = take_extint(c)) != VX_AGAIN)
            return x;
        int rc = enter(c, &x);
        if (rc < 0)
            return x;
        if (rc == 0 && (x = handle_exit(c)) != VX_AGAIN)
            return x;
    }
}

/* Async-signal-safe; the registers may be asked for only when the thread is out of KVM_RUN. */
static int crash_report(struct vcpu *v, char *buf, unsigned n)
{
    struct vt_cpu *c = v->be;
    struct kvm_regs r;
    unsigned at = 0;
    if (c && !atomic_load(&c->in_guest) && kvm_sys_get()->ioctl(c->fd, KVM_GET_REGS, &r) == 0)
        at = put_hex(buf, n, at, "guest rip ", r.rip);
    if (c && c->run)
        at = put_hex(buf, n, at, " last exit ", c->run->exit_reason);
    buf[at] = 0;
    return (int)at;
}

void vt_get_stats(struct vm *vm, struct vt_stats *o)
{
    struct vt_vm *m = vt_of(vm);
    memset(o, 0, sizeof *o);
    for (unsigned i = 0; m && i < m->n; i++) {
        const struct vt_cpu *c = m->cpu[i];
        if (!c)
            continue;
        o->exits += __atomic_load_n(&c->st[ST_EXITS], __ATOMIC_RELAXED);
        o->port += __atomic_load_n(&c->st[ST_PORT], __ATOMIC_RELAXED);
        o->mmio += __atomic_load_n(&c->st[ST_MMIO], __ATOMIC_RELAXED);
        o->msr += __atomic_load_n(&c->st[ST_MSR], __ATOMIC_RELAXED);
        o->interrupts += __atomic_load_n(&c->st[ST_INTR], __ATOMIC_RELAXED);
        o->eoi += __atomic_load_n(&c->st[ST_EOI], __ATOMIC_RELAXED);
        o->windows += __atomic_load_n(&c->st[ST_WINDOW], __ATOMIC_RELAXED);
    }
    if (!m)
        return;
    o->late_writes = atomic_load(&m->st_late);
    o->gates = atomic_load(&m->st_gates);
    for (unsigned s = 0; s < VT_SPACES; s++)
        for (unsigned i = 0; i < m->n_slots[s]; i++)
            o->slots += m->slot[s][i].used;
}

const struct cpu_backend vt_backend = {
    .name = "vt",
    .caps = CPUCAP_HW | CPUCAP_OWN_LAPIC | CPUCAP_SMM | CPUCAP_DIRTY,
    .vm_init = vm_init,
    .vm_fini = vm_fini,
    .view_changed = vt_view_changed,
    .fetch_dirty = vt_fetch_dirty,
    .clock_changed = clock_changed,
    .scale_tsc = scale_tsc,
    .vcpu_init = vcpu_init,
    .vcpu_fini = vcpu_fini,
    .vcpu_thread_start = vcpu_thread_start,
    .run = run,
    .kick = vt_kick,
    .reset = reset,
    .sipi = sipi,
    .get = vt_get,
    .set = vt_set,
    .sync_writes = vt_sync_writes,
    .debug_points = vt_debug_points,
    .debug_resume = vt_debug_resume,
    .debug_mem = vt_debug_mem,
    .lapic = &vt_lapic_host,
    .crash_report = crash_report,
    .cpu_state = &cpu_state_desc,
    .cpu_state_size = sizeof(struct cpu_state),
};
