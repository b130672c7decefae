#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has Hugging Face `tokenizers` itself answer the cases of tests/golden/upstream.jsonl, which
test_upstream asks the library: they are facts of 0.23.3, not of how they were written down.

    python3 tests/parity/upstream.py BIN TOOLS
"""
import json
import os
import sys
import tempfile

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "../../../shared/data")
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens", "model")


def whole(case):
    """The tokenizer.json of a case."""
    j = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
         "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
         "model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}}
    if "base" in case and case["base"] != "bytes":
        with open(f"{DATA}/{case['base']}/tokenizer.json", encoding="utf-8") as f:
            j.update(json.load(f), truncation=None, padding=None)
    if isinstance(case.get("decode"), list):
        tokens = list(dict.fromkeys(case["decode"]))
        j["model"] = {"type": "WordLevel", "unk_token": tokens[0],
                      "vocab": {t: i for i, t in enumerate(tokens)}}
    j.update({k: case[k] for k in PARTS if k in case})
    return j


def load(case):
    if case.get("base") == "bytes":
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        t = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        t.decoder = decoders.ByteLevel()
        return t
    if "files" not in case:
        t = Tokenizer.from_str(json.dumps(whole(case)))
        t.encode_special_tokens = case.get("plain", False)
        return t
    with tempfile.TemporaryDirectory() as d:
        for name, text in case["files"].items():
            with open(os.path.join(d, name), "w", encoding="utf-8") as f:
                f.write(text)
        if "vocab.txt" in case["files"]:
            t = Tokenizer(models.WordPiece.from_file(d + "/vocab.txt", unk_token="[UNK]",
                                                     max_input_chars_per_word=100))
            t.normalizer = normalizers.BertNormalizer()
            t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            t.decoder = decoders.WordPiece()
            t.add_special_tokens([AddedToken(x, special=True) for x in ("[CLS]", "[SEP]")])
            return t
        return Tokenizer(models.BPE.from_file(d + "/vocab.json", d + "/merges.txt"))


def words_of(t, case):
    text = t.normalizer.normalize_str(case["text"]) if t.normalizer else case["text"]
    if t.pre_tokenizer:
        return [w for w, _ in t.pre_tokenizer.pre_tokenize_str(text)]
    return [text] if text else []


def cut_of(n_a, n_b, most):
    t = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.enable_truncation(most)
    types = t.encode("a " * n_a, "a " * n_b, add_special_tokens=False).type_ids
    return [types.count(0), types.count(1)]


def framed(t, case):
    a, b = (t.encode(case[k], add_special_tokens=False).ids for k in ("text", "pair"))
    frame = case["frame"]
    return frame[:1] + a + frame[1:-1] + b + frame[-1:]


def answers(case):
    """What differs: (question, answer, expected)."""
    if "cut" in case:
        n_a, n_b, most, *expected = case["cut"]
        yield "cut", cut_of(n_a, n_b, most), expected
        return
    t = load(case)
    if "normalized" in case:
        yield "normalized", t.normalizer.normalize_str(case["text"]), case["normalized"]
    if "words" in case and not case.get("added_tokens"):
        yield "words", words_of(t, case), case["words"]
    if "text" in case:
        e = t.encode(case["text"], add_special_tokens=False)
        yield "ids", e.ids, case.get("ids", e.ids)
        tokens = [t.id_to_token(i) for i in e.ids]
        yield "tokens", tokens, case.get("tokens", tokens)
        if "back" in case:
            yield "back", t.decode(e.ids, skip_special_tokens=False), case["back"]
    if "decoded" in case:
        ids = case.get("ids_to_decode") or [t.token_to_id(x) for x in case["decode"]]
        got = t.decode(ids, skip_special_tokens=case.get("skip", False))
        yield "decoded", got, case["decoded"]
    if "input" in case and "files" not in case:
        if "max_len" in case:
            t.enable_truncation(case["max_len"], direction="left" if case.get("left") else "right")
        e = t.encode(case["text"], case.get("pair"))
        want = framed(t, case) if case["input"] == "framed" else case["input"]
        yield "input", e.ids, want
        yield "types", e.type_ids, case.get("types", e.type_ids)


def refused(case):
    """True where the reference refuses, too; what only we lack, it does not."""
    try:
        t = load(case)
        if "text" in case:
            t.encode(case["text"])
    except BaseException:
        return True
    return False


def main():
    passed = failed = 0
    if not os.path.isdir(DATA):
        print("# skipped: no", DATA)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    lacking = set()
    with open(os.path.join(HERE, "../golden/upstream.jsonl"), encoding="utf-8") as f:
        for line in f:
            case = json.loads(line)
            if "error" in case:
                if not refused(case):
                    lacking.add(case["error"])
                continue
            bad = [x for x in answers(case) if x[1] != x[2]]
            passed += not bad
            failed += bool(bad)
            for what, got, want in bad:
                print(f"not ok - {case['from']}: {what}: {ascii(got)}, not {ascii(want)}")
    print("# refused by the library alone:", ", ".join(sorted(lacking)))
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
