#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# sway.sh SCALE PROGRAM: runs a test in a Wayland session that scales by fractions; its screen is the X server that $DISPLAY names.
scale=$1
shift
size=$(xdotool getdisplaygeometry | tr ' ' x)
cat >"$XDG_RUNTIME_DIR/sway.config" <<EOF
output * mode --custom $size
output * scale $scale
output * bg #204060 solid_color
default_border none
focus_follows_mouse no
xwayland disable
EOF
# It refuses to run as root, but not as the nobody of a user namespace.
as=
[ "$(id -u)" != 0 ] || as='unshare -U'
WLR_BACKENDS=x11 WLR_RENDERER=pixman WLR_RENDERER_ALLOW_SOFTWARE=1 LIBSEAT_BACKEND=noop \
    $as sway --unsupported-gpu -c "$XDG_RUNTIME_DIR/sway.config" >"$XDG_RUNTIME_DIR/sway.log" 2>&1 &
w=$!
for i in $(seq 600); do
    name=$(cd "$XDG_RUNTIME_DIR" && ls -d wayland-? 2>/dev/null | head -1)
    [ -n "$name" ] && break
    sleep 0.1
done
[ -n "$name" ] || { echo "1..0 # SKIP sway does not start here"; sed 's/^/# /' "$XDG_RUNTIME_DIR/sway.log" | tail -5; kill $w 2>/dev/null; exit 0; }
GDK_BACKEND=wayland WAYLAND_DISPLAY=$name "$@"
rc=$?
kill $w
wait $w 2>/dev/null
exit $rc
