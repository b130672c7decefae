# SPDX-License-Identifier: MIT
"""vocab against the trainers of `tokenizers`, one thread each, the same text, in turn: A B A B ...

vocab is timed as a whole process, reading and writing its directory included; `tokenizers` is
timed inside Python, Tokenizer.train(files) alone.  Medians of RUNS, of wall and of CPU seconds:
on a busy machine the second is the one to look at.  Then, for Unigram, what both vocabularies
make of the text: tokens, and log likelihood with the scores normalized to a distribution.
"""
import csv, json, math, os, resource, statistics, subprocess, sys, tempfile, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

BIN, DATA = sys.argv[1], sys.argv[2]
RUNS, SIZE = 5, 8000
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def text():
    """CoLA and AG News, one text a line; 1.5 MB."""
    with open(f"{DATA}/cola/in_domain_train.tsv", encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("\t")[3] for line in f]
    with open(f"{DATA}/agnews/part1.csv", encoding="utf-8", newline="") as f:
        lines += [" ".join(row[1:]).replace("\n", " ") for row in csv.reader(f)]
    return "\n".join(lines) + "\n"


def peer(kind):
    """A tokenizer with the rules of vocab's, and a trainer for it."""
    usual = dict(vocab_size=SIZE, show_progress=False)
    if kind == "bpe":
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return t, trainers.BpeTrainer(min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                      special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], **usual)
    if kind == "unigram":
        t = Tokenizer(models.Unigram())
        t.normalizer = normalizers.Sequence([
            normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
            normalizers.StripAccents(), normalizers.Lowercase()])
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        return t, trainers.UnigramTrainer(special_tokens=["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
                                          unk_token="<unk>", **usual)
    word = kind == "word"
    t = Tokenizer((models.WordLevel if word else models.WordPiece)(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer if word else trainers.WordPieceTrainer
    return t, trainer(min_frequency=2, special_tokens=BERT, **usual)


def cpu_of_children():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def time_ours(kind, path, out):
    wall, cpu = time.perf_counter(), cpu_of_children()
    subprocess.run([f"{BIN}/vocab", "-q", "-f", "--kind", kind, "--size", str(SIZE), "--format", "text",
                    "-@", "1", "-o", out, path], check=True)
    return time.perf_counter() - wall, cpu_of_children() - cpu


def time_peer(kind, path, out):
    tokenizer, trainer = peer(kind)
    wall, cpu = time.perf_counter(), time.process_time()
    tokenizer.train([path], trainer)
    took = time.perf_counter() - wall, time.process_time() - cpu
    tokenizer.save(out)
    return took


def quality(path, lines):
    """Tokens of the lines and their log likelihood."""
    with open(path, encoding="utf-8") as f:
        spec = json.load(f)
    special = {token["id"] for token in spec["added_tokens"]}
    score = [s for _, s in spec["model"]["vocab"]]
    norm = math.log(sum(math.exp(s) for i, s in enumerate(score) if i not in special))
    ids = [i for e in Tokenizer.from_file(path).encode_batch(lines, add_special_tokens=False) for i in e.ids]
    return len(ids), sum(score[i] - norm for i in ids if i not in special)


with tempfile.TemporaryDirectory() as folder:
    once = text()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; {SIZE} tokens")
    print(f"{'kind':10}{'MB':>6}{'vocab s':>9}{'tokenizers s':>14}{'ratio':>7}{'of CPU time':>13}")
    for kind in ("wordpiece", "bpe", "unigram", "word"):
        for times in (1, 10):
            path = f"{folder}/text"
            with open(path, "w", encoding="utf-8") as f:
                f.write(once * times)
            ours, peers = [], []
            for _ in range(RUNS):
                ours.append(time_ours(kind, path, f"{folder}/{kind}"))
                peers.append(time_peer(kind, path, f"{folder}/{kind}.json"))
            wall = statistics.median(b[0] / a[0] for a, b in zip(ours, peers))
            cpu = statistics.median(b[1] / a[1] for a, b in zip(ours, peers))
            print(f"{kind:10}{os.path.getsize(path) / 1e6:6.1f}{statistics.median(a for a, _ in ours):9.3f}"
                  f"{statistics.median(b for b, _ in peers):14.3f}{wall:7.1f}{cpu:13.1f}", flush=True)
    lines = once.splitlines()
    for who, path in ("vocab", f"{folder}/unigram/tokenizer.json"), ("tokenizers", f"{folder}/unigram.json"):
        tokens, likelihood = quality(path, lines)
        print(f"unigram, {who}: {tokens} tokens, log likelihood {likelihood:.0f}")
