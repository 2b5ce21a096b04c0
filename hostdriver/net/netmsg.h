/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between lodge-vmx, lodge-vmnet, their launchers and lodge-nethelper: one packet of a SOCK_SEQPACKET Unix socket each, text, at most one
 * descriptor with it. The first line is what the message is, then lines of key=value; a value has no line end (netmsg_add puts a space there).
 *
 *     attach\nnetwork=vmnet1\nmac=00:0c:29:01:02:03\nname=Debian
 */
#ifndef LODGE_HOSTDRIVER_NETMSG_H
#define LODGE_HOSTDRIVER_NETMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NETMSG_MAX = 4096 };

struct netmsg {
    size_t len;
    bool overflow; /* something did not fit: must not be sent */
    char text[NETMSG_MAX];
};

void netmsg_init(struct netmsg *m, const char *what);
void netmsg_add(struct netmsg *m, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool netmsg_is(const struct netmsg *m, const char *what);
/* Copies the value; false (and "") when it is absent or longer than n - 1. */
bool netmsg_get(const struct netmsg *m, const char *key, char *buf, size_t n);

/* 0 or -1 and errno. flags as for sendmsg; fd -1: none. */
int netmsg_send(int sock, const struct netmsg *m, int fd, int flags);
/*
 * 1: a message, and *fd is a descriptor (close-on-exec) that came with it or -1; 0: the peer is gone; -1: errno. What is longer than a message
 * or has a zero byte in it is EBADMSG.
 */
int netmsg_recv(int sock, struct netmsg *m, int *fd, int flags);
/* The same with a limit of time; -1 with ETIMEDOUT. For sockets that nobody polls. */
int netmsg_recv_timeout(int sock, struct netmsg *m, int *fd, int ms);

bool net_mac_parse(const char *s, uint8_t mac[6]);
/* buf holds 18. */
const char *net_mac_format(const uint8_t mac[6], char *buf);

#endif
