#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a formatter does not see: licence line, a comment that says what the file is, tabs, line length, unfinished work, file-scope state.
cd "${srcdir:-.}" || exit 99
echo 1..6
files=$(find engine hostdriver vmx vmnet app ui tests \( -name '*.[ch]' -o -name '*.def' -o -name '*.S' \) 2>/dev/null | sort)
say() {
    if [ -z "$3" ]; then
        echo "ok $1 - $2"
    else
        echo "not ok $1 - $2"
        echo "$3" | head -40 | sed 's/^/# /'
    fi
}
# shellcheck disable=SC2086
say 1 "each file begins with its licence" "$(for f in $files; do head -1 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || echo "$f"; done)"
# shellcheck disable=SC2086
say 2 "no tabs, no space at line ends" "$(grep -nP '\t| +$' $files | cut -c1-120)"
# 120 is what to write; what is far beyond is refused. Tables (.def, and many in tests) have one row a line.
# shellcheck disable=SC2086
say 3 "lines are not longer than 160 characters" "$(awk 'length($0) > 160 && FILENAME !~ /\.def$|^tests\// { print FILENAME ":" FNR ": " length($0) }' $files)"
# shellcheck disable=SC2086
say 4 "nothing is marked as unfinished" "$(grep -nwE 'TODO|FIXME|XXX|HACK' $files | grep -v 'TODO(#')"
# A static variable at file scope that is neither const nor thread-local. base/log.c holds the process's log sink; signal handlers are the
# process's too.
say 5 "engine/ has no mutable state at file scope" "$(find engine -name '*.[ch]' ! -path engine/base/log.c ! -path engine/bt/bt_fault.c | sort |
    xargs grep -nE '^static [^(]*(=|;|\[)' | grep -vE 'static (inline|const|_Thread_local|__thread|_Noreturn)|const |__thread|\(' )"
# What was built has no place in the repository (outside of a git tree there is nothing to say).
say 6 "no program is tracked" "$(git ls-files -z 2>/dev/null | xargs -0r grep -lP '\A\x7fELF' 2>/dev/null)"
