/* SPDX-License-Identifier: MIT */
/* norm: layer norm, with the dropout and the residual before it. */
#include "cpu.h"

#include <math.h>
#include <string.h>

MULTI_ISA
void norm_row(const float *x, const float *gamma, const float *beta, float eps, float *y,
              float stats[2], int64_t n)
{
    float sum = 0, square = 0, mean, rstd;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    mean = sum / (float)n;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    rstd = 1 / sqrtf(square / (float)n + eps);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
    stats[0] = mean;
    stats[1] = rstd;
}

/*
 * With h = (x - mean) rstd and g = dy gamma:  dx = rstd (g - mean(g) - h mean(g h)).
 */
MULTI_ISA
void norm_row_bwd(const float *x, const float *gamma, const float stats[2], const float *dy,
                  float *dx, float *dgamma, float *dbeta, int64_t n)
{
    const float mean = stats[0], rstd = stats[1];
    float sum = 0, product = 0;

#pragma omp simd reduction(+ : sum, product)
    for (int64_t i = 0; i < n; i++) {
        const float h = (x[i] - mean) * rstd, g = dy[i] * gamma[i];

        sum += g;
        product += g * h;
        dgamma[i] += dy[i] * h;
        dbeta[i] += dy[i];
    }
    sum /= (float)n;
    product /= (float)n;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dx[i] = rstd * (dy[i] * gamma[i] - sum - (x[i] - mean) * rstd * product);
}

MULTI_ISA
void norm_sum_parts(const float *parts, int64_t blocks, float *dgamma, float *dbeta,
                    int64_t n)
{
    for (int64_t b = 0; b < blocks; b++) {
        const float *part = parts + b * 2 * n;

#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            dgamma[i] += part[i];
            dbeta[i] += part[n + i];
        }
    }
}

struct norm_job {
    const struct add_norm *a;
    const struct add_norm_bwd *b;
    struct drop_key key;
    float *parts; /* (blocks, 2H): each block's share of dgamma and dbeta */
};

MULTI_ISA
static void add_row(float *x, const float *residual, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] += residual[i];
}

static void add_norm_block(void *ctx, int64_t i, int thread)
{
    const struct norm_job *j = ctx;
    const struct add_norm *a = j->a;
    const int64_t last = (i + 1) * ROW_BLOCK;
    const int64_t end = last < a->x.rows ? last : a->x.rows, n = a->x.cols;

    (void)thread;
    for (int64_t r = i * ROW_BLOCK; r < end; r++) {
        float *x = mat_row(&a->x, r);

        if (j->key.on)
            drop_row(&j->key, a->drop.row[r], x, x, n);
        if (a->residual.p)
            add_row(x, mat_row(&a->residual, r), n);
        norm_row(x, a->gamma, a->beta, a->eps, mat_row(&a->y, r), a->stats + 2 * r, n);
    }
}

int cpu_add_norm(struct dev *d, const struct add_norm *a, struct err *e)
{
    struct norm_job j = {.a = a, .key = drop_key(&a->drop)};

    (void)e;
    par_for(d->par, cut_count(a->x.rows, ROW_BLOCK), add_norm_block, &j);
    return 0;
}

static void add_norm_bwd_block(void *ctx, int64_t i, int thread)
{
    const struct norm_job *j = ctx;
    const struct add_norm *a = j->a;
    const struct add_norm_bwd *b = j->b;
    const int64_t last = (i + 1) * ROW_BLOCK;
    const int64_t end = last < a->x.rows ? last : a->x.rows, n = a->x.cols;
    float *part = j->parts + i * 2 * n;

    (void)thread;
    memset(part, 0, 2 * (size_t)n * sizeof *part);
    for (int64_t r = i * ROW_BLOCK; r < end; r++) {
        float *dx = b->dx.p ? mat_row(&b->dx, r) : NULL;
        float *dsum = b->dresidual.p ? mat_row(&b->dresidual, r) : dx;

        norm_row_bwd(mat_row(&a->x, r), a->gamma, a->stats + 2 * r, mat_row(&b->dy, r), dsum,
                     part, part + n, n);
        if (dx && (dx != dsum || j->key.on))
            drop_row(&j->key, j->key.on ? a->drop.row[r] : (struct row_id){0, 0}, dsum, dx,
                     n);
    }
}

int cpu_add_norm_bwd(struct dev *d, const struct add_norm_bwd *b, struct err *e)
{
    const struct add_norm *a = b->fwd;
    const int64_t blocks = cut_count(a->x.rows, ROW_BLOCK), n = a->x.cols;
    struct norm_job j = {.a = a, .b = b, .key = drop_key(&a->drop)};

    if (scratch_shared(d, (size_t)(blocks * 2 * n) * sizeof(float), e) != 0)
        return -1;
    j.parts = d->shared.p;
    par_for(d->par, blocks, add_norm_bwd_block, &j);
    norm_sum_parts(j.parts, blocks, b->dgamma, b->dbeta, n);
    return 0;
}
