#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/vmx-keys.md is what the key table gives (make update-keys-doc renews it).
src=${srcdir:-.}
if vmx/config/keys_doc | cmp -s - "$src/docs/vmx-keys.md"; then
    echo "ok 1 - docs/vmx-keys.md is up to date"
else
    echo "not ok 1 - docs/vmx-keys.md is up to date: run make update-keys-doc"
fi
echo 1..1
