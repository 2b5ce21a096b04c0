# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests on one virtual network of lodge-vmnet. Part of boot_test.py."""
import os

from boot_test import RUNNER, Skip, check, off, test
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
        sh(b, "nc -l -p 9 </dev/null | md5sum & sleep 1; echo LISTENS", r"LISTENS\r?\n", 60)
        sent = sh(a, "dd if=/dev/urandom of=/tmp/x bs=64k count=64 2>/dev/null; md5sum </tmp/x; nc 10.5.0.2 9 </tmp/x; echo SENT", r"([0-9a-f]{32})[^S]*SENT", 120)[1]
        b.expect(sent, 60)
        for g in (a, b):
            call(g, "ChangeNetwork", 0, "{'connectionType': 'hostonly', 'pvnID': ''}")
            sh(g, "ip addr flush dev eth0; ifup eth0", r"UP eth0 192\.168\.101\.", 60)
        first = sh(b, "ip -4 addr show eth0", r"inet (192\.168\.101\.\d+)")[1]
        sh(a, "ping -c 3 -w 20 " + first, r" 0% packet loss", 60)
        check(first in call(b, "GetNetworks"), "the address is not told")
        for g in (a, b):
            g.send("off\n")
        off(a)
        off(b)
