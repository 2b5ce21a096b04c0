/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Editor of the file's text. What is wrong stands below, line by line; a click goes there. */
#include "app-settings-raw.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

#include "app-error.h"

enum { CHECK_MS = 300 };

struct raw {
    AppEdit *e;
    GtkTextBuffer *buffer;
    GtkWidget *view, *problems, *below, *summary;
    char *before, *charset;
    guint timer;
    gboolean differs;
    void (*changed)(gpointer u, gboolean differs);
    gpointer u;
};

static char *text_of(struct raw *r)
{
    GtkTextIter a, b;
    gtk_text_buffer_get_bounds(r->buffer, &a, &b);
    return gtk_text_buffer_get_text(r->buffer, &a, &b, FALSE);
}

static void problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    struct raw *r = u;
    static const char *const icons[] = {"dialog-error-symbolic", "dialog-warning-symbolic",
                                        "dialog-information-symbolic"};
    if (s == VMX_NOTE)
        return; /* the settings that nothing acts on: the pages show them */
    GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8), *l;
    g_autofree char *sentence = app_sentence(text);
    g_autofree char *full = line ? g_strdup_printf(_("Line %u: %s"), line, sentence) : g_strdup(sentence);
    l = gtk_label_new(full);
    g_object_set(l, "xalign", 0.0, "wrap", TRUE, NULL);
    g_object_set(box, "margin", 4, NULL);
    gtk_box_pack_start(GTK_BOX(box), gtk_image_new_from_icon_name(icons[s], GTK_ICON_SIZE_MENU), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), l, TRUE, TRUE, 0);
    gtk_container_add(GTK_CONTAINER(row), box);
    g_object_set_data(G_OBJECT(row), "line", GUINT_TO_POINTER(line));
    atk_object_set_name(gtk_widget_get_accessible(row), full);
    gtk_container_add(GTK_CONTAINER(r->problems), row);
    gtk_widget_show_all(row);
}

static void check(struct raw *r)
{
    g_autofree char *text = text_of(r);
    struct err e = {0};
    gboolean differs = strcmp(text, r->before) != 0;
    app_clear(r->problems);
    struct vmx_dict *d = vmx_dict_parse(text, strlen(text), &e);
    if (!d) {
        problem(r, VMX_ERROR, 0, "", e.msg);
    } else {
        vmx_check(d, problem, r);
        vmx_dict_free(d);
    }
    gboolean any = gtk_list_box_get_row_at_index(GTK_LIST_BOX(r->problems), 0) != NULL;
    gtk_label_set_text(GTK_LABEL(r->summary), any ? _("What to look at:") : _("The file is correct."));
    gtk_widget_set_visible(r->below, any);
    if (differs != r->differs) {
        r->differs = differs;
        r->changed(r->u, differs);
    }
}

static gboolean check_now(gpointer u)
{
    struct raw *r = u;
    r->timer = 0;
    check(r);
    return G_SOURCE_REMOVE;
}

static void edited(struct raw *r)
{
    if (r->timer)
        g_source_remove(r->timer);
    r->timer = g_timeout_add(CHECK_MS, check_now, r);
}

static void go_to(struct raw *r, guint line)
{
    GtkTextIter it, end;
    if (!line)
        return;
    gtk_text_buffer_get_iter_at_line(r->buffer, &it, (int)line - 1);
    end = it;
    gtk_text_iter_forward_to_line_end(&end);
    gtk_text_buffer_select_range(r->buffer, &it, &end);
    gtk_text_view_scroll_to_iter(GTK_TEXT_VIEW(r->view), &it, 0.1, FALSE, 0, 0);
    gtk_widget_grab_focus(r->view);
}

static void go_to_line(GtkListBox *l, GtkListBoxRow *row, gpointer u)
{
    go_to(u, GPOINTER_TO_UINT(g_object_get_data(G_OBJECT(row), "line")));
}

void app_settings_raw_go_to(GtkWidget *page, guint line) { go_to(g_object_get_data(G_OBJECT(page), "raw"), line); }

static void raw_free(gpointer p)
{
    struct raw *r = p;
    if (r->timer)
        g_source_remove(r->timer);
    g_free(r->before);
    g_free(r->charset);
    g_free(r);
}

GtkWidget *app_settings_raw_new(AppEdit *e, void (*changed)(gpointer u, gboolean differs), gpointer u)
{
    struct raw *r = g_new0(struct raw, 1);
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 8), *scroll = gtk_scrolled_window_new(NULL, NULL);
    size_t len;
    char *bytes = vmx_dict_format(e->dict, &len);
    gboolean live = app_vm_is_live(e->vm);
    r->e = e;
    r->changed = changed;
    r->u = u;
    r->charset = g_strdup(vmx_dict_charset(e->dict));
    r->before = g_utf8_validate(bytes, (gssize)len, NULL)
                    ? g_strndup(bytes, len)
                    : g_convert(bytes, (gssize)len, "UTF-8", r->charset, NULL, NULL, NULL);
    free(bytes);
    r->view = gtk_text_view_new();
    r->buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(r->view));
    gtk_text_view_set_monospace(GTK_TEXT_VIEW(r->view), TRUE);
    gtk_text_view_set_accepts_tab(GTK_TEXT_VIEW(r->view), FALSE);
    g_object_set(r->view, "left-margin", 8, "right-margin", 8, "top-margin", 8, "bottom-margin", 8, NULL);
    atk_object_set_name(gtk_widget_get_accessible(r->view), _("Text of the .vmx file"));
    gtk_text_view_set_editable(GTK_TEXT_VIEW(r->view), !live && r->before);
    if (!r->before)
        r->before = g_strdup("");
    gtk_text_buffer_set_text(r->buffer, r->before, -1);
    gtk_scrolled_window_set_shadow_type(GTK_SCROLLED_WINDOW(scroll), GTK_SHADOW_IN);
    r->below = gtk_scrolled_window_new(NULL, NULL);
    gtk_scrolled_window_set_shadow_type(GTK_SCROLLED_WINDOW(r->below), GTK_SHADOW_IN);
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(r->below), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_widget_set_size_request(r->below, -1, 90);
    gtk_widget_set_no_show_all(r->below, TRUE);
    g_object_set(box, "margin", 18, NULL);
    r->problems = gtk_list_box_new();
    app_list_one_tab(r->problems);
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(r->problems), GTK_SELECTION_NONE);
    atk_object_set_name(gtk_widget_get_accessible(r->problems), _("Problems of the file"));
    r->summary = gtk_label_new(NULL);
    g_object_set(r->summary, "xalign", 0.0, NULL);
    if (live) {
        GtkWidget *l = gtk_label_new(
            _("The machine is running and writes into this file itself: the text can be changed when it is off."));
        g_object_set(l, "xalign", 0.0, "wrap", TRUE, NULL);
        gtk_box_pack_start(GTK_BOX(box), l, FALSE, FALSE, 0);
    }
    gtk_container_add(GTK_CONTAINER(scroll), r->view);
    gtk_container_add(GTK_CONTAINER(r->below), r->problems);
    gtk_widget_show(r->problems);
    gtk_box_pack_start(GTK_BOX(box), scroll, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(box), r->summary, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), r->below, FALSE, FALSE, 0);
    g_object_set_data_full(G_OBJECT(box), "raw", r, raw_free);
    g_signal_connect_swapped(r->buffer, "changed", G_CALLBACK(edited), r);
    g_signal_connect(r->problems, "row-activated", G_CALLBACK(go_to_line), r);
    gtk_widget_show_all(box);
    check(r);
    return box;
}

char *app_settings_raw_text(GtkWidget *page)
{
    struct raw *r = g_object_get_data(G_OBJECT(page), "raw");
    char *text = text_of(r);
    if (strcmp(text, r->before))
        return text;
    g_free(text);
    return NULL;
}

struct saving {
    void (*done)(gpointer u, const GError *e);
    gpointer u;
    char *bytes;
};

static void saved(GObject *o, GAsyncResult *res, gpointer u)
{
    struct saving *s = u;
    g_autoptr(GError) e = NULL;
    g_file_replace_contents_finish(G_FILE(o), res, NULL, &e);
    s->done(s->u, e);
    g_free(s->bytes);
    g_free(s);
}

void app_settings_raw_save(GtkWidget *page, void (*done)(gpointer u, const GError *e), gpointer u)
{
    struct raw *r = g_object_get_data(G_OBJECT(page), "raw");
    g_autofree char *text = text_of(r);
    g_autoptr(GError) e = NULL;
    g_autoptr(GFile) f = g_file_new_for_path(app_vm_get_path(r->e->vm));
    struct saving *s = g_new0(struct saving, 1);
    gsize len = strlen(text);
    *s = (struct saving){.done = done, .u = u};
    s->bytes = g_ascii_strcasecmp(r->charset, "UTF-8") ? g_convert(text, -1, r->charset, "UTF-8", NULL, &len, &e)
                                                       : g_strdup(text);
    if (!s->bytes) {
        g_autoptr(GError) why = g_error_new(G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                                            _("The file is in %s, which cannot hold all of this text."), r->charset);
        done(u, why);
        g_free(s);
        return;
    }
    g_file_replace_contents_async(f, s->bytes, len, NULL, FALSE, G_FILE_CREATE_NONE, NULL, saved, s);
}
