/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UiGraph: newest value at the right, a sample every 1/120 of the width. The scale ends at a round number above the largest value shown, and
 * changes only when it must, so that the picture does not jump.
 */
#include "ui-graph.h"

#include <glib/gi18n.h>
#include <math.h>

enum { SAMPLES = 121, SERIES_MAX = 8, LINES = 4, MARGIN_TOP = 6, MARGIN_BOTTOM = 6 };

struct _UiGraph {
    GtkDrawingArea parent;
    const UiGraphSeries *series;
    guint n, count, at; /* at: where the next sample goes */
    guint64 value[SAMPLES][SERIES_MAX];
    gboolean known[SAMPLES];
    guint64 top;
};
G_DEFINE_TYPE(UiGraph, ui_graph, GTK_TYPE_DRAWING_AREA)

/* With the units that the rest of the window has for memory and disks. */
char *ui_graph_format(guint64 bytes)
{
    double mb = (double)bytes / (1 << 20);
    return bytes ? g_strdup_printf(mb < 1024 ? _("%.1f MB") : _("%.1f GB"), mb < 1024 ? mb : mb / 1024) : g_strdup_printf(_("%u MB"), 0u);
}

/* The i-th newest sample. */
static guint sample(const UiGraph *g, guint i) { return (g->at + SAMPLES - 1 - i) % SAMPLES; }

static void set_scale(UiGraph *g)
{
    guint64 max = 0;
    for (guint i = 0; i < g->count; i++)
        for (guint k = 0; k < g->n && g->known[sample(g, i)]; k++)
            max = MAX(max, g->value[sample(g, i)][k]);
    /* 64 MiB, 128, 192, 256, 384, 512, 768, 1024 ...: four lines at round numbers each. */
    guint64 step = 16 << 20;
    while (step * LINES < max)
        step = step * LINES * 3 / 2 >= max && !(step & (step - 1)) ? step * 3 / 2 : (step & (step - 1)) ? step / 3 * 4 : step * 2;
    if (step * LINES > g->top || max * 3 < g->top)
        g->top = step * LINES;
}

static void draw_scale(UiGraph *g, cairo_t *cr, double left, double w, double h, const GdkRGBA *fg)
{
    cairo_set_line_width(cr, 1);
    for (int i = 0; i <= LINES; i++) {
        double y = floor(MARGIN_TOP + h - h * i / LINES) + 0.5;
        cairo_set_source_rgba(cr, fg->red, fg->green, fg->blue, i ? 0.15 : 0.4);
        cairo_move_to(cr, left, y);
        cairo_line_to(cr, left + w, y);
        cairo_stroke(cr);
        if (!g->top)
            continue;
        g_autofree char *text = ui_graph_format(g->top / LINES * (guint64)i);
        g_autoptr(PangoLayout) l = gtk_widget_create_pango_layout(GTK_WIDGET(g), text);
        int tw, th;
        pango_layout_get_pixel_size(l, &tw, &th);
        cairo_set_source_rgba(cr, fg->red, fg->green, fg->blue, 0.7);
        cairo_move_to(cr, left - tw - 6, CLAMP(y - th / 2.0, 0, MARGIN_TOP + h + MARGIN_BOTTOM - th));
        pango_cairo_show_layout(cr, l);
    }
}

static void draw_series(UiGraph *g, cairo_t *cr, guint k, double left, double w, double h)
{
    GdkRGBA c = {0, 0, 0, 1};
    const double dash[] = {5, 4};
    gdk_rgba_parse(&c, g->series[k].colour);
    cairo_save(cr);
    cairo_rectangle(cr, left, 0, w, MARGIN_TOP + h + 1);
    cairo_clip(cr);
    cairo_set_line_width(cr, 2);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    if (g->series[k].style == UI_GRAPH_DASHED)
        cairo_set_dash(cr, dash, 2, 0);
    for (guint i = 0; i < g->count;) {
        guint from = i;
        double x = 0;
        for (; i < g->count && g->known[sample(g, i)]; i++) {
            double y = MARGIN_TOP + h - h * (double)g->value[sample(g, i)][k] / (double)MAX(g->top, 1);
            x = left + w - w * i / (SAMPLES - 1);
            i == from ? cairo_move_to(cr, x, y) : cairo_line_to(cr, x, y);
        }
        if (i == from) {
            i++;
            continue;
        }
        gdk_cairo_set_source_rgba(cr, &c);
        if (g->series[k].style == UI_GRAPH_FILLED) {
            cairo_stroke_preserve(cr);
            cairo_line_to(cr, x, MARGIN_TOP + h);
            cairo_line_to(cr, left + w - w * from / (SAMPLES - 1), MARGIN_TOP + h);
            cairo_close_path(cr);
            cairo_set_source_rgba(cr, c.red, c.green, c.blue, 0.25);
            cairo_fill(cr);
        } else {
            cairo_stroke(cr);
        }
    }
    cairo_restore(cr);
}

static gboolean draw(GtkWidget *widget, cairo_t *cr)
{
    UiGraph *g = UI_GRAPH(widget);
    GtkStyleContext *sc = gtk_widget_get_style_context(widget);
    int tw, th;
    GdkRGBA fg;
    gtk_style_context_get_color(sc, gtk_style_context_get_state(sc), &fg);
    /* Room for the widest label, so that the left edge stays where it is. */
    g_autoptr(PangoLayout) l = gtk_widget_create_pango_layout(widget, "888.8 MB");
    pango_layout_get_pixel_size(l, &tw, &th);
    double left = tw + 8, w = gtk_widget_get_allocated_width(widget) - left - 1, h = gtk_widget_get_allocated_height(widget) - MARGIN_TOP - MARGIN_BOTTOM;
    if (w < 10 || h < 10)
        return GDK_EVENT_PROPAGATE;
    draw_scale(g, cr, left, w, h, &fg);
    for (guint k = 0; k < g->n; k++)
        draw_series(g, cr, k, left, w, h);
    return GDK_EVENT_PROPAGATE;
}

void ui_graph_push(UiGraph *g, const guint64 *values)
{
    g->known[g->at] = values != NULL;
    for (guint k = 0; k < g->n; k++)
        g->value[g->at][k] = values ? values[k] : 0;
    g->at = (g->at + 1) % SAMPLES;
    g->count = MIN(g->count + 1, SAMPLES);
    set_scale(g);
    gtk_widget_queue_draw(GTK_WIDGET(g));
}

void ui_graph_clear(UiGraph *g)
{
    g->count = g->at = 0;
    g->top = 0;
    gtk_widget_queue_draw(GTK_WIDGET(g));
}

GtkWidget *ui_graph_new(const UiGraphSeries *series, guint n)
{
    UiGraph *g = g_object_new(UI_TYPE_GRAPH, NULL);
    g->series = series;
    g->n = MIN(n, SERIES_MAX);
    return GTK_WIDGET(g);
}

static void ui_graph_init(UiGraph *g) { gtk_widget_set_size_request(GTK_WIDGET(g), 320, 140); }

static void ui_graph_class_init(UiGraphClass *k) { GTK_WIDGET_CLASS(k)->draw = draw; }
