/* SPDX-License-Identifier: MIT */
/*
 * model_int: what the files of the model share; for nobody else (L4).
 *
 *     model.c        open, plan, state
 *     model_run.c    a micro-batch to the device, losses back; evaluation
 *     model_step.c   the steps of training
 *     model_update.c the norm of the gradient, the update, and when it is made
 *     model_pad.c    batches of few different sizes
 *     model_load.c   checkpoint or random numbers -> parameters
 *     model_tensors.c  parameters -> named tensors
 *     bert.c, bert_bwd.c, heads.c   the passes, over the op table
 *
 * T tokens, S sequences, R rows that the head looks at, H width, A heads, I inner width, V
 * words, C classes, as in backend.h.
 */
#ifndef BERTUTILS_MODEL_INT_H
#define BERTUTILS_MODEL_INT_H

#include "arena.h"
#include "model.h"
#include "ops.h"
#include "params.h"

/* Sites of dropout; layer l has three from SITE_LAYER + 3 l on. */
enum { SITE_EMBED = 0, SITE_HEAD = 1, SITE_HEAD_OUT = 2, SITE_LAYER = 8 };

/*
 * One micro-batch and what changes from step to step; the same layout in host memory and on
 * the device, copied as one block.
 */
struct inputs {
    struct dev_step *step;
    uint32_t (*key)[2];               // (sites) of dropout
    int32_t *ids, *positions, *types; // (T)
    struct row_id *row;               // (T)
    int32_t *cu;                      // (S + 1)
    int32_t *rows;                    // (R) tokens that the head looks at
    struct row_id *head_row;          // (R) row[rows[i]]
    int32_t *label;                   // (R)
    float *weight;                    // (R)
    float *target;                    // (R, C) multi-label and regression
};

/* What comes back from the device, as one block. */
struct results {
    double *sumsq;   // of the gradient, where an update went with it
    float *row_loss; // (R)
    int32_t *best;   // (R) masked LM: arg max
    float *logits;   // (R, C) classification; their gradient after a training pass
};

/* What a layer leaves behind for the backward pass. */
struct layer_acts {
    struct mat qkv;  // (T, 3H)
    float *lse;      // (A, T)
    struct mat mix;  // (T, H) attention's output
    struct mat sum1; // (T, H) x + drop(projection of mix)
    float *stats1;   // (T, 2)
    struct mat y1;   // (T, H) LN(sum1)
    struct mat pre;  // (T, I) before the activation; training only
    struct mat mid;  // (T, I) after it
    struct mat sum2; // (T, H) y1 + drop(feed-forward of y1)
    float *stats2;   // (T, 2)
    struct mat y2;   // (T, H) LN(sum2), the next layer's x
};

struct plan {
    struct mat embed;   // (T, H)
    float *embed_stats; // (T, 2)
    struct layer_acts *layer; /* (L) on the host; in inference all share one memory */
    /* Of the tokens that the head looks at: the last layer's attention and input. */
    struct mat last_mix, last_x; // (R, H)
    /* The head: dense before and after its activation, then dropped or normed. */
    struct mat pre, dense, out; // (R, H)
    float *out_stats;                  // (R, 2) masked LM
    struct mat logits;                 // (R, C), fp32, in `results`
    struct mat work;                   // (chunk, V) masked LM
    /* Gradients; training only. */
    struct mat d0, d1, d2;  // (T, H)
    struct mat dqkv, dmid;  // (T, 3H) (T, I): one memory, never used at the same time
    struct mat dout, ddense; // (R, H)
};

/*
 * The host's side of a micro-batch.  A device that runs behind its caller works on one while
 * the next is made, so there are two.
 */
struct slot {
    char *in_block, *out_block; /* pinned where the device wants it */
    struct inputs in;
    struct results out;
    int32_t n_rows;             /* whose losses are looked at: padding not counted */
    double scale;               /* of a training pass, else 0 */
    bool update;                /* the part ended its step */
};
enum { SLOTS = DEV_TICKETS };

struct model {
    struct config config;
    enum model_head head;
    struct ops ops;
    struct params params;
    uint64_t seed;
    float drop_hidden, drop_attn, drop_class;
    bool tied; /* the masked-LM decoder is the word embedding */
    bool train;

    float *p;          /* device, (params.size); the rest of the state only in training */
    void *state;       /* device: g, m, v, touched, sumsq in one piece */
    float *g, *m, *v;  /* (params.size) */
    uint8_t *touched;  /* (V) words that ever had a gradient; NULL when the decoder is tied */
    struct param_run *run; /* (params.n) on the host: what the update treats alike */
    bool stale; /* what the linear layers' gradients hold is of no use, to be written over */

    void *memory;      /* device: activations */
    struct model_limits limits;
    struct plan plan;
    struct inputs in;
    struct results out;
    size_t in_bytes, out_bytes;
    void *in_dev, *out_dev;
    struct slot slot[SLOTS];
    int n_slots, next, pending; /* `pending` parts are under way, the last in slot next - 1 */
    bool asked;                 /* they are evaluations */

    bool owes;                  /* `owed` is still to be made: model_update.c */
    struct model_update owed;
    bool beside;                /* it is being made beside the pass that is being issued, */
    int reached;                /* which has waited for this group of it */
};

/* Memory of the host for one slot or the device: the layouts of model.c. */
void plan_inputs(const struct model *m, const struct model_limits *l, struct arena *a,
                 struct inputs *in);
void plan_results(const struct model *m, const struct model_limits *l, struct arena *a,
                  struct results *out);

/* One pass over a micro-batch that is on the device. */
struct pass {
    struct seqs seqs;
    int32_t n_rows;
    bool train; /* dropout on, memory for the backward pass */
    bool first; /* the first micro-batch of a step: see model.stale */
};

/* Sites of dropout that the model has. */
static inline int64_t model_sites(const struct model *m)
{
    return SITE_LAYER + 3 * m->config.layers;
}

/* model_run.c: checks a batch and puts it into a slot; `must`: every row needs a label. */
int batch_fill(const struct model *m, struct slot *s, const struct batch *b, bool must,
               struct pass *pass, struct err *e) MUST_USE;
/* Adds up the rows of a slot in order; those without a label (-1) do not count. */
void add_losses(const struct model *m, const struct slot *s, struct loss_sum *sum);
/* A filled slot goes to the device; the oldest under way; waits until that is through. */
int slot_send(struct model *m, const struct slot *s, struct err *e) MUST_USE;
struct slot *slot_oldest(struct model *m);
int slot_await(struct model *m, struct err *e) MUST_USE;

/* model_update.c: the norm; stale: the linear layers' gradients count as zeros. */
int update_norm(struct model *m, bool stale, struct err *e) MUST_USE;
/* The update, now, or beside the forward pass that is issued next, */
int update_apply(struct model *m, const struct model_update *u, struct err *e) MUST_USE;
int update_beside(struct model *m, const struct model_update *u, struct err *e) MUST_USE;
/* which calls this before a layer; -1: the embeddings.  Behind the last layer all of it is made. */
int update_reach(struct model *m, int layer, struct err *e) MUST_USE;
/* Makes the update that is owed.  Nothing may be under way. */
int model_settle(struct model *m, struct err *e) MUST_USE;

/* model_pad.c: the sizes that micro-batches within these limits have once they are padded. */
struct model_limits pad_limits(const struct model_limits *l);
/*
 * Fills a slot up to the sizes of its kind: tokens and rows whose gradients are exact zeros.
 * False: they are beyond what was reserved.
 */
bool pad_batch(const struct model *m, struct slot *s, struct pass *pass);

/*
 * Behind the attention of the last layer only the R tokens that the head looks at go on:
 * nothing else of that layer's output is ever read, and most of its work is there.
 */
static inline bool is_last(const struct model *m, int layer)
{
    return layer == (int)m->config.layers - 1;
}

/* The first n rows of a matrix. */
static inline struct mat mat_head(struct mat m, int64_t n)
{
    m.rows = n;
    return m;
}

static inline int64_t model_width(const struct model *m)
{
    return m->config.hidden;
}

/* The output of the encoder for the tokens that the head looks at: (R, H). */
struct mat bert_output(const struct model *m, const struct pass *pass);
int bert_forward(struct model *m, const struct pass *pass, struct err *e) MUST_USE;
/* The first R rows of plan.d0 hold the gradient of bert_output(); destroyed.  Adds to m->g. */
int bert_backward(struct model *m, const struct pass *pass, struct err *e) MUST_USE;

/* The ops of a layer and of the embedding, as the forward and the backward pass need them. */
struct layer_ops {
    struct linear qkv;
    struct attn attn;
    struct linear proj;
    struct add_norm norm1;
    struct ffn ffn;
    struct add_norm norm2;
};
void bert_layer_ops(const struct model *m, const struct pass *pass, int layer,
                       struct layer_ops *o);
void bert_embed_op(const struct model *m, const struct pass *pass, struct embed *o);

/* From bert_output() to plan.logits (classification) or plan.out (masked LM). */
int head_forward(struct model *m, const struct pass *pass, struct err *e) MUST_USE;
/* Losses of the rows; with `gradient` also the gradients that head_backward starts from. */
int head_loss(struct model *m, const struct pass *pass, bool gradient,
              struct err *e) MUST_USE;
/* Adds to m->g and writes the gradient of bert_output() to the first R rows of plan.d0. */
int head_backward(struct model *m, const struct pass *pass, struct err *e) MUST_USE;

/*
 * Takes the labels of the data, where there are any, into the config.  Returns, malloc'd, the
 * row of the checkpoint's classifier for each of them, -1 where it has none.
 */
int32_t *model_labels(struct model *m, const struct model_options *o, struct err *e) MUST_USE;
struct weights;
/* Fills m->p from the checkpoint, or, without one (w is NULL), with random numbers. */
int model_load(struct model *m, const struct model_options *o, struct weights *w,
               const int32_t *label_map, struct msg *msg, struct err *e) MUST_USE;

#endif
