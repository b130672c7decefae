#!/bin/sh
# SPDX-License-Identifier: MIT
# All that is worth knowing on a machine with a GPU, in one go:  tests/gpu/session.sh [OUT]
#
# In a bundle, or in a tree that is built.  The parts, what matters most first; each has its own
# time limit, and none stops those behind it, however it ends:
#   slots      every slot of the op table against the CPU
#   graph      training as recorded steps
#   bench      speed: CoLA, ITPT, 512 tokens, BERT-large, score, attention (--quick)
#   tools      the tools with --device cuda
#   profile    every slot alone; nsys and ncu where they are installed
#   sanitizer  compute-sanitizer, where it is installed
# Nine minutes in all.  Writes six files into OUT [./gpu-session]:
#   session.txt            the machine, what each part said last, what failed
#   check.txt              slots, graph, tools and sanitizer
#   bench.txt, table.md, results.json
#   profile.txt
#
#   $SESSION_PARTS   which parts [all]
#   $SESSION_TIME    seconds for all of them [530]; the last ones get what is left
#   $BENCH_FULL=1    the benchmark with compiled PyTorch and more rounds: give it time of its own,
#                    SESSION_PARTS=bench
#   $BENCH_GPU       more options of tests/bench/gpu/run
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-${OUT:-gpu-session}}
parts=${SESSION_PARTS:-slots graph bench tools profile sanitizer}
total=${SESSION_TIME:-530}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/bertutils-session.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
began=$(date +%s)
failed=

say() { echo "== $(($(date +%s) - began)) s: $*" | tee -a "$out/session.txt"; }

machine() {
    uname -sm
    getconf GNU_LIBC_VERSION
    [ ! -f "$root/README" ] || grep -o 'glibc [0-9.]* or newer' "$root/README"
    nvidia-smi 2>&1 || echo 'no nvidia-smi'
    for program in nvcc compute-sanitizer nsys ncu bats python3; do
        echo "$program: $(command -v "$program" || echo none)"
    done
    timeout 60 "${BENCH_PYTHON:-python3}" -c 'import torch, transformers
print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, "transformers", transformers.__version__)' 2>&1 | tail -n 1
    ls -lL "$root/lib/bertutils" 2>&1
    echo "device: $(timeout 60 "$programs/gpu_device" 2>&1)"
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
: >"$out/session.txt"
if [ -z "${BERTUTILS_CUDA-}" ] && [ -f "$root/lib/bertutils/cuda.so" ]; then
    sh "$root/pipelines/cublas.sh" 2>&1 | tee -a "$out/session.txt"
fi

# part NAME SECONDS FILE COMMAND...: its output goes behind what is in FILE
part() {
    name=$1 limit=$2 file=$out/$3
    shift 3
    case " $parts " in *" $name "*) ;; *) return ;; esac
    left=$((total - $(date +%s) + began))
    if [ "$left" -lt 10 ]; then
        say "$name: not begun, out of time"
        failed="$failed $name"
        return
    fi
    [ "$limit" -lt "$left" ] || limit=$left
    say "$name, at most $limit s"
    timeout -k 5 "$limit" "$@" >"$work/log" 2>&1
    status=$?
    { echo "== $name"; cat "$work/log"; } >>"$file"
    tail -n "${LINES_SHOWN:-12}" "$work/log" | tee -a "$out/session.txt"
    case $status in
    0) ;;
    124 | 137) say "$name: stopped after $limit s"; failed="$failed $name" ;;
    *) say "$name: status $status"; failed="$failed $name" ;;
    esac
}

check() { # check PART SECONDS
    part "$1" "$2" check.txt env GPU_PARTS="$1" sh "$here/run" "$units" "$programs"
}

machine >"$work/machine" 2>&1
tee -a "$out/session.txt" <"$work/machine"
rm -f "$out/check.txt" "$out/bench.txt" "$out/profile.txt" "$out/table.md" "$out/results.json"
quick='--quick --case-limit 45'
bench_time=${BENCH_TIME:-235}
[ -z "${BENCH_FULL-}" ] || { quick=; bench_time=${BENCH_TIME:-$((total - 20))}; }
# Of the last parts each program has a limit as well: what is through by then counts.
PROFILE_TIME=10 GPU_SANITIZER_TIME=12
export PROFILE_TIME GPU_SANITIZER_TIME

check slots 110
check graph 45
# shellcheck disable=SC2086
part bench $((bench_time + 15)) bench.txt \
    sh "$root/tests/bench/gpu/run" --out "$out" --limit "$bench_time" $quick ${BENCH_GPU-}
check tools 110
part profile 80 profile.txt sh "$root/tests/bench/gpu/profile.sh" "$work/profile"
for text in nsys ncu; do # what it writes into files of their own
    [ ! -s "$work/profile/$text.txt" ] ||
        { echo "== $text"; cat "$work/profile/$text.txt"; } >>"$out/profile.txt"
done
check sanitizer 80
if [ -n "$failed" ]; then
    say "failed:$failed"
    grep -hE '^not ok |^# .*(off by|differ|too far)|: status |^Error|failed' "$out/check.txt" 2>/dev/null |
        head -n 40 | tee -a "$out/session.txt"
else
    say "all parts ended well"
fi
say "done: $out"
[ -z "$failed" ]
