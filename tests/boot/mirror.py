# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian mirror on this computer's loopback: answers from the cache directory, and gets what is not there yet from the archive that the host's
own apt uses. Guests reach it through NAT at the gateway's address. Other paths can be given as texts (a preseed file)."""
import gzip
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

from guest import CACHE


def archive():
    """The address of the Debian archive in the host's apt configuration, or None."""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], capture_output=True, text=True).stdout
    for uri in out.split():
        if uri.startswith("http") and uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    return None


def opener():
    proxy = subprocess.run(["apt-config", "shell", "P", "Acquire::http::Proxy"], capture_output=True, text=True).stdout.strip()
    proxy = proxy[2:].strip("'") if proxy.startswith("P=") else ""
    return urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy} if proxy and proxy != "DIRECT" else None))


class Mirror:
    def __init__(self, texts):
        self.texts, self.uri, self.open = texts, archive(), opener()
        self.dir = os.path.join(CACHE, "mirror")
        self.got = {"cached": 0, "fetched": 0, "missing": 0}
        self.locks, self.lock = {}, threading.Lock()
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                mirror.answer(self)

            do_HEAD = do_GET

            def log_message(self, fmt, *args):
                if os.environ.get("LODGE_TEST_ECHO"):
                    print("# mirror: " + fmt % args, file=sys.stderr, flush=True)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, h):
        path = h.path.split("?")[0]
        if path in self.texts:
            data = self.texts[path].encode()
            h.send_response(200)
            h.send_header("Content-Length", str(len(data)))
            h.end_headers()
            if h.command == "GET":
                h.wfile.write(data)
            return
        f = self.file(path)
        if not f:
            self.got["missing"] += 1
            h.send_response(404)
            h.send_header("Content-Length", "0")
            h.end_headers()
            return
        with open(f, "rb") as src:
            h.send_response(200)
            h.send_header("Content-Length", str(os.path.getsize(f)))
            h.end_headers()
            if h.command == "GET":
                shutil.copyfileobj(src, h.wfile, 1 << 18)

    def file(self, path):
        """The file of a path below /debian/. What lies in pool/ and by-hash/ never changes; indexes are fetched once per run."""
        parts = path.split("/")
        if not path.startswith("/debian/") or ".." in parts or not self.uri:
            return None
        fixed = "pool" in parts or "by-hash" in parts
        name = os.path.join(self.dir if fixed else os.path.join(self.dir, "index-%d" % os.getpid()), *parts[2:])
        with self.lock:
            lock = self.locks.setdefault(name, threading.Lock())
        with lock:
            if os.path.isfile(name):
                self.got["cached"] += 1
                return name
            os.makedirs(os.path.dirname(name), exist_ok=True)
            fd, tmp = tempfile.mkstemp(dir=os.path.dirname(name))
            try:
                with os.fdopen(fd, "wb") as out, self.open.open(self.uri + path[len("/debian"):], timeout=60) as r:
                    shutil.copyfileobj(r, out, 1 << 18)
                os.rename(tmp, name)
            except (urllib.error.URLError, OSError):
                os.unlink(tmp)
                return None
            self.got["fetched"] += 1
            return name

    def lacks(self, suite):
        """Which of the components (.udeb) that every installation needs the archive does not have; some mirrors leave them out. Or None: it has all."""
        need = ["base-installer", "partman-base", "libparted2-udeb", "e2fsprogs-udeb", "partman-ext3", "debootstrap-udeb", "grub-installer", "finish-install"]
        index = self.file("/debian/dists/%s/main/debian-installer/binary-amd64/Packages.gz" % suite)
        if not index:
            return "its index of installer components"
        with gzip.open(index, "rt") as f:
            files = [line.split()[1] for line in f if line.startswith("Filename: ")]
        names = {os.path.basename(x).split("_")[0]: x for x in files}
        return ", ".join(n for n in need if n not in names or not self.file("/debian/" + names[n])) or None

    def close(self):
        self.server.shutdown()
        shutil.rmtree(os.path.join(self.dir, "index-%d" % os.getpid()), ignore_errors=True)
