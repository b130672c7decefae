# SPDX-License-Identifier: MIT
# compute-sanitizer over the kernels, where it is installed; see tests/gpu/run.

setup() {
    command -v compute-sanitizer >/dev/null || skip "no compute-sanitizer"
    [ -z "${EMU_ORDER-}" ] || skip "the emulator is no GPU"
}

# sanitize TOOL PROGRAM: within the time given, else what it saw until then was clean
sanitize() {
    local status=0
    BERTUTILS_TEST_SMALL=1 timeout -s INT "${GPU_SANITIZER_TIME:-100}" \
        compute-sanitizer --tool "$1" --error-exitcode 86 "$2" >"$BATS_TEST_TMPDIR/out" 2>&1 || status=$?
    tail -n 30 "$BATS_TEST_TMPDIR/out"
    if grep -qE '^========= .*(Invalid|hazard|Uninitialized|Barrier error)' "$BATS_TEST_TMPDIR/out"; then
        return 1
    fi
    if grep -qiE 'not supported|Internal Sanitizer Error|unable to' "$BATS_TEST_TMPDIR/out"; then
        skip "compute-sanitizer does not work here"
    fi
    case $status in
    0) ;;
    124 | 130) skip "not through in ${GPU_SANITIZER_TIME:-100} s; clean until then" ;;
    *) return 1 ;;
    esac
}

@test "memcheck: the op table" { sanitize memcheck "$GPU_UNITS/test_ops_rows"; }
@test "memcheck: losses and the update" { sanitize memcheck "$GPU_PROGRAMS/test_gpu_loss"; }
@test "memcheck: products, attention, norms" { sanitize memcheck "$GPU_PROGRAMS/test_gpu_slots"; }
@test "racecheck: losses and the update" { sanitize racecheck "$GPU_PROGRAMS/test_gpu_loss"; }
@test "racecheck: products, attention, norms" { sanitize racecheck "$GPU_PROGRAMS/test_gpu_slots"; }
@test "synccheck: products, attention, norms" { sanitize synccheck "$GPU_PROGRAMS/test_gpu_slots"; }
