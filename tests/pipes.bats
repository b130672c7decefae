# SPDX-License-Identifier: MIT
# What happens between the tools: whole pipelines, stages that die, streams that are cut or
# changed on their way, models and options that are not what they should be.

load helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export BERTUTILS_THREADS=1
    tiny_bert base this that these a the every some sees helps sleeps dog cat child
    awk -v n=200 -v seed=9 -f "$REPO/pipelines/grammar.awk" >x.tsv
    tok -m base --block-records 20 -o x.toks x.tsv
    head -n 12 x.tsv | tok -m base -o few.toks
    mlm-pretrain -qq -m base --init --max-steps 0 -o w x.toks >/dev/null
    finetune -qq -m w --epochs 1 -o c x.toks
    score -m c -o x.scores x.toks
    vocab -qq --size 100 --text 2 -o t x.tsv
    cp base/config.json t
}

setup() {
    export BERTUTILS_THREADS=1
    F=$BATS_FILE_TMPDIR
    mkdir "$BATS_TEST_TMPDIR/empty"
    cd "$BATS_TEST_TMPDIR/empty"
}

# Every tool that reads a stream, writing what it makes here.
readers=(
    "shard --check"
    "shard --stat"
    "shard -n 2 -o %d"
    "shard --shuffle -o out"
    "tok -d --ids -o out"
    "score -m \$F/c -o out"
    "finetune -qq -m \$F/w --max-steps 1 --eval 10% --predictions p -o out"
    "mlm-pretrain -qq -m \$F/w --max-steps 1 -o out"
)

# ends STATUS WHAT...: runs the words of a command with $F filled in, standard input as it is
ends() {
    local want=$1
    shift
    fails_with "$want" eval "$*"
}

@test "many shards of a large file, trained on as one" {
    cat "$F/x.tsv" | tok -m "$F/base" | shard -n 16 -o 'train-%03d.toks.zst'
    same "$(ls | wc -l)" 16
    finetune -q -m "$F/w" -o cls --epochs 1 train-*.toks.zst
    finetune -q -m "$F/w" -o all --epochs 1 "$F/x.toks"
    cmp cls/model.safetensors all/model.safetensors
    tok -m cls "$F/x.tsv" | score -m cls | mcc --batch 32 >/dev/null
}

@test "a stage that is killed: the next ones fail, without pipefail, and publish nothing" {
    mkfifo ../in
    for stage in cat tok shard; do
        for pause in 0 0.02 0.05 0.1; do
            # The input never ends by itself, so that each stage dies at work.
            exec 8<>../in
            cat "$F/x.tsv" >&8
            {
                sh -c 'echo $$ >../cat.pid; exec cat ../in' |
                    sh -c 'echo $$ >../tok.pid; exec tok -m "$0" --block-records 10' "$F/base" |
                    sh -c 'echo $$ >../shard.pid; exec shard' |
                    { finetune -qq -m "$F/w" -o out --max-steps 1 && echo 0 >../status || echo $? >../status; }
            } 3>&- 8>&- &
            for _ in {1..500}; do
                [ -s ../cat.pid ] && [ -s ../tok.pid ] && [ -s ../shard.pid ] && break
                sleep 0.01
            done
            sleep $pause
            kill -KILL "$(cat ../$stage.pid)"
            # The stages before a dead one are not waited for: they notice at their next write.
            for _ in {1..500}; do [ -s ../status ] && break; sleep 0.02; done
            [ "$stage" = cat ] || kill -KILL "$(cat ../cat.pid)"
            exec 8>&-
            wait || true
            # A killed cat is an end of input like any other.
            if [ "$stage" = cat ]; then
                same "$(cat ../status)" 0
            else
                [ "$(cat ../status)" -ne 0 ]
                leaves_nothing .
            fi
            rm -rf ../*.pid ../status out
        done
    done
}

@test "a stream cut anywhere is 65 in every tool, and nothing is published" {
    size=$(stat -c %s "$F/x.toks")
    for at in $(seq 1 $((size / 12)) $((size - 1))) $((size - 1)); do
        head -c "$at" "$F/x.toks" >../cut
        for reader in "${readers[@]}"; do
            if [[ $reader == *-qq* ]]; then
                run eval "$reader <../cut >../passed"
                same "$at $reader $status" "$at $reader 65"
            else
                ends 65 "$reader <../cut"
            fi
            leaves_nothing .
        done
    done
}

@test "a changed byte is 65 in every tool, or changes nothing" {
    size=$(stat -c %s "$F/x.toks")
    tok -d --ids "$F/x.toks" >../ids
    for k in {1..12}; do
        at=$((k * 7919 % size))
        cp "$F/x.toks" ../flipped
        byte=$(od -An -tu1 -j$at -N1 ../flipped)
        printf "\\$(printf %o $((byte ^ (1 << k % 8))))" |
            dd of=../flipped bs=1 seek=$at conv=notrunc status=none
        for reader in "${readers[@]}"; do
            run eval "$reader <../flipped >../passed 2>&1"
            [ "$status" -eq 65 ] || { [ "$status" -eq 0 ] && tok -d --ids ../flipped | cmp - ../ids; }
            [ "$status" -eq 0 ] || leaves_nothing .
            rm -rf ./*
        done
    done
}

@test "empty input is 66 in every tool that reads a stream" {
    for reader in "${readers[@]}"; do
        run eval "$reader </dev/null"
        same "$reader $status" "$reader 66"
        leaves_nothing .
    done
    fails_with 65 mcc </dev/null || fails_with 66 mcc </dev/null
}

@test "garbage is 65 in every tool that reads a stream, and in mcc" {
    awk 'BEGIN {srand(3); for (i = 0; i < 5000; i++) printf "%c", 1 + int(rand() * 254)}' >../noise
    { head -c 64 "$F/x.toks"; cat ../noise; } >../half
    for file in ../noise ../half "$F/x.tsv" "$F/c/model.safetensors"; do
        for reader in "${readers[@]}"; do
            run eval "$reader <$file"
            same "$reader $status" "$reader 65"
            leaves_nothing .
        done
        fails_with 65 mcc <$file
    done
}

@test "a reader that leaves ends the others quietly with 141" {
    for i in {1..400}; do cat "$F/x.tsv"; done >../big.tsv
    tok -m "$F/base" -o ../big.toks ../big.tsv
    for command in "tok -m $F/base --plain ../big.tsv" "shard --plain ../big.toks" "tok -d --columns key,ids ../big.toks" \
        "tok -d --special --ids ../big.toks" "score -m $F/c $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks $F/x.toks"; do
        { $command 2>../said && echo 0 >../status || echo $? >../status; } | head -c 100 >/dev/null
        same "$command $(cat ../status)" "$command 141"
        same "$(cat ../said)" ""
    done
}

@test "standard input or output that is closed" {
    for reader in "${readers[@]}"; do
        run eval "$reader <&-"
        [ "$status" -eq 66 ] || [ "$status" -eq 74 ] || { echo "$reader: $status"; false; }
        leaves_nothing .
    done
    for command in "tok -m $F/base $F/x.tsv" "tok -d --ids $F/x.toks" "shard $F/x.toks" "shard --stat $F/x.toks" \
        "score -m $F/c $F/x.toks" "mcc $F/x.scores" "mcc --help"; do
        run eval "$command >&-"
        [ "$status" -eq 74 ] || { echo "$command: $status"; false; }
        run eval "$command >/dev/full"
        [ "$status" -eq 74 ] || { echo "$command: $status"; false; }
    done
    # With no standard streams at all a file must not become one of them.
    run eval "tok -m $F/base -o out $F/x.tsv <&- >&- 2>&-"
    [ "$status" -eq 0 ] && shard --check out
    run eval "finetune -m $F/w --max-steps 0 -o model $F/x.toks <&- >&- 2>&-"
    [ "$status" -eq 0 ] && cmp model/vocab.txt "$F/base/vocab.txt"
}

@test "an output may take the place of the input" {
    cp "$F/x.toks" x.toks
    shard --shuffle -o x.toks x.toks
    shard --check --expect-records 200 x.toks
    cp "$F/x.tsv" x.tsv
    tok -m "$F/base" -o x.tsv x.tsv
    shard --check --expect-records 200 x.tsv
}

@test "numbers beyond all bounds are 2, or are answered" {
    for tool in tok vocab shard score finetune mlm-pretrain mcc; do
        steps=
        while read -r option; do
            case $tool in
            tok) rest="-m $F/base $F/x.tsv" ;;
            vocab) rest="-o v --text 2 $F/x.tsv" ;;
            shard) rest="-o s-%d $F/few.toks" ;;
            score) rest="-m $F/c $F/few.toks" ;;
            mcc) rest="$F/x.scores" ;;
            *) rest="-m $F/w -o out $F/few.toks" steps="--max-steps 1" ;;
            esac
            for number in -1 1e400 nan 99999999999999999999; do
                run_clean "$tool" $steps "--$option=$number" $rest
                case $status in
                0 | 1 | 2 | 65 | 70) ;;
                *) echo "$tool --$option=$number: $status"; false ;;
                esac
                rm -rf ./*
            done
        done < <("$tool" --help | sed -n 's/^  .\{0,4\}--\([a-z0-9-]*\) [NX]\(|X%\)\{0,1\}  .*/\1/p' |
            grep -vx 'epochs\|max-steps\|number')
    done
}

# broken NAME FILE CONTENT-COMMAND: a copy of the classifier with one file spoilt
broken() {
    rm -rf ../broken
    cp -r "$F/c" ../broken
    cp "$F/t/tokenizer.json" ../broken 2>/dev/null || true
    eval "$2" >"../broken/$1"
}

@test "malformed model files are 65 in every tool that reads them, absent ones 66" {
    local use="score -m ../broken $F/x.toks"
    for content in 'true' 'echo {' 'echo []' 'echo null' "printf '{\"model_type\": 3}'" \
        "head -c 100 $F/c/config.json" "sed 's/\"hidden_size\": 16/\"hidden_size\": -16/' $F/c/config.json" \
        "sed 's/\"hidden_size\": 16/\"hidden_size\": 1e99/' $F/c/config.json" \
        "sed 's/\"hidden_size\": 16/\"hidden_size\": 1152921504606846976/' $F/c/config.json" \
        "sed 's/\"num_hidden_layers\": 2/\"num_hidden_layers\": 2000000000/' $F/c/config.json" \
        "sed 's/\"vocab_size\": [0-9]*/\"vocab_size\": 4294967297/' $F/c/config.json" \
        "sed 's/\"num_attention_heads\": 2/\"num_attention_heads\": 0/' $F/c/config.json" \
        "awk 'BEGIN {for (i = 0; i < 100000; i++) printf \"[\"}'" "head -c 3000 /dev/urandom"; do
        broken config.json "$content"
        rm ../broken/tokenizer.json
        for use in "score -m ../broken $F/x.toks" "finetune -m ../broken -o out $F/x.toks" \
            "mlm-pretrain --init -m ../broken -o out $F/x.toks"; do
            run_clean $use
            [ "$status" -eq 65 ] || { echo "$content: $use: $status $stderr"; false; }
            leaves_nothing .
        done
    done
    for content in 'true' 'echo {' 'echo []' "printf '{\"model\": {}}'" "head -c 500 $F/t/tokenizer.json" \
        "sed 's/WordPiece/NoSuchModel/' $F/t/tokenizer.json" \
        "awk 'BEGIN {for (i = 0; i < 100000; i++) printf \"{\\\"a\\\":\"}'" "head -c 3000 /dev/urandom"; do
        broken tokenizer.json "$content"
        run_clean tok -m ../broken -o out "$F/x.tsv"
        [ "$status" -eq 65 ] || { echo "$content: tok: $status $stderr"; false; }
        leaves_nothing .
    done
    size=$(stat -c %s "$F/c/model.safetensors")
    for content in true "head -c 7 $F/c/model.safetensors" "head -c 100 $F/c/model.safetensors" \
        "head -c $((size - 1)) $F/c/model.safetensors" "cat $F/c/model.safetensors $F/x.tsv" \
        "printf '\\377\\377\\377\\377\\377\\377\\377\\377{}'" "printf '\\002\\0\\0\\0\\0\\0\\0\\0{}'" \
        "head -c 3000 /dev/urandom"; do
        broken model.safetensors "$content"
        rm ../broken/tokenizer.json
        for use in "score -m ../broken $F/x.toks" "finetune -m ../broken -o out $F/x.toks"; do
            run_clean $use
            [ "$status" -eq 65 ] || { echo "$content: $use: $status $stderr"; false; }
            leaves_nothing .
        done
    done
    for gone in config.json model.safetensors; do
        broken $gone true
        rm ../broken/tokenizer.json ../broken/$gone
        fails_with 66 score -m ../broken "$F/x.toks"
        fails_with 66 finetune -m ../broken -o out "$F/x.toks"
        leaves_nothing .
    done
    rm ../broken/*
    for use in "score -m ../broken $F/x.toks" "finetune -m ../broken -o out $F/x.toks" \
        "tok -m ../broken $F/x.tsv" "tok -m ../nowhere $F/x.tsv"; do
        fails_with 66 $use
    done
}

@test "places that cannot be written to are 73" {
    for place in /proc/out /nowhere/out "$F/x.tsv/out"; do
        fails_with 73 tok -m "$F/base" -o "$place" "$F/x.tsv"
        fails_with 73 shard -o "$place" "$F/x.toks"
        fails_with 73 score -m "$F/c" -o "$place" "$F/x.toks"
        fails_with 73 vocab --size 60 --text 2 -o "$place" "$F/x.tsv"
        fails_with 73 finetune -m "$F/w" -o "$place" "$F/x.toks"
        fails_with 73 mlm-pretrain -m "$F/w" -o "$place" "$F/x.toks"
        fails_with 73 finetune -m "$F/w" -o out --log "$place" "$F/x.toks"
        fails_with 73 finetune -m "$F/w" -o out --eval 10% --predictions "$place" "$F/x.toks"
        leaves_nothing .
    done
}

@test "labels of a table that also has texts without any go through the whole pipe" {
    awk -F '\t' 'BEGIN {print "label\ttitle\tabstract"} {print $1 "\t" $2 "\t" $2}' "$F/x.tsv" >train.tsv
    cut -f 2,3 train.tsv | head -n 20 >test.tsv
    tok -m "$F/base" --text title,abstract --join . train.tsv test.tsv >t.toks
    same "$(tok -d --columns label t.toks | sort | uniq -c | awk '{print $2}' | paste -sd , -)" ",0,1"
    mlm-pretrain -q -m "$F/w" --max-steps 1 -o itpt t.toks | finetune -q -m itpt --epochs 1 -o cls
    [ -s cls/model.safetensors ]
    # The other way round the stream has begun without labels: they are left out, and it is said.
    run_clean tok -m "$F/base" --text title,abstract test.tsv train.tsv
    [ "$status" -eq 0 ]
    says "labels are not taken"
}
