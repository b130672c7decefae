/* SPDX-License-Identifier: MIT */
/* loss: the losses of a classification head, and their gradients in place of the logits.
 */
#include "common.cuh"

constexpr int LOSS_WARPS = 4;

struct loss_arg {
    float *logits;
    const int32_t *label;
    const float *target, *weight;
    float *row_loss;
    const struct dev_step *step;
    int64_t rows, ld;
    int n, kind, gradient;
};

/* -log softmax(z)[label]; a label of -1 is a row without one.  CPU: single_row. */
__device__ static float single_row(float *z, int n, int32_t label, float scale,
                                   bool gradient)
{
    const int lane = threadIdx.x % WARP;
    float top = -INFINITY, sum = 0, own;

    for (int i = lane; i < n; i += WARP)
        top = fmaxf(top, z[i]);
    top = warp_max(top);
    for (int i = lane; i < n; i += WARP)
        sum += expf(z[i] - top);
    sum = warp_sum(sum);
    own = label < 0 ? 0 : z[label];
    __syncwarp(); /* all have read z before any writes */
    for (int i = lane; gradient && i < n; i += WARP) {
        const float p = expf(z[i] - top) / sum;

        z[i] = label < 0 ? 0 : (p - (i == label ? 1.0f : 0.0f)) * scale;
    }
    return label < 0 ? 0 : logf(sum) + top - own;
}

/* CPU: multi_row. */
__device__ static float multi_row(float *z, int n, const float *target, float scale,
                                  bool gradient)
{
    float sum = 0;

    for (int i = threadIdx.x % WARP; i < n; i += WARP) {
        const float x = z[i], e = expf(-fabsf(x));
        const float p = x >= 0 ? 1 / (1 + e) : e / (1 + e);

        sum += (x > 0 ? x : 0) - x * target[i] + log1pf(e);
        if (gradient)
            z[i] = (p - target[i]) / (float)n * scale;
    }
    return warp_sum(sum) / (float)n;
}

/* CPU: regression_row. */
__device__ static float regression_row(float *z, int n, const float *target, float scale,
                                       bool gradient)
{
    float sum = 0;

    for (int i = threadIdx.x % WARP; i < n; i += WARP) {
        const float miss = z[i] - target[i];

        sum += miss * miss;
        if (gradient)
            z[i] = 2 * miss / (float)n * scale;
    }
    return warp_sum(sum) / (float)n;
}

/* Grid: LOSS_WARPS rows a block, a warp a row of n logits.  CPU: cpu_loss. */
static __global__ void loss_kernel(const loss_arg a)
{
    const int64_t row = (int64_t)blockIdx.x * LOSS_WARPS + threadIdx.x / WARP;
    float *z = a.logits + row * a.ld, scale, value;

    if (row >= a.rows)
        return;
    scale = a.gradient ? a.step->scale * (a.weight ? a.weight[row] : 1.0f) : 0;
    if (a.kind == LOSS_SINGLE)
        value = single_row(z, a.n, a.label[row], scale, a.gradient);
    else if (a.kind == LOSS_MULTI)
        value = multi_row(z, a.n, a.target + row * a.n, scale, a.gradient);
    else
        value = regression_row(z, a.n, a.target + row * a.n, scale, a.gradient);
    if (threadIdx.x % WARP == 0)
        a.row_loss[row] = value;
}

int cuda_loss(struct dev *d, const struct loss *a, struct err *e)
{
    const loss_arg arg = {
        (float *)a->logits.p, a->label,     a->target,      a->weight,
        a->row_loss,          a->step,      a->logits.rows, a->logits.ld,
        (int)a->logits.cols,  (int)a->kind, a->gradient};

    if (arg.rows == 0)
        return 0;
    loss_kernel<<<(unsigned)index_cut(arg.rows, LOSS_WARPS), LOSS_WARPS * WARP, 0,
                  d->stream>>>(arg);
    return cuda_launched(d, "loss", e);
}
