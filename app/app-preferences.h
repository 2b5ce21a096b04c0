/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user's preferences. */
#ifndef LODGE_APP_PREFERENCES_H
#define LODGE_APP_PREFERENCES_H

#include <gtk/gtk.h>

void app_preferences_show(GtkWindow *parent);
GtkWidget *app_preferences_memory_page(void); /* app-preferences-memory.c */

#endif
