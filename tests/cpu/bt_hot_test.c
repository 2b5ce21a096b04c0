/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places in hot code remember the page of their last access (bt_hot.c): what makes it another page, or another right, must reach them. A loop runs until it
 * has been found hot, then goes round once after each change. Expected: SDM vol. 3, 4.8 (accessed and dirty bits), 4.10 (INVLPG, MOV to CR3), 11.6 (code that
 * is written).
 */
#include "tests/cpu/btlong.h"

#include <pthread.h>
#include <stdatomic.h>

#define FLAG 0x3800u /* zero while the loop shall go on */

__asm__(".text\n"
        ".macro SEE a\n mov \\a, %eax\n mov %eax, (%r15)\n add $4, %r15\n .endm\n"
        ".macro FLUSH\n invlpg 0x40000000\n invlpg 0x40001000\n .endm\n"
        "h_begin:\n"
        "h_all: mov $0x40000000, %ebx\n mov $0x40001000, %edi\n mov $0x3800, %esi\n call 1f\n SEE 0x40001000\n"
        /* another page, twice */
        " movl $0x202003, 0x13000\n FLUSH\n call 1f\n SEE 0x40001000\n"
        " movl $0x200003, 0x13000\n FLUSH\n call 1f\n SEE 0x40001000\n"
        /* the other address space and back, nothing flushed */
        " mov $0x8000000000020002, %rax\n mov %rax, %cr3\n call 1f\n mov 0x40001000, %r12d\n"
        " mov $0x8000000000010001, %rax\n mov %rax, %cr3\n call 1f\n SEE %r12d\n SEE 0x40001000\n"
        /* accessed and dirty bits that were taken away */
        " movl $0x200003, 0x13000\n movl $0x201003, 0x13008\n FLUSH\n call 1f\n mov 0x13000, %ecx\n and $0x60, %ecx\n SEE %ecx\n"
        " mov 0x13008, %ecx\n and $0x60, %ecx\n SEE %ecx\n"
        /* it writes a page that is no code yet; that becomes code; it is written again */
        " mov $0x40002001, %edi\n call 1f\n call 1f\n mov $0x40002000, %edx\n call *%rdx\n SEE %eax\n"
        " incl 0x40000000\n call 1f\n call *%rdx\n SEE %eax\n incl 0x40000000\n call 1f\n call *%rdx\n SEE %eax\n"
        /* over a page end, and back */
        " mov $0x40000ffe, %ebx\n mov $0x40001000, %edi\n movl $0x11223344, (%rbx)\n call 1f\n SEE 0x40001000\n"
        " mov $0x40000000, %ebx\n call 1f\n SEE 0x40001000\n"
        " out %al, $0xf4\n hlt\n"
        ".balign 64\n"
        "1: mov (%rbx), %eax\n mov %eax, (%rdi)\n cmpl $0, (%rsi)\n jz 1b\n ret\n"
        "h_end:\n");
#define LABEL(x) extern const char x[]
LABEL(h_begin); LABEL(h_end); LABEL(h_all);

static atomic_bool stop;

static uint64_t hot(void)
{
    struct bt_stats st;
    bt_get_stats(box.vm, &st);
    return st.hot_blocks;
}

/* Kicks until the loop is hot, and then lets it go on. */
static void *kicker(void *u)
{
    uint64_t *was = u;
    for (unsigned i = 0; i < 60000 && hot() == *was && !stop; i++) {
        bt_backend.kick(vm_vcpu(box.vm, 0));
        nanosleep(&(struct timespec){.tv_nsec = 1200000}, NULL);
    }
    __atomic_store_n((uint32_t *)(void *)(box.ram + FLAG), 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void all(const char *mode, uint32_t stress)
{
    static const uint32_t want[] = {0x1111, 0x3333, 0x1111, 0x4444, 0x1111, 0x20, 0x60, 0x1111, 0x1112, 0x1113, 0x11223344, 0x1113};
    box_make(stress);
    memcpy(box.ram + CODE, h_begin, (size_t)(h_end - h_begin));
    long_tables();
    put64(0x13000, P(1) | 3);
    put64(0x13008, P(2) | 3);
    put64(0x13010, (P(1) + 0x5000) | 3);
    put64(0x23000, P(4) | 3);
    put64(0x23008, P(2) | 3);
    put64(P(1), 0x1111);
    put64(P(3), 0x3333);
    put64(P(4), 0x4444);
    put64(P(1) + 0x5000, 0xc300000000b8); /* mov $0, %eax; ret */
    put64(FLAG, 0);
    uint64_t was = hot();
    stop = false;
    pthread_t t;
    pthread_create(&t, NULL, kicker, &was);
    long_run((const char *const[]){"what changes reaches hot code", mode, ""}, (uint64_t)(h_all - h_begin), want, sizeof want / sizeof want[0]);
    stop = true;
    pthread_join(t, NULL);
    ok(hot() > was, "the loop was found hot%s", mode);
    box_free();
}

int main(void) { return long_main(all); }
