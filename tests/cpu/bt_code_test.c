/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that changes: back and forth between versions, at its end only, by writes that change nothing, by writes beside it. On one processor the next
 * instruction is the new one (SDM vol. 3, 8.1.3 and 12.6), whatever of the old is still kept. And the decoder that is asked before Zydis says
 * what Zydis says.
 */
#include "tests/cpu/btlong.h"

#include "bt/bt_tr.h"
#undef ZydisRegisterGetClass
#undef ZydisRegisterGetId

/* Functions lie in P1, from 200000h; r15: the log. */
#define LOGGED " mov %eax, (%r15)\n add $4, %r15\n"
__asm__(".text\n"
        "c_begin:\n"
        /* an immediate, two values in turn; then a third once, and the first two again */
        "c_toggle: xor %ebx, %ebx\n mov $100, %ecx\n mov $0x200000, %edi\n"
        "1: movb $1, 1(%rdi)\n call *%rdi\n add %eax, %ebx\n movb $2, 1(%rdi)\n call *%rdi\n add %eax, %ebx\n dec %ecx\n jnz 1b\n"
        " mov %ebx, %eax\n" LOGGED
        " movb $77, 1(%rdi)\n call *%rdi\n" LOGGED " movb $1, 1(%rdi)\n call *%rdi\n" LOGGED " movb $2, 1(%rdi)\n call *%rdi\n" LOGGED " jmp c_end\n"
        /* five bytes that are a call, and a NOP, in turn, as tracers patch them */
        "c_trace: mov $50, %ecx\n mov $0x200000, %edi\n xor %ebx, %ebx\n mov $0x000000fbe8, %r8\n mov $0x0000441f0f, %r9\n"
        "1: mov %r8d, (%rdi)\n movb $0, 4(%rdi)\n call *%rdi\n mov %r9d, (%rdi)\n movb $0, 4(%rdi)\n call *%rdi\n dec %ecx\n jnz 1b\n"
        " mov %ebx, %eax\n" LOGGED " jmp c_end\n"
        /* the last byte but one of a function of 48 long instructions, which may be one block */
        "c_long: mov $0x200000, %edi\n mov $30, %ecx\n xor %ebx, %ebx\n"
        "1: mov %cl, 472(%rdi)\n call *%rdi\n add %eax, %ebx\n movb $200, 472(%rdi)\n call *%rdi\n add %eax, %ebx\n dec %ecx\n jnz 1b\n"
        " mov %ebx, %eax\n" LOGGED " jmp c_end\n"
        /* a counter in the line of the function, and then the function */
        "c_line: mov $0x200000, %edi\n mov $2000, %ecx\n xor %ebx, %ebx\n movl $0, 40(%rdi)\n movb $3, 1(%rdi)\n"
        "1: incl 40(%rdi)\n call *%rdi\n add %eax, %ebx\n dec %ecx\n jnz 1b\n"
        " mov %ebx, %eax\n" LOGGED " mov 40(%rdi), %eax\n" LOGGED " movb $9, 1(%rdi)\n call *%rdi\n" LOGGED " jmp c_end\n"
        /* what is there already is written again, in each size, and then something else */
        "c_same: mov %cr4, %rax\n or $0x600, %eax\n mov %rax, %cr4\n mov $0x200000, %edi\n mov $0xf3, %esi\n mov $20, %ecx\n call *%rdi\n"
        "1: mov (%rdi), %rax\n mov %rax, (%rdi)\n mov %eax, (%rdi)\n mov %ax, (%rdi)\n mov %al, (%rdi)\n orb $0, 1(%rdi)\n movups (%rdi), %xmm0\n"
        " movups %xmm0, (%rdi)\n call *%rdi\n dec %ecx\n jnz 1b\n" LOGGED
        " movups (%rdi), %xmm0\n movb $9, 1(%rdi)\n call *%rdi\n" LOGGED " movups %xmm0, (%rdi)\n call *%rdi\n" LOGGED " jmp c_end\n"
        /* data beside code, the flags live: the function is at 200080h; writes before it, over its first bytes, and after it */
        "c_beside: mov %cr4, %rax\n or $0x600, %eax\n mov %rax, %cr4\n mov $0x200080, %edi\n call *%rdi\n mov $10, %ecx\n"
        "1: stc\n movb $1, -1(%rdi)\n movw $2, -4(%rdi)\n movl $3, -8(%rdi)\n movq $4, -16(%rdi)\n mov $0, %eax\n adc $0, %eax\n"
        " lock addl %eax, 64(%rdi)\n xadd %eax, 64(%rdi)\n call *%rdi\n dec %ecx\n jnz 1b\n" LOGGED
        " mov 64(%rdi), %eax\n" LOGGED " mov -16(%rdi), %eax\n" LOGGED " mov -1(%rdi), %al\n movzbl %al, %eax\n" LOGGED
        /* eight bytes that end in the function's first two: mov $eax, and its immediate's low byte */
        " mov $0x33b8000000000000, %rax\n mov %rax, -6(%rdi)\n call *%rdi\n" LOGGED
        " mov %rsp, %rbp\n lea 128(%rdi), %rsp\n push $5\n push %rdi\n pop %rax\n pop %rax\n mov %rbp, %rsp\n" LOGGED " call *%rdi\n" LOGGED
        " pxor %xmm0, %xmm0\n movups %xmm0, 112(%rdi)\n mov 120(%rdi), %eax\n" LOGGED " call *%rdi\n" LOGGED " jmp c_end\n"
        /* a function that writes the immediate of its own next instruction, a new value and an old one in turn */
        "c_self: mov $0x200000, %edi\n mov $40, %ecx\n xor %ebx, %ebx\n"
        "1: mov %ecx, %eax\n and $3, %eax\n call *%rdi\n add %eax, %ebx\n dec %ecx\n jnz 1b\n mov %ebx, %eax\n" LOGGED " jmp c_end\n"
        /* a function that is copied over another, by a string instruction */
        "c_copy: mov $0x200000, %edi\n mov $0x200400, %edx\n mov $5, %ebp\n"
        "1: mov %edx, %esi\n mov $16, %ecx\n cld\n rep movsb\n mov $0x200000, %edi\n call *%rdi\n" LOGGED
        " lea 16(%rdx), %esi\n mov $2, %ecx\n rep movsq\n mov $0x200000, %edi\n call *%rdi\n" LOGGED " dec %ebp\n jnz 1b\n jmp c_end\n"
        "c_end: out %al, $0xf4\n 2: hlt\n jmp 2b\n"
        "c_stop:\n"
        "f_imm: mov $1, %eax\n ret\n"
        "f_trace: .byte 0x0f, 0x1f, 0x44, 0, 0\n inc %ebx\n ret\n"
        "f_traced: add $1000, %ebx\n ret\n"
        "f_self: mov %al, 1f+1(%rip)\n 1: mov $0, %eax\n ret\n"
        "f_stop:\n");
#define LABEL(x) extern const char x[]
LABEL(c_begin); LABEL(c_toggle); LABEL(c_line); LABEL(c_trace); LABEL(c_long); LABEL(c_same); LABEL(c_beside); LABEL(c_self); LABEL(c_copy); LABEL(c_stop);
LABEL(f_imm); LABEL(f_trace); LABEL(f_traced); LABEL(f_self);

static void run(const char *mode, const char *name, const char *start, const uint32_t *want, unsigned n)
{
    uint8_t *p = box.ram + P(1);
    long_tables();
    memset(p, 0x90, 0x1000);
    memcpy(p, f_imm, 16);
    memcpy(p + 0x80, f_imm, 6);
    memset(p + 0x80 + 64, 0, 256);
    memcpy(p + 0x400, f_imm, 16);
    memcpy(p + 0x410, f_imm, 16);
    p[0x411] = 5;
    if (start == c_trace) {
        memcpy(p, f_trace, 16);
        memcpy(p + 0x100, f_traced, 16);
    } else if (start == c_long) { /* 47 times mov $0, %rdx; the 48th loads AL */
        for (unsigned i = 0; i < 48; i++)
            memcpy(p + 10 * i, "\x48\xba\0\0\0\0\0\0\0", 10);
        memcpy(p + 470, "\x48\xb8\0\0\0\0\0\0\0\0\xc3", 11);
    } else if (start == c_self) {
        memcpy(p, f_self, 16);
    }
    long_run((const char *const[]){name, mode, ""}, (uint64_t)(start - c_begin), want, n);
}

static void all(const char *mode, uint32_t stress)
{
    box_make(stress);
    memcpy(box.ram + CODE, c_begin, (size_t)(c_stop - c_begin));
    SEES("two values of an immediate", c_toggle, 300, 77, 1, 2);
    SEES("a call that comes and goes", c_trace, 100 + 50 * 1000);
    struct bt_stats before, after;
    bt_get_stats(box.vm, &before);
    SEES("data in the line of a function", c_line, 6000, 2000, 9);
    bt_get_stats(box.vm, &after);
    if (!stress)
        ok(after.smc_drops - before.smc_drops < 50, "which is not dropped each time: %u", (unsigned)(after.smc_drops - before.smc_drops));
    SEES("the end of a long function", c_long, 30 * 31 / 2 + 30 * 200);
    SEES("writes of what is there", c_same, 1, 9, 1);
    SEES("data beside code", c_beside, 1, 20, 4, 1, 0x33, 5, 0x33, 0, 0x33);
    SEES("a function that changes its next instruction", c_self, 40 / 4 * 6);
    SEES("a function that is copied over another", c_copy, 1, 5, 1, 5, 1, 5, 1, 5, 1, 5);
    box_free();
}

/* ---- the decoder ---- */

static uint64_t rng = 1;
static unsigned draw(unsigned n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(rng >> 40) % n;
}

/* Random instructions, most of them of forms that come again: what is kept is what Zydis says, of each. */
static void decoder(void)
{
    static struct bt_cpu *bc;
    static struct insn a, z;
    bc = mmap(NULL, sizeof *bc, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bc->skels = bt_skels_new();
    ZydisDecoderInit(&bc->dec[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&bc->dec[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&bc->dec[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x64, 0x2e, 0x48, 0x41, 0x4c};
    unsigned bad = 0, valid = 0;
    for (unsigned i = 0; i < 3000000; i++) {
        uint8_t b[24];
        unsigned n = 0, mode = i % 3;
        for (unsigned k = draw(8) > 5 ? draw(4) : 0; k; k--)
            b[n++] = prefixes[draw(sizeof prefixes)];
        if (mode == 2 && draw(2))
            b[n++] = (uint8_t)(0x40 | draw(16));
        if (draw(4) == 0)
            b[n++] = 0x0f;
        b[n++] = (uint8_t)draw(256);
        b[n++] = (uint8_t)(draw(2) ? draw(256) : (draw(4) << 6 | draw(2) << 3 | (4 + draw(2)))); /* of few ModRM, so that they come again */
        b[n++] = (uint8_t)(draw(2) ? draw(256) : 0x25);
        while (n < sizeof b)
            b[n++] = (uint8_t)(draw(3) ? draw(256) : draw(2) * 0xff);
        unsigned have = draw(10) ? 15 : 1 + draw(15);
        memcpy(a.bytes, b, 16);
        memset(&z.in, 0, sizeof z.in);
        ZyanStatus sa = tr_decode(bc, mode, have, &a), sz = ZydisDecoderDecodeFull(&bc->dec[mode], b, have, &z.in, z.op);
        bool same = sa == sz;
        if (same && ZYAN_SUCCESS(sz)) { /* an immediate may be a count of zero */
            tr_classify(&z);
            same = a.vec == z.vec && a.ends == z.ends && a.f_rd == z.f_rd && a.f_wr == z.f_wr;
        }
        if (ZYAN_SUCCESS(sz)) {
            valid++;
            size_t plain = offsetof(ZydisDecodedInstruction, raw.prefixes), tail = offsetof(ZydisDecodedInstruction, raw.modrm);
            same = same && !memcmp(&a.in, &z.in, plain) && !memcmp(&a.in.raw.prefixes, &z.in.raw.prefixes, z.in.raw.prefix_count * sizeof z.in.raw.prefixes[0]) &&
                   !memcmp(&a.in.raw.rex, &z.in.raw.rex, sizeof z.in.raw.rex) && !memcmp((char *)&a.in + tail, (char *)&z.in + tail, sizeof z.in - tail) &&
                   !memcmp(a.op, z.op, (z.in.operand_count < 3 ? 3 : z.in.operand_count) * sizeof z.op[0]);
        }
        if (!same && bad++ < 5)
            printf("# mode %u: %02x %02x %02x %02x %02x %02x of %u: %x, Zydis %x\n", mode, b[0], b[1], b[2], b[3], b[4], b[5], have, sa, sz);
    }
    unsigned wrong = 0;
    for (ZydisRegister r = 0; r <= ZYDIS_REGISTER_MAX_VALUE; r++)
        wrong += tr_reg_class(r) != ZydisRegisterGetClass(r) || (tr_reg_class(r) && tr_reg_id(r) != ZydisRegisterGetId(r));
    ok(!wrong, "registers are of the classes, and have the numbers, that Zydis says (%u others)", wrong);
    ok(!bad && valid > 1000000, "the decoder says what Zydis says (%u instructions, %u others)", valid, bad);
    free(bc->skels);
    munmap(bc, sizeof *bc);
}

int main(void)
{
    decoder();
    return long_main(all);
}
