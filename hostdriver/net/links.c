/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's network interfaces; links.h. */
#define _GNU_SOURCE
#include "net/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINKS_MAX = 4096 };

static void text(char *to, size_t n, const struct nlattr *a)
{
    size_t len = mnl_attr_get_payload_len(a);
    len = len < n ? len : n - 1;
    memcpy(to, mnl_attr_get_payload(a), len);
    to[len] = 0;
}

static int one(const struct nlmsghdr *h, void *u)
{
    struct links *ls = u;
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    if (h->nlmsg_type != RTM_NEWLINK || ls->n == LINKS_MAX)
        return MNL_CB_OK;
    if (!(ls->n & (ls->n - 1)) || !ls->l) {
        struct link_info *l = realloc(ls->l, (ls->n ? ls->n * 2 : 1) * sizeof *l);
        if (!l)
            return MNL_CB_ERROR;
        ls->l = l;
    }
    struct link_info *l = &ls->l[ls->n];
    *l = (struct link_info){.index = ifi->ifi_index, .flags = ifi->ifi_flags, .type = ifi->ifi_type};
    const struct nlattr *a, *b;
    mnl_attr_for_each(a, h, sizeof *ifi) {
        switch (mnl_attr_get_type(a)) {
        case IFLA_IFNAME:
            text(l->name, sizeof l->name, a);
            break;
        case IFLA_IFALIAS:
            text(l->alias, sizeof l->alias, a);
            break;
        case IFLA_MASTER:
            if (mnl_attr_get_payload_len(a) >= 4)
                l->master = (int)mnl_attr_get_u32(a);
            break;
        case IFLA_LINK:
            if (mnl_attr_get_payload_len(a) >= 4)
                l->peer = (int)mnl_attr_get_u32(a);
            break;
        case IFLA_MTU:
            if (mnl_attr_get_payload_len(a) >= 4)
                l->mtu = mnl_attr_get_u32(a);
            break;
        case IFLA_ADDRESS:
            if (mnl_attr_get_payload_len(a) == 6)
                memcpy(l->mac, mnl_attr_get_payload(a), 6);
            break;
        case IFLA_LINKINFO:
            mnl_attr_for_each_nested(b, a)
                if (mnl_attr_get_type(b) == IFLA_INFO_KIND)
                    text(l->kind, sizeof l->kind, b);
            break;
        }
    }
    ls->n++;
    return MNL_CB_OK;
}

int links_get(struct mnl_socket *s, struct links *out, struct err *e)
{
    char buf[32768];
    *out = (struct links){0};
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    uint32_t seq = (uint32_t)time(NULL);
    h->nlmsg_type = RTM_GETLINK;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    h->nlmsg_seq = seq;
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof *ifi);
    ifi->ifi_family = AF_UNSPEC;
    int rc = -1;
    if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
        goto out;
    for (;;) {
        ssize_t n = mnl_socket_recvfrom(s, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        rc = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(s), one, out);
        if (rc <= 0)
            break;
    }
out:
    if (rc < 0) {
        int err = errno;
        links_free(out);
        return err_set(e, ERR_HOST, err, "The host's network interfaces cannot be listed: %s.", strerror(err));
    }
    return 0;
}

void links_free(struct links *l)
{
    free(l->l);
    *l = (struct links){0};
}

const struct link_info *links_by_name(const struct links *l, const char *name)
{
    for (unsigned i = 0; i < l->n; i++)
        if (!strcmp(l->l[i].name, name))
            return &l->l[i];
    return NULL;
}

const struct link_info *links_by_index(const struct links *l, int index)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->l[i].index == index)
            return &l->l[i];
    return NULL;
}

bool link_name_valid(const char *s)
{
    size_t n = strlen(s);
    if (!n || n > 15 || !strcmp(s, ".") || !strcmp(s, ".."))
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~' || strchr("/:%\"'\\", *s))
            return false;
    return true;
}
