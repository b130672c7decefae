# SPDX-License-Identifier: MIT
"""The tools as a user calls them against PyTorch and transformers: tok | finetune | score and
mlm-pretrain on small random models of both families.

Losses, gradient norms and rates of every step of the log, dropout off, records in order; the
written directory opens in transformers and gives score's logits; held-out losses and metrics.
"""
import json, logging, math, os, subprocess, sys, tempfile

import torch
from tokenizers import Tokenizer
from transformers import (AutoModelForMaskedLM, AutoModelForSequenceClassification, BertConfig,
                          BertForMaskedLM, RobertaConfig, RobertaForMaskedLM, get_scheduler)
from transformers.utils import logging as hf_logging

BIN = sys.argv[1]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BATCH, ACCUM, EPOCHS, LENGTH = 4, 2, 3, 16
passed = failed = 0
heard = []


class Ear(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())


hf_logging.set_verbosity_warning()
hf_logging.disable_progress_bar()
logging.getLogger("transformers").addHandler(Ear())


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAIL", name, detail, flush=True)


def run(*command, stdin=None):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def grammar(n, seed):
    rows = run("awk", "-v", f"n={n}", "-v", f"seed={seed}", "-f", f"{ROOT}/pipelines/grammar.awk").decode()
    return [line.split("\t") for line in rows.splitlines()]


def base_model(folder, family):
    """A directory with a trained vocabulary and a random masked-LM checkpoint."""
    out = f"{folder}/{family}"
    text = "\n".join(row[1] for row in grammar(300, 1)).encode()
    kind = ["--kind", "bpe", "--size", "400"] if family == "roberta" else ["--size", "200"]
    run(f"{BIN}/vocab", *kind, "--format", "text", "-o", out, stdin=text)
    tokenizer = Tokenizer.from_file(f"{out}/tokenizer.json")
    sizes = dict(vocab_size=tokenizer.get_vocab_size(), hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
                 intermediate_size=40, max_position_embeddings=40, initializer_range=0.3)
    torch.manual_seed(7)
    if family == "bert":
        model = BertForMaskedLM(BertConfig(**sizes))
    else:
        model = RobertaForMaskedLM(RobertaConfig(**sizes, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2))
    model.save_pretrained(out)
    tokenizer.enable_truncation(LENGTH)
    return out, tokenizer


def tensors(encodings, pad):
    width = max(len(e.ids) for e in encodings)
    fill = lambda rows, value: torch.tensor([row + [value] * (width - len(row)) for row in rows])
    return {"input_ids": fill([e.ids for e in encodings], pad), "attention_mask": fill([[1] * len(e.ids) for e in encodings], 0),
            "token_type_ids": fill([e.type_ids for e in encodings], 0)}


def log_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class Peer:
    """Trains as finetune does; one line of (loss, rate, norm) a step."""

    def __init__(self, model, schedule, warmup, steps, lr, decay):
        self.model = model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        no_decay = ("bias", "LayerNorm.weight", "layer_norm.weight")
        named = list(model.named_parameters())
        groups = [{"params": [p for n, p in named if not n.endswith(no_decay)], "weight_decay": decay},
                  {"params": [p for n, p in named if n.endswith(no_decay)], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, eps=1e-8)
        names = {"poly": "polynomial", "constant": "constant_with_warmup"}
        self.schedule = get_scheduler(names.get(schedule, schedule), self.optimizer, num_warmup_steps=warmup, num_training_steps=steps)

    def step(self, micro_batches, count, loss_of):
        total = 0.0
        for batch in micro_batches:
            loss = loss_of(self.model, batch) / count
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0).item()
        rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return total, rate, norm


def compare(name, log, peer_steps):
    steps = [e for e in log if e["event"] == "step"]
    check(f"{name}: number of steps", len(steps) == len(peer_steps), f"{len(steps)} {len(peer_steps)}")
    for ours, (loss, rate, norm) in zip(steps, peer_steps):
        check(f"{name}: loss at step {ours['step']}", abs(ours["loss"] - loss) < 1e-3 * max(1, abs(loss)), f"{ours['loss']} {loss}")
        check(f"{name}: rate at step {ours['step']}", math.isclose(ours["lr"], rate, rel_tol=1e-5, abs_tol=1e-12), f"{ours['lr']} {rate}")
        check(f"{name}: norm at step {ours['step']}", math.isclose(ours["grad_norm"], norm, rel_tol=2e-3), f"{ours['grad_norm']} {norm}")


def finetune_case(folder, family, problem, schedule):
    base, tokenizer = base_model(f"{folder}", family) if not os.path.isdir(f"{folder}/{family}") else (
        f"{folder}/{family}", None)
    if tokenizer is None:
        tokenizer = Tokenizer.from_file(f"{base}/tokenizer.json")
        tokenizer.enable_truncation(LENGTH)
    name, pad = f"{family} {problem} {schedule}", 1 if family == "roberta" else 0
    data = grammar(37, 3)
    pairs = problem == "pairs"
    if problem == "multi":
        labels = [",".join(sorted({"good" if y == "1" else "bad", "long" if len(t) > 40 else "short"})) for y, t in data]
        classes = sorted({c for l in labels for c in l.split(",")})
        gold = torch.tensor([[float(c in l.split(",")) for c in classes] for l in labels])
    elif problem == "regression":
        labels = [repr(len(t) / 10) for _, t in data]
        classes, gold = ["LABEL_0"], torch.tensor([[float(l)] for l in labels])
    else:
        labels = [["no", "yes", "odd"][(int(y) + len(t) % 2)] for y, t in data]
        classes = sorted(set(labels))
        gold = torch.tensor([classes.index(l) for l in labels])
    second = [grammar(37, 4)[i][1] for i in range(37)] if pairs else None
    tsv = "".join(f"{l}\t{t}" + (f"\t{second[i]}" if pairs else "") + "\n" for i, (l, (_, t)) in enumerate(zip(labels, data)))
    columns = ["--header", "no", "--label", "1", "--text", "2"] + (["--pair", "3"] if pairs else [])
    stream = run(f"{BIN}/tok", "-m", base, *columns, stdin=tsv.encode())
    kind = {"multi": "multi", "regression": "regression"}.get(problem, "single")
    steps_per_epoch = math.ceil(len(data) / (BATCH * ACCUM))
    total, warmup = steps_per_epoch * EPOCHS, 3
    start, out = f"{folder}/start", f"{folder}/out"
    run(f"{BIN}/finetune", "-f", "-m", base, "-o", start, "--problem", kind, "--max-steps", "0", stdin=stream)
    run(f"{BIN}/finetune", "-f", "-m", start, "-o", out, "--problem", kind, "--batch", BATCH, "--accum", ACCUM, "--epochs", EPOCHS,
        "--lr", "1e-3", "--schedule", schedule, "--warmup", warmup, "--weight-decay", "0.01", "--dropout", "0", "--shuffle", "none",
        "--max-len", LENGTH, "--log", f"{folder}/log", stdin=stream)
    heard.clear()
    peer = Peer(AutoModelForSequenceClassification.from_pretrained(start), schedule, warmup, total, 1e-3, 0.01)
    trained = AutoModelForSequenceClassification.from_pretrained(out).eval()
    check(f"{name}: opens without a warning", not heard, heard)
    check(f"{name}: labels", problem == "regression" or [trained.config.id2label[i] for i in range(len(classes))] == classes)
    texts = [(t, second[i]) if pairs else t for i, (_, t) in enumerate(data)]
    encodings = tokenizer.encode_batch(texts)

    def loss_of(model, chosen):
        logits = model(**tensors([encodings[i] for i in chosen], pad)).logits
        want = gold[chosen]
        if kind == "single":
            return torch.nn.functional.cross_entropy(logits, want, reduction="sum")
        if kind == "multi":
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, want, reduction="none").mean(1).sum()
        return ((logits - want) ** 2).sum()

    lines = []
    for _ in range(EPOCHS):
        for at in range(0, len(data), BATCH * ACCUM):
            rows = list(range(at, min(at + BATCH * ACCUM, len(data))))
            lines.append(peer.step([rows[i:i + BATCH] for i in range(0, len(rows), BATCH)], len(rows), loss_of))
    compare(name, log_of(f"{folder}/log"), lines)
    rows = run(f"{BIN}/score", "-m", out, "--logits", "--max-len", LENGTH, stdin=stream).decode().splitlines()[1:]
    with torch.no_grad():
        want = trained(**tensors(encodings, pad)).logits
    got = torch.tensor([[float(v) for v in row.split("\t")[3:]] for row in rows])
    check(f"{name}: score's logits", torch.allclose(got, want, atol=1e-4), (got - want).abs().max())
    check_vectors(name, out, trained, stream, tensors(encodings, pad))
    check(f"{name}: keys and gold", [r.split("\t")[:2] for r in rows][4] == ["5", labels[4]], rows[4])


def check_vectors(name, directory, model, stream, inputs):
    """score --embed against the hidden states of the encoder."""
    with torch.no_grad():
        hidden = model.base_model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(2)
    wanted = {"cls": hidden[:, 0], "mean": (hidden * mask).sum(1) / mask.sum(1)}
    for kind, want in wanted.items():
        rows = run(f"{BIN}/score", "-m", directory, "--embed", kind, "--max-len", LENGTH, stdin=stream).decode().splitlines()[1:]
        got = torch.tensor([[float(v) for v in row.split("\t")[2:]] for row in rows])
        check(f"{name}: score's vectors, {kind}", torch.allclose(got, want, atol=1e-4), (got - want).abs().max())


def mlm_case(folder, family):
    base = f"{folder}/{family}"
    tokenizer = Tokenizer.from_file(f"{base}/tokenizer.json")
    data, pad, out = [t for _, t in grammar(29, 5)], 1 if family == "roberta" else 0, f"{folder}/mlm"
    stream = run(f"{BIN}/tok", "-m", base, "--format", "text", stdin="\n".join(data).encode())
    run(f"{BIN}/mlm-pretrain", "-f", "-m", base, "-o", out, "--block", "12", "--mlm-prob", "1", "--mask", "0,0,100", "--batch", BATCH,
        "--accum", ACCUM, "--epochs", "2", "--lr", "1e-3", "--dropout", "0", "--shuffle", "none", "--log", f"{folder}/mlm.log", stdin=stream)
    pieces = []
    for text in data:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        pieces += [ids[i:i + 10] for i in range(0, len(ids), 10)]
    whole = tokenizer.encode("a").ids
    cls, sep = whole[0], whole[-1]
    steps = math.ceil(len(pieces) / (BATCH * ACCUM)) * 2
    heard.clear()
    peer = Peer(AutoModelForMaskedLM.from_pretrained(base), "linear", 0, steps, 1e-3, 0.0)
    trained = AutoModelForMaskedLM.from_pretrained(out)
    check(f"{family} mlm: opens without a warning", not heard, heard)

    def loss_of(model, chosen):
        rows = [[cls] + pieces[i] + [sep] for i in chosen]
        width = max(map(len, rows))
        ids = torch.tensor([r + [pad] * (width - len(r)) for r in rows])
        mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
        labels = torch.tensor([[-100] + r[1:-1] + [-100] * (width - len(r) + 1) for r in rows])
        logits = model(input_ids=ids, attention_mask=mask).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=-100)

    lines = []
    for _ in range(2):
        for at in range(0, len(pieces), BATCH * ACCUM):
            rows = list(range(at, min(at + BATCH * ACCUM, len(pieces))))
            lines.append(peer.step([rows[i:i + BATCH] for i in range(0, len(rows), BATCH)], sum(len(pieces[i]) for i in rows), loss_of))
    compare(f"{family} mlm", log_of(f"{folder}/mlm.log"), lines)
    drift = max((a - b).abs().max().item() for a, b in zip(trained.state_dict().values(), peer.model.state_dict().values()))
    check(f"{family} mlm: the written weights", drift < 2e-3, drift)


torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    for family in ("bert", "roberta"):
        for problem, schedule in (("single", "linear"), ("pairs", "cosine"), ("multi", "poly"), ("regression", "constant")):
            before = failed
            finetune_case(folder, family, problem, schedule)
            print(f"{family} {problem} {schedule}:", "ok" if failed == before else "differs", flush=True)
        before = failed
        mlm_case(folder, family)
        print(f"{family} mlm:", "ok" if failed == before else "differs", flush=True)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
