#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A real machine whose guest fills a 1920x1080 screen 60 times a second, seen through the console: frames a second, and what the window, the X
server and the machine need for it."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "vmx"))
import probe  # noqa: E402

if not probe.find_lodge():
    sys.exit("lodge-vmx is not built")
g = probe.Guest("frames", mem=32, runner="lodge", keys={"svga.vramSize": 16 << 20})
g.disk = probe.disk(os.path.join(g.dir, "frames.img"), probe.build(g.dir, os.path.join(HERE, "frameguest.c")))
with g:
    g.expect(r"FRAMES\n", 60)
    address = subprocess.run([probe.find_lodge(), "--address", g.vmx], capture_output=True, text=True, check=True).stdout.strip()
    r = subprocess.run([os.path.join(HERE, "xvfb.sh"), "tests/ui/mks_bench", address, str(g.proc.pid)], env=dict(os.environ, SCREEN="1920x1080x24"))
sys.exit(r.returncode)
