/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control, debug and flag registers, MSRs, CPUID, reset, SMM: the #GP cases and side effects that the manuals list. */
#include <cpuid.h>

#include "tests/unit/cpu_fake.h"

static void cr(void)
{
    uint64_t v;
    base_machine();
    faults(cpu_mov_to_cr(&C, 1, 0), X_UD, -1, "CR1");
    faults(cpu_mov_to_cr(&C, 8, 0), X_UD, -1, "CR8 outside of 64-bit mode");
    faults(cpu_mov_to_cr(&C, 0, CR0_PG), X_GP, 0, "CR0: PG without PE");
    faults(cpu_mov_to_cr(&C, 0, CR0_NW), X_GP, 0, "CR0: NW without CD");
    ok(!cpu_mov_to_cr(&C, 0, CR0_PE) && C.s.cr0 == (CR0_PE | CR0_ET), "CR0: ET is always 1");
    ok(!cpu_mov_to_cr(&C, 0, 0xffc0 | CR0_PE) && !(C.s.cr0 & 0xffc0), "CR0: reserved low bits are ignored");
    faults(cpu_mov_to_cr(&C, 4, 1 << 14), X_GP, 0, "CR4: VMXE is not offered");
    faults(cpu_mov_to_cr(&C, 4, CR4_PCIDE), X_GP, 0, "CR4: PCIDE outside of long mode");
    for (unsigned b = 0; b < 32; b++) {
        if (!(feat.cr4_valid >> b & 1))
            ok(cpu_mov_to_cr(&C, 4, 1ull << b) == -1 && C.fault.vector == X_GP, "CR4: reserved bit %u", b);
    }
    C.s.efer = EFER_LME;
    faults(cpu_mov_to_cr(&C, 0, CR0_PE | CR0_PG), X_GP, 0, "long mode without PAE");
    C.s.cr4 = CR4_PAE;
    C.s.seg[S_CS].attr |= SEG_L;
    faults(cpu_mov_to_cr(&C, 0, CR0_PE | CR0_PG), X_GP, 0, "long mode with CS.L set");
    C.s.seg[S_CS].attr &= ~SEG_L;
    C.s.tr.attr = 0x83;
    faults(cpu_mov_to_cr(&C, 0, CR0_PE | CR0_PG), X_GP, 0, "long mode with a 16-bit TSS");
    C.s.tr.attr = 0x8b;
    ok(!cpu_mov_to_cr(&C, 0, CR0_PE | CR0_PG) && (C.s.efer & EFER_LMA), "long mode on: LMA");
    faults(cpu_mov_to_cr(&C, 4, 0), X_GP, 0, "CR4: PAE cannot be cleared in long mode");
    faults(cpu_wrmsr(&C, 0xc0000080, 0), X_GP, 0, "EFER: LME cannot change with paging on");
    ok(!cpu_mov_to_cr(&C, 0, CR0_PE) && !(C.s.efer & EFER_LMA), "paging off from compatibility mode: LMA goes");

    long_machine(0);
    faults(cpu_mov_to_cr(&C, 0, CR0_PE), X_GP, 0, "64-bit mode cannot turn paging off");
    faults(cpu_mov_to_cr(&C, 0, C.s.cr0 | 1ull << 32), X_GP, 0, "CR0 has 32 bits");
    faults(cpu_mov_to_cr(&C, 3, 1ull << feat.phys_bits), X_GP, 0, "CR3: address bits above MAXPHYADDR");
    faults(cpu_mov_to_cr(&C, 3, 1ull << 63 | PT), X_GP, 0, "CR3: bit 63 without PCIDE");
    n_flush = 0;
    ok(!cpu_mov_to_cr(&C, 3, PT) && n_flush == 1, "CR3: flush");
    ok(!cpu_mov_to_cr(&C, 4, CR4_PAE | CR4_PCIDE), "PCIDE on");
    ok(!cpu_mov_to_cr(&C, 3, 1ull << 63 | PT | 5) && C.s.cr3 == (PT | 5), "CR3: bit 63 is not kept");
    faults(cpu_mov_to_cr(&C, 0, C.s.cr0 & ~CR0_PG), X_GP, 0, "PG with PCIDE");
    ok(!cpu_mov_to_cr(&C, 4, CR4_PAE), "PCIDE off");
    faults(cpu_mov_to_cr(&C, 4, CR4_PAE | CR4_PCIDE), X_GP, 0, "PCIDE needs CR3[11:0] = 0");
    faults(cpu_mov_to_cr(&C, 8, 16), X_GP, 0, "CR8 has 4 bits");
    ok(!cpu_mov_to_cr(&C, 8, 9) && fake_cr8 == 9 && !cpu_mov_from_cr(&C, 8, &v) && v == 9, "CR8");
    n_flush_global = 0;
    ok(!cpu_mov_to_cr(&C, 4, CR4_PAE | CR4_PGE) && n_flush_global == 1, "PGE flushes everything");
    C.cpl = 3;
    faults(cpu_mov_from_cr(&C, 0, &v), X_GP, 0, "CR at CPL 3");
    faults(cpu_clts(&C), X_GP, 0, "CLTS at CPL 3");
    faults(cpu_lmsw(&C, 0), X_GP, 0, "LMSW at CPL 3");
    faults(cpu_invlpg(&C, 0), X_GP, 0, "INVLPG at CPL 3");
    faults(cpu_hlt(&C), X_GP, 0, "HLT at CPL 3");

    /* PDPTEs */
    prot_machine(0);
    C.s.cr4 = CR4_PAE;
    C.s.cr3 = PT + 0x20;
    put64(PT + 0x20, 0x5001), put64(PT + 0x28, 0x6000 | 2), put64(PT + 0x30, 0), put64(PT + 0x38, 0x7001);
    ok(!cpu_mov_to_cr(&C, 0, CR0_PE | CR0_PG) && C.s.pdpte[0] == 0x5001 && C.s.pdpte[3] == 0x7001,
       "paging on loads the PDPTEs");
    for (unsigned b = 1; b < 64; b++) {
        bool rsvd = b == 1 || b == 2 || (b >= 5 && b <= 8) || b >= feat.phys_bits;
        put64(PT + 0x38, 0x7001 | 1ull << b);
        bool gp = cpu_mov_to_cr(&C, 3, PT + 0x20) == -1;
        if (gp != rsvd)
            ok(false, "PDPTE bit %u", b);
    }
    ok(true, "reserved bits of PDPTEs");
    put64(PT + 0x38, 0x7001);
    base_machine();
    ok(!cpu_lmsw(&C, 0xf) && (C.s.cr0 & 0xf) == 0xf, "LMSW sets PE MP EM TS");
    ok(!cpu_lmsw(&C, 0) && (C.s.cr0 & 0xf) == 1, "LMSW cannot clear PE");
}

static void dr(void)
{
    uint64_t v;
    long_machine(0);
    ok(!cpu_mov_to_dr(&C, 0, 0x123456789abcull) && C.s.dr[0] == 0x123456789abcull, "DR0");
    ok(!cpu_mov_to_dr(&C, 6, 0) && C.s.dr6 == 0xffff0ff0, "DR6: fixed bits");
    ok(!cpu_mov_to_dr(&C, 6, 0xffffffff) && C.s.dr6 == 0xffffefff, "DR6: bit 12 is zero");
    ok(!cpu_mov_to_dr(&C, 7, 0xffffdfff) && C.s.dr7 == 0xffff07ff, "DR7: fixed bits");
    faults(cpu_mov_to_dr(&C, 7, 1ull << 32), X_GP, 0, "DR7: upper half");
    faults(cpu_mov_to_dr(&C, 6, 1ull << 32), X_GP, 0, "DR6: upper half");
    ok(!cpu_mov_from_dr(&C, 4, &v) && v == C.s.dr6 && !cpu_mov_from_dr(&C, 5, &v) && v == C.s.dr7,
       "DR4 and DR5 are DR6 and DR7");
    C.s.cr4 |= CR4_DE;
    faults(cpu_mov_from_dr(&C, 4, &v), X_UD, -1, "DR4 with CR4.DE");
    faults(cpu_mov_from_dr(&C, 8, &v), X_UD, -1, "DR8");
    ok(!cpu_mov_to_dr(&C, 7, 0x2000), "GD");
    ok(cpu_mov_from_dr(&C, 0, &v) == -1 && C.fault.vector == X_DB && C.fault.dr6_bits == 1 << 13, "GD: #DB with BD");
    C.cpl = 3;
    faults(cpu_mov_from_dr(&C, 0, &v), X_GP, 0, "DR at CPL 3");
}

static void flags(void)
{
    uint64_t v;
    prot_machine(3);
    C.s.rflags = 2;
    faults(cpu_cli(&C), X_GP, 0, "CLI, CPL > IOPL");
    faults(cpu_sti(&C), X_GP, 0, "STI, CPL > IOPL");
    C.s.cr4 = CR4_PVI;
    ok(!cpu_sti(&C) && (C.s.rflags & FL_VIF) && !(C.s.rflags & FL_IF), "PVI: STI sets VIF");
    ok(!cpu_cli(&C) && !(C.s.rflags & FL_VIF), "PVI: CLI clears VIF");
    C.s.rflags |= FL_VIP;
    faults(cpu_sti(&C), X_GP, 0, "PVI: STI with VIP");
    C.s.rflags = 2 | FL_IOPL;
    ok(!cpu_sti(&C) && C.s.rflags == (2 | FL_IOPL | FL_IF) && C.s.intr_shadow == 1, "STI with IOPL 3: shadow");
    C.s.intr_shadow = 0;
    ok(!cpu_sti(&C) && C.s.intr_shadow == 0, "STI with IF set: no shadow");
    C.s.rflags = 2;
    ok(!cpu_popf_val(&C, 4, 0xffffffff) && C.s.rflags == (2 | FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID),
       "POPFD at CPL 3, IOPL 0");
    C.s.rflags = 2 | FL_IOPL;
    ok(!cpu_popf_val(&C, 4, 0xffff8fff) &&
           C.s.rflags == (2 | FL_IOPL | FL_ARITH | FL_TF | FL_IF | FL_DF | FL_AC | FL_ID),
       "POPFD at CPL 3, IOPL 3: IF, not IOPL");
    C.cpl = 0;
    C.s.rflags = 2 | FL_VIF | FL_RF;
    ok(!cpu_popf_val(&C, 4, 0) && C.s.rflags == (2 | FL_VIF), "POPFD at CPL 0: VIF stays, RF goes");
    ok(!cpu_popf_val(&C, 4, 0xffffffff) &&
           C.s.rflags == (2 | FL_VIF | FL_IOPL | FL_ARITH | FL_TF | FL_IF | FL_DF | FL_NT | FL_AC | FL_ID),
       "POPFD at CPL 0");
    ok(!cpu_popf_val(&C, 2, 0) && C.s.rflags == (2 | FL_VIF | FL_AC | FL_ID), "POPF leaves the upper half");
    C.s.rflags = 2 | FL_RF | FL_CF;
    ok(!cpu_pushf_val(&C, 4, &v) && v == (2 | FL_CF), "PUSHFD shows no RF");
    /* virtual-8086 mode */
    prot_machine(3);
    C.s.rflags = 2 | FL_VM;
    faults(cpu_pushf_val(&C, 2, &v), X_GP, 0, "PUSHF, IOPL 0");
    faults(cpu_popf_val(&C, 2, 0), X_GP, 0, "POPF, IOPL 0");
    faults(cpu_cli(&C), X_GP, 0, "CLI, IOPL 0");
    C.s.rflags |= FL_IOPL;
    ok(!cpu_popf_val(&C, 2, 0x0fff & ~0x100) && (C.s.rflags & FL_IOPL) == FL_IOPL && (C.s.rflags & FL_IF),
       "POPF, IOPL 3");
    ok(!cpu_cli(&C) && !(C.s.rflags & FL_IF), "CLI, IOPL 3");
    C.s.rflags = 2 | FL_VM | FL_VIF;
    C.s.cr4 = CR4_VME;
    ok(!cpu_pushf_val(&C, 2, &v) && v == (2 | FL_IF | FL_IOPL), "VME: PUSHF shows VIF as IF and IOPL 3");
    faults(cpu_pushf_val(&C, 4, &v), X_GP, 0, "VME: PUSHFD");
    ok(!cpu_popf_val(&C, 2, 0) && !(C.s.rflags & FL_VIF), "VME: POPF clears VIF");
    ok(!cpu_popf_val(&C, 2, FL_IF) && (C.s.rflags & FL_VIF) && !(C.s.rflags & FL_IF), "VME: POPF sets VIF");
    C.s.rflags |= FL_VIP;
    faults(cpu_popf_val(&C, 2, FL_IF), X_GP, 0, "VME: POPF of IF with VIP");
    faults(cpu_popf_val(&C, 2, FL_TF), X_GP, 0, "VME: POPF of TF");
    ok(!cpu_cli(&C) && !(C.s.rflags & FL_VIF), "VME: CLI");
    faults(cpu_sti(&C), X_GP, 0, "VME: STI with VIP");
}

static void msr(void)
{
    static const struct {
        uint32_t msr;
        uint64_t val;
        bool gp;
        const char *name;
    } t[] = {
        {0xc0000080, 1ull << 12, true, "EFER: SVME"},
        {0xc0000080, 1ull << 63, true, "EFER: bit 63"},
        {0xc0000080, EFER_SCE | EFER_NXE | EFER_LME | EFER_LMA, false, "EFER"},
        {0xc0000082, 0x800000000000ull, true, "LSTAR not canonical"},
        {0xc0000100, 0x800000000000ull, true, "FS base not canonical"},
        {0xc0000101, 0xffff800000000000ull, false, "GS base"},
        {0x277, 0x0007040600070406ull, false, "PAT"},
        {0x277, 0x0207040600070406ull, true, "PAT: type 2"},
        {0x277, 0x0807040600070406ull, true, "PAT: type 8"},
        {0x2ff, 0xc06, false, "MTRR default type"},
        {0x2ff, 0xc02, true, "MTRR default type 2"},
        {0x2ff, 0x1006, true, "MTRR default type: reserved bit"},
        {0x200, 6, false, "MTRR base"},
        {0x200, 7, true, "MTRR base: type 7"},
        {0x200, 0x100, true, "MTRR base: reserved bit"},
        {0x200, 1ull << 52, true, "MTRR base: above MAXPHYADDR"},
        {0x201, 0x800, false, "MTRR mask"},
        {0x201, 0x400, true, "MTRR mask: reserved bit"},
        {0x250, 0x0606060606060606ull, false, "fixed MTRR"},
        {0x26f, 0x0506060606060606ull, false, "fixed MTRR, last"},
        {0x26f, 0x0206060606060606ull, true, "fixed MTRR: type 2"},
        {0xfe, 0, true, "MTRRcap is read-only"},
        {0x48, 1, false, "SPEC_CTRL: IBRS"},
        {0x48, 1ull << 20, true, "SPEC_CTRL: reserved bit"},
        {0x49, 1, false, "PRED_CMD: IBPB"},
        {0x49, 4, true, "PRED_CMD: reserved bit"},
        {0x400, 0, false, "MC0_CTL"},
        {0x401, 1, true, "MC0_STATUS: not zero"},
        {0x401, 0, false, "MC0_STATUS: zero"},
        {0x480, 0, true, "VMX"},
        {0x1d9, 2, false, "DEBUGCTL: BTF"},
        {0x1d9, 1 << 6, true, "DEBUGCTL: TR"},
        {0x174, 8, false, "SYSENTER_CS"},
        {0x12345678, 0, true, "nothing"},
    };
    uint64_t v;
    long_machine(0);
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        int r = cpu_wrmsr(&C, t[i].msr, t[i].val);
        if (t[i].gp)
            faults(r, X_GP, 0, t[i].name);
        else
            ok(r == 0, "%s", t[i].name);
        if (!t[i].gp && t[i].msr != 0x49)
            ok(!cpu_rdmsr(&C, t[i].msr, &v) && v == t[i].val, "%s reads back", t[i].name);
    }
    ok(n_guest_error > 0, "an unknown register is reported");
    faults(cpu_rdmsr(&C, 0x49, &v), X_GP, 0, "PRED_CMD cannot be read");
    fake_tsc = 5000;
    ok(!cpu_wrmsr(&C, 0x10, 7000) && C.s.tsc_adjust == 2000 && !cpu_rdtsc(&C, &v) && v == 7000,
       "writing the TSC moves TSC_ADJUST");
    ok(!cpu_wrmsr(&C, 0x3b, 0) && !cpu_rdmsr(&C, 0x10, &v) && v == 5000, "TSC_ADJUST");
    struct cpu_features f = feat;
    C.feat = &f;
    f.amd = true;
    ok(!cpu_rdmsr(&C, 0xc0011029, &v) && (v & 2), "AMD: DE_CFG says LFENCE is serializing");
    ok(!cpu_rdmsr(&C, 0xc0010015, &v) && (v & 1 << 24), "AMD: HWCR.TscFreqSel");
    faults(cpu_rdmsr(&C, 0x3a, &v), X_GP, 0, "AMD: no FEATURE_CONTROL");
    ok(!cpu_wrmsr(&C, 0xc0010015, 1 << 18) && !cpu_wrmsr(&C, 0x401, 1), "AMD: McStatusWrEn");
    ok(!cpu_wrmsr(&C, 0xc0010010, 1 << 19) && !cpu_wrmsr(&C, 0x250, 0x1e1e1e1e1e1e1e1eull) &&
           !cpu_rdmsr(&C, 0x250, &v) && v == 0x1e1e1e1e1e1e1e1eull,
       "AMD: RdMem and WrMem of fixed ranges");
    ok(!cpu_wrmsr(&C, 0xc0010010, 0) && !cpu_rdmsr(&C, 0x250, &v) && v == 0x0606060606060606ull,
       "AMD: they are hidden without MtrrFixDramModEn");
    ok(!cpu_wrmsr(&C, 0xc0000103, 0x1ffffffffull) && C.s.tsc_aux == 0xffffffff, "AMD: TSC_AUX is cut");
    f.amd = false;
    faults(cpu_wrmsr(&C, 0xc0000103, 0x1ffffffffull), X_GP, 0, "Intel: TSC_AUX, upper half");
    ok(!cpu_rdmsr(&C, 0x3a, &v) && v == 1, "Intel: FEATURE_CONTROL is locked");
    faults(cpu_wrmsr(&C, 0x3a, 5), X_GP, 0, "Intel: and cannot be written");
    faults(cpu_wrmsr(&C, 0x175, 0x800000000000ull), X_GP, 0, "Intel: SYSENTER_ESP not canonical");
    faults(cpu_rdmsr(&C, 0xc0010015, &v), X_GP, 0, "Intel: no HWCR");
    C.cpl = 3;
    faults(cpu_rdmsr(&C, 0x10, &v), X_GP, 0, "RDMSR at CPL 3");
    C.s.cr4 |= CR4_TSD;
    faults(cpu_rdtsc(&C, &v), X_GP, 0, "RDTSC at CPL 3 with TSD");
    faults(cpu_rdpmc(&C, 0, &v), X_GP, 0, "RDPMC at CPL 3");
    faults(cpu_rdpmc(&C, 0x10000, &v), X_GP, 0, "RDPMC 10000h without pseudo counters");
    static const struct vm_cpu_params pseudo = {.cores_per_socket = 1, .pseudo_perfctr = true};
    cpu_features_init(&f, &pseudo, 1, 2500000);
    ok(!cpu_rdpmc(&C, 0x10000, &v) && v == 1000 && !cpu_rdpmc(&C, 0x10002, &v) && v == 1002, "pseudo counters at CPL 3");
    faults(cpu_rdpmc(&C, 0x10003, &v), X_GP, 0, "RDPMC 10003h");
    static const struct vm_cpu_params hide = {.hide_longmode = true, .cores_per_socket = 1};
    cpu_features_init(&f, &hide, 1, 2500000);
    C.cpl = 0;
    faults(cpu_wrmsr(&C, 0xc0000080, EFER_LME), X_GP, 0, "hidden long mode: EFER.LME");
    faults(cpu_rdmsr(&C, 0xc0000082, &v), X_GP, 0, "hidden long mode: no LSTAR");
    /* XCR0 */
    long_machine(0);
    if (feat.xsave) {
        faults(cpu_xsetbv(&C, 0, 1), X_UD, -1, "XSETBV without OSXSAVE");
        C.s.cr4 |= CR4_OSXSAVE;
        ok(!cpu_xsetbv(&C, 0, 1) && !cpu_xsetbv(&C, 0, 3), "XCR0");
        faults(cpu_xsetbv(&C, 0, 2), X_GP, 0, "XCR0 without x87");
        faults(cpu_xsetbv(&C, 0, 5), X_GP, 0, "XCR0: AVX without SSE");
        faults(cpu_xsetbv(&C, 0, 0x27), X_GP, 0, "XCR0: a part of AVX-512");
        faults(cpu_xsetbv(&C, 0, 1 | 1ull << 9), X_GP, 0, "XCR0: PKRU");
        faults(cpu_xsetbv(&C, 1, 1), X_GP, 0, "XCR1");
        ok(!cpu_xsetbv(&C, 0, feat.xcr0_valid), "all of XCR0");
    }
    uint64_t d[2] = {0, 0};
    long_machine(0);
    faults(cpu_invpcid(&C, 4, d), X_GP, 0, "INVPCID type 4");
    d[0] = 5;
    faults(cpu_invpcid(&C, 1, d), X_GP, 0, "INVPCID of a PCID without PCIDE");
    C.s.cr4 |= CR4_PCIDE;
    ok(!cpu_invpcid(&C, 1, d), "INVPCID type 1");
    d[0] = 0x1000;
    faults(cpu_invpcid(&C, 2, d), X_GP, 0, "INVPCID: reserved bits");
    d[0] = 0, d[1] = 0x800000000000ull;
    faults(cpu_invpcid(&C, 0, d), X_GP, 0, "INVPCID: address not canonical");
}

static void cpuid(void)
{
    static const struct vm_cpu_params p = {.cores_per_socket = 4, .hypervisor_leaves = true};
    static const struct vm_cpu_params hide = {.cores_per_socket = 1, .hide_longmode = true};
    uint32_t r[4], a, b, c, d;
    long_machine(0);
    ok(cpu_features_init(&feat, &p, 8, 2345678) == 0, "features");
    C.cores_per_socket = 4;
    C.apic_id = 6;
    cpu_cpuid(&C, 0, 0, r);
    __cpuid(0, a, b, c, d);
    ok(r[1] == b && r[2] == c && r[3] == d, "the vendor is the host's");
    cpu_cpuid(&C, 1, 0, r);
    __cpuid(1, a, b, c, d);
    ok(r[0] == a, "so are family, model, stepping");
    ok((r[1] >> 24) == 6 && (r[1] >> 16 & 0xff) == 4 && (r[3] & 1 << 28), "APIC id, logical processors, HTT");
    ok(!(r[2] & (1 << 3 | 1 << 5 | 1 << 6 | 1 << 15)) && (r[2] & 1u << 31), "no MONITOR, VMX, SMX, PDCM; hypervisor");
    ok((r[2] & 0x7e980201u & ~(1u << 27) & ~(1u << 24) & ~(1u << 26)) ==
           (c & 0x7e980201u & ~(1u << 27) & ~(1u << 24) & ~(1u << 26)),
       "unprivileged extensions of the host");
    ok(!(r[2] & 1 << 27), "OSXSAVE clear");
    C.s.cr4 |= CR4_OSXSAVE;
    cpu_cpuid(&C, 1, 0, r);
    ok(r[2] & 1 << 27, "OSXSAVE follows CR4");
    apic_base = 0xfee00100;
    cpu_cpuid(&C, 1, 0, r);
    ok(!(r[3] & 1 << 9), "APIC follows the APIC's enable bit");
    apic_base = 0xfee00900;
    cpu_cpuid(&C, 7, 0, r);
    __cpuid_count(7, 0, a, b, c, d);
    ok(!(r[1] & (1 << 2 | 1 << 4 | 1 << 11 | 1 << 14 | 1 << 25)), "no SGX, HLE, RTM, MPX, PT");
    ok(!(r[2] & (1 << 3 | 1 << 4 | 1 << 7 | 1 << 16)), "no PKU, CET, LA57");
    ok((r[1] & (1 << 3 | 1 << 5 | 1 << 8 | 1 << 16 | 1 << 29)) == (b & (1 << 3 | 1 << 5 | 1 << 8 | 1 << 16 | 1 << 29)),
       "BMI, AVX2, AVX512F, SHA as on the host");
    cpu_cpuid(&C, 0xb, 0, r);
    ok(r[0] == 0 && r[1] == 1 && r[2] == 0x100 && r[3] == 6, "leaf B, SMT");
    cpu_cpuid(&C, 0xb, 1, r);
    ok(r[0] == 2 && r[1] == 4 && r[2] == 0x201 && r[3] == 6, "leaf B, cores");
    cpu_cpuid(&C, 0xb, 2, r);
    ok(r[0] == 0 && r[1] == 0 && r[2] == 2 && r[3] == 6, "leaf B, end");
    if (feat.xsave) {
        C.s.xcr0 = 3;
        cpu_cpuid(&C, 0xd, 0, r);
        ok(r[0] == (uint32_t)feat.xcr0_valid && r[1] == 576 && r[2] <= XSAVE_AREA_MAX,
           "leaf D: x87 and SSE take 576 bytes");
        if (feat.xcr0_valid & 4) {
            C.s.xcr0 = 7;
            cpu_cpuid(&C, 0xd, 0, r);
            is_u64(r[1], 832, "leaf D: with AVX 832 bytes");
            cpu_cpuid(&C, 0xd, 2, r);
            ok(r[0] == 256 && r[1] == 576, "leaf D: AVX at 576");
        }
        cpu_cpuid(&C, 0xd, 1, r);
        ok(!(r[0] & ~7u), "no XSAVES");
        cpu_cpuid(&C, 0xd, 9, r);
        ok(!(r[0] | r[1] | r[2] | r[3]), "no PKRU component");
    }
    cpu_cpuid(&C, 0x40000000, 0, r);
    ok(r[0] == 0x40000010 && !memcmp(&r[1], "VMwareVMware", 12), "VMware's leaf");
    cpu_cpuid(&C, 0x40000010, 0, r);
    ok(r[0] == 2345678 && r[1] == 66000, "TSC and bus frequency");
    cpu_cpuid(&C, 0x80000001, 0, r);
    ok((r[3] & 1 << 29) && (r[3] & 1 << 20) && (r[3] & 1 << 11) && !(r[2] & 4), "LM, NX, SYSCALL; no SVM");
    char brand[49] = {0}, hbrand[49] = {0};
    for (unsigned i = 0; i < 3; i++) {
        cpu_cpuid(&C, 0x80000002u + i, 0, r);
        memcpy(brand + 16 * i, r, 16);
        __cpuid(0x80000002u + i, a, b, c, d);
        memcpy(hbrand + 16 * i, (uint32_t[]){a, b, c, d}, 16);
    }
    ok(!strcmp(brand, hbrand), "brand string: %s", brand);
    cpu_cpuid(&C, 0x80000008u, 0, r);
    ok((r[0] & 0xff) == feat.phys_bits && (r[0] >> 8 & 0xff) == 48, "address sizes");
    cpu_cpuid(&C, 0x12345, 0, r);
    if (feat.amd)
        ok(!(r[0] | r[1] | r[2] | r[3]), "AMD: leaves out of range are zero");
    else
        skip("Intel");
    if (feat.amd) {
        cpu_cpuid(&C, 0x8000001eu, 0, r);
        ok(r[0] == 6 && (r[1] & 0xff) == 2 && (r[2] & 0xff) == 1, "8000001Eh: APIC id, core, node");
        cpu_cpuid(&C, 0x80000008u, 0, r);
        ok((r[2] & 0xff) == 3 && (r[2] >> 12 & 15) == 2, "80000008h: cores");
        for (unsigned i = 0;; i++) {
            cpu_cpuid(&C, 0x8000001du, i, r);
            if (!(r[0] & 31))
                break;
            ok((r[0] >> 14 & 0xfff) == ((r[0] >> 5 & 7) >= 3 ? 3u : 0u), "8000001Dh: who shares cache %u", i);
        }
    }
    unsigned n = feat.n;
    ok(n < 90, "%u leaves: there is room", n);
    ok(cpu_features_init(&feat, &hide, 1, 1000) == 0, "without long mode");
    C.cores_per_socket = 1;
    cpu_cpuid(&C, 0x80000001, 0, r);
    ok(!(r[3] & 1 << 29) && !(r[2] & 1), "neither LM nor LAHF64");
    cpu_cpuid(&C, 1, 0, r);
    ok(!(r[2] & 1u << 31) && !(r[2] & 1 << 17) && !(r[3] & 1 << 28), "no hypervisor bit, PCID, HTT");
    cpu_cpuid(&C, 0x40000000, 0, r);
    ok(memcmp(&r[1], "VMware", 6), "no hypervisor leaves");
}

static void reset_smm(void)
{
    base_machine();
    cpu_reset(&C, false);
    ok(C.s.rip == 0xfff0 && C.s.seg[S_CS].sel == 0xf000 && C.s.seg[S_CS].base == 0xffff0000u && C.s.cr0 == 0x60000010 &&
           C.s.rflags == 2,
       "reset");
    ok(C.s.dr6 == 0xffff0ff0 && C.s.dr7 == 0x400 && C.s.pat == 0x0007040600070406ull && C.s.xcr0 == 1 &&
           C.s.run_state == CPU_RUNNING,
       "reset, more");
    ok(C.s.seg[S_DS].limit == 0xffff && C.s.seg[S_DS].attr == 0x93 && C.s.idtr.limit == 0xffff &&
           C.s.gdtr.limit == 0xffff,
       "segments and tables");
    ok(*(uint16_t *)C.s.xsave == 0x40 && *(uint32_t *)(C.s.xsave + 24) == 0x1f80, "FCW and MXCSR");
    C.s.pat = 1, C.s.mtrr_def = 0xc06, C.s.cr0 = 0x80000011, C.s.tsc_adjust = 5;
    C.index = 1;
    cpu_reset(&C, true);
    ok(C.s.pat == 1 && C.s.mtrr_def == 0xc06 && C.s.tsc_adjust == 5 && C.s.cr0 == 0x10,
       "INIT keeps PAT, MTRRs, TSC, CR0.CD and NW");
    ok(C.s.run_state == CPU_WAIT_SIPI, "an AP waits");
    cpu_sipi(&C, 0x9a);
    ok(C.s.seg[S_CS].sel == 0x9a00 && C.s.seg[S_CS].base == 0x9a000 && C.s.rip == 0 && C.s.run_state == CPU_RUNNING,
       "SIPI");

    for (unsigned lm = 0; lm < 2; lm++) {
        static const struct vm_cpu_params hide = {.cores_per_socket = 1, .hide_longmode = true};
        if (lm)
            long_machine(0);
        else
            prot_machine(0);
        if (!lm)
            cpu_features_init(&feat, &hide, 1, 1000);
        C.s.gpr[R_RAX] = 0x11, C.s.gpr[R_RDI] = 0x22, C.s.gpr[R_R15] = lm ? 0x33 : 0;
        C.s.rflags = 2 | FL_CF | FL_IF;
        C.s.run_state = CPU_HALTED;
        C.s.nmi_blocked = lm; /* stays blocked across SMM */
        struct cpu_state before = C.s;
        cpu_smi_enter(&C);
        ok(C.s.smm && C.s.rip == 0x8000 && C.s.seg[S_CS].base == 0x30000 && C.s.seg[S_CS].sel == 0x3000 &&
               C.s.seg[S_DS].limit == 0xffffffff && !(C.s.cr0 & CR0_PE) && C.s.efer == 0 && C.s.rflags == 2 &&
               C.s.nmi_blocked,
           "SMI: entry state");
        is_u64(get32(0x3fefc), lm ? 0x20064 : 0x20000, "revision");
        is_u64(get32(lm ? 0x3fff8 : 0x3ffd0), 0x11, "EAX in the map");
        is_u64(get32(lm ? 0x3ff78 : 0x3fff0), 0x12345, "EIP in the map");
        is_u64(get32(lm ? 0x3ff00 : 0x3fef8), 0x30000, "SMBASE in the map");
        put32(lm ? 0x3ff00 : 0x3fef8, 0xa0000);
        ok(!cpu_rsm(&C) && !C.s.smm && C.s.smbase == 0xa0000, "RSM moves SMBASE");
        before.smbase = 0xa0000;
        ok(!memcmp(&before, &C.s, sizeof before), "RSM restores everything");
        faults(cpu_rsm(&C), X_UD, -1, "RSM outside of SMM");
    }
    long_machine(0);
    cpu_smi_enter(&C);
    put64(0x3ff58, CR0_PG);
    ok(!cpu_rsm(&C) && C.s.run_state == CPU_SHUTDOWN, "RSM with PG and without PE: shutdown");
}

int main(void)
{
    cr();
    dr();
    flags();
    msr();
    cpuid();
    reset_smm();
    return TAP_DONE();
}
