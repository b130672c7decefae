/* SPDX-License-Identifier: MIT */
/* vocab_loss: logits over the vocabulary, cross-entropy and gradients, a chunk of rows at a time. */
#include "linear.h"
#include "vmath.h"

#include <math.h>

struct vocab_job {
    const struct vocab_loss *a;
    struct mat z;  /* (rows of the chunk, V) */
    int64_t first; /* row of the chunk's first */
};

MULTI_ISA
static float row_max(const float *z, int64_t n)
{
    float top = z[0];

#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++)
        top = z[i] > top ? z[i] : top;
    return top;
}

/* z := e^(z - top); the sum is taken in pieces, so that no digits are lost over 250000 words. */
MULTI_ISA
static double row_exp(float *z, int64_t n, float top)
{
    double sum = 0;

    for (int64_t at = 0; at < n; at += 1024) {
        const int64_t end = n - at < 1024 ? n : at + 1024;
        float part = 0;

#pragma omp simd reduction(+ : part)
        for (int64_t i = at; i < end; i++) {
            z[i] = v_exp(z[i] - top);
            part += z[i];
        }
        sum += part;
    }
    return sum;
}

MULTI_ISA
static void row_scale(float *z, int64_t n, float factor)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        z[i] *= factor;
}

static void vocab_row(void *ctx, int64_t i, int thread)
{
    const struct vocab_job *j = ctx;
    const struct vocab_loss *a = j->a;
    const int64_t n = j->z.cols, r = j->first + i;
    const int32_t label = a->label[r];
    float *z = mat_row(&j->z, i);
    const float top = row_max(z, n), own = label < 0 ? 0 : z[label];
    double sum;

    (void)thread;
    if (a->best) {
        int64_t best = 0;

        while (best < n - 1 && z[best] != top)
            best++;
        a->best[r] = (int32_t)best;
    }
    sum = row_exp(z, n, top);
    a->row_loss[r] = label < 0 ? 0 : (float)(log(sum) + (double)top - (double)own);
    if (!a->gradient)
        return;
    row_scale(z, n, label < 0 ? 0 : (float)(a->step->scale / sum));
    if (label >= 0)
        z[label] -= a->step->scale;
}

int cpu_vocab_loss(struct dev *d, const struct vocab_loss *a, struct err *e)
{
    struct vocab_job j = {.a = a};
    const struct linear_bias bias = {&j.z, a->db};

    for (j.first = 0; j.first < a->x.rows; j.first += a->work.rows) {
        const int64_t left = a->x.rows - j.first;
        const int64_t rows = left < a->work.rows ? left : a->work.rows;
        struct linear logits = {.w = a->w, .b = a->b};
        struct gemm g[2];

        j.z = (struct mat){a->work.p, rows, a->w.rows, a->work.ld, DT_F32};
        logits.x = (struct mat){mat_row(&a->x, j.first), rows, a->x.cols, a->x.ld, DT_F32};
        logits.y = j.z;
        if (cpu_linear(d, &logits, e) != 0)
            return -1;
        par_for(d->par, rows, vocab_row, &j);
        if (!a->gradient)
            continue;
        {
            const struct mat dx = {mat_row(&a->dx, j.first), rows, a->x.cols, a->dx.ld,
                                   DT_F32};

            g[0] = gemm_dx(&j.z, &a->w, &dx, false);
        }
        g[1] = gemm_dw(&j.z, &logits.x, &a->dw, false);
        if (a->db) {
            g[1].after = linear_bias_after;
            g[1].ctx = &bias;
        }
        if (gemm_run(d, g, 2, e) != 0)
            return -1;
    }
    return 0;
}
