/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a machine: folder, disk, .vmx. Nothing is made before app_vm_make; what was made is removed when it fails or
 * is cancelled. */
#ifndef LODGE_APP_VM_MAKER_H
#define LODGE_APP_VM_MAKER_H

#include <gio/gio.h>

#include "config/vmx_schema.h"

typedef struct {
    char *name, *dir, *guest_id; /* dir: of the machine itself */
    guint memory_mb, processors;
    char *iso;  /* NULL: the CD drive is empty */
    char *disk; /* an existing one; NULL: a new one of disk_gb, none when that is 0 */
    guint disk_gb;
    gboolean split, allocate;
} AppVmSpec;

char *app_vm_spec_file_name(const char *name); /* without what file names cannot have; g_free */
char *app_vm_spec_path(const AppVmSpec *s);    /* of the .vmx; g_free */
/* Why a machine of this name cannot be made there; NULL: it can. Looks at the file system. g_free */
char *app_vm_spec_problem(const char *name, const char *parent_dir, guint disk_gb, gboolean allocate,
                          gboolean *only_warning);
struct vmx_dict *app_vm_spec_dict(const AppVmSpec *s, struct err *e);
void app_vm_spec_clear(AppVmSpec *s);

/* progress: 0 to 1, or negative when it is not known. */
void app_vm_make_async(const AppVmSpec *s, void (*progress)(gpointer u, double part), gpointer pu, GCancellable *c,
                       GAsyncReadyCallback done, gpointer u);
char *app_vm_make_finish(GAsyncResult *r, GError **e); /* path of the .vmx; g_free */

#endif
