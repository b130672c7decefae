#!/bin/sh
# SPDX-License-Identifier: MIT
# lengths: what the limit on the length of inputs costs.
#
#   lengths.sh MODEL STREAM [LIMIT...]       limits [32 64 128]; epochs: $EPOCHS [2]
#
# A limit that is too small costs most of the score and says nothing about it.  Trains on nine
# tenths of a labelled token stream under each limit and prints a TSV: limit, share of tokens
# that it cuts, MCC and loss of the held-out tenth, seconds.
set -eu
[ $# -ge 2 ] || { echo "usage: lengths.sh MODEL STREAM [LIMIT...]" >&2; exit 2; }
model=$1 stream=$2
shift 2
[ $# -gt 0 ] || set -- 32 64 128
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

shard --split train=90%,held=10% --stratify -o "$work/%s.toks.zst" "$stream"
printf 'limit\tcut\tmcc\tloss\tseconds\n'
for limit; do
    start=$(date +%s)
    cut=$(tok -d --special --columns len "$work/train.toks.zst" |
        awk -v limit="$limit" '{all += $1} $1 > limit {cut += $1 - limit}
            END {printf "%.1f%%", all ? 100 * cut / all : 0}')
    finetune -q -m "$model" --max-len "$limit" --epochs "${EPOCHS:-2}" -o "$work/model" \
        "$work/train.toks.zst"
    score -m "$work/model" --max-len "$limit" "$work/held.toks.zst" >"$work/scores.tsv"
    printf '%s\t%s\t%.3f\t%.3f\t%s\n' "$limit" "$cut" "$(mcc --metric mcc "$work/scores.tsv")" \
        "$(mcc --metric log_loss "$work/scores.tsv")" $(($(date +%s) - start))
    rm -r "$work/model"
done
