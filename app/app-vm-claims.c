/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other products copy these lines as they are, and the second machine then runs without its VNC server or its serial port. A relative name of a
 * socket is in the copy's own folder already; a client of a socket has the same peer as before, which only the user can tell apart.
 */
#include "app-vm-claims.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app-hardware.h"
#include "app-vm-files.h"

enum { SERIALS = 4, ADAPTERS = 10, FORWARDS = 32, FIRST_PORT = 1024, LAST_PORT = 65535 };

static const struct {
    const char *enabled, *port;
} services[] = {
    {"RemoteDisplay.vnc.enabled", "RemoteDisplay.vnc.port"},
    {"debugStub.listen.guest32", "debugStub.port.guest32"},
    {"debugStub.listen.guest32.remote", "debugStub.port.guest32"},
    {"debugStub.listen.guest64", "debugStub.port.guest64"},
    {"debugStub.listen.guest64.remote", "debugStub.port.guest64"},
};

/* "tcp:127.0.0.1:2222:22": what stands before the port of this computer, and what after it. */
static guint forward_port(const char *rule, char **before, const char **after)
{
    const char *last = strrchr(rule, ':'), *from = last;
    while (from && from > rule && from[-1] != ':')
        from--;
    if (!from || from == rule)
        return 0;
    *before = g_strndup(rule, (gsize)(from - rule));
    *after = last;
    return (guint)g_ascii_strtoull(from, NULL, 10);
}

static gboolean makes_path(const struct vmx_dict *d, const char *node)
{
    const char *type = app_key(d, node, "fileType");
    gboolean server = !g_ascii_strcasecmp(type, "pipe") && g_ascii_strcasecmp(app_key(d, node, "pipe.endPoint"), "client");
    return app_key_bool(d, node, "present") && (server || !g_ascii_strcasecmp(type, "pty")) && *app_key(d, node, "fileName");
}

static void add_port(GHashTable *taken, guint port) { g_hash_table_add(taken, g_strdup_printf("port %u", port)); }

void app_vm_claims_add(GHashTable *taken, const struct vmx_dict *d, const char *vmx)
{
    for (guint i = 0; i < G_N_ELEMENTS(services); i++)
        if (vmx_get_bool(d, services[i].enabled))
            add_port(taken, (guint)vmx_get_int(d, services[i].port));
    for (guint a = 0; a < ADAPTERS; a++)
        for (guint f = 0; f < FORWARDS; f++) {
            g_autofree char *key = g_strdup_printf("ethernet%u.natForward%u", a, f), *before = NULL;
            const char *rule = vmx_dict_get(d, key), *after;
            guint port = rule ? forward_port(rule, &before, &after) : 0;
            if (port)
                add_port(taken, port);
        }
    for (guint s = 0; s < SERIALS; s++) {
        g_autofree char *node = g_strdup_printf("serial%u", s);
        if (makes_path(d, node))
            g_hash_table_add(taken, app_vm_file_path(vmx, app_key(d, node, "fileName")));
    }
}

static gboolean in_use(guint port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((guint16)port)};
    int yes = 1, tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (tcp >= 0)
        setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes); /* a connection that has ended does not count */
    gboolean used = (tcp >= 0 && bind(tcp, (struct sockaddr *)&a, sizeof a)) || (udp >= 0 && bind(udp, (struct sockaddr *)&a, sizeof a));
    if (tcp >= 0)
        close(tcp);
    if (udp >= 0)
        close(udp);
    return used;
}

/* The next one that nobody has. */
static guint free_port(GHashTable *taken, guint old)
{
    guint port = old;
    for (guint tries = 0; tries < LAST_PORT - FIRST_PORT; tries++) {
        port = port >= LAST_PORT || port < FIRST_PORT ? FIRST_PORT : port + 1;
        g_autofree char *claim = g_strdup_printf("port %u", port);
        if (!g_hash_table_contains(taken, claim) && !in_use(port))
            break;
    }
    add_port(taken, port);
    return port;
}

static char *free_path(GHashTable *taken, const char *old)
{
    for (guint n = 2;; n++) {
        char *path = g_strdup_printf("%s-%u", old, n);
        if (!g_hash_table_contains(taken, path) && (n > 9999 || !g_file_test(path, G_FILE_TEST_EXISTS))) {
            g_hash_table_add(taken, g_strdup(path));
            return path;
        }
        g_free(path);
    }
}

int app_vm_claims_renew(struct vmx_dict *d, const char *vmx, GHashTable *taken, struct err *e)
{
    const char *done = "";
    int rc = 0;
    app_vm_claims_add(taken, d, vmx);
    for (guint i = 0; i < G_N_ELEMENTS(services) && !rc; i++) {
        if (!vmx_get_bool(d, services[i].enabled) || !strcmp(done, services[i].port))
            continue;
        g_autofree char *port = g_strdup_printf("%u", free_port(taken, (guint)vmx_get_int(d, services[i].port)));
        rc = vmx_dict_set(d, services[i].port, port, e);
        done = services[i].port;
    }
    for (guint a = 0; a < ADAPTERS; a++)
        for (guint f = 0; f < FORWARDS && !rc; f++) {
            g_autofree char *key = g_strdup_printf("ethernet%u.natForward%u", a, f), *before = NULL, *rule = NULL;
            const char *old = vmx_dict_get(d, key), *after;
            guint port = old ? forward_port(old, &before, &after) : 0;
            if (!port)
                continue;
            rule = g_strdup_printf("%s%u%s", before, free_port(taken, port), after);
            rc = vmx_dict_set(d, key, rule, e);
        }
    for (guint s = 0; s < SERIALS && !rc; s++) {
        g_autofree char *node = g_strdup_printf("serial%u", s), *key = g_strconcat(node, ".fileName", NULL);
        const char *name = app_key(d, node, "fileName");
        if (!makes_path(d, node) || !g_path_is_absolute(name))
            continue;
        g_autofree char *path = free_path(taken, name);
        rc = vmx_dict_set(d, key, path, e);
    }
    return rc;
}
