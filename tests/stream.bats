# SPDX-License-Identifier: MIT
# The token stream as its users meet it: cut, changed, joined, piped, killed.  The unit tests
# (test_tokstream, test_tokdamage) do the same to every byte and bit.

load helper

setup_file() {
    export S=$BATS_FILE_TMPDIR
    load helper
    tiny_bert "$S/m" the film is good bad
    tiny_bert "$S/other" film the is bad good
    for i in $(seq 60); do
        printf '%s\tthe film %s is %s\n' $((i % 2)) "$i" \
            "$([ $((i % 3)) = 0 ] && echo bad || echo good)"
    done >"$S/t.tsv"
    cd "$S"
    tok -m m --text 2 --label 1 --header no --block-records 10 t.tsv -o t.toks
    head -n 20 t.tsv | tok -m m --text 2 --label 1 --header no --block-records 7 -o a.toks
    tail -n +21 t.tsv | tok -m m --text 2 --label 1 --header no -o b.toks
    head -n 20 t.tsv | tok -m other --text 2 --label 1 --header no -o other.toks
}

setup() { mkdir "$BATS_TEST_TMPDIR/w" && cd "$BATS_TEST_TMPDIR/w"; }

ids() { tok -d --ids "$@"; }

@test "it is zstd, and zstd's own output is read as well" {
    zstd -tq "$S/t.toks"
    zstd -dcq "$S/t.toks" >plain
    same "$(head -c 4 plain)" TKSH
    same "$(ids plain)" "$(ids "$S/t.toks")"
    # The header says how it was made, in the clear.
    [[ $(head -c 700 plain | tr -d '\0') == *'"tok --model m '* ]]
}

@test "a stream cut anywhere is 65, and says so, and nothing is published" {
    size=$(wc -c <"$S/t.toks")
    for n in $(seq 1 37 $((size - 1))) $((size - 1)) $((size - 2)); do
        head -c "$n" "$S/t.toks" >cut
        run bash -c "shard -o out cut 2>message"
        [ "$status" -eq 65 ] || { echo "cut at $n: status $status"; false; }
        grep -q "cut: record [0-9]*: .*" message
        [ ! -e out ]
    done
}

@test "cut between two blocks it names the END that is missing" {
    # A plain stream: the length of each block is in its head.
    zstd -dcq "$S/t.toks" >plain
    at=0
    while :; do
        length=$(od -An -tu4 -j $((at + 8)) -N 4 plain | tr -d ' ')
        at=$((at + 32 + (length + 7) / 8 * 8))
        [ "$at" -lt "$(wc -c <plain)" ] || break
        head -c "$at" plain >cut
        fails_with 65 shard --check cut
        says "without END block" "upstream was killed?"
        n=$((n + 1))
    done
    same "$n" 7
}

@test "a changed byte is 65 or changes nothing" {
    ids "$S/t.toks" >want
    size=$(wc -c <"$S/t.toks")
    for at in $(seq 0 29 $((size - 1))); do
        cp "$S/t.toks" bad
        printf '\252' | dd of=bad bs=1 seek="$at" conv=notrunc status=none
        run bash -c "tok -d --ids bad >got 2>message"
        if [ "$status" -eq 0 ]; then cmp got want; else [ "$status" -eq 65 ]; fi
    done
}

@test "empty input is 66" {
    for command in "shard" "shard --check" "shard --stat" "shard --history" "tok -d --ids"; do
        fails_with 66 $command </dev/null
        says "empty"
    done
}

@test "an empty text is an empty stream, not an empty input" {
    : | tok -m "$S/m" --format text >e.toks
    shard --check e.toks
    same "$(ids e.toks)" ""
    cat e.toks "$S/a.toks" e.toks "$S/b.toks" | tok -d --ids | cmp - <(ids "$S/t.toks")
}

@test "cat of streams is a stream" {
    cat "$S/a.toks" "$S/b.toks" >ab
    cmp <(ids ab) <(ids "$S/t.toks")
    cmp <(ids "$S/a.toks" "$S/b.toks") <(ids "$S/t.toks")
    zstd -dcq ab | tok -d --ids | cmp - <(ids "$S/t.toks")
    # A compressed and a plain segment.
    { cat "$S/a.toks"; zstd -dcq "$S/b.toks"; } | tok -d --ids | cmp - <(ids "$S/t.toks")
    # The second one cut.
    head -c -1 ab >cut
    fails_with 65 shard -o out cut
    [ ! -e out ]
}

@test "streams of two tokenizers do not mix, and both are named" {
    cat "$S/a.toks" "$S/other.toks" >mix
    fails_with 65 shard -o out mix
    says "different tokenizers" "--model m " "--model other "
    fails_with 65 shard -o out "$S/a.toks" "$S/other.toks"
    says "different tokenizers" "other.toks"
    fails_with 65 shard --against "$S/other.toks" -o out "$S/a.toks"
    [ ! -e out ]
}

@test "skippable frames behind END do no harm, other bytes do" {
    printf '\x5e\x2a\x4d\x18\x04\0\0\0abcd' >skip
    cat "$S/t.toks" skip >s
    cmp <(ids s) <(ids "$S/t.toks")
    cat "$S/a.toks" skip "$S/b.toks" skip skip | tok -d --ids | cmp - <(ids "$S/t.toks")
    for tail in x '\0' '\x28\xb5\x2f\xfd'; do
        { cat "$S/t.toks"; printf "$tail"; } >bad
        fails_with 65 shard --check bad
    done
}

@test "what is no stream is named" {
    fails_with 65 shard --check "$S/t.tsv"
    says "not a token stream but text" "tok"
    gzip -c "$S/t.toks" >x.gz
    fails_with 65 shard --check x.gz
    says "not a token stream"
    zstd -q "$S/t.tsv" -o x.zst
    fails_with 65 shard --check x.zst
    fails_with 66 shard --check nowhere
    says "nowhere"
    fails_with 66 shard --check .
}

@test "a bomb is refused without the memory that it wants" {
    head -c 300000000 /dev/zero | zstd -q --no-check >zeros.zst
    head -c 300000000 /dev/zero | zstd -q --long=27 >window.zst
    head -c 300000000 /dev/zero >zeros
    zstd -q zeros -o sized.zst
    for bomb in zeros window sized; do
        run bash -c "ulimit -v 200000; shard --check $bomb.zst 2>&1"
        if [[ $output == *"Sanitizer"* ]]; then skip "the sanitizer needs more memory"; fi
        [ "$status" -eq 65 ] || { echo "$bomb: $status $output"; false; }
    done
}

@test "a killed upstream is noticed without pipefail" {
    run bash -c "{ head -c -100 '$S/t.toks'; kill -9 \$BASHPID; } | shard -o out"
    [ "$status" -eq 65 ]
    [ ! -e out ]
    run bash -c "(tok -m $S/m --format text $S/t.tsv /nowhere 2>/dev/null) | shard -o out"
    [ "$status" -ne 0 ]
    [ ! -e out ]
}

@test "bytes depend on neither threads nor the sizes of reads" {
    for i in $(seq 400); do cat "$S/t.tsv"; done >big.tsv
    for t in 1 2 3 8; do
        tok -m "$S/m" --text 2 --label 1 --header no -@ $t <big.tsv >t$t
        cmp t1 t$t
        shard -@ $t <t1 >s$t
        cmp s1 s$t
    done
    dd if=t1 bs=7 status=none | head -c 100000000 | shard | cmp - s1
    # One byte at a time, through a pipe that is read as it fills.
    dd if="$S/t.toks" bs=1 status=none | shard | cmp - <(shard <"$S/t.toks")
}

@test "a stream is not written to a full device, and not as a whole to a closed pipe" {
    run bash -c "shard '$S/t.toks' >/dev/full"
    [ "$status" -eq 74 ]
    run bash -c "shard -n 1 -o /dev/full '$S/t.toks'"
    [ "$status" -eq 74 ]
}

@test "a stream is not written to a terminal" {
    command -v script >/dev/null || skip "no script(1)"
    run script -qec "shard '$S/t.toks'" /dev/null
    [ "$status" -eq 2 ]
    [[ $output == *"terminal"* ]]
}

@test "golden streams of every version are read" {
    for f in "$REPO"/tests/golden/stream/*; do
        shard --check "$f" || { echo "$f"; false; }
        shard --check --quick "$f"
    done
    same "$(tok -d --columns key,ids "$REPO/tests/golden/stream/v1-bare.toks" | head -n 2)" \
        $'1\t0\n2\t41641 31879 22117 12355 2593 43096'
}

@test "the page tokstream(5) is right about its examples" {
    cp "$S/t.toks" all.toks.zst
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/s/^\.Dl //p' "$REPO/man/tokstream.5" >examples
    [ "$(wc -l <examples)" -ge 2 ]
    run_clean bash -e examples
    [ "$status" -eq 0 ] || { echo "$stderr"; false; }
}
