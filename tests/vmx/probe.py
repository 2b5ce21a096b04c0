# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that runs probe.c: tests look through it at ports, memory, CPUID and MSRs as a guest sees them. And what these tests have in common:
parts with names, each of which may be run alone, and TAP."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "boot"))
from guest import Guest, GuestError, find_lodge, free_port  # noqa: E402,F401

BLOCK = 16384
PARTS = {}
_said = 0


def part(fn):
    PARTS[fn.__name__] = fn
    return fn


def ok(cond, what, more=""):
    global _said
    _said += 1
    print("%sok %d - %s" % ("" if cond else "not ", _said, what), flush=True)
    if not cond:
        print("# " + str(more).replace("\n", "\n# "), flush=True)


def equal(got, want, what):
    ok(got == want, what, "is %r, should be %r" % (got, want))


def plan():
    print("1..%d" % _said)


def run_parts(begin, *errors):
    """Runs the parts that the command line names, or all, after begin(a folder that goes away, the probe). errors: what fails a part beside the usual."""
    if not find_lodge() or not os.path.exists("/usr/share/seabios/bios-256k.bin"):
        print("1..0 # SKIP lodge-vmx or SeaBIOS is not there")
        return
    work = tempfile.mkdtemp(prefix="lodge-probe.")
    try:
        begin(work, build(work))
        for name in sys.argv[1:] or list(PARTS):
            try:
                PARTS[name]()
            except (GuestError, OSError, subprocess.SubprocessError, ValueError, LookupError, struct.error, *errors) as e:
                ok(False, name, "".join(traceback.format_exception(e)))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    plan()


def build(folder, source=os.path.join(HERE, "probe.c")):
    """The probe, or another guest that starts like it, as 16 KiB that begin with a boot sector."""
    elf, out = os.path.join(folder, "probe.elf"), os.path.join(folder, "probe.bin")
    subprocess.run(["gcc", "-m32", "-march=i686", "-Os", "-ffreestanding", "-fno-pic", "-fno-pie", "-fno-stack-protector", "-fcf-protection=none",
                    "-fno-asynchronous-unwind-tables", "-mgeneral-regs-only", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x7c00,-N,--build-id=none,--no-warn-rwx-segments",
                    "-Wl,--section-start=.bss=0x20000", "-o", elf, os.path.join(HERE, "probe.S"), source], check=True)
    subprocess.run(["objcopy", "-O", "binary", elf, out], check=True)
    with open(out, "rb") as f:
        code = f.read()
    assert len(code) <= BLOCK, len(code)
    return code + bytes(BLOCK - len(code))


def disk(path, code, size=1 << 20):
    with open(path, "wb") as f:
        f.write(code)
        f.truncate(size)
    return path


def cd(path, code):
    """The least that El Torito asks for: a volume descriptor, the boot record, the catalogue, and the image (no emulation)."""
    def sector(data):
        return data + bytes(2048 - len(data))
    valid = struct.pack("<BBH24sHBB", 1, 0, 0, b"", 0, 0x55, 0xAA)
    valid = valid[:28] + struct.pack("<H", -sum(struct.unpack("<16H", valid)) & 0xFFFF) + valid[30:]
    entry = struct.pack("<BBHBBHI20x", 0x88, 0, 0x7C0, 0, 0, BLOCK // 512, 20)
    with open(path, "wb") as f:
        f.write(bytes(16 * 2048) + sector(b"\1CD001\1" + bytes(33) + b"PROBE".ljust(32)) +
                sector(b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + struct.pack("<I", 19)) +
                sector(b"\xffCD001\1") + sector(valid + entry) + code + bytes(8192))
    return path


class Probe(Guest):
    """keys: as in a .vmx; a value None removes one that every machine has."""

    def __init__(self, name="probe", mem=32, **kw):
        super().__init__(name, mem=mem, runner="lodge", **kw)

    def ready(self, timeout=300):
        self.expect(r"PROBE\n", timeout)
        return self

    def ask(self, text, timeout=120):
        self.send(text + "\n")
        m = self.expect(r"=([^\n]*)\n", timeout)
        return m[1].decode().strip()

    def numbers(self, text):
        return [int(x, 16) for x in self.ask(text).split()]

    def inp(self, port, size=1):
        return self.numbers("i %x %x" % (port, size))[0]

    def outp(self, port, value, size=1):
        self.ask("o %x %x %x" % (port, size, value))

    def words(self, port, n):
        return bytes.fromhex(self.ask("I %x %x" % (port, n)))

    def memory(self, address, n):
        return b"".join(bytes.fromhex(self.ask("m %x %x" % (address + i, min(4096, n - i)))) for i in range(0, n, 4096))

    def cpuid(self, leaf, sub=0):
        return self.numbers("c %x %x" % (leaf, sub))

    def backdoor(self, command, arg=0):
        return self.numbers("b 564d5868 %x %x 5658" % (arg, command))

    def msr(self, number):
        """Its value, or the vector of the exception as text."""
        return self.ask("r %x" % number)

    def set_msr(self, number, value):
        return self.ask("W %x %x %x" % (number, value >> 32, value & 0xFFFFFFFF))

    def pci(self, slot, function, reg):
        self.outp(0xCF8, 0x80000000 | slot << 11 | function << 8 | reg, 4)
        return self.inp(0xCFC, 4)

    def set_pci(self, slot, function, reg, value):
        self.outp(0xCF8, 0x80000000 | slot << 11 | function << 8 | reg, 4)
        self.outp(0xCFC, value, 4)

    def cmos(self, index):
        self.outp(0x70, index)
        return self.inp(0x71)

    def set_cmos(self, index, value):
        self.outp(0x70, index)
        self.outp(0x71, value)

    def e820(self):
        n = struct.unpack("<I", self.memory(0x5000, 4))[0]
        return [struct.unpack("<QQI", self.memory(0x5008 + 24 * i, 20)) for i in range(n)]

    def smbios(self):
        """The structures: (type, formatted area, strings)."""
        at = self.numbers("f f0000 10000 5f4d535f")[0]
        length, table = struct.unpack("<HI", self.memory(at + 22, 6))
        data, out, o = self.memory(table, length), [], 0
        while o + 4 <= len(data):
            kind, n = data[o], data[o + 1]
            end = data.find(b"\0\0", o + n)
            out.append((kind, data[o:o + n], data[o + n:end].split(b"\0")))
            o = end + 2
        return out

    def ide_command(self, channel, unit, command, lba=0, count=1, feature=0):
        """Issues a command; waits until it is done or wants data; gives the status."""
        base = 0x170 if channel else 0x1F0
        self.outp(base + 6, 0xE0 | unit << 4)
        for i, v in enumerate((feature, count, lba & 255, lba >> 8 & 255, lba >> 16 & 255)):
            self.outp(base + 1 + i, v)
        self.outp(base + 7, command)
        for _ in range(200):
            s = self.inp(base + 7)
            if not s & 0x80:
                return s
        raise GuestError("IDE channel %d stays busy" % channel)

    def ide_read(self, channel, unit, lba):
        if not self.ide_command(channel, unit, 0x20, lba) & 8:
            return None
        return self.words(0x170 if channel else 0x1F0, 256)

    def ide_write(self, channel, unit, lba, data):
        base = 0x170 if channel else 0x1F0
        if not self.ide_command(channel, unit, 0x30, lba) & 8:
            return False
        self.ask("O %x %s" % (base, " ".join("%x" % w for w in struct.unpack("<256H", data))))
        self.ide_command(channel, unit, 0xE7)
        return True

    def identify(self, channel, unit):
        """("disk" or "cd", the 512 bytes), or None if no drive answers."""
        base = 0x170 if channel else 0x1F0
        for command, kind in ((0xEC, "disk"), (0xA1, "cd")):
            if self.ide_command(channel, unit, command) & 0x89 == 8:
                return kind, self.words(base, 256)
        return None

    def packet(self, channel, unit, cdb, n):
        """An ATAPI command with n bytes of data at most: (the data, or None when it failed)."""
        base = 0x170 if channel else 0x1F0
        self.outp(base + 6, 0xA0 | unit << 4)
        for i, v in ((1, 0), (4, n & 255), (5, n >> 8)):
            self.outp(base + i, v)
        self.outp(base + 7, 0xA0)
        self.ask("O %x %s" % (base, " ".join("%x" % w for w in struct.unpack("<6H", bytes(cdb).ljust(12, b"\0")))))
        for _ in range(400):
            s = self.inp(base + 7)
            if not s & 0x80:
                break
        if s & 1:
            return None
        return self.words(base, (self.inp(base + 4) | self.inp(base + 5) << 8) // 2) if s & 8 else b""

    def svga(self, index):
        base = self.pci(15, 0, 0x10) & ~3
        self.outp(base, index, 4)
        return self.inp(base + 1, 4)

    def log(self):
        path = os.path.join(self.dir, "vm.log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as f:
            return f.read()

    def config(self):
        with open(self.vmx) as f:
            return f.read()
