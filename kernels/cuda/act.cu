/* SPDX-License-Identifier: MIT */
/* act: activations, their derivatives, and the sums of columns that go with them. */
#include "common.cuh"

/* ---- functions ---- */

/*
 * Φ(x) and φ(x) of the normal distribution, with the digits of small Φ kept.  In fp32 by
 * erfc.  For bf16 less than half of its instructions do: with t = 1 / (1 + 0.308 |x|), Φ(-|x|)
 * is exp(-x²/2) times a polynomial of t, fitted to a relative error of 4e-6.  CPU:
 * v_normal.
 */
template <class T> __device__ static inline float2 normal(float x)
{
    if constexpr (std::is_same_v<T, bf16>) {
        const float e = exp2_approx(-0.72134752f * x * x);
        const float t = __fdividef(1, 1 + 0.308298557f * fabsf(x));
        float h = -0.075285744f;

        h = h * t + 0.188457533f;
        h = h * t + 0.00832872094f;
        h = h * t + 0.13617148f;
        h = h * t + 0.119091281f;
        h = h * t + 0.123234776f;
        h *= t * e;
        return make_float2(x < 0 ? h : 1 - h, 0.39894228f * e);
    } else {
        return make_float2(0.5f * erfcf(-0.70710678f * x),
                           0.39894228f * expf(-0.5f * x * x));
    }
}

__device__ static inline float gelu_tanh_inner(float x)
{
    return tanhf(0.79788456f * (x + 0.044715f * x * x * x));
}

template <class T, int ACT> __device__ static inline float act_value(float x)
{
    if constexpr (ACT == ACT_GELU)
        return x * normal<T>(x).x;
    else if constexpr (ACT == ACT_TANH)
        return tanhf(x);
    else if constexpr (ACT == ACT_RELU)
        return x < 0 ? 0 : x;
    else if constexpr (ACT == ACT_GELU_TANH)
        return 0.5f * x * (1 + gelu_tanh_inner(x));
    else
        return x;
}

/* act'; TANH and RELU are told y instead of z. */
template <class T, int ACT> __device__ static inline float act_slope(float x)
{
    if constexpr (ACT == ACT_GELU) {
        const float2 v = normal<T>(x);

        return v.x + x * v.y;
    } else if constexpr (ACT == ACT_TANH) {
        return 1 - x * x;
    } else if constexpr (ACT == ACT_RELU) {
        return x > 0 ? 1 : 0;
    } else if constexpr (ACT == ACT_GELU_TANH) {
        const float t = gelu_tanh_inner(x);

        return 0.5f * (1 + t) +
               0.5f * x * (1 - t * t) * 0.79788456f * (1 + 3 * 0.044715f * x * x);
    } else {
        return 1;
    }
}

template <class F> static void by_act(enum activation act, F f)
{
    switch (act) {
    case ACT_NONE: f(std::integral_constant<int, ACT_NONE>()); break;
    case ACT_GELU: f(std::integral_constant<int, ACT_GELU>()); break;
    case ACT_TANH: f(std::integral_constant<int, ACT_TANH>()); break;
    case ACT_RELU: f(std::integral_constant<int, ACT_RELU>()); break;
    case ACT_GELU_TANH: f(std::integral_constant<int, ACT_GELU_TANH>()); break;
    }
}

/* ---- forward ---- */

struct act_arg {
    const void *z;
    void *y;
    int64_t rows, cols, ldz, ldy;
};

/*
 * y = act(z), (rows, cols).  Grid: (pieces of 1024 columns, rows, cut to the limit of
 * grids), 256 threads with 4 columns each.  CPU: act_forward.
 */
template <class T, int ACT, bool FAST> static __global__ void act_kernel(const act_arg a)
{
    const int64_t col = (int64_t)blockIdx.x * 1024 + threadIdx.x * 4, n = a.cols - col;

    if (n <= 0)
        return;
    for (int64_t row = blockIdx.y; row < a.rows; row += gridDim.y) {
        float4 v = load4<FAST>((const T *)a.z + row * a.ldz + col, n);

        v.x = act_value<T, ACT>(v.x);
        v.y = act_value<T, ACT>(v.y);
        v.z = act_value<T, ACT>(v.z);
        v.w = act_value<T, ACT>(v.w);
        store4<FAST>((T *)a.y + row * a.ldy + col, v, n);
    }
}

int act_forward(struct dev *d, enum activation act, const struct mat *z,
                const struct mat *y, const char *op, struct err *e)
{
    const act_arg a = {z->p, y->p, z->rows, z->cols, z->ld, y->ld};
    const dim3 grid((unsigned)index_cut(a.cols, 1024),
                    (unsigned)(a.rows < 65535 ? a.rows : 65535));

    if (a.rows == 0 || a.cols == 0)
        return 0;
    by_type(z->t, [&](auto *type) {
        by_act(act, [&](auto which) {
            using T = element<decltype(type)>;

            if (mat_by_4(z) && mat_by_4(y))
                act_kernel<T, which(), true><<<grid, 256, 0, d->stream>>>(a);
            else
                act_kernel<T, which(), false><<<grid, 256, 0, d->stream>>>(a);
        });
    });
    return cuda_launched(d, op, e);
}

/* ---- backward, and sums of columns ---- */

constexpr int SUM_LANES = 8; /* rows of threads in a block */

struct act_bwd_arg {
    const void *kept;
    void *dy;
    float *parts; /* (parts, cols) or NULL */
    int64_t rows, cols, ldk, ldy, per_part;
};

/*
 * dy *= act'(kept), and the sums of the columns of dy over the rows of a part.  Grid:
 * (pieces of 128 columns, parts), 32 x 8 threads with 4 columns each; the 8 rows of
 * threads take rows in turn and are added in order.  CPU: act_backward, column_sums.
 */
template <class T, int ACT, bool FAST>
static __global__ void act_bwd_kernel(const act_bwd_arg a)
{
    __shared__ float4 sums[SUM_LANES][WARP];
    const int64_t col = (int64_t)blockIdx.x * 128 + threadIdx.x * 4, n = a.cols - col;
    const int64_t from = (int64_t)blockIdx.y * a.per_part, last = from + a.per_part;
    const int64_t to = last < a.rows ? last : a.rows;
    float4 sum = {0, 0, 0, 0};

    for (int64_t row = from + threadIdx.y; row < to && n > 0; row += SUM_LANES) {
        float4 v = load4<FAST>((const T *)a.dy + row * a.ldy + col, n);

        if (ACT != ACT_NONE) {
            const float4 k = load4<FAST>((const T *)a.kept + row * a.ldk + col, n);

            v.x *= act_slope<T, ACT>(k.x);
            v.y *= act_slope<T, ACT>(k.y);
            v.z *= act_slope<T, ACT>(k.z);
            v.w *= act_slope<T, ACT>(k.w);
            store4<FAST>((T *)a.dy + row * a.ldy + col, v, n);
        }
        sum.x += v.x;
        sum.y += v.y;
        sum.z += v.z;
        sum.w += v.w;
    }
    if (!a.parts)
        return;
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || n <= 0)
        return;
    for (int i = 1; i < SUM_LANES; i++) {
        const float4 s = sums[i][threadIdx.x];

        sum.x += s.x;
        sum.y += s.y;
        sum.z += s.z;
        sum.w += s.w;
    }
    store4<false>(a.parts + blockIdx.y * a.cols + col, sum, n);
}

int act_backward(struct dev *d, enum activation act, const struct mat *kept,
                 const struct mat *dy, float *sum, const char *op, struct err *e)
{
    const int64_t per_part = index_rows_per_part(dy->rows) * SUM_LANES;
    const int64_t n = index_cut(dy->rows, per_part);
    const bool fast = mat_by_4(dy) && (act == ACT_NONE || mat_by_4(kept));
    act_bwd_arg a = {kept ? kept->p : NULL, dy->p, NULL, dy->rows, dy->cols,
                     kept ? kept->ld : 0, dy->ld, per_part};
    const dim3 grid((unsigned)index_cut(a.cols, 128), (unsigned)n),
        block(WARP, SUM_LANES);

    if (dy->rows == 0 || dy->cols == 0)
        return 0;
    if (n > 65535)
        return err_set(e, ERR_RUN, "%s: %lld rows are too many for the GPU", op,
                       (long long)dy->rows);
    if (sum) {
        a.parts = (float *)cuda_scratch(d, (size_t)(n * a.cols) * sizeof(float), e);
        if (!a.parts)
            return -1;
    }
    by_type(dy->t, [&](auto *type) {
        by_act(act, [&](auto which) {
            using T = element<decltype(type)>;

            if (fast)
                act_bwd_kernel<T, which(), true><<<grid, block, 0, d->stream>>>(a);
            else
                act_bwd_kernel<T, which(), false><<<grid, block, 0, d->stream>>>(a);
        });
    });
    if (!sum)
        return cuda_launched(d, op, e);
    return sum_parts(d, a.parts, n, a.cols, sum, NULL, op, e);
}

int column_sums(struct dev *d, const struct mat *m, float *sum, const char *op,
                struct err *e)
{
    return act_backward(d, ACT_NONE, NULL, m, sum, op, e);
}

/* ---- the second stage ---- */

constexpr int PART_LANES = 32; /* rows of threads: parts are few columns and many rows */

/*
 * out[c] += column c of parts (n, cols): the rows of threads take parts in turn, then
 * their sums are added in order.  Grid: pieces of 32 columns, 32 x PART_LANES threads.
 * Columns from cols0 on go to out1.  CPU: norm_sum_parts.
 */
static __global__ void __launch_bounds__(WARP *PART_LANES)
    sum_kernel(const float *parts, int64_t n, int64_t cols, int64_t cols0, float *out0,
               float *out1)
{
    __shared__ float sums[PART_LANES][WARP];
    const int64_t col = (int64_t)blockIdx.x * WARP + threadIdx.x;
    float sum = 0;

    if (col < cols)
#pragma unroll 8
        for (int64_t i = threadIdx.y; i < n; i += PART_LANES)
            sum += parts[i * cols + col];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || col >= cols)
        return;
    for (int i = 1; i < PART_LANES; i++)
        sum += sums[i][threadIdx.x];
    if (col < cols0)
        out0[col] += sum;
    else
        out1[col - cols0] += sum;
}

int sum_parts(struct dev *d, const float *parts, int64_t n, int64_t cols, float *out0,
              float *out1, const char *op, struct err *e)
{
    sum_kernel<<<(unsigned)index_cut(cols, WARP), dim3(WARP, PART_LANES), 0, d->stream>>>(
        parts, n, cols, out1 ? cols / 2 : cols, out0, out1);
    return cuda_launched(d, op, e);
}
