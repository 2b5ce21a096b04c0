/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Below a console: what to do for input, and an icon for each device: lit when it is busy, a click connects,
 * disconnects, changes its medium. */
#ifndef LODGE_APP_STATUS_BAR_H
#define LODGE_APP_STATUS_BAR_H

#include "app-vm.h"

G_BEGIN_DECLS

#define APP_TYPE_STATUS_BAR (app_status_bar_get_type())
G_DECLARE_FINAL_TYPE(AppStatusBar, app_status_bar, APP, STATUS_BAR, GtkBox)

GtkWidget *app_status_bar_new(AppVm *vm);
void app_status_bar_set_hint(AppStatusBar *s, const char *hint);
void app_status_bar_update(AppStatusBar *s);

G_END_DECLS

#endif
