/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware SVGA II (15ad:0405): the PCI function and the registers behind its index and value ports (BAR0). BAR1 is video memory, BAR2 the command
 * ring. Register names and numbers are those of VMware's SVGA device interface. A 2D device: no 3D, no guest-backed objects, no command
 * buffers; screen objects, guest memory regions (both kinds), fences with interrupts and alpha cursors are there.
 */
#include "display/svga.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/osmem.h"
#include "core/vm.h"
#include "display/svga_private.h"

enum {
    REG_ID, REG_ENABLE, REG_WIDTH, REG_HEIGHT, REG_MAX_WIDTH, REG_MAX_HEIGHT, REG_DEPTH, REG_BITS_PER_PIXEL, REG_PSEUDOCOLOR, REG_RED_MASK,
    REG_GREEN_MASK, REG_BLUE_MASK, REG_BYTES_PER_LINE, REG_FB_START, REG_FB_OFFSET, REG_VRAM_SIZE, REG_FB_SIZE, REG_CAPABILITIES,
    REG_MEM_START, REG_MEM_SIZE, REG_CONFIG_DONE, REG_SYNC, REG_BUSY, REG_GUEST_ID, REG_CURSOR_ID, REG_CURSOR_X, REG_CURSOR_Y, REG_CURSOR_ON,
    REG_HOST_BITS_PER_PIXEL, REG_SCRATCH_SIZE, REG_MEM_REGS, REG_NUM_DISPLAYS, REG_PITCHLOCK, REG_IRQMASK, REG_NUM_GUEST_DISPLAYS,
    REG_DISPLAY_ID, REG_DISPLAY_IS_PRIMARY, REG_DISPLAY_POSITION_X, REG_DISPLAY_POSITION_Y, REG_DISPLAY_WIDTH, REG_DISPLAY_HEIGHT, REG_GMR_ID,
    REG_GMR_DESCRIPTOR, REG_GMR_MAX_IDS, REG_GMR_MAX_DESCRIPTOR_LENGTH, REG_TRACES, REG_GMRS_MAX_PAGES, REG_MEMORY_SIZE, REG_COMMAND_LOW,
    REG_COMMAND_HIGH, REG_MAX_PRIMARY_MEM, REG_CAP2 = 59, REG_GUEST_DRIVER_ID = 61, REG_GUEST_DRIVER_VERSION3 = 64,
    REG_CURSOR_MAX_BYTE_SIZE = 66, REG_CURSOR_MAX_DIMENSION = 67, REG_PALETTE = 1024, REG_SCRATCH = REG_PALETTE + 768
};
enum {
    CAP_RECT_COPY = 0x2, CAP_CURSOR = 0x20, CAP_CURSOR_BYPASS = 0x40, CAP_CURSOR_BYPASS_2 = 0x80, CAP_8BIT_EMULATION = 0x100,
    CAP_ALPHA_CURSOR = 0x200, CAP_EXTENDED_FIFO = 0x8000, CAP_MULTIMON = 0x10000, CAP_PITCHLOCK = 0x20000, CAP_IRQMASK = 0x40000,
    CAP_DISPLAY_TOPOLOGY = 0x80000, CAP_GMR = 0x100000, CAP_TRACES = 0x200000, CAP_GMR2 = 0x400000, CAP_SCREEN_OBJECT_2 = 0x800000
};
#define SVGA_ID_0 0x90000000u
#define SVGA_ID_2 0x90000002u
enum { IRQ_ALL = 0x07 };
enum { GMR_MAX_DESCRIPTORS = 4096 };

/* ---- derived values ---- */

uint32_t svga_depth(const struct svga_dev *d) { return d->s.bpp; }

static uint32_t bytes_per_pixel(const struct svga_dev *d) { return (d->s.bpp + 7) / 8; }

uint32_t svga_pitch(const struct svga_dev *d)
{
    uint32_t lock = d->s.pitchlock;
    if (!lock && d->s.config_done && fifo_has_reg(d, FIFO_PITCHLOCK))
        lock = fifo_reg(d, FIFO_PITCHLOCK);
    uint32_t pitch = (d->s.width * bytes_per_pixel(d) + 3) & ~3u;
    return lock >= d->s.width * bytes_per_pixel(d) && lock <= d->vram.size ? lock : pitch;
}

bool svga_visible(const struct svga_dev *d) { return (d->s.enable & 3) == 1; }

static uint32_t color_mask(const struct svga_dev *d, unsigned c)
{
    static const uint32_t m15[3] = {0x7c00, 0x3e0, 0x1f}, m16[3] = {0xf800, 0x7e0, 0x1f}, m24[3] = {0xff0000, 0xff00, 0xff};
    switch (d->s.bpp) {
    case 8:
        return 0;
    case 15:
        return m15[c];
    case 16:
        return m16[c];
    }
    return m24[c];
}

/* ---- interrupts ---- */

void svga_irq_update(struct svga_dev *d) { pci_set_intx(&d->pci, (d->s.irq_status & d->s.irq_mask) != 0); }

void svga_irq_raise(struct svga_dev *d, uint32_t flags)
{
    /* Sources that are masked leave no trace: a driver that unmasks does not want events of the past. */
    d->s.irq_status |= flags & d->s.irq_mask;
    svga_irq_update(d);
}

/* ---- registers ---- */

static uint32_t reg_read(struct svga_dev *d, uint32_t i)
{
    struct svga_state *s = &d->s;
    const struct svga_display *p = &s->display[s->display_id < SVGA_TOPOLOGY ? s->display_id : 0];
    if (i >= REG_PALETTE && i < REG_PALETTE + 768)
        return s->palette[i - REG_PALETTE];
    if (i >= REG_SCRATCH && i < REG_SCRATCH + SVGA_SCRATCH)
        return s->scratch[i - REG_SCRATCH];
    switch (i) {
    case REG_ID:
        return s->id;
    case REG_ENABLE:
        return s->enable;
    case REG_WIDTH:
        return s->width;
    case REG_HEIGHT:
        return s->height;
    case REG_MAX_WIDTH:
        return d->max_width;
    case REG_MAX_HEIGHT:
        return d->max_height;
    case REG_DEPTH:
        return s->bpp == 32 ? 24 : s->bpp;
    case REG_BITS_PER_PIXEL:
        return s->bpp == 15 ? 16 : s->bpp;
    case REG_PSEUDOCOLOR:
        return s->bpp == 8;
    case REG_RED_MASK:
    case REG_GREEN_MASK:
    case REG_BLUE_MASK:
        return color_mask(d, i - REG_RED_MASK);
    case REG_BYTES_PER_LINE:
        return svga_pitch(d);
    case REG_FB_START:
        return (uint32_t)d->pci.bar[1].addr;
    case REG_FB_OFFSET:
        return 0;
    case REG_VRAM_SIZE:
        return (uint32_t)d->vram.size;
    case REG_FB_SIZE: {
        uint64_t n = (uint64_t)svga_pitch(d) * s->height;
        return (uint32_t)(n < d->vram.size ? n : d->vram.size);
    }
    case REG_CAPABILITIES:
        return CAP_RECT_COPY | CAP_CURSOR | CAP_CURSOR_BYPASS | CAP_CURSOR_BYPASS_2 | CAP_8BIT_EMULATION | CAP_ALPHA_CURSOR | CAP_EXTENDED_FIFO |
               CAP_MULTIMON | CAP_PITCHLOCK | CAP_IRQMASK | CAP_DISPLAY_TOPOLOGY | CAP_GMR | CAP_TRACES | CAP_GMR2 | CAP_SCREEN_OBJECT_2;
    case REG_MEM_START:
        return (uint32_t)d->pci.bar[2].addr;
    case REG_MEM_SIZE:
        return (uint32_t)d->fifo.size;
    case REG_CONFIG_DONE:
        return s->config_done;
    case REG_BUSY:
        /* Every read does a piece of the work, as the interface says; it reads 0 when the ring is drained. */
        if (s->config_done && fifo_pending(d))
            fifo_run(d);
        return s->config_done && fifo_pending(d);
    case REG_GUEST_ID:
        return s->guest_id;
    case REG_CURSOR_X:
        return s->cursor_x;
    case REG_CURSOR_Y:
        return s->cursor_y;
    case REG_CURSOR_ON:
        return s->cursor_on;
    case REG_HOST_BITS_PER_PIXEL:
        return 32;
    case REG_SCRATCH_SIZE:
        return SVGA_SCRATCH;
    case REG_MEM_REGS:
        return FIFO_NUM_REGS;
    case REG_NUM_DISPLAYS:
        return 1;
    case REG_PITCHLOCK:
        return s->pitchlock;
    case REG_IRQMASK:
        return s->irq_mask;
    case REG_NUM_GUEST_DISPLAYS:
        return s->num_displays;
    case REG_DISPLAY_ID:
        return s->display_id;
    case REG_DISPLAY_IS_PRIMARY:
        return p->is_primary;
    case REG_DISPLAY_POSITION_X:
        return p->x;
    case REG_DISPLAY_POSITION_Y:
        return p->y;
    case REG_DISPLAY_WIDTH:
        return p->width;
    case REG_DISPLAY_HEIGHT:
        return p->height;
    case REG_GMR_ID:
        return s->gmr_id;
    case REG_GMR_MAX_IDS:
        return SVGA_MAX_GMRS;
    case REG_GMR_MAX_DESCRIPTOR_LENGTH:
        return GMR_MAX_DESCRIPTORS;
    case REG_TRACES:
        return s->traces;
    case REG_GMRS_MAX_PAGES:
        return SVGA_GMR_POOL;
    case REG_MEMORY_SIZE:
        return (uint32_t)d->vram.size + (128u << 20);
    case REG_MAX_PRIMARY_MEM:
        return (uint32_t)d->vram.size;
    case REG_CURSOR_MAX_BYTE_SIZE:
        return SVGA_MAX_CURSOR * SVGA_MAX_CURSOR * 4;
    case REG_CURSOR_MAX_DIMENSION:
        return SVGA_MAX_CURSOR;
    }
    if (i >= REG_GUEST_DRIVER_ID && i <= REG_GUEST_DRIVER_VERSION3)
        return s->driver_id[i - REG_GUEST_DRIVER_ID];
    return 0; /* unknown registers read 0 */
}

/* A write to the framebuffer's mode ends the use of screen objects (interface description of DEFINE_SCREEN). */
static void fb_mode_changed(struct svga_dev *d)
{
    struct svga_state *s = &d->s;
    if (s->screens_in_use) {
        memset(s->screen, 0, sizeof s->screen);
        s->screens_in_use = false;
    }
    scanout_full(d);
}

static void write_mode(struct svga_dev *d, uint32_t *reg, uint32_t val)
{
    *reg = val;
    fb_mode_changed(d);
}

static void reg_write(struct svga_dev *d, uint32_t i, uint32_t val)
{
    struct svga_state *s = &d->s;
    struct svga_display *p = s->display_id < SVGA_TOPOLOGY ? &s->display[s->display_id] : NULL;
    if (i >= REG_PALETTE && i < REG_PALETTE + 768) {
        if (s->palette[i - REG_PALETTE] != (uint8_t)val) {
            s->palette[i - REG_PALETTE] = (uint8_t)val;
            scanout_full(d);
        }
        return;
    }
    if (i >= REG_SCRATCH && i < REG_SCRATCH + SVGA_SCRATCH) {
        s->scratch[i - REG_SCRATCH] = val;
        return;
    }
    switch (i) {
    case REG_ID:
        if (val >= SVGA_ID_0 && val <= SVGA_ID_2)
            s->id = val;
        return;
    case REG_ENABLE:
        if (s->enable == (val & 3))
            return;
        s->enable = val & 3;
        if (!(val & 1)) {
            memset(s->screen, 0, sizeof s->screen);
            s->screens_in_use = false;
        }
        cursor_moved(d);
        scanout_full(d);
        return;
    case REG_WIDTH:
        if (val && val <= d->max_width)
            write_mode(d, &s->width, val);
        else
            guest_error("svga", "Width %u is outside 1 to %u.", val, d->max_width);
        return;
    case REG_HEIGHT:
        if (val && val <= d->max_height)
            write_mode(d, &s->height, val);
        else
            guest_error("svga", "Height %u is outside 1 to %u.", val, d->max_height);
        return;
    case REG_BITS_PER_PIXEL:
        if (val == 8 || val == 15 || val == 16 || val == 24 || val == 32)
            write_mode(d, &s->bpp, val);
        else
            guest_error("svga", "%u bits per pixel are not supported.", val);
        return;
    case REG_PITCHLOCK:
        write_mode(d, &s->pitchlock, val);
        return;
    case REG_CONFIG_DONE:
        if (val && !s->config_done)
            fifo_init_regs(d);
        s->config_done = val != 0;
        scanout_arm(d);
        return;
    case REG_SYNC:
        if (s->config_done)
            fifo_run(d);
        return;
    case REG_GUEST_ID:
        s->guest_id = val;
        return;
    case REG_CURSOR_X:
        s->cursor_x = val;
        return;
    case REG_CURSOR_Y:
        s->cursor_y = val;
        return;
    case REG_CURSOR_ON:
        s->cursor_on = val & 3;
        cursor_moved(d);
        return;
    case REG_IRQMASK:
        s->irq_mask = val & IRQ_ALL;
        svga_irq_update(d);
        return;
    case REG_NUM_GUEST_DISPLAYS:
        s->num_displays = val;
        return;
    case REG_DISPLAY_ID:
        s->display_id = val;
        return;
    case REG_DISPLAY_IS_PRIMARY:
        if (p)
            p->is_primary = val;
        return;
    case REG_DISPLAY_POSITION_X:
        if (p)
            p->x = val;
        return;
    case REG_DISPLAY_POSITION_Y:
        if (p)
            p->y = val;
        return;
    case REG_DISPLAY_WIDTH:
        if (p)
            p->width = val;
        return;
    case REG_DISPLAY_HEIGHT:
        if (p)
            p->height = val;
        return;
    case REG_GMR_ID:
        s->gmr_id = val;
        return;
    case REG_GMR_DESCRIPTOR:
        gmr_define_list(d, s->gmr_id, val);
        return;
    case REG_TRACES:
        s->traces = val != 0;
        return;
    }
    if (i >= REG_GUEST_DRIVER_ID && i <= REG_GUEST_DRIVER_VERSION3)
        s->driver_id[i - REG_GUEST_DRIVER_ID] = val;
}

/* BAR0: +0 index, +1 value (both 32 bits wide, so they overlap), +8 interrupt status. */
static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    struct svga_dev *d = dev;
    switch (off) {
    case 0:
        return d->s.index;
    case 1:
        return reg_read(d, d->s.index);
    case 8:
        return d->s.irq_status;
    }
    return 0;
}

static void io_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct svga_dev *d = dev;
    switch (off) {
    case 0:
        d->s.index = (uint32_t)val;
        break;
    case 1:
        reg_write(d, d->s.index, (uint32_t)val);
        break;
    case 8:
        d->s.irq_status &= ~(uint32_t)val;
        svga_irq_update(d);
        break;
    }
}

static const struct io_ops io_ops = {.read = io_read, .write = io_write, .widths = IO_8 | IO_16 | IO_32};

/* ---- life cycle ---- */

static void initial_size(struct svga_dev *d)
{
    d->s.width = d->preferred_width ? d->preferred_width : d->max_width < 1024 ? d->max_width : 1024;
    d->s.height = d->preferred_height ? d->preferred_height : d->max_height < 768 ? d->max_height : 768;
}

static uint32_t clip_size(uint32_t n, uint32_t low, uint32_t high) { return n < low ? low : n > high ? high : n; }

void svga_prefer_size(struct dev *dev, uint32_t width, uint32_t height)
{
    struct svga_dev *d = (struct svga_dev *)dev;
    bool none = !width || !height;
    d->preferred_width = none ? 0 : clip_size(width, 640, d->max_width);
    d->preferred_height = none ? 0 : clip_size(height, 480, d->max_height);
    if (!d->s.enable && !d->s.config_done)
        initial_size(d);
}

static void svga_reset(struct dev *dev, enum reset_kind k)
{
    struct svga_dev *d = (struct svga_dev *)dev;
    pci_reset_function(&d->pci);
    vga_reset(d);
    vbe_reset(d);
    memset(&d->s, 0, sizeof d->s);
    d->s.id = SVGA_ID_2;
    initial_size(d);
    d->s.bpp = 32;
    d->s.num_displays = 1;
    d->s.gmrfb_id = SVGA_GMR_NULL;
    d->so.full = true;
    d->clear_memory = k == RESET_COLD;
}

static void svga_reset_done(struct dev *dev)
{
    struct svga_dev *d = (struct svga_dev *)dev;
    vtimer_cancel(&d->fifo_more);
    pci_set_intx(&d->pci, false);
    if (d->clear_memory) {
        memset(d->vram.host, 0, VGA_PLANES_SIZE);
        memset(d->fifo.host, 0, 4096);
    }
    vga_mapping_now(d);
    fifo_init_regs(d);
    cursor_show_image(d);
    cursor_moved(d);
}

static uint64_t round_pow2(uint64_t n, uint64_t low, uint64_t high)
{
    uint64_t r = low;
    while (r < n && r < high)
        r <<= 1;
    return r;
}

static int blk_alloc(struct memblk *b, const char *name, uint64_t size, bool track, struct err *e)
{
    b->size = size;
    b->fd = osmem_memfd(name, size, e);
    if (b->fd < 0)
        return -1;
    b->host = osmem_map_fd(b->fd, size, e);
    if (!b->host)
        goto fail;
    if (track) {
        b->dirty = calloc((size / 4096 + 63) / 64, sizeof *b->dirty);
        if (!b->dirty) {
            err_set(e, ERR_NOMEM, 0, "There is not enough memory for the display adapter.");
            goto fail;
        }
    }
    return 0;
fail:
    if (b->host)
        osmem_free(b->host, size);
    close(b->fd);
    memset(b, 0, sizeof *b);
    return -1;
}

static void blk_free(struct memblk *b)
{
    if (!b->host)
        return;
    osmem_free(b->host, b->size);
    close(b->fd);
    free(b->dirty);
    memset(b, 0, sizeof *b);
}

static void svga_destroy(struct dev *dev)
{
    struct svga_dev *d = (struct svga_dev *)dev;
    display_set_adapter(d->display, NULL, NULL);
    vtimer_cancel(&d->remap);
    vtimer_cancel(&d->fifo_more);
    scanout_fini(d);
    blk_free(&d->vram);
    blk_free(&d->fifo);
    blk_free(&d->rom);
}

static const struct display_adapter adapter_ops = {.hurry = scanout_hurry, .watched = scanout_watched};

static int svga_init(struct dev *dev, const void *params, struct err *e)
{
    static const struct pci_id id = {0x15ad, 0x0405, 0x15ad, 0x0405, 0x03000000};
    struct svga_dev *d = (struct svga_dev *)dev;
    const struct svga_params *p = params;
    d->vm = dev->vm;
    d->display = p->display;
    d->max_width = p->max_width ? p->max_width : 2560;
    d->max_height = p->max_height ? p->max_height : 1600;
    if (d->max_width < 640 || d->max_height < 480 || d->max_width > 8192 || d->max_height > 8192)
        return err_set(e, ERR_CONFIG, 0, "A largest screen of %u x %u pixels is not possible: give svga.maxWidth 640 to 8192 and svga.maxHeight 480 to 8192.",
                       d->max_width, d->max_height);
    if (pci_register(&d->pci, p->bus, p->devfn, &id, 1, e))
        return -1;
    if (blk_alloc(&d->vram, "lodge-vram", round_pow2(p->vram_size, 1 << 20, 128 << 20), true, e) ||
        blk_alloc(&d->fifo, "lodge-fifo", SVGA_FIFO_SIZE, false, e))
        goto fail;
    d->vga.mem = d->vram.host;

    pci_bar_io(&d->pci, 0, 16, &io_ops, d);
    d->vram_mr = (struct memregion){.owner = "svga-vram", .size = d->vram.size, .prio = 1, .kind = MR_RAM, .track_dirty = true, .blk = &d->vram};
    pci_bar_mem(&d->pci, 1, &d->vram_mr, true, false);
    d->fifo_mr = (struct memregion){.owner = "svga-fifo", .size = d->fifo.size, .prio = 1, .kind = MR_RAM, .blk = &d->fifo};
    pci_bar_mem(&d->pci, 2, &d->fifo_mr, true, false);
    if (p->rom && p->rom_size) {
        if (p->rom_size > 1 << 20) {
            err_set(e, ERR_CONFIG, 0, "The VGA BIOS is larger than 1 MiB.");
            goto fail;
        }
        if (blk_alloc(&d->rom, "lodge-vgabios", round_pow2(p->rom_size, 4096, 1 << 20), false, e))
            goto fail;
        memcpy(d->rom.host, p->rom, p->rom_size);
        d->rom_mr = (struct memregion){.owner = "svga-rom", .size = d->rom.size, .prio = 1, .kind = MR_ROM, .blk = &d->rom};
        pci_bar_mem(&d->pci, 6, &d->rom_mr, false, false);
    }
    if (scanout_init(d, e) || vga_ports_init(d, e))
        goto fail;
    if (vbe_ports_init(d, e))
        goto fail;
    vtimer_init(&d->remap, d->vm, vga_mapping_timer, d);
    vtimer_init(&d->fifo_more, d->vm, fifo_more_timer, d);

    d->window_mr = (struct memregion){.owner = "vga-window", .base = 0xa0000, .size = 0x20000, .prio = 10, .kind = MR_MMIO, .enabled = true,
                                      .ops = &vga_window_ops, .dev = d};
    d->linear_mr = (struct memregion){.owner = "vga-linear", .base = 0xa0000, .size = 0x10000, .prio = 11, .kind = MR_RAM, .track_dirty = true,
                                      .blk = &d->vram};
    memmap_begin(d->vm);
    memmap_add(d->vm, &d->window_mr);
    memmap_add(d->vm, &d->linear_mr);
    if (memmap_commit(d->vm, e))
        goto fail;
    display_set_adapter(d->display, &adapter_ops, d);
    return 0;
fail:
    scanout_fini(d);
    blk_free(&d->vram);
    blk_free(&d->fifo);
    blk_free(&d->rom);
    return -1;
}

/* ---- state ---- */

static const struct state_field vga_fields[] = {
    SF(struct vga_state, seq_index, SF_U8), SF_BUF(struct vga_state, seq), SF_MAX(struct vga_state, gr_index, SF_U8, 15), SF_BUF(struct vga_state, gr),
    SF(struct vga_state, crtc_index, SF_U8), SF_BUF(struct vga_state, crtc), SF(struct vga_state, attr_index, SF_U8), SF_BUF(struct vga_state, attr),
    SF(struct vga_state, attr_data, SF_BOOL), SF(struct vga_state, misc, SF_U8), SF(struct vga_state, feature, SF_U8),
    SF(struct vga_state, enable, SF_U8), SF(struct vga_state, dac_mask, SF_U8), SF(struct vga_state, dac_read, SF_U8),
    SF(struct vga_state, dac_write, SF_U8), SF_MAX(struct vga_state, dac_sub, SF_U8, 2), SF(struct vga_state, dac_state, SF_U8),
    SF_BUF(struct vga_state, dac_cache), SF_BUF(struct vga_state, palette), SF(struct vga_state, latch, SF_U32), {0}};
static const struct state_desc vga_desc = {.name = "vga", .version = 1, .min_version = 1, .fields = vga_fields};

static const struct state_field vbe_fields[] = {SF(struct vbe_state, index, SF_U16), SF_ARR(struct vbe_state, reg, SF_U16), {0}};
static const struct state_desc vbe_desc = {.name = "vbe", .version = 1, .min_version = 1, .fields = vbe_fields};

static const struct state_field gmr_fields[] = {SF_MAX(struct svga_gmr, first, SF_U32, SVGA_GMR_POOL),
                                                 SF_MAX(struct svga_gmr, pages, SF_U32, SVGA_GMR_POOL), {0}};
static const struct state_desc gmr_desc = {.name = "gmr", .version = 1, .min_version = 1, .fields = gmr_fields};

static const struct state_field screen_fields[] = {
    SF(struct svga_screen, defined, SF_BOOL), SF(struct svga_screen, flags, SF_U32), SF_MAX(struct svga_screen, width, SF_U32, 8192),
    SF_MAX(struct svga_screen, height, SF_U32, 8192), SF(struct svga_screen, offset, SF_U32), SF(struct svga_screen, pitch, SF_U32),
    SF(struct svga_screen, root_x, SF_U32), SF(struct svga_screen, root_y, SF_U32), {0}};
static const struct state_desc screen_desc = {.name = "screen", .version = 1, .min_version = 1, .fields = screen_fields};

static const struct state_field display_fields[] = {
    SF(struct svga_display, is_primary, SF_U32), SF(struct svga_display, x, SF_U32), SF(struct svga_display, y, SF_U32),
    SF(struct svga_display, width, SF_U32), SF(struct svga_display, height, SF_U32), {0}};
static const struct state_desc display_desc = {.name = "display", .version = 1, .min_version = 1, .fields = display_fields};

#define S(f, k) SF(struct svga_state, f, k)
#define S_STRUCTS(f, d)                                                                                                            \
    {.name = #f, .off = offsetof(struct svga_state, f), .count = sizeof(((struct svga_state *)0)->f) / sizeof(((struct svga_state *)0)->f[0]), \
     .stride = sizeof(((struct svga_state *)0)->f[0]), .kind = SF_STRUCT, .sub = &d}
/* The two large arrays go as bytes: the hosts that we run on are all little-endian, and a hundred thousand single numbers take long. */
static const struct state_field svga_fields[] = {
    S(index, SF_U32), S(id, SF_U32), S(enable, SF_U32), S(width, SF_U32), S(height, SF_U32), S(bpp, SF_U32), S(config_done, SF_U32),
    S(guest_id, SF_U32), S(pitchlock, SF_U32), S(irq_mask, SF_U32), S(irq_status, SF_U32), S(traces, SF_U32), S(gmr_id, SF_U32),
    S(cursor_x, SF_U32), S(cursor_y, SF_U32), S(cursor_on, SF_U32), S(num_displays, SF_U32), S(display_id, SF_U32),
    S(screens_in_use, SF_BOOL), SF_ARR(struct svga_state, driver_id, SF_U32), SF_ARR(struct svga_state, scratch, SF_U32),
    SF_BUF(struct svga_state, palette), S_STRUCTS(display, display_desc), S(gmrfb_id, SF_U32), S(gmrfb_offset, SF_U32), S(gmrfb_pitch, SF_U32),
    S(gmrfb_format, SF_U32), S_STRUCTS(screen, screen_desc), SF_MAX(struct svga_state, pool_used, SF_U32, SVGA_GMR_POOL), S_STRUCTS(gmr, gmr_desc),
    SF_BUF(struct svga_state, pool), S(cursor_count, SF_U32), SF_MAX(struct svga_state, cur_w, SF_U32, SVGA_MAX_CURSOR),
    SF_MAX(struct svga_state, cur_h, SF_U32, SVGA_MAX_CURSOR), S(cur_hot_x, SF_U32), S(cur_hot_y, SF_U32),
    SF_BUF(struct svga_state, cur_argb), {0}};
static const struct state_desc svga_regs_desc = {.name = "svga", .version = 1, .min_version = 1, .fields = svga_fields};

static int svga_post_load(void *dev, unsigned version, struct err *e)
{
    struct svga_dev *d = dev;
    struct svga_state *s = &d->s;
    const uint16_t *r = d->vbe.reg;
    bool good = s->width <= d->max_width && s->height <= d->max_height && s->width && s->height &&
                (s->bpp == 8 || s->bpp == 15 || s->bpp == 16 || s->bpp == 24 || s->bpp == 32) && screens_valid(d) &&
                (!vbe_enabled(d) || (r[VBE_XRES] <= 8192 && r[VBE_YRES] <= 8192));
    for (unsigned i = 0; i < SVGA_MAX_GMRS && good; i++)
        good = s->gmr[i].first <= s->pool_used && s->gmr[i].pages <= s->pool_used - s->gmr[i].first;
    if (!good)
        return err_set(e, ERR_CORRUPT, 0, "The saved state of the display adapter contradicts itself.");
    vga_mapping_now(d);
    svga_irq_update(d);
    cursor_show_image(d);
    cursor_moved(d);
    scanout_full(d);
    if (s->config_done && fifo_pending(d))
        vtimer_arm(&d->fifo_more, clock_now(d->vm));
    return 0;
}

static const struct state_field dev_fields[] = {
    {.name = "pci", .off = offsetof(struct svga_dev, pci), .count = 1, .stride = sizeof(struct pci_dev), .kind = SF_STRUCT, .sub = &pci_dev_state},
    {.name = "vga", .off = offsetof(struct svga_dev, vga), .count = 1, .stride = sizeof(struct vga_state), .kind = SF_STRUCT, .sub = &vga_desc},
    {.name = "vbe", .off = offsetof(struct svga_dev, vbe), .count = 1, .stride = sizeof(struct vbe_state), .kind = SF_STRUCT, .sub = &vbe_desc},
    {.name = "svga", .off = offsetof(struct svga_dev, s), .count = 1, .stride = sizeof(struct svga_state), .kind = SF_STRUCT, .sub = &svga_regs_desc},
    {0}};
static const struct state_desc svga_desc = {.name = "svga", .version = 1, .min_version = 1, .fields = dev_fields, .post_load = svga_post_load};

const struct dev_class svga_class = {
    .name = "svga",
    .size = sizeof(struct svga_dev),
    .init = svga_init,
    .reset = svga_reset,
    .reset_done = svga_reset_done,
    .destroy = svga_destroy,
    .state = &svga_desc,
};

struct memblk *svga_vram(struct dev *d) { return &((struct svga_dev *)d)->vram; }
struct memblk *svga_fifo(struct dev *d) { return &((struct svga_dev *)d)->fifo; }
