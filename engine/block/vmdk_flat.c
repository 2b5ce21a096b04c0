/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMDK extents without a structure of their own: FLAT and VMFS (bytes of a file), ZERO (no file at all). */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "block/vmdk_private.h"

struct flat {
    const struct hostfile *hf;
    uint64_t base; /* bytes */
};

static int flat_read(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct flat *f = x;
    return hf_read(f->hf, f->base + off, len, it);
}

static int flat_read_now(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct flat *f = x;
    return hf_read_now(f->hf, f->base + off, len, it);
}

static int flat_write(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct flat *f = x;
    return hf_write(f->hf, f->base + off, len, it);
}

static int flat_flush(void *x)
{
    struct flat *f = x;
    return hf_flush(f->hf);
}

static int flat_discard(void *x, uint64_t off, uint64_t len)
{
    struct flat *f = x;
    if (!f->hf->ops->punch)
        return 0;
    int err = f->hf->ops->punch(f->hf->f, f->base + off, len);
    return err == EOPNOTSUPP || err == ENOSYS || err == EINVAL ? 0 : err;
}

static void flat_close(void *x) { free(x); }

static const struct vmdk_extent_ops flat_ops = {flat_read,  flat_read_now, flat_write,
                                                flat_flush, flat_discard,  flat_close};

int vmdk_flat_open(struct vmdk_extent *out, const struct hostfile *hf, uint64_t offset, uint64_t sectors, struct err *e)
{
    int64_t size = hf_size(hf);
    if (size < 0)
        return err_set(e, ERR_IO, 0, "%s: its size cannot be read", hf->name);
    uint64_t need = (offset + sectors) * VMDK_SECTOR; /* both were limited by the descriptor's parser */
    if ((uint64_t)size < need)
        return err_set(e, ERR_CORRUPT, 0,
                       "%s is cut off: the disk descriptor says that it has %llu sectors (%llu bytes), but the file is "
                       "%lld bytes long; restore it "
                       "from a copy",
                       hf->name, (unsigned long long)(offset + sectors), (unsigned long long)need, (long long)size);
    struct flat *f = malloc(sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", hf->name);
    f->hf = hf;
    f->base = offset * VMDK_SECTOR;
    out->ops = &flat_ops;
    out->x = f;
    return 0;
}

static int zero_read(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    (void)x, (void)off;
    iov_iter_zero(it, len);
    return 0;
}

static int zero_write(void *x, uint64_t off, uint64_t len, struct iov_iter *it)
{
    (void)x, (void)off, (void)len, (void)it;
    return EROFS;
}

static int zero_flush(void *x)
{
    (void)x;
    return 0;
}

static int zero_discard(void *x, uint64_t off, uint64_t len)
{
    (void)x, (void)off, (void)len;
    return 0;
}

static void zero_close(void *x) { (void)x; }

static const struct vmdk_extent_ops zero_ops = {zero_read, zero_read, zero_write, zero_flush, zero_discard, zero_close};

void vmdk_zero_open(struct vmdk_extent *out)
{
    out->ops = &zero_ops;
    out->x = NULL;
}
