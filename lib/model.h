/* SPDX-License-Identifier: MIT */
/*
 * model: BERT and RoBERTa with a classification or a masked-LM head, over the op table (L4).
 *
 *     m = model_open(&options, msg, &e);          config, weights or random ones
 *     model_reserve(m, &limits, &e);              memory is planned once, for the largest batch
 *     training:  for each micro-batch  model_submit(m, &batch, &part, &e);
 *                and, behind it,       model_collect(m, &sum, &norm, &e);
 *     scoring:   model_evaluate(m, &batch, logits, &sum, &e);  or model_embed
 *
 * Nothing is allocated between model_reserve and the end.
 */
#ifndef BERTUTILS_MODEL_H
#define BERTUTILS_MODEL_H

#include "backend.h"
#include "batch.h"
#include "config.h"
#include "err.h"
#include "msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model_options {
    const char *dir;        /* model directory */
    enum model_head head;
    bool init;              /* random weights (normal(0, init_range), biases 0, norms 1, 0) */
    uint64_t seed;          /* of random weights and of dropout */
    double dropout;         /* sets every dropout; < 0: the config's */
    /* Classification: labels of the data, or NULL to keep those of the checkpoint. */
    enum problem problem;
    char *const *labels;
    int n_labels;
    const char *truncate;   /* for config.json, see config_truncate; NULL: as it is there */
    bool need_head;         /* score: a checkpoint without a head is ERR_DATA */
    const char *device, *precision;
    struct par *par;
};

struct model;

struct model *model_open(const struct model_options *o, struct msg *m, struct err *e) MUST_USE;
void model_close(struct model *m); /* NULL is fine */

const struct config *model_config(const struct model *m);
int64_t model_parameters(const struct model *m); /* number of trained values */
const char *model_device(const struct model *m); /* the kind it runs on: "cpu", "cuda" */

struct model_limits {
    int64_t tokens, sequences, rows, max_len; /* of the largest micro-batch */
    bool train;
};
int model_reserve(struct model *m, const struct model_limits *l, struct err *e) MUST_USE;
/* Bytes that the limits take in all: weights, moments, gradients, activations. */
size_t model_bytes(const struct model *m, const struct model_limits *l);
/* How many of them are a GPU's, with what the GPU's side keeps for itself; 0 on the CPU. */
size_t model_gpu_bytes(const struct model *m, const struct model_limits *l);
/*
 * Bytes of the GPU that a model with these limits could have: what is free, and what it has
 * taken already.  0 on the CPU and where the GPU does not say.
 */
size_t model_gpu_room(const struct model *m);

/* Sums over what was seen; divide by weight for the mean. */
struct loss_sum {
    double loss;    /* sum of weight * row loss, in the order of the rows */
    double weight;  /* sum of weights (records, or masked tokens) */
    int64_t rows;
    int64_t right;  /* rows whose arg max is the label (single label, masked LM) */
};

struct model_update {
    double lr, beta1, beta2, eps, clip, weight_decay;
    double layer_decay; /* the rate falls by this factor from layer to layer down; 1: it does not */
    double head_lr; /* rate of the head as a multiple of lr; 1: the same */
    int64_t t; /* number of this update, from 1 */
};

/* A micro-batch of a step of training. */
struct model_part {
    uint32_t step; /* from 1: the key of dropout */
    double scale;  /* 1 / (sum of the weights of the whole step) */
    const struct model_update *update; /* of the last one, which ends the step; else NULL */
};

/*
 * Forward, loss and backward of a micro-batch, whose gradients are added up, and with
 * part->update then the clipping and the update.  b: NULL or without rows when there is only
 * the update left.  A GPU works behind the caller, who may submit the next part meanwhile:
 * up to model_slots() are under way.  Nothing else of the model may be used until all are
 * collected.
 */
int model_submit(struct model *m, const struct batch *b, const struct model_part *part,
                 struct err *e) MUST_USE;
/* The oldest part under way: adds to *sum; *norm: L2 norm before clipping, with an update. */
int model_collect(struct model *m, struct loss_sum *sum, double *norm,
                  struct err *e) MUST_USE;
int model_slots(const struct model *m);
/* What a GPU has done so far; zeros on the CPU. */
void model_count(const struct model *m, struct dev_count *c);

/* The two halves of a step, each submitted and collected at once. */
int model_gradient(struct model *m, const struct batch *b, double scale, uint32_t step,
                   struct loss_sum *sum, struct err *e) MUST_USE;
int model_update(struct model *m, const struct model_update *u, double *norm,
                 struct err *e) MUST_USE;

/*
 * Without dropout, behind the caller as in training: up to model_slots() batches are under
 * way, and answered in the order in which they were asked.  A batch is the caller's again
 * when model_ask returns.  losses: a sum will be asked for.
 */
int model_ask(struct model *m, const struct batch *b, bool losses, struct err *e) MUST_USE;
/* logits: host (n_rows, n_labels), or NULL (a masked-LM head has none); sum: host, or NULL. */
int model_answer(struct model *m, float *logits, struct loss_sum *sum,
                 struct err *e) MUST_USE;
/* Both at once. */
int model_evaluate(struct model *m, const struct batch *b, float *logits,
                   struct loss_sum *sum, struct err *e) MUST_USE;

/* What the encoder makes of the batch's rows: out is host memory, (n_rows, H). */
int model_embed(struct model *m, const struct batch *b, float *out, struct err *e) MUST_USE;

/*
 * The state of training, for checkpoints: parameters, first and second moments as one flat
 * array each of model_state_size() floats, and the touched rows (bytes).
 */
enum model_state { STATE_PARAMS, STATE_MOMENT1, STATE_MOMENT2, STATE_TOUCHED, STATE_COUNT };
size_t model_state_bytes(const struct model *m, enum model_state which);
int model_state_get(struct model *m, enum model_state which, void *host, struct err *e) MUST_USE;
int model_state_set(struct model *m, enum model_state which, const void *host,
                    struct err *e) MUST_USE;

/*
 * The weights as the tensors that transformers writes, F32, in the names of the family:
 * visit is called for each with its name, shape and host data, in the order of the file.
 */
struct model_tensor {
    const char *name;
    int n_dims;
    int64_t dims[2];
    const float *data; /* host; valid during the call */
    int64_t n;
    bool tied;         /* stands in the file under another name too: may be left out */
};
typedef int (*model_visit)(void *ctx, const struct model_tensor *t, struct err *e);
int model_tensors(struct model *m, const float *params, model_visit visit, void *ctx,
                  struct err *e) MUST_USE; /* params: host array of STATE_PARAMS, or NULL: the model's own */
/* The same for gradients, for tests. */
int model_gradients(struct model *m, model_visit visit, void *ctx, struct err *e) MUST_USE;

#endif
