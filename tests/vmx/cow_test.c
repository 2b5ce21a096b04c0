/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disk mode independent-nonpersistent: a model in memory and the copy-on-write file must agree, and the image must stay as it was. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/hostfile.h"
#include "file/hostfile_cow.h"
#include "tests/tap.h"

enum { SIZE = 5 * 65536 + 1000, GROWN = 8 * 65536 };

static uint64_t rnd(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    return *s ^= *s << 17;
}

int main(void)
{
    char path[] = "/tmp/lodge-cowXXXXXX";
    int fd = mkstemp(path);
    uint8_t *orig = malloc(SIZE), *model = calloc(1, GROWN), *buf = malloc(GROWN);
    for (int i = 0; i < SIZE; i++)
        orig[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(model, orig, SIZE);
    ok(write(fd, orig, SIZE) == SIZE, "an image");
    close(fd);
    struct hostfile base, hf;
    struct err e;
    if (!ok(!hostfile_open(&base, AT_FDCWD, path, true, &e) && !hostfile_cow(&hf, &base, &e), "opened"))
        return TAP_DONE();
    ok(!hf.read_only && hf.ops->size(hf.f) == SIZE, "it can be written and has the image's size");
    uint64_t s = 88172645463325252ull;
    bool same = true;
    uint64_t size = SIZE;
    for (int i = 0; i < 400 && same; i++) {
        uint64_t off = rnd(&s) % (i < 200 ? SIZE : GROWN);
        size_t n = rnd(&s) % (i % 10 ? 3000 : 140000);
        if (off + n > (i < 200 ? SIZE : GROWN))
            n = (size_t)((i < 200 ? SIZE : GROWN) - off);
        if (rnd(&s) & 1) {
            for (size_t k = 0; k < n; k++)
                buf[k] = (uint8_t)rnd(&s);
            memcpy(model + off, buf, n);
            same &= hf.ops->pwrite(hf.f, off, buf, n) == 0;
            size = n && off + n > size ? off + n : size;
        } else {
            same &= hf.ops->pread(hf.f, off, buf, n) == 0 && !memcmp(buf, model + off, n);
        }
    }
    ok(same, "reads give what was written, else the image, else zeros");
    ok((uint64_t)hf.ops->size(hf.f) == size, "the size follows writes beyond the end");
    ok(hf.ops->truncate(hf.f, GROWN * 2) == 0 && hf.ops->size(hf.f) == GROWN * 2, "it grows");
    ok(hf.ops->truncate(hf.f, 1) != 0, "it does not shrink");
    hf.ops->close(hf.f);
    fd = open(path, O_RDONLY);
    ok(read(fd, buf, GROWN) == SIZE && !memcmp(buf, orig, SIZE), "the image is as it was");
    close(fd);
    unlink(path);
    free(orig);
    free(model);
    free(buf);
    return TAP_DONE();
}
