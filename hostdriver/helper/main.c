/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lodge-nethelper: the only program of Lodge with privileges (file capabilities). It connects a machine to an interface of the host, gives the
 * descriptor back through the socket at descriptor 3, and ends. It is called by lodge-vmnet's launcher; docs/networks.md, man lodge-nethelper.
 *
 *     attach   interface=, method=auto|bridge|macvtap, mac=   a tap on a bridge; a bridge is made over an interface if need be
 *     hostonly name=vmnetN, address=a.b.c.d/n                 a tap with the host's address
 *     release                                                 takes away bridges of ours that no machine uses
 *     check                                                   is it permitted? for people, without a socket
 *
 * Each run first takes away what a run that was killed has left.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/wireless.h>
#include <net/if_arp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "helper.h"
#include "net/netmsg.h"

enum { SOCKET = 3, LOCK_MS = 8000 };

struct args {
    const char *interface, *method, *mac, *name, *address;
};

/* ---- surroundings ---- */

static void clean(void)
{
    clearenv();
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(1);
    close_range(SOCKET + 1, ~0u, 0);
    umask(077);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    static const int quiet[] = {SIGPIPE, SIGHUP, SIGINT};
    for (unsigned i = 0; i < 3; i++)
        signal(quiet[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (chdir("/"))
        _exit(1);
}

static bool is_channel(int fd)
{
    int type = 0, domain = 0;
    socklen_t n = sizeof type;
    return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) && type == SOCK_SEQPACKET && !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) &&
           domain == AF_UNIX;
}

/* One run at a time in this network namespace: an abstract socket's name is freed by the kernel, whatever ends us. */
static int lock(struct err *e)
{
    static const char name[] = "lodge-nethelper";
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path + 1, name, sizeof name);
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int ms = 0; s >= 0; ms += 10) {
        if (!bind(s, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof name)))
            return 0;
        if (errno != EADDRINUSE || ms > LOCK_MS)
            break;
        usleep(10000);
    }
    return err_set(e, ERR_BUSY, errno, "Another lodge-nethelper is at work and does not end (%s). Try again.", strerror(errno));
}

static bool answer(int channel, struct netmsg *m, int fd)
{
    char text[420] = "";
    if (channel >= 0)
        return !netmsg_send(channel, m, fd, 0);
    netmsg_get(m, "text", text, sizeof text);
    printf("%s\n", text[0] ? text : "ok");
    return true;
}

/* ---- bridges of ours ---- */

static bool ours(const struct link_info *l)
{
    return !strcmp(l->kind, "bridge") && !strncmp(l->name, "lbr", 3) && !strncmp(l->alias, OWN_ALIAS, strlen(OWN_ALIAS));
}
static const struct link_info *wire_of(const struct links *ls, const struct link_info *bridge)
{
    return links_by_name(ls, bridge->alias + strlen(OWN_ALIAS));
}
static unsigned machines_on(const struct links *ls, const struct link_info *bridge)
{
    unsigned n = 0;
    const struct link_info *wire = wire_of(ls, bridge);
    for (unsigned i = 0; i < ls->n; i++)
        n += ls->l[i].master == bridge->index && &ls->l[i] != wire;
    return n;
}

/* Bridges of ours without machines go, but the one over `except`. Returns how many are in use. */
static unsigned sweep(struct mnl_socket *s, const struct links *ls, const char *except)
{
    unsigned used = 0;
    struct err e;
    for (unsigned i = 0; i < ls->n; i++) {
        const struct link_info *b = &ls->l[i], *wire;
        if (!ours(b))
            continue;
        wire = wire_of(ls, b);
        if (machines_on(ls, b))
            used++;
        else if (!(except && wire && wire->master == b->index && (!strcmp(wire->name, except) || !strcmp(b->name, except))))
            uplink_release(s, b, wire, &e);
    }
    return used;
}

/* ---- attach ---- */

static bool wireless(const char *name)
{
    struct iwreq r = {0};
    char path[64];
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool yes = s >= 0 && ioctl(s, SIOCGIWNAME, &r) >= 0;
    if (s >= 0)
        close(s);
    snprintf(path, sizeof path, "/sys/class/net/%.15s/phy80211", name);
    return yes || !access(path, F_OK);
}

static int pick(struct mnl_socket *s, const struct links *ls, const struct args *a, struct link_info *out, struct err *e)
{
    const struct link_info *l;
    if (a->interface && *a->interface) {
        if (!link_name_valid(a->interface))
            return err_set(e, ERR_CONFIG, 0, "The name of the interface is none.");
        l = links_by_name(ls, a->interface);
        if (!l)
            return err_set(e, ERR_CONFIG, ENODEV, "The host has no interface %s.", a->interface);
    } else {
        int index = uplink_default(s);
        l = index ? links_by_index(ls, index) : NULL;
        if (!l)
            return err_set(e, ERR_CONFIG, 0, "The host has no default route, so there is no interface to choose. Name one.");
    }
    *out = *l;
    return 0;
}

static int attach_tap(struct mnl_socket *s, const struct link_info *bridge, struct tap *t, struct err *e)
{
    if (tap_make(t, NULL, e))
        return -1;
    if (tap_join(s, t, bridge, e)) {
        close(t->fd);
        t->fd = -1;
        return -1;
    }
    return 0;
}

static int attach(struct mnl_socket *s, const struct args *a, int owner, struct netmsg *m, struct tap *t, struct err *e)
{
    struct links ls;
    struct link_info l, low;
    const char *method = a->method ? a->method : "auto", *note = "";
    char uplink[16] = "", made[16];
    uint8_t mac[6] = {0};
    bool macvtap = !strcmp(method, "macvtap"), bridge = !strcmp(method, "bridge");
    if (!macvtap && !bridge && strcmp(method, "auto"))
        return err_set(e, ERR_CONFIG, 0, "The method is auto, bridge or macvtap.");
    if (a->mac && (!net_mac_parse(a->mac, mac) || mac[0] & 1))
        return err_set(e, ERR_CONFIG, 0, "The MAC address is none that a machine can have.");
    if (links_get(s, &ls, e))
        return -1;
    if (pick(s, &ls, a, &l, e))
        goto fail;
    low = l;
    /* An interface in a bridge: that bridge. */
    if (l.master && links_by_index(&ls, l.master)) {
        const struct link_info *up = links_by_index(&ls, l.master);
        if (strcmp(up->kind, "bridge")) {
            err_set(e, ERR_UNSUPPORTED, 0, "%s belongs to %s (%s). Name that one.", l.name, up->name, up->kind);
            goto fail;
        }
        low = *up;
    }
    if (ours(&low))
        snprintf(uplink, sizeof uplink, "%.15s", low.alias + strlen(OWN_ALIAS));
    /* What the user named, or what is behind a bridge of ours, must be on the list. */
    if (allow_check(uplink[0] ? uplink : l.name, e) && (uplink[0] || !strcmp(low.name, l.name) || allow_check(low.name, e)))
        goto fail;
    caps_raise(false);
    sweep(s, &ls, l.name);
    macvtap_sweep(s, &ls, 0);
    if (strcmp(low.kind, "bridge")) {
        if (low.type != ARPHRD_ETHER || low.flags & IFF_LOOPBACK || !strcmp(low.kind, "macvtap") || !strncmp(low.name, "lodge", 5)) {
            err_set(e, ERR_UNSUPPORTED, 0, "%s is no Ethernet interface, so machines cannot be connected to it. Use NAT.", low.name);
            goto fail;
        }
        if (wireless(low.name)) {
            err_set(e, ERR_UNSUPPORTED, 0, "%s is a wireless interface: its access point takes frames from its own address only, so machines cannot be "
                    "bridged to it. Use NAT, or a wired interface.", low.name);
            goto fail;
        }
        /* Who gave the address an end will look for it on this interface: the host's configuration is better left alone. */
        if (macvtap || (!bridge && uplink_is_dynamic(s, low.index))) {
            static const uint8_t none[6];
            if (!caps_have_dac()) {
                err_set(e, ERR_DENIED, 0, "The address of %s comes from DHCP, so it is left as it is and macvtap is used, for which lodge-nethelper also needs "
                        "cap_dac_override (see its manual). Or make a bridge in the network settings and name it.", low.name);
                goto fail;
            }
            if (!memcmp(mac, none, 6)) {
                err_set(e, ERR_CONFIG, 0, "macvtap needs the machine's MAC address.");
                goto fail;
            }
            if (macvtap_make(s, t, &low, mac, owner, e))
                goto fail;
            note = "The machine reaches the network, but not this host: macvtap leaves the host's own interface as it is.";
            goto done;
        }
        snprintf(uplink, sizeof uplink, "%s", low.name);
        if (uplink_make(s, &low, made, e))
            goto fail;
        links_free(&ls);
        if (links_get(s, &ls, e))
            return -1;
        const struct link_info *b = links_by_name(&ls, made);
        if (!b) {
            err_set(e, ERR_HOST, ENODEV, "The new bridge is gone again.");
            goto fail;
        }
        low = *b;
    } else if (uplink[0] && l.master != low.index && links_by_name(&ls, uplink) && links_by_name(&ls, uplink)->master != low.index) {
        /* Our bridge has lost its interface, which is back now: as if it were made anew, under the machines that are on it. */
        const struct link_info *w = links_by_name(&ls, uplink);
        int rc = uplink_rejoin(s, &low, w, e);
        if (rc)
            goto fail;
    }
    if (attach_tap(s, &low, t, e)) {
        if (ours(&low)) { /* made for nothing? */
            struct links now;
            if (!links_get(s, &now, NULL)) {
                sweep(s, &now, NULL);
                links_free(&now);
            }
        }
        goto fail;
    }
done:
    netmsg_add(m, "ifname", "%s", t->name);
    netmsg_add(m, "lower", "%s", low.name);
    netmsg_add(m, "uplink", "%s", uplink);
    netmsg_add(m, "text", "%s", note);
    links_free(&ls);
    return 0;
fail:
    links_free(&ls);
    return -1;
}

/* ---- host-only ---- */

static int hostonly(struct mnl_socket *s, const struct args *a, struct netmsg *m, struct tap *t, struct err *e)
{
    unsigned number, bits;
    char ip[16], rest, name[24];
    struct in_addr in;
    int other;
    if (!a->name || sscanf(a->name, "vmnet%2u%c", &number, &rest) != 1 || number > 19)
        return err_set(e, ERR_CONFIG, 0, "The interface of a host-only network is named vmnet0 to vmnet19.");
    if (!a->address || sscanf(a->address, "%15[0-9.]/%2u%c", ip, &bits, &rest) != 2 || inet_pton(AF_INET, ip, &in) != 1)
        return err_set(e, ERR_CONFIG, 0, "The address is none.");
    uint32_t v = ntohl(in.s_addr), net = v & (bits ? ~0u << (32 - bits) : 0);
    bool private = v >> 24 == 10 || v >> 20 == 0xac1 || v >> 16 == 0xc0a8;
    if (!private || bits < 16 || bits > 29 || v == net || v == (net | ~0u >> bits))
        return err_set(e, ERR_CONFIG, 0, "A host-only network with an interface on the host has a private address (10.*, 172.16.* to 172.31.*, 192.168.*) and "
                       "is between /16 and /29.");
    if (allow_check("hostonly", e))
        return -1;
    if (uplink_overlaps(s, net, bits, &other)) {
        struct links ls;
        const struct link_info *l = NULL;
        char who[24] = "Another interface";
        if (!links_get(s, &ls, NULL)) {
            l = links_by_index(&ls, other);
            snprintf(who, sizeof who, "%.15s", l ? l->name : "?");
            links_free(&ls);
        }
        return err_set(e, ERR_BUSY, 0, "%s has an address in the network %s/%u already. Choose another subnet for %s.", who, ip, bits, a->name);
    }
    caps_raise(false);
    struct links ls;
    if (links_get(s, &ls, e))
        return -1;
    for (unsigned k = 0;; k++) {
        snprintf(name, sizeof name, k ? "vmnet%u-%u" : "vmnet%u", number, k);
        if (links_by_name(&ls, name)) /* another user's, or what not: never taken over */
            continue;
        if (k > 64 || !tap_make(t, name, e))
            break;
        if (e->kind != ERR_BUSY)
            break;
    }
    links_free(&ls);
    if (t->fd < 0)
        return -1;
    if (tap_host(s, t, number, v, bits, e)) {
        close(t->fd);
        t->fd = -1;
        return -1;
    }
    netmsg_add(m, "ifname", "%s", t->name);
    return 0;
}

static int release(struct mnl_socket *s, int owner, struct netmsg *m, struct err *e)
{
    struct links ls;
    if (links_get(s, &ls, e))
        return -1;
    caps_raise(false);
    netmsg_add(m, "left", "%u", sweep(s, &ls, NULL));
    macvtap_sweep(s, &ls, owner);
    links_free(&ls);
    return 0;
}

static const struct {
    const char *key;
    size_t at;
} keys[] = {{"interface", offsetof(struct args, interface)}, {"method", offsetof(struct args, method)}, {"mac", offsetof(struct args, mac)},
            {"name", offsetof(struct args, name)}, {"address", offsetof(struct args, address)}};

static int parse(int argc, char **argv, struct args *a)
{
    for (int i = 2; i < argc; i++) {
        unsigned k;
        for (k = 0; k < sizeof keys / sizeof *keys; k++) {
            size_t n = strlen(keys[k].key);
            if (!strncmp(argv[i], keys[k].key, n) && argv[i][n] == '=' && strlen(argv[i]) < 100) {
                *(const char **)((char *)a + keys[k].at) = argv[i] + n + 1;
                break;
            }
        }
        if (k == sizeof keys / sizeof *keys)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct args a = {0};
    struct netmsg m;
    struct err e = {0};
    struct tap t = {.fd = -1};
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    clean();
    int channel = is_channel(SOCKET) ? SOCKET : -1;
    if (channel >= 0)
        fcntl(channel, F_SETFD, FD_CLOEXEC);
    const char *op = argc > 1 ? argv[1] : "";
    bool attaches = !strcmp(op, "attach") || !strcmp(op, "hostonly");
    if ((!attaches && strcmp(op, "release") && strcmp(op, "check")) || parse(argc, argv, &a) || (attaches && channel < 0)) {
        fputs("lodge-nethelper " PACKAGE_VERSION " is started by lodge-vmnet. By hand: lodge-nethelper check [interface=NAME], lodge-nethelper release\n",
              stderr);
        return 2;
    }
    struct mnl_socket *s = NULL;
    netmsg_init(&m, "ok");
    if (channel >= 0 && !getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &peer, &len))
        len = 0;
    if (peer.pid <= 0) /* of another pid namespace */
        peer.pid = getppid();
    int rc = caps_init(&e);
    if (!rc && !(s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)))
        rc = err_set(&e, ERR_HOST, errno, "The kernel has no rtnetlink: %s.", strerror(errno));
    if (!rc && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID))
        rc = err_set(&e, ERR_HOST, errno, "rtnetlink: %s.", strerror(errno));
    if (!rc && !strcmp(op, "check"))
        rc = allow_check(a.interface && *a.interface ? a.interface : "hostonly", &e);
    else if (!rc && !(rc = lock(&e)))
        rc = !strcmp(op, "attach")     ? attach(s, &a, peer.pid, &m, &t, &e)
             : !strcmp(op, "hostonly") ? hostonly(s, &a, &m, &t, &e)
                                       : release(s, peer.pid, &m, &e);
    if (rc) {
        netmsg_init(&m, "error");
        netmsg_add(&m, "text", "%s", e.msg);
    }
    bool sent = answer(channel, &m, t.fd);
    if ((rc || !sent) && attaches && s) { /* failed on the way, or nobody takes it: as if nothing had been asked */
        if (t.fd >= 0)
            close(t.fd);
        struct links ls;
        if (!links_get(s, &ls, NULL)) {
            sweep(s, &ls, NULL);
            links_free(&ls);
        }
    }
    return rc || !sent;
}
