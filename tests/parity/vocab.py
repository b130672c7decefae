# SPDX-License-Identifier: MIT
"""vocab against the outside judge: its directories open in tokenizers and transformers and give
tok's ids, and what it learns is what tokenizers' own trainers learn on the same corpus: the same
merges and words; for Unigram, where many vocabularies are good, no more tokens and no less
likelihood (within 1 %)."""
import json, math, os, subprocess, sys, tempfile
from collections import Counter

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

BIN = sys.argv[1]
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {detail}"))


def run(*command, **more):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, **more).stdout


def corpus(path):
    """Grammar sentences with some accents, capitals, digits and another script between them."""
    grammar = os.path.join(os.path.dirname(__file__), "..", "..", "pipelines", "grammar.awk")
    lines = run("awk", "-v", "n=3000", "-v", "seed=9", "-v", "good=1", "-f", grammar).decode().splitlines()
    extra = ["Über Café naïve Zoë", "In 1984 it cost 3.50 euros!", "你好 世界", "don't can't we'll", "AaaaaA bbb"]
    with open(path, "w", encoding="utf-8") as f:
        for i, line in enumerate(lines):
            f.write(line.capitalize() + "\n" + extra[i % len(extra)] + "\n")


def peer(kind, size, path):
    """The same vocabulary from tokenizers' trainer."""
    if kind == "wordpiece":
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer = normalizers.BertNormalizer()
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=size, min_frequency=2, show_progress=False,
            special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    elif kind == "word":
        t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        t.normalizer = normalizers.BertNormalizer()
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordLevelTrainer(vocab_size=size, min_frequency=2, show_progress=False,
                                            special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    elif kind == "unigram":
        t = Tokenizer(models.Unigram())
        t.normalizer = normalizers.Sequence([
            normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
            normalizers.StripAccents(), normalizers.Lowercase()])
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        trainer = trainers.UnigramTrainer(vocab_size=size, show_progress=False, unk_token="<unk>",
                                          special_tokens=["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])
    else:
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=size, min_frequency=2, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    t.train([path], trainer)
    return t


def quality(tokenizer, lines):
    """Tokens of the lines, and their log likelihood by scores that are a distribution."""
    spec = json.loads(tokenizer.to_str())
    special = {token["id"] for token in spec["added_tokens"]}
    score = [s for _, s in spec["model"]["vocab"]]
    norm = math.log(sum(math.exp(s) for i, s in enumerate(score) if i not in special))
    ids = [i for e in tokenizer.encode_batch(lines, add_special_tokens=False) for i in e.ids]
    return len(ids), sum(score[i] - norm for i in ids)


def compare_words(mine, theirs):
    """Both are the most frequent words; of those that are as frequent as the last, any."""
    counts = Counter(word for line in lines
                     for word, _ in mine.pre_tokenizer.pre_tokenize_str(mine.normalizer.normalize_str(line)))
    a, b = ([counts[t] for t in v.get_vocab() if t in counts] for v in (mine, theirs))
    check(f"word {size}: as frequent as the trainer's words", sorted(a) == sorted(b), (len(a), len(b)))


def compare_pieces(mine, theirs):
    (n, likelihood), (their_n, their_likelihood) = quality(mine, lines), quality(theirs, lines)
    check(f"unigram {size}: {n} tokens where the trainer's has {their_n}", n <= 1.01 * their_n)
    check(f"unigram {size}: log likelihood {likelihood:.0f}, the trainer's {their_likelihood:.0f}",
          likelihood >= 1.01 * their_likelihood)


with tempfile.TemporaryDirectory() as folder:
    text = f"{folder}/corpus.txt"
    corpus(text)
    lines = open(text, encoding="utf-8").read().splitlines()
    for kind, size in (("wordpiece", 240), ("wordpiece", 320), ("bpe", 330), ("bpe", 520), ("unigram", 120),
                       ("unigram", 300), ("word", 60), ("word", 1000)):
        out = f"{folder}/{kind}{size}"
        run(f"{BIN}/vocab", "--kind", kind, "--size", size, "--format", "text", "-o", out, text)
        reference = Tokenizer.from_file(f"{out}/tokenizer.json")
        stream = run(f"{BIN}/tok", "-m", out, "--format", "text", text)
        for special in (False, True):
            ours = run(f"{BIN}/tok", "-d", "--ids", *(["--special"] if special else []), input=stream).decode()
            theirs = [" ".join(map(str, e.ids)) for e in
                      reference.encode_batch(lines, add_special_tokens=special)]
            check(f"{kind} {size}: ids of tokenizers, specials {special}", ours.splitlines() == theirs)
        auto = AutoTokenizer.from_pretrained(out)
        want = [e.ids for e in reference.encode_batch(lines[:50])]
        check(f"{kind} {size}: AutoTokenizer opens it", auto(lines[:50])["input_ids"] == want)
        judge = peer(kind, size, text)
        if kind in ("unigram", "word"):
            (compare_words if kind == "word" else compare_pieces)(reference, judge)
            continue
        mine, theirs = set(reference.get_vocab()), set(judge.get_vocab())
        # WordPiece: tokenizers numbers the "##" letters in the order of a hash table, so that its
        # ties fall as they like; this corpus of few words has many.
        share = len(mine & theirs) / len(theirs)
        check(f"{kind} {size}: {share:.1%} of the trainer's vocabulary", share >= (1 if kind == "bpe" else 0.93),
              sorted(mine ^ theirs)[:20])
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
