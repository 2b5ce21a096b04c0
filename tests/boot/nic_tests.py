# SPDX-License-Identifier: GPL-2.0-or-later
"""The network adapters under Linux's drivers: self-tests, tags, jumbo frames, a soak. Part of boot_test.py."""
import glob
import os
import re
import shutil

from boot_test import HERE, RUNNER, Guest, Skip, check, fetch, off, run, test, write
from network_tests import MODULES, net_guest, sh, vm_log


def ethtool_files():
    """The program and its libraries, for the initramfs."""
    ethtool, mnl, libc = fetch("ethtool", "libmnl0", "libc6")
    out = []
    for d, pattern, to in ((ethtool, "/sbin/ethtool", "bin/ethtool"), (ethtool, "/usr/sbin/ethtool", "bin/ethtool"),
                           (mnl, "/usr/lib/*/libmnl.so.0", "lib/libmnl.so.0"), (libc, "/lib/*/libc.so.6", "lib/libc.so.6"), (libc, "/lib/*/libm.so.6", "lib/libm.so.6"),
                           (libc, "/lib/*/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2")):
        for f in glob.glob(d + pattern):
            out.append("%s=%s" % (os.path.realpath(f), to))
    return out


@test(quick=False, dev=["e1000", "e1000e", "vlance"])
def test_nic_selftest(work, dev):
    """The driver binds and its own self-test passes: registers, EEPROM, interrupts, loopback, link."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own adapters")
    with net_guest(work, dev=dev, files=ethtool_files()) as g:
        g.expect(r"USERLAND \S+ cards 1", 240)
        sh(g, "echo DRIVER $(basename $(readlink /sys/class/net/eth0/device/driver))", r"DRIVER %s\b" % MODULES[dev])
        sh(g, "ip link set eth0 up; sleep 3; echo CARRIER $(cat /sys/class/net/eth0/carrier)", r"CARRIER 1")
        m = sh(g, "ethtool -t eth0 offline; echo RESULT $?", r"The test result is (PASS|FAIL)|RESULT [1-9]", 90)
        check(m[1] == b"PASS", "the self-test failed:%s\n%s" % (g.tail(40), vm_log(g)[-2000:]))
        sh(g, "sleep 3; ip link set eth0 down; ip link set eth0 up; ifup eth0", r"UP eth0 10\.0\.2\.15/24")
        sh(g, "ping -c 3 -W 2 10.0.2.2 >/dev/null && echo PING OK", r"PING OK")
        if dev != "vlance":
            # the chip's own counters are the driver's
            m = sh(g, "ethtool -S eth0 | grep -E '^ *(rx_crc_errors|rx_missed_errors|tx_errors|rx_csum_offload_errors):'; echo END", r"([^$]*)END")
            check(not re.search(rb": [1-9]", m[1]), "errors are counted: %s" % m[1])
        g.send("off\n")
        off(g)


@test(quick=False, dev=["e1000", "e1000e", "vlance", "vmxnet3"])
def test_pxelinux(work, dev):
    """The adapter's boot ROM gets an address, pxelinux and Debian's installer from the NAT network's TFTP, and the installer asks its first question."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own NAT")
    root = fetch("debian-installer-12-netboot-amd64")[0] + "/usr/lib/debian-installer/images/12/amd64/text/"
    tftp = os.path.join(work, "tftp")
    os.makedirs(os.path.join(tftp, "pxelinux.cfg"))
    for f in ("pxelinux.0", "ldlinux.c32", "debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz"):
        shutil.copy(root + f, tftp)
    write(os.path.join(tftp, "pxelinux.cfg", "default"),
          "serial 0 115200\ndefault d-i\nlabel d-i\nkernel linux\nappend initrd=initrd.gz console=ttyS0 priority=high\n")
    with Guest("pxelinux-" + dev, mem=1024, keys={
            "ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.connectionType": "nat", "ethernet0.natTftp": tftp,
            "ethernet0.natBootFile": "pxelinux.0", "bios.bootOrder": "ethernet0"}) as g:
        g.expect(r"Loading linux", 60)
        g.expect(r"Linux version \d", 180)
        if dev == "e1000":
            g.expect(r"Select a language|Choose the language", 120)


def soak_files(work):
    prog = os.path.join(work, "nicsoak")
    run(os.environ.get("CC", "gcc"), "-O2", "-static", "-o", prog, HERE + "/nicsoak.c")
    return [prog + "=bin/nicsoak"] + ethtool_files()


def soak(g, line):
    m = sh(g, line, r"SOAK (OK|FAILED[^\r\n]*)[^\n]*\n", 60)
    check(m[1] == b"OK", "%s: %s%s" % (line, m[1].decode(), g.tail()))


@test(quick=False, dev=["e1000", "e1000e", "vlance", "vmxnet3"])
def test_nic_soak(work, dev):
    """Two adapters of a guest on one LAN segment: TCP and UDP with known bytes, plain, with a VLAN tag, and with jumbo frames; nothing is lost."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own LAN segments")
    keys = {"ethernet1.present": "TRUE", "ethernet1.virtualDev": dev}
    for n in (0, 1):
        keys.update({"ethernet%d.connectionType" % n: "pvn", "ethernet%d.pvnID" % n: "52 4c 6f 64 67 65 00 01-00 00 00 00 00 00 %02x %02x" % divmod(os.getpid() & 0xffff, 256)})
    with net_guest(work, dev=dev, keys=keys, files=soak_files(work), modules=["8021q"]) as g:
        g.expect(r"USERLAND \S+ cards 2", 240)
        # after each run the second adapter comes back from its namespace, a moment later
        wait = "for i in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/net/eth1 ] && break; sleep 1; done; for i in 0 1; do ip addr flush dev eth$i; ip link set eth$i "
        soak(g, "nicsoak eth0 eth1 5 1500")
        soak(g, wait + "up; ip link add link eth$i name v$i type vlan id 7; done; nicsoak v0 v1 3 1496")
        if dev != "vlance":
            soak(g, wait + "down; ip link del v$i 2>/dev/null; ip link set eth$i mtu 9000; done; nicsoak eth0 eth1 3 9000")
        if dev in ("e1000", "e1000e"):
            m = sh(g, "ethtool -S eth0 | grep -E '^ *(rx_crc_errors|rx_missed_errors|tx_errors|rx_errors|rx_csum_offload_errors|rx_long_length_errors):'; echo DONE", r"([^$]*)DONE")
            check(not re.search(rb": [1-9]", m[1]), "errors are counted: %s" % m[1])
        print("# %s: %s" % (dev, ", ".join(re.findall(r"TCP ([\d.]+ MB/s)", g.text()))))
        g.send("off\n")
        off(g)
