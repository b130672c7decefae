# SPDX-License-Identifier: MIT
# score: rows, formats, what is refused, and that nothing false is ever left behind.

load helper

# A tiny classifier of good and bad films, random weights, and a stream that fits it.
setup_file() {
    export FILES=$BATS_FILE_TMPDIR
    cd "$FILES" || return 1
    tiny_bert base good bad film very
    {
        printf 'label\ttext\n'
        for i in 1 2 3 4 5 6 7 8 9 10; do
            printf 'pos\tgood film %s\nneg\tvery bad film, %s\n' "$i" "$i"
        done
    } >train.tsv
    tok -m base train.tsv >train.toks
    tok -m base --block-records 1 train.tsv >blocks.toks
    finetune -q -m base --init --max-steps 0 -o single train.toks
    sed 's/single_label_classification/multi_label_classification/' single/config.json >config
    cp -r single multi && cp config multi/config.json
    sed 's/"multi_label_classification"/&, "thresholds": [0.3, 0.9]/' config >config2
    cp -r single limits && cp config2 limits/config.json
}

setup() {
    cd "$FILES" || return 1
    mkdir -p "$BATS_TEST_TMPDIR/out"
    OUT=$BATS_TEST_TMPDIR/out
}

tab=$'\t'

@test "one row a record in order, a header, probabilities that sum to 1" {
    run_clean score -m single train.toks
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 21 ]
    same "${lines[0]}" "key${tab}gold${tab}pred${tab}p:neg${tab}p:pos"
    same "$(printf '%s\n' "${lines[@]:1}" | cut -f 1 | paste -s -d ' ')" "$(seq 20 | paste -s -d ' ')"
    same "$(printf '%s\n' "${lines[@]:1}" | cut -f 2)" "$(tail -n +2 train.tsv | cut -f 1)"
    printf '%s\n' "${lines[@]:1}" | awk -F '\t' '
        NF != 5 || $4 + $5 < 0.99999999 || $4 + $5 > 1.00000001 {bad = 1}
        ($4 >= $5) != ($3 == "neg") {bad = 1}
        length($4) < 10 {bad = 1}
        END {exit bad}'
}

@test "--logits gives z: columns, whose softmax are the probabilities" {
    score -m single train.toks >"$OUT/p"
    score -m single --logits train.toks >"$OUT/z"
    same "$(head -n 1 "$OUT/z")" "key${tab}gold${tab}pred${tab}z:neg${tab}z:pos"
    paste "$OUT/p" "$OUT/z" | tail -n +2 | awk -F '\t' '
        {p = 1 / (1 + exp($10 - $9)); d = p - $4; if (d > 1e-7 || d < -1e-7 || $3 != $8) bad = 1}
        END {exit bad || NR != 20}'
    fails_with 2 score -m single --logits --probs train.toks
}

@test "--probs is the default; -o FILE, standard input, and a plain stream give the same bytes" {
    score -m single train.toks >"$OUT/a"
    score -m single --probs train.toks | cmp "$OUT/a"
    score -m single -o "$OUT/b" train.toks
    cmp "$OUT/a" "$OUT/b"
    score -m single <train.toks | cmp "$OUT/a"
    score -m single - <train.toks | cmp "$OUT/a"
    zstd -dcq train.toks | score -m single | cmp "$OUT/a"
}

@test "bytes do not depend on threads" {
    score -m single -@ 1 train.toks >"$OUT/a"
    for n in 2 3 8; do
        score -m single -@ $n train.toks | cmp "$OUT/a"
    done
}

@test "batches of any size and blocks of one record give the same bytes" {
    score -m single --logits train.toks >"$OUT/a"
    score -m single --logits blocks.toks >"$OUT/c"
    cmp "$OUT/a" "$OUT/c"
    for n in 1 20 64 1000; do
        score -m single --logits --batch-tokens $n train.toks >"$OUT/b"
        cmp "$OUT/a" "$OUT/b"
    done
}

@test "streams one after the other are one" {
    cat train.toks train.toks | score -m single >"$OUT/a"
    score -m single train.toks train.toks >"$OUT/b"
    cmp "$OUT/a" "$OUT/b"
    [ "$(wc -l <"$OUT/a")" -eq 41 ]
}

@test "keys stay, gold is empty where there is none" {
    printf '%s\n' '{"id": "x 1", "text": "good"}' '{"id": "", "text": ""}' '{"id": "é", "text": "bad"}' |
        tok -m base --format jsonl --text text --key id | score -m single >"$OUT/a"
    same "$(tail -n +2 "$OUT/a" | cut -f 1,2)" "x 1$tab"$'\n'"$tab"$'\n'"é$tab"
    [ "$(wc -l <"$OUT/a")" -eq 4 ]
}

@test "pairs are scored as pairs" {
    printf 'good film\tbad\ngood\tfilm bad\n' >"$OUT/pairs.tsv"
    tok -m base --header no --text 1 --pair 2 "$OUT/pairs.tsv" | score -m single --logits >"$OUT/a"
    tok -m base --header no --text 1 "$OUT/pairs.tsv" | score -m single --logits >"$OUT/b"
    [ "$(wc -l <"$OUT/a")" -eq 3 ]
    if cmp -s "$OUT/a" "$OUT/b"; then false; fi
    [ "$(sed -n 2p "$OUT/a" | cut -f 4)" != "$(sed -n 3p "$OUT/a" | cut -f 4)" ]
}

@test "a stream of no records gives a header" {
    : | tok -m base --format text >"$OUT/empty.toks"
    run_clean score -m single "$OUT/empty.toks"
    [ "$status" -eq 0 ]
    same "$output" "key${tab}gold${tab}pred${tab}p:neg${tab}p:pos"
}

@test "multi-label: labels over the threshold joined by commas, each probability its own" {
    run_clean score -m multi train.toks
    [ "$status" -eq 0 ]
    printf '%s\n' "${lines[@]:1}" | awk -F '\t' '
        {want = ($4 > 0.5 ? "neg" : ""); if ($5 > 0.5) want = want (want == "" ? "" : ",") "pos"}
        $3 != want {bad = 1}
        END {exit bad || NR != 20}'
    score -m limits train.toks | tail -n +2 | awk -F '\t' '
        {want = ($4 > 0.3 ? "neg" : ""); if ($5 > 0.9) want = want (want == "" ? "" : ",") "pos"}
        $3 != want {bad = 1}
        END {exit bad || NR != 20}'
    cp -r multi "$OUT/m"
    sed 's/"multi_label_classification"/&, "thresholds": [0.3]/' multi/config.json >"$OUT/m/config.json"
    fails_with 65 score -m "$OUT/m" train.toks
    says thresholds
}

@test "regression: the value is the prediction" {
    printf '0.5\tgood\n-1\tbad\n2\tfilm\n' >"$OUT/r.tsv"
    tok -m base --header no --label 1 --text 2 "$OUT/r.tsv" >"$OUT/r.toks"
    finetune -q -m base --init --problem regression --max-steps 0 -o "$OUT/r" "$OUT/r.toks"
    fails_with 2 score -m "$OUT/r" --top 1 "$OUT/r.toks"
    run_clean score -m "$OUT/r" "$OUT/r.toks"
    [ "$status" -eq 0 ]
    same "${lines[0]}" "key${tab}gold${tab}pred"
    same "$(printf '%s\n' "${lines[@]:1}" | cut -f 2 | paste -s -d ' ')" "0.5 -1 2"
    score -m "$OUT/r" --logits "$OUT/r.toks" | awk -F '\t' '
        NR == 1 {if ($4 != "z:value") bad = 1; next}
        $3 != $4 {bad = 1}
        END {exit bad || NR != 4}'
}

# ---- limits ----

# Sorts the columns from the fourth on by value, largest first, and keeps K of them.
best_of() {
    awk -F '\t' -v k="$1" 'NR == 1 {for (i = 4; i <= NF; i++) name[i] = substr($i, 3); next}
        {
            printf "%s\t%s\t%s", $1, $2, $3
            for (j = 0; j < k; j++) {
                top = 0
                for (i = 4; i <= NF; i++) if ($i != "-" && (!top || $i + 0 > $top + 0)) top = i
                printf "\t%s\t%s", name[top], $top
                $top = "-"
            }
            print ""
        }' OFS='\t' "$2"
}

@test "--top K: the best labels alone, with their probabilities or logits" {
    printf 'a\tgood\nb\tbad film\nc\tvery\nd\tfilm\ne\tgood film\na\tbad\n' >"$OUT/five.tsv"
    tok -m base --header no "$OUT/five.tsv" >"$OUT/five.toks"
    finetune -q -m base --init --max-steps 0 -o "$OUT/five" "$OUT/five.toks"
    cp -r "$OUT/five" "$OUT/multi5"
    sed 's/single_label_class/multi_label_class/' "$OUT/five/config.json" >"$OUT/multi5/config.json"
    for how in "five --probs" "five --logits" "multi5 --probs"; do
        set -- $how
        model=$OUT/$1
        score -m "$model" "$2" "$OUT/five.toks" >"$OUT/all"
        score -m "$model" "$2" --top 3 "$OUT/five.toks" >"$OUT/top"
        c=p
        [ "$2" = --probs ] || c=z
        same "$(head -n 1 "$OUT/top")" "key${tab}gold${tab}pred${tab}top1${tab}${c}1${tab}top2${tab}${c}2${tab}top3${tab}${c}3"
        best_of 3 "$OUT/all" >"$OUT/want"
        tail -n +2 "$OUT/top" | cmp - "$OUT/want"
    done
    score -m "$OUT/five" --top 99 "$OUT/five.toks" >"$OUT/top"
    same "$(head -n 1 "$OUT/top" | tr '\t' '\n' | grep -c top)" 5
    fails_with 65 mcc "$OUT/top"
    says "$OUT/top:1: " --top
    fails_with 2 score -m "$OUT/five" --top 0 "$OUT/five.toks"
}

@test "--embed: a vector of each record, from models without a head too" {
    mlm-pretrain -q -m base --init --max-steps 0 -o "$OUT/lm" train.toks >/dev/null
    for how in cls mean; do
        score -m "$OUT/lm" --embed $how train.toks >"$OUT/$how"
        same "$(head -n 1 "$OUT/$how" | tr '\t' ' ')" "key gold $(seq 16 | sed 's/^/e:/' | paste -s -d ' ')"
        same "$(tail -n +2 "$OUT/$how" | cut -f 1,2)" "$(tail -n +2 train.tsv | cut -f 1 | nl -ba -nln -w1 | tr -d ' ')"
        awk -F '\t' 'NF != 18 {exit 1}' "$OUT/$how"
        # Layer norm: with gamma 1 and beta 0 a token's vector has mean 0, and so has a mean of them.
        tail -n +2 "$OUT/$how" | awk -F '\t' '{s = 0; for (i = 3; i <= NF; i++) s += $i} s > 1e-5 || s < -1e-5 {exit 1}'
        score -m "$OUT/lm" --embed $how -@ 3 --batch-tokens 20 blocks.toks | cmp - "$OUT/$how"
        score -m single --embed $how train.toks >/dev/null
        fails_with 65 mcc "$OUT/$how"
        head -c 200 train.toks >"$OUT/cut"
        fails_with 65 score -m "$OUT/lm" --embed $how "$OUT/cut"
    done
    if cmp -s "$OUT/cls" "$OUT/mean"; then false; fi
    fails_with 2 score -m single --embed cls --logits train.toks
    fails_with 2 score -m single --embed max train.toks
}

@test "--max-len cuts, and says so when it is much" {
    run_clean score -m single --max-len 4 train.toks
    [ "$status" -eq 0 ] && [ "${#lines[@]}" -eq 21 ]
    says warning "4 tokens" "20 of 20 records"
    run_clean score -m single train.toks
    same "$stderr" ""
    run_clean score -v -m single train.toks
    says "0.00 %"
    fails_with 2 score -m single --max-len 65 train.toks
    says 64
    fails_with 2 score -m single --max-len 2 train.toks
}

@test "a text beyond the model's limit is cut to it" {
    printf 'good %.0s' $(seq 500) | tok -m base --format text |
        score -m single --logits >"$OUT/a" 2>"$OUT/said"
    grep -q 'limit of 64' "$OUT/said"
    printf 'good %.0s' $(seq 62) | tok -m base --format text | score -m single --logits | cmp "$OUT/a"
}

# ---- damage ----

@test "a stream cut at any byte is 65, its last row is not written, and no file is" {
    size=$(stat -c %s train.toks)
    for ((n = 1; n < size; n += 13)); do
        head -c $n train.toks >"$OUT/cut"
        fails_with 65 score -q -m single -o "$OUT/scores" "$OUT/cut"
        [ ! -e "$OUT/scores" ]
        run_clean score -q -m single <"$OUT/cut"
        [ "$status" -eq 65 ] && [ "${#lines[@]}" -le 20 ]
    done
    rm "$OUT/cut"
    leaves_nothing "$OUT"
}

@test "a tok that died is noticed without pipefail" {
    run --separate-stderr bash -c '{ head -c 300 train.toks; } | score -m single'
    [ "$status" -eq 65 ]
}

@test "no input and no model are 66" {
    fails_with 66 score -m single /dev/null
    fails_with 66 score -m single "$OUT/absent.toks"
    says absent.toks
    fails_with 66 score -m "$OUT/absent" train.toks
    says absent
    mkdir "$OUT/hollow" && cp base/* "$OUT/hollow"
    fails_with 66 score -m "$OUT/hollow" train.toks
    says "no weights"
    fails_with 2 score train.toks
    says -m
}

@test "another tokenizer is 65 and both are named" {
    tiny_bert "$OUT/other" film good bad very
    printf 'good\n' | tok -m "$OUT/other" --format text >"$OUT/other.toks"
    fails_with 65 score -m single "$OUT/other.toks"
    says other single "tok -m single"
}

@test "a model without a head is 65, and so are malformed weights" {
    cp -r single "$OUT/m"
    printf 'rubbish' >"$OUT/m/model.safetensors"
    fails_with 65 score -m "$OUT/m" train.toks
    says model.safetensors
    head -c 1000 single/model.safetensors >"$OUT/m/model.safetensors"
    fails_with 65 score -m "$OUT/m" train.toks
    says "cut short"
    rm "$OUT/m/model.safetensors"
    printf 'cos\nsystem\n(S"touch pwned"\ntR.' >"$OUT/m/pytorch_model.bin"
    fails_with 65 score -m "$OUT/m" train.toks
    says pytorch_model.bin
    [ ! -e pwned ]
    mlm-pretrain -q -m base --init --max-steps 0 -o "$OUT/mlm" train.toks >/dev/null
    fails_with 65 score -m "$OUT/mlm" train.toks
    says head
}

@test "ids beyond the model are 65, whatever its tokenizer says" {
    cp -r single "$OUT/m"
    sed -i 's/"vocab_size": [0-9]*/"vocab_size": 8/' "$OUT/m/config.json"
    run_clean score -m "$OUT/m" train.toks
    [ "$status" -eq 65 ]
}

@test "a key or a label that would break a row is 65 and names the record" {
    printf '{"id": "a", "text": "x"}\n{"id": "b\\tc", "text": "x"}\n' >"$OUT/tab.jsonl"
    if tok -m base --format jsonl --text text --key id "$OUT/tab.jsonl" >"$OUT/tab.toks" 2>"$OUT/said"; then
        fails_with 65 score -m single -o "$OUT/scores" "$OUT/tab.toks"
        says "record 2"
        [ ! -e "$OUT/scores" ]
    else
        grep -q 'record 2\|line 2\|:2:' "$OUT/said"
    fi
}

@test "a full disk is 74, a place that is not there 73; nothing is left" {
    fails_with 74 score -m single -o /dev/full train.toks
    run --separate-stderr bash -c 'score -m single train.toks >/dev/full'
    [ "$status" -eq 74 ]
    fails_with 73 score -m single -o "$OUT/no/such/scores" train.toks
    fails_with 73 score -m single -o "$OUT" train.toks
    leaves_nothing "$OUT"
}

# ---- pipes ----

@test "rows come while the stream is still open" {
    mkfifo "$OUT/in"
    score -m single <"$OUT/in" >"$OUT/rows" 3>&- &
    pid=$!
    exec 7>"$OUT/in"
    size=$(stat -c %s blocks.toks)
    head -c $((size * 3 / 4)) blocks.toks >&7
    for _ in $(seq 100); do
        [ "$(wc -l <"$OUT/rows")" -gt 3 ] && break
        sleep 0.1
    done
    seen=$(wc -l <"$OUT/rows")
    tail -c +$((size * 3 / 4 + 1)) blocks.toks >&7
    exec 7>&-
    wait $pid
    [ "$seen" -gt 3 ] && [ "$seen" -lt 21 ]
    [ "$(wc -l <"$OUT/rows")" -eq 21 ]
}

@test "the pipe of the documents: tok, score, mcc" {
    value=$(tok -m single train.tsv | score -m single | mcc --metric accuracy)
    same "$value" 0.5
}
