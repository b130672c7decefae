#!/bin/sh
# SPDX-License-Identifier: MIT
# A classifier from the first token to its MCC: 60 sentences, learnt by heart.
set -eu
. "$(dirname "$0")/base.sh"

tok -m base "$here/tiny.tsv" |
    finetune -q -m base --init --epochs 40 --batch 8 --lr 3e-3 --warmup 10% --dropout 0 \
        --log log.jsonl -o cls

echo "== the model is a directory that transformers opens"
ls cls
sed -n '/"id2label"/,/}/p' cls/config.json

echo "== a line for every step: linear warm-up from 0, then down to 0"
grep -c '"event":"step"' log.jsonl
awk -F '"lr":' '/"event":"step"/ {split($2, a, ","); n++; if (n == 1 || n == 33 || n == 320) printf "step %d: %.3g\n", n, a[1]}' log.jsonl

echo "== what it learnt"
tok -m cls "$here/tiny.tsv" | score -m cls >scores.tsv
printf 'MCC %.2f\n' "$(mcc --metric mcc scores.tsv)"
