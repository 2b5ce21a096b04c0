/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How machines come in: opened, dropped, found in a folder; remote consoles. */
#include "app-window-private.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <unistd.h>

#include "app-error.h"
#include "app-new-vm.h"

static AppLibrary *library(void) { return app_application_get_library(app_application_default()); }

static void scanned(gpointer u, int found, int added)
{
    AppWindow *w = u;
    g_autofree char *text = found == APP_SCAN_UNREADABLE
                                ? g_strdup(_("This folder cannot be read. Look at its permissions, or at the drive that holds it."))
                            : found < 0 ? NULL
                            : found == 0
                                ? g_strdup(_("No .vmx file was found in this folder or below it."))
                                : g_strdup_printf(ngettext("%d machine was found, %d of them new.",
                                                           "%d machines were found, %d of them new.", (gulong)found),
                                                  found, added);
    if (text && !gtk_widget_in_destruction(GTK_WIDGET(w))) {
        GtkWidget *d =
            gtk_message_dialog_new(GTK_WINDOW(w), GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
                                   found > 0 ? GTK_MESSAGE_INFO : GTK_MESSAGE_WARNING, GTK_BUTTONS_CLOSE, "%s", text);
        g_signal_connect(d, "response", G_CALLBACK(gtk_widget_destroy), NULL);
        gtk_widget_show(d);
    }
    g_object_unref(w);
}

AppVm *app_window_add_file(AppWindow *w, const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1), *base = g_path_get_basename(path);
    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        app_library_scan(library(), path, NULL, scanned, g_object_ref(w));
        return NULL;
    }
    if (g_str_has_suffix(lower, ".iso") || g_str_has_suffix(lower, ".vmdk")) {
        app_new_vm_show(GTK_WINDOW(w), path);
        return NULL;
    }
    if (app_library_find(library(), path))
        return app_library_find(library(), path); /* also when its file is gone: the tab says so */
    errno = 0;
    if (access(path, F_OK)) {
        g_autofree char *s = errno == EACCES
                                 ? g_strdup_printf(_("You may not read the folder of %s. Look at its permissions."), path)
                                 : g_strdup_printf(_("There is no file %s. Check the name, or the drive that holds it."), path);
        app_error_dialog(GTK_WINDOW(w), _("The machine cannot be opened"), s);
        return NULL;
    }
    if (!g_str_has_suffix(lower, ".vmx")) {
        g_autofree char *s = g_strdup_printf(_("“%s” is not a virtual machine. Open a .vmx file, a folder of machines, "
                                               "a CD image (.iso) or a disk (.vmdk)."),
                                             base);
        app_error_dialog(GTK_WINDOW(w), _("The file cannot be opened"), s);
        return NULL;
    }
    return app_library_add(library(), path, "");
}

static void opened(GtkNativeDialog *d, int response, gpointer u)
{
    AppWindow *w = u;
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autoptr(GSList) files = gtk_file_chooser_get_filenames(GTK_FILE_CHOOSER(d));
        for (GSList *l = files; l; l = l->next) {
            AppVm *vm = app_window_add_file(w, l->data);
            if (vm)
                app_window_open_vm(w, vm);
            g_free(l->data);
        }
    }
    g_object_unref(d);
    g_object_unref(w);
}

void window_choose(AppWindow *w, gboolean folder)
{
    GtkFileChooserNative *d = gtk_file_chooser_native_new(
        folder ? _("Add all machines of a folder") : _("Open a virtual machine"), GTK_WINDOW(w),
        folder ? GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER : GTK_FILE_CHOOSER_ACTION_OPEN, folder ? _("_Add") : _("_Open"),
        NULL);
    g_autofree char *dir = app_vm_folder();
    if (!folder) {
        GtkFileFilter *f = gtk_file_filter_new();
        gtk_file_filter_set_name(f, _("Virtual machines"));
        gtk_file_filter_add_pattern(f, "*.vmx");
        gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(d), f);
        gtk_file_chooser_set_select_multiple(GTK_FILE_CHOOSER(d), TRUE);
    }
    if (g_file_test(dir, G_FILE_TEST_IS_DIR))
        gtk_file_chooser_set_current_folder(GTK_FILE_CHOOSER(d), dir);
    g_signal_connect(d, "response", G_CALLBACK(opened), g_object_ref(w));
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

void window_dropped(GtkWidget *widget, GdkDragContext *c, int x, int y, GtkSelectionData *data, guint info, guint time,
                    gpointer u)
{
    AppWindow *w = APP_WINDOW(widget);
    g_auto(GStrv) uris = gtk_selection_data_get_uris(data);
    for (char **uri = uris; uri && *uri; uri++) {
        g_autofree char *path = g_filename_from_uri(*uri, NULL, NULL);
        AppVm *vm = path ? app_window_add_file(w, path) : NULL;
        if (vm)
            app_window_open_vm(w, vm);
    }
    gtk_drag_finish(c, uris != NULL, FALSE, time);
}

/* ---- remote consoles ---- */

static void connect_answer(GtkDialog *d, int response, gpointer u)
{
    AppWindow *w = u;
    GtkWidget *entry = g_object_get_data(G_OBJECT(d), "entry"), *error = g_object_get_data(G_OBJECT(d), "error");
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autofree char *target = g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(entry))));
        g_autoptr(GError) e = NULL;
        g_autoptr(LodgeMksSession) probe = lodge_mks_session_new_vnc(target, &e);
        if (!probe) {
            g_autofree char *why = app_error_sentence(e);
            gtk_label_set_text(GTK_LABEL(error), why);
            gtk_widget_show(error);
            gtk_widget_grab_focus(entry);
            return;
        }
        app_window_open_vm(w, app_library_add_remote(library(), target, ""));
    }
    gtk_widget_destroy(GTK_WIDGET(d));
}

static void address_edited(GtkEntry *entry, gpointer u)
{
    gtk_dialog_set_response_sensitive(u, GTK_RESPONSE_ACCEPT, *gtk_entry_get_text(entry) != 0);
}

void window_connect(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppWindow *w = u;
    GtkWidget *d =
        gtk_dialog_new_with_buttons(_("Connect to a remote console"), GTK_WINDOW(w),
                                    GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
                                    _("_Cancel"), GTK_RESPONSE_CANCEL, _("C_onnect"), GTK_RESPONSE_ACCEPT, NULL);
    GtkWidget *grid = gtk_grid_new(), *label = gtk_label_new_with_mnemonic(_("_Address:")), *entry = gtk_entry_new(),
              *error = gtk_label_new(NULL);
    GtkWidget *hint = gtk_label_new(_("The screen of another computer that offers VNC. Without a port, 5900 is used."));
    g_object_set(grid, "margin", 18, "row-spacing", 10, "column-spacing", 12, NULL);
    gtk_entry_set_placeholder_text(GTK_ENTRY(entry), _("host, host:port or vnc://host:port"));
    gtk_entry_set_activates_default(GTK_ENTRY(entry), TRUE);
    gtk_entry_set_width_chars(GTK_ENTRY(entry), 36);
    gtk_widget_set_hexpand(entry, TRUE);
    gtk_label_set_mnemonic_widget(GTK_LABEL(label), entry);
    for (GtkWidget *const *x = (GtkWidget *const[]){hint, error, NULL}; *x; x++)
        g_object_set(*x, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 48, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(hint), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_style_context_add_class(gtk_widget_get_style_context(error), "bad-line");
    gtk_grid_attach(GTK_GRID(grid), label, 0, 0, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), entry, 1, 0, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), hint, 1, 1, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), error, 1, 2, 1, 1);
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(d))), grid);
    gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_ACCEPT);
    g_object_set_data(G_OBJECT(d), "entry", entry);
    g_object_set_data(G_OBJECT(d), "error", error);
    gtk_widget_set_no_show_all(error, TRUE);
    g_signal_connect(entry, "changed", G_CALLBACK(address_edited), d);
    address_edited(GTK_ENTRY(entry), d);
    g_signal_connect(d, "response", G_CALLBACK(connect_answer), w);
    gtk_widget_show_all(d);
}
