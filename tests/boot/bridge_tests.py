# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines on a bridge of this computer, by lodge-nethelper, with a real DHCP and TFTP server there. Part of boot_test.py."""
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from boot_test import HERE, RUNNER, Guest, Skip, check, fetch, off, test, write
from network_tests import call, net_guest, sh, vm_log

BRIDGE, HOST = "lodgetestbr", "10.9.0.1"

NETWORK = """set -e
mount --make-rprivate /; mount -t tmpfs tmpfs {etc}; cp -a /etc/. {etc} 2>/dev/null || :
mkdir -p {etc}/lodge; chmod 755 {etc} {etc}/lodge; echo 'allow {br}' >{etc}/lodge/bridge.conf; mount --bind {etc} /etc
ip link set lo up; ip link add {br} type bridge; ip addr add {host}/24 dev {br}; ip link set {br} up
"""


def enter_flags():
    """Options of unshare for a network of one's own, or None where that cannot be."""
    flags = "-nm" if os.getuid() == 0 else "-Urnm"
    probe = subprocess.run(["unshare", flags, "sh", "-c", "ip link set lo up && ip tuntap add probe mode tap && ip link add brp type bridge"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return None if probe.returncode else flags


def make_network(more=""):
    """Inside: a bridge that lodge-nethelper may use, and folders of its own for lodge-vmnet. What is wrong, or ""."""
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="lodge-run.")
    r = subprocess.run(["sh", "-c", NETWORK.format(etc=tempfile.mkdtemp(), br=BRIDGE, host=HOST) + more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return r.stdout or "no bridge" if r.returncode else ""


def inside(name):
    """True in the test's own network; outside, runs the test again in one and returns False."""
    if RUNNER == "qemu":
        raise Skip("Lodge's networks")
    if "IN_NETNS" in os.environ:
        why = make_network()
        check(not why, why)
        return True
    if not shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        raise Skip("dnsmasq is not installed (package dnsmasq-base)")
    flags = enter_flags()
    if not flags:
        raise Skip("network namespaces with taps and bridges cannot be made here")
    r = subprocess.run(["unshare", flags, sys.executable, HERE + "/boot_test.py", name], env=dict(os.environ, IN_NETNS="1"),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(not r.returncode, r.stdout)
    return False


@contextlib.contextmanager
def dnsmasq(*args):
    p = subprocess.Popen(["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--leasefile-ro", "--port=0", "--interface=" + BRIDGE,
                          "--bind-dynamic", "--dhcp-range=10.9.0.50,10.9.0.90", *args], env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"),
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield p
    finally:
        p.terminate()
        p.wait()


@test(quick=False, dev=["e1000", "vmxnet3"])
def test_bridge_pxe(work, dev):
    """A machine on a bridge boots pxelinux and Debian's installer from a real DHCP and TFTP server there."""
    if not inside("bridge-pxe-" + dev):
        return
    root = fetch("debian-installer-12-netboot-amd64")[0] + "/usr/lib/debian-installer/images/12/amd64/text/"
    tftp = os.path.join(work, "tftp")
    os.makedirs(os.path.join(tftp, "pxelinux.cfg"))
    os.chmod(work, 0o755)
    for f in ("pxelinux.0", "ldlinux.c32", "debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz"):
        shutil.copy(root + f, tftp)
    write(os.path.join(tftp, "pxelinux.cfg", "default"),
          "serial 0 115200\ndefault d-i\nlabel d-i\nkernel linux\nappend initrd=initrd.gz console=ttyS0 priority=high\n")
    with dnsmasq("--enable-tftp", "--tftp-root=" + tftp, "--dhcp-boot=pxelinux.0"):
        with Guest("bridge-pxe-" + dev, mem=1024, keys={
                "ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.connectionType": "bridged", "ethernet0.bridgeInterface": BRIDGE,
                "bios.bootOrder": "ethernet0"}) as g:
            g.expect(r"Loading linux", 60)
            g.expect(r"Linux version \d", 180)
            if dev == "e1000":
                g.expect(r"Select a language|Choose the language", 120)


class Wire:
    """All frames on the bridge."""

    def __init__(self):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.bind((BRIDGE, 0))

    def rarp(self, mac, timeout=10):
        """A RARP request that tells where mac is."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.s.settimeout(max(0.01, end - time.monotonic()))
            try:
                f = self.s.recv(2000)
            except TimeoutError:
                return False
            if f[6:14] == mac + b"\x80\x35" and f[:6] == b"\xff" * 6:
                return True
        return False


@test(quick=False, dev=["e1000"])
def test_bridge_life(work, dev):
    """DHCP from outside; the guest's place is announced after a pause and a change of network; the bridge goes away and comes back while it runs."""
    if not inside("bridge-life-" + dev):
        return
    carrier = "for i in 1 2 3 4 5 6 7 8 9; do [ $(cat /sys/class/net/eth0/carrier) = %d ] && break; sleep 1; done; echo CARRIER $(cat /sys/class/net/eth0/carrier)"
    keys = {"ethernet0.connectionType": "bridged", "ethernet0.bridgeInterface": BRIDGE}
    with dnsmasq() as server, net_guest(work, dev=dev, keys=keys) as g:
        g.expect(r"USERLAND", 240)
        sh(g, "ifup eth0", r"UP eth0 10\.9\.0\.\d+/24")
        sh(g, "ping -c 2 -w 20 %s >/dev/null && echo PING OK" % HOST, r"PING OK")
        address = bytes.fromhex(sh(g, "cat /sys/class/net/eth0/address; echo", r"((?:[0-9a-f]{2}:){5}[0-9a-f]{2})")[1].decode().replace(":", ""))
        wire = Wire()
        call(g, "Pause")
        time.sleep(0.5)
        call(g, "Resume")
        check(wire.rarp(address), "nobody is told where the machine is after a pause")
        call(g, "ChangeNetwork", 0, "{'connectionType': 'nat'}")
        wire = Wire()
        call(g, "ChangeNetwork", 0, "{'connectionType': 'bridged', 'bridgeInterface': '%s'}" % BRIDGE)
        check(wire.rarp(address), "nobody is told where the machine is after a change of network")
        subprocess.run(["ip", "link", "del", BRIDGE], check=True)
        sh(g, carrier % 0, r"CARRIER 0", 60)
        check(g.proc.poll() is None, "the machine ended with its bridge")
        subprocess.run("ip link add {0} type bridge; ip addr add {1}/24 dev {0}; ip link set {0} up".format(BRIDGE, HOST), shell=True, check=True)
        sh(g, carrier % 1, r"CARRIER 1", 60)
        check(server.poll() is None, "dnsmasq has ended")
        sh(g, "ip addr flush dev eth0; ifup eth0", r"UP eth0 10\.9\.0\.\d+/24", 60)
        sh(g, "ping -c 2 -w 20 %s >/dev/null && echo PING AGAIN" % HOST, r"PING AGAIN")
        check("sandbox:" not in vm_log(g), "the sandbox refused something")
        g.send("off\n")
        off(g)
