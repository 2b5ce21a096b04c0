/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The filter between adapter and network, on guest time that the test moves: bandwidth, latency, loss, bounds, order, addresses; the capture file. */
#define _GNU_SOURCE
#include "net/filter.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/vm.h"
#include "hostdriver/net/capture.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

struct sink {
    struct net_port port;
    unsigned n, last, writable, disorder;
    size_t bytes;
    bool full;
};

static bool sink_receive(void *u, const struct net_offload *o, const struct iovec *f, int n)
{
    struct sink *s = u;
    (void)o;
    if (s->full)
        return false;
    uint32_t number = 0;
    for (int i = 0; i < n; i++)
        s->bytes += f[i].iov_len;
    if (f[0].iov_len >= 18)
        memcpy(&number, (uint8_t *)f[0].iov_base + 14, 4);
    s->disorder += number < s->last;
    s->last = number;
    s->n++;
    return true;
}
static void sink_writable(void *u) { ((struct sink *)u)->writable++; }
static const struct net_end_ops sink_ops = {sink_receive, sink_writable, NULL};

static struct sink nic, net;
static struct net_filter *filter;

static bool send_from(struct sink *s, uint32_t number, size_t len)
{
    uint8_t f[NET_FRAME_MAX] = {0};
    memcpy(f + 14, &number, 4);
    return net_send(&s->port, NULL, &(struct iovec){f, len}, 1);
}

static void fresh(struct vm *vm, const struct net_shape *s, enum net_dir d)
{
    net_filter_free(filter);
    memset(&nic, 0, sizeof nic);
    memset(&net, 0, sizeof net);
    net_port_init(&nic.port, &sink_ops, &nic, 0);
    net_port_init(&net.port, &sink_ops, &net, NET_CAN_CSUM | NET_CAN_TSO4);
    filter = net_filter_new(vm, NULL);
    net_connect(&nic.port, net_filter_adapter_port(filter));
    if (s)
        net_filter_shape(filter, d, s);
    net_connect(net_filter_network_port(filter), &net.port);
    net_set_link(&net.port, true);
}

static void test_straight(struct vm *vm)
{
    fresh(vm, NULL, 0);
    ok(nic.port.link && nic.port.peer->can == (NET_CAN_CSUM | NET_CAN_TSO4), "carrier and abilities of the network reach the adapter");
    ok(send_from(&nic, 1, 60) && net.n == 1 && send_from(&net, 1, 60) && nic.n == 1, "frames pass at once in both directions");
    net.full = true;
    bool kept = !send_from(&nic, 2, 60);
    net.full = false;
    net_writable(&net.port);
    ok(kept && nic.writable == 1 && send_from(&nic, 2, 60) && net.n == 2, "full and writable pass");
    net_set_link(&net.port, false);
    ok(!nic.port.link, "the network's carrier is the adapter's");
    net_set_link(&net.port, true);
    net_disconnect(&net.port);
    ok(!nic.port.link, "no network, no carrier");
}

static void test_latency(struct vm *vm)
{
    fresh(vm, &(struct net_shape){.latency_ms = 25}, NET_TO_GUEST);
    send_from(&net, 1, 60);
    send_from(&nic, 1, 60);
    ok(nic.n == 0 && net.n == 1, "latency holds its direction only");
    fakevm_advance(vm, 24900000);
    bool early = nic.n;
    fakevm_advance(vm, 200000);
    ok(!early && nic.n == 1, "25 ms");
    send_from(&net, 2, 60);
    net_filter_shape(filter, NET_TO_GUEST, &(struct net_shape){.latency_ms = 1});
    send_from(&net, 3, 60);
    fakevm_advance(vm, 5000000);
    bool held = nic.n == 1;
    fakevm_advance(vm, 25000000);
    ok(held && nic.n == 3 && !nic.disorder, "a lower latency overtakes nothing");
    send_from(&net, 4, 60);
    net_set_link(&net.port, false);
    fakevm_advance(vm, 50000000);
    ok(nic.n == 3, "what was on the way when the cable was pulled is lost");
}

static void test_bandwidth(struct vm *vm)
{
    /* 8000 kbit/s are 1000 bytes a ms */
    fresh(vm, &(struct net_shape){.kbps = 8000}, NET_FROM_GUEST);
    unsigned sent = 0;
    while (sent < 100000 && send_from(&nic, sent, 1000))
        sent++;
    struct net_filter_stats st;
    net_filter_stats(filter, &st);
    ok(sent >= 50 && sent < 120 && st.queued_bytes[NET_FROM_GUEST] < 128 * 1024, "a full queue of a slow line refuses (%u frames)", sent);
    fakevm_advance(vm, 10000000);
    ok(net.n >= 9 && net.n <= 11, "10 ms let 10 frames of 1000 bytes through (%u)", net.n);
    fakevm_advance(vm, 200000000);
    ok(net.n == sent && nic.writable == 1 && !net.disorder, "all arrive in order, and the sender is called once");
    ok(nic.port.peer->can == 0, "a line with limits carries real frames");
    net_filter_shape(filter, NET_FROM_GUEST, &(struct net_shape){0});
    ok(nic.port.peer->can && send_from(&nic, 1 << 20, 1000) && net.n == sent + 1, "without limits again");
    /* A receiver that is full for a while */
    fresh(vm, &(struct net_shape){.kbps = 8000, .queue_bytes = 8192}, NET_FROM_GUEST);
    net.full = true;
    for (sent = 0; sent < 1000 && send_from(&nic, sent, 1000);)
        sent++;
    fakevm_advance(vm, 1000000000);
    ok(sent < 10 && net.n == 0, "the queue's size is what is asked for");
    net.full = false;
    net_writable(&net.port);
    ok(net.n == sent && nic.writable == 1, "what is late goes as soon as there is room");
}

static void test_loss(struct vm *vm)
{
    fresh(vm, &(struct net_shape){.drop_permille = 100}, NET_FROM_GUEST);
    for (unsigned i = 0; i < 10000; i++) {
        send_from(&nic, i, 60);
        fakevm_advance(vm, 1000);
    }
    /* 9000 +- 5 standard deviations of 30 */
    ok(net.n > 8850 && net.n < 9150 && !net.disorder, "10%% of 10000 frames are lost (%u arrive)", net.n);
    struct net_filter_stats st;
    net_filter_stats(filter, &st);
    is_u64(st.lost[NET_FROM_GUEST] + net.n, 10000, "and counted");
    fresh(vm, &(struct net_shape){.drop_permille = 1000, .drop_run = 3}, NET_TO_GUEST);
    for (unsigned i = 0; i < 50; i++)
        send_from(&net, i, 60);
    fakevm_advance(vm, 1000000);
    ok(nic.n == 0 && send_from(&nic, 1, 60) && net.n == 1, "all of one direction");
}

static void test_addresses(struct vm *vm)
{
    char text[200];
    uint8_t arp[42] = {[12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15};
    uint8_t v6[60] = {[12] = 0x86, 0xdd, 0x60};
    fresh(vm, NULL, 0);
    net_send(&nic.port, NULL, &(struct iovec){arp, 42}, 1);
    arp[31] = 16;
    net_send(&nic.port, NULL, &(struct iovec){arp, 42}, 1);
    arp[28] = 0, arp[29] = 0, arp[30] = 0, arp[31] = 0; /* a probe */
    net_send(&nic.port, NULL, &(struct iovec){arp, 42}, 1);
    v6[22] = 0xfe, v6[23] = 0x80; /* link local */
    net_send(&nic.port, NULL, &(struct iovec){v6, 60}, 1);
    v6[22] = 0x20, v6[23] = 0x01, v6[24] = 0x0d, v6[25] = 0xb8, v6[37] = 1;
    net_send(&nic.port, NULL, &(struct iovec){v6, 60}, 1);
    memcpy(v6 + 22, "\xfd\0\0\1\0\0\0\0\0\2\0\0\0\0\0\x0f", 16);
    net_send(&net.port, NULL, &(struct iovec){v6, 60}, 1); /* not the guest's */
    net_filter_addresses(filter, text, sizeof text);
    ok(!strcmp(text, "10.0.2.16 10.0.2.15 2001:db8::1"), "addresses of the guest's frames: %s", text);
    net_send(&nic.port, NULL, &(struct iovec){v6, 60}, 1);
    net_filter_addresses(filter, text, sizeof text);
    ok(!strcmp(text, "10.0.2.16 10.0.2.15 fd00:1::2:0:0:f 2001:db8::1") || strstr(text, "fd00:1:0:0:2::f"), "RFC 5952: %s", text);
    for (unsigned i = 0; i < 1000; i++) {
        arp[28] = 10, arp[31] = (uint8_t)(i % 200 + 1), arp[30] = (uint8_t)i;
        net_send(&nic.port, NULL, &(struct iovec){arp, 42}, 1);
    }
    ok(net_filter_addresses(filter, text, 10) > 10 && strlen(text) == 9, "many addresses: the newest, cut to the buffer");
}

static void test_capture(void)
{
    char path[] = "/tmp/lodge-cap.XXXXXX", link[40], dir[] = "/tmp/lodge-capd.XXXXXX";
    struct err e;
    int fd = mkstemp(path);
    struct capture *c = capture_open(path, "ethernet0", 0, &e);
    uint8_t f[3] = {1, 2, 3};
    ok(c != NULL, "a capture file is made");
    capture_frame(c, 1700000000123456789ll, false, &(struct iovec){f, 3}, 1);
    capture_close(c);
    uint8_t got[300];
    ssize_t n = pread(fd, got, sizeof got, 0);
    /* Section header, interface description, one packet block; sizes and fields from the format's description. */
    static const uint8_t packet[] = {6, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0x63, 0x99, 0x97, 0x17, 0x15, 0xCD, 0x1A, 0x9B, 3, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 0,
                                     2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0};
    uint64_t ts = (uint64_t)(*(uint32_t *)(got + n - 48 + 12)) << 32 | *(uint32_t *)(got + n - 48 + 16);
    ok(n > 28 + 48 && !memcmp(got, "\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0", 16) && !memcmp(got + n - 48, packet, 8) &&
           !memcmp(got + n - 48 + 20, packet + 20, 28) && ts == 1700000000123456789ull, "its blocks are right");
    c = capture_open(path, "ethernet0", 1000, &e);
    for (int i = 0; i < 100; i++)
        capture_frame(c, 0, true, &(struct iovec){f, 3}, 1);
    capture_close(c);
    struct stat st = {0};
    bool there = !stat(path, &st);
    ok(there && st.st_size <= 1000 && st.st_size > 800, "it ends at its limit (%lld)", (long long)st.st_size);
    snprintf(link, sizeof link, "%s.l", path);
    (void)!symlink(path, link);
    ok(!capture_open(link, "e", 0, &e) && !capture_open("/dev/null", "e", 0, &e), "links and devices are refused");
    ok(mkdtemp(dir) && !capture_open(dir, "e", 0, &e) && !capture_open("/nonexistent/x", "e", 0, &e), "folders and missing folders too");
    unlink(link);
    unlink(path);
    rmdir(dir);
    close(fd);
}

int main(void)
{
    struct vm *vm = fakevm_new(1, 1);
    fakevm_reset(vm);
    test_straight(vm);
    test_latency(vm);
    test_bandwidth(vm);
    test_loss(vm);
    test_addresses(vm);
    test_capture();
    net_filter_free(filter);
    fakevm_free(vm);
    return TAP_DONE();
}
