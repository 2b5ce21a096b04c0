/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DHCP server; dhcp.h. Message format: RFC 2131 figure 1, options: RFC 2132. Clients are told apart by their hardware address (the client
 * identifier of option 61 is echoed, not used: guests of one machine that boot different systems shall keep their address).
 */
#include "dhcp.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };
enum { ETH = 14, IP = 20, UDP = 8, BOOTP = 236, COOKIE = 0x63825363 };
enum { DECLINED_S = 3600 };

static uint32_t csum(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += ld_be16(p + i);
    return n & 1 ? sum + (uint32_t)p[n - 1] * 256 : sum;
}
static uint16_t fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

/* ---- leases ---- */

static uint32_t reserved_for(const struct dhcp *d, const uint8_t *mac)
{
    for (unsigned i = 0; i < d->conf->n_reservation; i++)
        if (!memcmp(d->conf->reservation[i].mac, mac, 6))
            return d->conf->reservation[i].ip;
    return 0;
}
static bool reserved(const struct dhcp *d, uint32_t ip)
{
    for (unsigned i = 0; i < d->conf->n_reservation; i++)
        if (d->conf->reservation[i].ip == ip)
            return true;
    return false;
}
static struct dhcp_lease *of_mac(struct dhcp *d, const uint8_t *mac)
{
    for (unsigned i = 0; i < d->room; i++)
        if (d->lease[i].ip && !d->lease[i].declined && !memcmp(d->lease[i].mac, mac, 6))
            return &d->lease[i];
    return NULL;
}
static struct dhcp_lease *of_ip(struct dhcp *d, uint32_t ip)
{
    for (unsigned i = 0; i < d->room; i++)
        if (d->lease[i].ip == ip)
            return &d->lease[i];
    return NULL;
}
static unsigned on_port(const struct dhcp *d, int port, int64_t now)
{
    unsigned n = 0;
    for (unsigned i = 0; i < d->room; i++)
        n += d->lease[i].ip && d->lease[i].port == port && d->lease[i].until > now;
    return n;
}
/* May this client have this address (which it asked for, or had)? */
static bool usable(struct dhcp *d, const uint8_t *mac, uint32_t ip, int64_t now)
{
    struct dhcp_lease *l = of_ip(d, ip);
    uint32_t own = reserved_for(d, mac);
    if (own)
        return ip == own && !(l && l->declined && l->until > now);
    if (ip < d->conf->first || ip > d->conf->last || reserved(d, ip) || ip == d->ip || ip == d->router || ip == d->dns)
        return false;
    return !l || l->until <= now || (!l->declined && !memcmp(l->mac, mac, 6));
}

static uint32_t choose(struct dhcp *d, const uint8_t *mac, uint32_t wish, int64_t now)
{
    struct dhcp_lease *l = of_mac(d, mac);
    uint32_t own = reserved_for(d, mac);
    if (own && usable(d, mac, own, now))
        return own;
    if (l && usable(d, mac, l->ip, now))
        return l->ip;
    if (wish && usable(d, mac, wish, now))
        return wish;
    /* From a place that depends on the client, so that it gets the same address again even when the table was lost; first only addresses that
     * nobody had. */
    uint32_t size = d->conf->last - d->conf->first + 1, h = 2166136261u;
    for (int i = 0; i < 6; i++)
        h = (h ^ mac[i]) * 16777619u;
    for (int used = 0; used < 2; used++)
        for (uint32_t i = 0; i < size; i++) {
            uint32_t ip = d->conf->first + (h + i) % size;
            if (usable(d, mac, ip, now) && (used || !of_ip(d, ip)))
                return ip;
        }
    return 0;
}

static struct dhcp_lease *take(struct dhcp *d, const uint8_t *mac, uint32_t ip, int port, int64_t now)
{
    struct dhcp_lease *old = of_mac(d, mac), *l = of_ip(d, ip);
    if ((!old || old->port != port || old->until <= now) && on_port(d, port, now) >= DHCP_LEASES_A_PORT)
        return NULL;
    if (old && old != l)
        old->ip = 0;
    for (unsigned i = 0; !l && i < d->room; i++)
        if (!d->lease[i].ip)
            l = &d->lease[i];
    for (unsigned i = 0; !l && i < d->room; i++)
        if (d->lease[i].until <= now)
            l = &d->lease[i];
    if (!l)
        return NULL;
    if (l->ip != ip || memcmp(l->mac, mac, 6))
        *l = (struct dhcp_lease){.ip = ip};
    memcpy(l->mac, mac, 6);
    l->port = port;
    l->declined = false;
    return l;
}

/* ---- options ---- */

struct request {
    int type;
    uint32_t wish, server; /* options 50, 54 */
    const uint8_t *client_id;
    uint8_t client_id_len;
    char name[32];
};

static void options(struct request *r, const uint8_t *o, const uint8_t *end)
{
    while (o < end && *o != 255) {
        if (*o == 0) {
            o++;
            continue;
        }
        if (end - o < 2 || end - o - 2 < o[1])
            return;
        unsigned code = o[0], n = o[1];
        const uint8_t *v = o + 2;
        if (code == 53 && n == 1)
            r->type = v[0];
        else if (code == 50 && n == 4)
            r->wish = ld_be32(v);
        else if (code == 54 && n == 4)
            r->server = ld_be32(v);
        else if (code == 61 && n >= 2) {
            r->client_id = v;
            r->client_id_len = (uint8_t)n;
        } else if (code == 12) {
            unsigned k = 0;
            for (unsigned i = 0; i < n && k < sizeof r->name - 1; i++)
                if (v[i] > 0x20 && v[i] < 0x7f && v[i] != '"' && v[i] != '\\')
                    r->name[k++] = (char)v[i];
            r->name[k] = 0;
        }
        o = v + n;
    }
}

struct out {
    uint8_t *p, *end;
};
static void put(struct out *o, uint8_t code, const void *v, size_t n)
{
    if (n > 255 || (size_t)(o->end - o->p) < n + 3)
        return;
    *o->p++ = code;
    *o->p++ = (uint8_t)n;
    memcpy(o->p, v, n);
    o->p += n;
}
static void put32(struct out *o, uint8_t code, uint32_t v)
{
    uint8_t b[4];
    st_be32(b, v);
    put(o, code, b, 4);
}

/* ---- replies ---- */

static size_t reply(const struct dhcp *d, const uint8_t *f, const struct request *r, int type, uint32_t yiaddr, uint8_t *out)
{
    const uint8_t *q = f + ETH + IP + UDP;
    uint32_t ciaddr = ld_be32(q + 12);
    bool broadcast = type == NAK || !yiaddr || ld_be16(q + 10) & 0x8000;
    memset(out, 0, DHCP_REPLY_MAX);
    uint8_t *b = out + ETH + IP + UDP;
    b[0] = 2;
    b[1] = 1;
    b[2] = 6;
    memcpy(b + 4, q + 4, 4);
    memcpy(b + 10, q + 10, 2);
    if (type != NAK)
        memcpy(b + 12, q + 12, 4);
    st_be32(b + 16, type == NAK || r->type == INFORM ? 0 : yiaddr);
    memcpy(b + 28, q + 28, 16);
    if (d->conf->boot_file[0] && type != NAK) {
        st_be32(b + 20, d->next_server);
        memcpy(b + 108, d->conf->boot_file, strnlen(d->conf->boot_file, 127));
    }
    st_be32(b + BOOTP, COOKIE);
    struct out o = {b + BOOTP + 4, out + DHCP_REPLY_MAX - 1};
    put(&o, 53, &(uint8_t){(uint8_t)type}, 1);
    put32(&o, 54, d->ip);
    if (type != NAK) {
        if (r->type != INFORM) {
            put32(&o, 51, d->conf->lease_s);
            put32(&o, 58, d->conf->lease_s / 2);
            put32(&o, 59, d->conf->lease_s / 8 * 7);
        }
        put32(&o, 1, d->mask);
        put32(&o, 28, (yiaddr ? yiaddr : d->ip) | ~d->mask);
        if (d->router)
            put32(&o, 3, d->router);
        if (d->dns)
            put32(&o, 6, d->dns);
        if (d->conf->domain[0])
            put(&o, 15, d->conf->domain, strlen(d->conf->domain));
        if (d->conf->boot_file[0])
            put(&o, 67, d->conf->boot_file, strlen(d->conf->boot_file));
    }
    if (r->client_id_len) /* RFC 6842 */
        put(&o, 61, r->client_id, r->client_id_len);
    *o.p++ = 255;
    size_t len = (size_t)(o.p - out);
    if (len < ETH + IP + UDP + 300) /* BOOTP's least size; some clients insist */
        len = ETH + IP + UDP + 300;
    /* RFC 2131 4.1: to ciaddr, or broadcast, or to the hardware address before the client has its address. */
    uint32_t dst = type != NAK && ciaddr ? ciaddr : broadcast ? 0xffffffff : yiaddr;
    if (dst == 0xffffffff)
        memset(out, 0xff, 6);
    else
        memcpy(out, q + 28, 6);
    memcpy(out + 6, d->mac, 6);
    st_be16(out + 12, 0x0800);
    uint8_t *ip = out + ETH;
    ip[0] = 0x45;
    st_be16(ip + 2, (uint16_t)(len - ETH));
    ip[8] = 64;
    ip[9] = 17;
    st_be32(ip + 12, d->ip);
    st_be32(ip + 16, dst);
    st_be16(ip + 10, fold(csum(0, ip, IP)));
    uint8_t *udp = ip + IP;
    st_be16(udp, 67);
    st_be16(udp + 2, 68);
    st_be16(udp + 4, (uint16_t)(len - ETH - IP));
    uint16_t c = fold(csum(csum(17 + (uint32_t)(len - ETH - IP), ip + 12, 8), udp, len - ETH - IP));
    st_be16(udp + 6, c ? c : 0xffff);
    return len;
}

static size_t serve(struct dhcp *d, int64_t now, int port, const uint8_t *f, size_t len, uint8_t *out)
{
    const uint8_t *q = f + ETH + IP + UDP;
    struct request r = {0};
    /* Ethernet clients only; a relay (giaddr) would be outside. The address in the message must be the sender's: nobody takes leases in another's
     * name by accident. */
    if (q[0] != 1 || q[1] != 1 || q[2] != 6 || ld_be32(q + 24) || q[28] & 1 || memcmp(q + 28, f + 6, 6) || ld_be32(q + BOOTP) != COOKIE) {
        d->ignored++;
        return 0;
    }
    options(&r, q + BOOTP + 4, f + len);
    const uint8_t *mac = q + 28;
    uint32_t ciaddr = ld_be32(q + 12), ip;
    struct dhcp_lease *l;
    d->requests++;
    switch (r.type) {
    case DISCOVER:
        ip = choose(d, mac, r.wish, now);
        l = ip ? take(d, mac, ip, port, now) : NULL;
        if (!l)
            return 0;
        if (!l->bound || l->until < now + DHCP_OFFER_S)
            l->until = now + DHCP_OFFER_S;
        return reply(d, f, &r, OFFER, ip, out);
    case REQUEST:
        if (r.server && r.server != d->ip)
            return 0; /* another server's offer was chosen */
        ip = r.wish ? r.wish : ciaddr;
        if (!ip || !usable(d, mac, ip, now) || !(l = take(d, mac, ip, port, now)))
            return reply(d, f, &r, NAK, 0, out);
        l->bound = true;
        l->until = now + d->conf->lease_s;
        memcpy(l->name, r.name, sizeof l->name);
        d->changed = true;
        return reply(d, f, &r, ACK, ip, out);
    case DECLINE:
        l = of_mac(d, mac);
        if (l && l->ip == r.wish && l->port == port) {
            l->declined = true;
            l->bound = false;
            l->until = now + DECLINED_S;
        }
        return 0;
    case RELEASE:
        l = of_mac(d, mac);
        if (l && l->ip == ciaddr && l->port == port) {
            l->until = now;
            d->changed = true;
        }
        return 0;
    case INFORM:
        return ciaddr ? reply(d, f, &r, ACK, ciaddr, out) : 0;
    default:
        d->ignored++;
        return 0;
    }
}

static size_t answer_arp(const struct dhcp *d, const uint8_t *f, size_t len, uint8_t *out)
{
    if (len < 42 || ld_be16(f + 14) != 1 || ld_be16(f + 16) != 0x0800 || f[18] != 6 || f[19] != 4 || ld_be16(f + 20) != 1 || ld_be32(f + 38) != d->ip)
        return 0;
    memset(out, 0, 60);
    memcpy(out, f + 6, 6);
    memcpy(out + 6, d->mac, 6);
    memcpy(out + 12, f + 12, 8);
    st_be16(out + 20, 2);
    memcpy(out + 22, d->mac, 6);
    st_be32(out + 28, d->ip);
    memcpy(out + 32, f + 22, 10);
    return 60;
}

enum dhcp_verdict dhcp_frame(struct dhcp *d, int64_t now, int port, bool guest, const uint8_t *f, size_t len, uint8_t *out, size_t *out_len)
{
    *out_len = 0;
    if (len < ETH + IP)
        return DHCP_PASS;
    if (ld_be16(f + 12) == 0x0806) {
        *out_len = answer_arp(d, f, len, out);
        return *out_len ? DHCP_TAKE : DHCP_PASS;
    }
    if (ld_be16(f + 12) != 0x0800 || f[ETH] >> 4 != 4 || f[ETH + 9] != 17 || ld_be16(f + ETH + 6) & 0x1fff)
        return DHCP_PASS;
    size_t ihl = (f[ETH] & 15) * 4u;
    if (ihl < IP || len < ETH + ihl + UDP)
        return DHCP_PASS;
    unsigned from = ld_be16(f + ETH + ihl), to = ld_be16(f + ETH + ihl + 2);
    if (to == 68 && from == 67)
        return DHCP_DROP;
    if (to != 67)
        return DHCP_PASS;
    /* No client sends IP options or fragments (the first of them has More Fragments). */
    if (!guest || ihl != IP || ld_be16(f + ETH + 6) & 0x2000 || len < ETH + IP + UDP + BOOTP + 4)
        d->ignored++;
    else
        *out_len = serve(d, now, port, f, len, out);
    d->replies += *out_len != 0;
    return DHCP_TAKE;
}

void dhcp_restore(struct dhcp *d, const uint8_t mac[6], uint32_t ip, int64_t until, const char *name)
{
    uint32_t own = reserved_for(d, mac);
    if ((own && own != ip) || (!own && (ip < d->conf->first || ip > d->conf->last || reserved(d, ip))) || of_ip(d, ip) || of_mac(d, mac))
        return;
    for (unsigned i = 0; i < d->room; i++) {
        struct dhcp_lease *l = &d->lease[i];
        if (l->ip)
            continue;
        *l = (struct dhcp_lease){.ip = ip, .bound = true, .until = until, .port = -1};
        memcpy(l->mac, mac, 6);
        strncpy(l->name, name, sizeof l->name - 1);
        return;
    }
}

void dhcp_port_gone(struct dhcp *d, int port)
{
    for (unsigned i = 0; i < d->room; i++)
        if (d->lease[i].port == port)
            d->lease[i].port = -1;
}

static void addresses(struct dhcp *d, unsigned index, const struct netconf_net *c)
{
    static const uint8_t base[6] = {0x00, 0x50, 0x56, 0xE0, 0x00, 0x00};
    memcpy(d->mac, base, 6);
    d->mac[5] = (uint8_t)index;
    d->conf = c;
    d->mask = ~0u << (32 - c->bits);
    d->ip = (c->subnet | ~d->mask) - 1;
    d->router = c->type == NETCONF_NAT ? c->subnet + 2 : 0;
    d->dns = c->type == NETCONF_NAT ? c->subnet + 3 : 0;
    d->next_server = c->type == NETCONF_NAT ? c->subnet + 2 : d->ip;
}

int dhcp_init(struct dhcp *d, unsigned index, const struct netconf_net *c)
{
    *d = (struct dhcp){0};
    addresses(d, index, c);
    d->room = c->last - c->first + 1 + c->n_reservation;
    d->lease = calloc(d->room, sizeof *d->lease);
    return d->lease ? 0 : -1;
}

void dhcp_fini(struct dhcp *d)
{
    free(d->lease);
    d->lease = NULL;
    d->room = 0;
}

int dhcp_reconfigure(struct dhcp *d, unsigned index, const struct netconf_net *c)
{
    struct dhcp old = *d;
    if (dhcp_init(d, index, c)) {
        *d = old;
        return -1;
    }
    for (unsigned i = 0; i < old.room; i++)
        if (old.lease[i].ip && old.lease[i].bound)
            dhcp_restore(d, old.lease[i].mac, old.lease[i].ip, old.lease[i].until, old.lease[i].name);
    d->requests = old.requests;
    d->replies = old.replies;
    d->ignored = old.ignored;
    d->changed = true;
    dhcp_fini(&old);
    return 0;
}
