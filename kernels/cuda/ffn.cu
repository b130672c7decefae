/* SPDX-License-Identifier: MIT */
/*
 * ffn: the feed-forward block, y = act(x W1ᵀ + b1) W2ᵀ + b2, and its backward pass.  CPU:
 * cpu_ffn, cpu_ffn_bwd.
 */
#include "gemm.cuh"

int cuda_ffn(struct dev *d, const struct ffn *a, struct err *e)
{
    const struct mat *z = a->pre.p ? &a->pre : &a->mid;

    if (a->x.rows == 0)
        return 0;
    if (gemm_forward(d, &a->x, &a->w1, a->b1, z, "ffn", e))
        return -1;
    if ((a->act != ACT_NONE || z != &a->mid) &&
        act_forward(d, a->act, z, &a->mid, "ffn", e))
        return -1;
    return gemm_forward(d, &a->mid, &a->w2, a->b2, &a->y, "ffn", e);
}

int cuda_ffn_bwd(struct dev *d, const struct ffn_bwd *b, struct err *e)
{
    static const char op[] = "ffn_bwd";
    const struct ffn *a = b->fwd;
    const bool keeps_pre = a->act == ACT_GELU || a->act == ACT_GELU_TANH;
    const struct mat *kept = keeps_pre ? &a->pre : &a->mid;

    if (a->x.rows == 0)
        return 0;
    if (a->act != ACT_NONE && !kept->p)
        return err_set(e, ERR_INTERNAL,
                       "ffn's backward pass needs what was before the GELU");
    const struct weight_grad outer = {&b->dy,    &a->mid, &b->dw2,
                                      b->dw_set, b->db2,  b->db_zero};
    struct weight_grad inner = {&b->dmid,  &a->x,  &b->dw1,
                                b->dw_set, b->db1, b->db_zero};

    if (gemm_dw_beside(d, &outer, op, e) ||
        gemm_dx(d, &b->dy, &a->w2, &b->dmid, false, op, e))
        return -1;
    if (!gemm_sums(d, &inner))
        inner.db = NULL; /* the gradient of the activation sums it */
    if ((a->act != ACT_NONE || (b->db1 && !inner.db)) &&
        act_backward(d, a->act, kept, &b->dmid, inner.db ? NULL : b->db1, op, e))
        return -1;
    if (gemm_dw_beside(d, &inner, op, e) ||
        gemm_dx(d, &b->dmid, &a->w1, &b->dx, true, op, e))
        return -1;
    return gemm_join(d, a->x.rows, e);
}
