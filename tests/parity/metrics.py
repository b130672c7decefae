#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mcc against scikit-learn on thousands of random score files of every kind.

    python3 tests/parity/metrics.py [BIN] [--files N] [--seed N]

BIN is the directory of the tools.  Needs numpy and scikit-learn (1.9.1 is the version that
the numbers of tests/mcc.bats came from).  Prints the largest difference of each metric; a
file fails when one is over 1e-12, relative where the value is over one.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
LIMIT = 1e-12
worst = {}
problems = []


def check(where, name, ours, theirs):
    """One value; None is undefined on our side, NaN on theirs."""
    if ours is None or theirs is None or math.isnan(theirs):
        if not (ours is None and (theirs is None or math.isnan(theirs))):
            problems.append(f"{where}: {name}: {ours}, scikit-learn {theirs}")
        return
    off = abs(ours - theirs) / max(1.0, abs(theirs))
    worst[name] = max(worst.get(name, 0.0), off)
    if off > LIMIT:
        problems.append(f"{where}: {name}: {ours!r}, scikit-learn {theirs!r}")


def run(mcc, path, *args):
    return subprocess.run([mcc, *args, path], capture_output=True, text=True, check=True).stdout


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def ece(top, right):
    """Guo et al. 2017: 15 bins (low, high], as in their published code."""
    edges, total = np.linspace(0, 1, 16), 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (top > low) & (top <= high)
        if low == 0:
            inside |= top == 0
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    return total


def names(rng, k, commas):
    kinds = [
        [str(i) for i in range(k)],
        [f"LABEL_{i}" for i in range(k)],
        [f"klasse {chr(0xe4 + i % 20)}{i}" for i in range(k)],
        [f"{i}.5" for i in range(k)],
    ]
    if commas:
        kinds.append([f"a, b{i}" for i in range(k)])
    chosen = kinds[rng.integers(len(kinds))]
    return [chosen[i] for i in rng.permutation(k)]


def write(path, mark, labels, gold, pred, values, digits):
    columns = "".join(f"\t{mark}:{name}" for name in labels)
    with open(path, "w") as out:
        out.write(f"key\tgold\tpred{columns}\n")
        for i, (g, p) in enumerate(zip(gold, pred)):
            row = "".join(f"\t{x:.{digits}g}" for x in values[i]) if labels else ""
            out.write(f"k{i}\t{g}\t{p}{row}\n")
    return np.array([[float(f"{x:.{digits}g}") for x in row] for row in values])


def single(rng, mcc, path, where):
    k = int(rng.choice([2, 2, 2, 3, 4, 7, 20]))
    n = int(rng.choice([1, 2, 3, 5, 17, 100, 516, 2000]))
    labels = names(rng, k, True)
    logits = rng.normal(size=(n, k)) * rng.choice([0.1, 1, 5, 40])
    mark = "z" if rng.random() < 0.3 else "p"
    # Many equal scores; not where two softmaxes may differ in the last bit, which would make
    # ties of AUC in one and none in the other.
    if mark == "p":
        logits = np.round(logits, int(rng.choice([0, 1, 9])))
    elif k == 2:
        logits = np.round(logits)
    gold = rng.integers(int(rng.choice([1, k])), size=n)
    values = logits if mark == "z" else softmax(logits)
    pred = logits.argmax(axis=1)
    if rng.random() < 0.2:  # one label is all that is ever predicted
        pred[:] = 0
        logits[:, 0] = logits.max(axis=1) + 1
        values = logits if mark == "z" else softmax(logits)
    absent = rng.random(n) < rng.choice([0, 0.3])
    if absent.all():
        absent[0] = False
    read = write(path, mark, labels, ["" if a else labels[g] for a, g in zip(absent, gold)],
                 [labels[p] for p in pred], values, 9)
    prob = softmax(read) if mark == "z" else read
    ours = json.loads(run(mcc, path, "--json", "--kind", "auto", "--batch", "32"))
    gold, pred, prob = gold[~absent], pred[~absent], prob[~absent]
    if ours["kind"] != "single":
        problems.append(f"{where}: taken for {ours['kind']}")
        return
    check(where, "n", ours["n"], len(gold))
    check(where, "skipped", ours["skipped"], int(absent.sum()))
    check(where, "accuracy", ours["accuracy"], sk.accuracy_score(gold, pred))
    check(where, "mcc", ours["mcc"], sk.matthews_corrcoef(gold, pred))
    check(where, "kappa", ours["kappa"], sk.cohen_kappa_score(gold, pred))
    for average in "macro", "micro", "weighted":
        check(where, f"f1_{average}", ours[f"f1_{average}"],
              sk.f1_score(gold, pred, average=average, zero_division=0))
    check(where, "precision_macro", ours["precision_macro"],
          sk.precision_score(gold, pred, average="macro", zero_division=0))
    check(where, "recall_macro", ours["recall_macro"],
          sk.recall_score(gold, pred, average="macro", zero_division=0))
    check(where, "log_loss", ours["log_loss"],
          sk.log_loss(gold, prob, labels=np.arange(k)))
    check(where, "brier", ours["brier"],
          sk.brier_score_loss(gold, prob, labels=np.arange(k), scale_by_half=False))
    if len(set(gold)) < 2:
        auc = math.nan
    elif k == 2:
        auc = sk.roc_auc_score(gold, prob[:, 1])
    else:
        auc = sk.roc_auc_score(gold, prob, multi_class="ovr", average="macro",
                               labels=np.arange(k))
    check(where, "auc", ours["auc"], auc)
    check(where, "ece", ours["ece"], ece(prob.max(axis=1), gold == pred))
    if ours["confusion"] != sk.confusion_matrix(gold, pred, labels=np.arange(k)).tolist():
        problems.append(f"{where}: confusion differs")
    if ours["labels"] != labels:
        problems.append(f"{where}: labels differ")
    p, r, f, s = sk.precision_recall_fscore_support(gold, pred, labels=np.arange(k),
                                                    zero_division=0)
    for i, c in enumerate(ours["per_class"]):
        for name, theirs in ("precision", p), ("recall", r), ("f1", f), ("support", s):
            check(where, f"per_class {name}", c[name], float(theirs[i]))
    for i, value in enumerate(ours["mcc_batches"]):
        rows = slice(32 * i, 32 * i + 32)
        check(where, "mcc_batches", value, sk.matthews_corrcoef(gold[rows], pred[rows]))
    if len(ours["mcc_batches"]) != -(-len(gold) // 32):
        problems.append(f"{where}: number of batches")
    one = rng.choice(["mcc", "auc", "log_loss", "kappa"])
    text = run(mcc, path, "--metric", one).strip()
    if not (text == "nan" and ours[one] is None) and float(text) != ours[one]:
        problems.append(f"{where}: --metric {one} prints {text}, JSON has {ours[one]}")


def multi(rng, mcc, path, where):
    k = int(rng.choice([1, 2, 3, 6, 12]))
    n = int(rng.choice([2, 3, 17, 200, 1000]))
    labels = names(rng, k, False)
    logits = np.round(rng.normal(size=(n, k)) * rng.choice([0.5, 3, 30]),
                      int(rng.choice([1, 9])))
    gold = rng.random((n, k)) < rng.choice([0.2, 0.6])
    absent = ~gold.any(axis=1)
    if absent.all():
        gold[0, 0], absent[0] = True, False
    mark = "z" if rng.random() < 0.3 else "p"
    prob = 1 / (1 + np.exp(-logits))
    pred = logits > 0

    def join(row):
        return ",".join(name for name, x in zip(labels, row) if x)

    read = write(path, mark, labels, [join(g) for g in gold], [join(p) for p in pred],
                 logits if mark == "z" else prob, 9)
    prob = 1 / (1 + np.exp(-read)) if mark == "z" else read
    ours = json.loads(run(mcc, path, "--json", "--kind", "multi"))
    gold, pred, prob = gold[~absent].astype(int), pred[~absent].astype(int), prob[~absent]
    check(where, "multi n", ours["n"], len(gold))
    check(where, "multi accuracy", ours["accuracy"], (gold == pred).all(axis=1).mean())
    check(where, "multi hamming_loss", ours["hamming_loss"], (gold != pred).mean())
    wide = k > 1  # scikit-learn takes one column for a binary problem
    for average in ["macro", "micro", "weighted", "samples"] if wide else []:
        check(where, f"multi f1_{average}", ours[f"f1_{average}"],
              sk.f1_score(gold, pred, average=average, zero_division=0))
    if wide:
        check(where, "multi accuracy", ours["accuracy"], sk.accuracy_score(gold, pred))
        check(where, "multi hamming_loss", ours["hamming_loss"], sk.hamming_loss(gold, pred))
        check(where, "multi precision", ours["precision_macro"],
              sk.precision_score(gold, pred, average="macro", zero_division=0))
        check(where, "multi recall", ours["recall_macro"],
              sk.recall_score(gold, pred, average="macro", zero_division=0))
        check(where, "multi auc", ours["auc"], sk.roc_auc_score(gold, prob, average="macro"))
    losses = []
    for i, c in enumerate(ours["per_class"]):
        both = np.stack([1 - prob[:, i], prob[:, i]], axis=1)
        losses.append(sk.log_loss(gold[:, i], both, labels=[0, 1]))
        check(where, "multi label log_loss", c["log_loss"], losses[-1])
        check(where, "multi label mcc", c["mcc"], sk.matthews_corrcoef(gold[:, i], pred[:, i]))
        check(where, "multi label auc", c["auc"], sk.roc_auc_score(gold[:, i], prob[:, i])
              if 0 < gold[:, i].sum() < len(gold) else math.nan)
    check(where, "multi log_loss", ours["log_loss"], float(np.mean(losses)))
    check(where, "multi brier", ours["brier"], float(((gold - prob) ** 2).sum(axis=1).mean()))
    sums_to_one = mark == "p" and (abs(read.sum(axis=1) - 1) <= 0.02).all()
    marked = any(p.sum() != 1 for p in logits > 0) or (gold.sum(axis=1) > 1).any()
    if k > 1 and (marked or (mark == "p" and not sums_to_one)):
        if json.loads(run(mcc, path, "--json"))["kind"] != "multi":
            problems.append(f"{where}: not taken for multi-label")


def average_ranks(x):
    order, rank = np.argsort(x, kind="stable"), np.empty(len(x))
    rank[order] = np.arange(1, len(x) + 1)
    return np.array([rank[x == v].mean() for v in x])


def regression(rng, mcc, path, where):
    n = int(rng.choice([1, 2, 3, 30, 500]))
    gold = np.round(rng.normal(size=n) * 3 + rng.choice([0, 100]), int(rng.choice([0, 6])))
    pred = np.round(gold + rng.normal(size=n), int(rng.choice([0, 6])))
    if rng.random() < 0.1:
        gold[:] = 2.5
    if rng.random() < 0.1:
        pred[:] = gold
    logits = rng.random() < 0.3
    read = write(path, "z", ["value"] if logits else [], [f"{g:.9g}" for g in gold],
                 [f"{p:.9g}" for p in pred], pred[:, None], 9)
    gold = np.array([float(f"{g:.9g}") for g in gold])
    pred = read[:, 0]
    ours = json.loads(run(mcc, path, "--json"))
    check(where, "mse", ours["mse"], sk.mean_squared_error(gold, pred))
    check(where, "rmse", ours["rmse"], sk.root_mean_squared_error(gold, pred))
    check(where, "mae", ours["mae"], sk.mean_absolute_error(gold, pred))
    check(where, "r2", ours["r2"], sk.r2_score(gold, pred))

    def pearson(x, y):
        return math.nan if (x == x[0]).all() or (y == y[0]).all() else np.corrcoef(x, y)[0, 1]

    check(where, "pearson", ours["pearson"], pearson(gold, pred))
    check(where, "spearman", ours["spearman"],
          pearson(average_ranks(gold), average_ranks(pred)))


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin", nargs="?", default=os.path.join(here, "..", "..", "bin"))
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args, _ = parser.parse_known_args()  # tests/parity/run gives every script its tools too
    failed = 0
    with tempfile.TemporaryDirectory() as temp:
        path = os.path.join(temp, "scores.tsv")
        for i in range(args.files):
            rng = np.random.default_rng([args.seed, i])
            kind = [single, single, multi, regression][i % 4]
            before = len(problems)
            kind(rng, os.path.join(args.bin, "mcc"), path, f"file {i} ({kind.__name__})")
            failed += len(problems) > before
    for name in sorted(worst):
        print(f"{name:24} largest difference {worst[name]:.2g}")
    for text in problems[:20]:
        print(text)
    print(f"{args.files - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
