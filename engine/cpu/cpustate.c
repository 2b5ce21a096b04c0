/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The saved form of struct cpu_state, the same for both engines. Saved state is hostile: what would make the host fault
 * when it loads the registers (XSAVE image), or break what the engines take for granted about control registers, is
 * refused here. What remains can at worst be a guest that crashes.
 */
#include "cpu/nolibc.h"

#include "cpu/cpustate.h"

#include "core/state.h"
#include "cpu/cpu.h"

#define F(field, k) SF(struct cpu_state, field, k)
#define A(field, k) SF_ARR(struct cpu_state, field, k)

static const struct state_field seg_fields[] = {
    SF(struct cpu_seg, sel, SF_U16),
    SF(struct cpu_seg, attr, SF_U16),
    SF(struct cpu_seg, limit, SF_U32),
    SF(struct cpu_seg, base, SF_U64),
    {0},
};
static const struct state_desc seg_desc = {.name = "seg", .version = 1, .min_version = 1, .fields = seg_fields};
static const struct state_field dtable_fields[] = {
    SF(struct cpu_dtable, base, SF_U64), SF_MAX(struct cpu_dtable, limit, SF_U32, 0xffff), {0}};
static const struct state_desc dtable_desc = {
    .name = "dtable", .version = 1, .min_version = 1, .fields = dtable_fields};

static const struct state_field fields[] = {
    A(gpr, SF_U64),
    F(rip, SF_U64),
    F(rflags, SF_U64),
    SF_SUBS(struct cpu_state, seg, &seg_desc),
    SF_SUB(struct cpu_state, ldtr, &seg_desc),
    SF_SUB(struct cpu_state, tr, &seg_desc),
    SF_SUB(struct cpu_state, gdtr, &dtable_desc),
    SF_SUB(struct cpu_state, idtr, &dtable_desc),
    F(cr0, SF_U64),
    F(cr2, SF_U64),
    F(cr3, SF_U64),
    F(cr4, SF_U64),
    SF_MAX(struct cpu_state, cr8, SF_U64, 15),
    A(dr, SF_U64),
    F(dr6, SF_U64),
    F(dr7, SF_U64),
    F(efer, SF_U64),
    F(xcr0, SF_U64),
    F(xss, SF_U64),
    F(star, SF_U64),
    F(lstar, SF_U64),
    F(cstar, SF_U64),
    F(sfmask, SF_U64),
    F(kernel_gs_base, SF_U64),
    F(sysenter_cs, SF_U64),
    F(sysenter_esp, SF_U64),
    F(sysenter_eip, SF_U64),
    F(pat, SF_U64),
    F(tsc_aux, SF_U64),
    F(tsc_adjust, SF_U64),
    F(apic_base, SF_U64),
    F(misc_enable, SF_U64),
    F(debugctl, SF_U64),
    F(spec_ctrl, SF_U64),
    F(mcg_status, SF_U64),
    F(mtrr_def, SF_U64),
    A(mtrr_fixed, SF_U64),
    A(mtrr_base, SF_U64),
    A(mtrr_mask, SF_U64),
    A(mc_regs, SF_U64),
    F(smbase, SF_U64),
    A(pdpte, SF_U64),
    SF_MAX(struct cpu_state, run_state, SF_U8, CPU_SHUTDOWN),
    SF_MAX(struct cpu_state, intr_shadow, SF_U8, 2),
    SF_MAX(struct cpu_state, nmi_blocked, SF_U8, 1),
    SF_MAX(struct cpu_state, smm, SF_U8, 1),
    SF_MAX(struct cpu_state, smm_nmi, SF_U8, 1),
    SF_MAX(struct cpu_state, nmi_pending, SF_U8, 2),
    SF_MAX(struct cpu_state, smi_pending, SF_U8, 1),
    SF_MAX(struct cpu_state, init_pending, SF_U8, 1),
    F(sipi_vector, SF_U8),
    SF_MAX(struct cpu_state, exc_pending, SF_U8, 1),
    SF_MAX(struct cpu_state, exc_vector, SF_U8, 31),
    SF_MAX(struct cpu_state, exc_has_code, SF_U8, 1),
    F(exc_code, SF_U32),
    SF_MAX(struct cpu_state, intr_pending, SF_U8, 1),
    F(intr_vector, SF_U8),
    F(mcg_ctl, SF_U64),
    F(syscfg, SF_U64),
    F(hwcr, SF_U64),
    F(top_mem, SF_U64),
    F(top_mem2, SF_U64),
    SF_BUF(struct cpu_state, xsave),
    {0},
};

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, 0, "the processor's state is impossible (%s).", what);
}

static int check_xsave(const struct cpu_state *s, struct err *e)
{
    /* FXSAVE tells which MXCSR bits exist (SDM vol. 1, 11.6.6); 0 means FFBFh. */
    uint8_t fx[512] __attribute__((aligned(16)));
    __asm__ volatile("fxsave %0" : "=m"(fx));
    uint32_t mask = *(const uint32_t *)(fx + 28), eax, edx;
    if (!mask)
        mask = 0xffbf;
    uint32_t ecx;
    __asm__ volatile("cpuid" : "=a"(eax), "=c"(ecx) : "0"(1), "1"(0) : "ebx", "edx");
    eax = 3, edx = 0;
    if (ecx & 1u << 27) /* OSXSAVE: the host's system may not use it */
        __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    uint64_t host = (uint64_t)edx << 32 | eax;
    if (*(const uint32_t *)(s->xsave + 24) & ~mask)
        return bad(e, "MXCSR");
    if (!(s->xcr0 & 1) || (s->xcr0 & ~host))
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "the saved processor has vector registers that this host's processor lacks.");
    if (*(const uint64_t *)(s->xsave + 512) & ~host)
        return bad(e, "XSTATE_BV");
    for (unsigned i = 520; i < 576; i++) /* XCOMP_BV and the reserved part of the header: XRSTOR faults on them */
        if (s->xsave[i])
            return bad(e, "XSAVE header");
    return 0;
}

static int post_load(void *dev, unsigned version, struct err *e)
{
    const struct cpu_state *s = dev;
    (void)version;
    if (!(s->rflags & 2) || (s->rflags & ~0x3f7fd7ull))
        return bad(e, "RFLAGS");
    if (s->cr0 >> 32 || ((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE)) || ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD)))
        return bad(e, "CR0");
    if (s->cr4 >> 32)
        return bad(e, "CR4");
    bool lma = (s->efer & EFER_LMA) != 0;
    if (lma != ((s->efer & EFER_LME) && (s->cr0 & CR0_PG)) || (lma && !(s->cr4 & CR4_PAE)) ||
        (!lma && (s->cr4 & CR4_PCIDE)))
        return bad(e, "EFER");
    if (lma && (s->rflags & FL_VM) && (s->seg[S_CS].attr & SEG_L))
        return bad(e, "virtual-8086 mode");
    if (s->dr6 >> 32 || s->dr7 >> 32)
        return bad(e, "debug registers");
    if (!cpu_canonical(s->lstar) || !cpu_canonical(s->cstar) || !cpu_canonical(s->kernel_gs_base) || !cpu_canonical(s->sysenter_esp) ||
        !cpu_canonical(s->sysenter_eip) || !cpu_canonical(s->seg[S_FS].base) || !cpu_canonical(s->seg[S_GS].base) ||
        !cpu_canonical(s->gdtr.base) || !cpu_canonical(s->idtr.base) || !cpu_canonical(s->tr.base) || !cpu_canonical(s->ldtr.base))
        return bad(e, "an address");
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = (s->pat >> (8 * i)) & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return bad(e, "PAT");
    }
    return check_xsave(s, e);
}

const struct state_desc cpu_state_desc = {
    .name = "cpu",
    .version = 1,
    .min_version = 1,
    .fields = fields,
    .post_load = post_load,
};
