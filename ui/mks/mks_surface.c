/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console's own surface (mks_surface.h): a desynchronised subsurface, two or three buffers in shared memory, one frame callback. Each buffer
 * remembers what has changed since it was painted, so that a small change costs a small copy.
 */
#define _GNU_SOURCE
#include "config.h"
#include "ui/mks/mks_surface.h"

#if defined(GDK_WINDOWING_WAYLAND) && defined(HAVE_WAYLAND)
#include <gdk/gdkwayland.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gen/fractional-scale.h"
#include "gen/viewporter.h"
#include "ui/mks/mks_wayland.h"

enum { MAX_BUFFERS = 3, MAX_SIDE = 16384 };

struct buffer {
    struct mks_surface *s;
    struct wl_buffer *wl;
    guint8 *data;
    gsize size;
    int width, height;
    gboolean busy; /* the compositor reads it */
    cairo_region_t *stale;
};

struct mks_surface {
    struct mks_wayland *g;
    struct mks_surface_fns fns;
    gpointer u;
    struct wl_surface *wl;
    struct wl_subsurface *sub;
    struct wp_viewport *viewport;
    struct wp_fractional_scale_v1 *fractional;
    struct wl_callback *frame;
    struct wl_compositor *compositor;
    double scale;
    struct mks_box area;
    int width, height;
    GSList *buffers;        /* of struct buffer; those of another size are only waited for */
    cairo_region_t *damage; /* since the last commit */
    guint idle;
};

/* ---- buffers ---- */

static void buffer_free(struct buffer *b)
{
    if (b->wl)
        wl_buffer_destroy(b->wl);
    if (b->data)
        munmap(b->data, b->size);
    cairo_region_destroy(b->stale);
    g_free(b);
}

static void schedule(struct mks_surface *s);

static void released(void *u, struct wl_buffer *wl)
{
    struct buffer *b = u;
    struct mks_surface *s = b->s;
    (void)wl;
    b->busy = FALSE;
    if (b->width != s->width || b->height != s->height) {
        s->buffers = g_slist_remove(s->buffers, b);
        buffer_free(b);
    }
    schedule(s);
}
static const struct wl_buffer_listener buffer_listener = {.release = released};

static void stale_all(struct buffer *b)
{
    cairo_region_union_rectangle(b->stale, &(cairo_rectangle_int_t){0, 0, b->width, b->height});
}

static struct buffer *buffer_new(struct mks_surface *s)
{
    struct buffer *b = g_new0(struct buffer, 1);
    int stride = s->width * 4;
    *b = (struct buffer){.s = s, .width = s->width, .height = s->height, .size = (gsize)stride * (gsize)s->height, .stale = cairo_region_create()};
    int fd = memfd_create("lodge-console", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)b->size) ||
        (b->data = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        b->data = NULL;
        if (fd >= 0)
            close(fd);
        buffer_free(b);
        return NULL;
    }
    struct wl_shm_pool *pool = wl_shm_create_pool(s->g->shm, fd, (int32_t)b->size);
    b->wl = wl_shm_pool_create_buffer(pool, 0, s->width, s->height, stride, WL_SHM_FORMAT_XRGB8888);
    wl_shm_pool_destroy(pool);
    close(fd);
    wl_buffer_add_listener(b->wl, &buffer_listener, b);
    stale_all(b);
    s->buffers = g_slist_prepend(s->buffers, b);
    return b;
}

/* One that may be painted; NULL: wait for a release. */
static struct buffer *free_buffer(struct mks_surface *s)
{
    int n = 0;
    for (GSList *l = s->buffers; l; l = l->next) {
        struct buffer *b = l->data;
        if (b->width != s->width || b->height != s->height)
            continue;
        if (!b->busy)
            return b;
        n++;
    }
    return n < MAX_BUFFERS ? buffer_new(s) : NULL;
}

/* ---- frames ---- */

static void frame_done(void *u, struct wl_callback *cb, uint32_t time)
{
    struct mks_surface *s = u;
    (void)time;
    wl_callback_destroy(cb);
    s->frame = NULL;
    schedule(s);
}
static const struct wl_callback_listener frame_listener = {.done = frame_done};

static void paint(struct mks_surface *s)
{
    struct buffer *b;
    if (s->width <= 0 || s->height <= 0 || cairo_region_is_empty(s->damage) || !(b = free_buffer(s)))
        return;
    cairo_surface_t *sf = cairo_image_surface_create_for_data(b->data, CAIRO_FORMAT_RGB24, b->width, b->height, b->width * 4);
    cairo_t *cr = cairo_create(sf);
    gdk_cairo_region(cr, b->stale);
    cairo_clip(cr);
    s->fns.paint(s->u, cr);
    cairo_destroy(cr);
    cairo_surface_flush(sf);
    cairo_surface_destroy(sf);
    cairo_region_destroy(b->stale);
    b->stale = cairo_region_create();
    wl_surface_attach(s->wl, b->wl, 0, 0);
    b->busy = TRUE;
    int n = cairo_region_num_rectangles(s->damage);
    if (wl_surface_get_version(s->wl) < WL_SURFACE_DAMAGE_BUFFER_SINCE_VERSION)
        wl_surface_damage(s->wl, 0, 0, s->area.w, s->area.h);
    else
        for (int i = 0; i < n; i++) {
            cairo_rectangle_int_t r;
            cairo_region_get_rectangle(s->damage, i, &r);
            wl_surface_damage_buffer(s->wl, r.x, r.y, r.width, r.height);
        }
    cairo_region_destroy(s->damage);
    s->damage = cairo_region_create();
    wp_viewport_set_destination(s->viewport, s->area.w, s->area.h);
    if (!s->frame) {
        s->frame = wl_surface_frame(s->wl);
        wl_callback_add_listener(s->frame, &frame_listener, s);
    }
    wl_surface_commit(s->wl);
}

static gboolean paint_idle(gpointer u)
{
    struct mks_surface *s = u;
    s->idle = 0;
    if (!s->frame)
        paint(s);
    return G_SOURCE_REMOVE;
}

static void schedule(struct mks_surface *s)
{
    if (!s->frame && !s->idle && !cairo_region_is_empty(s->damage))
        s->idle = g_idle_add_full(GDK_PRIORITY_REDRAW, paint_idle, s, NULL);
}

void mks_surface_damage(struct mks_surface *s, const struct mks_box *box)
{
    cairo_rectangle_int_t r = box ? (cairo_rectangle_int_t){box->x, box->y, box->w, box->h} : (cairo_rectangle_int_t){0, 0, s->width, s->height};
    cairo_region_union_rectangle(s->damage, &r);
    for (GSList *l = s->buffers; l; l = l->next)
        cairo_region_union_rectangle(((struct buffer *)l->data)->stale, &r);
    schedule(s);
}

/* ---- place ---- */

void mks_surface_place(struct mks_surface *s, const struct mks_box *area, int width, int height)
{
    gboolean sized = width != s->width || height != s->height || area->w != s->area.w || area->h != s->area.h;
    if (width > MAX_SIDE || height > MAX_SIDE || area->w <= 0 || area->h <= 0)
        width = height = 0;
    if (area->x != s->area.x || area->y != s->area.y || !s->width)
        wl_subsurface_set_position(s->sub, area->x, area->y);
    s->area = *area;
    if (!sized)
        return;
    s->width = width;
    s->height = height;
    for (GSList *l = s->buffers, *next; l; l = next) {
        struct buffer *b = l->data;
        next = l->next;
        if (!b->busy && (b->width != width || b->height != height)) {
            s->buffers = g_slist_delete_link(s->buffers, l);
            buffer_free(b);
        }
    }
    cairo_region_destroy(s->damage);
    s->damage = cairo_region_create();
    if (!width) {
        wl_surface_attach(s->wl, NULL, 0, 0);
        wl_surface_commit(s->wl);
        return;
    }
    struct wl_region *r = wl_compositor_create_region(s->compositor);
    wl_region_add(r, 0, 0, area->w, area->h);
    wl_surface_set_opaque_region(s->wl, r);
    wl_region_destroy(r);
    mks_surface_damage(s, NULL);
    paint(s); /* at once: the hole in the window comes with its next frame */
}

/* ---- life ---- */

static void preferred_scale(void *u, struct wp_fractional_scale_v1 *f, uint32_t scale)
{
    struct mks_surface *s = u;
    (void)f;
    if (s->scale == scale / 120.0)
        return;
    s->scale = scale / 120.0;
    s->fns.scale_changed(s->u);
}
static const struct wp_fractional_scale_v1_listener fractional_listener = {.preferred_scale = preferred_scale};

double mks_surface_scale(struct mks_surface *s) { return s->scale; }

struct mks_surface *mks_surface_new(GdkWindow *w, const struct mks_surface_fns *fns, gpointer u)
{
    GdkDisplay *d = gdk_window_get_display(w);
    if (!GDK_IS_WAYLAND_DISPLAY(d))
        return NULL;
    struct mks_wayland *g = mks_wayland_of(d);
    struct wl_surface *parent = gdk_wayland_window_get_wl_surface(gdk_window_get_toplevel(w));
    if (!parent || !g->subcompositor || !g->viewporter || !g->shm)
        return NULL;
    struct mks_surface *s = g_new0(struct mks_surface, 1);
    *s = (struct mks_surface){.g = g, .fns = *fns, .u = u, .damage = cairo_region_create(), .compositor = gdk_wayland_display_get_wl_compositor(d)};
    s->wl = wl_compositor_create_surface(s->compositor);
    s->sub = wl_subcompositor_get_subsurface(g->subcompositor, s->wl, parent);
    wl_subsurface_place_below(s->sub, parent);
    wl_subsurface_set_desync(s->sub);
    struct wl_region *none = wl_compositor_create_region(s->compositor);
    wl_surface_set_input_region(s->wl, none); /* all input is the window's */
    wl_region_destroy(none);
    s->viewport = wp_viewporter_get_viewport(g->viewporter, s->wl);
    if (g->fractional) {
        s->fractional = wp_fractional_scale_manager_v1_get_fractional_scale(g->fractional, s->wl);
        wp_fractional_scale_v1_add_listener(s->fractional, &fractional_listener, s);
    }
    return s;
}

void mks_surface_free(struct mks_surface *s)
{
    if (s->idle)
        g_source_remove(s->idle);
    if (s->frame)
        wl_callback_destroy(s->frame);
    if (s->fractional)
        wp_fractional_scale_v1_destroy(s->fractional);
    wp_viewport_destroy(s->viewport);
    wl_subsurface_destroy(s->sub);
    wl_surface_destroy(s->wl);
    g_slist_free_full(s->buffers, (GDestroyNotify)buffer_free);
    cairo_region_destroy(s->damage);
    g_free(s);
}
#else
struct mks_surface *mks_surface_new(GdkWindow *w, const struct mks_surface_fns *fns, gpointer u) { return (void)w, (void)fns, (void)u, NULL; }
void mks_surface_free(struct mks_surface *s) { (void)s; }
void mks_surface_place(struct mks_surface *s, const struct mks_box *area, int width, int height) { (void)s, (void)area, (void)width, (void)height; }
void mks_surface_damage(struct mks_surface *s, const struct mks_box *b) { (void)s, (void)b; }
double mks_surface_scale(struct mks_surface *s) { return (void)s, 0; }
#endif
