# SPDX-License-Identifier: MIT
"""Speed on a GPU: bertutils against transformers and PyTorch, same GPU, same run, in turn.

    bench_gpu.py [--bin DIR] [--ops PROGRAM] [--out DIR] [--device cuda|cpu] [--quick] [--tiny] [--only CASE,...]
                 [--limit SECONDS] [--case-limit SECONDS]

Writes results.json and table.md into --out, and prints the table.  A case that fails, hangs or runs out of time
is recorded as such and the others go on: cases run in a worker process that is replaced when it dies.  --tiny are
shapes for trying this script itself; with --device cpu it needs no GPU.  Without PyTorch only our side is timed.
"""
import argparse, json, os, re, shutil, statistics, subprocess, sys, tempfile, threading, time

import gpu_data

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "../../.."))
BLOCK = 16  # steps whose mean counts as one measurement: the log of a step may run ahead of the device


class Setting:
    """What a case knows: where things are, and how much to do."""

    def __init__(self, args, folder):
        self.args, self.folder, self.device = args, folder, args.device
        self.shapes = gpu_data.TINY if args.tiny else gpu_data.SHAPES
        self.rounds = 1 if args.tiny else 2 if args.quick else 3
        self.full = not args.quick and not args.tiny
        self.torch, self.why_not = None, None
        try:
            import gpu_torch
            self.torch = gpu_torch
        except Exception as why:
            self.why_not = f"{type(why).__name__}: {why}"

    def model(self, name):
        folder = os.path.join(self.folder, name)
        return folder, gpu_data.write_model(folder, self.shapes[name])

    def stream(self, name, folder, rows):
        path = os.path.join(self.folder, name + ".toks")
        gpu_data.write_stream(self.args.bin, folder, rows, path)
        return path

    def path(self, name):
        return os.path.join(self.folder, name)


# ---- our side ----

class Watch(threading.Thread):
    """The most device memory in use while it runs, beyond what was in use before."""

    def __init__(self, setting):
        super().__init__(daemon=True)
        self.used = None
        if setting.device == "cuda":
            smi = memory_of_smi if shutil.which("nvidia-smi") else None
            self.used = setting.torch.gpu_memory_used if setting.torch else smi
        self.peak, self.done = 0, threading.Event()
        self.before = self.used() if self.used else 0

    def run(self):
        while self.used and not self.done.wait(0.5 if self.used is memory_of_smi else 0.02):
            self.peak = max(self.peak, self.used() - self.before)

    def stop(self):
        self.done.set()
        self.join()
        return round(self.peak / 1e6) if self.used else None


def memory_of_smi():
    text = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                          capture_output=True, text=True, check=True).stdout
    return int(text.split()[0]) << 20


def run_ours(setting, tool, options, notes):
    """Runs a tool; returns seconds and puts what it says of memory into the notes."""
    command = [os.path.join(setting.args.bin, tool), *options, "--device", setting.device, "--precision",
               "bf16" if setting.device == "cuda" else "fp32"]
    watch = Watch(setting)
    watch.start()
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    peak = watch.stop()
    if done.returncode:
        raise RuntimeError(f"{tool} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    said = [line for line in done.stderr.splitlines() if "peak memory" in line]
    drove = [line for line in done.stderr.splitlines() if "the GPU ran" in line]
    notes.update({"ours_memory_announced": said[0] if said else None, "ours_device_memory_mb": peak,
                  "ours_records": drove[0] if drove else None})
    return seconds


def train_ours(setting, tool, options, steps, notes):
    """Milliseconds a step: the median over blocks of BLOCK steps, the first ones left out."""
    log, out = setting.path("ours.jsonl"), setting.path("ours")
    run_ours(setting, tool, ["-v", *options, "-f", "-o", out, "--max-steps", str(steps), "--log", log], notes)
    with open(log, encoding="utf-8") as f:
        times = [line["ms"] for line in map(json.loads, f) if line["event"] == "step"]
    shutil.rmtree(out)
    times = times[len(times) // 4:]
    size = min(BLOCK, len(times))
    return statistics.median(statistics.mean(times[i:i + size]) for i in range(0, len(times) - size + 1, size))


# ---- cases: training steps ----

def against(setting, ours, ways, batches, steps, trainer):
    """Rounds of ours and of each of PyTorch's ways in turn; medians."""
    times, found, torch_memory = [], {}, {}
    trainers = {}
    for name, how in (ways or {}).items():
        try:
            before = setting.torch.allocated(setting.device)
            trainers[name] = trainer(**how)
            trainers[name].time(batches(trainers[name]), max(4, steps // 8))  # what is made on first use is made
            found[name] = []
        except Exception as why:
            found[name] = f"{type(why).__name__}: {why}".splitlines()[0][:200]
            trainers.pop(name, None)
        torch_memory[name] = round((setting.torch.most_allocated(setting.device) - before) / 1e6)
    for _ in range(setting.rounds):
        times.append(ours())
        for name, one in trainers.items():
            found[name].append(one.time(batches(one), steps))
    found = {name: statistics.median(t) if isinstance(t, list) else t for name, t in found.items()}
    return statistics.median(times), found, torch_memory


def train_case(setting, shape, lengths, batch, options, tool="finetune", mlm=False, steps=64, fixed=None):
    """A training step: ours against PyTorch's best way.  fixed: a length that all is padded to as well."""
    if setting.args.tiny:
        lengths, batch, steps = [min(n, 12) for n in lengths[:16]], 4, 4
    elif setting.args.quick:
        steps = max(16, steps // 3)
    model, words = setting.model(shape)
    kind, notes = setting.shapes[shape]["kind"], {}
    rows = gpu_data.records(lengths, words)
    stream = setting.stream("train", model, rows)
    data = gpu_data.inputs(rows, words, kind)
    cut = [data[i:i + batch] for i in range(0, len(data) - batch + 1, batch)]
    side, pad = setting.torch, 1 if kind == "roberta" else 0
    options = ["-m", model, "--init", "--batch", str(batch), "--shuffle", "none", *options, stream]

    def batches(one):
        if mlm:
            made = [side.masked_lm(b, words, words[1], setting.device) for b in cut[:8]]
        else:
            made = [side.padded(b, pad, setting.device, getattr(one, "length", 0)) for b in cut[:8 if one.how == "fp32" else 64]]
        return [one.prepare(b) for b in made]

    def trainer(length=0, **how):
        one = side.Trainer(model, "mlm" if mlm else "classify", setting.device, **how)
        one.length = length
        return one
    ways = side.ways("mlm" if mlm else "classify", setting.device, setting.full and fixed is None) if side else {}
    if fixed and side and setting.device == "cuda" and setting.full:
        # Launches are what such small batches wait for: one shape, captured once.
        ways["compiled, CUDA graphs, all padded to %d" % fixed] = dict(
            how="master", compile_mode="reduce-overhead", length=fixed)
    ours_steps = max(4 if setting.args.tiny else 4 * BLOCK, 2 * steps)
    ours, found, memory = against(setting, lambda: train_ours(setting, tool, options, ours_steps, notes), ways, batches,
                                  steps, trainer)
    tokens = sum(len(ids) for b in cut for _, ids in b) / len(cut)
    scored = 0.15 * tokens if mlm else 0
    tflop = gpu_data.train_tflop(setting.shapes[shape], [len(ids) for b in cut for _, ids in b]) / len(cut)
    tflop += gpu_data.train_tflop(setting.shapes[shape], [], scored)
    notes.update({"tokens_a_step": round(tokens), "tflop_a_step": round(tflop, 3), "torch_memory_mb": memory})
    return {"unit": "ms a step", "ours": ours, "torch": found, "less_is_better": True, "tokens": tokens, "tflop": tflop,
            "notes": notes}


def case_cola_step(setting):
    """BERT-base, CoLA's lengths, batch 32"""
    return train_case(setting, "bert-base", gpu_data.cola_lengths(2048), 32, ["--max-len", "64"], steps=64, fixed=64)


def case_itpt(setting):
    """RoBERTa-base, masked LM, 256 tokens, 8,192 a step"""
    return train_case(setting, "roberta-base", [254] * 256, 32, ["--block", "256", "--accum", "1"], "mlm-pretrain", True, 24)


def case_base_512(setting):
    """BERT-base, 512 tokens, batch 16"""
    return train_case(setting, "bert-base", [510] * 256, 16, [], steps=24)


def case_large_512(setting):
    """BERT-large, 512 tokens, batch 16"""
    return train_case(setting, "bert-large", [510] * 128, 16, [], steps=16)


# ---- cases: a whole job, inference, attention ----

def case_cola_job(setting):
    """BERT-base on CoLA's 8,551 sentences, from the start of the program to the model on disk"""
    tiny, epochs = setting.args.tiny, 1 if setting.args.quick or setting.args.tiny else 4
    model, words = setting.model("bert-base")
    rows = gpu_data.records(gpu_data.cola_lengths(64 if tiny else 8551), words)
    stream, notes, found = setting.stream("job", model, rows), {"epochs": epochs}, {}
    first = setting.path("start")
    run_ours(setting, "finetune", ["-q", "-m", model, "--init", "-f", "-o", first, "--max-steps", "0", stream], {})
    out = setting.path("ours")
    options = ["-v", "-m", first, "-f", "-o", out, "--max-len", "64", "--batch", "32", "--lr", "2e-5", "--epochs", str(epochs),
               "--eval", "10%", stream]
    times = [run_ours(setting, "finetune", options, notes) for _ in range(setting.rounds)]
    if setting.torch:
        spec = {"device": setting.device, "pad": 0, "batch": 32, "epochs": epochs, "model": first,
                "out": setting.path("torch-out"), "rows": gpu_data.inputs(rows, words, "bert")}
        with open(setting.path("job.json"), "w", encoding="utf-8") as f:
            json.dump(spec, f)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, os.path.join(HERE, "gpu_torch.py"), "job", setting.path("job.json")],
                              capture_output=True, text=True)
        found["autocast, SDPA"] = time.perf_counter() - start
        if done.returncode:
            found["autocast, SDPA"] = done.stderr.strip()[-200:]
        else:
            notes["torch_without_import_and_saving"] = json.loads(done.stdout.splitlines()[-1])["training_seconds"]
    return {"unit": "s", "ours": statistics.median(times), "torch": found, "less_is_better": True, "notes": notes}


def score_case(setting, lengths, batch_tokens):
    """Tokens a second: ours from two runs of different length, so that starting and loading do not count."""
    model, words = setting.model("bert-base")
    rows, notes, found = gpu_data.records(lengths, words), {}, {}
    data = gpu_data.inputs(rows, words, "bert")
    short = rows[:len(rows) // 8]
    streams = [setting.stream("short", model, short), setting.stream("long", model, rows)]
    head = setting.path("head")
    run_ours(setting, "finetune", ["-q", "-m", model, "--init", "-f", "-o", head, "--max-steps", "0", streams[0]], {})
    once, times, whole = None, [], []
    if setting.torch:
        try:
            once = setting.torch.score_time(model, data, 0, setting.device, batch_tokens)
        except Exception as why:
            found["bf16 weights, SDPA"] = f"{type(why).__name__}: {why}"[:200]
    torch_times = []
    for _ in range(setting.rounds):
        both = [run_ours(setting, "score", ["-m", head, "-o", setting.path("s.tsv"), s], notes) for s in streams]
        times.append(both[1] - both[0])
        whole.append(both[1])
        if once:
            torch_times.append(once())
    tokens = sum(len(ids) for _, ids in data)
    more = tokens - sum(len(ids) for _, ids in data[:len(short)])
    if torch_times:
        found["bf16 weights, SDPA"] = tokens / statistics.median(torch_times)
    ours = tokens / statistics.median(whole)
    notes.update({"tokens": tokens, "ours_whole_program_tokens_a_s": round(ours), "starting_counted": False})
    if statistics.median(times) > 0.2 * statistics.median(whole):
        ours = more / statistics.median(times)
    else:  # too short for a difference to mean anything
        notes["starting_counted"] = True
    return {"unit": "tokens/s", "ours": ours, "torch": found, "less_is_better": False, "notes": notes}


def case_score_512(setting):
    """score, BERT-base, 512 tokens"""
    n = 32 if setting.args.tiny else 3000 if setting.args.quick else 8000
    return score_case(setting, [14 if setting.args.tiny else 510] * n, 65536)


def case_score_cola(setting):
    """score, BERT-base, CoLA's lengths"""
    n = 256 if setting.args.tiny else 60000 if setting.args.quick else 200000
    return score_case(setting, gpu_data.cola_lengths(n), 65536)


def attention_ours(setting, lengths, dropout):
    """ms of one layer's attention, forward and backward."""
    command = [setting.args.ops, "-a", "-j", "-d", setting.device, "-f",
               "bf16" if setting.device == "cuda" else "fp32", "-s", "tiny" if setting.args.tiny else "base-512", "-n", ",".join(map(str, lengths)), "-o", "attn,attn_bwd", "-p", str(dropout), "-r", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"bench_ops: {done.stderr.strip()[-300:]}")
    slots = json.loads(done.stdout)["slots"]
    return [slots[s]["ms"] / slots[s]["calls"] for s in ("attn", "attn_bwd")]


def case_attention(setting):
    """Attention alone, 12 heads of 64, forward + backward, dropout 0.1"""
    shapes = {"CoLA, 32": [n + 2 for n in gpu_data.cola_lengths(32)], "128 x 64": [128] * 64, "256 x 32": [256] * 32,
              "512 x 16": [512] * 16}
    if setting.args.tiny:
        shapes = {"tiny": [5, 9, 3]}
    if setting.args.quick:
        shapes.pop("256 x 32", None)
    rows, dropout = {}, 0.1
    for name, lengths in shapes.items():
        ours = attention_ours(setting, lengths, dropout)
        heads = 1 if setting.args.tiny else 12
        torch = setting.torch.attention_times(lengths, heads, 64, dropout, setting.device) if setting.torch else {}
        works = {way: t for way, t in torch.items() if not isinstance(t, str)}
        flop = 4e-9 * heads * 64 * sum(n * n for n in lengths)
        best = min(works, key=lambda way: sum(works[way])) if works else None
        rows[name] = {"ours_ms": ours, "ours_tflops": [flop / ours[0], 2.5 * flop / ours[1]], "torch_ms": torch,
                      "torch_best": best, "ratio": sum(works[best]) / sum(ours) if best else None}
    last = list(rows)[-1]
    return {"unit": f"ms, {last}", "ours": sum(rows[last]["ours_ms"]), "less_is_better": True, "notes": {"by_lengths": rows},
            "torch": {way: sum(t) if not isinstance(t, str) else t for way, t in rows[last]["torch_ms"].items()}}


CASES = {name[5:]: f for name, f in globals().items() if name.startswith("case_")}


# ---- the worker, and who watches it ----

def worker(args):
    folder = tempfile.mkdtemp(prefix="bertutils-bench.")
    try:
        setting = Setting(args, folder)
        for name in args.worker.split(","):
            print(f"begin {name}", flush=True)
            try:
                result = CASES[name](setting)
            except Exception as why:
                result = {"error": f"{type(why).__name__}: {why}"[:500]}
            if setting.why_not:
                result.setdefault("notes", {})["torch"] = setting.why_not
            if setting.torch:
                setting.torch.clean(setting.device)
            print("result " + json.dumps({"case": name, **result}), flush=True)
            if "error" in result and setting.torch and not setting.torch.alive(setting.device):
                sys.exit(3)  # a new worker has a new context
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watch(args, names, deadline):
    """One worker for these cases; returns {case: result} and the case that it did not survive."""
    command = [sys.executable, os.path.abspath(__file__), *args.rest, "--worker", ",".join(names)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    found, now, limit, hung = {}, names[0], [time.time() + args.case_limit], threading.Event()

    def guard():
        while child.poll() is None:
            if time.time() > min(limit[0], deadline):
                hung.set()
                os.killpg(child.pid, 9)
                return
            time.sleep(0.02)
    threading.Thread(target=guard, daemon=True).start()
    for line in child.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "begin":
            now, limit[0] = rest, time.time() + args.case_limit
            print(f"bench-gpu: {now}: {CASES[now].__doc__}", file=sys.stderr, flush=True)
        elif word == "result":
            one = json.loads(rest)
            found[one.pop("case")] = one
            args.keep(found)
    child.wait()
    missing = [name for name in names if name not in found]
    if missing and (now in missing or not found):
        why = "ran out of time" if hung.is_set() else f"the worker ended with {child.returncode}"
        found[now if now in missing else missing[0]] = {"error": why}
    return found


def run_all(args):
    names, results = list(args.only or CASES), {}
    deadline = time.time() + args.limit
    args.keep = lambda found: write(args, {**results, **found})  # who stops us keeps what is there
    while names:
        if time.time() > deadline:
            results.update({name: {"error": "not begun: the whole run was out of time"} for name in names})
            break
        results.update(watch(args, names, deadline))
        names = [name for name in names if name not in results]
    return results


# ---- what comes out ----

def best_of(result):
    """The best of PyTorch's ways: name and value."""
    works = {way: t for way, t in result.get("torch", {}).items() if isinstance(t, (int, float))}
    if not works:
        return None, None
    best = (min if result["less_is_better"] else max)(works, key=works.get)
    return best, works[best]


def summarize(result):
    if "error" in result:
        return
    way, value = best_of(result)
    ours = result["ours"]
    result.update({"torch_best_way": way, "torch_best": value})
    result["ratio"] = None if value is None else value / ours if result["less_is_better"] else ours / value
    if "tokens" in result:
        result["ours_tokens_a_s"] = 1000 * result["tokens"] / ours
        result["ours_tflops"] = 1000 * result["tflop"] / ours
        if value:
            result["torch_tokens_a_s"] = 1000 * result["tokens"] / value
            result["torch_tflops"] = 1000 * result["tflop"] / value


def figure(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def table(results, machine):
    shapes = ", shapes of toys: no figure means anything" if machine["tiny"] else ", quick" if machine["quick"] else ""
    lines = [f"{machine['gpu']}, {machine['versions']}; bertutils {machine['ours']}{shapes}", "",
             "| case | unit | bertutils | PyTorch's best | ratio | TFLOP/s | best way |", "|---|---|---|---|---|---|---|"]
    for name, r in results.items():
        if "error" in r:
            lines.append(f"| {CASES[name].__doc__} | | failed: {r['error'][:100]} | | | | |")
            continue
        rate = f"{figure(r.get('ours_tflops'))} / {figure(r.get('torch_tflops'))}" if "tokens" in r else ""
        lines.append(f"| {CASES[name].__doc__} | {r['unit']} | {figure(r['ours'])} | {figure(r['torch_best'])} | "
                     f"{figure(r['ratio'])} | {rate} | {r['torch_best_way'] or ''} |")
    lines += ["", "ratio: how many times bertutils is faster.  TFLOP/s: matrix products alone, padding not counted, as",
              "train_tflop in gpu_data.py; bertutils / PyTorch.  All ways, memory and single figures: results.json."]
    for name, r in results.items():
        for lengths, row in r.get("notes", {}).get("by_lengths", {}).items():
            ours = " + ".join(figure(t) for t in row["ours_ms"])
            line, best = f"attention, {lengths}: {ours} ms", row["torch_best"]
            if best:
                line += f"; PyTorch {' + '.join(map(figure, row['torch_ms'][best]))} ms ({best}); ratio {figure(row['ratio'])}"
            lines.append(line)
        notes = r.get("notes", {})
        if notes.get("torch_without_import_and_saving"):
            lines.append(f"{name}: of PyTorch's time {figure(notes['torch_without_import_and_saving'])} s are training and "
                         "evaluation, without import, loading and saving")
        if notes.get("ours_device_memory_mb"):
            lines.append(f"{name}: {notes['ours_device_memory_mb']} MB of the device, context included; "
                         f"{notes['ours_memory_announced']}; PyTorch, tensors alone: {notes.get('torch_memory_mb', '')}")
        if notes.get("ours_records"):
            lines.append(f"{name}: {notes['ours_records']}")
    return "\n".join(lines) + "\n"


def describe(args):
    gpu, versions = "no GPU", "no PyTorch"
    try:
        import torch, transformers
        versions = f"PyTorch {torch.__version__}, transformers {transformers.__version__}"
        if args.device == "cuda":
            gpu = torch.cuda.get_device_name()
    except Exception:
        pass
    ours = subprocess.run([os.path.join(args.bin, "finetune"), "--version"], capture_output=True, text=True).stdout.strip()
    return {"gpu": gpu, "versions": versions, "ours": ours.split(" ")[-1], "quick": args.quick, "tiny": args.tiny,
            "device": args.device}


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.path.join(ROOT, "bin"))
    p.add_argument("--ops", default=os.path.join(ROOT, "libexec/bench_ops"))
    p.add_argument("--out", default="build/bench-gpu")
    p.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    p.add_argument("--quick", action="store_true", help="two minutes")
    p.add_argument("--tiny", action="store_true", help="toy shapes, to try the script")
    p.add_argument("--only", type=lambda text: text.split(","))
    p.add_argument("--limit", type=float, help="seconds for all [460; 115 with --quick]")
    p.add_argument("--case-limit", type=float, help="seconds for a case [150; 40 with --quick]")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    args = p.parse_args()
    args.limit = args.limit or (115 if args.quick else 460)
    args.case_limit = args.case_limit or (40 if args.quick else 150)
    for name in args.only or []:
        if name not in CASES:
            p.error(f"no case {name}; they are {', '.join(CASES)}")
    args.rest = sys.argv[1:]
    return args


def write(args, results):
    if not args.machine:
        args.machine = describe(args)
    for r in results.values():
        summarize(r)
    machine = args.machine
    text = table(results, machine)
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "results.json"), "w", encoding="utf-8") as f:
        json.dump({"machine": machine, "results": results}, f, indent=1)
        f.write("\n")
    with open(os.path.join(args.out, "table.md"), "w", encoding="utf-8") as f:
        f.write(text)
    return text


def main():
    args = options()
    args.machine = None
    if args.worker:
        worker(args)
        return 0
    results = run_all(args)
    print(write(args, results), end="")
    return 1 if any("error" in r for r in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
