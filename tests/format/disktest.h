/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the tests of disk formats: a scratch folder, other programs, synchronous reads and writes, a pattern
 * generator. */
#ifndef LODGE_TESTS_DISKTEST_H
#define LODGE_TESTS_DISKTEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/blk.h"
#include "block/vmdk.h"
#include "file/hostfile.h"
#include "tests/tap.h"

static char dt_dir[64];

__attribute__((unused)) static void dt_init(void)
{
    const char *t = getenv("TMPDIR");
    if (!t || strlen(t) > 30)
        t = "/tmp";
    snprintf(dt_dir, sizeof dt_dir, "%s/lodge-disk-XXXXXX", t);
    if (!mkdtemp(dt_dir) || chdir(dt_dir) < 0) {
        printf("Bail out! no scratch folder\n");
        exit(1);
    }
}

__attribute__((format(printf, 1, 2), unused)) static int dt_run(const char *fmt, ...)
{
    char cmd[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    int r = system(cmd);
    return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

__attribute__((unused)) static void dt_done(void)
{
    if (chdir("/") == 0)
        dt_run("rm -rf '%s'", dt_dir);
}

__attribute__((unused)) static bool dt_have(const char *prog)
{
    return dt_run("command -v %s >/dev/null 2>&1", prog) == 0;
}

static int dt_open_cb(void *u, const char *name, bool ro, struct hostfile *out, struct err *e)
{
    (void)u;
    if (strchr(name, '/'))
        return err_set(e, ERR_DENIED, 0, "%s is outside of the disk's folder", name);
    return hostfile_open(out, AT_FDCWD, name, ro, e);
}
static int dt_create_cb(void *u, const char *name, struct hostfile *out, struct err *e)
{
    (void)u;
    return hostfile_create(out, AT_FDCWD, name, e);
}

__attribute__((unused)) static struct blk *dt_open(const char *path, const char *format, bool ro, struct err *e)
{
    static const struct blk_opener op = {dt_open_cb, NULL};
    struct hostfile hf;
    if (hostfile_open(&hf, AT_FDCWD, path, ro, e) < 0)
        return NULL;
    return blk_open(NULL, &hf, format, ro, &op, e);
}

__attribute__((unused)) static int dt_create(const char *name, enum vmdk_type t, uint64_t size, uint64_t split,
                                             struct err *e)
{
    static const struct vmdk_creator c = {dt_create_cb, NULL};
    struct vmdk_create_params p = {.type = t, .size = size, .adapter = "ide", .hw_version = 8, .split = split};
    return vmdk_create(name, &p, &c, e);
}

struct dt_wait {
    int status;
    bool done;
};
static void dt_done_cb(struct blk_req *r, int status)
{
    struct dt_wait *w = r->owner;
    w->status = status;
    w->done = true;
}

__attribute__((unused)) static int dt_io(struct blk *b, enum blk_op op, uint64_t off, void *buf, size_t len)
{
    struct dt_wait w = {-1, false};
    struct iovec iov[3] = {{buf, len}};
    int n = 1;
    if (len >= 4096 && (off >> 9) % 3 == 0) { /* several buffers, cut at odd places */
        iov[0] = (struct iovec){buf, 100};
        iov[1] = (struct iovec){(char *)buf + 100, 3000};
        iov[2] = (struct iovec){(char *)buf + 3100, len - 3100};
        n = 3;
    }
    struct blk_req r = {.op = op, .off = off, .len = len, .iov = iov, .n_iov = n, .done = dt_done_cb, .owner = &w};
    blk_submit(b, &r);
    return w.done ? w.status : -2;
}

/* xorshift64*: the same bytes for the same seed on every run. */
__attribute__((unused)) static uint64_t dt_rand(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 0x2545f4914f6cdd1dull;
}
__attribute__((unused)) static void dt_fill(void *buf, size_t n, uint64_t *s)
{
    uint64_t v;
    for (size_t i = 0; i < n; i += 8) {
        v = dt_rand(s);
        memcpy((char *)buf + i, &v, n - i < 8 ? n - i : 8);
    }
}

__attribute__((unused)) static void dt_poke(const char *path, uint64_t off, const void *buf, size_t n)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || pwrite(fd, buf, n, (off_t)off) != (ssize_t)n)
        printf("# poke %s failed\n", path);
    close(fd);
}
__attribute__((unused)) static void dt_peek(const char *path, uint64_t off, void *buf, size_t n)
{
    int fd = open(path, O_RDONLY);
    memset(buf, 0, n);
    if (fd < 0 || pread(fd, buf, n, (off_t)off) < 0)
        printf("# peek %s failed\n", path);
    close(fd);
}

#endif
