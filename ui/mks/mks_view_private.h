/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The view's parts: mks_view.c (widget), mks_view_paint.c, mks_view_input.c (keys, pointer, grabs), mks_x11.c, mks_wayland.c. */
#ifndef LODGE_UI_MKS_VIEW_PRIVATE_H
#define LODGE_UI_MKS_VIEW_PRIVATE_H

#include "ui/mks/mks_geometry.h"
#include "ui/mks/mks_session_private.h"
#include "ui/mks/mks_surface.h"
#include "ui/mks/mks_view.h"

enum { MKS_HOST_KEYS = 32 };

struct mks_hotkey {
    char *accelerator;
    guint keyval; /* lower case; 0: modifiers alone */
    GdkModifierType mods;
};

struct _LodgeMksView {
    GtkDrawingArea parent;
    LodgeMksSession *session;
    LodgeMksScaling scaling;
    LodgeMksFilter filter;
    gboolean read_only, grab_keyboard, grabbed;
    double device_scale; /* set by the application; 0: not */
    char *status_text, *hint;
    struct mks_geometry geo;
    struct mks_surface *surface; /* the picture's own, on desktops scaled by fractions; NULL: painted into the window */
    gboolean visible; /* counted as a viewer of session */
    guint blank_id;   /* the guest's display is off; said when it stays so */
    gboolean say_blank;
    guint resize_id;  /* the guest is asked for a size when this has passed */
    GtkAdjustment *adj[2]; /* horizontal, vertical */
    GtkScrollablePolicy policy[2];

    /* mks_view_input.c */
    struct mks_hotkey hotkey[LODGE_MKS_HOTKEYS];
    GtkWidget *toplevel; /* whose key events are looked at first */
    gulong key_ids[3];
    struct {
        guint usage, keyval;
    } host_down[MKS_HOST_KEYS]; /* what the host has pressed, sent to the guest or not */
    int n_host_down;
    gboolean armed;      /* the modifiers of RELEASE are down, and nothing else was pressed since */
    gboolean focused, at_top;
    gboolean seat_grabbed, pointer_grabbed;
    gboolean press_grabs; /* the button press that grabbed: its release is not the guest's */
    double scroll_rest;
    /* Relative movement by warping to a centre (X11), in application pixels of the root window. */
    double last_x, last_y, center_x, center_y, rest_x, rest_y;
    gboolean warp_pending;
    gpointer lock; /* relative movement by a locked pointer (Wayland); NULL: not */
};

/* mks_view.c */
void mks_view_update_hint(LodgeMksView *v);
gboolean mks_view_live(LodgeMksView *v); /* there is a guest that takes input */
void mks_view_emit_at_top(LodgeMksView *v, gboolean at_top);
gboolean mks_view_emit_hotkey(LodgeMksView *v, LodgeMksHotkey which);
void mks_view_request_resume(LodgeMksView *v);

void mks_view_place_surface(LodgeMksView *v); /* its place in the toplevel as it is now */

/* mks_view_paint.c */
gboolean mks_view_draw(GtkWidget *w, cairo_t *cr);
void mks_view_paint_area(LodgeMksView *v, cairo_t *cr); /* surround and picture; in device pixels from the area's corner */

/* mks_view_input.c */
void mks_view_input_class_init(GtkWidgetClass *k);
void mks_view_input_init(LodgeMksView *v);
void mks_view_input_finalize(LodgeMksView *v);
void mks_view_input_stop(LodgeMksView *v); /* releases keys and grabs */
void mks_view_input_toplevel(LodgeMksView *v); /* the widget has another toplevel */
void mks_view_input_changed(LodgeMksView *v); /* pointer mode, cursor, state or zoom changed */
void mks_view_sync_locks(LodgeMksView *v);

/* mks_x11.c, mks_wayland.c: FALSE, 0 or NULL when the display is not theirs. */
guint mks_x11_usage(GdkDisplay *d, guint keycode);
gboolean mks_wayland_is(GdkDisplay *d);
double mks_wayland_scale(GdkWindow *w); /* real pixels to an application pixel on the monitor of w; 0: unknown */
typedef void (*mks_motion_fn)(gpointer u, double dx, double dy);
gpointer mks_wayland_lock_pointer(GdkWindow *w, GdkDevice *pointer, mks_motion_fn fn, gpointer u);
void mks_wayland_unlock_pointer(gpointer lock);

#endif
