/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine's log, with search. */
#ifndef LODGE_APP_LOG_VIEWER_H
#define LODGE_APP_LOG_VIEWER_H

#include "app-vm.h"

void app_log_viewer_show(GtkWindow *parent, AppVm *vm);

#endif
