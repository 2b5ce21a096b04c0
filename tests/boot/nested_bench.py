# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge-vmx beside qemu-system-x86_64 -accel kvm in the outer guest of nested.py: time to userland, what an exit costs, memory
beside the guest's. Prints the table."""
import collections
import glob
import os
import re
import subprocess
import time

from guest import Guest, GuestError

SLEEPS = 200
ROUNDS = int(os.environ.get("LODGE_BENCH_ROUNDS", "2"))


class Kvm(Guest):
    pv_eoi = True

    def qemu_command(self):
        c = super().qemu_command()
        c[c.index("tcg")] = "kvm"
        c[c.index("max")] = "host" if self.pv_eoi else "host,kvm-pv-eoi=off"
        return c


def beside_ram(pid, ram_mb):
    """KiB of memory that the process alone uses, without the guest's RAM: that is the stretch of its size with most memory in it, in
    one mapping or many (huge pages and pages given back cut it up)."""
    maps = []  # start, end, anonymous, KiB
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)", line)
            if m:
                maps.append([int(m[1], 16), int(m[2], 16), m[4] == "0" and m[3].startswith("rw"), 0])
            elif line.startswith("Pss:"):
                maps[-1][3] = int(line.split()[1])
    ram = max(sum(p for s, e, anon, p in maps if anon and s >= end - (ram_mb << 20) and e <= end) for _, end, anon, _ in maps if anon)
    return sum(p for *_, p in maps) - ram


def counters(pid):
    """KVM's own of a process' machine."""
    out = {}
    for f in glob.glob("/sys/kernel/debug/kvm/%d-*/*" % pid) + glob.glob("/sys/kernel/debug/kvm/%d-*/vcpu0/*" % pid):
        try:
            with open(f) as h:
                out[os.path.basename(f)] = int(h.read().split()[0])
        except (OSError, ValueError, IndexError):
            pass
    return out


def exits_by_reason(g, runner):
    """What the sleeps' exits are. Not part of the measurement: tracing costs time, and patches code (nested_beat.py)."""
    tracing = "/sys/kernel/tracing/"
    subprocess.run(["mount", "-t", "tracefs", "tracefs", tracing], stderr=subprocess.DEVNULL)
    for name, value in (("events/kvm/kvm_exit/enable", "1"), ("events/kvm/kvm_msr/enable", "1"), ("buffer_size_kb", "8192"), ("trace", ""), ("tracing_on", "1")):
        with open(tracing + name, "w") as f:
            f.write(value)
    g.send("exits %d\n" % SLEEPS)
    g.expect(r"CMD-END", 300)
    with open(tracing + "tracing_on", "w") as f:
        f.write("0")
    with open(tracing + "trace") as f:
        found = collections.Counter(re.findall(r"kvm_exit: .*?reason \S+|kvm_msr: \S+ \S+", re.sub(r"vcpu \d+ ", "", f.read())))
    print("# %s, exits a sleep: %s" % (runner, ", ".join("%s %.2f" % (k.split(": ")[1], v / SLEEPS) for k, v in found.most_common(12))), flush=True)


def one(media, runner):
    res = {}
    g = Kvm(name="bench-" + runner, iso=media["cloud"], mem=256, vcpus=1, runner=runner.split("-")[0], engine="hardware")
    g.pv_eoi = runner == "qemu"
    with g:
        g.expect(r"USERLAND", 300)
        res["userland"] = (time.monotonic() - g.t0) * 1e3
        g.expect(r"^ready", 120)
        g.send("exits\n")
        start = g.pos
        end = g.expect(r"CMD-END", 300)
        for name, ns in re.findall(r"^([\w+]+) (\d+)\s*$", g.serial[start:end.start()].decode(errors="replace").replace("\r", ""), re.M):
            res[name] = float(ns) / 1e3
        before = counters(g.proc.pid)
        g.send("exits %d\n" % SLEEPS)
        g.expect(r"CMD-END", 300)
        now = counters(g.proc.pid)
        each = {k: (v - before.get(k, 0)) / SLEEPS for k, v in now.items()}
        res["exits a sleep"] = each.get("exits")
        print("# %s, KVM's counters a sleep: %s" % (runner, ", ".join("%s %.2f" % i for i in sorted(each.items()) if i[1] > 0.05 and "ns" not in i[0])), flush=True)
        if os.environ.get("LODGE_BENCH_TRACE"):
            exits_by_reason(g, runner)
        res["memory"] = beside_ram(g.proc.pid, 256)
        if runner == "lodge":
            with open(os.path.join(g.dir, "vm.log")) as f:
                res["first instruction"] = float(re.search(r"First instruction ([\d.]+) ms after", f.read())[1])
        g.kill()
    return res


def main(media):
    subprocess.run(["mount", "-t", "debugfs", "debugfs", "/sys/kernel/debug"], stderr=subprocess.DEVNULL)
    best = {"lodge": {}, "qemu": {}, "qemu-plain": {}}
    for _ in range(ROUNDS):
        for runner in os.environ.get("LODGE_BENCH_RUNNERS", "qemu lodge qemu-plain").split():
            try:
                for k, v in one(media, runner).items():
                    best[runner][k] = min(v or 0, best[runner].get(k, v or 0))
            except GuestError as e:
                print("# %s: %s" % (runner, str(e).splitlines()[0]), flush=True)
    print("%-36s %12s %12s %8s %8s" % ("in the outer guest (best of %d)" % ROUNDS, "QEMU, KVM", "Lodge, VT", "ratio", "goal"))
    rows = (("userland", "start to userland, ms", 1.05), ("port", "port I/O exit, us", 1.0), ("mmio", "MMIO exit, us", 1.0), ("msr", "MSR, us", 1.0),
            ("hlt+timer plain", "HLT and timer, us", 1.0), ("hlt+timer", "  beside KVM's paravirtual EOI, us", None),
            ("exits a sleep", "  exits a sleep, beside the same", None), ("memory", "memory beside the guest's, KiB", 0.5), ("first instruction", "start to first instruction, ms", None))
    # QEMU tells its guest that it is under KVM, which can then end interrupts without an exit. A guest of VMware's machine does not do that
    # (docs/engines.md); what the exits themselves cost is seen beside a QEMU whose guest does not, either.
    best["qemu"]["hlt+timer plain"], best["lodge"]["hlt+timer plain"] = best["qemu-plain"].get("hlt+timer"), best["lodge"].get("hlt+timer")
    for key, name, goal in rows:
        q, v = best["qemu"].get(key), best["lodge"].get(key)
        ratio = "%.2f" % (v / q) if q and v else "-"
        print("%-36s %12s %12s %8s %8s" % (name, "%.1f" % q if q else "-", "%.1f" % v if v else "-", ratio, goal or "-"), flush=True)
    return 0
