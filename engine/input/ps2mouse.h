/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PS/2 mouse: standard, IntelliMouse (wheel), IntelliMouse Explorer (5 buttons). */
#ifndef LODGE_INPUT_PS2MOUSE_H
#define LODGE_INPUT_PS2MOUSE_H

#include "core/device.h"
#include "input/ps2.h"

struct input;
struct ps2mouse_params {
    struct input *input; /* the router */
};
extern const struct dev_class ps2mouse_class;
struct ps2_link *ps2mouse_link(struct dev *d);
void ps2mouse_poke(struct dev *d); /* [dev] sends a packet without movement: a guest driver then asks the backdoor for the position */

#endif
