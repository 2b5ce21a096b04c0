/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The settings of a machine. */
#ifndef LODGE_APP_SETTINGS_H
#define LODGE_APP_SETTINGS_H

#include "app-vm.h"

/* page: a device's node ("ide1:0", "memory") or an option page ("general"); NULL: the first. One window a machine. */
void app_settings_show(GtkWindow *parent, AppVm *vm, const char *page);

#endif
