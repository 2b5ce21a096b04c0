/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a CD image or a disk is. */
#ifndef LODGE_APP_DETECT_H
#define LODGE_APP_DETECT_H

#include <gio/gio.h>

typedef struct {
    char *name;     /* "Debian 12", or the volume's name when libosinfo does not know it; NULL: nothing is known */
    char *guest_id; /* guestOS; NULL: unknown */
    guint memory_mb, disk_gb, processors; /* recommended; 0: not known */
    gboolean bootable;
} AppDetected;

/* Reads the image and libosinfo's database in a thread. */
void app_detect_iso_async(const char *path, GCancellable *c, GAsyncReadyCallback done, gpointer u);
AppDetected *app_detect_iso_finish(GAsyncResult *r, GError **e);
void app_detected_free(AppDetected *d);
/* guestOS for what libosinfo calls an operating system. */
const char *app_detect_guest_id(const char *short_id, const char *distro, const char *version, gboolean is_64);
/* By the volume's name alone, for what is newer than libosinfo's database: "Debian 12.5.0 amd64 n". NULL: not known.
 * *name: g_free. */
const char *app_detect_volume(const char *volume, char **name);

#endif
