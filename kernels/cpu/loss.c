/* SPDX-License-Identifier: MIT */
/* loss: the losses of a classification head, and their gradients in place of the logits. */
#include "cpu.h"

#include <math.h>

struct loss_job {
    const struct loss *a;
};

/* -log softmax(z)[label]; a label of -1 is a row without one. */
static float single_row(float *z, int64_t n, int32_t label, float scale, bool gradient)
{
    float top = z[0], sum = 0, result;

    for (int64_t i = 1; i < n; i++)
        top = z[i] > top ? z[i] : top;
    for (int64_t i = 0; i < n; i++)
        sum += expf(z[i] - top);
    result = label < 0 ? 0 : logf(sum) + top - z[label];
    for (int64_t i = 0; gradient && i < n; i++) {
        const float p = expf(z[i] - top) / sum;

        z[i] = label < 0 ? 0 : (p - (i == label ? 1.0f : 0.0f)) * scale;
    }
    return result;
}

static float multi_row(float *z, int64_t n, const float *target, float scale, bool gradient)
{
    float sum = 0;

    for (int64_t i = 0; i < n; i++) {
        const float e = expf(-fabsf(z[i]));
        const float p = z[i] >= 0 ? 1 / (1 + e) : e / (1 + e);

        sum += (z[i] > 0 ? z[i] : 0) - z[i] * target[i] + log1pf(e);
        if (gradient)
            z[i] = (p - target[i]) / (float)n * scale;
    }
    return sum / (float)n;
}

static float regression_row(float *z, int64_t n, const float *target, float scale,
                            bool gradient)
{
    float sum = 0;

    for (int64_t i = 0; i < n; i++) {
        const float miss = z[i] - target[i];

        sum += miss * miss;
        if (gradient)
            z[i] = 2 * miss / (float)n * scale;
    }
    return sum / (float)n;
}

static void loss_block(void *ctx, int64_t block, int thread)
{
    const struct loss *a = ((const struct loss_job *)ctx)->a;
    const int64_t last = (block + 1) * ROW_BLOCK, n = a->logits.cols;
    const int64_t end = last < a->logits.rows ? last : a->logits.rows;

    (void)thread;
    for (int64_t r = block * ROW_BLOCK; r < end; r++) {
        const float scale =
            a->gradient ? a->step->scale * (a->weight ? a->weight[r] : 1.0f) : 0;
        float *z = mat_row(&a->logits, r);

        if (a->kind == LOSS_SINGLE)
            a->row_loss[r] = single_row(z, n, a->label[r], scale, a->gradient);
        else if (a->kind == LOSS_MULTI)
            a->row_loss[r] = multi_row(z, n, a->target + r * n, scale, a->gradient);
        else
            a->row_loss[r] = regression_row(z, n, a->target + r * n, scale, a->gradient);
    }
}

int cpu_loss(struct dev *d, const struct loss *a, struct err *e)
{
    struct loss_job j = {a};

    (void)e;
    par_for(d->par, cut_count(a->logits.rows, ROW_BLOCK), loss_block, &j);
    return 0;
}
