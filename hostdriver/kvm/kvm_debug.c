/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A debugger's breakpoints, watchpoints and steps with KVM_SET_GUEST_DEBUG. They use the processor's four debug registers while the guest
 * runs, so there are four of them (a watched range may need several); the guest's own debug registers keep their values but do nothing
 * meanwhile, and its memory is not touched. A trap that is the guest's own goes back to it.
 */
#include <string.h>

#include "base/log.h"
#include "kvm/kvm_private.h"

#define DR6_BS (1ull << 14)
enum { DR7_EXEC, DR7_WRITE, DR7_ACCESS = 3 };

/* The largest piece at lin that one register can watch: 1, 2, 4 or 8 bytes, aligned. */
static unsigned piece(uint64_t lin, uint64_t len)
{
    unsigned n = 8;
    while (n > len || (lin & (n - 1)))
        n /= 2;
    return n;
}

static int apply(struct vt_cpu *c, uint32_t more)
{
    static const uint8_t len_code[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    const struct vt_vm *m = c->m;
    struct kvm_guest_debug d = {.control = more};
    bool step = c->dbg_how == DEBUG_ONE;
    for (unsigned i = 0; i < m->n_dbg_regs; i++) {
        const struct vt_debug_reg *r = &m->dbg_reg[i];
        if (step && r->kind == DEBUG_EXEC)
            continue; /* the instruction at which it stands is to be carried out */
        unsigned rw = r->kind == DEBUG_EXEC ? DR7_EXEC : r->kind == DEBUG_WRITE ? DR7_WRITE : DR7_ACCESS;
        d.arch.debugreg[i] = r->lin;
        d.arch.debugreg[7] |= 2ull << (2 * i) | (uint64_t)(rw | (unsigned)len_code[r->len] << 2) << (16 + 4 * i);
        d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
    }
    if (step) {
        d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
#ifdef KVM_GUESTDBG_BLOCKIRQ
        d.control |= m->dbg_flags & KVM_GUESTDBG_BLOCKIRQ;
#endif
    }
    if (d.arch.debugreg[7])
        d.arch.debugreg[7] |= 0x400;
    return vcall(c, KVM_SET_GUEST_DEBUG, &d);
}

int vt_debug_points(struct vm *vm, const struct debug_point *p, unsigned n)
{
    struct vt_vm *m = vt_of(vm);
    struct vt_debug_reg reg[4];
    unsigned k = 0;
    for (unsigned i = 0; i < n; i++)
        for (uint64_t at = 0, len = p[i].kind == DEBUG_EXEC ? 1 : p[i].len; at < len;) {
            if (k == 4)
                return -1;
            unsigned size = p[i].kind == DEBUG_EXEC ? 1 : piece(p[i].lin + at, len - at);
            reg[k++] = (struct vt_debug_reg){.lin = p[i].lin + at, .point = p[i].lin, .len = (uint8_t)size, .kind = p[i].kind};
            at += size;
        }
    memcpy(m->dbg_reg, reg, k * sizeof reg[0]);
    m->n_dbg_regs = k;
#ifdef KVM_CAP_SET_GUEST_DEBUG2
    m->dbg_flags = (uint32_t)kvm_has(m->fd, KVM_CAP_SET_GUEST_DEBUG2);
#endif
    int rc = 0;
    for (unsigned i = 0; i < m->n; i++)
        if (m->cpu[i] && apply(m->cpu[i], 0) < 0)
            rc = -1;
    return rc;
}

void vt_debug_resume(struct vcpu *v, enum debug_resume how)
{
    struct vt_cpu *c = v->be;
    c->dbg_how = how;
#ifdef KVM_CAP_SET_GUEST_DEBUG2
    if (how == DEBUG_ONE && !c->m->dbg_flags)
        c->m->dbg_flags = (uint32_t)kvm_has(c->m->fd, KVM_CAP_SET_GUEST_DEBUG2);
#endif
    if (apply(c, 0) < 0)
        log_msg(LOG_WARN, "kvm", "vCPU %u: the host's KVM refuses the debugger's breakpoints", v->index);
}

size_t vt_debug_mem(struct vcpu *v, uint64_t lin, void *buf, size_t n, bool write)
{
    struct vt_cpu *c = v->be;
    size_t done = 0;
    while (done < n) {
        struct kvm_translation t = {.linear_address = lin + done};
        size_t k = VT_PAGE - (t.linear_address & (VT_PAGE - 1));
        if (k > n - done)
            k = n - done;
        if (vcall(c, KVM_TRANSLATE, &t) < 0 || !t.valid)
            break;
        uint8_t *b = (uint8_t *)buf + done;
        if (write ? gmem_write(v->vm, t.physical_address, b, k) : gmem_read(v->vm, t.physical_address, b, k))
            break;
        done += k;
    }
    return done;
}

/* The guest's own: single step by TF. */
static enum vcpu_exit give_back(struct vt_cpu *c, uint64_t dr6)
{
    struct kvm_debugregs d;
    if (vcall(c, KVM_GET_DEBUGREGS, &d) == 0) {
        d.dr6 = (d.dr6 & ~15ull) | (dr6 & 0xe000);
        (void)vcall(c, KVM_SET_DEBUGREGS, &d);
    }
    (void)apply(c, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB);
    return VX_AGAIN;
}

enum vcpu_exit vt_debug_exit(struct vt_cpu *c)
{
    uint64_t dr6 = c->run->debug.arch.dr6;
    struct vcpu *v = c->v;
    for (unsigned i = 0; i < c->m->n_dbg_regs; i++)
        if (dr6 >> i & 1) {
            v->debug_why = c->m->dbg_reg[i].kind;
            v->debug_lin = c->m->dbg_reg[i].point;
            return VX_DEBUG;
        }
    if (c->dbg_how != DEBUG_ONE)
        return give_back(c, dr6);
    c->dbg_how = DEBUG_RUN;
    v->debug_why = DEBUG_STEP;
    return VX_DEBUG;
}
