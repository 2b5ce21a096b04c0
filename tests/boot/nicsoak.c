/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In a guest with two adapters on one network: moves the second into a network namespace of its own, so that traffic
 * between them really goes over the network, and lets TCP streams run both ways and UDP datagrams of all sizes to and
 * fro. Every byte is known beforehand and checked; every datagram must come back.
 *
 *   nicsoak IFACE_A IFACE_B SECONDS MTU
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 5000, CHUNK = 1 << 16 };

static void die(const char *what)
{
    printf("SOAK FAILED: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void move_to(const char *iface, pid_t pid)
{
    struct {
        struct nlmsghdr h;
        struct ifinfomsg i;
        struct rtattr a;
        uint32_t pid;
    } m = {.h = {.nlmsg_len = sizeof m, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
           .i = {.ifi_index = (int)if_nametoindex(iface)},
           .a = {.rta_len = RTA_LENGTH(4), .rta_type = IFLA_NET_NS_PID},
           .pid = (uint32_t)pid};
    struct {
        struct nlmsghdr h;
        struct nlmsgerr e;
        char rest[256];
    } r;
    int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (s < 0 || send(s, &m, sizeof m, 0) < 0 || recv(s, &r, sizeof r, 0) < 0)
        die("netlink");
    if (r.e.error) {
        errno = -r.e.error;
        die("moving the interface");
    }
    close(s);
}

static void configure(const char *iface, const char *addr, int mtu)
{
    struct ifreq r = {0};
    struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", iface);
    r.ifr_mtu = mtu;
    if (ioctl(s, SIOCSIFMTU, &r))
        die("MTU");
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = inet_addr(addr);
    if (ioctl(s, SIOCSIFADDR, &r))
        die("address");
    a->sin_addr.s_addr = inet_addr("255.255.255.0");
    if (ioctl(s, SIOCSIFNETMASK, &r))
        die("mask");
    if (ioctl(s, SIOCGIFFLAGS, &r))
        die("flags");
    r.ifr_flags |= IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &r))
        die("up");
    close(s);
}

/* Byte i of the stream. */
static void fill(uint8_t *p, uint64_t at, size_t n)
{
    for (size_t i = 0; i < n; i++, at++)
        p[i] = (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

/* Sends and receives at once until the time is over and the other side has ended too. */
static uint64_t stream(int fd, double seconds)
{
    static uint8_t out[CHUNK], in[CHUNK], want[CHUNK];
    uint64_t sent = 0, got = 0;
    double end = now() + seconds;
    int open_out = 1;
    for (;;) {
        struct pollfd p = {fd, (short)(POLLIN | (open_out ? POLLOUT : 0)), 0};
        if (poll(&p, 1, 20000) <= 0)
            die("nothing moves");
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
            if (n == 0 && !open_out)
                return sent + got;
            if (n < 0 && errno != EAGAIN)
                die("receive");
            if (n > 0) {
                fill(want, got, (size_t)n);
                if (memcmp(in, want, (size_t)n)) {
                    errno = 0;
                    die("the stream is damaged");
                }
                got += (uint64_t)n;
            } else if (n == 0) {
                usleep(1000);
            }
        }
        if (open_out && p.revents & POLLOUT) {
            fill(out, sent, sizeof out);
            ssize_t n = send(fd, out, sizeof out, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN)
                die("send");
            if (n > 0)
                sent += (uint64_t)n;
            if (now() > end) {
                shutdown(fd, SHUT_WR);
                open_out = 0;
            }
        }
    }
}

static struct sockaddr_in at(const char *addr, int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = inet_addr(addr)};
}

/* All that is on the way fits, however large the driver's buffers are. */
static void big_buffer(int s)
{
    int n = 8 << 20;
    if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof n))
        die("buffer");
}

static void server(int mtu, const char *iface)
{
    char line[16];
    printf("peer ready\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(1);
    configure(iface, "10.77.0.2", mtu);
    int l = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = at("0.0.0.0", PORT), from;
    if (bind(l, (struct sockaddr *)&a, sizeof a) || bind(u, (struct sockaddr *)&a, sizeof a) || listen(l, 8))
        die("bind");
    big_buffer(u);
    if (fork() == 0) {
        static uint8_t b[65536];
        for (;;) {
            socklen_t fl = sizeof from;
            ssize_t n = recvfrom(u, b, sizeof b, 0, (struct sockaddr *)&from, &fl);
            if (n > 0)
                sendto(u, b, (size_t)n, 0, (struct sockaddr *)&from, fl);
        }
    }
    for (;;) {
        int c = accept(l, NULL, NULL);
        double seconds;
        if (c < 0 || recv(c, &seconds, sizeof seconds, MSG_WAITALL) != sizeof seconds)
            die("accept");
        stream(c, seconds);
        close(c);
    }
}

int main(int argc, char **argv)
{
    int to[2], from[2];
    if (argc < 5)
        return 2;
    double seconds = atof(argv[3]);
    int mtu = atoi(argv[4]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pipe(to) || pipe(from))
        die("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        dup2(to[0], 0);
        dup2(from[1], 1);
        if (unshare(CLONE_NEWNET))
            die("a network namespace");
        server(mtu, argv[2]);
    }
    char line[200];
    FILE *f = fdopen(from[0], "r");
    if (!fgets(line, sizeof line, f))
        die("the peer");
    move_to(argv[2], pid);
    configure(argv[1], "10.77.0.1", mtu);
    if (write(to[1], "go\n", 3) != 3)
        die("the peer");

    /* TCP */
    struct sockaddr_in peer = at("10.77.0.2", PORT);
    int s = -1;
    for (int i = 0; i < 100; i++) {
        s = socket(AF_INET, SOCK_STREAM, 0);
        if (!connect(s, (struct sockaddr *)&peer, sizeof peer))
            break;
        close(s);
        s = -1;
        usleep(200000);
    }
    if (s < 0)
        die("connect");
    send(s, &seconds, sizeof seconds, 0);
    double t0 = now();
    uint64_t bytes = stream(s, seconds);
    printf("TCP %.1f MB/s both ways\n", (double)bytes / (now() - t0) / 1e6);
    close(s);

    /* UDP: sixteen on the way at a time, of sizes up to more than one frame */
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    static uint8_t b[65536], want[65536];
    unsigned long sent = 0, back = 0;
    if (connect(u, (struct sockaddr *)&peer, sizeof peer))
        die("UDP");
    big_buffer(u);
    for (double end = now() + seconds; now() < end;) {
        for (int i = 0; i < 16; i++, sent++) {
            size_t n = 8 + sent * 37 % (size_t)(mtu + 600);
            fill(b, sent, n);
            memcpy(b, &sent, sizeof sent);
            if (send(u, b, n, 0) != (ssize_t)n)
                die("UDP send");
        }
        while (back < sent) {
            struct pollfd p = {u, POLLIN, 0};
            if (poll(&p, 1, 5000) <= 0) {
                printf("SOAK FAILED: UDP: %lu of %lu came back\n", back, sent);
                kill(-pid, SIGKILL);
                return 1;
            }
            ssize_t n = recv(u, b, sizeof b, 0);
            unsigned long k;
            memcpy(&k, b, sizeof k);
            fill(want, k, (size_t)(n > 0 ? n : 0));
            if (n != (ssize_t)(8 + k * 37 % (size_t)(mtu + 600)) || memcmp(b + 8, want + 8, (size_t)n - 8)) {
                printf("SOAK FAILED: datagram %lu is damaged\n", k);
                kill(-pid, SIGKILL);
                return 1;
            }
            back++;
        }
    }
    kill(-pid, SIGKILL);
    printf("SOAK OK: %lu datagrams, %llu bytes of TCP\n", back, (unsigned long long)bytes);
    return 0;
}
