# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs a whole Debian, unattended, over the network, with Debian's installer and with debootstrap. By hand: "boot_test.py install-vmxnet3",
"boot_test.py debootstrap-vmxnet3". Part of boot_test.py."""
import mmap
import os
import shutil
import sys
import time

from boot_test import RUNNER, Guest, Skip, as_vmdk, check, debian_disk, debian_login, fetch, off, test, write
from mirror import Mirror

GATEWAY = "10.0.2.2"
PRESEED = """
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/get_hostname string lodge
d-i netcfg/get_domain string test
d-i hw-detect/load_firmware boolean false
d-i mirror/country string manual
d-i mirror/protocol string http
d-i mirror/http/hostname string {host}
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i mirror/suite string bookworm
d-i passwd/make-user boolean false
d-i passwd/root-password password lodge
d-i passwd/root-password-again password lodge
d-i clock-setup/utc boolean true
d-i clock-setup/ntp boolean false
d-i time/zone string UTC
d-i partman-auto/method string regular
d-i partman-auto/choose_recipe select atomic
d-i partman-partitioning/confirm_write_new_label boolean true
d-i partman/choose_partition select finish
d-i partman/confirm boolean true
d-i partman/confirm_nooverwrite boolean true
d-i partman-basicfilesystems/no_swap boolean false
d-i base-installer/install-recommends boolean false
d-i base-installer/kernel/image string linux-image-amd64
d-i apt-setup/services-select multiselect
d-i apt-setup/cdrom/set-first boolean false
tasksel tasksel/first multiselect
d-i pkgsel/upgrade select none
d-i pkgsel/update-policy select none
popularity-contest popularity-contest/participate boolean false
d-i grub-installer/only_debian boolean true
d-i grub-installer/bootdev string /dev/sda
d-i finish-install/reboot_in_progress note
d-i debian-installer/exit/poweroff boolean true
"""


def look_at_new_system(disk, net):
    """It boots, has an address by DHCP, and gets package lists from the mirror."""
    with Guest("installed", disk=disk, mem=1024, vcpus=2, keys=net) as g:
        debian_login(g, "lodge login: ", 600)
        g.send("PS1=; stty -echo; cat /etc/debian_version; ip -4 -o addr show scope global; dpkg -l | grep -c ^ii; apt-get -q update; echo UPDATE''D $?\n")
        text = g.expect(r"([\s\S]*)UPDATED (\d+)", 300)
        check(text[2] == b"0" and b"10.0.2.15" in text[1], "the new system has no network: %s" % text[1].decode())
        g.send("poweroff\n")
        off(g, 180)


def empty_disk(work, name, size):
    raw = os.path.join(work, name)
    with open(raw, "wb") as f:
        f.truncate(size)
    return as_vmdk(raw)


@test(quick=False, dev=["vmxnet3", "e1000"])
def test_install(work, dev):
    """The adapter's boot ROM loads Debian's installer from NAT's TFTP; the installer reads its answers and every package from an HTTP server of the
    host's loopback, through NAT, and installs on an IDE disk; the new system boots, gets an address and updates its package lists."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own NAT")
    texts = {}
    mirror = Mirror(texts)
    if not mirror.uri:
        raise Skip("the host's apt names no Debian archive over HTTP")
    try:
        lacks = mirror.lacks("bookworm")
        if lacks:
            raise Skip("the archive of the host's apt (%s) lacks installer components: %s" % (mirror.uri, lacks))
        texts["/preseed.cfg"] = PRESEED.format(host="%s:%d" % (GATEWAY, mirror.port))
        root = fetch("debian-installer-12-netboot-amd64")[0] + "/usr/lib/debian-installer/images/12/amd64/text/"
        tftp = os.path.join(work, "tftp")
        os.makedirs(os.path.join(tftp, "pxelinux.cfg"))
        for f in ("pxelinux.0", "ldlinux.c32", "debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz"):
            shutil.copy(root + f, tftp)
        write(os.path.join(tftp, "pxelinux.cfg", "default"),
              "serial 0 115200\ndefault d-i\nlabel d-i\nkernel linux\nappend initrd=initrd.gz console=ttyS0 auto=true priority=critical "
              "url=http://%s:%d/preseed.cfg DEBIAN_FRONTEND=text\n" % (GATEWAY, mirror.port))
        disk = empty_disk(work, "disk.img", 4 << 30)
        net = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.connectionType": "nat", "ethernet0.natTftp": tftp,
               "ethernet0.natBootFile": "pxelinux.0"}
        with Guest("install", disk=disk, mem=1024, vcpus=2, keys=dict(net, **{"bios.bootOrder": "ethernet0"})) as g:
            start = time.monotonic()
            for pattern, what in (
                    (r"Linux version \d", "the installer's kernel runs"), (r"Detecting network hardware|Configuring the network", "network"),
                    (r"Downloading .*Release|Checking the Debian archive mirror|Loading additional components", "mirror"),
                    (r"Starting up the partitioner|Partitions formatting|Partition disks|Creating ext4", "partitions"),
                    (r"Installing the base system", "base system"), (r"Installing GRUB|Install the GRUB", "boot loader"),
                    (r"Finishing the installation", "finish"), (r"Power down|reboot: ", "power off")):
                g.expect(pattern, 3600, fail=r"Kernel panic|An installation step failed|Bad archive mirror|!! ERROR|\[!!\]")
                print("# %5.1f min %s; mirror: %s" % ((time.monotonic() - start) / 60, what, mirror.got), file=sys.stderr, flush=True)
            g.wait(120)
        net.pop("ethernet0.natBootFile")
        look_at_new_system(disk, net)
    finally:
        mirror.close()


def without_disk_names(raw):
    """The cached system calls its disk sda, and with a second disk that may be the other one: Linux looks at them at the same time. In place, in this copy: text
    of the same length in grub.cfg, the partition's name by a signature in the MBR, and no line in fstab."""
    with open(raw, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[440:444] = bytes.fromhex("1de65e10")
        for old, new in ((b"root=/dev/sda1 ro console=tty0 ", b"root=PARTUUID=105ee61d-01 rw   "), (b"/dev/sda1 / ext4 defaults 0 1", b"# the kernel has mounted it  ")):
            at = m.find(old)
            check(at >= 0 and len(old) == len(new), "the cached system has no %s" % old)
            m[at:at + len(old)] = new


INSTALL = r"""set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
apt-get -qq update; echo "STAGE update"
apt-get -qq install --no-install-recommends debootstrap e2fsprogs fdisk >/dev/null; echo "STAGE tools"
for d in sda sdb; do [ -e /dev/${d}1 ] || disk=/dev/$d; done
echo 'start=2048, type=83, bootable' | sfdisk -q $disk
mkfs.ext4 -q ${disk}1; mount ${disk}1 /mnt
debootstrap --variant=minbase --include=linux-image-amd64,grub-pc,systemd-sysv,udev,dbus,iproute2,initramfs-tools bookworm /mnt http://{host}/debian | grep -E '^I: (Base|Unpacking the|Configuring the|Installing core)' || true
echo "STAGE debootstrap"
for d in dev proc sys; do mount --bind /$d /mnt/$d; done
echo "UUID=$(blkid -s UUID -o value ${disk}1) / ext4 errors=remount-ro 0 1" >/mnt/etc/fstab
echo lodge >/mnt/etc/hostname
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n' >/mnt/etc/systemd/network/lan.network
echo root:lodge | chroot /mnt chpasswd
chroot /mnt systemctl -q enable systemd-networkd
sed -i 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="console=ttyS0"/; s/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=0/' /mnt/etc/default/grub
chroot /mnt grub-install $disk 2>&1 | tail -1; chroot /mnt update-grub 2>&1 | tail -1
umount -R /mnt; sync; echo "STAGE boot-loader"
"""


@test(quick=False, dev=["vmxnet3", "e1000"])
def test_debootstrap(work, dev):
    """A running Debian fetches its tools and then every package of another Debian through NAT from an HTTP server of the host's loopback, all
    signatures and sums checked by apt and debootstrap, onto a second disk, which then boots. For archives without the installer's components, too."""
    if RUNNER == "qemu":
        raise Skip("Lodge's own NAT")
    texts = {}
    mirror = Mirror(texts)
    if not mirror.uri:
        raise Skip("the host's apt names no Debian archive over HTTP")
    first = debian_disk(work, "first.img")
    without_disk_names(os.path.join(work, "first.img"))
    host = "%s:%d" % (GATEWAY, mirror.port)
    texts["/install"] = INSTALL.replace("{host}", host)
    try:
        new = empty_disk(work, "second.img", 3 << 30)
        net = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": dev, "ethernet0.connectionType": "nat"}
        with Guest("debootstrap", disk=first, mem=1024, vcpus=2,
                   keys=dict(net, **{"ide0:1.present": "TRUE", "ide0:1.fileName": new})) as g:
            debian_login(g)
            g.send("PS1=; stty -echo; n=$(ls /sys/class/net | grep -v lo); ip link set $n up; ip addr add 10.0.2.15/24 dev $n; ip route add default via %s; "
                   "echo 'deb http://%s/debian bookworm main' >/etc/apt/sources.list; "
                   "/usr/lib/apt/apt-helper download-file http://%s/install /tmp/install && sh /tmp/install; echo RESULT $?\n" % (GATEWAY, host, host))
            start = time.monotonic()
            for stage in ("update", "tools", "debootstrap", "boot-loader"):
                g.expect(r"STAGE %s" % stage, 3600, fail=r"Kernel panic|RESULT [1-9]|RESULT 0")
                print("# %5.1f min %s; mirror: %s" % ((time.monotonic() - start) / 60, stage, mirror.got), file=sys.stderr, flush=True)
            g.expect(r"RESULT 0", 60)
            g.send("poweroff\n")
            off(g, 180)
        look_at_new_system(new, net)
    finally:
        mirror.close()
