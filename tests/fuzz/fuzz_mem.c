/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory under a map that changes: the input is a program of region changes and of accesses by copy, by pin and
 * by bus, at hostile addresses and lengths. A byte-by-byte model (which region wins at this address?) says what each
 * must give.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "core/dma.h"
#include "tests/fakevm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REGIONS = 6, PAGES = 16, PAGE = 4096, STEPS = 100, MAX_LEN = 5 * PAGE };

struct mem {
    struct vm *vm;
    const uint8_t *p, *end;
    struct memregion mr[REGIONS];
    struct memblk blk;
    uint8_t *shadow; /* what blk must contain */
    unsigned long dirty[1], want_dirty[1];
    gpa_t base; /* the window of addresses under test: at 0, or at the end of the address space */
};

static uint32_t take(struct mem *m, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (uint32_t)(m->p < m->end ? *m->p++ : 0) << 8 * i;
    return v;
}

#define check(x) check_((x), __LINE__)
static void check_(bool good, int line)
{
    if (good)
        return;
    fprintf(stderr, "the model disagrees, line %d\n", line);
    abort();
}

static const struct memregion *at(const struct mem *m, gpa_t a)
{
    const struct memregion *best = NULL;
    for (int i = 0; i < REGIONS; i++) {
        const struct memregion *r = &m->mr[i];
        if (r->enabled && a >= r->base && a - r->base < r->size && (!best || r->prio >= best->prio))
            best = r;
    }
    return best;
}

static uint64_t io_read(void *dev, uint64_t off, unsigned size) { return 0xa5a5a5a5a5a5a5a5; }
static void io_write(void *dev, uint64_t off, unsigned size, uint64_t val) { check(off % size == 0); }
static const struct io_ops ops = {.read = io_read, .write = io_write};

static bool reads_memory(const struct memregion *r) { return r && r->kind != MR_MMIO; }

static void change(struct mem *m)
{
    struct err e = {0};
    memmap_begin(m->vm);
    for (unsigned n = take(m, 1) % 3 + 1; n--;) {
        struct memregion *r = &m->mr[take(m, 1) % REGIONS];
        uint8_t b = (uint8_t)take(m, 1), c = (uint8_t)take(m, 1);
        r->base = m->base + (gpa_t)(b & 15) * PAGE;
        unsigned room = PAGES - (b & 15);
        r->size = (uint64_t)((b >> 4) % room + 1) * PAGE;
        r->blk_off = (uint64_t)((c & 15) % (PAGES + 1 - r->size / PAGE)) * PAGE;
        r->kind = (enum mr_kind)(c >> 4 & 3);
        r->enabled = c >> 6 & 1;
        r->prio = c >> 7;
    }
    check(!memmap_commit(m->vm, &e));
}

static void access_(struct mem *m, unsigned op)
{
    static uint8_t buf[MAX_LEN];
    gpa_t a = m->base + take(m, 2) % (PAGES * PAGE);
    size_t n = take(m, 2) % MAX_LEN;
    bool all_read = true, all_write = true;
    for (size_t i = 0; i < n; i++) {
        const struct memregion *r = a + i >= a ? at(m, a + i) : NULL;
        all_read &= reads_memory(r);
        all_write &= r && r->kind == MR_RAM;
    }
    if (op == 0) {
        memset(buf, 0x11, n);
        check(gmem_read(m->vm, a, buf, n) == (all_read ? 0 : -1));
        for (size_t i = 0; i < n; i++) {
            const struct memregion *r = a + i >= a ? at(m, a + i) : NULL;
            check(buf[i] == (reads_memory(r) ? m->shadow[r->blk_off + (a + i - r->base)] : 0xff));
        }
    } else if (op == 1) {
        uint8_t v = (uint8_t)take(m, 1);
        for (size_t i = 0; i < n; i++) {
            const struct memregion *r = a + i >= a ? at(m, a + i) : NULL;
            buf[i] = (uint8_t)(v + i);
            if (r && r->kind == MR_RAM) {
                uint64_t off = r->blk_off + (a + i - r->base);
                m->shadow[off] = buf[i];
                bitmap_set(m->want_dirty, off / PAGE);
            }
        }
        check(gmem_write(m->vm, a, buf, n) == (all_write ? 0 : -1));
    } else if (op == 2) {
        struct iovec iov[8];
        bool wr = take(m, 1) & 1;
        int k = gmem_pin(m->vm, a, n, wr, iov, 8);
        check(k >= 0 ? (wr ? all_write : all_read) && iov_len(iov, k) == n : k == -1);
        if (k < 0)
            return;
        size_t done = 0;
        for (int i = 0; i < k; i++)
            for (size_t j = 0; j < iov[i].iov_len; j++, done++) {
                const struct memregion *r = at(m, a + done);
                uint64_t off = r->blk_off + (a + done - r->base);
                check((uint8_t *)iov[i].iov_base + j == m->blk.host + off);
                if (wr) {
                    m->shadow[off] = m->blk.host[off] = (uint8_t)done;
                    bitmap_set(m->want_dirty, off / PAGE);
                }
            }
        gmem_unpin(m->vm, iov, k, wr);
    } else {
        unsigned len = take(m, 1) % 8 + 1;
        bool wr = take(m, 1) & 1;
        uint64_t v = 0x0123456789abcdef, got = wr ? 0 : fakevm_mmio_read(m->vm, a, len);
        if (wr)
            fakevm_mmio_write(m->vm, a, len, v);
        for (unsigned i = 0; i < len && a + i >= a; i++) {
            const struct memregion *r = at(m, a + i);
            uint64_t off = r ? r->blk_off + (a + i - r->base) : 0;
            if (!wr)
                check((got >> 8 * i & 0xff) == (!r ? 0xff : r->kind == MR_MMIO ? 0xa5 : m->shadow[off]));
            else if (r && r->kind == MR_RAM) {
                m->shadow[off] = (uint8_t)(v >> 8 * i);
                bitmap_set(m->want_dirty, off / PAGE);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m = {.vm = fakevm_new(0, 1), .p = data, .end = data + size};
    struct err e = {0};
    if (take(&m, 1) & 1)
        m.base = -(gpa_t)(PAGES * PAGE);
    m.blk =
        (struct memblk){.host = aligned_alloc(PAGE, PAGES * PAGE), .size = PAGES * PAGE, .fd = -1, .dirty = m.dirty};
    m.shadow = malloc(PAGES * PAGE);
    for (unsigned i = 0; i < PAGES * PAGE; i++)
        m.blk.host[i] = m.shadow[i] = (uint8_t)(i * 37 + i / PAGE);
    memmap_begin(m.vm);
    for (int i = 0; i < REGIONS; i++) {
        m.mr[i] = (struct memregion){
            .owner = "r", .base = m.base, .size = PAGE, .track_dirty = true, .blk = &m.blk, .ops = &ops};
        memmap_add(m.vm, &m.mr[i]);
    }
    check(!memmap_commit(m.vm, &e));
    for (unsigned s = 0; s < STEPS && m.p < m.end; s++) {
        unsigned op = take(&m, 1) % 8;
        if (op < 2)
            change(&m);
        else
            access_(&m, op % 4);
        check(!memcmp(m.shadow, m.blk.host, PAGES * PAGE));
        unsigned long got[1] = {0};
        memblk_fetch_dirty(m.vm, &m.blk, got);
        check(got[0] == m.want_dirty[0]);
        m.want_dirty[0] = 0;
    }
    fakevm_free(m.vm);
    free(m.blk.host);
    free(m.shadow);
    return 0;
}
