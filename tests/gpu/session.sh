#!/bin/sh
# SPDX-License-Identifier: MIT
# All that is worth knowing on a machine with a GPU, in one go:  tests/gpu/session.sh [OUT]
#
# In a bundle, or in a tree that is built.  Writes into OUT [./gpu-session]:
#   machine.txt            GPU, driver, libc, what is installed
#   check.txt              tests/gpu/run
#   table.md, results.json tests/bench/gpu/run
#   bench.txt              what that said meanwhile
#   profile.txt, profile/  tests/bench/gpu/profile.sh
# The parts have time limits: nine minutes in all; with QUICK=1 about four.
#   $SESSION_PARTS   [check bench profile]
#   $BENCH_GPU       more options of tests/bench/gpu/run
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-${OUT:-gpu-session}}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
began=$(date +%s)
quick=
check_time=150 bench_time=240 profile_time=25
if [ -n "${QUICK-}" ]; then
    quick=--quick check_time=80 bench_time=100 profile_time=12
fi

say() { echo "== $(($(date +%s) - began)) s: $*"; }

machine() {
    uname -sm
    getconf GNU_LIBC_VERSION
    [ ! -f "$root/README" ] || grep -o 'glibc [0-9.]* or newer' "$root/README"
    nvidia-smi 2>&1 || echo 'no nvidia-smi'
    for program in nvcc compute-sanitizer nsys ncu bats python3; do
        echo "$program: $(command -v "$program" || echo none)"
    done
    "${BENCH_PYTHON:-python3}" -c 'import torch, transformers
print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, "transformers", transformers.__version__)' 2>&1 | tail -n 1
    ls -lL "$root/lib/bertutils" 2>&1
}

# In a tree the programs are those of its build.
if [ -d "$root/libexec" ]; then
    programs=$root/libexec units=$root/libexec
    BENCH_OPS=${BENCH_OPS:-$root/libexec/bench_ops}
else
    build=${BUILD:-$root/build}
    programs=$build/gpu units=$build/unit
    BENCH_OPS=${BENCH_OPS:-$build/bench/bench_ops}
fi
GPU_DEVICE_TEST=$programs/gpu_device
export BENCH_OPS GPU_DEVICE_TEST
[ -n "${BERTUTILS_CUDA-}" ] || [ ! -f "$root/lib/bertutils/cuda.so" ] || sh "$root/pipelines/cublas.sh"

status=0
part() { # part NAME COMMAND...
    name=$1
    shift
    case " ${SESSION_PARTS:-check bench profile} " in *" $name "*) ;; *) return ;; esac
    say "$name"
    "$@" >"$out/$name.txt" 2>&1 || { echo "$name: status $?"; status=1; }
    tail -n "${LINES_SHOWN:-60}" "$out/$name.txt"
}

machine >"$out/machine.txt" 2>&1
cat "$out/machine.txt"
GPU_SANITIZER_TIME=$((check_time / 8))
export GPU_SANITIZER_TIME PROFILE_TIME=$profile_time
# shellcheck disable=SC2086
part check timeout "$((check_time + 50))" sh "$here/run" "$units" "$programs"
# shellcheck disable=SC2086
part bench timeout "$((bench_time + 20))" sh "$root/tests/bench/gpu/run" --out "$out" --limit "$bench_time" $quick ${BENCH_GPU-}
part profile sh "$root/tests/bench/gpu/profile.sh" "$out/profile"
say "done: $out"
exit $status
