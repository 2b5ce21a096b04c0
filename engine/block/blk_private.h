/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk format offers to blk.c. A node is one open image: raw, iso, vmdk; an overlay is a node that holds another
 * one as its parent. All calls but open are made on blkio threads, several at a time.
 */
#ifndef LODGE_BLOCK_BLK_PRIVATE_H
#define LODGE_BLOCK_BLK_PRIVATE_H

#include <stddef.h>

#include "block/blk.h"

/* A place in a list of buffers; moves on as bytes are used. */
struct iov_iter {
    const struct iovec *iov;
    int n;
    size_t skip; /* bytes of iov[0] that are used up */
};
void iov_iter_zero(struct iov_iter *it, uint64_t n);
void iov_iter_advance(struct iov_iter *it, uint64_t n);
void iov_iter_copy_in(struct iov_iter *it, void *buf, size_t n); /* from the buffers */
void iov_iter_copy_out(struct iov_iter *it, const void *buf, size_t n);

struct blk_fmt_ops {
    const char *name;
    /* off and len are inside the image and whole sectors; *it has len bytes and must be left behind them. 0 or errno.
     */
    int (*read)(void *d, uint64_t off, uint64_t len, struct iov_iter *it);
    /* May be NULL. The same without waiting for a disk or a lock, on any thread; any error: do it by read. */
    int (*read_now)(void *d, uint64_t off, uint64_t len, struct iov_iter *it);
    int (*write)(void *d, uint64_t off, uint64_t len, struct iov_iter *it);
    int (*flush)(void *d);
    int (*discard)(void *d, uint64_t off, uint64_t len); /* may do nothing; NULL: not supported */
    void (*close)(void *d);                              /* writes what is held back; frees d */
};
struct blk_node {
    const struct blk_fmt_ops *ops;
    void *d;
    struct blk_info info;
};

/* Host files: vector transfers of any length. off/len in bytes. */
int hf_read(const struct hostfile *hf, uint64_t off, uint64_t len, struct iov_iter *it);
int hf_read_now(const struct hostfile *hf, uint64_t off, uint64_t len, struct iov_iter *it); /* EAGAIN: would wait */
int hf_write(const struct hostfile *hf, uint64_t off, uint64_t len, struct iov_iter *it);
int hf_pread(const struct hostfile *hf, uint64_t off, void *buf, size_t n);
int hf_pwrite(const struct hostfile *hf, uint64_t off, const void *buf, size_t n);
int hf_flush(const struct hostfile *hf);
int64_t hf_size(const struct hostfile *hf);
void hf_close(struct hostfile *hf); /* harmless when it is closed or was never open */
int hf_lock(const struct hostfile *hf, bool read_only, struct err *e);
/* Reads exactly n bytes at off while opening; past the end is a format error that names the file and what was to be
 * read. */
int hf_read_header(const struct hostfile *hf, uint64_t off, void *buf, size_t n, const char *what, struct err *e);

/* Formats. All take over *hf, also on failure. */
int raw_open(struct blk_node *out, struct hostfile *hf, bool read_only, bool probed, struct err *e);
int iso_open(struct blk_node *out, struct hostfile *hf, struct err *e);
bool vmdk_probe(const struct hostfile *hf);
int vmdk_open(struct blk_node *out, struct hostfile *hf, bool read_only, const struct blk_opener *op, struct err *e);
/* Would these first bytes of a disk be taken for a VMDK? */
bool vmdk_looks_like(const void *buf, size_t n);

#endif
