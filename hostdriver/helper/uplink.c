/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bridge over a wired interface, and back, without the host losing its addresses and routes.
 *
 * All of the change is one batch of rtnetlink messages, which the kernel carries out in one system call: whoever kills this process finds the host
 * before it or after it, never between. Before it there is at most a bridge without members (made by a batch of its own), which the next run takes
 * away; after it everything works. The bridge says by its alias which interface it is for; nothing else is remembered anywhere.
 *
 * Addresses go first, then routes: those that the kernel makes itself from an address (protocol kernel, its default metric) come by themselves with
 * it, the others are replaced in place (same destination and metric, other interface), those without a gateway before those with one. At last the
 * old addresses go: their connected routes with them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "helper.h"

enum { ENTRIES = 256, MESSAGE = 512 };

/* Messages of a dump that concern one interface. */
struct rows {
    int index; /* 0: all */
    unsigned n;
    bool many, multipath;
    struct {
        uint16_t len;
        char msg[MESSAGE];
    } row[ENTRIES];
};

static const struct nlmsghdr *row(const struct rows *r, unsigned i) { return (const void *)r->row[i].msg; }

static int keep(const struct nlmsghdr *h, void *u)
{
    struct rows *r = u;
    if (r->n == ENTRIES || h->nlmsg_len > MESSAGE) {
        r->many = true;
        return MNL_CB_OK;
    }
    memcpy(r->row[r->n].msg, h, h->nlmsg_len);
    r->row[r->n++].len = (uint16_t)h->nlmsg_len;
    return MNL_CB_OK;
}

static int on_address(const struct nlmsghdr *h, void *u)
{
    const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
    struct rows *r = u;
    return !r->index || (int)a->ifa_index == r->index ? keep(h, u) : MNL_CB_OK;
}

static uint32_t attr32(const struct nlmsghdr *h, size_t head, uint16_t type, uint32_t none)
{
    const struct nlattr *a;
    mnl_attr_for_each(a, h, head)
        if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= 4)
            return mnl_attr_get_u32(a);
    return none;
}
static bool has(const struct nlmsghdr *h, size_t head, uint16_t type)
{
    const struct nlattr *a;
    mnl_attr_for_each(a, h, head)
        if (mnl_attr_get_type(a) == type)
            return true;
    return false;
}

static int on_route(const struct nlmsghdr *h, void *u)
{
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    struct rows *r = u;
    if (m->rtm_flags & RTM_F_CLONED || m->rtm_table == RT_TABLE_LOCAL || m->rtm_type != RTN_UNICAST)
        return MNL_CB_OK;
    const struct nlattr *a;
    mnl_attr_for_each(a, h, sizeof *m)
        if (mnl_attr_get_type(a) == RTA_MULTIPATH) {
            const struct rtnexthop *nh = mnl_attr_get_payload(a);
            for (int left = mnl_attr_get_payload_len(a); RTNH_OK(nh, left); left -= RTNH_ALIGN(nh->rtnh_len), nh = RTNH_NEXT(nh))
                r->multipath |= nh->rtnh_ifindex == r->index;
        }
    return !r->index || (int)attr32(h, sizeof *m, RTA_OIF, 0) == r->index ? keep(h, u) : MNL_CB_OK;
}

static struct rows *dump(struct mnl_socket *s, uint16_t type, int family, int index, struct err *e)
{
    struct rows *r = calloc(1, sizeof *r);
    char buf[32768];
    if (!r) {
        err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
        return NULL;
    }
    r->index = index;
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    uint32_t seq = (uint32_t)time(NULL) ^ (uint32_t)type << 16 ^ (uint32_t)family << 8;
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    h->nlmsg_seq = seq;
    if (type == RTM_GETADDR) {
        struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof *a);
        a->ifa_family = (uint8_t)family;
    } else {
        struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
        m->rtm_family = (uint8_t)family;
    }
    int rc = mnl_socket_sendto(s, h, h->nlmsg_len) < 0 ? -1 : 1;
    while (rc > 0) {
        ssize_t n = mnl_socket_recvfrom(s, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        rc = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(s), type == RTM_GETADDR ? on_address : on_route, r);
    }
    if (rc < 0) {
        err_set(e, ERR_HOST, errno, "The host's addresses and routes cannot be listed: %s.", strerror(errno));
        free(r);
        return NULL;
    }
    return r;
}

/* ---- moving ---- */

/* The message again, for another interface. */
static void again(struct batch *b, const struct nlmsghdr *old, uint16_t type, uint16_t flags, bool optional, size_t head, int to)
{
    struct nlmsghdr *h = batch_add(b, type, flags, optional);
    void *p = mnl_nlmsg_put_extra_header(h, head);
    memcpy(p, mnl_nlmsg_get_payload(old), head);
    bool route = type == RTM_NEWROUTE;
    if (!route)
        ((struct ifaddrmsg *)p)->ifa_index = (unsigned)to;
    else
        ((struct rtmsg *)p)->rtm_flags &= RTNH_F_ONLINK;
    const struct nlattr *a;
    mnl_attr_for_each(a, old, head) {
        uint16_t t = mnl_attr_get_type(a);
        if (route && t == RTA_OIF) {
            mnl_attr_put_u32(h, RTA_OIF, (uint32_t)to);
        } else if (route && t == RTA_CACHEINFO) {
            const struct rta_cacheinfo *c = mnl_attr_get_payload(a);
            if (mnl_attr_get_payload_len(a) >= sizeof *c && c->rta_expires > 0)
                mnl_attr_put_u32(h, RTA_EXPIRES, (uint32_t)c->rta_expires / 100); /* USER_HZ */
        } else if (!route && (t == IFA_LABEL || (t == IFA_CACHEINFO && type == RTM_DELADDR))) {
            /* the label begins with the old interface's name */
        } else if (!route && t == IFA_FLAGS) {
            uint32_t f = mnl_attr_get_u32(a) & (IFA_F_NOPREFIXROUTE | IFA_F_MANAGETEMPADDR | IFA_F_HOMEADDRESS | IFA_F_MCAUTOJOIN);
            if (((struct ifaddrmsg *)p)->ifa_family == AF_INET6)
                f |= IFA_F_NODAD; /* it was ours a moment ago */
            mnl_attr_put_u32(h, IFA_FLAGS, f);
        } else if (!route && t > IFA_MAX) {
            continue;
        } else {
            mnl_attr_put(h, t, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a));
        }
    }
}

static void gen_mode(struct batch *b, int index, int mode)
{
    struct nlmsghdr *h = batch_add(b, RTM_NEWLINK, 0, true); /* a kernel without IPv6 */
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_index = index;
    struct nlattr *af = mnl_attr_nest_start(h, IFLA_AF_SPEC), *v6 = mnl_attr_nest_start(h, AF_INET6);
    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, (uint8_t)mode);
    mnl_attr_nest_end(h, v6);
    mnl_attr_nest_end(h, af);
}

static void master(struct batch *b, int index, int to)
{
    struct nlmsghdr *h = batch_add(b, RTM_NEWLINK, 0, false);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_index = index;
    i->ifi_flags = i->ifi_change = IFF_UP;
    mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)to);
}

static bool by_kernel(const struct nlmsghdr *h, bool noprefix)
{
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    uint32_t metric = attr32(h, sizeof *m, RTA_PRIORITY, 0);
    if (m->rtm_family == AF_INET6 && has(h, sizeof *m, RTA_DST)) {
        const struct nlattr *a;
        mnl_attr_for_each(a, h, sizeof *m)
            if (mnl_attr_get_type(a) == RTA_DST && mnl_attr_get_payload_len(a) == 16) {
                const uint8_t *d = mnl_attr_get_payload(a);
                if (d[0] == 0xff || (d[0] == 0xfe && (d[1] & 0xc0) == 0x80))
                    return true;
            }
    }
    return m->rtm_protocol == RTPROT_KERNEL && !noprefix && metric == (m->rtm_family == AF_INET6 ? 256 : 0);
}

/* Puts into the batch what gives `to` the addresses and routes of `from`. */
static int move(struct mnl_socket *s, struct batch *b, int from, int to, bool enslave, int bridge, int wire, struct err *e)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct rows *addr[2] = {NULL, NULL}, *route[2] = {NULL, NULL};
    int rc = -1;
    for (int f = 0; f < 2; f++) {
        addr[f] = dump(s, RTM_GETADDR, families[f], from, e);
        route[f] = addr[f] ? dump(s, RTM_GETROUTE, families[f], from, e) : NULL;
        if (!route[f])
            goto out;
        if (addr[f]->many || route[f]->many) {
            err_set(e, ERR_UNSUPPORTED, 0, "The interface has too many addresses or routes. Make a bridge yourself, and name it.");
            goto out;
        }
        if (route[f]->multipath) {
            err_set(e, ERR_UNSUPPORTED, 0, "A route goes over this interface and another one at a time. Make a bridge yourself, and name it.");
            goto out;
        }
    }
    if (!enslave)
        master(b, wire, 0);
    gen_mode(b, to, IN6_ADDR_GEN_MODE_NONE); /* the link-local address comes with the others */
    bool noprefix[2] = {false, false};
    for (int f = 0; f < 2; f++)
        for (unsigned i = 0; i < addr[f]->n; i++) {
            const struct nlmsghdr *h = row(addr[f], i);
            noprefix[f] |= (attr32(h, sizeof(struct ifaddrmsg), IFA_FLAGS, 0) & IFA_F_NOPREFIXROUTE) != 0;
            again(b, h, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, f == 1, sizeof(struct ifaddrmsg), to);
        }
    if (enslave)
        master(b, wire, bridge);
    for (int gateway = 0; gateway < 2; gateway++)
        for (int f = 0; f < 2; f++)
            for (unsigned i = 0; i < route[f]->n; i++) {
                const struct nlmsghdr *h = row(route[f], i);
                bool via = has(h, sizeof(struct rtmsg), RTA_GATEWAY) || has(h, sizeof(struct rtmsg), RTA_VIA);
                if (via == gateway && !by_kernel(h, noprefix[f]))
                    again(b, h, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, f == 1, sizeof(struct rtmsg), to);
            }
    for (int f = 0; f < 2; f++)
        for (unsigned i = 0; i < addr[f]->n; i++)
            again(b, row(addr[f], i), RTM_DELADDR, 0, true, sizeof(struct ifaddrmsg), from);
    rc = 0;
out:
    for (int f = 0; f < 2; f++) {
        free(addr[f]);
        free(route[f]);
    }
    return rc;
}

int uplink_release(struct mnl_socket *s, const struct link_info *bridge, const struct link_info *wire, struct err *e)
{
    struct batch *b = batch_new();
    if (!b)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    int rc = 0;
    if (wire && wire->master == bridge->index) {
        rc = move(s, b, bridge->index, wire->index, false, bridge->index, wire->index, e);
        if (!rc)
            gen_mode(b, wire->index, IN6_ADDR_GEN_MODE_EUI64);
    }
    if (!rc) {
        struct nlmsghdr *h = batch_add(b, RTM_DELLINK, 0, false);
        struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
        i->ifi_index = bridge->index;
        char what[80];
        snprintf(what, sizeof what, "Taking down the bridge %s", bridge->name);
        rc = batch_run(b, s, what, e);
    }
    batch_free(b);
    return rc;
}

static void bridge_options(struct nlmsghdr *h)
{
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
    struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0);
    mnl_attr_put_u32(h, IFLA_BR_STP_STATE, 0);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
}

int uplink_make(struct mnl_socket *s, const struct link_info *wire, char name[16], struct err *e)
{
    struct links ls;
    struct batch *b = batch_new();
    char what[80], alias[64];
    if (!b)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    snprintf(name, 16, "lbr%d", wire->index);
    snprintf(alias, sizeof alias, OWN_ALIAS "%s", wire->name);
    snprintf(what, sizeof what, "Making a bridge over %s", wire->name);
    struct nlmsghdr *h = batch_add(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, false);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    mnl_attr_put(h, IFLA_ADDRESS, 6, wire->mac);
    mnl_attr_put_u32(h, IFLA_MTU, wire->mtu);
    bridge_options(h);
    h = batch_add(b, RTM_NEWLINK, 0, false);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    mnl_attr_put_strz(h, IFLA_IFALIAS, alias);
    h = batch_add(b, RTM_NEWLINK, 0, true);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    struct nlattr *af = mnl_attr_nest_start(h, IFLA_AF_SPEC), *v6 = mnl_attr_nest_start(h, AF_INET6);
    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, v6);
    mnl_attr_nest_end(h, af);
    h = batch_add(b, RTM_NEWLINK, 0, false);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_flags = i->ifi_change = IFF_UP;
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    int rc = batch_run(b, s, what, e);
    batch_free(b);
    if (rc)
        return -1;
    if (links_get(s, &ls, e))
        return -1;
    const struct link_info *br = links_by_name(&ls, name);
    if (!br) {
        links_free(&ls);
        return err_set(e, ERR_HOST, ENODEV, "%s: it is gone again.", what);
    }
    struct link_info bridge = *br;
    links_free(&ls);
    b = batch_new();
    rc = b ? move(s, b, wire->index, bridge.index, true, bridge.index, wire->index, e) : err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    if (!rc)
        rc = batch_run(b, s, what, e);
    batch_free(b);
    if (rc) { /* as it was before */
        struct link_info w = *wire;
        struct err e2;
        w.master = bridge.index;
        if (uplink_release(s, &bridge, &w, &e2))
            err_prefix(e, "%s And back: ", e2.msg);
    }
    return rc;
}

int uplink_rejoin(struct mnl_socket *s, const struct link_info *bridge, const struct link_info *wire, struct err *e)
{
    struct batch *b = batch_new();
    if (!b)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    gen_mode(b, wire->index, IN6_ADDR_GEN_MODE_NONE);
    master(b, wire->index, bridge->index);
    int rc = batch_run(b, s, "Connecting the interface again", e);
    batch_free(b);
    return rc;
}

/* ---- questions ---- */

bool uplink_is_dynamic(struct mnl_socket *s, int index)
{
    struct rows *r = dump(s, RTM_GETADDR, AF_INET, index, NULL);
    bool dynamic = false;
    for (unsigned i = 0; r && i < r->n; i++) {
        const struct ifaddrmsg *a = mnl_nlmsg_get_payload(row(r, i));
        dynamic |= !(attr32(row(r, i), sizeof *a, IFA_FLAGS, a->ifa_flags) & IFA_F_PERMANENT);
    }
    free(r);
    return dynamic;
}

int uplink_default(struct mnl_socket *s)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (int f = 0; f < 2; f++) {
        struct rows *r = dump(s, RTM_GETROUTE, families[f], 0, NULL);
        uint32_t best = ~0u;
        int index = 0;
        for (unsigned i = 0; r && i < r->n; i++) {
            const struct rtmsg *m = mnl_nlmsg_get_payload(row(r, i));
            uint32_t metric = attr32(row(r, i), sizeof *m, RTA_PRIORITY, 0);
            if (m->rtm_dst_len || m->rtm_table != RT_TABLE_MAIN || (index && metric >= best))
                continue;
            best = metric;
            index = (int)attr32(row(r, i), sizeof *m, RTA_OIF, 0);
        }
        free(r);
        if (index)
            return index;
    }
    return 0;
}

bool uplink_overlaps(struct mnl_socket *s, uint32_t net, unsigned bits, int *index)
{
    struct rows *r = dump(s, RTM_GETADDR, AF_INET, 0, NULL);
    bool found = false;
    for (unsigned i = 0; r && i < r->n && !found; i++) {
        const struct ifaddrmsg *a = mnl_nlmsg_get_payload(row(r, i));
        unsigned less = a->ifa_prefixlen < bits ? a->ifa_prefixlen : bits;
        uint32_t ip = __builtin_bswap32(attr32(row(r, i), sizeof *a, IFA_LOCAL, 0)), mask = less ? ~0u << (32 - less) : 0;
        found = (ip & mask) == (net & mask);
        *index = (int)a->ifa_index;
    }
    free(r);
    return found;
}
