#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares how tok reads bytes with Python's codecs: UTF-8 and UTF-16, whole and broken.

    python3 tests/parity/encodings.py BIN TOOLS

The judge is bytes.decode(..., "replace") (NUL read as U+FFFD, too): a file and what Python makes
of it, as UTF-8, must give the same text.  Lines are compared as `tok --show` prints them.
"""
import os
import random
import subprocess
import sys
import tempfile

BIN = sys.argv[1]
passed = failed = 0
PIECES = ["a", "the ", "é", "€", "😀", "\u0301", "中文", "\ufeff", "\ufffd", "\uffff", "\U0010ffff",
          " ", "x" * 300]


def read_text(data, work, *options):
    path = os.path.join(work, "text")
    with open(path, "wb") as f:
        f.write(data)
    run = subprocess.run([BIN + "/tok", "-q", "--format", "text", "--clean", "repeat=9", "--show",
                          *options, path], stdout=subprocess.PIPE, check=True)
    return run.stdout


def report(what, bad, n):
    global passed, failed
    failed += bool(bad)
    passed += not bad
    print(f"{'not ok' if bad else 'ok'} - {what}: {n} compared, {len(bad)} differ", flush=True)
    for b in bad[:3]:
        print("#  ", b[:100])


def units(rng, order):
    """Random UTF-16: characters, halves of pairs alone, NULs, line ends."""
    out = []
    for _ in range(rng.randint(0, 40)):
        kind = rng.random()
        if kind < 0.7:
            out.append(rng.choice(PIECES).encode("utf-16" + order))
        elif kind < 0.8:
            out.append("\n".encode("utf-16" + order))
        else:
            unit = rng.choice((0, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xd83d, 0xde00))
            out.append(unit.to_bytes(2, "little" if order == "le" else "big"))
    return b"".join(out)


def broken(rng):
    """Random UTF-8 with bytes changed."""
    data = bytearray("".join(rng.choice(PIECES + ["\n"]) for _ in range(rng.randint(0, 40))).encode())
    for _ in range(rng.randint(0, 6)):
        if data:
            data[rng.randrange(len(data))] = rng.choice((0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xed, 0xf0,
                                                         0xf4, 0xff, 0))
    return bytes(data)


def main():
    rng = random.Random(11)
    with tempfile.TemporaryDirectory() as work:
        for order, mark in (("le", b"\xff\xfe"), ("be", b"\xfe\xff")):
            bad = []
            for i in range(400):
                data = "s".encode("utf-16" + order) + units(rng, order) if i % 3 else \
                    "\ufeff\n".encode("utf-16" + order) + units(rng, order)
                if i % 7 == 0 and data[-2:] and not 0xd8 <= data[-1 if order == "le" else -2] < 0xdc:
                    data += b"x"
                text = data.decode("utf-16" + order, "replace").replace("\0", "\ufffd")
                # Python keeps a mark of UTF-8 here as text; a file of it would lose it.
                want = read_text(b"\xef\xbb\xbf" + text.encode(), work)
                if text and read_text(mark + data, work) != want:
                    bad.append(data)
            report(f"UTF-16{order.upper()}", bad, 400)
        bad = []
        for _ in range(400):
            data = b"." + broken(rng)
            want = data.decode("utf-8", "replace").replace("\0", "\ufffd").encode()
            if read_text(data, work) != read_text(want, work):
                bad.append(data)
        report("UTF-8", bad, 400)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
