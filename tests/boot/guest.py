# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one virtual machine for a test: makes the .vmx, starts it, talks to its serial port and screen, ends it.

RUNNER=lodge (default) runs lodge-vmx; RUNNER=qemu runs the same media under QEMU's TCG, which tells whether a test or the
product is at fault, and gives the numbers to compare with. LODGE_VMX names the program; LODGE_ENGINE is the value of
monitor.virtual_exec (default "software"). LODGE_SLOW multiplies every timeout.
"""
import atexit
import ctypes
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SRC = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get("LODGE_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lodge")
SLOW = float(os.environ.get("LODGE_SLOW", "1"))

sys.path.insert(0, HERE)
from rfb import Rfb  # noqa: E402


class GuestError(Exception):
    pass


def find_lodge():
    for p in (os.environ.get("LODGE_VMX"), "lodge-vmx", os.path.join(SRC, "lodge-vmx"), os.path.join(SRC, "build", "lodge-vmx")):
        if p and os.access(p, os.X_OK):
            return os.path.abspath(p)
    return None


_ports = []


def free_port():
    """A TCP port that was free a moment ago, and that no other test gets; QEMU wants VNC ports from 5900 on, and so do viewers."""
    for port in range(5900 + os.getpid() % 997, 9000):
        mine = socket.socket(socket.AF_UNIX)
        try:
            mine.bind("\0lodge-test-port-%d" % port)  # for as long as this test lives
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
            _ports.append(mine)
            return port
        except OSError:
            mine.close()
    raise GuestError("no free TCP port")


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a killed test leaves no machine behind


_running = []


def _cleanup():
    for g in list(_running):
        g.kill()


atexit.register(_cleanup)
for _s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_s, lambda n, f: sys.exit(128 + n))


class Guest:
    def __init__(self, name="guest", iso=None, disk=None, mem=256, vcpus=1, vnc=False, guest_os="debian12-64", keys=None,
                 runner=None, qemu_args=(), engine=None):
        self.runner = runner or os.environ.get("RUNNER", "lodge")
        self.name, self.iso, self.disk, self.mem, self.vcpus = name, iso, disk, mem, vcpus
        self.guest_os, self.keys, self.qemu_args = guest_os, keys or {}, list(qemu_args)
        self.engine = engine or os.environ.get("LODGE_ENGINE", "software")
        self.vnc_port = free_port() if vnc else None
        self.dir = tempfile.mkdtemp(prefix="lodge-test.")
        self.serial = bytearray()
        self.pos = 0
        self.conn = self.listener = self.proc = None
        self.marks = {}

    # -- configuration ------------------------------------------------------------------------------------------------

    def vmx_text(self):
        k = {
            ".encoding": "UTF-8", "config.version": 8, "virtualHW.version": 19, "displayName": self.name, "guestOS": self.guest_os,
            "memsize": self.mem, "numvcpus": self.vcpus, "monitor.virtual_exec": self.engine, "floppy0.present": "FALSE",
            "serial0.present": "TRUE", "serial0.fileType": "pipe", "serial0.fileName": os.path.join(self.dir, "serial"),
            "serial0.pipe.endPoint": "client", "log.fileName": os.path.join(self.dir, "vm.log"),
            "nvram": os.path.join(self.dir, "vm.nvram"),
        }
        if self.iso:
            k.update({"ide1:0.present": "TRUE", "ide1:0.deviceType": "cdrom-image", "ide1:0.fileName": self.iso})
        if self.disk:
            k.update({"ide0:0.present": "TRUE", "ide0:0.fileName": self.disk})
        if self.vnc_port:
            k.update({"RemoteDisplay.vnc.enabled": "TRUE", "RemoteDisplay.vnc.ip": "127.0.0.1", "RemoteDisplay.vnc.port": self.vnc_port})
        k.update(self.keys)
        return "".join('%s = "%s"\n' % (n, v) for n, v in k.items() if v is not None)

    def qemu_command(self):
        c = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(self.mem), "-smp", str(self.vcpus), "-display", "none",
             "-chardev", "socket,id=s0,path=" + os.path.join(self.dir, "serial"), "-serial", "chardev:s0", "-net", "none"]
        if self.iso:
            c += ["-drive", "if=ide,index=2,media=cdrom,format=raw,file=" + self.iso]
        if self.disk:
            fmt = "vmdk" if self.disk.endswith(".vmdk") else "raw"
            c += ["-drive", "if=ide,index=0,format=%s,file=%s" % (fmt, self.disk)]
        if self.vnc_port:
            c += ["-vnc", "127.0.0.1:%d" % (self.vnc_port - 5900)]
        return c + self.qemu_args

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.dir, "serial"))
        self.listener.listen(1)
        self.vmx = os.path.join(self.dir, self.name + ".vmx")
        with open(self.vmx, "w") as f:
            f.write(self.vmx_text())
        if self.runner == "qemu":
            cmd = self.qemu_command()
        else:
            prog = find_lodge()
            if not prog:
                raise GuestError("lodge-vmx is not built (LODGE_VMX names it)")
            cmd = [prog, self.vmx]
        self.errfile = open(os.path.join(self.dir, "stderr"), "w+b")
        self.t0 = time.monotonic()
        _running.append(self)
        self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=self.errfile, stderr=self.errfile, cwd=self.dir,
                                     preexec_fn=_die_with_parent)
        return self

    def __enter__(self):
        return self.start() if not self.proc else self

    def __exit__(self, *a):
        self.kill()

    def kill(self):
        if self in _running:
            _running.remove(self)
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        for s in (self.conn, self.listener):
            if s:
                s.close()
        self.conn = self.listener = None
        keep = os.environ.get("LODGE_TEST_KEEP")
        if keep:
            os.makedirs(keep, exist_ok=True)
            with open(os.path.join(keep, self.name + ".serial"), "wb") as f:
                f.write(self.serial)
            for n in ("vm.log", "stderr"):
                if os.path.exists(os.path.join(self.dir, n)):
                    shutil.copy(os.path.join(self.dir, n), os.path.join(keep, self.name + "." + n))
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self, timeout=120):
        """Asks the VM process to power off (SIGTERM) and returns its exit status."""
        self.proc.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=60):
        """Waits until the guest has powered itself off; returns the exit status."""
        end = time.monotonic() + timeout * SLOW
        while self.proc.poll() is None:
            if time.monotonic() > end:
                raise GuestError("the VM did not power off within %d s" % (timeout * SLOW))
            self._pump(0.05)
        while self._pump(0):
            pass
        return self.proc.returncode

    def stderr(self):
        self.errfile.seek(0)
        return self.errfile.read().decode("utf-8", "replace").strip()

    # -- serial port --------------------------------------------------------------------------------------------------

    def _pump(self, timeout):
        src = self.conn or self.listener
        if not src:
            time.sleep(timeout)
            return False
        if not select.select([src], [], [], timeout)[0]:
            return False
        if not self.conn:
            self.conn = self.listener.accept()[0]
            return True
        try:
            data = self.conn.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.conn.close()
            self.conn = self.listener = None
            return False
        self.serial += data
        if os.environ.get("LODGE_TEST_ECHO"):
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
        return True

    def expect(self, pattern, timeout=120, fail=r"Kernel panic|Oops:|BUG: |double fault"):
        """Waits for a regular expression in the serial output behind the last match; returns the match."""
        want, bad = re.compile(pattern.encode(), re.M), re.compile(fail.encode()) if fail else None
        end = time.monotonic() + timeout * SLOW
        while True:
            m = want.search(self.serial, self.pos)
            if m:
                self.pos = m.end()
                return m
            if bad and bad.search(self.serial, self.pos):
                while self._pump(1):
                    pass
                raise GuestError("guest failed while waiting for %r%s" % (pattern, self.tail(100)))
            if time.monotonic() > end:
                raise GuestError("no %r within %d s%s" % (pattern, timeout * SLOW, self.tail()))
            if not self._pump(0.25) and self.proc.poll() is not None:
                while self._pump(0):
                    pass
                if not want.search(self.serial, self.pos):
                    raise GuestError("VM ended with status %s while waiting for %r: %s%s" % (
                        self.proc.returncode, pattern, self.stderr(), self.tail()))

    def send(self, text):
        self._pump(0)
        self.conn.sendall(text.encode() if isinstance(text, str) else text)

    def text(self):
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.serial.decode("utf-8", "replace"))
        ignore = os.environ.get("LODGE_TEST_IGNORE")  # lines that are the host's fault
        return "\n".join(s for s in text.split("\n") if not re.search(ignore, s)) if ignore else text

    def tail(self, lines=25):
        t = self.text().replace("\r", "").rstrip().split("\n")[-lines:]
        out = "\n--- end of the serial output\n" + "\n".join(t)
        log = os.path.join(self.dir, "vm.log")
        if os.path.exists(log):
            with open(log, errors="replace") as f:
                out += "\n--- end of the VM log\n" + "".join(f.readlines()[-lines:])
        err = self.stderr()
        return out + ("\n--- stderr\n" + err[-2000:] if err else "")

    # -- screen -------------------------------------------------------------------------------------------------------

    def screen(self, timeout=120):
        """A connected VNC client."""
        end = time.monotonic() + timeout * SLOW
        while True:
            try:
                return Rfb("127.0.0.1", self.vnc_port)
            except (ConnectionError, OSError) as e:
                if time.monotonic() > end or self.proc.poll() is not None:
                    raise GuestError("no VNC server at port %d: %s %s" % (self.vnc_port, e, self.stderr()))
                self._pump(0.2)

    def settle(self, seconds):
        """Lets the guest run while its serial output is read."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.proc.poll() is None:
            self._pump(0.1)


def fetch(*packages):
    out = subprocess.run([os.path.join(HERE, "fetch.sh"), *packages], check=True, stdout=subprocess.PIPE, text=True)
    return out.stdout.split("\n")[:-1]


def kernel_of(pkgdir):
    boot = os.path.join(pkgdir, "boot")
    return os.path.join(boot, [f for f in sorted(os.listdir(boot)) if f.startswith("vmlinuz")][0])
