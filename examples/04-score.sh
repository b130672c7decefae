#!/bin/sh
# SPDX-License-Identifier: MIT
# Scores: probabilities, logits, the text of which the model is least sure, two models compared.
set -eu
. "$(dirname "$0")/base.sh"
tok -m base --label 1 --text 2 --key 2 -o all.toks.zst "$here/tiny.tsv"
train() { finetune -q -m base --init --batch 8 --lr 3e-3 --dropout 0 "$@" all.toks.zst; }
train --epochs 40 -o good
train --epochs 1 -o bad

echo "== a row for every record, in their order: key, gold, pred, a probability for each label"
score -m good all.toks.zst | awk -F '\t' 'NR == 1 || NR == 4 {print $1, $2, $3; if (NR > 1) printf "%.1f %.1f\n", $4, $5}'

echo "== logits instead"
score -m good --logits all.toks.zst | head -n 1

echo "== the five least certain are less certain than the rest"
score -m good all.toks.zst | tail -n +2 | awk -F '\t' '{d = $4 - $5; print (d < 0 ? -d : d)}' |
    sort -g | awk 'NR == 5 {five = $1} NR == 6 {print (five <= $1 ? "yes" : "no")}'

echo "== metrics"
score -m good -o good.tsv all.toks.zst
score -m bad -o bad.tsv all.toks.zst
mcc --json good.tsv | tr ',' '\n' | grep '"n"' | tr -d '{ '
printf 'MCC %.2f and %.2f\n' "$(mcc --metric mcc good.tsv)" "$(mcc --metric mcc bad.tsv)"
mcc --against bad.tsv good.tsv >compared && echo "compared"
