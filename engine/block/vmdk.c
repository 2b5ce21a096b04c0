/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VMDK disk: extents in a row, found by the descriptor, which is a text file of its own or lies inside of a sparse
 * file. streamOptimized extents would be one more struct vmdk_extent_ops; a disk with a parent is one more blk_node
 * over two.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/lock.h"
#include "base/log.h"
#include "block/vmdk_private.h"

struct vmdk_file {
    char *name;
    struct hostfile hf;
};

struct vmdk {
    struct hostfile hf; /* the file with the descriptor */
    uint64_t desc_at;   /* byte offset of the descriptor in it */
    uint64_t desc_room; /* bytes that it may take; 0 = a text file that may grow */
    struct vmdk_desc desc;
    struct vmdk_file *files; /* of the extents; each file once, because it can be locked once only */
    unsigned n_files;
    struct vmdk_extent *ext;
    unsigned n_ext;
    bool read_only;
    uint32_t new_cid;
    _Atomic bool cid_written;
    struct lock lock;
};

bool vmdk_looks_like(const void *buf, size_t n)
{
    const char *s = buf, *end = s + n;
    if (n >= 4 && (memcmp(s, "KDMV", 4) == 0 || memcmp(s, "COWD", 4) == 0))
        return true;
    if (n >= 8 && memcmp(s, "\xbe\xba\xfe\xca\0\0\0\0", 8) == 0)
        return true;
    if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
        s += 3;
    static const char title[] = "# Disk DescriptorFile";
    if ((size_t)(end - s) >= sizeof title - 1 && strncasecmp(s, title, sizeof title - 1) == 0)
        return true;
    /* Comment lines and empty ones, then "version=". */
    while (s < end) {
        while (s < end && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n'))
            s++;
        if (s < end && *s == '#') {
            s = memchr(s, '\n', (size_t)(end - s));
            if (!s)
                return false;
            continue;
        }
        return end - s >= 8 && strncasecmp(s, "version=", 8) == 0;
    }
    return false;
}

bool vmdk_probe(const struct hostfile *hf)
{
    char buf[512];
    int64_t size = hf_size(hf);
    size_t n = size < 0 ? 0 : (uint64_t)size < sizeof buf ? (size_t)size : sizeof buf;
    return n > 0 && hf_pread(hf, 0, buf, n) == 0 && vmdk_looks_like(buf, n);
}

/* ---- reading and writing ---- */

static struct vmdk_extent *find_extent(const struct vmdk *v, uint64_t sector)
{
    unsigned lo = 0, hi = v->n_ext - 1;
    while (lo < hi) {
        unsigned mid = (lo + hi + 1) / 2;
        if (v->ext[mid].start <= sector)
            lo = mid;
        else
            hi = mid - 1;
    }
    return &v->ext[lo];
}

/* A disk's content id changes with the first write after it was opened, so that a child notices that its parent was
 * written. */
static int write_cid(struct vmdk *v)
{
    int err = 0;
    lock_take(&v->lock);
    if (!atomic_load(&v->cid_written)) {
        size_t old_len = v->desc.len;
        if (!v->hf.read_only && vmdk_desc_set_cid(&v->desc, v->new_cid) &&
            (v->desc_room == 0 || v->desc.len <= v->desc_room)) {
            if (v->desc.len == old_len) { /* in place, a few bytes: cannot tear */
                err = hf_pwrite(&v->hf, v->desc_at + v->desc.cid_at, v->desc.text + v->desc.cid_at, 8);
                if (!err && v->desc.long_id_at)
                    err = hf_pwrite(&v->hf, v->desc_at + v->desc.long_id_at + 24,
                                    v->desc.text + v->desc.long_id_at + 24, 8);
            } else {
                err = hf_pwrite(&v->hf, v->desc_at, v->desc.text, v->desc.len);
            }
        }
        atomic_store(&v->cid_written, !err);
    }
    lock_drop(&v->lock);
    return err;
}

enum vmdk_op { VMDK_READ, VMDK_READ_NOW, VMDK_WRITE, VMDK_DISCARD };

static int vmdk_rw(struct vmdk *v, enum vmdk_op op, uint64_t off, uint64_t len, struct iov_iter *it)
{
    bool change = op == VMDK_WRITE || op == VMDK_DISCARD;
    if (change && !atomic_load_explicit(&v->cid_written, memory_order_acquire)) {
        int err = write_cid(v);
        if (err)
            return err;
    }
    while (len > 0) {
        struct vmdk_extent *x = find_extent(v, off / VMDK_SECTOR);
        uint64_t in = off - x->start * VMDK_SECTOR, part = x->sectors * VMDK_SECTOR - in;
        if (part > len)
            part = len;
        int err;
        if (x->access == VMDK_NOACCESS)
            err = EACCES;
        else if (op == VMDK_READ)
            err = x->ops->read(x->x, in, part, it);
        else if (op == VMDK_READ_NOW)
            err = x->ops->read_now(x->x, in, part, it);
        else if (x->access != VMDK_RW)
            err = EROFS;
        else if (op == VMDK_WRITE)
            err = x->ops->write(x->x, in, part, it);
        else
            err = x->ops->discard(x->x, in, part);
        if (err)
            return err;
        off += part;
        len -= part;
    }
    return 0;
}

static int vmdk_read(void *d, uint64_t off, uint64_t len, struct iov_iter *it)
{
    return vmdk_rw(d, VMDK_READ, off, len, it);
}
static int vmdk_read_now(void *d, uint64_t off, uint64_t len, struct iov_iter *it)
{
    return vmdk_rw(d, VMDK_READ_NOW, off, len, it);
}
static int vmdk_write(void *d, uint64_t off, uint64_t len, struct iov_iter *it)
{
    return vmdk_rw(d, VMDK_WRITE, off, len, it);
}
static int vmdk_discard(void *d, uint64_t off, uint64_t len) { return vmdk_rw(d, VMDK_DISCARD, off, len, NULL); }

static int vmdk_flush(void *d)
{
    struct vmdk *v = d;
    if (!atomic_load(&v->cid_written)) /* nothing was changed */
        return 0;
    int first = hf_flush(&v->hf);
    for (unsigned i = 0; i < v->n_ext; i++) {
        int err = v->ext[i].access == VMDK_RW ? v->ext[i].ops->flush(v->ext[i].x) : 0;
        if (err && !first)
            first = err;
    }
    return first;
}

static void vmdk_close(void *d)
{
    struct vmdk *v = d;
    if (!v->read_only)
        vmdk_flush(v);
    for (unsigned i = 0; i < v->n_ext; i++)
        if (v->ext[i].ops)
            v->ext[i].ops->close(v->ext[i].x);
    free(v->ext);
    for (unsigned i = 0; i < v->n_files; i++) {
        hf_close(&v->files[i].hf);
        free(v->files[i].name);
    }
    free(v->files);
    hf_close(&v->hf);
    vmdk_desc_free(&v->desc);
    lock_fini(&v->lock);
    free(v);
}

static const struct blk_fmt_ops vmdk_ops = {.name = "vmdk",
                                            .read = vmdk_read,
                                            .read_now = vmdk_read_now,
                                            .write = vmdk_write,
                                            .flush = vmdk_flush,
                                            .discard = vmdk_discard,
                                            .close = vmdk_close};

/* ---- opening ---- */

static int check_create_type(const struct vmdk_desc *d, const char *name, struct err *e)
{
    static const char *const good[] = {"monolithicSparse",
                                       "monolithicFlat",
                                       "twoGbMaxExtentSparse",
                                       "twoGbMaxExtentFlat",
                                       "2GbMaxExtentSparse",
                                       "2GbMaxExtentFlat",
                                       "vmfs",
                                       "vmfsThin",
                                       "vmfsEagerZeroedThick",
                                       "vmfsPreallocated",
                                       "custom",
                                       "fullDevice",
                                       "partitionedDevice"};
    static const char *const no[] = {"streamOptimized",
                                     "vmfsSparse",
                                     "seSparse",
                                     "vmfsRaw",
                                     "vmfsRDM",
                                     "vmfsRawDeviceMap",
                                     "vmfsRDMP",
                                     "vmfsPassthroughRawDeviceMap",
                                     "vmfsPassthroughRDM",
                                     "vsanSparse"};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++)
        if (strcasecmp(d->create_type, good[i]) == 0)
            return 0;
    for (unsigned i = 0; i < sizeof no / sizeof no[0]; i++)
        if (strcasecmp(d->create_type, no[i]) == 0)
            return err_set(e, ERR_UNSUPPORTED, 0,
                           "%s: disks of createType \"%s\" cannot be used directly; convert it to monolithicSparse or "
                           "monolithicFlat first",
                           name, d->create_type);
    return err_set(e, ERR_FORMAT, 0, "%s: the disk descriptor's createType is \"%s\", which is not known", name,
                   d->create_type);
}

static int check_parent(const struct vmdk_desc *d, const char *name, struct err *e)
{
    if (d->parent_cid == VMDK_NO_PARENT)
        return 0;
    return err_set(e, ERR_UNSUPPORTED, 0,
                   "%s holds only the changes against another disk (parentCID is %08x, parentFileNameHint \"%.100s\"); "
                   "disks of snapshots and linked "
                   "clones cannot be opened: make a full copy of it first",
                   name, d->parent_cid, d->parent_hint ? d->parent_hint : "");
}

static int parse_desc(struct vmdk *v, uint64_t at, size_t n, uint64_t room, struct err *e)
{
    char *text = malloc(n ? n : 1);
    int rc = -1;
    if (!text)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", v->hf.name);
    if (hf_read_header(&v->hf, at, text, n, "disk descriptor", e) == 0 &&
        vmdk_desc_parse(&v->desc, v->hf.name, text, n, e) == 0 && check_create_type(&v->desc, v->hf.name, e) == 0 &&
        check_parent(&v->desc, v->hf.name, e) == 0)
        rc = 0;
    free(text);
    v->desc_at = at;
    v->desc_room = room;
    return rc;
}

/* The descriptor is inside of the only extent, whose file name in it does not matter: it may have been renamed. */
static int open_embedded(struct vmdk *v, struct err *e)
{
    struct vmdk_sparse_header h;
    if (vmdk_sparse_read_header(&v->hf, &h, e) < 0)
        return -1;
    if (h.desc_off == 0)
        return err_set(e, ERR_FORMAT, 0,
                       "%s is one part of a split disk, not the disk itself; name the small text file of the same name "
                       "without the \"-s001\"",
                       v->hf.name);
    size_t room = (size_t)h.desc_size * VMDK_SECTOR;
    if (parse_desc(v, h.desc_off * VMDK_SECTOR, room, room, e) < 0)
        return -1;
    if (v->desc.n_ext != 1 || v->desc.ext[0].type != VMDK_SPARSE)
        return err_set(e, ERR_FORMAT, 0,
                       "%s: the disk descriptor inside of a sparse file must list one SPARSE extent, but this one "
                       "lists %u extents, the "
                       "first of type %s",
                       v->hf.name, v->desc.n_ext, vmdk_extent_type_name(v->desc.ext[0].type));
    v->ext = calloc(1, sizeof *v->ext);
    if (!v->ext)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", v->hf.name);
    if (vmdk_sparse_open(&v->ext[0], &v->hf, v->desc.ext[0].sectors, v->read_only, e) < 0)
        return -1;
    /* qemu-img and VMware go by the header here. */
    v->ext[0].sectors = h.capacity;
    v->ext[0].access = v->desc.ext[0].access;
    v->n_ext = 1;
    return 0;
}

static int open_file(struct vmdk *v, const struct vmdk_desc_extent *x, const struct blk_opener *op,
                     struct vmdk_file **out, struct err *e)
{
    for (unsigned i = 0; i < v->n_files; i++)
        if (strcmp(v->files[i].name, x->file) == 0) {
            if (x->type == VMDK_SPARSE)
                return err_set(e, ERR_FORMAT, 0,
                               "%s: line %u of the disk descriptor: the sparse extent \"%.100s\" is listed twice",
                               v->hf.name, x->line, x->file);
            *out = &v->files[i];
            return 0;
        }
    if (!op || !op->open)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "%s: the disk has a further file \"%.100s\", which cannot be reached from here", v->hf.name,
                       x->file);
    bool ro = v->read_only || x->access != VMDK_RW;
    struct vmdk_file *f = &v->files[v->n_files];
    if (op->open(op->u, x->file, ro, &f->hf, e) < 0)
        return err_prefix(e, "%s: ", v->hf.name);
    v->n_files++;
    f->hf.no_lock = f->hf.no_lock || v->hf.no_lock;
    if (!f->hf.name[0])
        strncat(f->hf.name, x->file, sizeof f->hf.name - 1);
    f->name = strdup(x->file);
    if (!f->name)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", v->hf.name);
    *out = f;
    return hf_lock(&f->hf, ro, e) < 0 ? err_prefix(e, "%s: ", v->hf.name) : 0;
}

static int open_extent(struct vmdk *v, unsigned i, const struct blk_opener *op, struct err *e)
{
    const struct vmdk_desc_extent *x = &v->desc.ext[i];
    struct vmdk_extent *out = &v->ext[i];
    struct vmdk_file *f = NULL;
    out->access = x->access;
    out->sectors = x->sectors;
    out->start = i ? v->ext[i - 1].start + v->ext[i - 1].sectors : 0;
    if (x->type == VMDK_ZERO || x->access == VMDK_NOACCESS) {
        vmdk_zero_open(out);
        return 0;
    }
    switch (x->type) {
    case VMDK_FLAT:
    case VMDK_VMFS:
        if (open_file(v, x, op, &f, e) < 0)
            return -1;
        return vmdk_flat_open(out, &f->hf, x->offset, x->sectors, e) < 0 ? err_prefix(e, "%s: ", v->hf.name) : 0;
    case VMDK_SPARSE:
        if (open_file(v, x, op, &f, e) < 0)
            return -1;
        return vmdk_sparse_open(out, &f->hf, x->sectors, v->read_only || x->access != VMDK_RW, e) < 0
                   ? err_prefix(e, "%s: ", v->hf.name)
                   : 0;
    default:
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "%s: line %u of the disk descriptor: extents of type %s are ESX's own and cannot be used here",
                       v->hf.name, x->line, vmdk_extent_type_name(x->type));
    }
}

static int open_descriptor_file(struct vmdk *v, const struct blk_opener *op, struct err *e)
{
    int64_t size = hf_size(&v->hf);
    if (size > (int64_t)VMDK_DESC_MAX)
        return err_set(e, ERR_FORMAT, 0,
                       "%s is not a VMDK disk: it has not the header of one, and with %lld bytes it is too long for a "
                       "disk descriptor",
                       v->hf.name, (long long)size);
    if (parse_desc(v, 0, (size_t)size, 0, e) < 0)
        return -1;
    v->ext = calloc(v->desc.n_ext, sizeof *v->ext);
    v->files = calloc(v->desc.n_ext, sizeof *v->files);
    if (!v->ext || !v->files)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", v->hf.name);
    for (unsigned i = 0; i < v->desc.n_ext; i++) {
        v->n_ext = i + 1;
        if (open_extent(v, i, op, e) < 0)
            return -1;
    }
    return 0;
}

int vmdk_open(struct blk_node *out, struct hostfile *hf, bool read_only, const struct blk_opener *op, struct err *e)
{
    struct vmdk *v = calloc(1, sizeof *v);
    if (!v) {
        hf_close(hf);
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", hf->name);
    }
    lock_init(&v->lock, RANK_BLK);
    v->hf = *hf;
    v->read_only = read_only;
    v->new_cid = vmdk_new_cid(); /* now: the I/O threads may be forbidden to ask the kernel for randomness */
    uint8_t magic[8] = {0};
    int64_t size = hf_size(&v->hf);
    int rc = -1;
    if (size == 0)
        err_set(e, ERR_FORMAT, 0, "%s is empty, so it is not a VMDK disk", hf->name);
    else if (size < 0 || hf_pread(&v->hf, 0, magic, size < 8 ? (size_t)size : 8) != 0)
        err_set(e, ERR_IO, 0, "%s cannot be read", hf->name);
    else if (hf_lock(&v->hf, read_only, e) < 0)
        ;
    else if (memcmp(magic, "KDMV", 4) == 0 || memcmp(magic, "COWD", 4) == 0 ||
             memcmp(magic, "\xbe\xba\xfe\xca\0\0\0\0", 8) == 0)
        rc = open_embedded(v, e);
    else
        rc = open_descriptor_file(v, op, e);
    if (rc < 0) {
        v->read_only = true; /* nothing was changed: close writes nothing */
        vmdk_close(v);
        return -1;
    }
    out->ops = &vmdk_ops;
    out->d = v;
    memset(&out->info, 0, sizeof out->info);
    const struct vmdk_extent *last = &v->ext[v->n_ext - 1];
    out->info.size = (last->start + last->sectors) * VMDK_SECTOR;
    out->info.sector = VMDK_SECTOR;
    bool writable = false;
    for (unsigned i = 0; i < v->n_ext; i++)
        writable = writable || v->ext[i].access == VMDK_RW;
    out->info.read_only = read_only || !writable;
    out->info.cyls = v->desc.cyls;
    out->info.heads = v->desc.heads;
    out->info.sectors = v->desc.secs;
    return 0;
}
