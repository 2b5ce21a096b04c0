/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices' access to guest memory: bounds-checked copies and pinned spans, in the normal (not SMM) view. */
#include <sched.h>
#include <string.h>

#include "base/bitmap.h"
#include "core/vm_private.h"

/* The bytes [a, a + n) of RAM range r were written by something that is not translated code. */
void ram_written(struct vm *vm, const struct memrange *r, gpa_t a, uint64_t n)
{
    const struct memblk *b = r->mr->blk;
    if (b->dirty && r->mr->track_dirty) {
        uint64_t off = r->mr->blk_off + r->mr_off + (a - r->base);
        bitmap_set_range_atomic(b->dirty, off >> 12, ((off + n - 1) >> 12) - (off >> 12) + 1);
    }
    if (vm->be->code_written)
        vm->be->code_written(vm, a, n);
}

/* ---- pins: see memblk_claim ---- */

#define CLAIMED (1ull << 63)

bool memblk_claim(struct memblk *b, uint64_t chunk)
{
    uint64_t none = 0;
    return b->pins && atomic_compare_exchange_strong(&b->pins[chunk], &none, CLAIMED);
}

void memblk_unclaim(struct memblk *b, uint64_t chunk) { atomic_fetch_and(&b->pins[chunk], ~CLAIMED); }

/* [off, off + n) of the block is about to be touched through its host address. */
static void pin(struct memblk *b, uint64_t off, uint64_t n)
{
    if (!b->pins)
        return;
    for (uint64_t end = off + n; off < end;) {
        uint64_t part = MEMBLK_CHUNK - off % MEMBLK_CHUNK;
        part = part < end - off ? part : end - off;
        _Atomic uint64_t *p = &b->pins[off / MEMBLK_CHUNK];
        while (atomic_fetch_add(p, part) & CLAIMED) {
            atomic_fetch_sub(p, part);
            sched_yield();
        }
        off += part;
    }
}

static void unpin(struct memblk *b, uint64_t off, uint64_t n)
{
    if (!b->pins)
        return;
    for (uint64_t end = off + n; off < end;) {
        uint64_t part = MEMBLK_CHUNK - off % MEMBLK_CHUNK;
        part = part < end - off ? part : end - off;
        _Atomic uint64_t *p = &b->pins[off / MEMBLK_CHUNK];
        uint64_t was = atomic_load(p);
        while (!atomic_compare_exchange_weak(p, &was, (was & CLAIMED) | ((was & ~CLAIMED) > part ? (was & ~CLAIMED) - part : 0)))
            ;
        off += part;
    }
}

/* The block that has the host bytes [h, h + n), and where in it. */
static struct memblk *blk_of(struct vm *vm, const void *h, uint64_t n, uint64_t *off)
{
    unsigned blks = atomic_load(&vm->map.n_blks);
    for (unsigned k = 0; k < blks; k++) {
        struct memblk *b = atomic_load(&vm->map.blks[k]);
        *off = (uint64_t)((uintptr_t)h - (uintptr_t)b->host);
        if ((uintptr_t)h >= (uintptr_t)b->host && n <= b->size && *off <= b->size - n)
            return b;
    }
    return NULL;
}

static void pin_iov(struct vm *vm, const struct iovec *iov, int n, bool on)
{
    for (int i = 0; i < n; i++) {
        uint64_t off;
        struct memblk *b = iov[i].iov_len ? blk_of(vm, iov[i].iov_base, iov[i].iov_len, &off) : NULL;
        if (b)
            (on ? pin : unpin)(b, off, iov[i].iov_len);
    }
}

static uint64_t span(const struct memrange *r, gpa_t a, size_t n)
{
    uint64_t left = r->size - (a - r->base);
    return left < n ? left : n;
}

/* How many bytes from a on belong to no range. */
static uint64_t hole(const struct memview *v, gpa_t a, size_t n)
{
    uint64_t len = n;
    for (size_t i = 0; i < v->n; i++)
        if (v->r[i].base > a) {
            if (v->r[i].base - a < len)
                len = v->r[i].base - a;
            break;
        }
    return len;
}

int gmem_read(struct vm *vm, gpa_t a, void *buf, size_t n)
{
    int token = view_enter(vm), rc = 0;
    const struct memview *v = view_of(view_load(vm, false));
    uint8_t *p = buf;
    while (n) {
        const struct memrange *r = memview_find(v, a);
        uint64_t len = r ? span(r, a, n) : hole(v, a, n);
        uint8_t *host = r ? memrange_host(r) : NULL;
        if (host) {
            memcpy(p, host + (a - r->base), len);
        } else {
            memset(p, 0xff, len);
            rc = -1;
        }
        p += len;
        n -= len;
        a += len;
        if (!a && n) { /* the address space ends here */
            memset(p, 0xff, n);
            rc = -1;
            break;
        }
    }
    view_leave(vm, token);
    return rc;
}

int gmem_write(struct vm *vm, gpa_t a, const void *buf, size_t n)
{
    int token = view_enter(vm), rc = 0;
    const struct memview *v = view_of(view_load(vm, false));
    const uint8_t *p = buf;
    while (n) {
        const struct memrange *r = memview_find(v, a);
        uint64_t len = r ? span(r, a, n) : hole(v, a, n);
        if (r && r->mr->kind == MR_RAM) {
            struct memblk *b = r->mr->blk;
            uint64_t off = r->mr->blk_off + r->mr_off + (a - r->base);
            pin(b, off, len);
            memcpy(b->host + off, p, len);
            unpin(b, off, len);
            ram_written(vm, r, a, len);
        } else {
            rc = -1;
        }
        p += len;
        n -= len;
        a += len;
        if (!a && n) {
            rc = -1;
            break;
        }
    }
    view_leave(vm, token);
    return rc;
}

int gmem_pin(struct vm *vm, gpa_t a, size_t n, bool wr, struct iovec *iov, int max)
{
    int token = view_enter(vm), k = 0;
    const struct memview *v = view_of(view_load(vm, false));
    while (n) {
        const struct memrange *r = memview_find(v, a);
        if (!r || r->mr->kind == MR_MMIO || (wr && r->mr->kind != MR_RAM)) {
            k = -1;
            break;
        }
        uint64_t len = span(r, a, n);
        uint8_t *host = memrange_host(r) + (a - r->base);
        if (k && (uint8_t *)iov[k - 1].iov_base + iov[k - 1].iov_len == host) {
            iov[k - 1].iov_len += len;
        } else if (k == max) {
            k = -1;
            break;
        } else {
            iov[k++] = (struct iovec){host, len};
        }
        n -= len;
        a += len;
        if (!a && n) {
            k = -1;
            break;
        }
    }
    if (k > 0)
        pin_iov(vm, iov, k, true);
    view_leave(vm, token);
    return k;
}

void gmem_unpin(struct vm *vm, const struct iovec *iov, int n, bool wrote)
{
    pin_iov(vm, iov, n, false);
    if (!wrote)
        return;
    int token = view_enter(vm);
    const struct memview *v = view_of(view_load(vm, false));
    for (int i = 0; i < n; i++) {
        uintptr_t first = (uintptr_t)iov[i].iov_base, last = first + iov[i].iov_len - 1;
        if (!iov[i].iov_len)
            continue;
        /* Dirty: by block, since the page may have left the map in the meantime. */
        unsigned blks = atomic_load(&vm->map.n_blks);
        for (unsigned k = 0; k < blks; k++) {
            const struct memblk *b = atomic_load(&vm->map.blks[k]);
            uintptr_t h = (uintptr_t)b->host;
            if (b->dirty && first >= h && last - h < b->size)
                bitmap_set_range_atomic(b->dirty, (first - h) >> 12, ((last - h) >> 12) - ((first - h) >> 12) + 1);
        }
        /* Code: at every address where the guest sees the bytes now. */
        for (size_t k = 0; k < v->n && vm->be->code_written; k++) {
            uintptr_t h = (uintptr_t)memrange_host(&v->r[k]);
            if (!h || first > h + (v->r[k].size - 1) || last < h)
                continue;
            uintptr_t lo = first > h ? first : h, hi = last < h + (v->r[k].size - 1) ? last : h + (v->r[k].size - 1);
            vm->be->code_written(vm, v->r[k].base + (lo - h), hi - lo + 1);
        }
    }
    view_leave(vm, token);
}
