/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The display adapter: VMware SVGA II (15ad:0405) with a full VGA core and the Bochs VBE registers on one PCI function. */
#ifndef LODGE_DISPLAY_SVGA_H
#define LODGE_DISPLAY_SVGA_H

#include <stddef.h>
#include <stdint.h>

#include "core/device.h"

struct display;
struct memblk;
struct pci_bus;

/* vram_size is rounded up to a power of two between 1 and 128 MiB; 0x0 maxima mean 2560 x 1600. The rom bytes are copied. */
struct svga_params {
    struct pci_bus *bus;
    uint8_t devfn;         /* VMware: 00:0f.0, so 0x78 */
    struct display *display;
    const uint8_t *rom;    /* VGA BIOS image for the expansion ROM BAR; NULL: none */
    size_t rom_size;
    uint64_t vram_size;    /* svga.vramSize, bytes */
    uint32_t max_width, max_height;
};
extern const struct dev_class svga_class;

struct dev;
/* Video memory and the FIFO, for whoever saves guest memory (vm_save). [main] */
struct memblk *svga_vram(struct dev *d);
struct memblk *svga_fifo(struct dev *d);
/* The size that the window would like, clipped to the largest screen; 0 x 0: none. A driver finds it in WIDTH and HEIGHT when it starts (Linux'
   vmwgfx makes it its first mode); one that runs does not look there again. Survives resets. Under the chipset lock. */
void svga_prefer_size(struct dev *d, uint32_t width, uint32_t height);

#endif
