/* SPDX-License-Identifier: MIT */
/*
 * bench_ops: the time of every slot of the op table, in training steps of encoders.
 *
 *     bench_ops [THREADS [REPEATS [DROPOUT [DEVICE [SHAPE]]]]]        SHAPE: 0..3
 *
 * Each step has the memory of a whole model, so that caches are as cold as in training.  For
 * every slot the fastest of all repeats is taken, because neighbours only ever add time.
 */
#include "backend.h"
#include "msg.h"
#include "par.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum slot { EMBED, QKV, ATTN, OUT, NORM, FFN, LOSS, FFN_B, NORM_B, OUT_B, ATTN_B, QKV_B,
            EMBED_B, SQNORM, ADAMW, SLOTS };
static const char *const slot_name[SLOTS] = {
    "embed", "linear qkv", "attn", "linear out", "add_norm", "ffn", "loss", "ffn_bwd",
    "add_norm_bwd", "linear_bwd out", "attn_bwd", "linear_bwd qkv", "embed_bwd", "sqnorm",
    "adamw"};

struct shape {
    const char *name;
    int64_t layers, h, i, heads, words, seqs, len;
};
static const struct shape shapes[] = {
    {"MiniLM, CoLA: 32 x 11", 6, 384, 1536, 12, 30522, 32, 11},
    {"MiniLM, 4 x 512", 6, 384, 1536, 12, 30522, 4, 512},
    {"MiniLM, 16 x 128", 6, 384, 1536, 12, 30522, 16, 128},
    {"BERT-base, CoLA: 32 x 11", 12, 768, 3072, 12, 30522, 32, 11},
};

struct layer { /* parameters and activations */
    struct linear qkv, out;
    struct attn attn;
    struct ffn ffn;
    struct add_norm norm1, norm2;
    float *grad; /* where its gradients start */
};

struct bench {
    const struct backend *b;
    struct dev *d;
    struct err e;
    const struct shape *s;
    int64_t t;
    float p;
    struct seqs seqs;
    struct embed embed;
    struct layer *layer;
    float *flat[4]; /* p, g, m, v */
    int64_t n, used, table;
    uint8_t *touched;
    double *sumsq;
    struct mat dy, dx, dqkv, dmid, work;
    double best[SLOTS], now[SLOTS], start, step;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(struct bench *x, int status)
{
    if (status == 0)
        return;
    fprintf(stderr, "bench_ops: %s\n", x->e.text);
    exit(1);
}

static void *memory(struct bench *x, size_t bytes)
{
    void *p = x->b->alloc(x->d, bytes, &x->e);

    must(x, p ? 0 : -1);
    must(x, x->b->zero(x->d, p, bytes, &x->e));
    return p;
}

static struct mat matrix(struct bench *x, int64_t rows, int64_t cols)
{
    return mat_f32(memory(x, (size_t)(rows * cols) * sizeof(float)), rows, cols);
}

static float *parameter(struct bench *x, int64_t n)
{
    float *p = x->flat[0] + x->used;

    x->used += n;
    return p;
}

static struct mat gradient(const struct bench *x, struct mat m)
{
    m.p = x->flat[1] + ((float *)m.p - x->flat[0]);
    return m;
}

static float *gradient_at(const struct bench *x, const float *p)
{
    return x->flat[1] + (p - x->flat[0]);
}

static void make_flat(struct bench *x)
{
    const struct shape *s = x->s;
    float *host;

    x->table = s->words * s->h;
    x->n = x->table + 520 * s->h + s->layers * (4 * s->h * s->h + 2 * s->h * s->i + 16 * s->h +
                                                s->i);
    host = malloc((size_t)x->n * sizeof *host);
    if (!host)
        exit(1);
    for (int64_t i = 0; i < x->n; i++)
        host[i] = (float)((i * 7919 % 2003) - 1001) * 4e-5f;
    for (int k = 0; k < 4; k++)
        x->flat[k] = memory(x, (size_t)x->n * sizeof(float));
    must(x, x->b->put(x->d, x->flat[0], host, (size_t)x->n * sizeof *host, &x->e));
    free(host);
    x->touched = memory(x, (size_t)s->words);
    x->sumsq = memory(x, sizeof *x->sumsq);
}

static void make_batch(struct bench *x)
{
    const struct shape *s = x->s;
    const size_t t = (size_t)x->t;
    int32_t *ids = calloc(t, sizeof *ids), *places = calloc(t, sizeof *places);
    int32_t *cu = calloc((size_t)s->seqs + 1, sizeof *cu);
    struct row_id *row = calloc(t, sizeof *row);

    if (!ids || !places || !cu || !row)
        exit(1);
    for (int64_t i = 0; i < x->t; i++) {
        ids[i] = (int32_t)(i * 7919 % s->words);
        places[i] = (int32_t)(i % s->len);
        row[i] = (struct row_id){(uint32_t)(i / s->len), (uint32_t)(i % s->len)};
    }
    for (int64_t i = 0; i <= s->seqs; i++)
        cu[i] = (int32_t)(i * s->len);
    x->seqs = (struct seqs){.n_tok = (int32_t)x->t, .n_seq = (int32_t)s->seqs,
                            .max_len = (int32_t)s->len};
    x->seqs.cu = memcpy(memory(x, ((size_t)s->seqs + 1) * sizeof *cu), cu,
                        ((size_t)s->seqs + 1) * sizeof *cu);
    x->seqs.row = memcpy(memory(x, t * sizeof *row), row, t * sizeof *row);
    x->embed.ids = memcpy(memory(x, t * sizeof *ids), ids, t * sizeof *ids);
    x->embed.positions = memcpy(memory(x, t * sizeof *ids), places, t * sizeof *ids);
    free(ids);
    free(places);
    free(cu);
    free(row);
}

static struct add_norm make_norm(struct bench *x, struct mat in, struct mat residual,
                                 uint32_t site)
{
    const int64_t h = x->s->h;
    struct add_norm n = {.x = in, .residual = residual, .eps = 1e-12f,
                         .drop = {x->p, site, x->seqs.row}};

    n.gamma = parameter(x, h);
    n.beta = parameter(x, h);
    n.y = matrix(x, x->t, h);
    n.stats = memory(x, (size_t)x->t * 2 * sizeof(float));
    return n;
}

static struct mat make_layer(struct bench *x, struct layer *l, struct mat in, uint32_t site)
{
    const int64_t h = x->s->h, i = x->s->i, t = x->t;

    l->qkv = (struct linear){.x = in, .w = mat_f32(parameter(x, 3 * h * h), 3 * h, h),
                             .b = parameter(x, 3 * h), .y = matrix(x, t, 3 * h)};
    l->attn = (struct attn){.seqs = x->seqs, .heads = (int32_t)x->s->heads, .scale = 0.17f,
                            .drop = {x->p, site, x->seqs.row}, .qkv = l->qkv.y,
                            .y = matrix(x, t, h)};
    l->attn.lse = memory(x, (size_t)(t * x->s->heads) * sizeof(float));
    l->out = (struct linear){.x = l->attn.y, .w = mat_f32(parameter(x, h * h), h, h),
                             .b = parameter(x, h), .y = matrix(x, t, h)};
    l->norm1 = make_norm(x, l->out.y, in, site + 1);
    l->ffn = (struct ffn){.x = l->norm1.y, .act = ACT_GELU, .pre = matrix(x, t, i),
                          .mid = matrix(x, t, i), .y = matrix(x, t, h)};
    l->ffn.w1 = mat_f32(parameter(x, i * h), i, h);
    l->ffn.w2 = mat_f32(parameter(x, i * h), h, i);
    l->ffn.b1 = parameter(x, i);
    l->ffn.b2 = parameter(x, h);
    l->norm2 = make_norm(x, l->ffn.y, l->norm1.y, site + 2);
    return l->norm2.y;
}

static void make(struct bench *x)
{
    const struct shape *s = x->s;
    struct mat at;

    make_flat(x);
    make_batch(x);
    x->embed.seqs = x->seqs;
    x->embed.word = mat_f32(parameter(x, x->table), s->words, s->h);
    x->embed.pos = mat_f32(parameter(x, 512 * s->h), 512, s->h);
    x->embed.gamma = parameter(x, s->h);
    x->embed.beta = parameter(x, s->h);
    x->embed.eps = 1e-12f;
    x->embed.drop = (struct drop){x->p, 1, x->seqs.row};
    x->embed.y = at = matrix(x, x->t, s->h);
    x->embed.stats = memory(x, (size_t)x->t * 2 * sizeof(float));
    x->layer = calloc((size_t)s->layers, sizeof *x->layer);
    if (!x->layer)
        exit(1);
    for (int64_t i = 0; i < s->layers; i++)
        at = make_layer(x, &x->layer[i], at, (uint32_t)(2 + 3 * i));
    x->dy = matrix(x, x->t, s->h);
    x->dx = matrix(x, x->t, s->h);
    x->work = matrix(x, x->t, s->h);
    x->dqkv = matrix(x, x->t, 3 * s->h);
    x->dmid = matrix(x, x->t, s->i);
}

static void begin(struct bench *x)
{
    x->start = seconds();
}

static void end(struct bench *x, enum slot slot, int status)
{
    must(x, status);
    must(x, x->b->sync(x->d, &x->e));
    x->now[slot] += seconds() - x->start;
}

static void forward(struct bench *x)
{
    begin(x);
    end(x, EMBED, x->b->embed(x->d, &x->embed, &x->e));
    for (int64_t i = 0; i < x->s->layers; i++) {
        const struct layer *l = &x->layer[i];

        begin(x);
        end(x, QKV, x->b->linear(x->d, &l->qkv, &x->e));
        begin(x);
        end(x, ATTN, x->b->attn(x->d, &l->attn, &x->e));
        begin(x);
        end(x, OUT, x->b->linear(x->d, &l->out, &x->e));
        begin(x);
        end(x, NORM, x->b->add_norm(x->d, &l->norm1, &x->e));
        begin(x);
        end(x, FFN, x->b->ffn(x->d, &l->ffn, &x->e));
        begin(x);
        end(x, NORM, x->b->add_norm(x->d, &l->norm2, &x->e));
    }
}

static void linear_back(struct bench *x, enum slot slot, const struct linear *l, struct mat dy,
                        struct mat dx, bool add)
{
    const struct linear_bwd b = {.fwd = l, .dy = dy, .dx = dx, .dx_add = add,
                                 .dw = gradient(x, l->w), .db = gradient_at(x, l->b)};

    begin(x);
    end(x, slot, x->b->linear_bwd(x->d, &b, &x->e));
}

static void norm_back(struct bench *x, const struct add_norm *n)
{
    const struct add_norm_bwd b = {.fwd = n, .dy = x->dy, .dresidual = x->dy,
                                   .dx = x->p > 0 ? x->dx : x->dy,
                                   .dgamma = gradient_at(x, n->gamma),
                                   .dbeta = gradient_at(x, n->beta)};

    begin(x);
    end(x, NORM_B, x->b->add_norm_bwd(x->d, &b, &x->e));
}

static void backward(struct bench *x)
{
    const struct mat *dx = x->p > 0 ? &x->dx : &x->dy;

    for (int64_t i = x->s->layers - 1; i >= 0; i--) {
        const struct layer *l = &x->layer[i];
        const struct ffn *f = &l->ffn;
        const struct ffn_bwd ffn = {
            .fwd = f, .dy = *dx, .dmid = x->dmid, .dx = x->dy, .dw1 = gradient(x, f->w1),
            .dw2 = gradient(x, f->w2), .db1 = gradient_at(x, f->b1),
            .db2 = gradient_at(x, f->b2)};
        const struct attn_bwd attn = {&l->attn, x->work, x->dqkv, x->dx};

        norm_back(x, &l->norm2);
        begin(x);
        end(x, FFN_B, x->b->ffn_bwd(x->d, &ffn, &x->e));
        norm_back(x, &l->norm1);
        linear_back(x, OUT_B, &l->out, *dx, x->work, false);
        begin(x);
        end(x, ATTN_B, x->b->attn_bwd(x->d, &attn, &x->e));
        linear_back(x, QKV_B, &l->qkv, x->dqkv, x->dy, true);
    }
}

static void update(struct bench *x, int64_t t)
{
    const int64_t h = x->s->h;
    struct embed_bwd embed = {.fwd = &x->embed, .dy = x->dy, .dword = gradient(x, x->embed.word),
                              .dpos = gradient(x, x->embed.pos), .touched = x->touched};
    const struct param_run run[2] = {
        {.n = x->table, .lr_scale = 1, .touched = x->touched, .cols = h},
        {.at = x->table, .n = x->n - x->table, .lr_scale = 1}};
    const struct adamw adamw = {
        .p = x->flat[0], .g = x->flat[1], .m = x->flat[2], .v = x->flat[3], .run = run,
        .n_run = 2, .lr = 2e-5f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .clip = 1,
        .t = t, .sumsq = x->sumsq};

    embed.dgamma = gradient_at(x, x->embed.gamma);
    embed.dbeta = gradient_at(x, x->embed.beta);
    begin(x);
    end(x, EMBED_B, x->b->embed_bwd(x->d, &embed, &x->e));
    begin(x);
    end(x, SQNORM, x->b->sqnorm(x->d, x->flat[1], run, 2, x->sumsq, &x->e));
    begin(x);
    end(x, ADAMW, x->b->adamw(x->d, &adamw, &x->e));
}

static void report(const struct bench *x)
{
    const double t = (double)x->t, h = (double)x->s->h, i = (double)x->s->i;
    const double layers = (double)x->s->layers, n = (double)x->s->len;
    const double flop[SLOTS] = {
        [QKV] = 6 * t * h * h, [ATTN] = 4 * t * n * h, [OUT] = 2 * t * h * h,
        [FFN] = 4 * t * h * i, [FFN_B] = 8 * t * h * i, [OUT_B] = 4 * t * h * h,
        [ATTN_B] = 10 * t * n * h, [QKV_B] = 12 * t * h * h};
    double sum = 0, all = 0;

    for (int k = 0; k < SLOTS; k++)
        sum += x->best[k];
    printf("%s: %.1f ms a step\n", x->s->name, 1e3 * x->step);
    for (int k = 0; k < SLOTS; k++) {
        if (x->best[k] == 0)
            continue;
        all += flop[k] * layers;
        printf("  %-15s %8.2f ms %5.1f %%", slot_name[k], 1e3 * x->best[k],
               100 * x->best[k] / sum);
        if (flop[k] > 0)
            printf(" %7.1f GFLOP/s", 1e-9 * flop[k] * layers / x->best[k]);
        printf("\n");
    }
    printf("  %-15s %8.2f ms         %7.1f GFLOP/s\n", "sum of fastest", 1e3 * sum,
           1e-9 * all / sum);
}

int main(int argc, char **argv)
{
    struct bench x = {0};
    struct par *par = par_open(argc > 1 ? atoi(argv[1]) : par_available(), &x.e);
    const int repeats = argc > 2 ? atoi(argv[2]) : 5;
    struct dev_options o = {.par = par};

    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const struct shape *s = &shapes[k];

        if (argc > 5 && (size_t)atoi(argv[5]) != k)
            continue;
        x = (struct bench){.s = s, .t = s->seqs * s->len, .step = 1e9};
        x.p = argc > 3 ? strtof(argv[3], NULL) : 0.1f;
        x.b = backend_choose(argc > 4 ? argv[4] : "cpu", &o.index, NULL, &x.e);
        must(&x, x.b ? 0 : -1);
        x.d = x.b->open(&o, &x.e);
        must(&x, x.d ? 0 : -1);
        make(&x);
        for (int i = 0; i < repeats; i++) {
            double start = seconds();

            memset(x.now, 0, sizeof x.now);
            must(&x, x.b->set_step(x.d, 1, (uint32_t)i + 1, &x.e));
            forward(&x);
            backward(&x);
            update(&x, i + 1);
            start = seconds() - start;
            x.step = start < x.step ? start : x.step;
            for (int q = 0; q < SLOTS; q++)
                if (i == 0 || x.now[q] < x.best[q])
                    x.best[q] = x.now[q];
        }
        report(&x);
        fflush(stdout); /* memory is the process's: the next shape has its own */
    }
    par_close(par);
    return 0;
}
