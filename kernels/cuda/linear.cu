/* SPDX-License-Identifier: MIT */
/* linear: y = act(x Wᵀ + b) and its backward pass.  CPU: cpu_linear, cpu_linear_bwd. */
#include "gemm.cuh"

static bool keeps_pre(enum activation act)
{
    return act == ACT_GELU || act == ACT_GELU_TANH;
}

int cuda_linear(struct dev *d, const struct linear *a, struct err *e)
{
    const struct mat *z = a->pre.p ? &a->pre : &a->y;

    if (a->x.rows == 0)
        return 0;
    if (gemm_forward(d, &a->x, &a->w, a->b, z, "linear", e))
        return -1;
    if (a->act == ACT_NONE && z == &a->y)
        return 0;
    return act_forward(d, a->act, z, &a->y, "linear", e);
}

int cuda_linear_bwd(struct dev *d, const struct linear_bwd *b, struct err *e)
{
    const struct linear *a = b->fwd;
    const struct mat *kept = keeps_pre(a->act) ? &a->pre : &a->y;
    struct mat dy;

    if (b->dy.rows == 0)
        return 0;
    if (a->act != ACT_NONE && !kept->p)
        return err_set(e, ERR_INTERNAL,
                       "linear's backward pass needs what was before the GELU");
    struct weight_grad g = {&b->dy, &a->x, &b->dw, b->dw_set, b->db, b->db_zero};

    if (!b->dw.p || !gemm_sums(d, &g))
        g.db = NULL; /* the gradient of the activation sums it */
    if ((a->act != ACT_NONE || (b->db && !g.db)) &&
        act_backward(d, a->act, kept, &b->dy, g.db ? NULL : b->db, "linear_bwd", e))
        return -1;
    if (!b->dx.p && !b->dw.p)
        return 0;
    if (cast_to_act(d, &b->dy, &dy, e))
        return -1;
    g.dy = &dy;
    if (!b->dx.p)
        return gemm_dw(d, &g, "linear_bwd", e);
    if (b->dw.p && gemm_dw_beside(d, &g, "linear_bwd", e))
        return -1;
    if (gemm_dx(d, &dy, &a->w, &b->dx, b->dx_add, "linear_bwd", e))
        return -1;
    return b->dw.p ? gemm_join(d, dy.rows, e) : 0;
}
