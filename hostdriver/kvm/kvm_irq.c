/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The split irqchip: local APICs in the host's kernel, everything else ours (engine/chipset).
 *
 *   IOAPIC and devices -> KVM_SIGNAL_MSI; the EOI of a level-triggered vector comes back as an exit, for which KVM must
 *   know those vectors (KVM_SET_GSI_ROUTING: one entry for each level-triggered pin).
 *   PIC -> KVM_INTERRUPT on vCPU 0 (vcpu_kvm.c). NMI pin -> what LINT1 of each local APIC says.
 *
 * Time. The kernel's APIC timers count the host's time and do not know that the guest's stands still in a pause. So when
 * the clock stops, what each timer has left is kept, and when it starts again, so is the timer with that, after the TSC
 * offset. A timer that expired meanwhile in the kernel is undone by this.
 *
 * A timer's count can only be written with all registers of its APIC (KVM_SET_LAPIC), and an interrupt that arrives
 * between reading and writing them would be lost. So that happens while no vCPU runs (none sends an IPI) and with the
 * chipset lock held (no device sends a message).
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "core/clock.h"
#include "kvm/kvm_private.h"

enum { MSR_TSC = 0x10, MSR_TSC_ADJUST = 0x3b, MSR_TSC_DEADLINE = 0x6e0 };
enum { APIC_LVT_TIMER = 0x32, APIC_LVT1 = 0x36, APIC_COUNT = 0x39 };
#define LVT_MASKED (1u << 16)

static uint32_t apic_get(const struct kvm_lapic_state *s, unsigned n)
{
    uint32_t v;
    memcpy(&v, s->regs + 16 * n, 4);
    return v;
}
static void apic_put(struct kvm_lapic_state *s, unsigned n, uint32_t v) { memcpy(s->regs + 16 * n, &v, 4); }

/* ---- timers and the TSC ---- */

static uint64_t msr_or_0(struct vt_cpu *c, uint32_t msr)
{
    uint64_t v;
    return vt_msr_get(c, msr, &v) ? 0 : v;
}

/* The kernel's deadlines are in terms of the vCPU's TSC, which has TSC_ADJUST in it. */
static uint64_t deadline_to_clock(struct vt_cpu *c, uint64_t d) { return d ? d - msr_or_0(c, MSR_TSC_ADJUST) : 0; }

void vt_timer_stop(struct vt_cpu *c)
{
    struct kvm_lapic_state s;
    if (c->timer_kept)
        return; /* it has not run since the last stop: what was kept then still holds */
    if (vcall(c, KVM_GET_LAPIC, &s) < 0) {
        vt_unreadable(c, "the local APIC");
        return;
    }
    c->kept_count = apic_get(&s, APIC_COUNT);
    c->kept_deadline = deadline_to_clock(c, msr_or_0(c, MSR_TSC_DEADLINE));
    c->timer_kept = true;
}

static int set_tsc(struct vt_cpu *c, struct err *e)
{
    uint64_t adjust = msr_or_0(c, MSR_TSC_ADJUST);
    uint64_t offset = (uint64_t)clock_tsc_offset(c->v->vm) + adjust;
#ifdef KVM_VCPU_TSC_CTRL
    if (c->m->tsc_offset_attr) { /* since Linux 5.16: exact */
        struct kvm_device_attr a = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};
        return vcall(c, KVM_SET_DEVICE_ATTR, &a) < 0 ? vt_fail(e, "to set the TSC's offset") : 0;
    }
#endif
    /* KVM takes values that different vCPUs get within a second for the same one, and keeps them equal. */
    return vt_msr_set(c, MSR_TSC, clock_tsc(c->v->vm) + adjust) ? vt_fail(e, "to set the TSC") : 0;
}

int vt_resync(struct vt_cpu *c, struct err *e)
{
    c->resync = false;
    return set_tsc(c, e);
}

int vt_timer_start(struct vt_cpu *c, struct err *e)
{
    struct kvm_lapic_state s;
    if (vt_resync(c, e))
        return -1;
    if (!c->timer_kept)
        return 0;
    c->timer_kept = false;
    if (vcall(c, KVM_GET_LAPIC, &s) < 0)
        return vt_fail(e, "to read a local APIC");
    apic_put(&s, APIC_COUNT, c->kept_count);
    if (vcall(c, KVM_SET_LAPIC, &s) < 0)
        return vt_fail(e, "to set a local APIC");
    uint64_t d = c->kept_deadline ? c->kept_deadline + msr_or_0(c, MSR_TSC_ADJUST) : 0;
    if ((apic_get(&s, APIC_LVT_TIMER) >> 17 & 3) == 2)
        (void)vt_msr_set(c, MSR_TSC_DEADLINE, d);
    return 0;
}

/* ---- struct lapic_host ---- */

static void lapic_get(struct vcpu *v, struct lapic_image *out)
{
    struct vt_cpu *c = v->be;
    struct kvm_lapic_state s;
    struct kvm_sregs sr;
    vt_accept_events(c);
    if (vcall(c, KVM_GET_LAPIC, &s) < 0 || vcall(c, KVM_GET_SREGS, &sr) < 0) {
        vt_unreadable(c, "the local APIC");
        return;
    }
    for (unsigned i = 0; i < 64; i++)
        out->reg[i] = apic_get(&s, i);
    out->base = sr.apic_base;
    out->tsc_deadline = deadline_to_clock(c, msr_or_0(c, MSR_TSC_DEADLINE));
    if (c->timer_kept) {
        out->reg[APIC_COUNT] = c->kept_count;
        out->tsc_deadline = c->kept_deadline;
    }
}

static int lapic_set(struct vcpu *v, const struct lapic_image *in, struct err *e)
{
    struct vt_cpu *c = v->be;
    struct kvm_lapic_state s;
    struct kvm_sregs sr;
    if (vcall(c, KVM_GET_SREGS, &sr) < 0)
        return vt_fail(e, "to read the processor's registers");
    sr.apic_base = in->base;
    sr.cr8 = in->reg[8] >> 4 & 15;
    if (vcall(c, KVM_SET_SREGS, &sr) < 0)
        return vt_fail(e, "to move a local APIC");
    memset(&s, 0, sizeof s);
    for (unsigned i = 0; i < 64; i++)
        apic_put(&s, i, in->reg[i]);
    /* Twice: a change of the timer's mode, to or from TSC deadline, clears the initial count that came with it. */
    if (vcall(c, KVM_SET_LAPIC, &s) < 0 || vcall(c, KVM_SET_LAPIC, &s) < 0)
        return vt_fail(e, "the state of a local APIC");
    c->kept_count = in->reg[APIC_COUNT];
    c->kept_deadline = in->tsc_deadline;
    c->timer_kept = true;
    return 0;
}

static void lapic_msi(struct vm *vm, uint64_t addr, uint32_t data)
{
    struct vt_vm *m = vt_of(vm);
    struct kvm_msi msi = {.address_lo = (uint32_t)addr, .address_hi = addr >> 32, .data = data};
    if (m && kvm_call(m->fd, KVM_SIGNAL_MSI, &msi) < 0)
        guest_error("kvm", "an interrupt message (%#llx, %#x) reached nobody", (unsigned long long)addr, data);
}

static void lapic_nmi_pin(struct vm *vm)
{
    struct vt_vm *m = vt_of(vm);
    for (unsigned i = 0; m && i < m->n; i++)
        if (m->cpu[i]) {
            atomic_store(&m->cpu[i]->nmi_pin, true);
            vcpu_request(m->cpu[i]->v, VR_INTR);
        }
}

void vt_nmi_pin(struct vt_cpu *c)
{
    struct kvm_lapic_state s;
    if (!atomic_exchange(&c->nmi_pin, false) || vcall(c, KVM_GET_LAPIC, &s) < 0)
        return;
    uint32_t lvt = apic_get(&s, APIC_LVT1);
    if (!(lvt & LVT_MASKED) && (lvt >> 8 & 7) == 4)
        (void)kvm_call_n(c->fd, KVM_NMI, 0);
}

static void routes_changed(struct vm *vm)
{
    struct vt_vm *m = vt_of(vm);
    const struct intr_ctl *ic = intr_get_ctl(vm);
    if (!m || !ic || !ic->level_route)
        return;
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry e[VT_N_PINS];
    } r;
    memset(&r, 0, sizeof r);
    bool changed = false;
    for (unsigned i = 0; i < VT_N_PINS; i++) {
        uint64_t addr = 0;
        uint32_t data = 0;
        bool on = ic->level_route(ic->ctl, i, &addr, &data);
        changed |= on != m->route[i].on || addr != m->route[i].addr || data != m->route[i].data;
        m->route[i].on = on;
        m->route[i].addr = addr;
        m->route[i].data = data;
        if (!on)
            continue;
        r.e[r.head.nr++] = (struct kvm_irq_routing_entry){
            .gsi = i,
            .type = KVM_IRQ_ROUTING_MSI,
            .u.msi = {.address_lo = (uint32_t)addr, .address_hi = addr >> 32, .data = data},
        };
    }
    if (changed && kvm_call(m->fd, KVM_SET_GSI_ROUTING, &r) < 0) {
        struct err e = {0};
        vt_fail(&e, "the routes of the IOAPIC");
        vm_fail(vm, &e);
    }
}

/* What INIT leaves (SDM vol. 3, 10.4.7.3): the reset state, but for the id and IA32_APIC_BASE. */
int vt_lapic_init(struct vcpu *v, struct err *e)
{
    struct lapic_image m = {0}, r = {0};
    lapic_get(v, &m);
    r.base = m.base;
    r.reg[2] = m.reg[2];
    r.reg[3] = m.reg[3];
    r.reg[0x0d] = m.base & 0x400 ? m.reg[0x0d] : 0; /* LDR of x2APIC mode follows from the id */
    r.reg[0x0e] = 0xffffffff;
    r.reg[0x0f] = 0xff;
    for (unsigned i = 0x32; i < 0x38; i++)
        r.reg[i] = 0x10000;
    if (v->index == 0) { /* virtual wire mode: see lapic_init_pin */
        r.reg[0x0f] = 0x1ff;
        r.reg[0x35] = 0x700;
        r.reg[0x36] = 0x400;
    }
    int rc = lapic_set(v, &r, e);
    ((struct vt_cpu *)v->be)->timer_kept = false; /* the clock runs, and INIT has stopped the timer */
    return rc;
}

const struct lapic_host vt_lapic_host = {lapic_get, lapic_set, lapic_msi, lapic_nmi_pin, routes_changed};

int vt_irq_init(struct vt_vm *m, struct err *e)
{
    if (kvm_enable(m->fd, KVM_CAP_SPLIT_IRQCHIP, VT_N_PINS) < 0)
        return vt_fail(e, "an interrupt controller in the kernel (KVM_CAP_SPLIT_IRQCHIP)");
    if (kvm_enable(m->fd, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK) < 0)
        return vt_fail(e, "x2APIC (KVM_CAP_X2APIC_API)");
    return 0;
}
