#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge-nethelper in a network namespace of its own: bridges, host-only interfaces, refusals, races, kills; lodge-vmnet on top of it."""
import array, ctypes, fcntl, os, random, select, signal, socket, struct, subprocess, sys, threading, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlib import *

helper = os.path.abspath(os.path.join(build, "lodge-nethelper"))
CONF = "/etc/lodge/bridge.conf"
GUEST, GUEST2, ROUTER = "00:0c:29:00:00:0a", "00:0c:29:00:00:0b", "02:00:00:00:00:01"


def sh(cmd):
    return subprocess.run(cmd, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()


def enter():
    """Namespaces: network, and mounts for /etc/lodge. Needs root, or user namespaces."""
    if "IN_NETNS" in os.environ:
        return
    flags = "-nm" if os.getuid() == 0 else "-Urnm"
    if subprocess.run(["unshare", flags, "sh", "-c", "ip link set lo up && ip tuntap add probe mode tap && ip link add brp type bridge"],
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        print("1..0 # SKIP network namespaces with taps and bridges cannot be made here")
        sys.exit(0)
    os.environ["IN_NETNS"] = "1"
    os.environ["top_builddir"] = build
    os.execvp("unshare", ["unshare", flags, sys.executable, os.path.abspath(sys.argv[0])])


def make_etc():
    save = {n: open("/etc/" + n).read() for n in ("passwd", "group", "nsswitch.conf") if os.path.exists("/etc/" + n)}
    sh("mount --make-rprivate /")
    sh("mount -t tmpfs tmpfs /etc")
    for n, text in save.items():
        with open("/etc/" + n, "w") as f:
            f.write(text)
    os.mkdir("/etc/lodge", 0o755)
    os.chmod("/etc/lodge", 0o755)


def conf(text, mode=0o644):
    with open(CONF, "w") as f:
        f.write(text)
    os.chmod(CONF, mode)


class Wire:
    """A "wired interface" of the host: a tap of which this test is the cable."""

    def __init__(self, name):
        self.name = name
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF, IFF_TAP | IFF_NO_PI
        sh("ip link set %s up" % name)

    def send(self, f):
        try:
            os.write(self.fd, f)
        except OSError:
            pass

    def wait(self, want, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                f = os.read(self.fd, 70000)
                if want(f):
                    return f
        return None

    def arp(self, ip, src="10.9.0.1"):
        """Who has ip? The frame of the answer."""
        ask = mac("ff:ff:ff:ff:ff:ff") + mac(ROUTER) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(ROUTER), ip4(src), b"\0" * 6, ip4(ip))
        return insist(lambda: self.send(ask), lambda t: self.wait(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2" and f[28:32] == ip4(ip), t))

    def neighbour(self, ip):
        """Neighbour solicitation (RFC 4861 4.3) and its answer."""
        src, dst = socket.inet_pton(socket.AF_INET6, "fd09::1"), socket.inet_pton(socket.AF_INET6, ip)
        group = bytes.fromhex("ff0200000000000000000001ff") + dst[13:]
        icmp = b"\x87\0\0\0\0\0\0\0" + dst + b"\1\1" + mac(ROUTER)
        c = csum(src + group + struct.pack("!II", len(icmp), 58) + icmp)
        icmp = icmp[:2] + struct.pack("!H", c) + icmp[4:]
        ask = b"\x33\x33" + group[12:] + mac(ROUTER) + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(icmp), 58, 255) + src + group + icmp
        return insist(lambda: self.send(ask), lambda t: self.wait(lambda f: f[12:14] == b"\x86\xdd" and f[54] == 136 and f[62:78] == dst, t))

    def close(self):
        os.close(self.fd)


def call(*args, user=None, timeout=PATIENCE, env=None, wait=True):
    """(answer, values, descriptor) of a run of the helper."""
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    cmd = [helper] + list(args)
    if user:
        cmd = user + cmd
    p = subprocess.Popen(cmd, preexec_fn=lambda: os.dup2(b.fileno(), 3), pass_fds=[3], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    b.close()
    if not wait:
        return p, a
    try:
        r = recv_msg(a, timeout)
    except (OSError, ValueError):
        r = ("", {}, None)
    p.wait()
    a.close()
    return r


def text(r):
    return r[1].get("text", "")


def state():
    """Addresses and routes, without what changes by itself."""
    out = sh("ip -o addr show | grep -v 'link/'; ip route; ip -6 route | grep -v fe80; ip -o link | grep -o '^[0-9]*: [^:@]*'")
    return "\n".join(" ".join(w for w in l.split() if not w.startswith(("valid_lft", "preferred_lft", "noprefixroute", "tentative", "nodad", "linkdown"))) for l in out.splitlines())


def links(pattern):
    return [l.split(":")[1].strip().split("@")[0] for l in sh("ip -o link").splitlines() if l.split(":")[1].strip().startswith(pattern)]


class Tap(Port):
    def __init__(self, fd, m=GUEST):
        self.fd, self.mac = fd, m
        os.set_blocking(fd, False)


def on_bridge():
    member = Wire("eth8")
    # an address such as other programs give to their taps: higher ones are hardly to be met
    sh("ip link set eth8 address fe:fe:00:00:00:08; ip link add br0 type bridge; ip link set eth8 master br0; ip link set br0 up; ip addr add 10.8.0.1/24 dev br0; ip -6 addr add fd08::1/64 dev br0 nodad")
    before = sh("ip -o link show br0").split("link/ether ")[1].split()[0]
    conf("# test\nallow br0\n")
    r = call("attach", "interface=br0", "mac=" + GUEST)
    if not ok(r[0] == "ok" and r[2] is not None, "a tap on an existing bridge: %s" % (text(r) or r[1])):
        return
    same((r[1]["lower"], r[1]["uplink"]), ("br0", ""), "the answer says where")
    g = Tap(r[2])
    ask = mac("ff:ff:ff:ff:ff:ff") + mac(GUEST) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(GUEST), ip4("10.8.0.9"), b"\0" * 6, ip4("10.8.0.1"))
    f = insist(lambda: g.send(ask), lambda t: g.wait(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2", t))
    ok(f, "the guest reaches the host over IPv4")
    same(sh("ip -o link show br0").split("link/ether ")[1].split()[0], before, "the bridge keeps its own address")
    os.close(r[2])
    ok(soon(lambda: not links("lodge")), "the tap goes with its descriptor")
    member.close()


def over_wire():
    w = Wire("eth9")
    sh("ip link set eth9 address 02:00:00:00:09:09; ip addr add 10.9.0.2/24 dev eth9; ip addr add 10.9.0.3/24 dev eth9; ip -6 addr add fd09::2/64 dev eth9 nodad;"
       "ip route add default via 10.9.0.1 metric 100; ip route add 172.30.0.0/16 via 10.9.0.7; ip -6 route add default via fd09::1")
    before = state()
    ok(w.arp("10.9.0.2") and w.neighbour("fd09::2"), "the host is reached over its interface")
    conf("allow eth9\n")
    r = call("attach", "mac=" + GUEST)
    if not ok(r[0] == "ok", "the interface of the default route is chosen, a bridge made: %s" % (text(r) or r[1])):
        return w
    br = r[1]["lower"]
    same(r[1]["uplink"], "eth9", "the answer names the interface")
    f = w.arp("10.9.0.2")
    ok(f and f[6:12] == mac("02:00:00:00:09:09"), "the host keeps its IPv4 address, with the same MAC address")
    ok(w.arp("10.9.0.3"), "also its second one")
    ok(w.neighbour("fd09::2"), "and its IPv6 address")
    routes = sh("ip route; ip -6 route")
    ok(all(x in routes for x in ("default via 10.9.0.1 dev %s metric 100" % br, "172.30.0.0/16 via 10.9.0.7 dev " + br, "default via fd09::1 dev " + br,
                                 "10.9.0.0/24 dev " + br)) and "dev eth9" not in routes.replace("fe80::/64 dev eth9", ""), "routes are the bridge's")
    g = Tap(r[2])
    arp = mac("ff:ff:ff:ff:ff:ff") + mac(GUEST) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(GUEST), ip4("10.9.0.9"), b"\0" * 6, ip4("10.9.0.1"))
    ok(insist(lambda: g.send(arp), lambda t: w.wait(lambda f: f[:42] == arp, t)), "the guest's frames leave")
    back = mac(GUEST) + mac(ROUTER) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 2, mac(ROUTER), ip4("10.9.0.1"), mac(GUEST), ip4("10.9.0.9"))
    ok(insist(lambda: w.send(back), lambda t: g.wait(lambda f: f[:42] == back, t)), "and answers arrive")
    tagged = mac(GUEST) + mac(ROUTER) + struct.pack("!HHH", 0x8100, 77, 0x88b5) + bytes(50)
    ok(insist(lambda: w.send(tagged), lambda t: g.wait(lambda f: f[-56:] == tagged[-56:] or f == tagged, t)), "802.1Q tags pass")
    r2 = call("attach", "interface=eth9", "mac=" + GUEST2)
    ok(r2[0] == "ok" and r2[1]["lower"] == br, "a second machine uses the same bridge")
    same(call("release")[1].get("left"), "1", "release leaves what is in use")
    ok(w.arp("10.9.0.2"), "and the host reached")
    os.close(r[2])
    if r2[2]:
        os.close(r2[2])
    time.sleep(0.2)
    same(call("release")[1].get("left"), "0", "release takes the bridge down after the last machine")
    same(links("lbr"), [], "it is gone")
    after = state()
    if not ok(after == before, "the host's addresses and routes are as before"):
        print("# before:\n# " + before.replace("\n", "\n# ") + "\n# after:\n# " + after.replace("\n", "\n# "))
    ok(w.arp("10.9.0.2") and w.neighbour("fd09::2"), "and the host is reached over IPv4 and IPv6")
    # Killed at any moment: the next run, or release, mends it, and the host is never without its address.
    rnd, bad, kept = random.Random(7), 0, True
    length = PATIENCE
    for i in range(5):
        t0 = time.monotonic()
        r = call("attach", "interface=eth9", "mac=" + GUEST)
        length = min(length, time.monotonic() - t0)
        os.close(r[2])
        call("release")
    killed = 0
    for i in range(2000):
        if killed == 20:
            break
        p, s = call("attach", "interface=eth9", "mac=" + GUEST, wait=False)
        time.sleep(rnd.random() * length * 0.6)
        if p.poll() is None:
            killed += 1
        p.kill()
        p.wait()
        s.close()
        kept &= "10.9.0.2/24" in sh("ip -o -4 addr") and "default via 10.9.0.1" in sh("ip route")
    print("# %d runs of %d ms killed" % (killed, length * 1000))
    ok(kept and killed > 10, "killed in the middle the host always has its address and default route")
    ok(w.arp("10.9.0.2"), "and is reached")
    call("release")
    after = state()
    if not ok(after == before, "the next run leaves the host as before"):
        print("# before:\n# " + before.replace("\n", "\n# ") + "\n# after:\n# " + after.replace("\n", "\n# "))
    same(links("lbr") + links("lodge"), [], "and nothing behind")
    # Many at a time.
    out = []
    ts = [threading.Thread(target=lambda i=i: out.append(call("attach", "interface=eth9", "mac=02:00:00:00:01:%02x" % i) if i % 3 else call("release"))) for i in range(12)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    same(sorted({x[0] for x in out}), ["ok"], "racing calls all succeed")
    same(len({x[1]["lower"] for x in out if x[2] is not None}), 1, "on one bridge")
    for x in out:
        if x[2] is not None:
            os.close(x[2])
    soon(lambda: not links("lodge"))
    call("release")
    ok(state() == before, "and after them the host is as before")
    return w


def hostonly():
    conf("allow hostonly\n")
    r = call("hostonly", "name=vmnet1", "address=192.168.101.1/24")
    ok(r[0] == "ok" and "192.168.101.1/24" in sh("ip -o addr show vmnet1") and "00:50:56:c0:00:01" in sh("ip link show vmnet1"), "an interface vmnet1 with its address: " + text(r))
    r2 = call("hostonly", "name=vmnet1", "address=192.168.201.1/24")
    ok(r2[0] == "ok" and r2[1]["ifname"] == "vmnet1-1", "another user's gets another name")
    r3 = call("hostonly", "name=vmnet2", "address=192.168.101.65/26")
    ok(r3[0] == "error" and "vmnet1 has an address" in text(r3), "an address in a network that is there is refused: " + text(r3))
    for a in ("8.8.8.1/24", "10.0.0.1/8", "127.0.0.2/24", "192.168.7.0/24", "x", "1.2.3.4/99"):
        r4 = call("hostonly", "name=vmnet3", "address=" + a)
        ok(r4[0] == "error", "address %s is refused" % a)
    for n in ("eth0", "vmnet20", "vmnet1;x", "lo", ""):
        ok(call("hostonly", "name=" + n, "address=192.168.55.1/24")[0] == "error", "name %r is refused" % n)
    for x in (r, r2):
        if x[2]:
            os.close(x[2])
    ok(soon(lambda: not links("vmnet")), "they go with their descriptors")


def refusals():
    conf("allow other\n")
    r = call("attach", "interface=br0", "mac=" + GUEST)
    ok(r[0] == "error" and "may not use br0" in text(r) and CONF in text(r), "a bridge that is not on the list: " + text(r))
    conf("deny br0\nallow *\n")
    r = call("attach", "interface=br0")
    ok(r[0] == "error" and CONF + ":1" in text(r), "one that is denied: " + text(r))
    conf("allow br0 user 4711\nallow br0 group 4712\n")
    ok(call("attach", "interface=br0")[0] == "error", "allowed to another user only")
    conf("allow br0\n", 0o664)
    r = call("attach", "interface=br0")
    ok(r[0] == "error" and "writable by root only" in text(r), "a list that others may write counts for nothing: " + text(r))
    conf("allow br0\n")
    os.chown(CONF, 1, 0)
    ok(call("attach", "interface=br0")[0] == "error", "nor one of another owner")
    os.unlink(CONF)
    os.symlink("/etc/passwd", CONF)
    ok(call("attach", "interface=br0")[0] == "error", "nor a symbolic link")
    os.unlink(CONF)
    r = call("attach", "interface=br0")
    ok(r[0] == "error" and "does not exist" in text(r) and "sudo" in text(r), "no list: " + text(r))
    conf("allow br0\nallwo br1\n")
    r = call("attach", "interface=br0")
    ok(r[0] == "error" and CONF + ":2" in text(r), "a wrong line is named: " + text(r))
    conf("allow *\n")
    for n in ("nosuch", "../etc", "a" * 40, "br0/x", "br 0", "lo"):
        r = call("attach", "interface=" + n)
        ok(r[0] == "error" and len(text(r)) > 10, "interface %s: %s" % (n[:10], text(r)))
    for args in (("attach", "mac=01:00:5e:00:00:01", "interface=br0"), ("attach", "mac=zz", "interface=br0"), ("attach", "method=evil", "interface=br0")):
        ok(call(*args)[0] == "error", "%s is refused" % args[1])
    for args in (("attach", "x=y"), ("destroy",), (), ("attach", "interface=" + "a" * 200)):
        ok(call(*args)[0] == "", "arguments %s end it" % (args,))
    r = subprocess.run([helper, "attach", "interface=br0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, close_fds=True)
    ok(r.returncode == 2 and b"started by lodge-vmnet" in r.stdout, "without a socket it does nothing")
    same(links("lodge"), [], "nothing is left")
    # Odd surroundings: no standard descriptors, few descriptors, little memory, a full environment, signals ignored and blocked.
    conf("allow br0\n")
    for what, cmd in (("no standard descriptors", "exec <&- >&- 2>&-; "), ("few descriptors", "ulimit -n 6; "), ("little memory", "ulimit -v 4000; "),
                      ("small files", "ulimit -f 0; "), ("an odd environment", "export PATH=/tmp IFS=x LANG=xx LOCPATH=/tmp; "), ("signals ignored", "trap '' TERM CHLD PIPE ALRM; ")):
        r = call("attach", "interface=br0", "mac=" + GUEST, user=["sh", "-c", cmd + 'exec "$@"', "sh"])
        good = r[0] == "ok" and r[2] is not None or what in ("few descriptors", "little memory") and (r[0] == "" or len(text(r)) > 10)
        ok(good, "%s: %s" % (what, r[0] + " " + text(r)))
        if r[2] is not None:
            os.close(r[2])
    ok(soon(lambda: not links("lodge") + links("lbr")), "nothing is left")
    # Other users, with the capability that a file would give.
    user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    if os.getuid() == 0 and "IN_USERNS" not in os.environ and not subprocess.run(user + ["true"], stderr=subprocess.DEVNULL).returncode:
        sh("chmod 755 %s" % build)
        r = call("attach", "interface=br0", user=user)
        if r[0] == "":
            skip("a user without the capability", "the build tree cannot be read by other users")
        else:
            ok(r[0] == "error" and "sudo setcap cap_net_admin" in text(r), "without the capability the one command is said: " + text(r))
            caps = user + ["--inh-caps", "+net_admin", "--ambient-caps", "+net_admin"]
            conf("allow br0 user 0\n")
            r = call("attach", "interface=br0", user=caps)
            ok(r[0] == "error" and "may not use br0" in text(r), "another user than the one who is allowed: " + text(r))
            conf("allow br0 user 12345\n")
            with open("/dev/null") as null:
                sh("mount -t tmpfs tmpfs /mnt; mknod /mnt/tun c 10 200; chmod 666 /mnt/tun; mount --bind /mnt/tun /dev/net/tun")
            r = call("attach", "interface=br0", user=caps)
            ok(r[0] == "ok", "the one who is allowed, with nothing but that capability: " + text(r))
            if r[2]:
                os.close(r[2])
    else:
        skip("other users", "needs root")


def with_vmnet(w):
    """lodge-vmnet, its launcher and the helper together: bridged and host-only ports, an interface that goes and comes."""
    conf("allow eth9\nallow hostonly\n")
    os.environ["LODGE_NETHELPER"] = helper
    before = state()
    h = Home().start()
    a = h.port(network="vmnet0", mac=GUEST, name="bridged", follow="0")
    ok(a.info.get("kind") == "tap", "a bridged port gets a tap of the host")
    arp = mac("ff:ff:ff:ff:ff:ff") + mac(GUEST) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(GUEST), ip4("10.9.0.9"), b"\0" * 6, ip4("10.9.0.1"))
    ok(insist(lambda: a.send(arp), lambda t: w.wait(lambda f: f[:42] == arp, t)), "whose frames leave the host")
    b = h.port(network="vmnet1", mac=GUEST2, name="hostonly")
    ok("text" not in b.info and "vmnet1" in sh("ip -o addr"), "host-only: the host has an interface")
    r = b.lease()
    ok(r, "DHCP is lodge-vmnet's: %s" % (r and r[0]))
    ask = mac("ff:ff:ff:ff:ff:ff") + mac(GUEST2) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(GUEST2), ip4(r[0]), b"\0" * 6, ip4("192.168.101.1"))
    ok(insist(lambda: b.send(ask), lambda t: b.wait(lambda f: f[12:14] == b"\x08\x06" and f[28:32] == ip4("192.168.101.1"), t)), "guest and host see each other")
    # DHCP from outside: the host's side asks, and answers; neither counts.
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind(("vmnet1", 0))
    s.settimeout(0.5)
    s.send(dhcp("00:50:56:c0:00:01", 1))
    s.send(dhcp(GUEST2, 2, [(54, ip4("6.6.6.6"))], reply=True))
    got = []
    try:
        while True:
            got.append(s.recv(2000))
    except OSError:
        pass
    ok(not any(dhcp_parse(x) for x in got if x[6:12] != mac(GUEST2)) and not b.wait(dhcp_parse, 0.3), "DHCP from the host's side is ignored, in both directions")
    sh("ip link del vmnet1")
    soon(lambda: links("vmnet1"))
    ok(links("vmnet1") == ["vmnet1"] and b.lease(), "the host's interface is made again when it was deleted")
    # The interface goes, and comes back.
    w.close()
    what, info, fd = recv_msg(a.ctl)
    ok(what == "link" and info["up"] == "0" and "eth9" in info["text"], "the interface is gone: the machine's link goes down: " + info.get("text", ""))
    ok(h.p.poll() is None, "and all goes on")
    w2 = Wire("eth9")
    got = []
    while len(got) < 2:
        try:
            got.append(recv_msg(a.ctl))
        except OSError:
            break
    ok([x[0] for x in got] == ["fd", "link"] and got[1][1]["up"] == "1", "it is back: a new tap, and the link is up")
    if got and got[0][2]:
        os.dup2(got[0][2], a.fd)
        os.close(got[0][2])
        os.set_blocking(a.fd, False)
        ok(insist(lambda: a.send(arp), lambda t: w2.wait(lambda f: f[:42] == arp, t)), "whose frames leave again")
    a.close(), b.close()
    soon(lambda: not links("lbr") + links("vmnet"))
    same(links("lbr") + links("vmnet") + links("lodge"), [], "after the last port nothing is left on the host")
    ok("10.9.0.2/24" in sh("ip -o addr show eth9"), "and the interface has its address again")
    h.end()
    h = Home().start()
    a = h.port(network="vmnet0", mac=GUEST, name="bridged")
    ok(links("lbr"), "a bridge is made again")
    os.close(a.fd)
    h.stop()
    same(links("lbr"), [], "and goes when lodge-vmnet is ended")
    h.end()
    conf("deny *\n")
    h = Home().start()
    try:
        h.port(network="vmnet0", mac=GUEST, name="x", interface="eth9")
        ok(False, "a bridged port that is not allowed")
    except Refused as e:
        ok("does not let this user use eth9" in str(e), "a bridged port that is not allowed: %s" % e)
    h.end()
    w2.close()


def wireless():
    """An interface that the kernel calls wireless: a sentence, for each method, on every way, and nothing is changed. The default route may well lead there."""
    w = Wire("wlan9")
    sh("mount -t tmpfs tmpfs /sys/class/net && mkdir -p /sys/class/net/wlan9/phy80211; ip addr add 10.19.0.2/24 dev wlan9")
    if not os.path.isdir("/sys/class/net/wlan9/phy80211"):
        skip("a wireless interface", "nothing can be mounted over /sys here")
        return w.close()
    conf("allow wlan9\n")
    before = state()
    for method in ("auto", "bridge", "macvtap"):
        r = call("attach", "interface=wlan9", "mac=" + GUEST, "method=" + method)
        ok(r[0] == "error" and "wireless" in text(r) and "Use NAT" in text(r), "a wireless interface, %s: %s" % (method, text(r)))
    sh("ip route add default via 10.19.0.1 dev wlan9")
    r = call("attach", "mac=" + GUEST)
    ok(r[0] == "error" and "wlan9 is a wireless" in text(r), "the default route leads over it")
    sh("ip route del default via 10.19.0.1 dev wlan9")
    os.environ["LODGE_NETHELPER"] = helper
    h = Home().start()
    try:
        h.port(network="vmnet0", mac=GUEST, name="x", interface="wlan9")
        ok(False, "a machine's port there")
    except Refused as e:
        ok("wireless" in str(e) and "Use NAT" in str(e), "a machine's port there gets the sentence")
    h.end()
    same(state(), before, "the host is as before")
    sh("umount /sys/class/net")
    w.close()


def resolver():
    """NAT's name server asks this computer's, and the new one when that has changed while machines run."""
    h = Home()
    servers = []
    for i in (5, 6):
        x = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        x.bind(("127.0.0.%d" % i, 53))
        x.settimeout(0.5)
        servers.append(x)
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.5\n")
    h.start()
    a = h.port(network="vmnet8", mac=GUEST, name="a")
    r = a.lease()
    ok(r and r[1][6] == ip4("192.168.108.3"), "NAT's name server")
    a.send(mac("ff:ff:ff:ff:ff:ff") + mac(GUEST) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(GUEST), ip4(r[0]), b"\0" * 6, ip4("192.168.108.3")))
    gw = a.wait(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2")[6:12]
    gw = ":".join("%02x" % x for x in gw)

    def asked(server, question, tries=200):
        for i in range(tries):
            a.send(udp(gw, GUEST, r[0], "192.168.108.3", 4000 + i, 53, question))
            try:
                data, peer = server.recvfrom(100)
            except OSError:
                continue
            if data != question:  # one that was late
                continue
            server.sendto(b"answer to " + data, peer)
            return bool(a.wait(lambda f: f.endswith(b"answer to " + question)))
        return False

    ok(asked(servers[0], b"first"), "it asks the computer's")
    with open("/etc/resolv.conf.new", "w") as f:
        f.write("# from another network\nnameserver 127.0.0.6\n")
    os.rename("/etc/resolv.conf.new", "/etc/resolv.conf")
    ok(asked(servers[1], b"second"), "and another one when the computer has come to another network")
    os.unlink("/etc/resolv.conf")
    time.sleep(1.2)
    a.send(udp(gw, GUEST, r[0], "192.168.108.3", 4100, 53, b"third"))
    time.sleep(0.3)
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.5\n")
    while True:
        try:
            servers[0].recvfrom(100)
        except OSError:
            break
    ok(asked(servers[0], b"fourth"), "also after there was none")
    a.close()
    h.end()
    for x in servers:
        x.close()


enter()
if not os.path.exists("/proc/self/fd/3"):
    os.dup2(os.open("/dev/null", os.O_RDONLY), 3)  # so that no descriptor of ours is 3 when a child gets its socket there
make_etc()
sh("ip link set lo up")
on_bridge()
refusals()
wireless()
resolver()
w = over_wire()
hostonly()
with_vmnet(w)
done()
