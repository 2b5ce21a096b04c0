#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes an initramfs with a busybox userland.
#
#   mkinitrd.sh [-a ARCH] [-k KERNEL_PACKAGE_DIR -m MODULE]... -i INIT OUT [FILE=PATH_IN_GUEST]...
#
# INIT is the script that becomes /init; it finds the usual directories mounted when it starts with ". /lib/setup".
# -m adds a kernel module and what it depends on; /lib/setup loads the ones that were named.
set -eu

arch=amd64 kernel='' modules='' init=''
while getopts a:k:m:i: o; do
    case $o in
    a) arch=$OPTARG ;;
    k) kernel=$OPTARG ;;
    m) modules="$modules $OPTARG" ;;
    i) init=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
out=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
PATH=$PATH:/sbin:/usr/sbin

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/root" "$root/lib" "$root/etc"
ln -s bin "$root/sbin"
busybox=$("$here/fetch.sh" "busybox-static:$arch")
cp "$busybox/bin/busybox" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
cp "$init" "$root/init"
chmod 755 "$root/init"
cat >"$root/lib/setup" <<'END'
export PATH=/bin HOME=/root TERM=linux
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts 2>/dev/null
hostname lodge
[ ! -e /lib/modules.load ] || while read -r m; do modprobe "$m" || echo "modprobe $m failed"; done </lib/modules.load
END
if [ -n "$modules" ]; then
    version=$(ls "$kernel/lib/modules")
    [ -e "$kernel/lib/modules/$version/modules.dep" ] || depmod -b "$kernel" "$version"
    mkdir -p "$root/lib/modules/$version"
    for m in $modules; do
        modprobe -d "$kernel" -S "$version" --show-depends "$m" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | sort -u | while read -r f; do
        rel=${f#"$kernel"}
        mkdir -p "$root${rel%/*}"
        cp "$f" "$root$rel"
    done
    cp "$kernel/lib/modules/$version/modules.order" "$kernel/lib/modules/$version/modules.builtin" \
        "$kernel/lib/modules/$version/modules.builtin.modinfo" "$root/lib/modules/$version/"
    depmod -b "$root" "$version"
    for m in $modules; do echo "$m"; done >"$root/lib/modules.load"
fi
for f in "$@"; do
    mkdir -p "$(dirname "$root/${f#*=}")"
    cp -L "${f%%=*}" "$root/${f#*=}"
done
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$out"
