/* SPDX-License-Identifier: MIT */
/*
 * norm: layer norm of a row by a warp, which add_norm and embed share (private to
 * kernels/cuda).
 *
 * A lane holds four neighbouring columns out of every 128; two groups of four are what a
 * call of Philox serves.  GROUPS is how many a lane holds at most.  The widths of models
 * have instances that keep all in registers; others, up to ROW_GROUPS_MAX * 128 columns,
 * take the instance with loops that are not unrolled.
 */
#ifndef BERTUTILS_CUDA_NORM_CUH
#define BERTUTILS_CUDA_NORM_CUH

#include "common.cuh"

constexpr int ROW_WARPS = 4, ROW_THREADS = ROW_WARPS * WARP, ROW_GROUPS_MAX = 64;

/* f(g, column) for every group of this lane in a row of n columns. */
template <int GROUPS, class F> __device__ inline void each_group(int n, F f)
{
    const int lane = threadIdx.x % WARP;

#pragma unroll(GROUPS <= 8 ? GROUPS : 1)
    for (int g = 0; g < GROUPS; g++) {
        const int col = 4 * (lane + WARP * g);

        if (col < n)
            f(g, col);
    }
}

__device__ inline float4 mask4(float4 v, int n)
{
    v.y = n > 1 ? v.y : 0;
    v.z = n > 2 ? v.z : 0;
    v.w = n > 3 ? v.w : 0;
    return v;
}

__device__ inline float sum4(float4 v)
{
    return v.x + v.y + (v.z + v.w);
}

__device__ inline float4 operator+(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ inline float4 operator-(float4 a, float b)
{
    return make_float4(a.x - b, a.y - b, a.z - b, a.w - b);
}

__device__ inline float4 operator*(float4 a, float4 b)
{
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

__device__ inline float4 operator*(float4 a, float b)
{
    return make_float4(a.x * b, a.y * b, a.z * b, a.w * b);
}

/* v as it will be read back from memory of type T. */
template <class T> __device__ inline float4 rounded(float4 v)
{
    return make_float4(to_float(from_float<T>(v.x)), to_float(from_float<T>(v.y)),
                       to_float(from_float<T>(v.z)), to_float(from_float<T>(v.w)));
}

/* v := LN(v), two passes over what is held; stats: mean and 1 / sd.  CPU: norm_row. */
template <int GROUPS, bool FAST>
__device__ inline void row_norm(float4 (&v)[GROUPS], const float *gamma,
                                const float *beta, float eps, float *stats, int n)
{
    float sum = 0, square = 0, mean, rstd;

    each_group<GROUPS>(n, [&](int g, int) { sum += sum4(v[g]); });
    mean = warp_sum(sum) / (float)n;
    each_group<GROUPS>(n, [&](int g, int col) {
        const float4 c = mask4(v[g] - mean, n - col);

        square += sum4(c * c);
    });
    rstd = 1 / sqrtf(warp_sum(square) / (float)n + eps);
    each_group<GROUPS>(n, [&](int g, int col) {
        v[g] = (v[g] - mean) * rstd * load4<FAST>(gamma + col, n - col) +
               load4<FAST>(beta + col, n - col);
    });
    if (threadIdx.x % WARP == 0) {
        stats[0] = mean;
        stats[1] = rstd;
    }
}

/*
 * dy := gradient of LN's input x; dgamma and dbeta of the row are added to the lane's
 * sums. Columns behind the end hold 0 in dy.  CPU: norm_row_bwd.
 */
template <int GROUPS, bool FAST>
__device__ inline void row_norm_bwd(const float4 (&x)[GROUPS], float4 (&dy)[GROUPS],
                                    float4 (&dgamma)[GROUPS], float4 (&dbeta)[GROUPS],
                                    const float *gamma, const float *stats, int n)
{
    const float mean = stats[0], rstd = stats[1];
    float sum = 0, product = 0;

    each_group<GROUPS>(n, [&](int g, int col) {
        const float4 h = (x[g] - mean) * rstd;

        dgamma[g] = dgamma[g] + dy[g] * h;
        dbeta[g] = dbeta[g] + dy[g];
        dy[g] = dy[g] * load4<FAST>(gamma + col, n - col);
        sum += sum4(dy[g]);
        product += sum4(dy[g] * h);
    });
    sum = warp_sum(sum) / (float)n;
    product = warp_sum(product) / (float)n;
    each_group<GROUPS>(n, [&](int g, int) {
        const float4 h = (x[g] - mean) * rstd;

        dy[g] = (dy[g] - sum + h * -product) * rstd;
    });
}

/*
 * Writes a block's sums as one row of parts: dgamma's n columns, then dbeta's.  By all
 * threads; warps are added in order.  Where a row is too wide for that a block has one
 * warp (norm_parts).
 */
template <int GROUPS>
__device__ inline void write_parts(float *parts, float4 (&dgamma)[GROUPS],
                                   float4 (&dbeta)[GROUPS], int n)
{
    if constexpr (GROUPS <= 8) {
        __shared__ float4 sums[ROW_WARPS - 1][2][GROUPS * WARP];
        const int warp = threadIdx.x / WARP;

        if (warp > 0)
            each_group<GROUPS>(n, [&](int g, int col) {
                sums[warp - 1][0][col / 4] = dgamma[g];
                sums[warp - 1][1][col / 4] = dbeta[g];
            });
        __syncthreads();
        if (warp > 0)
            return;
        for (int w = 0; w < ROW_WARPS - 1; w++)
            each_group<GROUPS>(n, [&](int g, int col) {
                dgamma[g] = dgamma[g] + sums[w][0][col / 4];
                dbeta[g] = dbeta[g] + sums[w][1][col / 4];
            });
    }
    each_group<GROUPS>(n, [&](int g, int col) {
        store4<GROUPS <= 8>(parts + col, dgamma[g], n - col);
        store4<GROUPS <= 8>(parts + n + col, dbeta[g], n - col);
    });
}

/* f(groups, fast) with the instance for a width, as integral constants. */
template <class F> static inline void by_width(int64_t n, bool fast, F f)
{
    if (fast && n <= 256)
        f(std::integral_constant<int, 2>(), std::true_type());
    else if (fast && n <= 512)
        f(std::integral_constant<int, 4>(), std::true_type());
    else if (fast && n <= 768)
        f(std::integral_constant<int, 6>(), std::true_type());
    else if (fast && n <= 1024)
        f(std::integral_constant<int, 8>(), std::true_type());
    else
        f(std::integral_constant<int, ROW_GROUPS_MAX>(), std::false_type());
}

static inline int check_width(int64_t n, const char *op, struct err *e)
{
    if (n <= ROW_GROUPS_MAX * 4 * WARP)
        return 0;
    return err_set(e, ERR_RUN, "%s: a width of %lld is beyond the %d of the GPU's kernel",
                   op, (long long)n, ROW_GROUPS_MAX * 4 * WARP);
}

/* Parts of dgamma and dbeta: each is of per_part rows and a block's. */
struct norm_parts {
    float *p;
    int64_t n, per_part;
    unsigned threads; /* of a block */
};

/* How many there are; fast: what by_width is told.  Their room is for the caller. */
static inline struct norm_parts norm_parts_cut(const struct mat *x, bool fast)
{
    const bool joined = fast && x->cols <= 8 * 4 * WARP;
    struct norm_parts t = {};

    t.threads = joined ? ROW_THREADS : WARP;
    t.per_part = joined ? index_rows_per_block(x->rows, ROW_WARPS)
                        : index_rows_per_part(x->rows);
    t.n = index_cut(x->rows, t.per_part);
    return t;
}

static inline size_t norm_parts_bytes(const struct mat *x, const struct norm_parts *t)
{
    return (size_t)(t->n * 2 * x->cols) * sizeof(float);
}

#endif
