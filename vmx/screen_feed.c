/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A display_sink (called [dev]) gathers what changed under a small lock of its own and wakes main once; main adds it to each client's list and
 * sends what a client is ready for. A client that paints slowly gets fewer, larger updates: lists of more than MAX_RECTS become one rectangle.
 * The sink is attached only while somebody watches, since adapters do less work when nobody does.
 */
#define _GNU_SOURCE
#include "screen_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "display/surface.h"
#include "machine.h"

enum { MAX_RECTS = 32, MAX_CURSOR = 256 };
#define IFACE "org.lodge.Vm1"
#define OBJECT_PATH "/org/lodge/Vm1"

struct rects {
    struct rect r[MAX_RECTS];
    int n;
};

struct client {
    GDBusConnection *conn;
    struct rects damage;
    uint32_t serial; /* of the damage that is being painted; 0: none */
    bool ready;      /* OpenScreen is answered, and its mode is the current one */
};

struct screen_feed {
    GSList *clients;
    struct machine *machine;
    int sink; /* id of display_attach; -1 */
    uint32_t serial;

    GMutex m; /* guards what follows: filled [dev], taken by main */
    bool posted, mode_changed, shape_changed, moved, blank, blank_changed;
    struct screen_picture pic; /* fd: ours */
    struct rects damage;
    int cur_w, cur_h, hot_x, hot_y, cur_x, cur_y;
    bool cur_shown;
    uint32_t *cursor;
    guint idle;
};

static void rects_add(struct rects *l, const struct rect *r)
{
    if (r->w <= 0 || r->h <= 0)
        return;
    if (l->n < MAX_RECTS) {
        l->r[l->n++] = *r;
        return;
    }
    int x0 = r->x, y0 = r->y, x1 = r->x + r->w, y1 = r->y + r->h;
    for (int i = 0; i < l->n; i++) {
        x0 = MIN(x0, l->r[i].x);
        y0 = MIN(y0, l->r[i].y);
        x1 = MAX(x1, l->r[i].x + l->r[i].w);
        y1 = MAX(y1, l->r[i].y + l->r[i].h);
    }
    l->r[0] = (struct rect){x0, y0, x1 - x0, y1 - y0};
    l->n = 1;
}

static void emit(struct client *c, const char *name, GVariant *args)
{
    g_dbus_connection_emit_signal(c->conn, NULL, OBJECT_PATH, IFACE, name, args, NULL);
}

static void send_damage(struct screen_feed *f, struct client *c)
{
    GVariantBuilder b;
    if (!c->ready || c->serial || !c->damage.n)
        return;
    if (!++f->serial)
        f->serial = 1;
    c->serial = f->serial;
    g_variant_builder_init(&b, G_VARIANT_TYPE("a(iiii)"));
    for (int i = 0; i < c->damage.n; i++)
        g_variant_builder_add(&b, "(iiii)", c->damage.r[i].x, c->damage.r[i].y, c->damage.r[i].w, c->damage.r[i].h);
    c->damage.n = 0;
    emit(c, "ScreenDamage", g_variant_new("(ua(iiii))", c->serial, &b));
}

static gboolean deliver(gpointer u)
{
    struct screen_feed *f = u;
    g_mutex_lock(&f->m);
    bool mode = f->mode_changed, shape = f->shape_changed, moved = f->moved, blanked = f->blank_changed, blank = f->blank;
    struct rects damage = f->damage;
    struct screen_picture pic = f->pic;
    uint32_t *cursor = shape && f->cursor ? g_memdup2(f->cursor, (gsize)f->cur_w * (gsize)f->cur_h * 4) : NULL;
    int w = f->cur_w, h = f->cur_h, hx = f->hot_x, hy = f->hot_y, cx = f->cur_x, cy = f->cur_y;
    bool shown = f->cur_shown;
    f->posted = f->mode_changed = f->shape_changed = f->moved = f->blank_changed = false;
    f->damage.n = 0;
    f->idle = 0;
    g_mutex_unlock(&f->m);
    for (GSList *l = f->clients; l; l = l->next) {
        struct client *c = l->data;
        if (mode) {
            c->ready = false;
            c->serial = 0;
            c->damage.n = 0;
            emit(c, "ScreenMode", g_variant_new("(uuu)", pic.generation, pic.width, pic.height));
        }
        for (int i = 0; i < damage.n; i++)
            rects_add(&c->damage, &damage.r[i]);
        if (shape)
            emit(c, "CursorShape",
                 g_variant_new("(iiii@ay)", cursor ? w : 0, cursor ? h : 0, hx, hy,
                               g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, cursor ? (const void *)cursor : "", cursor ? (gsize)w * (gsize)h * 4 : 0, 1)));
        if (moved)
            emit(c, "CursorMoved", g_variant_new("(iib)", cx, cy, shown));
        if (blanked)
            emit(c, "ScreenBlank", g_variant_new("(b)", blank));
        send_damage(f, c);
    }
    g_free(cursor);
    return G_SOURCE_REMOVE;
}

/* With f->m held. */
static void wake(struct screen_feed *f)
{
    if (!f->posted) {
        f->posted = true;
        f->idle = g_idle_add_full(G_PRIORITY_DEFAULT, deliver, f, NULL);
    }
}

static void on_mode(void *s, const struct surface *sf)
{
    struct screen_feed *f = s;
    g_mutex_lock(&f->m);
    if (f->pic.fd >= 0)
        close(f->pic.fd);
    f->pic = (struct screen_picture){sf->fd >= 0 ? fcntl(sf->fd, F_DUPFD_CLOEXEC, 3) : -1, sf->fd_off, sf->width, sf->height, sf->stride, sf->generation};
    f->mode_changed = true;
    f->damage.n = 0;
    wake(f);
    g_mutex_unlock(&f->m);
}

static void on_update(void *s, const struct rect *r, int n)
{
    struct screen_feed *f = s;
    g_mutex_lock(&f->m);
    for (int i = 0; i < n; i++)
        rects_add(&f->damage, &r[i]);
    wake(f);
    g_mutex_unlock(&f->m);
}

static void on_cursor(void *s, int w, int h, int hx, int hy, const uint32_t *argb)
{
    struct screen_feed *f = s;
    g_mutex_lock(&f->m);
    g_free(f->cursor);
    f->cursor = argb && w > 0 && h > 0 && w <= MAX_CURSOR && h <= MAX_CURSOR ? g_memdup2(argb, (gsize)w * (gsize)h * 4) : NULL;
    f->cur_w = w;
    f->cur_h = h;
    f->hot_x = hx;
    f->hot_y = hy;
    f->shape_changed = true;
    wake(f);
    g_mutex_unlock(&f->m);
}

static void on_cursor_at(void *s, int x, int y, bool shown)
{
    struct screen_feed *f = s;
    g_mutex_lock(&f->m);
    f->cur_x = x;
    f->cur_y = y;
    f->cur_shown = shown;
    f->moved = true;
    wake(f);
    g_mutex_unlock(&f->m);
}

static void on_blank(void *s, bool blank)
{
    struct screen_feed *f = s;
    g_mutex_lock(&f->m);
    f->blank = blank;
    f->blank_changed = true;
    wake(f);
    g_mutex_unlock(&f->m);
}

struct screen_feed *screen_feed_new(void)
{
    struct screen_feed *f = g_new0(struct screen_feed, 1);
    g_mutex_init(&f->m);
    f->sink = -1;
    f->pic.fd = -1;
    return f;
}

static void detach(struct screen_feed *f)
{
    if (f->sink >= 0)
        display_detach(machine_display(f->machine), f->sink);
    f->sink = -1;
    f->machine = NULL;
    if (f->idle)
        g_source_remove(f->idle);
    f->idle = 0;
    if (f->pic.fd >= 0)
        close(f->pic.fd);
    f->pic = (struct screen_picture){.fd = -1};
    f->posted = f->mode_changed = f->shape_changed = f->moved = f->blank_changed = false;
    f->damage.n = 0;
}

static struct client *find(struct screen_feed *f, GDBusConnection *conn)
{
    for (GSList *l = f->clients; l; l = l->next)
        if (((struct client *)l->data)->conn == conn)
            return l->data;
    return NULL;
}

int screen_feed_open(struct screen_feed *f, struct machine *m, GDBusConnection *conn, struct screen_picture *out, struct err *e)
{
    static const struct display_sink ops = {on_mode, on_update, on_cursor, on_cursor_at, on_blank};
    if (f->sink < 0) {
        f->machine = m;
        f->sink = display_attach(machine_display(m), &ops, f);
        if (f->sink < 0)
            return err_set(e, ERR_BUSY, 0, "too many watch this screen already");
    }
    struct client *c = find(f, conn);
    if (!c) {
        c = g_new0(struct client, 1);
        c->conn = conn;
        f->clients = g_slist_prepend(f->clients, c);
    }
    c->ready = false;
    c->serial = 0;
    g_mutex_lock(&f->m);
    *out = f->pic;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", f->pic.fd);
    out->fd = f->pic.fd >= 0 ? open(link, O_RDONLY | O_CLOEXEC) : -1; /* a new description, so that the client cannot write */
    bool nothing = !f->pic.width || out->fd < 0;
    if (!nothing && !f->clients->next) /* the only client learns the mode from the answer */
        f->mode_changed = false;
    if (f->cursor)
        f->shape_changed = f->moved = true;
    f->blank_changed = true;
    wake(f);
    g_mutex_unlock(&f->m);
    if (nothing)
        return err_set(e, ERR_BUSY, 0, "the guest shows no picture yet; wait for the signal ScreenMode");
    c->damage.n = 1;
    c->damage.r[0] = (struct rect){0, 0, (int)out->width, (int)out->height};
    return 0;
}

void screen_feed_opened(struct screen_feed *f, GDBusConnection *conn)
{
    struct client *c = find(f, conn);
    if (!c)
        return;
    c->ready = true;
    send_damage(f, c);
}

void screen_feed_done(struct screen_feed *f, GDBusConnection *conn, uint32_t serial)
{
    struct client *c = find(f, conn);
    if (!c || c->serial != serial)
        return;
    c->serial = 0;
    send_damage(f, c);
}

void screen_feed_close(struct screen_feed *f, GDBusConnection *conn)
{
    struct client *c = find(f, conn);
    if (!c)
        return;
    f->clients = g_slist_remove(f->clients, c);
    g_free(c);
    if (!f->clients)
        detach(f);
}

void screen_feed_machine_gone(struct screen_feed *f, struct machine *m)
{
    if (f->machine == m)
        detach(f);
    for (GSList *l = f->clients; l; l = l->next)
        g_free(l->data);
    g_slist_free(f->clients);
    f->clients = NULL;
}

void screen_feed_free(struct screen_feed *f)
{
    screen_feed_machine_gone(f, f->machine);
    g_free(f->cursor);
    g_mutex_clear(&f->m);
    g_free(f);
}
