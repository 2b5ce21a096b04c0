/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of a processor in the order and the sizes that gdb knows, and their description for it. */
#ifndef LODGE_VMX_GDBREGS_H
#define LODGE_VMX_GDBREGS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu_state;
unsigned gdbregs_count(bool is64);
unsigned gdbregs_size(bool is64, unsigned i); /* bytes */
void gdbregs_get(const struct cpu_state *s, bool is64, unsigned i, uint8_t *out);
void gdbregs_set(struct cpu_state *s, bool is64, unsigned i, const uint8_t *in);
GString *gdbregs_xml(bool is64);

#endif
