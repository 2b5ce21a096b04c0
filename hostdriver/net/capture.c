/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pcapng: a section header block, one interface description block, then an enhanced packet block a frame, all little-endian. */
#define _GNU_SOURCE
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/dma.h"

enum { BUF = 64 * 1024, SNAP = 65536 + 64, BLOCK_MAX = SNAP + 64 };

struct capture {
    int fd;
    bool broken;
    char path[256];
    uint64_t bytes, limit;
    size_t n;
    uint8_t buf[BUF + BLOCK_MAX];
};

static void put(struct capture *c, const void *p, size_t n)
{
    memcpy(c->buf + c->n, p, n);
    c->n += n;
}
static void put32(struct capture *c, uint32_t v)
{
    uint8_t b[4];
    st_le32(b, v);
    put(c, b, 4);
}
/* code, length, value, padding to 32 bits */
static void put_option(struct capture *c, uint16_t code, const void *p, size_t n)
{
    static const uint8_t zero[4];
    put32(c, code | (uint32_t)n << 16);
    put(c, p, n);
    put(c, zero, -n & 3);
}

void capture_flush(struct capture *c)
{
    for (size_t at = 0; at < c->n && !c->broken;) {
        ssize_t w = write(c->fd, c->buf + at, c->n - at);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            c->broken = true;
            log_msg(LOG_WARN, "net", "The capture file %s cannot be written (%s); it ends here", c->path, strerror(errno));
            break;
        }
        at += (size_t)w;
        c->bytes += (uint64_t)w;
    }
    c->n = 0;
}

void capture_frame(struct capture *c, int64_t wall, bool to_guest, const struct iovec *f, int n)
{
    size_t len = iov_len(f, n), keep = len < SNAP ? len : SNAP;
    if (c->broken)
        return;
    if (c->limit && c->bytes + c->n + keep + 64 > c->limit) {
        capture_flush(c);
        c->broken = true;
        log_msg(LOG_INFO, "net", "The capture file %s has reached its limit and ends here", c->path);
        return;
    }
    uint8_t dir[4];
    uint32_t size = (uint32_t)(28 + ((keep + 3) & ~(size_t)3) + 8 + 4 + 4);
    put32(c, 6); /* enhanced packet block */
    put32(c, size);
    put32(c, 0);
    put32(c, (uint32_t)((uint64_t)wall >> 32));
    put32(c, (uint32_t)wall);
    put32(c, (uint32_t)keep);
    put32(c, (uint32_t)len);
    c->n += iov_get(f, n, 0, c->buf + c->n, keep);
    put(c, (uint8_t[4]){0}, -keep & 3);
    st_le32(dir, to_guest ? 1 : 2); /* epb_flags: inbound, outbound */
    put_option(c, 2, dir, 4);
    put32(c, 0);
    put32(c, size);
    if (c->n >= BUF)
        capture_flush(c);
}

struct capture *capture_open(const char *path, const char *interface, uint64_t limit, struct err *e)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_set(e, ERR_IO, errno, "the capture file %s cannot be made: %s; choose another name", path, strerror(errno));
        return NULL;
    }
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        err_set(e, ERR_CONFIG, 0, "%s is no regular file, so frames are not captured there; choose another name", path);
        return NULL;
    }
    struct capture *c = ftruncate(fd, 0) ? NULL : calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        err_set(e, ERR_IO, errno, "the capture file %s cannot be made", path);
        return NULL;
    }
    c->fd = fd;
    c->limit = limit;
    strncpy(c->path, path, sizeof c->path - 1);
    put32(c, 0x0A0D0D0A); /* section header block, length unknown */
    put32(c, 28);
    put32(c, 0x1A2B3C4D);
    put32(c, 1); /* version 1.0 */
    put32(c, 0xFFFFFFFF);
    put32(c, 0xFFFFFFFF);
    put32(c, 28);
    size_t name = strnlen(interface, 64);
    uint8_t nano = 9;
    uint32_t size = (uint32_t)(16 + 4 + ((name + 3) & ~(size_t)3) + 8 + 4 + 4);
    put32(c, 1); /* interface description block */
    put32(c, size);
    put32(c, 1); /* LINKTYPE_ETHERNET */
    put32(c, SNAP);
    put_option(c, 2, interface, name); /* if_name */
    put_option(c, 9, &nano, 1);        /* if_tsresol: 10^-9 s */
    put32(c, 0);
    put32(c, size);
    capture_flush(c);
    return c;
}

void capture_close(struct capture *c)
{
    if (!c)
        return;
    capture_flush(c);
    close(c->fd);
    free(c);
}

uint64_t capture_bytes(const struct capture *c) { return c->bytes + c->n; }
