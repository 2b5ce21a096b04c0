#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# xvfb.sh PROGRAM ...: runs a test in an X server and window manager of its own, which end with it.
for t in Xvfb openbox xdotool; do
    command -v $t >/dev/null || { echo "1..0 # SKIP $t is not installed"; exit 0; }
done
tmp=$(mktemp -d) || exit 99
XDG_RUNTIME_DIR=$tmp; export XDG_RUNTIME_DIR
chmod 700 "$tmp"
mkfifo "$tmp/display"
Xvfb -displayfd 3 -screen 0 "${SCREEN:-1600x1200x24}" -nolisten tcp 3>"$tmp/display" >/dev/null 2>&1 &
server=$!
read -r n <"$tmp/display"
DISPLAY=:$n SERVER_PID=$server; export DISPLAY SERVER_PID
GDK_BACKEND=x11 NO_AT_BRIDGE=1 GTK_THEME=Adwaita GSETTINGS_BACKEND=memory; export GDK_BACKEND NO_AT_BRIDGE GTK_THEME GSETTINGS_BACKEND
# No shortcuts of its own, and no looking at clicks first, which delays them: all input is the test's.
echo '<openbox_config xmlns="http://openbox.org/3.4/rc"><keyboard/><mouse/></openbox_config>' >"$tmp/openbox.xml"
manager=
if [ -z "$NO_MANAGER" ]; then
    openbox --sm-disable --config-file "$tmp/openbox.xml" >/dev/null 2>&1 &
    manager=$!
fi
# Until the window manager manages: it answers how many desktops there are.
i=0
while [ -n "$manager" ] && ! xdotool get_num_desktops >/dev/null 2>&1 && [ $i -lt 600 ]; do
    sleep 0.1
    i=$((i + 1))
done
timeout 1800 "$@"
rc=$?
kill $manager $server 2>/dev/null
wait $manager $server 2>/dev/null
rm -rf "$tmp"
exit $rc
