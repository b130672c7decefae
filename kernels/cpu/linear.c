/* SPDX-License-Identifier: MIT */
/* linear: y = act(x Wᵀ + b) and its backward pass. */
#include "linear.h"

MULTI_ISA
static void add_bias(float *z, const float *b, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        z[i] += b[i];
}

void linear_after(const void *ctx, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    const struct linear *a = ctx;

    for (int64_t i = i0; i < i1; i++) {
        float *y = mat_row(&a->y, i) + j0, *z = a->pre.p ? mat_row(&a->pre, i) + j0 : y;

        if (a->b)
            add_bias(z, a->b + j0, j1 - j0);
        if (a->act != ACT_NONE || y != z)
            act_forward(a->act, z, y, j1 - j0);
    }
}

int cpu_linear(struct dev *d, const struct linear *a, struct err *e)
{
    struct gemm g = gemm_forward(&a->x, &a->w, a->pre.p ? &a->pre : &a->y);

    if (a->b || a->act != ACT_NONE || a->pre.p) {
        g.after = linear_after;
        g.ctx = a;
    }
    return gemm_run(d, &g, 1, e);
}

const struct mat *linear_kept(const struct linear *a, struct err *e)
{
    if (a->act != ACT_GELU && a->act != ACT_GELU_TANH)
        return &a->y;
    if (!a->pre.p) {
        err_set(e, ERR_INTERNAL, "linear's backward pass needs what was before the GELU");
        return NULL;
    }
    return &a->pre;
}

struct act_job {
    enum activation act;
    const struct mat *kept, *dy;
};

static void act_block(void *ctx, int64_t i, int thread)
{
    const struct act_job *j = ctx;
    const int64_t last = (i + 1) * ROW_BLOCK;
    const int64_t end = last < j->dy->rows ? last : j->dy->rows;

    (void)thread;
    for (int64_t r = i * ROW_BLOCK; r < end; r++)
        act_backward(j->act, mat_row(j->kept, r), mat_row(j->dy, r), j->dy->cols);
}

void linear_bias_after(const void *ctx, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    const struct linear_bias *s = ctx;

    (void)j1;
    if (j0 == 0)
        column_sums(s->dy, i0, i1, s->db);
}

int cpu_linear_bwd(struct dev *d, const struct linear_bwd *b, struct err *e)
{
    const struct linear *a = b->fwd;
    const struct linear_bias bias = {&b->dy, b->db};
    struct gemm g[2];
    int n = 0;

    if (a->act != ACT_NONE) {
        struct act_job j = {a->act, linear_kept(a, e), &b->dy};

        if (!j.kept)
            return -1;
        par_for(d->par, cut_count(b->dy.rows, ROW_BLOCK), act_block, &j);
    }
    if (b->dx.p)
        g[n++] = gemm_dx(&b->dy, &a->w, &b->dx, b->dx_add);
    if (b->dw.p) {
        g[n] = gemm_dw(&b->dy, &a->x, &b->dw, b->dw_set);
        if (b->db) {
            g[n].after = linear_bias_after;
            g[n].ctx = &bias;
        }
        n++;
    }
    return gemm_run(d, g, n, e);
}
