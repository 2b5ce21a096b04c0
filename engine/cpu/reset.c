/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state after RESET and INIT (SDM vol. 3 table 10-1), and start-up IPIs. */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

static void reset_fpu(struct cpu_state *s)
{
    cpu_zero(s->xsave, sizeof s->xsave);
    *(uint16_t *)(s->xsave + 0) = 0x40;    /* FCW after RESET; FNINIT gives 37Fh */
    s->xsave[4] = 0xff;                    /* abridged FTW: 5555h is "all zero", that is, none empty */
    *(uint32_t *)(s->xsave + 24) = 0x1f80; /* MXCSR */
    *(uint32_t *)(s->xsave + 28) = 0xffff; /* MXCSR_MASK */
    *(uint64_t *)(s->xsave + 512) = 3;     /* XSTATE_BV: x87 and SSE are in the image */
}

void cpu_reset(struct cpu *c, bool init)
{
    struct cpu_state *s = &c->s;
    const struct cpuid_leaf *id = cpu_feat_leaf(c->feat, 1, 0);

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = 0;
    s->gpr[R_RDX] = id ? id->eax : 0; /* the processor's signature */
    s->rip = 0xfff0;
    s->rflags = 2;
    for (unsigned i = 0; i < S_COUNT; i++)
        s->seg[i] = (struct cpu_seg){.attr = 0x93, .limit = 0xffff};
    s->seg[S_CS] = (struct cpu_seg){.sel = 0xf000, .attr = 0x9b, .limit = 0xffff, .base = 0xffff0000u};
    s->ldtr = (struct cpu_seg){.attr = 0x82, .limit = 0xffff};
    s->tr = (struct cpu_seg){.attr = 0x8b, .limit = 0xffff};
    s->gdtr = s->idtr = (struct cpu_dtable){.limit = 0xffff};
    s->cr0 = init ? (s->cr0 & (CR0_CD | CR0_NW)) | CR0_ET : 0x60000010;
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
    for (unsigned i = 0; i < 4; i++)
        s->dr[i] = s->pdpte[i] = 0;
    s->dr6 = 0xffff0ff0;
    s->dr7 = 0x400;
    s->efer = 0;
    s->debugctl = 0;
    s->intr_shadow = s->nmi_blocked = s->smm = s->smm_nmi = 0;
    s->nmi_pending = s->smi_pending = s->init_pending = 0;
    s->exc_pending = s->intr_pending = 0;
    c->cpl = 0;
    c->fault = (struct cpu_fault){0};
    if (!init) {
        reset_fpu(s);
        s->xcr0 = 1;
        s->xss = 0;
        s->star = s->lstar = s->cstar = s->sfmask = s->kernel_gs_base = 0;
        s->sysenter_cs = s->sysenter_esp = s->sysenter_eip = 0;
        s->pat = 0x0007040600070406ull;
        s->tsc_aux = s->tsc_adjust = 0;
        s->apic_base = 0xfee00000u | 1 << 11 | (c->index == 0 ? 1 << 8 : 0);
        s->misc_enable = 1 | 1 << 11 | 1 << 12; /* fast strings; no BTS, no PEBS */
        s->spec_ctrl = 0;
        s->mcg_status = s->mcg_ctl = 0;
        s->mtrr_def = 0;
        s->syscfg = s->hwcr = s->top_mem = s->top_mem2 = 0;
        for (unsigned i = 0; i < 11; i++)
            s->mtrr_fixed[i] = 0;
        for (unsigned i = 0; i < 8; i++)
            s->mtrr_base[i] = s->mtrr_mask[i] = 0;
        for (unsigned i = 0; i < 32; i++)
            s->mc_regs[i] = 0;
        s->smbase = 0x30000;
    }
    s->run_state = c->index == 0 ? CPU_RUNNING : CPU_WAIT_SIPI;
    c->ops->flush_tlb(c, true);
    mode_changed(c);
}

void cpu_sipi(struct cpu *c, uint8_t vector)
{
    struct cpu_state *s = &c->s;
    if (s->run_state != CPU_WAIT_SIPI)
        return;
    s->seg[S_CS].sel = (uint16_t)(vector << 8);
    s->seg[S_CS].base = (uint32_t)vector << 12;
    s->rip = 0;
    s->run_state = CPU_RUNNING;
    mode_changed(c);
}
