/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: frames to the DHCP server of a virtual network, and its configuration. The input is a row of blocks, each 1 byte port, 2 bytes
 * length (little-endian), frame; what is behind the first zero length is a configuration file. Leases must stay inside the range, one to a place,
 * and as many as one port may have; an answer must fit.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/netconf.h"
#include "vmnet/dhcp.h"

static void ignore(void *u, unsigned line, const char *key, const char *value, const char *text)
{
    *(size_t *)u += line + strlen(key) + strlen(value) + strlen(text);
}

static void check(const struct dhcp *d, int64_t now)
{
    unsigned on[4] = {0};
    for (unsigned i = 0; i < d->room; i++) {
        const struct dhcp_lease *l = &d->lease[i];
        if (!l->ip)
            continue;
        bool reserved = false;
        for (unsigned k = 0; k < d->conf->n_reservation; k++)
            reserved |= d->conf->reservation[k].ip == l->ip;
        if (!reserved && (l->ip < d->conf->first || l->ip > d->conf->last))
            abort();
        if (l->port >= 0 && l->port < 4 && l->until > now && ++on[l->port] > DHCP_LEASES_A_PORT)
            abort();
        for (unsigned k = 0; k < i; k++)
            if (d->lease[k].ip == l->ip)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netconf conf;
    struct dhcp d;
    uint8_t reply[DHCP_REPLY_MAX];
    size_t sum = 0, out;
    int64_t now = 1000000;
    struct vmx_dict *none = vmx_dict_new();
    netconf_parse(none, &conf, NULL, NULL);
    vmx_dict_free(none);
    if (dhcp_init(&d, 1, &conf.net[1]))
        return 0;
    while (size >= 3) {
        int port = data[0] & 3;
        size_t n = data[1] | (size_t)data[2] << 8;
        data += 3;
        size -= 3;
        if (!n)
            break;
        n = n < size ? n : size;
        uint8_t *copy = malloc(n ? n : 1); /* exact size, so that a sanitizer sees an overrun */
        memcpy(copy, data, n);
        dhcp_frame(&d, now, port, port != 3, copy, n, reply, &out);
        if (out > sizeof reply)
            abort();
        free(copy);
        now += data[-3] >> 2;
        check(&d, now);
        data += n;
        size -= n;
    }
    struct vmx_dict *dict = size ? vmx_dict_parse(data, size, NULL) : NULL;
    if (dict) {
        netconf_parse(dict, &conf, ignore, &sum);
        for (unsigned i = 0; i < NETCONF_NETS; i++) {
            const struct netconf_net *c = &conf.net[i];
            if (c->dhcp && (!c->subnet || c->first > c->last || c->last - c->first >= NETCONF_POOL_MAX))
                abort();
        }
        if (conf.net[1].dhcp && !dhcp_reconfigure(&d, 1, &conf.net[1]))
            check(&d, now);
        vmx_dict_free(dict);
    }
    dhcp_fini(&d);
    return 0;
}
