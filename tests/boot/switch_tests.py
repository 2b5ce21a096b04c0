# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests on one virtual network of lodge-vmnet. Part of boot_test.py."""
import os

from boot_test import RUNNER, Skip, check, find_lodge, off, test
from adapter_tests import tools
from network_tests import call, net_guest, sh


@test(quick=False, dev=["e1000", "vmxnet3"])
def test_two_guests(work, dev):
    """A LAN segment between two machines, the host-only network's DHCP, and a change of network while they run."""
    if RUNNER == "qemu":
        raise Skip("Lodge's networks")
    segment = "two-%d" % os.getpid()
    keys = {"ethernet0.connectionType": "pvn", "ethernet0.pvnID": segment}
    with net_guest(work, name="one", dev=dev, keys=keys) as a, net_guest(work, name="two", dev=dev, keys=dict(keys)) as b:
        for g, ip in ((a, "10.5.0.1"), (b, "10.5.0.2")):
            g.expect(r"USERLAND", 300)
            sh(g, "ip link set eth0 up; ip addr add %s/24 dev eth0; echo SET" % ip, r"SET\r?\n", 60)
        sh(a, "ping -c 3 -w 20 10.5.0.2", r" 0% packet loss", 60)
        sh(b, "{ sleep 90 | nc -l -p 9 | md5sum; } & sleep 1; echo LISTENS", r"LISTENS\r?\n", 60)
        sent = sh(a, "dd if=/dev/urandom of=/tmp/x bs=64k count=64 2>/dev/null; md5sum </tmp/x; nc 10.5.0.2 9 </tmp/x; echo SENT", r"([0-9a-f]{32})[^S]*SENT", 120)[1].decode()
        b.expect(sent, 60)
        for g in (a, b):
            call(g, "ChangeNetwork", 0, "{'connectionType': 'hostonly', 'pvnID': ''}")
            sh(g, "ip addr flush dev eth0; ifup eth0", r"UP eth0 192\.168\.101\.", 60)
        first = sh(b, "ip -4 addr show eth0", r"inet (192\.168\.101\.\d+)/")[1].decode()
        sh(a, "ping -c 3 -w 20 " + first, r" 0% packet loss", 60)
        check(first in call(b, "GetNetworks"), "the address is not told")
        for g in (a, b):
            g.send("off\n")
        off(a)
        off(b)


@test(quick=False)
def test_nethelper_hardware(work):
    """lodge-nethelper in a guest, where interfaces are hardware and the kernel has macvtap: a bridge over an interface, macvtap, and back."""
    if RUNNER == "qemu":
        raise Skip("Lodge's networks")
    segment = "helper-%d" % os.getpid()
    keys = {"ethernet1.present": "TRUE", "ethernet1.virtualDev": "e1000"}
    for i in range(2):
        keys.update({"ethernet%d.connectionType" % i: "pvn", "ethernet%d.pvnID" % i: segment})
    helper = os.path.join(os.path.dirname(find_lodge()), "lodge-nethelper")
    with net_guest(work, keys=keys, files=tools(work, "viahelper") + [helper + "=bin/lodge-nethelper"], modules=["tun", "bridge", "macvtap"]) as g:
        g.expect(r"USERLAND \S+ cards 2", 300)
        sh(g, "mkdir -p /etc/lodge; echo 'allow eth0' >/etc/lodge/bridge.conf; ip link set eth0 up; ip link set eth1 up; ip addr add 10.5.0.1/24 dev eth0; "
              "ip route add default via 10.5.0.9; sleep 2; echo SET", r"SET\r?\n", 60)
        for method, lower in (("macvtap", "eth0"), ("auto", "lbr")):
            r = sh(g, "viahelper eth1 00:0c:29:00:00:77 attach interface=eth0 mac=00:0c:29:00:00:77 method=%s" % method, r"ANSWER ([^\r\n]*)\r?\n(?:[^\r\n]*\r?\n)*?FRAMES (out \d in \d)", 60)
            check(b"lower=" + lower.encode() in r[1] and r[2] == b"out 1 in 1", "%s: %s %s" % (method, r[1], r[2]))
            sh(g, "ip addr; ip route", r"default via 10\.5\.0\.9 dev %s" % lower)
            sh(g, "lodge-nethelper release; ls /sys/class/net | tr '\\n' ' '; echo LEFT", r"\beth0 eth1 lo LEFT")
            sh(g, "ip addr show eth0; ip route", r"(?s)10\.5\.0\.1/24.*default via 10\.5\.0\.9 dev eth0")
        g.send("off\n")
        off(g)
