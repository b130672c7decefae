#!/bin/sh
# SPDX-License-Identifier: MIT
# cublas: finds the cublasLt that a plug-in needs and links it beside the plug-in.
#
#   cublas.sh [PLUGIN]     PLUGIN is lib/bertutils/cuda.so of this folder unless given
#
# Looks in LD_LIBRARY_PATH, $CUDA_HOME, /usr/local/cuda*, what ldconfig knows, and the wheels
# beside PyTorch.  0: it is there now, and named; 1: it is nowhere.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
plugin=${1:-$here/lib/bertutils/cuda.so}
[ -f "$plugin" ] || { echo "cublas: no plug-in $plugin" >&2; exit 1; }
name=$(LC_ALL=C grep -ao 'libcublasLt\.so\.[0-9]*' "$plugin" | head -n 1)
[ -n "$name" ] || { echo "cublas: $plugin does not say what it needs" >&2; exit 1; }
beside=$(dirname "$plugin")/$name

# Folders of Python's packages are only asked for, never searched from the root.
wheels() {
    for python in "${BENCH_PYTHON:-python3}" python3; do
        "$python" -c 'import glob, sys
for folder in sys.path:
    print("\n".join(glob.glob(folder + "/nvidia/*/lib") + glob.glob(folder + "/nvidia/*/*/lib")))' \
            2>/dev/null || true
    done
}

places() {
    printf '%s\n' "${LD_LIBRARY_PATH-}" | tr ':' '\n'
    for folder in "${CUDA_HOME:-/usr/local/cuda}" /usr/local/cuda*; do
        printf '%s\n' "$folder/lib64" "$folder/lib" "$folder/targets/x86_64-linux/lib"
    done
    { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | sed -n "s|.* => \(/.*\)/$name\$|\1|p"
    wheels
}

if [ -e "$beside" ]; then
    echo "cublas: $beside"
    exit 0
fi
found=$(places | while read -r folder; do
    if [ -n "$folder" ] && [ -e "$folder/$name" ]; then
        printf '%s\n' "$folder/$name"
        break
    fi
done)
if [ -z "$found" ]; then
    echo "cublas: no $name: install CUDA's cuBLAS, or 'pip install nvidia-cublas'" >&2
    exit 1
fi
ln -sf "$found" "$beside"
echo "cublas: $beside -> $found"
