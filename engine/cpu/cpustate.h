/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Architectural x86 state. One format for both engines, suspend files and the debugger. Names are those of the Intel SDM and AMD APM.
 */
#ifndef LODGE_CPU_CPUSTATE_H
#define LODGE_CPU_CPUSTATE_H

#include <stdint.h>

enum cpu_gpr_ix { R_RAX, R_RCX, R_RDX, R_RBX, R_RSP, R_RBP, R_RSI, R_RDI, R_R8, R_R9, R_R10, R_R11, R_R12, R_R13, R_R14, R_R15 };
enum cpu_seg_ix { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS, S_COUNT };

/* Attributes as in the descriptor's bytes 5-6: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15 (limit already scaled to bytes). */
struct cpu_seg {
    uint16_t sel;
    uint16_t attr; /* P clear = unusable */
    uint32_t limit;
    uint64_t base;
};
#define SEG_TYPE(a) ((a)&15u)
#define SEG_S 0x10u
#define SEG_DPL(a) (((a) >> 5) & 3u)
#define SEG_P 0x80u
#define SEG_L 0x2000u
#define SEG_DB 0x4000u
#define SEG_G 0x8000u

struct cpu_dtable {
    uint64_t base;
    uint32_t limit;
    uint32_t pad;
};

#define XSAVE_AREA_MAX 4096 /* bytes; standard (non-compacted) format */

enum cpu_run_state { CPU_RUNNING, CPU_HALTED, CPU_WAIT_SIPI, CPU_SHUTDOWN };

struct cpu_state {
    uint64_t gpr[16];
    uint64_t rip; /* offset in CS */
    uint64_t rflags;
    struct cpu_seg seg[S_COUNT], ldtr, tr;
    struct cpu_dtable gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t dr[4], dr6, dr7;
    uint64_t efer, xcr0, xss;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_aux, tsc_adjust, apic_base, misc_enable, debugctl, spec_ctrl, mcg_status, mtrr_def;
    uint64_t mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t mc_regs[4 * 8];
    uint64_t smbase;
    uint64_t pdpte[4]; /* PAE paging: loaded by MOV CR3 (SDM 4.4.1) */
    /* Events that are in flight between two instructions. */
    uint8_t run_state;        /* enum cpu_run_state */
    uint8_t intr_shadow;      /* 1: STI, 2: MOV SS / POP SS; inhibits for one instruction */
    uint8_t nmi_blocked, smm, nmi_pending, smi_pending, init_pending;
    uint8_t smm_nmi;          /* in SMM: NMIs were blocked when it was entered, and are so again after RSM */
    uint8_t sipi_vector;
    uint8_t exc_pending, exc_vector, exc_has_code; /* an exception raised but not delivered yet */
    uint8_t intr_pending, intr_vector; /* an external interrupt that the controllers have handed over already */
    uint32_t exc_code;
    uint64_t mcg_ctl, syscfg, hwcr, top_mem, top_mem2; /* SYSCFG ...: AMD */
    /* MXCSR, x87, SSE, AVX ... in the standard XSAVE format (SDM vol. 1, 13.4). */
    uint8_t xsave[XSAVE_AREA_MAX] __attribute__((aligned(64)));
};

/* The section in saved state (cpustate.c): a field added above needs its line there. */
struct state_desc;
extern const struct state_desc cpu_state_desc;

#endif
