#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What nested.py runs in its outer guest, where /dev/kvm is real and slow: guests under the "hardware" engine. Prints TAP.
It ends at the first test that fails: nested.py starts it again, in a new outer guest, with that one and those that follow.

usage: nested_inner.py [--bench-exits|--bench-times] [--all] NAME=FILE ... [NAME-PATTERN ...]
"""
import fnmatch
import hashlib
import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("LODGE_SLOW", "3")
os.environ["LODGE_ENGINE"] = "hardware"
import guest  # noqa: E402
from guest import HERE, Guest, GuestError, find_lodge  # noqa: E402

# Tests of boot_test.py that run here too; True: in the default set. The program of cpu-* runs with -f: no XSAVE here, see complaints().
# No 32-bit kernels with ACPI: see nested.py. LODGE_TEST_EM: QEMU's TCG (7.2) executes EMMS in spite of CR0.EM. No breakpoints in gdb-*: QEMU's TCG (7.2) does not act on the DR7 that VMRUN loads.
BOOT = [("realmode", True), ("cpu-64-short", True), ("linux-amd64-1", True), ("linux-amd64-2", True), ("grub-serial", True), ("reboot-triple", True),
        ("grub-gfx-1024x768x32", True), ("gdb-1", True), ("many-cpus-cloud-4", False),
        ("linux-cloud-1", False), ("linux-cloud-2", False), ("grub-gfx-800x600x16", False), ("reboot-acpi", False),
        ("reboot-kbd", False), ("reboot-pci", False), ("power-button", False), ("platform-acpi", False), ("platform-noapic", False),
        ("sigterm", False), ("console", False), ("memtest-x64-1", False), ("memtest-x64-2", False), ("memtest-ia32-1", False),
        ("smp-64-2", False), ("nat-vmxnet3", False), ("nat-e1000e", False), ("nat-e1000", False), ("nat-vlance", False), ("memory-balloon-1-amd64", False),
        ("memory-trim-1", False), ("memory-figures", False), ("memory-share", False), ("gdb-2", False), ("many-cpus-cloud-8", False),
        *(("nic-selftest-" + dev, False) for dev in ("e1000", "e1000e", "vlance")),
        *(("nic-soak-" + dev, False) for dev in ("e1000", "e1000e", "vlance", "vmxnet3"))]

# Groups of the CPU test program that QEMU's TCG (7.2) survives: it dies of mul_div (IDIV's overflow is a host's SIGFPE), of lock_prefix (an
# assertion of its own) and of sse_0f_reg, also where nothing is virtualized. Without page_faults, fault_flags and page_cross_code, which have AVX,
# and bad_addresses, which tries the end of the address space: the outer kernel's has five levels of page tables, the inner one's four. Without
# cross_modify: with several threads that TCG may go on executing code that another processor has changed (nested_beat.py).
CPU_GROUPS = """bit_ops conditions jumps calls push_pop xlat_misc smc smc_alias single_step x87_env sse_faults privileged
    prefix_soup alignment system_calls selector_queries fs_gs_base seg_load64 compat_mode tsc_order memory_order
    atomics alu_mem shifts bcd_invalid str_long x87_mem x87_reg x87_func sse_0f_mem random_and_ids thread_atomics"""

LAST_START = 150  # seconds before the end of the time for all of them: then no test is begun any more; most take a quarter of that

MEDIA = {}
T0 = time.monotonic()
OUT = threading.Lock()


class Skip(Exception):
    pass


def check(cond, text):
    if not cond:
        raise GuestError(text)


def lodge(*args):
    return subprocess.run([find_lodge(), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Control:
    """The control API by gdbus, as docs/control-api.md shows it."""

    def __init__(self, vmx):
        self.address = lodge("--address", vmx).stdout.strip()

    def call(self, method, *args):
        p = subprocess.run(["gdbus", "call", "--timeout", "120", "--address", self.address, "--dest", "org.lodge.Vm1", "--object-path", "/org/lodge/Vm1",
                            "--method", "org.lodge.Vm1." + method, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(p.returncode == 0, "%s %s: %s" % (method, " ".join(args), p.stdout.strip()))
        return p.stdout

    def statistics(self):
        return {k: int(v) for k, v in re.findall(r"'([\w.:]+)': (?:uint64 )?(\d+)", self.call("GetStatistics"))}


def complaints(g, what=r"COMPLAINT .*|BAD .*"):
    # QEMU's TCG does not tell the outer guest's KVM of the inner guest's XSETBV: its kernel finds XSAVE inconsistent and does without.
    # (So there is no AVX here, and the CPU test program, whose results include those registers, cannot be compared.)
    bad = [s for s in re.findall(what, g.text()) if "fpu__init_system_xstate" not in s and "Call Trace" not in s]
    check(not bad, "the guest says: " + "; ".join(bad[:4]) + g.tail())


def userland(g, machine, vcpus, cd=True):
    """The checks that each guest passes on its way up."""
    if cd:
        with open(MEDIA["data"], "rb") as f:
            want = hashlib.sha256(f.read()).hexdigest()
        check(g.expect(r"SUM (\w{64})", 240)[1].decode() == want, "the file read from the CD is damaged")
    m = g.expect(r"USERLAND (\S+) cpus (\d+) virt (\d)", 240)
    took = time.monotonic() - g.t0
    check(m[1].decode() == machine and int(m[2]) == vcpus and m[3] == b"1", "the guest sees %s" % m[0].decode())
    slept = int(g.expect(r"SLEPT (\d+)\s", 120)[1])
    check(2 <= slept <= 4, "sleep 2 took %d s of guest time" % slept)
    g.expect(r"^ready", 120)
    complaints(g)
    with OUT:
        print("# %s: userland %.1f s after start" % (g.name, took), flush=True)


def off(g):
    g.send("off\n")
    status = g.wait(60)
    check(status == 0, "exit status %s after the guest powered off%s" % (status, g.tail()))


def vm_log(g):
    with open(os.path.join(g.dir, "vm.log"), errors="replace") as f:
        return f.read()


# -- tests ---------------------------------------------------------------------------------------------------------------

def module_has_backdoor():
    with open("/sys/module/kvm/parameters/enable_vmware_backdoor") as f:
        return f.read().strip() == "Y"


def test_engines():
    """--engines finds VT by doing."""
    text = lodge("--engines").stdout
    with OUT:
        print("# " + text.rstrip().replace("\n", "\n# "), flush=True)
    check(re.search(r"^hardware .*: ready", text, re.M) and re.search(r"^automatic  takes hardware", text, re.M), text)
    check(("enable_vmware_backdoor" in text) == (not module_has_backdoor()), "the advice about the backdoor is wrong: " + text)
    os.chmod("/dev/kvm", 0)
    p = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", find_lodge(), "--engines"], stdout=subprocess.PIPE, text=True)
    os.chmod("/dev/kvm", 0o600)
    check("no permission for /dev/kvm" in p.stdout and "usermod -aG" in p.stdout, p.stdout)
    os.rename("/dev/kvm", "/dev/kvm.away")
    try:
        text = lodge("--engines").stdout
        check("there is no /dev/kvm" in text and "modprobe kvm_amd" in text and "automatic  takes software" in text, text)
    finally:
        os.rename("/dev/kvm.away", "/dev/kvm")


def test_cloud_2():
    """A 64-bit guest with two processors: CD, clock, backdoor at CPL 3, the log and the statistics."""
    with Guest("vt-cloud", iso=MEDIA["cloud"], mem=256, vcpus=2, engine="automatic") as g:
        userland(g, "x86_64", 2)
        log = vm_log(g)
        check("Engine: hardware virtualization (VT) (automatic; it works on this host)" in log, "the log does not name the engine")
        backdoor = b"\nBACKDOOR" in g.serial
        on = module_has_backdoor()
        check(backdoor == on, "the backdoor at CPL 3: %s, but the module's parameter is %s" % (backdoor, on))
        check(("enable_vmware_backdoor" in log) == (not on), "the log's advice about the backdoor is wrong")
        deadline = time.monotonic() + 240
        while True:  # a page goes back when two passes of the scan have found it zero
            s = Control(g.vmx).statistics()
            if s["trim.pages_freed"] or time.monotonic() > deadline:
                break
            time.sleep(2)
        with OUT:
            print("# " + ", ".join("%s %d" % (k, s[k]) for k in sorted(s) if k.startswith(("vt.", "trim."))), flush=True)
        check(s["trim.pages_freed"] > 0 and s["trim.stops"] > 0 and s["memory.resident"] > 10 << 20, "no page was given back to the host")
        off(g)


def test_cloud_1():
    """A 64-bit guest with one processor; pause, resume and reset."""
    with Guest("vt-cloud1", iso=MEDIA["cloud"], mem=192, vcpus=1) as g:
        userland(g, "x86_64", 1)
        c = Control(g.vmx)
        g.send("date +T=%s\n")
        before = int(g.expect(r"T=(\d+)\s", 60)[1])
        c.call("Pause")
        time.sleep(8)
        c.call("Resume")
        g.send("date +T=%s\n")
        after = int(g.expect(r"T=(\d+)\s", 60)[1])
        check(0 <= after - before < 8, "guest time went on by %d s over a pause of 8" % (after - before))
        g.send("sleep 1\n")
        g.expect(r"CMD-END", 60)
        off(g)


def test_686():
    """A 32-bit guest without PAE, whose interrupts all come through the PIC, on a processor whose long mode is hidden."""
    with Guest("vt-686", iso=MEDIA["686"], mem=192, vcpus=1, guest_os="debian12", keys={"monitor_control.disable_longmode": "TRUE"}) as g:
        userland(g, "i686", 1)
        g.send("grep -c -w lm /proc/cpuinfo\n")
        check(g.expect(r"^(\d+)\s*$", 60)[1] == b"0", "the guest sees long mode")
        check(Control(g.vmx).statistics()["vt.pic_interrupts"] > 20, "no interrupts from the PIC")
        check(g.stop() == 0, "exit status: " + g.stderr())


def switch_rounds(g, control, rounds, seconds, rnd):
    """Changes the engine at random moments while selfcheck runs."""
    last, n = "hardware", 0
    for i in range(rounds):
        g.settle(rnd.uniform(0.2, seconds))
        last = "software" if last == "hardware" else "hardware"
        control.call("SwitchEngine", last)
        n += 1
        check(g.proc.poll() is None, "the VM ended after change %d to %s: %s" % (n, last, g.tail()))
        complaints(g)
        all_go_on(g)
    return n


def all_go_on(g):
    """Each process of the load finishes a round that it had not; their lines come in any order."""
    here = g.pos
    last = here
    for p in range(g.vcpus):
        g.pos = here
        g.expect(r"CHECK %d \d+" % p, 120)
        last = max(last, g.pos)
    g.pos = last


def test_switch():
    """The engine changes under a running, self-checking guest, both ways, at random moments."""
    seed = int(os.environ.get("LODGE_SEED", time.time()))
    with Guest("vt-switch", iso=MEDIA["cloud"], mem=192, vcpus=2) as g:
        userland(g, "x86_64", 2)
        c = Control(g.vmx)
        g.send("selfcheck 2\n")
        all_go_on(g)
        n = switch_rounds(g, c, int(os.environ.get("LODGE_SWITCHES", "4")), 2, random.Random(seed))
        complaints(g)
        log = vm_log(g)
        check(log.count("from here on, before:") == n, "%d changes in the log, not %d" % (log.count("from here on, before:"), n))
        check(g.stop() == 0, "exit status: " + g.stderr())
    with OUT:
        print("# %d changes of the engine, seed %d" % (n, seed), flush=True)


def unit(name, *args):
    """A test program of this tree, built where lodge-vmx is; here /dev/kvm works, so it tests more than in "make check"."""
    prog = os.path.join(os.path.dirname(find_lodge()), "tests", name)
    if not os.path.exists(prog):
        raise Skip(prog + " is not built")
    p = subprocess.run([prog, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    bad = [s for s in p.stdout.split("\n") if s.startswith(("not ok", "#"))]
    check(p.returncode == 0 and "# SKIP" not in p.stdout, "%s: status %d: %s" % (name, p.returncode, "\n".join(bad[:60]) or p.stdout[-2000:]))


def test_state():
    """One processor state for both engines, field by field."""
    unit("cpu/state_trip_test", os.environ.get("LODGE_TRIPS", "60"))


def test_debug():
    """A debugger's steps; breakpoints not: QEMU's TCG (7.2) does not act on the DR7 that VMRUN loads (tests/boot/bochs.py has them)."""
    unit("cpu/engine_debug_test", "-s")


def test_many():
    """2, 8 and 32 processors start and are interrupted."""
    unit("cpu/engine_smp_test")


def test_bus():
    """Memory map, strings of port I/O, interrupts, time: between the engine and the machine."""
    unit("cpu/engine_bus_test")


def boot(name):
    """A test of boot_test.py, under this engine; nested.py has made its media."""
    def fn():
        p = subprocess.run([sys.executable, os.path.join(HERE, "boot_test.py"), name], stdout=subprocess.PIPE, text=True,
                           stderr=None if os.environ.get("LODGE_TEST_ECHO") else subprocess.STDOUT,
                           env=dict(os.environ, CPUTEST_FX="1", CPUTEST_GROUPS=os.environ.get("CPUTEST_GROUPS", CPU_GROUPS), LODGE_TEST_NO_DR7="1", LODGE_TEST_EM="766", LODGE_TEST_IGNORE="fpu__init_system_xstate|Call Trace"))
        line = re.search(r"^(not )?ok 1 - .*", p.stdout, re.M)
        check(p.returncode == 0 and line and not line[1], p.stdout)
        if "# SKIP" in line[0]:
            raise Skip(line[0].split("# SKIP ")[1])
    return fn


OWN = [("engines", test_engines), ("state", test_state), ("debug", test_debug), ("many", test_many), ("bus", test_bus), ("cloud-2", test_cloud_2), ("cloud-1", test_cloud_1), ("686", test_686), ("switch", test_switch)]
TESTS = OWN + [(name, boot(name)) for name, _ in BOOT]


def chosen(patterns, everything):
    quick = [n for n, _ in OWN] + [n for n, q in BOOT if q]
    return [t for t in TESTS if (any(fnmatch.fnmatch(t[0], p) for p in patterns) if patterns else everything or t[0] in quick)]


def limit_of(name):
    """Seconds that a test may take: many times what it takes on a quiet machine, because other work may come in the middle of it."""
    return float(os.environ.get("LODGE_VT_LIMIT", 420 if name in dict(OWN) or dict(BOOT)[name] else 2400))


def session(sid):
    """Processes of a session, with what their threads wait for."""
    out = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(p)) == sid:
                out[int(p)] = ["%s %s %s %s" % (t, *(open("/proc/%s/task/%s/%s" % (p, t, f)).read().strip() for f in ("comm", "wchan", "syscall")))
                               for t in os.listdir("/proc/%s/task" % p)]
        except OSError:
            pass
    return out


def bounded(name, fn):
    """Runs a test in a process of its own, for a limited time. The first word of its TAP line, and why it failed or was left out."""
    limit = limit_of(name)
    r, w = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        os.setsid()

        def late(signum, frame):
            raise GuestError("stood still: %d s have passed, and the outer guest lives\n%s%s" % (
                limit, "".join(traceback.format_stack(frame)[-4:]), "".join(g.tail() for g in guest._running)))
        signal.signal(signal.SIGALRM, late)
        signal.alarm(int(limit))
        try:
            fn()
            signal.alarm(0)
            word, text = "ok", ""
        except Skip as e:
            word, text = "ok", str(e)
        except GuestError as e:
            word, text = "not ok", str(e)
        except BaseException:
            word, text = "not ok", traceback.format_exc()
        with open(w, "w", errors="replace") as f:
            f.write(word + "\n" + text)
        sys.stdout.flush()
        os._exit(0)
    os.close(w)
    got, end = b"", time.monotonic() + limit + 30
    while time.monotonic() < end:
        if select.select([r], [], [], 1)[0]:
            data = os.read(r, 65536)
            if not data:
                break
            got += data
    else:  # it did not even end when it was told to
        for lines in session(pid).values():
            got += b"".join(b"thread %s\n" % s.encode() for s in lines)
        got = b"not ok\nstood still: %d s have passed, and the outer guest lives\n" % limit + got
    os.close(r)
    for _ in range(100):  # also what a test forgot
        here = session(pid)
        if not here:
            break
        for p in here:
            try:
                os.kill(p, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
            except OSError:
                pass
        time.sleep(0.3)
    else:  # only the kernel can keep a process from dying
        print("OUTER-STUCK %s: the outer guest's kernel does not end processes: %s" % (name, here), flush=True)
        time.sleep(600)
    word, _, text = (got or b"not ok\nthe test's process died").decode(errors="replace").partition("\n")
    return word, text


def kernel_says(since):
    """What the outer guest's kernel, whose KVM this is, has said since then: an error in it ends a processor's thread and nothing else."""
    p = subprocess.run(["dmesg"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = [s for s in p.stdout.split("\n") if re.match(r"\[ *[\d.]+\]", s) and float(s[1:s.index("]")]) >= since]
    return "".join("\n" + s for s in ["--- the outer guest's kernel, %d lines:" % len(lines)] + lines[:50])


def main():
    patterns = []
    everything, part = "--all" in sys.argv, None
    for a in sys.argv[1:]:
        if "=" in a:
            name, path = a.split("=", 1)
            MEDIA[name] = path
        elif a.startswith("--bench-"):
            part = a[8:]
        elif a != "--all":
            patterns.append(a)
    if part:
        import nested_bench
        return nested_bench.main(MEDIA, part)
    tests = chosen(patterns, everything)
    print("1..%d" % len(tests), flush=True)
    failed, end = False, T0 + float(os.environ.get("LODGE_VT_SECONDS", "inf"))
    for i, (name, fn) in enumerate(tests):
        start, boot_time = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
        line, text = bounded(name, fn) if start < end - LAST_START else ("ok", "too little time is left: this machine is busy or slow")
        if line == "not ok":
            failed = True
            text = text.rstrip() + kernel_says(boot_time)
        elif text:
            name, text = "%s # SKIP %s" % (name, text), ""
        with OUT:
            print("%s %d - vt %s (%d s)" % (line, i + 1, name, time.monotonic() - start), flush=True)
            for s in text.rstrip().split("\n") if text else ():
                print("# " + s, flush=True)
        if failed:
            break
    print("# %d s in the outer guest" % (time.monotonic() - T0), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
