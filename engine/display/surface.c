/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The display fan-out: one surface, up to DISPLAY_SINKS viewers.
 *
 * The display's own pixels live in one sparse memfd of the largest size that a mode may have. It is made once, so that a mode set never needs a
 * system call (mode sets happen on sandboxed threads) and a sink that still reads the old picture never reads unmapped memory. An adapter
 * whose video memory already holds 32-bit pixels shows that instead (display_set_mode_shared).
 */
#include "display/surface.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/osmem.h"
#include "core/vm.h"

enum { DISPLAY_SINKS = 16, DISPLAY_MAX = 8192, DAMAGE_RECTS = 32 };

struct sink {
    const struct display_sink *ops; /* NULL: free slot */
    void *u;
};

struct display {
    struct vm *vm;
    const struct display_adapter *adapter;
    void *adapter_dev;
    struct surface sf;
    uint8_t *own; /* the display's own pixels */
    int own_fd;
    uint64_t own_size;
    struct sink sinks[DISPLAY_SINKS];
    unsigned n_sinks;
    struct rect damage[DAMAGE_RECTS];
    int n_damage;
    bool mode_pending; /* sinks have not been told of the mode yet */
    uint32_t cursor_w, cursor_h, cursor_hot_x, cursor_hot_y;
    uint32_t *cursor; /* NULL: hidden or none */
    int cursor_x, cursor_y;
    bool cursor_shown, blank;
};

struct display *display_new(struct vm *vm, struct err *e)
{
    struct display *d = calloc(1, sizeof *d);
    if (!d) {
        err_set(e, ERR_NOMEM, 0, "There is not enough memory for the display.");
        return NULL;
    }
    d->vm = vm;
    d->own_size = (uint64_t)DISPLAY_MAX * DISPLAY_MAX * 4;
    d->own_fd = osmem_memfd("lodge-screen", d->own_size, e);
    if (d->own_fd < 0) {
        free(d);
        return NULL;
    }
    d->own = osmem_map_fd(d->own_fd, d->own_size, e);
    if (!d->own) {
        close(d->own_fd);
        free(d);
        return NULL;
    }
    return d;
}

void display_free(struct display *d)
{
    if (!d)
        return;
    osmem_free(d->own, d->own_size);
    close(d->own_fd);
    free(d->cursor);
    free(d);
}

void display_set_adapter(struct display *d, const struct display_adapter *ops, void *dev)
{
    d->adapter = ops;
    d->adapter_dev = dev;
}

bool display_watched(struct display *d) { return d->n_sinks != 0; }

const struct surface *display_surface(struct display *d) { return &d->sf; }

int display_attach(struct display *d, const struct display_sink *ops, void *s)
{
    int id = -1;
    chipset_lock(d->vm);
    for (int i = 0; i < DISPLAY_SINKS && id < 0; i++)
        if (!d->sinks[i].ops)
            id = i;
    if (id >= 0) {
        /* The adapter draws first, so that the new sink's first picture is a true one; the slot is still empty while it does. */
        if (d->n_sinks++ == 0 && d->adapter)
            d->adapter->watched(d->adapter_dev, true);
        display_flush(d);
        d->sinks[id] = (struct sink){ops, s};
        if (d->sf.width) {
            struct rect all = {0, 0, (int)d->sf.width, (int)d->sf.height};
            ops->mode(s, &d->sf);
            ops->update(s, &all, 1);
        }
        if (ops->cursor)
            ops->cursor(s, (int)d->cursor_w, (int)d->cursor_h, (int)d->cursor_hot_x, (int)d->cursor_hot_y, d->cursor);
        if (ops->cursor_at)
            ops->cursor_at(s, d->cursor_x, d->cursor_y, d->cursor_shown);
        if (ops->blank)
            ops->blank(s, d->blank);
    }
    chipset_unlock(d->vm);
    return id;
}

void display_detach(struct display *d, int id)
{
    if (id < 0 || id >= DISPLAY_SINKS)
        return;
    chipset_lock(d->vm);
    if (d->sinks[id].ops) {
        d->sinks[id].ops = NULL;
        if (--d->n_sinks == 0 && d->adapter)
            d->adapter->watched(d->adapter_dev, false);
    }
    chipset_unlock(d->vm);
}

static void new_mode(struct display *d, const struct surface *sf)
{
    uint32_t generation = d->sf.generation + 1;
    d->sf = *sf;
    d->sf.generation = generation;
    d->mode_pending = true;
    d->n_damage = 0;
    display_damage(d, 0, 0, (int)sf->width, (int)sf->height);
}

int display_set_mode(struct display *d, uint32_t w, uint32_t h, struct err *e)
{
    if (!w || !h || w > DISPLAY_MAX || h > DISPLAY_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0, "A screen of %u x %u pixels is not supported.", w, h);
    if (d->sf.pixels == d->own && d->sf.width == w && d->sf.height == h)
        return 0;
    struct surface sf = {.width = w, .height = h, .stride = w * 4, .pixels = d->own, .fd = d->own_fd, .fd_off = 0, .fd_size = d->own_size};
    new_mode(d, &sf);
    return 0;
}

int display_set_mode_shared(struct display *d, const struct surface *sf, struct err *e)
{
    if (!sf->width || !sf->height || sf->width > DISPLAY_MAX || sf->height > DISPLAY_MAX || sf->stride < sf->width * 4)
        return err_set(e, ERR_UNSUPPORTED, 0, "A screen of %u x %u pixels is not supported.", sf->width, sf->height);
    if (d->sf.pixels == sf->pixels && d->sf.width == sf->width && d->sf.height == sf->height && d->sf.stride == sf->stride)
        return 0;
    new_mode(d, sf);
    return 0;
}

static bool rect_touch(const struct rect *a, const struct rect *b)
{
    return a->x <= b->x + b->w && b->x <= a->x + a->w && a->y <= b->y + b->h && b->y <= a->y + a->h;
}

static void rect_join(struct rect *a, const struct rect *b)
{
    int x1 = a->x + a->w > b->x + b->w ? a->x + a->w : b->x + b->w, y1 = a->y + a->h > b->y + b->h ? a->y + a->h : b->y + b->h;
    a->x = a->x < b->x ? a->x : b->x;
    a->y = a->y < b->y ? a->y : b->y;
    a->w = x1 - a->x;
    a->h = y1 - a->y;
}

void display_damage(struct display *d, int x, int y, int w, int h)
{
    int64_t x1 = (int64_t)x + w, y1 = (int64_t)y + h;
    if (x < 0)
        x = 0;
    if (y < 0)
        y = 0;
    if (x1 > d->sf.width)
        x1 = d->sf.width;
    if (y1 > d->sf.height)
        y1 = d->sf.height;
    if (x >= x1 || y >= y1)
        return;
    struct rect r = {x, y, (int)(x1 - x), (int)(y1 - y)};
    for (int i = 0; i < d->n_damage; i++) {
        /* Join with a neighbour when the result is not much larger than the two. */
        struct rect j = d->damage[i];
        if (!rect_touch(&j, &r))
            continue;
        rect_join(&j, &r);
        if ((int64_t)j.w * j.h <= (int64_t)d->damage[i].w * d->damage[i].h + (int64_t)r.w * r.h) {
            d->damage[i] = j;
            return;
        }
    }
    if (d->n_damage == DAMAGE_RECTS) {
        for (int i = 1; i < d->n_damage; i++)
            rect_join(&d->damage[0], &d->damage[i]);
        rect_join(&d->damage[0], &r);
        d->n_damage = 1;
        return;
    }
    d->damage[d->n_damage++] = r;
}

void display_flush(struct display *d)
{
    bool mode = d->mode_pending;
    if (!d->n_sinks) {
        /* Nobody looks; an attaching sink gets everything. */
        d->n_damage = 0;
        return;
    }
    d->mode_pending = false;
    if (!mode && !d->n_damage)
        return;
    for (int i = 0; i < DISPLAY_SINKS; i++) {
        const struct sink *s = &d->sinks[i];
        if (!s->ops)
            continue;
        if (mode)
            s->ops->mode(s->u, &d->sf);
        if (d->n_damage)
            s->ops->update(s->u, d->damage, d->n_damage);
    }
    d->n_damage = 0;
}

void display_hurry(struct display *d)
{
    if (d->n_sinks && d->adapter && d->adapter->hurry)
        d->adapter->hurry(d->adapter_dev);
}

void display_set_blank(struct display *d, bool blank)
{
    if (d->blank == blank)
        return;
    d->blank = blank;
    for (int i = 0; i < DISPLAY_SINKS; i++) {
        const struct sink *s = &d->sinks[i];
        if (s->ops && s->ops->blank)
            s->ops->blank(s->u, blank);
    }
}

void display_cursor(struct display *d, int w, int h, int hot_x, int hot_y, const uint32_t *argb)
{
    free(d->cursor);
    d->cursor = NULL;
    if (argb && w > 0 && h > 0) {
        d->cursor = malloc((size_t)w * (size_t)h * 4);
        if (d->cursor) {
            memcpy(d->cursor, argb, (size_t)w * (size_t)h * 4);
            d->cursor_w = (uint32_t)w;
            d->cursor_h = (uint32_t)h;
            d->cursor_hot_x = (uint32_t)hot_x;
            d->cursor_hot_y = (uint32_t)hot_y;
        }
    }
    for (int i = 0; i < DISPLAY_SINKS; i++) {
        const struct sink *s = &d->sinks[i];
        if (s->ops && s->ops->cursor)
            s->ops->cursor(s->u, w, h, hot_x, hot_y, d->cursor);
    }
}

void display_cursor_at(struct display *d, int x, int y, bool shown)
{
    if (d->cursor_x == x && d->cursor_y == y && d->cursor_shown == shown)
        return;
    d->cursor_x = x;
    d->cursor_y = y;
    d->cursor_shown = shown;
    for (int i = 0; i < DISPLAY_SINKS; i++) {
        const struct sink *s = &d->sinks[i];
        if (s->ops && s->ops->cursor_at)
            s->ops->cursor_at(s->u, x, y, shown);
    }
}
