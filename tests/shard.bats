# SPDX-License-Identifier: MIT
# shard: what goes where, that nothing is lost, and that it depends on nothing but the seed.

load helper

setup_file() {
    export S=$BATS_FILE_TMPDIR
    load helper
    tiny_bert "$S/m" the good bad film plot
    # 300 records of three labels (60, 90, 150), keys, and texts that are all different.
    for i in $(seq 300); do
        case $((i % 10)) in 0 | 1) l=neg ;; 2 | 3 | 4) l=neu ;; *) l=pos ;; esac
        printf '%s\tthe film %s is good %s\tk%s\n' $l "$i" \
            "$(printf 'bad %.0s' $(seq $((i % 40 + 1))))" "$i"
    done >"$S/all.tsv"
    cd "$S" && tok -m m --text 2 --label 1 --key 3 --header no --block-records 40 all.tsv -o all.toks
}

# bats keeps files of its own in BATS_TEST_TMPDIR.
setup() { mkdir "$BATS_TEST_TMPDIR/w" && cd "$BATS_TEST_TMPDIR/w"; }

keys() { shard "$@" | tok -d --columns key; }
of() { tok -d --columns "$1" "${@:2}"; }
content() { shard --stat --json "$@" | sed 's/.*"content":"\([0-9a-f]*\)".*/\1/'; }

@test "without options streams are merged into one segment, nothing else changes" {
    shard "$S/all.toks" >one.toks
    same "$(content one.toks)" "$(content "$S/all.toks")"
    same "$(of key,label,ids one.toks)" "$(of key,label,ids "$S/all.toks")"
    cat "$S/all.toks" "$S/all.toks" | shard -o two.toks
    same "$(of key two.toks | wc -l)" 600
    run_clean shard --stat two.toks
    [[ $output == *"in 1 segment"* ]]
}

@test "-n: equal runs; together they are the whole again" {
    for n in 1 2 7 300; do
        rm -f p-*
        shard -n $n -o 'p-%03d.toks' "$S/all.toks"
        same "$(ls p-* | wc -l | tr -d ' ')" $n
        same "$(shard p-* | of key,label)" "$(of key,label "$S/all.toks")"
        same "$(content p-*)" "$(content "$S/all.toks")"
    done
    shard -n 7 -o 'p-%03d.toks' "$S/all.toks"
    for f in p-00[0-6].toks; do of key $f | wc -l; done | sort -u >sizes
    same "$(tr '\n' ' ' <sizes | tr -s ' ' | sed 's/^ //')" "42 43 "
}

@test "-n with more parts than records makes empty streams" {
    head -n 3 "$S/all.tsv" | tok -m "$S/m" --text 2 --label 1 --header no |
        shard -q -n 5 -o 'p%d.toks'
    same "$(shard p0.toks p1.toks p2.toks p3.toks p4.toks | of key | wc -l)" 3
    shard --check p4.toks
}

@test "--split: each record in one part, sizes as asked for" {
    shard --split train=80%,dev=10%,test=10% -o '%s.toks' "$S/all.toks"
    same "$(of key train.toks | wc -l) $(of key dev.toks | wc -l) $(of key test.toks | wc -l)" \
        "240 30 30"
    same "$(shard train.toks dev.toks test.toks | of key | sort)" "$(of key "$S/all.toks" | sort)"
    # The order of the input is kept within a part, and it is no run.
    same "$(of key dev.toks)" "$(of key dev.toks | sort -V)"
    [ "$(of key dev.toks | head -n 1)" != k271 ]
    shard --split a=10,b=290 -o '%s.toks' "$S/all.toks"
    same "$(of key a.toks | wc -l)" 10
    shard --split a=25% -o '%s.toks' "$S/all.toks"
    same "$(of key a.toks | wc -l)" 75
}

@test "--stratify: each part has its share of each label" {
    shard --stratify --split train=80%,dev=20% -o '%s.toks' "$S/all.toks"
    same "$(of label dev.toks | sort | uniq -c | tr -s ' \n' ' ')" " 12 neg 18 neu 30 pos "
    same "$(of label train.toks | sort | uniq -c | tr -s ' \n' ' ')" " 48 neg 72 neu 120 pos "
    for k in 1 2 3; do
        same "$(shard --stratify --fold $k/3 "$S/all.toks" | of label | sort | uniq -c |
            tr -s ' \n' ' ')" " 20 neg 30 neu 50 pos "
    done
    shard --stratify -n 6 -o 'p%d.toks' "$S/all.toks"
    same "$(of label p3.toks | sort | uniq -c | tr -s ' \n' ' ')" " 10 neg 15 neu 25 pos "
    same "$(shard --stratify --sample 10% "$S/all.toks" | of label | sort | uniq -c |
        tr -s ' \n' ' ')" " 6 neg 9 neu 15 pos "
}

@test "--fold: folds are disjoint and together everything; --invert is the rest" {
    for k in 1 2 3 4; do
        keys --fold $k/4 "$S/all.toks" >fold
        keys --fold $k/4 --invert "$S/all.toks" >rest
        same "$(wc -l <fold)" 75
        same "$(sort fold rest)" "$(of key "$S/all.toks" | sort)"
        cat fold >>folds
    done
    same "$(sort folds)" "$(of key "$S/all.toks" | sort)"
}

@test "--shuffle: a permutation by seed and number of records alone" {
    keys --shuffle "$S/all.toks" >a
    same "$(sort a)" "$(of key "$S/all.toks" | sort)"
    [ "$(cat a)" != "$(of key "$S/all.toks")" ]
    shard --block-records 7 "$S/all.toks" | shard --shuffle -@ 3 | of key | cmp - a
    shard -n 3 -o 'p%d' "$S/all.toks"
    keys --shuffle p0 p1 p2 | cmp - a
    keys --shuffle --seed 7 "$S/all.toks" >b
    ! cmp -s a b
    # Parts of a shuffle are runs of it.
    shard --shuffle -n 4 -o 's%d' "$S/all.toks"
    shard s0 s1 s2 s3 | of key | cmp - a
}

@test "labels, keys and ids stay together" {
    shard --shuffle --seed 3 "$S/all.toks" | of key,label,ids | sort >a
    of key,label,ids "$S/all.toks" | sort | cmp - a
}

@test "--sample: so many, in the order of the input" {
    keys --sample 50 "$S/all.toks" >a
    same "$(wc -l <a)" 50
    same "$(cat a)" "$(sort -V a)"
    same "$(keys --sample 10% "$S/all.toks" | wc -l)" 30
    same "$(keys --sample 0 "$S/all.toks" | wc -l)" 0
    fails_with 65 shard --sample 301 "$S/all.toks" -o x
    says "301" "300"
}

@test "--dedup keeps the first of equal texts, whatever the label" {
    printf 'a\tthe film\nb\tthe  FILM\na\tgood\nb\tthe film\n' |
        tok -m "$S/m" --text 2 --label 1 --header no >d.toks
    same "$(shard -q --dedup d.toks | of key,label)" $'1\ta\n3\ta'
    run_clean shard --dedup d.toks -o x
    says "2 of 4"
    # One text in the first segment is not the same as in the second.
    printf 'good\tbad\ngood\t\ngoodbad\tx\ngood\tbad\n' |
        tok -m "$S/m" --text 1 --pair 2 --header no | shard -q --dedup | of key >keys
    same "$(tr '\n' ' ' <keys)" "1 2 3 "
}

@test "--against drops what the other stream has, and says how many" {
    shard --split a=20%,b=80% -o '%s.toks' "$S/all.toks"
    run_clean shard --against a.toks -o left.toks "$S/all.toks"
    [ "$status" -eq 0 ]
    says "60 of 300"
    cmp <(of key left.toks) <(of key b.toks)
    fails_with 66 shard --against nowhere.toks -o x "$S/all.toks"
}

@test "--part gives the very bytes of the file that it stands for" {
    shard --stratify --split train=90%,dev=10% -o '%s.toks' "$S/all.toks"
    shard --stratify --split train=90%,dev=10% --part dev "$S/all.toks" | cmp - dev.toks
    shard -n 3 -o 'p%d' "$S/all.toks"
    shard -n 3 --part 2 "$S/all.toks" | cmp - p2
    fails_with 2 shard -n 3 --part 3 "$S/all.toks"
}

@test "--history prints a pipeline that makes the same bytes again" {
    cd "$S"
    tok -m m --text 2 --label 1 --header no all.tsv | shard --shuffle |
        shard --split a=70%,b=30% -o "$BATS_TEST_TMPDIR/%s.toks"
    history=$(shard --history "$BATS_TEST_TMPDIR/b.toks")
    [[ $history == *"tok "*" | shard --shuffle | shard --split a=70%,b=30% --part b" ]]
    bash -c "$history" | cmp - "$BATS_TEST_TMPDIR/b.toks"
    shard "$BATS_TEST_TMPDIR/a.toks" "$BATS_TEST_TMPDIR/b.toks" >"$BATS_TEST_TMPDIR/ab.toks"
    bash -c "$(shard --history "$BATS_TEST_TMPDIR/ab.toks")" | cmp - "$BATS_TEST_TMPDIR/ab.toks"
    run_clean shard --history --json "$BATS_TEST_TMPDIR/b.toks"
    [[ $output == \[*\"pn\":\"tok\"*\] ]]
}

@test "--stat: counts, labels, lengths, duplicates" {
    run_clean shard --stat "$S/all.toks"
    [ "$status" -eq 0 ]
    [[ $output == *"records     300"* && $output == *"labels      3"* ]]
    [[ $output == *"60   20.0 %  neg"* ]]
    shard --stat -o stat.txt "$S/all.toks"
    same "$(cat stat.txt)" "$output"
    printf 'x\tthe film\ny\tthe film\nx\t\nx\tgood good good\n' |
        tok -m "$S/m" --text 2 --label 1 --header no >d.toks
    same "$(shard --stat --json d.toks | sed 's/"content":"[^"]*"//; s/"tokenizer":{[^}]*}//')" \
        '{"records":4,"tokens":7,"blocks":1,"segments":1,,,"labels":{"x":3,"y":1},"unlabelled":0,"pairs":0,"empty":1,"length":{"mean":3.75,"median":4,"p90":5,"p95":5,"p99":5,"max":5,"longest":"4"},"limits":[{"limit":32,"records":0,"tokens":0},{"limit":64,"records":0,"tokens":0},{"limit":128,"records":0,"tokens":0},{"limit":256,"records":0,"tokens":0},{"limit":384,"records":0,"tokens":0},{"limit":512,"records":0,"tokens":0}],"advice":{"max_len":32,"cuts_nothing":8},"histogram":[[2,1],[4,2],[5,1]],"duplicates":1,"contradictions":1,"unk":0,"specials":0,"invalid_utf8":0}'
}

@test "--stat counts what a limit cuts" {
    for n in 29 30 31 62 63 200; do printf 'good %.0s' $(seq $n); echo; done |
        tok -m "$S/m" --format text >l.toks
    run_clean shard --stat --json l.toks
    # With two special tokens: 31 32 33 64 65 202.
    [[ $output == *'{"limit":32,"records":4,"tokens":236},{"limit":64,"records":2,"tokens":139},{"limit":128,"records":1,"tokens":74}'* ]]
}

@test "the result does not depend on threads, files or pipes" {
    for how in "--shuffle" "--split a=30% --part a" "-n 3 --part 1 --stratify" "--dedup" "" \
        "--sample 20%" "--fold 2/5"; do
        shard -q -@ 1 $how "$S/all.toks" >want
        for t in 2 3 8; do shard -q -@ $t $how "$S/all.toks" | cmp - want; done
        shard -q $how <"$S/all.toks" | cmp - want
        cat "$S/all.toks" | shard -q $how | cmp - want
        zstd -dcq "$S/all.toks" | shard -q $how | cmp - want
    done
}

@test "several parts need a pattern; wrong options are 2" {
    fails_with 2 shard -n 2 "$S/all.toks"
    says '%s' '%03d'
    fails_with 2 shard -n 2 -o x.toks "$S/all.toks"
    fails_with 2 shard --split a=50%,b=60% -o '%s' "$S/all.toks"
    fails_with 2 shard --split a=50%,a=10% -o '%s' "$S/all.toks"
    fails_with 2 shard --split a -o '%s' "$S/all.toks"
    fails_with 2 shard --split ../a=10% -o '%s' "$S/all.toks"
    fails_with 2 shard --fold 0/3 "$S/all.toks" -o x
    fails_with 2 shard --fold 4/3 "$S/all.toks" -o x
    fails_with 2 shard --fold 3 "$S/all.toks" -o x
    fails_with 2 shard -n 2 --fold 1/3 -o '%d' "$S/all.toks"
    fails_with 2 shard --invert "$S/all.toks" -o x
    fails_with 2 shard --stratify "$S/all.toks" -o x
    fails_with 2 shard --quick "$S/all.toks"
    fails_with 2 shard --json "$S/all.toks"
    fails_with 2 shard --stat --check "$S/all.toks"
    fails_with 2 shard -n 2 -o 'a%d%d' "$S/all.toks"
    fails_with 2 shard -n 2 -o 'a%x' "$S/all.toks"
    tok -m "$S/m" --format text "$S/all.tsv" >plain.toks
    fails_with 2 shard --stratify --sample 10 plain.toks -o x
    rm plain.toks
    leaves_nothing .
}

@test "a cut input leaves no file, whatever is asked for" {
    head -c 2000 "$S/all.toks" >"$S/cut.toks"
    for how in "-n 3 -o p%d" "--split a=50%,b=50% -o %s" "--shuffle -o x" "-o x" \
        "--dedup -o x" "--sample 3 -o x" "--fold 1/2 -o x"; do
        fails_with 65 shard $how "$S/cut.toks"
        says "record"
        fails_with 65 shard $how <"$S/cut.toks"
        leaves_nothing .
    done
    fails_with 66 shard -n 2 -o 'p%d' /nowhere/x.toks
    fails_with 73 shard -n 2 -o '/nowhere/p%d' "$S/all.toks"
    fails_with 74 shard -o /dev/full "$S/all.toks"
    run bash -c "shard '$S/all.toks' >/dev/full"
    [ "$status" -eq 74 ]
    leaves_nothing .
}

@test "--check is silent and answers by status; --quick finds what is cut" {
    run_clean shard --check "$S/all.toks"
    [ "$status" -eq 0 ] && [ -z "$output$stderr" ]
    run_clean shard --check --quick "$S/all.toks" - <"$S/all.toks"
    [ "$status" -eq 0 ] && [ -z "$output$stderr" ]
    zstd -dcq "$S/all.toks" | shard --check --quick
    for n in 1 100 1000 2000; do
        head -c $n "$S/all.toks" >cut
        fails_with 65 shard --check --quick cut
        fails_with 65 shard --check cut
    done
    : >empty
    fails_with 66 shard --check empty
    fails_with 66 shard --check --quick empty
    fails_with 65 shard --check "$S/all.tsv"
    says "not a token stream"
    fails_with 65 shard --check --quick "$S/all.tsv"
}

@test "--expect-records" {
    shard --check --expect-records 300 "$S/all.toks"
    fails_with 65 shard --check --expect-records 301 "$S/all.toks"
    says "expected 301 records, found 300"
    fails_with 65 shard --expect-records 299 --shuffle -o x "$S/all.toks"
    leaves_nothing .
}

@test "labelled and unlabelled files merge in any order" {
    printf 'the film\n' | tok -m "$S/m" --format text -o u.toks
    same "$(shard u.toks "$S/all.toks" | of key,label | head -n 2)" $'1\t\nk1\tneg'
    same "$(shard "$S/all.toks" u.toks | of key,label | tail -n 1)" $'1\t'
    same "$(shard <(cat u.toks) "$S/all.toks" | of key,label | tail -n 1)" $'k300\tneg'
    fails_with 2 shard - - <u.toks
}

@test "the examples of the page run" {
    cp "$S/all.toks" all.toks.zst
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/s/^\.Dl //p' "$REPO/man/shard.1" >examples
    [ "$(wc -l <examples)" -ge 6 ]
    run_clean bash -e -o pipefail examples
    [ "$status" -eq 0 ] || { echo "$stderr"; false; }
}
