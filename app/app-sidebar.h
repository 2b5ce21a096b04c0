/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library at the side of the window: search, folders, machines. Signals: "open" (AppVm): the user chose it; "selection-changed". */
#ifndef LODGE_APP_SIDEBAR_H
#define LODGE_APP_SIDEBAR_H

#include "app-library.h"

G_BEGIN_DECLS

#define APP_TYPE_SIDEBAR (app_sidebar_get_type())
G_DECLARE_FINAL_TYPE(AppSidebar, app_sidebar, APP, SIDEBAR, GtkBox)

GtkWidget *app_sidebar_new(AppLibrary *l);
GPtrArray *app_sidebar_get_selected(AppSidebar *s); /* of AppVm, with references */
void app_sidebar_select(AppSidebar *s, AppVm *vm);
void app_sidebar_find(AppSidebar *s); /* focus into the search */

G_END_DECLS

#endif
