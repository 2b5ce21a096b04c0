/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SVGA screen objects and the 2D commands. A screen's pixels are always 32-bit and live in its backing store in video memory (second screen
 * object interface), so a single screen is shown without a copy; several are composed into the display's own surface.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "display/svga_private.h"

static bool shown(const struct svga_screen *s) { return s->defined && !(s->flags & (SCREEN_DEACTIVATE | SCREEN_BLANKING)); }

static bool backing_fits(const struct svga_dev *d, uint32_t w, uint32_t h, uint32_t offset, uint32_t pitch)
{
    return w && h && w <= 8192 && h <= 8192 && !(offset & 3) && !(pitch & 3) && pitch >= w * 4 &&
           offset + (uint64_t)pitch * (h - 1) + (uint64_t)w * 4 <= d->vram.size;
}

bool screens_valid(const struct svga_dev *d)
{
    for (unsigned i = 0; i < SVGA_MAX_SCREENS; i++) {
        const struct svga_screen *s = &d->s.screen[i];
        if (s->defined && !(s->flags & SCREEN_DEACTIVATE) && !backing_fits(d, s->width, s->height, s->offset, s->pitch))
            return false;
    }
    return true;
}

void screen_define(struct svga_dev *d, uint32_t id, uint32_t flags, uint32_t w, uint32_t h, uint32_t root_x, uint32_t root_y, uint32_t gmr,
                   uint32_t offset, uint32_t pitch)
{
    if (id >= SVGA_MAX_SCREENS) {
        guest_error("svga", "Screen %u does not exist.", id);
        return;
    }
    if (!(flags & SCREEN_DEACTIVATE)) {
        if (!pitch)
            pitch = w <= 8192 ? w * 4 : 0;
        if (gmr != SVGA_GMR_FRAMEBUFFER || w > d->max_width || h > d->max_height || !backing_fits(d, w, h, offset, pitch)) {
            guest_error("svga", "Screen %u of %u x %u with its backing store at %x:%x, pitch %u, is not possible.", id, w, h, gmr, offset, pitch);
            return;
        }
    } else {
        w = h = offset = pitch = 0;
    }
    d->s.screen[id] = (struct svga_screen){true, flags, w, h, offset, pitch, root_x, root_y};
    d->s.screens_in_use = true;
    scanout_full(d);
}

void screen_destroy(struct svga_dev *d, uint32_t id)
{
    if (id < SVGA_MAX_SCREENS) {
        d->s.screen[id] = (struct svga_screen){0};
        d->s.screens_in_use = true;
        scanout_full(d);
    }
}

static bool bounds(const struct svga_dev *d, int64_t *x0, int64_t *y0, int64_t *x1, int64_t *y1)
{
    bool any = false;
    for (unsigned i = 0; i < SVGA_MAX_SCREENS; i++) {
        const struct svga_screen *s = &d->s.screen[i];
        if (!s->defined || s->flags & SCREEN_DEACTIVATE)
            continue;
        int64_t l = (int32_t)s->root_x, t = (int32_t)s->root_y, r = l + s->width, b = t + s->height;
        if (!any || l < *x0)
            *x0 = l;
        if (!any || t < *y0)
            *y0 = t;
        if (!any || r > *x1)
            *x1 = r;
        if (!any || b > *y1)
            *y1 = b;
        any = true;
    }
    return any;
}

void screens_mode(const struct svga_dev *d, struct out_mode *o)
{
    int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    unsigned n = 0;
    const struct svga_screen *one = NULL;
    for (unsigned i = 0; i < SVGA_MAX_SCREENS; i++)
        if (shown(&d->s.screen[i])) {
            one = &d->s.screen[i];
            n++;
        }
    /* All dark: keep the size of what was there. */
    if (!bounds(d, &x0, &y0, &x1, &y1) || !n) {
        *o = (struct out_mode){.kind = OUT_BLANK, .width = d->so.out.width ? d->so.out.width : 640, .height = d->so.out.height ? d->so.out.height : 480};
        return;
    }
    if (n == 1) {
        *o = (struct out_mode){.kind = OUT_SCREENS, .width = one->width, .height = one->height, .offset = one->offset, .pitch = one->pitch, .depth = 32,
                               .direct = true};
        return;
    }
    /* Screens far apart: what does not fit the largest surface is cut off. */
    int64_t w = x1 - x0 > 8192 ? 8192 : x1 - x0, h = y1 - y0 > 8192 ? 8192 : y1 - y0;
    *o = (struct out_mode){.kind = OUT_SCREENS, .width = (uint32_t)w, .height = (uint32_t)h, .depth = 32};
}

void screens_compose(struct svga_dev *d)
{
    const struct surface *sf = display_surface(d->display);
    int64_t x0 = 0, y0 = 0, x1, y1;
    bounds(d, &x0, &y0, &x1, &y1);
    for (uint32_t y = 0; y < sf->height; y++)
        memset(sf->pixels + (size_t)y * sf->stride, 0, (size_t)sf->width * 4);
    for (unsigned i = 0; i < SVGA_MAX_SCREENS; i++) {
        const struct svga_screen *s = &d->s.screen[i];
        if (!shown(s))
            continue;
        int64_t x = (int32_t)s->root_x - x0, y = (int32_t)s->root_y - y0;
        if (x >= sf->width)
            continue;
        uint32_t w = s->width < sf->width - x ? s->width : (uint32_t)(sf->width - x);
        for (uint32_t k = 0; k < s->height && y + k < sf->height; k++)
            memcpy(sf->pixels + (size_t)(y + k) * sf->stride + (size_t)x * 4, d->vram.host + s->offset + (size_t)k * s->pitch, (size_t)w * 4);
    }
}

/* Pixels of a screen changed. */
static void screen_damage(struct svga_dev *d, const struct svga_screen *s, const struct svga_rect *r)
{
    const struct out_mode *o = &d->so.out;
    if (!shown(s))
        return;
    if (o->kind == OUT_SCREENS && o->direct && o->offset == s->offset)
        display_damage(d->display, r->left, r->top, r->right - r->left, r->bottom - r->top);
    else
        d->so.full = true; /* composed, or shown only from the next tick on */
    d->so.idle = d->so.idle > 30 ? 31 : d->so.idle; /* so that scanout_arm brings the tick nearer */
    scanout_arm(d);
}

/* ---- blits ---- */

struct image {
    uint32_t id, offset, pitch, depth;
};

static uint32_t image_bytes(const struct image *m) { return (m->depth + 7) / 8; }

static bool gmrfb_image(const struct svga_dev *d, struct image *m)
{
    uint32_t bpp = d->s.gmrfb_format & 0xff, depth = d->s.gmrfb_format >> 8 & 0xff;
    *m = (struct image){d->s.gmrfb_id, d->s.gmrfb_offset, d->s.gmrfb_pitch, bpp};
    if (bpp == 16 && (depth == 15 || depth == 16))
        m->depth = depth;
    else if (!((bpp == 32 && (depth == 24 || depth == 32)) || (bpp == 24 && depth == 24))) {
        guest_error("svga", "The image format %u bits, depth %u, is not supported.", bpp, depth);
        return false;
    }
    return true;
}

static void row_to_xrgb(const struct svga_dev *d, const struct image *m, const uint8_t *in, uint32_t *out, uint32_t w)
{
    uint32_t p;
    for (uint32_t x = 0; x < w; x++) {
        switch (m->depth) {
        case 8:
            p = in[x];
            out[x] = (uint32_t)d->s.palette[p * 3] << 16 | (uint32_t)d->s.palette[p * 3 + 1] << 8 | d->s.palette[p * 3 + 2];
            break;
        case 15:
            p = ld_le16(in + 2 * x);
            out[x] = (p & 0x7c00) << 9 | (p & 0x7000) << 4 | (p & 0x3e0) << 6 | (p & 0x380) << 1 | (p & 0x1f) << 3 | (p & 0x1c) >> 2;
            break;
        case 16:
            p = ld_le16(in + 2 * x);
            out[x] = (p & 0xf800) << 8 | (p & 0xe000) << 3 | (p & 0x7e0) << 5 | (p & 0x600) >> 1 | (p & 0x1f) << 3 | (p & 0x1c) >> 2;
            break;
        case 24:
            out[x] = in[3 * x] | (uint32_t)in[3 * x + 1] << 8 | (uint32_t)in[3 * x + 2] << 16;
            break;
        default:
            out[x] = ld_le32(in + 4 * x);
            break;
        }
    }
}

static void row_from_xrgb(const struct image *m, const uint32_t *in, uint8_t *out, uint32_t w)
{
    for (uint32_t x = 0; x < w; x++) {
        uint32_t p = in[x];
        switch (m->depth) {
        case 15:
            st_le16(out + 2 * x, (uint16_t)((p >> 9 & 0x7c00) | (p >> 6 & 0x3e0) | (p >> 3 & 0x1f)));
            break;
        case 16:
            st_le16(out + 2 * x, (uint16_t)((p >> 8 & 0xf800) | (p >> 5 & 0x7e0) | (p >> 3 & 0x1f)));
            break;
        case 24:
            out[3 * x] = (uint8_t)p;
            out[3 * x + 1] = (uint8_t)(p >> 8);
            out[3 * x + 2] = (uint8_t)(p >> 16);
            break;
        default:
            st_le32(out + 4 * x, p);
            break;
        }
    }
}

/* Copies from an image to the part of one screen that dst (in that screen's coordinates) covers. (sx, sy) belongs to dst's corner. */
static uint64_t blit_to_screen(struct svga_dev *d, const struct image *m, int64_t sx, int64_t sy, int64_t l, int64_t t, int64_t r, int64_t b,
                               const struct svga_screen *s)
{
    uint8_t row[8192 * 4];
    if (l < 0)
        sx -= l, l = 0;
    if (t < 0)
        sy -= t, t = 0;
    if (r > s->width)
        r = s->width;
    if (b > s->height)
        b = s->height;
    if (l >= r || t >= b)
        return 0;
    if (sx < 0 || sy < 0) {
        guest_error("svga", "A blit starts outside its source image.");
        return 0;
    }
    uint32_t w = (uint32_t)(r - l), bytes = image_bytes(m);
    uint64_t from = m->offset + (uint64_t)sy * m->pitch + (uint64_t)sx * bytes;
    for (int64_t y = t; y < b; y++, from += m->pitch) {
        uint32_t *out = (uint32_t *)(void *)(d->vram.host + s->offset + (size_t)y * s->pitch) + l;
        if (bytes == 4) {
            if (!gmr_copy(d, m->id, from, out, w * 4, false))
                goto outside;
        } else {
            if (!gmr_copy(d, m->id, from, row, w * bytes, false))
                goto outside;
            row_to_xrgb(d, m, row, out, w);
        }
    }
    screen_damage(d, s, &(struct svga_rect){(int32_t)l, (int32_t)t, (int32_t)r, (int32_t)b});
    return (uint64_t)w * 4 * (uint64_t)(b - t);
outside:
    guest_error("svga", "A blit reads outside guest memory region %x.", m->id);
    return (uint64_t)w * 4 * (uint64_t)(b - t);
}

static uint64_t blit_virtual(struct svga_dev *d, const struct image *m, int64_t sx, int64_t sy, int64_t l, int64_t t, int64_t r, int64_t b)
{
    uint64_t moved = 0;
    for (unsigned i = 0; i < SVGA_MAX_SCREENS; i++) {
        const struct svga_screen *s = &d->s.screen[i];
        int64_t x = (int32_t)s->root_x, y = (int32_t)s->root_y;
        if (s->defined && !(s->flags & SCREEN_DEACTIVATE))
            moved += blit_to_screen(d, m, sx, sy, l - x, t - y, r - x, b - y, s);
    }
    return moved;
}

uint64_t screen_blit_from_gmrfb(struct svga_dev *d, int32_t src_x, int32_t src_y, struct svga_rect dst, uint32_t id)
{
    struct image m;
    if (!gmrfb_image(d, &m))
        return 0;
    if (id == 0xffffffff)
        return blit_virtual(d, &m, src_x, src_y, dst.left, dst.top, dst.right, dst.bottom);
    if (id >= SVGA_MAX_SCREENS || !d->s.screen[id].defined || d->s.screen[id].flags & SCREEN_DEACTIVATE) {
        guest_error("svga", "A blit names screen %u, which is not defined.", id);
        return 0;
    }
    return blit_to_screen(d, &m, src_x, src_y, dst.left, dst.top, dst.right, dst.bottom, &d->s.screen[id]);
}

uint64_t screen_blit_to_gmrfb(struct svga_dev *d, int32_t dst_x, int32_t dst_y, struct svga_rect src, uint32_t id)
{
    uint8_t row[8192 * 4];
    struct image m;
    if (!gmrfb_image(d, &m))
        return 0;
    const struct svga_screen *s = id < SVGA_MAX_SCREENS ? &d->s.screen[id] : NULL;
    /* No clipping in this direction: the source must lie within one screen. */
    if (!s || !s->defined || s->flags & SCREEN_DEACTIVATE || src.left < 0 || src.top < 0 || src.right > (int64_t)s->width ||
        src.bottom > (int64_t)s->height || src.left >= src.right || src.top >= src.bottom || dst_x < 0 || dst_y < 0) {
        guest_error("svga", "A blit from screen %u has coordinates outside it.", id);
        return 0;
    }
    uint32_t w = (uint32_t)(src.right - src.left), bytes = image_bytes(&m);
    uint64_t to = m.offset + (uint64_t)(uint32_t)dst_y * m.pitch + (uint64_t)(uint32_t)dst_x * bytes;
    for (int32_t y = src.top; y < src.bottom; y++, to += m.pitch) {
        row_from_xrgb(&m, (const uint32_t *)(const void *)(d->vram.host + s->offset + (size_t)y * s->pitch) + src.left, row, w);
        if (!gmr_copy(d, m.id, to, row, w * bytes, true)) {
            guest_error("svga", "A blit writes outside guest memory region %x.", m.id);
            break;
        }
    }
    return (uint64_t)w * 4 * (uint64_t)(src.bottom - src.top);
}

/* ---- the legacy framebuffer ---- */

uint64_t screen_update(struct svga_dev *d, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    if (d->s.screens_in_use) {
        struct image m = {SVGA_GMR_FRAMEBUFFER, 0, svga_pitch(d), svga_depth(d)};
        return blit_virtual(d, &m, x, y, x, y, (int64_t)x + w, (int64_t)y + h);
    }
    if (x >= d->s.width || y >= d->s.height)
        return 0;
    w = w > d->s.width - x ? d->s.width - x : w;
    h = h > d->s.height - y ? d->s.height - y : h;
    if (d->so.out.kind == OUT_LINEAR && d->so.out.direct && svga_visible(d))
        display_damage(d->display, (int)x, (int)y, (int)w, (int)h);
    else
        scanout_dirty(d, (uint64_t)y * svga_pitch(d), (uint64_t)h * svga_pitch(d));
    scanout_arm(d);
    return 0;
}

/* A rectangle of the framebuffer, which must lie within it and within video memory. */
static bool fb_rect_ok(const struct svga_dev *d, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    uint32_t pitch = svga_pitch(d);
    bool good = (uint64_t)x + w <= d->s.width && (uint64_t)y + h <= d->s.height && (uint64_t)pitch * d->s.height <= d->vram.size;
    if (!good)
        guest_error("svga", "The rectangle %u,%u %u x %u lies outside the framebuffer.", x, y, w, h);
    return good;
}

uint64_t fb_rect_copy(struct svga_dev *d, const uint32_t *a)
{
    uint32_t sx = a[0], sy = a[1], dx = a[2], dy = a[3], w = a[4], h = a[5], pitch = svga_pitch(d), bytes = (svga_depth(d) + 7) / 8;
    if (!w || !h || !fb_rect_ok(d, sx, sy, w, h) || !fb_rect_ok(d, dx, dy, w, h))
        return 0;
    for (uint32_t i = 0; i < h; i++) {
        uint32_t k = dy > sy ? h - 1 - i : i; /* downward copies go from the last line up */
        memmove(d->vram.host + (size_t)(dy + k) * pitch + (size_t)dx * bytes, d->vram.host + (size_t)(sy + k) * pitch + (size_t)sx * bytes, (size_t)w * bytes);
    }
    screen_update(d, dx, dy, w, h);
    return (uint64_t)w * bytes * h;
}

uint64_t fb_rect_fill(struct svga_dev *d, uint32_t color, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    uint32_t pitch = svga_pitch(d), bytes = (svga_depth(d) + 7) / 8;
    if (!w || !h || !fb_rect_ok(d, x, y, w, h))
        return 0;
    for (uint32_t i = 0; i < h; i++) {
        uint8_t *p = d->vram.host + (size_t)(y + i) * pitch + (size_t)x * bytes;
        for (uint32_t k = 0; k < w; k++)
            for (uint32_t n = 0; n < bytes; n++)
                *p++ = (uint8_t)(color >> (8 * n));
    }
    screen_update(d, x, y, w, h);
    return (uint64_t)w * bytes * h;
}
