/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers (SDM vol. 4, APM vol. 2 appendix A and AMD's PPR): those that operating systems touch.
 * Everything else is #GP and a line in the log. The vendor follows the host, so each register exists for its vendor
 * only.
 */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

enum {
    MSR_P5_MC_ADDR = 0,
    MSR_P5_MC_TYPE = 1,
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_EBL_CR_POWERON = 0x2a,
    MSR_SMI_COUNT = 0x34,
    MSR_CORE_THREAD_COUNT = 0x35,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SPEC_CTRL = 0x48,
    MSR_PRED_CMD = 0x49,
    MSR_BIOS_UPDT_TRIG = 0x79,
    MSR_BIOS_SIGN_ID = 0x8b,
    MSR_FSB_FREQ = 0xcd,
    MSR_PLATFORM_INFO = 0xce,
    MSR_PKG_CST = 0xe2,
    MSR_PMG_IO_CAPTURE = 0xe4,
    MSR_MTRRCAP = 0xfe,
    MSR_ARCH_CAP = 0x10a,
    MSR_BBL_CR_CTL3 = 0x11e,
    MSR_MISC_FEATURES = 0x140,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MCG_CTL = 0x17b,
    MSR_PERF_STATUS = 0x198,
    MSR_PERF_CTL = 0x199,
    MSR_CLOCK_MOD = 0x19a,
    MSR_THERM_INT = 0x19b,
    MSR_THERM_STATUS = 0x19c,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_TEMPERATURE_TARGET = 0x1a2,
    MSR_TURBO_RATIO = 0x1ad,
    MSR_DEBUGCTL = 0x1d9,
    MSR_LBR_FROM = 0x1db,
    MSR_LER_TO = 0x1de,
    MSR_MTRR_PHYS0 = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258,
    MSR_MTRR_FIX4K = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF = 0x2ff,
    MSR_MC0_CTL = 0x400,
    MSR_RAPL_UNIT = 0x606,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800
};
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

#define N_BANKS 8

static int bad(struct cpu *c, const char *what, uint32_t msr, uint64_t val)
{
    c->ops->guest_error(c, what, msr, val);
    return cpu_raise_code(c, X_GP, 0);
}
static int gp(struct cpu *c) { return cpu_raise_code(c, X_GP, 0); }

static inline bool mtrr_type_ok(unsigned t) { return t < 7 && (0x73 >> t & 1); } /* UC WC WT WP WB */
static bool types_ok(uint64_t v, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned t = (unsigned)(v >> (8 * i)) & 0xff;
        if (!mtrr_type_ok(t) && !(pat && t == 7))
            return false;
    }
    return true;
}
static int fixed_index(uint32_t msr)
{
    if (msr == MSR_MTRR_FIX64K)
        return 0;
    if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
        return 1 + (int)(msr - MSR_MTRR_FIX16K);
    if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
        return 3 + (int)(msr - MSR_MTRR_FIX4K);
    return -1;
}

/* ARCH_CAPABILITIES. Translated code reaches the host's predictors and buffers through the translator, not at the
 * guest's addresses or privilege levels, so the guest's own counter-measures protect nothing and cost much; the host
 * kernel's do what can be done. RDCL_NO, IBRS_ALL, SKIP_L1DFL, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO,
 * FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO. */
#define ARCH_CAP_VALUE                                                                                        \
    (1ull | 1ull << 1 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 8 | 1ull << 13 | 1ull << 14 | \
     1ull << 15 | 1ull << 20 | 1ull << 24 | 1ull << 26 | 1ull << 27 | 1ull << 62)

/* ---- reads ---- */

static int rd_intel(struct cpu *c, uint32_t msr, uint64_t *v)
{
    uint64_t ratio = c->tsc_khz / 100000;
    switch (msr) {
    case MSR_FEATURE_CONTROL: *v = 1; return 0; /* locked; no VMX, no SGX */
    case MSR_BIOS_SIGN_ID: *v = 1ull << 32; return 0;
    case MSR_PLATFORM_INFO: *v = ratio << 8 | ratio << 40; return 0;
    case MSR_CORE_THREAD_COUNT: *v = c->cores_per_socket | c->cores_per_socket << 16; return 0;
    case MSR_FSB_FREQ: *v = 3; return 0;
    case MSR_BBL_CR_CTL3: *v = 0xbe702111; return 0; /* L2 present and on */
    case MSR_PERF_STATUS: *v = ratio << 8 | 4ull << 40; return 0;
    case MSR_TEMPERATURE_TARGET: *v = 100 << 16; return 0;
    case MSR_PLATFORM_ID:
    case MSR_EBL_CR_POWERON:
    case MSR_SMI_COUNT:
    case MSR_PKG_CST:
    case MSR_PMG_IO_CAPTURE:
    case MSR_MISC_FEATURES:
    case MSR_PERF_CTL:
    case MSR_CLOCK_MOD:
    case MSR_THERM_INT:
    case MSR_THERM_STATUS:
    case MSR_TURBO_RATIO:
    case 0xc1:
    case 0xc2:
    case 0x186:
    case 0x187: /* P6 counters and event selects: as if none counts */
    case MSR_RAPL_UNIT:
    case 0x611:
    case 0x619:
    case 0x639:
    case 0x641: /* RAPL: no energy is counted */ *v = 0; return 0;
    default: return 1;
    }
}

static int rd_amd(struct cpu *c, uint32_t msr, uint64_t *v)
{
    switch (msr) {
    case MSR_BIOS_SIGN_ID: *v = 0x01000065; return 0; /* PATCH_LEVEL */
    case 0xc0010010: *v = c->s.syscfg; return 0;
    case 0xc0010015: *v = c->s.hwcr | 1 << 24; return 0; /* TscFreqSel: the TSC counts at P0 frequency */
    case 0xc001001a: *v = c->s.top_mem; return 0;
    case 0xc001001d: *v = c->s.top_mem2; return 0;
    case 0xc0010114: *v = 0x18; return 0; /* VM_CR: SVMDIS, LOCK */
    case 0xc0010140: *v = 4; return 0;    /* OSVW_ID_LENGTH: errata 0-3 are described, */
    case 0xc0010141: *v = 0; return 0;    /* and absent */
    case 0xc0011004: { /* CPUID features that software may override: as CPUID 1 and 80000001h report them */
        uint32_t r[4];
        cpu_cpuid(c, 1, 0, r);
        *v = (uint64_t)r[2] << 32 | r[3];
        return 0;
    }
    case 0xc0011005: {
        uint32_t r[4];
        cpu_cpuid(c, 0x80000001u, 0, r);
        *v = (uint64_t)r[2] << 32 | r[3];
        return 0;
    }
    case 0xc0011029:
        *v = 2;
        return 0; /* DE_CFG: LFENCE is dispatch serializing */
    /* Performance counters of the K7 kind exist architecturally; they neither count nor keep what is written, so that
     * nobody relies on them. */
    case 0xc0010000:
    case 0xc0010001:
    case 0xc0010002:
    case 0xc0010003:
    case 0xc0010004:
    case 0xc0010005:
    case 0xc0010006:
    case 0xc0010007:
    case 0xc0010016:
    case 0xc0010017:
    case 0xc0010018:
    case 0xc0010019: /* IORR */
    case 0xc001001f: /* NB_CFG */
    case 0xc0010020: /* PATCH_LOADER */
    case 0xc0010055: /* INT_PENDING: no C1E */
    case 0xc0010056: /* SMI trigger I/O cycle */
    case 0xc0010058: /* MMIO_CONF_BASE */
    case 0xc0010061:
    case 0xc0010062:
    case 0xc0010063:
    case 0xc0010064: /* P-states */
    case 0xc0010111:
    case 0xc0010112:
    case 0xc0010113: /* SMM base and mask */
    case 0xc0010117: /* VM_HSAVE_PA */
    case 0xc0011000:
    case 0xc0011020:
    case 0xc0011021:
    case 0xc0011022:
    case 0xc0011023:
    case 0xc0011028:
    case 0xc001102a:
    case 0xc001102c:
    case 0xc001102d:
    case 0xc001102e:
    case 0xc00110e3: /* LS_CFG, IC_CFG, DC_CFG, BU_CFG, FP_CFG, BU_CFG2, EX_CFG, BP_CFG ... */ *v = 0; return 0;
    default: return 1;
    }
}

/* The local APIC counts in the TSC without TSC_ADJUST; a deadline is in the guest's TSC (SDM vol. 3, 10.5.4.1). 0 disarms. */
static int get_deadline(struct cpu *c, uint64_t *val)
{
    if (c->ops->apic_msr(c, MSR_TSC_DEADLINE, false, val))
        return -1;
    if (*val)
        *val += c->s.tsc_adjust;
    return 0;
}

static int set_deadline(struct cpu *c, uint64_t v)
{
    if (v && !(v -= c->s.tsc_adjust))
        v = 1; /* long past, but armed */
    return c->ops->apic_msr(c, MSR_TSC_DEADLINE, true, &v);
}

/* An armed deadline stays the same value of the guest's TSC. */
static void set_tsc_adjust(struct cpu *c, uint64_t v)
{
    uint64_t deadline;
    bool armed = !get_deadline(c, &deadline) && deadline;
    c->s.tsc_adjust = v;
    if (armed)
        set_deadline(c, deadline);
    mode_changed(c);
}

int cpu_rdmsr(struct cpu *c, uint32_t msr, uint64_t *val)
{
    struct cpu_state *s = &c->s;
    int i;
    if (unlikely(c->cpl))
        return gp(c);
    switch (msr) {
    case MSR_TSC: *val = c->ops->tsc(c) + s->tsc_adjust; return 0;
    case MSR_APIC_BASE: return c->ops->apic_msr(c, msr, false, val) ? gp(c) : 0;
    case MSR_TSC_DEADLINE: return get_deadline(c, val) ? gp(c) : 0;
    case MSR_TSC_ADJUST: *val = s->tsc_adjust; return 0;
    case MSR_SPEC_CTRL:
        if (!c->feat->spec_ctrl)
            break;
        *val = s->spec_ctrl;
        return 0;
    case MSR_ARCH_CAP:
        if (!c->feat->arch_cap)
            break;
        *val = ARCH_CAP_VALUE;
        return 0;
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE: *val = 0; return 0;
    case MSR_MISC_ENABLE: *val = s->misc_enable; return 0; /* Intel's; other hypervisors have it on every processor too */
    case MSR_MTRRCAP: *val = 0x508; return 0; /* WC, fixed ranges, 8 variable ranges */
    case MSR_SYSENTER_CS: *val = s->sysenter_cs; return 0;
    case MSR_SYSENTER_ESP: *val = s->sysenter_esp; return 0;
    case MSR_SYSENTER_EIP: *val = s->sysenter_eip; return 0;
    case MSR_MCG_CAP: *val = N_BANKS | 1 << 8; return 0; /* MCG_CTL is there */
    case MSR_MCG_STATUS: *val = s->mcg_status; return 0;
    case MSR_MCG_CTL: *val = s->mcg_ctl; return 0;
    case MSR_DEBUGCTL: *val = s->debugctl; return 0;
    case MSR_LBR_FROM:
    case MSR_LBR_FROM + 1:
    case MSR_LBR_FROM + 2:
    case MSR_LER_TO: *val = 0; return 0;
    case MSR_PAT: *val = s->pat; return 0;
    case MSR_MTRR_DEF: *val = s->mtrr_def; return 0;
    case MSR_EFER: *val = s->efer; return 0;
    case MSR_STAR: *val = s->star; return 0;
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_SFMASK:
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS:
        if (!c->feat->longmode)
            break;
        *val = msr == MSR_LSTAR     ? s->lstar
               : msr == MSR_CSTAR   ? s->cstar
               : msr == MSR_SFMASK  ? s->sfmask
               : msr == MSR_FS_BASE ? s->seg[S_FS].base
               : msr == MSR_GS_BASE ? s->seg[S_GS].base
                                    : s->kernel_gs_base;
        return 0;
    case MSR_TSC_AUX:
        if (!c->feat->rdtscp && !c->feat->rdpid)
            break;
        *val = s->tsc_aux;
        return 0;
    default: break;
    }
    if (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100)
        return c->ops->apic_msr(c, msr, false, val) ? gp(c) : 0;
    if (msr >= MSR_MTRR_PHYS0 && msr < MSR_MTRR_PHYS0 + 16) {
        i = (int)(msr - MSR_MTRR_PHYS0) / 2;
        *val = (msr & 1) ? s->mtrr_mask[i] : s->mtrr_base[i];
        return 0;
    }
    i = fixed_index(msr);
    if (i >= 0) {
        *val = s->mtrr_fixed[i];
        if (c->feat->amd && !(s->syscfg & 1 << 19)) /* APM 7.9.1: RdMem, WrMem are seen with MtrrFixDramModEn only */
            *val &= ~0x1818181818181818ull;
        return 0;
    }
    if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * N_BANKS) {
        *val = s->mc_regs[msr - MSR_MC0_CTL];
        return 0;
    }
    if (!(c->feat->amd ? rd_amd(c, msr, val) : rd_intel(c, msr, val)))
        return 0;
    return bad(c, "RDMSR of a register that this CPU does not have", msr, 0);
}

/* ---- writes ---- */

static int wr_efer(struct cpu *c, uint64_t v)
{
    uint64_t old = c->s.efer;
    if (v & ~c->feat->efer_valid)
        return gp(c);
    if (((v ^ old) & EFER_LME) && (c->s.cr0 & CR0_PG))
        return gp(c);
    c->s.efer = (v & ~(uint64_t)EFER_LMA) | (old & EFER_LMA); /* LMA is read-only */
    if ((v ^ old) & EFER_NXE)
        c->ops->flush_tlb(c, true);
    mode_changed(c);
    return 0;
}

static int wr_mc(struct cpu *c, unsigned i, uint64_t v)
{
    switch (i & 3) {
    case 0: /* MCi_CTL: all or nothing (SDM 16.3.2.1); old systems clear bit 10 of one bank, or bit 0 */
        if (v && (v | 1 << 10 | 1) != ~0ull)
            return gp(c);
        break;
    case 1: /* MCi_STATUS: software may only clear it, but for AMD's HWCR.McStatusWrEn */
        if (v && !(c->feat->amd && (c->s.hwcr & 1 << 18)))
            return gp(c);
        break;
    default:
        if (v && !c->feat->amd)
            return gp(c);
    }
    c->s.mc_regs[i] = v;
    return 0;
}

/* Bits 7, 11 and 12 (performance monitoring, no BTS, no PEBS) are read-only. The others are kept and change nothing: CPUID and NX stay. */
static int wr_misc_enable(struct cpu *c, uint64_t v)
{
    const uint64_t ro = 1 << 7 | 1 << 11 | 1 << 12;
    const uint64_t rw = 1 | 1 << 3 | 1 << 9 | 1 << 16 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 22 | 1 << 23 | 1ull << 34 | 1ull << 37 |
                        1ull << 38 | 1ull << 39;
    if (v & ~(rw | ro))
        return gp(c);
    c->s.misc_enable = (c->s.misc_enable & ro) | (v & rw);
    return 0;
}

static int wr_intel(struct cpu *c, uint32_t msr, uint64_t v)
{
    switch (msr) {
    case MSR_FEATURE_CONTROL: return gp(c); /* locked */
    case MSR_PLATFORM_ID:
    case MSR_FSB_FREQ:
    case MSR_PERF_STATUS:
    case MSR_RAPL_UNIT: return gp(c); /* read-only */
    case MSR_MISC_FEATURES: return v ? gp(c) : 0;
    case MSR_EBL_CR_POWERON:
    case MSR_PKG_CST:
    case MSR_PMG_IO_CAPTURE:
    case MSR_PERF_CTL:
    case MSR_CLOCK_MOD:
    case MSR_THERM_INT:
    case MSR_THERM_STATUS:
    case MSR_BIOS_UPDT_TRIG:
    case MSR_BIOS_SIGN_ID:
    case MSR_BBL_CR_CTL3:
    case MSR_PLATFORM_INFO:
    case 0xc1:
    case 0xc2:
    case 0x186:
    case 0x187: return 0;
    default: return 1;
    }
}

static int wr_amd(struct cpu *c, uint32_t msr, uint64_t v)
{
    switch (msr) {
    case 0xc0010010: c->s.syscfg = v & 0x7c0000; return 0; /* MtrrFixDramEn .. Tom2ForceMemTypeWB */
    case 0xc0010015: c->s.hwcr = v & ~(1ull << 24); return 0;
    case 0xc001001a: c->s.top_mem = v & 0xffffff800000ull; return 0;
    case 0xc001001d: c->s.top_mem2 = v & 0xffffff800000ull; return 0;
    case 0xc0010114:
    case 0xc0010117: return gp(c);
    case MSR_BIOS_SIGN_ID:
    case 0xc0010140:
    case 0xc0010141:
    case 0xc0011004:
    case 0xc0011005:
    case 0xc0011029: return 0;
    default: {
        uint64_t dummy;
        return rd_amd(c, msr, &dummy);
    }
    }
}

int cpu_wrmsr(struct cpu *c, uint32_t msr, uint64_t v)
{
    struct cpu_state *s = &c->s;
    int i;
    if (unlikely(c->cpl))
        return gp(c);
    switch (msr) {
    case MSR_TSC: /* SDM 18.17.3: a write of the TSC moves TSC_ADJUST by the same amount */
        set_tsc_adjust(c, v - c->ops->tsc(c));
        return 0;
    case MSR_APIC_BASE: return c->ops->apic_msr(c, msr, true, &v) ? gp(c) : 0;
    case MSR_TSC_DEADLINE: return set_deadline(c, v) ? gp(c) : 0;
    case MSR_TSC_ADJUST: set_tsc_adjust(c, v); return 0;
    case MSR_SPEC_CTRL:
        if (!c->feat->spec_ctrl)
            break;
        if (v & ~3ull) /* IBRS, STIBP */
            return gp(c);
        s->spec_ctrl = v;
        return 0;
    case MSR_PRED_CMD:
        if (!c->feat->spec_ctrl)
            break;
        return (v & ~1ull) ? gp(c) : 0; /* IBPB */
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE: return 0;
    case MSR_MISC_ENABLE: return wr_misc_enable(c, v);
    case MSR_SYSENTER_CS: s->sysenter_cs = (uint32_t)v; return 0;
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        if (!c->feat->amd && !cpu_canonical(v))
            return gp(c);
        *(msr == MSR_SYSENTER_ESP ? &s->sysenter_esp : &s->sysenter_eip) = v;
        return 0;
    case MSR_MCG_STATUS: s->mcg_status = v & 7; return 0;
    case MSR_MCG_CTL:
        if (v && v != ~0ull)
            return gp(c);
        s->mcg_ctl = v;
        return 0;
    case MSR_DEBUGCTL: {
        uint64_t ok = c->feat->amd ? 0x3f : 3; /* LBR, BTF; AMD: the PB pins */
        if (v & ~ok)
            return gp(c);
        s->debugctl = v;
        mode_changed(c);
        return 0;
    }
    case MSR_LBR_FROM:
    case MSR_LBR_FROM + 1:
    case MSR_LBR_FROM + 2:
    case MSR_LER_TO: return 0;
    case MSR_PAT:
        if (!types_ok(v, true))
            return gp(c);
        s->pat = v;
        return 0;
    case MSR_MTRR_DEF:
        if ((v & ~0xcffull) || !mtrr_type_ok((unsigned)v & 0xff))
            return gp(c);
        s->mtrr_def = v;
        return 0;
    case MSR_EFER: return wr_efer(c, v);
    case MSR_STAR: s->star = v; return 0;
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS:
        if (!c->feat->longmode)
            break;
        if (!cpu_canonical(v))
            return gp(c);
        *(msr == MSR_LSTAR     ? &s->lstar
          : msr == MSR_CSTAR   ? &s->cstar
          : msr == MSR_FS_BASE ? &s->seg[S_FS].base
          : msr == MSR_GS_BASE ? &s->seg[S_GS].base
                               : &s->kernel_gs_base) = v;
        return 0;
    case MSR_SFMASK:
        if (!c->feat->longmode)
            break;
        s->sfmask = (uint32_t)v;
        return 0;
    case MSR_TSC_AUX:
        if (!c->feat->rdtscp && !c->feat->rdpid)
            break;
        if ((v >> 32) && !c->feat->amd)
            return gp(c);
        s->tsc_aux = (uint32_t)v;
        return 0;
    default: break;
    }
    if (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100)
        return c->ops->apic_msr(c, msr, true, &v) ? gp(c) : 0;
    if (msr >= MSR_MTRR_PHYS0 && msr < MSR_MTRR_PHYS0 + 16) {
        uint64_t above = ~0ull << c->feat->phys_bits;
        i = (int)(msr - MSR_MTRR_PHYS0) / 2;
        if (msr & 1) {
            if (v & (above | 0x7ff))
                return gp(c);
            s->mtrr_mask[i] = v;
        } else {
            if ((v & (above | 0xf00)) || !mtrr_type_ok((unsigned)v & 0xff))
                return gp(c);
            s->mtrr_base[i] = v;
        }
        return 0;
    }
    i = fixed_index(msr);
    if (i >= 0) {
        uint64_t ext = c->feat->amd ? 0x1818181818181818ull : 0; /* AMD: RdMem and WrMem of each range */
        if (ext && !(s->syscfg & 1 << 19))
            v = (v & ~ext) | (s->mtrr_fixed[i] & ext);
        if (!types_ok(v & ~ext, false))
            return gp(c);
        s->mtrr_fixed[i] = v;
        return 0;
    }
    if (msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * N_BANKS)
        return wr_mc(c, msr - MSR_MC0_CTL, v);
    i = c->feat->amd ? wr_amd(c, msr, v) : wr_intel(c, msr, v);
    if (i <= 0)
        return i;
    return bad(c, "WRMSR to a register that this CPU does not have", msr, v);
}

int cpu_rdtsc(struct cpu *c, uint64_t *val)
{
    if (unlikely((c->s.cr4 & CR4_TSD) && c->cpl && (c->s.cr0 & CR0_PE)))
        return gp(c);
    *val = c->ops->tsc(c) + c->s.tsc_adjust;
    return 0;
}

int cpu_rdpmc(struct cpu *c, uint32_t idx, uint64_t *val)
{
    if (c->feat->pseudo_perfctr && c->ops->pseudo_perfctr && idx - 0x10000 <= 2) { /* as VMware's: also without CR4.PCE */
        *val = c->ops->pseudo_perfctr(c, idx - 0x10000);
        return 0;
    }
    if (!(c->s.cr4 & CR4_PCE) && c->cpl && (c->s.cr0 & CR0_PE))
        return gp(c);
    if (!c->feat->amd || idx > 3)
        return gp(c);
    *val = 0; /* the K7 counters, which do not count */
    return 0;
}
