#!/bin/sh
# SPDX-License-Identifier: MIT
# bundle: makes a folder of linked executables complete, so that it runs where nothing can be
# installed.  `make bundle` calls it; see there for what is linked.
#
#   bundle.sh fill FOLDER [PLUGIN]   FOLDER has bin/ and libexec/; adds lib/ (every shared library
#                                    but libc's own), man pages, pipelines, examples, the tests
#                                    that need a GPU, and a README
#   bundle.sh pack FOLDER            FOLDER.tar.gz beside it
#   bundle.sh list FOLDER            the libraries that an unfilled FOLDER needs
#
#   BUNDLE_CUDA=no   leaves cublasLt out, which is larger than all the rest
#   CUDA_HOME        where cublasLt is [/usr/local/cuda]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
# libc and what is built and released with it must be those of the machine; so must the driver.
outside='^(linux-vdso|linux-gate|ld-linux.*|libc|libm|libmvec|libdl|librt|libpthread|libresolv'
outside="$outside"'|libutil|libnsl|libanl|libcuda|libnvidia.*)\.so'

fail() { echo "bundle: $*" >&2; exit 1; }

programs() { find "$1/bin" "$1/libexec" -maxdepth 1 -type f -perm -u+x 2>/dev/null; }

# Files that ldd finds for the operands, one a line; what it does not find is fatal.
needed() {
    for file; do
        ldd "$file" 2>/dev/null | awk -v file="$file" -v cuda="${BUNDLE_CUDA:-yes}" '
            /not found/ && !(cuda == "no" && /libcublas/) {
                print "bundle: " file " needs " $1 ", which is not there" >"/dev/stderr"; bad = 1
            }
            $2 == "=>" && $3 ~ /^\// { print $3 }
            END { exit bad }' || exit 1
    done
}

# What the programs load when they need it (lib/libarchive.c).
late() {
    path=$(${CC:-cc} -print-file-name=libarchive.so.13)
    [ -f "$path" ] || fail "libarchive.so.13 is not there"
    echo "$path"
}

# The closure of the programs and of the plug-in; ldd follows what libraries need in turn.
libraries() {
    late >"$work/late" || exit 1
    # shellcheck disable=SC2046
    needed $(programs "$1") ${2:+"$2"} "$(cat "$work/late")" >"$work/needed" || exit 1
    cat "$work/late" >>"$work/needed"
    sort -u "$work/needed" | while read -r path; do
        name=$(basename "$path")
        printf '%s\n' "$name" | grep -qE "$outside" || printf '%s\n' "$path"
    done
}

cublas() { case $(basename "$1") in libcublas*) true ;; *) false ;; esac; }

strip_copy() { # to without symbols of the debugger, where there is a strip
    cp -L "$1" "$2"
    chmod u+w "$2"
    if command -v strip >/dev/null 2>&1; then strip --strip-unneeded "$2" 2>/dev/null || true; fi
}

# The licence of a library's package, as Debian and its kin keep it.
licence() {
    command -v dpkg-query >/dev/null 2>&1 || return 0
    for path in "$1" "$(readlink -f "$1")" "/usr$1" "/usr$(readlink -f "$1")"; do
        package=$(dpkg-query -S "$path" 2>/dev/null | sed -n '1s/:.*//p')
        [ -z "$package" ] || break
    done
    [ -z "$package" ] || [ ! -f "/usr/share/doc/$package/copyright" ] ||
        cp -L "/usr/share/doc/$package/copyright" "$2/$package"
}

# The newest version of libc that any file asks for.
libc_needed() {
    find "$1" -type f \( -name '*.so*' -o -perm -u+x \) -exec readelf -V {} + 2>/dev/null |
        grep -oE 'GLIBC_2\.[0-9]+' | sort -t. -k2,2n | tail -n 1 | sed 's/GLIBC_//'
}

copy_libraries() {
    mkdir -p "$1/lib/bertutils" "$1/share/licenses"
    libraries "$1" "${2-}" >"$work/libraries"
    while read -r path; do
        name=$(basename "$path")
        if cublas "$path"; then
            [ "${BUNDLE_CUDA:-yes}" = no ] || cp -L "$path" "$1/lib/bertutils/$name"
        else
            strip_copy "$path" "$1/lib/$name"
            licence "$path" "$1/share/licenses"
        fi
    done <"$work/libraries"
    if [ -n "${2-}" ]; then strip_copy "$2" "$1/lib/bertutils/cuda.so"; fi
}

copy_bats() { # bats is shell scripts: where it is installed here it can be taken along
    root=$(readlink -f "$(command -v bats 2>/dev/null || echo /nonexistent)")
    root=${root%/*/*}
    [ -f "$root/libexec/bats-core/bats" ] || return 0
    mkdir -p "$1/libexec/bats/bin"
    cp -L "$root/bin/bats" "$1/libexec/bats/bin/"
    for part in libexec/bats-core lib/bats-core; do
        mkdir -p "$1/libexec/bats/$part"
        cp -RL "$root/$part/." "$1/libexec/bats/$part"
    done
    licence "$root/bin/bats" "$1/share/licenses"
}

copy_texts() {
    for page in "$here"/man/*.[157]; do
        section=${page##*.}
        mkdir -p "$1/share/man/man$section"
        cp "$page" "$1/share/man/man$section/"
    done
    cp "$here/LICENSE" "$1/"
    cp -R "$here/pipelines" "$here/examples" "$1/"
    mkdir -p "$1/tests"
    cp "$here/tests/run" "$here/tests/helper.bash" "$1/tests/"
    cp -R "$here/tests/gpu" "$here/tests/bench" "$1/tests/"
    find "$1/tests" \( -name '*.c' -o -name '*.h' -o -name __pycache__ \) -prune -exec rm -rf {} +
}

size() { du -shL "$1" | cut -f 1; }

readme() {
    plugin='none: it runs on the CPU alone'
    if [ -f "$1/lib/bertutils/cuda.so" ]; then
        needs=$(ls "$1/lib/bertutils" | grep '^libcublasLt' || true)
        plugin="lib/bertutils/cuda.so, $(size "$1/lib/bertutils/cuda.so")"
        if [ -n "$needs" ]; then
            plugin="$plugin, with $needs, $(size "$1/lib/bertutils/$needs")"
        else
            plugin="$plugin; cublasLt is not in the bundle"
        fi
    fi
    sed -e "s|@LIBC@|$2|" -e "s|@PLUGIN@|$plugin|" -e "s|@SIZE@|$(size "$1")|" \
        -e "s|@MACHINE@|$(uname -m)|" "$here/pipelines/bundle.README" >"$1/README"
}

fill() {
    [ -d "$1/bin" ] || fail "$1/bin is not there; run 'make bundle'"
    rm -rf "$1/lib" "$1/share" "$1/pipelines" "$1/examples" "$1/tests" "$1/libexec/bats"
    for file in $(programs "$1"); do strip_copy "$file" "$file.stripped" && mv "$file.stripped" "$file"; done
    copy_libraries "$1" "${2-}"
    copy_bats "$1"
    copy_texts "$1"
    libc=$(libc_needed "$1")
    readme "$1" "$libc"
    echo "bundle: $1: $(size "$1"), libraries $(size "$1/lib"); needs glibc $libc or newer"
    if [ -n "${2-}" ] && [ "${BUNDLE_CUDA:-yes}" = no ]; then
        echo "bundle: cublasLt left out; its README tells where it is looked for"
    fi
}

pack() {
    out=$1.tar.gz
    tar --sort=name --mtime="@${SOURCE_DATE_EPOCH:-0}" --owner=0 --group=0 --numeric-owner \
        -C "$(dirname "$1")" -cf - "$(basename "$1")" | gzip -n >"$out.part"
    mv "$out.part" "$out"
    echo "bundle: $out: $(size "$out")"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/bertutils-bundle.XXXXXX")
trap 'rm -rf "$work"' EXIT
case ${1-} in
fill) fill "$2" "${3-}" ;;
pack) pack "$2" ;;
list) libraries "$2" "${3-}" ;;
*) fail "usage: bundle.sh fill FOLDER [PLUGIN] | pack FOLDER | list FOLDER [PLUGIN]" ;;
esac
