/* SPDX-License-Identifier: MIT */
/* score: what a classifier says of each record of a token stream. */
#include "opt.h"
#include "scoring.h"

#include <stdlib.h>

struct values {
    struct scoring s; /* its first member is the common options */
    bool probs;
};

#define AT(member) offsetof(struct values, member)

static const struct opt options[] = {
    {"model", 'm', OPT_TEXT, AT(s.model), "MODEL",
     "the classifier: a directory or a name [$BERTUTILS_MODEL]", 0, 0, 0},
    {"probs", 0, OPT_FLAG, AT(probs), NULL,
     "write probabilities, p:LABEL [the default]", 0, 0, 0},
    {"logits", 0, OPT_FLAG, AT(s.logits), NULL, "write logits, z:LABEL", 0, 0, 0},
    {"top", 0, OPT_INT, AT(s.top), "K",
     "write only the best K labels, each with its probability or logit", 0, 1, 1 << 24},
    {"embed", 0, OPT_CHOICE, AT(s.embed), "cls|mean",
     "write a vector of each record: the first token's, or the mean of all", 0, 0, 0},
    {"max-len", 0, OPT_INT, AT(s.max_len), "N",
     "cut inputs to N tokens, specials included [the model's limit]", 0, 1, 1e9},
    {"truncate", 0, OPT_TEXT, AT(s.truncate), "PART",
     "what stays of a longer text: head, tail, head+tail[:N] [as in training]", 0, 0, 0},
    {"batch-tokens", 0, OPT_INT, AT(s.batch_tokens), "N",
     "tokens that go through the model at once [8192]", OPT_SAME, 1, 1 << 24},
    {"output", 'o', OPT_TEXT, AT(s.out), "FILE",
     "write to FILE, which appears when it is whole [standard output]", OPT_SAME, 0, 0},
    OPT_PRECISION,
    OPT_DEVICE,
    OPT_THREADS,
    OPT_SEED,
};

static const struct opt_tool tool = {
    .name = "score",
    .does = "score a token stream with a classifier",
    .synopsis = "-m MODEL [options] [STREAM...]",
    .examples = "  tok -m cola dev.tsv | score -m cola > dev.scores\n"
                "  score -m cola dev.toks.zst | mcc                  how good it is\n"
                "  score -m cola --logits -o dev.scores dev.toks.zst",
    .operands = "STREAMs are token streams as tok(1) and shard(1) write them, read as one; none\n"
                "or - is standard input.  They must come of the model's own tokenizer.\n"
                "Output: TSV with a header, key, gold, pred and a column for each label; one\n"
                "row a record, in their order; see scores(5).  The last row is written only\n"
                "when the stream has ended well.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

int main(int argc, char **argv)
{
    struct values v = {.s = {.common = OPT_COMMON_DEFAULTS, .batch_tokens = 8192}};
    struct msg m;
    struct err e = {0};
    int first;
    const int rc = opt_parse(&tool, argc, argv, &v, &first, &m, &e);

    msg_guard();
    if (rc == 0 && !v.s.model && !getenv("BERTUTILS_MODEL"))
        err_set(&e, ERR_USAGE, "no model: name the classifier with -m; try 'score --help'");
    else if (rc == 0 && v.probs && v.s.logits)
        err_set(&e, ERR_USAGE, "--probs and --logits: choose one");
    else if (rc == 0 && v.s.embed && (v.probs || v.s.logits || v.s.top))
        err_set(&e, ERR_USAGE, "--embed writes no scores: leave --probs, --logits, --top out");
    else if (rc == 0)
        (void)!scoring_run(&v.s, argv + first, argc - first, &m, &e);
    return msg_finish(&m, &e);
}
