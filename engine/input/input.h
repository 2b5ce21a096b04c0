/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input router: events come from VNC, the control API and the window; they go to the keyboard and pointer that the guest uses now. */
#ifndef LODGE_INPUT_INPUT_H
#define LODGE_INPUT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct vm;
struct input;
enum input_type { IN_KEY, IN_REL, IN_ABS, IN_BUTTON, IN_WHEEL };
/* KEY: code = USB HID usage (page 7), x = 1 down, 0 up. REL: x, y deltas. ABS: x, y in 0..65535 over the screen. BUTTON: code 0 left,
 * 1 right, 2 middle, 3 side, 4 extra; x = 1 down. WHEEL: y clicks, positive = away from the user. */
struct input_event {
    enum input_type type;
    uint16_t code;
    int32_t x, y;
};
struct input_sink {
    bool (*event)(void *dev, const struct input_event *ev, int n); /* [dev] one frame of events */
    bool absolute;                                                 /* wants IN_ABS; REL otherwise */
    bool keyboard, pointer;
    bool (*room)(void *dev); /* [dev] can the keyboard take one more key? Those that it cannot take wait here; NULL: always */
};
struct input *input_new(struct vm *vm, struct err *e);
void input_free(struct input *in);
int input_sink_add(struct input *in, const struct input_sink *ops, void *dev);  /* [main] building; returns an id */
void input_sink_activate(struct input *in, int id, bool active);                /* [dev] the newest active pointer wins */
void input_post(struct input *in, const struct input_event *ev, int n);         /* [any] queued; delivered [dev] */
void input_release_all(struct input *in);                                       /* [any] key-up for everything that is down */
bool input_wants_absolute(struct input *in);                                    /* [any] */
void input_set_leds(struct input *in, unsigned leds);                           /* [dev] bit 0 scroll, 1 num, 2 caps */
/* What absolute positions are scaled by when the guest's pointer is relative; 1024 x 768 until called. [any] */
void input_set_screen(struct input *in, uint32_t w, uint32_t h);
void input_on_leds(struct input *in, void (*fn)(void *u, unsigned leds), void *u); /* [main] */
/* fn [dev] after each batch of events that reached the guest's devices; one listener. [main], while the machine is built */
void input_on_delivery(struct input *in, void (*fn)(void *u), void *u);
/* fn [dev] when input_wants_absolute changes; one listener, NULL ends it. [main] */
void input_on_absolute(struct input *in, void (*fn)(void *u, bool absolute), void *u);

#endif
