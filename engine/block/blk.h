/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An open disk: a format over host files. Controllers know nothing else. */
#ifndef LODGE_BLOCK_BLK_H
#define LODGE_BLOCK_BLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

struct vm;
struct blk;
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD };
struct blk_req {
    enum blk_op op;
    uint64_t off; /* bytes, multiple of the sector size */
    uint64_t len; /* bytes; the sum of iov for READ and WRITE */
    struct iovec *iov;
    int n_iov;
    void (*done)(struct blk_req *r, int sys_errno); /* [dev], never inside blk_submit but for inline_ok */
    void *owner;
    bool inline_ok;       /* a READ whose data the host has in memory may end, with done(), inside of blk_submit */
    struct blk_req *next; /* the block layer's while in flight, with status */
    int status;
};
struct blk_info {
    uint64_t size;   /* bytes */
    uint32_t sector; /* 512, or 2048 for a CD image */
    bool read_only;
    const char *format;            /* "raw", "iso", "vmdk" */
    uint32_t cyls, heads, sectors; /* geometry that the image asks for (VMDK ddb.geometry.*); 0 = none */
};

/*
 * Host files as the engine sees them: hostdriver/file implements them, a test may use memory. Calls are synchronous and
 * made on the blkio threads only. read past the end gives zeros and is not an error only for raw images (the format
 * layer checks sizes).
 */
struct hostfile_ops {
    int (*pread)(void *f, uint64_t off, void *buf, size_t n);        /* 0 or errno */
    int (*pwrite)(void *f, uint64_t off, const void *buf, size_t n); /* 0 or errno */
    int (*flush)(void *f);
    int (*truncate)(void *f, uint64_t size);
    int (*punch)(void *f, uint64_t off, uint64_t n); /* may be NULL */
    int64_t (*size)(void *f);
    void (*close)(void *f);
    /* The rest may be NULL. The vector forms get at most BLK_IOV_MAX elements. */
    int (*preadv)(void *f, uint64_t off, const struct iovec *iov, int n);
    int (*pwritev)(void *f, uint64_t off, const struct iovec *iov, int n);
    /* Keeps other programs from writing (exclusive: from using) the file; the lock dies with the process. blk_open
     * calls it. */
    int (*lock)(void *f, bool exclusive, struct err *e);
    /* preadv if that needs no waiting for the disk: all of it, or EAGAIN. [any] */
    int (*preadv_now)(void *f, uint64_t off, const struct iovec *iov, int n);
};
#define BLK_IOV_MAX 1024
struct hostfile {
    const struct hostfile_ops *ops;
    void *f;
    bool read_only;
    bool no_lock;   /* disk.locking = FALSE */
    char name[128]; /* for messages: the file's name without folders */
};

/* How a format reaches further files (VMDK extents): vmx resolves the name against the descriptor's folder, refuses
 * what leaves the VM's allowed places, and opens it. */
struct blk_opener {
    int (*open)(void *u, const char *name, bool read_only, struct hostfile *out, struct err *e);
    void *u;
};

/* format: NULL = probe (vmdk by magic/descriptor, else raw), "raw", "vmdk", "iso". vm NULL: completions run inline
 * (tests, tools). Takes over *hf, also on failure. [main] */
struct blk *blk_open(struct vm *vm, const struct hostfile *hf, const char *format, bool read_only,
                     const struct blk_opener *op, struct err *e);
void blk_close(struct blk *b); /* [main] without the chipset lock; waits until done() of every request has run */
void blk_get_info(const struct blk *b, struct blk_info *out);
void blk_submit(struct blk *b, struct blk_req *r); /* [dev]; bounds checked here, once */
/*
 * Requests in flight together may run in any order; a FLUSH starts after everything that was submitted before it has
 * ended. blk_drain returns when nothing is in flight; it runs the done() functions itself, also of requests that they
 * submit. [dev]
 */
void blk_drain(struct blk *b);
bool blk_busy(struct blk *b); /* a request is in flight, or its done() has not run yet */
struct blk_stats {
    uint64_t reads, writes, flushes, read_bytes, write_bytes, errors;
};
void blk_get_stats(const struct blk *b, struct blk_stats *out);

#endif
