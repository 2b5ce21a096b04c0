/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's picture for clients of the control API: shared memory and damage, at the pace of each client. All calls [main]. */
#ifndef LODGE_VMX_SCREEN_FEED_H
#define LODGE_VMX_SCREEN_FEED_H

#include <gio/gio.h>
#include <stdint.h>

#include "base/err.h"

struct machine;
struct screen_feed;
struct screen_picture {
    int fd; /* the receiver's; read-only */
    uint64_t offset;
    uint32_t width, height, stride, generation;
};

struct screen_feed *screen_feed_new(void);
void screen_feed_free(struct screen_feed *f);
/* Subscribes conn, and gives the picture as it is now. ERR_BUSY: the guest shows nothing yet (ScreenMode will tell conn). */
int screen_feed_open(struct screen_feed *f, struct machine *m, GDBusConnection *conn, struct screen_picture *out, struct err *e);
void screen_feed_opened(struct screen_feed *f, GDBusConnection *conn); /* the answer is on its way: signals may follow */
void screen_feed_done(struct screen_feed *f, GDBusConnection *conn, uint32_t serial);
void screen_feed_close(struct screen_feed *f, GDBusConnection *conn);
void screen_feed_machine_gone(struct screen_feed *f, struct machine *m);

#endif
