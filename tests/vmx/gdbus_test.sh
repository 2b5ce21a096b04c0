#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The examples of docs/control-api.md, with gdbus against a real machine.
vmx=${LODGE_VMX:-./lodge-vmx}
command -v gdbus >/dev/null && [ -x "$vmx" ] && [ -e /usr/share/seabios/bios-256k.bin ] || {
    echo "1..0 # SKIP gdbus, lodge-vmx or SeaBIOS is not there"
    exit 0
}
vmx=$(realpath "$vmx")
dir=$(mktemp -d)
export XDG_RUNTIME_DIR="$dir"
trap 'kill $pid 2>/dev/null; rm -rf "$dir"' EXIT
cat >"$dir/debian.vmx" <<EOT
config.version = "8"
virtualHW.version = "20"
memsize = "16"
ide1:0.present = "TRUE"
ide1:0.deviceType = "cdrom-raw"
EOT
truncate -s 65536 "$dir/tools.iso"
n=0
ok() {
    n=$((n + 1))
    name=$1 want=$2
    shift 2
    out=$("$@" 2>&1)
    case $out in
    *"$want"*) echo "ok $n - $name" ;;
    *) printf 'not ok %d - %s\n# %s\n' $n "$name" "$(echo "$out" | tr '\n' ' ')" ;;
    esac
}
ADDR=$("$vmx" --address "$dir/debian.vmx")
"$vmx" "$dir/debian.vmx" >/dev/null 2>&1 &
pid=$!
vm() { m=$1; shift; gdbus call --address "$ADDR" --dest org.lodge.Vm1 --object-path /org/lodge/Vm1 --method "org.lodge.Vm1.$m" "$@"; }
prop() { gdbus call --address "$ADDR" --dest org.lodge.Vm1 --object-path /org/lodge/Vm1 --method org.freedesktop.DBus.Properties.Get org.lodge.Vm1 "$1"; }
i=0
while ! prop State 2>/dev/null | grep -q "'on'" && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
ok "prop State" "<'on'>" prop State
ok "prop Engine" "<'bt'>" prop Engine
ok "introspection" "method" gdbus introspect --address "$ADDR" --dest org.lodge.Vm1 --object-path /org/lodge/Vm1
ok "Pause" "()" vm Pause
ok "Pause twice" "org.lodge.Error.Busy" vm Pause
ok "Resume" "()" vm Resume
ok "Reset" "()" vm Reset
ok "PressKeys" "()" vm PressKeys "['ctrl', 'alt', 'del']"
ok "TypeText" "()" vm TypeText "root"
ok "Key" "()" vm Key 4 true
ok "Key up" "()" vm Key 4 false
ok "PointerTo" "()" vm PointerTo 32768 32768
ok "PointerIsAbsolute" "(false,)" vm PointerIsAbsolute
ok "PointerButton" "()" vm PointerButton 0 true
ok "ChangeMedium" "()" vm ChangeMedium ide1:0 "$dir/tools.iso" true
ok "ChangeMedium, eject" "()" vm ChangeMedium ide1:0 "" true
ok "GetConfig" "'memsize': '16'" vm GetConfig
ok "SetConfig" "()" vm SetConfig memsize 1024
ok "the file has it" 'memsize = "1024"' cat "$dir/debian.vmx"
ok "UnsetConfig" "()" vm UnsetConfig annotation
ok "CheckConfig" "(" vm CheckConfig
ok "GetStatistics" "'vcpu.runs': " vm GetStatistics
ok "PowerOff" "()" vm PowerOff
wait $pid
ok "exit status" "0" echo $?
echo "1..$n"
