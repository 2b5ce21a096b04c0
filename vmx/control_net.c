/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GetNetworks and what changes adapters while the machine runs. */
#define _GNU_SOURCE
#include "control_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lodge-vm1.h"
#include "config/vmx_schema.h"
#include "machine.h"
#include "net_link.h"
#include "plan.h"
#include "power.h"

#define HANDLER(name, ...) static gboolean on_##name(LodgeVm1 *skel, GDBusMethodInvocation *inv, ##__VA_ARGS__, gpointer u)

/* The adapters; NULL, and the call is answered, when the machine is off. */
static bool running(struct power *p, GDBusMethodInvocation *inv, struct machine_net **out)
{
    struct machine *m = power_machine(p);
    if (!m)
        g_dbus_method_invocation_return_dbus_error(inv, "org.lodge.Error.Off", "the machine is off");
    *out = m ? machine_net(m) : NULL;
    return m != NULL;
}

static void add_text(GVariantBuilder *b, const char *name, const char *text)
{
    g_variant_builder_add(b, "{sv}", name, g_variant_new_take_string(g_utf8_make_valid(text, -1)));
}

HANDLER(get_networks)
{
    static const char *const dir[2] = {"tx", "rx"};
    struct machine_net *n;
    GVariantBuilder all;
    if (!running(u, inv, &n))
        return TRUE;
    g_variant_builder_init(&all, G_VARIANT_TYPE("aa{sv}"));
    for (unsigned i = 0; i < NICS; i++) {
        struct net_link_info *in = g_new(struct net_link_info, 1);
        if (!net_link_info(n, i, in, NULL)) {
            g_variant_builder_open(&all, G_VARIANT_TYPE("a{sv}"));
            add_text(&all, "name", in->name);
            add_text(&all, "model", in->model);
            add_text(&all, "type", in->type);
            add_text(&all, "mac", in->mac);
            add_text(&all, "problem", in->problem);
            add_text(&all, "capture", in->capture);
            g_variant_builder_add(&all, "{sv}", "connected", g_variant_new_boolean(in->connected));
            g_variant_builder_add(&all, "{sv}", "link", g_variant_new_boolean(in->link));
            char **words = g_strsplit_set(g_strstrip(in->addresses), " \n", -1);
            g_variant_builder_add(&all, "{sv}", "addresses", g_variant_new_strv((const gchar *const *)words, *in->addresses ? -1 : 0));
            g_strfreev(words);
            const char *rule[NET_FORWARDS_MAX];
            for (unsigned k = 0; k < in->n_forward; k++)
                rule[k] = in->forward[k];
            g_variant_builder_add(&all, "{sv}", "forwards", g_variant_new_strv(rule, in->n_forward));
            for (int d = 0; d < 2; d++) {
                const struct net_shape *s = &in->shape[d];
                char name[32];
#define NUMBER(what, v) (g_snprintf(name, sizeof name, "%s" what, dir[d]), g_variant_builder_add(&all, "{sv}", name, g_variant_new_uint32(v)))
                NUMBER("bw.limit", s->kbps);
                NUMBER("lat", s->latency_ms);
                NUMBER("fi.droprate", s->drop_permille);
                NUMBER("fi.dropsize", s->drop_run);
            }
            g_variant_builder_close(&all);
        }
        g_free(in);
    }
    lodge_vm1_complete_get_networks(skel, inv, g_variant_builder_end(&all));
    return TRUE;
}

HANDLER(connect_network, guint nic, gboolean in)
{
    struct machine_net *n;
    struct err e;
    (void)skel;
    return running(u, inv, &n) ? control_answer(inv, net_link_plug(n, nic, in, &e), &e) : TRUE;
}

struct first_problem {
    char text[400];
    const char *prefix;
};

static void on_problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    struct first_problem *f = u;
    (void)line;
    if (s != VMX_NOTE && !*f->text && !strncasecmp(key, f->prefix, strlen(f->prefix)))
        snprintf(f->text, sizeof f->text, "%s: %s", key, text);
    char *then = strstr(f->text, "; until then "); /* of a file; here nothing changes */
    if (then)
        *then = 0;
}

/* Tried on a copy of the adapter's keys first: a wrong word changes nothing. */
static int change_network(struct power *p, struct machine_net *n, unsigned nic, GVariant *keys, struct err *e)
{
    static const char *const allowed[] = {"connectionType", "vnet", "pvnID", "bridgeInterface", "linkStatePropagation.enable", "networkName", NULL};
    struct vmx_dict *probe = vmx_dict_new();
    struct vmx_iter it = {0};
    struct vmx_entry en;
    GVariantIter gi;
    const char *k, *v;
    char prefix[16], name[96];
    struct first_problem f = {.prefix = prefix};
    snprintf(prefix, sizeof prefix, "ethernet%u.", nic);
    int rc = nic < NICS ? 0 : err_set(e, ERR_CONFIG, 0, "ethernet%u is not an adapter of this machine", nic);
    while (!rc && vmx_dict_next(power_config(p), &it, &en))
        if (!en.duplicate && !strncasecmp(en.name, prefix, strlen(prefix)))
            rc = vmx_dict_set(probe, en.name, vmx_dict_get(power_config(p), en.name), e);
    for (g_variant_iter_init(&gi, keys); !rc && g_variant_iter_next(&gi, "{&s&s}", &k, &v);) {
        const char *const *a = allowed;
        while (*a && strcasecmp(*a, k))
            a++;
        snprintf(name, sizeof name, "%s%.60s", prefix, k);
        if (!*a && strncasecmp(k, "nat", 3))
            rc = err_set(e, ERR_CONFIG, 0, "%s does not choose the network; change it in the file", name);
        else
            rc = vmx_dict_set(probe, name, v, e);
    }
    if (rc) {
        vmx_dict_free(probe);
        return -1;
    }
    vmx_check(probe, on_problem, &f);
    struct plan_net *pn = net_plan_make(power_plan(p), probe, on_problem, &f);
    if (*f.text)
        rc = err_set(e, ERR_CONFIG, 0, "%s", f.text);
    for (g_variant_iter_init(&gi, keys); !rc && g_variant_iter_next(&gi, "{&s&s}", &k, &v);) {
        snprintf(name, sizeof name, "%s%.60s", prefix, k);
        rc = power_set_config(p, name, *v ? v : NULL, e);
    }
    if (!rc)
        rc = net_link_change(n, nic, &pn->nic[nic].link, e);
    net_plan_free(pn);
    vmx_dict_free(probe);
    return rc;
}

HANDLER(change_network, guint nic, GVariant *keys)
{
    struct machine_net *n;
    struct err e;
    return running(u, inv, &n) ? control_answer(inv, change_network(u, n, nic, keys, &e), &e) : TRUE;
}

static gboolean forward(struct power *p, GDBusMethodInvocation *inv, unsigned nic, const char *rule, bool add)
{
    struct machine_net *n;
    struct net_forward f;
    struct err e;
    if (!running(p, inv, &n))
        return TRUE;
    int rc = net_forward_parse(rule, &f, &e);
    return control_answer(inv, rc ? rc : net_link_forward(n, nic, &f, add, &e), &e);
}
HANDLER(add_forward, guint nic, const gchar *rule) { (void)skel; return forward(u, inv, nic, rule, true); }
HANDLER(remove_forward, guint nic, const gchar *rule) { (void)skel; return forward(u, inv, nic, rule, false); }

HANDLER(capture_network, guint nic, const gchar *path)
{
    struct machine_net *n;
    struct err e;
    if (!running(u, inv, &n))
        return TRUE;
    char *full = *path ? plan_resolve(power_plan(u), path) : NULL;
    int rc = net_link_capture(n, nic, full ? full : "", &e);
    free(full);
    return control_answer(inv, rc, &e);
}

/* The part of a key behind rx or tx, and its most. */
static uint32_t *shape_field(struct net_shape *s, const char *name, uint32_t *most)
{
    const struct {
        const char *name;
        uint32_t *at, most;
    } fields[] = {{"bw.limit", &s->kbps, 100000000}, {"lat", &s->latency_ms, 60000},
                  {"fi.droprate", &s->drop_permille, 1000}, {"fi.dropsize", &s->drop_run, 10000}};
    for (int i = 0; i < 4; i++)
        if (!strcasecmp(name, fields[i].name)) {
            *most = fields[i].most;
            return fields[i].at;
        }
    return NULL;
}

HANDLER(shape_network, guint nic, GVariant *limits)
{
    struct machine_net *n;
    struct err e;
    GVariantIter gi;
    const char *k;
    guint v;
    if (!running(u, inv, &n))
        return TRUE;
    struct net_link_info *in = g_new(struct net_link_info, 1);
    int rc = net_link_info(n, nic, in, &e);
    for (g_variant_iter_init(&gi, limits); !rc && g_variant_iter_next(&gi, "{&su}", &k, &v);) {
        bool rx = !strncasecmp(k, "rx", 2);
        uint32_t most = 0, *at = rx || !strncasecmp(k, "tx", 2) ? shape_field(&in->shape[rx ? NET_TO_GUEST : NET_FROM_GUEST], k + 2, &most) : NULL;
        if (!at)
            rc = err_set(&e, ERR_CONFIG, 0, "there is no limit \"%.60s\"; write one like rxbw.limit", k);
        else if (v > most)
            rc = err_set(&e, ERR_CONFIG, 0, "%s can be %u at most", k, most);
        else
            *at = v;
    }
    for (int d = 0; d < 2 && !rc; d++)
        rc = net_link_shape(n, nic, (enum net_dir)d, &in->shape[d], &e);
    g_free(in);
    return control_answer(inv, rc, &e);
}

void control_net_start(LodgeVm1 *skel, struct power *p)
{
    static const struct {
        const char *signal;
        GCallback fn;
    } handlers[] = {{"handle-get-networks", G_CALLBACK(on_get_networks)},       {"handle-connect-network", G_CALLBACK(on_connect_network)},
                    {"handle-change-network", G_CALLBACK(on_change_network)},   {"handle-add-forward", G_CALLBACK(on_add_forward)},
                    {"handle-remove-forward", G_CALLBACK(on_remove_forward)},   {"handle-capture-network", G_CALLBACK(on_capture_network)},
                    {"handle-shape-network", G_CALLBACK(on_shape_network)}};
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        g_signal_connect(skel, handlers[i].signal, handlers[i].fn, p);
}
