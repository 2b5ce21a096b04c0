/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network throughput and latency over TCP, static, for guest and host:
 *
 *   netbench serve [ADDRESS]            listens on a port of ADDRESS (127.0.0.1), prints it
 *   netbench up|down|rr ADDRESS PORT S  sends, receives, or asks and waits for S seconds; prints megabits or round trips a second
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buf[256 * 1024];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void serve_one(int c)
{
    char kind;
    ssize_t n;
    int one = 1;
    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (read(c, &kind, 1) != 1)
        return;
    if (kind == 'u') {
        uint64_t total = 0;
        while ((n = read(c, buf, sizeof buf)) > 0)
            total += (uint64_t)n;
        (void)!write(c, &total, sizeof total); /* the sender waits for it: all has arrived */
    } else if (kind == 'd') {
        while (write(c, buf, sizeof buf) > 0)
            ;
    } else {
        while ((n = read(c, buf, sizeof buf)) > 0 && write(c, buf, (size_t)n) == n)
            ;
    }
}

static int serve(const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address)};
    socklen_t len = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 16) || getsockname(s, (struct sockaddr *)&a, &len))
        return 1;
    printf("%u\n", ntohs(a.sin_port));
    fflush(stdout);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int c = accept(s, NULL, NULL);
        if (c >= 0 && fork() == 0) {
            serve_one(c);
            _exit(0);
        }
        close(c);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if ((argc == 2 || argc == 3) && !strcmp(argv[1], "serve"))
        return serve(argc == 3 ? argv[2] : "127.0.0.1");
    if (argc != 5)
        return 2;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    double seconds = atof(argv[4]), start, end;
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (inet_pton(AF_INET, argv[2], &a.sin_addr) != 1 || connect(s, (struct sockaddr *)&a, sizeof a) || write(s, argv[1], 1) != 1) {
        perror("netbench");
        return 1;
    }
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    uint64_t total = 0;
    ssize_t n;
    start = end = now();
    if (*argv[1] == 'u') {
        while ((end = now()) < start + seconds && (n = write(s, buf, 65536)) > 0)
            ;
        shutdown(s, SHUT_WR);
        if (recv(s, &total, sizeof total, MSG_WAITALL) != sizeof total)
            return 1;
        end = now();
    } else if (*argv[1] == 'd') {
        while (end < start + seconds && (n = read(s, buf, sizeof buf)) > 0) {
            total += (uint64_t)n;
            end = now();
        }
    } else {
        while (end < start + seconds && write(s, buf, 1) == 1 && read(s, buf, 1) == 1) {
            total++;
            end = now();
        }
        printf("net_rr %.1f\n", (double)total / (end - start));
        return 0;
    }
    printf("net_%s %.2f\n", argv[1], (double)total * 8e-6 / (end - start));
    return 0;
}
