/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a machine tells of itself: its counters, and for developers where each vCPU stands. */
#include <stdio.h>
#include <sys/resource.h>

#include "base/log.h"
#include "block/blk.h"
#include "bt/bt.h"
#include "core/vm.h"
#include "counters.h"
#include "cpu/cpu.h"
#include "cpu/cpustate.h"
#include "machine_private.h"
#include "net_link.h"
#include "thrift.h"

void machine_log_cpus(struct machine *m)
{
    struct cpu_state s;
    char text[1024];
    for (unsigned i = 0; log_enabled(LOG_DEBUG) && i < vm_vcpu_count(m->vm); i++) {
        struct vcpu *v = vm_vcpu(m->vm, i);
        m->be->get(v, &s, CPU_GPR | CPU_SEG | CPU_CTL | CPU_EVENTS);
        log_msg(LOG_DEBUG, "vcpu", "vCPU %u: cs %04x base %llx rip %llx rflags %llx cr0 %llx cr3 %llx cr4 %llx efer %llx", i, s.seg[S_CS].sel,
                (unsigned long long)s.seg[S_CS].base, (unsigned long long)s.rip, (unsigned long long)s.rflags, (unsigned long long)s.cr0,
                (unsigned long long)s.cr3, (unsigned long long)s.cr4, (unsigned long long)s.efer);
        log_msg(LOG_DEBUG, "vcpu", "  rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx rbp %llx ss %04x rsp %llx cr2 %llx idt %llx/%x gdt %llx/%x",
                (unsigned long long)s.gpr[R_RAX], (unsigned long long)s.gpr[R_RBX], (unsigned long long)s.gpr[R_RCX], (unsigned long long)s.gpr[R_RDX],
                (unsigned long long)s.gpr[R_RSI], (unsigned long long)s.gpr[R_RDI], (unsigned long long)s.gpr[R_RBP], s.seg[S_SS].sel,
                (unsigned long long)s.gpr[R_RSP], (unsigned long long)s.cr2, (unsigned long long)s.idtr.base, s.idtr.limit,
                (unsigned long long)s.gdtr.base, s.gdtr.limit);
        uint32_t stack[16];
        if (!(s.cr0 & 0x80000000u) && !gmem_read(m->vm, s.seg[S_SS].base + s.gpr[R_RSP], stack, sizeof stack))
            log_msg(LOG_DEBUG, "vcpu", "  stack %x %x %x %x %x %x %x %x %x %x %x %x %x %x %x %x", stack[0], stack[1], stack[2], stack[3], stack[4], stack[5],
                    stack[6], stack[7], stack[8], stack[9], stack[10], stack[11], stack[12], stack[13], stack[14], stack[15]);
        int n = m->be->crash_report ? m->be->crash_report(v, text, sizeof text) : 0;
        if (n > 0)
            log_msg(LOG_DEBUG, "vcpu", "  %.*s", n, text);
    }
}

static const struct counter vm_counters[] = {
    COUNTER(vm_stats, "chipset.timers_fired", timers_fired), COUNTER(vm_stats, "chipset.posts", posts),
    COUNTER(vm_stats, "chipset.wakeups", wakeups), COUNTER(vm_stats, "memory.map_commits", commits), COUNTER(vm_stats, "vcpu.runs", runs),
    COUNTER(vm_stats, "vcpu.halts", halts), COUNTER(vm_stats, "vcpu.kicks", kicks),
};
static const struct counter vt_counters[] = {
    COUNTER(vt_stats, "vt.exits", exits), COUNTER(vt_stats, "vt.port", port), COUNTER(vt_stats, "vt.mmio", mmio),
    COUNTER(vt_stats, "vt.msr", msr), COUNTER(vt_stats, "vt.late_writes", late_writes), COUNTER(vt_stats, "vt.pic_interrupts", interrupts),
    COUNTER(vt_stats, "vt.eoi", eoi), COUNTER(vt_stats, "vt.irq_windows", windows), COUNTER(vt_stats, "vt.memory_slots", slots),
    COUNTER(vt_stats, "vt.gates", gates),
};
static const struct counter bt_counters[] = {
    COUNTER(bt_stats, "bt.blocks", blocks), COUNTER(bt_stats, "bt.code_bytes", code_bytes), COUNTER(bt_stats, "bt.code_limit", code_limit),
    COUNTER(bt_stats, "bt.flushes", flushes), COUNTER(bt_stats, "bt.translations", translations),
    COUNTER(bt_stats, "bt.tlb_fills", tlb_fills), COUNTER(bt_stats, "bt.slow_accesses", slow_accesses),
    COUNTER(bt_stats, "bt.callouts", callouts), COUNTER(bt_stats, "bt.interrupts", interrupts),
    COUNTER(bt_stats, "bt.exceptions", exceptions), COUNTER(bt_stats, "bt.smc_drops", smc_drops),
    COUNTER(bt_stats, "bt.revivals", revivals),
    COUNTER(bt_stats, "bt.hot_blocks", hot_blocks),
};

void machine_statistics(struct machine *m, void (*fn)(void *u, const char *name, uint64_t value), void *u)
{
    struct vm_stats vs;
    vm_get_stats(m->vm, &vs);
    fn(u, "guest.uptime_ns", (uint64_t)clock_now(m->vm));
    fn(u, "guest.tsc_khz", clock_tsc_khz(m->vm));
    memory_statistics(m->memory, fn, u);
    COUNTERS_TELL(vm_counters, &vs, fn, u);
    if (m->be == &vt_backend) {
        struct vt_stats s;
        vt_get_stats(m->vm, &s);
        COUNTERS_TELL(vt_counters, &s, fn, u);
    }
    if (m->be == &bt_backend) {
        struct bt_stats bs;
        bt_get_stats(m->vm, &bs);
        COUNTERS_TELL(bt_counters, &bs, fn, u);
    }
    for (int i = 0; i < 4; i++) {
        struct blk_stats b;
        char name[48];
        if (!m->drive[i / 2][i % 2].blk)
            continue;
        blk_get_stats(m->drive[i / 2][i % 2].blk, &b);
#define DISK_STAT(field) (snprintf(name, sizeof name, "ide%d:%d." #field, i / 2, i % 2), fn(u, name, b.field))
        DISK_STAT(reads);
        DISK_STAT(writes);
        DISK_STAT(flushes);
        DISK_STAT(read_bytes);
        DISK_STAT(write_bytes);
        DISK_STAT(errors);
    }
    net_link_statistics(m->net, fn, u);
    struct rusage ru;
    if (!getrusage(RUSAGE_SELF, &ru)) {
        fn(u, "process.cpu_user_us", (uint64_t)ru.ru_utime.tv_sec * 1000000 + (uint64_t)ru.ru_utime.tv_usec);
        fn(u, "process.cpu_system_us", (uint64_t)ru.ru_stime.tv_sec * 1000000 + (uint64_t)ru.ru_stime.tv_usec);
        fn(u, "process.max_rss_kb", (uint64_t)ru.ru_maxrss);
    }
    fn(u, "vnc.clients", machine_vnc_clients(m));
}
