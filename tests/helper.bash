# SPDX-License-Identifier: MIT
# Shared by every bats file:  load helper
#
#   $BERTUTILS_BIN   where the tools are (default: bin/ of this tree); first on PATH
#   $REPO            this tree
#   $DATA            the optional corpora and checkpoints beside it; see skip_without_data

bats_require_minimum_version 1.5.0

REPO=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
BERTUTILS_BIN=$(cd "${BERTUTILS_BIN:-$REPO/bin}" && pwd)
DATA=$REPO/../shared/data
export REPO BERTUTILS_BIN DATA
PATH=$BERTUTILS_BIN:$PATH
export LC_ALL=C
# Settings of the person who runs the tests must not reach the tools.
unset BERTUTILS_MODEL BERTUTILS_MODELS BERTUTILS_THREADS
unset HF_HOME HF_HUB_CACHE HUGGINGFACE_HUB_CACHE XDG_CACHE_HOME
# A sanitizer's report must not look like an ordinary exit status.
export ASAN_OPTIONS=exitcode=99:${ASAN_OPTIONS:-} UBSAN_OPTIONS=exitcode=99:${UBSAN_OPTIONS:-}

# skip_without_data [PATH under $DATA...]: skips the test, saying what is missing.
skip_without_data() {
    local path
    [ -d "$DATA" ] || skip "no test data at ../shared/data"
    for path; do
        [ -e "$DATA/$path" ] || skip "no ../shared/data/$path"
    done
}

# run_clean COMMAND...: `run`, and the command must not have died (a signal, a sanitizer):
# 0..98 and nothing else is an answer.  $output holds stdout, $stderr the messages.
run_clean() {
    run --separate-stderr "$@"
    if [ "$status" -ge 99 ]; then
        printf 'died with status %s: %s\n%s\n' "$status" "$*" "$stderr" >&2
        return 1
    fi
}

# fails_with STATUS COMMAND...: it must end with exactly this status, cleanly, and say why.
fails_with() {
    local want=$1
    shift
    run_clean "$@"
    if [ "$status" -ne "$want" ]; then
        printf 'status %s, wanted %s: %s\n%s\n' "$status" "$want" "$*" "$stderr" >&2
        return 1
    fi
    if [ "$want" -ne 0 ] && [ -z "$stderr" ]; then
        printf 'failed without a word: %s\n' "$*" >&2
        return 1
    fi
}

# says TEXT...: each text must be in what the last command wrote to stderr.
says() {
    local text
    for text; do
        if [[ $stderr != *"$text"* ]]; then
            printf 'not said: %s\nsaid: %s\n' "$text" "$stderr" >&2
            return 1
        fi
    done
}

# same A B: two strings must be equal; shows both when they are not.
same() {
    if [ "$1" != "$2" ]; then
        printf 'got:    %q\nwanted: %q\n' "$1" "$2" >&2
        return 1
    fi
}

# leaves_nothing DIR [NAME...]: no file in it but these, hidden ones included (bats puts files
# of its own into $BATS_TEST_TMPDIR).
leaves_nothing() {
    local dir=$1 left name known
    shift
    known=(! -name 'separate-stderr-*')
    for name; do known+=(! -path "$dir/$name"); done
    left=$(find "$dir" -mindepth 1 "${known[@]}")
    if [ -n "$left" ]; then
        printf 'left behind: %s\n' "$left" >&2
        return 1
    fi
}

# gives LINES COMMAND...: its output must be just that, its status 0.
gives() {
    local want=$1
    shift
    run_clean "$@"
    if [ "$status" -ne 0 ]; then
        printf 'status %s: %s\n%s\n' "$status" "$*" "$stderr" >&2
        return 1
    fi
    same "$output" "$want"
}

# tiny_bert DIR [WORD...]: a WordPiece vocabulary, enough for tok -m DIR.  Ids from 0: [PAD]
# [UNK] [CLS] [SEP] [MASK], the words, then a to z and ##a to ##z, so that no ASCII
# letter is unknown, digits and some punctuation.
tiny_bert() {
    local dir=$1 c
    shift
    mkdir -p "$dir"
    {
        printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' "$@"
        for c in {a..z}; do printf '%s\n##%s\n' "$c" "$c"; done
        for c in {0..9}; do printf '%s\n##%s\n' "$c" "$c"; done
        printf '%s\n' . , '!' '?' ';' : '"' "'" - '(' ')' / '&'
    } >"$dir/vocab.txt"
    printf '{"do_lower_case": true, "model_max_length": 512, "tokenizer_class": "BertTokenizer"}\n' \
        >"$dir/tokenizer_config.json"
    printf '%s\n' '{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2,' \
        ' "num_attention_heads": 2, "intermediate_size": 32, "hidden_act": "gelu",' \
        ' "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,' \
        ' "max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": 1e-12,' \
        ' "initializer_range": 0.02, "pad_token_id": 0,' \
        " \"vocab_size\": $(wc -l <"$dir/vocab.txt"), \"architectures\": [\"BertForMaskedLM\"]}" \
        >"$dir/config.json"
}

# byte_model DIR: byte-level BPE without a merge: the id of a byte is its value and 4.
byte_model() {
    local dir=$1
    mkdir -p "$dir"
    awk 'BEGIN {
        printf "{\"<s>\":0,\"<pad>\":1,\"</s>\":2,\"<unk>\":3";
        extra = 256;
        for (b = 0; b < 256; b++) {
            same = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            printf ",\"\\u%04x\":%d", same ? b : extra++, b + 4;
        }
        printf ",\"<mask>\":260}\n";
    }' >"$dir/vocab.json"
    printf '#version: 0.2\n' >"$dir/merges.txt"
    printf '{"model_type": "roberta", "vocab_size": 261}\n' >"$dir/config.json"
}

# columns LIST TOK-ARGUMENTS: what tok read, with the model of byte_model in $BYTES.
columns() {
    local list=$1
    shift
    tok -m "$BYTES" -o columns.toks "$@" && tok -d --columns "$list" columns.toks
}

# wait_for COMMAND...: until it succeeds, 10 s at most
wait_for() {
    for _ in {1..500}; do
        "$@" 2>/dev/null && return
        sleep 0.02
    done
    echo "waited in vain for: $*" >&2
    return 1
}
