# SPDX-License-Identifier: MIT
# tok with tokenizers of all kinds, from tokenizer.json alone.

load helper

G=$REPO/tests/golden/tokenizer

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    printf 'the friend  was é!\n\n <mask> thé 12 москва\n' >in.txt
}

@test "Unigram: tokens, whole inputs and text" {
    tok -m "$G/unigram" --format text -o u.toks in.txt
    run_clean tok -d --tokens u.toks
    [ "${lines[0]}" = '▁the ▁friend ▁ w a s ▁é !' ]
    run_clean tok -d --text --special u.toks
    [ "${lines[0]}" = '<s> the friend was é!</s>' ]
    run_clean tok -d --text u.toks
    [ "$output" = "$(printf 'the friend was é!\n\nthé 12 москва')" ] || {
        printf '%s\n' "$output" >&2
        false
    }
}

@test "BPE over characters falls back to bytes, and gives the text back" {
    tok -m "$G/chars" --format text -o c.toks in.txt
    run_clean tok -d --tokens c.toks
    [[ ${lines[0]} == *'<0x'* ]]
    printf 'the friends é 中\n' | tok -m "$G/chars" --format text -o c.toks
    run_clean tok -d --text c.toks
    [ "$output" = 'the friends é 中' ]
}

@test "whole words, and words with a suffix" {
    printf 'THE play, Москва.\n' | tok -m "$G/words" --format text -o w.toks
    run_clean tok -d --tokens w.toks
    [ "$output" = 'the play , москва .' ]
    printf 'the ing\n' | tok -m "$G/suffix" --format text | tok -d --text -m "$G/suffix" >out
    [ "$(cat out)" = 'the ing' ]
}

@test "threads and block sizes change nothing" {
    for i in $(seq 300); do cat in.txt; done >many.txt
    for kind in unigram unigram-first chars suffix words; do
        tok -q -@ 1 -m "$G/$kind" --format text -o a.toks many.txt
        tok -q -@ 3 -m "$G/$kind" --format text -o b.toks many.txt
        cmp a.toks b.toks
    done
}

@test "a tokenizer of another kind has another hash" {
    tok -m "$G/unigram" --format text -o u.toks in.txt
    run_clean tok -d --tokens -m "$G/unigram-first" u.toks
    [ "$status" -eq 65 ]
}

# edit KIND OLD NEW: a copy of the tokenizer with one piece of it changed
edit() {
    mkdir -p changed
    awk -v old="$2" -v new="$3" '{
        at = index($0, old); if (at) $0 = substr($0, 1, at - 1) new substr($0, at + length(old))
        print }' "$G/$1/tokenizer.json" >changed/tokenizer.json
    ! cmp -s "$G/$1/tokenizer.json" changed/tokenizer.json
}

@test "what is not implemented is named, with the file" {
    edit unigram '"Regex":" {2,}"' '"Regex":"(?=ab)c"'
    run_clean tok -m changed --format text in.txt
    [ "$status" -eq 65 ]
    [[ $stderr == *tokenizer.json*lookaround* ]]
    edit unigram '"unk_id":0' '"unk_id":null'
    run_clean tok -m changed --format text in.txt
    [ "$status" -eq 65 ]
    [[ $stderr == *tokenizer.json*unk_id* ]]
    edit words '"Whitespace"' '"UnicodeScripts"'
    run_clean tok -m changed --format text in.txt
    [ "$status" -eq 65 ]
    [[ $stderr == *"'UnicodeScripts'"* ]]
    edit unigram '"ByteFallback"' '"CTC"'
    tok -m changed --format text -o u.toks in.txt
    run_clean tok -d --text u.toks
    [ "$status" -eq 65 ]
    [[ $stderr == *"'CTC'"* ]]
}

@test "a damaged charsmap is refused" {
    edit unigram '"precompiled_charsmap":"' '"precompiled_charsmap":"?'
    run_clean tok -m changed --format text in.txt
    [ "$status" -eq 65 ]
    edit unigram '"precompiled_charsmap":"' '"precompiled_charsmap":"////'
    run_clean tok -m changed --format text in.txt
    [ "$status" -eq 65 ]
    [[ $stderr == *tokenizer.json*charsmap* ]]
}
