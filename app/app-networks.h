/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window "Virtual networks": the networks that the user's machines share, and who is in them. */
#ifndef LODGE_APP_NETWORKS_H
#define LODGE_APP_NETWORKS_H

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Shows the one window there is. */
void app_networks_show(GtkWindow *parent);

G_END_DECLS

#endif
