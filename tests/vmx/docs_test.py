#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of README.md and docs/control-api.md do what is written, as they are printed: each line of their shell blocks runs in a shell, with
lodge-vmx in the PATH and the files that they name, and must succeed and answer what is expected here. A line that this test does not know fails.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from probe import HERE, build, cd, disk, find_lodge, free_port, ok, plan

SRC = os.path.join(HERE, "..", "..")
NO_ENGINE = r"org\.lodge\.Error\.\w+: .*"       # no hardware virtualization here

# Line of the documents -> (what it answers, the machine's state before it). Ends of lines that are comments are left out.
KNOWN = {
    "ADDR=$(lodge-vmx --address debian.vmx)": (r"", None),
    "lodge-vmx debian.vmx &": (r"", None),
    "vm() { ": (r"", None),
    "prop() { ": (r"", None),
    "vm Pause": (r"\(\)", "on"),
    "vm Resume": (r"\(\)", "paused"),
    "vm Reset": (r"\(\)", "on"),
    "vm SoftOff 60 true": (r"\(\)", "on"),
    "vm SwitchEngine hardware": (r"\(\)|.*" + NO_ENGINE, "on"),
    "vm PowerOff": (r"\(\)", "on"),
    "prop State": (r"\(<'on'>,\)", "on"),
    "prop Engine": (r"\(<'bt'>,\)", "on"),
    "prop VncAddress": (r"\(<'127\.0\.0\.1:\d+'>,\)", "on"),
    "gdbus monitor ": (r"Monitoring signals.*", "on"),
    "vm PressKeys ": (r"\(\)", "on"),
    "vm TypeText ": (r"\(\)", "on"),
    "vm Key 4 true && vm Key 4 false": (r"\(\)\n\(\)", "on"),
    "vm PointerTo 32768 32768": (r"\(\)", "on"),
    "vm PointerButton 0 true && vm PointerButton 0 false": (r"\(\)\n\(\)", "on"),
    "vm GetNetworks": (r".*'type': <?'nat'.*", "on"),
    "vm ConnectNetwork 0 false": (r"\(\)", "on"),
    "vm ChangeNetwork 0 ": (r"\(\)", "on"),
    "vm AddForward 0 ": (r"\(\)", "on"),
    "vm RemoveForward 0 ": (r"\(\)", "on"),
    "vm CaptureNetwork 0 ": (r"\(\)", "on"),
    "vm ShapeNetwork 0 ": (r"\(\)", "on"),
    "vm ChangeMedium ": (r"\(\)", "on"),
    "prop Media": (r"\(<\{'ide1:0': '[^']*'\}>,\)", "on"),
    "vm GetConfig": (r".*'memsize': '32'.*", "on"),
    "vm SetConfig memsize 1024": (r"\(\)", "on"),
    "vm UnsetConfig annotation": (r"\(\)", "on"),
    "vm CheckConfig": (r"\((@a\(suss\) )?\[.*\],\)", "on"),
    "vm GetStatistics": (r".*'memory\..*'balloon\..*|.*'balloon\..*'memory\..*", "on"),
    "vm SetBalloon 512": (r"\(\)|.*the guest runs no balloon driver.*", "on"),
}


def blocks(name, kind):
    with open(os.path.join(SRC, name)) as f:
        return [b.split("\n", 1)[1] for b in re.split(r"^```", f.read(), flags=re.M)[1::2] if b.split("\n", 1)[0] == kind]


class Shell:
    """bash that runs one line at a time and says how it ended."""

    def __init__(self, folder, env):
        self.p = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=env, text=True)
        self.run("set -o pipefail")

    def run(self, line):
        self.p.stdin.write(line + "\necho \"@@ $?\"\n")
        self.p.stdin.flush()
        out = ""
        while True:
            s = self.p.stdout.readline()
            m = re.fullmatch(r"(.*)@@ (\d+)\n", s)
            if not s or m:
                return (int(m[2]) if m else -1), (out + (m[1] if m else "")).strip()
            out += s


def main():
    if not find_lodge() or not os.path.exists("/usr/share/seabios/bios-256k.bin") or not shutil.which("gdbus"):
        print("1..0 # SKIP lodge-vmx, SeaBIOS or gdbus is not there")
        return 0
    work = tempfile.mkdtemp(prefix="lodge-docs.")
    env = dict(os.environ, PATH=os.path.dirname(find_lodge()) + ":" + os.environ["PATH"], XDG_RUNTIME_DIR=os.path.join(work, "run"))
    os.mkdir(env["XDG_RUNTIME_DIR"], 0o700)
    code = build(work)
    disk(os.path.join(work, "disk.img"), code)
    cd(os.path.join(work, "tools.iso"), code)
    text = ('.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "19"\nmemsize = "32"\nfloppy0.present = "FALSE"\nide0:0.present = "TRUE"\n'
            'monitor.virtual_exec = "software"\nide0:0.fileName = "disk.img"\nide1:0.present = "TRUE"\nide1:0.deviceType = "cdrom-raw"\nide1:0.fileName = "auto detect"\n'
            'ethernet0.present = "TRUE"\nethernet0.connectionType = "nat"\nethernet0.virtualDev = "e1000"\n'
            'RemoteDisplay.vnc.enabled = "TRUE"\nRemoteDisplay.vnc.ip = "127.0.0.1"\nRemoteDisplay.vnc.port = "%d"\n')
    for name in ("debian.vmx", "my.vmx"):
        with open(os.path.join(work, name), "w") as f:
            f.write(text % free_port())
    sh = Shell(work, env)

    def state():
        return sh.run("prop State")[1]

    def bring(want):
        if "'" not in state():
            sh.run("lodge-vmx debian.vmx >/dev/null 2>&1 &")
        for i in range(1200):
            s = state()
            if "'%s'" % want in s:
                return
            if want == "paused" and "'on'" in s:
                sh.run("vm Pause")
            elif want == "on" and "'paused'" in s:
                sh.run("vm Resume")
            elif "'" not in s and i % 20 == 19:
                sh.run("lodge-vmx debian.vmx >/dev/null 2>&1 &")
            time.sleep(0.1)
    lines = "".join(blocks("docs/control-api.md", "sh")).split("\n")
    # What defines vm and prop comes first, whatever section it stands in.
    for line in [s for s in lines if re.match(r"ADDR=|vm\(\)|prop\(\)", s)]:
        ok(sh.run(line)[0] == 0, line.split("{")[0])
    for line in lines:
        line = re.sub(r"\s+#.*", "", line)
        if not line or re.match(r"ADDR=|vm\(\)|prop\(\)", line):
            continue
        known = [k for k in KNOWN if line.startswith(k)]
        if not known:
            ok(False, line, "tests/vmx/docs_test.py does not know this line")
            continue
        want, before = KNOWN[max(known, key=len)]
        if line.endswith("&"):
            status, out = sh.run(line)
            bring("on")
            ok("'on'" in state(), line, state())
            continue
        bring(before)
        run = line.replace("/home/me/", work + "/")
        if line.startswith("gdbus monitor"):    # which goes on for ever
            for seconds in (1, 5, 20, 60):
                status, out = sh.run("timeout %d %s; [ $? = 124 ]" % (seconds, run))
                if out:
                    break
        else:
            status, out = sh.run(run)
        ok(re.fullmatch(want, out, re.S) and (status == 0 or re.search(NO_ENGINE, out)), line, "%d: %s" % (status, out))
    sh.run("vm PowerOff; wait")

    # --no-start, PowerOn and Quit, as the text says.
    sh.run("lodge-vmx --no-start debian.vmx >/dev/null 2>&1 &")
    for _ in range(1200):
        if "'off'" in state():
            break
        time.sleep(0.1)
    ok("'off'" in state() and sh.run("vm PowerOn") == (0, "()") and "'on'" in state(), "--no-start, PowerOn", state())
    address = sh.run("echo $ADDR")[1]
    for code in blocks("docs/control-api.md", "python"):
        r = subprocess.run(["/usr/bin/python3", "-c", "address = %r\n%s" % (address, code)], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with open(os.path.join(work, "screen.png"), "rb") as f:
            ok(r.returncode == 0 and f.read(8) == b"\x89PNG\r\n\x1a\n", "the example in Python makes a picture", r.stdout)
    ok(sh.run("vm PowerOff") == (0, "()") and "'off'" in state(), "PowerOff leaves the process", state())
    ok(sh.run("vm Quit; wait $!")[0] == 0, "Quit ends it")

    # README.md: the lines that name my.vmx, as they stand, in a folder that looks like the one where Lodge was built.
    for name in ("lodge-vmx", "lodge"):
        src = os.path.join(os.path.dirname(find_lodge()), name)
        if os.path.exists(src):
            os.symlink(src, os.path.join(work, name))
    for line in "".join(blocks("README.md", "")).split("\n"):
        line = re.sub(r"\s+#.*", "", line)
        if "my.vmx" not in line or line.startswith("./lodge "):
            continue
        status, out = sh.run(line + (" >/dev/null 2>&1 &" if line == "./lodge-vmx my.vmx" else ""))
        if line == "./lodge-vmx my.vmx":
            for _ in range(1200):
                if "<'on'>" in sh.run("gdbus call --address $(lodge-vmx --address my.vmx) --dest org.lodge.Vm1 --object-path /org/lodge/Vm1 --method "
                                      "org.freedesktop.DBus.Properties.Get org.lodge.Vm1 State")[1]:
                    break
                time.sleep(0.1)
        ok(status == 0 and (out == "()" or "gdbus" not in line), "README: " + line, out)
    status, out = sh.run("wait")
    ok(status == 0, "README: the machine has ended", out)
    sh.p.stdin.close()
    sh.p.wait()
    shutil.rmtree(work, ignore_errors=True)
    plan()
    return 0


if __name__ == "__main__":
    sys.exit(main())
