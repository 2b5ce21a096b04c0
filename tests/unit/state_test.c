/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saved state: every kind of field, versions, damage of every sort. */
#include <stdlib.h>
#include <string.h>

#include "core/state.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

struct inner {
    uint16_t a;
    bool b;
    unsigned loads;
};
struct outer {
    uint8_t u8;
    uint16_t u16;
    uint32_t u32, index;
    uint64_t u64, arr[5];
    bool flag;
    uint8_t buf[7];
    struct inner one, many[3];
    struct vtimer t1, t2;
    uint16_t strided[4][2]; /* only column 0 is saved */
    uint32_t added;
    unsigned saves, version;
};

static int inner_loaded(void *dev, unsigned version, struct err *e)
{
    struct inner *i = dev;
    i->loads++;
    return i->a == 0xdead ? err_set(e, ERR_CORRUPT, 0, "a dead value") : 0;
}
static const struct state_desc inner_desc = {
    .name = "inner",
    .version = 3,
    .min_version = 3,
    .post_load = inner_loaded,
    .fields = (const struct state_field[]){SF(struct inner, a, SF_U16), SF(struct inner, b, SF_BOOL), {0}},
};
static void pre_save(void *dev) { ((struct outer *)dev)->saves++; }
static int post_load(void *dev, unsigned version, struct err *e)
{
    ((struct outer *)dev)->version = version;
    return 0;
}
static const struct state_field fields_v1[] = {
    SF(struct outer, u8, SF_U8),
    SF(struct outer, u16, SF_U16),
    SF(struct outer, u32, SF_U32),
    SF_MAX(struct outer, index, SF_U32, 4),
    SF(struct outer, u64, SF_U64),
    SF_ARR(struct outer, arr, SF_U64),
    SF(struct outer, flag, SF_BOOL),
    SF_BUF(struct outer, buf),
    SF_SUB(struct outer, one, &inner_desc),
    SF_SUBS(struct outer, many, &inner_desc),
    SF(struct outer, t1, SF_VTIMER),
    SF(struct outer, t2, SF_VTIMER),
    {.name = "strided", .off = offsetof(struct outer, strided), .count = 4, .stride = 4, .kind = SF_U16},
    {0},
};
static const struct state_field fields_v2[] = {
    SF(struct outer, added, SF_U32),
    SF(struct outer, u8, SF_U8),
    SF(struct outer, u16, SF_U16),
    SF(struct outer, u32, SF_U32),
    SF_MAX(struct outer, index, SF_U32, 4),
    SF(struct outer, u64, SF_U64),
    SF_ARR(struct outer, arr, SF_U64),
    SF(struct outer, flag, SF_BOOL),
    SF_BUF(struct outer, buf),
    SF_SUB(struct outer, one, &inner_desc),
    SF_SUBS(struct outer, many, &inner_desc),
    SF(struct outer, t1, SF_VTIMER),
    SF(struct outer, t2, SF_VTIMER),
    {.name = "strided", .off = offsetof(struct outer, strided), .count = 4, .stride = 4, .kind = SF_U16},
    {0},
};
static const struct state_desc v1 = {"outer", 1, 1, fields_v1, pre_save, post_load},
                               v2 = {"outer", 2, 1, fields_v2, pre_save, post_load},
                               v2_only = {"outer", 2, 2, fields_v2, NULL, NULL};

static void nothing(void *dev) {}

static void init(struct outer *o, struct vm *vm)
{
    memset(o, 0, sizeof *o);
    vtimer_init(&o->t1, vm, nothing, o);
    vtimer_init(&o->t2, vm, nothing, o);
}

static void done(struct outer *o)
{
    vtimer_cancel(&o->t1);
    vtimer_cancel(&o->t2);
}

static int load(const void *p, size_t n, const struct state_desc *d, struct outer *o, struct err *e)
{
    struct snap_reader *r = snap_reader_new(p, n, e);
    int rc = r ? state_load(r, "outer", d, o, e) : -1;
    snap_reader_free(r);
    return rc;
}

int main(void)
{
    struct vm *vm = fakevm_new(0, 1);
    struct err e = {0};
    struct outer a, b;
    init(&a, vm);
    a.u8 = 0x12;
    a.u16 = 0x3456;
    a.u32 = 0x789abcde;
    a.index = 4;
    a.u64 = 0x0123456789abcdef;
    for (int i = 0; i < 5; i++)
        a.arr[i] = (uint64_t)i << 60 | 7;
    a.flag = true;
    memcpy(a.buf, "\0\1\2\3\xff\xfe\xfd", 7);
    a.one = (struct inner){.a = 5, .b = true};
    for (int i = 0; i < 3; i++)
        a.many[i] = (struct inner){.a = (uint16_t)(100 + i), .b = i & 1};
    for (int i = 0; i < 4; i++)
        a.strided[i][0] = (uint16_t)(i + 1), a.strided[i][1] = 0x9999;
    vtimer_arm(&a.t1, 123456789);

    struct snap_writer *w = snap_writer_new();
    ok(!state_save(w, "first", &inner_desc, &a.one, &e) && !state_save(w, "outer", &v1, &a, &e), "saved");
    ok(a.saves == 1, "pre_save ran");
    ok(state_save(w, "", &v1, &a, NULL) == -1, "a section has a name");
    size_t n;
    const uint8_t *p = snap_writer_data(w, &n);

    init(&b, vm);
    ok(!load(p, n, &v1, &b, &e), "loaded: %s", e.msg);
    ok(b.u8 == a.u8 && b.u16 == a.u16 && b.u32 == a.u32 && b.index == 4 && b.u64 == a.u64 &&
           !memcmp(b.arr, a.arr, sizeof a.arr) && b.flag && !memcmp(b.buf, a.buf, 7),
       "numbers, bools, bytes and arrays");
    ok(b.one.a == 5 && b.one.b && b.many[2].a == 102 && b.many[1].b && !b.many[2].b && b.one.loads == 1 &&
           b.many[2].loads == 1,
       "structs, and their post_load");
    ok(b.strided[3][0] == 4 && b.strided[3][1] == 0, "strides");
    ok(b.t1.due == 123456789 && vtimer_armed(&b.t1) && b.t2.due == -1, "timers");
    ok(b.version == 1, "post_load knows the version");
    done(&b);

    init(&b, vm);
    b.added = 77;
    ok(!load(p, n, &v2, &b, &e) && b.added == 77 && b.u8 == 0x12,
       "an older version loads; what it lacks keeps its value");
    done(&b);
    ok(load(p, n, &v2_only, &b, &e) && e.kind == ERR_UNSUPPORTED, "too old: %s", e.msg);
    struct snap_writer *w2 = snap_writer_new();
    size_t n2;
    state_save(w2, "outer", &v2, &a, &e);
    const void *p2 = snap_writer_data(w2, &n2);
    ok(load(p2, n2, &v1, &b, &e) && e.kind == ERR_UNSUPPORTED, "too new: %s", e.msg);
    snap_writer_free(w2);
    /* Same version, but with a field that is not in the table. */
    struct state_desc short_desc = {"outer", 1, 1, fields_v1 + 1, NULL, NULL};
    ok(load(p, n, &short_desc, &b, &e) && e.kind == ERR_CORRUPT, "unknown field: %s", e.msg);
    a.index = 5;
    w2 = snap_writer_new();
    state_save(w2, "outer", &v1, &a, &e);
    p2 = snap_writer_data(w2, &n2);
    init(&b, vm);
    ok(load(p2, n2, &v1, &b, &e) && strstr(e.msg, "index"), "out of range: %s", e.msg);
    done(&b);
    snap_writer_free(w2);
    a.index = 4;
    a.many[1].a = 0xdead;
    w2 = snap_writer_new();
    state_save(w2, "outer", &v1, &a, &e);
    p2 = snap_writer_data(w2, &n2);
    init(&b, vm);
    ok(load(p2, n2, &v1, &b, &e) && strstr(e.msg, "a dead value"), "post_load can refuse: %s", e.msg);
    done(&b);
    snap_writer_free(w2);

    struct snap_reader *r = snap_reader_new(p, n, &e);
    ok(r && state_load(r, "nowhere", &v1, &b, &e) == -1, "missing section: %s", e.msg);
    ok(!strcmp(snap_reader_unread(r), "first") && !state_load(r, "first", &inner_desc, &b.one, &e) &&
           !strcmp(snap_reader_unread(r), "outer"),
       "unread sections");
    snap_reader_free(r);
    w2 = snap_writer_new();
    state_save(w2, "outer", &v1, &a, &e);
    state_save(w2, "outer", &v1, &a, &e);
    p2 = snap_writer_data(w2, &n2);
    ok(!snap_reader_new(p2, n2, &e), "two sections of one name: %s", e.msg);
    snap_writer_free(w2);

    /* Cut short at every byte: refused, or (cut between sections) the section is missing. */
    unsigned accepted = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t *cut = malloc(i ? i : 1); /* exact size: a sanitizer sees any read beyond */
        memcpy(cut, p, i);
        init(&b, vm);
        accepted += !load(cut, i, &v1, &b, &e);
        done(&b);
        free(cut);
    }
    ok(accepted == 0, "no truncation is accepted");
    /* Cut short inside the section, with its length adjusted: fields may be missing, never half there. */
    size_t body = 0;
    for (size_t i = 0; i + 12 < n && !body; i++)
        if (!memcmp(p + i, "\5outer\1\0", 8))
            body = i + 12;
    unsigned crashed = 0, good = 0;
    for (size_t len = 0; len < n - body; len++) {
        uint8_t *cut = malloc(body + len);
        memcpy(cut, p, body + len);
        cut[body - 4] = (uint8_t)len;
        cut[body - 3] = (uint8_t)(len >> 8);
        init(&b, vm);
        good += !load(cut, body + len, &v1, &b, &e);
        done(&b);
        free(cut);
    }
    ok(good == 13 && !crashed, "a section cut between fields loads (%u of 13 borders)", good);
    /* Every byte changed to a few other values: no crash, and no value out of range. */
    unsigned out_of_range = 0, loaded = 0;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 6; k++) {
            static const uint8_t flip[] = {0x01, 0x80, 0xff, 0x7f, 0x10, 0x02};
            uint8_t *m = malloc(n);
            memcpy(m, p, n);
            m[i] ^= flip[k];
            init(&b, vm);
            if (!load(m, n, &v1, &b, &e)) {
                loaded++;
                uint8_t flag;
                memcpy(&flag, &b.flag, 1);
                out_of_range += b.index > 4 || flag > 1 || b.t1.due < -1;
            }
            done(&b);
            free(m);
        }
    ok(!out_of_range, "mutations: %u of %zu load, none out of range", loaded, n * 6);
    snap_writer_free(w);
    done(&a);
    fakevm_free(vm);
    return TAP_DONE();
}
