/* SPDX-License-Identifier: MIT */
/* adamw: the norm of the gradient and the update, each one pass over the flat buffers. */
#include "cpu.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 32768 }; /* floats of one call; rows of a table are not cut */

/* Rows of a run, and how many of them make a chunk; a run without rows is one of 1 column. */
struct span {
    int64_t at, cols, rows, step;
    const uint8_t *touched;
};

static struct span span_of(const struct param_run *r)
{
    struct span s = {.at = r->at, .cols = 1, .rows = r->n};

    if (r->touched && r->cols > 0) {
        s.cols = r->cols;
        s.rows = r->n / r->cols;
        s.touched = r->touched;
    }
    s.step = CHUNK / s.cols > 0 ? CHUNK / s.cols : 1;
    return s;
}

/* Calls `fn` for every stretch of touched rows, and `other`, if any, for those between. */
static void span_visit(const struct span *s, int64_t chunk,
                       void (*fn)(void *ctx, int64_t at, int64_t n),
                       void (*other)(void *ctx, int64_t at, int64_t n), void *ctx)
{
    const int64_t last = (chunk + 1) * s->step, end = last < s->rows ? last : s->rows;

    for (int64_t row = chunk * s->step, stop; row < end; row = stop) {
        const bool live = !s->touched || s->touched[row];

        stop = s->touched ? row + 1 : end;
        while (stop < end && (s->touched[stop] != 0) == live)
            stop++;
        if (live)
            fn(ctx, s->at + row * s->cols, (stop - row) * s->cols);
        else if (other)
            other(ctx, s->at + row * s->cols, (stop - row) * s->cols);
    }
}

/* Finds the run and the chunk in it of piece i of all chunks. */
static const struct param_run *find_chunk(const struct param_run *run, int64_t *i,
                                          struct span *s)
{
    for (;; run++) {
        int64_t chunks;

        *s = span_of(run);
        chunks = cut_count(s->rows, s->step);
        if (*i < chunks)
            return run;
        *i -= chunks;
    }
}

static int64_t count_chunks(const struct param_run *run, int n_run)
{
    int64_t n = 0;

    for (int k = 0; k < n_run; k++) {
        const struct span s = span_of(&run[k]);

        n += cut_count(s.rows, s.step);
    }
    return n;
}

struct sqnorm_job {
    const float *g;
    const struct param_run *run;
    double *part; /* of each chunk */
};

struct sqnorm_sum {
    const float *g;
    double sum;
};

MULTI_ISA
static void sqnorm_add(void *ctx, int64_t at, int64_t n)
{
    struct sqnorm_sum *s = ctx;
    const float *g = s->g + at;
    double sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)g[i] * (double)g[i];
    s->sum += sum;
}

static void sqnorm_chunk(void *ctx, int64_t i, int thread)
{
    const struct sqnorm_job *j = ctx;
    struct sqnorm_sum sum = {j->g, 0};
    struct span s;
    int64_t chunk = i;

    (void)thread;
    find_chunk(j->run, &chunk, &s);
    span_visit(&s, chunk, sqnorm_add, NULL, &sum);
    j->part[i] = sum.sum;
}

int cpu_sqnorm(struct dev *d, const float *g, const struct param_run *run, int n_run,
               double *sumsq, struct err *e)
{
    const int64_t chunks = count_chunks(run, n_run);
    struct sqnorm_job j = {.g = g, .run = run};
    double sum = 0;

    if (scratch_shared(d, (size_t)chunks * sizeof *j.part, e) != 0)
        return -1;
    j.part = d->shared.p;
    par_for(d->par, chunks, sqnorm_chunk, &j);
    for (int64_t i = 0; i < chunks; i++)
        sum += j.part[i];
    *sumsq = sum;
    return 0;
}

struct adamw_job {
    const struct adamw *a;
    float clip; /* factor of g */
};

struct adamw_step {
    const struct adamw *a;
    float clip, rate, keep, root; /* root: 1 / sqrt(1 - beta2^t) */
    bool keep_g;
};

MULTI_ISA
static void adamw_rows(void *ctx, int64_t at, int64_t n)
{
    const struct adamw_step *s = ctx;
    float *p = s->a->p + at, *m = s->a->m + at, *v = s->a->v + at, *g = s->a->g + at;
    const float beta1 = s->a->beta1, beta2 = s->a->beta2, eps = s->a->eps;
    const float one_beta1 = 1 - beta1, one_beta2 = 1 - beta2;
    const float clip = s->clip, rate = s->rate, keep = s->keep, root = s->root;

#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float grad = g[i] * clip;
        const float mean = beta1 * m[i] + one_beta1 * grad;
        const float square = beta2 * v[i] + one_beta2 * grad * grad;

        m[i] = mean;
        v[i] = square;
        p[i] = p[i] * keep - rate * (mean / (sqrtf(square) * root + eps));
    }
    if (!s->keep_g)
        memset(g, 0, (size_t)n * sizeof *g);
}

/* Rows that never had a gradient: m and v are 0, and decay is all that happens to p. */
MULTI_ISA
static void decay_rows(void *ctx, int64_t at, int64_t n)
{
    const struct adamw_step *s = ctx;
    float *p = s->a->p + at;
    const float keep = s->keep;

#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        p[i] *= keep;
}

static void adamw_chunk(void *ctx, int64_t i, int thread)
{
    const struct adamw_job *j = ctx;
    const struct adamw *a = j->a;
    struct adamw_step step = {.a = a, .clip = j->clip};
    struct span s;
    const struct param_run *r = find_chunk(a->run, &i, &s);
    const double lr = a->step->lr * (double)r->lr_scale;

    (void)thread;
    step.keep_g = r->keep_g;
    step.rate = (float)(lr / a->step->rest1);
    step.keep = (float)(1 - lr * (double)r->decay);
    step.root = a->step->root2;
    span_visit(&s, i, adamw_rows, r->decay != 0 ? decay_rows : NULL, &step);
}

int cpu_adamw(struct dev *d, const struct adamw *a, struct err *e)
{
    struct adamw_job j = {.a = a, .clip = 1};

    (void)e;
    if (a->clip > 0) {
        const double factor = (double)a->clip / (sqrt(*a->sumsq) + 1e-6);

        j.clip = factor < 1 ? (float)factor : 1.0f;
    }
    par_for(d->par, count_chunks(a->run, a->n_run), adamw_chunk, &j);
    return 0;
}
