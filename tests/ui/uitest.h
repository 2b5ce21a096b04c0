/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests with a window: waiting in the main loop, xdotool, pixels of the screen. */
#ifndef LODGE_TESTS_UITEST_H
#define LODGE_TESTS_UITEST_H

#include <gtk/gtk.h>
#include <stdbool.h>
#include <string.h>

#include "tests/tap.h"

static gboolean ui_stop(gpointer u)
{
    *(bool *)u = true;
    return G_SOURCE_REMOVE;
}

static gboolean ui_count(gpointer u)
{
    return --*(guint *)u > 0;
}

/* Runs the main loop for so many milliseconds; longer when this program hardly gets the processor, which others will then not get either. */
static inline void settle(guint ms)
{
    guint left = ms ? ms : 1;
    g_timeout_add(1, ui_count, &left);
    while (left)
        g_main_context_iteration(NULL, TRUE);
}

/* Runs it until cond holds; false after a minute, which is for a machine that does much else. */
#define AWAIT(cond)                                                 \
    ({                                                              \
        gint64 ui_end = g_get_monotonic_time() + 60000000;          \
        while (!(cond) && g_get_monotonic_time() < ui_end) {        \
            bool ui_over = false;                                   \
            guint ui_id = g_timeout_add(20, ui_stop, &ui_over);     \
            g_main_context_iteration(NULL, TRUE);                   \
            if (!ui_over)                                           \
                g_source_remove(ui_id);                             \
        }                                                           \
        (bool)(cond);                                               \
    })

/* cond comes, and is there after so many milliseconds more: nothing that is not wanted comes behind it. */
#define STAYS(ms, cond) (AWAIT(cond), settle(ms), (bool)(cond))

static void ui_child(GPid pid, gint status, gpointer u)
{
    (void)status;
    g_spawn_close_pid(pid);
    *(bool *)u = true;
}

/* A line of xdotool's commands, chained. */
static inline void xdo(const char *commands)
{
    char *line = g_strconcat("xdotool ", commands, NULL), **argv = NULL;
    GPid pid;
    bool over = false;
    if (g_shell_parse_argv(line, NULL, &argv, NULL) &&
        g_spawn_async(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &pid, NULL)) {
        g_child_watch_add(pid, ui_child, &over);
        while (!over)
            g_main_context_iteration(NULL, TRUE);
    }
    g_strfreev(argv);
    g_free(line);
}

/* What the X server shows at this place of the widget, in device pixels; one 0x00RRGGBB each. */
static inline uint32_t *grab_pixels(GtkWidget *w, int *width, int *height)
{
    int s = gtk_widget_get_scale_factor(w), rx, ry, aw = gtk_widget_get_allocated_width(w), ah = gtk_widget_get_allocated_height(w);
    gdk_window_get_origin(gtk_widget_get_window(w), &rx, &ry);
    GdkPixbuf *pb = gdk_pixbuf_get_from_window(gdk_get_default_root_window(), rx, ry, aw, ah);
    *width = *height = 0;
    if (!pb)
        return NULL;
    *width = gdk_pixbuf_get_width(pb);
    *height = gdk_pixbuf_get_height(pb);
    if (*width != aw * s)
        printf("# grabbed %d pixels, want %d\n", *width, aw * s);
    uint32_t *out = g_new(uint32_t, *width * *height);
    int n = gdk_pixbuf_get_n_channels(pb), stride = gdk_pixbuf_get_rowstride(pb);
    const guint8 *p = gdk_pixbuf_read_pixels(pb);
    for (int y = 0; y < *height; y++)
        for (int x = 0; x < *width; x++) {
            const guint8 *q = p + (gsize)y * (gsize)stride + (gsize)(x * n);
            out[y * *width + x] = (uint32_t)q[0] << 16 | (uint32_t)q[1] << 8 | q[2];
        }
    g_object_unref(pb);
    return out;
}

#endif
