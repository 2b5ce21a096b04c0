/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions that the binary translator spells out (bt_system.c): POPF before and after it has become hot, MOV from control registers, CLAC,
 * VERW with and without somebody who looks at ZF. Expected: SDM vol. 2 (POPF, table for CPL 0; VERW; CLAC), vol. 3, 4.8 (accessed bits).
 */
#include "tests/cpu/btlong.h"

#define FLAG_VALUES 12
#define VALUES 0x5000u /* what is loaded, and behind it what must be seen */
/* ID, AC, NT, IOPL, OF, DF, IF, SF, ZF, AF, PF, CF can be set; VIP, VIF and RF are cleared, VM is ignored, bit 1 is one. TF is left out. */
#define POPF_SETS 0x247ed5u

__asm__(".text\n"
        ".macro SEE a\n mov \\a, %eax\n mov %eax, (%r15)\n add $4, %r15\n .endm\n"
        ".macro SEEAC\n pushfq\n pop %rax\n and $0x40000, %eax\n mov %eax, (%r15)\n add $4, %r15\n .endm\n"
        "p_begin:\n"
        /* each value 6000 times: all must be seen as they are; PUSHF, and the conditions that the host's flags decide */
        "q_popf: xor %ebx, %ebx\n mov $6000, %r14d\n"
        "1: xor %esi, %esi\n"
        "2: mov 0x5000(,%rsi,8), %rax\n push %rax\n popfq\n pushfq\n pop %rdx\n cmp 0x5100(,%rsi,8), %rdx\n je 3f\n inc %ebx\n"
        "3: push %rax\n popfq\n setc %cl\n seto %ch\n and $0x801, %eax\n movzx %cl, %edx\n movzx %ch, %ecx\n shl $11, %ecx\n or %ecx, %edx\n"
        " cmp %edx, %eax\n je 4f\n inc %ebx\n"
        "4: inc %esi\n cmp $12, %esi\n jb 2b\n dec %r14d\n jnz 1b\n push $2\n popfq\n SEE %ebx\n"
        /* DF is what a string instruction goes by */
        " mov $6000, %r14d\n"
        "5: push $0x402\n popfq\n mov $0x4010, %edi\n stosb\n push $2\n popfq\n stosb\n dec %r14d\n jnz 5b\n SEE %edi\n"
        " mov %rsp, %rax\n SEE %eax\n jmp q_end\n"
        "q_cr: mov $0x12345678, %eax\n mov %rax, %cr2\n mov %cr2, %r10\n mov %r10d, %eax\n SEE %eax\n mov %cr2, %r11\n mov %r11d, %eax\n SEE %eax\n"
        " mov %cr0, %rcx\n SEE %ecx\n mov %cr3, %rdx\n SEE %edx\n mov %cr4, %rbx\n SEE %ebx\n mov %rax, %cr2\n jmp q_end\n"
        /* AC, under CR4.SMAP and without, again and again at one place */
        "q_clac: mov $3, %r14d\n"
        "6: mov $3, %r13d\n"
        "7: clac\n SEEAC\n stac\n SEEAC\n clac\n clac\n SEEAC\n dec %r13d\n jnz 7b\n"
        " mov %cr4, %rax\n xor $0x200000, %rax\n mov %rax, %cr4\n dec %r14d\n jnz 6b\n jmp q_end\n"
        /* GDT at 0: 18h can be written, 20h is code, 28h read only */
        "q_verw: movw $0x18, 0x4000\n movw $0x20, 0x4008\n xor %ecx, %ecx\n verw 0x4000\n setz %cl\n SEE %ecx\n verw 0x4008\n setz %cl\n SEE %ecx\n"
        " mov $0x18, %eax\n verw %ax\n setz %cl\n SEE %ecx\n mov $0x28, %eax\n verw %ax\n setz %cl\n SEE %ecx\n mov $0, %eax\n verw %ax\n setz %cl\n SEE %ecx\n"
        " xor %eax, %eax\n stc\n verw 0x4000\n setc %cl\n SEE %ecx\n" /* CF stays */
        " verw 0x4008\n cmp %eax, %eax\n setz %cl\n SEE %ecx\n"       /* nobody looks */
        " verw 0x40000000\n test %eax, %eax\n mov 0x13000, %ecx\n and $0x61, %ecx\n SEE %ecx\n" /* but the operand is read: accessed, not dirty */
        " jmp q_end\n"
        /* 32-bit code that does not use GS, first with a null GS, then with that or with a flat one; and code that uses it */
        ".code32\n"
        "q_null: xor %esi, %esi\n jmp 9f\n"
        "q_flat: mov $0x18, %esi\n"
        "9: xor %eax, %eax\n xor %edx, %edx\n xor %edi, %edi\n"
        "8: mov %eax, %gs\n mov $5, %ecx\n"
        "1: test $1, %ecx\n jz 2f\n add %ecx, %edx\n jmp 3f\n 2: xor %ecx, %edx\n 3: call 4f\n dec %ecx\n jnz 1b\n"
        " mov %esi, %eax\n inc %edi\n cmp $2, %edi\n jb 8b\n jmp 5f\n"
        "4: add $2, %edx\n ret\n"
        "5: mov %edx, 0x3000\n jmp 6f\n"
        "q_use: mov $0x18, %eax\n mov %eax, %gs\n mov $0x77, %edx\n mov %edx, %gs:0x3000\n"
        "6: out %al, $0xf4\n hlt\n"
        ".code64\n"
        "q_end: out %al, $0xf4\n 8: hlt\n jmp 8b\n"
        "p_end:\n");
#define LABEL(x) extern const char x[]
LABEL(p_begin); LABEL(p_end); LABEL(q_popf); LABEL(q_cr); LABEL(q_clac); LABEL(q_verw); LABEL(q_null); LABEL(q_flat); LABEL(q_use);

static void run(const char *mode, const char *name, const char *start, const uint32_t *want, unsigned n)
{
    static const uint32_t value[FLAG_VALUES] = {0x2, 0x202, 0x246, 0xad7, 0x802, 0x1, 0x40ac6, 0x202202, 0x4093, 0x3202, 0x1b0a57, 0xed5};
    long_tables();
    put64(SPACE(0), (SPACE(0) + 0x1000) | 3); /* SMAP has nothing against supervisor pages */
    put64(0x13000, P(1) | 7);
    put64(0x18, 0x00cf92000000ffff);
    put64(0x20, 0x00af9a000000ffff);
    put64(0x28, 0x00cf90000000ffff);
    for (unsigned i = 0; i < FLAG_VALUES; i++) {
        put64(VALUES + 8 * i, value[i]);
        put64(VALUES + 0x100 + 8 * i, (value[i] & POPF_SETS) | 2);
    }
    long_run((const char *const[]){name, mode, ""}, (uint64_t)(start - p_begin), want, n);
}
#define AC 0x40000u

/* What a program has in GS is no reason to translate a kernel that does not use it once more. Returns how many blocks were translated. */
static uint64_t run32(const char *mode, const char *name, const char *start, uint32_t want)
{
    struct bt_stats before, after;
    long_tables();
    put64(0x18, 0x00cf92000000ffff);
    bt_get_stats(box.vm, &before);
    long_run_as(CODE_32, (const char *const[]){name, mode, ""}, (uint64_t)(start - p_begin), &want, 1);
    bt_get_stats(box.vm, &after);
    return after.translations - before.translations;
}

static void gs_of_others(const char *mode, bool count)
{
    uint64_t null = run32(mode, "32-bit code, GS null twice", q_null, 26), flat = run32(mode, "32-bit code, GS null and flat", q_flat, 26);
    if (count)
        ok(flat <= null + 1, "it is not translated again: %u blocks, %u", (unsigned)null, (unsigned)flat);
    run32(mode, "GS in use", q_use, 0x77);
    run32(mode, "GS null and flat, after its use", q_flat, 26);
}

static void all(const char *mode, uint32_t stress)
{
    box_make(stress);
    memcpy(box.ram + CODE, p_begin, (size_t)(p_end - p_begin));
    SEES("POPF 6000 times", q_popf, 0, 0x4010, 0x8000);
    SEES("MOV from CR0 to CR4", q_cr, 0x12345678, 0x12345678, 0x80010011, 0x10001, 0x200a0);
    SEES("CLAC and STAC", q_clac, 0, AC, 0, 0, AC, 0, 0, AC, 0, 0, AC, 0, 0, AC, 0, 0, AC, 0, 0, AC, 0, 0, AC, 0, 0, AC, 0);
    gs_of_others(mode, !stress);
    SEES("VERW", q_verw, 1, 0, 1, 0, 0, 1, 1, 0x21);
    box_free();
}

int main(void) { return long_main(all); }
