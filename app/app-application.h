/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program: one instance a session, its library, its preferences, what the command line asks for. */
#ifndef LODGE_APP_APPLICATION_H
#define LODGE_APP_APPLICATION_H

#include "app-library.h"

G_BEGIN_DECLS

#define APP_ID "org.lodge.Lodge"
#define APP_TYPE_APPLICATION (app_application_get_type())
G_DECLARE_FINAL_TYPE(AppApplication, app_application, APP, APPLICATION, GtkApplication)

AppApplication *app_application_new(void);
AppLibrary *app_application_get_library(AppApplication *a);
AppApplication *app_application_default(void);
GSettings *app_prefs(void); /* the preferences; never freed */
char *app_vm_folder(void);  /* where new machines are made; g_free */

G_END_DECLS

#endif
