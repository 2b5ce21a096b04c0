/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From what a VNC viewer sends (X keysyms, or PC/XT key codes) to the key that was pressed (HID usage, page 7). */
#ifndef LODGE_VMX_SCREEN_KEYS_H
#define LODGE_VMX_SCREEN_KEYS_H

#include <stdbool.h>
#include <stdint.h>

enum { HID_LCTRL = 0xe0, HID_LSHIFT, HID_LALT, HID_LGUI, HID_RCTRL, HID_RSHIFT, HID_RALT, HID_RGUI, HID_CAPS = 0x39 };

struct keymap;
struct key_place {
    uint8_t hid;        /* 0: no such key */
    bool shift, altgr;  /* modifiers that this layout needs for the symbol */
    bool letter;        /* Caps Lock inverts shift */
    bool plain;         /* not on a layout (Enter, F1, keypad ...): modifiers do not matter */
};

const struct keymap *keymap_find(const char *name); /* "de", "de-ch", "en-us", any case; NULL or "": us; NULL result: not known */
const char *keymap_names(void);
struct key_place keymap_lookup(const struct keymap *k, uint32_t keysym);
uint8_t hid_from_xt(uint32_t code); /* as in the QEMU extended key event: bit 7 for codes behind E0h; 0: no such key */

#endif
