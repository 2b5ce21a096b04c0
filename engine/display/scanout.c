/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is on the screen. A frame tick (only while somebody looks) takes the pages of video memory that were written since the last one,
 * decides by the registers which of the adapter's faces is shown, converts just the lines that changed, and tells the viewers.
 *
 * The tick runs every TICK_NS while things change and slows down to TICK_IDLE_NS; a register write or MMIO write brings it back.
 * With nobody looking it only runs to serve the command ring of old SVGA drivers, which post commands without a kick.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "display/svga_private.h"

enum { TICK_NS = 16000000, TICK_SLOW_NS = 33000000, TICK_IDLE_NS = 50000000, TICK_BLIND_NS = 100000000 };

static uint64_t dirty_words(const struct svga_dev *d) { return (d->vram.size / 4096 + 63) / 64; }

int scanout_init(struct svga_dev *d, struct err *e)
{
    d->so.dirty = calloc(dirty_words(d), sizeof(unsigned long));
    if (!d->so.dirty)
        return err_set(e, ERR_NOMEM, 0, "There is not enough memory for the display adapter.");
    d->so.full = true;
    d->so.cursor_y0 = -1;
    d->so.cursor_y1 = -2;
    vtimer_init(&d->so.tick, d->vm, scanout_tick, d);
    return 0;
}

void scanout_fini(struct svga_dev *d)
{
    vtimer_cancel(&d->so.tick);
    free(d->so.dirty);
    d->so.dirty = NULL;
}

static bool ring_live(const struct svga_dev *d) { return d->s.config_done && d->s.enable & 1; }

void scanout_arm(struct svga_dev *d)
{
    struct scanout *so = &d->so;
    if (!so->active) {
        if (!ring_live(d))
            return;
        so->active = true;
        vtimer_arm(&so->tick, clock_now(d->vm) + TICK_BLIND_NS);
        return;
    }
    if (so->idle <= 30)
        return;
    so->idle = 0;
    int64_t due = clock_now(d->vm) + TICK_NS;
    if (display_watched(d->display) && so->tick.due > due)
        vtimer_arm(&so->tick, due);
}

void scanout_full(struct svga_dev *d)
{
    d->so.full = true;
    scanout_arm(d);
}

void scanout_dirty(struct svga_dev *d, uint64_t off, uint64_t n)
{
    if (!n || off >= d->vram.size)
        return;
    uint64_t last = (n > d->vram.size - off ? d->vram.size : off + n) - 1;
    for (uint64_t p = off / 4096; p <= last / 4096; p++)
        d->so.dirty[p / 64] |= 1ul << (p % 64);
    scanout_arm(d);
}

static void choose_vga(const struct svga_dev *d, struct out_mode *o)
{
    const struct vga_state *v = &d->vga;
    struct vga_geometry g;
    vga_geometry(d, &g);
    if (g.width < 64 || g.height < 32) {
        /* The firmware has not set a mode yet. */
        *o = (struct out_mode){.kind = OUT_BLANK, .width = 720, .height = 400};
        return;
    }
    o->width = g.width;
    o->height = g.height;
    /* Palette address source, Screen Off, and the sequencer's reset bits blank the picture. */
    if (!(v->attr_index & 0x20) || v->seq[1] & 0x20 || (v->seq[0] & 3) != 3)
        o->kind = OUT_BLANK;
    else
        o->kind = g.text ? OUT_TEXT : OUT_GRAPHICS;
}

static void choose(const struct svga_dev *d, struct out_mode *o)
{
    memset(o, 0, sizeof *o);
    if (svga_visible(d) && d->s.screens_in_use) {
        screens_mode(d, o);
        return;
    }
    if (svga_visible(d)) {
        *o = (struct out_mode){.kind = OUT_LINEAR, .width = d->s.width, .height = d->s.height, .pitch = svga_pitch(d), .depth = svga_depth(d)};
    } else if (vbe_linear(d)) {
        const uint16_t *r = d->vbe.reg;
        unsigned bytes = (r[VBE_BPP] + 7u) / 8;
        *o = (struct out_mode){.kind = OUT_LINEAR, .width = r[VBE_XRES], .height = r[VBE_YRES], .pitch = vbe_pitch(d), .depth = r[VBE_BPP],
                               .offset = (uint64_t)r[VBE_Y_OFFSET] * vbe_pitch(d) + (uint64_t)r[VBE_X_OFFSET] * bytes};
    } else {
        choose_vga(d, o);
        return;
    }
    uint64_t line = (uint64_t)o->width * ((o->depth + 7) / 8);
    if (!o->width || !o->height || o->pitch < line || o->offset + (uint64_t)o->pitch * (o->height - 1) + line > d->vram.size) {
        /* Does not fit in video memory: nothing to show. */
        *o = (struct out_mode){.kind = OUT_BLANK, .width = 640, .height = 480};
        return;
    }
    o->direct = o->depth == 32 && o->offset % 4 == 0 && o->pitch % 4 == 0;
}

static bool mode_equal(const struct out_mode *a, const struct out_mode *b)
{
    return a->kind == b->kind && a->width == b->width && a->height == b->height && a->offset == b->offset && a->pitch == b->pitch &&
           a->depth == b->depth && a->direct == b->direct;
}

static void apply_mode(struct svga_dev *d)
{
    struct scanout *so = &d->so;
    struct out_mode o;
    choose(d, &o);
    if (mode_equal(&o, &so->out))
        return;
    struct err e;
    int r;
    if (o.direct) {
        struct surface sf = {.width = o.width, .height = o.height, .stride = o.pitch, .pixels = d->vram.host + o.offset, .fd = d->vram.fd,
                             .fd_off = o.offset, .fd_size = d->vram.size};
        r = display_set_mode_shared(d->display, &sf, &e);
    } else {
        r = display_set_mode(d->display, o.width, o.height, &e);
    }
    if (r) {
        guest_error("svga", "%s", e.msg);
        return;
    }
    so->out = o;
    so->full = true;
    so->has_blink = false;
    so->cursor_y0 = -1;
    so->cursor_y1 = -2;
    memset(so->blink_line, 0, sizeof so->blink_line);
}

static void convert_line(const struct svga_dev *d, uint32_t *out, const uint8_t *in)
{
    const struct out_mode *o = &d->so.out;
    uint32_t w = o->width, p;
    switch (o->depth) {
    case 8:
        for (uint32_t x = 0; x < w; x++)
            out[x] = d->so.rgb[in[x]];
        break;
    case 15:
        for (uint32_t x = 0; x < w; x++) {
            p = in[2 * x] | (uint32_t)in[2 * x + 1] << 8;
            out[x] = (p & 0x7c00) << 9 | (p & 0x7000) << 4 | (p & 0x3e0) << 6 | (p & 0x380) << 1 | (p & 0x1f) << 3 | (p & 0x1c) >> 2;
        }
        break;
    case 16:
        for (uint32_t x = 0; x < w; x++) {
            p = in[2 * x] | (uint32_t)in[2 * x + 1] << 8;
            out[x] = (p & 0xf800) << 8 | (p & 0xe000) << 3 | (p & 0x7e0) << 5 | (p & 0x600) >> 1 | (p & 0x1f) << 3 | (p & 0x1c) >> 2;
        }
        break;
    case 24:
        for (uint32_t x = 0; x < w; x++)
            out[x] = in[3 * x] | (uint32_t)in[3 * x + 1] << 8 | (uint32_t)in[3 * x + 2] << 16;
        break;
    default:
        memcpy(out, in, (size_t)w * 4);
        break;
    }
}

static void show_lines(struct svga_dev *d, uint32_t y0, uint32_t y1)
{
    const struct out_mode *o = &d->so.out;
    const struct surface *sf = display_surface(d->display);
    if (!o->direct)
        for (uint32_t y = y0; y <= y1; y++)
            convert_line(d, (uint32_t *)(void *)(sf->pixels + (size_t)y * sf->stride), d->vram.host + o->offset + (size_t)y * o->pitch);
    display_damage(d->display, 0, (int)y0, (int)o->width, (int)(y1 - y0 + 1));
}

static bool draw_linear(struct svga_dev *d)
{
    const struct out_mode *o = &d->so.out;
    if (d->so.full) {
        if (svga_visible(d))
            for (unsigned i = 0; i < 256; i++)
                d->so.rgb[i] = (uint32_t)d->s.palette[3 * i] << 16 | (uint32_t)d->s.palette[3 * i + 1] << 8 | d->s.palette[3 * i + 2];
        else
            vga_update_palette(d);
        show_lines(d, 0, o->height - 1);
        return true;
    }
    bool any = false;
    uint64_t end = o->offset + (uint64_t)o->pitch * o->height;
    uint64_t first = o->offset / 4096, last = (end - 1) / 4096;
    if (last >= d->vram.size / 4096)
        last = d->vram.size / 4096 - 1;
    uint32_t done = 0; /* lines below this one are shown already */
    for (uint64_t p = first; p <= last; p++) {
        if (p % 64 == 0 && !d->so.dirty[p / 64]) {
            p += 63;
            continue;
        }
        if (!scanout_page_dirty(d, p))
            continue;
        uint64_t a = p * 4096;
        while (p < last && scanout_page_dirty(d, p + 1))
            p++;
        uint64_t b = (p + 1) * 4096;
        uint32_t y0 = a <= o->offset ? 0 : (uint32_t)((a - o->offset) / o->pitch);
        uint32_t y1 = b >= end ? o->height - 1 : (uint32_t)((b - 1 - o->offset) / o->pitch);
        if (y0 < done)
            y0 = done;
        if (y1 >= y0 && y0 < o->height) {
            show_lines(d, y0, y1);
            done = y1 + 1;
            any = true;
        }
    }
    return any;
}

static void draw_blank(struct svga_dev *d)
{
    const struct surface *sf = display_surface(d->display);
    if (!d->so.full)
        return;
    for (uint32_t y = 0; y < sf->height; y++)
        memset(sf->pixels + (size_t)y * sf->stride, 0, (size_t)sf->width * 4);
    display_damage(d->display, 0, 0, (int)sf->width, (int)sf->height);
}

static void fetch_dirty(struct svga_dev *d)
{
    const struct cpu_backend *be = vm_backend(d->vm);
    if (be && be->sync_writes)
        be->sync_writes(d->vm);
    /* With what gmem_write noted (DMA). Nobody but the engine may clear bits: those that it sets belong to its right to go on writing unseen. */
    memblk_fetch_dirty(d->vm, &d->vram, d->so.dirty);
}

static void frame(struct svga_dev *d)
{
    struct scanout *so = &d->so;
    bool any = so->full;
    fetch_dirty(d);
    apply_mode(d);
    cursor_poll(d);
    display_set_blank(d->display, so->out.kind == OUT_BLANK || so->out.kind == OUT_NONE);
    switch (so->out.kind) {
    case OUT_NONE:
        break;
    case OUT_BLANK:
        draw_blank(d);
        break;
    case OUT_TEXT:
    case OUT_GRAPHICS:
        any |= vga_draw(d);
        break;
    case OUT_LINEAR:
        any |= draw_linear(d);
        break;
    case OUT_SCREENS:
        if (!so->out.direct && so->full)
            screens_compose(d);
        if (so->full)
            display_damage(d->display, 0, 0, (int)so->out.width, (int)so->out.height);
        break;
    }
    so->full = false;
    memset(so->dirty, 0, dirty_words(d) * sizeof *so->dirty);
    display_flush(d->display);
    if (any)
        so->idle = 0;
    else if (so->idle < 1000)
        so->idle++;
}

void scanout_tick(void *dev)
{
    struct svga_dev *d = dev;
    struct scanout *so = &d->so;
    if (ring_live(d) && fifo_pending(d))
        fifo_run(d);
    bool watched = display_watched(d->display);
    if (watched)
        frame(d);
    if (!watched && !ring_live(d)) {
        so->active = false;
        return;
    }
    int64_t wait = !watched ? TICK_BLIND_NS : so->idle <= 30 ? TICK_NS : so->idle <= 60 ? TICK_SLOW_NS : TICK_IDLE_NS;
    vtimer_arm(&so->tick, clock_now(d->vm) + wait);
}

/* A guest at rest is looked at TICK_IDLE_NS later only: too late for the echo of a key. */
void scanout_hurry(void *dev)
{
    struct svga_dev *d = dev;
    struct scanout *so = &d->so;
    int64_t due = clock_now(d->vm) + TICK_NS;
    so->idle = 0;
    if (so->active && so->tick.due > due)
        vtimer_arm(&so->tick, due);
}

void scanout_watched(void *dev, bool on)
{
    struct svga_dev *d = dev;
    if (!on)
        return; /* the next tick notices */
    d->so.full = true;
    d->so.idle = 0;
    d->so.active = true;
    scanout_tick(d);
}
