# SPDX-License-Identifier: MIT
"""What the benchmarks on a GPU are held against: transformers and PyTorch, each in several ways.

Which way is best depends on versions and shapes, so all that work are timed and the best one counts.
As a script it is a whole job, from the import to the written model:  gpu_torch.py job SPEC.json
"""
import contextlib, gc, importlib.util, json, random, statistics, sys, time

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import (AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification,
                          get_linear_schedule_with_warmup)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.backends.cuda.matmul.allow_tf32 = True
FLASH = importlib.util.find_spec("flash_attn") is not None


def sync(device):
    if device == "cuda":
        torch.cuda.synchronize()


def clock(device):
    sync(device)
    return time.perf_counter()


def gpu_memory_used():
    free, total = torch.cuda.mem_get_info()
    return total - free


def allocated(device):
    """Bytes of the device now; the maximum starts again from here."""
    if device != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def most_allocated(device):
    return torch.cuda.max_memory_allocated() if device == "cuda" else 0


def clean(device):
    gc.collect()
    torch._dynamo.reset()
    if device == "cuda" and alive(device):
        torch.cuda.empty_cache()


def alive(device):
    """False when a kernel failed: nothing works in this process any more."""
    try:
        sync(device)
        return True
    except RuntimeError:
        return False


# ---- batches ----

def padded(batch, pad, device, length=0):
    """ids, mask (None when nothing is padded) and labels of [(label, ids)]."""
    length = max(length, *(len(ids) for _, ids in batch))
    ids = torch.full((len(batch), length), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, (_, row) in enumerate(batch):
        ids[i, :len(row)] = torch.tensor(row)
        mask[i, :len(row)] = 1
    labels = torch.tensor([label for label, _ in batch])
    full = bool(mask.all())
    return {"input_ids": ids.to(device), "attention_mask": None if full else mask.to(device),
            "labels": labels.to(device)}


def masked_lm(batch, words, mask_id, device):
    """15 % of the tokens are targets; 80 % of those are masked, 10 % replaced."""
    out = padded(batch, 1, "cpu")
    ids, drawn = out["input_ids"], torch.Generator().manual_seed(1)
    chance = torch.rand(ids.shape, generator=drawn)
    labels = torch.where((chance < 0.15) & (ids > 2), ids, -100)
    ids = torch.where((labels >= 0) & (chance < 0.12), mask_id, ids)
    ids = torch.where((labels >= 0) & (chance >= 0.135), torch.randint(words[0], words[1], ids.shape, generator=drawn), ids)
    mask = out["attention_mask"]
    return {"input_ids": ids.to(device), "attention_mask": None if mask is None else mask.to(device),
            "labels": labels.to(device)}


# ---- training ----

class Trainer:
    """A model, its optimizer, and one way to do a step.

    how: bf16 'autocast' over fp32 weights, 'master' (bf16 weights, fp32 master copies in the optimizer) or 'fp32';
    attention: sdpa, flash_attention_2; compile: None or a mode of torch.compile; gather: the masked-LM head on the
    targets alone.
    """

    def __init__(self, folder, task, device, how, attention="sdpa", compile_mode=None, gather=False):
        torch.manual_seed(42)
        self.device, self.how, self.gather = device, how, gather
        kind = AutoModelForMaskedLM if task == "mlm" else AutoModelForSequenceClassification
        dtype = torch.bfloat16 if how == "master" else torch.float32
        config = AutoConfig.from_pretrained(folder)
        if task != "mlm":
            config.num_labels = 2
        with torch.device(device):
            self.model = kind.from_config(config, attn_implementation=attention, dtype=dtype).train()
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.masters = [p.detach().float().requires_grad_() for p in self.weights] if how == "master" else self.weights
        self.optimizer = torch.optim.AdamW(self.masters, lr=2e-5, weight_decay=0.0, fused=True)
        self.loss = self.gathered if gather else self.whole
        if compile_mode:
            mode = None if compile_mode == "default" else compile_mode
            self.loss = torch.compile(self.loss, mode=mode, dynamic=False)

    def whole(self, batch):
        return self.model(**batch).loss

    def gathered(self, batch):
        body = getattr(self.model, self.model.base_model_prefix)
        hidden = body(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        chosen = batch["targets"]
        logits = self.model.lm_head(hidden.reshape(-1, hidden.shape[-1])[chosen])
        return functional.cross_entropy(logits.float(), batch["labels"].reshape(-1)[chosen])

    def prepare(self, batch):
        if self.gather:
            batch = dict(batch, targets=(batch["labels"].reshape(-1) >= 0).nonzero().squeeze(1))
        return batch

    def step(self, batch):
        torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast("cuda", torch.bfloat16) if self.how == "autocast" else contextlib.nullcontext():
            loss = self.loss(batch)
        loss.backward()
        if self.how == "master":
            for weight, master in zip(self.weights, self.masters):
                if weight.grad is None:
                    continue
                master.grad = weight.grad.float() if master.grad is None else master.grad.copy_(weight.grad)
                weight.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        self.optimizer.step()
        if self.how == "master":
            with torch.no_grad():
                torch._foreach_copy_(self.weights, self.masters)
        else:
            self.optimizer.zero_grad(set_to_none=True)
        return loss

    def time(self, batches, steps):
        """Milliseconds a step, over this many."""
        start = clock(self.device)
        for i in range(steps):
            self.step(batches[i % len(batches)])
        return 1000 * (clock(self.device) - start) / steps


def ways(task, device, compiled):
    """Names and arguments of the ways to train; compiled: those that take a minute to get going too."""
    if device != "cuda":
        return {"fp32": dict(how="fp32")}
    found = {"autocast, SDPA": dict(how="autocast"), "bf16 weights, SDPA": dict(how="master")}
    if FLASH:
        found["bf16 weights, FlashAttention 2"] = dict(how="master", attention="flash_attention_2")
    if task == "mlm":
        found["bf16 weights, SDPA, head on targets"] = dict(how="master", gather=True)
    if compiled:
        found["compiled, bf16 weights, SDPA"] = dict(how="master", compile_mode="default")
    return found


# ---- inference, attention ----

def score_time(folder, rows, pad, device, batch_tokens):
    """Seconds for the logits of all rows, longest first, as bf16 weights in inference mode."""
    torch.manual_seed(42)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    config = AutoConfig.from_pretrained(folder)
    with torch.device(device):
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa", dtype=dtype).eval()
    rows, batches = sorted(rows, key=lambda row: -len(row[1])), []
    while rows:
        n = max(1, batch_tokens // len(rows[0][1]))
        batches.append(padded(rows[:n], pad, device))
        rows = rows[n:]
    for batch in batches:
        del batch["labels"]

    def once():
        start = clock(device)
        with torch.inference_mode():
            out = [model(**batch).logits for batch in batches]
        [logits.cpu() for logits in out]
        return clock(device) - start
    once()
    return once


def attention_times(lengths, heads, width, dropout, device):
    """{way: (ms forward, ms backward)} of one layer's attention on sequences of these lengths."""
    found = {}
    n, dtype = max(lengths), torch.bfloat16 if device == "cuda" else torch.float32
    make = lambda: torch.randn(len(lengths), heads, n, width, device=device, dtype=dtype, requires_grad=True)
    q, k, v = make(), make(), make()
    mask = None
    if min(lengths) < n:
        mask = (torch.arange(n, device=device) < torch.tensor(lengths, device=device)[:, None])[:, None, None, :]
    ways = [("SDPA", None)]
    if device == "cuda":
        ways += [("SDPA, flash", SDPBackend.FLASH_ATTENTION), ("SDPA, efficient", SDPBackend.EFFICIENT_ATTENTION),
                 ("SDPA, cuDNN", SDPBackend.CUDNN_ATTENTION)]
    for name, chosen in ways:
        try:
            with sdpa_kernel(chosen) if chosen else contextlib.nullcontext():
                run = lambda: functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
                found[name] = two_ways(run, device)
        except RuntimeError as why:
            found[name] = str(why).splitlines()[0][:120]
    if device == "cuda":
        try:
            found["varlen_attn, no dropout"] = varlen_times(lengths, heads, width, device)
        except Exception as why:  # an API that is new and changes
            found["varlen_attn, no dropout"] = f"{type(why).__name__}: {why}"[:120]
    return found


def varlen_times(lengths, heads, width, device):
    """Without padding; without dropout, which it does not have."""
    from torch.nn.attention.varlen import varlen_attn
    cu = torch.tensor([0, *lengths], device=device).cumsum(0).int()
    total, n = sum(lengths), max(lengths)
    q, k, v = (torch.randn(total, heads, width, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    return two_ways(lambda: varlen_attn(q, k, v, cu, cu, n, n), device)


def two_ways(run, device, repeats=20):
    y = run()
    dy = torch.randn_like(y)

    def forward():
        with torch.no_grad():
            run()

    def whole():
        run().backward(dy)
    times = []
    for one in (forward, whole):
        one(), one()
        found = []
        for _ in range(3):
            start = clock(device)
            for _ in range(repeats):
                one()
            found.append(1000 * (clock(device) - start) / repeats)
        times.append(statistics.median(found))
    return times[0], max(times[1] - times[0], 0.0)


# ---- a whole job ----

def mcc(gold, guess):
    n = [[sum(1 for g, p in zip(gold, guess) if (g, p) == (i, j)) for j in (0, 1)] for i in (0, 1)]
    below = (n[0][0] + n[0][1]) * (n[1][0] + n[1][1]) * (n[0][0] + n[1][0]) * (n[0][1] + n[1][1])
    return (n[1][1] * n[0][0] - n[0][1] * n[1][0]) / below ** 0.5 if below else 0.0


def job(spec):
    device, pad, size = spec["device"], spec["pad"], spec["batch"]
    rows = [(label, ids) for label, ids in spec["rows"]]
    random.Random(42).shuffle(rows)
    held = len(rows) - int(0.9 * len(rows))
    data, dev = rows[held:], rows[:held]
    model = AutoModelForSequenceClassification.from_pretrained(spec["model"], num_labels=2, dtype=torch.float32)
    model.to(device).train()
    cast = lambda: torch.autocast("cuda", torch.bfloat16) if device == "cuda" else contextlib.nullcontext()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0, fused=True)
    steps = (len(data) + size - 1) // size
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps * spec["epochs"])
    start = clock(device)
    for _ in range(spec["epochs"]):
        random.shuffle(data)
        for i in range(0, len(data), size):
            with cast():
                loss = model(**padded(data[i:i + size], pad, device)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
        model.eval()
        with torch.inference_mode(), cast():
            guess = [model(**padded(dev[i:i + 256], pad, device)).logits.argmax(1).cpu() for i in range(0, len(dev), 256)]
        mcc([label for label, _ in dev], torch.cat(guess).tolist())
        model.train()
    seconds = clock(device) - start
    model.save_pretrained(spec["out"])
    print(json.dumps({"training_seconds": seconds, "steps": steps * spec["epochs"]}))


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as f:
        job(json.load(f))
