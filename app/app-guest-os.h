/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guests that can be chosen, and what is a good machine for each. */
#ifndef LODGE_APP_GUEST_OS_H
#define LODGE_APP_GUEST_OS_H

#include <glib.h>

typedef enum { GUEST_WINDOWS, GUEST_LINUX, GUEST_BSD, GUEST_DARWIN, GUEST_OTHER, GUEST_FAMILIES } AppGuestFamily;
typedef struct {
    const char *id, *name;
    AppGuestFamily family;
    guint memory_mb, disk_gb;
    const char *alias;
} AppGuestOs;

const AppGuestOs *app_guest_os_table(guint *n);
const AppGuestOs *app_guest_os_find(const char *id); /* without case; NULL: unknown */
const char *app_guest_os_name(const char *id);       /* the id itself when it is unknown */
const char *app_guest_family_name(AppGuestFamily f); /* translated */
const char *app_guest_family_icon(AppGuestFamily f);
gboolean app_guest_os_is_64(const AppGuestOs *g);

#endif
