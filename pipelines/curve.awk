# SPDX-License-Identifier: MIT
# curve: the learning curve of a --log file, drawn with characters.
#
#   awk -f curve.awk log.jsonl
#
# One row for each of up to 20 stretches of steps: mean training loss, and the held-out loss and
# MCC where one was measured in that stretch.

function field(name, at, text) {
    at = index($0, "\"" name "\":")
    if (!at) return ""
    text = substr($0, at + length(name) + 3)
    sub(/^ */, "", text)
    sub(/[,}].*/, "", text)
    return text
}
function bar(value, top, k, out) {
    out = ""
    for (k = 0; k < value / top * 40 - 0.5; k++) out = out "#"
    return out
}
/"event": *"step"/ { steps++; loss[steps] = field("loss") + 0; number[steps] = field("step") }
/"event": *"eval"/ { eval_at[++evals] = field("step") + 0; eval_loss[evals] = field("loss"); eval_mcc[evals] = field("mcc") }
END {
    if (!steps) { print "curve: the log has no steps"; exit 1 }
    rows = steps < 20 ? steps : 20
    for (r = 1; r <= rows; r++) {
        from = int((r - 1) * steps / rows) + 1
        to = int(r * steps / rows)
        sum = 0
        for (i = from; i <= to; i++) sum += loss[i]
        mean[r] = sum / (to - from + 1)
        last[r] = number[to]
        first[r] = number[from]
        if (mean[r] > top) top = mean[r]
    }
    printf "%8s %8s\n", "step", "loss"
    for (r = 1; r <= rows; r++) {
        note = ""
        for (k = 1; k <= evals; k++)
            if (eval_at[k] + 0 >= first[r] + 0 && eval_at[k] + 0 <= last[r] + 0)
                note = sprintf("  held out: loss %.3f", eval_loss[k]) (eval_mcc[k] == "" ? "" : sprintf(", MCC %.3f", eval_mcc[k]))
        printf "%8d %8.4f %-40s%s\n", last[r], mean[r], bar(mean[r], top), note
    }
}
