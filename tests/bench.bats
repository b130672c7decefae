# SPDX-License-Identifier: MIT
# The benchmarks of the GPU, as far as they can be tried without one: shapes of toys on the CPU, our
# side alone.  (With PyTorch: tests/bench/gpu/run --device cpu --tiny.)
load helper

setup() {
    cd "$BATS_TEST_TMPDIR"
    command -v python3 >/dev/null || skip "no python3"
    ops=$BERTUTILS_BUNDLE/libexec/bench_ops
    [ -x "$ops" ] || skip "no bundle: make check builds one"
    export BENCH_OPS=$ops BENCH_PYTHON=python3 PARITY_VENV=/nonexistent
    export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
}

bench() { sh "$REPO/tests/bench/gpu/run" --device cpu --tiny --quick --out out "$@"; }
value() { python3 -c 'import json, sys
r = json.load(open("out/results.json"))["results"]
print(eval(sys.argv[1]))' "$1"; }

@test "every case runs, and the table and the JSON have it" {
    run --separate-stderr bench
    [ "$status" -eq 0 ]
    same "$(value 'sorted(r)')" "['attention', 'base_512', 'cola_job', 'cola_step', 'itpt', 'large_512', 'score_512', 'score_cola']"
    same "$(value '[c for c in r if "error" in r[c] or not r[c]["ours"] > 0]')" "[]"
    same "$(grep -c '^| ' out/table.md)" 9
    same "$(grep -c failed out/table.md)" 0
    # tokens and operations of a step: 4 records of 12 tokens and two specials, two layers of 64
    same "$(value 'r["base_512"]["notes"]["tokens_a_step"]')" 56
    same "$(value '"%.3e" % (r["base_512"]["tflop"] * 1e12)')" \
        "$(python3 -c 'print("%.3e" % (6 * 12 * 2 * 64**2 * 56 + 12 * 2 * 64 * 4 * 14**2))')"
    leaves_nothing . out out/results.json out/table.md
}

@test "a case that fails is recorded, and the others go on" {
    BENCH_OPS=/nonexistent run --separate-stderr bench --only attention,cola_step
    [ "$status" -eq 1 ]
    [[ $(value 'r["attention"]["error"]') == *nonexistent* ]]
    [ "$(value 'r["cola_step"]["ours"] > 0')" = True ]
    grep -q 'failed: .*nonexistent' out/table.md
}

@test "a case that hangs is ended when its time is over" {
    mkdir slow
    for tool in "$BERTUTILS_BIN"/*; do ln -s "$tool" slow/; done
    rm slow/score
    printf '#!/bin/sh\nexec sleep 100\n' >slow/score
    chmod +x slow/score
    BERTUTILS_BIN=$PWD/slow run --separate-stderr bench --only score_512,attention --case-limit 4
    [ "$status" -eq 1 ]
    same "$(value 'r["score_512"]["error"]')" "ran out of time"
    [ "$(value 'r["attention"]["ours"] > 0')" = True ]
}

@test "out of time: what was not begun is said" {
    run --separate-stderr bench --only cola_step,attention --limit 0.01
    [ "$status" -eq 1 ]
    [[ $(value 'r["attention"]["error"]') == *"out of time"* ]]
    run bench --only nosuch
    [ "$status" -eq 2 ]
    [[ $output == *"no case nosuch"* ]]
}

@test "without a device: skipped, and the status is good" {
    compgen -G '/dev/nvidia[0-9]*' >/dev/null && skip "there is a device"
    export GPU_DEVICE_TEST=$BERTUTILS_BUNDLE/libexec/gpu_device
    run sh "$REPO/tests/bench/gpu/run" --out out
    [ "$status" -eq 0 ]
    [[ $output == "bench-gpu: skipped: no device ("*")" ]]
    run sh "$REPO/tests/bench/gpu/profile.sh" out
    [ "$status" -eq 0 ]
    [[ $output == "profile: skipped: no device"* ]]
    run sh "$BERTUTILS_BUNDLE/tests/gpu/run"
    [ "$status" -eq 0 ]
    [[ $output == *"check-gpu: skipped: no device"* ]]
    [[ ${lines[-1]} =~ ^"0 passed, 0 failed, "[0-9]+" skipped"$ ]]
}

@test "a session in a bundle: all parts, all files" {
    compgen -G '/dev/nvidia[0-9]*' >/dev/null && skip "there is a device"
    unset BENCH_OPS
    cp -a "$BERTUTILS_BUNDLE" bundle # a session links the cublasLt it finds into its bundle
    run sh bundle/tests/gpu/session.sh out
    [ "$status" -eq 0 ]
    grep -q 'skipped: no device' out/check.txt
    grep -q 'skipped: no device' out/bench.txt
    grep -q 'skipped: no device' out/profile.txt
    grep -q glibc out/session.txt
    grep -q 'all parts ended well' out/session.txt
    [ "$(find out -type f | wc -l)" -le 8 ]
}

@test "bench_ops: any lengths, slots by name, JSON; bad operands are refused" {
    out=$("$BENCH_OPS" -@ 1 -s tiny -a -j -r 1 -n 3,0,16 -o attn,adamw)
    same "$(python3 -c 'import json, sys; d = json.loads(sys.argv[1]); print(d["tokens"], d["sequences"], sorted(d["slots"]))' "$out")" \
        "19 3 ['adamw', 'attn']"
    "$BENCH_OPS" -@ 1 -s tiny -r 1 | grep -q 'vocab_loss.*GFLOP/s'
    for bad in "-s nosuch" "-n 3,x" "-n 99999999" "-r 0" "-o attn" "extra"; do
        # shellcheck disable=SC2086
        run "$BENCH_OPS" $bad
        same "$bad: $status" "$bad: 2"
    done
}

@test "profile: the slots one by one, without a GPU for toys" {
    PROFILE_DEVICE=cpu PROFILE_SHAPES=tiny PROFILE_MODEL=tiny \
        run sh "$REPO/tests/bench/gpu/profile.sh" out
    [ "$status" -eq 0 ]
    same "$(grep -c 'ms a step' out/steps.txt)" 10
    grep -q attn_bwd out/ops.txt
    PROFILE_DEVICE=cpu PROFILE_SHAPES=nosuch run sh "$REPO/tests/bench/gpu/profile.sh" out
    [ "$status" -eq 1 ]
}
