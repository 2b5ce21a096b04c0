/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The library: what machines and remote consoles the user has, in which folders. Kept in
 * $XDG_DATA_HOME/lodge/library.ini. Signals: "changed" (entries or folders), and those of the entries: "vm-stopped"
 * (AppVm, sentence).
 */
#ifndef LODGE_APP_LIBRARY_H
#define LODGE_APP_LIBRARY_H

#include "app-vm.h"

G_BEGIN_DECLS

#define APP_TYPE_LIBRARY (app_library_get_type())
G_DECLARE_FINAL_TYPE(AppLibrary, app_library, APP, LIBRARY, GObject)

AppLibrary *app_library_new(const char *file);    /* NULL: the user's */
GListModel *app_library_get_model(AppLibrary *l); /* of AppVm */
AppVm *app_library_find(AppLibrary *l, const char *path);
/* Also when it is there already. */
AppVm *app_library_add(AppLibrary *l, const char *vmx_path, const char *folder);
AppVm *app_library_add_remote(AppLibrary *l, const char *target, const char *folder);
void app_library_remove(AppLibrary *l, AppVm *vm); /* takes it off the list, nothing else */
char **app_library_get_folders(AppLibrary *l);     /* sorted; "" is not among them; g_strfreev */
void app_library_add_folder(AppLibrary *l, const char *name);
void app_library_rename_folder(AppLibrary *l, const char *from,
                               const char *to); /* to "": its machines go to the first folder */
void app_library_save(AppLibrary *l);           /* now; otherwise soon after a change */

/* Looks for .vmx files in a folder and below, and adds them. done: how many were found and how many of them are new;
 * cancelled: found is -1. */
enum { APP_SCAN_UNREADABLE = -2 };
void app_library_scan(AppLibrary *l, const char *dir, GCancellable *c, void (*done)(gpointer u, int found, int added),
                      gpointer u);

/* For a search: in name, guest, notes, path. */
gboolean app_library_matches(AppVm *vm, const char *text);

G_END_DECLS

#endif
