# SPDX-License-Identifier: MIT
# Read by the examples: makes ./base, a vocabulary of 200 tokens and the config of a BERT so
# small that it trains in a second.  It has no weights: --init makes them.
here=$(cd "$(dirname "$0")" && pwd)
[ -d base ] || vocab -q --size 200 --text 2 -o base "$here/tiny.tsv"
cat >base/config.json <<'CONFIG'
{"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 200,
 "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
 "max_position_embeddings": 64, "type_vocab_size": 2, "hidden_act": "gelu",
 "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
 "initializer_range": 0.02, "pad_token_id": 0}
CONFIG
