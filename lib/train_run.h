/* SPDX-License-Identifier: MIT */
/*
 * train_run: the state of a run, shared by the train_*.c files (L6, private to them).
 */
#ifndef BERTUTILS_TRAIN_RUN_H
#define BERTUTILS_TRAIN_RUN_H

#include "batch.h"
#include "dataset.h"
#include "io.h"
#include "labels.h"
#include "model.h"
#include "tokenizer.h"
#include "train.h"

/* SCORE_SET: what --predictions gets, in input order; labels are not looked at. */
enum train_set { TRAIN_SET, EVAL_SET, SCORE_SET, TRAIN_SETS };

/* How good held-out items were; the first value is always the loss. */
struct train_value {
    const char *name; /* static */
    double value;
};
enum { TRAIN_VALUES = 24 };
struct train_result {
    int64_t step;
    double seconds;
    int n;
    struct train_value at[TRAIN_VALUES];
};

/* One line of the table. */
struct train_epoch {
    double loss, seconds;
    int64_t step; /* the last of the epoch */
};

/* Everything that changes from step to step beside the model: what a checkpoint saves. */
struct train_state {
    int64_t step;      /* updates done */
    int64_t evaluated; /* the step of the last evaluation, -1: none */
    int64_t best_step; /* -1: none yet */
    double best_value;
    struct loss_sum sum; /* of the epoch at hand */
    double seconds;      /* spent on it */
    struct train_epoch *epochs;
    size_t n_epochs, cap_epochs;
    struct train_result *results;
    size_t n_results, cap_results;
};

struct train_log {
    int fd; /* -1: none */
    const char *path;
    bool created; /* by this run: removed when it fails */
    struct buf line;
};

struct train;

/* What differs between the two tools.  Items are numbered from 0 in each set. */
struct train_task {
    const char *items; /* "records", "pieces" */
    /* Fills t->n[] and what the functions below need; after the input was read. */
    int (*prepare)(struct train *t, struct err *e);
    void (*model_options)(const struct train *t, struct model_options *o);
    /* Tokens of an item as the model sees it. */
    size_t (*tokens)(const struct train *t, enum train_set set, size_t item);
    /*
     * Rows for the head, and their weight in the loss; epoch: MASK_HELDOUT for
     * EVAL_SET.
     */
    size_t (*rows)(const struct train *t, enum train_set set, uint32_t epoch,
                   size_t item);
    double (*weight)(const struct train *t, enum train_set set, uint32_t epoch,
                     size_t item);
    /* Appends an item to t->batch as number `place` of its step. */
    int (*add)(struct train *t, enum train_set set, uint32_t epoch, size_t item,
               uint32_t place, struct err *e);
    /* The record of an item, for messages. */
    void (*record)(const struct train *t, size_t item, struct toks_record *r);
    /* Evaluation: before; after each batch (t->batch, t->logits); the values. */
    int (*judge_begin)(struct train *t, struct err *e);
    int (*judge_batch)(struct train *t, struct err *e);
    int (*judge_end)(struct train *t, const struct loss_sum *sum, struct train_result *r,
                     struct err *e);
    /* Is this a name that judge_end gives?  *lower: smaller is better. */
    bool (*knows)(const struct train *t, const char *metric, bool *lower);
    const char *(*default_best)(const struct train *t);
    /* --predictions, or NULL. */
    int (*predict)(struct train *t, struct err *e);
    void (*release)(struct train *t);
};
extern const struct train_task train_classify, train_mlm;

struct train {
    const struct train_job *job;
    const struct train_options *o;
    struct msg *msg;
    const struct train_task *task;
    void *own; /* the task's */

    char *model_dir, *out, *root; /* where the model is, DIR, DIR.ckpt */
    const char *model_name;       /* as it was given */
    double eval_percent;          /* of --eval N%, else < 0 */
    struct dataset data, heldout; /* the stream; --eval FILE's */
    struct config config;         /* of the model directory */
    struct tokenizer *tokenizer;
    const char *truncate; /* which part of a long text stays, as --truncate spells it */
    struct template_limit limit; /* of an input; max_len is never 0 */

    /* mlm-pretrain in a pipe */
    struct toks_writer *pass; /* NULL: nothing is passed on */
    bool reader_gone;
    char model_hash[33];      /* of the published model */

    struct par *par;
    struct backend_start start; /* of the GPU */
    struct model *model;
    struct batch batch;
    float *logits; /* (largest batch, classes), or NULL */
    size_t n[TRAIN_SETS];
    double guess; /* loss of who knows the shares of the classes alone; NAN: unknown */

    struct schedule schedule;
    int64_t steps_per_epoch, total;
    int64_t micro; /* items of a micro-batch: --batch, or fewer where --memory asks */
    uint32_t *order; /* (n[TRAIN_SET]) of epoch order_epoch */
    int64_t order_epoch;
    const char *best; /* metric, or "last" */
    bool best_lower;
    float *best_params; /* host; NULL: the model's own are the best, or none are yet */

    char *settings;   /* JSON text: what a checkpoint must agree with */
    int lock;         /* DIR.ckpt, held against a second run; -1: not yet */
    bool resumed;
    bool saved;       /* this run has written a checkpoint */
    int64_t saved_step;
    struct train_state state;
    int64_t start_step; /* where this process began, and when */
    double start_clock;
    struct train_log log;
    struct io_out predictions;
    bool predictions_old; /* there was a file of that name before */
    struct train_result *shown; /* the last evaluation, for the lines */
};

/* train_input.c */
int train_check_options(struct train *t, struct err *e) MUST_USE;
int train_read_input(struct train *t, struct err *e) MUST_USE;
/* Reads a pipe to its end and forgets it, so that the tool before us ends well. */
int train_drain_input(struct train *t, struct err *e) MUST_USE;
int train_end_pass(struct train *t, struct err *e) MUST_USE;
/* Warns when more than 1 % of the tokens are cut. */
void train_warn_cut(const struct train *t, uint64_t cut, uint64_t all);

/* train_plan.c */
int train_plan(struct train *t, struct err *e) MUST_USE;
/* With -v: how the device was driven. */
void train_show_device(const struct train *t);

/* train_loop.c */
/* Fills t->order for an epoch. */
int train_order(struct train *t, int64_t epoch, struct err *e) MUST_USE;
int train_loop(struct train *t, struct err *e) MUST_USE;
/* Logits and loss of items [from, from + n) of t->batch, which add() has filled. */
int train_score_batch(struct train *t, struct loss_sum *sum, struct err *e) MUST_USE;

/* train_log.c */
int train_log_check(const char *path, struct err *e) MUST_USE;
int train_log_open(struct train *t, struct err *e) MUST_USE;
int train_log_step(struct train *t, const struct loss_sum *sum, double lr, double norm,
                   int64_t tokens, double seconds, struct err *e) MUST_USE;
int train_log_eval(struct train *t, const struct train_result *r, struct err *e) MUST_USE;
int train_log_end(struct train *t, struct err *e) MUST_USE;
int train_log_sync(struct train *t, struct err *e) MUST_USE;
void train_log_close(struct train *t, bool remove);
void train_show_plan(struct train *t);
void train_show_progress(struct train *t, int64_t batch, int64_t batches);
void train_show_batch(struct train *t, int64_t batch, int64_t batches);
void train_show_epoch(struct train *t);
void train_show_eval(struct train *t, const struct train_result *r);
void train_show_table(struct train *t);
double train_clock(void); /* seconds, from some start */
/* h:mm:ss, rounded */
const char *train_time(double seconds, char text[32]);
/* A value of a result by its name, NAN without it. */
double train_value(const struct train_result *r, const char *name);

/* train_state.c */
int train_settings(struct train *t, struct err *e) MUST_USE;
int train_save(struct train *t, struct err *e) MUST_USE;
/* 1: a checkpoint was loaded, 0: there is none. */
int train_restore(struct train *t, struct err *e) MUST_USE;
struct json_t *train_results_json(const struct train *t);

/* train_output.c */
int train_publish(struct train *t, struct err *e) MUST_USE;

#endif
