#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# engine/cpu and engine/bt run while the guest's vector state is in the host registers: their archive may not call the C library's copy, string
# and output functions, which use vector registers (engine/cpu/nolibc.h). Calls of other parts of the engine, of pthreads and of Zydis are allowed.
lib=${top_builddir:-.}/libenginecpu.a
[ -f "$lib" ] || { echo "1..0 # SKIP no $lib"; exit 0; }
echo 1..2
bad=$(nm "$lib" | awk '$1 == "U" { print $2 }' | sort -u | grep -Ex '(__)?(mem(cpy|set|move|cmp|chr|mem|pcpy)|v?[sf]?n?printf|v?[ad]sprintf|str[a-z]+|str[a-z_]*_chk|puts|putchar|fputs|fwrite|perror|qsort|bcmp|bzero|abort)(_chk)?')
if [ -z "$bad" ]; then
    echo "ok 1 - no vector-using libc function is called"
else
    echo "not ok 1 - no vector-using libc function is called"
    echo "$bad" | sed 's/^/# /'
fi
vec=$(objdump -d --no-show-raw-insn "$lib" 2>/dev/null | awk '/file format/ { f = $1 } /%[xyz]mm/ && f !~ /stubs/ { print f; exit }')
if [ -z "$vec" ]; then
    echo "ok 2 - no vector register in compiled code"
else
    echo "not ok 2 - no vector register in compiled code"
    echo "# $vec"
fi
