/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of actions on machines, twice in each window: on the shown tab and on the selection of the library. */
#include "app-actions.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-application.h"
#include "app-clone.h"
#include "app-delete.h"
#include "app-error.h"
#include "app-log-viewer.h"
#include "app-performance.h"
#include "app-settings.h"
#include "app-vm-page.h"

/* An action on one machine; w is where dialogs belong. */
typedef void (*Do)(AppWindow *w, AppVm *vm, GVariant *param);
struct action {
    const char *name, *type;
    Do run;
    gboolean (*possible)(AppVm *vm);
    gboolean one; /* only for a single machine */
};

struct bound {
    AppWindow *window;
    AppTargets targets;
    const struct action *action;
};

/* ---- when ---- */

static gboolean any(AppVm *vm) { return TRUE; }
static gboolean is_local(AppVm *vm) { return !app_vm_is_remote(vm); }
static gboolean has_file(AppVm *vm) { return !app_vm_is_remote(vm) && app_vm_get_state(vm) != APP_VM_MISSING; }
static gboolean has_settings(AppVm *vm) { return has_file(vm) && app_vm_get_dict(vm); }
static gboolean can_start(AppVm *vm)
{
    AppVmState s = app_vm_get_state(vm);
    return (s == APP_VM_OFF || s == APP_VM_FAULT) && (app_vm_is_remote(vm) || app_vm_get_dict(vm));
}
static gboolean is_on(AppVm *vm) { return app_vm_get_state(vm) == APP_VM_ON && !app_vm_is_remote(vm); }
static gboolean is_paused(AppVm *vm) { return app_vm_get_state(vm) == APP_VM_PAUSED; }
static gboolean is_up(AppVm *vm) { return is_on(vm) || is_paused(vm) || app_vm_get_state(vm) == APP_VM_STOPPING; }
static gboolean has_memory(AppVm *vm) { return is_on(vm) || (is_paused(vm) && !app_vm_is_remote(vm)); }
static gboolean has_console(AppVm *vm) { return app_vm_get_state(vm) == APP_VM_ON; }
static gboolean has_picture(AppVm *vm) { return has_console(vm) || is_paused(vm); }
static gboolean is_missing(AppVm *vm) { return app_vm_get_state(vm) == APP_VM_MISSING; }
static gboolean can_remove(AppVm *vm) { return !app_vm_is_live(vm) || app_vm_is_remote(vm); }

/* ---- what ---- */

static void do_open(AppWindow *w, AppVm *vm, GVariant *p) { app_window_open_vm(w, vm); }
static void do_tear(AppWindow *w, AppVm *vm, GVariant *p) { app_window_tear(w, vm); }
static void do_power_on(AppWindow *w, AppVm *vm, GVariant *p) { app_vm_power_on(vm); }
static void do_soft_off(AppWindow *w, AppVm *vm, GVariant *p) { app_vm_soft_off(vm); }
static void do_pause(AppWindow *w, AppVm *vm, GVariant *p) { app_vm_pause(vm); }
static void do_resume(AppWindow *w, AppVm *vm, GVariant *p) { app_vm_resume(vm); }

static void off_answer(gpointer u, gboolean yes, gboolean remember)
{
    g_autoptr(AppVm) vm = u;
    if (remember)
        g_settings_set_boolean(app_prefs(), "confirm-power-off", FALSE);
    if (yes)
        app_vm_power_off(vm);
}

static void do_power_off(AppWindow *w, AppVm *vm, GVariant *p)
{
    g_autofree char *q = g_strdup_printf(_("Power off “%s”?"), app_vm_get_name(vm));
    if (!g_settings_get_boolean(app_prefs(), "confirm-power-off"))
        app_vm_power_off(vm);
    else
        app_ask(GTK_WINDOW(w), q,
                _("It is like pulling the plug: the guest loses what it has not saved. “Shut down the guest” lets it "
                  "end in order."),
                _("Power _off"), TRUE, _("_Do not ask again"), off_answer, g_object_ref(vm));
}

static void reset_answer(gpointer u, gboolean yes, gboolean remember)
{
    g_autoptr(AppVm) vm = u;
    if (remember)
        g_settings_set_boolean(app_prefs(), "confirm-reset", FALSE);
    if (yes)
        app_vm_reset(vm);
}

static void do_reset(AppWindow *w, AppVm *vm, GVariant *p)
{
    g_autofree char *q = g_strdup_printf(_("Reset “%s”?"), app_vm_get_name(vm));
    if (!g_settings_get_boolean(app_prefs(), "confirm-reset"))
        app_vm_reset(vm);
    else
        app_ask(
            GTK_WINDOW(w), q,
            _("It is like pressing the reset button: the guest starts again at once and loses what it has not saved."),
            _("R_eset"), TRUE, _("_Do not ask again"), reset_answer, g_object_ref(vm));
}

static void do_settings(AppWindow *w, AppVm *vm, GVariant *p)
{
    app_settings_show(GTK_WINDOW(w), vm, p ? g_variant_get_string(p, NULL) : NULL);
}
static void do_memory(AppWindow *w, AppVm *vm, GVariant *p)
{
    app_performance_show(GTK_WINDOW(w), app_application_get_library(app_application_default()), vm);
}
static void do_log(AppWindow *w, AppVm *vm, GVariant *p) { app_log_viewer_show(GTK_WINDOW(w), vm); }

static void folder_shown(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    g_autoptr(GError) e = NULL;
    if (!g_app_info_launch_default_for_uri_finish(r, &e)) {
        g_autofree char *why = app_error_sentence(e),
                        *s = g_strdup_printf(_("The folder of “%s” cannot be shown. %s"), app_vm_get_name(vm), why);
        app_vm_set_problem(vm, s, NULL, NULL);
    }
}

static void do_show_folder(AppWindow *w, AppVm *vm, GVariant *p)
{
    g_autofree char *dir = g_path_get_dirname(app_vm_get_path(vm)), *uri = g_filename_to_uri(dir, NULL, NULL);
    g_app_info_launch_default_for_uri_async(uri, NULL, NULL, folder_shown, g_object_ref(vm));
}

static void remove_answer(gpointer u, gboolean yes, gboolean remember)
{
    gpointer *x = u;
    g_autoptr(AppVm) vm = x[1];
    if (yes) {
        app_window_close_vm(x[0], vm);
        app_library_remove(app_application_get_library(app_application_default()), vm);
    }
    g_object_unref(x[0]);
    g_free(x);
}

static void do_remove(AppWindow *w, AppVm *vm, GVariant *p)
{
    g_autofree char *q = g_strdup_printf(_("Remove “%s” from the library?"), app_vm_get_name(vm));
    gpointer *x = g_new(gpointer, 2);
    x[0] = g_object_ref(w);
    x[1] = g_object_ref(vm);
    app_ask(GTK_WINDOW(w), q,
            app_vm_is_remote(vm)
                ? _("The entry is taken off the list.")
                : _("It is only taken off the list: its files stay where they are, and it can be opened again."),
            _("_Remove"), FALSE, NULL, remove_answer, x);
}

static void do_clone(AppWindow *w, AppVm *vm, GVariant *p) { app_clone_show(w, vm); }
static void do_delete(AppWindow *w, AppVm *vm, GVariant *p) { app_delete_show(w, vm); }

static void located(GtkNativeDialog *d, int response, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autofree char *path = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(d));
        if (path) {
            app_vm_relocate(vm, path);
            app_library_save(app_application_get_library(app_application_default()));
        }
    }
    g_object_unref(d);
}

static void do_locate(AppWindow *w, AppVm *vm, GVariant *p)
{
    GtkFileChooserNative *d = gtk_file_chooser_native_new(_("Where is the machine now?"), GTK_WINDOW(w),
                                                          GTK_FILE_CHOOSER_ACTION_OPEN, _("_Open"), NULL);
    GtkFileFilter *f = gtk_file_filter_new();
    gtk_file_filter_set_name(f, _("Virtual machines"));
    gtk_file_filter_add_pattern(f, "*.vmx");
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(d), f);
    g_signal_connect(d, "response", G_CALLBACK(located), g_object_ref(vm));
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

/* ---- a line of text: rename, new folder ---- */

struct line {
    void (*done)(AppVm *vm, const char *text);
    AppVm *vm;
    GtkWidget *entry;
};

static void line_answer(GtkDialog *d, int response, gpointer u)
{
    struct line *l = u;
    g_autofree char *text = g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(l->entry))));
    if (response == GTK_RESPONSE_ACCEPT && *text)
        l->done(l->vm, text);
    g_object_unref(l->vm);
    gtk_widget_destroy(GTK_WIDGET(d));
    g_free(l);
}

static void line_edited(GtkEntry *entry, gpointer dialog)
{
    g_autofree char *text = g_strstrip(g_strdup(gtk_entry_get_text(entry)));
    gtk_dialog_set_response_sensitive(dialog, GTK_RESPONSE_ACCEPT, *text != 0);
}

static void ask_line(AppWindow *w, AppVm *vm, const char *title, const char *label, const char *start,
                     const char *button, void (*done)(AppVm *vm, const char *text))
{
    struct line *l = g_new0(struct line, 1);
    GtkWidget *d = gtk_dialog_new_with_buttons(
        title, GTK_WINDOW(w), GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
        _("_Cancel"), GTK_RESPONSE_CANCEL, button, GTK_RESPONSE_ACCEPT, NULL);
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12), *text = gtk_label_new_with_mnemonic(label),
              *entry = gtk_entry_new();
    *l = (struct line){.done = done, .vm = g_object_ref(vm), .entry = entry};
    g_object_set(box, "margin", 18, NULL);
    gtk_entry_set_text(GTK_ENTRY(entry), start);
    gtk_entry_set_activates_default(GTK_ENTRY(entry), TRUE);
    gtk_entry_set_width_chars(GTK_ENTRY(entry), 32);
    gtk_label_set_mnemonic_widget(GTK_LABEL(text), entry);
    gtk_box_pack_start(GTK_BOX(box), text, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), entry, TRUE, TRUE, 0);
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(d))), box);
    gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_ACCEPT);
    g_signal_connect(entry, "changed", G_CALLBACK(line_edited), d);
    line_edited(GTK_ENTRY(entry), d);
    g_signal_connect(d, "response", G_CALLBACK(line_answer), l);
    gtk_widget_show_all(d);
}

static void saved(gpointer u, const GError *e)
{
    g_autoptr(AppVm) vm = u;
    if (e) {
        g_autofree char *s = app_error_sentence(e);
        app_vm_set_problem(vm, s, NULL, NULL);
    }
}

static void renamed(AppVm *vm, const char *text)
{
    GPtrArray *pairs = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(pairs, g_strdup("displayName"));
    g_ptr_array_add(pairs, g_strdup(text));
    app_vm_set_keys(vm, pairs, saved, g_object_ref(vm));
}

static void do_rename(AppWindow *w, AppVm *vm, GVariant *p)
{
    ask_line(w, vm, _("Rename"), _("_Name:"), app_vm_get_name(vm), _("_Rename"), renamed);
}

static void move_to(AppVm *vm, const char *folder)
{
    AppLibrary *l = app_application_get_library(app_application_default());
    if (*folder)
        app_library_add_folder(l, folder);
    app_vm_set_folder(vm, folder);
    g_signal_emit_by_name(l, "changed");
    app_library_save(l);
}

static void do_move(AppWindow *w, AppVm *vm, GVariant *p) { move_to(vm, g_variant_get_string(p, NULL)); }
static void do_move_new(AppWindow *w, AppVm *vm, GVariant *p)
{
    ask_line(w, vm, _("New folder"), _("_Name:"), "", _("C_reate"), move_to);
}

/* ---- console ---- */

static void do_send_keys(AppWindow *w, AppVm *vm, GVariant *p)
{
    g_auto(GStrv) names = g_strsplit(g_variant_get_string(p, NULL), " ", -1);
    LodgeMksSession *s = app_vm_get_session(vm);
    if (s)
        lodge_mks_session_press_keys(s, (const char *const *)names);
}

static void typed(GObject *s, GAsyncResult *r, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    g_autoptr(GError) e = NULL;
    if (!lodge_mks_session_type_text_finish(LODGE_MKS_SESSION(s), r, &e)) {
        g_autofree char *why = app_error_sentence(e), *text = g_strdup_printf(_("The text was not typed. %s"), why);
        app_vm_refused(vm, text);
    }
}

static void got_clipboard(GtkClipboard *c, const char *text, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    g_autofree char *layout = g_settings_get_string(app_prefs(), "guest-keyboard");
    LodgeMksSession *s = app_vm_get_session(vm);
    if (!text || !*text)
        app_vm_refused(vm, _("The clipboard holds no text to type."));
    else if (s)
        lodge_mks_session_type_text_async(s, text, *layout ? layout : NULL, NULL, typed, g_object_ref(vm));
}

static void do_type_clipboard(AppWindow *w, AppVm *vm, GVariant *p)
{
    gtk_clipboard_request_text(gtk_clipboard_get(GDK_SELECTION_CLIPBOARD), got_clipboard, g_object_ref(vm));
}

static void screenshot_saved(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    g_autoptr(GError) e = NULL;
    if (!gdk_pixbuf_save_to_stream_finish(r, &e)) {
        g_autofree char *why = app_error_sentence(e),
                        *s = g_strdup_printf(_("The screenshot could not be saved. %s"), why);
        app_vm_set_problem(vm, s, NULL, NULL);
    }
}

static void screenshot_open(GObject *o, GAsyncResult *r, gpointer u)
{
    AppVm *vm = u;
    g_autoptr(GError) e = NULL;
    g_autoptr(GFileOutputStream) out = g_file_replace_finish(G_FILE(o), r, &e);
    GdkPixbuf *shot = g_object_get_data(o, "shot");
    if (!out) {
        g_autofree char *why = app_error_sentence(e),
                        *s = g_strdup_printf(_("The screenshot could not be saved. %s"), why);
        app_vm_set_problem(vm, s, NULL, NULL);
        g_object_unref(vm);
        return;
    }
    gdk_pixbuf_save_to_stream_async(shot, G_OUTPUT_STREAM(out), "png", NULL, screenshot_saved, vm, NULL);
}

static void screenshot_named(GtkNativeDialog *d, int response, gpointer u)
{
    g_autoptr(AppVm) vm = u;
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autoptr(GFile) f = gtk_file_chooser_get_file(GTK_FILE_CHOOSER(d));
        g_object_set_data_full(G_OBJECT(f), "shot", g_object_ref(g_object_get_data(G_OBJECT(d), "shot")),
                               g_object_unref);
        g_file_replace_async(f, NULL, FALSE, G_FILE_CREATE_NONE, G_PRIORITY_DEFAULT, NULL, screenshot_open,
                             g_object_ref(vm));
    }
    g_object_unref(d);
}

static void do_screenshot(AppWindow *w, AppVm *vm, GVariant *p)
{
    LodgeMksSession *s = app_vm_get_session(vm);
    GdkPixbuf *shot = s ? lodge_mks_session_screenshot(s) : NULL;
    if (!shot) {
        app_vm_set_problem(vm, _("There is no picture to save: the guest shows nothing at the moment."), NULL, NULL);
        return;
    }
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *when = g_date_time_format(now, "%Y-%m-%d %H-%M-%S"),
                    *name = g_strdup_printf("%s %s.png", app_vm_get_name(vm), when);
    g_strdelimit(name, "/", '-');
    GtkFileChooserNative *d = gtk_file_chooser_native_new(_("Save the screenshot"), GTK_WINDOW(w),
                                                          GTK_FILE_CHOOSER_ACTION_SAVE, _("_Save"), NULL);
    gtk_file_chooser_set_current_name(GTK_FILE_CHOOSER(d), name);
    gtk_file_chooser_set_do_overwrite_confirmation(GTK_FILE_CHOOSER(d), TRUE);
    const char *pictures = g_get_user_special_dir(G_USER_DIRECTORY_PICTURES);
    if (pictures)
        gtk_file_chooser_set_current_folder(GTK_FILE_CHOOSER(d), pictures);
    g_object_set_data_full(G_OBJECT(d), "shot", shot, g_object_unref);
    g_signal_connect(d, "response", G_CALLBACK(screenshot_named), g_object_ref(vm));
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

/* ---- the table ---- */

static const struct action table[] = {
    {"vm-open", NULL, do_open, any, FALSE},
    {"vm-open-window", NULL, do_tear, any, TRUE},
    {"vm-power-on", NULL, do_power_on, can_start, FALSE},
    {"vm-soft-off", NULL, do_soft_off, is_on, FALSE},
    {"vm-power-off", NULL, do_power_off, is_up, FALSE},
    {"vm-reset", NULL, do_reset, is_up, FALSE},
    {"vm-pause", NULL, do_pause, is_on, FALSE},
    {"vm-resume", NULL, do_resume, is_paused, FALSE},
    {"vm-settings", NULL, do_settings, has_settings, TRUE},
    {"vm-settings-page", "s", do_settings, has_settings, TRUE},
    {"vm-log", NULL, do_log, has_file, TRUE},
    {"vm-memory", NULL, do_memory, has_memory, TRUE},
    {"vm-show-folder", NULL, do_show_folder, is_local, TRUE},
    {"vm-rename", NULL, do_rename, has_settings, TRUE},
    {"vm-move", "s", do_move, any, FALSE},
    {"vm-move-new", NULL, do_move_new, any, TRUE},
    {"vm-locate", NULL, do_locate, is_missing, TRUE},
    {"vm-remove", NULL, do_remove, can_remove, TRUE},
    {"vm-clone", NULL, do_clone, has_settings, TRUE},
    {"vm-delete", NULL, do_delete, has_file, TRUE},
    {"vm-send-keys", "s", do_send_keys, has_console, FALSE},
    {"vm-type-clipboard", NULL, do_type_clipboard, has_console, TRUE},
    {"vm-screenshot", NULL, do_screenshot, has_picture, TRUE},
};

static void activated(GSimpleAction *s, GVariant *param, gpointer u)
{
    struct bound *b = u;
    g_autoptr(GPtrArray) vms = b->targets(b->window);
    for (guint i = 0; i < vms->len; i++)
        if (b->action->possible(vms->pdata[i]))
            b->action->run(b->window, vms->pdata[i], param);
}

void app_actions_add(AppWindow *w, GActionMap *map, AppTargets targets)
{
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GSimpleAction) s =
            g_simple_action_new(table[i].name, table[i].type ? G_VARIANT_TYPE(table[i].type) : NULL);
        struct bound *b = g_new0(struct bound, 1);
        *b = (struct bound){.window = w, .targets = targets, .action = &table[i]};
        g_signal_connect_data(s, "activate", G_CALLBACK(activated), b, (GClosureNotify)(void (*)(void))g_free, 0);
        g_action_map_add_action(map, G_ACTION(s));
    }
}

void app_actions_update(AppWindow *w, GActionMap *map, AppTargets targets)
{
    g_autoptr(GPtrArray) vms = targets(w);
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        gboolean possible = FALSE;
        for (guint k = 0; k < vms->len && !possible; k++)
            possible = table[i].possible(vms->pdata[k]);
        g_simple_action_set_enabled(G_SIMPLE_ACTION(g_action_map_lookup_action(map, table[i].name)),
                                    possible && (!table[i].one || vms->len == 1));
    }
}
