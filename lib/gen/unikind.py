#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes lib/unikind_tables.h: more of what Hugging Face `tokenizers` knows of code points.

    python3 lib/gen/unikind.py > lib/unikind_tables.h      (needs the package tokenizers)

As lib/gen/unidata.py: the facts are measured, because the reference mixes the tables of
several Unicode versions.

    break     how grapheme clusters go on (UAX 29), from what a Precompiled normalizer does: a
              cluster of less than 6 bytes is replaced as a whole by what its beginning maps
              to, so that a mark behind it vanishes or stays
    PICT      Extended_Pictographic; join: Indic_Conjunct_Break
    COMPAT    NFKD is another than NFD
    category  general category of the patterns' engine, and WORD its \\w

A code point of 4 bytes never makes a short cluster with a mark behind it, so that a few
properties which cannot be seen of it do not matter either.
"""
import struct
import sys

import tokenizers
from tokenizers import Regex, normalizers

from tables import rows, two_stage

BREAKS = ["OTHER", "CR", "LF", "CONTROL", "EXTEND", "ZWJ", "SPACING", "PREPEND", "L", "V", "T",
          "LV", "LVT"]
CATEGORIES = ["Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc",
              "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp",
              "Cc", "Cf", "Cs", "Co"]
JOINS = ["NO", "CONSONANT", "EXTEND", "LINKER"]
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)


def charsmap(rules):
    """A SentencePiece charsmap: a double array, a block of 256 units for each node."""
    nodes, text, values = [{}], bytearray(), [None]
    for key, value in rules.items():
        at = 0
        for byte in key.encode():
            if byte not in nodes[at]:
                nodes[at][byte] = len(nodes)
                nodes.append({})
                values.append(None)
            at = nodes[at][byte]
        values[at] = len(text)
        text += value.encode() + b"\0"
    units, place, label = [0] * (256 * (len(nodes) + 1)), {0: 0}, {0: 0}
    for n, children in enumerate(nodes):
        base = 256 * (n + 1)
        offset = base ^ place[n]
        units[place[n]] = label[n] | offset << 10 | (values[n] is not None) << 8
        if values[n] is not None:
            units[base] = values[n] | 1 << 31
        for byte, child in children.items():
            place[child], label[child] = base ^ byte, byte
    assert len(units) < 1 << 21
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + bytes(text)


def measured(rules):
    return normalizers.Precompiled(charsmap(rules)).normalize_str


MARK = "\u0301"


def breaks():
    kind, pict, join = [0] * 0x110000, set(), [0] * 0x110000
    of = {name: i for i, name in enumerate(BREAKS)}
    behind_a, smile = measured({"a": "X"}), measured({"\u263a": "X"})
    mark, vowel, tail = (measured({x: "X"}) for x in (MARK, "\u1161", "\u11a8"))
    ka = measured({"\u0915": "X"})

    def joined(f, text):
        return f(text).endswith(MARK)

    for c in POINTS:
        s = chr(c)
        if behind_a("a" + s) == "X":
            more = s == "\u200d" or joined(smile, "\u263a" + s + "\u200d\u263a" + MARK)
            kind[c] = of["ZWJ" if s == "\u200d" else "EXTEND" if more else "SPACING"]
        elif mark(s + MARK + MARK).endswith("XX"):
            if joined(behind_a, s + "a" + MARK):
                kind[c] = of["PREPEND"]
            first, last = joined(vowel, s + "\u1161" + MARK), joined(tail, s + "\u11a8" + MARK)
            if first and not last:
                kind[c] = of["L"]
            elif first:
                kind[c] = of["LV" if c in HANGUL else "V"]
            elif last:
                kind[c] = of["LVT" if c in HANGUL else "T"]
        else:
            kind[c] = of[{"\r": "CR", "\n": "LF"}.get(s, "CONTROL")]
        if joined(smile, s + "\u200d\u263a" + MARK) and kind[c] != of["PREPEND"]:
            pict.add(c)
        if joined(ka, "\u0915" + s + "\u0915" + MARK) and kind[c] in (of["EXTEND"], of["ZWJ"]):
            join[c] = 3
        elif kind[c] in (of["EXTEND"], of["ZWJ"]) and \
                joined(ka, "\u0915" + s + "\u094d\u0915" + MARK):
            join[c] = 2
    # Consonants of three bytes; what follows another one's linker.
    others = [c for c in range(0x800, 0x10000) if not 0xD800 <= c < 0xE000 and kind[c] == 0]
    for at in range(0, len(others), 4000):
        some = others[at:at + 4000]
        f = measured({chr(c): "X" for c in some})
        for c in some:
            if joined(f, "\u0915\u094d" + chr(c) + MARK):
                join[c] = 1
    assert join[0x915] == 1 and join[0x94d] == 3 and 0x263a in pict
    assert all(kind[c] == of["LV" if (c - 0xAC00) % 28 == 0 else "LVT"] or
               kind[c] in (of["LV"], of["LVT"]) for c in HANGUL)
    return kind, pict, join


def categories():
    of, everything = [0] * 0x110000, "".join(map(chr, POINTS))
    for i, name in enumerate(CATEGORIES):
        if name in ("Cn", "Cs"):
            continue
        kept = set(normalizers.Replace(Regex(r"\p{%s}" % name), "").normalize_str(everything))
        for s in set(everything) - kept:
            assert of[ord(s)] == 0
            of[ord(s)] = i
    kept = set(normalizers.Replace(Regex(r"\w"), "").normalize_str(everything))
    return of, {ord(s) for s in set(everything) - kept}


def compat():
    nfd, nfkd = normalizers.NFD().normalize_str, normalizers.NFKD().normalize_str
    return {c: [ord(x) for x in nfkd(chr(c))] for c in POINTS if nfkd(chr(c)) != nfd(chr(c))}


def main():
    kind, pict, join = breaks()
    category, word, decomposed = *categories(), compat()
    flags = [kind[c] | (c in pict) << 4 | join[c] << 5 | (c in decomposed) << 7 |
             category[c] << 8 | (c in word) << 13 for c in range(0x110000)]
    shift, index, blocks = two_stage(flags)
    print("/* SPDX-License-Identifier: MIT */")
    print("/* Made by lib/gen/unikind.py from `tokenizers` " + tokenizers.__version__ +
          "; do not edit. */\n")
    print("/* clang-format off */")
    for prefix, names in (("BREAK", BREAKS), ("JOIN", JOINS), ("CATEGORY", CATEGORIES)):
        for i, name in enumerate(names):
            print(f'_Static_assert({prefix}_{name.upper()} == {i}, "unikind.h is out of step");')
    print(f'_Static_assert(KIND_SHIFT == {shift}, "unikind.h is out of step");')
    for name, values in (("kind_index", index), ("kind_flags", [f for b in blocks for f in b])):
        print(f"\nconst uint16_t {name}[{len(values)}] = {{")
        rows(values, lambda f: f"0x{f:x}" if f > 9 else str(f))
        print("};")
    # Decompositions share one pool of code points: entry = {code point, offset << 5 | length}.
    pool, at, entries = [], {}, []
    for c in sorted(decomposed):
        key = tuple(decomposed[c])
        if key not in at:
            at[key] = len(pool)
            pool.extend(key)
        entries.append((c, at[key] << 5 | len(key)))
    print(f"\nenum {{ N_KIND_COMPAT = {len(entries)} }};")
    print("static const struct uni_map kind_compat[N_KIND_COMPAT] = {")
    rows(entries, lambda e: f"{{0x{e[0]:x},{e[1]}}}")
    print("};")
    print(f"\nstatic const uint32_t kind_pool[{len(pool)}] = {{")
    rows(pool, lambda c: f"0x{c:x}")
    print("};\n/* clang-format on */")


if __name__ == "__main__":
    sys.exit(main())
