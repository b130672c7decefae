#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# parity: library
"""Makes tests/golden/tokenizer/ from Hugging Face `tokenizers`: small tokenizers, the ids they
give to hard texts, and hashes of what normalizers and pre-tokenizers do to every code point.

    python3 tests/parity/golden_ids.py          (tokenizers 0.23.3; needs libxxhash)
"""
import ctypes
import ctypes.util
import json
import os
import random

import charsmaps
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors)

OUT = os.path.join(os.path.dirname(__file__), "../golden/tokenizer")
n, p = normalizers, pre_tokenizers

WORDS = ("the un aff able friend ship play ing ed s ' t re don can not won ca na naive i o "
         "москва при вет 中 文 é ü ﬁ ss 1 12 2024 ( ) , . ! ? - _ $ # @ [ ] { } < > / \\ \" : ;").split()
MERGES = ("Ġ t|h e|Ġt he|i n|in g|Ġ a|a n|n d|an d|Ġa nd|o n|r e|e r|Ġ 1|1 2|Ġ Ġ|ĠĠ ĠĠ|' s|d o|do n|"
          "' t|l l|a a|aa aa|Ð ¼|Ð ¾|Ġ Ð|ä ¸|ä¸ Ń|Ã ©|ð Ł|ĉ ĉ|Ċ Ċ|! !|. .|.. .").split("|")
PIECES = ["the", "The", "unaffable", "friendships", "don't", "DON'T", "we'll", "'s", "''re", " ",
          "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", "12", "2024", "١٢", "½", "naïve", "NAI\u0308VE",
          "Москва", "привет", "中文", "中 文", "한국어", "İstanbul", "ß", "ﬁ", "e\u0301", "\u0301\u0323",
          "\u0323\u0301", "\U0001d165\u0301", "\u200b", "\u200d", "\xad", "\xa0", "\u3000", "\u2028", "\x85",
          "\x00", "\x01", "\x0b", "\x1f", "\x7f", "\ufffd", "\ufeff", "\U0001f600", "\U0001f468\u200d\U0001f469",
          "\u20ac", "$", "...", "!!", "?!", "_", "[SEP]", "[MASK]", "[sep]", "[SE", "<s>", "<mask>",
          " <mask>", "</s>", "ab", "zz", "é!", "Ö", "##ing", "##", "aaaa", "a" * 24, "a" * 25, "a" * 99,
          "a" * 100, "a" * 101, "é" * 100, "é" * 101, "the" * 20, "\U0002b820", "\U0002b920", "\uf900",
          "\u0378", "\ue000", "\U0010fffd", "Ǆ", "Σ", "ς", "ΑΣ", "\u1e9e", "\u212b", "\ua7ce"]


def save(name, t, files=()):
    d = os.path.join(OUT, name)
    os.makedirs(d, exist_ok=True)
    with open(os.path.join(d, "tokenizer.json"), "w", encoding="utf-8") as f:
        f.write(t.to_str(pretty=False))
    if files:
        d += "-files"
        os.makedirs(d, exist_ok=True)
        for file, text in files:
            with open(os.path.join(d, file), "w", encoding="utf-8") as f:
                f.write(text)


def wordpiece(added=(), lower=True):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("абвгдежзиклмнопрстуфхцчшщьыя")
    tokens += letters + ["##" + x for x in letters]
    tokens += [w for w in WORDS + ["##" + w for w in WORDS] + ["The", "é", "##é", "##ё"]]
    tokens = list(dict.fromkeys(tokens))
    t = Tokenizer(models.WordPiece({x: i for i, x in enumerate(tokens)}, unk_token="[UNK]",
                                   max_input_chars_per_word=100))
    t.normalizer = n.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = p.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens(["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.add_tokens(list(added))
    return t, [("vocab.txt", "".join(x + "\n" for x in tokens))]


def byte_bpe(prefix=False, added=()):
    alphabet = sorted(p.ByteLevel.alphabet())
    merges = [tuple(m.split(" ")) for m in MERGES]
    tokens = ["<s>", "<pad>", "</s>", "<unk>"] + alphabet + [a + b for a, b in merges] + ["<mask>"]
    vocab = {x: i for i, x in enumerate(dict.fromkeys(tokens))}
    t = Tokenizer(models.BPE(vocab, merges))
    t.pre_tokenizer = p.ByteLevel(add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(["<s>", "</s>", "<unk>", "<pad>",
                          AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    t.add_tokens(list(added))
    return t, [("vocab.json", json.dumps(vocab)),
               ("merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))]


def charsmap():
    """A few rules; some remove, some go over several code points, some hide others."""
    return charsmaps.pack({"\u00a0": " ", "\t": " ", "\n": " ", "\u3000": " ", "\u2581": " ",
                           "\x01": "", "\x0b": "", "\u200b": " ", "ﬁ": "fi", "½": "1⁄2", "e": "e",
                           "e\u0301": "é", "É": "é", "\u0301": "", "한": "한!", "\u20ac": "EUR"})


def unigram(scheme="always", added=()):
    letters = "abcdefghijklmnopqrstuvwxyzTDNIVE'!?.,()/<>[]_⁄123é▁" + "".join("пр")
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("<mask>", 0.0)]
    pieces += [(c, -5.0 - i / 7) for i, c in enumerate(letters)]
    pieces += [("▁" + w, -3.0 - i / 3) for i, w in enumerate(WORDS)]
    pieces += [(w, -4.25 - i / 3) for i, w in enumerate(WORDS) if len(w) > 1]
    pieces += [("the", -2.9999999999999996), ("▁▁", -6.5), ("aaa", -6.0), ("aa", -4.0)]
    if scheme != "always":
        pieces += [(f"<0x{b:02X}>", -11.0 - b / 9) for b in range(256) if b != 0xd0]
    t = Tokenizer(models.Unigram(pieces, 0, scheme != "always"))
    t.normalizer = n.Sequence([n.Strip(), n.Precompiled(charsmap()),
                               n.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = p.Metaspace(prepend_scheme=scheme)
    t.decoder = decoders.Sequence([decoders.ByteFallback(),
                                   decoders.Metaspace(prepend_scheme=scheme)])
    t.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 1), ("</s>", 2)])
    t.add_tokens(list(added))
    return t


def char_bpe(suffix=None, **options):
    """Over characters: with bytes for strangers and marks for blanks, or with a suffix."""
    end = suffix or ""
    alphabet = [c + e for c in "abdefghilnorstv'▁!.é" for e in {"", end}]
    tokens = ["<unk>", "<s>"] + [f"<0x{b:02X}>" for b in range(256) if b != 0xd0] + alphabet
    merges = []
    for left, right in (("t", "h"), ("th", "e" + end), ("▁", "a"), ("i", "n"), ("n", "g" + end),
                        ("in", "g" + end), ("a", "a"), ("aa", "a"), ("▁", "the"),
                        ("'", "s" + end)):
        if left in tokens and right in tokens:
            merges.append((left, right))
            tokens.append(left + right)
    vocab = {x: i for i, x in enumerate(dict.fromkeys(tokens))}
    if suffix:
        options["end_of_word_suffix"] = suffix
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=not suffix,
                             **options))
    if suffix:
        t.pre_tokenizer = p.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)
        t.decoder = decoders.BPEDecoder(suffix=suffix)
    else:
        t.normalizer = n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")])
        t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                       decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<unk>", "<s>"])
    return t


def word_level():
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[UNK]"] + WORDS)},
                                   unk_token="[UNK]"))
    t.normalizer = n.Sequence([n.NFKC(), n.Lowercase()])
    t.pre_tokenizer = p.Sequence([p.Whitespace(), p.Punctuation("contiguous")])
    return t


FLAGS = [AddedToken("ab", single_word=True), AddedToken("é!", normalized=True),
         AddedToken("12", lstrip=True, rstrip=True, normalized=False),
         AddedToken("Ö", normalized=True), AddedToken("[sep]", rstrip=True, normalized=False),
         AddedToken("zz", special=True, normalized=True), AddedToken("z", rstrip=True)]


def cases(f, name, t, rng):
    texts = list(PIECES)
    for _ in range(80):
        texts.append("".join(rng.choice(PIECES) + rng.choice(("", "", " "))
                             for _ in range(rng.randint(2, 7))))
    for text in texts:
        e = t.encode(text, add_special_tokens=False)
        starts = "".join("1" if i == 0 or w != e.word_ids[i - 1] else "0"
                         for i, w in enumerate(e.word_ids))
        f.write("\t".join([name, text.encode().hex(), " ".join(map(str, e.ids)), starts,
                           t.decode(e.ids, skip_special_tokens=False).encode().hex()]) + "\n")


def points():
    """Those that are tried: all of the assigned planes, and some of the private ones."""
    yield from (c for c in range(0x323b0) if not 0xd800 <= c < 0xe000)
    yield from range(0xe0000, 0xe0200)
    yield from range(0x10fff0, 0x110000)


def unicode_hashes(f):
    xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    xxhash.XXH3_64bits.restype = ctypes.c_uint64
    xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

    def put(name, data):
        f.write(f"{name}\t{xxhash.XXH3_64bits(data, len(data)):016x}\n")

    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False,
               lowercase=False)
    for name, normalizer in {
            "bert": n.BertNormalizer(), "cased": n.BertNormalizer(lowercase=False),
            "accents": n.BertNormalizer(**{**off, "strip_accents": True}),
            "lower": n.Lowercase(), "nfd": n.NFD(), "nfc": n.NFC(),
            "marks": n.StripAccents(), "nfkd": n.NFKD(), "nfkc": n.NFKC(), "nmt": n.Nmt(),
            "spelled": n.ByteLevel()}.items():
        put(name, "".join(normalizer.normalize_str(f"a{s}\u0323\u0301{s}b") + "\n"
                          for s in map(chr, points())).encode())
    for name, pre in {
            "words-bert": p.BertPreTokenizer(), "words-space": p.WhitespaceSplit(),
            "words-words": p.Whitespace(), "words-punct": p.Punctuation(),
            "words-digits": p.Digits(), "words-digit": p.Digits(individual_digits=True),
            "words-gpt2": p.ByteLevel(add_prefix_space=False)}.items():
        data = []
        for s in map(chr, points()):
            text = f"a{s}b1{s} !{s}{s} {s}"
            data += [text[i:j] + "\0" for _, (i, j) in pre.pre_tokenize_str(text)] + ["\n"]
        put(name, "".join(data).encode())


def main():
    rng = random.Random(3)
    os.makedirs(OUT, exist_ok=True)
    with open(OUT + "/cases.tsv", "w") as f:
        for name, (t, files) in {"wordpiece": wordpiece(), "bpe": byte_bpe()}.items():
            save(name, t, files)
            cases(f, name, t, rng)
        for name, (t, _) in {"cased": wordpiece(lower=False), "flags": wordpiece(FLAGS),
                             "bytes": byte_bpe(True, FLAGS)}.items():
            save(name, t)
            cases(f, name, t, rng)
        for name, t in {"unigram": unigram(), "unigram-first": unigram("first", FLAGS),
                        "chars": char_bpe(), "suffix": char_bpe("</w>", fuse_unk=True),
                        "words": word_level()}.items():
            save(name, t)
            cases(f, name, t, rng)
    with open(OUT + "/unicode.tsv", "w") as f:
        unicode_hashes(f)


if __name__ == "__main__":
    main()
