/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID as the guest sees it: the host's leaves through masks. Unprivileged instructions run on the host's own silicon,
 * so what the host has is offered; system features are offered when engine/cpu implements them, whatever the host has.
 * Topology and the state-dependent bits (OSXSAVE, APIC, the size of the XSAVE area) are filled in when CPUID executes.
 */
#include "cpu/nolibc.h"

#include "core/vm.h"
#include "cpu/cpuint.h"

#define B(n) (1u << (n))

/* ---- what passes from the host, and what is always there ---- */

/* Leaf 1 ECX: SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
#define L1C_HOST \
    (B(0) | B(1) | B(9) | B(12) | B(13) | B(19) | B(20) | B(22) | B(23) | B(25) | B(26) | B(28) | B(29) | B(30))
#define L1C_ALWAYS (B(17) | B(21) | B(24)) /* PCID, x2APIC, TSC-deadline */
/* Leaf 1 EDX: FPU CMOV CLFSH MMX FXSR SSE SSE2 SS */
#define L1D_HOST (B(0) | B(15) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27))
/* VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA PAT PSE36 */
#define L1D_ALWAYS \
    (B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) | B(13) | B(14) | B(16) | B(17))
/* Leaf 7 EBX: FSGSBASE BMI1 AVX2 FDP_EXCPTN_ONLY BMI2 ERMS FPCSDS AVX512F DQ RDSEED ADX IFMA CLFLUSHOPT CLWB PF ER CD
 * SHA BW VL */
#define L7B_HOST                                                                                                       \
    (B(0) | B(3) | B(5) | B(6) | B(8) | B(9) | B(13) | B(16) | B(17) | B(18) | B(19) | B(21) | B(23) | B(24) | B(26) | \
     B(27) | B(28) | B(29) | B(30) | B(31))
#define L7B_ALWAYS (B(1) | B(7) | B(10) | B(20)) /* TSC_ADJUST SMEP INVPCID SMAP */
/* Leaf 7 ECX: PREFETCHWT1 VBMI VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID CLDEMOTE MOVDIRI MOVDIR64B */
#define L7C_HOST (B(0) | B(1) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22) | B(25) | B(27) | B(28))
#define L7C_ALWAYS B(2) /* UMIP */
/* Leaf 7 EDX: 4VNNIW 4FMAPS FSRM VP2INTERSECT SERIALIZE AVX512_FP16 */
#define L7D_HOST (B(2) | B(3) | B(4) | B(8) | B(14) | B(23))
/* IBRS and IBPB, STIBP, ARCH_CAPABILITIES: registers without effect; msr.c says why */
#define L7D_ALWAYS (B(26) | B(27) | B(29))
/* Leaf 7.1 EAX: AVX_VNNI AVX512_BF16 FZLRM FSRS FSRCS */
#define L71A_HOST (B(4) | B(5) | B(10) | B(11) | B(12))
/* 80000001h ECX: LAHF64 ABM SSE4A MISALIGNSSE PREFETCHW XOP FMA4 TBM TOPOEXT */
#define X1C_HOST (B(0) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21) | B(22))
/* 80000001h EDX: MMXEXT 3DNOWEXT 3DNOW; the low half repeats leaf 1 on AMD */
#define X1D_HOST (B(22) | B(30) | B(31))
#define X1D_REPEAT 0x0183f3ffu
#define X1D_ALWAYS (B(11) | B(20) | B(26) | B(27)) /* SYSCALL NX PDPE1GB RDTSCP */

#define F_AVX512_7B (B(16) | B(17) | B(21) | B(26) | B(27) | B(28) | B(30) | B(31))
#define F_AVX512_7C (B(1) | B(6) | B(11) | B(12) | B(14))
#define F_AVX512_7D (B(2) | B(3) | B(8) | B(23))
#define F_AVX_7C (B(9) | B(10))

struct regs {
    uint32_t a, b, c, d;
};
static struct regs host(uint32_t leaf, uint32_t sub)
{
    struct regs r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "0"(leaf), "2"(sub));
    return r;
}
static uint64_t host_xcr0(void)
{
    uint32_t lo, hi;
    if (!(host(1, 0).c & B(27)))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void add(struct cpu_features *f, uint32_t leaf, uint32_t sub, bool has_sub, uint32_t a, uint32_t b, uint32_t c,
                uint32_t d)
{
    if (f->n < sizeof f->leaf / sizeof f->leaf[0])
        f->leaf[f->n++] = (struct cpuid_leaf){
            .leaf = leaf, .subleaf = sub, .eax = a, .ebx = b, .ecx = c, .edx = d, .has_subleaf = has_sub};
}

static unsigned log2_up(unsigned n)
{
    unsigned b = 0;
    while (1u << b < n)
        b++;
    return b;
}

/* Cache descriptions: only the last level is shared, by the cores of a socket. */
static uint32_t cache_eax(uint32_t a, unsigned cores, bool amd)
{
    unsigned level = a >> 5 & 7, share = level >= 3 ? cores : 1;
    a &= 0x3fff;
    a |= ((amd ? share : 1u << log2_up(share)) - 1) << 14;
    if (!amd)
        a |= ((1u << log2_up(cores)) - 1) << 26;
    return a;
}

static void caches(struct cpu_features *f, uint32_t leaf, unsigned cores)
{
    for (unsigned i = 0; i < 8; i++) {
        struct regs r = host(leaf, i);
        if (!(r.a & 31))
            break;
        add(f, leaf, i, true, cache_eax(r.a, cores, f->amd), r.b, r.c, r.d);
    }
}

static void leaf_xsave(struct cpu_features *f)
{
    if (!f->xsave)
        return;
    struct regs s1 = host(0xd, 1);
    f->xsave_size_max = 576;
    for (unsigned i = 2; i < 63; i++) {
        if (!(f->xcr0_valid >> i & 1))
            continue;
        struct regs r = host(0xd, i);
        if (r.b + r.a > f->xsave_size_max)
            f->xsave_size_max = r.b + r.a;
    }
    add(f, 0xd, 0, true, (uint32_t)f->xcr0_valid, f->xsave_size_max, f->xsave_size_max,
        (uint32_t)(f->xcr0_valid >> 32));
    add(f, 0xd, 1, true, s1.a & 7, 0, 0, 0); /* XSAVEOPT, XSAVEC, XGETBV(1); no XSAVES, so no supervisor components */
    f->xsaveopt = s1.a & 1;
    f->xsavec = (s1.a & 2) && (s1.a & 4);
    for (unsigned i = 2; i < 63; i++) {
        if (f->xcr0_valid >> i & 1) {
            struct regs r = host(0xd, i);
            add(f, 0xd, i, true, r.a, r.b, r.c & 2, 0);
        }
    }
}

static void basic_leaves(struct cpu_features *f, unsigned cores, uint64_t tsc_khz, uint32_t bus_khz)
{
    struct regs h0 = host(0, 0), h1 = host(1, 0), h7 = {0}, h71 = {0};
    if (h0.a >= 7) {
        h7 = host(7, 0);
        f->no_fcs = h7.b & B(13);
        if (h7.a >= 1)
            h71 = host(7, 1);
    }
    f->max_basic = h0.a < 0xd ? 0xd : h0.a;
    if (f->max_basic > (f->amd ? 0xdu : 0x16u))
        f->max_basic = f->amd ? 0xd : 0x16;
    uint64_t x = host_xcr0();
    f->xcr0_valid = x & 7;
    if ((x & 0xe4) == 0xe4)
        f->xcr0_valid |= 0xe0;
    f->xsave = (h1.c & B(26)) && (x & 3) == 3;
    if (!f->xsave) {
        f->xcr0_valid = 0;
        h1.c &= ~B(26);
    }
    if (!(f->xcr0_valid & 4)) { /* no AVX state: FMA, AVX, F16C and what builds on them */
        h1.c &= ~(B(12) | B(28) | B(29));
        h7.b &= ~B(5);
        h7.c &= ~F_AVX_7C;
        h71.a &= ~B(4);
    }
    if (!(f->xcr0_valid & 0xe0)) {
        h7.b &= ~F_AVX512_7B;
        h7.c &= ~F_AVX512_7C;
        h7.d &= ~F_AVX512_7D;
        h71.a &= ~B(5);
    }
    add(f, 0, 0, false, f->max_basic, h0.b, h0.c, h0.d);
    uint32_t c = (h1.c & L1C_HOST) | L1C_ALWAYS | (f->hypervisor ? B(31) : 0);
    if (!f->pcid)
        c &= ~B(17);
    add(f, 1, 0, false, h1.a, (h1.b & 0xff00) | (f->amd ? cores : 1u << log2_up(cores)) << 16, c,
        (h1.d & L1D_HOST) | L1D_ALWAYS | (cores > 1 ? B(28) : 0));
    if (!f->amd) {
        struct regs h2 = host(2, 0);
        add(f, 2, 0, false, h2.a, h2.b, h2.c, h2.d);
        caches(f, 4, cores);
    }
    add(f, 6, 0, false, B(2), 0, 0, 0); /* ARAT */
    uint32_t b = (h7.b & L7B_HOST) | L7B_ALWAYS;
    add(f, 7, 0, true, h71.a & L71A_HOST ? 1 : 0, b, (h7.c & L7C_HOST) | L7C_ALWAYS, (h7.d & L7D_HOST) | L7D_ALWAYS);
    if (h71.a & L71A_HOST)
        add(f, 7, 1, true, h71.a & L71A_HOST, 0, 0, 0);
    f->fsgsbase = b & B(0);
    f->rdpid = h7.c & B(22);
    leaf_xsave(f);
    if (f->max_basic >= 0x15) /* the "crystal" is the clock of the local APIC timer (Linux takes it for that) */
        add(f, 0x15, 0, false, bus_khz, (uint32_t)tsc_khz, bus_khz * 1000u, 0);
    if (f->max_basic >= 0x16)
        add(f, 0x16, 0, false, (uint32_t)(tsc_khz / 1000), (uint32_t)(tsc_khz / 1000), bus_khz / 1000, 0);
}

static void extended_leaves(struct cpu_features *f, unsigned cores)
{
    struct regs h0 = host(0x80000000u, 0), h1 = host(0x80000001u, 0), h8 = {.a = 36 | 48 << 8};
    if (h0.a >= 0x80000008u)
        h8 = host(0x80000008u, 0);
    f->max_ext = f->amd ? 0x80000021u : 0x80000008u;
    f->phys_bits = h8.a & 0xff;
    if (f->phys_bits < 36)
        f->phys_bits = 36;
    if (f->phys_bits > 52)
        f->phys_bits = 52;
    f->virt_bits = 48;
    add(f, 0x80000000u, 0, false, f->max_ext, h0.b, h0.c, h0.d);
    uint32_t c = h1.c & X1C_HOST, d = (h1.d & X1D_HOST) | X1D_ALWAYS | B(29);
    if (f->amd) {
        d |= f->leaf[1].edx & X1D_REPEAT; /* leaf 1 is the second one made */
        c |= cores > 1 ? B(1) : 0;        /* CMP_LEGACY */
    } else {
        c &= ~B(22);
    }
    if (!(f->xcr0_valid & 4))
        c &= ~(B(11) | B(16)); /* XOP, FMA4 */
    if (!f->longmode) {
        c &= ~B(0);
        d &= ~(B(29) | B(26));
        if (!f->amd)
            d &= ~B(11);
    }
    add(f, 0x80000001u, 0, false, f->amd ? h1.a : 0, f->amd ? h1.b : 0, c, d);
    for (uint32_t l = 0x80000002u; l <= 0x80000006u; l++) {
        struct regs r = l <= h0.a ? host(l, 0) : (struct regs){0};
        add(f, l, 0, false, r.a, r.b, r.c, r.d);
    }
    add(f, 0x80000007u, 0, false, 0, 0, 0, B(8)); /* invariant TSC */
    /* 80000008h EBX: CLZERO, XSAVEERPTR of the host; IBPB IBRS STIBP, IBRS always on, STIBP always on, IBRS preferred,
     * SSB_NO, BTC_NO */
    uint32_t b8 =
        f->amd ? (h8.b & (B(0) | B(2))) | B(12) | B(14) | B(15) | B(16) | B(17) | B(18) | B(19) | B(26) | B(29) : 0;
    uint32_t c8 = f->amd ? (cores - 1) | log2_up(cores) << 12 : 0;
    /* 48 bits also when long mode is hidden: KVM takes nothing less, and 32-bit systems on 64-bit processors see it too. */
    add(f, 0x80000008u, 0, false, f->phys_bits | 48u << 8, b8, c8, 0);
    if (f->amd) {
        for (uint32_t l = 0x80000019u; l <= 0x8000001au; l++) {
            struct regs r = l <= h0.a ? host(l, 0) : (struct regs){0};
            add(f, l, 0, false, r.a, r.b, r.c, r.d);
        }
        if (h1.c & B(22)) {
            caches(f, 0x8000001du, cores);
            add(f, 0x8000001eu, 0, false, 0, 0, 0, 0);
        }
        /* LFENCE always serializing, null selector clears base, automatic IBRS, SRSO_NO; FSRS and FSRC of the host */
        uint32_t a = h0.a >= 0x80000021u ? host(0x80000021u, 0).a & (B(0) | B(1) | B(10) | B(11)) : 0;
        add(f, 0x80000021u, 0, false, a | B(2) | B(6) | B(8) | B(29), 0, 0, 0);
    }
}

/* Registers of the leaves that are feature bits, and so can be masked; bits that no other engine needs to know of are
 * not taken away: x2APIC and TSC deadline come with every local APIC, HTT, OSXSAVE and the hypervisor bit say nothing
 * about features, CMP_LEGACY neither; of the speculation bits of 80000008h only those that are registers count. */
static const struct mask {
    uint32_t leaf, sub;
    uint32_t keep[4]; /* bits that stay; all ones: not a feature register */
} masks[] = {
    {1, 0, {~0u, ~0u, B(21) | B(24) | B(27) | B(31), B(28)}},
    {7, 0, {~0u, 0, 0, 0}},
    {7, 1, {0, ~0u, ~0u, ~0u}},
    {0xd, 0, {0, ~0u, ~0u, 0}},
    {0xd, 1, {0, ~0u, ~0u, ~0u}},
    {0x80000001u, 0, {~0u, ~0u, B(1), 0}},
    {0x80000008u, 0, {~0u, 0, ~0u, ~0u}},
    {0x80000021u, 0, {B(29), ~0u, ~0u, ~0u}},
};

static struct cpuid_leaf *leaf_of(struct cpu_features *f, uint32_t leaf, uint32_t sub)
{
    return (struct cpuid_leaf *)(uintptr_t)cpu_feat_leaf(f, leaf, sub);
}

static void restrict_to(struct cpu_features *f, const struct cpuid_leaf *l, unsigned n)
{
    for (unsigned i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        const struct mask *m = &masks[i];
        struct cpuid_leaf *g = leaf_of(f, m->leaf, m->sub);
        struct cpuid_leaf none = {0};
        const struct cpuid_leaf *a = &none;
        for (unsigned k = 0; k < n; k++)
            if (l[k].leaf == m->leaf && l[k].subleaf == m->sub)
                a = &l[k];
        if (!g)
            continue;
        g->eax &= a->eax | m->keep[0];
        g->ebx &= a->ebx | m->keep[1];
        g->ecx &= a->ecx | m->keep[2];
        g->edx &= a->edx | m->keep[3];
    }
    const struct cpuid_leaf *l1 = cpu_feat_leaf(f, 1, 0), *l7 = cpu_feat_leaf(f, 7, 0), *x1 = cpu_feat_leaf(f, 0x80000001u, 0);
    const struct cpuid_leaf *d0 = cpu_feat_leaf(f, 0xd, 0), *d1 = cpu_feat_leaf(f, 0xd, 1);
    f->pcid &= l1->ecx >> 17 & 1;
    f->smep &= l7->ebx >> 7 & 1;
    f->smap &= l7->ebx >> 20 & 1;
    f->umip &= l7->ecx >> 2 & 1;
    f->invpcid &= l7->ebx >> 10 & 1;
    f->fsgsbase &= l7->ebx & 1;
    f->rdpid &= l7->ecx >> 22 & 1;
    f->spec_ctrl &= l7->edx >> 26 & 1;
    f->arch_cap &= l7->edx >> 29 & 1;
    f->nx &= x1->edx >> 20 & 1;
    f->pge1gb &= x1->edx >> 26 & 1;
    f->rdtscp &= x1->edx >> 27 & 1;
    if (d0 && d1) {
        f->xcr0_valid &= d0->eax;
        f->xsaveopt &= d1->eax & 1;
        f->xsavec &= (d1->eax & 6) == 6;
    }
    f->cr4_valid &= ~((f->pcid ? 0 : CR4_PCIDE) | (f->smep ? 0 : CR4_SMEP) | (f->smap ? 0 : CR4_SMAP) | (f->umip ? 0 : CR4_UMIP) |
                      (f->fsgsbase ? 0 : (uint64_t)CR4_FSGSBASE));
    const struct cpuid_leaf *x21 = cpu_feat_leaf(f, 0x80000021u, 0);
    if (!x21 || !(x21->eax & B(8)))
        f->efer_valid &= ~(1ull << 21);
    if (!f->nx)
        f->efer_valid &= ~(uint64_t)EFER_NXE;
}

int cpu_features_init(struct cpu_features *f, const struct vm_cpu_params *p, unsigned n_cpus, uint64_t tsc_khz)
{
    unsigned cores = p->cores_per_socket ? p->cores_per_socket : 1;
    uint32_t bus_khz = p->bus_khz ? p->bus_khz : CPU_APIC_BUS_KHZ;
    if (cores > n_cpus)
        cores = n_cpus ? n_cpus : 1;
    cpu_zero(f, sizeof *f);
    struct regs h0 = host(0, 0);
    f->amd = (h0.b == 0x68747541 && h0.d == 0x69746e65 && h0.c == 0x444d4163) || /* AuthenticAMD */
             (h0.b == 0x6f677948 && h0.d == 0x6e65476e && h0.c == 0x656e6975);   /* HygonGenuine */
    f->longmode = !p->hide_longmode;
    f->hypervisor = p->hypervisor_leaves;
    f->pseudo_perfctr = p->pseudo_perfctr;
    f->nx = f->smep = f->smap = f->umip = f->invpcid = f->rdtscp = f->sysenter = f->x2apic = f->tsc_deadline = true;
    f->spec_ctrl = f->arch_cap = true;
    f->pcid = f->pge1gb = f->longmode;
    basic_leaves(f, cores, tsc_khz, bus_khz);
    extended_leaves(f, cores);
    if (f->hypervisor) {
        add(f, 0x40000000u, 0, false, 0x40000010u, 0x61774d56, 0x4d566572, 0x65726177); /* "VMwareVMware" */
        add(f, 0x40000010u, 0, false, (uint32_t)tsc_khz, bus_khz, 0, 0);
    }
    f->cr4_valid = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
                   CR4_OSXMMEXCPT | CR4_UMIP | CR4_SMEP | CR4_SMAP | (f->pcid ? CR4_PCIDE : 0) |
                   (f->fsgsbase ? CR4_FSGSBASE : 0) | (f->xsave ? CR4_OSXSAVE : 0);
    f->efer_valid =
        EFER_SCE | EFER_NXE | (f->longmode ? EFER_LME | EFER_LMA : 0) | (f->amd ? 1u << 21 : 0); /* automatic IBRS */
    if (!f->longmode && !f->amd)
        f->efer_valid &= ~(uint64_t)EFER_SCE;
    f->xss_valid = 0;
    if (p->limit)
        restrict_to(f, p->limit, p->n_limit);
    return 0;
}

const struct cpuid_leaf *cpu_feat_leaf(const struct cpu_features *f, uint32_t leaf, uint32_t sub)
{
    for (unsigned i = 0; i < f->n; i++) {
        const struct cpuid_leaf *l = &f->leaf[i];
        if (l->leaf == leaf && (!l->has_subleaf || l->subleaf == sub))
            return l;
    }
    return NULL;
}

/* Bytes of the XSAVE area for the components in mask: standard format, or the compacted one. */
static uint32_t xsave_size(const struct cpu_features *f, uint64_t mask, bool compacted)
{
    uint32_t size = 576;
    for (unsigned i = 2; i < 63; i++) {
        const struct cpuid_leaf *l;
        if (!(mask >> i & 1) || !(l = cpu_feat_leaf(f, 0xd, i)))
            continue;
        if (compacted) {
            if (l->ecx & 2)
                size = (size + 63) & ~63u;
            size += l->eax;
        } else if (l->ebx + l->eax > size) {
            size = l->ebx + l->eax;
        }
    }
    return size;
}

/* Leaf Bh: one thread a core, so level 0 (SMT) shifts by nothing. */
static void leaf_topology(const struct cpu *c, uint32_t sub, uint32_t out[4])
{
    unsigned cores = c->cores_per_socket ? c->cores_per_socket : 1;
    out[0] = out[1] = 0;
    out[2] = sub & 0xff;
    out[3] = c->apic_id;
    if (sub == 0) {
        out[1] = 1;
        out[2] |= 1 << 8;
    } else if (sub == 1) {
        out[0] = log2_up(cores);
        out[1] = cores;
        out[2] |= 2 << 8;
    }
}

void cpu_cpuid(struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    const struct cpu_features *f = c->feat;
    uint32_t max_basic = f->max_basic;
    out[0] = out[1] = out[2] = out[3] = 0;
    if (!f->amd && (c->s.misc_enable & 1 << 22) && max_basic > 3)
        max_basic = 3; /* SDM: "Limit CPUID Maxval" */
    bool known = leaf <= max_basic || (leaf >= 0x80000000u && leaf <= f->max_ext) ||
                 (f->hypervisor && leaf >= 0x40000000u && leaf <= 0x400000ffu);
    if (!known) {
        if (f->amd)
            return;
        leaf = max_basic; /* Intel: the data of the highest basic leaf */
    }
    if (leaf == 0xb) {
        leaf_topology(c, sub, out);
        return;
    }
    const struct cpuid_leaf *l = cpu_feat_leaf(f, leaf, sub);
    if (!l)
        return;
    out[0] = l->eax;
    out[1] = l->ebx;
    out[2] = l->ecx;
    out[3] = l->edx;
    unsigned cores = c->cores_per_socket ? c->cores_per_socket : 1;
    switch (leaf) {
    case 0: out[0] = max_basic; break;
    case 1: {
        uint64_t base = 0;
        out[1] |= c->apic_id << 24;
        if (c->s.cr4 & CR4_OSXSAVE)
            out[2] |= B(27);
        if (!c->ops->apic_msr(c, 0x1b, false, &base) && !(base & 1 << 11))
            out[3] &= ~B(9);
        break;
    }
    case 0xd:
        if (sub == 0)
            out[1] = xsave_size(f, c->s.xcr0, false);
        else if (sub == 1 && f->xsavec)
            out[1] = xsave_size(f, c->s.xcr0, true);
        break;
    case 0x80000001u:
        if (!f->amd && !cpu_in_64(c))
            out[3] &= ~B(11); /* Intel shows SYSCALL in 64-bit mode only */
        if (f->amd) {
            uint64_t base = 0;
            if (!c->ops->apic_msr(c, 0x1b, false, &base) && !(base & 1 << 11))
                out[3] &= ~B(9);
        }
        break;
    case 0x8000001eu:
        out[0] = c->apic_id;
        out[1] = c->apic_id & ((1u << log2_up(cores)) - 1); /* core id; one thread a core */
        out[2] = (c->apic_id >> log2_up(cores)) & 0xff;     /* node id: one node a socket */
        break;
    default: break;
    }
}
