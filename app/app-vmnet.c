/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One command on lodge-vmnet's control socket: a packet there, packets "line" back until "end" or "error". The socket keeps the bounds of
 * packets (SOCK_SEQPACKET), so that one read is one message.
 */
#include "app-vmnet.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS = 10, MESSAGE = 4096, LINES_MAX = 10000 };

struct question {
    char *command, buf[MESSAGE];
    AppVmnetAnswer done;
    gpointer u;
    GSocketConnection *c;
    GPtrArray *lines;
};

static void finish(struct question *q, gboolean good, const char *error)
{
    q->done(q->u, good ? q->lines : NULL, error);
    g_clear_object(&q->c);
    g_ptr_array_unref(q->lines);
    g_free(q->command);
    g_free(q);
}

static void finish_error(struct question *q, const GError *e)
{
    gboolean absent = g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
                      g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
    finish(q, FALSE, absent ? NULL : e->message);
}

static void got(GObject *o, GAsyncResult *r, gpointer u)
{
    struct question *q = u;
    g_autoptr(GError) e = NULL;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(o), r, &e);
    if (n < 0) {
        finish_error(q, e);
        return;
    }
    g_autofree char *m = g_utf8_make_valid(q->buf, n);
    char *text = strstr(m, "\ntext=");
    if (text) {
        text += strlen("\ntext=");
        text[strcspn(text, "\n")] = 0;
    }
    if (g_str_has_prefix(m, "end")) {
        finish(q, TRUE, NULL);
    } else if (g_str_has_prefix(m, "line\n") && q->lines->len < LINES_MAX) {
        g_ptr_array_add(q->lines, g_strdup(text ? text : ""));
        g_input_stream_read_async(G_INPUT_STREAM(o), q->buf, sizeof q->buf, G_PRIORITY_DEFAULT, NULL, got, q);
    } else {
        finish(q, FALSE, text ? text : _("lodge-vmnet has ended."));
    }
}

static void sent(GObject *o, GAsyncResult *r, gpointer u)
{
    struct question *q = u;
    g_autoptr(GError) e = NULL;
    if (g_output_stream_write_finish(G_OUTPUT_STREAM(o), r, &e) < 0)
        finish_error(q, e);
    else
        g_input_stream_read_async(g_io_stream_get_input_stream(G_IO_STREAM(q->c)), q->buf, sizeof q->buf,
                                  G_PRIORITY_DEFAULT, NULL, got, q);
}

static void connected(GObject *o, GAsyncResult *r, gpointer u)
{
    struct question *q = u;
    g_autoptr(GError) e = NULL;
    q->c = g_socket_client_connect_finish(G_SOCKET_CLIENT(o), r, &e);
    if (!q->c)
        finish_error(q, e);
    else
        g_output_stream_write_async(g_io_stream_get_output_stream(G_IO_STREAM(q->c)), q->command, strlen(q->command),
                                    G_PRIORITY_DEFAULT, NULL, sent, q);
}

/* Where lodge-vmnet has it (hostdriver/net/launcher.c). */
static char *socket_path(void)
{
    const char *run = g_getenv("XDG_RUNTIME_DIR");
    g_autofree char *own = g_strdup_printf("/run/user/%u", (unsigned)getuid());
    GStatBuf st;
    if (run && *run == '/')
        return g_build_filename(run, "lodge", "vmnet.sock", NULL);
    if (!g_stat(own, &st) && st.st_uid == getuid())
        return g_build_filename(own, "lodge", "vmnet.sock", NULL);
    return g_strdup_printf("/tmp/lodge-%u/vmnet.sock", (unsigned)getuid());
}

void app_vmnet_ask(const char *command, AppVmnetAnswer done, gpointer user_data)
{
    struct question *q = g_new0(struct question, 1);
    g_autofree char *path = socket_path();
    g_autoptr(GSocketAddress) a = g_unix_socket_address_new(path);
    g_autoptr(GSocketClient) client = g_object_new(G_TYPE_SOCKET_CLIENT, "type", G_SOCKET_TYPE_SEQPACKET, "family",
                                                   G_SOCKET_FAMILY_UNIX, "timeout", SECONDS, "enable-proxy", FALSE, NULL);
    q->command = g_strdup(command);
    q->done = done;
    q->u = user_data;
    q->lines = g_ptr_array_new_with_free_func(g_free);
    g_socket_client_connect_async(client, G_SOCKET_CONNECTABLE(a), NULL, connected, q);
}
