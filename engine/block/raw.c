/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Raw disk images: the file's bytes are the disk's. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/blk_private.h"

struct raw {
    struct hostfile hf;
    /* The format was guessed. The guest must then not be able to make its disk look like another format, whose header
     * could name further host files at the next power on. */
    bool guard;
};

static int raw_read(void *d, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct raw *r = d;
    return hf_read(&r->hf, off, len, it);
}

static int raw_read_now(void *d, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct raw *r = d;
    return hf_read_now(&r->hf, off, len, it);
}

static int raw_write(void *d, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct raw *r = d;
    if (r->guard && off == 0 && len > 0) {
        uint8_t head[512];
        struct iov_iter peek = *it;
        iov_iter_copy_in(&peek, head, sizeof head);
        if (vmdk_looks_like(head, sizeof head))
            return EPERM;
    }
    return hf_write(&r->hf, off, len, it);
}

static int raw_flush(void *d)
{
    struct raw *r = d;
    return hf_flush(&r->hf);
}

static int raw_discard(void *d, uint64_t off, uint64_t len)
{
    struct raw *r = d;
    if (!r->hf.ops->punch || len == 0)
        return 0;
    int err = r->hf.ops->punch(r->hf.f, off, len);
    return err == EOPNOTSUPP || err == ENOSYS || err == EINVAL ? 0 : err; /* a hint only */
}

static void raw_close(void *d)
{
    struct raw *r = d;
    if (!r->hf.read_only)
        hf_flush(&r->hf);
    hf_close(&r->hf);
    free(r);
}

static const struct blk_fmt_ops raw_ops = {.name = "raw",
                                           .read = raw_read,
                                           .read_now = raw_read_now,
                                           .write = raw_write,
                                           .flush = raw_flush,
                                           .discard = raw_discard,
                                           .close = raw_close};

static const struct blk_fmt_ops iso_ops = {
    .name = "iso", .read = raw_read, .read_now = raw_read_now, .close = raw_close};

static int open_common(struct blk_node *out, struct hostfile *hf, const struct blk_fmt_ops *ops, uint32_t sector,
                       bool read_only, bool guard, struct err *e)
{
    int64_t size = hf_size(hf);
    struct raw *r = NULL;
    if (size < 0)
        err_set(e, ERR_IO, 0, "%s: its size cannot be read", hf->name);
    else if (size == 0)
        err_set(e, ERR_FORMAT, 0, "%s is empty; a %s image has at least one sector", hf->name, ops->name);
    else if (hf_lock(hf, read_only, e) < 0)
        ;
    else if (!(r = calloc(1, sizeof *r)))
        err_set(e, ERR_NOMEM, 0, "%s: out of memory", hf->name);
    if (!r) {
        hf_close(hf);
        return -1;
    }
    r->hf = *hf;
    r->hf.read_only = read_only;
    r->guard = guard;
    out->ops = ops;
    out->d = r;
    memset(&out->info, 0, sizeof out->info);
    /* A last sector that the file has only in part reads as zeros at its end. */
    out->info.size = ((uint64_t)size + sector - 1) / sector * sector;
    out->info.sector = sector;
    out->info.read_only = read_only;
    return 0;
}

int raw_open(struct blk_node *out, struct hostfile *hf, bool read_only, bool probed, struct err *e)
{
    return open_common(out, hf, &raw_ops, 512, read_only, probed && !read_only, e);
}

int iso_open(struct blk_node *out, struct hostfile *hf, struct err *e)
{
    return open_common(out, hf, &iso_ops, 2048, true, false, e);
}
