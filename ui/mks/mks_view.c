/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console widget: where the picture lies, and painting it. Only what was damaged is painted, from the shared pixels straight into the window:
 * 1:1 is a copy, whole factors and the nearest filter are done here exactly (mks_nearest), the rest by cairo on a piece of the right size.
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>

#include "ui/mks/mks_view_private.h"

enum { RESIZE_MS = 150, BLANK_MS = 1500, MAX_CLIPS = 32, DEFAULT_W = 320, DEFAULT_H = 200 };
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
    double r = v->device_scale > 0 ? v->device_scale : w ? mks_wayland_scale(w) : 0;
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

static void relayout(LodgeMksView *v)
{
    GtkWidget *w = GTK_WIDGET(v);
    struct mks_geometry *g = &v->geo;
    double zoom = g->zoom_x;
    *g = (struct mks_geometry){.width = gtk_widget_get_allocated_width(w), .height = gtk_widget_get_allocated_height(w),
                               .scale = gtk_widget_get_scale_factor(w), .real = real_scale(v), .actual = v->scaling == LODGE_MKS_ACTUAL,
                               .may_grow = v->scaling == LODGE_MKS_STRETCH};
    if (v->session)
        lodge_mks_session_get_guest_size(v->session, &g->guest_w, &g->guest_h);
    mks_geometry_compute(g);
    set_adjustment(v, 0, (g->w + g->scale - 1) / g->scale, g->width);
    set_adjustment(v, 1, (g->h + g->scale - 1) / g->scale, g->height);
    if (g->actual) {
        g->scroll_x = v->adj[0] ? (int)lround(gtk_adjustment_get_value(v->adj[0]) * g->scale) : 0;
        g->scroll_y = v->adj[1] ? (int)lround(gtk_adjustment_get_value(v->adj[1]) * g->scale) : 0;
        mks_geometry_compute(g);
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
    *w = (int)floor(gtk_widget_get_allocated_width(GTK_WIDGET(v)) * r + 1e-6);
    *h = (int)floor(gtk_widget_get_allocated_height(GTK_WIDGET(v)) * r + 1e-6);
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

/* ---- painting ---- */

static gboolean whole_factor(const struct mks_geometry *g)
{
    return g->w >= g->guest_w && g->w % g->guest_w == 0 && g->h % g->guest_h == 0 && g->w / g->guest_w == g->h / g->guest_h;
}

/* These device pixels of the picture, as an image of their own. */
static cairo_surface_t *nearest_piece(const struct mks_geometry *g, const struct mks_picture *pic, const struct mks_box *b)
{
    cairo_surface_t *sf = cairo_image_surface_create(CAIRO_FORMAT_RGB24, b->w, b->h);
    guint8 *data = cairo_image_surface_get_data(sf);
    if (!data)
        return sf;
    int stride = cairo_image_surface_get_stride(sf), last = -1;
    int *column = g_new(int, b->w);
    for (int x = 0; x < b->w; x++)
        column[x] = mks_nearest(b->x - g->x + x, g->w, pic->width);
    for (int y = 0; y < b->h; y++) {
        int row = mks_nearest(b->y - g->y + y, g->h, pic->height);
        guint32 *out = (guint32 *)(void *)(data + (gsize)y * (gsize)stride);
        const guint32 *in = (const guint32 *)(const void *)(pic->pixels + (gsize)row * (gsize)pic->stride);
        if (row == last)
            memcpy(out, data + (gsize)(y - 1) * (gsize)stride, (gsize)b->w * 4);
        else
            for (int x = 0; x < b->w; x++)
                out[x] = in[column[x]];
        last = row;
    }
    g_free(column);
    cairo_surface_mark_dirty(sf);
    return sf;
}

static cairo_surface_t *smooth_piece(const struct mks_geometry *g, struct mks_picture *pic, const struct mks_box *b)
{
    cairo_surface_t *sf = cairo_image_surface_create(CAIRO_FORMAT_RGB24, b->w, b->h), *src = mks_picture_surface(pic);
    cairo_t *cr = cairo_create(sf);
    cairo_translate(cr, g->x - b->x, g->y - b->y);
    cairo_scale(cr, g->zoom_x, g->zoom_y);
    cairo_set_source_surface(cr, src, 0, 0);
    /* Down to half, two by two pixels are all that there is below one; the better filter costs five times as much. */
    cairo_pattern_set_filter(cairo_get_source(cr), g->zoom_x < 0.5 ? CAIRO_FILTER_GOOD : CAIRO_FILTER_BILINEAR);
    cairo_pattern_set_extend(cairo_get_source(cr), CAIRO_EXTEND_PAD);
    cairo_set_operator(cr, CAIRO_OPERATOR_SOURCE);
    cairo_paint(cr);
    cairo_destroy(cr);
    cairo_surface_destroy(src);
    return sf;
}

/* cr is in device pixels. */
static void paint_box(LodgeMksView *v, cairo_t *cr, struct mks_picture *pic, const struct mks_box *b)
{
    const struct mks_geometry *g = &v->geo;
    cairo_surface_t *sf;
    if (g->w == pic->width && g->h == pic->height) {
        sf = mks_picture_surface(pic);
        cairo_set_source_surface(cr, sf, g->x, g->y);
    } else {
        gboolean nearest = v->filter == LODGE_MKS_FILTER_NEAREST || (v->filter == LODGE_MKS_FILTER_AUTO && whole_factor(g));
        sf = nearest ? nearest_piece(g, pic, b) : smooth_piece(g, pic, b);
        cairo_set_source_surface(cr, sf, b->x, b->y);
    }
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_NEAREST);
    cairo_set_operator(cr, CAIRO_OPERATOR_SOURCE);
    cairo_rectangle(cr, b->x, b->y, b->w, b->h);
    cairo_fill(cr);
    cairo_surface_destroy(sf);
    cairo_set_operator(cr, CAIRO_OPERATOR_OVER);
}

static gboolean intersect(struct mks_box *b, int x, int y, int w, int h)
{
    int x0 = MAX(b->x, x), y0 = MAX(b->y, y), x1 = MIN(b->x + b->w, x + w), y1 = MIN(b->y + b->h, y + h);
    *b = (struct mks_box){x0, y0, x1 - x0, y1 - y0};
    return x1 > x0 && y1 > y0;
}

static void paint_picture(LodgeMksView *v, cairo_t *cr, struct mks_picture *pic)
{
    const struct mks_geometry *g = &v->geo;
    cairo_rectangle_list_t *l = cairo_copy_clip_rectangle_list(cr);
    double x0, y0, x1, y1;
    int n = l->status == CAIRO_STATUS_SUCCESS && l->num_rectangles <= MAX_CLIPS ? l->num_rectangles : 0;
    for (int i = 0; i < n; i++) {
        const cairo_rectangle_t *r = &l->rectangles[i];
        struct mks_box b = {(int)floor(r->x), (int)floor(r->y), 0, 0};
        b.w = (int)ceil(r->x + r->width) - b.x;
        b.h = (int)ceil(r->y + r->height) - b.y;
        if (intersect(&b, g->x, g->y, g->w, g->h))
            paint_box(v, cr, pic, &b);
    }
    cairo_rectangle_list_destroy(l);
    if (n)
        return;
    cairo_clip_extents(cr, &x0, &y0, &x1, &y1);
    struct mks_box b = {(int)floor(x0), (int)floor(y0), (int)ceil(x1) - (int)floor(x0), (int)ceil(y1) - (int)floor(y0)};
    if (intersect(&b, g->x, g->y, g->w, g->h))
        paint_box(v, cr, pic, &b);
}

/* The guest's pointer, where the host's is not in its place. */
static void paint_cursor(LodgeMksView *v, cairo_t *cr)
{
    const struct mks_cursor *c = mks_session_cursor(v->session);
    const struct mks_geometry *g = &v->geo;
    if (!c->argb || !c->shown || lodge_mks_session_get_pointer_absolute(v->session))
        return;
    cairo_surface_t *sf = cairo_image_surface_create_for_data((guint8 *)c->argb, CAIRO_FORMAT_ARGB32, c->width, c->height, c->width * 4);
    cairo_save(cr);
    cairo_rectangle(cr, g->x, g->y, g->w, g->h);
    cairo_clip(cr);
    cairo_translate(cr, g->x + floor((c->x - c->hot_x) * g->zoom_x), g->y + floor((c->y - c->hot_y) * g->zoom_y));
    cairo_scale(cr, g->zoom_x, g->zoom_y);
    cairo_set_source_surface(cr, sf, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), g->zoom_x == floor(g->zoom_x) ? CAIRO_FILTER_NEAREST : CAIRO_FILTER_BILINEAR);
    cairo_paint(cr);
    cairo_restore(cr);
    cairo_surface_destroy(sf);
}

static const char *status_of(LodgeMksView *v)
{
    if (v->status_text)
        return v->status_text;
    if (!v->session)
        return "";
    const char *error = lodge_mks_session_get_error(v->session);
    if (*error)
        return error;
    switch (lodge_mks_session_get_state(v->session)) {
    case LODGE_MKS_CONNECTING:
        return _("Connecting…");
    case LODGE_MKS_NO_PICTURE:
        return _("The guest shows nothing yet.");
    case LODGE_MKS_PAUSED:
        return _("Paused. Click to continue.");
    case LODGE_MKS_OFF:
        return _("The machine is off.");
    case LODGE_MKS_RUNNING:
        return v->say_blank ? _("The guest has switched its display off. A key or the pointer may wake it.") : "";
    case LODGE_MKS_CLOSED:
    case LODGE_MKS_FAULT:
        break;
    }
    return "";
}

/* cr is in application pixels. */
static void paint_status(LodgeMksView *v, cairo_t *cr)
{
    const char *text = status_of(v);
    int w = gtk_widget_get_allocated_width(GTK_WIDGET(v)), h = gtk_widget_get_allocated_height(GTK_WIDGET(v)), tw, th;
    gboolean paused = v->session && lodge_mks_session_get_state(v->session) == LODGE_MKS_PAUSED && !v->status_text;
    if (!*text)
        return;
    if (v->geo.w) {
        cairo_set_source_rgba(cr, 0, 0, 0, 0.6);
        cairo_paint(cr);
    }
    PangoLayout *l = gtk_widget_create_pango_layout(GTK_WIDGET(v), text);
    pango_layout_set_width(l, MAX(100, w - 40) * PANGO_SCALE);
    pango_layout_set_wrap(l, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_alignment(l, PANGO_ALIGN_CENTER);
    pango_layout_get_pixel_size(l, &tw, &th);
    double r = paused ? CLAMP(MIN(w, h) / 8, 16, 64) : 0, y = (h - th - (paused ? 2 * r + 16 : 0)) / 2;
    if (paused) {
        double cx = w / 2.0, cy = y + r;
        cairo_set_source_rgba(cr, 1, 1, 1, 0.85);
        cairo_arc(cr, cx, cy, r, 0, 2 * G_PI);
        cairo_fill(cr);
        cairo_set_source_rgb(cr, 0.1, 0.1, 0.1);
        cairo_move_to(cr, cx - r * 0.3, cy - r * 0.5);
        cairo_line_to(cr, cx - r * 0.3, cy + r * 0.5);
        cairo_line_to(cr, cx + r * 0.55, cy);
        cairo_close_path(cr);
        cairo_fill(cr);
        y += 2 * r + 16;
    }
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_move_to(cr, (w - MAX(100, w - 40)) / 2.0, y);
    pango_cairo_show_layout(cr, l);
    g_object_unref(l);
}

static gboolean view_draw(GtkWidget *w, cairo_t *cr)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    const struct mks_geometry *g = &v->geo;
    struct mks_picture *pic = v->session ? mks_session_picture(v->session) : NULL;
    double s = gtk_widget_get_scale_factor(w);
    gboolean shown = pic && pic->width == g->guest_w && pic->height == g->guest_h;
    cairo_save(cr);
    cairo_scale(cr, 1 / s, 1 / s);
    /* The surround, without the picture's place: nothing is painted twice. */
    cairo_set_fill_rule(cr, CAIRO_FILL_RULE_EVEN_ODD);
    cairo_rectangle(cr, 0, 0, g->width * s, g->height * s);
    if (shown)
        cairo_rectangle(cr, g->x, g->y, g->w, g->h);
    cairo_set_source_rgb(cr, 0, 0, 0);
    cairo_fill(cr);
    cairo_rectangle(cr, 0, 0, g->width * s, g->height * s);
    cairo_clip(cr);
    if (shown) {
        paint_picture(v, cr, pic);
        paint_cursor(v, cr);
    }
    cairo_restore(cr);
    paint_status(v, cr);
    if (v->session)
        mks_session_painted(v->session);
    return TRUE;
}

/* ---- what the session says ---- */

static void on_damage(LodgeMksSession *s, int x, int y, int w, int h, LodgeMksView *v)
{
    struct mks_box guest = {x, y, w, h}, b;
    int gw, gh, sc = v->geo.scale;
    if (!v->visible)
        return;
    lodge_mks_session_get_guest_size(s, &gw, &gh);
    if (gw != v->geo.guest_w || gh != v->geo.guest_h) {
        relayout(v);
        return;
    }
    mks_geometry_from_guest(&v->geo, &guest, &b);
    if (intersect(&b, 0, 0, v->geo.width * sc, v->geo.height * sc))
        gtk_widget_queue_draw_area(GTK_WIDGET(v), b.x / sc, b.y / sc, (b.x + b.w + sc - 1) / sc - b.x / sc, (b.y + b.h + sc - 1) / sc - b.y / sc);
    else
        mks_session_painted(s); /* scrolled out of sight: nothing to wait for */
}

static void on_cursor(LodgeMksSession *s, LodgeMksView *v)
{
    if (!lodge_mks_session_get_pointer_absolute(s))
        gtk_widget_queue_draw(GTK_WIDGET(v));
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
    gtk_widget_queue_draw(GTK_WIDGET(v));
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
        gtk_widget_queue_draw(GTK_WIDGET(v));
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
    wk->draw = view_draw;
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
