/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest-physical memory: regions with priorities, flattened at each commit into two immutable views (normal and SMM).
 *
 * A view holds copies of the regions as they were at the commit, so devices may change their regions freely between
 * begin and commit while other threads read the view.
 *
 * When an old view (or anything else that lock-free readers may have) can be freed:
 *  1. Commits happen with the chipset lock held (or while the vm is built), so whoever holds that lock is safe without
 * doing anything.
 *  2. vCPU threads hold pointers only between two safe points. Something retired at count q is out of vCPU v's hands
 * when v is not in run(), or v's last safe point saw qs >= q. (v stores mode = RUN before it reads qs and the view; the
 * reclaimer published the new view and qs before it reads mode: one of them sees the other.)
 *  3. Other threads bracket their reads by view_enter and view_leave, which count them in the cell of the current
 * epoch's parity. The epoch advances from e to e + 1 only when the cell of e - 1 is empty; what was retired in epoch e
 * is out of their hands in epoch e + 2.
 */
#include "core/memmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "core/vm_private.h"

struct view_impl {
    struct memview v;
    struct memregion *copies;
    struct memrange *ranges;
};

const struct memview *view_of(const struct view_impl *i) { return &i->v; }

/* ---- readers and grace periods ---- */

int view_enter(struct vm *vm)
{
    struct vcpu *v = vcpu_current();
    if (v && v->vm == vm)
        return -1;
    for (;;) {
        uint64_t e = atomic_load(&vm->map.epoch);
        atomic_fetch_add(&vm->map.readers[e & 1], 1);
        if (atomic_load(&vm->map.epoch) == e)
            return (int)(e & 1);
        atomic_fetch_sub(&vm->map.readers[e & 1], 1);
    }
}

void view_leave(struct vm *vm, int token)
{
    if (token >= 0)
        atomic_fetch_sub(&vm->map.readers[token], 1);
}

struct retired {
    struct retired *next;
    void *p;
    uint64_t qs, epoch;
};

static void reclaim(struct vm *vm)
{
    struct memmap_state *m = &vm->map;
    for (int i = 0; i < 2; i++) {
        uint64_t e = atomic_load(&m->epoch);
        if (atomic_load(&m->readers[(e + 1) & 1]))
            break;
        atomic_store(&m->epoch, e + 1);
    }
    uint64_t epoch = atomic_load(&m->epoch), seen = UINT64_MAX;
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        uint64_t s = atomic_load(&vm->vth[i].seen);
        if (atomic_load(&vm->vth[i].mode) == VCPU_RUN && s < seen)
            seen = s;
    }
    for (struct retired **p = &m->retired, *r; (r = *p);) {
        if (r->qs <= seen && r->epoch + 2 <= epoch) {
            *p = r->next;
            free(r->p);
            free(r);
            m->n_retired--;
        } else {
            p = &r->next;
        }
    }
}

void memmap_retire(struct vm *vm, void *p)
{
    struct memmap_state *m = &vm->map;
    struct retired *r = malloc(sizeof *r);
    ASSERT(r);
    *r = (struct retired){.next = m->retired, .p = p, .epoch = atomic_load(&m->epoch)};
    r->qs = atomic_fetch_add(&m->qs, 1) + 1;
    m->retired = r;
    m->n_retired++;
    reclaim(vm);
    if (m->n_retired > 32 && m->n_retired % 32 == 0)
        for (unsigned i = 0; i < vm->n_vcpus; i++)
            vcpu_request(vm->vcpu[i], VR_VIEW); /* to make them pass a safe point */
}

/* ---- flattening ---- */

static bool region_usable(const struct memregion *r)
{
    gpa_t last;
    if (!r->enabled || !r->size || __builtin_add_overflow(r->base, r->size - 1, &last))
        return false;
    if (r->kind == MR_MMIO)
        return r->ops;
    if (!r->blk || (r->base | r->size | r->blk_off) & 0xfff || r->size > r->blk->size ||
        r->blk_off > r->blk->size - r->size) {
        guest_error("memmap", "region %s at 0x%llx does not fit its memory, left out", r->owner,
                    (unsigned long long)r->base);
        return false;
    }
    return true;
}

static int by_gpa(const void *a, const void *b)
{
    gpa_t x = *(const gpa_t *)a, y = *(const gpa_t *)b;
    return x < y ? -1 : x > y;
}

static struct view_impl *build(struct memmap_state *m, bool smm)
{
    size_t max = m->n;
    /* n regions have at most 2n borders, so 2n - 1 intervals. */
    struct view_impl *i = calloc(1, sizeof *i + max * sizeof *i->copies + 2 * max * sizeof *i->ranges);
    gpa_t *border = malloc((2 * max + 1) * sizeof *border);
    if (!i || !border) {
        free(i);
        free(border);
        return NULL;
    }
    i->copies = (struct memregion *)(i + 1);
    i->ranges = (struct memrange *)(i->copies + max);
    i->v.r = i->ranges;
    size_t n = 0, nb = 0;
    for (unsigned k = 0; k < m->n; k++) {
        const struct memregion *r = m->regions[k];
        if (!region_usable(r) || (r->space == MR_SPACE_SMM && !smm) || (r->space == MR_SPACE_NORMAL && smm))
            continue;
        /* Insertion keeps the winner first: higher prio; among equals, the one added later. */
        size_t at = n++;
        while (at && i->copies[at - 1].prio <= r->prio) {
            i->copies[at] = i->copies[at - 1];
            at--;
        }
        i->copies[at] = *r;
        border[nb++] = r->base;
        if (r->base + r->size) /* not at the very end of the address space */
            border[nb++] = r->base + r->size;
    }
    qsort(border, nb, sizeof *border, by_gpa);
    struct memrange *cur = NULL;
    for (size_t b = 0; b < nb; b++) {
        gpa_t start = border[b], last = b + 1 < nb ? border[b + 1] - 1 : UINT64_MAX;
        if (b + 1 < nb && border[b + 1] == start)
            continue;
        const struct memregion *r = NULL;
        for (size_t k = 0; k < n && !r; k++)
            if (start - i->copies[k].base < i->copies[k].size)
                r = &i->copies[k];
        if (!r) {
            cur = NULL;
            continue;
        }
        if (cur && cur->mr == r) {
            cur->size += last - start + 1;
            continue;
        }
        cur = &i->ranges[i->v.n++];
        *cur = (struct memrange){.base = start, .size = last - start + 1, .mr = r, .mr_off = start - r->base};
    }
    free(border);
    return i;
}

bool memrange_same(const struct memrange *a, const struct memrange *b)
{
    const struct memregion *x = a->mr, *y = b->mr;
    if (a->base != b->base || x->kind != y->kind || x->blk != y->blk || x->track_dirty != y->track_dirty)
        return false;
    if (x->blk && x->blk_off + a->mr_off != y->blk_off + b->mr_off)
        return false;
    if (x->kind == MR_MMIO || x->kind == MR_ROM_DEVICE)
        return x->ops == y->ops && x->dev == y->dev && a->mr_off == b->mr_off;
    return true;
}

static bool same_view(const struct memview *a, const struct memview *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->r[i].size != b->r[i].size || !memrange_same(&a->r[i], &b->r[i]))
            return false;
    return true;
}

/* ---- changing ---- */

static void assert_may_change(struct vm *vm)
{
    DASSERT(atomic_load(&vm->state) == VM_BUILDING || vm->params.passive || lock_held(&vm->chipset));
}

void memmap_begin(struct vm *vm)
{
    assert_may_change(vm);
    vm->map.depth++;
}

static bool know_blk(struct memmap_state *m, struct memblk *b)
{
    unsigned n = atomic_load(&m->n_blks);
    for (unsigned i = 0; i < n; i++)
        if (atomic_load_explicit(&m->blks[i], memory_order_relaxed) == b)
            return true;
    if (n == VM_MAX_MEMBLKS)
        return false;
    atomic_store(&m->blks[n], b);
    atomic_store(&m->n_blks, n + 1);
    return true;
}

void memmap_add(struct vm *vm, struct memregion *mr)
{
    struct memmap_state *m = &vm->map;
    assert_may_change(vm);
    ASSERT(m->depth);
    for (unsigned i = 0; i < m->n; i++)
        if (m->regions[i] == mr)
            return;
    if (mr->blk && !know_blk(m, mr->blk)) {
        m->oom = true;
        return;
    }
    if (m->n == m->cap) {
        unsigned cap = m->cap ? 2 * m->cap : 32;
        struct memregion **p = realloc(m->regions, cap * sizeof *p);
        if (!p) {
            m->oom = true;
            return;
        }
        m->regions = p;
        m->cap = cap;
    }
    m->regions[m->n++] = mr;
}

void memmap_remove(struct vm *vm, struct memregion *mr)
{
    struct memmap_state *m = &vm->map;
    assert_may_change(vm);
    ASSERT(m->depth);
    for (unsigned i = 0; i < m->n; i++) {
        if (m->regions[i] != mr)
            continue;
        memmove(&m->regions[i], &m->regions[i + 1], (m->n - i - 1) * sizeof *m->regions);
        m->n--;
        return;
    }
}

void memmap_set_a20_mask(struct vm *vm, gpa_t below)
{
    assert_may_change(vm);
    ASSERT(vm->map.depth);
    vm->map.a20_want = below;
}

int memmap_commit(struct vm *vm, struct err *e)
{
    struct memmap_state *m = &vm->map;
    assert_may_change(vm);
    ASSERT(m->depth);
    if (--m->depth)
        return 0;
    if (m->oom)
        return err_set(e, ERR_NOMEM, 0, "The memory map of the virtual machine grew too large.");
    struct view_impl *old[2], *cur[2] = {NULL, NULL};
    bool changed = m->a20_want != atomic_load(&m->a20_below);
    for (int s = 0; s < 2; s++) {
        old[s] = atomic_load(&m->view[s]);
        cur[s] = build(m, s);
        if (!cur[s]) {
            free(cur[0]);
            return err_set(e, ERR_NOMEM, 0, "Out of memory.");
        }
        if (same_view(&old[s]->v, &cur[s]->v)) {
            free(cur[s]);
            cur[s] = old[s];
        } else {
            changed = true;
        }
    }
    if (!changed)
        return 0;
    m->generation++;
    atomic_store(&m->a20_below, m->a20_want);
    for (int s = 0; s < 2; s++)
        if (cur[s] != old[s]) {
            cur[s]->v.generation = m->generation;
            atomic_store(&m->view[s], cur[s]);
        }
    atomic_fetch_add_explicit(&vm->st_commits, 1, memory_order_relaxed);
    struct err cause = {0};
    int rc = 0;
    if (vm->be->view_changed)
        rc = vm->be->view_changed(vm, &old[0]->v, &cur[0]->v, &cause);
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        vcpu_request(vm->vcpu[i], VR_VIEW);
    for (int s = 0; s < 2; s++)
        if (cur[s] != old[s])
            memmap_retire(vm, old[s]);
    if (rc) {
        /* The guest's map and the back end's disagree: no guest instruction may run on that. */
        vm_fail(vm, &cause);
        return err_set(e, cause.kind, cause.sys_errno, "%s", cause.msg);
    }
    return 0;
}

/* ---- reading ---- */

const struct memview *memmap_view(struct vm *vm, bool smm) { return &view_load(vm, smm)->v; }

const struct memrange *memview_find(const struct memview *v, gpa_t a)
{
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct memrange *r = &v->r[mid];
        if (a < r->base)
            hi = mid;
        else if (a - r->base >= r->size)
            lo = mid + 1;
        else
            return r;
    }
    return NULL;
}

/* ---- address line 20 ---- */

#define A20 ((gpa_t)1 << 20)

gpa_t memmap_a20(struct vm *vm, gpa_t a)
{
    return a < atomic_load_explicit(&vm->map.a20_below, memory_order_relaxed) ? a & ~A20 : a;
}

struct memview *memview_a20(struct vm *vm, const struct memview *v)
{
    gpa_t below = atomic_load(&vm->map.a20_below);
    if (!below)
        return NULL;
    /* Each range is cut at most at every MiB below, and shows once more at the odd one. */
    size_t max = 2 * (v->n + (size_t)(below >> 20) + 1) + v->n, n = 0;
    struct memview *out = malloc(sizeof *out + max * sizeof *v->r);
    if (!out)
        return NULL;
    struct memrange *to = (struct memrange *)(out + 1);
    for (gpa_t mib = 0; mib < below; mib += A20)
        for (size_t i = 0; i < v->n; i++) { /* what lies in the even MiB, seen at this one */
            const struct memrange *r = &v->r[i];
            gpa_t lo = mib & ~A20, hi = lo + A20, first = r->base > lo ? r->base : lo, end = r->base + r->size < hi ? r->base + r->size : hi;
            if (first >= end || n == max)
                continue;
            to[n] = *r;
            to[n].base = first - lo + mib;
            to[n].size = end - first;
            to[n++].mr_off = r->mr_off + (first - r->base);
        }
    for (size_t i = 0; i < v->n && n < max; i++) {
        const struct memrange *r = &v->r[i];
        gpa_t first = r->base > below ? r->base : below;
        if (first - r->base >= r->size)
            continue;
        to[n] = *r;
        to[n].base = first;
        to[n].size = r->size - (first - r->base);
        to[n++].mr_off = r->mr_off + (first - r->base);
    }
    *out = (struct memview){.generation = v->generation, .n = n, .r = to};
    return out;
}

void memblk_fetch_dirty(struct vm *vm, struct memblk *b, unsigned long *bitmap)
{
    if (vm->be->fetch_dirty)
        vm->be->fetch_dirty(vm, b, bitmap);
    else if (b->dirty)
        bitmap_fetch_clear(b->dirty, bitmap, (size_t)(b->size >> 12));
}

int memmap_init(struct vm *vm, struct err *e)
{
    for (int s = 0; s < 2; s++) {
        struct view_impl *i = build(&vm->map, s);
        if (!i)
            return err_set(e, ERR_NOMEM, 0, "Out of memory.");
        atomic_store(&vm->map.view[s], i);
    }
    return 0;
}

void memmap_fini(struct vm *vm)
{
    struct memmap_state *m = &vm->map;
    for (struct retired *r; (r = m->retired);) {
        m->retired = r->next;
        free(r->p);
        free(r);
    }
    for (int s = 0; s < 2; s++)
        free(atomic_load(&m->view[s]));
    free(m->regions);
}
