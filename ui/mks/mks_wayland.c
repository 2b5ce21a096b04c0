/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wayland, what GTK+ 3 does not offer: a locked pointer with relative movement (pointer-constraints, relative-pointer), and how many real pixels
 * the monitor has to an application pixel, which with fractional scaling is not GDK's whole factor. The surface for such monitors: mks_surface.c.
 */
#include "config.h"
#include "ui/mks/mks_view_private.h"

#include <gdk/gdk.h>
#include <math.h>
#if defined(GDK_WINDOWING_WAYLAND) && defined(HAVE_WAYLAND)
#include <gdk/gdkwayland.h>
#include <string.h>
#include <wayland-client.h>

#include "gen/fractional-scale.h"
#include "gen/pointer-constraints.h"
#include "gen/relative-pointer.h"
#include "gen/viewporter.h"
#include "gen/xdg-output.h"
#include "ui/mks/mks_wayland.h"

struct output {
    struct wl_output *wl;
    struct zxdg_output_v1 *xdg;
    guint32 name;
    int x, y, width, height, transform;
    int logical_w; /* application pixels; 0: not known */
};

struct lock {
    struct zwp_locked_pointer_v1 *locked;
    struct zwp_relative_pointer_v1 *relative;
    mks_motion_fn fn;
    gpointer u;
};

gboolean mks_wayland_is(GdkDisplay *d) { return GDK_IS_WAYLAND_DISPLAY(d); }

/* ---- globals ---- */

static void output_geometry(void *u, struct wl_output *wl, int32_t x, int32_t y, int32_t pw, int32_t ph, int32_t sub, const char *make, const char *model,
                            int32_t transform)
{
    struct output *o = u;
    (void)wl, (void)pw, (void)ph, (void)sub, (void)make, (void)model;
    o->x = x;
    o->y = y;
    o->transform = transform;
}
static void output_mode(void *u, struct wl_output *wl, uint32_t flags, int32_t w, int32_t h, int32_t refresh)
{
    struct output *o = u;
    (void)wl, (void)refresh;
    if (flags & WL_OUTPUT_MODE_CURRENT) {
        o->width = w;
        o->height = h;
    }
}
static void output_done(void *u, struct wl_output *wl) { (void)u, (void)wl; }
static void output_scale(void *u, struct wl_output *wl, int32_t f) { (void)u, (void)wl, (void)f; }
static const struct wl_output_listener output_listener = {.geometry = output_geometry, .mode = output_mode, .done = output_done, .scale = output_scale};

/* Compositors that know xdg-output may leave out the place above. */
static void logical_position(void *u, struct zxdg_output_v1 *xo, int32_t x, int32_t y)
{
    struct output *o = u;
    (void)xo;
    o->x = x;
    o->y = y;
}
static void logical_size(void *u, struct zxdg_output_v1 *xo, int32_t w, int32_t h)
{
    struct output *o = u;
    (void)xo, (void)h;
    o->logical_w = w;
}
static void xdg_done(void *u, struct zxdg_output_v1 *xo) { (void)u, (void)xo; }
static void xdg_text(void *u, struct zxdg_output_v1 *xo, const char *s) { (void)u, (void)xo, (void)s; }
static const struct zxdg_output_v1_listener xdg_listener = {
    .logical_position = logical_position, .logical_size = logical_size, .done = xdg_done, .name = xdg_text, .description = xdg_text};

static void ask_logical(struct mks_wayland *g, struct output *o)
{
    if (!g->xdg_output || o->xdg)
        return;
    o->xdg = zxdg_output_manager_v1_get_xdg_output(g->xdg_output, o->wl);
    zxdg_output_v1_add_listener(o->xdg, &xdg_listener, o);
}

static void global_came(void *u, struct wl_registry *r, uint32_t name, const char *iface, uint32_t version)
{
    struct mks_wayland *g = u;
    if (!strcmp(iface, zwp_pointer_constraints_v1_interface.name)) {
        g->constraints = wl_registry_bind(r, name, &zwp_pointer_constraints_v1_interface, 1);
    } else if (!strcmp(iface, zwp_relative_pointer_manager_v1_interface.name)) {
        g->relative = wl_registry_bind(r, name, &zwp_relative_pointer_manager_v1_interface, 1);
    } else if (!strcmp(iface, wl_subcompositor_interface.name)) {
        g->subcompositor = wl_registry_bind(r, name, &wl_subcompositor_interface, 1);
    } else if (!strcmp(iface, wl_shm_interface.name)) {
        g->shm = wl_registry_bind(r, name, &wl_shm_interface, 1);
    } else if (!strcmp(iface, wp_viewporter_interface.name)) {
        g->viewporter = wl_registry_bind(r, name, &wp_viewporter_interface, 1);
    } else if (!strcmp(iface, wp_fractional_scale_manager_v1_interface.name)) {
        g->fractional = wl_registry_bind(r, name, &wp_fractional_scale_manager_v1_interface, 1);
    } else if (!strcmp(iface, zxdg_output_manager_v1_interface.name) && version >= 2) {
        g->xdg_output = wl_registry_bind(r, name, &zxdg_output_manager_v1_interface, 2);
        for (GSList *l = g->outputs; l; l = l->next)
            ask_logical(g, l->data);
    } else if (!strcmp(iface, wl_output_interface.name) && version >= 2) {
        struct output *o = g_new0(struct output, 1);
        o->name = name;
        o->wl = wl_registry_bind(r, name, &wl_output_interface, 2);
        wl_output_add_listener(o->wl, &output_listener, o);
        g->outputs = g_slist_append(g->outputs, o);
        ask_logical(g, o);
    }
}
static void global_gone(void *u, struct wl_registry *r, uint32_t name)
{
    struct mks_wayland *g = u;
    (void)r;
    for (GSList *l = g->outputs; l; l = l->next) {
        struct output *o = l->data;
        if (o->name != name)
            continue;
        if (o->xdg)
            zxdg_output_v1_destroy(o->xdg);
        wl_output_destroy(o->wl);
        g_free(o);
        g->outputs = g_slist_delete_link(g->outputs, l);
        return;
    }
}
static const struct wl_registry_listener registry_listener = {.global = global_came, .global_remove = global_gone};

static void to_default_queue(gpointer proxy)
{
    if (proxy)
        wl_proxy_set_queue(proxy, NULL);
}

/* Once for each display, and kept with it. The first round has a queue of its own, so that none of GDK's events runs inside of it. */
struct mks_wayland *mks_wayland_of(GdkDisplay *d)
{
    static const char key[] = "lodge-mks-wayland";
    struct mks_wayland *g = g_object_get_data(G_OBJECT(d), key);
    if (g)
        return g;
    g = g_new0(struct mks_wayland, 1);
    g_object_set_data(G_OBJECT(d), key, g);
    struct wl_display *wl = gdk_wayland_display_get_wl_display(d);
    struct wl_event_queue *q = wl_display_create_queue(wl);
    struct wl_display *wrapped = wl_proxy_create_wrapper(wl);
    wl_proxy_set_queue((struct wl_proxy *)wrapped, q);
    g->registry = wl_display_get_registry(wrapped);
    wl_proxy_wrapper_destroy(wrapped);
    wl_registry_add_listener(g->registry, &registry_listener, g);
    wl_display_roundtrip_queue(wl, q); /* the globals */
    wl_display_roundtrip_queue(wl, q); /* what the outputs say */
    gpointer proxies[] = {g->registry, g->constraints, g->relative, g->subcompositor, g->shm, g->viewporter, g->fractional, g->xdg_output};
    for (gsize i = 0; i < G_N_ELEMENTS(proxies); i++)
        to_default_queue(proxies[i]);
    for (GSList *l = g->outputs; l; l = l->next) {
        to_default_queue(((struct output *)l->data)->wl);
        to_default_queue(((struct output *)l->data)->xdg);
    }
    wl_event_queue_destroy(q);
    return g;
}

/* ---- scale ---- */

/* A monitor's size in application pixels is rounded: its scale is the nearest of which there are 120 between two whole numbers, in steps of 5 %. */
static double nice_scale(double s)
{
    double nice = round(s * 20) / 20;
    return fabs(nice - s) < 0.004 ? nice : round(s * 120) / 120;
}

double mks_wayland_scale(GdkWindow *w)
{
    GdkDisplay *d = gdk_window_get_display(w);
    if (!GDK_IS_WAYLAND_DISPLAY(d))
        return 0;
    GdkMonitor *m = gdk_display_get_monitor_at_window(d, w);
    GdkRectangle r;
    if (!m)
        return 0;
    gdk_monitor_get_geometry(m, &r);
    struct mks_wayland *g = mks_wayland_of(d);
    for (GSList *l = g->outputs; l; l = l->next) {
        struct output *o = l->data;
        int width = o->transform & 1 ? o->height : o->width, logical = o->logical_w > 0 ? o->logical_w : r.width;
        if (width > 0 && logical > 0 && ((o->x == r.x && o->y == r.y) || !g->outputs->next))
            return nice_scale((double)width / logical);
    }
    return 0;
}

/* ---- pointer ---- */

static void relative_motion(void *u, struct zwp_relative_pointer_v1 *p, uint32_t hi, uint32_t lo, wl_fixed_t dx, wl_fixed_t dy, wl_fixed_t udx, wl_fixed_t udy)
{
    struct lock *l = u;
    (void)p, (void)hi, (void)lo, (void)dx, (void)dy;
    l->fn(l->u, wl_fixed_to_double(udx), wl_fixed_to_double(udy)); /* the guest accelerates by itself */
}
static const struct zwp_relative_pointer_v1_listener relative_listener = {.relative_motion = relative_motion};

gpointer mks_wayland_lock_pointer(GdkWindow *w, GdkDevice *pointer, mks_motion_fn fn, gpointer u)
{
    GdkDisplay *d = gdk_window_get_display(w);
    if (!GDK_IS_WAYLAND_DISPLAY(d))
        return NULL;
    struct mks_wayland *g = mks_wayland_of(d);
    struct wl_surface *sf = gdk_wayland_window_get_wl_surface(gdk_window_get_effective_toplevel(w));
    struct wl_pointer *p = gdk_wayland_device_get_wl_pointer(pointer);
    if (!g->constraints || !g->relative || !sf || !p)
        return NULL;
    struct lock *l = g_new0(struct lock, 1);
    l->fn = fn;
    l->u = u;
    l->relative = zwp_relative_pointer_manager_v1_get_relative_pointer(g->relative, p);
    zwp_relative_pointer_v1_add_listener(l->relative, &relative_listener, l);
    l->locked = zwp_pointer_constraints_v1_lock_pointer(g->constraints, sf, p, NULL, ZWP_POINTER_CONSTRAINTS_V1_LIFETIME_PERSISTENT);
    return l;
}

void mks_wayland_unlock_pointer(gpointer lock)
{
    struct lock *l = lock;
    zwp_locked_pointer_v1_destroy(l->locked);
    zwp_relative_pointer_v1_destroy(l->relative);
    g_free(l);
}
#else
gboolean mks_wayland_is(GdkDisplay *d) { return (void)d, FALSE; }
double mks_wayland_scale(GdkWindow *w) { return (void)w, 0; }
gpointer mks_wayland_lock_pointer(GdkWindow *w, GdkDevice *pointer, mks_motion_fn fn, gpointer u) { return (void)w, (void)pointer, (void)fn, (void)u, NULL; }
void mks_wayland_unlock_pointer(gpointer lock) { (void)lock; }
#endif
