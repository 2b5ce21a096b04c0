# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's memory on the host: trimming, the balloon, sharing, and what they cost. Part of boot_test.py."""
import contextlib
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

from guest import CACHE

from boot_test import HERE, MEDIA, RUNNER, Guest, Skip, check, find_lodge, linux_iso, off, run, test

MIB = 1 << 20
INIT = "echo USERLAND; while read -r line; do [ \"$line\" = off ] && poweroff -f; eval \"$line\"; done\n"


def memory_guest(work, mem=512, args="", modules=(), keys=None, name="memory", **kw):
    if RUNNER == "qemu":
        raise Skip("the numbers are those of Lodge's statistics")
    kernel = kw.pop("kernel", "cloud")
    arch = ["-m32"] if "686" in kernel else []
    prog = os.path.join(MEDIA or work, "guestmem" + "32" * len(arch))
    if not os.path.exists(prog):
        run(os.environ.get("CC", "gcc"), *arch, "-O2", "-static", "-Wall", "-o", prog, HERE + "/guestmem.c")
    iso = linux_iso(work, kernel, INIT, args="console=ttyS0 quiet " + args, modules=modules, files=[prog + "=bin/guestmem"])
    kw.setdefault("guest_os", "debian12" if arch else "debian12-64")
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


def wait_for_driver(g):
    """Until the balloon driver is there. A 32-bit Linux's one takes nothing in the first five minutes: it compares the time of the last shortage, which is
    0, with a counter of ticks that reaches 0 only then."""
    until(g, "the driver", lambda s: s["balloon.driver"], 60)
    if g.guest_os == "debian12":
        g.send("echo UP $(cut -d. -f1 /proc/uptime)\n")
        up = int(g.expect(r"UP (\d+)\s", 30)[1])
        g.settle(max(0, 305 - up))


def until(g, what, accept, timeout):
    """Waits for accept(statistics); returns them and how long it took."""
    start = time.monotonic()
    while True:
        s = stats(g)
        took = time.monotonic() - start
        if accept(s):
            return s, took
        check(took < timeout * float(os.environ.get("LODGE_SLOW", "1")), "%s did not come within %d s: %s" % (
            what, timeout, {k: v // MIB if v > MIB else v for k, v in s.items() if k.startswith(("memory.", "trim.", "balloon."))}))
        g.settle(1)


def show(s, *more):
    print("# MiB:", ", ".join("%s %d" % (k.split(".")[1], s[k] // MIB) for k in sorted(s) if k.startswith("memory.") and s[k] >= MIB), *more, flush=True)


def figure(what, value, goal, met=None):
    """A line of the table that "make bench-memory" prints."""
    print("# FIGURE %s | %s | %s | %s" % (what, value, goal, {None: "", True: "ok", False: "MISSED"}[met]), flush=True)


@test(quick=False, vcpus=[1, 2])
def test_memory_trim(work, vcpus):
    """A guest that zeroes what it frees: of 1 GiB at least 900 MiB come back within a minute. Off is off; on again while it runs."""
    # By trimming alone: where another machine has made KSM hurry, that merges the zeros first, and nothing is left to give back.
    with memory_guest(work, mem=1536, args="init_on_free=1", vcpus=vcpus, keys={"sched.mem.pshare.enable": "FALSE"}) as g:
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
        figure("1 GiB freed, init_on_free=1, %d vCPU: 900 MiB are back" % vcpus, "%.0f s" % took, "60 s", took < 60)
        figure("... for which the guest stood still", "%.2f s in all, %.1f ms at most" % (s["trim.stopped_ns"] / 1e9, s["trim.stopped_max_ns"] / 1e6), "")
        figure("... and a processor worked", "%.2f s" % (s["trim.cpu_ns"] / 1e9), "")
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
        figure("MemTrimRate = \"0\": pages looked at, given back in 25 s", "0, 0", "0, 0", True)
        call(g, "SetConfig", "MemTrimRate", "-1")
        until(g, "switched on again, trimming", lambda s: s["trim.pages_freed"] > b["trim.pages_freed"] + 50000, 60)
        g.stop()


@test(quick=False, vcpus=[1, 2], kernel=["amd64", "686-pae"])
def test_memory_free(work, vcpus, kernel):
    """An ordinary Debian kernel, which leaves its old data in free pages: of 1 GiB that it frees 900 MiB come back within a minute by the balloon, also
    when that is most of what it has."""
    with memory_guest(work, mem=(2048, 1536)[vcpus - 1], kernel=kernel, modules=["vmw_balloon"], vcpus=vcpus) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo\n")
        wait_for_driver(g)
        g.send("guestmem hold 1024\n")
        g.expect(r"HELD 1024", 240)
        before, a = host_kb(g), stats(g)
        g.send("x\n")
        g.expect(r"GOOD 1024", 120)
        freed = time.monotonic()
        until(g, "900 MiB of 1 GiB", lambda s: before - host_kb(g) >= 900 * 1024, 60)
        took = time.monotonic() - freed
        s, _ = until(g, "an empty balloon", lambda s: s["memory.ballooned"] == 0, 10)
        print("# 900 MiB back after %.1f s, the balloon is empty after %.1f s; %d breaths, %d MiB harvested, %.2f s of processor time" % (
            took, time.monotonic() - freed, s["balloon.breaths"], s["balloon.pages_harvested"] // 256,
            sum(s[k] - a[k] for k in ("process.cpu_user_us", "process.cpu_system_us")) / 1e6))
        figure("1 GiB freed, stock %s kernel (balloon), %d vCPU: 900 MiB are back" % (kernel, vcpus), "%.0f s" % took, "60 s", took < 60)
        # There is nothing more to get: it costs next to nothing.
        g.settle(5)
        b = stats(g)
        g.settle(35)
        c = stats(g)
        print("# afterwards, with nothing to get: %.2f %% of a processor, %d pages asked for in 35 s" % (
            sum(c[k] - b[k] for k in ("process.cpu_user_us", "process.cpu_system_us")) / 35e4, c["balloon.pages_taken"] - b["balloon.pages_taken"]))
        check(c["balloon.pages_taken"] - b["balloon.pages_taken"] <= 4 * 8192, "the guest is asked again and again for what is not there")
        # The guest has all of it; off is off.
        call(g, "SetConfig", "MemTrimRate", "0")
        g.send("guestmem hold 1024\n")
        g.expect(r"HELD 1024", 240)
        g.send("x\n")
        g.expect(r"GOOD 1024", 120)
        b = stats(g)
        g.settle(35)
        c = stats(g)
        check(c["balloon.pages_taken"] == b["balloon.pages_taken"] and c["memory.resident"] > 1024 * MIB, "switched off, memory goes back")
        g.send("dmesg | grep -E 'BUG|Call Trace|Out of memory' | sed 's/^/COMPLAINT /'; echo END\n")
        g.expect(r"END", 30)
        check("COMPLAINT" not in g.text(), "the guest complains:" + g.tail())
        g.stop()


@test(quick=False)
def test_memory_breaths(work):
    """Programs that want most of the guest's memory at any moment, also while the balloon looks for what is free, get it: nothing is killed."""
    rnd = random.Random(int(os.environ.get("LODGE_SEED", "6")))
    with memory_guest(work, mem=1024, kernel="amd64", modules=["vmw_balloon"], vcpus=2) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo\n")
        wait_for_driver(g)
        hit = 0
        for i in range(int(os.environ.get("LODGE_BREATHS", "8"))):
            g.send("guestmem hold %d\n" % (500, 620)[i % 2])
            g.expect(r"HELD", 120)
            g.send("x\n")
            g.expect(r"GOOD", 120)
            # Some begin when a breath has just begun, which is when it hurts most; others whenever.
            start, wait = time.monotonic(), rnd.uniform(4, 25)
            while time.monotonic() - start < wait or (i % 3 < 2 and time.monotonic() - start < 40):
                g.settle(0.2)
                if i % 3 < 2 and stats(g)["balloon.target"] >= (32, 200)[i % 3] * MIB:
                    break
            hit += stats(g)["balloon.target"] > 0
        s = stats(g)
        print("# %d breaths, %d MiB harvested; %d times a program began in the middle of one; for that it stood still for %.1f s" % (
            s["balloon.breaths"], s["balloon.pages_harvested"] // 256, hit, s["balloon.paced_ns"] / 1e9))
        check(s["balloon.breaths"] >= 1 and hit >= 1, "that was no test")
        g.send("dmesg | grep -E 'BUG|Call Trace|Out of memory|oom' | sed 's/^/COMPLAINT /'; echo END\n")
        g.expect(r"END", 30)
        check("COMPLAINT" not in g.text(), "the guest complains:" + g.tail())
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
    with memory_guest(work, mem=512, kernel=arch, modules=["vmw_balloon"], vcpus=vcpus, keys={"MemTrimRate": "0"}) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo\n")
        wait_for_driver(g)
        g.send("guestmem hold 300\n")
        g.expect(r"HELD 300", 60)
        g.send("x\n")
        g.expect(r"GOOD 300", 60)
        before = stats(g)["memory.resident"]
        call(g, "SetBalloon", "256")
        s, took = until(g, "a balloon of 256 MB", lambda s: s["memory.ballooned"] >= 255 * MIB, 60)
        show(s, "after %.1f s" % took)
        figure("balloon of 256 MB of a guest of 512 (%s, %d vCPU): full" % (arch, vcpus), "%.1f s" % took, "60 s", took < 60)
        figure("... and the host has got", "%d MiB" % ((before - s["memory.resident"]) // MIB), "180 MiB", before - s["memory.resident"] >= 180 * MIB)
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


def ram_kb(g):
    """The guest's memory in smaps, by field; _range: its addresses. It may be in pieces (where huge pages were taken apart), between two guard areas."""
    runs, end = [], 0
    with open("/proc/%d/smaps" % g.proc.pid) as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
            if m:
                lo, hi = int(m[1], 16), int(m[2], 16)
                if lo != end or not m[3].startswith("rw") or not runs or "_rw" not in runs[-1]:
                    runs.append({"_range": (lo, hi)})
                    if m[3].startswith("rw"):
                        runs[-1]["_rw"] = True
                runs[-1]["_range"] = (runs[-1]["_range"][0], hi)
                end = hi
            else:
                m = re.match(r"(\w+):\s+(\d+) kB", line)
                if m:
                    runs[-1][m[1]] = runs[-1].get(m[1], 0) + int(m[2])
    found = [r for r in runs if "_rw" in r and r["_range"][1] - r["_range"][0] == g.mem * MIB]
    check(len(found) == 1, "the guest's memory was not found in smaps: %s" % [(r["_range"][1] - r["_range"][0]) // MIB for r in runs])
    return found[0]


def same_figures(g, what):
    """Lodge's figures are those of the host's kernel, which counts a moment later."""
    for attempt in range(5):
        g.settle(1)
        s, k = stats(g), ram_kb(g)
        pairs = [("configured", k["Size"]), ("resident", k["Rss"]), ("swapped", k["Swap"])]
        if "KSM" in k:
            pairs.append(("shared", k["KSM"]))
        off = {n: s["memory." + n] / MIB - v / 1024 for n, v in pairs}
        if all(abs(d) < 3 for d in off.values()):
            break
    print("# %s: %s; smaps: %s" % (what, ", ".join("%s %d" % (n, s["memory." + n] // MIB) for n in (
        "configured", "touched", "resident", "swapped", "shared", "trimmed", "ballooned", "saved")), ", ".join("%s %d" % (n, k[n] // 1024) for n in (
            "Size", "Rss", "Swap", "KSM") if n in k)), flush=True)
    check(all(abs(d) < 3 for d in off.values()), "%s: Lodge counts other than the kernel, by MiB: %s" % (what, off))
    check(s["memory.resident"] + s["memory.swapped"] <= s["memory.touched"] <= s["memory.configured"], "touched does not fit the others")
    check(s["memory.resident"] + s["memory.swapped"] + s["memory.trimmed"] <= s["memory.configured"], "more is there and gone than there was")
    check(s["memory.saved"] >= s["memory.trimmed"], "saved is less than trimmed")
    return s


@test(quick=False)
def test_memory_figures(work):
    """configured, touched, resident, swapped, shared, trimmed, ballooned and saved, beside what the host's kernel counts (smaps)."""
    with memory_guest(work, mem=512, kernel="amd64", modules=["vmw_balloon"], args="init_on_free=1") as g:
        g.expect(r"USERLAND", 240)
        same_figures(g, "started")
        g.send("stty -echo; guestmem hold 300\n")
        g.expect(r"HELD 300", 60)
        s = same_figures(g, "300 MB held")
        check(s["memory.resident"] >= 300 * MIB, "resident")
        until(g, "the driver", lambda s: s["balloon.driver"], 30)
        g.send("x\n")
        g.expect(r"GOOD 300", 60)
        until(g, "trimming", lambda s: s["memory.trimmed"] >= 250 * MIB, 60)
        s = same_figures(g, "freed and trimmed")
        call(g, "SetBalloon", "200")
        until(g, "the balloon", lambda s: s["memory.ballooned"] >= 199 * MIB, 60)
        s = same_figures(g, "balloon of 200 MB")
        check(s["memory.saved"] >= 200 * MIB, "what the balloon has is not saved")
        g.stop()


def straced(g, seconds):
    """The system calls by which the machine could scan or give back memory, for a while: (madvise in the guest's memory, fallocate, looks at pagemap)."""
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    lo, hi = ram_kb(g)["_range"]
    fds = "/proc/%d/fd" % g.proc.pid
    pagemap = [n for n in os.listdir(fds) if os.readlink(os.path.join(fds, n)).endswith("/pagemap")]
    log = os.path.join(g.dir, "strace")
    p = subprocess.Popen(["strace", "-f", "-e", "trace=madvise,fallocate,pread64", "-o", log, "-p", str(g.proc.pid)], stderr=subprocess.DEVNULL)
    g.settle(seconds)
    if p.poll() is not None:
        raise Skip("strace may not look at the machine")
    p.send_signal(2)
    p.wait()
    with open(log) as f:
        text = f.read()
    advised = sum(lo <= int(a, 16) < hi for a in re.findall(r"madvise\(0x([0-9a-f]+),", text))
    looks = sum(n in pagemap for n in re.findall(r"pread64\((\d+),", text))
    check("pread64" in text, "strace has seen nothing")
    return advised, text.count("fallocate("), looks


@test(quick=False)
def test_memory_off(work):
    """Off means off: with MemTrimRate 0 and sharing off no page is looked at and no madvise() made, as strace sees it; switched on, they are."""
    with memory_guest(work, mem=512, kernel="amd64", modules=["vmw_balloon"], args="init_on_free=1",
                      keys={"MemTrimRate": "0", "sched.mem.pshare.enable": "FALSE"}) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; guestmem hold 200\n")
        g.expect(r"HELD 200", 60)
        g.send("x\n")
        g.expect(r"GOOD 200", 60)
        a = stats(g)
        got = straced(g, 45)
        b = stats(g)
        print("# off, 45 s: %d madvise, %d fallocate, %d looks at pagemap" % got)
        check(got == (0, 0, 0), "switched off, memory is looked at")
        check(all(b[k] == a[k] == 0 for k in ("trim.pages_scanned", "trim.pages_freed", "trim.stops", "trim.pages_cold", "balloon.pages_taken")), "counters")
        check(b["trim.cpu_ns"] == 0, "it takes processor time")
        with open("/proc/%d/ksm_merging_pages" % g.proc.pid) as f:
            check(int(f.read()) == 0, "merged pages")
        with open("/proc/%d/smaps" % g.proc.pid) as f:
            check(not re.search(r"^VmFlags:.* mg", f.read(), re.M), "a mapping is mergeable")
        call(g, "SetConfig", "MemTrimRate", "-1")
        call(g, "SetConfig", "sched.mem.pshare.enable", "TRUE")
        got = straced(g, 45)
        print("# on, 45 s: %d madvise, %d fallocate, %d looks at pagemap" % got)
        check(got[0] > 0 and got[2] > 0, "switched on, nothing is done")
        with open("/proc/%d/smaps" % g.proc.pid) as f:
            check(re.search(r"^VmFlags:.* mg", f.read(), re.M), "no mapping is mergeable")
        g.stop()


@test(quick=False)
def test_memory_pin(work):
    """Locked memory: all of it is, nothing of it goes back; without the right to, power on is refused with the number."""
    with memory_guest(work, mem=128, args="init_on_free=1", keys={"sched.mem.pin": "TRUE"}, name="pinned") as g:
        g.expect(r"USERLAND", 240)
        with open("/proc/%d/status" % g.proc.pid) as f:
            locked = int(re.search(r"^VmLck:\s+(\d+)", f.read(), re.M)[1])
        check(locked >= 128 * 1024, "%d kB are locked" % locked)
        g.settle(25)
        s, k = stats(g), ram_kb(g)
        print("# %d MiB locked, Rss %d MiB" % (locked // 1024, k["Rss"] // 1024))
        check(s["trim.pages_freed"] == 0 and k["Rss"] == 128 * 1024, "locked memory went back")
        g.stop()
    if not shutil.which("setpriv") or not shutil.which("prlimit"):
        raise Skip("no setpriv, prlimit")
    wrap = os.path.join(work, "less")
    with open(wrap, "w") as f:
        f.write("#!/bin/sh\nexec setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock prlimit --memlock=8388608 %s \"$@\"\n" % find_lodge())
    os.chmod(wrap, 0o755)
    old = os.environ.get("LODGE_VMX")
    os.environ["LODGE_VMX"] = wrap
    try:
        g = memory_guest(work, mem=128, keys={"sched.mem.pin": "TRUE"}, name="refused").start()
        g.proc.wait(120)
        print("# " + g.stderr().split("\n")[-1])
        check(g.proc.returncode != 0 and "The guest's 128 MiB cannot be locked in memory" in g.stderr() and "may lock 8 MiB" in g.stderr(),
              "not refused: " + g.stderr())
        g.kill()
    finally:
        os.environ.pop("LODGE_VMX")
        if old:
            os.environ["LODGE_VMX"] = old


class Ksm:
    """KSM at full speed (or another) while a test needs it, then as it was."""
    def __init__(self, pages=4000, ms=20):
        self.want = (("sleep_millisecs", ms), ("pages_to_scan", pages), ("run", 1))

    def __enter__(self):
        if not os.access("/sys/kernel/mm/ksm/run", os.W_OK):
            raise Skip("only root can switch KSM on")
        self.was = {n: ksm(n) for n in ("run", "pages_to_scan", "sleep_millisecs")}
        for n, v in self.want:
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
        # KSM is switched off meanwhile, then on again: said, and survived.
        for value, word in ((0, "does not look for equal pages any more"), (1, "looks for equal pages again"), (2, "is 2\\): nothing is shared now")):
            ksm("run", value)
            end = time.monotonic() + 30
            while not re.search(word, open(os.path.join(a.dir, "vm.log"), errors="replace").read()):
                check(time.monotonic() < end, "no word in the log about KSM's state %d" % value)
                a.settle(1)
            check(stats(a)["memory.sharing_runs"] == (value == 1), "memory.sharing_runs")
        until(a, "taking apart", lambda s: s["memory.shared"] < 4 * MIB, 30)
        ksm("run", 1)
        until(a, "sharing of 100 MB again", lambda s: s["memory.shared"] >= 100 * MIB, 180)
        ksm("run", 0)
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
def test_memory_oom(work):
    """The control group is full in the middle of the guest's page faults, at once: where the kernel lets processes wait (version 1 with oom_kill_disable),
    the machine is not killed but paused with a message, and goes on when there is memory again; nothing is lost."""
    with Group(420) as group:
        try:
            with open(group.path + "/memory.oom_control", "w") as f:
                f.write("1")
        except OSError as e:
            raise Skip("this kernel ends a process when its control group is full: %s" % e)
        with group.start(memory_guest(work, mem=512, vcpus=2, keys={"prefvmx.minVmMemPct": "25"})) as g:
            g.expect(r"USERLAND", 240)
            g.send("stty -echo; guestmem hold 100 & sleep 3; guestmem work 30 1000 &\n")
            g.expect(r"HELD 100", 60)
            g.expect(r"SOFAR", 60)
            code = "import ctypes, os, time\nopen(%r, 'w').write(str(os.getpid()))\nn = %d\n" \
                "mmap = ctypes.CDLL(None).mmap\nmmap.restype = ctypes.c_void_p\np = mmap(None, ctypes.c_size_t(n), 3, 0x22, -1, 0)\n" \
                "ctypes.memset(ctypes.c_void_p(p), 1, n)\ntime.sleep(1000)\n" % (group.path + "/cgroup.procs", 420 * MIB)
            hog = subprocess.Popen([sys.executable, "-c", code])
            try:
                end = time.monotonic() + 30
                while "under_oom 1" not in open(group.path + "/memory.oom_control").read():
                    check(time.monotonic() < end and g.proc.poll() is None and hog.poll() is None, "the group is not full: %d MiB in use" % group.in_use())
                    g.settle(0.1)
                g.settle(5)
                print("# full: %d of 420 MiB in use; %s" % (group.in_use(), open(group.path + "/memory.oom_control").read().replace("\n", ", ")))
                check(g.proc.poll() is None, "the machine was killed:" + g.tail())
            finally:
                group.set(900)
                hog.kill()
                hog.wait()
            end = time.monotonic() + 30
            while "'paused'" not in prop(g, "State"):
                check(time.monotonic() < end and g.proc.poll() is None, "not paused" + g.tail())
                g.settle(0.2)
            with open(os.path.join(g.dir, "vm.log"), errors="replace") as f:
                print("# " + re.search(r"The guest is paused, because this control group has only .*", f.read())[0])
            call(g, "Resume")
            g.pos = len(g.serial)
            g.expect(r"SOFAR", 60)
            g.send("fg %1 2>/dev/null; killall guestmem; echo ALIVE\n")
            g.expect(r"ALIVE", 60)
            g.send("guestmem hold 100\n")
            g.expect(r"HELD 100", 60)
            g.send("x\n")
            g.expect(r"GOOD 100", 60)
            g.stop()


class Swap:
    """A swap file of this computer for a while."""
    def __init__(self, work, mb):
        self.path = os.path.join(work, "swap")
        try:
            run("dd", "if=/dev/zero", "of=" + self.path, "bs=1M", "count=%d" % mb, stderr=subprocess.DEVNULL)
            os.chmod(self.path, 0o600)
            run("mkswap", self.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            run("swapon", self.path, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            raise Skip("no swap file can be used here")

    def __enter__(self):
        return self

    def __exit__(self, *a):
        subprocess.run(["swapoff", self.path])
        os.unlink(self.path)


@test(quick=False)
def test_memory_swap(work):
    """What goes to swap is counted and comes back; a paused machine goes first when there is pressure."""
    with Swap(work, 700), Group(700) as group, group.start(memory_guest(work, mem=512, keys={"prefvmx.minVmMemPct": "25"})) as g:
        g.expect(r"USERLAND", 240)
        g.send("stty -echo; guestmem hold 300\n")
        g.expect(r"HELD 300", 60)
        g.settle(2)
        group.set(group.in_use() - 120)
        s, took = until(g, "swapping", lambda s: s["memory.swapped"] >= 80 * MIB, 60)
        same_figures(g, "limit lowered by 120 MB")
        g.settle(3)
        s = stats(g)
        check(s["trim.pages_cold"] > 0, "under pressure nothing was named as cold")
        if "'paused'" not in prop(g, "State"):
            call(g, "Pause")
        s, took = until(g, "a paused machine's swapping", lambda s: s["memory.resident"] < 100 * MIB, 60)
        show(s, "paused, after %.0f s" % took)
        group.set(900)
        call(g, "Resume")
        g.send("x\n")
        g.expect(r"GOOD 300", 240)
        same_figures(g, "back")
        g.stop()


@test(quick=False)
def test_memory_psi(work):
    """PSI alone: another control group thrashes, there is plenty of memory left; the guest's pages are named as cold and its balloon grows, by shares."""
    if not os.path.exists("/proc/pressure/memory"):
        raise Skip("this kernel has no PSI")
    hog_code = ("import mmap, os, sys\nopen(%r, 'w').write(str(os.getpid()))\nm = mmap.mmap(-1, 260 << 20, flags=0x22)\n"
                "while True:\n for i in range(0, 260 << 20, 4096): m[i] = 1\n")
    with Swap(work, 700), Group(90) as thrash, \
            memory_guest(work, mem=512, kernel="amd64", modules=["vmw_balloon"], name="low", keys={"sched.mem.shares": "low"}) as a, \
            memory_guest(work, mem=512, kernel="amd64", modules=["vmw_balloon"], name="high", keys={"sched.mem.shares": "high", "sched.mem.min": "448"}) as b:
        for g in (a, b):
            g.expect(r"USERLAND", 240)
            g.send("stty -echo\n")
            wait_for_driver(g)
        left = stats(a)["memory.host_left"]
        hog = subprocess.Popen([sys.executable, "-c", hog_code % (thrash.path + "/cgroup.procs")])
        try:
            s, took = until(a, "pressure", lambda s: s["memory.pressure"] >= 1000, 60)
            print("# PSI %.1f %% after %.0f s, %d MiB left" % (s["memory.pressure"] / 100, took, s["memory.host_left"] // MIB))
            s, took = until(a, "a balloon by PSI", lambda s: s["memory.ballooned"] >= 64 * MIB and s["trim.pages_cold"] > 0, 60)
            t = stats(b)
            print("# low shares: balloon %d MiB after %.0f s, %d pages cold; high shares and a minimum: %d MiB" % (
                s["memory.ballooned"] // MIB, took, s["trim.pages_cold"], t["memory.ballooned"] // MIB))
            check(s["memory.host_left"] > left / 2, "there was little left, too: this does not show that PSI did it")
            check(t["memory.ballooned"] < s["memory.ballooned"] and t["memory.ballooned"] <= 65 * MIB, "shares and minimum are not honoured")
        finally:
            hog.kill()
            hog.wait()
        until(a, "an empty balloon", lambda s: s["memory.ballooned"] == 0, 120)
        for g in (a, b):
            g.send("dmesg | grep -E 'BUG|Call Trace|Out of memory' | sed 's/^/COMPLAINT /'; echo END\n")
            g.expect(r"END", 30)
            check("COMPLAINT" not in g.text(), "the guest complains:" + g.tail())
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
    g.proc.wait(120)
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
    """What the scan of an idle guest costs."""
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
        figure("scan of an idle guest, %d MiB resident" % (b["memory.resident"] // MIB), "%.2f %% of a processor" % (share * 100), "2 %", share < 0.02)
        check(share < 0.02, "the scan of an idle guest takes %.1f %% of a processor" % (share * 100))
        g.stop()


class Pace:
    """How fast a busy program in a guest is: rounds for each second of processor time of the whole process, so that what else runs on this computer counts little.
    The slope through many points: each is late by the time that it took to be read, which is chance."""
    def __init__(self, g, command):
        self.g = g
        g.send("killall guestmem 2>/dev/null; %s &\n" % command)
        g.expect(r"SOFAR \d+\s", 120)

    def begin(self):
        while self.g._pump(0):
            pass
        self.g.pos, self.points = len(self.g.serial), []

    def look(self):
        new = None
        while self.g._pump(0):
            pass
        for m in re.finditer(rb"SOFAR (\d+)\s", self.g.serial[self.g.pos:]):
            new = m
        if not new:
            return
        ns = 0
        for t in os.listdir("/proc/%d/task" % self.g.proc.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.g.proc.pid, t)) as f:
                ns += int(f.read().split()[0])
        self.g.pos += new.end()
        self.points.append((ns / 1e9, int(new[1])))

    def rate(self):
        check(len(self.points) > 3 and self.points[-1][1] > self.points[0][1], "the program in the guest stands still")
        n, x0, y0 = len(self.points), sum(x for x, y in self.points), sum(y for x, y in self.points)
        return sum((x - x0 / n) * (y - y0 / n) for x, y in self.points) / sum((x - x0 / n) ** 2 for x, y in self.points)


def cost_of(guests, command, switch, seconds, windows):
    """What a toggle costs a busy program, in percent, and the range that holds it with 95 %. Two guests do the same at the same time, one with it, one without, and
    change places after half of the time: what else happens on this computer happens to both, and what makes them differ cancels. The median over the windows."""
    paces, diffs = [Pace(g, command) for g in guests], []
    for on in (0, 1):
        switch(guests[on], True)
        switch(guests[1 - on], False)
        logs = []
        for w in range(windows + 1): # the first one is for the change to settle
            for p in paces:
                p.begin()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.02)
                for p in paces:
                    p.look()
            if w:
                logs.append(math.log(paces[1 - on].rate() / paces[on].rate()))
        diffs.append(logs)
    for g in guests:
        switch(g, False)
        g.send("killall guestmem\n")
    # Each window of the first half with each of the second one: their mean is free of what makes the guests differ.
    both = sorted((x + y) / 2 for x in diffs[0] for y in diffs[1])
    rng, n = random.Random(1), windows
    again = sorted(statistics.median((x + y) / 2 for x in rng.choices(diffs[0], k=n) for y in rng.choices(diffs[1], k=n)) for _ in range(1000))
    return statistics.median(both) * 100, again[25] * 100, again[974] * 100


def ksmd_seconds():
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % p) as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        if name == "ksmd":
            return sum(int(v) for v in rest.split()[11:13]) / os.sysconf("SC_CLK_TCK")
    return 0


@test(quick=False)
def test_memory_busy_cost(work):
    """What a busy guest pays for trimming and for sharing, beside one that does the same without. "make bench-memory".
    LODGE_COST is a pattern of those that are measured ("trimming work", "sharing zeros")."""
    seconds, windows = float(os.environ.get("LODGE_COST_SECONDS", "4")), int(os.environ.get("LODGE_COST_WINDOWS", "4"))
    with contextlib.ExitStack() as stack:
        guests = []
        for name in ("one", "other"):
            g = stack.enter_context(memory_guest(work, mem=512, name=name, args="init_on_free=1", keys={"MemTrimRate": "0", "sched.mem.pshare.enable": "FALSE"}))
            guests.append(g)
        for g in guests:
            g.expect(r"USERLAND", 240)
            g.send("stty -echo\n")
        try:
            ksm("run", ksm("run"))
            sharing = True
        except (Skip, OSError):
            sharing = False
            print("# sharing is not measured: KSM cannot be controlled")
        def calm():
            """What is free goes back first: that is what trimming is for, and test_memory_trim says what it costs."""
            for g in guests:
                call(g, "SetConfig", "MemTrimRate", "-1")
            for i in range(45): # a page goes back when it has been found to be zeros twice, in two passes of 20 s at most
                for g in guests:
                    g.settle(0.5)
            for g in guests:
                call(g, "SetConfig", "MemTrimRate", "0")
        worst = []
        for what, command in (("uses and frees 24 MB all the time", "guestmem work 24 100000"), ("walks about in 100 MB", "guestmem walk 100 100000"),
                              ("fills 100 MB with zeros and other things", "guestmem zeros 100 100000")):
            for toggle, key, on, off in (("trimming", "MemTrimRate", "-1", "0"), ("sharing", "sched.mem.pshare.enable", "TRUE", "FALSE"))[:1 + sharing]:
                if not re.search(os.environ.get("LODGE_COST", ""), "%s %s" % (toggle, command.split()[1])):
                    continue
                if toggle == "trimming":
                    calm()
                with Ksm(1000, 20) if toggle == "sharing" else contextlib.nullcontext():
                    a, k0, t0 = [stats(g) for g in guests], ksmd_seconds(), time.monotonic()
                    cost, low, high = cost_of(guests, command, lambda g, yes: call(g, "SetConfig", key, on if yes else off), seconds, windows)
                    b, took = [stats(g) for g in guests], time.monotonic() - t0
                    did = {k: sum(y[k] - x[k] for x, y in zip(a, b)) for k in ("trim.pages_freed", "trim.stopped_ns", "trim.cpu_ns")}
                    if toggle == "trimming": # what is certain of it
                        did = "%d pages went back, scan %.2f %% of a processor, the guest stood still for %.2f %%" % (
                            did["trim.pages_freed"], did["trim.cpu_ns"] / took / 1e7, did["trim.stopped_ns"] / took / 1e7)
                    else:
                        did = "ksmd itself %.1f %% of a processor" % ((ksmd_seconds() - k0) / took * 100)
                print("# a guest that %s: %s costs %+.1f %% (%+.1f to %+.1f) of its processor time (2 x %d windows of %g s; %s)" % (
                    what, toggle, cost, low, high, windows, seconds, did), flush=True)
                figure("a guest that %s, with %s" % (what, toggle), "%+.1f %% (%+.1f to %+.1f) of its processor time" % (cost, low, high), "3 %",
                       None if low < 3 < high else high <= 3)
                worst.append(low)
        check(max(worst, default=0) < 10, "one costs %.0f %% for certain" % max(worst, default=0))
        for g in guests:
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
        figure("four idle Debian guests after %d s: %d MiB; one alone %d" % (seconds, four // 1024, one // 1024), "%.0f %% of four times one" % (four / one * 25), "60 %",
               four <= one * 4 * 0.6)
        check(four <= one * 4 * 0.6, "four take %.0f %% of four times one" % (four / one * 25))
        for g in guests:
            g.stop()
