/* SPDX-License-Identifier: MIT */
/*
 * attn: attention of every sequence with itself, forwards.
 *
 * A warp keeps 16 queries, the running maximum and sum of their scores (Milakov and
 * Gimelshein's online softmax; Dao et al., FlashAttention-2, arXiv:2307.08691) and 16
 * rows of the output in registers and goes over tiles of keys in shared memory.
 */
#include "attn.cuh"

attn_arg attn_fill(const struct attn *a)
{
    attn_arg g = {};

    g.qkv = a->qkv.p;
    g.y = a->y.p;
    g.lse = a->lse;
    g.cu = a->seqs.cu;
    g.row = a->seqs.row;
    g.ldq = a->qkv.ld;
    g.ldy = a->y.ld;
    g.n_tok = a->seqs.n_tok;
    g.heads = a->heads;
    g.h = (int)a->y.cols;
    g.width = g.h / g.heads;
    g.scale = a->scale;
    g.drop = drop_arg(&a->drop);
    return g;
}

bool attn_is_fast(const struct dev *d, const struct attn *a)
{
    const int64_t width = a->y.cols / a->heads;

    return d->act == DT_BF16 &&
           (width == 32 || width == 64 || width == 96 || width == 128) &&
           attn_rows_fit(&a->qkv) && attn_rows_fit(&a->y);
}

template <int D> struct forward {
    uint32_t q[D / 16][4];
    float o[D / 8][4];
    float top[2], sum[2]; /* of rows lane / 4 and lane / 4 + 8; sum: this lane's share */
    uint32_t offset;      /* of the query that this lane draws for */
};

template <int D> __device__ static inline void begin(forward<D> &f, const attn_arg &a,
                                                     const head &h, int query)
{
    const bf16 *q = (const bf16 *)a.qkv + h.first * a.ldq + h.index * D;

    load_operand<D>(f.q, q, a.ldq, query, h.n);
#pragma unroll
    for (int i = 0; i < D / 8; i++)
        f.o[i][0] = f.o[i][1] = f.o[i][2] = f.o[i][3] = 0;
    f.top[0] = f.top[1] = -INFINITY;
    f.sum[0] = f.sum[1] = 0;
    f.offset =
        a.drop.on ? query_offset(a, h, query + attn_draw_row(threadIdx.x % WARP)) : 0;
}

/* The maximum over the four lanes that share rows. */
__device__ static inline float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ static inline float quad_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* Scores become probabilities relative to the new maximum; o and sum follow. */
template <int D>
__device__ static inline void soften(forward<D> &f, float (&s)[8][4], float unit)
{
    float top[2] = {f.top[0], f.top[1]}, old[2];

#pragma unroll
    for (int i = 0; i < 8; i++) {
        top[0] = fmaxf(top[0], fmaxf(s[i][0], s[i][1]));
        top[1] = fmaxf(top[1], fmaxf(s[i][2], s[i][3]));
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        top[r] = quad_max(top[r]);
        old[r] = exp2f((f.top[r] - top[r]) * unit);
        f.top[r] = top[r];
        f.sum[r] *= old[r];
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
            s[i][c] = exp2f((s[i][c] - top[c / 2]) * unit);
            f.sum[c / 2] += s[i][c];
        }
    }
#pragma unroll
    for (int i = 0; i < D / 8; i++) {
#pragma unroll
        for (int c = 0; c < 4; c++)
            f.o[i][c] *= old[c / 2];
    }
}

/* 16 queries against the keys at places place..place+rows-1; rows: of 16, at most 64. */
template <int D>
__device__ static inline void step(forward<D> &f, const attn_arg &a, const head &h,
                                   const bf16 *k, const bf16 *v, int place, int rows)
{
    const int lane = threadIdx.x % WARP;
    float s[8][4];

#pragma unroll
    for (int g = 0; g < 4; g++) {
        float c[2][4];

        if (16 * g < rows)
            times_rows_turned<D>(c, f.q, k + 16 * g * ROW_LD<D>);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int at = place + 16 * g + i / 4 * 8 + 2 * (lane % 4) + i % 2;
            const bool there = 16 * g < rows && at >= h.shift && at < h.n + h.shift;

            s[2 * g + i / 4][i % 4] = there ? c[i / 4][i % 4] : -INFINITY;
        }
    }
    soften<D>(f, s, a.scale * LOG2E);
#pragma unroll
    for (int g = 0; g < 4; g++) {
        uint32_t p[4];

        if (16 * g >= rows)
            continue;
        for (int i = 2 * g; a.drop.on && i < 2 * g + 2; i++) {
            uint32_t w[4];

            draw_words(w, h, f.offset, place + 8 * i);
#pragma unroll
            for (int c = 0; c < 4; c++)
                s[i][c] = w[c] < a.drop.threshold ? 0 : s[i][c] * a.drop.scale;
        }
        as_operand(p, s[2 * g], s[2 * g + 1]);
        times_rows<D>(f.o, p, v + 16 * g * ROW_LD<D>);
    }
}

template <int D> __device__ static inline void finish(forward<D> &f, const attn_arg &a,
                                                      const head &h, int query)
{
    const int lane = threadIdx.x % WARP;
    const float sum[2] = {quad_sum(f.sum[0]), quad_sum(f.sum[1])};

    store_result<D>((bf16 *)a.y + h.first * a.ldy + h.index * D, a.ldy, f.o, query, h.n,
                    1 / sum[0], 1 / sum[1]);
    if (!a.lse || lane % 4)
        return;
    for (int r = 0; r < 2; r++) {
        const int i = query + lane / 4 + 8 * r;

        if (i < h.n)
            a.lse[h.index * a.n_tok + h.first + i] = f.top[r] * a.scale + logf(sum[r]);
    }
}

/*
 * Long sequences.  Grid: a block for every ATTN_TILE queries of each head of each
 * sequence, as many as the longest has; 4 warps with 16 queries each.  Shared memory: two
 * tiles of keys and two of values, one pair being filled while the other is used.  CPU:
 * attn_head.
 */
template <int D>
static __global__ void __launch_bounds__(ATTN_THREADS) attn_long_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    constexpr int SIZE = ATTN_TILE * ROW_LD<D>;
    const attn_place p = attn_find(blockIdx.x, a.heads, a.tiles);
    const head h = head_at(a, p.seq, p.head);
    const int query = p.tile * ATTN_TILE + (int)(threadIdx.x / WARP) * 16;
    const int places = h.n + h.shift;
    const bf16 *k = (const bf16 *)a.qkv + h.first * a.ldq + a.h + h.index * D;
    bf16 *tile = (bf16 *)room;
    forward<D> f;

    if (p.tile * ATTN_TILE >= h.n)
        return;
    begin<D>(f, a, h, query);
    for (int t = -1; t * ATTN_TILE < places; t++) {
        const int next = (t + 1) * ATTN_TILE;
        bf16 *to = tile + ((t + 1) & 1) * 2 * SIZE, *now = tile + (t & 1) * 2 * SIZE;
        const int left = places - t * ATTN_TILE;

        if (next < places) {
            copy_rows<D>(to, k, a.ldq, next, h.shift, h.n, ATTN_TILE, threadIdx.x,
                         ATTN_THREADS);
            copy_rows<D>(to + SIZE, k + a.h, a.ldq, next, h.shift, h.n, ATTN_TILE,
                         threadIdx.x, ATTN_THREADS);
        }
        copy_commit();
        if (t < 0)
            continue;
        copy_wait<1>();
        __syncthreads();
        if (query < h.n)
            step<D>(f, a, h, now, now + SIZE, t * ATTN_TILE,
                    left < ATTN_TILE ? (left + 15) / 16 * 16 : ATTN_TILE);
        __syncthreads();
    }
    if (query < h.n)
        finish<D>(f, a, h, query);
}

/*
 * Short sequences.  Grid: a warp for each head of each sequence, as many in a block as
 * its shared memory holds.  A warp has all keys and values of its head in a.rows rows
 * each and goes over the queries 16 at a time; no warp waits for another.  CPU:
 * attn_head.
 */
template <int D>
static __global__ void __launch_bounds__(ATTN_THREADS) attn_short_kernel(const attn_arg a)
{
    extern __shared__ __align__(16) char room[];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int64_t task = (int64_t)blockIdx.x * (blockDim.x / WARP) + warp;
    bf16 *k = (bf16 *)room + (size_t)warp * 2 * a.rows * ROW_LD<D>;
    bf16 *v = k + a.rows * ROW_LD<D>;

    if (task >= a.tasks)
        return;
    const attn_place p = attn_find(task, a.heads, 1);
    const head h = head_at(a, p.seq, p.head);
    const bf16 *from = (const bf16 *)a.qkv + h.first * a.ldq + a.h + h.index * D;
    const int rows = (h.n + h.shift + 15) / 16 * 16;

    if (h.n == 0)
        return;
    copy_rows<D>(k, from, a.ldq, 0, h.shift, h.n, rows, lane, WARP);
    copy_rows<D>(v, from + a.h, a.ldq, 0, h.shift, h.n, rows, lane, WARP);
    copy_commit();
    copy_wait<0>();
    __syncwarp();
    for (int query = 0; query < h.n; query += 16) {
        forward<D> f;

        begin<D>(f, a, h, query);
        step<D>(f, a, h, k, v, 0, rows);
        finish<D>(f, a, h, query);
    }
}

template <int D> static int run_long(struct dev *d, attn_arg a, int64_t n_seq,
                                     int64_t max_len, struct err *e)
{
    const size_t bytes = 4 * ATTN_TILE * ROW_LD<D> * sizeof(bf16);

    a.tiles = (int)index_cut(max_len, ATTN_TILE);
    a.tasks = n_seq * a.heads * a.tiles;
    if (a.tasks > INT32_MAX)
        return err_set(e, ERR_RUN,
                       "attn: a batch of %lld tokens is too large for the GPU",
                       (long long)a.n_tok);
    CUDA_TRY(d, allow_room(attn_long_kernel<D>, bytes), "attn", e);
    attn_long_kernel<D><<<(unsigned)a.tasks, ATTN_THREADS, bytes, d->stream>>>(a);
    return cuda_launched(d, "attn", e);
}

template <int D> static int run_short(struct dev *d, attn_arg a, int64_t n_seq,
                                      int64_t places, struct err *e)
{
    a.rows = (int)index_round(places, 16);
    const size_t each = 2 * (size_t)a.rows * ROW_LD<D> * sizeof(bf16);
    const int fit = (int)(ATTN_ROOM / each), warps = fit < ATTN_WARPS ? fit : ATTN_WARPS;

    a.tasks = n_seq * a.heads;
    CUDA_TRY(d, allow_room(attn_short_kernel<D>, warps * each), "attn", e);
    attn_short_kernel<D><<<(unsigned)index_cut(a.tasks, warps), (unsigned)(warps * WARP),
                           warps * each, d->stream>>>(a);
    return cuda_launched(d, "attn", e);
}

int cuda_attn(struct dev *d, const struct attn *f, struct err *e)
{
    const int64_t places = attn_places(f);
    int rc = -1;

    if (f->seqs.n_tok == 0 || f->seqs.n_seq == 0)
        return 0;
    if (!attn_is_fast(d, f))
        return attn_plain(d, f, e);
    by_head_width(f->y.cols / f->heads, [&](auto width) {
        if (places <= ATTN_SHORT)
            rc = run_short<width()>(d, attn_fill(f), f->seqs.n_seq, places, e);
        else
            rc = run_long<width()>(d, attn_fill(f), f->seqs.n_seq, f->seqs.max_len, e);
    });
    return rc;
}
