# SPDX-License-Identifier: MIT
# What only the emulator can do: GPUs that are broken, full, old or not there, and kernels that
# no GPU would bear (tests/emu/faults).  tests/gpu/run.
load ../helper

setup_file() {
    [ -n "${EMU_ORDER-}" ] || return 0
    cd "$BATS_FILE_TMPDIR"
    tiny_bert base good bad film movie a
    awk 'BEGIN {
        for (i = 0; i < 200; i++) {
            t = i % 3 ? "pos\tgood" : "neg\tbad"
            for (k = 0; k < i % 50; k++) t = t " film"
            print t
        }
    }' </dev/null >train.tsv
    tok -m base --label 1 --text 2 -o train.toks train.tsv
    finetune -q -m base --init --device cpu --max-steps 0 -o weights train.toks
}

setup() {
    [ -n "${EMU_ORDER-}" ] || skip "a real GPU"
    cd "$BATS_TEST_TMPDIR"
    F=$BATS_FILE_TMPDIR
    ln -s "$F"/base "$F"/weights "$F"/train.toks .
}

ft() { finetune -f -m weights --batch 8 --max-steps 3 "$@" train.toks; }

# no DEVICE WORDS...: an explicit cuda fails with these words, auto goes on without
no() {
    export EMU_DEVICE=$1
    shift
    run --separate-stderr ft --device cuda -o no
    [ "$status" -eq 1 ] || [ "$status" -eq 70 ]
    for words; do [[ $stderr == *"$words"* ]]; done
    [[ $stderr == *"--device cpu"* || $stderr == *"make cuda"* ]]
    [ ! -e no ]
    ft -q -o yes
    grep -q '"device": "cpu"' yes/provenance.json
    rm -r yes
    unset EMU_DEVICE
}

@test "a device that cannot be used: why, and what to do; auto takes the CPU" {
    no 'old driver' "driver is for CUDA 12.4" "newer driver"
    no 'no driver' "no NVIDIA driver"
    no none "there is none"
    no 'not ready' "fabricmanager"
    no old "compute capability 7.0" "8.0 is needed"
    no full "out of memory" nvidia-smi
    no busy "busy or unavailable" nvidia-smi
    no 'too new' "no code for cuda:0" "compute capability 9.0" "CUDA_ARCH="
    CUDA_VISIBLE_DEVICES='' run --separate-stderr ft --device cuda -o no
    [ "$status" -eq 1 ]
    [[ $stderr == *"CUDA_VISIBLE_DEVICES"* ]]
}

@test "a device that breaks on the way ends the run, and leaves nothing" {
    for when in 1 40 200 260; do
        EMU_BREAK=$when run --separate-stderr finetune -f -m weights --batch 8 --epochs 1 \
            --eval 20% --device cuda -o out train.toks
        [ "$status" -eq 1 ]
        [[ $stderr == *"on cuda:0"*"illegal memory access"* ]]
        [ ! -e out ]
    done
}

@test "out of memory: what is said to fit does fit" {
    # a device that is too small for one record, and one for some of them
    for all in 100 116 118; do
        run --separate-stderr env EMU_MEMORY=${all}000000 \
            finetune -f -m weights --batch 200 --max-steps 1 --device cuda -o out train.toks
        [ "$status" -ne 0 ] || continue
        [ "$status" -eq 70 ]
        [[ $stderr == *"out of memory"* ]]
        [ ! -e out ]
        [[ $stderr == *"--memory "* ]] || { [[ $stderr == *"even one"* ]]; continue; }
        memory=$(sed -n 's/.*--memory \([0-9]*K\).*/\1/p' <<<"$stderr")
        batch=$(sed -n 's/.*--batch \([0-9]*\) .*/\1/p' <<<"$stderr")
        tried=yes
        EMU_MEMORY=${all}000000 finetune -q -f -m weights --batch 200 --memory "$memory" \
            --max-steps 1 --device cuda -o out train.toks
        EMU_MEMORY=${all}000000 finetune -q -f -m weights --batch "$batch" --max-steps 1 \
            --device cuda -o out train.toks
        rm -r out
    done
    [ "$tried" = yes ]
}

@test "score without room on the GPU says what takes less, and that does" {
    ft -q --device cuda -o cls
    run --separate-stderr env EMU_MEMORY=80000000 score -m cls --device cuda \
        --batch-tokens 1000000 -o s.tsv train.toks
    [ "$status" -eq 70 ]
    [[ $stderr == *"out of memory on the GPU"*"--batch-tokens (now 1000000)"* ]]
    [ ! -e s.tsv ]
    EMU_MEMORY=80000000 score -m cls --device cuda --batch-tokens 256 -o s.tsv train.toks
    same "$(wc -l <s.tsv)" 201
}

@test "what was announced is never exceeded" {
    run --separate-stderr finetune -f -m weights --batch 64 --epochs 2 --eval 20% --device cuda \
        -o out train.toks
    [ "$status" -eq 0 ]
    said=$(sed -n 's/.* and \([0-9]*\) MB of the GPU.*/\1/p' <<<"$stderr")
    [ "$said" -gt 0 ]
    EMU_MEMORY=$((said + 1))000000 finetune -q -f -m weights --batch 64 --epochs 2 --eval 20% \
        --device cuda -o again train.toks
    cmp out/model.safetensors again/model.safetensors
}

@test "without cuBLASLt, refused at the heuristic or at the launch: slower, and -v says so" {
    for how in EMU_PLAIN EMU_REFUSE; do
        for precision in fp32 bf16; do
            run --separate-stderr env $how=1 finetune -v -f -m weights --batch 8 --max-steps 12 \
                --shuffle none --device cuda --precision $precision -o out train.toks
            [ "$status" -eq 0 ]
            [[ $stderr == *" kinds of products had to do without cuBLASLt"* ]]
            [[ $stderr != *"; 0 kinds"* ]]
        done
    done
}

# ---- kernels with a fault ----

# refused NAME WORDS
refused() {
    run "${BERTUTILS_CUDA%/*}/faults" "$1"
    echo "$1: $status $output"
    [ "$status" -ne 0 ]
    [[ $output == *"$2"* ]]
}

@test "a kernel without a fault runs" { "${BERTUTILS_CUDA%/*}/faults" none; }
@test "shared memory: a barrier that is missing" {
    refused race "nothing is between them"
    refused warp-race "nothing is between them"
    refused async "nothing is between them"
}
@test "shared memory: too far, too much" {
    refused too-far "leaves the shared memory"
    refused too-much "more shared memory than was asked for"
}
@test "accesses that are not aligned, of other memory, to one bank" {
    refused not-aligned "misaligned"
    refused foreign "not the device's memory"
    refused banks "two rows in one bank"
}
