/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taps and macvtaps: interfaces whose frames a descriptor carries, each behind a struct virtio_net_hdr of 10 bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "helper.h"

enum { VNET_HDR = 10, OFFLOADS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 };

static int prepare(int fd, struct err *e)
{
    int size = VNET_HDR;
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) || ioctl(fd, TUNSETOFFLOAD, OFFLOADS))
        return err_set(e, ERR_HOST, errno, "The host's taps cannot do what is needed: %s.", strerror(errno));
    return 0;
}

static int index_of(const char *name)
{
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = s < 0 ? -1 : ioctl(s, SIOCGIFINDEX, &r);
    if (s >= 0)
        close(s);
    return rc ? 0 : r.ifr_ifindex;
}

int tap_make(struct tap *t, const char *name, struct err *e)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name ? name : "lodge%d");
    t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (t->fd < 0)
        return err_set(e, ERR_HOST, errno, "/dev/net/tun cannot be opened (%s). If it does not exist: sudo modprobe tun.", strerror(errno));
    if (ioctl(t->fd, TUNSETIFF, &r)) {
        int rc = errno;
        close(t->fd);
        t->fd = -1;
        return err_set(e, rc == EBUSY ? ERR_BUSY : ERR_HOST, rc, "The host refuses a new tap: %s.", strerror(rc));
    }
    memcpy(t->name, r.ifr_name, sizeof t->name);
    t->name[15] = 0;
    t->index = index_of(t->name);
    if (!t->index || prepare(t->fd, e)) {
        if (!t->index)
            err_set(e, ERR_HOST, ENODEV, "The new tap is gone again.");
        close(t->fd);
        t->fd = -1;
        return -1;
    }
    return 0;
}

static struct ifinfomsg *link_message(struct batch *b, struct nlmsghdr **h, int index, bool up)
{
    *h = batch_add(b, RTM_NEWLINK, 0, false);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(*h, sizeof *i);
    i->ifi_family = AF_UNSPEC;
    i->ifi_index = index;
    i->ifi_flags = up ? IFF_UP : 0;
    i->ifi_change = IFF_UP;
    return i;
}

/* A tap is for the machine: the host's own IPv6 stays away from it. */
static void no_addresses(struct nlmsghdr *h)
{
    struct nlattr *af = mnl_attr_nest_start(h, IFLA_AF_SPEC), *v6 = mnl_attr_nest_start(h, AF_INET6);
    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, v6);
    mnl_attr_nest_end(h, af);
}

int tap_join(struct mnl_socket *s, const struct tap *t, const struct link_info *bridge, struct err *e)
{
    struct batch *b = batch_new();
    struct nlmsghdr *h;
    /* A bridge takes the lowest address of its members for its own unless it was given one: this is the lowest never, not even beside the taps of
     * other programs, which begin with FEh as well. */
    uint8_t mac[6] = {0xfe, 0xff};
    if (!b)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    (void)!getrandom(mac + 2, 4, 0);
    link_message(b, &h, t->index, false);
    mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
    if (bridge->mtu >= 68)
        mnl_attr_put_u32(h, IFLA_MTU, bridge->mtu);
    h = batch_add(b, RTM_NEWLINK, 0, true); /* a kernel without IPv6 */
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_index = t->index;
    no_addresses(h);
    link_message(b, &h, t->index, true);
    mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)bridge->index);
    char what[64];
    snprintf(what, sizeof what, "Connecting to %s", bridge->name);
    int rc = batch_run(b, s, what, e);
    batch_free(b);
    return rc;
}

int tap_host(struct mnl_socket *s, const struct tap *t, unsigned number, uint32_t ip, unsigned bits, struct err *e)
{
    struct batch *b = batch_new();
    struct nlmsghdr *h;
    const uint8_t mac[6] = {0x00, 0x50, 0x56, 0xC0, 0x00, (uint8_t)number}; /* VMware's addresses for the host's adapters */
    uint32_t be = __builtin_bswap32(ip), brd = __builtin_bswap32(ip | ~0u >> bits);
    if (!b)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    link_message(b, &h, t->index, false);
    mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
    link_message(b, &h, t->index, true);
    h = batch_add(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, false);
    struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof *a);
    a->ifa_family = AF_INET;
    a->ifa_prefixlen = (uint8_t)bits;
    a->ifa_index = (unsigned)t->index;
    mnl_attr_put_u32(h, IFA_LOCAL, be);
    mnl_attr_put_u32(h, IFA_ADDRESS, be);
    mnl_attr_put_u32(h, IFA_BROADCAST, brd);
    int rc = batch_run(b, s, "Making the host's interface", e);
    batch_free(b);
    return rc;
}

/* ---- macvtap ---- */

static void delete(struct mnl_socket *s, int index)
{
    struct batch *b = batch_new();
    if (!b)
        return;
    struct nlmsghdr *h = batch_add(b, RTM_DELLINK, 0, true);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_index = index;
    batch_run(b, s, "", NULL);
    batch_free(b);
}

int macvtap_make(struct mnl_socket *s, struct tap *t, const struct link_info *lower, const uint8_t mac[6], int owner, struct err *e)
{
    struct batch *b = batch_new();
    char alias[48], path[64];
    unsigned number;
    if (!b)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (unsigned)getpid();
    snprintf(t->name, sizeof t->name, "lmv%x", number);
    snprintf(alias, sizeof alias, OWN_ALIAS "pid %d", owner);
    struct nlmsghdr *h = batch_add(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, false);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, t->name);
    mnl_attr_put_u32(h, IFLA_LINK, (uint32_t)lower->index);
    mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "macvtap");
    struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    mnl_attr_put_u32(h, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    h = batch_add(b, RTM_NEWLINK, 0, false);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_flags = i->ifi_change = IFF_UP;
    mnl_attr_put_strz(h, IFLA_IFNAME, t->name);
    mnl_attr_put_strz(h, IFLA_IFALIAS, alias);
    char what[96];
    snprintf(what, sizeof what, "Connecting to %s by macvtap", lower->name);
    int rc = batch_run(b, s, what, e);
    batch_free(b);
    t->index = index_of(t->name);
    if (rc || !t->index)
        return rc ? rc : err_set(e, ERR_HOST, ENODEV, "%s: the new interface is gone again.", what);
    snprintf(path, sizeof path, "/dev/tap%d", t->index);
    for (int ms = 0; ms < 2000; ms += 20) { /* udev may be about to make it */
        caps_raise(true);
        t->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        rc = errno;
        caps_raise(false);
        if (t->fd >= 0 || rc != ENOENT)
            break;
        usleep(20000);
    }
    struct stat st;
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    if (t->fd < 0)
        err_set(e, ERR_HOST, rc, "%s: %s cannot be opened: %s.", what, path, strerror(rc));
    else if (fstat(t->fd, &st) || !S_ISCHR(st.st_mode))
        err_set(e, ERR_HOST, 0, "%s: %s is no device.", what, path);
    else if (ioctl(t->fd, TUNSETIFF, &r))
        err_set(e, ERR_HOST, errno, "%s: %s.", what, strerror(errno));
    else if (!prepare(t->fd, e))
        return 0;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    delete(s, t->index);
    return -1;
}

/* Unlike a tap it outlives its descriptor: those whose owner has ended, or that this owner gives back, go. */
void macvtap_sweep(struct mnl_socket *s, const struct links *ls, int owner)
{
    for (unsigned i = 0; i < ls->n; i++) {
        int pid = 0;
        if (strcmp(ls->l[i].kind, "macvtap") || sscanf(ls->l[i].alias, OWN_ALIAS "pid %d", &pid) != 1)
            continue;
        if (pid <= 0 || pid == owner || (kill(pid, 0) && errno == ESRCH))
            delete(s, ls->l[i].index);
    }
}
