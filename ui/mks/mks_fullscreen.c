/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Full screen: nothing but the guest, and a bar that slides down when the pointer rests at the top edge. The bar is a child of an overlay, so it
 * never takes room from the guest. It stays while it is pinned, while the pointer is on it, or while it has the keyboard focus.
 */
#include "ui/mks/mks_fullscreen.h"

#include <glib/gi18n-lib.h>

#include "ui/mks/mks_view_private.h"

enum { SHOW_MS = 200, HIDE_MS = 700 };
enum { SIG_LEAVE, SIG_SWITCH, N_SIGNALS };
static guint signals[N_SIGNALS];

struct _LodgeMksFullscreen {
    GtkWindow parent;
    LodgeMksView *view;
    GtkWidget *revealer, *bar, *title, *extra, *pin, *scrolled;
    guint timer;
    gboolean inside; /* the pointer is on the bar */
    int monitor_x, monitor_y;
    gboolean have_monitor;
};
G_DEFINE_TYPE(LodgeMksFullscreen, lodge_mks_fullscreen, GTK_TYPE_WINDOW)

/* ---- the bar ---- */

static gboolean pinned(LodgeMksFullscreen *f) { return gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(f->pin)); }

static void set_timer(LodgeMksFullscreen *f, guint ms, GSourceFunc fn)
{
    if (f->timer)
        g_source_remove(f->timer);
    f->timer = ms ? g_timeout_add(ms, fn, f) : 0;
}

static gboolean show_bar(gpointer u)
{
    LodgeMksFullscreen *f = u;
    f->timer = 0;
    gtk_widget_show(f->revealer);
    gtk_revealer_set_reveal_child(GTK_REVEALER(f->revealer), TRUE);
    return G_SOURCE_REMOVE;
}

static gboolean hide_bar(gpointer u)
{
    LodgeMksFullscreen *f = u;
    GtkWidget *focus = gtk_window_get_focus(GTK_WINDOW(f));
    f->timer = 0;
    if (!pinned(f) && !f->inside && !(focus && gtk_widget_is_ancestor(focus, f->bar)))
        gtk_revealer_set_reveal_child(GTK_REVEALER(f->revealer), FALSE);
    return G_SOURCE_REMOVE;
}

/* Out of the way altogether: even without a height its window would keep the pointer from the view's edge. */
static void bar_moved(GtkRevealer *r, GParamSpec *spec, gpointer u)
{
    (void)spec, (void)u;
    if (!gtk_revealer_get_child_revealed(r) && !gtk_revealer_get_reveal_child(r))
        gtk_widget_hide(GTK_WIDGET(r));
}

static gboolean bar_shown(LodgeMksFullscreen *f) { return gtk_revealer_get_reveal_child(GTK_REVEALER(f->revealer)); }

static void at_top(LodgeMksView *v, gboolean top, LodgeMksFullscreen *f)
{
    (void)v;
    if (top && !bar_shown(f))
        set_timer(f, SHOW_MS, show_bar);
    else if (!top && !bar_shown(f))
        set_timer(f, 0, NULL);
    else if (!top)
        set_timer(f, HIDE_MS, hide_bar);
}

static gboolean crossed(GtkWidget *w, GdkEventCrossing *ev, LodgeMksFullscreen *f)
{
    (void)w;
    if (ev->detail == GDK_NOTIFY_INFERIOR) /* onto one of its buttons */
        return FALSE;
    f->inside = ev->type == GDK_ENTER_NOTIFY;
    set_timer(f, f->inside ? 0 : HIDE_MS, hide_bar);
    return FALSE;
}

static void pin_toggled(GtkToggleButton *b, LodgeMksFullscreen *f)
{
    (void)b;
    set_timer(f, pinned(f) ? 1 : HIDE_MS, pinned(f) ? show_bar : hide_bar);
}

/* The keyboard can reach the bar: when the user takes the keys back (Ctrl+Alt), it comes down, and goes when the guest has them again. */
static void focus_set(GtkWindow *w, GtkWidget *focus, LodgeMksFullscreen *f)
{
    (void)w;
    if (focus != GTK_WIDGET(f->view))
        set_timer(f, 1, show_bar);
    else
        set_timer(f, HIDE_MS, hide_bar);
}

/* ---- what its buttons do ---- */

static void leave_clicked(GtkButton *b, LodgeMksFullscreen *f) { (void)b, g_signal_emit(f, signals[SIG_LEAVE], 0); }
static void minimise_clicked(GtkButton *b, LodgeMksFullscreen *f) { (void)b, gtk_window_iconify(GTK_WINDOW(f)); }
static void previous_clicked(GtkButton *b, LodgeMksFullscreen *f) { (void)b, g_signal_emit(f, signals[SIG_SWITCH], 0, -1); }
static void next_clicked(GtkButton *b, LodgeMksFullscreen *f) { (void)b, g_signal_emit(f, signals[SIG_SWITCH], 0, 1); }

static gboolean hotkey(LodgeMksView *v, LodgeMksHotkey which, LodgeMksFullscreen *f)
{
    (void)v;
    if (which == LODGE_MKS_HOTKEY_FULLSCREEN)
        g_signal_emit(f, signals[SIG_LEAVE], 0);
    else if (which == LODGE_MKS_HOTKEY_PREVIOUS || which == LODGE_MKS_HOTKEY_NEXT)
        g_signal_emit(f, signals[SIG_SWITCH], 0, which == LODGE_MKS_HOTKEY_NEXT ? 1 : -1);
    else
        return FALSE;
    return TRUE;
}

static gboolean delete_event(GtkWidget *w, GdkEventAny *ev)
{
    (void)ev;
    g_signal_emit(w, signals[SIG_LEAVE], 0);
    return TRUE;
}

static void title_changed(LodgeMksSession *s, GParamSpec *spec, LodgeMksFullscreen *f)
{
    const char *t = lodge_mks_session_get_title(s);
    (void)spec;
    gtk_label_set_text(GTK_LABEL(f->title), t);
    gtk_window_set_title(GTK_WINDOW(f), t);
}

static GtkWidget *button(LodgeMksFullscreen *f, GtkWidget *b, const char *icon, const char *name, GCallback fn)
{
    gtk_button_set_image(GTK_BUTTON(b), gtk_image_new_from_icon_name(icon, GTK_ICON_SIZE_MENU));
    gtk_button_set_relief(GTK_BUTTON(b), GTK_RELIEF_NONE);
    gtk_widget_set_tooltip_text(b, name);
    atk_object_set_name(gtk_widget_get_accessible(b), name);
    g_signal_connect(b, GTK_IS_TOGGLE_BUTTON(b) ? "toggled" : "clicked", fn, f);
    return b;
}

static void build_bar(LodgeMksFullscreen *f)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 4), *events = gtk_event_box_new();
    f->pin = button(f, gtk_toggle_button_new(), "view-pin-symbolic", _("Keep this bar"), G_CALLBACK(pin_toggled));
    f->title = gtk_label_new("");
    f->extra = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 4);
    gtk_label_set_ellipsize(GTK_LABEL(f->title), PANGO_ELLIPSIZE_END);
    gtk_label_set_width_chars(GTK_LABEL(f->title), 20);
    gtk_label_set_max_width_chars(GTK_LABEL(f->title), 40);
    gtk_box_pack_start(GTK_BOX(box), f->pin, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), button(f, gtk_button_new(), "go-previous-symbolic", _("Previous machine"), G_CALLBACK(previous_clicked)), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), f->title, TRUE, TRUE, 6);
    gtk_box_pack_start(GTK_BOX(box), button(f, gtk_button_new(), "go-next-symbolic", _("Next machine"), G_CALLBACK(next_clicked)), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), f->extra, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), button(f, gtk_button_new(), "window-minimize-symbolic", _("Minimise"), G_CALLBACK(minimise_clicked)), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), button(f, gtk_button_new(), "view-restore-symbolic", _("Leave full screen"), G_CALLBACK(leave_clicked)), FALSE, FALSE, 0);
    gtk_container_set_border_width(GTK_CONTAINER(box), 2);
    gtk_container_add(GTK_CONTAINER(events), box);
    gtk_style_context_add_class(gtk_widget_get_style_context(events), "background");
    gtk_style_context_add_class(gtk_widget_get_style_context(events), "osd");
    gtk_widget_add_events(events, GDK_ENTER_NOTIFY_MASK | GDK_LEAVE_NOTIFY_MASK);
    g_signal_connect(events, "enter-notify-event", G_CALLBACK(crossed), f);
    g_signal_connect(events, "leave-notify-event", G_CALLBACK(crossed), f);
    f->bar = events;
    f->revealer = gtk_revealer_new();
    gtk_revealer_set_transition_type(GTK_REVEALER(f->revealer), GTK_REVEALER_TRANSITION_TYPE_SLIDE_DOWN);
    gtk_container_add(GTK_CONTAINER(f->revealer), events);
    gtk_widget_set_halign(f->revealer, GTK_ALIGN_CENTER);
    gtk_widget_set_valign(f->revealer, GTK_ALIGN_START);
    g_signal_connect(f->revealer, "notify::child-revealed", G_CALLBACK(bar_moved), NULL);
}

/* ---- window ---- */

static void realize(GtkWidget *w)
{
    LodgeMksFullscreen *f = LODGE_MKS_FULLSCREEN(w);
    GTK_WIDGET_CLASS(lodge_mks_fullscreen_parent_class)->realize(w);
    GdkDisplay *d = gtk_widget_get_display(w);
    GdkMonitor *m = f->have_monitor ? gdk_display_get_monitor_at_point(d, f->monitor_x, f->monitor_y) : NULL;
    for (int i = 0; m && i < gdk_display_get_n_monitors(d); i++)
        if (gdk_display_get_monitor(d, i) == m) {
            gtk_window_fullscreen_on_monitor(GTK_WINDOW(f), gtk_widget_get_screen(w), i);
            return;
        }
    gtk_window_fullscreen(GTK_WINDOW(f));
}

static void dispose(GObject *o)
{
    LodgeMksFullscreen *f = LODGE_MKS_FULLSCREEN(o);
    LodgeMksSession *s = f->view ? lodge_mks_view_get_session(f->view) : NULL;
    set_timer(f, 0, NULL);
    if (s)
        g_signal_handlers_disconnect_by_data(s, f);
    if (f->view)
        g_signal_handlers_disconnect_by_data(f->view, f);
    g_signal_handlers_disconnect_by_data(f, f);
    f->view = NULL;
    G_OBJECT_CLASS(lodge_mks_fullscreen_parent_class)->dispose(o);
}

static void lodge_mks_fullscreen_class_init(LodgeMksFullscreenClass *k)
{
    G_OBJECT_CLASS(k)->dispose = dispose;
    GTK_WIDGET_CLASS(k)->realize = realize;
    GTK_WIDGET_CLASS(k)->delete_event = delete_event;
    GType t = G_TYPE_FROM_CLASS(k);
    signals[SIG_LEAVE] = g_signal_new("leave", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIG_SWITCH] = g_signal_new("switch", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_INT);
}

static void lodge_mks_fullscreen_init(LodgeMksFullscreen *f)
{
    GtkWidget *overlay = gtk_overlay_new();
    f->view = LODGE_MKS_VIEW(lodge_mks_view_new(NULL));
    f->scrolled = gtk_scrolled_window_new(NULL, NULL);
    gtk_container_add(GTK_CONTAINER(f->scrolled), GTK_WIDGET(f->view));
    gtk_container_add(GTK_CONTAINER(overlay), f->scrolled);
    build_bar(f);
    gtk_overlay_add_overlay(GTK_OVERLAY(overlay), f->revealer);
    gtk_container_add(GTK_CONTAINER(f), overlay);
    gtk_widget_show_all(overlay);
    gtk_widget_hide(f->revealer);
    g_signal_connect(f->view, "pointer-at-top", G_CALLBACK(at_top), f);
    g_signal_connect(f->view, "hotkey", G_CALLBACK(hotkey), f);
    g_signal_connect(f, "set-focus", G_CALLBACK(focus_set), f);
    gtk_widget_grab_focus(GTK_WIDGET(f->view));
}

void lodge_mks_fullscreen_set_session(LodgeMksFullscreen *f, LodgeMksSession *session)
{
    LodgeMksSession *old = lodge_mks_view_get_session(f->view);
    if (old)
        g_signal_handlers_disconnect_by_data(old, f);
    lodge_mks_view_set_session(f->view, session);
    if (!session)
        return;
    g_signal_connect(session, "notify::title", G_CALLBACK(title_changed), f);
    title_changed(session, NULL, f);
}

GtkWidget *lodge_mks_fullscreen_new(LodgeMksSession *session, LodgeMksView *like)
{
    LodgeMksFullscreen *f = g_object_new(LODGE_TYPE_MKS_FULLSCREEN, NULL);
    if (like) {
        GdkWindow *w = gtk_widget_get_window(GTK_WIDGET(like));
        LodgeMksFilter filter;
        gboolean read_only, keys;
        g_object_get(like, "filter", &filter, "read-only", &read_only, "grab-keyboard", &keys, NULL);
        g_object_set(f->view, "filter", filter, "read-only", read_only, "grab-keyboard", keys, NULL);
        lodge_mks_view_set_scaling(f->view, lodge_mks_view_get_scaling(like));
        for (int i = 0; i < LODGE_MKS_HOTKEYS; i++)
            lodge_mks_view_set_hotkey(f->view, (LodgeMksHotkey)i, "");
        for (int i = 0; i < LODGE_MKS_HOTKEYS; i++)
            lodge_mks_view_set_hotkey(f->view, (LodgeMksHotkey)i, lodge_mks_view_get_hotkey(like, (LodgeMksHotkey)i));
        if (w) {
            gdk_window_get_origin(w, &f->monitor_x, &f->monitor_y);
            f->monitor_x += gtk_widget_get_allocated_width(GTK_WIDGET(like)) / 2;
            f->monitor_y += gtk_widget_get_allocated_height(GTK_WIDGET(like)) / 2;
            f->have_monitor = TRUE;
        }
    }
    lodge_mks_fullscreen_set_session(f, session);
    return GTK_WIDGET(f);
}

LodgeMksView *lodge_mks_fullscreen_get_view(LodgeMksFullscreen *f) { return f->view; }
void lodge_mks_fullscreen_set_pinned(LodgeMksFullscreen *f, gboolean on) { gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(f->pin), on); }
gboolean lodge_mks_fullscreen_get_pinned(LodgeMksFullscreen *f) { return pinned(f); }

void lodge_mks_fullscreen_add(LodgeMksFullscreen *f, GtkWidget *b)
{
    gtk_box_pack_start(GTK_BOX(f->extra), b, FALSE, FALSE, 0);
    gtk_widget_show(b);
}
