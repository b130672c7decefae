# SPDX-License-Identifier: MIT
# mlm-pretrain: pieces and masks, the stream that is passed on, ITPT in one pipe.

load helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    tiny_bert base good nice bad awful movie film the a was
    awk 'BEGIN {
        split("good nice bad awful", word); split("movie film the a was", filler)
        for (i = 1; i <= 90; i++) {
            n = 2 + (i * 7) % 19; text = ""
            for (k = 1; k <= n; k++) text = text (k > 1 ? " " : "") filler[1 + (i * k + k) % 5]
            print (i % 3 ? "pos" : "neg") "\t" text " " word[(i % 3 ? 1 : 3) + i % 2]
        }
    }' </dev/null >train.tsv
    tok -m base --label 1 --text 2 --block-records 16 -o train.toks train.tsv
    mlm-pretrain -q -m base --init --max-steps 0 -o weights train.toks >/dev/null
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    F=$BATS_FILE_TMPDIR
    ln -s "$F"/base "$F"/weights "$F"/train.tsv "$F"/train.toks .
}

mlm() { mlm-pretrain -q -@ 1 -m weights "$@" >/dev/null; }
# For the background: $! is then the tool, not a shell around it.
mlm_exec() { exec mlm-pretrain -q -@ 1 -m weights "$@" >/dev/null; }
steps() { grep '"event":"step"' "$1"; }
evals() { grep '"event":"eval"' "$1"; }
timeless() { sed 's/,"ms":.*//; s/,"training_seconds":.*//' "$1"; }
field() { sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" "${2:-/dev/stdin}"; }
header_of() { zstd -dcq "$1" 2>/dev/null | head -c 3000 | tr -d '\0'; }


@test "a stream and a checkpoint become a model that transformers knows as masked LM" {
    mlm -o out --epochs 1 train.toks
    same "$(ls -A out)" "$(printf '%s\n' config.json model.safetensors provenance.json tokenizer_config.json vocab.txt)"
    grep -q '"BertForMaskedLM"' out/config.json
    cmp out/vocab.txt base/vocab.txt
    for file in out/*; do [ ! "$file" -nt out/model.safetensors ]; done
    mlm -o again --max-steps 0 train.toks
    cmp again/model.safetensors weights/model.safetensors
    mlm-pretrain -q -m weights --max-steps 1 train.toks >/dev/null
    [ -s weights-pretrained/model.safetensors ]
}

@test "the defaults are the documents': 16 x 2, 5 epochs, 5e-5" {
    mlm-pretrain -q -m weights -o out --log log train.toks >/dev/null
    same "$(steps log | wc -l)" 15
    same "$(field lr log | head -n 1)" 5e-05
    mlm-pretrain -q -m weights -o b --batch 16 --accum 2 --epochs 5 --lr 5e-5 --mlm-prob .15 \
        --mask 80,10,10 --block 64 train.toks >/dev/null
    cmp out/model.safetensors b/model.safetensors
}

@test "each text is cut into pieces of --block; nothing is joined or dropped" {
    for block in 64 9 4 3; do
        mlm -f -o out --block $block --epochs 1 --log log train.toks
        # every id once, and two special tokens for every piece
        want=$(tok -d --columns len train.toks | awk -v most=$((block - 2)) \
            '{s += $1 + 2 * int(($1 + most - 1) / most)} END {print s}')
        same "$block: $(field tokens log | paste -sd+ | bc)" "$block: $want"
    done
    # both texts of a pair, each on its own; an empty text has no piece
    printf 'good movie\tbad\n\tnice\nfilm\t\n' | tok -m base --header no --text 1 --pair 2 -o pair.toks
    mlm -f -o out --mlm-prob 1 --batch 100 --max-steps 1 --log log pair.toks
    same "$(field tokens log)" $((4 + 3 + 3 + 3))
    fails_with 2 mlm-pretrain -m weights -o no --block 65 train.toks
    fails_with 2 mlm-pretrain -m weights -o no --block 2 train.toks
}

@test "--mlm-prob 1 --mask 0,0,100 scores every ordinary token unchanged" {
    mlm -o out --mlm-prob 1 --mask 0,0,100 --eval train.toks --max-steps 0 --log log train.toks
    same "$(field masked log)" "$(tok -d --columns len train.toks | paste -sd+ | bc)"
    # special tokens spelled out in a text are never targets
    printf 'good [SEP] movie [MASK]\n[CLS]\n' | tok -m base --format text -o special.toks
    mlm -f -o out --mlm-prob 1 --mask 0,0,100 --eval special.toks --max-steps 0 --log log train.toks
    same "$(field masked log)" 2
}

@test "masks are fresh each epoch, and fixed for held-out texts" {
    # nothing is learned at rate 0: what differs is the masks
    mlm -o out --lr 0 --dropout 0 --shuffle none --batch 90 --accum 1 --epochs 3 --eval 20% --log log train.toks
    same "$(evals log | field loss | sort -u | wc -l)" 1
    same "$(steps log | field loss | sort -u | wc -l)" 3
    # the same for other batches and another number of epochs
    mlm -f -o out --lr 0 --epochs 1 --eval 20% --log other train.toks
    same "$(evals other | field masked)" "$(evals log | field masked | sort -u)"
    share=$(evals log | head -n 1 | field masked)
    [ "$share" -gt 5 ] && [ "$share" -lt 60 ]
}

@test "--whole-word, --mask and --mlm-prob" {
    mlm -o a --whole-word --epochs 1 --log a.log train.toks
    mlm -o b --epochs 1 --log b.log train.toks
    # a word of seven tokens is chosen as one
    yes abcdefg | head -n 30 | paste -sd' ' | tok -m base --format text -o words.toks
    mlm -o c --whole-word --mlm-prob .5 --eval words.toks --max-steps 0 --log c.log train.toks
    masked=$(field masked c.log)
    [ $((masked % 7)) -eq 0 ] && [ "$masked" -gt 28 ] && [ "$masked" -lt 182 ]
    mlm -f -o c --mlm-prob .5 --eval words.toks --max-steps 0 --log c.log train.toks
    [ $(($(field masked c.log) % 7)) -ne 0 ]
    for options in "--mask 80,10" "--mask 80,10,11" "--mask x" "--mlm-prob 1.1" "--mlm-prob -1" \
        "--eval-every 0" "--block x" "--best mcc --eval 10%" "--predictions p"; do
        fails_with 2 mlm-pretrain -m weights -o no $options train.toks
    done
    [ ! -e no ]
}

@test "loss and perplexity; --eval-every; the best loss is kept" {
    mlm -o out --epochs 6 --eval 20% --eval-every 4 --lr 1e-2 --log log train.toks
    same "$(evals log | field step | tr '\n' ' ')" "4 8 12 16 18 "
    evals log | while read -r line; do
        same "$(printf %.5f "$(field perplexity <<<"$line")")" \
            "$(printf %.5f "$(bc -l <<<"e($(field loss <<<"$line"))")")"
    done
    best=$(evals log | awk '{match($0, /"loss":[^,]*/); print substr($0, RSTART + 7, RLENGTH - 7), NR}' |
        sort -g | head -n 1 | cut -d' ' -f2)
    step=$(evals log | field step | sed -n "${best}p")
    grep -q "\"weights_of_step\": $step," out/provenance.json
    mlm -o each --epochs 2 --eval 20% --log log train.toks
    same "$(evals log | field step | tr '\n' ' ')" "3 6 "
    run_clean mlm-pretrain -m weights -o said --epochs 2 --eval 20% train.toks
    says "pieces to train on" "perplexity" "Perplexity"
}

@test "it learns" {
    mlm -o out --epochs 60 --lr 1e-2 --dropout 0 --eval 20% --log log train.toks
    first=$(evals log | field loss | head -n 1)
    last=$(evals log | field loss | sort -g | head -n 1)
    [ "$(bc -l <<<"$last < $first - 1")" = 1 ]
}

@test "results do not depend on threads, log, checkpoints or where the stream goes" {
    mlm -o a --epochs 2 --eval 20% train.toks
    for threads in 1 2 3 8; do
        cat train.toks | mlm -@ $threads -o t$threads --epochs 2 --eval 20% --save-every 2 --log log
        cmp a/model.safetensors t$threads/model.safetensors
    done
    mlm -o s --seed 43 --epochs 2 --eval 20% train.toks
    ! cmp -s a/model.safetensors s/model.safetensors
}

# ---- the stream that is passed on ----

@test "the stream is passed on: the same records, the model announced, its hash at the end" {
    mlm-pretrain -q -m weights -o out --max-steps 1 train.toks >passed.toks
    same "$(tok -d --columns key,label,ids passed.toks)" "$(tok -d --columns key,label,ids train.toks)"
    [[ $(header_of passed.toks) == *"$PWD/out"* ]]
    mlm-pretrain -q -@ 3 -m weights -o out -f --max-steps 1 --log log train.toks >again.toks
    cmp passed.toks again.toks
    finetune -q -m out -o cls --max-steps 1 passed.toks
    [ -s cls/model.safetensors ]
}

@test "tok | mlm-pretrain | finetune in one pipe" {
    tok -m base --label 1 --text 2 train.tsv | mlm-pretrain -q -m weights --epochs 1 -o itpt |
        finetune -q -m itpt --epochs 1 -o cls
    # as in two steps
    mlm -o itpt2 --epochs 1 train.toks
    cmp itpt/model.safetensors itpt2/model.safetensors
    finetune -q -m itpt2 --epochs 1 -o cls2 train.toks
    cmp cls/model.safetensors cls2/model.safetensors
    # under other names for the same places
    mkdir sub && cd sub
    mlm-pretrain -q -m ../weights --epochs 1 -o ../sub/itpt/ ../train.toks |
        finetune -q -m "$PWD/itpt" --epochs 1 -o ../cls3
    cmp ../cls3/model.safetensors ../cls/model.safetensors
}

@test "a stale model is never used" {
    mlm -o itpt --max-steps 0 train.toks
    # refused without -f: nothing comes through the pipe
    run bash -c "cat train.toks | mlm-pretrain -q -m weights -o itpt | finetune -q -m itpt -o cls; echo \${PIPESTATUS[*]}"
    [[ $output == *"0 73 66" ]]
    [ ! -e cls ]
    # mlm-pretrain dies after it has passed all records on: no END, no model
    mlm-pretrain -q -m weights -o itpt -f --epochs 100000 train.toks 2>/dev/null 3>&- >passed &
    pid=$!
    wait_for test -s passed
    sleep 0.2
    kill -KILL $pid
    wait $pid || true
    fails_with 65 finetune -q -m itpt -o cls passed
    [ ! -e cls ]
    # published, and changed since
    mlm-pretrain -q -m weights -o itpt -f --max-steps 2 train.toks >passed
    mlm -f -o itpt --max-steps 3 train.toks
    fails_with 65 finetune -q -m itpt -o cls passed
    says itpt
    [ ! -e cls ]
    # another model than the announced one is nobody's business
    finetune -q -m weights -o cls --max-steps 1 passed
}

@test "finetune waits for the model that its stream announces" {
    mlm -o itpt --max-steps 0 --seed 9 train.toks
    mkfifo pipe
    # the old itpt is there while finetune starts; it must take the new one
    finetune -q -m itpt -o cls --max-steps 0 pipe 3>&- &
    pid=$!
    mlm-pretrain -q -m weights -o itpt -f --epochs 1 train.toks >pipe
    wait $pid
    finetune -q -m itpt -o new --max-steps 0 train.toks
    cmp cls/model.safetensors new/model.safetensors
}

@test "a reader that dies costs nothing: the model is published all the same" {
    mlm-pretrain -q -m weights -o out --epochs 1 train.toks | head -c 100 >/dev/null
    mlm -o want --epochs 1 train.toks
    cmp out/model.safetensors want/model.safetensors
    run bash -c "mlm-pretrain -q -m weights -o out2 --epochs 1 train.toks | false; echo \${PIPESTATUS[0]}"
    same "$output" 0
    [ -s out2/model.safetensors ]
}

@test "a full disk is 74, a cut stream 65: nothing is published" {
    mkdir empty && cd empty
    run bash -c "mlm-pretrain -q -m ../weights -o out ../train.toks >/dev/full"
    same "$status" 74
    fails_with 74 mlm-pretrain -q -m ../weights -o out --log /dev/full ../train.toks
    tok -m ../weights --format text -o ../none.toks /dev/null
    fails_with 65 mlm-pretrain -q -m ../weights -o out ../none.toks
    says "to train on"
    size=$(stat -Lc %s ../train.toks)
    for cut in 1 200 $((size / 2)) $((size - 1)); do
        # downstream notices as well, without pipefail
        run bash -c "head -c $cut ../train.toks | mlm-pretrain -q -m ../weights -o out --max-steps 1 --log log |
            finetune -q -m out -o cls; echo \${PIPESTATUS[*]}"
        [[ ${lines[-1]} == "0 65 65" || ${lines[-1]} == "0 65 66" ]]
        leaves_nothing .
    done
}

# ---- stopping and going on ----

LONG=(--eval 20% --epochs 300 --eval-every 20)

@test "stopped and killed runs go on to the same bytes" {
    mlm -o whole "${LONG[@]}" --log whole.log train.toks
    for signal in TERM KILL USR1 KILL INT; do
        mlm_exec -o part "${LONG[@]}" --resume --save-every 30 --log log train.toks 2>/dev/null 3>&- &
        pid=$!
        before=$(cat log 2>/dev/null | wc -l)
        wait_for bash -c "[ \$(wc -l <log) -gt $((before + 70)) ]"
        kill -s $signal $pid
        status=0
        wait $pid || status=$?
        [ $status = 75 ] || { [ $signal = KILL ] && [ $status = 137 ]; }
        [ ! -e part ]
    done
    mlm -o part "${LONG[@]}" --resume --log log train.toks
    cmp whole/model.safetensors part/model.safetensors
    diff <(timeless whole.log) <(timeless log)
    [ ! -e part.ckpt ]
}

@test "a stopped pipe leaves no classifier; the same pipe with --resume makes it" {
    pipe="cat train.toks | mlm-pretrain -q -m weights --epochs 2 --save-every 2 \$resume -o itpt | finetune -q -m itpt --epochs 1 \$resume -o cls; echo \${PIPESTATUS[*]}"
    mlm-pretrain -q -m weights --epochs 100000 -o itpt train.toks 2>/dev/null 3>&- >stream &
    pid=$!
    wait_for test -s stream
    sleep 0.3
    kill -TERM $pid
    wait $pid || same $? 75
    fails_with 65 finetune -q -m itpt -o cls stream
    rm -r itpt.ckpt
    resume=--resume run bash -c "$pipe"
    same "${lines[-1]}" "0 0 0"
    cp -a itpt before
    # again, with all of it there: everything says so and ends well
    resume=--resume run bash -c "$pipe"
    same "${lines[-1]}" "0 0 0"
    diff -r itpt before
}

@test "--keep N leaves the newest checkpoints" {
    mlm -o out --epochs 4 --save-every 2 --keep 2 train.toks
    same "$(ls out.ckpt | sort -n | tr '\n' ' ')" "8 10 "
}

@test "--init trains from scratch, --seed chooses the weights" {
    for seed in 1 1 2; do
        mlm-pretrain -q -m base --init --seed $seed --max-steps 0 -f -o out train.toks >/dev/null
        sum=$(cksum <out/model.safetensors)
        [ $seed = 2 ] || same "$sum" "${first:=$sum}"
    done
    [ "$sum" != "$first" ]
    fails_with 66 mlm-pretrain -q -m base -o no train.toks
    fails_with 73 mlm-pretrain -q -m weights -o out train.toks
}

@test "another tokenizer is 65, with both names and the way out" {
    tiny_bert other some words
    tok -m other --format text -o other.toks train.tsv
    fails_with 65 mlm-pretrain -q -m weights -o out other.toks
    says other weights "tok -m weights"
    [ ! -e out ]
}
