/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host signals on a vCPU thread. A fault in translated code becomes the guest's exception (the state is in the host registers, so only the
 * guest pc is looked up); a fault anywhere else is our bug and goes to whoever handled it before us. The kick signal makes translated code
 * leave: it spoils ctx, which every jump between pages compares, and unlinks the block that is running, which ends loops inside a page.
 */
#define _GNU_SOURCE
#include "bt/bt_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <asm/prctl.h>

#define KICK_SIGNAL (SIGRTMIN + 3)

static __thread struct bt_cpu *this_cpu;
static struct sigaction old_action[65];

extern char bt_xrstor_insn[], bt_xrstor_fail[];

static void pass_on(int sig, siginfo_t *si, void *uc)
{
    struct sigaction *o = &old_action[sig];
    if (o->sa_flags & SA_SIGINFO && o->sa_sigaction) {
        o->sa_sigaction(sig, si, uc);
        return;
    }
    if (o->sa_handler != SIG_DFL && o->sa_handler != SIG_IGN) {
        o->sa_handler(sig);
        return;
    }
    signal(sig, SIG_DFL); /* the instruction runs again and ends the process with a core */
}

static bool in_code(const struct bt_cpu *bc, uint64_t ip)
{
    uint64_t base = (uint64_t)(uintptr_t)bc->code_rx;
    return ip >= base && ip < base + CODE_SIZE;
}

static void on_kick(int sig, siginfo_t *si, void *ucv)
{
    struct bt_cpu *bc = this_cpu;
    ucontext_t *uc = ucv;
    if (!bc)
        return;
    uint64_t ip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    bc->exit_req = 1;
    bc->ctx = bc->gctx = ~0u;
    uint32_t idx;
    if (in_code(bc, ip)) {
        if (bt_block_of_host(bc, ip, &idx)) {
            bt_unlink_out(bc, idx);
            bc->hot_sample = idx;
        }
    } else if (ip >= (uint64_t)(uintptr_t)bt_resume_begin && ip < (uint64_t)(uintptr_t)bt_resume_end) {
        bt_unlink_current(bc);
    }
}

static void on_fault(int sig, siginfo_t *si, void *ucv)
{
    struct bt_cpu *bc = this_cpu;
    ucontext_t *uc = ucv;
    greg_t *g = uc->uc_mcontext.gregs;
    uint64_t ip = (uint64_t)g[REG_RIP];
    if (bc && ip == (uint64_t)(uintptr_t)bt_xrstor_insn) {
        g[REG_RIP] = (greg_t)(uintptr_t)bt_xrstor_fail;
        return;
    }
    uint32_t idx;
    if (!bc || !in_code(bc, ip) || !bt_block_of_host(bc, ip, &idx)) {
        pass_on(sig, si, ucv);
        return;
    }
    struct bt_block *b = &bc->blocks[idx];
    uint16_t off;
    if (b->tramp_target) {
        off = b->off;
        b = &bc->blocks[b->tramp_target];
    } else {
        off = bt_guest_off(bc, b, ip);
    }
    unsigned trap = (unsigned)g[REG_TRAPNO];
    switch (trap) {
    case X_DE:
    case X_UD:
    case X_MF:
    case X_XM:
        cpu_raise(&bc->c, (uint8_t)trap);
        break;
    case X_GP:
        cpu_raise_code(&bc->c, X_GP, 0);
        break;
    case X_AC:
        cpu_raise_code(&bc->c, X_AC, 0);
        break;
    default:
        pass_on(sig, si, ucv);
        return;
    }
    static const uint8_t map[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (unsigned i = 0; i < 16; i++)
        if (i != 10 && i != 11)
            bc->c.s.gpr[i] = (uint64_t)g[map[i]];
    uint64_t f = (uint64_t)g[REG_EFL];
    bc->hflags = (uint16_t)(((f & 0xd5) | 2) << 8 | ((f >> 11) & 1));
    bt_flags_in(bc);
    bt_flags_recover(bc, (uint32_t)(b - bc->blocks), off, true);
    uint64_t rip = bc->cells[b->cpage].va + off;
    bc->c.s.rip = (bc->mode & M_CODE) == M_CODE64 ? rip : (uint32_t)rip;
    g[REG_RIP] = (greg_t)(uintptr_t)bt_stub_fault;
}

int bt_signals_init(struct err *e)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction a, cur;
    cpu_zero(&a, sizeof a);
    a.sa_sigaction = on_fault;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (unsigned i = 0; i < 4; i++) {
        if (sigaction(faults[i], NULL, &cur) == 0 && (cur.sa_flags & SA_SIGINFO) && cur.sa_sigaction == on_fault)
            continue;
        if (sigaction(faults[i], &a, &old_action[faults[i]]) < 0)
            return err_set(e, ERR_HOST, errno, "The signal handlers of the translator could not be installed");
    }
    a.sa_sigaction = on_kick;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigfillset(&a.sa_mask);
    if (sigaction(KICK_SIGNAL, &a, NULL) < 0)
        return err_set(e, ERR_HOST, errno, "The signal handlers of the translator could not be installed");
    return 0;
}

void bt_thread_start(struct vcpu *v)
{
    struct bt_cpu *bc = v->be;
    this_cpu = bc;
    bc->thread = pthread_self();
    stack_t ss = {.ss_size = 256 << 10};
    ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ss.ss_sp != MAP_FAILED) {
        sigaltstack(&ss, NULL);
        bc->altstack = ss.ss_sp;
    }
    syscall(SYS_arch_prctl, ARCH_SET_GS, bc);
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &m, NULL);
}

void bt_kick(struct vcpu *v)
{
    struct bt_cpu *bc = v->be;
    if (bc->in_run && bc->thread)
        pthread_kill(bc->thread, KICK_SIGNAL);
}
