#!/bin/sh
# SPDX-License-Identifier: MIT
# agnews: a classifier of news by topic, as in the notes on AG News.
#
#   agnews.sh MODEL FILE [STEPS]
#
# FILE is CSV without a header: class (1 to 4), title, text.  A tenth of it is held out, with
# the same share of each class; STEPS [500] steps of batch 8 at 2e-5, constant rate.  Prints
# what of the texts a limit would cut, then the metrics of the held-out records.
set -eu
[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "usage: agnews.sh MODEL FILE [STEPS]" >&2; exit 2; }
model=$1 file=$2 steps=${3:-500}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tok -m "$model" --format csv --header no --label 1 --text 2,3 -o "$work/all.toks.zst" "$file"
shard --stat "$work/all.toks.zst"
shard --split train=90%,held=10% --stratify -o "$work/%s.toks.zst" "$work/all.toks.zst"
finetune -q -m "$model" --batch 8 --lr 2e-5 --schedule constant --max-steps "$steps" \
    -o "$work/model" "$work/train.toks.zst"
score -m "$work/model" "$work/held.toks.zst" | mcc
