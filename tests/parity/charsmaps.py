# SPDX-License-Identifier: MIT
# parity: library
"""Makes charsmaps in SentencePiece's format: see lib/charsmap.h."""
import struct
import unicodedata


def pack(rules):
    """A double array of the rules {text: replacement}, first fit."""
    nodes, text, values = [{}], bytearray(), [None]
    for key in sorted(rules, key=str.encode):
        at = 0
        for byte in key.encode():
            if byte not in nodes[at]:
                nodes[at][byte] = len(nodes)
                nodes.append({})
                values.append(None)
            at = nodes[at][byte]
        values[at] = len(text)
        text += rules[key].encode() + b"\0"
    units, used, blocks, place, label = [0] * 256, [False] * 256, 1, [0] * len(nodes), {0: 0}
    used[0], low = True, 0
    for n, children in enumerate(nodes):
        labels = list(children) + ([0] if values[n] is not None else [])
        if not labels:
            continue
        base = low
        while True:
            if base >= len(units):
                units += [0] * 256
                used += [False] * 256
            offset = base ^ place[n]
            if (offset < 1 << 21 and offset) and not any(used[base ^ c] for c in labels):
                break
            base += 1
        if len(labels) > 8:
            low = base // 256 * 256
        low = max(low, base - 4096)
        units[place[n]] = label.get(n, 0) | offset << 10 | (values[n] is not None) << 8
        for c in labels:
            used[base ^ c] = True
        if values[n] is not None:
            units[base] = values[n] | 1 << 31
        for byte, child in children.items():
            place[child], label[child] = base ^ byte, byte
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + bytes(text)


def nfkc():
    """Much like nmt_nfkc: NFKC of code points and of pairs, controls go, blanks are blanks."""
    rules = {}
    for c in range(0x20000):
        s = chr(c)
        if 0xD800 <= c < 0xE000:
            continue
        if unicodedata.normalize("NFKC", s) != s:
            rules[s] = unicodedata.normalize("NFKC", s)
        parts = unicodedata.normalize("NFD", s)
        if len(parts) > 1 and not 0xAC00 <= c < 0xD7A4:
            rules[parts] = unicodedata.normalize("NFKC", s)
    for c in list(range(1, 9)) + [0xb, 0x7f, 0x8f, 0x9f] + list(range(0xe, 0x20)):
        rules[chr(c)] = ""
    for c in (9, 10, 12, 13, 0x1680, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x2581, 0xfeff):
        rules[chr(c)] = " "
    rules.pop(" ", None)
    return pack(rules)
