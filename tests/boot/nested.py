#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hardware virtualization tested for real, on any machine: QEMU's TCG emulates an AMD processor with SVM and nested paging, a
Debian kernel in it loads kvm_amd and so has a true /dev/kvm, and inside of that lodge-vmx runs guests with the "hardware" engine.

usage: nested.py [--bench [exits|times]] [--all] [--list] [--kvm-options "enable_vmware_backdoor=1"] [--cpus N] [--shell COMMAND] [NAME-PATTERN ...]

Prints the TAP of nested_inner.py, which runs in the outer guest. That sees this machine's files, read-only below a tmpfs
(9p and overlayfs), so nothing is installed or copied. Guests' media are made here, where it is quick. LODGE_TEST_KEEP
names a directory for the outer guest's console; LODGE_NESTED_LIMIT is the time limit in seconds (default 1500; 7200 with --all).

QEMU's TCG (7.2) with several threads is not a reliable processor. It may go on executing code that another processor has changed; and a
guest may hang with its RIP lost: after an exit for an interrupt window the VMCB has the address behind the host's own VMRUN in its place
(__svm_vcpu_run + 9Ch in the trace of kvm_exit), and the same exit comes again for ever. Neither can be avoided from inside. So a test
that fails ends the outer guest and is run once more in one that is started anew, with the tests that come after it. What passes then is
"ok", and its line says that it failed once; the lines about the failure stand before it as comments. What fails in both, or is left no
time for the second, is "not ok".

That TCG also loses interrupts: VMRUN and an exit change a bit of the word of pending requests without the lock that others hold who
set theirs, so that a processor may sleep in HLT with an interrupt waiting. The next one wakes it; so a machine that is silent for some
seconds gets one (poke). A line says how often.

A test that hangs fails after its own time limit. When the emulated machine itself stands still (nested_beat.py) or QEMU dies, it is
started anew, with one processor, where none of this happens, for the tests that have not been reported; what it cannot get through in three starts is skipped, with the reason. So are
tests for which too little time is left before the limit: on a busy machine the first ones count.
"""
import argparse
import glob
import os
import re
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import boot_test  # noqa: E402
import nested_bench  # noqa: E402
import nested_inner  # noqa: E402
from guest import HERE, SRC, GuestError, _die_with_parent, fetch, find_lodge, kernel_of  # noqa: E402

PASS = ["LODGE_SLOW", "LODGE_TEST_ECHO", "LODGE_DEBUG", "LODGE_VT_LIMIT", "CPUTEST_GROUPS", "CPUTEST_DETAILS", "LODGE_SWITCHES", "LODGE_SEED", "LODGE_BENCH_ROUNDS", "LODGE_BENCH_BOOTS", "LODGE_BENCH_TRACE", "LODGE_BENCH_RUNNERS", "LODGE_TRIPS", "LODGE_DMESG"]  # what the inner script may be told
STARTS = 3  # of the outer guest, when it stands still
START_AND_END = 60  # seconds of the outer guest itself, before and after the tests
BEAT_LIMIT, BOOT_LIMIT = 60, 240  # seconds without a beat, and until the first one
POKE_AFTER = 4  # seconds without one
MODULES = ["kvm_amd", "9p", "9pnet_virtio", "virtio_pci", "overlay"]

OUTER_INIT = r"""#!/bin/sh
. /lib/setup
dmesg -n 1
echo 1 >/proc/irq/4/smp_affinity; echo 2 >/proc/irq/3/smp_affinity 2>/dev/null  # nested.py: poke
mkdir -p /host /rw /root
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /host &&
mount -t tmpfs tmpfs /rw && mkdir /rw/up /rw/work &&
mount -t overlay -o lowerdir=/host,upperdir=/rw/up,workdir=/rw/work overlay /root || {
    echo "OUTER-FAILED the outer guest does not see this machine's files" >/dev/ttyS1; poweroff -f; }
for d in proc sys dev; do mount --bind /$d /root/$d; done
for d in /run /dev/shm; do mkdir -p /root$d; mount -t tmpfs tmpfs /root$d; done
# The directory of the media may be on a file system that /host does not show.
ifconfig lo 127.0.0.1 up
cp /run.sh /root/run/run.sh
[ -e /dev/kvm ] || { echo "OUTER-FAILED no /dev/kvm: $(dmesg | grep -i kvm | tail -n 1)" >/dev/ttyS1; poweroff -f; }
echo "OUTER-UP $(cut -d' ' -f1 /proc/uptime)" >/dev/ttyS1
stty -F /dev/ttyS1 raw -echo 2>/dev/null
chroot /root /usr/bin/env python3 @HERE@/nested_beat.py >/dev/ttyS1 2>&1 </dev/null &
chroot /root /bin/sh /run/run.sh >/dev/ttyS1 2>&1 </dev/null
echo "OUTER-END $?" >/dev/ttyS1
dmesg | tail -n 30
poweroff -f
"""

GUEST_INIT = r"""
mount -r -t iso9660 /dev/sr0 /root && echo "SUM $(sha256sum </root/data.bin | cut -d' ' -f1)"
umount /root
echo "USERLAND $(uname -m) cpus $(grep -c ^processor /proc/cpuinfo) virt $(dmesg | grep -c 'Hypervisor detected: VMware')"
echo "CLOCK $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
t=$(date +%s); sleep 2; echo "SLEPT $(($(date +%s) - t))"
echo "TIMER $(grep -E '^ *0:|LOC:' /proc/interrupts | tr -s ' ' | tr '\n' ';')"
bdoor && echo BACKDOOR || echo NO-BACKDOOR
dmesg | grep -E 'BUG|WARNING|Call Trace|soft lockup|clocksource.*unstable|nobody cared|invalid opcode|segfault' | sed 's/^/COMPLAINT /'
echo "ready"
while read -r line; do
    case $line in
    off) poweroff -f ;;
    complaints) dmesg | grep -E 'BUG|Call Trace|soft lockup|invalid opcode|segfault|unstable' | sed 's/^/COMPLAINT /'; echo CMD-END ;;
    *) $line; echo "CMD-END" ;;
    esac
done
"""

# IN EAX, DX from the VMware port at CPL 3; the guest's kernel kills a program whose IN is not intercepted.
BDOOR_C = r"""
int main(void)
{
    unsigned a = 0x564d5868, b = 0, c = 10, d = 0x5658;
    __asm__ volatile("inl %%dx, %%eax" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
    return !(b == 0x564d5868 && a == 6);
}
"""


def compile_static(work, name, source, *libs):
    prog = os.path.join(work, name)
    boot_test.run(os.environ.get("CC", "gcc"), "-O2", "-static", "-o", prog, source, *libs)
    return prog


def make_media(work, names):
    """ISO images by name; the inner script knows what to expect of them."""
    data = boot_test.write(os.path.join(work, "data.bin"), boot_test.random.Random(1).randbytes(2 << 20))
    check = compile_static(work, "selfcheck", HERE + "/selfcheck.c", "-lm")
    bdoor = compile_static(work, "bdoor", boot_test.write(os.path.join(work, "bdoor.c"), BDOOR_C))
    exits = compile_static(work, "exits", os.path.join(SRC, "tests/bench/exits.c"))
    out = {"data": data}
    kernels = {"cloud": ("cloud", "console=ttyS0 quiet"), "686": ("686", "console=ttyS0 quiet acpi=off noapic")}
    # 686: switching ACPI on is an SMI, and after KVM's RSM the task register's type is "busy", which QEMU's TCG (7.2) takes for an
    # error of its own when a 32-bit program is interrupted. Without the IOAPIC all interrupts come through the PIC.
    for name in names:
        kernel, args = kernels[name]
        d = os.path.join(work, name)
        os.mkdir(d)
        files = []
        if boot_test.KERNELS[kernel][1] == "amd64":
            files = [check + "=bin/selfcheck", bdoor + "=bin/bdoor", exits + "=bin/exits"]
        out[name] = boot_test.linux_iso(d, kernel, GUEST_INIT, args=args, modules=boot_test.KERNELS[kernel][2] + ["msr"] * (name == "cloud"), files=files, on_cd=[data + "=data.bin"])
    return out


def outer_initrd(work, pkg, script):
    init = boot_test.write(os.path.join(work, "outer-init"), OUTER_INIT.replace("@HERE@", shlex.quote(HERE)))
    run = boot_test.write(os.path.join(work, "run.sh"), script)
    initrd = os.path.join(work, "outer-initrd")
    args = []
    for m in MODULES:
        args += ["-m", m]
    boot_test.run(HERE + "/mkinitrd.sh", "-k", pkg, *args, "-i", init, initrd, run + "=run.sh")
    return initrd


def why_not():
    """A reason to skip, or None."""
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        return "qemu-system-x86_64 is not installed"
    if "virtfs" not in subprocess.run([qemu, "-help"], stdout=subprocess.PIPE, text=True).stdout:
        return "this QEMU has no 9p (virtfs)"
    with open("/proc/meminfo") as f:
        free = int(next(line for line in f if line.startswith("MemAvailable")).split()[1])
    if free < 3 << 20:
        return "the outer guest needs 3 GiB of free memory"
    if not find_lodge():
        return "lodge-vmx is not built"
    return None


class StoodStill(Exception):
    """The emulated machine, not a program in it; or QEMU died."""


def delays(pid):
    """Seconds that each thread has waited for a processor of this computer, by its id."""
    out = {}
    for task in glob.glob("/proc/%d/task/*/schedstat" % pid):
        try:
            with open(task) as f:
                out[task] = int(f.read().split()[1]) / 1e9
        except (OSError, IndexError):
            pass
    return out


class Beats:
    """What nested_beat.py says on the outer guest's console. Time in which this computer had something else to do is no silence."""

    def __init__(self, console, cpus, pid):
        self.console, self.at, self.rest, self.pid, self.delays = console, 0, b"", pid, delays(pid)
        self.last = {cpu: time.monotonic() + BOOT_LIMIT - BEAT_LIMIT for cpu in range(cpus)}
        self.began = False

    def look(self):
        """The longest silence of a processor, in seconds; and when it is too long, a sentence."""
        try:
            with open(self.console, "rb") as f:
                f.seek(self.at)
                data = f.read()
        except FileNotFoundError:
            data = b""
        self.at += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        now, waited = time.monotonic(), delays(self.pid)
        held = max((t - self.delays.get(task, t) for task, t in waited.items()), default=0)
        self.delays, self.last = waited, {cpu: max(t, min(now, t + held)) for cpu, t in self.last.items()}
        for m in re.finditer(rb"OUTER-BEAT (\d+)", b"\n".join(lines)):
            self.last[int(m[1])] = now
            self.began = True
        silent = sorted(cpu for cpu, t in self.last.items() if now - t > BEAT_LIMIT)
        text = "no beat of its processor %s for %d s" % (", ".join(map(str, silent)), BEAT_LIMIT) if silent else None
        return max(now - t for t in self.last.values()) if self.began else 0, text


def poke(port, p):
    """A character for each of the outer guest's serial ports: an interrupt for each of its first two processors. Whether one was sent."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(2)
            s.connect(port)
            s.sendall(b"\n")
        os.write(p.stdin.fileno(), b"\n")
        return True
    except OSError:
        return False


def registers(monitor):
    """Where the outer guest's processors are, for the log; from QEMU's monitor."""
    out = b""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(2)
            s.connect(monitor)
            s.sendall(b"info registers -a\ninfo lapic 0\ninfo lapic 1\ninfo cpus\n")
            while out.count(b"(qemu)") < 6:
                data = s.recv(65536)
                if not data:
                    break
                out += data
    except OSError:
        pass
    return re.findall(r"^(CPU#\d+|RIP=\S+ RFL=\S+.*|CR0=.*|LVT.*|ICR.*|ESR.*|Timer.*|ISR.*|IRR.*|SPIV.*|.*CPU #.*)", out.decode(errors="replace").replace("\r", ""), re.M)


def outer(work, pkg, script, cpus, limit, line, counted=False):
    """Runs a shell script in the outer guest; line(text) gets what it prints. counted: its clock counts instructions, one a nanosecond. Returns
    its exit status, or a text."""
    initrd = outer_initrd(work, pkg, script)
    console, monitor, port = (os.path.join(work, name) for name in ("console", "monitor", "port"))
    for f in (console, monitor, port):
        if os.path.exists(f):
            os.unlink(f)
    accel = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"] if counted else ["-accel", "tcg,thread=multi"]
    cmd = ["qemu-system-x86_64", *accel, "-cpu", "max", "-smp", str(cpus), "-m", "2560", "-display", "none", "-nodefaults",
           "-no-reboot", "-chardev", "socket,id=port,server=on,wait=off,path=%s,logfile=%s" % (port, console), "-serial", "chardev:port", "-serial", "stdio", "-monitor", "unix:%s,server=on,wait=off" % monitor,
           "-kernel", kernel_of(pkg), "-initrd", initrd,
           "-append", "console=ttyS0 quiet mitigations=off %s" % os.environ.get("LODGE_NESTED_ARGS", ""),
           "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    p = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)
    end, buf, result, beats, ending = time.monotonic() + limit, b"", None, Beats(console, cpus, p.pid), 10
    pokes, next_poke = 0, 0
    try:
        while result is None:
            if time.monotonic() > end:
                ending = 0
                return "the outer guest did not end within %d s" % limit
            quiet, silent = beats.look()
            if not counted and quiet > POKE_AFTER and time.monotonic() > next_poke:
                next_poke = time.monotonic() + POKE_AFTER
                pokes += poke(port, p)
            if silent and not counted:
                ending = 0
                for text in registers(monitor):
                    line("# " + text)
                raise StoodStill(silent)
            if not select.select([p.stdout], [], [], 1)[0]:
                continue
            data = os.read(p.stdout.fileno(), 65536)
            if not data:
                break
            buf += data
            *lines, buf = buf.split(b"\n")
            for text in (s.decode(errors="replace").rstrip("\r") for s in lines):
                if text.startswith("OUTER-END "):
                    result = int(text.split()[1])
                elif text.startswith("OUTER-FAILED "):
                    result = text[13:]
                elif text.startswith("OUTER-STUCK "):
                    ending = 0
                    raise StoodStill(text[12:])
                elif not text.startswith(("OUTER-UP", "OUTER-HELD")):
                    line(text)
        if result is not None:
            return result
        p.wait(10)
        if p.returncode < 0:
            raise StoodStill("QEMU died of signal %d; its last words: %s" % (-p.returncode, buf.decode(errors="replace").strip()))
        # It has no reason to: its kernel has died of the processor, too, and QEMU does not start it again (-no-reboot).
        raise StoodStill("the outer guest ended early; its last words: %s" % buf.decode(errors="replace").strip())
    finally:
        if pokes:
            line("# the emulated machine was silent for more than %d s and got an interrupt, %d times" % (POKE_AFTER, pokes))
        try:
            p.wait(ending)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
        if os.environ.get("LODGE_TEST_KEEP") and os.path.exists(console):
            os.makedirs(os.environ["LODGE_TEST_KEEP"], exist_ok=True)
            shutil.copy(console, os.path.join(os.environ["LODGE_TEST_KEEP"], "nested.console"))


class Tap:
    """One TAP stream of the tests of one or several outer guests: the numbers of the lines, and what is still to be done."""

    def __init__(self, tests):
        self.tests, self.done, self.failed = tests, [], 0
        self.once = {}  # what failed once and is to be run again: the text of its line
        if tests:
            print("1..%d" % len(tests), flush=True)

    def left(self):
        return [t for t in self.tests if t not in self.done]

    def report(self, name, ok, text):
        self.done.append(name)
        self.failed += not ok
        print("%s %d - vt %s" % ("ok" if ok else "not ok", len(self.done), text), flush=True)

    def result(self, name, ok, text):
        if name not in self.once:
            if ok:
                self.report(name, True, text)
            else:
                self.once[name] = text
                print("# vt %s: failed, and is run again in a new emulated machine" % text, flush=True)
        elif not ok:
            self.report(name, False, text + ", failed twice")
        elif " # SKIP" in text:
            self.give_up(name)
        else:
            self.report(name, True, text + " # failed once in the emulated machine, passed in a new one")

    def give_up(self, name):
        self.report(name, False, self.once[name] + ", could not be run again")

    def line(self, text):
        m = re.match(r"(not )?ok \d+ - vt ((\S+).*)", text)
        if m and m[3] in self.left():
            self.result(m[3], not m[1], m[2])
        elif not (self.tests and re.match(r"1\.\.\d+$", text)):
            print(text, flush=True)


def run_all(work, pkg, script, cpus, limit, tap, counted=False):
    """script(tests, seconds) is what the outer guest shall run. Returns an exit status, or a text that says what went wrong."""
    end, stood, result, why = time.monotonic() + limit, 0, None, "the outer QEMU stood still or died"
    while stood < STARTS:
        left, before = end - time.monotonic(), (len(tap.done), len(tap.once))
        try:
            result = outer(work, pkg, script(tap.left(), left), 1 if stood else cpus, left, tap.line, counted)
        except StoodStill as e:
            stood, result = stood + 1, None
            print("# the emulated machine stood still or died, at start %d of %d: %s" % (stood, STARTS, e), flush=True)
            continue
        if result != 1 or not tap.left() or before == (len(tap.done), len(tap.once)):
            break
        if end - time.monotonic() < nested_inner.LAST_START + START_AND_END:
            result, why = None, "too little time is left: this machine is busy or slow"
            break
    if not isinstance(result, int) and stood and time.monotonic() >= end:
        result = None  # the time went where the machine stood still; what hangs by itself has its own, shorter limit
    if not tap.tests:
        return "the outer QEMU stood still or died %d times" % stood if result is None else result
    for name in tap.left():
        if name in tap.once:
            tap.give_up(name)
        elif result is None:
            tap.report(name, True, "%s # SKIP %s" % (name, why))
    return (1 if tap.failed else 0) if result is None else result


def bench(work, pkg, script, part, limit, tap):
    """Exits where the clock counts instructions: what else this computer does is not in there. Times where it does not."""
    result = 0
    for name in nested_bench.PARTS if part == "all" else [part]:
        result = run_all(work, pkg, lambda names, seconds: script(names, seconds, name), 1, limit, tap, name == "exits") or result
    return result


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bench", nargs="?", const="all", choices=["all", *nested_bench.PARTS], help="the tables beside QEMU's KVM, or one of them")
    ap.add_argument("--all", action="store_true", help="the long tests too")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--kvm-options", default="", help="parameters of the module kvm in the outer guest")
    ap.add_argument("--cpus", type=int, help="of the outer guest; default 2, and always 1 for --bench")
    ap.add_argument("--shell", help="run this in the outer guest in place of the tests")
    ap.add_argument("names", nargs="*")
    opt = ap.parse_args()
    tests = [] if opt.bench or opt.shell else [t[0] for t in nested_inner.chosen(opt.names, opt.all)]
    if opt.list:
        print("\n".join(tests))
        return 0
    reason = why_not()
    if reason:
        print("ok 1 - VT in a nested guest # SKIP " + reason)
        return 0
    limit = float(os.environ.get("LODGE_NESTED_LIMIT", "7200" if opt.all else "1500"))
    options = opt.kvm_options or os.environ.get("LODGE_NESTED_KVM", "enable_vmware_backdoor=1")
    os.environ["LODGE_NESTED_ARGS"] = " ".join("kvm." + o for o in options.split())
    with tempfile.TemporaryDirectory(prefix="lodge-nested.", dir=os.environ.get("TMPDIR") or "/tmp") as work:
        os.chmod(work, 0o755)
        try:
            pkg = fetch("linux-image-amd64")[0]
            if opt.shell:
                def script(names, seconds):
                    return opt.shell
            else:
                own = [n for n, _ in nested_inner.OWN if n in tests and n not in ("engines", "state", "debug", "many", "bus")]
                media = make_media(work, ["cloud"] if opt.bench else (["cloud"] if set(own) - {"686"} else []) + ["686"] * ("686" in own))
                boots = [t for t in tests if t in dict(nested_inner.BOOT)]
                os.mkdir(os.path.join(work, "media"))
                if boots:
                    made = subprocess.run([sys.executable, HERE + "/boot_test.py", "--prepare", *boots], stdout=subprocess.PIPE, text=True,
                                          env=dict(os.environ, LODGE_MEDIA=os.path.join(work, "media")))
                    if made.returncode == boot_test.NOT_PREPARED:
                        print("not ok 1 - VT in a nested guest: " + "; ".join(made.stdout.splitlines()))
                        return 1
                    made.check_returncode()
                env = {"LODGE_MEDIA": os.path.join(work, "media"), "LODGE_VMX": find_lodge(), "HOME": "/root"}
                env.update((k, os.environ[k]) for k in PASS if k in os.environ)
                inner = ["python3", HERE + "/nested_inner.py"] + ["%s=%s" % (k, v) for k, v in media.items() if v]

                def script(names, seconds, part=None):
                    return "cd %s\nexport %s PATH=$PATH:/usr/sbin:/sbin LODGE_VT_SECONDS=%d\nexec %s\n" % (
                        shlex.quote(work), " ".join("%s=%s" % (k, shlex.quote(v)) for k, v in env.items()), seconds - START_AND_END, " ".join(map(shlex.quote, inner + ["--bench-%s" % part] * bool(part) + names)))
        except (subprocess.CalledProcessError, OSError, IndexError) as e:
            print("ok 1 - VT in a nested guest # SKIP its media cannot be made (%s)" % str(e).splitlines()[0])
            return 0
        tap = Tap(tests)
        if opt.bench:
            result = bench(work, pkg, script, opt.bench, limit, tap)
        else:
            result = run_all(work, pkg, script, opt.cpus or 2, limit, tap)
    if result != 0 and not tap.failed:
        print("not ok %d - vt: %s" % (len(tap.done) + 1, "exit status %d" % result if isinstance(result, int) else result))
    return 1 if tap.failed or result != 0 else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GuestError as err:
        print("not ok 99 - VT in a nested guest: %s" % err)
        sys.exit(1)
