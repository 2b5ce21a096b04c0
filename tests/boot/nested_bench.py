# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge-vmx beside qemu-system-x86_64 -accel kvm in the outer guest of nested.py: time to userland, what an exit costs, memory
beside the guest's. Prints the table."""
import datetime
import os
import re
import time

from guest import Guest, GuestError

ROUNDS = int(os.environ.get("LODGE_BENCH_ROUNDS", "2"))


class Kvm(Guest):
    def qemu_command(self):
        c = super().qemu_command()
        c[c.index("tcg")] = "kvm"
        c[c.index("max")] = "host"
        return c


def beside_ram(pid, ram_mb):
    """KiB of memory that the process alone uses, without the mapping that is the guest's RAM."""
    total = 0
    size = pss = None
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            if m:
                size = (int(m[2], 16) - int(m[1], 16)) >> 20
            elif line.startswith("Pss:"):
                pss = int(line.split()[1])
                if size is not None and size < ram_mb * 3 // 4:
                    total += pss
    return total


def one(media, runner):
    res = {}
    with Kvm(name="bench-" + runner, iso=media["cloud"], mem=256, vcpus=1, runner=runner, engine="hardware") as g:
        wall = time.time()
        g.expect(r"USERLAND", 300)
        res["userland"] = (time.monotonic() - g.t0) * 1e3
        g.expect(r"^ready", 120)
        g.send("exits\n")
        start = g.pos
        end = g.expect(r"CMD-END", 300)
        for name, ns in re.findall(r"^([\w+]+) (\d+)\s*$", g.serial[start:end.start()].decode(errors="replace").replace("\r", ""), re.M):
            res[name] = float(ns) / 1e3
        res["memory"] = beside_ram(g.proc.pid, 256)
        if runner == "lodge":
            with open(os.path.join(g.dir, "vm.log")) as f:
                m = re.search(r"^(\S+)Z .*State: on$", f.read(), re.M)
            if m:
                on = datetime.datetime.fromisoformat(m[1]).replace(tzinfo=datetime.timezone.utc).timestamp()
                res["first instruction"] = (on - wall) * 1e3
        g.kill()
    return res


def main(media):
    best = {"lodge": {}, "qemu": {}}
    for _ in range(ROUNDS):
        for runner in ("qemu", "lodge"):
            try:
                for k, v in one(media, runner).items():
                    best[runner][k] = min(v, best[runner].get(k, v))
            except GuestError as e:
                print("# %s: %s" % (runner, str(e).splitlines()[0]), flush=True)
    print("%-34s %12s %12s %8s %8s" % ("in the outer guest (best of %d)" % ROUNDS, "QEMU, KVM", "Lodge, VT", "ratio", "goal"))
    rows = (("userland", "start to userland, ms", 1.05), ("port", "port I/O exit, us", 1.0), ("mmio", "MMIO exit, us", 1.0), ("msr", "MSR, us", 1.0),
            ("hlt+timer", "HLT and timer, us", 1.0), ("memory", "memory beside the guest's, KiB", 0.5), ("first instruction", "start to first instruction, ms", None))
    for key, name, goal in rows:
        q, v = best["qemu"].get(key), best["lodge"].get(key)
        ratio = "%.2f" % (v / q) if q and v else "-"
        print("%-34s %12s %12s %8s %8s" % (name, "%.1f" % q if q else "-", "%.1f" % v if v else "-", ratio, goal or "-"), flush=True)
    return 0
