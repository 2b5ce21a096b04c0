/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the keys of a .vmx mean: the table of vmx_keys.def, typed access with its defaults, and the check of a whole file. */
#ifndef LODGE_VMX_SCHEMA_H
#define LODGE_VMX_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/vmx_dict.h"

enum vmx_type { VMX_BOOL, VMX_INT, VMX_STR, VMX_FILE, VMX_ENUM, VMX_LIST, VMX_UUID, VMX_MAC, VMX_MASK };

struct vmx_key {
    const char *section; /* a heading row: only this is set */
    const char *name;    /* [a-b] and * as in vmx_keys.def */
    enum vmx_type type;
    const char *def, *range;
    bool acts;
    const char *doc;
};

const struct vmx_key *vmx_key_table(size_t *n);
const struct vmx_key *vmx_key_find(const char *name); /* NULL: unknown */
const char *vmx_type_name(enum vmx_type t);

/* ERROR: the machine cannot start. WARNING: probably not what is meant. NOTE: true, and nothing to do about it. */
enum vmx_severity { VMX_ERROR, VMX_WARNING, VMX_NOTE };
/* line 0: the whole file, or an override. The text says what is wrong and what to do. */
typedef void (*vmx_problem_fn)(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text);

/* Checks values and contradictions inside the file; looks at no other file. [any] */
void vmx_check(const struct vmx_dict *d, vmx_problem_fn fn, void *u);
/* Where to look for a key in the file: its line, or that of the device's .present when it has none. 0: in neither. */
unsigned vmx_line_of(const struct vmx_dict *d, const char *key);

/* Values by the table: an absent, empty or wrong value gives the default. name must be in the table. */
bool vmx_get_bool(const struct vmx_dict *d, const char *name);
int64_t vmx_get_int(const struct vmx_dict *d, const char *name);
const char *vmx_get_str(const struct vmx_dict *d, const char *name); /* never NULL */
/* name is a printf format for the indexed keys: vmx_get_bool_f(d, "ide%d:%d.present", 0, 1). */
bool vmx_get_bool_f(const struct vmx_dict *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *vmx_get_str_f(const struct vmx_dict *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool vmx_parse_bool(const char *s, bool *out);
bool vmx_parse_int(const char *s, int64_t *out);
/* "56 4d ...-..." or the usual form with dashes: 32 hex digits. */
bool vmx_parse_uuid(const char *s, uint8_t out[16]);
void vmx_format_uuid(const uint8_t u[16], char out[48]);
/* guestOS of a 64-bit kind. */
bool vmx_guest_is_64(const char *guest_os);

#endif
