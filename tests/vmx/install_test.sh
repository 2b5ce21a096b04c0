#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make install to a prefix and through DESTDIR: the installed programs run, find each other and their data; uninstall leaves nothing.
[ -f Makefile ] && [ -x lodge-vmx ] && [ -e /usr/share/seabios/bios-256k.bin ] || {
    echo "1..0 # SKIP not in a build folder, or SeaBIOS is not there"
    exit 0
}
n=0
ok() {
    n=$((n + 1))
    name=$1
    shift
    out=$("$@" 2>&1) && echo "ok $n - $name" || printf 'not ok %d - %s\n# %s\n' $n "$name" "$(echo "$out" | tail -n 5 | tr '\n' ' ')"
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset MAKEFLAGS MAKELEVEL
p=$dir/somewhere/prefix
ok "make install DESTDIR" make -s install DESTDIR="$dir/stage"
prefix=$(make -s -f - show <<'END'
include Makefile
show: ; @echo $(prefix)
END
)
outside() { [ -z "$(find "$dir/stage" -type f ! -path "$dir/stage$prefix/*" ! -path "$dir/stage/etc/*")" ]; }
ok "... all of it lies under the prefix" outside
ok "make install prefix" make -s install prefix="$p"
cp -r "$p" "$dir/moved"
for root in "$p" "$dir/moved" "$dir/stage$prefix"; do
    what=$(echo "$root" | sed "s|$dir/||")
    for prog in lodge-vmx lodge-vdiskmanager lodge-vmnet; do
        ok "$what: $prog --version" sh -c "cd / && '$root/bin/$prog' --version | grep -q '^$prog [0-9]'"
    done
    [ ! -x lodge ] || ok "$what: lodge --version" sh -c "cd / && '$root/bin/lodge' --version | grep -q '[0-9]'"
    ok "$what: manual pages" sh -c "man -l '$root/share/man/man1/lodge-vmx.1' 2>/dev/null | grep -q lodge-vmx || gzip -dcf '$root/share/man/man1/lodge-vmx.1' | grep -q lodge-vmx"
done
ok "the desktop's files" sh -c "[ ! -x lodge ] || { ls '$p'/share/applications/*.desktop && ls '$p'/share/icons/hicolor/*/apps; }"

# A machine of the installed program, on a virtual network, so that it needs the installed lodge-vmnet.
mkdir "$dir/vm" "$dir/run" "$dir/home"
cat >"$dir/vm/a.vmx" <<END
config.version = "8"
virtualHW.version = "20"
memsize = "16"
monitor.virtual_exec = "software"
ethernet0.present = "TRUE"
ethernet0.connectionType = "hostonly"
END
"$dir/moved/bin/lodge-vdiskmanager" -c -s 1MB -t 0 "$dir/vm/a.vmdk" >/dev/null
printf 'ide0:0.present = "TRUE"\nide0:0.fileName = "a.vmdk"\n' >>"$dir/vm/a.vmx"
run() {
    cd / && XDG_RUNTIME_DIR="$dir/run" HOME="$dir/home" "$dir/moved/bin/lodge-vmx" -q "$dir/vm/a.vmx" >"$dir/out" 2>&1 &
    pid=$!
    i=0
    while ! grep -q 'State: on' "$dir/vm/vmware.log" 2>/dev/null && [ $i -lt 1200 ]; do
        sleep 0.1
        i=$((i + 1))
    done
    pgrep -f "^$dir/moved/bin/lodge-vmnet" >"$dir/vmnet"
    kill $pid
    wait $pid || return 1
    grep -q 'State: on' "$dir/vm/vmware.log" || { cat "$dir/out" "$dir/vm/vmware.log" && return 1; }
}
ok "a machine of an installation that was moved runs" run
ok "... its virtual network is that installation's lodge-vmnet" test -s "$dir/vmnet"
while read -r pid; do kill "$pid"; done <"$dir/vmnet"
ok "make uninstall" make -s uninstall prefix="$p"
left() { [ -z "$(find "$p" -type f | grep -v '/mimeinfo.cache$\|/icon-theme.cache$\|/gschemas.compiled$\|/share/mime/')" ] || { find "$p" -type f; return 1; }; }
ok "... leaves nothing" left
echo "1..$n"
