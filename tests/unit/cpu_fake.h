/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A struct cpu on 16 MiB of flat memory without a translator: every access walks the page tables. */
#ifndef LODGE_TESTS_CPU_FAKE_H
#define LODGE_TESTS_CPU_FAKE_H

#include <string.h>

#include "core/vm.h"
#include "cpu/cpu.h"
#include "tests/tap.h"

#define RAM (16u << 20)
static uint8_t ram[RAM] __attribute__((aligned(4096)));
static struct cpu_features feat;
static struct cpu C;
static unsigned n_mode, n_flush, n_flush_global, n_pte_written, n_guest_error, n_flush_page, n_flush_pcid;
static uint64_t apic_base = 0xfee00900, fake_tsc = 1000;
static uint8_t fake_cr8;

static int f_translate(struct cpu *c, uint64_t lin, unsigned acc, uint8_t **host, uint64_t *gpa)
{
    struct cpu_walk w;
    if (cpu_walk(c, lin, acc, &w))
        return -1;
    *gpa = w.gpa;
    *host = w.gpa < RAM ? ram + w.gpa : NULL;
    return 0;
}
static void f_phys_read(struct cpu *c, uint64_t gpa, void *buf, unsigned n)
{
    memset(buf, 0xff, n);
    if (gpa + n <= RAM)
        memcpy(buf, ram + gpa, n);
}
static void f_phys_write(struct cpu *c, uint64_t gpa, const void *buf, unsigned n)
{
    if (gpa + n <= RAM)
        memcpy(ram + gpa, buf, n);
}
static uint64_t *f_pte_ptr(struct cpu *c, uint64_t gpa) { return gpa + 8 <= RAM ? (uint64_t *)(ram + gpa) : NULL; }
static void f_pte_written(struct cpu *c, uint64_t gpa) { n_pte_written++; }
static void f_flush_tlb(struct cpu *c, bool global) { n_flush++, n_flush_global += global; }
static void f_flush_page(struct cpu *c, uint64_t lin) { n_flush_page++; }
static void f_flush_pcid(struct cpu *c, unsigned pcid, bool all) { n_flush_pcid++; }
static void f_mode(struct cpu *c) { n_mode++; }
static uint64_t f_in(struct cpu *c, uint16_t p, unsigned s) { return ~0ull; }
static void f_out(struct cpu *c, uint16_t p, unsigned s, uint64_t v) {}
static int f_apic(struct cpu *c, uint32_t msr, bool write, uint64_t *v)
{
    if (msr != 0x1b)
        return -1;
    if (write)
        apic_base = *v;
    else
        *v = apic_base;
    return 0;
}
static uint8_t f_cr8_get(struct cpu *c) { return fake_cr8; }
static void f_cr8_set(struct cpu *c, uint8_t v) { fake_cr8 = v; }
static uint64_t f_tsc(struct cpu *c) { return fake_tsc; }
static uint64_t f_pseudo(struct cpu *c, unsigned n) { return 1000 + n; }
static void f_error(struct cpu *c, const char *what, uint64_t a, uint64_t b) { n_guest_error++; }

static const struct cpu_ops fake_ops = {
    .translate = f_translate,
    .phys_read = f_phys_read,
    .phys_write = f_phys_write,
    .pte_ptr = f_pte_ptr,
    .pte_written = f_pte_written,
    .flush_tlb = f_flush_tlb,
    .flush_page = f_flush_page,
    .flush_pcid = f_flush_pcid,
    .mode_changed = f_mode,
    .port_in = f_in,
    .port_out = f_out,
    .apic_msr = f_apic,
    .cr8_get = f_cr8_get,
    .cr8_set = f_cr8_set,
    .tsc = f_tsc,
    .pseudo_perfctr = f_pseudo,
    .guest_error = f_error,
};

static inline void put64(uint64_t a, uint64_t v) { memcpy(ram + a, &v, 8); }
static inline void put32(uint64_t a, uint32_t v) { memcpy(ram + a, &v, 4); }
static inline void put16(uint64_t a, uint16_t v) { memcpy(ram + a, &v, 2); }
static inline uint64_t get64(uint64_t a)
{
    uint64_t v;
    memcpy(&v, ram + a, 8);
    return v;
}
static inline uint32_t get32(uint64_t a)
{
    uint32_t v;
    memcpy(&v, ram + a, 4);
    return v;
}
static inline uint16_t get16(uint64_t a)
{
    uint16_t v;
    memcpy(&v, ram + a, 2);
    return v;
}

/* A descriptor: access byte (type, S, DPL, P) and flags nibble (AVL, L, D/B, G). */
static inline uint64_t desc(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}
static inline uint64_t gate(unsigned sel, uint32_t off, unsigned access, unsigned low5)
{
    return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)low5 << 32 | (uint64_t)access << 40 |
           (uint64_t)(off >> 16) << 48;
}

/* Layout of the machines below. */
enum {
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x3000,
    TSS2 = 0x3400,
    LDT = 0x3800,
    PT = 0x10000,
    STK0 = 0x8000,
    STK3 = 0x9000,
    STK1 = 0xa000
};
enum {
    CS0 = 0x08,
    DS0 = 0x10,
    CS3 = 0x18 | 3,
    DS3 = 0x20 | 3,
    CS1 = 0x28 | 1,
    DS1 = 0x30 | 1,
    TR0 = 0x38,
    CONF0 = 0x48,
    CS16 = 0x50,
    DS16 = 0x58,
    CS32_3 = 0x60 | 3,
    CS64_0 = 0x08,
    NP_DATA = 0x68,
    RO_DATA = 0x70,
    XO_CODE = 0x78,
    TR1 = 0x80,
    GATE = 0x90,
    LDTS = 0xa0,
    CONF3 = 0xb0,
    NP_CODE = 0xb8,
    TASKG = 0xc0,
    NP_SS0 = 0xc8
};

static inline void base_machine(void)
{
    static const struct vm_cpu_params p = {.cores_per_socket = 1, .hypervisor_leaves = true};
    static struct cpu_features first; /* CPUID may be slow: it traps in a virtual machine */
    memset(ram, 0, 0x40000);
    if (!first.n)
        cpu_features_init(&first, &p, 1, 2500000);
    feat = first;
    memset(&C, 0, sizeof C);
    C.feat = &feat;
    C.ops = &fake_ops;
    C.n_cpus = C.cores_per_socket = 1;
    C.tsc_khz = 2500000;
    apic_base = 0xfee00900;
    cpu_reset(&C, false);
    C.s.cr0 &= ~0x60000000ull;
}

static inline void set_seg(struct cpu *c, unsigned i, uint16_t sel, uint16_t attr, uint64_t base, uint32_t limit)
{
    c->s.seg[i] = (struct cpu_seg){.sel = sel, .attr = attr, .base = base, .limit = limit};
}

/* 32-bit protected mode, paging off, CPL as asked, flat segments, a 32-bit TSS. */
static inline void prot_machine(unsigned cpl)
{
    base_machine();
    put64(GDT + (CS0 & ~7), desc(0, 0xfffff, 0x9b, 0xc));
    put64(GDT + (DS0 & ~7), desc(0, 0xfffff, 0x93, 0xc));
    put64(GDT + (CS3 & ~7), desc(0, 0xfffff, 0xfb, 0xc));
    put64(GDT + (DS3 & ~7), desc(0, 0xfffff, 0xf3, 0xc));
    put64(GDT + (CS1 & ~7), desc(0, 0xfffff, 0xbb, 0xc));
    put64(GDT + (DS1 & ~7), desc(0, 0xfffff, 0xb3, 0xc));
    put64(GDT + TR0, desc(TSS, 0x1fff, 0x8b, 0));
    put64(GDT + TR1, desc(TSS2, 0x67, 0x89, 0));
    put64(GDT + CONF0, desc(0, 0xfffff, 0x9f, 0xc));
    put64(GDT + CONF3, desc(0, 0xfffff, 0xff, 0xc));
    put64(GDT + CS16, desc(0, 0xffff, 0x9b, 0));
    put64(GDT + DS16, desc(0, 0xffff, 0x93, 0));
    put64(GDT + NP_DATA, desc(0, 0xfffff, 0x73, 0xc));
    put64(GDT + NP_CODE, desc(0, 0xfffff, 0x1b, 0xc));
    put64(GDT + NP_SS0, desc(0, 0xfffff, 0x13, 0xc));
    put64(GDT + RO_DATA, desc(0, 0xfffff, 0xf1, 0xc));
    put64(GDT + XO_CODE, desc(0, 0xfffff, 0xf9, 0xc));
    put64(GDT + LDTS, desc(LDT, 0xff, 0x82, 0));
    C.s.gdtr = (struct cpu_dtable){.base = GDT, .limit = 0xff};
    C.s.idtr = (struct cpu_dtable){.base = IDT, .limit = 0x7ff};
    put32(TSS + 4, STK0);
    put16(TSS + 8, DS0);
    put32(TSS + 12, STK1);
    put16(TSS + 16, DS1);
    put16(TSS + 0x66, 0x68);
    C.s.tr = (struct cpu_seg){.sel = TR0, .attr = 0x8b, .base = TSS, .limit = 0x1fff};
    C.s.cr0 |= CR0_PE;
    C.cpl = cpl;
    set_seg(&C, S_CS, cpl == 3 ? CS3 : cpl == 1 ? CS1 : CS0, 0xc09b | cpl << 5, 0, 0xffffffff);
    set_seg(&C, S_SS, cpl == 3 ? DS3 : cpl == 1 ? DS1 : DS0, 0xc093 | cpl << 5, 0, 0xffffffff);
    for (unsigned i = 0; i < 4; i++)
        set_seg(&C, (uint8_t[]){S_ES, S_DS, S_FS, S_GS}[i], DS3, 0xc0f3, 0, 0xffffffff);
    C.s.gpr[R_RSP] = cpl == 3 ? STK3 : cpl == 1 ? STK1 : STK0;
    C.s.rip = 0x12345;
    C.next_rip = 0x12347;
}

/* Long mode: everything identity-mapped by 2 MiB pages (user, writable). */
static inline void long_machine(unsigned cpl)
{
    prot_machine(cpl);
    put64(GDT + (CS0 & ~7), desc(0, 0xfffff, 0x9b, 0xa));
    put64(GDT + (CS3 & ~7), desc(0, 0xfffff, 0xfb, 0xa));
    put64(GDT + CONF0, desc(0, 0xfffff, 0x9f, 0xa));
    put64(GDT + (CS32_3 & ~7), desc(0, 0xfffff, 0xfb, 0xc));
    put64(GDT + TR0 + 8, 0);
    put64(PT, (PT + 0x1000) | 7);
    put64(PT + 0x1000, (PT + 0x2000) | 7);
    for (unsigned i = 0; i < 8; i++)
        put64(PT + 0x2000 + 8 * i, (uint64_t)i << 21 | 0x87);
    C.s.cr3 = PT;
    C.s.cr4 = CR4_PAE;
    C.s.cr0 |= CR0_PG;
    C.s.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    C.s.seg[S_CS].attr = 0xa09b | cpl << 5;
    C.s.idtr.limit = 0xfff;
    put64(TSS + 4, STK0);
    put64(TSS + 12, STK1);
    put64(TSS + 36, 0xb000); /* IST1 */
    put16(TSS + 0x66, 0x68);
}
static inline void long_gate(unsigned vec, unsigned sel, uint64_t off, unsigned access, unsigned ist)
{
    put64(IDT + vec * 16, gate(sel, (uint32_t)off, access, ist));
    put64(IDT + vec * 16 + 8, off >> 32);
}

/* The call failed with this vector and error code (-1: none). */
static inline bool faults(int r, unsigned vector, int code, const char *name)
{
    bool good = ok(r == -1 && C.fault.vector == vector &&
                       (code < 0 ? !C.fault.has_code : C.fault.has_code && C.fault.code == (uint32_t)code),
                   "%s", name);
    if (!good)
        printf("# got r=%d vector=%u code=%x has=%d, want vector=%u code=%x\n", r, C.fault.vector, C.fault.code,
               C.fault.has_code, vector, code);
    return good;
}

#endif
