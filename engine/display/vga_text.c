/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VGA text: one scan line of character cells. Character code in plane 0, attribute in plane 1, glyphs in plane 2 (two sets of 256, chosen by
 * attribute bit 3), as in the IBM VGA "Alphanumeric Modes" and "RAM Loadable Character Generator".
 */
#include "display/svga_private.h"

/* Character Map Select: three bits name one of eight 8 KiB tables, in the order in which the EGA's four came first. */
static uint32_t font_base(unsigned sel) { return (sel & 3) * 0x4000u + (sel & 4 ? 0x2000u : 0); }

bool vga_text_line(struct svga_dev *d, const struct vga_geometry *g, const struct vga_line *l)
{
    const struct vga_state *v = &d->vga;
    const struct scanout *so = &d->so;
    const uint32_t *mem = (const uint32_t *)(const void *)d->vram.host;
    uint32_t font[2] = {font_base((v->seq[3] & 3) | (v->seq[3] >> 2 & 4)), font_base((v->seq[3] >> 2 & 3) | (v->seq[3] >> 3 & 4))};
    uint32_t cursor_at = (uint32_t)(v->crtc[0x0e] << 8 | v->crtc[0x0f]) + (v->crtc[0x0b] >> 5 & 3);
    bool blink_on = v->attr[0x10] & 8, line_graphics = v->attr[0x10] & 4, blinks = false;
    unsigned rep = g->twice ? 2 : 1;
    uint32_t *o = l->out, *end = l->out + l->width;
    int skip = (int)l->pan;
    for (unsigned c = 0; o < end; c++) {
        uint32_t w = mem[vga_address(d, l->addr + c, l->row) & g->vram_mask];
        unsigned ch = w & 0xff, attr = w >> 8 & 0xff, fg = attr & 15, bg = attr >> 4;
        unsigned bits = mem[(font[attr >> 3 & 1] + ch * 32 + l->row) & (VGA_PLANES_SIZE / 4 - 1)] >> 16 & 0xff;
        if (blink_on) {
            if (bg & 8) {
                blinks = true;
                if (!so->blink_phase)
                    fg = bg & 7;
            }
            bg &= 7;
        }
        if (l->row == (v->crtc[0x14] & 0x1fu) && (attr & 7) == 1)
            bits = 0xff;
        /* The ninth dot is background, but for C0h-DFh with Line Graphics Enable, where it repeats the eighth. */
        unsigned dots = bits << 1;
        if (g->cell == 9 && ((line_graphics && ch >= 0xc0 && ch <= 0xdf) || (l->row == (v->crtc[0x14] & 0x1fu) && (attr & 7) == 1)))
            dots |= bits & 1;
        if (l->cursor && ((l->addr + c) & 0xffff) == (cursor_at & 0xffff)) {
            dots = 0x1ff;
            fg = attr & 15; /* the cursor does not blink with its character */
        }
        uint32_t fore = so->rgb16[fg], back = so->rgb16[bg];
        for (unsigned i = 0; i < g->cell; i++) {
            if (skip > 0) {
                skip--;
                continue;
            }
            uint32_t p = dots & (0x100u >> i) ? fore : back;
            for (unsigned k = 0; k < rep && o < end; k++)
                *o++ = p;
        }
    }
    return blinks;
}
