/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug exceptions on the binary translator (SDM vol. 3, chapter 18): pieces of 32-bit code run in a machine of one processor and memory; the
 * guest's #DB handler writes down where it was called and what DR6 said, and that is compared with what the manual says.
 */
#include "tests/cpu/btbox.h"

#define CODE 0x100000u
#define LOG 0x3000u
#define MARK_BP 3u /* in place of DR6: the breakpoint exception */

/* Absolute addresses are below 64 KiB; the code itself may stand anywhere. */
__asm__(".text\n .code32\n"
        "g_begin:\n"
        "h_db: push %eax\n push %ebx\n"
        " mov 0x3000, %ebx\n mov 8(%esp), %eax\n mov %eax, 0x3010(,%ebx,8)\n"
        " mov %dr6, %eax\n mov %eax, 0x3014(,%ebx,8)\n mov $0xffff0ff0, %eax\n mov %eax, %dr6\n"
        " incl 0x3000\n cmp $60, %ebx\n jae 1f\n"
        " orl $0x10000, 16(%esp)\n pop %ebx\n pop %eax\n iret\n" /* RF: on past an instruction breakpoint */
        "h_bp: push %eax\n push %ebx\n"
        " mov 0x3000, %ebx\n mov 8(%esp), %eax\n mov %eax, 0x3010(,%ebx,8)\n movl $3, 0x3014(,%ebx,8)\n incl 0x3000\n"
        " pop %ebx\n pop %eax\n iret\n"
        "1: out %al, $0xf4\n 2: hlt\n jmp 2b\n"
        /* single step: MOV SS, REP, a call-out, INT3, POPF that ends it */
        "t_step: pushf\n orl $0x100, (%esp)\n popf\n nop\n"
        "s2: mov %ss, %eax\n"
        "s3: mov %eax, %ss\n nop\n"
        "s5: mov $2, %ecx\n"
        "s6: rep stosb\n"
        "s7: cpuid\n"
        "s8: int3\n"
        "s9: nop\n"
        "s10: pushf\n"
        "s11: andl $~0x100, (%esp)\n"
        "s12: popf\n"
        "s13: jmp 1b\n"
        /* data breakpoints: DR0 watches 4000h to 4003h for reads and writes */
        "t_data: mov 0x4000, %eax\n"
        "d1: mov 0x4004, %eax\n mov 0x3ffc, %eax\n mov $0x4004, %esp\n"
        "d2: push %eax\n"
        "d3: mov $0x4020, %esp\n pusha\n"
        "d4: mov $0x8000, %esp\n mov $0x3ffe, %edi\n mov $4, %ecx\n"
        "d5: rep stosb\n"
        "d6: mov $0x4000, %edi\n mov $0x5000, %esi\n"
        "d7: movsl\n"
        "d8: fnstenv 0x3ff0\n"
        "d9: mov $0x4002, %ebx\n lock incl (%ebx)\n"
        "d10: movl $0x10, 0x4000\n"
        "d11: mov 0x4000, %ss\n"
        "d12: inc %eax\n"
        "d13: pushf\n orl $0x100, (%esp)\n popf\n mov 0x4000, %eax\n"
        "d14: pushf\n"
        "d15: andl $~0x100, (%esp)\n"
        "d16: popf\n"
        "d17: mov %ss, %eax\n mov 0x4000, %ss\n .byte 0xf1\n"
        "d18: .byte 0xf1\n"
        "d19: jmp 1b\n"
        /* instruction breakpoints in DR1 and, after MOV SS, in DR2 */
        "t_exec: nop\n"
        "x1: inc %eax\n nop\n mov %ss, %eax\n mov %eax, %ss\n"
        "x2: inc %eax\n jmp 1b\n"
        /* DR0 watches what MOV SS loads, DR2 the next instruction */
        "t_both: mov %ss, %eax\n mov 0x4000, %ss\n"
        "z1: inc %eax\n"
        "z2: jmp 1b\n"
        /* I/O breakpoints: DR0 watches ports 80h and 81h */
        "t_io: out %al, $0x80\n"
        "i1: in $0x82, %al\n in $0x7f, %ax\n"
        "i2: mov $0x81, %dx\n mov $2, %ecx\n mov $0x5000, %esi\n"
        "i3: rep outsb\n"
        "i4: jmp 1b\n"
        /* single step on branches */
        "t_btf: mov $0x1d9, %ecx\n xor %edx, %edx\n mov $2, %eax\n wrmsr\n"
        " pushf\n orl $0x100, (%esp)\n popf\n nop\n xor %eax, %eax\n jnz 3f\n jz 3f\n nop\n"
        "3: nop\n" /* the handler was entered with BTF cleared: from here on each instruction */
        "b2: pushf\n"
        "b3: andl $~0x100, (%esp)\n"
        "b4: popf\n"
        "b5: jmp 1b\n"
        /* general detect */
        "t_gd: mov $0x2400, %eax\n mov %eax, %dr7\n"
        "g1: mov %dr3, %eax\n mov %dr7, %eax\n mov %eax, 0x3008\n jmp 1b\n"
        /* HLT under single step is left by the trap */
        "t_hlt: cli\n pushf\n orl $0x100, (%esp)\n popf\n"
        "l1: hlt\n"
        "l2: pushf\n"
        "l3: andl $~0x100, (%esp)\n"
        "l4: popf\n"
        "l5: jmp 1b\n"
        "g_end:\n .code64\n");
#define LABEL(x) extern const char x[]
LABEL(g_begin);
LABEL(g_end);
LABEL(h_db);
LABEL(h_bp);

static void make_machine(void)
{
    box_make(0);
    memcpy(box.ram + CODE, g_begin, (size_t)(g_end - g_begin));
    uint64_t gdt[4] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0};
    memcpy(box.ram + 0x1000, gdt, sizeof gdt);
    for (unsigned v = 0; v < 32; v++) {
        uint64_t at = CODE + (uint64_t)((v == 3 ? h_bp : h_db) - g_begin);
        uint64_t gate = (at & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (at >> 16) << 48;
        memcpy(box.ram + 0x2000 + 8 * v, &gate, 8);
    }
}

struct hit {
    const char *at;
    uint32_t dr6; /* its bits that are not always set */
};

static void run(const char *name, const char *start, const uint64_t dr[5], uint64_t cr4, const struct hit *want, unsigned n)
{
    static struct cpu_state s __attribute__((aligned(64)));
    bt_backend.get(vm_vcpu(box.vm, 0), &s, CPU_ALL);
    for (unsigned i = 0; i < S_COUNT; i++)
        s.seg[i] = (struct cpu_seg){.sel = i == S_CS ? 8 : 16, .attr = i == S_CS ? 0xc09b : 0xc093, .limit = ~0u};
    s.gdtr = (struct cpu_dtable){.base = 0x1000, .limit = 31};
    s.idtr = (struct cpu_dtable){.base = 0x2000, .limit = 255};
    s.cr0 = 0x11;
    s.cr4 = cr4;
    s.rflags = 2;
    s.gpr[R_RSP] = 0x8000;
    s.gpr[R_RDI] = 0x6000;
    s.rip = CODE + (uint64_t)(start - g_begin);
    memcpy(s.dr, dr, sizeof s.dr);
    s.dr6 = 0xffff0ff0;
    s.dr7 = dr[4] | 0x400;
    s.run_state = CPU_RUNNING;
    memset(box.ram + LOG, 0, 4096);
    box.ram[0x4000] = 0x10; /* a stack's selector, for MOV SS */
    bool ended = box_run(&s, 20);
    uint32_t got_n, got[2];
    memcpy(&got_n, box.ram + LOG, 4);
    bool good = ended && got_n == n;
    for (unsigned i = 0; i < n && good; i++) {
        memcpy(got, box.ram + LOG + 16 + 8 * i, 8);
        uint32_t dr6 = want[i].dr6 == MARK_BP ? MARK_BP : want[i].dr6 | 0xffff0ff0;
        good = got[0] == CODE + (uint32_t)(want[i].at - g_begin) && got[1] == dr6;
    }
    ok(good, "%s", name);
    if (!good)
        for (unsigned i = 0; i < got_n || i < n; i++) {
            memcpy(got, box.ram + LOG + 16 + 8 * i, 8);
            printf("# %u: at %x DR6 %x, expected at %x DR6 %x\n", i, got[0], got[1],
                   i < n ? CODE + (unsigned)(want[i].at - g_begin) : 0, i < n ? want[i].dr6 : 0);
        }
}

enum { B0 = 1, B1 = 2, B2 = 4, BD = 1 << 13, BS = 1 << 14 };
#define RUN(name, start, cr4, dr0, dr1, dr2, dr7, ...)                                     \
    do {                                                                                   \
        static const struct hit want[] = {__VA_ARGS__};                                    \
        const uint64_t dr[5] = {dr0, dr1, dr2, 0, dr7};                                    \
        run(name, start, dr, cr4, want, sizeof want / sizeof want[0]);                     \
    } while (0)
#define AT(l) (CODE + (uint64_t)((l)-g_begin))

LABEL(t_step); LABEL(s2); LABEL(s3); LABEL(s5); LABEL(s6); LABEL(s7); LABEL(s8); LABEL(s9); LABEL(s10); LABEL(s11); LABEL(s12); LABEL(s13);
LABEL(t_data); LABEL(d1); LABEL(d3); LABEL(d4); LABEL(d5); LABEL(d6); LABEL(d8); LABEL(d9); LABEL(d10); LABEL(d11); LABEL(d13); LABEL(d14);
LABEL(d15); LABEL(d16); LABEL(d17); LABEL(d18); LABEL(d19);
LABEL(t_exec); LABEL(x1); LABEL(x2); LABEL(t_both); LABEL(z1); LABEL(z2);
LABEL(t_io); LABEL(i1); LABEL(i2); LABEL(i3); LABEL(i4);
LABEL(t_btf); LABEL(b2); LABEL(b3); LABEL(b4); LABEL(b5);
LABEL(t_gd); LABEL(g1);
LABEL(t_hlt); LABEL(l2); LABEL(l3); LABEL(l4); LABEL(l5);

int main(void)
{
    make_machine();
    RUN("single step: MOV SS, REP, CPUID, INT3, POPF", t_step, 0, 0, 0, 0, 0, {s2, BS}, {s3, BS}, {s5, BS}, {s6, BS}, {s6, BS}, {s7, BS},
        {s8, BS}, {s9, MARK_BP}, {s10, BS}, {s11, BS}, {s12, BS}, {s13, BS});
    /* d17 to d19: what MOV SS holds back comes with ICEBP's own, which sets no bit */
    RUN("data breakpoints: loads, stacks, strings, call-outs, MOV SS, with single step", t_data, 0, 0x4000, 0, 0, 0xf0001, {d1, B0}, {d3, B0},
        {d4, B0}, {d5, B0}, {d6, B0}, {d8, B0}, {d9, B0}, {d10, B0}, {d11, B0}, {d13, B0}, {d14, B0 | BS}, {d15, BS}, {d16, BS}, {d17, BS},
        {d18, B0}, {d19, 0});
    if (__builtin_cpu_is("amd"))
        RUN("instruction breakpoints, also after MOV SS", t_exec, 0, 0, AT(x1), AT(x2), 4 | 16, {x1, B1}, {x2, B2});
    else
        RUN("instruction breakpoints, inhibited by MOV SS", t_exec, 0, 0, AT(x1), AT(x2), 4 | 16, {x1, B1});
    /* one exception where both are seen, not a second one in the midst of the first one's entry */
    if (__builtin_cpu_is("amd"))
        RUN("a breakpoint on data of MOV SS, held until one on the next instruction", t_both, 0, 0x4000, 0, AT(z1), 0xf0011, {z1, B0 | B2});
    else
        RUN("a breakpoint on data of MOV SS, and an inhibited one on the next instruction", t_both, 0, 0x4000, 0, AT(z1), 0xf0011, {z2, B0});
    RUN("I/O breakpoints", t_io, 8, 0x80, 0, 0, 0x60001, {i1, B0}, {i2, B0}, {i3, B0}, {i4, B0});
    RUN("BTF: single step on taken branches, until the first", t_btf, 0, 0, 0, 0, 0, {b2 - 1, BS}, {b2, BS}, {b3, BS}, {b4, BS}, {b5, BS});
    RUN("general detect", t_gd, 0, 0, 0, 0, 0, {g1, BD});
    uint32_t dr7;
    memcpy(&dr7, box.ram + LOG + 8, 4);
    ok(dr7 == 0x400, "which its exception clears");
    RUN("HLT is left by a single step", t_hlt, 0, 0, 0, 0, 0, {l2, BS}, {l3, BS}, {l4, BS}, {l5, BS});
    box_free();
    return TAP_DONE();
}
