# SPDX-License-Identifier: GPL-2.0-or-later
"""./quickstart as a user starts it: in a terminal, and with commands from a pipe. Part of boot_test.py."""
import os
import pty
import re
import select
import signal
import subprocess
import time

from boot_test import CACHE, RUNNER, SRC, Skip, check, fetch, find_lodge, test


def tree(work):
    """A source folder that is not configured, with this build as its build folder, and a cache folder with the packages that are there already."""
    if RUNNER == "qemu":
        raise Skip("quickstart starts Lodge")
    fetch("linux-image-cloud-amd64", "busybox-static")
    src, cache = os.path.join(work, "src"), os.path.join(work, "cache")
    os.makedirs(src)
    os.makedirs(cache)
    for name in ("quickstart", "tests", "tools", "configure", "configure.ac"):
        os.symlink(os.path.join(SRC, name), os.path.join(src, name))
    os.symlink(os.path.dirname(find_lodge()), os.path.join(src, "build"))
    for name in ("pkg", "apt"):
        os.symlink(os.path.join(CACHE, name), os.path.join(cache, name))
    env = dict(os.environ, LODGE_CACHE=cache)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MAKEFLAGS", "MFLAGS"):
        env.pop(name, None)
    return src, env


class Terminal:
    def __init__(self, src, env):
        self.text, self.pos = b"", 0
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(src)
            os.execve("./quickstart", ["./quickstart"], env)

    def expect(self, pattern, timeout):
        end = time.monotonic() + timeout
        while True:
            m = re.compile(pattern).search(self.text, self.pos)
            if m:
                self.pos = m.end()
                return
            check(time.monotonic() < end, "no %s in the terminal; it shows\n%s" % (pattern, self.text[-2000:].decode(errors="replace")))
            if select.select([self.fd], [], [], 0.5)[0]:
                try:
                    self.text += os.read(self.fd, 4096)
                except OSError:
                    check(re.compile(pattern).search(self.text, self.pos), "quickstart ended:\n" + self.text[-2000:].decode(errors="replace"))

    def type(self, what):
        os.write(self.fd, what)

    def status(self):
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def __enter__(self):
        return self

    def __exit__(self, *a):
        os.close(self.fd)  # hangs up: quickstart and the machine end
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)


@test(quick=True)
def test_quickstart(work):
    """The demo: commands reach the guest's shell and their output comes back, Ctrl-C is the guest's, both ways out end it in order; a pipe does too."""
    src, env = tree(work)
    for last in (b"\x1d", b"poweroff\n"):
        t0 = time.monotonic()
        with Terminal(src, env) as t:
            t.expect(rb"Welcome to the Lodge demo: Linux", 120)
            t.expect(rb"/ # ", 30)
            print("# the shell after %.1f s" % (time.monotonic() - t0), flush=True)
            t.type(b"echo answer $((6 * 7)) $(uname -m)\n")
            t.expect(rb"\nanswer 42 x86_64\r\n", 20)
            t.expect(rb"/ # ", 20)
            t.type(b"echo wait; sleep 1000\n")
            t.expect(rb"\nwait\r\n", 20)
            t.type(b"\x03")
            t.expect(rb"\^C", 20)
            t.expect(rb"/ # ", 20)  # what is typed before it is dropped
            t.type(b"echo status $?\n")
            t.expect(rb"\nstatus 130\r\n", 20)
            t.type(last)
            t.expect(rb"The VM is off \(lodge-vmx ended with status 0\)", 60)
            check(t.status() == 0, "exit status")
    p = subprocess.run(["./quickstart"], cwd=src, env=env, input=b"echo answer $((6 * 7))\npoweroff\n", stdout=subprocess.PIPE, timeout=180)
    check(b"\nanswer 42\r\n" in p.stdout, "commands of a pipe do not arrive:\n" + p.stdout[-2000:].decode(errors="replace"))
    check(p.returncode == 0, "exit status %d with a pipe" % p.returncode)
