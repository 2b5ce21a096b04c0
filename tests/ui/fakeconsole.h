/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other side of a console, in the test's own process: the control API on a socket, a screen in sealed memory, and a record of all input. */
#ifndef LODGE_TESTS_FAKECONSOLE_H
#define LODGE_TESTS_FAKECONSOLE_H

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

struct fake_pointer {
    int x, y, buttons; /* guest pixel as a guest computes it, buttons after the event */
};

struct fake {
    GDBusServer *server;
    GDBusConnection *conn; /* the last that came */
    void *skel;
    char *dir, *address;
    /* screen */
    int fd, width, height, stride;
    uint32_t *pixels;
    size_t size;
    uint32_t generation, serial, done; /* done: last ScreenDone */
    bool unsealed, bad_size, has_screen;
    bool pending_frame; /* to be told when the last is painted */
    int opened;
    /* what came */
    bool down[4096];
    int n_down, presses, releases, repeats;
    GString *keys; /* "+04 -04 ", usages */
    GArray *pointer; /* struct fake_pointer, one a press */
    int x, y, buttons, moves, dx, dy, wheel;
    int size_w, size_h;
    bool follows;
    int64_t last_key_us; /* when the last Key came, monotonic */
};

struct fake *fake_new(int w, int h);
void fake_free(struct fake *f);
void fake_stop(struct fake *f);  /* the process ends: connection and socket go */
void fake_start(struct fake *f); /* and comes back at the same address */
void fake_mode(struct fake *f, int w, int h); /* new memory, all pixels random, ScreenMode */
void fake_damage(struct fake *f, int x, int y, int w, int h);
void fake_frame(struct fake *f); /* all of the picture has changed: told now, or when what was told before is painted, as a machine does */
void fake_cursor(struct fake *f, int w, int h, int hot_x, int hot_y, const uint32_t *argb, size_t bytes);
void fake_cursor_at(struct fake *f, int x, int y, bool shown);
void fake_state(struct fake *f, const char *state, const char *text);
void fake_blank(struct fake *f, bool blank);
void fake_absolute(struct fake *f, bool absolute);
void fake_leds(struct fake *f, unsigned leds);
void fake_clear(struct fake *f); /* forgets what came, not what is down */

#endif
