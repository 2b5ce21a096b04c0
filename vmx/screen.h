/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's screen for the outside: the VNC server (RemoteDisplay.vnc.*) and screenshots for the control API. */
#ifndef LODGE_VMX_SCREEN_H
#define LODGE_VMX_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct display;
struct input;
struct vm;
struct screen;

struct screen_params {
    struct vm *vm;
    struct display *display;
    struct input *input;
    const char *name;     /* desktop name that viewers show */
    const char *ip;       /* RemoteDisplay.vnc.ip; NULL or "": all addresses */
    unsigned port;        /* RemoteDisplay.vnc.port */
    const char *password; /* NULL or "": no authentication; only the first 8 characters count */
    const char *keymap;   /* RemoteDisplay.vnc.keyMap: layout assumed for viewers that send no key codes; NULL: us */
    unsigned max_clients; /* RemoteDisplay.maxConnections; 0: no limit */
    void (*thread_started)(void *u, const char *kind); /* on the new thread before its work ("screen"); may be NULL */
    void *thread_started_u;
};

/* Binds and listens at once (a port in use is an error that names the next free one), then serves on a thread of its own. [main] */
struct screen *screen_start(const struct screen_params *p, struct err *e);
void screen_stop(struct screen *s); /* closes all clients, joins the thread; NULL is allowed */
unsigned screen_port(const struct screen *s);
unsigned screen_client_count(struct screen *s); /* [any] */
/* True when name is a layout that keymap may have; names lists them all, comma separated, for messages. */
bool screen_keymap_known(const char *keymap);
const char *screen_keymap_names(void);

/* The guest's current screen as a PNG file in memory; free(*png). Works with and without a VNC server. [main] */
int screen_screenshot_png(struct vm *vm, struct display *d, uint8_t **png, size_t *size, struct err *e);
/* Encodes 32-bit XRGB pixels. */
int png_encode_xrgb(const uint8_t *pixels, uint32_t w, uint32_t h, size_t stride, uint8_t **png, size_t *size, struct err *e);

#endif
