/* SPDX-License-Identifier: MIT */
/*
 * backend: the table of operations that every device implements (L4).
 *
 * The model is written once, in C, over this table.  Slots have the size of BERT's own parts,
 * so that a device can fuse and block inside a slot.  Calls are eager and ordered, one stream
 * a device; on CUDA errors are sticky and also reported by sync().  Memory is planned by the
 * caller: a slot allocates nothing but what it keeps in its own cache between calls.
 *
 * Conventions.  T tokens, S sequences, H width, A heads, D = H / A, I inner width, V words, C
 * classes, R picked rows.  Activations are (tokens, width) without padding; only embed and
 * attn see where sequences begin.  Weights are (out, in) as in checkpoints.  A gradient of a
 * parameter is added to (+=), a gradient of an activation is written (=), unless said.
 * All shapes and types are checked by the op_* wrappers before a slot sees them.
 * Results do not depend on the number of threads; sums have an order fixed by shape.
 * Softmax, norms and losses accumulate in fp32 at least.
 *
 * Every slot has a CPU version, a CUDA version and a test against finite differences.
 */
#ifndef BERTUTILS_BACKEND_H
#define BERTUTILS_BACKEND_H

#include "err.h"
#include "mat.h"
#include "par.h"
#include "philox.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BACKEND_ABI = 5 };

struct dev; /* an open device */

enum activation { ACT_NONE = 0, ACT_GELU = 1 /* exact, erf */, ACT_TANH = 2, ACT_RELU = 3,
                  ACT_GELU_TANH = 4 /* tanh approximation */ };

/*
 * Dropout with probability p: what is kept is scaled by drop_scale(p).  Element (i, j) of a
 * matrix is dropped when half-word drop_half(j) of Philox of 7 rounds of (row[i].record,
 * row[i].offset, drop_group(j), 0) and key is below drop_threshold(p).  For the probability of
 * query i and key j of a sequence whose first token is t it is half-word drop_attn_half(i, j)
 * of (row[t].record, row[t].offset + drop_attn_query(i), drop_attn_group(j), head).  p = 0
 * switches it off, p = 1 drops all.
 */
struct drop {
    float p;
    const uint32_t *key;      /* (2) philox_key() of seed, step and site; device memory */
    const struct row_id *row; /* (rows), device memory */
};

/*
 * What changes from one step to the next beside the batch and the keys of dropout.  It lies
 * in device memory and is read there: descriptors hold only what stays, so that a step can
 * be recorded once and run again.
 */
struct dev_step {
    double lr;    /* AdamW: the learning rate */
    double rest1; /* 1 - beta1^t, t updates so far, this one included */
    float root2;  /* 1 / sqrt(1 - beta2^t) */
    float scale;  /* of losses: 1 / (sum of weights of the whole step) */
};
/* Fills in what AdamW reads; the betas as it gets them, t from 1. */
void step_set_rates(struct dev_step *s, float lr, float beta1, float beta2, int64_t t);

/* Where the sequences of a batch are; device memory. */
struct seqs {
    int32_t n_tok, n_seq, max_len;
    const int32_t *cu;        /* (S + 1) offsets of the sequences in the tokens */
    const struct row_id *row; /* (T) */
};

/* y = drop(LN(word[ids] + pos[positions] + type[types])); type.p may be NULL. */
struct embed {
    struct seqs seqs;
    const int32_t *ids, *positions, *types; /* (T) */
    struct mat word, pos, type;             /* (V, H) (P, H) (Y, H) */
    const float *gamma, *beta;              /* (H) */
    float eps;
    struct drop drop;
    struct mat y;    /* (T, H) out */
    float *stats;    /* (T, 2) out: mean and 1/sd of each row, for the backward pass */
};

struct embed_bwd {
    const struct embed *fwd;
    struct mat dy;               /* (T, H); destroyed */
    struct mat dword, dpos, dtype; /* += */
    float *dgamma, *dbeta;       /* (H) += */
    uint8_t *touched;            /* (V) set to 1 where dword was added to; may be NULL */
};

/* y = act(x Wᵀ + b);  pre (may be absent) keeps x Wᵀ + b for ACT_GELU's backward pass. */
struct linear {
    struct mat x, w;   /* (T, K) (N, K) */
    const float *b;    /* (N) or NULL */
    enum activation act;
    struct mat y, pre; /* (T, N) out */
};

struct linear_bwd {
    const struct linear *fwd;
    struct mat dy;    /* (T, N) in: dL/dy; destroyed (holds dL/dpre after) */
    struct mat dx;    /* (T, K) out; absent: not wanted */
    bool dx_add;      /* dx += instead of = */
    struct mat dw;    /* (N, K) += */
    bool dw_set;      /* dw = instead of +=: it may hold anything before */
    float *db;        /* (N) +=, or NULL */
    bool db_zero;     /* db holds zeros, so that = will do as well */
};

/*
 * Self-attention of every sequence with itself, softmax(q kᵀ scale) v, dropout on the
 * probabilities.  qkv holds q | k | v side by side, each (T, H), heads side by side in them.
 */
struct attn {
    struct seqs seqs;
    int32_t heads;
    float scale;     /* 1 / sqrt(D) */
    struct drop drop;
    struct mat qkv;  /* (T, 3H) */
    struct mat y;    /* (T, H) out */
    float *lse;      /* (A, T) out: log of the sum of exp of each row of scores; NULL in inference */
};

struct attn_bwd {
    const struct attn *fwd;
    struct mat dy;   /* (T, H) */
    struct mat dqkv; /* (T, 3H) out */
};

/* y = act(x W1ᵀ + b1) W2ᵀ + b2: the whole feed-forward block. */
struct ffn {
    struct mat x;          /* (T, H) */
    struct mat w1, w2;     /* (I, H) (H, I) */
    const float *b1, *b2;  /* (I) (H) */
    enum activation act;
    struct mat pre, mid;   /* (T, I) out: before and after act, kept for the backward pass;
                              in inference pre is absent and mid is scratch */
    struct mat y;          /* (T, H) out */
};

struct ffn_bwd {
    const struct ffn *fwd;
    struct mat dy;           /* (T, H) */
    struct mat dmid;         /* (T, I) scratch */
    struct mat dx;           /* (T, H) += : the residual's gradient is in it already */
    struct mat dw1, dw2;     /* += */
    bool dw_set;             /* dw1, dw2 = instead of += */
    float *db1, *db2;        /* += */
    bool db_zero;            /* db1, db2 hold zeros */
};

/* x := residual + drop(x);  y = LN(x).  x keeps the sum for the backward pass. */
struct add_norm {
    struct mat x;        /* (T, H) in and out */
    struct mat residual; /* (T, H); absent: LN(drop(x)) */
    const float *gamma, *beta;
    float eps;
    struct drop drop;
    struct mat y;        /* (T, H) out */
    float *stats;        /* (T, 2) out */
};

struct add_norm_bwd {
    const struct add_norm *fwd; /* x holds the sum */
    struct mat dy;              /* (T, H) in */
    struct mat dresidual;       /* (T, H) out: gradient of the residual; may be dy itself */
    struct mat dx;              /* (T, H) out: gradient of x before dropout; may be dresidual
                                   when p = 0 */
    float *dgamma, *dbeta;      /* += */
};

enum loss_kind { LOSS_SINGLE, LOSS_MULTI, LOSS_REGRESSION };

/*
 * Loss of R rows of logits; logits become their gradient, times step->scale and the row's
 * weight, when `gradient` is set.
 * SINGLE: -log softmax(z)[label].  MULTI: mean over C of the binary cross-entropy with
 * targets in 0..1.  REGRESSION: squared error, mean over C.
 */
struct loss {
    enum loss_kind kind;
    struct mat logits;     /* (R, C) */
    const int32_t *label;  /* (R) SINGLE */
    const float *target;   /* (R, C) MULTI, REGRESSION */
    const float *weight;   /* (R) or NULL */
    const struct dev_step *step; /* device memory; looked at for the gradient alone */
    bool gradient;
    float *row_loss;       /* (R) out, not scaled, not weighted */
};

/*
 * The masked-LM head's last step without ever storing all logits: z = x Wᵀ + b in chunks,
 * cross-entropy against label; with `gradient` also dx, dw += and db +=, times step->scale.
 * A row with the label -1 has neither loss nor gradient.
 */
struct vocab_loss {
    struct mat x, w;       /* (R, H) (V, H) */
    const float *b;        /* (V) */
    const int32_t *label;  /* (R) */
    const struct dev_step *step; /* device memory; looked at for the gradient alone */
    bool gradient;
    float *row_loss;       /* (R) out */
    int32_t *best;         /* (R) out: arg max, or NULL */
    struct mat dx, dw;     /* (R, H) =, (V, H) += */
    float *db;             /* (V) += */
    struct mat work;       /* (chunk, V) scratch, chunk >= 1 rows as the caller planned */
};

/* A run of parameters in the flat buffers that are treated alike. */
struct param_run {
    int64_t at, n;          /* offset and length in floats */
    float decay;            /* weight decay */
    float lr_scale;         /* multiplies the learning rate */
    const uint8_t *touched; /* (n / cols) rows with any history of gradient, or NULL: all.
                               Untouched rows have g = m = v = 0: nothing but decay
                               happens to them, and nothing at all when it is 0 */
    int64_t cols;           /* of a row, where touched is used */
    bool keep_g;            /* g is not zeroed: the next step writes it before it reads it */
};

/*
 * AdamW as torch.optim.AdamW: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g², p -= lr decay p,
 * p -= lr / (1-b1^t) m / (sqrt(v) / sqrt(1-b2^t) + eps), with g := g * min(1, clip /
 * (norm + 1e-6)) as torch.nn.utils.clip_grad_norm_ (clip 0: none).  g is zeroed but where
 * its run keeps it.
 */
struct adamw {
    float *p, *g, *m, *v;            /* flat buffers */
    const struct param_run *run;     /* host memory */
    int n_run;
    float beta1, beta2, eps, clip;
    const struct dev_step *step;         /* device memory */
    const double *sumsq;             /* device: what sqnorm wrote */
};

/* Sizes of the largest micro-batch and of the model, for what a device keeps for itself. */
struct dev_load {
    int64_t tokens, sequences, rows;
    int64_t layers, width, inner, heads, vocab, classes;
    int64_t params; /* floats of the flat buffer */
    const float *weights; /* that buffer, in the device's memory */
    int64_t chunk;  /* rows of vocab_loss.work */
    bool mlm, train;
};

/*
 * How a device that runs behind its caller is driven; the CPU has none of it (NULL).
 *
 *     pin, unpin   host memory that the device copies from and to by itself
 *     send         put from pinned memory; returns at once
 *     fetch        get into pinned memory; returns at once
 *     await        returns when the last fetch with this ticket, and with it everything
 *                  before, is through; tickets are 0..DEV_TICKETS - 1
 *     replay       1: what was recorded under this key (n bytes, at most DEV_KEY) is running,
 *                  0: issue the ops of it now, then call replay_end
 *     replay_end   after the ops were issued, `failed` when they were not all; 0: they are
 *                  running, 1: nothing of them has run and they are to be issued again,
 *                  -1: only after `failed`, whose error stays
 *     branch       the ops issued from now on run behind those that were, and beside those
 *                  that come after trunk
 *     trunk        ends that; none in a branch
 *     mark         in a branch: what was issued in it so far is place i, 0..DEV_MARKS - 2
 *     reach        what is issued from now on runs behind place i; the last place of a branch
 *                  must be reached before a part of a step ends
 *     count        what it has done so far, for those who watch speed and memory
 *     left         bytes of the device that nobody has taken; 0: it does not say
 *     overhead     bytes of the device that are or will be taken beside alloc's
 *     reserve      takes them now, so that no op has to, but for those of records
 *
 * Everything that a recorded op reads is in device memory, at the same addresses each time.
 */
enum { DEV_TICKETS = 2, DEV_KEY = 64, DEV_MARKS = 9 };
struct dev_count {
    int64_t replays;     /* how often replay has said 1 */
    int64_t records;     /* that were made */
    size_t record_bytes; /* of the device: the most that was kept at a time, as measured */
    int64_t plain;       /* kinds of products that the matrix library has nothing for */
};
struct dev_behind {
    void *(*pin)(struct dev *d, size_t bytes, struct err *e);
    void (*unpin)(struct dev *d, void *p);
    int (*send)(struct dev *d, void *to, const void *from, size_t bytes, struct err *e);
    int (*fetch)(struct dev *d, void *to, const void *from, size_t bytes, int ticket,
                 struct err *e);
    int (*await)(struct dev *d, int ticket, struct err *e);
    int (*replay)(struct dev *d, const void *key, size_t n, struct err *e);
    int (*replay_end)(struct dev *d, bool failed, struct err *e);
    int (*branch)(struct dev *d, struct err *e);
    void (*trunk)(struct dev *d);
    int (*mark)(struct dev *d, int i, struct err *e);
    int (*reach)(struct dev *d, int i, struct err *e);
    void (*count)(const struct dev *d, struct dev_count *c);
    size_t (*left)(struct dev *d);
    size_t (*overhead)(struct dev *d, const struct dev_load *l);
    int (*reserve)(struct dev *d, const struct dev_load *l, struct err *e);
};

struct dev_options {
    struct par *par;     /* the CPU's threads */
    int index;           /* cuda:N */
    const char *precision; /* auto, fp32, bf16 */
};

struct backend {
    uint32_t abi, size; /* BACKEND_ABI and sizeof(struct backend), checked by the loader */
    const char *name, *build_id;

    int (*probe)(struct err *why); /* number of usable devices; 0 and the reason if none */
    /* Does what the first open of a device does once a process, as far as it goes; any thread. */
    void (*warm)(int index);
    struct dev *(*open)(const struct dev_options *o, struct err *e);
    void (*close)(struct dev *d); /* NULL is fine */
    enum dtype (*activations)(const struct dev *d); /* type of activations and weight copies */

    /* Memory: as malloc, free, memcpy, memset 0. */
    void *(*alloc)(struct dev *d, size_t bytes, struct err *e);
    void (*release)(struct dev *d, void *p);
    int (*put)(struct dev *d, void *to, const void *from, size_t bytes, struct err *e);
    int (*get)(struct dev *d, void *to, const void *from, size_t bytes, struct err *e);
    int (*zero)(struct dev *d, void *p, size_t bytes, struct err *e);
    int (*sync)(struct dev *d, struct err *e);
    const struct dev_behind *behind; /* NULL: when a call returns, its work is done */

    int (*embed)(struct dev *d, const struct embed *a, struct err *e);
    int (*embed_bwd)(struct dev *d, const struct embed_bwd *a, struct err *e);
    int (*linear)(struct dev *d, const struct linear *a, struct err *e);
    int (*linear_bwd)(struct dev *d, const struct linear_bwd *a, struct err *e);
    int (*attn)(struct dev *d, const struct attn *a, struct err *e);
    int (*attn_bwd)(struct dev *d, const struct attn_bwd *a, struct err *e);
    int (*ffn)(struct dev *d, const struct ffn *a, struct err *e);
    int (*ffn_bwd)(struct dev *d, const struct ffn_bwd *a, struct err *e);
    int (*add_norm)(struct dev *d, const struct add_norm *a, struct err *e);
    int (*add_norm_bwd)(struct dev *d, const struct add_norm_bwd *a, struct err *e);
    /* y = drop(x); the backward pass is the same call on the gradient; y may be x */
    int (*dropout)(struct dev *d, const struct drop *drop, struct mat x, struct mat y,
                   struct err *e);
    /* y[i] = x[row[i]];  x[row[i]] += y[i], rows distinct */
    int (*rows_get)(struct dev *d, struct mat x, const int32_t *row, struct mat y,
                    struct err *e);
    int (*rows_add)(struct dev *d, struct mat x, const int32_t *row, struct mat y,
                    struct err *e);
    int (*loss)(struct dev *d, const struct loss *a, struct err *e);
    int (*vocab_loss)(struct dev *d, const struct vocab_loss *a, struct err *e);
    /* *sumsq (device) = sum of the squares of g over the runs, in a fixed order, in double */
    int (*sqnorm)(struct dev *d, const float *g, const struct param_run *run, int n_run,
                  double *sumsq, struct err *e);
    int (*adamw)(struct dev *d, const struct adamw *a, struct err *e);
};

/* The CPU's table (kernels/cpu/table.c). */
const struct backend *backend_cpu(void);

/*
 * Begins to start the GPU, if it may be chosen, in a thread of its own: that takes a good part
 * of a second, and the caller has input to read.  Whatever goes wrong backend_choose finds
 * again and reports.  backend_warmed waits for the end of it: before backend_choose, and before
 * the process ends; a second call, or one without a start, does nothing.
 */
struct backend_start {
    pthread_t thread;
    bool running;
};
void backend_warm(struct backend_start *s, const char *device);
void backend_warmed(struct backend_start *s);

/*
 * Chooses by "auto", "cpu" or "cuda[:N]"; *index gets N.  auto falls back to the CPU; an
 * explicit cuda that is not there is an error with the reason and the fix.
 */
struct msg;
const struct backend *backend_choose(const char *device, int *index, struct msg *m,
                                     struct err *e) MUST_USE;

#endif
