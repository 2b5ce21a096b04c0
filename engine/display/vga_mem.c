/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VGA's windows into video memory (A0000h-BFFFFh): the graphics controller's read and write modes on four planes, chain-4, odd/even.
 *
 * Where the window is plain memory (chain-4 with nothing in the way, or a bank of a VBE mode) it becomes a RAM region, so that guest accesses
 * cost nothing. It becomes so only when the registers have been left alone for REMAP_NS, because a program that changes them for every
 * byte would otherwise change the memory map as often; it stops being so at once.
 */
#include "base/log.h"
#include "core/vm.h"
#include "display/svga_private.h"

enum { REMAP_NS = 500000 };

/* Expands a mask of planes to the bytes of a dword. */
static inline uint32_t plane_bytes(unsigned planes)
{
    uint32_t m = (planes & 1) | (planes & 2) << 7 | (planes & 4) << 14 | (planes & 8) << 21;
    return m * 0xff;
}

static inline uint32_t repeat(uint8_t b) { return b * 0x01010101u; }

/* Offset in the selected window (Miscellaneous Graphics Register bits 3:2), or false when the address is outside it. */
static bool window_offset(const struct vga_state *v, uint64_t off, uint32_t *out)
{
    if (!(v->misc & 2)) /* RAM disabled */
        return false;
    switch (v->gr[6] >> 2 & 3) {
    case 0:
        *out = (uint32_t)off;
        return true;
    case 1:
        *out = (uint32_t)off;
        return off < 0x10000;
    case 2:
        *out = (uint32_t)off - 0x10000;
        return off >= 0x10000 && off < 0x18000;
    default:
        *out = (uint32_t)off - 0x18000;
        return off >= 0x18000;
    }
}

static inline uint32_t *dword_at(const struct svga_dev *d, uint64_t index)
{
    return (uint32_t *)(void *)(d->vram.host + ((index * 4) & (d->vram.size - 1)));
}

/* First dword of the window: 0, or the bank of a planar VBE mode. */
static inline uint64_t plane_base(const struct svga_dev *d)
{
    return vbe_enabled(d) ? vbe_bank_offset(d) : 0;
}

static uint8_t window_read8(struct svga_dev *d, uint64_t off)
{
    struct vga_state *v = &d->vga;
    uint32_t a;
    if (!window_offset(v, off, &a))
        return 0xff;
    if (vbe_linear(d))
        return d->vram.host[(vbe_bank_offset(d) + (a & 0xffff)) & (d->vram.size - 1)];
    if (v->seq[4] & 8) { /* chain-4: the two low address bits select the plane */
        v->latch = *dword_at(d, plane_base(d) + ((a & 0xffff) >> 2));
        return (uint8_t)(v->latch >> ((a & 3) * 8));
    }
    unsigned plane = v->gr[4] & 3;
    if (v->gr[5] & 0x10) /* odd/even: address bit 0 is the low bit of the plane */
        plane = (plane & 2) | (a & 1);
    if (v->gr[6] & 2)
        a &= ~1u;
    v->latch = *dword_at(d, plane_base(d) + (a & 0xffff));
    if (!(v->gr[5] & 8))
        return (uint8_t)(v->latch >> (plane * 8));
    /* Read mode 1: compare with the colour on the planes that matter. */
    uint32_t diff = (v->latch ^ plane_bytes(v->gr[2])) & plane_bytes(v->gr[7]);
    diff |= diff >> 16;
    return (uint8_t)~(diff | diff >> 8);
}

static void window_write8(struct svga_dev *d, uint64_t off, uint8_t val)
{
    struct vga_state *v = &d->vga;
    uint32_t a;
    if (!window_offset(v, off, &a))
        return;
    if (vbe_linear(d)) {
        uint64_t p = (vbe_bank_offset(d) + (a & 0xffff)) & (d->vram.size - 1);
        d->vram.host[p] = val;
        scanout_dirty(d, p, 1);
        return;
    }
    unsigned planes = v->seq[2];
    if (v->seq[4] & 8) {
        planes &= 1u << (a & 3);
        a = (a & 0xffff) >> 2;
    } else {
        if (!(v->seq[4] & 4)) /* odd/even: even addresses go to planes 0 and 2, odd ones to 1 and 3 */
            planes &= a & 1 ? 0xa : 0x5;
        if (v->gr[6] & 2)
            a &= ~1u;
        a &= 0xffff;
    }
    if (!planes)
        return;

    uint32_t data, bits = repeat(v->gr[8]);
    unsigned rot = v->gr[3] & 7;
    uint8_t rotated = (uint8_t)(val >> rot | val << (8 - rot));
    unsigned function = v->gr[3] >> 3 & 3;
    switch (v->gr[5] & 3) {
    case 0: {
        uint32_t enable = plane_bytes(v->gr[1]);
        data = (repeat(rotated) & ~enable) | (plane_bytes(v->gr[0]) & enable);
        break;
    }
    case 1: /* the latches, as they are */
        data = v->latch;
        bits = ~0u;
        function = 0;
        break;
    case 2: /* the low four bits are a colour */
        data = plane_bytes(val & 15);
        break;
    default: /* the data is one more bit mask, the colour comes from Set/Reset */
        bits &= repeat(rotated);
        data = plane_bytes(v->gr[0]);
        break;
    }
    switch (function) {
    case 1:
        data &= v->latch;
        break;
    case 2:
        data |= v->latch;
        break;
    case 3:
        data ^= v->latch;
        break;
    }
    data = (data & bits) | (v->latch & ~bits);
    uint32_t mask = plane_bytes(planes);
    uint64_t index = plane_base(d) + a;
    uint32_t *p = dword_at(d, index), old = *p, now = (old & ~mask) | (data & mask);
    if (now == old)
        return;
    *p = now;
    scanout_dirty(d, (index * 4) & (d->vram.size - 1), 4);
    /* A font lives in plane 2: one changed byte can change every cell. */
    if (planes & 4 && !(v->gr[6] & 1))
        scanout_full(d);
}

static uint64_t window_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < size; i++)
        r |= (uint64_t)window_read8(dev, off + i) << (8 * i);
    return r;
}

static void window_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    for (unsigned i = 0; i < size; i++)
        window_write8(dev, off + i, (uint8_t)(val >> (8 * i)));
}

const struct io_ops vga_window_ops = {.read = window_read, .write = window_write, .widths = IO_8 | IO_16 | IO_32 | IO_64, .flags = IOF_LATE};

/* May A0000h-AFFFFh be plain memory, and which? */
static bool window_linear(const struct svga_dev *d, uint64_t *off)
{
    const struct vga_state *v = &d->vga;
    if (!(v->misc & 2) || (v->gr[6] >> 2 & 3) > 1)
        return false;
    if (vbe_linear(d)) {
        *off = vbe_bank_offset(d);
        return *off + 0x10000 <= d->vram.size;
    }
    *off = 0;
    return !vbe_enabled(d) && v->seq[4] & 8 && (v->seq[2] & 15) == 15 && !(v->gr[5] & 0x0b) && !v->gr[3] && v->gr[8] == 0xff && !(v->gr[1] & 15);
}

static void window_map(struct svga_dev *d, bool linear, uint64_t off)
{
    if (d->linear_mr.enabled == linear && (!linear || d->linear_mr.blk_off == off))
        return;
    memmap_begin(d->vm);
    if (linear && d->linear_mr.blk_off != off) {
        memmap_remove(d->vm, &d->linear_mr);
        d->linear_mr.blk_off = off;
        d->linear_mr.enabled = true;
        memmap_add(d->vm, &d->linear_mr);
    } else {
        d->linear_mr.enabled = linear;
    }
    struct err e;
    if (memmap_commit(d->vm, &e))
        log_msg(LOG_ERROR, "vga", "The VGA window could not be mapped: %s", e.msg);
}

void vga_mapping_now(struct svga_dev *d)
{
    uint64_t off = 0;
    vtimer_cancel(&d->remap);
    bool linear = window_linear(d, &off);
    window_map(d, linear, off);
}

void vga_mapping_changed(struct svga_dev *d)
{
    uint64_t off = 0;
    bool linear = window_linear(d, &off);
    if (linear == d->linear_mr.enabled && (!linear || off == d->linear_mr.blk_off)) {
        vtimer_cancel(&d->remap);
        return;
    }
    if (d->linear_mr.enabled)
        window_map(d, false, 0);
    if (linear)
        vtimer_arm(&d->remap, clock_now(d->vm) + REMAP_NS);
}

void vga_mapping_timer(void *dev) { vga_mapping_now(dev); }
