/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosted sparse extents (monolithicSparse, twoGbMaxExtentSparse): a two-level table maps grains (usually 64 KiB) of the
 * disk to places in the file. The grain directory (GD) names grain tables (GT), whose entries (GTE) name grains; both
 * levels usually exist twice, the redundant copy first in the file.
 *
 * Writing is append-only and ordered so that a crash at any instruction leaves a valid image:
 *
 *   not allocated --(extend the file; write data)--> data in place --(redundant GTE)--> --(primary GTE)--> allocated
 *
 * Invariants
 *
 * 1. A GTE is written only after the data of its grain and after the file reaches to the grain's end. What a grain held
 * before it was allocated is zeros (a hole at the end of the file, or a punched grain), which is also what the guest
 * saw there. So if the host loses power with the GTE on its disk but not the data, the guest finds the old contents:
 * legal before its own flush.
 *
 * 2. uncleanShutdown is 1 on the host's disk before the first change, and becomes 0 only after everything else is on
 * it. When it is found set at open, the two table copies are merged (an entry that is only in the redundant copy is
 * taken, as it was written first) and entries that point behind the end of the file are dropped: their data never
 * reached the host's disk.
 *
 * 3. A grain freed by discard is used again only after a flush that began later than its GTE was cleared (or a crash
 * could leave two GTEs pointing to it), and only if it could be punched to zeros.
 *
 * 4. Tables in the cache equal the file: writes go through, so dropping a cached table is free.
 *
 * Only lookups and allocation take the lock; data of allocated grains moves in parallel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/log.h"
#include "block/vmdk_private.h"

#define CACHE_SETS 512u /* x 4 ways x 2 KiB = 4 MiB: 64 GiB of disk at the usual sizes */
#define CACHE_WAYS 4u
#define MAX_GD_BYTES (64u << 20)
#define MAX_SCAN_TABLES 65536u /* looked through at open; 2 TiB at the usual sizes */
#define MAX_FREE 65536u

struct gt_slot {
    uint32_t *t; /* NULL: empty */
    uint32_t gdi;
    uint64_t used;
};

struct sparse {
    const struct hostfile *hf;
    struct vmdk_sparse_header h;
    uint64_t grain;     /* bytes */
    uint32_t *gd, *rgd; /* host byte order; rgd NULL: no copy */
    uint32_t n_gd;
    bool read_only;
    struct lock lock;
    _Atomic bool marked; /* uncleanShutdown is set by us */
    uint64_t end;        /* sector after the last used one: where the next grain goes */
    uint64_t clock;
    struct gt_slot cache[CACHE_SETS][CACHE_WAYS];
    uint32_t *freed,
        *free; /* sectors of grains: freed since the last flush; usable, as a stack with the lowest on top */
    unsigned n_freed, n_free;
};

/* ---- header ---- */

static int field(const struct hostfile *hf, const char *name, uint64_t v, const char *why, struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "%s: the sparse disk header's field %s has the value %llu (0x%llx): %s", hf->name,
                   name, (unsigned long long)v, (unsigned long long)v, why);
}

int vmdk_sparse_read_header(const struct hostfile *hf, struct vmdk_sparse_header *h, struct err *e)
{
    uint8_t b[VMDK_SECTOR];
    if (hf_read_header(hf, 0, b, sizeof b, "sparse disk header", e) < 0)
        return -1;
    if (memcmp(b, "KDMV", 4) != 0) {
        if (memcmp(b, "COWD", 4) == 0)
            return err_set(
                e, ERR_UNSUPPORTED, 0,
                "%s is an ESX redo log (vmfsSparse), which cannot be used here; convert the disk with VMware's tools",
                hf->name);
        if (ld_le64(b) == 0xcafebabe)
            return err_set(
                e, ERR_UNSUPPORTED, 0,
                "%s is an ESX snapshot (seSparse), which cannot be used here; convert the disk with VMware's tools",
                hf->name);
        return field(hf, "magicNumber", ld_le32(b), "a sparse extent begins with the letters KDMV", e);
    }
    h->version = ld_le32(b + 4);
    h->flags = ld_le32(b + 8);
    h->capacity = ld_le64(b + 12);
    h->grain = ld_le64(b + 20);
    h->desc_off = ld_le64(b + 28);
    h->desc_size = ld_le64(b + 36);
    h->gtes = ld_le32(b + 44);
    h->rgd_off = ld_le64(b + 48);
    h->gd_off = ld_le64(b + 56);
    h->overhead = ld_le64(b + 64);
    h->unclean = b[72] != 0;
    h->compress = ld_le16(b + 77);
    if (h->version < 1 || h->version > 3)
        return field(hf, "version", h->version, "versions 1 to 3 are known", e);
    if (h->flags & SPARSE_NEWLINE && memcmp(b + 73, "\n \r\n", 4) != 0)
        return err_set(e, ERR_CORRUPT, 0,
                       "%s: the line-end test in the sparse disk header failed: the file was damaged by a transfer in "
                       "text mode; copy it again in binary "
                       "mode",
                       hf->name);
    if (h->flags & (SPARSE_COMPRESSED | SPARSE_MARKERS) || h->gd_off == UINT64_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "%s is a streamOptimized disk, made for transport only; convert it to a normal disk first "
                       "(vmware-vdiskmanager -r, or qemu-img "
                       "convert -O vmdk)",
                       hf->name);
    if (h->capacity == 0 || h->capacity > VMDK_MAX_SECTORS)
        return field(hf, "capacity", h->capacity, "it must be a number of sectors, at least 1", e);
    if (h->grain < 8 || h->grain > 0x200000 || h->grain & (h->grain - 1))
        return field(hf, "grainSize", h->grain, "it must be a power of two from 8 to 2097152 sectors", e);
    if (h->gtes == 0 || h->gtes > 65536)
        return field(hf, "numGTEsPerGT", h->gtes, "it must be from 1 to 65536 (512 in all known disks)", e);
    if (h->gd_off == 0 || h->gd_off > VMDK_MAX_SECTORS)
        return field(hf, "gdOffset", h->gd_off, "no grain directory can be there", e);
    if (h->flags & SPARSE_RGD && (h->rgd_off == 0 || h->rgd_off > VMDK_MAX_SECTORS))
        return field(hf, "rgdOffset", h->rgd_off, "no redundant grain directory can be there", e);
    if (h->desc_off > VMDK_MAX_SECTORS)
        return field(hf, "descriptorOffset", h->desc_off, "no descriptor can be there", e);
    if (h->desc_off && (h->desc_size == 0 || h->desc_size > VMDK_DESC_MAX / VMDK_SECTOR))
        return field(hf, "descriptorSize", h->desc_size, "it must be from 1 to 2048 sectors", e);
    int64_t size = hf_size(hf);
    if (h->overhead > VMDK_MAX_SECTORS || (uint64_t)size < h->overhead * VMDK_SECTOR)
        return err_set(e, ERR_CORRUPT, 0,
                       "%s is cut off: its header says that the tables alone (field overHead) take %llu sectors, but "
                       "the file is %lld bytes long; "
                       "restore it from a copy",
                       hf->name, (unsigned long long)h->overhead, (long long)size);
    return 0;
}

/* ---- tables ---- */

static size_t gt_bytes(const struct sparse *s) { return (size_t)s->h.gtes * 4; }

/* Sectors that a grain must have in the file: the last one of a disk may end early. */
static uint64_t grain_need(const struct sparse *s, uint64_t gi)
{
    uint64_t first = gi * s->h.grain, left = s->h.capacity - first;
    return first >= s->h.capacity ? 0 : left < s->h.grain ? left : s->h.grain;
}

static bool gte_is_data(const struct sparse *s, uint32_t gte) { return gte > (s->h.flags & SPARSE_ZERO_GTE ? 1u : 0u); }

/* May a grain be at this place? size: the file's. */
static bool gte_valid(const struct sparse *s, uint64_t gi, uint32_t gte, uint64_t size)
{
    if (!gte_is_data(s, gte))
        return true;
    uint64_t at = (uint64_t)gte * VMDK_SECTOR;
    return gte >= 1 && at + grain_need(s, gi) * VMDK_SECTOR <= size;
}

static int read_table(const struct sparse *s, uint64_t sector, uint32_t *t)
{
    return hf_pread(s->hf, sector * VMDK_SECTOR, t, gt_bytes(s));
}

/* Reads the table of directory entry gdi, merged with its copy after an unclean shutdown (invariant 2). *changed: it
 * differs from the file. */
static int load_table(struct sparse *s, uint32_t gdi, uint32_t *t, bool *changed)
{
    *changed = false;
    int err = read_table(s, s->gd[gdi], t);
    if (err || !s->h.unclean)
        return err;
    int64_t size = hf_size(s->hf);
    uint32_t *copy = s->rgd && s->rgd[gdi] && s->rgd[gdi] != s->gd[gdi] ? malloc(gt_bytes(s)) : NULL;
    if (copy && read_table(s, s->rgd[gdi], copy) != 0) {
        free(copy);
        copy = NULL;
    }
    for (uint32_t i = 0; i < s->h.gtes; i++) {
        uint64_t gi = (uint64_t)gdi * s->h.gtes + i;
        uint32_t a = ld_le32(&t[i]), b = copy ? ld_le32(&copy[i]) : a, v = a;
        if (!gte_valid(s, gi, v, (uint64_t)size))
            v = 0;
        if (v == 0 && gte_valid(s, gi, b, (uint64_t)size))
            v = b;
        if (v != a || v != b)
            *changed = true;
        st_le32(&t[i], v);
    }
    free(copy);
    return 0;
}

/* The cached table, little endian as in the file. now: EAGAIN rather than read it. Lock held. */
static int get_table(struct sparse *s, uint32_t gdi, uint32_t **out, bool now)
{
    struct gt_slot *set = s->cache[gdi % CACHE_SETS], *old = &set[0];
    for (unsigned i = 0; i < CACHE_WAYS; i++) {
        if (set[i].t && set[i].gdi == gdi) {
            set[i].used = ++s->clock;
            *out = set[i].t;
            return 0;
        }
        if (!set[i].t || (old->t && set[i].used < old->used))
            old = &set[i];
    }
    if (now)
        return EAGAIN;
    if (!old->t && !(old->t = malloc(gt_bytes(s))))
        return ENOMEM;
    old->gdi = gdi;
    old->used = ++s->clock;
    bool changed;
    int err = load_table(s, gdi, old->t, &changed);
    if (err) {
        free(old->t);
        old->t = NULL;
        return err;
    }
    *out = old->t;
    return 0;
}

static int lookup(struct sparse *s, uint64_t gi, uint32_t *gte, bool now)
{
    uint32_t gdi = (uint32_t)(gi / s->h.gtes), *t;
    *gte = 0;
    if (s->gd[gdi] == 0)
        return 0;
    int err = get_table(s, gdi, &t, now);
    if (err)
        return err;
    uint32_t v = ld_le32(&t[gi % s->h.gtes]);
    /* Beyond what the scan at open looked at, or changed under us by another program: never follow it out of the file.
     */
    if (gte_is_data(s, v) && (uint64_t)v + grain_need(s, gi) > s->end) {
        guest_error("vmdk", "%s: grain %llu is said to be at sector %u, behind the end of the file", s->hf->name,
                    (unsigned long long)gi, v);
        return EIO;
    }
    *gte = v;
    return 0;
}

/* ---- opening ---- */

static int read_gd(struct sparse *s, uint64_t off, uint32_t **out, const char *name, uint64_t size, struct err *e)
{
    size_t n = (size_t)s->n_gd * 4;
    uint32_t *gd = malloc(n);
    if (!gd)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", s->hf->name);
    if (hf_read_header(s->hf, off * VMDK_SECTOR, gd, n, name, e) < 0) {
        free(gd);
        return -1;
    }
    for (uint32_t i = 0; i < s->n_gd; i++) {
        gd[i] = ld_le32(&gd[i]);
        if (gd[i] && (uint64_t)gd[i] * VMDK_SECTOR + gt_bytes(s) > size) {
            err_set(e, ERR_CORRUPT, 0,
                    "%s: entry %u of the %s says that a table is at sector %u, but the file has only %llu sectors; "
                    "restore it from a copy",
                    s->hf->name, i, name, gd[i], (unsigned long long)(size / VMDK_SECTOR));
            free(gd);
            return -1;
        }
    }
    *out = gd;
    return 0;
}

static int scan_tables(struct sparse *s, uint64_t size, struct err *e)
{
    uint32_t *t = malloc(gt_bytes(s));
    if (!t)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", s->hf->name);
    int rc = 0;
    for (uint32_t g = 0; g < s->n_gd && g < MAX_SCAN_TABLES && rc == 0; g++) {
        if (!s->gd[g])
            continue;
        int err = read_table(s, s->gd[g], t);
        if (err)
            rc = err_set(e, ERR_IO, err, "%s: grain table %u cannot be read: %s", s->hf->name, g, strerror(err));
        for (uint32_t i = 0; i < s->h.gtes && rc == 0; i++) {
            uint64_t gi = (uint64_t)g * s->h.gtes + i;
            uint32_t v = ld_le32(&t[i]);
            if (!gte_valid(s, gi, v, size))
                rc = err_set(e, ERR_CORRUPT, 0,
                             "%s is cut off or damaged: entry %u of grain table %u says that data is at sector %u, but "
                             "the file ends at sector %llu; "
                             "restore it from a copy",
                             s->hf->name, i, g, v, (unsigned long long)(size / VMDK_SECTOR));
        }
    }
    free(t);
    return rc;
}

static void sparse_free(struct sparse *s)
{
    for (unsigned i = 0; i < CACHE_SETS; i++)
        for (unsigned j = 0; j < CACHE_WAYS; j++)
            free(s->cache[i][j].t);
    free(s->gd);
    free(s->rgd);
    free(s->freed);
    free(s->free);
    lock_fini(&s->lock);
    free(s);
}

/* ---- changes ---- */

/* After an unclean shutdown both copies of every table are made equal and right, once, before the first change. */
static int repair_tables(struct sparse *s)
{
    uint32_t *t = malloc(gt_bytes(s));
    unsigned n = 0;
    int err = t ? 0 : ENOMEM;
    for (uint32_t g = 0; g < s->n_gd && !err; g++) {
        bool changed;
        if (!s->gd[g])
            continue;
        err = load_table(s, g, t, &changed);
        if (err || !changed)
            continue;
        n++;
        if (s->rgd && s->rgd[g])
            err = hf_pwrite(s->hf, (uint64_t)s->rgd[g] * VMDK_SECTOR, t, gt_bytes(s));
        if (!err)
            err = hf_pwrite(s->hf, (uint64_t)s->gd[g] * VMDK_SECTOR, t, gt_bytes(s));
    }
    free(t);
    if (!err && n)
        log_msg(LOG_WARN, "vmdk", "%s was not closed in order the last time: %u grain tables were repaired",
                s->hf->name, n);
    return err;
}

static int mark_unclean(struct sparse *s)
{
    if (atomic_load_explicit(&s->marked, memory_order_acquire))
        return 0;
    int err = 0;
    lock_take(&s->lock);
    if (!atomic_load(&s->marked)) {
        uint8_t one = 1;
        if (s->h.unclean)
            err = repair_tables(s);
        if (!err)
            err = hf_pwrite(s->hf, 72, &one, 1);
        if (!err)
            err = hf_flush(s->hf);
        if (!err) {
            s->h.unclean = false; /* the tables are equal now: no more merging when one is loaded */
            atomic_store_explicit(&s->marked, true, memory_order_release);
        }
    }
    lock_drop(&s->lock);
    return err;
}

/* Entries [first, first+n) of table gdi get the values v, v+step, ...; redundant copy first. Lock held. */
static int set_entries(struct sparse *s, uint32_t gdi, uint32_t first, uint32_t n, uint32_t v, uint32_t step)
{
    uint32_t *t, small[64], *buf = n <= 64 ? small : malloc((size_t)n * 4);
    if (!buf)
        return ENOMEM;
    int err = get_table(s, gdi, &t, false);
    for (uint32_t i = 0; i < n; i++)
        st_le32(&buf[i], v + i * step);
    if (!err && s->rgd && s->rgd[gdi])
        err = hf_pwrite(s->hf, (uint64_t)s->rgd[gdi] * VMDK_SECTOR + first * 4ull, buf, n * 4ull);
    if (!err)
        err = hf_pwrite(s->hf, (uint64_t)s->gd[gdi] * VMDK_SECTOR + first * 4ull, buf, n * 4ull);
    if (!err)
        memcpy(t + first, buf, n * 4ull);
    if (buf != small)
        free(buf);
    return err;
}

/* A directory entry that is still 0 gets its tables at the end of the file. Lock held. */
static int add_table(struct sparse *s, uint32_t gdi)
{
    uint64_t len = (gt_bytes(s) + VMDK_SECTOR - 1) / VMDK_SECTOR, at = s->end;
    unsigned copies = s->rgd ? 2 : 1;
    uint64_t end = (at + copies * len + s->h.grain - 1) & ~(s->h.grain - 1);
    uint8_t le[4];
    if (end > UINT32_MAX)
        return EFBIG;
    int err = s->hf->ops->truncate(s->hf->f, end * VMDK_SECTOR); /* zeros: every grain of it is not allocated */
    if (!err && s->rgd) {
        st_le32(le, (uint32_t)at);
        err = hf_pwrite(s->hf, s->h.rgd_off * VMDK_SECTOR + gdi * 4ull, le, 4);
        if (!err)
            s->rgd[gdi] = (uint32_t)at;
        at += len;
    }
    if (!err) {
        st_le32(le, (uint32_t)at);
        err = hf_pwrite(s->hf, s->h.gd_off * VMDK_SECTOR + gdi * 4ull, le, 4);
    }
    if (!err)
        s->gd[gdi] = (uint32_t)at;
    s->end = end;
    return err;
}

/* The freed grains at the top of the stack that are neighbours in the file, at most max. Lock held. */
static uint32_t free_run(const struct sparse *s, uint32_t max)
{
    uint32_t n = 0;
    while (n < max && n < s->n_free && s->free[s->n_free - 1 - n] == s->free[s->n_free - 1] + n * s->h.grain)
        n++;
    return n;
}

/*
 * Writes *len bytes at offset in of grain gi and of the n - 1 grains after it, none of which is allocated and all of
 * which are in one table. The new grains are one piece of the file; *len becomes less if the piece is too small. Lock
 * held. (Invariant 1.)
 */
static int write_new(struct sparse *s, uint64_t gi, uint32_t n, uint64_t in, uint64_t *len, struct iov_iter *it)
{
    uint32_t gdi = (uint32_t)(gi / s->h.gtes);
    int err = s->gd[gdi] ? 0 : add_table(s, gdi);
    if (err)
        return err;
    uint32_t reuse = free_run(s, n);
    if (reuse > 0) {
        n = reuse;
        if (*len > n * s->grain - in)
            *len = n * s->grain - in;
    }
    uint64_t at = reuse > 0 ? s->free[s->n_free - 1] : s->end;
    uint64_t end = at + n * s->h.grain;
    if (end > UINT32_MAX)
        return EFBIG;
    if (!reuse) {
        int64_t size = hf_size(s->hf);
        if (size < 0)
            return EIO;
        if ((uint64_t)size < end * VMDK_SECTOR && (in > 0 || *len < n * s->grain))
            err = s->hf->ops->truncate(s->hf->f, end * VMDK_SECTOR);
    }
    if (!err)
        err = hf_write(s->hf, at * VMDK_SECTOR + in, *len, it);
    s->n_free -= reuse; /* also after a failure: what is there now may be no zeros any more */
    if (err) {
        if (!reuse && s->hf->ops->truncate(s->hf->f, s->end * VMDK_SECTOR) != 0)
            s->end = end;
        return err;
    }
    /* From here on the place counts as used, even if its entry cannot be written: the redundant copy may name it
     * already. */
    if (!reuse)
        s->end = end;
    return set_entries(s, gdi, (uint32_t)(gi % s->h.gtes), n, (uint32_t)at, (uint32_t)s->h.grain);
}

/* ---- extent operations ---- */

static int sparse_read_any(struct sparse *s, uint64_t off, uint64_t len, struct iov_iter *it, bool now)
{
    while (len > 0) {
        uint64_t gi = off / s->grain, in = off % s->grain, run = s->grain - in;
        uint32_t first, next;
        /* Allocation holds the lock while it writes; who may not wait for the disk may not wait for it either. */
        if (!now)
            lock_take(&s->lock);
        else if (!lock_try(&s->lock))
            return EAGAIN;
        int err = lookup(s, gi, &first, now);
        bool data = !err && gte_is_data(s, first);
        /* Neighbours that can be had in the same transfer. */
        for (uint64_t k = 1; !err && run < len; k++) {
            if (lookup(s, gi + k, &next, now) != 0 || gte_is_data(s, next) != data ||
                (data && next != first + k * s->h.grain))
                break;
            run += s->grain;
        }
        lock_drop(&s->lock);
        if (err)
            return err;
        if (run > len)
            run = len;
        if (!data)
            iov_iter_zero(it, run);
        else
            err = now ? hf_read_now(s->hf, (uint64_t)first * VMDK_SECTOR + in, run, it)
                      : hf_read(s->hf, (uint64_t)first * VMDK_SECTOR + in, run, it);
        if (err)
            return err;
        off += run;
        len -= run;
    }
    return 0;
}

static int sparse_read(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    return sparse_read_any(x, off, len, it, false);
}

static int sparse_read_now(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    return sparse_read_any(x, off, len, it, true);
}

static int sparse_write(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct sparse *s = x;
    int err = mark_unclean(s);
    while (len > 0 && !err) {
        uint64_t gi = off / s->grain, in = off % s->grain, run = s->grain - in;
        uint32_t first, next, n = 1;
        lock_take(&s->lock);
        err = lookup(s, gi, &first, false);
        bool data = !err && gte_is_data(s, first);
        for (uint64_t k = 1; !err && run < len; k++) {
            if (!data && (gi + k) % s->h.gtes == 0)
                break;
            if (lookup(s, gi + k, &next, false) != 0 || gte_is_data(s, next) != data ||
                (data && next != first + k * s->h.grain))
                break;
            run += s->grain;
            n++;
        }
        if (run > len)
            run = len;
        if (!err && !data)
            err = write_new(s, gi, n, in, &run, it);
        lock_drop(&s->lock);
        if (!err && data)
            err = hf_write(s->hf, (uint64_t)first * VMDK_SECTOR + in, run, it);
        off += run;
        len -= run;
    }
    return err;
}

/* Shell's sort, descending. Not qsort: it allocates, and asks the kernel how much memory there is, which an I/O thread
 * may not. */
static void sort_free(uint32_t *a, unsigned n)
{
    for (unsigned gap = n / 2; gap > 0; gap /= 2)
        for (unsigned i = gap; i < n; i++) {
            uint32_t v = a[i];
            unsigned k = i;
            for (; k >= gap && a[k - gap] < v; k -= gap)
                a[k] = a[k - gap];
            a[k] = v;
        }
}

static int sparse_flush(void *x)
{
    struct sparse *s = x;
    lock_take(&s->lock);
    unsigned n = s->n_freed;
    lock_drop(&s->lock);
    int err = hf_flush(s->hf);
    if (err || n == 0)
        return err;
    lock_take(&s->lock); /* invariant 3; only flush takes from freed, and flushes do not overlap */
    if (n > s->n_freed)
        n = s->n_freed;
    if (!s->free)
        s->free = malloc(MAX_FREE * sizeof *s->free);
    for (unsigned i = 0; i < n && s->free && s->n_free < MAX_FREE; i++)
        s->free[s->n_free++] = s->freed[i];
    if (s->free) /* the lowest on top, so that neighbours are handed out together and in order */
        sort_free(s->free, s->n_free);
    memmove(s->freed, s->freed + n, (s->n_freed - n) * sizeof *s->freed);
    s->n_freed -= n;
    lock_drop(&s->lock);
    return 0;
}

static int discard_grain(struct sparse *s, uint64_t gi)
{
    uint32_t gte;
    int err = lookup(s, gi, &gte, false);
    if (err || !gte_is_data(s, gte))
        return err;
    err = set_entries(s, (uint32_t)(gi / s->h.gtes), (uint32_t)(gi % s->h.gtes), 1, 0, 0);
    if (err)
        return err;
    if (!s->freed)
        s->freed = malloc(MAX_FREE * sizeof *s->freed);
    if (s->hf->ops->punch && s->hf->ops->punch(s->hf->f, (uint64_t)gte * VMDK_SECTOR, s->grain) == 0 && s->freed &&
        s->n_freed < MAX_FREE)
        s->freed[s->n_freed++] = gte;
    return 0;
}

/* Whole grains only; a discard is a hint, and the edges keep their data. */
static int sparse_discard(void *x, uint64_t off, uint64_t len)
{
    struct sparse *s = x;
    uint64_t first = (off + s->grain - 1) / s->grain, last = (off + len) / s->grain;
    if (first >= last)
        return 0;
    int err = mark_unclean(s);
    for (uint64_t gi = first; gi < last && !err; gi++) {
        if (s->gd[gi / s->h.gtes] == 0) { /* a whole table is missing: to the next one */
            gi = (gi / s->h.gtes + 1) * s->h.gtes - 1;
            continue;
        }
        lock_take(&s->lock);
        err = discard_grain(s, gi);
        lock_drop(&s->lock);
    }
    return err;
}

static void sparse_close(void *x)
{
    struct sparse *s = x;
    if (atomic_load(&s->marked)) {
        uint8_t zero = 0;
        int err = hf_flush(s->hf);
        if (!err)
            err = hf_pwrite(s->hf, 72, &zero, 1);
        if (!err)
            err = hf_flush(s->hf);
        if (err)
            log_msg(LOG_ERROR, "vmdk", "%s could not be closed in order: %s", s->hf->name, strerror(err));
    }
    sparse_free(s);
}

static const struct vmdk_extent_ops sparse_ops = {sparse_read,  sparse_read_now, sparse_write,
                                                  sparse_flush, sparse_discard,  sparse_close};

int vmdk_sparse_open(struct vmdk_extent *out, const struct hostfile *hf, uint64_t sectors, bool read_only,
                     struct err *e)
{
    struct sparse *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", hf->name);
    lock_init(&s->lock, RANK_BLK);
    s->hf = hf;
    s->read_only = read_only;
    if (vmdk_sparse_read_header(hf, &s->h, e) < 0)
        goto fail;
    if (sectors == 0)
        sectors = s->h.capacity;
    /* Some writers round the header's number up to whole grains. */
    uint64_t rounded = (sectors + s->h.grain - 1) & ~(s->h.grain - 1);
    if (s->h.capacity != sectors && s->h.capacity != rounded) {
        err_set(e, ERR_CORRUPT, 0,
                "%s: the disk descriptor says that it has %llu sectors, but the field capacity of its header says %llu",
                hf->name, (unsigned long long)sectors, (unsigned long long)s->h.capacity);
        goto fail;
    }
    s->grain = s->h.grain * VMDK_SECTOR;
    uint64_t per_gd = s->h.grain * s->h.gtes;
    uint64_t n_gd = (s->h.capacity + per_gd - 1) / per_gd;
    if (n_gd * 4 > MAX_GD_BYTES) {
        err_set(e, ERR_UNSUPPORTED, 0,
                "%s: its capacity of %llu sectors with grains of %llu sectors would need a grain directory of %llu "
                "entries; more "
                "than %u are not supported",
                hf->name, (unsigned long long)s->h.capacity, (unsigned long long)s->h.grain, (unsigned long long)n_gd,
                MAX_GD_BYTES / 4);
        goto fail;
    }
    s->n_gd = (uint32_t)n_gd;
    uint64_t size = (uint64_t)hf_size(hf);
    if (read_gd(s, s->h.gd_off, &s->gd, "grain directory", size, e) < 0)
        goto fail;
    if (s->h.flags & SPARSE_RGD && read_gd(s, s->h.rgd_off, &s->rgd, "redundant grain directory", size, e) < 0)
        goto fail;
    s->end = ((size + VMDK_SECTOR - 1) / VMDK_SECTOR + s->h.grain - 1) & ~(s->h.grain - 1);
    if (!s->h.unclean && scan_tables(s, size, e) < 0)
        goto fail;
    if (s->h.unclean)
        log_msg(LOG_WARN, "vmdk", "%s was not closed in order the last time", hf->name);
    out->ops = &sparse_ops;
    out->x = s;
    out->sectors = sectors;
    return 0;
fail:
    sparse_free(s);
    return -1;
}
