/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory map against a brute-force model; guest memory access over its borders; dirty bits; pins. */
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "core/dma.h"
#include "core/memmap.h"
#include "core/vm_private.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

enum { N = 24, CELLS = 64, CELL = 0x1000 };
static uint32_t seed = 12345;
static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static uint64_t rd(void *dev, uint64_t off, unsigned size) { return 0; }
static const struct io_ops ops = {.read = rd};

/* Which region is seen at cell c? Highest prio; among equals the one added last. */
static int model(const struct memregion *r, const int *order, int n, gpa_t a, bool smm)
{
    int best = -1;
    for (int i = 0; i < n; i++) {
        const struct memregion *m = &r[order[i]];
        if (!m->enabled || a < m->base || a - m->base >= m->size || (m->space == MR_SPACE_SMM && !smm) ||
            (m->space == MR_SPACE_NORMAL && smm))
            continue;
        if (best < 0 || m->prio >= r[best].prio)
            best = order[i];
    }
    return best;
}

static bool check_view(struct vm *vm, struct memregion *r, const int *order, int n, bool smm)
{
    const struct memview *v = memmap_view(vm, smm);
    for (size_t i = 0; i + 1 < v->n; i++) {
        if (v->r[i].base + v->r[i].size > v->r[i + 1].base)
            return false; /* sorted, no overlap */
        if (v->r[i].mr == v->r[i + 1].mr && v->r[i].base + v->r[i].size == v->r[i + 1].base)
            return false; /* merged */
    }
    for (gpa_t a = 0; a < CELLS * CELL; a += CELL / 2) {
        int want = model(r, order, n, a, smm);
        const struct memrange *got = memview_find(v, a);
        if ((want < 0) != !got)
            return false;
        if (got && (strcmp(got->mr->owner, r[want].owner) || got->base - got->mr_off != r[want].base))
            return false;
    }
    return true;
}

static void test_random(void)
{
    struct vm *vm = fakevm_new(0, 1);
    static struct memblk blk = {.size = CELLS * CELL, .fd = -1};
    static char names[N][8];
    struct memregion r[N] = {0};
    int order[N], n = 0, bad = 0, commits = 0;
    blk.host = aligned_alloc(4096, CELLS * CELL);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "r%d", i);
        r[i].owner = names[i];
        r[i].ops = &ops;
        r[i].blk = &blk;
    }
    for (int round = 0; round < 600; round++) {
        memmap_begin(vm);
        for (unsigned k = 0; k <= rnd(4); k++) {
            int i = (int)rnd(N), at = -1;
            for (int j = 0; j < n; j++)
                if (order[j] == i)
                    at = j;
            if (at >= 0 && rnd(3) == 0) {
                memmap_remove(vm, &r[i]);
                memmove(&order[at], &order[at + 1], (size_t)(n - at - 1) * sizeof *order);
                n--;
                continue;
            }
            r[i].base = rnd(CELLS - 1) * CELL;
            r[i].size = (1 + rnd((uint32_t)(CELLS - r[i].base / CELL))) * CELL;
            r[i].kind = (enum mr_kind)rnd(4);
            if (r[i].kind == MR_MMIO && rnd(2))
                r[i].base += CELL / 2;
            r[i].prio = (int)rnd(5) - 2;
            r[i].space = (enum mr_space)rnd(3);
            r[i].enabled = rnd(4) != 0;
            if (at < 0) {
                memmap_add(vm, &r[i]);
                order[n++] = i;
            }
        }
        struct err e = {0};
        bad += memmap_commit(vm, &e) != 0;
        commits++;
        bad += !check_view(vm, r, order, n, false) + !check_view(vm, r, order, n, true);
    }
    ok(bad == 0, "%d random maps agree with the model (%d do not)", commits, bad);
    ok(vm->map.n_retired <= 2, "old views are freed: %u are left", vm->map.n_retired);
    const struct memview *v = memmap_view(vm, false);
    uint64_t g = v->generation;
    struct err e;
    memmap_begin(vm);
    ok(!memmap_commit(vm, &e) && memmap_view(vm, false) == v && v->generation == g,
       "a commit without a change keeps the view");
    fakevm_free(vm);
    free(blk.host);
}

static void test_edges(void)
{
    struct vm *vm = fakevm_new(1, 1);
    struct err e = {0};
    struct memregion top = {
        .owner = "top", .base = UINT64_MAX - 0xfff, .size = 0x1000, .kind = MR_MMIO, .enabled = true, .ops = &ops};
    struct memregion wrap = {.owner = "wrap",
                             .base = UINT64_MAX - 0xfff,
                             .size = 0x2000,
                             .kind = MR_MMIO,
                             .enabled = true,
                             .ops = &ops,
                             .prio = 9};
    struct memregion off = {.owner = "off",
                            .base = 0x100800,
                            .size = 0x1000,
                            .kind = MR_RAM,
                            .enabled = true,
                            .blk = fakevm_ram_blk(vm),
                            .prio = 9};
    struct memregion big = {.owner = "big",
                            .base = 0,
                            .size = 0x200000,
                            .kind = MR_RAM,
                            .enabled = true,
                            .blk = fakevm_ram_blk(vm),
                            .prio = 9};
    memmap_begin(vm);
    memmap_add(vm, &top);
    memmap_add(vm, &wrap);
    memmap_add(vm, &off);
    memmap_add(vm, &big);
    memmap_begin(vm);
    ok(!memmap_commit(vm, &e) && !memview_find(memmap_view(vm, false), UINT64_MAX), "a nested commit does nothing");
    ok(!memmap_commit(vm, &e), "regions that wrap, are not aligned or exceed their memory are left out");
    const struct memview *v = memmap_view(vm, false);
    ok(v->n == 2 && v->r[0].size == 0x100000 && !strcmp(v->r[0].mr->owner, "ram") &&
           memview_find(v, UINT64_MAX) == &v->r[1],
       "the last page of the address space is reachable");
    uint8_t buf[16];
    memset(buf, 0, sizeof buf);
    ok(gmem_read(vm, UINT64_MAX - 3, buf, 16) == -1 && buf[0] == 0xff && buf[15] == 0xff,
       "a read over the end of the address space");
    ok(gmem_write(vm, UINT64_MAX - 3, buf, 16) == -1, "a write over the end of the address space");
    struct iovec iov[2];
    ok(gmem_pin(vm, UINT64_MAX - 3, 16, false, iov, 2) == -1, "a pin over the end of the address space");
    memset(fakevm_ram(vm) + 0xffff8, 0x5a, 8);
    memset(buf, 0, sizeof buf);
    ok(gmem_read(vm, 0xffff8, buf, 16) == -1 && buf[7] == 0x5a && buf[8] == 0xff && buf[15] == 0xff,
       "beyond RAM reads all ones");
    memset(buf, 1, sizeof buf);
    ok(gmem_write(vm, 0xffff8, buf, 16) == -1 && fakevm_ram(vm)[0xfffff] == 1,
       "beyond RAM writes are dropped, the rest is done");
    ok(gmem_pin(vm, 0xffff8, 16, false, iov, 2) == -1, "beyond RAM cannot be pinned");
    fakevm_free(vm);
}

static void test_access(void)
{
    struct vm *vm = fakevm_new(1, 1);
    struct err e = {0};
    uint8_t *ram = fakevm_ram(vm), buf[0x3000];
    /* A ROM over page 2, and page 5 seen again at page 0x200: */
    struct memregion rom = {.owner = "rom",
                            .base = 0x2000,
                            .size = 0x1000,
                            .prio = 1,
                            .kind = MR_ROM,
                            .enabled = true,
                            .blk = fakevm_ram_blk(vm),
                            .blk_off = 0x80000};
    struct memregion alias = {.owner = "alias",
                              .base = 0x200000,
                              .size = 0x1000,
                              .kind = MR_RAM,
                              .enabled = true,
                              .blk = fakevm_ram_blk(vm),
                              .blk_off = 0x5000,
                              .track_dirty = true};
    memmap_begin(vm);
    memmap_add(vm, &rom);
    memmap_add(vm, &alias);
    ok(!memmap_commit(vm, &e), "commit");
    memset(ram + 0x80000, 0xee, 0x1000);
    ok(!gmem_read(vm, 0x1800, buf, 0x1000) && buf[0x7ff] == 0 && buf[0x800] == 0xee, "reads cross from RAM into ROM");
    memset(buf, 0x11, sizeof buf);
    ok(gmem_write(vm, 0x1800, buf, 0x2000) == -1 && ram[0x1fff] == 0x11 && ram[0x80000] == 0xee && ram[0x2000] == 0 &&
           ram[0x3000] == 0x11,
       "ROM is not written");
    unsigned long dirty[8] = {0};
    struct memblk *b = fakevm_ram_blk(vm);
    memblk_fetch_dirty(vm, b, dirty);
    ok(bitmap_test(dirty, 1) && !bitmap_test(dirty, 2) && bitmap_test(dirty, 3) && !bitmap_test(dirty, 4),
       "exactly the written pages are dirty");
    memset(dirty, 0, sizeof dirty);
    memblk_fetch_dirty(vm, b, dirty);
    ok(bitmap_next(dirty, 256, 0) == 256, "and are so only once");
    struct iovec iov[4];
    ok(gmem_pin(vm, 0x1000, 0x1800, true, iov, 4) == -1, "ROM cannot be pinned for writing");
    ok(gmem_pin(vm, 0x1000, 0x3000, false, iov, 4) == 3 && iov[0].iov_len == 0x1000 &&
           iov[1].iov_base == ram + 0x80000 && iov[2].iov_base == ram + 0x3000,
       "pinned for reading: three pieces");
    ok(gmem_pin(vm, 0x1000, 0x3000, false, iov, 2) == -1, "too many pieces");
    ok(gmem_pin(vm, 0x5800, 0x1000, true, iov, 1) == 1 && iov[0].iov_base == ram + 0x5800, "one piece");
    unsigned before = fakevm_code_writes(vm, NULL, NULL);
    gmem_unpin(vm, iov, 1, false);
    ok(fakevm_code_writes(vm, NULL, NULL) == before, "a pin that was not written through is silent");
    gmem_unpin(vm, iov, 1, true);
    gpa_t a;
    uint64_t n;
    ok(fakevm_code_writes(vm, &a, &n) == before + 2 && a == 0x200800 && n == 0x800,
       "code is dropped at both addresses of the page");
    memblk_fetch_dirty(vm, b, dirty);
    ok(bitmap_test(dirty, 5) && bitmap_test(dirty, 6) && !bitmap_test(dirty, 7), "and the pages are dirty");
    gmem_st32(vm, 0x200ffe, 0xaabbccdd);
    ok(gmem_ld16(vm, 0x5ffe) == 0xccdd && gmem_ld16(vm, 0x201000) == 0xffff,
       "an alias is the same memory, and ends where it ends");
    struct dma_seg sg[] = {{0x7000, 3}, {0, 0}, {0x9000, 5}};
    ok(dma_len(sg, 3) == 8 && dma_to_guest(vm, sg, 3, 1, "abcdefghij", 10) == 7 && !memcmp(ram + 0x7001, "ab", 2) &&
           !memcmp(ram + 0x9000, "cdefg", 5),
       "scatter");
    memset(buf, 0, 8);
    ok(dma_from_guest(vm, sg, 3, 2, buf, 4) == 4 && !memcmp(buf, "bcde", 4), "gather");
    ok(dma_pin(vm, sg, 3, true, iov, 4) == 2 && iov_len(iov, 2) == 8 && iov_put(iov, 2, 4, "xyz", 3) == 3 &&
           !memcmp(ram + 0x9001, "xyz", 3) && iov_get(iov, 2, 1, buf, 100) == 7,
       "pinned lists");
    ok(!gmem_fill(vm, 0x10000, 0x77, 10000) && ram[0x10000] == 0x77 && ram[0x1270f] == 0x77 && ram[0x12710] == 0,
       "fill");
    /* A hole in the address space between two regions. */
    ok(gmem_read(vm, 0x1ff000, buf, 0x2000) == -1 && buf[0xfff] == 0xff && buf[0x1800] == ram[0x5800],
       "a hole before RAM");
    fakevm_free(vm);
}

int main(void)
{
    test_random();
    test_edges();
    test_access();
    return TAP_DONE();
}
