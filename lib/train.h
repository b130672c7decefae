/* SPDX-License-Identifier: MIT */
/*
 * train: what finetune and mlm-pretrain do, from a token stream to a model (L6).
 *
 * The two tools share everything but the task: what an item of training is (a labelled
 * record; a piece of a text), how a batch is made of items, and how held-out items are
 * judged.  The steps of a run, and which file has them:
 *
 *     train_input.c     the stream to its END, passed on or waited for; model, tokenizer
 *     train_classify.c  the task of finetune
 *     train_mlm.c       the task of mlm-pretrain
 *     train_loop.c      order, steps, evaluation, best weights
 *     train_log.c       --log, the lines and the table on standard error
 *     train_state.c     what a checkpoint holds
 *     train_output.c    predictions, the model directory, its provenance
 *     train_main.c      the command line and the signals of both tools
 */
#ifndef BERTUTILS_TRAIN_H
#define BERTUTILS_TRAIN_H

#include "err.h"
#include "mask.h"
#include "msg.h"
#include "opt.h"
#include "schedule.h"
#include "stop.h"

#include <stdbool.h>
#include <stdint.h>

struct train_options {
    struct opt_common common;
    const char *model, *out, *eval, *best, *schedule, *warmup, *shuffle, *predictions,
        *log, *problem, *mask, *truncate;
    bool init, resume, force, whole_word, elastic;
    int64_t max_len, batch, epochs, max_steps, accum, save_every, eval_every, keep, block, memory;
    double lr, weight_decay, layer_decay, head_lr, eps, beta1, beta2, clip, dropout, mlm_prob;
};

/* -1: not given.  finetune's defaults; mlm-pretrain changes a few. */
#define TRAIN_DEFAULTS                                                                   \
    {                                                                                    \
        .common = OPT_COMMON_DEFAULTS, .schedule = "linear", .warmup = "0",              \
        .shuffle = "epoch", .mask = "80,10,10", .max_len = -1, .batch = 32, .epochs = 4, \
        .max_steps = -1, .accum = 1, .block = -1, .lr = 2e-5, .eps = 1e-8, .beta1 = 0.9, \
        .beta2 = 0.999, .clip = 1.0, .layer_decay = 1, .head_lr = -1, .dropout = -1, .mlm_prob = 0.15                     \
    }

#define TRAIN_AT(member) offsetof(struct train_options, member)

/* Rows of the option table that both tools have. */
#define TRAIN_OPTIONS_MODEL                                                              \
    {"model", 'm', OPT_TEXT, TRAIN_AT(model), "MODEL",                                   \
     "where to start: a directory or a name [$BERTUTILS_MODEL or roberta]"   ,     \
     0, 0, 0},                                                                           \
    {"output", 'o', OPT_TEXT, TRAIN_AT(out), "DIR", "write the model to DIR",            \
     OPT_SAME, 0, 0},                                                                    \
    {"init", 0, OPT_FLAG, TRAIN_AT(init), NULL,                                          \
     "random weights; only config and tokenizer of MODEL are used", 0, 0, 0},            \
    {"eval", 0, OPT_TEXT, TRAIN_AT(eval), "FILE|N%",                                     \
     "judge by a token stream, or by N % of the records held out", 0, 0, 0},             \
    {"best", 0, OPT_TEXT, TRAIN_AT(best), "METRIC",                                      \
     "keep the weights that are best by METRIC, loss, or last", 0, 0, 0}
#define TRAIN_OPTIONS_STEPS                                                              \
    {"batch", 0, OPT_INT, TRAIN_AT(batch), "N", "items in a micro-batch", 0, 1, 1e6},    \
    {"accum", 0, OPT_INT, TRAIN_AT(accum), "N", "micro-batches in a step", 0, 1, 1e6},   \
    {"lr", 0, OPT_REAL, TRAIN_AT(lr), "X", "peak of the learning rate", 0, 0, 1e38},     \
    {"epochs", 0, OPT_INT, TRAIN_AT(epochs), "N", "passes over the data", 0, 1, 1e6},    \
    {"max-steps", 0, OPT_INT, TRAIN_AT(max_steps), "N",                                  \
     "steps in all, whatever --epochs says; 0 writes the model as loaded", 0, 0, 1e12},  \
    {"schedule", 0, OPT_CHOICE, TRAIN_AT(schedule), SCHEDULE_NAMES,                      \
     "how the rate changes [linear]", 0, 0, 0},                                          \
    {"warmup", 0, OPT_TEXT, TRAIN_AT(warmup), "N|X%",                                    \
     "steps, or share of them, in which the rate rises [0]", 0, 0, 0},                   \
    {"weight-decay", 0, OPT_REAL, TRAIN_AT(weight_decay), "X",                           \
     "AdamW's, never on biases and norms [0]", 0, 0, 1e9},                               \
    {"layer-decay", 0, OPT_REAL, TRAIN_AT(layer_decay), "X",                             \
     "the rate of a layer is X times that of the layer above it [1]", 0, 0, 1},          \
    {"eps", 0, OPT_REAL, TRAIN_AT(eps), "X", "AdamW's epsilon [1e-8]", 0, 0, 1e9},       \
    {"beta1", 0, OPT_REAL, TRAIN_AT(beta1), "X", "AdamW's beta 1 [0.9]", 0, 0,           \
     0.9999999},                                                                         \
    {"beta2", 0, OPT_REAL, TRAIN_AT(beta2), "X", "AdamW's beta 2 [0.999]", 0, 0,         \
     0.99999999},                                                                        \
    {"clip", 0, OPT_REAL, TRAIN_AT(clip), "X",                                           \
     "largest norm of the gradient; 0: any [1]", 0, 0, 1e30},                            \
    {"dropout", 0, OPT_REAL, TRAIN_AT(dropout), "P",                                     \
     "every dropout of the model [as its config says]", 0, 0, 0.999},                    \
    {"shuffle", 0, OPT_CHOICE, TRAIN_AT(shuffle), "epoch|none",                          \
     "a new order every epoch, or that of the stream [epoch]", 0, 0, 0}
#define TRAIN_OPTIONS_RUN                                                                \
    {"log", 0, OPT_TEXT, TRAIN_AT(log), "FILE", "write a JSON line for every step",      \
     OPT_SAME, 0, 0},                                                                    \
    {"save-every", 0, OPT_INT, TRAIN_AT(save_every), "N",                                \
     "save a checkpoint in DIR.ckpt every N steps; 0: only when stopped [0]",            \
     OPT_SAME, 0, 1e12},                                                                 \
    {"keep", 0, OPT_INT, TRAIN_AT(keep), "N",                                            \
     "keep N checkpoints when the model is whole [0]", OPT_SAME, 0, 1e6},                \
    {"resume", 0, OPT_FLAG, TRAIN_AT(resume), NULL,                                      \
     "go on from the newest checkpoint in DIR.ckpt", OPT_SAME, 0, 0},                    \
    {"elastic", 0, OPT_FLAG, TRAIN_AT(elastic), NULL,                                    \
     "resume also on another kind of processor", OPT_SAME | OPT_HIDDEN, 0, 0},           \
    {"force", 'f', OPT_FLAG, TRAIN_AT(force), NULL,                                      \
     "replace the model that is in DIR, once the new one is whole", OPT_SAME, 0, 0},     \
    {"memory", 0, OPT_SIZE, TRAIN_AT(memory), "SIZE",                                    \
     "cut each batch into pieces that fit into SIZE, as 6G; 0: no limit [0]", 0, 0, 1e18}, \
    OPT_PRECISION, OPT_DEVICE, OPT_SEED, OPT_THREADS

/* A run of one of the tools. */
struct train_job {
    const struct train_options *options;
    const char *tool;         /* its name */
    bool mlm;
    char *command;            /* as it goes into provenance */
    char *full_command;       /* as it was typed */
    char *const *inputs;      /* operands */
    int n_inputs;
    struct stop *stop;        /* may be NULL */
};

/*
 * Does the whole run.  0: the model is published.  -1 and *e otherwise; ERR_AGAIN when it
 * was stopped by a signal and a checkpoint was saved.
 */
int train_run(const struct train_job *job, struct msg *m, struct err *e) MUST_USE;

/* The main of both tools: *o holds the tool's defaults.  Returns the exit status. */
int train_main(const struct opt_tool *tool, struct train_options *o, bool mlm, int argc,
               char **argv);

#endif
