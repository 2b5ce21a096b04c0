/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzing the system side of x86: a hostile guest's descriptor tables, page tables, TSS, stacks and registers, then a
 * program of system instructions. Checked after each: a fault changes no state (but for task switches past their commit
 * point), and CPL, SS, LMA, RFLAGS stay consistent.
 */
#include <stdlib.h>

#include "tests/unit/cpu_fake.h"

struct in {
    const uint8_t *p, *end;
};
static uint64_t get(struct in *f, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)(f->p < f->end ? *f->p++ : 0) << (8 * i);
    return v;
}
static void check(bool good, const char *what, unsigned op)
{
    if (good)
        return;
    fprintf(stderr, "operation %u: %s\n", op, what);
    abort();
}

/* Interesting selectors, addresses and values are likelier than random ones. */
static uint16_t selector(struct in *f)
{
    static const uint16_t s[] = {CS0,  DS0,    CS3,     DS3,     CS1,     DS1,  TR0,  TR1,     CONF0, CONF3, CS16,
                                 DS16, CS32_3, NP_DATA, RO_DATA, XO_CODE, GATE, LDTS, NP_CODE, TASKG, 0,     3};
    unsigned k = (unsigned)get(f, 1);
    return k < 0xc0 ? s[k % (sizeof s / sizeof s[0])] ^ (k >> 6 & 3) : (uint16_t)get(f, 2);
}
static uint64_t value(struct in *f)
{
    static const uint64_t v[] = {
        0,     1,  0x1000, 0xffff, 0xfffe, 0xffffffff, 0x7fffffffffff, 0x800000000000, 0xffff800000000000,
        ~0ull, PT, STK0,   0x12345};
    unsigned k = (unsigned)get(f, 1);
    return k < 0x80 ? v[k % (sizeof v / sizeof v[0])] : get(f, k & 8 ? 8 : 4);
}

static void setup(struct in *f)
{
    unsigned mode = (unsigned)get(f, 1), cpl = (mode >> 3) % 3 == 2 ? 3 : (mode >> 3) % 3;
    switch (mode & 7) {
    case 0:
    case 1:
    case 2:
        long_machine(cpl);
        for (unsigned i = 0; i < 64; i++)
            long_gate(i, i % 7 ? CS0 : CONF0, 0x5000 + i, i & 1 ? 0xee : 0x8f, i % 5 == 0);
        break;
    case 3:
        base_machine();
        C.next_rip = 0x1234;
        C.s.gpr[R_RSP] = 0x8000;
        break;
    default:
        prot_machine(cpl);
        for (unsigned i = 0; i < 64; i++)
            put64(IDT + 8 * i, gate(i % 7 ? CS0 : CONF0, 0x5000 + i, i % 11 == 0 ? 0x85 : i & 1 ? 0xee : 0x87, 0));
        put64(GDT + TASKG, gate(TR1, 0, 0xe5, 0));
        put64(GDT + GATE, gate(CS0, 0x7777, 0xec, 5));
        put32(TSS2 + 0x20, 0x4000), put32(TSS2 + 0x24, 2), put32(TSS2 + 0x38, STK0), put16(TSS2 + 0x4c, CS0),
            put16(TSS2 + 0x50, DS0);
        put64(GDT + LDTS, desc(LDT, 0xff, 0x82, 0));
        if ((mode & 7) == 5) {
            for (unsigned i = 0; i < 1024; i++)
                put32(PT + 4 * i, i << 22 | 0x87);
            C.s.cr3 = PT, C.s.cr4 = CR4_PSE, C.s.cr0 |= CR0_PG;
        } else if ((mode & 7) == 6) {
            for (unsigned i = 0; i < 512; i++)
                put64(PT + 0x1000 + 8 * i, (uint64_t)i << 21 | 0x87);
            for (unsigned i = 0; i < 4; i++)
                put64(PT + 8 * i, C.s.pdpte[i] = (PT + 0x1000) | 1);
            C.s.cr3 = PT, C.s.cr4 = CR4_PAE, C.s.cr0 |= CR0_PG;
        } else if ((mode & 7) == 7) {
            C.s.rflags |= FL_VM;
            C.cpl = 3;
            for (unsigned i = 0; i < 6; i++)
                set_seg(&C, i, 0x800, 0xf3, 0x8000, 0xffff);
            C.s.gpr[R_RSP] = 0x1000;
            if (mode & 64)
                C.s.cr4 |= CR4_VME;
        }
    }
    /* Damage: bytes in the tables, registers. */
    for (unsigned n = (unsigned)get(f, 1) & 31; n; n--) {
        static const uint32_t where[] = {GDT, IDT, TSS, TSS2, LDT, PT, PT + 0x1000, STK0 - 64, STK3 - 64};
        uint32_t a = where[get(f, 1) % (sizeof where / sizeof where[0])] + (uint32_t)(get(f, 1) & 0xff);
        ram[a] = (uint8_t)get(f, 1);
    }
    for (unsigned n = (unsigned)get(f, 1) & 7; n; n--) {
        unsigned r = (unsigned)get(f, 1);
        uint64_t v = value(f);
        switch (r % 8) {
        case 0: C.s.gdtr.limit = (uint16_t)v; break;
        case 1: C.s.idtr.limit = (uint16_t)v; break;
        case 2: C.s.tr.limit = (uint32_t)v; break;
        case 3: C.s.gpr[R_RSP] = cpu_in_64(&C) ? v : (uint32_t)v; break;
        case 4:
            C.s.rflags = (v & (FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_VIF | FL_VIP)) |
                         (C.s.rflags & FL_VM) | 2;
            break;
        case 5: C.s.gdtr.base = cpu_in_lm(&C) ? v : (uint32_t)v; break;
        case 6: C.s.tr.base = cpu_in_lm(&C) ? v : (uint32_t)v; break;
        default: C.s.gpr[r / 8 % 16] = v; break;
        }
    }
}

static void invariants(unsigned op)
{
    const struct cpu_state *s = &C.s;
    check(C.cpl <= 3, "CPL", op);
    if (cpu_in_real(&C))
        check(C.cpl == 0, "CPL in real mode", op);
    else if (cpu_in_vm86(&C))
        check(C.cpl == 3 && !cpu_in_lm(&C), "CPL in virtual-8086 mode", op);
    else
        check(C.cpl == SEG_DPL(s->seg[S_SS].attr), "CPL is SS.DPL", op);
    check(!!(s->efer & EFER_LMA) == ((s->cr0 & CR0_PG) && (s->efer & EFER_LME)), "LMA", op);
    check(!(s->cr0 & CR0_PG) || (s->cr0 & CR0_PE), "PG needs PE", op);
    check((s->rflags & ~0x3f7fd5ull) == 2, "reserved flags", op);
    check(!(s->cr4 & ~feat.cr4_valid) && !(s->efer & ~feat.efer_valid), "CR4, EFER", op);
    check(cpu_in_lm(&C) || !(s->seg[S_CS].attr & SEG_L), "CS.L in long mode only", op);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct in f = {data, data + size};
    setup(&f);
    for (unsigned step = 0; step < 64 && f.p < f.end; step++) {
        unsigned op = (unsigned)get(&f, 1) % 44, wide = cpu_in_64(&C) ? 8 : 4, opsize = get(&f, 1) & 1 ? 2 : wide;
        bool may_commit = false; /* a failure may be one of the new task */
        struct cpu before = C;
        uint64_t v, d[2];
        uint32_t w, r4[4];
        int r = 0;
        switch (op) {
        case 0: r = cpu_load_seg(&C, (uint8_t[]){S_ES, S_SS, S_DS, S_FS, S_GS}[get(&f, 1) % 5], selector(&f)); break;
        case 1:
        case 2:
            may_commit = true;
            r = cpu_far_jmp(&C, selector(&f), value(&f), opsize);
            break;
        case 3:
        case 4:
            may_commit = true;
            r = cpu_far_call(&C, selector(&f), value(&f), opsize);
            break;
        case 5:
        case 6: r = cpu_far_ret(&C, opsize, (uint16_t)get(&f, 2)); break;
        case 7:
        case 8:
        case 9:
            may_commit = true;
            r = cpu_iret(&C, opsize);
            break;
        case 10:
        case 11:
            may_commit = true;
            r = cpu_interrupt(&C, (uint8_t)get(&f, 1), (enum cpu_int_kind)(get(&f, 1) % 5), get(&f, 1) & 1, 0x18);
            break;
        case 12:
        case 13: {
            C.fault = (struct cpu_fault){.vector = get(&f, 1) & 31, .has_code = true, .cr2 = value(&f), .dr6_bits = 1};
            if (cpu_deliver_fault(&C))
                return 0; /* shutdown */
            break;
        }
        case 14:
            if (cpu_deliver_external(&C, (uint8_t)get(&f, 1), get(&f, 1) & 1))
                return 0;
            break;
        case 15: r = cpu_lldt(&C, selector(&f)); break;
        case 16: r = cpu_ltr(&C, selector(&f)); break;
        case 17: r = cpu_lgdt(&C, cpu_in_64(&C) ? value(&f) : (uint32_t)value(&f), (uint16_t)get(&f, 2)); break;
        case 18: r = cpu_lidt(&C, cpu_in_64(&C) ? value(&f) : (uint32_t)value(&f), (uint16_t)get(&f, 2)); break;
        case 19: r = cpu_lar(&C, selector(&f), &w); break;
        case 20: r = cpu_lsl(&C, selector(&f), &w); break;
        case 21: r = cpu_verr(&C, selector(&f), get(&f, 1) & 1); break;
        case 22: r = cpu_syscall(&C); break;
        case 23: r = cpu_sysret(&C, opsize); break;
        case 24: r = cpu_sysenter(&C); break;
        case 25: r = cpu_sysexit(&C, opsize); break;
        case 26: r = cpu_push(&C, value(&f), opsize); break;
        case 27: r = cpu_pop(&C, &v, opsize); break;
        case 28: r = cpu_io_allowed(&C, (uint16_t)value(&f), 1u << get(&f, 1) % 3); break;
        case 29:
        case 30:
            r = cpu_mov_to_cr(&C, (uint8_t[]){0, 2, 3, 4, 8}[get(&f, 1) % 5],
                              get(&f, 1) & 1 ? value(&f) : C.s.cr0 ^ 1ull << (get(&f, 1) & 31));
            break;
        case 31: r = cpu_mov_to_cr(&C, 4, C.s.cr4 ^ 1ull << (get(&f, 1) & 31)); break;
        case 32: r = cpu_mov_to_dr(&C, (unsigned)get(&f, 1) & 15, value(&f)); break;
        case 33: r = cpu_popf_val(&C, opsize, value(&f)); break;
        case 34: r = cpu_pushf_val(&C, opsize, &v); break;
        case 35: r = get(&f, 1) & 1 ? cpu_sti(&C) : cpu_cli(&C); break;
        case 36:
        case 37: {
            static const uint32_t m[] = {0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000102,
                                         0x174,      0x175,      0x176,      0x200,      0x26f,
                                         0x277,      0x2ff,      0x10,       0x3b,       0x1b};
            uint32_t i = (uint32_t)get(&f, 1);
            r = cpu_wrmsr(&C, i < 0xe0 ? m[i % (sizeof m / sizeof m[0])] : (uint32_t)get(&f, 4),
                          i & 1 ? value(&f) : C.s.efer ^ 1ull << (get(&f, 1) & 63));
            break;
        }
        case 38: r = cpu_rdmsr(&C, (uint32_t)get(&f, 4), &v); break;
        case 39: d[0] = value(&f), d[1] = value(&f), r = cpu_invpcid(&C, get(&f, 1) % 5, d); break;
        case 40: r = cpu_xsetbv(&C, 0, value(&f)); break;
        case 41: cpu_cpuid(&C, (uint32_t)value(&f), (uint32_t)get(&f, 1), r4); break;
        case 42:
            if (!C.s.smm)
                cpu_smi_enter(&C);
            break;
        default:
            r = cpu_rsm(&C);
            if (C.s.run_state == CPU_SHUTDOWN)
                return 0;
            /* The map is the firmware's own: what it loads is not checked beyond what RSM checks. */
            if (!r)
                return 0;
            break;
        }
        check(r == 0 || r == -1, "result", op);
        if (r && !may_commit)
            check(!memcmp(&before.s, &C.s, sizeof C.s) && before.cpl == C.cpl, "a fault changed the state", op);
        if (r && cpu_in_lm(&before))
            check(!memcmp(&before.s, &C.s, sizeof C.s), "a fault changed the state in long mode", op);
        if (r)
            check(C.fault.vector < 32, "vector", op);
        invariants(op);
        if (r && get(&f, 1) & 1 && cpu_deliver_fault(&C))
            return 0;
        invariants(op);
        C.next_rip = C.s.rip + 2;
    }
    return 0;
}
