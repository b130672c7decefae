#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes lib/uniprop_tables.h: what tok --clean knows about each code point.

    python3 lib/gen/uniprop.py > lib/uniprop_tables.h    (needs unicodedata2 and regex)

Unlike lib/unidata_tables.h, which holds what the reference tokenizer believes, these are one
Unicode version's facts (Unicode Character Database; UAX 15, UAX 44, UTS 51).  The result is
committed; the build needs neither Python nor the packages.

    CCC       combining class other than 0
    CANON     has a canonical decomposition, COMPAT its NFKD is another than its NFD
              (Hangul syllables: by arithmetic)
    COMPOSES  may be composed with what stands before it
    MN        general category Mn
    CASED     Cased, IGNORABLE Case_Ignorable (for the final sigma)
    DIGIT     general category Nd
    SPACE     white space as Python's str.isspace has it: White_Space and U+001C..1F
    HIDDEN    removed by `ctrl`: controls but TAB, LF and CR, format characters that show
              nothing, noncharacters
    EMOJI     Emoji, PICTURE shown as one without U+FE0F
"""
import sys

import regex
import unicodedata2 as u

from tables import rows, two_stage

NAMES = ["CCC", "CANON", "COMPAT", "COMPOSES", "MN", "CASED", "IGNORABLE", "DIGIT", "SPACE",
         "HIDDEN", "EMOJI", "PICTURE"]
BIT = {name: 1 << i for i, name in enumerate(NAMES)}
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)
ANNOTATION = range(0xFFF9, 0xFFFC)


def has(name):
    match = regex.compile(r"\p{%s}" % name).match
    return lambda s: match(s) is not None


def is_space(s):
    return u.category(s) == "Zs" or u.bidirectional(s) in ("WS", "B", "S")


def gather():
    cased, ignorable, hidden = has("Cased"), has("Case_Ignorable"), has("DI")
    emoji, picture = has("Emoji"), has("Emoji_Presentation")
    flags, canon, compat, compose, ccc = [0] * 0x110000, {}, {}, {}, {}
    for c in POINTS:
        s, f, category = chr(c), 0, u.category(chr(c))
        if u.combining(s):
            ccc[c] = u.combining(s)
            f |= BIT["CCC"]
        nfd, nfkd = u.normalize("NFD", s), u.normalize("NFKD", s)
        if nfd != s:
            f |= BIT["CANON"]
            if c not in HANGUL:
                canon[c] = [ord(x) for x in nfd]
        if nfkd != nfd:
            f |= BIT["COMPAT"]
            compat[c] = [ord(x) for x in nfkd]
        f |= BIT["MN"] if category == "Mn" else 0
        f |= BIT["CASED"] if cased(s) else 0
        f |= BIT["IGNORABLE"] if ignorable(s) else 0
        f |= BIT["DIGIT"] if category == "Nd" else 0
        f |= BIT["SPACE"] if is_space(s) else 0
        if (category == "Cc" and s not in "\t\n\r") or (category == "Cf" and hidden(s)) or \
                c in ANNOTATION or (c & 0xFFFE) == 0xFFFE or 0xFDD0 <= c <= 0xFDEF:
            f |= BIT["HIDDEN"]
        # Digits, # and * are emoji in keycaps only; below U+2600 a text style is the usual.
        if emoji(s) and c >= 0x80 and not 0x1F1E6 <= c <= 0x1F1FF:
            f |= BIT["EMOJI"]
            f |= BIT["PICTURE"] if picture(s) or c >= 0x2600 else 0
        flags[c] = f
    for c, parts in canon.items():
        if u.normalize("NFC", chr(c)) == chr(c):
            first = u.normalize("NFC", "".join(map(chr, parts[:-1])))
            assert len(first) == 1 and u.normalize("NFC", first + chr(parts[-1])) == chr(c)
            compose[ord(first), parts[-1]] = c
            flags[parts[-1]] |= BIT["COMPOSES"]
    for c in list(range(0x1161, 0x1176)) + list(range(0x11A8, 0x11C3)):
        flags[c] |= BIT["COMPOSES"]
    return flags, canon, compat, compose, ccc


def table(name, kind, entries, show):
    print(f"\nenum {{ N_{name.upper()} = {len(entries)} }};")
    print(f"static const {kind} {name}[N_{name.upper()}] = {{")
    rows(entries, show)
    print("};")


def main():
    flags, canon, compat, compose, ccc = gather()
    shift, index, blocks = two_stage(flags)
    print("/* SPDX-License-Identifier: MIT */")
    print(f"/* Made by lib/gen/uniprop.py of Unicode {u.unidata_version}; do not edit. */\n")
    print("/* clang-format off */")
    for name in NAMES:
        print(f'_Static_assert(PROP_{name} == 0x{BIT[name]:x}, "uniprop.h is out of step");')
    print(f'_Static_assert(PROP_SHIFT == {shift}, "uniprop.h is out of step");')
    print("/* Two stages: see prop_of. */")
    for name, kind, values in (("prop_index", "uint16_t", index),
                               ("prop_flags", "uint16_t", [f for b in blocks for f in b])):
        print(f"\nconst {kind} {name}[{len(values)}] = {{")
        rows(values, lambda f: f"0x{f:x}" if f > 9 else str(f))
        print("};")
    # Mappings share one pool of code points: entry = {code point, offset << 5 | length}.
    pool, at = [], {}

    def place(parts):
        key = tuple(parts)
        if key not in at:
            at[key] = len(pool)
            pool.extend(parts)
        return at[key] << 5 | len(parts)

    for name, of in (("prop_canon", canon), ("prop_compat", compat)):
        table(name, "struct uni_map", [(c, place(of[c])) for c in sorted(of)],
              lambda e: f"{{0x{e[0]:x},{e[1]}}}")
    table("prop_pool", "uint32_t", pool, lambda c: f"0x{c:x}")
    table("prop_compose", "struct uni_pair",
          [(a, b, compose[a, b]) for a, b in sorted(compose)],
          lambda e: f"{{0x{e[0]:x},0x{e[1]:x},0x{e[2]:x}}}")
    table("prop_ccc", "struct uni_map", [(c, ccc[c]) for c in sorted(ccc)],
          lambda e: f"{{0x{e[0]:x},{e[1]}}}")
    print("/* clang-format on */")


if __name__ == "__main__":
    sys.exit(main())
