# SPDX-License-Identifier: MIT
load helper

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    awk -v n=800 -v seed=5 -v good=1 -f "$BATS_TEST_DIRNAME/../pipelines/grammar.awk" >text
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    TEXT=$BATS_FILE_TMPDIR/text
}

@test "WordPiece: the most frequent pair is merged first, ties by ids" {
    # hug x10, pug x5, pun x12, bun x4, hugs x5: the textbook's counts
    for word in hug:10 pug:5 pun:12 bun:4 hugs:5; do
        yes "${word%:*}" | head -n "${word#*:}"
    done >words
    vocab --kind bpe --size 264 --format text -o v words
    # u+g (20), then u+n (16), then h+ug (15): after 5 specials and 256 bytes
    run tail -n 3 v/merges.txt
    same "$output" $'u g\nu n\nh ug'
    vocab --size 18 --format text -o w words
    run tail -n 4 w/vocab.txt
    same "$output" $'##s\n##u\n##ug\n##un'
}

@test "the directory has the family's files and tok reads it" {
    vocab --size 300 -o v "$TEXT"
    for file in tokenizer.json vocab.txt tokenizer_config.json special_tokens_map.json; do
        [ -s "v/$file" ]
    done
    same "$(head -n 5 v/vocab.txt)" $'[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]'
    same "$(wc -l <v/vocab.txt)" 300
    run bash -c "tok -m v --format text '$TEXT' | tok -d --text -m v | head -n 3"
    same "$output" "$(head -n 3 "$TEXT" | sed 's/ \.$/./')"
    vocab --kind bpe --size 600 -o b "$TEXT"
    for file in tokenizer.json vocab.json merges.txt tokenizer_config.json; do
        [ -s "b/$file" ]
    done
    run bash -c "tok -m b --format text '$TEXT' | tok -d --text -m b"
    same "$output" "$(cat "$TEXT")"
}

@test "vocabulary files alone and tokenizer.json give the same ids" {
    for kind in wordpiece bpe; do
        vocab --kind $kind --size 500 -o "$kind" "$TEXT"
        cp -r "$kind" "$kind-files"
        rm "$kind-files/tokenizer.json"
        tok -m "$kind" --format text "$TEXT" | tok -d --ids --special >one
        tok -m "$kind-files" --format text "$TEXT" | tok -d --ids --special >two
        cmp one two
    done
}

@test "threads, the order of lines and where they come from change nothing" {
    vocab --size 350 -@ 1 -o a "$TEXT"
    vocab --size 350 -@ 3 -o b "$TEXT"
    sort -r "$TEXT" | vocab --size 350 --format text -o c
    for file in a/*; do
        cmp "$file" "b/${file#a/}"
        cmp "$file" "c/${file#a/}"
    done
}

@test "--cased keeps case; without it text is lower-cased" {
    printf 'Über Über über\n' >text
    vocab --size 60 --min-count 1 --format text -o plain text
    vocab --size 60 --min-count 1 --cased --format text -o cased text
    run grep -c '[UÜ]' plain/vocab.txt
    [ "$output" -le 2 ] # [UNK] alone
    grep -q 'Ü' cased/vocab.txt
    grep -q '"do_lower_case": false' cased/tokenizer_config.json
}

@test "a directory with a tokenizer is refused, -f replaces it" {
    vocab --size 200 -o v "$TEXT"
    cp v/vocab.txt before
    fails_with 73 vocab --size 300 -o v "$TEXT"
    says "-f"
    cmp v/vocab.txt before
    vocab -f --size 300 -o v "$TEXT"
    same "$(wc -l <v/vocab.txt)" 300
}

@test "bad input leaves nothing" {
    fails_with 2 vocab --size 12 -o v "$TEXT"
    says "too small"
    fails_with 66 vocab -o v nowhere.txt
    fails_with 65 vocab -o v /dev/null
    fails_with 2 vocab "$TEXT"
    says "-o"
    [ ! -e v ]
    fails_with 73 vocab --size 200 -o /proc/nowhere "$TEXT"
    fails_with 2 vocab --kind nonsense -o v "$TEXT"
}

@test "a corpus that gives fewer tokens is said" {
    printf 'a b\n' >small
    run --separate-stderr vocab --size 500 --format text -o v small
    [ "$status" -eq 0 ]
    says "no more than"
}
