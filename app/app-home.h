/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first tab: what Lodge is, how to get a machine, what this computer offers. */
#ifndef LODGE_APP_HOME_H
#define LODGE_APP_HOME_H

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define APP_TYPE_HOME (app_home_get_type())
G_DECLARE_FINAL_TYPE(AppHome, app_home, APP, HOME, GtkBox)

GtkWidget *app_home_new(void);
void app_home_focus(AppHome *h); /* on the first thing to do */
/* What lodge-vmx --engines says, as sentences; async, cached. cb gets NULL when it cannot be run. */
typedef struct {
    gboolean vt, bt;
    char *vt_text, *bt_text;
} AppEngines;
void app_engines_get(void (*cb)(gpointer u, const AppEngines *e), gpointer u);

G_END_DECLS

#endif
