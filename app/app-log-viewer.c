/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shows the end of the log and follows it. */
#include "app-log-viewer.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"

enum { LOG_MAX = 4 << 20 };

struct viewer {
    GtkWidget *window, *text, *search, *count;
    GtkTextBuffer *buffer;
    GFile *file;
    GFileMonitor *monitor;
    GCancellable *cancel;
    gboolean reading, again;
};

static void read_log(struct viewer *v);

static void find(struct viewer *v, gboolean back)
{
    const char *text = gtk_entry_get_text(GTK_ENTRY(v->search));
    GtkTextIter at, a, b;
    if (!*text)
        return;
    gtk_text_buffer_get_selection_bounds(v->buffer, &a, &b);
    at = back ? a : b;
    gboolean found = back ? gtk_text_iter_backward_search(&at, text, GTK_TEXT_SEARCH_CASE_INSENSITIVE, &a, &b, NULL)
                          : gtk_text_iter_forward_search(&at, text, GTK_TEXT_SEARCH_CASE_INSENSITIVE, &a, &b, NULL);
    if (!found) {
        back ? gtk_text_buffer_get_end_iter(v->buffer, &at) : gtk_text_buffer_get_start_iter(v->buffer, &at);
        found = back ? gtk_text_iter_backward_search(&at, text, GTK_TEXT_SEARCH_CASE_INSENSITIVE, &a, &b, NULL)
                     : gtk_text_iter_forward_search(&at, text, GTK_TEXT_SEARCH_CASE_INSENSITIVE, &a, &b, NULL);
    }
    gtk_label_set_text(GTK_LABEL(v->count), found ? "" : _("Not found"));
    if (!found)
        return;
    gtk_text_buffer_select_range(v->buffer, &a, &b);
    gtk_text_view_scroll_to_iter(GTK_TEXT_VIEW(v->text), &a, 0.1, FALSE, 0, 0);
}

static void find_next(struct viewer *v) { find(v, FALSE); }
static void find_previous(struct viewer *v) { find(v, TRUE); }

static void show_text(struct viewer *v, const char *text)
{
    GtkTextIter end;
    GtkTextMark *mark = gtk_text_buffer_get_mark(v->buffer, "end");
    gtk_text_buffer_set_text(v->buffer, text, -1);
    gtk_text_buffer_get_end_iter(v->buffer, &end);
    if (mark)
        gtk_text_buffer_move_mark(v->buffer, mark, &end);
    else
        mark = gtk_text_buffer_create_mark(v->buffer, "end", &end, FALSE);
    gtk_text_view_scroll_mark_onscreen(GTK_TEXT_VIEW(v->text), mark);
}

static void log_read(GObject *o, GAsyncResult *r, gpointer u)
{
    struct viewer *v = u;
    g_autofree char *data = NULL;
    gsize len = 0;
    g_autoptr(GError) e = NULL;
    gboolean ok = g_file_load_contents_finish(G_FILE(o), r, &data, &len, NULL, &e);
    if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* the window has gone, v too */
    v->reading = FALSE;
    if (ok) {
        const char *from = len > LOG_MAX ? data + len - LOG_MAX : data;
        g_autofree char *valid = g_utf8_make_valid(from, (gssize)(data + len - from));
        show_text(v, valid);
    } else if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)) {
        show_text(v, _("There is no log yet. It begins when the machine is powered on."));
    } else {
        g_autofree char *why = app_error_sentence(e);
        show_text(v, why);
    }
    if (v->again)
        read_log(v);
}

static void read_log(struct viewer *v)
{
    v->again = v->reading;
    if (v->reading)
        return;
    v->reading = TRUE;
    g_file_load_contents_async(v->file, v->cancel, log_read, v);
}

static void log_changed(GFileMonitor *m, GFile *f, GFile *other, GFileMonitorEvent ev, gpointer u) { read_log(u); }

static void closed(GtkWidget *w, gpointer u)
{
    struct viewer *v = u;
    g_cancellable_cancel(v->cancel);
    if (v->monitor)
        g_file_monitor_cancel(v->monitor);
    g_clear_object(&v->monitor);
    g_object_unref(v->file);
    g_object_unref(v->cancel);
    g_free(v);
}

static gboolean key(GtkWidget *w, GdkEventKey *ev, gpointer u)
{
    if (ev->keyval == GDK_KEY_Escape) {
        gtk_widget_destroy(w);
        return GDK_EVENT_STOP;
    }
    return GDK_EVENT_PROPAGATE;
}

static GtkWidget *icon_button(const char *icon, const char *name)
{
    GtkWidget *b = gtk_button_new_from_icon_name(icon, GTK_ICON_SIZE_BUTTON);
    gtk_widget_set_tooltip_text(b, name);
    atk_object_set_name(gtk_widget_get_accessible(b), name);
    return b;
}

void app_log_viewer_show(GtkWindow *parent, AppVm *vm)
{
    struct viewer *v = g_new0(struct viewer, 1);
    g_autofree char *path = app_vm_get_log_path(vm);
    GtkWidget *bar = gtk_header_bar_new(), *scroll = gtk_scrolled_window_new(NULL, NULL),
              *linked = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
    GtkWidget *prev = icon_button("go-up-symbolic", _("Previous match")),
              *next = icon_button("go-down-symbolic", _("Next match"));
    g_autofree char *title = g_strdup_printf(_("Log of “%s”"), app_vm_get_name(vm));
    v->window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_default_size(GTK_WINDOW(v->window), 900, 560);
    gtk_window_set_transient_for(GTK_WINDOW(v->window), parent);
    gtk_window_set_title(GTK_WINDOW(v->window), title);
    gtk_header_bar_set_title(GTK_HEADER_BAR(bar), title);
    gtk_header_bar_set_subtitle(GTK_HEADER_BAR(bar), path);
    gtk_header_bar_set_show_close_button(GTK_HEADER_BAR(bar), TRUE);
    gtk_window_set_titlebar(GTK_WINDOW(v->window), bar);
    v->search = gtk_search_entry_new();
    atk_object_set_name(gtk_widget_get_accessible(v->search), _("Search the log"));
    v->count = gtk_label_new(NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(linked), "linked");
    gtk_box_pack_start(GTK_BOX(linked), v->search, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(linked), prev, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(linked), next, FALSE, FALSE, 0);
    gtk_header_bar_pack_start(GTK_HEADER_BAR(bar), linked);
    gtk_header_bar_pack_start(GTK_HEADER_BAR(bar), v->count);
    v->text = gtk_text_view_new();
    v->buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(v->text));
    gtk_text_view_set_editable(GTK_TEXT_VIEW(v->text), FALSE);
    gtk_text_view_set_monospace(GTK_TEXT_VIEW(v->text), TRUE);
    gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(v->text), GTK_WRAP_WORD_CHAR);
    g_object_set(v->text, "left-margin", 8, "right-margin", 8, "top-margin", 8, "bottom-margin", 8, NULL);
    atk_object_set_name(gtk_widget_get_accessible(v->text), title);
    gtk_container_add(GTK_CONTAINER(scroll), v->text);
    gtk_container_add(GTK_CONTAINER(v->window), scroll);
    v->cancel = g_cancellable_new();
    v->file = g_file_new_for_path(path);
    v->monitor = g_file_monitor_file(v->file, G_FILE_MONITOR_NONE, NULL, NULL);
    if (v->monitor)
        g_signal_connect(v->monitor, "changed", G_CALLBACK(log_changed), v);
    g_signal_connect_swapped(v->search, "activate", G_CALLBACK(find_next), v);
    g_signal_connect_swapped(next, "clicked", G_CALLBACK(find_next), v);
    g_signal_connect_swapped(prev, "clicked", G_CALLBACK(find_previous), v);
    g_signal_connect(v->window, "key-press-event", G_CALLBACK(key), NULL);
    g_signal_connect(v->window, "destroy", G_CALLBACK(closed), v);
    read_log(v);
    gtk_widget_show_all(v->window);
    gtk_widget_grab_focus(v->search);
}
