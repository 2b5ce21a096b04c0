/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A graph of amounts of memory over the last two minutes, drawn by cairo. It knows numbers and colours, nothing of machines. */
#ifndef LODGE_UI_GRAPH_H
#define LODGE_UI_GRAPH_H

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define UI_TYPE_GRAPH (ui_graph_get_type())
G_DECLARE_FINAL_TYPE(UiGraph, ui_graph, UI, GRAPH, GtkDrawingArea)

typedef enum { UI_GRAPH_LINE, UI_GRAPH_DASHED, UI_GRAPH_FILLED } UiGraphStyle;
typedef struct {
    const char *colour; /* as gdk_rgba_parse reads it */
    UiGraphStyle style;
} UiGraphSeries;

/* The array stays the caller's and must live as long as the graph. */
GtkWidget *ui_graph_new(const UiGraphSeries *series, guint n);
/* One more second: a value for each series, in bytes; NULL: nothing is known of it, the lines are broken. */
void ui_graph_push(UiGraph *g, const guint64 *values);
void ui_graph_clear(UiGraph *g);
char *ui_graph_format(guint64 bytes); /* "1.5 GB", as the scale has it; g_free */

G_END_DECLS

#endif
