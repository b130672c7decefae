#!/bin/sh
# SPDX-License-Identifier: MIT
# itpt: further pretraining on the task's own texts, then fine-tuning (Sun et al. 2019).
#
#   itpt.sh MODEL TRAIN TEST       columns: $TEXT [title,abstract], $LABEL [label]
#
# The texts of both files, without their labels, go through the masked language model (block
# 256, 15 %, 2 x 16, five epochs, judged on a held-out tenth), and the labelled ones through
# finetune: 512 tokens of which a quarter are the first, rates that fall by 0.95 a layer, 1e-4
# for the head.  The same without further pretraining is what it is compared with.  Prints a
# TSV: start, MCC and accuracy on TEST.  $EPOCHS [5], $LIMIT [512]: pretraining, tokens.
set -eu
[ $# -eq 3 ] || { echo "usage: itpt.sh MODEL TRAIN TEST" >&2; exit 2; }
model=$1 train=$2 test=$3
text=${TEXT:-title,abstract} label=${LABEL:-label} limit=${LIMIT:-512}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tok -m "$model" --text "$text" --join . "$train" "$test" |
    mlm-pretrain -q -m "$model" --block "$((limit < 256 ? limit : 256))" --batch 16 --accum 2 \
        --epochs "${EPOCHS:-5}" --eval 10% -o "$work/itpt" >"$work/texts.toks.zst"
shard --check "$work/texts.toks.zst"
for name in train test; do
    eval "file=\$$name"
    tok -m "$model" --text "$text" --join . --label "$label" -o "$work/$name.toks.zst" "$file"
done
shard --against "$work/test.toks.zst" -o "$work/clean.toks.zst" "$work/train.toks.zst"

printf 'start\tmcc\taccuracy\n'
for start in "$model" "$work/itpt"; do
    finetune -q -m "$start" --max-len "$limit" --truncate head+tail --batch 16 --accum 2 \
        --lr 2e-5 --layer-decay 0.95 --head-lr 1e-4 --warmup 10% --epochs 4 --eval 10% \
        -o "$work/cls" "$work/clean.toks.zst"
    score -m "$work/cls" --max-len "$limit" "$work/test.toks.zst" >"$work/scores.tsv"
    printf '%s\t%.3f\t%.3f\n' "$(basename "$start")" "$(mcc --metric mcc "$work/scores.tsv")" \
        "$(mcc --metric accuracy "$work/scores.tsv")"
    rm -r "$work/cls"
done
