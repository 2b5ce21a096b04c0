#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The console as a Wayland client, at scale 2.
command -v weston >/dev/null || { echo "1..0 # SKIP weston is not installed"; exit 0; }
dir=${srcdir:-.}/tests/ui
NO_MANAGER=1 SCREEN=800x600x24; export NO_MANAGER SCREEN
exec "$dir/xvfb.sh" "$dir/weston.sh" 2 tests/ui/mks_wayland_test
