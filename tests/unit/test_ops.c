/* SPDX-License-Identifier: MIT */
/*
 * Every slot of the op table against a naive reference in double, its backward pass against
 * finite differences, and all of it bit by bit with 1, 2 and 3 threads.
 */
#include "ops_rig.h"
#include "par.h"

static struct rig *rig;

/* ---- linear and ffn ---- */

struct linear_case {
    int64_t t, n, k;
    enum activation act;
    double *x, *w, *b, *r, *y;
};

static double linear_value(const void *ctx)
{
    const struct linear_case *c = ctx;

    ref_linear(c->x, c->w, c->b, c->act, c->y, c->t, c->n, c->k);
    return ref_dot(c->y, c->r, c->t * c->n);
}

static void linear_one(int64_t t, int64_t n, int64_t k, enum activation act, bool plain)
{
    struct linear_case c = {.t = t, .n = n, .k = k, .act = act};
    struct linear f = {.act = act};
    struct linear_bwd b = {.fwd = &f};
    double *dw, *db, *dx, size = 1 / sqrt((double)k);

    c.x = rig_input(rig, t * k, 2);
    c.w = rig_input(rig, n * k, 2 * size);
    c.b = plain ? NULL : rig_input(rig, n, 1);
    c.r = rig_input(rig, t * n, 1);
    c.y = rig_doubles(rig, t * n);
    dw = rig_input(rig, n * k, 0.1);
    db = rig_input(rig, n, 0.1);
    dx = rig_input(rig, t * k, 0.1);
    f.x = rig_mat(rig, c.x, t, k);
    f.w = rig_mat(rig, c.w, n, k);
    f.b = plain ? NULL : rig_floats(rig, c.b, n);
    f.y = rig_mat(rig, NULL, t, n);
    if (act == ACT_GELU || act == ACT_GELU_TANH)
        f.pre = rig_mat(rig, NULL, t, n);
    NEED(rig->b->linear(rig->d, &f, &rig->e));
    linear_value(&c);
    rig_check(rig, "y", f.y.p, c.y, t * n);
    b.dy = rig_mat(rig, c.r, t, n);
    b.dx = rig_mat(rig, plain ? NULL : dx, t, k);
    b.dx_add = !plain;
    b.dw = rig_mat(rig, dw, n, k);
    b.db = plain ? NULL : rig_floats(rig, db, n);
    NEED(rig->b->linear_bwd(rig->d, &b, &rig->e));
    rig_gradient(rig, "dx", b.dx.p, plain ? NULL : dx, c.x, t * k, linear_value, &c);
    rig_gradient(rig, "dw", b.dw.p, dw, c.w, n * k, linear_value, &c);
    if (!plain)
        rig_gradient(rig, "db", b.db, db, c.b, n, linear_value, &c);
    rig_reset(rig);
}

static const int64_t linear_shapes[][3] = {
    {1, 1, 1}, {1, 2, 33}, {5, 48, 16}, {37, 50, 70}, {130, 200, 96}, {0, 8, 8}, {600, 20, 31},
};

static void test_linear(void)
{
    for (size_t i = 0; i < sizeof linear_shapes / sizeof *linear_shapes; i++) {
        const int64_t *s = linear_shapes[i];

        for (int act = ACT_NONE; act <= ACT_GELU_TANH; act++)
            if (act != ACT_RELU || s[0] < 100) /* few points near the kink, where it has none */
                linear_one(s[0], s[1], s[2], (enum activation)act, i % 2 == 1);
    }
}

/* Activations over their whole range: x is 1 x 1, so that the product is exact. */
static void test_activations(void)
{
    enum { N = 40001 };
    const double one = 1, *x;
    double *in = rig_doubles(rig, N), *y = rig_doubles(rig, N), *d = rig_doubles(rig, N);

    for (int i = 0; i < N; i++)
        in[i] = (double)((float)(i - N / 2) * (1 / 1024.0f)); /* -19.5..19.5 */
    x = in;
    for (int act = ACT_GELU; act <= ACT_GELU_TANH; act++) {
        struct linear f = {.x = rig_mat(rig, x, N, 1), .w = rig_mat(rig, &one, 1, 1),
                           .act = (enum activation)act, .y = rig_mat(rig, NULL, N, 1),
                           .pre = rig_mat(rig, NULL, N, 1)};
        struct linear_bwd b = {.fwd = &f, .dy = rig_mat(rig, NULL, N, 1)};
        const float *got;

        for (int i = 0; i < N; i++) {
            y[i] = ref_act(f.act, x[i]);
            d[i] = 1;
        }
        b.dy = rig_mat(rig, d, N, 1);
        for (int i = 0; i < N; i++)
            d[i] = act == ACT_RELU ? (x[i] > 0)
                                   : (ref_act(f.act, x[i] + 1e-5) - ref_act(f.act, x[i] - 1e-5)) /
                                         2e-5;
        NEED(rig->b->linear(rig->d, &f, &rig->e));
        got = rig_down(rig, f.y.p, N);
        for (int i = 0; i < N; i++)
            CHECK_MSG(fabs((double)got[i] - y[i]) < 5e-7 * fmax(1, fabs(y[i])),
                      "act %d of %g is %.9g, not %.9g", act, x[i], (double)got[i], y[i]);
        NEED(rig->b->linear_bwd(rig->d, &b, &rig->e));
        got = rig_down(rig, b.dy.p, N);
        for (int i = 0; i < N; i++)
            CHECK_MSG(fabs((double)got[i] - d[i]) < 2e-6, "act %d' of %g is %.9g, not %.9g", act,
                      x[i], (double)got[i], d[i]);
    }
    rig_reset(rig);
}

/* A product of slices: ld is wider than the columns, and what lies between must stay. */
static void test_linear_strided(void)
{
    enum { T = 19, N = 24, K = 20, GAP = 5 };
    double *x = rig_input(rig, T * (K + GAP), 1), *w = rig_input(rig, N * (K + GAP), 1);
    double *y = rig_doubles(rig, T * (N + GAP));
    struct linear f = {.act = ACT_TANH};

    for (int i = 0; i < T * (N + GAP); i++)
        y[i] = 9;
    f.x = rig_mat(rig, x, T, K + GAP);
    f.w = rig_mat(rig, w, N, K + GAP);
    f.y = rig_mat(rig, y, T, N + GAP);
    f.x.cols = f.w.cols = K;
    f.y.cols = N;
    NEED(rig->b->linear(rig->d, &f, &rig->e));
    for (int i = 0; i < T; i++)
        for (int j = 0; j < N; j++)
            y[i * (N + GAP) + j] = tanh(ref_dot(x + i * (K + GAP), w + j * (K + GAP), K));
    rig_check(rig, "y", f.y.p, y, T * (N + GAP));
    rig_reset(rig);
}

struct ffn_case {
    int64_t t, h, i;
    enum activation act;
    double *x, *w1, *b1, *w2, *b2, *r, *mid, *y;
};

static double ffn_value(const void *ctx)
{
    const struct ffn_case *c = ctx;

    ref_linear(c->x, c->w1, c->b1, c->act, c->mid, c->t, c->i, c->h);
    ref_linear(c->mid, c->w2, c->b2, ACT_NONE, c->y, c->t, c->h, c->i);
    return ref_dot(c->y, c->r, c->t * c->h);
}

static void ffn_one(int64_t t, int64_t h, int64_t i, enum activation act)
{
    struct ffn_case c = {.t = t, .h = h, .i = i, .act = act};
    struct ffn f = {.act = act};
    struct ffn_bwd b = {.fwd = &f};
    double *dx = rig_input(rig, t * h, 0.1), *dw1 = rig_input(rig, i * h, 0.1);
    double *dw2 = rig_input(rig, i * h, 0.1), *db1 = rig_input(rig, i, 0.1);
    double *db2 = rig_input(rig, h, 0.1);

    c.x = rig_input(rig, t * h, 2);
    c.w1 = rig_input(rig, i * h, 2 / sqrt((double)h));
    c.b1 = rig_input(rig, i, 1);
    c.w2 = rig_input(rig, i * h, 2 / sqrt((double)i));
    c.b2 = rig_input(rig, h, 1);
    c.r = rig_input(rig, t * h, 1);
    c.mid = rig_doubles(rig, t * i);
    c.y = rig_doubles(rig, t * h);
    f.x = rig_mat(rig, c.x, t, h);
    f.w1 = rig_mat(rig, c.w1, i, h);
    f.b1 = rig_floats(rig, c.b1, i);
    f.w2 = rig_mat(rig, c.w2, h, i);
    f.b2 = rig_floats(rig, c.b2, h);
    f.pre = rig_mat(rig, NULL, t, i);
    f.mid = rig_mat(rig, NULL, t, i);
    f.y = rig_mat(rig, NULL, t, h);
    NEED(rig->b->ffn(rig->d, &f, &rig->e));
    ffn_value(&c);
    rig_check(rig, "y", f.y.p, c.y, t * h);
    b.dy = rig_mat(rig, c.r, t, h);
    b.dmid = rig_mat(rig, NULL, t, i);
    b.dx = rig_mat(rig, dx, t, h);
    b.dw1 = rig_mat(rig, dw1, i, h);
    b.dw2 = rig_mat(rig, dw2, h, i);
    b.db1 = rig_floats(rig, db1, i);
    b.db2 = rig_floats(rig, db2, h);
    NEED(rig->b->ffn_bwd(rig->d, &b, &rig->e));
    rig_gradient(rig, "dx", b.dx.p, dx, c.x, t * h, ffn_value, &c);
    rig_gradient(rig, "dw1", b.dw1.p, dw1, c.w1, i * h, ffn_value, &c);
    rig_gradient(rig, "dw2", b.dw2.p, dw2, c.w2, i * h, ffn_value, &c);
    rig_gradient(rig, "db1", b.db1, db1, c.b1, i, ffn_value, &c);
    rig_gradient(rig, "db2", b.db2, db2, c.b2, h, ffn_value, &c);
    /* Inference: nothing is kept. */
    f.pre.p = NULL;
    NEED(rig->b->ffn(rig->d, &f, &rig->e));
    rig_check(rig, "y without pre", f.y.p, c.y, t * h);
    rig_reset(rig);
}

static void test_ffn(void)
{
    ffn_one(1, 16, 64, ACT_GELU);
    ffn_one(7, 21, 50, ACT_GELU);
    ffn_one(33, 64, 100, ACT_GELU_TANH);
    ffn_one(90, 32, 48, ACT_GELU);
    ffn_one(0, 16, 32, ACT_GELU);
}

/* ---- attention ---- */

struct attn_case {
    struct places at;
    int64_t heads, width;
    float p;
    double *qkv, *r, *y;
};

enum { SITE = 3 };

static void ref_attn_row(const struct attn_case *c, int64_t s, int64_t h, int64_t i,
                         double *prob)
{
    const int64_t width = c->heads * c->width, from = c->at.cu[s], n = c->at.cu[s + 1] - from;
    const double *q = c->qkv + (from + i) * 3 * width + h * c->width;
    double *y = c->y + (from + i) * width + h * c->width, sum = 0;

    for (int64_t j = 0; j < n; j++) {
        const double *k = c->qkv + (from + j) * 3 * width + width + h * c->width;

        prob[j] = exp(ref_dot(q, k, c->width) / sqrt((double)c->width));
        sum += prob[j];
    }
    for (int64_t d = 0; d < c->width; d++)
        y[d] = 0;
    for (int64_t j = 0; j < n; j++) {
        const double *v = c->qkv + (from + j) * 3 * width + 2 * width + h * c->width;
        const double p = prob[j] / sum * ref_drop(c->p, SITE, c->at.row[from + i],
                                                  c->at.row[from + j].offset, (uint32_t)h);

        for (int64_t d = 0; d < c->width; d++)
            y[d] += p * v[d];
    }
}

static double attn_value(const void *ctx)
{
    const struct attn_case *c = ctx;
    double *prob = calloc((size_t)c->at.max + 1, sizeof *prob), value;

    for (int64_t s = 0; s < c->at.s; s++)
        for (int64_t h = 0; h < c->heads; h++)
            for (int64_t i = 0; i < c->at.cu[s + 1] - c->at.cu[s]; i++)
                ref_attn_row(c, s, h, i, prob);
    value = ref_dot(c->y, c->r, c->at.t * c->heads * c->width);
    free(prob);
    return value;
}

static void attn_one(const struct lengths *l, int64_t heads, int64_t width, float p)
{
    struct attn_case c = {.at = rig_places(rig, l), .heads = heads, .width = width, .p = p};
    const int64_t t = c.at.t, h = heads * width;
    struct attn f = {.seqs = rig_seqs(rig, &c.at), .heads = (int32_t)heads,
                     .scale = (float)(1 / sqrt((double)width))};
    struct attn_bwd b = {.fwd = &f};

    c.qkv = rig_input(rig, t * 3 * h, 1.5);
    c.r = rig_input(rig, t * h, 1);
    c.y = rig_doubles(rig, t * h);
    f.drop = (struct drop){p, SITE, f.seqs.row};
    f.qkv = rig_mat(rig, c.qkv, t, 3 * h);
    f.y = rig_mat(rig, NULL, t, h);
    f.lse = rig_floats(rig, NULL, heads * t);
    NEED(rig->b->attn(rig->d, &f, &rig->e));
    attn_value(&c);
    rig_check(rig, "y", f.y.p, c.y, t * h);
    b.dy = rig_mat(rig, c.r, t, h);
    b.dqkv = rig_mat(rig, NULL, t, 3 * h);
    b.work = rig_mat(rig, NULL, t, h);
    NEED(rig->b->attn_bwd(rig->d, &b, &rig->e));
    rig_gradient(rig, "dqkv", b.dqkv.p, NULL, c.qkv, t * 3 * h, attn_value, &c);
    f.lse = NULL;
    NEED(rig->b->attn(rig->d, &f, &rig->e));
    rig_check(rig, "y without lse", f.y.p, c.y, t * h);
    rig_reset(rig);
}

static void test_attn(void)
{
    static const struct lengths shapes[] = {
        {1, {1}}, {1, {7}}, {4, {11, 3, 1, 17}}, {3, {5, 0, 4}}, {2, {64, 65}}, {0, {0}},
    };
    static const int64_t heads[][2] = {{1, 8}, {2, 32}, {3, 64}, {1, 20}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t j = 0; j < sizeof heads / sizeof *heads; j++)
            for (int p = 0; p < 2; p++)
                attn_one(&shapes[i], heads[j][0], heads[j][1], p ? 0.25f : 0);
    attn_one(&(struct lengths){2, {130, 9}}, 1, 32, 0.1f);
}

/* ---- norms, dropout, embeddings ---- */

struct norm_case {
    struct places at;
    int64_t h;
    float p, eps;
    double *x, *residual, *gamma, *beta, *r, *sum, *y;
};

static double norm_value(const void *ctx)
{
    const struct norm_case *c = ctx;

    for (int64_t i = 0; i < c->at.t; i++) {
        for (int64_t j = 0; j < c->h; j++)
            c->sum[i * c->h + j] =
                c->x[i * c->h + j] * ref_drop(c->p, SITE, c->at.row[i], (uint32_t)j, 0) +
                (c->residual ? c->residual[i * c->h + j] : 0);
        ref_norm(c->sum + i * c->h, c->gamma, c->beta, (double)c->eps, c->y + i * c->h, c->h);
    }
    return ref_dot(c->y, c->r, c->at.t * c->h);
}

static void norm_one(const struct lengths *l, int64_t h, float p, bool residual)
{
    struct norm_case c = {.at = rig_places(rig, l), .h = h, .p = p, .eps = 1e-5f};
    const struct seqs seqs = rig_seqs(rig, &c.at);
    const int64_t t = c.at.t;
    struct add_norm f = {.eps = c.eps, .drop = {p, SITE, seqs.row}};
    struct add_norm_bwd b = {.fwd = &f};
    double *dgamma = rig_input(rig, h, 0.1), *dbeta = rig_input(rig, h, 0.1);

    c.x = rig_input(rig, t * h, 2);
    c.residual = residual ? rig_input(rig, t * h, 2) : NULL;
    c.gamma = rig_input(rig, h, 2);
    c.beta = rig_input(rig, h, 1);
    c.r = rig_input(rig, t * h, 1);
    c.sum = rig_doubles(rig, t * h);
    c.y = rig_doubles(rig, t * h);
    f.x = rig_mat(rig, c.x, t, h);
    if (residual)
        f.residual = rig_mat(rig, c.residual, t, h);
    f.gamma = rig_floats(rig, c.gamma, h);
    f.beta = rig_floats(rig, c.beta, h);
    f.y = rig_mat(rig, NULL, t, h);
    f.stats = rig_floats(rig, NULL, 2 * t);
    NEED(rig->b->add_norm(rig->d, &f, &rig->e));
    norm_value(&c);
    rig_check(rig, "x", f.x.p, c.sum, t * h);
    rig_check(rig, "y", f.y.p, c.y, t * h);
    b.dy = rig_mat(rig, c.r, t, h);
    b.dresidual = b.dy; /* as the encoder does it */
    b.dx = p > 0 ? rig_mat(rig, NULL, t, h) : b.dy;
    b.dgamma = rig_floats(rig, dgamma, h);
    b.dbeta = rig_floats(rig, dbeta, h);
    NEED(rig->b->add_norm_bwd(rig->d, &b, &rig->e));
    rig_gradient(rig, "dx", b.dx.p, NULL, c.x, t * h, norm_value, &c);
    if (residual)
        rig_gradient(rig, "dresidual", b.dresidual.p, NULL, c.residual, t * h, norm_value, &c);
    rig_gradient(rig, "dgamma", b.dgamma, dgamma, c.gamma, h, norm_value, &c);
    rig_gradient(rig, "dbeta", b.dbeta, dbeta, c.beta, h, norm_value, &c);
    rig_reset(rig);
}

static const struct lengths row_shapes[] = {{1, {1}}, {2, {5, 8}}, {3, {33, 1, 40}}, {0, {0}}};
enum { ROW_SHAPES = sizeof row_shapes / sizeof *row_shapes };

static void test_add_norm(void)
{
    static const int64_t widths[] = {5, 32, 70, 600};

    for (size_t i = 0; i < ROW_SHAPES; i++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int k = 0; k < 4; k++)
                norm_one(&row_shapes[i], widths[w], k & 1 ? 0.3f : 0, k & 2);
}

static void test_dropout(void)
{
    static const int64_t widths[] = {1, 6, 64, 1030};

    for (size_t i = 0; i < ROW_SHAPES; i++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            const struct places at = rig_places(rig, &row_shapes[i]);
            const struct seqs seqs = rig_seqs(rig, &at);
            const struct drop drop = {0.4f, SITE, seqs.row}, none = {0, SITE, NULL};
            const int64_t n = at.t * widths[w];
            double *x = rig_input(rig, n, 1), *y = rig_doubles(rig, n);
            const struct mat mx = rig_mat(rig, x, at.t, widths[w]);
            const struct mat my = rig_mat(rig, NULL, at.t, widths[w]);

            for (int64_t k = 0; k < n; k++)
                y[k] = x[k] * ref_drop(0.4f, SITE, at.row[k / widths[w]],
                                       (uint32_t)(k % widths[w]), 0);
            NEED(rig->b->dropout(rig->d, &none, mx, my, &rig->e));
            rig_check(rig, "copy", my.p, x, n);
            NEED(rig->b->dropout(rig->d, &drop, mx, my, &rig->e));
            rig_check(rig, "y", my.p, y, n);
            NEED(rig->b->dropout(rig->d, &drop, mx, mx, &rig->e));
            rig_check(rig, "in place", mx.p, y, n);
            rig_reset(rig);
        }
    }
}

struct embed_case {
    struct places at;
    int64_t h;
    float p, eps;
    int32_t *ids, *positions, *types;
    double *word, *pos, *type, *gamma, *beta, *r, *sum, *y;
};

static double embed_value(const void *ctx)
{
    const struct embed_case *c = ctx;

    for (int64_t i = 0; i < c->at.t; i++) {
        double *y = c->y + i * c->h;

        for (int64_t j = 0; j < c->h; j++)
            c->sum[j] = c->word[c->ids[i] * c->h + j] + c->pos[c->positions[i] * c->h + j] +
                        (c->type ? c->type[c->types[i] * c->h + j] : 0);
        ref_norm(c->sum, c->gamma, c->beta, (double)c->eps, y, c->h);
        for (int64_t j = 0; j < c->h; j++)
            y[j] *= ref_drop(c->p, SITE, c->at.row[i], (uint32_t)j, 0);
    }
    return ref_dot(c->y, c->r, c->at.t * c->h);
}

enum { WORDS = 12, PLACES = 50, TYPES = 2 };

static void embed_inputs(struct embed_case *c)
{
    const int64_t t = c->at.t;
    int32_t *ids = rig_keep(rig->host, &rig->n_host, calloc(3 * (size_t)t + 1, sizeof *ids));

    c->ids = ids;
    c->positions = ids + t;
    c->types = ids + 2 * t;
    for (int64_t i = 0; i < t; i++) {
        c->ids[i] = (int32_t)(i * i % (WORDS - 1)); /* many of them twice; the last never */
        c->positions[i] = (int32_t)c->at.row[i].offset;
        c->types[i] = (int32_t)(i % TYPES);
    }
    c->gamma = rig_input(rig, c->h, 2);
    c->beta = rig_input(rig, c->h, 1);
    c->word = rig_input(rig, WORDS * c->h, 1);
    c->pos = rig_input(rig, PLACES * c->h, 1);
    c->r = rig_input(rig, t * c->h, 1);
    c->sum = rig_doubles(rig, c->h);
    c->y = rig_doubles(rig, t * c->h);
}

static void embed_one(const struct lengths *l, int64_t h, float p, bool type)
{
    struct embed_case c = {.at = rig_places(rig, l), .h = h, .p = p, .eps = 1e-5f};
    const int64_t t = c.at.t;
    struct embed f = {.seqs = rig_seqs(rig, &c.at), .eps = c.eps};
    struct embed_bwd b = {.fwd = &f};
    double *dword = rig_input(rig, WORDS * h, 0.1), *dpos = rig_input(rig, PLACES * h, 0.1);
    double *dtype = rig_input(rig, TYPES * h, 0.1), *dgamma = rig_input(rig, h, 0.1);
    double *dbeta = rig_input(rig, h, 0.1);
    uint8_t touched[WORDS] = {0};

    embed_inputs(&c);
    c.type = type ? rig_input(rig, TYPES * h, 1) : NULL;
    f.ids = rig_bytes(rig, c.ids, (size_t)t * sizeof *c.ids);
    f.positions = rig_bytes(rig, c.positions, (size_t)t * sizeof *c.ids);
    f.types = rig_bytes(rig, c.types, (size_t)t * sizeof *c.ids);
    f.word = rig_mat(rig, c.word, WORDS, h);
    f.pos = rig_mat(rig, c.pos, PLACES, h);
    if (type)
        f.type = rig_mat(rig, c.type, TYPES, h);
    f.gamma = rig_floats(rig, c.gamma, h);
    f.beta = rig_floats(rig, c.beta, h);
    f.drop = (struct drop){p, SITE, f.seqs.row};
    f.y = rig_mat(rig, NULL, t, h);
    f.stats = rig_floats(rig, NULL, 2 * t);
    NEED(rig->b->embed(rig->d, &f, &rig->e));
    embed_value(&c);
    rig_check(rig, "y", f.y.p, c.y, t * h);
    b.dy = rig_mat(rig, c.r, t, h);
    b.dword = rig_mat(rig, dword, WORDS, h);
    b.dpos = rig_mat(rig, dpos, PLACES, h);
    if (type)
        b.dtype = rig_mat(rig, dtype, TYPES, h);
    b.dgamma = rig_floats(rig, dgamma, h);
    b.dbeta = rig_floats(rig, dbeta, h);
    b.touched = rig_bytes(rig, touched, sizeof touched);
    NEED(rig->b->embed_bwd(rig->d, &b, &rig->e));
    rig_gradient(rig, "dword", b.dword.p, dword, c.word, WORDS * h, embed_value, &c);
    rig_gradient(rig, "dpos", b.dpos.p, dpos, c.pos, PLACES * h, embed_value, &c);
    if (type)
        rig_gradient(rig, "dtype", b.dtype.p, dtype, c.type, TYPES * h, embed_value, &c);
    rig_gradient(rig, "dgamma", b.dgamma, dgamma, c.gamma, h, embed_value, &c);
    rig_gradient(rig, "dbeta", b.dbeta, dbeta, c.beta, h, embed_value, &c);
    NEED(rig->b->get(rig->d, touched, b.touched, sizeof touched, &rig->e));
    for (int i = 0; i < WORDS; i++) {
        bool used = false;

        for (int64_t k = 0; k < t; k++)
            used |= c.ids[k] == i;
        CHECK_MSG(touched[i] == used, "word %d", i);
    }
    rig_reset(rig);
}

static void test_embed(void)
{
    static const int64_t widths[] = {5, 64, 150};

    for (size_t i = 0; i < ROW_SHAPES; i++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int k = 0; k < 4; k++)
                embed_one(&row_shapes[i], widths[w], k & 1 ? 0.3f : 0, k & 2);
}

static void test_rows(void)
{
    enum { T = 90, H = 37, R = 40 };
    double *x = rig_input(rig, T * H, 1), *y = rig_doubles(rig, R * H);
    int32_t row[R];
    struct mat mx = rig_mat(rig, x, T, H), my = rig_mat(rig, NULL, R, H);
    const int32_t *device;

    for (int i = 0; i < R; i++) {
        row[i] = (i * 7 + 3) % T;
        memcpy(y + i * H, x + row[i] * H, H * sizeof *y);
    }
    device = rig_bytes(rig, row, sizeof row);
    NEED(rig->b->rows_get(rig->d, mx, device, my, &rig->e));
    rig_check(rig, "rows_get", my.p, y, R * H);
    NEED(rig->b->rows_add(rig->d, mx, device, my, &rig->e));
    for (int i = 0; i < R; i++)
        for (int j = 0; j < H; j++)
            x[row[i] * H + j] += y[i * H + j];
    rig_check(rig, "rows_add", mx.p, x, T * H);
    rig_reset(rig);
}

/* ---- losses ---- */

struct loss_case {
    enum loss_kind kind;
    int64_t r, c;
    double scale;
    int32_t *label;
    double *z, *target, *weight, *row;
};

static double ref_row_loss(const struct loss_case *c, int64_t r)
{
    const double *z = c->z + r * c->c, *t = c->target + r * c->c;
    double sum = 0;

    for (int64_t i = 0; i < c->c; i++) {
        if (c->kind == LOSS_SINGLE)
            sum += exp(z[i]);
        else if (c->kind == LOSS_MULTI)
            sum += log1p(exp(z[i])) - z[i] * t[i];
        else
            sum += (z[i] - t[i]) * (z[i] - t[i]);
    }
    if (c->kind != LOSS_SINGLE)
        return sum / (double)c->c;
    return c->label[r] < 0 ? 0 : log(sum) - z[c->label[r]];
}

static double loss_value(const void *ctx)
{
    const struct loss_case *c = ctx;
    double sum = 0;

    for (int64_t r = 0; r < c->r; r++) {
        c->row[r] = ref_row_loss(c, r);
        sum += c->row[r] * (c->weight ? c->weight[r] : 1) * c->scale;
    }
    return sum;
}

static void loss_one(enum loss_kind kind, int64_t rows, int64_t classes, bool weighted)
{
    struct loss_case c = {.kind = kind, .r = rows, .c = classes, .scale = 0.125};
    struct loss f = {.kind = kind, .scale = 0.125f, .gradient = false};

    c.z = rig_input(rig, rows * classes, 5);
    c.target = rig_input(rig, rows * classes, 1);
    c.row = rig_doubles(rig, rows);
    c.label = rig_keep(rig->host, &rig->n_host, calloc((size_t)rows + 1, sizeof *c.label));
    for (int64_t i = 0; i < rows * classes; i++)
        c.target[i] = (double)(float)((c.target[i] + 1) / 2);
    for (int64_t i = 0; i < rows; i++)
        c.label[i] = i % 7 == 6 ? -1 : (int32_t)(i * 5 % classes);
    c.weight = weighted ? rig_input(rig, rows, 2) : NULL;
    f.logits = rig_mat(rig, c.z, rows, classes);
    f.label = rig_bytes(rig, c.label, (size_t)rows * sizeof *c.label);
    f.target = rig_floats(rig, c.target, rows * classes);
    f.weight = weighted ? rig_floats(rig, c.weight, rows) : NULL;
    f.row_loss = rig_floats(rig, NULL, rows);
    NEED(rig->b->loss(rig->d, &f, &rig->e));
    loss_value(&c);
    rig_check(rig, "row_loss", f.row_loss, c.row, rows);
    rig_check(rig, "logits", f.logits.p, c.z, rows * classes);
    f.gradient = true;
    NEED(rig->b->loss(rig->d, &f, &rig->e));
    rig_check(rig, "row_loss", f.row_loss, c.row, rows);
    rig_gradient(rig, "dlogits", f.logits.p, NULL, c.z, rows * classes, loss_value, &c);
    rig_reset(rig);
}

static void test_loss(void)
{
    for (int kind = LOSS_SINGLE; kind <= LOSS_REGRESSION; kind++) {
        for (int weighted = 0; weighted < 2; weighted++) {
            loss_one((enum loss_kind)kind, 1, 1, weighted);
            loss_one((enum loss_kind)kind, 9, 2, weighted);
            loss_one((enum loss_kind)kind, 70, 21, weighted);
            loss_one((enum loss_kind)kind, 0, 3, weighted);
        }
    }
}

struct vocab_case {
    int64_t r, h, v;
    double scale;
    int32_t *label;
    double *x, *w, *b, *z, *row;
};

static double vocab_value(const void *ctx)
{
    const struct vocab_case *c = ctx;
    double sum = 0;

    ref_linear(c->x, c->w, c->b, ACT_NONE, c->z, c->r, c->v, c->h);
    for (int64_t r = 0; r < c->r; r++) {
        double total = 0;

        for (int64_t i = 0; i < c->v; i++)
            total += exp(c->z[r * c->v + i]);
        c->row[r] = c->label[r] < 0 ? 0 : log(total) - c->z[r * c->v + c->label[r]];
        sum += c->row[r] * c->scale;
    }
    return sum;
}

static void vocab_check_best(const struct vocab_case *c, const int32_t *device)
{
    int32_t *best = rig_keep(rig->host, &rig->n_host, calloc((size_t)c->r + 1, sizeof *best));

    NEED(rig->b->get(rig->d, best, device, (size_t)c->r * sizeof *best, &rig->e));
    for (int64_t r = 0; r < c->r; r++) {
        int32_t want = 0;

        for (int32_t i = 1; i < c->v; i++)
            if (c->z[r * c->v + i] > c->z[r * c->v + want])
                want = i;
        CHECK_MSG(best[r] == want, "row %ld: %d, not %d", (long)r, best[r], want);
    }
}

static void vocab_one(int64_t rows, int64_t h, int64_t v, int64_t chunk)
{
    struct vocab_case c = {.r = rows, .h = h, .v = v, .scale = 0.25};
    struct vocab_loss f = {.scale = 0.25f};
    double *dw = rig_input(rig, v * h, 0.01), *db = rig_input(rig, v, 0.01);

    c.x = rig_input(rig, rows * h, 2);
    c.w = rig_input(rig, v * h, 1);
    c.b = rig_input(rig, v, 1);
    c.z = rig_doubles(rig, rows * v);
    c.row = rig_doubles(rig, rows);
    c.label = rig_keep(rig->host, &rig->n_host, calloc((size_t)rows + 1, sizeof *c.label));
    for (int64_t i = 0; i < rows; i++)
        c.label[i] = i % 7 == 5 ? -1 : (int32_t)(i * 31 % v);
    f.x = rig_mat(rig, c.x, rows, h);
    f.w = rig_mat(rig, c.w, v, h);
    f.b = rig_floats(rig, c.b, v);
    f.label = rig_bytes(rig, c.label, (size_t)rows * sizeof *c.label);
    f.row_loss = rig_floats(rig, NULL, rows);
    f.best = rig_bytes(rig, NULL, (size_t)rows * sizeof *f.best);
    f.work = rig_mat(rig, NULL, chunk, v);
    NEED(rig->b->vocab_loss(rig->d, &f, &rig->e));
    vocab_value(&c);
    rig_check(rig, "row_loss", f.row_loss, c.row, rows);
    vocab_check_best(&c, f.best);
    f.gradient = true;
    f.dx = rig_mat(rig, NULL, rows, h);
    f.dw = rig_mat(rig, dw, v, h);
    f.db = rig_floats(rig, db, v);
    NEED(rig->b->vocab_loss(rig->d, &f, &rig->e));
    rig_gradient(rig, "dx", f.dx.p, NULL, c.x, rows * h, vocab_value, &c);
    rig_gradient(rig, "dw", f.dw.p, dw, c.w, v * h, vocab_value, &c);
    rig_gradient(rig, "db", f.db, db, c.b, v, vocab_value, &c);
    rig_reset(rig);
}

static void test_vocab_loss(void)
{
    vocab_one(1, 8, 30, 1);
    vocab_one(13, 32, 101, 5);
    vocab_one(40, 48, 700, 64);
    vocab_one(0, 8, 10, 4);
}

/* ---- the update ---- */

enum { ROWS = 9, COLS = 50, DENSE = 70001, FLAT = ROWS * COLS + DENSE };

struct update_case {
    double *p, *g, *m, *v;
    uint8_t touched[ROWS];
    struct param_run run[2];
};

static void update_inputs(struct update_case *c, double decay, bool untouched)
{
    c->p = rig_input(rig, FLAT, 1);
    c->g = rig_input(rig, FLAT, 0.01);
    c->m = rig_input(rig, FLAT, 0.01);
    c->v = rig_input(rig, FLAT, 0.01);
    for (int i = 0; i < FLAT; i++)
        c->v[i] = fabs(c->v[i]);
    for (int i = 0; i < ROWS; i++) {
        c->touched[i] = !untouched || i % 3 == 1;
        for (int k = i * COLS; k < (i + 1) * COLS && !c->touched[i]; k++)
            c->g[k] = c->m[k] = c->v[k] = 0;
    }
    c->run[0] = (struct param_run){.n = ROWS * COLS, .decay = (float)decay, .lr_scale = 0.5f,
                                   .touched = rig_bytes(rig, c->touched, ROWS), .cols = COLS};
    c->run[1] = (struct param_run){.at = ROWS * COLS, .n = DENSE, .lr_scale = 1};
}

static void ref_adamw(struct update_case *c, const struct adamw *a, double norm)
{
    const double factor = a->clip > 0 ? fmin(1, (double)a->clip / (norm + 1e-6)) : 1;
    const double c1 = 1 - pow((double)a->beta1, (double)a->t);
    const double c2 = 1 - pow((double)a->beta2, (double)a->t);

    for (int i = 0; i < FLAT; i++) {
        const struct param_run *r = &c->run[i >= ROWS * COLS];
        const double lr = (double)a->lr * (double)r->lr_scale, g = c->g[i] * factor;

        c->m[i] = (double)a->beta1 * c->m[i] + (1 - (double)a->beta1) * g;
        c->v[i] = (double)a->beta2 * c->v[i] + (1 - (double)a->beta2) * g * g;
        c->p[i] *= 1 - lr * (double)r->decay;
        c->p[i] -= lr / c1 * c->m[i] / (sqrt(c->v[i] / c2) + (double)a->eps);
        c->g[i] = 0;
    }
}

static void adamw_one(double decay, bool untouched, float clip, int64_t t)
{
    struct update_case c;
    struct adamw a = {.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f,
                      .clip = clip, .t = t, .n_run = 2};
    double *sumsq, norm, got;
    const float *p;
    float *before;

    update_inputs(&c, decay, untouched);
    a.p = rig_floats(rig, c.p, FLAT);
    a.g = rig_floats(rig, c.g, FLAT);
    a.m = rig_floats(rig, c.m, FLAT);
    a.v = rig_floats(rig, c.v, FLAT);
    a.run = c.run;
    a.sumsq = sumsq = rig_bytes(rig, NULL, sizeof *sumsq);
    before = rig_down(rig, a.p, FLAT);
    norm = sqrt(ref_dot(c.g, c.g, FLAT));
    NEED(rig->b->sqnorm(rig->d, a.g, c.run, 2, sumsq, &rig->e));
    NEED(rig->b->get(rig->d, &got, sumsq, sizeof got, &rig->e));
    CHECK_MSG(fabs(sqrt(got) - norm) < 1e-9 * norm, "%g, not %g", sqrt(got), norm);
    NEED(rig->b->adamw(rig->d, &a, &rig->e));
    ref_adamw(&c, &a, norm);
    p = rig_down(rig, a.p, FLAT);
    for (int i = 0; i < ROWS * COLS; i++) /* not a bit of an untouched row may change */
        CHECK(c.touched[i / COLS] || decay > 0 || memcmp(&p[i], &before[i], sizeof *p) == 0);
    rig_check(rig, "p", a.p, c.p, FLAT);
    rig_check(rig, "m", a.m, c.m, FLAT);
    rig_check(rig, "v", a.v, c.v, FLAT);
    rig_check(rig, "g", a.g, c.g, FLAT);
    rig_reset(rig);
}

static void test_adamw(void)
{
    adamw_one(0, true, 1, 1);
    adamw_one(0, true, 0, 10);
    adamw_one(0.01, true, 0.5f, 3);
    adamw_one(0, false, 1000, 2);
}

static void test_memory(void)
{
    enum { N = 3000000 };
    float *host = calloc(N, sizeof *host), *p = rig_bytes(rig, NULL, N * sizeof *p);
    double sum = 0;

    CHECK(host);
    CHECK((uintptr_t)p % 64 == 0);
    for (int i = 0; i < N; i++)
        host[i] = (float)i;
    NEED(rig->b->put(rig->d, p, host, N * sizeof *p, &rig->e));
    NEED(rig->b->zero(rig->d, p, 1000 * sizeof *p, &rig->e));
    NEED(rig->b->get(rig->d, host, p, N * sizeof *p, &rig->e));
    NEED(rig->b->sync(rig->d, &rig->e));
    for (int i = 0; i < N; i++)
        sum += fabs((double)host[i] - (i < 1000 ? 0 : i));
    free(host);
    CHECK(sum == 0);
    rig_reset(rig);
}

static uint64_t all(int threads)
{
    struct err e = {0};
    struct par *par = par_open(threads, &e);
    const struct dev_options o = {.par = par};
    struct rig r;

    if (!par)
        abort();
    rig = &r;
    rig_open(rig, backend_cpu(), &o, 2e-5);
    rig->bits_only = threads > 1;
    RUN(test_memory);
    RUN(test_linear);
    RUN(test_activations);
    RUN(test_linear_strided);
    RUN(test_ffn);
    RUN(test_attn);
    RUN(test_add_norm);
    RUN(test_dropout);
    RUN(test_embed);
    RUN(test_rows);
    RUN(test_loss);
    RUN(test_vocab_loss);
    RUN(test_adamw);
    rig_close(rig);
    par_close(par);
    return r.hash;
}

static uint64_t hashes[3];

static void same_bits_with_any_threads(void)
{
    CHECK(hashes[0] == hashes[1]);
    CHECK(hashes[0] == hashes[2]);
}

static void precision_is_checked(void)
{
    const struct dev_options o = {.precision = "bf16"};
    struct err e = {0};

    CHECK(backend_cpu()->open(&o, &e) == NULL);
    CHECK(e.code == ERR_USAGE);
}

static void choice_of_device(void)
{
    struct err e = {0};
    int index = -1;

    CHECK(backend_choose("cpu", &index, NULL, &e) == backend_cpu() && index == 0);
    CHECK(backend_choose("gpu", &index, NULL, &e) == NULL && e.code == ERR_USAGE);
    err_clear(&e);
    CHECK(backend_choose("cuda:x", &index, NULL, &e) == NULL && e.code == ERR_USAGE);
    err_clear(&e);
    setenv("BERTUTILS_CUDA", "/nonexistent/cuda.so", 1);
    CHECK(backend_choose("auto", &index, NULL, &e) == backend_cpu() && e.code == 0);
    CHECK(backend_choose("cuda", &index, NULL, &e) == NULL && e.code == ERR_RUN);
}

int main(void)
{
    for (int i = 0; i < 3; i++)
        hashes[i] = all(i + 1);
    RUN(same_bits_with_any_threads);
    RUN(precision_is_checked);
    RUN(choice_of_device);
    return test_end();
}
