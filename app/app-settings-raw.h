/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page with the .vmx itself: its text, checked while typing. */
#ifndef LODGE_APP_SETTINGS_RAW_H
#define LODGE_APP_SETTINGS_RAW_H

#include "app-settings-pages.h"

/* changed is called when the text is another than that of the file, and when it is the same again. */
GtkWidget *app_settings_raw_new(AppEdit *e, void (*changed)(gpointer u, gboolean differs), gpointer u);
/* Selects a line of it. */
void app_settings_raw_go_to(GtkWidget *page, guint line);
/* NULL: unchanged. g_free */
char *app_settings_raw_text(GtkWidget *page);
/* Writes the text, in the file's character set. done: error NULL when it is written. */
void app_settings_raw_save(GtkWidget *page, void (*done)(gpointer u, const GError *e), gpointer u);

#endif
