/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Closing a tab or the window while machines run: what becomes of them is asked once. */
#include "app-window-private.h"

#include <glib/gi18n.h>

#include "app-error.h"
#include "app-home.h"

struct closing {
    AppWindow *w;
    GtkWidget *page, *check; /* page NULL: the whole window */
};

enum { RESPONSE_BACKGROUND = 1, RESPONSE_OFF };

static void close_now(AppWindow *w, GtkWidget *page, int how)
{
    int n = gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs));
    for (int i = 0; how == RESPONSE_OFF && i < n; i++) {
        AppVmPage *p = window_page_at(w, i);
        if (p && (!page || GTK_WIDGET(p) == page) && !app_vm_is_remote(app_vm_page_get_vm(p)))
            app_vm_power_off(app_vm_page_get_vm(p));
    }
    if (page) {
        window_drop_page(w, page);
    } else {
        app_window_save_state(w);
        gtk_widget_destroy(GTK_WIDGET(w));
    }
}

static void closing_answer(GtkDialog *d, int response, gpointer u)
{
    struct closing *c = u;
    if (response == RESPONSE_BACKGROUND || response == RESPONSE_OFF) {
        if (gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(c->check)))
            g_settings_set_enum(app_prefs(), "closing", response);
        gtk_widget_hide(GTK_WIDGET(d));
        close_now(c->w, c->page, response);
    }
    if (c->page)
        g_object_unref(c->page);
    g_object_unref(c->w);
    gtk_widget_destroy(GTK_WIDGET(d));
    g_free(c);
}

/* TRUE: it was closed, or a question has been asked. */
static void close_with_question(AppWindow *w, GtkWidget *page)
{
    guint running = 0;
    const char *name = NULL;
    for (int i = 0; i < gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs)); i++) {
        AppVmPage *p = window_page_at(w, i);
        if (!p || (page && GTK_WIDGET(p) != page) || app_vm_is_remote(app_vm_page_get_vm(p)) ||
            !app_vm_is_live(app_vm_page_get_vm(p)))
            continue;
        running++;
        name = app_vm_get_name(app_vm_page_get_vm(p));
    }
    int how = g_settings_get_enum(app_prefs(), "closing");
    if (!running || how) {
        close_now(w, page, running ? how : RESPONSE_BACKGROUND);
        return;
    }
    g_autofree char *q =
        running == 1 ? g_strdup_printf(_("“%s” is running"), name)
                     : g_strdup_printf(ngettext("%u machine is running", "%u machines are running", running), running);
    GtkWidget *d = gtk_message_dialog_new(GTK_WINDOW(w), GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
                                          GTK_MESSAGE_QUESTION, GTK_BUTTONS_NONE, "%s", q);
    gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(d), "%s",
                                             _("In the background it runs on, and you find it here again. Powering off "
                                               "loses what the guest has not saved."));
    gtk_dialog_add_button(GTK_DIALOG(d), _("_Cancel"), GTK_RESPONSE_CANCEL);
    GtkWidget *off = gtk_dialog_add_button(GTK_DIALOG(d), _("_Power off"), RESPONSE_OFF);
    gtk_style_context_add_class(gtk_widget_get_style_context(off), GTK_STYLE_CLASS_DESTRUCTIVE_ACTION);
    GtkWidget *run = gtk_dialog_add_button(GTK_DIALOG(d), _("_Run in background"), RESPONSE_BACKGROUND);
    gtk_style_context_add_class(gtk_widget_get_style_context(run), GTK_STYLE_CLASS_SUGGESTED_ACTION);
    gtk_dialog_set_default_response(GTK_DIALOG(d), RESPONSE_BACKGROUND);
    struct closing *c = g_new0(struct closing, 1);
    *c = (struct closing){.w = g_object_ref(w),
                          .page = page ? g_object_ref(page) : NULL,
                          .check = gtk_check_button_new_with_mnemonic(_("_Do not ask again"))};
    gtk_container_add(GTK_CONTAINER(gtk_message_dialog_get_message_area(GTK_MESSAGE_DIALOG(d))), c->check);
    gtk_widget_show(c->check);
    g_signal_connect(d, "response", G_CALLBACK(closing_answer), c);
    gtk_widget_grab_focus(run);
    gtk_widget_show(d);
}

void window_close_page(AppWindow *w, GtkWidget *page)
{
    if (APP_IS_HOME(page))
        return;
    close_with_question(w, page);
}

gboolean window_delete(GtkWidget *widget, GdkEventAny *ev)
{
    close_with_question(APP_WINDOW(widget), NULL);
    return GDK_EVENT_STOP;
}
