# SPDX-License-Identifier: MIT
# The commands of the man pages' EXAMPLES and of README.md run as they are printed, on models
# and files of the names that they use.

load helper

# model NAME KIND FAMILY CONFIG: a tokenizer and random weights under $BERTUTILS_MODELS
model() {
    vocab -q --kind "$2" --size 330 --text 2 -o "plain/$1" label.tsv
    cat >"plain/$1/config.json" <<CONFIG
{"model_type": "$3", "vocab_size": 330, "hidden_size": 16, "num_hidden_layers": 1,
 "num_attention_heads": 2, "intermediate_size": 32, "hidden_act": "gelu",
 "max_position_embeddings": 514, "type_vocab_size": 2, "layer_norm_eps": 1e-5,
 "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, $4}
CONFIG
    tok -m "plain/$1" label.tsv |
        mlm-pretrain -q -m "plain/$1" --init --max-steps 0 -o "models/$1" >/dev/null
}

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    mkdir plain models files
    export BERTUTILS_MODELS=$PWD/models
    cp "$REPO/examples/tiny.tsv" label.tsv
    model roberta bpe roberta '"pad_token_id": 1, "architectures": ["RobertaForMaskedLM"]'
    model bert-base-uncased wordpiece bert '"pad_token_id": 0, "architectures": ["BertForMaskedLM"]'
    tok -m bert-base-uncased label.tsv |
        finetune -q -m bert-base-uncased --epochs 1 -o models/cola
    cd files
    cp ../label.tsv train.tsv
    cp "$REPO/tests/golden/archives/cola_public.zip" .
    head -n 20 train.tsv >dev.tsv
    awk -F '\t' '{print "gj04\t" $1 "\t\t" $2}' dev.tsv >out_of_domain_dev.tsv
    cut -f2 train.tsv >corpus.txt
    awk -F '\t' '{printf "{\"title\": \"%s\", \"abstract\": \"%s\", \"field\": \"%s\"}\n", $2, $2, $1}' \
        train.tsv >papers.jsonl
    awk -F '\t' 'BEGIN {print "label\ttitle\tabstract"} {print $1 "\t" $2 "\t" $2 " " $2}' train.tsv >papers.tsv
}

setup() {
    export BERTUTILS_MODELS=$BATS_FILE_TMPDIR/models
    cp -r "$BATS_FILE_TMPDIR/files" "$BATS_TEST_TMPDIR/here"
    cd "$BATS_TEST_TMPDIR/here"
    ln -s "$REPO/pipelines" pipelines
}

# streams MODEL: the token streams that a page's examples read
streams() {
    tok -m "$1" -o all.toks.zst train.tsv
    tok -m "$1" -o dev.toks.zst dev.tsv
    cp all.toks.zst train.toks.zst
    cp all.toks.zst corpus.toks.zst
}

# blocks PAGE: writes its literal blocks as block-01, block-02 ...; .Dl lines in a row are one
blocks() {
    awk '/^\.Sh/ {inside = /EXAMPLES/; open = 0; next}
        !inside {next}
        /^\.Bd -literal/ {n++; open = 1; next}
        /^\.Ed/ {open = 0; next}
        /^\.Dl/ {if (!row) n++; row = 1; line = substr($0, 5)
            if (line ~ /^".*"$/) line = substr(line, 2, length(line) - 2)
            print line >sprintf("block-%02d", n); next}
        {row = 0}
        open {print >sprintf("block-%02d", n)}' "$REPO/man/$1"
    sed -i 's/\\e/\\/g; s/\\&//g; s/\\-/-/g' block-*
}

# run_blocks NUMBER: runs them one after the other; there must be so many
run_blocks() {
    local block options
    same "$(ls block-* | wc -l)" "$1"
    for block in block-*; do
        options=(-e -o pipefail)
        # head leaves before its pipe is empty, and who still writes dies of it.
        if grep -q '| *head' "$block"; then options=(-e); fi
        run_clean bash "${options[@]}" "$block" </dev/null
        [ "$status" -eq 0 ] || {
            printf 'status %s:\n%s\n%s\n' "$status" "$(cat "$block")" "$stderr" >&2
            return 1
        }
    done
}

@test "tok.1" {
    blocks tok.1
    run_blocks 8
    grep -qx '[0-9][0-9]*' <(sed 's/.*"max_len":\([0-9]*\).*/\1/' stats.json)
    [ -s roberta-finetuned/model.safetensors ] && [ -s cola.toks.zst ]
    tok -d --columns label papers.toks.zst | sort -u | paste -sd ' ' | grep -qx '0 1'
}

@test "vocab.1" {
    blocks vocab.1
    run_blocks 1
    same "$output" "some te ##x ##t"
}

@test "shard.1" {
    streams roberta
    blocks shard.1
    run_blocks 5
    same "$output" "$(shard --history clean.toks.zst)"
}

@test "mlm-pretrain.1" {
    streams roberta
    cp papers.tsv train.tsv
    cp papers.tsv test.tsv
    blocks mlm-pretrain.1
    same "$(ls block-* | wc -l)" 4
    # Each makes an itpt of its own.
    for block in block-*; do (mkdir "in-$block" && cp ./*.t* "in-$block" && cd "in-$block" && bash -e -o pipefail "../$block"); done
    [ -s in-block-01/itpt/model.safetensors ] && [ -s in-block-02/cls/model.safetensors ]
    grep -q '"event":"eval"' in-block-04/log
}

@test "finetune.1" {
    streams roberta
    blocks finetune.1
    same "$(ls block-* | wc -l)" 5
    for block in block-*; do (mkdir "in-$block" && cp ./*.t* ./*.zip "in-$block" && cd "in-$block" && bash -e -o pipefail "../$block"); done
    [ -s in-block-01/roberta-finetuned/model.safetensors ] && [ -s in-block-02/cola/model.safetensors ]
}

@test "score.1" {
    tok -m cola -o dev.toks.zst dev.tsv
    blocks score.1
    run_blocks 5
    same "${#lines[@]}" 10
    head -n 1 dev.scores | grep -q 'z:0'
}

@test "mcc.1" {
    command -v gnuplot >/dev/null || skip "no gnuplot"
    tok -m cola train.tsv | score -m cola >scores.tsv
    cp scores.tsv other.tsv
    blocks mcc.1
    run_blocks 6
    grep -q '</svg>' batches.svg
}

@test "scores.5 and tokstream.5" {
    tok -m cola train.tsv | score -m cola >scores.tsv
    blocks scores.5
    run_blocks 2
    rm block-*
    command -v strings >/dev/null && command -v zstd >/dev/null || skip "no strings or zstd"
    streams roberta
    blocks tokstream.5
    run_blocks 2
}

@test "every page's examples are run here" {
    for page in "$REPO"/man/*.[15]; do
        grep -q '^\.Sh EXAMPLES' "$page" || continue
        grep -q "^@test \".*$(basename "$page")" "$BATS_TEST_FILENAME" || { echo "$page"; false; }
    done
}

# section HEADING: the indented commands of a part of README.md, a block each
@test "README.md" {
    awk '/^    / {if (!row) n++; row = 1; print substr($0, 5) >sprintf("block-%02d", n); next} {row = 0}' \
        "$REPO/README.md"
    grep -l '^make ' block-* | xargs rm -f
    grep -L 'tok\|finetune\|score' block-* | xargs rm -f
    for block in block-*; do
        if grep -q 'title,abstract' "$block"; then
            cp papers.tsv train.tsv
            cp papers.tsv test.tsv
        fi
        run_clean bash -e -o pipefail "$block"
        [ "$status" -eq 0 ] || { printf '%s\n%s\n' "$(cat "$block")" "$stderr" >&2; false; }
    done
    [ -s roberta-finetuned/model.safetensors ] && [ -s cola/model.safetensors ]
}
