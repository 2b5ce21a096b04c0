/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Wayland surface of the console's own, for desktops that scale by fractions: GTK+ 3 paints at the next whole factor and the compositor shrinks
 * its window, so nothing of it is exact. This surface has the monitor's pixels. It lies below the window's, which has a hole there: what the
 * application paints over the picture stays above it.
 */
#ifndef LODGE_UI_MKS_SURFACE_H
#define LODGE_UI_MKS_SURFACE_H

#include <gtk/gtk.h>

#include "ui/mks/mks_geometry.h"

struct mks_surface;

struct mks_surface_fns {
    void (*paint)(gpointer u, cairo_t *cr); /* in the monitor's pixels, clipped to what is to be painted */
    void (*scale_changed)(gpointer u);
};

/* NULL: not Wayland, or the compositor lacks something. w: any realized window of the toplevel. */
struct mks_surface *mks_surface_new(GdkWindow *w, const struct mks_surface_fns *fns, gpointer u);
void mks_surface_free(struct mks_surface *s);
/* area in application pixels of the toplevel; the surface has width x height pixels. The toplevel must be painted afterwards. */
void mks_surface_place(struct mks_surface *s, const struct mks_box *area, int width, int height);
/* These pixels (NULL: all) are painted with the next frame. */
void mks_surface_damage(struct mks_surface *s, const struct mks_box *b);
/* What the compositor says; 0: nothing yet. */
double mks_surface_scale(struct mks_surface *s);

#endif
