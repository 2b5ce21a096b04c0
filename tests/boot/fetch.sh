#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Gets Debian packages for test guests without installing them.
#
#   fetch.sh PACKAGE[:ARCH]...
#
# prints one directory a line: each package unpacked. Everything lives in the cache directory, which also holds a private
# package index (so the host's dpkg and apt state stay untouched, i386 packages need no foreign architecture, and no root is
# needed). The sources are whatever the host's own apt configuration names. A package once cached is used as it is;
# LODGE_REFRESH=1 asks for newer ones.
set -eu

cache=${LODGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lodge}
mkdir -p "$cache/pkg" "$cache/apt/lists/partial" "$cache/apt/archives/partial"
cache=$(cd "$cache" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

say() { printf '%s\n' "$*" >&2; }

private_apt() {
    cmd=$1
    shift
    "$cmd" -q -o Dir::State::Lists="$cache/apt/lists" -o Dir::Cache="$cache/apt" -o Dir::Cache::Archives="$cache/apt/archives" \
        -o Dir::State::Status="$cache/apt/status" -o APT::Architecture=amd64 -o APT::Architectures::=i386 \
        -o APT::Architectures::=amd64 -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User= \
        -o APT::Update::Post-Invoke-Success::= -o Debug::NoLocking=true "$@"
}

update_index() {
    if [ -e "$cache/apt/updated" ] && [ -z "$(find "$cache/apt/updated" -mmin +"${1:-1440}")" ]; then
        return
    fi
    say "fetch: updating the package index ..."
    touch "$cache/apt/status"
    # A source that the host also has but that is out of reach must not stop us; the download below decides.
    private_apt apt-get update >"$cache/apt/update.log" 2>&1 || say "fetch: some package sources did not answer"
    touch "$cache/apt/updated"
}

# A kernel metapackage (linux-image-amd64) stands for the image that it depends on.
real_name() {
    case $1 in
    linux-image-*)
        real=$(private_apt apt-cache show --no-all-versions "$1:$2" 2>/dev/null |
            sed -n 's/^Depends: .*\(linux-image-[0-9][^ ,]*\).*/\1/p' | head -n 1)
        printf '%s\n' "${real:-$1}" ;;
    *) printf '%s\n' "$1" ;;
    esac
}

fetch_one() {
    name=${1%%:*}
    arch=${1#*:}
    [ "$arch" != "$1" ] || arch=amd64
    dir=$cache/pkg/${name}_$arch
    if [ -e "$dir/.complete" ] && [ -z "${LODGE_REFRESH:-}" ]; then
        printf '%s\n' "$dir"
        return
    fi
    update_index
    real=$(real_name "$name" "$arch")
    say "fetch: $real:$arch ..."
    tmp=$(mktemp -d "$cache/pkg/.tmp.XXXXXX")
    if ! (cd "$tmp" && private_apt apt-get download "$real:$arch" >log 2>&1); then
        # A cached index may name a version that the archive no longer has.
        update_index 1
        (cd "$tmp" && private_apt apt-get download "$real:$arch" >log 2>&1) || {
            say "fetch: cannot download $real:$arch: $(tail -n 1 "$tmp/log")"
            rm -rf "$tmp"
            return 1
        }
    fi
    mkdir "$tmp/root"
    dpkg-deb -x "$tmp"/*.deb "$tmp/root"
    basename "$tmp"/*.deb >"$tmp/root/.complete"
    rm -rf "$dir"
    mv "$tmp/root" "$dir"
    rm -rf "$tmp"
    printf '%s\n' "$dir"
}

[ $# -gt 0 ] || { say "usage: $here/fetch.sh PACKAGE[:ARCH]..."; exit 2; }
exec 9>"$cache/lock"
flock 9
for p in "$@"; do
    fetch_one "$p"
done
