/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window "Memory": what all machines and each one take from the host, live. */
#ifndef LODGE_APP_PERFORMANCE_H
#define LODGE_APP_PERFORMANCE_H

#include "app-library.h"

G_BEGIN_DECLS

/* Shows the one window there is; vm: goes to that machine's graph; NULL: to the top. */
void app_performance_show(GtkWindow *parent, AppLibrary *library, AppVm *vm);

G_END_DECLS

#endif
