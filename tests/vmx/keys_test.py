#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every key of a .vmx that must act shows that it acts: in the guest (probe.c), in a file, at a port of the host; and what contradicts it is refused.

keys_test.py [NAME ...] runs the named parts only. Prints TAP.
"""
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import tty

from probe import Probe, cd, disk, equal, find_lodge, free_port, ok, part, run_parts
from rfb import Rfb

WORK = CODE = DISK = None


def said(keys, *args):
    """(status, text) of a start, or of --check, of a machine with these keys."""
    folder = tempfile.mkdtemp(dir=WORK)
    path = os.path.join(folder, "a.vmx")
    all_keys = {"config.version": 8, "virtualHW.version": 20, "memsize": 16, "floppy0.present": "FALSE", **keys}
    with open(path, "w") as f:
        f.write("".join('%s = "%s"\n' % kv for kv in all_keys.items() if kv[1] is not None))
    r = subprocess.run([find_lodge(), *args, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, text=True)
    return r.returncode, r.stdout.strip()


def refused(key, value, pattern, **more):
    status, text = said({key: value, **more}, "--check")
    line = [s for s in text.split("\n") if re.search(pattern, s)]
    ok(status == 1 and line and re.search(r"a\.vmx:\d+: %s: " % re.escape(key), line[0]) and "warning" not in line[0],
       '%s = "%s" is refused' % (key, value), text)
    status2, text2 = said({key: value, **more}, "-q")
    ok(status2 == 1 and text2.count("\n") == 0 and re.search(pattern, text2), "... also at the start, in one sentence", "%s: %s" % (status2, text2))


def machine(**kw):
    kw.setdefault("disk", DISK)
    return Probe(**kw)


@part
def general():
    for version in (7, 8):
        equal(said({"config.version": version}, "--check"), (0, ""), "config.version = \"%d\" is read" % version)
    refused("config.version", 9, "out of range")
    status, text = said({"config.version": None}, "--check")
    ok(status == 1 and "config.version: warning: missing" in text, "a file without config.version is told", text)
    refused("virtualHW.version", 99, "out of range")
    for hw in (11, 20):
        with machine(keys={"virtualHW.version": hw, "displayName": "Näme |22quoted|22", "guestOS": "winXPPro", "annotation": "one|0Atwo"}, vnc=True) as p:
            p.ready()
            equal(p.backdoor(17)[0], hw, "virtualHW.version = \"%d\": the guest reads it from the backdoor" % hw)
            # Up to version 13 the tables have SMBIOS 2.4's shorter memory descriptions, without extended addresses.
            equal(len([s for s in p.smbios() if s[0] == 19][0][1]), 15 if hw == 11 else 31, "... and its DMI tables are of that time")
            if hw == 11:
                continue
            equal(p.screen().name.decode(), 'Näme "quoted"', "displayName: the name of the VNC desktop")
            ok(re.search(r'vmx Näme "quoted" \(.*\), guest winXPPro', p.log()), "displayName, guestOS: in the log", p.log())
            address = subprocess.run([find_lodge(), "--address", p.vmx], check=True, capture_output=True, text=True).stdout.strip()
            config = subprocess.run(["gdbus", "call", "--address", address, "--dest", "org.lodge.Vm1", "--object-path", "/org/lodge/Vm1", "--method",
                                     "org.lodge.Vm1.GetConfig"], check=True, capture_output=True, text=True).stdout
            ok(r"'annotation': 'one\ntwo'" in config, "annotation: two lines for the user", config)
            p.stop()
            ok('annotation = "one|0Atwo"\n' in p.config(), "... and one in the file", p.config())
    with machine(name="plain", keys={"displayName": None}, vnc=True) as p:
        p.ready()
        equal(p.screen().name, b"plain", "no displayName: the file's name")
    status, text = said({"guestOS": "noSuchSystem"}, "--check")
    ok(status == 0, "guestOS: an unknown kind is no error", text)


@part
def memory():
    for mb in (16, 64):
        with machine(mem=mb) as p:
            p.ready()
            top = max(a + l for a, l, kind in p.e820() if a < 0xE0000000)
            equal(top, mb << 20, "memsize = \"%d\": where the firmware's memory map ends" % mb)
            equal(p.cmos(0x30) | p.cmos(0x31) << 8, (mb - 1) * 1024, "... the CMOS has the same")
            equal(p.backdoor(20)[0], mb, "... the backdoor too")
            equal([int.from_bytes(s[1][12:14], "little") for s in p.smbios() if s[0] == 17][0], mb, "... and the DMI tables")
    with machine(mem=4096 + 512) as p:
        p.ready()
        ok([a for a, l, k in p.e820() if a == 4 << 30 and k == 1], "memsize = \"4608\": memory from 4 GB on", p.e820())
        below = max(a + l for a, l, k in p.e820() if a < 0xE0000000)
        equal(below + sum(l for a, l, k in p.e820() if a >= 4 << 30 and k == 1) >> 20, 4608, "... all of it, around the hole")
    for bad, why in ((5, "not a multiple of 4; write 4 or 8"), (0, "out of range"), (-4, "out of range"), ("lots", "not a whole number"),
                     (99999999999999999999, "not a whole number"), (1048580, "out of range")):
        refused("memsize", bad, why.split(";")[0])


@part
def processors():
    for count, cores in ((1, 1), (4, 1), (4, 2), (8, 8)):
        with machine(vcpus=count, keys={"cpuid.coresPerSocket": cores}) as p:
            p.ready()
            what = 'numvcpus = "%d", cpuid.coresPerSocket = "%d": ' % (count, cores)
            equal(p.cmos(0x5F) + 1, count, what + "the firmware's count")
            equal(len([s for s in p.smbios() if s[0] == 4]), count // cores, what + "sockets in the DMI tables")
            eax, ebx, ecx, edx = p.cpuid(1)
            equal(ebx >> 16 & 255, cores, what + "CPUID leaf 1, processors in a package")
            equal(bool(edx >> 28 & 1), cores > 1, what + "CPUID leaf 1, HTT")
            if p.cpuid(0)[0] >= 0xB:
                equal(p.cpuid(0xB, 1)[1] & 0xFFFF, cores, what + "CPUID leaf Bh")
            apics = [e[2] for e in madt(p)]
            equal(len(apics), count, what + "local APICs in the ACPI tables")
    refused("numvcpus", 0, "out of range")
    refused("numvcpus", 33, "out of range")
    refused("cpuid.coresPerSocket", 3, "do not divide numvcpus = 4", numvcpus=4)
    refused("numvcpus", 16, "at most 8|up to 8", **{"monitor.virtual_exec": "software"})


def madt(p):
    at = 0
    base = 0xE0000
    while base < 0x100000 and not at:
        at = p.numbers("f %x %x 20445352" % (base, 0x100000 - base))[0]
        if at and p.memory(at, 8) != b"RSD PTR ":
            base, at = at + 16, 0
    rsdt = struct.unpack("<I", p.memory(at + 16, 4))[0]
    length = struct.unpack("<I", p.memory(rsdt + 4, 4))[0]
    for t in struct.unpack("<%dI" % ((length - 36) // 4), p.memory(rsdt + 36, length - 36)):
        sig, size = struct.unpack("<4sI", p.memory(t, 8))
        if sig == b"APIC":
            data, o, out = p.memory(t, size), 44, []
            while o < size:
                if data[o] == 0 and data[o + 4] & 1:
                    out.append(data[o:o + data[o + 1]])
                o += data[o + 1]
            return out
    return []


@part
def monitor():
    for engine in ("software", "automatic"):
        with machine(engine=engine) as p:
            p.ready()
            m = re.search(r"Engine: (.*) \((.*)\)\n", p.log())
            ok(m and (engine != "software" or "inary translation" in m[1]), 'monitor.virtual_exec = "%s": the log says which engine and why' % engine, p.log())
    status, text = said({"monitor.virtual_exec": "hardware"}, "--check")
    ready = "hardware" in subprocess.run([find_lodge(), "--engines"], capture_output=True, text=True).stdout and status == 0
    ok(ready or re.search(r"a\.vmx:\d+: monitor\.virtual_exec: .*", text), 'monitor.virtual_exec = "hardware": runs, or is refused with the reason', text)
    refused("monitor.virtual_exec", "turbo", "write one of automatic, hardware, software")
    with machine() as p:
        p.ready()
        ok(p.cpuid(0x80000001)[3] >> 29 & 1, "long mode is there")
        ok("fault" not in p.set_msr(0xC0000080, 0x100) and p.msr(0xC0000080) == "00000000 00000100", "EFER.LME can be set")
    with machine(guest_os="debian12", keys={"monitor_control.disable_longmode": "TRUE"}) as p:
        p.ready()
        equal(p.cpuid(0x80000001)[3] >> 29 & 1, 0, "monitor_control.disable_longmode: CPUID hides it")
        equal(p.set_msr(0xC0000080, 0x100), "fault 0000000d", "... and EFER.LME faults")
    status, text = said({"monitor_control.disable_longmode": "TRUE", "guestOS": "debian12-64"}, "--check")
    ok(status == 1 and "monitor_control.disable_longmode: warning: " in text, "... with a 64-bit guestOS is told as a contradiction", text)
    with machine(keys={"hypervisor.cpuid.v0": "FALSE"}) as p:
        p.ready()
        ok(not p.cpuid(1)[2] >> 31 and p.cpuid(0x40000000)[1] != 0x61774D56, "hypervisor.cpuid.v0 = FALSE hides the hypervisor's leaves")
    with machine() as p:
        p.ready()
        ok(p.cpuid(1)[2] >> 31 and struct.pack("<3I", *p.cpuid(0x40000000)[1:]) == b"VMwareVMware", "... which are VMware's otherwise")


def own_rom(path):
    """64 KiB that say FIRMWARE at COM1 and halt."""
    src, obj = os.path.join(WORK, "rom.S"), os.path.join(WORK, "rom.o")
    with open(src, "w") as f:
        f.write("""    .code16
text: .ascii "FIRMWARE OF MY OWN\\n"
end:
go: mov $0xf000, %ax
    mov %ax, %ds
    mov $0x3f8, %dx
    mov $text, %si
    mov $end - text, %cx
1:  lodsb
    out %al, %dx
    loop 1b
2:  hlt
    jmp 2b
    .org 0xfff0
    ljmp $0xf000, $go
    .org 0x10000
""")
    subprocess.run(["as", "--32", src, "-o", obj], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0", "--oformat", "binary", obj, "-o", path], check=True, stderr=subprocess.DEVNULL)
    return path


@part
def firmware():
    with machine(keys={"bios440.filename": own_rom(os.path.join(WORK, "own.rom"))}) as p:
        p.expect("FIRMWARE OF MY OWN")
        ok(True, "bios440.filename: another BIOS runs")
    refused("bios440.filename", "none.rom", "does not exist")
    iso, other = cd(os.path.join(WORK, "boot.iso"), CODE), disk(os.path.join(WORK, "empty.img"), bytes(512))
    for order, drive in (("hdd,cdrom", 0x80), ("cdrom,hdd", 0xE0), (None, 0x80)):
        with machine(iso=iso, keys={"bios.bootOrder": order}) as p:
            p.ready()
            equal(p.numbers("d")[0], drive, "bios.bootOrder = %s: booted from %02xh" % (order, drive))
    with machine(disk=other, keys={"ide0:1.present": "TRUE", "ide0:1.fileName": DISK, "bios.hddOrder": "ide0:1,ide0:0"}) as p:
        p.ready()
        ok(True, "bios.hddOrder: the second disk boots")
    refused("bios.bootOrder", "hdd,tape", "in the list is not known")
    took = []
    for delay in (0, 2500):
        t = time.monotonic()
        with machine(keys={"bios.bootDelay": delay}) as p:
            p.ready()
            took.append(time.monotonic() - t)
    ok(took[1] > 2.5, "bios.bootDelay = 2500: the firmware waits", took)
    refused("bios.bootDelay", 60001, "out of range")
    with machine(disk=other, keys={"bios.bootRetry.enabled": "TRUE", "bios.bootRetry.delay": 1000, "debug": "TRUE"}) as p:
        end = time.monotonic() + 120
        while time.monotonic() < end and p.log().count("No bootable device") < 2:
            p.settle(0.3)
        ok(p.log().count("No bootable device") >= 2, "bios.bootRetry.enabled: tries again when nothing boots", p.log()[-1500:])


def nvram_byte(path, index=0x70):
    """A byte of the CMOS memory as the file has it, behind its magic."""
    with open(path, "rb") as f:
        return f.read()[16 + index]


@part
def clock_and_cmos():
    nv = os.path.join(WORK, "my.nvram")
    with machine(keys={"nvram": nv}) as p:
        p.ready()
        p.set_cmos(0x70, 0xA5)
        equal(p.stop(), 0, "a machine that wrote to its CMOS ends in order")
    size = os.path.getsize(nv)
    ok(size > 256, "nvram: the file is there", size)
    with machine(keys={"nvram": nv}) as p:
        p.ready()
        equal(p.cmos(0x70), 0xA5, "nvram: the byte is there at the next start")
        p.set_cmos(0x70, 0x5A)
        end = time.monotonic() + 60
        while time.monotonic() < end and nvram_byte(nv) != 0x5A:
            p.settle(0.2)
        p.proc.send_signal(signal.SIGKILL)
    with machine(keys={"nvram": nv}) as p:
        p.ready()
        equal(p.cmos(0x70), 0x5A, "... even when the process was killed")
    foreign = os.path.join(WORK, "foreign.nvram")
    with open(foreign, "wb") as f:
        f.write(b"MRVN" + bytes(8680))
    with machine(keys={"nvram": foreign}) as p:
        p.ready()
        p.set_cmos(0x70, 1)
        p.stop()
    with open(foreign, "rb") as f:
        equal(f.read(), b"MRVN" + bytes(8680), "nvram: a file of another product stays as it is")
    device = os.path.join(WORK, "device.nvram")
    os.symlink("/dev/null", device)
    with machine(keys={"nvram": device}) as p:
        p.ready()
        p.set_cmos(0x70, 0xA5)
        p.stop()
    ok(os.path.islink(device) and not os.path.exists(device + ".lodge"), "nvram: a device keeps nothing, and no file is made beside it")

    def bcd(p, i):
        v = p.cmos(i)
        return (v >> 4) * 10 + (v & 15)
    with machine(keys={"rtc.startTime": 1000000000}) as p:
        p.ready()
        equal((bcd(p, 9), bcd(p, 8), bcd(p, 7), bcd(p, 4)), (1, 9, 9, 1), "rtc.startTime: the guest's clock says 9 September 2001, 1 o'clock")
    with machine(keys={"rtc.startTime": 1000000000, "rtc.diffFromUTC": 7200}) as p:
        p.ready()
        equal(bcd(p, 4), 3, "rtc.diffFromUTC = 7200: two hours later")
    for there in ("TRUE", "FALSE"):
        with machine(keys={"hpet0.present": there}) as p:
            p.ready()
            equal(p.memory(0xFED00000, 4)[2:4] == b"\x86\x80", there == "TRUE", "hpet0.present = %s" % there)


@part
def identity():
    text = "56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e"
    raw = bytes.fromhex(text.replace("-", " "))
    with machine(keys={"uuid.bios": text}) as p:
        p.ready()
        one = [s for s in p.smbios() if s[0] == 1][0]
        # SMBIOS 2.6: the first three fields of a UUID are little-endian.
        wire = raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]
        ok(one[1][8:24] in (wire, raw), "uuid.bios: in the DMI tables", one)
        ok(("VMware-" + text).encode() in one[2], "... and in the serial number as VMware writes it", one)
        equal(struct.pack("<4I", *p.backdoor(19)), raw, "... and the backdoor's")
        p.stop()
        ok('uuid.bios = "%s"' % text in p.config() and re.search(r'uuid\.location = "56 4d ', p.config()), "uuid.location is written", p.config())
    with machine() as p:
        p.ready()
        made = re.search(r'uuid\.bios = "(56 4d [0-9a-f -]{41})"', p.config())
        ok(made, "no uuid.bios: one is made and written", p.config())
    where = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 00"
    for action, keeps in (("keep", True), ("create", False), (None, True)):
        with machine(keys={"uuid.bios": text, "uuid.location": where, "uuid.action": action}) as p:
            p.ready()
            p.stop()
            equal('uuid.bios = "%s"' % text in p.config(), keeps, "uuid.location of another place, uuid.action = %s: uuid.bios %s" % (
                action, "stays" if keeps else "is a new one"))
            ok(where not in p.config(), "... and uuid.location is this place's")
    refused("uuid.bios", "56 4d 01", "not a UUID")


@part
def drives():
    data = disk(os.path.join(WORK, "data.img"), bytes(range(256)) * 2, 2 << 20)
    iso = cd(os.path.join(WORK, "cd.iso"), CODE)
    keys = {"ide0:1.present": "TRUE", "ide0:1.deviceType": "disk", "ide0:1.fileName": "data.img", "ide1:0.present": "TRUE",
            "ide1:0.deviceType": "cdrom-image", "ide1:0.fileName": iso, "ide1:1.present": "TRUE", "ide1:1.deviceType": "cdrom-raw",
            "ide1:1.fileName": "auto detect"}
    with machine(keys=keys) as p:
        shutil.copy(data, p.dir)
        p.ready()
        kinds = [p.identify(c, u) for c in (0, 1) for u in (0, 1)]
        equal([k and k[0] for k in kinds], ["disk", "disk", "cd", "cd"], "ideN:M.present, .deviceType: two disks and two CD drives")
        equal(struct.unpack_from("<I", kinds[1][1], 120)[0], 4096, "ide0:1.fileName: a name beside the .vmx; its size")
        equal(p.ide_read(0, 1, 0), bytes(range(256)) * 2, "... its contents")
        p.packet(1, 0, b"\0", 0)
        equal(p.packet(1, 0, b"\x25", 8), struct.pack(">II", os.path.getsize(iso) // 2048 - 1, 2048), "cdrom-image: the size of the image")
        p.packet(1, 1, b"\0", 0)
        equal(p.packet(1, 1, b"\x25", 8), None, "cdrom-raw: an empty drive")
        ok(p.ide_write(0, 1, 7, b"persistent".ljust(512)), "mode persistent: a sector is written")
        p.stop()
        with open(os.path.join(p.dir, "data.img"), "rb") as f:
            f.seek(7 * 512)
            equal(f.read(10), b"persistent", "... and is in the file")
    with machine() as p:
        p.ready()
        equal([p.identify(c, u) is not None for c in (0, 1) for u in (0, 1)], [True, False, False, False], "no ide0:1 and no ide1: nobody answers there")
    with machine(iso=iso, keys={"ide1:0.startConnected": "FALSE"}) as p:
        p.ready()
        p.packet(1, 0, b"\0", 0)
        equal(p.packet(1, 0, b"\x25", 8), None, "ide1:0.startConnected = FALSE: the CD drive starts empty")
    with machine(keys={"ide0:1.present": "TRUE", "ide0:1.fileName": data, "ide0:1.mode": "independent-nonpersistent"}) as p:
        p.ready()
        with open(data, "rb") as f:
            before = f.read()
        p.ide_write(0, 1, 3, b"x" * 512)
        equal(p.ide_read(0, 1, 3), b"x" * 512, "mode independent-nonpersistent: the guest reads what it wrote")
        p.stop()
        with open(data, "rb") as f:
            equal(f.read(), before, "... and the file stays as it was")
    two = {"ide0:1.present": "TRUE", "ide0:1.fileName": data}
    refused("ide0:1.fileName", "none.img", "does not exist", **{"ide0:1.present": "TRUE"})
    refused("ide0:1.mode", "undoable", "old products", **two)
    refused("ide0:1.deviceType", "tape", "write one of disk", **two)
    refused("ide1:0.fileName", data, "same file", **{"ide0:1.present": "TRUE", "ide0:1.fileName": data, "ide1:0.present": "TRUE"})
    status, text = said({"ide0:0.fileName": data}, "--check")
    ok(status == 1 and "ide0:0.fileName: warning: has no effect" in text, "a fileName without present is told", text)


def carrier(p, want=True):
    """Waits until DCD of COM2 is what it should be."""
    end = time.monotonic() + 60
    while bool(p.inp(0x2FE) & 0x80) != want and time.monotonic() < end:
        time.sleep(0.02)
    return bool(p.inp(0x2FE) & 0x80) == want


def talk(connection, p):
    """A byte the guest writes to COM2 arrives, and one sent to it."""
    p.outp(0x2F8 + 3, 3)
    p.outp(0x2F8, ord("Q"))
    connection.settimeout(60)
    got = connection.recv(1)
    connection.sendall(b"r")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if p.inp(0x2FD) & 1:
            return got == b"Q" and p.inp(0x2F8) == ord("r")
    return False


@part
def serial():
    with machine() as p:
        p.ready()
        bases = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
        equal([p.inp(b + 5) != 0xFF for b in bases], [True, False, False, False], "serial0.present alone: one port")
    out = os.path.join(WORK, "out")
    keys = {"serial%d.%s" % (i, k): v for i in (1, 2, 3) for k, v in (("present", "TRUE"), ("fileType", "file"), ("fileName", out + str(i)))}
    with machine(keys=keys) as p:
        p.ready()
        equal([p.inp(b + 5) != 0xFF for b in bases], [True] * 4, "serial0.present to serial3.present: four ports")
        for i in (1, 2, 3):
            p.outp(bases[i] + 3, 3)
            p.outp(bases[i], ord("A") + i)
            end = time.monotonic() + 60
            while time.monotonic() < end and os.path.getsize(out + str(i)) == 0:
                time.sleep(0.01)
            with open(out + str(i), "rb") as f:
                equal(f.read(), bytes([ord("A") + i]), "serial%d.fileType = file: one byte is in the file at once" % i)
    with machine(keys={"serial1.present": "TRUE", "serial1.fileType": "pipe", "serial1.fileName": "s", "serial1.pipe.endPoint": "server"}) as p:
        p.ready()
        equal(p.inp(0x2FE) & 0x80, 0, "serial1.fileType = pipe, server: no carrier before somebody comes")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(p.dir, "s"))
            ok(carrier(p), "... then there is one")
            ok(talk(s, p), "... both ways")
        ok(carrier(p, False), "... and none when the peer has gone")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(p.dir, "s"))
            carrier(p)
            ok(talk(s, p), "... and again for the next peer")
        p.stop()
        ok(not os.path.exists(os.path.join(p.dir, "s")), "... the socket goes with the machine")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(WORK, "peer"))
        server.listen()
        with machine(keys={"serial1.present": "TRUE", "serial1.fileType": "pipe", "serial1.fileName": os.path.join(WORK, "peer"),
                           "serial1.pipe.endPoint": "client"}) as p:
            p.ready()
            server.settimeout(60)
            c = server.accept()[0]
            ok(talk(c, p), "serial1.fileType = pipe, client: both ways")
            c.close()
    link = os.path.join(WORK, "tty")
    with machine(keys={"serial1.present": "TRUE", "serial1.fileType": "pty", "serial1.fileName": link}) as p:
        p.ready()
        ok(re.search(r"serial1: /dev/pts/\d+", p.stderr()) and os.readlink(link).startswith("/dev/pts/"), "serial1.fileType = pty: its name, and a link", p.stderr())
        fd = os.open(link, os.O_RDWR | os.O_NOCTTY)

        class Tty:
            settimeout = staticmethod(lambda t: None)
            recv = staticmethod(lambda k: os.read(fd, k) if select.select([fd], [], [], 60)[0] else b"")
            sendall = staticmethod(lambda b: os.write(fd, b))
        tty.setraw(fd)
        ok(carrier(p), "... the guest sees a carrier when a program opens it")
        ok(talk(Tty, p), "... both ways")
        os.close(fd)
        p.stop()
        ok(not os.path.lexists(link), "... the link goes with the machine")
    refused("serial1.fileType", "banana", "is not known", **{"serial1.present": "TRUE"})
    refused("serial1.fileType", "file", "there is no serial1.fileName", **{"serial1.present": "TRUE"})
    refused("serial1.fileName", "x", "has the same file", **{"serial0.present": "TRUE", "serial0.fileType": "file", "serial0.fileName": "x",
                                                             "serial1.present": "TRUE", "serial1.fileType": "file"})
    refused("serial0.pipe.endPoint", "middle", "write one of client, server", **{"serial0.present": "TRUE", "serial0.fileType": "pipe", "serial0.fileName": "x"})


@part
def display():
    for size, width, height in ((4 << 20, 1024, 768), (32 << 20, 3840, 2160)):
        with machine(keys={"svga.vramSize": size, "svga.maxWidth": width, "svga.maxHeight": height}) as p:
            p.ready()
            equal(p.svga(15), size, "svga.vramSize = \"%d\": the adapter's register" % size)
            bar = p.pci(15, 0, 0x14)
            p.set_pci(15, 0, 0x14, 0xFFFFFFFF)
            equal(-(p.pci(15, 0, 0x14) & ~15) & 0xFFFFFFFF, size, "... and the size of its memory on the bus")
            p.set_pci(15, 0, 0x14, bar)
            equal((p.svga(4), p.svga(5)), (width, height), "svga.maxWidth, svga.maxHeight")
    refused("svga.vramSize", 1000, "out of range")
    refused("svga.vramSize", (1 << 20) + 1, "not a multiple")
    refused("svga.maxWidth", 100, "out of range")
    refused("svga.maxHeight", 9000, "out of range")


def listening(address, port):
    with socket.socket(socket.AF_INET) as s:
        s.settimeout(2)
        return s.connect_ex((address, port)) == 0


@part
def vnc():
    port = free_port()
    keys = {"RemoteDisplay.vnc.enabled": "TRUE", "RemoteDisplay.vnc.port": port}
    with machine(keys={**keys, "RemoteDisplay.vnc.ip": "127.0.0.2"}) as p:
        p.ready()
        equal((listening("127.0.0.2", port), listening("127.0.0.1", port)), (True, False), "RemoteDisplay.vnc.ip and .port: there and nowhere else")
        s = Rfb("127.0.0.2", port)
        img = s.screenshot()
        ok(img.width >= 640 and img.colours() > 1, "RemoteDisplay.vnc.enabled: the screen", (img.width, img.height))
        p.outp(0x64, 0xAD)      # the keyboard is held off, so that its bytes wait for the probe
        p.outp(0x64, 0xAE)
        while p.inp(0x64) & 1:
            p.inp(0x60)
        s.key(ord("a"))
        codes = []
        end = time.monotonic() + 60
        while time.monotonic() < end and codes[-1:] not in ([0x9E], [0x1C + 0x80]):
            if p.inp(0x64) & 1:
                codes.append(p.inp(0x60))
        ok(codes in ([0x1E, 0x9E], [0x1C, 0xF0, 0x1C]), "... and its keyboard: the A key goes down and up", ["%02x" % c for c in codes])
    with machine(keys={**keys, "RemoteDisplay.vnc.enabled": "FALSE"}) as p:
        p.ready()
        equal(listening("127.0.0.1", port), False, "RemoteDisplay.vnc.enabled = FALSE: nobody listens")
    with machine(keys={**keys, "RemoteDisplay.vnc.ip": ""}) as p:
        p.ready()
        equal((listening("127.0.0.2", port), listening("127.0.0.1", port)), (True, True), "RemoteDisplay.vnc.ip empty: all addresses")
    with machine(keys={**keys, "RemoteDisplay.vnc.ip": "127.0.0.1", "RemoteDisplay.vnc.password": "secret12"}) as p:
        p.ready()
        for word, good in (("secret12", True), ("secret13", False), ("", False), (None, False)):
            try:
                Rfb("127.0.0.1", port, password=word).close()
                came = True
            except ConnectionError:
                came = False
            equal(came, good, "RemoteDisplay.vnc.password: %s" % ("no password" if word is None else '"%s"' % word))
        ok("secret12" not in p.log(), "... is not in the log")
    with machine(keys={**keys, "RemoteDisplay.vnc.ip": "127.0.0.1", "RemoteDisplay.maxConnections": 1}) as p:
        p.ready()
        first = Rfb("127.0.0.1", port)
        try:
            Rfb("127.0.0.1", port, timeout=5).screenshot()
            second = True
        except (ConnectionError, OSError):
            second = False
        ok(not second and first.screenshot(), "RemoteDisplay.maxConnections = 1: a second viewer is turned away")
    refused("RemoteDisplay.vnc.port", 70000, "out of range")
    refused("RemoteDisplay.vnc.ip", "localhorst", "is not an IP address")
    status, text = said({"RemoteDisplay.vnc.enabled": "TRUE"}, "--check")
    ok(status == 0 or "anyone on the network" in text, "an open screen without a password", text)


@part
def log_and_life():
    with machine(keys={"log.fileName": "mine.log"}) as p:
        p.ready()
        path = os.path.join(p.dir, "mine.log")
        ok(os.path.exists(path), "log.fileName: the log is there")
        with open(path) as f:
            ok(re.match(r"\S+Z In\(05\) vmx .* pid=%d " % p.proc.pid, f.readline()), "... its first line names the process")
        ok('cleanShutdown = "FALSE"' in p.config(), "cleanShutdown is FALSE while it runs")
        p.stop()
        ok('cleanShutdown = "TRUE"' in p.config(), "... and TRUE after that")
    with machine(keys={"logging": "FALSE"}) as p:
        p.ready()
        ok(not os.path.exists(os.path.join(p.dir, "vm.log")), "logging = FALSE: no log")
    with machine() as p:
        p.ready()
        p.proc.send_signal(signal.SIGKILL)
        p.proc.wait()
        ok('cleanShutdown = "FALSE"' in p.config(), "cleanShutdown stays FALSE after a crash")
        r = subprocess.run([find_lodge(), "--check", p.vmx], capture_output=True, text=True)
        equal((r.returncode, r.stdout), (0, ""), "... and the machine can be started again: no stale lock")


@part
def others():
    """Keys that are kept, and said once."""
    extra = "".join('%s = "%s"\n' % kv for kv in (("usb.present", "TRUE"), ("sound.present", "TRUE"), ("vhv.enable", "TRUE"), ("my.own.key", "x")))
    with machine(keys={"usb.present": "TRUE", "sound.present": "TRUE", "vhv.enable": "TRUE", "my.own.key": "x"}) as p:
        p.ready()
        lines = [s for s in p.log().split("\n") if "Not acted on yet" in s]
        ok(len(lines) == 1 and all(k in lines[0] for k in ("usb.present", "sound.present", "vhv.enable")), "keys not acted on: one line of the log", lines)
        p.stop()
        ok(extra in p.config(), "... and they stay in the file as they were", p.config())
    # What the start writes changes those lines only: order, comments, quoting, unknown keys, line ends survive.
    odd = '#!/usr/bin/vmware\r\n.encoding = "windows-1252"\r\nconfig.version = 8   # eight\r\nvirtualHW.version="20"\r\n\r\n  memsize = 16\r\n// old\r\n' \
          'displayName = "K\xe4se"\r\nmy.key=  "a|22b"\t# mine\r\ncleanShutdown = "TRUE"\r\n'
    folder = tempfile.mkdtemp(dir=WORK)
    path = os.path.join(folder, "odd.vmx")
    with open(path, "wb") as f:
        f.write(odd.encode("latin-1"))
    p = subprocess.Popen([find_lodge(), path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end and b"FALSE" not in open(path, "rb").read():
            time.sleep(0.05)
    finally:
        p.terminate()
        status = p.wait(120)
    with open(path, "rb") as f:
        now = f.read()
    equal(status, 0, "a file with old habits runs")
    ok(now.startswith(odd.encode("latin-1")), "... and keeps its order, comments, quoting, encoding and line ends", now)
    ok(all(line.endswith(b"\r") for line in now.split(b"\n")[:-1]), "... new lines end as the others do", now)
    ok(not [f for f in os.listdir(folder) if f not in ("odd.vmx", "odd.vmx.lck", "odd.nvram", "vmware.log")], "... and no other files are left",
       os.listdir(folder))


def begin(work, code):
    global WORK, CODE, DISK
    WORK, CODE, DISK = work, code, disk(os.path.join(work, "probe.img"), code)


if __name__ == "__main__":
    run_parts(begin)
