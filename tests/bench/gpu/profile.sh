#!/bin/sh
# SPDX-License-Identifier: MIT
# Where a training step's time goes on a GPU:  tests/bench/gpu/profile.sh [OUT]
#
# Always: every slot of the op table alone (bench_ops), for CoLA, 256, 512 tokens and BERT-large.
# With Nsight Systems (nsys): the kernels and the gaps between them in real steps of finetune.
# With Nsight Compute (ncu): how near to the limits of the chip the kernels of one step are.
# What is not installed is said to be skipped.
#
#   $BERTUTILS_BIN, $BENCH_OPS, $GPU_DEVICE_TEST   as in tests/bench/gpu/run
#   $PROFILE_TIME   seconds for each program [60]
#   $PROFILE_DEVICE, $PROFILE_SHAPES   what bench_ops measures [cuda, four shapes]
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

# A few steps of CoLA's shape and of 512 tokens, with random weights.
python=${BENCH_PYTHON:-python3}
work=$(mktemp -d "${TMPDIR:-/tmp}/bertutils-profile.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
ready=no
if command -v nsys >/dev/null 2>&1 || command -v ncu >/dev/null 2>&1; then
    "$python" - "$here" "$bin" "$work" <<'PY' && ready=yes
import sys
sys.path.insert(0, sys.argv[1])
import gpu_data
model = sys.argv[3] + "/bert"
words = gpu_data.write_model(model, gpu_data.SHAPES["bert-base"])
for name, lengths in (("cola", gpu_data.cola_lengths(512)), ("512", [510] * 64)):
    gpu_data.write_stream(sys.argv[2], model, gpu_data.records(lengths, words), f"{sys.argv[3]}/{name}")
PY
    [ "$ready" = yes ] || { echo 'profile: nsys and ncu skipped: no model could be made (python3)'; status=1; }
fi

# steps STREAM N BATCH: a command line
steps() {
    echo "$bin/finetune -q -m $work/bert --init --device $device -f -o $work/out --batch $3 --max-steps $2 $work/$1"
}

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
