# SPDX-License-Identifier: MIT
# The examples run as they stand and print what lies beside them.

load helper

setup() { cd "$BATS_TEST_TMPDIR"; }

runs() {
    run bash -c 'sh -eu "$1" 2>&1' - "$REPO/examples/$1.sh"
    [ "$status" -eq 0 ] || { printf 'status %s\n%s\n' "$status" "$output"; false; }
    diff -u "$REPO/examples/$1.out" <(printf '%s\n' "$output")
}

@test "01-tokenize" { runs 01-tokenize; }
@test "02-split" { runs 02-split; }
@test "03-finetune" { runs 03-finetune; }
@test "04-score" { runs 04-score; }
@test "05-pretrain" { runs 05-pretrain; }

@test "every example has its output and is tested" {
    for script in "$REPO"/examples/[0-9]*.sh; do
        name=$(basename "$script" .sh)
        [ -s "$REPO/examples/$name.out" ]
        grep -q "^@test \"$name\"" "$BATS_TEST_FILENAME"
    done
}

@test "the examples' corpus is the grammar's" {
    awk -v n=60 -v seed=5 -f "$REPO/pipelines/grammar.awk" | cmp - "$REPO/examples/tiny.tsv"
}
