/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest-physical memory: regions with priorities; commit builds an immutable flat view, read without a lock. */
#ifndef LODGE_CORE_MEMMAP_H
#define LODGE_CORE_MEMMAP_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/uio.h>

#include "core/iobus.h"

/* Host backing; page aligned; lives as long as the vm. dirty: one bit per 4 KiB page, NULL when not tracked. */
struct memblk {
    uint8_t *host;
    uint64_t size;
    int fd; /* -1 for anonymous memory */
    unsigned long *dirty;
    /* Bytes that devices have pinned, one counter for each 2 MiB; NULL: not counted. Belongs to the block's maker. */
    _Atomic uint64_t *pins;
};
#define MEMBLK_CHUNK (2ull << 20)

enum mr_kind { MR_RAM, MR_ROM, MR_ROM_DEVICE, MR_MMIO }; /* ROM_DEVICE: reads direct, writes to ops (flash) */
enum mr_space { MR_SPACE_ALL, MR_SPACE_NORMAL, MR_SPACE_SMM };

struct memregion {
    const char *owner;
    gpa_t base;    /* RAM and ROM: page aligned */
    uint64_t size; /* RAM and ROM: multiple of the page size */
    int prio;      /* higher wins where regions overlap */
    enum mr_kind kind;
    enum mr_space space;
    bool enabled, track_dirty;
    struct memblk *blk; /* RAM, ROM, ROM_DEVICE */
    uint64_t blk_off;
    const struct io_ops *ops; /* MMIO, and writes of ROM_DEVICE */
    void *dev;
};

struct memrange {
    gpa_t base;
    uint64_t size; /* RAM too may begin and end inside a page, where a small MMIO region lies over it */
    /* a copy frozen at the commit: compare ranges with memrange_same, not by this pointer */
    const struct memregion *mr;
    uint64_t mr_off; /* base - mr->base at the time of the commit */
};
struct memview {
    uint64_t generation;
    size_t n;
    const struct memrange *r; /* sorted, non-overlapping */
};

void memmap_begin(struct vm *vm); /* [dev] nests; BAR moves and PAM writes go in one commit */
void memmap_add(struct vm *vm, struct memregion *mr);
void memmap_remove(struct vm *vm, struct memregion *mr);
/* Between begin and commit a region's base, kind, enabled and prio may be changed in place. The commit tells the CPU
 * back end the difference; the old view is freed after every vCPU has passed a safe point. */
int memmap_commit(struct vm *vm, struct err *e);

/*
 * The processors' A20M# input: while it is asserted they see address line 20 as 0 in all addresses below the given one (0: not asserted).
 * Between begin and commit. The views stay as they are: back ends and the bus mask what the processors ask for (memmap_a20), DMA is not masked.
 */
void memmap_set_a20_mask(struct vm *vm, gpa_t below); /* [dev] */
gpa_t memmap_a20(struct vm *vm, gpa_t a);             /* [any] the address that reaches the memory when a processor gives a */
/* The view with the mask applied to RAM and ROM, for a back end that cannot mask; NULL: it is the same, or out of memory. free() it. */
struct memview *memview_a20(struct vm *vm, const struct memview *v);

/* The current view. Stays valid: with the chipset lock held, until it is dropped or the next commit; on a vCPU's
 * thread, until its next safe point. Other threads use gmem_*. view_changed gets the normal view, also when only the
 * SMM view is another. */
const struct memview *memmap_view(struct vm *vm, bool smm);
const struct memrange *memview_find(const struct memview *v, gpa_t a); /* [any] NULL: unclaimed */
/* Do two ranges give the guest the same thing at the same address? Sizes are not compared. */
bool memrange_same(const struct memrange *a, const struct memrange *b);
static inline uint8_t *memrange_host(const struct memrange *r) /* host address of r->base; NULL for MMIO */
{
    return r->mr->kind != MR_MMIO ? r->mr->blk->host + r->mr->blk_off + r->mr_off : NULL;
}

/* Bounds-checked copies: the only way to read a guest descriptor. Return 0, or -1 when any byte is not RAM/ROM (reads
 * then give all ones, writes are dropped, for that part). gmem_write marks dirty and invalidates translated code. [any]
 */
int gmem_read(struct vm *vm, gpa_t a, void *buf, size_t n);
int gmem_write(struct vm *vm, gpa_t a, const void *buf, size_t n);
/*
 * Keeps devices' reads and writes by way of gmem_write and gmem_pin off one chunk (2 MiB, counted from 0) of a block that counts pins, for a moment:
 * they wait. False: some of it is pinned now. For vCPUs there is vm_still_begin. [any]
 */
bool memblk_claim(struct memblk *b, uint64_t chunk);
void memblk_unclaim(struct memblk *b, uint64_t chunk);

/* Bulk data only. Returns the number of iovecs, or -1 (not RAM, too many). Pairs with gmem_unpin of the
 * same bytes, all at once or in parts: what stays pinned is not given back to the host. [any] */
int gmem_pin(struct vm *vm, gpa_t a, size_t n, bool wr, struct iovec *iov, int max);
void gmem_unpin(struct vm *vm, const struct iovec *iov, int n, bool wrote);

/* Ors into bitmap the pages of b written since the last call, by devices and by the back end, and clears them. [any] */
void memblk_fetch_dirty(struct vm *vm, struct memblk *b, unsigned long *bitmap);

#endif
