#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The CUDA plug-in as far as it can be tested without a GPU.
load helper

setup() {
    plugin=${BERTUTILS_PLUGIN:-$BATS_TEST_DIRNAME/../lib/bertutils/cuda.so}
    cd "$BATS_TEST_TMPDIR"
}

need_plugin() {
    [ -r "$plugin" ] || skip "no plug-in: make cuda"
}

# A model small enough to be opened at once, and a stream for it.
small_model() {
    vocab -q --size 200 --text 2 -o base "$BATS_TEST_DIRNAME/../examples/tiny.tsv"
    cat >base/config.json <<'CONFIG'
{"model_type": "bert", "vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 1,
 "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64,
 "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
 "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
 "initializer_range": 0.02, "pad_token_id": 0}
CONFIG
    tok -m base -o x.toks.zst "$BATS_TEST_DIRNAME/../examples/tiny.tsv"
}

train() {
    run --separate-stderr finetune -f -m base --init --max-steps 1 -o out "$@" x.toks.zst
}

no_device() {
    ! compgen -G '/dev/nvidia[0-9]*' >/dev/null
}

@test "the plug-in exports one symbol" {
    need_plugin
    command -v nm >/dev/null || skip "no nm"
    run nm -D --defined-only "$plugin"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ ${lines[0]} == *" T backend_entry" ]]
}

@test "without a driver an explicit cuda says so, and what to do" {
    need_plugin
    no_device || skip "there is a device"
    small_model
    BERTUTILS_CUDA=$plugin train --device cuda
    [ "$status" -eq 1 ]
    [[ $stderr == *"no usable CUDA device"* ]]
    [[ $stderr == *"--device cpu"* ]]
    [ ! -e out ]
}

@test "without a driver auto takes the CPU" {
    need_plugin
    no_device || skip "there is a device"
    small_model
    BERTUTILS_CUDA=$plugin train -v --device auto
    [ "$status" -eq 0 ]
    [[ $stderr == *"device: cpu"* ]]
    [ -s out/model.safetensors ]
}

@test "a plug-in of another build is refused" {
    need_plugin
    small_model
    id=$(strings -n 8 "$plugin" 2>/dev/null | grep -E '^[0-9]{6,}-[0-9]{3,}$' | head -n 1)
    [ -n "$id" ] || skip "no build id found in the plug-in"
    LC_ALL=C sed "s/$id/$(printf '%s' "$id" | tr 0-9 1-90)/" "$plugin" >other.so
    ! cmp -s "$plugin" other.so
    BERTUTILS_CUDA=$PWD/other.so train --device cuda
    [ "$status" -eq 1 ]
    [[ $stderr == *"another build"*"make cuda"* ]]
}

@test "a plug-in that is none is refused, and auto goes on without" {
    small_model
    echo nothing >none.so
    BERTUTILS_CUDA=$PWD/none.so train --device cuda
    [ "$status" -eq 1 ]
    [[ $stderr == *"cannot load the CUDA plug-in"* ]]
    BERTUTILS_CUDA=$PWD/none.so train --device auto
    [ "$status" -eq 0 ]
}

@test "an absent plug-in is named with the fix" {
    small_model
    BERTUTILS_CUDA=$PWD/absent.so train --device cuda
    [ "$status" -eq 1 ]
    [[ $stderr == *"absent.so"*"make cuda"* ]]
}
