/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GApplication: options of VMware's own programs, opening files, notifications, menus and keys. */
#include "app-application.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

#include "app-error.h"
#include "app-home.h"
#include "app-preferences.h"
#include "app-window.h"
#include "config.h"
#include "lodge-resources.h"

struct _AppApplication {
    GtkApplication parent;
    AppLibrary *library;
};
G_DEFINE_TYPE(AppApplication, app_application, GTK_TYPE_APPLICATION)

AppLibrary *app_application_get_library(AppApplication *a) { return a->library; }
AppApplication *app_application_default(void) { return APP_APPLICATION(g_application_get_default()); }

GSettings *app_prefs(void)
{
    static GSettings *prefs;
    if (prefs)
        return prefs;
    /* A program that runs from its build folder has the schema beside it. */
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *dir = self ? g_path_get_dirname(self) : NULL;
    GSettingsSchemaSource *source = g_settings_schema_source_get_default();
    for (const char *up = "gen"; dir; up = strlen(up) < 4 ? "../gen" : "../../gen") {
        g_autofree char *beside = g_build_filename(dir, up, NULL),
                        *file = g_build_filename(beside, "gschemas.compiled", NULL);
        if (g_file_test(file, G_FILE_TEST_EXISTS)) {
            source = g_settings_schema_source_new_from_directory(beside, source, FALSE, NULL);
            break;
        }
        if (strlen(up) > 7)
            break;
    }
    g_autoptr(GSettingsSchema) schema = source ? g_settings_schema_source_lookup(source, APP_ID, TRUE) : NULL;
    if (!schema)
        g_error("The settings schema %s is not installed. Install Lodge again.", APP_ID);
    prefs = g_settings_new_full(schema, NULL, NULL);
    return prefs;
}

char *app_vm_folder(void)
{
    g_autofree char *f = g_settings_get_string(app_prefs(), "vm-folder");
    return *f ? g_steal_pointer(&f) : g_build_filename(g_get_home_dir(), _("Virtual Machines"), NULL);
}

static AppWindow *any_window(AppApplication *a)
{
    for (GList *w = gtk_application_get_windows(GTK_APPLICATION(a)); w; w = w->next)
        if (APP_IS_WINDOW(w->data) && !app_window_is_torn(w->data))
            return w->data;
    return NULL;
}

static AppWindow *main_window(AppApplication *a)
{
    AppWindow *w = any_window(a);
    if (!w) {
        w = app_window_new(a);
        app_window_restore_tabs(w);
    }
    return w;
}

static void app_activate(GApplication *g) { gtk_window_present(GTK_WINDOW(main_window(APP_APPLICATION(g)))); }

/* ---- command line ---- */

enum { FLAG_POWER_ON = 1, FLAG_FULL_SCREEN = 2, FLAG_NEW_WINDOW = 4 };

static void open_one(AppApplication *a, GFile *f, guint flags)
{
    g_autofree char *path = g_file_get_path(f), *uri = g_file_get_uri(f);
    AppWindow *w = (flags & FLAG_NEW_WINDOW) ? app_window_new(a) : main_window(a);
    AppVm *vm = NULL;
    if (flags & FLAG_NEW_WINDOW)
        app_window_set_torn(w, TRUE);
    gtk_window_present(GTK_WINDOW(w));
    if (g_str_has_prefix(uri, "vnc://")) {
        vm = app_library_add_remote(a->library, uri, "");
        flags |= FLAG_POWER_ON;
    } else if (!path) {
        g_autofree char *s =
            g_strdup_printf(_("%s is not a local file. Copy the machine to this computer first."), uri);
        app_error_dialog(GTK_WINDOW(w), _("The machine cannot be opened"), s);
    } else {
        vm = app_window_add_file(w, path);
    }
    if (!vm)
        return;
    app_window_open_vm(w, vm);
    if (flags & FLAG_POWER_ON)
        app_vm_power_on(vm);
    if (flags & FLAG_FULL_SCREEN)
        app_window_full_screen_when_on(w, vm);
}

static int app_command_line(GApplication *g, GApplicationCommandLine *cl)
{
    AppApplication *a = APP_APPLICATION(g);
    GVariantDict *o = g_application_command_line_get_options_dict(cl);
    const char **files = NULL;
    guint flags = (g_variant_dict_contains(o, "power-on") ? FLAG_POWER_ON : 0) |
                  (g_variant_dict_contains(o, "full-screen") ? FLAG_FULL_SCREEN | FLAG_POWER_ON : 0) |
                  (g_variant_dict_contains(o, "new-window") ? FLAG_NEW_WINDOW : 0);
    if (!g_variant_dict_lookup(o, G_OPTION_REMAINING, "^a&ay", &files) || !files || !*files) {
        if ((flags & FLAG_NEW_WINDOW) && any_window(a))
            gtk_window_present(GTK_WINDOW(app_window_new(a)));
        else
            app_activate(g);
        g_free(files);
        return 0;
    }
    for (guint i = 0; files[i]; i++) {
        g_autoptr(GFile) f = strstr(files[i], "://") ? g_file_new_for_uri(files[i])
                                                     : g_application_command_line_create_file_for_arg(cl, files[i]);
        open_one(a, f, flags);
    }
    g_free(files);
    return 0;
}

/* From a file manager: a double click opens and runs. */
static void app_open(GApplication *g, GFile **files, int n, const char *hint)
{
    for (int i = 0; i < n; i++)
        open_one(APP_APPLICATION(g), files[i], strcmp(hint, "open") ? FLAG_POWER_ON : 0);
}

static int app_local_options(GApplication *g, GVariantDict *o)
{
    if (g_variant_dict_contains(o, "version")) {
        g_print("lodge %s\n", PACKAGE_VERSION);
        return 0;
    }
    return -1;
}

/* ---- actions ---- */

static GtkWindow *active(AppApplication *a) { return gtk_application_get_active_window(GTK_APPLICATION(a)); }

static const char *about_comments(void)
{
    return _("Virtual machines on your desktop, without special rights and without hardware virtualization");
}

/* lodge-vmx is asked in the background. */
static void about_engines(gpointer u, const AppEngines *e)
{
    GtkWidget *d = u;
    g_autofree char *gtk = g_strdup_printf("GTK %u.%u.%u", gtk_get_major_version(), gtk_get_minor_version(), gtk_get_micro_version());
    g_autofree char *text =
        e ? g_strdup_printf(_("%s\n\nBinary translation: %s\nHardware virtualization: %s\n\n%s"), about_comments(),
                            e->bt_text ? e->bt_text : _("not available"),
                            e->vt_text ? e->vt_text : _("not available"), gtk)
          : g_strdup_printf("%s\n\n%s", about_comments(), gtk);
    gtk_about_dialog_set_comments(GTK_ABOUT_DIALOG(d), text);
    g_object_unref(d);
}

static void act_about(GSimpleAction *s, GVariant *p, gpointer u)
{
    GtkWidget *d = gtk_about_dialog_new();
    g_object_set(d, "program-name", "Lodge", "version", PACKAGE_VERSION, "logo-icon-name", APP_ID, "comments", about_comments(), "license-type",
                 GTK_LICENSE_GPL_2_0, "website-label", _("Manual: man lodge"), "translator-credits", _("translator-credits"), "transient-for", active(u),
                 "modal", TRUE, "destroy-with-parent", TRUE, NULL);
    g_signal_connect(d, "response", G_CALLBACK(gtk_widget_destroy), NULL);
    app_engines_get(about_engines, g_object_ref(d));
    gtk_window_present(GTK_WINDOW(d));
}

static void act_preferences(GSimpleAction *s, GVariant *p, gpointer u) { app_preferences_show(active(u)); }

static void act_quit(GSimpleAction *s, GVariant *p, gpointer u)
{
    GList *windows = g_list_copy(gtk_application_get_windows(u));
    for (GList *w = windows; w; w = w->next)
        if (APP_IS_WINDOW(w->data))
            app_window_save_state(w->data);
    g_list_free(windows);
    g_application_quit(u);
}

static void act_show_vm(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppApplication *a = u;
    AppVm *vm = app_library_find(a->library, g_variant_get_string(p, NULL));
    AppWindow *w = main_window(a);
    if (vm)
        app_window_open_vm(w, vm);
    gtk_window_present(GTK_WINDOW(w));
}

static void on_stopped(AppLibrary *l, AppVm *vm, const char *sentence, gpointer u)
{
    AppApplication *a = u;
    GtkWindow *w = active(a);
    if (!g_settings_get_boolean(app_prefs(), "notifications") || (w && gtk_window_is_active(w)))
        return;
    g_autoptr(GNotification) n = g_notification_new(app_vm_get_name(vm));
    g_notification_set_body(n, sentence);
    g_notification_set_default_action_and_target(n, "app.show-vm", "s", app_vm_get_path(vm));
    g_application_send_notification(G_APPLICATION(a), app_vm_get_path(vm), n);
}

static const struct {
    const char *action;
    const char *keys[3];
} accels[] = {
    {"win.new-vm", {"<Control>n"}},
    {"win.open", {"<Control>o"}},
    {"win.connect", {"<Control>l"}},
    {"win.vm-power-on", {"<Control>b"}},
    {"win.vm-soft-off", {"<Control>e"}},
    {"win.vm-reset", {"<Control>r"}},
    {"win.vm-settings", {"<Control>d"}},
    {"win.vm-clone", {"<Control><Shift>c"}},
    {"win.vm-delete", {"<Control><Shift>Delete"}},
    {"win.show-sidebar", {"F9"}},
    {"win.find", {"<Control>f"}},
    {"win.close-tab", {"<Control>w"}},
    {"win.next-tab", {"<Control>Page_Down"}},
    {"win.previous-tab", {"<Control>Page_Up"}},
    {"win.home", {"<Alt>Home"}},
    {"win.full-screen", {"F11", "<Control><Alt>Return"}},
    {"win.menu", {"F10"}},
    {"win.show-help-overlay", {"<Control>question", "<Control>F1"}},
    {"app.preferences", {"<Control>comma"}},
    {"app.quit", {"<Control>q"}},
};

static void app_startup(GApplication *g)
{
    AppApplication *a = APP_APPLICATION(g);
    static const GActionEntry actions[] = {
        {"about", act_about},
        {"quit", act_quit},
        {"preferences", act_preferences},
        {"show-vm", act_show_vm, "s"},
    };
    G_APPLICATION_CLASS(app_application_parent_class)->startup(g);
    g_application_set_resource_base_path(g, "/org/lodge/Lodge");
    gtk_window_set_default_icon_name(APP_ID);
    gtk_icon_theme_add_resource_path(gtk_icon_theme_get_default(), "/org/lodge/Lodge/icons");
    a->library = app_library_new(NULL);
    g_signal_connect(a->library, "vm-stopped", G_CALLBACK(on_stopped), a);
    g_action_map_add_action_entries(G_ACTION_MAP(a), actions, G_N_ELEMENTS(actions), a);
    for (guint i = 0; i < G_N_ELEMENTS(accels); i++)
        gtk_application_set_accels_for_action(
            GTK_APPLICATION(a), accels[i].action,
            (const char *const[]){accels[i].keys[0], accels[i].keys[1], accels[i].keys[2], NULL});
    g_autoptr(GtkBuilder) b = gtk_builder_new_from_resource("/org/lodge/Lodge/ui/menus.ui");
    gtk_application_set_menubar(GTK_APPLICATION(a), G_MENU_MODEL(gtk_builder_get_object(b, "menubar")));
    g_autoptr(GtkCssProvider) css = gtk_css_provider_new();
    gtk_css_provider_load_from_resource(css, "/org/lodge/Lodge/ui/lodge.css");
    gtk_style_context_add_provider_for_screen(gdk_screen_get_default(), GTK_STYLE_PROVIDER(css),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
}

static void app_shutdown(GApplication *g)
{
    AppApplication *a = APP_APPLICATION(g);
    if (a->library)
        app_library_save(a->library);
    g_clear_object(&a->library);
    g_settings_sync();
    G_APPLICATION_CLASS(app_application_parent_class)->shutdown(g);
}

static void app_application_init(AppApplication *a)
{
    static const GOptionEntry options[] = {
        {"power-on", 'x', 0, G_OPTION_ARG_NONE, NULL, N_("Power the machine on"), NULL},
        {"full-screen", 'X', 0, G_OPTION_ARG_NONE, NULL, N_("Power the machine on and show it on the full screen"),
         NULL},
        {"new-window", 'n', 0, G_OPTION_ARG_NONE, NULL, N_("Open in a new window"), NULL},
        {"version", 'v', 0, G_OPTION_ARG_NONE, NULL, N_("Show the version"), NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, NULL, NULL, N_("[FILE.vmx | vnc://HOST:PORT]…")},
        {NULL},
    };
    g_application_add_main_option_entries(G_APPLICATION(a), options);
    g_application_set_option_context_summary(G_APPLICATION(a), _("Runs virtual machines from .vmx files in a window."));
}

static void app_application_class_init(AppApplicationClass *k)
{
    GApplicationClass *g = G_APPLICATION_CLASS(k);
    g->activate = app_activate;
    g->command_line = app_command_line;
    g->handle_local_options = app_local_options;
    g->open = app_open;
    g->startup = app_startup;
    g->shutdown = app_shutdown;
}

AppApplication *app_application_new(void)
{
    g_resources_register(lodge_get_resource());
    return g_object_new(APP_TYPE_APPLICATION, "application-id", APP_ID, "flags",
                        G_APPLICATION_HANDLES_OPEN | G_APPLICATION_HANDLES_COMMAND_LINE, NULL);
}
