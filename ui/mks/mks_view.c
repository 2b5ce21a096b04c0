/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The console widget: where the picture lies, what the session says, properties. Painting: mks_view_paint.c, input: mks_view_input.c. */
#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>

#include "ui/mks/mks_view_private.h"

enum { RESIZE_MS = 150, BLANK_MS = 1500, DEFAULT_W = 320, DEFAULT_H = 200 };
enum { PROP_0, PROP_SESSION, PROP_SCALING, PROP_FILTER, PROP_GRABBED, PROP_HINT, PROP_ZOOM, PROP_READ_ONLY, PROP_GRAB_KEYBOARD, PROP_STATUS_TEXT, N_PROPS,
       PROP_HADJ = N_PROPS, PROP_VADJ, PROP_HPOLICY, PROP_VPOLICY };
enum { SIG_HOTKEY, SIG_RESUME, SIG_AT_TOP, N_SIGNALS };
static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_TYPE_WITH_CODE(LodgeMksView, lodge_mks_view, GTK_TYPE_DRAWING_AREA, G_IMPLEMENT_INTERFACE(GTK_TYPE_SCROLLABLE, NULL))

/* ---- layout ---- */

static double real_scale(LodgeMksView *v)
{
    GdkWindow *w = gtk_widget_get_window(GTK_WIDGET(v));
    double r = v->device_scale > 0 ? v->device_scale : v->surface ? mks_surface_scale(v->surface) : 0;
    if (r <= 0 && w)
        r = mks_wayland_scale(w);
    return r > 0 ? r : gtk_widget_get_scale_factor(GTK_WIDGET(v));
}

/* The adjustments are set by the size; the picture's place is read from them. */
static void set_adjustment(LodgeMksView *v, int i, int picture, int size)
{
    GtkAdjustment *a = v->adj[i];
    if (!a)
        return;
    double upper = v->scaling == LODGE_MKS_ACTUAL ? MAX(picture, size) : size;
    double value = CLAMP(gtk_adjustment_get_value(a), 0, upper - size);
    gtk_adjustment_configure(a, value, 0, upper, 16, size * 0.9, size);
}

/* These device pixels (NULL: all) are to be painted again. */
static void redraw(LodgeMksView *v, const struct mks_box *b)
{
    int sc = gtk_widget_get_scale_factor(GTK_WIDGET(v));
    if (v->surface)
        mks_surface_damage(v->surface, b);
    else if (b)
        gtk_widget_queue_draw_area(GTK_WIDGET(v), b->x / sc, b->y / sc, (b->x + b->w + sc - 1) / sc - b->x / sc, (b->y + b->h + sc - 1) / sc - b->y / sc);
    else
        gtk_widget_queue_draw(GTK_WIDGET(v));
}

static void paint_surface(gpointer u, cairo_t *cr) { mks_view_paint_area(u, cr); }
static void relayout(LodgeMksView *v);
static void surface_scale(gpointer u) { relayout(u); }

static void drop_surface(LodgeMksView *v)
{
    g_clear_pointer(&v->surface, mks_surface_free);
    gtk_widget_queue_draw(GTK_WIDGET(v));
}

/* A surface of the monitor's own pixels where GDK's whole factor is not the desktop's. */
static void choose_surface(LodgeMksView *v)
{
    static const struct mks_surface_fns fns = {paint_surface, surface_scale};
    GtkWidget *w = GTK_WIDGET(v);
    gboolean want = gtk_widget_get_mapped(w) && v->device_scale <= 0 && real_scale(v) != gtk_widget_get_scale_factor(w);
    if (want && !v->surface)
        v->surface = mks_surface_new(gtk_widget_get_window(w), &fns, v);
    else if (!want && v->surface)
        drop_surface(v);
}

static void window_place(LodgeMksView *v, int *x, int *y)
{
    GdkWindow *win = gtk_widget_get_window(GTK_WIDGET(v)), *top = gdk_window_get_toplevel(win);
    double fx = 0, fy = 0;
    for (; win && win != top; win = gdk_window_get_effective_parent(win))
        gdk_window_coords_to_parent(win, fx, fy, &fx, &fy);
    *x = (int)fx;
    *y = (int)fy;
}

/*
 * The area that the surface takes of the widget: it begins, and in a window ends, where an application pixel's edge is a monitor pixel's, as seen
 * from the toplevel's corner, which the compositor puts at a whole pixel. Full screen, it goes to the end, and the compositor rounds as we do.
 */
static void surface_area(LodgeMksView *v, struct mks_geometry *g)
{
    GdkWindow *top = gdk_window_get_toplevel(gtk_widget_get_window(GTK_WIDGET(v)));
    gboolean full = gdk_window_get_state(top) & GDK_WINDOW_STATE_FULLSCREEN;
    int unit = mks_geometry_unit(g->real), x, y;
    window_place(v, &x, &y);
    g->ox = (unit - x % unit) % unit;
    g->oy = (unit - y % unit) % unit;
    g->width = MAX(0, g->width - g->ox);
    g->height = MAX(0, g->height - g->oy);
    if (!full) {
        g->width -= g->width % unit;
        g->height -= g->height % unit;
    }
    g->scale = g->real;
    g->dev_w = (int)lround(g->width * g->scale);
    g->dev_h = (int)lround(g->height * g->scale);
}

void mks_view_place_surface(LodgeMksView *v)
{
    struct mks_geometry *g = &v->geo;
    int x, y;
    window_place(v, &x, &y);
    mks_surface_place(v->surface, &(struct mks_box){x + g->ox, y + g->oy, g->width, g->height}, g->dev_w, g->dev_h);
}

static void relayout(LodgeMksView *v)
{
    GtkWidget *w = GTK_WIDGET(v);
    struct mks_geometry *g = &v->geo;
    double zoom = g->zoom_x;
    choose_surface(v);
    *g = (struct mks_geometry){.width = gtk_widget_get_allocated_width(w), .height = gtk_widget_get_allocated_height(w),
                               .scale = gtk_widget_get_scale_factor(w), .real = real_scale(v), .actual = v->scaling == LODGE_MKS_ACTUAL,
                               .may_grow = v->scaling == LODGE_MKS_STRETCH};
    if (v->surface)
        surface_area(v, g);
    if (v->session)
        lodge_mks_session_get_guest_size(v->session, &g->guest_w, &g->guest_h);
    mks_geometry_compute(g);
    set_adjustment(v, 0, (int)ceil(g->w / g->scale - 1e-6), g->width);
    set_adjustment(v, 1, (int)ceil(g->h / g->scale - 1e-6), g->height);
    if (g->actual) {
        g->scroll_x = v->adj[0] ? (int)lround(gtk_adjustment_get_value(v->adj[0]) * g->scale) : 0;
        g->scroll_y = v->adj[1] ? (int)lround(gtk_adjustment_get_value(v->adj[1]) * g->scale) : 0;
        mks_geometry_compute(g);
    }
    if (v->surface) {
        mks_view_place_surface(v);
        redraw(v, NULL);
    }
    gtk_widget_queue_draw(w);
    if (zoom != g->zoom_x) {
        g_object_notify_by_pspec(G_OBJECT(v), props[PROP_ZOOM]);
        mks_view_input_changed(v);
    }
}

static void real_size(LodgeMksView *v, int *w, int *h)
{
    double r = real_scale(v);
    *w = v->surface ? v->geo.dev_w : (int)floor(gtk_widget_get_allocated_width(GTK_WIDGET(v)) * r + 1e-6);
    *h = v->surface ? v->geo.dev_h : (int)floor(gtk_widget_get_allocated_height(GTK_WIDGET(v)) * r + 1e-6);
}

static gboolean ask_size(gpointer u)
{
    LodgeMksView *v = u;
    int w, h;
    v->resize_id = 0;
    real_size(v, &w, &h);
    if (v->session && gtk_widget_get_mapped(GTK_WIDGET(v)) && !v->read_only && w >= 64 && h >= 64)
        lodge_mks_session_request_size(v->session, w, h);
    return G_SOURCE_REMOVE;
}

static void ask_size_soon(LodgeMksView *v)
{
    if (v->resize_id)
        g_source_remove(v->resize_id);
    v->resize_id = v->scaling == LODGE_MKS_FIT_GUEST ? g_timeout_add(RESIZE_MS, ask_size, v) : 0;
}

gboolean lodge_mks_view_fit_guest_now(LodgeMksView *v)
{
    ask_size(v);
    return v->session && lodge_mks_session_get_can_resize(v->session);
}

gboolean lodge_mks_view_get_natural_size(LodgeMksView *v, int *width, int *height)
{
    int w = 0, h = 0;
    gboolean has = v->session && lodge_mks_session_get_guest_size(v->session, &w, &h);
    double r = real_scale(v);
    *width = (int)ceil(w / r - 1e-6);
    *height = (int)ceil(h / r - 1e-6);
    return has;
}

/* ---- what the session says ---- */

static void on_damage(LodgeMksSession *s, int x, int y, int w, int h, LodgeMksView *v)
{
    struct mks_box guest = {x, y, w, h}, b;
    int gw, gh;
    if (!v->visible)
        return;
    lodge_mks_session_get_guest_size(s, &gw, &gh);
    if (gw != v->geo.guest_w || gh != v->geo.guest_h) {
        relayout(v);
        return;
    }
    mks_geometry_from_guest(&v->geo, &guest, &b);
    if (mks_box_intersect(&b, 0, 0, v->geo.dev_w, v->geo.dev_h))
        redraw(v, &b);
    else
        mks_session_painted(s); /* scrolled out of sight: nothing to wait for */
}

static void on_cursor(LodgeMksSession *s, LodgeMksView *v)
{
    if (!lodge_mks_session_get_pointer_absolute(s))
        redraw(v, NULL);
    mks_view_input_changed(v);
}

static void on_state(LodgeMksSession *s, GParamSpec *spec, LodgeMksView *v)
{
    (void)s, (void)spec;
    if (!mks_view_live(v))
        mks_view_input_stop(v);
    mks_view_input_changed(v);
    mks_view_update_hint(v);
    if (lodge_mks_session_get_state(s) == LODGE_MKS_RUNNING)
        ask_size_soon(v);
    relayout(v);
}

static gboolean blank_stays(gpointer u)
{
    LodgeMksView *v = u;
    v->blank_id = 0;
    v->say_blank = TRUE;
    gtk_widget_queue_draw(GTK_WIDGET(v));
    return G_SOURCE_REMOVE;
}

/* Firmware and drivers switch the display off for a moment when they set a mode: that is not worth a word. */
static void on_blank(LodgeMksSession *s, GParamSpec *spec, LodgeMksView *v)
{
    (void)spec;
    if (v->blank_id)
        g_source_remove(v->blank_id);
    v->blank_id = s && mks_session_get_blank(s) ? g_timeout_add(BLANK_MS, blank_stays, v) : 0;
    if (v->say_blank)
        gtk_widget_queue_draw(GTK_WIDGET(v));
    v->say_blank = FALSE;
}

static void on_absolute(LodgeMksSession *s, GParamSpec *spec, LodgeMksView *v)
{
    (void)s, (void)spec;
    if (v->grabbed)
        lodge_mks_view_release(v);
    mks_view_input_changed(v);
    mks_view_update_hint(v);
    redraw(v, NULL);
}

static void on_can_resize(LodgeMksSession *s, GParamSpec *spec, LodgeMksView *v)
{
    (void)spec;
    if (lodge_mks_session_get_can_resize(s))
        ask_size_soon(v);
}

static void on_title(LodgeMksSession *s, GParamSpec *spec, LodgeMksView *v)
{
    (void)spec;
    char *name = g_strdup_printf(_("Screen of %s"), lodge_mks_session_get_title(s));
    atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(v)), name);
    g_free(name);
}

gboolean mks_view_live(LodgeMksView *v)
{
    LodgeMksState st = v->session ? lodge_mks_session_get_state(v->session) : LODGE_MKS_CLOSED;
    return st == LODGE_MKS_RUNNING || st == LODGE_MKS_NO_PICTURE;
}

static void set_visible(LodgeMksView *v, gboolean on)
{
    if (v->visible == on)
        return;
    v->visible = on;
    if (v->session)
        mks_session_add_viewer(v->session, on ? 1 : -1);
}

void lodge_mks_view_set_session(LodgeMksView *v, LodgeMksSession *s)
{
    gboolean visible = v->visible;
    if (v->session == s)
        return;
    if (v->session) {
        mks_view_input_stop(v);
        set_visible(v, FALSE);
        g_signal_handlers_disconnect_by_data(v->session, v);
        g_object_unref(v->session);
    }
    v->session = s ? g_object_ref(s) : NULL;
    if (s) {
        g_signal_connect(s, "damage", G_CALLBACK(on_damage), v);
        g_signal_connect(s, "cursor", G_CALLBACK(on_cursor), v);
        g_signal_connect(s, "notify::state", G_CALLBACK(on_state), v);
        g_signal_connect(s, "notify::error", G_CALLBACK(on_state), v);
        g_signal_connect(s, "notify::pointer-absolute", G_CALLBACK(on_absolute), v);
        g_signal_connect(s, "notify::blank", G_CALLBACK(on_blank), v);
        g_signal_connect(s, "notify::can-resize", G_CALLBACK(on_can_resize), v);
        g_signal_connect(s, "notify::title", G_CALLBACK(on_title), v);
        on_title(s, NULL, v);
        set_visible(v, visible);
    }
    on_blank(s, NULL, v);
    relayout(v);
    mks_view_input_changed(v);
    mks_view_update_hint(v);
    if (visible)
        ask_size_soon(v);
    g_object_notify_by_pspec(G_OBJECT(v), props[PROP_SESSION]);
}

LodgeMksSession *lodge_mks_view_get_session(LodgeMksView *v) { return v->session; }

/* ---- hints and signals ---- */

static char *accelerator_label(LodgeMksView *v, LodgeMksHotkey which)
{
    const struct mks_hotkey *k = &v->hotkey[which];
    if (!k->accelerator || !*k->accelerator)
        return NULL;
    if (k->keyval)
        return gtk_accelerator_get_label(k->keyval, k->mods);
    /* GTK's label of modifiers alone ends with a plus sign. */
    char *s = gtk_accelerator_get_label(0, k->mods);
    gsize n = strlen(s);
    if (n && s[n - 1] == '+')
        s[n - 1] = '\0';
    return s;
}

void mks_view_update_hint(LodgeMksView *v)
{
    char *hint = NULL, *key = accelerator_label(v, LODGE_MKS_HOTKEY_RELEASE), *grab = accelerator_label(v, LODGE_MKS_HOTKEY_GRAB);
    gboolean absolute = v->session && lodge_mks_session_get_pointer_absolute(v->session);
    if (!mks_view_live(v) || v->read_only)
        hint = g_strdup("");
    else if (v->grabbed && !absolute)
        hint = key ? g_strdup_printf(_("To get the pointer back, press %s."), key) : g_strdup(_("The guest has the pointer. No keys are set to get it back."));
    else if (v->grabbed || v->focused)
        hint = !absolute && grab ? g_strdup_printf(_("Keys go to the guest. To give it the pointer too, click its screen or press %s."), grab)
               : key             ? g_strdup_printf(_("Keys go to the guest. To use the keys of this window, press %s."), key)
                                 : g_strdup(_("Keys go to the guest."));
    else
        hint = g_strdup(absolute ? _("To type in the guest, click its screen.") : _("To use the guest's pointer and keyboard, click its screen."));
    g_free(key);
    g_free(grab);
    if (!g_strcmp0(hint, v->hint)) {
        g_free(hint);
        return;
    }
    g_free(v->hint);
    v->hint = hint;
    g_object_notify_by_pspec(G_OBJECT(v), props[PROP_HINT]);
    g_object_notify_by_pspec(G_OBJECT(v), props[PROP_GRABBED]);
}

const char *lodge_mks_view_get_hint(LodgeMksView *v) { return v->hint ? v->hint : ""; }
gboolean lodge_mks_view_get_grabbed(LodgeMksView *v) { return v->grabbed; }

gboolean mks_view_emit_hotkey(LodgeMksView *v, LodgeMksHotkey which)
{
    gboolean done = FALSE;
    g_signal_emit(v, signals[SIG_HOTKEY], 0, which, &done);
    return done;
}

void mks_view_emit_at_top(LodgeMksView *v, gboolean at_top)
{
    if (v->at_top != at_top)
        g_signal_emit(v, signals[SIG_AT_TOP], 0, v->at_top = at_top);
}

void mks_view_request_resume(LodgeMksView *v) { g_signal_emit(v, signals[SIG_RESUME], 0); }

/* ---- widget ---- */

static void view_allocate(GtkWidget *w, GtkAllocation *a)
{
    GtkAllocation old;
    gtk_widget_get_allocation(w, &old);
    GTK_WIDGET_CLASS(lodge_mks_view_parent_class)->size_allocate(w, a);
    relayout(LODGE_MKS_VIEW(w));
    if (old.width != a->width || old.height != a->height)
        ask_size_soon(LODGE_MKS_VIEW(w));
}

/* Small: the window's size is the user's affair, not the guest's. */
static void preferred_width(GtkWidget *w, gint *min, gint *nat)
{
    (void)w;
    *min = 1;
    *nat = DEFAULT_W;
}
static void preferred_height(GtkWidget *w, gint *min, gint *nat)
{
    (void)w;
    *min = 1;
    *nat = DEFAULT_H;
}

static void view_map(GtkWidget *w)
{
    GTK_WIDGET_CLASS(lodge_mks_view_parent_class)->map(w);
    set_visible(LODGE_MKS_VIEW(w), TRUE);
    relayout(LODGE_MKS_VIEW(w));
    ask_size_soon(LODGE_MKS_VIEW(w));
}

static void view_unmap(GtkWidget *w)
{
    mks_view_input_stop(LODGE_MKS_VIEW(w));
    set_visible(LODGE_MKS_VIEW(w), FALSE);
    drop_surface(LODGE_MKS_VIEW(w));
    GTK_WIDGET_CLASS(lodge_mks_view_parent_class)->unmap(w);
}

static void view_realize(GtkWidget *w)
{
    GTK_WIDGET_CLASS(lodge_mks_view_parent_class)->realize(w);
    GdkWindow *win = gtk_widget_get_window(w);
    /* Every movement at once: waiting for the frame would be latency. */
    gdk_window_set_event_compression(win, FALSE);
    mks_view_input_changed(LODGE_MKS_VIEW(w));
}

static void view_hierarchy_changed(GtkWidget *w, GtkWidget *old)
{
    (void)old;
    mks_view_input_toplevel(LODGE_MKS_VIEW(w));
}

static void on_scale_factor(LodgeMksView *v) { relayout(v); }

void lodge_mks_view_set_scaling(LodgeMksView *v, LodgeMksScaling scaling)
{
    if (v->scaling == scaling)
        return;
    v->scaling = scaling;
    relayout(v);
    ask_size_soon(v);
    g_object_notify_by_pspec(G_OBJECT(v), props[PROP_SCALING]);
}

LodgeMksScaling lodge_mks_view_get_scaling(LodgeMksView *v) { return v->scaling; }

void lodge_mks_view_set_device_scale(LodgeMksView *v, double scale)
{
    v->device_scale = scale > 0 ? CLAMP(scale, 0.25, 8) : 0;
    relayout(v);
    ask_size_soon(v);
}

static void scrolled(GtkAdjustment *a, LodgeMksView *v)
{
    (void)a;
    if (v->geo.actual)
        relayout(v);
}

static void set_adj(LodgeMksView *v, int i, GtkAdjustment *a)
{
    if (v->adj[i]) {
        g_signal_handlers_disconnect_by_data(v->adj[i], v);
        g_object_unref(v->adj[i]);
    }
    v->adj[i] = a ? g_object_ref_sink(a) : NULL;
    if (a)
        g_signal_connect(a, "value-changed", G_CALLBACK(scrolled), v);
}

static void set_property(GObject *o, guint id, const GValue *val, GParamSpec *spec)
{
    LodgeMksView *v = LODGE_MKS_VIEW(o);
    switch (id) {
    case PROP_SESSION:
        lodge_mks_view_set_session(v, g_value_get_object(val));
        break;
    case PROP_SCALING:
        lodge_mks_view_set_scaling(v, (LodgeMksScaling)g_value_get_enum(val));
        break;
    case PROP_FILTER:
        v->filter = (LodgeMksFilter)g_value_get_enum(val);
        redraw(v, NULL);
        break;
    case PROP_READ_ONLY:
        v->read_only = g_value_get_boolean(val);
        if (v->read_only)
            mks_view_input_stop(v);
        mks_view_input_changed(v);
        mks_view_update_hint(v);
        break;
    case PROP_GRAB_KEYBOARD:
        v->grab_keyboard = g_value_get_boolean(val);
        break;
    case PROP_STATUS_TEXT:
        g_free(v->status_text);
        v->status_text = g_value_dup_string(val);
        gtk_widget_queue_draw(GTK_WIDGET(v));
        break;
    case PROP_HADJ:
    case PROP_VADJ:
        set_adj(v, id == PROP_VADJ, g_value_get_object(val));
        relayout(v);
        break;
    case PROP_HPOLICY:
    case PROP_VPOLICY:
        v->policy[id == PROP_VPOLICY] = (GtkScrollablePolicy)g_value_get_enum(val);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void get_property(GObject *o, guint id, GValue *val, GParamSpec *spec)
{
    LodgeMksView *v = LODGE_MKS_VIEW(o);
    switch (id) {
    case PROP_SESSION:
        g_value_set_object(val, v->session);
        break;
    case PROP_SCALING:
        g_value_set_enum(val, (gint)v->scaling);
        break;
    case PROP_FILTER:
        g_value_set_enum(val, (gint)v->filter);
        break;
    case PROP_GRABBED:
        g_value_set_boolean(val, v->grabbed);
        break;
    case PROP_HINT:
        g_value_set_string(val, lodge_mks_view_get_hint(v));
        break;
    case PROP_ZOOM:
        g_value_set_double(val, v->geo.zoom_x);
        break;
    case PROP_READ_ONLY:
        g_value_set_boolean(val, v->read_only);
        break;
    case PROP_GRAB_KEYBOARD:
        g_value_set_boolean(val, v->grab_keyboard);
        break;
    case PROP_STATUS_TEXT:
        g_value_set_string(val, v->status_text);
        break;
    case PROP_HADJ:
    case PROP_VADJ:
        g_value_set_object(val, v->adj[id == PROP_VADJ]);
        break;
    case PROP_HPOLICY:
    case PROP_VPOLICY:
        g_value_set_enum(val, (gint)v->policy[id == PROP_VPOLICY]);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void view_dispose(GObject *o)
{
    LodgeMksView *v = LODGE_MKS_VIEW(o);
    lodge_mks_view_set_session(v, NULL);
    if (v->resize_id)
        g_source_remove(v->resize_id);
    v->resize_id = 0;
    set_adj(v, 0, NULL);
    set_adj(v, 1, NULL);
    mks_view_input_finalize(v);
    G_OBJECT_CLASS(lodge_mks_view_parent_class)->dispose(o);
}

static void view_finalize(GObject *o)
{
    LodgeMksView *v = LODGE_MKS_VIEW(o);
    g_free(v->status_text);
    g_free(v->hint);
    G_OBJECT_CLASS(lodge_mks_view_parent_class)->finalize(o);
}

static void lodge_mks_view_class_init(LodgeMksViewClass *k)
{
    GObjectClass *ok = G_OBJECT_CLASS(k);
    GtkWidgetClass *wk = GTK_WIDGET_CLASS(k);
    GParamFlags ro = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS, rw = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
    ok->set_property = set_property;
    ok->get_property = get_property;
    ok->dispose = view_dispose;
    ok->finalize = view_finalize;
    wk->draw = mks_view_draw;
    wk->size_allocate = view_allocate;
    wk->get_preferred_width = preferred_width;
    wk->get_preferred_height = preferred_height;
    wk->map = view_map;
    wk->unmap = view_unmap;
    wk->realize = view_realize;
    wk->hierarchy_changed = view_hierarchy_changed;
    mks_view_input_class_init(wk);
    props[PROP_SESSION] = g_param_spec_object("session", NULL, NULL, LODGE_TYPE_MKS_SESSION, rw);
    props[PROP_SCALING] = g_param_spec_enum("scaling", NULL, NULL, lodge_mks_scaling_get_type(), LODGE_MKS_STRETCH, rw);
    props[PROP_FILTER] = g_param_spec_enum("filter", NULL, NULL, lodge_mks_filter_get_type(), LODGE_MKS_FILTER_AUTO, rw);
    props[PROP_GRABBED] = g_param_spec_boolean("grabbed", NULL, NULL, FALSE, ro);
    props[PROP_HINT] = g_param_spec_string("hint", NULL, NULL, "", ro);
    props[PROP_ZOOM] = g_param_spec_double("zoom", NULL, NULL, 0, G_MAXDOUBLE, 1, ro);
    props[PROP_READ_ONLY] = g_param_spec_boolean("read-only", NULL, NULL, FALSE, rw);
    props[PROP_GRAB_KEYBOARD] = g_param_spec_boolean("grab-keyboard", NULL, NULL, FALSE, rw);
    props[PROP_STATUS_TEXT] = g_param_spec_string("status-text", NULL, NULL, NULL, rw);
    g_object_class_install_properties(ok, N_PROPS, props);
    g_object_class_override_property(ok, PROP_HADJ, "hadjustment");
    g_object_class_override_property(ok, PROP_VADJ, "vadjustment");
    g_object_class_override_property(ok, PROP_HPOLICY, "hscroll-policy");
    g_object_class_override_property(ok, PROP_VPOLICY, "vscroll-policy");
    GType t = G_TYPE_FROM_CLASS(k);
    signals[SIG_HOTKEY] = g_signal_new("hotkey", t, G_SIGNAL_RUN_LAST, 0, g_signal_accumulator_true_handled, NULL, NULL, G_TYPE_BOOLEAN, 1,
                                       lodge_mks_hotkey_get_type());
    signals[SIG_RESUME] = g_signal_new("resume-requested", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIG_AT_TOP] = g_signal_new("pointer-at-top", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_BOOLEAN);
    gtk_widget_class_set_css_name(wk, "lodge-console");
    gtk_widget_class_set_accessible_role(wk, ATK_ROLE_CANVAS);
}

static void lodge_mks_view_init(LodgeMksView *v)
{
    GtkWidget *w = GTK_WIDGET(v);
    gtk_widget_set_can_focus(w, TRUE);
    gtk_widget_set_hexpand(w, TRUE);
    gtk_widget_set_vexpand(w, TRUE);
    gtk_widget_add_events(w, GDK_POINTER_MOTION_MASK | GDK_BUTTON_PRESS_MASK | GDK_BUTTON_RELEASE_MASK | GDK_SCROLL_MASK | GDK_SMOOTH_SCROLL_MASK |
                                 GDK_KEY_PRESS_MASK | GDK_KEY_RELEASE_MASK | GDK_ENTER_NOTIFY_MASK | GDK_LEAVE_NOTIFY_MASK | GDK_FOCUS_CHANGE_MASK);
    g_signal_connect(v, "notify::scale-factor", G_CALLBACK(on_scale_factor), NULL);
    mks_view_input_init(v);
    mks_view_update_hint(v);
}

GtkWidget *lodge_mks_view_new(LodgeMksSession *session) { return g_object_new(LODGE_TYPE_MKS_VIEW, "session", session, NULL); }
