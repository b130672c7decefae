#!/bin/sh
# SPDX-License-Identifier: MIT
# Where a training step's time goes on a GPU:  tests/bench/gpu/profile.sh [OUT]
#
# Always: every slot of the op table alone (bench_ops), for CoLA, 256, 512 tokens and BERT-large;
# and, with Python, steps of finetune as they are and without what can be switched off.
# With Nsight Systems (nsys): the kernels and the gaps between them in real steps of finetune.
# With Nsight Compute (ncu): how near to the limits of the chip the kernels of one step are.
# What is not installed is said to be skipped.
#
#   $BERTUTILS_BIN, $BENCH_OPS, $GPU_DEVICE_TEST   as in tests/bench/gpu/run
#   $PROFILE_TIME   seconds for each program [60]
#   $PROFILE_DEVICE, $PROFILE_SHAPES   what bench_ops measures [cuda, four shapes]
#   $PROFILE_MODEL  of the steps: base or tiny [base]
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
out=${1:-build/profile-gpu}
bin=${BERTUTILS_BIN:-$root/bin}
ops=${BENCH_OPS:-$root/libexec/bench_ops}
device=${PROFILE_DEVICE:-cuda}
limit=${PROFILE_TIME:-60}
mkdir -p "$out" || exit 1

if [ "$device" = cuda ] && ! why=$("${GPU_DEVICE_TEST:-$root/libexec/gpu_device}" 2>&1); then
    echo "profile: skipped: no device ($why)"
    exit 0
fi
status=0
# Models with random weights, and texts of CoLA's lengths and of 512 tokens.
python=${BENCH_PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/bertutils-profile.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
ready=yes
"$python" - "$here" "$bin" "$work" "${PROFILE_MODEL:-base}" <<'PY' || ready=no
import sys
sys.path.insert(0, sys.argv[1])
import gpu_data
tiny = sys.argv[4] == "tiny"
model = sys.argv[3] + "/bert"
words = gpu_data.write_model(model, (gpu_data.TINY if tiny else gpu_data.SHAPES)["bert-base"])
for name, lengths in (("cola", gpu_data.cola_lengths(512)), ("512", [20 if tiny else 510] * 64)):
    gpu_data.write_stream(sys.argv[2], model, gpu_data.records(lengths, words), f"{sys.argv[3]}/{name}")
PY
[ "$ready" = yes ] || { echo 'profile: steps, nsys and ncu skipped: no model could be made (python3)'; status=1; }

# steps STREAM N BATCH: a command line
steps() {
    echo "$bin/finetune -q -m $work/bert --init --device $device -f -o $work/out --batch $3 --max-steps $2 $work/$1"
}

# Milliseconds a step, middle of the second half, with one thing otherwise than it is.
ways() {
    for case in 'cola 96 32' '512 24 16'; do
        set -- $case
        for way in "" BERTUTILS_BRANCH=0 BERTUTILS_BIAS_SUMS=1 BERTUTILS_GRAPHS=0 ""; do
            # shellcheck disable=SC2046
            env ${way:+"$way"} timeout "$limit" $(steps "$@") --epochs 100 --log "$work/log" || return 1
            "$python" - "$work/log" "$1" "${way:-as it is}" <<'PY'
import json, statistics, sys
ms = [r["ms"] for r in map(json.loads, open(sys.argv[1])) if r["event"] == "step"]
print(f"{sys.argv[2]:6s} {sys.argv[3]:24s} {statistics.median(ms[len(ms) // 2:]):8.3f} ms a step")
PY
        done
    done
}
if [ "$ready" = yes ]; then
    ways >"$out/steps.txt" 2>&1 || { echo 'profile: the steps did not end well'; status=1; }
    cat "$out/steps.txt"
fi

for shape in ${PROFILE_SHAPES:-base-cola base-512 roberta-mlm-256 large-512}; do
    timeout "$limit" "$ops" -a -d "$device" -s "$shape" || { echo "profile: bench_ops $shape failed"; status=1; }
done >"$out/ops.txt" 2>&1
# What gradients of biases from cuBLASLt's epilogue would save or cost (kernels/cuda/gemm.cuh).
for shape in ${PROFILE_SHAPES:-base-cola base-512}; do
    for sums in 0 1; do
        echo "BERTUTILS_BIAS_SUMS=$sums"
        BERTUTILS_BIAS_SUMS=$sums timeout "$limit" "$ops" -a -d "$device" -s "$shape" -o linear_bwd,ffn_bwd ||
            { echo "profile: bench_ops $shape failed"; status=1; }
    done
done >>"$out/ops.txt" 2>&1
cat "$out/ops.txt"

if [ "$ready" = yes ] && command -v nsys >/dev/null 2>&1; then
    for case in 'cola 40 32' '512 12 16'; do
        set -- $case
        # shellcheck disable=SC2046
        timeout "$limit" nsys profile --force-overwrite true --trace cuda -o "$work/$1" $(steps "$@") 2>&1 &&
            timeout "$limit" nsys stats --report cuda_gpu_kern_sum,cuda_api_sum,cuda_gpu_mem_time_sum \
                "$work/$1.nsys-rep" 2>&1 || echo "nsys did not end well: $1"
    done >"$out/nsys.txt"
    grep 'did not end' "$out/nsys.txt" && echo "profile: see $out/nsys.txt"
else
    echo 'profile: nsys skipped: not installed'
fi
if [ "$ready" = yes ] && command -v ncu >/dev/null 2>&1; then
    for case in 'cola 4 32' '512 3 16'; do
        set -- $case
        # The clocks are left as they are; the first kernels only warm up.
        # shellcheck disable=SC2046
        timeout "$limit" ncu --clock-control none --launch-skip 400 --launch-count 60 --section SpeedOfLight \
            --section LaunchStats --section Occupancy --page details --print-summary per-kernel $(steps "$@") \
            2>&1 || echo "ncu did not end well: $1"
    done >"$out/ncu.txt"
    grep 'did not end' "$out/ncu.txt" && echo "profile: see $out/ncu.txt"
else
    echo 'profile: ncu skipped: not installed'
fi
exit $status
