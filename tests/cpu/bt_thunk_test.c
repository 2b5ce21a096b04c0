/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 32-bit code that learns where it is by a call: of a thunk (MOV EBX, [ESP]; RET) in its own page or another one, or of the next instruction. The
 * translator runs that without a jump; the return address must lie below the stack all the same (SDM vol. 2, CALL), and each change of the thunk - by a
 * write, by another mapping, by another address space - must be seen at once.
 */
#include "tests/cpu/btlong.h"

/* V = 40000000h (A and B: P1), W = 40001000h (A: P2, with a thunk at 20h; B: P3, with MOV EBX, 77h; RET there). Callers lie in V. */

__asm__(".text\n.code32\n"
        ".macro RUN at\n mov $0x55, %ebx\n mov $0x40000000 + \\at, %eax\n call *%eax\n mov %eax, (%edi)\n mov %edx, 4(%edi)\n add $8, %edi\n .endm\n"
        ".macro CR3 value\n mov $\\value, %eax\n mov %eax, %cr3\n .endm\n"
        "t_begin:\n"
        /* the thunk comes to load ECX, by a write through W, and EBX again, by one through the identical mapping */
        "t_write: mov $0x3000, %edi\n RUN 0x100\n RUN 0x100\n movb $0x0c, 0x40001021\n RUN 0x100\n movb $0x1c, 0x201021\n RUN 0x100\n"
        " movw $0x9090, 0x40001020\n movb $0x90, 0x40001022\n RUN 0x100\n jmp t_end\n"
        "t_map: mov $0x3000, %edi\n RUN 0x100\n movl $0x202067, 0x13008\n invlpg 0x40001000\n RUN 0x100\n movb $0x78, 0x202021\n RUN 0x100\n"
        " movl $0x201067, 0x13008\n invlpg 0x40001000\n RUN 0x100\n movl $0, 0x13008\n invlpg 0x40001000\n RUN 0x100\n jmp t_end\n"
        /* the first calls are for the table of indirect jumps to know the caller */
        "t_space: mov $0x3000, %edi\n mov $2, %esi\n RUN 0x100\n RUN 0x100\n RUN 0x100\n CR3 0x20002\n RUN 0x100\n CR3 0x10001\n"
        "1: RUN 0x100\n CR3 0x20002\n RUN 0x100\n CR3 0x10001\n dec %esi\n jnz 1b\n"
        " movb $0x0c, 0x201021\n RUN 0x100\n CR3 0x20002\n movb $0x78, 0x202021\n RUN 0x100\n CR3 0x10001\n RUN 0x100\n jmp t_end\n"
        /* in the same page, and the caller writes into the thunk itself between two calls */
        "t_same: mov $0x3000, %edi\n RUN 0x200\n RUN 0x200\n movb $0x0c, 0x40000221\n RUN 0x200\n movb $0x1c, 0x40000221\n RUN 0x240\n RUN 0x240\n jmp t_end\n"
        "t_next: mov $0x3000, %edi\n RUN 0x280\n RUN 0x280\n jmp t_end\n"
        /* a thunk over the end of its page */
        "t_edge: mov $0x3000, %edi\n RUN 0x2c0\n RUN 0x2c0\n movb $0x0c, 0x40000fff\n RUN 0x2c0\n jmp t_end\n"
        "t_end: out %al, $0xf4\n 2: hlt\n jmp 2b\n"
        "t_stop:\n"
        "c_far: .byte 0xe8\n .long 0x1020 - 0x105\n mov %ebx, %eax\n mov -4(%esp), %edx\n ret\n c_far_end:\n"
        "c_same: .byte 0xe8\n .long 0x220 - 0x205\n mov %ebx, %eax\n mov -4(%esp), %edx\n ret\n c_same_end:\n"
        "c_twice: .byte 0xe8\n .long 0x220 - 0x245\n mov %ebx, %ecx\n movb $0x14, 0x40000221\n .byte 0xe8\n .long 0x220 - 0x253\n" /* EDX, the second time */
        " lea (%ebx, %edx), %eax\n mov -4(%esp), %edx\n movb $0x1c, 0x40000221\n ret\n c_twice_end:\n"
        "c_next: .byte 0xe8\n .long 0\n pop %ebx\n mov %ebx, %eax\n mov -4(%esp), %edx\n ret\n c_next_end:\n"
        "c_edge: .byte 0xe8\n .long 0xffe - 0x2c5\n mov %ebx, %eax\n mov -4(%esp), %edx\n ret\n c_edge_end:\n"
        ".code64\n");
#define LABEL(x) extern const char x[]
LABEL(t_begin); LABEL(t_write); LABEL(t_map); LABEL(t_space); LABEL(t_same); LABEL(t_next); LABEL(t_edge); LABEL(t_stop);
LABEL(c_far); LABEL(c_far_end); LABEL(c_same); LABEL(c_same_end); LABEL(c_twice); LABEL(c_twice_end); LABEL(c_next); LABEL(c_next_end); LABEL(c_edge); LABEL(c_edge_end);

static void caller(uint32_t at, const char *from, const char *to) { memcpy(box.ram + P(1) + at, from, (size_t)(to - from)); }

static void run(const char *mode, const char *name, const char *start, const uint32_t *want, unsigned n)
{
    static const uint8_t thunk[] = {0x8b, 0x1c, 0x24, 0xc3}, other[] = {0xbb, 0x77, 0, 0, 0, 0xc3};
    for (uint64_t global = 0; global <= 0x100; global += 0x100) {
        long_tables();
        for (unsigned i = 0; i < 2; i++) {
            put64(SPACE(i) + 0x3000, P(1) | 0x67 | global);
            put64(SPACE(i) + 0x3008, P(2 + i) | 0x67);
        }
        memset(box.ram + P(1), 0x90, 0x4000);
        caller(0x100, c_far, c_far_end);
        caller(0x200, c_same, c_same_end);
        caller(0x240, c_twice, c_twice_end);
        caller(0x280, c_next, c_next_end);
        caller(0x2c0, c_edge, c_edge_end);
        memcpy(box.ram + P(1) + 0x220, thunk, sizeof thunk);
        memcpy(box.ram + P(1) + 0xffe, thunk, 2);
        memcpy(box.ram + P(2), thunk + 2, 2);
        memcpy(box.ram + P(2) + 0x20, thunk, sizeof thunk);
        memcpy(box.ram + P(3) + 0x20, other, sizeof other);
        long_run_as(CODE_32, (const char *const[]){name, global ? ", the caller's page global" : "", mode}, (uint64_t)(start - t_begin), want, n);
    }
}

#define HERE 0x40000105u /* what the call at 100h gives */

static void all(const char *mode, uint32_t stress)
{
    box_make(stress);
    memcpy(box.ram + CODE, t_begin, (size_t)(t_stop - t_begin));
    SEES("a written thunk", t_write, HERE, HERE, HERE, HERE, 0x55, HERE, HERE, HERE, 0x55, HERE);
    SEES("two address spaces", t_space, HERE, HERE, HERE, HERE, HERE, HERE, 0x77, HERE, HERE, HERE, 0x77, HERE, HERE, HERE, 0x77, HERE, 0x55, HERE, 0x78, HERE, 0x55, HERE);
    SEES("a thunk in the same page", t_same, 0x40000205, 0x40000205, 0x40000205, 0x40000205, 0x55, 0x40000205, 0x40000245u + 0x40000253u, 0x40000253,
         0x40000245u + 0x40000253u, 0x40000253);
    SEES("the next instruction", t_next, 0x40000285, 0x40000285, 0x40000285, 0x40000285);
    SEES("a thunk over a page's end", t_edge, 0x400002c5, 0x400002c5, 0x400002c5, 0x400002c5, 0x55, 0x400002c5);
    SEES("another page, and none", t_map, HERE, HERE, 0x77, HERE, 0x78, HERE, HERE, HERE, 0); /* the last ends in a triple fault */
    box_free();
}

int main(void) { return long_main(all); }
