/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network's lists in the window of the virtual networks, a line each: port forwards, reserved addresses. */
#ifndef LODGE_APP_NETWORK_LISTS_H
#define LODGE_APP_NETWORK_LISTS_H

#include <gtk/gtk.h>

#include "app-network-edit.h"

G_BEGIN_DECLS

typedef enum { APP_NET_FORWARDS, APP_NET_RESERVATIONS } AppNetListKind;
typedef struct AppNetList AppNetList;

/* changed: the user has changed something. suggest: the value of a new line; g_free. */
AppNetList *app_net_list_new(AppNetEdit *e, AppNetListKind kind, void (*changed)(gpointer u), char *(*suggest)(gpointer u), gpointer u);
void app_net_list_free(AppNetList *l);
GtkWidget *app_net_list_widget(AppNetList *l); /* not shown by show_all */
void app_net_list_load(AppNetList *l, unsigned net);
void app_net_list_refresh(AppNetList *l); /* what is wrong, beside its line */
gboolean app_net_list_has(AppNetList *l, const char *key);
void app_net_list_focus(AppNetList *l, const char *key);
/* A sentence beside a control that is empty (and not there) when text is NULL. */
GtkWidget *app_net_sentence_new(void);
void app_net_sentence_show(GtkWidget *label, GtkWidget *control, const char *text);

G_END_DECLS

#endif
