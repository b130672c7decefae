# SPDX-License-Identifier: MIT
"""SentencePiece models without tokenizer.json, trained on the spot, against what transformers makes
of the same directory (where its class and its converter differ, the converter), and against the
sentencepiece package itself."""
import importlib, json, os, subprocess, sys, tempfile
from types import SimpleNamespace

import sentencepiece
from tokenizers import AddedToken
from transformers import AutoTokenizer

converters = importlib.import_module("transformers.convert_slow_tokenizer")
BIN = sys.argv[1]
passed = failed = 0
# Some of normalization, blanks, scripts, numbers, unknown characters and specials.
HARD = ["Über Café naïve Zoë ﬁn ①", "In 1984 it cost 3,500 or 1,2, euros!", "你好 世界", "don't ``can't'' we'll",
        " leading", "two  blanks", "tab\tand\u00a0nbsp\u3000ideographic", "e\u0301 A\u030a ½ Ｆｕｌｌ", "😀 smile 👩‍👩‍👧",
        "[CLS] a [SEP]", "<s>a</s>", "a <mask> b", "x [MASK] y", "<unk><pad>", "", "▁lower ▁▁ one", "1,", "a,1,"]


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {detail}"))


def run(*command, **more):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, **more).stdout


def corpus(path):
    grammar = os.path.join(os.path.dirname(__file__), "..", "..", "pipelines", "grammar.awk")
    lines = run("awk", "-v", "n=3000", "-v", "seed=9", "-v", "good=1", "-f", grammar).decode().splitlines()
    with open(path, "w", encoding="utf-8") as f:
        for i, line in enumerate(lines):
            f.write(line.capitalize() + "\n" + (HARD[i % 8] if i % 5 == 0 else line) + "\n")


class Extractor:
    """Merges for the converters: the class of transformers 5.23 does not take what they hand it."""

    def __init__(self, path):
        pass

    def extract(self, scores):
        return None, converters.generate_merges({piece: i for i, (piece, _) in enumerate(scores)}, scores)


def converted(name, path, settings):
    converters.SpmConverter.SpmExtractor = Extractor
    ids = sentencepiece.SentencePieceProcessor(model_file=path).piece_to_id
    slow = SimpleNamespace(vocab_file=path, convert_tokens_to_ids=ids, keep_accents=settings.get("keep_accents", True),
                           do_lower_case=settings.get("do_lower_case", False),
                           split_by_punct=settings.get("split_by_punct", False))
    tokenizer = getattr(converters, name + "Converter")(slow).converted()
    # Which the class adds: the mask, of most with the blanks before it.
    tokenizer.add_special_tokens([AddedToken("[MASK]", normalized=False, lstrip=name != "DebertaV2")])
    return tokenizer


def ours(folder, text, *options):
    stream = run(f"{BIN}/tok", "-m", folder, "--format", "text", text)
    return run(f"{BIN}/tok", "-d", "--ids", *options, input=stream).decode().split("\n")[:-1]


BERT = dict(pad_id=0, unk_id=1, bos_id=2, bos_piece="[CLS]", eos_id=3, eos_piece="[SEP]", user_defined_symbols="[MASK]")
MODELS = {  # what they are trained with
    "fairseq": {},
    "albert": BERT,
    "plain": dict(BERT, normalization_rule_name="identity"),
    "deberta": dict(pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]", unk_id=3,
                    unk_piece="[UNK]"),
    "t5": dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
    "bpe": dict(BERT, model_type="bpe"),
}
CASES = [  # file, class, model type, its settings, judged by the converter
    ("sentencepiece.bpe.model", "XLMRoberta", "xlm-roberta", "fairseq", {}, False),
    ("sentencepiece.bpe.model", "Camembert", "camembert", "fairseq", {}, False),
    ("spiece.model", "Albert", "albert", "albert", {}, False),
    ("spiece.model", "Albert", "albert", "plain", {"do_lower_case": False, "keep_accents": True}, False),
    ("spiece.model", "T5", "t5", "t5", {}, False),
    ("spiece.model", "T5", "t5", "t5", {"extra_ids": 3}, False),
    ("spm.model", "DebertaV2", "deberta-v2", "deberta", {}, True),
    ("spm.model", "DebertaV2", "deberta-v2", "deberta", {"do_lower_case": True, "split_by_punct": True}, True),
    ("spiece.model", "RemBert", "rembert", "albert", {}, True),
    ("spiece.model", "RemBert", "rembert", "albert", {"do_lower_case": True, "keep_accents": False}, True),
    ("spiece.model", "BigBird", "big_bird", "albert", {}, True),
    ("spiece.model", "BigBird", "big_bird", "bpe", {}, True),
]

with tempfile.TemporaryDirectory() as folder:
    text, hard = f"{folder}/text", f"{folder}/hard"
    corpus(text)
    with open(hard, "w", encoding="utf-8") as f:
        f.write("\n".join(HARD) + "\n")
    for name, settings in MODELS.items():
        sentencepiece.SentencePieceTrainer.train(input=text, model_prefix=f"{folder}/{name}", minloglevel=2, num_threads=1,
                                                 **{"vocab_size": 260, "hard_vocab_limit": False, **settings})
    plain = open(text, encoding="utf-8").read().splitlines()
    for number, (file, kind, family, model, settings, convert) in enumerate(CASES):
        out = f"{folder}/{number}"
        os.mkdir(out)
        os.link(f"{folder}/{model}.model", f"{out}/{file}")
        with open(f"{out}/tokenizer_config.json", "w") as f:
            json.dump({"tokenizer_class": kind + "Tokenizer", **settings}, f)
        with open(f"{out}/config.json", "w") as f:
            json.dump({"model_type": family}, f)
        judge = converted(kind, f"{out}/{file}", settings) if convert else AutoTokenizer.from_pretrained(out).backend_tokenizer
        judge.no_truncation(), judge.no_padding()
        for what, path, lines in ("text", text, plain), ("hard", hard, HARD):
            if convert and what == "hard":  # which knows no special tokens but the file's
                lines = [line if not any(t in line for t in ("<unk>", "<mask>", "<s>")) else "" for line in lines]
                with open(f"{out}/hard", "w", encoding="utf-8") as f:
                    f.write("\n".join(lines) + "\n")
                path = f"{out}/hard"
            for special in (False, True):
                mine = ours(out, path, *(["--special"] if special else []))
                want = [" ".join(map(str, e.ids)) for e in judge.encode_batch(lines, add_special_tokens=special)]
                bad = [(l, a, b) for l, a, b in zip(lines, mine, want) if a != b]
                check(f"{kind} ({model}) {settings}, {what}, specials {special}", len(mine) == len(want) and not bad, bad[:2])
    own = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/fairseq.model")
    # Ids of the package, with fairseq's offset of one and its unknown token.
    want = [" ".join(str(i + 1 if i else 3) for i in own.encode(line)) for line in plain]
    same = sum(a == b for a, b in zip(ours(f"{folder}/0", text), want))
    check("XLMRoberta: the sentencepiece package's own ids", same == len(want), f"{same} of {len(want)}")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
