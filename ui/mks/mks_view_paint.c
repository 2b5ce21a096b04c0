/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Painting of the console widget. Only what was damaged is painted, from the shared pixels straight into the window: 1:1 is a copy, whole factors
 * and the nearest filter are done here exactly (mks_nearest), the rest by cairo on a piece of the right size. On Wayland desktops scaled by
 * fractions the same goes into a surface of its own (mks_surface.h), and the window has a hole.
 */
#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>

#include "ui/mks/mks_view_private.h"

enum { MAX_CLIPS = 32 };

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
        if (mks_box_intersect(&b, g->x, g->y, g->w, g->h))
            paint_box(v, cr, pic, &b);
    }
    cairo_rectangle_list_destroy(l);
    if (n)
        return;
    cairo_clip_extents(cr, &x0, &y0, &x1, &y1);
    struct mks_box b = {(int)floor(x0), (int)floor(y0), (int)ceil(x1) - (int)floor(x0), (int)ceil(y1) - (int)floor(y0)};
    if (mks_box_intersect(&b, g->x, g->y, g->w, g->h))
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

/* The area: surround and picture. cr is in device pixels, its origin the area's corner. */
void mks_view_paint_area(LodgeMksView *v, cairo_t *cr)
{
    const struct mks_geometry *g = &v->geo;
    struct mks_picture *pic = v->session ? mks_session_picture(v->session) : NULL;
    gboolean shown = pic && pic->width == g->guest_w && pic->height == g->guest_h;
    cairo_save(cr);
    cairo_rectangle(cr, 0, 0, g->dev_w, g->dev_h);
    cairo_clip(cr);
    /* The surround, without the picture's place: nothing is painted twice. */
    cairo_set_fill_rule(cr, CAIRO_FILL_RULE_EVEN_ODD);
    cairo_rectangle(cr, 0, 0, g->dev_w, g->dev_h);
    if (shown)
        cairo_rectangle(cr, g->x, g->y, g->w, g->h);
    cairo_set_source_rgb(cr, 0, 0, 0);
    cairo_fill(cr);
    if (shown) {
        paint_picture(v, cr, pic);
        paint_cursor(v, cr);
    }
    cairo_restore(cr);
    if (v->session)
        mks_session_painted(v->session);
}

/* The window's part when the picture has a surface: a hole in which that is seen, black where the surface does not reach. */
static void paint_hole(LodgeMksView *v, cairo_t *cr)
{
    const struct mks_geometry *g = &v->geo;
    mks_view_place_surface(v);
    cairo_save(cr);
    cairo_set_source_rgb(cr, 0, 0, 0);
    cairo_paint(cr);
    cairo_rectangle(cr, g->ox, g->oy, g->width, g->height);
    cairo_set_operator(cr, CAIRO_OPERATOR_CLEAR);
    cairo_fill(cr);
    cairo_restore(cr);
    /* GTK tells the compositor that the window hides what is below it, each time that it has laid it out. */
    gdk_window_set_opaque_region(gdk_window_get_toplevel(gtk_widget_get_window(GTK_WIDGET(v))), NULL);
}

gboolean mks_view_draw(GtkWidget *w, cairo_t *cr)
{
    LodgeMksView *v = LODGE_MKS_VIEW(w);
    double s = gtk_widget_get_scale_factor(w);
    if (v->surface) {
        paint_hole(v, cr);
    } else {
        cairo_save(cr);
        cairo_scale(cr, 1 / s, 1 / s);
        mks_view_paint_area(v, cr);
        cairo_restore(cr);
    }
    paint_status(v, cr);
    return TRUE;
}
