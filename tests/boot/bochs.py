#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Intel's VT-x without an Intel processor that gives it: Debian's Bochs emulates one with VMX, a Debian kernel in it loads kvm_intel, and
inside of that lodge-vmx probes the host, and tests/cpu/state_trip_test carries processor states through KVM and back.

usage: bochs.py

Bochs executes some ten million instructions a second, so this takes a few minutes and goes no further than that. LODGE_TEST_KEEP names a
directory for the serial output; LODGE_BOCHS_LIMIT is the time limit in seconds (default 1200).
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boot_test  # noqa: E402
from guest import HERE, _die_with_parent, fetch, find_lodge, kernel_of  # noqa: E402

INIT = r"""#!/bin/sh
. /lib/setup
exec >/dev/ttyS0 2>&1
dmesg -n 1
echo "BOCHS-UP"
grep -c vmx /proc/cpuinfo | sed 's/^/VMX /'
lodge-vmx --engines
echo "ENGINES-END $?"
state_trip_test 10
echo "TRIP-END $?"
sleep 5 # until the serial port has sent it
poweroff -f
"""

# No CPU model with CPUID leaf 15h: its frequency of the TSC has nothing to do with Bochs' own.
CONFIG = """plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1
config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_haswell_4770, count=1, ips=80000000, reset_on_triple_fault=0
clock: sync=none
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=%s, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=%s
log: %s
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def libraries(*progs):
    """FILE=PATH of the shared libraries and the loader, as mkinitrd.sh takes them."""
    out = set()
    for prog in progs:
        for name, path in re.findall(r"^\s*(?:(\S+) => )?(/\S+) \(0x", subprocess.run(["ldd", prog], stdout=subprocess.PIPE, text=True).stdout, re.M):
            out.add("%s=%s" % (os.path.realpath(path), "lib/" + name if name else path.lstrip("/")))
    return sorted(out)


def why_not(trip):
    if not shutil.which("bochs") or not os.path.exists("/usr/share/bochs/VGABIOS-lgpl-latest"):
        return "bochs is not installed"
    if not find_lodge():
        return "lodge-vmx is not built"
    return None if os.access(trip, os.X_OK) else "tests/cpu/state_trip_test is not built"


def make_image(work, trip):
    pkg = fetch("linux-image-amd64")[0]
    init = boot_test.write(os.path.join(work, "init"), INIT)
    progs = []
    for path, name in ((find_lodge(), "lodge-vmx"), (trip, "state_trip_test")):
        boot_test.run("strip", "-o", os.path.join(work, name), path)
        progs.append("%s/%s=bin/%s" % (work, name, name))
    initrd, iso = os.path.join(work, "initrd"), os.path.join(work, "cd.iso")
    boot_test.run(HERE + "/mkinitrd.sh", "-k", pkg, "-m", "kvm_intel", "-i", init, initrd, *libraries(find_lodge(), trip), *progs)
    boot_test.mkiso(iso, "set timeout=0\nmenuentry linux {\nlinux /vmlinuz console=ttyS0 quiet mitigations=off clocksource=acpi_pm\ninitrd /initrd\n}",
                    kernel_of(pkg) + "=vmlinuz", initrd + "=initrd")
    return iso


def run_bochs(work, iso, limit):
    """The serial output, up to the end or the limit."""
    serial, rc = os.path.join(work, "serial"), boot_test.write(os.path.join(work, "rc"), "c\n")
    config = boot_test.write(os.path.join(work, "bochsrc"), CONFIG % (iso, serial, os.path.join(work, "bochs.log")))
    with open("/dev/zero", "rb") as zero, open(os.path.join(work, "out"), "wb") as out:  # Debian's has a debugger, which reads commands
        p = subprocess.Popen(["bochs", "-q", "-f", config, "-rc", rc], stdin=zero, stdout=out, stderr=out, preexec_fn=_die_with_parent,
                             start_new_session=True)
        end, text = time.monotonic() + limit, ""
        try:
            while time.monotonic() < end and p.poll() is None and "TRIP-END" not in text:
                time.sleep(1)
                if os.path.exists(serial):
                    with open(serial, errors="replace") as f:
                        text = f.read()
        finally:
            if p.poll() is None:
                os.killpg(p.pid, 9)
            p.wait()
    if os.environ.get("LODGE_TEST_KEEP"):
        os.makedirs(os.environ["LODGE_TEST_KEEP"], exist_ok=True)
        boot_test.write(os.path.join(os.environ["LODGE_TEST_KEEP"], "bochs.serial"), text)
        shutil.copy(os.path.join(work, "out"), os.path.join(os.environ["LODGE_TEST_KEEP"], "bochs.out"))
    return text.replace("\r", "")


def main():
    trip = os.path.join(os.path.dirname(find_lodge() or "."), "tests/cpu/state_trip_test")
    reason = why_not(trip)
    if reason:
        print("1..1\nok 1 - VT-x under Bochs # SKIP " + reason)
        return 0
    with tempfile.TemporaryDirectory(prefix="lodge-bochs.") as work:
        text = run_bochs(work, make_image(work, trip), float(os.environ.get("LODGE_BOCHS_LIMIT", "1200")))
    print("1..3")
    results = [(re.search(r"^VMX [1-9]", text, re.M), "the emulated processor has VMX"),
               (re.search(r"^hardware .*: ready", text, re.M) and "automatic  takes hardware" in text, "lodge-vmx runs 64-bit code by VT-x"),
               (re.search(r"^TRIP-END 0$", text, re.M) and "# SKIP" not in text, "processor states through VT-x and back")]
    for n, (good, name) in enumerate(results, 1):
        print("%sok %d - VT-x under Bochs: %s" % ("" if good else "not ", n, name))
    if not all(r[0] for r in results):
        print("\n".join("# " + line for line in text.split("\n")[-60:]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
