/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does what the other end of its first serial port asks: port and memory accesses, CPUID, MSRs, the backdoor. Tests (probe.py) look
 * through it at the machine as software in it sees it. A command is a letter and hexadecimal numbers; the answer is a line that begins with "=".
 *
 *   i PORT SIZE          o PORT SIZE VALUE      I PORT WORDS            O PORT WORD ...
 *   m ADDRESS BYTES      w ADDRESS SIZE VALUE   c LEAF SUBLEAF          d: the drive it was booted from
 *   f ADDRESS BYTES VALUE: the first paragraph in there that begins with the 32-bit value
 *   r MSR                W MSR HIGH LOW         b EAX EBX ECX EDX       x: triple fault     h: HLT for good
 */
#include <stdint.h>

enum { COM1 = 0x3F8 };

extern uint32_t fault_at[2];
void triple_fault(void) __attribute__((noreturn));

static uint32_t in(uint16_t port, uint32_t size)
{
    uint32_t v = 0;
    if (size == 1)
        __asm__ volatile("inb %w1, %b0" : "+a"(v) : "d"(port));
    else if (size == 2)
        __asm__ volatile("inw %w1, %w0" : "+a"(v) : "d"(port));
    else
        __asm__ volatile("inl %w1, %0" : "=a"(v) : "d"(port));
    return v;
}

static void out(uint16_t port, uint32_t size, uint32_t v)
{
    if (size == 1)
        __asm__ volatile("outb %b0, %w1" : : "a"(v), "d"(port));
    else if (size == 2)
        __asm__ volatile("outw %w0, %w1" : : "a"(v), "d"(port));
    else
        __asm__ volatile("outl %0, %w1" : : "a"(v), "d"(port));
}

static void put(char c)
{
    while (!(in(COM1 + 5, 1) & 0x20)) {
    }
    out(COM1, 1, (uint8_t)c);
}

static char get(void)
{
    while (!(in(COM1 + 5, 1) & 1)) {
    }
    return (char)in(COM1, 1);
}

static void puts(const char *s)
{
    while (*s)
        put(*s++);
}

static void hex(uint32_t v, unsigned digits)
{
    while (digits--)
        put("0123456789abcdef"[v >> 4 * digits & 15]);
}

static void say(uint32_t v)
{
    put(' ');
    hex(v, 8);
}

/* RDMSR or WRMSR; the vector of an exception, or -1. */
static int msr(int write, uint32_t msr, uint32_t *hi, uint32_t *lo)
{
    int vector = -1;
    __asm__ volatile("movl $2f, fault_at\n\t"
                     "movl %%esp, fault_at + 4\n\t"
                     "test %4, %4\n\t"
                     "jnz 1f\n\t"
                     "rdmsr\n\t"
                     "jmp 3f\n"
                     "1: wrmsr\n\t"
                     "jmp 3f\n"
                     "2: mov %%eax, %2\n"
                     "3:"
                     : "+d"(*hi), "+a"(*lo), "+b"(vector)
                     : "c"(msr), "S"(write)
                     : "memory", "cc");
    return vector;
}

static char *line;

static uint32_t number(void)
{
    uint32_t v = 0;
    while (*line == ' ')
        line++;
    for (;; line++) {
        char c = *line;
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint32_t)(c - 'a' + 10);
        else
            return v;
    }
}

static void command(uint32_t drive)
{
    char op = *line++;
    uint32_t a, b, c, d;
    put('=');
    switch (op) {
    case 'i':
        a = number(), b = number();
        say(in((uint16_t)a, b));
        break;
    case 'o':
        a = number(), b = number(), c = number();
        out((uint16_t)a, b, c);
        break;
    case 'I':
        a = number(), b = number();
        put(' ');
        while (b--) {
            c = in((uint16_t)a, 2);
            hex(c & 255, 2);
            hex(c >> 8, 2);
        }
        break;
    case 'O':
        for (a = number(); *line; )
            out((uint16_t)a, 2, number());
        break;
    case 'm':
        a = number(), b = number();
        put(' ');
        for (c = 0; c < b; c++)
            hex(((volatile uint8_t *)(uintptr_t)a)[c], 2);
        break;
    case 'w':
        a = number(), b = number(), c = number();
        if (b == 1)
            *(volatile uint8_t *)(uintptr_t)a = (uint8_t)c;
        else if (b == 2)
            *(volatile uint16_t *)(uintptr_t)a = (uint16_t)c;
        else
            *(volatile uint32_t *)(uintptr_t)a = c;
        break;
    case 'f':
        a = number(), b = number(), c = number();
        for (d = 0; d < b && *(volatile uint32_t *)(uintptr_t)(a + d) != c; d += 16) {
        }
        say(d < b ? a + d : 0);
        break;
    case 'c':
        a = number(), c = number();
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        say(a), say(b), say(c), say(d);
        break;
    case 'b':
        a = number(), b = number(), c = number(), d = number();
        __asm__ volatile("inl %%dx, %%eax" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
        say(a), say(b), say(c), say(d);
        break;
    case 'r':
    case 'W':
        c = number(), d = number(), a = number();
        b = (uint32_t)msr(op == 'W', c, &d, &a);
        if (b != 0xFFFFFFFF)
            puts(" fault"), say(b);
        else
            say(d), say(a);
        break;
    case 'd':
        say(drive & 255);
        break;
    case 'x':
        put('\n');
        triple_fault();
    case 'h':
        put('\n');
        __asm__ volatile("cli; hlt");
        break;
    default:
        puts(" what?");
    }
    put('\n');
}

__attribute__((noreturn)) void probe(uint32_t drive)
{
    static char buf[2048];
    out(COM1 + 1, 1, 0);
    out(COM1 + 3, 1, 3);
    out(COM1 + 2, 1, 7);
    puts("PROBE\n");
    for (;;) {
        unsigned n = 0;
        for (char c; (c = get()) != '\n';)
            if (n < sizeof buf - 1)
                buf[n++] = c;
        buf[n] = 0;
        line = buf;
        command(drive);
    }
}
