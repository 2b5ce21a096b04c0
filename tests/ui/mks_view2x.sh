#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The console widget in a window at twice the scale.
GDK_SCALE=2; export GDK_SCALE
exec "${srcdir:-.}/tests/ui/xvfb.sh" tests/ui/mks_view_test
