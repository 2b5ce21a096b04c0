/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: the display adapter: VGA and VBE ports and windows, SVGA registers, command ring, with a viewer attached. */
#include "tests/dev/display_fixture.h"
#include "tests/dev/vga_modes.h"
#include "tests/fuzz/fuzz_dev.h"

static struct display *displays[2];
static struct fx_sink sink;
static int n_displays;

/* Reads every pixel of what a viewer may touch: a wrong surface is seen by the sanitizer, or faults. */
static void touch(void *u, const struct rect *r, int n)
{
    struct fx_sink *k = u;
    uint32_t sum = 0;
    for (int i = 0; i < n; i++) {
        fuzz_check(r[i].x >= 0 && r[i].y >= 0 && r[i].w > 0 && r[i].h > 0 && r[i].x + r[i].w <= (int)k->sf.width && r[i].y + r[i].h <= (int)k->sf.height,
                   "damage outside the surface");
        for (int y = r[i].y; y < r[i].y + r[i].h; y += r[i].h > 1 ? r[i].h - 1 : 1) {
            const uint32_t *line = (const uint32_t *)(const void *)(k->sf.pixels + (size_t)y * k->sf.stride);
            sum += line[r[i].x] + line[r[i].x + r[i].w - 1];
        }
    }
    __asm__ volatile("" : : "r"(sum)); /* so that they are read */
}
static const struct display_sink touch_ops = {fx_mode, touch, fx_cursor, fx_cursor_at};

static void make(struct vm *vm)
{
    struct err e = {0};
    struct display *d = display_new(vm, &e);
    fuzz_check(d != NULL, e.msg);
    struct svga_params p = {.devfn = 0x78, .display = d, .vram_size = 4 << 20, .max_width = 1280, .max_height = 1024};
    fuzz_check(dev_create(vm, &svga_class, "svga0", &p, &e) != NULL, e.msg);
    if (!n_displays) /* the second machine is only loaded and saved */
        display_attach(d, &touch_ops, &sink);
    displays[n_displays++] = d;
}

static void reg(struct vm *vm, uint32_t i, uint32_t v)
{
    fakevm_out(vm, FX_IO, 4, i);
    fakevm_out(vm, FX_IO + 1, 4, v);
}

static void extra(struct fuzz *f, unsigned what)
{
    static const struct vga_mode_regs *modes[] = {&mode_03, &mode_04, &mode_12, &mode_13};
    uint32_t next;
    switch (what) {
    case 0: /* a command: count, then dwords; numbers below 256 in one byte each when the top bit of the count is clear */
        next = (uint32_t)fakevm_mmio_read(f->vm, FX_FIFO + 8, 4);
        for (unsigned n = fuzz_bytes(f, 1), i = 0; i < (n & 0x7f); i++) {
            fakevm_mmio_write(f->vm, FX_FIFO + (next & ((2u << 20) - 4)), 4, fuzz_bytes(f, n & 0x80 ? 4 : 1));
            next += 4;
            if (next == fakevm_mmio_read(f->vm, FX_FIFO + 4, 4))
                next = (uint32_t)fakevm_mmio_read(f->vm, FX_FIFO, 4);
        }
        fakevm_mmio_write(f->vm, FX_FIFO + 8, 4, next);
        break;
    case 1:
        next = (uint32_t)fuzz_bytes(f, 2);
        reg(f->vm, next, (uint32_t)fuzz_bytes(f, 4));
        break;
    case 2:
        vga_set_mode(f->vm, modes[fuzz_bytes(f, 1) & 3]);
        break;
    case 3: /* driver start, or a kick */
        next = (uint32_t)fuzz_bytes(f, 1);
        if (next & 1) {
            for (unsigned i = 0; i < 4; i++)
                fakevm_mmio_write(f->vm, FX_FIFO + i * 4, 4, i == 1 ? 4096 + 1024 * (1 + (next >> 4)) : 4096);
            reg(f->vm, 1, next >> 1 & 3);
            reg(f->vm, 20, 1);
        }
        reg(f->vm, 21, 1);
        fakevm_advance(f->vm, 20000000);
        break;
    }
}

static void before(void) { n_displays = 0; }
static void after(void)
{
    for (int i = 0; i < n_displays; i++)
        display_free(displays[i]);
}
FUZZ_DEVICE(.vcpus = 1, .ports = {{0x3c0, 16}, {0x3d4, 8}, {0x3b4, 8}, {0x1ce, 2}, {FX_IO, 16}},
            .mmio = {{0xa0000, 0x20000}, {FX_FIFO, 1300}, {0xb8000, 4000}, {FX_VRAM, 0x10000}}, .n_ports = 5,
            .n_mmio = 4, .make = make, .extra = extra, .before = before, .after = after)
