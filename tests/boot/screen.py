# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the text of an 80x25 screen back from its picture, with the font of the VGA BIOS package as the expectation."""
import os

FONT_START = bytes(16) + bytes([0, 0, 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e, 0, 0, 0, 0])  # glyphs 0 and 1


def load_font():
    for name in ("vgabios-vmware.bin", "vgabios-stdvga.bin"):
        path = "/usr/share/seabios/" + name
        if os.path.exists(path):
            with open(path, "rb") as f:
                data = f.read()
            at = data.find(FONT_START)
            if at >= 0:
                return {data[at + c * 16:at + c * 16 + 16]: c for c in range(255, -1, -1)}
    return None


def text_of(image, font, rows=25, cols=80):
    """The lines of the screen; a cell whose picture is no glyph of the font gives '?' in place of its character."""
    if image.height != rows * 16 or image.width not in (cols * 8, cols * 9):
        return []
    cw = image.width // cols
    out = []
    for r in range(rows):
        line = ""
        strip = [image.rgb[((r * 16 + y) * image.width) * 3:((r * 16 + y + 1) * image.width) * 3] for y in range(16)]
        for c in range(cols):
            cell = [s[c * cw * 3:(c * cw + 8) * 3] for s in strip]
            first = cell[0][:3]
            bits = bytes(sum((row[i * 3:i * 3 + 3] != first) << (7 - i) for i in range(8)) for row in cell)
            code = font.get(bits)
            if code is None:  # the cell's first pixel may belong to the glyph; or a cursor covers the last lines
                code = font.get(bytes(b ^ 255 for b in bits))
            if code is None:
                near = [k for k in font if k[:13] == bits[:13]]
                code = font[near[0]] if near else ord("?")
            line += chr(code) if 32 <= code < 127 else " " if code in (0, 255, 219) else "#"
        out.append(line.rstrip())
    return out
