# SPDX-License-Identifier: GPL-2.0-or-later
"""A small VNC client (RFC 6143) for tests: screenshots as rows of RGB bytes, keys and pointer. And a PNG reader and writer."""
import ctypes
import socket
import struct
import time
import zlib


class Image:
    def __init__(self, width, height, rgb):
        self.width, self.height, self.rgb = width, height, rgb

    def pixel(self, x, y):
        o = (y * self.width + x) * 3
        return tuple(self.rgb[o:o + 3])

    def crop(self, x, y, w, h):
        rows = [self.rgb[((y + r) * self.width + x) * 3:((y + r) * self.width + x + w) * 3] for r in range(h)]
        return Image(w, h, b"".join(rows))

    def colours(self):
        return len({self.rgb[i:i + 3] for i in range(0, len(self.rgb), 3)})

    def find(self, part):
        """The place (x, y) where a smaller image occurs exactly, or None."""
        first = bytes(part.rgb[:part.width * 3])
        for y in range(self.height - part.height + 1):
            row = bytes(self.rgb[y * self.width * 3:(y + 1) * self.width * 3])
            at = row.find(first)
            while at >= 0:
                if at % 3 == 0:
                    x = at // 3
                    if bytes(self.crop(x, y, part.width, part.height).rgb) == bytes(part.rgb):
                        return x, y
                at = row.find(first, at + 1)
        return None

    def save(self, path):
        raw = b"".join(b"\0" + bytes(self.rgb[y * self.width * 3:(y + 1) * self.width * 3]) for y in range(self.height))

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        with open(path, "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b""))


def read_png(data):
    """Decodes an 8-bit grey, RGB, RGBA or palette PNG without interlace; transparency is dropped."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG")
    at, idat, palette = 8, b"", None
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        if kind == b"IHDR":
            w, h, depth, ctype, _, _, lace = struct.unpack(">IIBBBBB", body)
        elif kind == b"PLTE":
            palette = body
        elif kind == b"IDAT":
            idat += body
        at += 12 + n
    if depth != 8 or lace:
        raise ValueError("PNG kind not handled")
    bpp = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[ctype]
    raw, prev, out = zlib.decompress(idat), bytearray(w * bpp), bytearray()
    for y in range(h):
        f, row = raw[y * (w * bpp + 1)], bytearray(raw[y * (w * bpp + 1) + 1:(y + 1) * (w * bpp + 1)])
        for i in range(len(row)):
            a, b, c = (row[i - bpp] if i >= bpp else 0), prev[i], (prev[i - bpp] if i >= bpp else 0)
            if f == 1:
                p = a
            elif f == 2:
                p = b
            elif f == 3:
                p = (a + b) // 2
            elif f == 4:
                pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                p = a if pa <= pb and pa <= pc else b if pb <= pc else c
            else:
                break
            row[i] = (row[i] + p) & 255
        for x in range(w):
            px = row[x * bpp:(x + 1) * bpp]
            if ctype == 3:
                out += palette[px[0] * 3:px[0] * 3 + 3]
            else:
                out += px[:3] if bpp >= 3 else bytes([px[0]] * 3)
        prev = row
    return Image(w, h, bytes(out))


class Rfb:
    def __init__(self, host, port, timeout=120, password=None):
        self.s = socket.create_connection((host, port), timeout)
        version = self._read(12)
        if not version.startswith(b"RFB 003."):
            raise ConnectionError("not a VNC server")
        self.s.sendall(b"RFB 003.008\n")
        kinds = self._read(self._read(1)[0])
        if 1 not in kinds and (password is None or 2 not in kinds):
            raise ConnectionError("VNC server wants a password: %r" % kinds)
        if 1 in kinds:
            self.s.sendall(b"\1")
        else:
            self.s.sendall(b"\2")
            challenge = ctypes.create_string_buffer(self._read(16), 16)
            ctypes.CDLL("libvncclient.so.1").rfbClientEncryptBytes(challenge, ctypes.c_char_p(password.encode()))
            self.s.sendall(challenge.raw)
        if self._u32() != 0:
            raise ConnectionError("VNC server refused")
        self.s.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self._read(4))
        self._read(16)
        self.name = self._read(self._u32())
        # 32 bits a pixel, little endian, red at bit 16; raw rectangles and changes of the size.
        self.s.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.s.sendall(struct.pack(">BxHii", 2, 2, 0, -223))
        self.fb = bytearray(self.width * self.height * 4)

    def close(self):
        self.s.close()

    def _read(self, n):
        out = bytearray()
        while len(out) < n:
            d = self.s.recv(min(n - len(out), 1 << 20))
            if not d:
                raise ConnectionError("VNC server closed the connection")
            out += d
        return bytes(out)

    def _u32(self):
        return struct.unpack(">I", self._read(4))[0]

    def _message(self):
        """Reads one message of the server; True if it was a framebuffer update."""
        kind = self._read(1)[0]
        if kind == 1:
            n = struct.unpack(">xHH", self._read(5))[1]
            self._read(n * 6)
        elif kind == 3:
            self._read(3)
            self._read(self._u32())
        elif kind == 0:
            for _ in range(struct.unpack(">xH", self._read(3))[0]):
                x, y, w, h, enc = struct.unpack(">HHHHi", self._read(12))
                if enc == -223:
                    self.width, self.height = w, h
                    self.fb = bytearray(w * h * 4)
                    continue
                if enc != 0:
                    raise ConnectionError("unexpected VNC encoding %d" % enc)
                data = self._read(w * h * 4)
                for r in range(h):
                    o = ((y + r) * self.width + x) * 4
                    self.fb[o:o + w * 4] = data[r * w * 4:(r + 1) * w * 4]
            return True
        return False

    def screenshot(self):
        """The whole screen as it is now."""
        while True:
            w, h = self.width, self.height
            self.s.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, w, h))
            while not self._message():
                pass
            if (w, h) == (self.width, self.height):
                break
        rgb = bytearray(w * h * 3)
        rgb[0::3], rgb[1::3], rgb[2::3] = self.fb[2::4], self.fb[1::4], self.fb[0::4]
        return Image(w, h, bytes(rgb))

    def key(self, keysym, down=None):
        for d in ([1, 0] if down is None else [int(down)]):
            self.s.sendall(struct.pack(">BBxxI", 4, d, keysym))
            time.sleep(0.02)

    def type(self, text):
        """Types text on a US keyboard."""
        for c in text:
            shift = c.isupper() or c in '~!@#$%^&*()_+{}|:"<>?'
            if shift:
                self.key(0xffe1, True)
            self.key(0xff0d if c == "\n" else ord(c))
            if shift:
                self.key(0xffe1, False)

    def pointer(self, x, y, buttons=0):
        self.s.sendall(struct.pack(">BBHH", 5, buttons, x, y))
