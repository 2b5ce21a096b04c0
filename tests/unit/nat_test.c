/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT against a guest that means harm: floods of frames, connections, datagrams, fragments and noise stay bounded; forwards come and go. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "hostdriver/net/hostnet.h"
#include "tests/tap.h"
#include "tests/unit/realvm.h"

static struct net_port guest;
static struct vm *vm;
static unsigned received, writable, arp_replies, forwarded;
static bool deaf;

static bool on_frame(void *u, const struct net_offload *o, const struct iovec *f, int n)
{
    (void)u, (void)o, (void)n;
    const uint8_t *p = f[0].iov_base;
    if (deaf)
        return false;
    received++;
    arp_replies += ld_be16(p + 12) == 0x0806 && p[21] == 2;
    forwarded += ld_be16(p + 12) == 0x0800 && p[23] == 17 && ld_be16(p + 36) == 5300 && !memcmp(p + 42, "datagram", 8);
    if (ld_be16(p + 12) == 0x0806 && p[21] == 1) { /* who has 10.0.2.15? */
        uint8_t r[60];
        memcpy(r, p, 42);
        memset(r + 42, 0, 18);
        memcpy(r, p + 6, 6);
        memcpy(r + 6, "\0\x0c\x29\1\2\3", 6);
        r[21] = 2;
        memcpy(r + 32, p + 22, 10);
        memcpy(r + 22, r + 6, 6);
        memcpy(r + 28, p + 38, 4);
        (void)net_send(&guest, NULL, &(struct iovec){r, sizeof r}, 1);
    }
    return true;
}
static void on_writable(void *u)
{
    (void)u;
    writable++;
}
static const struct net_end_ops guest_ops = {on_frame, on_writable, NULL};

/* The sanitizers keep freed memory for a while and so spoil its measure. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool measures = false;
#else
static const bool measures = true;
#endif

static void quiet(void *u, enum log_level l, const char *m, const char *line) { (void)u, (void)l, (void)m, (void)line; }

static void rest(int ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000l}, NULL); }

static bool give(const void *f, size_t n)
{
    chipset_lock(vm);
    bool taken = net_send(&guest, NULL, &(struct iovec){(void *)f, n}, 1);
    chipset_unlock(vm);
    return taken;
}
/* As an adapter does: waits when the network is full. */
static void give_all(const void *f, size_t n)
{
    for (int i = 0; i < 20000 && !give(f, n); i++)
        rest(1);
}

static unsigned open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    while (d && readdir(d))
        n++;
    closedir(d);
    return n;
}
static long rss_kb(void)
{
    long size = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &size, &rss) != 2)
        rss = 0;
    if (f)
        fclose(f);
    return rss * 4;
}

/* Ethernet and IPv4 for 10.0.2.15, header sum finished; gives where the payload is. */
static uint8_t *ip_frame(uint8_t *f, uint8_t proto, uint32_t to, size_t payload, uint16_t id, uint16_t frag)
{
    static const uint8_t eth[14] = {0x52, 0x55, 10, 0, 2, 2, 0, 0x0c, 0x29, 1, 2, 3, 8, 0};
    memcpy(f, eth, 14);
    uint8_t *ip = f + 14;
    memset(ip, 0, 20);
    ip[0] = 0x45;
    st_be16(ip + 2, (uint16_t)(20 + payload));
    st_be16(ip + 4, id);
    st_be16(ip + 6, frag);
    ip[8] = 64;
    ip[9] = proto;
    st_be32(ip + 12, 0x0A00020F);
    st_be32(ip + 16, to);
    st_be16(ip + 10, net_csum_fold(net_csum_add(0, ip, 20)));
    return ip + 20;
}
static void l4_sum(uint8_t *f, size_t at, size_t n, uint8_t proto)
{
    st_be16(f + 34 + at, 0);
    st_be16(f + 34 + at, net_csum_fold(net_csum_add(net_csum_add((uint32_t)(proto + n), f + 26, 8), f + 34, n)));
}
static size_t syn(uint8_t *f, uint16_t from, uint32_t to, uint16_t port)
{
    uint8_t *t = ip_frame(f, 6, to, 20, from, 0);
    memset(t, 0, 20);
    st_be16(t, from);
    st_be16(t + 2, port);
    st_be32(t + 4, from * 7919u);
    t[12] = 0x50;
    t[13] = 2;
    st_be16(t + 14, 65535);
    l4_sum(f, 16, 20, 6);
    return 54;
}
static size_t datagram(uint8_t *f, uint16_t from, uint32_t to, uint16_t port)
{
    uint8_t *u = ip_frame(f, 17, to, 16, from, 0);
    memset(u, 0, 16);
    st_be16(u, from);
    st_be16(u + 2, port);
    st_be16(u + 4, 16);
    l4_sum(f, 6, 16, 17);
    return 50;
}
static bool arp_answers(void)
{
    static const uint8_t arp[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x0c, 0x29, 1, 2, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                                    0, 0x0c, 0x29, 1, 2, 3, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2};
    for (int i = 0; i < 3000; i++) {
        unsigned had = arp_replies;
        give_all(arp, sizeof arp);
        rest(10);
        if (arp_replies != had)
            return true;
    }
    return false;
}

static int listener(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t l = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 4096) || getsockname(s, (struct sockaddr *)&a, &l))
        return -1;
    *port = ntohs(a.sin_port);
    return s;
}

static void test_forwards(struct net_back *b)
{
    uint16_t port;
    struct err e;
    int busy = listener(&port);
    struct net_forward f = {.host_port = port, .guest_port = 22};
    ok(b->ops->forward(b, &f, true, &e) == -1 && e.kind == ERR_BUSY && strstr(e.msg, "in use"), "a port in use is refused: %s", e.msg);
    close(busy);
    ok(!b->ops->forward(b, &f, true, &e), "when it is free it is forwarded");
    ok(b->ops->forward(b, &f, true, &e) == -1 && strstr(e.msg, "already"), "not twice");
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok(!connect(c, (struct sockaddr *)&a, sizeof a), "it takes connections");
    close(c);
    ok(!b->ops->forward(b, &f, false, &e) && b->ops->forward(b, &f, false, &e) == -1, "removed once");
    c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok(connect(c, (struct sockaddr *)&a, sizeof a) && errno == ECONNREFUSED, "and gone");
    close(c);
    f = (struct net_forward){.udp = true, .host_port = port, .guest_port = 5300};
    bool made = !b->ops->forward(b, &f, true, &e);
    c = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 3000 && !forwarded; i++) {
        (void)!sendto(c, "datagram", 8, 0, (struct sockaddr *)&a, sizeof a);
        rest(10);
    }
    close(c);
    ok(made && forwarded, "a datagram reaches the guest");
    ok(!b->ops->forward(b, &f, false, &e), "its forward is removed");
    f.udp = false;
    snprintf(f.host_ip, sizeof f.host_ip, "192.0.2.77");
    ok(b->ops->forward(b, &f, true, &e) == -1 && strstr(e.msg, "192.0.2.77"), "an address that is not ours: %s", e.msg);
    snprintf(f.host_ip, sizeof f.host_ip, "::1");
    ok(b->ops->forward(b, &f, true, &e) == -1, "IPv6 to IPv4 is refused");
    unsigned n = 0;
    for (unsigned p = 20000; p < 40000 && n < NET_FORWARDS_MAX; p++) {
        f = (struct net_forward){.udp = true, .host_port = (uint16_t)p, .guest_port = 1};
        n += !b->ops->forward(b, &f, true, &e);
    }
    f.host_port = 41000;
    ok(n == NET_FORWARDS_MAX && b->ops->forward(b, &f, true, &e) == -1 && strstr(e.msg, "remove one"), "as many as there is room for");
}

/* A connection of the guest to a service of this computer: does it arrive? */
static bool reaches(const struct net_conf *c, int tries)
{
    uint8_t f[100];
    uint16_t port;
    struct net_port *p;
    struct err e;
    int s = listener(&port), got = -1;
    if (net_attach_nat(vm, c, &p, &e))
        return false;
    chipset_lock(vm);
    net_port_init(&guest, &guest_ops, NULL, 0);
    net_connect(&guest, p);
    net_set_link(&guest, true);
    chipset_unlock(vm);
    bool up = arp_answers();
    for (int i = 0; i < tries && got < 0; i++) {
        give_all(f, syn(f, (uint16_t)(3000 + i), 0x0A000202, port));
        rest(10);
        got = accept(s, NULL, NULL);
    }
    if (got >= 0)
        close(got);
    close(s);
    chipset_lock(vm);
    net_disconnect(&guest);
    chipset_unlock(vm);
    net_back_of(p)->ops->close(net_back_of(p));
    return up && got >= 0;
}

static void test_floods(void)
{
    uint8_t f[2000] = {0};
    uint16_t port;
    int s = listener(&port);
    unsigned before = open_files();
    for (unsigned i = 0; i < 4000; i++)
        give_all(f, syn(f, (uint16_t)(2000 + i), 0x0A000202, port));
    rest(200);
    unsigned tcp = open_files() - before;
    ok(tcp > 100 && tcp <= 900, "4000 connections hold %u descriptors", tcp);
    for (unsigned i = 0; i < 8000; i++)
        give_all(f, datagram(f, (uint16_t)(2000 + i), 0x0A000202, 9));
    rest(200);
    unsigned all = open_files() - before;
    ok(all <= 1000, "8000 datagrams of as many ports more: %u", all);
    ok(arp_answers(), "the network still answers");
    close(s);

    long rss = rss_kb();
    memset(f, 0x55, sizeof f);
    for (unsigned i = 0; i < 60000; i++) {
        ip_frame(f, 17, 0x0A000202, 1400, (uint16_t)i, (uint16_t)(0x2000 | (i % 40 + 1) * 175));
        give_all(f, 1434);
    }
    long grown = rss_kb() - rss;
    ok(!measures || grown < 64 * 1024, "84 MB of fragments that never become packets keep %ld KiB", grown);

    deaf = true;
    rss = rss_kb();
    unsigned had = received;
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t *ic = ip_frame(f, 1, 0x0A000202, 1400, (uint16_t)i, 0);
        memset(ic, 0, 1400);
        ic[0] = 8;
        st_be16(ic + 2, net_csum_fold(net_csum_add(0, ic, 1400)));
        (void)give(f, 1434);
    }
    rest(300);
    grown = rss_kb() - rss;
    ok((!measures || grown < 16 * 1024) && received == had, "pings of a guest that takes no answer: %ld KiB", grown);
    deaf = false;
    chipset_lock(vm);
    net_writable(&guest);
    chipset_unlock(vm);
    ok(arp_answers(), "then it goes on");

    srand(3);
    for (unsigned i = 0; i < 30000; i++) {
        size_t n = 14 + (size_t)rand() % 200;
        for (size_t k = 0; k < n; k++)
            f[k] = (uint8_t)rand();
        static const uint16_t types[] = {0x0800, 0x0806, 0x86DD, 0x8100};
        st_be16(f + 12, types[rand() % 4]);
        if (rand() % 2) {
            ip_frame(f, (uint8_t[]){1, 6, 17, 2}[rand() % 4], rand() % 2 ? 0x0A000203 : 0x0A000202, n - 14 > 20 ? n - 34 : 0, (uint16_t)i, 0);
            if (n < 34)
                n = 34;
        }
        if (!(rand() % 4))
            f[14 + rand() % 40] = (uint8_t)rand();
        give_all(f, n);
    }
    ok(arp_answers(), "30000 frames of noise");
    ok(writable > 0, "a full queue made the sender wait, and called it");
}

int main(void)
{
    struct net_port *p = NULL;
    struct err e;
    log_set_sink(quiet, NULL, LOG_ERROR);
    vm = rv_new(NULL, NULL);
    struct net_conf c = {.name = "ethernet0", .vm_name = "test", .vm_id = "", .vnet = "", .segment = "", .interface = "", .subnet4 = "", .prefix6 = "",
                         .tftp_dir = "", .boot_file = "", .search_domain = ""};
    static const char *const bad4[] = {"10.0.2.1/24", "10.0.2.0/30", "10.0.2.0/", "300.0.0.0/8", "x", "10.0.2.0/24x"};
    for (int i = 0; i < 6; i++) {
        c.subnet4 = bad4[i];
        ok(net_attach_nat(vm, &c, &p, &e) == -1 && strstr(e.msg, "natSubnet"), "natSubnet = %s: %s", bad4[i], e.msg);
    }
    c.subnet4 = "";
    c.prefix6 = "fd00::/48";
    ok(net_attach_nat(vm, &c, &p, &e) == -1 && strstr(e.msg, "natPrefix6"), "natPrefix6: %s", e.msg);
    c.prefix6 = "";
    c.tftp_dir = "/nonexistent";
    ok(net_attach_nat(vm, &c, &p, &e) == -1 && strstr(e.msg, "natTftp"), "natTftp: %s", e.msg);
    c.tftp_dir = "";
    unsigned files = open_files();
    if (!ok(!net_attach_nat(vm, &c, &p, &e), "NAT is made"))
        return TAP_DONE();
    net_port_init(&guest, &guest_ops, NULL, 0);
    net_connect(&guest, p);
    net_set_link(&guest, true);
    vm_run(vm, NULL);
    ok(arp_answers(), "the gateway answers");
    test_forwards(net_back_of(p));
    test_floods();
    uint8_t f[100];
    for (unsigned i = 0; i < 50; i++)
        give(f, datagram(f, (uint16_t)i, 0x0A000203, 53));
    chipset_lock(vm);
    net_disconnect(&guest);
    chipset_unlock(vm);
    net_back_of(p)->ops->close(net_back_of(p));
    ok(open_files() <= files, "closed with work left, nothing stays open");
    ok(reaches(&c, 2000), "the guest reaches a service of this computer's loopback");
    c.no_host = true;
    ok(!reaches(&c, 20), "not with natHostLoopback = FALSE");
    c.no_host = false;
    c.restricted = true;
    ok(!reaches(&c, 20), "not with natRestricted");
    vm_destroy(vm);
    return TAP_DONE();
}
