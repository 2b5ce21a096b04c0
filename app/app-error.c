/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sentences, dialogs and questions. None of them blocks: answers come to a function. */
#include "app-error.h"

#include <glib/gi18n.h>
#include <string.h>

/* A file's name, a key or what stands before a colon keeps its case: only plain words are changed. */
static char *one_sentence(char *s)
{
    const char *end = s;
    while (*end && !g_ascii_isspace(*end))
        end++;
    gsize n = (gsize)(end - s);
    gboolean plain = !memchr(s, '.', n) && !memchr(s, '/', n) && !memchr(s, '_', n) && !memchr(s, ':', n);
    GString *out = g_string_new(NULL);
    g_string_append_unichar(out, plain ? g_unichar_toupper(g_utf8_get_char(s)) : g_utf8_get_char(s));
    g_string_append(out, g_utf8_next_char(s));
    const char *last = g_utf8_find_prev_char(out->str, out->str + out->len);
    if (last && !strchr(".!?:", *last) && strcmp(last, "。"))
        g_string_append_c(out, '.');
    return g_string_free(out, FALSE);
}

char *app_sentence(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    GString *out = g_string_new(NULL);
    for (char **l = lines; *l; l++) {
        if (!*g_strstrip(*l))
            continue;
        g_autofree char *here = app_translate(*l), *s = one_sentence(here);
        if (out->len)
            g_string_append_c(out, '\n');
        g_string_append(out, s);
    }
    return g_string_free(out, FALSE);
}

char *app_error_sentence(const GError *e)
{
    g_autoptr(GError) copy = g_error_copy(e);
    g_dbus_error_strip_remote_error(copy);
    return app_sentence(copy->message);
}

void app_error_dialog(GtkWindow *parent, const char *primary, const char *secondary)
{
    GtkWidget *d = gtk_message_dialog_new(parent, GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT, GTK_MESSAGE_ERROR,
                                          GTK_BUTTONS_CLOSE, "%s", primary);
    if (secondary && *secondary)
        gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(d), "%s", secondary);
    g_signal_connect(d, "response", G_CALLBACK(gtk_widget_destroy), NULL);
    gtk_widget_show(d);
}

struct question {
    AppAnswer done;
    gpointer user_data;
    GtkWidget *check;
};

static void answered(GtkDialog *d, int response, gpointer u)
{
    struct question *q = u;
    gboolean remembered = q->check && gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(q->check));
    gtk_widget_hide(GTK_WIDGET(d));
    q->done(q->user_data, response == GTK_RESPONSE_ACCEPT, remembered && response == GTK_RESPONSE_ACCEPT);
    gtk_widget_destroy(GTK_WIDGET(d));
    g_free(q);
}

void app_ask(GtkWindow *parent, const char *primary, const char *secondary, const char *button, gboolean destructive,
             const char *remember, AppAnswer done, gpointer user_data)
{
    struct question *q = g_new0(struct question, 1);
    GtkWidget *d = gtk_message_dialog_new(parent, GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
                                          GTK_MESSAGE_QUESTION, GTK_BUTTONS_NONE, "%s", primary);
    gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(d), "%s", secondary);
    gtk_dialog_add_button(GTK_DIALOG(d), _("_Cancel"), GTK_RESPONSE_CANCEL);
    GtkWidget *b = gtk_dialog_add_button(GTK_DIALOG(d), button, GTK_RESPONSE_ACCEPT);
    gtk_style_context_add_class(gtk_widget_get_style_context(b),
                                destructive ? GTK_STYLE_CLASS_DESTRUCTIVE_ACTION : GTK_STYLE_CLASS_SUGGESTED_ACTION);
    gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_ACCEPT);
    *q = (struct question){.done = done, .user_data = user_data};
    if (remember) {
        q->check = gtk_check_button_new_with_mnemonic(remember);
        gtk_container_add(GTK_CONTAINER(gtk_message_dialog_get_message_area(GTK_MESSAGE_DIALOG(d))), q->check);
        gtk_widget_show(q->check);
    }
    g_signal_connect(d, "response", G_CALLBACK(answered), q);
    gtk_widget_grab_focus(b); /* not the check box, which stands first */
    gtk_widget_show(d);
}

void app_clear(GtkWidget *container)
{
    g_autoptr(GList) children = gtk_container_get_children(GTK_CONTAINER(container));
    for (GList *l = children; l; l = l->next)
        gtk_widget_destroy(l->data);
}

/* GTK's own goes through every row, of which there may be hundreds. */
static gboolean list_focus(GtkWidget *list, GtkDirectionType d, gpointer u)
{
    GtkListBox *l = GTK_LIST_BOX(list);
    if (d != GTK_DIR_TAB_FORWARD && d != GTK_DIR_TAB_BACKWARD)
        return FALSE;
    if (gtk_container_get_focus_child(GTK_CONTAINER(list))) {
        g_signal_stop_emission_by_name(list, "focus");
        return FALSE;
    }
    g_autoptr(GList) selected = gtk_list_box_get_selected_rows(l);
    GtkListBoxRow *r = selected ? selected->data : NULL;
    for (int i = 0; !r && (r = gtk_list_box_get_row_at_index(l, i)) && !gtk_widget_get_child_visible(GTK_WIDGET(r)); i++)
        r = NULL;
    if (!r || !gtk_widget_get_child_visible(GTK_WIDGET(r)))
        return FALSE;
    gtk_widget_grab_focus(GTK_WIDGET(r));
    return TRUE;
}

void app_list_one_tab(GtkWidget *list_box) { g_signal_connect(list_box, "focus", G_CALLBACK(list_focus), NULL); }

GtkWidget *app_expander_new(const char *mnemonic, GtkWidget *child)
{
    GtkWidget *e = gtk_expander_new_with_mnemonic(mnemonic);
    gtk_container_add(GTK_CONTAINER(e), child);
    gtk_widget_show_all(child);
    gtk_widget_set_no_show_all(child, TRUE);
    g_object_bind_property(e, "expanded", child, "visible", G_BINDING_SYNC_CREATE);
    return e;
}

gboolean app_escape(GtkWidget *window, GdkEventKey *ev, gpointer u)
{
    if (ev->keyval != GDK_KEY_Escape)
        return GDK_EVENT_PROPAGATE;
    gtk_widget_destroy(window);
    return GDK_EVENT_STOP;
}
