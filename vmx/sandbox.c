/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process gives up what it no longer needs: no_new_privs, then one seccomp filter per kind of thread.
 *
 *   vcpu     runs the guest: futex, memory mapping (not executable from nothing: see below), signals to itself, eventfd and log writes
 *   vcpu-vt  the same under hardware virtualization: and the requests of KVM that a running machine makes, no others
 *   chipset  device models: the same, and I/O on descriptors that are open (serial, timers, sockets that accept)
 *   chipset-net  the same, and the sockets of NAT: TCP, UDP and ping, no others; files only for reading (name servers, TFTP)
 *   blkio    file I/O on open descriptors, and completions: what devices do then (under VT: interrupt messages)
 *   screen   VNC clients: sockets that are open, accept, pairs of Unix sockets
 *   memory   trimming and accounting of guest memory: what all threads have, and reading from files in /proc that are open
 *   main     control and power: also opens files, makes threads and sockets, because media change and log rotation need it
 *
 * A refused call traps (SIGSYS); the handler makes it fail with EPERM and logs it once, so that a call forgotten in a table shows up in the log
 * and stops nothing. execve, ptrace, mount, bpf, modules, keyrings ... are in no table. Threads that main starts inherit main's filter and add
 * their own. All threads share one address space, so the filters bound what a takeover of the process can do at most to main's table; they keep
 * an ordinary bug in a device model from becoming more than that.
 */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/log.h"
#include "vmlog.h"

/* Every thread: what libc and the translator need to live. */
static const int base_calls[] = {
    SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(brk),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack), SCMP_SYS(gettid), SCMP_SYS(getpid),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(membarrier),
    SCMP_SYS(arch_prctl), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(write), SCMP_SYS(restart_syscall), SCMP_SYS(getrandom),
    SCMP_SYS(seccomp), SCMP_SYS(set_tid_address),
};
/* I/O on descriptors that are open already. */
static const int io_calls[] = {
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(flock), SCMP_SYS(sync_file_range), SCMP_SYS(fadvise64),
};
static const int poll_calls[] = {
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(eventfd2), SCMP_SYS(prctl),
};
static const int socket_calls[] = {
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown),
    SCMP_SYS(setsockopt), SCMP_SYS(getsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};
/* The display makes a new memfd when the guest changes its mode. */
static const int surface_calls[] = {SCMP_SYS(memfd_create)};
static const int memory_calls[] = {SCMP_SYS(pread64), SCMP_SYS(fallocate)};
/* main: files (media change, log rotation, configuration), threads, the control socket. */
static const int main_calls[] = {
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(rename), SCMP_SYS(renameat),
    SCMP_SYS(renameat2), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(symlink),
    SCMP_SYS(symlinkat), SCMP_SYS(fchmod), SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(umask),
    SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(pipe2), SCMP_SYS(epoll_create1), SCMP_SYS(timerfd_create),
    SCMP_SYS(socketpair), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(connect), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getppid), SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit), SCMP_SYS(kcmp), SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_getparam), SCMP_SYS(sched_setattr), SCMP_SYS(sched_getattr),
    SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(wait4), SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigpending), SCMP_SYS(signalfd4), SCMP_SYS(msync), SCMP_SYS(mincore), SCMP_SYS(utimensat),
};

/* What a vCPU's thread asks of KVM while the machine runs: entering the guest, registers, interrupts, and what its port and memory accesses
 * change (memory slots, routes, log of written pages). Machines and processors are made by main. */
static const uint32_t kvm_requests[] = {
    KVM_RUN, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_SREGS2, KVM_SET_SREGS2, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS,
    KVM_GET_XCRS, KVM_SET_XCRS, KVM_GET_XSAVE, KVM_SET_XSAVE, KVM_GET_MSRS, KVM_SET_MSRS, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
    KVM_GET_MP_STATE, KVM_SET_MP_STATE, KVM_SET_GUEST_DEBUG, KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_INTERRUPT, KVM_NMI, KVM_SMI, KVM_SIGNAL_MSI, KVM_SET_GSI_ROUTING,
    KVM_SET_USER_MEMORY_REGION, KVM_GET_DIRTY_LOG, KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO, KVM_SET_DEVICE_ATTR,
};

static _Atomic uint8_t refused[64]; /* one bit a call number: logged already */

static char *put_text(char *p, const char *s)
{
    while (*s)
        *p++ = *s++;
    return p;
}

static char *put_number(char *p, unsigned v)
{
    char d[12];
    int n = 0;
    do
        d[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *p++ = d[--n];
    return p;
}

/* Async-signal-safe: the trap may come while the thread holds the log's lock. */
static void on_refused(int sig, siginfo_t *si, void *ctx)
{
    int saved = errno;
    ucontext_t *uc = ctx;
    unsigned nr = (unsigned)si->si_syscall;
    uc->uc_mcontext.gregs[REG_RAX] = -EPERM;
    unsigned byte = nr / 8 % sizeof refused;
    uint8_t bit = (uint8_t)(1u << nr % 8);
    if (!(atomic_fetch_or(&refused[byte], bit) & bit)) {
        char buf[160], *p = put_text(buf, "sandbox: system call "), name[16] = "";
        p = put_number(p, nr);
        p = put_text(p, " refused in thread ");
        if (!syscall(SYS_prctl, PR_GET_NAME, name, 0, 0, 0))
            p = put_text(p, name);
        *p++ = '\n';
        int fd = vmlog_fd();
        (void)!write(fd >= 0 ? fd : 2, buf, (size_t)(p - buf));
    }
    errno = saved;
}

int sandbox_init(struct err *e)
{
    struct sigaction sa = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGSYS, &sa, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_set(e, ERR_HOST, errno, "the process cannot give up privileges: %s", strerror(errno));
    return 0;
}

static int add(scmp_filter_ctx f, const int *calls, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = calls[i] < 0 ? 0 : seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0); /* < 0: not on this architecture */
    return rc;
}

/* libslirp's sockets. Raw ones are refused; files are opened for reading only. */
static int add_net(scmp_filter_ctx f)
{
    static const int calls[] = {SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen)};
    static const unsigned families[] = {AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM};
    int rc = add(f, calls, sizeof calls / sizeof calls[0]);
    for (unsigned i = 0; i < 4 && !rc; i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, families[i / 2]), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xF, types[i % 2]));
    if (!rc)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    return rc;
}
#define ADD(set) add(f, set, sizeof set / sizeof set[0])

/* Entering the guest is what such a thread does all the time, and libseccomp asks for the other requests of KVM first: so this goes before. */
static int load_kvm_run_first(scmp_filter_ctx f)
{
    enum { MAX = 4096, N_FIRST = 7 };
    const struct sock_filter first[N_FIRST] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_filter *code = malloc((N_FIRST + MAX) * sizeof *code);
    int fd = memfd_create("filter", MFD_CLOEXEC), rc = -ENOMEM;
    if (code && fd >= 0 && !(rc = seccomp_export_bpf(f, fd))) {
        memcpy(code, first, sizeof first);
        ssize_t n = pread(fd, code + N_FIRST, MAX * sizeof *code, 0);
        struct sock_fprog prog = {.len = (unsigned short)(N_FIRST + (n > 0 ? (size_t)n / sizeof *code : 0)), .filter = code};
        rc = n <= 0 || n == MAX * sizeof *code ? -EIO : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) ? -errno : 0;
    }
    if (fd >= 0)
        close(fd);
    free(code);
    return rc;
}

void sandbox_enter(const char *kind)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_TRAP);
    bool vt = !strcmp(kind, "vcpu-vt"), vcpu = vt || !strcmp(kind, "vcpu");
    bool blkio = !strcmp(kind, "blkio"), screen = !strcmp(kind, "screen"), top = !strcmp(kind, "main"), memory = !strcmp(kind, "memory");
    bool net = !strcmp(kind, "chipset-net");
    int rc = f ? 0 : -ENOMEM;
    if (f) {
        /* Speculation stays as it was: turning store bypass off would slow the guest, and the filter is no boundary against it. */
        (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
        (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        rc = ADD(base_calls);
        /* Signals only to threads of this process. */
        if (!rc)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
        if (!rc && vcpu) /* the thread's name for the log; nothing that changes the process */
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_GET_NAME));
        /* A vCPU thread runs the devices' port handlers itself, so it does their output (serial, eventfd, memfd of a new mode) too. */
        if (!rc && memory)
            rc = ADD(memory_calls);
        if (!rc && !memory)
            rc = ADD(io_calls);
        if (!rc && !blkio && !memory)
            rc = ADD(surface_calls);
        if (!rc && vcpu)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(epoll_ctl), 0);
        if (!rc && (vcpu || blkio))
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(timerfd_settime), 0);
        if (!rc && vcpu)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 0);
        for (unsigned i = 0; i < sizeof kvm_requests / sizeof kvm_requests[0] && !rc && vt; i++)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, kvm_requests[i]));
        /* A completion may raise its interrupt right there; which engine has the local APICs may change while the thread lives. */
        if (!rc && blkio)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, KVM_SIGNAL_MSI));
        if (!rc && !vcpu && !blkio && !memory)
            rc = ADD(poll_calls);
        if (!rc && !vcpu && !blkio && !memory)
            rc = ADD(socket_calls);
        if (!rc && !vcpu && !blkio && !screen && !top && !memory) /* a pipe's peer that comes back, a terminal's settings */
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0);
        if (!rc && net)
            rc = add_net(f);
        if (!rc && screen) /* bytes waiting in a socket */
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, 0x541B));
        if (!rc && screen) /* a viewer's own end of its connection */
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
        if (!rc && top)
            rc = ADD(main_calls);
        if (!rc && top)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0);
        if (!rc && top) /* signals to itself for the default action after a crash report */
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
        /* Unix sockets, and those of the VNC server when a machine is powered on over the control API. */
        static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6};
        for (unsigned i = 0; i < 3 && !rc && top; i++)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, families[i]));
        /* Threads, no processes. clone3's flags lie in memory, where a filter cannot look: libc falls back to clone. */
        if (!rc && top)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
        if (!rc && top)
            rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
        if (!rc)
            rc = vt ? load_kvm_run_first(f) : seccomp_load(f);
        seccomp_release(f);
    }
    if (rc) {
        log_msg(LOG_ERROR, "sandbox", "the filter for %s threads cannot be set: %s", kind, strerror(-rc));
        fprintf(stderr, "lodge-vmx: the sandbox cannot be set up (%s): the kernel must have seccomp\n", strerror(-rc));
        _exit(70);
    }
}
