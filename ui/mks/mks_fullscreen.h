/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A full-screen window with a view of its own on a session, and the bar that hides at the top edge. The other view stays where it is: leaving
 * full screen is only the end of this window.
 *
 * Signals: "leave" (the user wants to go back; destroy the window then), "switch" (int: -1 previous, 1 next machine)..
 */
#ifndef LODGE_UI_MKS_FULLSCREEN_H
#define LODGE_UI_MKS_FULLSCREEN_H

#include <gtk/gtk.h>

#include "ui/mks/mks_view.h"

G_BEGIN_DECLS

#define LODGE_TYPE_MKS_FULLSCREEN (lodge_mks_fullscreen_get_type())
G_DECLARE_FINAL_TYPE(LodgeMksFullscreen, lodge_mks_fullscreen, LODGE, MKS_FULLSCREEN, GtkWindow)

/* like: its scaling, filter and shortcuts are taken over, and the monitor it is on; may be NULL. Shows nothing before gtk_widget_show. */
GtkWidget *lodge_mks_fullscreen_new(LodgeMksSession *session, LodgeMksView *like);
LodgeMksView *lodge_mks_fullscreen_get_view(LodgeMksFullscreen *f);
void lodge_mks_fullscreen_set_session(LodgeMksFullscreen *f, LodgeMksSession *session); /* after "switch" */
void lodge_mks_fullscreen_set_pinned(LodgeMksFullscreen *f, gboolean pinned);
gboolean lodge_mks_fullscreen_get_pinned(LodgeMksFullscreen *f);
/* More buttons for the bar, left of minimise and leave. */
void lodge_mks_fullscreen_add(LodgeMksFullscreen *f, GtkWidget *button);

G_END_DECLS

#endif
