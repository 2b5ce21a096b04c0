/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the place of a key to its HID usage and back to names and codes. No widget in here. */
#ifndef LODGE_UI_MKS_KEYS_H
#define LODGE_UI_MKS_KEYS_H

#include <glib.h>

enum { MKS_USAGE_MAX = 4096 };
enum { MKS_KEY_ENTER = 0x28, MKS_KEY_TAB = 0x2B, MKS_KEY_CAPS = 0x39, MKS_KEY_SCROLL = 0x47, MKS_KEY_NUM = 0x53, MKS_KEY_DELETE = 0x4C, MKS_KEY_CTRL = 0xE0,
       MKS_KEY_SHIFT = 0xE1, MKS_KEY_ALT = 0xE2, MKS_KEY_ALTGR = 0xE6 };

guint mks_usage_from_evdev(guint evdev);       /* 0: no such key */
guint mks_usage_from_xkb_name(const char *name); /* "AE01"; aliases of other key code sets too; 0: none */
guint mks_evdev_from_usage(guint usage);       /* 0: none */
guint mks_xt_from_usage(guint usage);          /* code of the extended VNC key event; 0: none */
guint mks_usage_from_name(const char *name);   /* names of docs/control-api.md; 0: none */

#endif
