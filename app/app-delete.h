/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deleting a machine from disk: what goes and what stays is shown first. */
#ifndef LODGE_APP_DELETE_H
#define LODGE_APP_DELETE_H

#include "app-window.h"

void app_delete_show(AppWindow *w, AppVm *vm);

#endif
