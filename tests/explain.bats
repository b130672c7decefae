# SPDX-License-Identifier: MIT
# tok --explain: the ids of the stream, where each token comes from and why it is one.

load helper

# $BERT: WordPiece, the 5, cat 6, mat 7, ##s 8; $BPE: byte-level, trained on a few words.
setup_file() {
    export BERT=$BATS_FILE_TMPDIR/bert BPE=$BATS_FILE_TMPDIR/bpe
    tiny_bert "$BERT" the cat mat '##at' '中'
    yes "the cat's mat, 42 naïve cats" | head -n 50 >"$BATS_FILE_TMPDIR/corpus"
    vocab -q --kind bpe --size 300 -o "$BPE" "$BATS_FILE_TMPDIR/corpus"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

explain() { tok --explain -m "$BERT" "$@"; }
tokens() { explain "$@" | grep '^token'; }

# on_screen COLUMNS COMMAND: what the command writes to a terminal of that width
on_screen() {
    command -v script >/dev/null || skip "no script(1)"
    script -qec "stty cols $1; $2" /dev/null </dev/null | tr -d '\r'
}

@test "the lines of a text" {
    explain 'The cats, 中x €!' >got
    cat >want <<'WANT'
text|1|The cats, 中x €!
normalized|1|the cats,  中 x €!
token|1|0|2|[CLS]|-|-|-|-|-|special
token|1|1|5|the|0|3|The|the|start|whole word
token|1|2|6|cat|4|7|cat|cats|white space|wordpiece
token|1|3|47|##s|7|8|s|cats|-|wordpiece
token|1|4|83|,|8|9|,|,|punctuation|whole word
token|1|5|9|中|10|11|中|中|white space|whole word
token|1|6|56|x|11|12|x|x|CJK|whole word
token|1|7|1|[UNK]|13|14|€|€|white space|unknown
token|1|8|84|!|14|15|!|!|punctuation|whole word
token|1|9|3|[SEP]|-|-|-|-|-|special
WANT
    same "$(tr '\t' '|' <got)" "$(cat want)"
}

@test "a byte-level tokenizer: classes, merges, bytes of one character" {
    tok --explain -m "$BPE" "cat's  42x€" | grep '^token' | cut -f 5-11 | tr '\t' '|' >got
    grep -qx "cat|0|3|cat|cat|start|whole word" got
    grep -qx "'s|3|5|'s|'s|contraction|.*" got || grep -q "^'|3|4|'|'s|contraction|" got
    grep -qx 'Ġ|5|6| | |white space|whole word' got
    grep -qx 'x|9|10|x|x|letters|whole word' got
    same "$(grep -c '|10|11|€|€|' got)" 3
    same "$(grep '|€|€|' got | cut -d '|' -f 6 | tr '\n' ' ')" "symbols - - "
}

@test "an unknown part of a word takes the place that the others leave" {
    mkdir part
    printf '%s' '{"model":{"type":"BPE","vocab":{"<unk>":0,"a":1,"b":2},"merges":[],"unk_token":"<unk>","fuse_unk":true},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}}' >part/tokenizer.json
    tok --explain -m part 'axyb' | grep '^token' | cut -f 4,6-8,11 | tr '\t' '|' >got
    same "$(cat got)" $'1|0|1|a|merge\n0|1|3|xy|unknown\n2|3|4|b|merge'
}

@test "added tokens in a text, and as text" {
    tokens 'a [MASK] b' | cut -f 4,6-11 | tr '\t' '|' >got
    grep -qx '4|2|8|\[MASK\]|\[MASK\]|added token|added token' got
    tokens --specials-in-text no 'a [MASK] b' >got
    ! grep -q 'added token' got
}

@test "places: accents, decomposed letters, what is dropped" {
    tokens $'\xc3\xa9a\xcc\x81 \xe2\x80\x8bthe\xc2\xad' | cut -f 5-8 | sed -n '2,4p' | tr '\t' '|' >got
    same "$(cat got)" $'e|0|1|\xc3\xa9\n##a|1|2|a\nthe|5|8|the'
}

@test "--max-len: what is cut is marked, and counted as finetune would" {
    explain --max-len 5 'the cat the cat the' >got
    same "$(grep -c '^cut' got) $(grep -c '^token' got)" "2 5"
    same "$(grep '^cut' got | cut -f 3 | sort -u)" "-"
    printf 'the cat the cat the\n' | tok -m "$BERT" | tok -d --special --ids --max-len 5 >ids
    same "$(grep '^token' got | cut -f 4 | paste -sd ' ')" "$(cat ids)"
}

@test "records: keys, pairs, columns; empty texts" {
    printf 'k1\tthe cat\tmat\nk2\t\t\n' >in.tsv
    explain --header no --key 1 --text 2 --pair 3 --max-len 5 <in.tsv >got
    same "$(grep -c '^pair' got)" 2
    tok -m "$BERT" --header no --key 1 --text 2 --pair 3 in.tsv |
        tok -d --special --max-len 5 --columns key,ids >want
    grep '^token' got | awk -F '\t' '$2 != k {if (k) print k "\t" s; k = $2; s = $4; next} {s = s " " $4}
        END {print k "\t" s}' | cmp - want
}

@test "operands are texts, and a file's name is warned of" {
    same "$(explain the 'the cat' | grep -c '^text')" 2
    same "$(explain '' | grep -c '^token')" 2
    echo the >file
    run_clean tok --explain -m "$BERT" file
    says "explained as a text"
    same "$(explain -- --decode | grep -c '^text')" 1
}

@test "TABs, line ends and backslashes are spelled out; NUL and bad UTF-8 are no harm" {
    printf '%s\n' '{"text":"a\tb\nc\\d\u0001"}' >in.jsonl
    same "$(explain --format jsonl --text text <in.jsonl | head -n 1)" $'text\t1\ta\\tb\\nc\\\\d\\x01'
    explain $'x\xff\xfey' >got
    iconv -f utf-8 -t utf-8 got >/dev/null
}

@test "--clean comes first, as in the stream" {
    same "$(explain --clean html '<b>the</b> cat' | head -n 1)" $'text\t1\tthe cat'
    same "$(printf '<b>the</b> cat\n' | explain --clean html | head -n 1)" $'text\t1\tthe cat'
}

@test "a terminal gets a page: colours, the cut, no TABs; NO_COLOR gets none" {
    on_screen 80 "TERM=xterm tok --explain -m $BERT --max-len 4 'the cat mat €'" >got
    grep -q $'\e\[' got
    grep -q 'cuts here' got
    grep -q 'cuts 2 of them' got
    ! grep -q $'\t' got
    on_screen 80 "TERM=xterm NO_COLOR=1 tok --explain -m $BERT 'the cat mat €'" >plain
    ! grep -q $'\e' plain
    grep -q '6  *3  *\[SEP\]\|5  *3  *\[SEP\]' plain
    on_screen 80 "TERM=dumb tok --explain -m $BERT the" >dumb
    ! grep -q $'\e' dumb
}

@test "the ids are those of the stream: tricky texts, both kinds of tokenizer" {
    # Each line some code points of a block of Unicode, between letters and blanks.
    awk 'BEGIN {srand(3)
        for (i = 0; i < 600; i++) {
            line = ""
            for (k = 0; k < 12; k++) {
                c = rand() < .3 ? 32 + int(rand() * 95) : rand() < .5 ? 160 + int(rand() * 800) : 8192 + int(rand() * 40000)
                if (c >= 55296 && c < 57344) c = 233
                if (c == 34 || c == 92) c = 32
                line = line (c < 127 ? sprintf("%c", c) : sprintf("\\u%04x", c)) (rand() < .2 ? " " : "")
            }
            print "{\"text\": \"" line " [SEP]<s>\"}"
        }}' >in.jsonl
    for model in "$BERT" "$BPE"; do
        tok -m "$model" --text text in.jsonl | tok -d --special --columns key,ids >want
        tok --explain -m "$model" --format jsonl --text text <in.jsonl >got
        awk -F '\t' '$1 != "token" {next} $2 != k {if (k) print k "\t" s; k = $2; s = $4; next}
            {s = s " " $4} END {print k "\t" s}' got | cmp - want
        # Every place is known, and the pieces of a text stand in it in this order.
        same "$(awk -F '\t' '$1 == "token" && $11 != "special" && $6 == "-"' got | wc -l)" 0
        awk -F '\t' '$1 == "token" && $11 != "special" {if ($2 == k && $6 < at) bad++; k = $2; at = $6 + 0}
            END {exit bad > 0}' got
    done
}

@test "the ids are those of the stream: CoLA" {
    skip_without_data cola/in_domain_train.tsv models/minilm-l6 models/roberta-base
    for model in minilm-l6 roberta-base; do
        tok -m "$DATA/models/$model" --text 4 "$DATA/cola/in_domain_train.tsv" |
            tok -d --special --columns key,ids >want
        tok --explain -m "$DATA/models/$model" --text 4 <"$DATA/cola/in_domain_train.tsv" |
            awk -F '\t' '$1 != "token" {next} $2 != k {if (k) print k "\t" s; k = $2; s = $4; next}
            {s = s " " $4} END {print k "\t" s}' | cmp - want
    done
}

@test "usage, absent models, full disks" {
    fails_with 2 tok --explain -m "$BERT" --ids the
    fails_with 2 tok --explain -m "$BERT" --clean nothing-like-it the
    fails_with 66 tok --explain -m nowhere the
    fails_with 74 tok --explain -m "$BERT" -o /dev/full the
    printf '{"text": 1' >bad.jsonl
    fails_with 65 sh -c 'tok --explain -m "$BERT" --format jsonl <bad.jsonl'
}
