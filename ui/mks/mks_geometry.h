/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the guest's picture lies in the widget, and the way from a place in the widget to a guest pixel. Plain numbers, no widget.
 *
 * Three kinds of pixels: guest pixels; device pixels, which the widget has scale (whole: GDK's factor) times as many of as application pixels;
 * and real pixels of the monitor, of which a fractionally scaled desktop has fewer than device pixels (real / scale to one). When the two are
 * the same, which is so on X11 always, a picture painted 1:1 is exact.
 */
#ifndef LODGE_UI_MKS_GEOMETRY_H
#define LODGE_UI_MKS_GEOMETRY_H

#include <glib.h>

struct mks_geometry {
    /* in */
    int guest_w, guest_h;    /* 0: none */
    int width, height;       /* of the widget, application pixels */
    int scale;               /* device pixels to an application pixel */
    double real;             /* real pixels to an application pixel; scale where the desktop does not scale by fractions */
    gboolean actual;         /* 1:1, else fitted */
    gboolean may_grow;       /* fitted: larger than 1:1 too */
    int scroll_x, scroll_y;  /* device pixels, for pictures larger than the widget */
    /* out, device pixels */
    int x, y, w, h;          /* the picture; x, y may be negative when scrolled */
    double zoom_x, zoom_y;   /* device pixels to a guest pixel */
};

struct mks_box {
    int x, y, w, h;
};

void mks_geometry_compute(struct mks_geometry *g);
/* Place in application pixels -> guest pixel, clamped to the screen. FALSE: outside (the nearest pixel is given all the same). */
gboolean mks_geometry_to_guest(const struct mks_geometry *g, double x, double y, int *gx, int *gy);
/* Guest rectangle -> the device pixels that may show any of it. */
void mks_geometry_from_guest(const struct mks_geometry *g, const struct mks_box *guest, struct mks_box *device);
/* The guest rectangle that painting these device pixels reads, with a border of what filters look at; clipped. */
void mks_geometry_source(const struct mks_geometry *g, const struct mks_box *device, int border, struct mks_box *guest);
/* Device pixel column -> guest column by nearest neighbour (the guest pixel below its centre); exact in whole numbers. */
int mks_nearest(int dev, int dev_n, int guest_n);

#endif
