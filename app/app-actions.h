/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything that can be done with machines: one table. A window has it twice: "win.vm-..." acts on the tab that is
 * shown, "row.vm-..." on what is selected in the library. Menus, buttons and keys name these actions only. */
#ifndef LODGE_APP_ACTIONS_H
#define LODGE_APP_ACTIONS_H

#include "app-window.h"

/* targets: gives the machines, an array of AppVm that the caller frees. */
typedef GPtrArray *(*AppTargets)(AppWindow *w);
void app_actions_add(AppWindow *w, GActionMap *map, AppTargets targets);
void app_actions_update(AppWindow *w, GActionMap *map, AppTargets targets); /* what is possible now */

#endif
