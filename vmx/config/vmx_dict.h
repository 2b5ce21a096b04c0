/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The .vmx dictionary: lines of name = "value". Reading and writing is lossless: order, comments, blank and malformed lines, spacing,
 * encoding and line ends survive, and changing one value changes one line. Names compare without case. Values are UTF-8 here, whatever
 * the file's charset is. Overrides (command line) are seen by vmx_dict_get but never written.
 */
#ifndef LODGE_VMX_DICT_H
#define LODGE_VMX_DICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define VMX_DICT_MAX_BYTES (4u << 20)
#define VMX_DICT_MAX_LINES 100000u

struct vmx_dict;

struct vmx_entry {
    const char *name;  /* as spelt in the file */
    const char *value; /* UTF-8; raw bytes where the file's charset does not decode */
    unsigned line;     /* 1..; 0 for an override */
    bool duplicate;    /* a later line has the same name and wins */
    bool quoted;
    bool bad_text;     /* not valid in the file's charset, or holds |00 */
};

/* New, empty, in UTF-8 with LF ends and an .encoding line. */
struct vmx_dict *vmx_dict_new(void);
/* From memory. NULL: binary data, too long, too many lines. */
struct vmx_dict *vmx_dict_parse(const void *data, size_t len, struct err *e);
/* From a file. Anything but a regular file of at most VMX_DICT_MAX_BYTES is refused without reading it. */
struct vmx_dict *vmx_dict_load(const char *path, struct err *e);
void vmx_dict_free(struct vmx_dict *d);

/* The file's bytes as they would be written; free() them. */
char *vmx_dict_format(const struct vmx_dict *d, size_t *len);
/* Replaces the file at path atomically: a reader sees the old or the new file, whole; a symbolic link stays one. */
int vmx_dict_save(const struct vmx_dict *d, const char *path, struct err *e);
bool vmx_dict_changed(const struct vmx_dict *d); /* differs from what was loaded or last saved */
void vmx_dict_saved(struct vmx_dict *d);         /* after a successful save */

/* The value that holds: override, else the last line of that name, else NULL. */
const char *vmx_dict_get(const struct vmx_dict *d, const char *name);
/* The line that holds it; 0: not in the file. */
unsigned vmx_dict_line(const struct vmx_dict *d, const char *name);
/* Changes that line (and removes earlier duplicates of it), or appends a new one. Fails for a name that is no name and for text that the
 * file's charset cannot hold. */
int vmx_dict_set(struct vmx_dict *d, const char *name, const char *value, struct err *e);
bool vmx_dict_unset(struct vmx_dict *d, const char *name);
int vmx_dict_override(struct vmx_dict *d, const char *name, const char *value, struct err *e);

/* Walks: start with a zeroed iterator. Entries in file order, overrides last; false at the end. Not while changing the dictionary. */
struct vmx_iter {
    size_t pos;
    unsigned line;
};
bool vmx_dict_next(const struct vmx_dict *d, struct vmx_iter *it, struct vmx_entry *out);
/* The same over lines that are neither entry nor comment nor blank: line number, 0 at the end; *text is the line. */
unsigned vmx_dict_next_malformed(const struct vmx_dict *d, struct vmx_iter *it, const char **text);
const char *vmx_dict_charset(const struct vmx_dict *d); /* the one in use, e.g. "UTF-8" */
bool vmx_dict_charset_unknown(const struct vmx_dict *d); /* .encoding names one that is not supported */

bool vmx_name_valid(const char *name);

#endif
