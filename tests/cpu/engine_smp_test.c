/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many processors under hardware virtualization, where starting them is between the host's kernel and the guest: the first one sends INIT and
 * SIPI to all others (Intel SDM vol. 3, 9.4.4), each of which counts itself and sets the bit of its APIC id, then interrupts them all, which they
 * count as well. A pause in the middle, with all but one halted, loses none.
 */
#include "tests/cpu/btbox.h"

#include "kvm/kvm.h"

#define CODE 0x100000u
#define AP_CODE 0x10000u /* SIPI's vector 10h */
enum { COUNT = 0x4000, IDS = 0x4004, HITS = 0x4008, WANTED = 0x400c, GO_ON = 0x4010 };

__asm__(".text\n .code32\n"
        "p_begin: mov $0xfee00000, %ebx\n"
        " movl $0x1ff, 0xf0(%ebx)\n"
        " movl $0xc4500, 0x300(%ebx)\n" /* INIT to all but me */
        " mov $20000, %ecx\n 1: pause\n loop 1b\n"
        " movl $0xc4610, 0x300(%ebx)\n" /* SIPI */
        "2: pause\n mov 0x4000, %eax\n cmp 0x400c, %eax\n jne 2b\n"
        " out %al, $0xf4\n"
        "3: pause\n cmpl $0, 0x4010\n je 3b\n"
        " movl $0xc4040, 0x300(%ebx)\n" /* vector 40h */
        "4: pause\n mov 0x4008, %eax\n cmp 0x400c, %eax\n jne 4b\n"
        " out %al, $0xf4\n 5: hlt\n jmp 5b\n"
        "p_end:\n"
        /* Real mode, CS = 1000h; a GDT at 1800h takes them to 32 bits, where the local APIC is in reach. */
        " .code16\n"
        "ap_begin: cli\n xor %ax, %ax\n mov %ax, %ds\n lgdtl 0x1800\n mov $0x11, %eax\n mov %eax, %cr0\n ljmpl $8, $0x10100\n"
        " .org ap_begin + 0x100\n .code32\n"
        " mov $16, %eax\n mov %eax, %ds\n mov %eax, %ss\n mov %eax, %es\n"
        " mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%ebx)\n"
        " mov 0x20(%ebx), %ecx\n shr $24, %ecx\n mov $0x8000, %esp\n mov %ecx, %eax\n shl $8, %eax\n add %eax, %esp\n"
        " lidtl 0x1810\n"
        " lock btsl %ecx, 0x4004\n lock incl 0x4000\n"
        " sti\n 6: hlt\n jmp 6b\n"
        "ap_hit: lock incl 0x4008\n movl $0, 0xb0(%ebx)\n iret\n"
        "ap_end:\n .code64\n");
extern const char p_begin[], p_end[], ap_begin[], ap_hit[], ap_end[];

static uint32_t word(unsigned at)
{
    return __atomic_load_n((uint32_t *)(void *)(box.ram + at), __ATOMIC_SEQ_CST);
}

static void put_table(unsigned at, uint16_t limit, uint32_t base)
{
    memcpy(box.ram + at, &limit, 2);
    memcpy(box.ram + at + 2, &base, 4);
}

static void test(const struct vt_probe *p, unsigned n)
{
    static struct cpu_state s __attribute__((aligned(64)));
    struct err e = {0};
    box.n_vcpus = n;
    if (!box_make_on(&vt_backend, &(struct vm_cpu_params){.cores_per_socket = 1, .bus_khz = p->bus_khz, .limit = p->leaf, .n_limit = p->n_leaves}, 0)) {
        ok(false, "a machine with %u processors", n);
        return;
    }
    static const uint64_t gdt[3] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    uint64_t at = AP_CODE + (uint64_t)(ap_hit - ap_begin), gate = (at & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (at >> 16) << 48;
    memcpy(box.ram + CODE, p_begin, (size_t)(p_end - p_begin));
    memcpy(box.ram + AP_CODE, ap_begin, (size_t)(ap_end - ap_begin));
    memcpy(box.ram + 0x1000, gdt, sizeof gdt);
    memcpy(box.ram + 0x2000 + 8 * 0x40, &gate, 8);
    put_table(0x1800, sizeof gdt - 1, 0x1000);
    put_table(0x1810, 0x7ff, 0x2000);
    uint32_t wanted = n - 1;
    memcpy(box.ram + WANTED, &wanted, 4);
    vt_backend.get(vm_vcpu(box.vm, 0), &s, CPU_ALL);
    for (unsigned i = 0; i < S_COUNT; i++)
        s.seg[i] = (struct cpu_seg){.sel = i == S_CS ? 8 : 16, .attr = i == S_CS ? 0xc09b : 0xc093, .limit = ~0u};
    s.gdtr = (struct cpu_dtable){.base = 0x1000, .limit = sizeof gdt - 1};
    s.cr0 = 0x11;
    s.rflags = 2;
    s.gpr[R_RSP] = 0x8000;
    s.rip = CODE;
    s.run_state = CPU_RUNNING;
    bool up = box_run(&s, 120); /* which pauses it at the end */
    ok(up && word(COUNT) == n - 1, "%u processors: %u others started", n, word(COUNT));
    ok(word(IDS) == (n == 32 ? ~1u : (1u << n) - 2), "%u processors: their APIC ids (%#x)", n, word(IDS));
    box.ram[GO_ON] = 1;
    up = up && !vm_run(box.vm, &e) && box_done(120);
    ok(up && word(HITS) == n - 1, "%u processors: after a pause, an interrupt for each (%u)", n, word(HITS));
    vm_pause(box.vm, &e);
    box_free();
}

int main(void)
{
    static struct vt_probe p;
    vt_probe(&p);
    if (p.status != VT_READY) {
        ok(true, "VT # SKIP %s", p.text);
        return TAP_DONE();
    }
    test(&p, 2);
    test(&p, 8);
    test(&p, VT_MAX_VCPUS);
    return TAP_DONE();
}
