/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a display adapter shows and who looks at it. */
#ifndef LODGE_DISPLAY_SURFACE_H
#define LODGE_DISPLAY_SURFACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct vm;
struct rect {
    int x, y, w, h;
};
/* format is always 32-bit XRGB, host byte order (0x00RRGGBB); pixels live in a memfd, so the GUI maps the same pages. */
struct surface {
    uint32_t width, height, stride; /* pixels, pixels, bytes */
    uint8_t *pixels;
    int fd;
    uint64_t fd_off, fd_size;
    uint32_t generation; /* changes with every mode() */
};
/* All called [dev]; a sink copies what it needs or hands it to its own thread. */
struct display_sink {
    void (*mode)(void *s, const struct surface *sf);            /* new size or backing */
    void (*update)(void *s, const struct rect *r, int n);       /* coalesced, at most one batch per frame tick */
    void (*cursor)(void *s, int w, int h, int hot_x, int hot_y, const uint32_t *argb); /* premultiplied; NULL = hide */
    void (*cursor_at)(void *s, int x, int y, bool shown);
    void (*blank)(void *s, bool blank); /* the guest has switched its display off, or on again; may be NULL */
};
/* A fan-out owned by the vm: adapters call the display_* functions, sinks attach. At attach the sink gets mode() and a full update(). */
struct display;
struct display *display_new(struct vm *vm, struct err *e);
void display_free(struct display *d);
int display_attach(struct display *d, const struct display_sink *ops, void *s); /* [main] takes the chipset lock; an id, or -1: too many */
void display_detach(struct display *d, int id); /* [main] takes the chipset lock; no callback runs after it returns */

/* The adapter's side. [dev] */
struct display_adapter {
    void (*hurry)(void *dev); /* input reached the guest: what it changes should be seen soon, also after a long rest; may be NULL */
    void (*watched)(void *dev, bool on); /* the first sink came (the surface must be brought up to date now), the last one went */
};
/* For whoever brings input. [dev] */
void display_hurry(struct display *d);
void display_set_adapter(struct display *d, const struct display_adapter *ops, void *dev);
bool display_watched(struct display *d);
int display_set_mode(struct display *d, uint32_t w, uint32_t h, struct err *e); /* (re)allocates the surface; at most 8192 x 8192 */
/* The surface lies inside a memfd of the adapter (video memory): no copy. pixels, fd and the bytes at off must outlive the mode. */
int display_set_mode_shared(struct display *d, const struct surface *sf, struct err *e);
const struct surface *display_surface(struct display *d); /* width 0: no mode yet */
void display_damage(struct display *d, int x, int y, int w, int h); /* clipped; flushed to sinks by display_flush */
void display_flush(struct display *d);                              /* the adapter's frame tick */
void display_set_blank(struct display *d, bool blank);
void display_cursor(struct display *d, int w, int h, int hot_x, int hot_y, const uint32_t *argb);
void display_cursor_at(struct display *d, int x, int y, bool shown);

#endif
