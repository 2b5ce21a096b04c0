/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VGA's picture: the CRTC's address generation line by line (start address, offset, preset row scan, byte and pel panning, line compare,
 * double scanning, word and doubleword addressing, the CGA row-scan address bits) and the shift registers for graphics.
 *
 * The surface shows every dot and scan line that a monitor would show: mode 13h is 640 x 400 on it, 80-column text 720 x 400.
 * Limits: no interlace, and the address counter advances once a character clock (Count By Two and Four are for shift registers loaded
 * every second or fourth clock, which gives the same picture).
 */
#include <string.h>

#include "display/svga_private.h"

enum { MAX_DOTS = 8192 + 64 };

/* 6-bit (or, by VBE, 8-bit) DAC entries as pixels, and the 16 colours that the attribute controller makes of them. */
void vga_update_palette(struct svga_dev *d)
{
    const struct vga_state *v = &d->vga;
    struct scanout *so = &d->so;
    bool wide = d->vbe.reg[VBE_ENABLE] & VBE_8BIT_DAC;
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t *p = &v->palette[(i & v->dac_mask) * 3];
        uint32_t c[3];
        for (int k = 0; k < 3; k++)
            c[k] = wide ? p[k] : (uint32_t)(p[k] << 2 | p[k] >> 4);
        so->rgb[i] = c[0] << 16 | c[1] << 8 | c[2];
    }
    for (unsigned i = 0; i < 16; i++) {
        /* Color Plane Enable, palette register, then the Color Select Register for the bits that the palette does not give. */
        unsigned p = v->attr[i & v->attr[0x12]];
        if (v->attr[0x10] & 0x80)
            p = (p & 0x0f) | (v->attr[0x14] & 3) << 4;
        p = (p & 0x3f) | (v->attr[0x14] & 0x0c) << 4;
        so->rgb16[i] = so->rgb[p];
    }
}

/* A VBE mode of 4 bits per pixel: VGA planes, but size and addresses by the VBE registers. */
static bool vbe_planar(const struct svga_dev *d) { return vbe_enabled(d) && !vbe_linear(d); }

void vga_geometry(const struct svga_dev *d, struct vga_geometry *g)
{
    const struct vga_state *v = &d->vga;
    *g = (struct vga_geometry){.text = !(v->gr[6] & 1), .twice = v->seq[1] & 8, .cell = 8, .vram_mask = VGA_PLANES_SIZE / 4 - 1};
    if (vbe_planar(d)) {
        g->text = g->twice = false;
        g->columns = d->vbe.reg[VBE_XRES] / 8;
        g->height = d->vbe.reg[VBE_YRES];
        g->vram_mask = (uint32_t)(d->vram.size / 4 - 1);
    } else {
        g->columns = v->crtc[1] + 1u;
        g->height = vga_vertical_display(v);
        if (g->text && !(v->seq[1] & 1))
            g->cell = 9;
    }
    if (g->columns == 0)
        g->columns = 1;
    if (g->height > DISPLAY_MAX_LINES)
        g->height = DISPLAY_MAX_LINES;
    g->width = g->columns * g->cell * (g->twice ? 2 : 1);
}

uint32_t vga_address(const struct svga_dev *d, uint32_t counter, uint32_t row)
{
    const struct vga_state *v = &d->vga;
    if (vbe_planar(d))
        return counter & (uint32_t)(d->vram.size / 4 - 1);
    uint32_t a = counter & 0xffff;
    if (v->seq[4] & 8 && v->gr[5] & 0x40)
        ; /* chain-4 storage is linear here (invariant 1), so the doubleword counter is a dword index already */
    else if (v->crtc[0x14] & 0x40)
        a = (a << 2 | (a >> 12 & 3)) & 0xffff;
    else if (!(v->crtc[0x17] & 0x40))
        a = (a << 1 | ((a >> (v->crtc[0x17] & 0x20 ? 15 : 13)) & 1)) & 0xffff;
    /* Mode Control bits 0 and 1 clear: the row scan counter drives address lines 13 and 14 (CGA and Hercules layouts). */
    if (!(v->crtc[0x17] & 1))
        a = (a & ~0x2000u) | (row & 1) << 13;
    if (!(v->crtc[0x17] & 2))
        a = (a & ~0x4000u) | (row >> 1 & 1) << 14;
    return a;
}

static void graphics_line(struct svga_dev *d, const struct vga_geometry *g, const struct vga_line *l)
{
    const struct vga_state *v = &d->vga;
    const struct scanout *so = &d->so;
    const uint32_t *mem = (const uint32_t *)(const void *)d->vram.host;
    uint32_t dots[MAX_DOTS], *o = dots;
    unsigned columns = g->columns + (l->pan != 0);
    if (columns > MAX_DOTS / 8)
        columns = MAX_DOTS / 8;
    for (unsigned c = 0; c < columns; c++) {
        uint32_t w = mem[vga_address(d, l->addr + c, l->row) & g->vram_mask];
        if (v->gr[5] & 0x40 && !vbe_planar(d)) { /* 256 colours: a pixel lasts two dots */
            for (int i = 0; i < 4; i++, w >>= 8)
                *o++ = so->rgb[w & 0xff], o[0] = o[-1], o++;
        } else if (v->gr[5] & 0x20 && !vbe_planar(d)) { /* shift registers interleaved: planes 0 and 2, then 1 and 3, two bits each */
            for (int half = 0; half < 2; half++)
                for (int i = 6; i >= 0; i -= 2)
                    *o++ = so->rgb16[(w >> (half * 8 + i) & 3) | (w >> (half * 8 + 16 + i) & 3) << 2];
        } else {
            for (int i = 7; i >= 0; i--) {
                uint32_t t = w >> i & 0x01010101u;
                *o++ = so->rgb16[(t | t >> 7 | t >> 14 | t >> 21) & 15];
            }
        }
    }
    const uint32_t *in = dots + (l->pan & 7);
    if (!g->twice) {
        memcpy(l->out, in, l->width * 4);
        return;
    }
    for (uint32_t x = 0; x + 1 < l->width; x += 2)
        l->out[x] = l->out[x + 1] = in[x / 2];
}

/* Has any byte that this line shows been written? */
static bool line_dirty(const struct svga_dev *d, const struct vga_geometry *g, const struct vga_line *l)
{
    uint64_t a = vga_address(d, l->addr, l->row) & g->vram_mask, b = vga_address(d, l->addr + g->columns, l->row) & g->vram_mask;
    if (b < a) {
        /* The counter wrapped on this line: look at both ends. */
        for (uint64_t p = a / 1024; p <= g->vram_mask / 1024; p++)
            if (scanout_page_dirty(d, p))
                return true;
        a = 0;
    }
    for (uint64_t p = a / 1024; p <= b / 1024; p++)
        if (scanout_page_dirty(d, p))
            return true;
    return false;
}

/* The scan line counter's state from line to line. */
struct crtc_scan {
    uint32_t addr, row, pan, y, second;
};

static void scan_start(const struct svga_dev *d, const struct vga_geometry *g, struct crtc_scan *s)
{
    const struct vga_state *v = &d->vga;
    *s = (struct crtc_scan){0};
    if (vbe_planar(d)) {
        s->addr = d->vbe.reg[VBE_Y_OFFSET] * vbe_pitch(d) + d->vbe.reg[VBE_X_OFFSET] / 8;
        s->pan = d->vbe.reg[VBE_X_OFFSET] & 7;
        return;
    }
    s->addr = (uint32_t)(v->crtc[0x0c] << 8 | v->crtc[0x0d]) + (v->crtc[8] >> 5 & 3);
    s->row = v->crtc[8] & 0x1f;
    unsigned p = v->attr[0x13];
    if (g->text && g->cell == 9)
        s->pan = p >= 8 ? 0 : p + 1; /* 9-dot cells: 8 means no shift, 0 one dot */
    else
        s->pan = p & 7;
}

static void scan_next(const struct svga_dev *d, struct crtc_scan *s)
{
    const struct vga_state *v = &d->vga;
    uint32_t y = s->y++;
    if (vbe_planar(d)) {
        s->addr += vbe_pitch(d);
        return;
    }
    if (y == vga_line_compare(v)) {
        /* The lower part of a split screen starts at address 0; Pixel Panning Compatibility stops its panning. */
        s->addr = s->row = s->second = 0;
        if (v->attr[0x10] & 0x20)
            s->pan = 0;
        return;
    }
    if (v->crtc[9] & 0x80 && !s->second) {
        s->second = 1;
        return;
    }
    s->second = 0;
    if (s->row == (v->crtc[9] & 0x1fu)) {
        s->row = 0;
        s->addr = (s->addr + v->crtc[0x13] * 2u) & 0xffff;
    } else {
        s->row = (s->row + 1) & 0x1f;
    }
}

bool vga_draw(struct svga_dev *d)
{
    struct vga_geometry g;
    struct scanout *so = &d->so;
    const struct surface *sf = display_surface(d->display);
    vga_geometry(d, &g);
    if (so->full)
        vga_update_palette(d);

    const struct vga_state *v = &d->vga;
    struct vga_timing t;
    vga_get_timing(d, &t);
    /* The cursor blinks with 16 frames to a period, characters with 32 (IBM VGA, Cursor Start and Attribute Mode Control). */
    int64_t frame = clock_now(d->vm) / t.frame_ns;
    bool cursor_phase = !(frame & 8), blink_phase = !(frame & 16);
    bool blink_turn = so->has_blink && blink_phase != so->blink_phase;
    so->blink_phase = blink_phase;

    uint32_t cursor_at = (uint32_t)(v->crtc[0x0e] << 8 | v->crtc[0x0f]) + (v->crtc[0x0b] >> 5 & 3);
    uint32_t cursor_first = v->crtc[0x0a] & 0x1f, cursor_last = v->crtc[0x0b] & 0x1f;
    bool cursor_on = g.text && !(v->crtc[0x0a] & 0x20) && cursor_phase && cursor_first <= cursor_last;

    uint64_t cursor_key = cursor_on ? 1ull << 32 | cursor_at << 16 | cursor_first << 8 | cursor_last : 0;
    bool cursor_turn = cursor_key != so->cursor_key;
    so->cursor_key = cursor_key;

    int cur_y0 = -1, cur_y1 = -1, band = -1;
    bool any = false, has_blink = false;
    struct crtc_scan s, prev = {0};
    scan_start(d, &g, &s);
    uint32_t stride = sf->stride / 4, height = g.height < sf->height ? g.height : sf->height;
    for (; s.y < height; scan_next(d, &s)) {
        struct vga_line l = {.out = (uint32_t *)(void *)sf->pixels + (size_t)s.y * stride, .width = g.width < sf->width ? g.width : sf->width,
                             .addr = s.addr, .row = s.row, .pan = s.pan};
        /* Cursor location is compared with the counter of the character row, so only rows that hold it are drawn again. */
        l.cursor = cursor_on && s.row >= cursor_first && s.row <= cursor_last && ((cursor_at - s.addr) & 0xffff) < g.columns + 1;
        bool draw = so->full || line_dirty(d, &g, &l) || (blink_turn && so->blink_line[s.y]);
        if (l.cursor) {
            if (cur_y0 < 0)
                cur_y0 = (int)s.y;
            cur_y1 = (int)s.y;
        }
        draw |= cursor_turn && (l.cursor || ((int)s.y >= so->cursor_y0 && (int)s.y <= so->cursor_y1));
        if (draw) {
            if (g.text) {
                so->blink_line[s.y] = vga_text_line(d, &g, &l);
            } else if (s.y && band >= 0 && prev.addr == s.addr && prev.row == s.row && prev.pan == s.pan) {
                memcpy(l.out, l.out - stride, l.width * 4); /* double scanning */
            } else {
                graphics_line(d, &g, &l);
            }
            if (band < 0)
                band = (int)s.y;
        } else if (band >= 0) {
            display_damage(d->display, 0, band, (int)l.width, (int)s.y - band);
            band = -1;
            any = true;
        }
        has_blink |= g.text && so->blink_line[s.y];
        prev = s;
    }
    if (band >= 0) {
        display_damage(d->display, 0, band, (int)g.width, (int)height - band);
        any = true;
    }
    so->cursor_y0 = cur_y0;
    so->cursor_y1 = cur_y1 < 0 ? -2 : cur_y1;
    so->has_blink = has_blink;
    return any;
}
