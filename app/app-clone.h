/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dialog that clones a machine: name and place, progress, cancel. */
#ifndef LODGE_APP_CLONE_H
#define LODGE_APP_CLONE_H

#include "app-window.h"

void app_clone_show(AppWindow *w, AppVm *vm);

#endif
