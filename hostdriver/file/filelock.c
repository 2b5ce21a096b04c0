/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks that die with their process: open file description locks (fcntl(2), F_OFD_SETLK), which the kernel drops with
 * the last descriptor, so that there is never a stale lock. The kernel does not tell whose such a lock is; the lock
 * file therefore carries the holder's pid as text, and for disk images the process is looked for in /proc.
 */
#define _GNU_SOURCE
#include "file/filelock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int ofd_lock(int fd, short type)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET};
    int r;
    do
        r = fcntl(fd, F_OFD_SETLK, &fl);
    while (r < 0 && errno == EINTR);
    return r < 0 ? errno : 0;
}

static pid_t pid_in_file(int fd)
{
    char buf[32];
    ssize_t n = pread(fd, buf, sizeof buf - 1, 0);
    if (n <= 0)
        return -1;
    buf[n] = 0;
    char *end;
    long pid = strtol(buf, &end, 10);
    return pid > 0 && pid < 0x7fffffff && (*end == '\n' || *end == 0) ? (pid_t)pid : -1;
}

static int no_file(struct err *e, const char *what, const char *path)
{
    int en = errno;
    if (en == EACCES || en == EPERM || en == EROFS)
        return err_set(e, ERR_DENIED, en, "%s cannot be locked, because its folder may not be written by you: %s; change its permissions, or move the machine",
                       what, strerror(en));
    if (en == ENOSPC || en == EDQUOT)
        return err_set(e, ERR_HOST, en, "%s cannot be locked: %s; make room on its drive", what, strerror(en));
    if (en == ENAMETOOLONG)
        return err_set(e, ERR_CONFIG, en, "%s cannot be locked: with .lck behind it the file's name is too long; give it a shorter one", what);
    return err_set(e, ERR_HOST, en, "%s cannot be locked: the lock file %s cannot be made: %s; remove what is in the way", what, path, strerror(en));
}

int filelock_take(struct filelock *l, const char *path, const char *what, struct err *e)
{
    l->fd = -1;
    l->path = NULL;
    for (int tries = 0; tries < 100; tries++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0)
            return no_file(e, what, path);
        struct stat a, b;
        if (fstat(fd, &a) < 0 || !S_ISREG(a.st_mode)) {
            close(fd);
            return err_set(e, ERR_CONFIG, 0, "%s cannot be locked: %s is in the way and is not a regular file; remove it", what,
                           path);
        }
        int en = ofd_lock(fd, F_WRLCK);
        if (en) {
            pid_t pid = pid_in_file(fd);
            close(fd);
            if (en != EAGAIN && en != EACCES)
                return err_set(e, ERR_HOST, en, "%s cannot be locked: %s", what, strerror(en));
            if (pid > 0)
                return err_set(e, ERR_BUSY, 0, "%s is in use by process %ld; power that one off first", what,
                               (long)pid);
            return err_set(e, ERR_BUSY, 0, "%s is in use by another process", what);
        }
        /* The previous holder may have removed the file between our open and our lock: then the lock is on a dead name.
         */
        if (stat(path, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) {
            close(fd);
            continue;
        }
        char buf[32];
        int n = snprintf(buf, sizeof buf, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0 || pwrite(fd, buf, (size_t)n, 0) != n) {
            en = errno;
            unlink(path);
            close(fd);
            return err_set(e, ERR_HOST, en, "%s cannot be locked: the lock file %s cannot be written: %s; make room on its drive", what, path,
                           strerror(en));
        }
        l->path = strdup(path);
        if (!l->path) {
            unlink(path);
            close(fd);
            return err_set(e, ERR_NOMEM, 0, "%s cannot be locked: out of memory", what);
        }
        l->fd = fd;
        return 0;
    }
    return err_set(e, ERR_BUSY, 0, "%s cannot be locked: other processes keep making and removing %s", what, path);
}

void filelock_drop(struct filelock *l)
{
    if (l->fd >= 0 && l->path) {
        unlink(l->path); /* while the lock is held: who waits on the old file sees that its name is gone */
        close(l->fd);
    }
    free(l->path);
    l->path = NULL;
    l->fd = -1;
}

pid_t filelock_holder(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t pid = -1;
    if (fcntl(fd, F_OFD_GETLK, &fl) == 0)
        pid = fl.l_type == F_UNLCK ? 0 : pid_in_file(fd);
    close(fd);
    return pid;
}

/* Another process of this user that has the same file open; 0 when none is found. */
static pid_t find_user(dev_t dev, ino_t ino)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    pid_t found = 0, self = getpid();
    struct dirent *d;
    while (!found && (d = readdir(proc))) {
        if (!isdigit((unsigned char)d->d_name[0]))
            continue;
        pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
        char dir[64];
        snprintf(dir, sizeof dir, "/proc/%ld/fd", (long)pid);
        DIR *fds = pid == self ? NULL : opendir(dir);
        if (!fds)
            continue;
        struct dirent *f;
        while (!found && (f = readdir(fds))) {
            struct stat st;
            if (f->d_name[0] != '.' && fstatat(dirfd(fds), f->d_name, &st, 0) == 0 && st.st_dev == dev &&
                st.st_ino == ino)
                found = pid;
        }
        closedir(fds);
    }
    closedir(proc);
    return found;
}

int filelock_fd(int fd, bool exclusive, const char *name, struct err *e)
{
    int en = ofd_lock(fd, exclusive ? F_WRLCK : F_RDLCK);
    if (!en)
        return 0;
    if (en == EAGAIN || en == EACCES) {
        struct stat st;
        pid_t pid = fstat(fd, &st) == 0 ? find_user(st.st_dev, st.st_ino) : 0;
        if (pid)
            return err_set(e, ERR_BUSY, 0, "%s is in use by process %ld; close that program or virtual machine first",
                           name, (long)pid);
        return err_set(e, ERR_BUSY, 0, "%s is in use by another program or virtual machine; close that one first",
                       name);
    }
    /* File systems without locks (some network and FUSE ones): VMware runs without its lock there as well. */
    if (en == ENOLCK || en == EOPNOTSUPP || en == ENOSYS || en == EINVAL)
        return 0;
    return err_set(e, ERR_HOST, en, "%s cannot be locked: %s", name, strerror(en));
}
