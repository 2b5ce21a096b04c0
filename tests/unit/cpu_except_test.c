/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt delivery and IRET in all modes; the double-fault table. Expected values: SDM vol. 3 chapter 6, vol. 2 INT
 * and IRET. */
#include "tests/unit/cpu_fake.h"

static void long_mode(void)
{
    long_machine(3);
    C.s.rflags = 2 | FL_IF | FL_TF | FL_ZF | FL_AC;
    long_gate(0x80, CS0, 0xffffffff81000010ull, 0xee, 0);
    ok(cpu_interrupt(&C, 0x80, INT_SOFT, false, 0) == 0, "long: INT 80h from CPL 3");
    is_u64(C.s.rip, 0xffffffff81000010ull, "rip");
    is_u64(C.s.gpr[R_RSP], STK0 - 40, "new stack of the TSS");
    is_u64(get64(STK0 - 8), DS3, "pushed SS");
    is_u64(get64(STK0 - 16), STK3, "pushed RSP");
    is_u64(get64(STK0 - 24), 2 | FL_IF | FL_TF | FL_ZF | FL_AC, "pushed RFLAGS");
    is_u64(get64(STK0 - 32), CS3, "pushed CS");
    is_u64(get64(STK0 - 40), 0x12345, "pushed RIP");
    is_u64(C.s.rflags, 2 | FL_ZF | FL_AC, "an interrupt gate clears IF and TF, not AC");
    ok(C.cpl == 0 && C.s.seg[S_CS].sel == CS0 && C.s.seg[S_SS].sel == 0 && !(C.s.seg[S_SS].attr & SEG_P),
       "CPL 0, null SS");
    ok(cpu_iret(&C, 8) == 0, "IRETQ back");
    ok(C.cpl == 3 && C.s.rip == 0x12345 && C.s.gpr[R_RSP] == STK3 && C.s.seg[S_SS].sel == DS3 &&
           C.s.seg[S_CS].sel == CS3,
       "state is back");
    is_u64(C.s.rflags, 2 | FL_IF | FL_TF | FL_ZF | FL_AC, "flags are back");

    long_gate(0x81, CS0, 0x5000, 0x8f, 0);
    faults(cpu_interrupt(&C, 0x81, INT_SOFT, false, 0), X_GP, 0x81 * 8 + 2, "INT n with gate DPL 0 from CPL 3");
    ok(cpu_interrupt(&C, 0x81, INT_EXTERNAL, false, 0) == 0 && (C.s.rflags & FL_IF),
       "external: gate DPL is not checked; a trap gate leaves IF");

    long_machine(0);
    long_gate(14, CS0, 0x6000, 0x8e, 0);
    C.s.gpr[R_RSP] = STK0 - 3;
    ok(cpu_interrupt(&C, 14, INT_EXCEPTION, true, 5) == 0, "same level with error code");
    is_u64(C.s.gpr[R_RSP], ((STK0 - 3) & ~15u) - 48, "stack is aligned to 16");
    is_u64(get64(C.s.gpr[R_RSP]), 5, "error code");
    is_u64(get64(C.s.gpr[R_RSP] + 32), STK0 - 3, "old RSP");
    ok(C.s.seg[S_SS].sel == DS0, "same level: SS stays");

    long_machine(0);
    long_gate(2, CS0, 0x6000, 0x8e, 1);
    ok(cpu_deliver_external(&C, 2, true) == 0 && C.s.gpr[R_RSP] == 0xb000 - 40 && C.s.nmi_blocked, "NMI on IST1");
    ok(cpu_iret(&C, 8) == 0 && !C.s.nmi_blocked && C.s.gpr[R_RSP] == STK0, "IRET unblocks NMIs");

    static const struct {
        unsigned sel, access;
        uint64_t off;
        unsigned vec;
        int code;
        const char *name;
    } bad[] = {
        {CS0, 0x0e, 0x1000, X_NP, 0x30 * 8 + 3, "gate not present"},
        {CS0, 0x86, 0x1000, X_GP, 0x30 * 8 + 3, "16-bit gate in long mode"},
        {CS0, 0x85, 0x1000, X_GP, 0x30 * 8 + 3, "task gate in long mode"},
        {CS0, 0x8c, 0x1000, X_GP, 0x30 * 8 + 3, "call gate in the IDT"},
        {0, 0x8e, 0x1000, X_GP, 1, "null selector in the gate"},
        {0x100, 0x8e, 0x1000, X_GP, 0x101, "selector outside of the GDT"},
        {0x104, 0x8e, 0x1000, X_GP, 0x105, "selector in an absent LDT"},
        {DS0, 0x8e, 0x1000, X_GP, DS0 + 1, "data segment"},
        {CS32_3, 0x8e, 0x1000, X_GP, (CS32_3 & ~3) + 1, "32-bit code segment"},
        {CS0, 0x8e, 0x800000000000ull, X_GP, 1, "non-canonical target"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        long_machine(0);
        long_gate(0x30, bad[i].sel, bad[i].off, bad[i].access, 0);
        struct cpu_state before = C.s;
        faults(cpu_interrupt(&C, 0x30, INT_EXTERNAL, false, 0), bad[i].vec, bad[i].code, bad[i].name);
        ok(!memcmp(&before, &C.s, sizeof before), "%s: no state changed", bad[i].name);
    }
    long_machine(0);
    C.s.idtr.limit = 0x30 * 16 + 14;
    faults(cpu_interrupt(&C, 0x30, INT_SOFT, false, 0), X_GP, 0x30 * 8 + 2,
           "gate outside of the IDT, software: EXT clear");
    faults(cpu_interrupt(&C, 0x30, INT_ICEBP, false, 0), X_GP, 0x30 * 8 + 3, "the same for INT1: EXT set");
    long_machine(3);
    long_gate(0x30, CS0, 0x1000, 0xee, 0);
    C.s.tr.limit = 10;
    faults(cpu_interrupt(&C, 0x30, INT_SOFT, false, 0), X_TS, TR0, "RSP0 outside of the TSS");
    C.s.tr.limit = 0x67;
    put64(TSS + 4, 0x800000000010ull);
    faults(cpu_interrupt(&C, 0x30, INT_EXTERNAL, false, 0), X_SS, 1, "non-canonical RSP0");
    put64(TSS + 4, 0x4000000);
    faults(cpu_interrupt(&C, 0x30, INT_SOFT, false, 0), X_PF, PF_W, "stack page missing: a supervisor write");
    /* conforming handler runs at CPL 3 */
    long_machine(3);
    long_gate(0x30, CONF0, 0x1000, 0xee, 0);
    ok(cpu_interrupt(&C, 0x30, INT_SOFT, false, 0) == 0 && C.cpl == 3 && C.s.seg[S_CS].sel == (CONF0 | 3) &&
           C.s.gpr[R_RSP] == STK3 - 40,
       "conforming handler");

    /* IRET */
    long_machine(0);
    uint64_t sp = STK0 - 40;
    C.s.gpr[R_RSP] = sp;
    C.s.rflags = 2 | FL_NT;
    faults(cpu_iret(&C, 8), X_GP, 0, "IRET with NT in long mode");
    C.s.rflags = 2;
    put64(sp, 0x1000), put64(sp + 8, CS32_3), put64(sp + 16, 0x3f7fd7 & ~FL_NT), put64(sp + 24, 0xdeadbeef12345678ull),
        put64(sp + 32, DS3);
    set_seg(&C, S_FS, DS0, 0xc093, 0x1234, 0xffffffff);
    set_seg(&C, S_GS, 0, 0, 0xffff888000000000ull, 0);
    ok(cpu_iret(&C, 8) == 0 && C.cpl == 3 && !cpu_in_64(&C), "IRETQ to compatibility mode");
    is_u64(C.s.gpr[R_RSP], 0x12345678, "ESP is 32 bits");
    ok(C.s.seg[S_FS].sel == 0 && !(C.s.seg[S_FS].attr & SEG_P), "FS with DPL 0 is dropped");
    is_u64(C.s.seg[S_FS].base, 0x1234, "but its base stays, as on processors of both vendors");
    is_u64(C.s.seg[S_GS].base, 0xffff888000000000ull, "an already null GS keeps its base");
    ok(!(C.s.rflags & FL_VM), "VM cannot be set in long mode");
    static const struct {
        uint64_t rip, cs, ss;
        unsigned vec;
        int code;
        const char *name;
    } ir[] = {
        {0x1000, 0, DS3, X_GP, 0, "null CS"},
        {0x1000, 0x103, DS3, X_GP, 0x100, "CS outside"},
        {0x1000, DS0, DS3, X_GP, DS0, "CS is data"},
        {0x1000, CS0 | 3, DS3, X_GP, CS0, "RPL 3, DPL 0"},
        {0x1000, NP_CODE, DS0, X_NP, NP_CODE, "CS not present"},
        {0x800000000000ull, CS3, DS3, X_GP, 0, "non-canonical RIP"},
        {0x100000000ull, CS32_3, DS3, X_GP, 0, "EIP beyond the limit"},
        {0x1000, CS3, 3, X_GP, 0, "null SS for CPL 3"},
        {0x1000, CS3, DS0, X_GP, DS0, "SS with RPL 0 for CPL 3"},
        {0x1000, CS3, RO_DATA | 3, X_GP, RO_DATA, "SS not writable"},
        {0x1000, CS3, NP_DATA | 3, X_SS, NP_DATA, "SS not present"},
    };
    for (unsigned i = 0; i < sizeof ir / sizeof ir[0]; i++) {
        long_machine(0);
        C.s.gpr[R_RSP] = sp;
        C.s.nmi_blocked = 1;
        put64(sp, ir[i].rip), put64(sp + 8, ir[i].cs), put64(sp + 16, 2), put64(sp + 24, STK3),
            put64(sp + 32, ir[i].ss);
        struct cpu_state before = C.s;
        faults(cpu_iret(&C, 8), ir[i].vec, ir[i].code, ir[i].name);
        ok(!memcmp(&before, &C.s, sizeof before), "IRET, %s: no state changed", ir[i].name);
    }
    long_machine(0);
    C.s.gpr[R_RSP] = sp;
    put64(sp, 0x1000), put64(sp + 8, CS0), put64(sp + 16, 2), put64(sp + 24, 0x7008), put64(sp + 32, 0);
    ok(cpu_iret(&C, 8) == 0 && C.s.gpr[R_RSP] == 0x7008 && C.s.seg[S_SS].sel == 0 && C.cpl == 0,
       "IRETQ to CPL 0 with a null SS");
    long_machine(3);
    C.s.gpr[R_RSP] = STK3 - 40;
    C.s.rflags = 2;
    put64(STK3 - 40, 0x1000), put64(STK3 - 32, CS3), put64(STK3 - 24, 0x3f7fd5 & ~FL_NT), put64(STK3 - 16, STK3),
        put64(STK3 - 8, DS3);
    ok(cpu_iret(&C, 8) == 0 && C.cpl == 3, "IRETQ at CPL 3");
    is_u64(C.s.rflags, 2 | FL_ARITH | FL_TF | FL_DF | FL_RF | FL_AC | FL_ID,
           "neither IF nor IOPL, VIF, VIP change at CPL 3 with IOPL 0");
    C.s.rflags = 2;
    C.s.gpr[R_RSP] = 0x7fffffffffe8ull;
    faults(cpu_iret(&C, 8), X_SS, 0, "frame reaches into non-canonical addresses");
}

static void prot_mode(void)
{
    prot_machine(3);
    C.s.rflags = 2 | FL_IF | FL_CF;
    put64(IDT + 0x80 * 8, gate(CS0, 0x456789, 0xee, 0));
    ok(cpu_interrupt(&C, 0x80, INT_SOFT, false, 0) == 0, "protected: INT 80h from CPL 3");
    ok(C.cpl == 0 && C.s.rip == 0x456789 && C.s.gpr[R_RSP] == STK0 - 20 && C.s.seg[S_SS].sel == DS0,
       "CPL 0 on the TSS's stack");
    ok(get32(STK0 - 4) == DS3 && get32(STK0 - 8) == STK3 && get32(STK0 - 12) == (2 | FL_IF | FL_CF) &&
           get32(STK0 - 16) == CS3 && get32(STK0 - 20) == 0x12345,
       "frame");
    ok(!(C.s.rflags & FL_IF), "IF");
    ok(C.s.seg[S_DS].sel == DS3, "data segments stay");
    ok(cpu_iret(&C, 4) == 0 && C.cpl == 3 && C.s.gpr[R_RSP] == STK3 && C.s.rip == 0x12345 && (C.s.rflags & FL_IF),
       "IRETD");

    prot_machine(3);
    put64(IDT + 0x81 * 8, gate(CS0, 0x9abc1234, 0xe6, 0));
    ok(cpu_interrupt(&C, 0x81, INT_SOFT, false, 0) == 0 && C.s.rip == 0x1234 && C.s.gpr[R_RSP] == STK0 - 10 &&
           get16(STK0 - 2) == DS3 && get16(STK0 - 4) == STK3,
       "16-bit interrupt gate");
    prot_machine(1);
    put64(IDT + 13 * 8, gate(CS1 & ~3, 0x5000, 0x8f, 0));
    ok(cpu_interrupt(&C, 13, INT_EXCEPTION, true, 0x18) == 0 && C.cpl == 1 && C.s.gpr[R_RSP] == STK1 - 16 &&
           get32(STK1 - 16) == 0x18,
       "same level, error code");

    /* inner stack problems: #TS, #SS with EXT */
    static const struct {
        uint16_t ss;
        unsigned vec;
        int code;
        const char *name;
    } st[] = {
        {0, X_TS, 1, "null SS0"},
        {0x200, X_TS, 0x201, "SS0 outside"},
        {DS1, X_TS, (DS1 & ~3) | 1, "SS0 with another DPL"},
        {CS0, X_TS, CS0 | 1, "SS0 is code"},
        {NP_SS0, X_SS, NP_SS0 | 1, "SS0 not present"},
    };
    for (unsigned i = 0; i < sizeof st / sizeof st[0]; i++) {
        prot_machine(3);
        put64(IDT + 0x20 * 8, gate(CS0, 0x1000, 0x8e, 0));
        put16(TSS + 8, st[i].ss);
        faults(cpu_interrupt(&C, 0x20, INT_EXTERNAL, false, 0), st[i].vec, st[i].code, st[i].name);
    }
    prot_machine(3);
    put64(IDT + 0x20 * 8, gate(CS0, 0x1000, 0x8e, 0));
    put64(GDT + DS0, desc(0, 0x7ffe, 0x93, 4)); /* limit below the stack */
    faults(cpu_interrupt(&C, 0x20, INT_EXTERNAL, false, 0), X_SS, DS0 | 1, "no room on the inner stack");
    prot_machine(3);
    put64(IDT + 0x20 * 8, gate(CS0, 0x10001000, 0x8e, 0));
    put64(GDT + CS0, desc(0, 0xffff, 0x9b, 4));
    faults(cpu_interrupt(&C, 0x20, INT_EXTERNAL, false, 0), X_GP, 1, "handler beyond the CS limit");

    /* virtual-8086 mode: nine doublewords, null data segments, and back */
    prot_machine(3);
    C.s.rflags = 2 | FL_VM | FL_IF | 3 << 12;
    for (unsigned i = 0; i < 6; i++)
        set_seg(&C, i, 0x1000 + i, 0xf3, (0x1000 + i) << 4, 0xffff);
    C.s.gpr[R_RSP] = 0xfff0;
    C.s.rip = 0x77;
    put64(IDT + 0x21 * 8, gate(CS0, 0x1000, 0xee, 0));
    ok(cpu_interrupt(&C, 0x21, INT_SOFT, false, 0) == 0 && C.cpl == 0 && !cpu_in_vm86(&C),
       "INT from virtual-8086 mode, IOPL 3");
    is_u64(C.s.gpr[R_RSP], STK0 - 36, "36 bytes");
    ok(get32(STK0 - 4) == 0x1005 && get32(STK0 - 8) == 0x1004 && get32(STK0 - 12) == 0x1003 &&
           get32(STK0 - 16) == 0x1000 && get32(STK0 - 20) == 0x1002 && get32(STK0 - 24) == 0xfff0 &&
           get32(STK0 - 28) == (2 | FL_VM | FL_IF | 3 << 12) && get32(STK0 - 32) == 0x1001 && get32(STK0 - 36) == 0x77,
       "GS FS DS ES SS ESP EFLAGS CS EIP");
    ok(C.s.seg[S_DS].sel == 0 && C.s.seg[S_GS].sel == 0 && !(C.s.seg[S_ES].attr & SEG_P), "data segments are null");
    ok(cpu_iret(&C, 4) == 0 && cpu_in_vm86(&C) && C.cpl == 3 && C.s.seg[S_GS].base == 0x10050 &&
           C.s.gpr[R_RSP] == 0xfff0 && C.s.rip == 0x77,
       "IRETD to virtual-8086 mode");
    C.s.rflags &= ~(uint64_t)FL_IOPL;
    faults(cpu_interrupt(&C, 0x21, INT_SOFT, false, 0), X_GP, 0, "INT n in virtual-8086 mode with IOPL < 3");
    ok(cpu_interrupt(&C, 0x21, INT_SOFT_BP, false, 0) == 0, "INT3 is not sensitive to IOPL");
    prot_machine(3);
    C.s.rflags = 2 | FL_VM;
    put64(IDT + 0x21 * 8, gate(CS1 & ~3, 0x1000, 0xee, 0));
    faults(cpu_interrupt(&C, 0x21, INT_EXTERNAL, false, 0), X_GP, (CS1 & ~3) | 1,
           "virtual-8086 mode to a handler with DPL 1");
    put64(IDT + 0x21 * 8, gate(CONF0, 0x1000, 0xee, 0));
    faults(cpu_interrupt(&C, 0x21, INT_EXTERNAL, false, 0), X_GP, CONF0 | 1,
           "virtual-8086 mode to a conforming handler");

    /* VME redirection */
    prot_machine(3);
    C.s.cr4 = CR4_VME;
    C.s.rflags = 2 | FL_VM | FL_IF | FL_VIF | FL_TF;
    for (unsigned i = 0; i < 6; i++)
        set_seg(&C, i, 0x2000, 0xf3, 0x20000, 0xffff);
    C.s.gpr[R_RSP] = 0x100;
    C.s.rip = 0x55;
    put16(TSS + 0x66, 0x88); /* the redirection map is at 68h */
    put32(0x21 * 4, 0x30001234);
    ok(cpu_interrupt(&C, 0x21, INT_SOFT, false, 0) == 0 && cpu_in_vm86(&C) && C.s.rip == 0x1234 &&
           C.s.seg[S_CS].base == 0x30000,
       "VME: redirected INT n");
    ok(get16(0x200fe) == ((2 | FL_IF | FL_TF | 3 << 12) & 0xffff) && get16(0x200fc) == 0x2000 && get16(0x200fa) == 0x55,
       "VIF is pushed as IF, IOPL as 3");
    ok(!(C.s.rflags & FL_VIF) && (C.s.rflags & FL_IF) && !(C.s.rflags & FL_TF), "VIF and TF are cleared, IF is not");
    ok(cpu_iret(&C, 2) == -1 && C.fault.vector == X_GP, "VME: IRET with TF in the image");
    put16(0x200fe, 2 | FL_IF);
    ok(cpu_iret(&C, 2) == 0 && (C.s.rflags & FL_VIF) && C.s.rip == 0x55, "VME: IRET sets VIF");
    C.s.rflags |= FL_VIP;
    C.s.gpr[R_RSP] = 0xfa;
    faults(cpu_iret(&C, 2), X_GP, 0, "VME: IRET that would set VIF with VIP set");
    /* IRETD of the monitor with VIF and VIP set: #GP before the task's next instruction */
    struct cpu save = C;
    C.s.rflags = 2;
    C.cpl = 0;
    set_seg(&C, S_CS, CS0, 0xc09b, 0, 0xffffffff);
    set_seg(&C, S_SS, DS0, 0xc093, 0, 0xffffffff);
    C.s.gpr[R_RSP] = STK0 - 36;
    put32(STK0 - 36, 0x99), put32(STK0 - 32, 0x2000), put32(STK0 - 28, 2 | FL_VM | FL_VIF | FL_VIP),
        put32(STK0 - 24, 0x100), put32(STK0 - 20, 0x2000);
    ok(cpu_iret(&C, 4) == -1 && C.fault.vector == X_GP && C.s.rip == 0x99 && cpu_in_vm86(&C),
       "VME: VIF and VIP both set by IRETD");
    C = save;
    ram[TSS + 0x68 + 0x21 / 8] = 1 << (0x21 & 7);
    faults(cpu_interrupt(&C, 0x21, INT_SOFT, false, 0), X_GP, 0, "VME: bit set, IOPL 0");

    /* IRET checks in 32-bit code */
    prot_machine(0);
    C.s.gpr[R_RSP] = STK0 - 20;
    put32(STK0 - 20, 0x1000), put32(STK0 - 16, CS3), put32(STK0 - 12, 2), put32(STK0 - 8, STK3), put32(STK0 - 4, DS0);
    faults(cpu_iret(&C, 4), X_GP, DS0, "IRETD outer: SS with the wrong RPL");
    put32(STK0 - 4, DS3);
    set_seg(&C, S_ES, CONF0, 0xc09f, 0, 0xffffffff);
    set_seg(&C, S_DS, DS0, 0xc093, 0, 0xffffffff);
    ok(cpu_iret(&C, 4) == 0 && C.s.seg[S_ES].sel == CONF0 && C.s.seg[S_DS].sel == 0 && C.s.seg[S_FS].sel == DS3,
       "outer return drops DPL 0 data, keeps conforming code");
    prot_machine(0);
    C.s.gpr[R_RSP] = 0xabcd8000 - 20;
    set_seg(&C, S_SS, DS16, 0x93, 0, 0xffff);
    C.s.gpr[R_RSP] = 0x12340000 + STK0 - 12;
    put32(STK0 - 12, 0x1000), put32(STK0 - 8, CS0), put32(STK0 - 4, 2);
    ok(cpu_iret(&C, 4) == 0 && C.s.gpr[R_RSP] == 0x12340000 + STK0, "16-bit stack: the upper half of ESP stays");
}

static void real_mode(void)
{
    base_machine();
    set_seg(&C, S_CS, 0x1000, 0x9b, 0x10000, 0xffff);
    set_seg(&C, S_SS, 0x2000, 0x93, 0x20000, 0xffff);
    C.s.gpr[R_RSP] = 0x100;
    C.s.rip = 0x1234;
    C.s.rflags = 2 | FL_IF | FL_TF | FL_CF;
    C.s.idtr.limit = 0x3ff;
    put32(0x10 * 4, 0xf0005678);
    ok(cpu_interrupt(&C, 0x10, INT_SOFT, false, 0) == 0 && C.s.rip == 0x5678 && C.s.seg[S_CS].base == 0xf0000 &&
           C.s.gpr[R_RSP] == 0xfa,
       "real mode INT 10h");
    ok(get16(0x200fe) == (2 | FL_IF | FL_TF | FL_CF) && get16(0x200fc) == 0x1000 && get16(0x200fa) == 0x1234, "frame");
    is_u64(C.s.rflags, 2 | FL_CF, "IF and TF cleared");
    ok(cpu_iret(&C, 2) == 0 && C.s.rip == 0x1234 && C.s.seg[S_CS].base == 0x10000 &&
           C.s.rflags == (2 | FL_IF | FL_TF | FL_CF) && C.s.gpr[R_RSP] == 0x100,
       "IRET");
    C.s.idtr.limit = 0x42;
    ok(cpu_interrupt(&C, 0x10, INT_SOFT, false, 0) == -1 && C.fault.vector == X_GP, "vector outside of the IVT");
    C.s.gpr[R_RSP] = 2;
    C.s.idtr.limit = 0x3ff;
    ok(cpu_interrupt(&C, 0x10, INT_SOFT, false, 0) == 0 && C.s.gpr[R_RSP] == 0xfffc &&
           get16(0x20000) == ((2 | FL_IF | FL_TF | FL_CF)) && get16(0x2fffc) == 0x1234,
       "the frame wraps in the segment");
    C.s.gpr[R_RSP] = 1;
    ok(cpu_interrupt(&C, 0x10, INT_SOFT, false, 0) == -1 && C.fault.vector == X_SS,
       "a push across the segment's end is #SS");
    C.s.gpr[R_RSP] = 0x100;
    C.fault = (struct cpu_fault){.vector = X_GP, .has_code = true, .code = 0};
    put32(13 * 4, 0x80001111);
    ok(cpu_deliver_fault(&C) == 0 && C.s.gpr[R_RSP] == 0xfa && C.s.rip == 0x1111, "real mode pushes no error code");
    C.s.idtr.limit = 0;
    C.fault = (struct cpu_fault){.vector = X_UD};
    ok(cpu_deliver_fault(&C) == -1, "no IVT at all: shutdown");
    /* 32-bit IRET */
    C.s.gpr[R_RSP] = 0x100;
    put32(0x20100, 0x4321), put32(0x20104, 0x1000), put32(0x20108, 0xffffffff);
    C.s.rflags = 2;
    ok(cpu_iret(&C, 4) == 0 && C.s.rip == 0x4321, "IRETD in real mode");
    is_u64(C.s.rflags, 0x257fd7, "flags of IRETD in real mode");
    put32(0x2010c, 0x14321), put32(0x20110, 0x1000), put32(0x20114, 2);
    faults(cpu_iret(&C, 4), X_GP, 0, "EIP beyond the limit");
}

/* SDM table 6-5. first is delivered; its gate is broken so that second happens. */
static void double_faults(void)
{
    enum { B, K, P };
    static const struct {
        uint8_t vec;
        int cls;
    } first[] = {{X_DE, K}, {X_DB, B}, {X_NMI, B}, {X_BP, B}, {X_OF, B}, {X_BR, B}, {X_UD, B}, {X_NM, B}, {X_TS, K},
                 {X_NP, K}, {X_SS, K}, {X_GP, K},  {X_PF, P}, {X_MF, B}, {X_AC, B}, {X_MC, B}, {X_XM, B}};
    for (unsigned i = 0; i < sizeof first / sizeof first[0]; i++) {
        for (unsigned second = 0; second < 3; second++) { /* #NP, #GP, #PF while delivering */
            long_machine(3);
            unsigned v2 = second == 0 ? X_NP : second == 1 ? X_GP : X_PF, v = first[i].vec;
            for (unsigned k = 0; k < 32; k++)
                long_gate(k, CS0, 0x100000 + k, 0x8e, 1);
            if (second == 0) /* not present */
                long_gate(v, CS0, 0, 0x0e, 1);
            else if (second == 1) /* not a gate */
                long_gate(v, CS0, 0, 0x80, 1);
            else { /* its stack is not mapped */
                long_gate(v, CS0, 0, 0x8e, 2);
                put64(TSS + 44, 0x40000000);
            }
            C.fault = (struct cpu_fault){.vector = v, .cr2 = 0x1234};
            bool df = (first[i].cls == K) || (first[i].cls == P);
            if (first[i].cls == K && v2 == X_PF)
                df = false;
            int r = cpu_deliver_fault(&C);
            ok(r == 0 && C.s.rip == 0x100000 + (df ? (uint64_t)X_DF : v2), "vector %u, then %u: %s", v, v2,
               df ? "#DF" : "serial");
            if (df)
                ok(get64(C.s.gpr[R_RSP]) == 0, "#DF has error code 0");
            else if (second < 2)
                ok(get64(C.s.gpr[R_RSP]) == v * 8 + 3, "error code of the second fault: IDT, EXT");
            if (v2 == X_PF)
                is_u64(C.s.cr2, 0x40000000 - 8, "CR2 is the second fault's: of what is pushed first");
        }
    }
    long_machine(3);
    long_gate(X_DF, CS0, 0, 0x0e, 0);
    C.fault = (struct cpu_fault){.vector = X_GP, .has_code = true};
    ok(cpu_deliver_fault(&C) == -1, "no gates at all: triple fault");
    long_machine(0);
    long_gate(X_GP, CS0, 0x2000, 0x8e, 0);
    ok(cpu_deliver_external(&C, 0x40, false) == 0 && C.s.rip == 0x2000 && get64(C.s.gpr[R_RSP]) == 0x40 * 8 + 3,
       "interrupt without gate: #GP with IDT and EXT");

    /* RF and DR6 */
    long_machine(0);
    long_gate(X_PF, CS0, 0x2000, 0x8e, 0);
    C.fault = (struct cpu_fault){.vector = X_PF, .has_code = true, .code = 2, .cr2 = 0x1000};
    ok(cpu_deliver_fault(&C) == 0 && (get64(C.s.gpr[R_RSP] + 24) & FL_RF) && !(C.s.rflags & FL_RF) && C.s.cr2 == 0x1000,
       "a fault pushes RF");
    long_machine(0);
    long_gate(X_DB, CS0, 0x2000, 0x8e, 0);
    C.s.dr6 = 0xffff0ff3;
    C.s.dr7 = 0x2400;
    C.fault = (struct cpu_fault){.vector = X_DB, .dr6_bits = 1 << 14 | 4};
    ok(cpu_deliver_fault(&C) == 0 && !(get64(C.s.gpr[R_RSP] + 16) & FL_RF), "#DB (trap) pushes no RF");
    is_u64(C.s.dr6, 0xffff4ff4, "DR6: B0-B3 of this event, BS");
    is_u64(C.s.dr7, 0x400, "DR7.GD is cleared");
}

int main(void)
{
    long_mode();
    prot_mode();
    real_mode();
    double_faults();
    return TAP_DONE();
}
