#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# weston.sh SCALE PROGRAM: runs a test in a Wayland session whose screen is the X server that $DISPLAY names.
scale=$1
shift
size=$(xdotool getdisplaygeometry)
weston --backend=x11-backend.so --shell=kiosk-shell.so --width=$((${size% *} / scale)) --height=$((${size#* } / scale)) --use-pixman --scale="$scale" --no-config --idle-time=0 --socket=wayland-test \
    >"$XDG_RUNTIME_DIR/weston.log" 2>&1 &
w=$!
for i in $(seq 600); do
    [ -S "$XDG_RUNTIME_DIR/wayland-test" ] && break
    sleep 0.1
done
[ -S "$XDG_RUNTIME_DIR/wayland-test" ] || { echo "1..0 # SKIP weston does not start here"; kill $w; exit 0; }
GDK_BACKEND=wayland WAYLAND_DISPLAY=wayland-test "$@"
rc=$?
kill $w
wait $w 2>/dev/null
exit $rc
