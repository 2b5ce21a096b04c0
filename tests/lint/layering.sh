#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Who may include whom: ARCHITECTURE.md, "layers". Looks at the #include "..." and at some <...> lines of every source file.
cd "${srcdir:-.}" || exit 99
echo 1..1
bad=$(find engine hostdriver vmx vmnet app ui -name '*.[chS]' 2>/dev/null | sort | xargs awk '
function may(from, to, hdr, file) {
    if (to == "base") return 1
    if (from == to) return 1                                     # own folder; foreign _private.h is checked by the caller
    if (from == "engine/base") return 0
    if (hdr ~ /^gen\//) return 1
    if (from ~ /^(app|ui)$/) return to ~ /^(ui|app|resources)$/ && !(from == "ui" && to == "app") || hdr ~ /^(config|api)\//
    if (from == "vmx/config") return 0
    if (from == "engine/core") return 0
    if (to == "core") return hdr != "core/vm_private.h"
    if (from == "engine/cpu") return 0
    if (from == "engine/bt") return to == "cpu"
    # Interface headers: what a device and its host side both know. Never a device.
    if (hdr ~ /^(block\/blk|net\/net|audio\/audio|usb\/usb|pci\/pci|display\/surface|input\/input|input\/ps2|serial\/char)\.h$/) return 1
    if (from ~ /^engine\//) return hdr ~ /^(chipset\/isa_dma)\.h$/
    if (from ~ /^hostdriver/) return to ~ /^hostdriver/ || hdr ~ /^cpu\/(cpustate|cpu)\.h$/ || hdr ~ /^block\/hostio\.h$/
    if (from == "vmx" && hdr ~ /^net\/(hostnet|capture|filter|vmnet|launcher)\.h$/) return 1
    if (file ~ /^vmx\/net_/) return 1                             # adapters and networks: the composition root of that part
    if (file ~ /^vmx\/gdb/ && hdr == "cpu/cpustate.h") return 1 # the debugger shows the state
    # vmx: only the composition root names concrete devices and back ends.
    if (from == "vmx") return to == "api" || file ~ /^vmx\/machine/ || to ~ /^(vmx|config|hostdriver|display|input|guest)/ || hdr ~ /^block\//
    if (from == "vmnet") return to ~ /^(vmnet|hostdriver)/ || hdr ~ /^(config\/(vmx_dict|netconf)|net\/switch)\.h$/
    if (from == "vmx/tools") return to ~ /^(vmx|config|block|hostdriver)/
    return 1
}
function folder(path,   a, n) {
    n = split(path, a, "/")
    if (a[1] == "engine" || (a[1] == "vmx" && n > 2)) return a[1] "/" a[2]
    return a[1] == "hostdriver" && n > 2 ? "hostdriver/" a[2] : a[1]
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, q, "\""); hdr = q[2]; from = folder(FILENAME)
    n = split(hdr, a, "/")
    if (n == 1) next                                             # beside the file
    to = a[1]
    if ((from == "engine/" to) || (from == "hostdriver/" to) || (from == "vmx/" to)) to = from
    else if (to ~ /^(file|mem|kvm|audio_host|timer|helper|nethost|net)$/) to = "hostdriver/" to
    if (hdr ~ /_private\.h$/ && to != from) { print FILENAME ":" FNR ": " hdr " is private to its folder"; next }
    if (from == "engine/core" && to == "vm_private.h") next
    if (!may(from, to, hdr, FILENAME)) print FILENAME ":" FNR ": may not include " hdr
}
/^[ \t]*#[ \t]*include[ \t]*<(glib|gio|gtk|gdk|sys\/socket|netinet|rfb)/ && FILENAME ~ /^engine\// {
    print FILENAME ":" FNR ": engine/ is plain C11, no sockets: " $0
}
/^[ \t]*#[ \t]*include[ \t]*<(gtk|gdk)/ && FILENAME !~ /^(app|ui)\// { print FILENAME ":" FNR ": GTK outside app/ and ui/: " $0 }
')
if [ -z "$bad" ]; then
    echo "ok 1 - includes follow the layers"
else
    echo "not ok 1 - includes follow the layers"
    echo "$bad" | sed 's/^/# /'
fi
