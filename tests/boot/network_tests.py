# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks in the VM's own process: NAT with all its services, forwards, live changes, shaping, capture. Part of boot_test.py.

Only services of this computer's loopback are used; no test needs the outside.
"""
import hashlib
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

from boot_test import KERNELS, RUNNER, Guest, Skip, check, fetch, find_lodge, free_port, kernel_of, linux_iso, off, test, write

NET_INIT = r"""
ifup() { ip link set "$1" up; udhcpc -n -q -i "$1" -s /lib/dhcp -t 8 -T 1 >/dev/null 2>&1 && echo "UP $1 $(ip -4 addr show "$1" | sed -n 's/.*inet \([^ ]*\).*/\1/p')" || echo "NODHCP $1"; }
stty -echo
echo "USERLAND $(uname -m) cards $(ls /sys/class/net | grep -vc lo)"
while read -r line; do [ "$line" = off ] && poweroff -f; eval "$line"; done
"""
DHCP_SCRIPT = r"""#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
[ -z "$router" ] || ip route add default via $router
[ -z "$dns" ] || { for d in $dns; do echo "nameserver $d"; done >/etc/resolv.conf; }
echo "boot_file=$boot_file siaddr=$siaddr" >/tmp/dhcp
"""
MODULES = {"e1000": "e1000", "e1000e": "e1000e", "vlance": "pcnet32", "vmxnet3": "vmxnet3"}


def net_guest(work, name="net", mem=256, vcpus=1, keys=None, dev="e1000", runner=None, qemu_args=(), files=(), kernel="amd64", init=NET_INIT,
              args="", modules=()):
    """A guest that runs the lines it is sent; ethernet0 is NAT unless keys say otherwise."""
    script = write(os.path.join(work, "dhcp"), DHCP_SCRIPT)
    os.chmod(script, 0o755)
    iso = linux_iso(work, kernel, init, args="console=ttyS0 quiet net.ifnames=0 " + args, modules=[MODULES[dev], "af_packet", *modules], files=[script + "=lib/dhcp", *files])
    k = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.connectionType": "nat"}
    k.update(keys or {})
    return Guest(name, iso=iso, mem=mem, vcpus=vcpus, keys=k, runner=runner, qemu_args=list(qemu_args))


def sh(g, line, pattern, timeout=60):
    g.send(line + "\n")
    return g.expect(pattern, timeout)


def call(g, method, *args, fails=False):
    if not hasattr(g, "address"):
        g.address = subprocess.run([find_lodge(), "--address", g.vmx], check=True, capture_output=True, text=True).stdout.strip()
    r = subprocess.run(["gdbus", "call", "--address", g.address, "--dest", "org.lodge.Vm1", "--object-path", "/org/lodge/Vm1", "--method",
                        "org.lodge.Vm1." + method, *map(str, args)], capture_output=True, text=True)
    if fails:
        check(r.returncode, "%s%r worked" % (method, args))
        return r.stderr
    check(not r.returncode, "%s%r: %s" % (method, args, r.stderr))
    return r.stdout


def stats(g):
    return {k: int(v) for k, v in re.findall(r"'([\w.:]+)': (?:uint64 )?(\d+)", call(g, "GetStatistics"))}


def vm_log(g):
    with open(os.path.join(g.dir, "vm.log"), errors="replace") as f:
        return f.read()


class Echo:
    """A TCP service on loopback that answers each line with the line reversed."""

    def __init__(self, family=socket.AF_INET):
        self.s = socket.socket(family)
        self.s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.s.listen(8)
        self.port = self.s.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        with c:
            try:
                for line in c.makefile("rb"):
                    c.sendall(line.rstrip(b"\n")[::-1] + b"\n")
            except OSError:
                pass  # the other side has gone


def resolver_works():
    """Whether this computer's own name server answers for localhost: then the guest must get that answer too."""
    try:
        with open("/etc/resolv.conf") as f:
            server = re.search(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)", f.read(), re.M)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2)
            s.sendto(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\x09localhost\0\0\1\0\1", (server[1], 53))
            r = s.recv(512)
            return r[:2] == b"\x12\x34" and r[3] & 15 == 0 and r[7] > 0
    except (OSError, TypeError):
        return False


@test(quick=True, dev=["e1000", "vmxnet3"])
@test(quick=False, dev=["e1000e", "vlance"])
def test_nat(work, dev):
    """DHCP, ping of the gateway, TCP out and in, DNS port, TFTP, IPv6 by router advertisement, and what the control interface says of it."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own NAT")
    os.mkdir(os.path.join(work, "tftp"))
    blob = os.urandom(300000)
    write(os.path.join(work, "tftp", "boot.img"), blob)
    echo, port = Echo(), free_port()
    with net_guest(work, dev=dev, keys={
            "ethernet0.natForward0": "tcp:127.0.0.1:%d:7" % port, "ethernet0.natTftp": os.path.join(work, "tftp"), "ethernet0.natBootFile": "boot.img",
            "ethernet0.capture.fileName": os.path.join(work, "cap.pcapng"), "rtc.startTime": 1000000000}) as g:
        began = time.time()
        g.expect(r"USERLAND \S+ cards 1", 240)
        sh(g, "ifup eth0", r"UP eth0 10\.0\.2\.15/24")
        sh(g, "cat /tmp/dhcp", r"boot_file=boot\.img siaddr=10\.0\.2\.2")
        sh(g, "ping -c 3 -W 2 10.0.2.2 >/dev/null && echo PING OK", r"PING OK")
        sh(g, "echo hello | nc -w 5 10.0.2.2 %d" % echo.port, r"olleh")
        sh(g, "dd if=/dev/zero bs=1k count=1000 2>/dev/null | tr '\\0' x | tr -d '\\n' >/tmp/x; { cat /tmp/x; echo; } | nc -w 20 10.0.2.2 %d | wc -c" % echo.port,
           r"\b1024001\b", 120)
        sh(g, "cd /tmp; tftp -g -r boot.img -b 1024 10.0.2.2 && sha1sum boot.img", hashlib.sha1(blob).hexdigest(), 120)
        sh(g, "tftp -g -r ../cap.pcapng -l /tmp/y 10.0.2.2 || echo REFUSED", r"REFUSED")
        # a service in the guest
        g.send("nc -l -p 7 -e cat & sleep 1; echo LISTENS\n")
        g.expect(r"LISTENS", 20)
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.settimeout(20)
            s.sendall(b"through the forward")
            check(s.recv(100) == b"through the forward", "the forward does not echo")
        # IPv6: the router's advertisement gives an address
        sh(g, "for i in 1 2 3 4 5 6 7 8 9 10; do ip -6 addr show dev eth0 | grep -q 'inet6 fd00:10:0:2' && break; sleep 1; done; ip -6 addr show dev eth0",
           r"inet6 fd00:10:0:2:", 60)
        sh(g, "ping -6 -c 2 -W 2 fd00:10:0:2::2 >/dev/null && echo PING6 OK", r"PING6 OK")
        echo6 = Echo(socket.AF_INET6)
        sh(g, "echo over six | nc -w 5 fd00:10:0:2::2 %d" % echo6.port, r"xis revo")
        if resolver_works():
            sh(g, "nslookup localhost 10.0.2.3 | tail -4", r"Name:\s+localhost", 60)
        info = call(g, "GetNetworks")
        check("10.0.2.15" in info and "fd00:10:0:2:" in info, "addresses are missing in %s" % info)
        s = stats(g)
        check(s["ethernet0.link"] == 1 and s["ethernet0.tx_bytes"] > 1000000 and s["ethernet0.rx_bytes"] > 1000000, "statistics: %s" % {
            k: v for k, v in s.items() if k.startswith("ethernet")})
        # forwards while it runs
        p2 = free_port()
        call(g, "AddForward", 0, "tcp:127.0.0.1:%d:7" % p2)
        check("forwarded already" in call(g, "AddForward", 0, "tcp:127.0.0.1:%d:8" % p2, fails=True), "a second forward of a port is said to be there")
        with socket.create_server(("127.0.0.1", 0)) as other:
            said = call(g, "AddForward", 0, "tcp:127.0.0.1:%d:7" % other.getsockname()[1], fails=True)
            check("in use" in said and str(other.getsockname()[1]) in said, "a port that another program has: %s" % said)
        g.send("nc -l -p 7 -e cat & sleep 1; echo LISTENS AGAIN\n")
        g.expect(r"LISTENS AGAIN", 20)
        with socket.create_connection(("127.0.0.1", p2), 10) as c:
            c.settimeout(20)
            c.sendall(b"live")
            check(c.recv(100) == b"live", "the live forward does not echo")
        call(g, "RemoveForward", 0, "tcp:127.0.0.1:%d:7" % p2)
        with socket.socket() as c:
            check(c.connect_ex(("127.0.0.1", p2)), "the removed forward still listens")
        # the cable
        call(g, "ConnectNetwork", 0, "false")
        sh(g, "for i in 1 2 3 4 5 6 7 8; do sleep 1; [ $(cat /sys/class/net/eth0/carrier) = 0 ] && break; done; cat /sys/class/net/eth0/carrier", r"\n0\r?\n")
        check("link" in call(g, "GetNetworks"), "GetNetworks without a cable")
        call(g, "ConnectNetwork", 0, "true")
        sh(g, "for i in 1 2 3 4 5 6 7 8; do [ $(cat /sys/class/net/eth0/carrier) = 1 ] && break; sleep 1; done; ping -c 1 -W 5 10.0.2.2 >/dev/null && echo BACK", r"BACK", 60)
        call(g, "ChangeNetwork", 0, "{'connectionType': 'nat', 'natSubnet': '10.9.8.0/24'}")
        sh(g, "sleep 2; ip addr flush dev eth0; ifup eth0", r"UP eth0 10\.9\.8\.15/24", 60)
        log = vm_log(g)
        check("sandbox:" not in log, "the sandbox refused something: %s" % re.findall("sandbox:.*", log))
        g.send("off\n")
        off(g)
    frames = read_pcapng(os.path.join(work, "cap.pcapng"))
    check(len(frames) > 500 and any(f[1][12:14] == b"\x08\x06" for f in frames), "the capture has %d frames" % len(frames))
    check(all(began - 1 < f[0] < time.time() + 1 for f in frames), "the times in the capture are not this computer's")
    tftp = [f for f in frames if blob[:400] in f[1]]
    check(tftp, "the capture does not hold what was read by TFTP")


def read_pcapng(path):
    """A reader of its own for what draft-ietf-opsawg-pcapng says: [(seconds, frame, direction)]."""
    with open(path, "rb") as f:
        d = f.read()
    at, out, resol = 0, [], 1e-6
    while at < len(d):
        kind, n = struct.unpack_from("<II", d, at)
        check(n % 4 == 0 and n >= 12 and at + n <= len(d) and struct.unpack_from("<I", d, at + n - 4)[0] == n, "block at %d is broken" % at)
        body = d[at + 8:at + n - 4]
        if at == 0:
            check(kind == 0x0A0D0D0A and body[:4] == b"\x4d\x3c\x2b\x1a" and body[4:8] == b"\1\0\0\0", "no section header")
        elif kind == 1:
            check(struct.unpack_from("<HH", body)[0] == 1, "the link type is not Ethernet")
            o = 8
            while o + 4 <= len(body):
                code, ln = struct.unpack_from("<HH", body, o)
                if code == 9:
                    resol = 10.0 ** -body[o + 4]
                o += 4 + (ln + 3 & ~3)
        elif kind == 6:
            _, hi, lo, cap, length = struct.unpack_from("<IIIII", body)
            check(cap == length, "a frame is cut")
            code, ln, flags = struct.unpack_from("<HHI", body, 20 + (cap + 3 & ~3))
            check(code == 2 and flags & 3 in (1, 2), "no direction")
            out.append(((hi << 32 | lo) * resol, body[20:20 + cap], flags & 3))
        at += n
    return out


@test(quick=False)
def test_net_shape(work):
    """Bandwidth, latency and loss as the keys say, then changed while the guest runs."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own shaping")
    echo = Echo()
    with net_guest(work, dev="vmxnet3", keys={"ethernet0.rxlat": "60", "ethernet0.txlat": "40"}) as g:
        g.expect(r"USERLAND", 240)
        sh(g, "ifup eth0", r"UP eth0 10\.0\.2\.15/24")
        m = sh(g, "ping -c 5 -i 0.3 10.0.2.2 | tail -1", r"min/avg/max = ([\d.]+)/([\d.]+)/")
        check(100 <= float(m[1]) < 140, "a round trip of 100 ms takes %s" % m[1].decode())
        call(g, "ShapeNetwork", 0, "{'rxlat': 0, 'txlat': 0, 'txbw.limit': 4000}")
        start = time.monotonic()
        sh(g, "dd if=/dev/zero bs=1k count=1000 2>/dev/null | tr '\\0' x | tr -d '\\n' >/tmp/x; { cat /tmp/x; echo; } | nc -w 20 10.0.2.2 %d | wc -c" % echo.port,
           r"\b1024001\b", 120)
        took = time.monotonic() - start
        check(1.9 < took < 12, "1 MB at 4 Mbit/s takes %.1f s" % took)
        call(g, "ShapeNetwork", 0, "{'txbw.limit': 0, 'txfi.droprate': 300, 'txfi.dropsize': 1}")
        m = sh(g, "ping -c 200 -i 0.02 -W 1 10.0.2.2 | grep loss", r"(\d+)% packet loss", 120)
        check(15 <= int(m[1]) <= 45, "%s%% of loss for 30%%" % m[1].decode())
        g.send("off\n")
        off(g)


@test(quick=False)
def test_net_bad(work):
    """What is wrong in the file is said with its key and line, and the machine runs."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own configuration")
    busy = socket.socket()
    busy.bind(("127.0.0.1", 0))
    busy.listen(1)
    port = busy.getsockname()[1]
    keys = {"ethernet0.natForward0": "tcp:127.0.0.1:%d:22" % port, "ethernet0.natForward1": "nonsense", "ethernet0.addressType": "static",
            "ethernet0.address": "00:50:56:00:00:01",
            "ethernet1.present": "TRUE", "ethernet1.virtualDev": "e1000", "ethernet1.connectionType": "carrierpigeon", "ethernet1.addressType": "static",
            "ethernet1.address": "00:50:56:00:00:01", "ethernet2.present": "TRUE", "ethernet2.virtualDev": "e1000", "ethernet2.connectionType": "nat",
            "ethernet2.addressType": "static", "ethernet2.address": "52:54:00:12:34:56:78"}
    with net_guest(work, keys=keys) as g:
        with open(g.vmx) as f:
            lines = f.read().split("\n")
        g.expect(r"USERLAND \S+ cards 3", 240)
        out = subprocess.run([find_lodge(), "--check", g.vmx], capture_output=True, text=True)
        said = out.stdout + out.stderr + vm_log(g) + g.stderr_text() if hasattr(g, "stderr_text") else out.stdout + out.stderr + vm_log(g)
        for key, word in (("ethernet0.natForward1", "no forward"), ("ethernet1.connectionType", "unplugged"), ("ethernet1.address", "same address"),
                          ("ethernet2.address", "MAC")):
            line = next(i for i, x in enumerate(lines, 1) if x.startswith(key + " "))
            check(re.search(r"%s.*%s|%s.*%s" % (re.escape(key), word, word, re.escape(key)), said), "%s is not reported: %s" % (key, said))
            check(re.search(r"\b%d\b.*%s" % (line, re.escape(key)), said), "the line %d of %s is not named: %s" % (line, key, said))
        check(re.search(r"ethernet0\.natForward0: .*%d.*in use" % port, vm_log(g)), "the port in use is not reported")
        sh(g, "ifup eth0", r"UP eth0 10\.0\.2\.15/24")
        m = sh(g, "cat /sys/class/net/eth*/address | sort -u | wc -l; cat /sys/class/net/eth0/address", r"\b3\r?\n00:50:56:00:00:01")
        with open(g.vmx) as f:
            text = f.read()
        check(re.search(r'ethernet1.generatedAddress = "00:0c:29', text) and re.search(r'ethernet2.generatedAddress = "00:0c:29', text), "no generated address in the file")
        g.send("off\n")
        off(g)


@test(quick=lambda dev: dev == "e1000", dev=["e1000", "e1000e", "vlance", "vmxnet3", "e1000@33", "vmxnet3@160", "e1000e@1216"])
def test_pxe(work, dev):
    """A machine without disks boots from the network: the adapter's ROM, DHCP and TFTP of NAT, Linux by iPXE; the ROM also behind bridges."""
    dev, _, slot = dev.partition("@")
    if RUNNER == "qemu":
        raise Skip("Lodge's own NAT")
    linux_iso(work, "cloud", 'echo "PXE USERLAND $(uname -m)"; poweroff -f\n', args="")
    tftp = os.path.join(work, "tftp")
    os.mkdir(tftp)
    os.rename(os.path.join(work, "initrd"), os.path.join(tftp, "initrd"))
    shutil.copy(kernel_of(fetch(KERNELS["cloud"][0])[0]), os.path.join(tftp, "vmlinuz"))
    write(os.path.join(tftp, "boot.ipxe"), "#!ipxe\nkernel tftp://${next-server}/vmlinuz initrd=initrd console=ttyS0 quiet\n"
          "initrd tftp://${next-server}/initrd\nboot\n")
    keys = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.connectionType": "nat", "ethernet0.natTftp": tftp,
            "ethernet0.natBootFile": "boot.ipxe", "bios.bootOrder": "ethernet0"}
    if slot:
        keys["ethernet0.pciSlotNumber"] = slot
    with Guest("pxe-" + dev, mem=256, keys=keys) as g:
        g.expect(r"PXE USERLAND x86_64", 240)
        off(g)


@test(quick=False, dev=["e1000", "e1000e", "vlance", "vmxnet3"])
def test_net_replug(work, dev):
    """The cable goes in and out, and to other networks, while the guest sends and receives all it can; afterwards all works."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own cables")
    echo = Echo()
    with net_guest(work, dev=dev) as g:
        g.expect(r"USERLAND", 240)
        sh(g, "ifup eth0", r"UP eth0 10\.0\.2\.15/24")
        g.send("(while :; do dd if=/dev/zero bs=1k count=2000 2>/dev/null | tr '\\0' x | nc -w 2 10.0.2.2 %d >/dev/null 2>&1; done) & "
               "(while :; do ping -f -c 200 -s 1400 10.0.2.2 >/dev/null 2>&1; sleep 0.1; done) & echo BUSY\n" % echo.port)
        g.expect(r"BUSY", 20)
        for i in range(40):
            if i % 4 == 3:
                call(g, "ChangeNetwork", 0, "{'natSubnet': '%s'}" % ("10.9.8.0/24" if i % 8 == 3 else ""))
            else:
                call(g, "ConnectNetwork", 0, "false" if i % 2 else "true")
            time.sleep(0.05)
        call(g, "ChangeNetwork", 0, "{'natSubnet': ''}")
        check(g.proc.poll() is None, "the machine has ended")
        sh(g, "sleep 3; for i in 1 2 3 4 5 6 7 8; do ping -c 1 -W 2 10.0.2.2 >/dev/null && break; sleep 1; done; echo after the storm | nc -w 5 10.0.2.2 %d" % echo.port,
           r"mrots eht retfa", 90)
        check("sandbox:" not in vm_log(g), "the sandbox refused something")
        g.send("off\n")
        off(g)


@test(quick=False)
def test_net_ten(work):
    """Ten adapters of three models, each with a network of its own."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own configuration")
    keys = {}
    for i in range(10):
        keys.update({"ethernet%d.present" % i: "TRUE", "ethernet%d.connectionType" % i: "nat", "ethernet%d.natSubnet" % i: "10.1.%d.0/24" % i,
                     "ethernet%d.virtualDev" % i: ("e1000", "vmxnet3", "e1000e")[i % 3]})
    script = write(os.path.join(work, "dhcp"), DHCP_SCRIPT)
    os.chmod(script, 0o755)
    iso = linux_iso(work, "amd64", NET_INIT, args="console=ttyS0 quiet net.ifnames=0", modules=["e1000", "vmxnet3", "e1000e", "af_packet"],
                    files=[script + "=lib/dhcp"])
    with Guest("ten", iso=iso, mem=384, keys=keys) as g:
        g.expect(r"USERLAND \S+ cards 10\s", 240)
        g.send("for i in 0 1 2 3 4 5 6 7 8 9; do ifup eth$i; done; ip -4 -o addr | grep -c 'inet 10[.]1'; echo ALL DONE\n")
        g.expect(r"\s10\r?\nALL DONE", 120)
        check({int(x) for x in re.findall(r"UP eth\d 10\.1\.(\d)\.15", g.text())} == set(range(10)), "not each network gave its address")
        g.send("off\n")
        off(g)
