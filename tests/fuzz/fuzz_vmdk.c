/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: VMDK files. The input's first two bytes say where the disk's file ends and the extent file "x" begins;
 * the rest of the bytes are the two files. What opens is read, written, trimmed and read back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "tests/format/memfile.h"

static struct memfile ext;

static int open_ext(void *u, const char *name, bool ro, struct hostfile *out, struct err *e)
{
    (void)u;
    if (strcmp(name, "x") != 0)
        return err_set(e, ERR_CONFIG, 0, "no file %s", name);
    *out = (struct hostfile){.ops = &mf_ops, .f = &ext, .read_only = ro, .name = "x"};
    return 0;
}

static int status;
static void done(struct blk_req *r, int st)
{
    (void)r;
    status = st;
}
static int io(struct blk *b, enum blk_op op, uint64_t off, void *buf, size_t n)
{
    struct iovec v[2] = {{buf, n / 2}, {(uint8_t *)buf + n / 2, n - n / 2}};
    struct blk_req r = {.op = op, .off = off, .len = n, .iov = v, .n_iov = 2, .done = done};
    status = -1;
    blk_submit(b, &r);
    if (status == -1)
        abort();
    return status;
}

/* A copy that can grow by a few grains. */
static void take(struct memfile *m, const uint8_t *p, size_t n)
{
    memset(m, 0, sizeof *m);
    m->max = n + (1 << 20);
    m->data = calloc(1, m->max);
    m->size = n;
    if (!m->data)
        exit(1);
    if (n)
        memcpy(m->data, p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct blk_opener op = {open_ext, NULL};
    static uint8_t w[16384], r[16384];
    struct memfile main_file;
    struct err e = {0};
    if (size < 2)
        return 0;
    log_set_sink(NULL, NULL, LOG_ERROR);
    size_t cut = (size_t)(data[0] | data[1] << 8) * 16;
    data += 2, size -= 2;
    cut = cut > size ? size : cut;
    take(&main_file, data, cut);
    take(&ext, data + cut, size - cut);
    struct hostfile hf = {.ops = &mf_ops, .f = &main_file, .name = "disk"};
    struct blk *b = blk_open(NULL, &hf, "vmdk", false, &op, &e);
    if (!b && (e.kind == ERR_NONE || !e.msg[0]))
        abort(); /* every refusal has a reason */
    if (b) {
        struct blk_info in;
        blk_get_info(b, &in);
        memset(w, 0xc3, sizeof w);
        uint64_t at[] = {0, in.size / 2 & ~511ull, in.size > 65536 ? 65536 - 512 : 0,
                         in.size > sizeof w ? in.size - sizeof w : 0};
        for (unsigned i = 0; i < 4; i++) {
            size_t n = in.size - at[i] < sizeof w ? (size_t)(in.size - at[i]) : sizeof w;
            io(b, BLK_READ, at[i], r, n);
            if (io(b, BLK_WRITE, at[i], w, n) == 0 && (io(b, BLK_READ, at[i], r, n) != 0))
                abort();
            io(b, BLK_FLUSH, 0, NULL, 0);
        }
        io(b, BLK_DISCARD, 0, NULL, in.size > (64 << 20) ? 64 << 20 : (size_t)in.size);
        blk_close(b);
    }
    free(main_file.data);
    free(ext.data);
    return 0;
}
