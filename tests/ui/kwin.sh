#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# kwin.sh SCALE PROGRAM: runs a test in a Wayland session of KWin that scales by fractions; its screen is the X server that $DISPLAY names.
scale=$1
shift
size=$(xdotool getdisplaygeometry)
of() { awk "BEGIN { print $1 / $scale }"; } # application pixels
# It has file capabilities, with which it does not start where they are withheld; a copy has none.
kwin=$(command -v kwin_wayland)
"$kwin" --version >/dev/null 2>&1 || { cp "$kwin" "$XDG_RUNTIME_DIR/kwin_wayland" && kwin=$XDG_RUNTIME_DIR/kwin_wayland; }
dbus-daemon --session --nofork --address="unix:path=$XDG_RUNTIME_DIR/kwin-bus" >/dev/null 2>&1 &
b=$!
HOME=$XDG_RUNTIME_DIR XDG_CONFIG_HOME=$XDG_RUNTIME_DIR XDG_CACHE_HOME=$XDG_RUNTIME_DIR KWIN_COMPOSE=${KWIN_COMPOSE:-Q} QT_QPA_PLATFORM=wayland \
    DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/kwin-bus "$kwin" --x11-display "$DISPLAY" --width "$(of "${size% *}")" --height "$(of "${size#* }")" --scale "$scale" \
    --no-lockscreen --no-global-shortcuts --no-kactivities --socket wayland-kwin >"$XDG_RUNTIME_DIR/kwin.log" 2>&1 &
w=$!
trap 'kill -KILL $w; kill $b' EXIT # a KWin that outlives its X server never ends, and takes a whole processor
trap 'exit 99' INT TERM HUP
for i in $(seq 600); do
    [ -S "$XDG_RUNTIME_DIR/wayland-kwin" ] && break
    sleep 0.1
done
[ -S "$XDG_RUNTIME_DIR/wayland-kwin" ] || { echo "1..0 # SKIP kwin_wayland does not start here"; sed 's/^/# /' "$XDG_RUNTIME_DIR/kwin.log" | tail -5; exit 0; }
GDK_BACKEND=wayland WAYLAND_DISPLAY=wayland-kwin LODGE_TEST_NESTED=1 "$@"
rc=$?
exit $rc
