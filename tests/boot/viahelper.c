/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs lodge-nethelper as lodge-vmnet's launcher does, and tries what it gives: viahelper OTHER MAC attach ARGUMENTS...
 * A frame through the descriptor must arrive at the interface OTHER, and one from there to MAC at the descriptor.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HDR = 10, TYPE = 0x88b5 };

static int arrives(int fd, size_t off, const unsigned char *want, size_t n)
{
    unsigned char b[70000];
    for (int i = 0; i < 200; i++) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 3000) < 1)
            return 0;
        ssize_t r = read(fd, b, sizeof b);
        if (r >= (ssize_t)(off + n) && !memcmp(b + off, want, n))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int pair[2], fd = -1;
    unsigned m[6];
    if (argc < 4 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) || sscanf(argv[2], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6)
        return 2;
    if (!fork()) {
        fcntl(pair[1], F_DUPFD, 10);
        dup2(pair[1], 3);
        argv[2] = "lodge-nethelper";
        execv("/bin/lodge-nethelper", argv + 2);
        _exit(127);
    }
    close(pair[1]);
    char text[5000] = "", room[CMSG_SPACE(sizeof fd)];
    struct iovec v = {text, sizeof text - 1};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(pair[0], &h, 0) > 0 && CMSG_FIRSTHDR(&h))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof fd);
    wait(NULL);
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    printf("ANSWER %s\n", text);
    if (fd < 0)
        return 1;
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = (int)if_nametoindex(argv[1])};
    int s = socket(AF_PACKET, SOCK_RAW, htons(TYPE));
    if (bind(s, (struct sockaddr *)&a, sizeof a))
        return 1;
    unsigned char out[HDR + 70] = {0}, in[70] = {0}, mac[6];
    for (int i = 0; i < 6; i++)
        mac[i] = (unsigned char)m[i];
    memset(out + HDR, 0xff, 6);
    memcpy(out + HDR + 6, mac, 6);
    out[HDR + 12] = in[12] = TYPE >> 8;
    out[HDR + 13] = in[13] = TYPE & 255;
    memset(out + HDR + 14, 'o', 56);
    memset(in + 14, 'i', 56);
    memcpy(in, mac, 6);
    in[6] = 2;
    int sent = write(fd, out, sizeof out) == sizeof out, left = sent && arrives(s, 0, out + HDR, 70);
    int back = send(s, in, sizeof in, 0) == sizeof in && arrives(fd, HDR, in, 70);
    printf("FRAMES out %d in %d\n", left, back);
    return 0;
}
