#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""lodge-vmnet with raw frames in place of guests: switching, DHCP, tags, large frames, floods, configuration, sandbox."""
import os, socket, struct, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__))))
from netlib import *

A, B, C, X = "00:0c:29:00:00:0a", "00:0c:29:00:00:0b", "00:0c:29:00:00:0c", "00:50:56:11:22:33"
ALL = "ff:ff:ff:ff:ff:ff"


def frame(dst, src, data=b"x" * 50, type=b"\x88\xb5"):
    return mac(dst) + mac(src) + type + data


def switching(h):
    a, b, c = (h.port(network="vmnet2", mac=m, name="vm" + m[-1]) for m in (A, B, C))
    a.send(frame(ALL, A))
    ok(b.recv() == frame(ALL, A) and c.recv() == frame(ALL, A), "a broadcast reaches all others")
    ok(a.nothing(0.1), "and not its sender")
    b.send(frame(A, B))
    ok(a.recv() == frame(A, B) and c.nothing(), "a frame to a known address reaches that port only")
    a.send(frame(X, A))
    ok(b.recv() and c.recv(), "an unknown address is flooded")
    c.send(frame(ALL, A))
    a.recv(), b.recv()
    b.send(frame(A, B))
    ok(c.recv() == frame(A, B) and a.nothing(0.1), "an address that moves is followed")
    a.send(frame(ALL, A))
    b.recv(), c.recv()
    tagged = frame(B, A, struct.pack("!H", 100) + b"\x08\x00" + b"t" * 60, b"\x81\x00")
    a.send(tagged)
    ok(b.recv() == tagged, "an 802.1Q tag passes")
    big = frame(B, A, bytes(range(250)) * 36, b"\x08\x00")
    a.send(big)
    ok(len(big) == 9014 and b.recv() == big, "9000 bytes of payload pass")
    a.send(frame(B, A, b"z" * 9100))
    ok(b.nothing(), "longer without segmentation does not")
    # A TCP packet of 40000 bytes that waits for segmentation goes whole: struct virtio_net_hdr says so on both sides.
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 7, 0, 0x50, 0x10, 1000, 0, 0) + bytes(40000)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0, ip4("10.0.0.1"), ip4("10.0.0.2"))
    gso = mac(B) + mac(A) + b"\x08\x00" + ip + tcp
    a.send(gso, struct.pack("<BBHHHH", 1, 1, 54, 1448, 34, 16))
    r = b.recv_raw()
    ok(r and len(r) == 10 + len(gso) and r[1] == 1 and struct.unpack("<H", r[4:6])[0] == 1448, "a frame to be segmented goes from machine to machine whole")
    for bad in (struct.pack("<BBHHHH", 1, 1, 54, 0, 34, 16), struct.pack("<BBHHHH", 1, 0, 0, 0, 60000, 16), struct.pack("<BBHHHH", 1, 9, 54, 1448, 34, 16)):
        a.send(gso, bad)
    os.write(a.fd, b"\0" * 5)
    os.write(a.fd, b"\0" * 12)
    ok(b.nothing(), "headers that are wrong are dropped")
    a.send(frame(B, A))
    ok(b.recv() == frame(B, A), "and the port goes on")
    e = h.port(network="vmnet3", mac=X, name="other")
    a.send(frame(ALL, A))
    ok(e.nothing(), "networks are apart")
    s1, s2, s3 = h.port(segment="lab one", mac=A), h.port(segment="lab one", mac=B), h.port(segment="lab two", mac=C)
    s1.send(frame(ALL, A))
    ok(s2.recv() == frame(ALL, A) and s3.nothing(), "LAN segments are apart, and know no DHCP")
    rc, out = h.run("list")
    ok(rc == 0 and "segment lab one ports=2" in out and "vmnet2 switch ports=3" in out, "the list shows networks and segments in use")
    rc, out = h.run("ports")
    ok(rc == 0 and "vma %s vmnet2" % A in out, "ports are listed with counters")
    for p in (a, b, c, e, s1, s2, s3):
        p.close()


def elsewhere(h, **attach):
    """Attaches from another process, as another machine does: the refusal's text, or "" when it is connected."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            h.port(**attach)
            os.write(w, b"")
        except Refused as e:
            os.write(w, str(e).encode())
        os._exit(0)
    os.close(w)
    text = b""
    while part := os.read(r, 1000):
        text += part
    os.close(r)
    os.waitpid(pid, 0)
    return text.decode()


def twins(h):
    a = h.port(network="vmnet2", mac=A, name="First")
    s = h.port(segment="twins", mac=A, name="First")
    text = elsewhere(h, network="vmnet2", mac=A, name="Second")
    ok('"First"' in text and A in text and "ignoreMACAddressConflict" in text, "an address that another machine on the network has is refused: " + text)
    ok('"First"' in elsewhere(h, segment="twins", mac=A, name="Second"), "on a LAN segment too")
    ok(not elsewhere(h, network="vmnet2", mac=B, name="Second"), "another address is not")
    ok(not elsewhere(h, network="vmnet3", mac=A, name="Second"), "nor the same on another network")
    ok(not elsewhere(h, network="vmnet2", mac=A, name="Second", twins=1), "nor when it is allowed")
    b = h.port(network="vmnet2", mac=A, name="First")
    b.close()
    ok(True, "a machine that plugs its own cable in again is not another machine")
    a.close()
    time.sleep(0.2)
    ok(not elsewhere(h, network="vmnet2", mac=A, name="Second"), "and the address is free when the first is off")
    s.close()


def flood(h):
    a, b = h.port(network="vmnet2", mac=A), h.port(network="vmnet2", mac=B)
    b.send(frame(ALL, B))
    a.recv()
    before = int(h.status("VmRSS"))
    begin, sent, i = time.monotonic(), 0, 0
    while time.monotonic() < begin + 2 or sent <= 1000 and time.monotonic() < begin + PATIENCE:
        for k in range(200):
            i += 1
            src = b"\x02" + struct.pack("!IB", i, 0)
            sent += a.try_send(mac(B if i & 1 else ALL) + src + b"\x88\xb5" + bytes(1400))
    after = int(h.status("VmRSS"))
    print("# %d frames from %d addresses, RSS %d -> %d KiB" % (sent, i, before, after))
    ok(after - before < 2048, "a flood to a machine that takes nothing does not grow memory")
    ok(sent > 1000, "and the sender is not held up for ever")
    got = 0
    while b.recv(0.2):
        got += 1
    ok(got, "what was queued is there when the machine goes on")
    c = h.port(network="vmnet2", mac=C)
    while a.recv(0.1):
        pass
    c.send(frame(B, C))
    ok(b.wait(lambda f: f == frame(B, C)), "others are reached after the flood")
    # Lossless while the receiver keeps taking: sequence numbers, the receiver slower than the sender.
    pid = os.fork()
    if pid == 0:
        for i in range(20000):
            c.send(frame(B, C, struct.pack("!I", i) + bytes(1000)))
        os._exit(0)
    want, lost = 0, 0
    while want < 20000:
        f = b.recv()
        if f is None:
            break
        if f[6:12] != mac(C):
            continue
        n = struct.unpack("!I", f[14:18])[0]
        lost += n != want
        want = n + 1
    os.waitpid(pid, 0)
    ok(want == 20000 and not lost, "20000 frames arrive in order and without a loss")
    for p in (a, b, c):
        p.close()


def leases(h):
    a = h.port(network="vmnet1", mac=A, name="a")
    ok("has no interface on the host" in a.info.get("text", ""), "without the helper's right the attachment says that the host has no interface")
    ok("192.168.101" not in a.info.get("text", "") and len(a.info.get("text", "")) > 60, "and why: " + a.info.get("text", ""))
    r = a.lease()
    ok(r and r[0].startswith("192.168.101.") and 128 <= int(r[0].split(".")[3]) <= 253 and r[2] == 5, "DHCP gives an address of the range: %s" % (r and r[0]))
    o = r[1]
    same((o[1], o[51], socket.inet_ntoa(o[54])), (ip4("255.255.255.0"), struct.pack("!I", 1800), "192.168.101.254"), "mask, lease time, server")
    ok(3 not in o and 6 not in o, "a host-only network has neither router nor name server")
    what, info, fd = recv_msg(a.ctl)
    same((what, info.get("address")), ("lease", r[0]), "the machine's process hears of the lease")
    same(a.lease()[0], r[0], "the same client gets the same address")
    b = h.port(network="vmnet1", mac=B, name="b")
    rb = b.lease(options=[(12, b"host-b")])
    ok(rb and rb[0] != r[0], "another client another")
    b.send(dhcp(B, 3, [(50, ip4(r[0]))]))
    f = b.wait(dhcp_parse)
    ok(f and dhcp_parse(f)[0] == 6, "another's address is refused")
    b.send(dhcp(B, 3, [(50, ip4("10.1.1.1"))]))
    f = b.wait(dhcp_parse)
    ok(f and dhcp_parse(f)[0] == 6, "an address of another network too")
    rc, out = h.run("leases")
    ok(rb[0] + " " + B in out and "host-b" in out, "leases are listed")
    # A guest as a DHCP server, a relay, another's hardware address, rubbish.
    while a.recv(0.1):
        pass
    b.send(dhcp(A, 2, [(54, ip4("6.6.6.6"))], reply=True, chaddr=A))
    ok(a.nothing(), "a guest's answers as a DHCP server are dropped")
    b.send(dhcp(B, 1, giaddr="192.168.101.77"))
    ok(b.nothing(), "relayed requests are ignored")
    b.send(dhcp(B, 1, chaddr=X))
    ok(b.nothing(), "requests in another's name are ignored")
    d = dhcp(B, 1)
    for cut in range(14, len(d), 7):
        b.send(d[:cut])
    b.send(d[:-1] + b"\x37\xff\x01")
    b.wait(lambda f: False, 0.3)
    b.send(mac(ALL) + mac(B) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(B), ip4(rb[0]), b"\0" * 6, ip4("192.168.101.254")))
    f = b.wait(lambda f: f[12:14] == b"\x08\x06")
    ok(f and f[20:22] == b"\0\2" and f[28:32] == ip4("192.168.101.254"), "the server answers ARP")
    tagged = dhcp(B, 1, tag=5)
    b.send(tagged)
    ok(a.wait(lambda f: f == tagged), "requests in a VLAN are not ours: they pass")
    many = 0
    while many < 60 and invented(b, many):
        many += 1
    ok(0 < many <= 32, "one port gets at most 32 leases (%d)" % many)
    # Kept over a restart.
    a.close(), b.close()
    h.stop()
    h.start()
    a = h.port(network="vmnet1", mac=A, name="a")
    a.send(dhcp(A, 1))
    f = a.wait(dhcp_parse)
    same(dhcp_parse(f)[1], r[0], "the lease survives the process")
    a.close()


def invented(b, i):
    m = "02:00:00:00:01:%02x" % i
    b.send(dhcp(m, 1))
    def mine(f):
        return dhcp_parse(f) and f[70:76] == mac(m)
    f = b.wait(mine, 5)
    if not f:
        return False
    k, ip, o = dhcp_parse(f)
    b.send(dhcp(m, 3, [(50, ip4(ip)), (54, o[54])]))
    f = b.wait(mine, 5)
    return f and dhcp_parse(f)[0] == 5


def nat(h):
    a, b = h.port(network="vmnet8", mac=A, name="a"), h.port(network="vmnet8", mac=B, name="b")
    ra, rb = a.lease(), b.lease()
    ok(ra and rb and ra[0] != rb[0] and ra[0].startswith("192.168.108."), "two machines share the NAT network: %s, %s" % (ra and ra[0], rb and rb[0]))
    same((socket.inet_ntoa(ra[1][3]), socket.inet_ntoa(ra[1][6])), ("192.168.108.2", "192.168.108.3"), "router and name server")
    a.send(frame(B, A))
    ok(b.wait(lambda f: f == frame(B, A)), "they see each other")
    a.send(mac(ALL) + mac(A) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(A), ip4(ra[0]), b"\0" * 6, ip4("192.168.108.2")))
    f = a.wait(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2")
    ok(f, "the gateway answers ARP")
    gw = ":".join("%02x" % x for x in f[6:12])
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(PATIENCE)
    a.send(udp(gw, A, ra[0], "192.168.108.2", 4000, s.getsockname()[1], b"out"))
    try:
        data, peer = s.recvfrom(100)
        ok(data == b"out", "UDP leaves through NAT")
        s.sendto(b"back", peer)
        ok(a.wait(lambda f: f.endswith(b"back")), "and the answer comes back")
    except OSError:
        ok(False, "UDP leaves through NAT")
    # A forward, made while it runs: the answer to its ARP comes from here, as the guest.
    free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    rc, out = h.run("set", "vmnet8.forward0", "udp 127.0.0.1:%d %s:53" % (port, ra[0]))
    same((rc, out), (0, ""), "a forward is made while machines run")
    a.send(udp(gw, A, ra[0], "192.168.108.2", 4000, s.getsockname()[1], b"learn me"))
    time.sleep(0.1)
    s.sendto(b"question", ("127.0.0.1", port))
    end, good = time.monotonic() + PATIENCE, False
    while time.monotonic() < end and not good:
        f = a.recv(0.5)
        if f and f[12:14] == b"\x08\x06" and f[38:42] == ip4(ra[0]):
            a.send(f[6:12] + mac(A) + f[12:20] + b"\0\2" + mac(A) + ip4(ra[0]) + f[22:32])
        good = bool(f) and f.endswith(b"question")
    ok(good, "and reaches the guest")
    rc, out = h.run("set", "vmnet8.forward1", "tcp nonsense")
    ok(rc == 1 and "vmnet8.forward1" in out and "write tcp or udp" in out, "a wrong one is refused: " + out.strip())
    # Booting from the network: the file that DHCP tells, by TFTP (RFC 1350) from the gateway; nothing outside the folder.
    os.mkdir(h.dir + "/tftp")
    with open(h.dir + "/tftp/boot.img", "wb") as f:
        f.write(b"boot me" * 100)
    with open(h.dir + "/secret", "w") as f:
        f.write("secret")
    same((h.run("set", "vmnet8.tftpDir", h.dir + "/tftp"), h.run("set", "vmnet8.bootFile", "boot.img")), ((0, ""), (0, "")), "a folder for TFTP while machines run")
    a.send(dhcp(A, 1))
    f = a.wait(dhcp_parse)
    ok(f and f[42 + 108:42 + 116] == b"boot.img" and f[42 + 20:42 + 24] == ip4("192.168.108.2") and dhcp_parse(f)[2][67] == b"boot.img", "DHCP tells file and server")
    # NAT has begun anew with the folder, and asks who we are
    a.send(mac(ALL) + mac(A) + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac(A), ip4(ra[0]), b"\0" * 6, ip4("192.168.108.2")))
    a.send(udp(gw, A, ra[0], "192.168.108.2", 5000, 69, b"\0\1boot.img\0octet\0"))
    f = a.wait(lambda f: f[12:14] == b"\x08\x00" and f[23] == 17 and f[36:38] == struct.pack("!H", 5000))
    ok(f and f[42:46] == b"\0\3\0\1" and f[46:] == (b"boot me" * 100)[:512], "TFTP gives its first block")
    a.send(udp(gw, A, ra[0], "192.168.108.2", 5001, 69, b"\0\1../secret\0octet\0"))
    f = a.wait(lambda f: f[12:14] == b"\x08\x00" and f[23] == 17 and f[36:38] == struct.pack("!H", 5001))
    ok(f and f[42:44] == b"\0\5", "and nothing outside its folder")
    # IPv6: a router solicitation (RFC 4861 4.1) is answered with the network's prefix.
    src, dst = socket.inet_pton(socket.AF_INET6, "fe80::20c:29ff:fe00:a"), socket.inet_pton(socket.AF_INET6, "ff02::2")
    icmp = b"\x85\0\0\0\0\0\0\0\1\1" + mac(A)
    icmp = icmp[:2] + struct.pack("!H", csum(src + dst + struct.pack("!II", len(icmp), 58) + icmp)) + icmp[4:]
    a.send(mac("33:33:00:00:00:02") + mac(A) + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(icmp), 58, 255) + src + dst + icmp)
    f = a.wait(lambda f: f[12:14] == b"\x86\xdd" and f[54] == 134)
    ok(f and socket.inet_pton(socket.AF_INET6, "fd00:168:108::") in f, "IPv6: the router advertises fd00:168:108::/64")
    a.close(), b.close()


def configuration():
    h = Home()
    h.write('# my networks\nvmnet2.type = "hostonly"\nvmnet2.hostInterface = "FALSE"\nvmnet2.subnet = "10.7.0.0/16"\n\n'
            'vmnet2.dhcp.first = "10.7.0.5"\nvmnet2.dhcp.last = "10.7.0.6"\nvmnet2.dhcp.reservation0 = "%s 10.7.1.1"\n'
            'vmnet3.subnet = "10.8.0.1/16"\nvmnet4.colour = "red"\nthis is nothing\n' % A)
    h.start()
    rc, out = h.run("check")
    lines = out.splitlines()
    ok(rc == 1 and len(lines) == 3, "three problems are found")
    ok(lines[0].startswith(h.conf + ':9: vmnet3.subnet = "10.8.0.1/16": '), "file, line, key and value: " + lines[0])
    ok(any(":10: vmnet4.colour" in x for x in lines) and any(":11: " in x for x in lines), "each of them")
    a, b, c, d = (h.port(network="vmnet2", mac=m, name=m) for m in (A, B, C, X))
    same(a.lease()[0], "10.7.1.1", "a reservation holds")
    ips = sorted(x.lease()[0] for x in (b, c))
    same(ips, ["10.7.0.5", "10.7.0.6"], "the range is used up")
    ok(d.lease(0.4) is None, "and no more is given")
    before = open(h.conf).read()
    same(h.run("set", "vmnet2.dhcp.last", "10.7.0.9")[0], 0, "a value is changed")
    same(open(h.conf).read(), before.replace("10.7.0.6", "10.7.0.9"), "and nothing else in the file")
    ok(d.lease()[0] in ("10.7.0.7", "10.7.0.8", "10.7.0.9"), "it holds at once")
    same(h.run("get", "vmnet2.dhcp.last"), (0, "10.7.0.9\n"), "it can be read")
    before = open(h.conf).read()
    rc, out = h.run("set", "vmnet2.dhcp.last", "10.9.0.9")
    ok(rc == 1 and "not in the network" in out, "what is wrong is refused: " + out.strip())
    same(open(h.conf).read(), before, "and not written")
    for text, why in (("vmnet20", "named vmnet0 to vmnet19"), ("eth0", "named vmnet0 to vmnet19"), ("vmnet07", "named")):
        try:
            h.port(network=text, mac=A)
            ok(False, "network %s is refused" % text)
        except Refused as e:
            ok(why in str(e), "network %s is refused" % text)
    for p in (a, b, c, d):
        p.close()
    h.end()


def process(h):
    same((h.status("NoNewPrivs"), h.status("Seccomp")), ("1", "2"), "no new privileges, and a filter")
    same(oct(os.stat(h.sock).st_mode & 0o777), "0o600", "the socket is the owner's")
    # The thread that moves frames asks for short time slices (Linux 6.12 and later tell them).
    slices = {}
    for t in os.listdir("/proc/%d/task" % h.p.pid):
        try:
            text = open("/proc/%d/task/%s/sched" % (h.p.pid, t)).read()
            slices[open("/proc/%d/task/%s/comm" % (h.p.pid, t)).read().strip()] = [int(x.split(":")[1]) for x in text.split("\n") if x.startswith("se.slice")]
        except OSError:
            pass
    if slices.get("chipset"):
        same(slices["chipset"], [100000], "a frame does not wait behind busy programs")
    else:
        skip("a frame does not wait behind busy programs", "this kernel does not tell time slices")
    if os.getuid() == 0:
        os.chmod(h.dir, 0o755)
        os.chmod(h.dir + "/lodge", 0o755)
        os.chmod(h.sock, 0o666)
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setuid(12345)
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.settimeout(3)
            try:
                s.connect(h.sock)
                s.send(b"list")
                os._exit(1 if s.recv(100) else 0)
            except OSError:
                os._exit(0)
        ok(os.waitpid(pid, 0)[1] == 0, "another user is not served, even if the socket lets him in")
    else:
        skip("another user is not served", "needs root")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(h.sock)
    for junk in (b"\0\0\0", b"attach", b"attach\nnetwork=", b"attach\nnetwork=vmnet2\nmac=xx", b"=" * 4000, b"\xff" * 70000, b"set\nkey=\nvalue=x", b"get\nkey="):
        try:
            s.send(junk)
            recv_msg(s, 0.5)
        except (OSError, UnicodeError):
            s.close()
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect(h.sock)
    s.close()
    rc, out = h.run("list")
    ok(rc == 0 and "vmnet8 nat" in out, "rubbish on the control socket harms nothing")
    a = h.port(network="vmnet2", mac=A)
    time.sleep(3.6)
    ok(h.p.poll() is None, "the process stays while it has a port")
    a.close()
    try:
        h.p.wait(PATIENCE)
        ok(h.p.returncode == 0 and not os.path.exists(h.sock), "and ends by itself after the last")
    except Exception:
        ok(False, "and ends by itself after the last")
    rc, out = h.run("list")
    ok(rc == 0 and "vmnet1 hostonly" in out, "it is started again on demand")


os.environ["LODGE_NETHELPER"] = "/nonexistent/lodge-nethelper"
h = Home().start()
for part in (switching, twins, leases, nat, flood):
    part(h)
process(h)
h.end()
configuration()
done()
