# SPDX-License-Identifier: MIT
"""A CoLA training step of MiniLM, fp32, batch 32: finetune against PyTorch, in turn.

PyTorch: transformers' BertForSequenceClassification in training mode, fused AdamW, clipping at
1.0, the same batches (records in one random order), padded to the batch's longest and to 64.  Both use all cores of the
machine; nothing else may run.  Medians over steps, then over ROUNDS.
"""
import json, os, random, re, shutil, statistics, subprocess, sys, tempfile, time

import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

BIN, DATA = sys.argv[1], sys.argv[2]
ROUNDS, STEPS, BATCH = 5, 16, 32
MODEL = f"{DATA}/models/minilm-l6"


def rows():
    """The training set in one random order, as an epoch has it."""
    with open(f"{DATA}/cola/in_domain_train.tsv", encoding="utf-8") as f:
        lines = f.readlines()
    random.Random(42).shuffle(lines)
    return lines


def records(lines):
    tokenizer = Tokenizer.from_file(f"{MODEL}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(64)
    fields = [line.rstrip("\n").split("\t") for line in lines]
    return [(tokenizer.encode(f[3]).ids, int(f[1])) for f in fields]


def torch_step(model, optimizer, batch, length):
    length = length or max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, (row, _) in enumerate(batch):
        ids[i, :len(row)] = torch.tensor(row)
        mask[i, :len(row)] = 1
    loss = model(input_ids=ids, attention_mask=mask, labels=torch.tensor([y for _, y in batch])).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def time_torch(data, length):
    torch.manual_seed(42)
    model = AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0, fused=True)
    times = []
    for step in range(STEPS):
        batch = data[step * BATCH:(step + 1) * BATCH]
        start = time.perf_counter()
        torch_step(model, optimizer, batch, length)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def time_ours(stream, folder):
    out, log = f"{folder}/model", f"{folder}/log.jsonl"
    run = subprocess.run([f"{BIN}/finetune", "-m", MODEL, "-o", out, "--max-len", "64", "--batch",
                          str(BATCH), "--max-steps", str(STEPS), "--shuffle", "none", "--log", log,
                          stream],
                         check=True, capture_output=True, text=True)
    with open(log, encoding="utf-8") as f:
        steps = [json.loads(line) for line in f]
    memory = [line for line in run.stderr.splitlines() if re.search(r"memory|peak", line)]
    shutil.rmtree(out)
    os.unlink(log)
    return statistics.median([s["ms"] for s in steps if s["event"] == "step"][2:]), memory[:1]


transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
lines = rows()
data = records(lines)
with tempfile.TemporaryDirectory() as folder:
    stream = f"{folder}/train.toks.zst"
    with open(f"{folder}/train.tsv", "w", encoding="utf-8") as f:
        f.writelines(lines)
    subprocess.run([f"{BIN}/tok", "-m", MODEL, "--text", "4", "--label", "2", "--header", "no", "-o",
                    stream, f"{folder}/train.tsv"], check=True)
    times = []
    for _ in range(ROUNDS):
        ours, memory = time_ours(stream, folder)
        times.append((ours, time_torch(data, 0), time_torch(data, 64)))
ours, longest, padded = (statistics.median(column) for column in zip(*times))
print(f"CoLA step, MiniLM, fp32, batch {BATCH}, {torch.get_num_threads()} threads, medians of {ROUNDS} rounds")
print(f"{'finetune':28}{ours:9.0f} ms")
print(f"{'PyTorch, to the longest':28}{longest:9.0f} ms{statistics.median(r[1] / r[0] for r in times):8.1f}x")
print(f"{'PyTorch, to 64':28}{padded:9.0f} ms{statistics.median(r[2] / r[0] for r in times):8.1f}x")
print("finetune said:", *memory)
