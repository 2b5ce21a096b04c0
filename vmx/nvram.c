/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nvram file: 16 bytes of magic, then the 256 bytes of the CMOS memory. Other products have a container of their own there. */
#define _GNU_SOURCE
#include "nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static const char magic[16] = "LODGE-NVRAM 1\r\n";

enum found { MISSING, OURS, FOREIGN, NO_FILE };

static enum found read_file(const char *path, uint8_t out[NVRAM_BYTES])
{
    uint8_t buf[sizeof magic + NVRAM_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? MISSING : FOREIGN;
    ssize_t n = read(fd, buf, sizeof buf);
    struct stat st;
    bool known = !fstat(fd, &st), empty = known && st.st_size == 0;
    close(fd);
    if (known && !S_ISREG(st.st_mode))
        return NO_FILE;
    if (empty)
        return MISSING;
    if (n != (ssize_t)sizeof buf - 1 || memcmp(buf, magic, sizeof magic))
        return FOREIGN;
    memcpy(out, buf + sizeof magic, NVRAM_BYTES);
    return OURS;
}

bool nvram_load(char **path, uint8_t out[NVRAM_BYTES])
{
    enum found f = read_file(*path, out);
    if (f == NO_FILE) {
        log_msg(LOG_INFO, "nvram", "%s is no regular file: the CMOS memory starts empty and is not kept", *path);
        free(*path);
        *path = NULL;
    }
    if (f == FOREIGN) {
        char *own = NULL;
        if (asprintf(&own, "%s.lodge", *path) < 0)
            return false;
        log_msg(LOG_INFO, "nvram", "%s is not ours and stays as it is; %s is used", *path, own);
        free(*path);
        *path = own;
        f = read_file(own, out);
        if (f == FOREIGN)
            log_msg(LOG_WARN, "nvram", "%s is damaged; the CMOS memory starts empty", own);
    }
    return f == OURS;
}

int nvram_save(const char *path, const uint8_t in[NVRAM_BYTES], struct err *e)
{
    char *tmp = NULL;
    uint8_t buf[sizeof magic + NVRAM_BYTES];
    memcpy(buf, magic, sizeof magic);
    memcpy(buf + sizeof magic, in, NVRAM_BYTES);
    if (asprintf(&tmp, "%s.new", path) < 0)
        return err_set(e, ERR_NOMEM, ENOMEM, "not enough memory to save %s", path);
    int rc = -1, fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || write(fd, buf, sizeof buf) != (ssize_t)sizeof buf || rename(tmp, path))
        err_set(e, ERR_IO, errno, "the nvram file %s cannot be written: %s", path, strerror(errno));
    else
        rc = 0;
    if (fd >= 0)
        close(fd);
    if (rc)
        unlink(tmp);
    free(tmp);
    return rc;
}
