#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every header compiles alone, and twice (include guard).
srcdir=${srcdir:-.}
flags="-std=gnu11 -fsyntax-only -Wall -Wextra -Wno-unused-parameter -I$srcdir/engine -I$srcdir/hostdriver -I$srcdir/vmx -I$srcdir -I$srcdir/tests -I. -D_GNU_SOURCE"
flags="$flags $(pkg-config --cflags glib-2.0 gio-2.0 gio-unix-2.0 libvncserver 2>/dev/null)"
list=$(cd "$srcdir" && find engine hostdriver vmx vmnet tests app ui -name '*.h' 2>/dev/null | sort)
echo "1..1"
bad=
for h in $list; do
    case $h in
    app/* | ui/* | tests/ui/*) pkg-config --exists gtk+-3.0 || continue; extra=$(pkg-config --cflags gtk+-3.0) ;;
    *) extra= ;;
    esac
    # shellcheck disable=SC2086
    out=$(printf '#include "%s"\n#include "%s"\n' "$h" "$h" | ${CC:-cc} $flags $extra -x c - 2>&1) || bad="$bad
$h:
$out"
done
if [ -z "$bad" ]; then
    echo "ok 1 - every header compiles alone"
else
    echo "not ok 1 - every header compiles alone"
    echo "$bad" | head -60 | sed 's/^/# /'
fi
