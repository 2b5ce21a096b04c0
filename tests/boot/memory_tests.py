# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's memory on the host: trimming, the balloon, sharing, and what they cost. Part of boot_test.py."""
import contextlib
import os
import re
import subprocess
import time

from guest import CACHE

from boot_test import HERE, RUNNER, Guest, Skip, check, find_lodge, linux_iso, off, run, test

MIB = 1 << 20
INIT = "echo USERLAND; while read -r line; do [ \"$line\" = off ] && poweroff -f; eval \"$line\"; done\n"


def memory_guest(work, mem=512, args="", modules=(), keys=None, name="memory", **kw):
    if RUNNER == "qemu":
        raise Skip("the numbers are those of Lodge's statistics")
    prog = os.path.join(work, "guestmem")
    if not os.path.exists(prog):
        run(os.environ.get("CC", "gcc"), "-O2", "-static", "-Wall", "-o", prog, HERE + "/guestmem.c")
    iso = linux_iso(work, kw.pop("kernel", "cloud"), INIT, args="console=ttyS0 quiet " + args, modules=modules, files=[prog + "=bin/guestmem"])
    return Guest(name, iso=iso, mem=mem, keys=keys, **kw)


def call(g, method, *args):
    if not hasattr(g, "address"):
        g.address = subprocess.run([find_lodge(), "--address", g.vmx], check=True, capture_output=True, text=True).stdout.strip()
    return subprocess.run(["gdbus", "call", "--address", g.address, "--dest", "org.lodge.Vm1", "--object-path", "/org/lodge/Vm1", "--method",
                           "org.lodge.Vm1." + method, "--", *args], check=True, capture_output=True, text=True).stdout


def stats(g):
    return {k: int(v) for k, v in re.findall(r"'([\w.:]+)': (?:uint64 )?(\d+)", call(g, "GetStatistics"))}


def host_kb(g, field="Rss"):
    """What the host's kernel counts for the whole process."""
    with open("/proc/%d/smaps_rollup" % g.proc.pid) as f:
        return int(re.search(r"^%s:\s+(\d+)" % field, f.read(), re.M)[1])


def until(g, what, accept, timeout):
    """Waits for accept(statistics); returns them and how long it took."""
    start = time.monotonic()
    while True:
        s = stats(g)
        took = time.monotonic() - start
        if accept(s):
            return s, took
        check(took < timeout * float(os.environ.get("LODGE_SLOW", "1")), "%s did not come within %d s: %s" % (
            what, timeout, {k: v // MIB if v > MIB else v for k, v in s.items() if k.startswith(("memory.", "trim."))}))
        g.settle(1)


def show(s, *more):
    print("# MiB:", ", ".join("%s %d" % (k.split(".")[1], s[k] // MIB) for k in sorted(s) if k.startswith("memory.") and s[k] >= MIB), *more, flush=True)


@test(quick=False, vcpus=[1, 2])
def test_memory_trim(work, vcpus):
    """A guest that zeroes what it frees: of 1 GiB at least 900 MiB come back within a minute. Off is off; on again while it runs."""
    with memory_guest(work, mem=1536, args="init_on_free=1", vcpus=vcpus) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; guestmem hold 1024\n")
        g.expect(r"HELD 1024", 240)
        s = stats(g)
        show(s)
        check(s["memory.resident"] >= 1024 * MIB, "the guest's memory is not counted as resident")
        before = host_kb(g)
        g.send("x\n")
        g.expect(r"GOOD 1024", 120)
        freed = time.monotonic()
        s, took = until(g, "900 MiB of 1 GiB", lambda s: before - host_kb(g) >= 900 * 1024, 60)
        print("# 900 MiB back after %.1f s; %d stops, %.0f us each, %.0f us at most; %.1f ms of processor time" % (
            time.monotonic() - freed, s["trim.stops"], s["trim.stopped_ns"] / max(1, s["trim.stops"]) / 1000, s["trim.stopped_max_ns"] / 1000,
            s["trim.cpu_ns"] / 1e6))
        show(stats(g))
        # Off: nothing is scanned, nothing goes back.
        call(g, "SetConfig", "MemTrimRate", "0")
        g.settle(2)
        a = stats(g)
        g.send("guestmem hold 256\n")
        g.expect(r"HELD 256", 60)
        g.send("x\n")
        g.expect(r"GOOD 256", 60)
        g.settle(25)
        b = stats(g)
        check(b["trim.pages_scanned"] == a["trim.pages_scanned"] and b["trim.pages_freed"] == a["trim.pages_freed"], "switched off, it goes on")
        call(g, "SetConfig", "MemTrimRate", "-1")
        until(g, "switched on again, trimming", lambda s: s["trim.pages_freed"] > b["trim.pages_freed"] + 50000, 60)
        g.stop()


@test(quick=False, vcpus=[1, 2])
def test_memory_churn(work, vcpus):
    """Programs that write and zero pages all the time, in a guest whose disk does the same, lose nothing while trimming works at full speed."""
    with memory_guest(work, mem=512, vcpus=vcpus, keys={"MemTrimRate": "1000000"}) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; for i in 1 2 3; do guestmem churn 80 40 & done; wait; echo ALL\n")
        for _ in range(3):
            m = g.expect(r"CHURN (\d+) (\d+)\s", 240)
            check(int(m[2]) == 0, "%s of %s pages were not as they were left" % (m[2], m[1]))
        s = stats(g)
        print("# %d pages went back meanwhile" % s["trim.pages_freed"])
        check(s["trim.pages_freed"] > 1000, "nothing went back")
        g.stop()


@test(quick=lambda vcpus, arch: vcpus == 1 and arch == "amd64", vcpus=[1, 2], arch=["amd64", "686-pae"])
def test_memory_balloon(work, vcpus, arch):
    """Linux's vmw_balloon hands memory over when it is asked to, gets it back, and survives being asked for everything."""
    with memory_guest(work, mem=512, kernel=arch, modules=["vmw_balloon"], vcpus=vcpus, keys={"MemTrimRate": "0"},
                      guest_os="debian12-64" if arch == "amd64" else "debian12") as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; guestmem hold 300\n")
        g.expect(r"HELD 300", 60)
        s, _ = until(g, "the driver", lambda s: s["balloon.driver"], 30)
        g.send("x\n")
        g.expect(r"GOOD 300", 60)
        before = stats(g)["memory.resident"]
        call(g, "SetBalloon", "256")
        s, took = until(g, "a balloon of 256 MB", lambda s: s["memory.ballooned"] >= 255 * MIB, 60)
        show(s, "after %.1f s" % took)
        check(before - s["memory.resident"] >= 180 * MIB, "the host has not got the memory")
        g.send("grep MemFree /proc/meminfo\n")
        free = int(g.expect(r"MemFree:\s+(\d+) kB", 30)[1])
        check(free < 260 * 1024, "the guest says that %d kB are free" % free)
        # Everything: 65 % is the most, and the guest lives.
        call(g, "SetBalloon", "512")
        until(g, "the target", lambda s: s["balloon.target"] > 300 * MIB, 10)
        until(g, "the largest balloon", lambda s: s["memory.ballooned"] >= 300 * MIB or s["balloon.target"] < 300 * MIB, 90)
        g.send("guestmem hold 40\n")
        g.expect(r"HELD 40", 60)
        g.send("x\n")
        g.expect(r"GOOD 40", 60)
        s = stats(g)
        show(s)
        check(s["memory.ballooned"] <= 512 * MIB * 66 // 100, "more than the largest size")
        call(g, "SetBalloon", "-1")
        s, took = until(g, "an empty balloon", lambda s: s["memory.ballooned"] == 0, 60)
        print("# empty after %.1f s; %d pages taken, %d given back, %d refused" % (
            took, s["balloon.pages_taken"], s["balloon.pages_given"], s["balloon.refused"]))
        g.send("guestmem hold 320\n")
        g.expect(r"HELD 320", 60)
        g.send("x\n")
        g.expect(r"GOOD 320", 60)
        # The driver goes and comes: the host has nothing left of the old one.
        call(g, "SetBalloon", "100")
        until(g, "a balloon of 100 MB", lambda s: s["memory.ballooned"] >= 99 * MIB, 60)
        g.send("rmmod vmw_balloon && echo GONE\n")
        g.expect(r"GONE", 60)
        until(g, "nothing left", lambda s: s["memory.ballooned"] == 0, 30)
        g.send("modprobe vmw_balloon && echo BACK\n")
        g.expect(r"BACK", 60)
        until(g, "a balloon of 100 MB again", lambda s: s["memory.ballooned"] >= 99 * MIB, 60)
        g.send("dmesg | grep -E 'BUG|Call Trace|Out of memory|balloon' | sed 's/^/COMPLAINT /'; echo END\n")
        g.expect(r"END", 30)
        check("Call Trace" not in g.text() and "Out of memory" not in g.text(), "the guest complains:" + g.tail())
        g.stop()


def ksm(name, value=None):
    path = "/sys/kernel/mm/ksm/" + name
    if value is not None:
        try:
            with open(path, "w") as f:
                f.write(str(value))
        except OSError as e:
            raise Skip("KSM cannot be controlled: %s" % e)
    with open(path) as f:
        return int(f.read())


class Ksm:
    """KSM at full speed while a test needs it, then as it was."""
    def __enter__(self):
        if not os.access("/sys/kernel/mm/ksm/run", os.W_OK):
            raise Skip("only root can switch KSM on")
        self.was = {n: ksm(n) for n in ("run", "pages_to_scan", "sleep_millisecs")}
        for n, v in (("sleep_millisecs", 20), ("pages_to_scan", 4000), ("run", 1)):
            ksm(n, v)
        return self

    def __exit__(self, *a):
        for n, v in self.was.items():
            ksm(n, v)


@test(quick=False)
def test_memory_share(work):
    """Equal pages of two guests become one; off, off while it runs, and KSM switched off meanwhile; the guests keep their memory."""
    with Ksm(), memory_guest(work, mem=256, name="one") as a, memory_guest(work, mem=256, name="two") as b:
        for g in (a, b):
            g.expect(r"USERLAND", 240)
            g.send("stty -echo; guestmem hold 100 same\n")
            g.expect(r"HELD 100", 60)
        s, took = until(a, "sharing of 100 MB", lambda s: s["memory.shared"] >= 100 * MIB, 180)
        show(s, "after %.0f s" % took)
        check(s["memory.saved"] >= 45 * MIB, "nothing is saved")
        with memory_guest(work, mem=256, name="off", keys={"sched.mem.pshare.enable": "FALSE"}) as c:
            c.expect(r"USERLAND", 240)
            c.send("stty -echo; guestmem hold 100 same\n")
            c.expect(r"HELD 100", 60)
            c.settle(20)
            with open("/proc/%d/ksm_merging_pages" % c.proc.pid) as f:
                check(int(f.read()) == 0, "a machine with sharing off is merged")
            c.send("x\n")
            c.expect(r"GOOD 100", 60)
            c.stop()
        ksm("run", 0)
        a.settle(2)
        call(a, "SetConfig", "sched.mem.pshare.enable", "FALSE")
        s = stats(a)
        with open("/proc/%d/smaps_rollup" % a.proc.pid) as f:
            m = re.search(r"^KSM:\s+(\d+)", f.read(), re.M)
        check(s["memory.shared"] == 0 and (not m or int(m[1]) == 0), "switched off, pages stay merged")
        ksm("run", 1)
        for g in (a, b):
            g.send("x\n")
            g.expect(r"GOOD 100", 60)
            g.stop()


class Group:
    """A control group with a memory limit, of version 1 or 2, in which a machine is from its beginning."""
    def __init__(self, mb):
        with open("/proc/self/cgroup") as f:
            own = dict(line.strip().split(":", 2)[1:] for line in f)
        if "memory" in own:
            self.path, self.limit, self.used = "/sys/fs/cgroup/memory" + own["memory"], "/memory.limit_in_bytes", "/memory.usage_in_bytes"
        else:
            self.path, self.limit, self.used = "/sys/fs/cgroup" + own.get("", ""), "/memory.max", "/memory.current"
        if not os.path.exists(self.path + "/cgroup.procs"):
            raise Skip("no control groups")
        self.path += "/lodge-test-%d" % os.getpid()
        try:
            os.mkdir(self.path)
            self.set(mb)
        except OSError as e:
            self.__exit__()
            raise Skip("no control group for memory: %s" % e)

    def set(self, mb):
        with open(self.path + self.limit, "r+") as f:
            f.write(str(mb * MIB))

    def in_use(self):
        with open(self.path + self.used) as f:
            return int(f.read()) // MIB

    def start(self, g):
        import guest as guestmod
        old = guestmod._die_with_parent

        def join_group():
            old()
            with open(self.path + "/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))
        guestmod._die_with_parent = join_group
        try:
            return g.start()
        finally:
            guestmod._die_with_parent = old

    def __enter__(self):
        return self

    def __exit__(self, *a):
        for _ in range(20):
            try:
                os.rmdir(self.path)
                break
            except OSError:
                time.sleep(0.2)


@test(quick=False)
def test_memory_limit(work):
    """The control group's limit is nearly reached: the machine is paused with a message, not killed, and goes on when there is memory again."""
    with Group(400) as group, group.start(memory_guest(work, mem=512, keys={"prefvmx.minVmMemPct": "25"})) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; guestmem hold 330\n")
        end = time.monotonic() + 40
        while "'paused'" not in prop(g, "State"):
            check(time.monotonic() < end and g.proc.poll() is None, "not paused: %d MiB in use %s" % (group.in_use(), g.tail()))
            g.settle(0.2)
        print("# paused with %d MiB of 400 used" % group.in_use())
        with open(os.path.join(g.dir, "vm.log"), errors="replace") as f:
            check(re.search(r"The guest is paused, because this control group has only \d+ MiB", f.read()), "no message")
        group.set(900)
        call(g, "Resume")
        g.expect(r"HELD 330", 60)
        g.send("x\n")
        g.expect(r"GOOD 330", 60)
        g.stop()


@test(quick=False)
def test_memory_pressure(work):
    """The host is short of memory: the balloon takes what the guest does not use, and lets it go when there is enough again."""
    with Group(640) as group, group.start(memory_guest(work, mem=768, kernel="amd64", modules=["vmw_balloon"],
                                                       keys={"prefvmx.minVmMemPct": "25", "MemTrimRate": "0"})) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; guestmem hold 400\n")
        g.expect(r"HELD 400", 60)
        g.send("x\n")
        g.expect(r"GOOD 400", 60)
        before = stats(g)["memory.resident"]
        group.set(group.in_use() + 50)
        s, took = until(g, "a balloon because of shortage", lambda s: s["memory.ballooned"] >= 48 * MIB, 60)
        show(s, "after %.1f s" % took)
        g.settle(5)
        s = stats(g)
        check(s["memory.resident"] < before - 30 * MIB, "nothing came back")
        group.set(2000)
        s, took = until(g, "an empty balloon", lambda s: s["memory.ballooned"] == 0, 90)
        g.send("guestmem hold 400\n")
        g.expect(r"HELD 400", 60)
        g.send("x\n")
        g.expect(r"GOOD 400", 60)
        g.stop()


def prop(g, name):
    call(g, "GetStatistics") if not hasattr(g, "address") else None
    return subprocess.run(["gdbus", "call", "--address", g.address, "--dest", "org.lodge.Vm1", "--object-path", "/org/lodge/Vm1", "--method",
                           "org.freedesktop.DBus.Properties.Get", "org.lodge.Vm1", name], check=True, capture_output=True, text=True).stdout


@test(quick=True)
def test_memory_policy(work):
    """Too much for all machines together is refused with numbers; a named file holds the memory, gives it back, and goes away; pinned memory."""
    g = memory_guest(work, mem=512, keys={"prefvmx.allVMMemoryLimit": "200"})
    g.start()
    g.proc.wait(30)
    check(g.proc.returncode != 0 and "200 MB that all machines may use together" in g.stderr(), "not refused: " + g.stderr())
    g.kill()
    with memory_guest(work, mem=256, args="init_on_free=1", keys={"mainMem.useNamedFile": "TRUE"}, name="named") as g:
        g.expect(r"USERLAND", 240)
        path = os.path.join(g.dir, "named.vmem")
        check(os.path.getsize(path) == 256 * MIB, "no .vmem")
        g.send("stty -echo; guestmem hold 120\n")
        g.expect(r"HELD 120", 60)
        check(stats(g)["memory.resident"] >= 120 * MIB, "not counted")
        g.send("x\n")
        g.expect(r"GOOD 120", 60)
        s, took = until(g, "trimming of a file", lambda s: s["memory.trimmed"] >= 110 * MIB, 60)
        show(s, "file, after %.0f s" % took)
        check(os.stat(path).st_blocks * 512 >= 250 * MIB, "the file's blocks are not kept for the guest")
        g.send("guestmem hold 120\n")
        g.expect(r"HELD 120", 60)
        g.send("x\n")
        g.expect(r"GOOD 120", 60)
        g.stop()
        check(not os.path.exists(path), "the .vmem stays")


@test(quick=False)
def test_memory_cost(work):
    """What trimming and sharing cost: processor time of the scan in an idle guest, and the pace of a busy one with both on and off, in one run."""
    with memory_guest(work, mem=1024, args="init_on_free=1") as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; sleep 1000 | guestmem hold 600 &\n")
        g.expect(r"HELD 600", 120)
        g.settle(30)
        a, t0 = stats(g), time.monotonic()
        g.settle(40)
        b, t1 = stats(g), time.monotonic()
        share = (b["trim.cpu_ns"] - a["trim.cpu_ns"]) / 1e9 / (t1 - t0)
        print("# idle guest, %d MiB resident: scan takes %.2f %% of one processor, %d stops" % (
            b["memory.resident"] // MIB, share * 100, b["trim.stops"] - a["trim.stops"]))
        check(share < 0.02, "the scan of an idle guest takes %.1f %% of a processor" % (share * 100))
        # By processor time of the whole process, scan included, so that what else runs on this computer does not count.
        rounds, used = {"on": 0, "off": 0}, {"on": 0, "off": 0}

        def cpu():
            s = stats(g)
            return (s["process.cpu_user_us"] + s["process.cpu_system_us"]) / 1e6
        seconds = float(os.environ.get("LODGE_COST_SECONDS", "12"))
        # One program all the time: how fast the same work is differs from process to process.
        g.send("guestmem work 24 %g\n" % (8 * seconds + 20))

        def sofar():
            return int(g.expect(r"SOFAR (\d+)", 60)[1]), cpu()
        sofar()
        g.settle(3)
        for which in ("off", "on", "off", "on", "on", "off"):
            call(g, "SetConfig", "MemTrimRate", "-1" if which == "on" else "0")
            call(g, "SetConfig", "sched.mem.pshare.enable", "TRUE" if which == "on" else "FALSE")
            while g._pump(0):
                pass
            g.pos = len(g.serial)
            r0, c0 = sofar()
            g.settle(seconds)
            g.pos = g.serial.rfind(b"SOFAR", 0, len(g.serial) - 12)
            r1, c1 = sofar()
            rounds[which] += r1 - r0
            used[which] += c1 - c0
        c = stats(g)
        cost = 1 - rounds["on"] / used["on"] / (rounds["off"] / used["off"])
        print("# busy guest: %.2f rounds a second of processor time with both on, %.2f with both off: they cost %.1f %%; %d pages went back, %.1f us a stop" % (
            rounds["on"] / used["on"], rounds["off"] / used["off"], cost * 100, c["trim.pages_freed"] - b["trim.pages_freed"],
            (c["trim.stopped_ns"] - b["trim.stopped_ns"]) / 1000 / max(1, c["trim.stops"] - b["trim.stops"])))
        check(cost < 0.25, "they cost %.0f %%" % (cost * 100))
        g.stop()


@test(quick=False)
def test_memory_four(work):
    """Four identical idle guests take at most 60 % of four times one guest's memory after some minutes with sharing and trimming."""
    image = os.path.join(CACHE, "debian-amd64.img")
    seconds = int(os.environ.get("LODGE_SHARE_SECONDS", "300"))
    with Ksm(), contextlib.ExitStack() as stack:
        def guest(name, sharing):
            keys = {"ide0:0.mode": "independent-nonpersistent"} if os.path.exists(image) else {}
            keys.update({"sched.mem.pshare.enable": sharing, "MemTrimRate": "-1" if sharing == "TRUE" else "0"})
            if os.path.exists(image):
                return stack.enter_context(Guest(name, disk=image, mem=512, keys=keys))
            return stack.enter_context(memory_guest(work, mem=512, name=name, kernel="amd64", keys=keys))
        alone = guest("alone", "FALSE")
        alone.expect(r"login: |USERLAND", 400)
        alone.settle(30)
        one = host_kb(alone, "Pss")
        alone.kill()
        guests = [guest("four%d" % i, "TRUE") for i in range(4)]
        for g in guests:
            g.expect(r"login: |USERLAND", 600)
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            for g in guests:
                g.settle(1)
        four = sum(host_kb(g, "Pss") for g in guests)
        show(stats(guests[0]))
        print("# one alone %d MiB; four %d MiB: %.0f %% of four times one" % (one // 1024, four // 1024, four / one * 25), flush=True)
        check(four <= one * 4 * 0.6, "four take %.0f %% of four times one" % (four / one * 25))
        for g in guests:
            g.stop()
