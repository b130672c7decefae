#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes lib/unidata_tables.h: what Hugging Face `tokenizers` knows about each code point.

    python3 lib/gen/unidata.py > lib/unidata_tables.h      (needs the package tokenizers)

Why the package is asked and no Unicode file is read: the reference mixes the tables of
several Unicode versions (punctuation, marks and controls of 8.0, decompositions of 9.0,
letters of Oniguruma's version, lower-casing of its compiler's), so that no one version gives
its ids.  Every fact is taken from the behaviour of its normalizers and pre-tokenizers on
single code points, or on a code point beside a letter.  The result is committed; the build
needs neither Python nor the package.

    SPACE     White_Space, as the BERT pre-tokenizer splits
    DROP      removed by BertNormalizer(clean_text)
    BLANK     made a space by BertNormalizer(clean_text)
    MN        removed by BertNormalizer(strip_accents) when alone
    MARK      removed by StripAccents
    PUNCT     isolated by the BERT pre-tokenizer and by Punctuation
    CJK       set apart by BertNormalizer(handle_chinese_chars)
    LETTER    \\p{L} of the ByteLevel pattern, NUMBER \\p{N}, GAP \\s
    WORD      \\w of added tokens' single_word
    NUMERIC   split off by Digits
    DECOMP    has a canonical decomposition (Hangul syllables: by arithmetic)
    LOWER     has another lower case
    CCC       has a combining class that is not 0
    COMPOSES  may be composed with the code point before it
"""
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from tables import rows, two_stage

NAMES = ["SPACE", "DROP", "BLANK", "MN", "MARK", "PUNCT", "CJK", "LETTER", "NUMBER", "GAP",
         "WORD", "NUMERIC", "DECOMP", "LOWER", "CCC", "COMPOSES"]
BIT = {name: 1 << i for i, name in enumerate(NAMES)}
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)


def bert(**on):
    parts = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False,
                 lowercase=False)
    parts.update(on)
    return normalizers.BertNormalizer(**parts).normalize_str


def pieces(pre, text):
    return len(pre.pre_tokenize_str(text))


def word_tokenizer():
    t = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    t.add_tokens([AddedToken("qq", single_word=True, normalized=False)])
    return t, t.token_to_id("qq")


def combining_classes(nfd, moved):
    """Classes by order: marks are sorted against representatives of all known classes."""
    import unicodedata
    known = {}
    for c in moved:
        k = unicodedata.combining(chr(c))
        if k and nfd(chr(c)) == chr(c):
            known.setdefault(k, c)
    classes = sorted(known)

    def before(a, b):
        """Whether class(a) < class(b), for marks a and b."""
        return nfd("a" + chr(b) + chr(a)) == "a" + chr(a) + chr(b) != "a" + chr(b) + chr(a)

    ccc = {}
    for c in moved:
        low, high = 0, len(classes) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if before(c, known[classes[middle]]):
                high = middle - 1
            else:
                low = middle
        ccc[c] = classes[low]
        assert not before(known[classes[low]], c), hex(c)
    return ccc


def gather():
    flags = [0] * 0x110000
    clean, cjk, accents = bert(clean_text=True), bert(handle_chinese_chars=True), \
        bert(strip_accents=True)
    nfd, nfc = normalizers.NFD().normalize_str, normalizers.NFC().normalize_str
    lower_of = normalizers.Lowercase().normalize_str
    marks = normalizers.StripAccents().normalize_str
    pre, byte = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.ByteLevel(False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    words, qq = word_tokenizer()
    lower, decomp, compose, moved = {}, {}, {}, []

    for c in POINTS:
        s, f = chr(c), 0
        f |= {"": BIT["DROP"], " ": BIT["BLANK"] if c != 32 else 0}.get(clean(s), 0)
        f |= BIT["CJK"] if cjk(s) != s else 0
        f |= BIT["MN"] if accents(s) == "" else 0
        f |= BIT["MARK"] if marks(s) == "" else 0
        f |= {1: 0, 2: BIT["SPACE"], 3: BIT["PUNCT"]}[pieces(pre, "a" + s + "b")]
        if pieces(byte, "a" + s) == 1:
            f |= BIT["LETTER"]
        elif pieces(byte, "1" + s) == 1:
            f |= BIT["NUMBER"]
        elif pieces(byte, "!" + s) != 1:
            f |= BIT["GAP"]
        if qq not in words.encode("qq" + s).ids:
            f |= BIT["WORD"]
        if pieces(digits, "a" + s + "b") == 3:
            f |= BIT["NUMERIC"]
        if lower_of(s) != s:
            lower[c] = [ord(x) for x in lower_of(s)]
            f |= BIT["LOWER"]
        if nfd(s) != s:
            f |= BIT["DECOMP"]
            if c not in HANGUL:
                decomp[c] = [ord(x) for x in nfd(s)]
        if nfd("a\u0345" + s)[1] != "\u0345" or c == 0x345:
            moved.append(c)
        flags[c] = f

    # U+0345 has the highest class; those of its own class are not moved before it.
    ccc = combining_classes(nfd, [c for c in moved if nfd(chr(c)) == chr(c)])
    for c in ccc:
        flags[c] |= BIT["CCC"]
    for c, parts in decomp.items():
        if nfc(chr(c)) == chr(c):
            first = nfc("".join(map(chr, parts[:-1])))
            assert len(first) == 1 and nfc(first + chr(parts[-1])) == chr(c), hex(c)
            compose[ord(first), parts[-1]] = c
            flags[parts[-1]] |= BIT["COMPOSES"]
    for c in list(range(0x1161, 0x1176)) + list(range(0x11A8, 0x11C3)):
        flags[c] |= BIT["COMPOSES"]
    return flags, lower, decomp, compose, ccc


def table(name, kind, entries, show):
    print(f"\nenum {{ N_{name.upper()} = {len(entries)} }};")
    print(f"const {kind} {name}[N_{name.upper()}] = {{")
    rows(entries, show)
    print("};")


def main():
    flags, lower, decomp, compose, ccc = gather()
    shift, index, blocks = two_stage(flags)
    print("/* SPDX-License-Identifier: MIT */")
    print("/* Made by lib/gen/unidata.py from `tokenizers` " + tokenizers.__version__ +
          "; do not edit. */\n")
    print("/* clang-format off */")
    for name in NAMES:
        print(f'_Static_assert(UNI_{name} == 0x{BIT[name]:x}, "unidata.h is out of step");')
    print(f'_Static_assert(UNI_SHIFT == {shift}, "unidata.h is out of step");')
    table("uni_index", "uint16_t", index, str)
    table("uni_flags", "uint16_t", [f for b in blocks for f in b],
          lambda f: f"0x{f:x}" if f > 9 else str(f))
    # Mappings share one pool of code points: entry = {code point, offset << 3 | length}.
    pool, at = [], {}

    def place(parts):
        key = tuple(parts)
        if key not in at:
            at[key] = len(pool)
            pool.extend(parts)
        return at[key] << 3 | len(parts)

    for name, of in (("uni_lower", lower), ("uni_decomp", decomp)):
        table(name, "struct uni_map", [(c, place(of[c])) for c in sorted(of)],
              lambda e: f"{{0x{e[0]:x},{e[1]}}}")
    table("uni_pool", "uint32_t", pool, lambda c: f"0x{c:x}")
    table("uni_compose", "struct uni_pair", [(a, b, compose[a, b]) for a, b in sorted(compose)],
          lambda e: f"{{0x{e[0]:x},0x{e[1]:x},0x{e[2]:x}}}")
    table("uni_ccc", "struct uni_map", [(c, ccc[c]) for c in sorted(ccc)],
          lambda e: f"{{0x{e[0]:x},{e[1]}}}")
    print("/* clang-format on */")


if __name__ == "__main__":
    sys.exit(main())
