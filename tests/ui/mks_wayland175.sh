#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The console as a Wayland client, on a desktop scaled to 175 %.
command -v sway >/dev/null || { echo "1..0 # SKIP sway is not installed"; exit 0; }
dir=${srcdir:-.}/tests/ui
NO_MANAGER=1 SCREEN=700x525x24 LODGE_TEST_SCALE=1.75; export NO_MANAGER SCREEN LODGE_TEST_SCALE
exec "$dir/xvfb.sh" "$dir/sway.sh" 1.75 tests/ui/mks_wayland_test
