#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes lib/html_entities.h: the named character references of HTML.

    python3 lib/gen/entities.py > lib/html_entities.h

The names are those of Python's html.entities.html5, which is the table of the HTML standard
(section 13.5).  The result is committed; the build needs no Python.
"""
from html.entities import html5


def c_string(data):
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?'
                         else f"\\{b:03o}" for b in data) + '"'


def main():
    short = [n for n in html5 if not n.endswith(";")]
    names = sorted(html5, key=str.encode)
    print("/* SPDX-License-Identifier: MIT */")
    print("/* Made by lib/gen/entities.py; do not edit. */\n")
    print("/* clang-format off */")
    print(f"enum {{ N_ENTITIES = {len(names)}, ENTITY_SHORT = {max(map(len, short))}, "
          f"ENTITY_LONG = {max(map(len, names))} }};")
    print("static const struct entity {")
    print("    char name[ENTITY_LONG + 1]; /* without &, with ; but for those of old */")
    print(f"    char text[{max(len(t.encode()) for t in html5.values()) + 1}];")
    print("} entities[N_ENTITIES] = {")
    line = ""
    for n in names:
        entry = f"{{{c_string(n.encode())},{c_string(html5[n].encode())}}},"
        if len(line) + len(entry) > 92:
            print(line)
            line = ""
        line += entry
    print(line + "\n};")
    print("/* clang-format on */")


if __name__ == "__main__":
    main()
