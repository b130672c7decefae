# SPDX-License-Identifier: MIT
"""What the generators of Unicode tables share: lines of a C array, and two-stage tables."""


def rows(values, show, width=90):
    """Prints the elements of an array, as many to a line as fit."""
    line = ""
    for v in values:
        text = show(v) + ","
        if len(line) + len(text) > width:
            print(line)
            line = ""
        line += text
    if line:
        print(line)


def two_stage(flags):
    """(shift, index, blocks) of the smallest table of 16-bit flags over all code points."""
    best = None
    for shift in (5, 6, 7):
        blocks, index = {}, []
        for at in range(0, 0x110000, 1 << shift):
            index.append(blocks.setdefault(tuple(flags[at:at + (1 << shift)]), len(blocks)))
        size = len(index) * 2 + (len(blocks) << shift) * 2
        if best is None or size < best[0]:
            best = size, shift, index, list(blocks)
    return best[1:]
