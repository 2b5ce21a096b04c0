/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment loads, far transfers through every kind of descriptor, LAR and friends, task switches, the I/O permission
 * map, fast system calls. */
#include "tests/unit/cpu_fake.h"

static void loads(void)
{
    static const struct {
        unsigned cpl, seg;
        uint16_t sel;
        int vec, code;
        const char *name;
    } t[] = {
        {0, S_DS, DS0, -1, 0, "DS, DPL 0 at CPL 0"},
        {0, S_DS, 0, -1, 0, "DS null"},
        {0, S_DS, 3, -1, 0, "DS null with RPL"},
        {0, S_DS, DS0 | 3, X_GP, DS0, "DS, RPL > DPL"},
        {3, S_DS, DS0, X_GP, DS0, "DS, CPL > DPL"},
        {3, S_DS, DS3, -1, 0, "DS at CPL 3"},
        {0, S_DS, DS3, -1, 0, "DS of an outer level"},
        {0, S_ES, XO_CODE, X_GP, XO_CODE, "execute-only code"},
        {3, S_ES, CONF0, -1, 0, "conforming readable code at any CPL"},
        {3, S_ES, CS0, X_GP, CS0, "non-conforming code, DPL 0 at CPL 3"},
        {0, S_ES, CS0, -1, 0, "readable code"},
        {3, S_FS, NP_DATA | 3, X_NP, NP_DATA, "not present"},
        {0, S_GS, TR0, X_GP, TR0, "system descriptor"},
        {0, S_DS, 0x100, X_GP, 0x100, "outside of the GDT"},
        {0, S_DS, 0x0c, X_GP, 0x0c, "no LDT"},
        {0, S_DS, RO_DATA, -1, 0, "read-only data"},
        {0, S_SS, 0, X_GP, 0, "SS null"},
        {0, S_SS, DS0, -1, 0, "SS"},
        {0, S_SS, DS0 | 3, X_GP, DS0, "SS, RPL != CPL"},
        {0, S_SS, DS3, X_GP, DS3 & ~3, "SS, DPL != CPL"},
        {3, S_SS, RO_DATA | 3, X_GP, RO_DATA, "SS read-only"},
        {0, S_SS, CS0, X_GP, CS0, "SS code"},
        {0, S_SS, NP_SS0, X_SS, NP_SS0, "SS not present"},
    };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        prot_machine(t[i].cpl);
        int r = cpu_load_seg(&C, t[i].seg, t[i].sel);
        if (t[i].vec < 0)
            ok(r == 0 && C.s.seg[t[i].seg].sel == t[i].sel && !!(C.s.seg[t[i].seg].attr & SEG_P) == (t[i].sel > 3),
               "%s", t[i].name);
        else
            faults(r, t[i].vec, t[i].code, t[i].name);
    }
    prot_machine(0);
    put64(GDT + DS0, desc(0x12345678, 0x54321, 0x92, 0xc));
    ok(!cpu_load_seg(&C, S_ES, DS0) && ram[GDT + DS0 + 5] == 0x93, "the accessed bit is set");
    ok(C.s.seg[S_ES].base == 0x12345678 && C.s.seg[S_ES].limit == 0x54321fff && C.s.seg[S_ES].attr == 0xc093,
       "base, scaled limit, attributes");
    ok(!cpu_lldt(&C, LDTS) && C.s.ldtr.base == LDT, "LLDT");
    put64(LDT + 8, desc(0x1000, 0xffff, 0x93, 0));
    ok(!cpu_load_seg(&C, S_ES, 0x0c) && C.s.seg[S_ES].base == 0x1000, "from the LDT");
    faults(cpu_lldt(&C, DS0), X_GP, DS0, "LLDT of something else");
    faults(cpu_lldt(&C, 0x104), X_GP, 0x104, "LLDT with TI");
    ok(!cpu_lldt(&C, 0) && cpu_load_seg(&C, S_ES, 0x0c) == -1, "LLDT null");
    faults(cpu_ltr(&C, 0), X_GP, 0, "LTR null");
    faults(cpu_ltr(&C, TR0), X_GP, TR0, "LTR of a busy TSS");
    ok(!cpu_ltr(&C, TR1) && ram[GDT + TR1 + 5] == 0x8b && C.s.tr.base == TSS2, "LTR marks busy");
    C.cpl = 3;
    faults(cpu_ltr(&C, TR1), X_GP, 0, "LTR at CPL 3");
    faults(cpu_lgdt(&C, 0, 0), X_GP, 0, "LGDT at CPL 3");

    long_machine(0);
    ok(!cpu_load_seg(&C, S_SS, 0), "64-bit: null SS at CPL 0");
    faults(cpu_load_seg(&C, S_SS, 3), X_GP, 0, "64-bit: null SS needs RPL = CPL");
    C.cpl = 3;
    faults(cpu_load_seg(&C, S_SS, 3), X_GP, 0, "64-bit: no null SS at CPL 3");
    C.cpl = 0;
    faults(cpu_lgdt(&C, 0x900000000000ull, 10), X_GP, 0, "64-bit: LGDT of a non-canonical base");
    put64(GDT + LDTS, desc(0x5000, 0xff, 0x82, 0));
    put64(GDT + LDTS + 8, 0xffff8000);
    ok(!cpu_lldt(&C, LDTS) && C.s.ldtr.base == 0xffff800000005000ull, "64-bit: LLDT takes 16 bytes");
    put64(GDT + LDTS + 8, 0x9000);
    faults(cpu_lldt(&C, LDTS), X_GP, LDTS, "64-bit: LDT base not canonical");
    put64(GDT + LDTS + 8, 0);
    C.s.gdtr.limit = LDTS + 7;
    faults(cpu_lldt(&C, LDTS), X_GP, LDTS, "64-bit: second half outside of the GDT");

    base_machine();
    C.s.seg[S_DS].limit = 0xffffffff;
    ok(!cpu_load_seg(&C, S_DS, 0x1234) && C.s.seg[S_DS].base == 0x12340 && C.s.seg[S_DS].limit == 0xffffffff,
       "real mode keeps the limit");
}

static void checks(void)
{
    uint64_t lin;
    prot_machine(0);
    set_seg(&C, S_DS, DS0, 0x93, 0x1000, 0xfff);
    ok(!cpu_seg_check(&C, S_DS, 0xffc, 4, ACC_R, &lin) && lin == 0x1ffc, "last doubleword of a segment");
    faults(cpu_seg_check(&C, S_DS, 0xffd, 4, ACC_R, &lin), X_GP, 0, "one beyond");
    set_seg(&C, S_SS, DS0, 0x97, 0, 0xfff); /* expand-down, 16-bit */
    ok(!cpu_seg_check(&C, S_SS, 0x1000, 4, ACC_W, &lin), "expand-down: first byte");
    faults(cpu_seg_check(&C, S_SS, 0xfff, 4, ACC_W, &lin), X_SS, 0, "expand-down: below");
    faults(cpu_seg_check(&C, S_SS, 0xfffd, 4, ACC_W, &lin), X_SS, 0, "expand-down: above FFFFh");
    C.s.seg[S_SS].attr |= SEG_DB;
    ok(!cpu_seg_check(&C, S_SS, 0xfffd, 4, ACC_W, &lin), "expand-down with B: above FFFFh");
    faults(cpu_seg_check(&C, S_CS, 0, 4, ACC_W, &lin), X_GP, 0, "write to code");
    set_seg(&C, S_ES, XO_CODE, 0xc099, 0, 0xffffffff);
    faults(cpu_seg_check(&C, S_ES, 0, 4, ACC_R, &lin), X_GP, 0, "read of execute-only code");
    set_seg(&C, S_ES, RO_DATA, 0xc091, 0, 0xffffffff);
    faults(cpu_seg_check(&C, S_ES, 0, 4, ACC_W, &lin), X_GP, 0, "write to read-only data");
    set_seg(&C, S_ES, 0, 0, 0, 0);
    faults(cpu_seg_check(&C, S_ES, 0, 1, ACC_R, &lin), X_GP, 0, "null segment");
    set_seg(&C, S_ES, DS0, 0xc093, 0xfffff000, 0xffffffff);
    ok(!cpu_seg_check(&C, S_ES, 0x2000, 4, ACC_R, &lin) && lin == 0x1000, "linear addresses wrap at 4 GiB");
    long_machine(0);
    C.s.seg[S_FS].base = 0xffff888000000000ull;
    ok(!cpu_seg_check(&C, S_FS, 0x10, 8, ACC_R, &lin) && lin == 0xffff888000000010ull, "64-bit: FS base");
    faults(cpu_seg_check(&C, S_SS, 0x800000000000ull, 8, ACC_R, &lin), X_SS, 0, "64-bit: non-canonical through SS");
    faults(cpu_seg_check(&C, S_DS, 0x7ffffffffffcull, 8, ACC_R, &lin), X_GP, 0, "64-bit: into non-canonical");
    prot_machine(0);
    set_seg(&C, S_SS, DS16, 0x93, 0x10000, 0xffff);
    C.s.gpr[R_RSP] = 0xabcd0000;
    ok(!cpu_push(&C, 0x1122, 2) && C.s.gpr[R_RSP] == 0xabcdfffe && get16(0x1fffe) == 0x1122,
       "PUSH with SP = 0 on a 16-bit stack");
    uint64_t v;
    ok(!cpu_pop(&C, &v, 2) && v == 0x1122 && C.s.gpr[R_RSP] == 0xabcd0000, "POP");
    C.s.gpr[R_RSP] = 2;
    faults(cpu_push(&C, 1, 4), X_SS, 0, "a push that would straddle the segment's end");
}

static void jumps(void)
{
    static const struct {
        unsigned cpl;
        uint16_t sel;
        int vec, code;
        const char *name;
    } t[] = {
        {0, CS0, -1, 0, "code, same level"},
        {3, CS3, -1, 0, "code, CPL 3"},
        {3, CS0, X_GP, CS0, "inner non-conforming code"},
        {0, CS3, X_GP, CS3 & ~3, "outer code"},
        {0, CS0 | 3, X_GP, CS0, "RPL > CPL"},
        {3, CONF0, -1, 0, "inner conforming code"},
        {0, CONF3, X_GP, CONF3, "outer conforming code"},
        {0, NP_CODE, X_NP, NP_CODE, "not present"},
        {0, 0, X_GP, 0, "null"},
        {0, 0x100, X_GP, 0x100, "outside"},
        {0, DS0, X_GP, DS0, "data"},
        {0, LDTS, X_GP, LDTS, "LDT descriptor"},
        {0, TR0, X_GP, TR0, "busy TSS"},
        {3, TR1, X_GP, TR1, "TSS with DPL 0 at CPL 3"},
    };
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        for (unsigned call = 0; call < 2; call++) {
            prot_machine(t[i].cpl);
            uint64_t sp = C.s.gpr[R_RSP];
            unsigned old = C.s.seg[S_CS].sel;
            int r = call ? cpu_far_call(&C, t[i].sel, 0x5555, 4) : cpu_far_jmp(&C, t[i].sel, 0x5555, 4);
            if (t[i].vec >= 0) {
                faults(r, t[i].vec, t[i].code, t[i].name);
                continue;
            }
            ok(r == 0 && C.s.rip == 0x5555 && C.cpl == t[i].cpl && C.s.seg[S_CS].sel == ((t[i].sel & ~3) | t[i].cpl),
               "%s %s", call ? "CALL" : "JMP", t[i].name);
            if (call) {
                ok(C.s.gpr[R_RSP] == sp - 8 && get32(sp - 4) == old && get32(sp - 8) == 0x12347, "return address");
                ok(!cpu_far_ret(&C, 4, 0) && C.s.rip == 0x12347 && C.s.seg[S_CS].sel == old && C.s.gpr[R_RSP] == sp,
                   "RETF");
            }
        }
    }
    prot_machine(0);
    put64(GDT + CS0, desc(0, 0xfff, 0x9b, 4));
    faults(cpu_far_jmp(&C, CS0, 0x1000, 4), X_GP, 0, "JMP beyond the limit");
    prot_machine(0);
    ok(!cpu_far_jmp(&C, CS16, 0x12345678, 2) && C.s.rip == 0x5678 && !(C.s.seg[S_CS].attr & SEG_DB), "16-bit JMP");

    /* call gates */
    prot_machine(3);
    put64(GDT + GATE, gate(CS0, 0x77777, 0xec, 2));
    put32(STK3, 0xaaaa), put32(STK3 + 4, 0xbbbb);
    ok(!cpu_far_call(&C, GATE | 3, 0, 4) && C.cpl == 0 && C.s.rip == 0x77777 && C.s.seg[S_CS].sel == CS0 &&
           C.s.seg[S_SS].sel == DS0,
       "CALL through a gate to CPL 0");
    ok(C.s.gpr[R_RSP] == STK0 - 24 && get32(STK0 - 4) == DS3 && get32(STK0 - 8) == STK3 && get32(STK0 - 12) == 0xbbbb &&
           get32(STK0 - 16) == 0xaaaa && get32(STK0 - 20) == CS3 && get32(STK0 - 24) == 0x12347,
       "SS ESP parameters CS EIP");
    ok(!cpu_far_ret(&C, 4, 8) && C.cpl == 3 && C.s.gpr[R_RSP] == STK3 + 8 && C.s.rip == 0x12347, "RETF 8 to CPL 3");
    put64(GDT + GATE, gate(CS0, 0x77777, 0x8c, 0));
    faults(cpu_far_call(&C, GATE | 3, 0, 4), X_GP, GATE, "gate DPL < CPL");
    put64(GDT + GATE, gate(CS0, 0x77777, 0x6c, 0));
    faults(cpu_far_call(&C, GATE | 3, 0, 4), X_NP, GATE, "gate not present");
    put64(GDT + GATE, gate(0, 0x77777, 0xec, 0));
    faults(cpu_far_call(&C, GATE | 3, 0, 4), X_GP, 0, "gate to a null selector");
    put64(GDT + GATE, gate(DS0, 0x77777, 0xec, 0));
    faults(cpu_far_call(&C, GATE | 3, 0, 4), X_GP, DS0, "gate to data");
    put64(GDT + GATE, gate(NP_CODE, 0x77777, 0xec, 0));
    faults(cpu_far_call(&C, GATE | 3, 0, 4), X_NP, NP_CODE, "gate to absent code");
    put64(GDT + GATE, gate(CS0, 0x77777, 0xec, 0));
    faults(cpu_far_jmp(&C, GATE | 3, 0, 4), X_GP, CS0, "JMP through a gate cannot change CPL");
    put16(TSS + 8, DS1);
    faults(cpu_far_call(&C, GATE | 3, 0, 4), X_TS, DS1 & ~3, "gate, stack with the wrong level");
    put16(TSS + 8, NP_SS0);
    faults(cpu_far_call(&C, GATE | 3, 0, 4), X_SS, NP_SS0, "gate, stack not present");
    put16(TSS + 8, DS0);
    put64(GDT + GATE, gate(CONF0, 0x66666, 0xec, 3));
    ok(!cpu_far_call(&C, GATE | 3, 0, 4) && C.cpl == 3 && C.s.rip == 0x66666 && C.s.gpr[R_RSP] == STK3,
       "gate to conforming code: no new stack, no parameters");
    prot_machine(3);
    put64(GDT + GATE, gate(CS0, 0x12347777, 0xe4, 1));
    put16(STK3, 0xcccc);
    ok(!cpu_far_call(&C, GATE | 3, 0, 4) && C.cpl == 0 && C.s.rip == 0x7777 && C.s.gpr[R_RSP] == STK0 - 10 &&
           get16(STK0 - 6) == 0xcccc,
       "16-bit gate");
    prot_machine(0);
    put64(GDT + GATE, gate(CS0, 0x8888, 0x8c, 0));
    ok(!cpu_far_jmp(&C, GATE, 0, 4) && C.s.rip == 0x8888 && C.s.gpr[R_RSP] == STK0, "JMP through a gate, same level");

    /* 64-bit */
    long_machine(3);
    put64(GDT + GATE, gate(CS0, 0x81000000, 0xec, 0));
    put64(GDT + GATE + 8, 0xffffffff);
    ok(!cpu_far_call(&C, GATE | 3, 0, 8) && C.cpl == 0 && C.s.rip == 0xffffffff81000000ull && C.s.seg[S_SS].sel == 0 &&
           C.s.gpr[R_RSP] == STK0 - 32,
       "64-bit call gate");
    ok(get64(STK0 - 8) == DS3 && get64(STK0 - 16) == STK3 && get64(STK0 - 24) == CS3 && get64(STK0 - 32) == 0x12347,
       "frame");
    ok(!cpu_far_ret(&C, 8, 0) && C.cpl == 3 && C.s.gpr[R_RSP] == STK3, "RETFQ");
    put64(GDT + GATE + 8, 0x1f0000000000ull);
    faults(cpu_far_call(&C, GATE | 3, 0, 8), X_GP, GATE, "64-bit call gate: type field of the upper half");
    put64(GDT + GATE + 8, 0x9000);
    faults(cpu_far_call(&C, GATE | 3, 0, 8), X_GP, 0, "64-bit call gate: target not canonical");
    put64(GDT + GATE, gate(CS32_3, 0x1000, 0xec, 0));
    put64(GDT + GATE + 8, 0);
    faults(cpu_far_call(&C, GATE | 3, 0, 8), X_GP, CS32_3 & ~3, "64-bit call gate to 32-bit code");
    ok(!cpu_far_jmp(&C, CS32_3, 0x1000, 4) && !cpu_in_64(&C), "JMP to compatibility mode");
    put64(GDT + NP_CODE, desc(0, 0xfffff, 0xfb, 0xe));
    faults(cpu_far_jmp(&C, NP_CODE | 3, 0x1000, 4), X_GP, NP_CODE, "L and D both set");
    faults(cpu_far_jmp(&C, TR0, 0, 4), X_GP, TR0, "no task switches in long mode");
    /* RETF checks */
    long_machine(0);
    C.s.gpr[R_RSP] = STK0 - 32;
    put64(STK0 - 32, 0x1000), put64(STK0 - 24, CS3), put64(STK0 - 16, 0x7000), put64(STK0 - 8, 0);
    faults(cpu_far_ret(&C, 8, 0), X_GP, 0, "RETF to CPL 3 with a null SS");
    put64(STK0 - 24, 0);
    faults(cpu_far_ret(&C, 8, 0), X_GP, 0, "RETF to null");
    base_machine();
    set_seg(&C, S_SS, 0x2000, 0x93, 0x20000, 0xffff);
    C.s.gpr[R_RSP] = 0x100;
    C.next_rip = 0x1234;
    ok(!cpu_far_call(&C, 0x3000, 0x10, 2) && C.s.seg[S_CS].base == 0x30000 && C.s.rip == 0x10 &&
           get16(0x200fe) == 0xf000 && get16(0x200fc) == 0x1234,
       "real mode CALL");
    ok(!cpu_far_ret(&C, 2, 4) && C.s.rip == 0x1234 && C.s.seg[S_CS].sel == 0xf000 && C.s.gpr[R_RSP] == 0x104,
       "real mode RETF 4");
}

static void inspection(void)
{
    uint32_t v = 7;
    prot_machine(3);
    C.s.rflags = 2;
    ok(!cpu_lar(&C, DS3, &v) && (C.s.rflags & FL_ZF) && v == 0x00cff300, "LAR");
    ok(!cpu_lar(&C, DS0, &v) && !(C.s.rflags & FL_ZF) && v == 0x00cff300, "LAR, DPL < CPL: ZF clear, destination kept");
    ok(!cpu_lar(&C, CONF0, &v) && (C.s.rflags & FL_ZF), "LAR of conforming code");
    ok(!cpu_lsl(&C, DS3, &v) && v == 0xffffffff && (C.s.rflags & FL_ZF), "LSL");
    ok(!cpu_lsl(&C, 0, &v) && !(C.s.rflags & FL_ZF), "LSL null");
    C.cpl = 0;
    for (unsigned type = 0; type < 16; type++) {
        put64(GDT + GATE, desc(0, 0x1234, 0x80 | type, 0));
        put64(GDT + GATE + 8, 0);
        bool lar =
            type == 1 || type == 2 || type == 3 || type == 4 || type == 5 || type == 9 || type == 11 || type == 12;
        bool lsl = type == 1 || type == 2 || type == 3 || type == 9 || type == 11;
        cpu_lar(&C, GATE, &v);
        bool a = C.s.rflags & FL_ZF;
        cpu_lsl(&C, GATE, &v);
        bool b = C.s.rflags & FL_ZF;
        C.s.efer |= EFER_LMA;
        C.s.cr0 |= CR0_PG;
        C.s.cr3 = PT;
        put64(PT, (PT + 0x1000) | 7), put64(PT + 0x1000, 0x87);
        bool lar64 = type == 2 || type == 9 || type == 11 || type == 12, lsl64 = type == 2 || type == 9 || type == 11;
        cpu_lar(&C, GATE, &v);
        bool a64 = C.s.rflags & FL_ZF;
        cpu_lsl(&C, GATE, &v);
        bool b64 = C.s.rflags & FL_ZF;
        C.s.efer &= ~(uint64_t)EFER_LMA;
        C.s.cr0 &= ~CR0_PG;
        ok(a == lar && b == lsl && a64 == lar64 && b64 == lsl64, "LAR and LSL of system type %u", type);
    }
    ok(!cpu_verr(&C, RO_DATA, false) && (C.s.rflags & FL_ZF), "VERR of read-only data");
    ok(!cpu_verr(&C, RO_DATA, true) && !(C.s.rflags & FL_ZF), "VERW of read-only data");
    ok(!cpu_verr(&C, XO_CODE, false) && !(C.s.rflags & FL_ZF), "VERR of execute-only code");
    ok(!cpu_verr(&C, DS0, true) && (C.s.rflags & FL_ZF), "VERW of data");
    C.s.rflags |= FL_VM;
    faults(cpu_verr(&C, DS0, true), X_UD, -1, "VERW in virtual-8086 mode");
    base_machine();
    faults(cpu_lar(&C, DS0, &v), X_UD, -1, "LAR in real mode");
    prot_machine(3);
    ok(!cpu_umip_check(&C), "SGDT at CPL 3 without UMIP");
    C.s.cr4 |= CR4_UMIP;
    faults(cpu_umip_check(&C), X_GP, 0, "SGDT at CPL 3 with UMIP");
}

static void tss32(uint32_t at, uint32_t eip, uint32_t eflags, uint16_t cs, uint16_t ss, uint32_t esp, uint16_t ds)
{
    memset(ram + at, 0, 104);
    put32(at + 0x20, eip), put32(at + 0x24, eflags), put32(at + 0x38, esp);
    put32(at + 0x28, 0xe0e0e0e0);
    put32(at + 0x48, ds), put32(at + 0x4c, cs), put32(at + 0x50, ss), put32(at + 0x54, ds);
}

static void tasks(void)
{
    prot_machine(0);
    tss32(TSS2, 0x40000, 2 | FL_IF, CS3, DS3, STK3, DS3);
    C.s.rflags = 2 | FL_CF;
    C.s.gpr[R_RAX] = 0x1111;
    C.s.dr7 = 0x4ff;
    ok(!cpu_far_call(&C, TR1, 0, 4), "CALL to a TSS");
    ok(C.s.tr.sel == TR1 && C.s.tr.base == TSS2 && C.cpl == 3 && C.s.rip == 0x40000 && C.s.gpr[R_RAX] == 0xe0e0e0e0 &&
           C.s.gpr[R_RSP] == STK3,
       "new state");
    ok(C.s.rflags == (2 | FL_IF | FL_NT) && (C.s.cr0 & CR0_TS), "NT and CR0.TS are set");
    is_u64(C.s.dr7, 0x4aa, "local breakpoints are off");
    ok(get16(TSS2) == TR0 && ram[GDT + TR0 + 5] == 0x8b && ram[GDT + TR1 + 5] == 0x8b, "back link; both TSSs busy");
    ok(get32(TSS + 0x20) == 0x12347 && get32(TSS + 0x24) == (2 | FL_CF) && get32(TSS + 0x28) == 0x1111 &&
           get32(TSS + 0x4c) == CS0,
       "old state saved");
    ok(C.s.seg[S_DS].sel == DS3 && C.s.seg[S_FS].sel == 0, "data segments");
    C.next_rip = 0x40002;
    ok(!cpu_iret(&C, 4) && C.s.tr.sel == TR0 && C.cpl == 0 && C.s.rip == 0x12347 && C.s.gpr[R_RAX] == 0x1111,
       "IRET with NT goes back");
    ok(ram[GDT + TR1 + 5] == 0x89 && ram[GDT + TR0 + 5] == 0x8b && get32(TSS2 + 0x24) == (2 | FL_IF),
       "the task left is not busy; NT is clear in its image");
    ok(!cpu_far_jmp(&C, TR1, 0, 4) && ram[GDT + TR0 + 5] == 0x89 && ram[GDT + TR1 + 5] == 0x8b && !(C.s.rflags & FL_NT),
       "JMP: old not busy, no NT");

    prot_machine(0);
    tss32(TSS2, 0x40000, 2, CS0, DS0, STK0, DS0);
    put64(GDT + TASKG, gate(TR1, 0, 0xe5, 0));
    ok(!cpu_far_jmp(&C, TASKG, 0, 4) && C.s.tr.sel == TR1, "JMP through a task gate");
    prot_machine(3);
    tss32(TSS2, 0x40000, 2, CS0, DS0, STK0, DS0);
    put64(IDT + 8 * 8, gate(TR1, 0, 0x85, 0));
    C.s.gpr[R_RSP] = 0;
    C.fault = (struct cpu_fault){.vector = X_DF, .has_code = true};
    ok(!cpu_deliver_fault(&C) && C.s.tr.sel == TR1 && C.s.gpr[R_RSP] == STK0 - 4 && get32(STK0 - 4) == 0 &&
           (C.s.rflags & FL_NT),
       "#DF through a task gate pushes its code in the new task");
    ok(get32(TSS + 0x20) == 0x12345, "the saved EIP is the faulting one");

    static const struct {
        uint16_t cs, ss, ds, ldt;
        uint32_t eip;
        unsigned vec;
        int code;
        const char *name;
    } bad[] = {
        {CS0, DS0, DS0, 0x200, 0, X_TS, 0x200, "LDT outside"},
        {CS0, DS0, DS0, DS0, 0, X_TS, DS0, "LDT is data"},
        {0, DS0, DS0, 0, 0, X_TS, 0, "null CS"},
        {DS0, DS0, DS0, 0, 0, X_TS, DS0, "CS is data"},
        {CS0, 0, DS0, 0, 0, X_TS, 0, "null SS"},
        {CS0, DS3, DS0, 0, 0, X_TS, DS3 & ~3, "SS of another level"},
        {CS0, NP_SS0, DS0, 0, 0, X_SS, NP_SS0, "SS not present"},
        {NP_CODE, DS0, DS0, 0, 0, X_NP, NP_CODE, "CS not present"},
        {CS0, DS0, XO_CODE, 0, 0, X_TS, XO_CODE, "DS execute-only"},
        {CS0, DS0, NP_DATA, 0, 0, X_NP, NP_DATA, "DS not present"},
        {CS3, DS3, DS0, 0, 0, X_TS, DS0, "DS with DPL < CPL"},
        {CS16, DS0, DS0, 0, 0x10000, X_GP, 0, "EIP beyond the limit"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        prot_machine(0);
        tss32(TSS2, bad[i].eip, 2, bad[i].cs, bad[i].ss, STK0, bad[i].ds);
        put16(TSS2 + 0x60, bad[i].ldt);
        int r = cpu_far_jmp(&C, TR1, 0, 4);
        faults(r, bad[i].vec, bad[i].code, bad[i].name);
        ok(C.s.tr.sel == TR1 && C.s.rip == bad[i].eip, "%s: a fault of the new task", bad[i].name);
    }
    prot_machine(0);
    put64(GDT + TR1, desc(TSS2, 0x66, 0x89, 0));
    faults(cpu_far_jmp(&C, TR1, 0, 4), X_TS, TR1, "TSS limit too small");
    put64(GDT + TR1, desc(TSS2, 0x67, 0x09, 0));
    faults(cpu_far_jmp(&C, TR1, 0, 4), X_NP, TR1, "TSS not present");
    C.s.rflags |= FL_NT;
    put16(TSS, DS0);
    faults(cpu_iret(&C, 4), X_TS, DS0, "IRET: the link is no TSS");
    put16(TSS, 0x104);
    faults(cpu_iret(&C, 4), X_TS, 0x104, "IRET: the link is in the LDT");
    put64(GDT + TR1, desc(TSS2, 0x67, 0x89, 0));
    put16(TSS, TR1);
    faults(cpu_iret(&C, 4), X_TS, TR1, "IRET: the link is not busy");
    /* T bit */
    prot_machine(0);
    tss32(TSS2, 0x40000, 2, CS0, DS0, STK0, DS0);
    put16(TSS2 + 0x64, 1);
    ok(cpu_far_jmp(&C, TR1, 0, 4) == -1 && C.fault.vector == X_DB && C.fault.dr6_bits == 1 << 15 && C.s.rip == 0x40000,
       "debug trap of the new task: DR6.BT");
    /* into a virtual-8086 task */
    prot_machine(0);
    tss32(TSS2, 0x10, 2 | FL_VM, 0x1000, 0x2000, 0xfffe, 0x3000);
    ok(!cpu_far_jmp(&C, TR1, 0, 4) && cpu_in_vm86(&C) && C.cpl == 3 && C.s.seg[S_CS].base == 0x10000 &&
           C.s.seg[S_DS].attr == 0xf3,
       "switch to a virtual-8086 task");
    /* 16-bit TSS */
    prot_machine(0);
    put64(GDT + TR1, desc(TSS2, 0x2b, 0x81, 0));
    memset(ram + TSS2, 0, 44);
    put16(TSS2 + 0x0e, 0x4444), put16(TSS2 + 0x10, 2), put16(TSS2 + 0x12, 0xaaaa), put16(TSS2 + 0x1a, 0x7ffe);
    put16(TSS2 + 0x22, DS16), put16(TSS2 + 0x24, CS16), put16(TSS2 + 0x26, DS16), put16(TSS2 + 0x28, DS16);
    ok(!cpu_far_call(&C, TR1, 0, 4) && C.s.rip == 0x4444 && (uint16_t)C.s.gpr[R_RAX] == 0xaaaa &&
           C.s.seg[S_CS].sel == CS16 && C.s.seg[S_FS].sel == 0,
       "16-bit TSS");
    ok(get16(TSS2) == TR0, "back link of the 16-bit TSS");
    C.next_rip = 0x4445;
    ok(!cpu_iret(&C, 2) && C.s.tr.sel == TR0 && get16(TSS2 + 0x0e) == 0x4445, "and back");
    /* CR3 is loaded, with paging */
    prot_machine(0);
    tss32(TSS2, 0x40000, 2, CS0, DS0, STK0, DS0);
    for (unsigned i = 0; i < 4; i++)
        put32(PT + 4 * i, i << 22 | 0x87), put32(PT + 0x1000 + 4 * i, i << 22 | 0x87);
    C.s.cr3 = PT, C.s.cr4 = CR4_PSE, C.s.cr0 |= CR0_PG;
    put32(TSS2 + 0x1c, PT + 0x1000);
    n_flush = 0;
    ok(!cpu_far_jmp(&C, TR1, 0, 4) && C.s.cr3 == PT + 0x1000 && n_flush, "CR3 of the new task");

    /* I/O permission map */
    prot_machine(3);
    ok(cpu_io_allowed(&C, 0x60, 1) == 0, "map bit clear");
    ram[TSS + 0x68 + 0x60 / 8] = 2;
    faults(cpu_io_allowed(&C, 0x60, 2), X_GP, 0, "one of two bits set");
    ok(cpu_io_allowed(&C, 0x60, 1) == 0, "the other port alone");
    C.s.rflags |= FL_IOPL;
    ok(cpu_io_allowed(&C, 0x60, 2) == 0, "IOPL 3");
    C.s.rflags |= FL_VM;
    faults(cpu_io_allowed(&C, 0x60, 2), X_GP, 0, "virtual-8086 mode looks at the map whatever IOPL says");
    C.s.rflags = 2;
    C.s.tr.limit = 0x68 + 0x3f8 / 8;
    faults(cpu_io_allowed(&C, 0x3f8, 1), X_GP, 0, "two bytes of the map are read");
    C.s.tr.limit++;
    ok(cpu_io_allowed(&C, 0x3f8, 1) == 0, "just inside");
    C.s.tr.limit = 0x67;
    faults(cpu_io_allowed(&C, 0x5658, 4), X_GP, 0, "no map");
    C.s.gpr[R_RAX] = 0x564d5868;
    ok(cpu_io_allowed(&C, 0x5658, 4) == 0, "the backdoor is open to user mode");
}

static void syscalls(void)
{
    long_machine(3);
    C.s.star = (uint64_t)(0x20 - 16 + 3) << 48 | (uint64_t)CS0 << 32;
    C.s.lstar = 0xffffffff81800000ull;
    C.s.cstar = 0xffffffff81900000ull;
    C.s.sfmask = FL_IF | FL_TF | FL_DF | FL_AC;
    C.s.rflags = 2 | FL_IF | FL_AC | FL_CF;
    ok(!cpu_syscall(&C) && C.cpl == 0 && C.s.rip == C.s.lstar && C.s.gpr[R_RCX] == 0x12347 &&
           C.s.gpr[R_R11] == (2 | FL_IF | FL_AC | FL_CF),
       "SYSCALL");
    ok(C.s.rflags == (2 | FL_CF) && C.s.seg[S_CS].sel == CS0 && C.s.seg[S_SS].sel == CS0 + 8 &&
           C.s.seg[S_CS].attr == 0xa09b && C.s.seg[S_SS].attr == 0xc093,
       "flags and segments");
    ok(!cpu_sysret(&C, 8) && C.cpl == 3 && C.s.rip == 0x12347 && C.s.rflags == (2 | FL_IF | FL_AC | FL_CF) &&
           C.s.seg[S_CS].sel == (0x23) && cpu_in_64(&C),
       "SYSRETQ");
    ok(C.s.seg[S_SS].sel == 0x1b && SEG_DPL(C.s.seg[S_SS].attr) == 3, "SS");
    faults(cpu_sysret(&C, 8), X_GP, 0, "SYSRET at CPL 3");
    cpu_syscall(&C);
    ok(!cpu_sysret(&C, 4) && !cpu_in_64(&C) && C.s.seg[S_CS].sel == 0x13 && C.cpl == 3,
       "SYSRETL to compatibility mode");
    if (feat.amd)
        ok(!cpu_syscall(&C) && C.s.rip == C.s.cstar && cpu_in_64(&C), "AMD: SYSCALL in compatibility mode");
    else
        faults(cpu_syscall(&C), X_UD, -1, "Intel: no SYSCALL in compatibility mode");
    C.s.efer &= ~(uint64_t)EFER_SCE;
    faults(cpu_syscall(&C), X_UD, -1, "SYSCALL without SCE");
    struct cpu_features f = feat;
    C.feat = &f;
    long_machine(0);
    f.amd = false;
    C.feat = &f;
    C.s.gpr[R_RCX] = 0x800000000000ull;
    faults(cpu_sysret(&C, 8), X_GP, 0, "Intel: SYSRET to a non-canonical address");
    f.amd = true;
    ok(!cpu_sysret(&C, 8) && C.cpl == 3, "AMD: it faults later");
    long_machine(3);
    f.amd = false;
    C.feat = &f;
    C.s.sysenter_cs = CS0;
    C.s.sysenter_esp = 0xffff800000001000ull;
    C.s.sysenter_eip = 0xffffffff81a00000ull;
    C.s.rflags = 2 | FL_IF;
    ok(!cpu_sysenter(&C) && C.cpl == 0 && C.s.rip == C.s.sysenter_eip && C.s.gpr[R_RSP] == C.s.sysenter_esp &&
           !(C.s.rflags & FL_IF) && cpu_in_64(&C),
       "Intel: SYSENTER");
    C.s.gpr[R_RDX] = 0x4000, C.s.gpr[R_RCX] = 0x5000;
    ok(!cpu_sysexit(&C, 8) && C.cpl == 3 && C.s.rip == 0x4000 && C.s.gpr[R_RSP] == 0x5000 &&
           C.s.seg[S_CS].sel == (CS0 + 32) + 3 && cpu_in_64(&C),
       "SYSEXITQ");
    cpu_sysenter(&C);
    ok(!cpu_sysexit(&C, 4) && C.s.seg[S_CS].sel == CS0 + 16 + 3 && C.s.seg[S_SS].sel == CS0 + 24 + 3 && !cpu_in_64(&C),
       "SYSEXIT to compatibility mode");
    f.amd = true;
    faults(cpu_sysenter(&C), X_UD, -1, "AMD: no SYSENTER in long mode");
    prot_machine(3);
    C.s.sysenter_cs = 3;
    faults(cpu_sysenter(&C), X_GP, 0, "SYSENTER with a null CS");
    C.s.sysenter_cs = CS0;
    faults(cpu_sysexit(&C, 4), X_GP, 0, "SYSEXIT at CPL 3");
    base_machine();
    faults(cpu_sysenter(&C), X_GP, 0, "SYSENTER in real mode");
    long_machine(0);
    C.s.kernel_gs_base = 1, C.s.seg[S_GS].base = 2;
    ok(!cpu_swapgs(&C) && C.s.kernel_gs_base == 2 && C.s.seg[S_GS].base == 1, "SWAPGS");
    C.cpl = 3;
    faults(cpu_swapgs(&C), X_GP, 0, "SWAPGS at CPL 3");
    faults(cpu_wrfsgsbase(&C, S_FS, 0), X_UD, -1, "WRFSBASE without CR4.FSGSBASE");
    C.s.cr4 |= CR4_FSGSBASE;
    faults(cpu_wrfsgsbase(&C, S_FS, 0x900000000000ull), X_GP, 0, "WRFSBASE of a non-canonical value");
    prot_machine(0);
    faults(cpu_swapgs(&C), X_UD, -1, "SWAPGS outside of 64-bit mode");
}

int main(void)
{
    loads();
    checks();
    jumps();
    inspection();
    tasks();
    syscalls();
    return TAP_DONE();
}
