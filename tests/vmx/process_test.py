#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One lodge-vmx from outside: signals, the lock, the log and its rotation, resets, faults, crashes, what its threads gave up. Prints TAP.

process_test.py [NAME ...] runs the named parts only.
"""
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from gi.repository import Gio, GLib

from probe import GuestError, Probe, cd, disk, equal, find_lodge, ok, part, run_parts

WORK = DISK = CODE = None
BUS = "org.lodge.Vm1"


class Machine(Probe):
    def __init__(self, **kw):
        super().__init__(disk=DISK, **kw)
        self.bus = None

    def call(self, method, sig="()", *args):
        if not self.bus:
            address = subprocess.run([find_lodge(), "--address", self.vmx], check=True, capture_output=True, text=True).stdout.strip()
            self.bus = Gio.DBusConnection.new_for_address_sync(address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
        return self.bus.call_sync(None, "/org/lodge/Vm1", BUS, method, GLib.Variant(sig, args), None, 0, 100000, None).unpack()

    def state(self):
        r = self.bus.call_sync(None, "/org/lodge/Vm1", "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (BUS, "State")), None, 0, 100000, None)
        return r.unpack()[0]

    def threads(self):
        """{kind of thread: status}"""
        out = {}
        for t in os.listdir("/proc/%d/task" % self.proc.pid):
            with open("/proc/%d/task/%s/status" % (self.proc.pid, t)) as f:
                s = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            out[s["Name"]] = dict(s, tid=int(t))
        return out

    def wait_log(self, pattern, seconds=120):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.log()) and time.monotonic() < end:
            self.settle(0.1)
        return re.search(pattern, self.log())


@part
def media():
    """What the control API says of a CD drive, while user and guest change it."""
    told = []
    with Machine(iso=cd(os.path.join(WORK, "first.iso"), CODE)) as m:
        other = cd(os.path.join(WORK, "other.iso"), CODE)
        m.ready()
        m.call("GetConfig")
        m.bus.signal_subscribe(None, "org.freedesktop.DBus.Properties", "PropertiesChanged", "/org/lodge/Vm1", None, 0,
                               lambda c, s, p, i, n, args: told.extend([args.unpack()[1]["Media"]] if "Media" in args.unpack()[1] else []))

        def medium():
            r = m.bus.call_sync(None, "/org/lodge/Vm1", "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (BUS, "Media")), None, 0, 100000, None)
            return r.unpack()[0]

        def heard():
            end = time.monotonic() + 120
            while not told and time.monotonic() < end:
                GLib.MainContext.default().iteration(False)
                time.sleep(0.02)
            return told.pop(0) if told else None

        first = medium()
        ok(list(first) == ["ide1:0"] and first["ide1:0"].endswith("first.iso"), "the image of the file is in the drive", first)
        m.call("ChangeMedium", "(ssb)", "ide1:0", "", True)
        equal(heard(), {"ide1:0": ""}, "taken out: a signal says so")
        m.call("ChangeMedium", "(ssb)", "ide1:0", other, True)
        equal(heard(), {"ide1:0": other}, "another one put in: a signal says which")
        m.packet(1, 0, b"\0", 0)
        m.packet(1, 0, bytes((0x1B, 0, 0, 0, 2)), 0)
        equal(heard(), {"ide1:0": ""}, "the guest opens the tray: the drive holds nothing for it")
        m.packet(1, 0, bytes((0x1B, 0, 0, 0, 3)), 0)
        equal(heard(), {"ide1:0": other}, "and closes it again")
        try:
            m.call("ChangeMedium", "(ssb)", "ide1:0", "none.iso", True)
            ok(False, "a medium that does not exist is refused")
        except GLib.Error:
            equal(medium(), {"ide1:0": other}, "a medium that does not exist is refused, and the old one stays")
        m.call("PowerOff")


@part
def signals():
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Machine() as m:
            m.ready()
            m.proc.send_signal(sig)
            equal(m.wait(120), 0, "%s: status 0" % sig.name)
            ok('cleanShutdown = "TRUE"' in m.config(), "... cleanShutdown", m.config())
            ok(re.search(r"State: stopping \(signal\)\n.*State: off \(signal\)\n", m.log()), "... in order, in the log", m.log()[-500:])
            ok(not os.path.exists(m.vmx + ".lck"), "... the lock is gone")
    with Machine() as m:
        m.ready()
        m.send("h\n")       # HLT with interrupts off
        m.settle(0.3)
        equal(m.stop(), 0, "SIGTERM ends a machine that has halted for good")


@part
def lock():
    with Machine() as m:
        m.ready()
        before = m.log(), m.config()
        r = subprocess.run([find_lodge(), m.vmx], capture_output=True, text=True, timeout=120)
        equal(r.returncode, 4, "a second start: status 4")
        ok(re.fullmatch(r"lodge-vmx: .* is in use by process %d\n" % m.proc.pid, r.stderr), "... one sentence says which process has it", r.stderr)
        equal((m.log(), m.config()), before, "... and the log and the .vmx are as they were")
        copy = os.path.join(m.dir, "copy.vmx")
        shutil.copy(m.vmx, copy)
        r = subprocess.run([find_lodge(), "-s", "serial0.fileType=pty", "-s", "serial0.fileName=", copy], capture_output=True, text=True, timeout=120)
        ok(r.returncode == 4 and re.fullmatch(r"lodge-vmx: ide0:0: .* is in use by process %d.*\n" % m.proc.pid, r.stderr),
           "another machine with the same disk: says which process has it", "%d %s" % (r.returncode, r.stderr))
        m.proc.send_signal(signal.SIGKILL)
        m.proc.wait()
    m = Machine()
    m.start()
    m.ready()
    m.proc.send_signal(signal.SIGKILL)
    m.proc.wait()
    ok(os.path.exists(m.vmx + ".lck"), "a killed process leaves the lock's file")
    p = subprocess.Popen([find_lodge(), "-s", "serial0.fileType=pty", "-s", "serial0.fileName=", m.vmx], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    line = p.stdout.readline()
    ok(b"serial0" in line, "... which stops nobody", line)
    p.terminate()
    equal(p.wait(120), 0, "... that start ends in order")
    m.kill()


@part
def given_up():
    with Machine(vcpus=2, vnc=True) as m:
        m.ready()
        m.screen().screenshot()
        ts = m.threads()
        ok({"vcpu0", "vcpu1", "chipset", "blkio", "screen", "memory"} <= set(ts), "threads of all kinds", sorted(ts))
        ours = ts
        bad = [k for k, t in ours.items() if t["NoNewPrivs"] != "1"]
        equal(bad, [], "every thread has no_new_privs (%s)" % ", ".join(sorted(ours)))
        bad = [k for k, t in ours.items() if t["Seccomp"] != "2"]
        equal(bad, [], "every thread has a filter")
        filters = {k: int(t["Seccomp_filters"]) for k, t in ours.items()}
        main = filters[min(ours, key=lambda k: ours[k]["tid"])]
        ok(all(c > main for k, c in filters.items() if re.match(r"vcpu|chipset|blkio|screen|vnc|memory", k)), "a thread's own filter is on top of main's", filters)
        ok("refused" not in m.log(), "no thread misses a call in its work", m.log())


@part
def log_rotation():
    with Machine(keys={"log.rotateSize": 8192, "log.keepOld": 2}) as m:
        m.ready()
        for i in range(120):
            m.call("SetConfig", "(ss)", "annotation", "note %d " % i + "x" * 300)
        end = time.monotonic() + 60
        while os.path.getsize(os.path.join(m.dir, "vm.log")) >= 8192 and time.monotonic() < end:    # main turns it over when it has nothing else to do
            m.settle(0.1)
        files = sorted(f for f in os.listdir(m.dir) if re.fullmatch(r"vm(-\d+)?\.log", f))
        equal(files, ["vm-0.log", "vm-1.log", "vm.log"], "log.rotateSize, log.keepOld: the log and two old ones")
        sizes = [os.path.getsize(os.path.join(m.dir, f)) for f in files]
        ok(all(8192 <= s < 8192 + 2048 for s in sizes[:2]) and sizes[2] < 8192, "... of the size that was asked for", sizes)
        text = "".join(open(os.path.join(m.dir, f)).read() for f in ("vm-1.log", "vm-0.log", "vm.log"))
        notes = [int(x) for x in re.findall(r"annotation = note (\d+) ", text)]
        equal(notes, list(range(notes[0], 120)), "... with no line lost from the oldest to the newest")
        ok(all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (Er|Wa|In|Db)\(0\d\) ", s) for s in text.rstrip("\n").split("\n")), "... and no line cut")
        equal(m.stop(), 0, "... and the machine ends in order")
    folder = tempfile.mkdtemp(dir=WORK)
    keys = {"log.fileName": os.path.join(folder, "a.log"), "log.keepOld": 2}
    pids = []
    for i in range(4):
        with Machine(keys=keys) as m:
            m.ready()
            pids.append(m.proc.pid)
            m.stop()
    equal(sorted(os.listdir(folder)), ["a-0.log", "a-1.log", "a.log"], "each power on begins a new log and keeps two")
    got = [int(re.search(r" pid=(\d+) ", open(os.path.join(folder, f)).readline())[1]) for f in ("a.log", "a-0.log", "a-1.log")]
    equal(got, pids[:0:-1], "... the newest first")
    with Machine(keys=dict(keys, **{"log.append": "TRUE"})) as m:
        m.ready()
        m.stop()
        text = open(os.path.join(folder, "a.log")).read()
        ok(" pid=%d " % pids[3] in text and " pid=%d " % m.proc.pid in text and len(os.listdir(folder)) == 3, "log.append: goes on in the old one")


@part
def what_the_log_says():
    with Machine() as m:
        m.ready()
        m.call("Pause")
        m.call("Resume")
        m.call("Reset")
        m.ready()
        m.stop()
        text = m.log()
        for pattern, what in ((r"vmx Engine: .* \(.+\)", "which engine and why"), (r'config memsize = "32"', "who configured what"),
                              (r"State: starting.*State: on.*State: paused \(user\).*State: on \(user\).*State: off", "each change of state"),
                              (r"power Reset by the user", "a reset"), (r"disk ide0:0: disk .* 1048576 bytes, raw", "the disks")):
            ok(re.search(pattern, text, re.S), "the log says " + what, text)
    with Machine() as m:
        m.ready()
        bm = m.pci(7, 1, 0x20) & 0xFFF0
        m.outp(0xCF8, 0x80000904 | 7 << 11, 4)
        m.outp(0xCFC, 5, 4)
        for _ in range(300):        # READ DMA whose table of memory is empty: an error of the guest's
            m.ide_command(0, 0, 0xC8)
            m.outp(bm, 9)
            m.outp(bm, 8)
        lines = [s for s in m.log().split("\n") if " Wa(03) ide " in s]
        # At most ten in a second, and what was left out is counted: all of them on a machine that needs half a minute for 300.
        a_second = max((len([s for s in lines if s[:19] == second]) for second in {s[:19] for s in lines}), default=0)
        ok(0 < a_second <= 20, "errors of the guest are told, but not each of a flood", len(lines))


@part
def power_states():
    with Machine() as m:
        m.ready()
        m.call("Pause")
        equal(m.state(), "paused", "Pause: paused")
        try:
            m.call("Pause")
            ok(False, "Pause twice is an error")
        except GLib.Error as e:
            ok("org.lodge.Error.Busy" in e.message, "Pause twice is an error", e.message)
        m.send("c 0 0\n")
        m.settle(0.3)
        equal(bytes(m.serial[m.pos:]), b"", "... the guest stands still")
        m.call("Resume")
        equal(m.state(), "on", "Resume: on")
        ok(m.expect(r"=[^\n]+\n"), "... and goes on where it was")
        m.ask("w 500000 4 12345678")
        m.call("Reset")
        ok(m.ready(), "Reset: the firmware starts again")
        m.ask("w 500000 4 12345678")
        m.send("x\n")
        ok(m.ready(), "a triple fault resets the machine, as a PC does")
        ok(re.search(r"triple fault", m.log()), "... and the log has it")
        ok(m.state() == "on", "... the machine is on as before")
        m.outp(0xCF9, 2)
        m.send("o cf9 1 6\n")
        ok(m.ready(), "port CF9h resets the machine")
        equal(m.call("PointerIsAbsolute"), (False,), "no vmmouse driver, no absolute pointer")
        m.call("SetConfig", "(ss)", "memsize", "1024")
        ok('memsize = "1024"' in m.config(), "SetConfig: the file has it", m.config())
        stats = m.call("GetStatistics")[0]
        ok(stats["vcpu.runs"] > 0 and stats["guest.uptime_ns"] > 0 and "bt.code_limit" in stats and "ide0:0.reads" in stats, "statistics", stats)
        m.call("SoftOff", "(ub)", 0, False)
        equal(m.wait(120), 0, "the ACPI power button switches off a machine without an ACPI system")
    with Machine() as m:
        m.ready()
        pm = m.pci(7, 3, 0x40) & 0xFFC0
        m.outp(pm + 4, 1, 2)                # SCI_EN: an ACPI system runs, which does not answer
        m.call("SoftOff", "(ub)", 1, True)
        ok(m.inp(pm, 2) & 0x100, "... of an ACPI system it sets PWRBTN_STS")
        equal(m.wait(120), 0, "... and after the time given the machine is switched off")
        ok("State: off (timeout)" in m.log(), "... which the log says", m.log()[-400:])
    with Machine() as m:
        m.ready()
        pm = m.pci(7, 3, 0x40) & 0xFFC0
        m.send("o %x 2 2000\n" % (pm + 4))  # SLP_EN with the type of S5 (0 in the PIIX4)
        equal(m.wait(120), 0, "S5 switches the machine off")
        ok('softPowerOff = "TRUE"' in m.config(), "... by the guest itself", m.config())


def gdb(m, *commands):
    args = ["gdb", "-q", "-nx", "-batch", "-p", str(m.proc.pid), "-ex", "handle all nostop noprint pass"]
    for c in commands:
        args += ["-ex", c]
    r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    return r.stdout


@part
def internal_error():
    if not shutil.which("gdb"):
        ok(True, "an internal error # SKIP gdb, which causes it, is not there")
        return
    with Machine() as m:
        m.ready()
        out = gdb(m, "set $e = (char *)calloc(1, 4096)", 'call (int)err_set($e, 9, 0, "the test says so")', "call (void)vm_fail(watched, $e)")
        try:
            m.call("GetStatistics")     # gdb called on main's own thread, which sleeps on: anything wakes it
        except GLib.Error:
            pass
        try:
            status = m.wait(120)
        except GuestError:
            status = out
        equal(status, 3, "an internal error stops the machine: status 3")
        ok("the test says so" in m.stderr(), "... the user is told", m.stderr() + out)
        ok(re.search(r"Er\(02\) power The machine is stopped by a fault: the test says so\n", m.log()), "... the log is kept and says it", m.log()[-600:])
        ok('cleanShutdown = "FALSE"' in m.config(), "... it was no clean end")


def crash(m, tid, sig):
    ctypes.CDLL(None).syscall(234, m.proc.pid, tid, int(sig))     # tgkill
    status = m.wait(120)
    return status, m.stderr()


@part
def crashes():
    for kind, sig in (("vcpu", signal.SIGSEGV), ("chipset", signal.SIGBUS), ("main", signal.SIGABRT), ("vcpu", signal.SIGILL)):
        with Machine() as m:
            m.ready()
            tid = m.proc.pid if kind == "main" else [t["tid"] for k, t in m.threads().items() if k.startswith(kind)][0]
            status, err = crash(m, tid, sig)
            what = "%s in the thread %s" % (sig.name, kind)
            equal(status, -sig, what + ": the process ends by it")
            ok(re.search(r"Core report: %s in thread \S+, host pc 0x[0-9a-f]+" % sig.name, m.log()), "... a core report in the log", m.log()[-1500:])
            ok(re.search(r"guest (pc|rip)[ =:]*\S*[0-9a-f]+", m.log()) and re.search(r"block", m.log()), "... names the guest's pc and the block", m.log()[-1500:])
            ok("Lodge has crashed; please report this with the log." in err, "... the user is told", err)
            ok('cleanShutdown = "FALSE"' in m.config(), "... it was no clean end")


@part
def outside():
    """The command line."""
    r = subprocess.run([find_lodge(), "--help"], capture_output=True, text=True)
    ok(r.returncode == 0 and r.stdout.startswith("Usage: lodge-vmx ") and not r.stderr, "--help", r)
    r = subprocess.run([find_lodge(), "--version"], capture_output=True, text=True)
    ok(r.returncode == 0 and re.fullmatch(r"lodge-vmx \d+\.\d+\.\d+\n", r.stdout), "--version", r)
    for args in ([], ["a.vmx", "b.vmx"], ["--no-such"]):
        r = subprocess.run([find_lodge(), *args], capture_output=True, text=True)
        ok(r.returncode == 2 and "lodge-vmx --help" in r.stderr and not r.stdout, "wrong usage: %s" % (args or "nothing"), r)
    with Machine() as m:
        m.ready()
        m.stop()
        r = subprocess.run([find_lodge(), "-s", "memsize=7", "--check", m.vmx], capture_output=True, text=True)
        ok(r.returncode == 1 and "memsize: 7 is not a multiple of 4" in r.stdout, "--set takes part in the check", r)
    with Machine(keys={"log.fileName": "/proc/1/x.log"}) as m:
        m.ready()
        said = m.stderr()
        ok(re.search(r"\.vmx:\d+: log\.fileName: warning: the log /proc/1/x\.log cannot be written: ", said), "a log that cannot be written is told, and the machine runs", said)
        equal(m.stop(), 0, "... and ends")


def begin(work, code):
    global WORK, DISK, CODE
    WORK, CODE, DISK = work, code, disk(os.path.join(work, "probe.img"), code)


if __name__ == "__main__":
    run_parts(begin, GLib.Error)
