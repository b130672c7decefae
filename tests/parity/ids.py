#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the library's ids with those of Hugging Face `tokenizers` (0.23.3 is the judge).

    python3 tests/parity/ids.py BIN TOOLS [PART...]

TOOLS has the program made from tests/parity/encode.c; the data are in ../shared/data beside
the repository.  Parts: hash points text random rules input decode (all without one).
PARITY_QUICK=1 takes a tenth of the 100,000 random texts for each tokenizer.
"""
import functools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import tokenizers
from tokenizers import (AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors)

DRIVER = os.path.join(sys.argv[2], "encode")
DATA = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../shared/data"))
PARTS = sys.argv[3:] or ["hash", "points", "text", "random", "rules", "input", "decode"]
MANY = 10000 if os.environ.get("PARITY_QUICK") else 100000
passed = failed = 0


def frames(texts):
    return b"".join(struct.pack("=I", len(t)) + t for t in texts)


def unframe(data, unit):
    at = 0
    while at < len(data):
        n, = struct.unpack_from("=I", data, at)
        step = unit(n)
        yield data[at + 4:at + 4 + step]
        at += 4 + step


def run(directory, data, *args):
    return subprocess.run([DRIVER, directory, *args], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def ours(directory, texts, *args):
    """Ids and word starts of each text."""
    out, at = run(directory, frames([t.encode() for t in texts]), *args), 0
    result = []
    while at < len(out):
        n, = struct.unpack_from("=I", out, at)
        ids = struct.unpack_from(f"={n}I", out, at + 4)
        at += 8 + 4 * n
        result.append((list(ids), list(out[at:at + n])))
        at += n
    return result


def theirs(tokenizer, texts):
    result = []
    for e in tokenizer.encode_batch(texts, add_special_tokens=False):
        words = e.word_ids
        result.append((e.ids, [int(i == 0 or w != words[i - 1]) for i, w in enumerate(words)]))
    return result


def report(what, bad, n):
    global passed, failed
    failed += bool(bad)
    passed += not bad
    print(f"{'not ok' if bad else 'ok'} - {what}: {n} compared, {len(bad)} differ", flush=True)
    for b in bad[:5]:
        print("#  ", *b)


def compare(what, directory, tokenizer, texts, *args):
    bad = []
    got, want = ours(directory, texts, *args), theirs(tokenizer, texts)
    assert len(got) == len(want)
    for t, g, w in zip(texts, got, want):
        if g != w:
            bad.append((ascii(t[:200]), "ours", g if len(t) < 40 else "", "theirs",
                        w if len(t) < 40 else ""))
    report(what, bad, len(texts))


# ---- the tokenizers ----

def bert_tokenizer(vocab, lower):
    t = Tokenizer(models.WordPiece.from_file(vocab, unk_token="[UNK]",
                                             max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens(["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"])
    sep, cls = t.token_to_id("[SEP]"), t.token_to_id("[CLS]")
    t.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    t.decoder = decoders.WordPiece()
    return t


def roberta_tokenizer(directory):
    t = Tokenizer(models.BPE.from_file(directory + "/vocab.json", directory + "/merges.txt"))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.add_special_tokens(["<s>", "</s>", "<unk>", "<pad>",
                          AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")),
                                                    ("<s>", t.token_to_id("<s>")),
                                                    add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    return t


def plain(path):
    t = Tokenizer.from_file(path)
    t.no_truncation()
    t.no_padding()
    return t


def make_all(work):
    """name, directory, reference"""
    def directory(name, **files):
        d = os.path.join(work, name)
        os.mkdir(d)
        for to, source in files.items():
            shutil.copy(os.path.join(DATA, source), os.path.join(d, to.replace("_", ".", 1)))
        return d

    def settings(d, **values):
        with open(os.path.join(d, "tokenizer_config.json"), "w") as f:
            json.dump(values, f)
        return d

    minilm, base = DATA + "/models/minilm-l6", DATA + "/models/roberta-base"
    yield "minilm", minilm, plain(minilm + "/tokenizer.json")
    yield "roberta", base, plain(base + "/tokenizer.json")
    d = directory("uncased", vocab_txt="vocab/bert-base-uncased.txt")
    yield "uncased, vocab.txt", d, bert_tokenizer(d + "/vocab.txt", True)
    d = settings(directory("cased", vocab_txt="vocab/bert-base-uncased.txt"),
                 do_lower_case=False)
    yield "cased, vocab.txt", d, bert_tokenizer(d + "/vocab.txt", False)
    d = directory("chinese", vocab_txt="vocab/bert-base-chinese.txt")
    yield "chinese, vocab.txt", d, bert_tokenizer(d + "/vocab.txt", True)
    d = directory("roberta-files", vocab_json="models/roberta-base/vocab.json",
                  merges_txt="models/roberta-base/merges.txt")
    yield "roberta, vocab.json", d, roberta_tokenizer(d)
    d = directory("byte-bpe", vocab_json="vocab/byte-bpe-52000-vocab.json",
                  merges_txt="vocab/byte-bpe-52000-merges.txt")
    yield "byte-bpe-52000", d, roberta_tokenizer(d)


def hashes(sets):
    of = {name: run(d, b"", "--hash").split()[1] for name, d, _ in sets}
    for a, b in (("minilm", "uncased, vocab.txt"), ("roberta", "roberta, vocab.json")):
        report(f"hash of {a} and {b}", [] if of[a] == of[b] else [(of[a], of[b])], 1)
    report("hashes of others", [] if len(set(of.values())) == len(of) - 2 else [(of,)], 1)


# ---- texts ----

POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def points(name, d, t):
    compare(f"{name}: every code point alone", d, t, POINTS)
    rows = [POINTS[i:i + 64] for i in range(0, len(POINTS), 64)]
    compare(f"{name}: between letters", d, t, [" ".join(f"a{c}b" for c in r) for r in rows])
    compare(f"{name}: in a row", d, t, ["".join(r) for r in rows])
    compare(f"{name}: in long rows", d, t,
            ["".join(POINTS[i:i + 3000]) for i in range(0, len(POINTS), 3000)] +
            ["".join(random.Random(i).choices(POINTS[0x300:0x30000], k=3000))
             for i in range(100)])
    compare(f"{name}: behind a capital and a mark", d, t,
            ["".join(f"E\u0301{c} {c}\u0323\u0301" for c in r) for r in rows])


def corpus():
    import csv
    texts = []
    with open(DATA + "/agnews/part1.csv", encoding="utf-8", newline="") as f:
        for row in csv.reader(f):
            texts += row[1:]
    for name in ("in_domain_train", "in_domain_dev", "out_of_domain_dev"):
        with open(f"{DATA}/cola/{name}.tsv", encoding="utf-8") as f:
            texts += [line.split("\t")[3] for line in f.read().split("\n") if line]
    for i in range(0, 2000, 20):
        texts.append("\n".join(texts[i:i + 20]))
    return texts


POOLS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", " \t\n\r", "   ", "'", "\u2019\u2018\u201c\u201d",
    "\x00\x01\x0b\x0c\x1c\x1f\x7f\x85\xa0\xad\u200b\u200d\ufeff\ufffd\u2028\u2029\u3000",
    "\u0301\u0300\u0323\u0327\u0308\u0345\u0334\u3099\u0f71\u0f72\u1dce\U0001d165",
    "éèêëàâäùûüîïôöçñßÉÈÊËÀÂÄİıſǅ", "αβγδεζηθάέήίόύώΑΒΓΣς", "абвгдежзийклёЁЙ",
    "中文字符汉語龍㐀豈更車", "\U00020000\U0002b820\U0002b91f\U0002b920\U0002f800", "ひらがなカタカナガぱｱﾞ",
    "한국어힣가각\u1100\u1161\u11a8", "אבגדהوزحطي\u064e\u0651", "กขคงिीकखगड़",
    "\U0001f600\U0001f971\U0001f91f\U0001f468\u200d\U0001f469\ufe0f\U0001f1e9\U0001f1ea",
    "٠١٢³½Ⅷ①", "€£¥§©®™±×÷→∞≠", "\ue000\uf8ff\u0378\U000e0001\U0010fffd\ufdd0",
    "\u1e9e\ufb01\uff21\u212b\u2126\u1e69\ua7ce\U00016ea0\U0001e922",
]
LITERALS = ["[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>",
            "<unk>", "[sep]", "[SEP", "SEP]", "<mask", "##ing", "##", "don't", "we'll", "I'VE",
            "'s", "'re", " 's", "  ", "\n\n", "http://x.y/z?q=1", "U.S.A.", "<|endoftext|>"]


def nasty(rng):
    out = []
    for _ in range(rng.randint(0, 12)):
        kind = rng.random()
        if kind < 0.15:
            out.append(rng.choice(LITERALS))
        elif kind < 0.2:
            out.append(rng.choice(rng.choice(POOLS)) * rng.choice((2, 3, 24, 25, 99, 100, 101)))
        elif kind < 0.25:
            out.append("".join(chr(rng.choice((rng.randrange(0x250), rng.randrange(0x3000),
                                               rng.randrange(0xd800),
                                               rng.randrange(0xe000, 0x110000))))
                               for _ in range(rng.randint(1, 6))))
        elif kind < 0.6:
            pool = rng.choice(POOLS)
            out.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 14))))
        else:
            pools = [rng.choice(POOLS) for _ in range(3)]
            out.append("".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 14))))
        if rng.random() < 0.4:
            out.append(" " * rng.choice((1, 1, 1, 2, 3)))
    return "".join(out)


@functools.lru_cache
def nasties(n, seed):
    rng = random.Random(seed)
    return [nasty(rng) for _ in range(n)]


# ---- rules that the real tokenizers do not have ----

def rule_sets(work):
    base = json.load(open(DATA + "/models/minilm-l6/tokenizer.json"))
    vocab = base["model"]["vocab"]
    roberta = json.load(open(DATA + "/models/roberta-base/tokenizer.json"))["model"]

    def word(normalizer, pre, added=()):
        t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
        if normalizer:
            t.normalizer = normalizer
        if pre:
            t.pre_tokenizer = pre
        t.add_special_tokens(["[UNK]", "[SEP]", "[CLS]"])
        t.add_tokens(list(added))
        return t

    def byte(pre, normalizer=None, added=(), **options):
        merges = [tuple(m.split(" ")) for m in roberta["merges"]]
        t = Tokenizer(models.BPE(roberta["vocab"], merges, **options))
        t.pre_tokenizer = pre
        if normalizer:
            t.normalizer = normalizer
        t.add_tokens(list(added))
        return t

    n, p = normalizers, pre_tokenizers
    flags = [AddedToken("ab", single_word=True), AddedToken("é!", normalized=True),
             AddedToken("12", lstrip=True, rstrip=True), AddedToken("Ö", normalized=True),
             AddedToken("[sep]", rstrip=True, normalized=False), AddedToken("'", single_word=True),
             AddedToken("  ", normalized=False), AddedToken("中", lstrip=True, normalized=True),
             AddedToken("zz", special=True, normalized=True), AddedToken("z", rstrip=True)]
    sets = {
        "added, BERT": word(n.BertNormalizer(), p.BertPreTokenizer(), flags),
        "added, cased": word(n.BertNormalizer(lowercase=False), p.BertPreTokenizer(), flags),
        "added, bytes": byte(p.ByteLevel(add_prefix_space=True), None, flags),
        "no cleaning": word(n.BertNormalizer(clean_text=False), p.BertPreTokenizer()),
        "no CJK": word(n.BertNormalizer(handle_chinese_chars=False), p.BertPreTokenizer()),
        "accents kept": word(n.BertNormalizer(strip_accents=False), p.BertPreTokenizer()),
        "accents off, cased": word(n.BertNormalizer(strip_accents=True, lowercase=False),
                                   p.BertPreTokenizer()),
        "NFD, marks, lower": word(n.Sequence([n.NFD(), n.StripAccents(), n.Lowercase()]),
                                  p.Whitespace()),
        "NFC": word(n.Sequence([n.NFC(), n.Lowercase()]), p.BertPreTokenizer()),
        "bytes, NFC": byte(p.ByteLevel(add_prefix_space=False), n.NFC()),
        "bytes, NFD": byte(p.ByteLevel(add_prefix_space=False), n.NFD()),
        "WhitespaceSplit": word(n.Lowercase(), p.WhitespaceSplit()),
        "Punctuation, Digits": word(n.Lowercase(), p.Sequence(
            [p.WhitespaceSplit(), p.Punctuation(), p.Digits(individual_digits=True)])),
        "Digits in runs": word(n.Lowercase(), p.Sequence([p.Whitespace(), p.Digits()])),
        "no pre-tokenizer": word(n.Lowercase(), None),
        "bytes, Digits": byte(p.Sequence([p.Digits(individual_digits=True),
                                          p.ByteLevel(add_prefix_space=False)])),
        "bytes, prefix": byte(p.ByteLevel(add_prefix_space=True)),
        "bytes, no regex": byte(p.ByteLevel(add_prefix_space=True, use_regex=False)),
        "bytes, words": byte(p.Sequence([p.WhitespaceSplit(),
                                         p.ByteLevel(add_prefix_space=True)])),
        "ignore_merges": byte(p.ByteLevel(add_prefix_space=False), ignore_merges=True),
        "few bytes": tiny_bpe(),
        "few bytes, unk": tiny_bpe(unk_token="<unk>"),
        "few bytes, fused": tiny_bpe(unk_token="<unk>", fuse_unk=True),
    }
    for name, t in sets.items():
        d = os.path.join(work, name.replace(" ", "-"))
        os.mkdir(d)
        t.save(d + "/tokenizer.json")
        yield name, d, t


def tiny_bpe(**options):
    vocab = {"<unk>": 0}
    for token in ["a", "b", "c", "Ġ", "!", "ab", "abc", "Ġa", "bc", "aa", "aaa", "Ã", "©"]:
        vocab[token] = len(vocab)
    merges = [("a", "a"), ("b", "c"), ("a", "b"), ("aa", "a"), ("a", "bc"), ("Ġ", "a")]
    t = Tokenizer(models.BPE(vocab, merges, **options))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return t


# ---- whole inputs and decoding ----

def inputs(name, d, t, texts, rng):
    for limit, side in [(0, "right")] + [(n, s) for n in (5, 6, 7, 16, 17, 64, 509, 512)
                                         for s in ("right", "left")]:
        pairs = [(a, rng.choice((None, b))) for a, b in zip(texts, reversed(texts))]
        if limit:
            t.enable_truncation(limit, strategy="longest_first", direction=side)
        data = b"".join(frames([a.encode(), b"\xff" if b is None else b.encode()])
                        for a, b in pairs)
        out = list(unframe(run(d, data, "--input", str(limit), *(["tail"] if side == "left" else [])),
                           lambda n: 4 * n))
        bad = []
        for i, (a, b) in enumerate(pairs):
            e = t.encode(a) if b is None else t.encode(a, b)
            got = [list(struct.unpack(f"={len(x) // 4}i", x)) for x in out[2 * i:2 * i + 2]]
            if got != [e.ids, e.type_ids]:
                bad.append((ascii(a[:60]), ascii(b and b[:60]), got, e.ids, e.type_ids))
        report(f"{name}: whole inputs of {limit or 'any length'}"
               f"{', cut on the left' if side == 'left' else ''}", bad, len(pairs))
    t.no_truncation()


def decoding(name, d, t, texts, rng):
    lists = [t.encode(x).ids for x in texts]
    size = t.get_vocab_size()
    lists += [[rng.randrange(size + 3) for _ in range(rng.randint(0, 9))] for _ in range(5000)]
    data = b"".join(struct.pack(f"={len(x) + 1}I", len(x), *x) for x in lists)
    for skip in (False, True):
        out = list(unframe(run(d, data, "--decode", *(["--skip"] if skip else [])),
                           lambda n: n))
        bad = [(x[:20], ascii(g.decode()), ascii(w)) for x, g, w in
               ((x, g, t.decode(x, skip_special_tokens=skip)) for x, g in zip(lists, out))
               if g.decode() != w]
        report(f"{name}: decoding{', specials left out' if skip else ''}", bad, len(lists))


def main():
    rng = random.Random(1)
    print("# tokenizers", tokenizers.__version__)
    if not os.path.isdir(DATA):
        print("# skipped: no", DATA)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    with tempfile.TemporaryDirectory() as work:
        sets = list(make_all(work))
        if "hash" in PARTS:
            hashes(sets)
        texts = corpus() if {"text", "input", "decode"} & set(PARTS) else []
        for name, d, t in sets:
            if "points" in PARTS:
                points(name, d, t)
            if "text" in PARTS:
                compare(f"{name}: CoLA and AG News", d, t, texts)
            if "random" in PARTS:
                compare(f"{name}: random texts", d, t, nasties(MANY, 7))
            if "input" in PARTS:
                inputs(name, d, t, texts[:1000] + nasties(1000, 9) + texts[-100:], rng)
            if "decode" in PARTS:
                decoding(name, d, t, texts[:3000] + nasties(3000, 11), rng)
        if "rules" in PARTS:
            for name, d, t in rule_sets(work):
                compare(f"rules, {name}: random texts", d, t, nasties(6000, 13))
                t.encode_special_tokens = True
                compare(f"rules, {name}: specials as text", d, t, nasties(2000, 17), "--plain")
                t.encode_special_tokens = False
                decoding(f"rules, {name}", d, t, nasties(500, 19), rng)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
