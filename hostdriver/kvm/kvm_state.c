/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct cpu_state from and to the kernel. A vCPU is out of the guest and its last exit is completed when it is read
 * (vcpu_kvm.c sees to that before it parks). The local APIC travels on its own (kvm_irq.c). MSRs: kvm_msr.c.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "cpu/cpustate.h"
#include "kvm/kvm_private.h"

/* A processor whose registers cannot be read has no state that could go on anywhere: the vm stops. */
void vt_unreadable(struct vt_cpu *c, const char *what)
{
    struct err e = {0};
    int en = errno;
    err_set(&e, ERR_HOST, en, "The host's KVM does not show %s of processor %u: %s", what, c->v->index, strerror(en));
    vm_fail(c->v->vm, &e);
}

static bool read_it(struct vt_cpu *c, unsigned long req, void *arg, const char *what)
{
    if (vcall(c, req, arg) >= 0)
        return true;
    vt_unreadable(c, what);
    return false;
}

/* ---- pieces ---- */

static void seg_get(struct cpu_seg *d, const struct kvm_segment *k)
{
    d->sel = k->selector;
    d->base = k->base;
    d->limit = k->limit;
    d->attr = (uint16_t)(k->type | k->s << 4 | k->dpl << 5 | (k->present && !k->unusable) << 7 | k->avl << 12 | k->l << 13 | k->db << 14 |
                         k->g << 15);
}

static void seg_set(struct kvm_segment *k, const struct cpu_seg *s)
{
    memset(k, 0, sizeof *k);
    k->selector = s->sel;
    k->base = s->base;
    k->limit = s->limit;
    k->type = s->attr & 15;
    k->s = s->attr >> 4 & 1;
    k->dpl = s->attr >> 5 & 3;
    k->present = s->attr >> 7 & 1;
    k->avl = s->attr >> 12 & 1;
    k->l = s->attr >> 13 & 1;
    k->db = s->attr >> 14 & 1;
    k->g = s->attr >> 15 & 1;
    k->unusable = !k->present;
}

/* KVM's order of the first eight: RAX RBX RCX RDX RSI RDI RSP RBP. */
static void gpr_get(struct cpu_state *s, const struct kvm_regs *r)
{
    s->gpr[R_RAX] = r->rax, s->gpr[R_RBX] = r->rbx, s->gpr[R_RCX] = r->rcx, s->gpr[R_RDX] = r->rdx;
    s->gpr[R_RSI] = r->rsi, s->gpr[R_RDI] = r->rdi, s->gpr[R_RSP] = r->rsp, s->gpr[R_RBP] = r->rbp;
    memcpy(&s->gpr[R_R8], &r->r8, 8 * sizeof r->r8);
    s->rip = r->rip;
    s->rflags = r->rflags;
}

static void gpr_set(struct kvm_regs *r, const struct cpu_state *s)
{
    r->rax = s->gpr[R_RAX], r->rbx = s->gpr[R_RBX], r->rcx = s->gpr[R_RCX], r->rdx = s->gpr[R_RDX];
    r->rsi = s->gpr[R_RSI], r->rdi = s->gpr[R_RDI], r->rsp = s->gpr[R_RSP], r->rbp = s->gpr[R_RBP];
    memcpy(&r->r8, &s->gpr[R_R8], 8 * sizeof r->r8);
    r->rip = s->rip;
    r->rflags = s->rflags;
}

static void sregs_get(struct cpu_state *s, const struct kvm_sregs *k)
{
    const struct kvm_segment *seg[S_COUNT] = {[S_ES] = &k->es, [S_CS] = &k->cs, [S_SS] = &k->ss, [S_DS] = &k->ds, [S_FS] = &k->fs, [S_GS] = &k->gs};
    for (unsigned i = 0; i < S_COUNT; i++)
        seg_get(&s->seg[i], seg[i]);
    seg_get(&s->ldtr, &k->ldt);
    seg_get(&s->tr, &k->tr);
    s->gdtr = (struct cpu_dtable){.base = k->gdt.base, .limit = k->gdt.limit};
    s->idtr = (struct cpu_dtable){.base = k->idt.base, .limit = k->idt.limit};
    s->cr0 = k->cr0;
    s->cr2 = k->cr2;
    s->cr3 = k->cr3;
    s->cr4 = k->cr4;
    s->cr8 = k->cr8;
    s->efer = k->efer;
    s->apic_base = k->apic_base;
}

/* The local APIC's own registers (APIC base, CR8) stay as the kernel has them. */
static void sregs_set(struct kvm_sregs *k, const struct cpu_state *s)
{
    struct kvm_segment *seg[S_COUNT] = {[S_ES] = &k->es, [S_CS] = &k->cs, [S_SS] = &k->ss, [S_DS] = &k->ds, [S_FS] = &k->fs, [S_GS] = &k->gs};
    for (unsigned i = 0; i < S_COUNT; i++)
        seg_set(seg[i], &s->seg[i]);
    seg_set(&k->ldt, &s->ldtr);
    seg_set(&k->tr, &s->tr);
    k->gdt.base = s->gdtr.base;
    k->gdt.limit = (uint16_t)s->gdtr.limit;
    k->idt.base = s->idtr.base;
    k->idt.limit = (uint16_t)s->idtr.limit;
    k->cr0 = s->cr0;
    k->cr2 = s->cr2;
    k->cr3 = s->cr3;
    k->cr4 = s->cr4;
    k->efer = s->efer;
    memset(k->interrupt_bitmap, 0, sizeof k->interrupt_bitmap);
}

static bool pae_paging(const struct cpu_state *s) { return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA); }

/* SREGS2 has the PDPTEs of PAE paging, which are registers and need not equal what memory holds now. */
static void pdptes_get(struct vt_cpu *c, struct cpu_state *s)
{
#ifdef KVM_GET_SREGS2
    struct kvm_sregs2 k;
    if (c->m->sregs2 && vcall(c, KVM_GET_SREGS2, &k) == 0 && (k.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)) {
        for (unsigned i = 0; i < 4; i++)
            s->pdpte[i] = k.pdptrs[i];
        return;
    }
#endif
    (void)gmem_read(c->v->vm, s->cr3 & 0xffffffe0u, s->pdpte, sizeof s->pdpte);
}

static int pdptes_set(struct vt_cpu *c, const struct cpu_state *s)
{
#ifdef KVM_GET_SREGS2
    struct kvm_sregs2 k;
    if (!c->m->sregs2 || !pae_paging(s) || vcall(c, KVM_GET_SREGS2, &k) < 0)
        return 0;
    k.flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
    for (unsigned i = 0; i < 4; i++)
        k.pdptrs[i] = s->pdpte[i];
    return vcall(c, KVM_SET_SREGS2, &k) < 0 ? -1 : 0;
#else
    (void)c, (void)s;
    return 0;
#endif
}

static void events_get(struct vt_cpu *c, struct cpu_state *s)
{
    struct kvm_vcpu_events ev = {0};
    s->exc_pending = s->intr_pending = s->nmi_pending = s->smi_pending = s->init_pending = 0;
    s->intr_shadow = s->smm = s->smm_nmi = 0;
    vt_nmi_pin(c); /* one that has not been looked at */
    if (!read_it(c, KVM_GET_VCPU_EVENTS, &ev, "the pending events"))
        return;
    if (ev.exception.injected || ev.exception.pending) {
        s->exc_pending = 1;
        s->exc_vector = ev.exception.nr & 31;
        s->exc_has_code = ev.exception.has_error_code != 0;
        s->exc_code = ev.exception.error_code;
    }
    if (ev.interrupt.injected && !ev.interrupt.soft) {
        s->intr_pending = 1;
        s->intr_vector = ev.interrupt.nr;
    } else if (c->posted >= 0 && (s->rflags & FL_IF) && !c->run->ready_for_interrupt_injection && s->rip == c->posted_rip) {
        s->intr_pending = 1; /* given to the kernel, which has not come to deliver it */
        s->intr_vector = (uint8_t)c->posted;
    }
    /* An NMI on its way into the guest has not begun there: it is pending, and NMIs are not blocked yet. */
    s->nmi_blocked = ev.nmi.masked != 0 && !ev.nmi.injected;
    unsigned nmis = (unsigned)ev.nmi.injected + ev.nmi.pending + c->nmi_two;
    s->nmi_pending = (uint8_t)(nmis > 2 ? 2 : nmis);
    /* AMD's processors have one shadow for both, and KVM says both then. */
    s->intr_shadow = ev.interrupt.shadow & KVM_X86_SHADOW_INT_STI ? 1 : ev.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? 2 : 0;
    if (ev.flags & KVM_VCPUEVENT_VALID_SMM) {
        s->smm = ev.smi.smm != 0;
        s->smm_nmi = s->smm && ev.smi.smm_inside_nmi;
        s->smi_pending = ev.smi.pending != 0;
        s->init_pending = ev.smi.latched_init != 0;
    }
}

static int events_set(struct vt_cpu *c, const struct cpu_state *s)
{
    struct kvm_vcpu_events ev = {0};
    if (s->exc_pending) {
        ev.exception.injected = 1;
        ev.exception.nr = s->exc_vector;
        ev.exception.has_error_code = s->exc_has_code;
        ev.exception.error_code = s->exc_code;
    }
    if (s->intr_pending) {
        ev.interrupt.injected = 1;
        ev.interrupt.nr = s->intr_vector;
    }
    ev.interrupt.shadow = s->intr_shadow == 2 ? KVM_X86_SHADOW_INT_MOV_SS : s->intr_shadow ? KVM_X86_SHADOW_INT_STI : 0;
    ev.nmi.masked = s->nmi_blocked;
    ev.nmi.pending = s->nmi_pending != 0;
    ev.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    if (c->m->smm) {
        ev.flags |= KVM_VCPUEVENT_VALID_SMM;
        ev.smi.smm = s->smm;
        ev.smi.smm_inside_nmi = s->smm && s->smm_nmi;
        ev.smi.pending = s->smi_pending;
        ev.smi.latched_init = s->init_pending;
    }
    if (vcall(c, KVM_SET_VCPU_EVENTS, &ev) < 0)
        return -1;
    c->nmi_two = s->nmi_pending > 1 && !kvm_call_n(c->fd, KVM_NMI, 0);
    return 0;
}

/* An INIT or SIPI that waits in the kernel is carried out by the question for the run state. It changes all other
 * registers, those of the local APIC too, so it is asked before any of them is read. */
void vt_accept_events(struct vt_cpu *c)
{
    struct kvm_mp_state mp;
    (void)vcall(c, KVM_GET_MP_STATE, &mp);
}

static void run_state_get(struct vt_cpu *c, struct cpu_state *s)
{
    struct kvm_mp_state mp = {0};
    s->run_state = CPU_RUNNING;
    if (!read_it(c, KVM_GET_MP_STATE, &mp, "the run state"))
        return;
    if (mp.mp_state == KVM_MP_STATE_HALTED)
        s->run_state = CPU_HALTED;
    else if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
        s->run_state = CPU_WAIT_SIPI;
    if (c->shut)
        s->run_state = CPU_SHUTDOWN;
}

/* An AP that waits takes both INIT and SIPI in INIT_RECEIVED. */
static int run_state_set(struct vt_cpu *c, const struct cpu_state *s)
{
    bool woken = s->exc_pending || s->intr_pending; /* out of HLT already, and KVM would not see it */
    struct kvm_mp_state mp = {.mp_state = s->run_state == CPU_HALTED && !woken ? KVM_MP_STATE_HALTED
                                          : s->run_state == CPU_WAIT_SIPI     ? KVM_MP_STATE_INIT_RECEIVED
                                                                              : KVM_MP_STATE_RUNNABLE};
    c->shut = s->run_state == CPU_SHUTDOWN;
    return vcall(c, KVM_SET_MP_STATE, &mp) < 0 ? -1 : 0;
}

/* ---- struct cpu_backend ---- */

void vt_get(struct vcpu *v, struct cpu_state *s, unsigned mask)
{
    struct vt_cpu *c = v->be;
    struct kvm_regs r;
    vt_accept_events(c);
    if (read_it(c, KVM_GET_REGS, &r, "the registers"))
        gpr_get(s, &r);
    if (mask & (CPU_SEG | CPU_CTL)) {
        struct kvm_sregs k;
        struct kvm_debugregs d;
        struct kvm_xcrs x;
        if (read_it(c, KVM_GET_SREGS, &k, "the control registers"))
            sregs_get(s, &k);
        if (read_it(c, KVM_GET_DEBUGREGS, &d, "the debug registers")) {
            memcpy(s->dr, d.db, sizeof s->dr);
            s->dr6 = d.dr6;
            s->dr7 = d.dr7;
        }
        s->xcr0 = 1;
        if (c->m->feat.xsave && read_it(c, KVM_GET_XCRS, &x, "XCR0"))
            for (unsigned i = 0; i < x.nr_xcrs && i < KVM_MAX_XCRS; i++)
                if (x.xcrs[i].xcr == 0)
                    s->xcr0 = x.xcrs[i].value;
        memset(s->pdpte, 0, sizeof s->pdpte);
        if (pae_paging(s))
            pdptes_get(c, s);
    }
    if (mask & CPU_MSR)
        vt_msrs_get(c, s);
    if (mask & CPU_FPU) {
        struct kvm_xsave x;
        _Static_assert(sizeof x.region == XSAVE_AREA_MAX, "one area");
        if (read_it(c, KVM_GET_XSAVE, &x, "the vector registers")) {
            memcpy(s->xsave, x.region, sizeof s->xsave);
            memset(s->xsave + 464, 0, 48); /* the kernel's note to itself */
        }
    }
    if (mask & CPU_EVENTS) {
        events_get(c, s);
        run_state_get(c, s);
        s->sipi_vector = c->shadow.s.sipi_vector;
    }
}

int vt_set(struct vcpu *v, const struct cpu_state *s, unsigned mask, struct err *e)
{
    struct vt_cpu *c = v->be;
    struct kvm_regs r;
    gpr_set(&r, s);
    if (mask == CPU_GPR)
        return vcall(c, KVM_SET_REGS, &r) < 0 ? vt_fail(e, "the processor's registers") : 0;
    struct kvm_sregs k;
    struct kvm_debugregs d = {.dr6 = s->dr6, .dr7 = s->dr7};
    struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = s->xcr0}};
    struct kvm_xsave xs;
    memset(&xs, 0, sizeof xs);
    memcpy(xs.region, s->xsave, sizeof xs.region);
    memcpy(d.db, s->dr, sizeof d.db);
    /* Out of SMM first, so that the registers below are checked by the rules of the mode that they are for. */
    if (vcall(c, KVM_GET_SREGS, &k) < 0)
        return vt_fail(e, "to read the processor's registers");
    sregs_set(&k, s);
    if (vcall(c, KVM_SET_SREGS, &k) < 0)
        return vt_fail(e, "the processor's control registers: it has features that this host's KVM lacks");
    if (vcall(c, KVM_SET_REGS, &r) < 0)
        return vt_fail(e, "the processor's registers");
    if (c->m->feat.xsave && vcall(c, KVM_SET_XCRS, &x) < 0)
        return vt_fail(e, "the processor's XCR0");
    if (vcall(c, KVM_SET_XSAVE, &xs) < 0)
        return vt_fail(e, "the processor's vector registers");
    if (vcall(c, KVM_SET_DEBUGREGS, &d) < 0)
        return vt_fail(e, "the processor's debug registers");
    vt_msrs_set(c, s);
    if (run_state_set(c, s) || events_set(c, s))
        return vt_fail(e, "the processor's pending events");
    if (pdptes_set(c, s))
        return vt_fail(e, "the processor's PDPTEs");
    c->shadow.s.sipi_vector = s->sipi_vector;
    c->posted = -1;
    c->run->ready_for_interrupt_injection = 0;
    c->io_open = false;
    c->resync = true; /* TSC_ADJUST */
    return 0;
}

void vt_log_state(struct vt_cpu *c)
{
    static _Thread_local struct cpu_state s;
    memset(&s, 0, sizeof s);
    vt_get(c->v, &s, CPU_GPR | CPU_SEG | CPU_CTL | CPU_EVENTS);
#define U(x) ((unsigned long long)(x))
    log_msg(LOG_ERROR, "kvm", "vCPU %u: cs %04x base %llx attr %x rip %llx rflags %llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx", c->v->index,
            s.seg[S_CS].sel, U(s.seg[S_CS].base), s.seg[S_CS].attr, U(s.rip), U(s.rflags), U(s.cr0), U(s.cr2), U(s.cr3), U(s.cr4), U(s.efer));
    log_msg(LOG_ERROR, "kvm", "  rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx rbp %llx ss %04x rsp %llx", U(s.gpr[R_RAX]), U(s.gpr[R_RBX]),
            U(s.gpr[R_RCX]), U(s.gpr[R_RDX]), U(s.gpr[R_RSI]), U(s.gpr[R_RDI]), U(s.gpr[R_RBP]), s.seg[S_SS].sel, U(s.gpr[R_RSP]));
    log_msg(LOG_ERROR, "kvm", "  r8 %llx r9 %llx r10 %llx r11 %llx r12 %llx r13 %llx r14 %llx r15 %llx", U(s.gpr[8]), U(s.gpr[9]), U(s.gpr[10]),
            U(s.gpr[11]), U(s.gpr[12]), U(s.gpr[13]), U(s.gpr[14]), U(s.gpr[15]));
    log_msg(LOG_ERROR, "kvm", "  idt %llx/%x gdt %llx/%x tr %04x run state %u smm %u exception %u/%u", U(s.idtr.base), s.idtr.limit, U(s.gdtr.base),
            s.gdtr.limit, s.tr.sel, s.run_state, s.smm, s.exc_pending, s.exc_vector);
}
