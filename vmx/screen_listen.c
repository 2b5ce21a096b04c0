/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Binds the VNC server's port. When it is taken: by which program (as far as /proc tells us), and which port is free. */
#include "screen_listen.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static socklen_t addr_len(const union addr *a) { return a->sa.sa_family == AF_INET6 ? sizeof a->in6 : sizeof a->in; }

static int bind_one(union addr a, unsigned port)
{
    int one = 1, fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (a.sa.sa_family == AF_INET6) {
        a.in6.sin6_port = htons((uint16_t)port);
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    } else {
        a.in.sin_port = htons((uint16_t)port);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &a.sa, addr_len(&a)) || listen(fd, 8)) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

/* The socket that listens on the port, as an inode number; 0: none seen. */
static unsigned long listener_inode(const char *table, unsigned port)
{
    char line[512];
    unsigned long inode = 0;
    FILE *f = fopen(table, "re");
    if (!f)
        return 0;
    while (!inode && fgets(line, sizeof line, f)) {
        unsigned lport, state;
        unsigned long ino;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", &lport, &state, &ino) == 3 && lport == port && state == 0x0a)
            inode = ino;
    }
    fclose(f);
    return inode;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char path[300], want[40], link[80];
    bool found = false;
    snprintf(want, sizeof want, "socket:[%lu]", inode);
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *d = opendir(path);
    if (!d)
        return false;
    for (struct dirent *e; !found && (e = readdir(d));) {
        snprintf(path, sizeof path, "/proc/%.20s/fd/%.20s", pid, e->d_name);
        ssize_t n = readlink(path, link, sizeof link - 1);
        if (n > 0) {
            link[n] = 0;
            found = !strcmp(link, want);
        }
    }
    closedir(d);
    return found;
}

/* "process 123 (qemu)", or "another program" where that cannot be known (a process of another user). */
static void holder(unsigned port, char *out, size_t n)
{
    snprintf(out, n, "another program");
    unsigned long inode = listener_inode("/proc/self/net/tcp", port);
    if (!inode)
        inode = listener_inode("/proc/self/net/tcp6", port);
    DIR *d = inode ? opendir("/proc") : NULL;
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !has_socket(e->d_name, inode))
            continue;
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/%.20s/comm", e->d_name);
        FILE *f = fopen(path, "re");
        if (f) {
            if (fgets(name, sizeof name, f))
                name[strcspn(name, "\n")] = 0;
            fclose(f);
        }
        snprintf(out, n, "process %.20s (%s)", e->d_name, name[0] ? name : "no name");
        break;
    }
    closedir(d);
}

static unsigned free_port(union addr a, unsigned port)
{
    for (unsigned p = port + 1; p <= port + 100 && p < 65536; p++) {
        int fd = bind_one(a, p);
        if (fd >= 0) {
            close(fd);
            return p;
        }
    }
    return 0;
}

int screen_listen(const char *ip, unsigned port, int fd[SCREEN_LISTEN_MAX], int *n, struct err *e)
{
    union addr a[SCREEN_LISTEN_MAX] = {0};
    int n_addr = 1;
    *n = 0;
    if (port < 1 || port > 65535)
        return err_set(e, ERR_CONFIG, 0, "RemoteDisplay.vnc.port is %u: give a TCP port from 1 to 65535.", port);
    if (!ip || !*ip) {
        a[0].in.sin_family = AF_INET;
        a[1].in6.sin6_family = AF_INET6;
        n_addr = 2;
    } else if (inet_pton(AF_INET, ip, &a[0].in.sin_addr) == 1) {
        a[0].in.sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, ip, &a[0].in6.sin6_addr) == 1) {
        a[0].in6.sin6_family = AF_INET6;
    } else {
        return err_set(e, ERR_CONFIG, 0, "RemoteDisplay.vnc.ip is \"%.80s\": give an address like 127.0.0.1, or nothing for all addresses.", ip);
    }
    for (int i = 0; i < n_addr; i++) {
        int s = bind_one(a[i], port);
        if (s >= 0) {
            fd[(*n)++] = s;
            continue;
        }
        int err = errno;
        if (i == 1 && err != EADDRINUSE)
            break; /* a host without IPv6 */
        for (int k = 0; k < *n; k++)
            close(fd[k]);
        *n = 0;
        const char *where = ip && *ip ? ip : "this computer";
        if (err == EADDRINUSE) {
            char who[80];
            unsigned next = free_port(a[i], port);
            holder(port, who, sizeof who);
            if (next)
                return err_set(e, ERR_BUSY, err, "TCP port %u on %s is in use by %s: set RemoteDisplay.vnc.port = \"%u\", which is free.", port, where,
                               who, next);
            return err_set(e, ERR_BUSY, err, "TCP port %u on %s is in use by %s: set RemoteDisplay.vnc.port to a free one.", port, where, who);
        }
        if (err == EACCES)
            return err_set(e, ERR_DENIED, err, "TCP port %u may only be used by root: set RemoteDisplay.vnc.port to 1024 or more.", port);
        if (err == EADDRNOTAVAIL)
            return err_set(e, ERR_CONFIG, err, "RemoteDisplay.vnc.ip is %s, which is not an address of this computer.", where);
        return err_set(e, ERR_HOST, err, "The VNC server cannot listen on port %u of %s: %s.", port, where, strerror(err));
    }
    return 0;
}
