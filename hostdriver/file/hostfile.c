/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disk images as Linux files: positioned reads and writes on a descriptor, from any thread. */
#define _GNU_SOURCE
#include "file/hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file/filelock.h"

struct fdfile {
    int fd;
    bool blockdev;
    uint64_t end; /* of what the file had when it was opened, and of what was written since: if it ends before that, somebody has cut it off */
    char name[128];
};

static void reaches(struct fdfile *ff, uint64_t end)
{
    uint64_t was = __atomic_load_n(&ff->end, __ATOMIC_RELAXED);
    while (was < end && !__atomic_compare_exchange_n(&ff->end, &was, end, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static int file_pread(void *f, uint64_t off, void *buf, size_t n)
{
    struct fdfile *ff = f;
    uint8_t *p = buf;
    while (n > 0) {
        ssize_t r = pread(ff->fd, p, n, (off_t)off);
        if (r < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        if (r == 0) { /* past the end */
            if (off < __atomic_load_n(&ff->end, __ATOMIC_RELAXED))
                return EIO;
            memset(p, 0, n);
            return 0;
        }
        p += r;
        off += (uint64_t)r;
        n -= (size_t)r;
    }
    return 0;
}

static int file_pwrite(void *f, uint64_t off, const void *buf, size_t n)
{
    struct fdfile *ff = f;
    const uint8_t *p = buf;
    while (n > 0) {
        ssize_t r = pwrite(ff->fd, p, n, (off_t)off);
        if (r < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        if (r == 0)
            return ENOSPC;
        p += r;
        off += (uint64_t)r;
        reaches(ff, off);
        n -= (size_t)r;
    }
    return 0;
}

/* One system call in the usual case; what a short transfer left is done element by element. */
static int file_vec(struct fdfile *ff, bool write, uint64_t off, const struct iovec *iov, int n)
{
    ssize_t r;
    do
        r = write ? pwritev(ff->fd, iov, n, (off_t)off) : preadv(ff->fd, iov, n, (off_t)off);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno;
    size_t done = (size_t)r;
    if (write)
        reaches(ff, off + done);
    for (int i = 0; i < n; i++) {
        if (done >= iov[i].iov_len) {
            done -= iov[i].iov_len;
        } else {
            uint8_t *p = (uint8_t *)iov[i].iov_base + done;
            size_t len = iov[i].iov_len - done;
            int err = write ? file_pwrite(ff, off + done, p, len) : file_pread(ff, off + done, p, len);
            if (err)
                return err;
            done = 0;
        }
        off += iov[i].iov_len;
    }
    return 0;
}

static int file_preadv(void *f, uint64_t off, const struct iovec *iov, int n)
{
    return file_vec(f, false, off, iov, n);
}
static int file_pwritev(void *f, uint64_t off, const struct iovec *iov, int n)
{
    return file_vec(f, true, off, iov, n);
}

/* A few bytes at the end of an odd-sized file, or a file system without RWF_NOWAIT: the other way does it. */
static int file_preadv_now(void *f, uint64_t off, const struct iovec *iov, int n)
{
    struct fdfile *ff = f;
    ssize_t want = 0;
    for (int i = 0; i < n; i++)
        want += (ssize_t)iov[i].iov_len;
    return preadv2(ff->fd, iov, n, (off_t)off, RWF_NOWAIT) == want ? 0 : EAGAIN;
}

static int file_flush(void *f)
{
    struct fdfile *ff = f;
    int r;
    do
        r = fdatasync(ff->fd);
    while (r < 0 && errno == EINTR);
    /* A descriptor that cannot be synced (some FUSE file systems) has no volatile cache of its own. */
    if (r < 0 && (errno == EINVAL || errno == ENOSYS || errno == EROFS))
        return 0;
    return r < 0 ? errno : 0;
}

static int file_truncate(void *f, uint64_t size)
{
    struct fdfile *ff = f;
    if (ff->blockdev)
        return EINVAL;
    int r;
    do
        r = ftruncate(ff->fd, (off_t)size);
    while (r < 0 && errno == EINTR);
    if (!r)
        __atomic_store_n(&ff->end, size, __ATOMIC_RELAXED);
    return r < 0 ? errno : 0;
}

static int file_punch(void *f, uint64_t off, uint64_t n)
{
    struct fdfile *ff = f;
    int r;
    do
        r = fallocate(ff->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n);
    while (r < 0 && errno == EINTR);
    return r < 0 ? errno : 0;
}

static int64_t file_size(void *f)
{
    struct fdfile *ff = f;
    if (ff->blockdev) {
        uint64_t n = 0;
        return ioctl(ff->fd, BLKGETSIZE64, &n) < 0 ? -1 : (int64_t)n;
    }
    struct stat st;
    return fstat(ff->fd, &st) < 0 ? -1 : (int64_t)st.st_size;
}

static void file_close(void *f)
{
    struct fdfile *ff = f;
    close(ff->fd);
    free(ff);
}

static int file_lock(void *f, bool exclusive, struct err *e)
{
    struct fdfile *ff = f;
    return filelock_fd(ff->fd, exclusive, ff->name, e);
}

static const struct hostfile_ops file_ops = {
    .pread = file_pread,
    .pwrite = file_pwrite,
    .flush = file_flush,
    .truncate = file_truncate,
    .punch = file_punch,
    .size = file_size,
    .close = file_close,
    .preadv = file_preadv,
    .pwritev = file_pwritev,
    .lock = file_lock,
    .preadv_now = file_preadv_now,
};

static const char *base_name(const char *path)
{
    const char *s = strrchr(path, '/');
    return s && s[1] ? s + 1 : path;
}

int hostfile_from_fd(struct hostfile *out, int fd, const char *name, bool read_only, struct err *e)
{
    struct stat st;
    struct fdfile *ff = NULL;
    memset(out, 0, sizeof *out);
    if (fstat(fd, &st) < 0) {
        err_set(e, ERR_HOST, errno, "%s: cannot be examined: %s", name, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        err_set(e, ERR_CONFIG, 0, "%s is a folder, not a disk image; name the image file itself", name);
    } else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        err_set(e, ERR_CONFIG, 0, "%s is neither a regular file nor a block device, so it cannot be a disk image",
                name);
    } else if (!(ff = calloc(1, sizeof *ff))) {
        err_set(e, ERR_NOMEM, 0, "%s: out of memory", name);
    }
    if (!ff) {
        close(fd);
        return -1;
    }
    ff->fd = fd;
    ff->blockdev = S_ISBLK(st.st_mode);
    ff->end = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    snprintf(ff->name, sizeof ff->name, "%s", base_name(name));
    out->ops = &file_ops;
    out->f = ff;
    out->read_only = read_only;
    snprintf(out->name, sizeof out->name, "%s", ff->name);
    return 0;
}

int hostfile_open(struct hostfile *out, int dirfd, const char *path, bool read_only, struct err *e)
{
    memset(out, 0, sizeof *out);
    /* O_NONBLOCK: a FIFO in place of an image must not hang the program before hostfile_from_fd refuses it. */
    int fd = openat(dirfd, path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int en = errno;
        switch (en) {
        case ENOENT: return err_set(e, ERR_CONFIG, en, "%s does not exist; check the file name", path);
        case EACCES:
        case EPERM:
            return err_set(e, ERR_DENIED, en, "%s may not be opened for %s by this user; change its permissions", path,
                           read_only ? "reading" : "writing");
        case EROFS:
            return err_set(e, ERR_DENIED, en, "%s is on a read-only file system, so a disk cannot be written there",
                           path);
        case EISDIR:
            return err_set(e, ERR_CONFIG, en, "%s is a folder, not a disk image; name the image file itself", path);
        default: return err_set(e, ERR_HOST, en, "%s cannot be opened: %s", path, strerror(en));
        }
    }
    return hostfile_from_fd(out, fd, path, read_only, e);
}

int hostfile_create(struct hostfile *out, int dirfd, const char *path, struct err *e)
{
    memset(out, 0, sizeof *out);
    int fd = openat(dirfd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        int en = errno;
        if (en == EEXIST)
            return err_set(e, ERR_CONFIG, en, "%s exists already; choose another name or remove it first", path);
        return err_set(e, ERR_HOST, en, "%s cannot be made: %s", path, strerror(en));
    }
    return hostfile_from_fd(out, fd, path, false, e);
}
