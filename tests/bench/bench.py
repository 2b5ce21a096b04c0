#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the benchmark program natively, in a guest under QEMU's TCG and in the same guest under Lodge; prints the table.

usage: bench.py [--bin DIR] [--guest amd64|i386|both] [--on native,tcg,lodge] [--ms N] [--vcpus N] [--json FILE] [NAME-PREFIX ...]

--bin is the directory with bench64 and bench32 (default: tests/bench below the current directory).
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boot"))
from guest import HERE, Guest, GuestError, fetch, find_lodge, kernel_of  # noqa: E402

# The first is no workload; CPUID traps on a host that is itself a guest, so its native time means nothing.
NOT_IN_MEAN = ("boot_to_userland", "cpuid")
GUESTS = {
    "amd64": ("linux-image-cloud-amd64", "amd64", "bench64", "debian12-64"),
    "i386": ("linux-image-686-pae:i386", "i386", "bench32", "debian12"),
}


def parse(text, into):
    for line in text.splitlines():
        f = line.split()
        if len(f) == 2:
            try:
                into[f[0]] = float(f[1])
            except ValueError:
                into[f[0]] = None


def make_iso(work, guest, opt):
    package, arch, prog, _ = GUESTS[guest]
    kernel = kernel_of(fetch(package)[0])
    init = os.path.join(work, "init")
    with open(init, "w") as f:
        f.write("#!/bin/sh\n. /lib/setup\necho USERLAND\nbench -t %d %s\necho BENCH-END\npoweroff -f\n" % (opt.ms, " ".join(opt.names)))
    initrd, iso = os.path.join(work, guest + ".initrd"), os.path.join(work, guest + ".iso")
    subprocess.run([HERE + "/mkinitrd.sh", "-a", arch, "-i", init, initrd, os.path.join(opt.bin, prog) + "=bin/bench"], check=True)
    cfg = "menuentry linux {\nlinux /vmlinuz console=ttyS0 quiet panic=-1\ninitrd /initrd\n}"
    subprocess.run([HERE + "/mkiso.sh", iso, cfg, kernel + "=vmlinuz", initrd + "=initrd"], check=True)
    return iso


def run_guest(iso, guest, runner, opt):
    res = {}
    with Guest(name="bench-" + guest, iso=iso, mem=1024, vcpus=opt.vcpus, runner=runner, guest_os=GUESTS[guest][3]) as g:
        try:
            g.expect(r"USERLAND", 300)
            res["boot_to_userland"] = (time.monotonic() - g.t0) * 1e9
            start = g.pos
            g.expect(r"BENCH-END", 1800, fail=None)
            parse(g.serial[start:].decode(errors="replace"), res)
            status = g.wait(60)
            if status:
                print("# %s under %s: exit status %d" % (guest, runner, status))
        except GuestError as e:
            print("# %s under %s: %s" % (guest, runner, e), file=sys.stderr)
            parse(bytes(g.serial).decode(errors="replace"), res)
    return res


def run_native(guest, opt):
    arch = GUESTS[guest][1]
    busybox = fetch("busybox-static:" + arch)[0] + "/bin/busybox"
    out = subprocess.run([os.path.join(opt.bin, GUESTS[guest][2]), "-t", str(opt.ms), "-b", busybox, *opt.names], stdout=subprocess.PIPE,
                         text=True).stdout
    res = {}
    parse(out, res)
    return res


def fmt(ns):
    if ns is None:
        return "-"
    for unit, div in (("ns", 1), ("us", 1e3), ("ms", 1e6), ("s", 1e9)):
        if ns < div * 1000 or unit == "s":
            return "%.3g %s" % (ns / div, unit) if ns / div < 1000 else "%.0f %s" % (ns / div, unit)


def ratio(a, b):
    return a / b if a and b else None


def rtext(r):
    return "%.2f" % r if r else "-"


def table(guest, cols, names):
    nat, tcg, lodge = (cols.get(k, {}) for k in ("native", "tcg", "lodge"))
    print("\n%s guest" % guest)
    print("%-18s %12s %12s %12s %14s %14s %14s" % ("workload", "native", "TCG", "Lodge", "TCG/native", "Lodge/native", "TCG/Lodge"))
    g = {"tn": [], "ln": [], "tl": []}
    for n in names:
        if not any(n in c for c in (nat, tcg, lodge)):
            continue
        a, b, c = nat.get(n), tcg.get(n), lodge.get(n)
        r = {"tn": ratio(b, a), "ln": ratio(c, a), "tl": ratio(b, c)}
        print("%-18s %12s %12s %12s %14s %14s %14s%s" % (n, fmt(a), fmt(b), fmt(c), rtext(r["tn"]), rtext(r["ln"]), rtext(r["tl"]),
                                                        "  <- slower than TCG" if r["tl"] and r["tl"] < 1 else ""))
        if n not in NOT_IN_MEAN:
            for k in g:
                if r[k]:
                    g[k].append(math.log(r[k]))
    mean = {k: math.exp(sum(v) / len(v)) if v else None for k, v in g.items()}
    print("%-18s %12s %12s %12s %14s %14s %14s" % ("geometric mean", "", "", "", rtext(mean["tn"]), rtext(mean["ln"]), rtext(mean["tl"])))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="tests/bench")
    p.add_argument("--guest", default="both")
    p.add_argument("--on", default="native,tcg,lodge")
    p.add_argument("--ms", type=int, default=150)
    p.add_argument("--vcpus", type=int, default=1)
    p.add_argument("--json")
    p.add_argument("names", nargs="*")
    opt = p.parse_args()
    opt.bin = os.path.abspath(opt.bin)
    on = opt.on.split(",")
    if "lodge" in on and not find_lodge():
        print("# lodge-vmx is not built: its column stays empty")
        on.remove("lodge")
    names = ["boot_to_userland"] + subprocess.run([opt.bin + "/bench64", "-l"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    result = {}
    for guest in ("amd64", "i386") if opt.guest == "both" else opt.guest.split(","):
        cols = result[guest] = {}
        with tempfile.TemporaryDirectory(prefix="lodge-bench.") as work:
            if "native" in on:
                print("# %s: native ..." % guest, file=sys.stderr, flush=True)
                cols["native"] = run_native(guest, opt)
            if "tcg" in on or "lodge" in on:
                iso = make_iso(work, guest, opt)
            for col, runner in (("tcg", "qemu"), ("lodge", "lodge")):
                if col in on:
                    print("# %s: %s ..." % (guest, col), file=sys.stderr, flush=True)
                    cols[col] = run_guest(iso, guest, runner, opt)
        table(guest, cols, names)
        sys.stdout.flush()
    if opt.json:
        with open(opt.json, "w") as f:
            json.dump(result, f, indent=1)


main()
