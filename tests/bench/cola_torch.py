# SPDX-License-Identifier: MIT
"""CoLA with PyTorch and transformers, the settings of pipelines/cola.sh: what our MCC is held
against.  Usage: cola_torch.py MODEL FOLDER [RATE:SEED...]; prints a line for every epoch."""
import random, sys, time

import numpy, torch
from sklearn.metrics import matthews_corrcoef
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup

MODEL, FOLDER = sys.argv[1], sys.argv[2]
RUNS = sys.argv[3:] or [f"{rate}:{seed}" for rate in ("2e-5", "5e-5") for seed in (42, 1, 2)]
BATCH, EPOCHS, LENGTH = 32, 4, 64

tokenizer = Tokenizer.from_file(f"{MODEL}/tokenizer.json")
tokenizer.no_padding()
tokenizer.enable_truncation(LENGTH)


def load(name):
    with open(f"{FOLDER}/{name}.tsv", encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [(tokenizer.encode(row[3]).ids, int(row[1])) for row in rows]


def tensors(batch):
    ids = torch.zeros(len(batch), max(len(i) for i, _ in batch), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for k, (row, _) in enumerate(batch):
        ids[k, :len(row)] = torch.tensor(row)
        mask[k, :len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([y for _, y in batch])}


def mcc(model, data):
    model.eval()
    with torch.no_grad():
        guesses = [model(**tensors(data[i:i + 64])).logits.argmax(1) for i in range(0, len(data), 64)]
    model.train()
    return matthews_corrcoef([y for _, y in data], torch.cat(guesses))


def train(rate, seed, data, dev, out):
    random.seed(seed), numpy.random.seed(seed), torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=2, dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, eps=1e-8, weight_decay=0.0, fused=True)
    steps = (len(data) + BATCH - 1) // BATCH
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps * EPOCHS)
    for epoch in range(EPOCHS):
        order, total, start = torch.randperm(len(data)).tolist(), 0.0, time.perf_counter()
        for i in range(0, len(order), BATCH):
            batch = [data[k] for k in order[i:i + BATCH]]
            loss = model(**tensors(batch)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.item() * len(batch)
        print(f"{rate}\t{seed}\t{epoch + 1}\t{total / len(data):.3f}\t{mcc(model, dev):.3f}\t{mcc(model, out):.3f}"
              f"\t{time.perf_counter() - start:.0f}", flush=True)


print("rate\tseed\tepoch\tloss\tmcc_in\tmcc_out\tseconds", flush=True)
data, dev, out = load("in_domain_train"), load("in_domain_dev"), load("out_of_domain_dev")
for run in RUNS:
    rate, seed = run.split(":")
    train(float(rate), int(seed), data, dev, out)
