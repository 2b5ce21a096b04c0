/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address spaces by PCID on the binary translator (SDM vol. 3, 4.10.4): 64-bit code switches between two of them, for data, for code, with global
 * pages and all kinds of invalidation, and writes down what it sees. Only what the manual requires is expected.
 */
#include "tests/cpu/btlong.h"

/* The shared table of global pages is at 30000h. V = 40000000h (A: P1, B: P2), W = 40001000h (A and B: P1), G = 40200000h (global, P4),
 * L = 40400000h (2 MiB). */
#define PTE_G 0x30000u

__asm__(".text\n"
        ".macro SEE a\n mov \\a, %eax\n mov %eax, (%r15)\n add $4, %r15\n .endm\n"
        ".macro RUNAT a\n mov $\\a, %rax\n call *%rax\n mov %eax, (%r15)\n add $4, %r15\n .endm\n"
        ".macro TO cr3, keep\n mov $\\cr3, %rax\n .if \\keep\n bts $63, %rax\n .endif\n mov %rax, %cr3\n .endm\n"
        ".macro INV type, pcid, at\n movq $\\pcid, 0x3f00\n movq $\\at, 0x3f08\n mov $\\type, %eax\n invpcid 0x3f00, %rax\n .endm\n"
        ".macro PTE at, val\n movq $\\val, \\at\n .endm\n"
        "p_begin:\n"
        /* each its own page, again and again */
        "q_data: SEE 0x40000000\n TO 0x20002 1\n SEE 0x40000000\n TO 0x10001 1\n SEE 0x40000000\n TO 0x20002 1\n SEE 0x40000000\n"
        " movl $0x77, 0x40000004\n TO 0x10001 1\n SEE 0x40000004\n TO 0x20002 1\n SEE 0x40000004\n TO 0x10001 1\n jmp q_end\n"
        /* a changed entry is seen after a CR3 write without bit 63, and after each kind of INVPCID that names it */
        "q_inv: SEE 0x40000000\n TO 0x20002 1\n PTE 0x13000 0x202067\n TO 0x10001 0\n SEE 0x40000000\n"
        " TO 0x20002 1\n PTE 0x13000 0x200067\n INV 1 1 0\n TO 0x10001 1\n SEE 0x40000000\n"
        " TO 0x20002 1\n PTE 0x13000 0x202067\n INV 0 1 0x40000000\n TO 0x10001 1\n SEE 0x40000000\n"
        " TO 0x20002 1\n PTE 0x13000 0x200067\n INV 2 0 0\n TO 0x10001 1\n SEE 0x40000000\n"
        " TO 0x20002 1\n PTE 0x13000 0x202067\n INV 3 0 0\n TO 0x10001 1\n SEE 0x40000000\n"
        " PTE 0x13000 0x200067\n invlpg 0x40000000\n SEE 0x40000000\n jmp q_end\n"
        /* global pages: INVLPG drops them for every PCID */
        "q_glob: SEE 0x40200000\n TO 0x20002 1\n SEE 0x40200000\n PTE 0x30000 0x202167\n invlpg 0x40200000\n SEE 0x40200000\n"
        " TO 0x10001 1\n SEE 0x40200000\n PTE 0x30000 0x203167\n INV 2 0 0\n SEE 0x40200000\n TO 0x20002 1\n SEE 0x40200000\n TO 0x10001 1\n jmp q_end\n"
        /* code at one address, another in each */
        "q_code: mov $3, %ebx\n"
        "1: RUNAT 0x40000100\n TO 0x20002 1\n RUNAT 0x40000100\n TO 0x10001 1\n dec %ebx\n jnz 1b\n"
        " TO 0x20002 1\n PTE 0x13000 0x202067\n TO 0x10001 0\n RUNAT 0x40000100\n TO 0x20002 1\n RUNAT 0x40000100\n"
        " PTE 0x13000 0x200067\n INV 1 1 0\n TO 0x10001 1\n RUNAT 0x40000100\n jmp q_end\n"
        /* a page that A may write becomes code in B: A's right, put back, must not hide the next write */
        "q_smc: movl $0x11, 0x40000101\n TO 0x20002 1\n RUNAT 0x40001100\n TO 0x10001 1\n movl $0x22, 0x40000101\n TO 0x20002 1\n"
        " RUNAT 0x40001100\n TO 0x10001 1\n movl $0x33, 0x40000101\n RUNAT 0x40001100\n TO 0x20002 1\n RUNAT 0x40001100\n TO 0x10001 1\n jmp q_end\n"
        /* a large page, of which INVLPG names another address than those that were used */
        "q_large: SEE 0x40402000\n RUNAT 0x40402100\n PTE 0x14010 0xe7\n invlpg 0x40405000\n SEE 0x40402000\n RUNAT 0x40402100\n jmp q_end\n"
        /* more address spaces than there are places */
        "q_many: mov $2, %r14d\n"
        "2: mov $1, %ebx\n"
        "3: mov %rbx, %rax\n or $0x10000, %rax\n test $1, %ebx\n jnz 4f\n xor $0x30000, %rax\n 4: bts $63, %rax\n mov %rax, %cr3\n"
        " SEE 0x40000000\n inc %ebx\n cmp $20, %ebx\n jbe 3b\n dec %r14d\n jnz 2b\n TO 0x10001 1\n"
        "q_end: out %al, $0xf4\n 5: hlt\n jmp 5b\n"
        "p_end:\n");
#define LABEL(x) extern const char x[]
LABEL(p_begin); LABEL(p_end); LABEL(q_data); LABEL(q_inv); LABEL(q_glob); LABEL(q_code); LABEL(q_smc); LABEL(q_many); LABEL(q_large);

static void tables(void)
{
    long_tables();
    for (unsigned i = 0; i < 2; i++) {
        uint32_t b = SPACE(i);
        put64(b + 0x4008, PTE_G | 7); /* G */
        put64(b + 0x4010, 0x2000e7);  /* L: a large page, P1 to P4 and beyond */
        put64(b + 0x3000, P(i + 1) | 0x67);
        put64(b + 0x3008, P(1) | 0x67);
    }
    memset(box.ram + PTE_G, 0, 0x1000);
    memcpy(box.ram + 0x2000, "\x11\0\0", 4); /* what L shows when it is mapped to 0 */
    memcpy(box.ram + 0x2100, "\xb8\x12\0\0\0\xc3", 6); /* mov $12h, %eax; ret */
    put64(PTE_G, P(4) | 0x167);
    for (unsigned n = 1; n <= 4; n++) {
        uint8_t *p = box.ram + P(n);
        memset(p, 0, 4096);
        p[0] = (uint8_t)n;
        p[0x100] = 0xb8; /* mov $n, %eax; ret */
        p[0x101] = (uint8_t)n;
        p[0x105] = 0xc3;
    }
}

static void run(const char *mode, const char *name, const char *start, const uint32_t *want, unsigned n)
{
    tables();
    long_run((const char *const[]){name, mode, ""}, (uint64_t)(start - p_begin), want, n);
}

static void all(const char *mode, uint32_t stress)
{
    box_make(stress);
    memcpy(box.ram + CODE, p_begin, (size_t)(p_end - p_begin));
    SEES("data of two address spaces", q_data, 1, 2, 1, 2, 0, 0x77);
    SEES("changed entries after CR3 and INVPCID", q_inv, 1, 3, 1, 3, 1, 3, 1);
    SEES("global pages", q_glob, 4, 4, 3, 3, 4, 4);
    SEES("code of two address spaces", q_code, 1, 2, 1, 2, 1, 2, 3, 2, 1);
    SEES("a page written in one is code in the other", q_smc, 0x11, 0x22, 0x33, 0x33);
    SEES("a large page and INVLPG", q_large, 3, 3, 0x11, 0x12);
    SEES("twenty address spaces", q_many, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2,
        1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2);
    box_free();
}

int main(void)
{
    uint32_t bits, seed;
    struct err e;
    ok(!bt_stress_parse("tlb, KICK 42", &bits, &seed, &e) && bits == (BT_STRESS_TLB | BT_STRESS_KICK) && seed == 42, "words and a seed");
    ok(!bt_stress_parse("", &bits, &seed, &e) && bits == 0, "nothing");
    ok(bt_stress_parse("tlb bogus", &bits, &seed, &e) && strstr(e.msg, "bogus"), "a word that is none");
    ok(bt_stress_parse("12x", &bits, &seed, &e), "a number that is none");
    if (!__builtin_cpu_supports("bmi2")) {
        printf("1..%d\n", tap_n);
        return tap_failed != 0;
    }
    long_modes(all);
    return TAP_DONE();
}
