#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What memory thrift gives and costs: runs the tests that measure it and prints their figures as a table, with the goal beside. "make bench-memory".

16 minutes on two cores. The four guests that share pages are idle for five of them; what measures only times and MiB runs beside them. What measures
processor time runs alone. Arguments: names of tests, as boot_test.py takes them, to run only those.
"""
import os
import signal
import subprocess
import sys
import threading
import time

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAGES = [[["memory-four"], ["memory-trim-1", "memory-free-1-amd64", "memory-balloon-1-amd64"]], [["memory-cost", "memory-busy-cost"]]]
rows, missed, lock, running = [], [], threading.Lock(), []


def group(names):
    p = subprocess.Popen([os.path.join(SRC, "tests/boot/boot_test.py"), "--set", "all", *names], stdout=subprocess.PIPE, text=True)
    with lock:
        running.append(p)
    for line in p.stdout:
        with lock:
            if line.startswith("# FIGURE "):
                rows.append([s.strip() for s in line[9:].split("|")])
                continue
            if line.startswith("not ok"):
                missed.append(line.strip())
            print(line, end="", flush=True)
    if p.wait():
        with lock:
            missed.append("%s: status %d" % (" ".join(names), p.returncode))


def main():
    signal.signal(signal.SIGTERM, lambda n, f: sys.exit(1))
    start, only = time.monotonic(), sys.argv[1:]
    try:
        for stage in STAGES if not only else [[only]]:
            threads = [threading.Thread(target=group, args=(names,), daemon=True) for names in stage]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
    finally:
        for p in running: # ended early: no test is left behind
            if p.poll() is None:
                p.terminate()
    if rows:
        widths = [max(len(r[i]) for r in rows + [["what", "measured", "goal", ""]]) for i in range(3)]
        print()
        for r in [["what", "measured", "goal", ""], ["-" * w for w in widths] + [""]] + rows:
            print("  ".join(c.ljust(w) for c, w in zip(r, widths + [0])).rstrip())
    print("\n%d figures in %d minutes%s" % (len(rows), (time.monotonic() - start + 59) // 60, "".join("\n" + m for m in missed)))
    return 1 if missed or any(r[3] == "MISSED" for r in rows) or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
