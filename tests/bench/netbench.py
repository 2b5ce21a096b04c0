#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Throughput and latency of each adapter under Lodge and under QEMU with the same adapter, the same kind of network and the same engine (TCG).

usage: netbench.py [--bin DIR] [--via user,tap,switch] [--dev e1000,vmxnet3,...] [--seconds N] [--rounds N] [--vcpus N]

user: NAT in the machine's own process, to a service of this computer. tap: a bridge of this computer, by lodge-nethelper; QEMU has a tap on the same
bridge (with headers for offloads, as it takes them). switch: between two machines on a LAN segment; QEMU's two have its stream socket network.

up, down: Mbit/s of one TCP stream; rr: round trips of one byte a second; ping: the median of 20, in ms. The two take turns in one run, so that a busy computer is equally
unfair to both.
"""
import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "boot"))
from bridge_tests import BRIDGE, HOST, enter_flags, make_network  # noqa: E402
from boot_test import linux_iso, off, write  # noqa: E402
from guest import Guest, GuestError, find_lodge  # noqa: E402
from network_tests import DHCP_SCRIPT, MODULES, NET_INIT, sh  # noqa: E402

QEMU = {"e1000": "e1000-82545em", "e1000e": "e1000e", "vlance": "pcnet", "vmxnet3": "vmxnet3"}
UNITS = {"up": "Mbit/s", "down": "Mbit/s", "rr": "1/s", "ping": "ms"}
TAP = "lodgebenchtap"


def guest(runner, dev, iso, opt, name, keys, netdev):
    k = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.opromsize": "0"}
    k.update(keys)
    mac = "52:54:00:12:34:%02x" % (os.getpid() + len(name) & 0xff)
    return Guest("net-%s-%s" % (dev, name), iso=iso, mem=256, vcpus=opt.vcpus, keys=k, runner=runner,
                 qemu_args=["-netdev", netdev + ",id=n0", "-device", QEMU[dev] + ",netdev=n0,romfile=,mac=" + mac])


@contextlib.contextmanager
def served(prog, *address):
    server = subprocess.Popen([prog, "serve", *address], stdout=subprocess.PIPE, text=True)
    try:
        yield int(server.stdout.readline())
    finally:
        server.terminate()


def up(g, line, pattern):
    g.expect(r"USERLAND", 300)
    sh(g, line, pattern, 60)


# Each gives, for both programs: the guest that measures, and the other side's address and port.

@contextlib.contextmanager
def by_user(work, iso, dev, opt):
    with served(opt.prog) as port, contextlib.ExitStack() as stack:
        both = {}
        for runner in ("qemu", "lodge"):
            g = stack.enter_context(guest(runner, dev, iso, opt, "user", {"ethernet0.connectionType": "nat"}, "user"))
            both[runner] = (g, "10.0.2.2", port)
        for g, _, _ in both.values():
            up(g, "ifup eth0", r"UP eth0 10\.0\.2\.15/24")
        yield both


@contextlib.contextmanager
def by_tap(work, iso, dev, opt):
    with served(opt.prog, HOST) as port, contextlib.ExitStack() as stack:
        both = {}
        for n, runner in enumerate(("qemu", "lodge")):
            g = stack.enter_context(guest(runner, dev, iso, opt, "tap", {"ethernet0.connectionType": "bridged", "ethernet0.bridgeInterface": BRIDGE},
                                          "tap,ifname=%s,script=no,downscript=no" % TAP))
            both[runner] = (g, HOST, port)
        for n, (g, _, _) in enumerate(both.values()):
            up(g, "ip link set eth0 up; ip addr add 10.9.0.%d/24 dev eth0; for i in 1 2 3 4 5 6 7 8 9; do ping -c 1 -W 2 %s >/dev/null && break; done; "
                  "echo SET" % (n + 2, HOST), r"SET\r?\n")
        yield both


@contextlib.contextmanager
def by_switch(work, iso, dev, opt):
    with contextlib.ExitStack() as stack:
        both = {}
        keys = {"ethernet0.connectionType": "pvn", "ethernet0.pvnID": "bench %d" % os.getpid()}
        for runner in ("qemu", "lodge"):
            pair = []
            for me, server in (("one", "on"), ("other", "off")):
                netdev = "stream,server=%s,addr.type=unix,addr.path=%s/wire" % (server, work)
                g = stack.enter_context(guest(runner, dev, iso, opt, me, keys, netdev))
                g.expect(r"USERLAND", 300)
                pair.append(g)
            for n, g in enumerate(pair):
                sh(g, "ip link set eth0 up; ip addr add 10.5.0.%d/24 dev eth0; echo SET" % (n + 1), r"SET\r?\n")
            pair[1].send("netbench serve 10.5.0.2 & echo\n")
            port = int(pair[1].expect(r"\n(\d{4,5})\r?\n", 30)[1])
            both[runner] = (pair[0], "10.5.0.2", port)
        yield both


def measure(g, address, port, opt):
    r = {}
    for what in ("up", "down", "rr"):
        r[what] = float(sh(g, "netbench %s %s %d %g" % (what, address, port, opt.seconds), r"net_%s ([\d.]+)\s" % what, 120)[1])
    pings = sh(g, "ping -c 20 -i 0.05 %s; echo PINGED" % address, r"(?s)(.*)PINGED", 60)[1]
    r["ping"] = statistics.median(float(t) for t in re.findall(rb"time=([\d.]+) ms", pings))
    return r


def namespaces():
    """For tap: a network of this run's own. Returns only when it is there, else says why not."""
    if "IN_NETNS" not in os.environ:
        flags = enter_flags()
        if not flags:
            return "network namespaces with taps and bridges cannot be made here"
        sys.stdout.flush()
        os.execvpe("unshare", ["unshare", flags, sys.executable] + sys.argv, dict(os.environ, IN_NETNS="1"))
    return make_network("ip tuntap add {tap} mode tap; ip link set {tap} master {br}; ip link set {tap} up".format(br=BRIDGE, tap=TAP))


def compare(via, dev, opt):
    best = {"qemu": {}, "lodge": {}}
    with tempfile.TemporaryDirectory(prefix="lodge-bench.") as work:
        script = write(os.path.join(work, "dhcp"), DHCP_SCRIPT)
        os.chmod(script, 0o755)
        iso = linux_iso(work, "amd64", NET_INIT, args="console=ttyS0 quiet net.ifnames=0", modules=[MODULES[dev], "af_packet"],
                        files=[script + "=lib/dhcp", opt.prog + "=bin/netbench"])
        with VIA[via](work, iso, dev, opt) as both:
            for _ in range(opt.rounds):
                for name, (g, address, port) in both.items():
                    for k, v in measure(g, address, port, opt).items():
                        pick = min if k == "ping" else max
                        best[name][k] = pick(best[name].get(k, v), v)
            for g, _, _ in both.values():
                g.send("off\n")
                off(g)
    for k in UNITS:
        a, b = best["qemu"][k], best["lodge"][k]
        print("%-7s %-9s %-5s %10.5g %10.5g %8.2f %s" % (via, dev, k, a, b, a / b if k == "ping" else b / a, UNITS[k]), flush=True)


VIA = {"user": by_user, "tap": by_tap, "switch": by_switch}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="tests/bench")
    p.add_argument("--via", default="user,tap,switch")
    p.add_argument("--dev", default="e1000,e1000e,vlance,vmxnet3")
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--vcpus", type=int, default=1)
    opt = p.parse_args()
    if not find_lodge():
        sys.exit("lodge-vmx is not built")
    opt.prog = os.path.abspath(os.path.join(opt.bin, "netbench"))
    bad = 0
    vias = opt.via.split(",")
    if "tap" in vias:
        why = namespaces()
        if why:
            print("tap: left out: " + why)
            vias.remove("tap")
    print("%-7s %-9s %-5s %10s %10s %8s" % ("network", "adapter", "", "QEMU TCG", "Lodge", "ratio"))
    for via in vias:
        for dev in opt.dev.split(","):
            try:
                compare(via, dev, opt)
            except GuestError as e:
                print("%-7s %-9s %s" % (via, dev, str(e) if os.environ.get("LODGE_TEST_ECHO") else str(e).split("\n")[0]))
                bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
