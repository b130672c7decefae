/* SPDX-License-Identifier: MIT */
/* mlm-pretrain: a token stream trains a masked language model, or makes a new one. */
#include "opt.h"
#include "train.h"

static const struct opt options[] = {
    TRAIN_OPTIONS_MODEL,
    {"block", 0, OPT_INT, TRAIN_AT(block), "N",
     "cut texts into pieces of N tokens at most, specials included [256]", 0, 1, 1e9},
    {"max-len", 0, OPT_INT, TRAIN_AT(max_len), "N", "the same as --block", OPT_HIDDEN,
     1, 1e9},
    {"mlm-prob", 0, OPT_REAL, TRAIN_AT(mlm_prob), "X",
     "probability of a token to be a target [0.15]", 0, 0, 1},
    {"mask", 0, OPT_TEXT, TRAIN_AT(mask), "A,B,C",
     "percent of the targets masked, replaced and kept [80,10,10]", 0, 0, 0},
    {"whole-word", 0, OPT_FLAG, TRAIN_AT(whole_word), NULL, "choose words, not tokens", 0,
     0, 0},
    {"eval-every", 0, OPT_INT, TRAIN_AT(eval_every), "N",
     "evaluate every N steps instead of every epoch", 0, 1, 1e12},
    TRAIN_OPTIONS_STEPS,
    TRAIN_OPTIONS_RUN,
};

static const struct opt_tool tool = {
    .name = "mlm-pretrain",
    .does = "train a masked language model on a token stream",
    .synopsis = "-m MODEL [-o DIR] [options] [STREAM...]",
    .examples =
        "  tok -m roberta corpus.txt | mlm-pretrain -m roberta -o itpt > /dev/null\n"
        "  tok -m roberta train.tsv | mlm-pretrain -m roberta -o itpt |\n"
        "    finetune -m itpt -o cls\n"
        "  mlm-pretrain -m DIR --init -o small corpus.toks.zst    from scratch",
    .operands =
        "STREAMs are token streams as tok(1) and shard(1) write them, read as one;\n"
        "none or - is standard input.  The stream is passed on to standard output\n"
        "unless that is a terminal; its end follows when DIR is whole.  Defaults: batch\n"
        "16, accum 2, lr 5e-5, 5 epochs.  SIGTERM, SIGINT and SIGUSR1 save a checkpoint\n"
        "in DIR.ckpt and end with status 75; the same command with --resume goes on.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

int main(int argc, char **argv)
{
    struct train_options o = TRAIN_DEFAULTS;

    o.batch = 16;
    o.accum = 2;
    o.epochs = 5;
    o.lr = 5e-5;
    return train_main(&tool, &o, true, argc, argv);
}
