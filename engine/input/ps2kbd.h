/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PS/2 keyboard (101 to 109 keys, scan code sets 1, 2 and 3). */
#ifndef LODGE_INPUT_PS2KBD_H
#define LODGE_INPUT_PS2KBD_H

#include "core/device.h"
#include "input/ps2.h"

struct input;
struct ps2kbd_params {
    struct input *input; /* the router; NULL: keys come by ps2kbd_key only */
};
extern const struct dev_class ps2kbd_class;
struct ps2_link *ps2kbd_link(struct dev *d);
void ps2kbd_key(struct dev *d, uint16_t usage, bool down); /* [dev] HID usage, page 7 (or 0C00h + consumer usage) */

#endif
