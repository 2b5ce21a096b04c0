/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system side of x86: segments, paging, exceptions, tasks, MSRs, CPUID, written once against the manuals. The binary translator calls
 * these functions from translated code's call-outs; they run on the vCPU's thread.
 *
 * Rules for engine/cpu and engine/bt: compiled with -mgeneral-regs-only, because the guest's vector state is live in the host registers
 * while they run; so no libc call that may use vector registers (memcpy, printf ...): use the cpu_copy/cpu_zero below. Anything outside
 * (bus, interrupt controllers, clock, log) is reached through struct cpu_ops, whose implementation saves the vector state first.
 *
 * Faults are values: a function returns 0, or -1 with c->fault filled and *no architectural state changed* except where the manuals say so
 * (accessed/dirty bits, a task switch past its commit point). The caller then calls cpu_deliver_fault with the instruction's rip in s.rip.
 * While a helper runs, s.rip is the rip of the instruction and next_rip that of the following one; helpers that transfer control set s.rip and
 * return; others leave s.rip alone and the caller goes on at next_rip.
 */
#ifndef LODGE_CPU_CPU_H
#define LODGE_CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpustate.h"

enum { CR0_PE = 1, CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_ET = 16, CR0_NE = 32, CR0_WP = 1 << 16, CR0_AM = 1 << 18, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
#define CR0_PG 0x80000000ull
enum {
    CR4_VME = 1, CR4_PVI = 2, CR4_TSD = 4, CR4_DE = 8, CR4_PSE = 16, CR4_PAE = 32, CR4_MCE = 64, CR4_PGE = 128, CR4_PCE = 256, CR4_OSFXSR = 512,
    CR4_OSXMMEXCPT = 1024, CR4_UMIP = 1 << 11, CR4_LA57 = 1 << 12, CR4_FSGSBASE = 1 << 16, CR4_PCIDE = 1 << 17, CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, CR4_PKE = 1 << 22
};
enum { EFER_SCE = 1, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11, EFER_FFXSR = 1 << 14 };
enum {
    FL_CF = 1, FL_PF = 4, FL_AF = 16, FL_ZF = 64, FL_SF = 128, FL_TF = 1 << 8, FL_IF = 1 << 9, FL_DF = 1 << 10, FL_OF = 1 << 11, FL_IOPL = 3 << 12,
    FL_NT = 1 << 14, FL_RF = 1 << 16, FL_VM = 1 << 17, FL_AC = 1 << 18, FL_VIF = 1 << 19, FL_VIP = 1 << 20, FL_ID = 1 << 21
};
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
enum { X_DE = 0, X_DB, X_NMI, X_BP, X_OF, X_BR, X_UD, X_NM, X_DF, X_TS = 10, X_NP, X_SS, X_GP, X_PF, X_MF = 16, X_AC, X_MC, X_XM };
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 }; /* #PF error code */

/* How an access is made. USER: with CPL 3 rights; without it, a supervisor access. IMPL: an implicit supervisor access (GDT, IDT, TSS ...), for
 * which SMAP does not look at RFLAGS.AC; an implementation of translate may ignore it. */
enum { ACC_R = 1, ACC_W = 2, ACC_X = 4, ACC_USER = 8, ACC_IMPL = 16 };

struct cpu_fault {
    uint8_t vector;
    bool has_code;
    uint32_t code;
    uint64_t cr2;     /* #PF */
    uint64_t dr6_bits; /* #DB: bits to or into DR6 */
};

struct cpu;
/* What engine/cpu needs from the translator (or, in unit tests, from a test). None uses vector registers when it returns. */
struct cpu_ops {
    /* Host pointer for the byte at linear address lin, good to the end of its 4 KiB page and until the next TLB flush; or *host = NULL and
     * *gpa for a page that is not plain RAM for this access (MMIO, ROM write, watched code page): then use mem_read/mem_write. -1: c->fault. */
    int (*translate)(struct cpu *c, uint64_t lin, unsigned acc, uint8_t **host, uint64_t *gpa);
    void (*phys_read)(struct cpu *c, uint64_t gpa, void *buf, unsigned n); /* n <= 8, does not cross a page; may be MMIO */
    void (*phys_write)(struct cpu *c, uint64_t gpa, const void *buf, unsigned n);
    /* Host pointer to 8 aligned bytes of guest-physical RAM for a page-table entry, or NULL (not RAM). */
    uint64_t *(*pte_ptr)(struct cpu *c, uint64_t gpa);
    void (*pte_written)(struct cpu *c, uint64_t gpa);             /* an A/D bit was set through pte_ptr: dirty log */
    void (*flush_tlb)(struct cpu *c, bool global);                /* all (of every PCID), or all but global translations */
    /* CR3 was written (s.cr3 is the new value, old the previous one). flush: non-global translations of the new PCID (of all, without
     * CR4.PCIDE) are to be dropped; otherwise those that an earlier stay under this PCID left may be used again. NULL: flush_tlb(c, false). */
    void (*cr3_switched)(struct cpu *c, uint64_t old, bool flush);
    void (*flush_page)(struct cpu *c, uint64_t lin);
    void (*flush_pcid)(struct cpu *c, unsigned pcid, bool all_global); /* non-global ones of a PCID; all_global: of every PCID (INVPCID type 3) */
    /* CR0, CR4, EFER, CS, SS attributes, CPL, AC, DR7 ... changed: recompute the mode word. Also for a base, limit or attribute of a data
     * segment (not for a mere selector, nor WRFSBASE, SWAPGS and the FS/GS base MSRs), XCR0, and the TSC offset (s.tsc_adjust). */
    void (*mode_changed)(struct cpu *c);
    uint64_t (*port_in)(struct cpu *c, uint16_t port, unsigned size);
    void (*port_out)(struct cpu *c, uint16_t port, unsigned size, uint64_t val);
    int (*apic_msr)(struct cpu *c, uint32_t msr, bool write, uint64_t *val); /* -1 = #GP */
    uint8_t (*cr8_get)(struct cpu *c);
    void (*cr8_set)(struct cpu *c, uint8_t v);
    uint64_t (*tsc)(struct cpu *c); /* guest TSC without TSC_ADJUST */
    /* VMware's pseudo performance counters: 0 the host's TSC, 1 real ns, 2 ns as the guest sees them. NULL: none */
    uint64_t (*pseudo_perfctr)(struct cpu *c, unsigned n);
    /* An access through mem_read, mem_write to a page without host pointer: a data breakpoint may be there. NULL: there are none. */
    void (*watch)(struct cpu *c, uint64_t lin, unsigned n, unsigned acc);
    void (*guest_error)(struct cpu *c, const char *what, uint64_t a, uint64_t b);
};

#define CPU_APIC_BUS_KHZ 66000 /* the timer clock of the local APIC, as CPUID 40000010h and 15h tell it: VMware's virtual bus */

/* Features as offered to this guest; made once from the host's CPUID by cpu_features_init. */
struct cpuid_leaf {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
    bool has_subleaf;
};
struct cpu_features {
    struct cpuid_leaf leaf[96];
    unsigned n;
    bool longmode, nx, pcid, smep, smap, umip, fsgsbase, pge1gb, xsave, spec_ctrl, arch_cap,
        xsaveopt, xsavec, no_fcs /* FCS and FDS are stored as 0 */, invpcid, rdtscp, rdpid, amd, sysenter, x2apic, tsc_deadline, pku;
    uint64_t cr4_valid, efer_valid, xcr0_valid, xss_valid;
    unsigned phys_bits, virt_bits, xsave_size_max;
    unsigned max_basic, max_ext;
    bool hypervisor, pseudo_perfctr;
};

struct cpu {
    struct cpu_state s; /* must be first: the translator addresses it from its GS base */
    struct cpu_fault fault;
    uint64_t next_rip;
    uint8_t cpl;        /* = SS.DPL, cached; 3 in virtual-8086 mode */
    const struct cpu_features *feat; /* shared by all vCPUs */
    const struct cpu_ops *ops;
    unsigned index, n_cpus, cores_per_socket;
    uint32_t apic_id;
    uint64_t tsc_khz;
};

static inline bool cpu_in_lm(const struct cpu *c) { return (c->s.efer & EFER_LMA) != 0; }
static inline bool cpu_in_64(const struct cpu *c) { return cpu_in_lm(c) && (c->s.seg[S_CS].attr & SEG_L); }
static inline bool cpu_in_vm86(const struct cpu *c) { return (c->s.rflags & FL_VM) != 0; }
static inline bool cpu_in_real(const struct cpu *c) { return !(c->s.cr0 & CR0_PE); }

/* Fill c->fault and return -1. Field by field: for a compound literal the compiler uses rep stos, which is slow. */
static inline int cpu_raise(struct cpu *c, uint8_t vector)
{
    c->fault.vector = vector;
    c->fault.has_code = false;
    c->fault.code = 0;
    c->fault.cr2 = c->fault.dr6_bits = 0;
    return -1;
}
static inline int cpu_raise_code(struct cpu *c, uint8_t vector, uint32_t code)
{
    cpu_raise(c, vector);
    c->fault.has_code = true;
    c->fault.code = code;
    return -1;
}
static inline int cpu_raise_db(struct cpu *c, uint64_t dr6_bits)
{
    cpu_raise(c, X_DB);
    c->fault.dr6_bits = dr6_bits;
    return -1;
}

/* Copies without vector registers. */
static inline void cpu_copy(void *d, const void *s, size_t n) { __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory"); }
/* One access for a natural size, as the instruction makes it: another processor sees all of it or nothing (SDM vol. 3, 8.1.1). */
static inline void cpu_copy_once(void *d, const void *s, size_t n)
{
    typedef uint64_t u64 __attribute__((aligned(1), may_alias));
    typedef uint32_t u32 __attribute__((aligned(1), may_alias));
    typedef uint16_t u16 __attribute__((aligned(1), may_alias));
    switch (n) {
    case 8: *(volatile u64 *)d = *(const volatile u64 *)s; break;
    case 4: *(volatile u32 *)d = *(const volatile u32 *)s; break;
    case 2: *(volatile u16 *)d = *(const volatile u16 *)s; break;
    case 1: *(volatile uint8_t *)d = *(const volatile uint8_t *)s; break;
    default: cpu_copy(d, s, n);
    }
}
static inline void cpu_zero(void *d, size_t n) { __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(0) : "memory"); }

/* ---- cpumem.c: linear memory; crosses pages; 0 or -1 with the fault. Nothing is written unless all of it can be. ---- */
int cpu_mem_read(struct cpu *c, uint64_t lin, void *buf, unsigned n, unsigned acc);  /* acc: 0 or ACC_USER */
int cpu_mem_write(struct cpu *c, uint64_t lin, const void *buf, unsigned n, unsigned acc);
/* Logical address: segment rights, limit, canonical form (#SS for S_SS, else #GP); gives the linear address. off as already truncated to the
 * address size. size >= 1. acc: ACC_R or ACC_W. */
int cpu_seg_check(struct cpu *c, unsigned seg, uint64_t off, unsigned size, unsigned acc, uint64_t *lin);

/* ---- paging.c ---- */
struct cpu_walk {
    uint64_t gpa;       /* of the byte */
    uint64_t page_size; /* 4096, 2 MiB, 4 MiB, 1 GiB; 4096 with paging off */
    bool user, writable, nx, global, dirty; /* effective rights of the translation; dirty: D was (or now is) set */
};
/* Walks for an access, checks rights (WP, SMEP, SMAP with RFLAGS.AC, NX, reserved bits), sets A and (for writes) D. -1: #PF in c->fault. */
int cpu_walk(struct cpu *c, uint64_t lin, unsigned acc, struct cpu_walk *w);
/* For the debugger: no rights check, no A/D. -1 when not mapped. */
int cpu_walk_debug(struct cpu *c, uint64_t lin, uint64_t *gpa);

/* ---- except.c ---- */
enum cpu_int_kind { INT_SOFT /* INT n */, INT_SOFT_BP /* INT3, INTO */, INT_ICEBP /* INT1 */, INT_EXTERNAL, INT_EXCEPTION };
/* Delivers through the IVT or IDT; return rip is s.rip (the caller has set it to the faulting or the next instruction). Returns 0 when the handler
 * is entered; -1: c->fault holds the fault met while delivering (for INT_SOFT*: deliver that one; others use the wrapper below). */
int cpu_interrupt(struct cpu *c, uint8_t vector, enum cpu_int_kind kind, bool has_code, uint32_t code);
/* Delivers c->fault with the double- and triple-fault rules (SDM 6.15 table 6-5), sets CR2/DR6, RF. Returns 0, or -1: triple fault (shutdown). */
int cpu_deliver_fault(struct cpu *c);
/* Delivers an external interrupt or NMI (vector 2); faults on the way go through cpu_deliver_fault. -1: triple fault. */
int cpu_deliver_external(struct cpu *c, uint8_t vector, bool nmi);
int cpu_iret(struct cpu *c, unsigned opsize); /* opsize 2, 4, 8 */

/* ---- segment.c ---- */
/* MOV/POP/LxS to ES SS DS FS GS, all modes. The caller sets intr_shadow = 2 after MOV SS and POP SS (LSS does not inhibit). */
int cpu_load_seg(struct cpu *c, unsigned seg, uint16_t sel);
/* ---- transfer.c. After -1 the caller must not touch s.rip: a task switch that fails past its commit point has moved it. ---- */
int cpu_far_jmp(struct cpu *c, uint16_t sel, uint64_t off, unsigned opsize);
int cpu_far_call(struct cpu *c, uint16_t sel, uint64_t off, unsigned opsize);
int cpu_far_ret(struct cpu *c, unsigned opsize, uint16_t pop_bytes);
int cpu_syscall(struct cpu *c);
int cpu_sysret(struct cpu *c, unsigned opsize);
int cpu_sysenter(struct cpu *c);
int cpu_sysexit(struct cpu *c, unsigned opsize);
/* ---- segment.c ---- */
int cpu_lldt(struct cpu *c, uint16_t sel);
int cpu_ltr(struct cpu *c, uint16_t sel);
int cpu_lgdt(struct cpu *c, uint64_t base, uint16_t limit); /* checks CPL; base already cut to 24/32/64 bits */
int cpu_lidt(struct cpu *c, uint64_t base, uint16_t limit);
int cpu_umip_check(struct cpu *c);                          /* SGDT SIDT SLDT STR SMSW: #GP(0) when UMIP and CPL > 0 */
int cpu_lar(struct cpu *c, uint16_t sel, uint32_t *val);    /* updates ZF in s.rflags; *val untouched when ZF = 0 */
int cpu_lsl(struct cpu *c, uint16_t sel, uint32_t *val);
int cpu_verr(struct cpu *c, uint16_t sel, bool write);      /* VERR/VERW: ZF */
int cpu_swapgs(struct cpu *c);
int cpu_rdfsgsbase(struct cpu *c, unsigned seg, uint64_t *val);
int cpu_wrfsgsbase(struct cpu *c, unsigned seg, uint64_t val);
/* ---- cpumem.c ---- */
/* Stack push/pop by the current SS and stack size, for helpers. */
int cpu_push(struct cpu *c, uint64_t val, unsigned size);
int cpu_pop(struct cpu *c, uint64_t *val, unsigned size);

/* ---- task.c ---- */
enum cpu_task_src { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
int cpu_task_switch(struct cpu *c, uint16_t tss_sel, enum cpu_task_src src, bool has_code, uint32_t code);
int cpu_io_allowed(struct cpu *c, uint16_t port, unsigned size); /* CPL/IOPL, else the TSS bitmap; -1 #GP(0) */

/* ---- control.c ---- */
int cpu_mov_to_cr(struct cpu *c, unsigned cr, uint64_t val);
int cpu_mov_from_cr(struct cpu *c, unsigned cr, uint64_t *val);
int cpu_mov_to_dr(struct cpu *c, unsigned dr, uint64_t val);
int cpu_mov_from_dr(struct cpu *c, unsigned dr, uint64_t *val);
int cpu_lmsw(struct cpu *c, uint16_t val);
int cpu_clts(struct cpu *c);
int cpu_invlpg(struct cpu *c, uint64_t lin);
int cpu_invpcid(struct cpu *c, uint64_t type, const uint64_t desc[2]);
int cpu_xsetbv(struct cpu *c, uint32_t idx, uint64_t val);
int cpu_xgetbv(struct cpu *c, uint32_t idx, uint64_t *val);
int cpu_hlt(struct cpu *c); /* sets run_state; -1 #GP */
int cpu_cli(struct cpu *c); /* with VME and PVI rules */
int cpu_sti(struct cpu *c); /* sets intr_shadow when IF was clear */
int cpu_pushf_val(struct cpu *c, unsigned opsize, uint64_t *val); /* the value PUSHF pushes; -1 #GP in V86 */
int cpu_popf_val(struct cpu *c, unsigned opsize, uint64_t val);   /* applies POPF by CPL, IOPL, VM, VME */
int cpu_monitor_ok(struct cpu *c);

/* ---- msr.c, cpuid.c ---- */
int cpu_rdmsr(struct cpu *c, uint32_t msr, uint64_t *val); /* CPL checked */
int cpu_wrmsr(struct cpu *c, uint32_t msr, uint64_t val);
int cpu_rdpmc(struct cpu *c, uint32_t idx, uint64_t *val);
int cpu_rdtsc(struct cpu *c, uint64_t *val); /* CR4.TSD */
void cpu_cpuid(struct cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
struct vm_cpu_params;
/* Mask of the host's leaves: every unprivileged extension is offered; VMware leaves 40000000h.. when asked. */
int cpu_features_init(struct cpu_features *f, const struct vm_cpu_params *p, unsigned n_cpus, uint64_t tsc_khz);

/* ---- reset.c ---- */
void cpu_reset(struct cpu *c, bool init); /* SDM table 9-1; run_state WAIT_SIPI for an AP */
void cpu_sipi(struct cpu *c, uint8_t vector);

/* ---- smm.c ---- */
void cpu_smi_enter(struct cpu *c);
int cpu_rsm(struct cpu *c);

/* Of 48 bits, as without CR4.LA57 (SDM vol. 1, 3.3.7.1) */
static inline bool cpu_canonical(uint64_t a) { return (uint64_t)((int64_t)(a << 16) >> 16) == a; }

#endif
