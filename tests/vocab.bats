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

@test "Unigram: the files of ALBERT, and text comes back" {
    vocab --kind unigram --size 300 -o u "$TEXT"
    for file in tokenizer.json spiece.model tokenizer_config.json special_tokens_map.json; do
        [ -s "u/$file" ]
    done
    grep -q AlbertTokenizer u/tokenizer_config.json
    run bash -c "tok -m u --format text '$TEXT' | tok -d --text -m u"
    same "$output" "$(tr A-Z a-z <"$TEXT")"
    # more room, fewer tokens
    vocab --kind unigram --size 150 -o small "$TEXT"
    tok -m u --format text "$TEXT" | tok -d --ids | wc -w >many
    tok -m small --format text "$TEXT" | tok -d --ids | wc -w >few
    [ "$(cat many)" -lt "$(cat few)" ]
}

@test "Unigram: quotation marks are one, no piece is a number with a comma" {
    for i in $(seq 40); do
        echo "he said \`\`12, 13, 99, and so on'' \`\`twice''"
    done >text
    vocab --kind unigram --size 60 --format text -o u text
    run bash -c "tok -m u --format text text | tok -d --tokens -m u | head -n 1"
    [[ $output == *'"'* && $output != *'`'* && $output != *"'"* ]]
    grep -q '^\["▁13"' u/tokenizer.json
    run grep -c '^\["[^"]*[0-9],"' u/tokenizer.json
    same "$output" 0
}

@test "word: the most frequent words, the others are unknown" {
    printf '%s\n' 'b a c a' 'a b Rare d d' 'C. c e e' >text
    vocab --kind word --size 10 --format text -o w text
    run tail -n 5 w/vocab.txt
    same "$output" $'a\nc\nb\nd\ne'
    same "$(tok -q -m w --format text text | tok -d --tokens -m w)" \
        $'b a c a\na b [UNK] d d\nc [UNK] c e e'
    grep -q '"WordLevel"' w/tokenizer.json
    # rarer than --min-count is no token, whatever the room
    vocab --kind word --min-count 3 --size 50 --format text -o w3 text
    run tail -n +6 w3/vocab.txt
    same "$output" $'a\nc'
}

@test "vocabulary files alone and tokenizer.json give the same ids" {
    printf '%s\n' ' leading' 'trailing  ' 'two  blanks' "\`\`Über'' Café 1,2,"$'\ttab' >>odd
    for kind in wordpiece bpe unigram word; do
        vocab --kind $kind --size 500 -o "$kind" "$TEXT"
        cp -r "$kind" "$kind-files"
        rm "$kind-files/tokenizer.json"
        tok -m "$kind" --format text "$TEXT" odd | tok -d --ids --special >one
        tok -m "$kind-files" --format text "$TEXT" odd | tok -d --ids --special >two
        cmp one two
    done
}

@test "threads, the order of lines and where they come from change nothing" {
    for kind in wordpiece bpe unigram word; do
        vocab --kind $kind --size 350 -@ 1 -f -o a "$TEXT"
        vocab --kind $kind --size 350 -@ 3 -f -o b "$TEXT"
        sort -r "$TEXT" | vocab --kind $kind --size 350 --format text -f -o c
        for file in a/*; do
            cmp "$file" "b/${file#a/}"
            cmp "$file" "c/${file#a/}"
        done
        rm -r a b c
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
    for kind in wordpiece bpe unigram; do
        fails_with 2 vocab --kind $kind --size 12 -o v "$TEXT"
        says "too small"
    done
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

@test "a damaged SentencePiece model is told, by its name" {
    vocab --kind unigram --size 200 -o u "$TEXT"
    rm u/tokenizer.json
    size=$(wc -c <u/spiece.model)
    head -c $((size / 2)) u/spiece.model >cut && mv cut u/spiece.model
    fails_with 65 tok -m u "$TEXT"
    says "spiece.model"
    echo no model >u/spiece.model
    fails_with 65 tok -m u "$TEXT"
    says "no SentencePiece model"
}
