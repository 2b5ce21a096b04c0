/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sequence that makes a new machine. */
#ifndef LODGE_APP_NEW_VM_H
#define LODGE_APP_NEW_VM_H

#include "app-vm.h"

void app_new_vm_show(GtkWindow *parent, const char *source); /* source: an .iso or .vmdk to begin with, or NULL */

#endif
