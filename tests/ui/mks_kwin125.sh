#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The console as a Wayland client of KWin, on a desktop scaled to 125 %.
for t in kwin_wayland dbus-daemon; do
    command -v $t >/dev/null || { echo "1..0 # SKIP $t is not installed"; exit 0; }
done
dir=${srcdir:-.}/tests/ui
NO_MANAGER=1 SCREEN=800x600x24 LODGE_TEST_SCALE=1.25; export NO_MANAGER SCREEN LODGE_TEST_SCALE
exec "$dir/xvfb.sh" "$dir/kwin.sh" 1.25 tests/ui/mks_wayland_test
