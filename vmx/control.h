/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control API: org.lodge.Vm1 on a Unix socket of the owner. docs/control-api.md describes it. All calls [main]. */
#ifndef LODGE_VMX_CONTROL_H
#define LODGE_VMX_CONTROL_H

#include "base/err.h"

struct control;
struct power;

/* Listens on the VM's socket. Fails with ERR_BUSY when another process serves this VM. */
struct control *control_start(struct power *p, struct err *e);
void control_stop(struct control *c); /* NULL is allowed */
const char *control_address(const struct control *c); /* D-Bus address */
char *control_address_for(const char *vmx_path);      /* the address that the process of this .vmx uses; g_free it */

#endif
