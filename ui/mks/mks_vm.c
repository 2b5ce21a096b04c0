/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session on the control API of one lodge-vmx (docs/control-api.md). All calls are asynchronous; what the other process says is checked, since a
 * guest may have taken it over.
 *
 *   open -> connecting -> GetAll -> (machine on) OpenScreen -> pictures; ScreenMode -> OpenScreen again
 *   connection lost -> wait for the socket -> connecting ...                           until lodge_mks_session_close
 *
 * The next ScreenDamage comes after ScreenDone, which is sent when a view has painted: a hidden window costs the machine nothing.
 *
 * Movements are sent while fewer than MAX_MOVES calls are unanswered; later ones are added up and go out with the next answer, or before the next
 * key or button, so that their order stays.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ui/mks/mks_session_private.h"

#define IFACE "org.lodge.Vm1"
#define OBJECT_PATH "/org/lodge/Vm1"
enum { MAX_MOVES = 3, MAX_CALLS = 1024, RETRY_MS = 250, RETRY_SLOW_MS = 3000, RETRY_FAST = 40, CALL_TIMEOUT_MS = 30000, MAX_RECTS = 256 };

#define LODGE_TYPE_MKS_VM (lodge_mks_vm_get_type())
G_DECLARE_FINAL_TYPE(LodgeMksVm, lodge_mks_vm, LODGE, MKS_VM, LodgeMksSession)

struct _LodgeMksVm {
    LodgeMksSession parent;
    char *address;
    gboolean wanted; /* between open and close */
    GCancellable *cancel; /* of all that is under way for the present connection */
    GDBusConnection *conn;
    guint sub;
    gulong closed_id;
    guint retry_id, attempts;
    GFileMonitor *monitor;
    char *vm_state, *fault, *log;
    gboolean opening, reopen; /* OpenScreen is under way; it is out of date already */
    guint generation;         /* of the last ScreenMode or OpenScreen */
    guint serial;             /* damage that is not acknowledged; 0: none */
    int wish_w, wish_h;
    /* input */
    int calls;                /* unanswered */
    gboolean have_to;
    int to_x, to_y, move_x, move_y;
};
G_DEFINE_TYPE(LodgeMksVm, lodge_mks_vm, lodge_mks_session_get_type())

static void connect_now(LodgeMksVm *v);
static void open_screen(LodgeMksVm *v);
static void send_moves(LodgeMksVm *v);

static LodgeMksSession *base(LodgeMksVm *v) { return LODGE_MKS_SESSION(v); }

/* ---- calls without an answer that matters ---- */

static void call_done(GObject *o, GAsyncResult *r, gpointer u)
{
    LodgeMksVm *v = u;
    GVariant *a = g_dbus_connection_call_finish(G_DBUS_CONNECTION(o), r, NULL);
    if (a)
        g_variant_unref(a);
    if (v->conn == G_DBUS_CONNECTION(o)) {
        v->calls--;
        if (v->calls < MAX_MOVES)
            send_moves(v);
    }
    g_object_unref(v);
}

static void call(LodgeMksVm *v, const char *method, GVariant *args)
{
    if (!v->conn) {
        if (args)
            g_variant_unref(g_variant_ref_sink(args));
        return;
    }
    v->calls++;
    g_dbus_connection_call(v->conn, NULL, OBJECT_PATH, IFACE, method, args, NULL, G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL, call_done, g_object_ref(v));
}

static void send_moves(LodgeMksVm *v)
{
    int w, h;
    if (v->have_to && lodge_mks_session_get_guest_size(base(v), &w, &h)) {
        /* The middle of the pixel: any guest that scales 65536 positions to w pixels gets exactly it. */
        guint x = (guint)(((gint64)v->to_x * 65536 + 32768) / w), y = (guint)(((gint64)v->to_y * 65536 + 32768) / h);
        call(v, "PointerTo", g_variant_new("(uu)", MIN(x, 65535), MIN(y, 65535)));
    }
    if (v->move_x || v->move_y)
        call(v, "PointerMove", g_variant_new("(ii)", v->move_x, v->move_y));
    v->have_to = FALSE;
    v->move_x = v->move_y = 0;
}

/* ---- state ---- */

static void refresh_state(LodgeMksVm *v)
{
    const char *st = v->vm_state ? v->vm_state : "";
    gboolean picture = mks_session_picture(base(v)) != NULL;
    if (!v->conn)
        return;
    if (!strcmp(st, "off")) {
        mks_session_set_state(base(v), LODGE_MKS_OFF, NULL);
    } else if (!strcmp(st, "fault")) {
        mks_session_set_state(base(v), LODGE_MKS_FAULT, v->fault && *v->fault ? v->fault : _("The machine stopped because of a fault. Its log says more."));
    } else if (!strcmp(st, "paused")) {
        mks_session_set_state(base(v), LODGE_MKS_PAUSED, NULL);
    } else {
        mks_session_set_state(base(v), picture ? LODGE_MKS_RUNNING : LODGE_MKS_NO_PICTURE, NULL);
    }
}

static gboolean machine_there(const LodgeMksVm *v)
{
    return v->vm_state && (!strcmp(v->vm_state, "on") || !strcmp(v->vm_state, "paused"));
}

static void state_came(LodgeMksVm *v, const char *state)
{
    gboolean was = machine_there(v);
    g_free(v->vm_state);
    v->vm_state = g_strdup(state);
    if (!strcmp(state, "off")) {
        mks_session_set_blank(base(v), FALSE);
        mks_session_set_picture(base(v), NULL);
        mks_session_set_cursor(base(v), 0, 0, 0, 0, NULL);
    }
    if (was != machine_there(v)) {
        mks_session_forget_held(base(v));
        v->serial = 0;
        v->have_to = FALSE;
        if (!was) {
            open_screen(v);
            if (v->wish_w)
                call(v, "RequestScreenSize", g_variant_new("(uu)", v->wish_w, v->wish_h));
        }
    }
    refresh_state(v);
}

/* ---- screen ---- */

/* NULL and a sentence when what the other side offers cannot be used safely. */
static struct mks_picture *map_picture(int fd, guint64 off, guint w, guint h, guint stride, const char **why)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    *why = _("The machine's process offers a screen that this window cannot show.");
    if (w < 1 || h < 1 || w > MKS_MAX_SIDE || h > MKS_MAX_SIDE || stride < w * 4 || stride > MKS_MAX_SIDE * 8 || stride % 4 || off % 4)
        return NULL;
    guint64 len = (guint64)stride * h;
    /* A file that may shrink would end this process by SIGBUS. */
    if (fstat(fd, &st) || st.st_size < 0 || off > (guint64)st.st_size || len > (guint64)st.st_size - off || seals < 0 || !(seals & F_SEAL_SHRINK))
        return NULL;
    guint64 page = (guint64)sysconf(_SC_PAGESIZE), start = off & ~(page - 1);
    gsize map_len = (gsize)(off - start + len);
    void *map = mmap(NULL, map_len, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (map == MAP_FAILED) {
        *why = _("The machine's screen cannot be mapped: this computer is out of memory.");
        return NULL;
    }
    struct mks_picture *p = g_new0(struct mks_picture, 1);
    *p = (struct mks_picture){.ref = 1, .width = (int)w, .height = (int)h, .stride = (int)stride, .pixels = (guint8 *)map + (off - start), .map = map,
                              .map_len = map_len};
    return p;
}

static void screen_opened(GObject *o, GAsyncResult *r, gpointer u)
{
    LodgeMksVm *v = u;
    GUnixFDList *fds = NULL;
    GError *e = NULL;
    GVariant *a = g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(o), &fds, r, &e);
    if (v->conn != G_DBUS_CONNECTION(o))
        goto out;
    v->opening = FALSE;
    if (v->reopen && machine_there(v)) {
        open_screen(v);
        goto out;
    }
    if (!a) { /* the guest shows nothing yet, or the machine went off: a signal will tell */
        mks_session_set_picture(base(v), NULL);
        refresh_state(v);
        goto out;
    }
    gint32 handle;
    guint64 off;
    guint w, h, stride, generation;
    g_variant_get(a, "(htuuuu)", &handle, &off, &w, &h, &stride, &generation);
    int fd = fds ? g_unix_fd_list_get(fds, handle, NULL) : -1;
    const char *why = "";
    struct mks_picture *p = fd >= 0 ? map_picture(fd, off, w, h, stride, &why) : NULL;
    if (fd >= 0)
        close(fd);
    v->generation = generation;
    if (!p) {
        mks_session_set_picture(base(v), NULL);
        mks_session_set_state(base(v), LODGE_MKS_NO_PICTURE, why);
        goto out;
    }
    mks_session_set_picture(base(v), p);
    refresh_state(v);
out:
    if (a)
        g_variant_unref(a);
    g_clear_object(&fds);
    g_clear_error(&e);
    g_object_unref(v);
}

static void open_screen(LodgeMksVm *v)
{
    if (v->opening) {
        v->reopen = TRUE;
        return;
    }
    v->opening = TRUE;
    v->reopen = FALSE;
    v->serial = 0;
    g_dbus_connection_call_with_unix_fd_list(v->conn, NULL, OBJECT_PATH, IFACE, "OpenScreen", NULL, G_VARIANT_TYPE("(htuuuu)"), G_DBUS_CALL_FLAGS_NONE,
                                             CALL_TIMEOUT_MS, NULL, v->cancel, screen_opened, g_object_ref(v));
}

static void acknowledge(LodgeMksVm *v)
{
    if (v->serial && v->conn)
        g_dbus_connection_call(v->conn, NULL, OBJECT_PATH, IFACE, "ScreenDone", g_variant_new("(u)", v->serial), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                               NULL, NULL);
    v->serial = 0;
}

static void damage_came(LodgeMksVm *v, GVariant *args)
{
    GVariantIter *it;
    gint32 x, y, w, h;
    int n = 0;
    guint serial;
    g_variant_get(args, "(ua(iiii))", &serial, &it);
    v->serial = serial;
    while (n++ < MAX_RECTS && g_variant_iter_next(it, "(iiii)", &x, &y, &w, &h))
        mks_session_damage(base(v), x, y, w, h);
    g_variant_iter_free(it);
    if (n > MAX_RECTS)
        mks_session_damage(base(v), 0, 0, MKS_MAX_SIDE, MKS_MAX_SIDE);
}

static void cursor_came(LodgeMksVm *v, GVariant *args)
{
    gint32 w, h, hx, hy;
    GVariant *bytes;
    gsize n = 0;
    g_variant_get(args, "(iiii@ay)", &w, &h, &hx, &hy, &bytes);
    const void *data = g_variant_get_fixed_array(bytes, &n, 1);
    if (w < 1 || h < 1 || w > MKS_MAX_CURSOR || h > MKS_MAX_CURSOR || n != (gsize)w * (gsize)h * 4) {
        mks_session_set_cursor(base(v), 0, 0, 0, 0, NULL);
    } else {
        guint32 *copy = g_memdup2(data, n); /* aligned */
        mks_session_set_cursor(base(v), w, h, hx, hy, copy);
        g_free(copy);
    }
    g_variant_unref(bytes);
}

/* ---- signals and properties ---- */

static void set_property_from(LodgeMksVm *v, const char *name, GVariant *value)
{
    if (!strcmp(name, "State") && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        state_came(v, g_variant_get_string(value, NULL));
    else if (!strcmp(name, "Name") && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        mks_session_set_title(base(v), g_variant_get_string(value, NULL));
    else if (!strcmp(name, "PointerAbsolute") && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
        mks_session_set_absolute(base(v), g_variant_get_boolean(value));
    else if (!strcmp(name, "Leds") && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
        mks_session_set_leds(base(v), g_variant_get_uint32(value) & 7, g_variant_get_uint32(value) >> 31);
    else if (!strcmp(name, "FaultText") && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
        g_free(v->fault);
        v->fault = g_variant_dup_string(value, NULL);
        refresh_state(v);
    } else if (!strcmp(name, "LogPath") && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
        g_free(v->log);
        v->log = g_variant_dup_string(value, NULL);
    }
}

static void on_signal(GDBusConnection *c, const gchar *sender, const gchar *path, const gchar *iface, const gchar *name, GVariant *args, gpointer u)
{
    LodgeMksVm *v = u;
    (void)sender, (void)path;
    if (c != v->conn)
        return;
    if (!strcmp(iface, "org.freedesktop.DBus.Properties")) {
        GVariantIter *it;
        const char *which, *key;
        GVariant *value;
        if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(sa{sv}as)")))
            return;
        g_variant_get(args, "(&sa{sv}as)", &which, &it, NULL);
        while (g_variant_iter_next(it, "{&sv}", &key, &value)) {
            set_property_from(v, key, value);
            g_variant_unref(value);
        }
        g_variant_iter_free(it);
    } else if (!strcmp(name, "ScreenDamage") && g_variant_is_of_type(args, G_VARIANT_TYPE("(ua(iiii))"))) {
        damage_came(v, args);
    } else if (!strcmp(name, "ScreenMode") && g_variant_is_of_type(args, G_VARIANT_TYPE("(uuu)"))) {
        if (machine_there(v))
            open_screen(v);
    } else if (!strcmp(name, "CursorShape") && g_variant_is_of_type(args, G_VARIANT_TYPE("(iiiiay)"))) {
        cursor_came(v, args);
    } else if (!strcmp(name, "ScreenBlank") && g_variant_is_of_type(args, G_VARIANT_TYPE("(b)"))) {
        gboolean blank;
        g_variant_get(args, "(b)", &blank);
        mks_session_set_blank(base(v), blank);
    } else if (!strcmp(name, "CursorMoved") && g_variant_is_of_type(args, G_VARIANT_TYPE("(iib)"))) {
        gint32 x, y;
        gboolean shown;
        g_variant_get(args, "(iib)", &x, &y, &shown);
        mks_session_move_cursor(base(v), x, y, shown);
    } else if (!strcmp(name, "StateChanged") && g_variant_is_of_type(args, G_VARIANT_TYPE("(sss)"))) {
        const char *state, *reason, *text;
        g_variant_get(args, "(&s&s&s)", &state, &reason, &text);
        if (*text && !strcmp(state, "fault")) {
            g_free(v->fault);
            v->fault = g_strdup(text);
        }
        state_came(v, state);
    }
}

/* ---- connection ---- */

static void drop(LodgeMksVm *v)
{
    if (v->cancel)
        g_cancellable_cancel(v->cancel);
    g_clear_object(&v->cancel);
    if (v->conn) {
        g_dbus_connection_signal_unsubscribe(v->conn, v->sub);
        g_signal_handler_disconnect(v->conn, v->closed_id);
        g_dbus_connection_close(v->conn, NULL, NULL, NULL);
    }
    g_clear_object(&v->conn);
    if (v->retry_id)
        g_source_remove(v->retry_id);
    v->retry_id = 0;
    if (v->monitor)
        g_signal_handlers_disconnect_by_data(v->monitor, v);
    g_clear_object(&v->monitor);
    v->opening = v->reopen = v->have_to = FALSE;
    v->serial = 0;
    v->calls = v->move_x = v->move_y = 0;
}

static gboolean retry(gpointer u)
{
    LodgeMksVm *v = u;
    v->retry_id = 0;
    connect_now(v);
    return G_SOURCE_REMOVE;
}

static void socket_appeared(GFileMonitor *m, GFile *f, GFile *other, GFileMonitorEvent ev, gpointer u)
{
    LodgeMksVm *v = u;
    (void)m, (void)f, (void)other;
    if (ev == G_FILE_MONITOR_EVENT_CREATED && v->wanted && !v->conn && v->retry_id) {
        g_source_remove(v->retry_id);
        v->attempts = 0;
        v->retry_id = g_timeout_add(20, retry, v); /* it listens a moment after the socket is there */
    }
}

static void wait_for_socket(LodgeMksVm *v)
{
    if (!v->monitor && g_str_has_prefix(v->address, "unix:path=")) {
        char *path = g_uri_unescape_string(v->address + strlen("unix:path="), NULL);
        GFile *f = g_file_new_for_path(path ? path : "/");
        v->monitor = g_file_monitor_file(f, G_FILE_MONITOR_NONE, NULL, NULL);
        if (v->monitor)
            g_signal_connect(v->monitor, "changed", G_CALLBACK(socket_appeared), v);
        g_object_unref(f);
        g_free(path);
    }
    if (!v->retry_id)
        v->retry_id = g_timeout_add(v->attempts++ < RETRY_FAST ? RETRY_MS : RETRY_SLOW_MS, retry, v);
}

static void on_closed(GDBusConnection *c, gboolean remote, GError *error, gpointer u)
{
    LodgeMksVm *v = u;
    (void)c, (void)remote, (void)error;
    gboolean expected = v->vm_state && (!strcmp(v->vm_state, "off") || !strcmp(v->vm_state, "stopping"));
    char *text = NULL;
    if (!expected)
        text = v->log && *v->log
                   ? g_strdup_printf(_("The process of “%s” has ended unexpectedly. Its log is %s."), lodge_mks_session_get_title(base(v)), v->log)
                   : g_strdup(_("The process of this machine has ended unexpectedly."));
    drop(v);
    g_clear_pointer(&v->vm_state, g_free);
    mks_session_forget_held(base(v));
    mks_session_set_picture(base(v), NULL);
    mks_session_set_cursor(base(v), 0, 0, 0, 0, NULL);
    mks_session_set_blank(base(v), FALSE);
    mks_session_set_absolute(base(v), FALSE);
    mks_session_set_leds(base(v), 0, FALSE);
    mks_session_set_state(base(v), expected ? LODGE_MKS_OFF : LODGE_MKS_CONNECTING, text);
    g_free(text);
    v->attempts = 0;
    if (v->wanted)
        wait_for_socket(v);
}

static void got_all(GObject *o, GAsyncResult *r, gpointer u)
{
    LodgeMksVm *v = u;
    GVariant *a = g_dbus_connection_call_finish(G_DBUS_CONNECTION(o), r, NULL);
    if (a && v->conn == G_DBUS_CONNECTION(o)) {
        GVariantIter *it;
        const char *key;
        GVariant *value, *state = NULL;
        g_variant_get(a, "(a{sv})", &it);
        while (g_variant_iter_next(it, "{&sv}", &key, &value)) {
            if (!strcmp(key, "State") && !v->vm_state) /* a StateChanged that came first is newer */
                state = g_variant_ref(value);
            else if (strcmp(key, "State"))
                set_property_from(v, key, value);
            g_variant_unref(value);
        }
        g_variant_iter_free(it);
        if (state) {
            set_property_from(v, "State", state);
            g_variant_unref(state);
        }
    }
    if (a)
        g_variant_unref(a);
    g_object_unref(v);
}

static void connected(GObject *o, GAsyncResult *r, gpointer u)
{
    LodgeMksVm *v = u;
    GError *e = NULL;
    (void)o;
    GDBusConnection *c = g_dbus_connection_new_for_address_finish(r, &e);
    if (!c) {
        if (v->wanted && !g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
            g_clear_object(&v->cancel);
            wait_for_socket(v);
        }
        g_clear_error(&e);
        g_object_unref(v);
        return;
    }
    if (!v->wanted || v->conn) {
        g_dbus_connection_close(c, NULL, NULL, NULL);
        g_object_unref(c);
        g_object_unref(v);
        return;
    }
    v->conn = c;
    v->calls = 0;
    if (v->monitor)
        g_signal_handlers_disconnect_by_data(v->monitor, v);
    g_clear_object(&v->monitor);
    g_dbus_connection_set_exit_on_close(c, FALSE);
    v->closed_id = g_signal_connect(c, "closed", G_CALLBACK(on_closed), v);
    v->sub = g_dbus_connection_signal_subscribe(c, NULL, NULL, NULL, OBJECT_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, v, NULL);
    g_dbus_connection_call(c, NULL, OBJECT_PATH, "org.freedesktop.DBus.Properties", "GetAll", g_variant_new("(s)", IFACE), G_VARIANT_TYPE("(a{sv})"),
                           G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, v->cancel, got_all, g_object_ref(v));
    g_object_unref(v);
}

static void connect_now(LodgeMksVm *v)
{
    if (v->conn || v->cancel || !v->wanted)
        return;
    v->cancel = g_cancellable_new();
    g_dbus_connection_new_for_address(v->address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, v->cancel, connected, g_object_ref(v));
}

/* ---- class ---- */

static void vm_open(LodgeMksSession *s)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    if (v->retry_id)
        g_source_remove(v->retry_id);
    v->retry_id = 0;
    v->attempts = 0;
    if (!v->wanted)
        mks_session_set_state(s, LODGE_MKS_CONNECTING, NULL);
    v->wanted = TRUE;
    connect_now(v);
}

static void vm_close(LodgeMksSession *s)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    v->wanted = FALSE;
    drop(v);
    g_clear_pointer(&v->vm_state, g_free);
    mks_session_set_picture(s, NULL);
}

static void vm_key(LodgeMksSession *s, guint usage, guint keysym, gboolean down)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    (void)keysym;
    if (down && v->calls > MAX_CALLS) /* nobody answers: no more presses, but all releases */
        return;
    send_moves(v);
    call(v, "Key", g_variant_new("(ub)", usage, down));
}

static void vm_pointer_to(LodgeMksSession *s, int x, int y)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    v->have_to = TRUE;
    v->to_x = x;
    v->to_y = y;
    if (v->calls < MAX_MOVES)
        send_moves(v);
}

static void vm_pointer_move(LodgeMksSession *s, int dx, int dy)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    v->move_x = CLAMP(v->move_x + dx, -32767, 32767);
    v->move_y = CLAMP(v->move_y + dy, -32767, 32767);
    if (v->calls < MAX_MOVES)
        send_moves(v);
}

static void vm_button(LodgeMksSession *s, guint button, gboolean down)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    if (down && v->calls > MAX_CALLS)
        return;
    send_moves(v);
    call(v, "PointerButton", g_variant_new("(ub)", button, down));
}

static void vm_wheel(LodgeMksSession *s, int clicks)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    if (v->calls > MAX_CALLS)
        return;
    send_moves(v);
    call(v, "PointerWheel", g_variant_new("(i)", clicks));
}

static void size_answered(GObject *o, GAsyncResult *r, gpointer u)
{
    LodgeMksVm *v = u;
    GVariant *a = g_dbus_connection_call_finish(G_DBUS_CONNECTION(o), r, NULL);
    if (a) {
        gboolean follows;
        g_variant_get(a, "(b)", &follows);
        mks_session_set_can_resize(base(v), follows);
        g_variant_unref(a);
    }
    g_object_unref(v);
}

static void vm_request_size(LodgeMksSession *s, int width, int height)
{
    LodgeMksVm *v = LODGE_MKS_VM(s);
    if (v->wish_w == width && v->wish_h == height)
        return;
    v->wish_w = width;
    v->wish_h = height;
    if (v->conn && machine_there(v))
        g_dbus_connection_call(v->conn, NULL, OBJECT_PATH, IFACE, "RequestScreenSize", g_variant_new("(uu)", width, height), G_VARIANT_TYPE("(b)"),
                               G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL, size_answered, g_object_ref(v));
}

static void dispose(GObject *o)
{
    LodgeMksVm *v = LODGE_MKS_VM(o);
    if (v->conn)
        lodge_mks_session_close(base(v));
    v->wanted = FALSE;
    drop(v);
    G_OBJECT_CLASS(lodge_mks_vm_parent_class)->dispose(o);
}

static void finalize(GObject *o)
{
    LodgeMksVm *v = LODGE_MKS_VM(o);
    g_free(v->address);
    g_free(v->vm_state);
    g_free(v->fault);
    g_free(v->log);
    G_OBJECT_CLASS(lodge_mks_vm_parent_class)->finalize(o);
}

static void vm_painted(LodgeMksSession *s)
{
    if (mks_session_has_viewers(s))
        acknowledge(LODGE_MKS_VM(s));
}

static void lodge_mks_vm_class_init(LodgeMksVmClass *k)
{
    LodgeMksSessionClass *sk = LODGE_MKS_SESSION_CLASS(k);
    G_OBJECT_CLASS(k)->dispose = dispose;
    G_OBJECT_CLASS(k)->finalize = finalize;
    sk->open = vm_open;
    sk->close = vm_close;
    sk->key = vm_key;
    sk->pointer_to = vm_pointer_to;
    sk->pointer_move = vm_pointer_move;
    sk->button = vm_button;
    sk->wheel = vm_wheel;
    sk->request_size = vm_request_size;
    sk->painted = vm_painted;
}

static void lodge_mks_vm_init(LodgeMksVm *v) { (void)v; }

LodgeMksSession *lodge_mks_session_new_vm(const char *address)
{
    LodgeMksVm *v = g_object_new(LODGE_TYPE_MKS_VM, NULL);
    v->address = g_strdup(address);
    return base(v);
}
