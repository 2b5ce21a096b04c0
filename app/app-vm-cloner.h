/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A full copy of a machine: own folder, disks, identity. What was made is removed when it fails or is cancelled. */
#ifndef LODGE_APP_VM_CLONER_H
#define LODGE_APP_VM_CLONER_H

#include <gio/gio.h>

/* For g_atomic_int_get; disks is 0 until it is known. */
typedef struct {
    gint disk, disks, percent;
} AppVmCloneProgress;
/* In a thread. taken: claims of other machines (app-vm-claims.h), left alone by the caller from then on. progress must live until done. */
void app_vm_clone_async(const char *vmx, const char *name, const char *dir, GHashTable *taken, AppVmCloneProgress *progress,
                        GCancellable *c, GAsyncReadyCallback done, gpointer u);
char *app_vm_clone_finish(GAsyncResult *r, GError **e); /* path of the new .vmx; g_free */

#endif
