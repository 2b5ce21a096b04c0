# SPDX-License-Identifier: GPL-2.0-or-later
"""The drivers of the network adapters at work: what ethtool says, traffic of which every byte is checked, offloads on and off, long frames, VLANs,
the cable pulled and put back. Part of boot_test.py."""
import hashlib
import os
import random
import socket
import threading

from boot_test import HERE, RUNNER, Skip, check, off, run, test
from network_tests import call, net_guest, sh
from nic_tests import ethtool_files

# What the guest's own counters call an error.
NO_ERRORS = (r"for d in /sys/class/net/eth*; do for f in $d/statistics/*err* $d/statistics/*dropped $d/statistics/rx_missed*; do [ $(cat $f) = 0 ] || "
             r"echo ERROR $f $(cat $f); done; done; ethtool -S eth0 | grep -E '(err|discard|OOB).*: [1-9]' | sed 's/^/ERROR/'; "
             r"[ $(grep ^Tcp: /proc/net/snmp | tail -1 | awk '{ print $NF }') = 0 ] || echo ERROR checksums; dmesg | grep -E 'BUG|WARNING|Call Trace|hung|Tx Unit Hang|NETDEV WATCHDOG|tq error|resetting' | sed 's/^/ERROR /'; echo ERRORS SEEN")


def tools(work, *sources):
    """ethtool, and programs of this folder."""
    out = ethtool_files()
    for s in sources:
        prog = os.path.join(work, s)
        run(os.environ.get("CC", "gcc"), "-O1", "-static", "-o", prog, os.path.join(HERE, s + ".c"))
        out.append("%s=bin/%s" % (prog, s))
    return out


class Bytes:
    """A TCP service on loopback: sends what it was made with, reads until the end, remembers the SHA-256 of what it read."""

    def __init__(self, data):
        self.data, self.sums = data, []
        self.s = socket.socket()
        self.s.bind(("127.0.0.1", 0))
        self.s.listen(8)
        self.port = self.s.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            c, _ = self.s.accept()
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        with c:
            t = threading.Thread(target=self.send, args=(c,), daemon=True)
            t.start()
            h = hashlib.sha256()
            while True:
                d = c.recv(1 << 16)
                if not d:
                    break
                h.update(d)
            self.sums.append(h.hexdigest())
            t.join()

    def send(self, c):
        try:
            c.sendall(self.data)
            c.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # what is missing is seen in the guest


def both_ways(g, service, what):
    """A file out and another in at the same time, over TCP through the NAT."""
    service.sums.clear()
    want = hashlib.sha256(service.data).hexdigest()
    m = sh(g, "nc 10.0.2.2 %d </tmp/out | sha256sum | sed 's/^/CAME /'; sha256sum </tmp/out | sed 's/^/WENT /'" % service.port,
           r"CAME (\w{64})[^W]*WENT (\w{64})", 240)
    check(m[1].decode() == want, "%s: what came in is damaged" % what)
    check(service.sums == [m[2].decode()], "%s: what went out is damaged: %s, not %s" % (what, service.sums, m[2]))


def no_errors(g):
    text = sh(g, NO_ERRORS, r"(?s)((?:ERROR [^\n]*\n)*)ERRORS SEEN", 60)[1].decode()
    check("ERROR" not in text, "the guest counts errors: %s" % text)


def coalescing(g, service, vcpus):
    """ethtool -C: a second has as many interrupts of each queue as asked for, at most; bytes arrive whole; at last as before."""
    count = """awk '/eth0/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { printf "SO MANY %d ", n }' /proc/interrupts; cut -d' ' -f1 /proc/uptime"""
    for how, told in (("rx-usecs 10000", "rx-usecs:.*10000"), ("rx-frames 32 tx-frames 16", "rx-frames:.*32"), ("adaptive-rx on", "Adaptive RX: on"),
                      ("rx-usecs 0 rx-frames 0 tx-frames 0 adaptive-rx off", "Adaptive RX: off")):
        sh(g, "ethtool -C eth0 rx-usecs 0 rx-frames 0 tx-frames 0 adaptive-rx off 2>/dev/null; ethtool -C eth0 %s; ethtool -c eth0; echo TO''LD" % how,
           r"(?s)%s.*TOLD" % told, 20)
        a = sh(g, count, r"SO MANY (\d+) ([\d.]+)\s")
        both_ways(g, service, how)
        b = sh(g, count, r"SO MANY (\d+) ([\d.]+)\s")
        n, span = int(b[1]) - int(a[1]), float(b[2]) - float(a[2])
        check(how != "rx-usecs 10000" or n <= 2 * vcpus * (100 * span + 2), "%d interrupts in %.1f s" % (n, span))


@test(quick=lambda vcpus, how: (vcpus, how) == (2, "msix"), vcpus=[1, 2], how=["msix", "intx"])
def test_vmxnet3(work, vcpus, how):
    """vmxnet3 through NAT: queues as many as processors, TCP in both directions with checksums, with every offload on and off, rings of other
    sizes, another MTU, the cable."""
    if RUNNER == "qemu":
        raise Skip("Lodge's adapter")
    service = Bytes(random.Random(5).randbytes(24 << 20))
    with net_guest(work, dev="vmxnet3", mem=384, vcpus=vcpus, files=tools(work), args="pci=nomsi" if how == "intx" else "") as g:
        g.expect(r"USERLAND \S+ cards 1", 240)
        sh(g, "ifup eth0", r"UP eth0 10\.0\.2\.15/24")
        queues = vcpus if how == "msix" else 1
        m = sh(g, "dmesg | grep -o '# of Tx.*'; ls -d /sys/class/net/eth0/queues/*x-* | wc -l", r"# of Tx queues : (\d+), # of Rx queues : (\d+)\s+(\d+)")
        check(int(m[3]) == 2 * queues, "queues: %s" % m[0].decode())
        sh(g, "grep -c eth0 /proc/interrupts", r"^%d\r?$" % (queues + 1 if how == "msix" else 1))
        sh(g, "ethtool -i eth0", r"driver: vmxnet3")
        sh(g, "ethtool eth0", r"Speed: 10000Mb/s(?s:.*)Link detected: yes")
        sh(g, "dd if=/dev/urandom of=/tmp/out bs=1M count=24 2>/dev/null; echo MADE", r"MADE", 60)
        both_ways(g, service, "all offloads")
        for line, what in (("ethtool -K eth0 lro off tso off", "no LRO, no TSO"), ("ethtool -K eth0 rx off tx off sg off", "no checksums"),
                           ("ethtool -K eth0 rxvlan off txvlan off", "no VLAN offload"),
                           ("ethtool -K eth0 rx on tx on sg on; ethtool -K eth0 lro on tso on rxvlan on txvlan on; ethtool -G eth0 rx 256 rx-jumbo 128 tx 128",
                            "small rings")):
            sh(g, line + " >/dev/null; sleep 1; echo SET", r"SET", 30)
            both_ways(g, service, what)
        sh(g, "ifconfig eth0 mtu 9000; sleep 1; ifconfig eth0 mtu 1400; sleep 1; echo SET", r"SET", 30)
        both_ways(g, service, "MTU 1400")
        m = sh(g, "ethtool -S eth0 | awk '/TSO pkts tx/ { n += $NF } END { print \"SEGMENTED\", n }'", r"SEGMENTED (\d+)") # on any queue
        check(int(m[1]) > 0, "nothing was left to the adapter to segment")
        coalescing(g, service, vcpus)
        no_errors(g)
        call(g, "ConnectNetwork", 0, "false")
        sh(g, "sleep 1; cat /sys/class/net/eth0/carrier; dmesg | tail -1", r"\b0\r?\n[^\n]*Link is Down", 20)
        call(g, "ConnectNetwork", 0, "true")
        sh(g, "sleep 1; cat /sys/class/net/eth0/carrier; dmesg | grep 'Link is' | tail -1", r"\b1\r?\n[^\n]*Link is Up 10000 Mbps", 20)
        both_ways(g, service, "cable pulled and put back")
        g.send("off\n")
        off(g)


@test(quick=lambda dev, vcpus: (dev, vcpus) == ("vmxnet3", 2), dev=["vmxnet3", "e1000", "e1000e"], vcpus=[1, 2])
def test_frames(work, dev, vcpus):
    """Two adapters of a guest on one LAN segment: frames of all lengths both ways, none lost, none damaged, none out of order; long frames; VLANs."""
    if RUNNER == "qemu":
        raise Skip("Lodge's adapters")
    segment = "frames-%d" % os.getpid()
    keys = {"ethernet1.present": "TRUE", "ethernet1.virtualDev": dev}
    for i in range(2):
        keys.update({"ethernet%d.connectionType" % i: "pvn", "ethernet%d.pvnID" % i: segment})
    with net_guest(work, dev=dev, mem=384, vcpus=vcpus, keys=keys, files=tools(work, "framesoak"), modules=["8021q"]) as g:
        g.expect(r"USERLAND \S+ cards 2", 240)
        sh(g, "ip link set eth0 up; ip link set eth1 up; sleep 3; cat /sys/class/net/eth[01]/carrier", r"1\r?\n1\r?\n")

        def soak(a, b, mtu, n):
            sh(g, "framesoak %s %s %d %d" % (a, b, mtu, n), r"(?s)SOAK \S+ %d frames, LOST 0 BAD 0 ORDER 0\s+SOAK \S+ %d frames, LOST 0 BAD 0 ORDER 0" % (n, n), 120)

        soak("eth0", "eth1", 1500, 40000)
        sh(g, "vconfig add eth0 77; vconfig add eth1 77; ip link set eth0.77 up; ip link set eth1.77 up; sleep 1; echo SET", r"SET\r?\n", 30)
        soak("eth0.77", "eth1.77", 1500, 20000)
        sh(g, "for i in 0 1; do ethtool -K eth$i rxvlan off txvlan off; done >/dev/null 2>&1; sleep 3; echo SET", r"SET\r?\n", 30)
        soak("eth0.77", "eth1.77", 1500, 20000)
        sh(g, "ifconfig eth0 mtu 9000; ifconfig eth1 mtu 9000; ifconfig eth0.77 mtu 9000; ifconfig eth1.77 mtu 9000; sleep 4; echo SET", r"SET\r?\n", 30)
        soak("eth0", "eth1", 9000, 20000)
        soak("eth0.77", "eth1.77", 9000, 10000)
        no_errors(g)
        g.send("off\n")
        off(g)
