/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the console's two Wayland files share: the globals that GDK does not hand out. Only for files compiled with HAVE_WAYLAND. */
#ifndef LODGE_UI_MKS_WAYLAND_H
#define LODGE_UI_MKS_WAYLAND_H

#include <gdk/gdk.h>
#include <wayland-client.h>

struct mks_wayland {
    struct wl_registry *registry;
    struct wl_subcompositor *subcompositor;
    struct wl_shm *shm;
    struct wp_viewporter *viewporter;
    struct wp_fractional_scale_manager_v1 *fractional;
    struct zwp_pointer_constraints_v1 *constraints;
    struct zwp_relative_pointer_manager_v1 *relative;
    struct zxdg_output_manager_v1 *xdg_output;
    GSList *outputs; /* of struct output in mks_wayland.c */
};

/* Each member is NULL when the compositor has no such thing. d is a Wayland display. */
struct mks_wayland *mks_wayland_of(GdkDisplay *d);

#endif
