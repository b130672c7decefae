#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the steps of tok --clean with Python: html, unicodedata, re, regex, str's methods.

    python3 tests/parity/clean.py BIN TOOLS [STEP...]

TOOLS has the program made from tests/parity/cleaned.c.  Texts are random ones of hard pieces,
every code point, and the corpora in ../shared/data where they are.  Steps whose facts depend
on the Unicode version are compared on what Python's version has assigned.
"""
import csv
import html
import html.parser
import os
import random
import struct
import subprocess
import sys
import unicodedata

import regex

TOOLS = sys.argv[2]
STEPS = sys.argv[3:]
HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "..", "..", "shared", "data")
passed = failed = 0


def ours(step, texts):
    data = b"".join(struct.pack("=I", len(t)) + t for t in (t.encode() for t in texts))
    out = subprocess.run([TOOLS + "/cleaned", step], input=data, stdout=subprocess.PIPE,
                         check=True).stdout
    result, at = [], 0
    for _ in texts:
        n, = struct.unpack_from("=I", out, at)
        result.append(out[at + 4:at + 4 + n].decode())
        at += 4 + n
    assert at == len(out)
    return result


def compare(what, step, judge, texts):
    global passed, failed
    name = step.split("=")[0]
    if STEPS and name not in STEPS:
        return
    bad = [(ascii(t[:120]), ascii(g[:120]), ascii(w[:120]))
           for t, g, w in zip(texts, ours(step, texts), map(judge, texts)) if g != w]
    failed += bool(bad)
    passed += not bad
    print(f"{'not ok' if bad else 'ok'} - {step}: {what}: {len(texts)} compared, "
          f"{len(bad)} differ", flush=True)
    for b in bad[:5]:
        print("#   text", b[0], "\n#   ours", b[1], "\n#   want", b[2])


# ---- the judges ----

LOST = regex.compile(r" ?(?<![0-9A-Za-z_&#\x80-\U0010ffff])(#[0-9]{1,7};|#[xX][0-9a-fA-F]{1,6};|"
                     r"(?:quot|amp|lt|gt|apos|nbsp|hellip|mdash|ndash|[lr][sd]quo);)")


URL = regex.compile(r"(?<![0-9A-Za-z_])(?:(?i:https?|ftp)://|(?i:www)\.)"
                    r"(?=[0-9A-Za-z\x80-\U0010ffff])"
                    r"[!#-;=?-~\u00a1-\u1fff--\s--\u00ad\u061c\u180e\u1680]*", regex.V1)


def url(word):
    def one(m):
        head = regex.match(r"(?i:https?|ftp)://|(?i:www)\.", m[0])[0]
        body = m[0][len(head):]
        tail = ""
        while body:
            last = body[-1]
            if last == ")" and body.count(")") > body.count("("):
                pass
            elif last == "]" and body.count("]") > body.count("["):
                pass
            elif last not in ".,:;!?'*":
                break
            body, tail = body[:-1], last + tail
        return word + tail if body else m[0]
    return lambda text: URL.sub(one, text)


EMAIL = regex.compile(r"(?<![0-9A-Za-z_.%+-])[0-9A-Za-z_.%+-]+@"
                      r"(?:[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?\.)+"
                      r"[A-Za-z]{2,}(?![0-9A-Za-z_-])")
USER = regex.compile(r"(?<![0-9A-Za-z_.@])@[0-9A-Za-z_]+")
EMOJI = r"[\p{Emoji}--[\x00-\x7f]--[\U0001f1e6-\U0001f1ff]]"
PICTURE = r"[%s&&[\p{Emoji_Presentation}\u2600-\U0010ffff]]" % EMOJI
MODIFIERS = r"\ufe0f?[\U0001f3fb-\U0001f3ff]?[\U000e0020-\U000e007f]*"
EMOJIS = regex.compile(r"(?V1)[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{2}|"
                       r"(?:%s(?!\ufe0e)|%s(?=\ufe0f))%s(?:\u200d%s%s)*" %
                       (PICTURE, EMOJI, MODIFIERS, EMOJI, MODIFIERS))
VISIBLE_CF = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd"
                 "\U000110cd" + "".join(map(chr, range(0x13430, 0x13440))))


def hidden(c):
    if unicodedata.category(c) == "Cc":
        return c not in "\t\n\r"
    if unicodedata.category(c) == "Cf":
        return c not in VISIBLE_CF
    return ord(c) & 0xfffe == 0xfffe or 0xfdd0 <= ord(c) <= 0xfdef


def ctrl(text):
    out = []
    for i, c in enumerate(text):
        if not hidden(c):
            out.append(c)
        elif c.isspace():
            out.append(" ")
        elif c in "\u200c\u200d" and 0 < i < len(text) - 1 and all(
                ord(x) >= 0x80 and not x.isspace() and not hidden(x)
                for x in (text[i - 1], text[i + 1])):
            out.append(c)
    return "".join(out)


LINE_END = r"(?:\r\n|[\n\r\x0b\x0c\x85\u2028\u2029])"


def lines(text):
    text = regex.sub(r"(?<=\p{L})[-\u00ad\u2010][ \t]*" + LINE_END + r"[ \t]*(?=(\p{L}))",
                     lambda m: "" if m[1].lower() == m[1] else m[0], text)
    return regex.sub(LINE_END, " ", text)


def escapes(text):
    means = dict(n="\n", t="\t", r="\r")

    def one(m):
        if m[1]:
            return chr(0x10000 + ((int(m[1], 16) - 0xd800) << 10) + int(m[2], 16) - 0xdc00)
        if m[3]:
            c = int(m[3], 16)
            return "\ufffd" if 0xd800 <= c < 0xe000 else chr(c)
        return means.get(m[4], m[4])
    return regex.sub(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|"
                     r"\\u([0-9a-fA-F]{4})|\\([ntr\"'/\\])", one, text)


QUOTES = str.maketrans({**dict.fromkeys("\xb4\u2018\u2019\u201a\u201b\u2032\u2039\u203a", "'"),
                        **dict.fromkeys("\xab\xbb\u201c\u201d\u201e\u201f\u2033", '"'),
                        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
                        "\u2026": "..."})


def accents(text):
    return unicodedata.normalize("NFC", "".join(
        c for c in unicodedata.normalize("NFD", text)
        if unicodedata.category(c) != "Mn" or c == "\U0001171e"))  # Mc since Unicode 15


def repeat(n):
    return lambda text: regex.sub(r"(?s)([^\d\s\x1c-\x1f])\1{%d,}" % n, lambda m: m[1] * n, text)


INLINE = set("a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark nobr q s "
             "samp small span strike strong sub sup time tt u var wbr".split())


class Text(html.parser.HTMLParser):
    """The words of well-formed HTML; a tag of no line parts them."""

    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.out, self.silent, self.blank = "", 0, False

    def handle_starttag(self, tag, attrs):
        self.silent += tag in ("script", "style")
        self.blank |= tag not in INLINE

    def handle_startendtag(self, tag, attrs):
        self.blank |= tag not in INLINE

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style")
        self.blank |= tag not in INLINE

    def add(self, data):
        if data and not self.silent:
            if self.blank and self.out and not self.out[-1].isspace() and not data[0].isspace():
                self.out += " "
            self.blank = False
            self.out += data

    def handle_data(self, data):
        self.add(data)

    def handle_entityref(self, name):
        self.add(f"&{name};")

    def handle_charref(self, name):
        self.add(f"&#{name};")


def tags(text):
    parser = Text()
    parser.feed(text)
    parser.close()
    return parser.out


# ---- the texts ----

PIECES = [
    " ", "  ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u2028",
    "\u3000", "\u200b", "\u200c", "\u200d", "\u200e", "\u202e", "\ufeff", "\xad", "\x00", "\x07",
    "\x7f", "\x9f", "\ufff9", "\ufffe", "\u0600", "\u061c", "a", "B", "the", "ing", "Word", "é",
    "e\u0301", "\u0323", "\u0301\u0323", "ﬁ", "Å", "\u212b", "①", "½", "가", "각", "\u1100",
    "\u1161", "\u11a8", "ㄱ", "ｶﾞ", "\uff9e", "\ufdfa", "\u0344", "\u0f73", "ΑΣ", "Σ", "ΣΑ", "İ",
    "ς", "Я", "ж", "中文", "日本", "ひ", "٣", "९", "0", "12", "3.5", "\u2019", "\u201c", "\u2014",
    "\u2026", "-", "--", "\u2010", "'", '"', "!", "!!!!", "???", "...", "$", "#", "*", "@", "@me",
    "@@", "_", "&", "&amp;", "&amp", "&lt;", "&lt", "&notit;", "&notin;", "&#39;", "&#x27;", "&#39",
    "&#128;", "&#0;", "&#xD800;", "&#x110000;", "&#1;", "&#x1F600;", "&#;", "&#x;", "&hellip;",
    "&CounterClockwiseContourIntegral;", "&frac12", "&nosuch;", "&;", ";", " #39;", "#39;s",
    " quot;", "quot;", "lt;b gt;", "amp;", " #36;10", "\\", "\\n", "\\\\", "\\\"", "\\u00e9",
    "\\ud83d\\ude00", "\\ud83d", "\\u00", "\\x", "http://", "https://a.b/c?d=(e)&f=g.", "HTTP://x",
    "www.", "www.example.org", "ftp://h", "http://é.de/ü", "http://t.cn/a中", "xhttp://q.z",
    "me@example.org", "a.b+c@d-e.co.uk", "x@y", "@z.com", "x@-y.com", "x@y.c1", "j@k.info_", "😀",
    "❤", "❤\ufe0f", "👍🏽", "👨\u200d👩\u200d👧", "🇩🇪", "🇩", "1\ufe0f\u20e3", "#\u20e3", "©", "©\ufe0f",
    "☎\ufe0e", "↔\ufe0f", "🏴\U000e0067\U000e0062\U000e007f", "\ufe0f", "🏻", "(", ")", "[", "]", "/",
    "aaa", "oooo", "soooooo", "1111", "\u0301\u0301\u0301\u0301\u0301",
]


def texts_of(pieces, n, seed, longest=14):
    rng = random.Random(seed)
    return ["".join(rng.choice(pieces) for _ in range(rng.randint(0, longest)))
            for _ in range(n)] + [
        "".join(chr(rng.choice((rng.randrange(0x250), rng.randrange(0x3000), rng.randrange(0xd800),
                                rng.randrange(0xe000, 0x110000))))
                for _ in range(rng.randint(1, 12))) for _ in range(n // 4)]


def markup(rng, depth=0):
    out = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        name = rng.choice(["p", "b", "i", "div", "span", "a", "li", "em", "h1", "td", "DIV", "B"])
        if kind < 0.4 or depth > 3:
            out.append(rng.choice(["one", "two ", " three", "caf&eacute;", "&lt;x&gt;", "a b", "4 > 3"]))
        elif kind < 0.5:
            out.append(rng.choice(["<br>", "<br />", "<BR/>", "<hr class=x>", "<img src='a>b.png'/>"]))
        elif kind < 0.56:
            out.append(rng.choice(["<!-- <p>no</p> -->", "<!---->", "<!doctype html>",
                                   "<!-- a - b -->"]))
        elif kind < 0.62:
            tag = rng.choice(["script", "style", "SCRIPT"])
            out.append(f"<{tag} type=\"t\">if (a < b) {{ '</p>' }}</{tag}>")
        else:
            attribute = rng.choice(["", " class=\"x > y\"", " href='q'", " x = 'a \"b\" >' y", " z=1"])
            out.append(f"<{name}{attribute}>{markup(rng, depth + 1)}</{name}>")
    return "".join(out)


def corpus():
    found = []
    try:
        with open(DATA + "/agnews/part1.csv", encoding="utf-8", newline="") as f:
            for row in csv.reader(f):
                found += row[1:]
        with open(DATA + "/cola/in_domain_train.tsv", encoding="utf-8") as f:
            found += [line.rstrip("\n").split("\t")[-1] for line in f]
    except OSError:
        pass
    return found


def main():
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    assigned = [c for c in points if unicodedata.category(c) != "Cn"]
    random_texts = texts_of(PIECES, 20000, 3) + texts_of(PIECES, 300, 4, 400)
    known = ["".join(c for c in t if unicodedata.category(c) != "Cn" or hidden(c))
             for t in random_texts]
    real = corpus()
    form = {n: (lambda t, n=n: unicodedata.normalize(n.upper(), t))
            for n in ("nfc", "nfd", "nfkc", "nfkd")}
    rng = random.Random(5)
    for step, judge in form.items():
        compare("every code point", step, judge, assigned)
        compare("beside others", step, judge,
                [a + c + b for c in assigned for a, b in (("e\u0323", "\u0301\u0316"),)])
        compare("random texts", step, judge, known)
    every = {
        "entities": html.unescape,
        "lost-amp": lambda t: LOST.sub(lambda m: html.unescape("&" + m[1]), t),
        "url": url(""), "url=LINK": url("LINK"),
        "email": lambda t: EMAIL.sub("", t), "email=@": lambda t: EMAIL.sub("@", t),
        "user": lambda t: USER.sub("", t), "user=@USER": lambda t: USER.sub("@USER", t),
        "emoji": lambda t: EMOJIS.sub("", t), "emoji=E": lambda t: EMOJIS.sub("E", t),
        "digits": lambda t: regex.sub(r"\d+", "", t), "digits=0": lambda t: regex.sub(r"\d+", "0", t),
        "repeat": repeat(3), "repeat=1": repeat(1), "escapes": escapes,
        "backslash": lambda t: t.replace("\\", " "), "lines": lines, "ctrl": ctrl,
        "quotes": lambda t: t.translate(QUOTES), "accents": accents, "lower": str.lower,
        "ws": lambda t: " ".join(t.split()), "trim": str.strip,
    }
    for step, judge in every.items():
        compare("every code point", step, judge, assigned)
        compare("random texts", step, judge, known)
        if real:
            compare("CoLA and AG News", step, judge, real)
    pages = [markup(rng) for _ in range(20000)]
    compare("well-formed pages", "tags", tags, pages)
    compare("well-formed pages", "html", lambda t: html.unescape(tags(t)), pages)
    names = [f"&{n}" for n in html.entities.html5] + [f"&{n[:-1]}x" for n in html.entities.html5]
    numbers = [f"&#{n};" for n in range(0x3000)] + [f"&#x{n:X}" for n in range(0xD000, 0x11FFFF, 77)]
    compare("every name, many numbers", "entities", html.unescape, names + numbers)
    compare("in any order", "lower,nfkc,ws",
            lambda t: " ".join(unicodedata.normalize("NFKC", t.lower()).split()), known)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
