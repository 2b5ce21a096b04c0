#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts that must fail: each gives one clear sentence and an exit status, and leaves the user's files as they were. Prints TAP."""
import os
import re
import shutil
import socket
import subprocess
import tempfile

VMX = os.path.realpath(os.environ.get("LODGE_VMX", "./lodge-vmx"))
TOOL = os.path.realpath("./lodge-vdiskmanager")
BASE = 'config.version = "8"\nvirtualHW.version = "20"\nfloppy0.present = "FALSE"\n'
NOBODY = 65534
n = 0


def state_of(folder):
    out = {}
    for root, dirs, files in os.walk(folder):
        for name in dirs + files:
            s = os.lstat(os.path.join(root, name))
            out[os.path.join(root, name)] = (s.st_mode, s.st_size, s.st_mtime_ns)
    return out


def case(what, pattern, text="", status=1, name="a.vmx", prep=None, user=False, args=(), wrap=(), lines=1):
    """text: the .vmx behind its three first lines (None: prep makes it). user: as somebody with no rights over the files."""
    global n
    n += 1
    if user and os.geteuid() != 0:
        user = False
    work, runtime = tempfile.mkdtemp(prefix="lodge-bad."), tempfile.mkdtemp(prefix="lodge-run.")
    os.chmod(work, 0o777)
    if text is not None:
        with open(os.path.join(work, "a.vmx"), "w") as f:
            f.write(BASE + ("" if "memsize" in text else 'memsize = "16"\n') + text)
    keep = prep(work) if prep else None
    if user:
        os.chown(runtime, NOBODY, NOBODY)

    def drop():
        if user:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    before = state_of(work)
    try:
        r = subprocess.run([*wrap, VMX, "-q", *args, os.path.join(work, name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                           cwd=work, preexec_fn=drop, env=dict(os.environ, XDG_RUNTIME_DIR=runtime))
        rc, said = r.returncode, r.stdout.decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        rc, said = "a machine that runs", ""
    good = rc == status and re.search(pattern, said) and len(said.split("\n")) == lines and state_of(work) == before
    print("%sok %d - %s" % ("" if good else "not ", n, what))
    if not good:
        changed = sorted(k for k, v in state_of(work).items() if before.get(k) != v)
        print("# status %s\n# %s\n# changed: %s" % (rc, said.replace("\n", "\n# "), changed))
    del keep
    for d in work, runtime:
        os.chmod(d, 0o777)
        shutil.rmtree(d, ignore_errors=True)


def file(name, content=b"", size=None, mode=None):
    def make(work):
        path = os.path.join(work, name)
        with open(path, "wb") as f:
            f.write(content)
            if size is not None:
                f.truncate(size)
        if mode is not None:
            os.chmod(path, mode)
    return make


def both(*makers):
    return lambda work: [m(work) for m in makers]


def chmod(name, mode):
    return lambda work: os.chmod(os.path.join(work, name), mode)


def folder(name):
    return lambda work: os.mkdir(os.path.join(work, name))


def disk(name, more=""):
    return 'ide0:0.present = "TRUE"\nide0:0.fileName = "%s"\n%s' % (name, more)


def cd(name):
    return 'ide1:0.present = "TRUE"\nide1:0.deviceType = "cdrom-image"\nide1:0.fileName = "%s"\n' % name


def serial(kind, name):
    return 'serial0.present = "TRUE"\nserial0.fileType = "%s"\nserial0.fileName = "%s"\n' % (kind, name)


def vnc(port, ip="127.0.0.1"):
    return 'RemoteDisplay.vnc.enabled = "TRUE"\nRemoteDisplay.vnc.ip = "%s"\nRemoteDisplay.vnc.port = "%d"\n' % (ip, port)


FLAT = file("x.vmdk", b'# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\n'
            b'RW 20480 FLAT "x-flat.vmdk" 0\n\nddb.adapterType = "ide"\n')


def sparse_cut(work):
    path = os.path.join(work, "x.vmdk")
    subprocess.run([TOOL, "-c", "-s", "10MB", "-t", "0", path], check=True, stdout=subprocess.DEVNULL)
    os.truncate(path, 3000)


def unix_server(work):
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.path.join(work, "s"))
    s.listen()
    return s


def the_file():
    case("no such file", r"none\.vmx: there is no such file", None, status=5, name="none.vmx")
    case("a directory", r"this is a directory; give the \.vmx file inside", None, name="d.vmx", prep=folder("d.vmx"))
    case("a program", r"a binary file, not a \.vmx file", None, prep=file("a.vmx", open("/bin/sh", "rb").read()))
    case("noise", r"a binary file, not a \.vmx file", None, prep=file("a.vmx", os.urandom(100000)))
    case("1 GB of zeros", r"1073741824 bytes are too many", None, prep=file("a.vmx", size=1 << 30))
    case("1 GB with good lines", r"1073741824 bytes are too many", None, prep=file("a.vmx", BASE.encode(), size=1 << 30))
    case("a FIFO", r"not a regular file", None, prep=lambda w: os.mkfifo(w + "/a.vmx"))
    case("an empty file", r"nothing in it describes a virtual machine", None, prep=file("a.vmx"))
    case("some other text", r"nothing in it describes a virtual machine", None, prep=file("a.vmx", b"Dear reader,\nx = 1\n"))
    if os.geteuid() == 0:
        case("an unreadable file", r"you may not read this file", status=5, user=True, prep=chmod("a.vmx", 0))
        case("a folder that may not be written", r"cannot be locked.*Permission denied", status=5, user=True, prep=lambda w: os.chmod(w, 0o555))


def charsets():
    """What editors and other systems make of a .vmx."""
    text = BASE + 'memsize = "16"\ndisplayName = "x"\n'
    for what, start, code in (("UTF-16", b"\xff\xfe", "utf-16-le"), ("UTF-16, the other end first", b"\xfe\xff", "utf-16-be")):
        case(what, r"the text is UTF-16; save it as UTF-8", None, prep=file("a.vmx", start + text.encode(code)))
    case("UTF-16 without a mark", r"a binary file, not a \.vmx file", None, prep=file("a.vmx", text.encode("utf-16-le")))
    check = dict(args=["--check"], status=0)
    for what, data in (("UTF-8 with a byte-order mark", b"\xef\xbb\xbf" + text.encode()), ("CR alone at the ends of lines", text.replace("\n", "\r").encode()),
                       ("CR and LF", text.replace("\n", "\r\n").encode()), ("no end of the last line", text[:-1].encode()),
                       ("a name of 3 MB", text.replace('"x"', '"%s"' % ("x" * 3000000)).encode())):
        case(what + " is read", r"^$", None, prep=file("a.vmx", data), **check)
    for name in ("UTF-7", "klingon", "../../x", "UTF-8//IGNORE", "x" * 1000):
        case(".encoding = %.20s" % name, r"a\.vmx:1: \.encoding: warning: this character set is not known; the file is read as UTF-8", None,
             prep=file("a.vmx", ('.encoding = "%s"\n' % name + text).encode()), args=["--check"])
    case("a value that is not in its character set", r"a\.vmx:7: displayName: warning: .*not text in the file's character set", None,
         prep=file("a.vmx", ('.encoding = "UTF-8"\n' + text).encode() + b'displayName = "\xe4\xff"\n'), args=["--check"], lines=2)
    case("more than 4 MiB in a line", r"bytes are too many for a \.vmx file", "#" + "x" * 5000000)
    case("a key of 300 kB", r"a\.vmx:5: k{40}: warning: this line is not name = \"value\"", "k" * 300000 + ' = "1"\n', args=["--check"])
    case("escape sequences do not reach the terminal", r"^[^\x1b\x07]*a\.vmx:5: \?\[2J\?: warning: unknown key[^\x1b\x07]*$", '\x1b[2J\x07 = "1"\n', args=["--check"])
    case("a key three times", r"(?s)a\.vmx:4: memsize: warning: set again in line 6.*a\.vmx:5: ", 'MEMSIZE = "32"\nmemSize = "48"\n', args=["--check"], lines=2)
    case("200000 lines", r"more than 100000 lines are too many", "".join('k%d = "1"\n' % i for i in range(200000)))


def drives():
    case("no such disk", r"a\.vmx:6: ide0:0\.fileName: the disk image .* does not exist", disk("no.vmdk"))
    case("a directory as disk", r"a\.vmx:6: .* is a directory, not a disk image", disk("x.vmdk"), prep=folder("x.vmdk"))
    case("an empty disk image", r"is empty", disk("x.vmdk"), prep=file("x.vmdk"))
    case("a flat disk that is cut off", r"x-flat\.vmdk is cut off", disk("x.vmdk"), status=5, prep=both(FLAT, file("x-flat.vmdk", size=1 << 20)))
    case("the same under --check", r"a\.vmx:6: ide0:0\.fileName: .*x-flat\.vmdk is cut off", disk("x.vmdk"), args=["--check"],
         prep=both(FLAT, file("x-flat.vmdk", size=1 << 20)))
    case("a flat disk without its data", r"x-flat\.vmdk does not exist", disk("x.vmdk"), prep=FLAT)
    case("a sparse disk that is cut off", r"x\.vmdk is cut off", disk("x.vmdk"), status=5, prep=sparse_cut)
    case("no such CD image", r"a\.vmx:7: ide1:0\.fileName: the CD image .* does not exist", cd("no.iso"))
    case("a directory as CD", r"is a directory, not a CD image", cd("."))
    if os.geteuid() == 0:
        case("an unreadable disk", r"may not be read by you", disk("x.img"), user=True, prep=file("x.img", size=1 << 20, mode=0))
        case("a disk that may not be written", r"may not be written by you.*independent-nonpersistent", disk("x.img"), user=True,
             prep=file("x.img", size=1 << 20, mode=0o444))


def link(name, target):
    return lambda work: os.symlink(target, os.path.join(work, name))


def fifo(name):
    return lambda work: os.mkfifo(os.path.join(work, name))


def descriptor(extent):
    return file("x.vmdk", b'# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\n' + extent +
                b'\n\nddb.adapterType = "ide"\n')


def one_purpose():
    """A file that the machine would write to and that is something else already is not touched."""
    image = file("d.img", size=1 << 20)
    case("the .vmx as disk", r"a\.vmx:6: ide0:0\.fileName: .*a\.vmx is the \.vmx file itself as well", disk("a.vmx"))
    case("a serial port over the .vmx", r"serial0\.fileName: .* is the \.vmx file itself", serial("file", "a.vmx"))
    case("the log over the .vmx", r"log\.fileName: .* is the \.vmx file itself", 'log.fileName = "a.vmx"\n')
    case("the CMOS memory over the .vmx", r"nvram: .* is the \.vmx file itself", 'nvram = "a.vmx"\n')
    case("a serial port over a disk", r"serial0\.fileName: .*d\.img is a disk as well \(ide0:0\.fileName\)", disk("d.img") + serial("file", "./d.img"), prep=image)
    case("the log over a disk, by a link", r"log\.fileName: .*l\.log is a disk as well", disk("d.img") + 'log.fileName = "l.log"\n', prep=both(image, link("l.log", "d.img")))
    case("one disk twice, by a link", r"ide0:1\.fileName: .* is a disk as well", disk("d.img", 'ide0:1.present = "TRUE"\nide0:1.fileName = "e.img"\n'),
         prep=both(image, link("e.img", "d.img")))
    case("the log over a serial port's file", r"log\.fileName: .* is the output of a serial port", serial("file", "new") + 'log.fileName = "new"\n')


def strange_files():
    case("a link in a circle", r"Too many levels of symbolic links", None, status=5, prep=link("a.vmx", "a.vmx"))
    case("/dev/zero", r"not a regular file", None, prep=link("a.vmx", "/dev/zero"))
    case("a NUL in a value", r"a binary file, not a \.vmx file", None, prep=file("a.vmx", BASE.encode() + b'displayName = "a\0b"\n'))
    for what, prep in (("a FIFO", fifo("x.img")), ("a device", link("x.img", "/dev/zero")), ("a link in a circle", link("x.img", "x.img"))):
        case(what + " as disk", r"a\.vmx:6: ide0:0\.fileName: .*(neither a file nor a block device|Too many levels)", disk("x.img"), prep=prep)
    case("a FIFO as CD", r"neither a file nor a block device", cd("x.iso"), prep=fifo("x.iso"))
    case("a FIFO as firmware", r"neither a file nor a block device", 'bios440.filename = "f"\n', prep=fifo("f"))
    case("a folder in the lock's place", r"a\.vmx\.lck", "", status=5, prep=folder("a.vmx.lck"))
    case("a link in the lock's place", r"a\.vmx\.lck", "", status=5, prep=link("a.vmx.lck", "/etc/passwd"))
    for value in ("18446744073709551616", "-4", "4294967328", "1e3", "32MB"):
        case("memsize = %s" % value, r"a\.vmx:4: memsize: ", 'memsize = "%s"\n' % value)


def extents():
    for name in ("/etc/passwd", "../../../etc/passwd", "a/../../etc/passwd"):
        case("an extent %s" % name, r"refers to .* outside its folder", disk("x.vmdk"), status=5, prep=descriptor(b'RW 2 FLAT "%s" 0' % name.encode()))
    case("an extent that is a link to the outside", r"refers to x-flat\.vmdk, a link to /etc/passwd outside its folder", disk("x.vmdk"), status=5,
         prep=both(descriptor(b'RW 2 FLAT "x-flat.vmdk" 0'), link("x-flat.vmdk", "/etc/passwd")))
    flat = file("x-flat.vmdk", size=4096)
    for extent in (b'RW 18446744073709551615 FLAT "x-flat.vmdk" 0', b'RW -5 FLAT "x-flat.vmdk" 0', b'RW 8 FLAT "x-flat.vmdk" 9223372036854775807'):
        case("an extent " + extent.decode(), r"must be a number of sectors", disk("x.vmdk"), prep=both(descriptor(extent), flat))
    case("an extent that is a FIFO", r"neither a regular file nor a block device", disk("x.vmdk"), prep=both(descriptor(b'RW 8 FLAT "x-flat.vmdk" 0'), fifo("x-flat.vmdk")))
    case("an extent that is a folder", r"is a folder", disk("x.vmdk"), prep=both(descriptor(b'RW 8 FLAT "x-flat.vmdk" 0'), folder("x-flat.vmdk")))


def the_rest():
    case("no such firmware file", r"a\.vmx:5: bios440\.filename: the BIOS image .* does not exist", 'bios440.filename = "no.rom"\n')
    case("a firmware file of no possible size", r"has 3 bytes, which no BIOS image has", 'bios440.filename = "x.rom"\n', prep=file("x.rom", b"abc"))
    hide = "mount -t tmpfs none /usr/share/seabios; [ ! -d /usr/share/qemu ] || mount -t tmpfs none /usr/share/qemu; "
    if subprocess.run(["unshare", "-rm", "sh", "-c", hide + "true"], stderr=subprocess.DEVNULL).returncode == 0:
        case("no firmware package", r"BIOS \(SeaBIOS\).*package.*seabios", wrap=["unshare", "-rm", "sh", "-c", hide + 'exec "$@"', "sh"])
    used = socket.socket()
    used.bind(("127.0.0.1", 0))
    used.listen()
    port = used.getsockname()[1]
    case("a VNC port in use", r"port %d on 127\.0\.0\.1 is in use by process %d \(.*\): set RemoteDisplay\.vnc\.port = \"\d+\", which is free"
         % (port, os.getpid()), vnc(port), status=4)
    case("an address of somebody else", r"198\.51\.100\.1, which is not an address of this computer", vnc(port, "198.51.100.1"))
    case("not enough memory", r"The guest needs \d+ MiB of memory but the host has only \d+ MiB to give", 'memsize = "1048576"\n', status=5)
    case("no number of processors", r"a\.vmx:5: numvcpus: \"x\" is not a whole number", 'numvcpus = "x"\n')
    case("a serial port of an unknown kind", r"a\.vmx:6: serial0\.fileType: \"banana\" is not known", serial("banana", "a"))
    case("a serial port on a directory", r"is a directory", serial("file", "."))
    case("a serial port in no folder", r"the folder .*/x does not exist", serial("file", "x/y"))
    case("a serial socket without a server", r"start the program at the other end first", serial("pipe", "s") + 'serial0.pipe.endPoint = "client"\n')
    case("a serial socket that has a server", r"served by another program", serial("pipe", "s"), status=4, prep=unix_server)
    case("a serial socket over a file", r"a file of that name is in the way", serial("pipe", "s"), prep=file("s", b"precious"))
    case("CMOS memory in a directory", r"nvram: .* is a directory", 'nvram = "."\n')
    case("a log in a directory", r"log\.fileName: .* is a directory", 'log.fileName = "."\n')
    case("a log in no folder", r"log\.fileName: the folder .*/q does not exist", 'log.fileName = "q/r.log"\n')
    case("an image on a controller that is not there", r"a\.vmx:6: scsi0:0\.present: warning: there is no SCSI.*make it one of ide0:0 to ide1:1",
         'scsi0.present = "FALSE"\nscsi0:0.present = "TRUE"\n', args=["--check"])
    case("a boot device that is none", r"bios\.bootOrder: \"zip\" in the list is not known; allowed are hdd, cdrom, .*, ethernet9, separated by commas",
         'bios.bootOrder = "hdd,zip"\n')
    case("what a device lacks is told with the line of its .present", r"a\.vmx:5: serial0\.fileType: warning: ", 'serial0.present = "TRUE"\n', args=["--check"])
    case("16 processors under binary translation", r"numvcpus is 16; lower it", 'numvcpus = "16"\n')
    case("a file name of 250 letters", r"name is too long; give it a shorter one", None, name="n" * 250 + ".vmx",
         prep=file("n" * 250 + ".vmx", (BASE + 'memsize = "16"\n').encode()))
    case("--check reports all", r"(?s)a\.vmx:5: numvcpus: .*a\.vmx:6: memsise: warning: .*did you mean memsize.*a\.vmx:7: ide0:0\.present: ",
         'numvcpus = "99"\nmemsise = "1"\nide0:0.present = "TRUE"\n', args=["--check"], lines=3)


if not os.access(VMX, os.X_OK) or not os.path.exists("/usr/share/seabios/bios-256k.bin"):
    print("1..0 # SKIP lodge-vmx or SeaBIOS is not there")
else:
    the_file()
    charsets()
    drives()
    one_purpose()
    strange_files()
    extents()
    the_rest()
    print("1..%d" % n)
