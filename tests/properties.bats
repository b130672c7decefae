# SPDX-License-Identifier: MIT
# What holds for tok whatever the tokenizer: over all golden ones, with texts that are hard.

load helper

G=$REPO/tests/golden/tokenizer
KINDS=$(cd "$G" && ls -d */ | tr -d /)

# words N [SEED]: N of them, one a line, of many scripts; none is spelled like an added token.
words() {
    awk -v n="$1" -v seed="${2:-1}" 'BEGIN {
        k = split("the friend unaffable playing ships don'"'"'t 2024 na\303\257ve nai\314\210ve " \
            "\320\274\320\276\321\201\320\272\320\262\320\260 \344\270\255\346\226\207 ! ?! ... " \
            "\355\225\234\352\265\255\354\226\264 \360\237\230\200 \357\254\201 \302\275 THE a_b " \
            "\303\211\314\201\314\243 \331\205\330\261 x\342\200\213y aaaaaaaaaaaaaaaaaaaaaaaaaaaaa " \
            "\304\260 \342\202\254 \360\240\200\200 e\314\201 \314\201 \302\255 i", word, " ")
        srand(seed)
        for (i = 0; i < n; i++) {
            w = word[1 + int(rand() * k)]
            print rand() < 0.3 ? w word[1 + int(rand() * k)] : w
        }
    }'
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

@test "the stream depends on neither threads, the sizes of reads, nor the locale" {
    words 3000 | awk '{ printf "%s%s", $0, NR % 7 ? " " : " [SEP] <mask>zz\n" }' >in.txt
    head -n 40 in.txt >few.txt
    for kind in $KINDS; do
        tok -q -@ 1 -m "$G/$kind" --format text --block-records 50 -o want <in.txt
        for n in 2 3 4; do
            tok -q -@ $n -m "$G/$kind" --format text --block-records 50 <in.txt | cmp - want
        done
        for name in C C.UTF-8 tr_TR.UTF-8 de_DE.UTF-8; do
            LC_ALL=$name tok -q -m "$G/$kind" --format text --block-records 50 <in.txt | cmp - want
        done
        dd if=in.txt bs=61 status=none |
            tok -q -m "$G/$kind" --format text --block-records 50 | cmp - want
        tok -q -m "$G/$kind" --format text -o want <few.txt
        dd if=few.txt bs=1 status=none | tok -q -m "$G/$kind" --format text | cmp - want
    done
}

@test "what is encoded alone is encoded so in a long line, wherever its pieces end" {
    words 30000 >lines.txt
    for shift in '' i ii iii; do
        { echo "${shift:-the}"; cat lines.txt; } >shifted.txt
        paste -sd ' ' shifted.txt >long.txt
        [ "$(wc -c <long.txt)" -gt 200000 ]
        for kind in wordpiece wordpiece-files cased words suffix bytes unigram; do
            tok -q -m "$G/$kind" --format text shifted.txt | tok -d --ids |
                awk 'NF { print }' | paste -sd ' ' >want
            tok -q -m "$G/$kind" --format text --max-line 9000000 long.txt | tok -d --ids >got
            cmp got want || { echo "$kind, shift '$shift'" >&2; return 1; }
        done
    done
}

@test "bytes come back, and what is decoded encodes to the same again" {
    words 2000 | paste -sd '  \t ' | fold -b -w 300 | iconv -c -f UTF-8 -t UTF-8 >in.txt
    for kind in bpe bpe-files; do
        tok -q -m "$G/$kind" --format text in.txt | tok -d --text -m "$G/$kind" >back
        tr '\t' ' ' <in.txt | cmp - <(tr '\t' ' ' <back)
    done
    for kind in wordpiece cased unigram suffix; do
        tok -q -m "$G/$kind" --format text in.txt -o a.toks
        tok -d --text -m "$G/$kind" a.toks >a.txt
        tok -q -m "$G/$kind" --format text a.txt | tok -d --text -m "$G/$kind" >b.txt
        tok -q -m "$G/$kind" --format text b.txt | tok -d --text -m "$G/$kind" >c.txt
        cmp b.txt c.txt || { echo "$kind" >&2; return 1; }
    done
}

@test "--specials-in-text no: no special id, and nothing else is changed" {
    words 500 >plain.txt
    printf 'a [SEP] b<mask> </s>c [MASK][PAD]\n' >spelled.txt
    for kind in $KINDS; do
        tok -q -m "$G/$kind" --format text -o a.toks plain.txt
        tok -q -m "$G/$kind" --format text --specials-in-text no plain.txt | tok -d --ids >got
        tok -d --ids a.toks | cmp - got || { echo "$kind" >&2; return 1; }
        case $kind in unigram*) continue ;; esac # these are pieces of the model, too
        tok -q -m "$G/$kind" --format text --specials-in-text no -o s.toks spelled.txt
        if tok -d --tokens -m "$G/$kind" s.toks |
            grep -E '(^| )(\[SEP\]|\[MASK\]|\[PAD\]|<mask>|</s>)( |$)'; then return 1; fi
    done
}

@test "pairs that are cut: never over the limit, and not by more than it takes" {
    words 400 | paste -d ' ' - - - - - - - - >a
    words 400 2 | paste -d ' ' - - - >b
    paste a b | awk -F '\t' '$1 != "" && $2 != ""' >in.tsv
    for kind in wordpiece bpe unigram; do
        tok -q -m "$G/$kind" --header no --text 1 --pair 2 --format tsv -o p.toks in.tsv
        tok -d --special --ids p.toks | awk '{ print NF }' >whole
        for n in 3 4 5 6 7 10 16 17 31; do
            tok -d --special --ids --max-len $n p.toks | awk '{ print NF }' | paste - whole |
                awk -v n=$n -v specials="$([ $kind = wordpiece ] && echo 3 || echo 4)" '
                    n < specials { next }
                    $1 != ($2 < n ? $2 : n) { print NR ": " $0; bad = 1 } END { exit bad }' ||
                { echo "$kind at $n" >&2; return 1; }
        done
    done
}
