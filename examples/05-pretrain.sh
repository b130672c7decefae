#!/bin/sh
# SPDX-License-Identifier: MIT
# Further pretraining and fine-tuning in one pipe: mlm-pretrain passes the stream on, its end
# only when the model is whole, and finetune opens that model then.
set -eu
. "$(dirname "$0")/base.sh"

tok -m base "$here/tiny.tsv" |
    mlm-pretrain -q -m base --init --epochs 20 --batch 8 --accum 1 --lr 3e-3 --block 32 \
        --log log.jsonl -o itpt |
    finetune -q -m itpt --epochs 2 -o cls
ls itpt cls

echo "== what was learnt: the loss of the first and of the last step"
awk -F '"loss":' '/"event":"step"/ {split($2, a, ","); if (!n++) first = a[1]; last = a[1]}
    END {print n " steps"; print (last < first ? "smaller" : "not smaller")}' log.jsonl

echo "== a tool that fails in the middle: nothing is published, without pipefail"
{ tok -m base "$here/tiny.tsv" | head -c 400; } |
    mlm-pretrain -qq -m base --init -o none | finetune -qq -m none -o none2 || echo "failed"
ls -d none* 2>/dev/null || echo "no directory"
