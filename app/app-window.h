/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A window: library at the side, a tab for each machine that is open. A torn-off window has tabs only. */
#ifndef LODGE_APP_WINDOW_H
#define LODGE_APP_WINDOW_H

#include "app-application.h"

G_BEGIN_DECLS

#define APP_TYPE_WINDOW (app_window_get_type())
G_DECLARE_FINAL_TYPE(AppWindow, app_window, APP, WINDOW, GtkApplicationWindow)

AppWindow *app_window_new(AppApplication *a);
gboolean app_window_is_torn(AppWindow *w);
void app_window_set_torn(AppWindow *w, gboolean torn);
void app_window_restore_tabs(AppWindow *w);
void app_window_save_state(AppWindow *w);
/* Adds what the path names to the library: a .vmx, or the folder of one; a folder of many is searched. NULL: none, and
 * the user has been told. */
AppVm *app_window_add_file(AppWindow *w, const char *path);
void app_window_open_vm(AppWindow *w, AppVm *vm); /* its tab, wherever it is */
AppVm *app_window_get_vm(AppWindow *w);           /* of the tab that is shown; NULL: none */
void app_window_close_vm(AppWindow *w, AppVm *vm);
void app_window_full_screen_when_on(AppWindow *w, AppVm *vm);
void app_window_update(AppWindow *w); /* title, buttons, actions */
void app_window_tear(AppWindow *w, AppVm *vm);

G_END_DECLS

#endif
