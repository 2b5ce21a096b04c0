/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks for name and place of a clone; stays while it is made, and closes when it is done. */
#include "app-clone.h"

#include <glib/gi18n.h>

#include "app-error.h"
#include "app-vm-claims.h"
#include "app-vm-cloner.h"
#include "app-vm-maker.h"

enum { POLL_MS = 150 };

struct dialog {
    AppWindow *w;
    AppVm *vm;
    GtkWidget *d, *name, *place, *browse, *note, *bar;
    GCancellable *making; /* while it is made */
    AppVmCloneProgress progress;
    guint poll;
};

static const char *text_of(GtkWidget *entry) { return gtk_entry_get_text(GTK_ENTRY(entry)); }

static void check(struct dialog *x)
{
    gboolean warning;
    g_autofree char *problem = app_vm_spec_problem(text_of(x->name), text_of(x->place), 0, FALSE, &warning);
    gtk_label_set_text(GTK_LABEL(x->note), problem ? problem : "");
    gtk_dialog_set_response_sensitive(GTK_DIALOG(x->d), GTK_RESPONSE_ACCEPT, !problem);
}

static void edit(struct dialog *x, gboolean can)
{
    gtk_widget_set_sensitive(x->name, can);
    gtk_widget_set_sensitive(x->place, can);
    gtk_widget_set_sensitive(x->browse, can);
    gtk_widget_set_visible(x->bar, !can);
    gtk_dialog_set_response_sensitive(GTK_DIALOG(x->d), GTK_RESPONSE_ACCEPT, can);
}

static gboolean poll(gpointer u)
{
    struct dialog *x = u;
    gint disks = g_atomic_int_get(&x->progress.disks);
    if (!disks) {
        gtk_progress_bar_pulse(GTK_PROGRESS_BAR(x->bar));
        return G_SOURCE_CONTINUE;
    }
    gint percent = g_atomic_int_get(&x->progress.percent);
    g_autofree char *text =
        g_strdup_printf(_("Disk %d of %d: %d %%"), g_atomic_int_get(&x->progress.disk), disks, percent);
    gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(x->bar), percent / 100.0);
    gtk_progress_bar_set_text(GTK_PROGRESS_BAR(x->bar), text);
    return G_SOURCE_CONTINUE;
}

static void dialog_free(struct dialog *x)
{
    if (x->poll)
        g_source_remove(x->poll);
    g_clear_object(&x->making);
    g_object_unref(x->vm);
    g_object_unref(x->w);
    g_free(x);
}

static void cloned(GObject *o, GAsyncResult *r, gpointer u)
{
    struct dialog *x = u;
    g_autoptr(GError) e = NULL;
    g_autofree char *path = app_vm_clone_finish(r, &e);
    g_clear_object(&x->making);
    if (x->poll)
        g_source_remove(x->poll);
    x->poll = 0;
    if (path) {
        AppVm *vm =
            app_library_add(app_application_get_library(app_application_default()), path, app_vm_get_folder(x->vm));
        if (!gtk_widget_in_destruction(GTK_WIDGET(x->w)))
            app_window_open_vm(x->w, vm);
    } else if (x->d) {
        g_autofree char *why = app_error_sentence(e),
                        *s = g_strdup_printf(_("The machine was not cloned. %s Nothing is left behind."), why);
        edit(x, TRUE);
        gtk_label_set_text(GTK_LABEL(x->note), s);
        gtk_widget_grab_focus(x->name);
        return;
    }
    if (x->d)
        gtk_widget_destroy(x->d); /* frees x */
    else
        dialog_free(x);
}

/* What the machines of the library claim; most of them are off, so that trying says nothing. */
static GHashTable *taken_by_others(void)
{
    GHashTable *taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GListModel *m = app_library_get_model(app_application_get_library(app_application_default()));
    for (guint i = 0; i < g_list_model_get_n_items(m); i++) {
        g_autoptr(AppVm) vm = g_list_model_get_item(m, i);
        if (!app_vm_is_remote(vm) && app_vm_get_dict(vm))
            app_vm_claims_add(taken, app_vm_get_dict(vm), app_vm_get_path(vm));
    }
    return taken;
}

static void start(struct dialog *x)
{
    g_autoptr(GHashTable) taken = taken_by_others();
    g_autofree char *base = app_vm_spec_file_name(text_of(x->name)),
                    *dir = g_build_filename(text_of(x->place), base, NULL),
                    *name = g_strstrip(g_strdup(text_of(x->name)));
    x->progress = (AppVmCloneProgress){0};
    x->making = g_cancellable_new();
    gtk_label_set_text(GTK_LABEL(x->note), "");
    gtk_progress_bar_set_text(GTK_PROGRESS_BAR(x->bar), _("Copying…"));
    edit(x, FALSE);
    x->poll = g_timeout_add(POLL_MS, poll, x);
    app_vm_clone_async(app_vm_get_path(x->vm), name, dir, taken, &x->progress, x->making, cloned, x);
}

static void answered(GtkDialog *d, int response, gpointer u)
{
    if (response == GTK_RESPONSE_ACCEPT)
        start(u);
    else
        gtk_widget_destroy(GTK_WIDGET(d));
}

static void destroyed(GtkWidget *d, gpointer u)
{
    struct dialog *x = u;
    x->d = NULL;
    if (x->poll)
        g_source_remove(x->poll);
    x->poll = 0;
    if (x->making)
        g_cancellable_cancel(x->making); /* cloned() frees x */
    else
        dialog_free(x);
}

static void chosen(GtkNativeDialog *d, int response, gpointer u)
{
    g_autofree char *dir = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(d)) : NULL;
    if (dir)
        gtk_entry_set_text(GTK_ENTRY(u), dir);
    g_object_unref(d);
}

static void browse(GtkButton *b, gpointer u)
{
    struct dialog *x = u;
    GtkFileChooserNative *d = gtk_file_chooser_native_new(_("Where the machine's folder is made"), GTK_WINDOW(x->d),
                                                          GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Choose"), NULL);
    if (g_file_test(text_of(x->place), G_FILE_TEST_IS_DIR))
        gtk_file_chooser_set_current_folder(GTK_FILE_CHOOSER(d), text_of(x->place));
    g_signal_connect_object(d, "response", G_CALLBACK(chosen), x->place, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

static GtkWidget *entry(GtkWidget *grid, int y, const char *label, const char *text, GtkWidget *beside)
{
    GtkWidget *l = gtk_label_new_with_mnemonic(label), *e = gtk_entry_new();
    g_object_set(l, "xalign", 1.0, NULL);
    g_object_set(e, "text", text, "activates-default", TRUE, "hexpand", TRUE, "width-chars", 36, NULL);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l), e);
    gtk_grid_attach(GTK_GRID(grid), l, 0, y, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), e, 1, y, beside ? 1 : 2, 1);
    if (beside)
        gtk_grid_attach(GTK_GRID(grid), beside, 2, y, 1, 1);
    return e;
}

/* A name that is free beside the original. */
static char *free_name(const char *name, const char *dir)
{
    for (guint i = 1;; i++) {
        char *s = i == 1 ? g_strdup_printf(_("Clone of %s"), name) : g_strdup_printf(_("Clone %u of %s"), i, name);
        g_autofree char *base = app_vm_spec_file_name(s), *path = g_build_filename(dir, base, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS) || i > 999)
            return s;
        g_free(s);
    }
}

void app_clone_show(AppWindow *w, AppVm *vm)
{
    if (app_vm_is_live(vm)) {
        g_autofree char *s = g_strdup_printf(_("“%s” cannot be cloned. %s"), app_vm_get_name(vm),
                                             _("The machine is running. Shut it down or power it off first."));
        app_window_open_vm(w, vm);
        app_vm_set_problem(vm, s, NULL, NULL);
        return;
    }
    struct dialog *x = g_new0(struct dialog, 1);
    g_autofree char *title = g_strdup_printf(_("Clone “%s”"), app_vm_get_name(vm)),
                    *own = g_path_get_dirname(app_vm_get_path(vm)), *place = g_path_get_dirname(own),
                    *name = free_name(app_vm_get_name(vm), place);
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12), *grid = gtk_grid_new(),
              *what = gtk_label_new(_(
                  "A full copy of its own: all disks are copied, and it gets a new identity, new network addresses and free ports. "
                  "A folder with its name is made in this place."));
    *x = (struct dialog){.w = g_object_ref(w), .vm = g_object_ref(vm)};
    x->d = gtk_dialog_new_with_buttons(title, GTK_WINDOW(w),
                                       GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
                                       _("_Cancel"), GTK_RESPONSE_CANCEL, _("C_lone"), GTK_RESPONSE_ACCEPT, NULL);
    x->browse = gtk_button_new_with_mnemonic(_("_Browse…"));
    x->name = entry(grid, 0, _("_Name:"), name, NULL);
    x->place = entry(grid, 1, _("_Place:"), place, x->browse);
    x->note = gtk_label_new(NULL);
    x->bar = gtk_progress_bar_new();
    g_object_set(grid, "row-spacing", 10, "column-spacing", 12, NULL);
    g_object_set(box, "margin", 18, NULL);
    g_object_set(what, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 60, NULL);
    g_object_set(x->note, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 60, NULL);
    g_object_set(x->bar, "show-text", TRUE, "no-show-all", TRUE, NULL);
    atk_object_set_name(gtk_widget_get_accessible(x->bar), _("Progress of the copy"));
    gtk_style_context_add_class(gtk_widget_get_style_context(what), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_style_context_add_class(gtk_widget_get_style_context(x->note), "bad-line");
    for (GtkWidget *const *c = (GtkWidget *const[]){what, grid, x->bar, x->note, NULL}; *c; c++)
        gtk_box_pack_start(GTK_BOX(box), *c, FALSE, FALSE, 0);
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(x->d))), box);
    gtk_style_context_add_class(
        gtk_widget_get_style_context(gtk_dialog_get_widget_for_response(GTK_DIALOG(x->d), GTK_RESPONSE_ACCEPT)),
        GTK_STYLE_CLASS_SUGGESTED_ACTION);
    gtk_dialog_set_default_response(GTK_DIALOG(x->d), GTK_RESPONSE_ACCEPT);
    g_signal_connect_swapped(x->name, "changed", G_CALLBACK(check), x);
    g_signal_connect_swapped(x->place, "changed", G_CALLBACK(check), x);
    g_signal_connect(x->browse, "clicked", G_CALLBACK(browse), x);
    g_signal_connect(x->d, "response", G_CALLBACK(answered), x);
    g_signal_connect(x->d, "destroy", G_CALLBACK(destroyed), x);
    gtk_widget_show_all(x->d);
    check(x);
    gtk_widget_grab_focus(x->name);
}
