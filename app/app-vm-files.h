/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files that a machine is made of, and deleting them. Never one that another machine uses, and none outside of the machine's own folder.
 * lodge-vdiskmanager reads disks, so that no disk image is opened here; everything runs in a thread.
 */
#ifndef LODGE_APP_VM_FILES_H
#define LODGE_APP_VM_FILES_H

#include <gio/gio.h>

#include "config/vmx_schema.h"

typedef struct {
    char *path;
    goffset size; /* what it takes on its file system */
    char *why;    /* it stays, and why: a sentence; NULL: it goes */
    char *disk;   /* part of this disk; NULL: a file of its own */
} AppVmFile;

typedef struct {
    char *vmx, *dir;
    GPtrArray *files; /* of AppVmFile; the .vmx is the last one */
} AppVmFiles;

/* others: .vmx files of other machines, NULL at the end; those in the same folder are found. An error: the machine cannot be deleted. */
void app_vm_files_async(const char *vmx, char **others, GCancellable *c, GAsyncReadyCallback done, gpointer u);
AppVmFiles *app_vm_files_finish(GAsyncResult *r, GError **e);
void app_vm_files_free(AppVmFiles *f);
/* Takes f. The folder goes too when nothing else is in it. */
void app_vm_files_delete_async(AppVmFiles *f, GAsyncReadyCallback done, gpointer u);
gboolean app_vm_files_delete_finish(GAsyncResult *r, GError **e);

/* ---- for copying, too; in a thread ---- */

/* "ide0:0.fileName" names a hard disk; *node gets "ide0:0", g_free. */
gboolean app_vm_disk_key(const struct vmx_dict *d, const char *key, char **node);
char *app_vm_file_path(const char *vmx, const char *name); /* a name in the .vmx; g_free */
/* Runs lodge-vdiskmanager; args end with NULL. Its exit status, -1: it could not be run. out: what it printed, g_free, may be NULL. progress gets
 * the percents of its lines, may be NULL. error is set unless the status is 0. */
int app_vdisk_tool(const char *const *args, GCancellable *c, char **out, gint *progress, GError **e);
enum { APP_VDISK_IN_USE = 3 };
/* Keeps lodge-vmx from running the machine until app_vm_unlock; -1: one does, or it cannot be locked. */
int app_vm_lock(const char *vmx, GError **e);
void app_vm_unlock(const char *vmx, int lock);

#endif
