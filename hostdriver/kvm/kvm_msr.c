/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers. Three kinds:
 *
 *  1. Kept by the kernel: those that it acts on (SYSCALL, SYSENTER, PAT, MTRRs, TSC_ADJUST ...).
 *  2. Ours, although the kernel knows them: it would show the guest another processor than BT does (machine check banks,
 * the K7 counters, CPUID faulting, SYSCFG), or drop what is written. The MSR filter of Linux 5.10 sends the guest's
 * accesses here, and engine/cpu answers for the shadow processor.
 *  3. Not known to the kernel: they come here by themselves.
 *
 * The table is what struct cpu_state has of them. A value that the kernel refuses or drops (DEBUGCTL without LBR
 * virtualization) is remembered, so that it is not lost on the way from BT and back.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "cpu/cpustate.h"
#include "kvm/kvm_private.h"

#define S(field) offsetof(struct cpu_state, field)
static const struct {
    uint32_t msr;
    uint16_t off;
} msrs[] = {
    {0x174, S(sysenter_cs)},
    {0x175, S(sysenter_esp)},
    {0x176, S(sysenter_eip)},
    {0x277, S(pat)},
    {0xc0000081, S(star)},
    {0xc0000082, S(lstar)},
    {0xc0000083, S(cstar)},
    {0xc0000084, S(sfmask)},
    {0xc0000102, S(kernel_gs_base)},
    {0xc0000103, S(tsc_aux)},
    {0x3b, S(tsc_adjust)},
    {0x1a0, S(misc_enable)},
    {0x1d9, S(debugctl)},
    {0x48, S(spec_ctrl)},
    {0x17a, S(mcg_status)},
    {0x17b, S(mcg_ctl)},
    {0x9e, S(smbase)},
    {0xda0, S(xss)},
    {0xc0010010, S(syscfg)},
    {0xc0010015, S(hwcr)},
    {0xc001001a, S(top_mem)},
    {0xc001001d, S(top_mem2)},
    {0x2ff, S(mtrr_def)},
    {0x250, S(mtrr_fixed[0])},
    {0x258, S(mtrr_fixed[1])},
    {0x259, S(mtrr_fixed[2])},
    {0x268, S(mtrr_fixed[3])},
    {0x269, S(mtrr_fixed[4])},
    {0x26a, S(mtrr_fixed[5])},
    {0x26b, S(mtrr_fixed[6])},
    {0x26c, S(mtrr_fixed[7])},
    {0x26d, S(mtrr_fixed[8])},
    {0x26e, S(mtrr_fixed[9])},
    {0x26f, S(mtrr_fixed[10])},
#define VAR(i) {0x200 + 2 * (i), S(mtrr_base[i])}, {0x201 + 2 * (i), S(mtrr_mask[i])}
    VAR(0), VAR(1), VAR(2), VAR(3), VAR(4), VAR(5), VAR(6), VAR(7),
#define BANK(i) {0x400 + 4 * (i), S(mc_regs[4 * (i)])}, {0x401 + 4 * (i), S(mc_regs[4 * (i) + 1])}, {0x402 + 4 * (i), S(mc_regs[4 * (i) + 2])}, \
    {0x403 + 4 * (i), S(mc_regs[4 * (i) + 3])}
    BANK(0), BANK(1), BANK(2), BANK(3), BANK(4), BANK(5), BANK(6), BANK(7),
};
#define N_MSRS (sizeof msrs / sizeof msrs[0])
_Static_assert(N_MSRS <= VT_MAX_MSRS, "room for each MSR");

/* Kind 2, in ascending order. */
static const struct {
    uint32_t first, count;
} ours[] = {
    {0xc1, 2},          /* P6 counters */
    {0xce, 1},          /* PLATFORM_INFO: no CPUID faulting */
    {0x140, 1},         /* MISC_FEATURES_ENABLES */
    {0x179, 3},         /* MCG_CAP, MCG_STATUS, MCG_CTL */
    {0x186, 2},         /* P6 event selects */
    {0x400, 128},       /* machine check banks */
    {0xc0010000u, 8},   /* K7 counters */
    {0xc0010010u, 16},  /* SYSCFG, HWCR, IORR, TOP_MEM, TOP_MEM2, NB_CFG */
};
#define N_OURS (sizeof ours / sizeof ours[0])

struct msr_list {
    struct kvm_msrs head;
    struct kvm_msr_entry e[N_MSRS];
};

int vt_msr_get(struct vt_cpu *c, uint32_t msr, uint64_t *val)
{
    struct msr_list l = {.head.nmsrs = 1, .e[0].index = msr};
    if (vcall(c, KVM_GET_MSRS, &l) != 1)
        return -1;
    *val = l.e[0].data;
    return 0;
}

int vt_msr_set(struct vt_cpu *c, uint32_t msr, uint64_t val)
{
    struct msr_list l = {.head.nmsrs = 1, .e[0] = {.index = msr, .data = val}};
    return vcall(c, KVM_SET_MSRS, &l) == 1 ? 0 : -1;
}

#ifdef KVM_CAP_X86_MSR_FILTER
/* Each RDMSR and WRMSR of the guest goes through the ranges one by one: so few, with what lies between ours allowed. */
enum { SPAN = 256 };
static void msr_filter_ranges(struct kvm_msr_filter *f, uint8_t allowed[][SPAN / 8])
{
    struct kvm_msr_filter_range *r = f->ranges;
    for (unsigned i = 0; i < N_OURS; i++) {
        if (r->nmsrs && ours[i].first + ours[i].count - r->base > SPAN)
            r++;
        if (!r->nmsrs)
            *r = (struct kvm_msr_filter_range){.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .base = ours[i].first, .bitmap = allowed[r - f->ranges]};
        for (uint32_t bit = r->nmsrs; bit < ours[i].first - r->base; bit++)
            r->bitmap[bit / 8] |= (uint8_t)(1u << bit % 8);
        r->nmsrs = ours[i].first + ours[i].count - r->base;
    }
}
#endif

void vt_msr_init(struct vt_vm *m)
{
#if defined(KVM_CAP_X86_USER_SPACE_MSR) && defined(KVM_CAP_X86_MSR_FILTER)
    struct kvm_msr_filter f = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
    uint8_t allowed[KVM_MSR_FILTER_MAX_RANGES][SPAN / 8] = {{0}};
    _Static_assert(N_OURS <= KVM_MSR_FILTER_MAX_RANGES, "room for each range");
    msr_filter_ranges(&f, allowed);
    m->msr_filter = kvm_enable(m->fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER) == 0 &&
                    kvm_has(m->fd, KVM_CAP_X86_MSR_FILTER) && kvm_call(m->fd, KVM_X86_SET_MSR_FILTER, &f) == 0;
    if (!m->msr_filter)
        (void)kvm_enable(m->fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
#endif
}

static bool is_ours(uint32_t msr)
{
    for (unsigned i = 0; i < N_OURS; i++)
        if (msr - ours[i].first < ours[i].count)
            return true;
    return false;
}

static uint64_t *field(struct cpu_state *s, unsigned i) { return (uint64_t *)(void *)((uint8_t *)s + msrs[i].off); }

/* Asked once: a register that can be read belongs to the kernel. */
static void find_msrs(struct vt_cpu *c)
{
    uint64_t v;
    if (c->m->msrs_known)
        return;
    for (unsigned i = 0; i < N_MSRS; i++)
        c->m->msr_kept[i] = !(c->m->msr_filter && is_ours(msrs[i].msr)) && vt_msr_get(c, msrs[i].msr, &v) == 0;
    c->m->msrs_known = true;
}

static void read_kept(struct vt_cpu *c, struct cpu_state *s)
{
    struct msr_list l = {0};
    unsigned at[N_MSRS];
    find_msrs(c);
    for (unsigned i = 0; i < N_MSRS; i++)
        if (c->m->msr_kept[i]) {
            at[l.head.nmsrs] = i;
            l.e[l.head.nmsrs++].index = msrs[i].msr;
        }
    int n = vcall(c, KVM_GET_MSRS, &l);
    for (int k = 0; k < n; k++)
        *field(s, at[k]) = l.e[k].data;
    if (n != (int)l.head.nmsrs)
        vt_unreadable(c, "the MSRs");
}

void vt_msrs_get(struct vt_cpu *c, struct cpu_state *s)
{
    read_kept(c, s);
    for (unsigned i = 0; i < N_MSRS; i++)
        if (!c->m->msr_kept[i] || (c->msr_odd[i] && *field(s, i) == c->msr_odd_now[i]))
            *field(s, i) = *field(&c->shadow.s, i);
    s->smbase = (uint32_t)s->smbase;
}

/* Only what differs is written: some kernels complain about a write of 0 to a register that they give as 0. */
void vt_msrs_set(struct vt_cpu *c, const struct cpu_state *s)
{
    struct cpu_state *from = (struct cpu_state *)(uintptr_t)s;
    static _Thread_local struct cpu_state now; /* of which the MSRs are used */
    read_kept(c, &now);
    for (unsigned i = 0; i < N_MSRS; i++) {
        uint64_t val = *field(from, i), is;
        *field(&c->shadow.s, i) = val;
        c->msr_odd[i] = false;
        if (!c->m->msr_kept[i] || *field(&now, i) == val)
            continue;
        int rc = vt_msr_set(c, msrs[i].msr, val);
        if (!vt_msr_get(c, msrs[i].msr, &is) && is != val) {
            log_msg(LOG_DEBUG, "kvm", "vCPU %u: MSR %#x does not take %#llx (%d)", c->v->index, msrs[i].msr, (unsigned long long)val, rc);
            c->msr_odd[i] = true;
            c->msr_odd_now[i] = is;
        }
    }
}
