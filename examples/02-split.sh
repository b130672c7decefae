#!/bin/sh
# SPDX-License-Identifier: MIT
# Parts of a stream: stratified, shuffled, folds, shards, and the leak check.
set -eu
. "$(dirname "$0")/base.sh"
tok -m base -o all.toks.zst "$here/tiny.tsv"
labels() { tok -d --columns label "$1" | sort | uniq -c | awk '{printf " %s: %d", $2, $1} END {print ""}'; }

echo "== 80 % and 20 %, each with its share of each label"
shard --split train=80%,dev=20% --stratify -o '%s.toks.zst' all.toks.zst
for part in train dev; do printf '%s' "$part"; labels $part.toks.zst; done

echo "== no record is in both"
shard --against dev.toks.zst -o clean.toks.zst train.toks.zst
shard --check --expect-records 48 clean.toks.zst && echo "48 left of 48"

echo "== four shards, and one stream again"
shard -n 4 -o 'x-%02d.toks.zst' all.toks.zst
ls x-*
shard x-*.toks.zst | tok -d --columns key,label,ids >merged
tok -d --columns key,label,ids all.toks.zst | cmp - merged && echo "the same records"

echo "== three folds: the parts held out are the whole"
for k in 1 2 3; do shard --fold $k/3 all.toks.zst | tok -d --columns key -; done | sort -n | uniq | wc -l |
    tr -d ' '

echo "== shuffled with a seed: the first keys"
shard --shuffle --seed 1 all.toks.zst | tok -d --columns key | head -n 5 | paste -sd ' ' -
shard --shuffle --seed 1 all.toks.zst | shard --sample 5 | tok -d --columns key | paste -sd ' ' -
