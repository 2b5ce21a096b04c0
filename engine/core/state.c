/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved state: sections of named fields, driven by tables.
 *
 *   stream  = "LDGSTATE", u32 format (1), section*
 *   section = u8 length and bytes of its name, u16 version, u32 length of the body, body
 *   body    = field*
 *   field   = u8 length and bytes of its name, u8 kind, u32 count, elements
 *   element = 1, 2, 4 or 8 bytes; SF_BOOL 1 byte; SF_BYTES 1 byte; SF_VTIMER 8 bytes (deadline or -1);
 *             SF_STRUCT u16 version, u32 length, body
 * All numbers little-endian. What is read is hostile: every length is checked against what is left before it is used,
 * every value against its field's limit, and nesting is bounded by the tables, not by the data.
 */
#include "core/state.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitmap.h"
#include "base/bytes.h"
#include "core/clock.h"

static const char MAGIC[8] = {'L', 'D', 'G', 'S', 'T', 'A', 'T', 'E'};
enum { FORMAT = 1, MAX_SECTIONS = 4096, MAX_DEPTH = 8, MAX_FIELDS = 512 };

/* ---- writing ---- */

struct snap_writer {
    uint8_t *p;
    size_t n, cap;
    bool oom;
};

static void put(struct snap_writer *w, const void *p, size_t n)
{
    if (w->oom)
        return;
    if (n > w->cap - w->n) {
        size_t cap = w->cap * 2 > w->n + n ? w->cap * 2 : w->n + n + 4096;
        uint8_t *q = realloc(w->p, cap);
        if (!q) {
            w->oom = true;
            return;
        }
        w->p = q;
        w->cap = cap;
    }
    memcpy(w->p + w->n, p, n);
    w->n += n;
}

static void put_u(struct snap_writer *w, uint64_t v, unsigned size)
{
    uint8_t b[8];
    st_le64(b, v);
    put(w, b, size);
}

static void put_name(struct snap_writer *w, const char *name)
{
    size_t n = strlen(name);
    put_u(w, n, 1);
    put(w, name, n & 0xff);
}

/* Leaves room for a length; close_len fills it. */
static size_t open_len(struct snap_writer *w)
{
    put_u(w, 0, 4);
    return w->n;
}

static void close_len(struct snap_writer *w, size_t start)
{
    if (!w->oom)
        st_le32(w->p + start - 4, (uint32_t)(w->n - start));
}

static unsigned elem_size(enum sf_kind k)
{
    switch (k) {
    case SF_U16: return 2;
    case SF_U32: return 4;
    case SF_U64:
    case SF_VTIMER: return 8;
    case SF_STRUCT: return 6; /* at least */
    default: return 1;
    }
}

static uint64_t elem_load(enum sf_kind k, const void *p)
{
    switch (k) {
    case SF_BOOL: return *(const bool *)p;
    case SF_U16: return *(const uint16_t *)p;
    case SF_U32: return *(const uint32_t *)p;
    case SF_U64: return *(const uint64_t *)p;
    case SF_VTIMER: return (uint64_t)((const struct vtimer *)p)->due;
    default: return *(const uint8_t *)p;
    }
}

static void save_body(struct snap_writer *w, const struct state_desc *d, const void *dev)
{
    if (d->pre_save)
        d->pre_save((void *)dev);
    for (const struct state_field *f = d->fields; f->name; f++) {
        const uint8_t *p = (const uint8_t *)dev + f->off;
        put_name(w, f->name);
        put_u(w, f->kind, 1);
        put_u(w, f->count, 4);
        if (f->kind == SF_BYTES && f->stride == 1) {
            put(w, p, f->count);
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++, p += f->stride) {
            if (f->kind != SF_STRUCT) {
                put_u(w, elem_load(f->kind, p), elem_size(f->kind));
                continue;
            }
            put_u(w, f->sub->version, 2);
            size_t start = open_len(w);
            save_body(w, f->sub, p);
            close_len(w, start);
        }
    }
}

int state_save(struct snap_writer *w, const char *section, const struct state_desc *d, const void *dev, struct err *e)
{
    if (!*section || strlen(section) > 255)
        return err_set(e, ERR_CONFIG, 0, "A section of saved state cannot be called \"%.40s\".", section);
    put_name(w, section);
    put_u(w, d->version, 2);
    size_t start = open_len(w);
    save_body(w, d, dev);
    close_len(w, start);
    if (w->oom)
        return err_set(e, ERR_NOMEM, 0, "Out of memory while saving the state of %s.", section);
    return 0;
}

struct snap_writer *snap_writer_new(void)
{
    struct snap_writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    put(w, MAGIC, sizeof MAGIC);
    put_u(w, FORMAT, 4);
    return w;
}

const void *snap_writer_data(const struct snap_writer *w, size_t *len)
{
    *len = w->n;
    return w->p;
}

void snap_writer_free(struct snap_writer *w)
{
    if (!w)
        return;
    free(w->p);
    free(w);
}

/* ---- reading ---- */

struct cursor {
    const uint8_t *p;
    size_t n;
};
struct section {
    const char *name; /* not terminated */
    uint8_t name_len;
    bool read;
    uint16_t version;
    struct cursor body;
    char shown[64];
};
struct snap_reader {
    unsigned n;
    struct section s[];
};

static bool get(struct cursor *c, const uint8_t **p, size_t n)
{
    if (n > c->n)
        return false;
    *p = c->p;
    c->p += n;
    c->n -= n;
    return true;
}

static bool get_u(struct cursor *c, uint64_t *v, unsigned size)
{
    const uint8_t *p;
    uint8_t b[8] = {0};
    if (!get(c, &p, size))
        return false;
    memcpy(b, p, size);
    *v = ld_le64(b);
    return true;
}

static bool get_name(struct cursor *c, const char **name, uint8_t *len)
{
    uint64_t n;
    const uint8_t *p;
    if (!get_u(c, &n, 1) || !n || !get(c, &p, n))
        return false;
    *name = (const char *)p;
    *len = (uint8_t)n;
    return true;
}

static bool name_is(const char *name, uint8_t len, const char *s) { return strlen(s) == len && !memcmp(name, s, len); }

static bool get_section(struct cursor *c, struct section *s)
{
    uint64_t version, len;
    *s = (struct section){0};
    if (!get_name(c, &s->name, &s->name_len) || !get_u(c, &version, 2) || !get_u(c, &len, 4) ||
        !get(c, &s->body.p, len))
        return false;
    s->version = (uint16_t)version;
    s->body.n = len;
    /* Names are printed: keep them printable. */
    size_t n = s->name_len < sizeof s->shown ? s->name_len : sizeof s->shown - 1;
    for (size_t i = 0; i < n; i++)
        s->shown[i] = s->name[i] >= 32 && s->name[i] < 127 ? s->name[i] : '?';
    return true;
}

struct snap_reader *snap_reader_new(const void *data, size_t len, struct err *e)
{
    struct cursor c = {data, len};
    const uint8_t *magic;
    uint64_t format;
    if (!get(&c, &magic, sizeof MAGIC) || memcmp(magic, MAGIC, sizeof MAGIC) || !get_u(&c, &format, 4)) {
        err_set(e, ERR_FORMAT, 0, "This is not the saved state of a virtual machine.");
        return NULL;
    }
    if (format != FORMAT) {
        err_set(e, ERR_UNSUPPORTED, 0, "The saved state has format %u, and this version reads only format %u.",
                (unsigned)format, FORMAT);
        return NULL;
    }
    unsigned n = 0;
    struct section s;
    struct cursor walk = c;
    while (walk.n) {
        if (!get_section(&walk, &s)) {
            err_set(e, ERR_CORRUPT, 0, "The saved state is damaged: it ends inside section %u.", n);
            return NULL;
        }
        if (++n > MAX_SECTIONS) {
            err_set(e, ERR_CORRUPT, 0, "The saved state is damaged: it has too many sections.");
            return NULL;
        }
    }
    struct snap_reader *r = calloc(1, sizeof *r + n * sizeof *r->s);
    if (!r) {
        err_set(e, ERR_NOMEM, 0, "Out of memory.");
        return NULL;
    }
    for (; r->n < n; r->n++) {
        get_section(&c, &r->s[r->n]);
        for (unsigned i = 0; i < r->n; i++)
            if (r->s[i].name_len == r->s[r->n].name_len && !memcmp(r->s[i].name, r->s[r->n].name, r->s[i].name_len)) {
                err_set(e, ERR_CORRUPT, 0, "The saved state is damaged: it has two sections \"%s\".", r->s[i].shown);
                free(r);
                return NULL;
            }
    }
    return r;
}

void snap_reader_free(struct snap_reader *r) { free(r); }

const char *snap_reader_unread(const struct snap_reader *r)
{
    for (unsigned i = 0; i < r->n; i++)
        if (!r->s[i].read)
            return r->s[i].shown;
    return NULL;
}

struct load {
    const char *section;
    struct err *e;
};

static int bad(const struct load *l, const char *field, const char *what)
{
    return err_set(l->e, ERR_CORRUPT, 0, "The saved state is damaged: section \"%s\", field \"%s\": %s.", l->section,
                   field, what);
}

static int load_body(const struct load *l, const struct state_desc *d, void *dev, unsigned version, struct cursor c,
                     int depth);

static int load_elem(const struct load *l, const struct state_field *f, uint8_t *p, struct cursor *c, int depth)
{
    uint64_t v = 0;
    if (f->kind == SF_STRUCT) {
        uint64_t version, len;
        struct cursor body;
        if (!get_u(c, &version, 2) || !get_u(c, &len, 4) || !get(c, &body.p, len))
            return bad(l, f->name, "it is cut short");
        body.n = len;
        return load_body(l, f->sub, p, (unsigned)version, body, depth + 1);
    }
    if (!get_u(c, &v, elem_size(f->kind)))
        return bad(l, f->name, "it is cut short");
    if (f->max && v > f->max && f->kind != SF_VTIMER)
        return bad(l, f->name, "its value is out of range");
    switch (f->kind) {
    case SF_BOOL:
        if (v > 1)
            return bad(l, f->name, "its value is out of range");
        *(bool *)p = v;
        break;
    case SF_U8:
    case SF_BYTES: *p = (uint8_t)v; break;
    case SF_U16: *(uint16_t *)p = (uint16_t)v; break;
    case SF_U32: *(uint32_t *)p = (uint32_t)v; break;
    case SF_U64: *(uint64_t *)p = v; break;
    case SF_VTIMER:
        if ((int64_t)v == -1)
            vtimer_cancel((struct vtimer *)p);
        else if (v > INT64_MAX / 2)
            return bad(l, f->name, "its value is out of range");
        else
            vtimer_arm((struct vtimer *)p, (int64_t)v);
        break;
    case SF_STRUCT: break;
    }
    return 0;
}

static int load_body(const struct load *l, const struct state_desc *d, void *dev, unsigned version, struct cursor c,
                     int depth)
{
    if (depth > MAX_DEPTH)
        return bad(l, d->name, "it is nested too deep");
    if (version < d->min_version || version > d->version)
        return err_set(l->e, ERR_UNSUPPORTED, 0,
                       "The saved state of \"%s\" has version %u, and this version of the program reads %u to %u: "
                       "it was saved by %s program.",
                       l->section, version, d->min_version, d->version,
                       version > d->version ? "a newer" : "a much older");
    unsigned long seen[MAX_FIELDS / BITMAP_LONG_BITS] = {0};
    while (c.n) {
        const char *name;
        uint8_t len;
        uint64_t kind, n;
        if (!get_name(&c, &name, &len) || !get_u(&c, &kind, 1) || !get_u(&c, &n, 4))
            return bad(l, d->name, "it is cut short");
        const struct state_field *f = d->fields;
        while (f->name && !name_is(name, len, f->name))
            f++;
        if (!f->name)
            return bad(l, d->name, "it has a field that this version does not know");
        size_t ix = (size_t)(f - d->fields);
        ASSERT(ix < MAX_FIELDS);
        if (bitmap_test(seen, ix))
            return bad(l, f->name, "it is there twice");
        bitmap_set(seen, ix);
        if (kind != (uint64_t)f->kind)
            return bad(l, f->name, "it has another type");
        if (n > f->count)
            return bad(l, f->name, "it has too many elements");
        if (f->kind == SF_BYTES && f->stride == 1 && !f->max) {
            const uint8_t *p;
            if (!get(&c, &p, n))
                return bad(l, f->name, "it is cut short");
            memcpy((uint8_t *)dev + f->off, p, n);
            continue;
        }
        for (uint64_t i = 0; i < n; i++)
            if (load_elem(l, f, (uint8_t *)dev + f->off + i * f->stride, &c, depth))
                return -1;
    }
    if (d->post_load && d->post_load(dev, version, l->e))
        return err_prefix(l->e, "Section \"%s\" of the saved state: ", l->section);
    return 0;
}

int state_load(struct snap_reader *r, const char *section, const struct state_desc *d, void *dev, struct err *e)
{
    for (unsigned i = 0; i < r->n; i++) {
        struct section *s = &r->s[i];
        if (!name_is(s->name, s->name_len, section))
            continue;
        s->read = true;
        struct load l = {section, e};
        return load_body(&l, d, dev, s->version, s->body, 0);
    }
    return err_set(e, ERR_CORRUPT, 0,
                   "The saved state has no section \"%s\": it was saved with other hardware, or is damaged.", section);
}
