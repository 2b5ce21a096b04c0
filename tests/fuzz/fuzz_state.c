/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved state as an attacker would write it: loaded into a struct with every kind of field and into the processor's
 * state. What loads must keep the limits of its table, and saving it again must give something that loads.
 */
#include <stdlib.h>
#include <string.h>

#include "core/state.h"
#include "cpu/cpustate.h"
#include "tests/fakevm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inner {
    uint16_t a;
    bool b;
};
struct all {
    uint8_t u8, small[4], buf[9];
    uint16_t u16;
    uint32_t u32, arr[3];
    uint64_t u64;
    bool flag;
    struct inner one, many[2];
    struct vtimer t;
};
static const struct state_desc inner_desc = {
    .name = "inner",
    .version = 2,
    .min_version = 1,
    .fields = (const struct state_field[]){SF_MAX(struct inner, a, SF_U16, 1000), SF(struct inner, b, SF_BOOL), {0}},
};
static const struct state_field fields[] = {
    SF(struct all, u8, SF_U8),
    {.name = "small", .off = offsetof(struct all, small), .count = 4, .stride = 1, .kind = SF_BYTES, .max = 7},
    SF_BUF(struct all, buf),
    SF_MAX(struct all, u16, SF_U16, 0x1234),
    SF(struct all, u32, SF_U32),
    SF_ARR(struct all, arr, SF_U32),
    SF_MAX(struct all, u64, SF_U64, 1ull << 40),
    SF(struct all, flag, SF_BOOL),
    SF_SUB(struct all, one, &inner_desc),
    SF_SUBS(struct all, many, &inner_desc),
    SF(struct all, t, SF_VTIMER),
    {0},
};
static const struct state_desc all_desc = {.name = "all", .version = 3, .min_version = 1, .fields = fields};

static void nothing(void *dev) {}

static void check(bool good)
{
    if (!good)
        abort();
}

static void inner_ok(const struct inner *i)
{
    uint8_t b;
    memcpy(&b, &i->b, 1);
    check(i->a <= 1000 && b <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm *vm = fakevm_new(0, 1);
    struct err e = {0};
    struct all *a = calloc(1, sizeof *a);
    struct cpu_state *cs = aligned_alloc(64, sizeof *cs);
    memset(cs, 0, sizeof *cs);
    vtimer_init(&a->t, vm, nothing, a);
    struct snap_reader *r = snap_reader_new(data, size, &e);
    if (r && !state_load(r, "all", &all_desc, a, &e)) {
        uint8_t flag;
        memcpy(&flag, &a->flag, 1);
        check(flag <= 1 && a->u16 <= 0x1234 && a->u64 <= 1ull << 40 && a->t.due >= -1);
        check(a->small[0] <= 7 && a->small[1] <= 7 && a->small[2] <= 7 && a->small[3] <= 7);
        inner_ok(&a->one);
        inner_ok(&a->many[0]);
        inner_ok(&a->many[1]);
        struct snap_writer *w = snap_writer_new();
        size_t n;
        check(!state_save(w, "all", &all_desc, a, &e));
        const void *p = snap_writer_data(w, &n);
        struct snap_reader *r2 = snap_reader_new(p, n, &e);
        check(r2 && !state_load(r2, "all", &all_desc, a, &e));
        snap_reader_free(r2);
        snap_writer_free(w);
    }
    if (r && !state_load(r, "cpu0", &cpu_state_desc, cs, &e))
        check(cs->run_state <= CPU_SHUTDOWN && cs->exc_vector < 32 && cs->rflags & 2);
    if (r)
        (void)snap_reader_unread(r);
    snap_reader_free(r);
    vtimer_cancel(&a->t);
    free(cs);
    free(a);
    fakevm_free(vm);
    return 0;
}
