/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 64-bit code (or 32-bit code in compatibility mode) in the smallest machine, in two address spaces that PCIDs tell apart; it writes down what it sees, and that is compared. Physical: page tables
 * from 10000h (address space A, PCID 1) and 20000h (B, PCID 2), log 3000h, code 100000h, pages P1 to P4 from 200000h. Linear: the first 4 MiB are
 * identical; the page table of 40000000h to 401FFFFFh is at 13000h (A) and 23000h (B), their page directory at 14000h and 24000h.
 */
#ifndef LODGE_TESTS_BTLONG_H
#define LODGE_TESTS_BTLONG_H

#include "tests/cpu/btbox.h"

#define CODE 0x100000u
#define LOG 0x3000u
#define P(n) (0x200000u + 0x1000u * ((n)-1))
#define SPACE(i) (0x10000u * ((i) + 1))

static void put64(uint32_t at, uint64_t v) { memcpy(box.ram + at, &v, 8); }

static void long_tables(void)
{
    for (unsigned i = 0; i < 2; i++) {
        uint32_t b = SPACE(i);
        memset(box.ram + b, 0, 0x5000);
        put64(b, (b + 0x1000) | 7);
        put64(b + 0x1000, (b + 0x2000) | 7); /* 0 to 1 GiB */
        put64(b + 0x1008, (b + 0x4000) | 7); /* 1 to 2 GiB */
        put64(b + 0x2000, 0x0000e7);         /* 2 MiB pages: identical */
        put64(b + 0x2008, 0x2000e7);
        put64(b + 0x4000, (b + 0x3000) | 7);
    }
}

enum { CODE_64 = 0xa09b, CODE_32 = 0xc09b }; /* attributes of CS */

/* Runs the code at byte offset at of the program, in A, and compares what it wrote to the log. name: up to three parts. */
static void long_run_as(uint16_t code, const char *const name[3], uint64_t at, const uint32_t *want, unsigned n)
{
    static struct cpu_state s __attribute__((aligned(64)));
    bt_backend.get(vm_vcpu(box.vm, 0), &s, CPU_ALL);
    for (unsigned i = 0; i < S_COUNT; i++)
        s.seg[i] = (struct cpu_seg){.sel = i == S_CS ? 8 : 16, .attr = i == S_CS ? code : 0xc093, .limit = ~0u};
    s.cr0 = 0x80010011;
    s.cr3 = SPACE(0) | 1;
    s.cr4 = CR4_PAE | CR4_PGE | CR4_PCIDE;
    s.efer = EFER_LME | EFER_LMA;
    s.rflags = 2;
    s.idtr.limit = 0;
    s.gpr[R_RSP] = 0x8000;
    s.gpr[R_R15] = LOG;
    s.rip = CODE + at;
    s.run_state = CPU_RUNNING;
    memset(box.ram + LOG, 0, 4096);
    bool ended = box_run(&s, 60);
    bool good = ended && !memcmp(box.ram + LOG, want, 4 * n);
    ok(good, "%s%s%s", name[0], name[1], name[2]);
    for (unsigned i = 0; i < n && !good; i++) {
        uint32_t got;
        memcpy(&got, box.ram + LOG + 4 * i, 4);
        if (!ended || got != want[i])
            printf("# %u: saw %x, expected %x\n", i, got, want[i]);
    }
}

static inline void long_run(const char *const name[3], uint64_t at, const uint32_t *want, unsigned n) { long_run_as(CODE_64, name, at, want, n); }

/* all, with and without what makes rare paths common. */
static void long_modes(void (*all)(const char *mode, uint32_t stress))
{
    all("", 0);
    all(", a small TLB", BT_STRESS_TLB | BT_STRESS_NOCHAIN);
    all(", flushes and signals", BT_STRESS_FLUSH | BT_STRESS_KICK);
    all(", every write watched, single instructions", BT_STRESS_WATCH | BT_STRESS_SINGLE);
}

/* The main() of a test that has nothing else. The translator wants BMI2. */
static inline int long_main(void (*all)(const char *mode, uint32_t stress))
{
    if (!__builtin_cpu_supports("bmi2")) {
        printf("1..0 # SKIP no BMI2\n");
        return 0;
    }
    long_modes(all);
    return TAP_DONE();
}

/* run(mode, name, start, want, n), a test's own, with what it is to see. */
#define SEES(name, start, ...)                                      \
    do {                                                            \
        static const uint32_t want[] = {__VA_ARGS__};               \
        run(mode, name, start, want, sizeof want / sizeof want[0]); \
    } while (0)

#endif
