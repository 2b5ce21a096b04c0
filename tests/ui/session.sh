#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# session.sh COMMAND...: runs it on an X server, message bus and home of its own, with a window manager and assistive technology when they are there.
# Status 77 when there is no Xvfb or no message bus.
for t in Xvfb dbus-daemon; do command -v $t >/dev/null || exit 77; done
dir=$(mktemp -d "${TMPDIR:-/tmp}/lodge-ui.XXXXXX") || exit 99
pids=
cleanup() {
    for p in $pids; do kill "$p" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 99' INT TERM HUP
mkdir -m 700 "$dir/run" "$dir/home"
export HOME="$dir/home" XDG_RUNTIME_DIR="$dir/run" XDG_DATA_HOME="$dir/data" XDG_CONFIG_HOME="$dir/config" XDG_CACHE_HOME="$dir/cache" TMPDIR="$dir"
export GSETTINGS_BACKEND=memory GDK_BACKEND=x11 GTK_THEME=${LODGE_TEST_THEME:-Adwaita} LC_ALL=${LODGE_TEST_LOCALE:-C.UTF-8} LANGUAGE=${LODGE_TEST_LANGUAGE:-}
export GTK_MODULES= NO_AT_BRIDGE=${NO_AT_BRIDGE:-0} GIO_USE_VFS=local GTK_USE_PORTAL=0
unset WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS
Xvfb -displayfd 3 -screen 0 "${LODGE_TEST_SCREEN:-1280x900x24}" -nolisten tcp $LODGE_TEST_XVFB 3>"$dir/display" >"$dir/xvfb.log" 2>&1 &
pids="$pids $!"
n=0
while [ ! -s "$dir/display" ]; do
    n=$((n + 1))
    [ $n -lt 1200 ] || { cat "$dir/xvfb.log" >&2; exit 77; }
    sleep 0.1
done
DISPLAY=:$(cat "$dir/display")
export DISPLAY
dbus-daemon --session --print-address=4 --nofork 4>"$dir/bus" >/dev/null 2>&1 &
pids="$pids $!"
n=0
while [ ! -s "$dir/bus" ]; do
    n=$((n + 1))
    [ $n -lt 1200 ] || exit 77
    sleep 0.1
done
DBUS_SESSION_BUS_ADDRESS=$(cat "$dir/bus")
export DBUS_SESSION_BUS_ADDRESS
if [ -z "$NO_MANAGER" ] && command -v openbox >/dev/null; then
    openbox >/dev/null 2>&1 &
    pids="$pids $!"
    n=0
    while command -v xdotool >/dev/null && ! xdotool get_num_desktops >/dev/null 2>&1 && [ $n -lt 600 ]; do
        sleep 0.1
        n=$((n + 1))
    done
fi
"$@"
