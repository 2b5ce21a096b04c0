/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wire between the keyboard controller and a PS/2 device. */
#ifndef LODGE_INPUT_PS2_H
#define LODGE_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

/* The device owns the link; the controller fills notify and ctl when it is made. All calls [dev]. */
struct ps2_link {
    bool (*pull)(void *dev, uint8_t *byte); /* next byte for the host; false: none */
    void (*put)(void *dev, uint8_t byte);   /* command or parameter from the host */
    void *dev;
    void (*notify)(void *ctl, struct ps2_link *l); /* the device has bytes to be pulled */
    void *ctl;
};

#endif
