/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual networks' configuration; netconf.h. One table row a key. Keys of the file are vmnetN.<key>; those that end in a number
 * (reservation0, forward3) make lists.
 */
#define _GNU_SOURCE
#include "config/netconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct ctx {
    struct netconf_net *n;
    const char *value;
    char text[200]; /* what is wrong */
};
#define WRONG(c, ...) (snprintf((c)->text, sizeof(c)->text, __VA_ARGS__), false)

static const char *const type_names[] = {"switch", "hostonly", "nat", "bridged"};
static const char *const method_names[] = {"auto", "bridge", "macvtap"};

const char *netconf_type_name(enum netconf_type t) { return type_names[t]; }

bool netconf_ip_parse(const char *s, uint32_t *ip)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned b = 0, digits = 0;
        while (*s >= '0' && *s <= '9' && digits < 4) {
            b = b * 10 + (unsigned)(*s++ - '0');
            digits++;
        }
        if (!digits || b > 255 || digits > 3 || *s != (i < 3 ? '.' : 0))
            return false;
        v = v << 8 | b;
        s += i < 3;
    }
    *ip = v;
    return true;
}

const char *netconf_ip_format(uint32_t ip, char buf[16])
{
    snprintf(buf, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    return buf;
}

int netconf_index(const char *name)
{
    if (!strncmp(name, "/dev/", 5))
        name += 5;
    if (strncasecmp(name, "vmnet", 5) || !name[5] || strspn(name + 5, "0123456789") != strlen(name + 5) || strlen(name + 5) > 2)
        return -1;
    int n = atoi(name + 5);
    return n < NETCONF_NETS && !(name[5] == '0' && name[6]) ? n : -1;
}

static bool mac_parse(const char *s, uint8_t mac[6])
{
    for (int i = 0; i < 6; i++) {
        char *end;
        if (!strchr("0123456789abcdefABCDEF", s[0]) || !s[0] || !strchr("0123456789abcdefABCDEF", s[1]) || !s[1])
            return false;
        mac[i] = (uint8_t)strtoul((char[]){s[0], s[1], 0}, &end, 16);
        if (s[2] != (i < 5 ? ':' : 0))
            return false;
        s += 3;
    }
    return true;
}

/* ---- one function a kind of value ---- */

static bool set_type(struct ctx *c)
{
    for (unsigned i = 0; i < 4; i++)
        if (!strcasecmp(c->value, type_names[i])) {
            c->n->type = (enum netconf_type)i;
            return true;
        }
    return WRONG(c, "a network is of type switch, hostonly, nat or bridged");
}
static bool set_method(struct ctx *c)
{
    for (unsigned i = 0; i < 3; i++)
        if (!strcasecmp(c->value, method_names[i])) {
            c->n->method = (enum netconf_method)i;
            return true;
        }
    return WRONG(c, "write auto, bridge or macvtap");
}
static bool flag(struct ctx *c, bool *out)
{
    if (!strcasecmp(c->value, "true") || !strcmp(c->value, "1") || !strcasecmp(c->value, "yes"))
        *out = true;
    else if (!strcasecmp(c->value, "false") || !strcmp(c->value, "0") || !strcasecmp(c->value, "no"))
        *out = false;
    else
        return WRONG(c, "write TRUE or FALSE");
    return true;
}
static bool set_dhcp(struct ctx *c) { return flag(c, &c->n->dhcp); }
static bool set_host(struct ctx *c) { return flag(c, &c->n->host_interface); }
static bool copy(struct ctx *c, char *to, size_t n)
{
    if (strlen(c->value) >= n)
        return WRONG(c, "longer than %zu characters", n - 1);
    strcpy(to, c->value);
    return true;
}
static bool set_name(struct ctx *c) { return copy(c, c->n->name, sizeof c->n->name); }
static bool set_domain(struct ctx *c)
{
    if (strspn(c->value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != strlen(c->value))
        return WRONG(c, "a domain has letters, digits, dots and hyphens only");
    return copy(c, c->n->domain, sizeof c->n->domain);
}
static bool set_tftp(struct ctx *c)
{
    if (c->value[0] && c->value[0] != '/')
        return WRONG(c, "write the whole path of a folder, from /");
    return copy(c, c->n->tftp_dir, sizeof c->n->tftp_dir);
}
static bool set_boot(struct ctx *c) { return copy(c, c->n->boot_file, sizeof c->n->boot_file); }
static bool set_prefix6(struct ctx *c) { return copy(c, c->n->prefix6, sizeof c->n->prefix6); }
static bool set_interface(struct ctx *c)
{
    if (!strcasecmp(c->value, "auto")) {
        c->n->interface[0] = 0;
        return true;
    }
    if (strpbrk(c->value, "/ :%") || !strcmp(c->value, ".") || !strcmp(c->value, ".."))
        return WRONG(c, "this is no name of an interface");
    return copy(c, c->n->interface, sizeof c->n->interface);
}
static bool set_subnet(struct ctx *c)
{
    char text[32], *slash, *end;
    uint32_t ip;
    if (strlen(c->value) >= sizeof text)
        return WRONG(c, "write a network like 192.168.101.0/24");
    strcpy(text, c->value);
    slash = strchr(text, '/');
    if (!slash)
        return WRONG(c, "write a network with its length, like 192.168.101.0/24");
    *slash = 0;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    if (*end || end == slash + 1 || bits < 8 || bits > 29 || !netconf_ip_parse(text, &ip))
        return WRONG(c, "write a network like 192.168.101.0/24, from /8 to /29");
    if (ip & ~(~0u << (32 - bits)))
        return WRONG(c, "it has bits behind its mask; write the network's first address");
    if (ip >> 24 == 0 || ip >> 24 == 127 || ip >> 28 >= 14)
        return WRONG(c, "no network for guests can be there; use one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
    c->n->subnet = ip;
    c->n->bits = (unsigned)bits;
    return true;
}
static bool address(struct ctx *c, uint32_t *out) { return netconf_ip_parse(c->value, out) ? true : WRONG(c, "write an address like 192.168.101.128"); }
static bool set_first(struct ctx *c) { return address(c, &c->n->first); }
static bool set_last(struct ctx *c) { return address(c, &c->n->last); }
static bool set_lease(struct ctx *c)
{
    char *end;
    unsigned long v = strtoul(c->value, &end, 10);
    if (*end || end == c->value || v < 60 || v > 31536000 || c->value[0] == '-')
        return WRONG(c, "write seconds, from 60 to 31536000");
    c->n->lease_s = (uint32_t)v;
    return true;
}
/* "00:0c:29:01:02:03 192.168.101.20" */
static bool set_reservation(struct ctx *c)
{
    char mac[18], ip[16], rest;
    struct netconf_reservation r;
    if (sscanf(c->value, "%17s %15s %c", mac, ip, &rest) != 2 || !mac_parse(mac, r.mac) || !netconf_ip_parse(ip, &r.ip))
        return WRONG(c, "write a MAC address and an IPv4 address, like 00:0c:29:01:02:03 192.168.101.20");
    if (c->n->n_reservation == NETCONF_RESERVATIONS)
        return WRONG(c, "a network has at most %d reservations", NETCONF_RESERVATIONS);
    for (unsigned i = 0; i < c->n->n_reservation; i++)
        if (c->n->reservation[i].ip == r.ip || !memcmp(c->n->reservation[i].mac, r.mac, 6))
            return WRONG(c, "this MAC or IPv4 address is reserved by another line already");
    c->n->reservation[c->n->n_reservation++] = r;
    return true;
}
static bool end_point(char *s, char *ip, size_t n, uint16_t *port)
{
    char *colon = strrchr(s, ':'), *end;
    unsigned long v = strtoul(colon ? colon + 1 : s, &end, 10);
    if (*end || !v || v > 65535)
        return false;
    *port = (uint16_t)v;
    if (!colon) {
        ip[0] = 0;
        return true;
    }
    *colon = 0;
    if (s[0] == '[' && colon > s && colon[-1] == ']') { /* [2001:db8::1]:80 */
        colon[-1] = 0;
        s++;
    }
    if (!*s || strlen(s) >= n || strspn(s, "0123456789abcdefABCDEF:.") != strlen(s))
        return false;
    strcpy(ip, s);
    return true;
}
/* "tcp 127.0.0.1:2222 192.168.108.10:22" */
static bool set_forward(struct ctx *c)
{
    char proto[4], host[64], guest[64], rest;
    struct netconf_forward f = {0};
    if (sscanf(c->value, "%3s %63s %63s %c", proto, host, guest, &rest) != 3 || (strcasecmp(proto, "tcp") && strcasecmp(proto, "udp")) ||
        !end_point(host, f.host_ip, sizeof f.host_ip, &f.host_port) || !end_point(guest, f.guest_ip, sizeof f.guest_ip, &f.guest_port) || !f.guest_ip[0])
        return WRONG(c, "write tcp or udp, the host's address and port, the guest's address and port, like tcp 127.0.0.1:2222 192.168.108.10:22");
    f.udp = !strcasecmp(proto, "udp");
    if (c->n->n_forward == NETCONF_FORWARDS)
        return WRONG(c, "a network has at most %d forwards", NETCONF_FORWARDS);
    c->n->forward[c->n->n_forward++] = f;
    return true;
}

static const struct {
    const char *key;
    bool (*set)(struct ctx *c);
    bool list;
} keys[] = {
    {"type", set_type},           {"name", set_name},         {"subnet", set_subnet},
    {"dhcp", set_dhcp},           {"dhcp.first", set_first},  {"dhcp.last", set_last},
    {"dhcp.leaseTime", set_lease}, {"dhcp.domain", set_domain}, {"hostInterface", set_host},
    {"prefix6", set_prefix6},     {"tftpDir", set_tftp},      {"bootFile", set_boot},
    {"interface", set_interface}, {"method", set_method},     {"dhcp.reservation", set_reservation, true},
    {"forward", set_forward, true},
};

/* The network's own defaults: vmnet0 bridged, vmnet1 host-only, vmnet8 NAT; all others only switches. */
static void defaults(struct netconf_net *n, unsigned i)
{
    *n = (struct netconf_net){.type = i == 0 ? NETCONF_BRIDGED : i == 1 ? NETCONF_HOSTONLY : i == 8 ? NETCONF_NAT : NETCONF_SWITCH,
                              .dhcp = true, .host_interface = true, .lease_s = 1800};
    if (i == 1 || i == 8) {
        n->subnet = 192u << 24 | 168u << 16 | (100 + i) << 8;
        n->bits = 24;
    }
    snprintf(n->prefix6, sizeof n->prefix6, "fd00:168:%u::/64", 100 + i);
}

struct report {
    const struct vmx_dict *d;
    netconf_problem_fn fn;
    void *u;
    unsigned count;
};

static void report(struct report *r, const char *key, const char *text)
{
    const char *value = vmx_dict_get(r->d, key);
    r->count++;
    if (r->fn)
        r->fn(r->u, vmx_dict_line(r->d, key), key, value ? value : "", text);
}

/* The line that reserves this address: its value ends with it. */
static void report_reservation(struct report *r, unsigned net, uint32_t ip)
{
    char prefix[32], address[16], text[80];
    struct vmx_iter it = {0};
    struct vmx_entry en;
    snprintf(prefix, sizeof prefix, "vmnet%u.dhcp.reservation", net);
    snprintf(text, sizeof text, "%s is not in the network", netconf_ip_format(ip, address));
    while (vmx_dict_next(r->d, &it, &en)) {
        const char *last = en.value ? strrchr(en.value, ' ') : NULL;
        uint32_t has;
        if (!en.duplicate && !strncasecmp(en.name, prefix, strlen(prefix)) && last && netconf_ip_parse(last + 1, &has) && has == ip) {
            report(r, en.name, text);
            return;
        }
    }
    report(r, prefix, text);
}

/* What no single line can know. */
static void settle(struct netconf_net *n, unsigned i, struct report *r)
{
    char key[64];
    if (!n->subnet && (n->type == NETCONF_HOSTONLY || n->type == NETCONF_NAT)) {
        n->subnet = 192u << 24 | 168u << 16 | (100 + i) << 8;
        n->bits = 24;
    }
    if (n->type == NETCONF_NAT && n->bits > 27) {
        snprintf(key, sizeof key, "vmnet%u.subnet", i);
        report(r, key, "NAT needs a network of /27 or larger");
        n->bits = 27;
        n->subnet &= ~0u << 5;
    }
    if (!n->subnet) {
        n->dhcp = false;
        return;
    }
    uint32_t lo = n->subnet + 1, hi = n->subnet | (~0u >> n->bits), size = hi - n->subnet + 1; /* hi: broadcast */
    struct {
        const char *key;
        uint32_t *ip;
    } ends[] = {{"dhcp.first", &n->first}, {"dhcp.last", &n->last}};
    for (unsigned k = 0; k < 2; k++)
        if (*ends[k].ip && (*ends[k].ip < lo || *ends[k].ip >= hi)) {
            snprintf(key, sizeof key, "vmnet%u.%s", i, ends[k].key);
            report(r, key, "this address is not in the network");
            *ends[k].ip = 0;
        }
    if (!n->first) /* the upper half, as VMware's networks have it */
        n->first = n->subnet + size / 2;
    if (!n->last)
        n->last = hi - 2;
    if (n->last < n->first || n->last - n->first >= NETCONF_POOL_MAX) {
        snprintf(key, sizeof key, "vmnet%u.dhcp.last", i);
        if (vmx_dict_get(r->d, key))
            report(r, key, n->last < n->first ? "this is before the first address" : "DHCP serves at most 4096 addresses; make the range smaller");
        n->last = n->last < n->first ? n->first : n->first + NETCONF_POOL_MAX - 1;
    }
    for (unsigned k = 0; k < n->n_reservation;) {
        if (n->reservation[k].ip >= lo && n->reservation[k].ip < hi) {
            k++;
            continue;
        }
        report_reservation(r, i, n->reservation[k].ip);
        n->reservation[k] = n->reservation[--n->n_reservation];
    }
}

unsigned netconf_parse(const struct vmx_dict *d, struct netconf *out, netconf_problem_fn problem, void *u)
{
    struct report r = {d, problem, u, 0};
    struct vmx_iter it = {0};
    struct vmx_entry en;
    const char *text;
    unsigned line;
    for (unsigned i = 0; i < NETCONF_NETS; i++)
        defaults(&out->net[i], i);
    while (vmx_dict_next(d, &it, &en)) {
        char net[8];
        const char *dot = strchr(en.name, '.');
        int i = -1;
        if (en.duplicate || en.name[0] == '.' || !strcasecmp(en.name, "encoding"))
            continue;
        if (dot && (size_t)(dot - en.name) < sizeof net) {
            memcpy(net, en.name, (size_t)(dot - en.name));
            net[dot - en.name] = 0;
            i = netconf_index(net);
        }
        if (i < 0) {
            report(&r, en.name, "unknown; keys begin with vmnet0. to vmnet19.");
            continue;
        }
        unsigned k;
        for (k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            size_t len = strlen(keys[k].key);
            if (strncasecmp(dot + 1, keys[k].key, len))
                continue;
            const char *rest = dot + 1 + len;
            if (keys[k].list ? *rest && strspn(rest, "0123456789") == strlen(rest) : !*rest)
                break;
        }
        struct ctx c = {&out->net[i], en.value, ""};
        if (k == sizeof keys / sizeof keys[0])
            report(&r, en.name, "there is no such setting; see the list in the documentation of networks");
        else if (!keys[k].set(&c))
            report(&r, en.name, c.text);
    }
    it = (struct vmx_iter){0};
    while ((line = vmx_dict_next_malformed(d, &it, &text))) {
        r.count++;
        if (problem)
            problem(u, line, "", text, "this is neither key = \"value\" nor a comment (#)");
    }
    for (unsigned i = 0; i < NETCONF_NETS; i++)
        settle(&out->net[i], i, &r);
    return r.count;
}

char *netconf_path(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int rc = base && *base == '/' ? asprintf(&path, "%s/lodge/networks", base) : asprintf(&path, "%s/.config/lodge/networks", home && *home ? home : "/");
    return rc < 0 ? NULL : path;
}
