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
    OLD=$2 NEW=$3 awk '{
        old = ENVIRON["OLD"]; at = index($0, old); found += at > 0
        if (at) $0 = substr($0, 1, at - 1) ENVIRON["NEW"] substr($0, at + length(old))
        print }
        END { exit !found }' "$G/$1/tokenizer.json" >changed/tokenizer.json
}

@test "what is not implemented is named, with the file" {
    edit unigram '"Regex":" {2,}"' '"Regex":"(?=ab)c"'
    run_clean tok -m changed --format text in.txt
    [ "$status" -eq 65 ]
    [[ $stderr == *tokenizer.json*lookaround* ]]
    while IFS='~' read -r kind old new says; do
        edit "$kind" "$old" "$new"
        fails_with 65 tok -m changed --format text in.txt
        says tokenizer.json "$says"
    done <<'END'
words~"Whitespace"~"UnicodeScripts"~'UnicodeScripts'
words~{"type":"Whitespace"}~{"type":"FixedLength","length":5}~'FixedLength'
words~{"type":"NFKC"}~{"type":"NFX"}~'NFX'
words~{"type":"NFKC"}~{"lower":true}~normalizer
words~"behavior":"Contiguous"~"behavior":"Sometimes"~'Sometimes'
words~"type":"WordLevel"~"type":"Trigram"~'Trigram'
words~"unk_token"~"unknown"~unk_token
chars~"dropout":null~"dropout":0.5~'dropout'
suffix~{"Regex":"\\w+|[^\\w\\s]"}~{"Regex":"\\bx"}~\b
suffix~{"Regex":"\\w+|[^\\w\\s]"}~{"Regex":"(a)\\1"}~\1
suffix~{"Regex":"\\w+|[^\\w\\s]"}~{"Glob":"a*"}~neither String nor Regex
unigram~"prepend_scheme":"always"~"prepend_scheme":"seldom"~'seldom'
unigram~"unk_id":0~"unk_id":400000~unk_id
unigram~"type":"TemplateProcessing"~"type":"PairProcessing"~'PairProcessing'
unigram~"Precompiled"~"Compiled"~'Compiled'
END
    edit unigram '"ByteFallback"' '"CTC"'
    tok -m changed --format text -o u.toks in.txt
    run_clean tok -d --text u.toks
    [ "$status" -eq 65 ]
    [[ $stderr == *"'CTC'"* ]]
}

@test "a tokenizer without an unknown token does for known words, else the record is named" {
    edit unigram '"unk_id":0' '"unk_id":null'
    printf 'the friend\nthe fi\n' | tok -m changed --format text -o u.toks
    run_clean tok -d --tokens -m changed u.toks
    [ "$output" = "$(printf '▁the ▁friend\n▁the ▁ f i')" ]
    fails_with 65 tok -m changed --format text in.txt
    says 'record 3' 'unknown token'
    edit wordpiece '"unk_token":"[UNK]"' '"unk_token":"[NO]"'
    printf 'the friend\n' | tok -m changed --format text -o u.toks
    [ "$(tok -d --tokens -m changed u.toks)" = 'the friend' ]
    printf 'the\nx\u20ac\n' >bad.txt
    fails_with 65 tok -m changed --format text bad.txt
    says 'record 2' 'unknown token'
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
