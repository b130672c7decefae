/* SPDX-License-Identifier: MIT */
/* ffn: the feed-forward block, y = act(x W1ᵀ + b1) W2ᵀ + b2, and its backward pass. */
#include "linear.h"

int cpu_ffn(struct dev *d, const struct ffn *a, struct err *e)
{
    const struct linear up = {.x = a->x, .w = a->w1, .b = a->b1, .act = a->act,
                              .y = a->mid, .pre = a->pre};
    const struct linear down = {.x = a->mid, .w = a->w2, .b = a->b2, .y = a->y};

    if (cpu_linear(d, &up, e) != 0)
        return -1;
    return cpu_linear(d, &down, e);
}

struct ffn_job {
    enum activation act;
    const struct mat *kept, *dmid;
};

static void dmid_after(const void *ctx, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    const struct ffn_job *j = ctx;

    for (int64_t i = i0; i < i1; i++)
        act_backward(j->act, mat_row(j->kept, i) + j0, mat_row(j->dmid, i) + j0, j1 - j0);
}

int cpu_ffn_bwd(struct dev *d, const struct ffn_bwd *b, struct err *e)
{
    const struct ffn *a = b->fwd;
    const struct linear up = {.act = a->act, .y = a->mid, .pre = a->pre};
    const struct ffn_job job = {a->act, linear_kept(&up, e), &b->dmid};
    const struct linear_bias bias1 = {&b->dmid, b->db1}, bias2 = {&b->dy, b->db2};
    struct gemm g[2];

    if (!job.kept)
        return -1;
    g[0] = gemm_dx(&b->dy, &a->w2, &b->dmid, false);
    g[0].after = dmid_after;
    g[0].ctx = &job;
    g[1] = gemm_dw(&b->dy, &a->mid, &b->dw2, b->dw_set);
    if (b->db2) {
        g[1].after = linear_bias_after;
        g[1].ctx = &bias2;
    }
    if (gemm_run(d, g, 2, e) != 0)
        return -1;
    g[0] = gemm_dx(&b->dmid, &a->w1, &b->dx, true);
    g[1] = gemm_dw(&b->dmid, &a->x, &b->dw1, b->dw_set);
    if (b->db1) {
        g[1].after = linear_bias_after;
        g[1].ctx = &bias1;
    }
    return gemm_run(d, g, 2, e);
}
