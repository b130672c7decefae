/* SPDX-License-Identifier: MIT */
/*
 * bench_rig: an encoder made of the op table, for bench_ops: its memory, random operands, and
 * every slot as one call.
 *
 * The gradient of a parameter is written over where the table can do that, as a step does.
 */
#ifndef BERTUTILS_BENCH_RIG_H
#define BERTUTILS_BENCH_RIG_H

#include "backend.h"
#include "msg.h"
#include "par.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum slot { EMBED, QKV, ATTN, OUT, NORM, FFN, VOCAB, FFN_B, NORM_B, OUT_B, ATTN_B, QKV_B,
            EMBED_B, SQNORM, ADAMW, SLOTS };
static const char *const slot_name[SLOTS] = {
    "embed", "linear_qkv", "attn", "linear_out", "add_norm", "ffn", "vocab_loss", "ffn_bwd",
    "add_norm_bwd", "linear_bwd_out", "attn_bwd", "linear_bwd_qkv", "embed_bwd", "sqnorm",
    "adamw"};

enum { MAX_LENGTH = 8192, MAX_SEQUENCES = 4096, MAX_BLOCKS = 1024, VOCAB_CHUNK = 512 };

struct shape {
    const char *name;
    bool usual, mlm;
    int64_t layers, h, i, heads, words, seqs, len;
};
static const struct shape shapes[] = {
    {"minilm-cola", true, false, 6, 384, 1536, 12, 30522, 32, 11},
    {"minilm-512", true, false, 6, 384, 1536, 12, 30522, 4, 512},
    {"minilm-128", true, false, 6, 384, 1536, 12, 30522, 16, 128},
    {"base-cola", true, false, 12, 768, 3072, 12, 30522, 32, 11},
    {"base-512", false, false, 12, 768, 3072, 12, 30522, 16, 512},
    {"roberta-mlm-256", false, true, 12, 768, 3072, 12, 50265, 32, 256},
    {"large-512", false, false, 24, 1024, 4096, 16, 30522, 16, 512},
    {"tiny", false, true, 2, 64, 128, 1, 500, 4, 16},
};

struct layer { /* parameters and activations */
    struct linear qkv, out;
    struct attn attn;
    struct ffn ffn;
    struct add_norm norm[2];
};

struct bench {
    const struct backend *b;
    struct dev *d;
    struct err e;
    struct shape s;
    int32_t length[MAX_SEQUENCES];
    enum dtype act;
    int64_t t, squares; /* tokens, and the sum of the squares of the lengths */
    float p;
    struct seqs seqs;
    struct embed embed;
    struct vocab_loss vocab;
    struct layer *layer;
    float *flat[4]; /* p, g, m, v */
    int64_t n, used, table;
    uint8_t *touched;
    double *sumsq;
    uint32_t *key; /* of dropout: one for all */
    struct dev_step *rates;
    struct mat dy, dx, dqkv, dmid, work;
    void *block[MAX_BLOCKS];
    int blocks;
};

static inline void must(struct bench *x, int status)
{
    if (status == 0)
        return;
    fprintf(stderr, "bench_ops: %s\n", x->e.text);
    exit(1);
}

/* ---- memory ---- */

static inline void *memory(struct bench *x, size_t bytes)
{
    void *p = x->b->alloc(x->d, bytes, &x->e);

    must(x, p && x->blocks < MAX_BLOCKS ? 0 : -1);
    x->block[x->blocks++] = p;
    must(x, x->b->zero(x->d, p, bytes, &x->e));
    return p;
}

static inline void *copy(struct bench *x, const void *from, size_t bytes)
{
    void *p = memory(x, bytes);

    must(x, x->b->put(x->d, p, from, bytes, &x->e));
    return p;
}

static inline void *host_memory(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);

    if (!p)
        exit(1);
    return p;
}

/* Random numbers of about this size: a GPU is faster on zeros than on anything real. */
static inline void random_fill(struct bench *x, void *to, int64_t n, enum dtype t, float size)
{
    float *v = host_memory((size_t)n, sizeof *v);
    uint16_t *h = (uint16_t *)v; /* the same memory: a bf16 is the upper half of a float */
    uint64_t state = 88172645463325252u;

    for (int64_t i = 0; i < n; i++) {
        float f;
        uint32_t bits;

        state = state * 6364136223846793005u + 1442695040888963407u;
        f = ((float)(state >> 40) / 8388608.0f - 1) * size;
        memcpy(&bits, &f, sizeof bits);
        if (t == DT_BF16) {
            const uint16_t upper = (uint16_t)(bits >> 16);

            memcpy(h + i, &upper, sizeof upper);
        } else {
            v[i] = f;
        }
    }
    must(x, x->b->put(x->d, to, v, (size_t)n * (t == DT_BF16 ? 2 : 4), &x->e));
    free(v);
}

static inline struct mat activations(struct bench *x, int64_t rows, int64_t cols)
{
    const size_t size = x->act == DT_BF16 ? 2 : 4;
    const struct mat m = {memory(x, (size_t)(rows * cols) * size), rows, cols, cols, x->act};

    random_fill(x, m.p, rows * cols, x->act, 1);
    return m;
}

static inline float *parameter(struct bench *x, int64_t n)
{
    float *p = x->flat[0] + x->used;

    x->used += n;
    return p;
}

static inline struct mat gradient(const struct bench *x, struct mat m)
{
    m.p = x->flat[1] + ((float *)m.p - x->flat[0]);
    return m;
}

static inline float *gradient_at(const struct bench *x, const float *p)
{
    return x->flat[1] + (p - x->flat[0]);
}

/* ---- the model ---- */

static inline void begin(struct bench *x, const struct shape *s, float dropout)
{
    memset(x, 0, sizeof *x);
    x->s = *s;
    x->p = dropout;
    for (int64_t i = 0; i < s->seqs; i++)
        x->length[i] = (int32_t)s->len;
}

static inline void open_device(struct bench *x, const char *device, struct dev_options *o)
{
    x->b = backend_choose(device, &o->index, NULL, &x->e);
    must(x, x->b ? 0 : -1);
    x->d = x->b->open(o, &x->e);
    must(x, x->d ? 0 : -1);
    x->act = x->b->activations(x->d);
}

static inline void make_flat(struct bench *x)
{
    const struct shape *s = &x->s;

    x->table = s->words * s->h;
    x->n = x->table + (MAX_LENGTH + 16) * s->h + 2 * s->words +
           s->layers * (4 * s->h * s->h + 2 * s->h * s->i + 16 * s->h + s->i);
    for (int k = 0; k < 4; k++)
        x->flat[k] = memory(x, (size_t)x->n * sizeof(float));
    random_fill(x, x->flat[0], x->n, DT_F32, 0.04f);
    x->touched = memory(x, (size_t)s->words);
    x->sumsq = memory(x, sizeof *x->sumsq);
}

static inline void make_batch(struct bench *x)
{
    const struct shape *s = &x->s;
    int32_t *cu = host_memory((size_t)s->seqs + 1, sizeof *cu), *ids, *places;
    struct row_id *row;
    int64_t at = 0;

    for (int64_t i = 0; i < s->seqs; i++) {
        const int32_t n = x->length[i];

        cu[i + 1] = cu[i] + n;
        x->squares += (int64_t)n * n;
        x->seqs.max_len = n > x->seqs.max_len ? n : x->seqs.max_len;
    }
    x->t = cu[s->seqs];
    ids = host_memory((size_t)x->t, sizeof *ids);
    places = host_memory((size_t)x->t, sizeof *places);
    row = host_memory((size_t)x->t, sizeof *row);
    for (int64_t i = 0; i < s->seqs; i++) {
        for (int32_t j = 0; j < x->length[i]; j++, at++) {
            ids[at] = (int32_t)(at * 7919 % s->words);
            places[at] = j;
            row[at] = (struct row_id){(uint32_t)i, (uint32_t)j};
        }
    }
    x->seqs.n_tok = (int32_t)x->t;
    x->seqs.n_seq = (int32_t)s->seqs;
    x->seqs.cu = copy(x, cu, ((size_t)s->seqs + 1) * sizeof *cu);
    x->seqs.row = copy(x, row, (size_t)x->t * sizeof *row);
    x->embed.ids = copy(x, ids, (size_t)x->t * sizeof *ids);
    x->embed.positions = copy(x, places, (size_t)x->t * sizeof *places);
    free(cu);
    free(ids);
    free(places);
    free(row);
}

static inline struct add_norm make_norm(struct bench *x, struct mat in, struct mat residual)
{
    const int64_t h = x->s.h;
    struct add_norm n = {.x = in, .residual = residual, .eps = 1e-12f,
                         .drop = {x->p, x->key, x->seqs.row}};

    n.gamma = parameter(x, h);
    n.beta = parameter(x, h);
    n.y = activations(x, x->t, h);
    n.stats = memory(x, (size_t)x->t * 2 * sizeof(float));
    return n;
}

static inline struct mat make_layer(struct bench *x, struct layer *l, struct mat in)
{
    const int64_t h = x->s.h, i = x->s.i, t = x->t;

    l->qkv = (struct linear){.x = in, .w = mat_f32(parameter(x, 3 * h * h), 3 * h, h),
                             .b = parameter(x, 3 * h), .y = activations(x, t, 3 * h)};
    l->attn = (struct attn){.seqs = x->seqs, .heads = (int32_t)x->s.heads, .scale = 0.125f,
                            .drop = {x->p, x->key, x->seqs.row}, .qkv = l->qkv.y,
                            .y = activations(x, t, h)};
    l->attn.lse = memory(x, (size_t)(t * x->s.heads) * sizeof(float));
    l->out = (struct linear){.x = l->attn.y, .w = mat_f32(parameter(x, h * h), h, h),
                             .b = parameter(x, h), .y = activations(x, t, h)};
    l->norm[0] = make_norm(x, l->out.y, in);
    l->ffn = (struct ffn){.x = l->norm[0].y, .act = ACT_GELU, .pre = activations(x, t, i),
                          .mid = activations(x, t, i), .y = activations(x, t, h)};
    l->ffn.w1 = mat_f32(parameter(x, i * h), i, h);
    l->ffn.w2 = mat_f32(parameter(x, i * h), h, i);
    l->ffn.b1 = parameter(x, i);
    l->ffn.b2 = parameter(x, h);
    l->norm[1] = make_norm(x, l->ffn.y, l->norm[0].y);
    return l->norm[1].y;
}

/* The masked-LM head over 15 % of the tokens. */
static inline void make_vocab(struct bench *x)
{
    const int64_t r = x->t * 15 / 100 + 1, v = x->s.words;
    int32_t *label = host_memory((size_t)r, sizeof *label);
    struct vocab_loss *l = &x->vocab;

    for (int64_t i = 0; i < r; i++)
        label[i] = (int32_t)(i * 7919 % v);
    l->x = activations(x, r, x->s.h);
    l->dx = activations(x, r, x->s.h);
    l->w = x->embed.word;
    l->dw = gradient(x, l->w);
    l->b = parameter(x, v);
    l->db = gradient_at(x, l->b);
    l->label = copy(x, label, (size_t)r * sizeof *label);
    l->row_loss = memory(x, (size_t)r * sizeof(float));
    l->step = x->rates;
    l->gradient = true;
    l->work = mat_f32(memory(x, (size_t)(VOCAB_CHUNK * v) * sizeof(float)), VOCAB_CHUNK, v);
    free(label);
}

/* The operands that slots write over, as they were. */
static inline void refresh(struct bench *x)
{
    const struct mat *m[] = {&x->dy, &x->dx, &x->work, &x->dqkv, &x->dmid};

    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        random_fill(x, m[i]->p, m[i]->rows * m[i]->cols, m[i]->t, 1e-2f);
}

/* The numbers of step t on the device. */
static inline void set_step(struct bench *x, int64_t t)
{
    struct dev_step step = {.scale = 1 / (0.15f * (float)x->t + 1)};
    uint32_t key[2];

    philox_key(key, 1, (uint32_t)t, 1);
    step_set_rates(&step, 2e-5f, 0.9f, 0.999f, t);
    must(x, x->b->put(x->d, x->key, key, sizeof key, &x->e));
    must(x, x->b->put(x->d, x->rates, &step, sizeof step, &x->e));
}

static inline void make(struct bench *x)
{
    const struct shape *s = &x->s;
    struct mat at;

    make_flat(x);
    make_batch(x);
    x->key = memory(x, 2 * sizeof *x->key);
    x->rates = memory(x, sizeof *x->rates);
    set_step(x, 1);
    x->embed.seqs = x->seqs;
    x->embed.word = mat_f32(parameter(x, x->table), s->words, s->h);
    x->embed.pos = mat_f32(parameter(x, MAX_LENGTH * s->h), MAX_LENGTH, s->h);
    x->embed.gamma = parameter(x, s->h);
    x->embed.beta = parameter(x, s->h);
    x->embed.eps = 1e-12f;
    x->embed.drop = (struct drop){x->p, x->key, x->seqs.row};
    x->embed.y = at = activations(x, x->t, s->h);
    x->embed.stats = memory(x, (size_t)x->t * 2 * sizeof(float));
    x->layer = host_memory((size_t)s->layers, sizeof *x->layer);
    for (int64_t i = 0; i < s->layers; i++)
        at = make_layer(x, &x->layer[i], at);
    x->dy = activations(x, x->t, s->h);
    x->dx = activations(x, x->t, s->h);
    x->work = activations(x, x->t, s->h);
    x->dqkv = activations(x, x->t, 3 * s->h);
    x->dmid = activations(x, x->t, s->i);
    if (s->mlm)
        make_vocab(x);
    refresh(x);
}

static inline void finish(struct bench *x)
{
    while (x->blocks > 0)
        x->b->release(x->d, x->block[--x->blocks]);
    x->b->close(x->d);
    free(x->layer);
}

/* ---- the slots ---- */

/* How often a step calls the slot. */
static inline int64_t calls(const struct bench *x, enum slot slot)
{
    switch (slot) {
    case NORM:
    case NORM_B: return 2 * x->s.layers;
    case VOCAB: return x->s.mlm;
    case EMBED:
    case EMBED_B:
    case SQNORM:
    case ADAMW: return 1;
    default: return x->s.layers;
    }
}

static inline int linear_back(struct bench *x, const struct linear *l, struct mat dy,
                              struct mat dx, bool add)
{
    const struct linear_bwd b = {.fwd = l, .dy = dy, .dx = dx, .dx_add = add,
                                 .dw = gradient(x, l->w), .dw_set = true, .db_zero = true,
                                 .db = gradient_at(x, l->b)};

    return x->b->linear_bwd(x->d, &b, &x->e);
}

static inline int norm_back(struct bench *x, const struct add_norm *n)
{
    const struct add_norm_bwd b = {.fwd = n, .dy = x->dy, .dresidual = x->dy,
                                   .dx = x->p > 0 ? x->dx : x->dy,
                                   .dgamma = gradient_at(x, n->gamma),
                                   .dbeta = gradient_at(x, n->beta)};

    return x->b->add_norm_bwd(x->d, &b, &x->e);
}

static inline int ffn_back(struct bench *x, const struct ffn *f)
{
    const struct ffn_bwd b = {.fwd = f, .dy = x->p > 0 ? x->dx : x->dy, .dmid = x->dmid,
                              .dx = x->p > 0 ? x->dy : x->work, .dw1 = gradient(x, f->w1),
                              .dw2 = gradient(x, f->w2), .dw_set = true, .db_zero = true,
                              .db1 = gradient_at(x, f->b1), .db2 = gradient_at(x, f->b2)};

    return x->b->ffn_bwd(x->d, &b, &x->e);
}

static inline int embed_back(struct bench *x)
{
    const struct embed_bwd b = {.fwd = &x->embed, .dy = x->dy,
                                .dword = gradient(x, x->embed.word),
                                .dpos = gradient(x, x->embed.pos),
                                .dgamma = gradient_at(x, x->embed.gamma),
                                .dbeta = gradient_at(x, x->embed.beta),
                                .touched = x->touched};

    return x->b->embed_bwd(x->d, &b, &x->e);
}

static inline int update(struct bench *x, enum slot slot)
{
    const struct param_run run[2] = {
        {.n = x->table, .lr_scale = 1, .touched = x->touched, .cols = x->s.h},
        {.at = x->table, .n = x->n - x->table, .lr_scale = 1, .keep_g = true}};
    const struct adamw a = {
        .p = x->flat[0], .g = x->flat[1], .m = x->flat[2], .v = x->flat[3], .run = run,
        .n_run = 2, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .clip = 1,
        .step = x->rates, .sumsq = x->sumsq};

    return slot == SQNORM ? x->b->sqnorm(x->d, x->flat[1], run, 2, x->sumsq, &x->e)
                          : x->b->adamw(x->d, &a, &x->e);
}

/* Call i of the slot; it is not waited for. */
static inline void launch(struct bench *x, enum slot slot, int64_t i)
{
    const bool norm = slot == NORM || slot == NORM_B;
    const struct layer *l = &x->layer[norm ? i / 2 : i];
    const struct attn_bwd attn = {&l->attn, x->work, x->dqkv};
    int rc = 0;

    switch (slot) {
    case EMBED: rc = x->b->embed(x->d, &x->embed, &x->e); break;
    case QKV: rc = x->b->linear(x->d, &l->qkv, &x->e); break;
    case ATTN: rc = x->b->attn(x->d, &l->attn, &x->e); break;
    case OUT: rc = x->b->linear(x->d, &l->out, &x->e); break;
    case NORM: rc = x->b->add_norm(x->d, &l->norm[i % 2], &x->e); break;
    case FFN: rc = x->b->ffn(x->d, &l->ffn, &x->e); break;
    case VOCAB: rc = x->b->vocab_loss(x->d, &x->vocab, &x->e); break;
    case FFN_B: rc = ffn_back(x, &l->ffn); break;
    case NORM_B: rc = norm_back(x, &l->norm[i % 2]); break;
    case OUT_B: rc = linear_back(x, &l->out, x->p > 0 ? x->dx : x->dy, x->work, false); break;
    case ATTN_B: rc = x->b->attn_bwd(x->d, &attn, &x->e); break;
    case QKV_B: rc = linear_back(x, &l->qkv, x->dqkv, x->dy, true); break;
    case EMBED_B: rc = embed_back(x); break;
    default: rc = update(x, slot); break;
    }
    must(x, rc);
}

/*
 * Of every slot in a step: floating-point operations of the matrix products (attention's
 * backward pass five of them, one of which is done again), and, of slots without any,
 * bytes that must be moved at least.
 */
static inline void work_of(const struct bench *x, double *flop, double *moved)
{
    const double t = (double)x->t, h = (double)x->s.h, i = (double)x->s.i;
    const double l = (double)x->s.layers, square = (double)x->squares;
    const double size = x->act == DT_BF16 ? 2 : 4, n = (double)x->n;
    const double vocab = (double)x->vocab.x.rows * h * (double)x->s.words;
    const double flops[SLOTS] = {
        [QKV] = 6 * l * t * h * h, [ATTN] = 4 * l * square * h, [OUT] = 2 * l * t * h * h,
        [FFN] = 4 * l * t * h * i, [VOCAB] = 6 * vocab, [FFN_B] = 8 * l * t * h * i,
        [OUT_B] = 4 * l * t * h * h, [ATTN_B] = 10 * l * square * h, [QKV_B] = 12 * l * t * h * h};
    const double bytes[SLOTS] = {
        [EMBED] = t * h * (size + 8), [NORM] = 2 * l * t * h * 4 * size,
        [NORM_B] = 2 * l * t * h * 4 * size, [EMBED_B] = t * h * (size + 16),
        [SQNORM] = 4 * n, [ADAMW] = (28 + (size == 2 ? 2 : 0)) * n};

    memcpy(flop, flops, sizeof flops);
    memcpy(moved, bytes, sizeof bytes);
}

#endif
