/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What would keep a machine from powering on: asked of "lodge-vmx --check", which also looks at the disks and CD images, in the background. */
#ifndef LODGE_APP_VM_CHECK_H
#define LODGE_APP_VM_CHECK_H

#include <gio/gio.h>

/* sentences: one a line, in the user's language; NULL: nothing is wrong. line: of the first one in the file, 0: none. Not called when cancelled. */
typedef void (*AppVmChecked)(gpointer u, const char *sentences, guint line);
void app_vm_check(const char *vmx, GCancellable *c, AppVmChecked done, gpointer u);

/* What the program printed, as sentences; g_free. */
char *app_vm_check_sentences(const char *printed, const char *vmx, guint *line);

#endif
