/* SPDX-License-Identifier: MIT */
/*
 * The op table: its memory, products and attention, against naive references in
 * double, their backward passes against finite differences, and all of it bit
 * by bit with 1, 2 and 3 threads.
 */
#include "ops_rig.h"

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

    c.x = rig_input(t * k, 2);
    c.w = rig_input(n * k, 2 * size);
    c.b = plain ? NULL : rig_input(n, 1);
    c.r = rig_input(t * n, 1);
    c.y = rig_doubles(t * n);
    dw = rig_input(n * k, 0.1);
    db = rig_input(n, 0.1);
    dx = rig_input(t * k, 0.1);
    f.x = rig_mat(c.x, t, k);
    f.w = rig_mat(c.w, n, k);
    f.b = plain ? NULL : rig_floats(c.b, n);
    f.y = rig_mat(NULL, t, n);
    if (act == ACT_GELU || act == ACT_GELU_TANH)
        f.pre = rig_mat(NULL, t, n);
    NEED(rig->b->linear(rig->d, &f, &rig->e));
    linear_value(&c);
    rig_check("y", f.y.p, c.y, t * n);
    b.dy = rig_mat(c.r, t, n);
    b.dx = rig_mat(plain ? NULL : dx, t, k);
    b.dx_add = !plain;
    b.dw = rig_mat(dw, n, k);
    b.dw_set = plain && t > 0;
    b.db = plain ? NULL : rig_floats(db, n);
    NEED(rig->b->linear_bwd(rig->d, &b, &rig->e));
    rig_gradient("dx", b.dx.p, plain ? NULL : dx, c.x, t * k, linear_value, &c);
    rig_gradient("dw", b.dw.p, b.dw_set ? NULL : dw, c.w, n * k, linear_value, &c);
    if (!plain)
        rig_gradient("db", b.db, db, c.b, n, linear_value, &c);
    rig_reset();
}

static const int64_t linear_shapes[][3] = {
    {1, 1, 1},      {1, 2, 33}, {5, 48, 16},   {37, 50, 70},
    {130, 200, 96}, {0, 8, 8},  {600, 20, 31},
};

static void test_linear(void)
{
    for (size_t i = 0; i < sizeof linear_shapes / sizeof *linear_shapes; i++) {
        const int64_t *s = linear_shapes[i];

        for (int act = ACT_NONE; act <= ACT_GELU_TANH; act++)
            if (act != ACT_RELU ||
                s[0] < 100) /* few points near the kink, where it has none */
                linear_one(s[0], s[1], s[2], (enum activation)act, i % 2 == 1);
    }
}

/* Activations over their whole range: x is 1 x 1, so that the product is exact. */
static void test_activations(void)
{
    enum { N = 40001 };
    const double one = 1, *x;
    double *in = rig_doubles(N), *y = rig_doubles(N), *d = rig_doubles(N);

    for (int i = 0; i < N; i++)
        in[i] = (double)((float)(i - N / 2) * (1 / 1024.0f)); /* -19.5..19.5 */
    x = in;
    for (int act = ACT_GELU; act <= ACT_GELU_TANH; act++) {
        struct linear f = {.x = rig_mat(x, N, 1),
                           .w = rig_mat(&one, 1, 1),
                           .act = (enum activation)act,
                           .y = rig_mat(NULL, N, 1),
                           .pre = rig_mat(NULL, N, 1)};
        struct linear_bwd b = {.fwd = &f, .dy = rig_mat(NULL, N, 1)};
        const float *got;

        for (int i = 0; i < N; i++) {
            y[i] = ref_act(f.act, x[i]);
            d[i] = 1;
        }
        b.dy = rig_mat(d, N, 1);
        for (int i = 0; i < N; i++)
            d[i] =
                act == ACT_RELU
                    ? (x[i] > 0)
                    : (ref_act(f.act, x[i] + 1e-5) - ref_act(f.act, x[i] - 1e-5)) / 2e-5;
        NEED(rig->b->linear(rig->d, &f, &rig->e));
        got = rig_down(f.y.p, N);
        for (int i = 0; i < N; i++)
            CHECK_MSG(fabs((double)got[i] - y[i]) < 5e-7 * fmax(1, fabs(y[i])),
                      "act %d of %g is %.9g, not %.9g", act, x[i], (double)got[i], y[i]);
        NEED(rig->b->linear_bwd(rig->d, &b, &rig->e));
        got = rig_down(b.dy.p, N);
        for (int i = 0; i < N; i++)
            CHECK_MSG(fabs((double)got[i] - d[i]) < 2e-6,
                      "act %d' of %g is %.9g, not %.9g", act, x[i], (double)got[i], d[i]);
    }
    rig_reset();
}

/* A product of slices: ld is wider than the columns, and what lies between must stay. */
static void test_linear_strided(void)
{
    enum { T = 19, N = 24, K = 20, GAP = 5 };
    double *x = rig_input(T * (K + GAP), 1), *w = rig_input(N * (K + GAP), 1);
    double *y = rig_doubles(T * (N + GAP));
    struct linear f = {.act = ACT_TANH};

    for (int i = 0; i < T * (N + GAP); i++)
        y[i] = 9;
    f.x = rig_mat(x, T, K + GAP);
    f.w = rig_mat(w, N, K + GAP);
    f.y = rig_mat(y, T, N + GAP);
    f.x.cols = f.w.cols = K;
    f.y.cols = N;
    NEED(rig->b->linear(rig->d, &f, &rig->e));
    for (int i = 0; i < T; i++)
        for (int j = 0; j < N; j++)
            y[i * (N + GAP) + j] = tanh(ref_dot(x + i * (K + GAP), w + j * (K + GAP), K));
    rig_check("y", f.y.p, y, T * (N + GAP));
    rig_reset();
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
    double *dx = rig_input(t * h, 0.1), *dw1 = rig_input(i * h, 0.1);
    double *dw2 = rig_input(i * h, 0.1), *db1 = rig_input(i, 0.1);
    double *db2 = rig_input(h, 0.1);

    c.x = rig_input(t * h, 2);
    c.w1 = rig_input(i * h, 2 / sqrt((double)h));
    c.b1 = rig_input(i, 1);
    c.w2 = rig_input(i * h, 2 / sqrt((double)i));
    c.b2 = rig_input(h, 1);
    c.r = rig_input(t * h, 1);
    c.mid = rig_doubles(t * i);
    c.y = rig_doubles(t * h);
    f.x = rig_mat(c.x, t, h);
    f.w1 = rig_mat(c.w1, i, h);
    f.b1 = rig_floats(c.b1, i);
    f.w2 = rig_mat(c.w2, h, i);
    f.b2 = rig_floats(c.b2, h);
    f.pre = rig_mat(NULL, t, i);
    f.mid = rig_mat(NULL, t, i);
    f.y = rig_mat(NULL, t, h);
    NEED(rig->b->ffn(rig->d, &f, &rig->e));
    ffn_value(&c);
    rig_check("y", f.y.p, c.y, t * h);
    b.dy = rig_mat(c.r, t, h);
    b.dmid = rig_mat(NULL, t, i);
    b.dx = rig_mat(dx, t, h);
    b.dw1 = rig_mat(dw1, i, h);
    b.dw2 = rig_mat(dw2, h, i);
    b.dw_set = t % 2 == 1;
    b.db1 = rig_floats(db1, i);
    b.db2 = rig_floats(db2, h);
    NEED(rig->b->ffn_bwd(rig->d, &b, &rig->e));
    rig_gradient("dx", b.dx.p, dx, c.x, t * h, ffn_value, &c);
    rig_gradient("dw1", b.dw1.p, b.dw_set ? NULL : dw1, c.w1, i * h, ffn_value, &c);
    rig_gradient("dw2", b.dw2.p, b.dw_set ? NULL : dw2, c.w2, i * h, ffn_value, &c);
    rig_gradient("db1", b.db1, db1, c.b1, i, ffn_value, &c);
    rig_gradient("db2", b.db2, db2, c.b2, h, ffn_value, &c);
    /* Inference: nothing is kept. */
    f.pre.p = NULL;
    NEED(rig->b->ffn(rig->d, &f, &rig->e));
    rig_check("y without pre", f.y.p, c.y, t * h);
    rig_reset();
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
    const int64_t width = c->heads * c->width, from = c->at.cu[s],
                  n = c->at.cu[s + 1] - from;
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
        const double p = prob[j] / sum *
                         ref_drop_attn(c->p, SITE, c->at.row[from],
                                       (const uint32_t[]){(uint32_t)i, (uint32_t)j, (uint32_t)h});

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
    struct attn_case c = {.at = rig_places(l), .heads = heads, .width = width, .p = p};
    const int64_t t = c.at.t, h = heads * width;
    struct attn f = {.seqs = rig_seqs(&c.at),
                     .heads = (int32_t)heads,
                     .scale = (float)(1 / sqrt((double)width))};
    struct attn_bwd b = {.fwd = &f};

    c.qkv = rig_input(t * 3 * h, 1.5);
    c.r = rig_input(t * h, 1);
    c.y = rig_doubles(t * h);
    f.drop = rig_drop(p, SITE, f.seqs.row);
    f.qkv = rig_mat(c.qkv, t, 3 * h);
    f.y = rig_mat(NULL, t, h);
    f.lse = rig_floats(NULL, heads * t);
    NEED(rig->b->attn(rig->d, &f, &rig->e));
    attn_value(&c);
    rig_check("y", f.y.p, c.y, t * h);
    b.dy = rig_mat(c.r, t, h);
    b.dqkv = rig_mat(NULL, t, 3 * h);
    NEED(rig->b->attn_bwd(rig->d, &b, &rig->e));
    rig_gradient("dqkv", b.dqkv.p, NULL, c.qkv, t * 3 * h, attn_value, &c);
    f.lse = NULL;
    NEED(rig->b->attn(rig->d, &f, &rig->e));
    rig_check("y without lse", f.y.p, c.y, t * h);
    rig_reset();
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

static void test_memory(void)
{
    enum { N = 3000000 };
    float *host = calloc(N, sizeof *host), *p = rig_bytes(NULL, N * sizeof *p);
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
    rig_reset();
}

static void suite(void)
{
    RUN(test_memory);
    RUN(test_linear);
    RUN(test_activations);
    RUN(test_linear_strided);
    RUN(test_ffn);
    RUN(test_attn);
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
    rig_run(suite);
    RUN(precision_is_checked);
    RUN(choice_of_device);
    return test_end();
}
