/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports of lodge-vmnet as a machine has them: started on demand, frames both ways, back pressure, and the network's process dying under them. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/dma.h"
#include "net/launcher.h"
#include "net/vmnet.h"
#include "tests/tap.h"
#include "tests/unit/realvm.h"

/* An adapter that counts, and can be full. */
struct nic {
    struct net_port port;
    _Atomic unsigned got, ups, downs, in_order;
    atomic_bool full, owed;
    unsigned next;
};

static bool nic_receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    struct nic *c = end;
    uint8_t b[64];
    (void)o;
    if (c->full) {
        c->owed = true;
        return false;
    }
    if (iov_get(f, n, 0, b, sizeof b) >= 18 && b[12] == 0x88 && b[13] == 0xb5) {
        unsigned seq;
        memcpy(&seq, b + 14, 4);
        c->in_order += seq == c->next;
        c->next = seq + 1;
        c->got++;
    }
    return true;
}
static void nic_link(void *end, bool up)
{
    struct nic *c = end;
    if (up)
        c->ups++;
    else
        c->downs++;
}
static _Atomic unsigned writable_calls;
static void nic_writable(void *end)
{
    (void)end;
    writable_calls++;
}
static const struct net_end_ops nic_ops = {.receive = nic_receive, .writable = nic_writable, .link = nic_link};

static struct vm *vm;

static bool send_one(struct nic *c, const uint8_t *dst, unsigned seq)
{
    uint8_t f[1200] = {0};
    memcpy(f, dst, 6);
    memcpy(f + 6, c->port.mac, 6);
    f[12] = 0x88;
    f[13] = 0xb5;
    memcpy(f + 14, &seq, 4);
    struct iovec v = {f, sizeof f};
    chipset_lock(vm);
    bool sent = net_send(&c->port, NULL, &v, 1);
    chipset_unlock(vm);
    return sent;
}

/* A minute, for a machine that does much else. */
#define WAIT_FOR(cond)                            \
    ({                                            \
        for (int i_ = 0; i_ < 60000 && !(cond); i_++) \
            usleep(1000);                         \
        (cond);                                   \
    })

static struct net_back *plug(struct nic *c, const char *vnet, uint8_t last)
{
    struct net_conf conf = {.name = "ethernet0", .vm_name = "test", .vm_id = "", .vnet = vnet, .segment = "", .interface = "", .mac = {0x00, 0x0c, 0x29, 1, 2, last}};
    struct net_port *port;
    struct err e = {0};
    if (net_attach_custom(vm, &conf, &port, &e)) {
        printf("# %s\n", e.msg);
        return NULL;
    }
    net_port_init(&c->port, &nic_ops, c, 0);
    memcpy(c->port.mac, conf.mac, 6);
    chipset_lock(vm);
    net_connect(&c->port, port);
    net_set_link(port, true);
    chipset_unlock(vm);
    return net_back_of(port);
}

static pid_t server_pid(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct ucred u = {0};
    socklen_t n = sizeof u;
    int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (vmnet_socket_path(a.sun_path, sizeof a.sun_path) && !connect(s, (struct sockaddr *)&a, sizeof a))
        getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &n);
    close(s);
    return u.pid;
}

int main(void)
{
    char dir[] = "/tmp/lodgeportXXXXXX";
    struct err e = {0};
    static struct nic a, b;
    if (!mkdtemp(dir))
        return 99;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    setenv("XDG_CONFIG_HOME", dir, 1);
    setenv("XDG_STATE_HOME", dir, 1);
    signal(SIGPIPE, SIG_IGN);
    if (!ok(!launcher_start(&e), "the launcher starts"))
        return TAP_DONE();
    vm = rv_new(NULL, NULL);
    vm_run(vm, &e);
    struct net_back *pa = plug(&a, "vmnet2", 0xa), *pb = plug(&b, "vmnet2", 0xb);
    if (!ok(pa && pb, "two adapters on vmnet2; lodge-vmnet is started on demand"))
        return TAP_DONE();
    ok(a.ups == 1 && b.ups == 1, "both have a link");
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    send_one(&b, all, 0);
    ok(WAIT_FOR(a.got == 1), "a broadcast arrives");
    /* Back pressure: the receiver is full for a while; every frame arrives, in order. */
    unsigned sent = 0, refused = 0;
    b.full = true;
    for (int i = 0; i < 50 && sent < 3000; i++) {
        while (sent < 3000 && send_one(&a, b.port.mac, sent))
            sent++;
        refused++;
        if (i == 1) {
            chipset_lock(vm);
            b.full = false;
            if (b.owed)
                net_writable(&b.port);
            chipset_unlock(vm);
        }
        usleep(5000);
    }
    while (sent < 3000 && refused++ < 100000)
        if (send_one(&a, b.port.mac, sent))
            sent++;
        else
            usleep(100);
    WAIT_FOR(b.got == 3000);
    ok(b.got == 3000 && b.in_order == 3000, "3000 frames over a receiver that was full arrive in order (%u, %u)", b.got, b.in_order);
    ok(refused > 1 && writable_calls > 0, "the sender was held back and told to go on");
    /* The network's process dies. */
    pid_t pid = server_pid();
    ok(pid > 1 && pid != getpid() && !kill(pid, SIGKILL), "lodge-vmnet is killed");
    ok(WAIT_FOR(a.downs == 1 && b.downs == 1), "the adapters lose their link");
    send_one(&a, b.port.mac, 0);
    ok(WAIT_FOR(a.ups == 2 && b.ups == 2), "and get it back: it is started again");
    ok(server_pid() != pid, "by another process");
    b.got = b.in_order = 0;
    b.next = 7;
    ok(send_one(&a, b.port.mac, 7) && WAIT_FOR(b.got == 1), "frames pass again");
    /* Pulling one's own cable is not undone by the network. */
    chipset_lock(vm);
    net_disconnect(&b.port);
    chipset_unlock(vm);
    pb->ops->close(pb);
    ok(b.downs == 2, "a cable that is pulled is out");
    for (unsigned i = 0; i < 100; i++)
        send_one(&a, b.port.mac, i);
    chipset_lock(vm);
    net_disconnect(&a.port);
    chipset_unlock(vm);
    pa->ops->close(pa);
    char sock[200];
    snprintf(sock, sizeof sock, "%s/lodge/vmnet.sock", dir);
    ok(WAIT_FOR(access(sock, F_OK)), "lodge-vmnet ends after the last port");
    struct nic c = {0};
    struct net_back *pc = plug(&c, "vmnet99", 1);
    ok(!pc, "a network that does not exist is refused");
    vm_destroy(vm);
    launcher_stop();
    char cmd[64];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) ? 99 : TAP_DONE();
}
