/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each kind of thread may do its work and nothing else: forbidden calls fail with EPERM, are logged, and stop nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"
#include "tests/tap.h"
#include "vmlog.h"

/* Results of one thread's attempts: 1 worked, 0 refused with EPERM, -1 anything else. */
struct tries {
    int execve, open_write, open_read, socket, ptrace, kill_other, tgkill_other, fork, memory, clock, write, sleep, mount, exec_shm, after;
    int tcp, udp6, ping, raw, packet, unix_;
};

static int result(long rc) { return rc >= 0 ? 1 : errno == EPERM ? 0 : -1; }

static int try_socket(int family, int type, int proto)
{
    int fd = socket(family, type, proto), r = fd < 0 && errno == EACCES ? 1 : result(fd); /* EACCES: let through, and no group for ping */
    if (fd >= 0)
        close(fd);
    return r;
}

static char own_file[64]; /* that nobody else has */

static void attempt(struct tries *t, int out)
{
    char *const argv[] = {"/bin/true", NULL};
    t->execve = result(syscall(SYS_execve, "/bin/true", argv, NULL));
    int fd = open(own_file, O_CREAT | O_WRONLY, 0600);
    t->open_write = result(fd);
    if (fd >= 0) {
        close(fd);
        unlink(own_file);
    }
    fd = open("/etc/passwd", O_RDONLY);
    t->open_read = result(fd);
    if (fd >= 0)
        close(fd);
    fd = socket(AF_NETLINK, SOCK_RAW, 0);
    t->socket = result(fd);
    if (fd >= 0)
        close(fd);
    t->tcp = try_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    t->udp6 = try_socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    t->ping = try_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    t->raw = try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    t->packet = try_socket(AF_PACKET, SOCK_RAW, 0);
    t->unix_ = try_socket(AF_UNIX, SOCK_STREAM, 0);
    t->ptrace = result(syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0));
    t->kill_other = result(kill(getppid(), 0));
    t->tgkill_other = result(syscall(SYS_tgkill, getppid(), getppid(), 0));
    t->mount = result(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* what fork() does */
    t->fork = result(child);
    if (child == 0)
        _exit(0);
    void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    t->memory = p != MAP_FAILED && !mprotect(p, 4096, PROT_READ) && !madvise(p, 8192, MADV_DONTNEED) && !munmap(p, 8192);
    struct timespec ts;
    t->clock = !clock_gettime(CLOCK_MONOTONIC, &ts);
    t->sleep = !clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 1000}, NULL);
    t->write = write(out, "", 1) == 1;
    t->after = 1;
}

struct job {
    const char *kind;
    struct tries *t;
    int out;
};

static void *thread(void *arg)
{
    struct job *j = arg;
    sandbox_enter(j->kind);
    attempt(j->t, j->out);
    return NULL;
}

static bool run(const char *kind, struct tries *t)
{
    struct tries *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pipefd[2];
    if (shared == MAP_FAILED || pipe(pipefd))
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        struct err e;
        if (sandbox_init(&e))
            _exit(1);
        if (!strcmp(kind, "main")) {
            sandbox_enter("main");
            attempt(shared, pipefd[1]);
        } else {
            pthread_t th;
            if (!strncmp(kind, "chipset", 7))
                sandbox_enter("main"); /* as in the program: the thread's filter comes on top of main's */
            struct job j = {kind, shared, pipefd[1]};
            pthread_create(&th, NULL, thread, &j);
            pthread_join(th, NULL);
            _exit(access("/etc/passwd", R_OK) != 0); /* main keeps what it had */
        }
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    *t = *shared;
    munmap(shared, 4096);
    close(pipefd[0]);
    close(pipefd[1]);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && t->after;
}

int main(void)
{
    static const char *const kinds[] = {"vcpu", "chipset", "blkio", "screen", "main", "chipset-net", "memory"};
    snprintf(own_file, sizeof own_file, "/tmp/lodge-sandbox-test.%ld", (long)getpid());
    int quiet = dup(2), null = open("/dev/null", O_WRONLY); /* refused calls are told on standard error */
    for (unsigned i = 0; i < 7; i++) {
        struct tries t = {0};
        const char *k = kinds[i];
        bool top = !strcmp(k, "main"), net = !strcmp(k, "chipset-net");
        dup2(null, 2);
        bool lived = run(k, &t);
        dup2(quiet, 2);
        ok(lived, "%s: goes on after refused calls", k);
        ok(t.execve == 0, "%s: execve is refused", k);
        ok(t.ptrace == 0 && t.mount == 0, "%s: ptrace and mount are refused", k);
        ok(t.kill_other == 0 && t.tgkill_other == 0, "%s: signals to other processes are refused", k);
        ok(t.open_write == (top ? 1 : 0), "%s: opening a file for writing is %s", k, top ? "allowed" : "refused");
        ok(t.open_read == (top || net ? 1 : 0), "%s: opening a file for reading is %s", k, top || net ? "allowed" : "refused");
        int inet = top || net ? 1 : 0;
        ok(t.tcp == inet && t.udp6 == inet && t.ping == inet, "%s: TCP, UDP and ping sockets are %s", k, inet ? "allowed" : "refused");
        ok(t.packet == 0 && (top || t.raw == 0) && t.unix_ == (top ? 1 : 0), "%s: of other sockets Unix ones are %s, raw ones refused", k,
           top ? "allowed" : "refused");
        ok(t.socket == 0, "%s: a netlink socket is refused", k);
        ok(t.fork == 0, "%s: fork is refused", k);
        ok(t.memory && t.clock && t.sleep && t.write, "%s: memory, clock, write on an open descriptor work", k);
    }
    /* The log names the call. */
    char path[] = "/tmp/lodge-sandbox-logXXXXXX", text[4096] = "";
    int fd = mkstemp(path);
    pid_t pid = fork();
    if (pid == 0) {
        struct err e;
        vmlog_start(false);
        vmlog_open(&(struct vmlog_params){.path = path, .append = true}, &e);
        sandbox_init(&e);
        sandbox_enter("vcpu");
        (void)!socket(AF_INET, SOCK_STREAM, 0);
        (void)!socket(AF_INET, SOCK_STREAM, 0);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    char *first = n > 0 ? strstr(text, "system call 41 refused") : NULL;
    ok(first && !strstr(first + 1, "system call 41 refused"), "a refused call is logged, once");
    unlink(path);
    ok(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0, "the test itself is not filtered");
    return TAP_DONE();
}
