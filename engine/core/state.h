/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One table drives save, load, range check and dump. Loaded data is hostile: index fields carry a limit. */
#ifndef LODGE_CORE_STATE_H
#define LODGE_CORE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct snap_writer;
struct snap_reader;
enum sf_kind { SF_U8, SF_U16, SF_U32, SF_U64, SF_BOOL, SF_BYTES, SF_VTIMER, SF_STRUCT };
struct state_desc;
struct state_field {
    const char *name;
    uint32_t off, count, stride; /* count elements, stride bytes apart */
    enum sf_kind kind;
    uint64_t max; /* largest value allowed on load; 0 = no limit */
    const struct state_desc *sub;
};
struct state_desc {
    const char *name;
    uint16_t version, min_version;
    const struct state_field *fields; /* ends with name == NULL */
    void (*pre_save)(void *dev);
    int (*post_load)(void *dev, unsigned version, struct err *e); /* re-drives lines and timers */
};
/* SF_VTIMER: the field is a struct vtimer; its absolute deadline is saved and armed again. SF_STRUCT: sub's own version
 * stands before each element, and its pre_save and post_load run for each. SF_BOOL: a C bool, only 0 or 1. */
/* Section = name, version, length, then (field name, kind, count, little-endian data). Unknown field: error. Missing:
 * reset value. */
int state_save(struct snap_writer *w, const char *section, const struct state_desc *d, const void *dev, struct err *e);
int state_load(struct snap_reader *r, const char *section, const struct state_desc *d, void *dev, struct err *e);

/* Writers and readers over memory; the file container is vmx/suspend.c's. */
struct snap_writer *snap_writer_new(void);
const void *snap_writer_data(const struct snap_writer *w, size_t *len);
void snap_writer_free(struct snap_writer *w);
/* does not copy: data must outlive it */
struct snap_reader *snap_reader_new(const void *data, size_t len, struct err *e);
void snap_reader_free(struct snap_reader *r);
const char *snap_reader_unread(const struct snap_reader *r); /* a section that no state_load has asked for, or NULL */

/* clang-format off */
#define SF(type, field, k) \
    {.name = #field, .off = offsetof(type, field), .count = 1, .stride = sizeof(((type *)0)->field), .kind = k}
#define SF_MAX(type, field, k, m) \
    {.name = #field, .off = offsetof(type, field), .count = 1,                            \
     .stride = sizeof(((type *)0)->field), .kind = k, .max = m}
#define SF_ARR(type, field, k)                                                            \
    {.name = #field, .off = offsetof(type, field),                                        \
     .count = sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]),                 \
     .stride = sizeof(((type *)0)->field[0]), .kind = k}
#define SF_SUB(type, field, desc)                                                         \
    {.name = #field, .off = offsetof(type, field), .count = 1,                            \
     .stride = sizeof(((type *)0)->field), .kind = SF_STRUCT, .sub = desc}
#define SF_SUBS(type, field, desc)                                                        \
    {.name = #field, .off = offsetof(type, field),                                        \
     .count = sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]),                 \
     .stride = sizeof(((type *)0)->field[0]), .kind = SF_STRUCT, .sub = desc}
#define SF_BUF(type, field) \
    {.name = #field, .off = offsetof(type, field), .count = sizeof(((type *)0)->field), .stride = 1, .kind = SF_BYTES}
/* clang-format on */

#endif
