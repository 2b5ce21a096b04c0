/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A debugger's breakpoints, watchpoints and steps on each engine that runs here: where the guest stops, why, and what it has done by then. On
 * hardware virtualization they are the processor's own (AMD64 manual vol. 2, 13.1; Intel SDM vol. 3, 18.2), so an emulation that forgets about them
 * shows it: with -s only the steps are tested. With -w the code has run once before, so that the host's tables have its pages: Bochs (2.7) takes
 * a fetch for which they have none for a step that has been made.
 */
#include "tests/cpu/btbox.h"

#include "kvm/kvm.h"

#define CODE 0x100000u

__asm__(".text\n .code32\n"
        "e_begin: nop\n"
        "e1: mov 0x4000, %eax\n"
        "e2: movl $5, 0x4000\n"
        "e3: incl %ecx\n"
        "e4: incl %ecx\n"
        "e5: mov 0x4000, %eax\n"
        "e6: jmp e8\n"
        "e7: .byte 0x0f, 0x0b\n"
        "e8: incl %ecx\n"
        "e9: out %al, $0xf4\n 1: hlt\n jmp 1b\n"
        "e_end:\n .code64\n");
#define LABEL(x) extern const char x[]
LABEL(e_begin); LABEL(e1); LABEL(e2); LABEL(e3); LABEL(e4); LABEL(e5); LABEL(e6); LABEL(e8); LABEL(e9); LABEL(e_end);
#define AT(l) (CODE + (uint64_t)((l) - e_begin))

static struct cpu_state s __attribute__((aligned(64)));

static void start(void)
{
    box.be->get(vm_vcpu(box.vm, 0), &s, CPU_ALL);
    for (unsigned i = 0; i <= S_GS; i++)
        s.seg[i] = (struct cpu_seg){.sel = i == S_CS ? 8 : 16, .attr = i == S_CS ? 0xc09b : 0xc093, .limit = ~0u};
    s.cr0 = 0x11;
    s.rflags = 2;
    s.gpr[R_RSP] = 0x8000;
    s.gpr[R_RCX] = 0;
    s.rip = AT(e_begin);
    s.run_state = CPU_RUNNING;
    memset(box.ram + 0x4000, 0, 16);
}

/* Goes on from s; true: the debugger was called. s is the state then. */
static bool go(enum debug_resume how)
{
    struct err e = {0};
    box.be->set(vm_vcpu(box.vm, 0), &s, CPU_ALL, &e); /* the step is from there */
    box.be->debug_resume(vm_vcpu(box.vm, 0), how);
    bool ended = box_run(&s, 60);
    box.be->get(vm_vcpu(box.vm, 0), &s, CPU_ALL);
    if (!ended)
        printf("# nothing happened; it stands at %#llx\n", (unsigned long long)s.rip);
    return ended;
}

static void expect(const char *engine, const char *what, bool stopped, uint64_t rip, enum debug_kind why, uint64_t lin, uint64_t rcx)
{
    const struct vcpu *v = vm_vcpu(box.vm, 0);
    bool good = stopped && s.rip == rip && v->debug_why == why && (why == DEBUG_STEP || v->debug_lin == lin) && (uint32_t)s.gpr[R_RCX] == rcx;
    ok(good, "%s: %s", engine, what);
    if (!good)
        printf("# at %#llx, why %d, %#llx, ECX %u; expected %#llx, %d, %#llx, %u\n", (unsigned long long)s.rip, (int)v->debug_why,
               (unsigned long long)v->debug_lin, (unsigned)s.gpr[R_RCX], (unsigned long long)rip, (int)why, (unsigned long long)lin, (unsigned)rcx);
}

static void test(const char *name, const struct cpu_backend *be, const struct vm_cpu_params *cpu, bool steps_only, bool warm)
{
    if (!box_make_on(be, cpu, 0)) {
        ok(false, "%s: a machine", name);
        return;
    }
    memcpy(box.ram + CODE, e_begin, (size_t)(e_end - e_begin));
    struct vcpu *v = vm_vcpu(box.vm, 0);
    start();
    if (warm) {
        ok(go(DEBUG_RUN), "%s: the code runs", name);
        start();
    }
    const char *const path[] = {e1, e2, e3, e4, e5, e6, e8, e9};
    bool good = true;
    unsigned n = 0;
    for (; n < sizeof path / sizeof path[0] && good; n++)
        good = go(DEBUG_ONE) && v->debug_why == DEBUG_STEP && s.rip == AT(path[n]);
    ok(good && (uint32_t)s.gpr[R_RCX] == 3, "%s: each instruction is one step (%u steps, at %#llx)", name, n, (unsigned long long)s.rip);
    ok(!(s.rflags & 0x100), "%s: and the guest sees no TF", name);
    if (!steps_only) {
        const struct debug_point exec[] = {{AT(e3), 1, DEBUG_EXEC}, {AT(e8), 1, DEBUG_EXEC}};
        start();
        ok(!be->debug_points(box.vm, exec, 2), "%s: two breakpoints", name);
        bool stopped = go(DEBUG_RUN);
        expect(name, "the first, before its instruction", stopped, AT(e3), DEBUG_EXEC, AT(e3), 0);
        stopped = go(DEBUG_ONE);
        expect(name, "a step from there", stopped, AT(e4), DEBUG_STEP, 0, 1);
        stopped = go(DEBUG_RUN);
        expect(name, "the second", stopped, AT(e8), DEBUG_EXEC, AT(e8), 2);
        stopped = go(DEBUG_RUN) && s.rip == AT(e8);
        ok(stopped, "%s: who goes on without a step is still there", name);
        const struct debug_point write[] = {{0x4000, 4, DEBUG_WRITE}}, access[] = {{0x4002, 1, DEBUG_ACCESS}};
        start();
        be->debug_points(box.vm, write, 1);
        stopped = go(DEBUG_RUN);
        expect(name, "a watchpoint for writes, after its instruction, not at the read", stopped, AT(e3), DEBUG_WRITE, 0x4000, 0);
        ok(box.ram[0x4000] == 5, "%s: which has been carried out", name);
        start();
        be->debug_points(box.vm, access, 1);
        stopped = go(DEBUG_RUN);
        expect(name, "a watchpoint for reads and writes, at the read of a part", stopped, AT(e2), DEBUG_ACCESS, 0x4002, 0);
        stopped = go(DEBUG_RUN);
        expect(name, "and at the write", stopped, AT(e3), DEBUG_ACCESS, 0x4002, 0);
        be->debug_points(box.vm, NULL, 0);
        start();
        v->debug_why = 99;
        stopped = go(DEBUG_RUN);
        ok(stopped && v->debug_why == 99 && (uint32_t)s.gpr[R_RCX] == 3 && s.dr7 == 0x400, "%s: without them it runs to its end, and its own DR7 is as it was", name);
    }
    box_free();
}

int main(int argc, char **argv)
{
    static struct vt_probe p;
    bool steps_only = argc > 1 && !strcmp(argv[1], "-s"), warm = argc > 1 && !strcmp(argv[1], "-w");
    test("BT", &bt_backend, &(struct vm_cpu_params){.cores_per_socket = 1}, false, warm);
    vt_probe(&p);
    if (p.status == VT_READY)
        test("VT", &vt_backend, &(struct vm_cpu_params){.cores_per_socket = 1, .bus_khz = p.bus_khz, .limit = p.leaf, .n_limit = p.n_leaves}, steps_only,
             warm);
    else
        ok(true, "VT # SKIP %s", p.text);
    return TAP_DONE();
}
