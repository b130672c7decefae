# SPDX-License-Identifier: MIT
# Every call that can fail does, once at each place where it is made: memory, reads, writes,
# syncs, renames, directories; and the process is killed there.  tests/faults/faults.c does it.

load helper

setup_file() {
    export FAULTS=${BERTUTILS_FAULTS:-$REPO/build/faults/faults.so}
    [ -z "${BERTUTILS_SANITIZED-}" ] && [ -e "$FAULTS" ] || return 0
    cd "$BATS_FILE_TMPDIR"
    tiny_bert m a cat dog sees the this
    printf '%s\t%s\n' 1 'the cat sees the dog' 0 'the see dog cat' 1 'a dog sees' 0 'this a sees' >x.tsv
    printf 'id,text,label\n1,"the, ""cat""",a\n2,dog,b\n' >x.csv
    printf '{"text": "the cat", "label": "a"}\n{"text": "dog \\u0041", "label": "b"}\n' >x.jsonl
    printf '<b>\xc3\xa9\xcc\xa3</b>&amp; http://x.y e\xcc\x81\n' >x.html
    printf '\xff\xfet\0h\0e\0\n\0\0\xd8\n\0' >x.utf16
    tok -m m --block-records 2 -o x.toks x.tsv
    mlm-pretrain -qq -m m --init --max-steps 0 -o w x.toks >pass.toks
    finetune -qq -m w --epochs 1 -o c x.toks
    score -m c -o x.scores x.toks
    vocab -qq --size 60 -o t x.tsv
    vocab -qq --kind bpe --size 290 -o b x.tsv
}

setup() {
    [ -z "${BERTUTILS_SANITIZED-}" ] || skip "the sanitizers have a malloc of their own"
    [ -e "$FAULTS" ] || skip "no build/faults/faults.so: make units"
    F=$BATS_FILE_TMPDIR
    mkdir "$BATS_TEST_TMPDIR/work"
    ulimit -c 0
}

# sweep CALL HOW STATUSES POINTS [NAME=VALUE...] TOOL ARGUMENT...: see tests/faults/faults.c
sweep() {
    local call=$1 how=$2 statuses=$3 points=$4 settings=()
    shift 4
    while [[ $1 == FAULT_*=* ]]; do settings+=("$1") && shift; done
    local tool=$1
    shift
    run env "${settings[@]}" FAULT_CALL="$call" FAULT_HOW="$how" FAULT_STATUS="$statuses" \
        FAULT_POINTS="$points" FAULT_DIR="$BATS_TEST_TMPDIR/work" LD_PRELOAD="$FAULTS" \
        "$BERTUTILS_BIN/$tool" "$@"
    if [ "$status" -ne 0 ]; then
        printf '%s %s: %s %s\n' "$call" "$how" "$tool" "$*" >&2
        printf '%s\n' "$output" | grep -v '^$' | tail -n 12 >&2
        return 1
    fi
}

# Whatever happened to a model: it is the old one or the new one, and whole.
model_is_whole() { printf '%s' "cmp -s '$1/model.safetensors' '$2' || cmp -s '$1/model.safetensors' '$3'"; }

@test "out of memory: tok" {
    sweep malloc once 70 100 tok -@1 -m "$F/m" -o x.toks "$F/x.tsv"
    sweep malloc on 70 30 tok -@1 -m "$F/m" -o x.toks "$F/x.tsv"
    for how in once on; do
        sweep malloc $how 70 20 tok -@1 -m "$F/m" --text 2 --label 3 "$F/x.csv" "$F/x.csv"
        sweep malloc $how 70 20 tok -@1 -m "$F/m" "$F/x.jsonl"
        sweep malloc $how 70 40 tok -@1 -m "$F/t" -o x.toks "$F/x.tsv"
        sweep malloc $how 70 40 tok -@1 -m "$F/b" -o x.toks "$F/x.tsv"
        sweep malloc $how 70 20 tok -@1 -m "$F/m" --clean html,url=X,nfkc,accents,ws "$F/x.html"
        sweep malloc $how 70 20 tok -@1 --clean html,nfd,lower,ws --show "$F/x.html"
        sweep malloc $how 70 20 tok -@1 -m "$F/m" --invalid skip "$F/x.utf16"
        sweep malloc $how 70 60 tok -@1 --stats s.json -m "$F/m" -o x.toks "$F/x.tsv"
        sweep malloc $how 70 40 tok --explain -m "$F/m" --max-len 4 'the cat €'
        sweep malloc $how 70 40 tok --explain -m "$F/b" 'the é'
        sweep malloc $how 70 30 tok -@1 -d -m "$F/m" --columns key,label,tokens,text "$F/x.toks"
    done
}

@test "out of memory: vocab" {
    for how in once on; do
        sweep malloc $how 70 20 vocab -@1 --size 60 -o v "$F/x.tsv"
        sweep malloc $how 70 10 vocab -@1 --kind bpe --size 280 -o v "$F/x.tsv"
    done
}

@test "out of memory: shard" {
    for how in once on; do
        sweep malloc $how 70 60 shard -@1 --dedup --shuffle -o x.toks "$F/x.toks"
        sweep malloc $how 70 60 shard -@1 --split a=50%,b=50% --stratify -o %s "$F/x.toks"
        sweep malloc $how 70 30 shard -@1 --stat "$F/x.toks"
        sweep malloc $how 70 30 shard -@1 --history "$F/x.toks"
        sweep malloc $how 70 30 shard -@1 --check "$F/x.toks"
        sweep malloc $how 70 30 shard -@1 --against "$F/x.toks" -o y "$F/x.toks"
    done
}

@test "out of memory: score and mcc" {
    sweep malloc once 70 80 score -@1 -m "$F/c" -o s "$F/x.toks"
    sweep malloc on 70 30 score -@1 -m "$F/c" "$F/x.toks"
    for how in once on; do
        sweep malloc $how 70 200 mcc --json --batch 2 "$F/x.scores"
        sweep malloc $how 70 200 mcc --per-class "$F/x.scores"
        sweep malloc $how 70 200 mcc --against "$F/x.scores" --bootstrap 10 "$F/x.scores"
    done
}

@test "out of memory: finetune and mlm-pretrain" {
    # Checkpoints are what a failure may leave.
    sweep malloc once 70 30 FAULT_KEEP=1 FAULT_CHECK='[ ! -e p ] && [ ! -e out ] || [ $1 = 0 ]' \
        finetune -@1 -q --eval 50% --save-every 1 -m "$F/w" --epochs 1 -o out --predictions p "$F/x.toks"
    sweep malloc once 70 40 finetune -@1 -q --eval 50% -m "$F/w" --epochs 1 -o out --log l "$F/x.toks"
    # Without any memory left the half-made directory cannot be listed, and stays.
    sweep malloc on 70 15 FAULT_KEEP=1 FAULT_CHECK='[ ! -e out ] || [ $1 = 0 ]' \
        finetune -@1 -q -m "$F/w" --epochs 1 -o out "$F/x.toks"
    # The model is there when END cannot be passed on.
    sweep malloc once 70 40 FAULT_KEEP=1 \
        FAULT_CHECK="[ ! -e out ] || cmp out/model.safetensors '$F/w/model.safetensors'" \
        mlm-pretrain -@1 -q -m "$F/m" --init --max-steps 0 -o out "$F/x.toks"
}

# A disk that is full at the Nth write; other errors of the calls that make a file.
broken_disk() {
    local call calls=$1
    shift
    for call in $calls; do sweep $call once 73,74 6 "$@"; done
}

@test "a broken disk: tok, vocab, shard, score, mcc" {
    broken_disk 'write fsync rename close' tok -@1 -m "$F/m" --block-records 1 -o x.toks "$F/x.tsv"
    broken_disk 'write fsync rename close' tok -@1 --stats s.json -m "$F/m" -o x.toks "$F/x.tsv"
    sweep write once 74 40 tok -@1 -m "$F/m" --block-records 1 "$F/x.tsv"
    sweep write once 74 5 tok --explain -m "$F/m" -o x 'the cat €'
    sweep write once 74 40 tok -@3 -m "$F/m" --block-records 1 -o x.toks "$F/x.tsv"
    sweep write once 74 40 tok -@1 -d --ids -o x "$F/x.toks"
    broken_disk 'write fsync rename mkdir' vocab -@1 --size 60 -o v "$F/x.tsv"
    broken_disk 'write fsync rename' shard -@1 --split a=25%,b=25%,c=50% -o %s.toks "$F/x.toks"
    sweep write once 74 40 shard -@1 --plain "$F/x.toks"
    broken_disk 'write fsync rename' score -@1 -m "$F/c" -o s "$F/x.toks"
    sweep write once 74 40 score -@1 -m "$F/c" "$F/x.toks"
}

@test "a broken disk: finetune and mlm-pretrain" {
    local whole="[ ! -e out ] || cmp out/model.safetensors '$F/w/model.safetensors'"
    broken_disk 'write fsync rename mkdir' finetune -@1 -q -m "$F/w" --epochs 1 -o out "$F/x.toks"
    # The model is there when END cannot be passed on: the last writes.
    sweep write once 74 10 FAULT_KEEP=1 FAULT_CHECK="$whole" \
        mlm-pretrain -@1 -q -m "$F/m" --init --max-steps 0 -o out "$F/x.toks"
}

@test "a broken disk: files cannot be read" {
    for call in read open; do
        sweep $call once 66,74 20 tok -@1 -m "$F/t" -o x.toks "$F/x.tsv"
        sweep $call once 66,74 20 tok -@1 -d -m "$F/m" --text "$F/x.toks"
        sweep $call once 66,74 20 shard -@1 -n 2 -o %d "$F/x.toks"
        sweep $call once 66,74 20 score -@1 -m "$F/c" "$F/x.toks"
        sweep $call once 66,74 20 mcc "$F/x.scores"
        sweep $call once 66,74 20 vocab -@1 --size 60 -o v "$F/x.tsv"
        sweep $call once 66,74 10 finetune -@1 -q -m "$F/w" --epochs 1 -o out "$F/x.toks"
    done
}

@test "short and interrupted reads and writes change no byte" {
    for how in short eintr; do
        for call in read write; do
            sweep $call $how 0 1 tok -@1 -m "$F/t" --block-records 1 "$F/x.tsv"
            sweep $call $how 0 1 FAULT_STDIN="$F/x.tsv" tok -@3 -m "$F/b"
            sweep $call $how 0 1 FAULT_STDIN="$F/x.toks" shard --shuffle
            sweep $call $how 0 1 FAULT_STDIN="$F/x.toks" tok -d -m "$F/m" --text
            sweep $call $how 0 1 FAULT_STDIN="$F/x.toks" score -m "$F/c"
            sweep $call $how 0 1 FAULT_CHECK="cmp v/tokenizer.json '$F/t/tokenizer.json'" \
                vocab --size 60 -o v "$F/x.tsv"
            sweep $call $how 0 1 FAULT_CHECK="cmp out/model.safetensors '$F/c/model.safetensors'" \
                finetune -q -m "$F/w" --epochs 1 -o out "$F/x.toks"
        done
    done
}

@test "an older model is there until the new one is, and whole" {
    local prev=$BATS_TEST_TMPDIR/prev how
    finetune -@1 -qq -m "$F/w" --epochs 1 --seed 3 -o "$F/other" "$F/x.toks"
    cp -r "$F/c" "$prev"
    echo mine >"$prev/notes"
    check="$(model_is_whole "$prev" "$F/c/model.safetensors" "$F/other/model.safetensors")"
    check="{ $check; } && ls '$prev'/config.json '$prev'/vocab.txt >/dev/null && rm -rf '$prev' '$prev'/../.prev* && cp -r '$F/c' '$prev'"
    for how in once kill; do
        for call in rename fsync; do
            sweep $call $how 73,74 8 FAULT_KEEP=1 FAULT_CHECK="$check" \
                finetune -@1 -q -f -m "$F/w" --epochs 1 --seed 3 -o "$prev" "$F/x.toks"
        done
        sweep write $how 74 3 FAULT_KEEP=1 FAULT_CHECK="$check" \
            finetune -@1 -q -f -m "$F/w" --epochs 1 --seed 3 -o "$prev" "$F/x.toks"
    done
}

@test "killed anywhere around a checkpoint, --resume ends with the same bytes" {
    local train="-@1 -q -m $F/w --batch 2 --accum 1 --epochs 2 --save-every 1 --log log -o out"
    (cd "$BATS_TEST_TMPDIR" && finetune $train "$F/x.toks")
    local check="{ [ ! -e out ] || [ -s out/model.safetensors ]; } &&
        finetune $train --resume '$F/x.toks' 2>said && cmp out/model.safetensors ../out/model.safetensors &&
        grep -o '\"step\":[0-9]*,\"epoch\":[0-9]*,\"loss\":[0-9.e-]*' log >a
        grep -o '\"step\":[0-9]*,\"epoch\":[0-9]*,\"loss\":[0-9.e-]*' ../log | cmp - a"
    for call in rename fsync write; do
        sweep $call kill 0 4 FAULT_KEEP=1 FAULT_CHECK="$check" finetune $train --resume "$F/x.toks"
    done
}

@test "SIGTERM at any call leaves no temporary file, and only whole ones" {
    local old=$BATS_TEST_TMPDIR/old none='[ -z "$(find . -name ".?*")" ]'
    for call in open write fsync rename; do
        sweep $call term 0 20 FAULT_KEEP=1 FAULT_CHECK="$none && { [ ! -e x ] || shard --check x; }" \
            tok -@1 -m "$F/m" --block-records 1 -o x "$F/x.tsv"
        cp "$F/x.scores" "$old"
        sweep $call term 0 20 FAULT_KEEP=1 FAULT_CHECK="[ -z \"\$(find .. -maxdepth 1 -name '.?*.tmp')\" ] &&
            { cmp -s ../old '$F/x.scores' || shard --check ../old; } && cp '$F/x.scores' ../old" \
            tok -@1 -m "$F/m" --block-records 1 -o "$old" "$F/x.tsv"
        sweep $call term 0 20 FAULT_KEEP=1 FAULT_CHECK="$none" shard -@1 -n 2 -o %d "$F/x.toks"
        sweep $call term 0 20 FAULT_KEEP=1 \
            FAULT_CHECK="$none && { [ ! -e x ] || cmp x '$F/x.scores'; }" \
            score -@1 -m "$F/c" -o x "$F/x.toks"
        sweep $call term 0 20 FAULT_KEEP=1 FAULT_CHECK="$none" vocab -@1 --size 60 -o v "$F/x.tsv"
    done
}
