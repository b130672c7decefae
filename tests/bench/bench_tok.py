# SPDX-License-Identifier: MIT
"""tok against `tokenizers`, one thread each, the same text, in turn: A B A B ...

tok is timed as a whole process, start-up, reading and compression included; `tokenizers` is
timed inside Python without loading, in batches of 1,000 lines, ids only.  Medians of RUNS.
"""
import csv, os, statistics, subprocess, sys, tempfile, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer

BIN, DATA = sys.argv[1], sys.argv[2]
RUNS = 5
MODELS = {"WordPiece (minilm-l6)": "minilm-l6", "byte-level BPE (roberta-base)": "roberta-base"}


def texts():
    """{name: lines}; each about 20 MB, made of the corpus again and again."""
    with open(f"{DATA}/cola/in_domain_train.tsv", encoding="utf-8") as f:
        cola = [line.rstrip("\n").split("\t")[3] for line in f]
    with open(f"{DATA}/agnews/part1.csv", encoding="utf-8", newline="") as f:
        news = [" ".join(row[1:]).replace("\n", " ") for row in csv.reader(f)]
    for name, lines in {"CoLA": cola, "AG News": news}.items():
        size = sum(len(line.encode()) + 1 for line in lines)
        yield name, lines * max(1, 20_000_000 // size)


def time_tok(model, path):
    start = time.perf_counter()
    subprocess.run([f"{BIN}/tok", "-m", f"{DATA}/models/{model}", "--format", "text", "-@", "1",
                    path], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def time_peer(tokenizer, lines):
    start = time.perf_counter()
    for i in range(0, len(lines), 1000):
        for encoding in tokenizer.encode_batch_fast(lines[i:i + 1000], add_special_tokens=False):
            encoding.ids
    return time.perf_counter() - start


print(f"{'model':32}{'text':10}{'MB':>6}{'tok MB/s':>10}{'tokenizers MB/s':>17}{'ratio':>8}")
for name, lines in texts():
    # The peer is slow and steady: a tenth of the text is enough for it.
    sample = lines[:len(lines) // 10]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
        f.flush()
        size = os.path.getsize(f.name) / 1e6
        sample_size = sum(len(line.encode()) + 1 for line in sample) / 1e6
        for label, model in MODELS.items():
            tokenizer = Tokenizer.from_file(f"{DATA}/models/{model}/tokenizer.json")
            tokenizer.no_truncation()
            tokenizer.no_padding()
            ours, peers = [], []
            for _ in range(RUNS):
                ours.append(size / time_tok(model, f.name))
                peers.append(sample_size / time_peer(tokenizer, sample))
            ratio = statistics.median(a / b for a, b in zip(ours, peers))
            print(f"{label:32}{name:10}{size:6.0f}{statistics.median(ours):10.1f}"
                  f"{statistics.median(peers):17.2f}{ratio:8.1f}")
