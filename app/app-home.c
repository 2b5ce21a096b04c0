/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Home tab, and what lodge-vmx says about the engines of this computer (asked once, in the background). */
#include "app-home.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"
#include "app-application.h"
#include "app-process.h"
#include "app-window.h"

struct _AppHome {
    GtkBox parent;
    GtkWidget *create, *recent, *recent_title, *vt, *bt, *vt_icon, *bt_icon;
};
G_DEFINE_TYPE(AppHome, app_home, GTK_TYPE_BOX)

/* ---- engines ---- */

static AppEngines engines;
static enum { UNASKED, ASKED, KNOWN } engines_state;
static GSList *waiting; /* pairs */

static void answer_all(void)
{
    engines_state = KNOWN;
    for (GSList *l = waiting; l; l = l->next) {
        gpointer *p = l->data;
        ((void (*)(gpointer, const AppEngines *))p[0])(p[1], engines.bt_text || engines.vt_text ? &engines : NULL);
        g_free(p);
    }
    g_slist_free(waiting);
    waiting = NULL;
}

/* "software   Binary translation (BT): ready" */
static void engines_said(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autofree char *out = NULL;
    if (g_subprocess_communicate_utf8_finish(G_SUBPROCESS(o), r, &out, NULL, NULL) && out) {
        g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
        for (char **l = lines; *l; l++) {
            char *colon = strstr(*l, ": ");
            if (!colon)
                continue;
            gboolean ready = g_str_has_prefix(colon + 2, "ready");
            if (g_str_has_prefix(*l, "software")) {
                engines.bt = ready;
                engines.bt_text = app_translate(colon + 2);
            } else if (g_str_has_prefix(*l, "hardware")) {
                engines.vt = ready;
                engines.vt_text = app_translate(colon + 2);
            }
        }
    }
    answer_all();
}

void app_engines_get(void (*cb)(gpointer u, const AppEngines *e), gpointer u)
{
    if (engines_state == KNOWN) {
        cb(u, engines.bt_text || engines.vt_text ? &engines : NULL);
        return;
    }
    gpointer *p = g_new(gpointer, 2);
    p[0] = (gpointer)cb;
    p[1] = u;
    waiting = g_slist_append(waiting, p);
    if (engines_state == ASKED)
        return;
    engines_state = ASKED;
    g_autofree char *program = app_process_find_tool("lodge-vmx");
    g_autoptr(GSubprocess) s =
        program ? g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE, NULL, program, "--engines", NULL) : NULL;
    if (s)
        g_subprocess_communicate_utf8_async(s, NULL, NULL, engines_said, NULL);
    else
        answer_all();
}

/* ---- page ---- */

static void show_engines(gpointer u, const AppEngines *e)
{
    AppHome *h = u;
    if (e) {
        g_autofree char *vt =
            e->vt ? g_strdup(_("Hardware virtualization: ready."))
                  : g_strdup_printf(_("Hardware virtualization: not available (%s)."), e->vt_text ? e->vt_text : "");
        gtk_label_set_text(GTK_LABEL(h->vt), vt);
        gtk_label_set_text(GTK_LABEL(h->bt),
                           e->bt ? _("Binary translation: ready. It runs any guest without special rights.")
                                 : _("Binary translation: not available."));
        gtk_image_set_from_icon_name(GTK_IMAGE(h->vt_icon),
                                     e->vt ? "emblem-ok-symbolic" : "dialog-information-symbolic", GTK_ICON_SIZE_MENU);
        gtk_image_set_from_icon_name(GTK_IMAGE(h->bt_icon), e->bt ? "emblem-ok-symbolic" : "dialog-warning-symbolic",
                                     GTK_ICON_SIZE_MENU);
    } else {
        gtk_label_set_text(GTK_LABEL(h->bt),
                           _("The program lodge-vmx is missing: machines cannot run. Install Lodge again."));
        gtk_image_set_from_icon_name(GTK_IMAGE(h->bt_icon), "dialog-error-symbolic", GTK_ICON_SIZE_MENU);
        gtk_widget_hide(h->vt);
        gtk_widget_hide(h->vt_icon);
    }
    g_object_unref(h);
}

static void recent_name(AppVm *vm, GtkWidget *b)
{
    gtk_label_set_text(g_object_get_data(G_OBJECT(b), "label"), app_vm_get_name(vm));
    gtk_image_set_from_icon_name(g_object_get_data(G_OBJECT(b), "icon"), app_vm_get_icon(vm), GTK_ICON_SIZE_MENU);
    atk_object_set_name(gtk_widget_get_accessible(b), app_vm_get_name(vm));
}

static void recent_clicked(GtkButton *b, gpointer u)
{
    GtkWidget *w = gtk_widget_get_toplevel(GTK_WIDGET(b));
    app_window_open_vm(APP_WINDOW(w), g_object_get_data(G_OBJECT(b), "vm"));
}

static void update_recent(AppHome *h)
{
    GListModel *m = app_library_get_model(app_application_get_library(app_application_default()));
    guint n = g_list_model_get_n_items(m), shown = 0;
    app_clear(h->recent);
    for (guint i = n; i-- > 0 && shown < 5;) {
        g_autoptr(AppVm) vm = g_list_model_get_item(m, i);
        if (app_vm_get_state(vm) == APP_VM_MISSING)
            continue;
        GtkWidget *b = gtk_button_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8),
                  *label = gtk_label_new(NULL);
        GtkWidget *icon = gtk_image_new();
        gtk_box_pack_start(GTK_BOX(box), icon, FALSE, FALSE, 0);
        g_object_set(label, "ellipsize", PANGO_ELLIPSIZE_END, "xalign", 0.0, NULL);
        gtk_box_pack_start(GTK_BOX(box), label, TRUE, TRUE, 0);
        gtk_container_add(GTK_CONTAINER(b), box);
        gtk_button_set_relief(GTK_BUTTON(b), GTK_RELIEF_NONE);
        g_object_set_data(G_OBJECT(b), "label", label);
        g_object_set_data(G_OBJECT(b), "icon", icon);
        g_signal_connect_object(vm, "changed", G_CALLBACK(recent_name), b, 0);
        recent_name(vm, b);
        g_object_set_data_full(G_OBJECT(b), "vm", g_object_ref(vm), g_object_unref);
        g_signal_connect(b, "clicked", G_CALLBACK(recent_clicked), h);
        gtk_container_add(GTK_CONTAINER(h->recent), b);
        gtk_widget_show_all(b);
        shown++;
    }
    gtk_widget_set_visible(h->recent_title, shown > 0);
}

static void app_home_map(GtkWidget *w)
{
    update_recent(APP_HOME(w));
    GTK_WIDGET_CLASS(app_home_parent_class)->map(w);
}

void app_home_focus(AppHome *h) { gtk_widget_grab_focus(h->create); }

GtkWidget *app_home_new(void) { return g_object_new(APP_TYPE_HOME, NULL); }

static void app_home_init(AppHome *h)
{
    gtk_widget_init_template(GTK_WIDGET(h));
    g_signal_connect_object(app_application_get_library(app_application_default()), "changed",
                            G_CALLBACK(update_recent), h, G_CONNECT_SWAPPED);
    app_engines_get(show_engines, g_object_ref(h));
}

static void app_home_class_init(AppHomeClass *k)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(k);
    w->map = app_home_map;
    gtk_widget_class_set_template_from_resource(w, "/org/lodge/Lodge/ui/app-home.ui");
    gtk_widget_class_bind_template_child(w, AppHome, create);
    gtk_widget_class_bind_template_child(w, AppHome, recent);
    gtk_widget_class_bind_template_child(w, AppHome, recent_title);
    gtk_widget_class_bind_template_child(w, AppHome, vt);
    gtk_widget_class_bind_template_child(w, AppHome, bt);
    gtk_widget_class_bind_template_child(w, AppHome, vt_icon);
    gtk_widget_class_bind_template_child(w, AppHome, bt_icon);
}
