/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions to a running lodge-vmnet (docs/networks.md, the control socket). None of them blocks, and none starts it. */
#ifndef LODGE_APP_VMNET_H
#define LODGE_APP_VMNET_H

#include <gio/gio.h>

G_BEGIN_DECLS

/* lines: what was answered (char *). NULL: nothing; then error says why, and is NULL when lodge-vmnet does not run. */
typedef void (*AppVmnetAnswer)(gpointer user_data, GPtrArray *lines, const char *error);
/* command: "ports", "leases", "reload"... done is called once, from the main loop. */
void app_vmnet_ask(const char *command, AppVmnetAnswer done, gpointer user_data);

G_END_DECLS

#endif
