/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lodge-vmx process that this program started. It is detached: a session of its own, no terminal, its messages in a
 * nameless file; it lives on when this program ends.
 */
#ifndef LODGE_APP_PROCESS_H
#define LODGE_APP_PROCESS_H

#include <gio/gio.h>

/* How a process ended. */
typedef struct {
    gboolean clean;   /* the machine was switched off in order */
    gboolean crashed; /* a signal killed it */
    int status;       /* exit status, or the signal */
    gboolean config;  /* the settings are at fault */
    char *text;       /* what it said, made fit for a user; may be "" */
} AppProcessEnd;

char *app_process_find_tool(const char *name); /* the program beside this one, else in the path; g_free */
/* done is called once, on the main loop, also when user_data's owner has gone: pass a reference. */
gboolean app_process_start(const char *vmx_path, gboolean wait_for_power_on,
                           void (*done)(gpointer u, const AppProcessEnd *end), gpointer user_data, GError **error);
/* Takes "FILE:LINE: key: " and the program's name away from messages; g_free. */
char *app_process_tidy(const char *messages, const char *vmx_path);

#endif
