# SPDX-License-Identifier: MIT
"""Models and texts for the benchmarks on a GPU, made on the spot: nothing is downloaded.

Models have the shapes of the field's, a vocabulary of made-up words and random weights.  Every word is one
token, so that a text's length is known; words are drawn about as unevenly as those of real text, because an
update that skips words which never occurred would otherwise look too slow.
"""
import functools, json, os, random, subprocess

# How many of CoLA's 8,551 training sentences have so many tokens (bert-base-uncased, without specials).
COLA = {2: 7, 3: 129, 4: 310, 5: 649, 6: 979, 7: 1154, 8: 1129, 9: 916, 10: 797, 11: 574, 12: 453, 13: 334, 14: 235,
        15: 182, 16: 145, 17: 124, 18: 96, 19: 66, 20: 67, 21: 66, 22: 41, 23: 26, 24: 21, 25: 17, 26: 6, 27: 8, 28: 6,
        29: 1, 30: 8, 31: 1, 33: 1, 35: 1, 38: 1, 45: 1}

SHAPES = {"bert-base": dict(kind="bert", layers=12, width=768, words=30522),
          "bert-large": dict(kind="bert", layers=24, width=1024, words=30522),
          "roberta-base": dict(kind="roberta", layers=12, width=768, words=50265)}
TINY = {"bert-base": dict(kind="bert", layers=2, width=64, words=600),
        "bert-large": dict(kind="bert", layers=3, width=64, words=600),
        "roberta-base": dict(kind="roberta", layers=2, width=64, words=1000)}


@functools.lru_cache(maxsize=None)
def word(n):
    """The n-th word: a, b, ... z, aa, ab, ..."""
    text, n = "", n + 1
    while n > 0:
        n, letter = divmod(n - 1, 26)
        text = chr(97 + letter) + text
    return text


def byte_symbols():
    """The characters that stand for the 256 bytes in byte-level BPE vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(text if isinstance(text, str) else json.dumps(text, indent=1))


def write_bert(folder, size):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [word(n) for n in range(size - 5)]
    write(folder, "vocab.txt", "\n".join(words) + "\n")
    write(folder, "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True,
                                            "model_max_length": 512})
    return 5, size


def write_roberta(folder, size):
    """Words as merges, each of a shorter word with a letter; a blank (Ġ) begins all of them."""
    symbols = ["<s>", "<pad>", "</s>", "<unk>"] + byte_symbols()
    first, merges = len(symbols), []
    for n in range(size - first - 1):
        text = "Ġ" + word(n)
        merges.append(f"{text[:-1]} {text[-1]}")
        symbols.append(text)
    write(folder, "vocab.json", {s: i for i, s in enumerate(symbols + ["<mask>"])})
    write(folder, "merges.txt", "#version: 0.2\n" + "\n".join(merges) + "\n")
    write(folder, "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512})
    return first, size - 1


def write_model(folder, shape):
    """A directory with config and tokenizer; returns the ids of its words, first and behind the last."""
    os.makedirs(folder, exist_ok=True)
    roberta = shape["kind"] == "roberta"
    words = (write_roberta if roberta else write_bert)(folder, shape["words"])
    write(folder, "config.json", {
        "model_type": shape["kind"], "architectures": ["RobertaForMaskedLM" if roberta else "BertForMaskedLM"],
        "vocab_size": shape["words"], "hidden_size": shape["width"], "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["width"] // 64, "intermediate_size": 4 * shape["width"], "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02,
        "max_position_embeddings": 514 if roberta else 512, "type_vocab_size": 1 if roberta else 2,
        "layer_norm_eps": 1e-5 if roberta else 1e-12, "pad_token_id": 1 if roberta else 0,
        "bos_token_id": 0 if roberta else None, "eos_token_id": 2 if roberta else None})
    return words


def cola_lengths(n, seed=1):
    """n lengths as CoLA has them, without specials."""
    drawn = random.Random(seed)
    return drawn.choices(list(COLA), weights=list(COLA.values()), k=n)


def records(lengths, words, seed=1):
    """(label, numbers of words) for each length."""
    drawn, n = random.Random(seed), words[1] - words[0]
    return [(drawn.randrange(2), [int(n ** drawn.random()) - 1 for _ in range(length)]) for length in lengths]


def write_stream(bin_dir, model, rows, path):
    """The token stream of the records, made by tok."""
    text = path + ".tsv"
    with open(text, "w", encoding="ascii") as f:
        for label, numbers in rows:
            # The blank in front makes the first word one token of byte-level BPE too.
            f.write(f"{label}\t {' '.join(word(n) for n in numbers)}\n")
    subprocess.run([f"{bin_dir}/tok", "-q", "-m", model, "--header", "no", "--label", "1", "--text", "2", "-o", path, text],
                   check=True)
    os.unlink(text)


def inputs(rows, words, kind):
    """The ids that a model gets, specials included."""
    start, end = (0, 2) if kind == "roberta" else (2, 3)
    return [(label, [start, *(words[0] + n for n in numbers), end]) for label, numbers in rows]


def train_tflop(shape, lengths, scored=0):
    """10^12 operations of a training step on sequences of these lengths (specials included).

    Matrix products alone, forward and twice that backward: 6 P a token, with P = 12 L h² the weights of the
    layers; attention 12 L h s for each of the s tokens of a sequence; the masked-LM head 6 (h² + h V) for each
    token that is scored.
    """
    layers, width = shape["layers"], shape["width"]
    flop = 6 * 12 * layers * width * width * sum(lengths) + 12 * layers * width * sum(n * n for n in lengths)
    return 1e-12 * (flop + 6 * scored * (width * width + width * shape["words"]))
