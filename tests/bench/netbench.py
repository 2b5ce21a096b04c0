#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Throughput and latency of each adapter through NAT, under Lodge and under QEMU with the same adapter, user network and engine (TCG).

usage: netbench.py [--bin DIR] [--dev e1000,vmxnet3,...] [--seconds N] [--rounds N] [--vcpus N]

up, down: Mbit/s of one TCP stream to and from a service of this computer; rr: round trips of one byte a second; ping: ms. The two take turns in
one run, so that a busy computer is equally unfair to both.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "boot"))
from boot_test import linux_iso, off, write  # noqa: E402
from guest import Guest, GuestError, find_lodge  # noqa: E402
from network_tests import DHCP_SCRIPT, MODULES, NET_INIT, sh  # noqa: E402

QEMU = {"e1000": "e1000-82545em", "e1000e": "e1000e", "vlance": "pcnet", "vmxnet3": "vmxnet3"}
UNITS = {"up": "Mbit/s", "down": "Mbit/s", "rr": "1/s", "ping": "ms"}


def start(work, iso, dev, runner, opt):
    keys = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.connectionType": "nat", "ethernet0.opromsize": "0"}
    return Guest("net-" + dev, iso=iso, mem=256, vcpus=opt.vcpus, keys=keys, runner=runner,
                 qemu_args=["-netdev", "user,id=n0", "-device", QEMU[dev] + ",netdev=n0,romfile="])


def measure(g, port, opt):
    r = {}
    for what in ("up", "down", "rr"):
        r[what] = float(sh(g, "netbench %s 10.0.2.2 %d %g" % (what, port, opt.seconds), r"net_%s ([\d.]+)\s" % what, 120)[1])
    r["ping"] = float(sh(g, "ping -c 20 -i 0.05 10.0.2.2 | tail -1", r"min/avg/max = [\d.]+/([\d.]+)/", 60)[1])
    return r


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="tests/bench")
    p.add_argument("--dev", default="e1000,e1000e,vlance,vmxnet3")
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--vcpus", type=int, default=1)
    opt = p.parse_args()
    if not find_lodge():
        sys.exit("lodge-vmx is not built")
    prog = os.path.abspath(os.path.join(opt.bin, "netbench"))
    server = subprocess.Popen([prog, "serve"], stdout=subprocess.PIPE, text=True)
    bad = 0
    try:
        port = int(server.stdout.readline())
        print("%-9s %-5s %10s %10s %8s" % ("adapter", "", "QEMU TCG", "Lodge", "ratio"))
        for dev in opt.dev.split(","):
            with tempfile.TemporaryDirectory(prefix="lodge-bench.") as work:
                script = write(os.path.join(work, "dhcp"), DHCP_SCRIPT)
                os.chmod(script, 0o755)
                iso = linux_iso(work, "amd64", NET_INIT, args="console=ttyS0 quiet net.ifnames=0", modules=[MODULES[dev], "af_packet"],
                                files=[script + "=lib/dhcp", prog + "=bin/netbench"])
                best = {"qemu": {}, "lodge": {}}
                try:
                    with start(work, iso, dev, "qemu", opt) as q, start(work, iso, dev, "lodge", opt) as lo:
                        for g in (q, lo):
                            g.expect(r"USERLAND", 300)
                            sh(g, "ifup eth0", r"UP eth0 10\.0\.2\.15/24", 60)
                        for _ in range(opt.rounds):
                            for name, g in (("qemu", q), ("lodge", lo)):
                                for k, v in measure(g, port, opt).items():
                                    pick = min if k == "ping" else max
                                    best[name][k] = pick(best[name].get(k, v), v)
                        for g in (q, lo):
                            g.send("off\n")
                            off(g)
                except GuestError as e:
                    print("%-9s %s" % (dev, str(e).split("\n")[0]))
                    bad = 1
                    continue
                for k in UNITS:
                    a, b = best["qemu"][k], best["lodge"][k]
                    print("%-9s %-5s %10.5g %10.5g %8.2f %s" % (dev, k, a, b, a / b if k == "ping" else b / a, UNITS[k]), flush=True)
    finally:
        server.terminate()
    return bad


if __name__ == "__main__":
    sys.exit(main())
