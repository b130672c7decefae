/* SPDX-License-Identifier: MIT */
/*
 * The op table: losses and the update, against naive references in double,
 * their backward passes against finite differences, and all of it bit by bit
 * with 1, 2 and 3 threads.
 */
#include "ops_rig.h"

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
    struct loss f = {.kind = kind, .gradient = false};

    f.step = rig_step((struct dev_step){.scale = 0.125f});
    c.z = rig_input(rows * classes, 5);
    c.target = rig_input(rows * classes, 1);
    c.row = rig_doubles(rows);
    c.label = rig_host((size_t)rows + 1, sizeof *c.label);
    for (int64_t i = 0; i < rows * classes; i++)
        c.target[i] = (double)(float)((c.target[i] + 1) / 2);
    for (int64_t i = 0; i < rows; i++)
        c.label[i] = i % 7 == 6 ? -1 : (int32_t)(i * 5 % classes);
    c.weight = weighted ? rig_input(rows, 2) : NULL;
    f.logits = rig_mat(c.z, rows, classes);
    f.label = rig_bytes(c.label, (size_t)rows * sizeof *c.label);
    f.target = rig_floats(c.target, rows * classes);
    f.weight = weighted ? rig_floats(c.weight, rows) : NULL;
    f.row_loss = rig_floats(NULL, rows);
    NEED(rig->b->loss(rig->d, &f, &rig->e));
    loss_value(&c);
    rig_check("row_loss", f.row_loss, c.row, rows);
    rig_check("logits", f.logits.p, c.z, rows * classes);
    f.gradient = true;
    NEED(rig->b->loss(rig->d, &f, &rig->e));
    rig_check("row_loss", f.row_loss, c.row, rows);
    rig_gradient("dlogits", f.logits.p, NULL, c.z, rows * classes, loss_value, &c);
    rig_reset();
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
    int32_t *best = rig_host((size_t)c->r + 1, sizeof *best);

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
    struct vocab_loss f = {.step = rig_step((struct dev_step){.scale = 0.25f})};
    double *dw = rig_input(v * h, 0.01), *db = rig_input(v, 0.01);

    c.x = rig_input(rows * h, 2);
    c.w = rig_input(v * h, 1);
    c.b = rig_input(v, 1);
    c.z = rig_doubles(rows * v);
    c.row = rig_doubles(rows);
    c.label = rig_host((size_t)rows + 1, sizeof *c.label);
    for (int64_t i = 0; i < rows; i++)
        c.label[i] = i % 7 == 5 ? -1 : (int32_t)(i * 31 % v);
    f.x = rig_mat(c.x, rows, h);
    f.w = rig_mat(c.w, v, h);
    f.b = rig_floats(c.b, v);
    f.label = rig_bytes(c.label, (size_t)rows * sizeof *c.label);
    f.row_loss = rig_floats(NULL, rows);
    f.best = rig_bytes(NULL, (size_t)rows * sizeof *f.best);
    f.work = rig_mat(NULL, chunk, v);
    NEED(rig->b->vocab_loss(rig->d, &f, &rig->e));
    vocab_value(&c);
    rig_check("row_loss", f.row_loss, c.row, rows);
    vocab_check_best(&c, f.best);
    f.gradient = true;
    f.dx = rig_mat(NULL, rows, h);
    f.dw = rig_mat(dw, v, h);
    f.db = rig_floats(db, v);
    NEED(rig->b->vocab_loss(rig->d, &f, &rig->e));
    rig_gradient("dx", f.dx.p, NULL, c.x, rows * h, vocab_value, &c);
    rig_gradient("dw", f.dw.p, dw, c.w, v * h, vocab_value, &c);
    rig_gradient("db", f.db, db, c.b, v, vocab_value, &c);
    rig_reset();
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
    c->p = rig_input(FLAT, 1);
    c->g = rig_input(FLAT, 0.01);
    c->m = rig_input(FLAT, 0.01);
    c->v = rig_input(FLAT, 0.01);
    for (int i = 0; i < FLAT; i++)
        c->v[i] = fabs(c->v[i]);
    for (int i = 0; i < ROWS; i++) {
        c->touched[i] = !untouched || i % 3 == 1;
        for (int k = i * COLS; k < (i + 1) * COLS && !c->touched[i]; k++)
            c->g[k] = c->m[k] = c->v[k] = 0;
    }
    c->run[0] = (struct param_run){.n = ROWS * COLS,
                                   .decay = (float)decay,
                                   .lr_scale = 0.5f,
                                   .touched = rig_bytes(c->touched, ROWS),
                                   .cols = COLS};
    c->run[1] = (struct param_run){.at = ROWS * COLS, .n = DENSE, .lr_scale = 1};
}

static void ref_adamw(struct update_case *c, const struct adamw *a, int64_t t, double norm)
{
    const double factor = a->clip > 0 ? fmin(1, (double)a->clip / (norm + 1e-6)) : 1;
    const double c1 = 1 - pow((double)a->beta1, (double)t);
    const double c2 = 1 - pow((double)a->beta2, (double)t);

    for (int i = 0; i < FLAT; i++) {
        const struct param_run *r = &c->run[i >= ROWS * COLS];
        const double lr = (double)0.01f * (double)r->lr_scale, g = c->g[i] * factor;

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
    struct adamw a = {.beta1 = 0.9f,
                      .beta2 = 0.999f,
                      .eps = 1e-8f,
                      .clip = clip,
                      .n_run = 2};
    struct dev_step step = {0};
    double *sumsq, norm, got;
    const float *p;
    float *before;

    update_inputs(&c, decay, untouched);
    a.p = rig_floats(c.p, FLAT);
    a.g = rig_floats(c.g, FLAT);
    a.m = rig_floats(c.m, FLAT);
    a.v = rig_floats(c.v, FLAT);
    a.run = c.run;
    step_set_rates(&step, 0.01f, a.beta1, a.beta2, t);
    a.step = rig_step(step);
    a.sumsq = sumsq = rig_bytes(NULL, sizeof *sumsq);
    before = rig_down(a.p, FLAT);
    norm = sqrt(ref_dot(c.g, c.g, FLAT));
    NEED(rig->b->sqnorm(rig->d, a.g, c.run, 2, sumsq, &rig->e));
    NEED(rig->b->get(rig->d, &got, sumsq, sizeof got, &rig->e));
    CHECK_MSG(fabs(sqrt(got) - norm) < 1e-9 * norm, "%g, not %g", sqrt(got), norm);
    NEED(rig->b->adamw(rig->d, &a, &rig->e));
    ref_adamw(&c, &a, t, norm);
    p = rig_down(a.p, FLAT);
    for (int i = 0; i < ROWS * COLS; i++) /* not a bit of an untouched row may change */
        CHECK(c.touched[i / COLS] || decay > 0 ||
              memcmp(&p[i], &before[i], sizeof *p) == 0);
    rig_check("p", a.p, c.p, FLAT);
    rig_check("m", a.m, c.m, FLAT);
    rig_check("v", a.v, c.v, FLAT);
    rig_check("g", a.g, c.g, FLAT);
    rig_reset();
}

static void test_adamw(void)
{
    adamw_one(0, true, 1, 1);
    adamw_one(0, true, 0, 10);
    adamw_one(0.01, true, 0.5f, 3);
    adamw_one(0, false, 1000, 2);
}

static void suite(void)
{
    RUN(test_loss);
    RUN(test_vocab_loss);
    RUN(test_adamw);
}

int main(void)
{
    rig_run(suite);
    return test_end();
}
