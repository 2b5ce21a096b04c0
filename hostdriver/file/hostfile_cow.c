/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy on write over a host file. A chunk is copied whole to the nameless file before its first write, under the lock; from then on its bit is
 * set and all access goes to the copy. A read that runs beside that first write gives old or new bytes, as on a disk.
 */
#define _GNU_SOURCE
#include "file/hostfile_cow.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHUNK = 65536 };
/* How far a sparse image may grow beyond the size it has: the map (a bit a chunk, untouched pages cost nothing) is made for that. */
#define MAX_SIZE (1ull << 43)

struct cow {
    struct hostfile base;
    int fd;
    pthread_mutex_t m;
    _Atomic uint64_t size;
    uint64_t base_size;
    _Atomic uint8_t *map; /* one bit a chunk */
    uint64_t map_chunks;
    uint8_t *buf;
};

static int fd_read(int fd, uint64_t off, uint8_t *buf, size_t n)
{
    while (n) {
        ssize_t r = pread(fd, buf, n, (off_t)off);
        if (r < 0 && errno != EINTR)
            return errno;
        if (r == 0) {
            memset(buf, 0, n);
            return 0;
        }
        if (r > 0)
            buf += r, off += (uint64_t)r, n -= (size_t)r;
    }
    return 0;
}

static int fd_write(int fd, uint64_t off, const uint8_t *buf, size_t n)
{
    while (n) {
        ssize_t r = pwrite(fd, buf, n, (off_t)off);
        if (r < 0 && errno != EINTR)
            return errno;
        if (r > 0)
            buf += r, off += (uint64_t)r, n -= (size_t)r;
    }
    return 0;
}

static bool copied(const struct cow *c, uint64_t chunk) { return chunk < c->map_chunks && (c->map[chunk / 8] >> chunk % 8 & 1); }

static int read_base(struct cow *c, uint64_t off, uint8_t *buf, size_t n)
{
    size_t have = off >= c->base_size ? 0 : c->base_size - off < n ? (size_t)(c->base_size - off) : n;
    memset(buf + have, 0, n - have);
    return have ? c->base.ops->pread(c->base.f, off, buf, have) : 0;
}

static int cow_pread(void *f, uint64_t off, void *p, size_t n)
{
    struct cow *c = f;
    uint8_t *buf = p;
    while (n) {
        uint64_t chunk = off / CHUNK;
        size_t part = CHUNK - off % CHUNK;
        if (part > n)
            part = n;
        int en = copied(c, chunk) ? fd_read(c->fd, off, buf, part) : read_base(c, off, buf, part);
        if (en)
            return en;
        buf += part, off += part, n -= part;
    }
    return 0;
}

/* With the lock held. */
static int copy_up(struct cow *c, uint64_t chunk)
{
    if (copied(c, chunk))
        return 0;
    if (chunk >= c->map_chunks)
        return EFBIG;
    int en = read_base(c, chunk * CHUNK, c->buf, CHUNK);
    if (!en)
        en = fd_write(c->fd, chunk * CHUNK, c->buf, CHUNK);
    if (!en)
        c->map[chunk / 8] |= (uint8_t)(1u << chunk % 8);
    return en;
}

static int cow_pwrite(void *f, uint64_t off, const void *p, size_t n)
{
    struct cow *c = f;
    const uint8_t *buf = p;
    while (n) {
        uint64_t chunk = off / CHUNK;
        size_t part = CHUNK - off % CHUNK;
        if (part > n)
            part = n;
        int en = 0;
        if (!copied(c, chunk)) {
            pthread_mutex_lock(&c->m);
            en = copy_up(c, chunk);
            pthread_mutex_unlock(&c->m);
        }
        if (!en)
            en = fd_write(c->fd, off, buf, part);
        if (en)
            return en;
        buf += part, off += part, n -= part;
        uint64_t size = c->size;
        while (off > size && !atomic_compare_exchange_weak(&c->size, &size, off))
            ;
    }
    return 0;
}

static int cow_flush(void *f)
{
    (void)f; /* nothing of it has to survive */
    return 0;
}

static int cow_truncate(void *f, uint64_t size)
{
    struct cow *c = f;
    if (size > MAX_SIZE)
        return EFBIG;
    if (size < c->size) /* no image format makes a file shorter */
        return EINVAL;
    c->size = size;
    return 0;
}

static int64_t cow_size(void *f) { return (int64_t)((struct cow *)f)->size; }

static int cow_lock(void *f, bool exclusive, struct err *e)
{
    struct cow *c = f;
    (void)exclusive; /* the image itself is only read */
    return c->base.ops->lock ? c->base.ops->lock(c->base.f, false, e) : 0;
}

static void cow_close(void *f)
{
    struct cow *c = f;
    if (c->base.ops && c->base.ops->close)
        c->base.ops->close(c->base.f);
    if (c->fd >= 0)
        close(c->fd);
    if (c->map)
        munmap((void *)c->map, c->map_chunks / 8);
    free(c->buf);
    pthread_mutex_destroy(&c->m);
    free(c);
}

int hostfile_cow(struct hostfile *out, const struct hostfile *base, struct err *e)
{
    static const struct hostfile_ops ops = {.pread = cow_pread, .pwrite = cow_pwrite, .flush = cow_flush, .truncate = cow_truncate, .size = cow_size,
                                            .close = cow_close, .lock = cow_lock};
    struct cow *c = calloc(1, sizeof *c);
    if (!c) {
        base->ops->close(base->f);
        return err_set(e, ERR_NOMEM, ENOMEM, "not enough memory to open %s", base->name);
    }
    c->base = *base;
    c->fd = -1;
    pthread_mutex_init(&c->m, NULL);
    int64_t size = base->ops->size(base->f);
    const char *dir = getenv("TMPDIR");
    c->map_chunks = MAX_SIZE / CHUNK;
    void *map = mmap(NULL, c->map_chunks / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    c->map = map == MAP_FAILED ? NULL : map;
    c->buf = malloc(CHUNK);
    c->fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (c->fd < 0)
        c->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (size < 0 || !c->map || !c->buf || c->fd < 0) {
        err_set(e, c->fd < 0 ? ERR_IO : ERR_NOMEM, errno, "what the guest writes to %s cannot be kept aside: %s; set TMPDIR to a folder with space", base->name,
                strerror(errno));
        cow_close(c);
        return -1;
    }
    c->base_size = (uint64_t)size;
    c->size = (uint64_t)size;
    *out = *base;
    out->ops = &ops;
    out->f = c;
    out->read_only = false;
    return 0;
}
