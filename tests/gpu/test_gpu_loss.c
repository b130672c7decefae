/* SPDX-License-Identifier: MIT */
/* Losses and the update on the GPU against the CPU; see gpu_rig.h. */
#include "gpu_rig.h"

/* ---- the vocabulary ---- */

static void vocab_case(const void *arg)
{
    const int64_t *s = arg, r = s[0], h = s[1], v = s[2];
    struct vocab_loss f = {.step = step_of(0.25f, 0, 1), .gradient = true};
    int32_t *label = host((size_t)r, sizeof *label);

    for (int64_t i = 0; i < r; i++)
        label[i] = i % 7 == 5 ? -1 : (int32_t)(i * 31 % v);
    f.x = acts(r, h, 1);
    f.w = weights(v, h, 1);
    f.b = vector(v, 1);
    f.label = bytes(label, (size_t)r * 4);
    f.row_loss = bytes(NULL, (size_t)r * 4);
    f.best = bytes(NULL, (size_t)r * 4);
    f.dx = acts(r, h, 0);
    f.dw = weights(v, h, 0.1);
    f.db = vector(v, 0.1);
    f.work = weights(s[3], v, 1);
    NEED(now->b->vocab_loss(now->d, &f, &now->e));
    take("row_loss", f.row_loss, r, DT_F32);
    take_mat("dx", &f.dx);
    take_mat("dw", &f.dw);
    take("db", f.db, v, DT_F32);
}

static void test_vocab(void)
{
    static const int64_t shapes[][4] = {{1, 32, 30, 1},         {13, 32, 101, 5},
                                        {40, 48, 700, 64},      {1, 768, 30522, 1},
                                        {310, 768, 30522, 100}, {77, 768, 50265, 1229}};

    for (int i = 0; i < (large_shapes() ? 6 : 3); i++)
        both("vocab_loss", vocab_case, shapes[i], 1e-2);
}

/* ---- losses ---- */

struct loss_shape {
    enum loss_kind kind;
    int64_t rows, classes;
};

static void loss_case(const void *arg)
{
    const struct loss_shape *s = arg;
    const int64_t n = s->rows * s->classes;
    struct loss f = {.kind = s->kind, .step = step_of(0.125f, 0, 1)};
    int32_t *label = host((size_t)s->rows, sizeof *label);
    float *weight = numbers(s->rows, 1), *target = numbers(n, 1);

    for (int64_t i = 0; i < s->rows; i++) {
        label[i] = (int32_t)(i * 7 % s->classes);
        weight[i] = 1 + weight[i] / 2;
    }
    for (int64_t i = 0; i < n && s->kind == LOSS_MULTI; i++)
        target[i] = target[i] > 0;
    f.logits = weights(s->rows, s->classes, 6);
    f.label = s->kind == LOSS_SINGLE ? bytes(label, (size_t)s->rows * 4) : NULL;
    f.target = s->kind == LOSS_SINGLE ? NULL : bytes(target, (size_t)n * 4);
    f.row_loss = bytes(NULL, (size_t)s->rows * 4);
    for (int g = 0; g < 2; g++) {
        f.gradient = g == 1;
        f.weight = g == 1 ? bytes(weight, (size_t)s->rows * 4) : NULL;
        NEED(now->b->loss(now->d, &f, &now->e));
        take("row_loss", f.row_loss, s->rows, DT_F32);
        take_mat("logits", &f.logits);
    }
}

/* Logits are fp32 whatever the activations are. */
static void test_loss(void)
{
    static const struct loss_shape shapes[] = {
        {LOSS_SINGLE, 1, 2},     {LOSS_SINGLE, 33, 5},    {LOSS_SINGLE, 130, 1000},
        {LOSS_MULTI, 1, 1},      {LOSS_MULTI, 37, 28},    {LOSS_REGRESSION, 1, 1},
        {LOSS_REGRESSION, 65, 3},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        both("loss", loss_case, &shapes[i], FP32_TOLERANCE);
}

/* ---- the update ---- */

/* The shadow of the weights must follow the update, put and zero. */
static void update_case(const void *arg)
{
    enum { N = 48, K = 64, T = 20, FLAT = N * K };
    struct mat w = weights(N, K, 0.2), g = weights(N, K, 1);
    struct linear f = {.x = acts(T, K, 1), .w = w, .y = acts(T, N, 0)};
    const struct param_run run = {.n = FLAT, .lr_scale = 1};
    float *zero = host(2 * FLAT, sizeof *zero);
    struct adamw a = {.p = w.p,
                      .g = g.p,
                      .run = &run,
                      .n_run = 1,
                      .beta1 = 0.9f,
                      .beta2 = 0.999f,
                      .eps = 1e-8f,
                      .clip = 1,
                      .step = step_of(1, 0.05f, 1)};
    double *sumsq = bytes(NULL, sizeof *sumsq);

    (void)arg;
    a.m = bytes(zero, FLAT * 4);
    a.v = bytes(zero, FLAT * 4);
    a.sumsq = sumsq;
    NEED(now->b->linear(now->d, &f, &now->e));
    take_mat("y before", &f.y);
    NEED(now->b->sqnorm(now->d, g.p, &run, 1, sumsq, &now->e));
    NEED(now->b->adamw(now->d, &a, &now->e));
    NEED(now->b->linear(now->d, &f, &now->e));
    take_mat("y after", &f.y);
    NEED(now->b->put(now->d, (float *)w.p + 3, numbers(100, 1), 100 * 4, &now->e));
    NEED(now->b->zero(now->d, (float *)w.p + 500, 77 * 4, &now->e));
    NEED(now->b->linear(now->d, &f, &now->e));
    take_mat("y after put", &f.y);
    take_mat("w", &w);
}

static void test_update(void)
{
    both("update", update_case, NULL, 1e-2);
}

/*
 * A model's worth of parameters: rows of which some have no history, then many runs of odd
 * lengths, a rate and a decay for each, as where the rate falls from layer to layer.
 */
static void adamw_case(const void *arg)
{
    enum { RUNS = 20, LENGTH = 1001 };
    const int64_t rows = *(const int64_t *)arg, cols = 96, table = rows * cols;
    const int64_t n = table + LENGTH;
    uint8_t *touched = host((size_t)rows, 1);
    const struct mat p = weights(1, n, 0.2);
    float *g = numbers(n, 0.3), *m = numbers(n, 0.1), *v = numbers(n, 0.1);
    struct param_run run[RUNS] = {{.n = table, .lr_scale = 1, .cols = cols}};
    struct param_run sum[2] = {run[0], {.at = table, .n = LENGTH, .lr_scale = 1}};
    struct adamw a = {.p = p.p, .run = run, .n_run = RUNS, .beta1 = 0.9f,
                      .beta2 = 0.999f, .eps = 1e-8f, .clip = 1};
    double *sumsq = bytes(NULL, sizeof *sumsq);

    for (int64_t i = 0; i < n; i++) {
        const bool none = i < table && i / cols % 3 == 1;

        g[i] = none ? 0 : g[i];
        m[i] = none ? 0 : m[i];
        v[i] = none ? 0 : fabsf(v[i]) + 1e-3f; /* a first step would be of the sign alone */
        touched[i < table ? i / cols : 0] |= i < table && !none;
    }
    sum[0].touched = run[0].touched = bytes(touched, (size_t)rows);
    for (int k = 1; k < RUNS; k++) {
        const int64_t from = LENGTH * (k - 1) / (RUNS - 1), to = LENGTH * k / (RUNS - 1);

        run[k] = (struct param_run){.at = table + from, .n = to - from, .decay = 0.02f * k,
                                    .lr_scale = powf(0.9f, k)};
    }
    a.g = bytes(g, (size_t)n * 4);
    a.m = bytes(m, (size_t)n * 4);
    a.v = bytes(v, (size_t)n * 4);
    a.sumsq = sumsq;
    for (int t = 3; t < 6; t++) {
        a.step = step_of(1, 1e-2f, t);
        NEED(now->b->sqnorm(now->d, a.g, sum, 2, sumsq, &now->e));
        NEED(now->b->adamw(now->d, &a, &now->e));
        NEED(now->b->put(now->d, a.g, g, (size_t)n * 4, &now->e));
    }
    take_mat("p", &p);
    take("m", a.m, n, DT_F32);
    take("v", a.v, n, DT_F32);
}

static void test_adamw(void)
{
    static const int64_t rows[] = {1, 50, 700, 60000};

    for (int i = 0; i < (large_shapes() ? 4 : 3); i++)
        both("adamw", adamw_case, &rows[i], FP32_TOLERANCE);
}

static void suite(void)
{
    RUN(test_vocab);
    RUN(test_loss);
    RUN(test_update);
    RUN(test_adamw);
}

int main(void)
{
    return gpu_main(suite);
}
