/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyboard and pointer of the console.
 *
 * Keys are taken at the toplevel, before its accelerators and mnemonics, while the console has the focus; they go to the guest by their place on the
 * keyboard. Rules that keep keys from sticking:
 *   1. The guest sees a release only of what it saw pressed (the session keeps the list).
 *   2. Everything is released when the focus goes, the widget is unmapped, a grab is broken or taken by a menu, the session stops, or a host
 *      shortcut acts.
 *   3. Keys that were down when the focus came are not pressed in the guest.
 *
 * Grabbed means: the pointer belongs to the guest (a guest with an absolute pointer needs that never), and keys of the desktop go to the guest, by
 * a grab of the seat. GDK turns that into a grab on X11 and into the shortcuts inhibitor on Wayland.
 */
#include <gdk/gdkkeysyms.h>
#include <math.h>
#include <string.h>

#include "ui/mks/mks_keys.h"
#include "ui/mks/mks_view_private.h"

enum { LED_SCROLL = 1, LED_NUM = 2, LED_CAPS = 4, DOT = 3 };

/* ---- cursor ---- */

static GdkCursor *dot_cursor(GdkDisplay *d)
{
    cairo_surface_t *sf = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, DOT + 2, DOT + 2);
    cairo_t *cr = cairo_create(sf);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_rectangle(cr, 1, 1, DOT, DOT);
    cairo_set_source_rgb(cr, 0, 0, 0);
    cairo_fill(cr);
    cairo_destroy(cr);
    GdkCursor *c = gdk_cursor_new_from_surface(d, sf, 2, 2);
    cairo_surface_destroy(sf);
    return c;
}

/* The guest's pointer in the size in which the guest is painted. */
static GdkCursor *guest_cursor(LodgeMksView *v, GdkDisplay *d, const struct mks_cursor *c)
{
    /* Cursors have GDK's whole factor, whatever the picture has. */
    double s = gtk_widget_get_scale_factor(GTK_WIDGET(v)), f = v->geo.scale > 0 ? s / v->geo.scale : 1;
    double fit = MIN(1, (double)MKS_MAX_CURSOR / MAX(c->width * v->geo.zoom_x * f, c->height * v->geo.zoom_y * f));
    double zx = v->geo.zoom_x * f * fit, zy = v->geo.zoom_y * f * fit;
    int w = MAX(1, (int)lround(c->width * zx)), h = MAX(1, (int)lround(c->height * zy));
    cairo_surface_t *src = cairo_image_surface_create_for_data((guint8 *)c->argb, CAIRO_FORMAT_ARGB32, c->width, c->height, c->width * 4);
    cairo_surface_t *sf = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, w, h);
    cairo_t *cr = cairo_create(sf);
    cairo_scale(cr, (double)w / c->width, (double)h / c->height);
    cairo_set_source_surface(cr, src, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), w % c->width ? CAIRO_FILTER_GOOD : CAIRO_FILTER_NEAREST);
    cairo_set_operator(cr, CAIRO_OPERATOR_SOURCE);
    cairo_paint(cr);
    cairo_destroy(cr);
    cairo_surface_set_device_scale(sf, s, s);
    GdkCursor *k = gdk_cursor_new_from_surface(d, sf, (c->hot_x + 0.5) * zx / s, (c->hot_y + 0.5) * zy / s);
    cairo_surface_destroy(sf);
    cairo_surface_destroy(src);
    return k;
}

static void update_cursor(LodgeMksView *v)
{
    GdkWindow *win = gtk_widget_get_window(GTK_WIDGET(v));
    GdkCursor *k = NULL;
    if (!win)
        return;
    GdkDisplay *d = gdk_window_get_display(win);
    const struct mks_cursor *c = v->session ? mks_session_cursor(v->session) : NULL;
    gboolean live = mks_view_live(v) && !v->read_only;
    if (live && lodge_mks_session_get_pointer_absolute(v->session)) {
        if (!c->known)
            k = dot_cursor(d); /* the guest draws a pointer of its own, or none */
        else if (c->argb && c->shown)
            k = guest_cursor(v, d, c);
        else
            k = gdk_cursor_new_for_display(d, GDK_BLANK_CURSOR);
    } else if (live && v->pointer_grabbed) {
        k = gdk_cursor_new_for_display(d, GDK_BLANK_CURSOR);
    } else {
        k = gdk_cursor_new_from_name(d, "default");
    }
    gdk_window_set_cursor(win, k);
    g_clear_object(&k);
}

/* ---- grabs ---- */

static GdkSeat *seat_of(LodgeMksView *v) { return gdk_display_get_default_seat(gtk_widget_get_display(GTK_WIDGET(v))); }

static void wayland_motion(gpointer u, double dx, double dy)
{
    LodgeMksView *v = u;
    double s = v->geo.scale;
    v->rest_x += dx * s;
    v->rest_y += dy * s;
    int x = (int)trunc(v->rest_x), y = (int)trunc(v->rest_y);
    v->rest_x -= x;
    v->rest_y -= y;
    lodge_mks_session_pointer_move(v->session, x, y);
}

static void warp_to_center(LodgeMksView *v)
{
    GtkWidget *w = GTK_WIDGET(v);
    GdkWindow *win = gtk_widget_get_window(w);
    int rx, ry;
    gdk_window_get_root_coords(win, gtk_widget_get_allocated_width(w) / 2, gtk_widget_get_allocated_height(w) / 2, &rx, &ry);
    v->center_x = rx;
    v->center_y = ry;
    v->warp_pending = TRUE;
    gdk_device_warp(gdk_seat_get_pointer(seat_of(v)), gdk_window_get_screen(win), rx, ry);
}

static void grab_seat(LodgeMksView *v, gboolean pointer)
{
    GdkWindow *win = gtk_widget_get_window(GTK_WIDGET(v));
    gboolean wayland = mks_wayland_is(gtk_widget_get_display(GTK_WIDGET(v)));
    GdkSeatCapabilities caps = pointer && !wayland ? GDK_SEAT_CAPABILITY_ALL : GDK_SEAT_CAPABILITY_KEYBOARD;
    if (v->seat_grabbed || !win || !gtk_widget_get_mapped(GTK_WIDGET(v)))
        return;
    GdkCursor *blank = pointer ? gdk_cursor_new_for_display(gdk_window_get_display(win), GDK_BLANK_CURSOR) : NULL;
    v->seat_grabbed = gdk_seat_grab(seat_of(v), win, caps, FALSE, blank, NULL, NULL, NULL) == GDK_GRAB_SUCCESS;
    g_clear_object(&blank);
    v->pointer_grabbed = v->seat_grabbed && pointer;
    if (!v->pointer_grabbed)
        return;
    v->rest_x = v->rest_y = 0;
    if (wayland) {
        v->lock = mks_wayland_lock_pointer(win, gdk_seat_get_pointer(seat_of(v)), wayland_motion, v);
    } else {
        double x, y;
        gdk_device_get_position_double(gdk_seat_get_pointer(seat_of(v)), NULL, &x, &y);
        v->last_x = x;
        v->last_y = y;
        warp_to_center(v);
    }
}

static void ungrab_seat(LodgeMksView *v)
{
    if (v->lock)
        mks_wayland_unlock_pointer(v->lock);
    v->lock = NULL;
    if (v->seat_grabbed)
        gdk_seat_ungrab(seat_of(v));
    v->seat_grabbed = v->pointer_grabbed = v->warp_pending = FALSE;
}

void lodge_mks_view_grab(LodgeMksView *v)
{
    if (!mks_view_live(v) || v->read_only || !gtk_widget_get_mapped(GTK_WIDGET(v)))
        return;
    gtk_widget_grab_focus(GTK_WIDGET(v));
    ungrab_seat(v);
    grab_seat(v, !lodge_mks_session_get_pointer_absolute(v->session));
    v->grabbed = v->seat_grabbed;
    mks_view_input_changed(v);
    mks_view_update_hint(v);
}

void lodge_mks_view_release(LodgeMksView *v)
{
    if (v->session)
        lodge_mks_session_release_keys(v->session);
    ungrab_seat(v);
    v->grabbed = v->armed = FALSE;
    mks_view_input_changed(v);
    mks_view_update_hint(v);
}

/* The user's way out: the window's own keys work again. */
static void leave(LodgeMksView *v)
{
    lodge_mks_view_release(v);
    if (v->toplevel && GTK_IS_WINDOW(v->toplevel) && gtk_window_get_focus(GTK_WINDOW(v->toplevel)) == GTK_WIDGET(v))
        gtk_window_set_focus(GTK_WINDOW(v->toplevel), NULL);
    mks_view_update_hint(v);
}

/* ---- host shortcuts ---- */

static const char *const defaults[LODGE_MKS_HOTKEYS] = {
    [LODGE_MKS_HOTKEY_RELEASE] = "<Control><Alt>",         [LODGE_MKS_HOTKEY_GRAB] = "<Control>g",
    [LODGE_MKS_HOTKEY_FULLSCREEN] = "<Control><Alt>Return", [LODGE_MKS_HOTKEY_PREVIOUS] = "<Control><Alt>Left",
    [LODGE_MKS_HOTKEY_NEXT] = "<Control><Alt>Right",        [LODGE_MKS_HOTKEY_CTRL_ALT_DEL] = "<Control><Alt>Insert",
};

const char *lodge_mks_hotkey_default(LodgeMksHotkey which) { return which < LODGE_MKS_HOTKEYS ? defaults[which] : ""; }

const char *lodge_mks_view_get_hotkey(LodgeMksView *v, LodgeMksHotkey which) { return v->hotkey[which].accelerator; }

/* Keys that mean the same. */
static guint plain_keyval(guint k)
{
    switch (k) {
    case GDK_KEY_KP_Enter:
        return GDK_KEY_Return;
    case GDK_KEY_KP_Insert:
        return GDK_KEY_Insert;
    case GDK_KEY_KP_Left:
        return GDK_KEY_Left;
    case GDK_KEY_KP_Right:
        return GDK_KEY_Right;
    default:
        return gdk_keyval_to_lower(k);
    }
}

/* gtk_accelerator_parse wants a key at the end; modifiers alone are tried with one. */
static gboolean parse_accelerator(const char *s, guint *keyval, GdkModifierType *mods)
{
    gtk_accelerator_parse(s, keyval, mods);
    if (!*keyval && g_str_has_suffix(s, ">")) {
        char *with = g_strconcat(s, "a", NULL);
        gtk_accelerator_parse(with, keyval, mods);
        g_free(with);
        gboolean good = *keyval && *mods;
        *keyval = 0;
        return good;
    }
    *keyval = plain_keyval(*keyval);
    return *keyval != 0;
}

gboolean lodge_mks_view_set_hotkey(LodgeMksView *v, LodgeMksHotkey which, const char *accelerator)
{
    struct mks_hotkey k = {.accelerator = g_strdup(accelerator ? accelerator : "")};
    gboolean good = which < LODGE_MKS_HOTKEYS && (!*k.accelerator || parse_accelerator(k.accelerator, &k.keyval, &k.mods));
    /* <Primary> and its like, as real modifiers. */
    gdk_keymap_map_virtual_modifiers(gdk_keymap_get_for_display(gdk_display_get_default()), &k.mods);
    k.mods &= gtk_accelerator_get_default_mod_mask();
    for (int i = 0; good && *k.accelerator && i < LODGE_MKS_HOTKEYS; i++)
        good = i == (int)which || !v->hotkey[i].accelerator || !*v->hotkey[i].accelerator || v->hotkey[i].keyval != k.keyval || v->hotkey[i].mods != k.mods;
    if (!good) {
        g_free(k.accelerator);
        return FALSE;
    }
    g_free(v->hotkey[which].accelerator);
    v->hotkey[which] = k;
    mks_view_update_hint(v);
    return TRUE;
}

static GdkModifierType modifier_of(guint keyval)
{
    switch (keyval) {
    case GDK_KEY_Control_L:
    case GDK_KEY_Control_R:
        return GDK_CONTROL_MASK;
    case GDK_KEY_Shift_L:
    case GDK_KEY_Shift_R:
        return GDK_SHIFT_MASK;
    case GDK_KEY_Alt_L:
    case GDK_KEY_Alt_R:
    case GDK_KEY_Meta_L: /* Shift+Alt on many layouts */
    case GDK_KEY_Meta_R:
        return GDK_MOD1_MASK;
    case GDK_KEY_Super_L:
    case GDK_KEY_Super_R:
        return GDK_SUPER_MASK;
    default:
        return 0;
    }
}

static GdkModifierType held_modifiers(LodgeMksView *v)
{
    GdkModifierType m = 0;
    for (int i = 0; i < v->n_host_down; i++)
        m |= modifier_of(v->host_down[i].keyval);
    return m;
}

static void note_host_key(LodgeMksView *v, guint usage, guint keyval, gboolean down)
{
    for (int i = 0; i < v->n_host_down; i++)
        if (v->host_down[i].usage == usage)
            v->host_down[i--] = v->host_down[--v->n_host_down];
    if (down && v->n_host_down < MKS_HOST_KEYS) {
        v->host_down[v->n_host_down].usage = usage;
        v->host_down[v->n_host_down++].keyval = keyval;
    }
}

/* What the key is called without modifiers. */
static guint unmodified(LodgeMksView *v, GdkEventKey *ev)
{
    guint k = 0;
    gdk_keymap_translate_keyboard_state(gdk_keymap_get_for_display(gtk_widget_get_display(GTK_WIDGET(v))), ev->hardware_keycode, 0, ev->group, &k, NULL, NULL,
                                        NULL);
    return k;
}

/* TRUE: it was one, and is done. */
static gboolean try_hotkey(LodgeMksView *v, GdkEventKey *ev, GdkModifierType mods)
{
    static const char *const cad[] = {"ctrl", "alt", "del", NULL};
    guint a = plain_keyval(ev->keyval), b = plain_keyval(unmodified(v, ev));
    for (int i = 0; i < LODGE_MKS_HOTKEYS; i++) {
        const struct mks_hotkey *k = &v->hotkey[i];
        if (!k->keyval || k->mods != mods || (k->keyval != a && k->keyval != b))
            continue;
        switch (i) {
        case LODGE_MKS_HOTKEY_RELEASE:
            leave(v);
            return TRUE;
        case LODGE_MKS_HOTKEY_GRAB:
            if (v->grabbed || lodge_mks_session_get_pointer_absolute(v->session))
                return FALSE; /* nothing to do: the guest's own */
            lodge_mks_session_release_keys(v->session);
            lodge_mks_view_grab(v);
            return TRUE;
        case LODGE_MKS_HOTKEY_CTRL_ALT_DEL:
            lodge_mks_session_release_keys(v->session);
            lodge_mks_session_press_keys(v->session, cad);
            return TRUE;
        default:
            if (!mks_view_emit_hotkey(v, (LodgeMksHotkey)i))
                return FALSE;
            if (v->session)
                lodge_mks_session_release_keys(v->session);
            return TRUE;
        }
    }
    return FALSE;
}

/* ---- keys ---- */

static guint usage_of(LodgeMksView *v, GdkEventKey *ev)
{
    guint u = mks_x11_usage(gtk_widget_get_display(GTK_WIDGET(v)), ev->hardware_keycode);
    return u ? u : ev->hardware_keycode >= 8 ? mks_usage_from_evdev(ev->hardware_keycode - 8u) : 0;
}

/* One tap of each lock key that stands otherwise in the guest; only when the guest says how they stand. */
void mks_view_sync_locks(LodgeMksView *v)
{
    GdkKeymap *map = gdk_keymap_get_for_display(gtk_widget_get_display(GTK_WIDGET(v)));
    if (!v->session || !mks_session_leds_known(v->session) || v->read_only)
        return;
    guint guest = lodge_mks_session_get_leds(v->session), host = 0;
    host |= gdk_keymap_get_caps_lock_state(map) ? LED_CAPS : 0;
    host |= gdk_keymap_get_num_lock_state(map) ? LED_NUM : 0;
    host |= gdk_keymap_get_scroll_lock_state(map) ? LED_SCROLL : 0;
    const char *keys[4] = {NULL};
    int n = 0;
    if ((guest ^ host) & LED_CAPS)
        keys[n++] = "capslock";
    if ((guest ^ host) & LED_NUM)
        keys[n++] = "numlock";
    if ((guest ^ host) & LED_SCROLL)
        keys[n++] = "scrolllock";
    if (n)
        lodge_mks_session_press_keys(v->session, keys);
}

/* TRUE: the event ends here. */
static gboolean handle_key(LodgeMksView *v, GdkEventKey *ev)
{
    gboolean down = ev->type == GDK_KEY_PRESS;
    guint usage = usage_of(v, ev);
    GdkModifierType before = held_modifiers(v);
    const struct mks_hotkey *rel = &v->hotkey[LODGE_MKS_HOTKEY_RELEASE];
    if (v->session && lodge_mks_session_get_state(v->session) == LODGE_MKS_PAUSED && !v->read_only &&
        (plain_keyval(ev->keyval) == GDK_KEY_Return || ev->keyval == GDK_KEY_space)) {
        if (down)
            mks_view_request_resume(v);
        return TRUE;
    }
    if (!mks_view_live(v) || v->read_only)
        return FALSE;
    note_host_key(v, usage, ev->keyval, down);
    if (down && !modifier_of(ev->keyval)) {
        v->armed = FALSE;
        if (try_hotkey(v, ev, before | (ev->state & gtk_accelerator_get_default_mod_mask())))
            return TRUE;
    }
    if (v->session)
        mks_session_key_event(v->session, usage, ev->keyval, down);
    if (!rel->mods || rel->keyval || !modifier_of(ev->keyval))
        return TRUE;
    if (down)
        v->armed = held_modifiers(v) == rel->mods;
    else if (v->armed && before == rel->mods)
        leave(v);
    return TRUE;
}

static gboolean toplevel_key(GtkWidget *top, GdkEventKey *ev, LodgeMksView *v)
{
    if (!GTK_IS_WINDOW(top) || gtk_window_get_focus(GTK_WINDOW(top)) != GTK_WIDGET(v) || !gtk_widget_is_sensitive(GTK_WIDGET(v)))
        return FALSE;
    return handle_key(v, ev);
}

static void focus_moved(GtkWindow *top, GtkWidget *focus, LodgeMksView *v)
{
    (void)top;
    if (focus != GTK_WIDGET(v) && v->focused)
        mks_view_input_stop(v);
}

static gboolean focus_in(GtkWidget *w, GdkEventFocus *ev)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    (void)ev;
    if (v->focused)
        return FALSE;
    v->focused = TRUE;
    v->n_host_down = 0;
    v->armed = FALSE;
    mks_view_sync_locks(v);
    if (v->grab_keyboard && !v->seat_grabbed && mks_view_live(v) && !v->read_only)
        grab_seat(v, FALSE);
    mks_view_update_hint(v);
    return FALSE;
}

static gboolean focus_out(GtkWidget *w, GdkEventFocus *ev)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    (void)ev;
    v->focused = FALSE;
    mks_view_input_stop(v);
    return FALSE;
}

static gboolean grab_broken(GtkWidget *w, GdkEventGrabBroken *ev)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    /* Our own grab taking over from the implicit one of a click is not a loss. */
    if (ev->grab_window != gtk_widget_get_window(w) && v->seat_grabbed)
        mks_view_input_stop(v);
    return FALSE;
}

/* A menu or dialog takes the input inside of the application. */
static void grab_notify(GtkWidget *w, gboolean was_grabbed)
{
    if (!was_grabbed)
        mks_view_input_stop(LODGE_MKS_VIEW(w));
}

void mks_view_input_stop(LodgeMksView *v)
{
    v->n_host_down = 0;
    v->press_grabs = FALSE;
    lodge_mks_view_release(v);
}

void mks_view_input_toplevel(LodgeMksView *v)
{
    GtkWidget *top = gtk_widget_get_toplevel(GTK_WIDGET(v));
    if (!GTK_IS_WINDOW(top))
        top = NULL;
    if (top == v->toplevel)
        return;
    if (v->toplevel) {
        for (gsize i = 0; i < G_N_ELEMENTS(v->key_ids); i++)
            g_signal_handler_disconnect(v->toplevel, v->key_ids[i]);
        g_object_remove_weak_pointer(G_OBJECT(v->toplevel), (gpointer *)&v->toplevel);
        mks_view_input_stop(v);
    }
    v->toplevel = top;
    if (!top)
        return;
    g_object_add_weak_pointer(G_OBJECT(top), (gpointer *)&v->toplevel);
    v->key_ids[0] = g_signal_connect(top, "key-press-event", G_CALLBACK(toplevel_key), v);
    v->key_ids[1] = g_signal_connect(top, "key-release-event", G_CALLBACK(toplevel_key), v);
    v->key_ids[2] = g_signal_connect(top, "set-focus", G_CALLBACK(focus_moved), v);
}

/* ---- pointer ---- */

static gboolean takes_pointer(LodgeMksView *v) { return mks_view_live(v) && !v->read_only; }

static void send_place(LodgeMksView *v, double x, double y)
{
    int gx, gy;
    mks_geometry_to_guest(&v->geo, x, y, &gx, &gy);
    lodge_mks_session_pointer_to(v->session, gx, gy);
}

/* Movement since the last event. Around a warp both the old place and the centre may be where the pointer came from: the nearer one is it. */
static void send_step(LodgeMksView *v, double x, double y)
{
    GtkWidget *w = GTK_WIDGET(v);
    double fx = v->last_x, fy = v->last_y, s = v->geo.scale;
    if (v->warp_pending && hypot(x - v->center_x, y - v->center_y) < hypot(x - fx, y - fy)) {
        fx = v->center_x;
        fy = v->center_y;
        v->warp_pending = FALSE;
    }
    v->rest_x += (x - fx) * s;
    v->rest_y += (y - fy) * s;
    v->last_x = x;
    v->last_y = y;
    int dx = (int)trunc(v->rest_x), dy = (int)trunc(v->rest_y);
    v->rest_x -= dx;
    v->rest_y -= dy;
    lodge_mks_session_pointer_move(v->session, dx, dy);
    double far = MIN(gtk_widget_get_allocated_width(w), gtk_widget_get_allocated_height(w)) / 4.0;
    if (!v->warp_pending && (fabs(x - v->center_x) > far || fabs(y - v->center_y) > far))
        warp_to_center(v);
}

static void motion(LodgeMksView *v, double x, double y, double root_x, double root_y)
{
    gboolean absolute = takes_pointer(v) && lodge_mks_session_get_pointer_absolute(v->session);
    mks_view_emit_at_top(v, !v->pointer_grabbed && y < 1);
    if (absolute)
        send_place(v, x, y);
    else if (v->pointer_grabbed && !v->lock)
        send_step(v, root_x, root_y);
}

static gboolean motion_event(GtkWidget *w, GdkEventMotion *ev)
{
    motion(LODGE_MKS_VIEW(w), ev->x, ev->y, ev->x_root, ev->y_root);
    return TRUE;
}

static gboolean crossing_event(GtkWidget *w, GdkEventCrossing *ev)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    if (ev->mode != GDK_CROSSING_NORMAL)
        return FALSE;
    if (ev->type == GDK_LEAVE_NOTIFY)
        mks_view_emit_at_top(v, FALSE);
    else
        motion(v, ev->x, ev->y, ev->x_root, ev->y_root);
    return FALSE;
}

static int button_of(guint gdk)
{
    switch (gdk) {
    case GDK_BUTTON_PRIMARY:
        return 0;
    case GDK_BUTTON_SECONDARY:
        return 1;
    case GDK_BUTTON_MIDDLE:
        return 2;
    case 8:
        return 3;
    case 9:
        return 4;
    default:
        return -1;
    }
}

static gboolean button_event(GtkWidget *w, GdkEventButton *ev)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    gboolean down = ev->type == GDK_BUTTON_PRESS;
    int b = button_of(ev->button);
    if (ev->type != GDK_BUTTON_PRESS && ev->type != GDK_BUTTON_RELEASE)
        return TRUE; /* double and triple clicks are the guest's to count */
    if (down && !gtk_widget_has_focus(w))
        gtk_widget_grab_focus(w);
    if (v->session && lodge_mks_session_get_state(v->session) == LODGE_MKS_PAUSED) {
        if (!down && b == 0)
            mks_view_request_resume(v);
        return TRUE;
    }
    if (!takes_pointer(v))
        return FALSE;
    v->armed = FALSE;
    if (lodge_mks_session_get_pointer_absolute(v->session)) {
        send_place(v, ev->x, ev->y);
    } else if (!v->pointer_grabbed) {
        /* The click that grabs is not the guest's: it would be at a place that the user does not see. */
        if (down && b == 0) {
            lodge_mks_view_grab(v);
            v->press_grabs = v->pointer_grabbed;
        }
        return TRUE;
    } else if (v->press_grabs && b == 0) {
        v->press_grabs = down;
        if (!down)
            return TRUE;
    }
    if (b >= 0)
        lodge_mks_session_button(v->session, (guint)b, down);
    return TRUE;
}

static gboolean scroll_event(GtkWidget *w, GdkEventScroll *ev)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    double dy = 0;
    if (!takes_pointer(v) || (!lodge_mks_session_get_pointer_absolute(v->session) && !v->pointer_grabbed))
        return FALSE; /* scrolls the window */
    if (ev->direction == GDK_SCROLL_UP)
        dy = -1;
    else if (ev->direction == GDK_SCROLL_DOWN)
        dy = 1;
    else if (ev->direction == GDK_SCROLL_SMOOTH)
        dy = ev->delta_y;
    if (dy * v->scroll_rest < 0)
        v->scroll_rest = 0; /* the other way: at once */
    v->scroll_rest += dy;
    int clicks = (int)trunc(v->scroll_rest);
    v->scroll_rest -= clicks;
    lodge_mks_session_wheel(v->session, -clicks);
    return TRUE;
}

/* ---- life ---- */

void mks_view_input_changed(LodgeMksView *v)
{
    if (gtk_widget_get_realized(GTK_WIDGET(v)))
        update_cursor(v);
}

void mks_view_input_class_init(GtkWidgetClass *k)
{
    k->focus_in_event = focus_in;
    k->focus_out_event = focus_out;
    k->grab_broken_event = grab_broken;
    k->grab_notify = grab_notify;
    k->motion_notify_event = motion_event;
    k->enter_notify_event = crossing_event;
    k->leave_notify_event = crossing_event;
    k->button_press_event = button_event;
    k->button_release_event = button_event;
    k->scroll_event = scroll_event;
}

void mks_view_input_init(LodgeMksView *v)
{
    for (int i = 0; i < LODGE_MKS_HOTKEYS; i++)
        lodge_mks_view_set_hotkey(v, (LodgeMksHotkey)i, defaults[i]);
}

void mks_view_input_finalize(LodgeMksView *v)
{
    ungrab_seat(v);
    if (v->toplevel) {
        for (gsize i = 0; i < G_N_ELEMENTS(v->key_ids); i++)
            g_signal_handler_disconnect(v->toplevel, v->key_ids[i]);
        g_object_remove_weak_pointer(G_OBJECT(v->toplevel), (gpointer *)&v->toplevel);
        v->toplevel = NULL;
    }
    for (int i = 0; i < LODGE_MKS_HOTKEYS; i++)
        g_clear_pointer(&v->hotkey[i].accelerator, g_free);
}
