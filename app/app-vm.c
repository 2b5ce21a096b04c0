/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine of the library. Off and on come from the control connection: it is there exactly as long as a process runs
 * the machine, whoever started it, so the socket's folder is watched and the connection tried. The connection's end,
 * and for our own children the exit status, say how it ended.
 */
#include "app-vm.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

#include "api/address.h"
#include "app-error.h"
#include "app-guest-os.h"
#include "app-process.h"
#include "lodge-vm1.h"

enum { RETRY_MS = 100, THUMB_W = 480, THUMB_H = 360 };

struct _AppVm {
    GObject parent;
    char *path, *name, *folder;
    gboolean remote, gone;
    AppVmState state;
    struct vmx_dict *dict;
    GFileMonitor *file_monitor, *socket_monitor;
    GCancellable *cancel;
    LodgeVm1 *proxy;
    gulong closed_id;
    gboolean connecting, child; /* child: a process of ours has not ended yet */
    gboolean want_on;           /* power on as soon as it is known whether a process runs it already */
    gboolean told_off;          /* the process said "off" before its connection ended */
    guint retry, reload;
    char *problem, *problem_action, *problem_label;
    gboolean problem_of_file; /* the problem is that it cannot be read */
    gboolean problem_of_run;  /* it concerns a machine that runs, no other */
    GdkPixbuf *thumbnail;
    gboolean thumb_busy, thumb_unsaved;
    LodgeMksSession *session;
};
G_DEFINE_TYPE(AppVm, app_vm, G_TYPE_OBJECT)

enum { CHANGED, THUMBNAIL, STOPPED, N_SIGNALS };
static guint signals[N_SIGNALS];

static void try_connect(AppVm *vm);

static void changed(AppVm *vm) { g_signal_emit(vm, signals[CHANGED], 0); }

static void set_state(AppVm *vm, AppVmState s)
{
    if (vm->state == s)
        return;
    vm->state = s;
    if (s == APP_VM_OFF && vm->problem_of_run)
        app_vm_set_problem(vm, NULL, NULL, NULL);
    changed(vm);
}

void app_vm_refused(AppVm *vm, const char *sentence)
{
    app_vm_set_problem(vm, sentence, NULL, NULL);
    vm->problem_of_run = app_vm_is_live(vm);
}

void app_vm_set_problem(AppVm *vm, const char *sentence, const char *action, const char *label)
{
    if (!sentence && !vm->problem)
        return;
    g_free(vm->problem);
    g_free(vm->problem_action);
    g_free(vm->problem_label);
    vm->problem = g_strdup(sentence);
    vm->problem_action = g_strdup(action);
    vm->problem_label = g_strdup(label);
    vm->problem_of_file = vm->problem_of_run = FALSE;
    changed(vm);
}

const char *app_vm_get_problem(AppVm *vm, const char **action, const char **label)
{
    if (action)
        *action = vm->problem_action;
    if (label)
        *label = vm->problem_label;
    return vm->problem;
}

static void log_problem(AppVm *vm, const char *sentence)
{
    app_vm_set_problem(vm, sentence, "win.vm-log", _("Show _log"));
}

/* ---- the picture of the last screen ---- */

static char *thumbnail_path(AppVm *vm)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, vm->path, -1);
    g_autofree char *name = g_strdup_printf("%.32s.png", sum);
    return g_build_filename(g_get_user_cache_dir(), "lodge", "thumbnails", name, NULL);
}

static void thumbnail_loaded(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    g_autoptr(GdkPixbuf) p = gdk_pixbuf_new_from_stream_finish(r, NULL);
    vm->thumb_busy = FALSE;
    if (p) {
        g_set_object(&vm->thumbnail, p);
        g_signal_emit(vm, signals[THUMBNAIL], 0);
    }
}

static void thumbnail_file_read(GObject *o, GAsyncResult *r, gpointer u)
{
    AppVm *vm = u;
    g_autoptr(GFileInputStream) in = g_file_read_finish(G_FILE(o), r, NULL);
    if (in && !vm->thumbnail)
        gdk_pixbuf_new_from_stream_async(G_INPUT_STREAM(in), NULL, thumbnail_loaded, vm);
    else
        g_object_unref(vm);
}

static void thumbnail_load(AppVm *vm)
{
    g_autofree char *path = thumbnail_path(vm);
    g_autoptr(GFile) f = g_file_new_for_path(path);
    g_file_read_async(f, G_PRIORITY_LOW, NULL, thumbnail_file_read, g_object_ref(vm));
}

static void save_thread(GTask *task, gpointer src, gpointer data, GCancellable *c)
{
    g_autofree char *dir = g_path_get_dirname(data);
    g_autofree char *tmp = g_strdup_printf("%s.new", (char *)data);
    GdkPixbuf *p = src;
    g_mkdir_with_parents(dir, 0700);
    if (gdk_pixbuf_save(p, tmp, "png", NULL, NULL) && rename(tmp, data))
        remove(tmp);
}

static void thumbnail_save(AppVm *vm)
{
    if (!vm->thumbnail || !vm->thumb_unsaved)
        return;
    vm->thumb_unsaved = FALSE;
    GTask *t = g_task_new(vm->thumbnail, NULL, NULL, NULL);
    g_task_set_task_data(t, thumbnail_path(vm), g_free);
    g_task_run_in_thread(t, save_thread);
    g_object_unref(t);
}

void app_vm_keep_thumbnail(AppVm *vm, GdkPixbuf *screen)
{
    if (!screen)
        return;
    g_set_object(&vm->thumbnail, screen);
    vm->thumb_unsaved = TRUE;
    g_signal_emit(vm, signals[THUMBNAIL], 0);
}

void app_vm_forget_thumbnail(AppVm *vm)
{
    g_autofree char *path = thumbnail_path(vm);
    vm->thumb_unsaved = FALSE;
    remove(path);
}

static void got_screenshot(GObject *o, GAsyncResult *r, gpointer u)
{
    AppVm *vm = u;
    g_autoptr(GVariant) v = g_dbus_proxy_call_finish(G_DBUS_PROXY(o), r, NULL), png = NULL;
    if (!v) {
        vm->thumb_busy = FALSE;
        g_object_unref(vm);
        return;
    }
    g_variant_get(v, "(@ay)", &png);
    g_autoptr(GBytes) bytes = g_variant_get_data_as_bytes(png);
    g_autoptr(GInputStream) in = g_memory_input_stream_new_from_bytes(bytes);
    vm->thumb_unsaved = TRUE;
    gdk_pixbuf_new_from_stream_at_scale_async(in, THUMB_W, THUMB_H, TRUE, NULL, thumbnail_loaded, vm);
}

void app_vm_refresh_thumbnail(AppVm *vm)
{
    if (!vm->proxy || vm->thumb_busy || (vm->state != APP_VM_ON && vm->state != APP_VM_PAUSED))
        return;
    vm->thumb_busy = TRUE;
    g_dbus_proxy_call(G_DBUS_PROXY(vm->proxy), "Screenshot", NULL, G_DBUS_CALL_FLAGS_NONE, 10000, vm->cancel,
                      got_screenshot, g_object_ref(vm));
}

GdkPixbuf *app_vm_get_thumbnail(AppVm *vm) { return vm->thumbnail; }

/* ---- control connection ---- */

static AppVmState state_of(const char *s)
{
    static const struct {
        const char *word;
        AppVmState state;
    } words[] = {{"off", APP_VM_OFF},       {"starting", APP_VM_STARTING}, {"on", APP_VM_ON},
                 {"paused", APP_VM_PAUSED}, {"stopping", APP_VM_STOPPING}, {"fault", APP_VM_FAULT}};
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (!g_strcmp0(words[i].word, s))
            return words[i].state;
    return APP_VM_OFF;
}

static void stopped(AppVm *vm, const char *sentence) { g_signal_emit(vm, signals[STOPPED], 0, sentence); }

static void disconnect(AppVm *vm)
{
    if (!vm->proxy)
        return;
    GDBusConnection *c = g_dbus_proxy_get_connection(G_DBUS_PROXY(vm->proxy));
    if (vm->closed_id)
        g_signal_handler_disconnect(c, vm->closed_id);
    vm->closed_id = 0;
    g_signal_handlers_disconnect_by_data(vm->proxy, vm);
    g_clear_object(&vm->proxy);
}

static void on_closed(GDBusConnection *c, gboolean remote_peer_vanished, GError *error, gpointer u)
{
    AppVm *vm = u;
    AppVmState before = vm->state;
    g_object_ref(vm);
    disconnect(vm);
    thumbnail_save(vm);
    set_state(vm, vm->gone ? APP_VM_MISSING : APP_VM_OFF);
    if (!vm->child && !vm->told_off && before != APP_VM_OFF && before != APP_VM_FAULT) {
        g_autofree char *s =
            g_strdup_printf(_("“%s” ended unexpectedly: its process is gone. The log may say why."), vm->name);
        log_problem(vm, s);
        stopped(vm, s);
    }
    app_vm_reload(vm);
    g_object_unref(vm);
}

static void on_state(LodgeVm1 *proxy, const char *state, const char *reason, const char *text, gpointer u)
{
    AppVm *vm = u;
    AppVmState s = state_of(state);
    vm->told_off = s == APP_VM_OFF || s == APP_VM_FAULT;
    set_state(vm, s);
    if (s == APP_VM_FAULT) {
        g_autofree char *why = app_sentence(text);
        g_autofree char *sentence = g_strdup_printf(_("“%s” was stopped by a fault. %s"), vm->name, why);
        log_problem(vm, sentence);
        stopped(vm, sentence);
    } else if (s == APP_VM_PAUSED && !g_strcmp0(reason, "memory")) {
        g_autofree char *why = app_sentence(text);
        app_vm_set_problem(vm, why, "win.memory", _("Show me_mory"));
        vm->problem_of_run = TRUE;
    } else if (s == APP_VM_OFF && !g_strcmp0(reason, "guest")) {
        g_autofree char *sentence = g_strdup_printf(_("“%s” was shut down by the guest."), vm->name);
        stopped(vm, sentence);
    }
}

/* Something to know though the machine runs: all machines have more memory together than they may use. */
static void on_notice(LodgeVm1 *proxy, GParamSpec *spec, gpointer u)
{
    AppVm *vm = u;
    const char *notice = lodge_vm1_get_notice(proxy);
    if (!notice || !*notice || vm->problem)
        return;
    g_autofree char *why = app_sentence(notice);
    app_vm_set_problem(vm, why, "win.memory", _("Show me_mory"));
    vm->problem_of_run = TRUE;
}

static void retry_soon(AppVm *vm);

/* The attempt to connect has an answer. */
static void connect_ended(AppVm *vm)
{
    gboolean on = vm->want_on;
    vm->connecting = vm->want_on = FALSE;
    if (on && !g_cancellable_is_cancelled(vm->cancel))
        app_vm_power_on(vm);
}

static void got_proxy(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    g_autoptr(GError) e = NULL;
    LodgeVm1 *p = lodge_vm1_proxy_new_finish(r, &e);
    if (!p || g_cancellable_is_cancelled(vm->cancel)) {
        g_clear_object(&p);
        connect_ended(vm);
        retry_soon(vm);
        return;
    }
    vm->proxy = p;
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(p), 60000);
    GDBusConnection *c = g_dbus_proxy_get_connection(G_DBUS_PROXY(p));
    vm->told_off = FALSE;
    g_signal_connect(p, "state-changed", G_CALLBACK(on_state), vm);
    g_signal_connect(p, "notify::notice", G_CALLBACK(on_notice), vm);
    g_signal_connect_swapped(p, "notify::media", G_CALLBACK(changed), vm);
    if (g_dbus_connection_is_closed(c)) {
        disconnect(vm);
        connect_ended(vm);
        retry_soon(vm);
        return;
    }
    vm->closed_id = g_signal_connect(c, "closed", G_CALLBACK(on_closed), vm);
    vm->state = state_of(lodge_vm1_get_state(p));
    if (vm->state != APP_VM_FAULT)
        app_vm_set_problem(vm, NULL, NULL, NULL);
    on_notice(p, NULL, vm);
    changed(vm);
    if (vm->session && vm->state != APP_VM_OFF)
        lodge_mks_session_open(vm->session);
    app_vm_refresh_thumbnail(vm);
    connect_ended(vm);
}

static void got_connection(GObject *o, GAsyncResult *r, gpointer u)
{
    AppVm *vm = u;
    g_autoptr(GDBusConnection) c = g_dbus_connection_new_for_address_finish(r, NULL);
    if (!c) {
        connect_ended(vm);
        retry_soon(vm);
        g_object_unref(vm);
        return;
    }
    g_dbus_connection_set_exit_on_close(c, FALSE);
    lodge_vm1_proxy_new(c, G_DBUS_PROXY_FLAGS_NONE, NULL, "/org/lodge/Vm1", vm->cancel, got_proxy, vm);
}

static void try_connect(AppVm *vm)
{
    if (vm->remote || vm->proxy || vm->connecting)
        return;
    g_autofree char *socket = lodge_vm_socket_path(vm->path);
    if (!g_file_test(socket, G_FILE_TEST_EXISTS)) {
        retry_soon(vm);
        return;
    }
    g_autofree char *address = lodge_vm_address_of(socket);
    vm->connecting = TRUE;
    g_dbus_connection_new_for_address(address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, vm->cancel,
                                      got_connection, g_object_ref(vm));
}

static gboolean retry_now(gpointer u)
{
    AppVm *vm = u;
    vm->retry = 0;
    try_connect(vm);
    return G_SOURCE_REMOVE;
}

/* While our child starts, its socket may not be there yet. Otherwise the folder's monitor tells. */
static void retry_soon(AppVm *vm)
{
    if (vm->child && !vm->retry && !vm->proxy)
        vm->retry = g_timeout_add(RETRY_MS, retry_now, vm);
}

static void on_socket(GFileMonitor *m, GFile *f, GFile *other, GFileMonitorEvent ev, gpointer u)
{
    AppVm *vm = u;
    g_autofree char *socket = lodge_vm_socket_path(vm->path), *mine = g_path_get_basename(socket),
                    *name = g_file_get_basename(f);
    if ((ev == G_FILE_MONITOR_EVENT_CREATED || ev == G_FILE_MONITOR_EVENT_CHANGED ||
         ev == G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED) &&
        !strcmp(mine, name))
        try_connect(vm);
}

/* ---- power ---- */

static void process_ended(gpointer u, const AppProcessEnd *end)
{
    g_autoptr(AppVm) vm = u;
    vm->child = FALSE;
    if (vm->retry)
        g_source_remove(vm->retry);
    vm->retry = 0;
    if (!vm->proxy)
        set_state(vm, vm->gone ? APP_VM_MISSING : APP_VM_OFF);
    if (end->clean)
        return;
    g_autofree char *sentence = NULL, *text = app_sentence(end->text);
    if (end->crashed) {
        sentence = g_strdup_printf(_("“%s” ended unexpectedly: its process was ended by signal %d (%s). %s"), vm->name,
                                   end->status, g_strsignal(end->status), text);
        log_problem(vm, sentence);
    } else if (end->status == 3) {
        if (vm->problem)
            return; /* the fault has been told already */
        sentence = g_strdup_printf(_("“%s” was stopped by a fault. %s"), vm->name, text);
        log_problem(vm, sentence);
    } else if (*text) {
        sentence = g_strdup_printf(_("“%s” cannot power on. %s"), vm->name, text);
        app_vm_set_problem(vm, sentence, end->config ? "win.vm-settings" : "win.vm-log",
                           end->config ? _("Edit _settings") : _("Show _log"));
    } else {
        sentence = g_strdup_printf(
            _("“%s” cannot power on: its process ended with status %d without a word. The log may say more."), vm->name,
            end->status);
        log_problem(vm, sentence);
    }
    stopped(vm, sentence);
}

void app_vm_power_on(AppVm *vm)
{
    g_autoptr(GError) e = NULL;
    if (vm->remote) {
        lodge_mks_session_open(app_vm_get_session(vm));
        return;
    }
    app_vm_set_problem(vm, NULL, NULL, NULL);
    if (vm->proxy) {
        if (vm->state == APP_VM_PAUSED)
            app_vm_resume(vm);
        else if (vm->state == APP_VM_OFF || vm->state == APP_VM_FAULT)
            app_vm_call(vm, "PowerOn", NULL, _("“%s” could not be powered on."), NULL, NULL);
        return;
    }
    vm->want_on = vm->connecting;
    if (vm->child || vm->connecting || vm->state == APP_VM_MISSING)
        return;
    vm->child = TRUE;
    if (!app_process_start(vm->path, FALSE, process_ended, g_object_ref(vm), &e)) {
        g_autofree char *why = app_error_sentence(e),
                        *sentence = g_strdup_printf(_("“%s” cannot power on. %s"), vm->name, why);
        vm->child = FALSE;
        g_object_unref(vm);
        app_vm_set_problem(vm, sentence, NULL, NULL);
        return;
    }
    set_state(vm, APP_VM_STARTING);
    retry_soon(vm);
}

struct call {
    AppVm *vm;
    char *what;
    AppVmAnswer done;
    gpointer u;
};

/* sentence has one %s, for the name. */
static char *app_vm_failed(const char *sentence, const char *name, const char *why)
{
    g_auto(GStrv) parts = g_strsplit(sentence, "%s", 2);
    return g_strconcat(parts[0], name, parts[1] ? parts[1] : "", " ", why, NULL);
}

static void called(GObject *o, GAsyncResult *r, gpointer u)
{
    struct call *c = u;
    g_autoptr(GError) e = NULL;
    g_autoptr(GVariant) v = g_dbus_proxy_call_finish(G_DBUS_PROXY(o), r, &e);
    /* A process that ends while it answers "switch off" has done what was asked. */
    if (!v && !g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CANCELLED) && c->what &&
        (c->vm->proxy == (LodgeVm1 *)o || !g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CLOSED))) {
        g_autofree char *why = app_error_sentence(e);
        g_autofree char *s = app_vm_failed(c->what, c->vm->name, why);
        if (c->vm->proxy || !c->vm->told_off)
            app_vm_refused(c->vm, s);
    }
    if (c->done)
        c->done(c->u, v);
    g_object_unref(c->vm);
    g_free(c->what);
    g_free(c);
}

void app_vm_call(AppVm *vm, const char *method, GVariant *args, const char *what, AppVmAnswer done, gpointer u)
{
    if (!vm->proxy) {
        if (args)
            g_variant_unref(g_variant_ref_sink(args));
        if (done)
            done(u, NULL);
        return;
    }
    struct call *c = g_new0(struct call, 1);
    *c = (struct call){.vm = g_object_ref(vm), .what = g_strdup(what), .done = done, .u = u};
    g_dbus_proxy_call(G_DBUS_PROXY(vm->proxy), method, args, G_DBUS_CALL_FLAGS_NONE, -1, vm->cancel, called, c);
}

void app_vm_power_off(AppVm *vm) { app_vm_call(vm, "PowerOff", NULL, _("“%s” could not be powered off."), NULL, NULL); }
void app_vm_soft_off(AppVm *vm)
{
    app_vm_call(vm, "SoftOff", g_variant_new("(ub)", 0, FALSE), _("“%s” could not be shut down."), NULL, NULL);
}
void app_vm_reset(AppVm *vm) { app_vm_call(vm, "Reset", NULL, _("“%s” could not be reset."), NULL, NULL); }
void app_vm_pause(AppVm *vm) { app_vm_call(vm, "Pause", NULL, _("“%s” could not be paused."), NULL, NULL); }
void app_vm_resume(AppVm *vm)
{
    app_vm_set_problem(vm, NULL, NULL, NULL); /* what a paused machine refused, or why it was paused, is over */
    app_vm_call(vm, "Resume", NULL, _("“%s” could not be resumed."), NULL, NULL);
}

/* ---- settings ---- */

static void take_dict(AppVm *vm, struct vmx_dict *d)
{
    vmx_dict_free(vm->dict);
    vm->dict = d;
    const char *name = d ? vmx_get_str(d, "displayName") : "";
    g_autofree char *base = g_path_get_basename(vm->path);
    char *dot = strrchr(base, '.');
    if (dot && dot != base)
        *dot = 0;
    g_free(vm->name);
    vm->name = g_utf8_make_valid(*name ? name : base, -1);
}

static void file_loaded(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    g_autofree char *data = NULL;
    gsize len = 0;
    g_autoptr(GError) e = NULL;
    struct err pe = {0};
    if (!g_file_load_contents_finish(G_FILE(o), r, &data, &len, NULL, &e)) {
        if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CANCELLED))
            return;
        vm->gone = TRUE;
        if (vm->state == APP_VM_OFF)
            vm->state = APP_VM_MISSING;
        take_dict(vm, NULL);
        gboolean there = !g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
        g_autofree char *why = there ? app_error_sentence(e) : NULL;
        app_vm_set_problem(vm, why, there ? "win.vm-show-folder" : NULL, there ? _("Show _folder") : NULL);
        vm->problem_of_file = there;
        changed(vm);
        return;
    }
    if (vm->problem_of_file)
        app_vm_set_problem(vm, NULL, NULL, NULL);
    vm->gone = FALSE;
    if (vm->state == APP_VM_MISSING)
        vm->state = APP_VM_OFF;
    struct vmx_dict *d = vmx_dict_parse(data, len, &pe);
    take_dict(vm, d);
    if (!d) {
        g_autofree char *why = app_sentence(pe.msg),
                        *s = g_strdup_printf(_("The file %s cannot be read. %s"), vm->path, why);
        app_vm_set_problem(vm, s, "win.vm-show-folder", _("Show _folder"));
        vm->problem_of_file = TRUE;
    }
    changed(vm);
}

void app_vm_reload(AppVm *vm)
{
    if (vm->remote)
        return;
    g_autoptr(GFile) f = g_file_new_for_path(vm->path);
    g_file_load_contents_async(f, vm->cancel, file_loaded, g_object_ref(vm));
}

static gboolean reload_now(gpointer u)
{
    AppVm *vm = u;
    vm->reload = 0;
    app_vm_reload(vm);
    return G_SOURCE_REMOVE;
}

static void on_file(GFileMonitor *m, GFile *f, GFile *other, GFileMonitorEvent ev, gpointer u)
{
    AppVm *vm = u;
    if (!vm->reload)
        vm->reload = g_timeout_add(150, reload_now, vm);
}

struct save {
    AppVm *vm;
    GPtrArray *pairs;
    guint at;
    char *path;
    AppVmSaved done;
    gpointer u;
};

static void save_end(struct save *s, const GError *e)
{
    app_vm_reload(s->vm);
    if (s->done)
        s->done(s->u, e);
    g_object_unref(s->vm);
    g_ptr_array_unref(s->pairs);
    g_free(s->path);
    g_free(s);
}

/* The file is read again first: somebody else may have changed other lines of it. */
static void save_in_file(GTask *task, gpointer src, gpointer data, GCancellable *c)
{
    struct save *s = data;
    struct err e = {0};
    struct vmx_dict *d = vmx_dict_load(s->path, &e);
    gboolean ok = d != NULL;
    for (guint i = 0; ok && i + 1 < s->pairs->len; i += 2) {
        const char *value = s->pairs->pdata[i + 1];
        if (value)
            ok = !vmx_dict_set(d, s->pairs->pdata[i], value, &e);
        else
            vmx_dict_unset(d, s->pairs->pdata[i]);
    }
    if (ok && vmx_dict_changed(d))
        ok = !vmx_dict_save(d, s->path, &e);
    vmx_dict_free(d);
    if (ok)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", e.msg);
}

static void saved_in_file(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autoptr(GError) e = NULL;
    g_task_propagate_boolean(G_TASK(r), &e);
    save_end(u, e);
}

static void save_next(struct save *s);

static void saved_live(GObject *o, GAsyncResult *r, gpointer u)
{
    struct save *s = u;
    g_autoptr(GError) e = NULL;
    g_autoptr(GVariant) v = g_dbus_proxy_call_finish(G_DBUS_PROXY(o), r, &e);
    if (!v) {
        save_end(s, e);
        return;
    }
    s->at += 2;
    save_next(s);
}

static void save_next(struct save *s)
{
    if (s->at + 1 >= s->pairs->len || !s->vm->proxy) {
        g_autoptr(GError) e = NULL;
        if (s->at + 1 < s->pairs->len)
            g_set_error(&e, G_IO_ERROR, G_IO_ERROR_CLOSED, _("The machine ended meanwhile; try again."));
        save_end(s, e);
        return;
    }
    const char *key = s->pairs->pdata[s->at], *value = s->pairs->pdata[s->at + 1];
    g_dbus_proxy_call(G_DBUS_PROXY(s->vm->proxy), value ? "SetConfig" : "UnsetConfig",
                      value ? g_variant_new("(ss)", key, value) : g_variant_new("(s)", key), G_DBUS_CALL_FLAGS_NONE, -1,
                      NULL, saved_live, s);
}

void app_vm_set_keys(AppVm *vm, GPtrArray *pairs, AppVmSaved done, gpointer u)
{
    struct save *s = g_new0(struct save, 1);
    *s = (struct save){.vm = g_object_ref(vm), .pairs = pairs, .path = g_strdup(vm->path), .done = done, .u = u};
    if (vm->proxy) {
        save_next(s);
        return;
    }
    GTask *t = g_task_new(NULL, NULL, saved_in_file, s);
    g_task_set_task_data(t, s, NULL);
    g_task_run_in_thread(t, save_in_file);
    g_object_unref(t);
}

/* ---- simple things ---- */

gboolean app_vm_is_remote(AppVm *vm) { return vm->remote; }
const char *app_vm_get_path(AppVm *vm) { return vm->path; }
const char *app_vm_get_name(AppVm *vm) { return vm->name; }
const char *app_vm_get_folder(AppVm *vm) { return vm->folder; }
AppVmState app_vm_get_state(AppVm *vm) { return vm->state; }
const struct vmx_dict *app_vm_get_dict(AppVm *vm) { return vm->dict; }
gboolean app_vm_is_live(AppVm *vm)
{
    return vm->remote ? vm->state == APP_VM_ON
                      : vm->child || (vm->proxy && vm->state != APP_VM_OFF && vm->state != APP_VM_FAULT);
}

void app_vm_set_folder(AppVm *vm, const char *folder)
{
    g_free(vm->folder);
    vm->folder = g_strdup(folder ? folder : "");
    changed(vm);
}

const char *app_vm_state_name(AppVmState s)
{
    static const char *const names[] = {N_("File not found"),    N_("Powered off"), N_("Starting"),
                                        N_("Running"),           N_("Paused"),      N_("Shutting down"),
                                        N_("Stopped by a fault")};
    return _(names[s]);
}

const char *app_vm_state_icon(AppVmState s)
{
    static const char *const icons[] = {"dialog-warning-symbolic",       "lodge-state-off-symbolic",
                                        "lodge-state-on-symbolic",       "lodge-state-on-symbolic",
                                        "media-playback-pause-symbolic", "lodge-state-on-symbolic",
                                        "dialog-error-symbolic"};
    return icons[s];
}

const char *app_vm_get_icon(AppVm *vm)
{
    if (vm->remote)
        return "network-server-symbolic";
    const AppGuestOs *g = vm->dict ? app_guest_os_find(vmx_get_str(vm->dict, "guestOS")) : NULL;
    return app_guest_family_icon(g ? g->family : GUEST_OTHER);
}

const char *app_vm_get_engine(AppVm *vm)
{
    return vm->proxy && lodge_vm1_get_engine(vm->proxy) ? lodge_vm1_get_engine(vm->proxy) : "";
}
const char *app_vm_get_medium(AppVm *vm, const char *node)
{
    GVariant *media = vm->proxy ? lodge_vm1_get_media(vm->proxy) : NULL;
    const char *file = NULL;
    return app_vm_is_live(vm) && media && g_variant_lookup(media, node, "&s", &file) ? file : NULL;
}
guint app_vm_get_pid(AppVm *vm) { return vm->proxy ? lodge_vm1_get_pid(vm->proxy) : 0; }

char *app_vm_resolve(AppVm *vm, const char *name)
{
    if (g_path_is_absolute(name))
        return g_strdup(name);
    g_autofree char *dir = g_path_get_dirname(vm->path), *unix_name = g_strdelimit(g_strdup(name), "\\", '/');
    return g_build_filename(dir, unix_name, NULL);
}

char *app_vm_get_log_path(AppVm *vm)
{
    const char *said = vm->proxy ? lodge_vm1_get_log_path(vm->proxy) : NULL;
    return said && *said ? g_strdup(said)
                         : app_vm_resolve(vm, vm->dict && *vmx_get_str(vm->dict, "log.fileName")
                                                  ? vmx_get_str(vm->dict, "log.fileName")
                                                  : "vmware.log");
}

static void on_session(AppVm *vm)
{
    if (!vm->remote)
        return;
    LodgeMksState s = lodge_mks_session_get_state(vm->session);
    const char *title = lodge_mks_session_get_title(vm->session), *error = lodge_mks_session_get_error(vm->session);
    /* A desktop's own name says more than the address; the address without its port says less. */
    if (title && *title && !strstr(vm->path, title)) {
        g_free(vm->name);
        vm->name = g_strdup(title);
    }
    vm->state = s == LODGE_MKS_CLOSED || s == LODGE_MKS_OFF ? APP_VM_OFF
                : s == LODGE_MKS_CONNECTING                 ? APP_VM_STARTING
                                                            : APP_VM_ON;
    g_free(vm->problem);
    vm->problem = s == LODGE_MKS_CLOSED && error && *error ? g_strdup(error) : NULL;
    changed(vm);
}

LodgeMksSession *app_vm_get_session(AppVm *vm)
{
    if (!vm->session) {
        if (vm->remote) {
            vm->session = lodge_mks_session_new_vnc(vm->path, NULL);
        } else {
            g_autofree char *address = lodge_vm_address(vm->path);
            vm->session = lodge_mks_session_new_vm(address);
        }
        if (!vm->session)
            return NULL;
        g_signal_connect_swapped(vm->session, "notify::state", G_CALLBACK(on_session), vm);
        g_signal_connect_swapped(vm->session, "notify::title", G_CALLBACK(on_session), vm);
        if (vm->proxy)
            lodge_mks_session_open(vm->session);
    }
    return vm->session;
}

/* ---- object ---- */

static void watch(AppVm *vm)
{
    g_autofree char *dir = lodge_vm_socket_dir();
    g_autoptr(GFile) file = g_file_new_for_path(vm->path), sockets = g_file_new_for_path(dir);
    g_mkdir_with_parents(dir, 0700);
    vm->file_monitor = g_file_monitor_file(file, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);
    vm->socket_monitor = g_file_monitor_directory(sockets, G_FILE_MONITOR_NONE, NULL, NULL);
    if (vm->file_monitor)
        g_signal_connect(vm->file_monitor, "changed", G_CALLBACK(on_file), vm);
    if (vm->socket_monitor)
        g_signal_connect(vm->socket_monitor, "changed", G_CALLBACK(on_socket), vm);
    app_vm_reload(vm);
    thumbnail_load(vm);
    try_connect(vm);
}

static void unwatch(AppVm *vm)
{
    if (vm->file_monitor)
        g_file_monitor_cancel(vm->file_monitor);
    if (vm->socket_monitor)
        g_file_monitor_cancel(vm->socket_monitor);
    g_clear_object(&vm->file_monitor);
    g_clear_object(&vm->socket_monitor);
}

void app_vm_relocate(AppVm *vm, const char *vmx_path)
{
    unwatch(vm);
    g_free(vm->path);
    vm->path = g_strdup(vmx_path);
    app_vm_set_problem(vm, NULL, NULL, NULL);
    watch(vm);
}

AppVm *app_vm_new(const char *vmx_path, const char *folder)
{
    AppVm *vm = g_object_new(APP_TYPE_VM, NULL);
    char *real = realpath(vmx_path, NULL);
    vm->path = real ? g_strdup(real) : g_strdup(vmx_path);
    free(real);
    vm->folder = g_strdup(folder ? folder : "");
    take_dict(vm, NULL);
    watch(vm);
    return vm;
}

AppVm *app_vm_new_remote(const char *target, const char *folder)
{
    AppVm *vm = g_object_new(APP_TYPE_VM, NULL);
    vm->remote = TRUE;
    vm->path = g_strdup(target);
    const char *at = strrchr(target, '@'), *scheme = strstr(target, "://");
    vm->name = g_strdup(at ? at + 1 : scheme ? scheme + 3 : target);
    vm->folder = g_strdup(folder ? folder : "");
    return vm;
}

static void app_vm_init(AppVm *vm)
{
    vm->state = APP_VM_OFF;
    vm->cancel = g_cancellable_new();
}

static void app_vm_dispose(GObject *o)
{
    AppVm *vm = APP_VM(o);
    g_cancellable_cancel(vm->cancel);
    thumbnail_save(vm);
    if (vm->retry)
        g_source_remove(vm->retry);
    if (vm->reload)
        g_source_remove(vm->reload);
    vm->retry = vm->reload = 0;
    unwatch(vm);
    disconnect(vm);
    if (vm->session) {
        g_signal_handlers_disconnect_by_data(vm->session, vm);
        lodge_mks_session_close(vm->session);
    }
    g_clear_object(&vm->session);
    g_clear_object(&vm->thumbnail);
    G_OBJECT_CLASS(app_vm_parent_class)->dispose(o);
}

static void app_vm_finalize(GObject *o)
{
    AppVm *vm = APP_VM(o);
    g_free(vm->path);
    g_free(vm->name);
    g_free(vm->folder);
    g_free(vm->problem);
    g_free(vm->problem_action);
    g_free(vm->problem_label);
    vmx_dict_free(vm->dict);
    g_object_unref(vm->cancel);
    G_OBJECT_CLASS(app_vm_parent_class)->finalize(o);
}

static void app_vm_class_init(AppVmClass *k)
{
    G_OBJECT_CLASS(k)->dispose = app_vm_dispose;
    G_OBJECT_CLASS(k)->finalize = app_vm_finalize;
    signals[CHANGED] = g_signal_new("changed", APP_TYPE_VM, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[THUMBNAIL] = g_signal_new("thumbnail", APP_TYPE_VM, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[STOPPED] =
        g_signal_new("stopped", APP_TYPE_VM, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}
