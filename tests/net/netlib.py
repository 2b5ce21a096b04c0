# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames, ports of lodge-vmnet, and TAP output for the network tests."""
import array, os, select, shutil, signal, socket, struct, subprocess, sys, tempfile, time

build = os.environ.get("top_builddir") or os.getcwd()
vmnet = os.path.abspath(os.path.join(build, "lodge-vmnet"))
n_tests = failed = 0
PATIENCE = 60  # seconds for what must come; a busy machine may need so long


def ok(good, name):
    global n_tests, failed
    n_tests += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", n_tests, name), flush=True)
    return good


def same(got, want, name):
    if not ok(got == want, name):
        print("# got %r, want %r" % (got, want), flush=True)


def skip(name, why):
    global n_tests
    n_tests += 1
    print("ok %d - %s # SKIP %s" % (n_tests, name, why), flush=True)


def done():
    print("1..%d" % n_tests, flush=True)
    sys.exit(failed != 0)


def mac(text):
    return bytes(int(x, 16) for x in text.split(":"))


def ip4(text):
    return socket.inet_aton(text)


def csum(b):
    if len(b) & 1:
        b += b"\0"
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def udp(dst, src, sip, dip, sport, dport, data, tag=None):
    u = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(u), 1, 0, 64, 17, 0, ip4(sip), ip4(dip))
    h = h[:10] + struct.pack("!H", csum(h)) + h[12:]
    vlan = struct.pack("!HH", 0x8100, tag) if tag is not None else b""
    return mac(dst) + mac(src) + vlan + b"\x08\x00" + h + u


def dhcp(src, kind, options=(), xid=0x1234, ciaddr="0.0.0.0", giaddr="0.0.0.0", tag=None, reply=False, chaddr=None):
    b = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 2 if reply else 1, 1, 6, 0, xid, 0, 0, ip4(ciaddr), ip4("0.0.0.0"), ip4("0.0.0.0"), ip4(giaddr),
                    mac(chaddr or src) + b"\0" * 10, b"", b"")
    b += bytes.fromhex("63825363") + bytes((53, 1, kind))
    for code, v in options:
        b += bytes((code, len(v))) + v
    b += b"\xff"
    ports = (67, 68) if reply else (68, 67)
    return udp("ff:ff:ff:ff:ff:ff", src, "0.0.0.0", "255.255.255.255", ports[0], ports[1], b, tag)


def dhcp_parse(f):
    """(message type, yiaddr, options) of an answer, or None."""
    if len(f) < 282 or f[12:14] != b"\x08\x00" or f[34:38] != b"\0\x43\0\x44":
        return None
    # Both checksums as RFC 791 and RFC 768 want them.
    assert csum(f[14:34]) == 0
    n = struct.unpack("!H", f[38:40])[0]
    assert csum(f[26:34] + struct.pack("!HH", 17, n) + f[34:34 + n]) == 0
    b = f[42:]
    o, opts = b[240:], {}
    while o and o[0] != 255:
        if o[0] == 0:
            o = o[1:]
            continue
        opts[o[0]] = o[2:2 + o[1]]
        o = o[2 + o[1]:]
    return opts[53][0], socket.inet_ntoa(b[16:20]), opts


def insist(send, wait):
    """Sends until it arrives: what has just been connected may lose a frame, as any cable may."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        send()
        f = wait(1)
        if f:
            return f
    return None


def soon(f):
    """What f() gives, when it gives something true within the time."""
    end = time.monotonic() + PATIENCE
    while not f() and time.monotonic() < end:
        time.sleep(0.05)
    return f()


def recv_msg(s, timeout=PATIENCE):
    s.settimeout(timeout)
    data, anc, flags, addr = s.recvmsg(5000, socket.CMSG_SPACE(16))
    fd = None
    for level, kind, d in anc:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds = array.array("i")
            fds.frombytes(d[:4])
            fd = fds[0]
    lines = data.decode().split("\n")
    return lines[0], dict(x.split("=", 1) for x in lines[1:]), fd


class Refused(Exception):
    pass


class Port:
    """A port of lodge-vmnet, as lodge-vmx has it, or a tap with the same header."""
    hdr = 10

    def __init__(self, path, timeout=PATIENCE, **attach):
        self.mac = attach.get("mac", "")
        self.ctl = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for i in range(3000):
            try:
                self.ctl.connect(path)
                break
            except OSError:
                time.sleep(0.02)
        self.ctl.send(("attach" + "".join("\n%s=%s" % x for x in attach.items())).encode())
        what, self.info, fd = recv_msg(self.ctl, timeout)
        if what != "ok":
            self.ctl.close()
            raise Refused(self.info.get("text", ""))
        self.fd = fd
        os.set_blocking(fd, False)

    def send(self, frame, hdr=bytes(10)):
        while True:
            try:
                os.writev(self.fd, [hdr, frame])
                return
            except BlockingIOError:
                select.select([], [self.fd], [], 5)

    def try_send(self, frame):
        try:
            os.writev(self.fd, [bytes(10), frame])
            return True
        except BlockingIOError:
            return False

    def recv_raw(self, timeout=PATIENCE):
        if not select.select([self.fd], [], [], timeout)[0]:
            return None
        return os.read(self.fd, 70000)

    def recv(self, timeout=PATIENCE):
        r = self.recv_raw(timeout)
        return r[10:] if r else None

    def wait(self, want, timeout=PATIENCE):
        """The first frame for which want(frame) is true."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            f = self.recv(max(0.01, end - time.monotonic()))
            if f is not None and want(f):
                return f
        return None

    def nothing(self, timeout=0.3):
        return self.recv(timeout) is None

    def lease(self, timeout=PATIENCE, options=(), wish=None):
        """A whole DHCP exchange; (address, options of the acknowledgement)."""
        self.send(dhcp(self.mac, 1, options))
        f = self.wait(dhcp_parse, timeout)
        if not f:
            return None
        kind, ip, o = dhcp_parse(f)
        self.send(dhcp(self.mac, 3, [(50, ip4(wish or ip)), (54, o[54])] + list(options)))
        f = self.wait(dhcp_parse, timeout)
        return (dhcp_parse(f)[1], dhcp_parse(f)[2], dhcp_parse(f)[0]) if f else None

    def close(self):
        os.close(self.fd)
        self.ctl.close()


class Home:
    """A user's folders of their own, and lodge-vmnet in them."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="lodgenet")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, XDG_CONFIG_HOME=self.dir + "/config", XDG_STATE_HOME=self.dir + "/state", HOME=self.dir)
        self.sock = self.dir + "/lodge/vmnet.sock"
        self.conf = self.dir + "/config/lodge/networks"
        self.p = None

    def write(self, text):
        os.makedirs(os.path.dirname(self.conf), exist_ok=True)
        with open(self.conf, "w") as f:
            f.write(text)

    def start(self):
        self.log = open(self.dir + "/log", "w")
        self.p = subprocess.Popen([vmnet, "--foreground"], env=self.env, stdout=self.log, stderr=self.log)
        for i in range(3000):
            if os.path.exists(self.sock) or self.p.poll() is not None:
                break
            time.sleep(0.02)
        return self

    def run(self, *args):
        r = subprocess.run([vmnet] + list(args), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=2 * PATIENCE)
        return r.returncode, r.stdout.decode()

    def port(self, **attach):
        return Port(self.sock, **attach)

    def stop(self):
        if self.p:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.p = None

    def end(self):
        self.stop()
        if os.environ.get("KEEP"):
            print("# kept", self.dir)
        else:
            shutil.rmtree(self.dir)

    def status(self, field):
        with open("/proc/%d/status" % self.p.pid) as f:
            for line in f:
                if line.startswith(field + ":"):
                    return line.split()[1]
