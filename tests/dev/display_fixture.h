/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The display adapter on a fake vm, for its tests and its fuzz harness. The PCI functions here place the BARs at fixed addresses at once, so
 * that these tests depend on no firmware and on no PCI bus: I/O ports at 1070h, video memory at E0000000h, the command ring at E8000000h.
 * Include it in one source file of a program.
 */
#ifndef LODGE_TESTS_DISPLAY_FIXTURE_H
#define LODGE_TESTS_DISPLAY_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "display/surface.h"
#include "display/svga.h"
#include "pci/pci.h"
#include "tests/fakevm.h"

#define FX_IO 0x1070
#define FX_VRAM 0xE0000000u
#define FX_FIFO 0xE8000000u

int pci_register(struct pci_dev *p, struct pci_bus *bus, uint8_t devfn, const struct pci_id *id, uint8_t pin, struct err *e)
{
    (void)bus, (void)pin, (void)e;
    p->devfn = devfn;
    memcpy(p->cfg, &id->vendor, 2);
    memcpy(p->cfg + 2, &id->device, 2);
    return 0;
}
void pci_bar_mem(struct pci_dev *p, int bar, struct memregion *mr, bool prefetch, bool is64)
{
    static const gpa_t base[7] = {0, FX_VRAM, FX_FIFO, 0, 0, 0, 0xFF000000u};
    (void)prefetch, (void)is64;
    struct err e;
    p->bar[bar].mr = mr;
    p->bar[bar].addr = mr->base = base[bar];
    mr->enabled = true;
    memmap_begin(p->dev.vm);
    memmap_add(p->dev.vm, mr);
    if (memmap_commit(p->dev.vm, &e))
        abort();
}
void pci_bar_io(struct pci_dev *p, int bar, uint16_t count, const struct io_ops *ops, void *dev)
{
    struct err e;
    p->bar[bar].pr = (struct port_range){"svga", FX_IO, count, ops, dev};
    if (port_claim(p->dev.vm, &p->bar[bar].pr, &e))
        abort();
}
void pci_set_intx(struct pci_dev *p, bool level) { p->intx_level = level; }
void pci_reset_function(struct pci_dev *p) { (void)p; }
static const struct state_field fx_pci_fields[] = {SF(struct pci_dev, devfn, SF_U8), {0}};
const struct state_desc pci_dev_state = {.name = "pci", .version = 1, .min_version = 1, .fields = fx_pci_fields};

/* What a sink was told. */
struct fx_sink {
    struct surface sf;
    unsigned modes, updates, rects;
    struct rect last[32];
    int n_last;
    int cur_w, cur_h, cur_hx, cur_hy, cur_x, cur_y;
    bool cur_shown, blank;
    uint32_t cur[256 * 256];
};
static void fx_mode(void *s, const struct surface *sf)
{
    struct fx_sink *k = s;
    k->sf = *sf;
    k->modes++;
}
static void fx_update(void *s, const struct rect *r, int n)
{
    struct fx_sink *k = s;
    k->updates++;
    k->rects += (unsigned)n;
    k->n_last = n;
    memcpy(k->last, r, (size_t)n * sizeof *r);
}
static void fx_cursor(void *s, int w, int h, int hx, int hy, const uint32_t *argb)
{
    struct fx_sink *k = s;
    k->cur_w = argb ? w : 0;
    k->cur_h = argb ? h : 0;
    k->cur_hx = hx;
    k->cur_hy = hy;
    if (argb)
        memcpy(k->cur, argb, (size_t)w * (size_t)h * 4);
}
static void fx_cursor_at(void *s, int x, int y, bool shown)
{
    struct fx_sink *k = s;
    k->cur_x = x;
    k->cur_y = y;
    k->cur_shown = shown;
}
static void fx_blank(void *s, bool blank) { ((struct fx_sink *)s)->blank = blank; }
static const struct display_sink fx_sink_ops = {fx_mode, fx_update, fx_cursor, fx_cursor_at, fx_blank};

struct fx {
    struct vm *vm;
    struct display *display;
    struct dev *dev;
    struct fx_sink sink;
    int sink_id;
};

static inline void fx_open(struct fx *f, uint64_t vram, bool watch)
{
    struct err e;
    memset(f, 0, sizeof *f);
    f->vm = fakevm_new(16, 1);
    f->display = display_new(f->vm, &e);
    if (!f->vm || !f->display)
        abort();
    struct svga_params p = {.devfn = 0x78, .display = f->display, .vram_size = vram, .max_width = 2560, .max_height = 1600};
    f->dev = dev_create(f->vm, &svga_class, "svga0", &p, &e);
    if (!f->dev)
        abort();
    f->sink_id = -1;
    if (watch) {
        fakevm_reset(f->vm);
        f->sink_id = display_attach(f->display, &fx_sink_ops, &f->sink);
    }
}
static inline void fx_close(struct fx *f)
{
    display_detach(f->display, f->sink_id);
    fakevm_free(f->vm);
    display_free(f->display);
}
/* Long enough for a frame tick at the slowest rate. */
static inline void fx_frame(struct fx *f) { fakevm_advance(f->vm, 60000000); }
static inline uint32_t fx_pixel(const struct fx *f, uint32_t x, uint32_t y)
{
    uint32_t p;
    memcpy(&p, f->sink.sf.pixels + (size_t)y * f->sink.sf.stride + x * 4, 4);
    return p & 0xffffff;
}

#endif
