#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# vdisk_test.sh: lodge-vdiskmanager copies disks that qemu-img made, and qemu-img finds them equal; names the files of a disk; removes them, and only
# them; leaves a disk alone that another program has locked; leaves nothing behind when it is stopped.
for t in qemu-img qemu-io python3; do
    command -v $t >/dev/null || { echo "1..0 # SKIP $t is not installed"; exit 0; }
done
tool=$PWD/lodge-vdiskmanager
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 99
n=0
ok() {
    name=$1
    shift
    n=$((n + 1))
    if "$@" >"$dir/.said" 2>&1; then echo "ok $n - $name"; else
        echo "not ok $n - $name"
        sed 's/^/# /' "$dir/.said"
    fi
}
make() {
    qemu-img create -q -f vmdk -o "$1" "$2" "$3"
    qemu-io -f vmdk -c "write -P 0x5a 1M 3M" -c "write -P 0x11 60M 512k" "$2" >/dev/null
}
make subformat=monolithicSparse s.vmdk 96M
make subformat=twoGbMaxExtentSparse t.vmdk 5G
make subformat=monolithicFlat,adapter_type=lsilogic f.vmdk 64M
qemu-img convert -O raw s.vmdk r.img
mkdir new
for from in s.vmdk t.vmdk f.vmdk r.img; do
    for type in 0 1 2 3; do
        [ $from$type = t.vmdk2 ] || [ $from$type = t.vmdk3 ] && continue # 5 GB of real space
        ok "a copy of $from, type $type, is made" "$tool" -r $from -t $type -q new/c.vmdk
        ok "qemu-img finds it equal" qemu-img compare -q $from new/c.vmdk
        ok "its files can be removed" "$tool" -U new/c.vmdk
        ok "all of them" [ -z "$(ls new)" ]
    done
done
ok "the adapter is the source's" sh -c "'$tool' -q -r f.vmdk new/l.vmdk && grep -aq 'ddb.adapterType = \"lsilogic\"' new/l.vmdk"
ok "progress goes up to 100" sh -c "'$tool' -r s.vmdk new/p.vmdk | tail -1 | grep -qx 100"
ok "the size is the source's" sh -c "qemu-img info new/p.vmdk | grep -q '(100663296 bytes)'"
ok "an existing file is not written over" sh -c "! '$tool' -q -r t.vmdk new/p.vmdk && qemu-img compare -q s.vmdk new/p.vmdk"
printf 'format vmdk\nsize 5368709120\ntype 1\nfile t.vmdk\nfile t-s001.vmdk\nfile t-s002.vmdk\nfile t-s003.vmdk\n' >want
ok "the files of a disk are named" sh -c "'$tool' -i t.vmdk | cmp - want"

# Another program has the disk for itself (fcntl(2), F_OFD_SETLK = 37).
python3 -c '
import fcntl, struct, time
f = open("t-s002.vmdk", "r+b")
fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
open("locked", "w").close()
time.sleep(60)' &
holder=$!
while [ ! -e locked ]; do sleep 0.1; done
status() {
    want=$1
    shift
    "$@"
    [ $? -eq "$want" ]
}
ok "a disk in use is not removed" status 3 "$tool" -U t.vmdk
ok "nor copied" status 3 "$tool" -q -r t.vmdk new/u.vmdk
kill $holder
wait $holder 2>/dev/null
ok "and nothing of it is gone" sh -c 'ls t.vmdk t-s001.vmdk t-s002.vmdk t-s003.vmdk && [ ! -e new/u.vmdk ]'
touch t-s004.vmdk t.vmx
ok "a disk is removed" "$tool" -U t.vmdk
ok "and nothing else" [ "$(ls t*)" = "$(printf 't-s004.vmdk\nt.vmx')" ]
qemu-img create -q -f vmdk big.vmdk 1T
ok "a copy is stopped by a signal" status 124 timeout 1 "$tool" -q -r big.vmdk new/b.vmdk
ok "and leaves nothing" sh -c '! ls new/b*'
echo "1..$n"
