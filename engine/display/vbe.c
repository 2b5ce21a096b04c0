/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Bochs VBE registers ("VBE DISPI", ports 1CEh index and 1CFh data, 16 bits), interface versions B0C0h to B0C5h, as the VGA BIOS of SeaBIOS
 * drives them: modes of 4 (planar), 8, 15, 16, 24 and 32 bits per pixel, a 64 KiB bank at A0000h or the linear framebuffer (BAR1 of the
 * adapter), a virtual screen with an offset, 8-bit DAC.
 */
#include <string.h>

#include "display/svga_private.h"

enum { DISPI_ID0 = 0xb0c0, DISPI_ID5 = 0xb0c5 };

void vbe_reset(struct svga_dev *d)
{
    memset(&d->vbe, 0, sizeof d->vbe);
    d->vbe.reg[VBE_ID] = DISPI_ID5;
}

bool vbe_enabled(const struct svga_dev *d) { return d->vbe.reg[VBE_ENABLE] & VBE_ENABLED; }
bool vbe_linear(const struct svga_dev *d) { return vbe_enabled(d) && d->vbe.reg[VBE_BPP] > 4; }

static uint32_t bytes_for(const struct svga_dev *d, uint32_t pixels)
{
    unsigned bpp = d->vbe.reg[VBE_BPP];
    if (bpp == 4)
        return pixels / 8;
    return pixels * ((bpp + 7) / 8);
}

uint32_t vbe_pitch(const struct svga_dev *d) { return bytes_for(d, d->vbe.reg[VBE_VIRT_WIDTH]); }

/* A bank is 64 KiB as the CPU sees it; in a planar mode every address of it stands for four bytes. */
uint64_t vbe_bank_offset(const struct svga_dev *d) { return (uint64_t)d->vbe.reg[VBE_BANK] << 16; }

static uint64_t memory(const struct svga_dev *d) { return d->vbe.reg[VBE_BPP] == 4 ? d->vram.size / 4 : d->vram.size; }

static bool bpp_valid(unsigned bpp) { return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32; }

/* The virtual height follows from the memory; the offsets must leave the whole screen inside. */
static void set_virtual(struct svga_dev *d, uint32_t width)
{
    uint16_t *r = d->vbe.reg;
    uint32_t lim = (uint32_t)(d->vbe.reg[VBE_BPP] == 4 ? 65528 : 65535 / ((r[VBE_BPP] + 7) / 8));
    if (width > lim)
        width = lim;
    if (width < r[VBE_XRES])
        width = r[VBE_XRES];
    if (r[VBE_BPP] == 4)
        width = (width + 7) & ~7u;
    uint32_t pitch = bytes_for(d, width);
    if (!pitch || memory(d) / pitch < r[VBE_YRES])
        return;
    r[VBE_VIRT_WIDTH] = (uint16_t)width;
    r[VBE_VIRT_HEIGHT] = (uint16_t)(memory(d) / pitch > 0xffff ? 0xffff : memory(d) / pitch);
    r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
}

static void set_enable(struct svga_dev *d, uint16_t val)
{
    uint16_t *r = d->vbe.reg;
    bool was = vbe_enabled(d);
    if (val & VBE_ENABLED && !was) {
        uint32_t pitch = bytes_for(d, r[VBE_XRES]);
        if (!r[VBE_XRES] || !r[VBE_YRES] || !bpp_valid(r[VBE_BPP]) || !pitch || memory(d) / pitch < r[VBE_YRES])
            val &= (uint16_t)~VBE_ENABLED; /* no such mode: stays off, and reads back as off */
        else {
            set_virtual(d, r[VBE_XRES]);
            if (r[VBE_VIRT_WIDTH] < r[VBE_XRES])
                val &= (uint16_t)~VBE_ENABLED;
        }
        r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = r[VBE_BANK] = 0;
        if (val & VBE_ENABLED && !(val & VBE_NOCLEARMEM)) {
            uint64_t n = (uint64_t)pitch * r[VBE_YRES] * (r[VBE_BPP] == 4 ? 4 : 1);
            memset(d->vram.host, 0, n);
            scanout_dirty(d, 0, n);
        }
    } else if (!(val & VBE_ENABLED)) {
        r[VBE_BANK] = 0;
        val &= (uint16_t)~VBE_8BIT_DAC;
    }
    r[VBE_ENABLE] = val & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB_ENABLED | VBE_NOCLEARMEM);
    vga_mapping_changed(d);
    scanout_full(d);
}

static uint16_t data_read(struct svga_dev *d)
{
    unsigned i = d->vbe.index;
    if (d->vbe.reg[VBE_ENABLE] & VBE_GETCAPS) {
        if (i == VBE_XRES)
            return (uint16_t)d->max_width;
        if (i == VBE_YRES)
            return (uint16_t)d->max_height;
        if (i == VBE_BPP)
            return 32;
    }
    if (i == VBE_MEMORY)
        return (uint16_t)(d->vram.size >> 16);
    return i < VBE_NREGS ? d->vbe.reg[i] : 0;
}

static void data_write(struct svga_dev *d, uint16_t val)
{
    uint16_t *r = d->vbe.reg;
    switch (d->vbe.index) {
    case VBE_ID:
        if (val >= DISPI_ID0 && val <= DISPI_ID5)
            r[VBE_ID] = val;
        break;
    case VBE_XRES:
        if (!vbe_enabled(d) && val <= d->max_width)
            r[VBE_XRES] = val;
        break;
    case VBE_YRES:
        if (!vbe_enabled(d) && val <= d->max_height)
            r[VBE_YRES] = val;
        break;
    case VBE_BPP:
        if (!val)
            val = 8; /* as the first interface version had it */
        if (!vbe_enabled(d) && bpp_valid(val))
            r[VBE_BPP] = val;
        break;
    case VBE_ENABLE:
        set_enable(d, val);
        break;
    case VBE_BANK:
        if (((uint64_t)val << 16) < memory(d) && val != r[VBE_BANK]) {
            r[VBE_BANK] = val;
            /* At once, without the pause that other registers get: the next access goes to the new bank. */
            vga_mapping_now(d);
        }
        break;
    case VBE_VIRT_WIDTH:
        if (vbe_enabled(d)) {
            set_virtual(d, val);
            scanout_full(d);
        }
        break;
    case VBE_X_OFFSET:
        if (vbe_enabled(d) && (uint32_t)val + r[VBE_XRES] <= r[VBE_VIRT_WIDTH]) {
            r[VBE_X_OFFSET] = val;
            scanout_full(d);
        }
        break;
    case VBE_Y_OFFSET:
        if (vbe_enabled(d) && (uint32_t)val + r[VBE_YRES] <= r[VBE_VIRT_HEIGHT]) {
            r[VBE_Y_OFFSET] = val;
            scanout_full(d);
        }
        break;
    }
}

/* Offset 0 is the index; the data port is at offset 1 (1CFh) and, for machines that want it aligned, at 2 (1D0h). */
static uint64_t vbe_read(void *dev, uint64_t off, unsigned size)
{
    struct svga_dev *d = dev;
    return off == 0 ? d->vbe.index : data_read(d);
}

static void vbe_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct svga_dev *d = dev;
    if (off == 0)
        d->vbe.index = (uint16_t)val;
    else
        data_write(d, (uint16_t)val);
}

static const struct io_ops vbe_ops = {.read = vbe_read, .write = vbe_write, .widths = IO_8 | IO_16 | IO_32};

int vbe_ports_init(struct svga_dev *d, struct err *e)
{
    d->pr_vbe = (struct port_range){"vbe", 0x1ce, 3, &vbe_ops, d};
    return port_claim(d->vm, &d->pr_vbe, e);
}
