#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes a bootable CD image with GRUB.
#
#   mkiso.sh OUT.iso GRUB_CFG [FILE=PATH_ON_CD]...
#
# GRUB_CFG is the text of grub.cfg, put after a preamble that gives GRUB a serial console beside the screen.
set -eu

out=$1 cfg=$2
shift 2
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/boot/grub"
{
    [ -n "${NO_SERIAL:-}" ] || printf '%s\n' 'serial --unit=0 --speed=115200' 'terminal_input console serial' \
        'terminal_output console serial'
    printf '%s\n' 'set timeout=0' 'set default=0' "$cfg"
} >"$tree/boot/grub/grub.cfg"
for f in "$@"; do
    mkdir -p "$(dirname "$tree/${f#*=}")"
    # Hard links keep this quick; the image is a copy anyway.
    cp -lL "${f%%=*}" "$tree/${f#*=}" 2>/dev/null || cp -L "${f%%=*}" "$tree/${f#*=}"
done
grub-mkrescue -d "${GRUB_DIR:-/usr/lib/grub/i386-pc}" -o "$out.tmp" "$tree" -- -volid LODGE >"$out.log" 2>&1 || {
    cat "$out.log" >&2
    exit 1
}
rm -f "$out.log"
mv "$out.tmp" "$out"
