#!/bin/sh
# SPDX-License-Identifier: MIT
# libraries: what the build needs, by package.
#
#   libraries.sh check     names what is missing, and how to get it; status 1 if anything is
#   libraries.sh install   installs what is missing on Debian and Ubuntu, names it elsewhere
set -eu
CC=${CC:-cc}

# header, package on Debian and Ubuntu
headers='zstd.h libzstd-dev
xxhash.h libxxhash-dev
archive.h libarchive-dev
zlib.h zlib1g-dev
jansson.h libjansson-dev
dnnl.h libdnnl-dev'

has_compiler() { command -v "$CC" >/dev/null 2>&1; }

has_header() { printf '#include <%s>\n' "$1" | "$CC" -E -x c - >/dev/null 2>&1; }

missing() {
    if has_compiler; then
        printf '%s\n' "$headers" | while read -r header package; do
            has_header "$header" || printf ' %s' "$package"
        done
        printf '#include <stdio.h>\n' | "$CC" -E -x c - >/dev/null 2>&1 || printf ' libc6-dev'
    else
        printf ' gcc libc6-dev'
        printf '%s\n' "$headers" | while read -r header package; do printf ' %s' "$package"; done
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

case ${1-} in
check)
    need=$(missing)
    [ -z "$need" ] && exit 0
    echo "make: missing packages:$need" >&2
    echo "make: 'make deps' installs them on Debian and Ubuntu" >&2
    exit 1
    ;;
install)
    need=$(missing)
    command -v bats >/dev/null 2>&1 || need="$need bats"
    [ -z "$need" ] && exit 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "make: please install (Debian's names):$need" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "make: please install as root: apt-get install$need" >&2
        exit 1
    fi
    echo "make: installing$need" >&2
    # The package lists may be missing or old: they are fetched only where that is so.
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    # shellcheck disable=SC2086
    as_root apt-get install -y -qq --no-install-recommends $need >/dev/null 2>&1 || {
        as_root apt-get update -qq
        # shellcheck disable=SC2086
        as_root apt-get install -y -qq --no-install-recommends $need >/dev/null
    }
    ;;
*)
    echo "usage: libraries.sh check|install" >&2
    exit 2
    ;;
esac
