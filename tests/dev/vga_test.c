/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VGA through its ports and windows. Expected values: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem": write modes and
 * latches from the figures of the graphics controller, colours as 6-bit DAC values widened to 8 bits (v << 2 | v >> 4), pictures drawn by hand.
 */
#include "tests/dev/display_fixture.h"
#include "tests/dev/vga_modes.h"
#include "tests/tap.h"

static void poke(struct fx *f, uint32_t a, unsigned v) { fakevm_mmio_write(f->vm, a, 1, v); }
static unsigned peek(struct fx *f, uint32_t a) { return (unsigned)fakevm_mmio_read(f->vm, a, 1); }
static unsigned plane(struct fx *f, unsigned p, uint32_t off)
{
    vga_outw(f->vm, 0x3ce, 4, p);
    vga_outw(f->vm, 0x3ce, 5, 0);
    return peek(f, 0xa0000 + off);
}

static void test_registers(void)
{
    struct fx f;
    fx_open(&f, 4 << 20, true);
    struct vm *vm = f.vm;
    vga_set_mode(vm, &mode_03);
    fakevm_out(vm, 0x3d4, 1, 0x13);
    is_u64(fakevm_in(vm, 0x3d5, 1), 0x28, "the CRTC's registers read back");
    is_u64(fakevm_in(vm, 0x3b5, 1), 0xff, "the monochrome addresses are silent in a colour mode");
    vga_outw(vm, 0x3d4, 0x11, 0x8e);
    vga_outw(vm, 0x3d4, 0x01, 0x11);
    fakevm_out(vm, 0x3d4, 1, 0x01);
    is_u64(fakevm_in(vm, 0x3d5, 1), 0x4f, "CR11 bit 7 protects CR0 to CR7");
    vga_outw(vm, 0x3d4, 0x07, 0x00);
    fakevm_out(vm, 0x3d4, 1, 0x07);
    is_u64(fakevm_in(vm, 0x3d5, 1), 0x0f, "but not the line compare bit of CR7");
    fakevm_out(vm, 0x3c4, 2, 0xff04);
    is_u64(fakevm_in(vm, 0x3c5, 1), 0x0e, "bits that Memory Mode does not have read 0");
    is_u64(fakevm_in(vm, 0x3cc, 1), 0x67, "Miscellaneous Output reads at 3CC");

    vga_dac(vm, 17, 0x3f, 0x20, 0x01);
    fakevm_out(vm, 0x3c7, 1, 17);
    is_u64(fakevm_in(vm, 0x3c7, 1), 3, "DAC state: read");
    ok(fakevm_in(vm, 0x3c9, 1) == 0x3f && fakevm_in(vm, 0x3c9, 1) == 0x20 && fakevm_in(vm, 0x3c9, 1) == 1, "DAC entries read back in order");
    fakevm_out(vm, 0x3c8, 1, 1);
    is_u64(fakevm_in(vm, 0x3c7, 1), 0, "DAC state: write");
    vga_dac(vm, 17, 0xff, 0xff, 0xff);
    fakevm_out(vm, 0x3c7, 1, 17);
    is_u64(fakevm_in(vm, 0x3c9, 1), 0x3f, "the DAC has six bits");

    fakevm_in(vm, 0x3da, 1);
    fakevm_out(vm, 0x3c0, 1, 0x26);
    is_u64(fakevm_in(vm, 0x3c1, 1), 0x14, "attribute registers read at 3C1");
    fx_close(&f);
}

static void test_retrace(void)
{
    struct fx f;
    fx_open(&f, 4 << 20, true);
    vga_set_mode(f.vm, &mode_03);
    unsigned rises = 0, was = 0, on = 0, hidden = 0, n = 0;
    for (int64_t t = 0; t < 1000000000; t += 10000, n++) {
        unsigned s = (unsigned)fakevm_in(f.vm, 0x3da, 1);
        rises += (s & 8) && !was;
        on += (s & 8) != 0;
        hidden += s & 1;
        was = s & 8;
        fakevm_advance(f.vm, 10000);
    }
    /* 28.322 MHz / (900 dots x 449 lines) = 70.09 Hz; retrace lasts 2 of 449 lines; 720 x 400 of 900 x 449 are shown. */
    ok(rises >= 69 && rises <= 71, "vertical retrace at 70 Hz (%u)", rises);
    ok(on * 449 > n && on * 449 < n * 4, "and two lines long (%u of %u)", on, n);
    ok(hidden > n * 27 / 100 && hidden < n * 31 / 100, "display enable is off 29 %% of the time (%u of %u)", hidden, n);
    fx_close(&f);
}

static void test_write_modes(void)
{
    struct fx f;
    fx_open(&f, 4 << 20, true);
    struct vm *vm = f.vm;
    vga_set_mode(vm, &mode_12);

    /* Mode 0: CPU data to the planes of the map mask. */
    vga_outw(vm, 0x3c4, 2, 0x05);
    poke(&f, 0xa0010, 0xa5);
    ok(plane(&f, 0, 0x10) == 0xa5 && plane(&f, 1, 0x10) == 0 && plane(&f, 2, 0x10) == 0xa5 && plane(&f, 3, 0x10) == 0, "map mask");
    /* Rotate by 3, XOR with the latch, bit mask F0h. */
    vga_outw(vm, 0x3c4, 2, 0x0f);
    poke(&f, 0xa0020, 0x3c);
    vga_outw(vm, 0x3ce, 3, 0x18 | 3);
    vga_outw(vm, 0x3ce, 8, 0xf0);
    peek(&f, 0xa0020);
    poke(&f, 0xa0020, 0x0f); /* rotated: E1h; xor 3Ch: DDh; the low half stays: DCh */
    is_u64(plane(&f, 1, 0x20), 0xdc, "rotate, logical function, bit mask");
    vga_outw(vm, 0x3ce, 3, 0);
    vga_outw(vm, 0x3ce, 8, 0xff);
    /* Set/Reset on planes 0 and 1: planes 2 and 3 take the data. */
    vga_outw(vm, 0x3ce, 0, 0x01);
    vga_outw(vm, 0x3ce, 1, 0x03);
    poke(&f, 0xa0030, 0x42);
    ok(plane(&f, 0, 0x30) == 0xff && plane(&f, 1, 0x30) == 0 && plane(&f, 2, 0x30) == 0x42, "set/reset");
    vga_outw(vm, 0x3ce, 1, 0);

    /* Mode 1: the latches. */
    peek(&f, 0xa0030);
    vga_outw(vm, 0x3ce, 5, 1);
    poke(&f, 0xa0031, 0x99);
    ok(plane(&f, 0, 0x31) == 0xff && plane(&f, 2, 0x31) == 0x42, "write mode 1 copies the latches");
    /* Mode 2: the data is a colour. */
    peek(&f, 0xa0040);
    vga_outw(vm, 0x3ce, 5, 2);
    vga_outw(vm, 0x3ce, 8, 0x81);
    poke(&f, 0xa0040, 0x0a);
    vga_outw(vm, 0x3ce, 8, 0xff);
    ok(plane(&f, 0, 0x40) == 0 && plane(&f, 1, 0x40) == 0x81 && plane(&f, 3, 0x40) == 0x81, "write mode 2");
    /* Mode 3: data AND bit mask selects, colour from set/reset. */
    vga_outw(vm, 0x3ce, 0, 0x06);
    peek(&f, 0xa0050);
    vga_outw(vm, 0x3ce, 5, 3);
    vga_outw(vm, 0x3ce, 8, 0x3c);
    poke(&f, 0xa0050, 0x18 | 0x80);
    vga_outw(vm, 0x3ce, 8, 0xff);
    ok(plane(&f, 0, 0x50) == 0 && plane(&f, 1, 0x50) == 0x18 && plane(&f, 2, 0x50) == 0x18, "write mode 3");
    /* Read mode 1: which pixels have colour 6 where only planes 1 and 2 count? */
    vga_outw(vm, 0x3ce, 5, 8);
    vga_outw(vm, 0x3ce, 2, 0x06);
    vga_outw(vm, 0x3ce, 7, 0x06);
    is_u64(peek(&f, 0xa0050), 0x18, "read mode 1, colour compare");
    vga_outw(vm, 0x3ce, 7, 0);
    is_u64(peek(&f, 0xa0051), 0xff, "no plane cares: everything matches");

    /* Colours on the screen: attribute 3 (cyan, DAC 3) at the first pixel, then panned away. */
    vga_outw(vm, 0x3ce, 5, 0);
    vga_outw(vm, 0x3ce, 0, 0);
    vga_outw(vm, 0x3c4, 2, 0x03);
    poke(&f, 0xa0000, 0x80);
    fx_frame(&f);
    ok(f.sink.sf.width == 640 && f.sink.sf.height == 480, "mode 12h is 640 x 480");
    is_u64(fx_pixel(&f, 0, 0), 0x00aaaa, "colour 3 is 0/42/42");
    is_u64(fx_pixel(&f, 1, 0), 0, "its neighbour is black");
    is_u64(fx_pixel(&f, 128 + 3, 0), fx_pixel(&f, 0x10 * 8 + 3, 0), "bytes are eight pixels");
    vga_attr(vm, 0x13, 1);
    vga_outw(vm, 0x3c4, 2, 0x0c);
    poke(&f, 0xa0000, 0x40);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 0, 0), 0xff5555, "pel panning shifts left by one: colour 12, bright red");
    vga_attr(vm, 0x13, 0);
    /* Line compare at 99: line 100 shows address 0. */
    vga_outw(vm, 0x3d4, 0x18, 99);
    vga_outw(vm, 0x3d4, 0x07, 0x2e);
    vga_outw(vm, 0x3d4, 0x09, 0x00);
    vga_outw(vm, 0x3d4, 0x0c, 0x10); /* the upper part starts at 1000h */
    fx_frame(&f);
    ok(fx_pixel(&f, 0, 0) == 0 && fx_pixel(&f, 0, 99) == 0 && fx_pixel(&f, 0, 100) == 0x00aaaa, "split screen by line compare");
    fx_close(&f);
}

static void test_mode13(void)
{
    struct fx f;
    fx_open(&f, 4 << 20, true);
    struct vm *vm = f.vm;
    vga_set_mode(vm, &mode_13);
    vga_dac(vm, 200, 0x3f, 0x15, 0x2a);
    poke(&f, 0xa0000 + 320 * 7 + 11, 200);
    fx_frame(&f);
    ok(f.sink.sf.width == 640 && f.sink.sf.height == 400, "mode 13h: 640 dots in 400 scan lines");
    is_u64(fx_pixel(&f, 22, 14), 0xff55aa, "a palette pixel is its DAC entry");
    ok(fx_pixel(&f, 23, 15) == 0xff55aa && fx_pixel(&f, 24, 14) == 0 && fx_pixel(&f, 22, 16) == 0 && fx_pixel(&f, 21, 14) == 0 && fx_pixel(&f, 22, 13) == 0,
       "two dots wide, two lines high");
    const struct memrange *r = memview_find(memmap_view(vm, false), 0xa0000);
    ok(r && r->mr->kind == MR_RAM, "the window is plain memory now");
    unsigned before = f.sink.updates;
    poke(&f, 0xa0000 + 320 * 100, 200);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 0, 200), 0xff55aa, "a write to the plain memory is noticed");
    ok(f.sink.updates > before && f.sink.last[0].h < 40, "and only a few lines are drawn again");
    before = f.sink.updates;
    fx_frame(&f);
    is_u64(f.sink.updates, before, "nothing changed: no update");

    /* Mode X: chain-4 off, byte addressing. */
    vga_outw(vm, 0x3c4, 4, 0x06);
    vga_outw(vm, 0x3d4, 0x14, 0x00);
    vga_outw(vm, 0x3d4, 0x17, 0xe3);
    vga_outw(vm, 0x3c4, 2, 0x04);
    poke(&f, 0xa0000 + 80 * 3, 200);
    fx_frame(&f);
    ok(fx_pixel(&f, 4, 6) == 0xff55aa && fx_pixel(&f, 3, 6) == 0 && fx_pixel(&f, 6, 6) == 0, "mode X: plane 2 of address 240 is pixel (2, 3)");
    r = memview_find(memmap_view(vm, false), 0xa0000);
    ok(r && r->mr->kind == MR_MMIO, "the window is not plain memory any more");
    vga_outw(vm, 0x3d4, 0x0d, 80 * 3);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 4, 0), 0xff55aa, "start address");
    fx_close(&f);
}

static void test_cga(void)
{
    struct fx f;
    fx_open(&f, 4 << 20, true);
    vga_set_mode(f.vm, &mode_04);
    poke(&f, 0xb8000, 0xe4);      /* pixels 3 2 1 0 */
    poke(&f, 0xb8001, 0x1b);      /* pixels 0 1 2 3 */
    poke(&f, 0xb8000 + 0x2000, 0x40);
    fx_frame(&f);
    ok(f.sink.sf.width == 640 && f.sink.sf.height == 400, "mode 4: 640 x 400");
    /* Colours 1 to 3 are attributes 13h, 15h and 17h, which the palette set here makes G+g+b, R+g+b and R+G+g+b. */
    static const unsigned want[8] = {3, 2, 1, 0, 0, 1, 2, 3};
    static const uint32_t rgb[4] = {0, 0x00ffaa, 0xaa55aa, 0xaaffaa};
    bool good = true;
    for (unsigned i = 0; i < 8; i++)
        good &= fx_pixel(&f, i * 2, 0) == rgb[want[i]] && fx_pixel(&f, i * 2 + 1, 1) == rgb[want[i]];
    ok(good, "two bits a pixel, bytes in odd and even planes");
    ok(fx_pixel(&f, 0, 2) == rgb[1] && fx_pixel(&f, 0, 4) == 0, "odd lines come from 2000h");
    fx_close(&f);
}

static void load_glyph(struct fx *f, uint32_t table, unsigned ch, const uint8_t *rows)
{
    struct vm *vm = f->vm;
    vga_outw(vm, 0x3c4, 2, 0x04);
    vga_outw(vm, 0x3c4, 4, 0x06);
    vga_outw(vm, 0x3ce, 5, 0x00);
    vga_outw(vm, 0x3ce, 6, 0x04);
    for (unsigned i = 0; i < 16; i++)
        poke(f, 0xa0000 + table + ch * 32 + i, rows[i]);
    vga_outw(vm, 0x3c4, 2, 0x03);
    vga_outw(vm, 0x3c4, 4, 0x02);
    vga_outw(vm, 0x3ce, 5, 0x10);
    vga_outw(vm, 0x3ce, 6, 0x0e);
}

/* The dots of one line of a cell, leftmost first, '#' where the pixel has the colour fg. */
static void cell_line(const struct fx *f, unsigned col, unsigned y, unsigned width, uint32_t fg, char *out)
{
    for (unsigned i = 0; i < width; i++)
        out[i] = fx_pixel(f, col * width + i, y) == fg ? '#' : '.';
    out[width] = 0;
}
static bool cell_is(const struct fx *f, unsigned col, unsigned y, uint32_t fg, const char *want)
{
    char got[32];
    cell_line(f, col, y, (unsigned)strlen(want), fg, got);
    if (strcmp(got, want))
        printf("# line %u: got %s, want %s\n", y, got, want);
    return !strcmp(got, want);
}

static void test_text(void)
{
    struct fx f;
    fx_open(&f, 4 << 20, true);
    struct vm *vm = f.vm;
    vga_set_mode(vm, &mode_03);
    static const uint8_t letter[16] = {0, 0, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6, 0xc6};
    static const uint8_t bar[16] = {0, 0, 0, 0, 0, 0, 0, 0xff};
    static const uint8_t box[16] = {0xff, 0x81, 0x81, 0xff};
    load_glyph(&f, 0, 'A', letter);
    load_glyph(&f, 0, 0xc4, bar);
    load_glyph(&f, 0, 0xf0, bar);
    load_glyph(&f, 0x4000, 'A', box);
    fakevm_mmio_write(vm, 0xb8000, 2, 0x1e41); /* yellow on blue */
    fakevm_mmio_write(vm, 0xb8002, 2, 0x0fc4);
    fakevm_mmio_write(vm, 0xb8004, 2, 0x0ff0);
    fakevm_mmio_write(vm, 0xb8006, 2, 0x0741);
    vga_outw(vm, 0x3d4, 0x0a, 0x20); /* no cursor */
    fx_frame(&f);
    ok(f.sink.sf.width == 720 && f.sink.sf.height == 400, "80 x 25 text is 720 x 400");
    ok(cell_is(&f, 0, 0, 0xffff55, ".........") && cell_is(&f, 0, 2, 0xffff55, "...#.....") && cell_is(&f, 0, 4, 0xffff55, ".##.##...") &&
           cell_is(&f, 0, 7, 0xffff55, "#######.."),
       "the glyph, in yellow");
    is_u64(fx_pixel(&f, 0, 0), 0x0000aa, "on blue");
    ok(cell_is(&f, 1, 7, 0xffffff, "#########"), "line graphics repeat the eighth dot");
    ok(cell_is(&f, 2, 7, 0xffffff, "########."), "other characters do not");
    is_u64(fakevm_mmio_read(vm, 0xb8000, 2), 0x1e41, "text memory reads back");

    /* Attribute bit 3 chooses the character set: map A (bit set) at 4000h, map B at 0. */
    vga_outw(vm, 0x3c4, 3, 0x04);
    fx_frame(&f);
    ok(cell_is(&f, 0, 1, 0xffff55, "#......#.") && cell_is(&f, 3, 2, 0xaaaaaa, "...#....."), "two character maps");
    vga_outw(vm, 0x3c4, 3, 0x00);

    /* Eight-dot cells. */
    vga_outw(vm, 0x3c4, 1, 0x01);
    fx_frame(&f);
    ok(f.sink.sf.width == 640 && cell_is(&f, 0, 7, 0xffff55, "#######."), "eight-dot cells: 640 x 400");
    vga_outw(vm, 0x3c4, 1, 0x00);

    /* Cursor: at cell 81 (column 1, row 1), scan lines 13 and 14; 8 frames on, 8 frames off. */
    vga_outw(vm, 0x3d4, 0x0a, 13);
    vga_outw(vm, 0x3d4, 0x0b, 14);
    vga_outw(vm, 0x3d4, 0x0e, 0);
    vga_outw(vm, 0x3d4, 0x0f, 81);
    fakevm_mmio_write(vm, 0xb8000 + 162, 2, 0x0720);
    unsigned on = 0, turns = 0, was = 2;
    bool shape = true;
    for (int i = 0; i < 100; i++) {
        fakevm_advance(vm, 20000000);
        unsigned now = fx_pixel(&f, 9, 16 + 13) == 0xaaaaaa;
        shape &= !now || (cell_is(&f, 1, 16 + 14, 0xaaaaaa, "#########") && cell_is(&f, 1, 16 + 12, 0xaaaaaa, ".........") &&
                          cell_is(&f, 1, 16 + 15, 0xaaaaaa, "........."));
        on += now;
        turns += was != 2 && now != was;
        was = now;
    }
    ok(shape, "the cursor covers scan lines 13 and 14 of its cell");
    ok(on > 40 && on < 60 && turns >= 15 && turns <= 19, "and blinks at 1/16 of 70 Hz (%u of 100 on, %u turns in 2 s)", on, turns);

    /* Blinking attribute: half the cursor's rate; without it bit 7 is a bright background. */
    vga_outw(vm, 0x3d4, 0x0a, 0x20);
    fakevm_mmio_write(vm, 0xb8000, 2, 0x8f41);
    on = turns = 0, was = 2;
    for (int i = 0; i < 100; i++) {
        fakevm_advance(vm, 20000000);
        unsigned now = fx_pixel(&f, 0, 7) == 0xffffff;
        on += now;
        turns += was != 2 && now != was;
        was = now;
    }
    ok(on > 38 && on < 62 && turns >= 7 && turns <= 10, "characters blink at 1/32 (%u of 100 on, %u turns)", on, turns);
    vga_attr(vm, 0x10, 0x04);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 0, 0), 0x555555, "with blinking off, bit 7 is a bright background");

    /* 40 columns: dot clock halved. */
    vga_outw(vm, 0x3d4, 0x11, 0x0e);
    vga_outw(vm, 0x3d4, 0x01, 0x27);
    vga_outw(vm, 0x3c4, 1, 0x08);
    fx_frame(&f);
    ok(f.sink.sf.width == 720 && fx_pixel(&f, 0, 7) == 0xffffff && fx_pixel(&f, 13, 7) == 0xffffff && fx_pixel(&f, 14, 7) != 0xffffff,
       "40 columns: dots twice as wide");

    /* Screen off. */
    vga_outw(vm, 0x3c4, 1, 0x28);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 0, 7), 0, "Screen Off blanks");
    fx_close(&f);
}

static void dispi(struct vm *vm, unsigned i, unsigned v)
{
    fakevm_out(vm, 0x1ce, 2, i);
    fakevm_out(vm, 0x1cf, 2, v);
}
static unsigned dispi_get(struct vm *vm, unsigned i)
{
    fakevm_out(vm, 0x1ce, 2, i);
    return (unsigned)fakevm_in(vm, 0x1cf, 2);
}
static void vbe_mode(struct vm *vm, unsigned w, unsigned h, unsigned bpp)
{
    dispi(vm, 4, 0);
    dispi(vm, 3, bpp);
    dispi(vm, 1, w);
    dispi(vm, 2, h);
    dispi(vm, 4, 0x41);
}

static void test_vbe(void)
{
    struct fx f;
    fx_open(&f, 4 << 20, true);
    struct vm *vm = f.vm;
    vga_set_mode(vm, &mode_03);
    dispi(vm, 0, 0xb0c0);
    is_u64(dispi_get(vm, 0), 0xb0c0, "id B0C0 is taken");
    dispi(vm, 0, 0xb0c5);
    is_u64(dispi_get(vm, 0), 0xb0c5, "id B0C5 is taken");
    dispi(vm, 0, 0xb0c6);
    is_u64(dispi_get(vm, 0), 0xb0c5, "id B0C6 is not");
    is_u64(dispi_get(vm, 10), 64, "video memory in 64 KiB");
    dispi(vm, 4, 2);
    ok(dispi_get(vm, 1) == 2560 && dispi_get(vm, 2) == 1600 && dispi_get(vm, 3) == 32, "GETCAPS");
    dispi(vm, 4, 0);

    fakevm_mmio_write(vm, FX_VRAM, 4, 0x123456);
    vbe_mode(vm, 800, 600, 32);
    is_u64(dispi_get(vm, 4), 0x41, "mode is on");
    is_u64(fakevm_mmio_read(vm, FX_VRAM, 4), 0, "and cleared");
    is_u64(dispi_get(vm, 6), 800, "virtual width");
    is_u64(dispi_get(vm, 7), (4 << 20) / 3200, "virtual height is what fits");
    fakevm_mmio_write(vm, FX_VRAM + 3200 * 10 + 20 * 4, 4, 0x00c0ffee);
    fx_frame(&f);
    ok(f.sink.sf.width == 800 && f.sink.sf.height == 600 && f.sink.sf.fd == svga_vram(f.dev)->fd, "32 bits: the surface is video memory");
    is_u64(fx_pixel(&f, 20, 10), 0xc0ffee, "a pixel");
    dispi(vm, 9, 10);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 20, 0), 0xc0ffee, "Y offset");
    dispi(vm, 9, 5000);
    is_u64(dispi_get(vm, 9), 10, "an offset outside the virtual screen is refused");
    unsigned modes = f.sink.modes;
    fakevm_mmio_write(vm, FX_VRAM + 3200 * 300, 4, 1);
    fx_frame(&f);
    ok(f.sink.modes == modes && f.sink.n_last == 1 && f.sink.last[0].y <= 290 && f.sink.last[0].y >= 288 && f.sink.last[0].h <= 3, "one page of damage");

    /* Banked window: bank 3 of 64 KiB. */
    fakevm_out(vm, 0x3c2, 1, 0x63);
    vga_outw(vm, 0x3ce, 6, 5);
    dispi(vm, 5, 3);
    fakevm_mmio_write(vm, 0xa0004, 4, 0xabcdef);
    is_u64(fakevm_mmio_read(vm, FX_VRAM + 0x30004, 4), 0xabcdef, "bank 3 at A0000h");
    dispi(vm, 5, 64);
    is_u64(dispi_get(vm, 5), 3, "no bank behind the end");

    struct {
        unsigned bpp;
        uint32_t raw, rgb;
        unsigned size;
    } t[] = {{15, 0x7fe0, 0xffff00, 2}, {16, 0x07ff, 0x00ffff, 2}, {24, 0x123456, 0x123456, 3}, {8, 9, 0xff55aa, 1}};
    for (unsigned i = 0; i < 4; i++) {
        vbe_mode(vm, 640, 480, t[i].bpp);
        vga_dac(vm, 9, 0x3f, 0x15, 0x2a);
        for (unsigned k = 0; k < t[i].size; k++)
            fakevm_mmio_write(vm, FX_VRAM + (640 * 5 + 7) * t[i].size + k, 1, t[i].raw >> (8 * k) & 0xff);
        fx_frame(&f);
        ok(f.sink.sf.width == 640 && fx_pixel(&f, 7, 5) == t[i].rgb && fx_pixel(&f, 8, 5) == (t[i].bpp == 8 ? fx_pixel(&f, 0, 0) : 0), "%u bits per pixel", t[i].bpp);
    }
    dispi(vm, 4, 0x61);
    vga_dac(vm, 9, 0x81, 0x82, 0x83);
    fx_frame(&f);
    is_u64(fx_pixel(&f, 7, 5), 0x818283, "8-bit DAC");

    /* 4 bits: planes through the VGA window. */
    vga_set_mode(vm, &mode_12);
    vbe_mode(vm, 800, 600, 4);
    vga_outw(vm, 0x3c4, 2, 0x0c);
    poke(&f, 0xa0000 + 100 * 599 + 99, 0x01);
    fx_frame(&f);
    ok(f.sink.sf.width == 800 && f.sink.sf.height == 600 && fx_pixel(&f, 799, 599) == 0xff5555, "4 bits per pixel, planar");
    dispi(vm, 4, 0);
    fx_frame(&f);
    ok(f.sink.sf.height == 480, "off: the VGA is back");
    vbe_mode(vm, 2560, 1600, 32);
    is_u64(dispi_get(vm, 4) & 1, 0, "a mode larger than video memory stays off");
    fx_close(&f);
}

static void test_state(void)
{
    struct fx a, b;
    struct err e = {0};
    fx_open(&a, 4 << 20, true);
    vga_set_mode(a.vm, &mode_13);
    vga_dac(a.vm, 3, 1, 2, 3);
    fakevm_out(a.vm, 0x3c9, 1, 5);
    fx_open(&b, 4 << 20, false);
    ok(fakevm_migrate(a.vm, b.vm, &e) == 0, "state round trip");
    if (e.msg[0])
        printf("# %s\n", e.msg);
    b.sink_id = display_attach(b.display, &fx_sink_ops, &b.sink);
    ok(b.sink.sf.width == 640 && b.sink.sf.height == 400, "the loaded adapter shows the mode");
    fakevm_out(b.vm, 0x3c7, 1, 3);
    is_u64(fakevm_in(b.vm, 0x3c9, 1), 1, "and has the palette");
    fx_close(&a);
    fx_close(&b);
}

int main(void)
{
    test_registers();
    test_retrace();
    test_write_modes();
    test_mode13();
    test_cga();
    test_text();
    test_vbe();
    test_state();
    return TAP_DONE();
}
