/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks that exist: what they are and of which files they are made, a copy of one, and removing one. The disk is locked meanwhile. */
#define _GNU_SOURCE
#include "tools/vdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/hostfile.h"

enum { CHUNK = 1 << 20, PIECE = 64 << 10 /* a grain: what is all zeros is not written */ };

/* An open disk, its folder, and the further files that it is made of. */
struct vdisk {
    int dir;
    char *name;
    struct blk *blk;
    struct blk_info info;
    char **parts;
    size_t n;
    bool sparse_parts;
};

/* Beside it, nowhere else. */
static int open_part(void *u, const char *name, bool read_only, struct hostfile *out, struct err *e)
{
    struct vdisk *d = u;
    char magic[4];
    if (strchr(name, '/') || strchr(name, '\\'))
        return err_set(e, ERR_DENIED, 0, "the disk's part %s is in another folder", name);
    char **more = realloc(d->parts, (d->n + 1) * sizeof *more);
    if (!more)
        return err_set(e, ERR_NOMEM, 0, "out of memory");
    d->parts = more;
    if (hostfile_open(out, d->dir, name, read_only, e) < 0)
        return -1;
    if (d->n == 0)
        d->sparse_parts = out->ops->pread(out->f, 0, magic, 4) == 0 && memcmp(magic, "KDMV", 4) == 0;
    d->parts[d->n] = strdup(name);
    d->n += d->parts[d->n] ? 1 : 0;
    return 0;
}

static void close_disk(struct vdisk *d)
{
    blk_close(d->blk);
    for (size_t i = 0; i < d->n; i++)
        free(d->parts[i]);
    free(d->parts);
    free(d->name);
    if (d->dir >= 0)
        close(d->dir);
}

/* close_disk also after a failure. */
static int open_disk(struct vdisk *d, const char *path, bool read_only, struct err *e)
{
    struct hostfile hf = {0};
    char *copy1 = strdup(path), *copy2 = strdup(path);
    *d = (struct vdisk){.dir = copy1 ? open(dirname(copy1), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1};
    d->name = copy2 ? strdup(basename(copy2)) : NULL;
    free(copy1);
    free(copy2);
    struct blk_opener op = {open_part, d};
    if (!d->name)
        return err_set(e, ERR_NOMEM, 0, "out of memory");
    if (hostfile_open(&hf, AT_FDCWD, path, read_only, e) < 0 || !(d->blk = blk_open(NULL, &hf, NULL, read_only, &op, e)))
        return -1;
    blk_get_info(d->blk, &d->info);
    return 0;
}

int vdisk_info(const char *path)
{
    struct err e = {0};
    struct vdisk d;
    int rc = open_disk(&d, path, true, &e);
    if (rc == 0) {
        printf("format %s\nsize %llu\n", d.info.format, (unsigned long long)d.info.size);
        if (strcmp(d.info.format, "vmdk") == 0)
            printf("type %d\n", d.n == 0 ? VMDK_MONOLITHIC_SPARSE : d.sparse_parts ? VMDK_TWOGB_SPARSE : d.n > 1 ? VMDK_TWOGB_FLAT : VMDK_MONOLITHIC_FLAT);
        printf("file %s\n", d.name);
        for (size_t i = 0; i < d.n; i++)
            printf("file %s\n", d.parts[i]);
    }
    close_disk(&d);
    return rc ? vdisk_status(&e) : 0;
}

/* ---- a copy ---- */

struct copy {
    struct vdisk *from;
    const char *to;
    bool quiet;
};

static void done_at_once(struct blk_req *r, int sys_errno) { r->status = sys_errno; }

static int transfer(struct blk *b, enum blk_op op, uint64_t off, void *buf, size_t len)
{
    struct iovec iov = {buf, len};
    struct blk_req r = {.op = op, .off = off, .len = len, .iov = &iov, .n_iov = len ? 1 : 0, .done = done_at_once};
    blk_submit(b, &r);
    return r.status;
}

static bool all_zero(const uint8_t *p, size_t n) { return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0); }

static int copy_chunk(struct copy *c, struct blk *to, uint64_t off, uint8_t *buf, size_t len, struct err *e)
{
    int en = transfer(c->from->blk, BLK_READ, off, buf, len);
    if (en)
        return err_set(e, ERR_IO, en, "%s cannot be read: %s", c->from->name, strerror(en));
    for (size_t at = 0; at < len && !en; at += PIECE) {
        size_t n = len - at < PIECE ? len - at : PIECE;
        if (!all_zero(buf + at, n))
            en = transfer(to, BLK_WRITE, off + at, buf + at, n);
    }
    return en ? err_set(e, ERR_IO, en, "%s cannot be written: %s", c->to, strerror(en)) : 0;
}

static int fill(void *u, struct err *e)
{
    struct copy *c = u;
    struct vdisk to;
    uint64_t size = c->from->info.size;
    int rc = open_disk(&to, c->to, false, e), shown = -1;
    uint8_t *buf = malloc(CHUNK);
    if (rc == 0 && !buf)
        rc = err_set(e, ERR_NOMEM, 0, "out of memory");
    for (uint64_t off = 0; off < size && rc == 0; off += CHUNK) {
        rc = vdisk_stopped() ? err_set(e, ERR_IO, 0, "stopped") : copy_chunk(c, to.blk, off, buf, size - off < CHUNK ? (size_t)(size - off) : CHUNK, e);
        if (!c->quiet)
            vdisk_progress(&shown, off, size);
    }
    int en = rc ? 0 : transfer(to.blk, BLK_FLUSH, 0, NULL, 0);
    if (en)
        rc = err_set(e, ERR_IO, en, "%s cannot be written: %s", c->to, strerror(en));
    free(buf);
    close_disk(&to);
    if (rc == 0 && !c->quiet)
        vdisk_progress(&shown, size, size);
    return rc;
}

int vdisk_convert(const char *from, const char *to, enum vmdk_type type, const char *adapter, unsigned hw_version, bool quiet)
{
    struct err e = {0};
    struct vdisk d;
    int rc = open_disk(&d, from, true, &e);
    if (rc == 0) {
        /* The guest's partition table and boot code may know the geometry: 16 heads are an IDE disk's. */
        struct vmdk_create_params p = {.type = type, .size = d.info.size, .hw_version = hw_version,
                                       .adapter = adapter ? adapter : d.info.heads == 0 || d.info.heads == 16 ? "ide" : "lsilogic"};
        struct copy c = {&d, to, quiet};
        struct vdisk_fill f = {fill, &c};
        rc = vdisk_create(to, &p, type == VMDK_MONOLITHIC_FLAT || type == VMDK_TWOGB_FLAT, true, &f, &e);
    }
    close_disk(&d);
    return rc ? vdisk_status(&e) : 0;
}

/* ---- removing ---- */

int vdisk_remove(const char *path)
{
    struct err e = {0};
    struct vdisk d;
    int rc = open_disk(&d, path, false, &e); /* for writing: nobody else has it */
    /* The disk itself last: while it is there, its parts can be found. */
    for (size_t i = 0; i <= d.n && rc == 0; i++) {
        const char *name = i < d.n ? d.parts[i] : d.name;
        if (unlinkat(d.dir, name, 0) && errno != ENOENT)
            rc = err_set(&e, errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_IO, errno, "%s cannot be removed: %s", name, strerror(errno));
    }
    close_disk(&d);
    return rc ? vdisk_status(&e) : 0;
}
