/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small helpers over hostfile_ops and lists of buffers, shared by the formats. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "block/blk_private.h"

/* Bytes left in the current buffer; skips empty ones. */
static size_t iter_chunk(struct iov_iter *it, uint8_t **p)
{
    while (it->n > 0 && it->skip >= it->iov->iov_len) {
        it->iov++;
        it->n--;
        it->skip = 0;
    }
    if (it->n <= 0)
        return 0;
    *p = (uint8_t *)it->iov->iov_base + it->skip;
    return it->iov->iov_len - it->skip;
}

enum iter_op { ITER_SKIP, ITER_ZERO, ITER_IN, ITER_OUT };

static void iter_walk(struct iov_iter *it, uint64_t n, enum iter_op op, uint8_t *buf)
{
    while (n > 0) {
        uint8_t *p;
        size_t len = iter_chunk(it, &p);
        if (len == 0)
            return;
        if (len > n)
            len = (size_t)n;
        if (op == ITER_ZERO)
            memset(p, 0, len);
        else if (op == ITER_IN)
            memcpy(buf, p, len);
        else if (op == ITER_OUT)
            memcpy(p, buf, len);
        if (buf)
            buf += len;
        it->skip += len;
        n -= len;
    }
}

void iov_iter_zero(struct iov_iter *it, uint64_t n) { iter_walk(it, n, ITER_ZERO, NULL); }
void iov_iter_advance(struct iov_iter *it, uint64_t n) { iter_walk(it, n, ITER_SKIP, NULL); }
void iov_iter_copy_in(struct iov_iter *it, void *buf, size_t n) { iter_walk(it, n, ITER_IN, buf); }
void iov_iter_copy_out(struct iov_iter *it, const void *buf, size_t n) { iter_walk(it, n, ITER_OUT, (uint8_t *)buf); }

#define VEC 64

static int hf_rw(const struct hostfile *hf, bool write, uint64_t off, uint64_t len, struct iov_iter *it)
{
    bool vec = write ? hf->ops->pwritev != NULL : hf->ops->preadv != NULL;
    while (len > 0) {
        struct iovec v[VEC];
        int n = 0;
        uint64_t part = 0;
        /* The whole list as it stands: the usual case, no copy of it. */
        if (vec && it->skip == 0 && it->n <= BLK_IOV_MAX) {
            uint64_t sum = 0;
            int i = 0;
            while (i < it->n && sum < len)
                sum += it->iov[i++].iov_len;
            if (sum == len) {
                int err = write ? hf->ops->pwritev(hf->f, off, it->iov, i) : hf->ops->preadv(hf->f, off, it->iov, i);
                it->iov += i;
                it->n -= i;
                return err;
            }
        }
        while (n < VEC && part < len) {
            uint8_t *p;
            size_t c = iter_chunk(it, &p);
            if (c == 0)
                return EINVAL;
            if (c > len - part)
                c = (size_t)(len - part);
            v[n++] = (struct iovec){p, c};
            it->skip += c;
            part += c;
        }
        int err = 0;
        if (vec && n > 1) {
            err = write ? hf->ops->pwritev(hf->f, off, v, n) : hf->ops->preadv(hf->f, off, v, n);
        } else {
            uint64_t o = off;
            for (int i = 0; i < n && !err; o += v[i++].iov_len)
                err = write ? hf->ops->pwrite(hf->f, o, v[i].iov_base, v[i].iov_len)
                            : hf->ops->pread(hf->f, o, v[i].iov_base, v[i].iov_len);
        }
        if (err)
            return err;
        off += part;
        len -= part;
    }
    return 0;
}

int hf_read_now(const struct hostfile *hf, uint64_t off, uint64_t len, struct iov_iter *it)
{
    struct iovec v[VEC];
    int n = 0;
    if (!hf->ops->preadv_now)
        return EAGAIN;
    while (len > 0) {
        uint8_t *p;
        size_t c = iter_chunk(it, &p);
        if (c == 0 || n == VEC)
            return EAGAIN;
        if (c > len)
            c = (size_t)len;
        v[n++] = (struct iovec){p, c};
        it->skip += c;
        len -= c;
    }
    return hf->ops->preadv_now(hf->f, off, v, n);
}

int hf_read(const struct hostfile *hf, uint64_t off, uint64_t len, struct iov_iter *it)
{
    return hf_rw(hf, false, off, len, it);
}
int hf_write(const struct hostfile *hf, uint64_t off, uint64_t len, struct iov_iter *it)
{
    return hf_rw(hf, true, off, len, it);
}
int hf_pread(const struct hostfile *hf, uint64_t off, void *buf, size_t n)
{
    return hf->ops->pread(hf->f, off, buf, n);
}
int hf_pwrite(const struct hostfile *hf, uint64_t off, const void *buf, size_t n)
{
    return hf->ops->pwrite(hf->f, off, buf, n);
}
int hf_flush(const struct hostfile *hf) { return hf->ops->flush ? hf->ops->flush(hf->f) : 0; }
int64_t hf_size(const struct hostfile *hf) { return hf->ops->size(hf->f); }

void hf_close(struct hostfile *hf)
{
    if (hf->ops && hf->ops->close)
        hf->ops->close(hf->f);
    hf->ops = NULL;
    hf->f = NULL;
}

int hf_lock(const struct hostfile *hf, bool read_only, struct err *e)
{
    if (hf->no_lock || !hf->ops->lock)
        return 0;
    return hf->ops->lock(hf->f, !read_only, e);
}

int hf_read_header(const struct hostfile *hf, uint64_t off, void *buf, size_t n, const char *what, struct err *e)
{
    int64_t size = hf_size(hf);
    if (size < 0)
        return err_set(e, ERR_IO, 0, "%s: its size cannot be read", hf->name);
    if (off > (uint64_t)size || n > (uint64_t)size - off)
        return err_set(
            e, ERR_CORRUPT, 0,
            "%s is cut off: it has %lld bytes, but its %s is at byte %llu and %zu bytes long; restore it from a copy",
            hf->name, (long long)size, what, (unsigned long long)off, n);
    int err = hf_pread(hf, off, buf, n);
    if (err)
        return err_set(e, ERR_IO, err, "%s: its %s cannot be read: %s", hf->name, what, strerror(err));
    return 0;
}
