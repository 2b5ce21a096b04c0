/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IBM VGA: the registers (ports 3B0h-3BBh, 3C0h-3CFh, 3D0h-3DFh). Names and bits as in the IBM PS/2 Hardware Interface Technical Reference,
 * "Video Subsystem". Registers keep only the bits that the chip has. The beam is not simulated: its position, which programs see in Input
 * Status Register 1, is computed from the clock and the CRTC timing at the moment of the read.
 */
#include <string.h>

#include "base/log.h"
#include "display/svga_private.h"

static const uint8_t seq_mask[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gr_mask[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t attr_mask[32] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
                                      0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};
enum { CRTC_REGS = 0x19 };

void vga_reset(struct svga_dev *d)
{
    struct vga_state *v = &d->vga;
    uint8_t *mem = v->mem;
    memset(v, 0, sizeof *v);
    v->mem = mem;
    v->dac_mask = 0xff;
    v->enable = 1;
    v->misc = 1; /* colour addresses: what a guest without firmware expects */
}

/* Mode Control bit 2: the vertical counter runs at half the line rate, so its registers count pairs of lines. */
static unsigned line_pairs(const struct vga_state *v) { return v->crtc[0x17] & 4 ? 2 : 1; }

uint32_t vga_vertical_display(const struct vga_state *v)
{
    return ((v->crtc[0x12] | (v->crtc[7] & 0x02) << 7 | (v->crtc[7] & 0x40) << 3) + 1u) * line_pairs(v);
}

uint32_t vga_line_compare(const struct vga_state *v)
{
    uint32_t n = v->crtc[0x18] | (v->crtc[7] & 0x10) << 4 | (v->crtc[9] & 0x40) << 3;
    return n * line_pairs(v) + line_pairs(v) - 1;
}

void vga_get_timing(const struct svga_dev *d, struct vga_timing *t)
{
    const struct vga_state *v = &d->vga;
    unsigned cell = v->seq[1] & 1 ? 8 : 9;
    int64_t dot_hz = (v->misc >> 2 & 3) == 1 ? 28322000 : 25175000;
    if (v->seq[1] & 8)
        dot_hz /= 2;
    t->chars = v->crtc[0] + 5u;
    t->visible_chars = v->crtc[1] + 1u;
    t->lines = ((v->crtc[6] | (v->crtc[7] & 0x01) << 8 | (v->crtc[7] & 0x20) << 4) + 2u) * line_pairs(v);
    t->visible = vga_vertical_display(v);
    t->retrace_start = (v->crtc[0x10] | (v->crtc[7] & 0x04) << 6 | (v->crtc[7] & 0x80) << 2) * line_pairs(v);
    t->line_ns = (int64_t)t->chars * cell * 1000000000 / dot_hz;
    t->frame_ns = t->line_ns * t->lines;
    if (t->frame_ns < 8000000 || t->frame_ns > 30000000 || t->retrace_start >= t->lines || t->retrace_start < t->visible ||
        t->visible_chars >= t->chars) {
        /* No real mode is set (or a VBE or SVGA mode, which leaves part of the CRTC alone): 60 Hz with the proportions of 640 x 480. */
        *t = (struct vga_timing){.chars = 100, .visible_chars = 80, .lines = 525, .visible = 480, .retrace_start = 490, .line_ns = 31746};
        t->frame_ns = t->line_ns * t->lines;
        t->retrace_end = 492;
        return;
    }
    /* Vertical Retrace End compares the low four bits of the line counter. */
    unsigned len = (v->crtc[0x11] - v->crtc[0x10]) & 15;
    t->retrace_end = t->retrace_start + (len ? len : 16) * line_pairs(v);
}

/* Input Status Register 1: bit 0 = not displaying (either retrace or blank), bit 3 = vertical retrace. */
static uint8_t status1(struct svga_dev *d)
{
    struct vga_timing t;
    vga_get_timing(d, &t);
    int64_t pos = clock_now(d->vm) % t.frame_ns;
    uint32_t line = (uint32_t)(pos / t.line_ns);
    uint32_t chr = (uint32_t)(pos % t.line_ns * t.chars / t.line_ns);
    uint8_t r = 0;
    if (line >= t.visible || chr >= t.visible_chars)
        r |= 1;
    if (line >= t.retrace_start && line < t.retrace_end)
        r |= 9;
    return r;
}

static uint8_t crtc_read(struct vga_state *v)
{
    if (v->crtc_index < CRTC_REGS)
        return v->crtc[v->crtc_index];
    if (v->crtc_index == 0x22) /* the latch of the plane that Read Map Select names */
        return (uint8_t)(v->latch >> ((v->gr[4] & 3) * 8));
    if (v->crtc_index == 0x24)
        return (uint8_t)(v->attr_data << 7);
    return 0;
}

static void crtc_write(struct svga_dev *d, uint8_t val)
{
    struct vga_state *v = &d->vga;
    unsigned i = v->crtc_index;
    if (i >= CRTC_REGS)
        return;
    if (i <= 7 && v->crtc[0x11] & 0x80) {
        /* Protected, but for bit 8 of Line Compare. */
        if (i != 7)
            return;
        val = (uint8_t)((v->crtc[7] & ~0x10) | (val & 0x10));
    }
    if (v->crtc[i] == val)
        return;
    v->crtc[i] = val;
    /* The cursor's registers are looked at every tick; nothing else needs drawing for them. */
    if (i != 0x0a && i != 0x0b && i != 0x0e && i != 0x0f)
        scanout_full(d);
    else
        scanout_arm(d);
}

static void dac_commit(struct svga_dev *d)
{
    struct vga_state *v = &d->vga;
    uint8_t mask = d->vbe.reg[VBE_ENABLE] & VBE_8BIT_DAC ? 0xff : 0x3f;
    bool change = false;
    for (int i = 0; i < 3; i++) {
        uint8_t *p = &v->palette[v->dac_write * 3 + i], n = v->dac_cache[i] & mask;
        change |= *p != n;
        *p = n;
    }
    if (change)
        scanout_full(d);
}

static uint8_t port_read8(struct svga_dev *d, unsigned port)
{
    struct vga_state *v = &d->vga;
    uint8_t r;
    bool color = v->misc & 1;
    switch (port) {
    case 0x3b4:
    case 0x3b5:
    case 0x3ba:
        if (color)
            return 0xff;
        break;
    case 0x3d4:
    case 0x3d5:
    case 0x3da:
        if (!color)
            return 0xff;
        break;
    }
    switch (port) {
    case 0x3c0:
        return v->attr_index;
    case 0x3c1:
        return (v->attr_index & 0x1f) < 0x15 ? v->attr[v->attr_index & 0x1f] : 0;
    case 0x3c2:
        return 0x10; /* Input Status Register 0: a display is connected */
    case 0x3c3:
        return v->enable;
    case 0x3c4:
        return v->seq_index;
    case 0x3c5:
        return v->seq[v->seq_index & 7];
    case 0x3c6:
        return v->dac_mask;
    case 0x3c7:
        return v->dac_state;
    case 0x3c8:
        return v->dac_write;
    case 0x3c9:
        r = v->palette[v->dac_read * 3 + v->dac_sub];
        if (++v->dac_sub == 3) {
            v->dac_sub = 0;
            v->dac_read++;
        }
        return r;
    case 0x3ca:
        return v->feature;
    case 0x3cc:
        return v->misc;
    case 0x3ce:
        return v->gr_index;
    case 0x3cf:
        return v->gr[v->gr_index & 15];
    case 0x3b4:
    case 0x3d4:
        return v->crtc_index;
    case 0x3b5:
    case 0x3d5:
        return crtc_read(v);
    case 0x3ba:
    case 0x3da:
        v->attr_data = false;
        return status1(d);
    }
    return 0xff;
}

static void attr_write(struct svga_dev *d, uint8_t val)
{
    struct vga_state *v = &d->vga;
    if (!v->attr_data) {
        if ((v->attr_index ^ val) & 0x20) /* palette address source: the picture goes or comes */
            scanout_full(d);
        v->attr_index = val & 0x3f;
    } else {
        unsigned i = v->attr_index & 0x1f;
        val &= attr_mask[i];
        if (v->attr[i] != val) {
            v->attr[i] = val;
            scanout_full(d);
        }
    }
    v->attr_data = !v->attr_data;
}

static void port_write8(struct svga_dev *d, unsigned port, uint8_t val)
{
    struct vga_state *v = &d->vga;
    bool color = v->misc & 1;
    if ((port >> 4 == 0x3b && color) || (port >> 4 == 0x3d && !color))
        return;
    switch (port) {
    case 0x3c0:
        attr_write(d, val);
        break;
    case 0x3c2:
        if (v->misc != val) {
            v->misc = val;
            vga_mapping_changed(d);
            scanout_full(d);
        }
        break;
    case 0x3c3:
        v->enable = val & 1;
        break;
    case 0x3c4:
        v->seq_index = val & 7;
        break;
    case 0x3c5:
        val &= seq_mask[v->seq_index & 7];
        if (v->seq[v->seq_index & 7] != val) {
            v->seq[v->seq_index & 7] = val;
            if (v->seq_index == 2 || v->seq_index == 4)
                vga_mapping_changed(d);
            if (v->seq_index != 2) /* the map mask changes all the time and shows nothing */
                scanout_full(d);
        }
        break;
    case 0x3c6:
        if (v->dac_mask != val) {
            v->dac_mask = val;
            scanout_full(d);
        }
        break;
    case 0x3c7:
        v->dac_read = val;
        v->dac_sub = 0;
        v->dac_state = 3;
        break;
    case 0x3c8:
        v->dac_write = val;
        v->dac_sub = 0;
        v->dac_state = 0;
        break;
    case 0x3c9:
        v->dac_cache[v->dac_sub] = val;
        if (++v->dac_sub == 3) {
            dac_commit(d);
            v->dac_sub = 0;
            v->dac_write++;
        }
        break;
    case 0x3ce:
        v->gr_index = val & 15;
        break;
    case 0x3cf: {
        unsigned i = v->gr_index & 15;
        val &= gr_mask[i];
        if (v->gr[i] != val) {
            uint8_t change = v->gr[i] ^ val;
            v->gr[i] = val;
            if (i != 2 && i != 7)
                vga_mapping_changed(d);
            if ((i == 5 && change & 0x60) || (i == 6 && change & 1))
                scanout_full(d);
        }
        break;
    }
    case 0x3b4:
    case 0x3d4:
        v->crtc_index = val & 0x3f;
        break;
    case 0x3b5:
    case 0x3d5:
        crtc_write(d, val);
        break;
    case 0x3ba:
    case 0x3da:
        v->feature = val & 0x0b;
        break;
    }
}

/* Three ranges with one handler shape: the base port is the only difference. Words go to two neighbouring ports, low byte first. */
#define VGA_PORT_OPS(name, base)                                                         \
    static uint64_t name##_read(void *dev, uint64_t off, unsigned size)                  \
    {                                                                                    \
        uint64_t r = 0;                                                                  \
        for (unsigned i = 0; i < size; i++)                                              \
            r |= (uint64_t)port_read8(dev, (base) + (unsigned)off + i) << (8 * i);       \
        return r;                                                                        \
    }                                                                                    \
    static void name##_write(void *dev, uint64_t off, unsigned size, uint64_t val)       \
    {                                                                                    \
        for (unsigned i = 0; i < size; i++)                                              \
            port_write8(dev, (base) + (unsigned)off + i, (uint8_t)(val >> (8 * i)));     \
    }                                                                                    \
    static const struct io_ops name##_ops = {.read = name##_read, .write = name##_write, .widths = IO_8 | IO_16 | IO_32};
VGA_PORT_OPS(mono, 0x3b0)
VGA_PORT_OPS(main, 0x3c0)
VGA_PORT_OPS(color, 0x3d0)

int vga_ports_init(struct svga_dev *d, struct err *e)
{
    d->pr_vga_mono = (struct port_range){"vga", 0x3b0, 12, &mono_ops, d};
    d->pr_vga = (struct port_range){"vga", 0x3c0, 16, &main_ops, d};
    d->pr_vga_color = (struct port_range){"vga", 0x3d0, 16, &color_ops, d};
    if (port_claim(d->vm, &d->pr_vga_mono, e))
        return -1;
    if (port_claim(d->vm, &d->pr_vga, e))
        goto fail_mono;
    if (port_claim(d->vm, &d->pr_vga_color, e))
        goto fail_vga;
    return 0;
fail_vga:
    port_release(d->vm, &d->pr_vga);
fail_mono:
    port_release(d->vm, &d->pr_vga_mono);
    return -1;
}
