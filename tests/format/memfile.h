/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host file in memory that counts what is done to it and can be made to fail. */
#ifndef LODGE_TESTS_MEMFILE_H
#define LODGE_TESTS_MEMFILE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/blk.h"

struct memfile {
    uint8_t *data;
    uint64_t size, max;
    int fail; /* errno of the next reads and writes; 0 = none */
    unsigned reads, writes, flushes, punches;
    uint64_t biggest; /* bytes of the largest single transfer */
};
static int mf_io(struct memfile *m, bool write, uint64_t off, void *buf, size_t n)
{
    if (m->fail)
        return m->fail;
    if (n > m->biggest)
        m->biggest = n;
    if (write) {
        if (off > m->max || n > m->max - off)
            return ENOSPC;
        memcpy(m->data + off, buf, n);
        if (off + n > m->size)
            m->size = off + n;
        return 0;
    }
    uint64_t have = off < m->size ? m->size - off : 0;
    memset(buf, 0, n);
    memcpy(buf, m->data + off, have < n ? have : n);
    return 0;
}
static int mf_pread(void *f, uint64_t off, void *buf, size_t n)
{
    ((struct memfile *)f)->reads++;
    return mf_io(f, false, off, buf, n);
}
static int mf_pwrite(void *f, uint64_t off, const void *buf, size_t n)
{
    ((struct memfile *)f)->writes++;
    return mf_io(f, true, off, (void *)buf, n);
}
static int mf_vec(struct memfile *m, bool write, uint64_t off, const struct iovec *iov, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        int err = mf_io(m, write, off, iov[i].iov_base, iov[i].iov_len);
        if (err)
            return err;
        off += iov[i].iov_len;
        sum += iov[i].iov_len;
    }
    if (sum > m->biggest)
        m->biggest = sum;
    return 0;
}
static int mf_preadv(void *f, uint64_t off, const struct iovec *iov, int n)
{
    ((struct memfile *)f)->reads++;
    return mf_vec(f, false, off, iov, n);
}
static int mf_pwritev(void *f, uint64_t off, const struct iovec *iov, int n)
{
    ((struct memfile *)f)->writes++;
    return mf_vec(f, true, off, iov, n);
}
static int mf_flush(void *f)
{
    ((struct memfile *)f)->flushes++;
    return 0;
}
static int mf_truncate(void *f, uint64_t size)
{
    struct memfile *m = f;
    if (size > m->max)
        return ENOSPC;
    if (size < m->size)
        memset(m->data + size, 0, m->size - size);
    m->size = size;
    return 0;
}
static int mf_punch(void *f, uint64_t off, uint64_t n)
{
    struct memfile *m = f;
    m->punches++;
    if (off < m->size)
        memset(m->data + off, 0, n < m->size - off ? n : m->size - off);
    return 0;
}
static int64_t mf_size(void *f) { return (int64_t)((struct memfile *)f)->size; }
static void mf_close(void *f) { (void)f; }
static const struct hostfile_ops mf_ops = {.pread = mf_pread,
                                           .pwrite = mf_pwrite,
                                           .flush = mf_flush,
                                           .truncate = mf_truncate,
                                           .punch = mf_punch,
                                           .size = mf_size,
                                           .close = mf_close,
                                           .preadv = mf_preadv,
                                           .pwritev = mf_pwritev};

__attribute__((unused)) static struct blk *mf_open(struct vm *vm, struct memfile *m, uint64_t size, const char *format,
                                                   bool ro)
{
    struct err e = {0};
    struct hostfile hf = {.ops = &mf_ops, .f = m, .name = "memory"};
    if (!m->data) {
        m->data = calloc(1, size);
        m->size = m->max = size;
    }
    return blk_open(vm, &hf, format, ro, NULL, &e);
}

#endif
