#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Intel's VT-x without an Intel processor that gives it: Debian's Bochs emulates one with VMX, a Debian kernel in it loads kvm_intel, and
inside of that lodge-vmx probes the host, tests/cpu/state_trip_test carries processor states through KVM and back, and
tests/cpu/engine_debug_test stops a guest at breakpoints, engine_smp_test starts 32 processors, engine_bus_test tries memory map and interrupts, and a
machine boots realmode.S from its disk.

usage: bochs.py

Bochs executes some ten million instructions a second, so this takes some minutes and goes no further than that: a Linux guest would take
hours. LODGE_TEST_KEEP names a directory for the serial output; LODGE_BOCHS_LIMIT is the time limit in seconds (default 2400).
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
engine_debug_test -w
echo "DEBUG-END $?"
engine_smp_test
echo "SMP-END $?"
engine_bus_test
echo "BUS-END $?"
mkdir -p /vm && cd /vm && mv /realmode.* . && touch serial
lodge-vmx realmode.vmx >out 2>&1 &
n=0
until grep -q "FPU:" serial || [ $n = 90 ] || ! kill -0 $!; do sleep 1; n=$((n + 1)); done
kill $!
wait $!
echo "MACHINE-END $?"
grep . serial
grep -q "FPU:" serial || tail -n 30 out vm.log
grep Engine: vm.log
echo "BOCHS-END"
sleep 5 # until the serial port has sent it
poweroff -f
"""

VMX = """.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "realmode"
memsize = "32"
monitor.virtual_exec = "automatic"
floppy0.present = "FALSE"
serial0.present = "TRUE"
serial0.fileType = "file"
serial0.fileName = "serial"
log.fileName = "vm.log"
ide0:0.present = "TRUE"
ide0:0.fileName = "realmode.img"
"""
# What tests/boot/realmode.S prints, as in boot_test.py, until it waits for IRQ13, which a guest's FERR# does not make (docs/engines.md).
MACHINE = [r"^8042 FEh: kept", r"^8042 output port: kept", r"^port 92h: kept", r"^CF9h 4: kept", r"^triple fault: kept", r"^A20: open wraps open wraps wraps",
           r"^A20 closed, port 92h: kept", r"^MACHINE-END 0$", r"Engine: hardware virtualization"]
FIRMWARE = ["/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/vgabios-vmware.bin"]

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


def why_not(tests):
    if not shutil.which("bochs") or not os.path.exists("/usr/share/bochs/VGABIOS-lgpl-latest"):
        return "bochs is not installed"
    if not find_lodge():
        return "lodge-vmx is not built"
    return next((t + " is not built" for t in tests if not os.access(t, os.X_OK)), None)


def make_image(work, tests):
    pkg = fetch("linux-image-amd64")[0]
    init = boot_test.write(os.path.join(work, "init"), INIT)
    progs = []
    for path in (find_lodge(), *tests):
        name = os.path.basename(path)
        boot_test.run("strip", "-o", os.path.join(work, name), path)
        progs.append("%s/%s=bin/%s" % (work, name, name))
    progs += [boot_test.realmode_disk(work) + "=realmode.img", boot_test.write(os.path.join(work, "vmx"), VMX) + "=realmode.vmx"]
    progs += [f + "=" + f.lstrip("/") for f in FIRMWARE]
    initrd, iso = os.path.join(work, "initrd"), os.path.join(work, "cd.iso")
    boot_test.run(HERE + "/mkinitrd.sh", "-k", pkg, "-m", "kvm_intel", "-i", init, initrd, *libraries(find_lodge(), *tests), *progs)
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
            while time.monotonic() < end and p.poll() is None and "BOCHS-END" not in text:
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
    tests = [os.path.join(os.path.dirname(find_lodge() or "."), "tests/cpu", t) for t in ("state_trip_test", "engine_debug_test", "engine_smp_test", "engine_bus_test")]
    reason = why_not(tests)
    if reason:
        print("1..1\nok 1 - VT-x under Bochs # SKIP " + reason)
        return 0
    with tempfile.TemporaryDirectory(prefix="lodge-bochs.") as work:
        text = run_bochs(work, make_image(work, tests), float(os.environ.get("LODGE_BOCHS_LIMIT", "2400")))
    print("1..7")
    results = [(re.search(r"^VMX [1-9]", text, re.M), "the emulated processor has VMX"),
               (re.search(r"^hardware .*: ready", text, re.M) and "automatic  takes hardware" in text, "lodge-vmx runs 64-bit code by VT-x"),
               (re.search(r"^TRIP-END 0$", text, re.M) and "# SKIP" not in text, "processor states through VT-x and back"),
               (re.search(r"^DEBUG-END 0$", text, re.M) and "VT: without them it runs" in text, "a debugger's breakpoints, watchpoints and steps"),
               (re.search(r"^SMP-END 0$", text, re.M) and "32 processors: their" in text, "2, 8 and 32 processors"),
               (re.search(r"^BUS-END 0$", text, re.M) and "VT: memory is taken away" in text, "memory map, strings, interrupts, time"),
               (all(re.search(what, text, re.M) for what in MACHINE), "a whole machine: its firmware boots from a disk, and resets it in each way")]
    for n, (good, name) in enumerate(results, 1):
        print("%sok %d - VT-x under Bochs: %s" % ("" if good else "not ", n, name))
    if not all(r[0] for r in results):
        print("\n".join("# " + line for line in text.split("\n")[-60:]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
