/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lodge-vmnet: the virtual networks of one user. One process serves all machines of the user; it is started by the first of them that needs it
 * (net/launcher.h) and ends by itself when none does any more. The same program is its command line. docs/networks.md, man lodge-vmnet.
 *
 * Order of steps: lock and socket (only the owner's uid gets in); launcher; configuration; sandbox; chipset thread; loop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "core/vm.h"
#include "net/launcher.h"
#include "vmnet.h"

enum { IDLE_MS = 3000, SAVE_MS = 10000, LOCK_MS = 3000 };

static volatile sig_atomic_t stopping;
static void on_signal(int sig) { stopping = sig; }

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the machine without processors ---- */

static int no_vcpu_init(struct vcpu *v, struct err *e)
{
    (void)v, (void)e;
    return 0;
}
static void no_vcpu(struct vcpu *v) { (void)v; }
static enum vcpu_exit halted(struct vcpu *v)
{
    vcpu_safe_point(v);
    return VX_HALT;
}
static void no_reset(struct vcpu *v, bool init) { (void)v, (void)init; }
static void no_sipi(struct vcpu *v, uint8_t vector) { (void)v, (void)vector; }
static const struct cpu_backend no_cpu = {.name = "none", .vcpu_init = no_vcpu_init, .vcpu_fini = no_vcpu, .run = halted, .kick = no_vcpu, .reset = no_reset,
                                          .sipi = no_sipi};
static bool never_pending(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return false;
}
static int never(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return -1;
}

static struct vm *make_loop(struct err *e)
{
    static const struct vm_events events;
    struct vm_params p = {.n_vcpus = 1, .cpu = {.cores_per_socket = 1}, .tsc_khz = 1000000};
    struct vm *vm = vm_create(&p, &no_cpu, &events, NULL, e);
    if (vm)
        intr_set_ctl(vm, &(struct intr_ctl){.take = never, .pending = never_pending});
    return vm;
}

/* ---- connections ---- */

void conn_error(struct conn *c, const char *text)
{
    struct netmsg m;
    netmsg_init(&m, "error");
    netmsg_add(&m, "text", "%.390s", text);
    netmsg_send(c->fd, &m, -1, MSG_DONTWAIT);
    shutdown(c->fd, SHUT_RD); /* the loop sees its end */
}

static void conn_close(struct server *sv, unsigned i)
{
    struct conn *c = sv->conn[i];
    network_detach(c);
    close(c->fd);
    free(c);
    sv->conn[i] = sv->conn[--sv->n_conns];
}

static void conn_accept(struct server *sv, int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (fd < 0)
        return;
    struct conn *c = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.uid != getuid() || sv->n_conns == CONNS || !(c = calloc(1, sizeof *c))) {
        close(fd);
        return;
    }
    c->sv = sv;
    c->fd = fd;
    c->pid = peer.pid;
    sv->conn[sv->n_conns++] = c;
}

/* False: close it. */
static bool conn_read(struct conn *c)
{
    struct netmsg m;
    int fd, r = netmsg_recv(c->fd, &m, &fd, MSG_DONTWAIT);
    if (fd >= 0)
        close(fd);
    if (r < 0 && errno == EAGAIN)
        return true;
    if (r <= 0)
        return false;
    if (netmsg_is(&m, "attach"))
        network_attach(c, &m);
    else
        control_command(c, &m);
    return true;
}

static int links_socket(void)
{
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    if (s >= 0 && bind(s, (struct sockaddr *)&a, sizeof a)) {
        close(s);
        s = -1;
    }
    return s;
}

static void drain_links(struct server *sv, int s)
{
    char buf[8192];
    ssize_t n;
    while ((n = recv(s, buf, sizeof buf, MSG_DONTWAIT)) > 0 || (n < 0 && errno == ENOBUFS)) {
        if (!sv->links_changed)
            sv->links_at = now_ms();
        sv->links_changed = true;
    }
}

static void loop(struct server *sv, int listen_fd)
{
    int links = links_socket();
    sv->idle_since = now_ms();
    while (!stopping) {
        struct pollfd p[2 + 2 * CONNS + NETCONF_NETS + SEGMENTS + 1];
        struct network *net_of[NETCONF_NETS + SEGMENTS];
        unsigned n = 0, nets = 0, conns = sv->n_conns;
        p[n++] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = links, .events = POLLIN};
        for (unsigned i = 0; i < conns; i++) {
            p[n++] = (struct pollfd){.fd = sv->conn[i]->fd, .events = POLLIN};
            p[n++] = (struct pollfd){.fd = sv->conn[i]->port ? sv->conn[i]->port->chan : -1, .events = POLLIN};
        }
        for (struct network *w = sv->nets; w && nets < NETCONF_NETS + SEGMENTS; w = w->next) {
            net_of[nets++] = w;
            p[n++] = (struct pollfd){.fd = w->host_chan, .events = POLLIN};
        }
        p[n++] = (struct pollfd){.fd = sv->release_chan, .events = POLLIN};
        bool soon = sv->links_changed || sv->release_at;
        if (poll(p, n, soon ? 100 : 1000) < 0 && errno != EINTR)
            break;
        if (stopping)
            break;
        if (p[1].revents)
            drain_links(sv, links);
        for (unsigned i = 0; i < nets; i++)
            if (p[2 + 2 * conns + i].revents)
                network_helper_answer(sv, net_of[i]);
        for (unsigned i = conns; i-- > 0;) {
            if (p[3 + 2 * i].revents && sv->conn[i]->port && sv->conn[i]->port->chan == p[3 + 2 * i].fd)
                bridged_helper_answer(sv->conn[i]);
            if (p[2 + 2 * i].revents && !conn_read(sv->conn[i]))
                conn_close(sv, i);
        }
        if (p[0].revents)
            conn_accept(sv, listen_fd);
        network_tick(sv);
        bridged_tick(sv);
        if (now_ms() - sv->leases_saved > SAVE_MS)
            leases_save(sv);
        if (sv->n_conns || sv->release_at || sv->release_chan >= 0)
            sv->idle_since = now_ms();
        else if (now_ms() - sv->idle_since > IDLE_MS)
            break;
    }
    while (sv->n_conns)
        conn_close(sv, sv->n_conns - 1);
    bridged_end(sv);
    if (links >= 0)
        close(links);
}

/* ---- start ---- */

static void say_problem(void *u, unsigned line, const char *key, const char *value, const char *text)
{
    log_msg(LOG_WARN, "vmnet", "%s:%u: %s = \"%s\": %s", (const char *)u, line, key, value, text);
}

static void log_line(void *u, enum log_level level, const char *module, const char *line)
{
    char when[32];
    time_t t = time(NULL);
    struct tm tm;
    (void)u, (void)level;
    localtime_r(&t, &tm);
    strftime(when, sizeof when, "%F %T", &tm);
    fprintf(stderr, "%s %s: %s\n", when, module, line);
    fflush(stderr);
}

/* The folder is the user's alone: in /tmp somebody else may have made it. */
static int own_folder(const char *dir, struct err *e)
{
    struct stat st;
    char up[256];
    snprintf(up, sizeof up, "%s", dir);
    if (mkdir(dir, 0700) && errno == ENOENT)
        mkdir(dirname(up), 0700), mkdir(dir, 0700);
    if (lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || st.st_mode & 022)
        return err_set(e, ERR_DENIED, errno, "%s is not a folder of this user alone", dir);
    return 0;
}

/* 0: locked and listening; 1: another process serves; -1. */
static int take_socket(int *listen_fd, int *lock_fd, struct sockaddr_un *a, struct err *e)
{
    char lock[128], dir[128];
    a->sun_family = AF_UNIX;
    if (!vmnet_socket_path(a->sun_path, sizeof a->sun_path))
        return err_set(e, ERR_CONFIG, 0, "the name of the socket is too long; set XDG_RUNTIME_DIR to a shorter path");
    snprintf(dir, sizeof dir, "%s", a->sun_path);
    if (own_folder(dirname(dir), e))
        return -1;
    snprintf(lock, sizeof lock, "%.108s.lock", a->sun_path);
    *lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock_fd < 0)
        return err_set(e, ERR_HOST, errno, "%s: %s", lock, strerror(errno));
    for (int ms = 0; flock(*lock_fd, LOCK_EX | LOCK_NB); ms += 20) {
        /* Who has it either serves, or is about to, or is about to end. */
        int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        bool served = s >= 0 && !connect(s, (struct sockaddr *)a, sizeof *a);
        if (s >= 0)
            close(s);
        if (served)
            return 1;
        if (ms > LOCK_MS)
            return err_set(e, ERR_BUSY, 0, "another lodge-vmnet holds %s and does not serve", lock);
        usleep(20000);
    }
    unlink(a->sun_path);
    *listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0177);
    int rc = *listen_fd < 0 || bind(*listen_fd, (struct sockaddr *)a, sizeof *a) || listen(*listen_fd, 64) ? errno : 0;
    umask(old);
    return rc ? err_set(e, ERR_HOST, rc, "%s: %s", a->sun_path, strerror(rc)) : 0;
}

static char *state_path(void)
{
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL, dir[256];
    int rc = base && *base == '/' ? asprintf(&path, "%s/lodge/vmnet-leases", base)
                                  : asprintf(&path, "%s/.local/state/lodge/vmnet-leases", home && *home ? home : "/");
    if (rc < 0)
        return NULL;
    for (size_t i = 1; path[i] && i < sizeof dir; i++)
        if (path[i] == '/') {
            memcpy(dir, path, i);
            dir[i] = 0;
            mkdir(dir, 0700);
        }
    return path;
}

static int serve(bool daemon)
{
    struct server *sv = calloc(1, sizeof *sv);
    struct sockaddr_un a = {0};
    struct err e = {0};
    struct rlimit files;
    int listen_fd = -1, lock_fd = -1, r;
    if (!sv)
        return 1;
    if ((r = take_socket(&listen_fd, &lock_fd, &a, &e))) {
        if (r > 0 && daemon)
            return 0;
        fprintf(stderr, "lodge-vmnet: %s\n", r > 0 ? "it runs already" : e.msg);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    if (!getrlimit(RLIMIT_NOFILE, &files)) { /* NAT's connections */
        files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (daemon) {
        char log[128];
        snprintf(log, sizeof log, "%.100s", a.sun_path);
        char *dot = strrchr(log, '.');
        snprintf(dot ? dot : log, 5, ".log");
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0)
            dup2(fd, 2);
        if (fd > 2)
            close(fd);
        if (chdir("/"))
            return 1;
    }
    log_set_sink(log_line, NULL, LOG_INFO);
    sv->release_chan = -1;
    sv->conf_path = netconf_path();
    sv->leases_path = state_path();
    sv->vm = make_loop(&e);
    if (!sv->conf_path || !sv->leases_path || !sv->vm || launcher_start(&e))
        goto fail;
    conf_load(sv, &sv->conf, say_problem, sv->conf_path, &e);
    if (e.kind) /* the networks are there with their defaults */
        log_msg(LOG_WARN, "vmnet", "%s", e.msg);
    e = (struct err){0};
    if (networks_init(sv, &e))
        goto fail;
    leases_load(sv);
    prctl(PR_SET_DUMPABLE, 0);
    if (sandbox(&e) || vm_run(sv->vm, &e))
        goto fail;
    loop(sv, listen_fd);
    leases_save(sv);
    unlink(a.sun_path);
    close(listen_fd);
    vm_destroy(sv->vm);
    close(lock_fd);
    return 0;
fail:
    log_msg(LOG_ERROR, "vmnet", "%s", e.msg[0] ? e.msg : "out of memory");
    unlink(a.sun_path);
    return 1;
}

/* ---- the command line ---- */

static int command(int argc, char **argv)
{
    static const char *const names[] = {"list", "ports", "leases", "get", "set", "unset", "reload", "check"};
    static const int args[] = {0, 0, 0, 1, 2, 1, 0, 0};
    struct netmsg m;
    struct err e;
    int fd, s, status = 0;
    unsigned k = 0;
    while (k < 8 && strcmp(names[k], argv[0]))
        k++;
    if (k == 8 || argc - 1 != args[k]) {
        fputs("lodge-vmnet: no such command, or a wrong number of arguments. Try lodge-vmnet --help.\n", stderr);
        return 2;
    }
    int ch = launcher_start(&e) ? -1 : launcher_channel(&e);
    netmsg_init(&m, "vmnet");
    if (ch < 0 || netmsg_send(ch, &m, -1, 0) || netmsg_recv_timeout(ch, &m, &s, 15000) != 1 || s < 0) {
        char text[300] = "lodge-vmnet cannot be started.";
        if (ch >= 0)
            netmsg_get(&m, "text", text, sizeof text);
        fprintf(stderr, "lodge-vmnet: %s\n", text);
        return 1;
    }
    netmsg_init(&m, argv[0]);
    if (argc > 1)
        netmsg_add(&m, "key", "%s", argv[1]);
    if (argc > 2)
        netmsg_add(&m, "value", "%s", argv[2]);
    if (netmsg_send(s, &m, -1, 0))
        return 1;
    char text[1100];
    while (netmsg_recv_timeout(s, &m, &fd, 20000) == 1 && !netmsg_is(&m, "end")) {
        netmsg_get(&m, "text", text, sizeof text);
        if (netmsg_is(&m, "error")) {
            fprintf(stderr, "lodge-vmnet: %s\n", text);
            return 1;
        }
        puts(text);
        status = k == 7;
    }
    return netmsg_is(&m, "end") ? status : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"daemon", no_argument, NULL, 'd'}, {"foreground", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'}, {0}};
    int o;
    while ((o = getopt_long(argc, argv, "+dfhV", options, NULL)) != -1) {
        switch (o) {
        case 'd':
            return serve(true);
        case 'f':
            return serve(false);
        case 'h':
            puts("Usage: lodge-vmnet COMMAND\n"
                 "The virtual networks of this user. It is started by itself when a machine needs it.\n\n"
                 "  list              the networks\n"
                 "  ports             adapters that are connected, with counters\n"
                 "  leases            addresses that DHCP has given\n"
                 "  get KEY           a value of the configuration\n"
                 "  set KEY VALUE     change it, e.g. set vmnet8.forward0 \"tcp 127.0.0.1:2222 192.168.108.128:22\"\n"
                 "  unset KEY         back to the default\n"
                 "  check             problems of the configuration file\n"
                 "  reload            read the configuration file again\n"
                 "  -f, --foreground  serve, and write messages here\n"
                 "  -h, --help        this text\n"
                 "  -V, --version     version");
            return 0;
        case 'V':
            puts("lodge-vmnet " PACKAGE_VERSION);
            return 0;
        default:
            return 2;
        }
    }
    if (optind == argc) {
        fputs("lodge-vmnet: name a command. Try lodge-vmnet --help.\n", stderr);
        return 2;
    }
    return command(argc - optind, argv + optind);
}
