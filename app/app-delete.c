/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The question before a machine's files are deleted. Its button that does nothing is the one that Enter presses. */
#include "app-delete.h"

#include <glib/gi18n.h>

#include "app-error.h"
#include "app-hardware.h"
#include "app-vm-files.h"

struct job {
    AppWindow *w;
    AppVm *vm;
    AppVmFiles *files;
};

static void job_free(struct job *j)
{
    g_clear_pointer(&j->files, app_vm_files_free);
    g_object_unref(j->vm);
    g_object_unref(j->w);
    g_free(j);
}

/* In the machine's tab, where the sentence is seen. */
static void tell(struct job *j, const char *what, const GError *e)
{
    g_autofree char *why = app_error_sentence(e), *first = g_strdup_printf(what, app_vm_get_name(j->vm)),
                    *s = g_strdup_printf("%s %s", first, why);
    if (!gtk_widget_in_destruction(GTK_WIDGET(j->w)))
        app_window_open_vm(j->w, j->vm);
    app_vm_set_problem(j->vm, s, NULL, NULL);
}

static void deleted(GObject *o, GAsyncResult *r, gpointer u)
{
    struct job *j = u;
    g_autoptr(GError) e = NULL;
    if (app_vm_files_delete_finish(r, &e)) {
        app_vm_forget_thumbnail(j->vm);
        app_window_close_vm(j->w, j->vm);
        app_library_remove(app_application_get_library(app_application_default()), j->vm);
    } else {
        tell(j, _("“%s” was not deleted completely."), e);
    }
    job_free(j);
}

static void answered(GtkDialog *d, int response, gpointer u)
{
    struct job *j = u;
    gtk_widget_destroy(GTK_WIDGET(d));
    if (response == GTK_RESPONSE_ACCEPT)
        app_vm_files_delete_async(g_steal_pointer(&j->files), deleted, j);
    else
        job_free(j);
}

static GtkWidget *text(const char *s, const char *class)
{
    GtkWidget *l = gtk_label_new(s);
    g_object_set(l, "xalign", 0.0, "wrap", TRUE, "wrap-mode", PANGO_WRAP_WORD_CHAR, "max-width-chars", 60, NULL);
    if (class)
        gtk_style_context_add_class(gtk_widget_get_style_context(l), class);
    return l;
}

/* The rows of those that go (why NULL), or of those that stay. */
static GtkWidget *list_of(const AppVmFiles *f, gboolean stay, const char *name, guint *n)
{
    GtkWidget *list = gtk_list_box_new(), *scroll = gtk_scrolled_window_new(NULL, NULL);
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(list), GTK_SELECTION_NONE);
    atk_object_set_name(gtk_widget_get_accessible(list), name);
    *n = 0;
    for (guint i = 0; i < f->files->len; i++) {
        const AppVmFile *x = f->files->pdata[i];
        if ((x->why != NULL) != stay)
            continue;
        g_autofree char *dir = g_path_get_dirname(x->path), *base = g_path_get_basename(x->path),
                        *size = app_format_bytes((guint64)x->size), *all = NULL;
        const char *shown = g_str_equal(dir, f->dir) ? base : x->path;
        GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 18), *row = gtk_list_box_row_new(),
                  *label = text(shown, NULL);
        GtkWidget *right = text(stay ? x->why : size, GTK_STYLE_CLASS_DIM_LABEL);
        g_object_set(box, "margin-start", 12, "margin-end", 12, "margin-top", 6, "margin-bottom", 6, NULL);
        g_object_set(right, "max-width-chars", 32, NULL);
        gtk_box_pack_start(GTK_BOX(box), label, TRUE, TRUE, 0);
        gtk_box_pack_end(GTK_BOX(box), right, FALSE, FALSE, 0);
        gtk_container_add(GTK_CONTAINER(row), box);
        gtk_list_box_row_set_activatable(GTK_LIST_BOX_ROW(row), FALSE);
        all = g_strdup_printf("%s, %s", shown, stay ? x->why : size);
        atk_object_set_name(gtk_widget_get_accessible(row), all);
        gtk_container_add(GTK_CONTAINER(list), row);
        ++*n;
    }
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_scrolled_window_set_shadow_type(GTK_SCROLLED_WINDOW(scroll), GTK_SHADOW_IN);
    gtk_scrolled_window_set_propagate_natural_height(GTK_SCROLLED_WINDOW(scroll), TRUE);
    gtk_scrolled_window_set_max_content_height(GTK_SCROLLED_WINDOW(scroll), 260);
    gtk_container_add(GTK_CONTAINER(scroll), list);
    return scroll;
}

static void ask(struct job *j)
{
    g_autofree char *title = g_strdup_printf(_("Delete “%s” from disk?"), app_vm_get_name(j->vm));
    GtkWidget *d = gtk_dialog_new_with_buttons(
        title, GTK_WINDOW(j->w), GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
        _("_Cancel"), GTK_RESPONSE_CANCEL, _("_Delete"), GTK_RESPONSE_ACCEPT, NULL);
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 10), *go, *stay;
    guint n_go, n_stay;
    go = list_of(j->files, FALSE, _("Files that are deleted"), &n_go);
    stay = list_of(j->files, TRUE, _("Files that stay"), &n_stay);
    g_autofree char *where =
        g_strdup_printf(ngettext("%u file in %s is deleted for good. It does not go to the trash.",
                                 "%u files in %s are deleted for good. They do not go to the trash.", n_go),
                        n_go, j->files->dir);
    g_object_set(box, "margin", 18, NULL);
    gtk_box_pack_start(GTK_BOX(box), text(where, NULL), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), go, TRUE, TRUE, 0);
    if (n_stay) {
        gtk_box_pack_start(GTK_BOX(box), text(_("The machine uses these files, too. They stay:"), NULL), FALSE, FALSE,
                           0);
        gtk_box_pack_start(GTK_BOX(box), stay, TRUE, TRUE, 0);
    } else {
        g_object_ref_sink(stay);
        g_object_unref(stay);
    }
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(d))), box);
    gtk_window_set_default_size(GTK_WINDOW(d), 560, -1);
    GtkWidget *yes = gtk_dialog_get_widget_for_response(GTK_DIALOG(d), GTK_RESPONSE_ACCEPT),
              *no = gtk_dialog_get_widget_for_response(GTK_DIALOG(d), GTK_RESPONSE_CANCEL);
    gtk_style_context_add_class(gtk_widget_get_style_context(yes), GTK_STYLE_CLASS_DESTRUCTIVE_ACTION);
    gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_CANCEL);
    g_signal_connect(d, "response", G_CALLBACK(answered), j);
    gtk_widget_show_all(d);
    gtk_widget_grab_focus(no);
}

static void listed(GObject *o, GAsyncResult *r, gpointer u)
{
    struct job *j = u;
    g_autoptr(GError) e = NULL;
    j->files = app_vm_files_finish(r, &e);
    if (j->files && !gtk_widget_in_destruction(GTK_WIDGET(j->w))) {
        ask(j);
        return;
    }
    if (!j->files)
        tell(j, _("“%s” cannot be deleted."), e);
    job_free(j);
}

void app_delete_show(AppWindow *w, AppVm *vm)
{
    struct job *j = g_new0(struct job, 1);
    *j = (struct job){.w = g_object_ref(w), .vm = g_object_ref(vm)};
    if (app_vm_is_live(vm)) {
        g_autoptr(GError) e =
            g_error_new(G_IO_ERROR, G_IO_ERROR_BUSY, _("The machine is running. Shut it down or power it off first."));
        tell(j, _("“%s” cannot be deleted."), e);
        job_free(j);
        return;
    }
    GListModel *all = app_library_get_model(app_application_get_library(app_application_default()));
    g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < g_list_model_get_n_items(all); i++) {
        g_autoptr(AppVm) v = g_list_model_get_item(all, i);
        if (v != vm && !app_vm_is_remote(v))
            g_ptr_array_add(others, g_strdup(app_vm_get_path(v)));
    }
    g_ptr_array_add(others, NULL);
    app_vm_files_async(app_vm_get_path(vm), (char **)others->pdata, NULL, listed, j);
}
