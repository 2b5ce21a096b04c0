/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In the guest: sends numbered frames of all lengths, filled from a generator, from one network interface to another and
 * back, and looks at every byte that arrives.
 *
 *   framesoak IF-A IF-B MTU FRAMES
 *
 * Both directions run at once. At most WINDOW frames are under way, so that no socket buffer can be what loses one. Prints
 * "SOAK a->b N frames, LOST l BAD b ORDER o" for both directions.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PROTO = 0x88b5, WINDOW = 48, HEAD = 14 + 8 }; /* local experimental ethertype; number and length */

struct side {
    int fd;
    uint8_t mac[6];
    const char *name;
    uint32_t sent, got, lost, bad, order;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void side_open(struct side *s, const char *name)
{
    struct ifreq r = {0};
    int big = 8 << 20;
    s->name = name;
    s->fd = socket(AF_PACKET, SOCK_RAW, htons(PROTO));
    strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    if (s->fd < 0 || ioctl(s->fd, SIOCGIFHWADDR, &r))
        fail(name);
    memcpy(s->mac, r.ifr_hwaddr.sa_data, 6);
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(PROTO), .sll_ifindex = (int)if_nametoindex(name)};
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a))
        fail("bind");
    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
    setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big);
}

static uint64_t rnd(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

/* Frame nr as both ends know it. Returns its length. */
static size_t make(uint8_t *f, const struct side *from, const struct side *to, uint32_t nr, unsigned mtu)
{
    uint64_t seed = 0x9e3779b97f4a7c15ull * (nr + 1) + from->mac[5];
    unsigned kinds[] = {60, 14 + mtu, (unsigned)(60 + rnd(&seed) % (mtu + 14 - 60 + 1)), 64 + nr % 128};
    size_t n = kinds[nr & 3];
    memcpy(f, to->mac, 6);
    memcpy(f + 6, from->mac, 6);
    f[12] = PROTO >> 8;
    f[13] = PROTO & 255;
    memcpy(f + 14, &nr, 4);
    memcpy(f + 18, &(uint32_t){(uint32_t)n}, 4);
    for (size_t i = HEAD; i < n; i += 8) {
        uint64_t v = rnd(&seed);
        memcpy(f + i, &v, n - i < 8 ? n - i : 8);
    }
    return n;
}

static void take(struct side *s, const struct side *from, unsigned mtu)
{
    static uint8_t buf[20000], want[20000];
    ssize_t n;
    while ((n = recv(s->fd, buf, sizeof buf, MSG_DONTWAIT)) > 0) {
        uint32_t nr;
        if (n < HEAD || !memcmp(buf + 6, s->mac, 6))
            continue; /* our own, on its way out */
        memcpy(&nr, buf + 14, 4);
        if (nr < s->got)
            s->order++;
        else
            s->lost += nr - s->got;
        s->got = nr + 1;
        size_t len = make(want, from, s, nr, mtu);
        if ((size_t)n != len || memcmp(buf, want, len))
            s->bad++;
    }
}

int main(int argc, char **argv)
{
    struct side s[2] = {{0}};
    uint8_t f[20000];
    if (argc != 5)
        return 2;
    side_open(&s[0], argv[1]);
    side_open(&s[1], argv[2]);
    unsigned mtu = (unsigned)atoi(argv[3]), total = (unsigned)atoi(argv[4]);
    time_t last = time(NULL);
    uint32_t seen = 0;
    while (s[0].got < total || s[1].got < total) {
        for (int i = 0; i < 2; i++)
            while (s[i].sent < total && s[i].sent < s[1 - i].got + WINDOW) {
                size_t n = make(f, &s[i], &s[1 - i], s[i].sent, mtu);
                if (send(s[i].fd, f, n, MSG_DONTWAIT) != (ssize_t)n)
                    break;
                s[i].sent++;
            }
        struct pollfd p[2] = {{s[0].fd, POLLIN, 0}, {s[1].fd, POLLIN, 0}};
        poll(p, 2, 100);
        take(&s[0], &s[1], mtu);
        take(&s[1], &s[0], mtu);
        if (s[0].got + s[1].got != seen) {
            seen = s[0].got + s[1].got;
            last = time(NULL);
        } else if (time(NULL) - last > 5) {
            break;
        }
    }
    for (int i = 0; i < 2; i++)
        printf("SOAK %s->%s %u frames, LOST %u BAD %u ORDER %u\n", s[i].name, s[1 - i].name, s[i].sent,
               s[1 - i].lost + (s[i].sent - s[1 - i].got), s[1 - i].bad, s[1 - i].order);
    return 0;
}
