/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hot loop with an instruction that begins in one page and ends in the next: it runs at the speed of others only when the translator may jump to
 * it without asking, and yet each change of the second page - by a write, by another mapping, by another address space - must be seen at once
 * (SDM vol. 3, 8.1.3: on one processor no serializing instruction is needed).
 */
#include "tests/cpu/btlong.h"

/* V = 40000000h (A and B: P1), W = 40001000h (A: P2, B: P3). The loop lies around W. */

__asm__(".text\n"
        ".macro RUNLOOP\n mov $0x40000ff0, %eax\n call *%rax\n mov %eax, (%r15)\n add $4, %r15\n .endm\n"
        ".macro CR3 value\n mov $\\value, %rax\n bts $63, %rax\n mov %rax, %cr3\n .endm\n"
        "x_begin:\n"
        /* the loop's straddling instruction adds; a write through W, then one through the identical mapping, changes what */
        "x_write: RUNLOOP\n RUNLOOP\n movb $2, 0x40001000\n RUNLOOP\n movb $3, 0x201000\n RUNLOOP\n movb $4, 0x201001\n RUNLOOP\n jmp x_end\n"
        /* another page is mapped there, and the first again */
        "x_map: RUNLOOP\n movq $0x202067, 0x13008\n invlpg 0x40001000\n RUNLOOP\n movb $9, 0x201000\n RUNLOOP\n"
        " movq $0x201067, 0x13008\n invlpg 0x40001000\n RUNLOOP\n movq $0, 0x13008\n invlpg 0x40001000\n RUNLOOP\n jmp x_end\n"
        /* two address spaces have the first page in common, not the second */
        "x_space: mov $3, %ebx\n"
        "1: RUNLOOP\n CR3 0x20002\n RUNLOOP\n CR3 0x10001\n dec %ebx\n jnz 1b\n"
        " movb $5, 0x201000\n RUNLOOP\n movb $6, 0x202000\n CR3 0x20002\n RUNLOOP\n CR3 0x10001\n RUNLOOP\n jmp x_end\n"
        "x_end: out %al, $0xf4\n 2: hlt\n jmp 2b\n"
        "x_stop:\n"
        /* The loops, assembled for where they will lie: each begins at ff0h, and its instruction at ffdh ends at 1002h. */
        "l_plain: mov $50, %ecx\n xor %eax, %eax\n .fill 6, 1, 0x90\n .byte 0x05\n .long 0x00010000\n dec %ecx\n .byte 0x75, 0xf1\n ret\n"
        /* ... with flags that live over it: ADC after STC */
        "l_adc: mov $50, %ecx\n xor %eax, %eax\n .fill 5, 1, 0x90\n stc\n .byte 0x15\n .long 0x00010000\n dec %ecx\n .byte 0x75, 0xf1\n ret\n"
        /* ... that changes its own second page in each turn: BX goes to where its upper half is */
        "l_self: mov $50, %ecx\n xor %eax, %eax\n nop\n inc %ebx\n mov %bx, (%rdi)\n .byte 0x05\n .long 0x00010000\n dec %ecx\n .byte 0x75, 0xf1\n ret\n"
        "l_stop:\n"
        "x_self: mov $0x40001000, %edi\n xor %ebx, %ebx\n RUNLOOP\n mov $0x201000, %edi\n xor %ebx, %ebx\n RUNLOOP\n jmp x_end\n"
        "x_stop2:\n");
#define LABEL(x) extern const char x[]
LABEL(x_begin); LABEL(x_write); LABEL(x_map); LABEL(x_space); LABEL(x_self); LABEL(x_stop2);
LABEL(l_plain); LABEL(l_adc); LABEL(l_self); LABEL(l_stop);

static void tables(const char *loop, uint64_t global)
{
    long_tables();
    for (unsigned i = 0; i < 2; i++) {
        put64(SPACE(i) + 0x3000, P(1) | 0x67 | global);
        put64(SPACE(i) + 0x3008, P(2 + i) | 0x67);
    }
    memset(box.ram + P(1), 0x90, 0x4000);
    memcpy(box.ram + P(1) + 0xff0, loop, 0x20);
    for (unsigned n = 3; n <= 4; n++) {
        memcpy(box.ram + P(n), loop + 0x10, 0x10);
        box.ram[P(n)] = (uint8_t)(n + 4);
    }
}

static void run(const char *mode, const char *name, const char *loop, const char *start, uint64_t global, const uint32_t *want, unsigned n)
{
    tables(loop, global);
    long_run((const char *const[]){name, global ? ", first page global" : "", mode}, (uint64_t)(start - x_begin), want, n);
}
#define RUN(name, loop, start, ...)                                              \
    do {                                                                         \
        static const uint32_t want[] = {__VA_ARGS__};                            \
        for (uint64_t g = 0; g <= 0x100; g += 0x100)                             \
            run(mode, name, loop, start, g, want, sizeof want / sizeof want[0]); \
    } while (0)

/* fifty times: the byte at 1000h counts 10000h, the one after it 1000000h */
#define SUM(b) (50u * 0x10000u * (b))

static void all(const char *mode, uint32_t stress)
{
    box_make(stress);
    memcpy(box.ram + CODE, x_begin, (size_t)(x_stop2 - x_begin));
    RUN("a written second page", l_plain, x_write, SUM(1), SUM(1), SUM(2), SUM(3), SUM(3 + 0x400));
    RUN("a written second page, flags live", l_adc, x_write, SUM(1) + 50, SUM(1) + 50, SUM(2) + 50, SUM(3) + 50, SUM(3 + 0x400) + 50);
    RUN("the loop writes its own second page", l_self, x_self, 51 * 25 * 0x10000u, 51 * 25 * 0x10000u);
    RUN("two address spaces", l_plain, x_space, SUM(1), SUM(7), SUM(1), SUM(7), SUM(1), SUM(7), SUM(5), SUM(6), SUM(5));
    RUN("another second page, and none", l_plain, x_map, SUM(1), SUM(7), SUM(7), SUM(9), 0); /* the last ends in a triple fault */
    box_free();
}

int main(void) { return long_main(all); }
