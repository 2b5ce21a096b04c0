/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text messages with a descriptor over SOCK_SEQPACKET; netmsg.h. */
#define _GNU_SOURCE
#include "net/netmsg.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void netmsg_init(struct netmsg *m, const char *what)
{
    m->overflow = false;
    m->len = (size_t)snprintf(m->text, sizeof m->text, "%.64s", what);
}

void netmsg_add(struct netmsg *m, const char *key, const char *fmt, ...)
{
    char value[NETMSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    int v = vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    if (v < 0 || (size_t)v >= sizeof value) {
        m->overflow = true;
        return;
    }
    for (char *p = value; *p; p++)
        if (*p == '\n')
            *p = ' ';
    int n = snprintf(m->text + m->len, sizeof m->text - m->len, "\n%s=%s", key, value);
    if (n < 0 || (size_t)n >= sizeof m->text - m->len) {
        m->text[m->len] = 0;
        m->overflow = true;
        return;
    }
    m->len += (size_t)n;
}

bool netmsg_is(const struct netmsg *m, const char *what)
{
    size_t n = strlen(what);
    return !strncmp(m->text, what, n) && (m->text[n] == '\n' || !m->text[n]);
}

bool netmsg_get(const struct netmsg *m, const char *key, char *buf, size_t n)
{
    size_t k = strlen(key);
    for (const char *p = strchr(m->text, '\n'); p; p = strchr(p, '\n')) {
        p++;
        if (strncmp(p, key, k) || p[k] != '=')
            continue;
        p += k + 1;
        size_t len = strcspn(p, "\n");
        if (len >= n)
            break;
        memcpy(buf, p, len);
        buf[len] = 0;
        return true;
    }
    if (n)
        buf[0] = 0;
    return false;
}

int netmsg_send(int sock, const struct netmsg *m, int fd, int flags)
{
    if (m->overflow) {
        errno = EMSGSIZE;
        return -1;
    }
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(sizeof(int))];
    } c = {0};
    struct iovec iov = {(void *)m->text, m->len};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        h.msg_control = &c;
        h.msg_controllen = sizeof c.room;
        struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &fd, sizeof fd);
    }
    ssize_t r;
    do
        r = sendmsg(sock, &h, flags | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -1 : 0;
}

int netmsg_recv(int sock, struct netmsg *m, int *fd, int flags)
{
    union {
        struct cmsghdr h;
        char room[CMSG_SPACE(8 * sizeof(int))];
    } c;
    struct iovec iov = {m->text, sizeof m->text - 1};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.room};
    *fd = -1;
    m->overflow = false;
    m->text[0] = 0;
    m->len = 0;
    ssize_t r;
    do
        r = recvmsg(sock, &h, flags | MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -1;
    /* One descriptor is kept; others that a peer adds are closed. */
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(&h); cm; cm = CMSG_NXTHDR(&h, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int one;
            memcpy(&one, CMSG_DATA(cm) + i * sizeof one, sizeof one);
            if (*fd < 0)
                *fd = one;
            else
                close(one);
        }
    }
    m->text[r] = 0;
    m->len = (size_t)r;
    if (r == 0 && *fd < 0)
        return 0;
    if (h.msg_flags & MSG_TRUNC || memchr(m->text, 0, m->len)) {
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        m->text[0] = 0;
        m->len = 0;
        errno = EBADMSG;
        return -1;
    }
    return 1;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int netmsg_recv_timeout(int sock, struct netmsg *m, int *fd, int ms)
{
    int64_t end = now_ms() + ms;
    *fd = -1;
    for (;;) {
        int64_t left = end - now_ms();
        struct pollfd p = {.fd = sock, .events = POLLIN};
        int r = poll(&p, 1, left > 0 ? (int)left : 0);
        if (r > 0)
            return netmsg_recv(sock, m, fd, 0);
        if (r == 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (errno != EINTR)
            return -1;
    }
}

bool net_mac_parse(const char *s, uint8_t mac[6])
{
    unsigned b[6];
    int end = 0;
    if (sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6 || end != 17 || s[17])
        return false;
    for (int i = 0; i < 17; i++)
        if (i % 3 != 2 && !strchr("0123456789abcdefABCDEF", s[i]))
            return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)b[i];
    return true;
}

const char *net_mac_format(const uint8_t m[6], char *buf)
{
    snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    return buf;
}
