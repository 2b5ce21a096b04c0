/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Screenshots: the current surface as PNG (ISO/IEC 15948: 8-bit RGB, one IDAT, a filter chosen for each line). */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "display/surface.h"
#include "screen.h"

static uint8_t *chunk(uint8_t *p, const char *type, const void *data, uint32_t n)
{
    st_be32(p, n);
    memcpy(p + 4, type, 4);
    if (data)
        memmove(p + 8, data, n);
    st_be32(p + 8 + n, (uint32_t)crc32(0, p + 4, n + 4));
    return p + 12 + n;
}

static unsigned cost(const uint8_t *f, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += f[i] < 128 ? f[i] : 256u - f[i];
    return sum;
}

int png_encode_xrgb(const uint8_t *pixels, uint32_t w, uint32_t h, size_t stride, uint8_t **png, size_t *size, struct err *e)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    size_t line = (size_t)w * 3;
    uint8_t *buf = calloc(4, line + 1); /* this line, the one above, two filtered forms */
    uLong bound = compressBound((uLong)((line + 1) * h)) + 64;
    uint8_t *out = malloc(bound + 128);
    z_stream z = {0};
    if (!buf || !out || !w || !h || w > 32767 || h > 32767 || deflateInit(&z, 6) != Z_OK) {
        free(buf);
        free(out);
        return err_set(e, ERR_NOMEM, 0, "There is not enough memory for a screenshot.");
    }
    uint8_t *cur = buf, *above = buf + line + 1, *sub = buf + 2 * (line + 1), *up = buf + 3 * (line + 1);
    uint8_t *p = out, *data;
    memcpy(p, signature, 8);
    uint8_t head[13] = {[8] = 8, [9] = 2};
    st_be32(head, w);
    st_be32(head + 4, h);
    p = chunk(p + 8, "IHDR", head, sizeof head);
    data = p + 8; /* compressed data goes where the IDAT chunk wants it */
    z.next_out = data;
    z.avail_out = (uInt)bound;
    for (uint32_t y = 0; y < h; y++) {
        cur[0] = 0;
        sub[0] = 1;
        up[0] = 2;
        for (uint32_t x = 0; x < w; x++) {
            uint32_t v = ld_le32(pixels + y * stride + (size_t)x * 4);
            cur[1 + 3 * x] = (uint8_t)(v >> 16);
            cur[2 + 3 * x] = (uint8_t)(v >> 8);
            cur[3 + 3 * x] = (uint8_t)v;
        }
        for (size_t i = 1; i <= line; i++) {
            sub[i] = (uint8_t)(cur[i] - (i > 3 ? cur[i - 3] : 0));
            up[i] = (uint8_t)(cur[i] - above[i]);
        }
        unsigned c0 = cost(cur + 1, line), c1 = cost(sub + 1, line), c2 = cost(up + 1, line);
        z.next_in = c2 <= c1 && c2 <= c0 ? up : c1 <= c0 ? sub : cur;
        z.avail_in = (uInt)line + 1;
        deflate(&z, y + 1 == h ? Z_FINISH : Z_NO_FLUSH);
        uint8_t *t = above;
        above = cur;
        cur = t;
    }
    uint32_t n = (uint32_t)z.total_out;
    deflateEnd(&z);
    p = chunk(p, "IDAT", data, n);
    p = chunk(p, "IEND", NULL, 0);
    free(buf);
    *png = out;
    *size = (size_t)(p - out);
    return 0;
}

/* A sink that lives only for one picture. */
struct shot {
    struct surface sf;
    uint8_t *copy;
    bool no_memory;
};

static void shot_mode(void *u, const struct surface *sf) { ((struct shot *)u)->sf = *sf; }

static void shot_update(void *u, const struct rect *r, int n)
{
    struct shot *s = u;
    if (s->copy || !s->sf.width)
        return;
    s->copy = malloc((size_t)s->sf.width * s->sf.height * 4);
    s->no_memory = !s->copy;
    for (uint32_t y = 0; s->copy && y < s->sf.height; y++)
        memcpy(s->copy + (size_t)y * s->sf.width * 4, s->sf.pixels + (size_t)y * s->sf.stride, (size_t)s->sf.width * 4);
}

int screen_screenshot_png(struct vm *vm, struct display *d, uint8_t **png, size_t *size, struct err *e)
{
    static const struct display_sink ops = {.mode = shot_mode, .update = shot_update};
    struct shot s = {0};
    int id = display_attach(d, &ops, &s);
    if (id < 0)
        return err_set(e, ERR_BUSY, 0, "Too many programs look at the screen at once.");
    display_detach(d, id);
    if (!s.copy)
        return err_set(e, s.no_memory ? ERR_NOMEM : ERR_BUSY, 0,
                       s.no_memory ? "There is not enough memory for a screenshot." : "The guest shows no picture yet.");
    int r = png_encode_xrgb(s.copy, s.sf.width, s.sf.height, (size_t)s.sf.width * 4, png, size, e);
    free(s.copy);
    return r;
}
