/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of this computer a machine takes while it runs and no other can take at the same time: ports, sockets, links. A copy gets others. */
#ifndef LODGE_APP_VM_CLAIMS_H
#define LODGE_APP_VM_CLAIMS_H

#include <glib.h>

#include "config/vmx_schema.h"

/* Strings, "port 5900" or a path, to a set that owns them. */
void app_vm_claims_add(GHashTable *taken, const struct vmx_dict *d, const char *vmx);
/* Changes d, the lines of a copy of vmx, so that it claims nothing of taken and no port that is in use now. */
int app_vm_claims_renew(struct vmx_dict *d, const char *vmx, GHashTable *taken, struct err *e);

#endif
