/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Crash report. The handler uses only async-signal-safe calls; backtrace() is loaded beforehand, as its first use allocates. */
#define _GNU_SOURCE
#include "crash.h"

#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/vcpu.h"
#include "core/vm.h"
#include "vmlog.h"

enum { ALT_STACK = 64 << 10 };

static struct vm *_Atomic watched;
static atomic_flag reporting = ATOMIC_FLAG_INIT;

static void out(const char *s, size_t n)
{
    int fd = vmlog_fd();
    if (fd >= 0)
        (void)!write(fd, s, n);
    (void)!write(2, s, n);
}

static void say(const char *s) { out(s, strlen(s)); }

static void say_hex(const char *what, uint64_t v)
{
    char buf[64], *p = buf;
    while (*what && p < buf + 40)
        *p++ = *what++;
    *p++ = '0';
    *p++ = 'x';
    for (int i = 60; i >= 0; i -= 4)
        if (v >> i || !i)
            *p++ = "0123456789abcdef"[v >> i & 15];
    out(buf, (size_t)(p - buf));
}

static void on_crash(int sig, siginfo_t *si, void *ctx)
{
    if (!atomic_flag_test_and_set(&reporting)) {
        const ucontext_t *uc = ctx;
        char name[16] = "";
        (void)prctl(PR_GET_NAME, name, 0, 0, 0);
        say("\nLodge has crashed; please report this with the log.\nCore report: ");
        say(sig == SIGSEGV  ? "SIGSEGV"
            : sig == SIGBUS ? "SIGBUS"
            : sig == SIGILL ? "SIGILL"
            : sig == SIGFPE ? "SIGFPE"
                            : "SIGABRT");
        say(" in thread ");
        say(name);
        say_hex(", host pc ", (uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
        say_hex(", address ", (uint64_t)(uintptr_t)si->si_addr);
        say("\n");
        struct vm *vm = atomic_load(&watched);
        const struct cpu_backend *be = vm ? vm_backend(vm) : NULL;
        for (unsigned i = 0; be && be->crash_report && i < vm_vcpu_count(vm); i++) {
            char buf[1024];
            int n = be->crash_report(vm_vcpu(vm, i), buf, sizeof buf);
            if (n > 0) {
                out(buf, (size_t)n < sizeof buf ? (size_t)n : sizeof buf - 1);
                say("\n");
            }
        }
        void *frames[40];
        int n = backtrace(frames, 40);
        if (vmlog_fd() >= 0)
            backtrace_symbols_fd(frames, n, vmlog_fd());
        backtrace_symbols_fd(frames, n, 2);
    }
    signal(sig, SIG_DFL);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
}

void crash_thread_started(void)
{
    stack_t old;
    if (!sigaltstack(NULL, &old) && !(old.ss_flags & SS_DISABLE))
        return;
    void *p = mmap(NULL, ALT_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (p != MAP_FAILED)
        sigaltstack(&(stack_t){.ss_sp = p, .ss_size = ALT_STACK}, NULL); /* lives as long as the thread; the process has few */
}

void crash_init(void)
{
    static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    void *frame[1];
    (void)backtrace(frame, 1);
    crash_thread_started();
    struct sigaction sa = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < sizeof sigs / sizeof sigs[0]; i++)
        sigaction(sigs[i], &sa, NULL);
}

void crash_watch(struct vm *vm) { atomic_store(&watched, vm); }
