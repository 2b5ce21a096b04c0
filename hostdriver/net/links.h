/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's network interfaces, as rtnetlink lists them. */
#ifndef LODGE_HOSTDRIVER_LINKS_H
#define LODGE_HOSTDRIVER_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mnl_socket;
struct link_info {
    int index, master; /* master 0: none */
    int peer;          /* IFLA_LINK: what a macvtap or VLAN lies on */
    unsigned flags;    /* IFF_* */
    unsigned mtu;
    unsigned short type; /* ARPHRD_* */
    uint8_t mac[6];
    char name[16], kind[16], alias[64]; /* kind: "bridge", "tun", ... "" for hardware */
};
struct links {
    struct link_info *l;
    unsigned n;
};

int links_get(struct mnl_socket *s, struct links *out, struct err *e); /* links_free it */
void links_free(struct links *l);
const struct link_info *links_by_name(const struct links *l, const char *name);
const struct link_info *links_by_index(const struct links *l, int index);
/* A name that a file or another program may hand in: 1 to 15 characters, none of / : % and space, not "." or "..". */
bool link_name_valid(const char *name);

#endif
