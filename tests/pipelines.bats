# SPDX-License-Identifier: MIT
# The whole jobs of pipelines/ on small data: each runs to its end and prints what it promises.

load helper

# A tiny model, and 80 records that a few words tell apart, as CSV and as TSV with a header.
setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    tiny_bert base good nice bad awful movie film the a was
    awk 'BEGIN {
        split("good nice bad awful", word)
        print "title\tabstract\tlabel" >"train.tsv"
        print "title\tabstract\tlabel" >"test.tsv"
        for (i = 0; i < 100; i++) {
            text = "the film " i " was"
            for (k = 0; k < i % 7; k++) text = text " a movie"
            text = text " " word[1 + i % 4]
            printf "\"%d\",\"film %d\",\"%s\"\n", 1 + (i % 4 > 1), i, text >"news.csv"
            print "film " i "\t" text "\t" (i % 4 > 1 ? "neg" : "pos") >(i < 80 ? "train.tsv" : "test.tsv")
        }
    }' </dev/null
    # Their models have weights.
    tok -m base news.csv --label 1 --text 2 |
        mlm-pretrain -q -m base --init --max-steps 0 -o start >/dev/null
}

job() {
    run_clean sh "$REPO/pipelines/$1.sh" "${@:2}"
    [ "$status" -eq 0 ] || { printf '%s\n%s\n' "$output" "$stderr" >&2; return 1; }
    # No folder of its own stays behind.
    [ -z "$(ls -A "$TMPDIR")" ]
}

@test "agnews" {
    export TMPDIR=$BATS_TEST_TMPDIR/tmp && mkdir "$TMPDIR"
    job agnews start news.csv 6
    [[ $output == *"records     100"* && $output == *"confusion"* ]]
    same "$(printf '%s\n' "$output" | awk '$1 == "rows" {print $2}')" 10
    run_clean sh "$REPO/pipelines/agnews.sh" start
    [ "$status" -eq 2 ]
}

@test "cola" {
    export TMPDIR=$BATS_TEST_TMPDIR/tmp && mkdir "$TMPDIR" cola
    for name in in_domain_train in_domain_dev out_of_domain_dev; do
        awk -F '\t' 'NR > 1 {print "x\t" ($3 == "pos") "\t\t" $2}' train.tsv >cola/$name.tsv
    done
    SEEDS="1 2" job cola start cola 1e-3
    same "${lines[0]}" $'rate\tseed\tmcc_in\tmcc_out\tseconds'
    same "$(printf '%s\n' "${lines[@]:1}" | cut -f 1,2 | tr '\t' ' ' | paste -s -d ,)" "1e-3 1,1e-3 2"
    # Training, in-domain and out-of-domain sentences are the same here.
    printf '%s\n' "${lines[@]:1}" | awk -F '\t' '$3 != $4 || $3 < -1 || $3 > 1 {exit 1}'
}

@test "itpt" {
    export TMPDIR=$BATS_TEST_TMPDIR/tmp && mkdir "$TMPDIR"
    EPOCHS=1 LIMIT=32 job itpt start train.tsv test.tsv
    same "${lines[0]}" $'start\tmcc\taccuracy'
    same "$(printf '%s\n' "${lines[@]:1}" | cut -f 1 | paste -s -d ' ')" "start itpt"
    printf '%s\n' "${lines[@]:1}" | awk -F '\t' 'NF != 3 || $2 < -1 || $2 > 1 || $3 < 0 || $3 > 1 {exit 1}'
}

@test "every job is tested" {
    for script in "$REPO"/pipelines/*.sh; do
        name=$(basename "$script" .sh)
        case $name in bundle | cublas | libraries | demo) continue ;; esac
        grep -q "^@test \"$name\"" "$BATS_TEST_FILENAME" || { echo "$name"; false; }
    done
}

@test "lengths" {
    export TMPDIR=$BATS_TEST_TMPDIR/tmp && mkdir "$TMPDIR"
    tok -m base --text abstract --label label train.tsv >train.toks
    EPOCHS=1 job lengths start train.toks 8 16 64
    same "${lines[0]}" $'limit\tcut\tmcc\tloss\tseconds'
    same "$(printf '%s\n' "${lines[@]:1}" | cut -f 1 | paste -s -d ' ')" "8 16 64"
    # The shares that shard --stat gives of the same records, specials counted.
    printf '%s\n' "${lines[@]:1}" | awk -F '\t' '{cut[NR] = $2 + 0}
        END {exit !(cut[1] > cut[2] && cut[2] > 0 && cut[3] == 0)}'
}
