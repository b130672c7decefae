#!/bin/sh
# SPDX-License-Identifier: MIT
# cola: the CoLA tutorial as one pipeline, over learning rates and seeds.
#
#   cola.sh MODEL FOLDER [RATE...]       seeds: $SEEDS ["42 1 2"]
#
# FOLDER has in_domain_train.tsv, in_domain_dev.tsv and out_of_domain_dev.tsv of the public
# CoLA archive (source, label, mark, sentence).  Four epochs of batch 32, length 64, AdamW,
# linear decay, clip 1.0; the last epoch's weights are scored.  Prints a TSV:
# rate, seed, MCC in domain, MCC out of domain, seconds of training.
set -eu
[ $# -ge 2 ] || { echo "usage: cola.sh MODEL FOLDER [RATE...]" >&2; exit 2; }
model=$1 folder=$2
shift 2
[ $# -gt 0 ] || set -- 2e-5 5e-5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
columns='--header no --text 4 --label 2'

# shellcheck disable=SC2086
{
    tok -m "$model" $columns -o "$work/train.toks.zst" "$folder/in_domain_train.tsv"
    tok -m "$model" $columns -o "$work/in.toks.zst" "$folder/in_domain_dev.tsv"
    tok -m "$model" $columns -o "$work/out.toks.zst" "$folder/out_of_domain_dev.tsv"
}
printf 'rate\tseed\tmcc_in\tmcc_out\tseconds\n'
for rate; do
    for seed in ${SEEDS:-42 1 2}; do
        start=$(date +%s)
        finetune -q -m "$model" --max-len 64 --batch 32 --lr "$rate" --epochs 4 --seed "$seed" \
            --log "$work/$rate-$seed.jsonl" -o "$work/model" "$work/train.toks.zst"
        seconds=$(($(date +%s) - start))
        in=$(score -m "$work/model" "$work/in.toks.zst" | mcc --metric mcc)
        out=$(score -m "$work/model" "$work/out.toks.zst" | mcc --metric mcc)
        printf '%s\t%s\t%.3f\t%.3f\t%s\n' "$rate" "$seed" "$in" "$out" "$seconds"
        rm -rf "$work/model"
    done
done
