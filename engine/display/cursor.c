/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SVGA hardware cursor: images (mask pairs or ARGB), and its place by registers (bypass 1 and 2) or by the FIFO registers (bypass 3). */
#include <string.h>

#include "base/bytes.h"
#include "display/svga_private.h"

void cursor_show_image(struct svga_dev *d)
{
    struct svga_state *s = &d->s;
    if (s->cur_w && s->cur_h)
        display_cursor(d->display, (int)s->cur_w, (int)s->cur_h, (int)s->cur_hot_x, (int)s->cur_hot_y, s->cur_argb);
    else
        display_cursor(d->display, 0, 0, 0, 0, NULL);
}

static void set_shape(struct svga_dev *d, uint32_t w, uint32_t h, uint32_t hx, uint32_t hy)
{
    struct svga_state *s = &d->s;
    s->cur_w = w;
    s->cur_h = h;
    s->cur_hot_x = hx < w ? hx : w - 1;
    s->cur_hot_y = hy < h ? hy : h - 1;
    cursor_show_image(d);
}

void cursor_define_alpha(struct svga_dev *d, uint32_t w, uint32_t h, uint32_t hx, uint32_t hy, const uint8_t *argb)
{
    for (uint32_t i = 0; i < w * h; i++)
        d->s.cur_argb[i] = ld_le32(argb + i * 4);
    set_shape(d, w, h, hx, hy);
}

/* One pixel of a mask whose lines are padded to dwords, as colour; depth 1 has its leftmost pixel in bit 7. */
static uint32_t mask_pixel(const struct svga_dev *d, const uint8_t *bits, unsigned depth, uint32_t w, uint32_t x, uint32_t y)
{
    const uint8_t *line = bits + (size_t)((w * depth + 31) / 32 * 4) * y;
    uint32_t p;
    switch (depth) {
    case 1:
        return line[x / 8] >> (7 - x % 8) & 1 ? 0xffffff : 0;
    case 8:
        return (uint32_t)d->s.palette[line[x] * 3] << 16 | (uint32_t)d->s.palette[line[x] * 3 + 1] << 8 | d->s.palette[line[x] * 3 + 2];
    case 15:
    case 16:
        p = ld_le16(line + x * 2);
        if (depth == 15 || d->s.bpp == 15)
            return (p & 0x7c00) << 9 | (p & 0x3e0) << 6 | (p & 0x1f) << 3;
        return (p & 0xf800) << 8 | (p & 0x7e0) << 5 | (p & 0x1f) << 3;
    case 24:
        return line[x * 3] | (uint32_t)line[x * 3 + 1] << 8 | (uint32_t)line[x * 3 + 2] << 16;
    case 32:
        return ld_le32(line + x * 4) & 0xffffff;
    }
    return 0;
}

void cursor_define_mono(struct svga_dev *d, uint32_t w, uint32_t h, uint32_t hx, uint32_t hy, const uint8_t *and_bits, unsigned and_depth,
                        const uint8_t *xor_bits, unsigned xor_depth)
{
    enum { INVERT = 0x00010203 }; /* alpha 0 and not black: marks pixels that invert what is below */
    struct svga_state *s = &d->s;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            uint32_t a = mask_pixel(d, and_bits, and_depth, w, x, y), c = mask_pixel(d, xor_bits, xor_depth, w, x, y);
            s->cur_argb[y * w + x] = !a ? 0xff000000 | c : !c ? 0 : INVERT;
        }
    /* ARGB cannot invert: such pixels become black, and transparent ones beside them white, so that the shape is seen on any ground. */
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            uint32_t *p = &s->cur_argb[y * w + x];
            if (*p)
                continue;
            if ((x && p[-1] == INVERT) || (x + 1 < w && p[1] == INVERT) || (y && p[-(int)w] == INVERT) || (y + 1 < h && p[w] == INVERT))
                *p = 0xffffffff;
        }
    for (uint32_t i = 0; i < w * h; i++)
        if (s->cur_argb[i] == INVERT)
            s->cur_argb[i] = 0xff000000;
    set_shape(d, w, h, hx, hy);
}

/* Screen coordinates to surface coordinates: the surface starts at the top left corner of what is shown. */
static void place(struct svga_dev *d, uint32_t x, uint32_t y, bool on, uint32_t screen)
{
    int64_t px = (int32_t)x, py = (int32_t)y;
    if (d->s.screens_in_use) {
        int64_t left = INT64_MAX, top = INT64_MAX;
        for (unsigned i = 0; i < SVGA_MAX_SCREENS; i++) {
            const struct svga_screen *sc = &d->s.screen[i];
            if (!sc->defined || sc->flags & SCREEN_DEACTIVATE)
                continue;
            if ((int32_t)sc->root_x < left)
                left = (int32_t)sc->root_x;
            if ((int32_t)sc->root_y < top)
                top = (int32_t)sc->root_y;
        }
        if (left == INT64_MAX)
            left = top = 0;
        if (screen < SVGA_MAX_SCREENS && d->s.screen[screen].defined) {
            px += (int32_t)d->s.screen[screen].root_x;
            py += (int32_t)d->s.screen[screen].root_y;
        }
        px -= left;
        py -= top;
    }
    if (px < -32768 || px > 32767 || py < -32768 || py > 32767)
        return;
    display_cursor_at(d->display, (int)px, (int)py, on && svga_visible(d));
}

/* CURSOR_ON values 2 (remove from the framebuffer) and 3 (restore) ask that the cursor is or is not in the pixels; ours never is. */
void cursor_moved(struct svga_dev *d) { place(d, d->s.cursor_x, d->s.cursor_y, d->s.cursor_on & 1, 0xffffffff); }

void cursor_poll(struct svga_dev *d)
{
    if (!d->s.config_done || !fifo_has_reg(d, FIFO_CURSOR_SCREEN_ID))
        return;
    uint32_t count = fifo_reg(d, FIFO_CURSOR_COUNT);
    if (count == d->s.cursor_count)
        return;
    d->s.cursor_count = count;
    d->s.cursor_x = fifo_reg(d, FIFO_CURSOR_X);
    d->s.cursor_y = fifo_reg(d, FIFO_CURSOR_Y);
    d->s.cursor_on = fifo_reg(d, FIFO_CURSOR_ON) & 3;
    place(d, d->s.cursor_x, d->s.cursor_y, d->s.cursor_on & 1, fifo_reg(d, FIFO_CURSOR_SCREEN_ID));
    fifo_reg_set(d, FIFO_CURSOR_LAST_UPDATED, count);
}
