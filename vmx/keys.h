/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Key names and characters as USB HID usages (page 7). */
#ifndef LODGE_VMX_KEYS_H
#define LODGE_VMX_KEYS_H

#include <stdbool.h>
#include <stdint.h>

uint16_t key_by_name(const char *name); /* "ctrl", "F1", "a" ...; 0: unknown */
/* The key that types c on a US keyboard; *shift: with shift. 0: none. */
uint16_t key_by_char(unsigned c, bool *shift);
enum { KEY_LEFT_SHIFT = 0xE1 };

#endif
