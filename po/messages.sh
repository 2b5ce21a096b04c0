#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# messages.sh: the sentences that a user of the window can meet, as lodge-vmx and its libraries say them, for app/app-translate.c: their format
# strings are taken from the sources, so that nobody keeps a list. Those with the most words of their own come first: a sentence that two formats
# fit is the more special one's. Sentences of a guest's or a programmer's mistakes are only in logs, and are not here.
cd "$(dirname "$0")/.." || exit 1
# What only a program or a debugger asks for, and what cannot happen, stays in English.
not='saved state\|internal error\|left out\|rtnetlink\|VMware IDE CDR\|Unknown request\|gone again\|hared memory\|is none\.\|are none\|ESX.s own\|debugStub\|stress mode\|Another lodge-nethelper\|address is none\|is no device\|Capabilities\|method is auto\|macvtap needs\|longer than 64\|is no text\.\|keys name\|Connecting to\|no more processes\|cannot start programs\|buttons are\|no key \\"\|key.s name\|multiple of %s\|more than 999\|sparse disk of\|disk of %llu\|room for\|until then\|write one of "$'
echo '/* SPDX-License-Identifier: GPL-2.0-or-later */'
echo '/* Sentences of lodge-vmx. Made by po/messages.sh (make update-po). */'
files="vmx/plan.c vmx/net_plan.c vmx/net_link.c vmx/power.c vmx/control.c vmx/control_net.c vmx/machine.c vmx/machine_drives.c vmx/machine_engine.c
    vmx/hostmem.c vmx/thrift.c vmx/nvram.c vmx/screen.c vmx/screen_listen.c vmx/config/*.c engine/base/*.c engine/block/*.c
    engine/storage/ide.c engine/bt/bt_main.c hostdriver/file/*.c hostdriver/mem/guestmem.c hostdriver/kvm/kvm_probe.c
    hostdriver/net/nat.c hostdriver/net/vmnet.c hostdriver/net/launcher.c hostdriver/net/capture.c hostdriver/helper/main.c
    hostdriver/helper/allow.c hostdriver/helper/caps.c vmx/tools/vdisk.c vmx/tools/vdiskmanager.c"
take() { # shellcheck disable=SC2086
    xgettext --from-code=UTF-8 -L C --no-wrap --force-po -o - -k "$@" $files 2>/dev/null
}
# One function may be asked for one argument at a time only.
{
    take -kerr_set:4 -kerr_prefix:2 -kproblem:4 -kreport:4 -kfn:5 -ksay:3 -kWRONG:2 -ksnprintf:3 -kreadable:3 -kfind_firmware:3 -kanswer_error:2 \
        -kg_dbus_method_invocation_return_dbus_error:3 -kg_strdup_printf:1 -kchanged:4
    take -kproblem:5 -kreport:3 -kreadable:5
} |
    sed -n 's/^msgid \("..*"\)$/\1/p' | grep -v "$not" | LC_ALL=C sort -u |
    LC_ALL=C awk '{
        words = $0
        gsub(/%[0-9.*]*(l|ll|z|<PRI[a-z0-9]*>)?[a-zA-Z]?/, "", words)
        spaces = gsub(/ /, " ", words)
        letters = gsub(/[A-Za-z]/, "&", words)
        if (spaces && letters > 7) printf "%06d %s\n", length(words), $0
    }' | LC_ALL=C sort -k1,1r -k2 | sed 's/^[0-9]* \(.*\)$/N_(\1),/; s/%<PRI[a-z]*[0-9]*>/%lld/g'
