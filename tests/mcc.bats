# SPDX-License-Identifier: MIT
# mcc: values are those that scikit-learn 1.9.1 gives for the same rows (tests/parity/metrics.py
# compares thousands of files more).

load helper

setup() {
    cd "$BATS_TEST_TMPDIR"
    # Labels in no alphabetical order, one with a blank; a row without gold.
    tr '|' '\t' >three.tsv <<'T'
key|gold|pred|p:acceptable|p:no|p:10 %
k1|10 %|10 %|0.2284|0.0804|0.6912
k2|no|no|0.1748|0.7313|0.0939
k3|10 %|10 %|0.0661|0.0415|0.8924
k4|10 %|acceptable|0.9356|0.0614|0.003
k5|no|no|0.0056|0.9371|0.0573
k6|acceptable|no|0.0321|0.8677|0.1002
k7|no|no|0.3153|0.4182|0.2665
k8|acceptable|acceptable|0.7178|0.2092|0.073
k9|no|no|0.3|0.6951|0.0049
k10|10 %|10 %|0.4137|0.0972|0.4891
k11|no|no|0.0371|0.5096|0.4533
k12|acceptable|acceptable|0.4859|0.1098|0.4043
k13||no|0.1|0.8|0.1
T
    tr '|' '\t' >two.tsv <<'T'
key|gold|pred|p:0|p:1
1|0|0|0.7|0.3
2|1|1|0.2|0.8
3|1|0|0.6|0.4
4||1|0.4|0.6
5|0|0|0.9|0.1
T
}

# near NAME WANTED FILE [OPTION...]: the metric is the wanted value but for the last digit.
near() {
    local name=$1 want=$2 got
    shift 2
    got=$(mcc --metric "$name" "$@")
    awk -v a="$got" -v b="$want" 'BEGIN {d = a - b; if (d < 0) d = -d; exit !(d <= 1e-14)}' ||
        { echo "$name is $got, wanted $want"; false; }
}

# header_and ROW...: a file with two labels, | for TABs, on standard output.
header_and() {
    printf '%s\n' 'key|gold|pred|p:a|p:b' "$@" | tr '|' '\t'
}

@test "every metric of three labels is scikit-learn's" {
    near accuracy 0.8333333333333334 three.tsv
    near mcc 0.7501772840114586 three.tsv
    near f1_macro 0.810966810966811 three.tsv
    near f1_micro 0.8333333333333334 three.tsv
    near f1_weighted 0.8311688311688311 three.tsv
    near precision_macro 0.8333333333333334 three.tsv
    near recall_macro 0.8055555555555555 three.tsv
    near kappa 0.7419354838709677 three.tsv
    near auc 0.7551146384479718 three.tsv
    near log_loss 1.1489362647914212 three.tsv
    near brier 0.5010686383333333 three.tsv
    near ece 0.4078833333333333 three.tsv # Guo's code
    near n 12 three.tsv
    near skipped 1 three.tsv
}

@test "two labels: auc is the second one's" {
    near auc 1 two.tsv
    near mcc 0.5773502691896258 two.tsv
    near log_loss 0.4003674356962309 two.tsv
    near brier 0.25 two.tsv
    header_and '1|b|a|0.6|0.4' '2|a|a|0.9|0.1' '3|a|b|0.3|0.7' '4|b|b|0.4|0.6' >x.tsv
    near auc 0.5 x.tsv
}

@test "--metric prints one line with all digits, and nothing else" {
    run_clean mcc --metric mcc three.tsv
    same "$output" 0.7501772840114586
    same "$stderr" ""
    same "$(mcc --metric mcc three.tsv | wc -l)" 1
    same "$(mcc --metric mcc - <three.tsv)" "$(mcc --metric mcc <three.tsv)"
}

@test "what is undefined: mcc 0, others nan, in JSON null" {
    header_and '1|a|a|0.6|0.4' '2|a|a|0.9|0.1' >x.tsv
    same "$(mcc --metric mcc x.tsv)" 0
    same "$(mcc --metric auc x.tsv)" nan
    same "$(mcc --metric kappa x.tsv)" nan
    same "$(mcc --metric f1_macro x.tsv)" 1 # b is in neither gold nor pred
    run_clean mcc --json x.tsv
    [[ $output == *'"kappa": null, "auc": null'* ]]
}

@test "log_loss clips as scikit-learn does" {
    header_and '1|a|b|0|1' >x.tsv
    near log_loss 36.04365338911715 x.tsv
    header_and '1|a|a|1|0' >x.tsv
    near log_loss 2.220446049250313e-16 x.tsv
}

@test "--json has every key of a single-label file" {
    run_clean mcc --json three.tsv
    [ "${#lines[@]}" -eq 1 ]
    for key in n accuracy mcc f1_macro f1_micro f1_weighted precision_macro recall_macro kappa \
        auc log_loss ece brier confusion labels per_class skipped; do
        [[ $output == *"\"$key\": "* ]] || { echo "no $key"; false; }
    done
    [[ $output == *'"n": 12, "skipped": 1, "kind": "single"'* ]]
    [[ $output == *'"confusion": [[2, 1, 0], [0, 5, 0], [1, 0, 3]]'* ]]
    [[ $output == *'"labels": ["acceptable", "no", "10 %"]'* ]]
    [[ $output == *'{"label": "no", "precision": 0.83333333333333337, "recall": 1.0'* ]]
    [[ $output != *intervals* && $output != *mcc_batches* ]]
    run_clean mcc --json --batch 5 --bootstrap 50 three.tsv
    [[ $output == *'"mcc_batches": [0.72168783648703'* ]]
    [[ $output == *'"intervals": {"accuracy": ['* ]]
}

@test "--batch prints the MCC of each batch and the total" {
    run_clean mcc --batch 5 three.tsv
    same "${lines[*]}" $'batch\trows\tmcc 1\t5\t0.722 2\t5\t0.735 3\t2\t1.000 Total MCC: 0.750'
    run_clean mcc --batch 1000000 three.tsv
    same "${lines[*]}" $'batch\trows\tmcc 1\t12\t0.750 Total MCC: 0.750'
}

@test "the table has the rows, the majority and the confusion matrix" {
    run_clean mcc three.tsv
    [[ ${lines[0]} == rows*12*"1 without gold"* ]]
    [[ ${lines[1]} == "majority class"*0.4167*"'no'" ]]
    [[ ${lines[3]} == MCC*0.7502*\[* ]]
    [[ $output == *'acceptable         2  66.7 %         1  33.3 %         0   0.0 %'* ]]
    [[ $output == *'10 %           1.0000   0.7500   0.8571        4        3'* ]]
    same "$(mcc --bootstrap 0 three.tsv | grep -c '\[')" 0
}

@test "intervals: the same for the same seed, others for another" {
    same "$(mcc three.tsv)" "$(mcc --seed 42 three.tsv)"
    [ "$(mcc three.tsv)" != "$(mcc --seed 43 three.tsv)" ]
    # The order of the rows is no part of the counts.
    { head -n 1 three.tsv; tail -n +2 three.tsv | sort -r; } >turned.tsv
    same "$(mcc three.tsv | grep MCC)" "$(mcc turned.tsv | grep MCC)"
    run_clean mcc --bootstrap 100 three.tsv
    [[ $output == *"log loss"*1.1489*[* ]]
}

@test "--per-class, --confusion and --calibration are TSV" {
    run_clean mcc --per-class three.tsv
    same "${lines[0]}" $'label\tprecision\trecall\tf1\tsupport\tpredicted'
    same "${lines[3]}" $'10 %\t1\t0.75\t0.8571428571428571\t4\t3'
    run_clean mcc --confusion three.tsv
    same "${lines[*]}" $'gold\tacceptable\tno\t10 % acceptable\t2\t1\t0 no\t0\t5\t0 10 %\t1\t0\t3'
    run_clean mcc --calibration two.tsv
    [ "${#lines[@]}" -eq 16 ]
    # 0.6 is an edge: it is in the lower bin.
    same "${lines[9]}" $'0.5333\t0.6000\t1\t0.6\t0'
    same "${lines[10]}" $'0.6000\t0.6667\t0\tnan\tnan'
}

@test "logits give the metrics of their softmax" {
    printf '%s\n' 'key|gold|pred|z:a|z:b|z:c' '1|a|a|1|0|-1' '2|b|a|2|1|0.5' '3|c|c|-3|0|800' |
        tr '|' '\t' >z.tsv
    near log_loss 0.6239915828507752 z.tsv
    near brier 0.3952661503309905 z.tsv
}

@test "multi-label scores" {
    printf '%s\n' 'key|gold|pred|p:x|p:y|p:z' '1|x|x,y|0.9|0.6|0.1' '2|x,y|x,y|0.8|0.7|0.2' \
        '3|z||0.4|0.3|0.45' '4|y,z|y,z|0.2|0.6|0.9' '5||x|0.9|0.1|0.1' | tr '|' '\t' >m.tsv
    near accuracy 0.5 m.tsv
    near hamming_loss 0.16666666666666666 m.tsv
    near f1_macro 0.8222222222222223 m.tsv
    near f1_micro 0.8333333333333334 m.tsv
    near f1_samples 0.6666666666666666 m.tsv
    near auc 0.9583333333333334 m.tsv
    near log_loss 0.3696093137014567 m.tsv
    run_clean mcc --json m.tsv
    [[ $output == *'"kind": "multi"'*'"mcc": null'* ]]
    run_clean mcc m.tsv
    [[ $output == *"Hamming loss"*0.1667* ]]
    fails_with 2 mcc --metric mcc m.tsv
    fails_with 2 mcc --batch 2 m.tsv
    fails_with 2 mcc --confusion m.tsv
    fails_with 65 mcc --kind single m.tsv
}

@test "regression scores" {
    printf '%s\n' 'key|gold|pred' '1|1.5|1' '2|-2|-1.5' '3|0|0.25' '4|4.25|4.5' '5|3|1' '6||7' |
        tr '|' '\t' >r.tsv
    near mse 0.925 r.tsv
    near rmse 0.9617692030835673 r.tsv
    near mae 0.7 r.tsv
    near r2 0.8088842975206612 r.tsv
    near pearson 0.9099422239787378 r.tsv
    near spearman 0.9746794344808964 r.tsv
    near skipped 1 r.tsv
    sed 's/$/\t1/; 1s/1$/z:value/' r.tsv >rz.tsv
    near mse 0.925 rz.tsv
    fails_with 2 mcc --metric accuracy r.tsv
    says "regression"
    fails_with 2 mcc --per-class r.tsv
}

@test "--against: McNemar's test and the difference" {
    # 20 rows that only A has right, 30 that only B has, 50 of both.
    for i in $(seq 100); do
        a=b b=a
        [ "$i" -gt 20 ] || { a=a b=b; }
        [ "$i" -le 50 ] || { a=a b=a; }
        printf '%s|a|%s|0.5|0.5\n' "$i" "$a" >>a.txt
        printf '%s|a|%s|0.5|0.5\n' "$i" "$b" >>b.txt
    done
    header_and "$(cat a.txt)" >a.tsv
    header_and "$(cat b.txt)" >b.tsv
    run_clean mcc --against b.tsv a.tsv
    [[ $output == *"both right 50, only A 20, only B 30, neither 0"* ]]
    [[ $output == *"p = 0.2026"* ]] # scipy.stats.binomtest(20, 50)
    [[ $output == *accuracy*0.7000*0.8000*0.1000*[-0.0* ]]
    run_clean mcc --json --against b.tsv a.tsv
    [[ $output == *'"both_right": 50, "only_a": 20, "only_b": 30'* ]]
    run_clean mcc --against b.tsv <a.tsv
    [[ $output == *"A: standard input"* ]]
    fails_with 65 mcc --against two.tsv three.tsv
    fails_with 65 mcc --against <(sed 's/^7\t/8\t/' a.tsv) a.tsv
    says "key"
    fails_with 2 mcc --against - - <a.tsv
    fails_with 2 mcc --against b.tsv --batch 2 a.tsv
}

@test "bad files are 65 and name the line" {
    bad() {
        header_and "${@:2}" >x.tsv
        fails_with 65 mcc x.tsv
        says "x.tsv:$1: "
    }
    bad 2 '1|a|a|0.5'
    bad 2 '1|a|a'
    bad 2 '1|a'
    bad 2 '1'
    bad 2 ''
    bad 2 '1|a|a|0.5|0.5|0'
    bad 3 '1|a|a|0.5|0.5' '2|a|a|0.5|x'
    bad 2 '1|a|a|0.5|'
    bad 2 '1|a|a|nan|0.5'
    bad 2 '1|a|a|inf|0.5'
    bad 2 '1|a|a|0,5|0.5'
    bad 2 '1|a|a|0x1|0'
    bad 2 '1|a|a|1.5|0'
    bad 2 '1|a|a|-0.5|0'
    bad 2 '1|c|a|0.5|0.5'
    says "'c'"
    bad 2 '1|a|c|0.5|0.5'
    bad 2 '1||a|0.5|oops'
    bad 2 $'1|a|a|0.5|0.5\r'
    says "CR"
    printf 'key\tgold\tpred\tp:a\tp:b\n1\ta\ta\t0.5\t0.5' >x.tsv
    fails_with 65 mcc x.tsv
    says "x.tsv:2: " "cut"
    printf 'key\tgold\tpred\n1\ta\tb\n' >x.tsv
    fails_with 65 mcc x.tsv
    fails_with 65 mcc <x.tsv
    says "standard input:2: "
}

@test "bad headers are 65" {
    for header in '' 'text' $'key\tgold' $'key\tpred\tgold\tp:a\tp:b' $'key\tgold\tpred\tp:a\tz:b' \
        $'key\tgold\tpred\tp:a\tp:a' $'key\tgold\tpred\tp:' $'key\tgold\tpred\ta\tb'; do
        printf '%s\n1\ta\ta\t0.5\t0.5\n' "$header" >x.tsv
        fails_with 65 mcc x.tsv
        says "x.tsv:1: "
    done
}

@test "nothing to measure: 66 without rows, 65 without gold" {
    : >x.tsv
    fails_with 66 mcc x.tsv
    header_and >x.tsv
    fails_with 66 mcc x.tsv
    fails_with 66 mcc nowhere.tsv
    says nowhere.tsv
    fails_with 66 mcc .
    header_and '1||a|0.5|0.5' '2||b|0.5|0.5' >x.tsv
    fails_with 65 mcc x.tsv
    says "2 rows" "gold"
}

@test "wrong options are 2" {
    fails_with 2 mcc --metric nonsense three.tsv
    says nonsense
    fails_with 2 mcc --metric mse three.tsv
    fails_with 2 mcc --metric mcc --json three.tsv
    fails_with 2 mcc --per-class --confusion three.tsv
    fails_with 2 mcc --batch 0 three.tsv
    fails_with 2 mcc --batch -3 three.tsv
    fails_with 2 mcc --batch 2.5 three.tsv
    fails_with 2 mcc --bootstrap -1 three.tsv
    fails_with 2 mcc --kind both three.tsv
    fails_with 2 mcc three.tsv two.tsv
}

@test "a full disk is 74; -o appears when it is whole" {
    run bash -c 'mcc three.tsv >/dev/full'
    [ "$status" -eq 74 ]
    run bash -c 'mcc -o /dev/full three.tsv'
    [ "$status" -eq 74 ]
    mkdir out
    mcc -o out/table three.tsv
    same "$(cat out/table)" "$(mcc three.tsv)"
    rm out/table
    header_and '1|a|a|0.5' >x.tsv
    fails_with 65 mcc -o out/table x.tsv
    leaves_nothing out
    fails_with 73 mcc -o nowhere/table three.tsv
}

@test "the user's locale changes nothing" {
    local comma
    comma=$(locale -a 2>/dev/null | grep -iE '^(de|fr|nl|es)_.*utf-?8$' | head -n 1)
    for name in de_DE.UTF-8 ${comma:+"$comma"}; do
        same "$(LC_ALL=$name mcc --json three.tsv)" "$(mcc --json three.tsv)"
        same "$(LC_ALL=$name mcc three.tsv)" "$(mcc three.tsv)"
    done
}

@test "labels of other scripts and with commas stay as they are" {
    printf '%s\n' 'key|gold|pred|p:größer, weiter|p:否' '1|否|否|0.1|0.9' \
        '2|größer, weiter|否|0.4|0.6' | tr '|' '\t' >x.tsv
    run_clean mcc --json x.tsv
    [[ $output == *'"kind": "single"'*'"labels": ["größer, weiter", "否"]'* ]]
    printf 'key\tgold\tpred\tp:\xff\tp:b\n1\tb\tb\t0.1\t0.9\n' >x.tsv
    mcc x.tsv
    fails_with 65 mcc --json x.tsv
}

@test "a terminal gets no control characters from a label" {
    printf 'key\tgold\tpred\tp:\x1b[31m\tp:b\n1\tb\tb\t0.1\t0.9\n2\t\x1b[31m\tb\t0.1\t0.9\n' >x.tsv
    run_clean mcc x.tsv
    [ "$status" -eq 0 ]
    [[ $output != *$'\x1b'* && $output == *'?[31m'* ]]
}

@test "the examples of the page run" {
    command -v gnuplot >/dev/null || skip "no gnuplot"
    cp three.tsv scores.tsv
    cp three.tsv other.tsv
    ln -s "$REPO/pipelines" pipelines
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh/p' "$REPO/man/mcc.1" | sed -n '/^\.Bd/,/^\.Ed/p' |
        grep -v '^\.' | sed 's/\\e/\\/g' >examples.sh
    [ "$(wc -l <examples.sh)" -ge 6 ]
    run_clean bash -eo pipefail examples.sh
    [ "$status" -eq 0 ]
    same "${lines[-1]}" $'acceptable\t0.6666666666666666\t0.6666666666666666\t0.6666666666666666\t3\t3'
    grep -q '</svg>' batches.svg
    grep -q '"intervals"' metrics.json
}

@test "the pictures are drawn" {
    command -v gnuplot >/dev/null || skip "no gnuplot"
    for view in confusion calibration; do
        mcc --$view three.tsv >$view.tsv
        gnuplot -e "data='$view.tsv'; picture='$view.svg'" "$REPO/pipelines/plot/$view.gp"
        grep -q '</svg>' $view.svg
    done
    grep -q 'acceptable' confusion.svg
}
