#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs beside nested_inner.py in the outer guest. Each of its processors says once a second on the console that it lives, from a
real-time process that nothing in user space can keep off it: when a processor stops saying so, the emulated machine stands still.

It also keeps machines of /dev/kvm open that do nothing. Linux switches code on and off by patching it: when the first VM comes and
the last one goes (in the scheduler), while a vCPU has no local APIC, one that is off, or one that is disabled (in kvm). With several
threads, QEMU's TCG (7.2) may go on executing a block that it translated while the first byte was INT3, the middle step of such a patch;
the kernel finds no INT3 in memory, tries again, and never gets out. While these machines exist, nothing is patched."""
import fcntl
import os
import signal
import struct
import sys
import time

KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_ENABLE_CAP = 0xAE01, 0xAE41, 0x4068AEA3
KVM_GET_SREGS, KVM_SET_SREGS, SREGS_SIZE, APIC_BASE_AT = 0x8138AE83, 0x4138AE84, 312, 8 * 24 + 2 * 16 + 6 * 8
KVM_CAP_SPLIT_IRQCHIP, APIC_ENABLE = 121, 0x800


def hold():
    kvm = os.open("/dev/kvm", os.O_RDWR)
    fcntl.ioctl(fcntl.ioctl(kvm, KVM_CREATE_VM, 0), KVM_CREATE_VCPU, 0)  # no local APIC
    vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    fcntl.ioctl(vm, KVM_ENABLE_CAP, struct.pack("=II4Q64x", KVM_CAP_SPLIT_IRQCHIP, 0, 24, 0, 0, 0))
    fcntl.ioctl(vm, KVM_CREATE_VCPU, 0)  # one that its software never enables
    cpu = fcntl.ioctl(vm, KVM_CREATE_VCPU, 1)
    sregs = bytearray(SREGS_SIZE)
    fcntl.ioctl(cpu, KVM_GET_SREGS, sregs)
    base, = struct.unpack_from("=Q", sregs, APIC_BASE_AT)
    if not base & APIC_ENABLE:
        raise OSError("the local APIC's base is %#x" % base)
    struct.pack_into("=Q", sregs, APIC_BASE_AT, base & ~APIC_ENABLE)
    fcntl.ioctl(cpu, KVM_SET_SREGS, bytes(sregs))


def beat(cpu):
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    out = os.open("/dev/ttyS0", os.O_WRONLY | os.O_NOCTTY)
    while True:
        os.write(out, b"OUTER-BEAT %d\n" % cpu)
        time.sleep(1)


def main():
    try:
        hold()
        print("OUTER-HELD", flush=True)
    except OSError as e:
        print("# machines that keep the kernel from patching itself: %s" % e, flush=True)
    for cpu in sorted(os.sched_getaffinity(0)):
        if os.fork() == 0:
            try:
                beat(cpu)
            except OSError as e:
                print("OUTER-FAILED no beat of processor %d: %s" % (cpu, e), flush=True)
                return 1
    signal.pause()


if __name__ == "__main__":
    sys.exit(main())
