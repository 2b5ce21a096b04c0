# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs of DOS do with a VGA: every mode of the video BIOS, and its registers driven by hand. vgaprobe.S carries the commands out; the
pictures expected are those that QEMU shows of the same commands (RUNNER=qemu prints them), as a digest of size and colours in six bits. Without the
ninth dots of characters: QEMU repeats the eighth from B0h on, the VGA from C0h (tests/dev/vga_test.c), and in 40 columns it has none. Part of
boot_test.py."""
import hashlib
import os
import random
import struct

from boot_test import HERE, RUNNER, Guest, GuestError, check, keep_picture, run, test

SEQ, GFX, CRTC, MONO_CRTC = 0x3c4, 0x3ce, 0x3d4, 0x3b4


class Probe:
    def __init__(self, work):
        obj, disk = os.path.join(work, "vgaprobe.o"), os.path.join(work, "vgaprobe.img")
        run("as", "--32", "-I", HERE, HERE + "/vgaprobe.S", "-o", obj)
        run("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", obj, "-o", disk)
        with open(disk, "ab") as f:
            f.truncate(1 << 20)
        self.g = Guest("vga", disk=disk, mem=32, vnc=True, qemu_args=["-vga", "vmware"])

    def __enter__(self):
        self.g.start()
        self.g.expect("VGAPROBE\r\n", 60)
        return self

    def __exit__(self, *a):
        self.g.kill()

    def answer(self, n):
        at = self.g.pos
        while len(self.g.serial) < at + n:
            if not self.g._pump(20):
                raise GuestError("no answer" + self.g.tail())
        self.g.pos = at + n
        return bytes(self.g.serial[at:at + n])

    def sync(self):
        self.g.send(b"?")
        check(self.answer(1) == b"!", "the probe has lost its way")

    def int10(self, ax, bx=0, cx=0, dx=0, es=0, bp=0):
        self.g.send(b"V" + struct.pack("<6H", ax, bx, cx, dx, es, bp))
        return struct.unpack("<4H", self.answer(8))

    def out(self, port, value):
        self.g.send(b"O" + struct.pack("<HB", port, value))

    def reg(self, port, index, value):
        self.g.send(b"W" + struct.pack("<HH", port, value << 8 | index))

    def inb(self, port):
        self.g.send(b"I" + struct.pack("<H", port))
        return self.answer(1)[0]

    def get(self, port, index):
        self.out(port, index)
        return self.inb(port + 1)

    def poke(self, seg, off, data):
        for at in range(0, len(data), 512):  # what the port's queue holds has an end
            part = data[at:at + 512]
            self.g.send(b"M" + struct.pack("<3H", seg, off + at, len(part)) + part)
            self.sync()

    def peek(self, seg, off, n):
        self.g.send(b"R" + struct.pack("<3H", seg, off, n))
        return self.answer(n)

    def fill(self, seg, off, n, value):
        self.g.send(b"F" + struct.pack("<3HB", seg, off, n, value))

    def invert(self, seg, off, n):
        self.g.send(b"X" + struct.pack("<3H", seg, off, n))

    def copy(self, seg, src, dst, n):
        self.g.send(b"C" + struct.pack("<4H", seg, src, dst, n))

    def mode(self, n):
        self.int10(n)
        if n < 4 or n == 7:
            self.int10(0x0100, cx=0x2000)  # no cursor: it blinks

    def palette(self, colours):
        self.out(0x3c8, 0)
        for c in colours:
            for v in c:
                self.out(0x3c9, v)

    def picture(self):
        """The screen when it has come to rest."""
        self.sync()
        last = None
        for _ in range(40):
            self.g.settle(0.1)
            vnc = self.g.screen()
            img = vnc.screenshot()
            vnc.close()
            if last and (img.width, img.height, img.rgb) == (last.width, last.height, last.rgb):
                return img
            last = img
        raise GuestError("the screen does not come to rest")


def noise(n, seed):
    return random.Random(seed).randbytes(n)


# -- scenes: each draws from a mode's beginning ---------------------------------------------------------------------------------

def text_page(p, seg, cols, rows):
    """All characters in all colours without blinking ones."""
    p.int10(0x1003, 0)  # intensity in place of blinking
    p.poke(seg, 0, b"".join(bytes([i & 255, (i * 7 + i // 256) & 255]) for i in range(cols * rows)))


def text(mode):
    return lambda p: (p.mode(mode), text_page(p, 0xb000 if mode == 7 else 0xb800, 40 if mode < 2 else 80, 25))


def text_font(call, rows):
    def scene(p):
        p.mode(3)
        p.int10(call, 0)
        p.int10(0x0100, cx=0x2000)
        text_page(p, 0xb800, 80, rows)
    return scene


def text_two_fonts(p):
    """512 characters: attribute bit 3 chooses the second map, which is the first upside down."""
    p.mode(3)
    p.reg(SEQ, 4, 7)
    p.reg(SEQ, 2, 4)
    p.reg(GFX, 4, 2)
    p.reg(GFX, 5, 0)
    p.reg(GFX, 6, 4)
    font = p.peek(0xa000, 0, 0x1000) + p.peek(0xa000, 0x1000, 0x1000)
    p.poke(0xa000, 0x4000, b"".join(font[c * 32:c * 32 + 16][::-1] + bytes(16) for c in range(256)))
    p.reg(SEQ, 4, 3)
    p.reg(SEQ, 2, 3)
    p.reg(GFX, 4, 0)
    p.reg(GFX, 5, 0x10)
    p.reg(GFX, 6, 0x0e)
    p.int10(0x1103, 0x0004)  # map A: 2 of 8 in the second 16 KiB, map B: the first
    text_page(p, 0xb800, 80, 25)


def text_start(p):
    """A start address inside the page, and a new offset."""
    p.mode(3)
    text_page(p, 0xb800, 80, 50)
    p.reg(CRTC, 0x0c, 0x01)
    p.reg(CRTC, 0x0d, 0x43)
    p.reg(CRTC, 0x13, 38)


def split(p, start, line):
    """The picture begins at start; the lines after line (below 256) begin at address 0."""
    p.reg(CRTC, 0x0c, start >> 8)
    p.reg(CRTC, 0x0d, start & 255)
    p.reg(CRTC, 0x18, line)
    p.reg(CRTC, 7, p.get(CRTC, 7) & ~0x10)
    p.reg(CRTC, 9, p.get(CRTC, 9) & ~0x40)


def text_split(p):
    p.mode(3)
    text_page(p, 0xb800, 80, 50)
    split(p, 0x200, 0x9f)


def cga(mode):
    def scene(p):
        p.mode(mode)
        p.poke(0xb800, 0, noise(4000, mode))
        p.poke(0xb800, 0x2000, noise(4000, mode + 1))
        p.fill(0xb800, 4000, 4000, 0x1b)
    return scene


def cga_palette(p):
    cga(4)(p)
    p.int10(0x0b00, 0x0100)  # the other set of colours
    p.int10(0x0b00, 0x0003)  # and a background


def planar(mode, size):
    def scene(p):
        p.mode(mode)
        for plane in range(4):
            p.reg(SEQ, 2, 1 << plane)
            p.poke(0xa000, 0, noise(2000, mode * 4 + plane))
            for at in range(2000, size - 2000, 4000):
                p.fill(0xa000, at, 2000, (0x55, 0x33, 0x0f, 0xf0)[plane])
        p.reg(SEQ, 2, 15)
    return scene


def write_modes(p):
    """Set/reset, rotation and logical functions, bit mask, latches, write modes 1 to 3."""
    p.mode(0x12)
    band = 80 * 30
    p.reg(SEQ, 2, 15)
    for k in range(4):  # mode 0: rotation and function over a background
        base = k * band
        for plane in range(4):
            p.reg(SEQ, 2, 1 << plane)
            p.poke(0xa000, base, noise(800, 100 + plane))
        p.reg(SEQ, 2, 15)
        p.peek(0xa000, base + 3, 1)
        p.reg(GFX, 3, k << 3 | (k + 1))
        p.reg(GFX, 1, 5 if k & 1 else 0)
        p.reg(GFX, 0, 6)
        p.reg(GFX, 8, 0xff if k < 2 else 0x7c)
        p.invert(0xa000, base + 100, 500)
        p.fill(0xa000, base + 700, 100, 0x9a)
        p.reg(GFX, 3, 0)
        p.reg(GFX, 1, 0)
        p.reg(GFX, 8, 0xff)
    p.reg(GFX, 5, 1)
    p.copy(0xa000, 0, 5 * band, 1600)
    p.reg(GFX, 5, 2)
    for k in range(16):
        p.reg(GFX, 8, 0xff >> (k & 3))
        p.peek(0xa000, 6 * band + k * 100, 1)
        p.fill(0xa000, 6 * band + k * 100, 90, k)
    p.reg(GFX, 8, 0x3e)
    p.reg(GFX, 5, 3)
    p.reg(GFX, 0, 0x0b)
    p.reg(GFX, 3, 2)
    p.peek(0xa000, 10, 1)
    p.fill(0xa000, 8 * band, 1000, 0xb7)
    p.reg(GFX, 5, 0)
    p.reg(GFX, 3, 0)
    p.reg(GFX, 8, 0xff)
    p.reg(GFX, 0, 0)


def ega_palette(p):
    """Mode 10h with another palette in the attribute controller, and mode 12h's colours by the DAC."""
    planar(0x10, 28000)(p)
    for i in range(16):
        p.int10(0x1000, (63 - i * 3) << 8 | i)
    p.int10(0x1010, 63, 0x2010, 0x3f00)


def mode13(p):
    p.mode(0x13)
    p.poke(0xa000, 0, bytes(range(256)) * 40)
    for at in range(10240, 64000, 320):
        p.fill(0xa000, at, 320, at // 320)


def mode13_dac(p):
    mode13(p)
    p.palette([(i >> 2 & 63, (i * 5) & 63, 63 - (i & 63)) for i in range(256)])


def mode13_gray(p):
    mode13(p)
    p.int10(0x101b, 0, 256)


def mode_x(lines, chain=False):
    """320 pixels in four planes, 200, 240 or 400 lines."""
    def scene(p):
        p.mode(0x13)
        p.reg(SEQ, 4, 6)
        p.reg(CRTC, 0x14, 0)
        p.reg(CRTC, 0x17, 0xe3)
        if lines == 240:
            p.reg(SEQ, 0, 1)
            p.out(0x3c2, 0xe3)
            p.reg(SEQ, 0, 3)
            p.reg(CRTC, 0x11, p.get(CRTC, 0x11) & 0x7f)
            for i, v in ((6, 0x0d), (7, 0x3e), (0x10, 0xea), (0x11, 0xac), (0x12, 0xdf), (0x15, 0xe7), (0x16, 0x06)):
                p.reg(CRTC, i, v)
        if lines == 400:
            p.reg(CRTC, 9, p.get(CRTC, 9) & ~0x9f)
        for plane in range(4):
            p.reg(SEQ, 2, 1 << plane)
            p.poke(0xa000, 0, noise(2000, 300 + plane))
            for y in range(30, lines):
                p.fill(0xa000, y * 80, 80, (y + plane * 50) & 255)
        p.reg(SEQ, 2, 15)
        p.reg(GFX, 5, 0x41)
        p.copy(0xa000, 0, 80 * 100, 800)
        p.reg(GFX, 5, 0x40)
    return scene


def mode_x_split(p):
    mode_x(200)(p)
    split(p, 0x2010, 0xc7)


def teletype(p):
    """The BIOS' own ways of drawing: characters in a graphics mode, scrolling, pixels."""
    p.mode(0x12)
    for i, c in enumerate(b"The quick brown fox\r\njumps over\r\n"):
        p.int10(0x0e00 | c, i & 15)
    for i in range(60):
        p.int10(0x0c00 | i & 15, 0, 200 + i * 3, 100 + i)
    check(p.int10(0x0d00, 0, 203, 101)[0] & 0xff == 1, "INT 10h, 0Dh reads another pixel")
    p.int10(0x0602, 0x0500, 0x0000, 0x0828)


SCENES = {
    "mode 0": text(0), "mode 1": text(1), "mode 2": text(2), "mode 3": text(3), "mode 7": text(7), "8x8 font": text_font(0x1112, 50),
    "8x14 font": text_font(0x1111, 28), "8x16 font": text_font(0x1114, 25), "512 characters": text_two_fonts, "start address": text_start,
    "split text": text_split,
    "mode 4": cga(4), "mode 5": cga(5), "mode 6": cga(6), "mode 4 palette": cga_palette,
    "mode 0Dh": planar(0x0d, 8000), "mode 0Eh": planar(0x0e, 16000), "mode 0Fh": planar(0x0f, 28000), "mode 10h": planar(0x10, 28000),
    "mode 11h": planar(0x11, 38400), "mode 12h": planar(0x12, 38400), "palette": ega_palette, "write modes": write_modes, "BIOS drawing": teletype,
    "mode 13h": mode13, "DAC": mode13_dac, "gray": mode13_gray, "mode X": mode_x(240), "mode Y": mode_x(200), "400 lines": mode_x(400),
    "split screen": mode_x_split,
}

TEXT = list(SCENES)[:list(SCENES).index("mode 4")]
PICTURES = {
    "mode 0": "640x400 7a447be434de3608",
    "mode 1": "640x400 7a447be434de3608",
    "mode 2": "640x400 8e26bd41746d2eac",
    "mode 3": "640x400 8e26bd41746d2eac",
    "mode 7": "640x400 136f3e248c27d111",
    "8x8 font": "640x400 351a8054b2314489",
    "8x14 font": "640x392 78f0e5df8dddf2b6",
    "8x16 font": "640x400 8e26bd41746d2eac",
    "512 characters": "640x400 1294e3c98b489d9a",
    "start address": "640x400 ce0d45a0c70f92ea",
    "split text": "640x400 0632281998d37f37",
    "mode 4": "640x400 69da9bc087124e0a",
    "mode 5": "640x400 a73d3345115652cc",
    "mode 6": "640x400 40964d5dd2c4deba",
    "mode 4 palette": "640x400 f969d16978aff5fc",
    "mode 0Dh": "640x400 b3d0e4a0fa11c746",
    "mode 0Eh": "640x400 dc31c40caab51cc3",
    "mode 0Fh": "640x350 daf95726052fc7ff",
    "mode 10h": "640x350 1abb198a65659977",
    "mode 11h": "640x480 8a8395f8fa073306",
    "mode 12h": "640x480 5cddc4c545f405eb",
    "palette": "640x350 d925fb4d7f4d43e2",
    "write modes": "640x480 29ba2cc4062a5112",
    "BIOS drawing": "640x480 d255bc0e8850100b",
    "mode 13h": "640x400 35cd6f2a489e6c85",
    "DAC": "640x400 19772cffe370ccc8",
    "gray": "640x400 6129ff1d9fe28c5a",
    "mode X": "640x480 f16b4a119b9b0d1b",
    "mode Y": "640x400 d6fee23d966c0c02",
    "400 lines": "640x400 018b02e6674fceee",
    "split screen": "640x400 b082bffdc3219415",
}


def digest(img, columns, lines):
    width, height = img.width, lines or img.height
    rgb = img.rgb[:width * height * 3]
    if columns and width % (columns * 9) == 0:
        cell = width // columns
        rgb = b"".join(rgb[at:at + cell // 9 * 8 * 3] for at in range(0, len(rgb), cell * 3))
        width = cell // 9 * 8 * columns
    return "%dx%d %s" % (width, height, hashlib.sha256(bytes(v >> 2 for v in rgb)).hexdigest()[:16])


def columns_of(name):
    return 40 if name in ("mode 0", "mode 1") else 80 if name in TEXT else 0


def beyond_qemu(p):
    """What QEMU does not show: the underline of monochrome text, the sequencer's Screen Off, the DAC's pixel mask, the lines below the last row."""
    p.mode(3)  # the firmware sets the CRTC of mode 7 where a VGA in colour does not listen
    p.mode(7)
    p.int10(0x1003, 0)
    p.poke(0xb000, 0, b"".join(bytes([0x20, (1, 7, 9, 0x70)[i & 3]]) for i in range(80 * 25)))
    line = 13
    p.reg(MONO_CRTC, 0x14, line)
    img = p.picture()
    keep_picture(p.g, img, "underline")
    cell, black = img.width // 80, {(0, 0, 0)}
    for i in range(8):
        for y in range(16):
            row = {img.pixel(i * cell + x, 16 + y) for x in range(cell)}
            lit = (i & 3) == 3 or ((i & 1) == 0 and y == line)
            check(len(row) == 1 and (row != black) == lit, "attribute %02x, scan line %d of %d: %s" % ((1, 7, 9, 0x70)[i & 3], y, line, row))
    p.reg(SEQ, 1, p.get(SEQ, 1) | 0x20)
    check(set(p.picture().rgb) == {0}, "Screen Off shows something")
    p.reg(SEQ, 1, p.get(SEQ, 1) & ~0x20)
    check(p.picture().rgb == img.rgb, "and on again something else")
    colours = [(i >> 2 & 63, (i * 5) & 63, 63 - (i & 63)) for i in range(256)]
    mode13(p)
    p.palette([colours[i & 0xf7] for i in range(256)])
    img = p.picture()
    p.palette(colours)
    p.out(0x3c6, 0xf7)
    check(p.picture().rgb == img.rgb, "the pixel mask")
    text_font(0x1111, 28)(p)
    img = p.picture()
    check((img.width, img.height) == (720, 400), "28 rows of 14 lines are %d x %d" % (img.width, img.height))


@test(quick=True)
def test_vga_modes(work):
    """Every mode of the video BIOS, and the tricks of its time, pixel for pixel."""
    bad = []
    only = os.environ.get("LODGE_VGA_SCENES")
    with Probe(work) as p:
        for name, scene in SCENES.items():
            if only and name not in only.split(","):
                continue
            scene(p)
            img = p.picture()
            keep_picture(p.g, img, RUNNER + "-" + name.replace(" ", "-"))
            got = digest(img, columns_of(name), 392 if name == "8x14 font" else 0)  # QEMU shows whole rows only
            if RUNNER == "qemu":
                print('    "%s": "%s",' % (name, got))
            elif got != PICTURES.get(name):
                bad.append("%s: %s, expected %s" % (name, got, PICTURES.get(name)))
        if RUNNER != "qemu":
            beyond_qemu(p)
    check(not bad or RUNNER == "qemu", "\n".join(bad))
