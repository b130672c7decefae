/* SPDX-License-Identifier: MIT */
/*
 * attn_plain: attention in fp32 and for unusual widths of heads, without matrix
 * instructions.
 *
 * A warp has one query, or one key for dk and dv, and goes over the other side 32 at a
 * time: first every lane has one of the 32 and its products over the width, then every
 * lane has some of the columns and the 32 are passed round.
 */
#include "attn.cuh"

constexpr int PLAIN_WARPS = 4, PLAIN_COLUMNS = ATTN_WIDTH_MAX / WARP;

/* Loads a row of the head into shared memory as fp32. */
template <class T>
__device__ static inline void take_row(float *to, const T *from, int width)
{
    for (int c = threadIdx.x % WARP; c < width; c += WARP)
        to[c] = to_float(from[c]);
    __syncwarp();
}

template <class T>
__device__ static inline float dot(const float *a, const T *b, int width)
{
    float sum = 0;

    for (int c = 0; c < width; c++)
        sum += a[c] * to_float(b[c]);
    return sum;
}

/* acc[c] += factor of each of the `count` lanes times its row's columns of this lane. */
template <class T>
__device__ static inline void add_rows(float (&acc)[PLAIN_COLUMNS], float factor,
                                       const T *rows, int64_t ld, int count, int width)
{
    const int lane = threadIdx.x % WARP;

    for (int j = 0; j < count; j++) {
        const float f = __shfl_sync(0xffffffffu, factor, j);

#pragma unroll
        for (int c = 0; c < PLAIN_COLUMNS; c++)
            if (lane + WARP * c < width)
                acc[c] += f * to_float(rows[j * ld + lane + WARP * c]);
    }
}

template <class T> __device__ static inline void
put_row(T *to, const float (&acc)[PLAIN_COLUMNS], float factor, int width)
{
    const int lane = threadIdx.x % WARP;

#pragma unroll
    for (int c = 0; c < PLAIN_COLUMNS; c++)
        if (lane + WARP * c < width)
            to[lane + WARP * c] = from_float<T>(acc[c] * factor);
}

/* What dropout multiplies the probability of key j for query i with. */
__device__ static inline float keep_factor(const attn_arg &a, const head &h, int i, int j)
{
    const uint4 w = drop_words(h.key, h.record, h.base + drop_attn_query((uint32_t)i),
                               drop_attn_group((uint32_t)j), (uint32_t)h.index);
    const int half = drop_attn_half((uint32_t)i, (uint32_t)j);
    const uint32_t low = half & 2 ? w.y : w.x, high = half & 2 ? w.w : w.z;

    return drops(a.drop, half & 4 ? high : low, half) ? 0 : a.drop.scale;
}

/* Sequence, head and the number of this warp's query or key; false: behind the end. */
__device__ static inline bool plain_place(const attn_arg &a, head *h, int *i)
{
    const attn_place p = attn_find(blockIdx.x, a.heads, a.tiles);

    *h = head_at(a, p.seq, p.head);
    *i = p.tile * PLAIN_WARPS + (int)(threadIdx.x / WARP);
    return *i < h->n;
}

/*
 * y and lse of a query.  Grid: a block for PLAIN_WARPS queries of each head of each
 * sequence, as many as the longest has; a warp a query.  CPU: attn_head.
 */
template <class T> static __global__ void plain_kernel(const attn_arg a)
{
    __shared__ float rows[PLAIN_WARPS][ATTN_WIDTH_MAX];
    const int lane = threadIdx.x % WARP;
    float *q = rows[threadIdx.x / WARP], acc[PLAIN_COLUMNS] = {}, top = -INFINITY,
          sum = 0;
    const T *qkv = (const T *)a.qkv, *k, *v;
    head h;
    int i;

    if (!plain_place(a, &h, &i))
        return;
    k = qkv + h.first * a.ldq + a.h + h.index * a.width;
    v = k + a.h;
    take_row(q, qkv + (h.first + i) * a.ldq + h.index * a.width, a.width);
    for (int from = 0; from < h.n; from += WARP) {
        const int j = from + lane, count = h.n - from < WARP ? h.n - from : WARP;
        const float s = j < h.n ? dot(q, k + j * a.ldq, a.width) * a.scale : -INFINITY;
        const float higher = fmaxf(top, warp_max(s)), old = expf(top - higher);
        float p = j < h.n ? expf(s - higher) : 0;

        sum = sum * old + warp_sum(p);
        top = higher;
        if (a.drop.on && j < h.n)
            p *= keep_factor(a, h, i, j);
#pragma unroll
        for (int c = 0; c < PLAIN_COLUMNS; c++)
            acc[c] *= old;
        add_rows(acc, p, v + from * a.ldq, a.ldq, count, a.width);
    }
    put_row((T *)a.y + (h.first + i) * a.ldy + h.index * a.width, acc, 1 / sum, a.width);
    if (a.lse && lane == 0)
        a.lse[h.index * a.n_tok + h.first + i] = top + logf(sum);
}

/*
 * delta[head, t] = dy · y.  Grid: PLAIN_WARPS pairs of token and head a block, a warp a
 * pair. CPU: dot_row in block_softmax_bwd.
 */
template <class T> static __global__ void delta_kernel(const attn_arg a)
{
    const int64_t pair = (int64_t)blockIdx.x * PLAIN_WARPS + threadIdx.x / WARP;
    const int64_t t = pair / a.heads, index = pair % a.heads;
    float sum = 0;

    if (t >= a.n_tok)
        return;
    for (int c = threadIdx.x % WARP; c < a.width; c += WARP)
        sum += to_float(((const T *)a.dy)[t * a.lddy + index * a.width + c]) *
               to_float(((const T *)a.y)[t * a.ldy + index * a.width + c]);
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0)
        a.delta[index * a.n_tok + t] = sum;
}

/* dq of a query.  Grid as plain_kernel.  CPU: attn_bwd_head. */
template <class T> static __global__ void plain_dq_kernel(const attn_arg a)
{
    __shared__ float rows[PLAIN_WARPS][2][ATTN_WIDTH_MAX];
    const int lane = threadIdx.x % WARP;
    float *q = rows[threadIdx.x / WARP][0], *dy = rows[threadIdx.x / WARP][1];
    float acc[PLAIN_COLUMNS] = {}, lse, delta;
    const T *qkv = (const T *)a.qkv, *k, *v;
    int64_t at;
    head h;
    int i;

    if (!plain_place(a, &h, &i))
        return;
    k = qkv + h.first * a.ldq + a.h + h.index * a.width;
    v = k + a.h;
    at = h.index * a.n_tok + h.first + i;
    lse = a.lse[at];
    delta = a.delta[at];
    take_row(q, qkv + (h.first + i) * a.ldq + h.index * a.width, a.width);
    take_row(dy, (const T *)a.dy + (h.first + i) * a.lddy + h.index * a.width, a.width);
    for (int from = 0; from < h.n; from += WARP) {
        const int j = from + lane, count = h.n - from < WARP ? h.n - from : WARP;
        float ds = 0;

        if (j < h.n) {
            const float p = expf(dot(q, k + j * a.ldq, a.width) * a.scale - lse);
            const float keep = a.drop.on ? keep_factor(a, h, i, j) : 1;

            ds = p * (dot(dy, v + j * a.ldq, a.width) * keep - delta) * a.scale;
        }
        add_rows(acc, ds, k + from * a.ldq, a.ldq, count, a.width);
    }
    put_row((T *)a.dqkv + (h.first + i) * a.lddq + h.index * a.width, acc, 1, a.width);
}

/* dk and dv of a key.  Grid as plain_kernel, keys for queries.  CPU: attn_bwd_head. */
template <class T> static __global__ void plain_dkv_kernel(const attn_arg a)
{
    __shared__ float rows[PLAIN_WARPS][2][ATTN_WIDTH_MAX];
    const int lane = threadIdx.x % WARP;
    float *k = rows[threadIdx.x / WARP][0], *v = rows[threadIdx.x / WARP][1];
    float dk[PLAIN_COLUMNS] = {}, dv[PLAIN_COLUMNS] = {};
    const T *q, *dy;
    T *out;
    head h;
    int j;

    if (!plain_place(a, &h, &j))
        return;
    q = (const T *)a.qkv + h.first * a.ldq + h.index * a.width;
    dy = (const T *)a.dy + h.first * a.lddy + h.index * a.width;
    take_row(k, q + j * a.ldq + a.h, a.width);
    take_row(v, q + j * a.ldq + 2 * a.h, a.width);
    for (int from = 0; from < h.n; from += WARP) {
        const int i = from + lane, count = h.n - from < WARP ? h.n - from : WARP;
        float p = 0, ds = 0;

        if (i < h.n) {
            const int64_t at = h.index * a.n_tok + h.first + i;
            const float keep = a.drop.on ? keep_factor(a, h, i, j) : 1;

            p = expf(dot(k, q + i * a.ldq, a.width) * a.scale - a.lse[at]);
            ds = p * (dot(v, dy + i * a.lddy, a.width) * keep - a.delta[at]) * a.scale;
            p *= keep;
        }
        add_rows(dk, ds, q + from * a.ldq, a.ldq, count, a.width);
        add_rows(dv, p, dy + from * a.lddy, a.lddy, count, a.width);
    }
    out = (T *)a.dqkv + (h.first + j) * a.lddq + h.index * a.width;
    put_row(out + a.h, dk, 1, a.width);
    put_row(out + 2 * a.h, dv, 1, a.width);
}

static int plain_check(const attn_arg *a, const char *op, struct err *e)
{
    if (a->width > ATTN_WIDTH_MAX)
        return err_set(e, ERR_RUN,
                       "%s: heads of %d are wider than the %d of the GPU's kernel", op,
                       a->width, ATTN_WIDTH_MAX);
    if (a->tasks > INT32_MAX)
        return err_set(e, ERR_RUN, "%s: a batch of %lld tokens is too large for the GPU",
                       op, (long long)a->n_tok);
    return 0;
}

static attn_arg plain_fill(const struct attn *f)
{
    attn_arg a = attn_fill(f);

    a.tiles = (int)index_cut(f->seqs.max_len, PLAIN_WARPS);
    a.tasks = (int64_t)f->seqs.n_seq * a.heads * a.tiles;
    return a;
}

int attn_plain(struct dev *d, const struct attn *f, struct err *e)
{
    const attn_arg a = plain_fill(f);

    if (plain_check(&a, "attn", e))
        return -1;
    by_type(f->qkv.t, [&](auto *type) {
        plain_kernel<element<decltype(type)>>
            <<<(unsigned)a.tasks, PLAIN_WARPS * WARP, 0, d->stream>>>(a);
    });
    return cuda_launched(d, "attn", e);
}

/* a->delta, in scratch. */
static int attn_delta(struct dev *d, const struct attn *f, const struct mat *dy,
                      attn_arg *a, struct err *e)
{
    const int64_t blocks = index_cut(a->n_tok * a->heads, PLAIN_WARPS);

    a->dy = dy->p;
    a->lddy = dy->ld;
    a->delta = (float *)cuda_scratch(d, (size_t)(a->heads * a->n_tok) * sizeof(float), e);
    if (!a->delta)
        return -1;
    if (blocks > INT32_MAX)
        return err_set(e, ERR_RUN,
                       "attn_bwd: a batch of %lld tokens is too large for the GPU",
                       (long long)a->n_tok);
    by_type(f->qkv.t, [&](auto *type) {
        delta_kernel<element<decltype(type)>>
            <<<(unsigned)blocks, PLAIN_WARPS * WARP, 0, d->stream>>>(*a);
    });
    return cuda_launched(d, "attn_bwd", e);
}

int attn_plain_bwd(struct dev *d, const struct attn_bwd *b, struct err *e)
{
    attn_arg a = plain_fill(b->fwd);

    if (plain_check(&a, "attn_bwd", e) || attn_delta(d, b->fwd, &b->dy, &a, e))
        return -1;
    a.dqkv = b->dqkv.p;
    a.lddq = b->dqkv.ld;
    by_type(b->dqkv.t, [&](auto *type) {
        using T = element<decltype(type)>;

        plain_dq_kernel<T><<<(unsigned)a.tasks, PLAIN_WARPS * WARP, 0, d->stream>>>(a);
        plain_dkv_kernel<T><<<(unsigned)a.tasks, PLAIN_WARPS * WARP, 0, d->stream>>>(a);
    });
    return cuda_launched(d, "attn_bwd", e);
}
