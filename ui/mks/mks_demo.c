/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mks-demo: a window with one console in it, for trying the widget. Not installed.
 *   mks-demo [--scaling=stretch|actual|fit-guest] [--shot=FILE --after=SECONDS] ADDRESS
 * ADDRESS: what "lodge-vmx --address FILE.vmx" prints, or a VNC server.
 */
#include <glib-unix.h>
#include <string.h>

#include "ui/mks/mks_fullscreen.h"

static char *scaling = "stretch", *shot, *size = "1100x720", *type_text, *layout;
static double after = 3;
static GtkWidget *window, *view, *full;
static LodgeMksSession *session;

static gboolean take_shot(gpointer u)
{
    GdkWindow *w = gtk_widget_get_window(full ? full : window);
    GdkPixbuf *pb = gdk_pixbuf_get_from_window(w, 0, 0, gdk_window_get_width(w), gdk_window_get_height(w));
    (void)u;
    if (!pb || !gdk_pixbuf_save(pb, shot, "png", NULL, NULL))
        g_printerr("mks-demo: %s cannot be written\n", shot);
    g_clear_object(&pb);
    gtk_main_quit();
    return G_SOURCE_REMOVE;
}

static void leave(GtkWidget *f, gpointer u)
{
    (void)u;
    gtk_widget_destroy(f);
    full = NULL;
}

static gboolean hotkey(LodgeMksView *v, LodgeMksHotkey which, gpointer u)
{
    (void)u;
    if (which != LODGE_MKS_HOTKEY_FULLSCREEN)
        return FALSE;
    full = lodge_mks_fullscreen_new(session, v);
    g_signal_connect(full, "leave", G_CALLBACK(leave), NULL);
    gtk_widget_show(full);
    return TRUE;
}

static void on_hint(GObject *o, GParamSpec *spec, gpointer label)
{
    (void)spec;
    gtk_label_set_text(label, lodge_mks_view_get_hint(LODGE_MKS_VIEW(o)));
}

static void typed(GObject *o, GAsyncResult *r, gpointer u)
{
    GError *e = NULL;
    (void)u;
    if (!lodge_mks_session_type_text_finish(LODGE_MKS_SESSION(o), r, &e))
        g_printerr("mks-demo: %s\n", e->message);
    g_clear_error(&e);
}

static void on_state(LodgeMksSession *s, GParamSpec *spec, gpointer u)
{
    GEnumClass *k = g_type_class_ref(lodge_mks_state_get_type());
    (void)spec, (void)u;
    g_print("%s %s\n", g_enum_get_value(k, (gint)lodge_mks_session_get_state(s))->value_nick, lodge_mks_session_get_error(s));
    if (type_text && lodge_mks_session_get_state(s) == LODGE_MKS_RUNNING) {
        lodge_mks_session_type_text_async(s, type_text, layout, NULL, typed, NULL);
        type_text = NULL;
    }
    g_type_class_unref(k);
}

static void credentials(LodgeMksSession *s, gboolean user, gboolean password, gpointer u)
{
    GtkWidget *d = gtk_dialog_new_with_buttons("Login", GTK_WINDOW(window), GTK_DIALOG_MODAL, "_Cancel", GTK_RESPONSE_CANCEL, "_Log in", GTK_RESPONSE_OK, NULL);
    GtkWidget *box = gtk_dialog_get_content_area(GTK_DIALOG(d)), *name = gtk_entry_new(), *pass = gtk_entry_new();
    (void)u;
    if (user)
        gtk_container_add(GTK_CONTAINER(box), name);
    if (password)
        gtk_container_add(GTK_CONTAINER(box), pass);
    gtk_entry_set_visibility(GTK_ENTRY(pass), FALSE);
    gtk_widget_show_all(d);
    gboolean good = gtk_dialog_run(GTK_DIALOG(d)) == GTK_RESPONSE_OK;
    lodge_mks_session_give_credentials(s, good ? gtk_entry_get_text(GTK_ENTRY(name)) : NULL, good ? gtk_entry_get_text(GTK_ENTRY(pass)) : NULL);
    gtk_widget_destroy(d);
}

int main(int argc, char **argv)
{
    const GOptionEntry options[] = {
        {"scaling", 0, 0, G_OPTION_ARG_STRING, &scaling, "stretch, actual or fit-guest", "HOW"},
        {"size", 0, 0, G_OPTION_ARG_STRING, &size, "of the window", "WxH"},
        {"shot", 0, 0, G_OPTION_ARG_FILENAME, &shot, "save a picture of the window and end", "FILE"},
        {"after", 0, 0, G_OPTION_ARG_DOUBLE, &after, "when to take it", "SECONDS"},
        {"type", 0, 0, G_OPTION_ARG_STRING, &type_text, "type this as soon as the guest runs", "TEXT"},
        {"layout", 0, 0, G_OPTION_ARG_STRING, &layout, "keyboard layout of the guest", "XKB"},
        {NULL},
    };
    GError *e = NULL;
    int w = 1100, h = 720;
    if (!gtk_init_with_args(&argc, &argv, "ADDRESS", options, NULL, &e) || argc != 2) {
        g_printerr("mks-demo: %s\n", e ? e->message : "one address is wanted");
        return 2;
    }
    session = g_str_has_prefix(argv[1], "unix:") ? lodge_mks_session_new_vm(argv[1]) : lodge_mks_session_new_vnc(argv[1], &e);
    if (!session) {
        g_printerr("mks-demo: %s\n", e->message);
        return 2;
    }
    GEnumClass *k = g_type_class_ref(lodge_mks_scaling_get_type());
    GEnumValue *how = g_enum_get_value_by_nick(k, scaling);
    sscanf(size, "%dx%d", &w, &h);
    window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_default_size(GTK_WINDOW(window), w, h);
    view = lodge_mks_view_new(session);
    if (how)
        lodge_mks_view_set_scaling(LODGE_MKS_VIEW(view), (LodgeMksScaling)how->value);
    GtkWidget *sw = gtk_scrolled_window_new(NULL, NULL), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0), *hint = gtk_label_new("");
    gtk_container_add(GTK_CONTAINER(sw), view);
    gtk_box_pack_start(GTK_BOX(box), sw, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(box), hint, FALSE, FALSE, 2);
    gtk_container_add(GTK_CONTAINER(window), box);
    g_signal_connect(view, "hotkey", G_CALLBACK(hotkey), NULL);
    g_signal_connect(view, "notify::hint", G_CALLBACK(on_hint), hint);
    g_signal_connect(window, "destroy", G_CALLBACK(gtk_main_quit), NULL);
    g_signal_connect(session, "notify::state", G_CALLBACK(on_state), NULL);
    g_signal_connect(session, "credentials-needed", G_CALLBACK(credentials), NULL);
    g_object_bind_property(session, "title", window, "title", G_BINDING_SYNC_CREATE);
    gtk_widget_show_all(window);
    gtk_widget_grab_focus(view);
    lodge_mks_session_open(session);
    if (shot)
        g_timeout_add((guint)(after * 1000), take_shot, NULL);
    gtk_main();
    g_object_unref(session);
    g_type_class_unref(k);
    return 0;
}
