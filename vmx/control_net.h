/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network part of the control interface. */
#ifndef LODGE_VMX_CONTROL_NET_H
#define LODGE_VMX_CONTROL_NET_H

#include <gio/gio.h>

#include "base/err.h"

struct power;
typedef struct _LodgeVm1 LodgeVm1; /* generated: lodge-vm1.h */

/* Answers a call: nothing, or the error; control.c. TRUE. */
gboolean control_answer(GDBusMethodInvocation *inv, int rc, const struct err *e);
void control_net_start(LodgeVm1 *skel, struct power *p);

#endif
