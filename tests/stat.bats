# SPDX-License-Identifier: MIT
# What tok -v, tok --stats and shard --stat say about data: counts, lengths, advice, bars.

load helper

# $BERT: the 5, cat 6, dog 7, then letters.  $S/x.tsv: 200 records, three labels.
setup_file() {
    export S=$BATS_FILE_TMPDIR BERT=$BATS_FILE_TMPDIR/bert
    tiny_bert "$BERT" the cat dog
    awk 'BEGIN {for (i = 1; i <= 200; i++) {
        printf "%s\t", i % 10 == 0 ? "a,b" : i % 3 ? "a" : "b"
        n = i % 50 == 0 ? 130 : 10 + i % 40
        for (k = 0; k < n; k++) printf "%s ", k % 7 ? "cat" : "€" (i % 5)
        print ""}}' >"$S/x.tsv"
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

# json FILE KEY: the value of a number or a string of one JSON object
json() { sed "s/.*\"$2\":\"\{0,1\}\([^,\"}]*\).*/\1/" "$1"; }

# The table without what only one of the tools knows.
table() { grep -v '^tok: \|^content\|^blocks\|^unknown\|^ [ ~] .*[0-9]  .*[^ ]*$\|^replaced'; }

@test "tok -v and shard --stat print the same table" {
    tok -v -m "$BERT" "$S/x.tsv" -o x.toks 2>said
    shard --stat x.toks >stat
    same "$(table <said)" "$(table <stat)"
    grep -qx 'records     200' stat
    grep -qx 'labels      3' stat
    grep -qx '          60   30.0 %  b' stat
    grep -qx '          20   10.0 %  a,b' stat
}

@test "names of labels with commas are counted one by one" {
    tok -m "$BERT" "$S/x.tsv" | shard --stat >stat
    sed -n '/^names/,/^length/p' stat | head -n 3 >got
    same "$(cat got)" $'names       2\n         140   70.0 %  a\n          80   40.0 %  b'
}

@test "the advice: the lowest usual limit that loses at most 1 % of the tokens" {
    # 99 texts of 20 tokens and one of 500: 62 and 64 are told apart by the 1 %.
    for n in $(seq 99); do echo "the $n" | tr '0-9' a-j | sed 's/$/ cat cat cat cat cat cat cat cat cat cat cat cat cat cat cat cat cat/'; done >in.txt
    yes cat | head -n 140 | paste -sd ' ' >>in.txt
    tok -m "$BERT" --format text in.txt -o x.toks
    shard --stat --json x.toks >stat.json
    tok -d --special --columns len x.toks >len
    for limit in 32 64 128 256 384 512; do
        awk -v m=$limit '{n += $1 - 2; if ($1 > m) {c += $1 - m; r++}} END {exit c > n / 100}' len && break
    done
    same "$(json stat.json max_len)" $limit
    same "$(json stat.json cuts_nothing)" 144
    run_clean shard --stat x.toks
    [[ $output == *"advice      --max-len $limit loses "*" 144 cuts nothing"* ]]
    # What the limit loses is what cutting there leaves out.
    tok -d --special --max-len 64 --columns len x.toks | awk '{n += $1} END {print n}' >kept
    whole=$(awk '{n += $1} END {print n}' len)
    grep -q "{\"limit\":64,\"records\":1,\"tokens\":$((whole - $(cat kept)))}" stat.json
}

@test "the advice where nothing is cut, and where every limit loses" {
    echo the | tok -m "$BERT" | shard --stat | grep -qx 'advice      --max-len 32 cuts nothing'
    yes cat | head -n 5000 | paste -sd ' ' >long.txt
    tok -m "$BERT" --format text long.txt -o x.toks
    shard --stat x.toks | grep -q '^advice      --max-len 512, the most that most models take, loses 90 %.*the longest has 5002$'
    same "$(shard --stat --json x.toks | sed 's/.*"histogram":\(\[\[[^]]*\]\]\).*/\1/')" '[[4992,1]]'
    shard --stat x.toks | grep -q 'longest 5002 '
    : | tok -m "$BERT" | shard --stat >stat
    ! grep -q advice stat
}

@test "the histogram is that of the lengths, and the bars add up" {
    tok -m "$BERT" "$S/x.tsv" -o x.toks
    tok -d --special --columns len x.toks | sort -n | uniq -c | awk '{printf "%s[%d,%d]", s, $2, $1; s = ","}' >want
    shard --stat --json x.toks | sed 's/.*"histogram":\[\(.*\]\)\],"duplicates.*/\1/' | tr -d '\n' | cmp - want
    shard --stat x.toks | sed -n '/^tokens  .*records/,/^duplicates/p' >bars
    same "$(awk '/%/ {n += $2} END {print n}' bars)" 200
    # The longest bar has the most records, and fits into 80 columns.
    same "$(awk '{print gsub(/#/, ""), $2}' bars | sort -n | tail -n 1 | cut -d ' ' -f 2)" \
        "$(awk '/%/ {print $2}' bars | sort -n | tail -n 1)"
    same "$(awk 'length($0) > 80' bars)" ""
    same "$(awk '{print gsub(/#/, "")}' bars | sort -n | tail -n 1)" 43
}

@test "bars are as wide as the terminal, of blocks where it shows UTF-8" {
    command -v script >/dev/null || skip "no script(1)"
    tok -m "$BERT" "$S/x.tsv" -o x.toks
    for width in 60 132; do
        LC_ALL=en_US.UTF-8 script -qec "stty cols $width; shard --stat x.toks" /dev/null </dev/null |
            tr -d '\r' | sed -n '/^tokens  .*records/,/^duplicates/p' >bars
        grep -q $'\xe2\x96\x88' bars
        same "$(sed $'s/\xe2\x96[\x80-\x8f]/@/g' bars | awk '{print gsub(/@/, "")}' | sort -n | tail -n 1)" $((width - 37))
        LC_ALL=C script -qec "stty cols $width; shard --stat x.toks" /dev/null </dev/null >ascii
        grep -q '##' ascii
        ! grep -q $'\xe2\x96' ascii
    done
    # A file is the same wherever it was made.
    LC_ALL=en_US.UTF-8 script -qec "shard --stat -o file x.toks" /dev/null </dev/null
    shard --stat x.toks | cmp - file
}

@test "unknown words: counted exactly, by falling count, for any number of threads" {
    tok -v -m "$BERT" "$S/x.tsv" 2>said >x.toks
    awk -F '\t' '{n = split($2, w, " "); for (i = 1; i <= n; i++) if (w[i] ~ /^€/) c[w[i]]++}
        END {for (k in c) print c[k], k}' "$S/x.tsv" | sort -k 1,1rn -k 2,2 >want
    sed -n '/^unknown/,/^replaced/s/^   *\([0-9][0-9]*\)  \(.*\)/\1 \2/p' said >got
    cmp got want
    for threads in 1 2 3 8; do
        tok -@ $threads --stats s$threads.json -m "$BERT" "$S/x.tsv" "$S/x.tsv" >/dev/null
        cmp s$threads.json s1.json
    done
    grep -q '"unknown_words":\[{"word":"€0","count":' s1.json
}

@test "unknown words: more different ones than the table holds" {
    # One word in ten is the same; the others are all different.
    awk 'BEGIN {for (i = 0; i < 30000; i++) print i % 10 ? "€" i : "¥"}' >in.txt
    tok -v -m "$BERT" --format text in.txt 2>said >/dev/null
    sed -n '/^unknown/,/^replaced/p' said >got
    sed -n 2p got | grep -qx '  [ ~] *30[0-9][0-9]  ¥'
    sed -n 3p got | grep -q '^  ~ '
    same "$(grep -c '^  [ ~]' got)" 20
}

@test "--stats: JSON with the numbers of the stream; -v is not needed" {
    run_clean tok --stats s.json -m "$BERT" -o x.toks "$S/x.tsv"
    [[ $stderr != *limit* ]]
    shard --stat --json x.toks >want.json
    for key in records tokens pairs empty mean median p99 max longest duplicates unk specials max_len; do
        same "$key $(json s.json $key)" "$key $(json want.json $key)"
    done
    same "$(sed 's/.*"labels":{\([^}]*\)}.*/\1/' s.json)" '"a":120,"a,b":20,"b":60'
    # The stream is the same with it and without.
    tok -m "$BERT" "$S/x.tsv" | cmp - x.toks
    tok -v -m "$BERT" "$S/x.tsv" 2>/dev/null | cmp - x.toks
}

@test "--stats: with the stream or not at all" {
    fails_with 2 tok --stats - -m "$BERT" "$S/x.tsv"
    tok --stats - -o y.toks -m "$BERT" "$S/x.tsv" | grep -q '^{"records":200'
    fails_with 73 tok --stats nowhere/s.json -o z.toks -m "$BERT" "$S/x.tsv"
    printf '1\ta\n2\n' >bad.tsv
    fails_with 65 tok --stats s.json -o z.toks -m "$BERT" bad.tsv
    fails_with 74 tok --stats /dev/full -o z.toks -m "$BERT" "$S/x.tsv"
    [ ! -e z.toks ] && [ ! -e s.json ]
}

@test "labels that are numbers are summed up, many others cut to the most frequent" {
    awk 'BEGIN {for (i = 0; i < 100; i++) print i / 4 "\tcat"}' | tok -m "$BERT" --label 1 --text 2 --header no |
        shard --stat | grep -qx 'labels      100 different numbers from 0 to 24.75, mean 12.375'
    awk 'BEGIN {for (i = 0; i < 100; i++) for (k = 0; k <= i % 60; k++) print "l" i "\tcat"}' |
        tok -m "$BERT" --label 1 --text 2 --header no | shard --stat >stat
    grep -q '  l59$' stat
    ! grep -q '  l0$' stat
    grep -qx '  ... and 60 more' stat
}

@test "copies, contradictions, empty texts, special tokens in texts, the longest record" {
    printf 'x\tthe cat\tk1\ny\tthe cat\tk2\nx\t\tk3\nx\tcat [SEP] [MASK]\tk4\n' |
        tok -m "$BERT" --label 1 --text 2 --key 3 --header no --format tsv -v 2>said >x.toks
    shard --stat x.toks >stat
    for f in said stat; do
        grep -qx 'duplicates  1 (1 of them with another label)' $f
        grep -qx 'empty       1 records without a token' $f
        grep -qx 'specials    2 tokens of texts are special ones' $f
        grep -qx 'longest     record k4' $f
    done
}
