/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serial port output into a file. Every write of the UART is one write(2) at the file's end, so that tail -f shows it
 * at once. A disk that is full loses output, reported once; it does not stop the guest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "file/chardevs.h"

struct char_file {
    struct chardev c;
    int fd;
    bool reported;
};

static size_t file_write(struct chardev *c, const uint8_t *buf, size_t n)
{
    struct char_file *f = (struct char_file *)c;
    size_t done = 0;
    while (done < n) {
        ssize_t r = write(f->fd, buf + done, n - done);
        if (r > 0) {
            done += (size_t)r;
            f->reported = false;
        } else if (r < 0 && errno == EINTR) {
            continue;
        } else if (r < 0 && errno == EAGAIN) { /* a FIFO that nobody reads */
            break;
        } else {
            if (!f->reported)
                log_msg(LOG_ERROR, "serial", "output to a file is being lost: %s", strerror(r < 0 ? errno : ENOSPC));
            f->reported = true;
            break;
        }
    }
    return n;
}

static void file_accept(struct chardev *c) { (void)c; }

static void file_close(struct chardev *c)
{
    struct char_file *f = (struct char_file *)c;
    close(f->fd);
    free(f);
}

static const struct chardev_ops file_ops = {.write = file_write, .accept = file_accept, .close = file_close};

struct chardev *char_file_open(struct vm *vm, const char *path, struct err *e)
{
    struct char_file *f = calloc(1, sizeof *f);
    (void)vm;
    if (!f) {
        err_set(e, ERR_NOMEM, 0, "Serial port file %s: out of memory", path);
        return NULL;
    }
    struct stat st;
    int flags = O_WRONLY | O_APPEND | O_CREAT;
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
        flags = O_RDWR; /* opening a FIFO for writing would wait for its reader */
    f->fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    if (f->fd < 0) {
        int en = errno;
        err_set(e, en == EACCES || en == EPERM || en == EROFS ? ERR_DENIED : ERR_CONFIG, en,
                "The serial port's file %s cannot be written: %s", path, strerror(en));
        free(f);
        return NULL;
    }
    f->c.ops = &file_ops;
    return &f->c;
}
