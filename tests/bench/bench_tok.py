# SPDX-License-Identifier: MIT
"""tok against `tokenizers` and BlingFire, one thread each, the same text, in turn: A B A B ...

    bench_tok.py BIN DATA [RUNS [MB [PART...]]]

PART is CoLA, "AG News", code, Chinese, threads or start; all of them when none is given.  MB is the
size of each text [20], of which the peers get a tenth.

tok is timed as a whole process, start-up, reading and compression included; the others inside
Python without loading: `tokenizers` in batches of 1,000 lines, ids only; BlingFire (when it can be
imported; its ids need not be the same) line by line.  Medians of RUNS.  Then tok alone: two
threads against one, beside what two processes at once do on this machine, and the time that one
line takes, the start, with BERT's, RoBERTa's and a Unigram vocabulary as large as XLM-R's.
"""
import csv, glob, importlib.util, json, os, random, statistics, subprocess, sys, tempfile, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer

BIN, DATA = sys.argv[1], sys.argv[2]
RUNS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
SIZE = int(1e6 * float(sys.argv[4])) if len(sys.argv) > 4 else 20_000_000
PARTS = sys.argv[5:] or ["CoLA", "AG News", "code", "Chinese", "threads", "start"]
HERE = os.path.dirname(os.path.abspath(__file__))
TRAINED = tempfile.TemporaryDirectory()
# Name, directory, and the file of BlingFire that does the same, or nearly.
MODELS = (("WordPiece (minilm-l6)", f"{DATA}/models/minilm-l6", "bert_base_tok.bin"),
          ("byte-level BPE (roberta-base)", f"{DATA}/models/roberta-base", "roberta.bin"),
          ("Unigram (trained)", f"{TRAINED.name}/unigram", "xlm_roberta_base.bin"))


def news():
    with open(f"{DATA}/agnews/part1.csv", encoding="utf-8", newline="") as f:
        return [" ".join(row[1:]).replace("\n", " ") for row in csv.reader(f)]


def chinese():
    """Made of the tokens of BERT's Chinese vocabulary; there is no corpus."""
    with open(f"{DATA}/vocab/bert-base-chinese.txt", encoding="utf-8") as f:
        letters = [t for t in f.read().split("\n") if len(t) == 1 and "\u4e00" <= t <= "\u9fff"]
    rng = random.Random(1)
    weights = [1 / (i + 10) for i in range(len(letters))]
    return ["，".join("".join(rng.choices(letters, weights, k=rng.randint(4, 20)))
                     for _ in range(5)) + "。" for _ in range(5000)]


def texts():
    """{name: lines}, each about SIZE bytes, made of the text again and again."""
    with open(f"{DATA}/cola/in_domain_train.tsv", encoding="utf-8") as f:
        cola = [line.rstrip("\n").split("\t")[3] for line in f]
    code = []
    for path in sorted(glob.glob(f"{HERE}/../../lib/*.c")):
        with open(path, encoding="utf-8") as f:
            code += f.read().split("\n")
    for name, lines in {"CoLA": cola, "AG News": news(), "code": code,
                        "Chinese": chinese()}.items():
        size = sum(len(line.encode()) + 1 for line in lines)
        yield name, lines * max(1, SIZE // size)


def train(corpora):
    """A Unigram tokenizer with ALBERT's normalizer, from each text once."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
        for lines in corpora.values():
            f.write("\n".join(dict.fromkeys(lines)) + "\n")
        f.flush()
        subprocess.run([f"{BIN}/vocab", "-q", "--kind", "unigram", "--size", "32000", "--format",
                        "text", "-o", MODELS[2][1], f.name], check=True)


def time_tok(model, path, threads=1, copies=1):
    """Seconds of so many processes at once; a model is a directory, or a name under DATA."""
    start = time.perf_counter()
    running = [subprocess.Popen([f"{BIN}/tok", "-q", "-m", os.path.join(f"{DATA}/models", model),
                                 "--format", "text", "-@", str(threads), path],
                                stdout=subprocess.DEVNULL) for _ in range(copies)]
    if any([p.wait() for p in running]):
        sys.exit("tok failed")
    return time.perf_counter() - start


def time_peer(tokenizer, lines):
    start = time.perf_counter()
    for i in range(0, len(lines), 1000):
        for encoding in tokenizer.encode_batch_fast(lines[i:i + 1000], add_special_tokens=False):
            encoding.ids
    return time.perf_counter() - start


def bling(file):
    """A function that times lines, or None."""
    if not importlib.util.find_spec("blingfire"):
        return None
    import blingfire
    path = os.path.join(os.path.dirname(blingfire.__file__), file)
    if not os.path.exists(path):
        return None
    handle = blingfire.load_model(path)

    def run(lines):
        start = time.perf_counter()
        for line in lines:
            blingfire.text_to_ids(handle, line, 512, 100)
        return time.perf_counter() - start

    return run


def compare(name, lines):
    # The peers are slow and steady: a tenth of the text is enough for them.
    sample = lines[:len(lines) // 10]
    mb = sum(len(line.encode()) + 1 for line in sample) / 1e6
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
        f.flush()
        size = os.path.getsize(f.name) / 1e6
        for label, model, file in MODELS:
            tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
            tokenizer.no_truncation()
            tokenizer.no_padding()
            fire = bling(file)
            ours, peers, fires = [], [], []
            for _ in range(RUNS):
                ours.append(size / time_tok(model, f.name))
                peers.append(mb / time_peer(tokenizer, sample))
                fires.append(mb / fire(sample) if fire else float("nan"))
            ratio = [statistics.median(a / b for a, b in zip(ours, p)) for p in (peers, fires)]
            print(f"{label:32}{name:10}{size:6.0f}{statistics.median(ours):10.1f}"
                  f"{statistics.median(peers):17.2f}{ratio[0]:8.1f}"
                  f"{statistics.median(fires):15.2f}{ratio[1]:8.1f}", flush=True)


def two_threads(lines):
    """100 MB, so that starting does not count.  Two cores may share what they compute with."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
        for _ in range(max(1, 100_000_000 // SIZE)):
            f.write("\n".join(lines) + "\n")
        f.flush()
        for label, model, _ in MODELS:
            runs = [(time_tok(model, f.name), time_tok(model, f.name, 2),
                     time_tok(model, f.name, copies=2)) for _ in range(RUNS)]
            for what, choose in (("in the middle", statistics.median), ("at best", min)):
                one, two, both = (choose(r) for r in zip(*runs))
                print(f"{label:32}{os.path.getsize(f.name) / 1e6:6.0f} MB, two threads: "
                      f"{one / two:.2f} times one; two processes at once: {2 * one / both:.2f} "
                      f"({what})")


def write_large(directory):
    """A tokenizer.json of the size of XLM-R's: 250,002 pieces in several scripts, 9 MB."""
    rng = random.Random(3)
    with open(f"{DATA}/vocab/bert-base-uncased.txt", encoding="utf-8") as f:
        latin = [t for t in f.read().split("\n") if t.isalpha() and len(t) > 1]
    scripts = [(45, None), (20, range(0x430, 0x450)), (10, range(0x627, 0x64b)),
               (7, range(0x905, 0x93a)), (8, range(0xac00, 0xd7a4)), (10, range(0x4e00, 0x9fa6))]
    pieces = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>"])
    while len(pieces) < 250_002:
        script = rng.choices(scripts, [s[0] for s in scripts])[0][1]
        word = (rng.choice(latin)[:rng.randint(2, 7)] + rng.choice(latin)[:3] if script is None else
                "".join(chr(rng.choice(script)) for _ in range(rng.randint(2, 7))))
        pieces["\u2581" * (rng.random() < .6) + word] = None
    blank = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"}
    with open(f"{directory}/tokenizer.json", "w", encoding="utf-8") as f:
        json.dump({"added_tokens": [], "normalizer": {"type": "NFKC"}, "pre_tokenizer": blank,
                   "decoder": blank, "model": {"type": "Unigram", "unk_id": 3, "vocab": [
                       [p, -rng.random() * 15] for p in pieces]}}, f, ensure_ascii=False)


def starting():
    with tempfile.TemporaryDirectory() as directory:
        write_large(directory)
        line = f"{directory}/line.txt"
        with open(line, "w", encoding="utf-8") as f:
            f.write("A line of eight words, and a few.\n")
        models = [(label, model) for label, model, _ in MODELS]
        times = {label: [] for label, _ in models + [("Unigram, 250,002 pieces", "")]}
        for _ in range(8 * RUNS):
            for label, model in models + [("Unigram, 250,002 pieces", directory)]:
                times[label].append(1e3 * time_tok(model, line))
        for label, ms in times.items():
            print(f"{label:32}one line: {min(ms):.1f} ms at best, "
                  f"{statistics.median(ms):.1f} ms in the middle")


print(f"{'model':32}{'text':10}{'MB':>6}{'tok MB/s':>10}{'tokenizers MB/s':>17}{'ratio':>8}"
      f"{'BlingFire MB/s':>15}{'ratio':>8}")
corpora = dict(texts())
train(corpora)
for name, lines in corpora.items():
    if name in PARTS:
        compare(name, lines)
if "threads" in PARTS:
    two_threads(corpora["AG News"])
if "start" in PARTS:
    starting()
