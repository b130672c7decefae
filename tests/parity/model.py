# SPDX-License-Identifier: MIT
"""The model against PyTorch and transformers, on small random models of both families.

    model.py BIN PARITY_TOOLS

Logits within 1e-4, gradients of every tensor within a relative error of 1e-4, the loss of 100
training steps within 1e-3 at every step, and directories that from_pretrained opens without a
word.  A real checkpoint is compared too where DATA/models has one.  PARITY_DEVICE=cuda
compares the CUDA plug-in instead of the CPU.
"""
import io
import json
import logging
import math
import os
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from transformers import (AutoConfig, AutoModel, AutoModelForMaskedLM,
                          AutoModelForSequenceClassification, BertConfig, RobertaConfig,
                          XLMRobertaConfig)

TOOL = os.path.join(sys.argv[2], "dump_model")
PROBLEMS = ["single_label_classification", "multi_label_classification", "regression"]
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
    print("ok  " if good else "FAIL", name, detail, flush=True)


def run(command, directory, problem, out=None):
    """Lines that the driver prints."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump({"device": os.environ.get("PARITY_DEVICE", "cpu"), **problem}, f)
        f.flush()
        argv = [TOOL, command, directory, f.name] + ([out] if out else [])
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr}")
    return done.stdout.splitlines()


# ---- models and batches ----

def config_of(family, n_labels, problem, **more):
    sizes = dict(vocab_size=97, hidden_size=40, num_hidden_layers=2, num_attention_heads=5,
                 intermediate_size=72, max_position_embeddings=37, num_labels=n_labels,
                 problem_type=problem, hidden_dropout_prob=0.1)
    if family == "bert":
        return BertConfig(**{**sizes, "pad_token_id": 0, **more})
    kind = XLMRobertaConfig if family == "xlm-roberta" else RobertaConfig
    return kind(**{**sizes, "pad_token_id": 1, "type_vocab_size": 1, "bos_token_id": 0,
                   "eos_token_id": 2, **more})


def randomise(model, seed, spread=0.15):
    """Weights large enough that every part of the model matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator) * spread
            if name.endswith(("LayerNorm.weight", "layer_norm.weight")):
                p.copy_(1 + noise)
            else:
                p.copy_(noise)
    return model


def batch_of(config, rng, sequences, mlm, problem):
    reserved = config.pad_token_id + 1 if config.model_type != "bert" else 0
    longest = config.max_position_embeddings - reserved
    batch = {"ids": [], "types": []}
    for i in range(sequences):
        n = longest if i == 0 else int(rng.integers(1, longest + 1))
        ids = rng.integers(4, config.vocab_size, n).tolist()
        cut = int(rng.integers(0, n + 1))
        batch["ids"].append(ids)
        batch["types"].append([0 if k < cut or config.type_vocab_size == 1 else 1
                               for k in range(n)])
    if mlm:
        batch["rows"] = [sorted(rng.choice(len(ids), size=max(1, len(ids) // 4),
                                           replace=False).tolist()) for ids in batch["ids"]]
        rows = sum(len(r) for r in batch["rows"])
        batch["label"] = rng.integers(0, config.vocab_size, rows).tolist()
    elif problem == 0:
        batch["label"] = rng.integers(0, config.num_labels, sequences).tolist()
    elif problem == 1:
        batch["target"] = rng.integers(0, 2, (sequences, config.num_labels)).tolist()
    else:
        batch["target"] = rng.normal(size=(sequences, config.num_labels)).tolist()
    return batch


def to_torch(config, batch):
    longest = max(len(ids) for ids in batch["ids"])
    shape = (len(batch["ids"]), longest)
    pad = config.pad_token_id
    ids = torch.full(shape, pad)
    types = torch.zeros(shape, dtype=torch.long)
    mask = torch.zeros(shape, dtype=torch.long)
    for i, row in enumerate(batch["ids"]):
        ids[i, :len(row)] = torch.tensor(row)
        types[i, :len(row)] = torch.tensor(batch["types"][i])
        mask[i, :len(row)] = 1
    inputs = dict(input_ids=ids, attention_mask=mask, token_type_ids=types)
    if "rows" in batch:
        labels = torch.full(shape, -100)
        flat = iter(batch["label"])
        for i, rows in enumerate(batch["rows"]):
            for k in rows:
                labels[i, k] = next(flat)
        inputs["labels"] = labels
    elif "label" in batch:
        inputs["labels"] = torch.tensor(batch["label"])
    else:
        target = torch.tensor(batch["target"], dtype=torch.float)
        inputs["labels"] = target[:, 0] if target.shape[1] == 1 else target
    return inputs


def model_of(config, mlm):
    auto = AutoModelForMaskedLM if mlm else AutoModelForSequenceClassification
    return auto.from_config(config)


# ---- checks ----

def check_logits(name, model, directory, problem, batches, limit=1e-4):
    model.eval()
    lines = run("logits", directory, {**problem, "batches": batches})
    worst = worst_loss = 0.0
    for batch in batches:
        with torch.no_grad():
            out = model(**to_torch(model.config, batch))
        if "rows" not in batch:
            rows = [[float(x) for x in lines.pop(0).split()] for _ in batch["ids"]]
            worst = max(worst, float(np.abs(np.array(rows) - out.logits.numpy()).max()))
        worst_loss = max(worst_loss, abs(float(lines.pop(0).split()[1]) - out.loss.item()))
    check(f"{name}: logits", worst <= limit, f"{worst:.2e}")
    check(f"{name}: loss", worst_loss <= limit, f"{worst_loss:.2e}")


def check_gradients(name, model, directory, problem, batch, limit=1e-4):
    model.eval()  # no dropout; gradients all the same
    model.zero_grad()
    model(**to_torch(model.config, batch)).loss.backward()
    # A tied tensor has two names here and one there.
    named = dict(model.named_parameters(remove_duplicate=False))
    wanted = {n: p.grad for n, p in named.items() if p.grad is not None}
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "grads")
        lines = run("grads", directory, {**problem, "batches": [batch]}, path)
        flat = np.fromfile(path, dtype=np.float32)
    at, worst, where, seen = 0, 0.0, "", set()
    total = math.sqrt(sum(float(p.grad.double().square().sum()) for p in model.parameters()
                          if p.grad is not None))
    for line in lines:
        tensor, n = line.split()
        ours = flat[at:at + int(n)].astype(np.float64)
        at += int(n)
        if tensor not in wanted:
            check(f"{name}: gradient of {tensor}", not ours.any(), "PyTorch has none")
            continue
        seen.add(tensor)
        theirs = wanted[tensor].double().numpy().ravel()
        # The key's bias has no gradient but rounding: softmax does not see it.
        size = total if tensor.endswith("key.bias") else float(np.linalg.norm(theirs))
        error = float(np.linalg.norm(ours - theirs)) / max(size, 1e-30)
        if error >= worst:
            worst, where = error, tensor
    check(f"{name}: gradients of {len(seen)} tensors", worst <= limit, f"{worst:.2e} {where}")
    known = {id(named[n]) for n in seen}
    missing = [n for n in wanted if id(named[n]) not in known]
    check(f"{name}: no tensor left out", not missing, str(missing))


def rate(step, steps, warmup, peak):
    """transformers.get_linear_schedule_with_warmup at the step-th call, from 0."""
    if step < warmup:
        return peak * step / max(1, warmup)
    return peak * max(0.0, (steps - step) / max(1, steps - warmup))


def groups_of(model, decay, layer_decay, head_lr):
    """Parameter groups: no decay on biases and norms, a rate of its own for every layer."""
    layers, groups = model.config.num_hidden_layers, {}
    for name, p in model.named_parameters():
        bare = name.endswith("bias") or "LayerNorm" in name or "layer_norm" in name
        layer = re.search(r"encoder\.layer\.(\d+)\.", name)
        below = layers - 1 - int(layer[1]) if layer else layers if ".embeddings." in name else 0
        scale = head_lr if not layer and ".embeddings." not in name else layer_decay ** below
        groups.setdefault((bare, scale), []).append(p)
    return [{"params": p, "weight_decay": 0.0 if bare else decay, "scale": scale}
            for (bare, scale), p in groups.items()]


def check_training(name, model, directory, problem, batches, out, decay=0.01, layer_decay=1.0,
                   head_lr=1.0):
    """Every loss, every norm, then the directory that is written."""
    steps, peak = len(batches), 1e-3
    rates = [rate(i, steps, 10, peak) for i in range(steps)]
    model.eval()
    optimiser = torch.optim.AdamW(groups_of(model, decay, layer_decay, head_lr), lr=peak, eps=1e-8)
    optimiser.zero_grad()
    losses, norms = [], []
    for batch, lr in zip(batches, rates):
        for group in optimiser.param_groups:
            group["lr"] = lr * group["scale"]
        loss = model(**to_torch(model.config, batch)).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    lines = run("save", directory, {**problem, "batches": batches,
                                    "train": {"lr": rates, "clip": 1.0, "decay": decay,
                                              "layer_decay": layer_decay, "head_lr": head_lr}}, out)
    ours = np.array([[float(x) for x in line.split()] for line in lines])
    worst = float(np.abs(ours[:, 0] - losses).max())
    worst_norm = float(np.abs(ours[:, 1] / norms - 1).max())
    check(f"{name}: loss of {steps} steps", worst <= 1e-3,
          f"{worst:.2e} ({losses[0]:.3f} to {losses[-1]:.3f})")
    check(f"{name}: norm of {steps} steps", worst_norm <= 1e-2, f"{worst_norm:.2e}")


def open_quietly(auto, directory):
    """The model, and everything that was said while it was opened."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logger = transformers.utils.logging.get_logger("transformers")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, info = auto.from_pretrained(directory, output_loading_info=True)
    logger.removeHandler(handler)
    logger.setLevel(level)
    noise = said.getvalue() + "".join(str(w.message) for w in caught)
    noise += "".join(f"{k}: {v}" for k, v in info.items() if v)
    return model, noise


def check_opens(name, auto, directory, problem, batches, mlm):
    model, noise = open_quietly(auto, directory)
    check(f"{name}: opens without a word", not noise.strip(), noise.strip()[:300])
    check(f"{name}: is fp32", model.dtype == torch.float32, str(model.dtype))
    again = {k: v for k, v in problem.items() if k in ("head",)}
    check_logits(f"{name}, as written", model, directory, again, batches)
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    wanted = type(model).__name__
    check(f"{name}: architectures", config["architectures"] == [wanted], wanted)
    if not mlm and "labels" in problem:
        check(f"{name}: id2label",
              [config["id2label"][str(i)] for i in range(len(problem["labels"]))] ==
              problem["labels"] and config["problem_type"] == PROBLEMS[problem["problem"]])


def one_model(work, name, family, n_labels, problem, mlm, binary=False, layer_decay=1.0, head_lr=1.0, **more):
    seed = sum(map(ord, name))
    rng = np.random.default_rng(seed)
    config = config_of(family, n_labels, PROBLEMS[problem], **more)
    model = randomise(model_of(config, mlm), seed)
    directory = os.path.join(work, name)
    model.save_pretrained(directory)
    if binary:
        torch.save(model.state_dict(), os.path.join(directory, "pytorch_model.bin"))
        os.remove(os.path.join(directory, "model.safetensors"))
    request = {"head": "mlm" if mlm else "classify", "problem": problem}
    batches = [batch_of(config, rng, int(rng.integers(1, 7)), mlm, problem)
               for _ in range(100)]
    check_logits(name, model, directory, request, batches[:5])
    check_gradients(name, model, directory, request, batches[5])
    if not mlm:
        request["labels"] = [f"name {i}" for i in range(n_labels)]
    out = directory + "-trained"
    check_training(name, model, directory, request, batches, out, layer_decay=layer_decay,
                   head_lr=head_lr)
    auto = AutoModelForMaskedLM if mlm else AutoModelForSequenceClassification
    check_opens(name, auto, out, request, batches[:3], mlm)


def random_models(work):
    for family in ("bert", "roberta"):
        for n, problem, what in ((2, 0, "single-2"), (3, 0, "single-3"), (4, 1, "multi-4"),
                                 (1, 2, "regression")):
            one_model(work, f"{family}-{what}", family, n, problem, False)
        one_model(work, f"{family}-layer-decay", family, 2, 0, False, layer_decay=0.5, head_lr=5.0)
        one_model(work, f"{family}-mlm-decay", family, 2, 0, True, layer_decay=0.7)
        one_model(work, f"{family}-mlm", family, 2, 0, True)
        one_model(work, f"{family}-untied", family, 2, 0, True, tie_word_embeddings=False)
        one_model(work, f"{family}-binary", family, 3, 0, False, binary=True)
        one_model(work, f"{family}-odd", family, 2, 0, False, vocab_size=53, hidden_size=21,
                  num_attention_heads=3, intermediate_size=35, num_hidden_layers=3)
        for act in ("relu", "gelu_new"):
            one_model(work, f"{family}-{act}", family, 2, 0, True, hidden_act=act)
    one_model(work, "xlm-roberta", "xlm-roberta", 2, 0, False)
    one_model(work, "xlm-roberta-mlm", "xlm-roberta", 2, 0, True)
    one_model(work, "roberta-pad3", "roberta", 2, 0, False, pad_token_id=3)


def old_names(work):
    """gamma and beta, no prefix, no pooler: what older programs left on disk."""
    config = config_of("bert", 2, PROBLEMS[0])
    model = randomise(model_of(config, False), 7)
    directory = os.path.join(work, "old")
    model.save_pretrained(directory)
    os.remove(os.path.join(directory, "model.safetensors"))
    state = {}
    for n, p in model.state_dict().items():
        n = n.replace("LayerNorm.weight", "LayerNorm.gamma")
        n = n.replace("LayerNorm.bias", "LayerNorm.beta").removeprefix("bert.")
        state[n] = p
    state["embeddings.position_ids"] = torch.arange(37)[None]
    torch.save(state, os.path.join(directory, "pytorch_model.bin"))
    batches = [batch_of(config, np.random.default_rng(7), 5, False, 0)]
    check_logits("older names", model, directory, {"head": "classify"}, batches)


def label_orders(work):
    """The data's labels in another order than the checkpoint's: the head goes with them."""
    config = config_of("bert", 3, PROBLEMS[0])
    config.id2label = {0: "b", 1: "c", 2: "a"}
    config.label2id = {"b": 0, "c": 1, "a": 2}
    model = randomise(model_of(config, False), 8)
    directory = os.path.join(work, "orders")
    model.save_pretrained(directory)
    batch = batch_of(config, np.random.default_rng(8), 4, False, 0)
    with torch.no_grad():
        theirs = model.eval()(**to_torch(config, batch)).logits.numpy()
    lines = run("logits", directory, {"head": "classify", "labels": ["a", "b", "c"],
                                      "batches": [batch]})
    ours = np.array([[float(x) for x in line.split()] for line in lines[:4]])
    worst = float(np.abs(ours - theirs[:, [2, 0, 1]]).max())
    check("labels in another order: logits follow", worst <= 1e-4, f"{worst:.2e}")


def from_mlm(work):
    """A classifier on top of a masked-LM directory: the body is the same."""
    for family in ("bert", "roberta"):
        directory = os.path.join(work, f"{family}-mlm-trained")
        batch = batch_of(AutoConfig.from_pretrained(directory), np.random.default_rng(3), 3,
                         False, 0)
        out = os.path.join(work, f"{family}-from-mlm")
        run("save", directory, {"head": "classify", "labels": ["x", "y"], "problem": 0,
                                "batches": [batch], "train": {"lr": [0.0]}}, out)
        model, noise = open_quietly(AutoModelForSequenceClassification, out)
        check(f"{family}: classifier from masked LM opens without a word", not noise.strip(),
              noise.strip()[:300])
        body = AutoModel.from_pretrained(directory, add_pooling_layer=False).state_dict()
        theirs = model.base_model.state_dict()
        same = all(torch.equal(p, theirs[n]) for n, p in body.items())
        check(f"{family}: classifier from masked LM has its body", same)


def dropout(work, trials=500):
    """Each kind of dropout alone: the losses are spread as PyTorch's are."""
    kinds = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    for family in ("bert", "roberta"):
        for kind in kinds:
            rates = {k: 0.3 if k == kind else 0.0 for k in kinds}
            config = config_of(family, 3, PROBLEMS[0], **rates)
            model = randomise(model_of(config, False), 11).train()
            directory = os.path.join(work, f"dropout-{family}-{kind}")
            model.save_pretrained(directory)
            batch = batch_of(config, np.random.default_rng(12), 3, False, 0)
            torch.manual_seed(13)
            with torch.no_grad():
                inputs = to_torch(config, batch)
                theirs = np.array([model(**inputs).loss.item() for _ in range(trials)])
            lines = run("train", directory, {"head": "classify", "dropout": -1,
                                             "batches": [batch] * trials,
                                             "train": {"lr": [0.0] * trials}})
            ours = np.array([float(line.split()[0]) for line in lines])
            error = math.sqrt((ours.var() + theirs.var()) / trials)
            away = abs(ours.mean() - theirs.mean()) / error
            check(f"{family}: {kind} alone: mean and spread of the loss",
                  away < 4 and 0.85 < ours.std() / theirs.std() < 1.18,
                  f"{away:.1f} standard errors, spread {ours.std() / theirs.std():.3f}")


def real_checkpoint(work):
    data = os.environ.get("DATA", os.path.join(os.path.dirname(__file__), "..", "..", "..",
                                               "shared", "data"))
    source = os.path.join(data, "models", "minilm-l6")
    if not os.path.exists(source):
        print("skip minilm-l6: not at", source)
        return
    config = AutoConfig.from_pretrained(source)
    rng = np.random.default_rng(9)
    longest = 64
    batch = {"ids": [], "types": [], "label": []}
    for n in (longest, 1, 17, 40):
        batch["ids"].append([101] + rng.integers(1000, 30000, n - 1).tolist())
        batch["types"].append([0] * n)
        batch["label"].append(int(rng.integers(0, 2)))
    out = os.path.join(work, "minilm")
    request = {"head": "classify", "labels": ["no", "yes"], "problem": 0}
    run("save", source, {**request, "batches": [batch], "train": {"lr": [0.0]}}, out)
    model, noise = open_quietly(AutoModelForSequenceClassification, out)
    check("minilm-l6: opens without a word", not noise.strip(), noise.strip()[:300])
    check_logits("minilm-l6", model, out, {"head": "classify"}, [batch])
    check_gradients("minilm-l6", model, out, {"head": "classify"}, batch)
    theirs = AutoModel.from_pretrained(source).eval()
    inputs = to_torch(config, batch)
    inputs.pop("labels")
    with torch.no_grad():
        a = theirs(**inputs).pooler_output
        b = model.base_model.eval()(**inputs).pooler_output
    check("minilm-l6: body and pooler are the checkpoint's", torch.equal(a, b))


def main():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    only = sys.argv[3:] or ["random_models", "old_names", "label_orders", "from_mlm",
                            "dropout", "real_checkpoint"]
    with tempfile.TemporaryDirectory() as work:
        for name in only:
            try:
                globals()[name](work)
            except Exception as error:  # a part that breaks must not hide the others
                check(name, False, repr(error)[:500])
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
