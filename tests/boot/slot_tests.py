# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI slots behind bridges, as other products number them, and the names that guests make of them. Part of boot_test.py."""
import os
import re

from boot_test import RUNNER, Guest, Skip, check, debian_disk, debian_login, linux_iso, off, test, write
from network_tests import DHCP_SCRIPT, NET_INIT, call, sh

SLOTS = {33: "e1000", 34: "vlance", 160: "vmxnet3", 192: "e1000e", 1184: "vmxnet3", 20: "e1000", 2208: "e1000e"}


def slot_keys(slots):
    keys = {}
    for i, (slot, dev) in enumerate(slots.items()):
        keys.update({"ethernet%d.present" % i: "TRUE", "ethernet%d.connectionType" % i: "nat", "ethernet%d.natSubnet" % i: "10.1.%d.0/24" % i,
                     "ethernet%d.virtualDev" % i: dev, "ethernet%d.pciSlotNumber" % i: slot})
    return keys


def number(slot):
    """What the guest calls the slot: a root port's functions count on from its first."""
    return (slot & 0x3ff) + (slot >> 10)


@test(quick=False, irq=["msi", "intx"])
def test_slots(work, irq):
    """Adapters on bus 0, behind a PCI bridge and behind root ports: Linux finds each in its slot, and each works, also after a reset."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own bridges")
    script = write(os.path.join(work, "dhcp"), DHCP_SCRIPT)
    os.chmod(script, 0o755)
    iso = linux_iso(work, "amd64", NET_INIT, args="console=ttyS0 quiet net.ifnames=0" + (" pci=nomsi" if irq == "intx" else ""),
                    modules=["e1000", "vmxnet3", "e1000e", "pcnet32", "af_packet"], files=[script + "=lib/dhcp"])
    with Guest("slots-" + irq, iso=iso, mem=384, vcpus=2, keys=slot_keys(SLOTS)) as g:
        for again in (False, True):
            seen = len(g.text())
            g.expect(r"USERLAND \S+ cards %d\s" % len(SLOTS), 240)
            g.send("for i in 0 1 2 3 4 5 6; do ifup eth$i; done; dmesg | grep -iE 'pci.*(fail|no space|bogus|conflict)' | sed 's/^/COMPLAINT /'; "
                   "for i in 0 1 2 3 4 5 6; do a=$(basename $(readlink -f /sys/class/net/eth$i/device)); "
                   "echo CARD $(cat /sys/class/net/eth$i/address) slot=$(grep -l ^${a%.*}'$' /sys/bus/pci/slots/*/address | cut -d / -f 6) "
                   "$(basename $(readlink /sys/class/net/eth$i/device/driver)) \"$(ip -4 -o addr show eth$i | sed 's/.*inet \\([^ ]*\\).*/\\1/')\" end; done; echo ALL DONE\n")
            g.expect(r"ALL DONE", 180)
            text = g.text()[seen:]
            cards = re.findall(r"CARD ([0-9a-f:]+) slot=(\d*) (\S+) (\S*) end", text)
            check(len(cards) == len(SLOTS), "cards: %s%s" % (cards, g.tail()))
            macs = re.findall(r'ethernet(\d)\.generatedAddress = "([0-9a-f:]+)"', open(g.vmx).read())
            for n, mac in macs:
                slot, dev = list(SLOTS.items())[int(n)]
                want = (mac, str(number(slot)) if slot > 31 else "", {"vlance": "pcnet32"}.get(dev, dev), "10.1.%s.15/24" % n)
                check(want in cards, "%s is not among %s" % (want, cards))
            check("COMPLAINT" not in text, "Linux complains:" + g.tail())
            # A reset of the bus behind a root port resets the adapter, and it works again.
            card = next(i for i, c in enumerate(re.findall(r"CARD .* slot=(\d*)", text)) if c == "160")
            sh(g, "c=eth%d; d=$(readlink -f /sys/class/net/$c/device); ip addr flush dev $c; ip link set $c down; echo bus >$d/reset_method && echo 1 >$d/reset && "
               "echo BUS RESET; ifup $c" % card, r"BUS RESET[^U]*UP eth%d 10\.1\.2\.15/24" % card)
            if not again:
                call(g, "Reset")
        g.send("off\n")
        off(g)


@test(quick=False)
def test_slot_names(work):
    """systemd in a Debian names the adapters by their slots, as it does under other products: ens33, ens160, ens192, ens161."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own bridges")
    slots = {33: "e1000", 160: "vmxnet3", 192: "e1000e", 1184: "vmxnet3"}
    with Guest("slot-names", disk=debian_disk(work), mem=768, vcpus=2, keys=slot_keys(slots)) as g:
        debian_login(g)
        g.send("PS1=; stty -echo; echo NAMES $(ls /sys/class/net) END; lspci -tv 2>/dev/null; poweroff\n")
        names = set(g.expect(r"NAMES ([^$]*?) END", 60)[1].decode().split())
        check(names == {"lo", "ens33", "ens160", "ens161", "ens192"}, "names: %s" % sorted(names))
        off(g, 180)
