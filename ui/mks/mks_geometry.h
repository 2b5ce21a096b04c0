/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the guest's picture lies in the widget, and the way from a place in the widget to a guest pixel. Plain numbers, no widget.
 *
 * Three kinds of pixels: guest pixels; device pixels, in which the picture is painted and of which an application pixel has scale; and real pixels
 * of the monitor. Device pixels are real ones but for one case: a desktop scaled by fractions where the console can only paint into GTK's window,
 * at GDK's whole factor, which the desktop then shrinks (real / scale to one).
 */
#ifndef LODGE_UI_MKS_GEOMETRY_H
#define LODGE_UI_MKS_GEOMETRY_H

#include <glib.h>

struct mks_geometry {
    /* in */
    int guest_w, guest_h;    /* 0: none */
    int ox, oy;              /* the area that is painted, within the widget; application pixels */
    int width, height;
    int dev_w, dev_h;        /* its device pixels; 0: width and height times scale */
    double scale;            /* device pixels to an application pixel */
    double real;             /* real pixels to an application pixel */
    gboolean actual;         /* 1:1, else fitted */
    gboolean may_grow;       /* fitted: larger than 1:1 too */
    int scroll_x, scroll_y;  /* device pixels, for pictures larger than the widget */
    /* out, device pixels */
    int x, y, w, h;          /* the picture, from the area's corner; x, y may be negative when scrolled */
    double zoom_x, zoom_y;   /* device pixels to a guest pixel */
};

struct mks_box {
    int x, y, w, h;
};

void mks_geometry_compute(struct mks_geometry *g);
/* So many application pixels make a whole number of real ones; 1 when that would be more than 20. */
int mks_geometry_unit(double real);
/* Place in the widget, application pixels -> guest pixel, clamped to the screen. FALSE: outside (the nearest pixel is given all the same). */
gboolean mks_geometry_to_guest(const struct mks_geometry *g, double x, double y, int *gx, int *gy);
/* Guest rectangle -> the device pixels that may show any of it. */
void mks_geometry_from_guest(const struct mks_geometry *g, const struct mks_box *guest, struct mks_box *device);
/* The guest rectangle that painting these device pixels reads, with a border of what filters look at; clipped. */
void mks_geometry_source(const struct mks_geometry *g, const struct mks_box *device, int border, struct mks_box *guest);
/* Cuts b to this rectangle. FALSE: nothing is left. */
gboolean mks_box_intersect(struct mks_box *b, int x, int y, int w, int h);
/* Device pixel column -> guest column by nearest neighbour (the guest pixel below its centre); exact in whole numbers. */
int mks_nearest(int dev, int dev_n, int guest_n);

#endif
