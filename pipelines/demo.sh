#!/bin/sh
# SPDX-License-Identifier: MIT
# demo: from nothing to a scored classifier, without network.
#
# A grammar makes the corpus; vocab learns a tokenizer; mlm-pretrain teaches a small BERT the
# language; finetune teaches it to tell good sentences from broken ones; score and mcc say how
# well it does on sentences that it has never seen.  `make demo` runs it in a fresh folder.
#   DEMO_DIR   where everything is put [a temporary directory, removed at the end]
#   DEMO_LINES sentences for pretraining [30000]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lines=${DEMO_LINES:-30000}
if [ -n "${DEMO_DIR-}" ]; then
    mkdir -p "$DEMO_DIR"
    cd "$DEMO_DIR"
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cd "$work"
fi
say() { printf '\n== %s\n' "$*"; }
begin=$(date +%s)

say "corpus: $lines sentences, 20000 with labels, 2000 to be scored"
awk -v n="$lines" -v seed=1 -v good=1 -f "$here/grammar.awk" >text.txt
awk -v n=20000 -v seed=2 -f "$here/grammar.awk" >train.tsv
awk -v n=2000 -v seed=3 -f "$here/grammar.awk" >test.tsv
sed -n 1,5p train.tsv

say "vocab: a WordPiece vocabulary"
vocab --size 400 -o base text.txt
cat >base/config.json <<CONFIG
{"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": $(wc -l <base/vocab.txt),
 "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512,
 "max_position_embeddings": 64, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
 "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02,
 "pad_token_id": 0}
CONFIG

say "mlm-pretrain: a small BERT from scratch"
tok -m base text.txt |
    mlm-pretrain -m base --init --block 64 --batch 64 --accum 1 --lr 2e-3 --warmup 10% \
        --epochs 3 --dropout 0 --eval 2% -o pretrained >/dev/null

say "finetune: good or broken?"
tok -m base --label 1 --text 2 train.tsv |
    finetune -m pretrained --lr 5e-4 --batch 32 --epochs 4 --warmup 10% --eval 5% \
        --log log.jsonl -o judge

say "score and mcc: 2000 sentences that it has not seen"
tok -m judge --label 1 --text 2 test.tsv | score -m judge >scores.tsv
majority=$(cut -f1 test.tsv | sort | uniq -c | sort -rn | awk 'NR == 1 {printf "%.3f", $1 / 2000}')
mcc scores.tsv
printf '\nMCC %.3f; always saying the more frequent class: MCC 0.000, accuracy %s\n' \
    "$(mcc --metric mcc scores.tsv)" "$majority"

say "learning curve"
awk -f "$here/curve.awk" log.jsonl
printf '\ndemo: %d seconds\n' $(($(date +%s) - begin))
