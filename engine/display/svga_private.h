/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of the display adapter, shared by the files of engine/display.
 *
 * Who does what: svga.c is the device (PCI function, SVGA registers), svga_fifo.c the command ring, svga_gmr.c guest memory regions,
 * svga_screen.c screen objects and blits, cursor.c the pointer; vga.c the VGA registers, vga_mem.c the windows at A0000h, vga_draw.c and
 * vga_text.c turn VGA memory into pixels; vbe.c the Bochs VBE registers; scanout.c decides what is on the screen and refreshes it.
 *
 * Invariants:
 * 1. Video memory is one block; the first 256 KiB of it are the VGA's four planes, byte p of dword n being byte n of plane p. Chain-4 and VBE
 *    banked accesses are linear in it.
 * 2. Pixels on the surface change only in scanout_tick(), except where the surface is video memory itself.
 * 3. Nothing that the guest writes into registers is used as an index or size without a check where it is used.
 */
#ifndef LODGE_DISPLAY_SVGA_PRIVATE_H
#define LODGE_DISPLAY_SVGA_PRIVATE_H

#include "core/clock.h"
#include "core/iobus.h"
#include "core/memmap.h"
#include "display/surface.h"
#include "display/svga.h"
#include "pci/pci.h"

enum {
    SVGA_MAX_GMRS = 1024,
    SVGA_GMR_POOL = 131072, /* pages of all GMRs together: 512 MiB */
    SVGA_MAX_SCREENS = 16,
    SVGA_MAX_CURSOR = 256,
    SVGA_SCRATCH = 64,
    SVGA_FIFO_SIZE = 2 << 20,
    SVGA_TOPOLOGY = 16,
    SVGA_NREGS = 85,
    VGA_PLANES_SIZE = 256 << 10,
};

struct vga_state {
    uint8_t seq_index, seq[8];
    uint8_t gr_index, gr[16];
    uint8_t crtc_index, crtc[32];
    uint8_t attr_index, attr[32];
    bool attr_data; /* the address/data flip-flop of port 3C0h: the next write is data */
    uint8_t misc, feature, enable, input_status0;
    uint8_t dac_mask, dac_read, dac_write, dac_sub, dac_state; /* dac_state: 0 write, 3 read, as port 3C7h shows it */
    uint8_t dac_cache[3], palette[768];
    uint32_t latch;
    uint8_t *mem; /* video memory, not saved */
};

enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET, VBE_Y_OFFSET, VBE_MEMORY, VBE_NREGS };
enum { VBE_ENABLED = 1, VBE_GETCAPS = 2, VBE_8BIT_DAC = 0x20, VBE_LFB_ENABLED = 0x40, VBE_NOCLEARMEM = 0x80 };

struct vbe_state {
    uint16_t index, reg[VBE_NREGS];
};

struct svga_gmr {
    uint32_t first, pages; /* in the pool; pages 0: not defined */
};

struct svga_screen {
    bool defined;
    uint32_t flags, width, height, offset, pitch; /* offset: of the backing store in video memory; checked when defined */
    uint32_t root_x, root_y;                      /* signed */
};

struct svga_display {
    uint32_t is_primary, x, y, width, height;
};

struct svga_state {
    uint32_t index, id, enable, width, height, bpp, config_done, guest_id, pitchlock, irq_mask, irq_status, traces, gmr_id;
    uint32_t cursor_x, cursor_y, cursor_on, num_displays, display_id;
    bool busy;           /* SYNC was written and the ring is not drained yet */
    bool screens_in_use; /* the guest defined screen objects since the last write to the framebuffer registers */
    uint32_t driver_id[4];
    uint32_t scratch[SVGA_SCRATCH];
    uint8_t palette[768];
    struct svga_display display[SVGA_TOPOLOGY];
    uint32_t gmrfb_id, gmrfb_offset, gmrfb_pitch, gmrfb_format;
    struct svga_screen screen[SVGA_MAX_SCREENS];
    uint32_t pool_used;
    struct svga_gmr gmr[SVGA_MAX_GMRS];
    uint32_t pool[SVGA_GMR_POOL]; /* guest page numbers */
    uint32_t cursor_count;        /* last CURSOR_COUNT taken over from the FIFO registers */
    uint32_t cur_w, cur_h, cur_hot_x, cur_hot_y;
    uint32_t cur_argb[SVGA_MAX_CURSOR * SVGA_MAX_CURSOR];
};

enum out_kind { OUT_NONE, OUT_BLANK, OUT_TEXT, OUT_GRAPHICS, OUT_LINEAR, OUT_SCREENS };

/* What is on the screen; compared member by member between ticks. */
struct out_mode {
    enum out_kind kind;
    uint32_t width, height;
    uint64_t offset; /* OUT_LINEAR: first byte in video memory */
    uint32_t pitch, depth; /* depth 8, 15, 16, 24 (packed) or 32; 32 is shown without a copy */
    bool direct;
};

enum { DISPLAY_MAX_LINES = 4096 };

struct scanout {
    struct vtimer tick;
    struct out_mode out;
    bool full;           /* everything must be drawn again */
    bool active;         /* the tick runs */
    unsigned idle;       /* ticks without damage */
    unsigned long *dirty; /* pages of video memory written since the last tick */
    /* Text: what blinks, and where the cursor was drawn. */
    bool blink_phase;
    uint64_t cursor_key; /* place and shape of the text cursor as drawn; 0: not drawn */
    int cursor_y0, cursor_y1;
    bool has_blink;
    uint8_t blink_line[DISPLAY_MAX_LINES];
    uint32_t rgb[256];   /* DAC as pixels, and for 16-colour modes the attribute palette through the DAC */
    uint32_t rgb16[16];
};

struct svga_dev {
    struct pci_dev pci; /* first member */
    struct vm *vm;
    struct display *display;
    uint32_t max_width, max_height;
    uint32_t preferred_width, preferred_height; /* 0: none */
    struct memblk vram, fifo, rom;
    struct memregion vram_mr, fifo_mr, rom_mr, window_mr, linear_mr;
    struct port_range pr_vga_mono, pr_vga, pr_vga_color, pr_vbe;
    bool clear_memory;       /* a cold reset is under way: its second phase clears the VGA's and the ring's memory */
    struct vtimer remap;     /* makes it so when the registers have been quiet for a moment */
    struct vtimer fifo_more; /* the rest of a ring that was too long for one go */
    struct vga_state vga;
    struct vbe_state vbe;
    struct svga_state s;
    struct scanout so;
};

/* ---- vga.c ---- */
struct vga_timing {
    int64_t frame_ns, line_ns;
    uint32_t lines, visible, retrace_start, retrace_end; /* scan lines */
    uint32_t chars, visible_chars;                       /* per line */
};
int vga_ports_init(struct svga_dev *d, struct err *e);
void vga_reset(struct svga_dev *d);
void vga_get_timing(const struct svga_dev *d, struct vga_timing *t);
uint32_t vga_vertical_display(const struct vga_state *v); /* lines of picture */
uint32_t vga_line_compare(const struct vga_state *v);

/* ---- vga_mem.c ---- */
extern const struct io_ops vga_window_ops; /* dev = struct svga_dev, offsets from A0000h */
void vga_mapping_changed(struct svga_dev *d); /* a register that decides about the window was written */
void vga_mapping_timer(void *dev);
void vga_mapping_now(struct svga_dev *d);

/* ---- vga_draw.c, vga_text.c ---- */
struct vga_line {
    uint32_t *out;       /* pixels of this line */
    uint32_t width;
    uint32_t addr;       /* counter at the start of the line */
    uint32_t row, pan;   /* row scan counter, pel panning in dots */
    bool cursor;         /* text: the cursor may be drawn on this row scan */
};
struct vga_geometry {
    uint32_t columns, cell, width, height, vram_mask; /* cell: dots a character; mask for dword indexes */
    bool text, twice;   /* twice: dot clock halved */
};
void vga_geometry(const struct svga_dev *d, struct vga_geometry *g);
uint32_t vga_address(const struct svga_dev *d, uint32_t counter, uint32_t row); /* display counter -> dword index in video memory */
bool vga_draw(struct svga_dev *d); /* draws what changed; true when there was anything */
bool vga_text_line(struct svga_dev *d, const struct vga_geometry *g, const struct vga_line *l); /* true: something on it blinks */
void vga_update_palette(struct svga_dev *d);

/* ---- vbe.c ---- */
int vbe_ports_init(struct svga_dev *d, struct err *e);
void vbe_reset(struct svga_dev *d);
bool vbe_enabled(const struct svga_dev *d);
bool vbe_linear(const struct svga_dev *d); /* enabled in a mode of 8 bits per pixel or more */
uint32_t vbe_pitch(const struct svga_dev *d); /* bytes of a line; for 4 bits per pixel: of one plane */
uint64_t vbe_bank_offset(const struct svga_dev *d); /* bytes; for 4 bits per pixel: dwords */

/* ---- svga.c ---- */
void svga_irq_update(struct svga_dev *d);
void svga_irq_raise(struct svga_dev *d, uint32_t flags);
uint32_t svga_pitch(const struct svga_dev *d); /* of the legacy framebuffer */
uint32_t svga_depth(const struct svga_dev *d); /* 8, 15, 16, 24 or 32 as in struct out_mode */
bool svga_visible(const struct svga_dev *d);   /* enabled and not hidden */

/* ---- svga_fifo.c ---- */
enum { FIFO_MIN, FIFO_MAX, FIFO_NEXT_CMD, FIFO_STOP, FIFO_CAPABILITIES, FIFO_FLAGS, FIFO_FENCE, FIFO_3D_HWVERSION, FIFO_PITCHLOCK, FIFO_CURSOR_ON,
       FIFO_CURSOR_X, FIFO_CURSOR_Y, FIFO_CURSOR_COUNT, FIFO_CURSOR_LAST_UPDATED, FIFO_RESERVED, FIFO_CURSOR_SCREEN_ID, FIFO_DEAD,
       FIFO_3D_HWVERSION_REVISED, FIFO_FENCE_GOAL = 289, FIFO_BUSY = 290, FIFO_NUM_REGS = 291 };
uint32_t fifo_reg(const struct svga_dev *d, unsigned i);
void fifo_reg_set(struct svga_dev *d, unsigned i, uint32_t v);
void fifo_init_regs(struct svga_dev *d);
bool fifo_has_reg(const struct svga_dev *d, unsigned i); /* the guest left room for it (FIFO_MIN) */
void fifo_run(struct svga_dev *d);                       /* a bounded amount of work; arms fifo_more when there is more */
bool fifo_pending(const struct svga_dev *d);
void fifo_more_timer(void *dev);

/* ---- svga_gmr.c ---- */
void gmr_define_list(struct svga_dev *d, uint32_t id, uint32_t descriptor_ppn); /* SVGA_REG_GMR_DESCRIPTOR */
uint32_t gmr_define(struct svga_dev *d, uint32_t id, uint32_t pages);           /* DEFINE_GMR2; returns a cost */
void gmr_set_page(struct svga_dev *d, uint32_t id, uint32_t page, uint64_t ppn);
bool gmr_get_page(const struct svga_dev *d, uint32_t id, uint32_t page, uint32_t *ppn);
/* Copies between host memory and a guest pointer; false when any byte lies outside. id may be SVGA_GMR_FRAMEBUFFER. */
bool gmr_copy(struct svga_dev *d, uint32_t id, uint64_t offset, void *buf, uint32_t n, bool write);
#define SVGA_GMR_NULL 0xFFFFFFFFu
#define SVGA_GMR_FRAMEBUFFER 0xFFFFFFFEu

/* ---- svga_screen.c ---- */
enum { SCREEN_HAS_ROOT = 1, SCREEN_PRIMARY = 2, SCREEN_FULLSCREEN = 4, SCREEN_DEACTIVATE = 8, SCREEN_BLANKING = 16 };
void screen_define(struct svga_dev *d, uint32_t id, uint32_t flags, uint32_t w, uint32_t h, uint32_t root_x, uint32_t root_y, uint32_t gmr,
                   uint32_t offset, uint32_t pitch);
void screen_destroy(struct svga_dev *d, uint32_t id);
struct svga_rect {
    int32_t left, top, right, bottom;
};
/* Both return the number of bytes moved, for the FIFO's budget. */
uint64_t screen_blit_from_gmrfb(struct svga_dev *d, int32_t src_x, int32_t src_y, struct svga_rect dst, uint32_t id);
uint64_t screen_blit_to_gmrfb(struct svga_dev *d, int32_t dst_x, int32_t dst_y, struct svga_rect src, uint32_t id);
uint64_t screen_update(struct svga_dev *d, uint32_t x, uint32_t y, uint32_t w, uint32_t h); /* UPDATE: from the framebuffer to the screens */
uint64_t fb_rect_copy(struct svga_dev *d, const uint32_t *a);                                /* sx sy dx dy w h */
uint64_t fb_rect_fill(struct svga_dev *d, uint32_t color, uint32_t x, uint32_t y, uint32_t w, uint32_t h);
void screens_mode(const struct svga_dev *d, struct out_mode *o); /* the bounding box of what is shown */
void screens_compose(struct svga_dev *d);                        /* several screens: into the display's own surface */
bool screens_valid(const struct svga_dev *d); /* after loading state */

/* ---- cursor.c ---- */
void cursor_define_mono(struct svga_dev *d, uint32_t w, uint32_t h, uint32_t hx, uint32_t hy, const uint8_t *and_bits, unsigned and_depth,
                        const uint8_t *xor_bits, unsigned xor_depth);
void cursor_define_alpha(struct svga_dev *d, uint32_t w, uint32_t h, uint32_t hx, uint32_t hy, const uint8_t *argb);
void cursor_poll(struct svga_dev *d); /* cursor bypass 3: the FIFO registers */
void cursor_moved(struct svga_dev *d);
void cursor_show_image(struct svga_dev *d);

/* ---- scanout.c ---- */
int scanout_init(struct svga_dev *d, struct err *e);
void scanout_fini(struct svga_dev *d);
void scanout_full(struct svga_dev *d); /* a register changed: draw all at the next tick */
void scanout_dirty(struct svga_dev *d, uint64_t off, uint64_t n); /* video memory was written by the adapter itself */
void scanout_arm(struct svga_dev *d);  /* something to do soon */
void scanout_tick(void *dev);
void scanout_watched(void *dev, bool on);
void scanout_hurry(void *dev);
static inline bool scanout_page_dirty(const struct svga_dev *d, uint64_t page)
{
    return d->so.dirty[page / 64] >> (page % 64) & 1;
}

#endif
