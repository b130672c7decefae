/* SPDX-License-Identifier: MIT */
/* finetune: a labelled token stream and a checkpoint become a classifier. */
#include "opt.h"
#include "train.h"

static const struct opt options[] = {
    TRAIN_OPTIONS_MODEL,
    {"predictions", 0, OPT_TEXT, TRAIN_AT(predictions), "FILE|-",
     "write the scores of held-out and unlabelled records, see scores(5)", OPT_SAME,
     0, 0},
    {"max-len", 0, OPT_INT, TRAIN_AT(max_len), "N",
     "cut inputs to N tokens, specials included [the model's limit]", 0, 1, 1e9},
    {"truncate", 0, OPT_TEXT, TRAIN_AT(truncate), "PART",
     "what stays of a longer text: head, tail, head+tail[:N] [as in MODEL, else head]",
     0, 0, 0},
    {"problem", 0, OPT_CHOICE, TRAIN_AT(problem), "single|multi|regression",
     "how labels are read [as the model's config says, else single]", 0, 0, 0},
    {"eval-every", 0, OPT_INT, TRAIN_AT(eval_every), "N",
     "evaluate every N steps instead of every epoch", 0, 1, 1e12},
    {"head-lr", 0, OPT_REAL, TRAIN_AT(head_lr), "X",
     "peak rate of the pooler and the classifier [--lr]", 0, 0, 1e38},
    TRAIN_OPTIONS_STEPS,
    TRAIN_OPTIONS_RUN,
};

static const struct opt_tool tool = {
    .name = "finetune",
    .does = "train a classifier on a labelled token stream",
    .synopsis = "-m MODEL [-o DIR] [options] [STREAM...]",
    .examples =
        "  tok train.tsv | finetune -m roberta               makes ./roberta-finetuned\n"
        "  tok -m bert-base-uncased --text 4 --label 2 train.tsv |\n"
        "    finetune -m bert-base-uncased --max-len 64 --epochs 4 --eval 10% -o cola",
    .operands =
        "STREAMs are token streams as tok(1) and shard(1) write them, read as one;\n"
        "none or - is standard input.  DIR appears when it is whole.  Defaults: batch\n"
        "32, lr 2e-5, 4 epochs.  SIGTERM, SIGINT and SIGUSR1 save a checkpoint in\n"
        "DIR.ckpt and end with status 75; the same command with --resume goes on.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

int main(int argc, char **argv)
{
    struct train_options o = TRAIN_DEFAULTS;

    return train_main(&tool, &o, false, argc, argv);
}
