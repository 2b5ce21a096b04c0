#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes a raw disk image with a small Debian system (systemd, serial login, root's password "lodge"), unless it is there.
#
#   mkdebian.sh IMAGE [ARCH]
#
# Needs root for debootstrap's chroot (sudo is not asked); exits with 77 otherwise. The image is written without mounting:
# mke2fs fills the file system from the tree, and GRUB's two images are put in place by hand.
set -eu

image=$1 arch=${2:-amd64}
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/sbin:/usr/sbin
[ ! -e "$image" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "debootstrap needs root"; exit 77; }
command -v debootstrap >/dev/null || { echo "debootstrap is not installed"; exit 77; }

# The archive that this host itself uses.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
    awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || { echo "no bookworm archive among this host's apt sources (or run apt-get update first)"; exit 77; }

mkdir -p "$(dirname "$image")"
work=$(mktemp -d "$(dirname "$image")/.debian.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
root=$work/root
kernel=linux-image-amd64
[ "$arch" = amd64 ] || kernel=linux-image-686-pae
echo "mkdebian: debootstrap ..." >&2
debootstrap --arch="$arch" --variant=minbase --include="$kernel,systemd-sysv,udev,dbus,initramfs-tools,kmod,procps,iproute2,login,passwd" \
    bookworm "$root" "$mirror" >"$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 1; }

echo "root:lodge" | chroot "$root" chpasswd
echo lodge >"$root/etc/hostname"
echo "/dev/sda1 / ext4 defaults 0 1" >"$root/etc/fstab"
rm -rf "$root/var/cache/apt/archives"/*.deb "$root/var/lib/apt/lists"/*deb* "$root/var/log/bootstrap.log"
for mp in "$root/proc" "$root/sys"; do
    if mountpoint -q "$mp"; then umount "$mp"; fi
done
version=$(ls "$root/lib/modules")
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<END
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
linux /boot/vmlinuz-$version root=/dev/sda1 ro console=tty0 console=ttyS0,115200
initrd /boot/initrd.img-$version
boot
END

echo "mkdebian: disk image ..." >&2
size_mb=1536
truncate -s $((size_mb + 1))M "$work/disk"
mke2fs -q -t ext4 -d "$root" -E offset=$((2048 * 512)) "$work/disk" ${size_mb}M
cat >"$work/early.cfg" <<'END'
set root=(hd0,msdos1)
set prefix=(hd0,msdos1)/boot/grub
configfile /boot/grub/grub.cfg
END
grub-mkimage -O i386-pc -o "$work/core.img" -p '(hd0,msdos1)/boot/grub' -c "$work/early.cfg" \
    biosdisk part_msdos ext2 linux normal configfile serial terminal boot test echo
[ "$(stat -c %s "$work/core.img")" -le $((2047 * 512)) ] || { echo "GRUB's core image is too big"; exit 1; }
dd if=/usr/lib/grub/i386-pc/boot.img of="$work/disk" bs=440 count=1 conv=notrunc status=none
# The partition table: one active Linux partition from sector 2048 on, then the signature.
le32() { printf "\\$(printf %03o $(($1 & 255)))\\$(printf %03o $(($1 >> 8 & 255)))\\$(printf %03o $(($1 >> 16 & 255)))\\$(printf %03o $(($1 >> 24)))"; }
{ printf '\200\040\041\000\203\376\377\377'; le32 2048; le32 $((size_mb * 2048)); } |
    dd of="$work/disk" bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of="$work/disk" bs=1 seek=510 conv=notrunc status=none
dd if="$work/core.img" of="$work/disk" bs=512 seek=1 conv=notrunc status=none
mv "$work/disk" "$image"
