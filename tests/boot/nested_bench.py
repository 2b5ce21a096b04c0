# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge-vmx beside qemu-system-x86_64 -accel kvm in the outer guest of nested.py: time to userland, what an exit costs, memory
beside the guest's. Prints the tables.

What an exit costs is measured twice. Part "exits": the emulated computer's clock counts the instructions that its processor executes, all of them, in
the kernel, in the machine monitor and in the guest: the same in each round, whatever else this computer does. That decides. Part "times": in
microseconds of the emulation, which has its own prices (an exit empties QEMU's TLB), and which this computer's other work disturbs; that can
only add, so the mean of the best third of all rounds counts."""
import collections
import glob
import os
import random
import re
import subprocess
import time

from guest import Guest, GuestError

SLEEPS = 200
BOOTS = int(os.environ.get("LODGE_BENCH_BOOTS", "3"))
PARTS = {"exits": 3, "times": 7}  # rounds of each


class Kvm(Guest):
    pv_eoi = True

    def qemu_command(self):
        c = super().qemu_command()
        c[c.index("tcg")] = "kvm"
        c[c.index("max")] = "host" if self.pv_eoi else "host,kvm-pv-eoi=off"
        return [a + ",file.locking=off" if a.endswith(self.iso) else a for a in c]  # three machines have the CD


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


def boot(media, runner, res):
    """A machine that has come up. The time that took, and memory, go into res."""
    g = Kvm(name="bench-" + runner, iso=media["cloud"], mem=256, vcpus=1, runner=runner.split("-")[0], engine="hardware")
    g.pv_eoi = runner == "qemu"
    g.start()
    g.expect(r"USERLAND", 300)
    res["userland"].append((time.monotonic() - g.t0) * 1e3)
    g.expect(r"^ready", 120)
    if runner == "lodge":
        with open(os.path.join(g.dir, "vm.log")) as f:
            res["first instruction"].append(float(re.search(r"First instruction ([\d.]+) ms after", f.read())[1]))
    return g


def measure(g, res):
    """What exits cost, once."""
    g.send("exits\n")
    start = g.pos
    end = g.expect(r"CMD-END", 300)
    for name, ns in re.findall(r"^([\w+]+) (\d+)\s*$", g.serial[start:end.start()].decode(errors="replace").replace("\r", ""), re.M):
        res[name].append(float(ns) / 1e3)


def count(g, runner, res):
    before = counters(g.proc.pid)
    g.send("exits %d\n" % SLEEPS)
    g.expect(r"CMD-END", 300)
    now = counters(g.proc.pid)
    each = {k: (v - before.get(k, 0)) / SLEEPS for k, v in now.items()}
    res["exits a sleep"].append(each.get("exits", 0))
    print("# %s, KVM's counters a sleep: %s" % (runner, ", ".join("%s %.2f" % i for i in sorted(each.items()) if i[1] > 0.05 and "ns" not in i[0])), flush=True)
    print("# %s, pages of the guest in KVM's tables: %s" % (runner, ", ".join("%s %d" % i for i in sorted(now.items()) if i[0].startswith("pages_"))), flush=True)
    if os.environ.get("LODGE_BENCH_TRACE"):
        exits_by_reason(g, runner)
    res["memory"].append(beside_ram(g.proc.pid, 256))


# Rows of the tables: what was measured, its name, the goal.
START = (("userland", "start to userland, ms", 1.05), ("memory", "memory beside the guest's, KiB", 0.5), ("first instruction", "start to first instruction, ms", None))
EXITS = (("port", "port I/O exit", 1.0), ("mmio", "MMIO exit", 1.0), ("msr", "MSR", 1.0), ("hlt+timer plain", "HLT and timer", 1.0),
         ("hlt+timer", "  beside KVM's paravirtual EOI", None))


def best_third(values):
    best = sorted(values)[:(len(values) + 2) // 3]
    return sum(best) / len(best)


def ratios(q, v):
    """Between which two values 9 of 10 ratios lie, when the rounds are drawn anew; each of Lodge's with QEMU's of the same round."""
    pairs, rnd = list(zip(q, v)), random.Random(1)
    if len(pairs) < 3:
        return None
    drawn = []
    for _ in range(1000):
        some = rnd.choices(pairs, k=len(pairs))
        drawn.append(best_third([b for _, b in some]) / best_third([a for a, _ in some]))
    drawn.sort()
    return drawn[50], drawn[-51]


def table(title, res, rows, scale=1, digits="%.1f"):
    print("%-36s %12s %12s %8s %8s %14s" % (title, "QEMU, KVM", "Lodge, VT", "ratio", "goal", "9 of 10 draws"))
    # QEMU tells its guest that it is under KVM, which can then end interrupts without an exit. A guest of VMware's machine does not do that
    # (docs/engines.md); what the exits themselves cost is seen beside a QEMU whose guest does not, either.
    res["qemu"]["hlt+timer plain"], res["lodge"]["hlt+timer plain"] = res["qemu-plain"]["hlt+timer"], res["lodge"]["hlt+timer"]
    for key, name, goal in rows:
        q, v = res["qemu"][key], res["lodge"][key]
        if not v:
            continue
        range_ = ratios(q, v) if q else None
        print("%-36s %12s %12s %8s %8s %14s" % (name, digits % (scale * best_third(q)) if q else "-", digits % (scale * best_third(v)),
                                                "%.2f" % (best_third(v) / best_third(q)) if q else "-", goal or "-",
                                                "%.2f to %.2f" % range_ if range_ else "-"), flush=True)


def boots(media, runners, n, res):
    """By turns; the machines of the last round stay. One beside whom QEMU only differs in its exits starts in that alone."""
    up = {}
    for i in range(n):
        for runner in runners:
            if runner == "qemu-plain" and i + 1 < n:
                continue
            try:
                g = boot(media, runner, res[runner])
            except GuestError as e:
                print("# %s: %s" % (runner, str(e).splitlines()[0]), flush=True)
                continue
            if i + 1 < n:
                g.kill()
            else:
                up[runner] = g
    return up


def rounds(up, runners, n, res):
    """What exits cost, in all machines by turns: what comes and goes on this computer falls on all of them."""
    for i in range(n + 1):
        for runner in runners[i % len(runners):] + runners[:i % len(runners)]:
            if runner not in up:
                continue
            try:
                if i < n:
                    measure(up[runner], res[runner])
                else:
                    count(up[runner], runner, res[runner])
            except GuestError as e:
                print("# %s: %s" % (runner, str(e).splitlines()[0]), flush=True)
                up.pop(runner).kill()


def main(media, part):
    subprocess.run(["mount", "-t", "debugfs", "debugfs", "/sys/kernel/debug"], stderr=subprocess.DEVNULL)
    runners = os.environ.get("LODGE_BENCH_RUNNERS", "qemu lodge qemu-plain").split()
    res = {r: collections.defaultdict(list) for r in ("qemu", "lodge", "qemu-plain")}
    counted = part == "exits"
    up = boots(media, runners, 1 if counted else BOOTS, res)
    rounds(up, runners, int(os.environ.get("LODGE_BENCH_ROUNDS", PARTS[part])), res)
    for g in up.values():
        g.kill()
    for r in runners:
        for key, values in res[r].items():
            print("# %s, %s: %s" % (r, key, " ".join("%.2f" % v for v in values)), flush=True)
    if counted:
        table("instructions of the outer processor", res, EXITS, 1000, "%.0f")
    else:
        table("in the outer guest", res, START)
        table("microseconds", res, [(key, name, None) for key, name, _ in EXITS])
    return 0
