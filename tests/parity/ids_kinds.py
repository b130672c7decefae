#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares ids and texts with those of Hugging Face `tokenizers` for tokenizers of all kinds,
made on the spot by its own trainers: shaped as ALBERT's, XLM-R's, DeBERTa-v3's, CamemBERT's,
T5's, Llama's and others', and for every option of every part.

    python3 tests/parity/ids_kinds.py BIN TOOLS [NAME...]

The published families get every code point and 100,000 random texts, the others 6,000.
PARITY_QUICK=1 takes every shape, with a quarter of those 6,000 and a sample of the code points.
CHARSMAP=FILE takes that charsmap (SentencePiece's nmt_nfkc, say) instead of our own.
"""
import json
import os
import random
import sys
import tempfile

NAMES = sys.argv[3:]
sys.argv[3:] = ["none"]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import charsmaps  # noqa: E402
import ids  # noqa: E402

import tokenizers  # noqa: E402
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,  # noqa: E402
                        pre_tokenizers, processors, trainers)

n, p, d = normalizers, pre_tokenizers, decoders
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+"
          r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
OWN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++"
       r"[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
DEEPSEEK = [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽ]+",
            r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+"]
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BEHAVIORS = ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]


def train(t, trainer, texts):
    t.train_from_iterator(texts, trainer)
    return t


def unigram(texts, size=3000, special=("<unk>", "<s>", "</s>", "<pad>"), **more):
    t = Tokenizer(models.Unigram())
    for key, value in more.items():
        if value is not None:
            setattr(t, key, value)
    return train(t, trainers.UnigramTrainer(vocab_size=size, special_tokens=list(special),
                                            unk_token="<unk>", show_progress=False), texts)


def changed(t, **model):
    """The tokenizer with other settings of its model."""
    j = json.loads(t.to_str())
    j["model"].update(model)
    return Tokenizer.from_str(json.dumps(j))


def with_parts(t, **parts):
    c = Tokenizer.from_str(t.to_str())
    for key, value in parts.items():
        setattr(c, key, value)
    return c


def roberta_frame(t, cls="<s>", sep="</s>"):
    t.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} {sep} $B {sep}",
        special_tokens=[(cls, t.token_to_id(cls)), (sep, t.token_to_id(sep))])
    return t


def bert_frame(t):
    t.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))])
    return t


def real_shapes(texts, charsmap):
    """Tokenizers as the families publish them."""
    meta = p.Metaspace(prepend_scheme="always")
    xlmr = unigram(texts, normalizer=n.Sequence(
        [n.Precompiled(charsmap), n.Strip(left=False, right=True),
         n.Replace(Regex(" {2,}"), "▁")]), pre_tokenizer=meta, decoder=d.Metaspace())
    xlmr.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    yield "xlm-r", roberta_frame(xlmr)
    yield "xlm-r, old", with_parts(
        xlmr, normalizer=n.Precompiled(charsmap),
        pre_tokenizer=p.Sequence([p.WhitespaceSplit(), meta]))
    specials = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    albert = unigram(texts, special=specials, normalizer=n.Sequence(
        [n.Replace("``", '"'), n.Replace("''", '"'), n.NFKD(), n.StripAccents(), n.Lowercase(),
         n.Precompiled(charsmap), n.Replace(Regex(" {2,}"), " ")]), pre_tokenizer=meta,
        decoder=d.Metaspace())
    albert.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True)])
    yield "albert", bert_frame(albert)
    deberta = unigram(texts, special=("[PAD]", "[CLS]", "[SEP]", "<unk>"), normalizer=n.Sequence(
        [n.Strip(), n.Precompiled(charsmap), n.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizer=p.Sequence([meta]), decoder=d.Metaspace())
    deberta.add_special_tokens([AddedToken("[MASK]", special=True),
                                AddedToken("[UNK]", special=True, normalized=True)])
    yield "deberta-v3", bert_frame(deberta)
    yield "deberta-v2, punctuation", with_parts(
        deberta, pre_tokenizer=p.Sequence([p.Punctuation(), meta]))
    camembert = unigram(texts, special=("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<s>",
                                        "</s>"),
                        normalizer=n.Precompiled(charsmap), decoder=d.Metaspace(),
                        pre_tokenizer=p.Sequence([p.WhitespaceSplit(), meta]))
    camembert.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True),
                                  AddedToken("<unk>NOTUSED", special=True)])
    yield "camembert", roberta_frame(camembert)
    yield "t5", with_parts(xlmr, normalizer=n.Sequence(
        [n.Precompiled(charsmap), n.Strip(left=False, right=True),
         n.Replace(Regex(" {2,}"), "▁")]), pre_tokenizer=p.Sequence([p.WhitespaceSplit(), meta]))
    yield "nmt, nfkc", with_parts(xlmr, normalizer=n.Sequence(
        [n.Nmt(), n.NFKC(), n.Replace(Regex(" {2,}"), " ")]))
    for scheme in ("always", "never", "first"):
        for split in (True, False):
            yield f"metaspace {scheme}{'' if split else ', whole'}", with_parts(
                xlmr, pre_tokenizer=p.Metaspace(prepend_scheme=scheme, split=split),
                decoder=d.Metaspace(prepend_scheme=scheme))
    yield "metaspace first, strip", with_parts(
        xlmr, normalizer=n.Sequence([n.Strip(), n.Precompiled(charsmap)]),
        pre_tokenizer=p.Metaspace(prepend_scheme="first"))
    yield "metaspace first, pieces", with_parts(
        xlmr, normalizer=n.NFKD(), pre_tokenizer=p.Sequence(
            [p.Punctuation(), p.Digits(individual_digits=True),
             p.Metaspace(prepend_scheme="first")]))
    yield "another mark", with_parts(
        xlmr, normalizer=n.Replace("▁", "_"),
        pre_tokenizer=p.Metaspace(replacement="_", prepend_scheme="always"),
        decoder=d.Metaspace(replacement="_"))
    yield "unigram alone", with_parts(xlmr, normalizer=None, pre_tokenizer=None, decoder=None)
    letters = changed(xlmr, vocab=json.loads(xlmr.to_str())["model"]["vocab"] +
                      [[f"<0x{b:02X}>", -20.0 - b / 7] for b in range(256)], byte_fallback=True)
    fallback = d.Sequence([d.ByteFallback(), d.Metaspace()])
    yield "unigram, bytes", with_parts(letters, decoder=fallback)
    vocab = json.loads(letters.to_str())["model"]["vocab"]
    yield "unigram, some bytes", with_parts(changed(
        letters, vocab=[v for v in vocab if v[0] not in ("<0xE4>", "<0xC3>")]), decoder=fallback)
    yield "unigram, twice", changed(xlmr, vocab=[["<unk>", 0]] + [[a, b] for a, b in (
        ("the", -3.5), ("▁", -2), ("▁the", -3), ("the", -1.25), ("e", -2.0), ("▁t", -1.0),
        ("h", -0.5), ("he", -2.5), ("", -1), ("<unk>x", -9), ("th", -1.5))])


def bpe_shapes(texts):
    meta = "▁"
    base = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    base.normalizer = n.Sequence([n.Prepend(meta), n.Replace(" ", meta)])
    train(base, trainers.BpeTrainer(
        vocab_size=3000, show_progress=False, limit_alphabet=120,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]), texts)
    # The trainer makes the bytes special; in real files only the first three are.
    j = json.loads(base.to_str())
    j["added_tokens"] = j["added_tokens"][:3]
    llama = Tokenizer.from_str(json.dumps(j))
    llama.decoder = d.Sequence([d.Replace(meta, " "), d.ByteFallback(), d.Fuse(),
                                d.Strip(" ", 1, 0)])
    llama.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    yield "llama", llama
    mistral = with_parts(llama, normalizer=None,
                         pre_tokenizer=p.Metaspace(prepend_scheme="first", split=False))
    yield "llama, metaspace first", mistral
    few = {k: v for k, v in j["model"]["vocab"].items() if k not in ("<0xE4>", "<0xC3>")}
    for fuse in (False, True):
        yield f"llama, some bytes{', fused' if fuse else ''}", changed(
            llama, vocab=few, fuse_unk=fuse)
    for fuse in (False, True):
        yield f"llama, no bytes{', fused' if fuse else ''}", changed(
            llama, byte_fallback=False, fuse_unk=fuse)
    yield "llama, neither", changed(llama, byte_fallback=False, unk_token=None)
    yield "llama, ignore_merges", changed(with_parts(
        llama, normalizer=None, pre_tokenizer=p.Metaspace()), ignore_merges=True)
    spanish = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    spanish.normalizer = n.BertNormalizer(lowercase=True, strip_accents=False)
    spanish.pre_tokenizer = p.BertPreTokenizer()
    spanish.decoder = d.BPEDecoder(suffix="</w>")
    train(spanish, trainers.BpeTrainer(vocab_size=3000, show_progress=False, limit_alphabet=200,
                                       special_tokens=["<unk>", "<s>", "</s>"],
                                       end_of_word_suffix="</w>"), texts)
    yield "suffix", roberta_frame(spanish)
    prefixed = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    prefixed.pre_tokenizer = p.Whitespace()
    train(prefixed, trainers.BpeTrainer(vocab_size=3000, show_progress=False, limit_alphabet=200,
                                        special_tokens=["<unk>"],
                                        continuing_subword_prefix="##"), texts)
    yield "prefix", prefixed
    yield "prefix, fused", changed(prefixed, fuse_unk=True)
    both = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="@@",
                                end_of_word_suffix="</w>"))
    both.pre_tokenizer = p.WhitespaceSplit()
    both.normalizer = n.NFKC()
    yield "prefix and suffix", train(both, trainers.BpeTrainer(
        vocab_size=3000, show_progress=False, limit_alphabet=200, special_tokens=["<unk>"],
        continuing_subword_prefix="@@", end_of_word_suffix="</w>"), texts)
    clip = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    clip.normalizer = n.Sequence([n.NFC(), n.Replace(Regex(r"\s+"), " "), n.Lowercase()])
    clip.pre_tokenizer = p.Sequence([p.Split(Regex(CLIP), "removed", invert=True),
                                     p.ByteLevel(add_prefix_space=False)])
    clip.decoder = d.Sequence([d.ByteLevel(), d.Replace("</w>", " ")])
    yield "clip", train(clip, trainers.BpeTrainer(
        vocab_size=3000, show_progress=False, special_tokens=["<unk>"],
        end_of_word_suffix="</w>", initial_alphabet=p.ByteLevel.alphabet()), texts)
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.normalizer = n.Lowercase()
    words.pre_tokenizer = p.Whitespace()
    words = train(words, trainers.WordLevelTrainer(
        vocab_size=4000, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]),
        texts)
    yield "words", bert_frame(words)
    yield "words, between blanks", with_parts(words, pre_tokenizer=p.CharDelimiterSplit(" "))
    yield "words, spelled", with_parts(words, pre_tokenizer=p.ByteLevel())


def pattern_shapes(texts):
    bytes_bpe = Tokenizer(models.BPE())
    bytes_bpe.pre_tokenizer = p.ByteLevel(add_prefix_space=False)
    bytes_bpe.decoder = d.ByteLevel()
    train(bytes_bpe, trainers.BpeTrainer(vocab_size=3000, show_progress=False, special_tokens=[],
                                         initial_alphabet=p.ByteLevel.alphabet()), texts)
    last = p.ByteLevel(add_prefix_space=False, use_regex=False)
    for name, pattern in (("gpt2", GPT2), ("cl100k", CL100K), ("cl100k, possessive", OWN),
                          ("o200k", O200K), ("qwen", QWEN), ("bloom", BLOOM)):
        split = p.Split(Regex(pattern), "isolated")
        yield f"pattern {name}", with_parts(bytes_bpe, pre_tokenizer=p.Sequence([split, last]))
    yield "pattern deepseek", with_parts(bytes_bpe, pre_tokenizer=p.Sequence(
        [p.Split(Regex(x), "isolated") for x in DEEPSEEK] +
        [p.Digits(individual_digits=True), last]))
    yield "qwen, NFC", with_parts(bytes_bpe, normalizer=n.NFC(), pre_tokenizer=p.Sequence(
        [p.Split(Regex(QWEN), "isolated"), last]))
    yield "NFC, bytes", with_parts(bytes_bpe, normalizer=n.NFC())
    yield "bytes by normalizer", with_parts(
        bytes_bpe, normalizer=n.ByteLevel(),
        pre_tokenizer=p.Split(Regex("Ġ?[^Ġ]+|Ġ+"), "isolated"))
    yield "bytes, then marks", with_parts(bytes_bpe, pre_tokenizer=p.Sequence(
        [p.ByteLevel(add_prefix_space=True), p.Punctuation()]))
    plain = Tokenizer(models.WordPiece.from_file(
        ids.DATA + "/vocab/bert-base-uncased.txt", unk_token="[UNK]"))
    plain.normalizer = n.Lowercase()
    for behavior in BEHAVIORS:
        for invert in (False, True):
            for pattern in ("a", Regex(r"\s+"), Regex(r"\d|e(?=[rn])|(?<=t)h|[^\W\d]{3,4}?x*")):
                name = pattern if isinstance(pattern, str) else "regex"
                yield f"split {behavior}{', inverted' if invert else ''}, {name}", with_parts(
                    plain, pre_tokenizer=p.Split(pattern, behavior, invert))
        yield f"punctuation {behavior}", with_parts(
            plain, pre_tokenizer=p.Sequence([p.WhitespaceSplit(), p.Punctuation(behavior)]))
    for pattern in (r"(?:ab|a)(?:c|bcd)?", r"a*?b|\w+?(?=\W)|.", r"^\w+|\w+$|\s",
                    r"(a|b)+c|(?:x{2,3}|y{,2}z){1,2}", r"[^a-z\s]+",
                    r"\x41|\x{42}|\u0043|\t|[\n\r]+", r"[\p{Lu}\P{L}]+?", r"\p{^Ll}{2}|\p{P}+",
                    r"(?i:kelvin|was|t)\s*", r"[.]{3}|\.", r"(?<!\w)the(?!\w)"):
        yield f"pattern {pattern}", with_parts(
            plain, pre_tokenizer=p.Split(Regex(pattern), "isolated"))
        yield f"replace {pattern}", with_parts(
            plain, normalizer=n.Replace(Regex(pattern), "<>"), pre_tokenizer=p.BertPreTokenizer())


# Those that are shown every code point and all random texts; the others every 64th row of them.
EVERY_POINT = {"xlm-r", "albert", "deberta-v3", "camembert", "nmt, nfkc", "llama", "suffix", "clip",
               "words", "pattern cl100k", "pattern o200k", "pattern deepseek"}
FLAGS = [AddedToken("ab", single_word=True), AddedToken("é!", normalized=True),
         AddedToken("12", lstrip=True, rstrip=True), AddedToken("Ö", normalized=True),
         AddedToken("[sep]", rstrip=True, normalized=False), AddedToken("'", single_word=True),
         AddedToken("  ", normalized=False), AddedToken("中", lstrip=True, normalized=True),
         AddedToken("zz", special=True, normalized=True), AddedToken("z", rstrip=True),
         AddedToken("▁x", normalized=True), AddedToken("the", single_word=True, lstrip=True)]


def flag_shapes(shapes):
    """All flags of added tokens, on tokenizers of several kinds."""
    for name in ("xlm-r", "albert", "deberta-v3", "metaspace first", "llama", "suffix", "words",
                 "llama, metaspace first"):
        t = Tokenizer.from_str(shapes[name].to_str())
        t.add_tokens(FLAGS)
        yield f"added, {name}", t
        t = Tokenizer.from_str(shapes[name].to_str())
        t.add_tokens([x for x in FLAGS if not x.rstrip])
        yield f"added, no rstrip, {name}", t


def compare_all(name, t, work, texts, hard, quick):
    at = os.path.join(work, str(len(os.listdir(work))))
    os.mkdir(at)
    t.no_truncation()
    t.no_padding()
    t.save(at + "/tokenizer.json")
    t = Tokenizer.from_file(at + "/tokenizer.json")
    rng = random.Random(7)
    ids.compare(f"{name}: text", at, t, texts)
    ids.compare(f"{name}: random", at, t, hard)
    if name in EVERY_POINT and not quick:
        ids.points(name, at, t)
        ids.compare(f"{name}: many random", at, t, ids.nasties(ids.MANY, 7))
    else:
        rows = [ids.POINTS[i:i + 64] for i in range(0, len(ids.POINTS), 64)][::64]
        ids.compare(f"{name}: some code points", at, t,
                    [" ".join(f"a{c}b" for c in r) for r in rows] + ["".join(r) for r in rows])
    t.encode_special_tokens = True
    ids.compare(f"{name}: specials as text", at, t, hard[:1000], "--plain")
    t.encode_special_tokens = False
    ids.decoding(name, at, t, hard[:1500], rng)
    if t.post_processor:
        ids.inputs(name, at, t, hard[:400], rng)


def main():
    if not os.path.isdir(ids.DATA):
        print("# skipped: no", ids.DATA)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    print("# tokenizers", tokenizers.__version__)
    corpus = ids.corpus()
    mixed = corpus[::4] + ids.nasties(1500, 5) + ["中文字符 漢語 москва привет ελληνικά"] * 20
    path = os.environ.get("CHARSMAP")
    charsmap = open(path, "rb").read() if path else charsmaps.nfkc()
    quick = 4 if os.environ.get("PARITY_QUICK") else 1
    shapes, hard = {}, ids.nasties(6000 // quick, 11)
    with tempfile.TemporaryDirectory() as work:
        for make in (lambda: real_shapes(mixed, charsmap), lambda: bpe_shapes(mixed),
                     lambda: pattern_shapes(mixed), lambda: flag_shapes(shapes)):
            for name, t in make():
                shapes[name] = t
                if NAMES and name not in NAMES:
                    continue
                small = name.startswith(("split", "replace", "punctuation", "pattern ("))
                compare_all(name, t, work, corpus[::(40 if small else 4) * quick],
                            hard[:1500 // quick] if small else hard, quick > 1)
    print(f"{ids.passed} passed, {ids.failed} failed")
    return ids.failed > 0


if __name__ == "__main__":
    sys.exit(main())
