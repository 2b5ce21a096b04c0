/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware SVGA II through its ports and its command ring, by the steps that Linux's vmwgfx driver takes (6.1): version, capabilities, ring set-up,
 * fences with interrupts, guest memory regions, screen objects, blits, cursors; the older framebuffer with UPDATE and RECT_COPY; and rings
 * whose contents are wrong. Numbers are those of VMware's device interface (svga_reg.h).
 */
#include "base/log.h"
#include "tests/dev/display_fixture.h"
#include "tests/dev/vga_modes.h"
#include "tests/tap.h"

enum { R_ID, R_ENABLE, R_WIDTH, R_HEIGHT, R_MAX_WIDTH, R_MAX_HEIGHT, R_DEPTH, R_BPP, R_PSEUDOCOLOR, R_RED, R_GREEN, R_BLUE, R_PITCH, R_FB_START,
       R_FB_OFFSET, R_VRAM_SIZE, R_FB_SIZE, R_CAPS, R_MEM_START, R_MEM_SIZE, R_CONFIG_DONE, R_SYNC, R_BUSY, R_GUEST_ID, R_MEM_REGS = 30,
       R_PITCHLOCK = 32, R_IRQMASK = 33, R_GMR_ID = 41, R_GMR_DESC = 42, R_GMR_MAX_IDS = 43, R_TRACES = 45, R_GMR_PAGES = 46, R_MEMORY = 47,
       R_PALETTE = 1024, R_SCRATCH = 1792 };
enum { F_MIN, F_MAX, F_NEXT, F_STOP, F_CAPS, F_FLAGS, F_FENCE, F_3D, F_PITCHLOCK, F_CUR_ON, F_CUR_X, F_CUR_Y, F_CUR_COUNT, F_CUR_LAST, F_CUR_SCREEN = 15,
       F_FENCE_GOAL = 289, F_BUSY = 290 };
#define FB 0xFFFFFFFEu

static uint32_t rd(struct fx *f, unsigned r)
{
    fakevm_out(f->vm, FX_IO, 4, r);
    return (uint32_t)fakevm_in(f->vm, FX_IO + 1, 4);
}
static void wr(struct fx *f, unsigned r, uint32_t v)
{
    fakevm_out(f->vm, FX_IO, 4, r);
    fakevm_out(f->vm, FX_IO + 1, 4, v);
}
static uint32_t fr(struct fx *f, unsigned i) { return (uint32_t)fakevm_mmio_read(f->vm, FX_FIFO + i * 4, 4); }
static void fw(struct fx *f, unsigned i, uint32_t v) { fakevm_mmio_write(f->vm, FX_FIFO + i * 4, 4, v); }
static bool irq(struct fx *f) { return ((struct pci_dev *)f->dev)->intx_level; }

/* Puts dwords into the ring, wrapping as drivers without RESERVE do. */
static void put(struct fx *f, const uint32_t *v, unsigned n)
{
    uint32_t next = fr(f, F_NEXT);
    for (unsigned i = 0; i < n; i++) {
        fakevm_mmio_write(f->vm, FX_FIFO + next, 4, v[i]);
        next += 4;
        if (next == fr(f, F_MAX))
            next = fr(f, F_MIN);
    }
    fw(f, F_NEXT, next);
}
#define PUT(f, ...) put(f, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)
static void kick(struct fx *f) { wr(f, R_SYNC, 1); }

static void driver_init(struct fx *f, uint32_t min, uint32_t max)
{
    wr(f, R_ID, 0x90000002);
    wr(f, R_ENABLE, 3);
    wr(f, R_TRACES, 0);
    fw(f, F_MIN, min);
    fw(f, F_MAX, max);
    fw(f, F_NEXT, min);
    fw(f, F_STOP, min);
    wr(f, R_CONFIG_DONE, 1);
}

static void test_registers(void)
{
    struct fx f;
    fx_open(&f, 16 << 20, true);
    wr(&f, R_ID, 0x90000002);
    is_u64(rd(&f, R_ID), 0x90000002, "version 2");
    wr(&f, R_ID, 0x90000005);
    is_u64(rd(&f, R_ID), 0x90000002, "no version 5");
    uint32_t caps = rd(&f, R_CAPS);
    ok((caps & 0xfc82e2) == (0xfc82e2 & ~0u) || (caps & 0xff83e2) == 0xff83e2, "capabilities of a 2D device (%08x)", caps);
    ok(!(caps & 0x4000) && !(caps & 0x09000000) && !(caps >> 31), "no 3D, command buffers or guest-backed objects");
    is_u64(rd(&f, R_VRAM_SIZE), 16 << 20, "video memory");
    is_u64(rd(&f, R_FB_START), FX_VRAM, "framebuffer address");
    is_u64(rd(&f, R_MEM_START), FX_FIFO, "ring address");
    ok(rd(&f, R_MEM_SIZE) >= 256 << 10, "the ring has at least 256 KiB");
    ok(rd(&f, R_MAX_WIDTH) == 2560 && rd(&f, R_MAX_HEIGHT) == 1600, "largest mode");
    is_u64(rd(&f, R_MEM_REGS), 291, "ring registers");
    ok(rd(&f, R_GMR_MAX_IDS) >= 64 && rd(&f, R_GMR_PAGES) >= 65536 && rd(&f, R_MEMORY) > 16 << 20, "guest memory regions");
    is_u64(rd(&f, 500), 0, "unknown registers read 0");
    is_u64(rd(&f, 0xfffffff0), 0, "far ones too");
    wr(&f, R_SCRATCH + 3, 0x1234);
    is_u64(rd(&f, R_SCRATCH + 3), 0x1234, "scratch registers");
    static const uint32_t masks[][6] = {{32, 24, 0xff0000, 0xff00, 0xff, 3200}, {24, 24, 0xff0000, 0xff00, 0xff, 2400}, {16, 16, 0xf800, 0x7e0, 0x1f, 1600},
                                        {8, 8, 0, 0, 0, 800}};
    bool good = true;
    wr(&f, R_WIDTH, 800);
    wr(&f, R_HEIGHT, 600);
    for (unsigned i = 0; i < 4; i++) {
        wr(&f, R_BPP, masks[i][0]);
        good &= rd(&f, R_BPP) == masks[i][0] && rd(&f, R_DEPTH) == masks[i][1] && rd(&f, R_RED) == masks[i][2] && rd(&f, R_GREEN) == masks[i][3] &&
                rd(&f, R_BLUE) == masks[i][4] && rd(&f, R_PITCH) == masks[i][5] && rd(&f, R_FB_SIZE) == masks[i][5] * 600 &&
                rd(&f, R_PSEUDOCOLOR) == (masks[i][0] == 8);
    }
    ok(good, "depth, masks, pitch and size of each format");
    wr(&f, R_BPP, 32);
    wr(&f, R_PITCHLOCK, 4096);
    is_u64(rd(&f, R_PITCH), 4096, "pitch lock");
    wr(&f, R_PITCHLOCK, 0);
    wr(&f, R_WIDTH, 100000);
    is_u64(rd(&f, R_WIDTH), 800, "a width beyond the largest is refused");
    fx_close(&f);
}

static void test_framebuffer(void)
{
    struct fx f;
    fx_open(&f, 16 << 20, true);
    vga_set_mode(f.vm, &mode_03);
    driver_init(&f, 4096, 256 << 10);
    ok((fr(&f, F_CAPS) & 0x375) == 0x375, "ring capabilities: fence, pitch lock, cursor bypass 3, escape, reserve, GMR2, screen object 2 (%x)", fr(&f, F_CAPS));
    fx_frame(&f);
    is_u64(f.sink.sf.width, 720, "hidden: the VGA text stays on the screen");
    wr(&f, R_WIDTH, 800);
    wr(&f, R_HEIGHT, 600);
    wr(&f, R_BPP, 32);
    wr(&f, R_ENABLE, 1);
    fakevm_mmio_write(f.vm, FX_VRAM + 3200 * 20 + 40, 4, 0x336699);
    PUT(&f, 1, 10, 20, 1, 1);
    kick(&f);
    is_u64(rd(&f, R_BUSY), 0, "drained");
    is_u64(fr(&f, F_STOP), 4096 + 20, "STOP follows");
    fx_frame(&f);
    ok(f.sink.sf.width == 800 && f.sink.sf.height == 600 && f.sink.sf.fd == svga_vram(f.dev)->fd, "800 x 600, shown from video memory");
    is_u64(fx_pixel(&f, 10, 20), 0x336699, "pixel");

    /* RECT_COPY, overlapping both ways. */
    for (unsigned y = 0; y < 4; y++)
        fakevm_mmio_write(f.vm, FX_VRAM + 3200 * (100 + y) + 400, 4, y + 1);
    PUT(&f, 3, 100, 100, 100, 101, 1, 4);
    kick(&f);
    bool good = true;
    for (unsigned y = 0; y < 4; y++)
        good &= fx_pixel(&f, 100, 101 + y) == y + 1;
    PUT(&f, 3, 100, 101, 100, 99, 1, 4);
    kick(&f);
    for (unsigned y = 0; y < 4; y++)
        good &= fx_pixel(&f, 100, 99 + y) == y + 1;
    ok(good, "overlapping rectangle copies, down and up");
    fx_frame(&f);
    unsigned updates = f.sink.updates;
    PUT(&f, 25, 5, 6, 7, 8, 99);
    kick(&f);
    fx_frame(&f);
    ok(f.sink.updates == updates + 1 && f.sink.n_last == 1 && f.sink.last[0].x == 5 && f.sink.last[0].y == 6 && f.sink.last[0].w == 7 && f.sink.last[0].h == 8,
       "UPDATE_VERBOSE is the damage, exactly");
    PUT(&f, 1, 0, 0, 1, 1); /* no kick: an old driver that only fills the ring */
    fx_frame(&f);
    fx_frame(&f);
    is_u64(fr(&f, F_STOP), fr(&f, F_NEXT), "the ring is served without a kick");

    /* 8 bits: palette registers. */
    wr(&f, R_BPP, 8);
    wr(&f, R_PALETTE + 3 * 77, 0x11);
    wr(&f, R_PALETTE + 3 * 77 + 1, 0x22);
    wr(&f, R_PALETTE + 3 * 77 + 2, 0x33);
    fakevm_mmio_write(f.vm, FX_VRAM + 800 * 3 + 9, 1, 77);
    PUT(&f, 1, 0, 0, 800, 600);
    kick(&f);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 9, 3), 0x112233, "8 bits with the SVGA palette");
    wr(&f, R_BPP, 16);
    fakevm_mmio_write(f.vm, FX_VRAM + 1600 * 3 + 18, 2, 0xf81f);
    PUT(&f, 2, 0x07e0, 20, 20, 2, 2);
    kick(&f);
    fx_frame(&f);
    ok(fx_pixel(&f, 9, 3) == 0xff00ff && fx_pixel(&f, 21, 21) == 0x00ff00 && fx_pixel(&f, 22, 21) != 0x00ff00, "16 bits, and a fill");
    wr(&f, R_ENABLE, 0);
    fx_frame(&f);
    is_u64(f.sink.sf.width, 720, "disabled: VGA again");
    fx_close(&f);
}

static void test_fences(void)
{
    struct fx f;
    fx_open(&f, 16 << 20, true);
    driver_init(&f, 4096, 256 << 10);
    PUT(&f, 30, 5);
    kick(&f);
    ok(fr(&f, F_FENCE) == 5 && !irq(&f), "a fence; no interrupt while masked");
    wr(&f, R_IRQMASK, 1);
    ok(!irq(&f), "events of the past stay past");
    PUT(&f, 30, 6);
    kick(&f);
    ok(irq(&f) && fakevm_in(f.vm, FX_IO + 8, 4) == 1, "ANY_FENCE");
    fakevm_out(f.vm, FX_IO + 8, 4, 1);
    ok(!irq(&f) && fakevm_in(f.vm, FX_IO + 8, 4) == 0, "acknowledged by writing 1");
    wr(&f, R_IRQMASK, 4);
    fw(&f, F_FENCE_GOAL, 9);
    PUT(&f, 30, 8);
    kick(&f);
    ok(!irq(&f), "FENCE_GOAL is not reached");
    PUT(&f, 30, 10);
    kick(&f);
    ok(irq(&f), "FENCE_GOAL is passed");
    fakevm_out(f.vm, FX_IO + 8, 4, 4);
    fw(&f, F_FENCE, 0xfffffffe);
    fw(&f, F_FENCE_GOAL, 1);
    PUT(&f, 30, 1);
    kick(&f);
    ok(irq(&f), "also across the wrap of the number");
    fakevm_out(f.vm, FX_IO + 8, 4, 7);
    wr(&f, R_IRQMASK, 2);
    PUT(&f, 45);
    kick(&f);
    ok(irq(&f) && fakevm_in(f.vm, FX_IO + 8, 4) == 2, "FIFO_PROGRESS");
    is_u64(fr(&f, F_BUSY), 0, "the ring's BUSY is 0 when all is done");

    /* Wrapping commands: a small ring, many fences and a data command across the end. */
    driver_init(&f, 4096, 4096 + 2048);
    wr(&f, R_CONFIG_DONE, 0);
    wr(&f, R_CONFIG_DONE, 1);
    bool good = true;
    for (unsigned i = 1; i < 1500; i++) {
        PUT(&f, 33, 0, 8, 1, 2, 30, i);
        if (i % 7 == 0) {
            kick(&f);
            good &= fr(&f, F_FENCE) == i;
        }
    }
    ok(good, "commands that wrap around the end of the ring");

    /* A command in two parts. */
    kick(&f);
    PUT(&f, 30);
    kick(&f);
    ok(rd(&f, R_BUSY) == 1 && fr(&f, F_FENCE) == 1499, "an incomplete command waits");
    PUT(&f, 4711);
    kick(&f);
    is_u64(fr(&f, F_FENCE), 4711, "and runs when it is whole");
    fx_close(&f);
}

static void test_screens(void)
{
    struct fx f;
    fx_open(&f, 16 << 20, true);
    uint8_t *ram = fakevm_ram(f.vm);
    driver_init(&f, 4096, 2 << 20);
    wr(&f, R_ENABLE, 1);
    /* A region of three pages, out of order; GMR2 with 64-bit page numbers. */
    PUT(&f, 41, 7, 3);
    PUT(&f, 42, 7, 2, 0, 3, 0x302, 0, 0x300, 0, 0x301, 0);
    /* Screen 0 of 64 x 48, backing store at 1 MiB. */
    PUT(&f, 34, 44, 0, 3, 64, 48, 0, 0, FB, 1 << 20, 256, 0);
    PUT(&f, 36, 7, 0, 256, 32 | 24 << 8);
    for (unsigned i = 0; i < 1024; i++) { /* 16 lines in each page; the image's pages are 302, 300, 301 */
        uint32_t p = 0x020000 + i;
        memcpy(ram + 0x302000 + i * 4, &p, 4);
        p = 0x000000 + i;
        memcpy(ram + 0x300000 + i * 4, &p, 4);
        p = 0x010000 + i;
        memcpy(ram + 0x301000 + i * 4, &p, 4);
    }
    PUT(&f, 37, 0, 0, 0, 0, 64, 48, 0);
    PUT(&f, 30, 1);
    kick(&f);
    is_u64(fr(&f, F_FENCE), 1, "define, remap, screen, image, blit, fence");
    fx_frame(&f);
    ok(f.sink.sf.width == 64 && f.sink.sf.height == 48 && f.sink.sf.fd == svga_vram(f.dev)->fd && f.sink.sf.fd_off == 1 << 20,
       "the screen is shown from its backing store");
    ok(fx_pixel(&f, 0, 0) == 0x020000 && fx_pixel(&f, 63, 15) == 0x0203ff && fx_pixel(&f, 0, 16) == 0x000000 && fx_pixel(&f, 5, 32) == 0x010005,
       "pages in the region's order");
    /* A part, clipped at the right edge; exact damage. */
    uint32_t white = 0xffffff;
    memcpy(ram + 0x302000, &white, 4);
    PUT(&f, 37, 0, 0, 60, 40, 70, 41, 0);
    kick(&f);
    fx_frame(&f);
    ok(fx_pixel(&f, 60, 40) == 0xffffff && fx_pixel(&f, 61, 40) == 0x020001, "a blit that reaches over the edge");
    ok(f.sink.n_last == 1 && f.sink.last[0].x == 60 && f.sink.last[0].y == 40 && f.sink.last[0].w == 4 && f.sink.last[0].h == 1, "and its damage");
    /* 16 bits. */
    memcpy(ram + 0x302000, "\x1f\xf8\xe0\x07", 4);
    PUT(&f, 36, 7, 0, 128, 16 | 16 << 8, 37, 0, 0, 0, 0, 2, 1, 0);
    kick(&f);
    ok(fx_pixel(&f, 0, 0) == 0xff00ff && fx_pixel(&f, 1, 0) == 0x00ff00, "blit from 5-6-5");
    /* Back to the guest, with a region made the old way: descriptor page at 310h. */
    static const uint32_t desc[] = {0x320, 1, 0, 0};
    memcpy(ram + 0x310000, desc, sizeof desc);
    wr(&f, R_GMR_ID, 9);
    wr(&f, R_GMR_DESC, 0x310);
    PUT(&f, 36, 9, 16, 64, 32 | 24 << 8, 38, 1, 1, 0, 0, 2, 1, 0);
    kick(&f);
    uint32_t back[2];
    memcpy(back, ram + 0x320000 + 16 + 64 + 4, 8);
    ok((back[0] & 0xffffff) == 0xff00ff && (back[1] & 0xffffff) == 0x00ff00, "BLIT_SCREEN_TO_GMRFB, GMR by descriptors");

    /* Cursor: alpha image, bypass 3. */
    PUT(&f, 22, 0, 1, 2, 3, 2, 0xff0000ff, 0x80800000, 0, 0xffffffff, 0xff000000, 0x01000000);
    kick(&f);
    ok(f.sink.cur_w == 3 && f.sink.cur_h == 2 && f.sink.cur_hx == 1 && f.sink.cur_hy == 2 - 1 && f.sink.cur[1] == 0x80800000, "alpha cursor");
    fw(&f, F_CUR_ON, 1);
    fw(&f, F_CUR_X, 33);
    fw(&f, F_CUR_Y, 44);
    fw(&f, F_CUR_COUNT, fr(&f, F_CUR_COUNT) + 1);
    fx_frame(&f);
    ok(f.sink.cur_x == 33 && f.sink.cur_y == 44 && f.sink.cur_shown && fr(&f, F_CUR_LAST) == fr(&f, F_CUR_COUNT), "cursor bypass 3");
    wr(&f, 25, 10);
    wr(&f, 26, 11);
    wr(&f, 27, 0);
    ok(!f.sink.cur_shown, "cursor off by register");
    wr(&f, 27, 1);
    ok(f.sink.cur_shown && f.sink.cur_x == 10 && f.sink.cur_y == 11, "on and moved by registers");
    /* Mono: AND 1 XOR 0 clear, AND 0 XOR 1 white, AND 0 XOR 0 black. */
    PUT(&f, 19, 0, 0, 0, 8, 1, 1, 1, 0x0f, 0x40);
    kick(&f);
    ok(f.sink.cur_w == 8 && f.sink.cur[0] == 0xff000000 && f.sink.cur[1] == 0xffffffff && f.sink.cur[4] == 0, "mono cursor");

    /* Two screens side by side: composed. */
    PUT(&f, 34, 44, 1, 1, 32, 48, 64, 0, FB, 2 << 20, 128, 0);
    PUT(&f, 36, FB, 3 << 20, 128, 32 | 24 << 8);
    kick(&f);
    fakevm_mmio_write(f.vm, FX_VRAM + (3 << 20), 4, 0xabcdef);
    PUT(&f, 37, 0, 0, 70, 5, 71, 6, 0xffffffff);
    kick(&f);
    fx_frame(&f);
    ok(f.sink.sf.width == 96 && f.sink.sf.height == 48 && fx_pixel(&f, 70, 5) == 0xabcdef && fx_pixel(&f, 0, 0) == 0xff00ff, "two screens, a blit by virtual coordinates");
    PUT(&f, 35, 1);
    kick(&f);
    fx_frame(&f);
    is_u64(f.sink.sf.width, 64, "one screen again");

    /* State. */
    struct fx b;
    struct err e = {0};
    fx_open(&b, 16 << 20, false);
    memcpy(svga_vram(b.dev)->host, svga_vram(f.dev)->host, 4 << 20);
    memcpy(svga_fifo(b.dev)->host, svga_fifo(f.dev)->host, 2 << 20);
    ok(fakevm_migrate(f.vm, b.vm, &e) == 0, "state round trip");
    if (e.msg[0])
        printf("# %s\n", e.msg);
    b.sink_id = display_attach(b.display, &fx_sink_ops, &b.sink);
    ok(b.sink.sf.width == 64 && fx_pixel(&b, 0, 0) == 0xff00ff && b.sink.cur_w == 8, "the screen and the cursor are back");
    memcpy(fakevm_ram(b.vm) + 0x320000, "\x11\x22\x33\x00", 4);
    PUT(&b, 36, 9, 0, 64, 32 | 24 << 8, 37, 0, 0, 3, 3, 4, 4, 0);
    kick(&b);
    is_u64(fx_pixel(&b, 3, 3), 0x332211, "and so are the guest memory regions");
    fx_close(&b);

    PUT(&f, 35, 0);
    kick(&f);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 3, 3), 0, "no screen: black");
    fx_close(&f);
}

static void test_wrong(void)
{
    struct fx f;
    fx_open(&f, 16 << 20, true);
    driver_init(&f, 4096, 256 << 10);
    wr(&f, R_ENABLE, 1);
    wr(&f, R_WIDTH, 640);
    wr(&f, R_HEIGHT, 480);
    static const uint32_t bad[][12] = {
        {1, 0xfffffff0, 0xfffffff0, 0xffffffff, 0xffffffff},
        {3, 0, 0, 0xffffffff, 0, 0xffffffff, 2},
        {3, 600, 470, 0, 0, 100, 100},
        {2, 1, 0xffffff00, 0, 0x200, 1},
        {34, 44, 99, 1, 64, 48, 0, 0, FB, 0, 256, 0},
        {34, 44, 0, 1, 0x10000, 0x10000, 0, 0, FB, 0, 0x40000, 0},
        {34, 44, 0, 1, 64, 48, 0, 0, FB, 0xfffff000, 256, 0},
        {34, 44, 0, 1, 64, 48, 0, 0, 3, 0, 256, 0},
        {37, 0x80000000, 0x7fffffff, 0x80000000, 0x80000000, 0x7fffffff, 0x7fffffff, 0},
        {38, 0, 0, 0, 0, 0x7fffffff, 0x7fffffff, 0},
        {41, 0xffffffff, 0xffffffff},
        {41, 3, 0xffffffff},
        {42, 3, 1, 0xffffffff, 0xffffffff, 3, 0xffffffff},
        {36, 3, 0xffffffff, 0xffffffff, 0xffffffff},
        {35, 0xffffffff},
        {999},
        {0},
        {1040, 4, 1},
    };
    static const unsigned len[] = {5, 7, 7, 6, 12, 12, 12, 12, 8, 8, 3, 3, 7, 5, 2, 1, 1, 3};
    for (unsigned i = 0; i < sizeof len / sizeof len[0]; i++)
        put(&f, bad[i], len[i]);
    PUT(&f, 30, 77);
    kick(&f);
    is_u64(fr(&f, F_FENCE), 77, "wrong commands are passed over");
    PUT(&f, 22, 0, 0, 0, 0xffff, 0xffff, 0);
    PUT(&f, 30, 78);
    kick(&f);
    PUT(&f, 30, 79);
    kick(&f);
    is_u64(fr(&f, F_FENCE), 79, "a command larger than the ring empties it");
    static const uint32_t rings[][4] = {{0, 0, 0, 0}, {4096, 1 << 31, 4096, 5000}, {4098, 8192, 4098, 4098}, {4096, 8192, 9000, 4096}, {4096, 8192, 4096, 8192},
                                        {0xfffffffc, 0xfffffffc, 0, 0}, {16, 4 << 20, 16, 20}};
    for (unsigned i = 0; i < sizeof rings / sizeof rings[0]; i++) {
        for (unsigned k = 0; k < 4; k++)
            fw(&f, k, rings[i][k]);
        kick(&f);
        rd(&f, R_BUSY);
        fx_frame(&f);
    }
    ok(true, "wrong ring registers do no harm");
    wr(&f, R_GMR_ID, 1);
    wr(&f, R_GMR_DESC, 0xffffffff);
    memcpy(fakevm_ram(f.vm) + 0x5000, "\x00\x10\x00\x00\xff\xff\xff\xff", 8);
    wr(&f, R_GMR_DESC, 5);
    memcpy(fakevm_ram(f.vm) + 0x5000, "\x05\x00\x00\x00\x00\x00\x00\x00", 8); /* a page that leads to itself */
    wr(&f, R_GMR_DESC, 5);
    ok(true, "wrong descriptor lists end");

    /* Much work: one kick does a part, the timer the rest. */
    driver_init(&f, 4096, 256 << 10);
    wr(&f, R_CONFIG_DONE, 0);
    wr(&f, R_CONFIG_DONE, 1);
    for (unsigned i = 0; i < 60; i++)
        PUT(&f, 3, 0, 0, 0, 1, 640, 479);
    PUT(&f, 30, 1000);
    kick(&f);
    ok(fr(&f, F_FENCE) != 1000 && fr(&f, F_BUSY) == 1, "one kick does a bounded amount of work");
    fakevm_advance(f.vm, 50000000);
    ok(fr(&f, F_FENCE) == 1000 && fr(&f, F_BUSY) == 0, "and the rest follows");
    fx_close(&f);
}

static void no_log(void *u, enum log_level l, const char *module, const char *line) { (void)u, (void)l, (void)module, (void)line; }

/* What a window and the user bring: a size that drivers find, a display that is off, a frame soon after input. */
static void test_window(void)
{
    struct fx f;
    fx_open(&f, 16 << 20, true);
    svga_prefer_size(f.dev, 1300, 777);
    ok(rd(&f, R_WIDTH) == 1300 && rd(&f, R_HEIGHT) == 777, "a driver that starts finds the window's size");
    fakevm_reset(f.vm);
    ok(rd(&f, R_WIDTH) == 1300 && rd(&f, R_HEIGHT) == 777, "after a reset too");
    svga_prefer_size(f.dev, 99999, 1);
    ok(rd(&f, R_WIDTH) == 2560 && rd(&f, R_HEIGHT) == 480, "within what the adapter can");
    driver_init(&f, 4096, 2 << 20);
    wr(&f, R_ENABLE, 1);
    wr(&f, R_WIDTH, 800);
    wr(&f, R_HEIGHT, 600);
    svga_prefer_size(f.dev, 1024, 700);
    ok(rd(&f, R_WIDTH) == 800 && rd(&f, R_HEIGHT) == 600, "a driver that runs keeps its mode");
    fx_frame(&f);
    ok(!f.sink.blank, "a mode is set: the display is on");
    PUT(&f, 34, 44, 0, 3, 64, 48, 0, 0, FB, 1 << 20, 256, 0);
    kick(&f);
    fx_frame(&f);
    ok(!f.sink.blank && f.sink.sf.width == 64, "a screen is on");
    PUT(&f, 35, 0);
    kick(&f);
    fx_frame(&f);
    fx_frame(&f);
    ok(f.sink.blank, "the last screen is gone: the display is off");
    PUT(&f, 34, 44, 0, 3, 64, 48, 0, 0, FB, 1 << 20, 256, 0);
    kick(&f);
    fx_frame(&f);
    fx_frame(&f);
    ok(!f.sink.blank, "another: on again");
    wr(&f, R_WIDTH, 640); /* the older framebuffer again */
    wr(&f, R_HEIGHT, 480);
    bool soon = true;
    for (unsigned phase = 5; phase < 50; phase += 10) {
        for (int i = 0; i < 80; i++)
            fx_frame(&f); /* comes to rest */
        fakevm_advance(f.vm, phase * 1000000);
        fakevm_mmio_write(f.vm, FX_VRAM, 4, 0x123400 + phase);
        unsigned n = f.sink.updates;
        display_hurry(f.display);
        fakevm_advance(f.vm, 17000000);
        soon &= f.sink.updates > n || phase < 17; /* the slow tick itself may have been due before */
        soon &= fx_pixel(&f, 0, 0) == 0x123400 + phase;
    }
    ok(soon, "after input the next frame comes within 16 ms");
    fx_close(&f);
}

int main(void)
{
    log_set_sink(no_log, NULL, LOG_ERROR);
    test_registers();
    test_framebuffer();
    test_fences();
    test_screens();
    test_wrong();
    test_window();
    return TAP_DONE();
}
