#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The parts of the application, and all of its templates, on an X server of its own.
dir=$(cd "$(dirname "$0")" && pwd)
NO_AT_BRIDGE=1 G_DEBUG=fatal-warnings sh "$dir/session.sh" ./tests/ui/app_parts
status=$?
[ $status = 77 ] && { echo "1..0 # SKIP no Xvfb or no message bus"; exit 0; }
exit $status
