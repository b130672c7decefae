/* SPDX-License-Identifier: MIT */
/* norm: layer norm, with the dropout and the residual before it. */
#include "norm.cuh"

struct norm_arg {
    void *x;
    const void *residual;
    void *y;
    const float *gamma, *beta;
    float *stats;
    float eps;
    int64_t rows, ldx, ldr, ldy;
    int cols;
    struct drop_arg drop;
};

/*
 * x := residual + drop(x), y = LN(x) of what x holds then.  Grid: ROW_WARPS rows a block,
 * ROW_THREADS threads, a warp a row.  CPU: cpu_add_norm.
 */
template <class T, int GROUPS, bool FAST>
static __global__ void __launch_bounds__(ROW_THREADS) add_norm_kernel(const norm_arg a)
{
    const int64_t row = (int64_t)blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
    const int n = a.cols;
    struct row_id id = {0, 0};
    uint2 key = {0, 0};
    uint4 w = {0, 0, 0, 0};
    float4 v[GROUPS];
    T *x;

    if (row >= a.rows)
        return;
    x = (T *)a.x + row * a.ldx;
    if (a.drop.on) {
        id = a.drop.row[row];
        key = drop_key(a.drop);
    }
    each_group<GROUPS>(n, [&](int g, int col) {
        v[g] = load4<FAST>(x + col, n - col);
        if (a.drop.on)
            v[g] = drop4(a.drop, key, id, g, w, v[g]);
        if (a.residual)
            v[g] = v[g] + load4<FAST>((const T *)a.residual + row * a.ldr + col, n - col);
        v[g] = rounded<T>(v[g]);
        if (a.drop.on || a.residual)
            store4<FAST>(x + col, v[g], n - col);
    });
    row_norm<GROUPS, FAST>(v, a.gamma, a.beta, a.eps, a.stats + 2 * row, n);
    each_group<GROUPS>(n, [&](int g, int col) {
        store4<FAST>((T *)a.y + row * a.ldy + col, v[g], n - col);
    });
}

int cuda_add_norm(struct dev *d, const struct add_norm *a, struct err *e)
{
    const norm_arg arg = {a->x.p, a->residual.p, a->y.p, a->gamma, a->beta, a->stats,
                          a->eps, a->x.rows, a->x.ld, a->residual.ld, a->y.ld,
                          (int)a->x.cols, drop_arg(&a->drop)};
    const bool fast = mat_by_4(&a->x) && mat_by_4(&a->residual) && mat_by_4(&a->y) &&
                      by_4(a->gamma) && by_4(a->beta);

    if (a->x.rows == 0)
        return 0;
    if (check_width(a->x.cols, "add_norm", e))
        return -1;
    by_type(a->x.t, [&](auto *type) {
        by_width(a->x.cols, fast, [&](auto groups, auto is_fast) {
            add_norm_kernel<element<decltype(type)>, groups(), is_fast()>
                <<<(unsigned)index_cut(arg.rows, ROW_WARPS), ROW_THREADS, 0, d->stream>>>(
                    arg);
        });
    });
    return cuda_launched(d, "add_norm", e);
}

struct norm_bwd_arg {
    const void *x, *dy;
    void *dresidual, *dx;
    const float *gamma, *stats;
    float *parts;
    int64_t rows, ldx, ldy, ldr, lddx, per_part;
    int cols;
    struct drop_arg drop;
};

/*
 * dresidual = gradient of the sum x, dx = drop of it, and the parts of dgamma and dbeta.
 * Any of dy, dresidual and dx may be the same memory: a warp reads a whole row before it
 * writes.  Grid: a block a part, whose rows its warps take in turn.  CPU:
 * cpu_add_norm_bwd.
 */
template <class T, int GROUPS, bool FAST>
static __global__ void __launch_bounds__(ROW_THREADS)
    add_norm_bwd_kernel(const norm_bwd_arg a)
{
    const int64_t from = blockIdx.x * a.per_part, last = from + a.per_part;
    const int64_t to = last < a.rows ? last : a.rows;
    const float4 zero = {0, 0, 0, 0};
    const int n = a.cols;
    float4 x[GROUPS], dy[GROUPS], dgamma[GROUPS], dbeta[GROUPS];
    uint2 key = {0, 0};
    uint4 w = {0, 0, 0, 0};

    if (a.drop.on)
        key = drop_key(a.drop);
    each_group<GROUPS>(n, [&](int g, int) { dgamma[g] = dbeta[g] = zero; });
    for (int64_t row = from + threadIdx.x / WARP; row < to; row += blockDim.x / WARP) {
        struct row_id id = {0, 0};

        if (a.drop.on)
            id = a.drop.row[row];
        each_group<GROUPS>(n, [&](int g, int col) {
            x[g] = load4<FAST>((const T *)a.x + row * a.ldx + col, n - col);
            dy[g] = load4<FAST>((const T *)a.dy + row * a.ldy + col, n - col);
        });
        row_norm_bwd<GROUPS, FAST>(x, dy, dgamma, dbeta, a.gamma, a.stats + 2 * row, n);
        each_group<GROUPS>(n, [&](int g, int col) {
            if (a.dresidual)
                store4<FAST>((T *)a.dresidual + row * a.ldr + col, dy[g], n - col);
            if (a.drop.on)
                dy[g] = drop4(a.drop, key, id, g, w, dy[g]);
            if (a.dx)
                store4<FAST>((T *)a.dx + row * a.lddx + col, dy[g], n - col);
        });
    }
    write_parts<GROUPS>(a.parts + (int64_t)blockIdx.x * 2 * n, dgamma, dbeta, n);
}

int cuda_add_norm_bwd(struct dev *d, const struct add_norm_bwd *b, struct err *e)
{
    const struct add_norm *a = b->fwd;
    const bool fast = mat_by_4(&a->x) && mat_by_4(&b->dy) && mat_by_4(&b->dresidual) &&
                      mat_by_4(&b->dx) && by_4(a->gamma);
    struct norm_parts parts = norm_parts_cut(&a->x, fast);

    if (a->x.rows == 0)
        return 0;
    if (check_width(a->x.cols, "add_norm_bwd", e))
        return -1;
    parts.p = (float *)cuda_scratch(d, norm_parts_bytes(&a->x, &parts), e);
    if (!parts.p)
        return -1;
    const norm_bwd_arg arg = {a->x.p,   b->dy.p,  b->dresidual.p,  b->dx.p,
                              a->gamma, a->stats, parts.p,         a->x.rows,
                              a->x.ld,  b->dy.ld, b->dresidual.ld, b->dx.ld,
                              parts.per_part, (int)a->x.cols, drop_arg(&a->drop)};

    by_type(a->x.t, [&](auto *type) {
        by_width(a->x.cols, fast, [&](auto groups, auto is_fast) {
            add_norm_bwd_kernel<element<decltype(type)>, groups(), is_fast()>
                <<<(unsigned)parts.n, parts.threads, 0, d->stream>>>(arg);
        });
    });
    if (cuda_launched(d, "add_norm_bwd", e))
        return -1;
    return sum_parts(d, parts.p, parts.n, 2 * a->x.cols, b->dgamma, b->dbeta,
                     "add_norm_bwd", e);
}
