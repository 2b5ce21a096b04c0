/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher: a process that starts programs for a sandboxed one; launcher.h.
 *
 * The owner gives it channels over one socket (each new channel is a descriptor in a message); requests come on the channels and are served one
 * after the other. A helper that does not end within HELPER_MS is killed: what it has done so far is undone by its next run.
 */
#define _GNU_SOURCE
#include "net/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/netmsg.h"

enum { CHANNELS = 128, HELPER_MS = 15000, START_MS = 8000, STEP_MS = 20 };

static int owner_sock = -1; /* the owner's end */

/* Beside this program first: a build tree runs its own programs. */
static bool find_program(const char *name, const char *dir, char *buf, size_t n)
{
    char self[PATH_MAX];
    ssize_t r = readlink("/proc/self/exe", self, sizeof self - 1);
    if (r > 0) {
        self[r] = 0;
        char *slash = strrchr(self, '/');
        /* A test lives in tests/<folder> of the build tree. */
        for (int up = 0; slash && up < 3; up++) {
            *slash = 0;
            if ((size_t)snprintf(buf, n, "%s/%s", self, name) < n && !access(buf, X_OK))
                return true;
            slash = strrchr(self, '/');
        }
    }
    return (size_t)snprintf(buf, n, "%s/%s", dir, name) < n && !access(buf, X_OK);
}

bool vmnet_socket_path(char *buf, size_t n)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    char own[64];
    struct stat st;
    snprintf(own, sizeof own, "/run/user/%u", (unsigned)getuid());
    int len;
    if (run && *run == '/')
        len = snprintf(buf, n, "%s/lodge/vmnet.sock", run);
    else if (!stat(own, &st) && st.st_uid == getuid())
        len = snprintf(buf, n, "%s/lodge/vmnet.sock", own);
    else
        len = snprintf(buf, n, "/tmp/lodge-%u/vmnet.sock", (unsigned)getuid());
    return len > 0 && (size_t)len < n && (size_t)len < sizeof((struct sockaddr_un *)0)->sun_path;
}

static int connect_vmnet(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (!vmnet_socket_path(a.sun_path, sizeof a.sun_path))
        return -1;
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0)
        return -1;
    /* Whoever else managed to put a socket there gets no frames. */
    if (connect(s, (struct sockaddr *)&a, sizeof a) || getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.uid != getuid()) {
        close(s);
        return -1;
    }
    return s;
}

/* argv[0] is the path. stdin and stdout are /dev/null; fd3: the helper's socket, or -1. */
static pid_t spawn(char *const argv[], int fd3, bool keep_env)
{
    extern char **environ;
    char *clean[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    pid_t pid = -1;
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, dfl;
    sigemptyset(&none);
    sigfillset(&dfl);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_RDWR, 0);
    if (fd3 >= 0)
        posix_spawn_file_actions_adddup2(&fa, fd3, 3);
    posix_spawn_file_actions_addclosefrom_np(&fa, fd3 >= 0 ? 4 : 3);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &dfl);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    if (posix_spawn(&pid, argv[0], &fa, &at, argv, keep_env ? environ : clean))
        pid = -1;
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    return pid;
}

static void answer_error(int ch, const char *fmt, const char *arg)
{
    struct netmsg m;
    netmsg_init(&m, "error");
    netmsg_add(&m, "text", fmt, arg);
    netmsg_send(ch, &m, -1, MSG_DONTWAIT);
}

static void do_vmnet(int ch)
{
    int s = connect_vmnet();
    if (s < 0) {
        char path[PATH_MAX];
        if (!find_program("lodge-vmnet", LODGE_BINDIR, path, sizeof path)) {
            answer_error(ch, "The program lodge-vmnet, which makes virtual networks, is not installed. Install all of Lodge again.%s", "");
            return;
        }
        char *argv[] = {path, "--daemon", NULL};
        pid_t pid = spawn(argv, -1, true);
        /* Another's start may win: that one serves as well. */
        for (int ms = 0; ms < START_MS && (s = connect_vmnet()) < 0; ms += STEP_MS)
            usleep(STEP_MS * 1000);
        int st;
        while (pid > 0 && waitpid(-1, &st, WNOHANG) > 0)
            ;
    }
    if (s < 0) {
        answer_error(ch, "lodge-vmnet, which makes virtual networks, could not be started. Run \"lodge-vmnet --foreground\" to see why.%s", "");
        return;
    }
    struct netmsg m;
    netmsg_init(&m, "ok");
    netmsg_send(ch, &m, s, MSG_DONTWAIT);
    close(s);
}

static void do_helper(int ch, const struct netmsg *req)
{
    static const char *const ops[] = {"attach", "hostonly", "release"};
    static const char *const keys[] = {"interface", "method", "mac", "name", "address", "address6"};
    char path[PATH_MAX], op[16], value[6][128], *argv[16];
    int n = 0, pair[2], fd = -1, st;
    bool good = false;
    netmsg_get(req, "op", op, sizeof op);
    for (unsigned i = 0; i < 3; i++)
        good |= !strcmp(op, ops[i]);
    const char *own = getenv("LODGE_NETHELPER"); /* without its file capabilities it can do nothing, so no secret is lost */
    if (own ? (size_t)snprintf(path, sizeof path, "%s", own) >= sizeof path : !find_program("lodge-nethelper", LODGE_LIBEXECDIR, path, sizeof path))
        good = false;
    if (!good) {
        answer_error(ch, "The program lodge-nethelper is not installed at %s: without it machines cannot use the host's network interfaces. "
                         "Install all of Lodge, or use NAT.", LODGE_LIBEXECDIR);
        return;
    }
    argv[n++] = path;
    argv[n++] = op;
    for (unsigned i = 0; i < 6; i++) {
        char arg[128];
        if (netmsg_get(req, keys[i], arg, sizeof arg - 16) && arg[0]) {
            if (snprintf(value[i], sizeof value[i], "%s=%s", keys[i], arg) >= (int)sizeof value[i])
                continue;
            argv[n++] = value[i];
        }
    }
    argv[n] = NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        answer_error(ch, "The host has no more sockets.%s", "");
        return;
    }
    pid_t pid = spawn(argv, pair[1], false);
    close(pair[1]);
    struct netmsg m;
    if (pid < 0) {
        answer_error(ch, "%s cannot be executed.", path);
    } else if (netmsg_recv_timeout(pair[0], &m, &fd, HELPER_MS) == 1) {
        netmsg_send(ch, &m, fd, MSG_DONTWAIT);
    } else {
        if (errno == ETIMEDOUT)
            kill(pid, SIGKILL);
        answer_error(ch, "%s ended without an answer.", path);
    }
    if (fd >= 0)
        close(fd);
    close(pair[0]);
    if (pid > 0)
        waitpid(pid, &st, 0);
}

_Noreturn static void serve(int owner)
{
    struct pollfd p[1 + CHANNELS] = {{.fd = owner, .events = POLLIN}};
    unsigned n = 1;
    for (;;) {
        if (poll(p, n, -1) < 0 && errno != EINTR)
            _exit(1);
        struct netmsg m;
        int fd;
        for (unsigned i = n; i-- > 1;) {
            if (!p[i].revents)
                continue;
            int r = netmsg_recv(p[i].fd, &m, &fd, MSG_DONTWAIT);
            if (fd >= 0)
                close(fd);
            if (r < 0 && errno == EAGAIN)
                continue;
            if (r <= 0) {
                close(p[i].fd);
                p[i] = p[--n];
            } else if (netmsg_is(&m, "vmnet")) {
                do_vmnet(p[i].fd);
            } else if (netmsg_is(&m, "helper")) {
                do_helper(p[i].fd, &m);
            } else {
                answer_error(p[i].fd, "Unknown request.%s", "");
            }
        }
        if (p[0].revents) {
            int r = netmsg_recv(owner, &m, &fd, MSG_DONTWAIT);
            if (r == 0 || (r < 0 && errno != EAGAIN))
                _exit(0);
            if (r == 1 && fd >= 0 && n < 1 + CHANNELS)
                p[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
            else if (fd >= 0)
                close(fd);
        }
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}

int launcher_start(struct err *e)
{
    int pair[2];
    if (owner_sock >= 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return err_set(e, ERR_HOST, errno, "The host has no more sockets: %s.", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        int rc = errno;
        close(pair[0]);
        close(pair[1]);
        return err_set(e, ERR_HOST, rc, "The host has no more processes: %s.", strerror(rc));
    }
    if (pid == 0) {
        /* A session of its own, so that Ctrl+C in the terminal ends the machine first. */
        setsid();
        prctl(PR_SET_NAME, "lodge-launcher");
        static const int ignored[] = {SIGINT, SIGHUP, SIGPIPE};
        for (unsigned i = 0; i < 3; i++)
            signal(ignored[i], SIG_IGN);
        signal(SIGTERM, SIG_DFL);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC), s = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
        if (null < 0 || s < 0)
            _exit(1);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2); /* else whoever waits for the end of the owner's output waits for ours */
        dup2(s, 3);
        close_range(4, ~0u, 0);
        fcntl(3, F_SETFD, FD_CLOEXEC);
        if (chdir("/"))
            _exit(1);
        serve(3);
    }
    close(pair[1]);
    owner_sock = pair[0];
    return 0;
}

void launcher_stop(void)
{
    if (owner_sock >= 0)
        close(owner_sock);
    owner_sock = -1;
}

int launcher_channel(struct err *e)
{
    int pair[2];
    if (owner_sock < 0)
        return err_set(e, ERR_UNSUPPORTED, 0, "This process cannot start programs.");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return err_set(e, ERR_HOST, errno, "The host has no more sockets: %s.", strerror(errno));
    struct netmsg m;
    netmsg_init(&m, "channel");
    int rc = netmsg_send(owner_sock, &m, pair[1], 0);
    close(pair[1]);
    if (rc) {
        rc = errno;
        close(pair[0]);
        return err_set(e, ERR_HOST, rc, "The process that starts programs is gone: %s.", strerror(rc));
    }
    return pair[0];
}
